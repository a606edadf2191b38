"""Each convention against the very library: the same numbers give the same picture. Sizes are never square."""

import re
import shutil
import subprocess

import cv2
import kornia
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.transform import ProjectiveTransform, warp
from torch.nn import functional as F

from stn_cli.core import fit, words
from stn_cli.core.conventions import CONVENTIONS, calls, from_convention, to_convention
from stn_cli.core.sampler import sample
from stn_cli.core.sampling import Sampling
from stn_cli.errors import OptionError

IN, OUT = (40, 60), (50, 36)
AFFINE = words.transformation(words.steps("shear 8; rotate 25; zoom 1.3,0.9; translate 4,-3"), IN)
PROJECTIVE = fit.corners(np.array([(5.0, 3), (52, 8), (58, 37), (2, 30)]), IN)
both = pytest.mark.parametrize("made", [AFFINE, PROJECTIVE], ids=["affine", "projective"])


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[0 : IN[0], 0 : IN[1]]
    waves = [np.sin(x / 5 + c) * np.cos(y / 4 - c) for c in range(3)]
    return (np.stack(waves, -1) * 100 + 128).astype(np.float32)


def ours(image: np.ndarray, made) -> np.ndarray:
    U = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None]
    return sample(U, torch.tensor(made.grid(OUT))[None])[0].permute(1, 2, 0).numpy()


def inside(made) -> np.ndarray:
    """Output pixels that read well inside the input, where libraries agree on what a border is."""
    return (np.abs(made.grid(OUT)) < 0.93).all(-1)


@both
def test_opencv(image, made):
    numbers = to_convention("opencv", made, IN, OUT).reshape(-1, 3)
    theirs = (cv2.warpAffine if len(numbers) == 2 else cv2.warpPerspective)(image, numbers, OUT[::-1])
    assert np.abs(theirs - ours(image, made))[inside(made)].max() < 0.01


@both
def test_pillow(image, made):
    numbers = to_convention("pillow", made, IN, OUT)
    kind = Image.Transform.AFFINE if len(numbers) == 6 else Image.Transform.PERSPECTIVE
    bands = [Image.fromarray(band).transform(OUT[::-1], kind, tuple(numbers), Image.Resampling.BILINEAR)
             for band in np.moveaxis(image, -1, 0)]  # fmt: skip
    assert np.abs(np.stack(bands, -1) - ours(image, made))[inside(made)].max() < 0.01


@both
def test_skimage(image, made):
    matrix = to_convention("skimage", made, IN, OUT).reshape(3, 3)
    theirs = warp(image, ProjectiveTransform(matrix), output_shape=OUT, order=1, preserve_range=True)
    assert np.abs(theirs - ours(image, made))[inside(made)].max() < 0.01


@both
def test_kornia(image, made):
    numbers = torch.tensor(to_convention("kornia", made, IN, OUT)).reshape(1, -1, 3)
    U = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None]
    there = kornia.geometry.warp_affine if numbers.shape[1] == 2 else kornia.geometry.warp_perspective
    theirs = there(U, numbers, OUT, align_corners=True)[0].permute(1, 2, 0).numpy()
    assert np.abs(theirs - ours(image, made))[inside(made)].max() < 0.01


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("words_", ["shear 8; rotate 25; zoom 1.3,0.9", "rotate 90", None], ids=str)
def test_the_line_of_each_library_is_that_warp(image, words_, align_corners):
    made = fit.corners(np.array([(5.0, 3), (52, 8), (58, 37), (2, 30)]), IN, align_corners)
    if words_:
        made = words.transformation(words.steps(words_), IN, align_corners=align_corners)
    lines = calls(made, IN, OUT, Sampling(align_corners=align_corners))
    assert set(lines) == {"opencv", "pillow", "imagemagick"} | ({"torch"} if words_ else set())
    grid = made.grid(OUT, align_corners)
    U = torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]
    expected = sample(U, torch.tensor(grid)[None], align_corners=align_corners)[0, 0].numpy()
    within = (np.abs(grid) < 0.93).all(-1)
    for library, band in (("opencv", image[..., 0]), ("pillow", Image.fromarray(image[..., 0])), ("torch", U)):
        if library in lines:
            assert not re.search(r"e-1\d", lines[library]), "noise is written as 0"
            made_there = eval(
                lines[library], {"cv2": cv2, "np": np, "Image": Image, "torch": torch, "F": F, "C": 3, "U": band}
            )
            theirs = np.asarray(made_there)[0, 0] if library == "torch" else np.asarray(made_there)
            assert np.abs(theirs - expected)[within].max() < 0.02


