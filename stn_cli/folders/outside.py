"""What stands outside a picture, in its own mode: black is not zero in every mode, nor is every colour in a palette."""

from dataclasses import replace

import numpy as np

from stn_cli.core.sampling import Padding
from stn_cli.folders.colour import Colour
from stn_cli.folders.picture import Frame

_BLACK = Colour("black", rgba=(0.0, 0.0, 0.0, 1.0))
_CLEAR = Colour("transparent", rgba=(0.0, 0.0, 0.0, 0.0))


def padded(frame: Frame, padding: Padding, fill: Colour | None) -> tuple[Frame, Padding, tuple[float, ...] | None]:
    """(frame, padding, constant) to sample with, for `padding` and `fill` as a person said them.

    `zeros` look black in every mode, also in CMYK and with a palette, and transparent where the frame can be. A palette that
    lacks the colour gains it; a full one makes the frame RGB. Raises `OptionError` where the fill does not fit the channels.
    """
    if padding == "zeros" and frame.mode == "P":
        fill = _CLEAR if frame.transparent else _BLACK
    elif padding == "zeros" and frame.mode == "CMYK" and not frame.alpha:
        fill = _BLACK
    if fill is None:
        return frame, padding, None
    if frame.mode == "P" and fill.rgba is not None:
        frame = _with_colour(frame, fill)
    return frame, "fill", fill.on(frame)


def _with_colour(frame: Frame, colour: Colour) -> Frame:
    """The frame with `colour` in its palette, or expanded where there is no room."""
    assert frame.palette is not None
    if colour.index(frame) is not None:
        return frame
    if len(frame.palette) == 256:
        return frame.expanded()
    return replace(frame, palette=np.vstack([frame.palette, colour.bytes()[: frame.palette.shape[1]]]))
