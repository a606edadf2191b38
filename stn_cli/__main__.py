"""The program: ``stn``, and ``python -m stn_cli``."""

import gc
import sys

from stn_cli.folders.signals import leaving


def run() -> None:
    """`cli.main`, started and ended without a search for garbage: what a start makes stays, and at the end all goes.

    Ctrl-C has its answer while the rest is still loading.
    """
    gc.disable()  # until a command begins: `cli._root`
    with leaving():
        try:
            from stn_cli.cli import main

            main()
        finally:
            if "torch" not in sys.modules:  # its libraries complain of what is left over
                gc.freeze()


if __name__ == "__main__":
    run()
