"""How far a run has come: a bar on a terminal, a line now and then elsewhere, on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 5.0

Advance = Callable[[int, int], None]
Say = Callable[[str], None]


@contextmanager
def progress(what: str, unit: str, quiet: bool = False) -> Iterator[tuple[Advance, Say]]:
    """Yields `advance(done, total)` and `say(line)`, which keeps the bar whole. `quiet` shows lines only."""
    if quiet:
        yield (lambda done, total: None), _line
    elif sys.stderr.isatty():
        with _bar(what, unit) as both:
            yield both
    else:
        yield _plain(what, unit), _line


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _plain(what: str, unit: str) -> Advance:
    started = last = time.monotonic()
    already = 0

    def advance(done: int, total: int) -> None:
        nonlocal last, started, already
        now = time.monotonic()
        if done <= 1:  # the first may have to compile a kernel, and says nothing of the others
            started, last, already = now, now, done
        elif now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            rate = (done - already) / (now - started)
            _line(f"{what}: {done} of {total}, {rate:.0f} {unit}/s, {(total - done) / max(rate, 1e-9):.0f} s left")

    return advance


@contextmanager
def _bar(what: str, unit: str) -> Iterator[tuple[Advance, Say]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")
        started = time.monotonic()

        def advance(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{rate:.0f} {unit}/s")

        yield advance, lambda text: console.print(text, markup=False, highlight=False)
