"""``python -m stn_cli`` is ``stn``."""

from stn_cli.cli import main

if __name__ == "__main__":
    main()
