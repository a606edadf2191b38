"""`stn bench`: how fast `stn warp` would be on this machine and these files, and what bounds it."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import MachineOptions, OutputOptions, SamplingOptions, ThetaOptions, size, whole
from stn_cli.commands.sources import source as theta_source

if TYPE_CHECKING:
    from stn_cli.folders.measure import Measured
    from stn_cli.folders.plan import Plan

MEASURING = "Measuring"


@with_groups
def bench(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Images, and folders of images.")],
    where: ThetaOptions,
    how: SamplingOptions,
    made: OutputOptions,
    machine: MachineOptions,
    images: Annotated[
        int | None,
        typer.Option(
            parser=whole("--images", 1, 1_000_000),
            metavar="N",
            help="How many files at most, taken evenly from all.",
            show_default="100",
            rich_help_panel=MEASURING,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.", rich_help_panel=MEASURING)] = False,
) -> None:
    """Measure how fast stn warp would be on this machine and these files, and which stage bounds it.

    A sample of the files is warped into a temporary folder, which is removed; nothing else is written. First each picture
    alone, twice, stage by stage in one thread; then all of them together, as stn warp would.
    """
    from tempfile import TemporaryDirectory

    from stn_cli.commands.warping import How, Warper
    from stn_cli.engines import choose, gathering, jpeg_on, lacks
    from stn_cli.folders.measure import measure, results_in, sample
    from stn_cli.folders.pipeline import cpus
    from stn_cli.folders.plan import make_plan

    source = theta_source(where)
    replayed = source.run_settings()
    made = made.over(replayed)
    fill = How.chosen(how, replayed.get("sampling", {})).fill
    if made.size is not None:
        size("--size", made.size, (1, 1))
    with TemporaryDirectory(prefix="stn-bench-") as scratch:

        def plans(number: int) -> "Plan":
            planned = make_plan(inputs, results_in(Path(scratch), number), format=made.format or "keep")
            return sample(planned, images or 100)

        for job in plans(0).jobs:
            source.settings(job.name)
        engine, _ = choose(machine.device, (job.source for job in plans(0).jobs))
        if less := lacks(engine):
            typer.echo(f"device {engine.name}: {less}", err=True)
        if engine.name == "cpu":
            from stn_cli.engines.native import on_compile

            on_compile(lambda line: typer.echo(line, err=True))
        engine, waiting = gathering(engine, None)
        warper = Warper(source, engine, how, made.size, jpeg=jpeg_on(engine)[0])

        background = fill.background() if fill is not None else None
        found = measure(
            plans,
            warper,
            reading=warper.reading,
            quality=made.quality,
            background=background,
            workers=machine.jobs or cpus() + waiting,
        )
    for failed in found.failed:
        typer.echo(f"stn: {failed}", err=True)
    typer.echo(_as_json(found, engine.name) if json else _table(found, engine.name))


def _as_json(found: "Measured", device: str) -> str:
    stages = {
        stage: {"seconds": seconds, "images_per_second": 1 / max(seconds, 1e-9), "share": found.share(stage)}
        for stage, seconds in found.seconds.items()
    }
    return dumps(
        {
            "images": len(found.done),
            "failed": [{"path": str(error.path), "reason": error.reason} for error in found.failed],
            "device": device,
            "stages": stages,
            "jobs": found.workers,
            "images_per_second": found.together,
            "bound_by": found.bound,
        },
        ensure_ascii=False,
    )


def _table(found: "Measured", device: str) -> str:
    lines = [f"{len(found.done)} images on {device}; stage by stage, one thread:", ""]
    lines.append(f"{'':<10}{'ms an image':>12}{'images/s':>12}{'share':>8}")
    for stage, seconds in found.seconds.items():
        rate = 1 / max(seconds, 1e-9)
        lines.append(f"{stage:<10}{seconds * 1e3:>12.2f}{rate:>12,.0f}{found.share(stage):>8.0%}")
    threads = f"{found.workers} threads" if found.workers > 1 else "1 thread"
    lines += ["", f"together, {threads}: {found.together:,.1f} images/s"]
    lines.append(f"bound by {found.bound}: {found.share(found.bound):.0%} of the time of an image")
    return "\n".join(lines)
