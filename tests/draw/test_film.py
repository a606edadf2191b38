"""Films decode again with the frames and the times they were given, in one palette."""

import io
import json
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from stn_cli.draw.canvas import Canvas
from stn_cli.draw.examples import sample, telling
from stn_cli.draw.film import Film
from stn_cli.draw.history import read_history
from stn_cli.draw.palette import Palette
from stn_cli.draw.scene import Scene, Stage
from stn_cli.draw.scenes import SCENES
from stn_cli.draw.scenes.training import Training
from stn_cli.draw.subject import Subject
from stn_cli.draw.theme import LIGHT, THEMES, rgb
from stn_cli.draw.writers import WRITERS, write_folder
from stn_cli.errors import FileError


class Clock(Scene):
    """A bar that grows with time over a smooth picture: every frame is another."""

    name, title, lesson, seconds = "clock", "Clock", "", 2.0

    def __init__(self, stage):
        self.stage, self.theme = stage, stage.theme

    def frame(self, t):
        sheet = Canvas(self.stage.width, self.stage.height, self.theme)
        for x in range(0, self.stage.width, 4):
            shade = int(255 * x / self.stage.width)
            sheet.rectangle((x, 40, x + 4, 80), f"#{shade:02x}{(shade * 3) % 256:02x}{255 - shade:02x}")
        sheet.rectangle((0, 0, max(1.0, self.stage.width * t), 20), self.theme.grid)
        return sheet

    def draw(self, sheet, area, t): ...
    def caption(self, t):
        return ""

    def legend(self):
        return ()


def film(width=90, height=90, fps=10, seconds=3.0, loop=True):
    return Film(Clock(Stage(width, height, LIGHT)), fps, seconds, loop)


def written(one, suffix):
    file = io.BytesIO()
    told = []
    WRITERS[suffix](one, file, lambda done, total: told.append((done, total)))
    assert told[-1] == (one.count, one.count)
    return file.getvalue()


@given(st.floats(1, 60), st.floats(1, 60))
def test_times_add_up_in_hundredths_of_a_second(fps, seconds):
    one = film(fps=fps, seconds=seconds)
    assert len(one.durations) == one.count == len(one.times)
    assert all(d % 10 == 0 and d >= 20 for d in one.durations)
    if fps <= 45:
        assert sum(one.durations) == pytest.approx(1000 * seconds, abs=10)
    assert one.times[0] == 0
    assert one.times[-1] == 1
    assert one.durations[-1] >= max(one.durations[1:-1], default=0)


@pytest.mark.parametrize("fps", [10, 15])
@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
@pytest.mark.parametrize("loop", [True, False])
def test_animated_pictures_decode_to_the_same_frames_and_times(suffix, fps, loop):
    one = film(fps=fps, loop=loop)
    data = written(one, suffix)
    with Image.open(io.BytesIO(data)) as picture:
        frames = []
        for frame in ImageSequence.Iterator(picture):
            pixels = np.asarray(frame.convert("RGB"), int)  # WebP knows its time only when it is decoded
            frames.append((frame.info["duration"], pixels))
        said = picture.info.get("loop")
    assert said == (0 if loop else (None if suffix == ".gif" else 1))
    assert [duration for duration, _ in frames] == one.durations
    tolerance = {".gif": 14, ".apng": 0, ".webp": 60}[suffix]
    for t, (_, found) in zip(one.times, frames, strict=True):
        wanted = np.asarray(one.frame(t), int)
        assert np.abs(found - wanted).mean() < max(0.01, tolerance / 8)
        assert suffix == ".webp" or np.abs(found - wanted).max() <= tolerance * 3


def test_a_gif_has_one_palette():
    data = written(film(), ".gif")
    assert data[10] & 0x80, "no global palette"
    local = 0
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at += 2
        else:
            assert data[at] == 0x2C
            local += data[at + 9] >> 7
            at += 11
        while data[at]:
            at += data[at] + 1
        at += 1
    assert local == 0


def test_flat_colours_do_not_flicker():
    """What stands still in the scene stands still, to the bit, in the GIF."""
    one = film()
    with Image.open(io.BytesIO(written(one, ".gif"))) as picture:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]
    assert all(np.array_equal(frame[25:], frames[0][25:]) for frame in frames)
    assert frames[-1][10, 45].tolist() == list(rgb(LIGHT.grid))


