"""What a person says happens to the content — "rotate 30; zoom 1.5; translate 40px,0" — as a transformation.

Words speak of the content, in input pixels, so that a rotation stays a rotation on an image that is not square; θ is the
inverse of that, in normalised coordinates. Where the output has another size, the result is resized to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, isfinite, radians, sin, tan
from typing import TYPE_CHECKING

from stn_cli.core.coordinates import Size, pixel_frame
from stn_cli.errors import OptionError

if TYPE_CHECKING:  # the options of every command come through here, and a help page needs no arithmetic
    import numpy as np

    from stn_cli.core.transformation import Transformation

ORDER = (
    "flip",
    "zoom",
    "shear",
    "rotate",
    "translate",
)  # in which `--flip --zoom …` are done, whatever their order as typed

_NUMBER = re.compile(r"[-+−]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Length:
    """A length as a person gives it: pixels of the input, or a part of its width or height."""

    value: float
    relative: bool = False

    def pixels(self, extent: int) -> float:
        return self.value * extent if self.relative else self.value


@dataclass(frozen=True)
class Step:
    """One verb with its values: degrees for rotate and shear, factors for zoom, `Length`s for translate, h or v for flip."""

    verb: str
    values: tuple


def step(verb: str, text: str, option: str | None = None) -> Step:
    """A `Step` from what stands behind a verb. Raises `OptionError`, naming `option` (default: the verb's own)."""
    option = option or f"--{verb}"
    if verb == "rotate":
        return Step(verb, (_numbers(option, text, 1, "degrees, counter-clockwise, such as 30", ("°", "deg"))[0],))
    if verb == "zoom":
        factors = _numbers(option, text, 2, "a factor above 0, or two (x,y), such as 1.5 or 2,0.5", ("×", "x"))
        if min(factors) <= 0:
            raise OptionError(option, text, "a factor above 0; to mirror, use --flip")
        return Step(verb, (factors[0], factors[-1]))
    if verb == "shear":
        angles = _numbers(option, text, 2, "degrees, or two (x,y), such as 20 or 20,5", ("°", "deg"))
        if max(abs(a) for a in angles) >= 90:
            raise OptionError(option, text, "degrees above -90 and below 90")
        return Step(verb, (angles[0], angles[1] if len(angles) == 2 else 0.0))
    if verb == "translate":
        return Step(verb, point(option, text))
    if verb == "flip":
        if text.strip() not in ("h", "v"):
            raise OptionError(option, text, "h (left and right change places) or v (top and bottom)")
        return Step(verb, (text.strip(),))
    raise OptionError(option, verb, f"choose one of {', '.join(ORDER)}")


def steps(text: str, option: str = "--do") -> tuple[Step, ...]:
    """The steps of "rotate 30; zoom 1.5; translate 40px,0", done from left to right. Raises `OptionError`."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if not parts:
        raise OptionError(option, text, 'steps such as "rotate 30; zoom 1.5; translate 40px,0"')
    found = []
    for part in parts:
        verb, _, rest = part.partition(" ")
        if verb not in ORDER:
            raise OptionError(option, part, f"each step begins with one of {', '.join(ORDER)}")
        try:
            found.append(step(verb, rest))
        except OptionError as error:
            raise OptionError(option, part, error.allowed) from None
    return tuple(found)


def point(option: str, text: str) -> tuple[Length, Length]:
    """Two lengths, x,y: "40,0", "40px,0", "10%,-5%". Raises `OptionError`."""
    allowed = "x,y in pixels or per cent, such as 40,0 or 10%,-5%"
    parts = _split(text)
    if len(parts) != 2:
        raise OptionError(option, text, allowed)
    lengths = []
    for part in parts:
        relative = part.endswith("%")
        value = _number(part.removesuffix("%").removesuffix("px"))
        if value is None:
            raise OptionError(option, text, allowed)
        lengths.append(Length(value / 100 if relative else value, relative))
    return lengths[0], lengths[1]


def transformation(
    made: Sequence[Step],
    in_size: Size,
    about: tuple[Length, Length] | None = None,
    align_corners: bool = False,
) -> "Transformation":
    """The affine transformation, output → input, that does `made` to the content of an image of `in_size` (height, width).

    `about` is the point (x, y) of the input that flip, zoom, shear and rotate leave where it is; default: the centre.
    """
    import numpy as np

    from stn_cli.core.families import Affine
    from stn_cli.core.transformation import Transformation

    height, width = in_size
    centre = ((width - 1) / 2, (height - 1) / 2)
    if about is not None:
        centre = (about[0].pixels(width), about[1].pixels(height))
    frame = np.array(pixel_frame(in_size, align_corners))
    if align_corners and min(in_size) == 1:
        raise OptionError("--align-corners", f"an image of {width}×{height}", "needs at least 2×2 pixels")
    matrix = np.linalg.inv(frame)
    with np.errstate(all="ignore"):
        for one in made:  # each by itself: the product of very small steps may be singular
            matrix = matrix @ np.linalg.inv(_matrix(one, in_size, centre))
        matrix = matrix @ frame
    if not np.isfinite(matrix).all():
        said = ", ".join(dict.fromkeys(f"--{one.verb}" for one in made))
        raise OptionError(said, "numbers as large or small as these", "overflow")
    return Transformation(Affine(), matrix[:2].reshape(-1))


def _matrix(one: Step, in_size: Size, centre: tuple[float, float]) -> "np.ndarray":
    """What one step does to the content: (3, 3) in input pixels, x right, y down."""
    import numpy as np

    height, width = in_size
    if one.verb == "translate":
        x, y = one.values
        return np.array([[1, 0, x.pixels(width)], [0, 1, y.pixels(height)], [0, 0, 1.0]])
    if one.verb == "rotate":
        c, s = _cos_sin(one.values[0])
        linear = [[c, s], [-s, c]]  # counter-clockwise as seen, with y down
    elif one.verb == "zoom":
        linear = [[one.values[0], 0], [0, one.values[1]]]
    elif one.verb == "shear":
        along_x, along_y = (tan(radians(angle)) for angle in one.values)
        linear = [[1, -along_x], [-along_y, 1 + along_x * along_y]]  # the top leans right; then the right side goes up
    else:
        linear = [[-1, 0], [0, 1]] if one.values[0] == "h" else [[1, 0], [0, -1]]
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array(centre) - matrix[:2, :2] @ np.array(centre)
    return matrix


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Exact at quarter turns, so that these move pixels without interpolating."""
    quarter, rest = divmod(degrees, 90.0)
    if rest == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarter) % 4]
    return cos(radians(degrees)), sin(radians(degrees))


def _numbers(option: str, text: str, most: int, allowed: str, units: tuple[str, ...]) -> list[float]:
    values = []
    for part in _split(text):
        for unit in units:
            part = part.removesuffix(unit)
        values.append(_number(part))
    if not 1 <= len(values) <= most or None in values:
        raise OptionError(option, text, allowed)
    return [v for v in values if v is not None]


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text.strip()) if part]


def _number(text: str) -> float | None:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace("−", "-"))
    return value if isfinite(value) else None


def numbers(option: str, text: str, allowed: str) -> list[float]:
    """Numbers with spaces, commas, semicolons or brackets between them. Raises `OptionError` for anything else."""
    parts = [part for part in re.split(r"[\s,;\[\]()]+", text.strip()) if part]
    values = [_number(part) for part in parts]
    if not values or None in values:
        raise OptionError(option, text, allowed)
    return [v for v in values if v is not None]
