"""The reference sampler: (U, T_θ(G)) → V, differentiable in both (paper, section 3.3; seeds 1 and 5).

Slow where it must be, exact everywhere; the engines are tested against it.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional as F

from stn_cli.core.antialias import jacobian, spread, taps
from stn_cli.core.coordinates import normalised, pixels
from stn_cli.core.sampling import Antialias, Kernel, Padding, Sampling
from stn_cli.errors import StnError

FAR = 1e6  # normalised: where points that are no numbers are sent, far outside, so that they read the padding


def sample(
    U: Num[Tensor, "n channels height width"],
    grid: Float[Tensor, "m out_height out_width 2"],
    *,
    kernel: Kernel = "bilinear",
    padding: Padding = "zeros",
    fill: tuple[float, ...] | float | None = None,
    align_corners: bool = False,
    antialias: Antialias = "off",
) -> Num[Tensor, "n channels out_height out_width"]:
    """V: the input U read at the points of a sampling grid.

    U (N, C, H, W); grid (N, H', W', 2) or (1, H', W', 2) for all, last axis (x, y), normalised: -1 and 1 are the outer edges
    of the corner pixels, or with `align_corners` their centres. Returns V (N, C, H', W') of U's dtype.

    Differentiable in U and in the grid: with the paper's sub-gradients for bilinear, a grid gradient of zero for nearest.
    Floating-point U is sampled in its own precision, half precision in float32; integer U in float32 (32-bit and wider in
    float64), rounded half up and clipped to its dtype. Points that are NaN or infinite read the padding.
    `kernel`, `padding`, `fill`, `antialias`: see `Sampling`; `antialias` is off unless asked for, as in the paper.

    Raises `OptionError` for a value that `Sampling` does not know, `StnError` for batches that do not match.
    """
    fill = (float(fill),) if isinstance(fill, int | float) else fill
    how = Sampling(kernel, padding, fill, align_corners, antialias)
    if grid.shape[0] not in (1, U.shape[0]):
        raise StnError(f"the grid has {grid.shape[0]} rows for {U.shape[0]} images: give one, or one an image")
    grid = grid.expand(U.shape[0], -1, -1, -1)
    work = _working_dtype(U.dtype)
    V = _antialiased(U.to(work), grid.to(work), how)
    return _narrow(V, U.dtype)


def _antialiased(U: Tensor, grid: Tensor, how: Sampling) -> Tensor:
    V = _point(U, grid, how)
    if how.antialias == "off" or how.kernel == "nearest" or not V.numel():
        return V
    size = (U.shape[-2], U.shape[-1])
    centres = pixels(grid, size, how.align_corners)
    along_x, along_y = jacobian(centres)
    counts = torch.stack(taps(along_x, along_y, how.antialias), -1)
    return torch.stack(
        [
            _averaged(U[n : n + 1], V[n].flatten(1), centres[n], along_x[n], along_y[n], counts[n], how).view_as(V[n])
            for n in range(U.shape[0])
        ]
    )


def _averaged(
    U: Tensor, V: Tensor, centres: Tensor, along_x: Tensor, along_y: Tensor, counts: Tensor, how: Sampling
) -> Tensor:
    """V (C, P) with the pixels that take more than one tap replaced by the mean over their footprints, kind by kind."""
    size = (U.shape[-2], U.shape[-1])
    centres, along_x, along_y, counts = (t.reshape(-1, 2) for t in (centres, along_x, along_y, counts))
    for n_x, n_y in torch.unique(counts, dim=0).tolist():
        if n_x * n_y > 1:
            here = (counts == counts.new_tensor((n_x, n_y))).all(-1).nonzero()[:, 0]
            total = V.new_zeros((V.shape[0], len(here)))
            for points in spread(centres[here], along_x[here], along_y[here], n_x, n_y):
                total = total + _point(U, normalised(points, size, how.align_corners)[None, None], how)[0, :, 0]
            V = V.index_copy(1, here, total / (n_x * n_y))
    return V


def _point(U: Tensor, grid: Tensor, how: Sampling) -> Tensor:
    """One sample an output pixel. A constant outside is zeros around U - constant: the sampler is linear in U."""
    grid = _finite(grid)
    if how.kernel == "nearest":
        grid = _snapped(grid, (U.shape[-2], U.shape[-1]), how.align_corners)
    padding = "zeros" if how.padding == "fill" else how.padding
    options = {"mode": how.kernel, "padding_mode": padding, "align_corners": how.align_corners}
    if how.padding != "fill":
        return F.grid_sample(U, grid, **options)
    constant = U.new_tensor(how.constant(U.shape[1]))[None, :, None, None]
    return F.grid_sample(U - constant, grid, **options) + constant


def _finite(grid: Tensor) -> Tensor:
    """The grid with points that are no numbers, or absurdly far away, where they read the padding.

    On a CPU a look is cheaper than two operations and their gradients, which cost more than the sampling; on a GPU it is not,
    for the host would have to wait.
    """
    if grid.device.type == "cpu" and grid.numel():
        points = grid.detach()
        if points.amin() >= -FAR and points.amax() <= FAR:  # neither holds where there is a NaN
            return grid
    return torch.nan_to_num(grid, nan=FAR, posinf=FAR, neginf=-FAR).clamp(-FAR, FAR)


def _snapped(grid: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """The centre of the pixel that the paper's integer kernel ⌊x + ½⌋ picks; torch alone rounds halves to even."""
    return normalised(torch.floor(pixels(grid, size, align_corners) + 0.5), size, align_corners)


def _working_dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype in (torch.float64, torch.int32, torch.int64, torch.uint32):
        return torch.float64
    return torch.float32


def _narrow(V: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return V.to(dtype)
    limits = torch.iinfo(dtype)
    return torch.floor(V + 0.5).clamp(limits.min, limits.max).to(dtype)
