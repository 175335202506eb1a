"""The calmest run read off a search is the one that a solver finds, and costs what brute force says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from build import never
from hypothesis import given, settings
from protocols import fault_vs_conversion, snp_remap
from strategies import Problem, problems
from zoo import ZOO, ZooCase, counter

from protocheck.engines import bmc, calm
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached
from protocheck.ir import interp
from protocheck.ir.expr import FALSE
from protocheck.ir.sorts import low_of
from protocheck.ir.system import Choice, PropertyTarget, System, Target
from protocheck.traces.replay import replay


def price(system: System, moves: tuple[Choice, ...]) -> tuple[int, int]:
    """Changes of the thread along ``moves``, and choices that are not the first one."""
    movers = [interp.mover(system, m) for m in moves]
    odd = 0
    for move, mover in zip(moves, movers, strict=True):
        transition = system.transitions[move.which]
        arity = len(mover.values)
        odd += sum(
            v != low_of(p.sort) for p, v in zip(transition.params[arity:], move.values[arity:], strict=True)
        ) + (not transition.calm)
    return sum(a != b for a, b in pairwise(movers)), odd


def runs(system: System, target: PropertyTarget, length: int) -> Iterator[tuple[Choice, ...]]:
    """Every run of that length to the target, by the interpreter."""

    def go(state: interp.State, moves: tuple[Choice, ...]) -> Iterator[tuple[Choice, ...]]:
        left = length - len(moves)
        if isinstance(target, Target) and left <= 1:
            for ending in interp.witnesses(system, target, state):
                via = target.cases[ending.which].via
                if via is None and not left:
                    yield moves
                elif via is not None and left:
                    yield (*moves, Choice(via, ending.values[: len(system.transitions[via].params)]))
        elif not left and interp.deadlock(system, state):
            yield moves
        for move in interp.enabled(system, state) if left else ():
            after = interp.step(system, state, move).state
            if after is not None:
                yield from go(after, (*moves, move))

    for init in interp.initial_choices(system):
        yield from go(interp.begin(system, init), ())


def calmed(system: System, target: PropertyTarget) -> Reached | None:
    """The calmest run to the target, if it can be reached."""
    exploration = explore(system, [target], Budget(states=2_000))
    (verdict,) = exploration.verdicts
    if not isinstance(verdict, Reached):
        return None
    found = exploration.calm(0)
    assert found is not None
    assert len(found.run.moves) == len(verdict.run.moves)
    replay(system, target, found.run)
    return found


@pytest.mark.parametrize("case", [z for z in ZOO if z.expected_depth is not None], ids=lambda z: z.name)
def test_zoo(case: ZooCase) -> None:
    """In the zoo, the run replays and a solver finds none that is calmer."""
    found = calmed(case.system, case.target)
    assert found is not None
    (other,) = bmc.run(case.system, [case.target], Budget())
    assert isinstance(other, Reached)
    assert price(case.system, found.run.moves) <= price(case.system, other.run.moves)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(problems())
def test_nothing_is_calmer(problem: Problem) -> None:
    """On random systems, of all shortest runs of up to three steps none costs less, and none that costs as little
    comes first."""
    for target in problem.targets:
        found = calmed(problem.system, target)
        if found is not None and len(found.run.moves) <= 3:
            every = list(runs(problem.system, target, len(found.run.moves)))
            prices = [price(problem.system, moves) for moves in every]
            assert price(problem.system, found.run.moves) == min(prices)
            cheap = [moves for p, moves in zip(prices, every, strict=True) if p == min(prices)]
            some = [[(m.which, m.values) for m in moves[:-1]] for moves in cheap]
            assert [(m.which, m.values) for m in found.run.moves[:-1]] == min(some)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (2, 2)])
def test_the_runs_of_known_protocols_are_those_that_a_solver_finds(size: tuple[int, int]) -> None:
    """On the broken protocols, with symmetry, both ways give the very same steps."""
    for make in (fault_vs_conversion, snp_remap):
        system, target = make(*size, broken=True)
        (other,) = bmc.run(system, [target], Budget(depth=12))
        exploration = explore(system, [target], Budget(states=200_000))
        if isinstance(other, Reached):
            found = exploration.calm(0)
            assert found is not None
            assert found.run.moves == other.run.moves
        else:
            assert exploration.calm(0) is None


def test_too_much_work_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the layers have more states than the limit there is no answer, and not a wrong one."""
    system, target = fault_vs_conversion(1, 1, broken=True)
    exploration = explore(system, [target])
    monkeypatch.setattr(calm, "MOST_STATES", 10)
    assert exploration.calm(0) is None


def test_what_was_not_reached_has_no_run() -> None:
    """A target that is never met has no calmest run."""
    system, _ = counter(0, 3, 0, 3)
    assert explore(system, [never(FALSE)]).calm(0) is None
