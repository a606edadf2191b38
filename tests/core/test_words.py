"""Words against OpenCV's matrices and against what a person would see."""

import cv2
import numpy as np
import pytest
import torch

from stn_cli.core import words
from stn_cli.core.conventions import to_convention
from stn_cli.core.describe import describe
from stn_cli.core.sampler import sample
from stn_cli.errors import OptionError

SIZE = (40, 60)


def forward(text: str, about=None, size=SIZE) -> np.ndarray:
    """What happens to the content, in pixels: (2, 3)."""
    made = words.transformation(words.steps(text), size, about)
    return to_convention("opencv", made, size, size).reshape(2, 3)


def test_rotate_and_zoom_are_opencvs_rotation_matrix():
    expected = cv2.getRotationMatrix2D((29.5, 19.5), 30, 0.8)
    np.testing.assert_allclose(forward("rotate 30; zoom 0.8"), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("rotate 90", (39.5, 19.5), (29.5, 9.5)),  # right of the centre goes up: counter-clockwise
        ("translate 5,-3", (10, 10), (15, 7)),
        ("translate 10%,50%", (0, 0), (6, 20)),
        ("flip h", (0, 0), (59, 0)),
        ("flip v", (0, 0), (0, 39)),
        ("zoom 2", (29.5, 19.5), (29.5, 19.5)),
        ("zoom 2,3", (30.5, 20.5), (31.5, 22.5)),
        ("shear 45", (29.5, 9.5), (39.5, 9.5)),  # the top leans right
        ("shear 0,45", (39.5, 19.5), (39.5, 9.5)),  # the right side goes up
        ("rotate 90; translate 10,0", (29.5, 19.5), (39.5, 19.5)),
        ("translate 10,0; rotate 90", (29.5, 19.5), (29.5, 9.5)),
        ("rotate −90°", (39.5, 19.5), (29.5, 29.5)),
    ],
)
def test_words_move_the_content_as_said(text, source, target):
    np.testing.assert_allclose(forward(text) @ [*source, 1], target, atol=1e-12)


def test_about_stays_where_it_is():
    for said, place in (("10,25%", (10, 10)), ("25%,10", (15, 10)), ("15px,25%", (15, 10))):
        about = words.point("--about", said)
        for text in ("rotate 33", "zoom 0.5", "shear 12,-7", "flip h", "flip v"):
            np.testing.assert_allclose(forward(text, about) @ [*place, 1], place, atol=1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(40, 60), (31, 17)])
def test_a_rotation_stays_a_rotation_on_an_image_that_is_not_square(size, align_corners):
    made = words.transformation(words.steps("rotate 25"), size, align_corners=align_corners)
    linear = made.pixel_matrix(size, size, align_corners)[:2, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rotate 0", "identity"),
        ("rotate 30; zoom 0.8", "turned 30° counter-clockwise, 0.80×"),
        ("rotate -12.5", "turned 12.5° clockwise"),
        ("flip h", "mirrored"),
        ("zoom 2,1", "2.00× along x, 1.00× along y"),
        ("shear 20", "sheared by 20°"),
        ("translate 3,4", "reads input (26.5, 15.5); content moved"),
        ("translate 100%,0", "100 % of the output lies outside"),
    ],
)
def test_describe_says_what_the_words_said(text, said):
    made = words.transformation(words.steps(text), SIZE)
    assert said in describe(made, SIZE, SIZE).sentence()


@pytest.mark.parametrize("turn", [-170.0, -45.0, 0.0, 12.0, 90.0, 135.0])
@pytest.mark.parametrize("mirror", ["", "flip h; "])
def test_describe_takes_apart_what_words_put_together(turn, mirror):
    made = words.transformation(words.steps(f"{mirror}shear 10; zoom 1.5,0.7; rotate {turn}"), SIZE)
    found = describe(made, SIZE, (80, 120))
    assert found.mirrored == bool(mirror)
    # The output has twice the pixels: scales are in output pixels per input pixel. Shear, then zoom: along x by sx·tan.
    sheared = np.array([[1.5, -1.5 * np.tan(np.radians(10))], [0, 0.7]]) * 2
    np.testing.assert_allclose(found.scales, (sheared[0, 0], sheared[1, 1]), atol=1e-9)
    assert found.rotation == pytest.approx(turn, abs=1e-9)
    assert abs(found.determinant) == pytest.approx(1 / np.linalg.det(sheared))


