"""Orientation, profiles, EXIF, XMP, resolution and words: applied, kept, or left behind with a note."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from stn_cli.folders.codecs import encode, read
from stn_cli.folders.codecs.base import CodecError
from stn_cli.folders.exif import ExifError, orientation, upright
from stn_cli.folders.picture import Picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:creator="M\xc3\xbcller"/></x:xmpmeta>'
ORIENTED = ("jpg", "png", "webp", "tif")
LOSSLESS = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}, "png": {}, "tif": {}}
TARGETS = ("jpeg", "png", "webp", "tiff")


def blocks() -> Image.Image:
    """64×48, eight blocks of flat colour: orientation shows in any format."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(small, np.ones((16, 16, 1), np.uint8)))


def exif(turn: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = turn
    tags[0x010F], tags[0x0110], tags[0x0132] = "Maker", "Model é", "2026:11:21 10:00:00"
    tags[0x8769] = {
        0x829A: IFDRational(1, 250),
        0x9003: "2026:11:21 10:00:00",
        0xA002: 64,
        0xA003: 48,
        0x927C: b"maker note, opaque",
    }
    tags[0x8825] = {1: "N"}
    loaded = Image.Exif()  # Pillow writes the inner directories into TIFF only if it read them somewhere
    loaded.load(tags.tobytes())
    return loaded


def through(path: Path, target: str) -> tuple[Picture, Image.Image, bytes]:
    picture = read(path)
    out = BytesIO()
    encode(picture, out, target, quality=None if target == "webp" else 95)
    return picture, Image.open(BytesIO(out.getvalue())), out.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ORIENTED)
def test_orientation_is_applied_once(tmp_path: Path, suffix: str, turn: int) -> None:
    path = tmp_path / f"a.{suffix}"
    blocks().save(path, exif=exif(turn), **LOSSLESS[suffix])
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    picture, out, _ = through(path, picture_format(suffix))
    assert picture.full_size == expected.shape[:2]
    np.testing.assert_allclose(picture.frames[0].pixels, expected, atol=3)
    assert out.getexif().get(0x0112, 1) == 1
    twice = np.asarray(ImageOps.exif_transpose(out).convert("RGB"))
    np.testing.assert_allclose(twice.astype(int), expected, atol=12)


