"""One output pixel, from θ through its sample point and four neighbours to every gradient, in numbers."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stn_cli.core import backprop
from stn_cli.core.coordinates import pixels, target_grid
from stn_cli.core.families import Family
from stn_cli.core.gradients.differences import Differences, differences
from stn_cli.core.gradients.setup import Setup, project_grid, project_module, project_sample, sampling
from stn_cli.core.gradients.stages import theta_namer
from stn_cli.core.sampling import Sampling
from stn_cli.errors import OptionError


@dataclass(frozen=True)
class Number:
    """One derivative, in the three ways; `kink` where it has none and a sub-gradient was chosen."""

    name: str
    by_hand: float
    autograd: float
    differences: float
    kink: bool
    right: float
    left: float


@dataclass(frozen=True)
class Neighbour:
    """One of the four; `row` and `column` are where it stands, `source` the pixel of U it is, None for padding."""

    name: str
    row: int
    column: int
    source: tuple[int, int] | None
    weight: float
    value: float


@dataclass(frozen=True)
class Explanation:
    """V[0, channel, row, column] of one setup. Points are (x, y)."""

    row: int
    column: int
    channel: int
    family: Family
    how: Sampling
    theta: tuple[float, ...]
    target: tuple[float, float]
    normalised: tuple[float, float]
    pixel: tuple[float, float]
    pixels_per_unit: tuple[float, float]
    d_x: float
    d_y: float
    neighbours: tuple[Neighbour, ...]
    V: float
    V_sampled: float
    to_point: tuple[Number, ...]
    """∂V/∂x and ∂V/∂y, in pixels"""
    point_to_theta: tuple[tuple[float, float], ...]
    """∂x/∂θ_k and ∂y/∂θ_k, normalised"""
    to_theta: tuple[Number, ...]
    to_input: tuple[Number, ...]
    """one an input pixel that is touched, at most four"""


def explain(setup: Setup, row: int, column: int, channel: int = 0) -> Explanation:
    """The first image and family of a setup, under its first kernel, padding and frame, in float64.

    Raises `OptionError` for a pixel outside the output, and for kernels other than bilinear: only that one is derived.
    """
    height, width = setup.out_size
    if not (0 <= row < height and 0 <= column < width):
        raise OptionError("--explain", f"{row},{column}", f"ROW,COLUMN from 0,0 to {height - 1},{width - 1}")
    if setup.whole_kernels[0] != "bilinear":
        raise OptionError("--kernel", setup.whole_kernels[0], "--explain spells out the bilinear kernel only")
    setup = replace(setup, dtype=torch.float64, device="cpu")
    family, U = setup.families[0], setup.draw_U()[:1]
    theta = setup.draw_theta(family, 1)
    how = sampling("bilinear", setup.whole_paddings[0], setup.frames[0], U.shape[1])
    in_size = (U.shape[2], U.shape[3])
    G = target_grid(torch, setup.out_size, how.align_corners, dtype=torch.float64)
    grid = project_grid(family, theta, setup.out_size, how.align_corners)
    point = grid[:, row : row + 1, column : column + 1]
    fill = U.new_tensor(how.constant(U.shape[1])) if how.padding == "fill" else None
    near = backprop.neighbours(U, point, padding=how.padding, fill=fill, align_corners=how.align_corners)
    scale = backprop.pixels_per_unit(in_size, how.align_corners)

    def V_of(U: Tensor, theta: Tensor) -> Tensor:
        return project_module(U, theta, family, setup.out_size, how)[0, channel, row, column]

    def V_at(xy: Tensor) -> Tensor:
        """V as the point moves by xy pixels."""
        return project_sample(U, point + xy / torch.tensor(scale), how)[0, channel, 0, 0]

    still = torch.zeros(2, dtype=torch.float64)
    slopes = (backprop.dV_dx(near)[0, channel].item(), backprop.dV_dy(near)[0, channel].item())
    along = torch.autograd.functional.jacobian(
        lambda t: project_grid(family, t, setup.out_size, how.align_corners)[0, row, column], theta
    ).reshape(2, -1)
    chain = [slopes[0] * scale[0] * x.item() + slopes[1] * scale[1] * y.item() for x, y in along.T]
    unit = torch.zeros(1, U.shape[1], 1, 1, dtype=torch.float64)
    unit[0, channel] = 1
    shares = backprop.dL_dU(unit, near)[0, channel]
    found = _neighbours(near, channel)
    touched = list(dict.fromkeys(n.source for n in found if n.source is not None))
    offset = channel * in_size[0] * in_size[1]
    name = theta_namer(family)
    return Explanation(
        row=row,
        column=column,
        channel=channel,
        family=family,
        how=how,
        theta=tuple(theta[0].tolist()),
        target=_pair(G[row, column]),
        normalised=_pair(point),
        pixel=_pair(pixels(point, in_size, how.align_corners)),
        pixels_per_unit=scale,
        d_x=near.d_x.item(),
        d_y=near.d_y.item(),
        neighbours=found,
        V=backprop.output(near)[0, channel].item(),
        V_sampled=V_of(U, theta).item(),
        to_point=_three_ways(V_at, still, [0, 1], ["∂V/∂x", "∂V/∂y"], list(slopes)),
        point_to_theta=tuple(_pair(column_) for column_ in along.T),
        to_theta=_three_ways(
            lambda t: V_of(U, t), theta, list(range(family.size)), [f"∂V/∂{name(k)}" for k in range(family.size)], chain
        ),
        to_input=_three_ways(
            lambda u: V_of(u, theta),
            U,
            [offset + r * in_size[1] + c for r, c in touched],
            [f"∂V/∂U[{r},{c}]" for r, c in touched],
            [shares[r, c].item() for r, c in touched],
        ),
    )


def _neighbours(near: backprop.Neighbours, channel: int) -> tuple[Neighbour, ...]:
    left, top, width = int(near.left), int(near.top), near.in_size[1]
    places = ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1))
    return tuple(
        Neighbour(
            name=name,
            row=place[0],
            column=place[1],
            source=divmod(int(near.source[k]), width) if bool(near.inside[k]) else None,
            weight=near.weights[k].item(),
            value=near.values[k, 0, channel].item(),
        )
        for k, (name, place) in enumerate(zip(backprop.CORNERS, places, strict=True))
    )


def _three_ways(function, at: Tensor, inputs: list[int], names: list[str], by_hand: list[float]) -> tuple[Number, ...]:
    if not inputs:
        return ()
    x = at.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x), x)
    numeric: Differences = differences(function, at, inputs, [0])
    return tuple(
        Number(
            name=name,
            by_hand=hand,
            autograd=gradient.reshape(-1)[index].item(),
            differences=numeric.value[k, 0].item(),
            kink=bool(numeric.kink[k, 0]),
            right=numeric.right[k, 0].item(),
            left=numeric.left[k, 0].item(),
        )
        for k, (index, name, hand) in enumerate(zip(inputs, names, by_hand, strict=True))
    )


def _pair(point: Tensor) -> tuple[float, float]:
    x, y = point.reshape(-1).tolist()
    return x, y
