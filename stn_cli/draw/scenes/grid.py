"""The regular grid bends from the identity to T_θ(G) (paper, figure 3; seed 1)."""

from stn_cli.core.describe import describe
from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Canvas
from stn_cli.draw.motion import between, ease, part
from stn_cli.draw.scene import Box, number
from stn_cli.draw.scenes.bend import Bend, theta_numbers

REST = 0.1  # of the time at the identity, and again at the end


class Grid(Bend):
    name = "grid"
    title = "The grid generator"
    lesson = (
        "The transformation never touches the pixels, it moves the places where they are read. What the grid does, the "
        "content does the other way round."
    )
    seconds = 5.0

    def transformation(self, t: float) -> Transformation:
        return between(self.subject.transformation, ease(part(t, REST, 1 - REST)), self.subject.in_size)

    def caption(self, t: float) -> str:
        if t < REST:
            return "The identity: every output pixel reads the place it stands on."
        if t < 1 - REST:
            return "*θ* changes, and with it the places where the output reads; the content goes the other way."
        one = self.subject
        said = describe(one.transformation, one.in_size, one.out_size, one.align_corners).sentence()
        return said[0].upper() + said[1:] + "."

    def strip(self, sheet: Canvas, box: Box, t: float) -> None:
        theta_numbers(sheet, box, self.transformation(t))
        share = self.outside(t)
        y = (box[1] + box[3]) / 2
        if share > 0:
            text = f"{number(100 * share, 0)} % outside"
            sheet.text((box[2], y + 4.5), text, 12.5, self.theme.outside, anchor="end", bold=True)
