"""The coverage floors of `make test`: 90 % of all lines; 95 % of the branches in core/ and folders/.

python -m pytest --cov=stn_cli --cov-report=json:.coverage.json && python tests/coverage_floor.py .coverage.json
"""

import json
import sys
from pathlib import Path, PurePath

LINES = 0.90
BRANCHES = {"core": 0.95, "folders": 0.95}


def shares(report: dict) -> list[tuple[str, float, float]]:
    """(what, share reached, floor) for all lines and for the branches of each room that has a floor."""
    totals = report["totals"]
    found = [("lines of stn_cli", totals["covered_lines"] / max(1, totals["num_statements"]), LINES)]
    for room, floor in BRANCHES.items():
        files = [
            file["summary"] for path, file in report["files"].items() if room in PurePath(path.replace("\\", "/")).parts
        ]
        covered, every = (sum(file[key] for file in files) for key in ("covered_branches", "num_branches"))
        found.append((f"branches of stn_cli/{room}", covered / max(1, every), floor))
    return found


def main() -> None:
    low = False
    for what, share, floor in shares(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))):
        low |= share < floor
        print(f"{what:27} {share:6.1%}  (floor {floor:.0%}){'  TOO LOW' if share < floor else ''}")
    sys.exit(int(low))


if __name__ == "__main__":
    main()
