"""Running a plan: one picture a worker thread, so that decoding, warping and encoding of different pictures overlap."""

import errno
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from stn_cli.errors import FileError, StnError
from stn_cli.folders.atomic import clean, replacing
from stn_cli.folders.codecs import CodecError, Reading, encode, read
from stn_cli.folders.codecs import reason as in_words
from stn_cli.folders.manifest import Journal
from stn_cli.folders.picture import Picture
from stn_cli.folders.plan import Job, Plan
from stn_cli.folders.room import Room, keep_freed_memory

Warp = Callable[[Picture, Job], tuple[Picture, Mapping[str, Any]]]
Progress = Callable[[int, int, Job, FileError | None], None]

# After a Ctrl-C, how long the pictures at hand may take to be finished; then they are dropped.
_PATIENCE = 1.5
# Seconds between two looks at what the workers have delivered, while they work.
_LOOK = 0.05
_DISK = (errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass
class Results:
    """What came of a plan, each part in the plan's order.

    `done` were written (the manifest says how). `skipped` were there already. `failed` could not be read, warped or written.
    `stopped` is why the run ended before its plan (the disk is full), else None. `notes` are things that were left behind
    in a picture that was written, each with its name.
    """

    done: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[FileError] = field(default_factory=list)
    notes: list[tuple[Job, str]] = field(default_factory=list)
    stopped: FileError | None = None
    seconds: float = 0.0


class Interrupted(StnError):  # noqa: N818  # like KeyboardInterrupt
    """Ctrl-C or SIGTERM. `results` say what is done; nothing is half done."""

    exit_code = 130

    def __init__(self, results: Results) -> None:
        super().__init__(f"interrupted: {len(results.done)} done, {len(results.failed)} failed")
        self.results = results


class _Stopped(Exception):  # noqa: N818  # no error
    """This worker is to end."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: Job | None
    written: bool = False
    failed: FileError | None = None
    notes: tuple[str, ...] = ()
    fatal: BaseException | None = None
    full: bool = False


# What is kept of the many of which there is nothing to say; rows go into the journal, so that memory does not grow with a run.
_WRITTEN = _Outcome(None, written=True)


def run(
    plan: Plan,
    warp: Warp,
    *,
    reading: Callable[[Job], Reading] = lambda job: Reading(),
    quality: int | None = None,
    background: tuple[int, int, int] | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Results:
    """Warp every job of `plan` and write the manifest.

    `warp(picture, job)` returns the warped picture and what the manifest is to say of it (JSON-able: family, θ, sizes,
    sampling); it is called by `workers` threads at once (default: as many as there are CPUs). `quality` and `background` are
    those of `codecs.encode`. `on_progress(finished, total, job, error)` is called by the calling thread, in order of completion.

    A `StnError` of one picture is collected, and the others go on. Anything else that a worker raises ends the run and is raised
    here. Ctrl-C and SIGTERM raise `Interrupted` within two seconds. Whatever happens, no file is half written, and the manifest
    has a row for every file that is there.
    """
    started = time.monotonic()
    journal = Journal(plan.manifest) if plan.manifest else None
    _tidy(plan)
    keep_freed_memory()
    crew = _Crew(plan, warp, reading, quality, background, journal)
    outcomes: dict[Job, _Outcome | None] = dict.fromkeys(plan.jobs)

    def take(outcome: _Outcome) -> Job:
        job = outcome.job
        assert job is not None
        outcomes[job] = _WRITTEN if outcome.written and not outcome.notes else outcome
        return job

    interrupted = False
    with _terminable():
        try:
            for finished, outcome in enumerate(crew.outcomes(workers or cpus()), 1):
                if outcome.fatal is not None:
                    raise outcome.fatal
                job = take(outcome)
                if on_progress is not None:
                    on_progress(finished, len(plan.jobs), job, outcome.failed)
                if outcome.full:
                    break
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with _undisturbed():
                for outcome in crew.stop():
                    if outcome.fatal is None:
                        take(outcome)
                unwritten = _close(journal)
    results = _results(plan, outcomes)
    results.failed += unwritten
    results.seconds = time.monotonic() - started
    if interrupted:
        raise Interrupted(results)
    return results


def cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _close(journal: Journal | None) -> list[FileError]:
    """Finish the manifest; on a full disk its journal stays, and the next run takes it over."""
    try:
        if journal is not None:
            journal.close()
    except FileError as error:
        return [error]
    return []


def _tidy(plan: Plan) -> None:
    clean({job.target.parent for job in plan.jobs} | {plan.folder})


def _results(plan: Plan, outcomes: Mapping[Job, _Outcome | None]) -> Results:
    results = Results(skipped=list(plan.skipped))
    for job in plan.jobs:
        outcome = outcomes[job]
        if outcome is None:
            continue
        if outcome.failed is not None:
            results.failed.append(outcome.failed)
        elif outcome.written:
            results.done.append(job)
        else:
            results.skipped.append(job)
        results.notes += [(job, note) for note in outcome.notes]
        if outcome.full:
            results.stopped = outcome.failed
    results.skipped.sort(key=lambda job: job.name)
    return results


class _Crew:
    """The worker threads. They take jobs in the plan's order and leave their outcomes to be fetched."""

    def __init__(
        self,
        plan: Plan,
        warp: Warp,
        reading: Callable[[Job], Reading],
        quality: int | None,
        background: tuple[int, int, int] | None,
        journal: Journal | None,
    ) -> None:
        self.plan, self.warp, self.reading, self.journal = plan, warp, reading, journal
        self.quality, self.background = quality, background
        self._jobs = iter(plan.jobs)
        self._next = threading.Lock()
        self._stopping, self._dropped = threading.Event(), threading.Event()
        self._room = Room(self._stopping)
        self._outcomes: deque[_Outcome] = deque()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._folders: set[str] = set()

    def outcomes(self, workers: int) -> Iterator[_Outcome]:
        for number in range(min(workers, len(self.plan.jobs))):
            # daemons: a thread that hangs in a foreign decoder must not keep the process from ending
            thread = threading.Thread(target=self._work, name=f"stn-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        delivered = 0
        while delivered < len(self.plan.jobs):
            # Looked at now and then: waking this thread for each picture makes the workers wait for the interpreter.
            self._wake.wait(_LOOK)
            self._wake.clear()
            for outcome in self._delivered():
                delivered += 1
                yield outcome

    def _delivered(self) -> Iterator[_Outcome]:
        while self._outcomes:
            yield self._outcomes.popleft()

    def stop(self) -> list[_Outcome]:
        """Let the workers finish what they have in hand, drop what takes too long; returns what they still delivered."""
        self._stopping.set()
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        self._dropped.set()
        for thread in self._threads:  # one that was past the last look is about to rename: its file is to be counted
            thread.join(max(deadline + 0.3 - time.monotonic(), 0))
        return list(self._delivered())

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._next:
                job = next(self._jobs, None)
            if job is None:
                self._wake.set()
                return
            try:
                outcome = self._outcome(job)
            except _Stopped:
                return
            except BaseException as error:
                outcome = _Outcome(job, fatal=error)
            self._outcomes.append(outcome)
            if outcome.fatal is not None or outcome.full:
                self._wake.set()

    def _outcome(self, job: Job) -> _Outcome:
        try:
            with self._room.share() as admit:
                return self._one(job, replace(self.reading(job), admit=admit))
        except FileError as error:
            return _Outcome(job, failed=error)
        except StnError as error:
            return _Outcome(job, failed=FileError(job.source, str(error)))
        except MemoryError as error:
            return _Outcome(job, failed=FileError(job.source, in_words(error)))

    def _one(self, job: Job, reading: Reading) -> _Outcome:
        picture = read(job.source, reading)
        warped, said = self.warp(picture, job)
        target = picture.format if self.plan.format == "keep" else self.plan.format
        quality = {"quality": self.quality} if self.quality is not None else {}
        row = {"source": job.name, "output": job.output, **said, "format": target, **quality}
        try:
            self._make_folder(job)
            with replacing(job.target, overwrite=self.plan.existing == "overwrite") as (file, temporary):
                encode(warped, file, target, quality=self.quality, background=self.background)
                file.flush()
                if self._dropped.is_set():
                    raise _Stopped
                if self.journal is not None:
                    self.journal.add(row, temporary)
        except CodecError as error:
            raise FileError(job.source, str(error)) from error
        except FileExistsError as error:
            if self.journal is not None:
                self.journal.forget(job.output)
            if self.plan.existing == "skip":
                return _Outcome(job)
            raise FileError(job.target, "appeared while stn ran; it was left alone") from error
        except OSError as error:
            failed = FileError(job.target, f"cannot be written ({in_words(error)})")
            return _Outcome(job, failed=failed, full=error.errno in _DISK)
        return _Outcome(job, written=True, notes=picture.notes)

    def _make_folder(self, job: Job) -> None:
        parent = job.target.parent
        key = os.fspath(parent)
        if key not in self._folders:
            parent.mkdir(parents=True, exist_ok=True)
            if not parent.resolve().is_relative_to(self.plan.folder.resolve()):
                raise FileError(job.target, f"a symbolic link leads out of {self.plan.folder}")
            self._folders.add(key)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C, where we may say so (in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not cut the clearing-up short; it takes two seconds at most."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
