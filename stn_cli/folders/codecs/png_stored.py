"""A PNG inflated by ISA-L and wrapped again without compression, for libspng: zlib's inflate is most of its time."""

from struct import pack

from isal import isal_zlib

from stn_cli.folders.codecs.png_chunks import SIGNATURE, Chunks, bare, chunk

_MOST = 64 << 20  # bytes of rows: they are in memory twice beside the pixels
_BLOCK = 65535  # bytes of a stored block (RFC 1951, 3.2.4)


def stored(data: bytes, found: Chunks, row_bytes: int) -> bytes:
    """What `bare` returns, its rows of `row_bytes` stored where that is quicker.

    A file that is large or interlaced, or in any way not what it should be, stays as it is: the decoder has the last word.
    """
    rows = None if found.interlaced else _rows(found, found.size[0] * (1 + row_bytes))
    if rows is None:
        return bare(data, found)
    parts: list[bytes | memoryview] = [b"IDAT\x78\x01"]
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        parts += (pack("<BHH", at + _BLOCK >= len(rows), len(block), _BLOCK ^ len(block)), block)
    parts.append(pack(">I", isal_zlib.adler32(rows)))
    crc = 0
    for part in parts:
        crc = isal_zlib.crc32(part, crc)
    length = pack(">I", sum(map(len, parts)) - 4)
    return b"".join((SIGNATURE, data[8:33], length, *parts, pack(">I", crc), chunk(b"IEND", b"")))


def _rows(found: Chunks, expected: int) -> memoryview | None:
    """The filtered rows, `expected` bytes from chunks that are whole, else None."""
    if expected > _MOST or any(
        isal_zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big") for whole in found.pixels
    ):
        return None
    stream = isal_zlib.decompressobj()
    try:
        rows = stream.decompress(b"".join(whole[8:-4] for whole in found.pixels), expected + 1)
    except isal_zlib.IsalError:  # pyright: ignore[reportGeneralTypeIssues]  # its stub calls the class a value
        return None
    return memoryview(rows) if len(rows) == expected else None
