"""Every family through the CPU engine; grids from a lattice; strips, batches and sizes that are awkward."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.cpu import CpuEngine, _table
from stn_cli.engines.lattice import BOUND, lattice_for
from stn_cli.engines.points import exact_points
from tests.engines import reference

ENGINE = CpuEngine()
OFF = Sampling(padding="border", antialias="off")


def moved(name, amount, seed, **options):
    family = make(name, **options)
    rng = np.random.default_rng(seed)
    return Transformation(family, np.array(family.identity()) + amount * rng.standard_normal(family.size))


def noise(size, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [("translation", {}), ("attention", {}), ("similarity", {}), ("affine", {}), ("projective", {}),
     ("piecewise-affine", {"shape": (3, 4)}), ("tps", {"shape": (3, 3)}), ("flow", {"shape": (40, 50)})],
)  # fmt: skip
def test_every_family_within_one_level(name, options):
    for seed in range(3):
        map_ = moved(name, 0.1, seed, **options)
        image = noise((61, 83), seed=seed)
        result = ENGINE.warp(Work(image, map_, (40, 50), OFF))
        expected = reference.warp(image, reference.input_points(map_, (61, 83), (40, 50)), OFF)
        assert reference.difference(result, expected) <= 1


@pytest.mark.parametrize("name", ["tps", "piecewise-affine"])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(331, 517), (1000, 1200)])
def test_a_table_keeps_its_bound(name, align_corners, size):
    for seed in range(1 if size[0] > 500 else 2):
        map_ = moved(name, 0.05, seed, shape=(4, 5))
        lattice = lattice_for(map_, (400, 300), size, align_corners)
        assert (lattice is None) == (name == "piecewise-affine")
        whole = _table(map_, (400, 300), size, align_corners, 0, size[0])
        part = _table(map_, (400, 300), size, align_corners, 100, 107)
        exact = reference.input_points(map_, (400, 300), size, align_corners)
        assert np.abs(whole[: exact.size].reshape(exact.shape) - exact).max() <= (BOUND / 4 if lattice else 1e-9)
        np.testing.assert_array_equal(part[: 14 * size[1]], whole[200 * size[1] : 214 * size[1]])


def test_the_spline_is_exact_on_its_control_points_too():
    map_ = moved("tps", 0.1, 0, shape=(3, 3))
    rows, columns = np.arange(41.0)[:, None], np.arange(41.0)
    points = exact_points(map_, (61, 83), (41, 41), True, rows, columns)
    np.testing.assert_allclose(points, reference.input_points(map_, (61, 83), (41, 41), True), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["affine", "projective", "tps"]),
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.integers(1, 70),
    st.sampled_from(["zeros", "border", "reflection"]), st.integers(0, 999),
)  # fmt: skip
def test_any_size_any_map_and_strips_are_the_same_bytes(name, height, width, out_height, out_width, padding, seed):
    options = {"shape": (3, 3)} if name == "tps" else {}
    map_ = moved(name, 0.3, seed, **options)
    image, sampling = noise((height, width), seed=seed), Sampling(padding=padding, antialias="off")
    whole = ENGINE.warp(Work(image, map_, (out_height, out_width), sampling))
    cut = out_height // 3
    strips = [
        ENGINE.warp(Work(image, map_, (out_height, out_width), sampling), rows=r) for r in ((0, cut), (cut, out_height))
    ]
    np.testing.assert_array_equal(np.concatenate(strips), whole)
    points = reference.input_points(map_, (height, width), (out_height, out_width))
    near = (np.abs(points) < 300).all(-1)  # a horizon goes as far as it likes; the reference's plane ends
    expected = reference.warp(image, np.where(near[..., None], points, 0), sampling)
    assert reference.difference(whole[near], expected[near]) <= 1 if near.any() else True


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("padding", ["zeros", "border", "fill"])
def test_a_batch_is_its_images_one_by_one(channels, padding):
    rng = np.random.default_rng(3)
    family = make("affine")
    theta = np.array(family.identity()) + 0.4 * rng.standard_normal((5, 6))
    images = rng.integers(0, 256, (5, 28, 21, channels)).astype(np.uint8)
    sampling = Sampling(padding=padding, fill=(200,) if padding == "fill" else None, antialias="off")
    batch = ENGINE.warp_batch(images, family, theta, (13, 17), sampling)
    for image, row, result in zip(images, theta, batch, strict=True):
        map_ = Transformation(family, row)
        np.testing.assert_array_equal(ENGINE.warp(Work(image, map_, (13, 17), sampling)), result)
        expected = reference.warp(image, reference.input_points(map_, (28, 21), (13, 17)), sampling)
        assert reference.difference(result, expected) <= 1


def test_the_horizon_of_a_projective_map_is_survived():
    map_ = Transformation(make("projective"), np.array([1, 0, 0, 0, 1, 0, 1.7, 0.9]))
    for padding in ("zeros", "border", "reflection"):
        for antialias in ("off", "auto"):
            result = ENGINE.warp(Work(noise((50, 60)), map_, (45, 65), Sampling(padding=padding, antialias=antialias)))
            assert result.shape == (45, 65, 3)


def test_opaque_and_clear_alpha_take_the_short_way_to_the_same_picture():
    image = noise((90, 70), 4)
    image[:45, :, 3], image[45:, :, 3] = 255, 0
    map_ = moved("affine", 0.1, 1)
    result = ENGINE.warp(Work(image, map_, (80, 75), OFF, alpha=True))
    expected = reference.warp(image, reference.input_points(map_, (90, 70), (80, 75)), OFF, alpha=True)
    assert reference.difference(result, expected) <= 1


@pytest.mark.parametrize("last_row", [(0, 0, 1), (0.2, -0.1, 1)])
def test_a_large_image_is_what_opencv_makes_of_it(last_row):
    """Large enough that what comes next is fetched ahead."""
    size = (2400, 2450)
    image = noise(size)
    map_ = Transformation.from_matrix(np.array([[1.1, 0.4, 0.1], [-0.5, 0.9, 0], last_row]))
    matrix = map_.pixel_matrix(size, size)
    expected = cv2.warpPerspective(image, matrix, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    result = ENGINE.warp(Work(image, map_, size, Sampling(antialias="off")))
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_just_left_of_a_pixel_is_that_pixel(padding):
    """float32 rounds what is a billionth short of a whole to a whole."""
    image = noise((40, 50))
    for nudge in (-1e-9, 1e-9):
        map_ = Transformation(make("tps", shape=(3, 3)), np.array(make("tps", shape=(3, 3)).identity()) + nudge)
        for made in (map_, Transformation(make("translation"), np.full(2, nudge))):
            np.testing.assert_array_equal(ENGINE.warp(Work(image, made, (40, 50), Sampling(padding=padding))), image)


@pytest.mark.parametrize("size", [(3, 70001), (70001, 3)])
@pytest.mark.parametrize("name", ["translation", "projective", "tps"])
def test_sides_beyond_16_bits(size, name):
    """A quarter of a pixel along the long side, to the last pixel: OpenCV's remap ends at 32,767."""
    image = noise(size, 3)
    family = make(name, **({"shape": (3, 3)} if name == "tps" else {}))
    along = np.array([0.5 / size[1], 0.0]) if size[1] > size[0] else np.array([0.0, 0.5 / size[0]])
    theta = np.array(family.identity(), dtype=float)
    if name == "projective":
        theta[[2, 5]] += along
    else:
        theta += np.tile(along, family.size // 2)
    result = ENGINE.warp(Work(image, Transformation(family, theta), size, OFF))
    axis = int(size[1] > size[0])
    after = np.concatenate([image, image.take([-1], axis)], axis).take(range(1, max(size) + 1), axis)
    assert reference.difference(result, 0.75 * image + 0.25 * after) <= 0.6
