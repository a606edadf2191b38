"""How `stn gradcheck` looks on a terminal: a table that grows stage by stage, and one output pixel spelled out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stn_cli.core.gradients.check import worst_of
from stn_cli.core.gradients.explain import Explanation, Number
from stn_cli.core.gradients.problem import Kinks, Result, Verdict

STYLES = {
    Verdict.PASS: "green",
    Verdict.KINK: "yellow",
    Verdict.VACUOUS: "magenta",
    Verdict.NONDETERMINISTIC: "bold yellow",
    Verdict.FAIL: "bold red",
}
ABOUT = {
    "θ → grid": "the grid generator",
    "grid → V": "the sampler, by its sampling grid",
    "U → V": "the sampler, by its input",
    "θ → L": "the whole module, by θ",
    "U → L": "the whole module, by its input",
}
ABOUT_OUTSIDE = {
    "θ → V": "your code, by θ",
    "U → V": "your code, by its input",
    "parameters → V": "your code, by its parameters",
}
WIDE = 112  # columns from which on the worst element says where it lies


class Report:
    """Prints a stage when the next one begins."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(quiet=quiet, highlight=False)
        self._errors = Console(stderr=True)
        self._status: Any = None
        self._stage = ""
        self._open: list[Result] = []
        self._printed = False
        self._all: list[Result] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """A spinner on stderr, where that is a terminal, until the last check is done."""
        if not self._errors.is_terminal:
            yield
            return
        with self._errors.status("…") as self._status:
            yield
        self._status = None

    def stage(self, name: str) -> None:
        if name != self._stage:
            self._close()
            self._stage = name

    def add(self, result: Result) -> None:
        self._open.append(result)
        self._all.append(result)
        if self._status is not None:
            self._status.update(f"{self._stage}  {result.problem.subject}")

    def _close(self) -> None:
        if self._open:
            if self._printed:
                self.console.print()
            self.console.print(heading(self._stage, self._open))
            self.console.print(table(self._open, self.console.width, header=not self._printed))
            self._printed = True
            self._open = []

    def finish(self, seconds: float) -> None:
        self._close()
        self.console.print()
        for line in remarks(self._all):
            self.console.print(Padding(line, (0, 0, 0, 2)))
        worst = Verdict.FAIL if any(r.failed for r in self._all) else Verdict.PASS
        counts = [(v, sum(r.verdict is v for r in self._all)) for v in Verdict]
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
        self.console.print(
            Text.assemble((f"{worst}", STYLES[worst]), f"  {len(self._all)} checks in {seconds:.1f} s: {told}")
        )


def heading(stage: str, results: list[Result]) -> Text:
    """The stage, what it is, and which settings its rows stand for."""
    settings = [r.problem.settings for r in results]
    parts = []
    for key, many in (("kernel", "kernels"), ("padding", "paddings")):
        values = list(dict.fromkeys(s[key] for s in settings if key in s))
        if values and (key == "padding" or stage.endswith("L")):
            parts.append(values[0] if len(values) == 1 else f"{len(values)} {many}")
    about = ABOUT_OUTSIDE if any("point" in s for s in settings) else ABOUT
    frames = {s["align_corners"] for s in settings if "align_corners" in s}
    if frames:
        parts.append("align_corners " + ("both" if len(frames) > 1 else "yes" if True in frames else "no"))
    text = Text.assemble((stage, "bold"), "  ", (about.get(stage, ""), "dim"))
    return text.append(f" · {' · '.join(parts)}", "dim") if parts else text


def table(results: list[Result], width: int, header: bool) -> Table:
    """One row a family, kernel or point: the worst over its paddings and frames; what is wrong has a row of its own."""
    wide = width >= WIDE
    made = Table(
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="dim",
        width=width,
        show_edge=False,
        show_header=header,
    )
    made.add_column("", width=17, no_wrap=True)
    for title, size in (("tested", 6), ("hand", 5), ("abs", 5), ("rel", 5), ("slope", 5)):
        made.add_column(title, width=size, justify="right", no_wrap=True)
    made.add_column("worst element", ratio=1, overflow="fold")
    made.add_column("", width=16 if wide else 7, no_wrap=True)
    for label, group in _groups(results):
        made.add_row(*_row(label, group, wide))
    return made


