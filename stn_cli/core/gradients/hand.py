"""Jacobian rows from the formulas of `core.backprop`: one unit cotangent a row."""

import torch
from jaxtyping import Float
from torch import Tensor

from stn_cli.core import backprop
from stn_cli.core.coordinates import Size, target_grid
from stn_cli.core.families import Affine, Family
from stn_cli.core.gradients.problem import ByHand
from stn_cli.core.sampling import Sampling


def sampler(U: Tensor, grid: Tensor, how: Sampling, *, wrt: str) -> ByHand | None:
    """grid → V (`wrt="grid"`) or U → V (`wrt="U"`) of the bilinear sampler; None for kernels the article does not treat."""
    if how.kernel != "bilinear":
        return None
    options = _options(how, U)
    shape = (*U.shape[:2], *grid.shape[1:3])

    def rows(outputs: list[int], inputs: list[int]) -> Float[Tensor, "some inputs"]:
        found = []
        for output in outputs:
            n, c, i, j = (int(k) for k in torch.unravel_index(torch.tensor(output), shape))
            near = backprop.neighbours(U[n : n + 1], grid[n : n + 1, i : i + 1, j : j + 1], **options)
            unit = U.new_zeros(1, shape[1], 1, 1)
            unit[0, c] = 1
            if wrt == "U":
                whole = torch.zeros_like(U)
                whole[n] = backprop.dL_dU(unit, near)[0]
            else:
                whole = torch.zeros_like(grid)
                whole[n, i, j] = backprop.dL_dgrid(unit, near, align_corners=how.align_corners)[0, 0, 0]
            found.append(whole.reshape(-1)[inputs])
        return torch.stack(found)

    value = backprop.output(backprop.neighbours(U, grid, **options))
    return ByHand(value.reshape(-1), rows)


def grid_generator(family: Family, theta: Tensor, out_size: Size, align_corners: bool) -> ByHand | None:
    """θ → grid: values from the family's matrix, rows from the affine formulas; None where nothing is known by hand.

    Translation, attention and similarity are affine maps whose six numbers are linear in θ: ∂L/∂θ is the affine one
    times that constant matrix. Of a projective map only the values are known by hand. The families that move control
    points are known at those points: there the grid is θ itself.
    """
    G = target_grid(torch, out_size, align_corners, dtype=torch.float64)
    matrix = family.matrix(theta)
    if matrix is None:
        if control_frame(family) != (tuple(out_size), align_corners):
            return None
        moved = G if family.name == "flow" else torch.zeros_like(G)
        value = moved + theta.reshape(-1, *out_size, 2)
        units = torch.eye(theta.numel(), dtype=torch.float64)
        return ByHand(value.reshape(-1), lambda outputs, inputs: units[outputs][:, inputs])
    homogeneous = torch.cat([G, torch.ones_like(G[..., :1])], dim=-1)
    mapped = torch.einsum("nab,hwb->nhwa", matrix, homogeneous)
    value = (mapped[..., :2] / mapped[..., 2:]).reshape(-1)
    to_affine = _affine_numbers(family, theta)
    if to_affine is None:
        return ByHand(value)
    shape = (theta.shape[0], *out_size, 2)

    def rows(outputs: list[int], inputs: list[int]) -> Float[Tensor, "some inputs"]:
        found = []
        for output in outputs:
            unit = torch.zeros(shape, dtype=torch.float64)
            unit.view(-1)[output] = 1
            found.append((backprop.dL_dtheta(unit, G) @ to_affine).reshape(-1)[inputs])
        return torch.stack(found)

    return ByHand(value, rows)


def control_frame(family: Family) -> tuple[Size, bool] | None:
    """The output size and `align_corners` for which the target grid is the family's own control points."""
    options = family.options()
    if "shape" not in options or options.get("smoothing"):
        return None
    return tuple(options["shape"]), options.get("align_corners", True)


def loss(
    U: Tensor,
    theta: Tensor,
    family: Family,
    out_size: Size,
    how: Sampling,
    weights: Tensor,
    target: Tensor,
    *,
    wrt: str,
) -> ByHand | None:
    """L = ½ Σ w (V - T)² through grid generator and sampler; for the bilinear kernel and the families with affine rows."""
    to_affine = _affine_numbers(family, theta)
    if how.kernel != "bilinear" or to_affine is None:
        return None
    matrix = family.matrix(theta)
    affine = matrix[:, :2].reshape(-1, 6)  # type: ignore[index]
    G = target_grid(torch, out_size, how.align_corners, dtype=torch.float64)
    options = _options(how, U)
    V = backprop.output(backprop.neighbours(U, backprop.affine_grid(affine, G), **options))
    gradients = backprop.backward(weights * (V - target), U, affine, G, **options)
    row = gradients.U.reshape(1, -1) if wrt == "U" else (gradients.theta @ to_affine).reshape(1, -1)
    value = (0.5 * (weights * (V - target) ** 2).sum()).reshape(1)
    return ByHand(value, lambda outputs, inputs: row[:, inputs])


def _options(how: Sampling, U: Tensor) -> dict:
    fill = U.new_tensor(how.constant(U.shape[1])) if how.padding == "fill" else None
    return {"padding": how.padding, "fill": fill, "align_corners": how.align_corners}


def _affine_numbers(family: Family, theta: Tensor) -> Float[Tensor, "6 size"] | None:
    """∂(θ₁₁ … θ₂₃)/∂θ for the families whose matrix is affine and linear in θ."""
    if isinstance(family, Affine):
        return torch.eye(6, dtype=torch.float64)
    if family.name not in ("translation", "attention", "similarity"):
        return None
    zero = torch.zeros(1, theta.shape[1], dtype=torch.float64)
    units = torch.eye(theta.shape[1], dtype=torch.float64)
    matrices = family.matrix(units) - family.matrix(zero)  # type: ignore[operator]
    return matrices[:, :2].reshape(-1, 6).T
