"""The backward pass of the spatial transformer, written by hand.

Source: T. Kurbiel, "Spatial Transformer Networks — Backpropagation" (2021), called "the article" below;
docs/gradients.md tells the derivation with the names used here. It covers the bilinear sampler under every
padding, and the affine grid generator. Nothing here calls autograd or `grid_sample`: `stn gradcheck` holds
these formulas against both.

Frame: sample points are pixel coordinates (x right, y down, integers at pixel centres) unless a name says
`grid`, which is normalised to [-1, 1]. The article counts target points in pixels too; here they are
normalised, so the chain has one more factor, ∂x/∂x_normalised = W/2, or (W - 1)/2 with `align_corners`.

    dL_dV (N, C, H', W') ──┬── dL_dU ───────────────────────────────→ (N, C, H, W)
                           └── dL_dpoints → dL_dgrid → dL_dtheta ──→ (N, 6)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from stn_cli.core.coordinates import Size, pixels
from stn_cli.core.sampling import Padding

CORNERS = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True)
class Neighbours:
    """The four pixels around each sample point, and where between them the point lies.

    `left` = ⌊x⌋ and `top` = ⌊y⌋; the other two are one further. The article writes ⌈x⌉ for the right one; at
    an integer x that is the left one again, and the slope is lost: ⌊x⌋ + 1 takes the right-hand sub-gradient.
    The first axis of `values`, `source` and `inside` is upper left, upper right, lower left, lower right.
    """

    x: Float[Tensor, "n height width"]
    y: Float[Tensor, "n height width"]
    left: Int[Tensor, "n height width"]
    top: Int[Tensor, "n height width"]
    d_x: Float[Tensor, "n height width"]
    """horizontal distance to the right neighbours, in (0, 1]"""
    d_y: Float[Tensor, "n height width"]
    """vertical distance to the lower neighbours, in (0, 1]"""
    values: Float[Tensor, "4 n c height width"]
    source: Int[Tensor, "4 n height width"]
    """which pixel of U each one is, as row · W + column, after the padding rule"""
    inside: Bool[Tensor, "4 n height width"]
    """False where the padding rule puts a constant instead of a pixel of U"""
    in_size: Size

    @property
    def weights(self) -> Float[Tensor, "4 n height width"]:
        """∂V/∂U of the four neighbours: the areas of the opposite rectangles."""
        d_x, d_y = self.d_x, self.d_y
        return torch.stack([d_y * d_x, d_y * (1 - d_x), (1 - d_y) * d_x, (1 - d_y) * (1 - d_x)])


@dataclass(frozen=True)
class Gradients:
    """∂L/∂U (N, C, H, W), ∂L/∂T_θ(G) (N, H', W', 2) in normalised units, and ∂L/∂θ (N, 6)."""

    U: Float[Tensor, "n c h w"]
    grid: Float[Tensor, "n height width 2"]
    theta: Float[Tensor, "n 6"]


def pixels_per_unit(in_size: Size, align_corners: bool) -> tuple[float, float]:
    """∂x/∂x_normalised and ∂y/∂y_normalised: half the distance in pixels between -1 and 1."""
    height, width = in_size
    lost = 1 if align_corners else 0
    return (width - lost) / 2, (height - lost) / 2


def neighbours(
    U: Float[Tensor, "n c h w"],
    grid: Float[Tensor, "n height width 2"],
    *,
    padding: Padding = "zeros",
    fill: Float[Tensor, " c"] | None = None,
    align_corners: bool = False,
) -> Neighbours:
    """The four neighbours in U of each point of the sampling grid (normalised (x, y)).

    The padding extends U to the whole plane at integer pixels, so the same formulas hold inside, on and
    outside the border. `fill` is one value a channel; only `padding="fill"` looks at it.
    """
    height, width = in_size = (U.shape[2], U.shape[3])
    x, y = pixels(grid, in_size, align_corners).unbind(-1)
    left, top = x.floor().long(), y.floor().long()

    columns = torch.stack([left, left + 1, left, left + 1])
    rows = torch.stack([top, top, top + 1, top + 1])
    column, column_inside = _on_plane(columns, width, padding, align_corners)
    row, row_inside = _on_plane(rows, height, padding, align_corners)
    source, inside = row * width + column, column_inside & row_inside

    n, channels = U.shape[:2]
    flat = U.reshape(n, channels, -1)
    values = torch.stack([
        flat.gather(2, corner.reshape(n, 1, -1).expand(n, channels, -1)).reshape(n, channels, *x.shape[1:])
        for corner in source
    ])  # fmt: skip
    constant = U.new_zeros(channels) if padding != "fill" or fill is None else fill.to(U)
    values = torch.where(inside.unsqueeze(2), values, constant.reshape(1, 1, channels, 1, 1))
    return Neighbours(x, y, left, top, left + 1 - x, top + 1 - y, values, source, inside, in_size)


def _on_plane(
    index: Tensor, size: int, padding: Padding, align_corners: bool
) -> tuple[Int[Tensor, "..."], Bool[Tensor, "..."]]:
    """The pixel of U that stands at each integer position of one axis, and whether there is one."""
    everywhere = torch.ones_like(index, dtype=torch.bool)
    if padding == "border":
        return index.clamp(0, size - 1), everywhere
    if padding == "reflection":
        if align_corners:  # d c b | a b c d | c b a: the mirror stands on the corner pixels' centres
            period = max(2 * (size - 1), 1)
            index = index % period
            return torch.where(index >= size, period - index, index), everywhere
        index = index % (2 * size)  # c b a | a b c d | d c b: the mirror stands on their outer edges
        return torch.where(index >= size, 2 * size - 1 - index, index), everywhere
    return index.clamp(0, size - 1), (index >= 0) & (index < size)


def output(near: Neighbours) -> Float[Tensor, "n c height width"]:
    """V: the four neighbours weighted by the areas opposite to them."""
    return (near.weights.unsqueeze(2) * near.values).sum(0)


def dV_dx(near: Neighbours) -> Float[Tensor, "n c height width"]:
    """∂V/∂x in pixels: the slopes of the lower and the upper pair, weighted by their nearness."""
    upper_left, upper_right, lower_left, lower_right = near.values
    d_y = near.d_y.unsqueeze(1)
    return (1 - d_y) * (lower_right - lower_left) + d_y * (upper_right - upper_left)


def dV_dy(near: Neighbours) -> Float[Tensor, "n c height width"]:
    """∂V/∂y in pixels: the slopes of the right and the left pair, weighted by their nearness."""
    upper_left, upper_right, lower_left, lower_right = near.values
    d_x = near.d_x.unsqueeze(1)
    return (1 - d_x) * (lower_right - upper_right) + d_x * (lower_left - upper_left)


def dL_dU(dL_dV: Float[Tensor, "n c height width"], near: Neighbours) -> Float[Tensor, "n c h w"]:
    """∂L/∂U: each output pixel *adds* its four shares where its neighbours stand.

    One input pixel may be the upper left neighbour of one sample and the lower right of another; adding needs
    no search for them.
    """
    n, channels = dL_dV.shape[:2]
    height, width = near.in_size
    gradient = dL_dV.new_zeros(n, channels, height * width)
    for weight, source, inside in zip(near.weights, near.source, near.inside, strict=True):
        share = dL_dV * (weight * inside).unsqueeze(1)
        where = source.reshape(n, 1, -1).expand(n, channels, -1)
        gradient.scatter_add_(2, where, share.reshape(n, channels, -1))
    return gradient.reshape(n, channels, height, width)


def dL_dpoints(
    dL_dV: Float[Tensor, "n c height width"], near: Neighbours
) -> tuple[Float[Tensor, "n height width"], Float[Tensor, "n height width"]]:
    """∂L/∂x and ∂L/∂y in pixels. A point feeds one output pixel in all channels: hence the sum over C."""
    return (dL_dV * dV_dx(near)).sum(1), (dL_dV * dV_dy(near)).sum(1)


def dL_dgrid(
    dL_dV: Float[Tensor, "n c height width"], near: Neighbours, *, align_corners: bool = False
) -> Float[Tensor, "n height width 2"]:
    """∂L/∂T_θ(G) in the normalised units of the sampling grid."""
    dL_dx, dL_dy = dL_dpoints(dL_dV, near)
    scale_x, scale_y = pixels_per_unit(near.in_size, align_corners)
    return torch.stack([dL_dx * scale_x, dL_dy * scale_y], dim=-1)


def affine_grid(theta: Float[Tensor, "n 6"], G: Float[Tensor, "height width 2"]) -> Float[Tensor, "n height width 2"]:
    """T_θ(G) for θ = (θ₁₁, θ₁₂, θ₁₃, θ₂₁, θ₂₂, θ₂₃): x = θ₁₁x' + θ₁₂y' + θ₁₃ and y = θ₂₁x' + θ₂₂y' + θ₂₃."""
    x_target, y_target = G.unbind(-1)
    t11, t12, t13, t21, t22, t23 = theta.reshape(-1, 6, 1, 1).unbind(1)
    x = t11 * x_target + t12 * y_target + t13
    y = t21 * x_target + t22 * y_target + t23
    return torch.stack([x, y], dim=-1)


def dL_dtheta(dL_dgrid: Float[Tensor, "n height width 2"], G: Float[Tensor, "height width 2"]) -> Float[Tensor, "n 6"]:
    """∂L/∂θ of the affine grid generator; G is the target grid, normalised (x', y').

    The article's θ₁ θ₂ θ₅ / θ₃ θ₄ θ₆ are our θ₁₁ θ₁₂ θ₁₃ / θ₂₁ θ₂₂ θ₂₃.
    """
    dL_dx, dL_dy = dL_dgrid.unbind(-1)
    x_target, y_target = G.unbind(-1)
    terms = [dL_dx * x_target, dL_dx * y_target, dL_dx, dL_dy * x_target, dL_dy * y_target, dL_dy]
    return torch.stack([term.sum((1, 2)) for term in terms], dim=1)


def backward(
    dL_dV: Float[Tensor, "n c height width"],
    U: Float[Tensor, "n c h w"],
    theta: Float[Tensor, "n 6"],
    G: Float[Tensor, "height width 2"],
    *,
    padding: Padding = "zeros",
    fill: Float[Tensor, " c"] | None = None,
    align_corners: bool = False,
) -> Gradients:
    """The whole backward pass: from ∂L/∂V through the sampler and the grid generator to ∂L/∂U and ∂L/∂θ."""
    near = neighbours(U, affine_grid(theta, G), padding=padding, fill=fill, align_corners=align_corners)
    grid_gradient = dL_dgrid(dL_dV, near, align_corners=align_corners)
    return Gradients(dL_dU(dL_dV, near), grid_gradient, dL_dtheta(grid_gradient, G))
