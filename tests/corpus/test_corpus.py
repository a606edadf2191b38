"""`stn warp` on folders of hostile files: every one is warped or named in one line, and nothing else happens."""

import json
import os
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import tifffile
from PIL import Image

from stn_cli.folders.manifest import read_manifest
from tests.corpus.generator import corpus

ROOT = Path(__file__).parents[2]
MAX_PIXELS = 2_000_000
MOST_MIB = 1000
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def warp(source: Path, out: Path, *options: str, timeout: float = 120) -> tuple[int, dict, list[str], float]:
    """(exit code, summary, lines on stderr, peak memory in MiB) of `stn warp` on a folder."""
    command = [sys.executable, "-m", "stn_cli", "warp", str(source), "--out", str(out), "--rotate", "3", "--json"]
    command += ["--max-pixels", str(MAX_PIXELS), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    errors = out.with_name(out.name + ".stderr")
    with errors.open("wb") as stderr:
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, env=environment)
        assert child.stdout is not None
        hung = threading.Timer(timeout, child.kill)
        hung.start()
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stdout.close()
        hung.cancel()
    lines = errors.read_text("utf-8", errors="replace").splitlines()
    errors.unlink()
    assert child.returncode in (0, 1), lines[-40:]
    assert output, lines[-40:]
    return child.returncode, json.loads(output), lines, usage.ru_maxrss / 1024


def check(source: Path, out: Path, sources: int, **kept: object) -> dict:
    code, summary, lines, memory = warp(source, out, **kept)
    failed = summary["failed"]
    assert code == (1 if failed else 0)
    assert summary["warped"] + len(failed) == sources
    ours = ("stn: ", "compiling ")  # the second, when the kernels are used for the first time on a machine
    assert not [line for line in lines if not line.startswith(ours)], lines
    errors = [line for line in lines if line.startswith("stn: ") and not line.startswith("stn: note: ")]
    assert len(errors) == len(failed), lines
    print(
        f"{sources} files: {summary['warped']} warped, {len(failed)} named; peak {memory:.0f} MiB, {summary['seconds']} s"
    )
    assert memory < MOST_MIB
    rows = read_manifest(out / "manifest.jsonl")
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert written == sorted([*(str(row["output"]) for row in rows), "manifest.jsonl"])
    for row in rows:
        whole(out / str(row["output"]))
    return summary


def whole(path: Path) -> None:
    """Another library reads what was written, to the last pixel."""
    if path.read_bytes()[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        with tifffile.TiffFile(path) as file:
            for page in file.pages:
                page.asarray()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of EXIF that is as broken as it came
        with Image.open(path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()


def lay_out(folder: Path, count: int, seed: int = 0) -> int:
    folder.mkdir()
    for name, data in corpus(count, seed):
        (folder / name).write_bytes(data)
    return count


def test_a_small_corpus(tmp_path: Path) -> None:
    count = lay_out(tmp_path / "in", 260)
    summary = check(tmp_path / "in", tmp_path / "out", count)
    assert summary["warped"] >= 30  # the sound ones that stn writes
    named = {Path(error["path"]).name for error in summary["failed"]}
    for must in ("empty.png", "text.jpg", "bomb.tif", "size0.png", "size1.tif", "large-frames.gif", "deep.ppm"):
        assert any(name.endswith(must) for name in named), must


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_large_corpus(tmp_path: Path, seed: int) -> None:
    count = lay_out(tmp_path / "in", 1000, seed)
    check(tmp_path / "in", tmp_path / "out", count, timeout=400)


@POSIX
def test_what_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    lay_out(folder, 1)
    os.mkfifo(folder / "fifo.png")
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(folder)
        bound.bind("socket.png")
        os.chdir(ROOT)
        (folder / "zero.png").symlink_to("/dev/zero")
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "gone.png").symlink_to("nowhere.png")
        (folder / "folder.png").mkdir()
        if os.geteuid() != 0:
            (folder / "locked.png").write_bytes(b"x")
            (folder / "locked.png").chmod(0)
        summary = check(folder, tmp_path / "out", 6 + (os.geteuid() != 0))
    assert summary["warped"] == 1


@POSIX
def test_names(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    [(_, sound)] = corpus(1)
    strange = [
        "-rf.jpg",
        "new\nline.jpg",
        "🌀.jpg",
        "x" * 251 + ".jpg",
        " .jpg",
        "%s{0}[b].jpg",
        "\x1b[31m.jpg",
        "a\u202eb.jpg",
    ]
    for name in strange:
        (folder / name).write_bytes(sound)
    (folder / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(sound)
    (folder / "broken\n\x1b[2J.png").write_bytes(b"no")
    summary = check(folder, tmp_path / "out", len(strange) + 2)
    assert summary["warped"] == len(strange) + 1
    replayed = tmp_path / "replayed"
    (folder / "broken\n\x1b[2J.png").unlink()
    command = [sys.executable, "-m", "stn_cli", "warp", str(folder), "--out", str(replayed)]
    subprocess.run(
        [*command, "--theta-file", str(tmp_path / "out" / "manifest.jsonl")], cwd=ROOT, check=True, capture_output=True
    )
    for path in replayed.iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