def picture_format(suffix: str) -> str:
    return {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suffix", ORIENTED)
def test_exif_survives_every_pair_of_formats(tmp_path: Path, suffix: str, target: str) -> None:
    path = tmp_path / f"a.{suffix}"
    blocks().save(path, exif=exif(), **LOSSLESS[suffix])
    _, out, _ = through(path, target)
    found = out.getexif()
    original = Image.open(BytesIO(path.read_bytes())).getexif()
    for tag in (0x010F, 0x0110, 0x0132):
        assert found[tag] == original[tag]
    inner, expected = found.get_ifd(0x8769), original.get_ifd(0x8769)
    assert inner[0x9003] == expected[0x9003]
    assert inner[0x927C] == expected[0x927C]
    assert float(inner[0x829A]) == pytest.approx(1 / 250)
    assert (inner[0xA002], inner[0xA003]) == (48, 64)  # the picture was turned by a quarter
    assert found.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suffix", ORIENTED)
def test_profile_and_resolution_survive(tmp_path: Path, suffix: str, target: str) -> None:
    path = tmp_path / f"a.{suffix}"
    blocks().save(path, icc_profile=ICC, dpi=(300, 150), **LOSSLESS[suffix])
    _, out, _ = through(path, target)
    assert out.info["icc_profile"] == ICC
    if "webp" not in (suffix, target):  # WebP has no place for it
        assert out.info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_xmp_survives_upright(tmp_path: Path, suffix: str, target: str) -> None:
    path = tmp_path / f"a.{suffix}"
    options = dict(LOSSLESS[suffix])
    if suffix == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        options["pnginfo"] = info
    elif suffix == "tif":
        options["tiffinfo"] = {700: XMP}
    else:
        options["xmp"] = XMP
    blocks().save(path, **options)
    _, out, _ = through(path, target)
    found = out.info.get("xmp") or out.tag_v2[700]  # type: ignore[attr-defined]
    assert bytes(found) == XMP.replace(b'Orientation="6"', b'Orientation="1"')


def test_words_stay_in_their_format(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "näh")
    info.add_text("Long", "x" * 5000, zip=True)
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    blocks().save(tmp_path / "a.png", pnginfo=info)
    _, out, _ = through(tmp_path / "a.png", "png")
    assert (out.text["Title"], out.text["Long"], out.info["gamma"]) == ("näh", "x" * 5000, 0.45455)
    blocks().save(tmp_path / "a.jpg", comment=b"hello")
    out = through(tmp_path / "a.jpg", "jpeg")[1]
    assert out.info["comment"] == b"hello"
    assert b"hello" not in through(tmp_path / "a.jpg", "png")[2]
    blocks().save(tmp_path / "a.gif", comment=b"hello gif")
    assert through(tmp_path / "a.gif", "gif")[1].info["comment"] == b"hello gif"


def test_a_thumbnail_does_not_show_the_picture_as_it_was(tmp_path: Path) -> None:
    block = exif(1).tobytes().removeprefix(b"Exif\0\0")
    first = int.from_bytes(block[4:8], "little" if block[:2] == b"II" else "big")
    order = "little" if block[:2] == b"II" else "big"
    count = int.from_bytes(block[first : first + 2], order)
    at = first + 2 + 12 * count
    linked = block[:at] + len(block).to_bytes(4, order) + block[at + 4 :] + (0).to_bytes(6, order)
    assert upright(linked, (1, 1))[at : at + 4] == b"\0\0\0\0"


@pytest.mark.parametrize(
    "broken", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff\0\0", b"hello world"]
)
def test_a_broken_exif_block_is_left_behind_with_a_note(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(ExifError):
        orientation(broken)
    blocks().save(tmp_path / "a.jpg", exif=b"Exif\0\0" + broken) if broken else None
    if broken:
        picture, out, _ = through(tmp_path / "a.jpg", "jpeg")
        assert picture.notes == ("its EXIF block is broken and was left behind",)
        assert not out.getexif()


@pytest.mark.parametrize("kind", [b"iCCP", b"eXIf", b"tEXt"])
def test_a_damaged_chunk_is_left_behind_with_a_note(tmp_path: Path, kind: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "words")
    out = BytesIO()
    blocks().save(out, "PNG", pnginfo=info, icc_profile=ICC, exif=exif(1))
    data = bytearray(out.getvalue())
    data[data.index(kind) + 9] ^= 0x20
    (tmp_path / "a.png").write_bytes(data)
    picture = read(tmp_path / "a.png")
    assert len(picture.notes) == 1
    assert kind.decode() in picture.notes[0]
    np.testing.assert_array_equal(picture.frames[0].pixels, np.asarray(blocks()))


def test_metadata_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    tags = exif()
    tags.get_ifd(0x8769)[0x927C] = bytes(70_000)
    blocks().save(tmp_path / "a.png", exif=tags)
    with pytest.raises(CodecError, match="do not fit into a JPEG segment"):
        through(tmp_path / "a.png", "jpeg")
    assert len(through(tmp_path / "a.png", "tiff")[1].getexif().get_ifd(0x8769)[0x927C]) == 70_000


def test_a_large_profile_takes_several_segments(tmp_path: Path) -> None:
    large = ICC + bytes(range(256)) * 1000
    blocks().save(tmp_path / "a.tif", icc_profile=large)
    assert through(tmp_path / "a.tif", "jpeg")[1].info["icc_profile"] == large
    assert through(tmp_path / "a.tif", "png")[1].info["icc_profile"] == large


def test_exif_of_a_sixteen_bit_tiff(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.tif", exif=exif(1))
    pixels = np.arange(48, dtype=np.uint16).reshape(4, 4, 3)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="rgb",
        bigtiff=True,
        extratags=[(0x010F, 2, 0, "Maker", True)],
    )
    _, _, coded = through(tmp_path / "a.tif", "tiff")
    with tifffile.TiffFile(BytesIO(coded)) as file:
        assert file.pages[0].tags[0x010F].value == "Maker"
        np.testing.assert_array_equal(file.asarray(), pixels)


def test_pyramids_and_second_pictures_are_noted(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        out.write(np.zeros((8, 8), np.uint8), photometric="minisblack")
        out.write(np.zeros((4, 4), np.uint8), photometric="minisblack", subfiletype=1)
    assert len(read(tmp_path / "a.tif").frames) == 1
    assert "pyramid" in read(tmp_path / "a.tif").notes[0]
    blocks().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[blocks()])
    assert "depth" in read(tmp_path / "a.jpg").notes[0]


def with_exif_at(path: Path, order: str, at: int | None, directory: bytes = b"") -> None:
    """A BigTIFF whose EXIF tag points to `directory`, put behind the picture, or to `at`."""
    tifffile.imwrite(  # tifffile does not write that tag: it gets its number afterwards
        path, np.zeros((4, 4), np.uint8), photometric="minisblack", bigtiff=True, byteorder=order,
        extratags=[(0x010F, 2, 0, "Maker", True), (0x8768, 16, 1, 0, True)],
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    first = struct.unpack_from(order + "Q", data, 8)[0]
    for entry in range(first + 8, first + 8 + 20 * struct.unpack_from(order + "Q", data, first)[0], 20):
        if struct.unpack_from(order + "H", data, entry)[0] == 0x8768:
            struct.pack_into(order + "H", data, entry, 0x8769)
            struct.pack_into(order + "Q", data, entry + 12, len(data) if at is None else at)
    path.write_bytes(data + directory)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_a_bigtiff_of_either_order(tmp_path: Path, order: str) -> None:
    """A directory with a number and nothing else, written byte for byte."""
    directory = struct.pack(order + "QHHQH6xQ", 1, 0x8827, 3, 1, 400, 0)
    with_exif_at(tmp_path / "a.tif", order, None, directory)
    for target in ("jpeg", "tiff"):
        picture, seen, _ = through(tmp_path / "a.tif", target)
        assert picture.notes == ()
        assert seen.getexif()[0x010F] == "Maker"
        assert seen.getexif().get_ifd(0x8769)[0x8827] == 400


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_that_cannot_be_read_in_a_tiff_is_noted(tmp_path: Path, order: str) -> None:
    with_exif_at(tmp_path / "a.tif", order, 10**15)
    assert read(tmp_path / "a.tif").notes == ("a part of its EXIF is broken and was left behind",)
