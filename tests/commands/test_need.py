"""What is decoded in part is warped as if it were whole: the same files, byte for byte, and the same manifest."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from stn_cli.commands.warping import Warper
from stn_cli.core.need import Need

HOWS = (
    ("--zoom", "4", "--size", "40x30"),
    ("--rotate", "20", "--zoom", "3", "--padding", "border"),
    ("--theta", "0.2,0,0.6,0,0.2,0.5", "--padding", "reflection"),
    ("--theta", "0.3,0.05,0.9,-0.05,0.3,-0.9", "--fill", "#203040", "--kernel", "bicubic"),
    ("--theta", "0.2,0.05,0.1,0.02,0.2,-0.1,0.1,0.2", "--size", "25x90"),
)


@pytest.fixture
def sources(tmp_path):
    pixels = np.random.default_rng(4).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[274], exif[270] = 6, "words"
    Image.fromarray(pixels).save(tmp_path / "in" / "turned.png", exif=exif, icc_profile=b"a profile")
    Image.fromarray(pixels).save(tmp_path / "in" / "turned.jpg", exif=exif)
    tifffile.imwrite(tmp_path / "in" / "tiles.tif", pixels, tile=(32, 48), compression="zstd", photometric="rgb")
    turned = [(274, 3, 1, 8, True)]
    tifffile.imwrite(tmp_path / "in" / "deep.tif", pixels.astype(np.uint16) * 257, rowsperstrip=9, extratags=turned)
    return tmp_path / "in"


@pytest.mark.parametrize("how", HOWS, ids=" ".join)
def test_nobody_can_tell(stn, tmp_path, sources, monkeypatch, how):
    windows = []
    need = Warper.need
    monkeypatch.setattr(Warper, "need", lambda *a: (windows.append(need(*a)), windows[-1])[1])
    stn("warp", sources, *how, "--out", tmp_path / "part")
    assert all(found.window is not None for found in windows)
    assert len(windows) == 4
    monkeypatch.setattr(Warper, "need", lambda *_: Need())
    stn("warp", sources, *how, "--out", tmp_path / "whole")
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert sorted(p.name for p in (tmp_path / "part").iterdir()) == names
    for name in names:
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_sheet_shows_the_whole(stn, tmp_path, sources, monkeypatch):
    found = []
    need = Warper.need
    monkeypatch.setattr(Warper, "need", lambda *a: (found.append(need(*a)), found[-1])[1])
    stn("warp", sources, "--zoom", "4", "--out", tmp_path / "out", "--contact-sheet", tmp_path / "sheet.png")
    assert len(found) == 4
    assert not any(one.window for one in found)
