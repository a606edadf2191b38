"""Affine reductions as a polyphase filter: the weights with which an output pixel sums the input pixels around it.

The mean over a footprint is a sum of input pixels whose weights depend only on the phase, which is where the footprint's centre
lies between whole pixels. Each tap's share in a pixel is the product of a tent in x and one in y; both are straight between the
phases at which some tap crosses from one pixel to the next. So weights tabulated at those phases and interpolated bilinearly
between them are the definition, exactly. Where these phases are too many, 8-bit images make do with some of them, if that is
known to be off by little. Imports no numba: the tables are made in NumPy, and kept for the next image of the size.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stn_cli.core.antialias import MOST_TAPS, SLACK, offsets
from stn_cli.core.coordinates import Size

BINS = 256  # of phases along an axis, to find the nodes around one
ROOM = 96  # pixels looked up at a time, at the most: a tile, what a quad reaches beyond it, and a vector
SAME = 2.0**-20  # pixels: taps are moved to multiples of it, by 0.06 of 65,535 grey levels at the most
_NOTHING = 1e-9  # a weight below this is a rounded zero
_MOST, _LARGE = 1 << 20, 1 << 18  # weights in a table, 4 MB; and from where on those of 8-bit pixels are thinned
_WORTH = 16  # output pixels that a table has to serve for each entry
_OFF = 0.25  # grey levels by which sums of 8-bit pixels may then be off at the most
_FEW = 4  # taps of 8-bit pixels, so few that they are quicker gathered one by one
_MANY = 256  # taps: for more, a table takes too long to make


@dataclass(frozen=True, eq=False)
class Nodes:
    """The phases 0 … 1 along one axis between which weights are straight.

    at (n,) float32, rising, the last of them 2 and not 1; over (n,) float32: 1 over the distance to the next.
    bins (BINS + 1,) int32: the last node at or before phase k / BINS, but never the very last.
    """

    at: np.ndarray
    over: np.ndarray
    bins: np.ndarray


@dataclass(frozen=True, eq=False)
class Phases:
    """An input position p is whole pixels X = ⌊p - shift⌋ and a phase, on both axes.

    Output = Σ weights · input / scale over *runs* of pixels in a row; run k begins at column X + columns[k] of row Y + rows[k].
    table (n_y, n_x, 4 · blocks, length): for each pair of nodes the weights of the runs, the last of which may weigh nothing;
    float32, four pixels a run, or int16, eight pixels.
    box: (left, top, right, bottom), the input pixels relative to (X, Y) that have a weight anywhere.
    """

    shift: np.ndarray
    x: Nodes
    y: Nodes
    table: np.ndarray
    scale: float
    columns: np.ndarray
    rows: np.ndarray
    box: tuple[int, int, int, int]

    def inside(self, in_size: Size) -> np.ndarray:
        """(left, top, right, bottom): positions from which an image is read within it, and a run never from its last row."""
        height, width = in_size
        (x, y), (left, top, right, bottom) = self.shift, self.box
        return np.array([x - left, y - top, x + width - right, y + height - 1 - bottom])


@lru_cache(maxsize=16)
def phases(steps: tuple[float, float, float, float], out_size: Size, pairs: bool) -> Phases | None:
    """Of an affine map whose pixel matrix begins with `steps` (x by x, x by y, y by x, y by y), bilinear; `pairs`: in int16.

    None where there would be more phases than a table should hold, or than so small an output or so few taps are worth.
    """
    rows, columns = out_size
    along_x = np.array(steps[0::2]) * (columns > 1)  # one column has no difference to the next, so no width
    along_y = np.array(steps[1::2]) * (rows > 1)
    n_x, n_y = (min(max(int(np.ceil(np.hypot(*s) - SLACK)), 1), MOST_TAPS) for s in (along_x, along_y))
    if n_x * n_y > _MANY or (pairs and n_x * n_y <= _FEW):
        return None
    taps = np.array([u * along_x + v * along_y for v in offsets(n_y) for u in offsets(n_x)])
    reach = np.abs(taps).max(0)
    shift = reach - np.floor(reach)  # the one for which the box is smallest
    taps = np.rint((taps + shift) / SAME).T * SAME  # so that a tap is exactly on a pixel at its node
    (left, top), (right, bottom) = (np.floor(taps.min(1)).astype(int), np.ceil(taps.max(1)).astype(int) + 1)
    box = (right - left + 1) * (bottom - top + 1)
    nodes = [np.unique(np.append(-t % 1, [0.0, 1.0])) for t in taps]
    if pairs and len(nodes[0]) * len(nodes[1]) * box > _LARGE:
        nodes = [_thinned(at, t) for at, t in zip(nodes, taps, strict=True)]
    entries = len(nodes[0]) * len(nodes[1])
    if entries * _WORTH > rows * columns or entries * box > _MOST:
        return None
    across, down = _tents(nodes[0], taps[0], left, right), _tents(nodes[1], taps[1], top, bottom)
    weights = np.einsum("jtr,itc->jirc", down, across, optimize=True) / (n_x * n_y)
    table, run_columns, run_rows = _runs(weights, 8 if pairs else 4)
    scale = 1.0
    if pairs:  # mixing four weights cuts off a half each, on average
        scale = 2.0 ** np.floor(np.log2(32760 / weights.max()))
        table = np.where(table > 0, np.rint(table * scale) + 2, 0)
    table = _aligned(table, np.int16 if pairs else np.float32)
    x, y = (_searched(at) for at in nodes)
    return Phases(shift, x, y, table, scale, run_columns + left, run_rows + top, (left, top, right, bottom))


def _thinned(at: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Some of the nodes, so that sums are off by half of `_OFF` of 255 grey levels at the most.

    Where a tap crosses a pixel between two nodes h apart, three tents bend, by 1, 2 and 1, and are off by h/4 for each: by h in
    all. What is added to some weights is missing in others, so that a sum is off by half of 255·h for such a tap.
    """
    crossings = np.sort(-taps % 1)
    before, upto = np.searchsorted(crossings, at, "left"), np.searchsorted(crossings, at, "right")
    kept = [0]
    for k in range(1, len(at) - 1):
        bending = (before[k + 1] - upto[kept[-1]]) / len(taps)
        if 255 / 2 * bending * (at[k + 1] - at[kept[-1]]) > _OFF / 2:
            kept.append(k)
    return at[[*kept, len(at) - 1]]


