"""Breadth-first search of all reachable states, with code generated from the system.

States are integers, visited in the order of their distance; every state keeps its predecessor, from which a run is
rebuilt at the end. The first run found to a target is a shortest one. With symmetry, one state stands for all that
differ only in which interchangeable member is which (see :mod:`protocheck.engines.orbits`); the runs are nevertheless
runs of the system itself. The order of visits depends on the order of threads, transitions and values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from protocheck.engines.calm import calmest
from protocheck.engines.codegen import Generator, Phrases, State, Step, static_shift, unroll
from protocheck.engines.orbits import SMALL_GROUP, Orbits, interchangeable
from protocheck.engines.orbits import Mapping as Renaming
from protocheck.engines.verdict import (
    Budget,
    Choice,
    Engine,
    Exhausted,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.expr import FALSE, TRUE, Apply, Expr, Lit, Op, Param, Read, and_, exists, substitute
from protocheck.ir.ground import TOO_DEEP, GroundError, symmetric_scalarsets
from protocheck.ir.sorts import scalarset_of, values_of
from protocheck.ir.system import Case, DeadlockTarget, PropertyTarget, System, Target, ThreadClass

CHUNK = 2048
MANY = 256  # states to go from which on it is worth while to make code anew that asks for what is still open
SMALL_CHUNK = 64  # states between two looks at the limits where each state takes long, in large symmetry groups


@dataclass(frozen=True)
class Exploration:
    """What a search found.

    ``states`` are distinct (orbits, if ``symmetric``), ``edges`` the steps taken from them (whether or not they led to
    a new state), ``begun`` the beginnings, ``depth`` the distance of the deepest state found, ``fired`` for each
    transition how often it was taken. A check was evaluated exactly if its transition was taken. ``complete``: nothing
    is left to be visited.
    """

    verdicts: tuple[Verdict, ...]
    states: int
    edges: int
    begun: int
    depth: int
    fired: tuple[int, ...]
    complete: bool
    symmetric: bool
    _search: Search = field(compare=False, repr=False)

    def values(self) -> Iterator[tuple[int, ...]]:
        """Each visited state as the values of its cells, in the order in which they were found."""
        return (self._search.made.layout.unpack(s) for s in self._search.seen)

    def beginnings(self) -> Iterator[tuple[int, ...]]:
        """Each state in which a run may begin, as the values of its cells."""
        return (self._search.made.layout.unpack(s) for _, s in self._search.made.initial())

    def changes(self, variables: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """What steps out of visited states do to ``variables``: transition, values of all cells before and after.

        A step that leaves them as they are is not told, and of those that change them in the same way only the first.
        """
        layout = self._search.made.layout
        mask = 0
        for name in variables:
            fields = layout.fields[name]
            for index in fields.indexes():
                shift = fields.shift(index)
                assert shift is not None
                mask |= fields.mask << shift
        known: set[tuple[int, State, State]] = set()
        for state in self._search.seen:
            for which, _, after in self._search.moves(state):
                if after is not None and (state ^ after) & mask:
                    change = (which, state & mask, after & mask)
                    if change not in known:
                        known.add(change)
                        yield which, layout.unpack(state), layout.unpack(after)

    def calm(self, number: int) -> Reached | None:
        """The calmest shortest run to the target ``number``, if it was reached and the run is cheap to find.

        Calmest as :mod:`protocheck.engines.calm` says it.
        """
        return self._search.calm(number)


@dataclass(frozen=True)
class Stuck:
    """A thread instance that is not done and will never move again, and a shortest run to where that is so."""

    thread: str
    values: tuple[int, ...]
    run: Run


def explore(
    system: System,
    targets: Sequence[PropertyTarget],
    budget: Budget | None = None,
    symmetry: bool = True,
    to_the_end: bool = False,
) -> Exploration:
    """Visit the reachable states of ``system`` until every target is reached or nothing is left.

    With ``to_the_end`` the search goes on although every target is reached (for coverage and for :func:`stuck`).
    Limits and Ctrl-C end it early, with verdicts that say how far it came. Raises
    :class:`protocheck.engines.codegen.StoreOutsideError` for a system that stores a value outside of its sort,
    :class:`protocheck.ir.ground.GroundError` for one with expressions that are nested too deeply.
    """
    try:
        return Search(system, targets, budget or Budget(), symmetry).run(to_the_end)
    except (RecursionError, SyntaxError) as error:  # Python's own parser also has a limit
        raise GroundError(TOO_DEEP) from error


def countable(system: System, target: PropertyTarget) -> bool:
    """Whether alike members differ by nothing but cells of their own, so that a state only counts who is where.

    No variable stores a member that could be renamed, or belongs to two, and some members can be renamed at all.
    """
    alike = {s.name for s in symmetric_scalarsets(system, [target])}
    found = False
    for var in system.variables:
        stored = scalarset_of(var.sort)
        owners = [s for s in map(scalarset_of, var.index) if s is not None and s.name in alike]
        if (stored is not None and stored.name in alike) or len(owners) > 1:
            return False
        found = found or bool(owners)
    return found


def stuck(exploration: Exploration) -> tuple[Stuck, ...]:
    """The thread instances that can get into a state, not done, from which no run lets them move again.

    Works on the whole graph of a complete exploration without symmetry: :class:`ValueError` for any other. Takes a
    step to be a move whether or not it changes anything. Time and memory grow with the number of steps, since the
    graph is computed a second time.
    """
    if not exploration.complete:
        raise ValueError("only a complete exploration shows which threads are stuck")
    if exploration.symmetric:
        raise ValueError("symmetry hides which thread is which: explore without it")
    return exploration._search.stuck()


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target, in order."""
    try:
        return explore(system, targets, budget).verdicts
    except GroundError as problem:
        return tuple(Unknown(Limit.SOLVER, str(problem)) for _ in targets)


