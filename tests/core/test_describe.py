"""θ in plain words, against the words it was made of, torch's idea of outside, and maps whose folds are known."""

import json
from dataclasses import replace
from math import copysign, radians, tan

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from stn_cli.core import fit, words
from stn_cli.core.coordinates import pixels, target_grid
from stn_cli.core.describe import MOST_POINTS, Description, describe
from stn_cli.core.families import Affine, Projective, Translation, make
from stn_cli.core.transformation import Transformation

SIZE = (40, 60)
FRAMES = pytest.mark.parametrize("align_corners", [False, True])


def made_of(text: str, size=SIZE, align_corners: bool = False) -> Transformation:
    return words.transformation(words.steps(text), size, align_corners=align_corners)


@given(
    st.floats(-179, 179), st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)), st.floats(-70, 70), st.booleans(),
    st.sampled_from([(40, 60), (31, 17), (2, 9)]), st.booleans(),
)  # fmt: skip
def test_words_come_back_as_they_were_said(turn, zoom, shear, flip, size, align_corners):
    text = f"{'flip h; ' if flip else ''}zoom {zoom[0]},{zoom[1]}; shear {shear}; rotate {turn}; translate 3,-2"
    found = describe(made_of(text, size, align_corners), size, size, align_corners)
    assert found.family == "affine"
    assert found.mirrored == flip
    assert found.rotation == pytest.approx(turn, abs=1e-6)
    assert found.scales == pytest.approx(zoom, rel=1e-6)
    assert found.shear == pytest.approx(shear, abs=1e-6)
    assert found.determinant == pytest.approx((-1) ** flip / (zoom[0] * zoom[1]), rel=1e-6)
    assert not found.horizon
    assert found.folded == 0
    assert not found.identity


@FRAMES
def test_the_centre_is_the_pixel_that_the_outputs_centre_reads(align_corners):
    found = describe(made_of("translate 3,-2", SIZE, align_corners), SIZE, (20, 90), align_corners)
    assert found.centre == pytest.approx((29.5 - 3, 19.5 + 2))


def test_no_minus_zero_is_shown():
    found = describe(made_of("translate 3,4"), SIZE, SIZE)
    assert copysign(1, found.rotation) == copysign(1, found.shear) == 1
    assert json.loads(json.dumps(found.as_dict()))["scales"] == pytest.approx([1, 1])


@FRAMES
@pytest.mark.parametrize("out_size", [(40, 60), (33, 70), (1, 9), (7, 1)])
@pytest.mark.parametrize("move", ["7.3,0", "-7.3,0", "0,9.2", "0,-9.2", "50,30", "0,0", "1000,0"])
def test_outside_is_where_torch_reads_zeros(move, out_size, align_corners):
    made = made_of(f"rotate 3; zoom 0.97; translate {move}", SIZE, align_corners)
    grid = torch.tensor(made.grid(out_size, align_corners))[None]
    ones = torch.ones(1, 1, *SIZE, dtype=torch.float64)
    read = F.grid_sample(ones, grid, mode="nearest", align_corners=align_corners)
    found = describe(made, SIZE, out_size, align_corners)
    assert found.outside == pytest.approx(1 - read.mean().item(), abs=1e-12)


@pytest.mark.parametrize("move", ["0.5,0.5", "-0.5,-0.5"])
@pytest.mark.parametrize("size", [(40, 60), (33, 70), (101, 57)])
def test_the_edge_of_the_outer_pixels_is_inside_however_it_is_rounded(move, size):
    assert describe(made_of(f"translate {move}", size), size, size).outside == 0


