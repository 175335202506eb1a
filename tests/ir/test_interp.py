"""The reference interpreter against the zoo, whose answers were worked out by hand."""

from __future__ import annotations

import pytest
from build import move, put, read, system, thread
from zoo import ZOO, ZooCase, counter

from protocheck.ir.expr import Op, Param, Read, Var, apply
from protocheck.ir.interp import (
    IllFormedError,
    NotEnabledError,
    State,
    begin,
    cells,
    deadlock,
    default_state,
    enabled,
    evaluate,
    initial_choices,
    initial_states,
    step,
    witnesses,
)
from protocheck.ir.sorts import BOOL, RangeSort
from protocheck.ir.system import Choice, PropertyTarget, System, Target


def shortest(built: System, target: PropertyTarget) -> int | None:
    """The length of the shortest run to ``target``, by plain breadth-first search."""
    layer = list(initial_states(built))
    seen = set(layer)
    depth = 0
    while layer:
        if any(_there(built, target, s, via=False) for s in layer):
            return depth
        if any(_there(built, target, s, via=True) for s in layer):
            return depth + 1
        following: list[State] = []
        for state in layer:
            for move_ in enabled(built, state):
                after = step(built, state, move_).state
                if after is not None and after not in seen:
                    seen.add(after)
                    following.append(after)
        layer = following
        depth += 1
    return None


def _there(built: System, target: PropertyTarget, state: State, via: bool) -> bool:
    if not isinstance(target, Target):
        return not via and bool(deadlock(built, state))
    return any((target.cases[w.which].via is not None) == via for w in witnesses(built, target, state))


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_zoo(case: ZooCase) -> None:
    """The shortest run to each target of the zoo has the length that was worked out by hand."""
    assert shortest(case.system, case.target) == case.expected_depth


def test_names_of_the_zoo_differ() -> None:
    """No two cases of the zoo have the same name."""
    assert len({c.name for c in ZOO}) == len(ZOO)


def test_cells_in_order() -> None:
    """Cells are listed variable by variable, each by ascending index."""
    a, b = Var("a", (RangeSort(1, 2), BOOL), BOOL), Var("b", (), BOOL)
    built = system("s", [(a, 0), (b, 0)], [], [])
    assert cells(built) == (("a", (1, 0)), ("a", (1, 1)), ("a", (2, 0)), ("a", (2, 1)), ("b", ()))


def test_reading_outside_answers_zero() -> None:
    """A read outside of the index sorts has a value and does not fail."""
    a = Var("a", (RangeSort(1, 2),), BOOL)
    built = system("s", [(a, 1)], [], [])
    assert evaluate(read(a, 7), default_state(built), {}) == 0


def test_defaults_know_their_index() -> None:
    """A default may depend on the position of the cell."""
    sort = RangeSort(0, 3)
    a = Var("a", (sort, sort), RangeSort(0, 6))
    built = system("s", [(a, apply(Op.ADD, Param("#0", sort), Param("#1", sort)))], [], [])
    state = default_state(built)
    assert [state["a", (i, j)] for i in range(4) for j in range(4)] == [i + j for i in range(4) for j in range(4)]


def test_refusals() -> None:
    """A move that is not enabled, does not exist or has no such parameter values is refused."""
    built, _ = counter(0, 3, 0, 1)
    start = begin(built, Choice(0, ()))
    after = step(built, start, Choice(0, ())).state
    assert after is not None
    for state, choice in (
        (after, Choice(0, ())),
        (start, Choice(1, ())),
        (start, Choice(-1, ())),
        (start, Choice(0, (0,))),
    ):
        with pytest.raises(NotEnabledError):
            step(built, state, choice)
    for choice in (Choice(1, ()), Choice(-1, ()), Choice(0, (1,))):
        with pytest.raises(NotEnabledError):
            begin(built, choice)


def test_stores_outside_are_refused() -> None:
    """A value outside of its sort, or a cell that does not exist, cannot be stored to."""
    a, x = Var("a", (BOOL,), BOOL), Var("x", (), RangeSort(0, 9))
    t = thread("t", 1)
    for update in (put(a, 0, Read(x)), put(a, Read(x), 0)):
        built = system("s", [(a, 0), (x, 5)], [t], [move(t, 0, 0, True, [update])])
        with pytest.raises(IllFormedError):
            step(built, default_state(built), Choice(0, ()))
    with pytest.raises(IllFormedError):
        default_state(system("s", [(a, 2)], [], []))


def test_initial_choices_in_order() -> None:
    """Initial choices are listed by case, then by ascending values, and forbidden ones are left out."""
    built = next(c.system for c in ZOO if c.name == "the nearest beginning counts")
    assert list(initial_choices(built)) == [Choice(0, (0,)), Choice(0, (1,)), Choice(0, (3,)), Choice(1, ())]
