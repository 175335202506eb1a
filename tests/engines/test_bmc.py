"""Bounded model checking agrees with the zoo and the interpreter, and says exactly how far it looked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from judge import judge, shortest
from protocols import fault_vs_conversion, snp_remap
from strategies import Problem, problems
from zoo import ZOO, ZooCase

from protocheck.engines import bmc
from protocheck.engines.verdict import Budget, Limit, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.engines.z3raw import RawSolver
from protocheck.ir import interp


@pytest.mark.parametrize("case", ZOO, ids=lambda z: z.name)
def test_zoo(case: ZooCase) -> None:
    """Within ten steps, exactly the reachable targets of the zoo are reached, at their depths."""
    (verdict,) = bmc.run(case.system, [case.target], Budget(depth=10))
    judge(case.system, case.target, verdict, case.expected_depth)
    assert isinstance(verdict, Reached) == (case.expected_depth is not None)


@pytest.mark.parametrize("case", [z for z in ZOO if z.expected_depth is not None], ids=lambda z: z.name)
def test_the_bound_sees_exactly_as_far_as_it_says(case: ZooCase) -> None:
    """Bound n sees a run of n steps, and bound n - 1 does not."""
    depth = case.expected_depth
    assert depth is not None
    (seen,) = bmc.run(case.system, [case.target], Budget(depth=depth))
    assert isinstance(seen, Reached)
    assert len(seen.run.moves) == depth
    if depth > 0:
        (unseen,) = bmc.run(case.system, [case.target], Budget(depth=depth - 1))
        assert unseen == NotReachedWithin(depth - 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems())
def test_random_systems(problem: Problem) -> None:
    """On random systems, bounded checking to depth 4 says of every target what the interpreter says."""
    depths = shortest(problem.system, problem.targets, 600)
    assume(depths is not None)
    assert depths is not None
    verdicts = bmc.run(problem.system, problem.targets, Budget(depth=4))
    for target, verdict, depth in zip(problem.targets, verdicts, depths, strict=True):
        judge(problem.system, target, verdict, depth)
        assert isinstance(verdict, Reached) == (depth is not None and depth <= 4)


def test_exhausted_runs_are_a_proof() -> None:
    """Where every run ends, looking past the longest run is a proof and not a bound."""
    case = next(z for z in ZOO if z.name == "unreachable")
    (verdict,) = bmc.run(case.system, [case.target], Budget())
    assert isinstance(verdict, Unreachable)


@pytest.mark.parametrize(("gfns", "vcpus"), [(1, 1), (2, 2), (4, 3)])
def test_the_conversion_bug_is_twelve_steps_deep_and_two_switches_wide(gfns: int, vcpus: int) -> None:
    """The broken protocol needs 12 steps whatever its size, and its calmest run has two context switches."""
    system, target = fault_vs_conversion(gfns, vcpus, broken=True)
    (verdict,) = bmc.run(system, [target], Budget())
    judge(system, target, verdict, 12)
    assert isinstance(verdict, Reached)
    movers = [interp.mover(system, m) for m in verdict.run.moves]
    assert sum(a != b for a, b in pairwise(movers)) == 2
    assert [m.values for m in verdict.run.moves if m.values] == [(0, 0), (0,), (0,), (0, 1), (0,), (0,)]


def test_answers_are_the_same_every_time() -> None:
    """Two searches of one system return the same run."""
    system, target = snp_remap(2, 2, broken=True)
    assert bmc.run(system, [target], Budget(depth=12)) == bmc.run(system, [target], Budget(depth=12))


def test_several_targets_are_answered_in_order() -> None:
    """Targets found at different depths come back in the order in which they were asked."""
    cases = [z for z in ZOO if z.name in ("what is not assigned stays", "what is assigned moves")]
    verdicts = bmc.run(cases[0].system, [c.target for c in cases], Budget(depth=5))
    assert [isinstance(v, Reached) for v in verdicts] == [c.expected_depth is not None for c in cases]


def test_no_time_is_no_claim() -> None:
    """With a deadline in the past nothing is claimed, and the limit is named."""
    system, target = fault_vs_conversion(2, 2)
    (verdict,) = bmc.run(system, [target], Budget(deadline=0.0))
    assert verdict == Unknown(Limit.TIME, "", -1)


def test_an_interrupt_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the first run was found loses neither that run nor the depth that was searched for the other."""
    cases = [z for z in ZOO if z.name in ("what is not assigned stays", "what is assigned moves")]
    sound = bmc.decided

    def until_found(solver: RawSolver, assumptions: Sequence[int], budget: Budget) -> bool:
        if found:
            raise KeyboardInterrupt
        return sound(solver, assumptions, budget)

    found: list[bool] = []
    calm = bmc.calmest
    monkeypatch.setattr(bmc, "decided", until_found)
    monkeypatch.setattr(bmc, "calmest", lambda *a, **k: (calm(*a, **k), found.append(True))[0])
    first, second = bmc.run(cases[0].system, [c.target for c in cases], Budget(depth=9))
    assert first == Unknown(Limit.INTERRUPTED, "", 3)
    assert isinstance(second, Reached)
