"""The GPU engine: one Triton launch for a batch (`triton_kernel`), 8 bit to 8 bit, no sampling grid in memory.

`warp` serves folders: each worker thread has its own stream and pinned buffers, so that one image's upload, the next one's
kernel and a third one's download overlap, and decoding and encoding go on meanwhile. `warp_tensors` serves data that is
on the device already. Depths other than uint8, flow and piecewise-affine maps go to the torch engine on the same device.

Untested on a GPU: none was at hand. Its tests run under Triton's interpreter; `python -m tests.benchmarks.gpu` checks and
measures everything on a machine that has one.
"""

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton
from torch import Tensor

from stn_cli.core.antialias import AUTO, SLACK
from stn_cli.core.coordinates import pixel_frame
from stn_cli.core.families import ThinPlateSpline
from stn_cli.core.sampling import KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines.torch import TorchEngine
from stn_cli.engines.triton_kernel import COLUMNS, MAP_COLUMNS, warp_kernel
from stn_cli.errors import MissingError

AFFINE, PROJECTIVE, SPLINE = 0, 1, 2
TILE = (16, 32)  # rows and columns of one program
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


class CudaEngine:
    name = "cuda (Triton)"

    def __init__(self, device: str = "cuda") -> None:
        if not INTERPRETED and not torch.cuda.is_available():
            raise MissingError("--device cuda: torch finds no CUDA device here")
        self.device = torch.device("cpu" if INTERPRETED else device)
        self.other = TorchEngine(str(self.device))
        self.local = threading.local()

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
        if not serves(image, transformation, alpha):
            return self.other.warp(image, transformation, out_size, sampling, alpha=alpha, rows=rows)
        with self._stream():
            U = self._pinned("in", image.shape).copy_(torch.from_numpy(image)).to(self.device, non_blocking=True)
            (V,) = self.warp_tensors([U], [transformation], [out_size], sampling, alpha=alpha)
            V = V if rows is None else V[rows[0] : rows[1]]
            landed = self._pinned("out", V.shape).copy_(V, non_blocking=True)
            if not INTERPRETED:
                torch.cuda.current_stream().synchronize()
            return landed.numpy().copy()

    def warp_tensors(
        self,
        inputs: Sequence[Tensor],
        transformations: Sequence[Transformation],
        out_sizes: Sequence[tuple[int, int]],
        sampling: Sampling,
        *,
        alpha: bool = False,
        planar: bool = False,
        outputs: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """A batch in one launch for each kind of map: uint8 (H, W, C) tensors on the device, or (C, H, W) with `planar`.

        Sizes may differ, channels may not. `outputs`, where given, are written to; any strides will do.
        """
        channels = inputs[0].shape[0 if planar else 2]
        shapes = [(channels, *s) if planar else (*s, channels) for s in out_sizes]
        if outputs is None:
            outputs = [torch.empty(shape, dtype=torch.uint8, device=self.device) for shape in shapes]
        groups: dict[tuple[int, int], list[int]] = {}
        for index, made in enumerate(transformations):
            groups.setdefault(_kind(made), []).append(index)
        for (mode, number), members in groups.items():
            self._launch(
                mode, number, [inputs[i] for i in members], [transformations[i] for i in members],
                [outputs[i] for i in members], sampling, channels, alpha, planar,
            )  # fmt: skip
        return list(outputs)

    def _launch(self, mode, number, inputs, transformations, outputs, sampling, channels, alpha, planar) -> None:
        images = np.stack([_row(u, v, planar) for u, v in zip(inputs, outputs, strict=True)])
        sizes = [(tuple(row[2:4]), tuple(row[4:6])) for row in images]
        maps = np.stack([_map(t, *size, sampling) for t, size in zip(transformations, sizes, strict=True)])
        controls, weights = np.zeros((1, 2)), np.zeros((1, 3, 2))
        if mode == SPLINE:
            families = [t.family for t in transformations]
            controls = np.array(families[0].control_points)
            weights = np.stack(
                [
                    f.solution() @ (t.theta.reshape(-1, 2) - controls)
                    for f, t in zip(families, transformations, strict=True)
                ]
            )
        packed = channels == 4 and not (images[:, [0, 1, 6, 7, 9, 10]] % 4).any() and (images[:, [8, 11]] == 1).all()
        rows, columns = TILE
        tiles = max(triton.cdiv(h, rows) * triton.cdiv(w, columns) for _, (h, w) in sizes)
        averages = sampling.antialias != "off" and sampling.kernel != "nearest"
        kernel: Any = warp_kernel  # what triton.jit makes of it is indexed by the launch grid
        kernel[(int(tiles), len(images))](
            self._sent(images, torch.int64), self._sent(maps, torch.float64),
            self._sent(controls, torch.float32), self._sent(weights, torch.float32),
            self._sent(np.resize(sampling.constant(channels), 4), torch.float32),
            number, (AUTO if sampling.antialias == "auto" else 1.0) + SLACK,
            MODE=mode, KERNEL=KERNELS.index(sampling.kernel), PADDING=PADDINGS.index(sampling.padding),
            CORNERS=sampling.align_corners, AVERAGE=averages, C=channels, ALPHA=alpha, PACKED=bool(packed),
            BY=rows, BX=columns,
        )  # fmt: skip

    def _sent(self, values: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(dtype).to(self.device, non_blocking=True)

    def _stream(self):
        """This thread's stream, as a context."""
        if INTERPRETED:
            return torch.inference_mode()
        if not hasattr(self.local, "stream"):
            self.local.stream = torch.cuda.Stream(self.device)
        return torch.cuda.stream(self.local.stream)

    def _pinned(self, which: str, shape) -> Tensor:
        """This thread's page-locked buffer, at least that large, viewed as `shape`."""
        size = int(np.prod(shape))
        buffer = getattr(self.local, which, None)
        if buffer is None or buffer.numel() < size:
            buffer = torch.empty(size, dtype=torch.uint8, pin_memory=not INTERPRETED)
            setattr(self.local, which, buffer)
        return buffer[:size].view(*shape)


def serves(image: np.ndarray, transformation: Transformation, alpha: bool) -> bool:
    """Whether the Triton kernel knows this depth, these channels and this map."""
    channels = (2, 4) if alpha else (1, 2, 3, 4)
    known = transformation.matrix() is not None or isinstance(transformation.family, ThinPlateSpline)
    return image.dtype == np.uint8 and image.shape[2] in channels and known


def _kind(made: Transformation) -> tuple[int, int]:
    """(mode, control points): what shares a launch."""
    matrix = made.matrix()
    if matrix is None:
        return SPLINE, len(made.family.control_points)  # type: ignore[attr-defined]
    return (PROJECTIVE if matrix[2, :2].any() else AFFINE), 0


def _row(source: Tensor, out: Tensor, planar: bool) -> np.ndarray:
    """A row of the table of images, `triton_kernel.COLUMNS` numbers."""
    order = (1, 2, 0) if planar else (0, 1, 2)
    sizes = [[t.shape[k] for k in order[:2]] for t in (source, out)]
    strides = [[t.stride(k) for k in order] for t in (source, out)]
    row = [source.data_ptr(), out.data_ptr(), *sizes[0], *sizes[1], *strides[0], *strides[1]]
    assert len(row) == COLUMNS
    return np.array(row, dtype=np.int64)


def _map(made: Transformation, in_size, out_size, sampling: Sampling) -> np.ndarray:
    """A row of the table of maps, `triton_kernel.MAP_COLUMNS` numbers."""
    matrix = made.pixel_matrix(in_size, out_size, sampling.align_corners)
    if matrix is not None:
        return matrix.reshape(-1)
    to_input = np.array(pixel_frame(in_size, sampling.align_corners))
    to_output = np.array(pixel_frame(out_size, sampling.align_corners))
    if sampling.align_corners:  # an axis of one pixel has its only point at -1
        for axis in range(2):
            if to_output[axis, axis] == 0:
                to_output[axis, axis], to_output[axis, 2] = 1.0, 1.0
    from_output = np.linalg.inv(to_output)
    entries = [m[k, j] for m in (from_output, to_input) for k in range(2) for j in (k, 2)]
    return np.array([*entries, 0.0][:MAP_COLUMNS])