def _groups(results: list[Result]) -> list[tuple[str, list[Result]]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        settings = result.problem.settings
        label = result.problem.subject
        if result.problem.stage.endswith("→ V") and "kernel" in settings:
            label = settings["kernel"]
            if result.failed:
                frame = " aligned" if settings["align_corners"] else ""
                label = f"{result.problem.subject}{frame}"
        groups.setdefault(label, []).append(result)
    return list(groups.items())


def _row(label: str, group: list[Result], wide: bool) -> list[Text | str]:
    worst = max(group, key=lambda r: (r.verdict.rank, r.relative if r.relative == r.relative else 0.0))
    hand = [v for r in group for v in (r.by_hand, r.value_by_hand) if v is not None]
    slopes = [r.slope for r in group if r.slope is not None]
    verdict = worst_of(group)
    kinks = sum(r.kinks.count for r in group)
    cell = Text(str(verdict) if wide or len(verdict) <= 8 else "NONDET.", STYLES[verdict])
    if verdict is Verdict.KINK and wide:
        cell.append(f" {kinks}", "dim")
    return [
        f" {label}",
        str(sum(r.checked for r in group)),
        _short(max(hand) if hand else None),
        _short(max((r.absolute for r in group if r.checked), default=None)),
        _short(max((r.relative for r in group if r.checked), default=None)),
        f"{max(slopes, key=lambda s: abs(s - 2)):.2f}" if slopes else "–",
        _element(worst, wide),
        cell,
    ]


def _short(value: float | None) -> str:
    """Five columns: 0, 2e-16, –."""
    if value is None or value != value:
        return "–"
    return "0" if value == 0 else f"{value:.0e}"


def _element(result: Result, wide: bool) -> Text:
    element = result.kinks.example if result.worst is None else result.worst
    if element is None:
        return Text("–")
    text = Text(element.name)
    if wide and element.place:
        text.append(
            "  " + element.place[element.place.find("samples") :]
            if "samples" in element.place
            else f"  {element.place}",
            "dim",
        )
    return text


def remarks(results: list[Result]) -> list[Text]:
    """What the verdicts other than PASS mean, each once."""
    lines = [_failure(r) for r in results if r.verdict is Verdict.FAIL]
    shaky = [r for r in results if r.verdict is Verdict.NONDETERMINISTIC]
    if shaky:
        most = max(r.nondeterminism for r in shaky)
        size = "the size of rounding" if not any(r.failed for r in shaky) else "more than rounding explains"
        lines.append(
            Text.assemble(
                ("NONDETERMINISTIC", STYLES[Verdict.NONDETERMINISTIC]),
                f"  {shaky[0].reason or 'two backward passes differ'}, by up to {most:.0e} of the largest entry: {size}.",
            )
        )
    kinked = [r for r in results if r.kinks.count and r.verdict is not Verdict.FAIL]
    if kinked:
        lines.append(_kinks(kinked))
    vacuous = [r for r in results if r.verdict is Verdict.VACUOUS]
    if vacuous:
        kernels = {r.problem.settings.get("kernel") for r in vacuous}
        why = "nearest has slope zero between its jumps; " if kernels == {"nearest"} else ""
        lines.append(
            Text.assemble(
                ("VACUOUS", STYLES[Verdict.VACUOUS]),
                f"  the gradient is zero everywhere, and so is the function's slope: {why}nothing can be learnt through it.",
            )
        )
    notes = dict.fromkeys(note for r in results for note in r.problem.notes)
    return lines + [Text.assemble(("note", "bold"), f"  {note}.") for note in notes]


def _failure(result: Result) -> Text:
    problem = result.problem
    settings = ", ".join(f"{key} {value}" for key, value in problem.settings.items() if key not in ("family", "point"))
    text = Text.assemble(("FAIL", STYLES[Verdict.FAIL]), f"  {problem.stage}, {problem.subject}")
    text.append(f" ({settings})" if settings else "", "dim")
    text.append(f": {result.reason}.")
    if result.worst is not None and result.worst.place:
        text.append(f" {result.worst.name}: {result.worst.place}.")
    return text


def _kinks(results: list[Result]) -> Text:
    """The count, one example with its one-sided derivatives, and which sub-gradients were chosen."""
    bends = [r.kinks for r in results if r.kinks.count > r.kinks.jumps] or [r.kinks for r in results]
    names = ("count", "right", "left", "between", "outside", "jumps")
    sums: dict[str, Any] = {name: sum(getattr(k, name) for k in bends) for name in names}
    total = Kinks(**sums)
    shown = max(bends, key=lambda k: k.example is not None and bool(k.example.place))
    text = Text.assemble(
        ("KINK", STYLES[Verdict.KINK]), f"  {total.count} elements have no derivative and were left out. "
    )
    if shown.example is not None:
        e = shown.example
        where = f" ({e.place})" if e.place else ""
        text.append(
            f"{e.name}{where}: from the left {e.left:.4g}, from the right {e.right:.4g}, the code takes {e.autograd:.4g}. "
        )
    chosen = [
        f"{count} {name}"
        for name, count in (
            ("the right-hand derivative", total.right), ("the left-hand one", total.left),
            ("a value between", total.between), ("a mix of the two along x and y", total.outside),
            ("at a jump", total.jumps),
        )
        if count
    ]  # fmt: skip
    return text.append(f"Sub-gradients: {', '.join(chosen)}.")


def explanation(e: Explanation) -> str:
    """One output pixel in at most 80 columns."""
    how = f"{e.family.name}, {e.how.kernel}, {e.how.padding}, align_corners {'yes' if e.how.align_corners else 'no'}"
    (x, y), (u, v) = e.pixel, e.normalised
    theta = "  ".join(f"{value:.4f}" for value in e.theta[:8]) + ("  …" if len(e.theta) > 8 else "")
    lines = [
        f"Output pixel ({e.row},{e.column}), V[0,{e.channel},{e.row},{e.column}]: {how}",
        "",
        f"  θ              {theta}",
        f"  target point   (x', y') = ({e.target[0]:.4f}, {e.target[1]:.4f})",
        f"  sample point   (x, y) = ({u:.4f}, {v:.4f}), in pixels ({x:.4f}, {y:.4f})",
        f"  distances      d_x = ⌊x⌋ + 1 - x = {e.d_x:.4f}    d_y = ⌊y⌋ + 1 - y = {e.d_y:.4f}",
        "",
        f"  {'neighbour':<16} {'U[row,col]':<13} {'value':>9}   weight = ∂V/∂U",
    ]
    formulas = ("d_y·d_x", "d_y·(1-d_x)", "(1-d_y)·d_x", "(1-d_y)·(1-d_x)")
    for near, formula in zip(e.neighbours, formulas, strict=True):
        place = f"[{near.row},{near.column}]"
        if near.source is None:
            place += " padding"
        elif near.source != (near.row, near.column):
            place += f" is [{near.source[0]},{near.source[1]}]"
        lines.append(f"  {near.name:<16} {place:<13} {near.value:9.4f}   {formula:<15} = {near.weight:.4f}")
    lines += ["", f"  V = Σ weight · value = {e.V:.6f}        the sampler says {e.V_sampled:.6f}", ""]
    scale_x, scale_y = e.pixels_per_unit
    UL, UR, LL, LR = (near.value for near in e.neighbours)
    lines += [
        "  ∂V/∂x = (1-d_y)·(lower right - lower left) + d_y·(upper right - upper left)",
        f"        = {1 - e.d_y:.4f}·{_signed(LR - LL)} + {e.d_y:.4f}·{_signed(UR - UL)} = {e.to_point[0].by_hand:.6f} a pixel",
        "  ∂V/∂y = (1-d_x)·(lower right - upper right) + d_x·(lower left - upper left)",
        f"        = {1 - e.d_x:.4f}·{_signed(LR - UR)} + {e.d_x:.4f}·{_signed(LL - UL)} = {e.to_point[1].by_hand:.6f} a pixel",
        "",
        f"  ∂V/∂θ = ∂V/∂x · {scale_x:g} · ∂x/∂θ + ∂V/∂y · {scale_y:g} · ∂y/∂θ    (x, y normalised)",
        "",
        f"  {'':<14}{'∂x/∂θ':>9}{'∂y/∂θ':>9}{'by hand':>14}{'autograd':>14}{'differences':>14}",
    ]
    lines += [_number(number, "") for number in e.to_point]
    shown = [k for k in range(len(e.to_theta)) if any(e.point_to_theta[k])] or list(range(len(e.to_theta)))
    for k in shown:
        dx, dy = e.point_to_theta[k]
        lines.append(_number(e.to_theta[k], f"{dx:9.4f}{dy:9.4f}"))
    if len(shown) < len(e.to_theta):
        lines.append(f"  the other {len(e.to_theta) - len(shown)} of θ do not move this point")
    lines += [_number(number, "") for number in e.to_input]
    if any(number.kink for number in (*e.to_point, *e.to_theta)):
        lines += [
            "",
            "  On a kink there is no derivative: the differences straddle it, and the code takes a",
            "  sub-gradient. ⌊x⌋ + 1 as the right neighbour makes it the right-hand one where x is",
            "  exactly an integer; a last digit below it, the left-hand one.",
        ]
    return "\n".join(lines)


def _signed(value: float) -> str:
    return f"{value:.4f}" if value >= 0 else f"({value:.4f})"


def _number(number: Number, middle: str) -> str:
    line = f"  {number.name:<14}{middle:>18}{number.by_hand:14.6f}{number.autograd:14.6f}"
    if number.kink:
        return f"{line}  kink {number.left:.2f} | {number.right:.2f}"
    return f"{line}{number.differences:14.6f}"
