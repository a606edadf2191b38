"""Families against torch, SciPy and scikit-image, and against each other."""

import warnings

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from skimage.transform import PiecewiseAffineTransform
from torch.nn import functional as F

from stn_cli.core.coordinates import target_grid
from stn_cli.core.families import FAMILIES, Affine, Flow, PiecewiseAffine, ThinPlateSpline, family_for, make
from stn_cli.errors import OptionError, StnError

SIZES = [(5, 7), (8, 8), (2, 3), (1, 6), (9, 1)]
everywhere = pytest.mark.parametrize("align_corners", [False, True])
every_family = pytest.mark.parametrize("name", FAMILIES)


def near_identity(name: str, rows: int = 3, seed: int = 0) -> tuple:
    family = make(name)
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(rows, family.size))
    return family, np.array(family.identity()) + noise


def near_identity_of(family, seed: int = 0) -> np.ndarray:
    still = np.array(family.identity())
    return still + np.random.default_rng(seed).normal(scale=0.1, size=still.shape)


@everywhere
@every_family
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identity_is_the_target_grid_exactly(name, size, align_corners, dtype):
    family = make(name)
    theta = np.array(family.identity(), dtype=dtype)
    grid = family.grid(theta, size, align_corners=align_corners)
    assert grid.shape == (1, *size, 2)
    assert grid.dtype == dtype
    np.testing.assert_array_equal(grid[0], target_grid(np, size, align_corners, dtype=dtype))


@everywhere
@pytest.mark.parametrize("size", SIZES)
def test_target_grid_is_torchs(size, align_corners):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch wonders at single pixels with align_corners
        expected = F.affine_grid(torch.eye(2, 3, dtype=torch.float64)[None], (1, 1, *size), align_corners=align_corners)
    ours = target_grid(np, size, align_corners, dtype=np.float64)
    np.testing.assert_allclose(ours, expected[0].numpy(), atol=1e-15)


@every_family
def test_numpy_torch_and_the_strict_standard_agree(name):
    family, theta = near_identity(name)
    ours = family.grid(theta, (6, 9))
    np.testing.assert_allclose(family.grid(torch.tensor(theta), (6, 9)).numpy(), ours, atol=1e-13)
    strict = family.grid(array_api_strict.asarray(theta), (6, 9))
    np.testing.assert_allclose(np.asarray(strict), ours, atol=1e-13)


@everywhere
@every_family
def test_the_grid_is_made_on_the_device_that_theta_is_on(name, align_corners):
    """torch's device without memory stands for a GPU: mixing it with another is an error."""
    family, theta = near_identity(name)
    for size in ((6, 9), (8, 8)):
        grid = family.grid(torch.tensor(theta, device="meta"), size, align_corners=align_corners)
        assert grid.device.type == "meta"
        assert grid.shape == (3, *size, 2)


@every_family
def test_a_batch_is_its_rows_and_one_theta_serves_all(name):
    family, theta = near_identity(name)
    batch = family.grid(theta, (4, 5))
    for row, grid in zip(theta, batch, strict=True):
        np.testing.assert_allclose(family.grid(row, (4, 5))[0], grid, atol=1e-15)


@everywhere
def test_affine_is_torchs_affine_grid(align_corners):
    family, theta = near_identity("affine")
    expected = F.affine_grid(torch.tensor(theta).reshape(-1, 2, 3), (3, 1, 6, 9), align_corners=align_corners)
    np.testing.assert_allclose(family.grid(theta, (6, 9), align_corners=align_corners), expected.numpy(), atol=1e-14)


@pytest.mark.parametrize("name", [n for n in FAMILIES if make(n).matrix(np.array([make(n).identity()])) is not None])
def test_the_matrix_does_what_the_points_do_and_the_inverse_undoes_it(name):
    family, theta = near_identity(name)
    xy = np.random.default_rng(1).uniform(-1, 1, (20, 2))
    homogeneous = np.concatenate([xy, np.ones((20, 1))], axis=1)
    mapped = np.einsum("nij,pj->npi", family.matrix(theta), homogeneous)
    np.testing.assert_allclose(family.points(theta, xy), mapped[..., :2] / mapped[..., 2:], atol=1e-13)
    back = family.inverse(theta)
    for row, inverse in zip(theta, back, strict=True):
        np.testing.assert_allclose(family.points(inverse, family.points(row, xy)[0])[0], xy, atol=1e-12)


