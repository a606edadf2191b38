"""What cannot be read or held is refused in words that name the trouble, one case a reason."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.errors import FileError, OptionError
from stn_cli.folders import exif, grids
from stn_cli.folders.codecs import CodecError, Reading, encode, jpeg_segments, read
from stn_cli.folders.picture import Frame, Metadata, Picture
from stn_cli.folders.preview import preview
from stn_cli.folders.theta_file import read_thetas
from tests.corpus.bases import pillow, tiff

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
RGB = np.repeat(GREY[..., None], 3, 2)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(bits: int, colour: int, rows: bytes, *more: bytes, size: tuple[int, int] = (6, 5)) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join((header, *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")))


def jpeg(*segments: tuple[int, bytes], end: bytes = b"\xff\xda") -> bytes:
    body = b"".join(b"\xff" + bytes((kind,)) + struct.pack(">H", len(data) + 2) + data for kind, data in segments)
    return b"\xff\xd8" + body + end + b"\0\x08\1\1\0\0\x3f\0" * 2


def retagged(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF file with another number in one of its tags."""
    changed = bytearray(data)
    first = struct.unpack_from("<I", data, 4)[0]
    for entry in range(first + 2, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] == tag:
            struct.pack_into("<I", changed, entry + 8, value)
            return bytes(changed)
    raise AssertionError(f"no tag {tag}")


ROWS8 = b"".join(b"\0" + bytes(18) for _ in range(5))  # filter byte and six RGB pixels
SOF = b"\x08" + struct.pack(">HH", 5, 6) + b"\1\1\x11\0"
ICC = b"ICC_PROFILE\0"

UNREADABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "unknown": (b"once upon a time", "no known format"),
    # PNG
    "png of no kind": (png(8, 5, ROWS8), "colour type 5 and 8 bits does not exist"),
    "png with 3 bits": (png(3, 0, ROWS8), "colour type 0 and 3 bits does not exist"),
    "png without palette": (png(8, 3, ROWS8), "lacks its palette"),
    "png without pixels": (png(8, 2, ROWS8).replace(b"IDAT", b"abCd"), "holds no pixels"),
    "png that is short": (png(16, 0, b"\0" + bytes(12)), "fewer pixels than its header says"),
    "png that is long": (png(16, 0, bytes(13 * 9)), "more pixels than its header says"),
    "png without height": (png(8, 2, ROWS8, size=(6, 0)), "an empty image"),
    "apng with 16 bits": (png(16, 2, bytes(37 * 5), chunk(b"acTL", struct.pack(">II", 2, 0))), "16 bits a sample"),
    "apng with millions of frames": (
        png(8, 2, ROWS8, chunk(b"acTL", struct.pack(">II", 5_000_000, 0)), chunk(b"fcTL", bytes(26))),
        "frames; at most",
    ),
    # JPEG
    "jpeg that ends": (jpeg((0xE0, b"JFIF\0"))[:12], "ends in its header"),
    "jpeg with a short segment": (jpeg() [:2] + b"\xff\xe1\0\1" + bytes(30), "ends in its header"),
    "jpeg with 12 bits": (jpeg((0xC1, b"\x0c" + SOF[1:])), "12 bits a sample, which stn cannot keep"),
    "jpeg without a frame": (jpeg((0xFE, b"words")), "holds no picture"),
    "jpeg with half a frame": (jpeg((0xC0, SOF[:5])), "ends in its header"),
    "jpeg with an absurd profile": (
        jpeg((0xC0, SOF), *[(0xE2, ICC + bytes((i, 2)) + bytes(60_000)) for i in (1, 2)]), "profile is absurdly large",
    ),
    "jpeg with a frame too few": (jpeg((0xC0, SOF[:5] + b"\3\1\x11\0")), "ends in its header"),
    # TIFF
    "tiff of 64-bit floats": (tiff(GREY.astype(np.float64)), "64-bit float samples"),
    "tiff of signed numbers": (tiff(GREY.astype(np.int16)), "16-bit signed samples"),
    "tiff of complex numbers": (tiff(GREY.astype(np.complex64)), "64-bit complex samples"),
    "tiff of six channels": (tiff(np.zeros((5, 6, 6), np.uint8), photometric="rgb", planarconfig="contig"), "6 samples"),
    "tiff of a volume": (tiff(np.zeros((16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16)), "volumes"),
    "tiff of CIELAB": (tiff(RGB, photometric="cielab"), "photometric interpretation CIELAB"),
    "tiff with white zero in floats": (tiff(GREY.astype(np.float32), photometric="miniswhite"), "whose zero is white"),
    "tiff with a deep palette": (
        tiff(GREY.astype(np.uint16), photometric="palette", colormap=np.zeros((3, 65536), np.uint16)),
        "more than 256 colours",
    ),
    "tiff of a palette and more": (
        retagged(tiff(np.zeros((5, 6, 2), np.uint8), photometric="minisblack", extrasamples=["unassalpha"]), 262, 3),
        "with a palette|damaged",
    ),
    "tiff of two large pages": (tiff(np.zeros((2, 300, 300), np.uint8), photometric="minisblack"), "180000 pixels in 2 pages"),
    "tiff of thumbnails only": (tiff(GREY, subfiletype=1), "holds no page"),
    # others
    "deep colour PNM": (b"P6 # words\n6 5\n65535\n" + bytes(180), "16 bits a sample"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, words = UNREADABLE[name]
    (tmp_path / "file").write_bytes(data)
    monkeypatch.setattr(jpeg_segments, "MAX_METADATA", 100_000)
    with pytest.raises(FileError, match=words) as told:
        read(tmp_path / "file", Reading(100_000))
    assert "\n" not in str(told.value)


def test_a_gif_frame_beyond_its_screen(tmp_path: Path) -> None:
    """Pillow would make the screen larger: 2.4 GB from 3 kB."""
    data = bytearray(
        pillow(Image.fromarray(GREY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)], optimize=False)
    )
    second = data.rindex(b"," + bytes(4))
    struct.pack_into("<HH", data, second + 5, 600, 500)
    (tmp_path / "file.gif").write_bytes(data)
    with pytest.raises(FileError, match=r"larger than the animation|damaged|more than"):
        read(tmp_path / "file.gif")


def test_a_folder_and_a_file_beyond_the_limit(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        read(tmp_path)
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)  # a hole: no byte is on the disk
    with pytest.raises(FileError, match="more than --max-pixels allows"):
        read(tmp_path / "file", Reading(1000))


# ---- damage that costs a part, not the picture ----
DAMAGED = {
    "text": (png(8, 2, ROWS8, chunk(b"zTXt", b"Title\0\0no zlib")), "compressed text"),
    "bomb": (png(8, 2, ROWS8, chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(1 << 22)))), "compressed text"),
    "international": (png(8, 2, ROWS8, chunk(b"iTXt", b"Title\0\1\0\0\0no zlib")), "compressed text"),
    "xmp": (png(8, 2, ROWS8, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib")), "XMP"),
    "icc": (png(8, 2, ROWS8, chunk(b"iCCP", b"name\0\0no zlib")), "ICC"),
    "crc": (png(8, 2, ROWS8, chunk(b"pHYs", bytes(9))[:-1] + b"?"), "'pHYs' chunk"),
    "exif": (png(8, 2, ROWS8, chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")), "EXIF"),
    "exif of no order": (png(8, 2, ROWS8, chunk(b"eXIf", b"??????????")), "EXIF"),
    "exif cut off": (png(8, 2, ROWS8, chunk(b"eXIf", b"II*\0\x08\0\0\0\x09\0")), "EXIF"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_words_are_left_behind_with_a_note(tmp_path: Path, name: str) -> None:
    data, words = DAMAGED[name]
    (tmp_path / "file.png").write_bytes(data)
    picture = read(tmp_path / "file.png")
    assert picture.frames[0].pixels.shape == (5, 6, 3)
    assert len(picture.notes) == 1
    assert words in picture.notes[0]
    assert (picture.metadata.xmp, picture.metadata.icc, picture.metadata.exif) == (None, None, None)


def test_a_transparent_colour_of_the_wrong_length_is_none(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(png(8, 2, ROWS8, chunk(b"tRNS", b"\0\0")))
    assert not read(tmp_path / "file.png").frames[0].alpha


# ---- unusual, but sound ----
def test_fill_bytes_and_bare_markers_in_a_jpeg_are_passed_over(tmp_path: Path) -> None:
    """T.81 B.1.1.2 allows any number of 0xFF before a marker; 0xFF01 and the RSTs stand alone."""
    data = pillow(Image.fromarray(RGB), "JPEG", quality=95)
    (tmp_path / "plain.jpg").write_bytes(data)
    (tmp_path / "odd.jpg").write_bytes(data[:2] + b"\xff\x01\xff\xff\xff" + data[3:])
    plain, odd = (read(tmp_path / name).frames[0].pixels for name in ("plain.jpg", "odd.jpg"))
    assert (plain == odd).all()


@pytest.mark.parametrize(
    ("mode", "form"), [("1", "xbm"), ("L", "pcx"), ("RGBA", "ico"), ("LA", "jpeg2000"), ("I;16", "ppm")]
)
def test_rare_modes_are_pillows_pixels(tmp_path: Path, mode: str, form: str) -> None:
    large = np.kron(GREY, np.ones((8, 8), np.uint8))
    image = Image.fromarray(large.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(large).convert(mode)
    (tmp_path / "file").write_bytes(pillow(image, form, **({"sizes": [image.size]} if form == "ico" else {})))
    frame = read(tmp_path / "file").frames[0]
    with Image.open(tmp_path / "file") as expected:
        known = np.asarray(expected.convert("L") if mode == "1" else expected)
    assert (frame.pixels.reshape(known.shape) == known).all()


def test_an_opaque_colour_in_grey(tmp_path: Path) -> None:
    """tRNS of a grey PNG with 8 bits and of one with 1 bit: that grey is see-through."""
    (tmp_path / "file.png").write_bytes(pillow(Image.fromarray(GREY), "PNG", transparency=7))
    pixels = read(tmp_path / "file.png").frames[0].pixels
    assert (pixels[..., 0] == GREY).all()
    assert ((pixels[..., 1] == 0) == (GREY == 7)).all()
    bits = GREY % 2
    (tmp_path / "bit.png").write_bytes(
        pillow(Image.fromarray(bits * np.uint8(255)).convert("1"), "PNG", transparency=0)
    )
    frame = read(tmp_path / "bit.png").frames[0]
    assert frame.alpha
    assert ((frame.pixels[..., 1] == 0) == (bits == 0)).all()


def test_a_gif_keeps_its_comment(tmp_path: Path) -> None:
    (tmp_path / "file.gif").write_bytes(pillow(Image.fromarray(GREY), "GIF", comment=b"by hand"))
    out = BytesIO()
    encode(read(tmp_path / "file.gif"), out, "gif")
    assert Image.open(out).info["comment"] == b"by hand"


@pytest.mark.parametrize("tag", [0x0112, 0x8769, 0xA002])
def test_exif_is_patched_only_where_it_says_something(tag: int) -> None:
    """Without orientation, without an inner directory, with one that has no size: nothing but those tags changes."""
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    if tag != 0x0112:
        tags[0x0112] = 6
    if tag != 0x8769:
        tags[0x8769] = {0x9003: "2026:11:21 10:00:00"} | ({0xA002: 9} if tag != 0xA002 else {})
    block = tags.tobytes().removeprefix(b"Exif\0\0")
    assert exif.orientation(block) == (1 if tag == 0x0112 else 6)
    found = Image.Exif()
    found.load(b"Exif\0\0" + exif.upright(block, (40, 50)))
    assert found[0x010F] == "Maker"
    assert found.get(0x0112) == (None if tag == 0x0112 else 1)
    assert found.get_ifd(0x8769).get(0xA002) == (50 if tag == 0x0112 else None)


def test_previews_are_eight_bits_of_what_is_there() -> None:
    deep = np.array([[[0], [257 * 7], [65535]]], np.uint16)
    assert preview(Frame(deep, "L")).tolist() == [[[0], [7], [255]]]
    floats = np.array([[[0.0], [1.0], [np.nan], [2.0]]], np.float32)
    assert preview(Frame(floats, "L")).tolist() == [[[0], [128], [0], [255]]]
    ink = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0]]], np.uint8)
    assert preview(Frame(ink, "CMYK")).tolist() == [[[255, 255, 255], [0, 0, 0], [0, 255, 255]]]


# ---- what a format cannot hold ----
def picture(*frames: Frame, **more: object) -> Picture:
    return Picture(frames, "tiff", **more)  # type: ignore[arg-type]


def plane(channels: int, dtype: str = "uint8", height: int = 5, width: int = 6) -> np.ndarray:
    return np.full((height, width, channels), 100, dtype)


NOT_HELD: dict[str, tuple[Picture, str, str]] = {
    "format that is only read": (picture(Frame(plane(3), "RGB")), "avif", "reads AVIF but does not write it"),
    "pages": (picture(Frame(plane(3), "RGB"), Frame(plane(3), "RGB")), "png", "2 pages do not fit into PNG"),
    "animation": (picture(*[Frame(plane(3), "RGB", duration=9)] * 2, animated=True), "jpeg", "animation of 2 frames"),
    "frames of two sizes": (
        picture(Frame(plane(3), "RGB"), Frame(plane(3, width=7), "RGB"), animated=True), "png", "must be of one size",
    ),
    "too wide": (picture(Frame(plane(1, width=16384), "L")), "webp", "takes 1 to 16383 a side"),
    "floats": (picture(Frame(plane(1, "float32"), "L")), "png", "32-bit float samples do not fit into PNG"),
    "depth": (picture(Frame(plane(1, "uint16"), "L")), "jpeg", "16 bits a sample do not fit into JPEG"),
    "ink": (picture(Frame(plane(4), "CMYK")), "png", "CMYK does not fit into PNG"),
    "unknown channel": (picture(Frame(plane(2), "L", "unspecified")), "png", "extra channel of unknown meaning"),
    "alpha": (picture(Frame(plane(2), "L", "alpha")), "jpeg", "an alpha channel does not fit into JPEG"),
    "deep colour PNM": (picture(Frame(plane(3, "uint16"), "RGB")), "ppm", "16 bits a sample"),
    "metadata": (
        picture(Frame(plane(3), "RGB"), metadata=Metadata(xmp=bytes(70_000))), "jpeg", "do not fit into a JPEG segment",
    ),
    "profile": (
        picture(Frame(plane(3), "RGB"), metadata=Metadata(icc=bytes(255 * 65519 + 1))), "jpeg", "does not fit into a JPEG",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_HELD)
def test_what_a_format_cannot_hold(name: str) -> None:
    held, target, words = NOT_HELD[name]
    with pytest.raises(CodecError, match=words):
        encode(held, BytesIO(), target)


# ---- what is made to fit, by the definition of alpha ----
def shown(frame: Frame, target: str, **options: object) -> Image.Image:
    out = BytesIO()
    encode(picture(frame), out, target, **options)
    out.seek(0)
    image = Image.open(out)
    image.load()
    return image


def test_premultiplied_becomes_straight() -> None:
    pixels = np.array([[[50, 128], [0, 0], [200, 255], [90, 60]]], np.uint8)  # the last is brighter than it may be
    image = np.asarray(shown(Frame(pixels, "L", "premultiplied"), "png"))
    assert image.tolist() == [[[100, 128], [0, 0], [200, 255], [255, 60]]]


def test_grey_with_alpha_is_painted_on_a_colour() -> None:
    frame = Frame(np.array([[[200, 255], [200, 0], [200, 128]]], np.uint8), "L", "alpha")
    red = np.asarray(shown(frame, "bmp", background=(250, 0, 0)).convert("RGB"))
    share = 128 / 255
    half = [round(200 * share + 250 * (1 - share)), round(200 * share), round(200 * share)]
    assert red.tolist() == [[[200, 200, 200], [250, 0, 0], half]]
    assert shown(frame, "bmp", background=(250, 250, 250)).convert("L").getpixel((1, 0)) == 250


TABLE = np.array([[10, 20, 30, 255], [200, 100, 50, 0], [9, 9, 9, 255]], np.uint8)
INDICES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)[..., None]


@pytest.mark.parametrize("target", ["gif", "tiff", "tga", "png", "webp"])
def test_a_palette_with_holes_shows_what_it_showed(target: str) -> None:
    image = shown(Frame(INDICES, "P", palette=TABLE), target, **({"quality": 100} if target == "webp" else {}))
    seen = np.asarray(image.convert("RGBA"))
    expected = TABLE[INDICES[..., 0]]
    assert (seen[..., 3] == expected[..., 3]).all()
    assert np.abs(seen.astype(int) - expected)[expected[..., 3] > 0].max() <= (30 if target == "webp" else 0)


def test_a_palette_whose_alpha_is_never_low_has_no_hole_in_a_gif() -> None:
    table = TABLE.copy()
    table[:, 3] = (255, 200, 255)
    assert "transparency" not in shown(Frame(INDICES, "P", palette=table), "gif").info


def test_grey_with_alpha_in_tga_and_bmp_of_a_palette() -> None:
    grey = Frame(np.array([[[200, 255], [10, 0]]], np.uint8), "L", "alpha")
    assert np.asarray(shown(grey, "tga").convert("RGBA")).tolist() == [[[200, 200, 200, 255], [10, 10, 10, 0]]]
    assert np.asarray(shown(Frame(INDICES, "P", palette=TABLE[:, :3]), "bmp").convert("RGB")).tolist() == (
        TABLE[INDICES[..., 0], :3].tolist()
    )


# ---- grids and θ files ----
def npz(**arrays: np.ndarray) -> bytes:
    out = BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = BytesIO()
    np.save(out, array)
    return out.getvalue()


NO_GRIDS = {
    "a.npz": (npz(other=np.zeros(3)), "holds other; expected grid"),
    "b.npz": (b"PK\3\4 cut", "not a sampling grid"),
    "a.npy": (npy(np.array(["words"])), "numbers are needed"),
    "b.npy": (npy(np.zeros((3, 4))), "grid"),
    "a.csv": (b"row,col,x\n0,0,1\n", "y missing"),
    "b.csv": (b"row,col,x,y\n0,0.5,0,0\n", "whole numbers from 0"),
    "c.csv": (b"row,col,x,y\n0,0,0,0\n0,2,0,0\n", "exactly once"),
    "d.csv": (b"row,col,x,y", "whole numbers from 0"),
    "e.csv": (b"row,col,x,y\nnan,0,0,0\n", "whole numbers from 0"),
    "a.flo": (struct.pack("<fii", 1.0, 1, 1) + bytes(8), "Middlebury"),
    "b.flo": (struct.pack("<fii", 202021.25, 3, 1) + bytes(8), "3×1, which is not 8 bytes"),
    "signalling.flo": (struct.pack("<fiiIf", 202021.25, 1, 1, 0xFF900000, 0.5), "row 0, column 0 is not finite"),
    "none.npy": (None, "No such file"),
}


@pytest.mark.parametrize("name", NO_GRIDS)
def test_what_is_no_grid(tmp_path: Path, name: str) -> None:
    data, words = NO_GRIDS[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(FileError, match=words):
        grids.read(tmp_path / name)


def test_maps_of_opencv_are_a_grid(tmp_path: Path) -> None:
    across, down = np.meshgrid(np.arange(4.0), np.arange(3.0))
    (tmp_path / "maps.npz").write_bytes(npz(map_x=across, map_y=down))
    found = grids.read(tmp_path / "maps.npz")
    assert found.in_pixels
    assert (found.points == np.stack((across, down), -1)).all()


def test_words_where_numbers_are_needed_in_a_structured_array(tmp_path: Path) -> None:
    table = np.array([("a.png", "0.5")], dtype=[("source", "U9"), ("tx", "U9")])
    (tmp_path / "theta.npy").write_bytes(npy(table))
    with pytest.raises(OptionError, match="row 0, field tx"):
        read_thetas(tmp_path / "theta.npy")


@pytest.mark.parametrize("read_it", [grids.read, read_thetas])
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_what_is_larger_than_a_job_can_be(tmp_path: Path, suffix: str, read_it: Callable, monkeypatch) -> None:
    monkeypatch.setattr(grids, "MOST_BYTES", 100)
    monkeypatch.setattr("stn_cli.folders.theta_file.MOST_BYTES", 100)
    path = tmp_path / f"file{suffix}"
    path.write_bytes(npz(grid=np.zeros((9, 9, 2))) if suffix == ".npz" else b"row,col,x,y\n" + b"0,0,0,0\n" * 20)
    with pytest.raises((FileError, OptionError), match=r"larger than|more than|end in"):
        read_it(path)


def test_a_grid_of_more_numbers_than_a_job_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "MOST_BYTES", 100)
    (tmp_path / "file.npy").write_bytes(npy(np.zeros((9, 9, 2))))
    with pytest.raises(FileError, match="larger than"):
        grids.read(tmp_path / "file.npy")
