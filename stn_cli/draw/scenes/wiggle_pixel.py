"""One input pixel's value moves: all output pixels that share it change (seed 5, "Gradient w.r.t. input feature map")."""

import numpy as np

from stn_cli.draw.canvas import Bitmap, Canvas
from stn_cli.draw.motion import swing
from stn_cli.draw.scene import Box, Stage, ink_on, number
from stn_cli.draw.scenes.cells import KIND_NAMES, KINDS, Formulas
from stn_cli.draw.scenes.wiggle import Wiggle, grey
from stn_cli.draw.subject import Subject

TERMS = 5  # of the sum are written out


class WigglePixel(Wiggle):
    name = "wiggle-pixel"
    title = "One input pixel changes its value"
    lesson = (
        "One input pixel is shared by several sample points, as a different neighbour of each. So its gradient is a "
        "sum, and the backward pass adds instead of searching."
    )
    seconds = 7.0
    strip_height = 95.0

    def __init__(self, subject: Subject, stage: Stage):
        super().__init__(subject, stage)
        one = self.subject
        height, width = one.in_size
        source = self.base.near.source[:, 0].numpy()
        share = self.base.weights * self.base.near.inside[:, 0].numpy()
        counts = np.zeros(height * width)
        np.add.at(counts, source.reshape(-1), (share > 0.02).reshape(-1))
        y, x = np.indices((height, width))
        centre = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) / max(height, width)
        # About five output pixels, as in the article, and not at the border.
        score = -np.abs(counts.reshape(height, width) - 5) - 2 * centre
        self.row, self.column = (int(v) for v in np.unravel_index(int(np.argmax(score)), score.shape))
        mine = (source == self.row * width + self.column) & (share > 1e-9)
        self.users = sorted(
            (
                (int(i), int(j), int(kind), float(share[kind, i, j]))
                for kind, i, j in zip(*np.nonzero(mine), strict=True)
            ),
            key=lambda entry: -entry[3],
        )
        # The loss: half the squared distance of V from U's mean, values from 0 to 1.
        self.target = float(one.image.mean())
        self.dL_dV = (self.base.V - self.target) / 255
        self.dL_dU = self.base.dL_dU(self.dL_dV)

    def value(self, t: float) -> float:
        """The pixel's grey level at time t: it swings around its own."""
        own = float(self.subject.image[self.row, self.column])
        turn = swing(t) if own < 128 else -swing(t)
        return own + (max(0.0, turn) * (255 - own) + min(0.0, turn) * own) * 0.9

    def draw(self, sheet: Canvas, area: Box, t: float) -> None:
        theme, one = self.theme, self.subject
        source, target = self.boxes(area)
        image = one.image.astype(float)
        image[self.row, self.column] = self.value(t)
        now = Formulas(one, one.grid, image)
        self.stage_panels(sheet, source, target, Bitmap(grey(image)), Bitmap(grey(now.V)))
        self.net(sheet, source, one.grid, 0.45)
        cell = source.cell(self.column, self.row)
        sheet.rectangle(cell, stroke=theme.input, width=3)
        at = source.at(one.grid)
        for i, j, kind, weight in self.users:
            if weight < 0.005:
                continue
            sheet.circle(at[i, j], 3.0, theme.grid, stroke=theme.background, width=1.2)
            box = target.cell(j, i)
            sheet.rectangle(box, stroke=theme.output, width=2.4)
            size = min(11.0, target.zoom * 0.55)
            ink = ink_on(grey(now.V)[i, j])
            sheet.text(
                ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + size * 0.36),
                KINDS[kind],
                size,
                ink,
                anchor="middle",
                bold=True,
            )
        self._sum(sheet, (area[0], area[3] - self.strip_height + 8, area[2], area[3]), t)

    def caption(self, t: float) -> str:
        return (
            "It is the "
            + _list(self.users)
            + " neighbour of different sample points. The gradient adds up all of them."
        )

    def _sum(self, sheet: Canvas, strip: Box, t: float) -> None:
        theme = self.theme
        x, y = strip[0], strip[1] + 14
        where = f"{self.column}, {self.row}"
        sheet.text((x, y), f"*U*({where}) = **{number(self.value(t), 0)}**", 13, theme.input)
        label = f"*L* = ½ Σ (*V* − {number(self.target / 255)})²,  values from 0 to 1"
        sheet.text((strip[2], y), label, 11.5, theme.muted, anchor="end")
        shown = self.users[:TERMS]
        terms = [f"{_signed(self.dL_dV[i, j])} · {number(weight)}" for i, j, _, weight in shown]
        more = len(self.users) - len(shown)
        if more > 0:
            terms.append(f"… {more} more")
        total = float(self.dL_dU[self.row, self.column])
        sheet.text((x, y + 23), "∂*L*/∂*U* = Σ ∂*L*/∂*V*_{ij} · weight", 12.5, theme.gradient)
        sheet.text((x, y + 45), "= " + " + ".join(terms), 12, room=strip[2] - x)
        sheet.text((x, y + 67), f"= **{number(total, 3)}**", 13, theme.gradient)

    def legend(self):
        theme = self.theme
        return [
            (theme.input, "the pixel"),
            (theme.grid, "sample points that use it"),
            (theme.output, "output changed"),
            (theme.gradient, "gradient"),
        ]


def _signed(value: float) -> str:
    text = number(float(value))
    return f"({text})" if text.startswith("−") else text


def _list(users: list[tuple[int, int, int, float]]) -> str:
    kinds = sorted({kind for _, _, kind, weight in users if weight >= 0.005})
    names = [KIND_NAMES[kind] for kind in kinds]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1] if names else "no"
