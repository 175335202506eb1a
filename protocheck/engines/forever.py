"""Claims about endless runs: the engines for them, in the order in which the name of an engine says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocheck.engines import assumed, bmc, explore, ic3, kinduction, live
from protocheck.engines.auto import Answered
from protocheck.engines.verdict import Budget, Limit, Unknown, Unreachable
from protocheck.findings import Proof
from protocheck.ir.system import LiveTarget, ProgressTarget, System

FAIR = "fair cycles"
"""The name of the search for fair loops on the graph of all states."""

STATES = 2_000_000
"""Up to so many states the graph is searched first: counting rounds seldom succeeds where it does not end soon."""

ROUNDS = "counted rounds"
"""The name of what decides where the graph is too large: proofs by counting rounds, loops by bounded search."""


@dataclass(frozen=True)
class Endless:
    """An answer, with the fairness that it needs, or words for what would exclude the run that was found.

    ``proof`` is one that can be checked again: of a system with a monitor beside it.
    """

    answer: Answered
    needs: tuple[str, ...] = ()
    excluded: str = ""
    proof: Proof | None = None


def answer(system: System, targets: Sequence[LiveTarget], engine: str, budget: Budget) -> tuple[Endless, ...]:
    """One answer per target, in order, with the name of the engine that gave it; ``engine`` as for any other claim."""
    match engine:
        case explore.ENGINE.name:
            return _search(system, targets, budget)
        case bmc.ENGINE.name:
            return tuple(_reduced(system, live.find(system, t, part), engine) for t, part in _parts(targets, budget))
        case ic3.ENGINE.name:
            return tuple(_reduced(system, live.decide(system, t, part), engine) for t, part in _parts(targets, budget))
        case kinduction.ENGINE.name:
            by = kinduction.run
            parts = _parts(targets, budget)
            return tuple(_reduced(system, live.decide(system, t, part, by), engine) for t, part in parts)
        case _:
            few = replace(budget, states=STATES if budget.states is None else min(budget.states, STATES))
            found = list(_search(system, targets, few))
            large = [k for k, each in enumerate(found) if _too_large(targets[k], each)]
            for k, (target, part) in zip(large, _parts([targets[k] for k in large], budget), strict=True):
                found[k] = _reduced(system, live.decide(system, target, part), ROUNDS)
            return tuple(found)


def _parts(targets: Sequence[LiveTarget], budget: Budget) -> Iterator[tuple[LiveTarget, Budget]]:
    """Each target with an equal share of the time that is left when it is its turn."""
    for k, target in enumerate(targets):
        now = time.monotonic()
        deadline = budget.deadline
        if deadline is not None:
            deadline = now + max(0.0, deadline - now) / (len(targets) - k)
        yield target, replace(budget, deadline=deadline)


def explained(system: System, target: ProgressTarget, known: Endless, budget: Budget) -> Endless:
    """``known``, which says that the claim holds, with a proof that can be told and checked, if there is one."""
    found = live.proof(system, target, budget)
    if not isinstance(found.verdict, Unreachable) or found.reduced is None:
        return known
    proof = Proof(found.reduced.system, found.reduced.target, found.verdict)
    return Endless(Answered(found.verdict, ROUNDS), known.needs, "", proof)


def _search(system: System, targets: Sequence[LiveTarget], budget: Budget) -> tuple[Endless, ...]:
    found = assumed.examine(system, targets, budget)
    return tuple(Endless(Answered(j.verdict, FAIR), j.needs, j.excluded) for j in found)


def _too_large(target: LiveTarget, found: Endless) -> bool:
    verdict = found.answer.verdict
    return isinstance(target, ProgressTarget) and isinstance(verdict, Unknown) and verdict.limit is Limit.STATES


def _reduced(system: System, found: live.Decided, engine: str) -> Endless:
    answer = Answered(found.verdict, engine)
    if not isinstance(found.verdict, Unreachable) or found.reduced is None:
        return Endless(answer)
    needs = tuple(f.name for f in system.fairness)
    return Endless(answer, needs, "", Proof(found.reduced.system, found.reduced.target, found.verdict))
