"""Reductions whose axes go separate ways, against float64 gathers that know nothing of it, and beside the general kernel."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, cpu
from stn_cli.engines.axes import axis
from stn_cli.engines.cpu import CpuEngine
from tests.engines import reference

ENGINE = CpuEngine()
LAYOUTS = (
    *(("uint8", 1, False), ("uint8", 3, False), ("uint8", 4, True), ("uint16", 3, False)),
    *(("float32", 1, False), ("float32", 2, True)),
)
LIMITS = {"uint8": 0.51, "uint16": 0.6, "float32": 1e-5}


def straight(across, down, x=0.0, y=0.0):
    return Transformation.from_matrix(np.array([[across, 0, x], [0, down, y], [0, 0, 1.0]]))


@pytest.fixture
def separable(counted):
    return counted(cpu, "_shrink")


scales = st.floats(0.05, 4) | st.floats(-4, -0.05)  # negative: mirrored


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    scale=st.tuples(scales, scales),
    shift=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)),
    in_size=st.tuples(st.integers(1, 40), st.integers(1, 90)),
    out_size=st.tuples(st.integers(1, 24), st.integers(1, 40)),
    kernel=st.sampled_from(["bilinear", "bicubic"]),
    padding=st.sampled_from(["zeros", "border", "reflection", "fill"]),
    corners=st.booleans(),
    antialias=st.sampled_from(["auto", "on"]),
    seed=st.integers(0, 99),
)
@example(("uint8", 3, False), (1.0, 1.0), (0.0, 0.0), (40, 80), (10, 20), "bilinear", "zeros", False, "auto", 0)
def test_separate_axes_are_the_definition(
    layout, scale, shift, in_size, out_size, kernel, padding, corners, antialias, seed
):
    dtype, channels, alpha = layout
    rng = np.random.default_rng(seed)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    corners = corners and min(in_size) > 1  # np.pad knows one way to reflect at a time
    image = (rng.random((*in_size, channels)) * (top + (top > 1))).astype(dtype)
    fill = tuple(rng.random(channels) * top) if padding == "fill" else None
    sampling = Sampling(kernel, padding, fill, corners, antialias)
    map_ = straight(*scale, *shift)
    points = reference.input_points(map_, in_size, out_size, corners)
    result = ENGINE.warp(Work(image, map_, out_size, sampling, alpha))
    expected = reference.warp(image, points, sampling, alpha=alpha)
    if alpha:  # a quotient of two near zeros; nobody sees it
        unseen = np.abs(expected[..., -1]) < top * 2e-2
        result[unseen] = expected[unseen] = 0
        limit = LIMITS[dtype] * (1 if dtype == "uint8" else 100)
    else:
        limit = LIMITS[dtype]
    if _many_counts(map_, in_size, out_size, corners):
        return  # rounding decides how many taps there are
    assert reference.difference(result, expected) <= limit


def _many_counts(map_, in_size, out_size, corners):
    steps = np.abs(np.diag(map_.pixel_matrix(in_size, out_size, corners)))[:2] - 1e-3
    return bool((np.abs(steps - np.round(steps)) < 1e-9).any() or np.abs(steps - 1.5).min() < 1e-9)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_strips_are_the_whole(layout, separable):
    dtype, channels, alpha = layout
    rng = np.random.default_rng(1)
    image = (rng.random((61, 83, channels)) * (1 if dtype == "float32" else 255)).astype(dtype)
    map_, size = straight(1.1, -1.2, 0.1, 0.05), (19, 27)
    whole = ENGINE.warp(Work(image, map_, size, Sampling(), alpha))
    parts = [ENGINE.warp(Work(image, map_, size, Sampling(), alpha), r) for r in ((0, 1), (1, 12), (12, 19))]
    assert np.array_equal(np.concatenate(parts), whole)
    assert len(separable) == 4


def test_a_constant_outside_touches_nothing_inside(separable):
    image = np.random.default_rng(2).random((40, 60, 3), dtype=np.float32)
    for fill in (1e30, -1e30):
        out = ENGINE.warp(Work(image, straight(1.2, 1.2), (10, 15), Sampling(padding="fill", fill=(fill,))))
        assert (np.abs(out[2:-2, 2:-2]) <= 1).all()
        assert not (np.abs(out[0]) <= 1).any()
    assert len(separable) == 2


def test_who_takes_it(separable):
    """Straight reductions do; what turns, leans or does not shrink does not."""
    image = np.zeros((64, 64, 3), np.uint8)
    for made, count in (
        (straight(1, 1), 1), (straight(-1, 1), 1), (Transformation.from_matrix(np.diag([2.0, 2.0, 2.0])), 1),
        (Transformation.from_matrix(np.array([[1, 0.01, 0], [0, 1, 0], [0, 0, 1.0]])), 0), (straight(0.3, 0.3), 0),
        (Transformation.from_matrix(np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1.0]])), 0),
    ):  # fmt: skip
        separable.clear()
        ENGINE.warp(Work(image, made, (16, 16), Sampling()))
        assert len(separable) == count


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_weights_are_read_where_there_are_pixels(padding):
    """Whatever the map, no tap is outside the image, and weights and constant sum to one."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        size, count = rng.integers(1, 40, 2)
        found = axis(
            rng.normal(0, 9), rng.normal(0, 50), int(size), int(count), "bilinear", padding, bool(rng.integers(2))
        )
        assert found.starts[:count].min() >= 0
        assert (found.starts + found.counts)[:count].max() <= size
        sums = found.weights[:, :count].sum(0)
        assert np.allclose(sums, found.inside[:count], atol=1e-6)
        assert padding == "zeros" or np.allclose(sums, 1, atol=1e-6)
