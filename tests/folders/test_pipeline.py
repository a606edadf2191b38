"""A run: the same bytes whatever the threads, failures collected, interruption clean."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.errors import FileError, OptionError
from stn_cli.folders import crew
from stn_cli.folders.atomic import own_name
from stn_cli.folders.codecs import Reading
from stn_cli.folders.manifest import read_manifest
from stn_cli.folders.pipeline import Interrupted, run
from stn_cli.folders.plan import make_plan
from stn_cli.folders.room import Room

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, some in a sub-folder."""
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for i in range(12):
        pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        name = f"{'sub/' if i % 3 == 0 else ''}{i:02}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    return tmp_path


mirror_row = {"family": "affine", "theta": [-1.0, 0, 0, 0, 1, 0]}


def mirror(picture, job):
    frames = [f.with_pixels(np.ascontiguousarray(f.pixels[:, ::-1])) for f in picture.frames]
    return picture.with_frames(frames), mirror_row


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_bytes_do_not_depend_on_the_threads(folder: Path, workers: int) -> None:
    seen = []
    results = run(
        make_plan([folder / "in"], folder / "out"),
        mirror,
        workers=workers,
        on_progress=lambda done, total, job, error: seen.append((done, total, error)),
    )
    assert [job.name for job in results.done] == sorted(n for n in files(folder / "in"))
    assert seen == [(i, 12, None) for i in range(1, 13)]
    alone = run(make_plan([folder / "in"], folder / "alone"), mirror, workers=1)
    assert [job.name for job in alone.done] == [job.name for job in results.done]
    assert files(folder / "alone") == files(folder / "out")
    rows = read_manifest(folder / "out" / "manifest.jsonl")
    assert [row["source"] for row in rows] == [job.name for job in results.done]
    assert rows[0] == {**mirror_row, "source": "01.png", "output": "01.png", "format": "png"}


def test_pixels_arrive(folder: Path) -> None:
    run(make_plan([folder / "in"], folder / "out", format="png"), mirror)
    for path in (folder / "in").rglob("*.png"):
        out = folder / "out" / path.relative_to(folder / "in")
        np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(path))[:, ::-1])


def test_failures_are_collected_and_the_rest_goes_on(folder: Path) -> None:
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    (folder / "in" / "text.jpg").write_text("hello")

    def warp(picture, job):
        if job.name == "01.png":
            raise FileError(job.source, "cannot be warped")
        if job.name == "02.jpg":
            raise OptionError("--fill", "1 2", "3 channels")
        if job.name == "05.png":
            raise MemoryError
        return mirror(picture, job)

    results = run(make_plan([folder / "in"], folder / "out"), warp)
    assert len(results.done) == 9
    assert [Path(error.path).name for error in results.failed] == [
        "01.png",
        "02.jpg",
        "05.png",
        "broken.png",
        "text.jpg",
    ]
    assert all("\n" not in str(error) for error in results.failed)
    assert sorted(files(folder / "out")) == sorted([*(job.output for job in results.done), "manifest.jsonl"])


def test_a_failing_file_makes_no_folder(folder: Path) -> None:
    (folder / "bad" / "deep").mkdir(parents=True)
    (folder / "bad" / "deep" / "a.png").write_bytes(b"no")
    results = run(make_plan([folder / "bad"], folder / "out"), mirror)
    assert len(results.failed) == 1
    assert not (folder / "out").exists()


def test_a_bug_brings_the_run_down_with_its_reason(folder: Path) -> None:
    def warp(picture, job):
        if job.name == "04.jpg":
            raise ZeroDivisionError("a bug")
        return mirror(picture, job)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(make_plan([folder / "in"], folder / "out"), warp, workers=2)
    left = files(folder / "out")
    assert not [name for name in left if ".stn-" in name]
    assert {row["output"] for row in read_manifest(folder / "out" / "manifest.jsonl")} == set(left) - {"manifest.jsonl"}
    assert not [t for t in threading.enumerate() if t.name.startswith("stn-") and t.is_alive()]


def test_skip_goes_on_where_a_run_stopped(folder: Path) -> None:
    whole = run(make_plan([folder / "in"], folder / "whole"), mirror)
    run(replace(plan := make_plan([folder / "in"], folder / "out"), jobs=plan.jobs[:5]), mirror)
    results = run(make_plan([folder / "in"], folder / "out", existing="skip"), mirror)
    assert (len(results.skipped), len(results.done), len(whole.done)) == (5, 7, 12)
    assert files(folder / "out") == files(folder / "whole")


