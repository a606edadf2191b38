"""Pictures larger than memory should hold twice: read strip by strip, written row by row, with the same bytes."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from stn_cli.folders import codecs


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-2, 3, (301, 217, 3)), axis=1) % 256
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "in" / "a.png")
    deep = (smooth * 257).astype(np.uint16)
    for order in "<>":
        for compression in (None, "lzw", "packbits", "adobe_deflate", "zstd"):
            name = f"{compression}-{'little' if order == '<' else 'big'}.tif"
            options = {"compression": compression, "byteorder": order, "photometric": "rgb"}
            if compression not in (None, "packbits"):
                options["predictor"] = True
            tifffile.imwrite(tmp_path / "in" / name, deep, rowsperstrip=50, **options)
    tifffile.imwrite(tmp_path / "in" / "float.tif", smooth[..., 0].astype(np.float32), compression="zlib", predictor=3)
    return tmp_path


def test_rows_that_are_made_while_written_change_no_byte(stn, folder, monkeypatch):
    stn("warp", folder / "in", "--rotate", "7", "--out", folder / "whole")
    for target in ("jpeg", "webp"):  # whose writers want the whole
        stn("warp", folder / "in" / "a.png", "--rotate", "7", "--out", folder / "whole", "--format", target)
    monkeypatch.setattr("stn_cli.commands.warping.LARGE", 1000)
    monkeypatch.setattr("stn_cli.engines.strips.AT_ONCE", 9000)
    monkeypatch.setattr("stn_cli.engines.strips.WORTH_THREADS", 1000)
    monkeypatch.setattr(codecs, "_LARGE", 1000)
    stn("warp", folder / "in", "--rotate", "7", "--out", folder / "rows", "--jobs", "40")
    for target in ("jpeg", "webp"):
        stn("warp", folder / "in" / "a.png", "--rotate", "7", "--out", folder / "rows", "--format", target)
    made = sorted(path.name for path in (folder / "whole").iterdir())
    assert len(made) == 15
    for name in made:
        assert (folder / "whole" / name).read_bytes() == (folder / "rows" / name).read_bytes(), name


def test_tiffs_are_what_others_read_in_them(stn, folder):
    stn("warp", folder / "in", "--translate", "0,0", "--out", folder / "same")
    for path in sorted((folder / "in").glob("*.tif")):
        np.testing.assert_array_equal(tifffile.imread(folder / "same" / path.name), tifffile.imread(path), path.name)
        with Image.open(folder / "same" / "lzw-big.tif") as image:
            image.load()


MEASURE = """
import resource
from stn_cli.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
@pytest.mark.parametrize("name", ["big.png", "deflated.tif", "plain.tif"])
def test_300_megapixels_take_less_than_one_and_a_half_gigabytes(tmp_path, name):
    write = f"""
import sys, numpy as np, tifffile
from stn_cli.folders.codecs import png
from stn_cli.folders.picture import Frame, Picture
line = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 2000, 3)).astype(np.uint8), 10, axis=1)
whole = np.repeat(line, 15_000, axis=0)
if {name!r} == "big.png":
    with open({name!r}, "w+b") as file:
        png.write(Picture((Frame(whole, "RGB"),), "png"), file)
else:
    compression = None if {name!r} == "plain.tif" else "zlib"
    tifffile.imwrite({name!r}, whole, compression=compression, photometric="rgb")
"""
    subprocess.run([sys.executable, "-c", write], cwd=tmp_path, check=True)  # its memory is not ours to count
    command = [sys.executable, "-c", MEASURE, "warp", name, "--rotate", "3", "--out", f"out-{name}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(ran.stdout.splitlines()[-1]) * 1024 < 1.5e9, ran.stdout
