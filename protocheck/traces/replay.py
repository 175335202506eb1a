"""Replay of a run: every state recomputed by the reference interpreter, nothing believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from protocheck.engines.verdict import Choice, Run
from protocheck.ir.interp import Blocked, IllFormedError, NotEnabledError, State, begin, deadlock, holds, step
from protocheck.ir.sorts import values_of
from protocheck.ir.system import (
    DeadlockTarget,
    LiveTarget,
    ProgressTarget,
    PropertyTarget,
    RecoverableTarget,
    System,
    Target,
)
from protocheck.traces.lasso import LassoFailedError, replay_lasso


class ReplayFailed(Exception):  # noqa: N818 - the name reads as the verdict it is
    """The run is not one of the system, or does not end in the target. The message says where and why."""


@dataclass(frozen=True)
class Replayed:
    """A run confirmed.

    ``states[0]`` is the initial state and ``states[i]`` the one after ``i`` moves; if the last move fails a fatal
    check, there is no state after it. ``failed[i]`` are the positions of the checks that fail in move ``i``.
    ``blocked`` are the threads of the deadlock, if the target is one. For an infinite run, the last state is the one in
    which its loop begins, and ``since`` is the state from which on it is pending and never reaches.
    """

    states: tuple[State, ...]
    failed: tuple[tuple[int, ...], ...]
    blocked: tuple[Blocked, ...] = ()
    since: int | None = None


def replay(system: System, target: PropertyTarget | LiveTarget, run: Run) -> Replayed:
    """Walk along ``run`` and check that it ends in ``target``; :class:`ReplayFailed` says why if it does not.

    An infinite run is judged by :func:`protocheck.traces.lasso.replay_lasso`.
    """
    if isinstance(target, ProgressTarget | RecoverableTarget):
        try:
            lasso = replay_lasso(system, target, run)
        except LassoFailedError as problem:
            raise ReplayFailed(str(problem)) from problem
        return Replayed(lasso.states, lasso.failed, since=lasso.since)
    try:
        states = [begin(system, run.init)]
    except (NotEnabledError, IllFormedError) as problem:
        raise ReplayFailed(f"the run cannot begin: {problem}") from problem
    failed: list[tuple[int, ...]] = []
    for number, move in enumerate(run.moves, start=1):
        if len(states) < number:
            raise ReplayFailed(f"step {number} follows a step that ended the run by a fatal check")
        try:
            outcome = step(system, states[-1], move)
        except (NotEnabledError, IllFormedError) as problem:
            raise ReplayFailed(f"step {number} cannot be taken: {problem}") from problem
        failed.append(outcome.failed)
        if outcome.state is not None:
            states.append(outcome.state)
    ended = len(states) <= len(run.moves)
    match target:
        case Target():
            _check_end(system, target, run, states, ended)
            return Replayed(tuple(states), tuple(failed))
        case DeadlockTarget():
            if run.end is not None:
                raise ReplayFailed("a run into a deadlock names no target case")
            if ended:
                raise ReplayFailed("the last step ended the run by a fatal check; there is no state to be deadlocked")
            members = deadlock(system, states[-1])
            if not members:
                raise ReplayFailed("no thread is deadlocked in the last state")
            return Replayed(tuple(states), tuple(failed), members)
        case _:
            assert_never(target)


def _check_end(system: System, target: Target, run: Run, states: list[State], ended: bool) -> None:
    end: Choice | None = run.end
    if end is None:
        raise ReplayFailed("the run does not say which target case it reaches")
    if not 0 <= end.which < len(target.cases):
        raise ReplayFailed(f"there is no target case {end.which}")
    case = target.cases[end.which]
    if len(end.values) != len(case.params) or any(
        value not in values_of(param.sort) for param, value in zip(case.params, end.values, strict=True)
    ):
        raise ReplayFailed(f"{end.values} are no values of the parameters of target case {end.which}")
    if case.via is None:
        if ended:
            raise ReplayFailed("the last step ended the run by a fatal check; there is no last state")
        if not holds(case, states[-1], end.values):
            raise ReplayFailed(f"target case {end.which} is false in the last state")
        return
    if not run.moves:
        raise ReplayFailed(f"target case {end.which} happens in a step, and the run takes none")
    last = run.moves[-1]
    if last.which != case.via or last.values != end.values[: len(last.values)]:
        raise ReplayFailed(f"target case {end.which} happens in another step than the last one")
    before = states[-1] if ended else states[-2]
    if not holds(case, before, end.values):
        raise ReplayFailed(f"target case {end.which} is false in the last step")
