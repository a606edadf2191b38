"""What is refused: every message names the option, the value as given and what would do, and goes on in lower case."""

from collections.abc import Callable

import numpy as np
import pytest

from stn_cli.core import fit, words
from stn_cli.core.conventions import CONVENTIONS, from_convention, to_convention
from stn_cli.core.families import FAMILIES, Affine, Flow, PiecewiseAffine, ThinPlateSpline, family_for, make
from stn_cli.core.sampling import ANTIALIAS, KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.errors import OptionError, StnError

SIZE = (40, 60)
FLAT = Transformation(Affine(), np.array([1, 2, 0, 2, 4, 0.0]))
BENT = Transformation(make("tps"), np.array(make("tps").identity()))
COUNTS = ("2 (tr", "3 (at", "4 (si", "6 (af", "8 or 9 (pr", "18, 32, 50, … (tps)")


def verb(name: str, text: str, *said: str) -> list:
    """The same refusal by the verb's own option and inside --do, where the value is the whole step."""
    return [
        (lambda: words.step(name, text), f"--{name}", text, said),
        (lambda: words.steps(f"zoom 2; {name} {text}"), "--do", f"{name} {text}", said),
    ]


REFUSED: list[tuple[Callable[[], object], str, str, tuple[str, ...]]] = [
    *verb("rotate", "x", "degrees", "counter-clockwise", "such as 30"),
    *verb("rotate", "1 2", "degrees"),
    *verb("zoom", "x", "factor above 0", "two (x,y)", "1.5 or 2,0.5"),
    *verb("zoom", "1,2,3", "factor above 0"),
    *verb("zoom", "-1", "factor above 0", "to mirror, use --flip"),
    *verb("zoom", "0", "factor above 0"),
    *verb("zoom", "2,-1", "factor above 0"),
    *verb("shear", "x", "degrees", "two (x,y)", "20 or 20,5"),
    *verb("shear", "1,2,3", "degrees"),
    *verb("shear", "90", "above -90", "below 90"),
    *verb("shear", "0,-90", "above -90", "below 90"),
    *verb("translate", "5", "x,y in pixels or per cent", "40,0 or 10%,-5%"),
    *verb("translate", "5,x", "x,y in pixels or per cent", "40,0 or 10%,-5%"),
    *verb("flip", "x", "h (left and right", "v (top and bottom"),
    (lambda: words.step("turn", "30"), "--turn", "turn", words.ORDER),
    (lambda: words.steps("turn 30"), "--do", "turn 30", (", ".join(words.ORDER),)),
    (lambda: words.steps(" ;"), "--do", "' ;'", ('"rotate 30; zoom 1.5; translate 40px,0"',)),
    (lambda: words.point("--about", "1"), "--about", "1", ("x,y in pixels or per cent",)),
    (lambda: words.numbers("--theta", "1 x", "finite numbers"), "--theta", "1 x", ("finite numbers",)),
    (lambda: words.numbers("--theta", "[;]", "finite numbers"), "--theta", "[;]", ("finite numbers",)),
    (
        lambda: words.transformation(words.steps("rotate 9"), (1, 7), align_corners=True),
        "--align-corners", "an image of 7×1", ("at least 2×2 pixels",),
    ),
    (
        lambda: words.transformation(words.steps("zoom 1e-200; flip h; zoom 1e-200"), SIZE),
        "--zoom, --flip", "numbers as large or small as these", ("overflow",),
    ),
    (lambda: to_convention("opencv", FLAT, SIZE, SIZE), "--theta", "1 2 0 2 4 0", ("must not be singular", "inverse")),
    (lambda: to_convention("opencv", BENT, SIZE, SIZE), "--to", "opencv", ("family tps has no matrix", "stn grid --maps")),
    (lambda: to_convention("matlab", FLAT, SIZE, SIZE), "--convention", "matlab", CONVENTIONS),
    (lambda: from_convention("matlab", [1] * 6, SIZE, SIZE), "--convention", "matlab", CONVENTIONS),
    (lambda: from_convention("opencv", [1, 2, 0, 2, 4, 0], SIZE, SIZE), "--matrix", "1 2 0 2 4 0", ("singular", "inverse")),
    (lambda: from_convention("torch", [1, 2, 3], SIZE, SIZE), "--matrix", "1 2 3", ("6 numbers", "8 or 9", "torch")),
    (lambda: from_convention("skimage", [np.inf] * 6, SIZE, SIZE), "--matrix", " ".join(["inf"] * 6), ("6 numbers",)),
    (
        lambda: from_convention("skimage", [1.7e308, 1.7e308, 0, 0, 1, 0], SIZE, SIZE),
        "--matrix", "1.7e+308 1.7e+308 0 0 1 0", ("overflow",),
    ),
    (
        lambda: from_convention("skimage", [1, 0, 0, 0, 1, 0], SIZE, (1, 9), True),
        "--align-corners", "an image one pixel wide or high", ("at least 2×2 pixels",),
    ),
    (
        lambda: fit.corners(np.array([(0, 0), (9.5, 0), (2, 2), (0, 9)]), SIZE),
        "--corners", "0,0 9.5,0 2,2 0,9", ("four corners", "convex", "top left first", "clockwise"),
    ),
    (lambda: Transformation(Affine(), np.ones(5)), "--theta", "5 numbers", ("affine takes 6",)),
    (lambda: Transformation(Affine(), np.full(6, np.nan)), "--theta", " ".join(["nan"] * 6), ("must be finite",)),
    (
        lambda: Transformation(make("tps"), np.full(32, -np.inf)),
        "--theta", " ".join(["-inf"] * 9) + " …", ("must be finite",),
    ),
    (
        lambda: Transformation.from_numbers([1, 0, 0, 0, 1, 0, 0.5, 0, 0]),
        "--theta", "1 0 0 0 1 0 0.5 0 0", ("last number of a projective θ", "zero"),
    ),
    (
        lambda: Transformation.from_numbers([1e300, 0, 0, 0, 1, 0, 0, 0, 1e-10]),
        "--theta", "inf 0 0 0 1e+10 0 0 0", ("must be finite",),
    ),
    (lambda: Transformation(Flow((1, 5)), [np.nan] * 10), "--theta", " ".join(["nan"] * 9) + " …", ("must be finite",)),
    (lambda: family_for(5), "--theta", "5 numbers", COUNTS),
    (lambda: family_for(7, "tps"), "--theta", "7 numbers", ("tps takes 2n²", "8, 18, 32")),
    (lambda: family_for(6, "projective"), "--theta", "6 numbers", ("projective takes 8: h11, h12,",)),
    (lambda: make("cubic"), "--family", "cubic", tuple(FAMILIES)),
    (lambda: Sampling(kernel="lanczos"), "--kernel", "lanczos", KERNELS),
    (lambda: Sampling(padding="wrap"), "--padding", "wrap", PADDINGS),
    (lambda: Sampling(antialias="yes"), "--antialias", "yes", ANTIALIAS),
    (lambda: Sampling(fill=(1.0,)), "--fill", "(1.0,)", ("goes with --padding fill",)),
    (lambda: Sampling(padding="fill"), "--fill", "None", ("goes with --padding fill",)),
    (lambda: Sampling(padding="fill", fill=(np.nan,)), "--fill", "(nan,)", ("one finite number a channel", "one for all")),
    (lambda: Sampling(padding="fill", fill=()), "--fill", "()", ("one finite number a channel", "one for all")),
    (
        lambda: Sampling(padding="fill", fill=(1, 2)).constant(3),
        "--fill", "(1.0, 2.0)", ("image has 3 channels", "give 3 numbers, or one"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "option", "value", "said"), REFUSED)
def test_a_refusal_names_option_value_and_what_would_do(call, option, value, said):
    with pytest.raises(OptionError) as caught:
        call()
    head, line = f"{option}: {value}: ", str(caught.value)
    assert line.startswith(head)
    allowed = line.removeprefix(head)
    assert all(word in allowed for word in said), allowed
    assert allowed[0].islower() or allowed[0].isdigit(), "the line goes on in lower case"
    assert allowed.isprintable()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ThinPlateSpline(smoothing=-1.0), ("thin-plate spline", "≥ 0", "-1.0")),
        (lambda: ThinPlateSpline(smoothing=np.nan), ("thin-plate spline", "≥ 0", "nan")),
        (lambda: ThinPlateSpline(smoothing=np.inf), ("thin-plate spline", "≥ 0", "inf")),
        (lambda: ThinPlateSpline((1, 4)), ("lattice", "2×2 points", "(1, 4)")),
        (lambda: PiecewiseAffine((4, 1)), ("lattice", "2×2 points", "(4, 1)")),
        (lambda: make("affine", shape=(2, 2)), ("family affine", "{'shape': (2, 2)}")),
        (lambda: make("tps", shape="ab"), ("family tps", "{'shape': 'ab'}", "invalid literal")),
    ],
)
def test_what_builds_no_family_is_told(call, said):
    with pytest.raises(StnError) as caught:
        call()
    assert all(word in str(caught.value) for word in said), caught.value
