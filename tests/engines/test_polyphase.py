"""Turned reductions, whose weights come from a table of phases, against float64 gathers that know nothing of it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, cpu
from stn_cli.engines.cpu import CpuEngine
from stn_cli.engines.phases import phases
from tests.engines import reference

ENGINE = CpuEngine()
LAYOUTS = (
    *(("uint8", 1, False), ("uint8", 3, False), ("uint8", 4, True), ("uint16", 3, False)),
    *(("float32", 1, False), ("float32", 2, True)),
)
LIMITS = {"uint8": 0.6, "uint16": 0.7, "float32": 1e-5}


def about_the_middle(degrees, across, down, lean=0.0, x=0.0, y=0.0):
    """Output pixels to input pixels that are `across` and `down` as large, turned, with square frames of one input each."""
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return turn @ np.array([[across, lean], [0, down]]), np.array([x, y])


def transformation(in_size, out_size, made):
    """The map with that pixel matrix that takes the middle of the output to the middle of the input, and a bit beside it."""
    matrix, shift = made
    frames = [np.array([[w / 2, 0, (w - 1) / 2], [0, h / 2, (h - 1) / 2], [0, 0, 1]]) for h, w in (in_size, out_size)]
    pixel = np.eye(3)
    pixel[:2, :2] = matrix
    pixel[:2, 2] = (np.array(in_size[::-1]) - 1) / 2 - matrix @ ((np.array(out_size[::-1]) - 1) / 2) + shift
    return Transformation.from_matrix(np.linalg.inv(frames[0]) @ pixel @ frames[1])


@pytest.fixture
def tabulated(counted):
    return counted(cpu, "_sum")


def picture(rng, dtype, size, channels, kind):
    """Noise, or only the two ends of the range, where errors of weights are largest."""
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    values = rng.random((*size, channels))
    return (values * (top + (top > 1)) if kind == "noise" else (values > 0.5) * top).astype(dtype)


@settings(max_examples=120, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    kind=st.sampled_from(["noise", "ends"]),
    degrees=st.floats(-180, 180) | st.sampled_from([0.001, 30, 45, 90, 179.9999]),
    scale=st.tuples(st.floats(0.7, 6.5), st.floats(0.7, 6.5)) | st.sampled_from([(4, 4), (2.5, 2.5), (1, 9)]),
    lean=st.floats(-1, 1),
    shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    in_size=st.tuples(st.integers(1, 150), st.integers(22, 200)),
    out_size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    padding=st.sampled_from(["zeros", "border", "reflection", "fill"]),
    corners=st.booleans(),
    antialias=st.sampled_from(["auto", "on"]),
    seed=st.integers(0, 99),
)
@example(("uint8", 3, False), "ends", 30, (4, 4), 0, (0, 0), (150, 200), (70, 75), "zeros", False, "auto", 0)
@example(("float32", 1, False), "ends", 0.001, (4, 4), 0, (0, 0), (150, 200), (75, 70), "fill", False, "auto", 0)
def test_tabulated_weights_are_the_definition(
    layout, kind, degrees, scale, lean, shift, in_size, out_size, padding, corners, antialias, seed
):
    dtype, channels, alpha = layout
    rng = np.random.default_rng(seed)
    image = picture(rng, dtype, in_size, channels, kind)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    corners = corners and min(*in_size, *out_size) > 1
    fill = tuple(rng.random(channels) * top) if padding == "fill" else None
    sampling = Sampling("bilinear", padding, fill, corners, antialias)
    map_ = transformation(in_size, out_size, about_the_middle(degrees, *scale, lean, *shift))
    points = reference.input_points(map_, in_size, out_size, corners)
    if _near_a_step(points):
        return  # rounding decides how many taps there are
    result = ENGINE.warp(Work(image, map_, out_size, sampling, alpha))
    expected = reference.warp(image, points, sampling, alpha=alpha)
    limit = LIMITS[dtype]
    if alpha:  # a quotient of two near zeros; nobody sees it
        unseen = np.abs(expected[..., -1]) < top * 2e-2
        result[unseen] = expected[unseen] = 0
        limit *= 1 if dtype == "uint8" else 100
    assert reference.difference(result, expected) <= limit


def _near_a_step(points):
    """Whether another rounding might give another number of taps."""
    steps = [np.gradient(points, axis=k) if points.shape[k] > 1 else np.zeros_like(points) for k in (1, 0)]
    jacobian = np.stack([step[0, 0] for step in steps], -1)
    lengths, largest = np.linalg.norm(jacobian, axis=0) - 1e-3, np.linalg.svd(jacobian, compute_uv=False)[0]
    return (np.abs(lengths - np.round(lengths)) < 1e-9).any() or np.abs(largest - (1.501, 1.001)).min() < 1e-9


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_weights_at_every_phase(layout, tabulated):
    """Many phases, none near the rim, so that nothing but the table is looked at; and strips are the whole."""
    dtype, channels, alpha = layout
    rng = np.random.default_rng(1)
    image = picture(rng, dtype, (420, 430), channels, "ends")
    if alpha:
        image[..., -1] = 200 if dtype == "uint8" else 0.8
    size, sampling = (75, 81), Sampling()
    for degrees, scale in ((30, 4), (17.3, 3.3), (-100, 2.6)):
        tabulated.clear()
        map_ = transformation(image.shape[:2], size, about_the_middle(degrees, scale, scale * 0.95))
        whole = ENGINE.warp(Work(image, map_, size, sampling, alpha))
        parts = [ENGINE.warp(Work(image, map_, size, sampling, alpha), r) for r in ((0, 1), (1, 40), (40, 75))]
        assert np.array_equal(np.concatenate(parts), whole)
        assert len(tabulated) == 4
        points = reference.input_points(map_, image.shape[:2], size)
        expected = reference.warp(image, points, sampling, alpha=alpha)
        assert reference.difference(whole, expected) <= {"uint8": 0.53, "uint16": 0.6, "float32": 2e-6}[dtype]


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_what_is_even_stays_even(value, tabulated):
    image = np.full((300, 400, 3), value, np.uint8)
    for degrees, scale in ((30, 4), (12, 2.7), (45, 4.7), (3, 5)):
        out = ENGINE.warp(
            Work(image, transformation((300, 400), (110, 115), about_the_middle(degrees, scale, scale)), (110, 115),
                 Sampling(padding="border"))
        )  # fmt: skip
        assert (out == value).all()
    assert len(tabulated) == 4


def test_no_number_stays_where_it_is_seen(tabulated):
    """A NaN reaches the samples that have it for a neighbour, and no others of the box around a footprint."""
    rng = np.random.default_rng(2)
    image = rng.random((300, 320, 3), dtype=np.float32)
    image[rng.random((300, 320)) < 0.01] = np.nan
    map_ = transformation((300, 320), (75, 80), about_the_middle(30, 4, 4))
    result = ENGINE.warp(Work(image, map_, (75, 80), Sampling()))
    expected = reference.warp(image, reference.input_points(map_, (300, 320), (75, 80)), Sampling())
    assert 0.1 < np.isfinite(expected).mean() < 0.9
    assert np.isfinite(result[np.isfinite(expected)]).all()
    assert len(tabulated) == 1


def test_who_takes_it(tabulated):
    """Affine reductions to outputs that are worth a table; not straight ones, few taps of 8 bits, bicubic, or projective."""
    image, size = np.zeros((300, 320, 3), np.uint8), (80, 85)
    turned = transformation((300, 320), size, about_the_middle(30, 4, 4))
    twice = transformation((300, 320), size, about_the_middle(30, 2, 2))
    straight = transformation((300, 320), size, about_the_middle(0, 4, 4))
    tilted = Transformation.from_matrix(np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1.0]]))
    for pixels, map_, out_size, kernel, count in (
        (image, turned, size, "bilinear", 1), (image, turned, (20, 20), "bilinear", 0), (image, turned, size, "bicubic", 0),
        (image, twice, size, "bilinear", 0), (image.astype(np.uint16), twice, size, "bilinear", 1),
        (image, straight, size, "bilinear", 0), (image, tilted, size, "bilinear", 0),
    ):  # fmt: skip
        tabulated.clear()
        ENGINE.warp(Work(pixels, map_, out_size, Sampling(kernel)))
        assert len(tabulated) == count, (map_, out_size, kernel)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.tuples(*[st.floats(-5, 5)] * 4) | st.sampled_from([(4.0, 0.0, 0.0, 4.0), (4.0, 4e-6, -4e-6, 4.0)]),
    pairs=st.booleans(),
)
def test_nodes_rise_and_weights_sum_to_one(steps, pairs):
    found = phases(steps, (2000, 2000), pairs)
    if found is None:
        return
    for nodes in (found.x, found.y):
        assert (np.diff(nodes.at) > 0).all()
        bins = np.arange(len(nodes.bins)) / (len(nodes.bins) - 1)
        assert (nodes.at[nodes.bins] <= bins).all()
        assert (nodes.bins + 1 < len(nodes.at)).all()
    assert found.table.ctypes.data % 64 == 0
    sums = found.table.sum((2, 3), dtype=float) / found.scale
    assert np.abs(sums - 1).max() <= (1e-3 if pairs else 1e-5)
    left, top, right, bottom = found.box
    assert found.columns.min() == left
    assert (found.rows.min(), found.rows.max()) == (top, bottom)
    assert right - left < 2 * 128


@pytest.mark.parametrize(
    "steps", [(4.0, 0.3, -0.2, 4.1), (9.6, 2.9, -2.9, 9.6), (9.9, 0.6, -0.6, 9.9), (14.1, 6.0, -6.0, 14.1)]
)
def test_weights_between_nodes_are_those_of_the_taps(steps):
    """Mixed from four nodes as the kernel does it, at phases of chance: right where all nodes are there, else off by 0.25 levels.

    A sum of values from 0 to 255 is off by half of 255·Σ|error of a weight| at the most, as the errors add up to nothing.
    """
    found = phases(steps, (2000, 2000), True)
    jacobian = np.array(steps).reshape(2, 2)
    n_x, n_y = np.ceil(np.linalg.norm(jacobian, axis=0) - 1e-3).astype(int)
    every_node = len(found.x.at) == n_x * n_y + 1
    assert every_node == (n_x < 6)
    a, b = ((np.arange(n) + 0.5) / n - 0.5 for n in (n_x, n_y))
    taps = jacobian @ np.stack(np.meshgrid(a, b)).reshape(2, -1)
    left, top, right, bottom = found.box
    worst = 0
    for phase in np.random.default_rng(4).random((300, 2)):
        x, y = taps + (phase + found.shift)[:, None]
        expected = _tents(y, top, bottom).T @ _tents(x, left, right) / (n_x * n_y)
        (i, u), (j, v) = (_between(p, nodes) for p, nodes in zip(phase, (found.x, found.y), strict=True))
        shares = ((0, 0, (1 - u) * (1 - v)), (0, 1, u * (1 - v)), (1, 0, (1 - u) * v), (1, 1, u * v))
        mixed = sum(found.table[j + down, i + right_] * share for down, right_, share in shares) / found.scale
        made = np.zeros((bottom - top + 1, right - left + 9))
        for run, column, row in zip(
            mixed, found.columns, found.rows, strict=False
        ):  # the last of `mixed` weigh nothing
            made[row - top, column - left : column - left + 8] += run
        worst = max(worst, 255 / 2 * np.abs(made[:, : right - left + 1] - expected).sum())
    assert worst <= (0.06 if every_node else 0.3)


def _tents(places, first, last):
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(first, last + 1)))


def _between(phase, nodes):
    k = np.searchsorted(nodes.at, phase, "right") - 1
    return k, (phase - nodes.at[k]) * nodes.over[k]


def test_a_reduction_by_ten_is_the_definition(tabulated):
    """More taps than a table of all nodes would hold."""
    image = picture(np.random.default_rng(5), "uint8", (1750, 1800), 3, "ends")
    size = (150, 160)
    for degrees, scale in ((17, 9.6), (1, 9.6)):
        map_ = transformation((1750, 1800), size, about_the_middle(degrees, scale, scale))
        result = ENGINE.warp(Work(image, map_, size, Sampling()))
        expected = reference.warp(image, reference.input_points(map_, (1750, 1800), size), Sampling())
        assert reference.difference(result, expected) <= 0.8
    assert len(tabulated) == 2
