"""A family with its θ: what goes in comes out again, whoever wrote it and however it was kept."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stn_cli.core.coordinates import normalised, pixels
from stn_cli.core.families import FAMILIES, Affine, Flow, PiecewiseAffine, Projective, ThinPlateSpline, family_for, make
from stn_cli.core.transformation import Transformation

IN, OUT = (40, 60), (50, 36)
FRAMES = pytest.mark.parametrize("align_corners", [False, True])
EVERY = [
    *(make(name) for name in FAMILIES),
    ThinPlateSpline((2, 3), smoothing=0.25),
    ThinPlateSpline(control_points=[(-1, -1), (1, -1), (0, 1), (0.3, 0.1)], smoothing=0.5),
    PiecewiseAffine((3, 2)),
    Flow((2, 3), align_corners=True),
]


def near_identity(family, seed: int = 0) -> Transformation:
    still = np.array(family.identity())
    return Transformation(family, still + np.random.default_rng(seed).normal(scale=0.1, size=still.shape))


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_a_row_survives_json_to_the_last_bit(family):
    made = near_identity(family)
    row = json.loads(json.dumps(made.row()))
    assert set(row) == {"family", "theta"} | ({"options"} if family.options() else set())
    again = Transformation.from_row(row)
    assert again.family == family
    assert hash(again.family) == hash(family)
    np.testing.assert_array_equal(again.theta, made.theta)


def test_families_that_differ_are_not_equal():
    assert len(set(EVERY)) == len({hash(family) for family in EVERY}) == len(EVERY)
    assert all((a == b) == (a is b) for a in EVERY for b in EVERY)
    assert repr(Flow((2, 3), True)) == "Flow(shape=[2, 3], align_corners=True)"


@pytest.mark.parametrize("theta", [[1, 0, 0, 0, 1, 0], np.arange(6, dtype=np.float32).reshape(1, 6), (1,) * 6], ids=str)
def test_theta_is_kept_as_doubles_that_nobody_changes(theta):
    made = Transformation(Affine(), theta)
    assert made.theta.dtype == np.float64
    assert made.theta.shape == (6,)
    with pytest.raises(ValueError, match="read-only"):
        made.theta[0] = 2
    row = {"family": "affine", "theta": np.ravel(theta).tolist()}
    assert Transformation.from_row(row).theta.tolist() == made.theta.tolist()
    assert made.points([[1, 2]]).dtype == np.float64


def test_the_array_that_was_given_stays_its_owners():
    theta = np.array(Affine().identity())
    made = Transformation(Affine(), theta)
    theta[0] = 5
    assert made.theta[0] == 1


@FRAMES
@pytest.mark.parametrize("name", ["translation", "similarity", "affine", "projective"])
def test_the_matrices_do_what_the_points_do(name, align_corners):
    made = near_identity(make(name), seed=3)
    out = np.random.default_rng(1).uniform(0, 35, (9, 2))
    there = np.append(out, np.ones((9, 1)), 1) @ made.pixel_matrix(IN, OUT, align_corners).T
    expected = pixels(made.points(normalised(out, OUT, align_corners)), IN, align_corners)
    np.testing.assert_allclose(there[:, :2] / there[:, 2:], expected, atol=1e-12)
    if not align_corners:  # the frame of all of stn, unless asked
        np.testing.assert_array_equal(made.pixel_matrix(IN, OUT), made.pixel_matrix(IN, OUT, False))


def test_families_without_a_matrix_have_none():
    assert near_identity(make("tps")).matrix() is None
    assert near_identity(make("tps")).pixel_matrix(IN, OUT) is None


@pytest.mark.parametrize("out_size", [(1, 36), (50, 1), (1, 1)])
def test_a_single_pixel_between_aligned_corners_reads_the_centre(out_size):
    """As in torch: its normalised coordinate is 0."""
    made = near_identity(Affine())
    matrix = made.pixel_matrix(IN, out_size, align_corners=True)
    grid = pixels(made.grid(out_size, align_corners=True), IN, align_corners=True)
    rows, columns = np.mgrid[0 : out_size[0], 0 : out_size[1]]
    there = np.stack([columns, rows, np.ones(out_size)], -1) @ matrix.T
    np.testing.assert_allclose(there[..., :2], grid, atol=1e-12)
    assert np.linalg.det(matrix) != 0


@given(st.lists(st.floats(-2, 2), min_size=8, max_size=8), st.floats(0.01, 100) | st.floats(-100, -0.01))
def test_nine_numbers_are_a_projective_matrix_up_to_scale(theta, scale):
    nine = np.array([*theta, 1.0]) * scale
    for family in (None, "projective"):
        made = Transformation.from_numbers(nine.tolist(), family)
        assert made.family == Projective()
        np.testing.assert_allclose(made.theta, theta, rtol=1e-12, atol=1e-300)
    free = Transformation.from_matrix(nine.reshape(3, 3))
    assert free.family.name == ("projective" if nine[6:8].any() else "affine")
    np.testing.assert_allclose(free.theta, theta[: free.family.size], rtol=1e-12, atol=1e-300)


def test_numbers_find_their_family_or_fill_the_one_named():
    assert Transformation.from_numbers([1, 0, 0, 0, 1, 0]).theta.dtype == np.float64
    for count, name in (
        (2, "translation"),
        (3, "attention"),
        (4, "similarity"),
        (6, "affine"),
        (8, "projective"),
        (18, "tps"),
    ):
        assert Transformation.from_numbers(range(count)).family.name == name
        assert family_for(count, name).name == name
    for name in ("tps", "piecewise-affine", "flow"):
        for side in (2, 3, 7):
            made = Transformation.from_numbers(range(2 * side**2), name)
            assert made.family == make(name, shape=(side, side))


def test_how_far_a_matrix_moves_says_nothing_of_its_horizon():
    """Only where the last row is all but zero at the centre does the horizon pass there."""
    small = Transformation.from_numbers(np.eye(3).reshape(-1) * 1e-9)
    np.testing.assert_allclose(small.theta, Projective().identity(), rtol=1e-15)
    far = [1, 0, 1e14, 0, 1, 0, 0, 0, 1]
    assert Transformation.from_numbers(far).theta.tolist() == far[:8]
    assert Transformation.from_numbers([1, 0, 0, 0, 1, 0, 1e9, 0, 1]).family == Projective()
