"""The chunks of a PNG file (W3C PNG, third edition): which there are, which survive a warp, and how they are framed."""

import struct
import zlib
from dataclasses import dataclass, field

from isal import isal_zlib

from stn_cli.folders.codecs.base import MAX_METADATA, CodecError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour and words: true of the warped picture as well. The first are written before the palette, the others before the pixels.
_COLOUR = (b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_WORDS = (b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp"
_MOST_TEXT = 1 << 20
_MOST_CHUNKS = 1_000_000


@dataclass
class Chunks:
    """What the chunks say. `size` is (height, width); `kept` are whole chunks to repeat; `ended`: the last one is there."""

    size: tuple[int, int] = (0, 0)
    bits: int = 0
    colour: int = 0
    frames: int = 1
    plays: int | None = None
    interlaced: bool = False
    ended: bool = False
    pixels: list[memoryview] = field(default_factory=list)
    palette: bool = False
    transparency: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    kept: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse(data: bytes) -> Chunks:
    """Walk over the chunks. Raises `CodecError` where the first is not a sane IHDR."""
    if data[:8] != SIGNATURE or data[12:16] != b"IHDR" or len(data) < 33:
        raise CodecError("not a PNG file")
    width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    found = Chunks((height, width), bits, colour, interlaced=interlaced != 0)
    at = 33
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        found.ended = kind == b"IEND"
        if found.ended or at + 12 + length > len(data):
            break
        if kind == b"IDAT":
            found.pixels.append(memoryview(data)[at : at + 12 + length])
        else:
            whole = data[at : at + 12 + length]
            if zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
                found.notes.append(f"its damaged {kind.decode('latin-1')!r} chunk was left behind")
            else:
                _take(found, kind, whole)
        at += 12 + length
    if not found.pixels:
        raise CodecError("the PNG file holds no pixels")
    return found


def bare(data: bytes, found: Chunks) -> bytes:
    """The file with nothing but its header and pixels: a decoder then has nothing else to stumble over or complain of."""
    return b"".join((data[:33], *found.pixels, chunk(b"IEND", b"")))


def check_amount(found: Chunks, row_bytes: int) -> None:
    """Refuse a file that inflates to more or less than its rows; libpng would print a warning and go on."""
    expected = found.size[0] * (1 + row_bytes)
    stream = zlib.decompressobj()
    count = 0
    for whole in found.pixels:
        piece = whole[8:-4]
        while piece and not stream.eof and count <= expected:
            count += len(stream.decompress(piece, 1 << 20))
            piece = stream.unconsumed_tail
    if count != expected:
        raise CodecError(f"damaged: {'more' if count > expected else 'fewer'} pixels than its header says")


def _take(found: Chunks, kind: bytes, whole: bytes) -> None:
    body = whole[8:-4]
    if kind in _COLOUR:
        found.kept.append(whole)
    elif kind in _WORDS:
        if kind == b"iTXt" and body.startswith(_XMP + b"\0"):
            found.xmp = _international(body)
            if found.xmp is None:
                found.notes.append("its damaged XMP packet was left behind")
        elif _modest(kind, body):
            found.kept.append(whole)
        else:
            found.notes.append("compressed text that is damaged or absurdly large was left behind")
    elif kind == b"PLTE":
        found.palette = True
    elif kind == b"tRNS":
        found.transparency = body
    elif kind == b"eXIf":
        found.exif = body
    elif kind == b"iCCP":
        _, _, rest = body.partition(b"\0")
        try:
            found.icc = inflate(rest[1:])
        except (CodecError, zlib.error):
            found.notes.append("its damaged ICC profile was left behind")
    elif kind == b"pHYs" and len(body) == 9:
        x, y, unit = struct.unpack(">IIB", body)
        if unit == 1 and x and y:
            found.dpi = (x * 0.0254, y * 0.0254)
    elif kind == b"acTL" and len(body) == 8:
        found.frames, found.plays = struct.unpack(">II", body)


def _modest(kind: bytes, body: bytes) -> bool:
    """No bomb is passed on: does the text inflate to what readers accept?"""
    if kind == b"zTXt":
        packed: bytes | None = body.partition(b"\0")[2][1:]
    elif kind == b"iTXt":
        _, _, rest = body.partition(b"\0")
        packed = rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else None
    else:
        packed = None
    try:
        return packed is None or len(inflate(packed, _MOST_TEXT)) <= _MOST_TEXT
    except (CodecError, zlib.error):
        return False


def _international(body: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    _, _, rest = body.partition(b"\0")
    packed, rest = rest[:1] == b"\1", rest[2:]
    _, _, rest = rest.partition(b"\0")
    _, _, text = rest.partition(b"\0")
    try:
        return inflate(text) if packed else text
    except (CodecError, zlib.error):
        return None


def inflate(packed: bytes, most: int = MAX_METADATA) -> bytes:
    """Inflate metadata, but never a bomb."""
    stream = zlib.decompressobj()
    text = stream.decompress(packed, most)
    if stream.unconsumed_tail or not stream.eof:
        raise CodecError("compressed metadata is damaged or absurdly large")
    return text


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk with length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", isal_zlib.crc32(body, isal_zlib.crc32(kind)))


def metadata_chunks(
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    dpi: tuple[float, float] | None,
    kept: tuple[bytes, ...],
) -> list[bytes]:
    """Everything that goes between IHDR and PLTE, in the order that the standard asks for."""
    parts = [c for c in kept if c[4:8] in _COLOUR]
    if icc:
        parts.append(chunk(b"iCCP", b"ICC\0\0" + zlib.compress(icc)))
    if dpi:
        x, y = (min(max(round(value / 0.0254), 1), 2**31 - 1) for value in dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if exif:
        parts.append(chunk(b"eXIf", exif))
    if xmp:
        parts.append(chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + xmp))
    return parts + [c for c in kept if c[4:8] in _WORDS]
