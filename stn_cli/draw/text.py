"""Text with the little markup that formulas need, and how wide it is.

Markup: `*italic*`, `**bold**`, `_{subscript}`, `^{superscript}`. Text that comes from a user is passed through
`plain`, so that a file named `a*b_{c}.png` is drawn as it is written.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

FONTS = Path(__file__).with_name("fonts")
FILES = {
    "regular": FONTS / "Inter-Regular.ttf",
    "bold": FONTS / "Inter-SemiBold.ttf",
    "italic": FONTS / "Inter-Italic.ttf",
}
SMALL = 0.72  # size of sub- and superscripts
LOWERED = {"sub": 0.22, "sup": -0.36, "": 0.0}
_LITERAL = {ord("*"): "\ue000", ord("_"): "\ue001", ord("^"): "\ue002", ord("{"): "\ue003", ord("}"): "\ue004"}
_BACK = {ord(mark): chr(code) for code, mark in _LITERAL.items()}


@dataclass(frozen=True)
class Run:
    text: str
    style: str = "regular"  # a key of FILES
    shift: str = ""  # "sub", "sup" or nothing


def plain(text: object) -> str:
    """Text of a user, so that no character of it is markup; control characters become spaces."""
    clean = "".join(char if char.isprintable() else " " for char in str(text))
    return clean.translate(_LITERAL)


@lru_cache(maxsize=4096)
def runs(markup: str) -> tuple[Run, ...]:
    """The stretches of one style that `markup` is made of."""
    found: list[Run] = []
    text, style, shift, at = "", "regular", "", 0

    def close() -> None:
        nonlocal text
        if text:
            found.append(Run(text.translate(_BACK), style, shift))
        text = ""

    while at < len(markup):
        two = markup[at : at + 2]
        if two == "**":
            close()
            style, at = ("regular" if style == "bold" else "bold"), at + 2
        elif markup[at] == "*":
            close()
            style, at = ("regular" if style == "italic" else "italic"), at + 1
        elif two in ("_{", "^{"):
            close()
            shift, at = ("sub" if two == "_{" else "sup"), at + 2
        elif markup[at] == "}" and shift:
            close()
            shift, at = "", at + 1
        else:
            text, at = text + markup[at], at + 1
    close()
    return tuple(found)


@lru_cache(maxsize=8)
def _font(style: str):
    from PIL import ImageFont

    return ImageFont.truetype(FILES[style], 200, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _advance(run: Run) -> float:
    return _font(run.style).getlength(run.text) / 200 * (SMALL if run.shift else 1)


def width(markup: str, size: float) -> float:
    """How wide `markup` is at font size `size`, in the same units."""
    return size * sum(_advance(run) for run in runs(markup))


def wrap(markup: str, size: float, room: float) -> list[str]:
    """`markup` broken at spaces into lines no wider than `room` (a single longer word stays whole)."""
    lines: list[str] = []
    for word in markup.split(" "):
        if lines and width(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def balance(markup: str, size: float, room: float) -> list[str]:
    """As `wrap`, with lines of about the same length: no single word is left for the last one."""
    lines = wrap(markup, size, room)
    if len(lines) > 1:
        low, high = room / len(lines) / 2, room
        while high - low > size / 4:
            middle = (low + high) / 2
            low, high = (low, middle) if len(wrap(markup, size, middle)) <= len(lines) else (middle, high)
        lines = wrap(markup, size, high)
    return lines


def shorten(text: str, size: float, room: float) -> str:
    """Plain `text` with an ellipsis in its middle where it is wider than `room`."""
    if width(plain(text), size) <= room:
        return plain(text)
    low, high = 1, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if width(plain(_clip(text, keep)), size) <= room else (low, keep - 1)
    return plain(_clip(text, low))


def _clip(text: str, keep: int) -> str:
    tail = keep // 2
    return f"{text[: keep - tail]}…{text[len(text) - tail :] if tail else ''}"


def tspans(markup: str, size: float) -> str:
    """`markup` as the inside of an SVG text element."""
    parts: list[str] = []
    lowered = 0.0
    for run in runs(markup):
        target = LOWERED[run.shift] * size
        attributes = f' dy="{target - lowered:.3f}"' if target != lowered else ""
        lowered = target
        if run.shift:
            attributes += f' font-size="{size * SMALL:.3f}"'
        if run.style == "bold":
            attributes += ' font-weight="600"'
        elif run.style == "italic":
            attributes += ' font-style="italic"'
        parts.append(f"<tspan{attributes}>{escape(run.text)}</tspan>")
    return "".join(parts)
