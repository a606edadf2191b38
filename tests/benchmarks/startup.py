"""Whole commands, as the shell sees them: `stn --help`, and one photograph warped, beside what people would use.

    python tests/benchmarks/startup.py [--runs 15]

The commands alternate in one run. Printed: median wall seconds with the quartiles, CPU seconds, and the ratio of medians.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
PHOTOGRAPH = ROOT / "samples" / "images" / "sign.jpg"

TYPER_APP = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str, loud: bool = False):
    "Say hello."
app()
"""

OPENCV = """
import sys, cv2
U = cv2.imread(sys.argv[1])
h, w = U.shape[:2]
M = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), 30, 1)
cv2.imwrite(sys.argv[2], cv2.warpAffine(U, M, (w, h)))
"""

Times = dict[str, tuple[list[float], list[float]]]


def measure(commands: dict[str, list[str]], runs: int) -> Times:
    """Wall and CPU seconds of each command, one after the other, `runs` times; a first round warms the caches."""
    found: Times = {name: ([], []) for name in commands}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: pip compiles what it installs
    for turn in range(runs + 1):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            wall = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if turn:
                found[name][0].append(wall)
                found[name][1].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return found


def report(title: str, found: Times) -> None:
    """Every command's times, and the first one's beside the second's."""
    print(f"\n{title}")
    for name, (wall, cpu) in found.items():
        low, _, high = quantiles(wall, n=4)
        print(f"  {name:<26} {median(wall):.3f} s wall ({low:.3f} … {high:.3f}), {median(cpu):.3f} s CPU")
    (ours, ours_cpu), (theirs, theirs_cpu) = list(found.values())[:2]
    print(
        f"  ratio                      {median(ours) / median(theirs):.2f} wall, {median(ours_cpu) / median(theirs_cpu):.2f} CPU"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    stn = [sys.executable, "-m", "stn_cli"]
    helps = {
        "stn --help": [*stn, "--help"],
        "a one-command Typer app": [sys.executable, "-c", TYPER_APP, "--help"],
    }
    report("Help", measure(helps, runs))
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = str(Path(folder) / "ours.jpg"), str(Path(folder) / "theirs.jpg")
        warps = {
            "stn warp": [*stn, "warp", str(PHOTOGRAPH), "--rotate", "30", "--out", ours, "--existing", "overwrite"],
            "an OpenCV script": [sys.executable, "-c", OPENCV, str(PHOTOGRAPH), theirs],
        }
        report("One 1280×960 JPEG, rotated by 30°", measure(warps, runs))


if __name__ == "__main__":
    main()
