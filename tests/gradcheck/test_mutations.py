"""Wrong code is always reported, at the right stage; correct code never is."""

import pytest

from tests.gradcheck import wrong
from tests.gradcheck.proof import first_failure, right_code


@pytest.mark.parametrize("case", wrong.CATALOGUE, ids=lambda case: case.name)
def test_wrong_code_fails_at_the_right_stage(case):
    result = first_failure(case.code, case.setup)
    assert result is not None, "not found"
    assert result.problem.stage == case.stage, result.reason
    assert result.reason
    assert result.failed


def wrongly_accused(seeds):
    return [f"{seed} {r.problem.stage} {r.problem.subject}: {r.reason}" for seed, r in right_code(seeds) if r.failed]


def test_right_code_does_not_fail():
    assert wrongly_accused([0]) == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200, 10))
def test_right_code_never_fails_over_200_seeds(start):
    assert wrongly_accused(range(start, start + 10)) == []
