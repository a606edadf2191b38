"""Draws every file of samples/ from code alone, the same bytes for the same versions of NumPy and Pillow.

    python samples/make_samples.py              # writes into samples/
    python samples/make_samples.py --out DIR    # writes elsewhere

Everything is seeded; no picture, texture or font comes from outside (the letters are Pillow's built-in font).
"""

import argparse
from pathlib import Path

import imagecodecs
import numpy as np
from drawing import chart, clock, digits, leaf, page, scenery, sign
from PIL import ExifTags, Image, ImageCms

HERE = Path(__file__).parent
# Control points of points.csv on chart.png: a lattice whose border stays and whose inside is twisted.
LATTICE, TWIST = (5, 4), 48.0


def _exif(orientation, description):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageDescription] = description
    exif[ExifTags.Base.Software] = "samples/make_samples.py"
    return exif


def _srgb():
    """An sRGB profile without the date it was made on."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)
    return bytes(profile)


def _jpeg(image, path, **options):
    image.save(path, quality=86, subsampling=0, optimize=True, progressive=False, **options)


def draw_page(path):
    _jpeg(page.photographed(np.random.default_rng(1)), path, exif=_exif(1, "a page photographed at an angle"))


def draw_sign(path):
    _jpeg(sign.photographed(np.random.default_rng(2)), path, icc_profile=_srgb())


def draw_landscape(path):
    _jpeg(scenery.landscape(np.random.default_rng(5)), path, icc_profile=_srgb())


def draw_lighthouse(path):
    # Stored lying down, as a camera held upright stores it; the EXIF tag says "turn 90° clockwise to view".
    stored = scenery.lighthouse(np.random.default_rng(6)).transpose(Image.Transpose.ROTATE_90)
    _jpeg(stored, path, exif=_exif(6, "a lighthouse at dusk"))


def draw_chart(path):
    chart.chart().save(path, optimize=True)


def draw_leaf(path):
    leaf.leaf(np.random.default_rng(3)).save(path, optimize=True)


def draw_night(path):
    path.write_bytes(imagecodecs.png_encode(scenery.night(np.random.default_rng(7)), level=9))


def draw_clock(path):
    first, *rest = clock.frames()
    first.save(path, save_all=True, append_images=rest, duration=list(clock.DURATIONS), loop=0, optimize=False)


def draw_digits(path):
    digits.strip(np.random.default_rng(4)).save(path, optimize=True)


PICTURES = {
    "page.jpg": draw_page,
    "sign.jpg": draw_sign,
    "landscape.jpg": draw_landscape,
    "lighthouse.jpg": draw_lighthouse,
    "chart.png": draw_chart,
    "leaf.png": draw_leaf,
    "night.png": draw_night,
    "clock.gif": draw_clock,
    "digits.png": draw_digits,
}


def corners_text(corners):
    """Corners in the convention of --corners: pixel centres are whole numbers, top left first, clockwise."""
    return " ".join(f"{x - 0.5:g},{y - 0.5:g}" for x, y in corners)


def write_digits(folder):
    """One file a digit and, in digits.csv, the θ that turns each upright."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["source,t11,t12,t13,t21,t22,t23"]
    for number in range(10):
        digits.single(number, np.random.default_rng([4, number])).save(folder / f"{number}.png", optimize=True)
        theta = ",".join(f"{value:.6f}" for value in digits.upright_theta(number))
        rows.append(f"{number}.png,{theta}")
    (folder.parent / "digits.csv").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def write_points(path):
    """Control points `x,y,x',y'` a line, in pixels of chart.png."""
    width, height = chart.SIZE
    rows = []
    for v in np.linspace(0, 1, LATTICE[1]):
        for u in np.linspace(0, 1, LATTICE[0]):
            x, y = u * (width - 1), v * (height - 1)
            calm = np.sin(np.pi * u) * np.sin(np.pi * v)
            right, down = TWIST * 2 * calm * (0.5 - v), TWIST * 3 * calm * (u - 0.5)
            rows.append(f"{x:.1f},{y:.1f},{x + right:.1f},{y + down:.1f}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into (default: samples/)")
    out = parser.parse_args().out
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw(images / name)
        print(f"{images / name}  {(images / name).stat().st_size / 1000:.0f} kB")
    for name, corners in (("page", page.CORNERS), ("sign", sign.CORNERS)):
        (out / f"{name}.corners.txt").write_text(corners_text(corners) + "\n", encoding="utf-8", newline="\n")
    write_digits(out / "digits")
    write_points(out / "points.csv")
    for name in ("digits", "digits.csv", "points.csv", "page.corners.txt", "sign.corners.txt"):
        print(out / name)


if __name__ == "__main__":
    main()
