"""Writing GIF (GIF89a): every frame whole, with a palette and a time of its own, none merged or dropped.

Pillow codes each frame; its own writer of animations joins equal neighbours, and the number of frames would change.
"""

from struct import pack
from typing import BinaryIO

import numpy as np
from PIL import Image

from stn_cli.folders.codecs import pillow
from stn_cli.folders.codecs.base import CodecError
from stn_cli.folders.picture import Frame, Picture


def write(picture: Picture, file: BinaryIO) -> None:
    """Encode uint8 frames. Alpha is cut at one half: a GIF pixel is there or it is not."""
    height, width = picture.frames[0].size
    file.write(b"GIF89a" + pack("<HHBBB", width, height, 0x70, 0, 0))
    if picture.animated and picture.loop is not None:
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + pack("<H", picture.loop) + b"\0")
    comment = picture.coding.get("comment")
    if picture.format == "gif" and isinstance(comment, bytes) and comment:
        file.write(b"!\xfe" + _blocks(comment))
    # disposal 2 clears each frame before the next, which something behind it would show through; 1 leaves it
    disposal = 2 if any(frame.transparent for frame in picture.frames) else 1
    for frame in picture.frames:
        _write_frame(frame, disposal if picture.animated else 0, file)
    file.write(b";")


def _write_frame(frame: Frame, disposal: int, file: BinaryIO) -> None:
    indices, table, clear = _indexed(frame)
    if disposal or clear is not None:
        flags = disposal << 2 | (clear is not None)
        file.write(b"!\xf9\x04" + pack("<BHBB", flags, round((frame.duration or 0) / 10), clear or 0, 0))
    height, width = indices.shape
    bits = max((len(table) - 1).bit_length(), 1)
    padded = np.zeros((2**bits, 3), np.uint8)
    padded[: len(table)] = table
    file.write(b"," + pack("<HHHHB", 0, 0, width, height, 0x80 | (bits - 1)) + padded.tobytes())
    file.write(_lzw(indices))


def _indexed(frame: Frame) -> tuple[np.ndarray, np.ndarray, int | None]:
    """(indices (H, W), colours (n, 3), the see-through index): exact where 256 colours suffice."""
    if frame.mode == "P" and frame.palette is not None:
        indices, table = frame.pixels[..., 0], frame.palette
        if table.shape[1] == 3:
            return indices, table, None
        hidden = np.flatnonzero(table[:, 3] < 128)
        if not len(hidden):
            return indices, table[:, :3], None
        return np.where(np.isin(indices, hidden), hidden[0], indices).astype(np.uint8), table[:, :3], int(hidden[0])
    frame = frame.expanded()
    colours = np.ascontiguousarray(frame.pixels[..., : 3 if frame.mode == "RGB" else 1])
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3)).astype(np.uint32)
    keys = colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
    hidden = frame.pixels[..., -1] < 128 if frame.transparent else None
    seen = keys[~hidden] if hidden is not None else keys
    values = np.unique(seen)
    most = 256 if hidden is None else 255
    if len(values) <= most:
        indices = np.searchsorted(values, keys).clip(0, max(len(values) - 1, 0)).astype(np.uint8)
        table = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1).astype(np.uint8)
    else:
        image = Image.fromarray(colours.astype(np.uint8)).quantize(
            most, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        indices = np.array(image)
        assert image.palette is not None
        table = np.frombuffer(bytes(image.palette.palette), np.uint8).reshape(-1, 3)
    if hidden is None:
        return indices, table, None
    table = np.vstack([table, np.zeros((1, 3), np.uint8)])
    return np.where(hidden, len(table) - 1, indices).astype(np.uint8), table, len(table) - 1


def _lzw(indices: np.ndarray) -> bytes:
    """Minimum code size and data blocks, cut out of a one-frame GIF that Pillow wrote."""
    plain = Frame(
        np.ascontiguousarray(indices)[..., None], "P", palette=np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    )
    coded = pillow.encode_still(plain, "GIF", optimize=False, interlace=0)
    at = 13 + 3 * 2 ** ((coded[10] & 7) + 1)
    while coded[at : at + 1] == b"!":
        at += 2
        while coded[at]:
            at += coded[at] + 1
        at += 1
    if coded[at : at + 1] != b"," or coded[at + 9] & 0x80:
        raise CodecError("Pillow wrote a GIF of an unknown layout")
    return coded[at + 10 : -1]


def _blocks(text: bytes) -> bytes:
    parts = [text[i : i + 255] for i in range(0, len(text), 255)]
    return b"".join(bytes((len(p),)) + p for p in parts) + b"\0"
