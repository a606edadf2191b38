"""The module against its parts, and as a notebook would use it."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stn_cli import Affine, SpatialTransformer, sample
from stn_cli.core.families import make
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
    with pytest.raises(StnError, match=r"the family projective needs \(2, 8\)"):
        SpatialTransformer(Fixed(THETA), "projective")(torch.rand(2, 1, 4, 4))


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, stn_cli; print([m for m in ('torch', 'numpy', 'PIL', 'numba') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    code = "import sys; from stn_cli import Affine, Transformation, Sampling; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