def test_torch(image):
    theta = torch.tensor(to_convention("torch", AFFINE, IN, OUT)).reshape(1, 2, 3)
    U = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None]
    theirs = F.grid_sample(U, F.affine_grid(theta, (1, 3, *OUT), align_corners=False), align_corners=False)
    assert np.abs(theirs[0].permute(1, 2, 0).numpy() - ours(image, AFFINE)).max() < 1e-9


@pytest.mark.skipif(not shutil.which("convert"), reason="ImageMagick's convert is not installed")
@both
def test_imagemagick(image, made, tmp_path):
    if b"ImageMagick" not in subprocess.run(["convert", "-version"], capture_output=True, check=False).stdout:
        pytest.skip("convert is not ImageMagick's")
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    Image.fromarray(image.astype(np.uint8)).save(before)
    line = calls(made, IN, OUT, Sampling())["imagemagick"]
    head, numbers, _ = line.split("'")
    arguments = [*head.split()[2:], numbers]  # after "magick IN"
    subprocess.run(["convert", str(before), *arguments, str(after)], check=True)
    theirs = np.asarray(Image.open(after).convert("RGB"), dtype=np.float64)[: OUT[0], : OUT[1]]
    assert np.abs(theirs - ours(image.astype(np.uint8).astype(np.float32), made))[inside(made)].max() <= 1.5


@given(
    st.floats(-180, 180), st.floats(0.2, 4), st.floats(-60, 60), st.floats(-50, 50), st.sampled_from(CONVENTIONS),
    st.booleans(), st.sampled_from([-0.3, -0.01, 0.1, 0.25]),
)  # fmt: skip
def test_numbers_round_trip_through_every_convention(turn, zoom, shear, move, name, align_corners, keystone):
    steps = words.steps(f"rotate {turn}; zoom {zoom}; shear {shear}; translate {move},{-move}")
    made = words.transformation(steps, IN, align_corners=align_corners)
    matrix = made.matrix()
    for perspective in (0.0, keystone):
        tilt = np.array([[0, 0, 0], [0, 0, 0], [perspective, 0, 0]])
        there = type(made).from_matrix(matrix + tilt)
        numbers = to_convention(name, there, IN, OUT, align_corners)
        back = from_convention(name, numbers, IN, OUT, align_corners)
        assert back.family.name == there.family.name
        np.testing.assert_allclose(back.theta, there.theta, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in CONVENTIONS if n in ("opencv", "kornia", "imagemagick")])
def test_a_singular_forward_matrix_is_refused(name):
    with pytest.raises(OptionError, match="singular"):
        from_convention(name, [1, 2, 2, 4, 0, 0] if name == "imagemagick" else [1, 2, 0, 2, 4, 0], IN, OUT)
    with pytest.raises(OptionError, match="6 numbers"):
        from_convention(name, [1, 2, 0, 2, 4], IN, OUT)


def test_families_without_a_matrix_have_no_convention():
    bent, _ = fit.points(np.array([(1.0, 1, 2, 2), (50, 3, 48, 5), (30, 38, 29, 30), (10, 30, 11, 33)]), IN)
    with pytest.raises(OptionError, match="no matrix"):
        to_convention("opencv", bent, IN, OUT)
    assert calls(bent, IN, OUT, Sampling()) == {}


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("scale", [1e-6, -3.0, 1e6])
def test_nine_numbers_mean_the_same_at_any_scale(name, scale):
    if name in ("pillow", "imagemagick"):  # eight numbers, and a ninth of one
        numbers = np.append(to_convention(name, PROJECTIVE, IN, OUT), 1.0)
    else:
        numbers = to_convention(name, PROJECTIVE, IN, OUT)
    back = from_convention(name, numbers * scale, IN, OUT)
    np.testing.assert_allclose(back.theta, PROJECTIVE.theta, atol=1e-9, rtol=1e-9)
