"""The spatial transformer cut into problems: every stage by itself, and end to end.

θ → grid    the grid generator of every family
grid → V    the sampler, with respect to the sampling grid
U → V       the sampler, with respect to the input
θ → L       the whole module into a loss L = ½ Σ w (V - T)², with respect to θ
U → L       the same with respect to U
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from stn_cli.core.coordinates import Size, pixels
from stn_cli.core.families import Family
from stn_cli.core.gradients import hand
from stn_cli.core.gradients.problem import ByHand, Problem, unravel
from stn_cli.core.gradients.setup import CLEAR, Code, Setup, kink_distance, project_grid, sampling
from stn_cli.core.sampling import Sampling


def problems(setup: Setup, code: Code | None = None) -> Iterator[Problem]:
    """All problems of a setup, stage by stage."""
    code = code or Code()
    makers = {"θ → grid": _theta_to_grid, "grid → V": _to_V, "U → V": _to_V, "θ → L": _to_loss, "U → L": _to_loss}
    for stage in setup.stages:
        yield from makers[stage](setup, code, stage)


def _theta_to_grid(setup: Setup, code: Code, stage: str) -> Iterator[Problem]:
    for family in setup.families:
        for align_corners in setup.frames:
            theta = setup.draw_theta(family, setup.batch)
            yield _grid_problem(setup, code, stage, family, theta, setup.out_size, align_corners)
        own = hand.control_frame(family)
        if own is not None:
            # Elsewhere no formula by hand gives the values of these families, but at their control points they are θ.
            yield _grid_problem(setup, code, stage, family, setup.draw_theta(family, setup.batch), *own)


def _grid_problem(
    setup: Setup, code: Code, stage: str, family: Family, theta: Tensor, out_size: Size, align_corners: bool
) -> Problem:
    shape = (theta.shape[0], *out_size, 2)

    def name_output(output: int) -> str:
        n, i, j, axis = unravel(output, shape)
        return f"{'xy'[axis]}[{n},{i},{j}]"

    def place(output: int, index: int) -> str:
        _, i, j, _ = unravel(output, shape)
        return f"target pixel ({i},{j})"

    by_hand = hand.grid_generator(family, theta, out_size, align_corners)
    return Problem(
        stage=stage,
        subject=family.name,
        function=lambda t: code.grid(family, t, out_size, align_corners),
        at=theta.to(setup.grid_dtype).to(setup.device),
        name_output=name_output,
        name_input=theta_namer(family),
        place=place,
        reference=None if setup.exact else lambda t: code.grid(family, t, out_size, align_corners),
        by_hand=by_hand and replace(by_hand, tolerance=_tolerance(setup)),
        tolerance=setup.tolerance,
        precision=setup.precision,
        settings={"family": family.name, "align_corners": align_corners, "out_size": list(out_size)},
        notes=_notes(setup),
    )


def _to_V(setup: Setup, code: Code, stage: str) -> Iterator[Problem]:
    U = setup.draw_U()
    in_size: Size = (U.shape[2], U.shape[3])
    for kernel in setup.kernels:
        for padding in setup.paddings:
            for align_corners in setup.frames:
                how = sampling(kernel, padding, align_corners, U.shape[1])
                grid = setup.draw_grid(U.shape[0], align_corners)
                points = pixels(grid, in_size, align_corners)
                yield _V_problem(setup, code, stage, U, grid, points, how)


def _V_problem(setup: Setup, code: Code, stage: str, U: Tensor, grid: Tensor, points: Tensor, how: Sampling) -> Problem:
    wrt = "U" if stage.startswith("U") else "grid"
    shape = (*U.shape[:2], *grid.shape[1:3])
    low_U = U.to(setup.dtype).to(setup.device)
    low_grid = grid.to(setup.grid_dtype).to(setup.device)

    def name_input(index: int) -> str:
        if wrt == "U":
            return f"U[{','.join(map(str, unravel(index, tuple(U.shape))))}]"
        n, i, j, axis = unravel(index, tuple(grid.shape))
        return f"{'xy'[axis]}[{n},{i},{j}]"

    def place(output: int, index: int) -> str:
        n, _, i, j = unravel(output, shape)
        x, y = (points[n, i, j].round(decimals=3) + 0.0).tolist()  # no -0.000
        return f"output pixel ({i},{j}) samples ({x:.3f}, {y:.3f})"

    distance = kink_distance(points, how.kernel)[:, None].expand(shape).reshape(-1)
    by_hand = hand.sampler(U, grid, how, wrt=wrt)
    if wrt == "U":
        function: Callable[[Tensor], Tensor] = lambda u: code.sample(u, low_grid, how)  # noqa: E731
        reference: Callable[[Tensor], Tensor] = lambda u: code.sample(u, grid, how)  # noqa: E731
    else:
        function = lambda g: code.sample(low_U, g, how)  # noqa: E731
        reference = lambda g: code.sample(U, g, how)  # noqa: E731
    return Problem(
        stage=stage,
        subject=f"{how.kernel} {how.padding}",
        function=function,
        at=low_U if wrt == "U" else low_grid,
        name_output=lambda output: f"V[{','.join(map(str, unravel(output, shape)))}]",
        name_input=name_input,
        place=place,
        reference=None if setup.exact else reference,
        by_hand=by_hand and replace(by_hand, tolerance=_tolerance(setup)),
        near_kink=distance < setup.kink_radius if wrt == "grid" or how.kernel == "nearest" else None,
        slope_weights=(distance > CLEAR).double() if wrt == "grid" else None,
        reach=1.0 if wrt == "U" else CLEAR * 1.8 / max(U.shape[2:]),
        hull=True,
        tolerance=setup.tolerance,
        precision=setup.precision,
        settings={"kernel": how.kernel, "padding": how.padding, "align_corners": how.align_corners},
        notes=_notes(setup),
    )


def _to_loss(setup: Setup, code: Code, stage: str) -> Iterator[Problem]:
    U = setup.draw_U()
    for family in setup.families:
        for kernel in setup.whole_kernels:
            for padding in setup.whole_paddings:
                for align_corners in setup.frames:
                    how = sampling(kernel, padding, align_corners, U.shape[1])
                    yield _loss_problem(setup, code, stage, U, family, how)


def _loss_problem(setup: Setup, code: Code, stage: str, U: Tensor, family: Family, how: Sampling) -> Problem:
    wrt = "U" if stage.startswith("U") else "theta"
    theta = setup.draw_theta(family, U.shape[0])
    grid = project_grid(family, theta, setup.out_size, how.align_corners)
    points = pixels(grid, (U.shape[2], U.shape[3]), how.align_corners)
    shape = (*U.shape[:2], *setup.out_size)
    generator = setup.generator().manual_seed(setup.seed + 2)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    clear = (kink_distance(points, how.kernel) > CLEAR).double()
    all_kinks = not clear.any()
    weights = torch.ones(shape, dtype=torch.float64) if all_kinks else clear[:, None].expand(shape)

    def loss(U: Tensor, theta: Tensor) -> Tensor:
        V = code.whole(U, theta, family, setup.out_size, how)
        V = V.double() if V.element_size() < 8 and V.device.type != "mps" else V
        return 0.5 * (weights.to(V) * (V - target.to(V)) ** 2).sum()

    low_U = U.to(setup.dtype).to(setup.device)
    low_theta = theta.to(setup.dtype).to(setup.device)
    by_hand = hand.loss(U, theta, family, setup.out_size, how, weights, target, wrt=wrt)
    if wrt == "U":
        function: Callable[[Tensor], Tensor] = lambda u: loss(u, low_theta)  # noqa: E731
        reference: Callable[[Tensor], Tensor] = lambda u: loss(u, theta)  # noqa: E731
    else:
        function = lambda t: loss(low_U, t)  # noqa: E731
        reference = lambda t: loss(U, t)  # noqa: E731
    return Problem(
        stage=stage,
        subject=family.name,
        function=function,
        at=low_U if wrt == "U" else low_theta,
        name_output=lambda output: "L",
        name_input=theta_namer(family)
        if wrt == "theta"
        else lambda i: f"U[{','.join(map(str, unravel(i, tuple(U.shape))))}]",
        reference=None if setup.exact else reference,
        by_hand=_only_value(by_hand, wrt == "theta" and all_kinks),
        slope_weights=torch.tensor([0.0 if wrt == "theta" and all_kinks else 1.0], dtype=torch.float64),
        reach=1.0 if wrt == "U" else CLEAR / (4 * max(U.shape[2:])),
        tolerance=setup.tolerance,
        precision=4 * setup.precision,
        settings={
            "family": family.name,
            "kernel": how.kernel,
            "padding": how.padding,
            "align_corners": how.align_corners,
        },
        notes=_notes(setup),
    )


def _only_value(by_hand: ByHand | None, all_kinks: bool) -> ByHand | None:
    """Where every sample lies on a kink, rounding decides on which side, and so which sub-gradient is taken."""
    return replace(by_hand, rows=None) if by_hand is not None and all_kinks else by_hand


def _tolerance(setup: Setup) -> float:
    """For the formulas by hand: coordinates carry rounding as large as the image is wide."""
    return max(1e-12, 64 * torch.finfo(torch.float64).eps * max(*setup.in_size, *setup.out_size))


def _notes(setup: Setup) -> tuple[str, ...]:
    if setup.dtype in (torch.float16, torch.bfloat16):
        name = str(setup.dtype).removeprefix("torch.")
        return (f"U and θ are {name}; the grid and the sampler compute in float32",)
    return ()


def theta_namer(family: Family) -> Callable[[int], str]:
    """Names of the entries of θ (N, size), flattened, as the paper writes them: θ₁₃."""
    subscripts = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

    def name(index: int) -> str:
        _, k = divmod(index, family.size)
        parameter = family.parameter_names[k]
        return parameter.translate(subscripts) if parameter.startswith("θ") else parameter

    return name
