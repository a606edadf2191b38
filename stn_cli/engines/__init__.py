"""How images are warped fast when nobody asks for a gradient.

One contract (`Engine`), tested against float64 references: `cpu` (numba), `torch` (any device torch has), `cuda` (Triton).
`choose` picks one and says why; nothing heavy is imported before it is needed.
"""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from stn_cli.errors import MissingError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from stn_cli.core.sampling import Sampling
    from stn_cli.core.transformation import Transformation
    from stn_cli.engines.nvjpeg import NvJpeg

__all__ = ["DEVICES", "Engine", "Work", "choose", "gathering", "jpeg_on", "lacks"]

WORTH_A_GPU = 1_000_000_000  # bytes of image files; a guess until it is measured on a GPU
DEVICES = ("auto", "cpu", "cuda", "mps")
BATCH = 16  # images in one launch on a GPU, where nothing else is said


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What an engine is asked for: V (H', W', C) for one U.

    `image` is (H, W, C), C-contiguous, uint8, uint16 or float32, 1 ≤ C ≤ 5; V has the same dtype, and `out_size` = (H', W').
    With `alpha` the last channel is straight alpha.
    """

    image: "np.ndarray"
    transformation: "Transformation"
    out_size: tuple[int, int]
    sampling: "Sampling"
    alpha: bool = False

    @property
    def bytes(self) -> int:
        """Of the pixels in and out."""
        return self.image.nbytes + prod((*self.out_size, self.image.shape[2])) * self.image.itemsize


class Engine(Protocol):
    """Warps images; safe to call from several threads at once."""

    name: str

    def warp(self, work: Work, rows: tuple[int, int] | None = None) -> "np.ndarray":
        """V of `work`, or its rows (first, last + 1) alone, byte for byte what the whole would hold."""
        ...

    def warp_all(self, works: "Sequence[Work]") -> "list[np.ndarray]":
        """V for each of `works`, the same bytes as `warp` one by one; they may differ in everything."""
        ...


class File(Protocol):
    """What `choose` asks of a file: a path answers, and so does what stands behind a URL."""

    def is_file(self) -> bool: ...

    def stat(self) -> Any: ...


def choose(device: str = "auto", files: "Iterable[File]" = ()) -> tuple[Engine, str]:
    """The engine for `device`, and in a few words why it was taken.

    `auto` weighs the job, the bytes of its `files`, against the seconds that torch and CUDA take to start, and looks for a
    driver before it imports anything. It takes a GPU only where Triton works. Raises `OptionError` for an unknown name,
    `MissingError` for a device that is not here.
    """
    if device not in DEVICES:
        raise OptionError("--device", device, f"one of {', '.join(DEVICES)}")
    if device == "cuda":
        return _cuda(), "asked for"
    if device == "mps":
        return _mps(), "asked for"
    from stn_cli.engines.cpu import CpuEngine

    if device == "cpu":
        return CpuEngine(), "asked for"
    if not _nvidia_driver():
        return CpuEngine(), "there is no NVIDIA driver here"
    size = sum(path.stat().st_size for path in files if path.is_file())
    if size < WORTH_A_GPU:
        return CpuEngine(), f"{size / 1e6:.0f} MB are warped before torch and CUDA have started"
    try:
        engine = _cuda()
    except MissingError as missing:
        return CpuEngine(), str(missing)
    if why := lacks(engine):
        return CpuEngine(), why
    return engine, f"{size / 1e6:.0f} MB are worth the start of torch and CUDA"


def lacks(engine: Engine) -> str:
    """Why `engine`, asked for by its device, is not the fastest for it; empty where it is."""
    return getattr(engine, "lacks", "")


def gathering(engine: Engine, batch_size: int | None, timeout: float = float("inf")) -> tuple[Engine, int]:
    """The engine that makes batches of at most `batch_size` images, and how many images may wait for it.

    `timeout` is how many seconds an image has in all; its batch gets a third of them. A CPU warps one image a thread unless a
    batch is asked for; a GPU takes `BATCH` at once.
    """
    count = batch_size or (1 if engine.name == "cpu" else BATCH)
    if count == 1 and engine.name == "cpu":
        return engine, 0
    from stn_cli.engines.gathered import Gathered

    return Gathered(engine, count, patience=timeout / 3), count


def jpeg_on(engine: Engine) -> "tuple[NvJpeg | None, str]":
    """The JPEG codec of the device that `engine` warps on, if there is one, and in a few words why, or why not.

    `engine` is what `gathering` returns: pictures are coded in batches of the size that they are warped in.
    """
    from importlib.util import find_spec

    warping = getattr(engine, "engine", engine)
    if not warping.name.startswith("cuda (Triton)"):
        return None, f"{engine.name} has no JPEG codec of its own"
    if find_spec("torchvision") is None:
        return None, "torchvision is not installed (extra nvjpeg)"
    try:
        from stn_cli.engines.nvjpeg import NvJpeg

        return NvJpeg(warping, getattr(engine, "batch_size", BATCH)), (  # type: ignore[arg-type]
            "its pixels differ from libjpeg-turbo's by a few levels, by more at coloured edges"
        )
    # torchvision may be built without nvJPEG, or for another torch, or miss nvJPEG's library: then its operators are missing
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        return None, f"nvJPEG does not work here ({' '.join(str(error).split())[:200]})"


def _nvidia_driver() -> bool:
    """Whether an NVIDIA driver is here, told in less than a millisecond: by its tool, which a container may lack, or device."""
    from pathlib import Path
    from shutil import which

    return which("nvidia-smi") is not None or Path("/dev/nvidiactl").exists()


def _cuda() -> Engine:
    from stn_cli.engines.card import expect_cuda, why_no_triton

    expect_cuda()
    if why := why_no_triton():
        from stn_cli.engines.torch import TorchEngine

        return TorchEngine("cuda", lacks=f"{why}; torch warps instead, more slowly")
    from stn_cli.engines.cuda import CudaEngine

    return CudaEngine()


def _mps() -> Engine:
    import torch

    if not torch.backends.mps.is_available():
        raise MissingError("--device mps: torch finds no Apple GPU here")
    from stn_cli.engines.torch import TorchEngine

    return TorchEngine("mps")
