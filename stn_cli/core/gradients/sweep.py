"""Error against step size, and error per output pixel: the data behind --sweep and --heatmap."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stn_cli.core.coordinates import pixels
from stn_cli.core.gradients.check import Jacobians, jacobians
from stn_cli.core.gradients.differences import differences, evaluate, quotients, scale_of
from stn_cli.core.gradients.problem import Problem
from stn_cli.core.gradients.setup import Code, Setup, kink_distance, sampling

SWEEP = tuple(2.0**-k for k in range(2, 47, 2))


@dataclass(frozen=True)
class Curve:
    """|difference quotient - autograd| over the steps, relative to the largest entry, and the steps that were taken."""

    name: str
    steps: Float[Tensor, " steps"]
    worst: Float[Tensor, " steps"]
    taken: Float[Tensor, " elements"]
    """the step of each element"""
    reached: Float[Tensor, " elements"]
    """the error there"""


def curve(problem: Problem, *, seed: int = 0, limit: int = 48) -> Curve | None:
    """The V-shaped curve of one problem; None where its gradient is zero or all of it lies on kinks."""
    j: Jacobians = jacobians(problem, seed=seed, limit=limit)
    telling = (j.autograd != 0) & ~j.excluded
    if not telling.any():
        return None
    reference = problem.reference or problem.function
    at = problem.at.detach()
    at = at.to("cpu", torch.float64) if problem.reference else at
    steps = tuple(h * scale_of(at) for h in SWEEP)
    right, left = quotients(reference, at, j.inputs, j.outputs, steps)
    # An error of nothing at all has no place on a logarithmic axis: half a rounding stands for it.
    floor = torch.finfo(torch.float64).eps / 2
    errors = (((right + left) / 2 - j.autograd).abs()[:, telling] / j.scale).clamp(min=floor)
    reached = ((j.numeric.value - j.autograd).abs()[telling] / j.scale).clamp(min=floor)
    name = f"{problem.stage}  {problem.subject}"
    return Curve(name, torch.tensor(steps), errors.amax(1), j.numeric.step[telling], reached)


@dataclass(frozen=True)
class PixelErrors:
    """Of the first image, all (H', W'): what was sampled, how wrong ∂V/∂(x, y) is there, and where it has no value."""

    V: Float[Tensor, "channels height width"]
    error: Float[Tensor, "height width"]
    """largest |autograd - differences| over channels and axes, relative to the largest entry"""
    kink: Bool[Tensor, "height width"]
    subject: str


def pixel_errors(setup: Setup, code: Code | None = None) -> PixelErrors:
    """∂V/∂x and ∂V/∂y of the sampler at every output pixel, through the grid of the setup's first family.

    An output pixel depends on its own sample point alone, so that moving all points together by x, then by y, gives
    every derivative at once; the backward pass likewise, one channel at a time.
    """
    code = code or Code()
    family, U = setup.families[0], setup.draw_U()[:1]
    kernel, padding, frame = setup.whole_kernels[0], setup.whole_paddings[0], setup.frames[0]
    how = sampling(kernel, padding, frame, U.shape[1])
    grid = code.grid(family, setup.draw_theta(family, 1), setup.out_size, frame).to(setup.grid_dtype).double()
    shape = (U.shape[1], *setup.out_size)

    def moved(by: Tensor) -> Tensor:
        return code.sample(U, grid + by, how)

    low_grid = grid.to(setup.grid_dtype).to(setup.device).requires_grad_()
    V = code.sample(U.to(setup.dtype).to(setup.device), low_grid, how)
    gradient = torch.stack([
        torch.autograd.grad(V[:, c].sum(), low_grid, retain_graph=True)[0][0] for c in range(U.shape[1])
    ]) if V.requires_grad else torch.zeros(*shape, 2)  # fmt: skip
    gradient = gradient.detach().to("cpu", torch.float64)
    count = U.shape[1] * setup.out_size[0] * setup.out_size[1]
    numeric = differences(moved, torch.zeros(2, dtype=torch.float64), [0, 1], list(range(count)), seed=setup.seed)
    slopes = numeric.value.T.reshape(*shape, 2)
    distance = kink_distance(pixels(grid, (U.shape[2], U.shape[3]), frame), kernel)[0]
    kink = numeric.kink.T.reshape(*shape, 2).any(-1).any(0) | (distance < setup.kink_radius)
    scale = max((slopes * ~kink[None, ..., None]).abs().max().item(), 1e-300)
    error = (gradient - slopes).abs().amax(-1).amax(0) / scale
    subject = f"∂V/∂(x, y), {family.name}, {kernel}, {padding}"
    return PixelErrors(V.detach().cpu().double()[0], error * ~kink, kink, subject)


def pixel_errors_of(problem: Problem, *, seed: int = 0) -> PixelErrors:
    """The same for any θ → V problem: the largest error over all parameters, one backward pass an output."""
    V = problem.function(problem.at.detach()).detach()
    shape = (V.shape[1:]) if V.ndim == 4 else (1, 1, V.numel())
    first = list(range(shape[0] * shape[1] * shape[2]))
    j = jacobians(problem, seed=seed, outputs=first)
    wrong = ((j.autograd - j.numeric.value).abs() * ~j.excluded).amax(0).reshape(shape) / max(j.scale, 1e-300)
    kink = j.excluded.any(0).reshape(shape).any(0)
    values = evaluate(problem.function, problem.at)[first].reshape(shape)
    return PixelErrors(values, wrong.amax(0), kink, f"{problem.stage}, {problem.subject}")


def telling(found: Iterable[Problem], most: int = 4) -> list[Problem]:
    """A few problems whose curves differ: those of θ and of the grid, the first of each stage and kernel.

    Where θ → grid is linear there is no truncation, and the curve is no V: the projective family stands for that stage.
    """
    chosen: dict[tuple[str, str], Problem] = {}
    for problem in found:
        if problem.stage.startswith("U"):
            continue
        key = (problem.stage, problem.settings.get("kernel", ""))
        if key not in chosen or (problem.stage == "θ → grid" and problem.subject == "projective"):
            chosen[key] = problem
    return [p for p in chosen.values() if p.settings.get("kernel") != "nearest"][:most]