def _tents(at: np.ndarray, taps: np.ndarray, first: int, last: int) -> np.ndarray:
    """(node, tap, pixel): the share of pixels first … last in each tap at each node."""
    place = at[:, None] + taps
    return np.maximum(0, 1 - np.abs(place[..., None] - np.arange(first, last + 1)))


def _searched(at: np.ndarray) -> Nodes:
    bins = np.minimum(np.searchsorted(at, np.arange(BINS + 1) / BINS, "right") - 1, len(at) - 2)
    over = np.append(1 / np.diff(at), 0)
    return Nodes(np.append(at[:-1], 2).astype(np.float32), over.astype(np.float32), bins.astype(np.int32))


def _runs(weights: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """weights (n_y, n_x, rows, columns) → (table, columns, rows) of `Phases`, relative to the first column and row."""
    most = weights.max((0, 1))
    found = []
    for row in np.flatnonzero(most.max(1) > _NOTHING).tolist():
        seen = np.flatnonzero(most[row] > _NOTHING)
        found += [(column, row) for column in range(int(seen[0]), int(seen[-1]) + 1, length)]
    columns, rows = np.array(found, np.int64).T
    padded = np.concatenate([weights, np.zeros((*weights.shape[:3], length))], -1)
    runs = padded[:, :, rows[:, None], columns[:, None] + np.arange(length)]
    table = np.zeros((*weights.shape[:2], len(found) + -len(found) % 4, length))
    table[:, :, : len(found)] = runs
    return table, columns, rows


def _aligned(values: np.ndarray, dtype: type) -> np.ndarray:
    """A copy that begins on a line of the cache: reading vectors across lines costs twice as much."""
    size = values.size * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    first = -room.ctypes.data % 64
    out = room[first : first + size].view(dtype).reshape(values.shape)
    out[:] = values
    return out
