"""Fair infinite runs on the graph: against known answers, and against another algorithm on random systems."""

from __future__ import annotations

from dataclasses import replace

import pytest
from build import is_
from hypothesis import HealthCheck, assume, given, settings
from live_reference import Reference
from live_strategies import LiveProblem, live_problems
from live_zoo import LIVE_ZOO, LiveCase, leads_to, peterson, philosophers, spin_lock, tickets

from protocheck.engines import fair
from protocheck.engines.explore import explore
from protocheck.engines.fair import run
from protocheck.engines.graph import graph
from protocheck.engines.verdict import Budget, Exhausted, Limit, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.ir.expr import FALSE, TRUE
from protocheck.ir.system import ProgressTarget, RecoverableTarget, StepSet
from protocheck.traces.replay import replay


def shape(verdict: Reached) -> tuple[int, int]:
    """Lengths of stem and loop."""
    stem = len(verdict.run.moves) if verdict.run.loop is None else verdict.run.loop
    return stem, len(verdict.run.moves) - stem


@pytest.mark.parametrize("case", LIVE_ZOO, ids=lambda c: c.name)
def test_zoo(case: LiveCase) -> None:
    """Each claim of the zoo is violated by a lasso of the known size, which replays, or by none."""
    (verdict,) = run(case.system, (case.target,), Budget())
    if case.expected is None:
        assert isinstance(verdict, Unreachable)
        assert isinstance(verdict.by, Exhausted)
        return
    assert isinstance(verdict, Reached)
    replay(case.system, case.target, verdict.run)
    assert shape(verdict) == case.expected


def agree(problem: LiveProblem) -> None:
    """The engine finds a violation exactly if the reference does, with as short a stem, and it replays."""
    reference = Reference(problem.system, 60)
    assume(reference.small and reference.states)
    for target, verdict in zip(problem.targets, run(problem.system, problem.targets, Budget()), strict=True):
        known = reference.stem(target) if isinstance(target, ProgressTarget) else reference.recoverable(target)
        if known is None:
            assert isinstance(verdict, Unreachable)
        else:
            assert isinstance(verdict, Reached)
            replay(problem.system, target, verdict.run)
            assert shape(verdict)[0] == known


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(live_problems())
def test_random_systems(problem: LiveProblem) -> None:
    """On random systems the verdicts and the stems are those of another algorithm on the interpreter's graph."""
    agree(problem)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(live_problems())
def test_long_loops(problem: LiveProblem) -> None:
    """Loops that go from need to need are fair as well: they replay wherever a shortest one is not looked for."""
    reference = Reference(problem.system, 40)
    assume(reference.small and reference.states)
    few = pytest.MonkeyPatch()
    with few.context() as patched:
        patched.setattr(fair, "SEARCHED", 0)
        for target, verdict in zip(problem.targets, run(problem.system, problem.targets, Budget()), strict=True):
            if isinstance(verdict, Reached):
                replay(problem.system, target, verdict.run)


def test_one_rigid_value_for_all_alike() -> None:
    """Of five threads that nothing tells apart, one is looked at; of five with numbers, all are."""
    built, target = spin_lock(5, False)
    assert fair.rigid_values(built, target, built.fairness) == [(0,)]
    built, target = tickets(5)
    assert len(fair.rigid_values(built, target, built.fairness)) == 5


def test_limits() -> None:
    """A part of the graph shows a lasso, but never that there is none."""
    built, target = spin_lock(3, True)
    assert run(built, (target,), Budget(states=2)) == (Unknown(Limit.STATES, "2 states"),)
    assert run(built, (target,), Budget(deadline=0.0)) == (Unknown(Limit.TIME),)
    assert run(built, (target, RecoverableTarget(TRUE)), Budget(depth=3)) == (
        NotReachedWithin(3),
        Unknown(Limit.STATES, "recoverable needs every state"),
    )
    built, target = peterson(False)
    (found,) = run(built, (target,), Budget(depth=2))
    assert isinstance(found, Reached)
    replay(built, target, found.run)
    assert not found.shortest


def test_the_graph_counts_what_the_search_counts() -> None:
    """The graph has the states and steps of the breadth-first search without symmetry."""
    built, _ = philosophers(4, True, True)
    found = graph(built, Budget())
    plain = explore(built, (), symmetry=False)
    assert (len(found.states), len(found.ends), found.depth) == (plain.states, plain.edges, plain.depth)
    assert found.complete


def test_reaching_steps_are_not_states() -> None:
    """A claim reached by a step is violated where only the state after that step would tell."""
    built, _ = spin_lock(2, True)
    cpu = built.threads[0].params[0]
    target = ProgressTarget((), TRUE, TRUE, FALSE, StepSet(((1, is_(built.variables[0], 2)),)))
    (verdict,) = run(built, (target,), Budget())
    assert isinstance(verdict, Unreachable)
    nobody = replace(target, reaching=StepSet(((1, FALSE),)))
    (verdict,) = run(built, (nobody,), Budget())
    assert isinstance(verdict, Reached)
    assert cpu.name == "i"
    assert isinstance(run(built, (leads_to(TRUE, FALSE),), Budget())[0], Reached)
