"""The committed samples: drawn again by the script, as samples/README.md says, straightened by their θ."""

import importlib.util
import re
import sys
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps, ImageSequence

SAMPLES = Path(__file__).parents[2] / "samples"
IMAGES = SAMPLES / "images"
README = (SAMPLES / "README.md").read_text(encoding="utf-8")
SLOW = {"page.jpg", "landscape.jpg", "lighthouse.jpg"}


@pytest.fixture(scope="module")
def script():
    """samples/make_samples.py, imported as Python runs it: with its own folder on the path."""
    sys.path.insert(0, str(SAMPLES))
    try:
        spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SAMPLES))


def pixels(path):
    """All frames, in the depth of the file: (n, h, w[, c])."""
    if path.suffix == ".png":
        return imagecodecs.png_decode(path.read_bytes())[None].astype(int)
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(image)]
    return np.stack(frames)


def names():
    listed = re.findall(r"^\| `images/(\S+)`", README, re.MULTILINE)
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in listed]


@pytest.mark.parametrize("name", names())
def test_script_draws_the_committed_picture(script, tmp_path, name):
    script.PICTURES[name](tmp_path / name)
    drawn, committed = pixels(tmp_path / name), pixels(IMAGES / name)
    assert drawn.shape == committed.shape
    difference = np.abs(drawn - committed)
    if name.endswith(".jpg"):
        # One level more before encoding can be a few after it, in one block.
        assert (difference > 1).mean() < 1e-3
    else:
        assert difference.max() <= 1


def test_script_draws_the_committed_digits_and_tables(script, tmp_path):
    script.write_digits(tmp_path / "digits")
    script.write_points(tmp_path / "points.csv")
    for name in ("digits.csv", "points.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / name).read_bytes()
    for number in range(10):
        name = f"digits/{number}.png"
        assert np.abs(pixels(tmp_path / name) - pixels(SAMPLES / name)).max() <= 1


def test_every_picture_is_listed_and_the_set_is_small(script):
    files = sorted(path.name for path in IMAGES.iterdir())
    assert files == sorted(script.PICTURES) == sorted(parameter.values[0] for parameter in names())
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) < 2_500_000


def test_modes_and_depths():
    with Image.open(IMAGES / "leaf.png") as leaf:
        assert leaf.mode == "RGBA"
        alpha = np.asarray(leaf)[..., 3]
    assert alpha.min() == 0
    assert ((alpha > 20) & (alpha < 235)).mean() > 0.3  # translucent, not cut out

    night = imagecodecs.png_decode((IMAGES / "night.png").read_bytes())
    assert night.dtype == np.uint16
    sky = night[:150, :200, 2]
    assert len(np.unique(sky)) > 20 * len(np.unique(sky // 257))  # eight bits would band

    with Image.open(IMAGES / "lighthouse.jpg") as lying:
        assert lying.size == (960, 640)
        assert ImageOps.exif_transpose(lying).size == (640, 960)
    with Image.open(IMAGES / "clock.gif") as clock:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(clock)]
        assert durations == [240, 80, 80] * 4
    for name in ("sign.jpg", "landscape.jpg"):
        with Image.open(IMAGES / name) as image:
            assert b"acsp" in image.info["icc_profile"]
    with Image.open(IMAGES / "digits.png") as digits:
        assert (digits.mode, digits.size) == ("L", (960, 96))


def correlation(a, b):
    return np.corrcoef(np.asarray(a, float).ravel(), np.asarray(b, float).ravel())[0, 1]


def flat(name, module):
    if name == "page":
        return module.page.page()
    return module.sign.sign()[0]


@pytest.mark.parametrize("name", ["page", "sign"])
def test_corners_straighten_the_photograph(script, name):
    """OpenCV, told the recorded corners, gets the picture that was drawn flat; the README says the same."""
    text = (SAMPLES / f"{name}.corners.txt").read_text(encoding="utf-8")
    corners = np.array([point.split(",") for point in text.split()], np.float32)
    row = re.search(rf"^\| `{name}.jpg` \|(.*)\|.*\|$", README, re.MULTILINE)
    assert [point.strip() for point in row[1].split("|")] == text.split()

    wanted = flat(name, script).convert("L")
    width, height = wanted.size
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(corners, frame)
    photograph = cv2.imread(str(IMAGES / f"{name}.jpg"), cv2.IMREAD_GRAYSCALE)
    straight = cv2.warpPerspective(photograph, matrix, (width, height))
    small = (width // 6, height // 6)
    ours = cv2.resize(straight, small, interpolation=cv2.INTER_AREA)
    theirs = cv2.resize(np.asarray(wanted), small, interpolation=cv2.INTER_AREA)
    assert correlation(ours, theirs) > 0.9
    shifted = np.roll(theirs, (3, 3), (0, 1))  # the measure sees a shift of half a letter
    assert correlation(ours, shifted) < correlation(ours, theirs) - 0.1


def test_digit_theta_turns_each_digit_upright(script):
    """θ (normalised, output → input) of digits.csv, applied by OpenCV, gives the digit as drawn unturned."""
    rows = (SAMPLES / "digits.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 10
    for number, row in enumerate(rows):
        source, *values = row.split(",")
        theta = np.array(values, float).reshape(2, 3)
        turned = cv2.imread(str(SAMPLES / "digits" / source), cv2.IMREAD_GRAYSCALE)
        side = turned.shape[0]
        y, x = np.mgrid[:side, :side]
        target = np.stack([(2 * x + 1) / side - 1, (2 * y + 1) / side - 1, np.ones_like(x)], -1)
        source_x, source_y = np.moveaxis(((target @ theta.T + 1) * side - 1) / 2, -1, 0).astype(np.float32)
        upright = cv2.remap(turned, source_x, source_y, cv2.INTER_LINEAR)
        drawn = script.digits.digit(number, 0, np.random.default_rng([4, number]))
        assert correlation(upright, drawn) > 0.98


def test_points_stay_inside_and_on_the_border():
    rows = np.loadtxt(SAMPLES / "points.csv", delimiter=",")
    with Image.open(IMAGES / "chart.png") as chart:
        limit = np.array(chart.size) - 1
    x, moved = rows[:, :2], rows[:, 2:]
    border = ((x == 0) | np.isclose(x, limit)).any(1)
    np.testing.assert_allclose(moved[border], x[border], atol=0.1)
    assert np.abs(moved - x)[~border].max() > 10
    assert ((moved >= 0) & (moved <= limit)).all()
