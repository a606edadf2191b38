"""The formats: their names, suffixes and what each can hold. Imports nothing heavy, so that options can be checked early."""

from dataclasses import dataclass
from typing import Literal

Target = Literal["keep", "png", "jpeg", "webp", "tiff"]


@dataclass(frozen=True)
class Format:
    """One format that stn writes. `modes` are those of `Frame.mode`; `depths` are NumPy dtype names."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    modes: tuple[str, ...]
    depths: tuple[str, ...] = ("uint8",)
    alpha: bool = True
    animation: bool = False
    pages: bool = False
    largest: int = 2**31 - 1


FORMATS: dict[str, Format] = {
    "jpeg": Format(
        "jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), ("L", "RGB", "CMYK"), alpha=False, largest=65500
    ),
    "png": Format("png", "PNG", (".png", ".apng"), ("1", "L", "P", "RGB"), ("uint8", "uint16"), animation=True),
    "webp": Format("webp", "WebP", (".webp",), ("L", "RGB"), animation=True, largest=16383),
    "tiff": Format(
        "tiff",
        "TIFF",
        (".tif", ".tiff"),
        ("1", "L", "P", "RGB", "CMYK"),
        ("uint8", "uint16", "float32"),
        pages=True,
    ),
    "gif": Format("gif", "GIF", (".gif",), ("1", "L", "P", "RGB"), animation=True, largest=65535),
    "bmp": Format("bmp", "BMP", (".bmp", ".dib"), ("1", "L", "P", "RGB"), alpha=False),
    "ppm": Format("ppm", "PNM", (".ppm", ".pgm", ".pbm", ".pnm"), ("1", "L", "RGB"), ("uint8", "uint16"), alpha=False),
    "tga": Format("tga", "TGA", (".tga",), ("L", "RGB"), largest=65535),
}

# Read, never written: a lossy or rare coding that stn cannot repeat. Name of the format → suffixes.
READ_ONLY: dict[str, tuple[str, ...]] = {
    "avif": (".avif",),
    "jpeg2000": (".jp2", ".j2k", ".jpx"),
    "ico": (".ico", ".cur"),
    "icns": (".icns",),
    "dds": (".dds",),
    "pcx": (".pcx",),
    "sgi": (".sgi", ".rgb"),
    "qoi": (".qoi",),
    "xbm": (".xbm",),
}

SUFFIXES: dict[str, str] = {suffix: f.name for f in FORMATS.values() for suffix in f.suffixes} | {
    suffix: name for name, suffixes in READ_ONLY.items() for suffix in suffixes
}


def format_of(name: str) -> str | None:
    """The format that a file name promises ("a.JPG" → "jpeg"), or None."""
    _, dot, suffix = name.rpartition(".")
    return SUFFIXES.get("." + suffix.lower()) if dot else None
