"""Running a plan: one picture a worker thread, so that decoding, warping and encoding of different pictures overlap."""

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from stn_cli.errors import FileError, StnError
from stn_cli.folders.atomic import clean, replacing
from stn_cli.folders.codecs import CodecError, Reading, encode, read
from stn_cli.folders.codecs import reason as in_words
from stn_cli.folders.manifest import Journal
from stn_cli.folders.picture import Picture
from stn_cli.folders.plan import Job, Plan
from stn_cli.folders.remote import Place, Remote, putting
from stn_cli.folders.remote_manifest import RemoteJournal
from stn_cli.folders.room import Room, Share, keep_freed_memory
from stn_cli.folders.signals import terminable, undisturbed

Warp = Callable[[Picture, Job], tuple[Picture, Mapping[str, Any]]]
Progress = Callable[[int, int, Job, FileError | None], None]

# A picture of 400 million pixels takes a minute or two; what takes longer than this hangs.
TIMEOUT = 300.0
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
    """This worker is to end, and its picture is not to appear."""


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


@dataclass(eq=False, slots=True)
class _Task:
    """One picture in the hands of one worker. It is given up, or it is published, never both: see `_Crew._publish`."""

    job: Job
    share: Share
    since: float
    given_up: bool = False
    publishing: bool = False
    temporary: Path | None = None


def run(
    plan: Plan,
    warp: Warp,
    *,
    reading: Callable[[Job], Reading] = lambda job: Reading(),
    quality: int | None = None,
    background: tuple[int, int, int] | None = None,
    workers: int | None = None,
    timeout: float = TIMEOUT,
    on_progress: Progress | None = None,
) -> Results:
    """Warp every job of `plan` and write the manifest.

    `warp(picture, job)` returns the warped picture and what the manifest is to say of it (JSON-able: family, θ, sizes,
    sampling); it is called by `workers` threads at once (default: as many as there are CPUs). `quality` and `background` are
    those of `codecs.encode`. `on_progress(finished, total, job, error)` is called by the calling thread, in order of completion.

    A `StnError` of one picture is collected, and the others go on; so is one that takes longer than `timeout` seconds, from the
    decoder to the encoder, waiting for memory not counted. Anything else that a worker raises ends the run and is raised
    here. Ctrl-C and SIGTERM raise `Interrupted` within two seconds. Whatever happens, no file is half written, and the manifest
    has a row for every file that is there.
    """
    started = time.monotonic()
    journal = open_journal(plan.manifest) if plan.manifest else None
    _tidy(plan)
    keep_freed_memory()
    crew = _Crew(plan, warp, reading, quality, background, journal, timeout)
    interrupted = False
    with terminable():
        try:
            for finished, (job, outcome) in enumerate(crew.work(workers or cpus()), 1):
                if outcome.fatal is not None:
                    raise outcome.fatal
                if on_progress is not None:
                    on_progress(finished, len(plan.jobs), job, outcome.failed)
                if outcome.full:
                    break
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with undisturbed():
                crew.stop()
                unwritten = _close(journal)
    results = _results(plan, crew.outcomes)
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


def open_journal(manifest: Place) -> Journal:
    """The journal of a run whose manifest is to stand there."""
    return RemoteJournal(manifest) if isinstance(manifest, Remote) else Journal(manifest)


def _close(journal: Journal | None) -> list[FileError]:
    """Finish the manifest; on a full disk its journal stays, and the next run takes it over."""
    try:
        if journal is not None:
            journal.close()
    except FileError as error:
        return [error]
    return []


def _tidy(plan: Plan) -> None:
    places = {job.target.parent for job in plan.jobs} | {plan.folder}
    clean(place for place in places if isinstance(place, Path))


