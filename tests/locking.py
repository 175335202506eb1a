"""Systems of threads that only take and release locks, written as short programs; and an exhaustive search for tests.

The little compiler here follows the contract of ``protocheck.ir.system`` and shares nothing with the real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from build import NOWHERE, ex

from protocheck.engines import explore
from protocheck.engines.verdict import Budget, Choice, Exhausted, Reached, Run, Unreachable, Verdict
from protocheck.findings import Evidence, LockGraph, Outcome
from protocheck.ir.expr import FALSE, TRUE, Expr, Lit, Param, Read, Var, VarKind, and_, eq, exists, ne, not_, or_
from protocheck.ir.interp import begin, deadlock, enabled, initial_choices, step, witnesses
from protocheck.ir.sorts import BOOL, RangeSort, Sort
from protocheck.ir.system import (
    AcquireSite,
    Act,
    DeadlockTarget,
    HeldBy,
    InitCase,
    Location,
    Lock,
    LockEvent,
    LockKind,
    PropertyTarget,
    System,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wait,
    WaitsFor,
)
from protocheck.properties.lock_order import conclude, outcome, plan
from protocheck.traces.replay import replay

MODES = {"read": 1, "write": 2}


@dataclass(frozen=True)
class L:
    """A lock class."""

    name: str
    kind: LockKind = LockKind.MUTEX
    index: tuple[Sort, ...] = ()
    fair: bool = True
    order_field: str = ""
    nest_under: str = ""


@dataclass(frozen=True)
class S:
    """A statement: ``take``, ``try``, ``drop`` a lock, ``sync``; ``set`` and ``await`` a flag; ``skip``."""

    what: str
    name: str = ""
    index: tuple[int | Expr, ...] = ()
    mode: str = "write"
    when: str = ""  # a flag that must be set for the step (a branch that is otherwise not taken)


@dataclass(frozen=True)
class T:
    """A thread class; ``loop`` returns to the beginning."""

    name: str
    body: Sequence[S]
    params: tuple[Param, ...] = ()
    loop: bool = False
    where: Expr = TRUE
    kind: ThreadKind = ThreadKind.THREAD


def take(name: str, *index: int | Expr, mode: str = "write") -> S:
    return S("take", name, index, mode)


def drop(name: str, *index: int | Expr) -> S:
    return S("drop", name, index)


def under(name: str, *body: S | Sequence[S], mode: str = "write", index: tuple[int | Expr, ...] = ()) -> list[S]:
    """``with name { body }``."""
    inner = [s for part in body for s in ([part] if isinstance(part, S) else part)]
    return [take(name, *index, mode=mode), *inner, drop(name, *index)]


def build(
    locks: Sequence[L], threads: Sequence[T], order: Sequence[tuple[str, str]] = (), flags: Sequence[str] = ()
) -> System:
    """Compile the programs."""
    return _Compiler(list(locks), list(threads), list(flags)).system(tuple(order))


@dataclass
class _Compiler:
    locks: list[L]
    threads: list[T]
    flags: list[str]
    acquires: list[AcquireSite] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)

    def system(self, order: tuple[tuple[str, str], ...]) -> System:
        self.flag = {name: Var(name, (), BOOL) for name in self.flags}
        self.held: dict[tuple[str, str], Var] = {}
        self.queue: dict[tuple[str, str], Var] = {}
        for lock in self.locks:
            for t in self.threads:
                if any(s.name == lock.name and s.what in ("take", "try") for s in t.body):
                    sorts = (*(p.sort for p in t.params), *lock.index)
                    key = (lock.name, t.name)
                    self.held[key] = Var(f"{lock.name}.held.{t.name}", sorts, RangeSort(0, 2), VarKind.LOCK)
                    self.queue[key] = Var(f"{lock.name}.queue.{t.name}", sorts, RangeSort(0, 2), VarKind.LOCK)
        classes = [self.thread(t) for t in self.threads]
        variables = [*self.flag.values(), *self.held.values(), *self.queue.values(), *(c.pc for c in classes)]
        sorts_used = dict.fromkeys(s for v in variables for s in v.index if hasattr(s, "named"))
        return System(
            "locks",
            tuple(sorts_used),
            tuple(variables),
            tuple(Lit(0) for _ in variables),
            (InitCase(),),
            tuple(classes),
            tuple(self.transitions),
            tuple(self.lock(k) for k in self.locks),
            tuple(self.acquires),
            tuple(self.waits),
            lock_order=order,
        )

    def lock(self, lock: L) -> Lock:
        entries = []
        for t in self.threads:
            held = self.held.get((lock.name, t.name))
            if held is None:
                continue
            index = tuple(Param(f"{lock.name}.i{k}", s) for k, s in enumerate(lock.index))
            queue = self.queue[lock.name, t.name]
            entries.append(
                HeldBy(t.name, t.params, index, Read(held, (*t.params, *index)), Read(queue, (*t.params, *index)))
            )
        users = tuple(entries)
        return Lock(lock.name, lock.kind, lock.index, users, lock.fair, lock.order_field, None, lock.nest_under)

    def others(self, t: T) -> tuple[Param, ...]:
        return tuple(Param(f"other.{t.name}.{p.name}", p.sort) for p in t.params)

    def in_the_way(
        self, lock: L, index: tuple[Expr, ...], mode: str
    ) -> list[tuple[T, tuple[Param, ...], Expr, str]]:
        """Per class: when one of its instances holds a taker of the lock back, and why."""
        found = []
        for t in self.threads:
            held = self.held.get((lock.name, t.name))
            if held is None:
                continue
            who = self.others(t)
            mine = Read(held, (*who, *index))
            rw = lock.kind in (LockKind.RWLOCK, LockKind.RWSEM)
            conflict = eq(mine, Lit(2)) if rw and mode == "read" else ne(mine, Lit(0))
            found.append((t, who, conflict, f"holds {lock.name}"))
            if rw and mode == "read" and lock.fair:
                queued = eq(Read(self.queue[lock.name, t.name], (*who, *index)), Lit(2))
                found.append((t, who, queued, f"is queued for {lock.name} (write)"))
        return found

    def thread(self, t: T) -> ThreadClass:
        size = len(t.body) * 2 + 1  # location 2k before statement k, 2k+1 waiting in it
        pc = Var(f"{t.name}.pc", tuple(p.sort for p in t.params), RangeSort(0, size - 1), VarKind.PC)
        held_now: dict[tuple[str, str], None] = {}
        may: list[tuple[tuple[str, str], ...]] = []
        for s in t.body:
            may.append(tuple(held_now))
            if s.what in ("take", "try"):
                held_now[s.name, s.mode] = None
            elif s.what == "drop" and not any(k.index for k in self.locks if k.name == s.name):
                held_now = {pair: None for pair in held_now if pair[0] != s.name}
        waiting = set()
        for k, s in enumerate(t.body):
            if self.statement(t, pc, k, s, may[k]):
                waiting.add(2 * k + 1)
        locations = tuple(Location(n, f"{t.name}{n}", None, n in waiting) for n in range(size))
        done = FALSE if t.loop else eq(Read(pc, t.params), Lit(size - 1))
        return ThreadClass(t.name, t.kind, t.params, t.where, pc, locations, done)

    def statement(self, t: T, pc: Var, k: int, s: S, may: tuple[tuple[str, str], ...]) -> bool:
        """Adds the steps of statement ``k``; tells whether it has a waiting location."""
        here, wait, after = 2 * k, 2 * k + 1, 2 * k + 2
        if t.loop and k == len(t.body) - 1:
            after = 0
        index = tuple(ex(i) for i in s.index)

        def add(source: int, target: int, guard: Expr, updates: Sequence[Update], *events: LockEvent) -> int:
            at = eq(Read(pc, t.params), Lit(source))
            moves = (*updates, Update(pc, t.params, Lit(target)))
            name = f"{t.name}: {s.what} {s.name} ({source} to {target})"
            self.transitions.append(
                Transition(name, t.name, t.params, and_(at, guard), moves, (), source, target, NOWHERE, name, events)
            )
            return len(self.transitions) - 1

        branch = eq(Read(self.flag[s.when]), Lit(1)) if s.when else TRUE
        if s.when:
            add(here, after, not_(branch), ())
        if s.what in ("skip", "set"):
            add(here, after, branch, (Update(self.flag[s.name], (), Lit(1)),) if s.what == "set" else ())
            return False
        if s.what == "await":
            flag = Read(self.flag[s.name])
            add(here, after, eq(flag, Lit(1)), (), LockEvent(Act.AWAIT, s.name))
            blocked = and_(eq(Read(pc, t.params), Lit(here)), eq(flag, Lit(0)))
            on = []
            for other in self.threads:
                writes = [2 * j for j, x in enumerate(other.body) if x.what == "set" and x.name == s.name]
                if writes and not other.loop:
                    who = self.others(other)
                    end = 2 * len(other.body)
                    place = Read(Var(f"{other.name}.pc", tuple(p.sort for p in other.params), RangeSort(0, end)), who)
                    on.append(WaitsFor(other.name, who, ne(place, Lit(end)), f"may write {s.name}"))
            self.waits.append(Wait(t.name, blocked, tuple(on), FALSE, f"await {s.name}"))
            return False
        lock = next(x for x in self.locks if x.name == s.name)
        event = (s.name, index, s.mode)
        if s.what == "drop":
            add(here, after, branch, (Update(self.held[s.name, t.name], (*t.params, *index), Lit(0)),),
                LockEvent(Act.RELEASE, *event))
            return False
        if s.what == "sync":
            add(here, wait, branch, (), LockEvent(Act.SYNC_BEGIN, s.name, index))
            readers = [
                (x, self.others(x), ne(Read(self.held[s.name, x.name], (*self.others(x), *index)), Lit(0)))
                for x in self.threads
                if (s.name, x.name) in self.held
            ]
            nobody = not_(or_(*(exists(who, cond) for _, who, cond in readers)))
            add(wait, after, nobody, (), LockEvent(Act.SYNC_END, s.name, index))
            on = [WaitsFor(x.name, who, cond, f"reads {s.name}") for x, who, cond in readers]
            blocked = and_(eq(Read(pc, t.params), Lit(wait)), not_(nobody))
            self.waits.append(Wait(t.name, blocked, tuple(on), FALSE, f"synchronize {s.name}", s.name))
            return True
        held, queue = self.held[s.name, t.name], self.queue[s.name, t.name]
        cell = (*t.params, *index)
        got = Update(held, cell, Lit(MODES[s.mode]))
        if lock.kind is LockKind.SRCU:
            number = add(here, after, branch, (got,), LockEvent(Act.ACQUIRE, *event))
            self.acquires.append(AcquireSite(t.name, s.name, s.mode, True, may, (number,), NOWHERE))
            return False
        way = self.in_the_way(lock, index, s.mode)
        free = not_(or_(*(exists(who, cond) for _, who, cond, _ in way)))
        first = add(here, after, and_(branch, free), (got,), LockEvent(Act.ACQUIRE, *event))
        if s.what == "try":
            second = add(here, after, and_(branch, not_(free)), (), LockEvent(Act.TRY_FAILED, *event))
            self.acquires.append(AcquireSite(t.name, s.name, s.mode, False, may, (first, second), NOWHERE))
            return False
        queues = Update(queue, cell, Lit(MODES[s.mode]))
        want = add(here, wait, and_(branch, not_(free)), (queues,), LockEvent(Act.WANT, *event))
        grant = add(wait, after, free, (got, Update(queue, cell, Lit(0))), LockEvent(Act.ACQUIRE, *event))
        self.acquires.append(AcquireSite(t.name, s.name, s.mode, True, may, (first, want, grant), NOWHERE))
        blocked = and_(eq(Read(pc, t.params), Lit(wait)), not_(free))
        on = [WaitsFor(x.name, who, cond, why) for x, who, cond, why in way]
        rw = lock.kind in (LockKind.RWLOCK, LockKind.RWSEM)
        self.waits.append(
            Wait(t.name, blocked, tuple(on), FALSE, s.name + (f" ({s.mode})" if rw else ""), s.name)
        )
        return True


def search(system: System, targets: Sequence[PropertyTarget]) -> tuple[Verdict, ...]:
    """Exhaustive breadth-first search by the interpreter."""
    runs: dict[object, Run] = {}
    frontier = []
    for choice in initial_choices(system):
        state = begin(system, choice)
        if state not in runs:
            runs[state] = Run(choice, ())
            frontier.append(state)
    found: dict[int, Run] = {}
    depth = 0
    while frontier:
        for state in frontier:
            for k, target in enumerate(targets):
                if k in found:
                    continue
                if isinstance(target, DeadlockTarget):
                    if deadlock(system, state):
                        found[k] = runs[state]
                else:
                    end = next(witnesses(system, target, state), None)
                    if end is not None:
                        found[k] = replace(runs[state], end=end)
        later = []
        for state in frontier:
            for move in enabled(system, state):
                then = step(system, state, move).state
                if then is not None and then not in runs:
                    runs[then] = Run(runs[state].init, (*runs[state].moves, Choice(move.which, move.values)))
                    later.append(then)
        depth += bool(later)
        frontier = later
    proof = Exhausted(len(runs), depth, False)
    return tuple(Reached(found[k], True) if k in found else Unreachable(proof) for k in range(len(targets)))


def analyse(
    system: System, answers: Mapping[int, Verdict] | None = None, *, deadlocks: bool = True, quick: bool = False
) -> tuple[LockGraph, Outcome]:
    """Plan, search, replay, conclude; ``answers`` replace some verdicts, ``deadlocks`` says whether to look for one.

    ``quick``: by the engine ``explore`` instead of the interpreter.
    """
    planned = plan(system)
    everything = (*planned.targets, DeadlockTarget())
    verdicts = list(explore.run(system, everything, Budget()) if quick else search(system, everything))
    for k, verdict in (answers or {}).items():
        verdicts[k] = verdict
    evidence = [
        Evidence(v.run, t, replay(system, t, v.run)) if isinstance(v, Reached) else None
        for v, t in zip(verdicts, everything, strict=True)
    ]
    graph = conclude(planned, verdicts[:-1], evidence[:-1], evidence[-1] if deadlocks else None)
    return graph, outcome(planned, graph, verdicts[:-1])
