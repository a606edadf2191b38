"""`stn warp` from end to end, its pixels against OpenCV, Pillow and NumPy."""

import json
import os
import sys

import cv2
import numpy as np
import pytest
from PIL import Image


def load(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def off(a: np.ndarray, b: np.ndarray, rim: int = 0) -> int:
    """The largest difference, a rim of pixels left out."""
    inside = slice(rim, -rim or None)
    return int(np.abs(a.astype(int) - b.astype(int))[inside, inside].max())


def test_a_folder_is_warped_with_its_sub_folders(stn, folder, tmp_path, picture):
    ran = stn("warp", folder, "--rotate", "30", "--zoom", "0.8", "--antialias", "off", "--out", tmp_path / "out")
    assert "3 warped, 0 skipped, 0 failed" in ran.out
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == [
        "a.png", "manifest.jsonl", "sub/b.png", "sub/c.jpg",
    ]  # fmt: skip
    matrix = cv2.getRotationMatrix2D((31.5, 23.5), 30, 0.8)
    for name, source in (("a.png", picture), ("sub/b.png", picture[::-1])):
        expected = cv2.warpAffine(source, matrix, (64, 48), flags=cv2.INTER_LINEAR)
        assert off(load(tmp_path / "out" / name), expected) <= 1


def test_no_recursive_stays_at_the_top(stn, folder, tmp_path):
    stn("warp", folder, "--flip", "h", "--no-recursive", "--out", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "manifest.jsonl"}


def test_one_file_to_one_file(stn, folder, tmp_path, picture):
    stn("warp", folder / "a.png", "--flip", "v", "--out", tmp_path / "b.png")
    np.testing.assert_array_equal(load(tmp_path / "b.png"), picture[::-1])
    assert not (tmp_path / "manifest.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--flip", "h"], lambda p: p[:, ::-1]),
        (["--rotate", "180"], lambda p: p[::-1, ::-1]),
        (["--theta", "1 0 0 0 1 0"], lambda p: p),
        (["--theta", "-1,0,0,0,1,0"], lambda p: p[:, ::-1]),
        (["--theta", "1 0 0 0 1 0 0 0 1"], lambda p: p),
        (["--theta", "0 0"], lambda p: p),
        (["--matrix", "1 0 5 0 1 0", "--convention", "opencv"], lambda p: np.pad(p, ((0, 0), (5, 0), (0, 0)))[:, :64]),
        (["--matrix", "1 0 5 0 1 0", "--convention", "pillow"], lambda p: np.pad(p, ((0, 0), (0, 5), (0, 0)))[:, 5:]),
        (["--do", "translate 4,0; rotate 180"], lambda p: np.pad(p, ((0, 0), (4, 0), (0, 0)))[::-1, :64][:, ::-1]),
        (["--translate", "4,0", "--rotate", "180"], lambda p: np.pad(p[::-1, ::-1], ((0, 0), (4, 0), (0, 0)))[:, :64]),
        (["--zoom", "2", "--about", "-0.5,-0.5"], lambda p: cv2.resize(p[:24, :32], (64, 48), interpolation=cv2.INTER_LINEAR)),
    ],
)  # fmt: skip
def test_every_way_to_say_it_means_what_it_says(stn, folder, tmp_path, picture, words, expected):
    stn("warp", folder / "a.png", *words, "--out", tmp_path / "b.png")
    ours = load(tmp_path / "b.png")
    if "--about" in words:
        assert off(ours, expected(picture), rim=4) <= 1
    else:
        np.testing.assert_array_equal(ours, expected(picture))


def test_corners_straighten_what_opencv_bent(stn, tmp_path, picture):
    smooth = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC)
    corners = np.float32([(101, 82), (515, 61), (570, 422), (63, 395)])
    edges = np.float32([(-0.5, -0.5), (639.5, -0.5), (639.5, 479.5), (-0.5, 479.5)])
    photo = cv2.warpPerspective(smooth, cv2.getPerspectiveTransform(edges, corners), (640, 480))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    text = " ".join(f"{x},{y}" for x, y in corners)
    stn("warp", tmp_path / "photo.png", "--corners", text, "--out", tmp_path / "flat.png")
    assert off(load(tmp_path / "flat.png"), smooth, rim=12) <= 6


