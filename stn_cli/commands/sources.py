"""Where θ comes from: the options of a command become one `Source`, and everything downstream sees only θ and its family."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from stn_cli.commands.options import ThetaOptions
from stn_cli.core import words
from stn_cli.core.coordinates import Size
from stn_cli.errors import FileError, OptionError, StnError

if TYPE_CHECKING:
    import numpy as np

    from stn_cli.core.transformation import Transformation
    from stn_cli.folders.theta_file import ThetaFile
    from stn_cli.learn.theta_net import ThetaNet


@dataclass(frozen=True)
class View:
    """What a source may look at: one input picture, and the output it is to fill. Sizes are (height, width)."""

    name: str  # the file's, relative to the folder that was given, with forward slashes
    in_size: Size
    out_size: Size
    align_corners: bool
    page: int = 0  # which frame of the file
    pixels: "Callable[[], np.ndarray] | None" = None  # (H, W, C) uint8, for a localisation net


class Source(ABC):
    """Makes θ for one picture. `looks` says whether it must see the pixels for that."""

    looks: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, view: View) -> "Transformation": ...

    def settings(self, name: str) -> dict[str, Any]:
        """What a manifest says of this file beside θ: sizes and sampling."""
        del name
        return {}

    def run_settings(self) -> dict[str, Any]:
        """What a manifest says of the whole run: format, quality, and sampling where all files agree."""
        return {}

    def size(self) -> Size | None:
        """The output size that θ implies, (height, width)."""
        return None

    def remark(self, view: View) -> str | None:
        """What the user should know of this θ, unasked."""
        del view
        return None


@dataclass(frozen=True)
class Made(Source):
    """A source that depends on nothing but sizes and frame: made once for each, so that engines can keep its grid."""

    make: "Callable[[View], Transformation]"
    out_size: Size | None = None
    say: Callable[[View], str] | None = None
    known: "dict[tuple[Size, Size, bool], Transformation]" = field(default_factory=dict)

    def __call__(self, view: View) -> "Transformation":
        key = view.in_size, view.out_size, view.align_corners
        if key not in self.known:
            self.known[key] = self.make(View("", *key))
        return self.known[key]

    def size(self) -> Size | None:
        return self.out_size

    def remark(self, view: View) -> str | None:
        return self.say(view) if self.say else None


VERBS = words.ORDER


def source(options: ThetaOptions, default: str | None = None) -> Source:
    """The one source that the options name. Raises `OptionError` for none, more than one, or one that is wrong in itself."""
    spoken = [verb for verb in VERBS if getattr(options, verb) is not None]
    named = [name for name in MAKERS if name != "words" and getattr(options, name) is not None]
    if spoken:
        named.insert(0, "words")
    if not named and default is not None:
        return source(replace(options, theta=default))
    if len(named) != 1:
        flags = [f"--{spoken[0]}" if n == "words" else "--" + n.replace("_", "-") for n in named]
        every = ", ".join("--" + name.replace("_", "-") for name in MAKERS if name != "words")
        raise OptionError(
            " and ".join(flags) or "θ",
            "missing" if not named else f"{len(named)} sources of θ",
            f"give exactly one of {every}, or words such as --rotate 30",
        )
    _companions(options, named[0])
    try:
        return MAKERS[named[0]](options)
    except FileError as error:  # a file that describes the job is part of the options: nothing has been touched yet
        raise OptionError("--" + named[0].replace("_", "-"), error.path, error.reason) from None


def _companions(options: ThetaOptions, name: str) -> None:
    """Options that say something about a source must come with that source."""
    for option, partners in (
        ("about", ("words", "do")),
        ("family", ("theta", "theta_file", "net")),
        ("convention", ("matrix",)),
        ("smoothing", ("points",)),
        ("weights", ("net",)),
    ):
        if getattr(options, option) and name not in partners:
            flags = " or ".join("words such as --rotate" if p == "words" else f"--{p}" for p in partners)
            raise OptionError(f"--{option}", getattr(options, option), f"goes with {flags}")
    if name == "matrix" and options.convention is None:
        raise OptionError("--convention", "missing", "say which library writes --matrix so: torch, opencv, pillow, …")


def _numbers(options: ThetaOptions) -> Source:
    from stn_cli.core.transformation import Transformation

    values = words.numbers("--theta", options.theta or "", "finite numbers, such as 1 0 0 0 1 0")
    made = Transformation.from_numbers(values, options.family)
    return Made(lambda view: made)


def _words(options: ThetaOptions) -> Source:
    steps = tuple(words.step(verb, getattr(options, verb)) for verb in VERBS if getattr(options, verb) is not None)
    return _steps(steps, options)


def _do(options: ThetaOptions) -> Source:
    return _steps(words.steps(options.do or ""), options)


def _steps(steps: tuple[words.Step, ...], options: ThetaOptions) -> Source:
    about = words.point("--about", options.about) if options.about is not None else None
    return Made(lambda view: words.transformation(steps, view.in_size, about, view.align_corners))


def _corners(options: ThetaOptions) -> Source:
    import numpy as np

    from stn_cli.core import fit

    text = options.corners or ""
    points = [words.point("--corners", part) for part in text.split()]
    if len(points) != 4:
        raise OptionError("--corners", text, 'four points "x,y x,y x,y x,y", top left first and clockwise')

    if len({part.relative for point in points for part in point}) == 1:
        nominal = np.array([[part.pixels(100) for part in point] for point in points])
        fit.corners(nominal, (100, 100))  # no quadrilateral at one size is none at any, and is told before any file

    def make(view: View) -> "Transformation":
        height, width = view.in_size
        quad = np.array([(x.pixels(width), y.pixels(height)) for x, y in points])
        return fit.corners(quad, view.in_size, view.align_corners)

    return Made(make)


def _points(options: ThetaOptions) -> Source:
    from stn_cli.core import fit
    from stn_cli.folders.points import read

    if not (isfinite(options.smoothing) and options.smoothing >= 0):
        raise OptionError("--smoothing", options.smoothing, "a finite number from 0 on")
    pairs = read(options.points or Path())

    def fitted(view: View) -> tuple:
        return fit.points(pairs, view.in_size, options.smoothing, view.align_corners)

    def missed(view: View) -> str:
        residuals = fitted(view)[1]
        worst = int(residuals.argmax())
        most = f", at most {residuals[worst]:.2f} (point {worst + 1})" if residuals[worst] >= 0.005 else ""
        return f"{len(pairs)} control points; missed by {residuals.mean():.2f} pixels on average{most}"

    try:
        fitted(View("", (100, 100), (100, 100), False))  # points that fix no spline do not at any size
    except StnError as error:
        raise OptionError("--points", options.points, str(error)) from None
    return Made(lambda view: fitted(view)[0], say=missed)


def _matrix(options: ThetaOptions) -> Source:
    from stn_cli.core.conventions import CONVENTIONS, from_convention

    values = words.numbers("--matrix", options.matrix or "", "finite numbers, as the library writes them")
    library = options.convention or ""
    if library not in CONVENTIONS:
        raise OptionError("--convention", library, f"choose one of {', '.join(CONVENTIONS)}")
    from_convention(library, values, (64, 64), (64, 64))  # wrong counts and singular matrices are told before any file
    return Made(lambda view: from_convention(library, values, view.in_size, view.out_size, view.align_corners))


def _grid(options: ThetaOptions) -> Source:
    from stn_cli.core import fit
    from stn_cli.folders.grids import read

    file = read(options.grid or Path())

    def make(view: View) -> "Transformation":
        frame = view.align_corners if file.align_corners is None else file.align_corners
        if frame != view.align_corners:
            said = "--align-corners" if frame else "--no-align-corners"
            raise OptionError("--grid", options.grid, f"this grid was written with {said}: give it here too")
        return fit.flow(file.grid(view.in_size, view.align_corners), view.align_corners)

    return Made(make, file.size)


@dataclass(frozen=True)
class FromFile(Source):
    """A row of a θ file for each picture, or one for all."""

    file: "ThetaFile"

    def __call__(self, view: View) -> "Transformation":
        return self.file.entry(view.name).transformation(view.page)

    def settings(self, name: str) -> dict[str, Any]:
        return dict(self.file.entry(name).said)

    def run_settings(self) -> dict[str, Any]:
        return self.file.common("format", "quality", "sampling")


def _theta_file(options: ThetaOptions) -> Source:
    from stn_cli.folders.theta_file import read_thetas

    return FromFile(read_thetas(options.theta_file or Path(), options.family))


@dataclass(frozen=True)
class FromNet(Source):
    """A localisation net: it looks at each picture."""

    looks = True
    net: "ThetaNet"

    def __call__(self, view: View) -> "Transformation":
        if view.pixels is None:
            raise OptionError(
                "--net", self.net.name, "a net needs a picture to look at: name one (stn grid: --on IMAGE)"
            )
        if view.align_corners:
            raise OptionError("--align-corners", "given", "the nets behind --net speak of outer edges: leave it out")
        return self.net.transformation(view.pixels(), view.out_size)


def _net(options: ThetaOptions) -> Source:
    from stn_cli.learn.theta_net import open_net

    return FromNet(open_net(options.net or "", options.weights, options.family))


MAKERS: dict[str, Callable[[ThetaOptions], Source]] = {
    "theta": _numbers,
    "words": _words,
    "do": _do,
    "corners": _corners,
    "points": _points,
    "matrix": _matrix,
    "theta_file": _theta_file,
    "grid": _grid,
    "net": _net,
}
