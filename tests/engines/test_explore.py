"""Exhaustive search against the zoo, the reference interpreter and itself with symmetry switched off."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from build import ex, is_, less, move, never, plus, put, read, system, thread
from hypothesis import HealthCheck, assume, given, settings
from strategies import Problem, problems
from zoo import ZOO, ZooCase, counter

from protocheck.engines import codegen, orbits
from protocheck.engines.explore import ENGINE, explore, stuck
from protocheck.engines.verdict import Budget, Exhausted, Limit, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.ir.expr import Op, Param, Var, apply, eq, ne
from protocheck.ir.interp import deadlock, enabled, initial_states, step, witnesses
from protocheck.ir.sorts import BOOL, RangeSort, ScalarSort
from protocheck.ir.system import DeadlockTarget, PropertyTarget, System, Target
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
            for choice in enabled(built, state):
                edges += 1
                after = step(built, state, choice).state
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


def agree(problem: Problem) -> None:
    """The search visits exactly the states that the interpreter reaches, and agrees on every depth."""
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(problems())
def test_random_systems_like_the_interpreter(problem: Problem) -> None:
    """Random systems have the states, steps and depths that the interpreter finds, with symmetry and without."""
    agree(problem)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(problems())
def test_random_systems_the_other_way(problem: Problem) -> None:
    """The ways for large systems (loops instead of unrolling, sorting instead of trying) answer the same."""
    with (
        patch.object(codegen, "UNROLL_CHOICES", 1),
        patch.object(codegen, "UNROLL_QUANTIFIERS", 1),
        patch.object(orbits, "SMALL_GROUP", 1),
    ):
        agree(problem)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_both_ways_to_find_representatives(problem: Problem) -> None:
    """Trying every permutation and sorting by signatures leave the same number of orbits."""
    built = problem.system
    tried = explore(built, (), Budget(states=2_000))
    with patch.object(orbits, "SMALL_GROUP", 1):
        sorted_ = explore(built, (), Budget(states=2_000))
    assert (sorted_.states, sorted_.depth, sorted_.edges) == (tried.states, tried.depth, tried.edges)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_random_systems_greedily(problem: Problem) -> None:
    """Where representatives are chosen greedily, verdicts and depths stay what they are, and runs are genuine."""
    with patch.object(orbits, "SMALL_GROUP", 1), patch.object(orbits, "MOST_IMAGES", 1):
        agree(problem)


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_zoo_the_other_way(case: ZooCase) -> None:
    """The ways for large systems give the expected verdicts on the zoo."""
    with (
        patch.object(codegen, "UNROLL_CHOICES", 1),
        patch.object(codegen, "UNROLL_QUANTIFIERS", 1),
        patch.object(orbits, "SMALL_GROUP", 1),
    ):
        test_zoo(case, True)


def test_counts() -> None:
    """States, steps, beginnings and taken transitions are counted, also those that no target needs."""
    built, _ = counter(0, 9, 0, 5)
    found = explore(built, ())
    assert (found.states, found.edges, found.begun, found.depth, found.fired) == (6, 5, 1, 5, (5,))
    assert found.complete


def test_a_statement_that_is_never_executed() -> None:
    """A transition that is never taken has fired zero times."""
    x = Var("x", (), RangeSort(0, 3))
    t = thread("t", 1)
    built = system("dead", [(x, 0)], [t], [move(t, 0, 0, is_(x, 3)), move(t, 0, 0, is_(x, 0), [put(x, 1)])])
    assert explore(built, ()).fired == (0, 1)


def test_depth_limit() -> None:
    """A bounded search claims its bound and nothing more, finds what lies on the bound, and proves what it exhausts."""
    built, x = counter(0, 9, 0, 5)
    far = never(is_(x, 5))
    assert explore(built, (far,), Budget(depth=4)).verdicts == (NotReachedWithin(4),)
    assert explore(built, (far,), Budget(depth=0)).verdicts == (NotReachedWithin(0),)
    (verdict,) = explore(built, (far,), Budget(depth=5)).verdicts
    assert isinstance(verdict, Reached)
    assert len(verdict.run.moves) == 5
    assert explore(built, (never(is_(x, 6)),), Budget(depth=6)).verdicts == (Unreachable(Exhausted(6, 5, False)),)
    assert explore(built, (never(is_(x, 6)),), Budget(depth=5)).verdicts == (NotReachedWithin(5),)


def test_depth_limit_counts_the_step_of_a_fault() -> None:
    """A fault in the third step is not within two steps."""
    case = next(c for c in ZOO if c.name == "a fault in the last step")
    assert explore(case.system, (case.target,), Budget(depth=2)).verdicts == (NotReachedWithin(2),)
    assert isinstance(explore(case.system, (case.target,), Budget(depth=3)).verdicts[0], Reached)


def test_targets_are_answered_one_by_one() -> None:
    """Each target has its own verdict, in the order given, whenever it is reached."""
    built, x = counter(0, 9, 0, 5)
    verdicts = ENGINE.run(built, [never(is_(x, k)) for k in (5, 9, 0, 2)], Budget())
    depths = [len(v.run.moves) if isinstance(v, Reached) else None for v in verdicts]
    assert depths == [5, None, 0, 2]


def test_stops_early() -> None:
    """Once every target is reached, nothing further is visited, unless asked for."""
    built, x = counter(0, 9, 0, 9)
    assert explore(built, (never(is_(x, 2)),)).states == 3
    assert explore(built, (never(is_(x, 2)),), to_the_end=True).states == 10


def test_state_limit() -> None:
    """At the limit of states the verdict is unknown, says which limit it was, and how deep the search came."""
    built, x = counter(0, 99, 0, 99)
    (verdict,) = explore(built, (never(is_(x, 99)),), Budget(states=10)).verdicts
    assert verdict == Unknown(Limit.STATES, "10 states", 10)


def test_time_limit() -> None:
    """With no time left nothing is claimed but what was looked at."""
    built, x = counter(0, 99, 0, 99)
    assert explore(built, (never(is_(x, 99)),), Budget(deadline=0.0)).verdicts == (Unknown(Limit.TIME, "", -1),)


def test_interrupt() -> None:
    """Ctrl-C keeps what was reached and says how deep the search came for the rest."""
    built, x = counter(0, 99, 0, 99)
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if len(lines) == 7:
            raise KeyboardInterrupt

    reached, open_ = explore(built, (never(is_(x, 3)), never(is_(x, 99))), Budget(progress=progress)).verdicts
    assert isinstance(reached, Reached)
    assert len(reached.run.moves) == 3
    assert open_ == Unknown(Limit.INTERRUPTED, "", 6)


def test_deterministic() -> None:
    """The same search twice gives the same runs, state for state."""
    for case in ZOO:
        first, second = (explore(case.system, (case.target,)) for _ in range(2))
        assert first == second
        assert list(first.values()) == list(second.values())


def test_stores_outside_are_refused() -> None:
    """A store outside of a sort is an error, not a neighbour's value."""
    x, y = Var("x", (), RangeSort(0, 2)), Var("y", (BOOL,), RangeSort(0, 3))
    t = thread("t", 1)
    for update in (put(x, plus(read(x), 1)), put(y, plus(read(x), 0), 1)):
        built = system("s", [(x, 2), (y, 0)], [t], [move(t, 0, 0, True, [update])])
        with pytest.raises(codegen.StoreOutsideError):
            explore(built, ())


