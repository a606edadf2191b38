"""What is drawn lies where it was asked for, to a fraction of a pixel; text of users is drawn, not obeyed."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_cli.draw import text
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.theme import DARK, LIGHT


def centroid(picture, ground=255.0):
    weight = np.abs(np.asarray(picture.convert("L"), dtype=float) - ground)
    y, x = np.indices(weight.shape) + 0.5
    return (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("at", [(20.0, 30.0), (20.3, 30.8), (41.5, 12.25)])
def test_discs_have_sub_pixel_positions(at, scale):
    sheet = Canvas(60, 50, LIGHT, scale)
    sheet.circle(at, 4, "#000000")
    assert np.allclose(np.array(centroid(sheet.render())) / scale, at, atol=0.02)


def test_lines_are_anti_aliased_and_as_wide_as_asked():
    sheet = Canvas(40, 40, LIGHT)
    sheet.line([(5, 5.2), (35, 30.7)], "#000000", 2.0)
    ink = 1 - np.asarray(sheet.render().convert("L"), dtype=float) / 255
    length = np.hypot(30, 25.5)
    assert ink.sum() == pytest.approx(2.0 * length + np.pi, rel=0.02)  # two round caps
    assert ((ink > 0.05) & (ink < 0.95)).sum() > 20


def test_magnified_pixels_stay_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    sheet = Canvas(50, 40, LIGHT)
    sheet.image(Bitmap(pixels), (0, 0, 50, 40))
    assert np.array_equal(np.asarray(sheet.render()), pixels.repeat(10, 0).repeat(10, 1))


def test_clipping_hides_the_rest():
    sheet = Canvas(20, 20, LIGHT)
    with sheet.clip((5, 5, 10, 10)):
        sheet.rectangle((0, 0, 20, 20), "#000000")
    assert (np.asarray(sheet.render().convert("L")) == 0).sum() == 25


def test_points_that_are_no_numbers_break_a_line_and_nothing_else():
    sheet = Canvas(40, 10, LIGHT)
    sheet.line([(2, 5), (10, 5), (np.nan, 5), (30, 5), (1e12, 5), (38, 5)], "#000000", 2)
    sheet.circle((np.inf, np.nan), 3, "#000000")
    ink = np.asarray(sheet.render().convert("L"))[5] < 128
    assert ink[3:9].all()
    assert not ink[12:28].any()


def test_the_measured_width_is_the_drawn_width():
    markup = "∂*V*/∂*x* = (1 − *d*_{y}) · **0.25** + *U*^{2} Ωж"
    sheet = Canvas(420, 40, LIGHT, 2)
    wide = sheet.text((10, 25), markup, 20)
    columns = np.flatnonzero((np.asarray(sheet.render().convert("L")) < 128).any(0)) / 2
    assert columns[0] == pytest.approx(10, abs=2)
    assert columns[-1] == pytest.approx(10 + wide, abs=3)


def test_italic_and_bold_are_drawn_as_such():
    def picture(markup):
        sheet = Canvas(200, 40, LIGHT)
        sheet.text((5, 25), markup, 20)
        return np.asarray(sheet.render().convert("L"), dtype=float)

    plain, italic, bold = (picture(m.format("V = θx 12")) for m in ("{}", "*{}*", "**{}**"))
    assert np.abs(plain - italic).sum() > 10_000
    assert bold.sum() < plain.sum() * 0.995
    # one style must not leak into, nor vanish in, a text that has another
    mixed = picture("V = *θx* 12")
    assert np.abs(mixed - plain).sum() > 1_000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_text_of_users_is_never_markup_nor_xml(name):
    sheet = Canvas(100, 20, DARK)
    sheet.text((0, 10), text.plain(name), 10)
    root = ET.fromstring(sheet.svg())
    drawn = "".join(root.itertext())
    assert drawn == "".join(
        c if c.isprintable() else " " for c in name if c not in "\ue000\ue001\ue002\ue003\ue004"
    ) or (set(name) & set("\ue000\ue001\ue002\ue003\ue004"))


@pytest.mark.parametrize("room", [30, 60, 200])
def test_shortened_names_fit_and_keep_both_ends(room):
    name = "a/long/folder/with a picture_{1}.png"
    short = text.shorten(name, 12, room)
    assert text.width(short, 12) <= room
    assert short == text.plain(name) or "…" in short


def test_wrapped_lines_fit():
    lines = text.wrap("the sampler reads four neighbours and weighs them by area", 12, 100)
    assert len(lines) > 2
    assert all(text.width(line, 12) <= 100 for line in lines)
    assert " ".join(lines) == "the sampler reads four neighbours and weighs them by area"
