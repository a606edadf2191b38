"""Films into files, one frame at a time: nothing holds a whole film in memory."""

import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from stn_cli.draw.film import TICK, Advance, Film
from stn_cli.draw.palette import Palette
from stn_cli.folders.atomic import clean, replacing

Writer = Callable[[Film, BinaryIO, Advance], None]

SURVEY = 12  # frames looked at for the palette at most


def write_gif(film: Film, file: BinaryIO, advance: Advance) -> None:
    """GIF with one palette for all frames, so that nothing flickers; only what changes is stored."""
    import av

    looks = min(SURVEY, film.count)
    palette = Palette.of([film.frame(k / (looks - 1)) for k in range(looks)], film.scene.theme)
    colours = np.insert(palette.colours, 0, 255, axis=1)  # alpha first
    durations = film.durations
    hundredths = Fraction(1, 100)
    options = {"loop": "0" if film.loop else "-1", "final_delay": str(durations[-1] // TICK)}
    with av.open(file, "w", format="gif", options=options) as target:
        stream: Any = target.add_stream("gif", rate=100)
        stream.pix_fmt, stream.time_base = "pal8", hundredths
        stream.width, stream.height = film.scene.stage.width, film.scene.stage.height
        start = 0
        for picture, duration in zip(film.frames(advance), durations, strict=True):
            mapped: Any = (palette.indices(picture), colours)  # a pair, for this one format
            frame = av.VideoFrame.from_ndarray(mapped, format="pal8")
            frame.pts, frame.time_base = start // TICK, hundredths
            start += duration
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def write_webp(film: Film, file: BinaryIO, advance: Advance) -> None:
    _save_all(
        film.frames(advance), film, file, "WEBP", quality=82, method=3, allow_mixed=True, loop=0 if film.loop else 1
    )


def write_apng(film: Film, file: BinaryIO, advance: Advance) -> None:
    # Pillow goes through the frames twice: they are kept packed.
    packed = [(frame.size, zlib.compress(frame.tobytes(), 1)) for frame in film.frames(advance)]

    class Frames:
        def __iter__(self) -> Iterator[Image.Image]:
            return (Image.frombytes("RGB", size, zlib.decompress(data)) for size, data in packed[1:])

    first = Image.frombytes("RGB", packed[0][0], zlib.decompress(packed[0][1]))
    first.save(
        file, format="PNG", save_all=True, append_images=Frames(), duration=film.durations, loop=0 if film.loop else 1
    )


def _save_all(frames: Iterator[Image.Image], film: Film, file: BinaryIO, kind: str, **options) -> None:
    first = next(frames)
    first.save(file, format=kind, save_all=True, append_images=frames, duration=film.durations, **options)


def write_mp4(film: Film, file: BinaryIO, advance: Advance) -> None:
    """H.264 in a form that every browser and slide program plays."""
    options = {"crf": "18", "preset": "medium", "tune": "animation"}
    _write_video(film, file, advance, "mp4", "libx264", options)


def write_webm(film: Film, file: BinaryIO, advance: Advance) -> None:
    options = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
    _write_video(film, file, advance, "webm", "libvpx-vp9", options)


def _write_video(film: Film, file: BinaryIO, advance: Advance, kind: str, codec: str, options: dict) -> None:
    """A constant frame rate; standing frames are repeated."""
    import av

    rate = Fraction(film.fps).limit_denominator(1001)
    with av.open(file, "w", format=kind) as target:
        stream: Any = target.add_stream(codec, rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        elapsed, shown = 0, 0
        for picture, duration in zip(film.frames(advance), film.durations, strict=True):
            even = _even(picture)
            if shown == 0:
                stream.width, stream.height = even.size
            elapsed += duration
            while shown < max(1, round(elapsed / 1000 * rate)):
                frame = av.VideoFrame.from_image(even)
                target.mux(stream.encode(frame))
                shown += 1
        target.mux(stream.encode(None))


def _even(picture: Image.Image) -> Image.Image:
    """Video wants even sides: a missing row or column repeats the last one."""
    width, height = picture.size
    if width % 2 == height % 2 == 0:
        return picture
    pixels = np.pad(np.asarray(picture), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return Image.fromarray(pixels)


def write_folder(film: Film, folder: Path, advance: Advance) -> None:
    """Numbered PNGs, 0001.png and so on, one a frame; pauses are not repeated."""
    clean([folder])
    digits = max(4, len(str(film.count)))
    for number, picture in enumerate(film.frames(advance), 1):
        with replacing(folder / f"{number:0{digits}d}.png", overwrite=True) as (file, _):
            picture.save(file, format="PNG")


# By suffix. A page (.html) is no film: `stn_cli.draw.page`.
WRITERS: dict[str, Writer] = {
    ".gif": write_gif,
    ".mp4": write_mp4,
    ".webm": write_webm,
    ".webp": write_webp,
    ".apng": write_apng,
}
