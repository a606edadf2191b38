"""Where half precision must not reach: θ, grids and sampling (bfloat16 grids are off by up to 1.75 pixels at width 1920)."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A block in which `torch.autocast` is off on `device`, where it is on outside."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
