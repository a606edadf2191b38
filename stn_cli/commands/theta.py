"""`stn theta`: say what a θ means, write it as other libraries do, invert it, compose several."""

from collections.abc import Iterable
from json import dumps
from typing import Annotated

import typer

from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import ThetaOptions
from stn_cli.commands.options import size as parse_size
from stn_cli.commands.sources import View, source
from stn_cli.errors import OptionError

app = typer.Typer(
    help="Say what a θ means; convert, invert and compose.", no_args_is_help=True, rich_markup_mode="rich"
)

Size = Annotated[str, typer.Option(metavar="WxH", help="Size of the output, in pixels.")]
InputSize = Annotated[
    str | None, typer.Option(metavar="WxH", help="Size of the input, in pixels.", show_default="as the output")
]
AlignCorners = Annotated[
    bool, typer.Option("--align-corners", help="±1 are the centres of the corner pixels, not their outer edges.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@with_groups
def describe(
    where: ThetaOptions,
    size: Size = "256x256",
    input_size: InputSize = None,
    align_corners: AlignCorners = False,
    json: Json = False,
) -> None:
    """Say in plain words what a θ does: rotation, scales, shear, what lies outside, whether it folds."""
    from stn_cli.core.conventions import calls
    from stn_cli.core.describe import describe as description
    from stn_cli.core.sampling import Sampling

    view = _view(size, input_size, align_corners)
    made = source(where)(view)
    found = description(made, view.in_size, view.out_size, align_corners)
    if json:
        _print_json(made.row() | found.as_dict())
        return
    typer.echo(found.sentence())
    typer.echo(f"family       {made.family.name}, {made.family.size} numbers")
    if found.rotation is not None and found.scales is not None and found.shear is not None:
        where_ = " at the output's centre" if made.family.name == "projective" else ""
        typer.echo(f"rotation     {_tidy(found.rotation)}° counter-clockwise{where_}")
        typer.echo(f"scale        {_tidy(found.scales[0])} along x, {_tidy(found.scales[1])} along y")
        typer.echo(f"shear        {_tidy(found.shear)}°")
    typer.echo(f"centre       reads input pixel ({_tidy(found.centre[0])}, {_tidy(found.centre[1])})")
    side = "mirrored" if found.mirrored else "collapsed" if found.determinant == 0 else "not mirrored"
    typer.echo(f"determinant  {_tidy(found.determinant)} (input pixels per output pixel; {side})")
    typer.echo(f"outside      {100 * found.outside:.1f} % of the output reads outside the input")
    typer.echo(f"folds        {'at its horizon' if found.horizon else 'yes' if found.folded else 'no'}")
    if found.determinant != 0:
        for library, call in calls(made, view.in_size, view.out_size, Sampling(align_corners=align_corners)).items():
            typer.echo(f"{library:<12} {call}")


@app.command()
@with_groups
def convert(
    where: ThetaOptions,
    to: Annotated[str, typer.Option(metavar="LIBRARY", help="torch, opencv, pillow, skimage, kornia or imagemagick.")],
    size: Size,
    input_size: InputSize = None,
    align_corners: AlignCorners = False,
    json: Json = False,
) -> None:
    """Write a θ as another library takes it, in its units and direction."""
    from stn_cli.core.conventions import CONVENTIONS, to_convention

    if to not in CONVENTIONS:
        raise OptionError("--to", to, f"choose one of {', '.join(CONVENTIONS)}")
    view = _view(size, input_size, align_corners)
    numbers = to_convention(to, source(where)(view), view.in_size, view.out_size, align_corners)
    _numbers(numbers, json, convention=to)


@app.command()
@with_groups
def invert(
    where: ThetaOptions, size: Size = "256x256", align_corners: AlignCorners = False, json: Json = False
) -> None:
    """The θ that undoes a θ, in the same family."""
    import numpy as np

    made = source(where)(_view(size, None, align_corners))
    matrix = made.matrix()
    if matrix is not None and abs(np.linalg.det(matrix)) < 1e-12:
        raise OptionError("θ", " ".join(_tidy(v) for v in made.theta), "this θ is singular: nothing undoes it")
    inverse = made.family.inverse(made.theta)
    if inverse is None:
        raise OptionError("θ", made.family.name, "this family has no inverse in closed form")
    _numbers(inverse[0], json, family=made.family.name)


@app.command()
def compose(
    thetas: Annotated[
        list[str], typer.Argument(metavar="NUMBERS...", help="Two θ or more, each in quotes, as for --theta.")
    ],
    json: Json = False,
) -> None:
    """One θ that does to the content what the given ones do, one after the other."""
    from functools import reduce

    import numpy as np

    from stn_cli.core import words
    from stn_cli.core.transformation import Transformation

    if len(thetas) < 2:
        raise OptionError("NUMBERS", thetas[0], "give two θ or more, each in quotes")
    matrices = []
    for text in thetas:
        made = Transformation.from_numbers(words.numbers("NUMBERS", text, "finite numbers, such as 1 0 0 0 1 0"))
        matrix = made.matrix()
        if matrix is None:
            raise OptionError("NUMBERS", text, f"the family {made.family.name} has no matrix, and cannot be composed")
        matrices.append(matrix)
    # The content goes through the first, then the second, …; the sample points go the other way.
    made = Transformation.from_matrix(reduce(np.matmul, matrices))
    _numbers(made.theta, json, family=made.family.name)


def _view(out: str, into: str | None, align_corners: bool) -> View:
    out_size = parse_size("--size", out)
    in_size = parse_size("--input-size", into) if into is not None else out_size
    return View("", in_size, out_size, align_corners)


def _numbers(numbers: Iterable[float], as_json: bool, **more: str) -> None:
    if as_json:
        _print_json({**more, "numbers": [float(v) for v in numbers]})
    else:
        typer.echo(" ".join(_tidy(v, 15) for v in numbers))


def _print_json(value: object) -> None:
    typer.echo(dumps(value, ensure_ascii=False))


def _tidy(value: float, digits: int = 6) -> str:
    return f"{0.0 if abs(value) < 1e-15 else value:.{digits}g}"
