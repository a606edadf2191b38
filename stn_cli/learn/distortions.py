"""The paper's distorted digits, in batches on the device, by the package's own families and sampler.

| name | size | what happens to the content of a 28×28 digit |
| none | 28 | nothing |
| R    | 28 | rotation U(-90°, 90°) |
| RTS  | 42 | rotation U(-45°, 45°), scale U(0.7, 1.2), the 28×28 field at a random place |
| P    | 28 | scale U(0.75, 1), then each corner moved by N(0, 5 px) |
| E    | 28 | scale U(0.75, 1), then a thin-plate spline on 4×4 control points, each moved by N(0, 1.5 px) |
| TC   | 60 | the digit at a random place, with six 6×6 pieces of other digits strewn about |

(Paper, section 4.1 and appendix.) All chance is drawn on the CPU, so that a seed means the same on every device,
and for the whole batch at once, so that the parts of a batch on several processes are the parts of one draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Literal, get_args

import torch
from torch import Tensor

from stn_cli.core.families import Family, make
from stn_cli.core.sampler import sample

Distortion = Literal["none", "R", "RTS", "P", "E", "TC"]
DISTORTIONS: tuple[Distortion, ...] = get_args(Distortion)
SIZES: dict[Distortion, int] = {"none": 28, "R": 28, "RTS": 42, "P": 28, "E": 28, "TC": 60}
DIGIT = 28
CLUTTER, PIECE = 6, 6
CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@dataclass(frozen=True)
class Draw:
    """What chance decided for N digits, on the CPU.

    `theta` (N, family.size) maps points of the distorted image to points of the digit, normalised. `angle` (N,) is how far
    the content was turned, in degrees, counter-clockwise as seen; zeros where nothing turns. `clutter` (N, 6, 5): for each
    piece the digit it comes from, its corner (row, column) there, and its corner in the distorted image.
    """

    family: Family
    theta: Tensor
    angle: Tensor
    size: int
    clutter: Tensor | None = None

    def part(self, rows: slice) -> Draw:
        """The draw of some of the digits."""
        clutter = None if self.clutter is None else self.clutter[rows]
        return Draw(self.family, self.theta[rows], self.angle[rows], self.size, clutter)


def draw(name: Distortion, count: int, generator: torch.Generator, pool: int = 1) -> Draw:
    """Chance for `count` digits; clutter is taken from digits 0 … `pool` - 1."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    zero, size = torch.zeros(count), SIZES[name]
    if name == "none":
        family = make("affine")
        return Draw(family, torch.tensor(family.identity()).repeat(count, 1), zero, size)
    if name == "R":
        angle = uniform(-90, 90)
        return Draw(make("affine"), _similarity(angle, zero + 1, torch.zeros(count, 2), size), angle, size)
    if name == "RTS":
        angle, scale = uniform(-45, 45), uniform(0.7, 1.2)
        return Draw(make("affine"), _similarity(angle, scale, uniform(-1, 1, 2) * _room(size), size), angle, size)
    if name == "P":
        return Draw(make("projective"), _corners_moved(uniform(0.75, 1.0), 5.0, generator), zero, size)
    if name == "E":
        family = make("tps", shape=(4, 4))
        points = torch.tensor(family.identity()).view(1, -1)
        moved = torch.randn(count, family.size, generator=generator) * (1.5 / (DIGIT / 2))
        return Draw(family, points / uniform(0.75, 1.0, 1) + moved, zero, size)
    place = uniform(-1, 1, 2) * _room(size)
    limits = torch.tensor([pool, *(DIGIT - PIECE + 1,) * 2, *(size - PIECE + 1,) * 2])
    clutter = (torch.rand(count, CLUTTER, 5, generator=generator, dtype=torch.float64) * limits).long()
    return Draw(make("affine"), _similarity(zero, zero + 1, place, size), zero, size, clutter)


def distort(digits: Tensor, chance: Draw, pool: Tensor | None = None) -> Tensor:
    """Digits (N, 28, 28) uint8 → distorted images (N, 1, S, S) float32 in [0, 1], background 0, on the digits' device.

    `pool` (M, 28, 28) uint8 is where clutter is cut from; without it, from `digits`.
    """
    U = digits[:, None].float() / 255
    if chance.family.name == "affine" and chance.size == DIGIT and not (chance.theta - _identity(chance)).any():
        return U
    grid = chance.family.grid(chance.theta.to(U.device), (chance.size, chance.size))
    V = sample(U, grid)
    return V if chance.clutter is None else _strewn(V, digits if pool is None else pool, chance.clutter)


def _identity(chance: Draw) -> Tensor:
    return torch.tensor(chance.family.identity())


def _room(size: int) -> float:
    """How far, in pixels, the 28×28 field of a digit can move inside `size`."""
    return (size - DIGIT) / 2


def _similarity(angle: Tensor, scale: Tensor, shift: Tensor, size: int) -> Tensor:
    """θ (N, 6) of: the digit turned by `angle` degrees, scaled, moved by `shift` (N, 2) pixels (x, y), in `size`².

    Points of the output, in pixels from its centre, are moved back, turned back and divided by the scale.
    """
    turn = angle * (pi / 180)
    cos, sin = torch.cos(turn) / scale, torch.sin(turn) / scale
    back = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    linear = back * (size / DIGIT)
    offset = -(back @ shift[..., None]) / (DIGIT / 2)
    return torch.cat([linear, offset], -1).reshape(-1, 6)


def _corners_moved(scale: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """θ (N, 8) of the maps that take the moved corners of the scaled digit back to its corners.

    Corners that no longer form a convex quadrilateral (an image folded over) are drawn again.
    """
    moved = torch.empty(len(scale), 4, 2)
    todo = torch.arange(len(scale))
    while len(todo):
        noise = torch.randn(len(todo), 4, 2, generator=generator) * (spread / (DIGIT / 2))
        moved[todo] = CORNERS * scale[todo, None, None] + noise
        side = moved[todo].roll(-1, 1) - moved[todo]
        following = side.roll(-1, 1)
        turn = side[..., 0] * following[..., 1] - side[..., 1] * following[..., 0]
        todo = todo[(turn <= 0.02).any(1)]
    x, y = moved[..., 0].double(), moved[..., 1].double()
    u, v = CORNERS[:, 0].double().expand_as(x), CORNERS[:, 1].double().expand_as(y)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    system, right = torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1)
    return torch.linalg.solve(system, right).float()


def _strewn(V: Tensor, pool: Tensor, clutter: Tensor) -> Tensor:
    """V with pieces of the pool's digits laid over it; where ink meets ink, the stronger stays."""
    count, _, height, width = V.shape
    which, row, column, to_row, to_column = clutter.to(V.device).unbind(-1)
    step = torch.arange(PIECE, device=V.device)
    down, across = step[:, None], step[None, :]
    pieces = (
        pool[which[..., None, None], row[..., None, None] + down, column[..., None, None] + across].float() / 255
    )  # (N, 6, 6, 6)
    places = (to_row[..., None, None] + down) * width + to_column[..., None, None] + across
    flat = V.reshape(count, height * width)
    flat = flat.scatter_reduce(1, places.reshape(count, -1), pieces.reshape(count, -1), "amax")
    return flat.view_as(V)
