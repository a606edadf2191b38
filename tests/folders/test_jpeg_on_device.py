"""Which JPEGs are decoded where they will be warped, and what is said of the others. The device is a stand-in without a GPU."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from stn_cli.folders.codecs import Reading, decode

SIZE = (24, 40)
PIXELS = np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


class Device:
    """Decodes as the CPU does, and notes that it did; `fails` with what torch would raise."""

    def __init__(self, fails: str | None = None) -> None:
        self.fails, self.asked = fails, 0

    def decode(self, data: bytes, size: tuple[int, int], turn: int) -> np.ndarray:
        self.asked += 1
        if self.fails is not None:
            raise RuntimeError(self.fails)
        assert (size, turn) == (SIZE, 1)
        return simplejpeg.decode_jpeg(data)


def saved(mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def read(data: bytes, device: Device | None) -> tuple[np.ndarray, list[str]]:
    told: list[str] = []
    picture = decode(data, Reading(device=device, told=told.append))  # type: ignore[arg-type]
    return picture.frames[0].pixels, told


def test_a_plain_one_is_decoded_there() -> None:
    device = Device()
    pixels, told = read(saved(), device)
    assert (device.asked, told) == (1, [])
    np.testing.assert_array_equal(pixels, read(saved(), None)[0])


KINDS = {
    "grey": saved("L"),
    "CMYK": saved("CMYK"),
    "progressive": saved(progressive=True),
    "stored as RGB": saved(keep_rgb=True),
}


@pytest.mark.parametrize("why", KINDS)
def test_other_kinds_are_left_to_the_cpu_which_is_told(why: str) -> None:
    device = Device()
    pixels, told = read(KINDS[why], device)
    assert (device.asked, told) == (0, [why])
    np.testing.assert_array_equal(pixels, read(KINDS[why], None)[0])


def test_one_that_the_device_refuses_is_decoded_by_the_cpu() -> None:
    device = Device("out of\n  memory")
    pixels, told = read(saved(), device)
    assert (device.asked, told) == (1, ["out of memory"])
    np.testing.assert_array_equal(pixels, read(saved(), None)[0])


def test_one_that_is_cut_off_is_refused_by_the_cpu() -> None:
    device = Device()
    with pytest.raises(OSError, match="truncated"):
        read(saved()[:-60], device)
    assert device.asked == 0
