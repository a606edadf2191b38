"""`stn grid`: the sampling grid of a θ, as numbers or as a picture."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import ThetaOptions, bounded
from stn_cli.commands.options import size as parse_size
from stn_cli.commands.sources import View
from stn_cli.commands.sources import source as theta_source
from stn_cli.errors import OptionError

if TYPE_CHECKING:
    import numpy as np

    from stn_cli.folders.picture import Frame

MOST_POINTS = 100_000_000  # 1.6 GB in memory


@with_groups
def grid(
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="What to write, by suffix: .npz, .npy, .csv, .flo, or .png with --on."),
    ],
    where: ThetaOptions,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the output.", show_default="as the input")
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of the input, where no --on image says it.")
    ] = None,
    on: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="The input image: gives its size, and is drawn on in a .png.")
    ] = None,
    maps: Annotated[
        Literal["opencv"] | None, typer.Option(help="Write map_x and map_y for cv2.remap into an .npz.")
    ] = None,
    align_corners: Annotated[
        bool, typer.Option("--align-corners", help="±1 are the centres of the corner pixels, not their outer edges.")
    ] = False,
    existing: Annotated[
        Literal["fail", "overwrite"], typer.Option(help="What to do where FILE is there already.")
    ] = "fail",
) -> None:
    """Write the sampling grid: where each output pixel reads the input.

    Coordinates are (x, y), x right, y down, normalised to [-1, 1]. stn warp --grid reads every file but the .png back. The .png
    shows the grid on the image: its cells, the border of the output, and what lies outside.
    """
    from stn_cli.folders.atomic import alone
    from stn_cli.folders.grids import SUFFIXES, write

    suffix = out.suffix.lower()
    if suffix not in (*SUFFIXES, ".png"):
        raise OptionError("--out", out, f"ends in one of {', '.join(SUFFIXES)}, .png")
    if maps is not None and suffix != ".npz":
        raise OptionError("--out", out, "--maps writes an .npz")
    if suffix == ".png" and on is None:
        raise OptionError("--on", "missing", "a .png shows the grid on an image: name one")
    if existing == "fail" and out.exists():
        raise OptionError("--out", out, "exists already; --existing overwrite replaces it")
    source = theta_source(where)
    image = _read(on) if on is not None else None
    view = _view(source.size(), size, input_size, image, align_corners)
    bounded("--size" if size is not None else "--input-size", view.out_size, MOST_POINTS, limit="")
    made = source(view).grid(view.out_size, align_corners)
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone(out, overwrite=existing == "overwrite") as (file, _):
        if suffix == ".png" and image is not None:
            _draw(image, made, align_corners).save(file, format="PNG")
        else:
            write(file, suffix, made, view.in_size, align_corners, maps)
    height, width = view.out_size
    typer.echo(f"{out}  {width}×{height} points")


def _read(path: Path) -> "Frame":
    from stn_cli.errors import FileError
    from stn_cli.folders.codecs import read

    try:
        return read(path).frames[0]
    except FileError as error:
        raise OptionError("--on", error.path, error.reason) from None


def _view(
    implied: tuple[int, int] | None, out: str | None, into: str | None, image: "Frame | None", align_corners: bool
) -> View:
    in_size = parse_size("--input-size", into) if into is not None else image.full_size if image is not None else None
    if in_size is None and out is not None and not out.endswith("%"):
        in_size = parse_size("--size", out)
    in_size = in_size or implied
    if in_size is None:
        raise OptionError("--size", out or "missing", "give --size WxH, --input-size WxH or --on IMAGE")
    out_size = parse_size("--size", out, in_size) if out is not None else implied or in_size
    pixels = None
    if image is not None:
        from stn_cli.folders.preview import preview

        pixels = partial(preview, image)
    return View("", in_size, out_size, align_corners, pixels=pixels)


def _draw(frame: "Frame", made: "np.ndarray", align_corners: bool):
    from stn_cli.draw.overlay import overlay
    from stn_cli.folders.preview import preview

    return overlay(preview(frame), made, align_corners)
