"""Outdoor scenes: a wide landscape, a lighthouse (tall), and a night sky too smooth for eight bits."""

import numpy as np
from PIL import Image, ImageDraw

from .tools import mix, noise, photograph, to_image

WIDE = (1600, 720)
TALL = (640, 960)
NIGHT = (640, 420)


def _ridge(width, base, height, cell, rng):
    """The skyline of a mountain range: a height in pixels for each column."""
    return base - height * (0.5 + 0.5 * noise(8, width, (8, cell), rng, 6)[4] / 1.2)


def _clouds(height, width, rng, low, high):
    field = noise(height, width, (height * 0.22, width * 0.24), rng, 6)
    fade = np.clip(np.arange(height) / height * 1.6, 0, 1)[:, None]
    return np.clip((field - low) / (high - low), 0, 1) * (1 - 0.55 * fade)


def landscape(rng):
    """Mountains behind a lake in the morning, (720 × 1600) RGB."""
    width, height = WIDE[0] * 2, WIDE[1] * 2
    shore = int(height * 0.66)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = mix((86, 138, 196), (250, 222, 184), (y / shore) ** 1.3)
    sun = np.hypot(x - width * 0.30, y - height * 0.42) / width
    picture += (np.exp(-((sun / 0.13) ** 2)) * 46)[..., None] * np.float32((1, 0.86, 0.55))
    picture += (np.exp(-((sun / 0.017) ** 4)) * 120)[..., None] * np.float32((1, 0.95, 0.8))
    cloud = _clouds(shore, width, rng, 0.15, 1.5)[..., None]
    picture[:shore] = picture[:shore] * (1 - 0.75 * cloud) + 0.75 * cloud * np.float32((255, 240, 226))
    layers = (
        (0.60, 0.34, 900, (150, 166, 190), (196, 200, 208)),
        (0.63, 0.24, 640, (104, 126, 152), (158, 164, 172)),
        (0.65, 0.16, 460, (66, 92, 104), (118, 130, 128)),
        (0.665, 0.085, 300, (34, 60, 58), (74, 92, 76)),
    )
    for number, (base, tall, cell, dark, light) in enumerate(layers):
        skyline = _ridge(width, height * base, height * tall, cell, rng)
        texture = noise(height, width, (70, 46), rng, 5)
        mist = np.clip((y - skyline) / (height * 0.20), 0, 1)
        slope = np.convolve(np.gradient(skyline), np.ones(61) / 61, "same")[None] * 0.25
        surface = mix(dark, light, 0.25 + 0.55 * mist + 0.13 * texture * (1 + number / 3) + slope)
        if number == 0:
            snow = np.clip((height * 0.47 + 46 * texture + 30 * slope - y) / 24, 0, 1)[..., None]
            surface = surface * (1 - 0.8 * snow) + 0.8 * snow * np.float32((240, 240, 244))
        cover = np.clip((y - skyline) / 2, 0, 1)[..., None]
        picture = picture * (1 - cover) + surface * cover
    depth = (y[shore:] - shore) / (height - shore)
    ripple = noise(height - shore, width, (10, 240), rng, 4)
    away = np.clip(2 * shore - y[shore:] - (depth * 26 + 2) * ripple - 1, 0, shore - 1).astype(int)
    aside = np.clip(x[shore:] + depth * 9 * ripple, 0, width - 1).astype(int)
    mirrored = picture[away, aside]
    water = mirrored * (0.84 - 0.30 * depth)[..., None] + np.float32((14, 30, 44)) * (0.3 + depth)[..., None]
    glint = np.clip(ripple - 0.75, 0, 1) * np.exp(-(((x[shore:] / width - 0.30) / 0.07) ** 2))
    picture[shore:] = water + (150 * glint)[..., None] * np.float32((1, 0.9, 0.7))
    image = to_image(picture)
    draw = ImageDraw.Draw(image)
    _boat(draw, width * 0.66, shore + height * 0.13, height * 0.155)
    image = image.resize(WIDE, Image.Resampling.LANCZOS)
    return photograph(image, rng, light=(0.30, 0.40), vignette=0.22, blur=0.35, grain=1.2)


