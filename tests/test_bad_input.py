"""Bad input: one line on stderr that names the option, the value and what is allowed; nothing written, no traceback."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.cli import main

RNG = np.random.default_rng(0)


@dataclass
class Case:
    """A command line, and the words that must all stand in the one line it says."""

    arguments: str
    said: tuple[str, ...]
    code: int = 2

    def __str__(self) -> str:
        return self.arguments


def picture(path: Path, size: tuple[int, int] = (12, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the cases speak of, as the current directory."""
    for name in ("in/a.png", "in/sub/b.png", "one/a.png"):
        picture(tmp_path / name)
    picture(tmp_path / "taken/a.png", (3, 3))
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "whole.jpg", (64, 64))
    files = {
        "text.png": b"this is no picture\n",
        "zero.png": b"",
        "cut.jpg": (tmp_path / "whole.jpg").read_bytes()[:300],
        "two.csv": b"0,0,1,1\n5,5,6,6\n",
        "words.csv": b"a,b,c,d\n1,2,3,4\n2,3,4,5\n3,9,1,2\n",
        "nan.csv": b"0,0,1,1\n5,5,nan,6\n0,7,0,7\n",
        "line.csv": b"0,0,1,1\n1,1,2,2\n2,2,3,3\n3,3,4,4\n",
        "theta.csv": b"source,t11\nother.png,1\n",
        "theta.jsonl": b'{"theta": [1, 0, 0, 0, 1]}\n',
        "broken.jsonl": b'{"theta": [1, 0\n',
        "nothing.csv": b"",
        "theta.xyz": b"1 0 0 0 1 0\n",
        "grid.npz": b"PK\x03\x04 not really",
        "grid.flo": b"PIEH\xff\xff\xff\x7f\xff\xff\xff\x7f",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.full((4, 4, 2), np.nan))
    np.save(tmp_path / "shape.npy", np.zeros((3, 3, 3)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


W = "warp in/a.png --out out/a.png "
R = "--rotate 5 "
OPTIONS = [
    # θ as numbers
    Case(W + "--theta '1 2 3 4 5'", ("--theta", "5", "affine")),
    Case(W + "--theta '1 0 0 0 1 nan'", ("--theta", "nan", "finite")),
    Case(W + "--theta 1,0,0,0,1,inf", ("--theta", "inf", "finite")),
    Case(W + "--theta 'one 0 0 0 1 0'", ("--theta", "one")),
    Case(W + "--theta ''", ("--theta",)),
    Case(W + "--theta '1 0 0 0 1 0 1e400 0'", ("--theta",)),
    Case(W + "--theta '1 0 0 0 1 0' --family spline", ("--family", "spline", "affine")),
    Case(W + "--theta '1 0 0 0 1 0' --family similarity", ("--theta", "6", "similarity", "4")),
    Case(W + R + "--family affine", ("--family", "affine", "--theta")),
    # θ in words
    Case(W + "--rotate thirty", ("--rotate", "thirty", "degrees")),
    Case(W + "--rotate nan", ("--rotate", "nan")),
    Case(W + "--rotate 1e999", ("--rotate", "1e999")),
    Case(W + "--rotate 1,2", ("--rotate", "1,2")),
    Case(W + "--zoom 0", ("--zoom", "0")),
    Case(W + "--zoom 1,2,3", ("--zoom", "1,2,3")),
    Case(W + "--zoom inf", ("--zoom", "inf")),
    Case(W + "--shear 90", ("--shear", "90")),
    Case(W + "--translate 5", ("--translate", "5")),
    Case(W + "--translate 5,b", ("--translate", "b")),
    Case(W + "--flip d", ("--flip", "d", "h")),
    Case(W + "--do 'spin 3'", ("--do", "spin", "rotate")),
    Case(W + "--do ''", ("--do",)),
    Case(W + "--do 'rotate 3;;zoom'", ("--do", "zoom", "factor")),
    Case(W + R + "--about 4", ("--about", "4")),
    Case(W + "--theta '0 0' --about 4,4", ("--about", "4,4", "--rotate")),
    # θ from points, matrices, files
    Case(W + "--corners '0,0 11,0 11,7'", ("--corners", "four points")),
    Case(W + "--corners '0,0 5,5 10,10 0,7'", ("--corners", "0,0 5,5 10,10 0,7")),
    Case(W + "--corners '0,0 0,0 0,0 0,0'", ("--corners", "0,0 0,0 0,0 0,0")),
    Case(W + "--corners '0,0 11,0 11,x 0,7'", ("--corners", "11,x")),
    Case(W + "--points gone.csv", ("--points", "gone.csv")),
    Case(W + "--points two.csv", ("--points", "two.csv", "3")),
    Case(W + "--points words.csv", ("--points", "words.csv")),
    Case(W + "--points nan.csv", ("--points", "nan.csv")),
    Case(W + "--points line.csv", ("--points", "line")),
    Case(W + "--points two.csv --smoothing -1", ("--smoothing", "-1")),
    Case(W + "--points two.csv --smoothing nan", ("--smoothing", "nan")),
    Case(W + R + "--smoothing 2", ("--smoothing", "2", "--points")),
    Case(W + "--matrix '1 0 0 0 1 0'", ("--convention", "opencv")),
    Case(W + "--matrix '1 0 0 0 1 0' --convention numpy", ("--convention", "numpy", "opencv")),
    Case(W + "--matrix '1 0 0' --convention opencv", ("--matrix", "6")),
    Case(W + "--matrix '0 0 0 0 0 0' --convention opencv", ("--matrix", "0 0 0 0 0 0")),
    Case(W + "--matrix '1 2 2 4 0 0' --convention imagemagick", ("--matrix", "1 2 2 4 0 0")),
    Case(W + "--matrix '1 0 0 0 nan 0' --convention torch", ("--matrix", "nan")),
    Case(W + R + "--convention torch", ("--convention", "torch", "--matrix")),
    Case(W + "--theta-file gone.csv", ("--theta-file", "gone.csv")),
    Case(W + "--theta-file theta.xyz", ("--theta-file", "theta.xyz", ".csv")),
    Case(W + "--theta-file theta.jsonl", ("--theta-file", "theta.jsonl", "5")),
    Case(W + "--theta-file broken.jsonl", ("--theta-file", "broken.jsonl", "line 1")),
    Case(W + "--theta-file nothing.csv", ("--theta-file", "nothing.csv")),
    Case(W + "--theta-file pickle.npy", ("--theta-file", "pickle.npy")),
    Case(W + "--theta-file theta.csv", ("theta.csv",)),
    Case(W + "--grid gone.npz", ("--grid", "gone.npz")),
    Case(W + "--grid grid.npz", ("--grid", "grid.npz")),
    Case(W + "--grid grid.flo", ("--grid", "grid.flo")),
    Case(W + "--grid pickle.npy", ("--grid", "pickle.npy")),
    Case(W + "--grid nan.npy", ("--grid", "nan.npy")),
    Case(W + "--grid shape.npy", ("--grid", "shape.npy")),
    Case(W + "--grid in/a.png", ("--grid", "in/a.png", ".npz")),
    Case(W + R + "--theta '1 0 0 0 1 0'", ("--rotate", "--theta", "exactly one")),
    Case(W + "--do 'rotate 3' --corners '0,0 11,0 11,7 0,7'", ("--do", "--corners", "exactly one")),
    Case(W, ("--theta", "--rotate", "exactly one")),
    # size and sampling
    Case(W + R + "--size 0x5", ("--size", "0x5", "WxH")),
    Case(W + R + "--size big", ("--size", "big", "WxH")),
    Case(W + R + "--size 12", ("--size", "12", "WxH")),
    Case(W + R + "--size -4x5", ("--size", "-4x5", "WxH")),
    Case(W + R + "--size 99999999x9", ("--size", "99999999x9")),
    Case(W + R + "--size -5%", ("--size", "-5%")),
    Case(W + R + "--size nan%", ("--size", "nan%")),
    Case(W + R + "--size 900000x900000", ("--size", "900000x900000", "--max-pixels 400,000,000")),
    Case(W + R + "--size 30x40 --max-pixels 1199", ("--size", "30x40", "--max-pixels 1,199")),
    Case(W + R + "--kernel lanczos", ("--kernel", "lanczos", "bicubic")),
    Case(W + R + "--padding wrap", ("--padding", "wrap", "reflection")),
    Case(W + R + "--padding fill --fill nocolour", ("--fill", "nocolour")),
    Case(W + R + "--padding border --fill red", ("--fill", "red", "--padding fill")),
    Case(W + R + "--padding fill", ("--fill",)),
    Case(W + R + "--antialias maybe", ("--antialias", "maybe", "auto")),
    # how it runs
    Case(W + R + "--device tpu", ("--device", "tpu", "cpu")),
    Case(W + R + "--jobs 0", ("--jobs", "0")),
    Case(W + R + "--jobs many", ("--jobs", "many")),
    Case(W + R + "--batch-size 0", ("--batch-size", "0", "4,096")),
    Case(W + R + "--shard 0/4", ("--shard", "0/4", "I/N")),
    Case(W + R + "--shard 5/4", ("--shard", "5/4", "I/N")),
    Case(W + R + "--shard 1", ("--shard", "1", "I/N")),
    Case(W + R + "--shard ²/3", ("--shard", "²/3", "I/N")),
    Case(W + R + "--shard 1/2/3", ("--shard", "1/2/3", "I/N")),
    Case("warp in --rotate 5 --out in --format jpeg --shard 1/2", ("--shard", "1/2", "does not hold the input in")),
    Case(W + R + "--shard 1/2 --contact-sheet sheet.png", ("--contact-sheet", "sheet.png", "--shard")),
    Case(W + R + "--engine spark", ("--engine", "spark", "ray")),
    Case(W + R + "--address auto", ("--address", "auto", "--engine ray")),
    Case(W + R + "--engine ray --address nowhere", ("--address", "nowhere", "HOST:PORT")),
    Case(W + R + "--engine ray --address 127.0.0.1:1", ("--address", "127.0.0.1:1", "no Ray cluster answers")),
    Case(W + R + "--engine ray --contact-sheet sheet.png", ("--contact-sheet", "sheet.png", "--engine ray")),
    Case(W + R + "--max-pixels 0", ("--max-pixels", "0", "from 1 to")),
    Case(W + R + "--timeout 0", ("--timeout", "0", "from 0.01")),
    Case(W + R + "--timeout soon", ("--timeout", "soon", "from 0.01")),
    Case(W + R + "--format bmp", ("--format", "bmp", "png")),
    Case(W + R + "--quality 101", ("--quality", "101", "100")),
    Case(W + R + "--quality 0", ("--quality", "0")),
    Case(W + R + "--existing ask", ("--existing", "ask", "skip")),
    Case(W + R + "--rotat 5", ("--rotat",)),
    Case("warp in/a.png --rotate 5", ("--out",)),
    Case("warp --rotate 5 --out out", ("INPUT",)),
    Case("wrap in --rotate 5 --out out", ("wrap",)),
    # files and folders
    Case("warp gone.png --rotate 5 --out out", ("gone.png",)),
    Case("warp in gone --rotate 5 --out out", ("gone",)),
    Case("warp xyz://in --rotate 5 --out out", ("INPUT", "xyz://in", "unknown protocol")),
    Case("warp memory://gone/a --rotate 5 --out out", ("INPUT", "memory://gone/a", "no such file")),
    Case("warp file://host/in --rotate 5 --out out", ("INPUT", "file://host/in", "file:///")),
    Case("warp in --rotate 5 --out xyz://u:secret@out", ("--out", "xyz://u:***@out", "unknown protocol")),
    Case("warp in --rotate 5 --out memory://a/out --shard 1/2", ("--shard", "memory://a/out")),
    Case("warp in --rotate 5 --out memory://a/out --engine ray", ("--out", "memory://a/out", "no worker of Ray")),
    Case("warp in --rotate 5 --out out --contact-sheet memory://a/s.png", ("--contact-sheet", "a path")),
    Case("warp empty --rotate 5 --out out", ("empty",)),
    Case("warp in/a.png --rotate 5 --out in/a.png", ("in/a.png",)),
    Case("warp in/a.png --rotate 5 --out in/a.png --existing overwrite", ("in/a.png",)),
    Case("warp in --rotate 5 --out in", ("in",)),
    Case("warp in --rotate 5 --out in --existing overwrite", ("in",)),
    Case("warp in --rotate 5 --out text.png", ("text.png",)),
    Case("warp in/a.png --rotate 5 --out out/a.qoi", ("--out", "out/a.qoi", ".png")),
    Case("warp in/a.png --rotate 5 --out out/a.xyz", ("--out", "out/a.xyz", ".png")),
    Case("warp one --rotate 5 --out taken", ("taken", "--existing")),
    Case(W + R + "--contact-sheet sheet.txt", ("--contact-sheet", "sheet.txt")),
    Case(W + R + "--contact-sheet in/a.png", ("--contact-sheet", "in/a.png")),
    # stn grid
    Case("grid --rotate 5 --out g.npz", ("--input-size",)),
    Case("grid --rotate 5 --input-size 9x9", ("--out",)),
    Case("grid --rotate 5 --input-size 9x9 --out g.xyz", ("--out", "g.xyz", ".npz")),
    Case("grid --rotate 5 --input-size 9 --out g.npz", ("--input-size", "9", "WxH")),
    Case("grid --rotate 5 --input-size 90000x90000 --out g.npz", ("--input-size", "90000x90000", "100,000,000")),
    Case("grid --rotate 5 --input-size 9x9 --size 90000x90000 --out g.npz", ("--size", "90000x90000", "100,000,000")),
    Case("grid --input-size 9x9 --out g.npz", ("--theta", "exactly one")),
    Case("grid --rotate 5 --input-size 9x9 --out g.npz --maps skimage", ("--maps", "skimage", "opencv")),
    Case("grid --rotate 5 --on gone.png --out g.png", ("--on", "gone.png")),
    Case("grid --rotate 5 --on text.png --out g.png", ("text.png",)),
    Case("grid --rotate 5 --on in/a.png --out taken/a.png", ("taken/a.png", "--existing")),
    # stn theta
    Case("theta describe", ("--theta", "exactly one")),
    Case("theta describe --rotate 5 --size wide", ("--size", "wide", "WxH")),
    Case("theta convert --rotate 5 --to matlab --size 9x9", ("--to", "matlab", "opencv")),
    Case("theta convert --theta '1 0 0' --size 9x9", ("--to",)),
    Case("theta invert --theta '0 0 0 0 0 0'", ("θ", "singular", "0 0 0 0 0 0")),
    Case("theta compose", ("NUMBERS",)),
    Case("theta spin", ("spin",)),
    # stn animate, gradcheck, train-mnist, and nets
    Case("animate spin in/a.png --out x.gif", ("SCENE", "spin", "reverse")),
    Case("animate grid gone.png --out x.gif", ("IMAGE", "gone.png")),
    Case("animate grid text.png --out x.gif", ("IMAGE", "text.png")),
    Case("animate grid in/a.png --out x.xyz", ("--out", "x.xyz", ".gif")),
    Case("animate grid in/a.png --out x.gif --fps 0", ("--fps", "0", "60")),
    Case("animate grid in/a.png --out x.gif --size 5", ("--size", "5", "120")),
    Case("animate grid in/a.png --out x.gif --seconds -1", ("--seconds", "-1", "600")),
    Case("animate grid in/a.png --rotate nan --out x.gif", ("--rotate", "nan")),
    Case("animate grid in/a.png", ("--out", ".gif")),
    Case("gradcheck --family spline", ("--family", "spline", "affine")),
    Case("gradcheck --size 0x4", ("--size", "0x4", "WxH")),
    Case("gradcheck --size 30000x30000", ("--size", "30000x30000", "at most 65,536 pixels")),
    Case(
        "gradcheck --module os:getcwd --input 4096,4,4096,4096 --theta-size 6", ("--input", "at most 1,000,000 numbers")
    ),
    Case("gradcheck --module nothere:f --input 1,1,4,4 --theta-size 6", ("--module", "nothere:f")),
    Case("gradcheck --module os --input 1,1,4,4 --theta-size 6", ("--module", "os", "CALLABLE")),
    Case("gradcheck --module os:getcwd", ("--input",)),
    Case("gradcheck --heatmap x.txt", ("--heatmap", "x.txt", ".png")),
    Case("gradcheck --image gone.png", ("--image", "gone.png")),
    Case("gradcheck --net text.png", ("--net", "text.png", ".safetensors")),
    Case("gradcheck --seed -1", ("--seed", "-1", "from 0 to")),
    Case("gradcheck --tolerance -1", ("--tolerance", "-1", "from 0")),
    Case("gradcheck --tolerance nan", ("--tolerance", "nan", "from 0")),
    Case("gradcheck --device tpu", ("--device", "tpu", "cuda")),
    Case("train-mnist --seeds 0", ("--seeds", "0")),
    Case("train-mnist --model vgg", ("--model", "vgg", "st-cnn")),
    Case("train-mnist --family spline", ("--family", "spline", "affine")),
    Case("train-mnist --epochs 0", ("--epochs", "0")),
    Case("train-mnist --lr nan", ("--lr", "nan")),
    Case("train-mnist --batch-size 0", ("--batch-size", "0")),
    Case(W + "--net text.png", ("--net", "text.png", ".safetensors")),
    Case(W + "--net nosuchnet", ("--net", "nosuchnet", "MODULE:CALLABLE")),
    Case(W + "--net nothere:f --family affine", ("--net", "nothere:f")),
    Case(W + R + "--weights x.safetensors", ("--weights", "x.safetensors", "--net")),
]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_a_wrong_option_is_one_line_and_touches_nothing(case, folder, capfd):
    before = contents(folder)
    code = run(shlex.split(case.arguments))
    out, err = capfd.readouterr()
    assert code == case.code, err
    assert err.count("\n") == 1, err
    assert err.startswith("stn: ")
    assert len(err) < 500
    assert not out
    for part in case.said:
        assert part in err, err
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["text.png", "zero.png", "cut.jpg"])
def test_an_unreadable_picture_is_named_and_the_others_go_on(name, folder, capfd):
    before = contents(folder)
    assert run(["warp", "in", name, "--rotate", "5", "--out", "out"]) == 1
    said = capfd.readouterr().err
    lines = [line for line in said.splitlines() if name in line]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    after = contents(folder)
    assert before.items() <= after.items()
    written = {path for path in after if path.startswith("out/") and path.endswith(".png")}
    assert {path for path in written if "a.png" in path or "b.png" in path}
    assert not [path for path in written if Path(path).name == name]


@pytest.mark.parametrize("name", ["text.png", "zero.png", "cut.jpg"])
def test_one_unreadable_picture_writes_none(name, folder, capfd):
    assert run(["warp", name, "--rotate", "5", "--out", f"out/{name}"]) == 1
    assert name in capfd.readouterr().err
    assert not [path for path in contents(folder) if path.startswith("out/") and path.endswith((".png", ".jpg"))]


@pytest.mark.skipif(sys.platform == "win32" or os.name != "posix", reason="POSIX mode bits")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_named(folder, capfd):
    (folder / "in/sub").chmod(0)
    try:
        assert run(["warp", "in", "--rotate", "5", "--out", "out"]) == 1
        assert "sub" in capfd.readouterr().err
    finally:
        (folder / "in/sub").chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32" or os.name != "posix", reason="POSIX mode bits")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_target_is_named(folder, capfd):
    (folder / "empty").chmod(0o555)
    try:
        assert run(["warp", "in", "--rotate", "5", "--out", "empty/out"]) in (1, 2)
        assert "empty" in capfd.readouterr().err
    finally:
        (folder / "empty").chmod(0o755)


def test_there_are_enough_cases():
    assert len(OPTIONS) >= 40
    assert len({str(case) for case in OPTIONS}) == len(OPTIONS)
