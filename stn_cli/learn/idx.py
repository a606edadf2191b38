"""IDX files, the format of MNIST: a checked, bounded reader.

Bytes 0-1 are zero, byte 2 the type (0x08: uint8, the only one MNIST and its relatives use), byte 3 the number
of axes, then one big-endian uint32 an axis, then the data, last axis fastest. A file may be gzipped.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from stn_cli.errors import FileError

MOST_BYTES = 256 * 2**20  # five times MNIST: what a file may claim, or unpack to


def read_idx(path: Path, axes: int) -> tuple[np.ndarray, str]:
    """An IDX file of uint8 with `axes` axes: the array, and the SHA-256 of the unpacked file.

    Raises `FileError` when the file is not IDX, not uint8, cut, too long, damaged or absurdly large.
    """
    content = unpack(path)
    header = 4 + 4 * axes
    if len(content) < header or content[:2] != b"\0\0":
        raise FileError(path, "not an IDX file (it must begin with two zero bytes)")
    if content[2] != 8 or content[3] != axes:
        raise FileError(
            path, f"holds type 0x{content[2]:02x} with {content[3]} axes; uint8 (0x08) with {axes} is needed"
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = header
    for length in shape:
        expected = header + (expected - header or 1) * length
    if len(content) != expected:
        raise FileError(path, f"{len(content)} bytes, but its header {shape} asks for {expected}: cut or damaged")
    array = np.frombuffer(content, np.uint8, offset=header).reshape(shape)
    return array, hashlib.sha256(content).hexdigest()


def unpack(path: Path) -> bytes:
    """The content of a plain or gzipped file, at most `MOST_BYTES` of it."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if zipped else raw
            content = bytearray()  # in pieces: asked for all at once, the buffer is made before a byte is read
            while len(content) <= MOST_BYTES and (piece := stream.read(1 << 20)):
                content += piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(path, f"damaged gzip file ({error})") from error
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from error
    if len(content) > MOST_BYTES:
        raise FileError(path, f"larger than {MOST_BYTES // 2**20} MiB unpacked; not a data set of 28×28 digits")
    return bytes(content)
