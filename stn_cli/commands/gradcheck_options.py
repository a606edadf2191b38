"""The options of `stn gradcheck`, in the groups in which its help shows them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from stn_cli.commands.options import real, whole
from stn_cli.core.families import FAMILIES
from stn_cli.core.sampling import Kernel, Padding

WHAT = "What is checked"
WHERE = "At which point"
HOW = "How"
REPORT = "Reports"
OWN = "Your own code"

LONGEST = 24  # pixels of the longer side to which an --image is reduced, unless --size says otherwise


@dataclass
class What:
    """Which parts of the project's module are checked; without any of these, all."""

    family: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(FAMILIES)}.", metavar="NAME", show_default="all", rich_help_panel=WHAT),
    ] = None
    kernel: Annotated[
        Kernel | None, typer.Option(help="Check this kernel only.", show_default="all", rich_help_panel=WHAT)
    ] = None
    padding: Annotated[
        Padding | None, typer.Option(help="Check this padding only.", show_default="all", rich_help_panel=WHAT)
    ] = None
    align_corners: Annotated[
        bool | None,
        typer.Option(
            "--align-corners/--no-align-corners",
            help="±1 are the centres of the corner pixels, or their outer edges.",
            show_default="both",
            rich_help_panel=WHAT,
        ),
    ] = None
    net: Annotated[
        str | None,
        typer.Option(
            help="Check a trained spatial transformer: a checkpoint of stn train-mnist, or the name of a shipped net.",
            metavar="CHECKPOINT",
            rich_help_panel=WHAT,
        ),
    ] = None


@dataclass
class Where:
    """The point at which the gradients are taken; without any of these, random points inside and outside the border."""

    theta: Annotated[
        str | None,
        typer.Option(
            help='θ, such as "1 0 0 0 1 0" for the identity; the family follows from the count.',
            metavar="NUMBERS",
            rich_help_panel=WHERE,
        ),
    ] = None
    image: Annotated[
        Path | None,
        typer.Option(
            help=f"U is this picture instead of noise; reduced to {LONGEST} pixels, or to --size.",
            metavar="FILE",
            rich_help_panel=WHERE,
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(help="Size of U, in pixels.", metavar="WxH", show_default="5x4", rich_help_panel=WHERE),
    ] = None
    seed: Annotated[
        int,
        typer.Option(
            parser=whole("--seed", 0, 2**31 - 1),
            metavar="N",
            help="Draws U, θ, the points and the directions.",
            rich_help_panel=WHERE,
        ),
    ] = 0


@dataclass
class How:
    """In which arithmetic, and how exact."""

    dtype: Annotated[
        Literal["float64", "float32", "bfloat16", "float16"],
        typer.Option(help="What the code computes in; the differences are always in float64.", rich_help_panel=HOW),
    ] = "float64"
    device: Annotated[
        Literal["cpu", "cuda", "mps"],
        typer.Option(help="Where the code runs; the differences are always on the CPU.", rich_help_panel=HOW),
    ] = "cpu"
    tolerance: Annotated[
        float,
        typer.Option(
            help="Relative difference allowed between autograd and differences, beside what the error model explains.",
            parser=real("--tolerance", 0),
            metavar="NUMBER",
            rich_help_panel=HOW,
        ),
    ] = 1e-6


@dataclass
class Own:
    """A function of the user's."""

    module: Annotated[
        str | None,
        typer.Option(
            help="Check this function of (U, θ), or this nn.Module, instead of the project's. Runs its code.",
            metavar="PACKAGE.MODULE:CALLABLE",
            rich_help_panel=OWN,
        ),
    ] = None
    input: Annotated[str | None, typer.Option(help="Shape of U.", metavar="N,C,H,W", rich_help_panel=OWN)] = None
    theta_size: Annotated[
        str | None,
        typer.Option(
            help="Shape of θ of one image, such as 6 or 2,3; without it the module takes U alone.",
            metavar="N[,N]",
            rich_help_panel=OWN,
        ),
    ] = None


@dataclass
class Reports:
    """What is written or shown beside the table. Files that are there are replaced."""

    explain: Annotated[
        str | None,
        typer.Option(
            help="Spell out one output pixel instead: its sample point, neighbours, weights and every gradient.",
            metavar="ROW,COL",
            rich_help_panel=REPORT,
        ),
    ] = None
    json: Annotated[
        Path | None,
        typer.Option(help="Write all results; schema in docs/gradients.md. - prints them instead of the table.",
                     metavar="FILE", rich_help_panel=REPORT),
    ] = None  # fmt: skip
    heatmap: Annotated[
        Path | None,
        typer.Option(
            help="Draw the error of every output pixel, kinks marked.", metavar="FILE.png", rich_help_panel=REPORT
        ),
    ] = None
    sweep: Annotated[
        Path | None,
        typer.Option(
            help="Draw error against step size, and the steps that were taken.",
            metavar="FILE.png",
            rich_help_panel=REPORT,
        ),
    ] = None
