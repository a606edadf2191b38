"""JPEGs that are shrunk anyway are decoded small, and nobody can tell: zone plates against their area average."""

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_cli.core import words
from stn_cli.core.families import make
from stn_cli.core.reduction import reduction
from stn_cli.core.transformation import Transformation

SIDE = 960


@pytest.fixture(scope="module")
def plate() -> np.ndarray:
    at = np.arange(SIDE) - (SIDE - 1) / 2
    return np.round(127.5 + 127.5 * np.cos(np.pi * (at[None] ** 2 + at[:, None] ** 2) / SIDE)).astype(np.uint8)


@pytest.mark.parametrize(("side", "expected"), [(480, 1), (300, 2), (192, 4), (160, 4), (120, 4), (96, 8), (60, 8)])
def test_a_shrunk_jpeg_stays_within_the_antialiasing_bound(stn, tmp_path, plate, side, expected):
    identity = words.transformation(words.steps("rotate 0"), (SIDE, SIDE))
    assert reduction(identity, (SIDE, SIDE), (side, side)) == expected
    Image.fromarray(plate).save(tmp_path / "plate.jpg", quality=100)
    stn("warp", tmp_path / "plate.jpg", "--rotate", "0", "--size", f"{side}x{side}", "--out", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as small:
        ours = np.asarray(small) / 255.0
    average = cv2.resize(plate / 255.0, (side, side), interpolation=cv2.INTER_AREA)
    assert np.sqrt(np.mean((ours - average) ** 2)) <= 0.06


@pytest.mark.parametrize("turn", [0, 33])
def test_a_reduction_needs_room_everywhere(turn):
    steps = words.steps(f"rotate {turn}")
    assert reduction(words.transformation(steps, (800, 1200)), (800, 1200), (100, 150)) == 4
    assert reduction(words.transformation(steps, (801, 1200)), (801, 1200), (100, 150)) == 1  # 801 has no half
    one_way = words.transformation(words.steps("zoom 0.1,1"), (800, 800))
    assert reduction(one_way, (800, 800), (800, 800)) == 1
    tilted = Transformation(make("projective"), np.array([1, 0, 0, 0, 1, 0, 0, 0.6]))
    assert reduction(tilted, (800, 800), (100, 100)) < 8
    beyond = Transformation(make("projective"), np.array([1, 0, 0, 0, 1, 0, 0, 1.5]))
    assert reduction(beyond, (800, 800), (10, 10)) == 1
    assert reduction(Transformation(make("tps"), np.array(make("tps").identity())), (800, 800), (10, 10)) == 1
