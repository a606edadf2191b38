"""`stn animate` from the outside: what it writes, and what it says of bad input before it writes anything."""

import numpy as np
import pytest
from PIL import Image

from stn_cli.cli import main
from stn_cli.draw.theme import LIGHT, rgb

SMALL = ["--size", "160x120", "--fps", "2", "--seconds", "2"]


def stn(capfd, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["animate", *map(str, arguments)])
    out, err = capfd.readouterr()
    return stopped.value.code, out, err


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("suffix", [".gif", ".mp4", ".webm", ".webp", ".apng", ".html", ""])
def test_every_kind_of_file(tmp_path, picture, capfd, suffix):
    out = tmp_path / "new" / f"film{suffix}"
    code, said, err = stn(capfd, "grid", picture, "--rotate", 20, "--out", out, *SMALL)
    assert (code, err) == (0, "")
    assert str(out) in said
    size = sum(path.stat().st_size for path in out.iterdir()) if suffix == "" else out.stat().st_size
    assert size > 1000
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_with_nothing_but_a_place_to_write(tmp_path, capfd):
    code, _, _ = stn(capfd, "--out", tmp_path / "a.webp", *SMALL)
    assert code == 0


def test_one_frame_at_any_resolution(tmp_path, picture, capfd):
    out = tmp_path / "print.png"
    code, _, _ = stn(
        capfd, "theta", picture, "--family", "tps", "--frame", 3, "--size", "1600x1000", "--theme", "dark", "--out", out
    )
    assert code == 0
    with Image.open(out) as frame:
        assert frame.size == (1600, 1000)


def test_w_alone_is_four_to_three(tmp_path, picture, capfd):
    stn(capfd, "grid", picture, "--frame", 1, "--size", "200", "--out", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as frame:
        assert frame.size == (200, 150)
        assert frame.getpixel((0, 0)) == rgb(LIGHT.background)


def test_all_scenes_with_their_index(tmp_path, picture, capfd):
    folder = tmp_path / "all"
    code, _, _ = stn(capfd, "--all", folder, picture, *SMALL)
    assert code == 0
    names = {path.name for path in folder.iterdir()}
    assert {"index.html", "page.html", "reverse.gif", "gradient.gif", "theta.gif"} <= names
    assert not {"training.gif", "module.gif"} & names
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert all(f'src="{name}"' in text for name in names if name.endswith(".gif"))


def test_module_shows_a_net_of_train_mnist(tmp_path, picture, capfd):
    from stn_cli.learn.checkpoint import save
    from stn_cli.learn.networks import build, design

    save(tmp_path / "net.safetensors", build(design("st-fcn", 28), 0), "digits", "R", {})
    code, _, err = stn(
        capfd, "module", picture, "--net", tmp_path / "net.safetensors", "--out", tmp_path / "m.gif", *SMALL
    )
    assert (code, err) == (0, "")


BAD = {
    "no scene": ["nonsense", "--out", "a.gif"],
    "nowhere": ["grid"],
    "suffix": ["grid", "--out", "a.jpg"],
    "png without frame": ["grid", "--out", "a.png"],
    "frame without png": ["grid", "--frame", "1", "--out", "a.gif"],
    "frame 0": ["grid", "--frame", "0", "--out", "a.png"],
    "frame beyond": ["grid", "--frame", "4000", "--out", "a.png"],
    "frame text": ["grid", "--frame", "x", "--out", "a.png"],
    "size word": ["grid", "--size", "big", "--out", "a.gif"],
    "size zero": ["grid", "--size", "0x0", "--out", "a.gif"],
    "size tiny": ["grid", "--size", "20x20", "--out", "a.gif"],
    "size huge": ["grid", "--size", "90000x10", "--out", "a.gif"],
    "fps zero": ["grid", "--fps", "0", "--out", "a.gif"],
    "fps nan": ["grid", "--fps", "nan", "--out", "a.gif"],
    "fps many": ["grid", "--fps", "1000", "--out", "a.gif"],
    "seconds": ["grid", "--seconds", "-1", "--out", "a.gif"],
    "too many frames": ["grid", "--seconds", "600", "--fps", "60", "--out", "a.gif"],
    "theme": ["grid", "--theme", "pink", "--out", "a.gif"],
    "no image": ["grid", "missing.png", "--out", "a.gif"],
    "no picture": ["grid", "text.png", "--out", "a.gif"],
    "folder": ["grid", ".", "--out", "a.gif"],
    "theta count": ["grid", "--theta", "1 2 3 4 5", "--out", "a.gif"],
    "theta nan": ["grid", "--theta", "nan 0", "--out", "a.gif"],
    "two thetas": ["grid", "--theta", "1 0", "--rotate", "3", "--out", "a.gif"],
    "family": ["theta", "--family", "nope", "--out", "a.gif"],
    "fill": ["grid", "--padding", "fill", "--out", "a.gif"],
    "kernel": ["grid", "--kernel", "sinc", "--out", "a.gif"],
    "antialias": ["grid", "--antialias", "on", "--out", "a.gif"],
    "module with no such net": ["module", "--net", "nope", "--out", "a.gif"],
    "training without run": ["training", "--out", "a.gif"],
    "training on no run": ["training", ".", "--out", "a.gif"],
    "training page": ["training", ".", "--out", "a.html"],
    "all and out": ["--all", "d", "--out", "a.gif"],
    "all and scene": ["grid", "there.gif", "--all", "d"],
    "all into something": ["--all", "."],
    "exists": ["grid", "--out", "there.gif"],
    "folder exists": ["grid", "--out", "full"],
    "a file as folder": ["grid", "--out", "plain"],
    "below a file": ["grid", "--out", "plain/a.gif"],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capfd, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "there.gif").write_bytes(b"mine")
    (tmp_path / "plain").write_bytes(b"mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = stn(capfd, *BAD[case])
    assert code in (1, 2)
    assert out == ""
    assert err.startswith("stn: ")
    assert len(err.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.gif").read_bytes() == b"mine"
