"""The pictures of `stn gradcheck`: error per output pixel, and error against step size."""

from math import ceil, floor, log10

import numpy as np
from PIL import Image

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.text import plain
from stn_cli.draw.theme import LIGHT, Theme, mix, rgb

SCALE = 2.0  # pixels a unit
LOWEST, HIGHEST = -16, 0  # decades of the heatmap's colours

Curve = tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def heatmap(V: np.ndarray, error: np.ndarray, kink: np.ndarray, subject: str, theme: Theme = LIGHT) -> Image.Image:
    """Left the output, right how wrong the gradient is at each of its pixels, on a logarithmic scale.

    V (C, H, W); error (H, W), relative to the largest entry; kink (H, W) bool: pixels without a derivative, marked.
    """
    height, width = error.shape
    side = 260 / max(height, width)
    wide, high = side * width, side * height
    left, top, gap = 28.0, 64.0, 36.0
    canvas = Canvas(left + 2 * wide + gap + 96, top + max(high, 200) + 40, theme, SCALE)
    canvas.text((left, 26), "**Gradient error per output pixel**", 15)
    canvas.text((left, 45), plain(subject), 10.5, theme.muted)
    box = (left, top, left + wide, top + high)
    canvas.image(Bitmap(_grey(V)), box)
    canvas.rectangle(box, stroke=theme.faint)
    canvas.text((left, top + high + 16), "output V", 10.5, theme.muted)

    x = left + wide + gap
    box = (x, top, x + wide, top + high)
    share = np.clip((np.log10(np.maximum(error, 10.0**LOWEST)) - LOWEST) / (HIGHEST - LOWEST), 0, 1)
    canvas.image(Bitmap(_ramp(theme)[np.round(share * 255).astype(int)]), box)
    canvas.lines([_stroke(x, top, side, i, j) for i, j in np.argwhere(kink)], theme.outside, max(0.8, side * 0.12))
    canvas.rectangle(box, stroke=theme.faint)
    worst = float((error * ~kink).max(initial=0.0))
    found = f"largest error {_scientific(worst)} of the largest entry" if worst else "no error"
    canvas.text((x, top + high + 16), "every pixel lies on a kink" if kink.all() else found, 10.5, theme.muted)

    bar = (x + wide + 22, top, x + wide + 34, top + max(high, 200) - 40)
    _colour_bar(canvas, bar, theme)
    count = int(kink.sum())
    if count:
        y = bar[3] + 30
        canvas.lines([_stroke(bar[0], y - 9, 12, 0, 0)], theme.outside, 1.6)
        canvas.text((bar[2] + 6, y), f"kink: {count}", 10, theme.muted)
    return canvas.render()


def sweep(curves: list[Curve], theme: Theme = LIGHT) -> Image.Image:
    """Error against step size, one curve a problem, log-log; rings where the error model took its steps.

    A curve is (name, steps (S,), worst (S,), taken (E,), reached (E,)); errors are relative.
    """
    canvas = Canvas(640, 420, theme, SCALE)
    left, right, top, bottom = 64.0, 616.0, 96.0, 372.0
    steps = np.concatenate([c[1] for c in curves])
    errors = np.concatenate([np.concatenate([c[2], c[4]]) for c in curves])
    x_low, x_high = floor(log10(steps.min())), ceil(log10(steps.max()))
    y_low, y_high = -17, max(0, min(6, ceil(log10(max(errors.max(), 1e-17)))))

    def at(step: float, error: float) -> tuple[float, float]:
        x = left + (log10(step) - x_low) / (x_high - x_low) * (right - left)
        y = bottom - (min(max(log10(max(error, 1e-300)), y_low), y_high) - y_low) / (y_high - y_low) * (bottom - top)
        return x, y

    canvas.text((left, 26), "**Error of the difference quotient against its step**", 15)
    canvas.text(
        (left, 45), "worst element, relative to the largest entry; ringed: the steps that were taken", 10.5, theme.muted
    )
    _axes(canvas, (left, right, top, bottom), (x_low, x_high), (y_low, y_high), theme)
    colours = (theme.input, theme.output, theme.grid, theme.gradient)
    for k, (name, step, worst, taken, reached) in enumerate(curves):
        colour = colours[k % len(colours)]
        canvas.line([at(s, e) for s, e in zip(step, worst, strict=True)], colour, 2.0)
        for s in np.unique(taken):
            canvas.circle(at(s, reached[taken == s].max()), 4.2, theme.background, stroke=colour, width=1.8)
        column, row = k % 2, k // 2
        x, y = left + column * 276, 66 + row * 16
        canvas.line([(x, y - 4), (x + 18, y - 4)], colour, 2.4)
        canvas.text((x + 24, y), plain(name), 10.5)
    canvas.text(
        (at(10.0 ** (x_low + 0.4), 1)[0], bottom - 10), "rounding: ε / h", 10, theme.muted, halo=theme.background
    )
    canvas.text((right - 6, bottom - 10), "truncation, kinks", 10, theme.muted, anchor="end", halo=theme.background)
    return canvas.render()


