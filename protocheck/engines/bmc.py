"""Bounded model checking: is there a run of 0, 1, 2, ... steps to the target? One incremental solver for all targets.

A. Biere, A. Cimatti, E. Clarke, Y. Zhu, "Symbolic model checking without BDDs", 1999. The first run found is among the
shortest; of these the *calmest* is returned: fewest context switches, then fewest choices that are not the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from protocheck.engines.smt import Interrupted, Unrolling, decided, exactly_one
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Induction,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.cone import cone
from protocheck.ir.expr import Param
from protocheck.ir.ground import FALSE_LIT, Event, GroundSystem, GroundTarget, ground
from protocheck.ir.sorts import low_of
from protocheck.ir.system import PropertyTarget, System


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target: the shortest, calmest run to it, or how far was looked.

    If some depth has no runs at all, every run is shorter and what was not reached never is: ``Unreachable``.
    """
    grounded = ground(cone(system, targets))
    return search(grounded, [grounded.target(t) for t in targets], budget)


def search(grounded: GroundSystem, targets: Sequence[GroundTarget], budget: Budget) -> tuple[Verdict, ...]:
    """As :func:`run`, on a ground system."""
    found: dict[int, Verdict] = {}
    done = -1
    try:
        unrolling = Unrolling(grounded, from_start=True)
        while True:
            _look(unrolling, targets, found, budget)
            done = unrolling.depth
            if len(found) == len(targets):
                break
            if budget.depth is not None and done >= budget.depth:
                return _fill(found, NotReachedWithin(done), len(targets))
            budget.progress(f"no run of at most {done} steps")
            unrolling.extend()
            if not decided(unrolling.solver, (), budget):
                return _fill(found, Unreachable(Induction(done)), len(targets))
    except Interrupted as stop:
        return _fill(found, Unknown(stop.limit, stop.detail, done), len(targets))
    except KeyboardInterrupt:
        return _fill(found, Unknown(Limit.INTERRUPTED, "", done), len(targets))
    return _fill(found, NotReachedWithin(done), len(targets))


def _fill(found: dict[int, Verdict], rest: Verdict, count: int) -> tuple[Verdict, ...]:
    return tuple(found.get(n, rest) for n in range(count))


def _look(
    unrolling: Unrolling, targets: Sequence[GroundTarget], found: dict[int, Verdict], budget: Budget
) -> None:
    """Ask for runs that end in the last state or, one step longer, in a step from it."""
    depth = unrolling.depth
    circuit = unrolling.ground.circuit
    for number, target in enumerate(targets):
        if number in found:
            continue
        via = circuit.or_(e.lit for e in target.endings if e.via is not None)
        for literal, is_via in ((target.state, False), (via, True)):
            if literal == FALSE_LIT or (is_via and budget.depth is not None and depth >= budget.depth):
                continue
            goal = unrolling.at(literal, depth)
            if decided(unrolling.solver, (goal,), budget):
                found[number] = Reached(calmest(unrolling, goal, target, via=is_via, budget=budget), shortest=True)
                break
            unrolling.solver.add(unrolling.solver.not_(goal))


