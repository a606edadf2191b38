"""A colour as a person writes it, in the units of whatever picture it is to fill."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

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
        if alpha < 1 and not frame.transparent:
            raise OptionError("--fill", self.text, "is see-through, and this image has no alpha")
        if frame.mode == "1":
            return (float(0.299 * red + 0.587 * green + 0.114 * blue >= 0.5),)
        if frame.mode == "P":
            index = self.index(frame)
            assert index is not None, "folders.outside puts it there"
            return (float(index),)
        if frame.mode == "CMYK":
            key = 1 - max(red, green, blue)
            ink = [(1 - key - part) / (1 - key) if key < 1 else 0.0 for part in (red, green, blue)]
            colours: list[float] = [*ink, key]
        elif frame.mode == "RGB":
            colours = [red, green, blue]
        else:
            colours = [0.299 * red + 0.587 * green + 0.114 * blue]  # ITU-R 601, as Pillow's "L"
        if frame.extra == "premultiplied":
            colours = [part * alpha for part in colours]
        extra = [alpha] * (channels - len(colours))
        values = [*colours, *extra]
        return tuple(v * white if frame.pixels.dtype.kind == "f" else float(round(v * white)) for v in values)

    def background(self) -> tuple[int, int, int] | None:
        """The colour that a see-through picture is laid on, 0…255; None for numbers."""
        return None if self.rgba is None else tuple(round(255 * v) for v in self.rgba[:3])  # type: ignore[return-value]

    def bytes(self) -> np.ndarray:
        """(4,) uint8: red, green, blue, alpha. Only for a colour that is not given in numbers."""
        assert self.rgba is not None
        return np.array([round(255 * part) for part in self.rgba], np.uint8)

    def index(self, frame: Frame) -> int | None:
        """Its place in the palette of `frame`; None where it is not there. Any wholly transparent entry is as good as another."""
        assert frame.palette is not None
        wanted = self.bytes()[: frame.palette.shape[1]]
        same = frame.palette[:, 3] == 0 if wanted[3:].tolist() == [0] else (frame.palette == wanted).all(axis=1)
        return int(same.argmax()) if same.any() else None

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
    from PIL import ImageColor

    try:
        found = ImageColor.getrgb(text)
    except ValueError:
        raise OptionError("--fill", text, _ALLOWED) from None
    red, green, blue, *alpha = (v / 255 for v in found)
    return Colour(text, rgba=(red, green, blue, alpha[0] if alpha else 1.0))