@pytest.mark.parametrize("theme", THEMES)
def test_the_palette_meets_the_theme_s_colours(theme):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    palette = Palette.of([noise], THEMES[theme])
    assert palette.colours.shape == (256, 3)
    for name in ("background", "ink", "muted", "faint", "plane", "input", "output", "grid", "gradient", "outside"):
        flat = Image.new("RGB", (8, 8), getattr(THEMES[theme], name))
        assert np.array_equal(palette.colours[palette.indices(flat)], np.asarray(flat)), name
    assert np.abs(palette.colours[palette.indices(noise)].astype(int) - np.asarray(noise)).mean() < 25


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "h264"), (".webm", "vp9")])
def test_videos_decode_with_the_right_length_and_size(suffix, codec):
    one = film(width=91, height=65, fps=15)
    with av.open(io.BytesIO(written(one, suffix))) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(stream)]
        assert stream.codec_context.name == codec or stream.codec.canonical_name == codec
        assert stream.average_rate == Fraction(15)
        assert (stream.width, stream.height) == (92, 66)
    assert len(frames) == pytest.approx(3.0 * 15, abs=1)
    assert np.abs(frames[-1][:20, 40:50] - rgb(LIGHT.grid)).max() < 30


def test_a_folder_of_numbered_pictures(tmp_path):
    one = film()
    write_folder(one, tmp_path, lambda done, total: None)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{k:04d}.png" for k in range(1, one.count + 1)]
    with Image.open(tmp_path / names[3]) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(one.frame(one.times[3])))


def test_the_default_scene_is_small_and_whole():
    made = SCENES["reverse"](Subject(sample(), telling(None, (96, 96), sample=True)), Stage(480, 360, LIGHT))
    one = Film(made, 5)
    data = written(one, ".gif")
    assert len(data) < 2_000_000
    with Image.open(io.BytesIO(data)) as picture:
        total = sum(frame.info["duration"] for frame in ImageSequence.Iterator(picture))
    assert total == pytest.approx(1000 * one.length, abs=10)


@pytest.fixture
def run(tmp_path):
    """A run's folder, as learn/runs.py describes it."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 24 * 12), dtype=np.uint8)
    Image.fromarray(images).save(tmp_path / "watched.png")
    identity = np.array([1.0, 0, 0, 0, 1, 0])
    theta = identity + rng.normal(0, 0.2, (4, 24, 6)) * np.arange(4)[:, None, None] / 3
    head = {
        "type": "run", "data": "digits", "watched": {"images": "watched.png", "labels": [0] * 24},
        "plan": {"design": {"model": "st-cnn", "in_size": 12, "family": "affine", "family_options": {}}, "distortion": "R"},
    }  # fmt: skip
    lines = [head] + [
        {"type": "epoch", "epoch": k, "test_error": 0.9 / (k + 1), "theta": theta[k].tolist()} for k in range(4)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path, images, theta


def test_training_shows_the_recorded_theta(run):
    folder, images, theta = run
    history = read_history(folder)
    assert np.array_equal(history.images[5], images[:, 60:72])
    scene = Training(history, Stage(320, 240, LIGHT))
    for epoch in range(4):
        for digit in range(scene.count):
            assert np.allclose(scene.theta(epoch / 3, digit), theta[epoch, digit])
    assert np.asarray(scene.frame(0.5).render()).std() > 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "metrics.jsonl").unlink(),
        lambda folder: (folder / "metrics.jsonl").write_text(""),
        lambda folder: (folder / "metrics.jsonl").write_text("{}\n{}\n"),
        lambda folder: (folder / "metrics.jsonl").write_text("\x00 nonsense"),
        lambda folder: (folder / "watched.png").write_bytes(b"no picture"),
        lambda folder: (folder / "watched.png").unlink(),
        lambda folder: (folder / "metrics.jsonl").write_text(
            (folder / "metrics.jsonl").read_text().replace('"affine"', '"translation"')
        ),
        lambda folder: (folder / "metrics.jsonl").write_text(
            (folder / "metrics.jsonl").read_text().replace('"affine"', "null")
        ),
    ],
    ids=["no metrics", "empty", "no header", "no json", "no picture", "no digits", "another family", "no transformer"],
)
def test_damaged_runs_are_told(run, damage):
    folder, _, _ = run
    damage(folder)
    with pytest.raises(FileError):
        read_history(folder)
