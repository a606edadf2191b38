"""The numerical derivative against derivatives known in closed form, and against functions that have none."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stn_cli.core.gradients.differences import STEPS, differences, measure_noise, slope


def one(value):
    return torch.tensor([value], dtype=torch.float64)


def at(function, value):
    return differences(function, one(value), [0], [0])


SMOOTH = {
    "sin": (torch.sin, torch.cos),
    "exp": (torch.exp, torch.exp),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "fast": (lambda x: torch.sin(40 * x), lambda x: 40 * torch.cos(40 * x)),
    "reciprocal": (lambda x: 1 / (x + 4), lambda x: -1 / (x + 4) ** 2),
    "straight": (lambda x: 3 * x - 1, lambda x: torch.full_like(x, 3.0)),
}


@pytest.mark.parametrize("name", SMOOTH)
@given(value=st.floats(-2, 2))
def test_error_bound_holds_and_is_small(name, value):
    function, derivative = SMOOTH[name]
    found = at(function, value)
    error = abs(found.value.item() - derivative(one(value)).item())
    assert error <= found.error.item()
    assert found.error.item() < 1e-4
    assert not found.kink.any()


@given(kink=st.floats(-1e-3, 1e-3), left=st.floats(-5, 5), right=st.floats(-5, 5))
def test_a_kink_is_either_stepped_around_or_reported(kink, left, right):
    found = at(lambda x: torch.where(x < kink, left * (x - kink), right * (x - kink)), 0.0)
    truth = left if kink > 0 else right
    if found.kink.any():
        assert abs(kink) <= 16 * 8 * STEPS[-1]
    else:
        assert abs(found.value.item() - truth) <= found.error.item() + 1e-12


@pytest.mark.parametrize(("left", "right"), [(-1.0, 1.0), (0.0, 2.0), (3.0, 0.5)])
def test_on_a_kink_the_one_sided_derivatives_are_right(left, right):
    found = at(lambda x: torch.where(x < 0, left * x, right * x), 0.0)
    assert found.kink.all()
    assert not found.jump.any()
    assert found.left.item() == pytest.approx(left, abs=1e-8)
    assert found.right.item() == pytest.approx(right, abs=1e-8)


def test_a_jump_is_told_from_a_kink():
    found = at(lambda x: torch.floor(x), 1.0)
    assert found.jump.all()


def test_a_bend_in_the_second_derivative_is_no_kink():
    """Bicubic samples at integers: one derivative, two curvatures."""
    found = at(lambda x: torch.where(x < 0, x + 20 * x**2, x - 30 * x**2), 0.0)
    assert not found.kink.any()
    assert abs(found.value.item() - 1) <= found.error.item()


def test_steps_shrink_where_the_function_bends():
    """One call, three elements: the step is chosen for each by itself."""
    x = torch.tensor([0.3, 0.3, 0.3], dtype=torch.float64)
    rates = torch.tensor([0.0, 1.0, 30.0], dtype=torch.float64)
    found = differences(lambda x: torch.where(rates == 0, x, torch.sin(rates * x)), x, [0, 1, 2], [0, 1, 2])
    steps = found.step.diagonal()
    assert steps[0] > steps[1] > steps[2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_noise_is_measured(dtype):
    """Of a function that computes in single precision inside, the noise is that of single precision."""
    x = torch.randn(20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = measure_noise(lambda x: torch.sin(x.to(dtype)).double(), x)
    assert torch.finfo(dtype).eps / 16 < noise < 64 * torch.finfo(dtype).eps


@pytest.mark.parametrize(("factor", "order"), [(1.0, 2.0), (1.001, 1.0), (0.5, 1.0), (0.0, 1.0)])
def test_taylor_slope(factor, order):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = slope(
        lambda x: torch.exp(torch.sin(x)).sum().reshape(1), x, factor * torch.cos(x) * torch.exp(torch.sin(x))
    )
    assert found == pytest.approx(order, abs=0.05)


def test_a_straight_function_has_no_slope():
    x = torch.ones(3, dtype=torch.float64)
    assert slope(lambda x: x.sum().reshape(1), x, torch.ones(3)) is None
