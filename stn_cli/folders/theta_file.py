"""θ from a file: CSV, JSON Lines (a manifest is one) or .npy; one row for all pictures, or one for each, by `source`.

CSV         a header, then a row a line. `source` and `family` are optional columns; all others are θ, in their order, or a single
            column `theta` holds the numbers with spaces between. Without a header: numbers only.
JSON Lines  an object a line: "theta" (a list), optional "source", "family", "options", or a list of such under "pages"; what else
            a manifest says is kept for the caller. A line may also be a bare list of numbers.
.npy        (size,) or (1, size) for all; or a structured array with a text field `source` and numbers. Never unpickled.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from stn_cli.core.transformation import Transformation
from stn_cli.errors import OptionError, StnError

OPTION = "--theta-file"
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".npy")
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Entry:
    """One row: a transformation for each page (or one for all pages), and everything else the row says."""

    transformations: tuple[Transformation, ...]
    said: Mapping[str, Any]

    def transformation(self, page: int = 0) -> Transformation:
        """θ of page `page`, from 0; the last one serves any further page."""
        return self.transformations[min(page, len(self.transformations) - 1)]


@dataclass(frozen=True)
class ThetaFile:
    """`every` is the row for all pictures; where it is None, `entries` has one by the name of each source, with `/`."""

    path: Path
    every: Entry | None
    entries: Mapping[str, Entry]

    def entry(self, source: str) -> Entry:
        """The row for one picture. Raises `OptionError` where there is none."""
        found = self.every or self.entries.get(source)
        if found is None:
            raise OptionError(OPTION, self.path, f"has no row whose source is {source!r}")
        return found

    def common(self, *keys: str) -> dict[str, Any]:
        """What all rows say alike of `keys`: of a manifest, the format and quality of the run."""
        rows = [self.every] if self.every else list(self.entries.values())
        first = rows[0].said
        return {
            key: first[key] for key in keys if key in first and all(row.said.get(key) == first[key] for row in rows)
        }


def read_thetas(path: Path, family: str | None = None) -> ThetaFile:
    """Read a θ file. `family` names the family of rows that do not. Raises `OptionError` naming file, line and column."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(OPTION, path, f"must end in {', '.join(SUFFIXES)}")
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise OptionError(OPTION, path, f"is larger than {MOST_BYTES >> 20} MiB")
        rows = list(_npy(path) if suffix == ".npy" else _csv(path) if suffix == ".csv" else _json_lines(path))
    except OSError as error:
        raise OptionError(OPTION, path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise OptionError(OPTION, path, "is not text in UTF-8") from None
    if not rows:
        raise OptionError(OPTION, path, "holds no θ")
    every: Entry | None = None
    entries: dict[str, Entry] = {}
    for place, row in rows:
        entry = _entry(path, place, row, family)
        source = row.get("source")
        if source is None:
            if len(rows) > 1:
                raise OptionError(
                    OPTION, path, f"{place}: {len(rows)} rows need a `source` each; without it there can be one"
                )
            every = entry
        elif not isinstance(source, str) or not source:
            raise OptionError(OPTION, path, f"{place}, column source: {source!r} is not a file name")
        elif source in entries:
            raise OptionError(OPTION, path, f"{place}, column source: {source!r} has a row already")
        else:
            entries[source] = entry
    return ThetaFile(path, every, entries)


def _entry(path: Path, place: str, row: Mapping[str, Any], family: str | None) -> Entry:
    pages = row.get("pages", [row])
    if not isinstance(pages, list) or not pages or not all(isinstance(page, dict) for page in pages):
        raise OptionError(OPTION, path, f"{place}: `pages` must be a list of rows")
    made = tuple(_transformation(path, place, page, family) for page in pages)
    for page in (row, *pages):
        _check_size(path, place, page.get("out_size", [1, 1]))
    if not isinstance(row.get("sampling", {}), dict):
        raise OptionError(OPTION, path, f"{place}: `sampling` must be an object")
    return Entry(made, {key: value for key, value in row.items() if key not in ("theta", "family", "options")})


def _transformation(path: Path, place: str, row: Mapping[str, Any], family: str | None) -> Transformation:
    theta = row.get("theta")
    if not isinstance(theta, list) or not theta:
        raise OptionError(OPTION, path, f"{place}: `theta` must be a list of numbers")
    for number, value in enumerate(theta, 1):
        # bool is an int in Python, and JSON knows numbers that no float holds
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise OptionError(OPTION, path, f"{place}, number {number} of θ: {value!r} is not a finite number")
    name, options = row.get("family"), row.get("options", {})
    if name is not None and not isinstance(name, str):
        raise OptionError(OPTION, path, f"{place}, column family: {name!r} is not the name of a family")
    if not isinstance(options, dict):
        raise OptionError(OPTION, path, f"{place}: `options` must be an object")
    try:
        if name is not None and options:
            return Transformation.from_row({"family": name, "options": options, "theta": theta})
        return Transformation.from_numbers(theta, name or family)
    except StnError as error:
        raise OptionError(OPTION, path, f"{place}: {error}") from None


def _check_size(path: Path, place: str, size: Any) -> None:
    whole = isinstance(size, list) and len(size) == 2 and all(type(v) is int and 0 < v < 2**31 for v in size)
    if not whole:
        raise OptionError(OPTION, path, f"{place}, column out_size: {size!r} is not a height and a width")


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", errors="surrogatepass") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = (
                    error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep or a number too long"
                )
                column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                raise OptionError(OPTION, path, f"line {number}{column}: not JSON ({reason})") from None
            if isinstance(row, list):
                row = {"theta": row}
            if not isinstance(row, dict):
                raise OptionError(OPTION, path, f"line {number}: an object or a list of numbers is wanted")
            yield f"line {number}", row


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = path.read_text("utf-8-sig")
    reader = csv.reader(StringIO(text), strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                if _header(cells):
                    names = _names(path, place, cells)
                    continue
                names = [f"number {i}" for i in range(1, len(cells) + 1)]
            if len(cells) != len(names):
                raise OptionError(OPTION, path, f"{place}: {len(cells)} columns, where line 1 has {len(names)}")
            yield place, _csv_row(path, place, dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        raise OptionError(OPTION, path, f"line {reader.line_num}: {error}") from None


def _header(cells: list[str]) -> bool:
    return any(_number(cell) is None for cell in cells)


def _names(path: Path, place: str, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise OptionError(OPTION, path, f"{place}: two columns are called {min(twice)!r}")
    if "theta" in names and set(names) - {"theta", "source", "family"}:
        raise OptionError(OPTION, path, f"{place}: beside `theta` there can be `source` and `family` only")
    return names


def _csv_row(path: Path, place: str, cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if "source" in cells:
        row["source"] = cells.pop("source")
    if "family" in cells:
        row["family"] = cells.pop("family").strip()
    if "theta" in cells:
        parts = {f"theta, number {i}": part for i, part in enumerate(cells["theta"].replace(",", " ").split(), 1)}
    else:
        parts = cells
    row["theta"] = []
    for name, cell in parts.items():
        value = _number(cell)
        if value is None or not isfinite(value):
            raise OptionError(OPTION, path, f"{place}, column {name}: {cell.strip()!r} is not a finite number")
        row["theta"].append(value)
    return row


def _number(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _npy(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        # Mapped, so that a header which promises more than the file holds allocates nothing.
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy's header parser raises many things
        raise OptionError(OPTION, path, f"is not an array of numbers ({' '.join(str(error).split())})") from None
    if table.dtype.names:
        yield from _structured(path, table)
        return
    if table.dtype.kind not in "iuf":
        raise OptionError(OPTION, path, f"holds {table.dtype}, not numbers")
    if table.ndim == 2 and table.shape[0] == 1:
        table = table[0]
    if table.ndim != 1:
        raise OptionError(
            OPTION, path, f"has the shape {table.shape}; one row for all, (size,), or a structured array with `source`"
        )
    yield "the array", {"theta": np.asarray(table, np.float64).tolist()}


def _structured(path: Path, table: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    names = list(table.dtype.names or ())
    if "source" not in names or table.dtype["source"].kind != "U" or table.ndim != 1:
        raise OptionError(OPTION, path, "a structured array needs one axis and a text field `source`")
    for number, record in enumerate(table):
        theta: list[float] = []
        for name in names:
            if name == "source":
                continue
            values = np.atleast_1d(record[name])
            if values.dtype.kind not in "iuf":
                raise OptionError(OPTION, path, f"row {number}, field {name}: {values.dtype} is not a number")
            theta += values.astype(np.float64).reshape(-1).tolist()
        yield f"row {number}", {"source": str(record["source"]), "theta": theta}
