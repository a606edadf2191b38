"""TIFF through tifffile and imagecodecs: 1-bit to float32, grey to CMYK with alpha, every page, lossless coding kept."""

import logging
from collections.abc import Iterator
from io import BytesIO
from math import prod
from typing import Any, BinaryIO

import numpy as np
import tifffile
from tifffile import TiffPage

from stn_cli.core.need import Window
from stn_cli.folders.codecs import tiff_exif
from stn_cli.folders.codecs.base import MAX_FRAMES, CodecError, Reading, blank, stand_up
from stn_cli.folders.exif import upright_xmp
from stn_cli.folders.picture import COLOURS, Extra, Frame, Metadata, Mode, Picture

_MODES: dict[str, Mode] = {"MINISBLACK": "L", "MINISWHITE": "L", "RGB": "RGB", "YCBCR": "RGB", "SEPARATED": "CMYK"}
_WINDOWED = ("MINISBLACK", "RGB", "YCBCR", "SEPARATED")
_JPEG = (6, 7, 34892, 33007)
_EXTRAS: dict[int, Extra] = {0: "unspecified", 1: "premultiplied", 2: "alpha"}
# Lossless coding is repeated; whatever else the source had (JPEG, fax) becomes deflate.
_LOSSLESS = {
    1: None,
    5: "lzw",
    8: "adobe_deflate",
    32946: "adobe_deflate",
    32773: "packbits",
    50000: "zstd",
    34925: "lzma",
}
# It reports damage by logging; what matters is refused, and stderr has one line a file.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
_STRIP = 1 << 18  # bytes of pixels in a strip
_REDUCED = 1  # NewSubfileType: a thumbnail or a level of a pyramid
_PHOTOMETRIC = {"1": "minisblack", "L": "minisblack", "P": "palette", "RGB": "rgb", "CMYK": "separated"}


def read(data: bytes, reading: Reading) -> Picture:
    """Decode all full-size pages. Raises `CodecError`."""
    return read_file(BytesIO(data), reading)


def read_file(stream: BinaryIO, reading: Reading) -> Picture:
    """The same from an open file, of which no more is in memory at once than a strip."""
    with tifffile.TiffFile(stream) as file:  # pyright: ignore[reportArgumentType]
        pages, notes = _pages(file)
        _check(pages, reading)
        frames = tuple(_frame(page, reading.indices, _window(pages, reading)) for page in pages)
        exif, broken = tiff_exif.block(stream)
        metadata = _metadata(pages[0], exif)
        if broken:
            notes += ("a part of its EXIF is broken and was left behind",)
        first = pages[0]
        coding = {
            "compression": _LOSSLESS.get(int(first.compression), "adobe_deflate"),
            "predictor": first.predictor in (2, 3),
            "byteorder": file.byteorder,
        }
    return Picture(frames, "tiff", metadata, coding=coding, notes=notes)


def _pages(file: tifffile.TiffFile) -> tuple[list[TiffPage], tuple[str, ...]]:
    pages, notes = [], ()
    if len(file.pages) > MAX_FRAMES:
        raise CodecError(f"{len(file.pages)} pages; at most {MAX_FRAMES} are read")
    for page in file.pages:
        page = page.aspage() if not isinstance(page, TiffPage) else page
        if page.subfiletype & _REDUCED:
            notes = ("its thumbnails or pyramid levels were left behind",)
        else:
            pages.append(page)
    if not pages:
        raise CodecError("the TIFF file holds no page")
    return pages, notes


def _check(pages: list[TiffPage], reading: Reading) -> None:
    each = max(_bytes(page) for page in pages)
    alone = Reading(reading.max_pixels)
    for page in pages:
        alone.check((page.imagelength, page.imagewidth))
    total = sum(page.imagewidth * page.imagelength for page in pages)
    if total > reading.max_pixels:
        raise CodecError(f"{total} pixels in {len(pages)} pages are more than --max-pixels {reading.max_pixels}")
    if reading.admit is not None:
        reading.admit(total * each)


