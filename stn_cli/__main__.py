"""The program: ``stn``, and ``python -m stn_cli``."""

import gc
import os
import sys
from contextlib import suppress

from stn_cli.folders.signals import terminable


def run() -> None:
    """`cli.main`, started and ended without a search for garbage: what a start makes stays, and at the end all goes.

    Ctrl-C has its answer while the rest is still loading, and when the last line has been said the process is gone.
    """
    gc.disable()  # until a command begins: `cli._root`
    try:
        with terminable():
            from stn_cli.cli import main
        main()
    except KeyboardInterrupt:
        print("stn: interrupted", file=sys.stderr)  # noqa: T201
        _leave()
    except SystemExit as ended:
        if ended.code == 130:
            _leave()
        raise
    finally:
        gc.freeze()


def _leave() -> None:
    """Taking torch down takes Python up to a second, and a second Ctrl-C would tear it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(130)


if __name__ == "__main__":
    run()
