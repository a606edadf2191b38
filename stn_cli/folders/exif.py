"""EXIF, patched in place: rewriting the structure would move what a maker note points at.

The block is a TIFF structure (TIFF 6.0; CIPA DC-008): byte order, offset of IFD0, and entries of twelve bytes each.
"""

import re
import struct

ORIENTATION, EXIF_IFD, WIDTH, HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
_SHORT, _LONG = 3, 4


class ExifError(ValueError):
    """The block is not a TIFF structure."""


def orientation(exif: bytes) -> int:
    """1…8 as CIPA DC-008 numbers them; 1 where the tag is absent or absurd. Raises `ExifError` for a broken block."""
    order = _order(exif)
    entry = _entries(exif, order, _first(exif, order)).get(ORIENTATION)
    if entry is None:
        return 1
    value = struct.unpack_from(order + "H", exif, entry + 8)[0]
    return value if 1 <= value <= 8 else 1


def upright(exif: bytes, size: tuple[int, int]) -> bytes:
    """The block for an upright picture of `size` (height, width): orientation 1, new size, no stale thumbnail.

    Raises `ExifError` for a broken block.
    """
    order = _order(exif)
    patched = bytearray(exif)
    first = _first(exif, order)
    entries = _entries(exif, order, first)
    if ORIENTATION in entries:
        struct.pack_into(order + "HIHH", patched, entries[ORIENTATION] + 2, _SHORT, 1, 1, 0)
    if EXIF_IFD in entries:
        (inner,) = struct.unpack_from(order + "I", exif, entries[EXIF_IFD] + 8)
        try:
            details = _entries(exif, order, inner)
        except ExifError:
            details = {}
        for tag, value in ((WIDTH, size[1]), (HEIGHT, size[0])):
            if tag in details:
                struct.pack_into(order + "HII", patched, details[tag] + 2, _LONG, 1, value)
    # IFD1 holds the thumbnail of the picture as it was
    (count,) = struct.unpack_from(order + "H", exif, first)
    after = first + 2 + 12 * count
    if after + 4 <= len(exif):
        struct.pack_into(order + "I", patched, after, 0)
    return bytes(patched)


def upright_xmp(xmp: bytes) -> bytes:
    """An XMP packet says the orientation once more: set to 1, no byte moved."""
    attribute = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\g<2>", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\g<2>", attribute)


def _order(exif: bytes) -> str:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ExifError("no byte order mark")
    return order


def _first(exif: bytes, order: str) -> int:
    return struct.unpack_from(order + "I", exif, 4)[0]


def _entries(exif: bytes, order: str, offset: int) -> dict[int, int]:
    """Tag → position of its entry."""
    if offset < 8 or offset + 2 > len(exif):
        raise ExifError("a directory lies outside")
    (count,) = struct.unpack_from(order + "H", exif, offset)
    if offset + 2 + 12 * count > len(exif):
        raise ExifError("a directory is cut off")
    return {struct.unpack_from(order + "H", exif, at)[0]: at for at in range(offset + 2, offset + 2 + 12 * count, 12)}
