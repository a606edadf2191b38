"""Hostile files: the sound ones cut, bent and lied about, and some that are made of malice alone.

`corpus(count)` gives the same files every time. The hand-made ones come first, then mutations of all bases in turn.
"""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import PurePath

from tests.corpus.bases import HEIGHT, WIDTH, bases, exif

HUGE = ((65535, 65535), (10**9, 10**9), (0, 0), (2**31 - 1, 1), (1, 2**31 - 1), (0, 7))


def corpus(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, content) of `count` files; every name is used once and has its format's suffix."""
    sound = bases()
    crafted = [*hand_made(sound), *absurd_sizes(sound)]
    mutated = mutations(sound, random.Random(seed))
    for number, (name, data) in enumerate(islice(chain_up(sound, crafted, mutated), count)):
        yield f"{number:05}-{name}", data


def chain_up(
    sound: dict[str, bytes], crafted: list[tuple[str, bytes]], mutated: Iterator[tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    yield from sound.items()
    yield from crafted
    yield from mutated


def mutations(sound: dict[str, bytes], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Without end: every kind of damage on every base."""
    damage: tuple[tuple[str, Callable[[bytes, random.Random], bytes]], ...] = (
        ("cut", lambda d, r: d[: r.randrange(len(d))]),
        ("cut-late", lambda d, r: d[: len(d) - r.randrange(1, min(64, len(d)))]),
        ("bit", lambda d, r: flip(d, r, 1)),
        ("bits", lambda d, r: flip(d, r, 40)),
        ("head", lambda d, r: flip(d[:80], r, 6) + d[80:]),
        ("hole", lambda d, r: hole(d, r)),
        ("stuffed", lambda d, r: insert(d, r)),
        ("tail", lambda d, r: d + r.randbytes(r.randrange(1, 5000))),
        ("twice", lambda d, r: d + d),
        ("magic", lambda d, r: r.randbytes(4) + d[4:]),
        ("ones", lambda d, r: spread(d, r, b"\xff\xff\xff\xff")),
    )
    while True:
        for name, data in sound.items():
            for kind, harm in damage:
                yield f"{kind}-{name}", harm(data, rng)


def flip(data: bytes, rng: random.Random, count: int) -> bytes:
    bent = bytearray(data)
    for _ in range(count):
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
    return bytes(bent)


def hole(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes(min(rng.randrange(1, 64), len(data) - at)) + data[at + 64 :]


def insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 300)) + data[at:]


def spread(data: bytes, rng: random.Random, pattern: bytes) -> bytes:
    at = rng.randrange(max(len(data) - 4, 1))
    return data[:at] + pattern + data[at + 4 :]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colour: int, *chunks: bytes, tail: bool = True) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width % 2**32, height % 2**32, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + (png_chunk(b"IEND", b"") if tail else b"")


def absurd_sizes(sound: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Headers that promise what is not there."""
    files = []
    rows = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    for number, (width, height) in enumerate(HUGE):
        files.append((f"size{number}.png", png(width, height, 8, 2, rows)))
        files.append((f"size{number}-deep.png", png(width, height, 16, 6, rows)))
        files.append((f"size{number}-bits.png", png(width, height, 1, 0, rows)))
        short = struct.pack("<HH", width % 65536, height % 65536)
        gif = sound["moving.gif"]
        files.append((f"size{number}.gif", gif[:6] + short + gif[10:]))
        jpeg = sound["rgb.jpg"]
        at = jpeg.index(b"\xff\xc0") + 5
        files.append(
            (f"size{number}.jpg", jpeg[:at] + struct.pack(">HH", height % 65536, width % 65536) + jpeg[at + 4 :])
        )
        bmp = sound["rgb.bmp"]
        files.append((f"size{number}.bmp", bmp[:18] + struct.pack("<II", width % 2**32, height % 2**32) + bmp[26:]))
        files.append((f"size{number}.ppm", b"P6\n%d %d\n255\n" % (width, height) + bytes(99)))
        files.append((f"size{number}.tga", sound["rgb.tga"][:12] + short + sound["rgb.tga"][16:]))
        files.append(
            (f"size{number}.qoi", b"qoif" + struct.pack(">II", width % 2**32, height % 2**32) + b"\3\0" + bytes(50))
        )
        files.append((f"size{number}.tif", tiff_tags({256: width, 257: height, 273: 8, 279: 100})))
        webp = bytearray(sound["moving.webp"])
        webp[24:30] = struct.pack("<I", width % 2**24)[:3] + struct.pack("<I", height % 2**24)[:3]
        files.append((f"size{number}.webp", bytes(webp)))
    return files


def tiff_tags(changes: dict[int, int], following: int = 0, order: str = "<", extra: bytes = b"") -> bytes:
    """A grey 8-bit TIFF of one strip with some tags replaced (all LONG)."""
    tags = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT, 279: WIDTH * HEIGHT} | changes
    body = (extra or bytes(WIDTH * HEIGHT)) + b"\0" * ((len(extra or bytes(WIDTH * HEIGHT))) % 2)
    first = 8 + len(body)
    directory = struct.pack(order + "H", len(tags))
    for tag, value in sorted(tags.items()):
        directory += struct.pack(order + "HHII", tag, 4, 1, value % 2**32)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", first)
    return head + body + directory + struct.pack(order + "I", following)


def hand_made(sound: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Bombs, cycles and lies."""
    bomb = zlib.compress(bytes(100_000_000), 9)
    row = png_chunk(b"IDAT", zlib.compress(b"\0" * (1 + 3 * WIDTH) * HEIGHT))
    size = (WIDTH, HEIGHT)
    files = [
        ("empty.png", b""),
        ("text.jpg", b"This is no picture.\n"),
        ("html.gif", b"<html><script>alert(1)</script></html>"),
        ("zeros.tif", bytes(5000)),
        ("png-inside.jpg", sound["rgb.png"]),
        ("jpeg-inside.png", sound["rgb.jpg"]),
        ("tiff-inside.webp", sound["lzw.tif"]),
        ("pickle.png", b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93."),
        ("postscript.bmp", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("bomb-pixels.png", png(*size, 8, 2, png_chunk(b"IDAT", bomb))),
        ("bomb-profile.png", png(*size, 8, 2, png_chunk(b"iCCP", b"x\0\0" + bomb), row)),
        ("bomb-words.png", png(*size, 8, 2, png_chunk(b"zTXt", b"x\0\0" + bomb), row)),
        ("bomb-xmp.png", png(*size, 8, 2, png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb), row)),
        ("no-pixels.png", png(*size, 8, 2)),
        ("no-end.png", png(*size, 8, 2, row, tail=False)),
        ("no-palette.png", png(*size, 8, 3, row)),
        ("wrong-type.png", png(*size, 16, 3, row)),
        ("wrong-bits.png", png(*size, 3, 2, row)),
        ("wrong-colour.png", png(*size, 8, 5, row)),
        ("many-chunks.png", png(*size, 8, 2, png_chunk(b"tEXt", b"a\0b") * 50_000, row)),
        ("bad-crc.png", png(*size, 8, 2, row[:-1] + bytes((row[-1] ^ 1,)))),
        ("bad-words-crc.png", png(*size, 8, 2, png_chunk(b"tEXt", b"a\0b")[:-1] + b"\0", row)),
        ("transparent-lies.png", png(*size, 8, 2, png_chunk(b"tRNS", b"\0"), row)),
        ("frames-lie.png", png(*size, 8, 2, png_chunk(b"acTL", struct.pack(">II", 2**31, 0)), row)),
        ("frames-few.png", png(*size, 8, 2, png_chunk(b"acTL", struct.pack(">II", 5, 0)), row)),
        ("endless.gif", endless_gif(sound["moving.gif"], 4000)),
        ("large-frames.gif", large_frames_gif(300)),
        ("cycle.tif", tiff_tags({}, following=8 + WIDTH * HEIGHT + (WIDTH * HEIGHT) % 2)),
        ("cycle-to-header.tif", tiff_tags({}, following=4)),
        ("sub-directories.tif", tiff_tags({330: 8 + WIDTH * HEIGHT + (WIDTH * HEIGHT) % 2})),
        ("exif-cycle.tif", tiff_tags({34665: 8 + WIDTH * HEIGHT + (WIDTH * HEIGHT) % 2})),
        ("outside.tif", tiff_tags({273: 2**31})),
        ("count-lies.tif", tiff_tags({279: 2**32 - 1})),
        ("no-rows.tif", tiff_tags({278: 0})),
        ("bits-lie.tif", tiff_tags({258: 65535})),
        ("no-samples.tif", tiff_tags({277: 0})),
        ("many-samples.tif", tiff_tags({277: 60000})),
        ("unknown-coding.tif", tiff_tags({259: 12345})),
        ("lab.tif", tiff_tags({262: 8})),
        ("turned-9.tif", tiff_tags({274: 9})),
        ("bomb.tif", tiff_tags({259: 8, 279: len(bomb)}, extra=bomb)),
        ("directory-far.tif", b"II*\0\xf0\xff\xff\xff" + bytes(40)),
        ("directory-large.tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(400)),
        ("big-lies.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63)),
        ("p3.ppm", b"P3\n3 3\n255\n" + b"1 " * 5),
        ("deep.ppm", b"P6\n2 2\n65535\n" + bytes(24)),
        ("comment.ppm", b"P6\n#" + b"x" * 100_000 + b"\n2 2\n255\n" + bytes(12)),
        ("max-lies.pgm", b"P5\n4 4\n99999999999999999999\n" + bytes(16)),
        ("only-start.jpg", b"\xff\xd8"),
        ("fill-bytes.jpg", b"\xff\xd8" + b"\xff" * 100_000),
        ("length-lies.jpg", b"\xff\xd8\xff\xe1\xff\xff" + bytes(30)),
        ("twelve-bits.jpg", sound["rgb.jpg"].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")),
        ("two-components.jpg", sound["rgb.jpg"].replace(b"\x03\x01\x22\0\x02", b"\x02\x01\x22\0\x02")),
        ("scans.jpg", many_scans(sound["progressive.jpg"], 3000)),
        ("riff-lies.webp", b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(60)),
    ]  # fmt: skip
    block = exif().removeprefix(b"Exif\0\0")
    for number, broken in enumerate(
        (block[:9], block[:20], block.replace(b"\0\x06", b"\0\x63"), b"II*\0\x08\0\0\0\x01\0" * 4)
    ):
        segment = b"Exif\0\0" + broken
        jpeg = sound["progressive.jpg"]
        files.append(
            (f"exif{number}.jpg", jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:])
        )
        files.append((f"exif{number}.png", png(*size, 8, 2, png_chunk(b"eXIf", broken), row)))
    return files


def endless_gif(moving: bytes, times: int) -> bytes:
    """The frames of an animation again and again."""
    start = moving.index(b"!\xf9")
    return moving[:start] + moving[start:-1] * (times // 4) + b";"


def large_frames_gif(count: int) -> bytes:
    """One pixel drawn on a screen of 4000 × 4000, again and again: sixteen million pixels a frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 4000, 4000, 0x80, 0, 0) + bytes(6)
    frame = b"!\xf9\x04\0\x05\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * count + b";"


def many_scans(progressive: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes thousands of times: cheap to store, dear to decode."""
    last = progressive.rindex(b"\xff\xda")
    return progressive[:last] + progressive[last:-2] * times + b"\xff\xd9"


def suffix_of(name: str) -> str:
    return PurePath(name).suffix
