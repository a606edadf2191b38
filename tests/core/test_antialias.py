"""Footprints and taps against NumPy's gradients and singular values, and the mean over a footprint against the area."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from stn_cli.core import antialias
from stn_cli.core.coordinates import normalised, pixels
from stn_cli.core.families import Affine
from stn_cli.core.sampler import sample

COLUMN = st.tuples(*[st.floats(-200, 200) | st.floats(-3, 3)] * 2)
CONVERT = pytest.mark.parametrize(
    "convert", [np.asarray, torch.tensor, array_api_strict.asarray], ids=["numpy", "torch", "strict"]
)


@CONVERT
@pytest.mark.parametrize("size", [(5, 6), (2, 3), (3, 2), (2, 2)])
def test_the_jacobian_is_numpys_gradient(convert, size):
    for shape in ((*size, 2), (4, *size, 2)):
        grid = np.random.default_rng(0).normal(size=shape)
        along_x, along_y = antialias.jacobian(convert(grid))
        np.testing.assert_allclose(np.asarray(along_x), np.gradient(grid, axis=-2), atol=1e-12)
        np.testing.assert_allclose(np.asarray(along_y), np.gradient(grid, axis=-3), atol=1e-12)


@CONVERT
def test_one_pixel_alone_does_not_move(convert):
    along_x, along_y = antialias.jacobian(convert(np.ones((1, 1, 2))))
    assert not np.asarray(along_x).any()
    assert not np.asarray(along_y).any()


@given(st.lists(st.tuples(COLUMN, COLUMN), min_size=2, max_size=4), st.sampled_from(["auto", "on"]))
def test_taps_follow_from_the_footprint(columns, how):
    """n = ⌈column norm - 1e-3⌉ up to 128 where the largest singular value is above 1.5, or above 1 with `on`; else 1."""
    J = np.array(columns)  # (k, 2, 2), the columns as rows
    sigma = np.linalg.svd(J, compute_uv=False)[:, 0]
    np.testing.assert_allclose(antialias.largest_singular_value(J[:, 0], J[:, 1]), sigma, rtol=1e-9, atol=1e-7)
    found = antialias.taps(J[:, 0], J[:, 1], how)
    least = {"auto": 1.5, "on": 1.0}[how] + 1e-3
    for numbers, column in zip(found, (J[:, 0], J[:, 1]), strict=True):
        assert numbers.dtype == np.int64
        wanted = np.ceil(np.hypot(*column.T) - 1e-3).clip(1, 128)
        clear = np.abs(sigma - least) > 1e-6  # on the threshold itself, rounding decides
        np.testing.assert_array_equal(numbers[clear], np.where(sigma > least, wanted, 1)[clear])


def test_rounding_takes_no_tap_more():
    for reduction in (2, 3, 4, 5):
        x, y = np.array([reduction + 1e-7, 0]), np.array([0, 1.0])
        assert [int(n) for n in antialias.taps(x, y, "auto")] == [reduction, 1]
    little = np.array([1.2, 0]), np.array([0, 1.0])  # above 1, below 1.5
    assert [[int(n) for n in antialias.taps(*little, how)] for how in ("auto", "on")] == [[1, 1], [2, 1]]
    one_to_one = np.array([1 + 1e-7, 0]), np.array([0, 1 + 1e-7])
    assert [int(n) for n in antialias.taps(*one_to_one, "on")] == [1, 1]


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_taps_lie_evenly_over_the_footprint(n_x, n_y):
    """Cut into n_x × n_y parts, each holds one point: its middle."""
    along_x, along_y = np.array([3.0, 1.0]), np.array([-0.5, 2.0])
    points = np.array(list(antialias.spread(np.array([10.0, 20.0]), along_x, along_y, n_x, n_y)))
    u, v = np.linalg.solve(np.stack([along_x, along_y], 1), (points - [10, 20]).T)
    places = sorted(
        (round((a + 0.5) * n_x - 0.5, 6), round((b + 0.5) * n_y - 0.5, 6)) for a, b in zip(u, v, strict=True)
    )
    assert places == [(i, j) for i in range(n_x) for j in range(n_y)]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("by", [(1, 2), (2, 1), (3, 2), (4, 4), (1, 1)])
def test_a_reduction_by_whole_factors_is_the_area_average(by, dtype, align_corners):
    """Exactly so: torch's average pooling; every picture of a batch by its own grid."""
    generator = torch.Generator().manual_seed(0)
    U = torch.rand(2, 3, 24, 36, dtype=dtype, generator=generator)
    rows, columns = np.mgrid[0 : 24 // by[0], 0 : 36 // by[1]]
    place = np.stack([columns * by[1] + (by[1] - 1) / 2, rows * by[0] + (by[0] - 1) / 2], -1)
    grid = torch.tensor(normalised(place, (24, 36), align_corners), dtype=dtype)
    both = torch.stack([grid, grid.flip(1)])
    ours = sample(U, both, antialias="on", align_corners=align_corners)
    expected = F.avg_pool2d(U, by)
    torch.testing.assert_close(ours, torch.stack([expected[0], expected[1].flip(2)]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_a_turned_footprint_is_averaged_in_its_own_frame(kernel, align_corners):
    """Against the same mean written plainly, point by point, over the columns of the map's Jacobian."""
    U = torch.rand(1, 1, 30, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theta = torch.tensor([[1.1, -0.9, 0.05, 0.6, 1.2, -0.1]], dtype=torch.float64)
    grid = Affine().grid(theta, (12, 14), align_corners=align_corners)
    how = {"kernel": kernel, "padding": "border", "align_corners": align_corners}
    places = pixels(grid, (30, 45), align_corners)[0].numpy()
    right, down = places[0, 1] - places[0, 0], places[1, 0] - places[0, 0]
    n_x, n_y = int(np.ceil(np.hypot(*right))), int(np.ceil(np.hypot(*down)))
    assert n_x != n_y
    total = 0
    for a in range(n_x):
        for b in range(n_y):
            moved = places + ((a + 0.5) / n_x - 0.5) * right + ((b + 0.5) / n_y - 0.5) * down
            there = torch.tensor(normalised(moved, (30, 45), align_corners))[None]
            total = total + sample(U, there, **how)
    torch.testing.assert_close(sample(U, grid, antialias="auto", **how), total / (n_x * n_y), atol=1e-12, rtol=0)
