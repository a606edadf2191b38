"""The CPU engine: compiled kernels, one image a call, one thread a call, the GIL released.

The kernels are loaded without numba (`native`); only what they do not cover (`generic`) imports numba each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from stn_cli.core.antialias import AUTO, SLACK, steepest
from stn_cli.core.families import Family, PiecewiseAffine
from stn_cli.core.sampling import ANTIALIAS, KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation, pixel_matrices
from stn_cli.engines import Work, codes, native
from stn_cli.engines.axes import Axis, axes
from stn_cli.engines.codes import AFFINE, LANES, PROJECTIVE, TABLE
from stn_cli.engines.lattice import lattice_for
from stn_cli.engines.phases import ROOM, Phases, phases
from stn_cli.engines.points import exact_points, mesh_rows

KERNEL_CODES = dict(zip(KERNELS, (codes.NEAREST, codes.BILINEAR, codes.BICUBIC), strict=True))
PADDING_CODES = dict(zip(PADDINGS, (codes.ZEROS, codes.BORDER, codes.REFLECTION, codes.FILL), strict=True))
ANTIALIAS_CODES = dict(zip(ANTIALIAS, (codes.AUTO, codes.ON, codes.OFF), strict=True))
TABLE_POINTS = 1 << 16  # points of the sampling grid held at a time, where a map has no matrix
SMALL = 64 * 64  # pixels of an input that is copied with a rim around it (`small`)
KEPT_POINTS = 1 << 20  # grids up to this size, 16 MB, are kept for the next image
_NO_TABLE, _NO_MATRIX, _NOWHERE = np.empty(0), np.zeros(9), np.array([0.0, 0, -1, -1])


class CpuEngine:
    name = "cpu"

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        image, out_size, sampling = work.image, work.out_size, work.sampling
        first, last = rows or (0, out_size[0])
        out, flat = _room(1, last - first, out_size[1], image)
        how = _plan(work.transformation, image.shape[:2], out_size, sampling)
        if how.matrices is not None and not how.averages and _is_small(image, work.alpha, sampling):
            _small(image, flat, out_size, first, last - first, how, sampling)
        elif _has_fast_kernel(image, work.alpha) and (found := _separable(work, how)):
            _shrink(work, out[0], first, *found)
        elif _has_fast_kernel(image, work.alpha):
            _fast(work, out[0], first, how)
        else:
            _plain(work, out[0], first)
        return out[0]

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`: small images that are alike go through `warp_batch`, the others one by one."""
        out: dict[int, np.ndarray] = {}
        alike: dict[tuple, list[int]] = {}
        for index, w in enumerate(works):
            if _is_small(w.image, w.alpha, w.sampling):
                key = (w.image.shape, w.transformation.family, w.out_size, w.sampling)
                alike.setdefault(key, []).append(index)
            else:
                out[index] = self.warp(w)
        for (_, family, out_size, sampling), members in alike.items():
            images = np.stack([works[i].image for i in members])
            theta = np.stack([works[i].transformation.theta for i in members])
            out.update(zip(members, self.warp_batch(images, family, theta, out_size, sampling), strict=True))
        return [out[index] for index in range(len(works))]

    def warp_batch(
        self,
        images: np.ndarray,
        family: Family,
        theta: np.ndarray,
        out_size: tuple[int, int],
        sampling: Sampling,
        *,
        alpha: bool = False,
    ) -> np.ndarray:
        """V (N, H', W', C) for images of one size, (N, H, W, C) C-contiguous, with a row of θ each, (N, family.size).

        The same bytes as `warp` image by image; for small 8-bit images many times as fast, as the batch is one call.
        """
        theta = np.asarray(theta, dtype=np.float64)
        matrices = family.matrix(theta)
        if matrices is not None and _is_small(images[0], alpha, sampling):
            how = _planned(matrices, images.shape[1:3], out_size, sampling)
            if not how.averages:
                out, flat = _room(len(images), *out_size, images[0])
                _small(images, flat, out_size, 0, out_size[0], how, sampling)
                return out
        each = (Transformation(family, row) for row in theta)
        pairs = zip(images, each, strict=True)
        return np.stack([self.warp(Work(u, t, out_size, sampling, alpha=alpha)) for u, t in pairs])


