"""Worker processes: the files, the manifest and the results of threads, and whatever becomes of a process costs one picture."""

import errno
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.folders import crew, pipeline, processes
from stn_cli.folders.atomic import alive
from stn_cli.folders.crew import Order
from stn_cli.folders.manifest import read_manifest
from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan
from tests.folders.elsewhere import Mirrors, mirror

COUNT = 80
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    (folder / "sub").mkdir()
    for i in range(COUNT):
        name = f"{'sub/' if i % 7 == 0 else ''}{i:02}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(rng.integers(0, 256, (20 + i % 9, 30, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MANY", 1)


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def slowly(picture, job):
    """So that processes have begun before the pictures are at an end."""
    time.sleep(0.05)
    return mirror(picture, job)


def go(pictures: Path, tmp_path: Path, odd: str = "", **options):
    """(results, lines said, the picture to which something odd happened)."""
    said: list[str] = []
    make = Mirrors(odd, tmp_path / "once", os.getpid(), 0.02)
    plan = make_plan([pictures], tmp_path / "out")
    results = run(plan, slowly, workers=3, elsewhere=make, say=said.append, **options)
    return results, said, make.once.read_text().split()[0] if make.once.exists() else ""


def accounted_for(out: Path, by_threads: dict[str, bytes]) -> dict[str, bytes]:
    """What is there: each file whole, with its row, and nothing else."""
    found = files(out)
    rows = {row["output"] for row in read_manifest(out / "manifest.jsonl")}
    assert rows == set(found) - {"manifest.jsonl"}
    assert all(found[name] == by_threads[name] for name in rows)
    return found


