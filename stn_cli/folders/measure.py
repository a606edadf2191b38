"""How fast a folder is warped on this machine, and which stage takes the time: `stn bench`."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from stn_cli.errors import FileError, StnError
from stn_cli.folders.atomic import replacing
from stn_cli.folders.codecs import Reading, content, decode, encode, reason
from stn_cli.folders.pipeline import Warp, run
from stn_cli.folders.plan import Job, Plan
from stn_cli.folders.remote import on_disk

STAGES = ("read", "decode", "warp", "encode", "write")
_LONGEST = 5.0  # measured seconds after which no further picture is taken
_PASSES = 3  # of all pictures together, where one takes less than a second


@dataclass(frozen=True)
class Measured:
    """What was measured.

    `seconds` are those of one picture in each of `STAGES`, one thread, the mean over `done`; `together` is the rate of
    `workers` threads in images/s, journal and manifest included (the median of the passes). `failed` could not be warped.
    """

    done: list[Job]
    failed: list[FileError]
    seconds: dict[str, float]
    together: float
    workers: int

    @property
    def bound(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage])

    def share(self, stage: str) -> float:
        """The part of a picture's time that `stage` takes, 0…1."""
        return self.seconds[stage] / sum(self.seconds.values())


def sample(plan: Plan, count: int) -> Plan:
    """The plan with at most `count` of its jobs, taken evenly from all of them."""
    step = max(len(plan.jobs) / count, 1.0)
    jobs = plan.jobs
    return replace(plan, jobs=tuple(jobs[int(i * step)] for i in range(min(count, len(jobs)))))


def measure(
    plans: Callable[[int], Plan],
    warp: Warp,
    *,
    reading: Callable[[Job], Reading],
    quality: int | None,
    background: tuple[int, int, int] | None,
    workers: int,
) -> Measured:
    """Warp the pictures of `plans(0)` stage by stage, then those that went well all together.

    `plans(n)` is the same plan with a fresh folder for its results, all of which the caller removes; the rest is as
    for `pipeline.run`. Raises `StnError` where no picture can be warped.
    """
    plan = plans(0)
    done: list[Job] = []
    failed: list[FileError] = []
    taken = dict.fromkeys(STAGES, 0.0)
    for job in plan.jobs:
        try:  # the better of two: the first may import a codec or compile a kernel, which is not what is measured
            first, second = (_stages(job, plan, warp, reading(job), quality, background) for _ in range(2))
        except StnError as error:
            failed.append(FileError(job.source, getattr(error, "reason", str(error))))
            continue
        done.append(job)
        taken = {stage: taken[stage] + min(first[stage], second[stage]) for stage in STAGES}
        if sum(taken.values()) > _LONGEST:
            break
    if not done:
        raise StnError(f"no picture could be warped; the first: {failed[0]}")
    rates = []
    for number in range(1, _PASSES + 1):
        fresh = plans(number)
        wanted = {job.source for job in done}
        results = run(
            replace(fresh, jobs=tuple(job for job in fresh.jobs if job.source in wanted)),
            warp, reading=reading, quality=quality, background=background, workers=workers,
        )  # fmt: skip
        rates.append(len(results.done) / max(results.seconds, 1e-9))
        if results.seconds > 1:
            break
    return Measured(done, failed, {stage: taken[stage] / len(done) for stage in STAGES}, median(rates), workers)


def _stages(
    job: Job,
    plan: Plan,
    warp: Warp,
    reading: Reading,
    quality: int | None,
    background: tuple[int, int, int] | None,
) -> dict[str, float]:
    """Seconds of each stage for one picture."""
    clock = time.perf_counter
    marks = [clock()]
    try:
        data = content(job.source, reading)
        marks.append(clock())
        picture = decode(data, reading)
        marks.append(clock())
        warped, _ = warp(picture, job)
        marks.append(clock())
        coded = io.BytesIO()
        target = picture.format if plan.format == "keep" else plan.format
        encode(warped, coded, target, quality=quality, background=background)
        marks.append(clock())
    except StnError:
        raise
    except Exception as error:  # as in `codecs.read`: whatever a foreign decoder raises is this file's
        raise FileError(job.source, reason(error)) from error
    on_disk(job.target).parent.mkdir(parents=True, exist_ok=True)
    with replacing(on_disk(job.target), overwrite=True) as (file, _):
        file.write(coded.getbuffer())
    marks.append(clock())
    return {stage: after - before for stage, before, after in zip(STAGES, marks[:-1], marks[1:], strict=True)}


def results_in(folder: Path, number: int) -> Path:
    """The folder for the results of pass `number`."""
    return folder / f"pass-{number}"