@given(st.lists(st.floats(-0.4, 0.4), min_size=6, max_size=6))
def test_families_nest(change):
    affine = np.array(Affine().identity()) + change
    grid = Affine().grid(affine, (5, 7))
    np.testing.assert_allclose(make("projective").grid(np.append(affine, [0.0, 0.0]), (5, 7)), grid, atol=1e-12)
    field = (grid[0] - target_grid(np, (5, 7), dtype=np.float64)).reshape(-1)
    np.testing.assert_allclose(Flow((5, 7)).grid(field, (5, 7)), grid, atol=1e-12)
    for mesh in (ThinPlateSpline(), PiecewiseAffine()):
        moved = Affine().points(affine, np.array(mesh.control_points))[0].reshape(-1)
        np.testing.assert_allclose(mesh.grid(moved, (5, 7)), grid, atol=1e-11)


@given(st.floats(0.3, 2.0), st.floats(-3, 3), st.floats(-1, 1), st.floats(-1, 1))
def test_the_small_families_are_affine_ones(s, angle, tx, ty):
    a, b = s * np.cos(angle), s * np.sin(angle)
    for name, theta, affine in (
        ("translation", [tx, ty], [1, 0, tx, 0, 1, ty]),
        ("attention", [s, tx, ty], [s, 0, tx, 0, s, ty]),
        ("similarity", [a, b, tx, ty], [a, -b, tx, b, a, ty]),
    ):
        expected = Affine().grid(np.array(affine, dtype=float), (4, 6))
        np.testing.assert_allclose(make(name).grid(np.array(theta), (4, 6)), expected, atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_tps_is_scipys_thin_plate_spline(smoothing):
    rng = np.random.default_rng(3)
    scattered = tuple((float(x), float(y)) for x, y in rng.uniform(-1, 1, (12, 2)))
    for family in (
        ThinPlateSpline(smoothing=smoothing),
        ThinPlateSpline(control_points=scattered, smoothing=smoothing),
    ):
        control = np.array(family.control_points)
        read = control + rng.normal(scale=0.2, size=control.shape)
        expected = RBFInterpolator(control, read, kernel="thin_plate_spline", smoothing=smoothing)
        xy = rng.uniform(-1.3, 1.3, (50, 2))
        np.testing.assert_allclose(family.points(read.reshape(-1), xy)[0], expected(xy), atol=1e-9)


def test_tps_meets_its_control_points():
    family, theta = near_identity("tps")
    read = family.points(theta, np.array(family.control_points))
    np.testing.assert_allclose(read.reshape(3, -1), theta, atol=1e-12)


def test_piecewise_affine_agrees_with_scikit_image_on_a_mesh_cut_the_same_way():
    # A Delaunay mesh of a regular lattice may cut its squares either way; on a lattice sheared to the left they are all
    # cut from top left to bottom right, and the shear is affine, so that piecewise maps stay piecewise.
    family, theta = near_identity("piecewise-affine", rows=1)
    control, read = np.array(family.control_points), theta.reshape(-1, 2)
    shear = np.array([[1.0, -0.3], [0.0, 1.0]])
    oracle = PiecewiseAffineTransform.from_estimate(control @ shear.T, read)
    xy = np.random.default_rng(2).uniform(-0.99, 0.99, (200, 2))
    expected = oracle(xy @ shear.T)
    np.testing.assert_allclose(family.points(theta, xy)[0], expected, atol=1e-9)


@everywhere
def test_flow_between_its_points_is_torchs_bilinear(align_corners):
    family = Flow((5, 6), align_corners)
    field = np.random.default_rng(0).normal(size=(5, 6, 2))
    xy = np.random.default_rng(1).uniform(-1, 1, (3, 40, 2))
    U = torch.tensor(field).permute(2, 0, 1)[None]
    expected = F.grid_sample(U, torch.tensor(xy)[None], padding_mode="border", align_corners=align_corners)
    ours = family.points(field.reshape(-1), xy)[0] - xy
    np.testing.assert_allclose(ours, expected[0].permute(1, 2, 0).numpy(), atol=1e-12)


@given(st.floats(-1e-7, 1e-7))
@example(0.0)
def test_a_projective_horizon_stays_finite_and_each_side_goes_its_own_way(w):
    """w = 1 - x: before the horizon and on it points go far to the right, just beyond it far to the left."""
    theta = np.array([1, 0, 0, 0, 1, 0, -1.0, 0])
    x, y = make("projective").points(theta, np.array([[1.0 - w, 0.5]]))[0, 0]
    w = 1 - (1 - w)  # as it is after rounding
    assert np.isfinite([x, y]).all()
    assert min(abs(x), abs(2 * y)) > 1e5
    assert (x > 0) == (y > 0) == (w >= 0)


def test_the_family_follows_from_the_count():
    names = {2: "translation", 3: "attention", 4: "similarity", 6: "affine", 8: "projective", 32: "tps", 50: "tps"}
    assert {count: family_for(count).name for count in names} == names
    assert family_for(50, "piecewise-affine").options() == {"shape": [5, 5]}
    for count, name in ((5, None), (7, None), (1, None), (0, None), (6, "projective"), (7, "tps"), (6, "nonsense")):
        with pytest.raises(OptionError):
            family_for(count, name)
    for count in (8, 10, 12, 18, 20, 24, 98):
        square = count in (8, 18, 98)
        for name in ("tps", "piecewise-affine", "flow"):
            if square:
                assert family_for(count, name).size == count
            else:
                with pytest.raises(OptionError, match="2n²"):
                    family_for(count, name)


@every_family
def test_options_rebuild_the_family(name):
    family = make(name)
    again = make(name, **family.options())
    assert again == family
    assert len(family.parameter_names) == family.size == len(family.identity())


@pytest.mark.parametrize("family", [ThinPlateSpline, PiecewiseAffine])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (4, 2)])
def test_a_lattice_spans_the_output_row_by_row(family, shape):
    made = family(shape)
    expected = np.stack(np.meshgrid(np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[0])), -1).reshape(-1, 2)
    np.testing.assert_allclose(made.control_points, expected, atol=1e-15)
    assert made.parameter_names[:4] == ("x1", "y1", "x2", "y2")
    read = near_identity_of(made)
    np.testing.assert_allclose(made.points(read, expected)[0].reshape(-1), read, atol=1e-12)


