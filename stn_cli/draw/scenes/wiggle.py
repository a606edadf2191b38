"""What the two wiggle scenes share: a small input with every sample point on it, and the output it makes (seed 5)."""

import numpy as np

from stn_cli.draw.canvas import Canvas
from stn_cli.draw.overlay import draw_plane
from stn_cli.draw.plane import View, window
from stn_cli.draw.scene import Box, Scene, Stage, panel, panels
from stn_cli.draw.scenes.cells import Formulas, cell_lines, plain
from stn_cli.draw.subject import Subject


class Wiggle(Scene):
    """A scene on few, large pixels, in grey levels from 0 to 255."""

    strip_height = 76.0
    longest = 9

    def prepare(self, subject: Subject) -> Subject:
        return plain(subject.reduced(self.longest))

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        self.base = Formulas(one, one.grid)
        self.window = window(one.in_size, [one.grid], one.align_corners, reach=0.4)

    def note(self) -> str:
        return f"backpropagation · {self.subject.transformation.family.name}"

    def boxes(self, area: Box) -> tuple[View, View]:
        left, top, right, bottom = self.window
        height, width = self.subject.out_size
        first, second = panels(
            (*area[:3], area[3] - self.strip_height), [(right - left, bottom - top), (width, height)]
        )
        align = self.subject.align_corners
        return (
            View(self.subject.in_size, self.window, first, align),
            View(self.subject.out_size, (0, 0, width, height), second, align),
        )

    def stage_panels(self, sheet: Canvas, source: View, target: View, image, output) -> None:
        draw_plane(sheet, source, image)
        cell_lines(sheet, source)
        sheet.image(output, target.box)
        cell_lines(sheet, target)
        panel(sheet, source.box, "input *U*", self.theme.input)
        panel(sheet, target.box, "output *V*", self.theme.output)

    def net(self, sheet: Canvas, view: View, grid: np.ndarray, opacity: float = 0.9) -> None:
        """The sampling grid as a net with a dot at every entry."""
        at = view.at(grid)
        theme = self.theme
        with sheet.clip(view.box), sheet.fade(opacity):
            sheet.lines([*at, *at.transpose(1, 0, 2)], theme.grid, 0.8, casing=theme.background, casing_width=0.4)
            radius = min(2.4, max(1.4, view.zoom * 0.1))
            for point, place in zip(grid.reshape(-1, 2), at.reshape(-1, 2), strict=True):
                colour = theme.grid if np.abs(point).max() <= 1 else theme.outside
                sheet.circle(place, radius, colour, stroke=theme.background, width=0.7)

    def legend(self):
        theme = self.theme
        entries = [
            (theme.grid, "sampling grid *T*_{*θ*}(*G*)"),
            (theme.gradient, "gradient"),
            (theme.output, "output changed"),
        ]
        if np.abs(self.subject.grid).max() > 1:
            entries.append((theme.outside, "outside the image"))
        return entries


def grey(levels: np.ndarray) -> np.ndarray:
    """Values in [0, 255] as they are drawn."""
    return np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8)
