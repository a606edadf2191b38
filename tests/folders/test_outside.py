"""Padding looks the same in every mode: checked on the colours that Pillow shows."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stn_cli.core.sampling import Sampling
from stn_cli.errors import OptionError
from stn_cli.folders.codecs import pillow
from stn_cli.folders.colour import parse
from stn_cli.folders.outside import padded
from stn_cli.folders.picture import Frame

ORANGE = (240, 120, 30)
COLOUR = parse("rgb(240,120,30)")


def shown(frame: Frame, padding: str, constant: tuple[float, ...] | None) -> tuple[int, ...]:
    """The colour of one pixel of padding, as Pillow makes it RGB(A)."""
    channels = frame.pixels.shape[2]
    values = Sampling(padding=padding, fill=constant).constant(channels)
    pixel = np.array(values).reshape(1, 1, channels).astype(frame.pixels.dtype)
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
    assert shown(*padded(frame_of(mode), "zeros", None)) == (0, 0, 0, 255)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_zeros_are_clear_with_alpha(mode: str) -> None:
    assert shown(*padded(frame_of(mode, "alpha"), "zeros", None)) == (0, 0, 0, 0)


def test_zeros_are_clear_in_a_transparent_palette() -> None:
    frame = frame_of("P")
    assert frame.palette is not None
    clear = replace(frame, palette=np.hstack([frame.palette, np.full((8, 1), 255, np.uint8)]))
    assert shown(*padded(clear, "zeros", None))[3] == 0
    clear.palette[5, 3] = 0
    assert padded(clear, "zeros", None)[2] == (5.0,)


@pytest.mark.parametrize("mode", ["P", "RGB", "CMYK", "L", "1"])
def test_fill_looks_like_the_colour(mode: str) -> None:
    got = shown(*padded(frame_of(mode), "fill", COLOUR))
    expected = Image.new("RGB", (1, 1), ORANGE)
    if mode in ("L", "1"):
        expected = expected.convert("L").point(lambda v: v if mode == "L" else 255 * (v >= 128)).convert("RGB")
    assert np.abs(np.array(got[:3]) - expected.getpixel((0, 0))).max() <= 1


def test_a_palette_gains_the_colour_or_gives_way() -> None:
    few, _, constant = padded(frame_of("P"), "fill", COLOUR)
    assert few.palette is not None
    assert (len(few.palette), constant) == (9, (8.0,))
    again, _, constant = padded(few, "fill", COLOUR)
    assert (again.palette is few.palette, constant) == (True, (8.0,))
    assert padded(frame_of("P", colours=255), "fill", COLOUR)[0].mode == "P"
    full, _, constant = padded(frame_of("P", colours=256), "fill", COLOUR)
    assert (full.mode, constant) == ("RGB", ORANGE)


def test_deep_and_weighted_pixels() -> None:
    deep = Frame(np.zeros((1, 1, 3), np.uint16), "RGB")
    assert padded(deep, "fill", COLOUR)[2] == tuple(257 * v for v in ORANGE)
    light = Frame(np.zeros((1, 1, 4), np.float32), "RGB", "premultiplied")
    assert padded(light, "fill", parse("#ff000080"))[2] == pytest.approx((128 / 255, 0, 0, 128 / 255))


def test_numbers_are_in_the_units_of_the_image() -> None:
    assert padded(frame_of("RGB"), "fill", parse("1 2 3"))[2] == (1, 2, 3)
    assert padded(frame_of("P"), "fill", parse("7"))[2] == (7,)
    with pytest.raises(OptionError, match="3 channels"):
        padded(frame_of("RGB"), "fill", parse("1 2"))
    with pytest.raises(OptionError, match="no alpha"):
        padded(frame_of("RGB"), "fill", parse("#ff000080"))


def test_other_paddings_pass_through() -> None:
    frame = frame_of("CMYK")
    assert padded(frame, "border", None) == (frame, "border", None)
