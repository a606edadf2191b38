"""Which files are warped, and where each result goes: decided whole, before anything is touched."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from stn_cli.errors import OptionError
from stn_cli.folders.formats import FORMATS, SUFFIXES, Target, format_of
from stn_cli.folders.remote import Place, Remote, names_in, on_disk
from stn_cli.folders.walk import Found, walk

Existing = Literal["fail", "skip", "overwrite"]

MANIFEST = "manifest.jsonl"

_WRITTEN = ".png, .jpg, .webp or .tif"
# What people end files with, "photo.bmp" and "a.jp2"; folders are called "run.2" and "v1.5".
_FILE_SUFFIX = re.compile(r"[^.]\.[a-zA-Z]{2}[a-zA-Z0-9]{0,3}$")

WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\\\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³]) *(\.|$)', re.IGNORECASE
)


@dataclass(frozen=True)
class Job:
    """One file to warp. `name` is the relative name of the source and `output` that of the result, both with `/`."""

    source: Place
    name: str
    target: Place
    output: str


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    `jobs`
        sorted by `name`; those whose result exists already are in `skipped` instead (with `existing="skip"`).
    `folder`
        the output folder; the parent of the one output file where `single`.
    `format`
        what to write: "keep", or a name of `formats.FORMATS`.
    `ignored`
        how many things in the input folders were passed over, by kind ("not an image", "hidden", "linked folder", …).
    """

    jobs: tuple[Job, ...]
    skipped: tuple[Job, ...]
    folder: Place
    single: bool
    format: str
    existing: Existing
    ignored: dict[str, int]

    @property
    def manifest(self) -> Place | None:
        """Where the manifest of this run belongs; None for a single output file, beside which it would be litter."""
        return None if self.single else self.folder / MANIFEST


def make_plan(
    inputs: Sequence[Place],
    out: Place,
    *,
    format: Target = "keep",  # noqa: A002  # the option's own name
    existing: Existing = "fail",
    recursive: bool = True,
    case_sensitive: bool | None = None,
    shard: tuple[int, int] = (1, 1),
) -> Plan:
    """Find the files and name the results; touches nothing.

    In a folder, files with a known image suffix are taken; a file named on its own is always tried. Sub-folders are kept in
    the output. `out` is a folder, or a file where there is one input file and `out` has an image suffix. `case_sensitive` says
    whether names that differ in case only can stand side by side in `out`; None looks at the file system. `shard` = (i, n)
    keeps every n-th file of the whole, sorted plan from the i-th on, i from 1: the n shards are disjoint and together
    everything. Names and collisions are those of the whole plan; of results that are there already, a shard sees its own.

    Raises `OptionError` for missing or empty inputs, results that collide with each other, with an input, or (existing="fail")
    with a file that is there, and for results that a symbolic link would lead out of `out`.
    """
    single = _single(inputs, out)
    if single and format == "keep":
        format = format_of(out.name) or "keep"  # type: ignore[assignment]  # noqa: A001
        _writable(out, format)
    elif single and format_of(out.name) != format:
        raise OptionError("--out", out, f"the suffix says another format than --format {format}")
    if out.exists() and not out.is_dir() and not single:
        raise OptionError(
            "--out", out, "is a file; give a folder, or one input file and an output file with an image suffix"
        )
    if not single and len(inputs) == 1 and inputs[0].is_file() and not out.is_dir() and _FILE_SUFFIX.search(out.name):
        raise OptionError(
            "--out", out, f"looks like a file; stn writes {_WRITTEN}; for a folder of this name, make it first"
        )
    folder = out.parent if single else out
    found = walk(inputs, recursive, folder if not single else None)
    jobs = tuple(
        sorted(
            (_job(f, folder, out.name if single else output_name(f.name, format)) for f in found.files),
            key=lambda job: (job.name, str(job.source)),
        )
    )
    if not jobs:
        where = ", ".join(str(i) for i in inputs) or "nothing"
        raise OptionError(
            "INPUT", where, f"holds no image{_counted(found.ignored)}; known are {', '.join(sorted(SUFFIXES))}"
        )
    _check_names(jobs, folder)
    _check_collisions(jobs, folder, case_sensitive)
    present = _present(jobs, folder, single)
    _check_inputs_untouched(jobs, present)
    _check_inside(jobs, folder)
    number, shards = shard
    if shards > 1:
        _check_apart(inputs, folder, shard)
        jobs = jobs[number - 1 :: shards]
        ours = set(jobs)
        present = [job for job in present if job in ours]
    _check_existing(present, existing)
    skipped = frozenset(present) if existing == "skip" else frozenset()
    return Plan(
        tuple(job for job in jobs if job not in skipped),
        tuple(job for job in jobs if job in skipped),
        folder,
        single,
        format,
        existing,
        found.ignored,
    )


def output_name(name: str, format: str) -> str:  # noqa: A002
    """The relative name of a result: the source's, with the suffix of `format` unless it has one of that format already."""
    if format == "keep" or format_of(name) == format:
        return name
    path = PurePosixPath(name)
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return str(path.with_name(stem + FORMATS[format].suffixes[0]))


