"""Guarded-command IC3 with symmetry: proves and refutes, and hands out an inductive invariant as its evidence.

After A. Bradley, "SAT-based model checking without unrolling", 2011, with four changes that guarded commands allow:

* No transition relation and no primed variable is ever in the solver. Whether an event can lead into a cube is asked of
  the state before it: the event's guard, and in place of each literal of the cube its weakest precondition under the
  event, a literal that is defined when it is first needed. Events that write no cell of the cube are not asked at all.
* Assumptions that contradict each other name the literals that matter; over all events these are a generalisation.
* A predecessor is lifted without the solver, by collecting why guard and preconditions are true in the model.
* Scalarsets: with a clause its whole orbit under permutations of unnamed members is learned, and of the events that a
  permutation fixing every member in the cube maps to each other, one is asked.

NOTE(pointwise): only permutations that fix each member that occurs in the cube are used to save events. They fix every
literal of the cube, hence every core, so a core found for one event is a core for its images. Permutations that only
fix the cube as a set would not have that property.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, permutations, product
from math import perm
from typing import TypeAlias

from protocheck.engines.smt import Encoding, Interrupted, exactly_one, holds, why
from protocheck.engines.verdict import (
    Budget,
    Choice,
    Clause,
    Engine,
    Invariant,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.engines.z3raw import Answer, RawSolver
from protocheck.ir.expr import Expr, Lit, Param, Read, eq, ne, or_
from protocheck.ir.ground import (
    FALSE_LIT,
    TRUE_LIT,
    Cell,
    Dist,
    Event,
    GroundSystem,
    GroundTarget,
    Start,
    ground,
    symmetric_beginnings,
    symmetric_scalarsets,
)
from protocheck.ir.sorts import ScalarSort, Sort, scalarset_of
from protocheck.ir.system import DeadlockTarget, PropertyTarget, System

Cube: TypeAlias = tuple[int, ...]
"""Circuit literals, each saying ``cell == value``, ascending."""


@dataclass(frozen=True)
class Lemma:
    """No reachable state (up to some step) satisfies ``cube`` or an image of it. ``on`` switches its clauses on."""

    cube: Cube
    on: int
    scalarsets: tuple[str, ...]


MAX_EAGER_ORBIT = 4000
"""Orbits up to this size are learned as a whole; of larger ones only what models run into."""

MAX_LAZY_MEMBERS = 6
"""Of a large orbit of a cube about more members than this, no further image is looked for."""

MAX_MATCHING = 1000
"""How long to look for a violated image of one lemma in one model."""


@dataclass(frozen=True)
class Obligation:
    """A cube to be blocked: from all its states ``event`` leads into ``then`` (or they are bad, if there is none)."""

    cube: Cube
    event: Event | None
    then: Obligation | None


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target. Runs found are not always the shortest. Invariants of earlier targets help later ones."""
    return _decide(_Provers(system, budget), targets, budget)


