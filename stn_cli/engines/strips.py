"""One image in strips of rows: over several threads, or made only when a writer asks for the rows.

A strip holds byte for byte what the whole would (`Engine.warp`), so neither shows in the result.
"""

from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np

from stn_cli.engines import Engine, Work

WORTH_THREADS = 1 << 20  # output pixels; less is done before a second thread has begun
AT_ONCE = 32 << 20  # bytes of output that `Rows` makes and keeps at a time


def warp(engine: Engine, work: Work, threads: int = 1, rows: tuple[int, int] | None = None) -> np.ndarray:
    """`engine.warp` of `work`, or of its output rows (first, last + 1), by up to `threads` threads."""
    first, last = rows or (0, work.out_size[0])

    def strip(low: int, high: int) -> np.ndarray:
        span = None if (low, high) == (0, work.out_size[0]) else (low, high)
        return engine.warp(work, span)

    if threads == 1 or (last - first) * work.out_size[1] < WORTH_THREADS:
        return strip(first, last)
    out = np.empty((last - first, work.out_size[1], work.image.shape[2]), work.image.dtype)
    edges = np.linspace(first, last, 2 * threads + 1).astype(int).tolist()

    def fill(low: int, high: int) -> None:
        out[low - first : high - first] = strip(low, high)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, edges[:-1], edges[1:]))
    return out


class Rows:
    """V (H', W', C) that is warped when its rows are sliced: the output of an image too large to be held beside its input.

    Meant for writers that go from top to bottom; anything but a slice of rows makes the whole array.
    """

    def __init__(self, engine: Engine, work: Work, threads: int = 1) -> None:
        self.engine, self.work, self.threads = engine, work, threads
        self.shape = (*work.out_size, work.image.shape[2])
        self.dtype, self.ndim = work.image.dtype, 3
        self._first, self._kept = 0, np.empty((0, *self.shape[1:]), self.dtype)

    def __getitem__(self, key: object) -> np.ndarray:
        if not isinstance(key, slice) or key.step not in (None, 1):
            return np.asarray(self)[key]  # type: ignore[index]
        first, last, _ = key.indices(self.shape[0])
        if last <= first:
            return np.empty((0, *self.shape[1:]), self.dtype)
        if first < self._first or last > self._first + len(self._kept):
            ahead = AT_ONCE // max(prod(self.shape[1:]) * self.dtype.itemsize, 1)
            span = first, min(max(last, first + ahead), self.shape[0])
            self._kept = np.empty(0)  # given back before its successor is made
            self._kept, self._first = warp(self.engine, self.work, self.threads, span), first
        return self._kept[first - self._first : last - self._first]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows that are not made yet need a copy")
        return warp(self.engine, self.work, self.threads).astype(dtype or self.dtype, copy=False)
