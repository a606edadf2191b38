"""Learning curves: test error by epoch, and what the transformer does meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from PIL import Image

from stn_cli.draw.canvas import Canvas
from stn_cli.draw.theme import LIGHT, Theme

WIDTH, HEIGHT, SCALE = 960.0, 420.0, 2.0


@dataclass(frozen=True)
class Curve:
    """One network: its name, its seeds' records (each a list of epochs), the paper's error in per cent or None."""

    name: str
    seeds: Sequence[Sequence[dict[str, Any]]]
    reference: float | None = None


def curves(title: str, shown: Sequence[Curve], note: str = "", theme: Theme = LIGHT) -> Image.Image:
    """A picture of all curves: the mean of the seeds thick, each seed thin; the paper's figures dashed."""
    sheet = Canvas(WIDTH, HEIGHT, theme, SCALE)
    sheet.text((24, 34), title, 19, bold=True)
    colours = _colours(theme)
    spreads = _straightening(shown)
    halves = (70.0, 530.0, 570.0, 930.0) if spreads else (70.0, 900.0, 0.0, 0.0)
    error = _Plot(sheet, (halves[0], 78, halves[1] - 30, HEIGHT - 66), "test error, per cent", _errors(shown), log=True)
    named = []
    for curve, colour in zip(shown, colours, strict=False):
        if curve.reference is not None:
            error.level(curve.reference, colour)
        last = error.draw([[(r["epoch"], 100 * r["test_error"]) for r in seed] for seed in curve.seeds], colour)
        named.append((last, curve.name, colour))
    error.names(named)
    if any(curve.reference is not None for curve in shown):
        sheet.text((70, HEIGHT - 18), "dashed: the paper's figure for MNIST", 11.5, theme.muted)
    if spreads:
        turn = _Plot(sheet, (halves[2] + 40, 78, halves[3] - 6, HEIGHT - 66), "rotation left to the classifier, degrees (s.d.)",
                     [v for seeds in spreads.values() for seed in seeds for _, v in seed])  # fmt: skip
        for curve, colour in zip(shown, colours, strict=False):
            if curve.name in spreads:
                turn.draw(spreads[curve.name], colour)
        if (true := _true_spread(shown)) is not None:
            turn.level(true, theme.muted, "in the test images")
    if note:
        sheet.text((WIDTH - 24, HEIGHT - 18), note, 11.5, theme.muted, anchor="end", room=560)
    return sheet.render()


class _Plot:
    """Axes in `box`; epochs along x from 0, values along y, logarithmic or from 0."""

    def __init__(
        self,
        sheet: Canvas,
        box: tuple[float, float, float, float],
        title: str,
        values: Iterable[float],
        log: bool = False,
    ) -> None:
        self.sheet, self.box, self.log = sheet, box, log
        values = [v for v in values if v == v]
        self.low, self.high = _decades(values) if log else (0.0, max([*values, 1.0]) * 1.08)
        self.epochs = 1
        theme = sheet.theme
        left, top, right, bottom = box
        sheet.text((left - 6, top - 16), title, 13, theme.muted)
        for tick in _log_ticks(self.low, self.high) if log else _ticks(self.high):
            y = self.y(tick)
            sheet.line([(left, y), (right, y)], theme.faint, 0.7, opacity=0.7)
            sheet.text((left - 8, y + 4), f"{tick:g}", 11.5, theme.muted, anchor="end")
        sheet.line([(left, bottom), (right, bottom)], theme.muted, 1)

    def x(self, epoch: float) -> float:
        return self.box[0] + (self.box[2] - self.box[0]) * epoch / self.epochs

    def y(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = (log10(max(v, self.low)) for v in (value, low, high))
        return self.box[3] - (self.box[3] - self.box[1]) * min(max((value - low) / (high - low), 0), 1)

    def draw(self, seeds: Sequence[Sequence[tuple[int, float]]], colour: str) -> tuple[float, float]:
        """Each seed thin, their mean thick; where the mean ends."""
        self._axis(max(epoch for seed in seeds for epoch, _ in seed))
        if len(seeds) > 1:
            for seed in seeds:
                self.sheet.line([(self.x(e), self.y(v)) for e, v in seed], colour, 1, opacity=0.35)
        common = [e for e, _ in seeds[0] if all(e in dict(seed) for seed in seeds)]
        mean = [(self.x(e), self.y(sum(dict(seed)[e] for seed in seeds) / len(seeds))) for e in common]
        self.sheet.line(mean, colour, 2.4)
        for point in mean if len(mean) < 30 else mean[-1:]:
            self.sheet.circle(point, 2.6, colour)
        return mean[-1]

    def level(self, value: float, colour: str, name: str = "") -> None:
        y = self.y(value)
        self.sheet.line([(self.box[0], y), (self.box[2], y)], colour, 1.3, dash=(5, 4), opacity=0.8)
        if name:
            self.sheet.text((self.box[0] + 4, y - 5), name, 11.5, colour)

    def names(self, ends: list[tuple[tuple[float, float], str, str]]) -> None:
        """The name of each curve above the plot's right half, in its colour, from the worst to the best."""
        y = self.box[1] + 10
        for (_, _), name, colour in sorted(ends, key=lambda end: end[0][1]):
            self.sheet.text(
                (self.box[2] - 4, y), name, 13, colour, anchor="end", bold=True, halo=self.sheet.theme.background
            )
            y += 18

    def _axis(self, epochs: int) -> None:
        if self.epochs >= epochs > 0 and self.epochs != 1:
            return
        self.epochs = max(1, epochs)
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if self.epochs / s <= 10)
        bottom, theme = self.box[3], self.sheet.theme
        for epoch in range(0, self.epochs + 1, step):
            self.sheet.text((self.x(epoch), bottom + 17), str(epoch), 11.5, theme.muted, anchor="middle")
        self.sheet.text((self.box[2], bottom + 32), "epoch", 11.5, theme.muted, anchor="end")


def _colours(theme: Theme) -> list[str]:
    return [theme.output, theme.input, theme.grid, theme.gradient, theme.outside, theme.muted, theme.ink, theme.faint]


def _errors(shown: Sequence[Curve]) -> list[float]:
    found = [100 * r["test_error"] for curve in shown for seed in curve.seeds for r in seed]
    return found + [curve.reference for curve in shown if curve.reference is not None]


def _straightening(shown: Sequence[Curve]) -> dict[str, list[list[tuple[int, float]]]]:
    found = {}
    for curve in shown:
        seeds = [[(r["epoch"], r["angle_spread"]["left"]) for r in seed if "angle_spread" in r] for seed in curve.seeds]
        if all(seeds):
            found[curve.name] = seeds
    return found


def _true_spread(shown: Sequence[Curve]) -> float | None:
    found = (r["angle_spread"]["true"] for c in shown for seed in c.seeds for r in seed if "angle_spread" in r)
    return next(found, None)


def _decades(values: list[float]) -> tuple[float, float]:
    """A range that holds the values, at least a factor of four wide, ending at 1, 2 or 5 times a power of ten."""
    low, high = max(min(values, default=1.0), 1e-3), max(max(values, default=10.0), 2e-3)
    ends = [m * 10.0**e for e in range(-4, 4) for m in (1, 2, 5)]
    top = min(v for v in ends if v >= high)
    return max(v for v in ends if v <= min(low * 0.98, top / 4)), top


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [m * 10.0**e for e in exponents for m in (1, 2, 5) if low * 0.999 <= m * 10.0**e <= high * 1.001]


def _ticks(high: float) -> list[float]:
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if high / s <= 7)
    return [step * i for i in range(int(high / step) + 1)]
