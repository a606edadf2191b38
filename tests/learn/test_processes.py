"""Two processes and one: the same arithmetic, but for the order in which a batch's gradients are added up."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from stn_cli.learn.processes import Processes
from tests.learn import one_of_two

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_adamw_over_two_processes_is_adamw_in_one(tmp_path):
    """In float64 for the whole run. In float32 until rounding first decides which of two values a max-pool takes, or in which
    cell of pixels a point falls: from then on the gradients differ by more than rounding."""
    out = tmp_path / "losses.json"
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    done = subprocess.run(
        [sys.executable, *launcher, one_of_two.__file__, str(out)], check=False, capture_output=True, text=True,
        timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for dtype, epochs, margin in (("float64", one_of_two.EPOCHS, 1e-9), ("float32", 2, 1e-4)):
        two = np.array(json.loads(out.read_text())[dtype])
        one = np.array(one_of_two.losses(getattr(torch, dtype), Processes()))
        assert np.abs(one - two)[:epochs].max() < margin
        assert one[-1, 0] < one[0, 0] - 0.1  # it has learnt something


def test_the_parts_of_a_batch_are_the_batch():
    for size in (1, 5, 151, 256):
        for count in (1, 2, 3, 7):
            rows = [row for rank in range(count) for row in range(size)[Processes(rank, count).part(size)]]
            assert rows == list(range(size))