def test_beyond_its_lattice_the_outermost_triangles_go_on():
    family = PiecewiseAffine((3, 4))
    read = near_identity_of(family)
    for inner, outer in (((-0.99, -0.98), (-1.5, -1.4)), ((0.99, 0.97), (1.5, 1.3))):
        middle = np.array([inner, np.add(inner, outer) / 2, outer])
        moved = family.points(read, middle)[0]
        np.testing.assert_allclose(moved[1], (moved[0] + moved[2]) / 2, atol=1e-12)


@everywhere
def test_a_flow_of_its_own_size_is_read_where_it_is_given(align_corners):
    family = Flow((5, 7), align_corners)
    field = np.random.default_rng(0).normal(size=(3, 5, 7, 2))
    still = target_grid(np, (5, 7), align_corners, dtype=np.float64)
    np.testing.assert_array_equal(family.grid(field.reshape(3, -1), (5, 7), align_corners=align_corners), still + field)
    other = family.grid(field.reshape(3, -1), (5, 7), align_corners=not align_corners)
    there = target_grid(np, (5, 7), not align_corners, dtype=np.float64)
    np.testing.assert_allclose(other, family.points(field.reshape(3, -1), there), atol=1e-15)


@everywhere
def test_beyond_the_outer_centres_a_flow_is_constant(align_corners):
    family = Flow((5, 6), align_corners)
    field = np.random.default_rng(0).normal(size=(5, 6, 2))
    xy = np.array([(-3.0, -3.0), (3.0, -3.0), (-3.0, 3.0), (3.0, 3.0)])
    moved = family.points(field.reshape(-1), xy)[0] - xy
    np.testing.assert_allclose(moved, field[[0, 0, -1, -1], [0, -1, 0, -1]], atol=1e-12)


def test_control_points_that_determine_no_spline_are_refused():
    line = tuple((k / 4, k / 4) for k in range(5))
    twice = ((0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    for bad in (line, twice, ((0.0, 0.0), (1.0, 1.0))):
        family = ThinPlateSpline(control_points=bad)
        with pytest.raises(StnError, match="no thin-plate spline"):
            family.points(np.array(family.identity()), np.zeros((1, 2)))