def _bytes(page: TiffPage) -> int:
    return page.samplesperpixel * max(page.bitspersample // 8, 1)


def _window(pages: list[TiffPage], reading: Reading) -> Window | None:
    """What of the only page is needed, where its coding allows less than all of it."""
    page = pages[0]
    kind = getattr(page.photometric, "name", "")
    apart = (page.planarconfig == 2 and page.samplesperpixel > 1) or page.imagedepth != 1
    # tifffile has ways of its own for these
    odd = page.jpegheader is not None or (page.is_subsampled and page.is_contiguous)
    if len(pages) > 1 or kind not in _WINDOWED or apart or odd or page.bitspersample < 8:
        return None
    end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    if end > page.parent.filehandle.size or prod(page.chunked) != len(page.dataoffsets):
        return None  # cut off, or a lie: read whole, it is told
    return reading.needed((page.imagelength, page.imagewidth), _turn(page)).window


def _turn(page: TiffPage) -> int:
    turn = page.tags.valueof(274, 1)
    return turn if turn in range(1, 9) else 1


def _frame(page: TiffPage, indices: bool, window: Window | None) -> Frame:
    kind = getattr(page.photometric, "name", str(page.photometric))
    dtype = page.dtype
    if dtype is None or page.imagedepth != 1:
        raise CodecError("TIFF of a kind that stn cannot read (volumes, or samples of mixed depth)")
    if kind not in _MODES and kind != "PALETTE":
        raise CodecError(f"TIFF with photometric interpretation {kind}; convert it to RGB first")
    bits = page.bitspersample
    if (dtype.kind, bits) not in {("u", 1), ("u", 2), ("u", 4), ("u", 8), ("u", 16), ("f", 32), ("b", 1)}:
        raise CodecError(
            f"TIFF with {bits}-bit {_kind(dtype.kind)} samples; stn keeps 8 and 16-bit integers and 32-bit floats"
        )
    mode: Mode = "P" if kind == "PALETTE" else _MODES[kind]
    channels = page.samplesperpixel
    extras = channels - COLOURS[mode]
    if extras not in (0, 1):
        raise CodecError(f"TIFF with {channels} samples a pixel ({kind}); stn takes one channel besides the colours")
    pixels = _interleaved(page) if window is None else _part(page, window)
    extra: Extra | None = None
    if extras:
        extra = _EXTRAS.get(int(page.extrasamples[0]) if page.extrasamples else 0, "unspecified")
    if mode == "P":
        if extras:
            raise CodecError("TIFF with a palette and alpha")
        if bits > 8:
            raise CodecError("TIFF with a palette of more than 256 colours")
        frame = Frame(pixels.astype(np.uint8), "P", palette=_table(page))
        frame = frame if indices else frame.expanded()
    else:
        if kind == "MINISWHITE":
            pixels = _inverted(pixels, bits)
        if bits == 1:
            frame = Frame(pixels.astype(np.uint8), "1", extra)
            frame = frame if indices and not extra else frame.expanded()
        elif bits < 8:
            frame = Frame(pixels * np.uint8(255 // (2**bits - 1)), mode, extra)
        else:
            frame = Frame(pixels, mode, extra, window=window)
    return stand_up(frame, _turn(page))


def _table(page: TiffPage) -> np.ndarray:
    """The palette, (n, 3) uint8. TIFF has 16 bits a colour; some writers filled only the lower eight."""
    assert page.colormap is not None
    table = page.colormap.T
    return np.ascontiguousarray(table >> 8 if table.max() > 255 else table, np.uint8)


def _kind(kind: str) -> str:
    return {"u": "unsigned", "i": "signed", "f": "float", "c": "complex"}.get(kind, kind)


def _interleaved(page: TiffPage) -> np.ndarray:
    """(H, W, C), native byte order."""
    shape = (page.imagelength, page.imagewidth)
    pixels = page.asarray(maxworkers=1)
    planar = page.planarconfig == 2 and page.samplesperpixel > 1
    if planar and pixels.shape == (page.samplesperpixel, *shape):
        pixels = np.moveaxis(pixels, 0, 2)
    pixels = pixels.reshape(*shape, page.samplesperpixel)
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def _part(page: TiffPage, window: Window) -> np.ndarray:
    """(H, W, C), native byte order, of which the window counts: only the strips or tiles that it touches are read."""
    assert page.dtype is not None
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    pixels = blank(shape, page.dtype.newbyteorder("="))
    file = page.parent.filehandle
    if page.is_contiguous and page.predictor == 1 and page.fillorder == 1:
        row = shape[1] * shape[2] * page.dtype.itemsize
        file.seek(page.dataoffsets[0] + window.top * row)
        order = page.parent.byteorder + page.dtype.char
        rows = file.read_array(order, (window.bottom - window.top) * shape[1] * shape[2])
        pixels[window.top : window.bottom] = rows.reshape(-1, *shape[1:])
        return pixels
    down, across = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, shape[1])
    wide = -(-shape[1] // across)
    touched = [
        row * wide + column
        for row in range(window.top // down, (window.bottom - 1) // down + 1)
        for column in range(window.left // across, (window.right - 1) // across + 1)
    ]
    tables = {"jpegtables": page.jpegtables} if page.compression in _JPEG else {}
    places, sizes = ([of[index] for index in touched] for of in (page.dataoffsets, page.databytecounts))
    for data, index in file.read_segments(places, sizes, indices=touched, sort=True, flat=True):
        part, (_, _, y, x, _), _ = page.decode(data, index, _fullsize=False, **tables)
        room = pixels[y : y + down, x : x + across]
        room[:] = page.nodata if part is None else part[0, : room.shape[0], : room.shape[1]]
    return pixels


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.dtype.kind == "f":
        raise CodecError("TIFF with float samples whose zero is white")
    if pixels.dtype.kind == "b":
        return ~pixels
    return pixels.dtype.type(2**bits - 1) - pixels


def _metadata(page: TiffPage, exif: bytes | None) -> Metadata:
    value = page.tags.valueof
    icc, xmp = value(34675), value(700)
    return Metadata(
        bytes(icc) if icc else None,
        exif,
        upright_xmp(bytes(xmp)) if xmp else None,
        _dpi(value(282), value(283), value(296, 2)),
    )


def _dpi(x: Any, y: Any, unit: Any) -> tuple[float, float] | None:
    if int(unit) not in (2, 3) or not x or not y or 0 in (*x, *y):
        return None
    factor = 2.54 if int(unit) == 3 else 1.0
    return x[0] / x[1] * factor, y[0] / y[1] * factor


def write(picture: Picture, file: BinaryIO) -> None:
    """Encode every page. A TIFF source keeps its lossless compression; anything else is deflated with a predictor."""
    coding = picture.coding if picture.format == "tiff" else {}
    metadata = picture.metadata
    total = sum(prod(f.pixels.shape) * f.pixels.dtype.itemsize for f in picture.frames)
    baseline, directories = tiff_exif.split(metadata.exif, picture.frames[0].size)
    order = str(coding.get("byteorder", "<"))
    with tifffile.TiffWriter(file, bigtiff=total > 2**32 - 2**25, byteorder=order) as out:  # pyright: ignore[reportArgumentType]
        for number, frame in enumerate(picture.frames):
            tags = [(700, 1, len(metadata.xmp), metadata.xmp, True)] if metadata.xmp and number == 0 else []
            if number == 0:
                tags += baseline
            _write_page(out, frame, metadata, coding, tags)
    if directories:
        tiff_exif.append(file, directories)


def _write_page(out: tifffile.TiffWriter, frame: Frame, metadata: Metadata, coding: dict, tags: list) -> None:
    compression = coding.get("compression", "adobe_deflate")
    options: dict[str, Any] = {}
    if frame.extra:
        options["extrasamples"] = [{"unspecified": 0, "premultiplied": 1, "alpha": 2}[frame.extra]]
    if frame.palette is not None:
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(frame.palette)] = frame.palette[:, :3].T.astype(np.uint16) * 257
        options["colormap"] = table
    if metadata.dpi:
        options.update(resolution=metadata.dpi, resolutionunit="INCH")
    predicted = compression is not None and compression != "packbits" and not frame.indexed
    if predicted and coding.get("predictor", True):
        options["predictor"] = True
    height, width, channels = frame.pixels.shape
    if frame.mode == "1":  # packed by tifffile, whole
        pixels = np.ascontiguousarray(frame.pixels[:]).astype(bool)
        content: dict[str, Any] = {"data": pixels if channels > 1 else pixels[..., 0]}
    else:
        rows = max(_STRIP // max(width * channels * frame.pixels.dtype.itemsize, 1), 1)
        content = {
            "data": _coded(frame.pixels, rows, out.tiff.byteorder, compression, "predictor" in options),
            "shape": (height, width, channels) if channels > 1 else (height, width),
            "dtype": frame.pixels.dtype,
            "rowsperstrip": rows,
        }
    out.write(
        **content,
        photometric=_PHOTOMETRIC[frame.mode],
        planarconfig="contig" if channels > 1 else None,
        compression=compression,
        maxworkers=1,
        metadata=None,
        software=False,
        iccprofile=metadata.icc,
        extratags=tags,
        contiguous=False,
        **options,
    )


def _coded(pixels: np.ndarray, rows: int, order: Any, compression: str | None, predicted: bool) -> Iterator[bytes]:
    """The strips of a page as they lie in the file: only one is in memory at a time."""
    code = tifffile.TIFF.COMPRESSORS[tifffile.COMPRESSION[(compression or "none").upper()]]
    floats = pixels.dtype.kind == "f"
    predict = tifffile.TIFF.PREDICTORS[3 if floats else 2]
    for top in range(0, pixels.shape[0], rows):
        strip = np.ascontiguousarray(pixels[top : top + rows], pixels.dtype.newbyteorder(order))
        strip = predict(strip, axis=-2) if predicted else strip
        options = {"axis": -2} if compression == "packbits" else {}
        yield strip.tobytes() if compression is None else code(strip, **options)
