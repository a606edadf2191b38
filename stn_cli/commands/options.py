"""The option groups that commands share: where θ comes from, how to sample, how large the output is."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stn_cli.core.coordinates import Size
from stn_cli.core.families import FAMILIES
from stn_cli.core.sampling import Antialias, Kernel, Padding
from stn_cli.errors import OptionError

NUMBERS = "θ as numbers"
WORDS = "θ in words: what happens to the content"
POINTS = "θ from points, files and other libraries"
NETS = "θ from a localisation net"
SAMPLING = "Sampling"
FILES = "Files"
RUNNING = "Running"

MOST_SIDE = 1_000_000  # pixels along one side of an output: beyond it, a typing error


def whole(option: str, least: int, most: int) -> Callable[[str | int], int]:
    """A Typer parser for whole numbers from `least` to `most`, whose error names the option, the value and the range."""

    def parse(text: str | int) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise OptionError(option, text, f"a whole number from {least} to {most:,}")
        return value

    return parse


def real(option: str, least: float, most: float = float("inf")) -> Callable[[str | float], float]:
    """The same for real numbers."""

    def parse(text: str | float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most or value == float("inf"):
            raise OptionError(
                option, text, f"a number from {least:g}" + (f" to {most:g}" if most < float("inf") else "")
            )
        return value

    return parse


@dataclass
class ThetaOptions:
    """Where θ comes from: exactly one source. Flip, zoom, shear, rotate and translate together are one source."""

    theta: Annotated[
        str | None,
        typer.Option(
            help="Numbers, spaces or commas between them, output → input, normalised. The family follows from the count: "
            "2 translation, 3 attention, 4 similarity, 6 affine, 8 or 9 projective, 32 tps.",
            metavar="NUMBERS",
            rich_help_panel=NUMBERS,
        ),
    ] = None
    family: Annotated[
        str | None,
        typer.Option(help=f"What the numbers mean: {', '.join(FAMILIES)}.", metavar="NAME", rich_help_panel=NUMBERS),
    ] = None
    flip: Annotated[
        str | None,
        typer.Option(help="h: left and right change places; v: top and bottom.", metavar="h|v", rich_help_panel=WORDS),
    ] = None
    zoom: Annotated[
        str | None,
        typer.Option(help="Magnify by F, or by F along x and FY along y.", metavar="F[,FY]", rich_help_panel=WORDS),
    ] = None
    shear: Annotated[
        str | None,
        typer.Option(
            help="Lean the top to the right, and raise the right side.", metavar="DEG[,DEG]", rich_help_panel=WORDS
        ),
    ] = None
    rotate: Annotated[
        str | None, typer.Option(help="Turn counter-clockwise.", metavar="DEG", rich_help_panel=WORDS)
    ] = None
    translate: Annotated[
        str | None,
        typer.Option(help="Move right and down: pixels of the input, or 10%,5%.", metavar="X,Y", rich_help_panel=WORDS),
    ] = None
    do: Annotated[
        str | None,
        typer.Option(
            help='The same verbs in an order of your own: "rotate 30; zoom 1.5; translate 40px,0". '
            "The options above are always done in the order flip, zoom, shear, rotate, translate.",
            metavar="STEPS",
            rich_help_panel=WORDS,
        ),
    ] = None
    about: Annotated[
        str | None,
        typer.Option(
            help="The point that flip, zoom, shear and rotate leave in place; default: the centre.",
            metavar="X,Y",
            rich_help_panel=WORDS,
        ),
    ] = None
    corners: Annotated[
        str | None,
        typer.Option(
            help="The quadrilateral of the input that is to fill the output, top left first and clockwise: "
            '"x,y x,y x,y x,y". Straightens a photographed page.',
            metavar="POINTS",
            rich_help_panel=POINTS,
        ),
    ] = None
    points: Annotated[
        Path | None,
        typer.Option(
            help="Control points, x,y,x',y' a line: the content at (x, y) goes to (x', y'). Thin-plate spline.",
            metavar="FILE",
            rich_help_panel=POINTS,
        ),
    ] = None
    smoothing: Annotated[
        float,
        typer.Option(
            help="How far --points may be missed for a smoother map; 0 meets them.",
            metavar="NUMBER",
            rich_help_panel=POINTS,
        ),
    ] = 0.0
    matrix: Annotated[
        str | None,
        typer.Option(
            help="A matrix as another library writes it, in its own units and direction.",
            metavar="NUMBERS",
            rich_help_panel=POINTS,
        ),
    ] = None
    convention: Annotated[
        str | None,
        typer.Option(
            help="Which library: torch, opencv, pillow, skimage, kornia, imagemagick.",
            metavar="LIBRARY",
            rich_help_panel=POINTS,
        ),
    ] = None
    theta_file: Annotated[
        Path | None,
        typer.Option(
            help="CSV, JSON Lines or .npy: one row for all, or one a file, matched by the column `source`. "
            "The manifest of an earlier run is such a file and replays it.",
            metavar="FILE",
            rich_help_panel=POINTS,
        ),
    ] = None
    grid: Annotated[
        Path | None,
        typer.Option(
            help="A sampling grid that stn grid wrote: .npz, .npy, .csv or .flo.",
            metavar="FILE",
            rich_help_panel=POINTS,
        ),
    ] = None

    net: Annotated[
        str | None,
        typer.Option(
            help="A localisation net gives each image its own θ: a checkpoint of stn train-mnist, a net that comes "
            "with stn, or MODULE:CALLABLE, which runs that code.",
            metavar="NET",
            rich_help_panel=NETS,
        ),
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(help="A .safetensors file for --net MODULE:CALLABLE.", metavar="FILE", rich_help_panel=NETS),
    ] = None

    def given(self) -> bool:
        """Whether any source of θ was named at all."""
        return any(
            getattr(self, field.name) is not None
            for field in fields(self)
            if field.name not in ("smoothing", "weights")
        )


@dataclass
class SamplingOptions:
    """How the input is read. What is not given follows the manifest that is replayed, else the defaults."""

    kernel: Annotated[
        Kernel | None,
        typer.Option(
            metavar="KERNEL",
            help="How a value between pixels is made: nearest, bilinear or bicubic.",
            show_default="bilinear",
            rich_help_panel=SAMPLING,
        ),
    ] = None
    padding: Annotated[
        Padding | None,
        typer.Option(
            metavar="PADDING",
            help="What lies outside the input: zeros (black, or transparent), its border, its reflection, or fill.",
            show_default="zeros",
            rich_help_panel=SAMPLING,
        ),
    ] = None
    fill: Annotated[
        str | None,
        typer.Option(
            help="A colour outside the input: a name, #rrggbb, #rrggbbaa, or one number a channel.",
            metavar="COLOUR",
            rich_help_panel=SAMPLING,
        ),
    ] = None
    align_corners: Annotated[
        bool | None,
        typer.Option(
            "--align-corners/--no-align-corners",
            help="±1 are the centres of the corner pixels, not their outer edges.",
            show_default="no",
            rich_help_panel=SAMPLING,
        ),
    ] = None
    antialias: Annotated[
        Antialias | None,
        typer.Option(
            metavar="WHEN",
            help="Average over each output pixel's footprint: on, off, or auto, where the map shrinks by over 1.5.",
            show_default="auto",
            rich_help_panel=SAMPLING,
        ),
    ] = None


@dataclass
class OutputOptions:
    """What a warped file becomes. What is not given follows the manifest that is replayed, else the defaults."""

    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Size of the output, or a part of the input: 50%.", show_default="as the input"
        ),
    ] = None
    format: Annotated[
        Literal["keep", "png", "jpeg", "webp", "tiff"] | None,
        typer.Option(
            metavar="FORMAT",
            help="What to write: keep, png, jpeg, webp or tiff.",
            show_default="keep",
            rich_help_panel=FILES,
        ),
    ] = None
    quality: Annotated[
        int | None,
        typer.Option(
            parser=whole("--quality", 1, 100),
            metavar="1..100",
            help="Of JPEG and WebP.",
            show_default="90",
            rich_help_panel=FILES,
        ),
    ] = None

    def over(self, replayed: dict[str, Any]) -> "OutputOptions":
        """These, and where they are silent those of a run that is replayed (`Source.run_settings`), else the defaults."""
        quality = self.quality if self.quality is not None else replayed.get("quality")
        return replace(self, format=self.format or replayed.get("format", "keep"), quality=quality)


@dataclass
class MachineOptions:
    """Where a folder is warped, and by how many threads."""

    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to warp.", rich_help_panel=RUNNING)
    ] = "auto"
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=whole("--jobs", 1, 1024),
            metavar="N",
            help="Images in work at once.",
            show_default="one a CPU",
            rich_help_panel=RUNNING,
        ),
    ] = None


def size(option: str, text: str, of: Size | None = None) -> Size:
    """(height, width) from "WxH", or "50%" of a size. Raises `OptionError`."""
    allowed = "WxH in pixels, such as 640x480" + (", or a part of the input, such as 50%" if of else "")
    try:
        if text.endswith("%"):
            if of is None:
                raise ValueError
            part = float(text[:-1]) / 100
            found = (max(1, round(of[0] * part)), max(1, round(of[1] * part))) if part > 0 else (0, 0)
        else:
            width, height = text.lower().replace("×", "x").split("x")
            if not (width.strip().isdecimal() and height.strip().isdecimal()):
                raise ValueError
            found = (int(height), int(width))
    except (ValueError, OverflowError):
        raise OptionError(option, text, allowed) from None
    if not all(1 <= side <= MOST_SIDE for side in found):
        raise OptionError(option, text, f"{allowed}; each side from 1 to {MOST_SIDE:,}")
    return found


def bounded(option: str, of: Size, max_pixels: int, frames: int = 1, limit: str = "--max-pixels ") -> Size:
    """`of` (height, width) again. Raises `OptionError` where the output would have more than `max_pixels` pixels."""
    height, width = of
    if height * width * frames > max_pixels:
        times = f" × {frames} frames" if frames > 1 else ""
        raise OptionError(option, f"{width}x{height}{times}", f"at most {limit}{max_pixels:,} pixels in an output")
    return of


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) from "i/n", 1 ≤ i ≤ n. Raises `OptionError`."""
    number, _, shards = text.partition("/")
    if not (_counting(number) and _counting(shards) and 1 <= int(number) <= int(shards)):
        raise OptionError("--shard", text, "I/N: part I of N, such as 1/8; I from 1 to N")
    return int(number), int(shards)


def _counting(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
