"""JPEG on the device: what goes where, in which order, and what is left to the CPU. The codec is a stand-in (no GPU here).

The GPU engine runs in Triton's interpreter, so pictures are small. What a card does is told by `tests.benchmarks.gpu`.
"""

import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported
pytest.importorskip("triton", reason="install the `gpu` extra")
torch = pytest.importorskip("torch")

from stn_cli.core.sampling import Sampling  # noqa: E402
from stn_cli.engines import Work, gathering, jpeg_on  # noqa: E402
from stn_cli.engines.cpu import CpuEngine  # noqa: E402
from stn_cli.folders.codecs import Reading, decode, encode  # noqa: E402
from tests.engines.standin_torchvision import install  # noqa: E402
from tests.engines.test_cpu import transformation  # noqa: E402

SIZE = (24, 40)


@pytest.fixture
def standin(monkeypatch):
    return install(monkeypatch)


@pytest.fixture
def engine():
    from stn_cli.engines.cuda import CudaEngine

    return gathering(CudaEngine(), 4)[0]


@pytest.fixture
def codec(standin, engine):
    made, _ = jpeg_on(engine)
    standin.decoded.clear()
    standin.encoded.clear()
    return made


def jpeg(seed=0, size=SIZE, mode="RGB", **options):
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    pixels = np.stack([x * 5 + seed, y * 7, (x + y) * 3], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **{"quality": 95, "subsampling": 0, **options})
    return file.getvalue()


def said_by(codec, data):
    """(picture, why it was left to the CPU)"""
    reasons = []
    picture = decode(data, Reading(device=codec, told=reasons.append))
    return picture, reasons


def coded(picture, target="jpeg", **options):
    file = io.BytesIO()
    encode(picture, file, target, **options)
    return file.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
def test_what_the_device_decodes_is_what_the_cpu_decodes_upright_with_its_metadata(codec, standin, turn):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = turn, "a name"
    data = jpeg(exif=exif, icc_profile=b"a profile", dpi=(72, 90), comment=b"kept")
    picture, reasons = said_by(codec, data)
    plain = decode(data, Reading())
    assert not reasons
    assert standin.decoded == [1]
    assert not isinstance(picture.frames[0].pixels, np.ndarray)
    np.testing.assert_array_equal(np.asarray(picture.frames[0].pixels), plain.frames[0].pixels)
    assert picture.full_size == plain.full_size
    assert picture.metadata == plain.metadata
    assert coded(picture) == coded(plain)
    assert coded(picture, "png") == coded(plain, "png")


def arithmetic():
    """One that says so."""
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (jpeg(mode="L"), "grey"),
        (jpeg(mode="CMYK"), "CMYK"),
        (jpeg(progressive=True), "progressive"),
        (jpeg(keep_rgb=True), "stored as RGB"),
        (arithmetic(), "neither baseline nor progressive"),
    ],
)
def test_what_is_not_for_the_device_goes_to_the_cpu_and_why_is_told(codec, standin, data, why):
    picture, reasons = said_by(codec, data)
    assert reasons == [why]
    assert standin.decoded == []
    np.testing.assert_array_equal(picture.frames[0].pixels, decode(data, Reading()).frames[0].pixels)


