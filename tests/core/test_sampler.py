"""The reference sampler against torch, OpenCV and SciPy, and against what it must be whatever the image."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional as F

from stn_cli.core.coordinates import target_grid
from stn_cli.core.families import Affine, make
from stn_cli.core.sampler import sample
from stn_cli.core.sampling import KERNELS, PADDINGS, Sampling
from stn_cli.errors import OptionError, StnError

TURN = torch.tensor(
    [[0.81, -0.353, 0.107, 0.31, 1.13, -0.21], [1.31, 0.217, 0.01, -0.113, 0.71, 0.307]], dtype=torch.float64
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_where_torch_has_it_it_is_torchs(kernel, padding, align_corners):
    U, grid = noise(2, 3, 9, 13), Affine().grid(TURN, (7, 5), align_corners=align_corners)
    expected = F.grid_sample(U, grid, mode=kernel, padding_mode=padding, align_corners=align_corners)
    ours = sample(U, grid, kernel=kernel, padding=padding, align_corners=align_corners)
    torch.testing.assert_close(ours, expected, atol=1e-13, rtol=0)


def test_nearest_is_the_papers_integer_kernel_at_ties():
    U = torch.arange(8.0, dtype=torch.float64)[None, None, None, :]
    x = torch.tensor([0.5, 1.5, 2.5, 3.5, -0.5])  # ⌊x + ½⌋ = 1, 2, 3, 4, 0; torch alone rounds halves to even
    grid = torch.stack([(2 * x.double() + 1) / 8 - 1, torch.zeros(5, dtype=torch.float64)], -1)[None, None]
    assert sample(U, grid, kernel="nearest")[0, 0, 0].tolist() == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("kernel", "flag"), [("nearest", cv2.INTER_NEAREST), ("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)]
)
def test_a_fill_is_opencvs_constant_border(kernel, flag):
    image = noise(11, 14, 3, seed=1).numpy().astype(np.float32)
    grid = Affine().grid(TURN[1:], (9, 12))
    place = ((grid[0].numpy() + 1) * [14 / 2, 11 / 2] - 0.5).astype(np.float32)
    fill = (0.9, 0.1, 0.4)
    expected = cv2.remap(
        image, place[..., 0], place[..., 1], flag, borderMode=cv2.BORDER_CONSTANT, borderValue=(*fill, 0.0)
    )
    U = torch.tensor(image).permute(2, 0, 1)[None]
    ours = sample(U, grid.float(), kernel=kernel, padding="fill", fill=fill)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fill_of_the_images_own_colour_leaves_no_rim(kernel):
    U = torch.full((1, 2, 6, 6), 100, dtype=torch.uint8)
    grid = Affine().grid(torch.tensor([2.0, 0.7, 0.1, -0.4, 2.0, 0.2]), (20, 20))
    assert sample(U, grid, kernel=kernel, padding="fill", fill=100.0).unique().tolist() == [100]


def test_bilinear_is_scipys_first_order_spline():
    image = noise(10, 12).numpy()
    grid = Affine().grid(TURN[:1], (8, 9))
    place = (grid[0].numpy() + 1) * [12 / 2, 10 / 2] - 0.5
    expected = ndimage.map_coordinates(image, [place[..., 1], place[..., 0]], order=1, mode="grid-constant", cval=0.3)
    ours = sample(torch.tensor(image)[None, None], grid, padding="fill", fill=0.3)
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_identity_and_whole_pixel_shifts_are_exact(kernel, padding, align_corners):
    U = (noise(1, 2, 8, 8, seed=4) * 255).to(torch.uint8)
    how = {"kernel": kernel, "padding": padding, "align_corners": align_corners}
    fill = {"fill": 7.0} if padding == "fill" else {}
    still = target_grid(torch, (8, 8), align_corners, dtype=torch.float64)[None]
    assert torch.equal(sample(U, still, **how, **fill), U)
    shift = torch.tensor([4 / (7 if align_corners else 8), 0.0], dtype=torch.float64)
    assert torch.equal(sample(U, still + shift, **how, **fill)[..., :5], U[..., 2:7])


@given(st.floats(-40, 40), st.floats(0.8, 1.25), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_there_and_back_returns_the_interior(degrees, zoom, tx, ty):
    y, x = np.mgrid[0:48, 0:64]
    smooth = torch.tensor(np.sin(x / 9) * np.cos(y / 7))[None, None]
    c, s = np.cos(np.radians(degrees)) / zoom, np.sin(np.radians(degrees)) / zoom
    theta = torch.tensor([[c, -s * 48 / 64, tx, s * 64 / 48, c, ty]], dtype=torch.float64)
    there = sample(smooth, Affine().grid(theta, (48, 64)), kernel="bicubic", padding="border")
    back = sample(there, Affine().grid(Affine().inverse(theta), (48, 64)), kernel="bicubic", padding="border")
    inside = slice(20, 28), slice(26, 38)
    assert (back - smooth)[0, 0][inside].abs().max() < 0.02


def test_reduced_zone_plates_do_not_alias():
    n = 256
    y, x = np.mgrid[0:n, 0:n] - (n - 1) / 2
    plate = torch.tensor(0.5 + 0.5 * np.cos(np.pi * (x**2 + y**2) / n))[None, None]
    average = F.avg_pool2d(plate, 4)
    still = target_grid(torch, (n // 4, n // 4), dtype=torch.float64)[None]

    def error(antialias: str) -> float:
        return ((sample(plate, still, antialias=antialias) - average) ** 2).mean().sqrt().item()

    assert error("off") > 0.14
    assert error("auto") <= 0.06
    assert error("on") <= 0.06
    turned = Affine().grid(torch.tensor([0.9, -0.43, 0, 0.43, 0.9, 0], dtype=torch.float64), (n // 4, n // 4))
    fine = F.grid_sample(plate, F.interpolate(turned.permute(0, 3, 1, 2), scale_factor=8, mode="bilinear",
                         align_corners=False).permute(0, 2, 3, 1), align_corners=False)  # fmt: skip
    dense = F.avg_pool2d(fine, 8)[..., 2:-2, 2:-2]
    ours = sample(plate, turned, antialias="auto")[..., 2:-2, 2:-2]
    assert ((ours - dense) ** 2).mean().sqrt() <= 0.06


def test_auto_averages_only_beyond_its_threshold():
    U = noise(1, 1, 40, 40)
    for zoom, changes in ((1.0, False), (1.4, False), (1.6, True), (3.0, True)):
        size = (round(40 / zoom),) * 2
        grid = target_grid(torch, size, dtype=torch.float64)[None]
        assert torch.equal(sample(U, grid, antialias="auto"), sample(U, grid)) != changes
    grid = target_grid(torch, (10, 10), dtype=torch.float64)[None]
    assert torch.equal(sample(U, grid, kernel="nearest", antialias="on"), sample(U, grid, kernel="nearest"))


def test_antialiasing_a_perspective_works_where_it_shrinks_only():
    U = noise(1, 1, 64, 64)
    theta = torch.tensor([[1.0, 0, 0, 0, 1.0, 0, 0, 0.85]], dtype=torch.float64)  # far at the top
    grid = make("projective").grid(theta, (32, 32))
    plain, smooth = (sample(U, grid, padding="reflection", antialias=a) for a in ("off", "auto"))
    assert (plain - smooth)[..., :6, :].abs().max() > 0.1
    assert torch.equal(plain[..., -2:, 12:20], smooth[..., -2:, 12:20])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.float16, torch.bfloat16])
def test_other_dtypes_are_sampled_in_float_and_rounded_half_up(dtype):
    U = (noise(1, 2, 7, 7) * 200).to(dtype)
    grid = Affine().grid(TURN[:1], (6, 6))
    ours = sample(U, grid, padding="border")
    exact = sample(U.double(), grid, padding="border")
    assert ours.dtype == dtype
    if dtype.is_floating_point:
        torch.testing.assert_close(ours.double(), exact, rtol=0.01, atol=0.01)
    else:
        assert (ours.double() - torch.floor(exact + 0.5)).abs().max() == 0
    assert sample(torch.tensor([[[[0, 1]]]], dtype=torch.uint8), torch.zeros(1, 1, 1, 2)).item() == 1


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_points_that_are_no_place_are_harmless(padding, bad):
    U = noise(1, 1, 5, 5)
    grid = target_grid(torch, (3, 3), dtype=torch.float64)[None].clone()
    grid[0, 1, 1, 0] = bad
    fill = {"fill": 0.25} if padding == "fill" else {}
    V = sample(U, grid, padding=padding, **fill)
    assert V.isfinite().all()
    if padding in ("zeros", "fill"):
        assert V[0, 0, 1, 1] == fill.get("fill", 0.0)


@pytest.mark.parametrize("padding", ["zeros", "border", "fill"])
@pytest.mark.parametrize("axis", [0, 1])
def test_infinity_is_far_away_on_its_own_side(padding, axis):
    U, fill = noise(1, 1, 5, 6), {"fill": 0.25} if padding == "fill" else {}
    for far in (-1.0, 1.0):
        grids = torch.zeros(3, 1, 1, 2, dtype=torch.float64)
        grids[:, 0, 0, axis] = torch.tensor([1e4, 1e30, float("inf")]) * far
        read = {sample(U, grid[None], padding=padding, **fill).item() for grid in grids}
        assert len(read) == 1


def test_overshoot_is_clipped_not_wrapped():
    U = torch.tensor([0, 0, 255, 255, 0, 0], dtype=torch.uint8).expand(1, 1, 6, 6)
    grid = Affine().grid(torch.tensor([0.9, 0.1, 0, 0.1, 0.9, 0], dtype=torch.float64), (20, 20))
    exact = sample(U.double(), grid, kernel="bicubic", padding="border")
    assert exact.min() < -5
    assert exact.max() > 260
    assert torch.equal(
        sample(U, grid, kernel="bicubic", padding="border").double(), (exact + 0.5).floor().clamp(0, 255)
    )


def test_one_grid_serves_all_images_and_otherwise_each_has_its_own():
    U, grids = noise(3, 2, 5, 6), Affine().grid(torch.cat([TURN, TURN[:1] / 2]), (4, 7))
    for n in range(3):
        torch.testing.assert_close(sample(U, grids[:1])[n : n + 1], sample(U[n : n + 1], grids[:1]))
        torch.testing.assert_close(sample(U, grids)[n : n + 1], sample(U[n : n + 1], grids[n : n + 1]))
    with pytest.raises(StnError, match="2 rows for 3 images"):
        sample(U, grids[:2])


@pytest.mark.parametrize("antialias", ["off", "auto"])
def test_no_images_give_no_images(antialias):
    assert sample(torch.zeros(0, 2, 5, 6), torch.zeros(0, 3, 4, 2), antialias=antialias).shape == (0, 2, 3, 4)


def test_a_sampling_is_a_value():
    how = Sampling(padding="fill", fill=[1, 2.5])
    assert how.fill == how.constant(2) == (1.0, 2.5)
    assert all(type(v) is float for v in how.fill)
    assert {how: 1}[Sampling(padding="fill", fill=(1, 2.5))] == 1
    assert Sampling(padding="fill", fill=(3,)).constant(3) == (3.0, 3.0, 3.0)
    assert Sampling().constant(3) == (0.0, 0.0, 0.0)


def test_gradients_flow_to_both_inputs():
    U = noise(2, 2, 6, 6).requires_grad_()
    theta = TURN.clone().requires_grad_()
    sample(U, Affine().grid(theta, (5, 4)), padding="fill", fill=0.5, antialias="auto").square().sum().backward()
    assert U.grad.abs().sum() > 0
    assert theta.grad.abs().min() > 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(StnError, match="3 rows for 2 images"):
        sample(noise(2, 1, 4, 4), torch.zeros(3, 4, 4, 2))
    with pytest.raises(OptionError, match=r"--kernel: lanczos: .*bicubic"):
        Sampling(kernel="lanczos")
    with pytest.raises(OptionError, match="3 channels"):
        sample(noise(1, 3, 4, 4), torch.zeros(1, 4, 4, 2), padding="fill", fill=(1.0, 2.0))
    for bad in (
        {"padding": "fill"},
        {"fill": (1.0,)},
        {"padding": "fill", "fill": (float("nan"),)},
        {"antialias": "yes"},
    ):
        with pytest.raises(OptionError):
            Sampling(**bad)
