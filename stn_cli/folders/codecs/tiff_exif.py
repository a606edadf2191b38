"""EXIF in TIFF files: there it is no block of its own, but tags among the others and directories they point to."""

import struct
from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from stn_cli.folders.codecs.base import MAX_METADATA

_EXIF, _GPS = 0x8769, 0x8825
# Words about the picture in IFD0; everything else there describes how the pixels lie in the file.
_WORDS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
_HEAD = {"<": b"II*\0\0\0\0\0", ">": b"MM\0*\0\0\0\0"}


def block(file: BinaryIO) -> tuple[bytes | None, bool]:
    """The EXIF of a TIFF file as a block that other formats carry, None where there is none; and whether any of it is broken."""
    broken = False
    try:
        first = _directory(file, None)
        kept = Image.Exif()
        for tag in _WORDS:
            if tag in first:
                kept[tag] = first[tag]
        for tag in (_EXIF, _GPS):
            if isinstance(first.get(tag), int):
                inner = _directory(file, first[tag])
                broken |= not inner
                kept.get_ifd(tag).update(inner)
        packed = kept.tobytes().removeprefix(b"Exif\0\0")
    except Exception:  # hostile bytes in a foreign parser: without EXIF the picture is still whole
        return None, True
    return (packed, broken) if 14 < len(packed) <= MAX_METADATA else (None, broken)


def _directory(file: BinaryIO, offset: int | None) -> dict[int, Any]:
    """The tags of the directory at `offset`, or of the first one."""
    file.seek(0)
    head = file.read(16)
    # Pillow knows BigTIFF by the third byte, which is right for little-endian files only: they all get that header.
    found = ImageFileDirectory_v2(b"II+\0" + head[4:] if 43 in head[2:4] else head[:8], prefix=head[:2])
    file.seek(found.next if offset is None else offset)
    found.load(file)
    return dict(found)


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
    """Give a finished TIFF file these directories: they and a longer IFD0 are written behind it, and the header points there."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    pointer, counter, width = ("Q", "Q", 20) if big else ("I", "H", 12)
    at = 8 if big else 4
    file.seek(struct.unpack_from(order + pointer, head, at)[0])
    (count,) = struct.unpack(order + counter, file.read(struct.calcsize(counter)))
    table = file.read(count * width)
    following = file.read(struct.calcsize(pointer))
    entries = [table[i : i + width] for i in range(0, len(table), width)]
    for tag, values in directories.items():
        offset = _end(file)
        directory = ImageFileDirectory_v2(_HEAD[order])
        for key, value in values.items():
            directory[key] = value
        file.write(directory.tobytes(offset))
        entries.append(struct.pack(order + "HH" + 2 * pointer, tag, 16 if big else 4, 1, offset))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    first = _end(file)
    file.write(struct.pack(order + counter, len(entries)) + b"".join(entries) + following)
    file.seek(at)
    file.write(struct.pack(order + pointer, first))


def _end(file: BinaryIO) -> int:
    """The next even offset behind everything, where the file then stands."""
    end = file.seek(0, 2)
    file.write(b"\0" * (end % 2))
    return end + end % 2
