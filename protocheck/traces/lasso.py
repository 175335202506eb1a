"""Replay of infinite runs: the loop walked twice by the reference interpreter, and its fairness judged anew.

Nothing here is shared with the engines that find such runs: what a fair loop owes is read from the system once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from protocheck.engines.verdict import Choice, Run
from protocheck.ir.expr import Expr
from protocheck.ir.interp import (
    Env,
    IllFormedError,
    Instance,
    NotEnabledError,
    State,
    begin,
    default_state,
    enabled,
    evaluate,
    instances,
    mover,
    step,
    thread_of,
)
from protocheck.ir.sorts import values_of
from protocheck.ir.system import FairKind, Fairness, LiveTarget, ProgressTarget, RecoverableTarget, StepSet, System

LOOKED_AT = 2_000  # states after a run from which there is said to be no way back

Able: TypeAlias = "dict[State, frozenset[tuple[int, Instance]]]"
"""For a state, who can take which transitions in it."""


class LassoFailedError(Exception):
    """The infinite run is not one of the system, not fair, or reaches after all. The message says where and why."""


class UnfairError(LassoFailedError):
    """The loop denies somebody what it owes: ``who`` is never served as ``fair`` says."""

    def __init__(self, fair: Fairness, who: Instance) -> None:
        super().__init__(f"the loop is not fair to {who.thread}{list(who.values)}: {fair.name}")
        self.fair, self.who = fair, who


class ReachedError(LassoFailedError):
    """What should never come comes in the loop."""


@dataclass(frozen=True)
class Lasso:
    """An infinite run confirmed: its states (the last is the one in which the loop begins), and the checks that fail.

    From ``states[since]`` on it is pending and never reaches.
    """

    states: tuple[State, ...]
    failed: tuple[tuple[int, ...], ...]
    since: int


def walk(system: System, run: Run) -> tuple[list[State], list[tuple[int, ...]]]:
    """The states of ``run`` and the checks that fail in its moves; :class:`LassoFailedError` if it is no run."""
    try:
        states = [begin(system, run.init)]
    except (NotEnabledError, IllFormedError) as problem:
        raise LassoFailedError(f"the run cannot begin: {problem}") from problem
    failed: list[tuple[int, ...]] = []
    for number, move in enumerate(run.moves, start=1):
        state, wrong = _step(system, states[-1], move, f"step {number}")
        states.append(state)
        failed.append(wrong)
    return states, failed


def replay_lasso(system: System, target: LiveTarget, run: Run) -> Lasso:
    """Walk along ``run``, its loop twice, and check all that makes it a violation of ``target``.

    :class:`LassoFailedError` says what is wrong if it is none. For ``recoverable``, the states from which there should
    be no way back are searched up to ``LOOKED_AT`` of them.
    """
    states, failed = walk(system, run)
    match target:
        case ProgressTarget():
            since = _check_progress(system, target, run, states)
        case RecoverableTarget():
            if run.loop is not None:
                raise LassoFailedError("a run to where there is no way back has no loop")
            _check_lost(system, target, states[-1])
            since = len(run.moves)
        case _:
            assert_never(target)
    return Lasso(tuple(states), tuple(failed), since)


def _step(system: System, state: State, move: Choice, where: str) -> tuple[State, tuple[int, ...]]:
    try:
        outcome = step(system, state, move)
    except (NotEnabledError, IllFormedError) as problem:
        raise LassoFailedError(f"{where} cannot be taken: {problem}") from problem
    if outcome.state is None:
        raise LassoFailedError(f"{where} ends the run by a fatal check")
    return outcome.state, outcome.failed


def _check_progress(system: System, target: ProgressTarget, run: Run, states: Sequence[State]) -> int:
    if run.loop is None or not 0 <= run.loop <= len(run.moves):
        raise LassoFailedError("the run does not say where its loop begins")
    if states[-1] != states[run.loop]:
        raise LassoFailedError("the loop does not lead back to where it begins")
    again = states[-1]
    for number, move in enumerate(run.moves[run.loop :], start=run.loop + 1):
        again, _ = _step(system, again, move, f"step {number}, taken again,")
        if again != states[number]:
            raise LassoFailedError(f"step {number} leads elsewhere when it is taken again")
    return stays_away(system, target, run, states)


def stays_away(
    system: System, target: ProgressTarget, run: Run, states: Sequence[State], known: Able | None = None
) -> int:
    """The number of the state from which on ``run``, whose loop closes, is pending and never reaches.

    :class:`LassoFailedError` if there is none, or if the loop is not fair. ``known``, begun as an empty dictionary,
    keeps what is possible in a state from one question about the system to the next.
    """
    assert run.loop is not None
    env = rigid_env(target, run)
    if not evaluate(target.where, states[0], env):
        raise LassoFailedError("the rigid parameters have values that the property does not speak of")
    free = len(run.moves)  # from this state on, nothing reaches
    if evaluate(target.reached, states[-1], env):
        raise ReachedError("the loop reaches what it should not")
    while free and not _reaches(system, target, run, states, free - 1, env):
        free -= 1
    if free > run.loop:
        raise ReachedError(f"step {free} is in the loop and reaches what it should not")
    since = next((n for n in range(free, len(states)) if evaluate(target.pending, states[n], env)), None)
    if since is None:
        raise LassoFailedError("nothing is pending in the run after the last time that it reaches")
    for number, steps in enumerate(target.recurs):
        if not any(_in(system, steps, run.moves[n], states[n], env) for n in range(run.loop, len(run.moves))):
            raise LassoFailedError(f"no step of the loop is of those that recur (set {number})")
    for fair, who, why in standing(system, run, states, known):
        if why is None:
            raise UnfairError(fair, who)
    return since


def rigid_env(target: ProgressTarget, run: Run) -> dict[str, int]:
    """The values of the rigid parameters of ``target`` in ``run``, by name."""
    if len(run.rigid) != len(target.params) or any(
        value not in values_of(p.sort) for p, value in zip(target.params, run.rigid, strict=True)
    ):
        raise LassoFailedError(f"{run.rigid} are no values of the rigid parameters")
    return {p.name: v for p, v in zip(target.params, run.rigid, strict=True)}


def _reaches(
    system: System, target: ProgressTarget, run: Run, states: Sequence[State], n: int, env: Env
) -> bool:
    """Whether state ``n`` is a reached one, or the step out of it reaches."""
    return bool(evaluate(target.reached, states[n], env)) or _in(
        system, target.reaching, run.moves[n], states[n], env
    )


def _in(system: System, steps: StepSet, move: Choice, state: State, env: Env) -> bool:
    told = {p.name: v for p, v in zip(system.transitions[move.which].params, move.values, strict=True)}
    return any(which == move.which and evaluate(cond, state, {**env, **told}) for which, cond in steps.members)


def standing(
    system: System, run: Run, states: Sequence[State], known: Able | None = None
) -> list[tuple[Fairness, Instance, str | None]]:
    """For every fairness and every instance it speaks of: how the loop of ``run`` satisfies it, or None if not.

    The answers are "steps" (it takes a step asked for), "rests" (it might go on, but may stop where it is), "cannot"
    (it cannot take such a step, somewhere in the loop or, for strong fairness, anywhere) and "untouched" (what would
    call for such a step does not happen).
    """
    assert run.loop is not None
    moves = run.moves[run.loop :]
    around = states[run.loop : len(run.moves)] or states[-1:]
    known = {} if known is None else known
    for s in around:
        if s not in known:
            known[s] = frozenset((m.which, mover(system, m)) for m in enabled(system, s))
    able = [known[s] for s in around]
    taken = {(m.which, mover(system, m)) for m in moves}
    answer: list[tuple[Fairness, Instance, str | None]] = []
    for fair in system.fairness:
        thread = thread_of(system, fair.thread)
        for who in instances(system, thread, default_state(system)):
            env = {p.name: v for p, v in zip(fair.params, who.values, strict=True)}
            if any((which, who) in taken for which in (*fair.transitions, *fair.released)):
                answer.append((fair, who, "steps"))
                continue
            if fair.trigger:
                pulled = any((which, who) in taken for which in fair.trigger)
                answer.append((fair, who, None if pulled else "untouched"))
                continue
            ready = [any((which, who) in here for which in fair.transitions) for here in able]
            resting = [bool(evaluate(fair.rest, s, env)) for s in around]
            must = [a and not b for a, b in zip(ready, resting, strict=True)]
            match fair.kind:
                case FairKind.WEAK:
                    fine = not all(must)
                case FairKind.STRONG:
                    fine = not any(must)
                case _:
                    assert_never(fair.kind)
            rests = any(a and b for a, b in zip(ready, resting, strict=True))
            answer.append((fair, who, ("rests" if rests else "cannot") if fine else None))
    return answer


def _check_lost(system: System, target: RecoverableTarget, state: State) -> None:
    if way_back(system, target.goal, state):
        raise LassoFailedError("there is a way back from the last state")


def way_back(system: System, goal: Expr, state: State) -> bool | None:
    """Whether some run leads from ``state`` to ``goal``; None: not among the first ``LOOKED_AT`` states behind it."""
    seen = {state: None}
    todo = [state]
    while todo and len(seen) <= LOOKED_AT:
        here = todo.pop()
        if evaluate(goal, here, {}):
            return True
        for move in enabled(system, here):
            after = step(system, here, move).state
            if after is not None and after not in seen:
                seen[after] = None
                todo.append(after)
    return None if todo else False
