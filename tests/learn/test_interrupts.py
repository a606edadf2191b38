"""Ctrl-C and SIGTERM, from outside, while a command is at work: one line, exit code 130, nothing torn, nothing left lying."""

import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.learn.serving import made_up, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM}
# Mirrors are in the source, not in an option: this is `stn` with another one.
SERVED = """
import sys
from stn_cli import __main__
from stn_cli.learn import data
data.SOURCES["mnist"] = data.Source((sys.argv.pop(1),), data.SOURCES["mnist"].sha256)
__main__.run()
"""


def start(*command: object, **options) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


def when(ready: Callable[[], bool], child: "subprocess.Popen[str]") -> None:
    for _ in range(6000):
        if ready():
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    raise AssertionError("it never began")


def interrupt(child: "subprocess.Popen[str]", number: int) -> str:
    """The one line that it says."""
    child.send_signal(number)
    output, errors = child.communicate(timeout=30)
    assert child.returncode == 130, (output, errors)
    assert "Traceback" not in output + errors
    line = errors.splitlines()[-1]
    assert line.startswith("stn: interrupted"), errors
    return line


def temporary(folder: Path) -> Callable[[], bool]:
    return lambda: any(folder.glob(".stn-*.tmp"))


WRITING = {
    "grid": ["grid", "--theta", "1 0 0 0 1 0", "--size", "3000x3000", "--out", "out/grid.csv"],
    "film": ["animate", "reverse", "--seconds", "60", "--out", "out/film.mp4"],
    "pictures": ["animate", "reverse", "--seconds", "60", "--out", "out/film"],
}


@pytest.mark.parametrize("name", WRITING)
def test_a_command_that_writes_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / "film").mkdir(parents=True)
    child = start("-m", "stn_cli", *WRITING[name], cwd=tmp_path)
    place = tmp_path / "out" / ("film" if name == "pictures" else "")
    when(temporary(place), child)
    assert interrupt(child, SIGNALS["Ctrl-C" if name == "grid" else "SIGTERM"]) == "stn: interrupted"
    left = [path for path in place.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".stn-")]
    if name == "pictures":  # each whole
        assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in left)
    else:
        assert not left


def test_a_check_of_gradients(tmp_path: Path) -> None:
    child = start("-m", "stn_cli", "gradcheck", "--json", tmp_path / "out.json")
    time.sleep(2)
    interrupt(child, signal.SIGTERM)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Ctrl-C", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_training_is_taken_up_again(idx_folder: Path, tmp_path: Path, name: str) -> None:
    """`--resume`, as the line says, ends with the bytes of a run that nobody interrupted."""
    command = ["-m", "stn_cli", "train-mnist", "--data", "mnist", "--data-dir", idx_folder, "--distortion", "R"]
    command += ["--no-compare", "--epochs", 2, "--batch-size", 200, "--out"]
    out, run = tmp_path / "out", "R-st-cnn-affine-seed1"
    child = start(*command, out)
    when((out / run / "state.safetensors").exists, child)
    line = interrupt(child, SIGNALS[name])
    assert f"0 of 1 runs done: --resume --out {out}" in line
    assert not list(out.rglob(".stn-*"))
    again, whole = start(*command, out, "--resume"), start(*command, tmp_path / "whole")
    assert [child.communicate(timeout=120)[1] for child in (again, whole)] == ["", ""]
    for file in ("model.safetensors", "state.safetensors", "watched.png"):
        assert (out / run / file).read_bytes() == (tmp_path / "whole" / run / file).read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}


def test_a_download_stays_to_be_continued(tmp_path: Path) -> None:
    contents = made_up(2000, 10)
    with serving(contents) as server:
        server["pause"] = 0.05
        (tmp_path / "mnist").mkdir()
        command = ["train-mnist", "--data", "mnist", "--data-dir", tmp_path / "mnist", "--out", tmp_path / "out"]
        child = start("-c", SERVED, server["url"], *command)
        part = tmp_path / "mnist" / "train-images-idx3-ubyte.gz.part"
        when(lambda: part.exists() and part.stat().st_size > 0, child)
        line = interrupt(child, signal.SIGINT)
    assert "train-images-idx3-ubyte.gz is kept, and the next run goes on" in line
    served = server["files"]["train-images-idx3-ubyte.gz"]
    assert served.startswith(part.read_bytes())
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == [part.name]
    assert not (tmp_path / "out").exists()


def test_a_name_that_cannot_be_looked_up_does_not_hold_it(tmp_path: Path) -> None:
    hangs = SERVED.replace(
        "__main__.run()", "import socket, time\nsocket.getaddrinfo = lambda *_: time.sleep(60)\n__main__.run()"
    )
    child = start("-c", hangs, "http://somewhere.invalid/", "train-mnist", "--data", "mnist", "--data-dir", tmp_path)
    time.sleep(5)
    begun = time.monotonic()
    interrupt(child, signal.SIGINT)
    assert time.monotonic() - begun < 10


def test_a_terminal_gets_its_cursor_back(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    command = ["animate", "reverse", "--seconds", "60", "--out", tmp_path / "film.gif"]
    child = subprocess.Popen(
        [sys.executable, "-m", "stn_cli", *map(str, command)], stdout=theirs, stderr=theirs, stdin=theirs
    )
    os.close(theirs)
    when(lambda: any(tmp_path.iterdir()), child)  # type: ignore[arg-type]
    seen = os.read(mine, 1 << 16)
    child.send_signal(signal.SIGINT)
    try:
        while piece := os.read(mine, 1 << 16):
            seen += piece
    except OSError:  # Linux says so when the other side has gone
        pass
    os.close(mine)
    assert child.wait(30) == 130
    assert seen.rstrip().endswith(b"stn: interrupted")
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_any_moment(idx_folder: Path, tmp_path: Path) -> None:
    """60 moments from the first import on; before that the signals are Python's own affair."""
    commands = [
        ["gradcheck", "--family", "affine"],
        ["grid", "--theta", "1 0 0 0 1 0", "--size", "600x600", "--out", tmp_path / "grid.csv"],
        ["animate", "reverse", "--out", tmp_path / "film.gif"],
        ["train-mnist", "--data", "mnist", "--data-dir", idx_folder, "--epochs", "4", "--out", tmp_path / "runs", "--resume"],
        ["theta", "describe", "--rotate", "30", "--size", "640x480"],
    ]  # fmt: skip
    rng, said = random.Random(2), 0
    for number in range(60):
        begun = "import sys; sys.stdout.write('begun\\n'); sys.stdout.flush(); "
        child = start("-c", begun + "from stn_cli import __main__; __main__.run()", *commands[number % len(commands)])
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(0.1 + rng.uniform(0, 4))
        child.send_signal(signal.SIGINT if number % 2 else signal.SIGTERM)
        output, errors = child.communicate(timeout=30)
        if child.returncode != 0:  # else it had just ended
            assert child.returncode == 130, (output, errors)
            assert errors.splitlines()[-1].startswith("stn: interrupted")
            said += 1
        assert "Traceback" not in errors
        assert not list(tmp_path.glob("*.stn-*"))
        for path in tmp_path.glob("*.*"):
            path.unlink()
    print(f"{said} commands interrupted, each in one line")
    assert said > 20
