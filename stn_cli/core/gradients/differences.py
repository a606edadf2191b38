"""Central differences whose step is chosen element by element, and the places where there is no derivative.

For each element of a Jacobian the function is read at x ± h for a ladder of steps h. Three things follow:

- *Noise.* f is computed with an absolute error η, measured from a difference table (Moré and Wild, "Estimating
  computational noise", 2011): a quotient over 2h carries η/h of it, so small steps are bad.
- *Truncation.* Large steps are bad where f is curved or a kink lies within reach. The step taken is the largest whose
  quotient agrees, within the noise, with those of all smaller steps (Lepski's rule); no derivative of f need be known.
- *Kinks.* With r and l the one-sided quotients, r - l = h·f'' + O(h³) where f is smooth: an eighth of the step leaves an
  eighth. What does not shrink so is a kink within the smallest step; what grows is a jump.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, log2

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Function = Callable[[Tensor], Tensor]

STEPS: tuple[float, ...] = tuple(2.0**-k for k in (6, 9, 12, 15, 18, 21))
SAFETY = 4.0  # how many times the estimated noise two quotients may differ before it counts


@dataclass(frozen=True)
class Differences:
    """∂(outputs)/∂(inputs) by differences, one row an input and one column an output; float64 on the CPU."""

    value: Float[Tensor, "inputs outputs"]
    """the central quotient at the step that was chosen"""
    error: Float[Tensor, "inputs outputs"]
    """a bound on what noise and truncation may have put into `value`"""
    step: Float[Tensor, "inputs outputs"]
    right: Float[Tensor, "inputs outputs"]
    """one-sided derivatives, at the smallest step"""
    left: Float[Tensor, "inputs outputs"]
    kink: Bool[Tensor, "inputs outputs"]
    """no derivative here: a kink or a jump within the smallest step"""
    jump: Bool[Tensor, "inputs outputs"]
    noise: float
    """η: the absolute error with which f is computed"""


def evaluate(function: Function, x: Tensor) -> Float[Tensor, " outputs"]:
    """f(x), flattened, float64 on the CPU, outside autograd."""
    with torch.no_grad():
        return function(x).detach().to("cpu", torch.float64).reshape(-1)


def scale_of(x: Tensor) -> float:
    """The unit of the steps: 1, or the largest entry of x where that is larger (images in 0…255)."""
    return max(1.0, x.detach().abs().max().item()) if x.numel() else 1.0


def differences(
    function: Function,
    x: Tensor,
    inputs: list[int],
    outputs: list[int],
    *,
    seed: int = 0,
    steps: tuple[float, ...] = STEPS,
) -> Differences:
    """The Jacobian entries of `outputs` with respect to `inputs` (flat indices) of `function` at x."""
    noise = measure_noise(function, x, seed)
    steps = tuple(h * scale_of(x) for h in steps)
    right, left = quotients(function, x, inputs, outputs, steps)
    central = (right + left) / 2
    per_step = torch.tensor([noise / h for h in steps], dtype=torch.float64).reshape(-1, 1, 1)

    kink, jump = _kinks(right - left, steps, per_step[-1].item())
    chosen = _largest_consistent(central, per_step)
    value = central.gather(0, chosen[None])[0]
    ladder = torch.tensor(steps, dtype=torch.float64)
    # Agreement with the next smaller step, an eighth, leaves a bias of up to 8/7 · SAFETY · (1 + 8) noises.
    error = 12 * SAFETY * (noise / ladder)[chosen]
    # No smaller step vouches for the smallest: its bias is bounded by that of the step before.
    error += (chosen == len(steps) - 1) * (central[-1] - central[-2]).abs() / 3
    return Differences(value, error, ladder[chosen], right[-1], left[-1], kink, jump, noise)


def quotients(
    function: Function, x: Tensor, inputs: list[int], outputs: list[int], steps: tuple[float, ...]
) -> tuple[Float[Tensor, "steps inputs outputs"], Float[Tensor, "steps inputs outputs"]]:
    """(f(x + h) - f(x))/h and (f(x) - f(x - h))/h; h is what x really moved by after rounding."""
    x = x.detach()
    pick = torch.tensor(outputs, dtype=torch.long)
    centre = evaluate(function, x)[pick]
    right = torch.empty(len(steps), len(inputs), len(outputs), dtype=torch.float64)
    left = torch.empty_like(right)
    moved = x.clone(memory_format=torch.contiguous_format)
    flat = moved.view(-1)
    for k, index in enumerate(inputs):
        here = flat[index].item()
        for s, h in enumerate(steps):
            for sign, into in ((1.0, right), (-1.0, left)):
                flat[index] = here + sign * h
                way = flat[index].item() - here
                into[s, k] = (evaluate(function, moved)[pick] - centre) / way
        flat[index] = here
    return right, left


def _kinks(gap: Tensor, steps: tuple[float, ...], noise: float) -> tuple[Tensor, Tensor]:
    """Where r - l does not shrink with the step over the last three steps, and where it grows."""
    ratio = steps[-1] / steps[-2]
    wrong = torch.maximum((gap[-1] - gap[-2] * ratio).abs(), (gap[-2] - gap[-3] * ratio).abs())
    kink = wrong > 4 * SAFETY * noise
    jump = kink & (gap[-1].abs() > 2 * gap[-2].abs()) & (gap[-1].abs() > 4 * SAFETY * noise)
    return kink, jump


def _largest_consistent(central: Tensor, noise: Tensor) -> Tensor:
    """Index of the largest step whose quotient agrees with those of all smaller steps that were accepted."""
    last = central.shape[0] - 1
    chosen = torch.full(central.shape[1:], last, dtype=torch.long)
    open_ = torch.ones_like(chosen, dtype=torch.bool)
    for i in range(last - 1, -1, -1):
        apart = (central[i] - central[i + 1 :]).abs()
        open_ &= (apart <= SAFETY * (noise[i] + noise[i + 1 :])).all(0)
        chosen = torch.where(open_, i, chosen)
    return chosen


def measure_noise(function: Function, x: Tensor, seed: int = 0) -> float:
    """η: the noise in f, from third differences along one random line, never below a few roundings of f itself.

    Two spacings: a fine one, where f is straight, for arithmetic in x's precision; a coarse one that still sees the
    staircase of a function computed in float32 inside. The line starts a little off x, where there may be a kink.
    """
    x = x.detach()
    generator = torch.Generator().manual_seed(seed)
    way = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
    way = way / way.abs().max().clamp(min=1e-300)
    found = [4 * torch.finfo(torch.float64).eps * max(evaluate(function, x).abs().max().item(), 1e-300)]
    for spacing in (2.0**-44, 2.0**-24):
        table = torch.stack([evaluate(function, x + k * spacing * scale_of(x) * way) for k in range(1, 9)])
        order = 3
        for _ in range(order):
            table = table[1:] - table[:-1]
        rms = (table**2).mean(0).div(comb(2 * order, order)).sqrt()
        rms = rms[rms > 0]
        if rms.numel():
            found.append(4 * rms.quantile(0.5).item())
    return max(found)


def slope(
    function: Function,
    x: Tensor,
    gradient: Tensor,
    *,
    seed: int = 0,
    reach: float = 2.0**-5,
    noise: float = 0.0,
    precision: float = 0.0,
) -> float | None:
    """The order of the Taylor remainder |f(x + t·d) - f(x) - t·⟨∇f, d⟩| of a scalar f in t: 2 if ∇f is right, 1 if not.

    It tests all entries of ∇f at once, along a random direction d, and depends on no single step: t is halved from
    `reach` down to where the remainder drowns in the `noise` of f, and the slope is fitted to the last octaves above that.
    A gradient known to a relative `precision` only is not asked for more. None where f is straight along d, so that
    there is no remainder to measure.
    """
    x = x.detach()
    generator = torch.Generator().manual_seed(seed)
    way = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
    way = way * (scale_of(x) / way.abs().max())
    size = (gradient.detach().abs().to(way.device) * way.abs()).sum().item()
    along = (gradient.detach().to(way.device) * way).sum().item()
    centre = evaluate(function, x)[0].item()
    points = []
    for k in range(32):
        t = reach * 2.0**-k
        there = evaluate(function, x + t * way)[0].item()
        remainder = abs(there - centre - t * along)
        floor = 512 * max(noise, 2 * torch.finfo(torch.float64).eps * max(abs(there), abs(centre)))
        if remainder <= floor + precision * t * size:
            break
        points.append((log2(t), log2(remainder)))
    if len(points) < 3:
        return None
    tail = torch.tensor(points[-6:], dtype=torch.float64)
    t_, remainders = (tail - tail.mean(0)).unbind(1)
    return ((t_ * remainders).sum() / (t_ * t_).sum()).item()
