"""A warped frame or picture differs from its source in what a warp changes, and in nothing else, whatever fields there are."""

from dataclasses import fields

import numpy as np

from stn_cli.core.need import Window
from stn_cli.folders.picture import Frame, Metadata, Picture


def differing(a, b):
    return {field.name for field in fields(a) if getattr(a, field.name) is not getattr(b, field.name)}


def test_a_frame_with_other_pixels_keeps_what_is_not_about_pixels():
    table = np.zeros((3, 4), np.uint8)
    frame = Frame(np.zeros((2, 3, 1), np.uint8), "P", "alpha", table, 40.0, 2, (4, 6), Window(0, 0, 1, 1))
    assert not {f.name for f in fields(Frame) if getattr(frame, f.name) is f.default}
    warped = frame.with_pixels(np.zeros((5, 7, 1), np.uint8))
    assert differing(frame, warped) == {"pixels", "reduced", "full_size", "window"}
    assert (warped.reduced, warped.full_size, warped.window) == (1, (5, 7), None)


def test_a_picture_with_other_frames_keeps_the_rest():
    frame = Frame(np.zeros((2, 3, 1), np.uint8), "L")
    picture = Picture((frame,), "gif", Metadata(icc=b"1"), True, 0, {"subsampling": "420"}, ("left behind",))
    assert not {f.name for f in fields(Picture) if getattr(picture, f.name) is f.default}
    assert differing(picture, picture.with_frames([frame, frame])) == {"frames"}
