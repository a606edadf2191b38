"""The torch engine: `core.sampler` on any device that torch has (CUDA, Apple's MPS, the CPU), in bands of output rows.

Grids are computed in float64, and deeper images than uint8 sampled in it, where the device has it (MPS has not: there NumPy
makes the grid and everything else is float32). Untested on MPS and CUDA: no such device was at hand.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from stn_cli.core.coordinates import axis_points
from stn_cli.core.sampler import sample
from stn_cli.engines import Work
from stn_cli.errors import StnError

BAND = 1 << 20  # output pixels at a time: large fresh tensors lose more to page faults than to arithmetic
Result = TypeVar("Result")


class TorchEngine:
    """`lacks` says why it stands in for a faster engine, where it does."""

    def __init__(self, device: str = "cpu", lacks: str = "") -> None:
        self.device = torch.device(device)
        self.name = f"torch ({device})"
        self.lacks = lacks

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        return within_memory(lambda: self._warp(work, rows), work)

    @torch.inference_mode()
    def _warp(self, work: Work, rows: tuple[int, int] | None) -> np.ndarray:
        image, out_size, sampling = work.image, work.out_size, work.sampling
        first, last = rows or (0, out_size[0])
        U = self._uploaded(image)
        fill = np.array(sampling.constant(image.shape[2]))
        if work.alpha:
            U[:, :-1] *= U[:, -1:]
            fill[:-1] *= fill[-1]
        out = np.empty((last - first, out_size[1], image.shape[2]), image.dtype)
        halo = 0 if sampling.antialias == "off" else 1
        points = max(
            work.transformation.family.size // 32, 1
        )  # a spline has a number for every pixel and control point
        step = max(1, BAND // points // out_size[1])
        for start in range(first, last, step):
            stop = min(start + step, last)
            low, high = max(start - halo, 0), min(stop + halo, out_size[0])
            V = sample(
                U, self._grid(work.transformation, out_size, sampling.align_corners, low, high),
                kernel=sampling.kernel, padding=sampling.padding,
                fill=tuple(fill) if sampling.padding == "fill" else None,
                align_corners=sampling.align_corners, antialias=sampling.antialias,
            )  # fmt: skip
            V = V[0, :, start - low : stop - low].movedim(0, -1)
            out[start - first : stop - first] = self._narrowed(V, image.dtype, work.alpha)
        return out

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`."""
        return [self.warp(w) for w in works]

    def _uploaded(self, image: np.ndarray) -> Tensor:
        """(1, C, H, W) on the device, in the precision it is sampled in."""
        precise = image.dtype != np.uint8 and self.device.type != "mps"
        small = shared(image if image.dtype == np.uint8 else image.astype(np.float32))
        U = small.to(self.device).movedim(-1, 0)[None]
        return U.to(torch.float64 if precise else torch.float32, copy=True).contiguous()

    def _grid(self, transformation, out_size, align_corners, low, high) -> Tensor:
        exact = torch.device("cpu") if self.device.type == "mps" else self.device
        like = {"dtype": torch.float64, "device": exact}
        x, y = (axis_points(torch, length, align_corners, **like) for length in reversed(out_size))
        target = torch.stack(torch.meshgrid(x, y[low:high], indexing="xy"), -1)
        grid = transformation.family.points(torch.tensor(transformation.theta, **like), target)
        return grid.to(torch.float32).to(self.device) if exact != self.device else grid

    def _narrowed(self, V: Tensor, dtype: np.dtype, alpha: bool) -> np.ndarray:
        """(rows, W', C) in the depth of the image, colours divided by alpha."""
        integer = dtype.kind == "u"
        if alpha:
            a = V[..., -1:]
            seen = a >= (0.5 if integer else 1e-6)
            V = torch.cat([torch.where(seen, V[..., :-1] / torch.where(seen, a, 1.0), 0.0), a], -1)
        if integer:
            V = torch.floor(V + 0.5).clamp(0, np.iinfo(dtype).max)
        if dtype == np.uint8:
            return V.to(torch.uint8).cpu().numpy()
        return V.cpu().numpy().astype(dtype)


def shared(image: np.ndarray) -> Tensor:
    """A tensor of the image's memory, of a copy where it may not be written: torch has no tensors that are read only."""
    return torch.from_numpy(image if image.flags.writeable else image.copy())


def within_memory(
    call: Callable[[], Result], *works: Work, tidy: Callable[[], None] = torch.cuda.empty_cache
) -> Result:
    """`call()`, and where the device's memory is full once more after `tidy()`; then `StnError`."""
    for again in (True, False):
        try:
            return call()
        except RuntimeError as error:  # torch's own, CUDA's for page-locked memory, and Triton's
            if "out of memory" not in str(error).lower():
                raise
        if again:  # here, when the error no longer holds what the call held
            tidy()
    size = sum(work.bytes for work in works) / 1e6
    raise StnError(f"{size:.0f} MB in and out are more than the GPU has left; --device cpu warps them")
