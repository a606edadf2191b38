"""Finding the images in folders."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stn_cli.errors import OptionError
from stn_cli.folders.formats import format_of
from stn_cli.folders.remote import Place, Remote, listing


@dataclass(frozen=True)
class Found:
    """A file, and its name relative to the input folder (or alone), with `/`."""

    path: Place
    name: str


@dataclass(frozen=True)
class Walked:
    """All files, unsorted, and what was passed over, counted by kind."""

    files: list[Found]
    ignored: dict[str, int]


def walk(inputs: Sequence[Place], recursive: bool, leave_out: Place | None) -> Walked:
    """The files that `inputs` name and, in folders, those with an image suffix.

    Hidden files and folders are passed over, and so are links to folders (they may lead round in circles) and the folder
    `leave_out` (the results of an earlier run), unless it is an input itself. Raises `OptionError` for an input that is not
    there or a folder that cannot be read.
    """
    files: list[Found] = []
    ignored: Counter[str] = Counter()
    seen: set[Place] = set()
    for given in inputs:
        if isinstance(given, Remote):
            apart = leave_out if isinstance(leave_out, Remote) else None
            inside = [Found(remote, name) for remote, name in listing(given, recursive, apart, ignored)]
        elif given.is_dir():
            apart = leave_out if isinstance(leave_out, Path) else None
            inside = _folder(given, recursive, apart, ignored)
        elif os.path.lexists(given):
            inside = [Found(given, given.name)]
        else:
            raise OptionError("INPUT", given, "no such file or folder")
        for found in inside:
            key = found.path if isinstance(found.path, Remote) else found.path.absolute()
            if key not in seen:
                seen.add(key)
                files.append(found)
    return Walked(files, dict(ignored))


def _folder(root: Path, recursive: bool, leave_out: Path | None, ignored: Counter[str]) -> list[Found]:
    files: list[Found] = []
    kept_out = _identity(leave_out) if leave_out else None
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                inside = list(entries)
        except OSError as error:
            raise OptionError("INPUT", folder, f"cannot be read ({error.strerror})") from error
        for entry in inside:
            kind = _passed_over(folder, entry)
            if kind:
                ignored[kind] += 1
            elif not entry.is_dir(follow_symlinks=False):
                files.append(Found(folder / entry.name, prefix + entry.name))
            elif recursive and (kept_out is None or _identity(folder / entry.name) != kept_out):
                waiting.append((folder / entry.name, prefix + entry.name + "/"))
            else:
                ignored["sub-folder" if not recursive else "output folder"] += 1
    return files


def _passed_over(folder: Path, entry: "os.DirEntry[str]") -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_dir(follow_symlinks=False):
        return None
    if entry.is_symlink() and (folder / entry.name).is_dir():
        return "linked folder"
    if format_of(entry.name) is None:
        return "not an image"
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
