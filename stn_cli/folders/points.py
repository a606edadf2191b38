"""Control points in a file: x,y,x',y' a line, in pixels of the input."""

from pathlib import Path

import numpy as np

from stn_cli.core.words import numbers
from stn_cli.errors import FileError, OptionError

MOST_POINTS = 4096  # a spline through n points solves a system of n equations


def read(path: Path) -> np.ndarray:
    """(K, 4): x, y, x', y'. Commas, semicolons or spaces between; empty lines, # comments and one header line are skipped.

    Raises `FileError` naming the line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(path, getattr(error, "strerror", None) or "not a text file") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if not text or (not found and text[0].isalpha()):
            continue
        try:
            values = numbers("--points", text, "")
        except OptionError:
            values = []
        if len(values) != 4:
            raise FileError(path, f"line {number}: four numbers x,y,x',y', not {line.strip()[:60]!r}")
        found.append(values)
    if not 3 <= len(found) <= MOST_POINTS:
        raise FileError(path, f"{len(found)} control points; a spline needs 3 to {MOST_POINTS:,}, not all on a line")
    return np.array(found)
