"""Tells a replayed run in the words of the model: who did what, what changed, and why the end is what was looked for.

A :class:`Trace` is plain data (names, values, places as text), so that every report tells the same story. It is built
from a run that the interpreter has replayed; nothing in it comes from an engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import assert_never

from protocheck.engines.verdict import Run
from protocheck.findings import Blocked, DeadlockExplanation, Evidence, Finding
from protocheck.ir.expr import Param, VarKind
from protocheck.ir.interp import (
    Cell,
    Env,
    Instance,
    State,
    deadlock,
    default_state,
    evaluate,
    instances,
    mover,
    thread_of,
)
from protocheck.ir.interp import blocked as blocked_in
from protocheck.ir.sorts import ScalarSort, Sort, show_value, values_of
from protocheck.ir.system import (
    BEGINS,
    ENDS,
    HELD_NONE,
    HELD_WRITE,
    INJECTED,
    SIGNALLED,
    Act,
    AnyTarget,
    Check,
    DeadlockTarget,
    FairKind,
    Lock,
    LockEvent,
    ProgressTarget,
    Property,
    RecoverableTarget,
    RunClaim,
    System,
    Target,
    Transition,
    Wish,
)
from protocheck.records import dataclass
from protocheck.source import Origin
from protocheck.traces.causes import causes
from protocheck.traces.explain import support
from protocheck.traces.lasso import standing
from protocheck.traces.replay import Replayed
from protocheck.traces.run_lines import ANYWHERE, lines_in


@dataclass(frozen=True)
class Place:
    """A place in a source file, 1-based."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Change:
    """A cell that has another value after the step. ``folded``: bookkeeping, told only where everything is told."""

    name: str
    before: str
    after: str
    kind: VarKind
    folded: bool = False


@dataclass(frozen=True)
class LockAct:
    """What a step does to a lock. ``because`` says, for a wait, who stands in the way and why."""

    act: Act
    lock: str
    mode: str = ""
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = f"{self.act.value} {self.lock}".rstrip() + (f" ({self.mode})" if self.mode else "")
        return words + (f": {'; '.join(self.because)}" if self.because else "")


@dataclass(frozen=True)
class Failure:
    """A check that is false in a step. ``facts`` are the values that make it so."""

    prop: str
    message: str
    places: tuple[Place, ...]
    facts: tuple[str, ...]
    fatal: bool