def _room(count: int, rows: int, columns: int, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output (count, rows, columns, C), and the same flat with room to spare.

    Vectors are written whole: a row shorter than one spills into the next, the last row of all into the spare room.
    """
    channels = like.shape[2]
    size = count * rows * columns * channels
    flat = np.empty(size + LANES * channels, like.dtype)
    return flat[:size].reshape(count, rows, columns, channels), flat


@dataclass(frozen=True)
class Plan:
    """What the kernels need to know of maps with a matrix, one row an image: None where there is none."""

    matrices: np.ndarray | None
    modes: np.ndarray
    antialias: np.ndarray

    @cached_property
    def averages(self) -> bool:
        """Of any of the images."""
        return bool(self.antialias.any())


@lru_cache(maxsize=64)
def _plan(transformation, in_size, out_size, sampling) -> Plan:
    """Kept, so that one θ over a folder of one size is thought about once."""
    matrix = transformation.matrix()
    if matrix is None:
        code = codes.OFF if sampling.kernel == "nearest" else ANTIALIAS_CODES[sampling.antialias]
        return Plan(None, np.array([TABLE]), np.array([code]))
    return _planned(matrix[None], in_size, out_size, sampling)


def _planned(matrices, in_size, out_size, sampling) -> Plan:
    matrices = pixel_matrices(matrices, in_size, out_size, sampling.align_corners)
    modes = np.where(matrices[:, 2, :2].any(-1), PROJECTIVE, AFFINE)
    return Plan(matrices.reshape(-1, 9), modes, _antialias_codes(sampling, matrices, out_size))


def _has_fast_kernel(image: np.ndarray, alpha: bool) -> bool:
    return image.nbytes >= 4 and image.shape[2] in ((2, 4) if alpha else (1, 2, 3, 4))


def _is_small(image: np.ndarray, alpha: bool, sampling: Sampling) -> bool:
    height, width, channels = image.shape
    return (
        height * width <= SMALL
        and image.dtype == np.uint8
        and channels in (1, 3, 4)
        and not alpha
        and sampling.kernel != "bicubic"
        and sampling.padding != "reflection"
        and all(v == int(v) and 0 <= v <= 255 for v in sampling.constant(channels))
    )


def _small(images, flat, out_size, first, rows, how, sampling) -> None:
    *_, height, width, channels = images.shape
    fill = np.array(sampling.constant(channels), np.uint8)
    scratch = np.empty(((height + 3) * (width + 2) + 8, channels), np.uint8)
    scratch[:] = fill
    native.load("warp_small", images.dtype, channels)(
        images.ctypes.data, images.size, height, width, flat.ctypes.data, flat.size, *out_size, first, rows,
        how.modes.ctypes.data, how.matrices.ctypes.data, len(how.modes), fill.ctypes.data,
        KERNEL_CODES[sampling.kernel], PADDING_CODES[sampling.padding], scratch.ctypes.data, scratch.size,
    )  # fmt: skip


def _separable(work: Work, how: Plan) -> tuple[Axis, Axis] | None:
    """(columns, rows) where the map averages and moves each axis by itself."""
    height, width, channels = work.image.shape
    if how.matrices is None or how.antialias[0] == codes.OFF or width * channels < LANES:
        return None
    return axes(how.matrices[0], (height, width), work.out_size, work.sampling)


def _shrink(work: Work, out: np.ndarray, first: int, columns: Axis, rows: Axis) -> None:
    image, alpha = work.image, work.alpha
    _, width, channels = image.shape
    count, reach = out.shape[1], len(columns.weights)
    constant = np.zeros(4, np.float32)
    constant[:channels] = work.sampling.constant(channels)
    if alpha:
        constant[: channels - 1] *= constant[channels - 1]
    low = int(columns.starts[:count].min()) * channels
    high = min(int((columns.starts + columns.counts)[:count].max()), width) * channels
    high = min(max(high, low + LANES), width * channels)
    low = min(low, high - LANES) // channels * channels
    line = np.zeros((width + reach + 4) * channels + LANES, np.float32)
    part = [a[first : first + len(out)] for a in (rows.starts, rows.counts, rows.inside)]
    native.load("shrink_rows", image.dtype, channels, alpha)(
        image.ctypes.data, image.size, width, out.ctypes.data, out.size, count, len(out),
        part[0].ctypes.data, part[1].ctypes.data, rows.weights[:, first:].ctypes.data, rows.weights.shape[1],
        len(rows.weights), part[2].ctypes.data, columns.starts.ctypes.data, columns.weights.ctypes.data,
        columns.weights.shape[1], reach, columns.inside.ctypes.data, constant.ctypes.data,
        bool((constant != 0).any()), low, high, line.ctypes.data, line.size,
    )  # fmt: skip


def _fast(work: Work, out: np.ndarray, first: int, how: Plan) -> None:
    image, out_size, sampling = work.image, work.out_size, work.sampling
    in_size = image.shape[:2]
    fill = np.array(sampling.constant(image.shape[2]), np.float32)
    kernel = native.load("warp_rows", image.dtype, image.shape[2], work.alpha)
    antialias = int(how.antialias[0])
    found = _phases(work, how)
    inside = _NOWHERE if found is None else found.inside(in_size)

    def warp(strip: np.ndarray, row: int, matrix: np.ndarray, table: np.ndarray, low: int) -> None:
        kernel(
            image.ctypes.data, image.size, *in_size, strip.ctypes.data, strip.size, *out_size, row, len(strip),
            int(how.modes[0]), matrix.ctypes.data, inside.ctypes.data, table.ctypes.data, table.size, low, fill.ctypes.data,
            KERNEL_CODES[sampling.kernel], PADDING_CODES[sampling.padding], sampling.align_corners, antialias,
        )  # fmt: skip

    if how.matrices is not None:
        warp(out, first, how.matrices[0], _NO_TABLE, 0)
        if found is not None:
            _sum(work, out, first, how.matrices[0], inside, found)
        return
    halo = 0 if antialias == codes.OFF else 1
    for start, stop, low, high in _tiles(first, first + len(out), out_size, halo):
        table = _table(work.transformation, in_size, out_size, sampling.align_corners, low, high)
        warp(out[start - first : stop - first], start, _NO_MATRIX, table, low)


def _phases(work: Work, how: Plan) -> Phases | None:
    """Where the map is affine and averages: the weights with which it sums pixels inside the image."""
    image = work.image
    averages = how.modes[0] == AFFINE and how.antialias[0] != codes.OFF and work.sampling.kernel == "bilinear"
    if how.matrices is None or not averages or image[0].nbytes < 64 or image.size >= 1 << 31:
        return None
    pairs = image.dtype == np.uint8 and not work.alpha
    return phases(tuple(how.matrices[0, [0, 1, 3, 4]].tolist()), work.out_size, pairs)


def _sum(work: Work, out: np.ndarray, first: int, matrix: np.ndarray, inside: np.ndarray, found: Phases) -> None:
    image, (x, y), table = work.image, (found.x, found.y), found.table
    _, width, channels = image.shape
    pitch = table[0, 0].nbytes // 4
    offsets = (found.rows * width + found.columns) * channels
    starts, shares, mixed = np.empty((2, ROOM), np.int32), np.empty((4, ROOM), np.float32), np.empty(pitch, np.float32)
    native.load("sum_rows", image.dtype, channels, work.alpha)(
        image.ctypes.data, image.size, width, out.ctypes.data, out.size, out.shape[1], first, len(out), matrix.ctypes.data,
        inside.ctypes.data, found.shift.ctypes.data, x.at.ctypes.data, x.over.ctypes.data, x.bins.ctypes.data, x.at.size,
        y.at.ctypes.data, y.over.ctypes.data, y.bins.ctypes.data, y.at.size, x.bins.size, table.ctypes.data,
        table.nbytes // 4, pitch, found.scale, offsets.ctypes.data, offsets.size, starts.ctypes.data, shares.ctypes.data,
        ROOM, mixed.ctypes.data,
    )  # fmt: skip


def _plain(work: Work, out: np.ndarray, first: int) -> None:
    image, out_size, sampling = work.image, work.out_size, work.sampling
    fill = np.array(sampling.constant(image.shape[2]))
    with native.lock:
        from stn_cli.engines import generic

    top = 0.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
    for start, stop, low, high in _tiles(first, first + len(out), out_size, 1):
        table = _exact_table(work.transformation, image.shape[:2], out_size, sampling.align_corners, low, high)
        points = table[: -2 * LANES].reshape(high - low, out_size[1], 2)
        generic.sample_table(
            image, points, start - low, out[start - first : stop - first], KERNEL_CODES[sampling.kernel],
            PADDING_CODES[sampling.padding], fill, sampling.align_corners, ANTIALIAS_CODES[sampling.antialias],
            work.alpha, top,
        )  # fmt: skip


def _tiles(first: int, last: int, out_size: tuple[int, int], halo: int):
    """Strips of rows (start, stop) that cover first … last - 1, and with their halo (low, high)."""
    step = max(1, TABLE_POINTS // out_size[1])
    for start in range(first, last, step):
        stop = min(start + step, last)
        yield start, stop, max(start - halo, 0), min(stop + halo, out_size[0])


def _table(transformation, in_size, out_size, align_corners, low, high) -> np.ndarray:
    """Where output rows low … high - 1 read the input: flat float64 x0, y0, x1, … in input pixels, sixteen points to spare."""
    width = out_size[1]
    if isinstance(transformation.family, PiecewiseAffine):
        table = np.empty((high - low) * width * 2 + 2 * LANES)
        mesh_rows(transformation, in_size, out_size, align_corners, low, high - low, table)
        return table
    lattice = lattice_for(transformation, in_size, out_size, align_corners)
    if lattice is not None:
        table = np.empty((high - low) * width * 2 + 2 * LANES)
        lattice.fill(table, low, high - low, width)
        return table
    if out_size[0] * width <= KEPT_POINTS:
        return _whole_table(transformation, in_size, out_size, align_corners)[2 * low * width :]
    return _exact_table(transformation, in_size, out_size, align_corners, low, high)


@lru_cache(maxsize=8)
def _whole_table(transformation, in_size, out_size, align_corners) -> np.ndarray:
    """Kept, so that one θ over a folder of one size costs its grid once."""
    return _exact_table(transformation, in_size, out_size, align_corners, 0, out_size[0])


def _exact_table(transformation, in_size, out_size, align_corners, low, high) -> np.ndarray:
    width = out_size[1]
    table = np.zeros((high - low) * width * 2 + 2 * LANES)
    rows, columns = np.arange(low, high, dtype=float)[:, None], np.arange(width, dtype=float)
    grid = table[: -2 * LANES].reshape(high - low, width, 2)
    grid[:] = exact_points(transformation, in_size, out_size, align_corners, rows, columns)
    return table


def _antialias_codes(sampling: Sampling, matrices: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
    """(N,): off where the kernel never averages, or where no pixel of the map shrinks enough to need it."""
    code = ANTIALIAS_CODES[sampling.antialias]
    if code == codes.OFF or sampling.kernel == "nearest":
        return np.full(len(matrices), codes.OFF)
    threshold = (AUTO if sampling.antialias == "auto" else 1.0) + SLACK
    return np.where(steepest(matrices, out_size) <= threshold, codes.OFF, code)
