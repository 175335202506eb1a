"""The default: several engines in turn, each asked only what the ones before it left open.

A small instance is searched exhaustively first: exact, shortest runs, and all targets are answered at once; where
states are dear and questions few, IC3 is given a short time before the search goes on for long. What is left, and all
of a large instance, goes to IC3, which proves or refutes whatever the sizes; where the length of a run matters, a
shortest run is then looked for, up to the length of the one that was found: where there are many events, among the ways
to count alike threads, if nothing else tells them apart; by bounded model checking with alike members in order; if that
fails, by an IC3 that finds no others, or with members in any order. What IC3 cannot decide in its share of the time is
searched for without a limit on states, and at last looked at by bounded model checking for as long as there is time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import factorial

from protocheck.engines import bmc, explore, ic3, shortest
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Limit,
    Meter,
    NotReachedWithin,
    Reached,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.cone import cone, without_idle_choices
from protocheck.ir.ground import TOO_DEEP, GroundError
from protocheck.ir.sorts import product_size
from protocheck.ir.system import PropertyTarget, System

SECONDS = 120.0
"""Time for one call, if the budget names none."""

STATES, MANY_STATES, MANY_QUESTIONS = 150_000, 250_000, 5
"""States that the first search may visit, and how many where it answers so many questions at once, each of which would
be a proof of its own."""

FEW_RENAMINGS, RENAMINGS = 6, 1_000
"""Where members can be renamed in more ways than the first (times a third of the questions), each state takes longer,
and the first search visits fewer; an instance with more than the second is not searched first at all."""

CALM_STEPS, CALM_SIZE = 16, 2_000
"""A run found by search is made calm if it has at most so many steps, and steps times events stay below the second."""

COUNTED_STEPS, COUNTED_LATER, COUNTED_CALM = 20_000, 30_000, 500
"""A search among alike threads may take so many steps before IC3, and visit so many states after it; up to the last
number of states a run is made calm."""

FEW_QUESTIONS, SHORTER, LEAST, GLIMPSE = 2, 4, 700, 3_000
"""Where each state takes longer and only so many targets are open, a search of so many times fewer states (but this
many) comes first and then IC3 with so many questions to its solver."""

QUICK_SIZE = 800
"""Steps times events up to which a shortest run in order is found quickly; above, others may be quicker."""

FIRST_SHARE, PROOF_SHARE, SHORTEST_SHARE, SEARCH_SHARE = 0.25, 0.6, 0.3, 0.5
"""Shares of the time that is left: for the first search, for IC3, for its search for shortest runs, for the rest."""


@dataclass(frozen=True)
class Answered:
    """A verdict and the name of the engine that gave it."""

    verdict: Verdict
    engine: str


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target, in order."""
    return tuple(a.verdict for a in portfolio(system, targets, budget))