@dataclass(frozen=True)
class Step:
    """One step. ``places`` are the statement and then the calls through which it was reached, outwards.

    ``sees`` are the cells of shared state whose values let the step go this way, or that it loads into a local;
    ``causes`` as :func:`protocheck.traces.causes.causes` says it.
    """

    number: int
    thread: str
    text: str
    places: tuple[Place, ...]
    choices: tuple[tuple[str, str], ...]
    sees: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]
    locks: tuple[LockAct, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    switch: bool  # whether another thread took the step before
    causes: tuple[int, ...] = ()  # the steps that made this one possible

    @property
    def befallen(self) -> tuple[str, ...]:
        """Of the notes those that no statement says: an injected failure, a signal, the half of a slow operation."""
        told = (INJECTED, SIGNALLED, f"{BEGINS} ", f"{ENDS} ")
        return tuple(note for note in self.notes if note.startswith(told))


@dataclass(frozen=True)
class Fact:
    """Something true at the end of the run: the value of a cell, or where a thread stands."""

    text: str
    since: int | None = None  # the step that made it so; None: from the beginning


@dataclass(frozen=True)
class Loop:
    """How a run goes on for ever: steps ``begin`` to ``end`` again and again, or (``begin`` > ``end``) none at all.

    From the state after step ``since`` on, what should come is due and never comes. ``why`` says in one sentence why
    every thread has what it is owed although it never comes.
    """

    begin: int
    end: int
    since: int
    why: str

    @property
    def moves(self) -> bool:
        """Whether steps are taken in it at all."""
        return self.begin <= self.end

    @property
    def opening(self) -> str:
        """What stands before the first step of the loop."""
        if self.begin > self.end:
            return f"after step {self.end} nothing moves any more" if self.end else "nothing ever moves"
        if self.begin == self.end:
            return f"step {self.begin} is repeated for ever"
        return f"steps {self.begin} to {self.end} are repeated for ever"

    @property
    def closing(self) -> str:
        """What stands after its last step."""
        return "nothing moves any more" if self.begin > self.end else f"back to step {self.begin}"


@dataclass(frozen=True)
class Ending:
    """Why the run was looked for, in the model's terms.

    ``headline`` is one sentence; ``claim`` the property's text; ``where`` the values for which it fails ("g = gfn0");
    ``facts`` the values that decide it; ``deadlock`` the threads that wait for one another, with ``cycle`` one closed
    chain of them as (thread, why it waits for the next). ``loop`` tells, for a run without an end, how it goes on.
    """

    headline: str
    claim: str
    where: tuple[tuple[str, str], ...] = ()
    facts: tuple[Fact, ...] = ()
    places: tuple[Place, ...] = ()
    deadlock: DeadlockExplanation | None = None
    cycle: tuple[tuple[str, str], ...] = ()
    standing: tuple[tuple[str, Place | None, str], ...] = ()  # thread, place, text of what it waits at
    loop: Loop | None = None


@dataclass(frozen=True)
class InitialCell:
    """A cell of the state in which the run begins. ``chosen``: not its default, so a choice of this run."""

    name: str
    value: str
    kind: VarKind
    chosen: bool


@dataclass(frozen=True)
class Trace:
    """A run told. ``threads`` are those that move, in the order in which they first do."""

    threads: tuple[str, ...]
    initial: tuple[InitialCell, ...]
    steps: tuple[Step, ...]
    ending: Ending
    switches: int
    inevitable: int | None = None  # after so many steps the violation cannot be avoided any more, if that was decided


def trace_of(system: System, prop: Property, target: AnyTarget, run: Run, replayed: Replayed) -> Trace:
    """The run, told. ``target`` is what was reached: that of ``prop``, or another one that shows it."""
    words = Words(system)
    views = [words.view(s) for s in replayed.states]
    movers = [mover(system, move) for move in run.moves]
    steps: list[Step] = []
    made_possible = causes(system, run.moves, replayed.states)
    for number, move in enumerate(run.moves, start=1):
        transition = system.transitions[move.which]
        env = {p.name: v for p, v in zip(transition.params, move.values, strict=True)}
        before = replayed.states[number - 1]
        after = replayed.states[number] if number < len(replayed.states) else None
        who = movers[number - 1]
        choices = words.choices(transition, env)
        changes = words.changes(views[number - 1], views[number], transition, who, choices) if after is not None else ()
        steps.append(
            Step(
                number=number,
                thread=words.instance(who),
                text=transition.text or transition.name,
                places=places_of(transition.origin),
                choices=choices,
                sees=tuple(words.seen(transition, before, env)),
                changes=tuple(changes),
                locks=tuple(words.lock_act(e, before, after, env, who) for e in transition.events),
                notes=tuple(n for n in transition.notes if n.removeprefix("in ") not in transition.text),
                failures=tuple(words.failure(transition.checks[k], before, env) for k in replayed.failed[number - 1]),
                switch=number > 1 and movers[number - 2] != who,
                causes=made_possible[number - 1],
            )
        )
    initial = tuple(
        InitialCell(name, value, kind, words.default(name) != value) for name, (kind, value) in views[0].items()
    )
    return Trace(
        threads=tuple(dict.fromkeys(s.thread for s in steps)),
        initial=initial,
        steps=tuple(steps),
        ending=_ending(words, prop, target, run, replayed, views, steps),
        switches=sum(s.switch for s in steps),
    )


def trace_of_finding(system: System | None, finding: Finding) -> Trace | None:
    """The run behind ``finding``, told; None if there is none (or its report does not carry the system)."""
    evidence = finding.evidence
    if system is None or evidence is None:
        return None
    if finding.lock_graph is not None:
        return trace_of_lock_evidence(system, finding.name, finding.message or finding.claim, evidence)
    claim = next((r for r in system.runs if r.name == finding.name), None)
    if claim is not None:
        return _of_run(system, claim, evidence)
    prop = next((p for p in system.properties if p.name == finding.name), None)
    if prop is None:
        wish = {"reachable": Wish.SOMETIMES, "weakness": Wish.NOTED}.get(finding.kind, Wish.NEVER)
        prop = Property(finding.name, finding.family, finding.kind, wish, evidence.target, finding.claim)
    trace = trace_of(system, prop, evidence.target, evidence.run, evidence.replayed)
    return replace(trace, inevitable=evidence.inevitable)


def _of_run(system: System, claim: RunClaim, evidence: Evidence) -> Trace:
    """The run behind a ``run``, each step of a line marked as such."""
    toward = [p for p in system.properties if claim.toward in (p.name, p.family) and p.target == evidence.target]
    prop = toward[0] if toward else Property(
        claim.name, "run", "run", Wish.SOMETIMES, evidence.target, claim.claim, None, claim.origin
    )  # fmt: skip
    trace = trace_of(system, prop, evidence.target, evidence.run, evidence.replayed)
    happened = lines_in(system, claim, evidence.run)
    steps = list(trace.steps)
    for line, number in enumerate(happened, start=1):
        step = steps[number - 1]
        steps[number - 1] = replace(step, notes=(f"line {line}", *step.notes))
    ending = trace.ending
    if evidence.target == ANYWHERE:
        some = f"line {len(happened)} of {len(claim.lines)}" if len(happened) < len(claim.lines) else "the last line"
        ending = replace(ending, headline=f"{claim.name}: {some} has happened {_after(len(steps))}", facts=())
    return replace(trace, steps=tuple(steps), ending=ending)


def trace_of_lock_evidence(system: System, headline: str, explanation: str, evidence: Evidence) -> Trace:
    """The run behind one finding about lock order, or behind one edge of the graph; a deadlock is told as one."""
    prop = Property(headline, "lock_order", _LOCKS, Wish.NEVER, evidence.target, explanation)
    target, replayed = evidence.target, evidence.replayed
    if isinstance(target, Target) and len(replayed.states) > len(evidence.run.moves):
        members = deadlock(system, replayed.states[-1])
        if members:
            target, replayed = DeadlockTarget(), replace(replayed, blocked=members)
    return trace_of(system, prop, target, evidence.run, replayed)


def places_of(origin: Origin | None) -> tuple[Place, ...]:
    """The places of a chain of spans, innermost first; the same place twice in a row is told once."""
    if origin is None:
        return ()
    places = [Place(s.file.path, s.line, s.column) for s in origin.chain()]
    return tuple(p for i, p in enumerate(places) if i == 0 or p != places[i - 1])


def plain_name(name: str) -> str:
    """``name`` as the author wrote it: without what a compiler appends to keep names apart."""
    for mark in "#%":
        name = name.split(mark, 1)[0] or name
    return name


# The kind of property that stands for a finding about lock order.
_LOCKS = "lock order"

# What a person sees of a state: for each name its kind and its value as text.
_View = dict[str, tuple[VarKind, str]]


class Words:
    """The names of one system: how cells, threads, locks and values are written for its author."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._vars = {v.name: v for v in system.variables}
        self._thread_of_pc = {t.pc.name: t for t in system.threads}
        self._owner_of_local = {v.name: t for t in system.threads for v in t.locals}
        self._short = _short_names(system)
        # NOTE(stale-bits): of the variables X and X.stale, which only a pointer has, people see one value.
        self._stale = {name: f"{name}.stale" for name in self._vars if f"{name}.stale" in self._vars}
        self._pointer = {stale: name for name, stale in self._stale.items()}
        self._lock_called: dict[str, str] = {}
        self._full_names = sorted((lock.name for lock in system.locks), key=len, reverse=True)
        self._default: _View = {}
        self._default = self.view(default_state(system))

    # Names

    def instance(self, who: Instance) -> str:
        """A thread: ``kvm.fault[v0]``."""
        params = thread_of(self.system, who.thread).params
        return plain_name(who.thread) + _index([show_value(p.sort, v) for p, v in zip(params, who.values, strict=True)])

    def cell(self, cell: Cell) -> str:
        """A cell: ``spte[gfn0]``."""
        var = self._vars[cell[0]]
        return self._element(var.name, var.index, cell[1])

    def _element(self, name: str, sorts: Sequence[Sort], index: Sequence[int]) -> str:
        """An element of an array; what belongs to an object is a field of it: ``slot#1.users``."""
        shown = [show_value(s, i) for s, i in zip(sorts, index, strict=True)]
        if shown and isinstance(sorts[0], ScalarSort) and name.startswith(f"{sorts[0].name}."):
            return f"{shown[0]}.{plain_name(name.removeprefix(f'{sorts[0].name}.'))}" + _index(shown[1:])
        return self._short.get(name, plain_name(name)) + _index(shown)

    def value(self, cell: Cell, state: State) -> str:
        """The value of a cell; a pointer to what was freed says so."""
        text = show_value(self._vars[cell[0]].sort, state[cell])
        stale = self._stale.get(cell[0])
        return f"{text} (stale)" if stale is not None and state[stale, cell[1]] else text

    def is_stale_bit(self, name: str) -> bool:
        """Whether the variable says of a pointer that its object was freed."""
        return name in self._pointer

    def whole(self, cell: Cell) -> Cell:
        """The cell that people know ``cell`` by: of a pointer, the place."""
        return self._pointer.get(cell[0], cell[0]), cell[1]

    def name(self, name: str) -> str:
        """A variable: ``spte``."""
        return self._short.get(name, plain_name(name))

    def lock(self, name: str, index: Sequence[int]) -> str:
        """A lock instance: ``vcpu_mutex[v0]``."""
        lock = self._lock(name)
        if lock is None:
            return self._short.get(name, plain_name(name))
        # An event without an index speaks of all instances at once.
        if index:
            return self._element(name, lock.index, index)
        return self._short.get(name, plain_name(name)) + _index(["all"] * len(lock.index))

    def mode(self, lock: str, mode: str) -> str:
        """The mode in which a lock is taken, where there is more than one."""
        kind = found.kind if (found := self._lock(lock)) is not None else None
        return mode if kind is not None and kind.shared else ""

    def _lock(self, name: str) -> Lock | None:
        return next((lock for lock in self.system.locks if lock.name == name), None)

    def shortened(self, text: str) -> str:
        """``text`` with the locks in it named as everywhere else."""
        for name in self._full_names:
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.])", self._short[name], text)
        return text

    # States

    def default(self, name: str) -> str:
        """The value that what a view calls ``name`` has by default."""
        return self._default[name][1]

    def view(self, state: State) -> _View:
        """What a person may want to know of ``state``: state, ghosts, locals, where threads stand, who holds what."""
        view: _View = {}
        for cell in state.where:
            var = self._vars[cell[0]]
            if var.name in self._pointer:
                continue
            match var.kind:
                case VarKind.STATE | VarKind.GHOST:
                    view[self.cell(cell)] = var.kind, self.value(cell, state)
                case VarKind.LOCAL:
                    view[self._local(cell)] = var.kind, self.value(cell, state)
                case VarKind.PC | VarKind.LOCK | VarKind.HIDDEN:
                    pass
                case _:
                    assert_never(var.kind)
        for thread in self.system.threads:
            for who in instances(self.system, thread, state):
                location = thread.locations[state[thread.pc.name, who.values]]
                view[self.instance(who)] = VarKind.PC, stands(location.name, location.origin, location.waiting)
        for lock in self.system.locks:
            for index in product(*(values_of(s) for s in lock.index)):
                called = self.lock(lock.name, index)
                self._lock_called[called] = lock.name
                view[called] = VarKind.LOCK, self._lock_value(lock, index, state)
        return view

    def _local(self, cell: Cell) -> str:
        """A local, told apart from another thread's local of the same name: ``seen of kvm.fault[v0]``."""
        owner = self._owner_of_local.get(cell[0])
        if owner is None:
            return self.cell(cell)
        arity = len(owner.params)
        var = self._vars[cell[0]]
        index = [show_value(s, i) for s, i in zip(var.index[arity:], cell[1][arity:], strict=True)]
        who = Instance(owner.name, cell[1][:arity])
        return f"{self._short.get(var.name, plain_name(var.name))}{_index(index)} of {self.instance(who)}"

    def _lock_value(self, lock: Lock, index: tuple[int, ...], state: State) -> str:
        parts = []
        for queued, verb in ((False, ""), (True, "waits: ")):
            for who, mode in self._lock_users(lock, index, state, queued):
                parts.append(verb + self.instance(who) + (f" ({m})" if (m := self.mode(lock.name, mode)) else ""))
        return ", ".join(parts) or "free"

    def _lock_users(
        self, lock: Lock, index: tuple[int, ...], state: State, queued: bool
    ) -> Iterator[tuple[Instance, str]]:
        """Who holds (or, if ``queued``, has begun to wait for) an instance of ``lock``, and in which mode."""
        for users in lock.held:
            for who in instances(self.system, thread_of(self.system, users.thread), state):
                env = {p.name: v for p, v in zip((*users.params, *users.index), (*who.values, *index), strict=True)}
                value = evaluate(users.queued if queued else users.mode, state, env)
                if value != HELD_NONE:
                    yield who, "write" if value == HELD_WRITE else "read"

    def held_by(self, who: Instance, state: State) -> Iterator[tuple[str, tuple[int, ...], str]]:
        """The locks that ``who`` holds in ``state``: name, index, mode."""
        for lock in self.system.locks:
            for index in product(*(values_of(s) for s in lock.index)):
                for holder, mode in self._lock_users(lock, index, state, queued=False):
                    if holder == who:
                        yield lock.name, index, mode

    def changes(
        self, before: _View, after: _View, transition: Transition, who: Instance, chosen: Sequence[tuple[str, str]]
    ) -> Iterator[Change]:
        """What differs between two views, with what is told anyway (places, locks with an event, choices) folded."""
        told = {e.lock for e in transition.events}
        of_mover = f" of {self.instance(who)}"
        for name, (kind, value) in after.items():
            old = before[name][1]
            if old == value:
                continue
            match kind:
                case VarKind.PC:
                    yield Change(name, old, value, kind, folded=name == self.instance(who))
                case VarKind.LOCK:
                    yield Change(name, old, value, kind, folded=self._lock_called[name] in told)
                case VarKind.LOCAL:
                    short = name.removesuffix(of_mover)
                    # A local that nobody reads any more is set back to its default: no deed of the model.
                    reset = value == self.default(name) and not _assigns(transition.text, short)
                    visited = any(short.startswith(f"{loop}.visited[") for loop, _ in chosen)
                    yield Change(short, old, value, kind, folded=reset or visited or (short, value) in chosen)
                case _:
                    yield Change(name, old, value, kind)

    # Steps

    def choices(self, transition: Transition, env: Env) -> tuple[tuple[str, str], ...]:
        """The values that the step chooses, with the names that the source gives them."""
        own = len(thread_of(self.system, transition.thread).params)
        return tuple((plain_name(p.name), show_value(p.sort, env[p.name])) for p in transition.params[own:])

    def seen(self, transition: Transition, before: State, env: Env) -> Iterator[tuple[str, str]]:
        """The cells of shared state that decide the guard, or that the thread loads into a local."""
        deciding = list(support(transition.guard, before, env))
        for update in transition.updates:
            if update.var.kind is VarKind.LOCAL and not update.binders:
                deciding += support(update.value, before, env)
        for cell in dict.fromkeys(map(self.whole, deciding)):
            if self._vars[cell[0]].kind is VarKind.STATE:
                yield self.cell(cell), self.value(cell, before)

    def lock_act(
        self, event: LockEvent, before: State, after: State | None, env: Env, who: Instance
    ) -> LockAct:
        """``event`` of a step of ``who`` from ``before`` to ``after``."""
        index = tuple(evaluate(i, before, env) for i in event.index)
        because: list[str] = []
        if event.act in (Act.WANT, Act.RETRY) and after is not None:
            for b in blocked_in(self.system, after):
                if b.who == who:
                    because += [f"{self.instance(other)} {self.shortened(why)}" for other, why in b.on]
        return LockAct(event.act, self.lock(event.lock, index), self.mode(event.lock, event.mode), tuple(because))

    def failure(self, check: Check, before: State, env: Env) -> Failure:
        """A failed check of a step that began in ``before``."""
        cells = dict.fromkeys(map(self.whole, support(check.cond, before, env)))
        facts = tuple(self.fact(c, before) for c in cells if self.worth_telling(c))
        return Failure(check.prop, check.message, places_of(check.origin), facts, check.fatal)

    # Facts

    def worth_telling(self, cell: Cell) -> bool:
        return self._vars[cell[0]].kind is not VarKind.HIDDEN

    def fact(self, cell: Cell, state: State) -> str:
        """What ``cell`` says in ``state``, as a sentence without a full stop."""
        name, index = cell
        var = self._vars[name]
        if (thread := self._thread_of_pc.get(name)) is not None:
            location = thread.locations[state[cell]]
            at = stands(location.name, location.origin, location.waiting)
            return f"{self.instance(Instance(thread.name, index))} is at {at}"
        if var.kind is VarKind.LOCAL:
            return f"{self._local(cell)} = {self.value(cell, state)}"
        return f"{self.cell(cell)} = {self.value(cell, state)}"

    def facts(self, cells: Sequence[Cell], states: Sequence[State]) -> tuple[Fact, ...]:
        """What ``cells`` say in the last of ``states``, each with the step since which it is so."""
        facts = []
        for cell in dict.fromkeys(map(self.whole, cells)):
            if self.worth_telling(cell):
                stale = self._stale.get(cell[0])
                since = _since([(s[cell], s[stale, cell[1]] if stale is not None else 0) for s in states])
                facts.append(Fact(self.fact(cell, states[-1]), since))
        return tuple(facts)


