"""What stands outside a picture, in the numbers of its own pixels: black is not zero in every mode."""

from dataclasses import replace

import numpy as np

from stn_cli.core.sampling import Sampling
from stn_cli.folders.picture import Frame

Colour = tuple[float, float, float, float]  # red, green, blue, alpha, 0…255

BLACK: Colour = (0.0, 0.0, 0.0, 255.0)
CLEAR: Colour = (0.0, 0.0, 0.0, 0.0)


def padded(frame: Frame, sampling: Sampling, colour: Colour | None = None) -> tuple[Frame, Sampling]:
    """The frame, and the sampling with its padding in the frame's own units.

    `zeros` looks black in every mode (transparent where the frame can be), also in CMYK and with a palette. With padding
    `fill`, `colour` is translated: to grey by ITU-R BT.601 luma, to CMYK by its complement, to 16 bits, to 0…1 in floats, to an
    index of the palette. A palette without the colour gains it; a full one makes the frame RGB. Without `colour` the fill of
    `sampling` is taken as it is, one number a channel.
    """
    if sampling.padding == "zeros":
        if frame.mode == "P":
            frame, values = _in_palette(frame, CLEAR if frame.transparent else BLACK)
        elif frame.mode == "CMYK" and frame.extra != "alpha":
            values = channels(frame, BLACK)
        else:
            return frame, sampling
        return frame, replace(sampling, padding="fill", fill=values)
    if sampling.padding != "fill" or colour is None:
        return frame, sampling
    if frame.mode == "P":
        frame, values = _in_palette(frame, colour)
    else:
        values = channels(frame, colour)
    return frame, replace(sampling, fill=values)


def channels(frame: Frame, colour: Colour) -> tuple[float, ...]:
    """`colour` as a pixel of `frame`, which has no palette."""
    top = float(np.iinfo(frame.pixels.dtype).max) if frame.pixels.dtype.kind == "u" else 1.0
    red, green, blue, alpha = (v / 255 for v in colour)
    if frame.mode in ("1", "L"):
        parts = [0.299 * red + 0.587 * green + 0.114 * blue]
    elif frame.mode == "CMYK":
        black = 1 - max(red, green, blue)
        parts = [(1 - v - black) / (1 - black) if black < 1 else 0.0 for v in (red, green, blue)] + [black]
    else:
        parts = [red, green, blue]
    if frame.mode == "1":
        return (float(parts[0] >= 0.5),)
    if frame.extra == "premultiplied":
        parts = [part * alpha for part in parts]
    if frame.extra:
        parts.append(alpha)
    return tuple(part * top for part in parts)


def _in_palette(frame: Frame, colour: Colour) -> tuple[Frame, tuple[float, ...]]:
    """The frame with `colour` in its palette, and the index; or the frame expanded, where there is no room."""
    assert frame.palette is not None
    wanted = np.array(colour).round().clip(0, 255).astype(np.uint8)[: frame.palette.shape[1]]
    if wanted[3:].tolist() == [0]:
        same = np.flatnonzero(frame.palette[:, 3] == 0)
    else:
        same = np.flatnonzero((frame.palette == wanted).all(axis=1))
    if len(same):
        return frame, (float(same[0]),)
    if len(frame.palette) < 256:
        return replace(frame, palette=np.vstack([frame.palette, wanted])), (float(len(frame.palette)),)
    frame = frame.expanded()
    return frame, channels(frame, colour)
