"""From a path to a `Picture` and back. Each format has one library that serves it best; this file knows which.

JPEG              simplejpeg (libjpeg-turbo; CMYK by Pillow)
PNG               read by imagecodecs (libspng, libpng) or, palettes and animations, Pillow; written by NumPy + ISA-L
TIFF              tifffile + imagecodecs
GIF               read by Pillow, written frame by frame with Pillow's coder
everything else   Pillow
"""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from stn_cli.errors import FileError
from stn_cli.folders.codecs.base import MAX_PIXELS, Checked, CodecError, Reading
from stn_cli.folders.codecs.fitting import fit
from stn_cli.folders.picture import Picture
from stn_cli.folders.remote import Place, Remote

__all__ = ["MAX_PIXELS", "CodecError", "Reading", "content", "decode", "encode", "read"]

# A picture's pixels take at most 8 bytes each; a file much larger than that is not what it says.
_ALLOWANCE = 64 << 20
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# their writers take rows as they come, or pixels on a device; the others want an array
_AS_IT_IS = ("png", "tiff", "jpeg")
# theirs hand over the file in one piece, which needs no buffer
IN_ONE_PIECE = ("jpeg",)
_LARGE = 8 << 20  # bytes of a file that is not read whole if its format can do without


def read(path: Place, reading: Reading | None = None) -> Picture:
    """Decode the file at `path`, upright. Raises `FileError` with the reason, for anything that can be wrong with it."""
    reading = reading or Reading()
    try:
        if isinstance(path, Remote):
            return decode(_fetched(path, reading), reading)
        size = _size(path, reading)
        if size > _LARGE and (large := _large_tiff(path, reading)):
            return large
        return decode(_bytes(path, size), reading)
    except FileError:
        raise
    except Exception as error:  # hostile bytes make foreign decoders raise anything; whatever it is, it is this file's
        raise FileError(path, reason(error)) from error


def encode(
    picture: Picture,
    file: BinaryIO,
    target: str,
    *,
    quality: int | None = None,
    background: tuple[int, int, int] | None = None,
) -> None:
    """Write `picture` into an open file (binary, seekable, readable) as `target`, one of `formats.FORMATS`.

    `quality` is 1…100 for JPEG and WebP (default 90; a lossless WebP stays lossless). A format without alpha gets the picture
    composited on `background` (0…255 RGB) and refuses it where none is given. Raises `CodecError` where the format cannot hold
    the content.
    """
    picture = fit(picture, target, background)
    if target not in _AS_IT_IS and any(not isinstance(frame.pixels, np.ndarray) for frame in picture.frames):
        picture = picture.with_frames([frame.with_pixels(np.asarray(frame.pixels)) for frame in picture.frames])
    file = cast(BinaryIO, Checked(file))
    if target == "jpeg":
        from stn_cli.folders.codecs import jpeg

        jpeg.write(picture, file, quality)
    elif target == "png":
        from stn_cli.folders.codecs import png

        png.write(picture, file)
    elif target == "tiff":
        from stn_cli.folders.codecs import tiff

        tiff.write(picture, file)
    elif target == "gif":
        from stn_cli.folders.codecs import gif

        gif.write(picture, file)
    else:
        from stn_cli.folders.codecs import others

        others.write(picture, file, target, quality)


def reason(error: BaseException) -> str:
    """An exception in one line, without a path: for `FileError`."""
    if isinstance(error, CodecError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    text = "its beginning is that of no known format" if _unknown(error) else " ".join(str(error).split())
    return f"damaged or not an image ({text or type(error).__name__})"


def _unknown(error: BaseException) -> bool:
    from PIL import UnidentifiedImageError

    return isinstance(error, UnidentifiedImageError)  # whose own words show the address of a Python object


def content(path: Place, reading: Reading) -> bytes:
    """The bytes of the file at `path`. Raises `CodecError` and `OSError`: half of `read`."""
    if isinstance(path, Remote):
        return _fetched(path, reading)
    return _bytes(path, _size(path, reading))


def _size(path: Path, reading: Reading) -> int:
    # A FIFO or a device would block or never end: look before opening.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CodecError("is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if status.st_size > 8 * reading.max_pixels + _ALLOWANCE:
        raise CodecError(f"{status.st_size} bytes are more than --max-pixels allows")
    return status.st_size


def _bytes(path: Path, size: int) -> bytes:
    # Without a file object: each of its calls to the system lets another worker have the interpreter.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        data = os.read(descriptor, size + 1)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    finally:
        os.close(descriptor)
    if not data:
        raise CodecError("the file is empty")
    return data


def _large_tiff(path: Path, reading: Reading) -> Picture | None:
    """A TIFF read from its file, what is needed of it strip by strip, so that it is not in memory beside its pixels; None for
    other formats."""
    with path.open("rb") as file:
        if file.read(4) not in _TIFF:
            return None
        from stn_cli.folders.codecs import tiff

        file.seek(0)
        return tiff.read_file(file, reading)


def _fetched(remote: Remote, reading: Reading) -> bytes:
    data = remote.read(8 * reading.max_pixels + _ALLOWANCE)
    if not data:
        raise CodecError("the file is empty")
    return data


def decode(data: bytes, reading: Reading) -> Picture:
    """What the bytes of a file show, upright. Raises anything that a decoder raises: the other half of `read`."""
    picture = _decoder(data)(data, reading)
    return picture if picture.animated or picture.loop is None else replace(picture, loop=None)


def _decoder(data: bytes) -> Callable[[bytes, Reading], Picture]:
    """By content, never by name."""
    if data[:2] == b"\xff\xd8":
        from stn_cli.folders.codecs import jpeg

        return jpeg.read
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        from stn_cli.folders.codecs import png

        return png.read
    if data[:4] in _TIFF:
        from stn_cli.folders.codecs import tiff

        return tiff.read
    from stn_cli.folders.codecs import pillow

    return pillow.read
