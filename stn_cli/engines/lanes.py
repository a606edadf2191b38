"""Memory of the GPU engine: lanes, on which one batch travels while another is computed, and pixels that stay there."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from stn_cli.engines.triton_kernel import INTERPRETED

if TYPE_CHECKING:
    from stn_cli.engines.cuda import CudaEngine


class Lane:
    """A stream, and page-locked and device memory for one batch each way; grown as needed and kept."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = None if INTERPRETED else torch.cuda.Stream(device)
        self.buffers: dict[str, Tensor] = {}
        self.shapes: list[tuple[int, ...]] = []

    def current(self):
        return torch.inference_mode() if self.stream is None else torch.cuda.stream(self.stream)

    def up(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """The images on the device, sent in one copy."""
        shapes = [image.shape for image in images]
        staging, there = self._buffer("sent", shapes, pinned=True), self._buffer("inputs", shapes)
        for view, image in zip(views(staging, shapes), images, strict=True):
            view.numpy()[:] = image
        there.copy_(staging, non_blocking=True)
        return views(there, shapes)

    def room(self, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        """Where the results are to be written on the device."""
        self.shapes = shapes
        return views(self._buffer("outputs", shapes), shapes)

    def down(self) -> list[np.ndarray]:
        """The results, fetched in one copy; they are the caller's own."""
        landed = self._buffer("fetched", self.shapes, pinned=True)
        landed.copy_(self._buffer("outputs", self.shapes), non_blocking=True)
        self.finish()
        return [view.numpy().copy() for view in views(landed, self.shapes)]

    def finish(self) -> None:
        """Wait until everything that was begun here is done."""
        if self.stream is not None:
            self.stream.synchronize()

    def _buffer(self, name: str, shapes: Sequence[tuple[int, ...]], *, pinned: bool = False) -> Tensor:
        size = sum(padded(shape) for shape in shapes)
        if name not in self.buffers or self.buffers[name].numel() < size:
            device = torch.device("cpu") if pinned else self.device
            locked = pinned and self.stream is not None
            self.buffers[name] = torch.empty(size, dtype=torch.uint8, device=device, pin_memory=locked)
        return self.buffers[name][:size]


def padded(shape: tuple[int, ...]) -> int:
    """Bytes, a multiple of 16: four-byte pixels are read as words."""
    return -(-prod(shape) // 16) * 16


def views(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    starts = np.cumsum([0, *(padded(shape) for shape in shapes)])
    return [flat[at : at + prod(shape)].view(*shape) for at, shape in zip(starts.tolist(), shapes, strict=False)]


class OnDevice:
    """Pixels (H, W, C), uint8, that are on the device, and a NumPy array to whoever asks for one.

    `planes` (C, H, W) are complete: no stream has work left on them. `codec` codes them where they are.
    """

    dtype, ndim, itemsize = np.dtype(np.uint8), 3, 1

    def __init__(self, planes: Tensor, engine: "CudaEngine", codec: Any) -> None:
        self.planes, self._engine, self._codec = planes, engine, codec
        self.shape = (planes.shape[1], planes.shape[2], planes.shape[0])
        self.nbytes = planes.numel()
        self._host: np.ndarray | None = None

    def with_planes(self, planes: Tensor) -> "OnDevice":
        """Others, of the same device and codec."""
        return OnDevice(planes, self._engine, self._codec)

    def jpeg(self, quality: int, subsampling: str) -> bytes | None:
        """A JPEG file of them, made on the device; None where that cannot be."""
        return self._codec.encode(self.planes, quality, subsampling)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if self._host is None:
            with self._engine.alone():
                landed = self.planes.permute(1, 2, 0).contiguous().to("cpu", non_blocking=True)  # page-locked
            self._host = landed.numpy()
        return self._host if dtype in (None, self.dtype) else self._host.astype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self)[key]
