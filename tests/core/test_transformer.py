"""The module against its parts, and as a notebook would use it."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stn_cli import Affine, SpatialTransformer, sample
from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformer import ParallelTransformers
from stn_cli.errors import StnError


class Fixed(nn.Module):
    def __init__(self, theta) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, U):
        return self.theta.expand(U.shape[0], -1)


THETA = [0.7, 0.1, 0.05, -0.2, 0.9, 0.1]


def test_the_module_is_affine_grid_and_grid_sample():
    U = torch.rand(3, 2, 8, 10)
    module = SpatialTransformer(Fixed(THETA), "affine", (6, 5))
    grid = F.affine_grid(torch.tensor(THETA).reshape(1, 2, 3).expand(3, 2, 3), (3, 2, 6, 5), align_corners=False)
    torch.testing.assert_close(module(U), F.grid_sample(U, grid, align_corners=False), atol=1e-6, rtol=0)
    steps = module.steps(U)
    assert steps.theta.shape == (3, 6)
    torch.testing.assert_close(steps.V, sample(U, steps.grid))


@pytest.mark.parametrize(
    "how",
    [
        None,
        Sampling(),
        Sampling("nearest", "border", antialias="off"),
        Sampling("bicubic", "reflection", align_corners=True, antialias="on"),
        Sampling(padding="fill", fill=(0.1, 0.9), antialias="off"),
    ],
    ids=str,
)
def test_the_sampling_asked_for_is_done(how):
    """Without any: the paper's, bilinear with zeros outside, one sample a pixel, at the input's own size."""
    U = torch.rand(2, 2, 16, 20)
    net, family = Fixed([2.1, 0.1, 0.05, -0.2, 1.9, 0.1]), make("affine")
    module = SpatialTransformer(net, sampling=how)
    how = how or Sampling(antialias="off")
    grid = family.grid(net(U), (16, 20), align_corners=how.align_corners)
    expected = sample(
        U, grid, kernel=how.kernel, padding=how.padding, fill=how.fill, align_corners=how.align_corners,
        antialias=how.antialias,
    )  # fmt: skip
    assert torch.equal(module(U), expected)
    assert torch.equal(module.steps(U).grid, grid)
    for part in ("Affine()", "out_size=None", how.kernel, how.padding):
        assert part in repr(module)


@pytest.mark.parametrize(("dtype", "grid"), [(torch.float16, torch.float32), (torch.float64, torch.float64)])
def test_the_grid_is_never_coarser_than_single_precision(dtype, grid):
    U = torch.rand(1, 1, 6, 6).to(dtype)
    steps = SpatialTransformer(Fixed(THETA).to(dtype)).steps(U)
    assert steps.theta.dtype == steps.V.dtype == dtype
    assert steps.grid.dtype == grid


@pytest.mark.parametrize("family", ["affine", "projective", "tps"])
def test_autocast_does_not_reach_the_grid(family):
    """A bfloat16 grid would be off by a pixel and more at this width."""
    U = torch.rand(1, 1, 4, 1920)
    module = SpatialTransformer(Fixed(make(family).identity()), family)
    with torch.autocast("cpu", torch.bfloat16):
        steps = module.steps(U)
    assert steps.grid.dtype == steps.V.dtype == torch.float32
    torch.testing.assert_close(steps.V, U, atol=1e-3, rtol=0)


def test_the_gradient_reaches_the_localisation_net():
    net = Fixed(THETA)
    SpatialTransformer(net, Affine())(torch.rand(2, 1, 9, 9)).sum().backward()
    assert net.theta.grad.abs().min() > 0


def test_parallel_transformers_stand_side_by_side():
    U = torch.rand(2, 3, 8, 8)
    both = ParallelTransformers([SpatialTransformer(Fixed(THETA), out_size=(4, 4)) for _ in range(2)])
    assert both(U).shape == (2, 6, 4, 4)
    torch.testing.assert_close(both(U)[:, :3], both(U)[:, 3:])


def test_a_net_that_does_not_fit_the_family_is_told():
    with pytest.raises(StnError, match=r"gave \(2, 6\) for 2 images: the family projective needs \(2, 8\)"):
        SpatialTransformer(Fixed(THETA), "projective")(torch.rand(2, 1, 4, 4))


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, stn_cli; print([m for m in ('torch', 'numpy', 'PIL', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    code = "import sys; from stn_cli import Affine, Transformation, Sampling; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
