"""An epoch of `stn train-mnist` beside an epoch the common way, on the same network, optimizer and machine.

    python tests/benchmarks/train.py [--examples 6000] [--repeat 3] [--threads 2] [--distortion R RTS]
        [--model st-cnn st-fcn cnn fcn] [--net-size small|paper] [--precision auto|float32|bfloat16]

The common way: a torch `Dataset` that turns (and for RTS scales and places) each digit as a PIL image, a `DataLoader` in the
main process or with two workers, and a plain float32 network in torch's default memory layout. Ours draws and samples a batch
at a time and trains as `stn train-mnist` does by itself. Beside them the common network on batches made beforehand: what
even a free data pipeline would leave it with. The ways alternate; the table shows medians, spread, and processor time.
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
from stn_cli.learn.experiment import Budget, Entry, plan, precision
from stn_cli.learn.networks import MODELS, build
from stn_cli.learn.training import Training

CPU = torch.device("cpu")


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


class Common:
    """The epoch as most people write it."""

    def __init__(self, design, batches) -> None:
        self.net = build(design, 1).to(memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3)
        self.batches = batches

    def __call__(self) -> None:
        for images, labels in self.batches:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.net(images).scores, labels).backward()
            self.optimizer.step()


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def compare(model: str, distortion: str, given: argparse.Namespace) -> None:
    images, labels = make_digits(given.examples, 0)
    data = DataSet("digits", images, labels, images[:10], labels[:10])
    entry = Entry(model, "affine" if model.startswith("st-") else None)
    budget = Budget(given.net_size, epochs=10_000, precision=precision(given.precision, CPU))
    one = plan(entry, distortion, 1, budget, given.examples)
    training = Training(one, data, CPU)
    samples = PerSample(images, labels, distortion)
    ways = {
        f"stn, {one.precision}": lambda: training._epoch(None),
        "DataLoader + PIL": Common(one.design, DataLoader(samples, one.batch_size, shuffle=True)),
        "DataLoader + PIL, 2 workers": Common(
            one.design, DataLoader(samples, one.batch_size, shuffle=True, num_workers=2)
        ),
        "the same network, data for nothing": Common(one.design, list(DataLoader(samples, one.batch_size))),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(given.repeat + 1):
        for name, way in ways.items():
            start, used = time.perf_counter(), cpu()
            way()
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - start, cpu() - used))
    print(f"\n{model}, {distortion} ({SIZES[distortion]} pixels), {given.net_size}, epoch of {given.examples}, "
          f"batch {one.batch_size}, {given.threads} threads, torch {torch.__version__}")  # fmt: skip
    ours = next(iter(times.values()))
    wall, work = (statistics.median(column) for column in zip(*ours, strict=True))
    for name, found in times.items():
        walls, works = (sorted(column) for column in zip(*found, strict=True))
        middle, used = statistics.median(walls), statistics.median(works)
        print(
            f"  {name:36} {middle:7.3f} s ({walls[0]:.3f} to {walls[-1]:.3f}) {middle / wall:5.2f} ×   "
            f"cpu {used:7.3f} s {used / work:5.2f} ×",
            flush=True,
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--examples", type=int, default=6_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--distortion", choices=["R", "RTS"], nargs="+", default=["R"])
    options.add_argument("--model", choices=MODELS, nargs="+", default=["st-cnn"])
    options.add_argument("--net-size", choices=["small", "paper"], default="small")
    options.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    for distortion in given.distortion:
        for model in given.model:
            compare(model, distortion, given)


if __name__ == "__main__":
    main()
