"""A translucent leaf with soft edges and its own shadow, on nothing: straight alpha."""

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .digits import spline
from .tools import mix, noise

SIZE = (720, 720)
SCALE = 3


def _outline():
    """A maple-like blade along the y axis of a unit square: a right half, mirrored and a little changed."""
    right = [
        (0.500, 0.045), (0.548, 0.165), (0.607, 0.142), (0.592, 0.290), (0.672, 0.218), (0.700, 0.262),
        (0.792, 0.232), (0.774, 0.330), (0.905, 0.352), (0.848, 0.432), (0.884, 0.476), (0.742, 0.566),
        (0.664, 0.612), (0.692, 0.690), (0.578, 0.668), (0.508, 0.672),
    ]  # fmt: skip
    left = [(0.985 - x + 0.01 * np.sin(9 * y), y + 0.012 * np.sin(7 * x)) for x, y in right[::-1]][1:-1]
    return right + left + right[:1]


def _path(points, bend=0.28):
    """Polyline with slightly bent sides and sharp tips."""
    points, curve = np.array(points), []
    centre = np.array([0.5, 0.48])
    for a, b in pairwise(points):
        t = np.linspace(0, 1, 12)[:, None]
        bow = (centre - (a + b) / 2) * bend * np.linalg.norm(b - a)
        curve.append(a * (1 - t) + b * t + bow * 4 * t * (1 - t))
    return np.concatenate(curve)


VEINS = [
    [(0.50, 0.67), (0.497, 0.45), (0.50, 0.06)],
    [(0.50, 0.67), (0.60, 0.50), (0.89, 0.36)],
    [(0.50, 0.67), (0.40, 0.50), (0.10, 0.37)],
    [(0.50, 0.66), (0.58, 0.645), (0.67, 0.665)],
    [(0.50, 0.66), (0.42, 0.645), (0.32, 0.667)],
    [(0.498, 0.44), (0.54, 0.33), (0.60, 0.16)],
    [(0.498, 0.44), (0.45, 0.33), (0.39, 0.16)],
    [(0.63, 0.485), (0.70, 0.38), (0.78, 0.25)],
    [(0.37, 0.485), (0.30, 0.38), (0.21, 0.25)],
    [(0.66, 0.468), (0.76, 0.47), (0.86, 0.475)],
    [(0.34, 0.468), (0.24, 0.47), (0.13, 0.475)],
]


def leaf(rng):
    """The picture, (720 × 720) RGBA."""
    width, height = SIZE[0] * SCALE, SIZE[1] * SCALE

    def place(points):
        turn = np.deg2rad(-14)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return [tuple(p) for p in ((np.array(points) - (0.5, 0.5)) @ rotation.T * 0.98 + (0.5, 0.5)) * width]

    blade = Image.new("L", (width, height), 0)
    ImageDraw.Draw(blade).polygon(place(_path(_outline())), fill=255)
    stem = Image.new("L", (width, height), 0)
    path = place(spline([(0.50, 0.66), (0.508, 0.78), (0.488, 0.88), (0.45, 0.96)], steps=80))
    draw = ImageDraw.Draw(stem)
    for number, (x, y) in enumerate(path):
        radius = 11 + 7 * number / len(path)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    veins = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(veins)
    for number, vein in enumerate(VEINS):
        path = place(spline(vein, steps=160))
        for step, (x, y) in enumerate(path):
            radius = (13 if number < 3 else 8) * (1 - 0.85 * step / len(path))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)

    def reduced(image, blur=0.0):
        small = image.resize(SIZE, Image.Resampling.BOX)
        small = small.filter(ImageFilter.GaussianBlur(blur)) if blur else small
        return np.asarray(small, np.float32) / 255

    blade_soft, stem_soft, vein_soft = reduced(blade, 0.7), reduced(stem), reduced(veins, 0.6)
    vein_soft = vein_soft * blade_soft
    inside = reduced(blade, 26)
    patches = noise(*SIZE, (150, 150), rng, 4)
    cells = noise(*SIZE, (9, 9), rng, 2)
    y = np.mgrid[: SIZE[1], : SIZE[0]][0] / SIZE[1]
    ripe = 0.95 - 0.85 * inside + 0.35 * patches + 0.45 * (0.5 - y)
    colour = mix((228, 150, 40), (176, 38, 26), ripe + 0.15) * (1 + 0.04 * cells)[..., None]
    colour += (34 * np.clip(reduced(veins, 5) - vein_soft, 0, 1))[..., None]
    colour = colour * (1 - vein_soft[..., None]) + np.float32((250, 206, 120)) * vein_soft[..., None]
    colour = colour * (1 - stem_soft[..., None]) + np.float32((140, 66, 34)) * stem_soft[..., None]
    # Thin between the veins, dense on them; the shadow below is soft and almost black.
    thickness = np.clip(0.80 + 0.06 * patches + 0.2 * vein_soft, 0, 1)
    alpha = np.maximum(blade_soft * thickness, stem_soft)
    shadow = 0.42 * np.roll(np.maximum(reduced(blade, 13), reduced(stem, 13)), (22, 16), (0, 1))
    total = alpha + shadow * (1 - alpha)
    straight = colour * (alpha / np.maximum(total, 1e-6))[..., None]
    straight += np.float32((22, 16, 20)) * (1 - alpha / np.maximum(total, 1e-6))[..., None]
    straight[total < 0.5 / 255] = 0
    rgba = np.dstack([straight, 255 * total])
    return Image.fromarray(np.clip(np.rint(rgba), 0, 255).astype(np.uint8))
