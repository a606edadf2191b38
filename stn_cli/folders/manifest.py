"""The manifest: one JSON object a line for each result, enough to make it again to the same bytes.

    {"source": "sub/a.jpg", "output": "sub/a.png", "family": "affine", "theta": […], "in_size": [480, 640], …}

Sorted by source, no dates, floats that survive the round trip. It says what the output folder holds: runs into the same folder
merge their rows, one row an output. While a run goes on, its rows stand in a journal beside the results, each written before the
file it describes appears; so whatever ends the run, every file that it made is accounted for by the next.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from stn_cli.errors import FileError, OptionError
from stn_cli.folders.atomic import is_dead, left_behind, own_name, replacing
from stn_cli.folders.remote import Place

Row = dict[str, Any]

_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

# A lock is held for as long as it takes to write the manifest; one that is older belongs to a dead run.
_LOCK, _LOCK_SECONDS = ".stn-manifest.lock", 60.0


def read_manifest(path: Place) -> list[Row]:
    """The rows of a manifest. Raises `OptionError` for a file that is none, with the line."""
    try:
        text = path.read_text("utf-8", errors="surrogatepass")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("--out", path, f"is not a manifest that stn wrote ({error})") from error
    rows = []
    lines = text.split("\n")  # not splitlines: a file name may hold a line separator of Unicode's
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
        row = _row(line)
        if row is None:
            raise OptionError("--out", path, f"is not a manifest that stn wrote (line {number}); choose another folder")
        rows.append(row)
    return rows


def write_manifest(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows, sorted by source and output, whole or not at all. Raises `FileError`."""
    ordered = sorted(rows, key=lambda row: (row["source"], row["output"]))
    try:
        with replacing(path, overwrite=True, sync=True) as (file, _):
            for row in ordered:
                file.write(as_bytes(row))
    except OSError as error:
        raise FileError(path, f"the manifest cannot be written ({error.strerror})") from error


class Journal:
    """The rows of a run while it goes on. Threads may share it.

    Make one before the first file is written: it checks that a manifest that is there already is ours (`OptionError`), and
    takes over the journals of dead runs; a `second` one of the same run need not. `close` merges the rows into the manifest.
    """

    def __init__(self, manifest: Path, *, second: bool = False) -> None:
        self.manifest = manifest
        if not second and manifest.exists():
            read_manifest(manifest)
        self.path = manifest.with_name(own_name("journal"))
        self._file: int | None = None
        self._closed = self._torn = False
        self._lock = Lock()
        if not second:
            self._merge(left_behind(manifest.parent, "journal"))

    def add(self, row: Mapping[str, Any], temporary: Path | None) -> None:
        """Note the row of an output that stands ready under its temporary name and is about to be renamed."""
        assert temporary is not None
        folder, slash, _ = row["output"].rpartition("/")
        self._write(as_bytes({**row, "temporary": f"{folder}{slash}{temporary.name}"}))

    def forget(self, output: str) -> None:
        """The rename did not come about."""
        self._write(as_bytes({"source": "", "output": output, "temporary": None}))

    def close(self, others: Sequence[Path] = ()) -> None:
        """Merge the rows, and those of `others`, into the manifest. Raises `FileError`; the journals then stay for a next run."""
        with self._lock:
            self._closed = True
            mine = []
            if self._file is not None:
                os.close(self._file)
                self._file, mine = None, [self.path]
        self._merge([*mine, *others])

    def _write(self, line: bytes) -> None:
        with self._lock:
            if self._closed:
                raise ValueError("the journal is closed")
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._file = os.open(self.path, flags, 0o666)
            line = b"\n" + line if self._torn else line
            self._torn = True  # unless all of it gets onto the disk
            while line:
                line = line[os.write(self._file, line) :]
            self._torn = False

    def _merge(self, journals: list[Path]) -> None:
        if not journals:
            return
        with locked(self.manifest.parent):
            merged = {row["output"]: row for row in (read_manifest(self.manifest) if self.manifest.exists() else [])}
            found = [finished(journal) for journal in journals if journal.exists()]  # else another run took it over
            for rows in found:
                merged |= rows
            if found and merged:
                write_manifest(self.manifest, merged.values())
            for journal in journals:
                with suppress(OSError):
                    journal.unlink()


class Notebook(Journal):
    """A journal in memory, for a part of a run whose manifest somebody else writes: `rows` are what it did."""

    def __init__(self) -> None:
        self._noted: dict[str, Mapping[str, Any]] = {}
        self._lock = Lock()

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        return list(self._noted.values())

    def add(self, row: Mapping[str, Any], temporary: Path | None) -> None:
        """Note the row of an output that is about to appear."""
        with self._lock:
            self._noted[row["output"]] = row

    def forget(self, output: str) -> None:
        """It did not appear."""
        with self._lock:
            self._noted.pop(output, None)

    def close(self, others: Sequence[Path] = ()) -> None:
        """There is nothing to merge."""


def finished(journal: Path) -> dict[str, Row]:
    """What a run finished, by output. A temporary file that is still there was never renamed; any line may be torn."""
    folder = journal.parent
    rows: dict[str, Row] = {}
    for row in parsed(journal):
        temporary, output = row.pop("temporary"), folder / row["output"]
        if not isinstance(temporary, str):
            rows.pop(row["output"], None)
        elif output.is_file() and (not (folder / temporary).exists() or (folder / temporary).samefile(output)):
            rows[row["output"]] = row
    return rows


def parsed(journal: Path) -> Iterator[Row]:
    """The lines of a journal, those that are whole."""
    for line in journal.read_text("utf-8", errors="replace").split("\n"):
        row = _row(line)
        if row is not None and "temporary" in row:
            yield row


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    named = isinstance(row, dict) and isinstance(row.get("source"), str) and isinstance(row.get("output"), str)
    return row if named else None


def as_bytes(row: Mapping[str, Any]) -> bytes:
    """A row as a line of the manifest."""
    try:
        return _LINE.encode(row).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is no valid UTF-8
        return json.dumps(row, allow_nan=False).encode() + b"\n"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One writer of the manifest at a time, also among processes, and among machines that share the folder."""
    path, mine = folder / _LOCK, own_name("lock")
    seen, deadline = "", time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            break
        except FileExistsError:
            holder = _holder(path)
            if holder != seen:  # the lock went from one run to the next: patience begins anew
                seen, deadline = holder, time.monotonic() + _LOCK_SECONDS
            if time.monotonic() > deadline or is_dead(holder):
                _break(path, holder)
            else:
                time.sleep(0.02)
        except OSError as error:
            raise FileError(folder, f"the manifest cannot be written ({error.strerror})") from error
    try:
        with suppress(OSError):  # a full disk: the lock then says nothing of its holder, and times out
            os.write(lock, mine.encode())
        os.close(lock)
        yield
    finally:
        if _holder(path) in (mine, ""):  # unless another run lost patience and has its own there now
            with suppress(OSError):
                path.unlink()


def _holder(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return ""


def _break(path: Path, holder: str) -> None:
    """Take the lock of a dead run away; one that another run made meanwhile is put back."""
    aside = path.with_name(own_name("tmp"))
    with suppress(OSError):
        path.rename(aside)
        if _holder(aside) != holder:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()
