"""Asking alike members to appear in order loses no length of a run, and finds none that is not there."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from protocols import fault_vs_conversion, snp_remap
from strategies import Problem, problems
from zoo import ZOO, ZooCase

from benchmarks.protocols.populate_locking import populate_locking
from protocheck.engines import bmc, ic3, shortest
from protocheck.engines.auto import portfolio
from protocheck.engines.explore import countable, explore
from protocheck.engines.verdict import Budget, NotReachedWithin, Reached, Run, Unknown, Unreachable
from protocheck.ir.cone import cone
from protocheck.ir.ground import symmetric_beginnings
from protocheck.ir.interp import mover
from protocheck.ir.system import PropertyTarget, System
from protocheck.traces.replay import replay

BOUND = 6


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_agrees_with_the_zoo(case: ZooCase) -> None:
    """The length is that of the zoo, and where there is no run none is found."""
    (answer,) = shortest.run(case.system, [case.target], Budget(depth=12))
    if case.expected_depth is None or case.expected_depth > 12:
        assert isinstance(answer, NotReachedWithin)
    else:
        assert isinstance(answer, Reached)
        assert (len(answer.run.moves), answer.shortest) == (case.expected_depth, True)
        replay(case.system, case.target, answer.run)


def agree(problem: Problem) -> None:
    """Whatever is said of a random system is what a search without any symmetry finds."""
    plain = explore(problem.system, problem.targets, Budget(depth=BOUND, states=3_000), symmetry=False)
    for target, known in zip(problem.targets, plain.verdicts, strict=True):
        assume(not isinstance(known, Unknown))
        (found,) = shortest.run(problem.system, [target], Budget(depth=BOUND))
        if isinstance(known, Reached):
            assert isinstance(found, Reached | Unknown)  # a run that only the loose system has is not believed
            if isinstance(found, Reached):
                assert len(found.run.moves) == len(known.run.moves)
                replay(problem.system, target, found.run)
            else:
                assert found.depth < len(known.run.moves)
        else:
            assert not isinstance(found, Reached)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(problems())
def test_random_systems(problem: Problem) -> None:
    """Random systems have runs of the length that a plain search finds, or none where it finds none."""
    agree(problem)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (3, 2), (4, 3)])
@pytest.mark.parametrize("reset", [False, True])
def test_the_conversion(sizes: tuple[int, int], reset: bool) -> None:
    """The bug is found at depth 12, resets of locals or not; where the claim holds no run of 10 steps is found."""
    system, target = fault_vs_conversion(*sizes, broken=True, reset=reset)
    (found,) = shortest.run(system, [target], Budget(depth=20))
    assert isinstance(found, Reached)
    assert len(found.run.moves) == 12
    (none,) = shortest.run(*_repaired(*sizes, reset=reset), Budget(depth=10))
    assert none == NotReachedWithin(10)


def _repaired(gfns: int, vcpus: int, *, reset: bool) -> tuple[System, list[PropertyTarget]]:
    system, target = fault_vs_conversion(gfns, vcpus, reset=reset)
    return system, [target]


def test_members_appear_in_order() -> None:
    """In the run that is found each page and each cpu appears after the one before it."""
    system, target = fault_vs_conversion(4, 3, broken=True)
    (found,) = shortest.run(system, [target], Budget(depth=20))
    assert isinstance(found, Reached)
    seen: dict[str, list[int]] = {}
    for move in found.run.moves:
        for param, value in zip(system.transitions[move.which].params, move.values, strict=True):
            if param.sort in system.scalarsets and value not in seen.setdefault(param.sort.name, []):
                seen[param.sort.name].append(value)
    assert seen == {name: list(range(len(values))) for name, values in seen.items()}
    assert set(seen) == {"gfn", "vcpu"}


def switches(system: System, run: Run) -> int:
    """How often the thread changes."""
    movers = [mover(system, move) for move in run.moves]
    return sum(a != b for a, b in pairwise(movers))


@pytest.mark.parametrize(
    ("problem", "least"),
    [
        (fault_vs_conversion(2, 2, broken=True), 2),
        (fault_vs_conversion(4, 3, broken=True), 2),
        (snp_remap(3, 3, broken=True), 3),
        (populate_locking((2, 2, 2, 2), broken=True), 4),
    ],
    ids=["fault (2,2)", "fault (4,3)", "remap", "populate"],
)
def test_a_run_in_order_has_as_few_context_switches_as_any(
    problem: tuple[System, PropertyTarget], least: int
) -> None:
    """The number is that of the calmest run, which bounded model checking without an order finds."""
    system, target = problem
    (ordered,) = shortest.run(system, [target], Budget(depth=12))
    (calm,) = bmc.run(system, [target], Budget(depth=12))
    assert isinstance(ordered, Reached)
    assert isinstance(calm, Reached)
    assert (switches(system, ordered.run), switches(system, calm.run)) == (least, least)
    assert shortest.run(system, [target], Budget(depth=12)) == (ordered,)


def test_a_beginning_that_tells_members_apart_is_respected() -> None:
    """Members that beginnings tell apart are not asked to appear in order."""
    for case in ZOO:
        free = symmetric_beginnings(case.system)
        assert all(s.name in free for s in shortest.orderly(case.system, case.target))


def test_a_wrong_order_would_be_noticed() -> None:
    """If it were forgotten who has appeared, a deadlock that takes two alike threads would be missed."""
    system, target = populate_locking((1, 2, 2, 1), broken=True)
    (found,) = shortest.run(system, [target], Budget(depth=6))
    assert isinstance(found, Reached)
    right = shortest._Ordered.extend

    def forgetful(self: shortest._Ordered) -> None:
        right(self)
        self.used = [[self.unrolling.solver.false] * len(row) for row in self.used]

    with patch.object(shortest._Ordered, "extend", forgetful):
        (missed,) = shortest.run(system, [target], Budget(depth=6))
    assert missed == NotReachedWithin(6)


@pytest.mark.parametrize(
    ("sizes", "steps"), [((1, 1, 1, 1), 4), ((2, 2, 2, 2), 6), ((3, 3, 3, 3), 8), ((2, 5, 3, 2), 7)]
)
def test_alike_threads_are_counted(sizes: tuple[int, ...], steps: int) -> None:
    """The deadlock of the locking protocol is found by counting in the cone, in as many steps as by other means."""
    system, target = populate_locking(sizes, broken=True)
    assert not countable(system, target)
    part = cone(system, [target])
    assert countable(part, target) == (max(sizes) > 1)
    (counted,) = explore(part, [target]).verdicts
    (by_default,) = portfolio(system, [target], Budget())
    assert isinstance(counted, Reached)
    assert isinstance(by_default.verdict, Reached)
    assert by_default.verdict.shortest
    assert len(counted.run.moves) == len(by_default.verdict.run.moves)
    replay(system, target, counted.run)
    if sum(sizes) <= 8:
        (bounded,) = bmc.run(system, [target], Budget())
        assert isinstance(bounded, Reached)
        assert len(bounded.run.moves) == len(counted.run.moves)
    assert len(counted.run.moves) == steps


def test_what_stores_members_is_not_counted() -> None:
    """A cell that stores a member, or belongs to two, tells members apart by more than their own cells."""
    system, target = snp_remap(3, 3)
    assert not countable(system, target)


def test_a_large_instance_is_refuted_in_order() -> None:
    """At sizes where no search is made first, the run is a shortest one and the one that IC3 finds is not shorter."""
    system, target = fault_vs_conversion(8, 4, broken=True)
    (answer,) = portfolio(system, [target], Budget())
    assert isinstance(answer.verdict, Reached)
    assert (len(answer.verdict.run.moves), answer.verdict.shortest) == (12, True)
    (other,) = ic3.run(system, [target], Budget())
    assert not isinstance(other, Unreachable)