def _boat(draw, x, y, size):
    """A small sailing boat and its broken reflection."""
    for flip, tone in ((-1, 0.55), (1, 1.0)):

        def at(px, py, flip=flip):
            return (x + px * size, y - flip * py * size)

        def colour(*rgb, tone=tone):
            return tuple(round(part * tone + (1 - tone) * 70) for part in rgb)

        draw.polygon([at(0.02, 0.12), at(0.02, 1.0), at(0.46, 0.16)], fill=colour(246, 240, 228))
        draw.polygon([at(-0.03, 0.16), at(-0.03, 0.84), at(-0.30, 0.18)], fill=colour(206, 84, 58))
        draw.line([at(0, 0.05), at(0, 1.04)], fill=colour(70, 52, 42), width=5)
        draw.polygon([at(-0.42, 0.12), at(0.5, 0.12), at(0.36, 0), at(-0.32, 0)], fill=colour(84, 46, 34))


def lighthouse(rng):
    """A lighthouse on a rock at dusk, upright (960 × 640) RGB."""
    width, height = TALL[0] * 2, TALL[1] * 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sea = int(height * 0.80)
    picture = mix((56, 66, 120), (250, 176, 132), (y / sea) ** 1.5)
    cloud = _clouds(sea, width, rng, 0.0, 1.5)[..., None]
    picture[:sea] = picture[:sea] * (1 - 0.55 * cloud) + 0.55 * cloud * np.float32((236, 140, 130))
    waves = noise(height - sea, width, (16, 180), rng, 4)
    depth = (y[sea:] - sea) / (height - sea)
    picture[sea:] = mix((40, 58, 92), (232, 160, 134), 0.62 - 0.55 * depth + 0.24 * waves)
    lamp = np.array((width * 0.52, height * 0.165))
    for side in (-1, 1):
        angle = np.arctan2(y - lamp[1], side * (x - lamp[0]))
        beam = np.exp(-(((angle + 0.10) / 0.085) ** 2)) * (side * (x - lamp[0]) > 0)
        reach = np.exp(-np.abs(x - lamp[0]) / (width * 0.42))
        picture += (110 * beam * reach)[..., None] * np.float32((1, 0.9, 0.62))
    # The tower: a tapered cylinder lit from the left.
    top, foot = height * 0.235, height * 0.80
    share = np.clip((y - top) / (foot - top), 0, 1)
    half = width * (0.075 + 0.055 * share**1.25)
    across = (x - lamp[0]) / half
    bend = 14 * (1 - np.clip(across, -1, 1) ** 2)
    bands = np.floor((y - top - bend) / (foot - top) * 7)
    paint = np.where((bands % 2 == 0)[..., None], np.float32((206, 54, 46)), np.float32((246, 238, 226)))
    light = 0.52 + 0.5 * np.sqrt(np.clip(1 - (across + 0.35) ** 2 / 1.9, 0, 1))
    weather = noise(height, width, (220, 12), rng, 4)
    tower = paint * (light * (1 + 0.035 * weather))[..., None]
    cover = (np.clip((1 - np.abs(across)) * half / 1.5, 0, 1) * ((y > top) & (y < foot + 60)))[..., None]
    picture = picture * (1 - cover) + tower * cover
    rock = _ridge(width, height * 0.86, height * 0.17, 420, rng)
    rock = rock - height * 0.07 * np.exp(-(((np.arange(width) / width - 0.53) / 0.17) ** 2))
    rock = rock + height * 0.20 * np.clip(np.abs(np.arange(width) / width - 0.52) - 0.20, 0, 1)
    stone = noise(height, width, (60, 90), rng, 6)
    cover = np.clip((y - rock) / 2, 0, 1)[..., None]
    lit = 0.42 + 0.30 * stone - 0.30 * np.clip((y - rock) / (height * 0.16), 0, 1)
    picture = picture * (1 - cover) + mix((26, 24, 34), (142, 108, 98), lit) * cover
    picture += (150 * np.exp(-((np.hypot(x - lamp[0], y - lamp[1]) / 90) ** 2)))[..., None] * np.float32((1, 0.85, 0.5))
    image = to_image(picture)
    _lantern(ImageDraw.Draw(image), lamp, width)
    image = image.resize(TALL, Image.Resampling.LANCZOS)
    return photograph(image, rng, light=(0.3, 0.3), vignette=0.30, blur=0.35, grain=1.6)