def test_describe_sees_folds_and_horizons():
    from stn_cli.core.families import make
    from stn_cli.core.transformation import Transformation

    tps = make("tps")
    crossed = np.array(tps.identity()).reshape(-1, 2)
    crossed[[5, 6]] = crossed[[6, 5]] * [2.5, 1]
    assert describe(Transformation(tps, crossed.reshape(-1)), SIZE, SIZE).folded > 0.01
    assert describe(Transformation(tps, np.array(tps.identity())), SIZE, SIZE).folded == 0
    beyond = Transformation(make("projective"), np.array([1, 0, 0, 0, 1, 0, 1.5, 0.0]))
    assert describe(beyond, SIZE, SIZE).horizon
    flat = Transformation(make("affine"), np.array([1, 1, 0, 1, 1, 0.0]))
    assert "collapsed" in describe(flat, SIZE, SIZE).sentence()


def test_share_outside_is_the_area_outside():
    found = describe(words.transformation(words.steps("zoom 0.5"), (400, 600)), (400, 600), (400, 600))
    assert found.outside == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    "text",
    ["", "turn 30", "rotate", "rotate nan", "rotate inf", "rotate 1e999", "zoom 1e-999", "translate 1e999,0", "flip h v",
     "rotate 1_0", "rotate 0x1", "rotate +-1"],
)  # fmt: skip
def test_words_that_mean_nothing_are_refused(text):
    with pytest.raises(OptionError, match=r"^--do: "):
        words.steps(text)


@pytest.mark.parametrize(
    ("verb", "texts", "values"),
    [
        ("rotate", ["-30", "−30°", " -30deg ", "-3e1", "-.3e+2"], (-30.0,)),
        ("zoom", ["1.5", "1.5x", "1.5×", "1.5,1.5"], (1.5, 1.5)),
        ("zoom", ["2,.5", "2 0.5", "2x, 0.5x", "2×,0.5×"], (2.0, 0.5)),
        ("shear", ["20", "20°", "20deg", "20,0", "20°,0°", "20deg 0deg"], (20.0, 0.0)),
        ("shear", ["20,5", "20 5", "+20°, 5°"], (20.0, 5.0)),
        ("translate", ["40,-5%", "40px,-5%", "40 -5%", " 40px , -5% "], (words.Length(40), words.Length(-0.05, True))),
        ("flip", ["h", " h "], ("h",)),
        ("flip", ["v"], ("v",)),
    ],
)
def test_units_and_blanks_are_as_people_write_them(verb, texts, values):
    expected = words.Step(verb, values)
    for text in texts:
        assert words.step(verb, text) == expected
        assert words.steps(f" ;{verb} {text}; zoom 1;") == (expected, words.Step("zoom", (1.0, 1.0)))


@pytest.mark.parametrize("text", ["1 2 3", "1,2,3", "[[1, 2], [3]]", "(1; 2; 3)", " 1e0\n2.\t3 ", "[1 2;3]"])
def test_numbers_come_in_any_brackets(text):
    assert words.numbers("--theta", text, "numbers") == [1, 2, 3]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("quarters", [-7, -2, -1, 0, 1, 2, 3, 6])
def test_quarter_turns_move_pixels_without_interpolating(quarters, align_corners):
    U = torch.randint(256, (1, 2, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made = words.transformation(words.steps(f"rotate {90 * quarters}"), (9, 9), align_corners=align_corners)
    assert set(made.theta.tolist()) <= {-1.0, 0.0, 1.0}
    grid = torch.tensor(made.grid((9, 9), align_corners))[None]
    assert torch.equal(sample(U, grid, align_corners=align_corners), torch.rot90(U, quarters, (2, 3)))


def test_shears_are_done_one_after_the_other():
    for a, b in ((20, 5), (-30, 40)):
        np.testing.assert_allclose(forward(f"shear {a},{b}"), forward(f"shear {a}; shear 0,{b}"), atol=1e-12)


def test_two_pixels_are_enough_for_aligned_corners():
    made = words.transformation(words.steps("flip h; flip v"), (2, 2), align_corners=True)
    np.testing.assert_allclose(made.theta, [-1, 0, 0, 0, -1, 0], atol=1e-15)
