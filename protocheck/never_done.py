"""Why a claim about the end of all runs is never evaluated: the threads that never come to their end."""

from __future__ import annotations

from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Unreachable
from protocheck.ir.expr import Expr, forall, implies
from protocheck.ir.system import Case, System, Target, ThreadClass, ThreadKind
from protocheck.traces.trace import plain_name

STATES = 20_000
"""How many states are looked at: the words are worth no more."""

_NEVER = {
    ThreadKind.THREAD: "never ends",
    ThreadKind.SERVER: "never waits where it may for ever (`idle`)",
    ThreadKind.ENVIRONMENT: "never comes to rest",
    ThreadKind.ADVERSARY: "never comes to rest",
}


def never_done(system: System, deadline: float | None = None) -> str:
    """Which threads are done in no reachable state (all their instances at once), in words; "" if none is to blame.

    Nothing is said where a search of :data:`STATES` states, until ``deadline``, does not reach its end.
    """
    targets = [Target((Case((), _all_done(thread)),)) for thread in system.threads]
    found = explore(system, targets, Budget(deadline=deadline, states=STATES))
    guilty = [
        f"{plain_name(thread.name)} {_NEVER[thread.kind]}"
        for thread, verdict in zip(system.threads, found.verdicts, strict=True)
        if isinstance(verdict, Unreachable)
    ]
    return " and ".join(guilty)


def _all_done(thread: ThreadClass) -> Expr:
    return forall(thread.params, implies(thread.where, thread.done))