def _assigns(text: str, name: str) -> bool:
    """Whether a statement's ``text`` assigns to ``name`` or passes it by reference."""
    word = rf"\b{re.escape(name)}\b"
    return re.search(rf"{word}(\[[^]]*\]|\.\w+)*\s*([-+]?=(?!=)|:)|\bref\s+{word}|\bhavoc\s+{word}", text) is not None


def stands(name: str, origin: Origin | None, waiting: bool) -> str:
    """Where a thread stands: its line, and whether it waits there."""
    if origin is None:
        return name or "its end"
    return f"line {origin.span.line}" + (" (waiting)" if waiting else "")


def _since(values: Sequence[object]) -> int | None:
    """The step (1-based) that gave the last of ``values``, or None if it was so from the beginning."""
    for number in range(len(values) - 1, 0, -1):
        if values[number - 1] != values[number]:
            return number
    return None


def _index(parts: Sequence[str]) -> str:
    return "".join(f"[{p}]" for p in parts)


def _short_names(system: System) -> dict[str, str]:
    """Names without their actor, where that is clear: actors are the first parts of the names of threads."""
    actors = {t.name.split(".", 1)[0] for t in system.threads if "." in t.name}
    names = [v.name for v in system.variables] + [lock.name for lock in system.locks]
    locals_of = {v.name: t for t in system.threads for v in t.locals}
    short: dict[str, str] = {}
    for name in names:
        if name in locals_of:
            own = name.removeprefix(f"{locals_of[name].name}.")
            actor, _, rest = own.partition(".")
            own = rest if rest and actor in actors else own
            # Locals of one name are told apart by what the compiler adds.
            taken_here = {short[o] for o in short if locals_of.get(o) is locals_of[name]}
            short[name] = plain_name(own) if plain_name(own) not in taken_here else own
            continue
        actor, _, rest = name.partition(".")
        short[name] = plain_name(rest if rest and actor in actors else name)
    taken: dict[str, list[str]] = {}
    for name, word in short.items():
        if name not in locals_of:
            taken.setdefault(word, []).append(name)
    for word, owners in taken.items():
        if len(owners) > 1:
            for name in owners:
                short[name] = plain_name(name) if plain_name(name) != word else name
    return short


