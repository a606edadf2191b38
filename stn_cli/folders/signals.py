"""Ctrl-C and SIGTERM.

A command has nothing to do after them but to say so: it says it and is gone (`leaving`), wherever it is. An exception would not
do: Python raises it in the middle of foreign code, where imports and destructors swallow it and C++ ends the process by abort.
Only a run over a folder takes it as an exception (`terminable`), because it has workers to wait for and a manifest to write.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_words: list[Callable[[], str]] = []
unfinished: set[Path] = set()
"""Temporary files that are being written: `leaving` removes them."""


@contextmanager
def leaving() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process with exit code 130 and one line; for the program, not for tests or libraries."""
    with _handled(_heard(), _leave):
        yield


@contextmanager
def saying(words: Callable[[], str]) -> Iterator[None]:
    """What `leaving` is to say here: what is done, and how to go on."""
    _words.append(words)
    try:
        yield
    finally:
        _words.remove(words)


def _leave(number: int, frame: FrameType | None) -> None:
    for path in unfinished.copy():
        with suppress(OSError):
            path.unlink()
    words = "interrupted"
    with suppress(Exception):
        words = _words[-1]() if _words else words
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may be in the middle of a line
            stream.flush()
    # Written past Python's buffers, which may be locked; a bar's line is cleared, and its cursor comes back.
    clear = b"\r\x1b[K\x1b[?25h" if os.isatty(2) else b""
    with suppress(OSError):
        os.write(2, clear + f"stn: {words}\n".encode(errors="replace"))
    os._exit(130)


@contextmanager
def terminable() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `KeyboardInterrupt`, where we may say so (in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(_heard(), signal.default_int_handler):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not cut the clearing-up short; it takes two seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(_NUMBERS, signal.SIG_IGN):
        yield


def _heard() -> list[signal.Signals]:
    """What was ignored when we were started (nohup, a job in the background) stays ignored."""
    return [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
