"""A picture that hangs is named and left behind; the run goes on and ends."""

import json
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.cli import main
from stn_cli.folders import crew
from stn_cli.folders.manifest import read_manifest
from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan
from stn_cli.folders.room import Room


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(np.full((8, 9, 3), 40 * i, np.uint8)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path


def same(picture, job):
    return picture, {"family": "affine", "theta": [1.0, 0, 0, 0, 1, 0]}


@pytest.mark.parametrize("where", ["read", "encode"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_late_are_named_and_never_appear(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, workers: int
) -> None:
    """Three of six hang, more than there are workers; they wake up while the run still goes on, and publish nothing."""
    original, wake, woke = getattr(crew, where), threading.Event(), threading.Semaphore(0)
    count, errors = iter(range(6)), []

    def hangs(*args, **options):
        if next(count) % 2 == 0:
            wake.wait(30)
            woke.release()
        return original(*args, **options)

    def on_progress(finished, total, job, error):
        errors.append(error)
        if error is not None and sum(each is not None for each in errors) == 3:
            wake.set()
            assert all(woke.acquire(timeout=5) for _ in range(3))
            time.sleep(0.1)

    monkeypatch.setattr(crew, where, hangs)
    started = time.monotonic()
    plan = make_plan([folder / "in"], folder / "out")
    results = run(plan, same, workers=workers, timeout=0.3, on_progress=on_progress)
    assert time.monotonic() - started < 8
    time.sleep(0.2)
    assert len(results.done) == len(results.failed) == 3
    assert {error.reason for error in results.failed} == {"took longer than 0.3 s (--timeout)"}
    there = {path.name for path in (folder / "out").iterdir()}
    assert there == {job.output for job in results.done} | {"manifest.jsonl"}
    assert {row["output"] for row in read_manifest(folder / "out" / "manifest.jsonl")} == there - {"manifest.jsonl"}


def test_one_that_hangs_gives_its_memory_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the others would wait for room until the end of time."""
    monkeypatch.setattr(crew, "Room", lambda stopping, room: Room(stopping, 10))
    wake = threading.Event()

    def hangs(picture, job):
        if job.name == "0.png":
            wake.wait(30)
        return same(picture, job)

    results = run(make_plan([folder / "in"], folder / "out"), hangs, workers=2, timeout=0.3)
    wake.set()
    assert [error.path.name for error in results.failed] == ["0.png"]
    assert len(results.done) == 5


def test_waiting_for_memory_is_not_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "Room", lambda stopping, room: Room(stopping, 10))

    def slow(picture, job):
        time.sleep(0.25)
        return same(picture, job)

    results = run(make_plan([folder / "in"], folder / "out"), slow, workers=6, timeout=0.8)
    assert len(results.done) == 6


HANGS = """
    import sys, time
    from stn_cli.cli import main
    from stn_cli.folders import crew
    read = crew.read
    def hangs(path, reading):
        if path.name == "3.png":
            time.sleep(600)
        return read(path, reading)
    crew.read = hangs
    sys.argv = ["stn", "warp", sys.argv[1], "--out", sys.argv[2], "--flip", "h", "--timeout", "2", "--jobs", "1"]
    main()
"""


def warmed(folder: Path) -> None:
    """The pictures warped once: compiling is not what is timed afterwards."""
    command = [
        sys.executable,
        "-m",
        "stn_cli",
        "warp",
        str(folder / "in"),
        "--out",
        str(folder / "warm"),
        "--flip",
        "h",
    ]
    subprocess.run(command, check=True, capture_output=True)


def test_the_process_ends(folder: Path) -> None:
    """From outside: exit code 1, the line, everything else warped, and nobody waits for the thread that hangs."""
    warmed(folder)
    command = [sys.executable, "-c", textwrap.dedent(HANGS), str(folder / "in"), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "3.png: took longer than 2 s (--timeout)" in done.stderr
    assert "Traceback" not in done.stderr
    assert "5 warped, 0 skipped, 1 failed" in done.stdout
    assert len(list((folder / "out").iterdir())) == 6


IN_A_BATCH = """
    import sys, time
    from stn_cli.cli import main
    from stn_cli.engines.cpu import CpuEngine
    warp_all = CpuEngine.warp_all
    def hangs(self, works):
        if any(work.image[0, 0, 0] == 120 for work in works):
            time.sleep(600)
        return warp_all(self, works)
    CpuEngine.warp_all = hangs
    sys.argv[:3] = ["stn", "warp", sys.argv[1], "--out", sys.argv[2], "--flip", "h", "--timeout", "4", "--batch-size", "4"]
    main()
"""


def test_one_that_hangs_in_a_batch_is_not_the_end_of_its_batch(folder: Path) -> None:
    """3.png hangs whenever it is warped; with it goes at most the thread that had taken the batch."""
    warmed(folder)
    command = [sys.executable, "-c", textwrap.dedent(IN_A_BATCH), str(folder / "in"), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "3.png: took longer than 4 s (--timeout)" in done.stderr
    assert done.stderr.count("took longer") <= 2
    assert "Traceback" not in done.stderr
    made = {path.name for path in (folder / "out").iterdir()} - {"manifest.jsonl"}
    assert len(made) >= 4
    assert all((folder / "out" / name).read_bytes() == (folder / "warm" / name).read_bytes() for name in made)


@pytest.mark.parametrize("rows", ['{"out_size": [30000, 30000]}', '{"pages": [{"out_size": [30000, 30000]}]}'])
def test_a_size_from_a_manifest_is_bounded_before_anything_is_allocated(folder: Path, rows: str, capsys) -> None:
    theta = {"family": "affine", "theta": [1.0, 0, 0, 0, 1, 0]}
    row = json.loads(rows)
    row = {"source": "0.png", **({"pages": [{**theta, **row["pages"][0]}]} if "pages" in row else {**theta, **row})}
    (folder / "theta.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(SystemExit) as ended:
        main(
            f"warp {folder / 'in' / '0.png'} --theta-file {folder / 'theta.jsonl'} --out {folder / 'out'}"
            " --max-pixels 100000000".split()
        )
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "--theta-file: 30000x30000: at most --max-pixels 100,000,000" in said, said
    assert said.count("\n") == 1
    assert not (folder / "out" / "0.png").exists()


def test_a_relative_size_counts_every_frame(folder: Path, capsys) -> None:
    frames = [Image.new("L", (20, 20), i) for i in (0, 100, 200)]
    frames[0].save(folder / "in" / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(SystemExit) as ended:
        main(f"warp {folder / 'in'} --flip h --size 200% --max-pixels 4000 --out {folder / 'out'}".split())
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "film.gif: --size: 40x40 × 3 frames: at most --max-pixels 4,000" in said, said
    assert len(list((folder / "out").glob("*.png"))) == 6
