"""What torchrun starts in `test_processes`: AdamW on a few digits in float64 and float32, every loss to a JSON file.

torchrun --nproc_per_node 2 tests/learn/one_of_two.py LOSSES.json
"""

import json
import sys
from pathlib import Path

import torch

from stn_cli.learn import digits, networks, processes, training
from stn_cli.learn.data import DataSet

EPOCHS, BATCH, EXAMPLES = 4, 61, 240


def losses(dtype: torch.dtype, peers: processes.Processes) -> list[list[float]]:
    """Training and test loss of each epoch, the whole network and its images in `dtype`."""
    images, labels = digits.make_digits(EXAMPLES, 0)
    data = DataSet("digits", images, labels, images[:100], labels[:100])
    build, distort = training.build, training.distort
    training.build = lambda *a: build(*a).to(dtype)
    training.distort = lambda *a: distort(*a).to(dtype)
    try:
        design = networks.design("st-cnn", 28, "small", "affine")
        plan = training.Plan(design, "R", 1, EPOCHS * -(-EXAMPLES // BATCH), BATCH, "adamw", 3e-3, 4.0)
        run = training.Training(plan, data, torch.device("cpu"), peers)
        return [[record["train_loss"], record["test_loss"]] for record in run.epochs()]
    finally:
        training.build, training.distort = build, distort


if __name__ == "__main__":
    torch.set_num_threads(1)
    peers = processes.join()
    found = {name: losses(getattr(torch, name), peers) for name in ("float64", "float32")}
    if peers.speaks:
        Path(sys.argv[1]).write_text(json.dumps(found))
    processes.leave(peers)
