"""A run in a process of its own, to be killed: python crash_child.py IN OUT EXISTING [milliseconds a picture]."""

import sys
import time
from pathlib import Path

import numpy as np

from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan

source, out, existing = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
pause = float(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0.0


def warp(picture, job):
    time.sleep(pause)
    frames = [f.with_pixels(np.ascontiguousarray(f.pixels[::-1])) for f in picture.frames]
    return picture.with_frames(frames), {"family": "affine", "theta": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]}


plan = make_plan([source], out, existing=existing)
print("ready", flush=True)
results = run(plan, warp, workers=2)
print(len(results.done), len(results.failed), "stopped" if results.stopped else "", flush=True)
for error in results.failed:
    print(error, file=sys.stderr)
sys.exit(1 if results.failed else 0)
