"""The verdict on one problem: autograd against differences, against the formulas by hand, and the Taylor slope."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stn_cli.core.gradients.differences import SAFETY, Differences, Function, differences, evaluate, slope
from stn_cli.core.gradients.problem import Element, Kinks, Problem, Result, Verdict


@dataclass(frozen=True)
class Jacobians:
    """The same entries (inputs × outputs) computed in each way, float64 on the CPU."""

    problem: Problem
    inputs: list[int]
    outputs: list[int]
    autograd: Float[Tensor, "inputs outputs"]
    numeric: Differences
    by_hand: Float[Tensor, "inputs outputs"] | None
    excluded: Bool[Tensor, "inputs outputs"]
    """elements without a derivative, or whose side of a kink is decided by rounding"""

    @property
    def scale(self) -> float:
        """The largest entry that is no quotient across a kink."""
        return max(self.autograd.abs().max().item(), (self.numeric.value * ~self.excluded).abs().max().item())

    def element(self, at: tuple[int, int]) -> Element:
        problem, (k, o) = self.problem, at
        return Element(
            name=problem.element(self.outputs[o], self.inputs[k]),
            place=problem.place(self.outputs[o], self.inputs[k]),
            autograd=self.autograd[at].item(),
            differences=self.numeric.value[at].item(),
            by_hand=None if self.by_hand is None else self.by_hand[at].item(),
            right=self.numeric.right[at].item(),
            left=self.numeric.left[at].item(),
            step=self.numeric.step[at].item(),
        )


def check(problem: Problem, *, seed: int = 0, limit: int = 256) -> Result:
    """Hold the gradient of one problem against differences, the formulas by hand, and the Taylor slope.

    At most `limit` outputs × `limit` inputs are compared one by one, drawn with `seed` where there are more (half of the
    inputs among those that autograd says matter); the Taylor slope always tests all of them together.
    """
    generator = torch.Generator().manual_seed(seed)
    value = evaluate(problem.function, problem.at)
    again = evaluate(problem.function, problem.at)
    cotangent = torch.randn(value.shape, generator=generator, dtype=torch.float64)
    gradient, gradient_again = (_vjp(problem, cotangent) for _ in range(2))
    spread = (gradient - gradient_again).abs().max().item() / max(gradient.abs().max().item(), 1e-300)

    faults: list[str] = []
    if not (value.isfinite().all() and gradient.isfinite().all()):
        what = "values" if not value.isfinite().all() else "gradient"
        return _unfinished(problem, Verdict.FAIL, f"the {what} are not finite".replace("gradient are", "gradient is"))
    if not torch.equal(value, again):
        forward = (value - again).abs().max().item() / max(value.abs().max().item(), 1e-300)
        return _unfinished(problem, Verdict.NONDETERMINISTIC, "two forward passes differ", max(forward, spread))

    found = jacobians(problem, seed=seed, limit=limit)
    value_by_hand, off = _value_by_hand(problem, value)
    if off is not None:
        faults.append(off)
    by_hand, hand_worst = _against_hand(found, faults)
    absolute, relative, worst = _against_differences(found, faults)
    kinks = _kinks(found, faults)
    order = _order(problem, value, seed, found.numeric.noise, bool(kinks.count), faults)

    vacuous = not gradient.any() and not found.autograd.any()
    if vacuous and kinks.moving:
        e = kinks.example
        example = f"such as {e.name}: from the left {e.left:.4g}, from the right {e.right:.4g}" if e else ""
        faults.append(f"the gradient is zero everywhere, but the function moves at {kinks.count} kinks, {example}")

    verdict = Verdict.PASS
    if faults:
        verdict = Verdict.FAIL
    elif spread > 0:
        verdict = Verdict.NONDETERMINISTIC
    elif vacuous:
        verdict = Verdict.VACUOUS
    elif kinks.count:
        verdict = Verdict.KINK
    step = found.numeric.step[~found.excluded]
    return Result(
        problem=problem,
        verdict=verdict,
        reason="; ".join(faults),
        checked=int((~found.excluded).sum()),
        absolute=absolute,
        relative=relative,
        worst=hand_worst or worst,
        by_hand=by_hand,
        value_by_hand=value_by_hand,
        slope=order,
        kinks=kinks,
        nondeterminism=spread,
        noise=found.numeric.noise,
        steps=(step.min().item(), step.max().item()) if step.numel() else None,
    )


def _unfinished(problem: Problem, verdict: Verdict, reason: str, spread: float = 0.0) -> Result:
    nan = float("nan")
    return Result(problem, verdict, reason, 0, nan, nan, None, None, None, None, Kinks(), spread, nan, None)


def _vjp(problem: Problem, cotangent: Tensor) -> Tensor:
    """∂⟨cotangent, f⟩/∂x by autograd, flattened, float64 on the CPU; zeros where f hangs on no gradient."""
    x = problem.at.detach().clone().requires_grad_()
    out = problem.function(x)
    if not out.requires_grad:
        return torch.zeros(x.numel(), dtype=torch.float64)
    (grad,) = torch.autograd.grad(out, x, cotangent.to(out).reshape(out.shape), allow_unused=True)
    return _flat(grad, x)


def _flat(grad: Tensor | None, x: Tensor) -> Tensor:
    grad = torch.zeros_like(x) if grad is None else grad
    return grad.detach().to("cpu", torch.float64).reshape(-1)


def jacobians(problem: Problem, *, seed: int = 0, limit: int = 256, outputs: list[int] | None = None) -> Jacobians:
    """The same entries in every way: of `outputs`, or of at most `limit` drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    outputs = _draw(evaluate(problem.function, problem.at).numel(), limit, generator) if outputs is None else outputs
    count = problem.at.numel()
    if count <= limit:
        inputs = list(range(count))
    else:
        telling = _rows(problem, outputs[: limit // 8]).abs().topk(min(4, count), dim=1).indices
        inputs = sorted({*telling.reshape(-1).tolist(), *_draw(count, limit // 2, generator)})
    autograd = _rows(problem, outputs, inputs).T
    x = problem.at.detach()
    if problem.reference:
        numeric = differences(problem.reference, x.to("cpu", torch.float64), inputs, outputs, seed=seed)
    else:
        numeric = differences(problem.function, x, inputs, outputs, seed=seed)
    excluded = numeric.kink.clone()
    if problem.precision and problem.near_kink is not None:
        excluded |= problem.near_kink[outputs] & ((autograd != 0) | (numeric.value.abs() > numeric.error))
    by_hand = None
    if problem.by_hand is not None and problem.by_hand.rows is not None:
        by_hand = problem.by_hand.rows(outputs, inputs).T
    return Jacobians(problem, inputs, outputs, autograd, numeric, by_hand, excluded)


def _draw(count: int, limit: int, generator: torch.Generator) -> list[int]:
    if count <= limit:
        return list(range(count))
    return sorted(torch.randperm(count, generator=generator)[:limit].tolist())


def _rows(problem: Problem, outputs: list[int], inputs: list[int] | None = None) -> Tensor:
    """Jacobian rows (some outputs, inputs) by autograd, one backward pass each."""
    x = problem.at.detach().clone().requires_grad_()
    out = problem.function(x).reshape(-1)
    columns = slice(None) if inputs is None else inputs
    if not out.requires_grad:
        return torch.zeros(len(outputs), x.numel() if inputs is None else len(inputs), dtype=torch.float64)
    rows = []
    for o in outputs:
        (grad,) = torch.autograd.grad(out[o], x, retain_graph=True, allow_unused=True)
        rows.append(_flat(grad, x)[columns])
    return torch.stack(rows)


def _value_by_hand(problem: Problem, value: Tensor) -> tuple[float | None, str | None]:
    if problem.by_hand is None or problem.by_hand.value is None:
        return None, None
    hand, tolerance = problem.by_hand.value, max(problem.by_hand.tolerance, problem.precision)
    apart = (value - hand).abs()
    error = apart.max().item() / max(hand.abs().max().item(), 1e-300)
    if error <= tolerance:
        return error, None
    o = int(apart.argmax())
    where = problem.place(o, 0)
    return error, (
        f"the value itself is wrong: {problem.name_output(o)} is {value[o]:.6g}, by hand {hand[o]:.6g}"
        + (f" ({where})" if where else "")
    )


def _against_hand(j: Jacobians, faults: list[str]) -> tuple[float | None, Element | None]:
    if j.by_hand is None:
        return None, None
    near = j.problem.near_kink
    counted = torch.ones_like(j.autograd, dtype=torch.bool)
    if near is not None:
        counted &= ~near[j.outputs]
    if not counted.any():
        return None, None
    apart = (j.autograd - j.by_hand).abs() * counted
    error = apart.max().item() / max((j.by_hand * counted).abs().max().item(), 1e-300) if apart.any() else 0.0
    if error <= max(j.problem.by_hand.tolerance, j.problem.precision):  # type: ignore[union-attr]
        return error, None
    worst = j.element(_argmax(apart))
    faults.append(
        f"autograd differs from the formulas by hand at {worst.name}: {worst.autograd:.6g}, by hand {worst.by_hand:.6g}"
    )
    return error, worst


def _against_differences(j: Jacobians, faults: list[str]) -> tuple[float, float, Element | None]:
    counted = ~j.excluded
    if not counted.any():
        return 0.0, 0.0, None
    apart = (j.autograd - j.numeric.value).abs() * counted
    size = torch.maximum(j.autograd.abs(), j.numeric.value.abs()).clamp(min=max(1e-3 * j.scale, 1e-300))
    allowed = j.problem.tolerance * size + j.problem.precision * j.scale + j.numeric.error
    at = _argmax(apart / allowed)
    worst = j.element(at)
    if apart[at] > allowed[at]:
        faults.append(
            f"autograd differs from central differences at {worst.name}: "
            f"{worst.autograd:.6g}, differences {worst.differences:.6g} ± {j.numeric.error[at]:.1g}"
        )
    return apart.max().item(), (apart / size).max().item(), worst


def _argmax(values: Tensor) -> tuple[int, int]:
    return divmod(int(values.argmax()), values.shape[1])


def _kinks(j: Jacobians, faults: list[str]) -> Kinks:
    """Count the elements that were left out, and compare the chosen sub-gradients with the one-sided derivatives."""
    if not j.excluded.any():
        return Kinks()
    right, left = j.numeric.right, j.numeric.left
    margin = (
        (right - left).abs() * 1e-3
        + j.problem.tolerance * j.scale
        + 8 * SAFETY * j.numeric.noise / j.numeric.step.min()
    )
    bends = j.excluded & ~j.numeric.jump
    is_right = bends & ((j.autograd - right).abs() <= margin)
    is_left = bends & ~is_right & ((j.autograd - left).abs() <= margin)
    low, high = torch.minimum(right, left) - margin, torch.maximum(right, left) + margin
    outside = bends & ~is_right & ~is_left & ((j.autograd < low) | (j.autograd > high))
    between = bends & ~is_right & ~is_left & ~outside
    jumps = j.excluded & j.numeric.jump
    if j.problem.hull and not j.problem.precision and outside.any():
        bad = j.element(_argmax(outside.double() * (j.autograd - right).abs()))
        faults.append(
            f"no sub-gradient at {bad.name}: {bad.autograd:.6g}, but the one-sided derivatives are "
            f"{bad.left:.6g} and {bad.right:.6g}"
        )
    torn = jumps & (j.autograd != 0)
    if torn.any():
        bad = j.element(_argmax(torn.double() * (right - left).abs()))
        faults.append(f"the function jumps at {bad.name} while its gradient is {bad.autograd:.6g} ({bad.place})")
    shown = outside if outside.any() else (bends if bends.any() else jumps)
    example = j.element(_argmax(shown.double() * (1 + (right - left).abs())))
    counts = (int(kind.sum()) for kind in (j.excluded, is_right, is_left, between, outside, jumps))
    moving = bool((bends & (torch.maximum(right.abs(), left.abs()) > margin)).any())
    return Kinks(*counts, moving=moving, example=example)


def _order(problem: Problem, value: Tensor, seed: int, noise: float, kinks: bool, faults: list[str]) -> float | None:
    """The Taylor slope of ½ Σ w (f - f(x) + r)², r at random: its gradient takes one backward pass through everything."""
    weights = problem.slope_weights
    if weights is not None and not weights.any():
        return None
    reference: Function = problem.reference or problem.function
    point = problem.at.detach()
    if problem.reference:
        point = point.to("cpu", torch.float64)
    start = evaluate(reference, point)
    orders = []
    for attempt in range(3):
        r = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed + attempt), dtype=torch.float64)
        w = torch.ones_like(r) if weights is None else weights
        target = start - r

        def loss(x: Tensor, w: Tensor = w, target: Tensor = target) -> Tensor:
            return 0.5 * (w * (evaluate(reference, x) - target) ** 2).sum()

        gradient = _vjp(problem, w * r).reshape(problem.at.shape).to(point)
        order = slope(
            loss, point, gradient, seed=seed + attempt, reach=problem.reach,
            noise=noise * (w * r).norm().item(), precision=10 * problem.precision,
        )  # fmt: skip
        if order is None:
            return None
        orders.append(order)
        if order > 1.5:
            return order
    if weights is None and kinks:
        return None  # across kinks the remainder is of first order, whatever the gradient
    faults.append(f"the Taylor remainder shrinks with order {max(orders):.2f} instead of 2")
    return max(orders)


def worst_of(results: list[Result]) -> Verdict:
    """The verdict of a group."""
    return max((r.verdict for r in results), key=lambda v: v.rank, default=Verdict.PASS)
