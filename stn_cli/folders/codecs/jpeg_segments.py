"""The segments of a JPEG file before its first scan (ITU-T T.81, annex B), and the ones that stn writes."""

import re
from dataclasses import dataclass, field

from stn_cli.folders.codecs.base import MAX_METADATA, CodecError

EXIF, XMP, ICC, MPF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0"
_EOI, _SOS, _COM, _APP1, _APP2, _APP13, _APP14 = 0xD9, 0xDA, 0xFE, 0xE1, 0xE2, 0xED, 0xEE
_TABLES = {0xC4, 0xDB, 0xDD}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}

# A marker that has a length, its code and its length; stray bytes and fill before it are forgiven
_SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])(..)", re.DOTALL)
# In coded data: neither a stuffed 0xFF nor a restart
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)


@dataclass
class Segments:
    """What the header says. `size` is (height, width) as stored; `kept` are whole segments to repeat.

    `process` is the marker of the frame (baseline, progressive, …); `rgb`: colours are not turned into YCbCr; `scan` is where
    the first scan begins.
    """

    size: tuple[int, int] = (0, 0)
    bits: int = 0
    components: int = 0
    subsampling: str | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    kept: list[bytes] = field(default_factory=list)
    more_pictures: bool = False
    process: int = 0
    rgb: bool = False
    scan: int = 0


def parse(data: bytes) -> Segments:
    """Read the header. Raises `CodecError` where it is cut off or is no JPEG."""
    if data[:2] != b"\xff\xd8":
        raise CodecError("not a JPEG file")
    found = Segments()
    profile: dict[int, bytes] = {}
    at = 2
    while True:
        start = _SEGMENT.search(data, at)
        if start is None:
            raise CodecError("the JPEG file ends in its header")
        marker, first = start[1][0], start.start(1) - 1
        if marker in (_SOS, _EOI):
            found.scan = first
            break
        at = first + 2 + int.from_bytes(start[2], "big")
        if not start.end() <= at <= len(data):
            raise CodecError("the JPEG file ends in its header")
        if marker in _TABLES:
            continue
        body = data[start.end() : at]
        if marker in _FRAMES:
            _frame(found, body)
            found.process = marker
        elif marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 12:
            found.dpi = _density(body)
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            found.rgb |= body[11] == 0
        elif marker == _APP1 and body.startswith(EXIF):
            found.exif = found.exif or body[len(EXIF) :]
        elif marker == _APP1 and body.startswith(XMP):
            found.xmp = found.xmp or body[len(XMP) :]
        elif marker == _APP2 and body.startswith(ICC) and len(body) > 14:
            profile.setdefault(body[12], body[14:])
        elif marker == _APP2 and body.startswith(MPF):
            found.more_pictures = True
        elif marker in (_APP1, _APP13, _COM):
            found.kept.append(data[first:at])
    if not found.components:
        raise CodecError("the JPEG file holds no picture")
    found.icc = b"".join(profile[i] for i in sorted(profile)) or None
    if found.icc and len(found.icc) > MAX_METADATA:
        raise CodecError("its ICC profile is absurdly large")
    return found


def _frame(found: Segments, body: bytes) -> None:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise CodecError("the JPEG file ends in its header")
    found.bits = body[0]
    found.size = (int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"))
    found.components = body[5]
    found.rgb |= bytes(body[6 + 3 * i] for i in range(found.components)) == b"RGB"
    factors = [(body[7 + 3 * i] >> 4, body[7 + 3 * i] & 15) for i in range(found.components)]
    if found.components == 3 and factors[1] == factors[2] == (1, 1):
        found.subsampling = _SUBSAMPLING.get(factors[0])


def end(data: bytes, found: Segments) -> int | None:
    """Where a file of one scan ends, behind its EOI; None where the scan breaks off or another segment follows it."""
    marker = _MARKER.search(data, found.scan + 4)
    return marker.end() if marker and marker.group().endswith(b"\xd9") else None


def _density(body: bytes) -> tuple[float, float] | None:
    unit, x, y = body[7], int.from_bytes(body[8:10], "big"), int.from_bytes(body[10:12], "big")
    if not x or not y or unit not in (1, 2):
        return None
    return (x, y) if unit == 1 else (x * 2.54, y * 2.54)


def segment(marker: int, body: bytes) -> bytes:
    """One segment with its marker and length. Raises `CodecError` where it does not fit into 65,533 bytes."""
    if len(body) > 65533:
        raise CodecError(f"{len(body)} bytes of metadata do not fit into a JPEG segment")
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def profile_segments(icc: bytes) -> list[bytes]:
    """An ICC profile in as many segments as it takes (ICC.1, annex B.4)."""
    most = 65519
    parts = [icc[i : i + most] for i in range(0, len(icc), most)]
    if len(parts) > 255:
        raise CodecError("its ICC profile does not fit into a JPEG file")
    return [segment(_APP2, ICC + bytes((i, len(parts))) + part) for i, part in enumerate(parts, 1)]
