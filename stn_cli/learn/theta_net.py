"""A localisation net as a source of θ: any picture in, θ for the full-resolution original out (`stn warp --net`).

A checkpoint's net sees what it was trained on: one channel, light ink on black, square. A picture is therefore made
grey, inverted where its rim is lighter than mid-grey (ink on paper), padded to a square with the background, and
reduced to the net's size. θ comes back in the frame of the picture itself, so that the output keeps its proportions.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stn_cli.core.coordinates import Size
from stn_cli.core.families import Family, ThinPlateSpline, family_for, make
from stn_cli.core.transformation import Transformation
from stn_cli.errors import FileError, OptionError, StnError
from stn_cli.learn import checkpoint

NETS = Path(__file__).parent.parent / "nets"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


class ThetaNet(Protocol):
    """What every net behind `--net` offers."""

    name: str

    def transformation(self, image: np.ndarray, out_size: Size | None = None) -> Transformation:
        """θ for `image` (H, W, C), uint8, uint16 or float in [0, 1], C from 1 to 4 (2 and 4: the last is alpha).

        The transformation maps points of an output of `out_size` (default: the image's) to points of the image.
        """
        ...


def open_net(net: str, weights: Path | None = None, family: str | None = None) -> ThetaNet:
    """What `--net` names: a checkpoint file, a net shipped with the package, or MODULE:CALLABLE with `weights`.

    Raises `OptionError` for a name that is none of these, `FileError` for a file that cannot be read as one.
    """
    path = Path(net)
    if path.suffix == ".safetensors" or path.is_file():
        _no(weights, "--weights", "goes with --net MODULE:CALLABLE")
        return CheckpointNet(checkpoint.load(path), family)
    if ":" in net:
        return _users(net, weights, family)
    _no(weights, "--weights", "goes with --net MODULE:CALLABLE")
    if net in shipped():
        return CheckpointNet(checkpoint.load(NETS / f"{net}.safetensors"), family)
    raise OptionError("--net", net, f"a file .safetensors, MODULE:CALLABLE, or one of {', '.join(shipped())}")


def shipped() -> tuple[str, ...]:
    """The names of the nets that come with the package."""
    return tuple(sorted(path.stem for path in NETS.glob("*.safetensors")))


class CheckpointNet:
    """The localisation net of a checkpoint."""

    def __init__(self, found: checkpoint.Checkpoint, family: str | None = None) -> None:
        if found.net.localisation is None or found.net.transformer is None:
            raise OptionError("--net", found.name, "a net with a spatial transformer (st-fcn or st-cnn) is needed")
        self.family: Family = found.net.transformer.family
        if family not in (None, self.family.name):
            raise OptionError("--family", family, f"the net {found.name!r} gives {self.family.name}")
        self.name, self.side, self._net = found.name, found.net.design.in_size, found.net.localisation

    def transformation(self, image: np.ndarray, out_size: Size | None = None) -> Transformation:
        U = as_seen(image, self.side)
        with torch.inference_mode():
            theta = self._net(U)[0].double().numpy()
        return to_picture(Transformation(self.family, theta), image.shape[:2], out_size or image.shape[:2])


def as_seen(image: np.ndarray, side: int) -> Tensor:
    """A picture (H, W, C) as a net of digits sees it: (1, 1, side, side) float32 in [0, 1], background 0."""
    U = _as_tensor(image, 1)
    rim = torch.cat([U[..., 0, :].flatten(), U[..., -1, :].flatten(), U[..., 0].flatten(), U[..., -1].flatten()])
    if rim.median() > 0.5:
        U = 1 - U
    height, width = U.shape[-2:]
    high, wide = (max(height, width) - n for n in (height, width))
    U = F.pad(U, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    return F.interpolate(U, (side, side), mode="bilinear", antialias=True, align_corners=False)


def to_picture(made: Transformation, in_size: Size, out_size: Size) -> Transformation:
    """T_θ between squares → the same between an output and a picture that lie centred in those squares.

    Exact where the family has a matrix (the result is then affine or projective) and for square sizes. The control
    points of a spline are taken along. Raises `StnError` for the other families on pictures that are not square.
    """
    if in_size[0] == in_size[1] and out_size[0] == out_size[1]:
        return made
    to_input, from_output = _shape(in_size), 1 / _shape(out_size)
    matrix = made.matrix()
    if matrix is not None:
        return Transformation.from_matrix(np.diag([*to_input, 1.0]) @ matrix @ np.diag([*from_output, 1.0]))
    if isinstance(made.family, ThinPlateSpline):
        points = np.array(made.family.control_points) / from_output
        family = ThinPlateSpline(smoothing=made.family.smoothing, control_points=tuple(map(tuple, points.tolist())))
        return Transformation(family, (made.theta.reshape(-1, 2) * to_input).reshape(-1))
    raise StnError(f"a net of the family {made.family.name} takes square pictures only: pad this one to a square")


def _shape(size: Size) -> np.ndarray:
    """From the frame of the square around an image of `size` to the frame of the image: factors (x, y)."""
    return max(size) / np.array([size[1], size[0]], dtype=np.float64)


def _as_tensor(image: np.ndarray, channels: int) -> Tensor:
    """(H, W, C) of any depth → (1, `channels`, H, W) float32 in [0, 1]; grey by luma, transparent is black."""
    scale = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    U = torch.from_numpy(image.astype(np.float32) / np.float32(scale))
    U = U[..., None] if U.ndim == 2 else U
    if U.shape[-1] in (2, 4):
        U = U[..., :-1] * U[..., -1:]
    if channels == 1 and U.shape[-1] == 3:
        U = (U * U.new_tensor(LUMA)).sum(-1, keepdim=True)
    if channels == 3 and U.shape[-1] == 1:
        U = U.expand(-1, -1, 3)
    return U.permute(2, 0, 1)[None].contiguous()


@dataclass
class UsersNet:
    """A localisation net of the user's own.

    It is called with U (1, C, H, W) float32 in [0, 1]: the picture as it is, or where the net has them, brought to its
    attributes `input_size` (height, width) and `input_channels` (1 or 3).
    """

    name: str
    net: Callable[[Tensor], Tensor]
    family: str | None

    def transformation(self, image: np.ndarray, out_size: Size | None = None) -> Transformation:
        del out_size  # θ is normalised: it fits an output of any size
        channels = getattr(self.net, "input_channels", None)
        plain = {1: 1, 2: 1, 3: 3, 4: 3}.get(1 if image.ndim == 2 else image.shape[2], 3)
        U = _as_tensor(image, channels or plain)
        size = getattr(self.net, "input_size", None)
        if size is not None:
            U = F.interpolate(U, tuple(size), mode="bilinear", antialias=True, align_corners=False)
        try:
            with torch.inference_mode():
                theta = self.net(U)
        except Exception as error:  # whatever the user's code raises is theirs to read, in one line
            raise StnError(
                f"{self.name} failed on an input {tuple(U.shape)}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(theta, Tensor) or theta.ndim != 2 or theta.shape[0] != 1:
            shape = tuple(theta.shape) if isinstance(theta, Tensor) else type(theta).__name__
            raise StnError(f"{self.name} gave {shape}; (N, size) is needed, here (1, size)")
        row = theta[0].double().cpu().numpy()
        return Transformation(family_for(len(row), self.family), row)


def _users(spec: str, weights: Path | None, family: str | None) -> UsersNet:
    """MODULE:CALLABLE: this runs the user's code, because they named it."""
    module_name, _, attribute = spec.partition(":")
    if family is not None:
        make(family)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError("--net", spec, f"MODULE:CALLABLE ({error})") from error
    except Exception as error:
        raise OptionError("--net", spec, f"importing it failed: {type(error).__name__}: {error}") from error
    if _makes_a_net(found):
        try:
            found = found()
        except Exception as error:
            raise OptionError("--net", spec, f"making it failed: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise OptionError("--net", spec, "a callable (N, C, H, W) → (N, size) is needed")
    net: Any = found
    if isinstance(found, nn.Module):
        found.eval()
    if weights is not None:
        _load_weights(found, weights)
    return UsersNet(spec, net, family)


def _makes_a_net(found: Any) -> bool:
    """A class, or a function that needs no argument, makes a net; anything else is one."""
    if inspect.isclass(found):
        return True
    if isinstance(found, nn.Module) or not callable(found):
        return False
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL))
    return not any(p.default is p.empty for p in positional)


def _load_weights(net: Any, path: Path) -> None:
    if not isinstance(net, nn.Module):
        raise OptionError("--weights", path, "the callable of --net is no torch module: it takes no weights")
    tensors, _ = checkpoint.read(path)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(path, f"does not fit the net: {' '.join(str(error).split())[:300]}") from error


def _no(value: Any, option: str, reason: str) -> None:
    if value is not None:
        raise OptionError(option, value, reason)
