"""Small sound files of every format that stn reads: what the mutations start from."""

from io import BytesIO

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

WIDTH, HEIGHT = 33, 21


def pixels(channels: int, dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(channels)
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] * np.arange(1, channels + 1)
    noisy = (ramp * 3 + rng.integers(0, 20, ramp.shape)) % 256
    scale = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    a = (noisy * scale).astype(dtype)
    return a[..., 0] if channels == 1 else a


def pillow(image: Image.Image, name: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def tiff(a: np.ndarray, **options: object) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, a, **options)
    return out.getvalue()


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "Maker"
    tags[0x8769] = {0x9003: "2026:11:21 10:00:00", 0xA002: WIDTH}
    return tags.tobytes()


def bases() -> dict[str, bytes]:
    """File name → content."""
    rgb, rgba, grey = Image.fromarray(pixels(3)), Image.fromarray(pixels(4)), Image.fromarray(pixels(1))
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = PngImagePlugin.PngInfo()
    words.add_text("Title", "x" * 300, zip=True)
    words.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    moving = [Image.fromarray(np.roll(pixels(3), 3 * i, 1)) for i in range(4)]
    animated = {"save_all": True, "append_images": moving[1:], "duration": [20, 50, 90, 40], "loop": 2}
    pages = BytesIO()
    with tifffile.TiffWriter(pages) as out:
        for page in (pixels(3), pixels(1, "uint16"), pixels(1, "float32")):
            out.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", compression="zlib")
    return {
        "rgb.jpg": pillow(rgb, "JPEG", exif=exif(), icc_profile=icc, comment=b"words", dpi=(72, 72)),
        "progressive.jpg": pillow(rgb, "JPEG", progressive=True, subsampling=0),
        "grey.jpeg": pillow(grey, "JPEG"),
        "cmyk.jpg": pillow(rgb.convert("CMYK"), "JPEG"),
        "mpo.jpg": pillow(rgb, "MPO", save_all=True, append_images=[grey.convert("RGB")]),
        "rgb.png": pillow(rgb, "PNG", exif=exif(), icc_profile=icc, pnginfo=words, dpi=(72, 72)),
        "rgba.png": pillow(rgba, "PNG"),
        "deep.png": imagecodecs.png_encode(pixels(3, "uint16")),
        "palette.png": pillow(rgb.quantize(20), "PNG", transparency=3),
        "bits.png": pillow(grey.convert("1"), "PNG"),
        "moving.png": pillow(moving[0], "PNG", **animated),
        "still.gif": pillow(rgb.quantize(30), "GIF"),
        "moving.gif": pillow(moving[0], "GIF", **animated),
        "lossy.webp": pillow(rgb, "WEBP", exif=exif(), icc_profile=icc),
        "lossless.webp": pillow(rgba, "WEBP", lossless=True),
        "moving.webp": pillow(moving[0], "WEBP", **animated),
        "plain.tif": tiff(pixels(3), photometric="rgb"),
        "lzw.tif": tiff(pixels(3, "uint16"), photometric="rgb", compression="lzw", predictor=True),
        "float.tif": tiff(pixels(1, "float32"), compression="zlib", predictor=True),
        "tiles.tif": tiff(pixels(4), photometric="rgb", tile=(16, 16), compression="zstd"),
        "jpeg.tif": tiff(pixels(3), photometric="ycbcr", compression="jpeg"),
        "big.tif": tiff(pixels(1), bigtiff=True, byteorder=">"),
        "pages.tif": pages.getvalue(),
        "palette.tif": pillow(rgb.quantize(20), "TIFF", compression="packbits"),
        "bits.tif": pillow(grey.convert("1"), "TIFF", compression="group4"),
        "cmyk.tif": pillow(rgb.convert("CMYK"), "TIFF"),
        "rgb.bmp": pillow(rgb, "BMP"),
        "palette.bmp": pillow(rgb.quantize(16), "BMP"),
        "rgb.ppm": pillow(rgb, "PPM"),
        "grey.pgm": pillow(Image.fromarray(pixels(1, "uint16")), "PPM"),
        "bits.pbm": pillow(grey.convert("1"), "PPM"),
        "rgb.tga": pillow(rgba, "TGA", compression="tga_rle"),
        "rgb.jp2": pillow(rgb, "JPEG2000"),
        "icon.ico": pillow(rgba.resize((32, 32)), "ICO"),
        "icon.icns": pillow(rgba.resize((32, 32)), "ICNS"),
        "texture.dds": pillow(rgba, "DDS"),
        "old.pcx": pillow(rgb, "PCX"),
        "old.sgi": pillow(rgb, "SGI"),
        "bits.xbm": pillow(grey.convert("1"), "XBM"),
        "rgb.avif": pillow(rgb, "AVIF"),
    }
