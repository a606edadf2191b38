"""Fitted maps against OpenCV and SciPy."""

import cv2
import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from stn_cli.core import fit
from stn_cli.core.conventions import to_convention
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


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_points_are_scipys_spline_with_its_residuals(smoothing):
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 40, (9, 2))
    pairs = np.concatenate([source, source + rng.normal(scale=3, size=(9, 2))], axis=1)
    made, residuals = fit.points(pairs, SIZE, smoothing)
    scale = np.array([60, 40]) / 2
    to_normalised = lambda p: (p + 0.5) / scale - 1  # noqa: E731
    oracle = RBFInterpolator(
        to_normalised(pairs[:, 2:]), to_normalised(pairs[:, :2]), kernel="thin_plate_spline", smoothing=smoothing
    )
    xy = rng.uniform(-1, 1, (30, 2))
    np.testing.assert_allclose(made.points(xy), oracle(xy), atol=1e-9)
    missed = (oracle(to_normalised(pairs[:, 2:])) + 1) * scale - 0.5 - pairs[:, :2]
    np.testing.assert_allclose(residuals, np.hypot(*missed.T), atol=1e-9)
    assert (residuals.max() < 1e-9) == (smoothing == 0)


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_grid_becomes_a_flow_that_gives_it_back(align_corners):
    grid = np.random.default_rng(0).normal(size=(5, 7, 2))
    np.testing.assert_allclose(fit.flow(grid, align_corners).grid((5, 7), align_corners), grid, atol=1e-15)
