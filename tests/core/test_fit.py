"""Fitted maps against OpenCV and SciPy."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from stn_cli.core import fit
from stn_cli.core.conventions import to_convention
from stn_cli.core.coordinates import normalised, pixels
from stn_cli.errors import OptionError

SIZE = (40, 60)
QUAD = np.array([(5.0, 3), (52, 8), (58, 37), (2, 30)])


@pytest.mark.parametrize("align_corners", [False, True])
def test_corners_are_opencvs_perspective(align_corners):
    made = fit.corners(QUAD, SIZE, align_corners)
    out = (30, 50)
    edge = 0.0 if align_corners else 0.5
    filled = np.array([(-edge, -edge), (49 + edge, -edge), (49 + edge, 29 + edge), (-edge, 29 + edge)])
    expected = cv2.getPerspectiveTransform(QUAD.astype(np.float32), filled.astype(np.float32))
    ours = to_convention("opencv", made, SIZE, out, align_corners).reshape(3, 3)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@given(st.lists(st.tuples(*[st.integers(-30, 30)] * 2), min_size=4, max_size=4), st.booleans())
def test_a_quadrilateral_is_taken_where_opencv_calls_it_convex(quad, as_floats):
    given_ = np.array(quad, dtype=np.float32 if as_floats else np.int64)
    turns = [np.linalg.det([np.subtract(b, a), np.subtract(c, b)])
             for a, b, c in zip(quad, quad[1:] + quad[:1], quad[2:] + quad[:2], strict=True)]  # fmt: skip
    convex = cv2.isContourConvex(np.array(quad, dtype=np.int32)) and min(np.abs(turns)) > 1e-6
    try:
        made = fit.corners(given_, SIZE)
    except OptionError:
        assert not convex
        return
    assert convex
    corners = pixels(made.points(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])), SIZE)
    np.testing.assert_allclose(corners, quad, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("at", [0.0, 1e4])
def test_a_rectangle_is_projective_too_wherever_it_lies_and_however_large_it_is(scale, at):
    quad = np.array([(0, 0), (3, 0), (3, 2), (0, 2)]) * scale + [at, 0]
    made = fit.corners(quad, SIZE)
    assert made.family.name == "projective"
    np.testing.assert_allclose(
        pixels(made.points([(-1, -1), (1, 1)]), SIZE), quad[[0, 2]], rtol=1e-9, atol=scale * 1e-6
    )


@pytest.mark.parametrize(
    "quad",
    [
        [(0, 0), (1, 1), (2, 2), (3, 3)],
        [(0, 0), (9, 9), (9, 0), (0, 9)],
        [(5, 5)] * 4,
        [(0, 0), (9, 0), (2, 2), (0, 9)],
    ],
)
def test_what_is_no_convex_quadrilateral_is_refused(quad):
    with pytest.raises(OptionError, match="convex"):
        fit.corners(np.array(quad, dtype=float), SIZE)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_points_are_scipys_spline_with_its_residuals(smoothing, align_corners):
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 40, (9, 2))
    pairs = np.concatenate([source, source + rng.normal(scale=3, size=(9, 2))], axis=1)
    made, residuals = fit.points(pairs, SIZE, smoothing, align_corners)
    edge = 0.0 if align_corners else 0.5
    scale = (np.array([60, 40]) - 1) / 2 + edge
    to_normalised = lambda p: (p + edge) / scale - 1  # noqa: E731
    oracle = RBFInterpolator(
        to_normalised(pairs[:, 2:]), to_normalised(pairs[:, :2]), kernel="thin_plate_spline", smoothing=smoothing
    )
    xy = rng.uniform(-1, 1, (30, 2))
    np.testing.assert_allclose(made.points(xy), oracle(xy), atol=1e-9)
    missed = (oracle(to_normalised(pairs[:, 2:])) + 1) * scale - edge - pairs[:, :2]
    np.testing.assert_allclose(residuals, np.hypot(*missed.T), atol=1e-9)
    assert (residuals.max() < 1e-9) == (smoothing == 0)


def test_points_are_met_unless_smoothing_is_asked_for_and_whole_numbers_will_do():
    pairs = [(1, 1, 2, 2), (50, 3, 48, 5), (30, 38, 29, 30), (10, 30, 11, 33)]
    made, residuals = fit.points(pairs, SIZE)
    assert residuals.max() < 1e-9
    target = normalised(np.array(pairs, dtype=float)[:, 2:], SIZE)
    np.testing.assert_allclose(pixels(made.points(target), SIZE), np.array(pairs)[:, :2], atol=1e-9)
    np.testing.assert_array_equal(fit.points(np.array(pairs, dtype=np.float32), SIZE)[0].theta, made.theta)


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_grid_becomes_a_flow_that_gives_it_back(align_corners):
    grid = np.random.default_rng(0).normal(size=(5, 7, 2))
    np.testing.assert_allclose(fit.flow(grid, align_corners).grid((5, 7), align_corners), grid, atol=1e-15)
    np.testing.assert_allclose(fit.flow(grid).grid((5, 7)), grid, atol=1e-15)
    single = fit.flow(grid.astype(np.float32), align_corners)
    np.testing.assert_allclose(single.grid((5, 7), align_corners), grid.astype(np.float32), atol=1e-15)
