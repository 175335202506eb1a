"""Several runs to one target that differ: in where they end, in what is done on the way, or in the order of it.

A search visits the states up to symmetry and stops wherever the target is met for the first time; of each such end all
shortest ways are looked at. Where there are too many states, bounded model checking finds one run after the other, each
pattern that was found excluded by a clause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import TypeAlias

from protocheck.engines.explore import Search
from protocheck.engines.smt import Interrupted, Unrolling, decided
from protocheck.engines.verdict import Budget, Choice, Run
from protocheck.ir.ground import FALSE_LIT, GroundError, GroundTarget, ground
from protocheck.ir.interp import NotEnabledError, State, begin, deadlock, mover, step
from protocheck.ir.sorts import Sort, scalarset_of
from protocheck.ir.system import DeadlockTarget, PropertyTarget, System

STATES = 50_000
"""States that the search may visit."""

RUNS = 5_000
"""Ways that it looks at, at most."""

Pattern: TypeAlias = tuple[tuple[object, ...], ...]
"""The steps of a run: thread class, statement, and who takes it, members numbered in the order of their appearance."""


@dataclass(frozen=True)
class Several:
    """``runs`` that differ, the given one first. ``found`` of them are known; ``complete``: there are no others.

    Others that are longer than the shortest ones to the same end, or go on after the target, are not counted. ``ends``
    is the number of different ends among all that are known.
    """

    runs: tuple[Run, ...]
    found: int
    ends: int
    complete: bool


def several(system: System, target: PropertyTarget, first: Run, count: int, budget: Budget) -> Several:
    """Up to ``count`` runs to ``target`` that differ, ``first`` among them, the shortest and most different first.

    First those that end otherwise: at another assertion, in another cycle of waiting. Then those that do other things,
    then those that do the same in another order. No two are alike up to the names of interchangeable members.
    """
    known = {_key(system, target, first): first}
    complete = _search(system, target, known, replace(budget, states=min(budget.states or STATES, STATES)))
    if not complete and len(known) < count:
        _bounded(system, target, known, count, budget)
    keys = list(known)
    rest = sorted(keys[1:], key=lambda k: (len(known[k].moves), _switches(system, known[k]), repr(k)))
    chosen = [keys[0]]
    for news in (_end_of, _doings, lambda k: k):
        told = {news(k) for k in chosen}
        for k in rest:
            if news(k) not in told and len(chosen) < count:
                told.add(news(k))
                chosen.append(k)
    ordered = [chosen[0], *(k for k in rest if k in set(chosen[1:]))]
    ends = len({_end_of(k) for k in keys})
    return Several(tuple(known[k] for k in ordered), len(keys), ends, complete)


# --------------------------------------------------------------------------------------------------------------------
# What makes two runs different

_Key: TypeAlias = tuple[object, Pattern]
"""Where a run ends, and its pattern."""


def _end_of(key: _Key) -> object:
    return key[0]


def _doings(key: _Key) -> object:
    """What is done, whatever the order and whoever does it."""
    return key[0], tuple(sorted(repr(s[:2]) for s in key[1]))


def _key(system: System, target: PropertyTarget, run: Run) -> _Key:
    """Up to symmetry: members of scalarsets that have no name of their own are numbered as they appear."""
    seen: dict[str, dict[int, int]] = {}

    def number(sort: Sort, value: int) -> object:
        scalar = scalarset_of(sort)
        if scalar is None or not scalar.named <= value < len(scalar.members):
            return value
        names = seen.setdefault(scalar.name, {})
        return "member", names.setdefault(value, len(names))

    pattern: list[tuple[object, ...]] = []
    for move in run.moves:
        who = mover(system, move)
        params = system.transitions[move.which].params
        values = tuple(number(p.sort, v) for p, v in zip(params, who.values, strict=False))
        pattern.append((who.thread, move.which, values))
    return _ending(system, target, run), tuple(pattern)


def _ending(system: System, target: PropertyTarget, run: Run) -> object:
    if isinstance(target, DeadlockTarget):
        members = deadlock(system, _last(system, run))
        kept = members
        while True:  # whoever only waits for others, and nobody for them, is not part of the cycle
            wanted = {other for b in kept for other, _ in b.on}
            inner = tuple(b for b in kept if b.who in wanted)
            if len(inner) == len(kept):
                break
            kept = inner
        return tuple(sorted((b.who.thread, b.waits) for b in kept or members))
    assert run.end is not None
    case = target.cases[run.end.which]
    return (case.via, case.check) if case.via is not None else run.end.which


def _last(system: System, run: Run) -> State:
    state = begin(system, run.init)
    for move in run.moves:
        after = step(system, state, move).state
        if after is None:
            raise NotEnabledError("the run goes on after its end")
        state = after
    return state


def _switches(system: System, run: Run) -> int:
    return sum(mover(system, a) != mover(system, b) for a, b in pairwise(run.moves))


# --------------------------------------------------------------------------------------------------------------------
# Exhaustive search


_Edge: TypeAlias = tuple[int, int, tuple[int, ...], int]
"""From which packed state, which step, and to which one (before it is renamed)."""


class _Ways:
    """All shortest ways to where the target is first met."""

    def __init__(self, system: System, target: PropertyTarget, budget: Budget) -> None:
        self.target = target
        self.search = Search(system, (target,), budget, symmetry=True).prepared()
        self.into: dict[int, list[_Edge]] = {}
        self.hits: list[tuple[int, bool]] = []
        self.complete = self._fill(budget)

    def _fill(self, budget: Budget) -> bool:
        search, target = self.search, self.target
        vias = set() if isinstance(target, DeadlockTarget) else {c.via for c in target.cases if c.via is not None}
        check = search.checker((0,))
        level = dict.fromkeys(search.begin(), 0)
        layer, depth = list(level), 0
        while layer:
            following: dict[int, None] = {}
            for state in layer:
                if budget.expired() or (budget.states is not None and len(level) > budget.states):
                    return False
                found: dict[int, int] = {}
                check((state,), found)
                if found:
                    self.hits.append((state, False))
                    continue
                moves = search.moves(state)
                failing: set[Choice] = set()
                if not isinstance(target, DeadlockTarget) and any(w in vias for w, _, _ in moves):
                    failing = {s for _, s in search.endings(target, state, True) if s is not None}
                    if failing:
                        self.hits.append((state, True))
                for which, values, after in moves:
                    if after is None or Choice(which, values) in failing:
                        continue
                    kept = search.representative(after)
                    if level.setdefault(kept, depth + 1) == depth + 1:
                        following[kept] = None
                        self.into.setdefault(kept, []).append((state, which, values, after))
            if budget.depth is not None and depth >= budget.depth:
                return not following
            layer, depth = list(following), depth + 1
        return True

    def runs(self, state: int, by_step: bool) -> Iterator[Run]:
        """Every shortest run that ends in ``state``, or in a step out of it."""
        for start, edges in self._back(state):
            yield from self._told(start, edges, state, by_step)

    def _back(self, state: int) -> Iterator[tuple[int, list[_Edge]]]:
        open_: list[tuple[int, list[_Edge]]] = [(state, [])]
        while open_:
            here, rest = open_.pop()
            if here in self.search.begun:
                yield here, rest
                continue
            open_ += [(edge[0], [edge, *rest]) for edge in reversed(self.into[here])]

    def _told(self, start: int, edges: list[_Edge], state: int, by_step: bool) -> Iterator[Run]:
        """The run of the system that passes through states like these."""
        search, target = self.search, self.target
        init = search.begun[start]
        renaming = search.renaming(search.starts[init])
        moves: list[Choice] = []
        for _, which, values, after in edges:
            moves.append(search.undo(which, values, renaming))
            renaming = search.compose(search.renaming(after), renaming)
        if isinstance(target, DeadlockTarget):
            yield Run(init, tuple(moves))
            return
        inverse = tuple(tuple(sorted(range(len(m)), key=m.__getitem__)) for m in renaming)
        for end, last in search.endings(target, state, by_step):
            params = target.cases[end.which].params
            shown = Choice(
                end.which, tuple(search.image(p, v, inverse) for p, v in zip(params, end.values, strict=True))
            )
            whole = [*moves, search.undo(last.which, last.values, renaming)] if last is not None else moves
            yield Run(init, tuple(whole), shown)


def _search(system: System, target: PropertyTarget, known: dict[_Key, Run], budget: Budget) -> bool:
    """Add to ``known`` what a search finds; says whether that is everything."""
    try:
        ways = _Ways(system, target, budget)
    except (GroundError, MemoryError, RecursionError):
        return False
    # Every end once before any has its turn again, so that the limit costs orders and not ends.
    open_ = [ways.runs(state, by_step) for state, by_step in ways.hits]
    left = RUNS
    while open_ and left > 0:
        going = []
        for each in open_:
            some = list(islice(each, min(left, 8)))
            left -= len(some)
            for run in some:
                known.setdefault(_key(system, target, run), run)
            if some and left > 0:
                going.append(each)
            if budget.expired():
                return False
        if left <= 0:
            return False
        open_ = going
    return ways.complete


# --------------------------------------------------------------------------------------------------------------------
# Bounded model checking


def _bounded(system: System, target: PropertyTarget, known: dict[_Key, Run], count: int, budget: Budget) -> None:
    """Add runs to ``known`` until there are ``count``, or the time is over. Depths beyond the longest known are tried
    as long as there is time; of two runs that differ only in who takes the steps, one is found.
    """
    try:
        grounded = ground(system)
        goal = grounded.target(target)
        unrolling = Unrolling(grounded, from_start=True)
        told = [tuple(m.which for m in run.moves) for run in known.values()]
        while len(known) < count:
            for part, via in _parts(goal):
                _at_depth(system, target, unrolling, part, via, told, known, count, budget)
            if budget.depth is not None and unrolling.depth >= budget.depth:
                return
            now = unrolling.depth
            unrolling.extend()
            solver = unrolling.solver
            if goal.state != FALSE_LIT:
                solver.add(solver.not_(unrolling.at(goal.state, now)))
            for e in goal.endings:
                if e.via is not None:
                    solver.clause((solver.not_(unrolling.at(e.lit, now)), solver.not_(unrolling.chosen[now][e.via])))
            if not decided(solver, (), budget):
                return
    except (Interrupted, GroundError, RecursionError):
        return


def _parts(goal: GroundTarget) -> Iterator[tuple[GroundTarget, bool]]:
    """The target in parts that end in different ways."""
    ends = dict.fromkeys((e.case, e.via is not None) for e in goal.endings)
    for case, via in ends:
        if via or goal.state != FALSE_LIT:
            yield replace(goal, endings=tuple(e for e in goal.endings if e.case == case)), via
    if not goal.endings and goal.state != FALSE_LIT:
        yield goal, False


def _at_depth(
    system: System,
    target: PropertyTarget,
    unrolling: Unrolling,
    part: GroundTarget,
    via: bool,
    told: list[tuple[int, ...]],
    known: dict[_Key, Run],
    count: int,
    budget: Budget,
) -> None:
    solver, circuit = unrolling.solver, unrolling.ground.circuit
    depth = unrolling.depth
    lits = [e.lit for e in part.endings if e.case >= 0] or [part.state]
    goal = unrolling.at(circuit.or_(lits), depth)
    lasts = {unrolling.ground.events[e.via].transition for e in part.endings if e.via is not None}
    held = solver.fresh()
    solver.clause((solver.not_(held), goal))

    def exclude(sequence: tuple[int, ...]) -> None:
        if len(sequence) == depth + via and (not via or sequence[-1] in lasts):
            clause = [solver.not_(held)]
            for k, which in enumerate(sequence[:depth]):
                same = [on for on, e in zip(unrolling.chosen[k], unrolling.ground.events, strict=True)
                        if e.transition == which]  # fmt: skip
                clause.append(solver.not_(solver.or_(same or [solver.false])))
            solver.clause(clause)

    for sequence in told:
        exclude(sequence)
    while len(known) < count and decided(solver, (held,), budget):
        run = unrolling.run(depth, part, via=via)
        sequence = tuple(m.which for m in run.moves)
        told.append(sequence)
        known.setdefault(_key(system, target, run), run)
        exclude(sequence)
