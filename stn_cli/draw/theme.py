"""The colours of every picture: one object, one colour, in all scenes and both themes.

The hues are those of Okabe and Ito, "Color Universal Design" (2008), which colour-blind eyes keep apart; in the dark
theme they are lightened until they stand out from the background. `tests/draw/test_theme.py` holds both themes to it.
"""

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Theme:
    """Colours as "#rrggbb"."""

    name: ThemeName
    background: str
    plane: str  # the input plane where there is no image
    ink: str
    muted: str
    faint: str
    input: str
    output: str
    grid: str
    gradient: str
    outside: str


LIGHT = Theme(
    name="light",
    background="#ffffff",
    plane="#eceff2",
    ink="#171b20",
    muted="#59636e",
    faint="#c5ccd3",
    input="#0072b2",
    output="#d55e00",
    grid="#009e73",
    gradient="#a83a84",
    outside="#e69f00",
)

DARK = Theme(
    name="dark",
    background="#14171b",
    plane="#252a31",
    ink="#f2f4f6",
    muted="#a9b2bc",
    faint="#454d57",
    input="#4aa3e8",
    output="#f58a42",
    grid="#4bd6a4",
    gradient="#cc5fb0",
    outside="#f0e442",
)

THEMES: dict[str, Theme] = {"light": LIGHT, "dark": DARK}


def rgb(colour: str) -> tuple[int, int, int]:
    """ "#rrggbb" as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(first: str, second: str, share: float) -> str:
    """The colour `share` of the way from `first` to `second`."""
    parts = (round(a + (b - a) * share) for a, b in zip(rgb(first), rgb(second), strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)
