"""The program: ``stn``, and ``python -m stn_cli``."""

import gc


def run() -> None:
    """`cli.main`, started and ended without a search for garbage: what a start makes stays, and at the end all goes."""
    gc.disable()  # until a command begins: `cli._root`
    from stn_cli.cli import main

    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    run()
