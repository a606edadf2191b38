"""Writes docs/hero.jpg, the picture of the README: a photographed page, the grid that reads it, the page straightened.

    python docs/make_hero.py

The middle and the right part are made by `stn grid --on` and `stn warp`; here they are only set side by side.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "samples" / "images" / "page.jpg"
HEIGHT, GAP = 560, 16  # pixels
LEFT = 0.1  # of a photograph: table, cut off


def stn(*arguments: str) -> None:
    print("$ stn", *arguments)
    subprocess.run([sys.executable, "-m", "stn_cli", *arguments], cwd=ROOT, check=True)


def panel(path: Path, cut: float = 0, shape: float | None = None) -> Image.Image:
    """The picture at the height of the strip, without `cut` of its width at the left; above `shape` (height : width),
    the rest at the bottom is the overlay's legend, which the caption replaces.
    """
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    height = image.height if shape is None else round(image.width * shape)
    image = image.crop((round(image.width * cut), 0, image.width, height))
    return image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)


def main() -> None:
    corners = (ROOT / "samples" / "page.corners.txt").read_text(encoding="utf-8").strip()
    with TemporaryDirectory() as folder:
        straight, overlay = Path(folder) / "straight.png", Path(folder) / "overlay.png"
        theta = ("--corners", corners, "--size", "1050x1485")
        stn("warp", str(PAGE), *theta, "--out", str(straight))
        stn("grid", *theta, "--on", str(PAGE), "--out", str(overlay))
        panels = [panel(PAGE, LEFT), panel(overlay, LEFT, 3 / 4), panel(straight)]
    sheet = Image.new("RGB", (sum(part.width for part in panels) + 2 * GAP, HEIGHT), "white")
    x = 0
    for part in panels:
        sheet.paste(part, (x, 0))
        x += part.width + GAP
    path = ROOT / "docs" / "hero.jpg"
    sheet.save(path, quality=88, subsampling=0, optimize=True)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
