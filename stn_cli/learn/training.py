"""The training loop: one network on one data set and distortion, the same to the last digit for the same seed.

All chance of an epoch comes from (seed, epoch), so that a run can be taken up after any epoch, and is drawn for the
global batch, so that several processes do what one would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import ceil, cos, isfinite, pi
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stn_cli.learn import doctor
from stn_cli.learn.data import DataSet
from stn_cli.learn.distortions import Distortion, Draw, distort, draw
from stn_cli.learn.networks import CLASSES, Design, Precision, Seen, build
from stn_cli.learn.processes import Processes

OptimizerName = Literal["sgd", "adamw"]
TEST_SEED = 4  # the test set's distortions are the same for every run
WATCHED = 24  # test digits whose θ is recorded every epoch
EXAMINED = 512  # test digits that the doctor looks at
TEST_BATCH = 500
WARM_UP = 0.3  # of a one-cycle schedule


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run's numbers beside the data. `steps` are mini-batches in all."""

    design: Design
    distortion: Distortion
    seed: int
    steps: int
    batch_size: int
    optimizer: OptimizerName
    lr: float
    loc_lr_scale: float
    precision: Precision = "float32"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, … .

        sgd: divided by 10 after each third (paper: every 50k of 150k). adamw: one cycle, a cosine from lr/25 up to lr
        over the first 30 % and down to nothing.
        """
        if self.optimizer == "sgd":
            return self.lr * 0.1 ** (3 * step // self.steps)
        rise = WARM_UP * self.steps
        if step < rise:
            low = self.lr / 25
            return low + (self.lr - low) * (1 - cos(pi * (step + 1) / (rise + 1))) / 2
        return self.lr * (1 + cos(pi * (step - rise) / (self.steps - rise))) / 2


@dataclass(frozen=True)
class Test:
    """A distorted test set, on the device."""

    images: Tensor
    labels: Tensor
    chance: Draw


class Training:
    """A run in progress. `epochs()` trains and yields a record an epoch; `state` and `restore` carry it over a break."""

    def __init__(self, plan: Plan, data: DataSet, device: torch.device, processes: Processes | None = None) -> None:
        self.plan, self.device, self.processes = plan, device, processes or Processes()
        self.images = torch.from_numpy(data.train_images.copy()).to(device)
        self.labels = torch.from_numpy(data.train_labels.astype("int64")).to(device)
        self.test = make_test(data, plan.distortion, device)
        self.net = build(plan.design, plan.seed).to(device)
        self.net.precision = plan.precision
        self.parallel = self.processes.wrap(self.net)
        self.optimizer = _optimizer(plan, self.net)
        self.epoch = self.step = 0
        self.per_epoch = ceil(len(self.images) / plan.batch_size)

    @property
    def epoch_count(self) -> int:
        return ceil(self.plan.steps / self.per_epoch)

    def epochs(self, progress: Callable[[int, int], None] | None = None) -> Iterator[dict[str, Any]]:
        """Train until the plan is done: a record after each epoch. `progress(step, steps)` is called for every step."""
        while self.step < self.plan.steps:
            start, worked = time.perf_counter(), time.process_time()
            loss, errors, gradient = self._epoch(progress)
            self.epoch += 1
            spent = time.perf_counter() - start
            record = {
                "epoch": self.epoch, "step": self.step, "lr": self.plan.rate(self.step - 1), "seconds": round(spent, 3),
                "cpu_seconds": round(time.process_time() - worked, 3),
                "train_loss": loss, "train_error": errors,
            }  # fmt: skip
            yield record | self.evaluate(gradient)

    def _epoch(self, progress: Callable[[int, int], None] | None) -> tuple[float, float, float]:
        """Train one epoch: mean loss, share of errors, mean gradient norm of the localisation net."""
        plan, size = self.plan, self.plan.batch_size
        chance = torch.Generator().manual_seed((plan.seed << 20) + self.epoch)
        order = torch.randperm(len(self.images), generator=chance)
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)  # loss, errors, examples, gradient norms
        self.net.train()
        for start in range(0, len(order), size):
            if self.step == plan.steps:
                break
            batch = order[start : start + size]
            drawn = draw(plan.distortion, len(batch), chance, len(self.images))
            mine = self.processes.part(len(batch))
            rows = batch[mine].to(self.device)
            U = distort(self.images[rows], drawn.part(mine), self.images)
            sums += self._learn(U, self.labels[rows], len(batch))
            self.step += 1
            if progress is not None:
                progress(self.step, plan.steps)
        loss, errors, examples, gradient = self.processes.total(sums).tolist()
        steps = max(1, ceil(examples / size)) * self.processes.count
        return loss / examples, errors / examples, gradient / steps

    def _learn(self, U: Tensor, labels: Tensor, batch: int) -> Tensor:
        """One step on this process's part of a batch of `batch`: what it adds to the epoch's sums."""
        rate = self.plan.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=True)
        scores = self.parallel(U).scores
        loss = nn.functional.cross_entropy(scores, labels, reduction="sum")
        (loss * (self.processes.count / batch)).backward()  # the processes' mean is then the mean over the whole batch
        gradient = self._gradient()
        self.optimizer.step()
        with torch.no_grad():
            errors = (scores.argmax(1) != labels).sum()
            return torch.stack([loss.double(), errors.double(), scores.new_tensor(len(labels)).double(), gradient])

    def _gradient(self) -> Tensor:
        localisation = self.net.localisation
        if localisation is None:
            return torch.zeros((), dtype=torch.float64, device=self.device)
        norms = [p.grad.norm() for p in localisation.parameters() if p.grad is not None]
        return torch.stack(norms).norm().double()

    @torch.no_grad()
    def evaluate(self, gradient: float = float("nan")) -> dict[str, Any]:
        """Test error and loss; with a transformer its vitals, straightening, and θ of the watched digits."""
        self.net.eval()
        labels, count = self.test.labels, len(self.test.labels)
        part = self.processes.part(count)
        scores = self.test.images.new_zeros(count, CLASSES)
        angles = torch.zeros(count, device=self.device)
        for start in range(part.start, part.stop, TEST_BATCH):
            rows = slice(start, min(start + TEST_BATCH, part.stop))
            seen = self.net(self.test.images[rows])
            scores[rows] = seen.scores
            if seen.grid is not None:
                angles[rows] = doctor.turned(seen.grid)
        scores, angles = self.processes.total(scores), self.processes.total(angles)
        loss = nn.functional.cross_entropy(scores, labels).item()
        record: dict[str, Any] = {
            "test_loss": loss,
            "test_error": (scores.argmax(1) != labels).double().mean().item(),
        }
        if self.net.transformer is None:
            if not isfinite(loss):
                record["alarms"] = doctor.DIVERGED
            return record
        seen = self.net(self.test.images[:EXAMINED])
        vitals = doctor.examine(seen.grid, gradient, loss)
        record["vitals"] = vitals.as_dict()
        record["alarms"] = doctor.alarms(vitals)
        if self.test.chance.angle.any():
            true = self.test.chance.angle
            record["angle_spread"] = {"true": doctor.spread(true), "left": doctor.spread(true + angles.cpu())}
        record["theta"] = seen.theta[:WATCHED].tolist()
        return record

    @torch.no_grad()
    def look(self, images: Tensor) -> Seen:
        """What the network makes of distorted images (N, 1, S, S), on the CPU."""
        self.net.eval()
        seen = self.net(images.to(self.device))
        return Seen(seen.scores.cpu(), *(None if part is None else part.cpu() for part in seen[1:]))


def make_test(data: DataSet, distortion: Distortion, device: torch.device) -> Test:
    """The test set under the fixed draw of its distortion."""
    digits = torch.from_numpy(data.test_images.copy()).to(device)
    chance = draw(distortion, len(digits), torch.Generator().manual_seed(TEST_SEED), len(digits))
    images = distort(digits, chance)
    return Test(images, torch.from_numpy(data.test_labels.astype("int64")).to(device), chance)


def _optimizer(plan: Plan, net: nn.Module) -> torch.optim.Optimizer:
    localisation = net.localisation
    theirs = list(localisation.parameters()) if isinstance(localisation, nn.Module) else []
    known = {id(p) for p in theirs}
    groups = [{"params": [p for p in net.parameters() if id(p) not in known], "scale": 1.0}]
    if theirs:
        groups.append({"params": theirs, "scale": plan.loc_lr_scale})
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=plan.lr, weight_decay=0.01, fused=True)
