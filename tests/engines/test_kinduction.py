"""k-induction agrees with the zoo and the interpreter; its certificates stand up to the re-check."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from judge import judge, shortest
from strategies import Problem, problems
from zoo import ZOO, ZooCase

from protocheck.engines import kinduction
from protocheck.engines.certify import Recheck, certify
from protocheck.engines.verdict import Budget, NotReachedWithin, Reached, Unreachable


@pytest.mark.parametrize("case", ZOO, ids=lambda z: z.name)
def test_zoo(case: ZooCase) -> None:
    """Every target of the zoo is decided, at its depth or by an accepted proof."""
    (verdict,) = kinduction.run(case.system, [case.target], Budget())
    judge(case.system, case.target, verdict, case.expected_depth)
    assert isinstance(verdict, Reached) == (case.expected_depth is not None)
    if isinstance(verdict, Unreachable):
        assert certify(case.system, case.target, verdict) is Recheck.CHECKED


@pytest.mark.parametrize("case", [z for z in ZOO if z.expected_depth is not None], ids=lambda z: z.name)
def test_the_bound_sees_exactly_as_far_as_it_says(case: ZooCase) -> None:
    """Bound n sees a run of n steps, and bound n - 1 does not."""
    depth = case.expected_depth
    assert depth is not None
    (seen,) = kinduction.run(case.system, [case.target], Budget(depth=depth))
    assert isinstance(seen, Reached)
    assert len(seen.run.moves) == depth
    if depth > 0:
        (unseen,) = kinduction.run(case.system, [case.target], Budget(depth=depth - 1))
        assert unseen == NotReachedWithin(depth - 1)


def test_a_bound_that_hides_a_fault_is_no_proof() -> None:
    """A fault in the step after the bound is not called unreachable because the bound forbade looking at it."""
    case = next(z for z in ZOO if z.name == "a fault in the last step")
    (verdict,) = kinduction.run(case.system, [case.target], Budget(depth=2))
    assert verdict == NotReachedWithin(2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems())
def test_random_systems(problem: Problem) -> None:
    """On random systems, to depth 5, k-induction contradicts the interpreter in nothing."""
    depths = shortest(problem.system, problem.targets, 300)
    assume(depths is not None)
    assert depths is not None
    verdicts = kinduction.run(problem.system, problem.targets, Budget(depth=5))
    for target, verdict, depth in zip(problem.targets, verdicts, depths, strict=True):
        judge(problem.system, target, verdict, depth)
