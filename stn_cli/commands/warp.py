"""`stn warp`: files and folders of images, each through the same θ or its own."""

from dataclasses import replace
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import (
    FILES,
    RUNNING,
    MachineOptions,
    OutputOptions,
    SamplingOptions,
    ThetaOptions,
    real,
    shard_of,
    whole,
)
from stn_cli.commands.sources import source as theta_source
from stn_cli.commands.warp_report import Sheet, Teller, summary, would_warp
from stn_cli.errors import OptionError

if TYPE_CHECKING:
    from stn_cli.commands.progress import Say
    from stn_cli.commands.recipe import Recipe
    from stn_cli.folders.pipeline import Results
    from stn_cli.folders.plan import Job, Plan


@with_groups
def warp(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images, and folders of images; or URLs of them.")
    ],
    out: Annotated[
        str,
        typer.Option(metavar="PATH", help="A folder, or a file for one input file; or a URL.", rich_help_panel=FILES),
    ],
    where: ThetaOptions,
    how: SamplingOptions,
    made: OutputOptions,
    machine: MachineOptions,
    existing: Annotated[
        Literal["fail", "skip", "overwrite"],
        typer.Option(
            metavar="WHAT",
            help="Where an output is there already: fail, skip it, or overwrite it.",
            rich_help_panel=FILES,
        ),
    ] = "fail",
    recursive: Annotated[
        bool, typer.Option("--recursive/--no-recursive", help="Go into sub-folders.", rich_help_panel=FILES)
    ] = True,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            parser=whole("--max-pixels", 1, 10**12),
            metavar="N",
            help="Refuse larger images and larger outputs, all their frames counted.",
            show_default="400,000,000",
            rich_help_panel=FILES,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=real("--timeout", 0.01, 1e6),
            metavar="SECONDS",
            help="Go on without an image that takes longer.",
            show_default="300",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    contact_sheet: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Also write a sheet of all pictures, before and after.", rich_help_panel=FILES
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            parser=whole("--batch-size", 1, 4096),
            metavar="N",
            help="Images that go through the device at once, at most.",
            show_default="16 on a GPU, 1 on the CPU",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Warp part I of N only, for job arrays: all parts may run at once, and end with one manifest.",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="local: this machine; ray: a Ray cluster (extra ray).", rich_help_panel=RUNNING),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT.",
            show_default="Ray on this machine",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; touch nothing.", rich_help_panel=RUNNING)
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=RUNNING)] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Say what θ means, and how other tools would do it.", rich_help_panel=RUNNING
        ),
    ] = False,
) -> None:
    """Warp images by a given θ, in words, or as a file or a trained net says.

    Images are read, warped and written several at once; outputs appear whole or not at all; nothing is overwritten unasked.
    The output folder gets a manifest.jsonl that replays the run: stn warp INPUT --theta-file OUT/manifest.jsonl.
    """
    # starting NumPy's threads takes longer than all that they could do here
    environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stn_cli.commands.recipe import Elsewhere, Recipe
    from stn_cli.commands.warping import How, Warper
    from stn_cli.folders.codecs import MAX_PIXELS
    from stn_cli.folders.pipeline import TIMEOUT, Interrupted, cpus, run
    from stn_cli.folders.plan import make_plan
    from stn_cli.folders.remote import Remote, place

    source = theta_source(where)
    replayed: dict[str, Any] = source.run_settings()
    made = made.over(replayed)
    chosen = How.chosen(how, replayed.get("sampling", {}))
    if contact_sheet is not None and (shard is not None or engine == "ray"):
        other = "--shard" if shard is not None else "--engine ray"
        raise OptionError("--contact-sheet", contact_sheet, f"shows a whole local run: leave it out with {other}")
    if address is not None and engine != "ray":
        raise OptionError("--address", address, "goes with --engine ray")
    shown = place("--contact-sheet", contact_sheet) if contact_sheet is not None else None
    if isinstance(shown, Remote):
        raise OptionError("--contact-sheet", shown, "a path: the sheet stays on this machine")
    places, goal = [place("INPUT", text) for text in inputs], place("--out", out)
    if engine == "ray":
        for option, given in (*(("INPUT", given) for given in places), ("--out", goal)):
            if isinstance(given, Remote) and given.in_this_process:
                raise OptionError(option, given, "is in this process alone, where no worker of Ray sees it")
    plan = make_plan(
        places,
        goal,
        format=made.format or "keep",
        existing=existing,
        recursive=recursive,
        shard=shard_of(shard) if shard is not None else (1, 1),
    )
    if made.size is not None:
        _check_size(made.size, max_pixels or MAX_PIXELS)
    for job in plan.jobs:
        source.settings(job.name)  # a file without a row is told before anything is touched
    if dry_run:
        would_warp(plan, json)
        return
    background = chosen.fill.background() if chosen.fill is not None else None
    recipe = Recipe(
        where,
        how,
        made.size,
        machine.device,
        batch_size,
        max_pixels or MAX_PIXELS,
        made.quality,
        background,
        timeout or TIMEOUT,
    )
    if engine == "ray":
        _on_ray(plan, recipe, address, machine.jobs, json)
        return
    from stn_cli.engines import choose, gathering, jpeg_on, lacks

    chosen_engine, why = choose(machine.device, (job.source for job in plan.jobs))
    device_engine, waiting = gathering(chosen_engine, batch_size, timeout or TIMEOUT)
    # one picture for many workers: they share its rows
    threads = max(1, (machine.jobs or cpus()) // max(len(plan.jobs), 1)) if device_engine.name == "cpu" else 1
    warper = Warper(source, device_engine, how, made.size, max_pixels or MAX_PIXELS, threads, shown=shown is not None)
    sheet = Sheet(shown, plan, existing) if shown is not None else None
    from stn_cli.commands.progress import progress

    with progress("warping", "images", quiet=json) as (advance, say):
        advance(0, len(plan.jobs))
        if device_engine.name == "cpu":
            from stn_cli.engines.native import on_compile

            on_compile(say)
        if less := lacks(chosen_engine):
            say(f"device {device_engine.name}: {less}")
        elif verbose:
            say(f"device {device_engine.name}: {why}")
        if device_engine.name != "cpu":
            codec, why = jpeg_on(device_engine)
            warper.jpeg = codec
            if codec is not None:
                waiting *= 2  # while some are warped, others are decoded or encoded
            if verbose:
                say(f"JPEG by {codec.name if codec else 'libjpeg-turbo'}: {why}")
                warper.told = lambda job, why: say(f"{job.name}: decoded on the CPU: {why}")
                if codec is not None:
                    codec.say = say
        teller = Teller(say, source, verbose)
        warper.seen = teller.tell
        # other processes can do what needs neither this one's device nor its pictures
        apart = device_engine.name == "cpu" and not source.looks and sheet is None

        def on_progress(done: int, total: int, job: "Job", failed: Exception | None) -> None:
            advance(done, total)
            if failed is not None:
                say(f"stn: {failed}")

        def one(picture: Any, job: "Job") -> Any:
            warped, said = warper(picture, job)
            if sheet is not None:
                sheet.add(job, picture, warped)
            return warped, said

        try:
            results = run(
                plan,
                one,
                reading=warper.reading,
                quality=made.quality,
                background=background,
                workers=machine.jobs or cpus() + waiting,
                timeout=timeout or TIMEOUT,
                on_progress=on_progress,
                elsewhere=Elsewhere(replace(recipe, device="cpu"), verbose) if apart else None,
                say=teller.once,
            )
        except Interrupted as stopped:
            _interrupted(stopped.results, plan, say, json)
    if sheet is not None:
        sheet.write()
    _end(results, plan, json, shown)


def _on_ray(plan: "Plan", recipe: "Recipe", address: str | None, workers: int | None, json: bool) -> None:
    from stn_cli.commands.on_ray import run_on_ray
    from stn_cli.commands.progress import progress
    from stn_cli.folders.pipeline import Interrupted

    with progress("warping", "images", quiet=json) as (advance, say):
        advance(0, len(plan.jobs))
        try:
            results = run_on_ray(plan, recipe, address=address, workers=workers, on_progress=advance)
        except Interrupted as stopped:
            _interrupted(stopped.results, plan, say, json)
        for error in results.failed:
            say(f"stn: {error}")
    _end(results, plan, json)


def _interrupted(results: "Results", plan: "Plan", say: "Say", json: bool) -> NoReturn:
    say(f"stn: interrupted; {len(plan.jobs) - len(results.done)} left, --existing skip goes on")
    summary(results, plan, json)
    raise typer.Exit(130)


def _end(results: "Results", plan: "Plan", json: bool, sheet: Path | None = None) -> None:
    for job, note in results.notes:
        typer.echo(f"stn: note: {job.source}: {note}", err=True)
    summary(results, plan, json, sheet)
    if results.failed:
        raise typer.Exit(1)


def _check_size(text: str, max_pixels: int) -> None:
    from stn_cli.commands.options import bounded, size

    bounded("--size", size("--size", text, (1, 1)), max_pixels)
