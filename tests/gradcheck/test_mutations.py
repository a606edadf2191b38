"""Wrong code is always reported, at the right stage; correct code never is."""

import pytest

from stn_cli.core.gradients.check import check
from stn_cli.core.gradients.problem import Verdict
from stn_cli.core.gradients.stages import problems

from . import wrong


def first_failure(code, setup, seed=0):
    """The earliest stage with a FAIL, and its result. Problems come stage by stage."""
    for problem in problems(setup, code):
        result = check(problem, seed=seed)
        if result.verdict is Verdict.FAIL:
            return result
    return None


@pytest.mark.parametrize("case", wrong.CATALOGUE, ids=lambda case: case.name)
def test_wrong_code_fails_at_the_right_stage(case):
    result = first_failure(case.code, case.setup)
    assert result is not None, "not found"
    assert result.problem.stage == case.stage, result.reason
    assert result.reason
    assert result.failed
