"""How images are warped fast when nobody asks for a gradient.

One contract (`Engine`), tested against float64 references: `cpu` (numba), `torch` (any device torch has), `cuda` (Triton).
`choose` picks one and says why; nothing heavy is imported before it is needed.
"""

from typing import TYPE_CHECKING, Protocol

from stn_cli.errors import MissingError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from stn_cli.core.sampling import Sampling
    from stn_cli.core.transformation import Transformation

__all__ = ["DEVICES", "Engine", "choose"]

DEVICES = ("auto", "cpu", "cuda", "mps")


class Engine(Protocol):
    """Warps one image at a time; safe to call from several threads at once."""

    name: str

    def warp(
        self,
        image: "np.ndarray",
        transformation: "Transformation",
        out_size: tuple[int, int],
        sampling: "Sampling",
        *,
        alpha: bool = False,
        rows: tuple[int, int] | None = None,
    ) -> "np.ndarray":
        """V for one U.

        `image` is (H, W, C), C-contiguous, uint8, uint16 or float32, 1 ≤ C ≤ 5; the result is (H', W', C) of the same
        dtype, for `out_size` = (H', W'). `rows` = (first, last + 1) asks for that strip of the output alone, byte for
        byte what the whole would hold. With `alpha` the last channel is straight alpha.
        """
        ...


def choose(device: str = "auto") -> tuple[Engine, str]:
    """The engine for `device`, and in a few words why it was taken."""
    if device not in DEVICES:
        raise OptionError("--device", device, f"one of {', '.join(DEVICES)}")
    if device in ("auto", "cpu"):
        from stn_cli.engines.cpu import CpuEngine

        return CpuEngine(), "asked for" if device == "cpu" else "the job is small"
    raise MissingError(f"--device {device}: no such device here")
