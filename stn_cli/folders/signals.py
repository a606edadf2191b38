"""Ctrl-C and SIGTERM: one exception in the main thread, until somebody has taken it.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. In a destructor or a callback of C it is printed and
dropped; inside an import some library may catch it with everything else. So it is raised again, twice a second, until `caught`.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN = 0.5  # seconds
# Written by a signal handler, which may interrupt anything: no locks.
_pending: signal.Signals | None = None
_again = False


def pending() -> bool:
    """Whether an interrupt was asked for that nobody has caught."""
    return _pending is not None


def caught() -> None:
    """The interrupt has been taken: it is not raised again."""
    global _pending
    _pending = None


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and Ctrl-C raise `KeyboardInterrupt` here, where we may say so (in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is _interrupt:  # within another
        yield
        return
    caught()
    # What was ignored when we were started (nohup, a job in the background) stays ignored.
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    hook, sys.unraisablehook = sys.unraisablehook, _dropped(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _pending, _again
    again, _again = _again, False
    if again and _pending is None:  # taken just before it came again
        return
    if _pending is None:
        _pending = signal.Signals(number)
        _thread.start_new_thread(_insist, ())
    raise KeyboardInterrupt


def _insist() -> None:
    global _again
    time.sleep(_AGAIN)
    while (number := _pending) is not None:
        _again = True
        _thread.interrupt_main(number)
        time.sleep(_AGAIN)


def _dropped(hook: Any) -> Any:
    """Nothing is printed of an interrupt that was dropped: it comes again."""

    def quiet(found: Any) -> None:
        if not issubclass(found.exc_type, KeyboardInterrupt):
            hook(found)

    return quiet


@contextmanager
def undisturbed() -> Iterator[None]:
    """The interrupt counts as taken, and a second one does not cut the clearing-up short; it takes two seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    caught()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
