"""The distortions against OpenCV and SciPy, their sizes and ranges, and that a batch can be drawn once and shared."""

import cv2
import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from stn_cli.learn.digits import make_digits
from stn_cli.learn.distortions import CORNERS, DISTORTIONS, SIZES, distort, draw


@pytest.fixture(scope="module")
def digits():
    return torch.from_numpy(make_digits(64, 0)[0])


def chance(name, count=64, seed=0, pool=64):
    return draw(name, count, torch.Generator().manual_seed(seed), pool)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_shape_range_and_seed(digits, name):
    images = distort(digits, chance(name))
    assert images.shape == (64, 1, SIZES[name], SIZES[name])
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, distort(digits, chance(name)))
    if name != "none":
        assert not torch.equal(images, distort(digits, chance(name, seed=1)))


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_parts_of_a_draw_are_the_draw(digits, name):
    whole = chance(name)
    parts = [distort(digits[rows], whole.part(rows), digits) for rows in (slice(0, 30), slice(30, 64))]
    assert torch.equal(distort(digits, whole, digits), torch.cat(parts))


def opencv(digit, forward, size):
    """`forward` (3, 3) takes pixels of the digit to pixels of the result; OpenCV inverts it."""
    return cv2.warpPerspective(digit.numpy().astype(np.float32) / 255, forward, (size, size), flags=cv2.INTER_LINEAR)


def pixel_frame(size):
    return np.array([[size / 2, 0, (size - 1) / 2], [0, size / 2, (size - 1) / 2], [0, 0, 1]])


@pytest.mark.parametrize("name", ["R", "RTS", "P", "TC"])
def test_theta_is_what_opencv_does_with_it(digits, name):
    drawn, size = chance(name), SIZES[name]
    images = distort(digits, drawn).numpy()
    if name == "TC":
        images = distort(digits, type(drawn)(drawn.family, drawn.theta, drawn.angle, size)).numpy()
    matrices = drawn.family.matrix(drawn.theta.double()).numpy()
    for image, digit, matrix in zip(images[:16, 0], digits[:16], matrices[:16], strict=True):
        inverse = pixel_frame(28) @ matrix @ np.linalg.inv(pixel_frame(size))
        expected = opencv(digit, np.linalg.inv(inverse), size)
        assert np.abs(image - expected).max() < 0.02


def test_rotation_is_uniform_and_counter_clockwise(digits):
    drawn = chance("R", 4000)
    assert drawn.angle.abs().max() <= 90
    assert abs(drawn.angle.mean()) < 3
    assert abs(drawn.angle.std() - 180 / 12**0.5) < 1.5
    turned = distort(digits, drawn.part(slice(0, 64))).numpy()
    for image, digit, angle in zip(turned[:16, 0], digits[:16], drawn.angle[:16], strict=True):
        matrix = cv2.getRotationMatrix2D((13.5, 13.5), float(angle), 1.0)  # OpenCV's angles are counter-clockwise
        expected = cv2.warpAffine(digit.numpy().astype(np.float32) / 255, matrix, (28, 28))
        assert np.abs(image - expected).max() < 0.02


def test_rts_has_the_papers_ranges():
    drawn = chance("RTS", 4000)
    assert drawn.angle.abs().max() <= 45
    linear = drawn.theta.view(-1, 2, 3)[..., :2]
    scale = 1.5 / torch.linalg.det(linear).sqrt()
    assert scale.min() >= 0.7 - 1e-5
    assert scale.max() <= 1.2 + 1e-5
    assert abs(scale.mean() - 0.95) < 0.01
    centres = (
        -torch.linalg.solve(linear, drawn.theta.view(-1, 2, 3)[..., 2:])[..., 0] * 21
    )  # where the digit's centre is
    assert 6.9 < centres.abs().max() <= 7 + 1e-4


def test_projective_corners_have_the_papers_spread():
    drawn = chance("P", 4000)
    corners = drawn.family.points(drawn.family.inverse(drawn.theta.double()), CORNERS.double()) * 14
    assert (corners.mean(0) - CORNERS * 14 * 0.875).abs().max() < 0.5
    assert abs(corners.std(0).mean() - (5**2 + (14 * 0.25 / 12**0.5) ** 2) ** 0.5) < 0.3


def test_elastic_is_scipys_thin_plate_spline():
    drawn = chance("E", 5)
    points = np.array(drawn.family.identity()).reshape(-1, 2)
    xy = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    for theta in drawn.theta.double():
        oracle = RBFInterpolator(points, theta.numpy().reshape(-1, 2), kernel="thin_plate_spline")(xy)
        np.testing.assert_allclose(drawn.family.points(theta, torch.from_numpy(xy))[0], oracle, atol=1e-8)
    spread = (chance("E", 4000).theta.view(-1, 16, 2) - torch.from_numpy(points) / 0.875).std() * 14
    assert 1.4 < spread < 2.3  # N(0, 1.5 px), and the scale's part


def test_clutter_is_six_pieces_of_other_digits(digits):
    drawn = chance("TC", 32, pool=64)
    plain = type(drawn)(drawn.family, drawn.theta, drawn.angle, drawn.size)
    images, bare = distort(digits[:32], drawn, digits), distort(digits[:32], plain)
    assert (images >= bare).all()
    added = images - bare
    assert ((added > 0).flatten(1).sum(1) <= 6 * 36).all()
    assert (added > 0).any()
    which, row, column, to_row, to_column = drawn.clutter[0, 0].tolist()
    piece = digits[which, row : row + 6, column : column + 6] / 255
    assert (images[0, 0, to_row : to_row + 6, to_column : to_column + 6] >= piece - 1e-6).all()
    assert drawn.clutter[..., 0].max() < 64
    assert drawn.clutter[..., 1:3].max() == 22
    assert drawn.clutter[..., 3:].max() <= 54
