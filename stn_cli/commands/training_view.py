"""What `stn train-mnist` shows: a bar, a line an epoch, the doctor's alarms, and the table at the end."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from stn_cli.learn.runs import Result
    from stn_cli.learn.training import Plan


def headline(plan: "Plan", data: str, number: int, count: int) -> str:
    from stn_cli.learn.experiment import Entry
    from stn_cli.learn.networks import count as parameters

    name = Entry(plan.design.model, plan.design.family).name
    of = f"[{number}/{count}] ".replace("[", r"\[") if count > 1 else ""
    return f"{of}[bold]{name}[/] on {data} {plan.distortion}, seed {plan.seed}, {parameters(plan.design):,} parameters"


class Progress:
    """A bar of steps, a line an epoch, and the doctor's alarms, each once."""

    def __init__(self, console: "Console", plan: "Plan") -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
        self.console, self.said, self.records = console, set(), 0
        self.bar = Bar(*columns, console=console, transient=True)
        self.task = self.bar.add_task("", total=plan.steps)

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self, done: int, steps: int) -> None:
        self.bar.update(self.task, completed=done, total=steps)

    def epoch(self, record: dict[str, Any]) -> None:
        self.records += 1
        loss = f"loss {record['train_loss']:.4f}  " if "train_loss" in record else " " * 13
        line = f"  epoch {record['epoch']:3d}  {loss}error {100 * record['test_error']:5.2f} %"
        if vitals := record.get("vitals"):
            line += f"  det θ {_number(vitals['det'], '.2f')}  outside {_number(vitals['outside'], '3.0%')}"
            line += f"  ‖∇loc‖ {_number(vitals['gradient'], '.2g')}"
        self.console.print(line, soft_wrap=True)
        for name, alarm in record.get("alarms", {}).items():
            if name not in self.said:
                self.said.add(name)
                self.console.print(f"  [bold red]doctor:[/] {alarm}", soft_wrap=True)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None or value != value else format(value, form)


def tell(console: "Console", data: str, results: "list[Result]") -> None:
    from rich.table import Table

    from stn_cli.learn import paper, report
    from stn_cli.learn.experiment import fewer_errors, summarise

    summaries = summarise(results)
    about = report.sentence(report.setting(data, results))
    distortions = {one.distortion for one in summaries}
    only = f" {next(iter(distortions))}" if len(distortions) == 1 else ""
    table = Table(title=f"Test error in per cent, {data}{only}", caption=f"{about}\npaper: {paper.SETTING}")
    table.add_column("network")
    if not only:
        table.add_column("distortion")
    for name in ("parameters", "seconds", "error", "paper", "rotation left"):
        table.add_column(name, justify="right")
    for one in summaries:
        left = "" if one.left is None else f"{one.left:.1f}° of {one.true:.1f}°"
        known = "" if one.paper is None else f"{one.paper:g}"
        where = () if only else (one.distortion,)
        table.add_row(
            one.entry.name, *where, f"{one.parameters:,}", f"{one.seconds:.0f}", one.error_text(), known, left
        )  # fmt: skip
    console.print(table)
    for distortion, share in fewer_errors(summaries).items():
        word = "fewer" if share >= 0 else "more"
        console.print(f"{distortion}: with the transformer {abs(share):.0%} {word} errors")
