"""Training: the same digits for the same seed, resumed bit for bit, and a doctor that notices."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from stn_cli.core.families import make
from stn_cli.errors import FileError, OptionError
from stn_cli.learn import doctor, runs
from stn_cli.learn.networks import design
from stn_cli.learn.processes import Processes
from stn_cli.learn.training import Plan, Training

CPU = torch.device("cpu")


def plan(model="st-cnn", family="affine", *, distortion="R", steps=9, seed=1, scale=4.0, optimizer="adamw", lr=3e-3):
    size = {"R": 28, "RTS": 42, "TC": 60}.get(distortion, 28)
    return Plan(design(model, size, "small", family), distortion, seed, steps, 200, optimizer, lr, scale)


def told(result):
    """The records without times, as JSON: every number to its last digit."""
    return [json.dumps({k: v for k, v in record.items() if "seconds" not in k}) for record in result.records]


@pytest.mark.parametrize(
    ("model", "family", "distortion", "optimizer"),
    [("st-cnn", "affine", "R", "adamw"), ("st-fcn", "tps", "E", "sgd"), ("cnn", "affine", "RTS", "adamw")],
)
def test_the_same_seed_gives_the_same_numbers(few, tmp_path, model, family, distortion, optimizer):
    one = plan(model, family, distortion=distortion, optimizer=optimizer, steps=4)
    first, second = (runs.run(one, few, tmp_path / name, CPU) for name in "ab")
    assert told(first) == told(second)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    other = runs.run(replace(one, seed=2), few, tmp_path / "c", CPU)
    assert told(first)[1:] != told(other)[1:]


@pytest.mark.parametrize(("optimizer", "precision"), [("adamw", "float32"), ("sgd", "float32"), ("adamw", "bfloat16")])
def test_a_resumed_run_is_the_run(few, tmp_path, optimizer, precision):
    class InterruptError(Exception):
        pass

    def stop(record):
        if record["epoch"] == 2:
            raise InterruptError

    one = replace(plan(optimizer=optimizer), precision=precision)
    whole = runs.run(one, few, tmp_path / "whole", CPU)
    with pytest.raises(InterruptError):
        runs.run(one, few, tmp_path / "broken", CPU, on_epoch=stop)
    metrics = tmp_path / "broken/metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"type": "epoch", "epoch": 3, "half a li')  # as if it had been cut while writing
    resumed = runs.run(one, few, tmp_path / "broken", CPU, resume=True)
    assert told(whole) == told(resumed)
    for name in ("model.safetensors", "state.safetensors", "watched.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [None, 0, 1, 2, 3]
    assert told(runs.run(one, few, tmp_path / "broken", CPU, resume=True)) == told(whole)  # finished: only read


def test_a_folder_with_a_run_is_not_overwritten_nor_mixed(few, tmp_path):
    runs.run(plan(steps=3), few, tmp_path, CPU)
    before = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(OptionError, match="--resume"):
        runs.run(plan(steps=3), few, tmp_path, CPU)
    with pytest.raises(OptionError, match=r"lr 0\.003, not 0\.001"):
        runs.run(plan(steps=3, lr=1e-3), few, tmp_path, CPU, resume=True)
    assert (tmp_path / "state.safetensors").read_bytes() == before
    (tmp_path / "state.safetensors").write_bytes(before[: len(before) // 2])
    with pytest.raises(FileError, match="cut"):
        runs.run(plan(steps=3), few, tmp_path, CPU, resume=True)


def test_it_learns_and_records_what_animate_needs(few, tmp_path):
    result = runs.run(plan("st-cnn", distortion="none", steps=36), few, tmp_path, CPU)
    assert result.records[0]["test_error"] > 0.8
    assert result.records[-1]["test_error"] < 0.5
    head, *records = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert head["data"] == "few digits"
    assert head["watched"]["labels"] == few.test_labels[:24].tolist()
    assert all(len(record["theta"]) == 24 and len(record["theta"][0]) == 6 for record in records)
    assert records[0]["theta"][0] == [1, 0, 0, 0, 1, 0]
    assert records[-1]["vitals"]["gradient"] > 0


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_rates(optimizer):
    one = plan(steps=300, optimizer=optimizer, lr=0.1)
    rates = [one.rate(step) for step in range(300)]
    if optimizer == "sgd":
        assert [rates[step] for step in (0, 99, 100, 199, 200, 299)] == pytest.approx(
            [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3]
        )
    else:
        assert max(rates) == pytest.approx(0.1, rel=1e-3)
        assert 80 <= rates.index(max(rates)) <= 91
        assert rates[0] < 0.01
        assert rates[-1] < 1e-4


def test_the_localisation_net_has_its_own_rate(few):
    training = Training(plan(scale=0.25), few, CPU)
    next(training.epochs())
    rates = [group["lr"] for group in training.optimizer.param_groups]
    assert rates[1] == pytest.approx(rates[0] / 4)
    theirs = set(map(id, training.net.localisation.parameters()))
    assert {id(p) for p in training.optimizer.param_groups[1]["params"]} == theirs


def test_the_gradient_of_a_step_is_autograds(few):
    """The loop's bookkeeping against a plain forward and backward pass."""
    training = Training(plan(), few, CPU)
    with torch.no_grad():
        training.net.localisation.regression.weight.normal_(0, 0.01)
    U, labels = training.test.images[:50], training.test.labels[:50]
    nn.functional.cross_entropy(training.net(U).scores, labels).backward()
    expected = math.sqrt(sum(float(p.grad.square().sum()) for p in training.net.localisation.parameters()))
    loss, errors, examples, gradient = training._learn(U, labels, 50).tolist()
    assert gradient == pytest.approx(expected, rel=1e-4)
    assert examples == 50
    assert 0 <= errors <= 50
    assert loss / 50 == pytest.approx(math.log(10), rel=0.05)


