"""PNG files that are inflated before libspng sees them: the same pixels, and whatever is wrong is told as libspng tells it."""

import zlib
from itertools import pairwise
from struct import pack

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_cli.folders.codecs.png_chunks import SIGNATURE, bare, chunk, parse
from stn_cli.folders.codecs.png_stored import stored

COLOURS = {1: 0, 3: 2, 4: 6}


def png(width: int, height: int, channels: int, idat: list[bytes]) -> bytes:
    header = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0))
    return b"".join((SIGNATURE, header, *(chunk(b"IDAT", part) for part in idat), chunk(b"IEND", b"")))


def outcome(data: bytes) -> bytes | str:
    try:
        return imagecodecs.spng_decode(data).tobytes()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def rows(width: int, height: int, channels: int, filters: list[int], seed: int = 0) -> bytes:
    """Any bytes are rows of a PNG: noise behind every kind of filter."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width * channels), dtype=np.uint8)
    kinds = np.resize(np.array(filters, np.uint8), (height, 1))
    return np.hstack([kinds, noise]).tobytes()


@given(
    width=st.integers(1, 90), height=st.integers(1, 90), channels=st.sampled_from([1, 3, 4]),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=5), cuts=st.lists(st.integers(0, 3000), max_size=4),
    level=st.integers(0, 9), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_pixels_are_the_same(width, height, channels, filters, cuts, level, seed):
    packed = zlib.compress(rows(width, height, channels, filters, seed), level)
    edges = [0, *sorted(cuts), len(packed)]
    data = png(width, height, channels, [packed[a:b] for a, b in pairwise(edges)])
    found = stored(data, parse(data), width * channels)
    np.testing.assert_array_equal(imagecodecs.spng_decode(found), imagecodecs.spng_decode(data))


def test_it_is_stored():
    """More than one block of 65,535 bytes, and none of them compressed."""
    data = png(300, 200, 3, [zlib.compress(bytes(901 * 200))])
    found = stored(data, parse(data), 900)
    assert len(found) > 901 * 200
    assert not imagecodecs.spng_decode(found).any()


WHOLE = rows(40, 30, 3, [0, 1, 2, 3, 4])
PACKED = zlib.compress(WHOLE)
WRONG = {
    "cut off": [PACKED[:-40]],
    "without its checksum": [PACKED[:-4]],
    "a wrong checksum": [PACKED[:-4] + b"\0\0\0\0"],
    "a wrong byte": [PACKED[:500] + bytes([PACKED[500] ^ 255]) + PACKED[501:]],
    "no stream": [b"\0" * 100],
    "empty": [b""],
    "too few rows": [zlib.compress(WHOLE[:-121])],
    "too many rows": [zlib.compress(WHOLE + WHOLE)],
    "something after the stream": [PACKED + b"more"],
    "an unknown filter": [zlib.compress(b"\7" + WHOLE[1:])],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_left_to_the_decoder(what):
    data = png(40, 30, 3, WRONG[what])
    assert outcome(stored(data, parse(data), 120)) == outcome(bare(data, parse(data)))


def test_a_damaged_chunk_is_left_to_the_decoder():
    data = png(40, 30, 3, [PACKED])
    data = data[:-16] + bytes([data[-16] ^ 1]) + data[-15:]  # in the checksum of IDAT
    assert stored(data, parse(data), 120) == bare(data, parse(data))
