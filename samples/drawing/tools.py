"""What the drawings share: noise, homographies, a font, and the look of a photograph.

Coordinates in here have their origin at the outer corner of the first pixel, as in Pillow; x right, y down.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont


def noise(height, width, cell, rng, octaves=4):
    """Fractal value noise (height, width), about -1 … 1; `cell` is (y, x) pixels of the coarsest octave."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    cell_y, cell_x = cell
    for _ in range(octaves):
        rows, columns = int(height / cell_y) + 4, int(width / cell_x) + 4
        lattice = Image.fromarray(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
        box = (1, 1, 1 + width / cell_x, 1 + height / cell_y)
        total += weight * np.asarray(lattice.resize((width, height), Image.Resampling.BICUBIC, box=box))
        weight, cell_y, cell_x = weight / 2, max(1.0, cell_y / 2), max(1.0, cell_x / 2)
    return total


def homography(source, target):
    """The 3×3 matrix that maps four points (x, y) of `source` to those of `target`."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows, float), np.array(values, float)), 1.0).reshape(3, 3)


def apply(matrix, points):
    """The points (n, 2) mapped by a homography."""
    mapped = np.column_stack([np.asarray(points, float), np.ones(len(points))]) @ matrix.T
    return mapped[:, :2] / mapped[:, 2:]


def project(image, to_input, size):
    """`image` seen through the homography `to_input` (output pixels → input pixels)."""
    coefficients = (to_input / to_input[2, 2]).ravel()[:8]
    return image.transform(size, Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BICUBIC)


def font(size):
    return ImageFont.load_default(size)


def write(draw, place, text, size, fill, *, bold=0.0, spacing=0.0, anchor="ls"):
    """One line of text; `bold` thickens the strokes and `spacing` parts the letters, both in pixels."""
    face = font(size)
    widths = [face.getlength(letter) + spacing for letter in text]
    x, y = place
    x -= {"l": 0, "m": 0.5, "r": 1}[anchor[0]] * (sum(widths) - spacing)
    if not spacing:
        draw.text((x, y), text, fill, face, "l" + anchor[1], stroke_width=bold, stroke_fill=fill)
        return
    for letter, width in zip(text, widths, strict=True):
        draw.text((x, y), letter, fill, face, "l" + anchor[1], stroke_width=bold, stroke_fill=fill)
        x += width


def soft_mask(size, box_or_polygon, blur, radius=0):
    """An 'L' mask of a rectangle (rounded by `radius`) or polygon, blurred; for shadows."""
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    if isinstance(box_or_polygon[0], tuple):
        draw.polygon(box_or_polygon, fill=255)
    else:
        draw.rounded_rectangle(box_or_polygon, radius, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(blur))


def shade(image, mask, strength):
    """`image` darkened where `mask` is set, by at most `strength` (0 … 1)."""
    dark = mask.point([round(255 - strength * level) for level in range(256)])
    return ImageChops.multiply(image, Image.merge("RGB", [dark] * 3))


def mix(dark, light, amount):
    """Two colours blended by an array (h, w) of 0 … 1: (h, w, 3) float32."""
    amount = np.clip(amount, 0, 1)[..., None].astype(np.float32)
    return np.asarray(dark, np.float32) * (1 - amount) + np.asarray(light, np.float32) * amount


def to_image(array):
    return Image.fromarray(np.clip(np.rint(array), 0, 255).astype(np.uint8))


def photograph(image, rng, *, light=(0.35, 0.25), vignette=0.35, blur=0.6, grain=2.0):
    """The look of a lens and a sensor: a light spot (relative place), darker corners, blur, grain."""
    width, height = image.size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5
    falloff = 1 - vignette * np.clip((x**2 + y**2) / 0.5, 0, 1) ** 1.4
    spot = np.exp(-((x + 0.5 - light[0]) ** 2 + (y + 0.5 - light[1]) ** 2) / 0.18)
    picture = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    picture = picture * (falloff * (0.92 + 0.16 * spot))[..., None]
    luminance = rng.normal(0, grain, (height, width, 1))
    colour = rng.normal(0, grain / 3, (height, width, 3))
    return to_image(picture + luminance + colour)
