"""A test chart: zone plate, slanted edges, Siemens star, fine lines, colour patches, grey ramp."""

import numpy as np
from PIL import Image, ImageDraw

from .tools import write

SIZE = (960, 640)
SCALE = 4  # edges are drawn at four times the size and reduced by area
PATCHES = (
    (115, 82, 68), (196, 150, 130), (98, 122, 157), (88, 108, 67), (132, 128, 176), (104, 188, 170),
    (214, 126, 44), (80, 92, 166), (194, 90, 99), (94, 60, 108), (158, 188, 64), (224, 162, 46),
    (56, 62, 150), (70, 148, 74), (176, 54, 60), (232, 200, 32), (188, 86, 150), (0, 134, 162),
)  # fmt: skip
PRIMARIES = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0))


def zone_plate(size):
    """Rings whose frequency grows from 0 at the centre to ½ cycle a pixel at the middle of each side."""
    x = np.arange(size) - (size - 1) / 2
    square = x[:, None] ** 2 + x[None, :] ** 2
    return np.rint(127.5 + 127.5 * np.cos(np.pi * square / size)).astype(np.uint8)


def siemens_star(size, spokes=36):
    """A star of `spokes` pairs, reduced by area."""
    x = (np.arange(size * SCALE) + 0.5) / SCALE - size / 2
    angle = np.arctan2(x[:, None], x[None, :])
    radius = np.hypot(x[:, None], x[None, :])
    star = np.where(np.sin(spokes * angle) > 0, 235, 20)
    star = np.where(radius > size / 2, 255, star)
    return np.rint(star.reshape(size, SCALE, size, SCALE).mean((1, 3))).astype(np.uint8)


def slanted_edge(size, degrees):
    """A dark square turned by `degrees`, as ISO 12233 measures sharpness on."""
    x = (np.arange(size * SCALE) + 0.5) / SCALE - size / 2
    turn = np.deg2rad(degrees)
    u = x[None, :] * np.cos(turn) + x[:, None] * np.sin(turn)
    v = -x[None, :] * np.sin(turn) + x[:, None] * np.cos(turn)
    square = np.where(np.maximum(np.abs(u), np.abs(v)) < size * 0.36, 45, 215)
    return np.rint(square.reshape(size, SCALE, size, SCALE).mean((1, 3))).astype(np.uint8)


def fine_lines(width, height):
    """Vertical line pairs of 1, 2, 3 and 4 pixels, drawn on whole pixels."""
    block = np.full((height, width), 255, np.uint8)
    group = width // 4
    for number, pitch in enumerate((1, 2, 3, 4)):
        along = np.arange(group - 8)
        block[:, number * group : number * group + group - 8] = np.where(along // pitch % 2 == 0, 0, 255)
    return block


def _labels(draw):
    grey = (70, 74, 80)
    for x, y, text in (
        (40, 70, "zone plate, 0 to 0.5 cycles a pixel"),
        (510, 70, "Siemens star"),
        (735, 70, "slanted edges, 5° and 10°"),
        (510, 310, "lines of 1, 2, 3 and 4 pixels"),
        (510, 464, "colours"),
        (40, 546, "grey, 0 to 255"),
    ):
        write(draw, (x * 3, y * 3), text, 15 * 3, grey)
    write(draw, (40 * 3, 40 * 3), "stn test chart", 22 * 3, (20, 22, 26), bold=1, spacing=2)


def chart(_rng=None):
    """The chart, (640 × 960) RGB."""
    labels = Image.new("RGB", (SIZE[0] * 3, SIZE[1] * 3), (255, 255, 255))
    _labels(ImageDraw.Draw(labels))
    image = labels.resize(SIZE, Image.Resampling.BOX)
    draw = ImageDraw.Draw(image)

    def paste(array, x, y):
        image.paste(Image.fromarray(array).convert("RGB"), (x, y))

    paste(zone_plate(440), 40, 80)
    paste(siemens_star(200), 510, 80)
    for column, inverted in enumerate((0, 0xFF)):
        for row, degrees in enumerate((5, 10)):
            paste(slanted_edge(90, degrees) ^ inverted, 735 + 95 * column, 80 + 95 * row)
    paste(fine_lines(200, 110), 510, 322)
    paste(fine_lines(120, 185).T.copy(), 735, 322)
    for number, colour in enumerate(PATCHES):
        x, y = 510 + number % 9 * 46, 476 + number // 9 * 46
        draw.rectangle((x, y, x + 39, y + 39), fill=colour)
    for number, colour in enumerate(PRIMARIES):
        draw.rectangle((510 + number * 69, 572, 569 + number * 69, 604), fill=colour)
    ramp = np.arange(440) * 256 // 440
    paste(np.tile(ramp, (22, 1)).astype(np.uint8), 40, 556)
    for step in range(11):
        draw.rectangle((40 + 40 * step, 582, 79 + 40 * step, 604), fill=(round(step * 25.5),) * 3)
    draw.rectangle((8, 8, SIZE[0] - 9, SIZE[1] - 9), outline=(20, 22, 26))
    for x in (8, SIZE[0] - 9):
        for y in (8, SIZE[1] - 9):
            draw.line((x - 7, y, x + 7, y), fill=(200, 30, 40))
            draw.line((x, y - 7, x, y + 7), fill=(200, 30, 40))
    return image