def test_a_file_that_appears_meanwhile_is_left_alone(folder: Path) -> None:
    def warp(picture, job):
        job.target.parent.mkdir(parents=True, exist_ok=True)
        if job.name == "01.png":
            job.target.write_bytes(b"theirs")
        return mirror(picture, job)

    results = run(make_plan([folder / "in"], folder / "out"), warp)
    assert [error.reason for error in results.failed] == ["appeared while stn ran; it was left alone"]
    assert (folder / "out" / "01.png").read_bytes() == b"theirs"
    assert "01.png" not in {row["source"] for row in read_manifest(folder / "out" / "manifest.jsonl")}


def test_a_full_disk_stops_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = crew.encode

    def encode(picture, file, target, **options):
        if picture.frames[0].size[0] == 24:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(picture, file, target, **options)

    def slowly(picture, job):
        time.sleep(0.02)
        return mirror(picture, job)

    monkeypatch.setattr(crew, "encode", encode)
    results = run(make_plan([folder / "in"], folder / "out"), slowly, workers=1)
    assert results.stopped is not None
    assert "no space left" in results.stopped.reason
    assert 0 < len(results.done) <= 11  # small pictures may all be through before the error is seen
    assert not [name for name in files(folder / "out") if ".stn-" in name]


def test_leftovers_are_cleaned(folder: Path) -> None:
    (folder / "out" / "sub").mkdir(parents=True)
    stale = folder / "out" / "sub" / own_name("tmp").replace(f"-{os.getpid()}-", "-2147483646-")
    for path in (stale, folder / "out" / own_name("tmp")):
        path.write_bytes(b"")
    stale = stale.rename(stale.with_name(stale.name.replace(stale.name.split("-")[3], "00000000")))
    run(make_plan([folder / "in"], folder / "out"), mirror)
    assert not stale.exists()


INTERRUPTED = """
    import os, sys, time
    from pathlib import Path
    from stn_cli.folders.pipeline import Interrupted, run
    from stn_cli.folders.plan import make_plan

    def warp(picture, job):
        os.write(1, b"working\\n")
        time.sleep(float(sys.argv[3]))
        return picture, {}

    try:
        run(make_plan([Path(sys.argv[1])], Path(sys.argv[2])), warp, workers=2)
    except Interrupted as error:
        print("done", len(error.results.done), flush=True)
        sys.exit(error.exit_code)
"""


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.1, 60])
def test_interruption_is_quick_and_clean(folder: Path, number: signal.Signals, seconds: float) -> None:
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(INTERRUPTED),
        str(folder / "in"),
        str(folder / "out"),
        str(seconds),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(6 if seconds < 1 else 2):
            assert child.stdout.readline() == "working\n"
        started = time.monotonic()
        child.send_signal(number)
        output, _ = child.communicate(timeout=20)
        assert time.monotonic() - started < 2
    assert child.returncode == 130
    done = int(output.split("done ")[1])
    left = [name for name in files(folder / "out") if name != "manifest.jsonl"] if (folder / "out").exists() else []
    assert not [name for name in left if ".stn-" in name]
    assert done == len(left)
    assert (done > 0) == (seconds < 1)
    if done:
        assert {row["output"] for row in read_manifest(folder / "out" / "manifest.jsonl")} == set(left)


def test_an_interrupt_of_the_caller_becomes_interrupted(folder: Path) -> None:
    def on_progress(done, total, job, error):
        if done == 3:
            raise KeyboardInterrupt

    def slowly(picture, job):
        time.sleep(0.02)
        return mirror(picture, job)

    with pytest.raises(Interrupted) as caught:
        run(make_plan([folder / "in"], folder / "out"), slowly, workers=2, on_progress=on_progress)
    assert 3 <= len(caught.value.results.done) < 12
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_pictures_wait_for_room() -> None:
    stopping = threading.Event()
    room = Room(stopping, capacity=100)
    order = []
    entered = threading.Event()

    def second() -> None:
        with room.share() as share:
            entered.set()
            share.admit(60)
            order.append("second")

    with room.share() as share:
        share.admit(1000)  # alone: let in, however large
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
        time.sleep(0.05)
        order.append("first")
    thread.join(timeout=5)
    assert order == ["first", "second"]


def test_the_limit_on_pixels_is_obeyed(folder: Path) -> None:
    results = run(make_plan([folder / "in"], folder / "out"), mirror, reading=lambda job: Reading(max_pixels=20 * 30))
    assert len(results.done) == 1
    assert all("--max-pixels 600" in error.reason for error in results.failed)
