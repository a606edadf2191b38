"""The Triton kernel compiles for real cards, without one: registers, spills and loads of its machine code."""

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
            assert row["word stores"] == 4, row  # a thread's four pixels
