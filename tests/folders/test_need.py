"""Files read in part: the pixels asked for are those of the whole, wherever the camera's way up puts them."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from stn_cli.core.need import Need, Window
from stn_cli.errors import FileError
from stn_cli.folders.codecs import Reading, base, decode, read
from stn_cli.folders.codecs.base import turned_window, unturned_window

SIZE = (97, 131)
WINDOW = Window(20, 31, 45, 80)  # of the upright picture


def noise(channels: int, dtype: type = np.uint8) -> np.ndarray:
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = (np.random.default_rng(1).random((*SIZE, channels)) * top).astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def tiff(pixels: np.ndarray, turn: int = 1, **options: object) -> bytes:
    out = io.BytesIO()
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        options["extrasamples"] = [2]
    with tifffile.TiffWriter(out, byteorder=options.pop("byteorder", "<")) as file:
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        file.write(pixels, photometric=photometric, extratags=[(274, 3, 1, turn, True)], metadata=None, **options)
    return out.getvalue()


def png(pixels: np.ndarray, turn: int = 1, **options: object) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    exif[274] = turn
    Image.fromarray(pixels).save(out, "PNG", exif=exif, icc_profile=b"a profile", dpi=(150, 150), **options)
    return out.getvalue()


FILES = {
    "png": lambda turn: png(noise(3), turn),
    "png grey": lambda turn: png(noise(1), turn),
    "png alpha": lambda turn: png(noise(4), turn),
    "png 16 bits": lambda turn: imagecodecs.png_encode(noise(3, np.uint16)),
    "png interlaced": lambda turn: imagecodecs.png_encode(noise(3)),
    "tiff": lambda turn: tiff(noise(3), turn),
    "tiff strips": lambda turn: tiff(noise(3), turn, rowsperstrip=7),
    "tiff deflated": lambda turn: tiff(noise(3, np.uint16), turn, rowsperstrip=8, compression="deflate", predictor=True),
    "tiff tiles": lambda turn: tiff(noise(4), turn, tile=(16, 32), compression="lzw"),
    "tiff grey floats": lambda turn: tiff(noise(1, np.float32), turn, tile=(32, 16), compression="zstd", predictor=3),
    "tiff big-endian": lambda turn: tiff(noise(3, np.uint16), turn, byteorder=">"),
    "tiff jpeg": lambda turn: tiff(noise(3), turn, tile=(32, 32), compression="jpeg"),
    "tiff planes": lambda turn: tiff(np.moveaxis(noise(3), 2, 0), turn, planarconfig="separate"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Pixels that are not decoded hold what no picture does; the fixture says how many frames had such."""
    made = []

    def blank(shape, dtype):
        made.append(shape)
        return np.full(shape, 77, dtype)

    for module in ("base", "png", "tiff"):
        monkeypatch.setattr(f"stn_cli.folders.codecs.{module}.blank", blank)
    return made


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", FILES)
def test_a_part_is_that_of_the_whole(name, turn, poisoned):
    data = FILES[name](turn)
    asked = []
    whole = decode(data, Reading())
    part = decode(data, Reading(need=lambda size: asked.append(size) or Need(1, WINDOW)))
    top, left, bottom, right = WINDOW
    a, b = part.frames[0].pixels, whole.frames[0].pixels
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert np.array_equal(a[top:bottom, left:right], b[top:bottom, left:right])
    assert part.full_size == whole.full_size
    assert part.metadata == whole.metadata
    assert (part.coding, part.notes) == (whole.coding, whole.notes)
    if poisoned:  # where a part was decoded, it was less than the whole
        assert asked == [whole.full_size]
        assert not np.array_equal(a, b)


@pytest.mark.parametrize("name", ["png", "png grey", "png alpha", "tiff", "tiff strips", "tiff tiles", "tiff deflated"])
def test_the_rest_is_left_alone(name, poisoned):
    decode(FILES[name](1), Reading(need=lambda size: Need(1, WINDOW)))
    assert poisoned


def test_only_the_strips_that_count_are_read(monkeypatch):
    sizes = []
    read = tifffile.FileHandle.read_segments

    def spy(self, offsets, *rest, **options):
        sizes.append(len(offsets))
        return read(self, offsets, *rest, **options)

    monkeypatch.setattr(tifffile.FileHandle, "read_segments", spy)
    decode(FILES["tiff deflated"](1), Reading(need=lambda size: Need(1, WINDOW)))
    decode(FILES["tiff tiles"](1), Reading(need=lambda size: Need(1, WINDOW)))
    assert sizes == [4, 2 * 3]  # rows 20…44 in strips of 8; and with columns 31…79 in tiles of 16 × 32


def test_limits_are_those_of_the_whole():
    for name in ("png", "tiff strips"):
        with pytest.raises(base.CodecError, match="--max-pixels"):
            decode(FILES[name](1), Reading(max_pixels=SIZE[0] * SIZE[1] - 1, need=lambda size: Need(1, WINDOW)))


@pytest.mark.parametrize("turn", range(1, 9))
def test_windows_turn_as_pixels_do(turn):
    size = (7, 11)
    marked = np.zeros((*size, 1), np.uint8)
    marked[1:4, 2:9] = 1
    upright = base.stand_up(base.Frame(marked, "L"), turn).pixels[..., 0]
    top, left, bottom, right = window = turned_window(Window(1, 2, 4, 9), size, turn)
    assert upright[top:bottom, left:right].all()
    assert upright.sum() == (bottom - top) * (right - left) == 21
    assert unturned_window(window, size, turn) == (1, 2, 4, 9)


@pytest.mark.parametrize("name", ["png", "tiff strips", "tiff deflated"])
def test_a_file_that_is_cut_off_is_refused_though_what_is_needed_is_there(name, tmp_path):
    (tmp_path / "cut").write_bytes(FILES[name](1)[:-2000])
    for reading in (Reading(), Reading(need=lambda size: Need(1, Window(0, 0, 9, 9)))):
        with pytest.raises(FileError):
            read(tmp_path / "cut", reading)
