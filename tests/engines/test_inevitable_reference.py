"""Inevitability against its definition: every set of states in which a run could stay for ever is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import pytest
import zoo
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import Problem, problems

from protocheck.engines.inevitable import inevitable
from protocheck.engines.verdict import Budget
from protocheck.ir.interp import (
    IllFormedError,
    Instance,
    State,
    deadlock,
    enabled,
    evaluate,
    initial_states,
    mover,
    step,
    thread_of,
    witnesses,
)
from protocheck.ir.system import Choice, DeadlockTarget, PropertyTarget, System, ThreadKind

MOST = 8
"""So many states have 255 sets, of which each is looked at."""


class TooLargeError(Exception):
    """There are too many states to try every set of them."""


@dataclass(frozen=True)
class Around:
    """A state that is not in the target: the steps out of it that do not meet the target, and who is owed one."""

    steps: tuple[tuple[Instance, State], ...]
    owed: frozenset[Instance]
    over: bool
    """Whether a run may end here without the target: nobody is owed a step, or another fatal check fails."""


def around(system: System, target: PropertyTarget, state: State) -> Around | None:
    """What is around ``state``; None if it is in the target."""
    failing: set[Choice] = set()
    if isinstance(target, DeadlockTarget):
        if deadlock(system, state):
            return None
    else:
        for found in witnesses(system, target, state):
            case = target.cases[found.which]
            if case.via is None:
                return None
            failing.add(Choice(case.via, found.values[: len(system.transitions[case.via].params)]))
    steps, owed, over = [], set(), False
    for move in enabled(system, state):
        who = mover(system, move)
        thread = thread_of(system, who.thread)
        env = {p.name: v for p, v in zip(thread.params, who.values, strict=True)}
        if thread.kind not in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY) or not evaluate(thread.done, state, env):
            owed.add(who)
        if move in failing:
            continue
        after = step(system, state, move).state
        if after is None:
            over = True
        else:
            steps.append((who, after))
    return Around(tuple(steps), frozenset(owed), over or not owed)


def avoidable(system: System, target: PropertyTarget, start: State) -> bool:
    """Whether some fair run from ``start`` never meets ``target``, by trying every set of states to stay in."""
    known: dict[State, Around] = {}
    open_ = [start]
    while open_:
        state = open_.pop()
        if state in known:
            continue
        found = around(system, target, state)
        if found is None:
            continue
        known[state] = found
        if len(known) > MOST:
            raise TooLargeError
        open_ += [after for _, after in found.steps]
    if any(a.over for a in known.values()):
        return True
    return any(
        _stays(known, set(inside)) for size in range(1, len(known) + 1) for inside in combinations(known, size)
    )


def _stays(known: dict[State, Around], inside: set[State]) -> bool:
    """Whether a run can visit every state of ``inside`` again and again, leave it never, and be fair."""
    for one in inside:
        seen: set[State] = set()
        open_ = [one]
        while open_:
            for _, after in known[open_.pop()].steps:
                if after in inside and after not in seen:
                    seen.add(after)
                    open_.append(after)
        if seen != inside:
            return False
    takes = {who for s in inside for who, after in known[s].steps if after in inside}
    always_owed = frozenset.intersection(*(known[s].owed for s in inside))
    return always_owed <= takes


def agree(system: System, target: PropertyTarget) -> int:
    """Compare for every reachable state out of which something can still be avoided or not; how many there were."""
    seen: dict[State, None] = {}
    open_ = list(initial_states(system))
    while open_ and len(seen) < 8:
        state = open_.pop()
        if state in seen:
            continue
        seen[state] = None
        open_ += [after for m in enabled(system, state) if (after := step(system, state, m).state) is not None]
    compared = 0
    for state in seen:
        try:
            wanted = avoidable(system, target, state)
        except TooLargeError:
            continue
        # A run of this state alone, before the step into the target: inevitable after 0 steps, or only by that step.
        said = inevitable(system, target, [state], True, Budget())
        assert said == (1 if wanted else 0), state
        compared += 1
    return compared



@pytest.mark.parametrize("case", zoo.ZOO, ids=lambda c: c.name)
def test_the_zoo(case: zoo.ZooCase) -> None:
    """In every small system with a known answer, for every state of it."""
    agree(case.system, case.target)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(problems(), st.sampled_from(list(ThreadKind)))
def test_random_systems(problem: Problem, kind: ThreadKind) -> None:
    """In random systems, whatever kind of thread the first one is."""
    first, *rest = problem.system.threads
    system = replace(problem.system, threads=(replace(first, kind=kind), *rest))
    try:
        count = sum(agree(system, target) for target in problem.targets)
    except IllFormedError:
        count = 0
    assume(count)
