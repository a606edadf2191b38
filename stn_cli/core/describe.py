"""θ in plain words: what happens to the content, where the output reads, and how much of it lies outside."""

from dataclasses import asdict, dataclass
from math import atan2, degrees, hypot
from typing import Any

import numpy as np

from stn_cli.core.coordinates import Size, normalised_from_pixel, pixels
from stn_cli.core.transformation import Transformation

MOST_POINTS = 65_536  # of the output are looked at for shares; a larger output is thinned out


@dataclass(frozen=True)
class Description:
    """What a transformation does between an input and an output of given sizes.

    Lengths are input pixels; angles degrees, counter-clockwise as seen; scales are of the content (1.5: magnified).
    `rotation` … `shear` are None for families without a matrix, and at the output's centre for projective maps.
    """

    family: str
    centre: tuple[float, float]  # the input pixel that the output's centre reads
    rotation: float | None
    scales: tuple[float, float] | None  # along the content's x and y
    shear: float | None
    mirrored: bool
    determinant: float  # of the map output → input at the centre, in pixels: below 0 it mirrors, near 0 it collapses
    outside: float  # share of the output pixels whose sample point lies outside the input
    folded: float  # share of the output pixels around which the map turns the other way than at the centre
    horizon: bool  # a projective map whose horizon crosses the output
    identity: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        if self.identity:
            return f"identity: every output pixel reads the same place of the input ({self.family})"
        x, y = self.centre
        parts = [f"output centre reads input ({x:.1f}, {y:.1f})", self._content()]
        if self.outside > 0:
            parts.append(f"{_percent(self.outside)} of the output lies outside the input")
        if self.horizon:
            parts.append("its horizon crosses the output: beyond it the plane is mirrored")
        elif self.folded > 0:
            parts.append(f"the map folds over {_percent(self.folded)} of the output")
        return "; ".join(parts)

    def _content(self) -> str:
        if self.determinant == 0:
            return "content collapsed onto a line or a point"
        if self.rotation is None or self.scales is None:
            return f"content bent ({self.family})"
        words = []
        if self.mirrored:
            words.append("mirrored")
        if abs(self.rotation) >= 0.05:
            way = "counter-clockwise" if self.rotation > 0 else "clockwise"
            words.append(f"turned {abs(self.rotation):.4g}° {way}")
        sx, sy = self.scales
        if abs(sx - sy) < 0.005 * max(sx, sy):
            if abs(sx - 1) >= 0.005:
                words.append(f"{sx:.2f}×")
        else:
            words.append(f"{sx:.2f}× along x, {sy:.2f}× along y")
        if self.shear is not None and abs(self.shear) >= 0.05:
            words.append(f"sheared by {self.shear:.4g}°")
        if not words:
            words.append("moved")
        where = " (at the centre)" if self.family == "projective" else ""
        return f"content {', '.join(words)}{where}"


def describe(transformation: Transformation, in_size: Size, out_size: Size, align_corners: bool = False) -> Description:
    """What `transformation` does between images of `in_size` and `out_size`, (height, width) each."""
    half_right, half_down = np.diag([1 / max(n - align_corners, 1) for n in reversed(out_size)])  # half an output pixel

    def place(xy: np.ndarray) -> np.ndarray:
        return pixels(transformation.points(xy), in_size, align_corners)

    jacobian = np.stack([place(half_right) - place(-half_right), place(half_down) - place(-half_down)], axis=-1)
    determinant = float(np.linalg.det(jacobian))
    if abs(determinant) <= 1e-12 * np.abs(jacobian).max() ** 2:
        determinant = 0.0

    grid = _thinned(transformation, out_size, align_corners)
    place_in = pixels(grid, in_size, align_corners)
    height, width = in_size
    x, y = place_in[..., 0], place_in[..., 1]
    slack = 1e-9 * max(height, width)
    inside = (x >= -0.5 - slack) & (x <= width - 0.5 + slack) & (y >= -0.5 - slack) & (y <= height - 0.5 + slack)

    rotation = scales = shear = None
    if transformation.matrix() is not None and determinant != 0:
        rotation, scales, shear = _decomposed(np.linalg.inv(jacobian), determinant)
    centre = place(np.zeros(2))
    still = np.abs(transformation.theta - np.array(transformation.family.identity())).max() < 1e-12
    return Description(
        family=transformation.family.name,
        centre=(float(centre[0]), float(centre[1])),
        rotation=rotation,
        scales=scales,
        shear=shear,
        mirrored=determinant < 0,
        determinant=determinant,
        outside=float(1 - inside.mean()),
        folded=_folded(place_in, determinant),
        horizon=_horizon(transformation),
        identity=bool(still),
    )


def _decomposed(content: np.ndarray, determinant: float) -> tuple[float, tuple[float, float], float]:
    """content = R(rotation) · [[sx, -sy·tan(shear)], [0, sy]] · mirror, y down: rotation, scales above 0, shear.

    That is: mirrored, zoomed, sheared, turned, as the words are done.
    """
    if determinant < 0:
        content = content @ np.diag([-1.0, 1.0])  # mirrored left to right first
    (a, b), (c, d) = content
    sx = hypot(a, c)
    rotation = -degrees(atan2(c, a))  # y is down: counter-clockwise as seen
    sy = (a * d - b * c) / sx
    shear = -degrees(atan2(a * b + c * d, sx * sy))
    return rotation + 0.0, (float(sx), float(sy)), shear + 0.0


def _thinned(transformation: Transformation, out_size: Size, align_corners: bool) -> np.ndarray:
    """The sampling grid at up to `MOST_POINTS` pixels of the output, evenly taken, first and last among them."""
    height, width = out_size
    short = min(out_size)
    few = min(short, max(2, round(short * (MOST_POINTS / (height * width)) ** 0.5)))
    rows, columns = (few if n == short else min(n, MOST_POINTS // few) for n in out_size)
    y = normalised_from_pixel(np.linspace(0, height - 1, rows), height, align_corners)
    x = normalised_from_pixel(np.linspace(0, width - 1, columns), width, align_corners)
    return transformation.points(np.stack(np.meshgrid(x, y), axis=-1))


def _folded(place: np.ndarray, determinant: float) -> float:
    if min(place.shape[:2]) < 2 or determinant == 0:
        return 0.0
    right, down = place[:-1, 1:] - place[:-1, :-1], place[1:, :-1] - place[:-1, :-1]
    local = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return float((local / determinant < -1e-12).mean())


def _horizon(transformation: Transformation) -> bool:
    matrix = transformation.matrix()
    if matrix is None:
        return False
    corners = np.array([(x, y, 1.0) for x in (-1, 1) for y in (-1, 1)])
    w = corners @ matrix[2]
    return bool(w.min() <= 0)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
