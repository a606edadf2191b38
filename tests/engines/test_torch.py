"""The torch engine, in bands, against float64 gathers."""

import itertools

import numpy as np
import pytest

from stn_cli.core.sampling import Sampling
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
        assert reference.difference(result, expected) <= {"uint8": 1, "uint16": 2}[dtype], (kernel, padding, name)


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
