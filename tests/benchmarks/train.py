"""An epoch of `stn train-mnist` beside an epoch the common way, on the same network, optimizer and machine.

    python tests/benchmarks/train.py [--examples 12000] [--repeat 3] [--threads 2] [--distortion R|RTS] [--model st-cnn]

The common way: a torch `Dataset` that turns (and for RTS scales and places) each digit as a PIL image, a `DataLoader`
(in the main process, and with as many workers as threads), then
forward, backward and step on each batch. Ours draws and samples a batch at a time. Both train; the ways alternate,
and the table shows medians, spread, and the processor time of the main process with its workers.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[2]))

from stn_cli.learn.data import DataSet
from stn_cli.learn.digits import make_digits
from stn_cli.learn.distortions import SIZES
from stn_cli.learn.experiment import Budget, Entry, plan
from stn_cli.learn.networks import build
from stn_cli.learn.training import Training


class PerSample(Dataset):
    """One digit at a time through PIL, as tutorials do it."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, distortion: str) -> None:
        self.images, self.labels, self.distortion = images, labels, distortion

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index])
        if self.distortion == "R":
            image = image.rotate(float(torch.empty(1).uniform_(-90, 90)), Image.Resampling.BILINEAR)
        else:
            scale = float(torch.empty(1).uniform_(0.7, 1.2))
            image = image.rotate(float(torch.empty(1).uniform_(-45, 45)), Image.Resampling.BILINEAR)
            image = image.resize((max(1, round(28 * scale)),) * 2, Image.Resampling.BILINEAR)
            field = Image.new("L", (42, 42))
            x, y = (int(v) for v in torch.randint(0, 15, (2,)))
            field.paste(image, (x, y))
            image = field
        pixels = torch.from_numpy(np.array(image)).float().div_(255)[None]
        return pixels, int(self.labels[index])


def common(data: PerSample, net: nn.Module, batch: int, workers: int) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for images, labels in DataLoader(data, batch, shuffle=True, num_workers=workers):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images).scores, labels).backward()
        optimizer.step()


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--examples", type=int, default=12_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--distortion", choices=["R", "RTS"], default="R")
    options.add_argument("--model", choices=["cnn", "st-cnn"], default="st-cnn")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    images, labels = make_digits(given.examples, 0)
    data = DataSet("digits", images, labels, images[:10], labels[:10])
    entry = Entry(given.model, "affine" if given.model == "st-cnn" else None)
    one = plan(entry, given.distortion, 1, Budget(epochs=10_000), given.examples)
    training = Training(one, data, torch.device("cpu"))
    samples = PerSample(images, labels, given.distortion)

    def theirs(workers: int):
        net = build(one.design, 1)
        return lambda: common(samples, net, one.batch_size, workers)

    ways = {
        "stn": lambda: training._epoch(None),
        "DataLoader + PIL, main process": theirs(0),
        f"DataLoader + PIL, {given.threads} workers": theirs(given.threads),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(given.repeat + 1):
        for name, way in ways.items():
            start, used = time.perf_counter(), cpu()
            way()
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - start, cpu() - used))
    print(f"{given.model}, {given.distortion} ({SIZES[given.distortion]} pixels), epoch of {given.examples}, "
          f"batch {one.batch_size}, {given.threads} threads, torch {torch.__version__}")  # fmt: skip
    best = statistics.median(wall for wall, _ in times["stn"])
    for name, found in times.items():
        walls = sorted(wall for wall, _ in found)
        middle = statistics.median(walls)
        work = statistics.median(used for _, used in found)
        print(
            f"{name:32} {middle:7.2f} s  ({walls[0]:.2f} to {walls[-1]:.2f})  cpu {work:7.2f} s  {middle / best:5.2f} ×"
        )


if __name__ == "__main__":
    main()