# --------------------------------------------------------------------------------------------------------------------
# The end


def _ending(
    words: Words,
    prop: Property,
    target: AnyTarget,
    run: Run,
    replayed: Replayed,
    views: Sequence[_View],
    steps: Sequence[Step],
) -> Ending:
    match target:
        case DeadlockTarget():
            return _deadlock(words, prop, run, replayed)
        case Target():
            return _reached(words, prop, target, run, replayed, steps)
        case ProgressTarget():
            return _for_ever(words, prop, target, run, replayed)
        case RecoverableTarget():
            facts = words.facts(support(target.goal, replayed.states[-1], {}), replayed.states)
            headline = f"{_after(len(run.moves))} there is no way any more to what {prop.name} asks for"
            return Ending(headline, prop.claim, (), facts, places_of(prop.origin))
        case _:
            assert_never(target)


def _reached(
    words: Words, prop: Property, target: Target, run: Run, replayed: Replayed, steps: Sequence[Step]
) -> Ending:
    end = run.end
    if end is None:
        return Ending(f"the run ends here: {prop.claim}", prop.claim)
    case = target.cases[end.which]
    env = {p.name: v for p, v in zip(case.params, end.values, strict=True)}
    if case.via is not None:
        transition = words.system.transitions[case.via]
        state = replayed.states[len(run.moves) - 1]
        if case.check is not None:
            check = transition.checks[case.check]
            failure = words.failure(check, state, env)
            facts = words.facts(support(check.cond, state, env), replayed.states[: len(run.moves)])
            words_of_check = " ".join(check.origin.span.text.split())
            claim = words_of_check if words_of_check.startswith("assert") else prop.claim
            return Ending(f"step {len(run.moves)}: {check.message}", claim, (), facts, failure.places)
        shown = case.params[len(transition.params) :]
        facts = words.facts(support(case.cond, state, env), replayed.states[: len(run.moves)])
        return Ending(
            f"step {len(run.moves)} breaks {prop.name}", prop.claim, _values(shown, env), facts, places_of(prop.origin)
        )
    headline = prop.claim if prop.kind == _LOCKS else {
        Wish.NEVER: f"{prop.name} is false {_after(len(run.moves))}",
        Wish.SOMETIMES: f"{prop.name} is reached {_after(len(run.moves))}",
        Wish.NOTED: f"{prop.name} shows {_after(len(run.moves))}",
    }[prop.wish]
    facts = words.facts(support(case.cond, replayed.states[-1], env), replayed.states)
    return Ending(headline, prop.claim, _values(case.params, env), facts, places_of(prop.origin))


