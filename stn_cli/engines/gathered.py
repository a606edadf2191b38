"""Batches for a device, from threads that each bring one image.

While the device is busy, images wait; when it is free, those that wait go through it together. Nothing waits for a batch to
fill, so one image alone is as quick as without, and no thread needs to know of the others.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Generic, TypeVar

import numpy as np

from stn_cli.engines import Engine, Work

BATCH_BYTES = 1 << 28  # pixels in and out of one call: more gain nothing, and each lane keeps as much memory locked

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    taken: bool = False
    alone: bool = False
    result: Result | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None


class Gatherer(Generic[Item, Result]):
    """Calls `run` with at most `most` items at once, from at most `lanes` threads at a time; `size` are the bytes of one.

    Where `run` raises, the items go through it one by one, so that an error strikes only its own. A batch that takes longer than
    `patience` seconds is taken apart: its lane is free for others and each thread runs its own item, so that late are only the
    item that hangs and the thread that had taken the batch.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        most: int,
        lanes: int,
        size: Callable[[Item], int],
        patience: float = inf,
    ) -> None:
        self._run_all, self._most, self._size, self._patience = run, most, size, patience
        self._free = lanes
        self._numbers = count()
        self._running: dict[int, tuple[float, list[_Waiting[Item, Result]]]] = {}
        self._queue: list[_Waiting[Item, Result]] = []
        self._changed = threading.Condition()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """What `run` makes of each of `items`. Raises what it raises for one of them."""
        mine = [_Waiting[Item, Result](item) for item in items]
        with self._changed:
            self._queue += mine
            while not all(waiting.done for waiting in mine):
                self._take_apart()
                if deserted := [waiting for waiting in mine if waiting.alone and not waiting.done]:
                    self._unlocked(deserted[:1])
                elif self._free and not all(waiting.taken for waiting in mine):
                    self._serve()
                else:
                    self._changed.wait(None if self._patience == inf else self._patience / 4)
        for waiting in mine:
            if waiting.error is not None:
                raise waiting.error
        return [waiting.result for waiting in mine if waiting.result is not None]

    def _serve(self) -> None:
        """Take the oldest that wait, run them without the lock, and tell everybody."""
        batch, number = self._take(), next(self._numbers)
        self._free -= 1
        self._running[number] = time.monotonic(), batch
        self._unlocked(batch)
        if self._running.pop(number, None) is not None:
            self._free += 1
        self._changed.notify_all()

    def _unlocked(self, batch: list[_Waiting[Item, Result]]) -> None:
        self._changed.release()
        try:
            self._run(batch)
        finally:
            self._changed.acquire()

    def _take_apart(self) -> None:
        now = time.monotonic()
        for number in [number for number, (since, _) in self._running.items() if now - since > self._patience]:
            for waiting in self._running.pop(number)[1]:
                waiting.alone = True
            self._free += 1
            self._changed.notify_all()

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        size = 0
        while self._queue and len(batch) < self._most:
            size += self._size(self._queue[0].item)
            if batch and size > BATCH_BYTES:
                break
            batch.append(self._queue.pop(0))
            batch[-1].taken = True
        return batch

    def _run(self, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            for waiting, result in zip(batch, self._run_all([w.item for w in batch]), strict=True):
                waiting.result = result
        except BaseException as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for waiting in batch:
                self._run([waiting])


class Gathered:
    """An engine that hands at most `batch_size` images at once to `engine.warp_all`, from at most `lanes` threads at a time.

    With two lanes one batch travels while the other is computed. The bytes are those of `engine.warp`, whatever was gathered.
    """

    def __init__(self, engine: Engine, batch_size: int, lanes: int = 2, patience: float = inf) -> None:
        self.engine, self.batch_size, self.name = engine, batch_size, engine.name
        self._gather = Gatherer[Work, np.ndarray](engine.warp_all, batch_size, lanes, lambda work: work.bytes, patience)

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        if rows is not None:  # a strip of a large image is a batch by itself
            return self.engine.warp(work, rows)
        return self.warp_all([work])[0]

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`."""
        return self._gather(works)
