"""An article page on a wooden table, photographed at an angle."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .tools import apply, font, homography, mix, noise, photograph, project, shade, soft_mask, to_image, write

SIZE = (1600, 1200)
# The page's corners in the photograph, from its top left clockwise, origin at the corner of the first pixel.
CORNERS = ((486, 118), (1150, 186), (1338, 1104), (262, 982))
PAGE = (1470, 2079)  # A4 at 7 px/mm
INK = (38, 36, 40)

ARTICLE = """\
A page lies on a table and the camera stands where it stands. What arrives on the sensor is no rectangle:
the far edge is short, the near edge is long, and lines that were parallel run together. Nothing is lost by
this. Four corners and one matrix bring the page back.

The recipe asks the question backwards. For each pixel of the picture we want, where must we look in the
picture we have? The answer is a grid of places, one for each output pixel, and most of them fall between
the pixels of the input.

There a small kernel weighs the neighbours and reports what it would have seen.

Turned, sheared, folded or bent like rubber: only the grid knows. The sampler never asks how the grid was
made, and so one sampler serves every map.

Because each step is smooth almost everywhere, an error measured at the end can be carried back through the
kernel, through the grid, to the six or eight numbers that began it. A small network may then be asked to
guess those numbers, and it will learn to look where looking helps.

That is the whole trick. The rest is care: which way the map points, where the first pixel has its centre,
what lies beyond the border, and how far a grid may shrink before fine lines turn into false ones.

Put a ruler on the straightened page and the margins are parallel again. The far lines stay a little softer
than the near ones, for the lens gave them fewer pixels, and no grid can invent what was never seen."""


def _column(draw, words, x, top, bottom, width, size):
    """Sets justified lines until the column is full; returns the words left over."""
    face, leading, y = font(size), round(size * 1.42), top
    while words and y < bottom:
        line, ends = [], False
        while words and not ends:
            if words[0] == "\n":
                words, ends = words[1:], True
            elif face.getlength(" ".join([*line, words[0]])) <= width:
                line, words = [*line, words[0]], words[1:]
            else:
                break
        indent = 0
        if line and line[0].startswith("\t"):
            line[0], indent = line[0][1:], size
        natural = sum(face.getlength(word) for word in line)
        space = (width - indent - natural) / max(1, len(line) - 1)
        if ends or not words:
            space = face.getlength(" ") * 1.1
        pen = x + indent
        for word in line:
            draw.text((pen, y), word, INK, face, "ls")
            pen += face.getlength(word) + space
        y += leading
    return words


def _words():
    for number, paragraph in enumerate(ARTICLE.split("\n\n")):
        words = paragraph.split()
        yield from (["\t" + words[0], *words[1:], "\n"] if number else [*words, "\n"])


def _figure(draw, box):
    """A letter under a bent grid: what the article talks about."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=(226, 231, 235))
    u, v = np.meshgrid(np.linspace(0, 1, 81), np.linspace(0, 1, 49))
    x = left + (right - left) * (0.5 + 0.86 * (u - 0.5) + 0.045 * np.sin(5.5 * v + 0.6))
    y = top + (bottom - top) * (0.5 + 0.80 * (v - 0.5) + 0.085 * np.sin(6.1 * u - 0.4))
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2
    write(draw, (centre_x, centre_y + 140), "R", 400, (196, 84, 54), bold=9, anchor="ms")
    for lines in (zip(x[::4], y[::4], strict=True), zip(x.T[::4], y.T[::4], strict=True)):
        for line_x, line_y in lines:
            draw.line(list(zip(line_x, line_y, strict=True)), fill=(44, 84, 124), width=4, joint="curve")


def page():
    """The flat page, (2079 × 1470) RGB."""
    width, height = PAGE
    image = Image.new("RGB", PAGE, (244, 241, 233))
    draw = ImageDraw.Draw(image)
    left, right = 120, width - 120
    write(draw, (left, 150), "NOTES ON SAMPLING", 34, (120, 60, 44), bold=1, spacing=6)
    write(draw, (right, 150), "No. 15", 34, (120, 60, 44), spacing=3, anchor="rs")
    draw.line([(left, 178), (right, 178)], fill=INK, width=4)
    write(draw, (left - 6, 308), "How to read", 138, INK, bold=4)
    write(draw, (left - 6, 446), "a tilted page", 138, INK, bold=4)
    write(draw, (left, 538), "Ask each pixel of the answer where it came from.", 45, (92, 90, 96))
    draw.line([(left, 580), (right, 580)], fill=INK, width=2)
    gap = 60
    column = (right - left - gap) // 2
    words = _column(draw, list(_words()), left, 660, height - 130, column, 34)
    second = left + column + gap
    figure = (second, 628, right, 1040)
    _figure(draw, figure)
    write(draw, (second, 1084), "Fig. 1. The grid decides, the sampler obeys.", 27, (92, 90, 96))
    words = _column(draw, words, second, 1164, height - 130, column, 34)
    if words:
        raise ValueError(f"the article is {len(words)} words too long for its page")
    write(draw, (width / 2, height - 62), "1", 32, INK, anchor="ms")
    return image


