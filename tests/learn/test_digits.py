"""The embedded digits: determinism, balance, MNIST's frame, and that they can be learnt but not perfectly."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

from stn_cli.learn import digits, strokes


def test_same_seed_same_digits_and_another_seed_other_digits():
    first, again, other = digits.make_digits(300, 3), digits.make_digits(300, 3), digits.make_digits(300, 4)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_shape_dtype_and_equal_classes():
    images, labels = digits.make_digits(1000, 0)
    assert images.shape == (1000, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [100] * 10


def test_like_mnist_ink_is_centred_and_keeps_a_margin():
    images, _ = digits.make_digits(400, 1)
    centres = np.array([ndimage.center_of_mass(image) for image in images.astype(float)])
    assert np.abs(centres - 13.5).max() < 1.5
    assert np.median(np.abs(centres - 13.5)) < 0.3
    assert images.max(axis=(1, 2)).min() > 150  # every digit has full ink somewhere
    rim = np.concatenate([images[:, :2].reshape(400, -1), images[:, -2:].reshape(400, -1)], axis=1)
    assert (rim > 60).any(axis=1).mean() < 0.05
    assert 15 < images.mean() < 50  # MNIST: 33


@pytest.mark.parametrize("digit", range(10))
def test_no_two_digits_are_alike_and_every_model_is_drawn(digit):
    images, labels = digits.make_digits(2000, 2)
    drawn = images[labels == digit].reshape(200, -1).astype(float)
    distance = np.abs(drawn[:, None, ::7] - drawn[None, :, ::7]).sum(-1)
    assert distance[np.triu_indices(200, 1)].min() > 0
    assert len(strokes.MODELS[digit]) >= 3


def test_spline_is_catmull_rom():
    points = np.array([(0.0, 0.2), (0.3, 0.9), (0.7, 0.4), (1.0, 1.0), (0.5, 0.1)])
    extended = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    oracle = CubicHermiteSpline(np.arange(5), points, (extended[2:] - extended[:-2]) / 2)
    np.testing.assert_allclose(digits._catmull_rom(5, 41) @ points, oracle(np.linspace(0, 4, 41)), atol=1e-12)


def test_neighbours_and_templates_read_most_but_not_all():
    images, labels = digits.make_digits(3000, 5)
    flat = images.reshape(3000, -1).astype(np.float32)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    nearest = (flat[2000:] @ flat[:2000].T).argmax(axis=1)
    errors = (labels[:2000][nearest] != labels[2000:]).mean()
    assert 0.01 < errors < 0.25
