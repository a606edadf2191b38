"""Running a plan: `run` hands its jobs to a crew, collects what came of them, and ends with the manifest."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stn_cli.errors import FileError, StnError
from stn_cli.folders.atomic import clean
from stn_cli.folders.codecs import Reading
from stn_cli.folders.crew import TIMEOUT, Crew, Order, Outcome, Warp
from stn_cli.folders.manifest import Journal
from stn_cli.folders.plan import Job, Plan
from stn_cli.folders.remote import Place, Remote
from stn_cli.folders.remote_manifest import RemoteJournal
from stn_cli.folders.room import ROOM, keep_freed_memory
from stn_cli.folders.signals import terminable, undisturbed

if TYPE_CHECKING:
    from stn_cli.folders.processes import Make, WorkerProcess

Progress = Callable[[int, int, Job, FileError | None], None]

# Pictures for each worker from which on processes are worth their start, a fifth of a second each.
MANY = 200


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
    elsewhere: "Make | None" = None,
    say: Callable[[str], None] = lambda line: None,
    journal: Journal | None = None,
) -> Results:
    """Warp every job of `plan` and write the manifest.

    `warp(picture, job)` returns the warped picture and what the manifest is to say of it (JSON-able: family, θ, sizes,
    sampling); it is called by `workers` threads at once (default: as many as there are CPUs). `quality` and `background` are
    those of `codecs.encode`. `on_progress(finished, total, job, error)` is called by the calling thread, in order of completion.
    `elsewhere` makes the same `warp` and `reading` in another process: from `MANY` pictures a worker on, all workers but one are
    processes then. `say` is told what these have to say, maybe more than once. With `journal` the rows go
    there, not to the manifest.

    A `StnError` of one picture is collected, and the others go on; so is one that takes longer than `timeout` seconds, from the
    decoder to the encoder, waiting for memory not counted. Anything else that a worker raises ends the run and is raised
    here. Ctrl-C and SIGTERM raise `Interrupted` within two seconds. Whatever happens, no file is half written, and the manifest
    has a row for every file that is there.
    """
    started = time.monotonic()
    workers = workers or cpus()
    if journal is None and plan.manifest is not None:
        journal = open_journal(plan.manifest)
    _tidy(plan)
    keep_freed_memory()
    order = Order(plan.folder, plan.format, plan.existing, quality, background, timeout)
    process, room = None, ROOM
    if elsewhere is not None and isinstance(plan.manifest, Path) and _worth_processes(plan, workers):
        from stn_cli.folders.processes import WorkerProcess

        room = ROOM // workers
        process = partial(WorkerProcess, order, elsewhere, plan.manifest, room)
    crew = Crew(order, plan.jobs, warp, reading, journal, room=room, process=process, say=say)
    interrupted = False
    with terminable():
        try:
            for finished, (job, outcome) in enumerate(crew.work(workers), 1):
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
                unwritten = _close(journal, crew.processes)
                if crew.processes:
                    _tidy(plan)  # what those that were ended had in hand
    results = _results(plan, crew.outcomes)
    results.failed += unwritten
    results.seconds = time.monotonic() - started
    if interrupted:
        raise Interrupted(results)
    return results


def _worth_processes(plan: Plan, workers: int) -> bool:
    many = workers > 1 and len(plan.jobs) >= MANY * workers and bool(sys.executable)  # none where Python is embedded
    return many and all(isinstance(job.source, Path) for job in plan.jobs)


def cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_journal(manifest: Place) -> Journal:
    """The journal of a run whose manifest is to stand there."""
    return RemoteJournal(manifest) if isinstance(manifest, Remote) else Journal(manifest)


def _close(journal: Journal | None, processes: "Iterable[WorkerProcess]") -> list[FileError]:
    """Finish the manifest; on a full disk its journals stay, and the next run takes them over."""
    try:
        if journal is not None:
            journal.close([process.journal for process in processes if process.journal is not None])
    except FileError as error:
        return [error]
    return []


def _tidy(plan: Plan) -> None:
    places = {job.target.parent for job in plan.jobs} | {plan.folder}
    clean(place for place in places if isinstance(place, Path))


def _results(plan: Plan, outcomes: Mapping[Job, Outcome]) -> Results:
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
