"""Bounded memory: how many bytes of pixels may be in work at once."""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Decoded pixels of all pictures in work; the results take about as much again. One picture is always let in, however large.
ROOM = 1 << 30


class Room:
    """Workers wait here until their picture fits beside those of the others; nobody waits once `stopping` is set."""

    def __init__(self, stopping: threading.Event, capacity: int = ROOM) -> None:
        self._stopping, self._capacity = stopping, capacity
        self._taken = 0
        self._freed = threading.Condition()

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yields `admit(bytes)`, which waits for room; leaving the block gives it back."""
        mine = 0

        def admit(size: int) -> None:
            nonlocal mine
            with self._freed:
                while self._taken > mine and self._taken + size > self._capacity and not self._stopping.is_set():
                    self._freed.wait(0.2)
                self._taken += size
                mine += size

        try:
            yield admit
        finally:
            with self._freed:
                self._taken -= mine
                self._freed.notify_all()


def keep_freed_memory() -> None:
    """Have the C library keep the pixels' memory for the next picture, at most 64 MB a thread (glibc; nothing elsewhere).

    Otherwise each picture's arrays are taken from the system anew and every page of them faults: a tenth of a run of small
    pictures. Source: mallopt(3).
    """
    trim_threshold, mmap_threshold = -1, -3
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):  # another C library has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 << 20)
        mallopt(trim_threshold, 64 << 20)
