"""Does a format hold this content? What it cannot hold is refused, never narrowed."""

from dataclasses import replace
from functools import cache
from operator import is_

import numpy as np

from stn_cli.folders.codecs.base import CodecError
from stn_cli.folders.formats import FORMATS, READ_ONLY
from stn_cli.folders.picture import Frame, Picture

_DEPTHS = {"uint16": "16 bits a sample", "float32": "32-bit float samples"}


def fit(picture: Picture, target: str, background: tuple[int, int, int] | None = None) -> Picture:
    """The picture as a writer of `target` takes it. Raises `CodecError` that says what does not fit and what would do."""
    if target in READ_ONLY or target not in FORMATS:
        raise CodecError(f"stn reads {target.upper()} but does not write it; use --format png, jpeg, webp or tiff")
    into = FORMATS[target]
    count = len(picture.frames)
    if count > 1 and picture.animated and not into.animation:
        raise CodecError(
            f"an animation of {count} frames does not fit into {into.title}; use --format keep, png or webp"
        )
    if count > 1 and not picture.animated and not into.pages:
        raise CodecError(f"{count} pages do not fit into {into.title}; use --format keep or tiff")
    if picture.animated and len({frame.size for frame in picture.frames}) > 1:
        raise CodecError("the frames of an animation must be of one size")
    frames = tuple(_fit_frame(frame, into.name, background) for frame in picture.frames)
    return picture if all(map(is_, frames, picture.frames)) else picture.with_frames(frames)


def _fit_frame(frame: Frame, target: str, background: tuple[int, int, int] | None) -> Frame:
    into = FORMATS[target]
    if max(frame.size) > into.largest or min(frame.size) < 1:
        raise CodecError(f"{frame.size[1]}×{frame.size[0]} pixels; {into.title} takes 1 to {into.largest} a side")
    if frame.reduced != 1:
        raise ValueError("a reduced frame is for warping, not for writing")
    depth = _name(frame.pixels.dtype)
    if depth not in into.depths:
        raise CodecError(f"{_DEPTHS.get(depth, depth)} do not fit into {into.title}; use --format {_deep(depth)}")
    if frame.mode == "CMYK" and "CMYK" not in into.modes:
        raise CodecError(f"CMYK does not fit into {into.title}; use --format keep, jpeg or tiff")
    if frame.mode not in into.modes or (frame.mode == "P" and frame.transparent and target == "tiff"):
        frame = frame.expanded()
    if target == "tiff":
        return frame
    if frame.extra == "unspecified":
        raise CodecError(f"an extra channel of unknown meaning does not fit into {into.title}; use --format tiff")
    if frame.extra == "premultiplied":
        frame = _straight(frame)
    if frame.alpha and not into.alpha:
        if background is None:
            raise CodecError(
                f"an alpha channel does not fit into {into.title}; use --format png or webp, or give --fill to paint it on"
            )
        frame = _painted(frame, background)
    return frame


@cache
def _name(dtype: np.dtype) -> str:
    return dtype.name


def _deep(depth: str) -> str:
    return "tiff" if depth == "float32" else "png or tiff"


def _straight(frame: Frame) -> Frame:
    """Associated alpha made straight: colours divided by it."""
    top = 1.0 if frame.pixels.dtype.kind == "f" else float(np.iinfo(frame.pixels.dtype).max)
    alpha = frame.pixels[..., -1:].astype(np.float64)
    colours = frame.pixels[..., :-1] * np.divide(top, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    if frame.pixels.dtype.kind == "u":
        colours = np.minimum(np.floor(colours + 0.5), top)
    pixels = np.concatenate([colours.astype(frame.pixels.dtype), frame.pixels[..., -1:]], axis=2)
    return replace(frame, pixels=pixels, extra="alpha")


def rgb(frame: Frame) -> Frame:
    """Grey made RGB, whatever follows it kept; other modes are themselves."""
    if frame.mode != "L":
        return frame
    colours = np.repeat(frame.pixels[..., :1], 3, axis=2)
    return replace(frame, pixels=np.concatenate([colours, frame.pixels[..., 1:]], axis=2), mode="RGB")


def _painted(frame: Frame, background: tuple[int, int, int]) -> Frame:
    """A uint8 or uint16 frame composited on a colour; grey stays grey on a grey."""
    scale = float(np.iinfo(frame.pixels.dtype).max) / 255
    if frame.mode == "L" and len(set(background)) > 1:
        frame = rgb(frame)
    colour = np.array(background[: frame.pixels.shape[2] - 1], np.float64) * scale
    alpha = frame.pixels[..., -1:] / (255 * scale)
    painted = frame.pixels[..., :-1] * alpha + colour * (1 - alpha)
    return replace(frame, pixels=np.floor(painted + 0.5).astype(frame.pixels.dtype), extra=None)
