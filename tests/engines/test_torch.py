"""The torch engine, in bands, against float64 gathers."""

import itertools

import numpy as np
import pytest

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines import torch as torch_engine
from stn_cli.engines.torch import TorchEngine
from tests.engines import reference
from tests.engines.test_cpu import how, picture, transformation


@pytest.mark.parametrize(
    ("dtype", "channels", "alpha"), [("uint8", 3, False), ("uint8", 4, True), ("uint16", 1, False)]
)
def test_bands_are_the_definition(dtype, channels, alpha, monkeypatch):
    monkeypatch.setattr(torch_engine, "BAND", 100)
    rng = np.random.default_rng(0)
    for kernel, padding, name in itertools.product(
        ("nearest", "bilinear", "bicubic"), ("zeros", "border", "fill"), ("turn", "shrink")
    ):
        image, map_ = picture(rng, dtype, channels), transformation(name)
        sampling = how(kernel, padding, False, "auto", channels, dtype)
        result = TorchEngine().warp(Work(image, map_, (19, 31), sampling, alpha=alpha))
        points = reference.input_points(map_, image.shape[:2], (19, 31))
        expected = reference.warp(image, points, sampling, alpha=alpha)
        if kernel == "nearest":
            tie = (np.abs((points + 0.5) % 1 - 0.5) > 0.5 - 1e-4).any(-1)
            result[tie] = expected[tie] = 0
        assert reference.difference(result, expected) <= {"uint8": 1, "uint16": 0.51}[dtype], (kernel, padding, name)


def test_sixteen_bits_far_from_the_first_pixel():
    image = np.zeros((3, 20_000, 1), np.uint16)
    image[:, ::2] = 65535
    map_ = Transformation(make("affine"), np.array([0.001, 0, 0.99, 0, 0.5, 0]))
    points = reference.input_points(map_, image.shape[:2], (3, 200))
    result = TorchEngine().warp(Work(image, map_, (3, 200), Sampling(antialias="off")))
    assert reference.difference(result, reference.warp(image, points, Sampling(antialias="off"))) <= 0.51


@pytest.mark.parametrize("name", ["tps", "piecewise-affine", "flow"])
def test_grids_are_made_on_the_device_band_by_band(name, monkeypatch):
    monkeypatch.setattr(torch_engine, "BAND", 100)
    options = {"tps": {"shape": (3, 3)}, "piecewise-affine": {"shape": (3, 3)}, "flow": {"shape": (5, 6)}}[name]
    family, rng = make(name, **options), np.random.default_rng(4)
    map_ = Transformation(family, np.array(family.identity()) + 0.05 * rng.standard_normal(family.size))
    image = picture(rng, "uint8", 3)
    image.flags.writeable = False  # no warning of torch's either
    for corners in (False, True):
        sampling = how("bilinear", "border", corners, "off", 3, "uint8")
        result = TorchEngine().warp(Work(image, map_, (19, 31), sampling))
        points = reference.input_points(map_, image.shape[:2], (19, 31), corners)
        assert reference.difference(result, reference.warp(image, points, sampling)) <= 0.51


def test_strips_are_the_whole():
    image, map_ = picture(np.random.default_rng(1), "uint8", 3), transformation("shrink")
    whole = TorchEngine().warp(Work(image, map_, (19, 31), Sampling()))
    strips = [TorchEngine().warp(Work(image, map_, (19, 31), Sampling()), rows=r) for r in ((0, 7), (7, 19))]
    np.testing.assert_array_equal(np.concatenate(strips), whole)


def test_all_at_once_are_one_by_one():
    rng = np.random.default_rng(2)
    works = [Work(picture(rng, "uint8", c), transformation("turn"), (9, 11), Sampling()) for c in (1, 3)]
    for work, result in zip(works, TorchEngine().warp_all(works), strict=True):
        alone = TorchEngine().warp(work)
        np.testing.assert_array_equal(result, alone)
