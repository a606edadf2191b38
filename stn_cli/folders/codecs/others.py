"""Writing WebP, BMP, PNM and TGA through Pillow."""

from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from stn_cli.folders.codecs import pillow
from stn_cli.folders.codecs.base import CodecError, exif_for
from stn_cli.folders.codecs.fitting import rgb
from stn_cli.folders.picture import Picture

QUALITY = 90


def write(picture: Picture, file: BinaryIO, target: str, quality: int | None) -> None:
    """Encode uint8 frames (and 16-bit grey for PNM) in one of Pillow's formats. Raises `CodecError`."""
    if target == "webp":
        _webp(picture, file, quality)
        return
    frame = picture.frames[0]
    dpi = {"dpi": picture.metadata.dpi} if picture.metadata.dpi and target == "bmp" else {}
    if target == "bmp" and (frame.transparent and frame.mode != "RGB"):
        frame = rgb(frame.expanded())
    elif target == "tga" and frame.alpha and frame.mode == "L":
        frame = rgb(frame)
    if frame.pixels.dtype == np.uint16 and frame.mode == "RGB":
        raise CodecError("PNM in colour with 16 bits a sample; use --format png or tiff")
    pillow.save(frame, file, {"bmp": "BMP", "ppm": "PPM", "tga": "TGA"}[target], **dpi)


def _webp(picture: Picture, file: BinaryIO, quality: int | None) -> None:
    frames = [pillow.to_image(rgb(frame.expanded())) for frame in picture.frames]
    metadata = picture.metadata
    lossless = quality is None and picture.format == "webp" and bool(picture.coding.get("lossless"))
    options: dict[str, Any] = {
        "quality": QUALITY if quality is None else quality,
        "lossless": lossless,
        "exact": lossless,
        "icc_profile": metadata.icc or b"",
        "xmp": metadata.xmp or b"",
        "exif": exif_for(metadata, picture.frames[0].size) or b"",
    }
    if lossless:
        options["quality"] = 80  # the effort, not a loss
    if picture.animated:
        durations = [round(frame.duration or 0) for frame in picture.frames]
        loop = picture.loop if picture.loop is not None else 1
        options |= {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": loop}
        options |= {"minimize_size": False}
    _save(frames[0], file, options)


def _save(image: Image.Image, file: BinaryIO, options: dict[str, Any]) -> None:
    image.save(file, "WEBP", **options)
