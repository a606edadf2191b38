"""The overlay shows the grid that it was given."""

import numpy as np
import pytest

from stn_cli.core.coordinates import pixels, target_grid
from stn_cli.core.families import make
from stn_cli.core.transformation import Transformation
from stn_cli.draw.contact_sheet import Pair, contact_sheet, thumbnail
from stn_cli.draw.overlay import overlay
from stn_cli.draw.plane import View, mesh, place, window
from stn_cli.draw.theme import THEMES, rgb

GREY = np.full((40, 60, 3), 128, np.uint8)


def share(picture, colour, tolerance=40):
    return (np.abs(np.asarray(picture, dtype=int) - rgb(colour)).max(-1) < tolerance).mean()


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("family", ["affine", "projective", "tps"])
def test_the_mesh_passes_through_the_grid(family, align):
    kind = make(family)
    theta = np.array(kind.identity()) + np.random.default_rng(3).normal(0, 0.05, kind.size)
    grid = Transformation(kind, theta).grid((9, 13), align)
    lines, border = mesh(grid, align, cells=13)
    # The border of an output is what T makes of its own border.
    size = (9, 13)
    corners = target_grid(np, (2, 2), True) if align else np.array([[[-1.0, -1], [1, -1]], [[-1, 1], [1, 1]]])
    wanted = Transformation(kind, theta).points(corners.reshape(-1, 2))
    near = np.linalg.norm(border[:, None] - wanted[None], axis=-1).min(0)
    assert near.max() < (1e-9 if align or family == "affine" else 0.02)
    assert np.isfinite(pixels(border, size, align)).all()
    if align:  # with as many cells as fit, each line is a row or a column of the grid itself
        lines, _ = mesh(grid, True, cells=12)
        rows = [line for line in lines if len(line) == 49]
        assert np.allclose(rows[0][:: 48 // 12], grid[0], atol=1e-12)


@pytest.mark.parametrize("align", [False, True])
def test_a_view_is_the_frame_of_core(align):
    size = (20, 30)
    view = View(size, (-5, -4, 40, 26), (10.0, 20.0, 10 + 45 * 3, 20 + 30 * 3), align)
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    centres = pixels(points, size, align)
    assert np.allclose(view.at(points), (centres + 0.5 + [5, 4]) * 3 + [10, 20])
    x, y = view.at_pixel(7, 3)
    left, top, right, bottom = view.cell(7, 3)
    assert (x, y) == pytest.approx(((left + right) / 2, (top + bottom) / 2))


def test_the_window_takes_in_the_grid_but_not_the_horizon():
    assert window((20, 30), [target_grid(np, (5, 5))]) == (0, 0, 30, 20)
    wide = window((20, 30), [target_grid(np, (5, 5)) * 1.4])
    assert wide[0] < -1
    assert wide[2] > 31
    far = window((20, 30), [target_grid(np, (5, 5)) * 1e9])
    assert far == (-9, -6, 39, 26)


def test_place_keeps_the_proportion():
    left, top, right, bottom = place((2, 1), (0, 0, 100, 100))
    assert (right - left, bottom - top) == (100, 50)
    assert (left, top) == (0, 25)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES.keys())
def test_what_lies_outside_has_its_own_colour(theme):
    inside = overlay(GREY, target_grid(np, (40, 60)) * 0.6, theme=theme, legend=False)
    outside = overlay(GREY, target_grid(np, (40, 60)) * 1.4, theme=theme, legend=False)
    assert share(inside, theme.grid) > 0.01
    assert share(inside, theme.outside) == 0
    assert share(outside, theme.outside) > 0.01
    assert share(outside, theme.grid) > 0.01


@pytest.mark.parametrize(("zoom", "named"), [(0.6, False), (1.0, False), (1.4, True)])
def test_the_legend_names_what_is_there(zoom, named):
    picture = overlay(GREY, target_grid(np, (40, 60)) * zoom)
    bare = overlay(GREY, target_grid(np, (40, 60)) * zoom, legend=False)
    below = picture.crop((0, bare.height, picture.width, picture.height))
    theme = THEMES["light"]
    assert share(below, theme.grid) > 0
    assert share(below, theme.output) > 0
    assert (share(below, theme.outside) > 0) == named


def test_the_first_corner_tells_a_mirror_image_from_a_turn():
    def corner(grid):
        picture = np.asarray(overlay(GREY, grid, legend=False), dtype=int)
        hit = np.abs(picture - rgb(THEMES["light"].output)).max(-1) < 40
        y, x = np.nonzero(hit)
        return x.mean() / hit.shape[1], y.mean() / hit.shape[0]

    grid = target_grid(np, (40, 60)) * 0.8
    x, y = corner(grid)
    assert x < 0.4
    assert y < 0.4
    x, y = corner(grid[:, ::-1])
    assert x > 0.6
    assert y < 0.4
    x, y = corner(grid[::-1, ::-1])
    assert x > 0.6
    assert y > 0.6


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (28, 28), (3, 4, 1), (30, 20, 4)])
@pytest.mark.parametrize("out", [(1, 1), (1, 7), (50, 40)])
def test_any_size_can_be_drawn(shape, out):
    image = np.zeros(shape, np.uint8)
    picture = overlay(image, target_grid(np, out) * 1.1)
    assert 240 <= max(picture.size) <= 3000
    broken = target_grid(np, out).copy()
    broken[0, 0] = np.nan
    overlay(image, broken)


@pytest.mark.parametrize("count", [1, 2, 7, 25, 100])
def test_a_contact_sheet_shows_every_pair(count):
    rng = np.random.default_rng(count)
    shapes = [(30, 40, 3), (90, 20, 3), (20, 300), (28, 28, 1), (16, 16, 4)]
    pairs = [
        Pair(
            f"name {i}.png",
            rng.integers(0, 150, shapes[i % 5], dtype=np.uint8),
            np.full((9, 9, 3), (255, 0, 255), np.uint8),
        )
        for i in range(count)
    ]
    sheet = np.asarray(contact_sheet(pairs, title="t", left_out=3), dtype=int)
    # The after-pictures are of one colour that occurs nowhere else: count their blobs.
    from scipy.ndimage import label

    hit = np.abs(sheet - [255, 0, 255]).max(-1) < 60
    assert label(hit)[1] == count


def test_thumbnails_are_area_averages():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    small = thumbnail(image, 24)
    wanted = image.reshape(16, 4, 24, 4, 3).mean((1, 3))
    assert np.abs(small - wanted).max() <= 1
    assert thumbnail(small, 24) is small
    assert thumbnail(np.zeros((50, 50, 2), np.uint8), 10).shape == (10, 10, 4)
