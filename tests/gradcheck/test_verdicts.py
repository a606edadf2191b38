"""Kinks, vacuity, nondeterminism, precision: what each verdict is given for."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from stn_cli.core.coordinates import pixels
from stn_cli.core.families import make
from stn_cli.core.gradients.check import check
from stn_cli.core.gradients.outside import Outside
from stn_cli.core.gradients.outside import problems as outside_problems
from stn_cli.core.gradients.problem import Verdict
from stn_cli.core.gradients.setup import Code, Setup, project_sample
from stn_cli.core.gradients.stages import problems

# In a 5×4 input a whole pixel is 2/5 or 2/4 of the normalised width, 2/4 or 2/3 with align_corners.
KINKED = {
    "identity": ((1, 0, 0, 0, 1, 0), (False, True)),
    "flip": ((-1, 0, 0, 0, 1, 0), (False, True)),
    "turned over": ((-1, 0, 0, 0, -1, 0), (False, True)),
    "shift": ((1, 0, 0.4, 0, 1, -0.5), (False,)),
    "shift, aligned": ((1, 0, 0.5, 0, 1, 2 / 3), (True,)),
}


def results(setup, code=None, **options):
    return [check(problem, **options) for problem in problems(setup, code)]


@pytest.mark.parametrize(
    ("name", "padding"),
    [*((name, "zeros") for name in KINKED), *(("identity", padding) for padding in ("border", "reflection", "fill"))],
)
def test_on_the_kinks_right_code_is_not_accused(name, padding):
    theta, frames = KINKED[name]
    setup = Setup(
        families=(make("affine"),), theta=torch.tensor([theta], dtype=torch.float64), out_size=(4, 5),
        kernels=("bilinear",), paddings=(padding,), whole_paddings=(padding,), frames=frames, batch=1,
    )  # fmt: skip
    found = results(setup)
    by_stage = {r.problem.stage: r for r in found}
    assert not any(r.failed for r in found)
    assert by_stage["grid → V"].verdict is Verdict.KINK
    assert by_stage["θ → L"].verdict is Verdict.KINK
    assert by_stage["θ → grid"].verdict is Verdict.PASS
    assert by_stage["U → V"].verdict is Verdict.PASS
    kinks = by_stage["grid → V"].kinks
    assert kinks.outside == kinks.jumps == 0
    assert kinks.right > 0
    assert kinks.right + kinks.left + kinks.between == kinks.count


def test_torch_gradcheck_fails_on_the_same_right_code():
    """What people see today: at the identity, torch's own check accuses torch's own sampler."""
    U = torch.randn(1, 1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64, requires_grad=True)

    def warp(theta):
        return F.grid_sample(U, F.affine_grid(theta, [1, 1, 4, 5], align_corners=False), align_corners=False)

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(warp, theta)
    found = [check(p) for p in outside_problems(Outside("warp", lambda U, t: F.grid_sample(
        U, F.affine_grid(t, [1, 1, 4, 5], align_corners=False), align_corners=False),
        (1, 1, 4, 5), (2, 3), U=U, theta=theta.detach().reshape(1, 6)))]  # fmt: skip
    assert [r.verdict for r in found] == [Verdict.KINK, Verdict.PASS]


def test_nearest_is_vacuous_by_its_grid_only():
    setup = Setup(families=(make("affine"),), kernels=("nearest",), whole_kernels=("nearest",), paddings=("zeros",))
    verdicts = {r.problem.stage: r.verdict for r in results(setup)}
    assert verdicts == {
        "θ → grid": Verdict.PASS, "grid → V": Verdict.VACUOUS, "U → V": Verdict.PASS,
        "θ → L": Verdict.VACUOUS, "U → L": Verdict.PASS,
    }  # fmt: skip


@pytest.mark.parametrize(("size", "failed"), [(1e-15, False), (1e-12, True)])
def test_two_backward_passes_that_differ(size, failed):
    """Sums in another order, as on a GPU, are reported; more than that fails."""
    random = torch.Generator().manual_seed(0)

    class Shaky(torch.autograd.Function):
        @staticmethod
        def forward(ctx, V):
            return V.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (1 + size * torch.rand((), generator=random, dtype=gradient.dtype))

    code = Outside("shaky", lambda U: Shaky.apply(U * 2), (1, 1, 4, 4))
    (found,) = (check(p) for p in outside_problems(code))
    assert found.verdict is Verdict.NONDETERMINISTIC
    assert found.failed is failed
    assert 0 < found.nondeterminism < size


def test_two_forward_passes_that_differ():
    random = torch.Generator().manual_seed(0)
    call = Outside("dropout", lambda U: F.dropout(U, 0.5) + 0 * torch.rand((), generator=random), (1, 1, 6, 6))
    (found,) = (check(p) for p in outside_problems(call))
    assert found.verdict is Verdict.NONDETERMINISTIC
    assert "forward" in found.reason
    assert found.failed


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_fail(bad):
    code = Code(sample=lambda U, grid, how: project_sample(U, grid, how) * bad)
    setup = Setup(kernels=("bilinear",), paddings=("zeros",), frames=(False,), stages=("U → V",))
    (found,) = results(setup, code)
    assert found.verdict is Verdict.FAIL
    assert "not finite" in found.reason


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_passes_and_says_what_it_computes_in(dtype):
    setup = Setup(families=(make("affine"),), kernels=("bilinear",), paddings=("zeros",), frames=(False,), dtype=dtype)
    found = results(setup)
    assert all(r.verdict is Verdict.PASS for r in found)
    half = dtype in (torch.float16, torch.bfloat16)
    assert all(any("compute in float32" in note for note in r.problem.notes) == half for r in found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_does_not_hide_a_wrong_gradient(dtype):
    code = Code(sample=lambda U, grid, how: project_sample(U, (grid + grid.detach()) / 2, how))
    setup = Setup(kernels=("bilinear",), paddings=("zeros",), frames=(False,), dtype=dtype, stages=("grid → V",))
    (found,) = results(setup, code)
    assert found.verdict is Verdict.FAIL


def test_the_worst_element_is_the_one_that_is_wrong():
    """One entry of the gradient is spoilt: it is named, and where its pixel samples is said."""

    class Spoilt(torch.autograd.Function):
        @staticmethod
        def forward(ctx, grid):
            return grid.clone()

        @staticmethod
        def backward(ctx, gradient):
            gradient = gradient.clone()
            gradient[1, 2, 3, 0] *= 1.01
            return gradient

    code = Code(sample=lambda U, grid, how: project_sample(U, Spoilt.apply(grid), how))
    setup = Setup(kernels=("bilinear",), paddings=("border",), frames=(False,), stages=("grid → V",))
    (found,) = results(setup, code)
    assert found.verdict is Verdict.FAIL
    assert found.worst.name.endswith("/∂x[1,2,3]")
    x, y = pixels(setup.draw_grid(2, False), (4, 5))[1, 2, 3].tolist()
    assert found.worst.place == f"output pixel (2,3) samples ({x:.3f}, {y:.3f})"


def test_large_inputs_are_sampled_and_the_slope_sees_the_rest():
    """Of 12,288 inputs 64 outputs × some inputs are compared; an error elsewhere is found by the Taylor slope."""
    setup = Setup(
        kernels=("bilinear",), paddings=("zeros",), frames=(False,), stages=("U → V",), in_size=(64, 48), out_size=(64, 48)
    )  # fmt: skip
    (right,) = results(setup, limit=32)
    assert right.verdict is Verdict.PASS
    assert right.checked <= 32 * 64

    def sparse(U, grid, how):
        spoilt = torch.zeros_like(U)
        spoilt[0, 0, 10:14, 10:14] = 1
        return project_sample(U * (1 - spoilt) + U.detach() * spoilt, grid, how)

    (wrong,) = results(setup, Code(sample=sparse), limit=32)
    assert wrong.verdict is Verdict.FAIL
    assert "Taylor" in wrong.reason


def test_another_seed_is_another_point():
    setup = Setup(families=(make("affine"),), stages=("θ → grid",))
    first, second = (next(problems(replace(setup, seed=seed))).at for seed in (0, 1))
    assert not torch.equal(first, second)