def calmest(unrolling: Unrolling, goal: int, target: GroundTarget, *, via: bool, budget: Budget) -> Run:
    """The calmest run that satisfies ``goal`` in the last state. Called when the last check has a model of one.

    Two bounded sums are made smaller under assumptions until that is impossible, then events are made as early in the
    order of the system as they can be, step by step: the answer is the same whatever models Z3 likes. Out of time, or
    interrupted, the calmest run found until then is returned: it is as short as any.
    """
    solver = unrolling.solver
    best = unrolling.run(unrolling.depth, target, via=via)
    rows = [list(zip(chosen, unrolling.ground.events, strict=True)) for chosen in unrolling.chosen]
    if via:
        rows.append(_last_step(unrolling, goal, target))
    held = [goal]
    try:
        for terms in (_switches(unrolling, rows), _costs(unrolling, rows)):
            count = len(terms)
            while count > 0:
                bound = _at_most(unrolling, terms, count - 1)
                if not decided(solver, [*held, bound], budget):
                    break
                best = unrolling.run(unrolling.depth, target, via=via)
                count = sum(solver.value(t) for t in terms)
            held.append(_at_most(unrolling, terms, count))
        for row in rows:
            if not decided(solver, held, budget):
                raise AssertionError("the calmest run has vanished")
            place = next(n for n, (on, _) in enumerate(row) if solver.value(on))
            while place > 0:
                earlier = solver.fresh()
                solver.clause([solver.not_(earlier), *(on for on, _ in row[:place])])
                if not decided(solver, [*held, earlier], budget):
                    break
                best = unrolling.run(unrolling.depth, target, via=via)
                place = next(n for n, (on, _) in enumerate(row) if solver.value(on))
            if row:
                held.append(row[place][0])
        if decided(solver, held, budget):
            best = unrolling.run(unrolling.depth, target, via=via)
    except (Interrupted, KeyboardInterrupt):
        pass
    return best


def _at_most(unrolling: Unrolling, terms: Sequence[int], count: int) -> int:
    solver = unrolling.solver
    bound = solver.fresh()
    solver.clause((solver.not_(bound), solver.at_most(terms, count)))
    return bound


def _last_step(unrolling: Unrolling, goal: int, target: GroundTarget) -> list[tuple[int, Event]]:
    """The choice of the step in which the target is reached, as constants of which exactly one is true under goal."""
    solver = unrolling.solver
    row = []
    for ending in target.endings:
        if ending.via is not None:
            on = solver.fresh()
            solver.clause((solver.not_(on), unrolling.at(ending.lit, unrolling.depth)))
            row.append((on, unrolling.ground.events[ending.via]))
    solver.clause([solver.not_(goal), *(on for on, _ in row)])
    for clause in exactly_one(solver, [on for on, _ in row])[1:]:
        solver.add(clause)
    return row


def cost(system: System, event: Event) -> int:
    """How many choices of ``event`` are not the first one."""
    transition = system.transitions[event.transition]
    thread = next(t for t in system.threads if t.name == transition.thread)
    arity = len(thread.params)
    chosen: Sequence[Param] = transition.params[arity:]
    odd = sum(v != low_of(p.sort) for p, v in zip(chosen, event.values[arity:], strict=True))
    return odd + (not transition.calm)


def _switches(unrolling: Unrolling, rows: Sequence[Sequence[tuple[int, Event]]]) -> list[int]:
    """One constant per pair of neighbouring steps, true where the thread instance changes."""
    solver = unrolling.solver
    threads: list[list[int]] = []
    for row in rows:
        by_thread: dict[int, list[int]] = {}
        for on, event in row:
            by_thread.setdefault(event.thread, []).append(on)
        named = []
        for thread in range(len(unrolling.ground.instances)):
            name = solver.fresh()
            solver.add(solver.iff(name, solver.or_(by_thread[thread]) if thread in by_thread else solver.false))
            named.append(name)
        threads.append(named)
    switches = []
    for before, after in pairwise(threads):
        switch = solver.fresh()
        for a, b in zip(before, after, strict=True):
            solver.clause((switch, solver.not_(a), b))
        switches.append(switch)
    return switches


def _costs(unrolling: Unrolling, rows: Sequence[Sequence[tuple[int, Event]]]) -> list[int]:
    """Constants that add up to at least the number of choices that are not the first one, over all steps."""
    solver = unrolling.solver
    costs = [cost(unrolling.ground.system, event) for event in unrolling.ground.events]
    units = []
    for row in rows:
        for level in range(1, max((costs[e.number] for _, e in row), default=0) + 1):
            unit = solver.fresh()
            for on, event in row:
                if costs[event.number] >= level:
                    solver.clause((solver.not_(on), unit))
            units.append(unit)
    return units


ENGINE = Engine("bmc", "bounded model checking: the shortest, calmest run, or how far was looked", run)
