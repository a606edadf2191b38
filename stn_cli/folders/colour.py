"""A colour as a person writes it, in the units of whatever picture it is to fill."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from PIL import ImageColor

from stn_cli.errors import OptionError
from stn_cli.folders.picture import Frame

_ALLOWED = (
    "a name such as white, #rrggbb, #rrggbbaa, or numbers in the units of the image, one a channel or one for all"
)


@dataclass(frozen=True)
class Colour:
    """Either `rgba`, each 0…1 and the same colour in any picture, or `numbers` in the units of the image."""

    text: str
    rgba: tuple[float, float, float, float] | None = None
    numbers: tuple[float, ...] = ()

    def on(self, frame: Frame) -> tuple[float, ...]:
        """One number for every channel of `frame`. Raises `OptionError` where the colour does not fit its channels."""
        channels = frame.pixels.shape[2]
        if self.rgba is None:
            return self._numbers_on(frame, channels)
        white = 1.0 if frame.pixels.dtype.kind == "f" else float(np.iinfo(frame.pixels.dtype).max)
        red, green, blue, alpha = self.rgba
        if alpha < 1 and not frame.alpha:
            raise OptionError("--fill", self.text, "is see-through, and this image has no alpha")
        if frame.indexed:
            return (float(_nearest_index(frame, self.rgba)),)
        if frame.mode == "CMYK":
            key = 1 - max(red, green, blue)
            ink = [(1 - key - part) / (1 - key) if key < 1 else 0.0 for part in (red, green, blue)]
            colours: list[float] = [*ink, key]
        elif frame.mode == "RGB":
            colours = [red, green, blue]
        else:
            colours = [0.299 * red + 0.587 * green + 0.114 * blue]  # ITU-R 601, as Pillow's "L"
        extra = [alpha] * (channels - len(colours))
        values = [*colours, *extra]
        return tuple(v * white if frame.pixels.dtype.kind == "f" else float(round(v * white)) for v in values)

    def background(self) -> tuple[int, int, int] | None:
        """The colour that a see-through picture is laid on, 0…255; None for numbers."""
        return None if self.rgba is None else tuple(round(255 * v) for v in self.rgba[:3])  # type: ignore[return-value]

    def _numbers_on(self, frame: Frame, channels: int) -> tuple[float, ...]:
        if len(self.numbers) == 1:
            opaque = 1.0 if frame.pixels.dtype.kind == "f" else float(np.iinfo(frame.pixels.dtype).max)
            return (*self.numbers * (channels - frame.alpha), *([opaque] * frame.alpha))
        if len(self.numbers) != channels:
            raise OptionError(
                "--fill", self.text, f"this image has {channels} channels: give {channels} numbers, or one"
            )
        return self.numbers


def parse(text: str) -> Colour:
    """A `Colour` from what stands behind --fill. Raises `OptionError`."""
    try:
        numbers = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        numbers = ()
    if numbers and all(isfinite(v) for v in numbers):
        return Colour(text, numbers=numbers)
    try:
        found = ImageColor.getrgb(text)
    except ValueError:
        raise OptionError("--fill", text, _ALLOWED) from None
    red, green, blue, *alpha = (v / 255 for v in found)
    return Colour(text, rgba=(red, green, blue, alpha[0] if alpha else 1.0))


def black(frame: Frame) -> tuple[float, ...] | None:
    """What zero padding is where a zero is not black: full key in CMYK. None elsewhere."""
    if frame.mode != "CMYK":
        return None
    full = 1.0 if frame.pixels.dtype.kind == "f" else float(np.iinfo(frame.pixels.dtype).max)
    return (0.0, 0.0, 0.0, full, *([0.0] * (frame.pixels.shape[2] - 4)))


def _nearest_index(frame: Frame, rgba: Sequence[float]) -> int:
    """The place in the palette of the colour nearest to `rgba`; 0 or 1 for one bit."""
    if frame.palette is None:
        return int(sum(rgba[:3]) >= 1.5)
    away = frame.palette[:, :3].astype(float) / 255 - np.array(rgba[:3])
    return int((away**2).sum(-1).argmin())
