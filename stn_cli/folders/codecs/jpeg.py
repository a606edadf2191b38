"""JPEG through libjpeg-turbo (simplejpeg): decoding and encoding release the GIL, decoding can shrink by 2, 4 or 8."""

from dataclasses import replace
from typing import BinaryIO

import numpy as np
import simplejpeg

from stn_cli.folders.codecs.base import CodecError, Reading, exif_for, stand_up, take_exif
from stn_cli.folders.codecs.jpeg_segments import EXIF, XMP, Segments, end, parse, profile_segments, segment
from stn_cli.folders.picture import Frame, Metadata, Picture

QUALITY = 90
_VECTOR = 32  # bytes
_LARGE = 256 << 20  # bytes of pixels
_JFIF = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"  # SOI and APP0, for a coder that writes none


def read(data: bytes, reading: Reading) -> Picture:
    """Decode a JPEG file. Raises `CodecError`."""
    header = parse(data)
    if header.bits != 8:
        raise CodecError(f"JPEG with {header.bits} bits a sample, which stn cannot keep")
    turn, exif, xmp, notes = take_exif(header.exif, header.xmp)
    reading.check(header.size, bytes_per_pixel=header.components)
    reduced = reading.needed(header.size, turn).reduction if header.components in (1, 3) else 1
    frame = _on_device(data, header, turn, reading) if reading.device and reduced == 1 else None
    frame = frame or stand_up(_decode(data, header, reduced), turn)
    if header.more_pictures:
        notes += ("the pictures that follow the first (preview, depth or gain map) were left behind",)
    return Picture(
        (frame,),
        "jpeg",
        Metadata(header.icc, exif, xmp, header.dpi, tuple(header.kept)),
        coding={"subsampling": header.subsampling} if header.subsampling else {},
        notes=notes,
    )


def _on_device(data: bytes, header: Segments, turn: int, reading: Reading) -> Frame | None:
    """The picture decoded where it will be warped, upright; None where that is not for the device, which is told."""
    assert reading.device is not None
    last = end(data, header)
    why = _unsuited(header) or (None if last else "it is damaged, or has several scans")
    if why is None:
        try:
            pixels = reading.device.decode(data[:last], header.size, turn)
            height, width, _ = pixels.shape
            return Frame(pixels, "RGB", full_size=(height, width))
        except RuntimeError as error:  # torch's are; the decoder on the CPU says whether the file is at fault
            why = " ".join(str(error).split())[:200]
    reading.told(why)
    return None


def _unsuited(header: Segments) -> str | None:
    """Why a device leaves this kind of JPEG to the CPU."""
    if header.components != 3:
        return {1: "grey", 4: "CMYK"}.get(header.components, f"{header.components} components")
    if header.process != 0xC0:
        return {0xC1: "extended", 0xC2: "progressive"}.get(header.process, "neither baseline nor progressive")
    if header.rgb:
        return "stored as RGB"
    if header.subsampling is None:
        return "an unusual subsampling"
    if 3 * header.size[0] * header.size[1] > _LARGE:
        return "a large picture, warped strip by strip"
    return None


def _decode(data: bytes, header: Segments, reduced: int) -> Frame:
    if header.components not in (1, 3):
        return _by_pillow(data)
    height, width = header.size
    colours, mode = ("GRAY", "L") if header.components == 1 else ("RGB", "RGB")
    least = (-(-height // reduced), -(-width // reduced)) if reduced > 1 else (0, 0)
    try:
        pixels = _pixels(data, colours, header.size, least)
    except ValueError:
        # Stray bytes are forgiven, missing ones are not: Pillow draws that line.
        return replace(_by_pillow(data), full_size=header.size)
    return Frame(pixels, mode, reduced=reduced if pixels.shape[:2] != header.size else 1, full_size=header.size)


def _pixels(data: bytes, colours: str, full: tuple[int, int], least: tuple[int, int]) -> np.ndarray:
    """Decode a picture of size `full` to the smallest that has `least` (height, width); to all of it for zeros.

    Into memory off the borders of vectors: rows that begin on one, libjpeg-turbo writes past the caches (`movntdq` in its
    colour conversion), and whoever reads the pixels next would wait for the memory.
    """
    height, width = map(int, simplejpeg.decode_jpeg_header(data, *least)[:2]) if any(least) else full
    size = height * width * (1 if colours == "GRAY" else 3)
    room = np.empty(size + _VECTOR, np.uint8)
    start = (_VECTOR // 4 - room.ctypes.data) % _VECTOR
    return simplejpeg.decode_jpeg(
        data, colours, min_height=least[0], min_width=least[1], buffer=room[start : start + size]
    )


def _by_pillow(data: bytes) -> Frame:
    from stn_cli.folders.codecs import pillow  # here: importing PIL costs what fifteen small JPEGs do

    return pillow.decode_still(data, "JPEG")


def write(picture: Picture, file: BinaryIO, quality: int | None) -> None:
    """Encode one frame of mode L, RGB or CMYK, uint8, without alpha.

    The chroma is subsampled as it was in a JPEG source; otherwise 4:2:0 below quality 90 and 4:4:4 from there on.
    """
    frame = picture.frames[0]
    quality = QUALITY if quality is None else quality
    chroma = str(picture.coding.get("subsampling", "444" if quality >= 90 else "420"))
    if frame.mode == "CMYK":
        from stn_cli.folders.codecs import pillow

        frame = replace(frame, pixels=np.asarray(frame.pixels))
        coded = pillow.encode_still(frame, "JPEG", quality=quality, subsampling=0 if chroma == "444" else 2)
    elif frame.mode == "L":
        coded = simplejpeg.encode_jpeg(np.asarray(frame.pixels), quality, "GRAY", "Gray", fastdct=False)
    else:
        coded = _from_device(frame, quality, chroma)
        coded = coded or simplejpeg.encode_jpeg(np.asarray(frame.pixels), quality, "RGB", chroma, fastdct=False)
    # SOI and APP0 (or, for CMYK, Adobe's APP14) come first; ours go between them and the tables
    start = 4 + int.from_bytes(coded[4:6], "big") if coded[2:4] in (b"\xff\xe0", b"\xff\xee") else 2
    head = bytearray(coded[:start] if start > 2 else _JFIF)
    if picture.metadata.dpi and head[6:11] == b"JFIF\0":
        head[13] = 1
        for at, value in zip((14, 16), picture.metadata.dpi, strict=True):
            head[at : at + 2] = int(np.clip(round(value), 1, 65535)).to_bytes(2, "big")
    file.write(b"".join((head, *_metadata(picture, frame.size), memoryview(coded)[start:])))


def _from_device(frame: Frame, quality: int, chroma: str) -> bytes | None:
    """Coded where the pixels are, if they are on a device that can."""
    code = getattr(frame.pixels, "jpeg", None)
    return code(quality, chroma) if code is not None else None


def _metadata(picture: Picture, size: tuple[int, int]) -> list[bytes]:
    metadata = picture.metadata
    parts = []
    exif = exif_for(metadata, size)
    if exif:
        parts.append(segment(0xE1, EXIF + exif))
    if metadata.xmp:
        parts.append(segment(0xE1, XMP + metadata.xmp))
    if metadata.icc:
        parts += profile_segments(metadata.icc)
    if picture.format == "jpeg":
        parts += metadata.native
    return parts