def _for_ever(words: Words, prop: Property, target: ProgressTarget, run: Run, replayed: Replayed) -> Ending:
    assert run.loop is not None
    assert replayed.since is not None
    env = {p.name: v for p, v in zip(target.params, run.rigid, strict=True)}
    since = replayed.since
    loop = Loop(run.loop + 1, len(run.moves), since, _why_fair(words, run, replayed.states))
    facts = words.facts(support(target.pending, replayed.states[since], env), replayed.states[: since + 1])
    return Ending(
        f"{loop.opening}: {prop.name}" if prop.kind == "built-in" else f"{loop.opening}, and {prop.name} never comes",
        prop.claim,
        _values(target.params, env),
        facts,
        places_of(prop.origin),
        loop=loop,
    )


_HOW = {
    "steps": ("take steps in it", "takes steps in it"),
    "rests": ("may rest where they are", "may rest where it is"),
    "cannot": ("cannot always go on", "cannot always go on"),
    "done": ("are done", "is done"),
}


def _is_done(system: System, who: Instance, state: State) -> bool:
    thread = thread_of(system, who.thread)
    return bool(evaluate(thread.done, state, {p.name: v for p, v in zip(thread.params, who.values, strict=True)}))


def _why_fair(words: Words, run: Run, states: Sequence[State]) -> str:
    """One sentence: why the loop of ``run`` gives every thread what it is owed."""
    how: dict[Instance, str] = {}
    never: dict[str, None] = {}
    for fair, who, why in standing(words.system, run, states):
        if fair.kind is FairKind.WEAK and not fair.trigger:
            assert why is not None
            # Of several demands the one that takes a step says most.
            if how.get(who) != "steps":
                how[who] = why
        elif why == "cannot" and fair.kind is FairKind.STRONG:
            never[words.instance(who)] = None
    parts: list[str] = []
    still = run.loop == len(run.moves)
    if still:
        for who in [w for w, why in how.items() if why == "cannot" and _is_done(words.system, w, states[-1])]:
            how[who] = "done"
    for word, (many, one) in _HOW.items():
        names = [words.instance(who) for who, why in how.items() if why == word]
        if names:
            parts.append(f"{_listed(names)} {one if len(names) == 1 else many}")
    if still:
        parts = [p.replace("cannot always go on", "cannot go on") for p in parts]
    if never and not still:
        parts.append(f"what {_listed(list(never))} would be granted in the end never becomes possible")
    if not parts:
        return "no thread is owed a step"
    return f"{'standing still' if still else 'the loop'} is fair: {'; '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _after(steps: int) -> str:
    return f"after step {steps}" if steps else "in the initial state"


