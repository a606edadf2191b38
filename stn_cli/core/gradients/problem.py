"""What is checked — a function at a point, with what is known of it — and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stn_cli.core.gradients.differences import Function


class Verdict(StrEnum):
    """From the best to the worst; a group of checks has the worst of its verdicts."""

    PASS = "PASS"
    KINK = "KINK"
    """right wherever there is a derivative, but some elements have none: they are counted and left out"""
    VACUOUS = "VACUOUS"
    """the gradient is zero everywhere, and so is the function's slope: nothing to learn from, nothing proved"""
    NONDETERMINISTIC = "NONDETERMINISTIC"
    """two backward passes, or two forward passes, differ"""
    FAIL = "FAIL"

    @property
    def rank(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True)
class ByHand:
    """What formulas derived by hand say of the same function at the same point, float64 on the CPU."""

    value: Float[Tensor, " outputs"] | None = None
    rows: Callable[[list[int], list[int]], Float[Tensor, "some inputs"]] | None = None
    """the Jacobian entries of some outputs (rows) and inputs (columns)"""
    tolerance: float = 1e-12
    """relative to the largest entry, where the function computes in float64"""


@dataclass(frozen=True)
class Problem:
    """The gradient of `function` with respect to its one argument, at the point `at`.

    `function` takes a tensor of the shape, dtype and device of `at` and returns a tensor. Outputs and inputs are numbered
    along the flattened tensors.
    """

    stage: str
    subject: str
    function: Function
    at: Tensor
    name_output: Callable[[int], str]
    name_input: Callable[[int], str]
    place: Callable[[int, int], str] = lambda output, index: ""
    """where an element (output, input) lies, in words"""
    reference: Function | None = None
    """the same function in float64 on the CPU, where `function` itself is not that"""
    by_hand: ByHand | None = None
    near_kink: Bool[Tensor, " outputs"] | None = None
    """outputs so near a kink that rounding decides on which side they are computed"""
    slope_weights: Float[Tensor, " outputs"] | None = None
    """zeros leave outputs out of the Taylor slope, because they meet a kink within `reach`"""
    reach: float = 2.0**-5
    hull: bool = False
    """at a kink the sub-gradient lies between the one-sided derivatives (so where one coordinate moves at a time)"""
    tolerance: float = 1e-6
    """relative, between autograd and differences"""
    precision: float = 0.0
    """what the arithmetic of `function` may cost, relative to the largest entry; 0 for float64"""
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def element(self, output: int, index: int) -> str:
        return f"∂{self.name_output(output)}/∂{self.name_input(index)}"


@dataclass(frozen=True)
class Element:
    """One named entry of a Jacobian, computed in every way."""

    name: str
    place: str
    autograd: float
    differences: float
    by_hand: float | None
    right: float
    left: float
    step: float


@dataclass(frozen=True)
class Kinks:
    """Elements without a derivative, and which sub-gradient the code chose there."""

    count: int = 0
    right: int = 0
    left: int = 0
    between: int = 0
    outside: int = 0
    jumps: int = 0
    moving: bool = False
    """whether any one-sided derivative is not zero"""
    example: Element | None = None


@dataclass(frozen=True)
class Result:
    """One row of the report. Errors are between autograd and differences unless they say `by_hand`."""

    problem: Problem
    verdict: Verdict
    reason: str
    """what failed, in words; empty where nothing did"""
    checked: int
    absolute: float
    relative: float
    """to the element itself, or to a thousandth of the largest one where that is more"""
    worst: Element | None
    by_hand: float | None
    """worst gradient difference from the formulas by hand, relative to the largest entry; None where there are none"""
    value_by_hand: float | None
    slope: float | None
    kinks: Kinks
    nondeterminism: float
    """difference of two backward passes, relative to the largest entry"""
    noise: float
    steps: tuple[float, float] | None
    """the smallest and the largest step that was taken"""

    @property
    def failed(self) -> bool:
        """Whether a run with this result exits with 1: nondeterminism of the size of rounding does not."""
        return self.verdict is Verdict.FAIL or (
            self.verdict is Verdict.NONDETERMINISTIC and self.nondeterminism > rounding(self.problem.at.dtype)
        )


def rounding(dtype: torch.dtype) -> float:
    """What one sum may differ by, relative, when it is taken in another order."""
    return 64 * torch.finfo(dtype).eps


def unravel(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A flat index as one index an axis."""
    found: list[int] = []
    for length in reversed(shape):
        index, k = divmod(index, length)
        found.append(k)
    return tuple(reversed(found))
