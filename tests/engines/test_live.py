"""Progress claims as questions of what can be reached: the same answers as on the graph, and proofs checked again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from live_reference import Reference
from live_strategies import LiveProblem, live_problems
from live_zoo import LIVE_ZOO, LiveCase, spin_lock

from protocheck.engines import fair, kinduction
from protocheck.engines.certify import certify
from protocheck.engines.explore import explore
from protocheck.engines.live import decide, lasso, run, with_copy, with_rounds
from protocheck.engines.verdict import Budget, Invariant, Limit, Reached, Unknown, Unreachable
from protocheck.ir.expr import TRUE
from protocheck.ir.interp import cells
from protocheck.ir.system import ProgressTarget, RecoverableTarget
from protocheck.traces.replay import replay

CASES = [c for c in LIVE_ZOO if isinstance(c.target, ProgressTarget)]
# By counting rounds these take minutes; the search for the copied state decides them here.
LONG = ("tickets of three", "a polite one and fair forks")


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in LONG], ids=lambda c: c.name)
def test_zoo(case: LiveCase) -> None:
    """Each claim of the zoo is proved by an invariant that checks again, or violated by a lasso that replays."""
    decided = decide(case.system, case.target, Budget())
    if case.expected is None:
        assert isinstance(decided.verdict, Unreachable)
        assert isinstance(decided.verdict.by, Invariant)
        assert decided.reduced is not None
        certify(decided.reduced.system, decided.reduced.target, decided.verdict)
    else:
        assert isinstance(decided.verdict, Reached)
        replay(case.system, case.target, decided.verdict.run)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_copied_state_comes_again(case: LiveCase) -> None:
    """An exhaustive search for the copied state finds a lasso exactly where there is one."""
    assert isinstance(case.target, ProgressTarget)
    reduced = with_copy(case.system, case.target)
    (verdict,) = explore(reduced.system, (reduced.target,)).verdicts
    assert isinstance(verdict, Unreachable if case.expected is None else Reached)
    if isinstance(verdict, Reached):
        replay(case.system, case.target, lasso(reduced, verdict.run))


@pytest.mark.parametrize("name", ["a retry that is fair", "pending and reached at once"])
def test_induction(name: str) -> None:
    """k-induction agrees that the rounds which IC3 needs cannot be completed."""
    case = next(c for c in CASES if c.name == name)
    assert isinstance(case.target, ProgressTarget)
    decided = decide(case.system, case.target, Budget())
    assert decided.reduced is not None
    (verdict,) = kinduction.run(decided.reduced.system, (decided.reduced.target,), Budget(depth=40))
    assert not isinstance(verdict, Reached)
    assert isinstance(verdict, Unreachable)


@pytest.mark.parametrize("case", [c for c in CASES if c.expected is not None], ids=lambda c: c.name)
def test_a_depth_is_one_of_lassos(case: LiveCase) -> None:
    """Whoever proves by rounds claims no depth at which there is a lasso, however long the rounds take."""
    (shortest,) = fair.run(case.system, (case.target,), Budget())
    assert isinstance(shortest, Reached)
    steps = len(shortest.run.moves)
    verdict = decide(case.system, case.target, Budget(depth=steps), kinduction.run).verdict
    assert isinstance(verdict, Reached)
    assert len(verdict.run.moves) <= steps


def test_the_monitor_changes_nothing() -> None:
    """Before the monitor begins, the system beside it has exactly the states that it has alone."""
    built, target = spin_lock(2, True)
    plain = explore(built, (), symmetry=False)
    reduced = with_rounds(built, target, 1)
    beside = explore(reduced.system, (), symmetry=False)
    width = len(cells(built))
    assert {v[:width] for v in beside.values()} == set(plain.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(live_problems())
def test_random_systems(problem: LiveProblem) -> None:
    """On random systems an exhaustive search for the copied state agrees with the search of the graph."""
    reference = Reference(problem.system, 25)
    assume(reference.small and reference.states)
    for target, verdict in zip(problem.targets, fair.run(problem.system, problem.targets, Budget()), strict=True):
        if not isinstance(target, ProgressTarget):
            continue
        reduced = with_copy(problem.system, target)
        (found,) = explore(reduced.system, (reduced.target,), Budget(states=50_000)).verdicts
        if isinstance(found, Unknown):
            continue
        assert isinstance(found, type(verdict))
        if isinstance(found, Reached):
            replay(problem.system, target, lasso(reduced, found.run))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(live_problems())
def test_random_proofs(problem: LiveProblem) -> None:
    """On random systems what IC3 and bounded search decide is what the search of the graph says."""
    reference = Reference(problem.system, 15)
    assume(reference.small and reference.states)
    for target, verdict in zip(problem.targets, fair.run(problem.system, problem.targets, Budget()), strict=True):
        if not isinstance(target, ProgressTarget):
            continue
        decided = decide(problem.system, target, Budget())
        if isinstance(decided.verdict, Unknown):
            continue
        assert isinstance(decided.verdict, type(verdict))
        if isinstance(decided.verdict, Reached):
            replay(problem.system, target, decided.verdict.run)
        elif isinstance(decided.verdict, Unreachable) and decided.reduced is not None:
            certify(decided.reduced.system, decided.reduced.target, decided.verdict)


def test_limits() -> None:
    """A limit is told, and what no reduction decides is refused."""
    built, target = spin_lock(2, True)
    (verdict,) = run(built, (target,), Budget(deadline=0.0))
    assert isinstance(verdict, Unknown)
    assert verdict.limit is Limit.TIME
    (verdict,) = run(built, (RecoverableTarget(TRUE),), Budget())
    assert isinstance(verdict, Unknown)