def _values(params: Sequence[Param], env: Env) -> tuple[tuple[str, str], ...]:
    return tuple((plain_name(p.name), show_value(p.sort, env[p.name])) for p in params)


def _deadlock(words: Words, prop: Property, run: Run, replayed: Replayed) -> Ending:
    movers = [mover(words.system, move) for move in run.moves]
    states = replayed.states
    members: list[Blocked] = []
    standing: list[tuple[str, Place | None, str]] = []
    for b in replayed.blocked:
        waits = [words.system.waits[k] for k in b.waits]
        last = max((n for n, who in enumerate(movers, start=1) if who == b.who), default=None)
        holds = []
        for lock, index, mode in words.held_by(b.who, states[-1]):
            since = _since([int((lock, index, mode) in set(words.held_by(b.who, s))) for s in states])
            shown = words.mode(lock, mode)
            holds.append((words.lock(lock, index) + (f" ({shown})" if shown else ""), since))
        name = words.instance(b.who)
        what = " and ".join(dict.fromkeys(words.shortened(w.what) or "something" for w in waits))
        reasons = tuple((words.instance(o), words.shortened(why)) for o, why in b.on)
        members.append(Blocked(name, what, last, reasons, tuple(holds), b.idle))
        places = next((places_of(w.origin) for w in waits if w.origin is not None), ())
        standing.append((name, places[0] if places else None, what))
    cycle = wait_cycle(members)
    count = sum(not m.idle for m in members)
    noun = "thread waits" if count == 1 else "threads wait"
    headline = f"deadlock {_after(len(run.moves))}: {count} {noun} for one another and none can ever move"
    if not cycle or count == 1:
        headline = f"deadlock {_after(len(run.moves))}: {count} {noun} for what nobody can do any more"
    if len(cycle) == 1 and count == 1:
        headline = f"deadlock {_after(len(run.moves))}: {cycle[0][0]} waits for itself"
    text = tuple(_sentence(m) for m in members)
    return Ending(
        headline, prop.claim, deadlock=DeadlockExplanation(tuple(members), text), cycle=cycle, standing=tuple(standing)
    )


