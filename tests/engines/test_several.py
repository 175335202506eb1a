"""Several counterexamples: that they differ, that each is one, and that the count is that of the interpreter."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from zoo import ZOO, ZooCase

from protocheck.engines import bmc, explore
from protocheck.engines import several as module
from protocheck.engines.several import _key, several
from protocheck.engines.verdict import Budget, Choice, Reached, Run
from protocheck.ir.interp import State, begin, deadlock, enabled, initial_choices, step, witnesses
from protocheck.ir.system import PropertyTarget, System
from protocheck.traces.replay import replay

REACHED = [c for c in ZOO if c.expected_depth is not None]


def first(case: ZooCase) -> Run:
    (verdict,) = explore.ENGINE.run(case.system, (case.target,), Budget())
    assert isinstance(verdict, Reached)
    return verdict.run


def reference(system: System, target: PropertyTarget, most: int) -> set[object] | None:
    """The keys of all shortest runs to where the target is first met, by the interpreter; None if there are too many.

    A beginning counts once, however it was chosen.
    """
    keys: set[object] = set()
    ways: dict[State, list[Run]] = {}
    for init in initial_choices(system):
        ways.setdefault(begin(system, init), [Run(init, ())])
    seen = set(ways)
    while ways:
        following: dict[State, list[Run]] = {}
        for state, runs in ways.items():
            failing: set[Choice] = set()
            met = False
            if hasattr(target, "cases"):
                for end in witnesses(system, target, state):
                    case = target.cases[end.which]
                    if case.via is None:
                        met = True
                        keys |= {_key(system, target, Run(r.init, r.moves, end)) for r in runs}
            elif deadlock(system, state):
                met = True
                keys |= {_key(system, target, r) for r in runs}
            if met:
                continue
            if hasattr(target, "cases"):
                possible = set(enabled(system, state))
                for end in witnesses(system, target, state):
                    case = target.cases[end.which]
                    assert case.via is not None
                    last = Choice(case.via, end.values[: len(system.transitions[case.via].params)])
                    if last in possible:
                        failing.add(last)
                        keys |= {_key(system, target, Run(r.init, (*r.moves, last), end)) for r in runs}
            for choice in enabled(system, state):
                if choice in failing:
                    continue
                after = step(system, state, choice).state
                if after is not None and after not in seen:
                    following.setdefault(after, []).extend(Run(r.init, (*r.moves, choice)) for r in runs)
        if sum(map(len, following.values())) > most or len(seen) > most:
            return None
        seen |= set(following)
        ways = following
    return keys


@pytest.mark.parametrize("case", REACHED, ids=lambda c: c.name)
def test_all_of_them_are_found(case: ZooCase) -> None:
    """The search knows as many runs that differ as the interpreter finds by trying everything, and each replays."""
    expected = reference(case.system, case.target, 2_000)
    found = several(case.system, case.target, first(case), 10_000, Budget())
    for run in found.runs:
        replay(case.system, case.target, run)
    keys = [_key(case.system, case.target, r) for r in found.runs]
    assert len(set(keys)) == len(keys) == found.found
    if expected is not None:
        assert found.complete
        assert set(keys) == expected


@pytest.mark.parametrize("case", REACHED, ids=lambda c: c.name)
def test_solver_finds_some_where_the_search_may_not(case: ZooCase) -> None:
    """Without room for states, bounded model checking finds as many as are asked for, if there are that many."""
    wanted = 3
    plain = several(case.system, case.target, first(case), wanted, Budget())
    statements = {tuple(m.which for m in r.moves) for r in several(
        case.system, case.target, first(case), 500, Budget()).runs}  # fmt: skip
    with patch.object(module, "STATES", 0):
        found = several(case.system, case.target, first(case), wanted, Budget(depth=12))
    for run in found.runs:
        replay(case.system, case.target, run)
    keys = {_key(case.system, case.target, r) for r in found.runs}
    assert len(keys) == len(found.runs)
    if not found.complete:
        assert len(found.runs) >= min(wanted, len(statements)) or plain.found < wanted


def test_the_given_run_comes_first() -> None:
    """Whatever run is given, it is the first of those returned, and is not told again."""
    case = REACHED[0]
    (verdict,) = bmc.ENGINE.run(case.system, (case.target,), Budget())
    assert isinstance(verdict, Reached)
    found = several(case.system, case.target, verdict.run, 5, Budget())
    assert found.runs[0] == verdict.run
    assert several(case.system, case.target, verdict.run, 1, Budget()).runs == (verdict.run,)
