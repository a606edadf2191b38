"""`stn gradcheck`: are the gradients right, and where not?"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stn_cli.commands.gradcheck_options import LONGEST, How, Own, Reports, What, Where
from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import bounded
from stn_cli.commands.options import size as parse_size
from stn_cli.errors import MissingError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from stn_cli.core.gradients.outside import Outside
    from stn_cli.core.gradients.problem import Problem, Result
    from stn_cli.core.gradients.setup import Setup

MOST_PIXELS = 256 * 256  # of U: each difference takes two evaluations, and there are hundreds for a stage
MOST_NUMBERS = 1_000_000  # of the input of a user's own code
LARGE = 2048  # numbers in U or V beyond which fewer elements are compared one by one


@with_groups
def gradcheck(what: What, where: Where, how: How, own: Own, reports: Reports) -> None:
    """Check gradients three ways: by hand, by autograd, by differences.

    Every stage is checked by itself and end to end, and each row of the table names its worst element. The exit code is 0
    when nothing fails, 1 when something does, 2 for options that are wrong.

    tested: elements compared one by one. hand: largest difference from the formulas by hand, relative. abs, rel: largest
    differences from central differences. slope: the order of the Taylor remainder, 2 for a right gradient.

    KINK: some elements have no derivative (their samples lie on a kink); they are counted and left out. VACUOUS: the
    gradient is zero everywhere, as with the nearest kernel. NONDETERMINISTIC: two backward passes differ.

    \b
        stn gradcheck
        stn gradcheck --theta "1 0 0 0 1 0" --kernel bilinear
        stn gradcheck --family affine --explain 1,2
        stn gradcheck --module package.module:callable --input 2,3,16,16 --theta-size 6
    """
    _together(what, where, own, reports)
    for option, path in (("--heatmap", reports.heatmap), ("--sweep", reports.sweep)):
        if path is not None and path.suffix.lower() != ".png":
            raise OptionError(option, path, "a name that ends in .png")
    _device(how.device)
    with _one_thread():
        _dispatch(what, where, how, own, reports)


def _dispatch(what: What, where: Where, how: How, own: Own, reports: Reports) -> None:
    if own.module is not None:
        outside = _outside(own, where, how)
        _run(_outside_problems(outside), reports, _settings(own.module, where, how), outside=outside)
    elif what.net is not None:
        outside = _net(what.net, where, how)
        _run(_outside_problems(outside), reports, _settings(what.net, where, how), outside=outside, limit=64)
    else:
        setup = _setup(what, where, how)
        if reports.explain is not None:
            _explain(setup, reports.explain)
            return
        _run(_own_problems(setup), reports, _settings("stn", where, how), setup=setup)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tens of thousands of tiny tensors: a second thread only costs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _together(what: What, where: Where, own: Own, reports: Reports) -> None:
    """Options that exclude each other, or need each other."""
    if own.module is None:
        for option, value in (("--input", own.input), ("--theta-size", own.theta_size)):
            if value is not None:
                raise OptionError(option, value, "goes with --module")
    elif own.input is None and where.image is None:
        raise OptionError("--input", "missing", "the shape of U for --module, such as 2,3,16,16")
    subject = "--module" if own.module is not None else "--net" if what.net is not None else None
    if subject is None:
        return
    others: list[tuple[str, Any]] = [
        ("--family", what.family), ("--kernel", what.kernel), ("--padding", what.padding),
        ("--align-corners", what.align_corners), ("--explain", reports.explain), ("--size", where.size),
    ]  # fmt: skip
    others += [("--net", what.net)] if subject == "--module" else [("--theta", where.theta)]
    for option, value in others:
        if value is not None:
            raise OptionError(option, value, f"does not go with {subject}")


def _device(device: str) -> None:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        raise MissingError(f"--device {device}: this machine has none that torch can use")


def _setup(what: What, where: Where, how: How) -> "Setup":
    import torch

    from stn_cli.core.gradients.setup import Setup, family_to_check

    setup = Setup(
        dtype=getattr(torch, how.dtype), device=how.device, seed=where.seed, tolerance=how.tolerance,
        frames=(False, True) if what.align_corners is None else (what.align_corners,),
    )  # fmt: skip
    if what.family is not None:
        setup = replace(setup, families=(family_to_check(what.family),))
    if where.theta is not None:
        from stn_cli.core.transformation import Transformation
        from stn_cli.core.words import numbers

        values = numbers("--theta", where.theta, "finite numbers, such as 1 0 0 0 1 0")
        made = Transformation.from_numbers(values, what.family)
        setup = replace(setup, families=(made.family,), theta=torch.from_numpy(made.theta.copy())[None])
    if what.kernel is not None:
        setup = replace(setup, kernels=(what.kernel,), whole_kernels=(what.kernel,))
    if what.padding is not None:
        setup = replace(setup, paddings=(what.padding,), whole_paddings=(what.padding,))
    size = (
        bounded("--size", parse_size("--size", where.size), MOST_PIXELS, limit="") if where.size is not None else None
    )
    if where.image is not None:
        image = _image(where.image, size)
        size = (image.shape[2], image.shape[3])
        return replace(setup, image=image, in_size=size, out_size=size, batch=1, channels=image.shape[1])
    if size is not None:
        setup = replace(setup, in_size=size, out_size=(max(1, size[0] - 1), size[1] + 1))
    if where.theta is not None:
        setup = replace(setup, out_size=setup.in_size)
    return setup


def _image(path: Path, size: tuple[int, int] | None) -> "Tensor":
    """(1, C, H, W), float64 in [0, 1], without alpha."""
    import torch
    from torch.nn import functional as F

    from stn_cli.errors import FileError
    from stn_cli.folders.codecs import read
    from stn_cli.folders.preview import preview

    try:
        pixels = preview(read(path).frames[0])
    except FileError as error:
        raise OptionError("--image", error.path, error.reason) from None
    colours = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    U = torch.from_numpy(colours.copy()).permute(2, 0, 1)[None].double() / 255
    height, width = U.shape[2:]
    if size is None:
        shrink = min(1.0, LONGEST / max(height, width))
        size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    return F.interpolate(U, size, mode="bilinear", antialias=True, align_corners=False)


def _outside(own: Own, where: Where, how: How) -> "Outside":
    from torch import nn

    from stn_cli.commands.user_code import load
    from stn_cli.core.gradients.outside import Outside

    assert own.module is not None
    theta_shape = _shape("--theta-size", own.theta_size, (1, 2)) if own.theta_size is not None else None
    if where.image is not None:
        if own.input is not None:
            raise OptionError("--input", own.input, "--image gives the shape of U")
        U = _image(where.image, None)
    else:
        U = None
    shape = tuple(U.shape) if U is not None else _shape("--input", own.input or "", (2, 3, 4, 5))
    call = load("--module", own.module)
    if theta_shape is None and not isinstance(call, nn.Module):
        raise OptionError("--theta-size", "missing", f"{own.module} is a function of (U, θ): give the shape of θ")
    if how.device == "cpu" and how.dtype in ("float16", "bfloat16"):
        raise OptionError(
            "--dtype",
            how.dtype,
            "on the CPU torch's own grid_sample gives NaN or crashes in half precision; use float32",
        )
    return Outside(
        own.module, call, shape, theta_shape, U=U, theta=_own_theta(where.theta, theta_shape),
        **_arithmetic(where, how),
    )  # fmt: skip


def _own_theta(text: str | None, shape: tuple[int, ...] | None) -> "Tensor | None":
    if text is None:
        return None
    import torch

    from stn_cli.core.words import numbers

    values = numbers("--theta", text, "finite numbers")
    if shape is None or len(values) != prod(shape):
        raise OptionError("--theta", f"{len(values)} numbers", f"--theta-size says {prod(shape) if shape else 'none'}")
    return torch.tensor([values], dtype=torch.float64)


def _net(net: str, where: Where, how: How) -> "Outside":
    from stn_cli.core.gradients.outside import Outside
    from stn_cli.errors import FileError
    from stn_cli.learn import checkpoint
    from stn_cli.learn.theta_net import NETS, shipped

    try:
        found = checkpoint.load(NETS / f"{net}.safetensors" if net in shipped() else Path(net))
    except FileError as error:
        raise OptionError(
            "--net", error.path, f"{error.reason}; shipped are {', '.join(shipped()) or 'none'}"
        ) from None
    if found.net.transformer is None:
        raise OptionError("--net", net, f"{found.name}: it has no spatial transformer")
    side = found.net.design.in_size
    if where.image is not None:
        U = _image(where.image, (side, side)).mean(1, keepdim=True)
    else:
        import torch

        generator = torch.Generator().manual_seed(where.seed)
        U = torch.rand(1, 1, side, side, generator=generator, dtype=torch.float64)
    return Outside(found.name, found.net.transformer, tuple(U.shape), U=U, **_arithmetic(where, how))


def _arithmetic(where: Where, how: How) -> dict[str, Any]:
    import torch

    return {"dtype": getattr(torch, how.dtype), "device": how.device, "seed": where.seed, "tolerance": how.tolerance}


def _shape(option: str, text: str, lengths: tuple[int, ...]) -> tuple[int, ...]:
    parts = text.replace("x", ",").split(",")
    counts = " or ".join(map(str, lengths))
    if len(parts) not in lengths or not all(p.strip().isdecimal() and 1 <= int(p) <= 4096 for p in parts):
        raise OptionError(option, text, f"{counts} whole numbers from 1 to 4096 with commas between them")
    shape = tuple(int(p) for p in parts)
    if prod(shape) > MOST_NUMBERS:
        raise OptionError(option, text, f"at most {MOST_NUMBERS:,} numbers in all")
    return shape


def _settings(subject: str, where: Where, how: How) -> dict[str, Any]:
    return {
        "subject": subject,
        "dtype": how.dtype,
        "device": how.device,
        "seed": where.seed,
        "tolerance": how.tolerance,
        "theta": where.theta,
        "image": None if where.image is None else where.image.as_posix(),
    }


def _own_problems(setup: "Setup") -> "Iterator[Problem]":
    from stn_cli.core.gradients.stages import problems

    return problems(setup)


def _outside_problems(outside: "Outside") -> "Iterator[Problem]":
    from stn_cli.core.gradients.outside import problems

    return problems(outside)


def _run(
    problems: "Iterator[Problem]",
    reports: Reports,
    settings: dict[str, Any],
    *,
    setup: "Setup | None" = None,
    outside: "Outside | None" = None,
    limit: int = 256,
) -> None:
    """Check, stage by stage; print, write, draw; exit with 1 where something failed."""
    from json import dumps

    from stn_cli.commands.gradcheck_files import draw_heatmap, draw_sweep, write
    from stn_cli.commands.gradcheck_table import Report
    from stn_cli.core.gradients.check import check
    from stn_cli.core.gradients.record import record

    printed = str(reports.json) == "-"
    report = Report(quiet=printed)
    started = time.perf_counter()
    results: list[Result] = []
    with report.running():
        for problem in problems:
            report.stage(problem.stage)
            large = problem.at.numel() > LARGE
            results.append(check(problem, seed=settings["seed"], limit=min(limit, 64) if large else limit))
            report.add(results[-1])
    report.finish(time.perf_counter() - started)
    text = dumps(record(results, settings), indent=2, ensure_ascii=False) + "\n"
    if printed:
        typer.echo(text, nl=False)
    elif reports.json is not None:
        write("--json", reports.json, text.encode())
    if reports.heatmap is not None:
        draw_heatmap(reports.heatmap, setup, outside)
    if reports.sweep is not None:
        draw_sweep(reports.sweep, setup, outside)
    for path in (reports.json, reports.heatmap, reports.sweep):
        if path is not None and not printed:
            typer.echo(path)
    if any(result.failed for result in results):
        raise typer.Exit(1)


def _explain(setup: "Setup", text: str) -> None:
    from stn_cli.commands.gradcheck_table import explanation
    from stn_cli.core.gradients.explain import explain

    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise OptionError("--explain", text, "ROW,COLUMN of an output pixel, such as 1,2")
    typer.echo(explanation(explain(setup, int(parts[0]), int(parts[1]))))
