"""GIF encoders on the same frames: size, CPU seconds, error, flicker.

    python tests/benchmarks/gif.py            # needs ffmpeg on the path for its row, and gifski for its own

Error is the RMSE of all frames against what was drawn, in grey levels; flicker the mean change from one frame to the next of
pixels that do not change in what was drawn. Frames: scene `grid` at 480×360 on a photograph, `reverse` on the digit.
"""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from stn_cli.draw.examples import sample, telling
from stn_cli.draw.film import Film
from stn_cli.draw.palette import Palette
from stn_cli.draw.scene import Stage
from stn_cli.draw.scenes import SCENES
from stn_cli.draw.subject import Subject
from stn_cli.draw.theme import LIGHT
from stn_cli.draw.writers import write_gif

ROOT = Path(__file__).parents[2]
FPS = 10


class Drawn(Film):
    """A film whose frames are drawn already, so that only the encoder is timed."""

    pictures: list[Image.Image]

    def frame(self, t: float) -> Image.Image:
        return self.pictures[round(t * (self.count - 1))]


def drawn(scene: str, image: np.ndarray, family: str | None) -> Drawn:
    moved = telling(family, image.shape[:2], sample=family is None)
    film = Film(SCENES[scene](Subject(image, moved), Stage(480, 360, LIGHT)), FPS)
    ready = Drawn(film.scene, FPS)
    object.__setattr__(ready, "pictures", list(film.frames()))
    return ready


def ours(film: Drawn) -> bytes:
    file = io.BytesIO()
    write_gif(film, file, lambda done, total: None)
    return file.getvalue()


def pillow(film: Drawn) -> bytes:
    file = io.BytesIO()
    film.pictures[0].save(file, "GIF", save_all=True, append_images=film.pictures[1:], duration=film.durations, loop=0)
    return file.getvalue()


def pillow_shared(film: Drawn) -> bytes:
    palette = Palette.of(film.pictures[:: max(1, len(film.pictures) // 12)], LIGHT)
    frames = [p.quantize(palette=palette.image, dither=Image.Dither.NONE) for p in film.pictures]
    file = io.BytesIO()
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=film.durations, loop=0, optimize=False
    )
    return file.getvalue()


def ffmpeg(film: Drawn, dither: str) -> bytes:
    def command(folder: Path) -> list[str]:
        filters = f"split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither={dither}"
        source = ["-framerate", str(FPS), "-i", str(folder / "%04d.png")]
        return ["ffmpeg", "-v", "error", *source, "-filter_complex", filters, str(folder / "out.gif")]

    return outside(film, command)


def gifski(film: Drawn) -> bytes:
    return outside(
        film,
        lambda folder: (
            ["gifski", "--quiet", "--fps", str(FPS), "-o", str(folder / "out.gif")]
            + [str(path) for path in sorted(folder.glob("*.png"))]
        ),
    )


def outside(film: Drawn, command: Callable[[Path], list[str]]) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, picture in enumerate(film.pictures, 1):
            picture.save(folder / f"{number:04d}.png", compress_level=1)
        subprocess.run(command(folder), check=True)
        return (folder / "out.gif").read_bytes()


def cpu() -> float:
    return sum(sum(getrusage(who)[:2]) for who in (RUSAGE_SELF, RUSAGE_CHILDREN))


def measured(film: Drawn, data: bytes) -> tuple[float, float]:
    """(RMSE, flicker). Encoders may join equal frames: the last decoded one stands until the next."""
    truth = np.stack([np.asarray(p) for p in film.pictures]).astype(np.int16)
    with Image.open(io.BytesIO(data)) as picture:
        decoded = [
            (frame.info["duration"], np.asarray(frame.convert("RGB"))) for frame in ImageSequence.Iterator(picture)
        ]
    ends = np.cumsum([duration for duration, _ in decoded])
    own = (
        abs(ends[-1] - sum(film.durations)) < 50
    )  # the pauses are in it; the outside encoders give all frames one time
    begins = np.concatenate([[0], np.cumsum(film.durations)[:-1]]) if own else np.arange(len(truth)) * 1000 / FPS
    shown = np.minimum(np.searchsorted(ends, begins + 15, side="right"), len(decoded) - 1)
    found = np.stack([decoded[k][1] for k in shown]).astype(np.int16)
    still = (np.diff(truth, axis=0) == 0).all(-1)
    change = np.abs(np.diff(found, axis=0)).mean(-1)
    return float(np.sqrt(((found - truth).astype(float) ** 2).mean())), float(change[still].mean())


def main() -> None:
    with Image.open(ROOT / "samples" / "images" / "sign.jpg") as file:
        photograph = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    rows: dict[str, Callable[[Drawn], bytes]] = {
        "stn (shared palette, av)": ours,
        "Pillow, as it comes": pillow,
        "Pillow, shared palette": pillow_shared,
    }
    if shutil.which("ffmpeg"):
        rows["ffmpeg palettegen, bayer"] = lambda film: ffmpeg(film, "bayer:bayer_scale=4")
        rows["ffmpeg palettegen, sierra"] = lambda film: ffmpeg(film, "sierra2_4a")
    if shutil.which("gifski"):
        rows["gifski"] = gifski
    for title, film in (
        ("reverse on the digit", drawn("reverse", sample(), None)),
        ("grid on a photograph", drawn("grid", photograph, "affine")),
    ):
        print(f"\n{title}, 480×360, {len(film.pictures)} frames")
        print(f"{'encoder':28}{'kB':>8}{'CPU s':>8}{'RMSE':>8}{'flicker':>9}")
        for name, encode in rows.items():
            start = cpu()
            data = encode(film)
            spent = cpu() - start
            error, flicker = measured(film, data)
            print(f"{name:28}{len(data) / 1000:8.0f}{spent:8.2f}{error:8.2f}{flicker:9.3f}")


if __name__ == "__main__":
    main()
