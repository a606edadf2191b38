"""The GPU engine: one Triton launch for a batch (`triton_kernel`), 8 bit to 8 bit, no sampling grid in memory.

`warp_all` serves folders: a batch goes up in one copy, through one launch for each kind of map, and comes down in one copy.
Each call has a lane of its own, a stream with page-locked buffers: while one batch is computed another travels, and
decoding and encoding go on meanwhile. `warp_tensors` serves data that is on the device already. Depths other than uint8,
flow and piecewise-affine maps go to the torch engine on the same device.

Untested on a GPU: none was at hand. Its tests run under Triton's interpreter; `python -m tests.benchmarks.gpu` checks and
measures everything on a machine that has one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from math import prod
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stn_cli.core.antialias import AUTO, SLACK
from stn_cli.core.coordinates import pixel_frame
from stn_cli.core.families import ThinPlateSpline
from stn_cli.core.sampling import KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.torch import TorchEngine
from stn_cli.engines.triton_kernel import COLUMNS, MAP_COLUMNS, TILE, warp_kernel
from stn_cli.errors import MissingError, StnError

AFFINE, PROJECTIVE, SPLINE = 0, 1, 2
STEPS = 4  # `TILE`s below each other, made by one program
# enable_fp_fusion: Triton's default is about to change; products and sums fused are the more exact.
BUILD: dict[str, Any] = {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


class CudaEngine:
    name = "cuda (Triton)"

    def __init__(self, device: str = "cuda") -> None:
        if not INTERPRETED and not torch.cuda.is_available():
            raise MissingError("--device cuda: torch finds no CUDA device here")
        self.device = torch.device("cpu" if INTERPRETED else device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.other = TorchEngine(str(self.device))
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        self._launching = Lock()  # Triton compiles at the first launch, and not twice

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        if rows is not None or not serves(work):
            return self.other.warp(_fetched(work), rows)
        return self.warp_all([work])[0]

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`."""
        out: dict[int, np.ndarray] = {}
        alike: dict[tuple, list[int]] = {}
        for index, work in enumerate(works):
            if serves(work):
                here = isinstance(work.image, OnDevice)
                alike.setdefault((work.image.shape[2], work.sampling, work.alpha, here), []).append(index)
            else:
                (out[index],) = self.other.warp_all([_fetched(work)])
        try:
            for members in alike.values():
                out.update(zip(members, self._batch([works[i] for i in members]), strict=True))
        except torch.OutOfMemoryError:
            size = sum(work.bytes for work in works) / 1e6
            raise StnError(
                f"{size:.0f} MB in and out are more than the GPU has left; --device cpu warps them"
            ) from None
        return [out[index] for index in range(len(works))]

    def _batch(self, works: Sequence[Work]) -> list[np.ndarray]:
        """Works that differ in sizes and maps only, up, warped and down again; what is on the device stays there."""
        first = works[0]
        sizes = [work.out_size for work in works]
        if isinstance(first.image, OnDevice):
            images: list[Any] = [work.image for work in works]
            maps = [work.transformation for work in works]
            with self.alone():
                planes = self.warp_tensors(
                    [u.planes for u in images], maps, sizes, first.sampling, alpha=first.alpha, planar=True
                )
            return [u.with_planes(v) for u, v in zip(images, planes, strict=True)]
        with self._lane() as lane:
            inputs = lane.up([work.image for work in works])
            outputs = lane.room([(*size, u.shape[2]) for size, u in zip(sizes, inputs, strict=True)])
            maps = [work.transformation for work in works]
            self.warp_tensors(inputs, maps, sizes, first.sampling, alpha=first.alpha, outputs=outputs)
            return lane.down()

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

        Sizes may differ, channels may not. `outputs`, where given, are written to; any strides will do. Runs on the
        current stream, as torch's own functions do.
        """
        channels = inputs[0].shape[0 if planar else 2]
        if outputs is None:
            shapes = [(channels, *s) if planar else (*s, channels) for s in out_sizes]
            outputs = [torch.empty(shape, dtype=torch.uint8, device=self.device) for shape in shapes]
        for launch in self.launches(inputs, transformations, outputs, sampling, alpha=alpha, planar=planar):
            launch()
        return list(outputs)

    def launches(
        self,
        inputs: Sequence[Tensor],
        transformations: Sequence[Transformation],
        outputs: Sequence[Tensor],
        sampling: Sampling,
        *,
        alpha: bool = False,
        planar: bool = False,
    ) -> list[Callable[[], None]]:
        """What `warp_tensors` launches, ready to go: the tables are on the device; each call warps once more."""
        for tensor in (*inputs, *outputs):
            if tensor.device != self.device or tensor.dtype != torch.uint8:
                raise ValueError(f"uint8 on {self.device}, not {tensor.dtype} on {tensor.device}")
        channels = inputs[0].shape[0 if planar else 2]
        images = [_row(u, v, planar) for u, v in zip(inputs, outputs, strict=True)]
        maps = [_map(t, row, sampling) for t, row in zip(transformations, images, strict=True)]
        groups: dict[tuple, list[int]] = {}
        for index, made in enumerate(transformations):
            mode, controls = _kind(made)
            averages = sampling.antialias != "off" and sampling.kernel != "nearest"
            if averages and mode == AFFINE:  # its footprint is the same everywhere: asked here, not of every pixel
                averages = _shrinks(maps[index], images[index][4:6], sampling)
            groups.setdefault((mode, controls, averages), []).append(index)
        return [
            self._launch(
                kind, [transformations[i] for i in members], np.stack([images[i] for i in members]),
                np.stack([maps[i] for i in members]), sampling, channels, alpha, (inputs, outputs),
            )
            for kind, members in groups.items()
        ]  # fmt: skip

    def _launch(self, kind, transformations, images, maps, sampling, channels, alpha, alive) -> Callable[[], None]:
        mode, controls, averages = kind
        weights = np.zeros((1, 3, 2))
        if mode == SPLINE:
            weights = np.stack([t.family.solution() @ (t.theta.reshape(-1, 2) - controls) for t in transformations])
        packed = channels == 4 and not (images[:, [0, 1, 6, 7, 9, 10]] % 4).any() and (images[:, [8, 11]] == 1).all()
        tiles = -(-images[:, 4] // (TILE[0] * STEPS)) * -(-images[:, 5] // TILE[1])
        images[:, 12] = np.cumsum(tiles) - tiles
        tables = self._sent(
            images, maps, np.array(controls or [(0, 0)], np.float32), weights.astype(np.float32),
            np.resize(sampling.constant(channels), 4).astype(np.float32),
            np.repeat(np.arange(len(images), dtype=np.int32), tiles),
        )  # fmt: skip
        kernel: Any = warp_kernel  # what triton.jit makes of it is indexed by the launch grid

        def launch() -> None:
            with self._launching, self._current_device():
                kernel[(int(tiles.sum()),)](
                    *tables, len(controls), (AUTO if sampling.antialias == "auto" else 1.0) + SLACK,
                    MODE=mode, KERNEL=KERNELS.index(sampling.kernel), PADDING=PADDINGS.index(sampling.padding),
                    CORNERS=sampling.align_corners, AVERAGE=averages, C=channels, ALPHA=alpha, PACKED=bool(packed),
                    BY=TILE[0], BX=TILE[1], STEPS=STEPS, **BUILD,
                )  # fmt: skip
            _ = alive  # the tables hold addresses only

        return launch

    def _sent(self, *tables: np.ndarray) -> list[Tensor]:
        """The tables on the device, sent in one copy."""
        starts = np.cumsum([0, *(_padded((table.nbytes,)) for table in tables)]).tolist()
        flat = np.zeros(starts[-1], np.uint8)
        for at, table in zip(starts, tables, strict=False):
            flat[at : at + table.nbytes] = np.ascontiguousarray(table).reshape(-1).view(np.uint8)
        there = torch.from_numpy(flat).to(self.device, non_blocking=True)
        return [
            there[at : at + table.nbytes].view(torch.from_numpy(table[:0].copy()).dtype)
            for at, table in zip(starts, tables, strict=False)
        ]

    def _current_device(self):
        return nullcontext() if INTERPRETED else torch.cuda.device(self.device)

    @contextmanager
    def alone(self) -> "Iterator[None]":
        """On a stream of this thread's own; what was begun on it is done at the end."""
        with self._lane() as lane:
            yield
            lane.finish()

    @contextmanager
    def _lane(self) -> "Iterator[_Lane]":
        """A stream and its buffers, for the time of one batch; a free one, else a new one."""
        try:
            lane = self._lanes.get_nowait()
        except Empty:
            lane = _Lane(self.device)
        try:
            with lane.current():
                yield lane
        finally:
            self._lanes.put(lane)


