"""The default: several engines in turn, each asked only what the ones before it left open.

First an exhaustive search with a limit on states: exact, shortest runs, and it answers all targets at once. What is
left goes to IC3, which proves or refutes whatever the sizes; the run of a refutation is then made a shortest one by
bounded model checking up to its length, and what IC3 cannot decide in its share of the time is at least looked at by
bounded model checking for as long as there is time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from protocheck.engines import bmc, explore, ic3
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Limit,
    NotReachedWithin,
    Reached,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.ground import GroundError
from protocheck.ir.system import PropertyTarget, System

SECONDS = 120.0
"""Time for one call, if the budget names none."""

STATES = 400_000
"""States that the exhaustive search may visit."""


@dataclass(frozen=True)
class Answered:
    """A verdict and the name of the engine that gave it."""

    verdict: Verdict
    engine: str


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target, in order."""
    return tuple(a.verdict for a in portfolio(system, targets, budget))


def portfolio(
    system: System, targets: Sequence[PropertyTarget], budget: Budget, optional: Collection[int] = ()
) -> tuple[Answered, ...]:
    """As :func:`run`, with the engine of each verdict; ``optional`` targets are not worth more than the first search.

    With ``budget.depth`` only runs up to that depth are looked at, and IC3 (which cannot stop there) is not asked.
    """
    if budget.deadline is None:
        budget = replace(budget, deadline=time.monotonic() + SECONDS)
    first = replace(budget, states=STATES if budget.states is None else min(STATES, budget.states))
    answers = [Answered(v, "explore") for v in _call(explore.ENGINE, system, targets, first)]
    left = [k for k, a in enumerate(answers) if not _decided(a.verdict, budget) and k not in optional]
    if not left or _interrupted(answers):
        return tuple(answers)
    if budget.depth is None:
        _prove(system, targets, budget, answers, left)
        left = [k for k in left if not _decided(answers[k].verdict, budget)]
    if left and not _interrupted(answers):
        budget.progress(f"bounded model checking of {len(left)} targets")
        found = _call(bmc.ENGINE, system, [targets[k] for k in left], budget)
        for k, verdict in zip(left, found, strict=True):
            answers[k] = _better(answers[k], Answered(verdict, "bmc"))
    return tuple(answers)


def _prove(
    system: System, targets: Sequence[PropertyTarget], budget: Budget, answers: list[Answered], left: Sequence[int]
) -> None:
    """Ask IC3, leaving a third of the time to bounded model checking; then shorten the runs that it found."""
    now = time.monotonic()
    assert budget.deadline is not None
    until = now + max(0.0, budget.deadline - now) * 2 / 3
    budget.progress(f"IC3 on {len(left)} targets")
    proved = _call(ic3.ENGINE, system, [targets[k] for k in left], replace(budget, deadline=until))
    for k, verdict in zip(left, proved, strict=True):
        answers[k] = _better(answers[k], Answered(verdict, "ic3"))
    runs = [k for k in left if isinstance(v := answers[k].verdict, Reached) and not v.shortest]
    if not runs:
        return
    deepest = max(len(v.run.moves) for k in runs if isinstance(v := answers[k].verdict, Reached))
    budget.progress(f"shortest runs of at most {deepest} steps")
    found = _call(bmc.ENGINE, system, [targets[k] for k in runs], replace(budget, depth=deepest))
    for k, verdict in zip(runs, found, strict=True):
        if isinstance(verdict, Reached):
            answers[k] = Answered(verdict, "bmc")


def _call(engine: Engine, system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    try:
        return engine.run(system, targets, budget)
    except GroundError as problem:
        return tuple(Unknown(Limit.SOLVER, str(problem)) for _ in targets)


def _decided(verdict: Verdict, budget: Budget) -> bool:
    """Whether no other engine need be asked: an answer for every depth, or for the depth that was asked for."""
    match verdict:
        case Reached() | Unreachable():
            return True
        case NotReachedWithin(depth):
            return budget.depth is not None and depth >= budget.depth
        case Unknown():
            return False


def _interrupted(answers: Sequence[Answered]) -> bool:
    return any(isinstance(a.verdict, Unknown) and a.verdict.limit is Limit.INTERRUPTED for a in answers)


def _better(old: Answered, new: Answered) -> Answered:
    """The answer that says more; between two that say nothing, the one that looked deeper."""
    if isinstance(new.verdict, Reached | Unreachable):
        return new
    if isinstance(old.verdict, Reached | Unreachable):
        return old
    return new if _depth(new.verdict) >= _depth(old.verdict) else old


def _depth(verdict: NotReachedWithin | Unknown) -> int:
    return verdict.depth


ENGINE = Engine("auto", "exhaustive search, then IC3, then bounded model checking, for what is still open", run)