def test_the_manifest_replays_to_the_same_bytes(stn, folder, tmp_path):
    stn("warp", folder, "--rotate", "12", "--size", "50%", "--fill", "orange", "--kernel", "bicubic", "--format", "webp",
        "--quality", "77", "--out", tmp_path / "one")  # fmt: skip
    manifest = tmp_path / "one" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [row["source"] for row in rows] == ["a.png", "sub/b.png", "sub/c.jpg"]
    stn("warp", folder, "--theta-file", manifest, "--out", tmp_path / "two")
    for row in rows:
        assert (tmp_path / "one" / row["output"]).read_bytes() == (tmp_path / "two" / row["output"]).read_bytes()
    assert manifest.read_bytes() == (tmp_path / "two" / "manifest.jsonl").read_bytes()


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv", "flo"])
@pytest.mark.parametrize("align", [[], ["--align-corners"]])
def test_a_grid_file_gives_the_same_picture(stn, folder, tmp_path, suffix, align):
    words = ["--rotate", "20", "--zoom", "0.9", *align]
    stn("warp", folder / "a.png", *words, "--out", tmp_path / "direct.png")
    grid = tmp_path / f"g.{suffix}"
    stn("grid", *words, "--on", folder / "a.png", "--out", grid)
    stn("warp", folder / "a.png", "--grid", grid, *align, "--out", tmp_path / "from_grid.png")
    assert off(load(tmp_path / "direct.png"), load(tmp_path / "from_grid.png")) <= 1


def test_existing_files_are_left_alone_unless_asked(stn, folder, tmp_path):
    out = tmp_path / "out"
    stn("warp", folder, "--rotate", "5", "--out", out)
    before = (out / "a.png").read_bytes()
    assert "exists already" in stn("warp", folder, "--rotate", "9", "--out", out, expect=2).err
    (out / "sub" / "b.png").unlink()
    assert "1 warped, 2 skipped" in stn("warp", folder, "--rotate", "9", "--existing", "skip", "--out", out).out
    assert (out / "a.png").read_bytes() == before
    stn("warp", folder, "--rotate", "9", "--existing", "overwrite", "--out", out)
    assert (out / "a.png").read_bytes() != before


