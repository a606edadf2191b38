"""Handwritten digits: strokes along splines, drawn with a round pen, each turned by an angle of its own."""

import numpy as np
from PIL import Image

CELL = 96
PEN = 3.7  # radius in pixels of a cell
# The turn of each digit's content in degrees, counter-clockwise; at most 45, as in the paper's RTS.
TURNS = (34, -21, 42, -38, 17, -29, 26, -44, 39, -13)
# One line a digit, strokes parted by "/": points "x,y" in hundredths of a unit square, x right and y down.
STROKES = (
    "55,10 30,22 22,52 33,84 56,90 75,70 76,36 62,13 48,12",
    "36,27 47,19 56,10 / 56,10 53,40 50,68 49,90",
    "26,28 40,11 63,14 69,34 52,58 26,86 / 26,86 40,82 58,87 78,82",
    "28,19 47,9 66,20 62,38 44,46 / 44,46 66,52 72,71 55,90 33,87 24,77",
    "42,10 34,34 25,57 48,57 78,54 / 66,30 62,60 58,92",
    "40,12 38,28 34,45 56,41 72,57 66,80 46,91 26,84 / 40,12 56,13 73,9",
    "64,9 43,24 30,52 32,79 50,91 68,79 67,60 50,52 33,66",
    "25,16 45,15 75,12 62,36 48,62 40,92 / 36,53 50,50 66,49",
    "68,20 50,9 32,20 38,38 58,52 72,72 55,90 32,82 34,62 54,45 69,28 66,18",
    "68,28 52,10 32,20 32,42 50,50 68,32 / 69,22 68,46 64,70 52,92",
)


def spline(points, steps=24):
    """A Catmull-Rom curve through `points`: (n, 2)."""
    points = np.array(points, float)
    ends = [2 * points[0] - points[1]], [2 * points[-1] - points[-2]]
    p = np.concatenate([ends[0], points, ends[1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate([*curve, points[-1:]])


def digit(number, turn, rng):
    """One digit, white ink on black, turned by `turn` degrees counter-clockwise: (96, 96), 0 … 1."""
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    y, x = np.mgrid[:CELL, :CELL] + 0.5
    ink = np.zeros((CELL, CELL))
    for text in STROKES[number].split(" / "):
        stroke = np.array([point.split(",") for point in text.split()], float) / 100
        path = spline(stroke + rng.normal(0, 0.008, (len(stroke), 2)))
        path = (path - 0.5) @ rotation.T * (0.74 * CELL) + CELL / 2
        along = np.linspace(0, 1, len(path))
        pressure = PEN * (1 + 0.20 * np.sin(2.6 * along + rng.uniform(0, 3)))
        for (px, py), radius in zip(path, pressure, strict=True):
            np.maximum(ink, np.clip(radius + 0.6 - np.hypot(x - px, y - py), 0, 1.2) / 1.2, out=ink)
    return ink.astype(np.float32)


def _grey(ink):
    return Image.fromarray(np.rint(255 * ink).astype(np.uint8))


def strip(rng):
    """The ten digits side by side, each turned, (96 × 960) grey."""
    return _grey(np.concatenate([digit(number, TURNS[number], rng) for number in range(10)], 1))


def single(number, rng):
    """One turned digit, (96 × 96) grey."""
    return _grey(digit(number, TURNS[number], rng))


def upright_theta(number):
    """θ (affine, 2×3 row-major, output → input) that turns the digit back on its square image."""
    # Content turned back by -turn reads the input at the points turned by +turn (counter-clockwise, y down).
    angle = np.deg2rad(TURNS[number])
    c, s = np.cos(angle), np.sin(angle)
    return (c, s, 0.0, -s, c, 0.0)
