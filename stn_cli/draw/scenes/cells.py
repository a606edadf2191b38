"""What the scenes of seed 5 share: few, large pixels with one channel, and the hand-derived formulas of `core.backprop`."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stn_cli.core.sampling import Sampling
from stn_cli.draw.canvas import Canvas
from stn_cli.draw.plane import View
from stn_cli.draw.scene import ink_on
from stn_cli.draw.subject import Subject

KINDS = ("UL", "UR", "LL", "LR")
KIND_NAMES = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True)
class Sample:
    """One sample point as seed 5 writes it: pixel coordinates, distances, and the four neighbours in the order of `KINDS`."""

    x: float
    y: float
    d_x: float
    d_y: float
    values: np.ndarray  # (4,) in [0, 255]
    weights: np.ndarray  # (4,)
    corners: tuple[tuple[int, int], ...]  # (column, row) of each, which may lie outside the image
    inside: np.ndarray  # (4,) bool
    slope: tuple[float, float]  # ∂V/∂x and ∂V/∂y, grey levels a pixel
    V: float


def plain(subject: Subject) -> Subject:
    """Grey, bilinear: what the formulas of seed 5 are written for. Padding and frame stay."""
    how = subject.sampling
    return replace(
        subject.grey(), sampling=replace(how, kernel="bilinear", antialias="off", fill=how.fill and how.fill[:1])
    )


class Formulas:
    """`core.backprop` at a sampling grid (H', W', 2) of a grey subject."""

    def __init__(self, subject: Subject, grid: np.ndarray, image: np.ndarray | None = None):
        import torch

        from stn_cli.core import backprop

        self.subject, self.grid = subject, np.asarray(grid, dtype=np.float64)
        self.U = subject.tensor if image is None else torch.from_numpy(image.astype(np.float64))[None, None]
        how: Sampling = subject.sampling
        fill = None if how.fill is None else torch.tensor(how.fill, dtype=torch.float64)
        self.near = backprop.neighbours(
            self.U, torch.from_numpy(self.grid)[None], padding=how.padding, fill=fill, align_corners=how.align_corners
        )

    @cached_property
    def V(self) -> np.ndarray:
        """(H', W') float64 in [0, 255]."""
        from stn_cli.core import backprop

        return backprop.output(self.near)[0, 0].numpy()

    @cached_property
    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """∂V/∂x and ∂V/∂y, (H', W') each, grey levels a pixel."""
        from stn_cli.core import backprop

        return backprop.dV_dx(self.near)[0, 0].numpy(), backprop.dV_dy(self.near)[0, 0].numpy()

    @cached_property
    def weights(self) -> np.ndarray:
        """∂V/∂U of the four neighbours, (4, H', W')."""
        return self.near.weights[:, 0].numpy()

    def dL_dU(self, dL_dV: np.ndarray) -> np.ndarray:
        """(H', W') → (H, W)."""
        import torch

        from stn_cli.core import backprop

        return backprop.dL_dU(torch.from_numpy(dL_dV)[None, None], self.near)[0, 0].numpy()

    def dL_dgrid(self, dL_dV: np.ndarray) -> np.ndarray:
        """(H', W') → (H', W', 2), normalised units."""
        import torch

        from stn_cli.core import backprop

        given = torch.from_numpy(dL_dV)[None, None]
        return backprop.dL_dgrid(given, self.near, align_corners=self.subject.align_corners)[0].numpy()

    def sample(self, row: int, column: int) -> Sample:
        near = self.near
        left, top = int(near.left[0, row, column]), int(near.top[0, row, column])
        return Sample(
            x=float(near.x[0, row, column]),
            y=float(near.y[0, row, column]),
            d_x=float(near.d_x[0, row, column]),
            d_y=float(near.d_y[0, row, column]),
            values=near.values[:, 0, 0, row, column].numpy(),
            weights=self.weights[:, row, column],
            corners=((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)),
            inside=near.inside[:, 0, row, column].numpy(),
            slope=(float(self.slopes[0][row, column]), float(self.slopes[1][row, column])),
            V=float(self.V[row, column]),
        )


def cell_values(sheet: Canvas, view: View, image: np.ndarray, size: float, only=None) -> None:
    """The grey value of each pixel within the view written into its square."""
    height, width = image.shape
    left, top, right, bottom = view.box
    for row in range(height):
        for column in range(width):
            x, y = view.at_pixel(column, row)
            if left < x < right and top < y < bottom and (only is None or (row, column) in only):
                sheet.text(
                    (x, y + size * 0.36),
                    str(int(image[row, column])),
                    size,
                    ink_on(image[row, column]),
                    anchor="middle",
                )


def cell_lines(sheet: Canvas, view: View) -> None:
    """The borders of the pixels within the view."""
    height, width = view.size
    left, top, right, bottom = view.window
    c0, c1 = max(0, int(np.floor(left))), min(width, int(np.ceil(right)))
    r0, r1 = max(0, int(np.floor(top))), min(height, int(np.ceil(bottom)))
    rows = [[(c0, row), (c1, row)] for row in range(r0, r1 + 1)]
    columns = [[(column, r0), (column, r1)] for column in range(c0, c1 + 1)]
    with sheet.clip(view.box):
        sheet.lines([view.at_edges(np.array(ends)) for ends in rows + columns], sheet.theme.faint, 0.6, opacity=0.8)
