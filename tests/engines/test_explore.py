"""Exhaustive search against the zoo, the reference interpreter and itself with symmetry switched off."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from strategies import Problem, problems
from zoo import ZOO, ZooCase

from protocheck.engines.explore import ENGINE, explore
from protocheck.engines.verdict import Budget, Exhausted, Limit, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.ir.interp import deadlock, enabled, initial_states, step, witnesses
from protocheck.ir.system import PropertyTarget, System, Target
from protocheck.traces.replay import replay


def reference(
    built: System, targets: tuple[PropertyTarget, ...], most: int
) -> tuple[list[int | None], set[tuple[int, ...]], int] | None:
    """Depths of the targets, reachable states and number of steps, by the interpreter; None if there are too many."""
    layer = list(initial_states(built))
    seen = set(layer)
    depths: list[int | None] = [None] * len(targets)
    depth = edges = 0
    while layer:
        for k, target in enumerate(targets):
            if depths[k] is not None:
                continue
            if not isinstance(target, Target):
                if any(deadlock(built, s) for s in layer):
                    depths[k] = depth
                continue
            found = {target.cases[w.which].via is None for s in layer for w in witnesses(built, target, s)}
            if found:
                depths[k] = depth if True in found else depth + 1
        following = []
        for state in layer:
            for move in enabled(built, state):
                edges += 1
                after = step(built, state, move).state
                if after is not None and after not in seen:
                    seen.add(after)
                    following.append(after)
        if len(seen) > most:
            return None
        layer = following
        depth += 1
    return depths, {s.values for s in seen}, edges


@pytest.mark.parametrize("symmetry", [False, True])
@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_zoo(case: ZooCase, symmetry: bool) -> None:
    """Each target of the zoo gets its expected verdict, and every run replays and is as short as it should be."""
    (verdict,) = explore(case.system, (case.target,), symmetry=symmetry).verdicts
    if case.expected_depth is None:
        assert isinstance(verdict, Unreachable)
        assert isinstance(verdict.by, Exhausted)
    else:
        assert isinstance(verdict, Reached)
        assert verdict.shortest
        assert len(verdict.run.moves) == case.expected_depth
        replay(case.system, case.target, verdict.run)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(problems())
def test_random_systems_like_the_interpreter(problem: Problem) -> None:
    """On random systems the search visits exactly the states that the interpreter reaches, and agrees on every depth."""
    answer = reference(problem.system, problem.targets, 150)
    assume(answer is not None)
    assert answer is not None
    depths, states, edges = answer
    plain = explore(problem.system, problem.targets, symmetry=False, to_the_end=True)
    assert plain.complete
    assert set(plain.values()) == states
    assert (plain.states, plain.edges) == (len(states), edges)
    reduced = explore(problem.system, problem.targets, symmetry=True)
    for exploration in (plain, reduced):
        for target, depth, verdict in zip(problem.targets, depths, exploration.verdicts, strict=True):
            if depth is None:
                assert isinstance(verdict, Unreachable)
            else:
                assert isinstance(verdict, Reached)
                assert len(verdict.run.moves) == depth
                replay(problem.system, target, verdict.run)
