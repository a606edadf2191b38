"""A sheet to draw on with sub-pixel accuracy: shapes are kept as SVG and rendered by resvg.

A clip or a fade makes the renderer lay out a sheet as large as all it contains, so what is drawn inside should not reach
far beyond; a single shape takes its opacity in its paint instead.

Frame of every coordinate: x right, y down, in units of the sheet; a unit is `scale` pixels of the rendered picture and
whole numbers are the edges between pixels, not their centres. So a sheet is drawn once for any resolution.
"""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from math import atan2, cos, hypot, isfinite, sin

import numpy as np
from PIL import Image

from stn_cli.draw import text as typeset
from stn_cli.draw.theme import Theme

Point = Sequence[float] | np.ndarray
FAR = 1e5  # beyond any sheet, near enough for the renderer's 32-bit coordinates


class Bitmap:
    """An image to be drawn, encoded once however often it is drawn.

    `pixels`: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8.
    """

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        self.height, self.width = pixels.shape[:2]
        self._uri = ""

    @property
    def uri(self) -> str:
        if not self._uri:
            data = io.BytesIO()
            Image.fromarray(self.pixels).save(data, "png", compress_level=1)
            self._uri = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
        return self._uri


class Canvas:
    """A sheet of `width` × `height` units in a theme's colours; `scale` pixels a unit when rendered."""

    def __init__(self, width: float, height: float, theme: Theme, scale: float = 1.0, background: str | None = None):
        self.width, self.height, self.theme, self.scale = width, height, theme, scale
        self._background = theme.background if background is None else background
        self._parts: list[str] = []
        self._clips = 0

    def line(
        self,
        points: Iterable[Point],
        colour: str,
        width: float = 1.0,
        *,
        closed: bool = False,
        dash: Sequence[float] = (),
        opacity: float = 1.0,
        casing: str | None = None,
        casing_width: float = 1.0,
    ) -> None:
        """A polyline; `casing` is a rim of that colour which keeps it legible on a picture.

        Points that are not finite break the line.
        """
        path = _path(points, closed)
        if not path:
            return
        if casing:
            self._stroke(path, casing, width + 2 * casing_width, dash, opacity * 0.85)
        self._stroke(path, colour, width, dash, opacity)

    def lines(self, polylines: Iterable[Iterable[Point]], colour: str, width: float = 1.0, **style) -> None:
        """Many polylines as one path: where they cross, opacity and casing are not added up."""
        path = "".join(_path(points, False) for points in polylines)
        if not path:
            return
        casing = style.get("casing")
        opacity, dash = style.get("opacity", 1.0), style.get("dash", ())
        if casing:
            self._stroke(path, casing, width + 2 * style.get("casing_width", 1.0), dash, opacity * 0.85)
        self._stroke(path, colour, width, dash, opacity)

    def polygon(
        self,
        points: Iterable[Point],
        fill: str = "none",
        *,
        stroke: str = "none",
        width: float = 1.0,
        opacity: float = 1.0,
        fill_opacity: float = 1.0,
    ) -> None:
        path = _path(points, True)
        if path:
            self._parts.append(
                f'<path d="{path}" fill="{fill}" fill-opacity="{fill_opacity * opacity:.3f}" stroke="{stroke}"'
                f' stroke-width="{width:.3f}" stroke-linejoin="round" stroke-opacity="{opacity:.3f}"/>'
            )

    def rectangle(
        self,
        box: Sequence[float],
        fill: str = "none",
        *,
        stroke: str = "none",
        width: float = 1.0,
        radius: float = 0.0,
        opacity: float = 1.0,
        fill_opacity: float = 1.0,
        dash: Sequence[float] = (),
    ) -> None:
        """`box` is (left, top, right, bottom)."""
        left, top, right, bottom = box
        if right <= left or bottom <= top:
            return
        dashes = f' stroke-dasharray="{" ".join(map(str, dash))}"' if dash else ""
        self._parts.append(
            f'<rect x="{left:.3f}" y="{top:.3f}" width="{right - left:.3f}" height="{bottom - top:.3f}"'
            f' rx="{radius:.3f}" fill="{fill}" fill-opacity="{fill_opacity * opacity:.3f}" stroke="{stroke}"'
            f' stroke-width="{width:.3f}" stroke-opacity="{opacity:.3f}"{dashes}/>'
        )

    def circle(
        self,
        centre: Point,
        radius: float,
        fill: str = "none",
        *,
        stroke: str = "none",
        width: float = 1.0,
        opacity: float = 1.0,
    ) -> None:
        x, y = _near(centre)
        self._parts.append(
            f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{radius:.3f}" fill="{fill}" stroke="{stroke}"'
            f' stroke-width="{width:.3f}" fill-opacity="{opacity:.3f}" stroke-opacity="{opacity:.3f}"/>'
        )

    def arrow(
        self,
        start: Point,
        end: Point,
        colour: str,
        width: float = 1.5,
        *,
        head: float = 6.0,
        opacity: float = 1.0,
        casing: str | None = None,
        dash: Sequence[float] = (),
    ) -> None:
        """A line with a filled head whose tip is `end`; nothing where it would be shorter than a tenth of a unit."""
        (x0, y0), (x1, y1) = _near(start), _near(end)
        length = hypot(x1 - x0, y1 - y0)
        if length < 0.1:
            return
        head = min(head, length)
        angle = atan2(y1 - y0, x1 - x0)
        shaft = [(x0, y0), (x1 - head * 0.7 * cos(angle), y1 - head * 0.7 * sin(angle))]
        wings = [(x1 - head * cos(angle + turn), y1 - head * sin(angle + turn)) for turn in (0.42, -0.42)]
        if casing:
            self.line(shaft, casing, width + 2, opacity=opacity * 0.85)
            self.polygon([(x1, y1), *wings], casing, stroke=casing, width=2.0, opacity=opacity * 0.85)
        self.line(shaft, colour, width, opacity=opacity, dash=dash)
        self.polygon([(x1, y1), *wings], colour, opacity=opacity)

    def text(
        self,
        at: Point,
        markup: str,
        size: float,
        colour: str | None = None,
        *,
        anchor: str = "start",
        bold: bool = False,
        halo: str | None = None,
        opacity: float = 1.0,
        room: float | None = None,
    ) -> float:
        """Text on its baseline at `at` (markup: `stn_cli.draw.text`); shrunk to fit `room`. Returns its width."""
        markup = f"**{markup}**" if bold else markup
        wide = typeset.width(markup, size)
        if room is not None and wide > room > 0:
            size, wide = size * room / wide, room
        x, y = at
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        inside = typeset.tspans(markup, size)
        common = f'x="{left:.3f}" y="{y:.3f}" font-size="{size:.3f}" xml:space="preserve"'
        if halo:
            self._parts.append(
                f'<text {common} fill="none" stroke="{halo}" stroke-width="{size * 0.24:.3f}" stroke-opacity="{opacity:.3f}"'
                f' stroke-linejoin="round">{inside}</text>'
            )
        self._parts.append(
            f'<text {common} fill="{colour or self.theme.ink}" fill-opacity="{opacity:.3f}">{inside}</text>'
        )
        return wide

    def image(self, bitmap: Bitmap, box: Sequence[float], *, opacity: float = 1.0) -> None:
        """`bitmap` stretched to `box` (left, top, right, bottom): magnified pixels stay squares, a reduction is smooth."""
        left, top, right, bottom = box
        reduced = bitmap.width > (right - left) * self.scale * 1.001
        kind = "optimizeQuality" if reduced else "optimizeSpeed"
        self._parts.append(
            f'<image x="{left:.3f}" y="{top:.3f}" width="{right - left:.3f}" height="{bottom - top:.3f}"'
            f' preserveAspectRatio="none" image-rendering="{kind}" opacity="{opacity:.3f}" href="{bitmap.uri}"/>'
        )

    @contextmanager
    def clip(self, box: Sequence[float], radius: float = 0.0) -> Iterator[None]:
        """What is drawn inside the block shows only within `box`."""
        left, top, right, bottom = box
        self._clips += 1
        name = f"c{self._clips}"
        self._parts.append(
            f'<clipPath id="{name}"><rect x="{left:.3f}" y="{top:.3f}" width="{max(0.0, right - left):.3f}"'
            f' height="{max(0.0, bottom - top):.3f}" rx="{radius:.3f}"/></clipPath><g clip-path="url(#{name})">'
        )
        yield
        self._parts.append("</g>")

    @contextmanager
    def fade(self, opacity: float) -> Iterator[None]:
        """What is drawn inside the block is blended as one."""
        self._parts.append(f'<g opacity="{opacity:.3f}">')
        yield
        self._parts.append("</g>")

    def svg(self) -> str:
        ground = (
            f'<rect width="{self.width}" height="{self.height}" fill="{self._background}"/>'
            if self._background != "none"
            else ""
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' width="{self.width * self.scale}" height="{self.height * self.scale}" font-family="Inter"'
            f' stroke-linecap="round">{ground}{"".join(self._parts)}</svg>'
        )

    def render(self, *, alpha: bool = False) -> Image.Image:
        """The sheet as an RGB picture (RGBA with `alpha`) of `scale` × its size, rounded to whole pixels."""
        import resvg_py

        png = resvg_py.svg_to_bytes(
            svg_string=self.svg(),
            width=max(1, round(self.width * self.scale)),
            height=max(1, round(self.height * self.scale)),
            skip_system_fonts=True,
            font_files=[str(path) for path in typeset.FILES.values()],
        )
        with Image.open(io.BytesIO(png)) as picture:
            return picture.convert("RGBA" if alpha else "RGB")

    def _stroke(self, path: str, colour: str, width: float, dash: Sequence[float], opacity: float) -> None:
        dashes = f' stroke-dasharray="{" ".join(f"{d:.3f}" for d in dash)}"' if dash else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{escape(colour)}" stroke-width="{width:.3f}"'
            f' stroke-linejoin="round" stroke-opacity="{opacity:.3f}"{dashes}/>'
        )


def _near(point: Point) -> tuple[float, float]:
    return tuple(min(FAR, max(-FAR, float(value))) if isfinite(value) else FAR for value in point)  # type: ignore[return-value]


def _path(points: Iterable[Point], closed: bool) -> str:
    parts: list[str] = []
    letter = "M"
    for x, y in points:
        if not (isfinite(x) and isfinite(y)) or abs(x) > FAR or abs(y) > FAR:
            letter = "M"
            continue
        parts.append(f"{letter}{x:.3f} {y:.3f}")
        letter = "L"
    if not parts:
        return ""
    return "".join(parts) + ("Z" if closed else "")
