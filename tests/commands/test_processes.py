"""`stn warp` on a folder of many pictures is done by several processes, and nobody can tell but by the clock."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from stn_cli.commands.warping import Warper
from stn_cli.folders import pipeline, processes

COUNT = 120


@pytest.fixture
def many(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for i in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (24 + i % 3, 40, 3), dtype=np.uint8)).save(tmp_path / "in" / f"{i:03}.jpg")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    monkeypatch.setattr(pipeline, "MANY", 1)
    return tmp_path


@pytest.fixture
def batches(monkeypatch):
    """The jobs that processes were given."""
    given = []
    real = processes.WorkerProcess.work
    monkeypatch.setattr(processes.WorkerProcess, "work", lambda self, jobs: (given.extend(jobs), real(self, jobs))[1])
    return given


@pytest.fixture
def slow_here(monkeypatch):
    """So that other processes have begun before all is done."""
    real = Warper.__call__

    def slowly(self, picture, job):
        time.sleep(0.01)
        return real(self, picture, job)

    monkeypatch.setattr(Warper, "__call__", slowly)


@pytest.mark.parametrize("theta", ["words", "rows"])
def test_files_manifest_and_summary_are_the_same(stn, many, batches, slow_here, theta):
    options = ["--rotate", "20", "--fill", "red"]
    if theta == "rows":
        rows = [
            {"source": f"{i:03}.jpg", "family": "affine", "theta": [1, 0, i / COUNT, 0, 1, 0]} for i in range(COUNT)
        ]
        rows.append({"source": "broken.jpg", "family": "affine", "theta": [1, 0, 0, 0, 1, 0]})
        (many / "theta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = ["--theta-file", many / "theta.jsonl"]
    one = stn("warp", many / "in", *options, "--out", many / "one", "--jobs", "1", "--verbose", expect=1)
    assert batches == []
    two = stn("warp", many / "in", *options, "--out", many / "two", "--jobs", "2", "--verbose", expect=1)
    assert batches
    files = {path.name: path.read_bytes() for path in (many / "one").iterdir()}
    assert {path.name: path.read_bytes() for path in (many / "two").iterdir()} == files
    assert len(files) == COUNT + 1
    assert two.out.split(" in ")[0] == one.out.split(" in ")[0] == f"{COUNT} warped, 0 skipped, 1 failed"
    said = [sorted(line for line in ran.err.splitlines() if line[0] != " ") for ran in (one, two)]
    assert said[0] == said[1]  # but for the calls of other tools, which are told for whichever picture is the first
    assert len(said[0]) >= COUNT


def test_what_needs_this_process_stays_in_it(stn, many, batches, slow_here):
    stn(
        "warp",
        many / "in",
        "--rotate",
        "5",
        "--out",
        many / "out",
        "--contact-sheet",
        many / "sheet.png",
        "--jobs",
        "2",
        expect=1,
    )
    assert batches == []
