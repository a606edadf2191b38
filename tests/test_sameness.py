"""The bytes of a run depend on its inputs and options alone."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NAMES = ["a.png", "b.jpg", "B/c.png", "z/Ä.png", "z/10.jpg", "z/9.jpg", "z/deep/d.png", "e.png"]
ARGUMENTS = ["--rotate", "17", "--zoom", "0.7", "--padding", "reflection"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of small pictures of several sizes and formats."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40 + 3 * number, 50, 3), np.uint8)).save(path)
    return folder


def warp(
    source: Path, out: Path, *more: str, cwd: Path | None = None, umask: int | None = None, **environment: str
) -> dict:
    """Name → digest of everything in `out` after a run in a fresh process."""
    code = "import os, sys; from stn_cli.cli import main; main(sys.argv[1:])"
    if umask is not None:
        code = f"import os; os.umask({umask}); {code}"
    command = [sys.executable, "-c", code, "warp", str(source), "--out", str(out), *ARGUMENTS, *more]
    variables = {**os.environ, **environment}
    result = subprocess.run(command, cwd=cwd or out.parent, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    folder = (cwd or out.parent) / out
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def usual(pictures, tmp_path_factory):
    found = warp(pictures, tmp_path_factory.mktemp("usual") / "out", "--jobs", "1")
    assert set(found) == {*NAMES, "manifest.jsonl"}
    return found


@pytest.mark.parametrize(
    "more",
    [["--jobs", "2"], ["--jobs", "5"]],
    ids=" ".join,
)
def test_jobs_and_batches(pictures, usual, tmp_path, more):
    assert warp(pictures, tmp_path / "out", *more) == usual


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Apia"},
        {"TZ": "America/St_Johns", "PYTHONHASHSEED": "7", "COLUMNS": "20"},
    ],
    ids=str,
)
def test_locale_time_zone_and_hash_seed(pictures, usual, tmp_path, environment):
    assert warp(pictures, tmp_path / "out", **environment) == usual


def test_order_in_which_the_folder_was_filled(pictures, usual, tmp_path):
    other = tmp_path / "other"
    for name in reversed(NAMES):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures / name, other / name)
    assert warp(other, tmp_path / "out") == usual


def test_current_directory(pictures, usual, tmp_path):
    inside = tmp_path / "in"
    shutil.copytree(pictures, inside)
    assert warp(Path(), Path("../out"), cwd=inside) == usual


@pytest.mark.skipif(sys.platform == "win32", reason="no umask")
def test_umask_changes_mode_bits_alone(pictures, usual, tmp_path):
    assert warp(pictures, tmp_path / "out", umask=0o077) == usual
    assert (tmp_path / "out/a.png").stat().st_mode & 0o777 == 0o600
    assert warp(pictures, tmp_path / "open", umask=0o022) == usual
    assert (tmp_path / "open/a.png").stat().st_mode & 0o777 == 0o644


def test_a_replay_of_the_manifest_gives_the_same_bytes(pictures, usual, tmp_path):
    warp(pictures, tmp_path / "first")
    command = [sys.executable, "-m", "stn_cli", "warp", str(pictures), "--out", str(tmp_path / "again")]
    command += ["--theta-file", str(tmp_path / "first/manifest.jsonl")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in usual:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes(), name
