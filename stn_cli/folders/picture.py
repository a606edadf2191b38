"""What a file holds, between decoding and encoding: frames of pixels, and everything that must survive a warp."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from stn_cli.core.need import Window

Mode = Literal["1", "L", "P", "RGB", "CMYK"]
Extra = Literal["alpha", "premultiplied", "unspecified"]

COLOURS: dict[Mode, int] = {"1": 1, "L": 1, "P": 1, "RGB": 3, "CMYK": 4}


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: a still picture, a frame of an animation (composited), a page of a document. It stands upright.

    `pixels`
        (H, W, C) C-contiguous; uint8, uint16 or float32; row 0 is the top. A writer takes rows by slicing only, so an object
        with `shape`, `dtype` and `[a:b]` that makes its rows when asked will do for PNG and TIFF.
    `mode`
        "1": 0 or 1 (black, white); "L": grey; "P": indices into `palette`; "RGB"; "CMYK": ink, 0 is none.
        "1" and "P" occur only where the reader was asked to keep indices.
    `extra`
        what the channel after the colours is: straight "alpha"; "premultiplied" (TIFF's associated alpha: the colours are
        weighted already, so it is warped like any channel); "unspecified" (TIFF: warped like any channel); None: there is none.
    `palette`
        (n, 3) or (n, 4) uint8 for mode "P"; the fourth column is straight alpha.
    `duration`
        milliseconds on the screen, for the frames of an animation; None elsewhere.
    `full_size`
        (height, width) of the picture in the file, upright; larger than the pixels where a JPEG was decoded at 1/`reduced`.
    `window`
        the part of the pixels that was decoded, where the reader was asked for no more; the others may be anything.
    """

    pixels: np.ndarray
    mode: Mode
    extra: Extra | None = None
    palette: np.ndarray | None = None
    duration: float | None = None
    reduced: int = 1
    full_size: tuple[int, int] = (0, 0)
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.full_size == (0, 0):
            object.__setattr__(self, "full_size", self.size)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def alpha(self) -> bool:
        """Is the last channel straight alpha? Pass it to `Engine.warp`."""
        return self.extra == "alpha"

    @property
    def indexed(self) -> bool:
        """Are the pixels labels, which no kernel but `nearest` may touch?"""
        return self.mode in ("1", "P")

    @property
    def transparent(self) -> bool:
        """May a pixel be see-through?"""
        in_palette = self.palette is not None and self.palette.shape[1] == 4
        return self.extra in ("alpha", "premultiplied") or in_palette

    def with_pixels(self, pixels: np.ndarray) -> "Frame":
        """The same frame with other pixels (H', W', C) of the same dtype: what a warp returns."""
        return Frame(pixels, self.mode, self.extra, self.palette, self.duration)

    def expanded(self) -> "Frame":
        """Indices made colours: "1" becomes grey, "P" becomes RGB or RGB with alpha; other modes are themselves."""
        if self.mode == "1":
            return replace(self, pixels=self.pixels * np.uint8(255), mode="L")
        if self.mode == "P":
            assert self.palette is not None
            table = np.zeros((256, self.palette.shape[1]), np.uint8)
            table[:, 3:] = 255
            table[: len(self.palette)] = self.palette
            extra: Extra | None = "alpha" if table.shape[1] == 4 else None
            return replace(self, pixels=table[self.pixels[..., 0]], mode="RGB", extra=extra, palette=None)
        return self


@dataclass(frozen=True)
class Metadata:
    """What a file says about its picture, apart from the pixels.

    `exif` is a TIFF structure (from its byte order mark on) whose orientation is 1, because the pixels stand upright;
    `xmp` is the packet, `icc` the profile; `dpi` is (x, y) pixels an inch. `native` holds segments or chunks, framing
    included, that only the format they came from can carry; a writer of that format repeats them byte for byte.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    native: tuple[bytes, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """All frames of one file.

    `format`
        what the content is ("jpeg", "png", "tiff", …), whatever the name says.
    `animated`
        frames that follow each other in time; several frames that are not animated are pages.
    `loop`
        how often an animation plays, 0 for ever; None where the file does not say (once).
    `coding`
        how this format was coded, for a writer of the same format: {"subsampling": "420"}, {"compression": "lzw"}, …
    `notes`
        what could not be taken along, in words, for a person to read.
    """

    frames: tuple[Frame, ...]
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    animated: bool = False
    loop: int | None = None
    coding: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def full_size(self) -> tuple[int, int]:
        """(height, width) of the first frame in the file, upright."""
        return self.frames[0].full_size

    def with_frames(self, frames: "tuple[Frame, ...] | list[Frame]") -> "Picture":
        """The same picture with other frames: what a warp returns."""
        rest = self.metadata, self.animated, self.loop, self.coding, self.notes
        return Picture(tuple(frames), self.format, *rest)
