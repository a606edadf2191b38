"""--shard: the parts are disjoint, together everything, and leave what one run leaves, also side by side."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.errors import OptionError
from stn_cli.folders.plan import make_plan


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(11):
        path = tmp_path / "in" / ("sub" if i % 3 == 0 else "") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8 + i, 9, 3), np.uint8)).save(path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_in_any_order_leave_what_one_run_leaves(stn, pictures, order):
    stn("warp", pictures / "in", "--rotate", 20, "--out", pictures / "whole")
    counts = []
    for number in order:
        ran = stn(
            "warp", pictures / "in", "--rotate", 20, "--out", pictures / "parts", "--shard", f"{number}/3", "--json"
        )
        counts.append(json.loads(ran.out)["warped"])
    assert sorted(counts) == [3, 4, 4]
    assert contents(pictures / "parts") == contents(pictures / "whole")


def test_parts_at_once_leave_what_one_run_leaves(stn, pictures):
    stn("warp", pictures / "in", "--rotate", 20, "--out", pictures / "whole")
    command = [sys.executable, "-m", "stn_cli", "warp", str(pictures / "in"), "--rotate", "20", "--jobs", "1"]
    command += ["--out", str(pictures / "parts"), "--shard"]
    running = [subprocess.Popen([*command, f"{i}/2"], stderr=subprocess.PIPE, text=True) for i in (1, 2)]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert contents(pictures / "parts") == contents(pictures / "whole")


@pytest.mark.parametrize("shards", [1, 2, 4, 11, 15])
def test_parts_are_disjoint_and_everything(pictures, shards):
    whole = make_plan([pictures / "in"], pictures / "out").jobs
    parts = [make_plan([pictures / "in"], pictures / "out", shard=(i + 1, shards)).jobs for i in range(shards)]
    assert sorted(job.name for part in parts for job in part) == [job.name for job in whole]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_part_does_not_depend_on_what_the_others_have_done(pictures):
    before = make_plan([pictures / "in"], pictures / "out", shard=(2, 2)).jobs
    for job in make_plan([pictures / "in"], pictures / "out", shard=(1, 2)).jobs[:2]:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        job.target.write_bytes(b"x")
    assert make_plan([pictures / "in"], pictures / "out", shard=(2, 2)).jobs == before
    resumed = make_plan([pictures / "in"], pictures / "out", shard=(2, 2), existing="skip")
    assert (resumed.jobs, resumed.skipped) == (before, ())
    with pytest.raises(OptionError, match="exists already"):
        make_plan([pictures / "in"], pictures / "out", shard=(1, 2))


def test_collisions_are_those_of_the_whole_plan(pictures):
    Image.new("RGB", (4, 4)).save(pictures / "in" / "01.jpg")
    for number in (1, 2, 3):
        with pytest.raises(OptionError, match="two inputs"):
            make_plan([pictures / "in"], pictures / "out", format="png", shard=(number, 3))


def test_results_among_the_inputs_are_refused(pictures):
    """The second part would find the results of the first, and another plan."""
    with pytest.raises(OptionError, match="does not hold the input"):
        make_plan([pictures / "in"], pictures / "in", format="jpeg", shard=(1, 2))


def test_an_empty_part_ends_well(stn, pictures):
    ran = stn("warp", pictures / "in" / "01.png", "--rotate", 5, "--out", pictures / "o.png", "--shard", "2/2")
    assert "0 warped" in ran.out
    assert not (pictures / "o.png").exists()
