"""Worker processes. Threads take turns at Python's interpreter: with small pictures, or many processors, they mostly wait for it.

A process warps batch after batch with one thread, by the same `Crew`, into a journal of its own that the run merges at its end.
What passes between them are pickles over its standard input and output: the order; where the journal stands; then batches of
jobs, each answered by a `Report`; at the end None. If the run dies the input ends, and the process merges its journal itself.
"""

import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stn_cli.folders.codecs import Reading
from stn_cli.folders.crew import WRITTEN, Crew, Order, Outcome, Warp
from stn_cli.folders.manifest import Journal, finished
from stn_cli.folders.plan import Job
from stn_cli.folders.room import keep_freed_memory

# Makes `warp` and `reading` of `pipeline.run` in a process, and the list that will hold the lines it has to say; picklable.
Make = Callable[[], tuple[Warp, Callable[[Job], Reading], list[str]]]

_BATCH_SECONDS = 0.1  # short enough for progress, an even end and a quick Ctrl-C
_LARGEST_BATCH = 64
_FAREWELL = 2.0  # seconds that an idle process may take to end
# Not in our group: a Ctrl-C is for us, who let it finish what it has in hand
_APART: dict[str, Any] = (
    {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if sys.platform == "win32" else {"process_group": 0}
)
_ENDED = (
    EOFError,
    OSError,
    pickle.UnpicklingError,
)  # what a pipe says whose other end is dead, in the middle of a word or not
_MAIN = "from stn_cli.folders.processes import main; main()"


@dataclass(frozen=True)
class Report:
    """What came of a batch, job by job (None: nothing yet); lines to be said; how the process died, if it did."""

    outcomes: Sequence[Outcome | None]
    said: Sequence[str] = ()
    death: str | None = None


class WorkerProcess:
    """One process, as the thread of the run that talks to it sees it; other threads may `kill` it. Raises `OSError` if it cannot
    be started.

    `batch` is how many jobs it is to be given at once; `journal` where its rows stand, once it is `ready`.
    """

    def __init__(self, order: Order, make: Make, manifest: Path, room: int) -> None:
        self.batch, self.ready = 1, False
        self.journal: Path | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            **_APART,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._reports = self._process.stdin, self._process.stdout
        self._first = order, make, manifest, room

    def wait_until_ready(self) -> str | None:
        """None, or how it died."""
        said = self._exchange(self._first)
        if isinstance(said, Path):
            self.journal, self.ready = said, True
            return None
        death = self._death()
        return f"could not begin ({said})" if isinstance(said, str) else death

    def work(self, jobs: tuple[Job, ...]) -> Report:
        """Warp them, in this order."""
        started = time.monotonic()
        report = self._exchange(jobs)
        if not isinstance(report, Report):
            death = self._death()  # before its journal is read
            return Report(self._outcomes(jobs), death=death)
        rate = len(jobs) / max(time.monotonic() - started, 1e-6)
        self.batch = max(1, min(int(rate * _BATCH_SECONDS), 2 * self.batch, _LARGEST_BATCH))
        return report

    def dismiss(self) -> None:
        """End it; it has nothing in hand, or is dead."""
        with suppress(OSError, ValueError):
            _send(self._orders, None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL)
        self._death()

    def kill(self) -> bool:
        """End it at once, and whether that was needed."""
        alive = self._process.poll() is None
        self._process.kill()
        self._process.wait()
        return alive

    def _exchange(self, message: Any) -> Any:
        """Its answer; None where it is dead."""
        try:
            _send(self._orders, message)
            return pickle.load(self._reports)
        except _ENDED:
            return None

    def _death(self) -> str:
        self.kill()
        for pipe in (self._orders, self._reports):
            with suppress(OSError):  # what it did not take
                pipe.close()
        code = self._process.returncode
        if code >= 0:
            return f"ended (exit code {code})"
        with suppress(ValueError):
            return f"ended ({signal.Signals(-code).name})"
        return f"ended (signal {-code})"

    def _outcomes(self, jobs: tuple[Job, ...]) -> list[Outcome | None]:
        """By its journal, now that it is dead."""
        rows = finished(self.journal) if self.journal is not None and self.journal.exists() else {}
        return [WRITTEN if job.output in rows else None for job in jobs]


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever foreign code prints is no report
    keep_freed_memory()
    gc.freeze()
    gc.set_threshold(10_000)
    serve(sys.stdin.buffer, reports)


def serve(orders: IO[bytes], reports: IO[bytes]) -> None:
    """Warp what is ordered until there are no more orders."""
    try:
        order, make, manifest, room = pickle.load(orders)
    except _ENDED:
        return
    try:
        warp, reading, said = make()
        journal = Journal(manifest, second=True)
    except Exception as error:  # the run says it, and goes on without us
        _send(reports, " ".join(str(error).split()))
        return
    try:
        _send(reports, journal.path)
        while (jobs := pickle.load(orders)) is not None:
            crew = Crew(order, jobs, warp, reading, journal, room=room)
            for _, outcome in crew.work(1):
                if outcome.fatal is not None or outcome.full:
                    break
            crew.stop()
            _send(reports, Report([_portable(crew.outcomes.get(job)) for job in jobs], tuple(said)))
            said.clear()
    except _ENDED:  # the run is dead
        journal.close()


def _portable(outcome: Outcome | None) -> Outcome | None:
    """Errors of foreign code may not travel."""
    if outcome is not None and outcome.fatal is not None:
        try:
            pickle.loads(pickle.dumps(outcome))
        except Exception:
            return Outcome(outcome.job, fatal=RuntimeError(f"{type(outcome.fatal).__name__}: {outcome.fatal}"))
    return outcome


def _send(pipe: IO[bytes], message: Any) -> None:
    pickle.dump(message, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()
