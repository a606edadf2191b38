"""Bounded memory: how many bytes of pixels may be in work at once."""

import ctypes
import sys
import threading
from contextlib import suppress

# Decoded pixels of all pictures in work; the results take about as much again. One picture is always let in, however large.
ROOM = 1 << 30


class Room:
    """Workers wait here until their picture fits beside those of the others; nobody waits once `stopping` is set."""

    def __init__(self, stopping: threading.Event, capacity: int = ROOM) -> None:
        self._stopping, self._capacity = stopping, capacity
        self._taken = 0
        self._freed = threading.Condition()

    def share(self) -> "Share":
        """The share of one picture, for a `with` block at whose end it is given back."""
        return Share(self)


class Share:
    """What one picture takes of a `Room`."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._mine = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def admit(self, size: int) -> None:
        """Wait until `size` more bytes fit."""
        room = self._room
        with room._freed:
            while room._taken > self._mine and room._taken + size > room._capacity and not room._stopping.is_set():
                room._freed.wait(0.2)
            room._taken += size
            self._mine += size

    def leave(self) -> None:
        """Give everything back; another thread may do so for one that hangs."""
        with self._room._freed:
            self._room._taken -= self._mine
            self._mine = 0
            self._room._freed.notify_all()


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
