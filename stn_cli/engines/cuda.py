"""The GPU engine: one Triton launch for a batch (`triton_kernel`), 8 bit to 8 bit, no sampling grid in memory.

`warp_all` serves folders: a batch goes up in one copy, through one launch for each kind of map, and comes down in one copy.
Each call has a lane of its own, a stream with page-locked buffers: while one batch is computed another travels, and
decoding and encoding go on meanwhile. A strip of a large image is made from the same programs as the whole.
`warp_tensors` serves data that is on the device already. Depths other than uint8, flow and piecewise-affine maps, and splines
that float32 is too coarse for, go to the torch engine on the same device.

Untested on a GPU: none was at hand. Its tests run under Triton's interpreter; `python -m tests.benchmarks.gpu` checks and
measures everything on a machine that has one.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stn_cli.core.antialias import AUTO, SLACK
from stn_cli.core.sampling import KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.lanes import Lane, OnDevice, padded
from stn_cli.engines.tables import AFFINE, SPLINE, image_row, kind_of, map_row, serves, shrinks, spline_weights
from stn_cli.engines.torch import TorchEngine, shared, within_memory
from stn_cli.engines.triton_kernel import BLEND_BUILD, BUILD, INTERPRETED, TILE, warp_kernel

STEPS = 4  # `TILE`s below each other, made by one program
PTX = not INTERPRETED and torch.version.hip is None  # whether the kernel may speak NVIDIA's assembly language
LARGE = 1 << 28  # bytes in and out from which an image goes alone, and not through page-locked memory


class CudaEngine:
    name = "cuda (Triton)"

    def __init__(self, device: str = "cuda") -> None:
        self.device = torch.device("cpu" if INTERPRETED else device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.other = TorchEngine(str(self.device))
        self._lanes: SimpleQueue[Lane] = SimpleQueue()
        self._kept_images: dict[int, tuple[weakref.ref, Tensor]] = {}
        self._keeping = Lock()
        self._launching = Lock()  # Triton compiles at the first launch, and not twice

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> np.ndarray:
        """See `Engine.warp`."""
        if rows is None:
            return self.warp_all([work])[0]
        if not serves(work):
            return self.other.warp(_fetched(work), rows)
        return within_memory(lambda: self._strip(work, rows), work, tidy=self._tidy)

    def warp_all(self, works: Sequence[Work]) -> list[np.ndarray]:
        """See `Engine.warp_all`."""
        out: dict[int, np.ndarray] = {}
        alike: dict[tuple, list[int]] = {}
        for index, work in enumerate(works):
            if not serves(work):
                out[index] = self.other.warp(_fetched(work))
            elif isinstance(work.image, OnDevice) or work.bytes <= LARGE:
                here = isinstance(work.image, OnDevice)
                alike.setdefault((work.image.shape[2], work.sampling, work.alpha, here), []).append(index)
            else:
                out[index] = self.warp(work, (0, work.out_size[0]))
        for members in alike.values():
            batch = [works[i] for i in members]
            results = within_memory(lambda batch=batch: self._batch(batch), *batch, tidy=self._tidy)
            out.update(zip(members, results, strict=True))
        return [out[index] for index in range(len(works))]

    def _strip(self, work: Work, rows: tuple[int, int]) -> np.ndarray:
        """Output rows (first, last + 1) of one work, from whole programs: the bytes are those of the whole."""
        first, last = rows
        high = TILE[0] * STEPS
        top, bottom = first // high * high, min(-(-last // high) * high, work.out_size[0])
        with self.alone():
            source = self._kept(work.image)
            room = torch.empty((bottom - top, work.out_size[1], source.shape[2]), dtype=torch.uint8, device=self.device)
            self.warp_tensors(
                [source],
                [work.transformation],
                [work.out_size],
                work.sampling,
                alpha=work.alpha,
                outputs=[room],
                top=top,
            )
            return room[first - top : last - top].cpu().numpy()

    def _kept(self, image: Any) -> Tensor:
        """The image on the device, (H, W, C): a large one stays there as long as it lives, for its next strip."""
        if isinstance(image, OnDevice):
            return image.planes.permute(1, 2, 0)
        key = id(image)
        with self._keeping:
            if key not in self._kept_images:
                there = shared(image).to(self.device)
                self._kept_images[key] = weakref.ref(image, lambda _: self._kept_images.pop(key, None)), there
            return self._kept_images[key][1]

    def _tidy(self) -> None:
        """Give the memory of what is not in use back to the device."""
        with suppress(Empty):
            while True:
                self._lanes.get_nowait()
        torch.cuda.empty_cache()

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
        top: int = 0,
    ) -> list[Tensor]:
        """A batch in one launch for each kind of map: uint8 (H, W, C) tensors on the device, or (C, H, W) with `planar`.

        Sizes may differ, channels may not. `outputs`, where given, are written to; any strides will do. They may hold fewer
        rows than `out_sizes` say: those from `top` on, a multiple of the rows that one program makes. Runs on the current
        stream, as torch's own functions do.
        """
        channels = inputs[0].shape[0 if planar else 2]
        if outputs is None:
            shapes = [(channels, *s) if planar else (*s, channels) for s in out_sizes]
            outputs = [torch.empty(shape, dtype=torch.uint8, device=self.device) for shape in shapes]
        for launch in self.launches(
            inputs, transformations, out_sizes, outputs, sampling, alpha=alpha, planar=planar, top=top
        ):
            launch()
        return list(outputs)

    def launches(
        self,
        inputs: Sequence[Tensor],
        transformations: Sequence[Transformation],
        out_sizes: Sequence[tuple[int, int]],
        outputs: Sequence[Tensor],
        sampling: Sampling,
        *,
        alpha: bool = False,
        planar: bool = False,
        top: int = 0,
    ) -> list[Callable[[], None]]:
        """What `warp_tensors` launches, ready to go: each call warps once more, on the stream that is then current.

        The tables are sent on the stream that is current now; another has to wait for it.
        """
        for tensor in (*inputs, *outputs):
            if tensor.device != self.device or tensor.dtype != torch.uint8:
                raise ValueError(f"uint8 on {self.device}, not {tensor.dtype} on {tensor.device}")
        channels = inputs[0].shape[0 if planar else 2]
        images = [image_row(u, v, size, planar) for u, v, size in zip(inputs, outputs, out_sizes, strict=True)]
        rows = [v.shape[1 if planar else 0] for v in outputs]
        maps = [map_row(t, row, sampling) for t, row in zip(transformations, images, strict=True)]
        groups: dict[tuple, list[int]] = {}
        for index, made in enumerate(transformations):
            mode, controls = kind_of(made)
            averages = sampling.antialias != "off" and sampling.kernel != "nearest"
            if averages and mode == AFFINE:  # its footprint is the same everywhere: asked here, not of every pixel
                averages = shrinks(maps[index], images[index][4:6], sampling)
            groups.setdefault((mode, controls, averages), []).append(index)
        return [
            self._launch(
                kind, [transformations[i] for i in members], np.stack([images[i] for i in members]),
                np.stack([maps[i] for i in members]), np.array([rows[i] for i in members]), top, sampling, channels, alpha,
                (inputs, outputs),
            )
            for kind, members in groups.items()
        ]  # fmt: skip

    def _launch(
        self, kind, transformations, images, maps, rows, top, sampling, channels, alpha, alive
    ) -> Callable[[], None]:
        mode, controls, averages = kind
        weights = np.zeros((1, 3, 2))
        if mode == SPLINE:
            weights = np.stack([spline_weights(t) for t in transformations])
        packed = channels == 4 and not (images[:, [0, 1, 6, 9]] % 4).any()
        packed = bool(packed and (images[:, [7, 8, 10, 11]] == (4, 1, 4, 1)).all())
        high, across = TILE[0] * STEPS, -(-images[:, 5] // TILE[1])
        tiles = -(-rows // high) * across
        images[:, 12] = np.cumsum(tiles) - tiles - top // high * across
        images[:, 1] -= top * images[:, 9]  # where row 0 would be
        tables = self._sent(
            images, maps, np.array(controls or [(0, 0)], np.float32), weights.astype(np.float32),
            np.resize(sampling.constant(channels), 4).astype(np.float32),
            np.repeat(np.arange(len(images), dtype=np.int32), tiles),
        )  # fmt: skip
        blends = PTX and packed and sampling.kernel == "bilinear" and not alpha and not averages
        build = BUILD | (BLEND_BUILD if blends else {})
        kernel: Any = warp_kernel  # what triton.jit makes of it is indexed by the launch grid

        def launch() -> None:
            with self._launching, self._current_device():
                kernel[(int(tiles.sum()),)](
                    *tables, len(controls), (AUTO if sampling.antialias == "auto" else 1.0) + SLACK,
                    MODE=mode, KERNEL=KERNELS.index(sampling.kernel), PADDING=PADDINGS.index(sampling.padding),
                    CORNERS=sampling.align_corners, AVERAGE=averages, C=channels, ALPHA=alpha, PACKED=packed, PTX=PTX,
                    BY=TILE[0], BX=TILE[1], STEPS=STEPS, **build,
                )  # fmt: skip
            _ = alive  # the tables hold addresses only

        return launch

    def _sent(self, *tables: np.ndarray) -> list[Tensor]:
        """The tables on the device, sent in one copy."""
        starts = np.cumsum([0, *(padded((table.nbytes,)) for table in tables)]).tolist()
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
    def _lane(self) -> "Iterator[Lane]":
        """A stream and its buffers, for the time of one batch; a free one, else a new one."""
        try:
            lane = self._lanes.get_nowait()
        except Empty:
            lane = Lane(self.device)
        try:
            with lane.current():
                yield lane
        finally:
            self._lanes.put(lane)


def _fetched(work: Work) -> Work:
    """The work with its image as an array."""
    return replace(work, image=np.asarray(work.image)) if isinstance(work.image, OnDevice) else work