def _sentence(member: Blocked) -> str:
    holds = " and ".join(f"{lock}{f' since step {since}' if since else ''}" for lock, since in member.holds)
    waits = f"waits for {member.waits}" + (f" since step {member.since}" if member.since else "")
    return f"{member.thread} {f'holds {holds} and ' if holds else ''}{waits}"


def wait_cycle(members: Sequence[Blocked]) -> tuple[tuple[str, str], ...]:
    """A shortest closed chain among ``members``: each thread with the reason why it waits for the next one.

    Empty if nobody waits for a member (threads that wait for a condition nobody is left to change).
    """
    edges = {m.thread: dict(reversed(m.for_whom)) for m in members}
    best: list[tuple[str, str]] = []
    for start in edges:
        found = _path_back(edges, start)
        if found and (not best or len(found) < len(best)):
            best = found
    return tuple(best)


def _path_back(edges: dict[str, dict[str, str]], start: str) -> list[tuple[str, str]]:
    """Breadth first from ``start`` back to itself."""
    paths: list[list[tuple[str, str]]] = [[(start, "")]]
    seen: set[str] = set()
    while paths:
        longer: list[list[tuple[str, str]]] = []
        for path in paths:
            here = path[-1][0]
            for other, why in edges[here].items():
                extended = [*path[:-1], (here, why)]
                if other == start:
                    return extended
                if other in edges and other not in seen:
                    seen.add(other)
                    longer.append([*extended, (other, "")])
        paths = longer
    return []
