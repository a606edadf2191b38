"""The hand-derived backward pass against autograd of torch's own affine_grid and grid_sample."""

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from stn_cli.core import backprop
from stn_cli.core.sampling import PADDINGS

SHAPES = [
    ((2, 3, 5, 7), (4, 6)),
    ((3, 1, 8, 4), (9, 5)),
    ((1, 2, 1, 6), (3, 3)),
    ((2, 2, 6, 1), (2, 4)),
    ((1, 4, 2, 2), (1, 1)),
]


def target_grid(size, align_corners):
    one = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64)
    return affine_grid(one, [1, 1, *size], align_corners=align_corners)[0]


def sample(U, grid, padding, align_corners, fill=None):
    """grid_sample, with the constant fill written as zeros padding of the difference to it."""
    if padding != "fill":
        return grid_sample(U, grid, padding_mode=padding, align_corners=align_corners)
    constant = fill.reshape(1, -1, 1, 1)
    return grid_sample(U - constant, grid, align_corners=align_corners) + constant


def close(ours, theirs):
    """Equal to 1e-12 of the largest entry."""
    assert (ours - theirs).abs().max() <= 1e-12 * max(1.0, theirs.abs().max())


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("shape", "out_size"), SHAPES)
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0], ids=["inside", "over-the-border", "far-outside"])
def test_equals_autograd(padding, align_corners, shape, out_size, spread):
    random = torch.Generator().manual_seed(7)

    def draw(*size):
        return torch.randn(*size, generator=random, dtype=torch.float64)

    U = draw(*shape).requires_grad_()
    theta = (torch.tensor([1.0, 0, 0, 0, 1, 0]) * spread + 0.3 * draw(shape[0], 6)).requires_grad_()
    fill = draw(shape[1])
    G = target_grid(out_size, align_corners)
    grid = affine_grid(theta.reshape(-1, 2, 3), [shape[0], 1, *out_size], align_corners=align_corners)
    V = sample(U, grid, padding, align_corners, fill)
    dL_dV = draw(*V.shape)
    expected = torch.autograd.grad(V, [U, grid, theta], dL_dV)

    options = {"padding": padding, "fill": fill, "align_corners": align_corners}
    with torch.no_grad():
        near = backprop.neighbours(U, grid, **options)
        ours = backprop.backward(dL_dV, U, theta, G, **options)
    close(backprop.output(near), V)
    for mine, theirs in zip((ours.U, ours.grid, ours.theta), expected, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_at_an_integer_the_right_hand_slope_is_chosen(padding, align_corners):
    """On the kink both slopes are sub-gradients; ⌊x⌋ + 1 takes the one to the right, not zero."""
    U = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scale_x, scale_y = backprop.pixels_per_unit((5, 6), align_corners)

    def at(x, y):
        centred = [(x - 2.5) / scale_x, (y - 2) / scale_y]
        grid = torch.tensor([[[centred]]], dtype=torch.float64)
        return backprop.neighbours(U, grid, padding=padding, align_corners=align_corners)

    near = at(2 + 1e-9, 3 + 1e-9)
    assert near.left.item() == 2
    assert backprop.dV_dx(near).item() == pytest.approx((U[0, 0, 3, 3] - U[0, 0, 3, 2]).item(), rel=1e-6)
    assert backprop.dV_dy(near).item() == pytest.approx((U[0, 0, 4, 2] - U[0, 0, 3, 2]).item(), rel=1e-6)


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_neighbours_name_the_pixels_they_are(padding):
    """What a drawing of one sample needs: weights that sum to one, and sources that hold the values."""
    random = torch.Generator().manual_seed(3)
    U = torch.randn(2, 3, 4, 5, generator=random, dtype=torch.float64)
    grid = 4 * torch.rand(2, 6, 7, 2, generator=random, dtype=torch.float64) - 2
    fill = torch.tensor([7.0, 8.0, 9.0], dtype=torch.float64)
    near = backprop.neighbours(U, grid, padding=padding, fill=fill)
    outside = fill if padding == "fill" else torch.zeros_like(fill)
    torch.testing.assert_close(near.weights.sum(0), torch.ones_like(near.x))
    for corner in range(4):
        for n, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(6), torch.arange(7)).tolist():
            value = near.values[corner, n, :, i, j]
            if near.inside[corner, n, i, j]:
                assert torch.equal(value, U[n].flatten(1)[:, near.source[corner, n, i, j]])
            else:
                assert torch.equal(value, outside)
    assert near.inside.all() == (padding in {"border", "reflection"})


def test_a_shared_input_pixel_gathers_from_every_output_pixel():
    """The article's example: five samples share one input pixel, and their shares add up."""
    U = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    points = torch.tensor([[1.2, 1.3], [1.9, 1.8], [2.4, 1.6], [2.7, 2.2], [1.5, 2.5], [4.0, 4.0]])
    grid = ((points.double() - 2) / 2.5).reshape(1, 1, 6, 2)
    near = backprop.neighbours(U, grid)
    dL_dV = torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=torch.float64).reshape(1, 1, 1, 6)
    tent = (1 - (points.double() - 2).abs()).clamp(min=0).prod(-1)
    gathered = backprop.dL_dU(dL_dV, near)[0, 0, 2, 2]
    torch.testing.assert_close(gathered, (tent * dL_dV.flatten()).sum())


def test_unless_told_otherwise_zeros_lie_outside_and_corners_are_not_aligned():
    """As everywhere in stn, and in torch."""
    random = torch.Generator().manual_seed(5)
    U, dL_dV = (torch.randn(1, 2, 5, 6, generator=random, dtype=torch.float64) for _ in range(2))
    theta, G = torch.tensor([[1.2, 0.1, 0.3, -0.2, 1.1, 0]], dtype=torch.float64), target_grid((5, 6), False)
    plain = backprop.backward(dL_dV, U, theta, G)
    told = backprop.backward(dL_dV, U, theta, G, padding="zeros", align_corners=False)
    for name in ("U", "grid", "theta"):
        assert torch.equal(getattr(plain, name), getattr(told, name))
    near = backprop.neighbours(U, affine_grid(theta.reshape(1, 2, 3), [1, 1, 5, 6], align_corners=False))
    assert torch.equal(backprop.dL_dgrid(dL_dV, near), told.grid)


def test_a_fill_takes_the_precision_of_the_image():
    fill = torch.tensor([0.5], dtype=torch.float64)
    near = backprop.neighbours(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 1, 2), 9.0), padding="fill", fill=fill)
    assert backprop.output(near).dtype == torch.float32
    assert backprop.output(near).item() == 0.5
