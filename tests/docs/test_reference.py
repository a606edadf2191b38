"""docs/reference.md is the program's own help: complete, up to date, and independent of the terminal."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from docs.make_reference import PAGE, commands, reference
from stn_cli.cli import build

ROOT = Path(__file__).parents[2]
TREE = list(commands(typer.main.get_command(build()), "stn"))


def toy():
    """A small app with one of everything that a help page can say."""
    toy_app, group = typer.Typer(help="A [bold]toy[/bold]."), typer.Typer(help="A group.")

    @toy_app.command()
    def run(
        inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="What to read.")],
        out: Annotated[Path, typer.Option(help="Where to write.")],
        kernel: Annotated[Literal["near", "far"], typer.Option(help="Which.", rich_help_panel="How")] = "far",
        padding: Annotated[Literal["a", "b"] | None, typer.Option(help="P.", show_default="a")] = None,
        when: Annotated[Literal["now", "later"], typer.Option(metavar="WHEN", help="W.")] = "now",
        jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="How many.")] = None,
        share: Annotated[float, typer.Option(min=0, max=1, help="How much.")] = 0.5,
        corners: Annotated[bool, typer.Option("--corners/--edges", help="Where.")] = True,
        dry: Annotated[bool, typer.Option("--dry-run", help="Only look.")] = False,
        secret: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Run it.

        The second
        paragraph.

            toy run a.png --out b.png
        """

    @group.command("say")
    def _say(word: Annotated[str, typer.Argument(help="The word.")] = "hello") -> None:
        """Say a word."""

    toy_app.add_typer(group, name="group")
    return reference(toy_app, "toy")


@pytest.mark.parametrize(
    "expected",
    [
        "A toy.",
        "- [`toy run`](#toy-run): Run it.",
        "```text\ntoy run INPUT... --out PATH [OPTIONS]\n```\n\nRun it.\n\nThe second paragraph.",
        "```sh\ntoy run a.png --out b.png\n```",
        "### Arguments\n\n- **`INPUT...`** (required)  \n  What to read.",
        "- **`--out PATH`** (required)  \n  Where to write.",
        "### How\n\n- **`--kernel near|far`** (default: `far`)  \n  Which.",
        "- **`--padding a|b`** (default: `a`)",
        "- **`--when WHEN`** (one of `now`, `later`; default: `now`)",
        "- **`--jobs, -j N`** (at least 1)",
        "- **`--share NUMBER`** (0 to 1; default: `0.5`)",
        "- **`--corners / --edges`** (default: `--corners`)",
        "- **`--dry-run`**  \n  Only look.",
        "## toy group say\n\n```text\ntoy group say [WORD]\n```",
        "- **`WORD`** (default: `hello`)",
    ],
)
def test_page_says_what_the_app_says(expected):
    assert expected in toy()


def test_hidden_parameters_stay_hidden():
    assert "secret" not in toy()


def test_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == reference(build()), "run `make docs`"


@pytest.mark.parametrize("environment", [{"COLUMNS": "40", "TERM": "dumb"}, {"COLUMNS": "300", "FORCE_COLOR": "1"}])
def test_page_does_not_depend_on_the_terminal(environment):
    check = [sys.executable, str(ROOT / "docs" / "make_reference.py"), "--check"]
    environment = {**os.environ, **environment}
    result = subprocess.run(check, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("name", "command"), TREE, ids=[name for name, _ in TREE])
def test_help_leaves_the_breaking_of_lines_to_the_terminal(name, command):
    for block in (command.help or "").split("\n\n"):
        assert "\n" not in block.strip() or block.startswith(("    ", "\b")), f"{name}: {block}"


@pytest.mark.parametrize(("name", "command"), TREE, ids=[name for name, _ in TREE])
def test_everything_has_a_help_text(name, command):
    assert command.help, f"{name} has no help"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.opts[0]} has no help"
