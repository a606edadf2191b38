"""What is shown when nobody says: a sample image, and for every family a θ that tells something."""

from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
from PIL import Image

from stn_cli.core.coordinates import Size, target_grid
from stn_cli.core.families import make
from stn_cli.core.transformation import Transformation

SAMPLE = Path(__file__).with_name("sample.png")  # a handwritten 3, turned by 38 degrees (samples/digits/3.png)
UPRIGHT = (0.788011, -0.615661, 0.0, 0.615661, 0.788011, 0.0)  # θ that turns it back (samples/digits.csv)
TURN = 24.0  # degrees


def sample() -> np.ndarray:
    """The sample image, (H, W) uint8."""
    with Image.open(SAMPLE) as picture:
        return np.asarray(picture.convert("L"))


def telling(family: str | None, in_size: Size, sample: bool = False) -> Transformation:
    """A θ of `family` (default: affine) worth looking at, for an image of `in_size` (height, width).

    For the sample image and no family the one that turns it upright.
    """
    if family is None and sample:
        return Transformation(make("affine"), np.array(UPRIGHT))
    made = make(family or "affine")
    c, s = cos(radians(TURN)), sin(radians(TURN))
    if made.name in ("tps", "piecewise-affine", "flow"):
        return _bent(made.name)
    height, width = in_size
    # Turned in pixels: on an image that is not square the normalised matrix is not a rotation.
    turned = np.array([c * 0.85, -s * 0.85 * height / width, 0.0, s * 0.85 * width / height, c * 0.85, 0.0])
    theta = {
        "translation": np.array([0.3, -0.2]),
        "attention": np.array([0.6, 0.12, -0.1]),
        "similarity": np.array([c * 0.85, s * 0.85, 0.05, 0.0]),
        "affine": turned,
        "projective": np.array([0.95, 0.12, 0.0, -0.08, 0.9, 0.05, 0.28, 0.16]),
    }[made.name]
    return Transformation(made, theta)


def _bent(name: str) -> Transformation:
    """A swirl about the centre that leaves the border nearly in place."""
    made = make(name)
    if name == "flow":
        points = target_grid(np, made.shape).reshape(-1, 2)  # type: ignore[attr-defined]
        return Transformation(made, (_swirled(points) - points).reshape(-1))
    points = np.array(made.control_points)  # type: ignore[attr-defined]
    return Transformation(made, _swirled(points).reshape(-1))


def _swirled(points: np.ndarray) -> np.ndarray:
    radius = np.minimum(1.0, np.hypot(points[:, 0], points[:, 1]) / np.sqrt(2))
    angle = 0.9 * np.cos(radius * pi / 2)
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[:, 0], points[:, 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)