def test_asymmetric_systems_are_not_reduced() -> None:
    """A scalarset of which a member is told apart, in any place, is not reduced."""
    s = ScalarSort("s", ("a", "b", "c"))
    i = Param("i", s)
    mark, one = Var("mark", (s,), BOOL), Var("one", (), s)
    t = thread("t", 1)
    fine = move(t, 0, 0, True, [put(mark, i, 1)], (i,))
    plain = system("plain", [(mark, 0)], [t], [fine])
    assert (explore(plain, ()).states, explore(plain, (), symmetry=False).states) == (4, 8)
    assert not explore(plain, (never(is_(mark, 1, 1)),)).symmetric
    assert explore(plain, (never(is_(mark, i, 1), i),)).symmetric
    told = [
        system("a default", [(mark, eq(Param("#0", s), ex(1)))], [t], [fine]),
        system("a stored member", [(mark, 0), (one, 0)], [t], [fine]),
        system("an index", [(mark, 0)], [t], [move(t, 0, 0, True, [put(mark, 2, 1)])]),
        system("a comparison", [(mark, 0)], [t], [move(t, 0, 0, ne(i, ex(1)), [put(mark, i, 1)], (i,))]),
        system("an order", [(mark, 0)], [t], [move(t, 0, 0, less(i, 2), [put(mark, i, 1)], (i,))]),
        system("arithmetic", [(mark, 0)], [t], [move(t, 0, 0, True, [put(mark, apply(Op.MIN, i, ex(1)), 1)], (i,))]),
    ]
    for built in told:
        assert not explore(built, ()).symmetric, built.name


