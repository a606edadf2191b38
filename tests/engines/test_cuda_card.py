"""On a real card: the checks of `tests.benchmarks.gpu`. Skipped without one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
@pytest.mark.skipif(find_spec("triton") is None, reason="install the `gpu` extra")
def test_the_engine_agrees_with_float64_on_the_card():
    # another process: in this one, the tests beside have the kernel interpreted
    bare = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.gpu", "--check"],
        cwd=ROOT, capture_output=True, text=True, env={**bare, "PYTHONPATH": str(ROOT)}, timeout=280,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
