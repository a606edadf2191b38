"""The Typer app. Commands are registered here, and this is the only place where an error becomes a line and an exit code.

Exit codes: 0 all went well; 1 something failed; 2 the options are wrong and nothing was touched; 130 interrupted.
"""

import gc
import sys
from importlib import import_module
from typing import Annotated

import typer

from stn_cli import __version__
from stn_cli.errors import StnError

COMMANDS = {
    "warp": "warp:warp",
    "grid": "grid:grid",
    "train-mnist": "train_mnist:train_mnist",
    "theta": "theta:app",
    "bench": "bench:bench",
    "animate": "animate:animate",
    "gradcheck": "gradcheck:gradcheck",
}


def build(*names: str) -> typer.Typer:
    """The app with the commands of these names, all if none is named: one command starts without the others' modules."""
    app = typer.Typer(
        name="stn",
        help="The spatial transformer as a workbench: warp folders of images, see every sample, prove the gradients, "
        "train the classic networks.",
        no_args_is_help=True,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )
    app.callback()(_root)
    for name in names or COMMANDS:
        module, attribute = COMMANDS[name].split(":")
        found = getattr(import_module(f"stn_cli.commands.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"stn {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if not gc.isenabled():  # as `stn_cli.__main__` has it
        gc.freeze()
        gc.set_threshold(10_000)  # a picture makes a thousand objects, and hardly ever a cycle
        gc.enable()


def main(arguments: list[str] | None = None) -> None:
    """Run `stn` and exit: the console script, and ``python -m stn_cli``."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        app = build(*(word for word in words[:1] if word in COMMANDS))
        code = app(args=words, prog_name="stn", standalone_mode=False)
    except StnError as error:
        code = _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _say("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has gone (`stn … | head`): no line can reach them, and Python must not try at exit.
        sys.stdout = None
        code = 1
    except Exception as error:
        # Typer keeps the parser's own errors in a private module; what they share is how they present themselves.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        code = _say(message(), getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int) -> int:
    print(f"stn: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return code
