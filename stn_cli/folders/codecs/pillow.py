"""Pillow, for everything that no faster library serves: palettes, 1-bit, CMYK, WebP, BMP, GIF and the rare formats."""

import warnings
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageSequence

from stn_cli.folders.codecs.base import CodecError, Reading, stand_up, take_exif
from stn_cli.folders.picture import Extra, Frame, Metadata, Mode, Picture

# Its warnings are about files that are then refused, or about metadata; stderr has one line a file.
warnings.filterwarnings("ignore", module=r"PIL\.")

# What may be opened at all. EPS and WMF would start other programs; PSD would lose its layers without a word.
_NAMES = {
    "GIF": "gif", "WEBP": "webp", "BMP": "bmp", "DIB": "bmp", "PPM": "ppm", "TGA": "tga", "AVIF": "avif",
    "JPEG2000": "jpeg2000", "ICO": "ico", "CUR": "ico", "ICNS": "icns", "DDS": "dds", "PCX": "pcx", "SGI": "sgi",
    "QOI": "qoi", "XBM": "xbm",
}  # fmt: skip
# How Pillow's modes are kept: ours, what follows the colours, and the mode to convert to first.
_MODES: dict[str, tuple[Mode, Extra | None, str | None]] = {
    "1": ("1", None, None),
    "L": ("L", None, None),
    "LA": ("L", "alpha", None),
    "P": ("P", None, None),
    "RGB": ("RGB", None, None),
    "RGBX": ("RGB", None, "RGB"),
    "RGBA": ("RGB", "alpha", None),
    "CMYK": ("CMYK", None, None),
    "YCbCr": ("RGB", None, "RGB"),
    "I;16": ("L", None, None),
    "I;16L": ("L", None, None),
    "I;16B": ("L", None, None),
    "F": ("L", None, None),
}


def read(data: bytes, reading: Reading) -> Picture:
    """Decode any of the formats in `_NAMES`, with all frames. Raises `CodecError`."""
    image = _limited(data, list(_NAMES), reading)
    name = _NAMES[image.format or ""]
    if name == "ppm":
        _refuse_deep_ppm(data)
    frames = getattr(image, "n_frames", 1) if name in ("gif", "webp", "avif") else 1
    if frames > 1:
        return read_animation(data, image.format or "", reading)
    reading.check((image.height, image.width), bytes_per_pixel=4)
    frame = _still(image)
    turn, exif, xmp, notes = take_exif(image.info.get("exif"), image.info.get("xmp"))
    if not reading.indices:
        frame = frame.expanded()
    return Picture(
        (stand_up(frame, turn),), name, _metadata(image, exif, xmp), coding=_coding(image, data), notes=notes
    )


def read_animation(data: bytes, plugin: str, reading: Reading) -> Picture:
    """All frames as they appear on the screen: composited, disposed of, each with its time."""
    image = _limited(data, [plugin], reading)
    count = getattr(image, "n_frames", 1)
    size = (image.height, image.width)
    reading.check(size, count, 4)
    turn, exif, xmp, notes = take_exif(image.info.get("exif"), image.info.get("xmp"))
    loop = image.info.get("loop")
    frames = []
    for shown in ImageSequence.Iterator(image):
        if (shown.height, shown.width) != size:  # a frame that reaches beyond the screen makes the screen grow
            raise CodecError("a frame is larger than the animation")
        see_through = shown.mode in ("RGBA", "LA", "PA") or "transparency" in shown.info
        pixels = np.array(shown.convert("RGBA" if see_through else "RGB"))
        frames.append(
            stand_up(Frame(pixels, "RGB", "alpha" if see_through else None, duration=float(shown.info.get("duration", 0))), turn)
        )  # fmt: skip
    if any(f.alpha for f in frames):
        frames = [f if f.alpha else _opaque(f) for f in frames]
    return Picture(
        tuple(frames),
        _NAMES.get(plugin, plugin.lower()),
        _metadata(image, exif, xmp),
        animated=True,
        loop=loop,
        coding=_coding(image, data),
        notes=notes,
    )


def decode_still(data: bytes, plugin: str) -> Frame:
    """The pixels of one image as indices or channels; neither metadata nor orientation. Raises `CodecError`."""
    return _still(_open(data, [plugin]))


def to_image(frame: Frame) -> Image.Image:
    """A Pillow image of a uint8 frame (or 16-bit grey)."""
    pixels = np.ascontiguousarray(frame.pixels[:])
    if frame.mode == "1":
        return Image.fromarray(pixels[..., 0] * np.uint8(255)).convert("1", dither=Image.Dither.NONE)
    if pixels.shape[2] == 1:
        image = Image.fromarray(pixels[..., 0])
        if frame.palette is None:
            return image
        image.putpalette(frame.palette[:, :3].tobytes(), "RGB")
        if frame.palette.shape[1] == 4:
            image.info["transparency"] = frame.palette[:, 3].tobytes()
        return image
    mode = {"L": "LA", "RGB": "RGBA" if frame.alpha else "RGB", "CMYK": "CMYK"}[frame.mode]
    height, width = frame.size
    return Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)


