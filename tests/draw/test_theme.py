"""The palette is safe for colour-blind eyes, in both themes: measured, not believed."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from stn_cli.draw.theme import THEMES, rgb

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
MACHADO = {
    "full colour": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
OBJECTS = ("input", "output", "grid", "gradient", "outside")


def linear(colour: str) -> np.ndarray:
    value = np.array(rgb(colour)) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour: str, eyes: str) -> np.ndarray:
    value = np.clip(np.array(MACHADO[eyes]) @ linear(colour), 0, 1)
    return rgb2lab(np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055))


def contrast(first: str, second: str) -> float:
    """WCAG 2: relative luminance of the lighter over the darker."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (first, second))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("eyes", MACHADO)
def test_objects_are_told_apart(name, eyes):
    theme = THEMES[name]
    for a, b in combinations(OBJECTS, 2):
        apart = deltaE_ciede2000(seen(getattr(theme, a), eyes), seen(getattr(theme, b), eyes))
        assert apart > 10, f"{a} and {b} look alike to {eyes}: {apart:.1f}"


@pytest.mark.parametrize("name", THEMES)
def test_text_and_lines_stand_out_from_the_ground(name):
    theme = THEMES[name]
    assert contrast(theme.ink, theme.background) > 12
    assert contrast(theme.muted, theme.background) > 4.5
    for item in OBJECTS:
        assert contrast(getattr(theme, item), theme.background) > 2.1, item
