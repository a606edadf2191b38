"""Runs side by side: which networks are trained for a question, and what came out, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import torch

from stn_cli.errors import OptionError
from stn_cli.learn import paper
from stn_cli.learn.defaults import EPOCHS
from stn_cli.learn.distortions import SIZES, Distortion
from stn_cli.learn.networks import Model, NetSize, Precision, design
from stn_cli.learn.runs import Result
from stn_cli.learn.training import OptimizerName, Plan

LR: dict[OptimizerName, float] = {"adamw": 3e-3, "sgd": 0.01}
LOC_LR_SCALE: dict[OptimizerName, float] = {"adamw": 4.0, "sgd": 1.0}


@dataclass(frozen=True)
class Entry:
    """A row of the table: a network, and the family of its transformer."""

    model: Model
    family: str | None = None

    @property
    def name(self) -> str:
        return self.model.upper() + (f" {self.family}" if self.family else "")

    def without_transformer(self) -> Entry:
        return Entry("fcn" if self.model.endswith("fcn") else "cnn")


TABLE_1 = tuple(Entry(model, family) for model, family in paper.TABLE_1)


@dataclass(frozen=True)
class Budget:
    """What every run of a comparison gets."""

    net_size: NetSize = "small"
    epochs: int | None = None
    iterations: int | None = None
    batch_size: int = 256
    optimizer: OptimizerName = "adamw"
    lr: float | None = None
    loc_lr_scale: float = 4.0
    st_size: int | None = None
    feed_theta: bool = False
    precision: Precision = "float32"

    def steps(self, examples: int) -> int:
        """Mini-batches in all."""
        if self.iterations is not None:
            return self.iterations
        return (self.epochs or EPOCHS) * ceil(examples / self.batch_size)


def precision(name: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    """`name`, or for auto bfloat16 where the processor multiplies it in hardware (AMX): elsewhere it is the slower one."""
    if name != "auto":
        return name
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.10 or so
    return "bfloat16" if device.type == "cpu" and capabilities.get("amx_bf16") else "float32"


def plan(entry: Entry, distortion: Distortion, seed: int, budget: Budget, examples: int) -> Plan:
    """The run of one row, distortion and seed, on a training set of `examples`."""
    made = design(
        entry.model, SIZES[distortion], budget.net_size, entry.family or "affine",
        st_size=budget.st_size if entry.family else None, feed_theta=budget.feed_theta,
    )  # fmt: skip
    rate = LR[budget.optimizer] if budget.lr is None else budget.lr
    return Plan(
        made, distortion, seed, budget.steps(examples), budget.batch_size, budget.optimizer, rate, budget.loc_lr_scale,
        budget.precision,
    )  # fmt: skip


def folder_name(one: Plan) -> str:
    """The run's folder inside the experiment's."""
    family = f"-{one.design.family}" if one.design.family else ""
    return f"{one.distortion}-{one.design.model}{family}-seed{one.seed}"


def fresh_folder(wanted: Path) -> Path:
    """`wanted`, or where a run lies there already, the first of wanted-2, wanted-3, … that is free."""
    free = (
        p for n in range(1, 10_000) if not (p := wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}")).exists()
    )
    found = next(free, None)
    if found is None:
        raise OptionError("--out", wanted, "every name up to -9999 is taken: give another folder")
    return found


@dataclass(frozen=True)
class Summary:
    """The seeds of one row and distortion. Errors in per cent; `left` is the spread of rotation left, in degrees."""

    entry: Entry
    distortion: Distortion
    parameters: int
    errors: tuple[float, ...]
    seconds: float
    cpu_seconds: float
    left: float | None
    true: float | None

    @property
    def error(self) -> float:
        return mean(self.errors)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, with one seed None."""
        return stdev(self.errors) if len(self.errors) > 1 else None

    @property
    def paper(self) -> float | None:
        return paper.error(self.entry.model, self.entry.family, self.distortion)

    def error_text(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{self.error:.2f}{spread}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.entry.model, "family": self.entry.family, "distortion": self.distortion,
            "parameters": self.parameters, "test_errors": list(self.errors), "test_error_mean": self.error,
            "test_error_sd": self.deviation, "paper": self.paper, "seconds_a_run": self.seconds,
            "cpu_seconds_a_run": self.cpu_seconds,
            "rotation_left_sd": self.left, "rotation_true_sd": self.true,
        }  # fmt: skip


def summarise(results: Iterable[Result]) -> list[Summary]:
    """One summary a row and distortion, in the order of the results."""
    groups: dict[tuple[Entry, Distortion], list[Result]] = {}
    for result in results:
        made = result.plan
        groups.setdefault((Entry(made.design.model, made.design.family), made.distortion), []).append(result)
    return [_summary(entry, distortion, group) for (entry, distortion), group in groups.items()]


def _summary(entry: Entry, distortion: Distortion, group: Sequence[Result]) -> Summary:
    spreads = [r.records[-1]["angle_spread"] for r in group if "angle_spread" in r.records[-1]]
    return Summary(
        entry, distortion, group[0].parameters, tuple(r.test_error for r in group), mean(r.seconds for r in group),
        mean(r.cpu_seconds for r in group),
        mean(s["left"] for s in spreads) if spreads else None, mean(s["true"] for s in spreads) if spreads else None,
    )  # fmt: skip


def fewer_errors(summaries: Sequence[Summary]) -> dict[Distortion, float]:
    """For each distortion, by which share the best network with a transformer errs less than its counterpart without."""
    found: dict[Distortion, float] = {}
    for one in summaries:
        plain = [s for s in summaries if s.distortion == one.distortion and s.entry == one.entry.without_transformer()]
        if one.entry.family and plain and plain[0].error > 0:
            found[one.distortion] = max(found.get(one.distortion, -1e9), 1 - one.error / plain[0].error)
    return found