def test_named_members_are_not_exchanged() -> None:
    """A member with a name of its own keeps its state; only the others are interchangeable."""
    s = ScalarSort("s", ("boot", "a", "b"), named=1)
    i = Param("i", s)
    mark = Var("mark", (s,), BOOL)
    t = thread("t", 1)
    built = system("named", [(mark, 0)], [t], [move(t, 0, 0, True, [put(mark, i, 1)], (i,))])
    assert explore(built, ()).states == 6


@pytest.mark.parametrize(("members", "orbits_"), [(4, 15), (5, 21), (6, 28), (8, 45)])
def test_large_groups_exactly(members: int, orbits_: int) -> None:
    """Cells of three values for n interchangeable members make (n+1)(n+2)/2 orbits, however large the group."""
    s = ScalarSort("s", tuple(f"m{k}" for k in range(members)))
    i = Param("i", s)
    cell = Var("cell", (s,), RangeSort(0, 2))
    t = thread("t", 1)
    up = move(t, 0, 0, less(read(cell, i), 2), [put(cell, i, plus(read(cell, i), 1))], (i,))
    found = explore(system("many", [(cell, 0)], [t], [up]), ())
    assert (found.states, found.depth) == (orbits_, 2 * members)


def test_stuck() -> None:
    """Of two threads that take two locks in opposite order both can get stuck; in the same order none can."""
    ring = next(c for c in ZOO if c.name == "a ring of two")
    found = stuck(explore(ring.system, (), symmetry=False))
    assert [(s.thread, s.values, len(s.run.moves)) for s in found] == [("t", (0,), 2), ("t", (1,), 2)]
    for s in found:
        replay(ring.system, DeadlockTarget(), s.run)
    ordered = next(c for c in ZOO if c.name == "a ring of three in order")
    assert stuck(explore(ordered.system, (), symmetry=False)) == ()


def test_stuck_although_others_run() -> None:
    """A thread that waits for what no other thread ever does is stuck even if the others run for ever."""
    flag = Var("flag", (), BOOL)
    spin, waiter = thread("spin", 1), thread("waiter", 2, done=(1,))
    turn = move(spin, 0, 0)
    wait = move(waiter, 0, 1, read(flag))
    built = system("for nothing", [(flag, 0)], [spin, waiter], [turn, wait])
    assert [(s.thread, len(s.run.moves)) for s in stuck(explore(built, ()))] == [("waiter", 0)]
    helped = system("not for nothing", [(flag, 0)], [spin, waiter], [move(spin, 0, 0, True, [put(flag, 1)]), wait])
    assert stuck(explore(helped, ())) == ()


def test_stuck_needs_the_whole_graph() -> None:
    """Nothing is said to be stuck from part of the graph, or from orbits."""
    built, x = counter(0, 9, 0, 9)
    with pytest.raises(ValueError, match="complete"):
        stuck(explore(built, (), Budget(depth=2)))
    symmetric = next(c for c in ZOO if c.name == "no lost update").system
    with pytest.raises(ValueError, match="symmetry"):
        stuck(explore(symmetric, ()))
    assert x.name == "x"
