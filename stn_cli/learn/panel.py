"""What the transformer does to test digits: a panel after the training, and a film of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stn_cli.core.families import Family
from stn_cli.core.sampler import sample
from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.plane import View
from stn_cli.draw.theme import DARK, Theme

TILE, GAP = 84.0, 8.0
ROOM = 0.36  # of the image's side, shown around it, for grids that reach beyond
STEPS = 4  # frames from one epoch to the next


def panel(
    title: str, images: Tensor, V: Tensor, family: Family, theta: Tensor, labels: Sequence[int], read: Sequence[int],
    *, columns: int = 4, theme: Theme = DARK,
) -> Image.Image:  # fmt: skip
    """Cards of: the distorted digit | where the net looks | what the classifier sees | its label and what was read.

    `images` (N, 1, S, S) and `V` (N, 1, S', S') in [0, 1]; `theta` (N, family.size).
    """
    card = 3 * TILE + 2 * GAP + 62
    rows = -(-len(images) // columns)
    sheet = Canvas(columns * card + (columns + 1) * 18, 96 + rows * (TILE + 16), theme, 1.5)
    sheet.text((18, 32), title, 18, bold=True)
    sheet.text((18, 54), "distorted  |  where the net looks (thick: its top edge)  |  what the classifier sees  |  "
               "label, and what was read if it differs", 12.5, theme.muted)  # fmt: skip
    for index in range(len(images)):
        left = 18 + (index % columns) * (card + 18)
        top = 72 + (index // columns) * (TILE + 16)
        image = _bitmap(images[index, 0])
        boxes = [(left + i * (TILE + GAP), top, left + i * (TILE + GAP) + TILE, top + TILE) for i in range(3)]
        sheet.image(image, boxes[0])
        _look(sheet, image, boxes[1], family, theta[index])
        sheet.image(_bitmap(V[index, 0]), boxes[2])
        for box, colour in ((boxes[0], theme.faint), (boxes[2], theme.output)):
            sheet.rectangle(box, stroke=colour, width=1.2)
        right = int(labels[index]) == int(read[index])
        sheet.text((boxes[2][2] + 14, top + TILE / 2 + 11), str(int(labels[index])), 32, bold=True)
        if not right:
            sheet.text((boxes[2][2] + 38, top + TILE / 2 + 11), f"≠ {int(read[index])}", 17, theme.outside)
    return sheet.render()


def film(
    title: str, images: Tensor, family: Family, records: Sequence[dict[str, Any]], out_side: int,
    *, columns: int = 8, theme: Theme = DARK,
) -> Iterator[Image.Image]:  # fmt: skip
    """Frames of the same digits from epoch to epoch: above where the net looks, below what the classifier sees.

    `records` have "epoch", "test_error" and "theta" (rows for `images`). Between epochs θ is interpolated.
    """
    bitmaps = [_bitmap(image[0]) for image in images]
    told = [record for record in records if record.get("theta")]
    for before, after in pairwise(told):
        for step in range(STEPS):
            part = step / STEPS
            theta = torch.lerp(_theta(before, len(images)), _theta(after, len(images)), part)
            yield _frame(title, images, bitmaps, family, theta, before, out_side, columns, theme)
    if told:
        yield _frame(title, images, bitmaps, family, _theta(told[-1], len(images)), told[-1], out_side, columns, theme)


def _frame(
    title: str, images: Tensor, bitmaps: list[Bitmap], family: Family, theta: Tensor, record: dict[str, Any],
    out_side: int, columns: int, theme: Theme,
) -> Image.Image:  # fmt: skip
    V = sample(images, family.grid(theta, (out_side, out_side)))
    rows = -(-len(bitmaps) // columns)
    sheet = Canvas(columns * (TILE + GAP) + GAP + 16, 62 + rows * (2 * TILE + 2 * GAP + 6), theme, 1.0)
    sheet.text((16, 26), title, 15, bold=True)
    sheet.text((16, 46), f"epoch {record['epoch']}    test error {100 * record['test_error']:.2f} %", 13, theme.muted)
    for index, bitmap in enumerate(bitmaps):
        left = GAP + 8 + (index % columns) * (TILE + GAP)
        top = 60 + (index // columns) * (2 * TILE + 2 * GAP + 6)
        _look(sheet, bitmap, (left, top, left + TILE, top + TILE), family, theta[index])
        box = (left, top + TILE + GAP - 2, left + TILE, top + 2 * TILE + GAP - 2)
        sheet.image(_bitmap(V[index, 0]), box)
        sheet.rectangle(box, stroke=theme.output, width=1.2)
    return sheet.render()


def _look(sheet: Canvas, image: Bitmap, box: tuple[float, float, float, float], family: Family, theta: Tensor) -> None:
    """The image with room around it, and the outline of the sampling grid."""
    room = ROOM * image.width
    view = View((image.height, image.width), (-room, -room, image.width + room, image.height + room), box)
    theme = sheet.theme
    with sheet.clip(box):
        sheet.rectangle(box, theme.plane)
        sheet.image(image, view.image_box)
        outline = view.at(_outline(family, theta))
        sheet.line(outline, theme.grid, 1.6, closed=True)
        sheet.line(outline[: len(outline) // 4 + 1], theme.grid, 3.4)


def _outline(family: Family, theta: Tensor, points: int = 12) -> np.ndarray:
    """T_θ of the rim of the output, from the top left corner clockwise: (4 · points, 2), normalised."""
    t = np.linspace(-1, 1, points, endpoint=False)
    one = np.ones_like(t)
    rim = np.concatenate([np.stack(side, -1) for side in ((t, -one), (one, t), (-t, one), (-one, -t))])
    return family.points(theta.double().numpy(), rim)[0]


def _theta(record: dict[str, Any], count: int) -> Tensor:
    return torch.tensor(record["theta"][:count])


def _bitmap(image: Tensor) -> Bitmap:
    return Bitmap((image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
