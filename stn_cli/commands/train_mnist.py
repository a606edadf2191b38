"""`stn train-mnist`: the paper's experiment on distorted digits, with and without a spatial transformer."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stn_cli.commands.options import real, whole
from stn_cli.core.families import FAMILIES
from stn_cli.errors import OptionError
from stn_cli.folders.signals import saying
from stn_cli.learn.defaults import EPOCHS

if TYPE_CHECKING:
    from rich.console import Console

    from stn_cli.learn.experiment import Entry
    from stn_cli.learn.runs import Result
    from stn_cli.learn.training import Plan

DATA, NETWORK, TRAINING, RUNNING = "Data", "Network", "Training", "Running"


def train_mnist(
    data: Annotated[
        Literal["auto", "mnist", "fashion-mnist", "digits"],
        typer.Option(
            help="auto: MNIST where it is there or comes within seconds, else the embedded digits.",
            rich_help_panel=DATA,
        ),
    ] = "auto",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the IDX files are, or are downloaded to. Also STN_DATA_DIR.",
            show_default="the user's cache",
            rich_help_panel=DATA,
        ),
    ] = None,
    distortion: Annotated[
        Literal["none", "R", "RTS", "P", "E", "TC"],
        typer.Option(
            help="The paper's: rotated; rotated, scaled, translated; projective; elastic; translated in clutter.",
            rich_help_panel=DATA,
        ),
    ] = "RTS",
    model: Annotated[
        Literal["fcn", "cnn", "st-fcn", "st-cnn"],
        typer.Option(help="st-: with a spatial transformer.", rich_help_panel=NETWORK),
    ] = "st-cnn",
    family: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"Of the transformer: {', '.join(FAMILIES)}.", rich_help_panel=NETWORK),
    ] = "affine",
    net_size: Annotated[
        Literal["small", "paper"] | None,
        typer.Option(
            help="60,000 parameters, or the paper's 400,000.",
            show_default="small; paper with --table",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    st_size: Annotated[
        int | None,
        typer.Option(
            parser=whole("--st-size", 4, 256),
            metavar="PIXELS",
            help="Side of the transformer's output.",
            show_default="as the input",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    feed_theta: Annotated[
        bool, typer.Option("--feed-theta", help="Give θ to the classifier too.", rich_help_panel=NETWORK)
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Also train the network without transformer, of the same size.",
            rich_help_panel=TRAINING,
        ),
    ] = True,
    seeds: Annotated[
        int,
        typer.Option(
            parser=whole("--seeds", 1, 1000),
            metavar="N",
            help="Train each network with seeds 1 to N.",
            rich_help_panel=TRAINING,
        ),
    ] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=whole("--epochs", 1, 100_000),
            metavar="N",
            help="Times through the training set.",
            show_default=str(EPOCHS),
            rich_help_panel=TRAINING,
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            parser=whole("--iterations", 1, 10**9),
            metavar="N",
            help="Mini-batches in all, instead of --epochs.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            parser=whole("--batch-size", 1, 100_000),
            metavar="N",
            help="Digits a mini-batch, over all processes.",
            rich_help_panel=TRAINING,
        ),
    ] = 256,
    optimizer: Annotated[
        Literal["sgd", "adamw"],
        typer.Option(
            help="adamw with one cycle of the rate; sgd with momentum 0.9, the rate a tenth after each third.",
            rich_help_panel=TRAINING,
        ),
    ] = "adamw",
    lr: Annotated[
        float | None,
        typer.Option(
            parser=real("--lr", 1e-9),
            metavar="RATE",
            help="Highest learning rate.",
            show_default="0.003 adamw, 0.01 sgd",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    loc_lr_scale: Annotated[
        float | None,
        typer.Option(
            parser=real("--loc-lr-scale", 1e-9),
            metavar="FACTOR",
            help="Rate of the localisation net over that of the classifier.",
            show_default="4 adamw, 1 sgd",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(
            help="Of the networks' convolutions and matrix products; θ, grid, sampling, loss and weights stay float32. "
            "auto: bfloat16 where the processor has AMX.",
            rich_help_panel=TRAINING,
        ),
    ] = "auto",
    table: Annotated[
        bool,
        typer.Option(
            "--table",
            help="The whole of the paper's table 1: every network and family on R, RTS, P and E, at this budget.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where runs, tables and pictures go.",
            show_default="runs/DATA-DISTORTION",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the runs in --out where they stopped.", rich_help_panel=RUNNING),
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to train.", rich_help_panel=RUNNING)
    ] = "auto",
) -> None:
    """Train the classic networks on distorted digits, and see what the transformer learns to look at.

    With no option: a CNN with an affine transformer and one without, on digits turned, scaled and moved, in about two minutes.
    """
    if epochs is not None and iterations is not None:
        raise OptionError("--epochs and --iterations", f"{epochs} and {iterations}", "give one of them")
    if family not in FAMILIES:
        raise OptionError("--family", family, f"choose one of {', '.join(FAMILIES)}")
    if st_size is not None and not (model.startswith("st-") or table):
        raise OptionError("--st-size", st_size, "goes with --model st-fcn or st-cnn")
    from stn_cli.learn import experiment, paper, processes

    budget = experiment.Budget(
        net_size or ("paper" if table else "small"),
        epochs or (None if iterations else EPOCHS),
        iterations,
        batch_size,
        optimizer,
        lr,
        loc_lr_scale or experiment.LOC_LR_SCALE[optimizer],
        st_size,
        feed_theta,
    )
    entry = experiment.Entry(model, family if model.startswith("st-") else None)
    entries = (entry, entry.without_transformer()) if compare and entry.family else (entry,)
    asked = [(d, e) for d in paper.TABLE_DISTORTIONS for e in experiment.TABLE_1] if table else [
        (distortion, e) for e in entries
    ]  # fmt: skip
    peers = processes.join()
    try:
        place = _device(device, peers)
        budget = replace(budget, precision=experiment.precision(precision, place))
        _experiment(asked, budget, seeds, data, data_dir, out, resume, place, peers, table)
    finally:
        processes.leave(peers)


def _experiment(
    asked: "list[tuple[Any, Entry]]", budget: Any, seeds: int, data: Any, data_dir: Path | None, out: Path | None,
    resume: bool, device: Any, peers: Any, table: bool,
) -> None:  # fmt: skip
    from rich.console import Console

    from stn_cli.learn import experiment

    console = Console(quiet=not peers.speaks, highlight=False)
    digits = _data(data, data_dir, peers, console)
    examples = len(digits.train_images)
    plans = [
        experiment.plan(entry, distortion, seed, budget, examples)
        for distortion, entry in asked for seed in range(1, seeds + 1)
    ]  # fmt: skip
    folder = _folder(out, digits.name, "table" if table else asked[0][0], resume, peers)
    results: list[Result] = []

    def words() -> str:
        return (
            f"interrupted; {len(results)} of {len(plans)} runs done: --resume --out {folder} and the same options go on "
            "after the last whole epoch"
        )

    with saying(words):
        _runs(plans, results, digits, folder, device, resume, peers, console)
        if peers.speaks:
            _tell(results, digits, folder, table, console)


def _runs(
    plans: "list[Plan]", results: "list[Result]", digits: Any, folder: Path, device: Any, resume: bool, peers: Any,
    console: "Console",
) -> None:  # fmt: skip
    from stn_cli.commands.training_view import Progress, headline
    from stn_cli.learn import experiment, report, runs

    for number, plan in enumerate(plans, 1):
        place = folder / experiment.folder_name(plan)
        console.print(headline(plan, digits.name, number, len(plans)))
        with Progress(console, plan) as show:
            results.append(
                runs.run(
                    plan, digits, place, device, processes=peers, resume=resume,
                    on_step=show.step if peers.speaks else None, on_epoch=show.epoch,
                )
            )  # fmt: skip
        if not show.records:
            console.print(f"  finished before: error {results[-1].test_error:.2f} %")
        if peers.speaks:
            report.write_results(folder, digits.name, results, _command())


def _tell(results: "list[Result]", digits: Any, folder: Path, table: bool, console: "Console") -> None:
    from stn_cli.commands.training_view import tell
    from stn_cli.learn import report

    paths = [place for result in results for place in (result.folder / "model.safetensors",)]
    metrics = [result.folder / "metrics.jsonl" for result in results]
    made = [] if table else report.write_pictures(folder, digits, results)
    tell(console, digits.name, results)
    names = {"checkpoint": paths, "metrics": metrics, "figures": [folder / "table.md", folder / "results.json"]}
    names |= {kind: [path] for kind, path in zip(("curves", "panel", "film"), made, strict=False)}
    for kind, found in names.items():
        shown = found if len(found) <= 4 else [*found[:1], f"… {len(found)} in all"]
        console.print(f"{kind:11}" + ("\n" + " " * 11).join(map(str, shown)), soft_wrap=True)


def _device(name: str, peers: Any) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, True):
        raise OptionError("--device", name, "this machine or this torch has none: say cpu or auto")
    return torch.device(f"cuda:{torch.cuda.current_device()}" if name == "cuda" else name)


def _data(name: Any, folder: Path | None, peers: Any, console: "Console") -> Any:
    """The data set; the first process downloads, the others then find it."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from stn_cli.learn.data import load

    if not peers.speaks:
        peers.meet()
        return load(name, folder)[0]
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def progress(file: str, done: int, total: int | None) -> None:
            task = tasks.setdefault(file, None)
            if task is None:
                task = tasks[file] = bars.add_task(file)
            bars.update(task, completed=done, total=total)

        def words() -> str:
            kept = f"; what has arrived of {', '.join(tasks)} is kept, and the next run goes on" if tasks else ""
            return "interrupted" + kept

        with saying(words):
            found, warning = load(name, folder, progress=progress)
    peers.meet()
    if warning:
        console.print(f"[bold yellow]{warning}[/]", soft_wrap=True)
    return found


def _folder(out: Path | None, data: str, what: str, resume: bool, peers: Any) -> Path:
    from stn_cli.learn.experiment import fresh_folder

    usual = Path("runs") / f"{data.split()[0]}-{what}"
    if out is None and not resume and peers.count == 1:
        return fresh_folder(usual)
    found = out or usual
    if found.exists() and not found.is_dir():
        raise OptionError("--out", found, "is a file: a folder is needed")
    return found


def _command() -> str:
    return " ".join(["stn", *sys.argv[1:]])
