"""What an experiment leaves behind beside its runs: results.json, table.md, curves.png, panel.png, training.gif."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from stn_cli import __version__
from stn_cli.learn import checkpoint, paper, whole
from stn_cli.learn.curves import Curve, curves
from stn_cli.learn.data import DataSet
from stn_cli.learn.experiment import Entry, Summary, summarise
from stn_cli.learn.panel import film, panel
from stn_cli.learn.runs import Result
from stn_cli.learn.training import make_test

PANEL, FILM = 16, 16  # digits on the panel, digits in the film
FRAME_MS, LAST_MS = 120, 2500


def setting(data: str, results: Sequence[Result]) -> dict[str, Any]:
    """Under what conditions the results came about, JSON-able."""
    plans = [result.plan for result in results]
    return {
        "version": __version__, "torch": torch.__version__, "machine": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(), "data": data, "seeds": sorted({plan.seed for plan in plans}),
        "iterations": sorted({plan.steps for plan in plans}), "epochs": sorted({r.records[-1]["epoch"] for r in results}),
        "batch_size": sorted({plan.batch_size for plan in plans}),
        "optimizer": sorted({f"{plan.optimizer} lr {plan.lr:g}, localisation × {plan.loc_lr_scale:g}" for plan in plans}),
        "precision": sorted({plan.precision for plan in plans}),
        "parameters": sorted({result.parameters for result in results}),
    }  # fmt: skip


def sentence(about: dict[str, Any]) -> str:
    """The setting in words."""

    def some(values: Sequence[Any]) -> str:
        return ", ".join(map(str, values))

    def plural(word: str, one: bool) -> str:
        return word if one else word + "s"

    fewest, most = about["parameters"][0], about["parameters"][-1]
    return (
        f"data set {about['data']}; {some(about['epochs'])} {plural('epoch', about['epochs'] == [1])} "
        f"({some(about['iterations'])} {plural('iteration', about['iterations'] == [1])}) of "
        f"batch {some(about['batch_size'])}, {some(about['optimizer'])}, {some(about['precision'])}; "
        f"{fewest:,}{'' if fewest == most else f' to {most:,}'} parameters; "
        f"{len(about['seeds'])} {plural('seed', len(about['seeds']) == 1)}"
    )


def write_results(folder: Path, data: str, results: Sequence[Result], command: str) -> list[Path]:
    """results.json and table.md: the figures, beside the paper's."""
    summaries, about = summarise(results), setting(data, results)
    content = {"command": command, "setting": about, "paper": paper.SETTING, "rows": [s.as_dict() for s in summaries]}
    page = [f"# Test error in per cent, {data}", "", f"    {command}", "", sentence(about).capitalize() + ".", ""]
    page += [*markdown(summaries), "", f"In brackets the paper's figures: {paper.SETTING}.", ""]
    paths = [folder / "results.json", folder / "table.md"]
    for path, text in zip(paths, (json.dumps(content, indent=2) + "\n", "\n".join(page)), strict=True):
        whole.write(path, text.encode())
    return paths


def markdown(summaries: Sequence[Summary]) -> list[str]:
    """A table of networks by distortions, each cell this experiment's error and the paper's in brackets."""
    distortions = list(dict.fromkeys(s.distortion for s in summaries))
    entries = list(dict.fromkeys(s.entry for s in summaries))
    cells = {(s.entry, s.distortion): s for s in summaries}
    lines = ["| network | " + " | ".join(distortions) + " |", "| --- |" + " --- |" * len(distortions)]
    for entry in entries:
        row = [_cell(cells.get((entry, distortion))) for distortion in distortions]
        lines.append(f"| {entry.name} | " + " | ".join(row) + " |")
    return lines


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    return summary.error_text() + (f" ({summary.paper:g})" if summary.paper is not None else "")


def write_pictures(folder: Path, data: DataSet, results: Sequence[Result]) -> list[Path]:
    """Learning curves, and for the first run with a transformer the panel of test digits and the film."""
    paths = [folder / "curves.png"]
    distortion = results[0].plan.distortion
    title = f"{data.name}, {distortion}"
    note = sentence(setting(data.name, results))
    whole.write_picture(paths[0], curves(f"{title}: learning curves", _curves(results), note))
    spatial = next((r for r in results if r.plan.design.family), None)
    if spatial is not None:
        paths += [folder / "panel.png", folder / "training.gif"]
        net = checkpoint.load(spatial.folder / "model.safetensors").net
        test = make_test(data.first(1, 200), distortion, torch.device("cpu"))
        family = net.design.make_family()
        assert family is not None
        with torch.inference_mode():
            seen = net(test.images[:PANEL])
        name = Entry(net.design.model, net.design.family).name
        cards = panel(
            f"{title}: {name}, test error {spatial.test_error:.2f} %", test.images[:PANEL], seen.V, family, seen.theta,
            test.labels[:PANEL].tolist(), seen.scores.argmax(1).tolist(),
        )  # fmt: skip
        whole.write_picture(paths[1], cards)
        side = net.design.st_size or net.design.in_size
        write_film(paths[2], list(film(f"{title}: {name}", test.images[:FILM], family, spatial.records, side)))
    return paths


def write_film(path: Path, frames: Sequence[Image.Image]) -> None:
    """An animated GIF under one palette, made of the last frame, which lingers."""
    palette = frames[-1].quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    shared = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [FRAME_MS] * (len(shared) - 1) + [LAST_MS]
    whole.write_picture(path, shared[0], shared[1:], duration=times, loop=0, optimize=False)


def _curves(results: Sequence[Result]) -> list[Curve]:
    groups: dict[Entry, list[Result]] = {}
    for result in results:
        groups.setdefault(Entry(result.plan.design.model, result.plan.design.family), []).append(result)
    return [
        Curve(entry.name, [r.records for r in group], paper.error(entry.model, entry.family, group[0].plan.distortion))
        for entry, group in groups.items()
    ]
