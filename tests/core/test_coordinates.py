"""Frames: the two ways between pixels and normalised coordinates, and the matrix that says the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stn_cli.core.coordinates import (
    normalised,
    normalised_from_pixel,
    pixel_frame,
    pixel_from_normalised,
    pixels,
    target_grid,
)

SIZES = st.tuples(st.integers(2, 500), st.integers(2, 500))


@given(SIZES, st.booleans())
def test_the_ends_of_the_normalised_square_are_edges_or_centres(size, align_corners):
    height, width = size
    edge = 0.0 if align_corners else 0.5
    ends = np.array([(-1.0, -1.0), (1.0, 1.0), (0.0, 0.0)])
    expected = [(-edge, -edge), (width - 1 + edge, height - 1 + edge), ((width - 1) / 2, (height - 1) / 2)]
    np.testing.assert_allclose(pixels(ends, size, align_corners), expected, atol=1e-9)
    np.testing.assert_allclose(normalised(np.array(expected), size, align_corners), ends, atol=1e-12)
    homogeneous = np.append(ends, np.ones((3, 1)), 1) @ np.array(pixel_frame(size, align_corners)).T
    np.testing.assert_allclose(homogeneous[:, :2], expected, atol=1e-9)
    np.testing.assert_array_equal(homogeneous[:, 2], 1)


@given(SIZES, st.booleans())
def test_the_target_grid_is_every_pixels_centre_and_symmetric_to_the_last_bit(size, align_corners):
    grid = target_grid(np, size, align_corners, dtype=np.float64)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    np.testing.assert_allclose(pixels(grid, size, align_corners), np.stack([columns, rows], -1), atol=1e-9)
    np.testing.assert_array_equal(grid, -grid[::-1, ::-1])


def test_corners_are_not_aligned_unless_asked():
    points, size = np.array([(0.3, -0.7)]), (5, 8)
    for way in (pixels, normalised):
        np.testing.assert_array_equal(way(points, size), way(points, size, False))
    for way in (pixel_from_normalised, normalised_from_pixel):
        assert way(0.3, 8) == way(0.3, 8, False)
    assert pixel_frame(size) == pixel_frame(size, False)
    np.testing.assert_array_equal(target_grid(np, size), target_grid(np, size, False))


def test_an_only_pixel_between_aligned_corners_is_at_zero():
    assert normalised_from_pixel(0.0, 1, align_corners=True) == 0
    assert normalised_from_pixel(3.0, 1, align_corners=True) == 0
    assert pixel_from_normalised(0.7, 1, align_corners=True) == 0
