"""What a warp is said to need is all that it reads: with the rest of the image poisoned the bytes are the same."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stn_cli.core.need import window
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.cpu import CpuEngine

ENGINE = CpuEngine()
numbers = st.floats(-1, 1)
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@settings(max_examples=100, deadline=None)
@given(
    zoom=st.floats(0.02, 2),
    linear=st.tuples(numbers, numbers, numbers, numbers),
    shift=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)),
    tilt=st.just((0, 0)) | st.tuples(numbers, numbers),
    in_size=sizes,
    out_size=st.tuples(st.integers(1, 30), st.integers(1, 40)),
    sampling=st.builds(
        Sampling, kernel=st.sampled_from(["nearest", "bilinear", "bicubic"]),
        padding=st.sampled_from(["zeros", "border", "reflection"]), align_corners=st.booleans(),
        antialias=st.sampled_from(["auto", "on", "off"]),
    ),
    layout=st.sampled_from((("uint8", 1), ("uint8", 3), ("float32", 1))),
)  # fmt: skip
@example(0.2, (1, 0, 0, 1), (0.3, 0.1), (0, 0), (80, 90), (30, 40), Sampling(), ("uint8", 3))
@example(1.0, (1, 0, 0, 1), (1.3, 0.1), (0, 0), (80, 90), (9, 9), Sampling(), ("uint8", 3))
def test_nothing_else_is_read(zoom, linear, shift, tilt, in_size, out_size, sampling, layout):
    dtype, channels = layout
    a, b, c, d = (zoom * v for v in linear)
    made = Transformation.from_matrix(np.array([[a, b, shift[0]], [c, d, shift[1]], [*tilt, 1.0]]))
    part = window(made, in_size, out_size, sampling.kernel, sampling.padding, sampling.align_corners)
    if part is None:
        return
    top, left, bottom, right = part
    assert 0 <= top < bottom <= in_size[0]
    assert 0 <= left < right <= in_size[1]
    image = (np.random.default_rng(0).random((*in_size, channels)) * 255).astype(dtype)
    seen = []
    for poison in (0, 199):
        spoilt = np.full_like(image, poison)
        spoilt[top:bottom, left:right] = image[top:bottom, left:right]
        seen.append(ENGINE.warp(Work(spoilt, made, out_size, sampling)))
    assert np.array_equal(seen[0], ENGINE.warp(Work(image, made, out_size, sampling)))
    assert np.array_equal(*seen)


def test_a_zoom_needs_its_middle():
    zoomed = Transformation.from_matrix(np.diag([0.25, 0.25, 1.0]))
    top, left, bottom, right = window(zoomed, (3000, 4000), (600, 800), "bilinear", "zeros")
    assert (bottom - top) * (right - left) < 1.03 * 750 * 1000
    assert window(zoomed, (3000, 4000), (600, 800), "bilinear", "reflection") == (top, left, bottom, right)


def test_what_cannot_be_bounded_needs_everything():
    far = Transformation.from_matrix(np.diag([1.2, 1.2, 1.0]))
    horizon = Transformation.from_matrix(np.array([[0.1, 0, 0], [0, 0.1, 0], [1.5, 0, 1.0]]))
    assert window(far, (30, 40), (30, 40), "bilinear", "reflection") is None
    assert window(far, (30, 40), (30, 40), "bilinear", "zeros") is None
    assert window(horizon, (30, 40), (30, 40), "bilinear", "zeros") is None
