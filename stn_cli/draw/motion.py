"""How things move: easing, paths between transformations."""

from math import cos, pi, sin

import numpy as np

from stn_cli.core.coordinates import Size
from stn_cli.core.families import make
from stn_cli.core.transformation import Transformation


def ease(t: float) -> float:
    """Slow, fast, slow: 0 → 0, 1 → 1, clamped."""
    t = min(1.0, max(0.0, t))
    return t * t * t * (t * (6 * t - 15) + 10)


def part(t: float, start: float, end: float) -> float:
    """How far t is from `start` to `end`, in [0, 1]."""
    return min(1.0, max(0.0, (t - start) / (end - start))) if end > start else float(t >= end)


def swing(t: float) -> float:
    """0 → 1 → 0 → -1 → 0, smoothly, at rest at both ends."""
    return sin(2 * pi * ease(t))


def between(end: Transformation, share: float, size: Size) -> Transformation:
    """The transformation `share` of the way from the identity of `end`'s family to `end`.

    Where the family has affine matrices without mirroring, its rotation turns and its stretch grows, both in pixels of an
    image of `size` (height, width), so that a half turn does not pass through a point; else θ goes straight.
    """
    family = end.family
    start = np.array(family.identity())
    if share <= 0:
        return Transformation(family, start)
    if share >= 1:
        return end
    theta = start + (end.theta - start) * share
    if family.name in ("similarity", "affine", "projective"):
        turned = _turned(end.theta, family.name, share, size)
        if turned is not None:
            theta = turned
    return Transformation(family, theta)


def _turned(theta: np.ndarray, name: str, share: float, size: Size) -> np.ndarray | None:
    matrices = make(name).matrix(theta)
    if matrices is None:
        return None
    end = matrices[0]
    # A similarity is one of the normalised square, whatever the picture's shape.
    frame = np.diag([size[1], size[0]] if name != "similarity" else [1, 1]).astype(float)
    linear = frame @ end[:2, :2] @ np.linalg.inv(frame)
    if np.linalg.det(linear) <= 1e-9:
        return None
    u, s, vt = np.linalg.svd(linear)
    rotation, stretch = u @ vt, vt.T @ np.diag(s) @ vt
    angle = np.arctan2(rotation[1, 0], rotation[0, 0]) * share
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    middle = np.linalg.inv(frame) @ turn @ (np.eye(2) + (stretch - np.eye(2)) * share) @ frame
    shift = end[:2, 2] * share
    if name == "similarity":
        return np.array([middle[0, 0], middle[1, 0], *shift])
    top = np.column_stack([middle, shift])
    if name == "affine":
        return top.reshape(-1)
    return np.concatenate([top.reshape(-1), end[2, :2] * share])
