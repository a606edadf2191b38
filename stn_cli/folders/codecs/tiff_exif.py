"""EXIF in TIFF files: there it is no block of its own, but tags among the others and directories they point to."""

import struct
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from stn_cli.folders.codecs.base import MAX_METADATA

_EXIF, _GPS = 0x8769, 0x8825
# Words about the picture in IFD0; everything else there describes how the pixels lie in the file.
_WORDS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
_HEAD = {"<": b"II*\0", ">": b"MM\0*"}


def block(data: bytes) -> bytes | None:
    """The EXIF of a TIFF file as a block that other formats carry; None where there is none or it is broken."""
    try:
        found = Image.Exif()
        found.load_from_fp(BytesIO(data))
        kept = Image.Exif()
        for tag in _WORDS:
            if tag in found:
                kept[tag] = found[tag]
        for directory in (_EXIF, _GPS):
            inner = found.get_ifd(directory)
            if inner:
                kept.get_ifd(directory).update(inner)
        packed = kept.tobytes() if len(kept) or kept.get_ifd(_EXIF) or kept.get_ifd(_GPS) else b""
    except Exception:  # hostile bytes in a foreign parser: without EXIF the picture is still whole
        return None
    packed = packed.removeprefix(b"Exif\0\0")
    return packed if 14 < len(packed) <= MAX_METADATA else None


def split(exif: bytes | None, size: tuple[int, int]) -> tuple[list[tuple], dict[int, Any]]:
    """(tags for IFD0 as tifffile takes them, directories by the tag that points to them) of an EXIF block."""
    if not exif:
        return [], {}
    loaded = Image.Exif()
    loaded.load(b"Exif\0\0" + exif)
    tags = []
    for tag in _WORDS:
        value = loaded.get(tag)
        if isinstance(value, str):
            tags.append((tag, 2, 0, value, True))
        elif isinstance(value, bytes):
            tags.append((tag, 1, len(value), value, True))
    inner = {tag: dict(loaded.get_ifd(tag)) for tag in (_EXIF, _GPS)}
    for tag, value in ((0xA002, size[1]), (0xA003, size[0])):
        if tag in inner[_EXIF]:
            inner[_EXIF][tag] = value
    return tags, {tag: values for tag, values in inner.items() if values}


def append(file: BinaryIO, directories: dict[int, Any]) -> None:
    """Write the directories behind a finished TIFF file and point its placeholder tags at them."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    first = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    entries = _positions(file, first, order, big)
    for tag, values in directories.items():
        end = file.seek(0, 2)
        file.write(b"\0" * (end % 2))
        offset = end + end % 2
        directory = ImageFileDirectory_v2(_HEAD[order])
        for key, value in values.items():
            directory[key] = value
        file.write(directory.tobytes(offset))
        file.seek(entries[tag])
        file.write(struct.pack(order + ("Q" if big else "I"), offset))


def _positions(file: BinaryIO, first: int, order: str, big: bool) -> dict[int, int]:
    """Tag of IFD0 → position of its value."""
    file.seek(first)
    width, head = (20, "Q") if big else (12, "H")
    (count,) = struct.unpack(order + head, file.read(8 if big else 2))
    start = file.tell()
    table = file.read(count * width)
    return {
        struct.unpack_from(order + "H", table, i * width)[0]: start + i * width + (12 if big else 8)
        for i in range(count)
    }
