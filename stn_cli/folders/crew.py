"""The workers of a run: one picture a thread, so that decoding, warping and encoding of different pictures overlap; and for
folders of many pictures processes, each handed its batches by a thread that waits for it.
"""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stn_cli.errors import FileError, StnError
from stn_cli.folders.atomic import replacing
from stn_cli.folders.codecs import IN_ONE_PIECE, CodecError, Reading, encode, read
from stn_cli.folders.codecs import reason as in_words
from stn_cli.folders.manifest import Journal
from stn_cli.folders.picture import Picture
from stn_cli.folders.plan import Existing, Job
from stn_cli.folders.remote import Place, Remote, putting
from stn_cli.folders.room import ROOM, Room, Share

if TYPE_CHECKING:
    from stn_cli.folders.processes import Report, WorkerProcess

Warp = Callable[[Picture, Job], tuple[Picture, Mapping[str, Any]]]

# A picture of 400 million pixels takes a minute or two; what takes longer than this hangs.
TIMEOUT = 300.0
# After a Ctrl-C, how long the pictures at hand may take to be finished; then they are dropped.
_PATIENCE = 1.5
# Seconds between two looks at what the workers have delivered, while they work.
_LOOK = 0.05
_DISK = (errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass(frozen=True)
class Order:
    """What a run does with every picture. `quality` and `background` are those of `codecs.encode`; a picture that takes longer
    than `timeout` seconds, from the decoder to the encoder, is given up."""

    folder: Place
    format: str
    existing: Existing
    quality: int | None = None
    background: tuple[int, int, int] | None = None
    timeout: float = TIMEOUT


class _Stopped(Exception):  # noqa: N818  # no error
    """This worker is to end, and its picture is not to appear."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job; `full` and `fatal` end the run."""

    job: Job | None
    written: bool = False
    failed: FileError | None = None
    notes: tuple[str, ...] = ()
    fatal: BaseException | None = None
    full: bool = False


# What is kept of the many of which there is nothing to say; rows go into the journal, so that memory does not grow with a run.
WRITTEN = Outcome(None, written=True)


@dataclass(eq=False, slots=True)
class _Task:
    """One picture in the hands of one worker. It is given up, or it is published, never both: see `_Crew._publish`."""

    job: Job
    share: Share
    since: float
    given_up: bool = False
    publishing: bool = False
    temporary: Path | None = None


class Crew:
    """The worker threads. They take jobs in the order given; `outcomes` is what came of them so far.

    An outcome is noted before its file can be missed: once `stop` has returned, `outcomes` and the files agree. `warp` and
    `reading` are those of `pipeline.run`; `room` bounds the bytes of pixels in work. Where `process` is given, all threads but
    one yield to processes that it starts once the first picture is there, and with it what has to be compiled; `say` is told
    what they say.
    """

    def __init__(
        self,
        order: Order,
        jobs: Sequence[Job],
        warp: Warp,
        reading: Callable[[Job], Reading],
        journal: Journal | None,
        *,
        room: int = ROOM,
        process: "Callable[[], WorkerProcess] | None" = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.order, self.warp, self.reading, self.journal = order, warp, reading, journal
        self.outcomes: dict[Job, Outcome] = {}
        self.processes: list[WorkerProcess] = []
        self._jobs, self._count = iter(jobs), len(jobs)
        self._next = threading.Lock()
        self._stopping = threading.Event()
        self._room = Room(self._stopping, room)
        self._delivered: deque[tuple[Job, Outcome]] = deque()
        self._wake = threading.Event()
        self._hands: dict[threading.Thread, _Task | None] = {}  # what each worker has in hand; given up: not here
        self._given_up: list[_Task] = []
        self._dropped = False
        self._broken: BaseException | None = None
        self._process, self._say = process, say
        self._surplus = 0  # threads whose place a process has taken
        self._settled = threading.Condition()  # guards what is in hand, given up, dropped and surplus, and every task
        self._folders: set[str] = set()

    def work(self, workers: int) -> Iterator[tuple[Job, Outcome]]:
        """Start the workers; what comes of each job, in order of completion. Raises what a thread that is no picture's raises."""
        for _ in range(min(workers, self._count)):
            self._hire(self._work)
        delivered = 0
        while delivered < self._count:
            # Looked at now and then: waking this thread for each picture makes the workers wait for the interpreter.
            self._wake.wait(_LOOK)
            self._wake.clear()
            if self._broken is not None:
                raise self._broken
            self._give_up_the_late()
            if self._delivered and not delivered and self._process is not None:
                for _ in range(workers - 1):
                    self._hire(self._delegate)
            while self._delivered:
                delivered += 1
                yield self._delivered.popleft()

    def stop(self) -> None:
        """Let the workers finish what they have in hand, and drop what takes too long. No file appears after this."""
        self._stopping.set()
        deadline = time.monotonic() + _PATIENCE
        with self._settled:
            for process in self.processes:
                if not process.ready:
                    process.kill()
        for thread in list(self._hands):
            thread.join(max(deadline - time.monotonic(), 0))
        killed = [process for process in self.processes if process.kill()]
        if killed:
            for thread in list(self._hands):  # those that waited for them hear of it at once
                thread.join(0.1)
        with self._settled:
            self._dropped = True
            tasks = [task for task in self._hands.values() if task is not None]
            self._settled.wait_for(lambda: not any(task.publishing for task in tasks), timeout=0.3)
        for task in self._given_up + tasks:
            if task.temporary is not None and not task.publishing:
                with suppress(OSError):
                    task.temporary.unlink()

    def _hire(self, work: Callable[[], None]) -> None:
        # daemons: a thread that hangs in a foreign decoder must not keep the process from ending
        thread = threading.Thread(target=self._guarded, args=(work,), name=f"stn-{len(self._hands)}", daemon=True)
        with self._settled:
            self._hands[thread] = None
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._broken = error
            self._stopping.set()
            self._wake.set()

    def _give_up_the_late(self) -> None:
        """A thread that hangs in C cannot be ended: it is left behind with its picture, and another takes its place."""
        now = time.monotonic()
        with self._settled:
            late = {
                thread: task
                for thread, task in self._hands.items()
                if task is not None and not task.publishing and now - task.since > self.order.timeout
            }
            for thread, task in late.items():
                task.given_up = True
                self._given_up.append(task)
                del self._hands[thread]
        for task in late.values():
            task.share.leave()
            reason = f"took longer than {self.order.timeout:g} s (--timeout)"
            self._note(task.job, Outcome(task.job, failed=FileError(task.job.source, reason)))
            self._hire(self._work)

    def _note(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job] = WRITTEN if outcome.written and not outcome.notes else outcome
        self._delivered.append((job, outcome))
        if outcome.fatal is not None or outcome.full:
            self._stopping.set()
            self._wake.set()

    def _work(self) -> None:
        me = threading.current_thread()
        while not (self._stopping.is_set() or self._replaced()):
            job = next(iter(self._take(1)), None)
            if job is None:
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
                    outcome = Outcome(job, fatal=error)
                with self._settled:
                    if task.given_up:
                        return
                    self._note(job, outcome)
                    self._hands[me], task.publishing = None, False
                    self._settled.notify_all()

    def _take(self, count: int) -> tuple[Job, ...]:
        """The next jobs, at most `count`; none at the end."""
        with self._next:
            jobs = tuple(islice(self._jobs, count))
        if not jobs:
            self._wake.set()
        return jobs

    def _replaced(self) -> bool:
        """Has a process taken the place of this thread?"""
        if not self._surplus:  # looked at without the lock: seen now or at the next picture
            return False
        with self._settled:
            replaced = self._surplus > 0
            self._surplus -= replaced
        return replaced

    def _delegate(self) -> None:
        """Hand batches to a process. Where it dies, those of its batch go to the next one by one, which finds the culprit."""
        process = self._started()
        if process is None:
            return
        with self._settled:
            self._surplus += 1
        suspects: deque[Job] = deque()
        try:
            while process is not None and not self._stopping.is_set():
                again = bool(suspects)
                jobs = (suspects.popleft(),) if again else self._take(process.batch)
                if not jobs:
                    break
                report = process.work(jobs)
                left = self._received(jobs, report)
                if report.death is None or self._stopping.is_set():
                    continue
                process = self._started()
                if process is None:
                    left.extend(suspects)
                elif not again:
                    suspects.extend(left)
                    left = []
                for job in left:
                    why = FileError(job.source, f"the process that warped it {report.death}")
                    self._note(job, Outcome(job, failed=why))
        finally:
            if process is not None:
                process.dismiss()
        if process is None:
            self._hire(self._work)

    def _received(self, jobs: Sequence[Job], report: "Report") -> list[Job]:
        """Note what came of `jobs`; those that a dead process leaves behind."""
        for line in report.said:
            self._say(line)
        for job, outcome in zip(jobs, report.outcomes, strict=True):
            if outcome is not None:
                self._note(job, outcome)
        dead = report.death is not None
        return [job for job, outcome in zip(jobs, report.outcomes, strict=True) if dead and outcome is None]

    def _started(self) -> "WorkerProcess | None":
        """A process that is ready to work; None, with a line that says why, where there can be none."""
        assert self._process is not None
        try:
            process = self._process()
        except OSError as error:
            self._say(f"another process could not be started ({in_words(error)}); threads go on")
            return None
        with self._settled:
            self.processes.append(process)
            if self._stopping.is_set():
                process.kill()
        death = process.wait_until_ready()
        if death is None:
            return process
        if not self._stopping.is_set():
            self._say(f"another process {death}; threads go on")
        return None

    def _outcome(self, task: _Task) -> Outcome:
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
            return Outcome(job, failed=error)
        except StnError as error:
            return Outcome(job, failed=FileError(job.source, str(error)))
        except MemoryError as error:
            return Outcome(job, failed=FileError(job.source, in_words(error)))

    def _publish(self, task: _Task) -> None:
        """From here on the picture will appear, unless it was given up or the run has ended."""
        with self._settled:
            if task.given_up or self._dropped:
                raise _Stopped
            task.publishing = True

    def _one(self, task: _Task, reading: Reading) -> Outcome:
        job = task.job
        picture = read(job.source, reading)
        if task.given_up:
            raise _Stopped
        warped, said = self.warp(picture, job)
        target = picture.format if self.order.format == "keep" else self.order.format
        quality = {"quality": self.order.quality} if self.order.quality is not None else {}
        row = {"source": job.name, "output": job.output, **said, "format": target, **quality}
        try:
            self._make_folder(job)
            with _appearing(job.target, self.order.existing == "overwrite", target) as (file, task.temporary):
                encode(warped, file, target, quality=self.order.quality, background=self.order.background)
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
            if self.order.existing == "skip":
                return Outcome(job)
            raise FileError(job.target, "appeared while stn ran; it was left alone") from error
        except OSError as error:
            failed = FileError(job.target, f"cannot be written ({in_words(error)})")
            return Outcome(job, failed=failed, full=error.errno in _DISK)
        return Outcome(job, written=True, notes=picture.notes)

    def _make_folder(self, job: Job) -> None:
        if isinstance(job.target, Remote) or isinstance(self.order.folder, Remote):
            return
        inside = job.output.rpartition("/")[0]
        if inside not in self._folders:
            parent = job.target.parent
            parent.mkdir(parents=True, exist_ok=True)
            if not parent.resolve().is_relative_to(self.order.folder.resolve()):
                raise FileError(job.target, f"a symbolic link leads out of {self.order.folder}")
            self._folders.add(inside)


def _appearing(
    target: Place,
    overwrite: bool,
    format: str,  # noqa: A002
) -> AbstractContextManager[tuple[BinaryIO, Path | None]]:
    if isinstance(target, Remote):
        return putting(target, overwrite=overwrite)
    return replacing(target, overwrite=overwrite, buffered=format not in IN_ONE_PIECE)