def _results(plan: Plan, outcomes: Mapping[Job, _Outcome]) -> Results:
    results = Results(skipped=list(plan.skipped))
    for job in plan.jobs:
        outcome = outcomes.get(job)
        if outcome is None or outcome.fatal is not None:
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
    """The worker threads. They take jobs in the plan's order; `outcomes` is what came of them so far.

    An outcome is noted before its file can be missed: once `stop` has returned, `outcomes` and the files agree.
    """

    def __init__(
        self,
        plan: Plan,
        warp: Warp,
        reading: Callable[[Job], Reading],
        quality: int | None,
        background: tuple[int, int, int] | None,
        journal: Journal | None,
        timeout: float,
    ) -> None:
        self.plan, self.warp, self.reading, self.journal = plan, warp, reading, journal
        self.quality, self.background, self.timeout = quality, background, timeout
        self.outcomes: dict[Job, _Outcome] = {}
        self._jobs = iter(plan.jobs)
        self._next = threading.Lock()
        self._stopping = threading.Event()
        self._room = Room(self._stopping)
        self._delivered: deque[tuple[Job, _Outcome]] = deque()
        self._wake = threading.Event()
        self._hands: dict[threading.Thread, _Task | None] = {}  # what each worker has in hand; given up: not here
        self._given_up: list[_Task] = []
        self._dropped = False
        self._settled = threading.Condition()  # guards the three above and every task
        self._folders: set[str] = set()

    def work(self, workers: int) -> Iterator[tuple[Job, _Outcome]]:
        """Start the workers; what comes of each job, in order of completion."""
        for _ in range(min(workers, len(self.plan.jobs))):
            self._hire()
        delivered = 0
        while delivered < len(self.plan.jobs):
            # Looked at now and then: waking this thread for each picture makes the workers wait for the interpreter.
            self._wake.wait(_LOOK)
            self._wake.clear()
            self._give_up_the_late()
            while self._delivered:
                delivered += 1
                yield self._delivered.popleft()

    def stop(self) -> None:
        """Let the workers finish what they have in hand, and drop what takes too long. No file appears after this."""
        self._stopping.set()
        deadline = time.monotonic() + _PATIENCE
        for thread in list(self._hands):
            thread.join(max(deadline - time.monotonic(), 0))
        with self._settled:
            self._dropped = True
            tasks = [task for task in self._hands.values() if task is not None]
            self._settled.wait_for(lambda: not any(task.publishing for task in tasks), timeout=0.3)
        for task in self._given_up + tasks:
            if task.temporary is not None and not task.publishing:
                with suppress(OSError):
                    task.temporary.unlink()

    def _hire(self) -> None:
        # daemons: a thread that hangs in a foreign decoder must not keep the process from ending
        thread = threading.Thread(target=self._work, name=f"stn-{len(self._hands)}", daemon=True)
        with self._settled:
            self._hands[thread] = None
        thread.start()

    def _give_up_the_late(self) -> None:
        """A thread that hangs in C cannot be ended: it is left behind with its picture, and another takes its place."""
        now = time.monotonic()
        with self._settled:
            late = {
                thread: task
                for thread, task in self._hands.items()
                if task is not None and not task.publishing and now - task.since > self.timeout
            }
            for thread, task in late.items():
                task.given_up = True
                self._given_up.append(task)
                del self._hands[thread]
        for task in late.values():
            task.share.leave()
            reason = f"took longer than {self.timeout:g} s (--timeout)"
            self._note(task.job, _Outcome(task.job, failed=FileError(task.job.source, reason)))
            self._hire()

    def _note(self, job: Job, outcome: _Outcome) -> None:
        self.outcomes[job] = _WRITTEN if outcome.written and not outcome.notes else outcome
        self._delivered.append((job, outcome))
        if outcome.fatal is not None or outcome.full:
            self._stopping.set()
            self._wake.set()

    def _work(self) -> None:
        me = threading.current_thread()
        while not self._stopping.is_set():
            with self._next:
                job = next(self._jobs, None)
            if job is None:
                self._wake.set()
                return
            with self._room.share() as share:
                task = _Task(job, share, time.monotonic())
                with self._settled:
                    self._hands[me] = task
                try:
                    outcome = self._outcome(task)
                except _Stopped:
                    return
                except BaseException as error:
                    outcome = _Outcome(job, fatal=error)
                with self._settled:
                    if task.given_up:
                        return
                    self._note(job, outcome)
                    self._hands[me], task.publishing = None, False
                    self._settled.notify_all()

    def _outcome(self, task: _Task) -> _Outcome:
        job = task.job

        def admit(size: int) -> None:
            spent, task.since = time.monotonic() - task.since, float("inf")
            task.share.admit(size)
            task.since = time.monotonic() - spent

        try:
            reading = self.reading(job)
            reading.admit = admit
            return self._one(task, reading)
        except FileError as error:
            return _Outcome(job, failed=error)
        except StnError as error:
            return _Outcome(job, failed=FileError(job.source, str(error)))
        except MemoryError as error:
            return _Outcome(job, failed=FileError(job.source, in_words(error)))

    def _publish(self, task: _Task) -> None:
        """From here on the picture will appear, unless it was given up or the run has ended."""
        with self._settled:
            if task.given_up or self._dropped:
                raise _Stopped
            task.publishing = True

    def _one(self, task: _Task, reading: Reading) -> _Outcome:
        job = task.job
        picture = read(job.source, reading)
        if task.given_up:
            raise _Stopped
        warped, said = self.warp(picture, job)
        target = picture.format if self.plan.format == "keep" else self.plan.format
        quality = {"quality": self.quality} if self.quality is not None else {}
        row = {"source": job.name, "output": job.output, **said, "format": target, **quality}
        try:
            self._make_folder(job)
            with _appearing(job.target, self.plan.existing == "overwrite") as (file, task.temporary):
                encode(warped, file, target, quality=self.quality, background=self.background)
                file.flush()
                self._publish(task)
                if self.journal is not None:
                    self.journal.add(row, task.temporary)
        except CodecError as error:
            raise FileError(job.source, str(error)) from error
        except FileError:
            if self.journal is not None:
                self.journal.forget(job.output)
            raise
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
        if isinstance(job.target, Remote) or isinstance(self.plan.folder, Remote):
            return
        inside = job.output.rpartition("/")[0]
        if inside not in self._folders:
            parent = job.target.parent
            parent.mkdir(parents=True, exist_ok=True)
            if not parent.resolve().is_relative_to(self.plan.folder.resolve()):
                raise FileError(job.target, f"a symbolic link leads out of {self.plan.folder}")
            self._folders.add(inside)


def _appearing(target: Place, overwrite: bool) -> AbstractContextManager[tuple[BinaryIO, Path | None]]:
    if isinstance(target, Remote):
        return putting(target, overwrite=overwrite)
    return replacing(target, overwrite=overwrite)