@dataclass(frozen=True)
class _Hit:
    """A target met in packed state ``state``, by a case without ``via`` (or a deadlock) or in a step out of it."""

    state: State
    by_step: bool


class _Everything:
    """A container that has everything in it, so that to a search nothing is new; it keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: dict[State, None] = {}

    def __contains__(self, item: State) -> bool:
        self.asked[item] = None
        return True


class _Goal:
    """A target as it was first met in a search, in states or in steps."""

    def __init__(self, search: Search, number: int, by_step: bool) -> None:
        self.search = search
        self.number = number
        self.by_step = by_step
        self._known: dict[State, list[tuple[Choice, Choice | None]]] = {}
        self._check: Callable[..., object] | None = None

    def met(self, state: State) -> bool:
        """Whether ``state``, or a step out of it, is in the target."""
        if self.by_step:
            return self.number in self.search.peek(state)[2]
        if self._check is None:
            self._check = self.search.checker((self.number,))
        found: dict[int, State] = {}
        self._check((state,), found)
        return bool(found)

    def endings(self, state: State) -> list[tuple[Choice, Choice | None]]:
        """The cases of the target that are met, in their order, each with the step if it is met in one."""
        target = self.search.targets[self.number]
        if state not in self._known:
            found = self.search.endings(target, state, self.by_step) if isinstance(target, Target) else ()
            self._known[state] = list(found)
        return self._known[state]


class Search:
    """A search of ``system`` for ``targets``: what :func:`explore` does, and questions about single packed states.

    After :meth:`prepared` or a search, :meth:`moves`, :meth:`steps`, :meth:`endings` and the tests that :meth:`checker`
    makes can be asked of any packed state; ``made.layout`` packs states. With ``symmetry`` states are those that stand
    for their orbits, and :meth:`renaming`, :meth:`compose` and :meth:`undo` lead back to those of the system.
    """

    def __init__(self, system: System, targets: Sequence[PropertyTarget], budget: Budget, symmetry: bool) -> None:
        self.system = system
        self.targets = tuple(targets)
        self.budget = budget
        vias: dict[int, list[tuple[int, int, Case]]] = {}
        for number, target in enumerate(self.targets):
            if isinstance(target, Target):
                for which, case in enumerate(target.cases):
                    if case.via is not None:
                        vias.setdefault(case.via, []).append((number, which, case))
        self.made = Generator(system, vias)
        sorts = interchangeable(system, self.targets, self.made.layout) if symmetry else ()
        self.orbits = Orbits(self.made.layout, sorts) if sorts else None
        self.seen: dict[State, State] = {}
        self.layers: list[list[State]] = []
        self.begun: dict[State, Choice] = {}
        self.starts: dict[Choice, State] = {}
        self.fired = [0] * len(system.transitions)
        self.hits: dict[int, _Hit] = {}
        self.depth = -1
        self.examined = -1
        self.beginnings = 0
        self._expand: Callable[..., object] | None = None
        self._tests: dict[int, list[str]] = {}
        self._movers: dict[int | None, Callable[..., object]] = {}
        self._steps: dict[State, list[tuple[int, tuple[int, ...], State | None]]] = {}
        self._solvers: dict[int, Callable[..., object]] = {}
        self._taken: dict[tuple[State, State], tuple[int, tuple[int, ...], State]] = {}

    def prepared(self) -> Search:
        """This search, ready for questions about single states though nothing has been searched."""
        if self._expand is None:
            self._expand = self._expander()
        return self

    # The search itself.

    def run(self, to_the_end: bool) -> Exploration:
        limit: Limit | None = None
        detail = ""
        complete = False
        try:
            limit, detail, complete = self._search(to_the_end)
        except KeyboardInterrupt:
            limit = Limit.INTERRUPTED
        except MemoryError:
            limit = Limit.MEMORY
        verdicts = tuple(self._verdict(k, limit, detail, complete) for k in range(len(self.targets)))
        return Exploration(
            verdicts,
            len(self.seen),
            sum(self.fired),
            self.beginnings,
            max(self.depth, 0),
            tuple(self.fired),
            complete,
            self.orbits is not None,
            self,
        )

    def _search(self, to_the_end: bool) -> tuple[Limit | None, str, bool]:
        """Fill ``seen`` and ``hits``. Returns the limit that was hit, its detail, and whether nothing is left."""
        open_ = set(range(len(self.targets)))
        self._expand = expand = self._expander()
        check = self.checker(open_)
        chunk = SMALL_CHUNK if self.orbits is not None and self.orbits.order > SMALL_GROUP else CHUNK
        layer = self.begin()
        found: dict[int, State] = {}
        while layer:
            self.depth += 1
            self.layers.append(layer)
            for start in range(0, len(layer), chunk):
                if self.budget.expired():
                    return Limit.TIME, "", False
                check(layer[start : start + chunk], found)
                for k in sorted(found):
                    self.hits.setdefault(k, _Hit(found[k], False))
            self.examined = self.depth
            if self._settled(open_) and not to_the_end:
                return None, "", False
            if self.budget.depth is not None and self.depth >= self.budget.depth:
                return None, "", False
            following: list[State] = []
            in_step: dict[int, State] = {}
            for start in range(0, len(layer), chunk):
                if self.budget.expired():
                    return Limit.TIME, "", False
                if self.budget.states is not None and len(self.seen) > self.budget.states:
                    return Limit.STATES, f"{self.budget.states} states", False
                expand(layer[start : start + chunk], self.seen, following.append, self.fired, in_step)
                for k in sorted(in_step):
                    self.hits.setdefault(k, _Hit(in_step[k], True))
                if self._settled(open_) and not to_the_end:
                    return None, "", False
            if len(following) >= MANY and open_ - set(self.hits) != open_:
                open_ -= set(self.hits)
                check, found = self.checker(open_), {}
            self.budget.progress(f"depth {self.depth}: {len(self.seen)} states, {len(following)} to go")
            layer = following
        return None, "", True

    def _settled(self, open_: set[int]) -> bool:
        return open_ <= set(self.hits) and bool(self.targets)

    def begin(self) -> list[State]:
        """The states in which runs begin, each once (up to symmetry)."""
        layer: list[State] = []
        for choice, state in self.made.initial():
            self.beginnings += 1
            self.starts[choice] = state
            kept = self.orbits.canon(state) if self.orbits else state
            if kept not in self.seen:
                self.seen[kept] = -1
                self.begun[kept] = choice
                layer.append(kept)
        return layer

    def _verdict(self, number: int, limit: Limit | None, detail: str, complete: bool) -> Verdict:
        hit = self.hits.get(number)
        if hit is not None:
            return Reached(self._run(number, hit), True)
        if complete:
            return Unreachable(Exhausted(len(self.seen), max(self.depth, 0), self.orbits is not None))
        if limit is None:
            return NotReachedWithin(self.examined)
        return Unknown(limit, detail, self.examined)

    # Generated functions.

    def _expander(self) -> Callable[..., object]:
        used = sorted({s.which for b in self.made.blocks for steps in b.steps.values() for s in steps})

        def sink(step: Step) -> list[str]:
            if self.orbits is None:
                return ["if t not in seen:", "    seen[t] = s", "    push(t)"]
            return [
                "if t not in seen:",
                "    t = canon(t)",
                "    if t not in seen:",
                "        seen[t] = s",
                "        push(t)",
            ]

        def via(target: int, which: int) -> list[str]:
            return [f"if {target} not in found: found[{target}] = s"]

        if self.orbits is not None:
            self.made.share("canon", self.orbits.canon)
        body = self.made.body(sink, via, lambda step: f"n{step.which} += 1")
        return self.made.function(
            "expand",
            [
                "def expand(layer, seen, push, fired, found):",
                *(f"    n{which} = 0" for which in used),
                "    for s in layer:",
                *("        " + line for line in (body or ["pass"])),
                *(f"    fired[{which}] += n{which}" for which in used),
                "    return None",
            ],
        )

    def checker(self, open_: Collection[int]) -> Callable[..., object]:
        """Code that notes in which states of a list the targets ``open_`` are met."""
        lines: list[str] = []
        for number in sorted(open_):
            if number not in self._tests:
                self._tests[number] = self._test(number)
            lines += self._tests[number]
        if not lines:
            return lambda layer, found: None
        return self.made.function(
            "check", ["def check(layer, found):", "    for s in layer:", *("        " + line for line in lines)]
        )

    def _test(self, number: int) -> list[str]:
        """Code that notes whether ``s`` is in the target with that number."""
        target = self.targets[number]
        if isinstance(target, DeadlockTarget):
            return self._deadlock_check(number)
        lines: list[str] = []
        phrases = Phrases(self.made.layout, {}, {})
        for case in target.cases:
            if case.via is None and (cond := unroll(exists(case.params, case.cond))) != FALSE:
                lines += [f"if {phrases.truth(cond)}:", f"    if {number} not in found: found[{number}] = s"]
        return lines

    def _deadlock_check(self, number: int) -> list[str]:
        """Code that collects the blocked instances as bits of ``b``, and asks for the fixpoint if there are any."""
        members: list[tuple[ThreadClass, tuple[int, ...], Expr]] = [
            (thread, own, where) for thread in self.system.threads for own, where in self.made.instances(thread)
        ]
        bits = {(thread.name, own): 1 << n for n, (thread, own, _) in enumerate(members)}
        phrases = Phrases(self.made.layout, {}, {})
        lines = ["b = 0"]
        details: list[Callable[[State], tuple[int, bool]]] = []
        for thread, own, where in members:
            fixed: dict[str, Expr] = {p.name: Lit(v) for p, v in zip(thread.params, own, strict=True)}
            blocks: list[Expr] = []
            inner: list[str] = ["def detail(s):", "    m = 0", "    idle = True"]
            for wait in self.system.waits:
                if wait.thread != thread.name:
                    continue
                blocked = and_(where, unroll(substitute(wait.blocked, fixed)))
                if blocked == FALSE:
                    continue
                blocks.append(blocked)
                inner.append(f"    if {phrases.truth(blocked)}:")
                for edge in wait.on:
                    for other, its, exists_ in members:
                        if other.name != edge.thread:
                            continue
                        told = {**fixed, **{p.name: Lit(v) for p, v in zip(edge.others, its, strict=True)}}
                        cond = and_(exists_, unroll(substitute(edge.cond, told)))
                        if cond != FALSE:
                            inner.append(f"        if {phrases.truth(cond)}: m |= {bits[other.name, its]}")
                inner.append(f"        if not {phrases.truth(unroll(substitute(wait.idle, fixed)))}: idle = False")
            detail = self.made.function("detail", [*inner, "    return m, idle"])
            details.append(cast("Callable[[State], tuple[int, bool]]", detail))
            if blocks:
                lines += self._blocked(thread, own, blocks, bits[thread.name, own])

        def deadlocked(state: State, blocked: int) -> bool:
            waits: dict[int, tuple[int, bool]] = {}
            n, rest = 0, blocked
            while rest:
                if rest & 1:
                    waits[n] = details[n](state)
                rest >>= 1
                n += 1
            inside = blocked
            while True:
                kept = sum(1 << n for n, (m, _) in waits.items() if inside >> n & 1 and not m & ~inside)
                if kept == inside:
                    break
                inside = kept
            return any(inside >> n & 1 and not idle for n, (_, idle) in waits.items())

        name = self.made.bind(deadlocked)
        return [*lines, f"if b and {number} not in found and {name}(s, b): found[{number}] = s"]

    def _blocked(self, thread: ThreadClass, own: tuple[int, ...], blocks: Sequence[Expr], bit: int) -> list[str]:
        """Code that sets ``bit`` of ``b`` if one of ``blocks`` holds; asks for the place of the thread first."""
        phrases = Phrases(self.made.layout, {}, {})
        pc = Read(thread.pc, tuple(Lit(v) for v in own))
        shift = static_shift(self.made.layout, pc)
        placed: list[tuple[int, Expr]] = []
        for cond in blocks:
            parts = cond.args if isinstance(cond, Apply) and cond.op is Op.AND else (cond,)
            at = [
                p.args[1].value
                for p in parts
                if isinstance(p, Apply) and p.op is Op.EQ and p.args[0] == pc and isinstance(p.args[1], Lit)
            ]
            if len(at) != 1:
                return [f"if {phrases.truth(Apply(Op.OR, tuple(blocks)))}: b |= {bit}"]
            rest = and_(*(p for p in parts if not (isinstance(p, Apply) and p.args[0] == pc and p.op is Op.EQ)))
            placed.append((at[0], rest))
        field_ = self.made.layout.fields[thread.pc.name]
        lines = [f"k = {phrases.value(pc) if field_.width else field_.low}"]
        assert shift is not None
        places = tuple(sorted({at for at, _ in placed}))
        lines.append(f"if k in {self.made.bind(frozenset(places))}:")
        tests = [f"(k == {at} and {phrases.truth(rest)})" if rest != TRUE else f"k == {at}" for at, rest in placed]
        return [*lines, f"    if {' or '.join(tests)}: b |= {bit}"]

    # Runs.

    def moves(self, state: State) -> list[tuple[int, tuple[int, ...], State | None]]:
        """The steps possible in ``state``: transition, values, next state (None after a failed fatal check)."""
        out: list[tuple[int, tuple[int, ...], State | None]] = []
        self._mover(None)(state, out)
        return sorted(out, key=lambda m: m[:2])

    def peek(self, state: State) -> tuple[list[State], list[int], dict[int, State]]:
        """One state once more: where steps lead, how often each transition is taken, which targets steps are in."""
        assert self._expand is not None
        everything = _Everything()
        fired = [0] * len(self.system.transitions)
        found: dict[int, State] = {}
        self._expand((state,), everything, None, fired, found)
        return list(everything.asked), fired, found

    def steps(self, state: State) -> list[tuple[int, tuple[int, ...], State | None]]:
        """As :meth:`moves`, for a few states: code is made only for the transitions that can be taken there."""
        if state not in self._steps:
            out: list[tuple[int, tuple[int, ...], State | None]] = []
            for which, times in enumerate(self.peek(state)[1]):
                if times:
                    self._mover(which)(state, out)
            self._steps[state] = sorted(out, key=lambda m: m[:2])
        return self._steps[state]

    def after(self, state: State) -> list[State]:
        """Where steps lead from ``state``."""
        return self.peek(state)[0]

    def representative(self, state: State) -> State:
        """The state that stands for ``state``."""
        return self.orbits.canon(state) if self.orbits else state

    def calm(self, number: int) -> Reached | None:
        """See :meth:`Exploration.calm`."""
        hit = self.hits.get(number)
        if hit is None or self._expand is None:
            return None
        depth = next(d for d, layer in enumerate(self.layers) if hit.state in layer)
        found = calmest(self, _Goal(self, number, hit.by_step), depth)
        return Reached(Run(found.init, found.moves, found.end), True) if found is not None else None

    def _mover(self, only: int | None) -> Callable[..., object]:
        """Code that collects the steps possible in a state, or those of the transition ``only``."""
        if only not in self._movers:

            def before(step: Step) -> str:
                values = "".join(f"{v}, " for v in step.values)
                return f"out.append(({step.which}, ({values}), None))"

            def sink(step: Step) -> list[str]:
                return ["out[-1] = (*out[-1][:2], t)"]

            body = self.made.body(sink, lambda target, which: ["pass"], before, only)
            self._movers[only] = self.made.function(
                "moves", ["def moves(s, out):", *("    " + line for line in body), "    return None"]
            )
        return self._movers[only]

    def _run(self, number: int, hit: _Hit) -> Run:
        chain = [hit.state]
        while self.seen[chain[-1]] != -1:
            chain.append(self.seen[chain[-1]])
        chain.reverse()
        init = self.begun[chain[0]]
        renaming = self.renaming(self.starts[init])
        moves: list[Choice] = []
        for here, there in pairwise(chain):
            which, values, after = self._move(here, there)
            moves.append(self.undo(which, values, renaming))
            renaming = self.compose(self.renaming(after), renaming)
        target = self.targets[number]
        if isinstance(target, DeadlockTarget):
            return Run(init, tuple(moves))
        end, last = self._end(target, hit)
        inverse = _inverse(renaming)
        case = target.cases[end.which]
        if last is not None:
            moves.append(self.undo(last.which, last.values, renaming))
        values = tuple(self.image(p, v, inverse) for p, v in zip(case.params, end.values, strict=True))
        return Run(init, tuple(moves), Choice(end.which, values))

    def _move(self, here: State, there: State) -> tuple[int, tuple[int, ...], State]:
        known = self._taken.get((here, there))
        if known is not None:
            return known
        for which, values, after in self.steps(here):
            if after is not None and (self.orbits.canon(after) if self.orbits else after) == there:
                self._taken[here, there] = which, values, after
                return which, values, after
        raise AssertionError("a state is not a successor of its predecessor")

    def _end(self, target: Target, hit: _Hit) -> tuple[Choice, Choice | None]:
        """The case of ``target`` met in ``hit``, and the step in which that is so, if it is one."""
        for end, last in self.endings(target, hit.state, hit.by_step):
            return end, last
        raise AssertionError("a target that was met is met by no case")

    def endings(self, target: Target, state: State, by_step: bool) -> Iterator[tuple[Choice, Choice | None]]:
        """The cases of ``target`` that are met in ``state``, or in steps out of it, with those steps."""
        possible = {(w, v) for w, v, _ in self.steps(state)} if by_step else set()
        for which, case in enumerate(target.cases):
            if (case.via is not None) != by_step:
                continue
            for values in self._solutions(case, state):
                if case.via is None:
                    yield Choice(which, values), None
                    continue
                own = values[: len(self.system.transitions[case.via].params)]
                if (case.via, own) in possible:
                    yield Choice(which, values), Choice(case.via, own)

    def _solutions(self, case: Case, state: State) -> list[tuple[int, ...]]:
        out: list[tuple[int, ...]] = []
        if id(case) in self._solvers:
            self._solvers[id(case)](state, out)
            return out
        names = {p.name: f"p{n}" for n, p in enumerate(case.params)}
        phrases = Phrases(self.made.layout, names, {})
        lines = ["def solve(s, out):"]
        for depth, p in enumerate(case.params, start=1):
            span = values_of(p.sort)
            lines.append("    " * depth + f"for {names[p.name]} in range({span.start}, {span.stop}):")
        pad = "    " * (len(case.params) + 1)
        values = "".join(f"{n}, " for n in names.values())
        lines += [pad + f"if {phrases.truth(unroll(case.cond))}:", pad + f"    out.append(({values}))"]
        self._solvers[id(case)] = self.made.function("solve", lines)
        self._solvers[id(case)](state, out)
        return out

    def renaming(self, state: State) -> Renaming:
        """How ``state`` is renamed to its representative."""
        return self.orbits.normalize(state)[1] if self.orbits else ()

    def compose(self, second: Renaming, first: Renaming) -> Renaming:
        """First ``first``, then ``second``."""
        return tuple(tuple(b[x] for x in a) for a, b in zip(first, second, strict=True))

    def undo(self, which: int, values: tuple[int, ...], renaming: Renaming) -> Choice:
        """The move of the real run that corresponds to a move of the representatives."""
        inverse = _inverse(renaming)
        params = self.system.transitions[which].params
        return Choice(which, tuple(self.image(p, v, inverse) for p, v in zip(params, values, strict=True)))

    def image(self, param: Param, value: int, renaming: Renaming) -> int:
        """What becomes of ``value`` of ``param`` under ``renaming``."""
        return self.orbits.image(param.sort, value, renaming) if self.orbits else value

    # Threads that can never move again.

    def stuck(self) -> tuple[Stuck, ...]:
        number = {s: n for n, s in enumerate(self.seen)}
        before: list[list[int]] = [[] for _ in number]
        who: list[set[tuple[str, tuple[int, ...]]]] = []
        owners = [(t.thread, len(self._class(t.thread).params)) for t in self.system.transitions]
        for n, state in enumerate(self.seen):
            movers: set[tuple[str, tuple[int, ...]]] = set()
            for which, values, after in self.moves(state):
                owner, arity = owners[which]
                movers.add((owner, values[:arity]))
                if after is not None:
                    before[number[after]].append(n)
            who.append(movers)
        answer: list[Stuck] = []
        for thread in self.system.threads:
            for own, where in self.made.instances(thread):
                free = [n for n, movers in enumerate(who) if (thread.name, own) in movers]
                marked = set(free)
                while free:
                    for n in before[free.pop()]:
                        if n not in marked:
                            marked.add(n)
                            free.append(n)
                fixed: Mapping[str, Expr] = {p.name: Lit(v) for p, v in zip(thread.params, own, strict=True)}
                excused = Apply(Op.OR, (Apply(Op.NOT, (where,)), unroll(substitute(thread.done, fixed))))
                test = Phrases(self.made.layout, {}, {}).truth(excused)
                done = self.made.function("done", ["def done(s):", f"    return {test}"])
                first = next((s for n, s in enumerate(self.seen) if n not in marked and not done(s)), None)
                if first is not None:
                    answer.append(Stuck(thread.name, own, self._path(first)))
        return tuple(answer)

    def _class(self, name: str) -> ThreadClass:
        return next(t for t in self.system.threads if t.name == name)

    def _path(self, state: State) -> Run:
        chain = [state]
        while self.seen[chain[-1]] != -1:
            chain.append(self.seen[chain[-1]])
        chain.reverse()
        moves = [self._move(a, b)[:2] for a, b in pairwise(chain)]
        return Run(self.begun[chain[0]], tuple(Choice(w, v) for w, v in moves))


def _inverse(renaming: Renaming) -> Renaming:
    return tuple(tuple(sorted(range(len(m)), key=m.__getitem__)) for m in renaming)


ENGINE = Engine("explore", "visit every reachable state, breadth first, with generated code and symmetry", run)
