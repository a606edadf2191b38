"""The embedded data set: digits as if by many hands, drawn from stroke models.

Each digit picks one of the stroke models of `strokes.py` and one imaginary writer: control points wander,
strokes start early or end late, the whole leans, stretches and bends, the pen presses more or less. The pen's
line is the line integral of a Gaussian spot moved along the spline, and because a Gaussian is separable, ink is
a product of two small matrices, `Gyᵀ @ Gx`, which draws tens of thousands of digits in seconds.

As in MNIST, a digit fits a box of 20 pixels, its centre of mass lies in the centre of 28×28, ink is 255 on 0.
The same seed gives the same digits on one machine; on another a pixel may differ by one level.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from stn_cli.learn.strokes import MODELS, Stroke

SIZE = 28
BOX = 20.0
SAMPLES = 112  # places of the pen in one digit: closer together than the pen is wide
CHUNK = 2048


def make_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` digits: images (count, 28, 28) and labels (count,), uint8; all classes equally often, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 10).astype(np.uint8)
    model_of = rng.random(count)
    images = np.empty((count, SIZE, SIZE), np.uint8)
    for digit, models in MODELS.items():
        shares = np.cumsum([share for share, _ in models])
        picks = np.searchsorted(shares / shares[-1], model_of, side="right")
        for which in range(len(models)):
            places = np.flatnonzero((labels == digit) & (picks == which))
            for start in range(0, len(places), CHUNK):
                part = places[start : start + CHUNK]
                images[part] = _draw(digit, which, len(part), rng)
    return images, labels


def _draw(digit: int, which: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` drawings of one model: (count, 28, 28) uint8."""
    points = _wander(MODELS[digit][which][1], count, rng)
    basis, pen_down = _spline(digit, which)
    path = _lean(np.matmul(basis, points), rng)
    return _ink(_fit(path), pen_down, rng)


def _wander(strokes: list[Stroke], count: int, rng: np.random.Generator) -> np.ndarray:
    """Control points (count, K, 2) of `count` writers: points, strokes and their ends wander."""
    care = rng.gamma(6.0, 1 / 6.0, (count, 1, 1))
    parts = []
    for stroke in strokes:
        points = np.array(stroke)
        moved = (
            points + care * rng.normal(0, 0.038, (count, len(points), 2)) + care * rng.normal(0, 0.022, (count, 1, 2))
        )
        for end, before in ((0, 1), (-1, -2)):
            direction = points[end] - points[before]
            direction /= np.hypot(*direction)
            moved[:, end] += care[:, 0] * rng.normal(0.0, 0.05, (count, 1)) * direction
        parts.append(moved)
    return np.concatenate(parts, axis=1).astype(np.float32)


@cache
def _spline(digit: int, which: int) -> tuple[np.ndarray, np.ndarray]:
    """A model's splines as one matrix (SAMPLES, K), and (SAMPLES - 1,) 1 where the pen touches the paper."""
    strokes = MODELS[digit][which][1]
    lengths = [float(np.hypot(*np.diff(np.array(s), axis=0).T).sum()) for s in strokes]
    counts = [max(6, int(SAMPLES * length / sum(lengths))) for length in lengths]
    counts[int(np.argmax(counts))] += SAMPLES - sum(counts)
    basis = np.zeros((SAMPLES, sum(len(s) for s in strokes)), np.float32)
    pen_down = np.ones(SAMPLES - 1, np.float32)
    row = column = 0
    for stroke, samples in zip(strokes, counts, strict=True):
        basis[row : row + samples, column : column + len(stroke)] = _catmull_rom(len(stroke), samples)
        row, column = row + samples, column + len(stroke)
        if row < SAMPLES:
            pen_down[row - 1] = 0
    return basis, pen_down


