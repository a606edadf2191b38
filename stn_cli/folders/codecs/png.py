"""PNG: decoded by libspng and libpng (imagecodecs) or Pillow, encoded with a NumPy filter and ISA-L's deflate.

ISA-L writes about as few bytes as zlib's level 1 in a quarter of its time; `tests/benchmarks/codecs.py` shows it.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from struct import pack
from typing import BinaryIO

import imagecodecs
import numpy as np
from isal import isal_zlib

from stn_cli.core.need import Window
from stn_cli.folders.codecs.base import CodecError, Reading, blank, exif_for, stand_up, take_exif
from stn_cli.folders.codecs.png_chunks import SIGNATURE, Chunks, bare, check_amount, chunk, metadata_chunks, parse
from stn_cli.folders.codecs.png_stored import stored
from stn_cli.folders.picture import Frame, Metadata, Picture

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_PLAIN = (_GREY, _RGB, _RGBA)
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
# Rows are filtered and deflated in bands of about this many bytes: they stay in the cache, whatever the size of the image.
_BAND = 1 << 20
# The part of the rows up to which stopping early gains more than it costs to ask for it.
_WORTH = 0.95
_NONE, _SUB, _UP = 0, 1, 2


def read(data: bytes, reading: Reading) -> Picture:
    """Decode a PNG or APNG file. Raises `CodecError`."""
    header = parse(data)
    if header.colour not in _CHANNELS or header.bits not in (1, 2, 4, 8, 16):
        raise CodecError(f"PNG with colour type {header.colour} and {header.bits} bits does not exist")
    turn, exif, xmp, notes = take_exif(header.exif, header.xmp)
    metadata = Metadata(header.icc, exif, xmp, header.dpi, tuple(header.kept))
    notes += tuple(header.notes)
    if header.frames > 1:
        if header.bits == 16:
            raise CodecError("an animated PNG with 16 bits a sample, which stn cannot keep")
        from stn_cli.folders.codecs import pillow

        moving = pillow.read_animation(data, "PNG", reading)
        frames = tuple(stand_up(frame, turn) for frame in moving.frames)
        return replace(moving, frames=frames, format="png", metadata=metadata, loop=header.plays, notes=notes)
    reading.check(header.size, bytes_per_pixel=4 * max(header.bits // 8, 1))
    frame = stand_up(_decode(data, header, turn, reading), turn)
    return Picture((frame,), "png", metadata, notes=notes)


def _decode(data: bytes, header: Chunks, turn: int, reading: Reading) -> Frame:
    if header.colour == _PALETTE and not header.palette:
        raise CodecError("the PNG file lacks its palette")
    if header.colour == _PALETTE or header.bits < 8:
        from stn_cli.folders.codecs import pillow

        frame = pillow.decode_still(data, "PNG")
        return frame if reading.indices else frame.expanded()
    if (
        header.ended
        and header.bits == 8
        and header.colour in _PLAIN
        and not header.interlaced
        and not header.transparency
    ):
        window = reading.needed(header.size, turn).window
        if window is not None and window.bottom <= _WORTH * header.size[0]:
            return _beginning(data, header, window.bottom)
    pixels = _channels(data, header)
    colours = 1 if header.colour in (_GREY, _GREY_ALPHA) else 3
    if header.transparency is not None and pixels.shape[2] == colours:
        pixels = _keyed(pixels, header.transparency)
    mode = "L" if colours == 1 else "RGB"
    return Frame(pixels, mode, "alpha" if pixels.shape[2] > colours else None)


def _beginning(data: bytes, header: Chunks, rows: int) -> Frame:
    """The first `rows` rows: every row is coded as its difference from those above. A decoder stops where its header ends."""
    height, width = header.size
    channels = _CHANNELS[header.colour]
    pixels = blank((height, width, channels), np.dtype(np.uint8))
    head = chunk(b"IHDR", pack(">II", width, rows) + data[24:29])
    room = pixels[:rows] if channels > 1 else pixels[:rows, :, 0]
    imagecodecs.spng_decode(bare(SIGNATURE + head, header), out=room)
    mode = "L" if header.colour == _GREY else "RGB"
    return Frame(pixels, mode, "alpha" if header.colour == _RGBA else None, window=Window(0, 0, rows, width))


def _channels(data: bytes, header: Chunks) -> np.ndarray:
    """(H, W, C) uint8 or uint16. libspng is silent and quick but does not know every layout."""
    channels = _CHANNELS[header.colour]
    if header.bits == 8 and channels == 2:
        from stn_cli.folders.codecs import pillow

        return pillow.decode_still(data, "PNG").pixels
    if header.bits == 8:
        pixels = imagecodecs.spng_decode(stored(data, header, header.size[1] * channels))
    else:
        if not header.interlaced:
            check_amount(header, header.size[1] * channels * 2)
        pixels = imagecodecs.png_decode(bare(data, header))
    return pixels.reshape(*header.size, channels)


def _keyed(pixels: np.ndarray, transparency: bytes) -> np.ndarray:
    """A colour declared transparent (tRNS) made an alpha channel."""
    if len(transparency) != 2 * pixels.shape[2]:
        return pixels
    key = np.frombuffer(transparency, ">u2")
    opaque = (pixels != key.astype(pixels.dtype)).any(axis=2, keepdims=True)
    return np.concatenate([pixels, opaque.astype(pixels.dtype) * np.iinfo(pixels.dtype).max], axis=2)


def write(picture: Picture, file: BinaryIO) -> None:
    """Encode mode 1, L, P or RGB, uint8 or uint16, with or without alpha; animations as APNG with whole frames."""
    first = picture.frames[0]
    bits, colour = _layout(first)
    height, width = first.size
    file.write(SIGNATURE + chunk(b"IHDR", pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)))
    metadata = picture.metadata
    kept = metadata.native if picture.format == "png" else ()
    for part in metadata_chunks(metadata.icc, exif_for(metadata, first.size), metadata.xmp, metadata.dpi, kept):
        file.write(part)
    if first.palette is not None:
        file.write(chunk(b"PLTE", first.palette[:, :3].tobytes()))
        if first.palette.shape[1] == 4:
            file.write(chunk(b"tRNS", first.palette[:, 3].tobytes()))
    if picture.animated:
        _write_animation(picture, file)
    else:
        for body in _deflated(first, bits):
            file.write(chunk(b"IDAT", body))
    file.write(chunk(b"IEND", b""))


def _layout(frame: Frame) -> tuple[int, int]:
    """(bits a sample, colour type)."""
    if frame.mode == "1":
        return 1, _GREY
    if frame.mode == "P":
        assert frame.palette is not None
        count = len(frame.palette)
        return (1 if count <= 2 else 2 if count <= 4 else 4 if count <= 16 else 8), _PALETTE
    colour = {("L", False): _GREY, ("L", True): _GREY_ALPHA, ("RGB", False): _RGB, ("RGB", True): _RGBA}
    return 8 * frame.pixels.dtype.itemsize, colour[frame.mode, frame.alpha]


def _write_animation(picture: Picture, file: BinaryIO) -> None:
    """fcTL and whole frames; every frame replaces the one before (blend and dispose 0)."""
    frames = picture.frames
    file.write(chunk(b"acTL", pack(">II", len(frames), picture.loop or 0)))
    number = 0
    for frame in frames:
        delay = Fraction((frame.duration or 0) / 1000).limit_denominator(1000)
        height, width = frame.size
        control = pack(
            ">IIIIIHHBB",
            number,
            width,
            height,
            0,
            0,
            min(delay.numerator, 65535),
            delay.denominator,
            0,
            0,
        )
        file.write(chunk(b"fcTL", control))
        number += 1
        for body in _deflated(frame, _layout(frame)[0]):
            if frame is frames[0]:
                file.write(chunk(b"IDAT", body))
            else:
                file.write(chunk(b"fdAT", pack(">I", number) + body))
                number += 1


def _deflated(frame: Frame, bits: int) -> Iterator[bytes]:
    """The zlib stream of the filtered rows, in pieces."""
    height = frame.size[0]
    row_bytes = max(frame.size[1] * frame.pixels.shape[2] * frame.pixels.dtype.itemsize, 1)
    rows = max(_BAND // row_bytes, 1)
    step = max(frame.pixels.shape[2] * frame.pixels.dtype.itemsize, 1)
    stream = isal_zlib.compressobj(1)
    above = None
    for top in range(0, height, rows):
        band = _row_bytes(frame.pixels[top : top + rows], frame, bits)
        piece = stream.compress(_filtered(band, above, 0 if frame.indexed else step))
        if piece:
            yield piece
        above = band[-1:]
    yield stream.flush()


def _row_bytes(band: np.ndarray, frame: Frame, bits: int) -> np.ndarray:
    """The rows as PNG stores them, (rows, bytes) uint8: big-endian samples, indices packed from the left."""
    rows = band.shape[0]
    if bits == 16:
        return np.ascontiguousarray(band, ">u2").view(np.uint8).reshape(rows, -1)
    flat = np.ascontiguousarray(band).reshape(rows, -1)
    if bits == 8:
        return flat
    per = 8 // bits
    padded = np.zeros((rows, -(-flat.shape[1] // per) * per), np.uint8)
    padded[:, : flat.shape[1]] = flat
    shifts = np.arange(per - 1, -1, -1, dtype=np.uint8) * np.uint8(bits)
    return np.bitwise_or.reduce(padded.reshape(rows, -1, per) << shifts, axis=2)


def _filtered(band: np.ndarray, above: np.ndarray | None, step: int) -> np.ndarray:
    """The band behind its filter bytes: Sub or Up, whichever leaves the smaller differences in every eighth row."""
    rows, width = band.shape
    out = np.empty((rows, width + 1), np.uint8)
    if step == 0:
        out[:, 0], out[:, 1:] = _NONE, band
        return out
    sample = band[1::8]
    up = sample - band[:-1:8][: len(sample)]
    sub = sample[:, step:] - sample[:, :-step]
    if len(sample) and np.abs(up.view(np.int8)).sum(dtype=np.int64) < np.abs(sub.view(np.int8)).sum(dtype=np.int64):
        out[:, 0] = _UP
        np.subtract(band[1:], band[:-1], out=out[1:, 1:])
        out[0, 1:] = band[0] if above is None else band[0] - above[0]
    else:
        out[:, 0], out[:, 1 : 1 + step] = _SUB, band[:, :step]
        np.subtract(band[:, step:], band[:, :-step], out=out[:, 1 + step :])
    return out
