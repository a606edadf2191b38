"""Each parameter of the family in turn: what does θ₁₂ do?"""

import numpy as np

from stn_cli.core.transformation import Transformation
from stn_cli.draw.canvas import Canvas
from stn_cli.draw.motion import swing
from stn_cli.draw.scene import Box, Stage, number
from stn_cli.draw.scenes.bend import Bend, theta_numbers
from stn_cli.draw.scenes.diagram import parameter_name
from stn_cli.draw.subject import Subject

SECONDS = 2.4  # a parameter
QUICK = 0.9  # a parameter, where a family has many
MANY = 9
MOST = 18  # parameters shown; of a family with more, those of points spread evenly

# Family: parameter → (how it is written, where it stands in the matrix, how far it swings, what it does).
AFFINE = {
    0: ("θ_{11}", (0, 0), 0.5, "stretches what is read along *x*: the content gets narrower as it grows."),
    1: ("θ_{12}", (0, 1), 0.4, "makes *x* depend on *y*: rows are read ever further to the side, the content shears."),
    2: ("θ_{13}", (0, 2), 0.4, "shifts what is read to the right: the content moves left."),
    3: ("θ_{21}", (1, 0), 0.4, "makes *y* depend on *x*: the content shears upwards or downwards."),
    4: ("θ_{22}", (1, 1), 0.5, "stretches what is read along *y*: the content gets flatter as it grows."),
    5: ("θ_{23}", (1, 2), 0.4, "shifts what is read downwards: the content moves up."),
}
PROJECTIVE = {
    **{k: (AFFINE[k][0].replace("θ", "h"), *AFFINE[k][1:]) for k in AFFINE},
    6: ("h_{31}", (2, 0), 0.4, "divides by a *w* that changes along *x*: one side comes nearer, the other recedes."),
    7: ("h_{32}", (2, 1), 0.4, "divides by a *w* that changes along *y*: as if the picture were tilted back."),
}
HINTS = {
    "translation": {
        0: ("t_{x}", (0, 2), 0.4, AFFINE[2][3]),
        1: ("t_{y}", (1, 2), 0.4, AFFINE[5][3]),
    },
    "attention": {
        0: ("s", (0, 0), 0.5, "is the size of the window that is read: below 1 it zooms in, above 1 it zooms out."),
        1: ("t_{x}", (0, 2), 0.4, "moves the window to the right: the content moves left."),
        2: ("t_{y}", (1, 2), 0.4, "moves the window down: the content moves up."),
    },
    "similarity": {
        0: ("a", (0, 0), 0.5, "is *s* · cos *φ*: alone it is the scale of what is read."),
        1: ("b", (1, 0), 0.5, "is *s* · sin *φ*: it turns what is read, and the content turns back."),
        2: ("t_{x}", (0, 2), 0.4, AFFINE[2][3]),
        3: ("t_{y}", (1, 2), 0.4, AFFINE[5][3]),
    },
    "affine": AFFINE,
    "projective": PROJECTIVE,
}


class Theta(Bend):
    name = "theta"
    title = "What does each parameter do?"
    lesson = (
        "Each number of a transformation has a meaning one can see. Let the students guess what the next one does "
        "before it moves."
    )
    seconds = SECONDS * 6

    def __init__(self, subject: Subject, stage: Stage):
        family = subject.transformation.family
        self.family = family
        self.identity = np.array(family.identity())
        self.shown = _chosen(family.size)
        self.seconds = len(self.shown) * (SECONDS if len(self.shown) <= MANY else QUICK)  # type: ignore[misc]
        super().__init__(subject, stage)

    def parameter(self, t: float) -> tuple[int, float]:
        """Which parameter moves at time t, and how far through its swing it is, in [0, 1]."""
        at = min(t, 1.0) * len(self.shown)
        which = min(int(at), len(self.shown) - 1)
        return self.shown[which], at - which

    def hint(self, parameter: int) -> tuple[str, tuple[int, int] | None, float, str]:
        known = HINTS.get(self.family.name)
        if known:
            return known[parameter]
        name = parameter_name(self.family.parameter_names[parameter])
        axis = "to the side" if parameter % 2 == 0 else "up and down"
        reach = 0.25 if self.family.name != "flow" else 0.15
        return name, None, reach, f"moves one point of the sampling grid {axis}; its neighbourhood follows."

    def transformation(self, t: float) -> Transformation:
        parameter, share = self.parameter(t)
        theta = self.identity.copy()
        theta[parameter] += self.hint(parameter)[2] * swing(share)
        return Transformation(self.family, theta)

    def caption(self, t: float) -> str:
        name, _, _, does = self.hint(self.parameter(t)[0])
        left_out = self.family.size - len(self.shown)
        more = f" ({left_out} more do the like.)" if left_out else ""
        return f"{_italic(name)} {does}{more}"

    def strip(self, sheet: Canvas, box: Box, t: float) -> None:
        parameter, _ = self.parameter(t)
        name, place, _, _ = self.hint(parameter)
        moved = self.transformation(t)
        y = (box[1] + box[3]) / 2
        if place is not None:
            theta_numbers(sheet, (box[0], box[1], box[2] - 120, box[3]), moved, place)
        else:
            at = self.shown.index(parameter) + 1
            sheet.text((box[0], y + 4.5), f"parameter {at} of {len(self.shown)} shown", 12.5, self.theme.muted)
        text = f"{_italic(name)} = **{number(float(moved.theta[parameter]))}**"
        sheet.text((box[2], y + 6), text, 19, self.theme.grid, anchor="end")


def _chosen(size: int) -> list[int]:
    """All parameters of a small family; of one with a lattice, both coordinates of points spread evenly over it."""
    if size <= MANY:
        return list(range(size))
    points = np.unique(np.linspace(0, size // 2 - 1, MOST // 2).round().astype(int))
    return [int(2 * point + axis) for point in points for axis in (0, 1)]


def _italic(name: str) -> str:
    return name if name.startswith("*") else f"*{name}*"
