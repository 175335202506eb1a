"""A shortest run by bounded model checking in which interchangeable members appear in order.

Whoever renames the interchangeable members of a scalarset in a run, from where runs begin to the target, gets a run
again. So of the runs that differ by a renaming one is enough: the one in which the members, read step by step and in
the order of each step's parameters, appear for the first time in their own order. A step may then take a member only
if the one before it has been taken, in an earlier step or earlier in the same; the solver is told so. J. Crawford,
M. Ginsberg, E. Luks and A. Roy, "Symmetry-breaking predicates for search problems", 1996, with the whole group broken
at once, since first appearances are in some order.

NOTE(first-appearance): let a run be given, and let a permutation send the members of each scalarset, in the order of
their first appearance in the run, to the first, second, ... unnamed member, and the others anywhere. Steps, targets and
beginnings are symmetric, so the image is a run of the same length to the same target, and it keeps the order. Hence
where no run in order has some length, no run has it.

A compiler resets locals that are not needed any more to a fixed member, which breaks the symmetry to no purpose. As in
:mod:`protocheck.engines.ic3` the search is then made in a system that may store any member there: it can do all that
the system does, so what is excluded for it is excluded. A run that it finds is replayed in the system itself, and if
that fails nothing is claimed.

Where steps times events are not too many, the run is the calmest of those in order. A renaming keeps context switches,
so no run at all has fewer; of the runs with as few, and of as few choices that are not the first one, one in order is
taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocheck.engines.bmc import calmest
from protocheck.engines.smt import Interrupted, Unrolling, decided
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Limit,
    NotReachedWithin,
    Reached,
    Unknown,
    Verdict,
)
from protocheck.ir.cone import cone
from protocheck.ir.ground import (
    FALSE_LIT,
    Event,
    GroundSystem,
    GroundTarget,
    ground,
    symmetric_beginnings,
    symmetric_scalarsets,
)
from protocheck.ir.sorts import ScalarSort, scalarset_of
from protocheck.ir.system import PropertyTarget, System
from protocheck.traces.replay import ReplayFailed, replay

CALM_SIZE = 1_200
"""Steps times events up to which a run is made calm: above, that takes longer than to find it."""


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target: a shortest run to it, calm among those in order, or how far was looked."""
    return tuple(_shortest(system, target, budget) for target in targets)


def orderly(system: System, target: PropertyTarget) -> tuple[ScalarSort, ...]:
    """The scalarsets whose members may be asked to appear in order in runs of the loose system to ``target``."""
    begin = symmetric_beginnings(system)
    return tuple(s for s in symmetric_scalarsets(system, [target], resets=True) if s.name in begin)


def _shortest(system: System, target: PropertyTarget, budget: Budget) -> Verdict:
    part = cone(system, [target])
    sorts = orderly(part, target)
    strict = {s.name for s in symmetric_scalarsets(part, [target])}
    grounded = ground(part, frozenset(s.name for s in sorts if s.name not in strict))
    done = -1
    try:
        search = _Ordered(grounded, sorts)
        while True:
            found = search.look(grounded.target(target), budget)
            if found is not None:
                break
            done += 1
            if budget.depth is not None and done >= budget.depth:
                return NotReachedWithin(done)
            search.extend()
    except Interrupted as stop:
        return Unknown(stop.limit, stop.detail, done)
    except KeyboardInterrupt:
        return Unknown(Limit.INTERRUPTED, "", done)
    try:
        replay(system, target, found.run)
    except ReplayFailed:
        return Unknown(Limit.SOLVER, "a run that only the loose system has", done)
    return found


class _Ordered:
    """Runs of one length, then of one more, in which the members of ``sorts`` appear in order."""

    def __init__(self, grounded: GroundSystem, sorts: Sequence[ScalarSort]) -> None:
        self.ground = grounded
        self.sorts = tuple(sorts)
        self.unrolling = Unrolling(grounded, from_start=True)
        self.members = [[self._members(e, s) for e in grounded.events] for s in self.sorts]
        false = self.unrolling.solver.false
        self.used = [[false] * len(s.members) for s in self.sorts]  # per scalarset and member: has it been taken?

    def _members(self, event: Event, sort: ScalarSort) -> tuple[int, ...]:
        """The unnamed members of ``sort`` that ``event`` takes, in the order of its parameters, each once."""
        params = self.ground.system.transitions[event.transition].params
        found = [v for p, v in zip(params, event.values, strict=True) if scalarset_of(p.sort) == sort]
        return tuple(dict.fromkeys(v for v in found if sort.named <= v < len(sort.members)))

    def extend(self) -> None:
        """Look at runs of one step more."""
        solver = self.unrolling.solver
        self.unrolling.extend()
        row = self.unrolling.chosen[-1]
        for k, (sort, taken) in enumerate(zip(self.sorts, self.members, strict=True)):
            before = self.used[k]
            takers: list[list[int]] = [[] for _ in sort.members]
            for on, members in zip(row, taken, strict=True):
                for place, member in enumerate(members):
                    takers[member].append(on)
                    if member > sort.named and member - 1 not in members[:place]:
                        solver.clause((solver.not_(on), before[member - 1]))
            self.used[k] = after = list(before)
            for member in range(sort.named, len(sort.members)):
                if before[member] == solver.true or not takers[member]:
                    continue
                if member > sort.named and before[member - 1] == solver.false and not self._pairs(k, member):
                    break  # nobody can have come so far
                after[member] = solver.fresh()
                solver.clause((solver.not_(after[member]), before[member], *takers[member]))

    def _pairs(self, k: int, member: int) -> bool:
        """Whether some step takes ``member`` right after the one before it."""
        return any(member in m and member - 1 in m[: m.index(member)] for m in self.members[k])

    def look(self, target: GroundTarget, budget: Budget) -> Reached | None:
        """A run that ends in the last state or in a step from it. If there is none, longer ones need not look again."""
        unrolling = self.unrolling
        via = self.ground.circuit.or_(e.lit for e in target.endings if e.via is not None)
        for literal, is_via in ((target.state, False), (via, True)):
            if literal == FALSE_LIT or (is_via and budget.depth is not None and unrolling.depth >= budget.depth):
                continue
            goal = unrolling.at(literal, unrolling.depth)
            if decided(unrolling.solver, (goal,), budget):
                if unrolling.depth * len(self.ground.events) > CALM_SIZE:
                    return Reached(unrolling.run(unrolling.depth, target, via=is_via), True)
                return Reached(calmest(unrolling, goal, target, via=is_via, budget=budget), True)
            unrolling.solver.add(unrolling.solver.not_(goal))
        return None


ENGINE = Engine("bmc", "the same, for a shortest, calm run in which members appear in order", run)