@pytest.fixture(scope="module")
def by_threads(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("threads") / "out"
    run(make_plan([pictures], out), mirror, workers=2)
    return files(out)


def test_files_manifest_and_results_are_those_of_threads(pictures, tmp_path, by_threads):
    seen = []
    results, said, _ = go(
        pictures, tmp_path, on_progress=lambda done, total, job, error: seen.append((done, total, error))
    )
    assert len(said) == len(set(said)) == 2  # two processes, neither of them this one
    assert f"process {os.getpid()}" not in said
    assert files(tmp_path / "out") == by_threads
    assert [job.name for job in results.done] == sorted(name for name in by_threads if name != "manifest.jsonl")
    assert seen == [(i, COUNT, None) for i in range(1, COUNT + 1)]
    assert not any(alive(int(line.split()[1])) for line in said)


def test_a_failure_in_a_process_is_that_of_its_picture(pictures, tmp_path, by_threads):
    results, _, name = go(pictures, tmp_path, "fails")
    assert [str(error) for error in results.failed] == [f"{pictures / name}: is not wanted"]
    assert set(accounted_for(tmp_path / "out", by_threads)) == set(by_threads) - {name}


@pytest.mark.parametrize(
    ("odd", "error", "words"),
    [("bug", ZeroDivisionError, "a bug"), ("unpicklable", RuntimeError, "Local: of a foreign decoder")],
)
def test_a_bug_in_a_process_ends_the_run_with_its_reason(pictures, tmp_path, by_threads, odd, error, words):
    with pytest.raises(error, match=words):
        go(pictures, tmp_path, odd)
    accounted_for(tmp_path / "out", by_threads)


@POSIX
def test_a_process_that_dies_once_costs_nothing(pictures, tmp_path, by_threads):
    results, said, name = go(pictures, tmp_path, "dies once")
    assert name
    assert (results.failed, len(results.done)) == ([], COUNT)
    assert len(set(said)) == 3  # another took its place
    assert files(tmp_path / "out") == by_threads


@POSIX
def test_a_picture_that_processes_die_of_fails(pictures, tmp_path, by_threads):
    results, _, name = go(pictures, tmp_path, "dies")
    assert [str(e) for e in results.failed] == [f"{pictures / name}: the process that warped it ended (SIGKILL)"]
    assert set(accounted_for(tmp_path / "out", by_threads)) == set(by_threads) - {name}


def test_a_run_does_not_wait_for_processes_that_have_not_begun(pictures, tmp_path, by_threads, monkeypatch):
    monkeypatch.setattr(crew, "_PATIENCE", 20.0)
    results, said, _ = go(pictures, tmp_path, "slow to begin")
    assert said == []
    assert results.seconds < 15
    assert files(tmp_path / "out") == by_threads


@pytest.fixture
def few_can_start(monkeypatch):
    """Only so many processes can be started; then the system has no room for more."""

    def limit(count):
        real, left = subprocess.Popen, iter(range(count))

        def start(*args, **options):
            if next(left, None) is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return real(*args, **options)

        monkeypatch.setattr(processes.subprocess, "Popen", start)

    return limit


def test_where_no_process_can_be_started_threads_go_on(pictures, tmp_path, by_threads, few_can_start):
    few_can_start(0)
    _, said, _ = go(pictures, tmp_path)
    assert set(said) == {"another process could not be started (resource temporarily unavailable); threads go on"}
    assert files(tmp_path / "out") == by_threads


@POSIX
def test_a_process_that_cannot_be_replaced_costs_its_batch_and_a_thread_takes_its_place(
    pictures, tmp_path, by_threads, few_can_start
):
    few_can_start(2)
    results, said, name = go(pictures, tmp_path, "dies once")
    assert f"{pictures / name}: the process that warped it ended (SIGKILL)" in map(str, results.failed)
    assert any("could not be started" in line for line in said)
    failed = {Path(error.path).relative_to(pictures).as_posix() for error in results.failed}
    assert set(accounted_for(tmp_path / "out", by_threads)) == set(by_threads) - failed


@pytest.mark.parametrize("odd", ["hangs", "hangs writing"])
def test_an_interrupt_ends_a_process_that_hangs(pictures, tmp_path, by_threads, odd, monkeypatch):
    monkeypatch.setattr(crew, "_PATIENCE", 0.3)

    def interrupt(done, total, job, error):
        if (tmp_path / "once").exists():
            raise KeyboardInterrupt

    with pytest.raises(pipeline.Interrupted) as stopped:
        go(pictures, tmp_path, odd, on_progress=interrupt)
    found = accounted_for(tmp_path / "out", by_threads)
    assert {job.output for job in stopped.value.results.done} == set(found) - {"manifest.jsonl"}


def test_what_goes_wrong_with_a_report_ends_the_run(pictures, tmp_path, by_threads):
    def broken(line):
        raise BrokenPipeError("nobody listens")

    make = Mirrors(pause=0.02)
    with pytest.raises(BrokenPipeError, match="nobody listens"):
        run(make_plan([pictures], tmp_path / "out"), slowly, workers=3, elsewhere=make, say=broken)
    accounted_for(tmp_path / "out", by_threads)


def test_where_no_process_can_begin_threads_go_on(pictures, tmp_path, by_threads):
    results, said, _ = go(pictures, tmp_path, "cannot begin")
    assert set(said) == {"another process could not begin (no such library); threads go on"}
    assert len(results.done) == COUNT
    assert files(tmp_path / "out") == by_threads


def test_a_picture_that_hangs_in_a_process_is_given_up(pictures, tmp_path, by_threads):
    results, _, name = go(pictures, tmp_path, "hangs", timeout=1.0)
    assert [str(error) for error in results.failed] == [f"{pictures / name}: took longer than 1 s (--timeout)"]
    assert set(accounted_for(tmp_path / "out", by_threads)) == set(by_threads) - {name}


def test_a_full_disk_in_a_process_stops_the_run(pictures, tmp_path, by_threads):
    results, *_ = go(pictures, tmp_path, "disk full")
    assert results.stopped is not None
    assert "no space left on device" in str(results.stopped)
    assert 0 < len(results.done) < COUNT
    accounted_for(tmp_path / "out", by_threads)


def answers(pictures: Path, tmp_path: Path, make: Mirrors, *messages):
    """What `serve` says to these messages, in this process."""
    plan = make_plan([pictures], tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    first = Order(plan.folder, "keep", "fail"), make, plan.manifest, 1 << 20
    orders, reports = io.BytesIO(b"".join(map(pickle.dumps, (first, *messages)))), io.BytesIO()
    processes.serve(orders, reports)
    reports.seek(0)
    said = []
    while reports.tell() < len(reports.getbuffer()):
        said.append(pickle.load(reports))
    return said


def test_what_a_process_answers(pictures, tmp_path, by_threads):
    jobs = make_plan([pictures], tmp_path / "out").jobs
    journal, report, last = answers(pictures, tmp_path, Mirrors(), jobs[:3], jobs[3:4], None)
    assert [outcome.written for outcome in report.outcomes] == [True] * 3
    assert (report.said, report.death, len(last.outcomes), last.said) == ((f"process {os.getpid()}",), None, 1, ())
    assert journal.exists()  # for the run to merge
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
    assert {job.output for job in jobs[:4]} | {journal.name} == set(files(tmp_path / "out"))


def test_a_process_without_a_run_merges_its_journal(pictures, tmp_path, by_threads):
    jobs = make_plan([pictures], tmp_path / "out").jobs
    answers(pictures, tmp_path, Mirrors(), jobs[:3])
    assert set(accounted_for(tmp_path / "out", by_threads)) == {*(job.output for job in jobs[:3]), "manifest.jsonl"}


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_a_run_that_dies_in_the_middle_of_a_word_is_understood(pictures, tmp_path, by_threads, cut):
    plan = make_plan([pictures], tmp_path / "out")
    (tmp_path / "out").mkdir()
    first = pickle.dumps((Order(plan.folder, "keep", "fail"), Mirrors(), plan.manifest, 1 << 20))
    processes.serve(io.BytesIO(first[:cut]), io.BytesIO())
    assert files(tmp_path / "out") == {}
    jobs = pickle.dumps(plan.jobs[:3])
    processes.serve(io.BytesIO(first + jobs + jobs[: max(cut, 0) or cut]), io.BytesIO())
    assert set(accounted_for(tmp_path / "out", by_threads)) == {
        *(job.output for job in plan.jobs[:3]),
        "manifest.jsonl",
    }


def test_a_process_that_cannot_begin_says_why(pictures, tmp_path):
    assert answers(pictures, tmp_path, Mirrors("cannot begin")) == ["no such library"]


@pytest.mark.parametrize(("odd", "kind"), [("bug", ZeroDivisionError), ("unpicklable", RuntimeError)])
def test_a_bug_travels(pictures, tmp_path, odd, kind):
    jobs = make_plan([pictures], tmp_path / "out").jobs
    _, report = answers(pictures, tmp_path, Mirrors(odd, tmp_path / "once"), jobs[:5], None)
    assert [type(outcome and outcome.fatal) for outcome in report.outcomes] == [type(None)] * 2 + [kind] + [
        type(None)
    ] * 2
    assert [outcome is None for outcome in report.outcomes] == [False] * 3 + [True] * 2


def started(pictures: Path, tmp_path: Path, odd: str = "") -> tuple["subprocess.Popen[str]", list[int]]:
    """A run in a process of its own, in the middle of it, and the processes that it has."""
    once = tmp_path / "once"
    command = [sys.executable, "-m", "tests.folders.processes_child", pictures, tmp_path / "out", odd, once, "0.2"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    others = [int(child.stdout.readline().split()[1]) for _ in range({"": 2, "hangs": 1}.get(odd, 0))]
    while odd and not (once.exists() and once.read_text()):
        time.sleep(0.01)
    return child, others + ([int(once.read_text().split()[1])] if odd else [])


@POSIX
@pytest.mark.parametrize(
    ("odd", "number"),
    [("", signal.SIGINT), ("", signal.SIGTERM), ("hangs", signal.SIGINT), ("hangs writing", signal.SIGINT)],
)
def test_interrupted_within_two_seconds(pictures, tmp_path, by_threads, number, odd):
    child, others = started(pictures, tmp_path, odd)
    asked = time.monotonic()
    child.send_signal(number)
    output, errors = child.communicate(timeout=20)
    assert time.monotonic() - asked < 3
    assert (child.returncode, errors) == (130, "")
    assert not any(map(alive, others))
    found = accounted_for(tmp_path / "out", by_threads)
    assert output.split()[-2:] == [str(len(found) - 1), "done"]


@POSIX
def test_a_run_that_is_killed_takes_its_processes_along_and_nothing_is_lost(pictures, tmp_path, by_threads):
    child, others = started(pictures, tmp_path)
    child.kill()
    child.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(alive, others)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (tmp_path / "out" / "manifest.jsonl").exists()  # theirs is in it
    run(make_plan([pictures], tmp_path / "out", existing="skip"), mirror)
    assert files(tmp_path / "out") == by_threads