def test_a_file_that_cannot_be_read_is_named_and_the_rest_go_on(stn, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    ran = stn("warp", folder, "--rotate", "5", "--out", tmp_path / "out", expect=1)
    assert "3 warped, 0 skipped, 1 failed" in ran.out
    assert [line for line in ran.err.splitlines() if "broken.png" in line]
    assert not (tmp_path / "out" / "broken.png").exists()


def test_a_dry_run_touches_nothing(stn, folder, tmp_path):
    ran = stn("warp", folder, "--rotate", "5", "--out", tmp_path / "out", "--dry-run")
    assert "3 to warp" in ran.out
    assert not (tmp_path / "out").exists()


def test_json_is_one_object_for_machines(stn, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"nothing")
    ran = stn("warp", folder, "--rotate", "5", "--out", tmp_path / "out", "--json", expect=1)
    summary = json.loads(ran.out)
    assert summary["warped"] == 3
    assert [os.path.basename(f["path"]) for f in summary["failed"]] == ["broken.png"]  # noqa: PTH119
    assert summary["manifest"] == str(tmp_path / "out" / "manifest.jsonl")


def test_verbose_says_what_theta_means(stn, folder, tmp_path):
    ran = stn("warp", folder / "a.png", "--rotate", "30", "--zoom", "0.8", "--out", tmp_path / "b.png", "-v")
    assert "content turned 30° counter-clockwise, 0.80×" in ran.err
    assert "cv2.warpAffine" in ran.err
    assert "device cpu" in ran.err


def test_the_contact_sheet_shows_every_pair(stn, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    stn("warp", folder, "--rotate", "30", "--out", tmp_path / "out", "--contact-sheet", sheet)
    assert load(sheet).shape[1] == 1200
    assert (
        "exists already"
        in stn("warp", folder, "--rotate", "3", "--out", tmp_path / "o2", "--contact-sheet", sheet, expect=2).err
    )
    assert not (tmp_path / "o2").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there it would be a real drive")
def test_a_sheet_on_a_windows_drive_is_no_url(stn, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stn("warp", folder, "--rotate", "3", "--out", tmp_path / "o3", "--contact-sheet", "C:/sheet.png")
    assert (tmp_path / "C:" / "sheet.png").is_file()


def test_points_bend_and_say_how_far_they_miss(stn, folder, tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("x,y,x',y'\n0,0,0,0\n63,0,63,0\n63,47,63,47\n0,47,0,47\n20,20,30,24\n40,30,42,30\n")
    ran = stn("warp", folder / "a.png", "--points", points, "--out", tmp_path / "b.png")
    assert "6 control points; missed by 0.00 pixels" in ran.err
    ran = stn("warp", folder / "a.png", "--points", points, "--smoothing", "1", "--out", tmp_path / "c.png")
    assert "missed by" in ran.err
    assert "missed by 0.00 pixels" not in ran.err
    before, after = load(folder / "a.png"), load(tmp_path / "b.png")
    assert np.abs(after[24, 30].astype(int) - before[20, 20]).max() <= 4  # the content at (20, 20) went to (30, 24)


@pytest.mark.parametrize("running", ["--jobs 1", "--jobs 3", "--batch-size 1", "--batch-size 3 --jobs 5"])
def test_bytes_do_not_depend_on_threads_or_batches(stn, folder, tmp_path, running):
    stn("warp", folder, "--rotate", "7", "--out", tmp_path / "reference", "--jobs", "2")
    stn("warp", folder, "--rotate", "7", "--out", tmp_path / "other", *running.split())
    made = sorted(path.relative_to(tmp_path / "reference") for path in (tmp_path / "reference").rglob("*.*"))
    assert made == sorted(path.relative_to(tmp_path / "other") for path in (tmp_path / "other").rglob("*.*"))
    for name in made:
        assert (tmp_path / "reference" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_alpha_is_warped_premultiplied(stn, tmp_path):
    image = np.zeros((32, 32, 4), np.uint8)
    image[:, :16] = (255, 0, 0, 255)
    image[:, 16:] = (0, 255, 0, 0)  # green that nobody may ever see
    Image.fromarray(image).save(tmp_path / "a.png")
    stn("warp", tmp_path / "a.png", "--rotate", "33", "--out", tmp_path / "b.png")
    warped = load(tmp_path / "b.png")
    seen = warped[warped[..., 3] > 0]
    assert (seen[:, 0] == 255).all()
    assert (seen[:, 1] == 0).all()


def test_cmyk_padding_is_black(stn, tmp_path):
    Image.new("CMYK", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    stn("warp", tmp_path / "a.jpg", "--translate", "50%,0", "--out", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as warped:
        rgb = np.asarray(warped.convert("RGB"))
    assert rgb[:, :7].max() < 30
    assert rgb[:, 13:].min() > 225


def test_nearest_keeps_labels(stn, tmp_path):
    labels = np.random.default_rng(0).integers(0, 5, (20, 24)).astype(np.uint8)
    image = Image.fromarray(labels).convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200, 99, 99, 99])
    image.putdata(labels.reshape(-1).tolist())
    image.save(tmp_path / "a.png")
    stn("warp", tmp_path / "a.png", "--flip", "h", "--kernel", "nearest", "--out", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as warped:
        assert warped.mode == "P"
        np.testing.assert_array_equal(np.asarray(warped), labels[:, ::-1])
