"""A run with processes, to be interrupted or killed: python -m tests.folders.processes_child IN OUT ODD ONCE PAUSE."""

import os
import sys
from pathlib import Path

from stn_cli.folders import pipeline
from stn_cli.folders.plan import make_plan
from tests.folders.elsewhere import Mirrors

source, out, odd, once, pause = sys.argv[1:]
pipeline.MANY = 1
make = Mirrors(odd, Path(once), os.getpid(), float(pause))
warp, reading, _ = make()
try:
    pipeline.run(
        make_plan([Path(source)], Path(out), existing="skip"), warp, reading=reading, workers=3, elsewhere=make,
        say=lambda line: print(line, flush=True),
    )  # fmt: skip
except pipeline.Interrupted as stopped:
    print(f"{len(stopped.results.done)} done", flush=True)
    sys.exit(130)