def portfolio(
    system: System,
    targets: Sequence[PropertyTarget],
    budget: Budget,
    optional: Collection[int] = (),
    any_run: Collection[int] = (),
) -> tuple[Answered, ...]:
    """As :func:`run`, with the engine of each verdict.

    ``optional`` targets are not worth more than a search that is made anyway. For those in ``any_run`` a run need not
    be a shortest one. With ``budget.depth`` only runs up to that depth are looked at, and IC3 (which cannot stop there)
    is not asked. ``budget.states`` limits each search.
    """
    if budget.deadline is None:
        budget = replace(budget, deadline=time.monotonic() + SECONDS)
    work = _Work(system, targets, budget, optional)
    ways = renamings(system)
    if ways <= RENAMINGS:
        questions = len(work.open())
        most = MANY_STATES if questions >= MANY_QUESTIONS else STATES
        states = int(most * min(1, FEW_RENAMINGS * max(1, questions // 3) / ways))
        states = states if budget.states is None else min(states, budget.states)
        if ways > FEW_RENAMINGS and questions <= FEW_QUESTIONS and budget.depth is None:
            fewer = min(states, max(LEAST, states // SHORTER))
            work.search(replace(_share(budget, FIRST_SHARE), states=fewer))
            meter = Meter(GLIMPSE, budget.meter)
            work.ask(ic3.ENGINE, work.open(), replace(_share(budget, FIRST_SHARE), meter=meter))
        if work.exploration is None or work.open():
            work.search(replace(_share(budget, FIRST_SHARE), states=states))
    elif budget.depth is None:
        work.count(work.open(), replace(_share(budget, FIRST_SHARE), states=COUNTED_STEPS // max(1, work.events)))
    if budget.depth is None:
        work.ask(ic3.ENGINE, work.open(), _share(budget, PROOF_SHARE))
        long = [k for k in work.open(long_runs=True) if k not in any_run]
        large = [k for k in long if work.steps(k) * work.events > QUICK_SIZE]
        work.count([*large, *work.open()], replace(_share(budget, SHORTEST_SHARE), states=COUNTED_LATER))
        for engine, which in ((shortest.ENGINE, long), (ic3.SHORTEST, large)):
            for k in which:
                if k in work.open(long_runs=True):
                    work.ask(engine, [k], replace(_share(budget, SHORTEST_SHARE), depth=work.steps(k)))
        long = [k for k in work.open(long_runs=True) if k not in any_run]
        deepest = max((work.steps(k) for k in long), default=0)
        work.ask(bmc.ENGINE, long, replace(_share(budget, SEARCH_SHARE), depth=deepest))
    work.ask(explore.ENGINE, work.open(), _share(budget, SEARCH_SHARE))
    work.ask(bmc.ENGINE, work.open(), budget)
    work.calm([k for k in range(len(targets)) if k not in any_run and k not in optional])
    return tuple(work.answers)


class _Work:
    """The best answers until now, and whether somebody wants them at once."""

    def __init__(
        self, system: System, targets: Sequence[PropertyTarget], budget: Budget, optional: Collection[int]
    ) -> None:
        self.system = system
        self.targets = targets
        self.budget = budget
        self.optional = optional
        self.answers = [Answered(Unknown(Limit.TIME), "none") for _ in targets]
        self.interrupted = False
        self.exploration: explore.Exploration | None = None
        self.counted: dict[int, explore.Exploration] = {}
        self.events = sum(product_size([p.sort for p in t.params]) for t in system.transitions)

    def steps(self, number: int) -> int:
        """The length of the run to that target, 0 without one."""
        verdict = self.answers[number].verdict
        return len(verdict.run.moves) if isinstance(verdict, Reached) else 0

    def open(self, *, long_runs: bool = False) -> list[int]:
        """The targets that are worth asking about again; with ``long_runs`` those that may have a shorter run."""
        if long_runs:
            return [k for k, a in enumerate(self.answers) if isinstance(a.verdict, Reached) and not a.verdict.shortest]
        return [
            k for k, a in enumerate(self.answers) if k not in self.optional and not _decided(a.verdict, self.budget)
        ]

    def ask(self, engine: Engine, which: Sequence[int], budget: Budget) -> None:
        """Ask ``engine`` about some of the targets and keep what is better than what was known."""
        if self.interrupted or not which:
            return
        self.budget.progress(f"{engine.name}: {len(which)} question{'' if len(which) == 1 else 's'} open")
        found = _call(engine, self.system, [self.targets[k] for k in which], budget)
        self.keep(engine, which, found)

    def search(self, budget: Budget) -> None:
        """Search for all targets at once, and keep what the search knows."""
        try:
            self.exploration = explore.explore(self.system, self.targets, budget)
        except GroundError as problem:
            found: Sequence[Verdict] = [Unknown(Limit.SOLVER, str(problem)) for _ in self.targets]
        else:
            found = self.exploration.verdicts
        self.keep(explore.ENGINE, range(len(self.targets)), found)

    def count(self, which: Sequence[int], budget: Budget) -> None:
        """Search for shortest runs where alike members have to be counted only, in the part that matters.

        Nothing is claimed of what is not found: the part that was searched is not the system.
        """
        if budget.states is not None and self.budget.states is not None:
            budget = replace(budget, states=min(budget.states, self.budget.states))
        for k in which:
            if self.interrupted:
                return
            try:
                part = without_idle_choices(cone(self.system, [self.targets[k]]), [self.targets[k]])
                if not explore.countable(part, self.targets[k]):
                    continue
                found = explore.explore(part, [self.targets[k]], budget)
            except (GroundError, RecursionError):
                continue
            (verdict,) = found.verdicts
            if isinstance(verdict, Reached):
                self.keep(explore.ENGINE, [k], found.verdicts)
                self.counted[k] = found
            self.interrupted = self.interrupted or _is_interrupted(verdict)

    def keep(self, engine: Engine, which: Sequence[int], found: Sequence[Verdict]) -> None:
        """Keep what is better than what was known."""
        for k, verdict in zip(which, found, strict=True):
            self.interrupted = self.interrupted or _is_interrupted(verdict)
            self.answers[k] = _better(self.answers[k], Answered(verdict, engine.name))

    def calm(self, which: Sequence[int]) -> None:
        """Of the shortest runs that the search found, take the calmest, where bounded model checking is quick.

        The engine's name stays that of the search: it is what shows that no shorter run exists.
        """
        events = self.events
        short: dict[int, int] = {}
        for k in which:
            verdict = self.answers[k].verdict
            if self.answers[k].engine == explore.ENGINE.name and isinstance(verdict, Reached):
                steps = len(verdict.run.moves)
                counted = self.counted.get(k)
                if counted is not None and counted.states > COUNTED_CALM:
                    continue
                if 0 < steps <= CALM_STEPS and steps * events <= CALM_SIZE and not self.interrupted:
                    calm = self._calm(k)
                    if calm is None and counted is not None:
                        continue
                    if calm is None:
                        short[k] = steps
                    else:
                        self.answers[k] = Answered(calm, explore.ENGINE.name)
        if self.interrupted or not short:
            return
        budget = replace(self.budget, depth=max(short.values()))
        found = _call(bmc.ENGINE, self.system, [self.targets[k] for k in short], budget)
        for k, verdict in zip(short, found, strict=True):
            if isinstance(verdict, Reached) and len(verdict.run.moves) == short[k]:
                self.answers[k] = Answered(verdict, explore.ENGINE.name)

    def _calm(self, number: int) -> Reached | None:
        """The calmest run, if it can be read off what the first search has seen."""
        try:
            if number in self.counted:
                return self.counted[number].calm(0)
            return None if self.exploration is None else self.exploration.calm(number)
        except KeyboardInterrupt:
            self.interrupted = True
            return None


def _share(budget: Budget, share: float) -> Budget:
    """``budget`` with only a share of the time that is left."""
    now = time.monotonic()
    assert budget.deadline is not None
    return replace(budget, deadline=now + max(0.0, budget.deadline - now) * share)


def renamings(system: System) -> int:
    """In how many ways the interchangeable members of the scalarsets can be renamed."""
    count = 1
    for sort in system.scalarsets:
        count *= factorial(len(sort.members) - sort.named)
    return count


def _call(engine: Engine, system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    try:
        return engine.run(system, targets, budget)
    except (GroundError, RecursionError) as problem:
        text = TOO_DEEP if isinstance(problem, RecursionError) else str(problem)
        return tuple(Unknown(Limit.SOLVER, text) for _ in targets)


def _decided(verdict: Verdict, budget: Budget) -> bool:
    """Whether no other engine need be asked: an answer for every depth, or for the depth that was asked for."""
    match verdict:
        case Reached() | Unreachable():
            return True
        case NotReachedWithin(depth):
            return budget.depth is not None and depth >= budget.depth
        case Unknown():
            return False


def _is_interrupted(verdict: Verdict) -> bool:
    return isinstance(verdict, Unknown) and verdict.limit is Limit.INTERRUPTED


def _better(old: Answered, new: Answered) -> Answered:
    """The answer that says more: a shortest run or a proof, any run, else whichever looked deeper."""
    return new if _worth(new.verdict) >= _worth(old.verdict) else old


def _worth(verdict: Verdict) -> tuple[int, int]:
    match verdict:
        case Reached(_, shortest):
            return 3 if shortest else 2, 0
        case Unreachable():
            return 3, 0
        case NotReachedWithin(depth):
            return 1, depth
        case Unknown(_, _, depth):
            return 1, depth


ENGINE = Engine("auto", "exhaustive search, IC3, bounded model checking: each for what is still open", run)
