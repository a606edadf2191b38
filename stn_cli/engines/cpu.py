"""The CPU engine: numba kernels, one image a call, one thread a call, the GIL released."""

import numpy as np

from stn_cli.core.coordinates import axis_points, pixels
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import generic

KERNELS = {"nearest": generic.NEAREST, "bilinear": generic.BILINEAR, "bicubic": generic.BICUBIC}
PADDINGS = {
    "zeros": generic.ZEROS,
    "border": generic.BORDER,
    "reflection": generic.REFLECTION,
    "fill": generic.FILL,
}
ANTIALIAS = {"off": generic.OFF, "auto": generic.AUTO, "on": generic.ON}
TILE = 1 << 16  # points of the sampling grid held at a time


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
        out = np.empty((last - first, out_size[1], channels), image.dtype)
        fill = np.array(sampling.constant(channels))
        top = 0.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
        step = max(1, TILE // out_size[1])
        for start in range(first, last, step):
            stop = min(start + step, last)
            low, high = max(start - 1, 0), min(stop + 1, out_size[0])
            points = input_points(transformation, image.shape[:2], out_size, sampling.align_corners, low, high)
            generic.sample_table(
                image, points, start - low, out[start - first : stop - first],
                KERNELS[sampling.kernel], PADDINGS[sampling.padding], fill, sampling.align_corners,
                ANTIALIAS[sampling.antialias], alpha, top,
            )  # fmt: skip
        return out


def input_points(transformation, in_size, out_size, align_corners, low, high) -> np.ndarray:
    """Where output rows low … high - 1 read the input: (rows, W', 2), (x, y) in input pixels, float64."""
    xy = np.empty((high - low, out_size[1], 2))
    xy[..., 0] = axis_points(np, out_size[1], align_corners)
    xy[..., 1] = axis_points(np, out_size[0], align_corners)[low:high, None]
    return np.ascontiguousarray(pixels(transformation.points(xy), in_size, align_corners))
