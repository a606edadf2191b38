"""What survives a round trip through `read` and `encode`, seen by Pillow, tifffile, OpenCV and imagecodecs."""

from io import BytesIO
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image, ImageSequence

from stn_cli.core.need import Need
from stn_cli.folders.codecs import CodecError, Reading, encode, read
from stn_cli.folders.picture import Frame, Picture

SIZE = (23, 37)


def scene(channels: int = 3, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """A smooth random picture, (23, 37) or (23, 37, channels)."""
    rng = np.random.default_rng(seed)
    planes = [
        cv2.resize(rng.integers(0, 256, (6, 8)).astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        for _ in range(channels)
    ]
    levels = np.stack(planes, axis=2)
    if dtype == "uint16":
        levels = levels * 257 + rng.integers(0, 200, levels.shape)
    elif dtype == "float32":
        levels = levels / 100 - 1
    a = np.clip(levels, 0 if dtype != "float32" else -9, np.iinfo(dtype).max if dtype != "float32" else 9).astype(dtype)
    return a[..., 0] if channels == 1 else a


def again(path: Path, target: str | None = None, indices: bool = False, **options: object) -> tuple[Picture, bytes]:
    """Read and write back, as `target` or as it was."""
    picture = read(path, Reading(indices=indices))
    out = BytesIO()
    encode(picture, out, target or picture.format, **options)
    return picture, out.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_every_sample(tmp_path: Path, channels: int, dtype: str) -> None:
    pixels = scene(channels, dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    picture, coded = again(tmp_path / "a.png")
    assert picture.frames[0].pixels.dtype == dtype
    assert picture.frames[0].alpha == (channels in (2, 4))
    np.testing.assert_array_equal(imagecodecs.png_decode(coded), pixels)


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "separated"])
@pytest.mark.parametrize("extra", [None, "unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_keeps_every_sample(tmp_path: Path, photometric: str, extra: str | None, dtype: str) -> None:
    colours = {"minisblack": 1, "rgb": 3, "separated": 4}[photometric]
    pixels = scene(colours + (extra is not None), dtype)
    kept = {"extrasamples": [extra]} if extra else {}
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric=photometric, planarconfig="contig", metadata=None, byteorder=">", **kept
    )
    _, coded = again(tmp_path / "a.tif")
    with tifffile.TiffFile(BytesIO(coded)) as file:
        page = file.pages[0]
        np.testing.assert_array_equal(page.asarray(), pixels)
        assert page.photometric.name.lower() == photometric
        assert [int(e) for e in page.extrasamples] == (
            [{"unspecified": 0, "assocalpha": 1, "unassalpha": 2}[extra]] if extra else []
        )


@pytest.mark.parametrize("compression", [None, "lzw", "adobe_deflate", "zstd", "packbits"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_coding_is_kept_where_lossless(
    tmp_path: Path, compression: str | None, tile: tuple[int, int] | None
) -> None:
    pixels = scene(3, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression=compression, tile=tile)
    _, coded = again(tmp_path / "a.tif")
    with tifffile.TiffFile(BytesIO(coded)) as file:
        np.testing.assert_array_equal(file.asarray(), pixels)
        assert file.pages[0].compression.name.lower() == (compression or "none")


def test_every_page_of_a_tiff(tmp_path: Path) -> None:
    pages = [scene(3), scene(1, "uint16")[:10], scene(1, "float32")[:, :5]]
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for page in pages:
            out.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    picture, coded = again(tmp_path / "a.tif")
    assert not picture.animated
    with tifffile.TiffFile(BytesIO(coded)) as file:
        for got, expected in zip(file.pages, pages, strict=True):
            np.testing.assert_array_equal(got.asarray(), expected)
            assert got.dtype == expected.dtype


def test_planar_tiff(tmp_path: Path) -> None:
    pixels = scene(3, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, 2, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0].pixels, pixels)


def test_white_is_zero_tiff(tmp_path: Path) -> None:
    pixels = scene(1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").frames[0].pixels[..., 0], 255 - pixels)


def jpeg(path: Path, mode: str, **options: object) -> None:
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    Image.frombytes(mode, SIZE[::-1], scene(channels).tobytes()).save(path, "JPEG", **options)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_decodes_like_pillow(tmp_path: Path, mode: str) -> None:
    jpeg(tmp_path / "a.jpg", mode, quality=92)
    picture, coded = again(tmp_path / "a.jpg", quality=100)
    expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    assert np.abs(picture.frames[0].pixels.squeeze().astype(int) - expected).max() <= 1
    out = Image.open(BytesIO(coded))
    assert out.mode == mode
    peer = BytesIO()
    Image.open(tmp_path / "a.jpg").save(peer, "JPEG", quality=100, subsampling=0 if mode == "CMYK" else 2)
    assert np.abs(np.asarray(out).astype(int) - np.asarray(Image.open(peer))).max() <= 2


def test_jpeg_keeps_its_subsampling(tmp_path: Path) -> None:
    for chroma, expected in ((0, (1, 1)), (1, (2, 1)), (2, (2, 2))):
        jpeg(tmp_path / "a.jpg", "RGB", subsampling=chroma)
        _, coded = again(tmp_path / "a.jpg")
        with Image.open(BytesIO(coded)) as out:
            assert out.layer[0][1:3] == expected


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_jpeg_is_decoded_smaller_on_request(tmp_path: Path, factor: int) -> None:
    jpeg(tmp_path / "a.jpg", "RGB")
    picture = read(tmp_path / "a.jpg", Reading(need=lambda size: Need(factor if size == SIZE else 1)))
    frame = picture.frames[0]
    assert frame.size == tuple(-(-s // factor) for s in SIZE)
    assert (frame.reduced, frame.full_size) == (factor, SIZE)


@pytest.mark.parametrize("factor", [1, 2, 8])
@pytest.mark.parametrize("width", [64, 77, 640])
def test_a_jpeg_is_decoded_off_the_borders_of_vectors(tmp_path: Path, width: int, factor: int) -> None:
    """On them libjpeg-turbo writes past the caches. The pixels are the library's own."""
    pixels = np.resize(scene(3), (64, width, 3))
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    found = read(tmp_path / "a.jpg", Reading(need=lambda size: Need(factor))).frames[0].pixels
    least = {"min_height": -(-64 // factor), "min_width": -(-width // factor)} if factor > 1 else {}
    expected = simplejpeg.decode_jpeg((tmp_path / "a.jpg").read_bytes(), **least)
    np.testing.assert_array_equal(found, expected)
    assert found.ctypes.data % 32
    assert found.flags.c_contiguous


def test_palette_and_bilevel_stay_indices_for_labels(tmp_path: Path) -> None:
    labels = (scene(1) // 40).astype(np.uint8)
    image = Image.fromarray(labels)
    image.putpalette([v for i in range(7) for v in (i * 36, 255 - i, i)])
    for suffix in ("png", "gif", "bmp", "tif"):
        image.save(tmp_path / f"a.{suffix}")
        picture, coded = again(tmp_path / f"a.{suffix}", indices=True)
        assert picture.frames[0].mode == "P"
        out = Image.open(BytesIO(coded))
        assert out.mode == "P"
        np.testing.assert_array_equal(np.asarray(out), labels)
        np.testing.assert_array_equal(np.asarray(out.convert("RGB")), np.asarray(image.convert("RGB")))
        np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}").frames[0].pixels, np.asarray(image.convert("RGB")))
    bits = Image.fromarray(scene(1) > 128)
    for suffix in ("png", "bmp", "tif", "ppm"):
        bits.save(tmp_path / f"b.{suffix}")
        picture, coded = again(tmp_path / f"b.{suffix}", indices=True)
        out = Image.open(BytesIO(coded))
        assert (picture.frames[0].mode, out.mode) == ("1", "1")
        np.testing.assert_array_equal(np.asarray(out), np.asarray(bits))


def test_transparent_palette(tmp_path: Path) -> None:
    rgba = scene(4)
    rgba[..., 3] = np.where(rgba[..., 3] > 99, 255, 40)
    image = Image.fromarray(rgba).quantize(40)
    image.save(tmp_path / "a.png")
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))
    _, coded = again(tmp_path / "a.png", indices=True)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(coded)).convert("RGBA")), expected)
    frame = read(tmp_path / "a.png").frames[0]
    assert frame.alpha
    np.testing.assert_array_equal(frame.pixels, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, dtype: str) -> None:
    from stn_cli.folders.codecs.png_chunks import chunk

    pixels = scene(3, dtype)
    coded = imagecodecs.png_encode(pixels)
    key = b"".join(int(v).to_bytes(2, "big") for v in pixels[4, 5])
    (tmp_path / "a.png").write_bytes(coded[:33] + chunk(b"tRNS", key) + coded[33:])
    frame = read(tmp_path / "a.png").frames[0]
    assert frame.alpha
    np.testing.assert_array_equal(frame.pixels[..., 3] == 0, (pixels == pixels[4, 5]).all(axis=2))
    assert frame.pixels[0, 0, 3] == np.iinfo(dtype).max


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
@pytest.mark.parametrize("see_through", [False, True])
def test_animations_keep_frames_times_and_loops(tmp_path: Path, suffix: str, see_through: bool) -> None:
    frames = []
    for i in range(5):
        a = np.full((*SIZE, 4), 255, np.uint8)
        a[..., :3] = (40 * i, 90, 200)
        a[3 + i : 9 + i, 4 + 2 * i : 20, :3] = (250, 30 * i, 0)
        if see_through:
            holes = (slice(None), slice(0, 3 + 3 * (i % 3)))
            a[holes] = 0
        frames.append(Image.fromarray(a if see_through else a[..., :3]))
    times = [50, 100, 70, 20, 330]
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    options["disposal"] = 2 if suffix == "gif" else 0
    times_and_loop = {"duration": times, "loop": 3}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **times_and_loop, **options)
    picture, coded = again(tmp_path / f"a.{suffix}")
    assert picture.animated
    assert [f.duration for f in picture.frames] == times
    out = Image.open(BytesIO(coded))
    assert out.info["loop"] == 3
    shown = [(np.asarray(f.convert("RGBA")), f.info["duration"]) for f in ImageSequence.Iterator(out)]
    assert [time for _, time in shown] == times
    for (got, _), expected in zip(shown, frames, strict=True):
        np.testing.assert_array_equal(got, np.asarray(expected.convert("RGBA")))


def test_equal_frames_of_a_gif_are_not_merged(tmp_path: Path) -> None:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    picture = Picture(tuple(Frame(pixels, "RGB", duration=t) for t in (20, 30, 40)), "gif", animated=True, loop=0)
    for target in ("gif", "png"):
        out = BytesIO()
        encode(picture, out, target)
        image = Image.open(BytesIO(out.getvalue()))
        assert [f.info["duration"] for f in ImageSequence.Iterator(image)] == [20, 30, 40]


def test_a_photographic_gif_stays_close() -> None:
    photo = cv2.resize(scene(3), (200, 150), interpolation=cv2.INTER_CUBIC)
    out = BytesIO()
    encode(Picture((Frame(photo, "RGB"),), "gif"), out, "gif")
    got = np.asarray(Image.open(BytesIO(out.getvalue())).convert("RGB")).astype(int)
    assert np.abs(got - photo).mean() < 8


@pytest.mark.parametrize(
    ("frame", "target", "says"),
    [
        (Frame(scene(3, "uint16"), "RGB"), "jpeg", "16 bits"),
        (Frame(scene(3, "uint16"), "RGB"), "webp", "16 bits"),
        (Frame(scene(3, "float32"), "RGB"), "png", "float"),
        (Frame(scene(4), "RGB", "alpha"), "jpeg", "alpha"),
        (Frame(scene(4), "CMYK"), "png", "CMYK"),
        (Frame(scene(4), "RGB", "unspecified"), "png", "unknown"),
        (Frame(scene(3), "RGB"), "avif", "does not write"),
        (Frame(np.zeros((1, 16384, 3), np.uint8), "RGB"), "webp", "16383"),
    ],
)
def test_what_does_not_fit_is_refused(frame: Frame, target: str, says: str) -> None:
    with pytest.raises(CodecError, match=says):
        encode(Picture((frame,), "tiff"), BytesIO(), target)


def test_animations_and_pages_do_not_fit_everywhere() -> None:
    frames = (Frame(scene(3), "RGB", duration=20.0),) * 2
    for target, animated in (("jpeg", True), ("tiff", True), ("png", False), ("webp", False), ("jpeg", False)):
        with pytest.raises(CodecError, match="fit into"):
            encode(Picture(frames, "gif", animated=animated), BytesIO(), target)


def test_alpha_is_painted_on_a_background_only_when_one_is_given() -> None:
    pixels = scene(4)
    pixels[..., 3] = 0
    out = BytesIO()
    encode(Picture((Frame(pixels, "RGB", "alpha"),), "png"), out, "jpeg", background=(10, 200, 30))
    got = np.asarray(Image.open(BytesIO(out.getvalue())))
    assert np.abs(got.astype(int) - (10, 200, 30)).max() <= 3


def test_associated_alpha_becomes_straight_for_png(tmp_path: Path) -> None:
    straight = scene(4)
    straight[..., 3] |= 128
    weighted = straight.copy()
    weighted[..., :3] = np.round(straight[..., :3] * (straight[..., 3:] / 255.0))
    tifffile.imwrite(tmp_path / "a.tif", weighted, photometric="rgb", extrasamples=["assocalpha"])
    _, coded = again(tmp_path / "a.tif", "png")
    got = np.asarray(Image.open(BytesIO(coded))).astype(int)
    assert np.abs(got - straight).max() <= 2
