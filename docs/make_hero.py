"""Writes docs/hero.png, the picture of the README: a photographed page, the grid that reads it, the page straightened.

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
HEIGHT, GAP, WIDE = 560, 16, 1.12  # pixels, pixels, width : height of the two photographs


def stn(*arguments: str) -> None:
    print("$ stn", *arguments)
    subprocess.run([sys.executable, "-m", "stn_cli", *arguments], cwd=ROOT, check=True)


def panel(path: Path, wide: float | None = None) -> Image.Image:
    """The picture at the height of the strip, cut at both sides to `wide` times its height."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image = image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)
    margin = 0 if wide is None else max(0, (image.width - round(HEIGHT * wide)) // 2)
    return image.crop((margin, 0, image.width - margin, HEIGHT))


def main() -> None:
    corners = (ROOT / "samples" / "page.corners.txt").read_text(encoding="utf-8").strip()
    with TemporaryDirectory() as folder:
        straight, overlay = Path(folder) / "straight.png", Path(folder) / "overlay.png"
        theta = ("--corners", corners, "--size", "1050x1485")
        stn("warp", str(PAGE), *theta, "--out", str(straight))
        stn("grid", *theta, "--on", str(PAGE), "--out", str(overlay))
        panels = [panel(PAGE, WIDE), panel(overlay, WIDE), panel(straight)]
    sheet = Image.new("RGB", (sum(part.width for part in panels) + 2 * GAP, HEIGHT), "white")
    x = 0
    for part in panels:
        sheet.paste(part, (x, 0))
        x += part.width + GAP
    path = ROOT / "docs" / "hero.png"
    sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
