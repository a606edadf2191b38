"""The command: what a run leaves behind, resuming, wrong options, the table, several processes, and `--net`."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from stn_cli.cli import build
from stn_cli.errors import OptionError, StnError
from stn_cli.learn import checkpoint, experiment, paper, report
from stn_cli.learn.experiment import Budget, Entry

RUN = "R-st-cnn-affine-seed1"


def run(*arguments, folder):
    """`stn train-mnist` on the small folder of digits, a few steps unless told otherwise."""
    size = () if {"--epochs", "--iterations"} & set(arguments) else ("--iterations", "4")
    kind = () if "--distortion" in arguments else ("--distortion", "R")
    return CliRunner().invoke(
        build(),
        ["train-mnist", "--data", "mnist", *kind, "--data-dir", str(folder), *size, "--batch-size", "200",
         *map(str, arguments)],
        catch_exceptions=False,
    )  # fmt: skip


def test_a_run_leaves_everything_and_names_its_data(idx_folder, tmp_path):
    out = tmp_path / "out"
    said = run("--out", out, "--seeds", "2", folder=idx_folder).output
    name = "mnist (not the published files)"
    assert name in said
    for path in ("R-st-cnn-affine-seed1/model.safetensors", f"{RUN}/metrics.jsonl", "table.md",
                 "results.json", "curves.png", "panel.png", "training.gif"):  # fmt: skip
        assert str(out / path) in said.replace("\n", "")
        assert (out / path).stat().st_size > 0
    results = json.loads((out / "results.json").read_text())
    assert results["setting"]["data"] == name
    rows = {row["model"]: row for row in results["rows"]}
    assert rows["cnn"]["paper"] == 1.2
    assert rows["st-cnn"]["paper"] == 0.7
    assert abs(rows["cnn"]["parameters"] / rows["st-cnn"]["parameters"] - 1) < 0.1
    for row in rows.values():
        assert row["test_error_mean"] == pytest.approx(np.mean(row["test_errors"]))
        assert row["test_error_sd"] == pytest.approx(np.std(row["test_errors"], ddof=1))
    assert name in (out / "table.md").read_text()
    with Image.open(out / "training.gif") as film:
        assert film.n_frames == 2 * 4 + 1  # two epochs
        assert film.info["duration"] >= 20
    for picture in ("curves.png", "panel.png"):
        with Image.open(out / picture) as image:
            assert np.asarray(image.convert("L")).std() > 5


def test_resume_takes_up_the_runs_that_are_missing(idx_folder, tmp_path):
    out = tmp_path / "out"
    run("--out", out, "--no-compare", folder=idx_folder)
    before = (out / "R-st-cnn-affine-seed1/state.safetensors").stat().st_mtime_ns
    with pytest.raises(OptionError, match="--resume"):
        run("--out", out, folder=idx_folder)
    resumed = run("--out", out, "--resume", folder=idx_folder).output
    assert "CNN" in resumed
    assert resumed.count("finished before: error") == 1
    assert (out / "R-st-cnn-affine-seed1/state.safetensors").stat().st_mtime_ns == before
    assert (out / "R-cnn-seed1/model.safetensors").exists()


def test_without_out_nothing_is_overwritten(idx_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        run("--model", "cnn", folder=idx_folder)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mnist-R", "mnist-R-2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "1", "--iterations", "2"], "give one of them"),
        (["--family", "rigid"], "choose one of"),
        (["--model", "cnn", "--st-size", "20"], "--st-size"),
        (["--st-size", "3"], "--st-size"),
        (["--lr", "0"], "--lr"),
        (["--lr", "nan"], "--lr"),
        (["--seeds", "0"], "--seeds"),
        (["--batch-size", "-1"], "--batch-size"),
        (["--device", "mps"], "--device"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(idx_folder, tmp_path, options, words):
    with pytest.raises(OptionError, match=words):
        run(*options, "--out", tmp_path / "out", folder=idx_folder)
    assert not (tmp_path / "out").exists()


def test_the_doctor_speaks(idx_folder, tmp_path):
    said = run(
        "--out", tmp_path / "out", "--no-compare", "--loc-lr-scale", "500", "--epochs", "4", folder=idx_folder
    ).output
    assert "doctor: " in said
    assert "try a smaller --loc-lr-scale" in said


@pytest.mark.slow
def test_the_whole_table(idx_folder, tmp_path):
    out = tmp_path / "out"
    run("--table", "--out", out, "--iterations", "1", folder=idx_folder)
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert len(rows) == 8 * 4
    page = (out / "table.md").read_text()
    assert "| network | R | RTS | P | E |" in page
    assert page.count("| ST-CNN") == 3
    assert "(0.7)" in page


def test_the_tables_figures_are_the_papers():
    assert len(paper.TABLE_1) == 8
    assert paper.error("st-cnn", "tps", "E") == 1.1
    assert paper.error("st-fcn", "affine", "TC") == 2.0
    assert paper.error("st-cnn", "flow", "R") is None


def test_a_table_in_markdown():
    def one(model, family, errors):
        return experiment.Summary(Entry(model, family), "R", 1000, errors, 1.0, 1.0, None, None)

    lines = report.markdown([one("st-cnn", "affine", (1.0, 2.0)), one("cnn", None, (3.0,))])
    assert lines == [
        "| network | R |",
        "| --- | --- |",
        "| ST-CNN affine | 1.50 ± 0.71 (0.7) |",
        "| CNN | 3.00 (1.2) |",
    ]
    assert experiment.fewer_errors([one("st-cnn", "affine", (1.0, 2.0)), one("cnn", None, (3.0,))]) == {"R": 0.5}


def test_budgets():
    assert Budget(epochs=3).steps(1000) == 12
    assert Budget(iterations=7).steps(1000) == 7
    plan = experiment.plan(Entry("st-cnn", "tps"), "RTS", 2, Budget(optimizer="sgd", epochs=1), 1000)
    assert experiment.folder_name(plan) == "RTS-st-cnn-tps-seed2"
    assert plan.lr == 0.01


@pytest.mark.parametrize(("has", "found"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_asks_the_processor(monkeypatch, has, found):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has}, raising=False)
    assert experiment.precision("auto", torch.device("cpu")) == found
    assert experiment.precision("auto", torch.device("cuda")) == "float32"
    assert experiment.precision("bfloat16", torch.device("cpu")) == "bfloat16"


def test_the_precision_is_recorded_and_kept(idx_folder, tmp_path):
    shown = run("--no-compare", "--out", tmp_path, "--precision", "bfloat16", folder=idx_folder)
    assert "bfloat16" in shown.output
    assert checkpoint.load(tmp_path / RUN / "model.safetensors").header["training"]["precision"] == "bfloat16"
    with pytest.raises(OptionError, match="precision 'bfloat16', not 'float32'"):
        run("--no-compare", "--out", tmp_path, "--precision", "float32", "--resume", folder=idx_folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def metrics(folder):
    lines = (folder / RUN / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][1:]


def test_two_processes_learn_what_one_does(idx_folder, tmp_path):
    """With SGD: Adam divides by the gradient's size, and so makes a difference of rounding large within a few steps."""
    arguments = ["-m", "stn_cli", "train-mnist", "--data", "mnist", "--distortion", "R",
                 "--data-dir", str(idx_folder), "--no-compare", "--epochs", "3", "--batch-size", "151",
                 "--optimizer", "sgd", "--lr", "0.05", "--precision", "float32"]  # fmt: skip
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    for how, out in (([], "one"), (launcher, "two")):
        done = subprocess.run(
            [sys.executable, *how, *arguments, "--out", str(tmp_path / out)],
            env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("Test error in per cent") == 1
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert len(one) == len(two) == 4
    for first, second in zip(one, two, strict=True):
        for key in ("train_loss", "test_loss"):
            if key in first:
                assert second[key] == pytest.approx(first[key], abs=1e-4)
    assert one[-1]["train_loss"] < one[1]["train_loss"] - 0.005


def test_warp_with_a_net_and_replay_without_it(idx_folder, few, tmp_path):
    out, pictures = tmp_path / "out", tmp_path / "pictures"
    run("--out", out, "--no-compare", folder=idx_folder)
    net = out / "R-st-cnn-affine-seed1/model.safetensors"
    pictures.mkdir()
    for index in range(3):
        Image.fromarray(few.test_images[index]).resize((64 + 10 * index, 64)).convert("RGB").save(
            pictures / f"{index}.png"
        )
    invoke = CliRunner().invoke
    done = invoke(
        build(), ["warp", str(pictures), "--net", str(net), "--out", str(tmp_path / "a")], catch_exceptions=False
    )
    assert done.exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "a/manifest.jsonl").read_text().splitlines()]
    assert len({tuple(row["theta"]) for row in rows}) == 3
    net.unlink()
    replay = ["warp", str(pictures), "--theta-file", str(tmp_path / "a/manifest.jsonl"), "--out", str(tmp_path / "b")]
    assert invoke(build(), replay, catch_exceptions=False).exit_code == 0
    for index in range(3):
        assert (tmp_path / f"a/{index}.png").read_bytes() == (tmp_path / f"b/{index}.png").read_bytes()


def test_net_where_it_does_not_fit(idx_folder, tmp_path):
    run("--out", tmp_path, "--no-compare", folder=idx_folder)
    net = str(tmp_path / "R-st-cnn-affine-seed1/model.safetensors")
    invoke = CliRunner().invoke
    with pytest.raises(OptionError, match="a picture to look at"):
        invoke(build(), ["theta", "describe", "--net", net], catch_exceptions=False)
    with pytest.raises(StnError, match="--weights"):
        invoke(build(), ["theta", "describe", "--theta", "1 0 0 0 1 0", "--weights", net], catch_exceptions=False)
    with pytest.raises(OptionError, match="--align-corners"):
        invoke(build(), ["grid", "--net", net, "--on", str(tmp_path / "panel.png"), "--align-corners",
                     "--out", str(tmp_path / "g.npy")], catch_exceptions=False)  # fmt: skip
