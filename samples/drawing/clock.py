"""A clock whose hands run, as an animated GIF with uneven frame times, which a warp must keep."""

import numpy as np
from PIL import Image, ImageDraw

from .tools import write

SIZE = 240
SCALE = 3
FRAMES = 12
DURATIONS = tuple(80 if number % 3 else 240 for number in range(FRAMES))  # milliseconds


def _frame(number):
    side = SIZE * SCALE
    image = Image.new("RGB", (side, side), (238, 232, 220))
    draw = ImageDraw.Draw(image)
    centre = np.array((side / 2, side / 2))

    def at(turn, radius):
        angle = 2 * np.pi * turn
        return tuple(centre + radius * side * np.array((np.sin(angle), -np.cos(angle))))

    for radius, colour in ((0.47, (52, 60, 78)), (0.435, (252, 250, 244))):
        draw.ellipse((*(centre - radius * side), *(centre + radius * side)), fill=colour)
    for hour in range(12):
        draw.line([at(hour / 12, 0.40), at(hour / 12, 0.415)], fill=(52, 60, 78), width=6)
        x, y = at(hour / 12, 0.335)
        write(draw, (x, y), str(hour or 12), 66, (52, 60, 78), bold=1, anchor="mm")
    for turn, length, width, colour in (
        ((10 + number / FRAMES) / 12, 0.20, 26, (52, 60, 78)),
        (number / FRAMES, 0.30, 17, (202, 70, 52)),
    ):
        draw.line([at(turn + 0.5, 0.05), at(turn, length)], fill=colour, width=width)
    draw.ellipse((*(centre - 20), *(centre + 20)), fill=(52, 60, 78))
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def frames():
    """The frames, (240 × 240) palette pictures that share one palette."""
    pictures = [_frame(number) for number in range(FRAMES)]
    sheet = Image.new("RGB", (SIZE * 2, SIZE))
    for place, picture in enumerate((pictures[0], pictures[4])):
        sheet.paste(picture, (SIZE * place, 0))
    palette = sheet.quantize(32, dither=Image.Dither.NONE)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
