"""Prints the figures of docs/gradients.md: what the checks find in wrong code, and what they say of the right code.

python -m tests.gradcheck.proof                 # the wrong code, one line each
python -m tests.gradcheck.proof --seeds 200     # and the project's own code at 200 random points
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator

import torch

from stn_cli.core.gradients.check import check
from stn_cli.core.gradients.problem import Result, Verdict
from stn_cli.core.gradients.setup import Code, Setup
from stn_cli.core.gradients.stages import problems


def first_failure(code: Code, setup: Setup, seed: int = 0) -> Result | None:
    """The result at the earliest stage that fails; problems come stage by stage."""
    results = (check(problem, seed=seed) for problem in problems(setup, code))
    return next((result for result in results if result.verdict is Verdict.FAIL), None)


def right_code(seeds: range) -> Iterator[tuple[int, Result]]:
    """Every check of the project's own code at random points; the frame changes from seed to seed."""
    for seed in seeds:
        for problem in problems(Setup(seed=seed, frames=(seed % 2 == 1,))):
            yield seed, check(problem, seed=seed)


def main() -> None:
    from tests.gradcheck.wrong import CATALOGUE

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    print("| wrong code | found at | by |\n| --- | --- | --- |")
    right = 0
    for case in CATALOGUE:
        result = first_failure(case.code, case.setup)
        stage = result.problem.stage if result else "not found"
        right += stage == case.stage
        print(f"| {case.name} | {stage} | {_ways(result.reason) if result else ''} |")
    print(f"\n{right} of {len(CATALOGUE)} reported FAIL at the right stage\n")

    if arguments.seeds:
        started = time.process_time()
        counts: Counter[str] = Counter()
        elements = 0
        for seed, result in right_code(range(arguments.seeds)):
            counts[str(result.verdict)] += 1
            elements += result.checked
            if result.failed:
                print(f"seed {seed}: {result.problem.stage} {result.problem.subject}: {result.reason}", flush=True)
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        print(f"right code, {arguments.seeds} seeds: {sum(counts.values())} checks of {elements} elements: {told}; "
              f"{counts['FAIL']} FAIL ({time.process_time() - started:.0f} s of one core)")  # fmt: skip


WAYS = {
    "the value itself": "the values by hand",
    "from the formulas by hand": "the formulas by hand",
    "central differences": "differences",
    "no sub-gradient": "the one-sided derivatives",
    "Taylor": "the Taylor slope",
    "zero everywhere": "one-sided derivatives",
}


def _ways(reason: str) -> str:
    """Which of the ways disagreed."""
    return ", ".join(name for text, name in WAYS.items() if text in reason)


if __name__ == "__main__":
    main()
