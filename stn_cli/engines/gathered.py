"""Batches for a device, from threads that each bring one image.

While the device is busy, images wait; when it is free, those that wait go through it together. Nothing waits for a batch to
fill, so one image alone is as quick as without, and no thread needs to know of the others.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stn_cli.engines import Engine, Work

BATCH_BYTES = 1 << 30  # pixels in and out of one call, so that a device's memory holds two; one image always goes


@dataclass(eq=False)
class _Waiting:
    work: Work
    taken: bool = False
    result: np.ndarray | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None


class Gathered:
    """An engine that hands at most `batch_size` images at once to `engine.warp_all`, from at most `lanes` threads at a time.

    With two lanes one batch travels while the other is computed. The bytes are those of `engine.warp`, whatever was gathered.
    """

    def __init__(self, engine: Engine, batch_size: int, lanes: int = 2) -> None:
        self.engine, self.batch_size, self.name = engine, batch_size, engine.name
        self._free = lanes
        self._queue: list[_Waiting] = []
        self._changed = threading.Condition()

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        if rows is not None:  # a strip of a large image is a batch by itself
            return self.engine.warp(work, rows)
        return self.warp_all([work])[0]

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`."""
        mine = [_Waiting(work) for work in works]
        with self._changed:
            self._queue += mine
            while not all(waiting.done for waiting in mine):
                if self._free and not all(waiting.taken for waiting in mine):
                    self._serve()
                else:
                    self._changed.wait()
        for waiting in mine:
            if waiting.error is not None:
                raise waiting.error
        return [waiting.result for waiting in mine if waiting.result is not None]

    def _serve(self) -> None:
        """Take the oldest that wait, warp them without the lock, and tell everybody."""
        batch = self._take()
        self._free -= 1
        self._changed.release()
        try:
            self._run(batch)
        finally:
            self._changed.acquire()
            self._free += 1
            self._changed.notify_all()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self.batch_size:
            size += self._queue[0].work.bytes
            if batch and size > BATCH_BYTES:
                break
            batch.append(self._queue.pop(0))
            batch[-1].taken = True
        return batch

    def _run(self, batch: list[_Waiting]) -> None:
        try:
            for waiting, result in zip(batch, self.engine.warp_all([w.work for w in batch]), strict=True):
                waiting.result = result
        except BaseException as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for waiting in batch:  # alone, so that an error strikes only the image it belongs to
                self._run([waiting])
