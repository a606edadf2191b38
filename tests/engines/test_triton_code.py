"""The Triton kernel compiles for real cards, without one: registers, spills and loads of its machine code; and is launched."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="install the `gpu` extra")
def test_every_variant_compiles_for_ampere_and_hopper_without_spills():
    # another process: in this one, the tests beside have the kernel interpreted
    run = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.gpu_code", "--json"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=280,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert {row["sm"] for row in rows} == {80, 90}
    for row in rows:
        assert row["spilled"] == 0, row
        if row["variant"].startswith("RGB") and not row["variant"].startswith("RGB,"):
            assert row["byte loads"] == 0, row
            assert row["word stores"] in (4, 8), row  # a thread's four pixels, at one or two places
        blended = row["variant"] in ("RGBX, affine", "RGBX, affine, fill", "RGBX, projective", "RGBX, spline")
        assert row["dot products"] == (32 if blended else 0), row


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="install the `gpu` extra")
def test_tritons_own_machinery_launches_what_the_engine_hands_it(tmp_path):
    """All but the driver is real: binding of arguments, their specialisation, compilation to machine code, one variant a kind."""
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.engines.standin_driver"],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
        env={**bare, "PYTHONPATH": str(ROOT), "TRITON_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    found = json.loads(run.stdout)
    assert found == {
        "trial": {"launches": 1, "compiled": 1},
        "affine, eight sizes": {"launches": 8, "compiled": 1},
        "a batch of two kinds": {"launches": 2, "compiled": 1},  # projective; affine was there
        "splines of 9, 12 and 20 points": {"launches": 3, "compiled": 1},
        "streams": [7],
    }
