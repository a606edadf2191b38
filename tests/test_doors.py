"""The doors of docs/security.md stay shut."""

import ast
import json
import os
import pickle
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stn_cli
from stn_cli.cli import main

PACKAGE = Path(stn_cli.__file__).parent
NO_LINKS = sys.platform == "win32"  # making one needs a privilege there


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """in/a.png, in/sub/b.png and, next to the output folder, a file that must not change."""
    for name in ("in/a.png", "in/sub/b.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(240, dtype=np.uint8).reshape(8, 10, 3)).save(path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious.png").write_bytes(b"precious")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


class Bomb:
    """Unpickling one writes the file `pwned`."""

    def __reduce__(self):
        return Path.write_text, (Path("pwned"), "x")


def test_the_bomb_works(place):
    pickle.loads(pickle.dumps(Bomb()))
    assert (place / "pwned").exists()


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.jsonl", "x.flo"])
@pytest.mark.parametrize("option", ["--theta-file", "--grid", "--points"])
def test_no_pickle_is_loaded_from_a_file_that_describes_the_job(place, option, name):
    bomb = np.array([Bomb()], dtype=object)
    if name.endswith(".npy"):
        np.save(name, bomb, allow_pickle=True)
    elif name.endswith(".npz"):
        np.savez(name, grid=bomb, theta=bomb)
    else:
        Path(name).write_bytes(pickle.dumps(Bomb()))
    assert run("warp", "in", option, name, "--out", "out") == 2
    assert not (place / "pwned").exists()


@pytest.mark.parametrize("source", ["../outside/precious.png", "{}/outside/precious.png", "..\\outside\\precious.png"])
@pytest.mark.parametrize("field", ["source", "output"])
def test_names_in_a_manifest_lead_nowhere(place, source, field):
    assert run("warp", "in", "--rotate", "5", "--out", "first") == 0
    manifest = place / "first/manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    evil = dict(rows[0])
    evil[field] = source.format(place)
    Path("evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, evil]), encoding="utf-8")
    before = files(place)
    run("warp", "in", "--theta-file", "evil.jsonl", "--out", "second", "--existing", "overwrite")
    assert {name for name in files(place) - before if not name.startswith("second/")} == set()
    assert (place / "outside/precious.png").read_bytes() == b"precious"


def test_an_absolute_source_in_a_theta_file_is_not_opened(place):
    Path("theta.csv").write_text(f"source,theta\n{place}/outside/precious.png,1 0 0 0 1 0\n", encoding="utf-8")
    run("warp", "in", "--theta-file", "theta.csv", "--out", "out")
    assert (place / "outside/precious.png").read_bytes() == b"precious"
    assert not [name for name in files(place) if "precious" in name and not name.startswith("outside/")]


@pytest.mark.skipif(NO_LINKS, reason="links need a privilege on Windows")
def test_a_linked_folder_in_the_output_is_refused(place, capfd):
    (place / "out").mkdir()
    (place / "out/sub").symlink_to(place / "outside", target_is_directory=True)
    before = files(place)
    assert run("warp", "in", "--rotate", "5", "--out", "out", "--existing", "overwrite") == 2
    assert "symbolic link" in capfd.readouterr().err
    assert files(place) == before


@pytest.mark.skipif(NO_LINKS, reason="links need a privilege on Windows")
def test_a_link_under_an_output_name_is_replaced_not_followed(place):
    (place / "out").mkdir()
    (place / "out/a.png").symlink_to(place / "outside/precious.png")
    assert run("warp", "in", "--rotate", "5", "--out", "out", "--existing", "overwrite") == 0
    assert (place / "outside/precious.png").read_bytes() == b"precious"
    assert not (place / "out/a.png").is_symlink()


@pytest.mark.skipif(NO_LINKS, reason="links need a privilege on Windows")
def test_a_link_to_an_input_is_no_way_to_overwrite_it(place):
    (place / "out").mkdir()
    os.link(place / "in/a.png", place / "out/a.png")
    before = (place / "in/a.png").read_bytes()
    assert run("warp", "in", "--rotate", "5", "--out", "out", "--existing", "overwrite") == 2
    assert (place / "in/a.png").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids such names")
def test_terminal_escapes_in_a_name_are_not_sent_to_the_terminal(place, capfd):
    (place / "in/\x1b[31mred\n.png").write_bytes(b"no picture")
    assert run("warp", "in", "--rotate", "5", "--out", "out") == 1
    out, err = capfd.readouterr()
    assert "\x1b[31mred" not in out + err
    assert "red" in err
    assert "red\n.png" not in err


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "yaml", "xml"}
FORBIDDEN_CALLS = {"torch.load", "os.system", "os.popen", "tempfile.mktemp"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_in_the_package_runs_text_or_unpickles(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            # our own processes, and Ray's, speak pickle to each other; no file of a user's comes this way (docs/security.md)
            allowed = {"pickle"} if path.name in ("on_ray.py", "processes.py") else set()
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES - allowed, node.lineno
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            harmless = node.module == "xml.sax.saxutils"  # escapes, parses nothing
            assert harmless or node.module.split(".")[0] not in FORBIDDEN_MODULES, node.lineno
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_NAMES | FORBIDDEN_CALLS, node.lineno
            for keyword in node.keywords:
                allowed = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True)
                assert keyword.arg not in ("shell", "allow_pickle") or allowed, node.lineno
            if called in ("np.load", "numpy.load"):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("allow_pickle") == "False", node.lineno


def test_code_is_imported_by_name_only_where_the_user_may_name_it():
    """`import_module` of a name that is not written in the source: the package's own lazy names, --net and --module."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1]
            if called == "import_module" and not isinstance(node.args[0], ast.Constant):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found <= {"__init__.py", "cli.py", "learn/theta_net.py", "commands/user_code.py"}, found


def test_every_address_in_the_package_is_https():
    for path in PACKAGE.rglob("*.py"):
        for address in re.findall(r"\bhttp://[^\s\"')]+", path.read_text(encoding="utf-8")):
            assert address.startswith(("http://www.w3.org/", "http://ns.adobe.com/")), f"{path}: {address}"


class Markup(HTMLParser):
    """Every attribute of a page, and whether a tag came from a name."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids such names")
def test_a_name_is_text_in_a_page(place):
    evil = place / "\"><img src=x onerror=alert(1)>&'.png"
    (place / "in/a.png").rename(evil)
    assert run("animate", "grid", evil, "--rotate", "5", "--out", "page.html") == 0
    text = (place / "page.html").read_text(encoding="utf-8")
    assert "alert(1)" in text  # the page does name its picture
    page = Markup()
    page.feed(text)
    assert ("src", "x") not in page.attributes
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert any(name == "content" and "default-src 'none'" in (value or "") for name, value in page.attributes)
