"""The CPU engine against float64 gathers on a plane that np.pad made, and against OpenCV and torch where they agree."""

import itertools

import numpy as np
import pytest

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.cpu import CpuEngine
from tests.engines import reference

ENGINE = CpuEngine()
MAPS = {
    "turn": ("affine", [0.8, 0.5, 0.1, -0.4, 0.9, -0.2]),
    "shrink": ("affine", [2.5, 0.5, 0.1, -0.4, 3.1, -0.2]),
    "corners": ("projective", [1.2, 0.1, 0.0, 0.2, 1.5, 0.1, 0.3, 0.2]),
}
# (channels, alpha); few, because every one compiles a kernel of its own
LAYOUTS = {
    "uint8": ((1, False), (3, False), (4, True), (5, True)),
    "uint16": ((3, False),),
    "float32": ((1, False), (2, True)),
}


def transformation(name):
    family, theta = MAPS[name]
    return Transformation(make(family), np.array(theta))


def picture(rng, dtype, channels, size=(23, 37)):
    if np.dtype(dtype).kind == "f":
        return rng.random((*size, channels), dtype=np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)


def how(kernel, padding, align_corners, antialias, channels, dtype):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    fill = tuple(np.linspace(0.2, 0.9, channels) * top) if padding == "fill" else None
    return Sampling(kernel, padding, fill, align_corners, antialias)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "fill"])
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_every_way_of_sampling_is_the_definition(kernel, padding, dtype):
    rng = np.random.default_rng(5)
    for name, corners, antialias, (channels, alpha) in itertools.product(
        MAPS, (False, True), ("off", "auto", "on"), LAYOUTS[dtype]
    ):
        if (corners and antialias != "off") or (antialias == "on" and name != "shrink"):
            continue
        image = picture(rng, dtype, channels)
        sampling = how(kernel, padding, corners, antialias, channels, dtype)
        map_ = transformation(name)
        result = ENGINE.warp(Work(image, map_, (13, 21), sampling, alpha=alpha))
        points = reference.input_points(map_, image.shape[:2], (13, 21), corners)
        expected = reference.warp(image, points, sampling, alpha=alpha)
        if kernel == "nearest":  # at a tie any rounding may decide
            tie = (np.abs((points + 0.5) % 1 - 0.5) > 0.5 - 1e-5).any(-1)
            result[tie] = expected[tie] = 0
        if alpha and dtype == "float32":  # a quotient of two near zeros; nobody sees it
            unseen = expected[..., -1] < 1e-2
            result[unseen] = expected[unseen]
        limit = {"uint8": 0.6, "uint16": 1.0, "float32": 1e-4}[dtype]
        assert reference.difference(result, expected) <= limit, (name, corners, antialias, channels)


@pytest.mark.parametrize("in_size", [(1, 37), (2, 37), (3, 5), (37, 1), (37, 2), (4, 1)], ids=str)
def test_an_image_thinner_than_the_kernel_is_read_within(in_size):
    rng = np.random.default_rng(6)
    for kernel, padding, antialias, (dtype, channels) in itertools.product(
        ("bilinear", "bicubic"), ("zeros", "reflection"), ("off", "on"), (("uint8", 3), ("float32", 1))
    ):
        image = picture(rng, dtype, channels, in_size)
        sampling = how(kernel, padding, False, antialias, channels, dtype)
        for map_ in (transformation("turn"), transformation("shrink"), transformation("corners")):
            result = ENGINE.warp(Work(image, map_, (7, 19), sampling))
            expected = reference.warp(image, reference.input_points(map_, in_size, (7, 19)), sampling)
            assert reference.difference(result, expected) <= {"uint8": 0.6, "float32": 1e-4}[dtype]