def _single(inputs: Sequence[Place], out: Place) -> bool:
    return len(inputs) == 1 and not inputs[0].is_dir() and not out.is_dir() and format_of(out.name) is not None


def _writable(out: Place, format: str) -> None:  # noqa: A002
    if format not in FORMATS:
        raise OptionError("--out", out, f"stn does not write {format.upper()}; use {_WRITTEN}")


def _job(found: Found, folder: Place, output: str) -> Job:
    return Job(found.path, found.name, folder / output, output)


def _check_names(jobs: Iterable[Job], folder: Place) -> None:
    """From a URL may come names that Windows takes for devices, streams or folders, or would change."""
    if not WINDOWS or isinstance(folder, Remote):
        return
    for job in jobs:
        for part in PurePosixPath(job.output).parts:
            if _NOT_ON_WINDOWS.search(part):
                raise OptionError(
                    "--out", job.target, f"{part!r} is no name for a file on Windows; rename {job.source}"
                )


def _check_collisions(jobs: Iterable[Job], folder: Place, case_sensitive: bool | None) -> None:
    sensitive = is_case_sensitive(folder) if case_sensitive is None else case_sensitive
    taken: dict[str, Job] = {}
    for job in jobs:
        key = job.output if sensitive else unicodedata.normalize("NFC", job.output).casefold()
        other = taken.setdefault(key, job)
        if other is not job:
            why = "two inputs" if other.output == job.output else "names that differ in case only"
            raise OptionError(
                "--out",
                job.target,
                f"{why} would be written there: {other.source} and {job.source}; warp them in two runs",
            )
    if sensitive and MANIFEST in taken:
        raise OptionError("--out", folder / MANIFEST, "is the name of the manifest")


def _check_inputs_untouched(jobs: Iterable[Job], present: Sequence[Job]) -> None:
    if not present:
        return
    sources = {}
    for job in jobs:
        identity = _identity(job.source)
        if identity is not None:
            sources[identity] = job.source
    for job in present:
        identity = _identity(job.target)
        if identity is not None and identity in sources:
            raise OptionError("--out", job.target, f"is the input {sources[identity]}; an input is never overwritten")


def _present(jobs: Sequence[Job], folder: Place, single: bool) -> list[Job]:
    """The jobs whose result is there already; behind a URL one listing tells, not a question for each."""
    if not isinstance(folder, Remote):
        return [job for job in jobs if os.path.lexists(on_disk(job.target))]
    if single:
        return [job for job in jobs if job.target.exists()]
    there = names_in(folder, "--out")
    return [job for job in jobs if job.output in there]


def _identity(path: Place) -> "tuple[int, int] | Remote | None":
    """Two paths are one file where this is equal: links, case and `..` do not matter."""
    if isinstance(path, Remote):
        return path
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _check_inside(jobs: Iterable[Job], folder: Place) -> None:
    if isinstance(folder, Remote):
        return
    root = folder.resolve()
    for parent in sorted({job.target.parent for job in jobs if isinstance(job.target, Path)}):
        if not parent.resolve().is_relative_to(root):
            raise OptionError("--out", parent, f"a symbolic link leads out of {folder}")


def _check_apart(inputs: Sequence[Place], folder: Place, shard: tuple[int, int]) -> None:
    """Shards agree on the plan only where none of them finds another's results among its inputs."""
    if isinstance(folder, Remote):
        raise OptionError(
            "--shard",
            f"{shard[0]}/{shard[1]}",
            f"its parts share a manifest, and {folder} has no lock; use a local --out",
        )
    out = folder.resolve()
    for given in inputs:
        if isinstance(given, Path) and given.is_dir() and given.resolve().is_relative_to(out):
            raise OptionError(
                "--shard", f"{shard[0]}/{shard[1]}", f"needs an --out that does not hold the input {given}"
            )


def _check_existing(present: list[Job], existing: Existing) -> None:
    if present and existing == "fail":
        more = f" (and {len(present) - 1} more)" if len(present) > 1 else ""
        raise OptionError(
            "--existing",
            "fail",
            f"{present[0].target} exists already{more}; --existing skip goes on with the rest, overwrite replaces it",
        )
    if existing == "overwrite":
        for job in present:
            if isinstance(job.target, Path) and job.target.is_dir() and not job.target.is_symlink():
                raise OptionError("--out", job.target, "is a folder where a file is to be written")


def is_case_sensitive(folder: Place) -> bool:
    """Can "a" and "A" stand side by side in `folder` (or where it will be made)? Looks, and writes nothing."""
    if isinstance(folder, Remote):
        return True
    path = folder.absolute()
    for place in (path, *path.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other.name != place.name and place.exists():
            try:
                return not other.samefile(place)
            except OSError:
                return True
    return os.name == "posix"


def _counted(ignored: dict[str, int]) -> str:
    return f" ({', '.join(f'{n} {kind}' for kind, n in sorted(ignored.items()))})" if ignored else ""
