"""Transformations that are fitted to points: four corners of a page, any number of pairs, or a whole sampling grid."""

import numpy as np

from stn_cli.core.coordinates import Size, normalised, target_grid
from stn_cli.core.families import Flow, ThinPlateSpline
from stn_cli.core.transformation import Transformation
from stn_cli.errors import OptionError

_TARGET = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)


def corners(quad: np.ndarray, in_size: Size, align_corners: bool = False) -> Transformation:
    """The projective map that fills the output with a quadrilateral of the input.

    `quad` (4, 2): input pixels (x, y), top left first and clockwise as it shall be seen in the output; `in_size`
    (height, width). Raises `OptionError` where the four points are not the corners of a convex quadrilateral.
    """
    quad = np.asarray(quad, dtype=np.float64)
    turns = [_cross(quad[(i + 1) % 4] - quad[i], quad[(i + 2) % 4] - quad[(i + 1) % 4]) for i in range(4)]
    if min(np.abs(turns)) <= 1e-9 * np.ptp(quad, axis=0).max() ** 2 or len({t > 0 for t in turns}) > 1:
        text = " ".join(f"{x:g},{y:g}" for x, y in quad)
        raise OptionError("--corners", text, "four corners of a convex quadrilateral, top left first and clockwise")
    source = normalised(quad, in_size, align_corners)
    system, right = np.zeros((8, 8)), np.zeros(8)
    for k, ((x, y), (u, v)) in enumerate(zip(_TARGET, source, strict=True)):
        system[2 * k] = (x, y, 1, 0, 0, 0, -u * x, -u * y)
        system[2 * k + 1] = (0, 0, 0, x, y, 1, -v * x, -v * y)
        right[2 * k], right[2 * k + 1] = u, v
    return Transformation.from_matrix(np.append(np.linalg.solve(system, right), 1.0).reshape(3, 3), "projective")


def points(
    pairs: np.ndarray, in_size: Size, smoothing: float = 0.0, align_corners: bool = False
) -> tuple[Transformation, np.ndarray]:
    """The thin-plate spline that moves the content at (x, y) to (x', y'), and how far it misses each point.

    `pairs` (K, 4): x, y, x', y' in input pixels. Returns the transformation and the residuals (K,) in input pixels: the
    distance between (x, y) and what the output reads at (x', y'); zero, to rounding, without smoothing.
    """
    pairs = np.asarray(pairs, dtype=np.float64)
    read, target = normalised(pairs[:, :2], in_size, align_corners), normalised(pairs[:, 2:], in_size, align_corners)
    family = ThinPlateSpline(control_points=tuple((x, y) for x, y in target.tolist()), smoothing=smoothing)
    made = Transformation(family, read)
    height, width = in_size
    scale = np.array([width, height]) / 2 if not align_corners else np.array([width - 1, height - 1]) / 2
    return made, np.hypot(*((made.points(target) - read) * scale).T)


def flow(grid: np.ndarray, align_corners: bool = False) -> Transformation:
    """The dense flow whose sampling grid, at the size it was given in, is `grid` (H', W', 2), normalised (x, y)."""
    shape = (grid.shape[0], grid.shape[1])
    return Transformation(Flow(shape, align_corners), grid - target_grid(np, shape, align_corners))


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