class OnDevice:
    """Pixels (H, W, C), uint8, that are on the device, and a NumPy array to whoever asks for one.

    `planes` (C, H, W) are complete: no stream has work left on them. `codec` codes them where they are.
    """

    dtype, ndim, itemsize = np.dtype(np.uint8), 3, 1

    def __init__(self, planes: Tensor, engine: CudaEngine, codec: Any) -> None:
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


def _fetched(work: Work) -> Work:
    """The work with its image as an array."""
    return replace(work, image=np.asarray(work.image)) if isinstance(work.image, OnDevice) else work


class _Lane:
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
        for view, image in zip(_views(staging, shapes), images, strict=True):
            view.numpy()[:] = image
        there.copy_(staging, non_blocking=True)
        return _views(there, shapes)

    def room(self, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        """Where the results are to be written on the device."""
        self.shapes = shapes
        return _views(self._buffer("outputs", shapes), shapes)

    def down(self) -> list[np.ndarray]:
        """The results, fetched in one copy; they are the caller's own."""
        landed = self._buffer("fetched", self.shapes, pinned=True)
        landed.copy_(self._buffer("outputs", self.shapes), non_blocking=True)
        self.finish()
        return [view.numpy().copy() for view in _views(landed, self.shapes)]

    def finish(self) -> None:
        """Wait until everything that was begun here is done."""
        if self.stream is not None:
            self.stream.synchronize()

    def _buffer(self, name: str, shapes: Sequence[tuple[int, ...]], *, pinned: bool = False) -> Tensor:
        size = sum(_padded(shape) for shape in shapes)
        if name not in self.buffers or self.buffers[name].numel() < size:
            device = torch.device("cpu") if pinned else self.device
            locked = pinned and self.stream is not None
            self.buffers[name] = torch.empty(size, dtype=torch.uint8, device=device, pin_memory=locked)
        return self.buffers[name][:size]


def _padded(shape: tuple[int, ...]) -> int:
    """Bytes, a multiple of 16: four-byte pixels are read as words."""
    return -(-prod(shape) // 16) * 16


def _views(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    starts = np.cumsum([0, *(_padded(shape) for shape in shapes)])
    return [flat[at : at + prod(shape)].view(*shape) for at, shape in zip(starts.tolist(), shapes, strict=False)]


def serves(work: Work) -> bool:
    """Whether the Triton kernel knows this depth, these channels and this map."""
    channels = (2, 4) if work.alpha else (1, 2, 3, 4)
    known = work.transformation.matrix() is not None or isinstance(work.transformation.family, ThinPlateSpline)
    return work.image.dtype == np.uint8 and work.image.shape[2] in channels and known


def _kind(made: Transformation) -> tuple[int, tuple]:
    """(mode, control points): what shares a launch."""
    matrix = made.matrix()
    if matrix is None:
        return SPLINE, tuple(made.family.control_points)  # type: ignore[attr-defined]
    return (PROJECTIVE if matrix[2, :2].any() else AFFINE), ()


def _shrinks(map_: np.ndarray, out_size: np.ndarray, sampling: Sampling) -> bool:
    """Whether an affine map is averaged; along an axis of one pixel it has no footprint (`core.antialias`)."""
    columns = map_.reshape(3, 3)[:2, :2] * (out_size[::-1] > 1)
    above = (AUTO if sampling.antialias == "auto" else 1.0) + SLACK
    return bool(np.linalg.svd(columns, compute_uv=False)[0] > above)


def _row(source: Tensor, out: Tensor, planar: bool) -> np.ndarray:
    """A row of the table of images, `triton_kernel.COLUMNS` numbers."""
    order = (1, 2, 0) if planar else (0, 1, 2)
    sizes = [[t.shape[k] for k in order[:2]] for t in (source, out)]
    strides = [[t.stride(k) for k in order] for t in (source, out)]
    row = [source.data_ptr(), out.data_ptr(), *sizes[0], *sizes[1], *strides[0], *strides[1], 0]
    assert len(row) == COLUMNS
    return np.array(row, dtype=np.int64)


def _map(made: Transformation, row: np.ndarray, sampling: Sampling) -> np.ndarray:
    """A row of the table of maps, `triton_kernel.MAP_COLUMNS` numbers."""
    in_size, out_size = tuple(row[2:4].tolist()), tuple(row[4:6].tolist())
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
