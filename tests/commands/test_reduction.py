"""JPEGs that are shrunk anyway are decoded small, and nobody can tell: zone plates against their area average."""

import cv2
import numpy as np
import pytest
from PIL import Image

from stn_cli.core import words
from stn_cli.core.families import make
from stn_cli.core.reduction import least_singular_value, reduction
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


@pytest.mark.parametrize(
    "tilt", [(0.3, 0), (-0.3, 0), (0, 0.3), (0, -0.3), (0.2, 0.2), (-0.2, 0.2), (0.2, -0.2), (-0.2, -0.2)]
)
def test_the_least_shrinking_is_found_at_whichever_corner_it_is(tilt):
    """Against the singular values of difference quotients at every pixel of the output."""
    made = Transformation(make("projective"), np.array([1.1, 0.1, 0, -0.2, 0.9, 0.1, *tilt]))
    matrix = made.pixel_matrix((400, 600), (30, 50))
    v, u = np.mgrid[0:30, 0:50].astype(float)

    def place(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        p = np.stack([u, v, np.ones_like(u)], -1) @ matrix.T
        return p[..., :2] / p[..., 2:]

    e = 1e-4
    columns = [place(u + e, v) - place(u - e, v), place(u, v + e) - place(u, v - e)]
    expected = np.linalg.svd(np.stack(columns, -1) / (2 * e), compute_uv=False)[..., 1].min()
    assert least_singular_value(matrix, (30, 50)) == pytest.approx(expected, rel=1e-6)
