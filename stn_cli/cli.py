"""The Typer app. Commands are registered here, and this is the only place where an error becomes a line and an exit code.

Exit codes: 0 all went well; 1 something failed; 2 the options are wrong and nothing was touched; 130 interrupted.
"""

import sys
from typing import Annotated

import typer

from stn_cli import __version__
from stn_cli.commands import animate, bench, gradcheck, grid, theta, train_mnist, warp
from stn_cli.errors import StnError

app = typer.Typer(
    name="stn",
    help="The spatial transformer as a workbench: warp folders of images, see every sample, prove the gradients, "
    "train the classic networks.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"stn {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None: ...


app.command("warp")(warp.warp)
app.command("grid")(grid.grid)
app.command("train-mnist")(train_mnist.train_mnist)
app.add_typer(theta.app, name="theta")
app.command("bench")(bench.bench)
app.command("animate")(animate.animate)
app.command("gradcheck")(gradcheck.gradcheck)


def main(arguments: list[str] | None = None) -> None:
    """Run `stn` and exit: the console script, and ``python -m stn_cli``."""
    try:
        code = app(args=arguments, prog_name="stn", standalone_mode=False)
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