def _lantern(draw, lamp, width):
    x, y = lamp
    unit = width / 100
    dark = (44, 34, 44)
    draw.rectangle((x - 5 * unit, y - 4.6 * unit, x + 5 * unit, y + 6 * unit), fill=(255, 232, 168))
    draw.ellipse((x - 3 * unit, y - 3 * unit, x + 3 * unit, y + 3 * unit), fill=(255, 252, 232))
    for part in (-5, -2.5, 0, 2.5, 5):
        left = x + part * unit
        draw.line((left, y - 4.6 * unit, left, y + 6 * unit), fill=dark, width=4)
    draw.polygon(
        [(x - 7 * unit, y - 4.4 * unit), (x, y - 11 * unit), (x + 7 * unit, y - 4.4 * unit)],
        fill=(140, 38, 36),
    )
    draw.ellipse((x - unit, y - 12.6 * unit, x + unit, y - 10.6 * unit), fill=dark)
    draw.rectangle((x - 9.5 * unit, y + 6 * unit, x + 9.5 * unit, y + 7.6 * unit), fill=dark)
    draw.rectangle((x - 7.6 * unit, y + 7.6 * unit, x + 7.6 * unit, y + 11.6 * unit), fill=(214, 206, 198))
    for part in range(-9, 10, 2):
        draw.line((x + part * unit, y + 2.6 * unit, x + part * unit, y + 6 * unit), fill=dark, width=3)
    draw.line((x - 9.5 * unit, y + 2.6 * unit, x + 9.5 * unit, y + 2.6 * unit), fill=dark, width=4)


def night(rng):
    """A moonlit evening, (420 × 640, 3) uint16: a sky of gradients that eight bits would turn into bands."""
    width, height = NIGHT
    y, x = np.mgrid[:height, :width].astype(np.float64)
    down = y / height
    sky = np.array((0.020, 0.032, 0.075)) + down[..., None] ** 2 * np.array((0.105, 0.085, 0.100))
    distance = np.hypot(x - 430, y - 120)
    glow = np.exp(-distance / 115)[..., None] * np.array((0.075, 0.080, 0.088))
    picture = sky + glow
    crater = noise(height, width, (26, 26), rng, 5).astype(np.float64)
    face = np.clip((42 - distance) / 1.2, 0, 1)[..., None]
    lit = 0.82 - 0.10 * np.clip((distance / 42) ** 4, 0, 1) + 0.085 * np.tanh(1.6 * crater)
    picture = picture * (1 - face) + lit[..., None] * np.array((1.0, 0.97, 0.88)) * face
    for _ in range(90):
        star_x, star_y, bright = rng.uniform(0, width), rng.uniform(0, height * 0.6), rng.uniform(0.02, 0.25)
        spot = np.exp(-((x - star_x) ** 2 + (y - star_y) ** 2) / 0.7)
        picture += (bright * spot * (distance > 60))[..., None]
    for base, tall, cell, shade in (
        (0.80, 0.16, 260, 0.050),
        (0.90, 0.15, 190, 0.026),
        (1.0, 0.14, 140, 0.010),
    ):
        skyline = _ridge(width, height * base, height * tall, cell, rng).astype(np.float64)
        cover = np.clip(y - skyline, 0, 1)[..., None]
        hill = shade * (1.1 + 0.9 * np.exp(-(y - skyline) / 60))[..., None] * np.array((0.85, 0.95, 1.25))
        picture = picture * (1 - cover) + hill * cover
    return np.rint(np.clip(picture, 0, 1) * 65535).astype(np.uint16)
