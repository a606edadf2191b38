"""URLs: the bytes and the manifest of a local run, and what stores do wrong is told in one line."""

import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from stn_cli.errors import OptionError, StnError
from stn_cli.folders import remote
from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan
from stn_cli.folders.remote import Remote, place
from stn_cli.folders.remote_manifest import RemoteJournal


@pytest.fixture
def store(tmp_path: Path, monkeypatch):
    """fsspec's memory, empty; six pictures in tmp_path/in and beside them what a walk passes over."""
    monkeypatch.setenv("STN_CACHE_DIR", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / ".hidden").mkdir()
    (tmp_path / "in" / ".hidden" / "a.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    for i in range(6):
        name = f"{'sub/' if i % 3 == 0 else ''}{i} ü.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)).save(tmp_path / "in" / name)
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def mirror(picture, job):
    frames = [f.with_pixels(np.ascontiguousarray(f.pixels[:, ::-1])) for f in picture.frames]
    return picture.with_frames(frames), {"family": "affine", "theta": [-1.0, 0, 0, 0, 1, 0]}


def warp(source: object, out: object, **options):
    return run(make_plan([place("INPUT", str(source))], place("--out", str(out)), **options), mirror, workers=3)


def local(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def held(fs, root: str) -> dict[str, bytes]:
    return {path[len(root) + 1 :]: fs.cat_file(path) for path in sorted(fs.find(root))}


def upload(fs, folder: Path, root: str) -> None:
    for name, data in local(folder).items():
        fs.pipe_file(f"{root}/{name}", data)


@pytest.mark.parametrize("source", ["local", "file", "memory"])
@pytest.mark.parametrize("out", ["local", "file", "memory"])
@pytest.mark.parametrize("recursive", [True, False])
def test_every_way_gives_the_bytes_of_the_local_run(tmp_path, store, source, out, recursive):
    expected = warp(tmp_path / "in", tmp_path / "expected", recursive=recursive)
    upload(store, tmp_path / "in", "/b/in")
    where = {"local": tmp_path / "in", "file": (tmp_path / "in").as_uri(), "memory": "memory://b/in"}[source]
    goal = {"local": tmp_path / "out", "file": (tmp_path / "out").as_uri(), "memory": "memory://b/out/"}[out]
    results = warp(where, goal, recursive=recursive)
    assert [job.name for job in results.done] == [job.name for job in expected.done]
    assert len(results.done) == (6 if recursive else 4)
    made = held(store, "/b/out") if out == "memory" else local(tmp_path / "out")
    assert made == local(tmp_path / "expected")
    assert not list((tmp_path / "cache").rglob("*.journal"))


@pytest.mark.parametrize("recursive", [True, False])
def test_the_same_things_are_passed_over(tmp_path, store, recursive):
    upload(store, tmp_path / "in", "/b/in")
    here = make_plan([tmp_path / "in"], tmp_path / "out", recursive=recursive)
    there = make_plan([place("INPUT", "memory://b/in")], tmp_path / "out", recursive=recursive)
    assert there.ignored == here.ignored


def test_one_file_and_outputs_inside_the_input(tmp_path, store):
    upload(store, tmp_path / "in", "/b/in")
    results = warp("memory://b/in/1 ü.png", "memory://b/single/x.png")
    assert len(results.done) == 1
    assert sorted(held(store, "/b/single")) == ["x.png"]
    warp("memory://b/in", "memory://b/in/out")
    again = warp("memory://b/in", "memory://b/in/out", existing="overwrite")
    assert len(again.done) == 6
    with pytest.raises(OptionError, match="is the input"):
        warp("memory://b/in/1 ü.png", "memory://b/in/1 ü.png", existing="overwrite")


def test_existing(tmp_path, store):
    store.pipe_file("/b/out/1 ü.png", b"theirs")
    with pytest.raises(OptionError, match=r"--existing.*memory://b/out/1 ü.png exists already"):
        warp(tmp_path / "in", "memory://b/out")
    assert held(store, "/b/out") == {"1 ü.png": b"theirs"}
    results = warp(tmp_path / "in", "memory://b/out", existing="skip")
    assert (len(results.done), len(results.skipped)) == (5, 1)
    assert store.cat_file("/b/out/1 ü.png") == b"theirs"
    assert b'"1 \xc3\xbc.png"' not in store.cat_file("/b/out/manifest.jsonl")
    warp(tmp_path / "in" / "1 ü.png", "memory://b/out", existing="overwrite")  # its row joins the others'
    warp(tmp_path / "in", tmp_path / "expected")
    assert held(store, "/b/out") == local(tmp_path / "expected")


@pytest.mark.parametrize("existing", ["fail", "skip"])
def test_what_appears_meanwhile_is_left_alone(tmp_path, store, existing):
    plan = make_plan([tmp_path / "in"], place("--out", "memory://b/out"), existing=existing)
    store.pipe_file("/b/out/1 ü.png", b"theirs")
    results = run(plan, mirror)
    assert store.cat_file("/b/out/1 ü.png") == b"theirs"
    assert (len(results.done), len(results.failed), len(results.skipped)) == (
        (5, 1, 0) if existing == "fail" else (5, 0, 1)
    )
    assert store.cat_file("/b/out/manifest.jsonl").count(b"\n") == 5


def test_failures_midway_are_named_and_the_rest_goes_on(tmp_path, store, monkeypatch):
    upload(store, tmp_path / "in", "/b/in")
    store.pipe_file("/b/in/1 ü.png", b"\x89PNG\r\n\x1a\n and nothing else")
    store.pipe_file("/b/in/2 ü.jpg", b"")
    cat, pipe = MemoryFileSystem.cat_file, MemoryFileSystem.pipe_file

    def cat_file(self, path, *args, **kwargs):
        if path.endswith("4 ü.jpg"):
            raise TimeoutError("the network\nis gone")
        return cat(self, path, *args, **kwargs)

    def pipe_file(self, path, *args, **kwargs):
        if path.endswith("5 ü.png"):
            raise PermissionError("Access Denied")
        return pipe(self, path, *args, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    results = warp("memory://b/in", "memory://b/out")
    monkeypatch.undo()
    said = [str(error) for error in results.failed]
    assert [line.partition(": ")[0] for line in said] == [
        "memory://b/in/1 ü.png",
        "memory://b/in/2 ü.jpg",
        "memory://b/in/4 ü.jpg",
        "memory://b/out/5 ü.png",
    ]
    assert "the file is empty" in said[1]
    assert "cannot be read (the network is gone)" in said[2]
    assert "cannot be written (no permission: Access Denied)" in said[3]
    assert sorted(held(store, "/b/out")) == ["manifest.jsonl", "sub/0 ü.jpg", "sub/3 ü.png"]
    assert store.cat_file("/b/out/manifest.jsonl").count(b"\n") == 2


def test_a_journal_that_could_not_be_put_is_kept(tmp_path, store, monkeypatch):
    pipe = MemoryFileSystem.pipe_file

    def pipe_file(self, path, *args, **kwargs):
        if path.endswith("manifest.jsonl"):
            raise ConnectionError("gone")
        return pipe(self, path, *args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(MemoryFileSystem, "pipe_file", pipe_file)
        results = warp(tmp_path / "in", "memory://b/out")
    assert [str(error) for error in results.failed] == ["memory://b/out/manifest.jsonl: cannot be written (gone)"]
    (journal,) = (tmp_path / "cache").rglob("*.journal")
    dead = journal.name.split("-")
    dead[3] = f"{int(dead[3], 16) ^ 1:08x}"  # of this process number, but an earlier process
    journal.rename(journal.with_name("-".join(dead)))
    warp(tmp_path / "in", "memory://b/out", existing="skip")
    warp(tmp_path / "in", tmp_path / "expected")
    assert held(store, "/b/out") == local(tmp_path / "expected")


def test_an_overwriting_put_that_fails_keeps_the_old_row(tmp_path, store, monkeypatch):
    warp(tmp_path / "in", "memory://b/out")
    before = held(store, "/b/out")

    def pipe_file(self, path, *args, **kwargs):
        raise ConnectionError("gone")

    def turned(picture, job):
        return mirror(picture, job)[0], {"family": "affine", "theta": [1.0, 0, 0, 0, 1, 0]}

    plan = make_plan([tmp_path / "in" / "1 ü.png"], place("--out", "memory://b/out"), existing="overwrite")
    pipe = MemoryFileSystem.pipe_file
    with monkeypatch.context() as broken:
        broken.setattr(
            MemoryFileSystem,
            "pipe_file",
            lambda self, path, *a, **k: (pipe if path.endswith("jsonl") else pipe_file)(self, path, *a, **k),
        )
        assert len(run(plan, turned).failed) == 1
    assert held(store, "/b/out") == before


def test_rows_of_what_is_not_there_are_left_out(tmp_path, store):
    """A run that died in the middle of a put has noted a row for it."""
    journal = RemoteJournal(place("--out", "memory://b/out/manifest.jsonl"))
    journal.add({"source": "gone.png", "output": "gone.png"}, None)
    warp(tmp_path / "in", "memory://b/out")
    journal.close()
    assert b"gone.png" not in store.cat_file("/b/out/manifest.jsonl")


def test_a_manifest_of_somebody_else_is_left_alone(tmp_path, store):
    store.pipe_file("/b/out/manifest.jsonl", b"mine\n")
    with pytest.raises(OptionError, match=r"is not a manifest that stn wrote"):
        warp(tmp_path / "in", "memory://b/out")
    assert held(store, "/b/out") == {"manifest.jsonl": b"mine\n"}


@pytest.mark.parametrize("name", ["../a.png", "sub//a.png", "./a.png"])
def test_names_that_lead_out_are_refused(tmp_path, store, name):
    store.pipe_file(f"/b/in/{name}", b"")
    fs = store
    fs.store[f"/b/in/{name}"] = fs.store.pop(next(iter(fs.store)))
    with pytest.raises(OptionError, match="leads out of its folder"):
        warp("memory://b/in", tmp_path / "out")


class Buckets(MemoryFileSystem):
    """A store with a bucket "b" and one that may not be seen; making a folder would make a bucket."""

    protocol = "az"

    def info(self, path, **kwargs):
        if path.startswith(("/closed", "closed")):
            raise PermissionError("Access Denied")
        if path == "b":
            return {"name": "b", "type": "directory", "size": 0}
        return super().info(path, **kwargs)

    def pipe_file(self, path, *args, **kwargs):
        if path.endswith("5 ü.png"):
            raise FileNotFoundError(path)
        return super().pipe_file(path, *args, **kwargs)

    def makedirs(self, path, exist_ok=False):
        raise AssertionError("made a bucket")


def test_buckets(tmp_path, store):
    def at(path):
        return Remote(Buckets(), path, f"az:/{path}")

    for out, why in (("/gone/out", "no such bucket; stn makes none"), ("/closed/out", "no permission: Access Denied")):
        with pytest.raises(StnError, match=why):
            make_plan([tmp_path / "in"], at(out))
    results = run(make_plan([tmp_path / "in"], at("/b/out")), mirror)
    assert len(results.done) == 5
    assert "no such file, folder or bucket" in str(results.failed[0])
    with pytest.raises(OptionError, match="no such file, folder or bucket"):
        make_plan([at("/gone/in")], tmp_path / "out")
    with pytest.raises(StnError, match=r"cannot be looked up \(no permission: Access Denied\)"):
        make_plan([at("/closed/in")], tmp_path / "out")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(OptionError, match=r"s3://b/in: needs a library for s3://: pip install s3fs"):
        place("INPUT", "s3://b/in")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(OptionError, match=r"pip install 'stn-cli\[remote\]'"):
        place("INPUT", "memory://b/in")


def test_what_is_a_url(monkeypatch):
    for text in ("in", "C:/in", "C://in", r"C:\in", "a:b", "1://x", "s3:/b"):
        assert place("INPUT", text) == Path(text)
    assert place("INPUT", "file:///a%20b/c#1?.png") == Path("/a b/c#1?.png") or sys.platform == "win32"
    monkeypatch.setattr(fsspec, "url_to_fs", lambda *_, **__: (Buckets(), ""))
    with pytest.raises(OptionError, match="names no bucket"):
        place("INPUT", "az://")


def test_paths_import_no_fsspec():
    import subprocess

    code = (
        "import sys; from pathlib import Path; from stn_cli.folders.plan import make_plan; from stn_cli.folders import pipeline;"
        "from stn_cli.folders.remote import place; place('INPUT', 'in'); assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(remote.__file__).parents[2])
