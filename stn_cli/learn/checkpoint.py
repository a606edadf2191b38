"""Checkpoints: one `.safetensors` file whose header rebuilds the net. Nothing is ever unpickled.

The header is JSON under the key "stn" of the file's metadata::

    {"format": 1, "version": "0.1.0", "design": {…}, "data": "mnist", "distortion": "R",
     "input": {"channels": 1, "range": [0, 1], "background": 0}, "sampling": {…}, "training": {…}}

A design is believed only within bounds, and the tensors must be exactly those of the net that it describes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from stn_cli import __version__
from stn_cli.core.families import FAMILIES
from stn_cli.errors import FileError, StnError
from stn_cli.learn import whole
from stn_cli.learn.distortions import DISTORTIONS
from stn_cli.learn.networks import MODELS, Design, Network

FORMAT = 1
MOST_HEADER = 1 << 20
MOST_BYTES = 256 << 20
MOST_PARAMETERS = 20_000_000
MOST_SIDE = 512
MOST_POINTS = 1024  # of a lattice or a field
INPUT = {"channels": 1, "range": [0, 1], "background": 0}
SAMPLING = {"kernel": "bilinear", "padding": "zeros", "align_corners": False}


@dataclass(frozen=True)
class Checkpoint:
    """A net as it was trained, in evaluation mode, and the header it came with."""

    net: Network
    header: dict[str, Any]

    @property
    def name(self) -> str:
        """In words: what it is and what it has learnt."""
        design, head = self.net.design, self.header
        family = f" {design.family}" if design.family else ""
        return f"{design.model}{family}, trained on {head['data']} {head['distortion']}"


def save(path: Path, net: Network, data: str, distortion: str, training: Mapping[str, Any]) -> None:
    """Write a checkpoint, all or nothing. `training` is any JSON: seed, epochs, errors."""
    header = {
        "format": FORMAT, "version": __version__, "design": net.design.as_dict(), "data": data,
        "distortion": distortion, "input": INPUT, "sampling": SAMPLING, "training": dict(training),
    }  # fmt: skip
    write(path, net.state_dict(), {"stn": json.dumps(header)})


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises `FileError` for what is not one, is damaged or cut, or asks for the absurd."""
    tensors, metadata = read(path)
    if "stn" not in metadata:
        raise FileError(path, "a .safetensors file, but not a checkpoint of stn train-mnist (no header \"stn\"); "
                        "for a net of your own say --net MODULE:CALLABLE --weights FILE")  # fmt: skip
    try:
        header = json.loads(metadata["stn"])
    except ValueError as error:
        raise FileError(path, f"its header is damaged ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        given = header.get("format") if isinstance(header, dict) else None
        made = header.get("version") if isinstance(header, dict) else None
        raise FileError(path, f"checkpoint format {given!r} of stn {made!r}; stn {__version__} reads format {FORMAT}")
    try:
        design = _design(header)
        net = _empty(design)
        _check(net, tensors)
    except (StnError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FileError(path, f"its header describes no net: {_line(error)}") from error
    net.load_state_dict(tensors, assign=True)
    return Checkpoint(net.to(memory_format=torch.channels_last).eval(), header)  # type: ignore[call-overload]  # torch's stub forgets it


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """A `.safetensors` file by way of a temporary name, so that a reader sees the old one or the new one."""
    content = tensor_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)
    whole.write(path, content, sync=True)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a `.safetensors` file. Raises `FileError`; reads no more than it should."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise FileError(path, f"{size} bytes; a checkpoint has at most {MOST_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from error
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 2 <= length <= MOST_HEADER or content[8:9] != b"{":
        if content[:2] == b"PK" or content[:1] == b"\x80":
            raise FileError(
                path, "a pickled torch file; only .safetensors is read (write it with safetensors.torch.save_file)"
            )
        raise FileError(path, "not a .safetensors file")
    if len(content) < 8 + length:
        raise FileError(path, f"cut: {len(content)} bytes, its header alone has {length}")
    try:
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        return parse_tensors(content), metadata if isinstance(metadata, dict) else {}
    except (SafetensorError, ValueError, KeyError, RecursionError, AttributeError) as error:
        raise FileError(path, f"damaged or cut ({_line(error)})") from error


def _design(header: Mapping[str, Any]) -> Design:
    given = header["design"]
    if set(given) != {f.name for f in fields(Design)}:
        raise ValueError(f"the design has the keys {sorted(given)}")
    _choice("model", given["model"], MODELS)
    _whole("in_size", given["in_size"], 4, MOST_SIDE)
    _whole("width", given["width"], 1, 4096)
    _whole("hidden", given["hidden"], 0, 4096)
    _whole("loc_filters", given["loc_filters"], 0, 1024)
    _wholes("kernels", given["kernels"], 2, 2, 1, 64)
    spatial = given["model"].startswith("st-")
    if given["st_size"] is not None:
        _whole("st_size", given["st_size"], 4, MOST_SIDE)
    for name in ("pool", "feed_theta"):
        if not isinstance(given[name], bool):
            raise ValueError(f"{name} is {given[name]!r}")
    if spatial:
        _wholes("loc_hidden", given["loc_hidden"], 1, 8, 1, 4096)
        _choice("family", given["family"], tuple(FAMILIES))
        _family_options(given["family_options"])
    elif given["family"] is not None:
        raise ValueError(f"a {given['model']} has no transformer, but the family {given['family']!r}")
    if not isinstance(header["data"], str) or len(header["data"]) > 200:
        raise ValueError("the name of the data set is missing")
    _choice("distortion", header["distortion"], DISTORTIONS)
    for name, expected in (("input", INPUT), ("sampling", SAMPLING)):
        if header[name] != expected:
            raise ValueError(f"{name} {header[name]!r} instead of {expected!r}")
    return Design(**given)


def _family_options(options: Any) -> None:
    if not isinstance(options, dict) or len(json.dumps(options)) > 64 * MOST_POINTS:
        raise ValueError("the options of the family are too many")
    shape = options.get("shape", (1, 1))
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise ValueError(f"shape {shape!r}")
    for side in shape:
        _whole("shape", side, 1, MOST_POINTS)
    if shape[0] * shape[1] > MOST_POINTS:
        raise ValueError(f"a family of {shape[0]}×{shape[1]} points; at most {MOST_POINTS} are taken")
    if len(options.get("control_points", ())) > MOST_POINTS:
        raise ValueError(f"more than {MOST_POINTS} control points")


def _empty(design: Design) -> Network:
    """The net without memory for its weights; they come from the file."""
    with torch.device("meta"):
        net = Network(design)
    if net.parameter_count() > MOST_PARAMETERS:
        raise ValueError(f"{net.parameter_count()} parameters; at most {MOST_PARAMETERS} are taken")
    return net


def _check(net: Network, tensors: Mapping[str, Tensor]) -> None:
    wanted = {name: tuple(t.shape) for name, t in net.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if wanted != found:
        first = next(iter(sorted(set(wanted.items()) ^ set(found.items()))))[0]
        raise ValueError(f"tensor {first!r} is {found.get(first, 'missing')}, {wanted.get(first, 'none')} is needed")
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not torch.isfinite(tensor).all():
            raise ValueError(f"tensor {name!r} does not hold finite float32 numbers")


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} {str(value)[:40]!r} is none of {', '.join(allowed)}")


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} {str(value)[:40]!r} is not a whole number from {low} to {high}")


def _wholes(name: str, values: Any, least: int, most: int, low: int, high: int) -> None:
    if not isinstance(values, list) or not least <= len(values) <= most:
        raise ValueError(f"{name} {str(values)[:40]!r} is not a list of {least} to {most} numbers")
    for value in values:
        _whole(name, value, low, high)


def _line(error: Exception) -> str:
    text = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:200]
