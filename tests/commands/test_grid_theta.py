"""`stn grid` and `stn theta` against OpenCV and torch."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F


def test_npz_is_torchs_affine_grid(stn, tmp_path):
    stn("grid", "--theta", "0.8 -0.3 0.1 0.3 0.9 -0.1", "--size", "12x7", "--out", tmp_path / "g.npz")
    with np.load(tmp_path / "g.npz") as found:
        theta = torch.tensor([[[0.8, -0.3, 0.1], [0.3, 0.9, -0.1]]], dtype=torch.float64)
        expected = F.affine_grid(theta, (1, 1, 7, 12), align_corners=False)[0].numpy()
        np.testing.assert_allclose(found["grid"], expected, atol=1e-15)
        assert not found["align_corners"]
        assert found["input_size"].tolist() == [12, 7]


def test_opencv_maps_are_what_remap_takes(stn, folder, tmp_path, picture):
    stn("grid", "--rotate", "25", "--on", folder / "a.png", "--maps", "opencv", "--out", tmp_path / "m.npz")
    stn("warp", folder / "a.png", "--rotate", "25", "--antialias", "off", "--out", tmp_path / "b.png")
    with np.load(tmp_path / "m.npz") as maps:
        theirs = cv2.remap(picture, maps["map_x"], maps["map_y"], cv2.INTER_LINEAR)
    with Image.open(tmp_path / "b.png") as ours:
        assert np.abs(theirs.astype(int) - np.asarray(ours)).max() <= 1


def test_flo_is_middleburys(stn, tmp_path):
    stn("grid", "--translate", "3,-2", "--size", "10x6", "--out", tmp_path / "f.flo")
    flow = cv2.readOpticalFlow(str(tmp_path / "f.flo"))
    np.testing.assert_allclose(flow, np.broadcast_to([3.0, -2.0], (6, 10, 2)), atol=1e-5)


def test_csv_has_both_frames(stn, tmp_path):
    stn("grid", "--theta", "0 0", "--size", "4x2", "--out", tmp_path / "g.csv")
    lines = (tmp_path / "g.csv").read_text().splitlines()
    assert lines[0] == "row,col,x,y,x_px,y_px"
    assert [float(v) for v in lines[1].split(",")] == [0, 0, -0.75, -0.5, 0, 0]
    assert [float(v) for v in lines[-1].split(",")] == [1, 3, 0.75, 0.5, 3, 1]


def test_the_overlay_is_a_picture(stn, folder, tmp_path):
    stn("grid", "--rotate", "25", "--on", folder / "a.png", "--out", tmp_path / "o.png")
    with Image.open(tmp_path / "o.png") as overlay:
        assert overlay.width >= 480


def test_nothing_is_overwritten_unasked(stn, tmp_path):
    stn("grid", "--theta", "0 0", "--size", "4x2", "--out", tmp_path / "g.npy")
    before = (tmp_path / "g.npy").read_bytes()
    stn("grid", "--theta", "1 0", "--size", "4x2", "--out", tmp_path / "g.npy", expect=2)
    assert (tmp_path / "g.npy").read_bytes() == before
    stn("grid", "--theta", "1 0", "--size", "4x2", "--out", tmp_path / "g.npy", "--existing", "overwrite")
    assert (tmp_path / "g.npy").read_bytes() != before


@pytest.mark.parametrize("library", ["torch", "opencv", "pillow", "skimage", "kornia", "imagemagick"])
def test_convert_and_back(stn, library):
    words = ["--shear", "8", "--rotate", "20", "--zoom", "1.2,0.8"]
    sizes = ["--size", "64x48", "--input-size", "80x60"]
    there = stn("theta", "convert", *words, "--to", library, *sizes).out
    back = stn("theta", "convert", "--matrix", there, "--convention", library, "--to", "torch", *sizes).out
    direct = stn("theta", "convert", *words, "--to", "torch", *sizes).out
    np.testing.assert_allclose(np.fromstring(back, sep=" "), np.fromstring(direct, sep=" "), atol=1e-6)


def test_invert_and_compose_cancel(stn):
    theta = "0.8 -0.3 0.1 0.3 0.9 -0.1"
    inverse = stn("theta", "invert", "--theta", theta).out
    both = stn("theta", "compose", theta, inverse).out
    np.testing.assert_allclose(np.fromstring(both, sep=" "), [1, 0, 0, 0, 1, 0], atol=1e-12)
    assert "singular" in stn("theta", "invert", "--theta", "1 1 0 1 1 0", expect=2).err


def test_compose_does_the_first_first(stn):
    turned = stn("theta", "convert", "--rotate", "90", "--to", "torch", "--size", "64x64").out.strip()
    moved = stn("theta", "convert", "--translate", "8,0", "--to", "torch", "--size", "64x64").out.strip()
    both = np.fromstring(stn("theta", "compose", turned, moved).out, sep=" ")
    words = np.fromstring(
        stn("theta", "convert", "--do", "rotate 90; translate 8,0", "--to", "torch", "--size", "64x64").out, sep=" "
    )
    np.testing.assert_allclose(both, words, atol=1e-12)


def test_describe_speaks_and_writes_json(stn):
    ran = stn("theta", "describe", "--rotate", "30", "--zoom", "0.8", "--size", "640x480")
    assert "turned 30° counter-clockwise, 0.80×" in ran.out
    found = json.loads(stn("theta", "describe", "--theta", "1 0 0 0 1 0 0 1.5", "--json").out)
    assert found["horizon"] is True
    assert found["family"] == "projective"


def test_the_module_is_the_command():
    import subprocess
    import sys

    ran = subprocess.run([sys.executable, "-m", "stn_cli", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("stn ")
