"""What the codecs share: the wishes of a reader, and the error that becomes one line about one file."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol

import numpy as np

from stn_cli.folders.exif import ExifError, orientation, upright, upright_xmp
from stn_cli.folders.picture import Frame, Metadata

# 20,000 × 20,000; in RGB these are 1.2 GB. Everything in one file counts, frames and pages together.
MAX_PIXELS = 400_000_000
# No profile, EXIF block or XMP packet is larger; what inflates beyond it is a bomb.
MAX_METADATA = 32 << 20
# A frame or page costs time and memory beyond its pixels.
MAX_FRAMES = 100_000


class CodecError(Exception):
    """This content cannot be read or written; the message is the reason, one line, without the path."""


class JpegOnDevice(Protocol):
    """A JPEG decoder that leaves pixels on a device."""

    def decode(self, data: bytes, size: tuple[int, int], turn: int) -> Any:
        """(H, W, 3) uint8 pixels as a `Frame` takes them, of a whole JPEG file of `size` (height, width) as stored.

        They stand up as EXIF orientation `turn` says. Raises `RuntimeError` where this file is not for it.
        """
        ...


@dataclass(frozen=True)
class Reading:
    """How to read.

    `max_pixels`
        the most pixels that all frames of a file may have together.
    `indices`
        keep palette and 1-bit images as indices (for the kernel `nearest`).
    `shrink`
        called with the upright (height, width) of a JPEG before it is decoded; returns 1, 2, 4 or 8: the most by which
        the decoder may reduce it.
    `device`
        decodes colour JPEGs where they are warped; what it does not decode is left to libjpeg-turbo, and `told` why.
    `admit`
        called with the number of bytes that the pixels will take, before they are decoded; may wait until there is room.
    """

    max_pixels: int = MAX_PIXELS
    indices: bool = False
    shrink: Callable[[tuple[int, int]], int] | None = None
    device: JpegOnDevice | None = None
    told: Callable[[str], None] = lambda why: None
    admit: Callable[[int], None] | None = None

    def check(self, size: tuple[int, int], frames: int = 1, bytes_per_pixel: int = 3) -> None:
        """Refuse what is empty or too large, before anything is allocated. `size` is (height, width)."""
        height, width = size
        if height <= 0 or width <= 0 or frames <= 0:
            raise CodecError(f"an empty image ({width}×{height})")
        if frames > MAX_FRAMES:
            raise CodecError(f"{frames} frames; at most {MAX_FRAMES} are read")
        pixels = height * width * frames
        if pixels > self.max_pixels:
            times = f" × {frames} frames" if frames > 1 else ""
            raise CodecError(f"{width}×{height} pixels{times} are more than --max-pixels {self.max_pixels}")
        if self.admit is not None:
            self.admit(pixels * bytes_per_pixel)


class Checked(io.BufferedIOBase):
    """An open file without its descriptor. NumPy and Pillow write to a descriptor if they find one, and neither notices when a
    full disk takes only a part; Python's own files do.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.write, self.read, self.seek = file.write, file.read, file.seek  # type: ignore[method-assign]
        self.tell, self.flush = file.tell, file.flush  # type: ignore[method-assign]

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def close(self) -> None:
        """The file belongs to someone else."""


def stand_up(frame: Frame, turn: int) -> Frame:
    """Apply the EXIF orientation `turn` (1…8) to the pixels."""
    if turn == 1:
        return frame
    a = frame.pixels
    turned = {
        2: lambda: a[:, ::-1],
        3: lambda: a[::-1, ::-1],
        4: lambda: a[::-1],
        5: lambda: a.transpose(1, 0, 2),
        6: lambda: a[::-1].transpose(1, 0, 2),
        7: lambda: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda: a[:, ::-1].transpose(1, 0, 2),
    }[turn]()
    height, width = frame.full_size
    full = (width, height) if turn >= 5 else (height, width)
    return replace(frame, pixels=np.ascontiguousarray(turned), full_size=full)


def take_exif(exif: bytes | None, xmp: bytes | None) -> tuple[int, bytes | None, bytes | None, tuple[str, ...]]:
    """(orientation, EXIF and XMP with the orientation reset, notes). A broken EXIF block is left behind, with a note."""
    if exif is not None and exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    turn, notes = 1, ()
    if exif:
        try:
            turn = orientation(exif)
            exif = upright(exif, (0, 0)) if turn != 1 else exif
        except (ExifError, ValueError, IndexError):
            exif, notes = None, ("its EXIF block is broken and was left behind",)
    return turn, exif or None, upright_xmp(xmp) if xmp else None, notes


def exif_for(metadata: Metadata, size: tuple[int, int]) -> bytes | None:
    """The EXIF block for an output of `size` (height, width)."""
    return upright(metadata.exif, size) if metadata.exif else None
