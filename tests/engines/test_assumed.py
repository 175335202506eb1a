"""What a verdict on endless runs rests on: each needed assumption is needed, each excluding one excludes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from live_reference import Reference
from live_strategies import LiveProblem, live_problems
from live_zoo import LIVE_ZOO, LiveCase, peterson, retries, spin_lock, strong, weak, with_fairness

from protocheck.engines import assumed
from protocheck.engines.assumed import examine
from protocheck.engines.fair import run
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.expr import TRUE
from protocheck.ir.system import ProgressTarget


@pytest.mark.parametrize("case", LIVE_ZOO, ids=lambda c: c.name)
def test_verdicts_are_the_same(case: LiveCase) -> None:
    """Looking for what a verdict rests on never changes it."""
    (judged,) = examine(case.system, (case.target,), Budget())
    assert (judged.verdict,) == run(case.system, (case.target,), Budget())


def test_what_is_needed() -> None:
    """Peterson's lock needs weak fairness; a spin lock a fair lock besides; and nothing that is not used is named."""
    built, target = peterson()
    (judged,) = examine(built, (target,), Budget())
    assert judged.needs == ("t is weakly fair",)
    more = replace(built, fairness=(*built.fairness, strong(built.threads[0], 1)))
    (judged,) = examine(more, (target,), Budget())
    assert judged.needs == ("t is weakly fair",)
    built, target = spin_lock(2, True)
    (judged,) = examine(built, (target,), Budget())
    assert judged.needs == ("t is weakly fair", "steps (1,) of t")


def test_what_would_exclude() -> None:
    """A thread that retries for ever would not if the environment stopped; one that spins, if it took its chances."""
    built, t, vmm = retries()
    case = next(c for c in LIVE_ZOO if c.name == "retries while the flag flips")
    fair = with_fairness(built, weak(built, t), weak(built, vmm, TRUE))
    (judged,) = examine(fair, (case.target,), Budget())
    assert judged.excluded == "it would not happen if `vmm` stopped in the end"
    built, target = spin_lock(2, False)
    (judged,) = examine(built, (target,), Budget())
    assert judged.excluded == "it would not happen if `t` took `take` (line 1) whenever it can again and again"


def test_large_graphs_say_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trying is too much, a proof names everything and a violation nothing."""
    monkeypatch.setattr(assumed, "EFFORT", 0)
    built, target = peterson()
    more = replace(built, fairness=(*built.fairness, strong(built.threads[0], 1)))
    (judged,) = examine(more, (target,), Budget())
    assert judged.needs == ("t is weakly fair", "steps (1,) of t")
    built, target = spin_lock(2, False)
    (judged,) = examine(built, (target,), Budget())
    assert judged.excluded == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(live_problems())
def test_random_systems(problem: LiveProblem) -> None:
    """On random systems the needed fairness is enough by itself and none of it can be left out, by the reference."""
    reference = Reference(problem.system, 40)
    assume(reference.small and reference.states)
    for target, judged in zip(problem.targets, examine(problem.system, problem.targets, Budget()), strict=True):
        if not isinstance(target, ProgressTarget) or not isinstance(judged.verdict, Unreachable):
            continue
        kept = tuple(f for f in problem.system.fairness if f.name in judged.needs)
        for left_out in (None, *kept):
            reference.system = replace(problem.system, fairness=tuple(f for f in kept if f is not left_out))
            assert (reference.stem(target) is None) == (left_out is None)


def test_violations_stay_violations() -> None:
    """A violation that nothing excludes says so by saying nothing."""
    case = next(c for c in LIVE_ZOO if c.name == "what stops stands still")
    (judged,) = examine(case.system, (case.target,), Budget())
    assert isinstance(judged.verdict, Reached)
    assert judged.needs == ()
