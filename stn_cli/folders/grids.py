"""Sampling grids in files: .npz, .npy, .csv, Middlebury .flo, and OpenCV's maps.

All but .flo and the maps hold normalised points and, with .npz, their frame. .flo and the maps are in pixels, integer at
centres, and become a sampling grid only beside the size of an input.
"""

import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from stn_cli.core.coordinates import Size, normalised, pixels
from stn_cli.errors import FileError

SUFFIXES = (".npz", ".npy", ".csv", ".flo")
MOST_BYTES = 4 << 30  # of numbers in one grid file: 16k × 16k points
_FLO = 202021.25  # Middlebury's magic number, "PIEH" as little-endian bytes


@dataclass(frozen=True)
class GridFile:
    """What a grid file holds: `points` (H', W', 2) float64, normalised, or input pixels where `in_pixels`.

    `align_corners` is None where the file does not say.
    """

    points: np.ndarray
    in_pixels: bool = False
    align_corners: bool | None = None

    @property
    def size(self) -> Size:
        return self.points.shape[0], self.points.shape[1]

    def grid(self, in_size: Size, align_corners: bool) -> np.ndarray:
        """T_θ(G) (H', W', 2), normalised, for an input of `in_size` (height, width)."""
        return normalised(self.points, in_size, align_corners) if self.in_pixels else self.points


def write(
    file: BinaryIO, suffix: str, grid: np.ndarray, in_size: Size, align_corners: bool, maps: str | None = None
) -> None:
    """Write a sampling grid (H', W', 2), normalised, into an open file, as `suffix` (one of `SUFFIXES`) says.

    With `maps` "opencv" an .npz holds map_x and map_y, float32 input pixels, for `cv2.remap`.
    """
    place = pixels(grid, in_size, align_corners)
    if maps == "opencv":
        np.savez(file, map_x=place[..., 0].astype(np.float32), map_y=place[..., 1].astype(np.float32))
    elif suffix == ".npz":
        np.savez(file, grid=grid, align_corners=align_corners, input_size=np.array(in_size[::-1]))
    elif suffix == ".npy":
        np.save(file, grid)
    elif suffix == ".csv":
        _write_csv(file, grid, place)
    else:
        _write_flo(file, place)


def read(path: Path) -> GridFile:
    """Read what `write` wrote. Raises `FileError` for anything else; nothing is ever unpickled."""
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv, ".flo": _read_flo}
    if path.suffix.lower() not in readers:
        raise FileError(path, f"a sampling grid is one of {', '.join(SUFFIXES)}")
    with _told(path):
        found = readers[path.suffix.lower()](path)
        if found.points.ndim != 3 or found.points.shape[2] != 2 or 0 in found.points.shape:
            raise ValueError(f"a sampling grid has the shape (H', W', 2), not {found.points.shape}")
        bad = ~np.isfinite(found.points).all(-1)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(f"the point at row {row}, column {column} is not finite")
    return found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes the parsers raise, as one `FileError`; what they warn of is refused or harmless."""
    try:
        with np.errstate(invalid="ignore", over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None
    except MemoryError:
        raise FileError(path, "larger than the memory") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, struct.error, NotImplementedError) as error:
        reason = str(error) or type(error).__name__
        raise FileError(path, f"not a sampling grid: {reason}") from None


def _write_csv(file: BinaryIO, grid: np.ndarray, place: np.ndarray) -> None:
    file.write(b"row,col,x,y,x_px,y_px\n")
    for row, (points, centres) in enumerate(zip(grid.tolist(), place.tolist(), strict=True)):
        lines = (
            f"{row},{k},{x!r},{y!r},{u!r},{v!r}\n"
            for k, ((x, y), (u, v)) in enumerate(zip(points, centres, strict=True))
        )
        file.write("".join(lines).encode("ascii"))


def _write_flo(file: BinaryIO, place: np.ndarray) -> None:
    height, width = place.shape[:2]
    target = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    file.write(struct.pack("<fii", _FLO, width, height))
    file.write((target - place).astype("<f4").tobytes())


def _read_npz(path: Path) -> GridFile:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"unpacks to more than {MOST_BYTES >> 30} GiB")
    with np.load(path, allow_pickle=False) as found:
        if "map_x" in found and "map_y" in found:
            return GridFile(np.stack((_floats(found["map_x"]), _floats(found["map_y"])), axis=-1), in_pixels=True)
        if "grid" not in found:
            raise ValueError(f"holds {', '.join(sorted(found)) or 'nothing'}; expected grid, or map_x and map_y")
        frame = bool(found["align_corners"]) if "align_corners" in found else None
        return GridFile(_floats(found["grid"]), align_corners=frame)


def _read_npy(path: Path) -> GridFile:
    # Mapped, so that a header which promises more than the file holds allocates nothing.
    return GridFile(_floats(np.load(path, mmap_mode="r", allow_pickle=False)))


def _read_csv(path: Path) -> GridFile:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES >> 30} GiB")
    with path.open(encoding="utf-8-sig") as lines:
        names = [name.strip() for name in lines.readline().split(",")]
        missing = [name for name in ("row", "col", "x", "y") if name not in names]
        if missing:
            raise ValueError(f"line 1: a header with row, col, x, y; {', '.join(missing)} missing")
        table = np.loadtxt(lines, delimiter=",", ndmin=2, usecols=[names.index(n) for n in ("row", "col", "x", "y")])
    places = table[:, :2].astype(np.int64)
    if len(table) == 0 or (places != table[:, :2]).any() or places.min() < 0:
        raise ValueError("row and col are whole numbers from 0")
    height, width = places.max(axis=0) + 1
    if height * width != len(table) or len(np.unique(places @ [width, 1])) != len(table):
        raise ValueError(f"{len(table)} points do not fill {width}×{height} exactly once")
    points = np.empty((height, width, 2))
    points[places[:, 0], places[:, 1]] = table[:, 2:]
    return GridFile(points)


def _read_flo(path: Path) -> GridFile:
    with path.open("rb") as file:
        magic, width, height = struct.unpack("<fii", file.read(12))
        size = path.stat().st_size - 12
        if magic != _FLO:
            raise ValueError("does not begin with Middlebury's 202021.25")
        if width < 1 or height < 1 or width * height * 8 != size:
            raise ValueError(f"the header says {width}×{height}, which is not {size} bytes of flow")
        flow = np.frombuffer(file.read(size), dtype="<f4").reshape(height, width, 2)
    target = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    return GridFile(target - flow.astype(np.float64), in_pixels=True)


def _floats(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"numbers are needed, not {array.dtype}")
    if array.nbytes > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES >> 30} GiB")
    return array.astype(np.float64)
