"""Sampling grids of smooth maps without a matrix, from a coarse lattice of exact points.

Between nodes 16, 8 or 4 pixels apart the map is the cubic through four nodes an axis (Lagrange: it reproduces cubics). The
error is measured, at the middle of every cell and of its sides; cells where it is above `TOLERANCE`, and their neighbours,
are computed exactly instead: those around the control points of a spline. Nowhere is the position off by more than `BOUND`
(a test holds it). The coarsest lattice is taken that leaves less to compute exactly than the next finer one has nodes and
checks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stn_cli.core.families import Flow, PiecewiseAffine
from stn_cli.core.transformation import Transformation
from stn_cli.engines import native
from stn_cli.engines.codes import LANES
from stn_cli.engines.points import exact_points

STEPS = (16, 8, 4)  # output pixels between nodes, the first that will do
TOLERANCE = 0.002
BOUND = 0.02  # pixels of the input
SMALLEST = 64 * 64  # outputs of fewer pixels are as soon computed exactly


def roughest(step: int) -> float:
    """The share of pixels to be computed exactly above which a lattice is too coarse: a node and three checks of half its step
    for a cell. Never above a half: the nodes have their price too."""
    return min(4 * 4 / step**2, 0.5)


@dataclass(frozen=True)
class Lattice:
    """nodes (2, rows, columns): input pixels, x and y, at output pixels (step·(i-1), step·(j-1)).

    exact (K,) and points (K, 2): the output pixels, row-major and ascending, that are not interpolated, and where they read.
    """

    step: int
    nodes: np.ndarray
    exact: np.ndarray
    points: np.ndarray

    def fill(self, table: np.ndarray, low: int, rows: int, width: int) -> None:
        """Output rows low … low + rows - 1 into a flat table x0, y0, x1, …, with sixteen points to spare."""
        weights = _weights(np.arange(LANES) % self.step / self.step)
        line = np.zeros((2, self.nodes.shape[2] + 4))
        native.load("expand")(
            self.nodes.ctypes.data, *self.nodes.shape[1:], weights.ctypes.data, self.step, line.ctypes.data,
            low, rows, width, table.ctypes.data, 2 * (rows * width + LANES),
        )  # fmt: skip
        first, last = np.searchsorted(self.exact, (low * width, (low + rows) * width))
        place = self.exact[first:last] - low * width
        table[2 * place], table[2 * place + 1] = self.points[first:last, 0], self.points[first:last, 1]


@lru_cache(maxsize=16)
def lattice_for(
    transformation: Transformation, in_size: tuple[int, int], out_size: tuple[int, int], align_corners: bool
) -> Lattice | None:
    """The lattice of a map, or None where exact points are cheaper or the map is too rough."""
    if out_size[0] * out_size[1] < SMALLEST or isinstance(transformation.family, (Flow, PiecewiseAffine)):
        return None

    def exact(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return exact_points(transformation, in_size, out_size, align_corners, rows, columns)

    for step in STEPS:
        lattice = _lattice(step, out_size, exact)
        if lattice is not None:
            return lattice
    return None


def _lattice(step: int, out_size: tuple[int, int], exact: Callable) -> Lattice | None:
    height, width = out_size
    down, across = -(-height // step), -(-width // step)  # cells
    y = step * (np.arange(down + 3.0)[:, None] - 1)
    x = step * (np.arange(across + 3.0)[None] - 1)
    nodes = exact(y, x)
    rough = np.zeros((down, across), bool)
    for v, u in ((0.5, 0.5), (0.5, 0.0), (0.0, 0.5)):
        places = y[1:-1] + v * step, x[:, 1:-1] + u * step  # one more than cells: their sides close the last ones
        off = np.abs(_between(nodes, v, u) - exact(*places)).max(-1) > TOLERANCE
        rough |= off[:down, :across]
        if v == 0:
            rough |= off[1:, :across]
        if u == 0:
            rough |= off[:down, 1:]
        if rough.mean() > roughest(step):
            return None
    rough = _grown(rough)
    if rough.mean() > roughest(step):
        return None
    index = np.flatnonzero(np.repeat(np.repeat(rough, step, 0), step, 1)[:height, :width])
    nodes = np.ascontiguousarray(np.moveaxis(nodes, 2, 0))
    return Lattice(step, nodes, index, exact(index // width + 0.0, index % width + 0.0))


def _between(nodes: np.ndarray, v: float, u: float) -> np.ndarray:
    """The interpolated map at (v, u) of every cell, and of the cells after the last as far as the nodes go."""
    for axis, t in ((0, v), (1, u)):
        nodes = np.moveaxis(nodes, axis, 0)
        if t == 0:
            nodes = nodes[1:-1]
        else:
            w = _weights(np.array([t]))[:, 0]
            count = len(nodes) - 3
            mixed = np.sum([w[k] * nodes[k : k + count] for k in range(4)], axis=0)
            nodes = np.concatenate([mixed, mixed[-1:]])  # the cell after the last is not judged here
        nodes = np.moveaxis(nodes, 0, axis)
    return nodes


def _weights(t: np.ndarray) -> np.ndarray:
    """Of the nodes at -1, 0, 1, 2 for a place t from 0 to 1: (4, len(t))."""
    return np.array(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]
    )


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask and the eight neighbours of what it holds."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.logical_or.reduce([padded[j : j + height, i : i + width] for j in range(3) for i in range(3)])
