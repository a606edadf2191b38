"""Writes docs/reference.md from the Typer app: every command, argument and option, as the help pages say it.

    python docs/make_reference.py            # writes docs/reference.md
    python docs/make_reference.py --check    # exit code 1 if it is out of date

Nothing is measured on a terminal, so the page is the same at every width and with or without colours.
"""

import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer
from rich.markup import render as markup

PAGE = Path(__file__).parent / "reference.md"
INTRODUCTION = """\
# Command reference

Generated from the program's own help by `make docs`; a test keeps it up to date. `stn COMMAND --help` shows the same.
Options may stand before or after the arguments. `-h` and `--help` work everywhere and are not repeated below, nor are
`stn --install-completion` and `stn --show-completion`, which set up your shell.
"""
NOT_REPEATED = {"help", "install_completion", "show_completion"}
KINDS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(full name, command) of `command` and all below it, in the order of registration; hidden ones left out."""
    yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from commands(child, f"{name} {child_name}")


def plain(text: str | None) -> str:
    """Help text without Rich's markup, on one line."""
    return " ".join(markup(text or "").plain.split())


def paragraphs(text: str | None) -> Iterator[str]:
    """The paragraphs of a docstring in Markdown; indented ones are examples and stay as they are."""
    for block in inspect.cleandoc(text or "").replace("\b\n", "").split("\n\n"):
        lines = block.splitlines()
        if lines and all(line.startswith("    ") for line in lines):
            yield "```sh\n" + "\n".join(line[4:] for line in lines) + "\n```"
        elif lines:
            yield plain(block)


def annotation(parameter: Any) -> Any:
    """The Python type of one value of a parameter."""
    kind = parameter.type_descriptor.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return get_args(kind)[0] if get_origin(kind) is list else kind


def value_name(parameter: Any) -> str:
    """What stands for the value: the choices, the metavar, or a word for the type; empty for a switch."""
    if getattr(parameter, "is_flag", False) or getattr(parameter, "count", False):
        return ""
    kind = annotation(parameter)
    if get_origin(kind) is Literal and not parameter.metavar:
        return "|".join(map(str, get_args(kind)))
    if parameter.metavar:
        return parameter.metavar
    return parameter.name.upper() if parameter.param_type_name == "argument" else KINDS.get(kind, "TEXT")


def spelling(parameter: Any) -> str:
    """`--jobs, -j N`, `--align-corners / --no-align-corners`, `INPUT...`."""
    value = value_name(parameter)
    if parameter.param_type_name == "argument":
        return value + ("..." if parameter.nargs == -1 and not value.endswith("...") else "")
    names = ", ".join(parameter.opts)
    if parameter.secondary_opts:
        names += " / " + ", ".join(parameter.secondary_opts)
    return f"{names} {value}".strip()


def remarks(parameter: Any) -> list[str]:
    """What the value may be and what it is when it is not given."""
    found = []
    if parameter.required:
        found.append("required")
    kind = annotation(parameter)
    if get_origin(kind) is Literal and parameter.metavar:
        found.append("one of " + ", ".join(f"`{choice}`" for choice in get_args(kind)))
    low, high = parameter.min, parameter.max
    if low is not None or high is not None:
        found.append(
            f"{low} to {high}" if None not in (low, high) else f"at least {low}" if high is None else f"at most {high}"
        )
    if getattr(parameter, "multiple", False):
        found.append("may be given several times")
    shown, default = parameter.show_default, parameter.default
    if isinstance(shown, str):
        found.append(f"default: `{shown}`")
    elif shown and not parameter.required and default not in (None, False, [], ()) and not callable(default):
        if default is True:
            found.append(f"default: `{parameter.opts[0]}`" if parameter.secondary_opts else "default: yes")
        else:
            words = default if isinstance(default, (list, tuple)) else [default]
            found.append(
                "default: " + " ".join(f"`{f'{word:g}' if isinstance(word, float) else word}`" for word in words)
            )
    return found


def entry(parameter: Any) -> str:
    notes = remarks(parameter)
    line = f"- **`{spelling(parameter)}`**" + (f" ({'; '.join(notes)})" if notes else "")
    text = plain(parameter.help)
    return f"{line}  \n  {text}" if text else line


def synopsis(name: str, command: Any, parameters: list[Any]) -> str:
    words = [name]
    if getattr(command, "commands", None):
        words.append("COMMAND")
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            words.append(spelling(parameter) if parameter.required else f"[{spelling(parameter)}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {value_name(parameter)}".strip())
    if any(parameter.param_type_name == "option" and not parameter.required for parameter in parameters):
        words.append("[OPTIONS]")
    return " ".join(words)


def section(name: str, command: Any) -> str:
    """One command: how to call it, what it does, its options in the panels of its help page."""
    parameters = [
        part for part in command.params if not getattr(part, "hidden", False) and part.name not in NOT_REPEATED
    ]
    parts = [f"## {name}", f"```text\n{synopsis(name, command, parameters)}\n```", *paragraphs(command.help)]
    children = [(child, full) for full, child in commands(command, name) if full.count(" ") == name.count(" ") + 1]
    if children:
        parts.append("\n".join(f"- {link(full)}: {summary(child)}" for child, full in children))
    panels: dict[str, list[Any]] = {}
    for parameter in parameters:
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panels.setdefault(parameter.rich_help_panel or usual, []).append(parameter)
    titles = sorted(panels, key=lambda title: title != "Arguments")
    parts += [f"### {plain(title)}\n\n" + "\n".join(map(entry, panels[title])) for title in titles]
    return "\n\n".join([*parts, *paragraphs(command.epilog)])


def link(name: str) -> str:
    return f"[`{name}`](#{name.replace(' ', '-')})"


def summary(command: Any) -> str:
    return next(paragraphs(command.short_help or command.help), "")


def reference(app: typer.Typer, name: str = "stn") -> str:
    """The whole page."""
    tree = list(commands(typer.main.get_command(app), name))
    return "\n\n".join([INTRODUCTION.rstrip(), *(section(*item) for item in tree)]) + "\n"


def main() -> None:
    from stn_cli.cli import build

    text = reference(build())
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE.name} is out of date: run `make docs`")
        return
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(PAGE)


if __name__ == "__main__":
    main()
