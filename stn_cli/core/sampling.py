"""How to sample: one small value that every sampler and engine understands. Imports no array library."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from stn_cli.errors import OptionError

Kernel = Literal["nearest", "bilinear", "bicubic"]
Padding = Literal["zeros", "border", "reflection", "fill"]
Antialias = Literal["auto", "on", "off"]

KERNELS: tuple[Kernel, ...] = get_args(Kernel)
PADDINGS: tuple[Padding, ...] = get_args(Padding)
ANTIALIAS: tuple[Antialias, ...] = get_args(Antialias)


@dataclass(frozen=True)
class Sampling:
    """Kernel, padding and frame of a warp.

    Padding extends the input to the whole plane at integer pixels, and the kernel then samples that plane; so the blend at
    the rim is between content and padding, and a `fill` of the paper's colour leaves no dark line.

    `kernel`
        nearest: the paper's integer kernel ⌊x + ½⌋; bilinear: max(0, 1 - |x|); bicubic: Keys, a = -0.75.
    `padding`
        zeros; border: the nearest pixel of the image; reflection: mirrored at the edges of the outer pixels
        (at their centres with `align_corners`); fill: a constant.
    `fill`
        with padding "fill": one number a channel, or a single one for all, in the units of the image (0…255 for uint8).
    `align_corners`
        False: ±1 are the outer edges of the corner pixels; True: their centres.
    `antialias`
        auto: average over the output pixel's footprint where the map shrinks by more than 1.5; on: wherever it shrinks;
        off: one sample an output pixel. The nearest kernel, which may pick labels, is never averaged.

    Raises `OptionError` for a value that is none of these.
    """

    kernel: Kernel = "bilinear"
    padding: Padding = "zeros"
    fill: tuple[float, ...] | None = None
    align_corners: bool = False
    antialias: Antialias = "auto"

    def __post_init__(self) -> None:
        for name, allowed in (("kernel", KERNELS), ("padding", PADDINGS), ("antialias", ANTIALIAS)):
            if getattr(self, name) not in allowed:
                raise OptionError(f"--{name}", getattr(self, name), f"choose one of {', '.join(allowed)}")
        if (self.fill is None) != (self.padding != "fill"):
            raise OptionError("--fill", self.fill, "goes with --padding fill, and only with it")
        if self.fill is not None:
            object.__setattr__(self, "fill", tuple(float(v) for v in self.fill))
            if not self.fill or not all(isfinite(v) for v in self.fill):
                raise OptionError("--fill", self.fill, "one finite number a channel, or one for all")

    def constant(self, channels: int) -> tuple[float, ...]:
        """What stands outside the image, one number a channel: the fill, or zeros. Raises `OptionError` on a wrong count."""
        if self.fill is None:
            return (0.0,) * channels
        if len(self.fill) == 1:
            return self.fill * channels
        if len(self.fill) != channels:
            raise OptionError(
                "--fill", self.fill, f"the image has {channels} channels: give {channels} numbers, or one"
            )
        return self.fill
