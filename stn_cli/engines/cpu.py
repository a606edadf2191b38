"""The CPU engine: compiled kernels, one image a call, one thread a call, the GIL released.

The fast kernel is loaded without numba (`native`); only what it does not cover (`generic`) imports numba each time.
"""

import numpy as np

from stn_cli.core.antialias import AUTO, SLACK
from stn_cli.core.coordinates import axis_points, pixel_from_normalised
from stn_cli.core.sampling import ANTIALIAS, KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import codes, native
from stn_cli.engines.codes import AFFINE, LANES, PROJECTIVE, TABLE

KERNEL_CODES = dict(zip(KERNELS, (codes.NEAREST, codes.BILINEAR, codes.BICUBIC), strict=True))
PADDING_CODES = dict(zip(PADDINGS, (codes.ZEROS, codes.BORDER, codes.REFLECTION, codes.FILL), strict=True))
ANTIALIAS_CODES = dict(zip(ANTIALIAS, (codes.AUTO, codes.ON, codes.OFF), strict=True))
TABLE_POINTS = 1 << 16  # points of the sampling grid held at a time, where a map has no matrix
_NO_TABLE, _NO_MATRIX = np.empty(0), np.zeros(9)


class CpuEngine:
    name = "cpu"

    def warp(
        self,
        image: np.ndarray,
        transformation: Transformation,
        out_size: tuple[int, int],
        sampling: Sampling,
        *,
        alpha: bool = False,
        rows: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """See `Engine.warp`."""
        first, last = rows or (0, out_size[0])
        channels = image.shape[2]
        # Vectors are written whole: a row shorter than one spills into the next, the last row into spare room.
        out = np.empty((last - first) * out_size[1] * channels + LANES * channels, image.dtype)
        out = out[: (last - first) * out_size[1] * channels].reshape(last - first, out_size[1], channels)
        if _has_fast_kernel(image, alpha):
            _fast(image, transformation, out, out_size, first, sampling, alpha)
        else:
            _plain(image, transformation, out, out_size, first, sampling, alpha)
        return out


def _has_fast_kernel(image: np.ndarray, alpha: bool) -> bool:
    return image.nbytes >= 4 and image.shape[2] in ((2, 4) if alpha else (1, 2, 3, 4))


def _fast(image, transformation, out, out_size, first, sampling, alpha) -> None:
    in_size = image.shape[:2]
    fill = np.array(sampling.constant(image.shape[2]), np.float32)
    kernel = native.warp_rows(image.dtype, image.shape[2], alpha)
    matrix = transformation.pixel_matrix(in_size, out_size, sampling.align_corners)
    antialias = _antialias_code(sampling, matrix, out_size)

    def warp(strip: np.ndarray, row: int, mode: int, matrix: np.ndarray, table: np.ndarray, low: int) -> None:
        kernel(
            image.ctypes.data, image.size, *in_size, strip.ctypes.data, strip.size, *out_size, row, len(strip),
            mode, matrix.ctypes.data, table.ctypes.data, table.size, low, fill.ctypes.data,
            KERNEL_CODES[sampling.kernel], PADDING_CODES[sampling.padding], sampling.align_corners, antialias,
        )  # fmt: skip

    if matrix is not None:
        mode = PROJECTIVE if matrix[2, :2].any() else AFFINE
        warp(out, first, mode, np.ascontiguousarray(matrix).reshape(-1), _NO_TABLE, 0)
        return
    halo = 0 if antialias == codes.OFF else 1
    for start, stop, low, high in _tiles(first, first + len(out), out_size, halo):
        table = input_points(transformation, in_size, out_size, sampling.align_corners, low, high)
        warp(out[start - first : stop - first], start, TABLE, _NO_MATRIX, table, low)


def _plain(image, transformation, out, out_size, first, sampling, alpha) -> None:
    fill = np.array(sampling.constant(image.shape[2]))
    from stn_cli.engines import generic

    top = 0.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
    for start, stop, low, high in _tiles(first, first + len(out), out_size, 1):
        table = input_points(transformation, image.shape[:2], out_size, sampling.align_corners, low, high)
        points = table[: -2 * LANES].reshape(high - low, out_size[1], 2)
        generic.sample_table(
            image, points, start - low, out[start - first : stop - first], KERNEL_CODES[sampling.kernel],
            PADDING_CODES[sampling.padding], fill, sampling.align_corners, ANTIALIAS_CODES[sampling.antialias],
            alpha, top,
        )  # fmt: skip


def _tiles(first: int, last: int, out_size: tuple[int, int], halo: int):
    """Strips of rows (start, stop) that cover first … last - 1, and with their halo (low, high)."""
    step = max(1, TABLE_POINTS // out_size[1])
    for start in range(first, last, step):
        stop = min(start + step, last)
        yield start, stop, max(start - halo, 0), min(stop + halo, out_size[0])


def input_points(transformation, in_size, out_size, align_corners, low, high) -> np.ndarray:
    """Where output rows low … high - 1 read the input: flat float64 x0, y0, x1, … in input pixels, sixteen points to spare."""
    width = out_size[1]
    target = np.empty((high - low, width, 2))
    target[..., 0] = axis_points(np, width, align_corners)
    target[..., 1] = axis_points(np, out_size[0], align_corners)[low:high, None]
    points = transformation.points(target)
    table = np.zeros((high - low) * width * 2 + 2 * LANES)
    grid = table[: -2 * LANES].reshape(high - low, width, 2)
    grid[..., 0] = pixel_from_normalised(points[..., 0], in_size[1], align_corners)
    grid[..., 1] = pixel_from_normalised(points[..., 1], in_size[0], align_corners)
    return table


def _antialias_code(sampling: Sampling, matrix: np.ndarray | None, out_size: tuple[int, int]) -> int:
    """Off where the kernel never averages, or where no pixel of a map with a matrix can shrink enough to need it."""
    if sampling.antialias == "off" or sampling.kernel == "nearest":
        return codes.OFF
    threshold = (AUTO if sampling.antialias == "auto" else 1.0) + SLACK
    if matrix is not None and _steepest(matrix, out_size) <= threshold:
        return codes.OFF
    return ANTIALIAS_CODES[sampling.antialias]


def _steepest(matrix: np.ndarray, out_size: tuple[int, int]) -> float:
    """A bound on the largest singular value of the map's Jacobian over the output; exact for affine maps.

    With p = (X/w, Y/w), ∂p/∂u = (∂(X, Y)/∂u - p·∂w/∂u) / w, and numerators and w are extreme at the corners of the output.
    """
    height, width = out_size
    corners = np.array([(u, v, 1.0) for u in (0, width - 1) for v in (0, height - 1)])
    X, Y, w = matrix @ corners.T
    if w.min() * w.max() <= 0:
        return np.inf
    # p runs over the convex hull of its values at the corners, and the numerators are linear in p.
    jacobians = [matrix[:2, :2] - np.outer(p, matrix[2, :2]) for p in np.stack([X / w, Y / w], axis=-1)]
    return float(max(np.linalg.svd(j, compute_uv=False)[0] for j in jacobians) / np.abs(w).min())
