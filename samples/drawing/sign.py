"""An enamel street sign on a brick wall, seen from below and from the left."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .tools import apply, homography, mix, noise, photograph, project, shade, soft_mask, to_image, write

SIZE = (1280, 960)
# The sign's corners in the photograph, from its top left clockwise, origin at the corner of the first pixel.
CORNERS = ((218, 246), (1084, 372), (1062, 706), (236, 724))
SIGN = (1200, 640)
BRICK, COURSE, JOINT = 230, 78, 11


def sign():
    """The flat plate, (640 × 1200) RGB and its mask."""
    scale = 2
    width, height = SIGN[0] * scale, SIGN[1] * scale
    image = Image.new("RGB", (width, height), (30, 84, 62))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((14, 14, width - 15, height - 15), 58, outline=(92, 142, 112), width=8)
    draw.rounded_rectangle((80, 80, width - 81, height - 81), 34, fill=(26, 60, 126))
    draw.rounded_rectangle((104, 104, width - 105, height - 105), 24, outline=(240, 240, 234), width=9)
    white = (244, 244, 238)
    write(draw, (width / 2, 316), "7e Arr.", 128, white, bold=2, spacing=6, anchor="ms")
    write(draw, (width / 2, 660), "RUE DE", 260, white, bold=10, spacing=26, anchor="ms")
    write(draw, (width / 2, 1040), "LA GRILLE", 360, white, bold=14, spacing=30, anchor="ms")
    for x, y in ((150, height // 2), (width - 150, height // 2)):
        draw.ellipse((x - 30, y - 30, x + 30, y + 30), fill=(120, 122, 124), outline=(40, 44, 60), width=7)
        draw.line((x - 19, y - 12, x + 19, y + 12), fill=(52, 54, 58), width=8)
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), 66, fill=255)
    return tuple(part.resize(SIGN, Image.Resampling.BOX) for part in (image, mask))


def bricks(height, width, rng):
    """A wall in running bond with sunken, sanded joints."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wobble = noise(height, width, (40, 40), rng, 3)
    y = y + 1.6 * wobble
    row = np.floor(y / COURSE)
    x = x + 1.6 * wobble[::-1] + (row % 2) * BRICK / 2
    column = np.floor(x / BRICK)
    tones = rng.uniform(0, 1, (int(row.max()) + 2, int(column.max()) + 2)).astype(np.float32)
    tone = tones[row.astype(int), column.astype(int)]
    grain = noise(height, width, (18, 26), rng, 4)
    speckle = noise(height, width, (3, 3), rng, 2)
    face = mix((120, 58, 42), (188, 108, 76), 0.15 + 0.6 * tone + 0.13 * grain + 0.06 * speckle)
    edge = np.minimum.reduce([x % BRICK, BRICK - x % BRICK, y % COURSE, COURSE - y % COURSE])
    in_joint = np.clip((JOINT / 2 + 1.5 - edge + 0.8 * grain) / 2, 0, 1)[..., None]
    mortar = mix((140, 130, 116), (190, 180, 164), 0.5 + 0.25 * grain + 0.2 * speckle)
    # Sun from the top left: each brick throws a short shadow into the joint below and to the right of it.
    lit = 1 + 0.10 * (np.clip(1 - (y % COURSE) / 9, 0, 1) - np.clip((y % COURSE - COURSE + 9) / 9, 0, 1))
    below = np.clip(1 - np.abs(y % COURSE - 2) / 5, 0, 1)[..., None] * in_joint
    surface = face * lit[..., None] * (1 - in_joint) + mortar * in_joint
    return to_image(surface * (1 - 0.35 * below))


def photographed(rng):
    """The photograph, (960 × 1280) RGB."""
    frame = [(0, 0), (SIGN[0], 0), SIGN, (0, SIGN[1])]
    to_sign = homography(CORNERS, frame)
    seen = apply(to_sign, [(0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])])
    left, top = np.floor(seen.min(0)) - 8
    width, height = (np.ceil(seen.max(0)) + 8 - (left, top)).astype(int)
    wall = bricks(height, width, rng)
    x, y = int(-left), int(-top)
    for offset, blur, strength in (((30, 40), 24, 0.5), ((12, 18), 8, 0.4)):
        box = (x + offset[0], y + offset[1], x + SIGN[0] + offset[0], y + SIGN[1] + offset[1])
        wall = shade(wall, soft_mask(wall.size, box, blur, 33), strength)
    plate, mask = sign()
    v, u = np.mgrid[: SIGN[1], : SIGN[0]].astype(np.float32)
    gloss = np.exp(-(((u - 0.7 * v - 190) / 190) ** 2)) + 0.5 * np.exp(-(((u - 0.7 * v - 560) / 70) ** 2))
    scratched = noise(SIGN[1], SIGN[0], (60, 80), rng, 5)
    enamel = np.asarray(plate, np.float32) * (1 + 0.03 * scratched)[..., None]
    enamel += (30 * gloss)[..., None] * np.array([1.0, 0.98, 0.92], np.float32)
    wall.paste(to_image(enamel), (x, y), mask)
    # The shadow of a branch falls across the wall's upper right.
    leaves = Image.new("L", (width // 4 + 1, height // 4 + 1), 0)
    draw = ImageDraw.Draw(leaves)
    for _ in range(150):
        place = rng.normal((x + 1.15 * SIGN[0], y - 120), (420, 170)) / 4
        if place[0] < (x + 0.45 * SIGN[0]) / 4:
            continue
        size, turn = rng.uniform(10, 24), rng.uniform(0, np.pi)
        angle = np.linspace(0, 2 * np.pi, 16)
        shape = np.column_stack([size * np.cos(angle), 0.45 * size * np.sin(angle)])
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        draw.polygon([tuple(point) for point in shape @ rotation + place], fill=255)
    leaves = leaves.filter(ImageFilter.GaussianBlur(2.4)).resize((width, height), Image.Resampling.BICUBIC)
    wall = shade(wall, leaves, 0.42)
    to_wall = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ to_sign @ np.diag([0.5, 0.5, 1.0])
    image = project(wall, to_wall, (SIZE[0] * 2, SIZE[1] * 2)).resize(SIZE, Image.Resampling.LANCZOS)
    return photograph(image, rng, light=(0.15, 0.1), vignette=0.38, blur=0.5, grain=2.0)