def _catmull_rom(points: int, samples: int) -> np.ndarray:
    """(samples, points): the uniform Catmull-Rom spline through `points`, extended in a straight line."""
    t = np.linspace(0, points - 1, samples)
    segment = np.minimum(t.astype(int), points - 2)
    u = t - segment
    weights = np.stack(
        [
            -0.5 * u + u**2 - 0.5 * u**3,
            1 - 2.5 * u**2 + 1.5 * u**3,
            0.5 * u + 2 * u**2 - 1.5 * u**3,
            -0.5 * u**2 + 0.5 * u**3,
        ]
    )
    padded = np.zeros((samples, points + 2))
    for k in range(4):
        padded[np.arange(samples), segment + k] = weights[k]
    basis = padded[:, 1:-1]
    basis[:, 0] += 2 * padded[:, 0]
    basis[:, 1] -= padded[:, 0]
    basis[:, -1] += 2 * padded[:, -1]
    basis[:, -2] -= padded[:, -1]
    return basis


def _lean(path: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The writer's hand: slant, turn, width, a head larger than the foot, a bend, and a slow tremor."""
    count = len(path)

    def each(spread: float) -> np.ndarray:
        return rng.normal(0, spread, (count, 1)).astype(np.float32)

    x, y = path[..., 0] - 0.5, path[..., 1] - 0.5
    phase = np.linspace(0, 2 * np.pi, path.shape[1], dtype=np.float32)
    for wave in (2, 5):
        x = x + each(0.03 / wave) * np.sin(wave * phase + each(3.0))
        y = y + each(0.03 / wave) * np.sin(wave * phase + each(3.0))
    x = x * np.exp(each(0.20)) * (1 + each(0.22) * y) + each(0.20) * (y * y - 0.1)
    y = y * (1 + each(0.16) * x) + each(0.12) * (x * x - 0.1)
    x = x - (0.16 + each(0.24)) * y
    turn = each(0.10)
    return np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], axis=-1)


def _fit(path: np.ndarray) -> np.ndarray:
    """(n, samples, 2) to pixels: the longer side of the bounding box is 20 pixels less a pen's width."""
    low, high = path.min(axis=1, keepdims=True), path.max(axis=1, keepdims=True)
    return (path - low) * ((BOX - 2.0) / (high - low).max(axis=2, keepdims=True))


def _ink(path: np.ndarray, pen_down: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paths in pixels (n, samples, 2) to drawings (n, 28, 28) uint8, centred on their centre of mass."""
    count, samples, _ = path.shape
    steps = np.diff(path, axis=1)
    spots = path[:, :-1] + steps / 2
    length = np.hypot(steps[..., 0], steps[..., 1]) * pen_down
    phase = np.linspace(0, 2 * np.pi, samples - 1, dtype=np.float32)
    pressure = 1 + rng.normal(0, 0.16, (count, 1)) * np.sin(
        phase * rng.uniform(0.5, 2.0, (count, 1)) + rng.uniform(0, 6.3, (count, 1))
    )
    width = np.clip(np.exp(rng.normal(np.log(0.95), 0.27, (count, 1))), 0.55, 1.7) * pressure
    width = width.astype(np.float32)
    weight = length / (np.float32(np.sqrt(2 * np.pi)) * width)
    mass = np.maximum((length * width).sum(axis=1, keepdims=True), 1e-6)[..., None]
    spots = (
        spots - ((spots * (length * width)[..., None]).sum(axis=1, keepdims=True) / mass) + np.float32((SIZE - 1) / 2)
    )

    pixels = np.arange(SIZE, dtype=np.float32)
    scale = (1 / (np.sqrt(2) * width))[..., None]
    ink_x = np.exp(-np.square((spots[..., :1] - pixels) * scale))
    ink_y = np.exp(-np.square((spots[..., 1:] - pixels) * scale)) * weight[..., None]
    ink = np.matmul(ink_y.transpose(0, 2, 1), ink_x)

    soft = rng.uniform(0.2, 0.4, (count, 1, 1)) / width.mean(axis=1)[:, None, None]  # the line's edge, in pixels
    edge = np.minimum(soft, 0.48).astype(np.float32)
    grain = rng.normal(0, 1, ink.shape).astype(np.float32) * rng.uniform(0.02, 0.07, (count, 1, 1)).astype(np.float32)
    value = np.clip((ink - 0.5) / (2 * edge) + 0.5, 0, 1)
    value *= rng.uniform(0.85, 1.0, (count, 1, 1)).astype(np.float32) * np.clip(1 + grain, 0, 1)
    return (value * 255 + 0.5).astype(np.uint8)
