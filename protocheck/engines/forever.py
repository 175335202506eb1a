"""Claims about endless runs: the engines for them, in the order in which the name of an engine says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocheck.engines import assumed, auto, explore
from protocheck.engines.auto import Answered
from protocheck.engines.verdict import Budget, Limit, Unknown
from protocheck.ir.system import LiveTarget, System

FAIR = "fair cycles"
"""The name of the search for fair loops on the graph of all states."""

NO_ENGINE = "this engine decides no claims about endless runs; explore does"


@dataclass(frozen=True)
class Endless:
    """An answer, with the fairness that it needs, or words for what would exclude the run that was found."""

    answer: Answered
    needs: tuple[str, ...] = ()
    excluded: str = ""


def answer(system: System, targets: Sequence[LiveTarget], engine: str, budget: Budget) -> tuple[Endless, ...]:
    """One answer per target, in order, with the name of the engine that gave it; ``engine`` as for any other claim."""
    if engine == auto.ENGINE.name:
        budget = replace(budget, states=auto.STATES if budget.states is None else min(budget.states, auto.STATES))
    if engine in (auto.ENGINE.name, explore.ENGINE.name):
        found = assumed.examine(system, targets, budget)
        return tuple(Endless(Answered(j.verdict, FAIR), j.needs, j.excluded) for j in found)
    return tuple(Endless(Answered(Unknown(Limit.SOLVER, NO_ENGINE), engine)) for _ in targets)
