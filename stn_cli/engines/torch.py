"""The torch engine: `core.sampler` on any device that torch has (CUDA, Apple's MPS, the CPU), in bands of output rows.

Images travel in their own depth; sampling is float32 on the device, grids are computed in float64 and sent as float32.
Untested on MPS and CUDA: no such device was at hand.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stn_cli.core.coordinates import axis_points
from stn_cli.core.sampler import sample
from stn_cli.engines import Work

BAND = 1 << 20  # output pixels at a time: large fresh tensors lose more to page faults than to arithmetic


class TorchEngine:
    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.name = f"torch ({device})"

    @torch.inference_mode()
    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        image, out_size, sampling = work.image, work.out_size, work.sampling
        first, last = rows or (0, out_size[0])
        U = self._uploaded(image)
        fill = np.array(sampling.constant(image.shape[2]))
        if work.alpha:
            U[:, :-1] *= U[:, -1:]
            fill[:-1] *= fill[-1]
        out = np.empty((last - first, out_size[1], image.shape[2]), image.dtype)
        halo = 0 if sampling.antialias == "off" else 1
        step = max(1, BAND // out_size[1])
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
        """(1, C, H, W) float32 on the device."""
        small = torch.from_numpy(image if image.dtype == np.uint8 else image.astype(np.float32))
        return small.to(self.device).movedim(-1, 0)[None].to(torch.float32, copy=True).contiguous()

    def _grid(self, transformation, out_size, align_corners, low, high) -> Tensor:
        target = np.empty((high - low, out_size[1], 2))
        target[..., 0] = axis_points(np, out_size[1], align_corners)
        target[..., 1] = axis_points(np, out_size[0], align_corners)[low:high, None]
        return torch.from_numpy(transformation.points(target).astype(np.float32))[None].to(self.device)

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