def _decide(provers: _Provers, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    verdicts: dict[int, Verdict] = {}
    # A hard target must not take the time of the others: first each gets its share, then the open ones get the rest.
    for _ in range(1 if budget.deadline is None else 2):
        todo = [n for n in range(len(targets)) if isinstance(verdicts.get(n, Unknown(Limit.TIME)), Unknown)]
        for position, number in enumerate(todo):
            if budget.expired():
                break
            left = budget.seconds_left()
            share = budget
            if left is not None:
                share = replace(budget, deadline=time.monotonic() + left / (len(todo) - position))
            verdicts[number] = provers.prove(targets[number], share)
            verdict = verdicts[number]
            if isinstance(verdict, Unknown) and verdict.limit is not Limit.TIME:
                return tuple(verdicts.get(n, Unknown(verdict.limit)) for n in range(len(targets)))
    return tuple(verdicts.get(n, Unknown(Limit.TIME)) for n in range(len(targets)))


def shortest(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """As :func:`run`, but a run that is found is a shortest one, which takes longer.

    An obligation is met at its own frame only, never tried again at later ones. So a run found when the target is
    excluded from all frames before the last has as many steps as there are frames, and no run has fewer.
    """
    return _decide(_Provers(system, budget, later=False), targets, budget)


class SpuriousError(Exception):
    """A run of the loose system that is none of the system itself."""


class _Provers:
    """The prover for most targets and, if it is ever needed, the one that takes resets literally.

    A compiler resets locals that are not needed any more to a fixed member, which tells members apart to no purpose.
    The loose system, which may store any member there, does everything that the system does, so its proofs are proofs
    of the system, and it is symmetric. A run that it finds is taken step by step in the system itself; in the rare case
    that this fails, a second prover decides the target without the looseness and with less symmetry.
    """

    def __init__(self, system: System, budget: Budget, *, later: bool = True) -> None:
        self.system = system
        self.later = later
        self.exact = ground(system)
        strict = {s.name for s in symmetric_scalarsets(system, [])}
        self.loose = frozenset(s.name for s in symmetric_scalarsets(system, [], resets=True)) - strict
        loosened = ground(system, self.loose) if self.loose else self.exact
        self.first = Prover(loosened, self.exact, budget, later=later)
        self.second: Prover | None = None if self.loose else self.first

    def prove(self, target: PropertyTarget, budget: Budget) -> Verdict:
        """The verdict for ``target``."""
        self.first.budget = budget
        try:
            return self.first.prove(target, symmetric_scalarsets(self.system, [target], resets=True))
        except SpuriousError:
            if self.second is self.first:
                raise AssertionError("a run that is none") from None
        if self.second is None:
            self.second = Prover(self.exact, self.exact, budget, later=self.later)
        self.second.budget = budget
        return self.second.prove(target, symmetric_scalarsets(self.system, [target]))


class Symmetry:
    """Permutations of the unnamed members of some scalarsets, acting on cells, literals and events."""

    def __init__(self, grounded: GroundSystem, scalarsets: Sequence[ScalarSort]) -> None:
        self.ground = grounded
        self.scalarsets = tuple(scalarsets)
        self.number = {s.name: n for n, s in enumerate(scalarsets)}
        self._members: dict[int, tuple[tuple[int, int], ...]] = {}
        self._of_event: list[tuple[tuple[int, int], ...]] = []
        for event in grounded.events:
            params = grounded.system.transitions[event.transition].params
            self._of_event.append(
                tuple(m for p, v in zip(params, event.values, strict=True) for m in self.member(p.sort, v))
            )

    def member(self, sort: Sort, value: int) -> tuple[tuple[int, int], ...]:
        """The movable member that ``value`` of ``sort`` is, as (scalarset, member), or nothing."""
        scalarset = scalarset_of(sort)
        number = None if scalarset is None else self.number.get(scalarset.name)
        if scalarset is None or number is None or not scalarset.named <= value < len(scalarset.members):
            return ()
        return ((number, value),)

    def members(self, literal: int) -> tuple[tuple[int, int], ...]:
        """The movable members in the literal ``cell == value``: of the cell's index and of the value."""
        found = self._members.get(literal)
        if found is None:
            meaning = self.ground.circuit.meaning(literal)
            assert meaning is not None
            cell = self.ground.cells[meaning[0]]
            parts = [self.member(s, i) for s, i in zip(cell.var.index, cell.index, strict=True)]
            parts.append(self.member(cell.var.sort, meaning[1]))
            found = tuple(m for part in parts for m in part)
            self._members[literal] = found
        return found

    def used(self, cube: Iterable[int]) -> tuple[tuple[int, ...], ...]:
        """Per scalarset the movable members that occur in ``cube``, ascending."""
        found: list[set[int]] = [set() for _ in self.scalarsets]
        for literal in cube:
            for number, member in self.members(literal):
                found[number].add(member)
        return tuple(tuple(sorted(members)) for members in found)

    def represents(self, event: int, used: Sequence[Sequence[int]]) -> bool:
        """Whether ``event`` is the one to ask among its images under permutations that fix the members ``used``."""
        following: dict[int, int] = {}
        seen: set[tuple[int, int]] = set()
        for number, member in self._of_event[event]:
            if (number, member) in seen or member in used[number]:
                continue
            place = following.get(number, self.scalarsets[number].named)
            while place in used[number]:
                place += 1
            if member != place:
                return False
            following[number] = place + 1
            seen.add((number, member))
        return True

    def image(self, literal: int, move: Sequence[Mapping[int, int]]) -> int:
        """``cell == value`` with the members renamed by ``move`` (per scalarset; what is not named stays)."""
        meaning = self.ground.circuit.meaning(literal)
        assert meaning is not None
        cell = self.ground.cells[meaning[0]]
        index = tuple([self.renamed(s, i, move) for s, i in zip(cell.var.index, cell.index, strict=True)])
        return self.ground.circuit.is_value(
            self.ground.cell(cell.var, index), self.renamed(cell.var.sort, meaning[1], move)
        )

    def renamed(self, sort: Sort, value: int, move: Sequence[Mapping[int, int]]) -> int:
        """``value`` of ``sort`` under ``move``."""
        for number, member in self.member(sort, value):
            return move[number].get(member, member)
        return value

    def orbit(self, cube: Cube) -> Iterator[Cube]:
        """All images of ``cube``, itself first, each once."""
        used = self.used(cube)
        choices = []
        for scalarset, members in zip(self.scalarsets, used, strict=True):
            movable = range(scalarset.named, len(scalarset.members))
            choices.append([dict(zip(members, to, strict=True)) for to in permutations(movable, len(members))])
        seen = {cube}
        yield cube
        table: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
        for move in product(*choices):
            image = []
            for literal in cube:
                key = (literal, tuple([(n, move[n][m]) for n, m in self.members(literal)]))
                found = table.get(key)
                if found is None:
                    found = table[key] = self.image(literal, move)
                image.append(found)
            image.sort()
            moved = tuple(image)
            if moved not in seen:
                seen.add(moved)
                yield moved


    def orbit_bound(self, cube: Cube) -> int:
        """At least as many as ``cube`` has images."""
        bound = 1
        for scalarset, members in zip(self.scalarsets, self.used(cube), strict=True):
            bound *= perm(len(scalarset.members) - scalarset.named, len(members))
        return bound

    def images_in(self, cube: Cube, state: Sequence[int]) -> Iterator[Cube]:
        """The images of ``cube`` that ``state`` (a value per cell) satisfies.

        Backtracking over the literals: a member that is not yet placed is placed by the value that the state has, or,
        in an index, at each free place in turn. Literals without new members in their indexes come first. The search
        ends after ``MAX_MATCHING`` places, so it may overlook images: frames are then weaker than they could be.
        """
        effort = [0]
        size = len(self.scalarsets)
        place: list[dict[int, int]] = [{} for _ in range(size)]
        taken: list[set[int]] = [set() for _ in range(size)]
        rest = []
        for literal in cube:
            meaning = self.ground.circuit.meaning(literal)
            assert meaning is not None
            rest.append((self.ground.cells[meaning[0]], meaning[1]))

        def search(todo: list[tuple[Cell, int]]) -> Iterator[Cube]:
            if not todo:
                yield tuple(sorted(self.image(literal, place) for literal in cube))
                return

            def unplaced(item: tuple[Cell, int]) -> int:
                cell = item[0]
                return sum(
                    member not in place[number]
                    for s, i in zip(cell.var.index, cell.index, strict=True)
                    for number, member in self.member(s, i)
                )

            best = min(todo, key=unplaced)
            others = [t for t in todo if t is not best]
            cell, value = best
            yield from self._indexes(cell, 0, (), place, taken, lambda index: settle(cell, value, index, others))

        def settle(cell: Cell, value: int, index: tuple[int, ...], others: list[tuple[Cell, int]]) -> Iterator[Cube]:
            effort[0] += 1
            if effort[0] > MAX_MATCHING:
                return
            actual = state[self.ground.cell(cell.var, index)]
            for number, member in self.member(cell.var.sort, value):
                known = place[number].get(member)
                if known is not None:
                    if known == actual:
                        yield from search(others)
                elif self.member(cell.var.sort, actual) and actual not in taken[number]:
                    place[number][member] = actual
                    taken[number].add(actual)
                    yield from search(others)
                    taken[number].discard(actual)
                    del place[number][member]
                return
            if actual == value:
                yield from search(others)

        yield from search(rest)

    def _indexes(
        self,
        cell: Cell,
        position: int,
        index: tuple[int, ...],
        place: list[dict[int, int]],
        taken: list[set[int]],
        found: Callable[[tuple[int, ...]], Iterator[Cube]],
    ) -> Iterator[Cube]:
        if position == len(cell.index):
            yield from found(index)
            return
        here = cell.index[position]
        for number, member in self.member(cell.var.index[position], here):
            if member in place[number]:
                break
            scalarset = self.scalarsets[number]
            for to in range(scalarset.named, len(scalarset.members)):
                if to not in taken[number]:
                    place[number][member] = to
                    taken[number].add(to)
                    yield from self._indexes(cell, position + 1, (*index, to), place, taken, found)
                    taken[number].discard(to)
                    del place[number][member]
            return
        moved = self.renamed(cell.var.index[position], here, place)
        yield from self._indexes(cell, position + 1, (*index, moved), place, taken, found)


@dataclass(frozen=True)
class Beginning:
    """An initial case under a renaming of members: ``move`` leads from the system's own case to this one."""

    start: Start
    values: tuple[Dist, ...]
    move: tuple[Mapping[int, int], ...]


ALWAYS = 1 << 30
MAX_BEGINNINGS = 4096


def beginnings(grounded: GroundSystem, symmetry: Symmetry) -> list[Beginning] | None:
    """The initial cases and all their images, so that what is initial is closed under ``symmetry``.

    Steps and target are symmetric, so a run from an image is the image of a run: nothing is gained or lost. None if
    there are too many images.
    """
    still: tuple[Mapping[int, int], ...] = tuple({} for _ in symmetry.scalarsets)
    symmetric = symmetric_beginnings(grounded.system)
    found: dict[tuple[int, tuple[Dist, ...]], Beginning] = {}
    todo = []
    for start in grounded.starts:
        beginning = Beginning(start, start.values, still)
        found[start.case, start.values] = beginning
        todo.append(beginning)
    for beginning in todo:  # grows
        for number, scalarset in enumerate(symmetry.scalarsets):
            if scalarset.name in symmetric:
                continue
            for a in range(scalarset.named, len(scalarset.members) - 1):
                swap = tuple({a: a + 1, a + 1: a} if n == number else {} for n in range(len(symmetry.scalarsets)))
                values = list(beginning.values)
                for cell in grounded.cells:
                    index = tuple(
                        [symmetry.renamed(s, i, swap) for s, i in zip(cell.var.index, cell.index, strict=True)]
                    )
                    dist = beginning.values[cell.number]
                    moved = sorted((symmetry.renamed(cell.var.sort, v, swap), when) for v, when in dist)
                    values[grounded.cell(cell.var, index)] = tuple(moved)
                key = (beginning.start.case, tuple(values))
                if key not in found:
                    if len(found) >= MAX_BEGINNINGS:
                        return None
                    move = tuple(_then(m, s) for m, s in zip(beginning.move, swap, strict=True))
                    found[key] = Beginning(beginning.start, tuple(values), move)
                    todo.append(found[key])
    return todo


def _then(first: Mapping[int, int], second: Mapping[int, int]) -> Mapping[int, int]:
    return {m: second.get(first.get(m, m), first.get(m, m)) for m in {**first, **second}}


class Prover:
    """IC3 for one system; lemmas that have become invariants stay for the next target.

    ``later``: what was excluded from a frame is tried at the next one as well, which is quick and finds long runs.
    """

    def __init__(self, grounded: GroundSystem, exact: GroundSystem, budget: Budget, *, later: bool = True) -> None:
        self.later = later
        self.ground = grounded
        self.exact = exact
        self.circuit = grounded.circuit
        self.budget = budget
        self.solver = RawSolver()
        self.encoding = Encoding(self.solver, grounded.circuit, named=True)
        for cell in grounded.cells:
            self.encoding.declare(cell.number)
        self.writers: list[list[int]] = [[] for _ in grounded.cells]
        for event in grounded.events:
            for number in event.writes:
                self.writers[number].append(event.number)
        self.preconditions: list[dict[int, dict[int, int]]] = [
            {cell: dict(dist) for cell, dist in event.writes.items()} for event in grounded.events
        ]
        self.invariants: list[Lemma] = []
        self.usable: list[Lemma] = []
        self.lazy: list[Lemma] = []
        self.level_of: dict[int, int] = {}
        self.symmetry = Symmetry(grounded, ())
        self.frames: list[int] = []
        self.lemmas: list[list[Lemma]] = []
        self.begin: list[Beginning] = []
        self.chosen: list[int] = []
        self._representatives: dict[tuple[int, tuple[tuple[int, ...], ...]], list[int]] = {}
        self._counter = 0
        self.wanted: PropertyTarget | None = None

    # -- the main loop ---------------------------------------------------------------------------------------------

    def prove(self, wanted: PropertyTarget, scalarsets: Sequence[ScalarSort]) -> Verdict:
        """Decide ``wanted``, under the symmetry of ``scalarsets`` (which system and target must have)."""
        depth = -1
        target = self.ground.target(wanted)
        self.wanted = wanted
        try:
            self._reset(scalarsets)
            while True:
                if self.budget.depth is not None and depth >= self.budget.depth:
                    return NotReachedWithin(depth)
                found = self._strengthen(target)
                if found is not None:
                    return found
                depth = len(self.frames) - 1
                self.budget.progress(f"frame {depth}, {sum(map(len, self.lemmas))} lemmas")
                self._open_frame()
                closed = self._propagate()
                if closed is not None:
                    return Unreachable(Invariant(self._certificate(closed, target)))
        except Interrupted as stop:
            return Unknown(stop.limit, stop.detail, depth)
        except KeyboardInterrupt:
            return Unknown(Limit.INTERRUPTED, "", depth)

    def _reset(self, scalarsets: Sequence[ScalarSort]) -> None:
        self.symmetry = Symmetry(self.ground, scalarsets)
        self._representatives = {}
        begin = beginnings(self.ground, self.symmetry)
        if begin is None:
            same = symmetric_beginnings(self.ground.system)
            self.symmetry = Symmetry(self.ground, [s for s in scalarsets if s.name in same])
            begin = beginnings(self.ground, self.symmetry)
            assert begin is not None
        self.begin = begin
        self.frames = []
        self.lemmas = []
        # NOTE(symmetric-frames): asking one event for all of its images needs frames that the permutations keep, so
        # an invariant found under less symmetry is left out.
        names = {s.name for s in self.symmetry.scalarsets}
        self.usable = [lemma for lemma in self.invariants if names <= set(lemma.scalarsets)]
        large = {lemma.on for lemma in self.lazy}
        self.lazy = [lemma for lemma in self.usable if lemma.on in large]
        self.level_of = {lemma.on: ALWAYS for lemma in self.usable}
        self._open_frame()
        self._assert_beginnings()

    def _open_frame(self) -> None:
        on = self.solver.fresh()
        if self.frames:
            # NOTE(frames-grow): what is excluded later is excluded earlier, so a frame switches on the next.
            self.solver.clause((self.solver.not_(self.frames[-1]), on))
        for lemma in self.usable:
            self.solver.clause((self.solver.not_(on), lemma.on))
        self.frames.append(on)
        self.lemmas.append([])

    def _assert_beginnings(self) -> None:
        solver, lit = self.solver, self.encoding.lit
        here = solver.not_(self.frames[0])
        self.chosen = [solver.fresh() for _ in self.begin]
        if not self.chosen:
            solver.clause((here,))
            return
        for clause in exactly_one(solver, self.chosen):
            solver.clause((here, clause))
        for on, beginning in zip(self.chosen, self.begin, strict=True):
            off = solver.not_(on)
            for cell in beginning.start.free:
                self.encoding.declare(cell)
            solver.clause((off, lit(beginning.start.guard)))
            for number, dist in enumerate(beginning.values):
                for value, when in dist:
                    there = lit(self.circuit.is_value(number, value))
                    solver.clause((off, there) if when == TRUE_LIT else (off, solver.not_(lit(when)), there))

    def _check(self, assumptions: Sequence[int], level: int | None = None) -> bool:
        """Whether ``assumptions`` can be true; with ``level``, in a state that satisfies the lemmas from there on.

        Of large orbits the solver may lack clauses. A model that violates one of them brings it in, and is not one.
        """
        while self._satisfiable(assumptions):
            if level is None or not self._complete(level):
                return True
        return False

    def _complete(self, level: int) -> bool:
        """Add clauses of large orbits, of lemmas from ``level`` on, that the model violates; whether there were any."""
        value, encoding = self.solver.value, self.encoding
        # A lemma that is not switched on may well be violated; adding clauses would not change that.
        lazy = [lemma for lemma in self.lazy if self.level_of[lemma.on] >= level and value(lemma.on)]
        if not lazy:
            return False
        state: list[int] = []
        for cell in self.ground.cells:
            for v in range(cell.low, cell.high + 1):
                literal = self.circuit.is_value(cell.number, v)
                if literal == TRUE_LIT or value(encoding.lit(abs(literal))) == (literal > 0):
                    state.append(v)
                    break
        found = False
        for lemma in lazy:
            off = self.solver.not_(lemma.on)
            for image in islice(self.symmetry.images_in(lemma.cube, state), 16):
                self.solver.clause([off, *(self.solver.not_(encoding.lit(n)) for n in image)])
                found = True
        return found

    def _satisfiable(self, assumptions: Sequence[int]) -> bool:
        self._counter += 1
        self.budget.spend()
        if self._counter % 64 == 0 and self.budget.expired():
            raise Interrupted(Limit.TIME)
        answer = self.solver.check(assumptions)
        if answer is Answer.UNKNOWN:
            raise Interrupted(*why(self.solver, self.budget))
        return answer is Answer.SAT

    def _strengthen(self, target: GroundTarget) -> Verdict | None:
        """Exclude the target from the last frame, or find a run to it."""
        top = len(self.frames) - 1
        if target.any_state == FALSE_LIT:
            return None
        bad = self.encoding.lit(target.any_state)
        while self._check((self.frames[top], bad), top):
            goal = Obligation(self._justify((target.any_state,)), None, None)
            found = self._block(goal, top)
            if found is not None:
                return self._refuted(found, target, top)
        return None

    def _block(self, goal: Obligation, top: int) -> Obligation | None:
        """Exclude ``goal`` from frame ``top``; an obligation that an initial state satisfies if that is impossible."""
        queue: list[tuple[int, int, Obligation]] = [(top, 0, goal)]
        order = 1
        while queue:
            frame, _, obligation = queue[0]
            cube = obligation.cube
            if frame == 0 or self._meets_beginning(cube):
                return obligation
            if not self._check([self.frames[frame], *map(self.encoding.lit, cube)], frame):
                heapq.heappop(queue)
                continue
            core = self._consecution(cube, frame)
            if isinstance(core, Obligation):
                heapq.heappush(queue, (frame - 1, order, Obligation(core.cube, core.event, obligation)))
                order += 1
                continue
            heapq.heappop(queue)
            cube = self._generalise(self._keep_from_beginning(core, cube), frame)
            while frame < top and not isinstance(self._consecution(cube, frame + 1, lift=False), Obligation):
                frame += 1
            self._learn(cube, frame)
            if frame < top and self.later:
                heapq.heappush(queue, (frame + 1, order, obligation))
                order += 1
        return None

    def _propagate(self) -> list[Lemma] | None:
        """Carry lemmas forward; if some frame carries all of its own, the lemmas beyond it are an invariant."""
        for level in range(1, len(self.frames) - 1):
            staying = []
            for lemma in self.lemmas[level]:
                if isinstance(self._consecution(lemma.cube, level + 1, lift=False), Obligation):
                    staying.append(lemma)
                else:
                    self.solver.clause((self.solver.not_(self.frames[level + 1]), lemma.on))
                    self.lemmas[level + 1].append(lemma)
                    self.level_of[lemma.on] = level + 1
            self.lemmas[level] = staying
            if not staying:
                return [lemma for lemmas in self.lemmas[level + 1 :] for lemma in lemmas]
        return None

    # -- cubes -----------------------------------------------------------------------------------------------------

    def _events(self, cube: Cube) -> list[int]:
        """The events that write a cell of ``cube``, one of each set of images."""
        used = self.symmetry.used(cube)
        found: dict[int, None] = {}
        for literal in cube:
            meaning = self.circuit.meaning(literal)
            assert meaning is not None
            key = (meaning[0], used)
            events = self._representatives.get(key)
            if events is None:
                events = [e for e in self.writers[meaning[0]] if self.symmetry.represents(e, used)]
                self._representatives[key] = events
            found.update(dict.fromkeys(events))
        return sorted(found)

    def precondition(self, event: Event, literal: int) -> int:
        """The literal that is true before ``event`` exactly where ``literal`` is true after it."""
        meaning = self.circuit.meaning(literal)
        assert meaning is not None
        written = self.preconditions[event.number].get(meaning[0])
        return literal if written is None else written.get(meaning[1], FALSE_LIT)

    def _consecution(self, cube: Cube, frame: int, *, lift: bool = True) -> Cube | Obligation:
        """As :meth:`_entry`, from the frame before ``frame``."""
        return self._entry(cube, (self.frames[frame - 1],), frame - 1, lift=lift)

    def _entry(
        self, cube: Cube, context: Sequence[int], level: int, *, lift: bool = True, used: set[int] | None = None
    ) -> Cube | Obligation:
        """Whether no event leads into ``cube`` from a state outside of it in which ``context`` is true.

        If so, the literals of ``cube`` that matter; if not, a predecessor (without literals unless ``lift``). ``used``
        collects the terms of ``context`` that were needed.
        """
        solver, lit = self.solver, self.encoding.lit
        outside = solver.fresh()
        solver.clause([solver.not_(outside), *(solver.not_(lit(n)) for n in cube)])
        needed: set[int] = set()
        for number in self._events(cube):
            event = self.ground.events[number]
            before = [(self.precondition(event, literal), literal) for literal in cube]
            blocked = [literal for wp, literal in before if wp == FALSE_LIT]
            if blocked:
                if needed.isdisjoint(blocked):
                    needed.add(blocked[0])
                continue
            by_term: dict[int, int] = {}
            for wp, literal in before:
                if wp != TRUE_LIT:
                    by_term.setdefault(lit(wp), literal)
            if self._check([*context, outside, lit(event.guard), *by_term], level):
                found: Cube = self._justify((event.guard, *(wp for wp, _ in before))) if lift else ()
                solver.clause((solver.not_(outside),))
                return Obligation(found, event, None)
            core = solver.core()
            needed.update(by_term[term] for term in core if term in by_term)
            if used is not None:
                used.update(core)
        solver.clause((solver.not_(outside),))
        return tuple(n for n in cube if n in needed)

    def _justify(self, literals: Iterable[int]) -> Cube:
        """A cube of the model's state under which all ``literals``, true in the model, are true (inputs aside)."""
        circuit, encoding, solver = self.circuit, self.encoding, self.solver
        size = len(self.ground.cells)
        values: dict[int, bool] = {}

        def true(literal: int) -> bool:
            node = abs(literal)
            value = values.get(node)
            if value is None:
                if node in circuit.gate_of:
                    value = all(true(n) for n in circuit.gate_of[node])
                else:
                    value = node == TRUE_LIT or solver.value(encoding.lit(node))
                values[node] = value
            return value == (literal > 0)

        cells: dict[int, int] = {}
        done: set[int] = set()

        def settle(cell: int) -> None:
            if cell < size and cell not in cells:
                low, high = circuit.bounds[cell]
                cells[cell] = next(
                    n for v in range(low, high + 1) if true(n := circuit.is_value(cell, v))
                )

        def price(literal: int) -> int:
            if literal in done:
                return 0
            atom = circuit.atom_of.get(abs(literal))
            if atom is None:
                return 3
            return 0 if atom[0] in cells or atom[0] >= size else 1 + (literal < 0)

        # What must be true anyway comes first: it makes the choice of reasons for the rest cheaper.
        stack = list(literals)
        choices: list[int] = []
        while stack or choices:
            if not stack:
                reasons = [-n for n in circuit.gate_of[-choices.pop(0)] if not true(n)]
                stack.append(min(reasons, key=price))
                continue
            literal = stack.pop()
            node = abs(literal)
            if node == TRUE_LIT or literal in done:
                continue
            done.add(literal)
            if node in circuit.atom_of:
                settle(circuit.atom_of[node][0])
            elif literal > 0:
                stack.extend(circuit.gate_of[node])
            else:
                choices.append(literal)
        return tuple(sorted(set(cells.values()) - {TRUE_LIT}))

    def _meets_beginning(self, cube: Cube) -> bool:
        """Whether some initial state satisfies ``cube``."""
        unsure = False
        for beginning in self.begin:
            answer = self._meets(cube, beginning)
            if answer:
                return True
            unsure = unsure or answer is None
        return unsure and self._check([self.frames[0], *map(self.encoding.lit, cube)])

    def _meets(self, cube: Cube, beginning: Beginning) -> bool | None:
        sure = beginning.start.guard == TRUE_LIT
        for literal in cube:
            meaning = self.circuit.meaning(literal)
            assert meaning is not None
            dist = beginning.values[meaning[0]]
            if len(dist) == 1:
                if dist[0][0] != meaning[1]:
                    return False
            elif all(value != meaning[1] for value, _ in dist):
                return False
            else:
                sure = False
        return True if sure else None

    def _keep_from_beginning(self, core: Cube, cube: Cube) -> Cube:
        """``core`` with literals of ``cube`` put back until no initial state satisfies it. None satisfies ``cube``."""
        kept = list(core)
        for literal in cube:
            if not self._meets_beginning(tuple(kept)):
                break
            if literal not in kept:
                # Only a literal that is false in some initial state can keep one out.
                kept.append(literal)
                kept.sort()
        # Drop again what was put back in vain.
        for literal in cube:
            if literal in kept and literal not in core:
                fewer = tuple(n for n in kept if n != literal)
                if not self._meets_beginning(fewer):
                    kept = list(fewer)
        return tuple(kept)

    def _generalise(self, cube: Cube, frame: int) -> Cube:
        """A smaller cube that still has no step into it from the frame before ``frame``."""
        for literal in cube:
            if literal not in cube or len(cube) == 1:
                continue
            fewer = tuple(n for n in cube if n != literal)
            if self._meets_beginning(fewer):
                continue
            core = self._consecution(fewer, frame, lift=False)
            if not isinstance(core, Obligation):
                cube = self._keep_from_beginning(core, fewer)
        return cube

    def _learn(self, cube: Cube, frame: int) -> None:
        on = self.solver.fresh()
        off = self.solver.not_(on)
        lit, not_ = self.encoding.lit, self.solver.not_
        lemma = Lemma(cube, on, tuple(s.name for s in self.symmetry.scalarsets))
        if self.symmetry.orbit_bound(cube) <= MAX_EAGER_ORBIT:
            for image in self.symmetry.orbit(cube):
                self.solver.clause([off, *(not_(lit(n)) for n in image)])
        else:
            self.solver.clause([off, *(not_(lit(n)) for n in cube)])
            if sum(map(len, self.symmetry.used(cube))) <= MAX_LAZY_MEMBERS:
                self.lazy.append(lemma)
        self.solver.clause((not_(self.frames[frame]), on))
        self.lemmas[frame].append(lemma)
        self.level_of[on] = frame

    # -- evidence --------------------------------------------------------------------------------------------------

    def _certificate(self, lemmas: Sequence[Lemma], target: GroundTarget) -> tuple[Clause, ...]:
        """The lemmas that the proof needs, shortest first, as formulas. All lemmas become invariants for later."""
        every = [*self.usable, *lemmas]
        self.invariants = [*(i for i in self.invariants if i not in self.usable), *every]
        needed = self._smallest({lemma.on: lemma for lemma in every}, target)
        ordered = sorted(needed, key=lambda lemma: (len(lemma.cube), lemma.cube))
        return tuple(clause_of(self.ground, lemma) for lemma in ordered)

    def _smallest(self, lemmas: dict[int, Lemma], target: GroundTarget) -> list[Lemma]:
        """A part of the invariant ``lemmas`` that is one, too, and of which no single lemma can be left out.

        The cores say which lemmas each one's proof uses, so leaving one out asks again only for those that used it.
        """
        bad = self._excluding(list(lemmas), target)
        if bad is None:
            raise AssertionError("the invariant does not exclude the target")
        uses: dict[int, set[int]] = {}
        todo = [n for n in lemmas if n in bad]
        for on in todo:  # grows
            uses[on] = set()
            if isinstance(self._entry(lemmas[on].cube, list(lemmas), 0, lift=False, used=uses[on]), Obligation):
                raise AssertionError("the invariant is not inductive")
            todo.extend(n for n in lemmas if n in uses[on] and n not in todo)
        alive = {on: lemmas[on] for on in lemmas if on in uses}
        for out in sorted(alive, key=lambda on: (-len(alive[on].cube), alive[on].cube)):
            rest = [on for on in alive if on != out]
            new_bad = self._excluding(rest, target) if out in bad else bad
            if new_bad is None:
                continue
            again: dict[int, set[int]] = {}
            for on in rest:
                if out in uses[on]:
                    again[on] = set()
                    if isinstance(self._entry(alive[on].cube, rest, 0, lift=False, used=again[on]), Obligation):
                        break
            else:
                bad = new_bad
                uses.update(again)
                del alive[out]
        return list(alive.values())

    def _excluding(self, context: Sequence[int], target: GroundTarget) -> set[int] | None:
        """The terms of ``context`` that exclude the target, or None if they do not."""
        if target.any_state == FALSE_LIT:
            return set()
        if self._check([*context, self.encoding.lit(target.any_state)], 0):
            return None
        return set(self.solver.core())

    def _refuted(self, obligation: Obligation, target: GroundTarget, top: int) -> Verdict:
        """The run that begins in an initial state of ``obligation``."""
        if not self._check([self.frames[0], *map(self.encoding.lit, obligation.cube)]):
            raise AssertionError("the run does not begin initially")
        true = self.solver.value
        which = next(n for n, on in enumerate(self.chosen) if true(on))
        beginning = self.begin[which]
        inputs: dict[int, int] = {}
        for cell in beginning.start.free:
            low, high = self.circuit.bounds[cell]
            for value in range(low, high + 1):
                literal = self.circuit.is_value(cell, value)
                if literal == TRUE_LIT or true(self.encoding.lit(abs(literal))) == (literal > 0):
                    inputs[cell] = value
                    break
        moves: list[Event] = []
        step: Obligation | None = obligation
        while step is not None and step.event is not None:
            moves.append(step.event)
            step = step.then
        # The run is taken from the system's own beginning, by its own steps: the renaming of members is undone first.
        back = [{to: member for member, to in move.items()} for move in beginning.move]
        init = Choice(beginning.start.case, tuple(inputs[cell] for cell in beginning.start.free))
        run = self._retrace(init, [self._undone(m, back) for m in moves])
        steps = len(run.moves)
        all_via = all(e.via is not None for e in target.endings)
        return Reached(run, steps == top or (steps == top + 1 and run.end is not None and all_via))

    def _undone(self, event: Event, back: Sequence[Mapping[int, int]]) -> Choice:
        params = self.ground.system.transitions[event.transition].params
        values = tuple(self.symmetry.renamed(p.sort, v, back) for p, v in zip(params, event.values, strict=True))
        return Choice(event.transition, values)

    def _retrace(self, init: Choice, moves: Sequence[Choice]) -> Run:
        """The run in the exact system, up to the first ending that it passes. :class:`SpuriousError` if it is none."""
        exact = self.exact
        assert self.wanted is not None
        target = exact.target(self.wanted)
        start = next(s for s in exact.starts if s.case == init.which)
        inputs = dict(zip(start.free, init.values, strict=True))
        if not holds(exact.circuit, start.guard, inputs.__getitem__):
            raise SpuriousError
        state = [_value(exact, dist, inputs.__getitem__) for dist in start.values]
        for move in moves:
            event = exact.event(move.which, move.values)
            if event is None or not holds(exact.circuit, event.guard, state.__getitem__):
                raise SpuriousError
            after = list(state)
            for cell, dist in event.writes.items():
                after[cell] = _value(exact, dist, state.__getitem__)
            state = after
        if isinstance(self.wanted, DeadlockTarget):
            if not _stuck(exact, target, state):
                raise SpuriousError
            return Run(init, tuple(moves))
        endings = [e for e in target.endings if holds(exact.circuit, e.lit, state.__getitem__)]
        if not endings:
            raise SpuriousError
        ending = min(endings, key=lambda e: e.via is not None)
        if ending.via is not None:
            last = exact.events[ending.via]
            moves = [*moves, Choice(last.transition, last.values)]
        return Run(init, tuple(moves), Choice(ending.case, ending.values))


def _stuck(grounded: GroundSystem, target: GroundTarget, state: Sequence[int]) -> bool:
    """Whether some choice of the inputs of a deadlock target makes it true in ``state``."""
    solver = RawSolver()
    encoding = Encoding(solver, grounded.circuit, named=False)
    for cell, value in enumerate(state):
        encoding.declare(cell)
        solver.add(encoding.lit(grounded.circuit.is_value(cell, value)))
    solver.add(encoding.lit(target.state))
    return solver.check(()) is Answer.SAT


def _value(grounded: GroundSystem, dist: Dist, value_of: Callable[[int], int]) -> int:
    """The value of ``dist`` where ``value_of`` gives the cells' values."""
    return next(v for v, when in dist if holds(grounded.circuit, when, value_of))


def clause_of(grounded: GroundSystem, lemma: Lemma) -> Clause:
    """``lemma`` with all of its images as one formula: each movable member becomes a parameter.

    The parameters are pairwise different and none is a named member, which is what the images have in common.
    """
    symmetric = [s for s in grounded.system.scalarsets if s.name in lemma.scalarsets]
    symmetry = Symmetry(grounded, symmetric)
    params: dict[tuple[int, int], Param] = {}
    for number, members in enumerate(symmetry.used(lemma.cube)):
        name = symmetric[number].name
        for place, member in enumerate(members):
            label = f"{name}!" if len(members) == 1 else f"{name}!{place + 1}"
            params[number, member] = Param(label, symmetric[number])

    def term(sort: Sort, value: int) -> Expr:
        for key in symmetry.member(sort, value):
            return params[key]
        return Lit(value)

    exceptions: list[Expr] = []
    for (number, _), param in params.items():
        exceptions.extend(eq(param, Lit(k)) for k in range(symmetric[number].named))
    for (a, p), (b, q) in combinations(params.items(), 2):
        if a[0] == b[0]:
            exceptions.append(eq(p, q))
    excluded = []
    for literal in lemma.cube:
        meaning = grounded.circuit.meaning(literal)
        assert meaning is not None
        cell = grounded.cells[meaning[0]]
        index = tuple(term(s, i) for s, i in zip(cell.var.index, cell.index, strict=True))
        excluded.append(ne(Read(cell.var, index), term(cell.var.sort, meaning[1])))
    return Clause(tuple(params.values()), or_(*exceptions, *excluded))


ENGINE = Engine("ic3", "guarded-command IC3 with symmetry: proves for every depth, and refutes", run)
SHORTEST = Engine("ic3", "the same, for a shortest run", shortest)
