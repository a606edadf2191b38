"""The doctor: is the spatial transformer still looking at the image, and does it still learn?

Four numbers an epoch, and one line for each illness, with what to try.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite

import torch
from torch import Tensor

COLLAPSED = 0.05  # median |det| of the Jacobian: the grid covers less than a twentieth of the image
ZOOMED_OUT = 6.0  # … or more than six images
OUTSIDE = 0.6  # share of sampling points that read only padding
NO_GRADIENT = 1e-7
DIVERGED = {"diverged": "the loss is no longer a number; try a smaller --lr"}


@dataclass(frozen=True)
class Vitals:
    """`det`: median over images of the mean Jacobian determinant of T_θ (det A_θ for an affine θ), 1 at the identity;
    `det_low`, `det_high`: its 5th and 95th percentile; `outside`: mean share of the sampling grid beyond the image;
    `gradient`: norm of the loss's gradient in the localisation net, averaged over the epoch."""

    det: float
    det_low: float
    det_high: float
    outside: float
    gradient: float
    loss: float

    def as_dict(self) -> dict[str, float | None]:
        return {name: value if isfinite(value) else None for name, value in asdict(self).items()}


def jacobian(grid: Tensor) -> Tensor:
    """The mean Jacobian (N, 2, 2) of T_θ over the sampling grid (N, H', W', 2), rows (x, y) of the input.

    Differences from rim to rim are the mean of the differences from pixel to pixel. `align_corners=False`.
    """
    height, width = grid.shape[1:3]
    along_x = (grid[:, :, -1] - grid[:, :, 0]).mean(1) * (width / (2 * (width - 1)))
    along_y = (grid[:, -1] - grid[:, 0]).mean(1) * (height / (2 * (height - 1)))
    return torch.stack([along_x, along_y], dim=-1)


def examine(grid: Tensor, gradient: float, loss: float) -> Vitals:
    """Vitals from sampling grids (N, H', W', 2), the gradient norm and the loss."""
    det = torch.linalg.det(jacobian(grid.detach().float().cpu()))
    outside = (grid.detach().abs() > 1).any(-1).float().mean().item()
    low, middle, high = torch.nanquantile(det, torch.tensor([0.05, 0.5, 0.95])).tolist()
    return Vitals(middle, low, high, outside, gradient, loss)


def turned(grid: Tensor) -> Tensor:
    """How far T_θ turns the content, in degrees counter-clockwise as seen, (N,): the rotation nearest to its Jacobian."""
    J = jacobian(grid)
    return torch.rad2deg(torch.atan2(J[:, 1, 0] - J[:, 0, 1], J[:, 0, 0] + J[:, 1, 1]))


def spread(angles: Tensor) -> float:
    """The standard deviation of angles in degrees, each taken as the nearest turn from their circular mean."""
    turn = torch.deg2rad(angles.double())
    mean = torch.atan2(torch.sin(turn).mean(), torch.cos(turn).mean())
    away = torch.rad2deg(torch.atan2(torch.sin(turn - mean), torch.cos(turn - mean)))
    return away.square().mean().sqrt().item()


def alarms(vitals: Vitals) -> dict[str, str]:
    """What is wrong: the illness's name → one line that says what to try. Empty when all is well."""
    if not isfinite(vitals.loss):
        return DIVERGED
    found = {}
    milder = "try a smaller --loc-lr-scale (0.1, then 0.01) or a smaller --lr"
    if not isfinite(vitals.det) or vitals.outside > OUTSIDE:
        found["left"] = f"the transformer has left the image: {vitals.outside:.0%} of its grid is outside; {milder}"
    if abs(vitals.det) < COLLAPSED:
        found["collapsed"] = (
            f"the transformer has collapsed: it looks at {abs(vitals.det):.1%} of the image (det θ {vitals.det:.2g}); {milder}"
        )
    if abs(vitals.det) > ZOOMED_OUT:
        found["zoomed out"] = (
            f"the transformer has zoomed out: the image fills {1 / abs(vitals.det):.0%} of what the classifier sees "
            f"(det θ {vitals.det:.2g}); {milder}"
        )
    if vitals.gradient < NO_GRADIENT:
        found["no gradient"] = (
            f"the localisation net gets no gradient (norm {vitals.gradient:.1e}); try a larger --loc-lr-scale from a new "
            "start, or a smaller --lr if the transformer has left the image"
        )
    return found