def wood(height, width, rng):
    """Planks of oak along x, each with a grain and a tone of its own."""
    y = np.arange(height, dtype=np.float32)[:, None]
    drift = noise(height, width, (420, 1500), rng, 3)
    streaks = noise(height, width, (22, 900), rng, 4)
    pores = noise(height, width, (3, 90), rng, 2)
    plank = np.floor((y + 60) / 560).astype(int)
    tone = rng.uniform(-0.13, 0.13, plank.max() + 1).astype(np.float32)[plank]
    phase = rng.uniform(0, 40, plank.max() + 1).astype(np.float32)[plank]
    rings = np.sin((y + 150 * drift) / 23 + phase) * np.exp(-np.abs(drift))
    amount = 0.52 + tone + 0.10 * rings + 0.14 * streaks + 0.06 * pores
    surface = mix((84, 50, 29), (190, 138, 88), amount)
    gap = np.abs((y + 60) % 560 - 280)
    surface *= (1 - 0.75 * np.clip((gap - 274) / 4, 0, 1))[..., None]
    return to_image(surface)


def _pencil(image, start, end, thickness):
    """A pencil seen from above, with its shadow."""
    start, end = np.array(start, float), np.array(end, float)
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    length = np.linalg.norm(end - start)

    def strip(a, b, low, high, low_b=None, high_b=None):
        low_b, high_b = (low if low_b is None else low_b), (high if high_b is None else high_b)
        corners = ((a, low), (b, low_b), (b, high_b), (a, high))
        return [tuple(start + along * s + across * t * thickness) for s, t in corners]

    shadow = [(x + 20, y + 34) for x, y in strip(0, length, -0.5, 0.5)]
    image = shade(image, soft_mask(image.size, shadow, 16), 0.6)
    draw = ImageDraw.Draw(image)
    wood_end, lead_end = 3.1 * thickness, 0.95 * thickness
    draw.polygon(strip(0, wood_end, -0.02, 0.02, -0.5, 0.5), fill=(222, 178, 128))
    draw.polygon(strip(0, lead_end, -0.02, 0.02, -0.16, 0.16), fill=(48, 46, 50))
    body = length - 2.6 * thickness
    for low, high, colour in (
        (-0.5, -0.2, (168, 44, 36)),
        (-0.2, 0.22, (214, 70, 52)),
        (0.22, 0.5, (140, 32, 30)),
    ):
        draw.polygon(strip(wood_end - 0.4 * thickness, body, low, high), fill=colour)
    draw.polygon(strip(body, body + 1.4 * thickness, -0.52, 0.52), fill=(186, 178, 164))
    draw.polygon(strip(body, body + 1.4 * thickness, -0.2, 0.1), fill=(232, 226, 214))
    draw.polygon(strip(body + 1.4 * thickness, length, -0.5, 0.5), fill=(226, 148, 140))
    return image


def photographed(rng):
    """The photograph, (1200 × 1600) RGB."""
    frame = [(0, 0), (PAGE[0], 0), PAGE, (0, PAGE[1])]
    to_page = homography(CORNERS, frame)
    seen = apply(to_page, [(0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])])
    left, top = np.floor(seen.min(0)) - 8
    width, height = (np.ceil(seen.max(0)) + 8 - (left, top)).astype(int)
    table = wood(height, width, rng)
    x, y = int(-left), int(-top)
    for offset, blur, strength in (((26, 40), 44, 0.42), ((10, 14), 12, 0.34), ((2, 4), 3, 0.3)):
        box = (x + offset[0], y + offset[1], x + PAGE[0] + offset[0], y + PAGE[1] + offset[1])
        table = shade(table, soft_mask(table.size, box, blur), strength)
    paper = np.asarray(page(), np.float32)
    fibre = noise(*paper.shape[:2], (5, 5), rng, 2)
    wave = noise(*paper.shape[:2], (900, 700), rng, 2)
    table.paste(to_image(paper * (1 + 0.012 * fibre + 0.02 * wave)[..., None]), (x, y))
    table = _pencil(table, (x + 1700, y + 1850), (x + 1990, y + 640), 58)
    double = np.diag([0.5, 0.5, 1.0])
    to_table = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ to_page @ double
    image = project(table, to_table, (SIZE[0] * 2, SIZE[1] * 2)).resize(SIZE, Image.Resampling.LANCZOS)
    return photograph(image, rng, light=(0.40, 0.18), vignette=0.42, blur=0.55, grain=2.2).filter(
        ImageFilter.UnsharpMask(1.2, 40, 0)
    )
