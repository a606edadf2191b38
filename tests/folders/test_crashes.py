"""What a run leaves when it is killed, when the disk is full, and when another run writes beside it."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.folders.atomic import left_behind
from stn_cli.folders.manifest import read_manifest

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("crash_child.py")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")


def pictures(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    (folder / "in" / "sub").mkdir(parents=True)
    for i in range(count):
        name = f"{'sub/' if i % 5 == 0 else ''}{i:04}.{('png', 'jpg', 'tif', 'webp')[i % 4]}"
        Image.fromarray(rng.integers(0, 256, (24 + i % 40, 40, 3), dtype=np.uint8)).save(folder / "in" / name)
    return folder / "in"


def start(source: Path, out: Path, existing: str, *more: str, **options: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(CHILD), str(source), str(out), existing, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def finish(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = child.communicate(timeout=120)
    return child.returncode, output, errors


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def kill_until_done(source: Path, out: Path, whole: dict[str, bytes], rng: random.Random, most: int) -> int:
    """Kill runs at random moments until `most` are dead or one came through; returns how many were killed."""
    killed = 0
    while killed < most:
        child = start(source, out, "skip", "6")
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            break  # nothing left to do is not an error here: the plan has only skipped files
        time.sleep(rng.uniform(0, 0.12))
        child.kill()
        _, rest, _ = finish(child)
        if rest:
            break
        killed += 1
        for name, data in files(out).items() if out.exists() else ():
            if ".stn-" not in name and name != "manifest.jsonl":
                assert data == whole[name], f"{name} is torn"
    return killed


@POSIX
@pytest.mark.parametrize(("count", "kills", "rounds"), [(40, 4, 1), pytest.param(100, 10, 14, marks=pytest.mark.slow)])
def test_killed_runs_lose_nothing(tmp_path: Path, count: int, kills: int, rounds: int) -> None:
    source = pictures(tmp_path, count)
    assert finish(start(source, tmp_path / "whole", "fail"))[0] == 0
    whole = files(tmp_path / "whole")
    assert len(whole) == count + 1
    total = 0
    for number in range(rounds):
        out = tmp_path / f"out{number}"
        total += kill_until_done(source, out, whole, random.Random(number), kills)
        code, _, errors = finish(start(source, out, "skip"))
        assert (code, errors) == (0, "")
        assert files(out) == whole  # the manifest as well, and no temporary file
    print(f"{total} runs killed, {rounds} finished, nothing torn")
    assert total >= rounds


@POSIX
def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    source = pictures(tmp_path, 30)
    assert finish(start(source, tmp_path / "whole", "fail"))[0] == 0
    pair = [start(source, tmp_path / "out", "skip", "5") for _ in range(2)]
    outcomes = [finish(child) for child in pair]
    assert [(code, errors) for code, _, errors in outcomes] == [(0, ""), (0, "")]
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    done = [int(output.split()[1]) for _, output, _ in outcomes]
    assert sum(done) == 30


@POSIX
def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    """EFBIG in the middle of a write, as a full quota gives it."""
    import resource

    source = pictures(tmp_path, 40)
    noise = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(
        source / "large.jpg", quality=95
    )  # a writer of one piece: the system takes a part of it
    limit = 5000
    child = start(
        source, tmp_path / "out", "fail", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    code, _, errors = finish(child)
    assert code == 1
    lines = errors.splitlines()
    assert lines
    assert all("cannot be written (file too large)" in line for line in lines)
    assert any("large.jpg" in line for line in lines)
    written = files(tmp_path / "out")
    assert not [name for name in written if ".stn-" in name]
    assert finish(start(source, tmp_path / "out", "skip"))[0] == 0
    assert finish(start(source, tmp_path / "whole", "fail"))[0] == 0
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 100 kB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", disk]
    mounted = mounted and subprocess.run(mount, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("cannot mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    source = pictures(tmp_path, 60)
    assert finish(start(source, tmp_path / "whole", "fail"))[0] == 0
    whole = files(tmp_path / "whole")
    code, output, errors = finish(start(source, small_disk / "out", "fail"))
    assert code == 1
    assert "stopped" in output
    assert "no space left on device" in errors.splitlines()[0]
    written = files(small_disk / "out")
    assert 0 < len(written) < 60
    for name, data in written.items():
        assert ".journal" in name or name == "manifest.jsonl" or data == whole[name]
    assert not left_behind(small_disk / "out", "tmp")
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    assert finish(start(source, small_disk / "out", "skip"))[0] == 0
    assert files(small_disk / "out") == whole


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    source = pictures(tmp_path, 2)
    (tmp_path / "out").mkdir(mode=0o555)
    code, _, errors = finish(start(source, tmp_path / "out", "fail"))
    assert code == 1
    assert errors.count("permission denied") == 2


@POSIX
def test_bytes_do_not_depend_on_the_surroundings(tmp_path: Path) -> None:
    source = pictures(tmp_path, 8)
    assert finish(start(source, tmp_path / "here", "fail", env={"LC_ALL": "C", "TZ": "UTC"}))[0] == 0
    there = {"cwd": tmp_path, "umask": 0o077, "env": {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"}}
    assert finish(start(Path("in"), Path("there"), "fail", **there))[0] == 0
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert (tmp_path / "there" / "manifest.jsonl").stat().st_mode & 0o777 == 0o600


LONG = """
import os, sys
from pathlib import Path
from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

seen = []
def on_progress(done, total, job, error):
    if done % (total // 10) == 0:
        seen.append((resident(), len(os.listdir("/proc/self/fd"))))

def warp(picture, job):
    return picture, {"theta": [1.0] * 6}

run(make_plan([Path(sys.argv[1])], Path(sys.argv[2])), warp, workers=2, on_progress=on_progress)
print(seen)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_long_run_takes_no_more_memory_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / f"a.{suffix}")
    for number in range(20_000):
        suffix = ("png", "jpg")[number % 2]
        (tmp_path / "in" / f"{number:05}.{suffix}").hardlink_to(tmp_path / f"a.{suffix}")
    command = [sys.executable, "-c", LONG, str(tmp_path / "in"), str(tmp_path / "out")]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seen = eval(output)
    memory, descriptors = zip(*seen, strict=True)
    print(f"memory in pages at each tenth: {memory}; descriptors: {descriptors}")
    assert memory[9] <= 1.05 * memory[1]
    assert max(descriptors) <= min(descriptors) + 4
    assert len(read_manifest(tmp_path / "out" / "manifest.jsonl")) == 20_000