class Watched(Translation):
    """A translation that remembers where it was looked at."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def points(self, theta, xy):
        self.asked.append(xy)
        return super().points(theta, xy)


@FRAMES
@pytest.mark.parametrize("out_size", [(300, 1000), (4000, 3000), (3, 10**6), (256, 256), (40, 30)])
def test_large_outputs_are_thinned_out_evenly(out_size, align_corners):
    family = Watched()
    describe(Transformation(family, [0.1, 0.2]), SIZE, out_size, align_corners)
    asked = max(family.asked, key=np.size)
    count = asked.size // 2
    assert min(MOST_POINTS, out_size[0] * out_size[1]) / 1.1 <= count <= MOST_POINTS
    whole = target_grid(np, out_size, align_corners, dtype=np.float64)
    if count == out_size[0] * out_size[1]:
        np.testing.assert_allclose(asked, whole, atol=1e-12)
    np.testing.assert_allclose(asked[[0, -1]][:, [0, -1]], whole[[0, -1]][:, [0, -1]], atol=1e-12)
    for axis in (0, 1):
        steps = np.diff(asked, axis=axis)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[:1, :1], steps.shape), atol=1e-12)
    shares = [n / pixels for n, pixels in zip(asked.shape, out_size, strict=False) if pixels > 3]
    assert max(shares) == pytest.approx(min(shares), rel=0.02), "both sides are thinned alike"


@FRAMES
@pytest.mark.parametrize("after", ["rotate 0", "rotate 40; shear 30", "flip h; zoom 0.5,2", "zoom 1e-4"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_fold_is_found_where_the_map_was_folded(axis, after, align_corners):
    """|p + ½| - ½ along one axis mirrors a quarter of the output; what is done to the whole plane changes no fold."""
    grid = target_grid(np, SIZE, align_corners, dtype=np.float64).copy()
    line = (grid[:, 0, 1] if axis else grid[0, :, 0]).copy()
    grid[..., axis] = np.abs(grid[..., axis] + 0.5) - 0.5
    affine = made_of(after, SIZE, align_corners)
    found = describe(fit.flow(affine.points(grid), align_corners), SIZE, SIZE, align_corners)
    middles = (line[1:] + line[:-1]) / 2  # a strip of cells is turned where more than half of it is
    assert found.folded == pytest.approx((middles < -0.5 - 1e-9).mean(), abs=1e-12)
    assert not found.horizon
    assert found.rotation is found.scales is found.shear is None
    assert "content bent (flow)" in found.sentence()
    assert "the map folds over 2" in found.sentence()


@pytest.mark.parametrize("turned", [False, True])
def test_a_fold_across_rows_and_columns_is_opencvs_oriented_area(turned):
    size = (12, 17)
    grid = target_grid(np, size, dtype=np.float64)
    x, y = grid[..., 1 if turned else 0], grid[..., 0 if turned else 1]
    bent = np.stack([x + 0.7 * y**2, y * (x + 0.5)], -1)
    place = pixels(bent, size)
    cells = [(place[i, j], place[i, j + 1], place[i + 1, j]) for i in range(11) for j in range(16)]
    areas = np.array([cv2.contourArea(np.array(cell, dtype=np.float32), oriented=True) for cell in cells])
    assert np.abs(areas).min() > 1e-4
    found = describe(fit.flow(bent), size, size)
    assert found.folded == pytest.approx((np.sign(areas) != np.sign(found.determinant)).mean(), abs=1e-12)


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_horizon_crosses_where_w_vanishes_on_the_output(g, h):
    found = describe(Transformation(Projective(), [1, 0, 0, 0, 1, 0, g, h]), SIZE, SIZE)
    assert found.horizon == (abs(g) + abs(h) >= 1)
    if found.horizon:
        assert "horizon crosses" in found.sentence()
        assert "folds" not in found.sentence()


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8])
def test_rank_one_is_collapsed_and_full_rank_never_is(scale):
    u, v = np.random.default_rng(0).normal(size=(2, 2))
    a, b, c, d = (scale * np.outer(u, v)).reshape(-1)
    flat = describe(Transformation(Affine(), [a, b, 0, c, d, 0]), SIZE, SIZE)
    assert flat.determinant == 0
    assert not flat.mirrored
    assert flat.rotation is flat.scales is flat.shear is None
    assert "content collapsed" in flat.sentence()
    gone = describe(Transformation(Affine(), [0.0] * 6), SIZE, SIZE)
    assert gone.determinant == gone.folded == 0


@pytest.mark.parametrize("zoom", [1e-13, 1e-6, 1e6, 1e7])
def test_any_zoom_keeps_its_determinant(zoom):
    assert describe(made_of(f"zoom {zoom}"), SIZE, SIZE).determinant == pytest.approx(zoom**-2, rel=1e-4)


@pytest.mark.parametrize("name", ["affine", "tps", "flow"])
@pytest.mark.parametrize("out_size", [SIZE, (1, 9), (9, 1), (1, 1)])
def test_the_identity_is_the_identity(name, out_size):
    family = make(name)
    found = describe(Transformation(family, family.identity()), SIZE, out_size)
    assert found.identity
    assert found.folded == found.outside == 0
    assert found.sentence().startswith("identity")
    assert name in found.sentence()
    moved = np.array(family.identity())
    moved[-1] += 1e-3
    assert not describe(Transformation(family, moved), SIZE, out_size).identity


PLAIN = Description(
    family="affine", centre=(29.54, 19.46), rotation=0.0, scales=(1.0, 1.0), shear=0.0, mirrored=False, determinant=1.0,
    outside=0.0, folded=0.0, horizon=False, identity=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "content"),
    [
        ({}, "content moved"),
        ({"rotation": 0.5}, "content turned 0.5° counter-clockwise"),
        ({"rotation": -0.5}, "content turned 0.5° clockwise"),
        ({"rotation": 0.04, "shear": -0.04}, "content moved"),
        ({"shear": -0.5}, "content sheared by -0.5°"),
        ({"scales": (1.004, 1.004)}, "content moved"),
        ({"scales": (1.006, 1.006)}, "content 1.01×"),
        ({"scales": (20.0, 20.05)}, "content 20.00×"),
        ({"scales": (0.5, 0.503)}, "content 0.50× along x, 0.50× along y"),
        ({"mirrored": True, "rotation": 10.0, "scales": (2.0, 3.0), "shear": 5.0},
         "content mirrored, turned 10° counter-clockwise, 2.00× along x, 3.00× along y, sheared by 5°"),
        ({"family": "projective", "rotation": 10.0}, "content turned 10° counter-clockwise (at the centre)"),
        ({"determinant": 0.0, "rotation": None}, "content collapsed onto a line or a point"),
        ({"outside": 0.01}, "content moved; 1 % of the output lies outside the input"),
        ({"outside": 0.5}, "content moved; 50 % of the output lies outside the input"),
        ({"outside": 0.009}, "content moved; under 1 % of the output lies outside the input"),
        ({"folded": 0.3}, "content moved; the map folds over 30 % of the output"),
        ({"folded": 0.3, "horizon": True},
         "content moved; its horizon crosses the output: beyond it the plane is mirrored"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_shows_and_nothing_else(changes, content):
    assert replace(PLAIN, **changes).sentence() == f"output centre reads input (29.5, 19.5); {content}"


@FRAMES
@pytest.mark.parametrize("out_size", [(80, 120), (20, 90)])
def test_scales_are_output_pixels_per_input_pixel(out_size, align_corners):
    """Against the area of the output that an input pixel covers: between centres, or between edges, as the frame is."""
    found = describe(made_of("zoom 1.5", SIZE, align_corners), SIZE, out_size, align_corners)
    along = [(out - align_corners) / (size - align_corners) for out, size in zip(out_size, SIZE, strict=True)]
    assert found.scales == pytest.approx((1.5 * along[1], 1.5 * along[0]))
    sheared = describe(made_of("shear 20", SIZE, align_corners), SIZE, out_size, align_corners)
    assert tan(radians(sheared.shear)) == pytest.approx(tan(radians(20)) * along[1] / along[0])