def _axes(canvas: Canvas, box: tuple, x_range: tuple[int, int], y_range: tuple[int, int], theme: Theme) -> None:
    left, right, top, bottom = box
    for decade in range(x_range[0], x_range[1] + 1, 2):
        x = left + (decade - x_range[0]) / (x_range[1] - x_range[0]) * (right - left)
        canvas.line([(x, top), (x, bottom)], theme.faint, 0.6)
        canvas.text((x, bottom + 16), _power(decade), 10, theme.muted, anchor="middle")
    for decade in range(-16, y_range[1] + 1, 4):
        y = bottom - (decade - y_range[0]) / (y_range[1] - y_range[0]) * (bottom - top)
        canvas.line([(left, y), (right, y)], theme.faint, 0.6)
        canvas.text((left - 8, y + 3.5), _power(decade), 10, theme.muted, anchor="end")
    canvas.line([(left, top), (left, bottom), (right, bottom)], theme.muted, 1.0)
    canvas.text(((left + right) / 2, bottom + 34), "step *h*", 11, theme.muted, anchor="middle")


def _power(decade: int) -> str:
    return "1" if decade == 0 else f"10^{{{decade}}}".replace("-", "−")


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}·{_power(int(exponent))}"


def _stroke(x: float, y: float, side: float, i: int, j: int) -> list[tuple[float, float]]:
    """A cell's diagonal."""
    inset = side * 0.15
    return [
        (x + j * side + inset, y + (i + 1) * side - inset),
        (x + (j + 1) * side - inset, y + i * side + inset),
    ]


def _ramp(theme: Theme) -> np.ndarray:
    """256 colours from the plane's to the gradient's, through the grid's: small errors stay quiet."""
    half = [mix(theme.plane, theme.input, k / 127) for k in range(128)]
    rest = [mix(theme.input, theme.gradient, k / 127) for k in range(128)]
    return np.array([rgb(colour) for colour in half + rest], dtype=np.uint8)


def _colour_bar(canvas: Canvas, box: tuple[float, float, float, float], theme: Theme) -> None:
    _, top, right, bottom = box
    canvas.image(Bitmap(_ramp(theme)[::-1][:, None]), box)
    canvas.rectangle(box, stroke=theme.faint)
    for decade in range(LOWEST, HIGHEST + 1, 4):
        y = bottom - (decade - LOWEST) / (HIGHEST - LOWEST) * (bottom - top)
        canvas.text((right + 6, y + 3.5), _power(decade), 10, theme.muted)


def _grey(V: np.ndarray) -> np.ndarray:
    """V (C, H, W), stretched to 0…255: colours where it has three channels, else its first."""
    shown = V.transpose(1, 2, 0) if V.shape[0] == 3 else V[0]
    low, high = float(shown.min()), float(shown.max())
    return np.round((shown - low) / max(high - low, 1e-300) * 255).astype(np.uint8)
