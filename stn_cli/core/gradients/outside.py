"""Problems for code that is not ours: any differentiable function of (U, θ), and any nn.Module of U."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from stn_cli.core.families import family_for
from stn_cli.core.gradients.problem import Problem, unravel
from stn_cli.errors import OptionError, StnError


@dataclass(frozen=True)
class Outside:
    """`call(U, θ)` where `theta_shape` (of one image) is given, else `call(U)`; U has the shape `U_shape`, N first.

    A module is checked in evaluation mode, on a copy, and with respect to its parameters too.
    """

    name: str
    call: Callable[..., Any]
    U_shape: tuple[int, ...]
    theta_shape: tuple[int, ...] | None = None
    U: Tensor | None = None
    """instead of noise"""
    theta: Tensor | None = None
    """(1, size): a point of the user's instead of random ones and the identity"""
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    seed: int = 0
    tolerance: float = 1e-6


def problems(code: Outside) -> Iterator[Problem]:
    """U → V and θ → V at random points and at the identity; for a module without θ, U → V and parameters → V."""
    generator = torch.Generator().manual_seed(code.seed)
    noise = torch.randn(code.U_shape, generator=generator, dtype=torch.float64)
    U = (noise if code.U is None else code.U).to(code.dtype).double()
    exact, low = _prepared(code, torch.float64, "cpu"), _prepared(code, code.dtype, code.device)
    if code.theta_shape is None:
        V = _shape_of(code, low, U)
        yield _problem(code, exact, low, "U → V", "U", U, lambda call, u: call(u), V)
        if isinstance(code.call, nn.Module):
            yield _parameters(code, exact, low, U, V)
        return
    points = _theta_points(code, U.shape[0], generator)
    V = _shape_of(code, low, U, points[0][1])
    for place, theta in points:
        yield _problem(code, exact, low, "θ → V", "θ", theta, lambda call, t: call(U.to(t), t), V, f"at {place}")
    for place, theta in points:
        yield _problem(code, exact, low, "U → V", "U", U, lambda call, u, t=theta: call(u, t.to(u)), V, f"at {place}")


def _theta_points(code: Outside, rows: int, generator: torch.Generator) -> list[tuple[str, Tensor]]:
    shape = code.theta_shape or ()
    if code.theta is not None:
        return [("the given θ", code.theta.reshape(1, *shape).expand(rows, *shape).contiguous())]
    away = torch.randn(rows, *shape, generator=generator, dtype=torch.float64)
    try:
        identity = torch.tensor(family_for(prod(shape)).identity(), dtype=torch.float64).reshape(1, *shape)
    except OptionError:
        return [("random θ", 0.5 * away)]
    return [("random θ", identity + 0.15 * away), ("the identity", identity.expand(rows, *shape).contiguous())]


def _prepared(code: Outside, dtype: torch.dtype, device: str) -> Callable[..., Tensor]:
    """The code with its parameters in `dtype` on `device`; what it raises becomes one line."""
    call = code.call
    if isinstance(call, nn.Module):
        call = copy.deepcopy(call).to(device=device, dtype=dtype).eval()

    def run(*arguments: Any, **named: Any) -> Tensor:
        try:
            V = call(*arguments, **named)
        except Exception as error:  # whatever the user's code raises is theirs to read, in one line
            shapes = ", ".join(str(tuple(a.shape)) for a in arguments if isinstance(a, Tensor))
            raise StnError(f"{code.name} failed on {shapes}: {type(error).__name__}: {error}") from error
        if not isinstance(V, Tensor) or not V.is_floating_point():
            found = f"a tensor of {V.dtype}" if isinstance(V, Tensor) else type(V).__name__
            raise StnError(f"{code.name} returned {found}; a floating-point tensor is needed")
        return V

    run.module = call  # type: ignore[attr-defined]
    return run


def _shape_of(code: Outside, call: Callable[..., Tensor], *arguments: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(call(*(t.to(code.device, code.dtype) for t in arguments)).shape)


def _problem(
    code: Outside,
    exact: Callable[..., Tensor],
    low: Callable[..., Tensor],
    stage: str,
    variable: str,
    at: Tensor,
    apply: Callable[..., Tensor],
    V: tuple[int, ...],
    subject: str = "",
    name_input: Callable[[int], str] | None = None,
) -> Problem:
    same = code.dtype == torch.float64 and code.device == "cpu"
    epsilon = torch.finfo(code.dtype).eps
    return Problem(
        stage=stage,
        subject=subject or "as it is",
        function=lambda x: apply(low, x),
        at=at.to(code.device, code.dtype),
        name_output=lambda o: _name("V", o, V),
        name_input=name_input or (lambda k: _name(variable, k, tuple(at.shape))),
        reference=None if same else lambda x: apply(exact, x),
        tolerance=code.tolerance,
        precision=0.0 if code.dtype == torch.float64 else 256 * epsilon,
        reach=2.0**-8,
        settings={"point": subject},
    )


def _parameters(
    code: Outside, exact: Callable[..., Tensor], low: Callable[..., Tensor], U: Tensor, V: tuple[int, ...]
) -> Problem:
    """All parameters of a module as one vector."""
    named = [(name, p.detach().cpu().double()) for name, p in exact.module.named_parameters()]  # type: ignore[attr-defined]
    vector = torch.cat([p.reshape(-1) for _, p in named]) if named else torch.zeros(0, dtype=torch.float64)
    if not named:
        raise StnError(f"{code.name} has no parameters, and no θ: say --theta-size for a function of (U, θ)")

    def apply(call: Callable[..., Tensor], values: Tensor) -> Tensor:
        pieces = values.split([p.numel() for _, p in named])
        parameters = {name: piece.reshape(p.shape) for (name, p), piece in zip(named, pieces, strict=True)}
        return torch.func.functional_call(call.module, parameters, (U.to(values),))  # type: ignore[attr-defined]

    def name_input(index: int) -> str:
        for name, p in named:
            if index < p.numel():
                return _name(name, index, tuple(p.shape))
            index -= p.numel()
        raise IndexError(index)

    return _problem(code, exact, low, "parameters → V", "p", vector, apply, V, name_input=name_input)


def _name(letter: str, index: int, shape: tuple[int, ...]) -> str:
    return f"{letter}[{','.join(map(str, unravel(index, shape)))}]" if shape else letter
