"""Deliberately wrong grid generators, samplers and modules, each with the stage at which it must be found out.

Every one is a mistake that people have made: in the order of axes, half pixels, borders, scatters, detached tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stn_cli.core import backprop
from stn_cli.core.coordinates import pixels, target_grid
from stn_cli.core.families import make
from stn_cli.core.gradients.setup import Code, Setup, project_grid, project_module, project_sample


@dataclass(frozen=True)
class Wrong:
    name: str
    stage: str
    code: Code
    setup: Setup


IDENTITY = torch.tensor([[1.0, 0, 0, 0, 1, 0]], dtype=torch.float64)
QUICK = Setup(
    families=(make("affine"),),
    kernels=("bilinear",),
    paddings=("zeros", "border"),
    frames=(False,),
    whole_paddings=("border",),
)
CATALOGUE: list[Wrong] = []


def wrong(name: str, stage: str, part: str, setup: Setup = QUICK) -> Callable:
    """Enter a wrong grid generator, sampler or module in the catalogue."""

    def enter(function: Callable) -> Callable:
        CATALOGUE.append(Wrong(name, stage, Code(**{part: function}), setup))
        return function

    return enter


def only(**changes) -> Setup:
    return Setup(**{**QUICK.__dict__, **changes})


# Grid generators -----------------------------------------------------------------------------------------------------


@wrong("axes swapped in the grid", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    return project_grid(family, theta, out_size, align_corners).flip(-1)


@wrong("half pixel missing in the target grid", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    return project_grid(family, theta, out_size, True)


@wrong("θ detached", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    return project_grid(family, theta.detach(), out_size, align_corners)


@wrong("θ read column by column", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    turned = theta.reshape(-1, 3, 2).mT.reshape(-1, 6)
    return project_grid(family, turned, out_size, align_corners)


@wrong("translation detached", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    free = torch.tensor([1.0, 1, 0, 1, 1, 0], dtype=theta.dtype)
    return project_grid(family, theta * free + theta.detach() * (1 - free), out_size, align_corners)


@wrong("grid generator in float32", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    return project_grid(family, theta.float(), out_size, align_corners).to(theta.dtype)


@wrong("every image gets the gradient of the first", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    grid = project_grid(family, theta, out_size, align_corners)
    return torch.cat([grid[:1], grid[1:].detach()])


@wrong("gradient of θ averaged instead of summed", "θ → grid", "grid")
def _(family, theta, out_size, align_corners):
    share = 1 / (out_size[0] * out_size[1])
    return project_grid(family, theta * share + theta.detach() * (1 - share), out_size, align_corners)


@wrong("projective: the depth w taken as constant", "θ → grid", "grid", only(families=(make("projective"),)))
def _(family, theta, out_size, align_corners):
    x, y = target_grid(torch, out_size, align_corners, dtype=theta.dtype).unbind(-1)
    a, b, c, d, e, f, g, h = theta.reshape(-1, 8, 1, 1).unbind(1)
    w = (g * x + h * y + 1).detach()
    return torch.stack([(a * x + b * y + c) / w, (d * x + e * y + f) / w], dim=-1)


@wrong("TPS: control points clamped to the image", "θ → grid", "grid", only(families=(make("tps"),)))
def _(family, theta, out_size, align_corners):
    return project_grid(family, theta.clamp(-1, 1), out_size, align_corners)


# Samplers, wrong forwards --------------------------------------------------------------------------------------------


@wrong("axes swapped in the sampler", "grid → V", "sample")
def _(U, grid, how):
    return project_sample(U, grid.flip(-1), how)


@wrong("half pixel missing in the sampler", "grid → V", "sample")
def _(U, grid, how):
    height, width = U.shape[2:]
    off = torch.tensor([1 / width, 1 / height], dtype=grid.dtype)
    return project_sample(U, grid + off, how)


@wrong("sampler in float32", "grid → V", "sample")
def _(U, grid, how):
    return project_sample(U.float(), grid.float(), how).to(U.dtype)


@wrong("grid clamped to the image", "grid → V", "sample")
def _(U, grid, how):
    return project_sample(U, grid.clamp(-1, 1), how)


@wrong("fill forgotten", "grid → V", "sample", only(paddings=("fill",)))
def _(U, grid, how):
    return backprop.output(backprop.neighbours(U, grid, padding="zeros", align_corners=how.align_corners))


@wrong(
    "wrong neighbour at integers: ⌈x⌉ for the right one", "grid → V", "sample", only(theta=IDENTITY, out_size=(4, 5))
)
def _(U, grid, how):
    """The article read to the letter: at an integer ⌈x⌉ = ⌊x⌋, and the slope there is zero instead of a sub-gradient."""
    x, y = pixels(grid, tuple(U.shape[2:]), how.align_corners).unbind(-1)
    x0, y0, x1, y1 = x.floor(), y.floor(), x.ceil(), y.ceil()
    d_x, d_y = (x1 - x)[:, None], (y1 - y)[:, None]

    def at(row, column):
        row, column = row.long(), column.long()
        inside = (row >= 0) & (row < U.shape[2]) & (column >= 0) & (column < U.shape[3])
        if how.padding == "border":
            inside = torch.ones_like(inside)
        n = torch.arange(U.shape[0]).reshape(-1, 1, 1)
        values = U[n, :, row.clamp(0, U.shape[2] - 1), column.clamp(0, U.shape[3] - 1)]
        return (values * inside[..., None]).permute(0, 3, 1, 2)

    return (
        at(y0, x0) * d_y * d_x
        + at(y0, x1) * d_y * (1 - d_x)
        + at(y1, x0) * (1 - d_y) * d_x
        + at(y1, x1) * (1 - d_y) * (1 - d_x)
    )


# Samplers, wrong backwards -------------------------------------------------------------------------------------------


def hand_sampler(mutate_grid=None, mutate_U=None) -> Callable:
    """The project's forward with the hand-derived backward, into which a mistake is put.

    `mutate_grid(gradient, dL_dV, near, how)` and `mutate_U(gradient, dL_dV, near, U)` return the wrong gradients.
    """

    def sampler(U: Tensor, grid: Tensor, how) -> Tensor:
        class Sampler(torch.autograd.Function):
            @staticmethod
            def forward(ctx, U, grid):
                ctx.save_for_backward(U, grid)
                return project_sample(U, grid, how)

            @staticmethod
            def backward(ctx, dL_dV):
                U, grid = ctx.saved_tensors
                fill = U.new_tensor(how.constant(U.shape[1])) if how.padding == "fill" else None
                near = backprop.neighbours(U, grid, padding=how.padding, fill=fill, align_corners=how.align_corners)
                to_grid = backprop.dL_dgrid(dL_dV, near, align_corners=how.align_corners)
                to_U = backprop.dL_dU(dL_dV, near)
                if mutate_grid:
                    to_grid = mutate_grid(to_grid, dL_dV, near, how)
                if mutate_U:
                    to_U = mutate_U(to_U, dL_dV, near, U)
                return to_U, to_grid

        return Sampler.apply(U, grid)

    return sampler


def wrong_grid_gradient(name: str, setup: Setup = QUICK) -> Callable:
    return lambda mutate: wrong(name, "grid → V", "sample", setup)(hand_sampler(mutate_grid=mutate))


def wrong_U_gradient(name: str, setup: Setup = QUICK) -> Callable:
    return lambda mutate: wrong(name, "U → V", "sample", setup)(hand_sampler(mutate_U=mutate))


@wrong_grid_gradient("∂V/∂x with its sign flipped")
def _(gradient, dL_dV, near, how):
    return gradient * torch.tensor([-1.0, 1.0], dtype=gradient.dtype)


@wrong_grid_gradient("∂V/∂x and ∂V/∂y swapped")
def _(gradient, dL_dV, near, how):
    return gradient.flip(-1)


@wrong_grid_gradient("gradient lost at the border")
def _(gradient, dL_dV, near, how):
    height, width = near.in_size
    inside = (near.left >= 0) & (near.left < width - 1) & (near.top >= 0) & (near.top < height - 1)
    return gradient * inside[..., None]


@wrong_grid_gradient("gradient lost in the last row only")
def _(gradient, dL_dV, near, how):
    return gradient * (near.top != near.in_size[0] - 1)[..., None]


@wrong_grid_gradient("halved gradient")
def _(gradient, dL_dV, near, how):
    return gradient / 2


@wrong_grid_gradient("gradient in pixels instead of normalised units")
def _(gradient, dL_dV, near, how):
    return torch.stack(backprop.dL_dpoints(dL_dV, near), dim=-1)


@wrong_grid_gradient("width and height swapped in the chain rule")
def _(gradient, dL_dV, near, how):
    scale_x, scale_y = backprop.pixels_per_unit(near.in_size, how.align_corners)
    return torch.stack([p * s for p, s in zip(backprop.dL_dpoints(dL_dV, near), (scale_y, scale_x), strict=True)], -1)


@wrong_grid_gradient("only the first channel reaches the grid")
def _(gradient, dL_dV, near, how):
    first = dL_dV * torch.tensor([1.0, 0.0], dtype=dL_dV.dtype).reshape(1, 2, 1, 1)
    return backprop.dL_dgrid(first, near, align_corners=how.align_corners)


@wrong_grid_gradient("d_y where 1 - d_y belongs")
def _(gradient, dL_dV, near, how):
    upper_left, upper_right, lower_left, lower_right = near.values
    d_y = near.d_y[:, None]
    slope = d_y * (lower_right - lower_left) + (1 - d_y) * (upper_right - upper_left)
    scale_x, _ = backprop.pixels_per_unit(near.in_size, how.align_corners)
    return torch.stack([(dL_dV * slope).sum(1) * scale_x, gradient[..., 1]], dim=-1)


@wrong_grid_gradient("reflection: sign not turned outside", only(paddings=("reflection",)))
def _(gradient, dL_dV, near, how):
    width = near.in_size[1]
    out_x = (near.x < 0) | (near.x > width - 1)
    return gradient * torch.stack([torch.where(out_x, -1.0, 1.0), torch.ones_like(near.x)], dim=-1)


@wrong_grid_gradient("bicubic forward, bilinear backward", only(kernels=("bicubic",)))
def _(gradient, dL_dV, near, how):
    return gradient


@wrong_grid_gradient("gradient off by one in a thousand")
def _(gradient, dL_dV, near, how):
    return gradient * 1.001


@wrong_U_gradient("scatter that overwrites instead of adding")
def _(gradient, dL_dV, near, U):
    flat = torch.zeros_like(U).flatten(2)
    for weight, source, inside in zip(near.weights, near.source, near.inside, strict=True):
        share = (dL_dV * (weight * inside)[:, None]).flatten(2)
        flat.scatter_(2, source.flatten(1)[:, None].expand_as(share), share)
    return flat.reshape(U.shape)


@wrong_U_gradient("weights of left and right swapped")
def _(gradient, dL_dV, near, U):
    flat = torch.zeros_like(U).flatten(2)
    for weight, source, inside in zip(near.weights[[1, 0, 3, 2]], near.source, near.inside, strict=True):
        share = (dL_dV * (weight * inside)[:, None]).flatten(2)
        flat.scatter_add_(2, source.flatten(1)[:, None].expand_as(share), share)
    return flat.reshape(U.shape)


@wrong_U_gradient("one neighbour forgotten")
def _(gradient, dL_dV, near, U):
    flat = torch.zeros_like(U).flatten(2)
    for weight, source, inside in list(zip(near.weights, near.source, near.inside, strict=True))[:3]:
        share = (dL_dV * (weight * inside)[:, None]).flatten(2)
        flat.scatter_add_(2, source.flatten(1)[:, None].expand_as(share), share)
    return flat.reshape(U.shape)


@wrong_U_gradient("U detached")
def _(gradient, dL_dV, near, U):
    return None


# Modules -------------------------------------------------------------------------------------------------------------


@wrong("θ detached in the module", "θ → L", "module")
def _(U, theta, family, out_size, how):
    return project_module(U, theta.detach(), family, out_size, how)


@wrong("U detached in the module", "U → L", "module")
def _(U, theta, family, out_size, how):
    return project_module(U.detach(), theta, family, out_size, how)


@wrong("one θ for the whole batch", "θ → L", "module")
def _(U, theta, family, out_size, how):
    return project_module(U, theta.mean(0, keepdim=True).expand_as(theta), family, out_size, how)


@wrong("gradient clipped on its way to θ", "θ → L", "module")
def _(U, theta, family, out_size, how):
    theta = theta * 1.0
    if theta.requires_grad:
        theta.register_hook(lambda g: g.clamp(-1, 1))
    return project_module(U, theta, family, out_size, how)