@pytest.mark.parametrize("data", [jpeg()[:-2], jpeg()[: len(jpeg()) // 2]])
def test_damaged_files_fail_with_the_device_as_without(codec, standin, data):
    with pytest.raises(Exception) as plain:  # noqa: PT011  # whatever the decoder on the CPU raises
        decode(data, Reading())
    with pytest.raises(type(plain.value)) as here:
        said_by(codec, data)
    assert str(here.value) == str(plain.value)
    assert standin.decoded == []


def test_bytes_behind_the_end_are_not_sent(codec, standin):
    picture, reasons = said_by(codec, jpeg() + b"trailing bytes \xff\xd8 of something else")
    assert not reasons
    assert picture.full_size == SIZE


def test_a_picture_that_the_device_refuses_does_not_take_its_batch_along(codec, standin, monkeypatch):
    real, refused = standin.decode_jpeg, jpeg(7)

    def moody(data, **options):
        if any(bytes(d.numpy()) == refused for d in data):
            raise RuntimeError("Failed to decode batch: 5")
        return real(data, **options)

    monkeypatch.setattr(sys.modules["torchvision.io"], "decode_jpeg", moody)
    files = [jpeg(seed) for seed in range(12)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda data: said_by(codec, data), files))
    for seed, (data, (picture, reasons)) in enumerate(zip(files, results, strict=True)):
        assert reasons == (["Failed to decode batch: 5"] if seed == 7 else [])
        np.testing.assert_array_equal(np.asarray(picture.frames[0].pixels), decode(data, Reading()).frames[0].pixels)
    assert sum(standin.decoded) == 11


@pytest.mark.slow
def test_warped_where_it_was_decoded_and_encoded_where_it_was_warped(codec, engine, standin):
    rng = np.random.default_rng(0)
    files = [jpeg(seed, (int(rng.integers(16, 30)), int(rng.integers(16, 50)))) for seed in range(6)]

    def whole(data):
        picture, reasons = said_by(codec, data)
        assert not reasons
        frame = picture.frames[0]
        result = engine.warp(Work(frame.pixels, transformation("turn"), (20, 22), Sampling()))
        assert not isinstance(result, np.ndarray)
        return result, coded(picture.with_frames([frame.with_pixels(result)]), quality=90)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(whole, files))
    assert sum(standin.decoded) == sum(standin.encoded) == 6
    for data, (pixels, made) in zip(files, results, strict=True):
        picture = decode(data, Reading())
        work = Work(picture.frames[0].pixels, transformation("turn"), (20, 22), Sampling())
        expected = CpuEngine().warp(work)
        assert np.abs(np.asarray(pixels).astype(int) - expected).max() <= 1
        again = coded(picture.with_frames([picture.frames[0].with_pixels(np.asarray(pixels))]), quality=90)
        assert made == again


@pytest.mark.slow
def test_what_the_triton_kernel_does_not_know_is_fetched(codec, engine):
    picture, _ = said_by(codec, jpeg())
    pixels = picture.frames[0].pixels
    work = Work(pixels, transformation("turn"), SIZE, Sampling())
    rows = engine.warp(work, rows=(3, 9))
    assert isinstance(rows, np.ndarray)
    whole = np.asarray(engine.warp(work))
    assert np.abs(rows.astype(int) - whole[3:9]).max() <= 1


def test_halved_chroma_is_encoded_on_the_cpu_and_said_once(codec, standin):
    lines = []
    codec.say = lines.append
    for seed in range(3):
        data = jpeg(seed, subsampling=2)
        picture, reasons = said_by(codec, data)
        assert not reasons
        assert coded(picture) == coded(decode(data, Reading()))
    assert standin.encoded == []
    assert lines == ["JPEG encoded on the CPU: chroma of 4:2:0, and torchvision's nvJPEG writes 4:4:4 only"]


def test_an_encoder_that_writes_no_jfif_header_gets_one(codec, monkeypatch):
    data = jpeg(dpi=(72, 90))
    picture, _ = said_by(codec, data)
    expected = coded(picture)
    real = codec.encode
    monkeypatch.setattr(codec, "encode", lambda *args: b"\xff\xd8" + real(*args)[20:])
    assert coded(picture) == expected


def test_a_torchvision_without_nvjpeg_is_passed_over_with_a_reason(standin, engine, monkeypatch):
    def lacking(*_, **__):
        raise RuntimeError("encode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    monkeypatch.setattr(sys.modules["torchvision.io"], "encode_jpeg", lacking)
    made, why = jpeg_on(engine)
    assert made is None
    assert "not compiled with nvJPEG support" in why
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.io")
    assert jpeg_on(gathering(CpuEngine(), 2)[0]) == (None, "cpu has no JPEG codec of its own")


@pytest.mark.slow
def test_a_folder_end_to_end(standin, monkeypatch, tmp_path, capsys):
    from stn_cli.cli import main
    from stn_cli.engines.cuda import CudaEngine

    monkeypatch.setattr("stn_cli.engines._cuda", CudaEngine)
    (tmp_path / "in").mkdir()
    for name, data in {
        "a.jpg": jpeg(1), "b.jpg": jpeg(2, subsampling=2), "c.jpg": jpeg(3, mode="L"), "torn.jpg": jpeg()[:300],
    }.items():  # fmt: skip
        (tmp_path / "in" / name).write_bytes(data)
    for device in ("cuda", "cpu"):
        with pytest.raises(SystemExit) as ended:
            main(
                ["warp", f"{tmp_path}/in", "--out", f"{tmp_path}/{device}", "--rotate", "20", "--device", device, "-v"]
            )
        assert ended.value.code == 1
        err = " ".join(capsys.readouterr().err.split())
        assert "torn.jpg" in err
        if device == "cuda":
            for line in ("JPEG by nvJPEG: its pixels differ", "c.jpg: decoded on the CPU: grey", "chroma of 4:2:0"):
                assert line in err
    assert sum(standin.decoded) == 1 + 2  # the first to try it
    assert sum(standin.encoded) == 1 + 1
    rows = [(tmp_path / device / "manifest.jsonl").read_text("utf-8") for device in ("cuda", "cpu")]
    assert rows[0] == rows[1]
    assert len([json.loads(row) for row in rows[0].splitlines()]) == 3
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        there, here = (np.asarray(Image.open(tmp_path / device / name)).astype(int) for device in ("cuda", "cpu"))
        assert np.abs(there - here).max() <= 6, name  # a level before the encoder
