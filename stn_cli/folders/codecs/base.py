"""What the codecs share: the wishes of a reader, and the error that becomes one line about one file."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol

import numpy as np

from stn_cli.core.need import Need, Window
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


@dataclass(slots=True)
class Reading:
    """How to read one file.

    `max_pixels`
        the most pixels that all frames of a file may have together.
    `indices`
        keep palette and 1-bit images as indices (for the kernel `nearest`).
    `need`
        called with the upright (height, width) of a file with one frame before it is decoded; returns what of it is needed.
        A decoder may take it as a licence or decode everything.
    `device`
        decodes colour JPEGs where they are warped; what it does not decode is left to libjpeg-turbo, and `told` why.
    `admit`
        called with the number of bytes that the pixels will take, before they are decoded; may wait until there is room.
    """

    max_pixels: int = MAX_PIXELS
    indices: bool = False
    need: Callable[[tuple[int, int]], Need] | None = None
    device: JpegOnDevice | None = None
    told: Callable[[str], None] = lambda why: None
    admit: Callable[[int], None] | None = None

    def needed(self, size: tuple[int, int], turn: int = 1) -> Need:
        """What is needed of a frame of `size` (height, width) whose pixels will be turned by the EXIF orientation `turn`:
        the window is that of the pixels as they lie in the file."""
        if self.need is None:
            return Need()
        height, width = size
        need = self.need((width, height) if turn >= 5 else size)
        if need.window is None:
            return need
        return replace(need, window=unturned_window(need.window, size, turn))

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
    """An open file that writes all or raises, and has no descriptor: NumPy and Pillow write to one if they find it, and neither
    notices when a full disk takes only a part.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.seek = file.read, file.seek  # type: ignore[method-assign]
        self.tell, self.flush = file.tell, file.flush  # type: ignore[method-assign]

    def write(self, data: Any) -> int:  # anything with a buffer
        size = memoryview(data).nbytes
        written = self._file.write(data)
        while written < size:
            written += self._file.write(memoryview(data).cast("B")[written:])
        return size

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")

    def close(self) -> None:
        """The file belongs to someone else."""


def blank(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Room for a frame of which a window will be decoded. What is not written takes no memory, and is read by nobody; only
    floats must be numbers, as a weight of zero does not silence others."""
    return np.zeros(shape, dtype) if dtype.kind == "f" else np.empty(shape, dtype)


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
    if frame.window is None:
        return replace(frame, pixels=np.ascontiguousarray(turned), full_size=full)
    top, left, bottom, right = window = turned_window(frame.window, frame.size, turn)
    pixels = blank(turned.shape, a.dtype)
    pixels[top:bottom, left:right] = turned[top:bottom, left:right]
    return replace(frame, pixels=pixels, full_size=full, window=window)


def turned_window(window: Window, size: tuple[int, int], turn: int) -> Window:
    """Where a window of pixels of `size` (height, width) lies when they have been turned by the EXIF orientation `turn`."""
    (top, left, bottom, right), (height, width) = window, size
    if turn in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    if turn in (2, 3, 7, 8):
        left, right = width - right, width - left
    return Window(left, top, right, bottom) if turn >= 5 else Window(top, left, bottom, right)


def unturned_window(window: Window, size: tuple[int, int], turn: int) -> Window:
    """The reverse: where a window of upright pixels lies in those of the file, which are of `size` (height, width)."""
    if turn < 5:
        return turned_window(window, size, turn)  # its own inverse
    top, left, bottom, right = window
    return turned_window(Window(left, top, right, bottom), size, {5: 1, 6: 4, 7: 3, 8: 2}[turn])


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