def encode_still(frame: Frame, plugin: str, **options: Any) -> bytes:
    """One frame in one of Pillow's formats, pixels only."""
    out = BytesIO()
    to_image(frame).save(out, plugin, **options)
    return out.getvalue()


def save(frame: Frame, file: BinaryIO, plugin: str, **options: Any) -> None:
    """The same into an open file, where Pillow encodes without the GIL."""
    to_image(frame).save(file, plugin, **options)


def _limited(data: bytes, plugins: list[str], reading: Reading) -> Image.Image:
    """Open, and let Pillow itself refuse what turns out to be larger than its header said (at twice its limit it raises)."""
    Image.MAX_IMAGE_PIXELS = max(reading.max_pixels // 2, 1)
    try:
        return _open(data, plugins)
    except Image.DecompressionBombError:
        raise CodecError(f"its pixels are more than --max-pixels {reading.max_pixels}") from None


def _open(data: bytes, formats: list[str]) -> Image.Image:
    return Image.open(BytesIO(data), formats=formats)


def _still(image: Image.Image) -> Frame:
    image.load()
    mode = image.mode
    if mode == "I":
        return Frame(_sixteen(image), "L")
    if mode not in _MODES:
        raise CodecError(f"pixels of Pillow's mode {mode!r}, which stn cannot keep")
    ours, extra, convert = _MODES[mode]
    transparency = image.info.get("transparency")
    if mode == "P":
        return Frame(np.array(image)[..., None], "P", palette=_palette(image))
    if transparency is not None and mode in ("L", "RGB", "1"):
        image, ours, extra = image.convert("RGBA" if mode == "RGB" else "LA"), "RGB" if mode == "RGB" else "L", "alpha"
    elif convert:
        image = image.convert(convert)
    pixels = np.array(image)
    if ours == "1":
        pixels = pixels.astype(np.uint8)
    if pixels.dtype.kind == "u":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return Frame(np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1)), ours, extra)


def _palette(image: Image.Image) -> np.ndarray:
    """(n, 3 | 4): the colours, with alpha where any entry is see-through."""
    image.apply_transparency()
    assert image.palette is not None
    table = np.frombuffer(bytes(image.palette.palette), np.uint8).reshape(-1, len(image.palette.mode))
    used = int(np.max(np.asarray(image), initial=0)) + 1
    if len(table) < used:
        table = np.vstack([table, np.zeros((used - len(table), table.shape[1]), np.uint8)])
        table[-1:, 3:] = 255
    table = table[:256]
    return table if table.shape[1] == 3 or (table[:, 3] < 255).any() else np.ascontiguousarray(table[:, :3])


def _sixteen(image: Image.Image) -> np.ndarray:
    values = np.array(image)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise CodecError("32-bit integer pixels, which stn cannot keep")
    return values.astype(np.uint16)[..., None]


def _opaque(frame: Frame) -> Frame:
    height, width = frame.size
    full = np.full((height, width, 1), 255, np.uint8)
    return Frame(np.concatenate([frame.pixels, full], axis=2), frame.mode, "alpha", duration=frame.duration)


def _refuse_deep_ppm(data: bytes) -> None:
    """Pillow narrows colour PNM of more than 8 bits to 8 without a word."""
    fields = []
    for line in data[:4096].split(b"\n"):
        fields += line.partition(b"#")[0].split()
        if len(fields) >= 4:
            break
    if fields[:1] in ([b"P6"], [b"P3"]) and len(fields) >= 4 and fields[3][:6].isdigit() and int(fields[3][:6]) > 255:
        raise CodecError("colour PNM with 16 bits a sample; convert it to PNG or TIFF first")


def _metadata(image: Image.Image, exif: bytes | None, xmp: bytes | None) -> Metadata:
    dpi = image.info.get("dpi")
    sane = isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(v) < 1e6 for v in dpi)
    return Metadata(image.info.get("icc_profile"), exif, xmp, (float(dpi[0]), float(dpi[1])) if sane and dpi else None)


def _coding(image: Image.Image, data: bytes) -> dict[str, object]:
    coding: dict[str, object] = {}
    if image.format == "WEBP":
        coding["lossless"] = b"VP8L" in data[12:4096] and b"VP8 " not in data[12:4096]
    if image.format == "GIF" and isinstance(image.info.get("comment"), bytes):
        coding["comment"] = image.info["comment"]
    return coding