# ---- the doctor ----
def test_a_net_that_must_collapse_raises_the_alarm(few, tmp_path):
    result = runs.run(plan(steps=15, scale=300.0), few, tmp_path, CPU)
    assert result.alarms
    assert all("try" in line and "\n" not in line for line in result.alarms.values())
    assert {"left", "collapsed", "zoomed out", "diverged"} & set(result.alarms)
    assert not runs.run(plan(steps=15), few, tmp_path / "well", CPU).alarms


def test_a_diverged_run_stops(few, tmp_path):
    result = runs.run(plan("cnn", steps=60, lr=1e9), few, tmp_path, CPU)
    assert "diverged" in result.alarms
    assert len(result.records) < 21
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("theta", "illness"),
    [
        ([1, 0, 0, 0, 1, 0], None),
        ([0.7, -0.7, 0, 0.7, 0.7, 0.1], None),
        ([1, 0, 3, 0, 1, 0], "left"),
        ([0.1, 0, 0, 0, 0.1, 0], "collapsed"),
        ([1, 0, 0, 1, 1e-3, 0], "collapsed"),
        ([4, 0, 0, 0, 4, 0], "zoomed out"),
        ([math.nan] * 6, "left"),
    ],
)
def test_what_is_an_illness(theta, illness):
    grid = make("affine").grid(torch.tensor([theta] * 3, dtype=torch.float32), (28, 28))
    found = doctor.alarms(doctor.examine(grid, 1.0, 1.0))
    assert (illness in found) if illness else not found
    assert "no gradient" in doctor.alarms(doctor.examine(grid, 0.0, 1.0))


@pytest.mark.parametrize("family", ["affine", "projective", "tps", "similarity"])
def test_the_jacobian_is_that_of_theta(family):
    made = make(family)
    turn = math.radians(30)
    linear = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * 0.8
    if family == "tps":
        theta = (torch.tensor(made.control_points) @ linear.T).reshape(1, -1)
    elif family == "similarity":
        theta = torch.tensor([[0.8 * math.cos(turn), 0.8 * math.sin(turn), 0.0, 0.0]])
    else:
        theta = torch.zeros(1, made.size)
        theta[0, :2], theta[0, 3:5] = linear[0], linear[1]
    grid = made.grid(theta, (28, 20))
    assert torch.allclose(doctor.jacobian(grid), linear[None], atol=1e-5)
    assert doctor.turned(grid).item() == pytest.approx(30, abs=1e-3)
    assert doctor.examine(grid, 1.0, 1.0).det == pytest.approx(0.64, abs=1e-4)


def test_recovered_angles_cancel_the_true_ones(few):
    """A transformer that knew the angle would leave none: θ of the turn itself, undone."""
    from stn_cli.learn.distortions import draw

    chance = draw("R", 100, torch.Generator().manual_seed(0))
    undone = chance.family.inverse(chance.theta)
    left = chance.angle + doctor.turned(chance.family.grid(undone, (28, 28)))
    assert left.abs().max() < 1e-3
    assert doctor.spread(left) < 1e-3
    assert doctor.spread(torch.tensor([179.0, -179.0])) == pytest.approx(1, abs=1e-6)


def test_parts_of_a_batch_cover_it():
    for size in (1, 2, 7, 256):
        parts = [range(size)[Processes(rank, 3).part(size)] for rank in range(3)]
        assert [i for part in parts for i in part] == list(range(size))
