"""Padding looks the same in every mode: checked on the colours that Pillow shows."""

import numpy as np
import pytest
from PIL import Image

from stn_cli.core.sampling import Sampling
from stn_cli.folders.codecs import pillow
from stn_cli.folders.outside import BLACK, Colour, padded
from stn_cli.folders.picture import Frame

ORANGE: Colour = (240.0, 120.0, 30.0, 255.0)


def shown(frame: Frame, sampling: Sampling) -> tuple[int, ...]:
    """The colour of one pixel of padding, as Pillow makes it RGB(A)."""
    channels = frame.pixels.shape[2]
    pixel = np.array(sampling.constant(channels)).reshape(1, 1, channels).astype(frame.pixels.dtype)
    image = pillow.to_image(frame.with_pixels(pixel))
    return tuple(int(v) for v in image.convert("RGBA").getpixel((0, 0)))


def frame_of(mode: str, extra: str | None = None, colours: int = 8) -> Frame:
    channels = {"1": 1, "L": 1, "P": 1, "RGB": 3, "CMYK": 4}[mode] + (extra is not None)
    palette = None
    if mode == "P":
        palette = np.stack([np.arange(colours) + 1] * 3, axis=1).astype(np.uint8)
    return Frame(np.zeros((2, 3, channels), np.uint8), mode, extra, palette)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_zeros_look_black(mode: str) -> None:
    assert shown(*padded(frame_of(mode), Sampling())) == (0, 0, 0, 255)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_zeros_are_clear_with_alpha(mode: str) -> None:
    assert shown(*padded(frame_of(mode, "alpha"), Sampling())) == (0, 0, 0, 0)


@pytest.mark.parametrize("mode", ["P", "RGB", "CMYK", "L", "1"])
def test_fill_looks_like_the_colour(mode: str) -> None:
    got = shown(*padded(frame_of(mode), Sampling(padding="fill", fill=(1,)), ORANGE))
    expected = Image.new("RGB", (1, 1), tuple(int(v) for v in ORANGE[:3]))
    if mode in ("L", "1"):
        expected = expected.convert("L").point(lambda v: v if mode == "L" else 255 * (v >= 128)).convert("RGB")
    assert np.abs(np.array(got[:3]) - expected.getpixel((0, 0))).max() <= 1


def test_a_palette_gains_the_colour_or_gives_way() -> None:
    few, sampling = padded(frame_of("P"), Sampling(padding="fill", fill=(1,)), ORANGE)
    assert few.palette is not None
    assert (len(few.palette), sampling.fill) == (9, (8.0,))
    full, sampling = padded(frame_of("P", colours=256 - 1), Sampling(padding="fill", fill=(1,)), ORANGE)
    assert full.mode == "P"
    full, sampling = padded(frame_of("P", colours=256), Sampling(padding="fill", fill=(1,)), ORANGE)
    assert (full.mode, sampling.fill) == ("RGB", ORANGE[:3])


def test_a_black_label_is_found() -> None:
    frame = frame_of("P")
    assert frame.palette is not None
    frame.palette[3] = 0
    same, sampling = padded(frame, Sampling())
    assert (same.palette is frame.palette, sampling.fill) == (True, (3.0,))


def test_deep_and_weighted_pixels() -> None:
    deep = Frame(np.zeros((1, 1, 3), np.uint16), "RGB")
    assert padded(deep, Sampling(padding="fill", fill=(1,)), ORANGE)[1].fill == pytest.approx(
        tuple(257 * v for v in ORANGE[:3])
    )
    light = Frame(np.zeros((1, 1, 4), np.float32), "RGB", "premultiplied")
    half = (255.0, 0.0, 0.0, 127.5)
    assert padded(light, Sampling(padding="fill", fill=(1,)), half)[1].fill == pytest.approx((0.5, 0, 0, 0.5))


def test_other_paddings_and_raw_numbers_pass_through() -> None:
    frame = frame_of("RGB")
    for sampling in (Sampling(padding="border"), Sampling(padding="fill", fill=(1, 2, 3))):
        assert padded(frame, sampling) == (frame, sampling)
    assert padded(frame, Sampling(padding="reflection"), BLACK)[1].padding == "reflection"
