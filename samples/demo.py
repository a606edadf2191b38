"""What `make demo` runs: the main jobs of stn on the samples, each command shown before it runs; results in out/demo."""

import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = "out/demo"
PAGE, CHART = "samples/images/page.jpg", "samples/images/chart.png"
PAGE_SIZE = "1050x1485"  # A4 at 5 px/mm


def corners(name: str) -> str:
    return (ROOT / "samples" / f"{name}.corners.txt").read_text(encoding="utf-8").strip()


def jobs() -> list[tuple[str, list[str]]]:
    """(what it shows, the command), in order."""
    page = ["--corners", corners("page"), "--size", PAGE_SIZE]
    turn = ["--rotate", "15", "--zoom", "0.8"]
    return [
        (
            "Straighten a page photographed at an angle",
            ["warp", PAGE, *page, "--out", f"{OUT}/page.jpg"],
        ),
        (
            "Turn and shrink a whole folder, whatever it holds, and look at it on one sheet",
            ["warp", "samples/images", *turn, "--out", f"{OUT}/turned", "--contact-sheet", f"{OUT}/contact-sheet.png"],
        ),
        (
            "Turn ten digits upright, each by a θ of its own",
            ["warp", "samples/digits", "--theta-file", "samples/digits.csv", "--out", f"{OUT}/digits"],
        ),
        (
            "Bend a test chart by control points",
            ["warp", CHART, "--points", "samples/points.csv", "--out", f"{OUT}/chart.png"],
        ),
        (
            "Write the sampling grid that straightened the page",
            ["grid", *page, "--input-size", "1600x1200", "--out", f"{OUT}/page-grid.npz"],
        ),
        (
            "Draw that grid over the photograph",
            ["grid", *page, "--on", PAGE, "--out", f"{OUT}/page-grid.png"],
        ),
    ]


RESULTS = {
    "warped samples": ("page.jpg", "chart.png", "turned", "digits"),
    "contact sheet": ("contact-sheet.png",),
    "sampling grid": ("page-grid.npz",),
    "overlay picture": ("page-grid.png",),
}


def main() -> None:
    for title, arguments in jobs():
        arguments = [*arguments, "--existing", "overwrite"]
        print(f"\n# {title}\n$ stn {shlex.join(arguments)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "stn_cli", *arguments], cwd=ROOT, check=False).returncode
        if code:
            sys.exit(code)
    print("\nDone. Have a look at:")
    for title, names in RESULTS.items():
        for name in names:
            path = ROOT / OUT / name
            if not path.exists():
                sys.exit(f"{path} was not written")
            print(f"  {title:16} {path}")


if __name__ == "__main__":
    main()
