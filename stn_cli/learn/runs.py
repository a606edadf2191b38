"""A run and its folder: checkpoint, training state, metrics, and the test digits that are watched.

model.safetensors   the net after the last epoch so far
state.safetensors   what `--resume` needs: weights, the optimizer's memory, the plan, the epoch
metrics.jsonl       a line for the run, then one an epoch; epoch 0 is before the training
watched.png         the distorted test digits whose θ every line records, side by side, 8-bit grey
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from stn_cli import __version__
from stn_cli.errors import FileError, OptionError
from stn_cli.learn import checkpoint, whole
from stn_cli.learn.data import DataSet
from stn_cli.learn.processes import Processes
from stn_cli.learn.training import WATCHED, Plan, Training

Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Result:
    """A finished run: its plan, folder, and the records of its epochs; `parameters` is the size of the net."""

    plan: Plan
    folder: Path
    data: str
    parameters: int
    records: list[dict[str, Any]]

    @property
    def test_error(self) -> float:
        """Test error after the last epoch, in per cent."""
        return 100 * self.records[-1]["test_error"]

    @property
    def seconds(self) -> float:
        return sum(record.get("seconds", 0.0) for record in self.records)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the training, all threads together."""
        return sum(record.get("cpu_seconds", 0.0) for record in self.records)

    @property
    def alarms(self) -> dict[str, str]:
        """The last word on each illness that the run had."""
        return {name: line for record in self.records for name, line in record.get("alarms", {}).items()}


def run(
    plan: Plan,
    data: DataSet,
    folder: Path,
    device: torch.device,
    *,
    processes: Processes | None = None,
    resume: bool = False,
    on_step: Callable[[int, int], None] | None = None,
    on_epoch: Listener | None = None,
) -> Result:
    """Do a run in `folder`, or with `resume` what is left of it; a run that is finished is only read.

    Raises `OptionError` where the folder holds a run and `resume` was not given, or the run of another plan.
    """
    processes = processes or Processes()
    begun = (folder / "state.safetensors").is_file()
    if begun and not resume:
        raise OptionError("--out", folder, "holds a run already: say --resume to go on with it, or another folder")
    training = Training(plan, data, device, processes)
    records = _restore(training, data.name, folder) if begun else []
    processes.meet()  # nobody writes before everybody has read
    if begun and training.step >= plan.steps:
        return Result(plan, folder, data.name, training.net.parameter_count(), records)
    if not begun:
        records = [{"type": "epoch", "epoch": 0, "step": 0} | training.evaluate()]
    if processes.speaks:
        _open(training, data.name, folder, records)
    if on_epoch is not None:
        for record in records:
            on_epoch(record)
    for found in training.epochs(on_step):
        record = {"type": "epoch"} | found
        records.append(record)
        if processes.speaks:
            _append(folder / "metrics.jsonl", json.dumps(_plain(record)) + "\n")
            _save(training, data.name, folder, record)
        if on_epoch is not None:
            on_epoch(record)
        if "diverged" in record.get("alarms", {}):
            break
    processes.meet()
    return Result(plan, folder, data.name, training.net.parameter_count(), records)


def _open(training: Training, data: str, folder: Path, records: list[dict[str, Any]]) -> None:
    """Metrics with all that is known so far, and the watched digits."""
    plan = training.plan
    watched = training.test.images[:WATCHED].cpu()
    head = {
        "type": "run", "version": __version__, "data": data, "plan": plan.as_dict(),
        "parameters": training.net.parameter_count(), "device": str(training.device),
        "processes": training.processes.count, "threads": torch.get_num_threads(), "torch": torch.__version__,
        "train_examples": len(training.images), "test_examples": len(training.test.labels),
        "watched": {
            "images": "watched.png", "labels": training.test.labels[:WATCHED].tolist(),
            "angles": training.test.chance.angle[:WATCHED].tolist(),
        },
    }  # fmt: skip
    strip = torch.cat(list(watched[:, 0]), dim=1)
    whole.write_picture(folder / "watched.png", Image.fromarray((strip * 255).round().to(torch.uint8).numpy()))
    lines = [json.dumps(_plain(line)) + "\n" for line in (head, *records)]
    whole.write(folder / "metrics.jsonl", "".join(lines).encode(), sync=True)


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror or error})") from error


def _plain(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _save(training: Training, data: str, folder: Path, record: dict[str, Any]) -> None:
    plan = training.plan
    about = {
        "seed": plan.seed, "epoch": training.epoch, "step": training.step, "batch_size": plan.batch_size,
        "optimizer": plan.optimizer, "lr": plan.lr, "loc_lr_scale": plan.loc_lr_scale,
        "precision": plan.precision,
        "test_error": record["test_error"],
    }  # fmt: skip
    checkpoint.save(folder / "model.safetensors", training.net, data, plan.distortion, about)
    tensors = {f"net.{name}": tensor for name, tensor in training.net.state_dict().items()}
    for index, memory in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in memory.items() if value is not None}
    where = {"plan": plan.as_dict(), "data": data, "epoch": training.epoch, "step": training.step}
    checkpoint.write(folder / "state.safetensors", tensors, {"stn-state": json.dumps(where)})


def _restore(training: Training, data: str, folder: Path) -> list[dict[str, Any]]:
    """Bring `training` to where the run in `folder` stopped; the records up to there."""
    path = folder / "state.safetensors"
    tensors, metadata = checkpoint.read(path)
    try:
        where = json.loads(metadata["stn-state"])
        asked = json.loads(json.dumps({"plan": training.plan.as_dict(), "data": data}))
        for name, value in ({"data": data} | asked["plan"]).items():
            before = where["data"] if name == "data" else where["plan"].get(name)
            if before != value:
                raise OptionError("--resume", folder, f"this run has {name} {before!r}, not {value!r}")
        training.net.load_state_dict({n[4:]: t for n, t in tensors.items() if n.startswith("net.")})
        _restore_optimizer(training, tensors)
        training.epoch, training.step = int(where["epoch"]), int(where["step"])
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines[: training.epoch + 2]][1:]
        if [record["epoch"] for record in records] != list(range(training.epoch + 1)):
            raise ValueError("metrics.jsonl lacks epochs")
    except (KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileError(path, f"this run cannot be resumed ({type(error).__name__}: {reason})") from error
    return records


def _restore_optimizer(training: Training, tensors: dict[str, torch.Tensor]) -> None:
    parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            like = parameters[int(index)]
            same = tensor.shape == like.shape and tensor.ndim  # the layout in memory too: rounding may depend on it
            value = torch.empty_like(like).copy_(tensor) if same else tensor
            memory.setdefault(int(index), {})[key] = value
    state = training.optimizer.state_dict()
    training.optimizer.load_state_dict({"state": memory, "param_groups": state["param_groups"]})
