"""Who runs on which CPU, and who keeps whom from running there: masks, handlers and IPIs as conditions on the state.

A thread without `on` has a CPU to itself, which nothing ever disturbs. Of those on one CPU a handler runs before all
others, a thread that has preemption off before the other threads. Nothing of this is kept in variables: the places of
threads and the locks they hold decide it, but for what IPIs have asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Expr,
    Lit,
    Param,
    Read,
    Var,
    VarKind,
    and_,
    eq,
    exists,
    forall,
    ne,
    not_,
    or_,
)
from protocheck.ir.expr import substitute as put_in
from protocheck.ir.sorts import BOOL, RangeSort, Sort
from protocheck.ir.system import HELD_NONE, ITS_CPU, NEVER_WAITED_FOR, LockKind, Wait, WaitsFor
from protocheck.lower import nodes as ops
from protocheck.lower.evaluate import ThreadView
from protocheck.lower.nodes import Graph
from protocheck.types import tree as t

ACTIVE = "#active:"
NOT_ASKED, ASKED, IN_SERVICE = 0, 1, 2  # what a thread that waits for an IPI knows of it


@dataclass(frozen=True)
class Blocker:
    """Instances of ``thread``, one per value of ``others``, that keep somebody off a CPU where ``cond`` is true."""

    thread: str
    others: tuple[Param, ...]
    cond: Expr
    why: str

    def holds(self) -> Expr:
        return exists(self.others, self.cond)

    def edge(self, resolve: Callable[[Expr], Expr]) -> WaitsFor:
        return WaitsFor(self.thread, self.others, resolve(self.cond), self.why)


@dataclass(frozen=True)
class Cpus:
    """``where``: for each thread class on a CPU, that CPU over the class's params. ``holders``: lock -> classes."""

    threads: dict[str, t.ThreadDecl]
    locks: dict[str, t.LockDecl]
    graphs: dict[str, Graph]
    views: dict[str, ThreadView]
    where: dict[str, tuple[Expr, ...]]
    holders: dict[str, tuple[str, ...]]
    held: Callable[[str, str, tuple[Expr, ...], tuple[Expr, ...]], Expr]
    queued: Callable[[str, str], Var]
    lock_index: Callable[[str], tuple[Sort, ...]]
    fresh: Callable[[Sort, str], Param]
    waiters: dict[str, tuple[str, ...]] = field(init=False)  # handler -> classes that wait for what they asked of it

    def __post_init__(self) -> None:
        found: dict[str, dict[str, None]] = {}
        for name, graph in self.graphs.items():
            for node in graph.nodes:
                if isinstance(node.op, ops.AwaitIpi):
                    found.setdefault(node.op.handler, {})[name] = None
        object.__setattr__(self, "waiters", {h: tuple(names) for h, names in found.items()})

    # -- what is known of a thread

    def handlers_that_wait(self, lock: str) -> tuple[str, ...]:
        """The handlers that may have to wait for ``lock``: not those that only try, nor for what is always granted."""
        if self.locks[lock].kind in NEVER_WAITED_FOR:
            return ()
        return tuple(
            h
            for h in self.handlers()
            if any(isinstance(n.op, ops.Take) and n.op.lock.lock == lock for n in self.graphs[h].nodes)
        )

    def nmis_that_wait(self, lock: str) -> tuple[str, ...]:
        """Those of them that nothing masks."""
        return tuple(h for h in self.handlers_that_wait(lock) if self.is_nmi(h))

    def is_handler(self, name: str) -> bool:
        return bool(self.threads[name].interrupt)

    def is_nmi(self, name: str) -> bool:
        """Whether nothing masks the handler but another one of its kind."""
        return self.threads[name].unmasked

    def handlers(self) -> Iterator[str]:
        return (name for name in self.graphs if self.is_handler(name))

    def at(self, name: str, who: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The CPU of an instance."""
        params = self.views[name].params
        return tuple(put_in(e, {q.name: x for q, x in zip(params, who, strict=True)}) for e in self.where[name])

    def active(self, handler: str, cpu: tuple[Expr, ...]) -> Expr:
        """Whether the handler is running on ``cpu`` (a place holder until locations have numbers)."""
        sorts = tuple(q.sort for q in self.views[handler].params)
        return Read(Var(f"{ACTIVE}{handler}", sorts, BOOL), cpu)

    def irqs_off(self, name: str, who: tuple[Expr, ...]) -> Expr:
        return self._has(name, who, lambda lock: lock.irq or lock.kind is LockKind.IRQ_OFF)

    def stays(self, name: str, who: tuple[Expr, ...]) -> Expr:
        """Whether the instance has preemption off: nobody else is scheduled on its CPU."""
        kinds = (LockKind.IRQ_OFF, LockKind.PREEMPT_OFF, LockKind.SPINLOCK, LockKind.RWLOCK)
        return self._has(name, who, lambda lock: lock.kind in kinds)

    def _has(self, name: str, who: tuple[Expr, ...], wanted: Callable[[t.LockDecl], bool]) -> Expr:
        """Whether the instance holds a lock of this sort, or spins for it."""
        parts = []
        for lock, names in self.holders.items():
            if name not in names or not wanted(self.locks[lock]):
                continue
            cells = tuple(self.fresh(s, "i") for s in self.lock_index(lock))
            mine = ne(self.held(lock, name, who, cells), Lit(HELD_NONE))
            spins = ne(Read(self.queued(lock, name), who + cells), Lit(HELD_NONE))
            parts.append(exists(cells, or_(mine, spins)))
        return or_(*parts)

    # -- who keeps whom from running

    def _others(self, name: str) -> tuple[tuple[Param, ...], Expr]:
        view = self.views[name]
        others = tuple(self.fresh(q.sort, q.name) for q in view.params)
        return others, put_in(view.where, {q.name: x for q, x in zip(view.params, others, strict=True)})

    def _same(self, name: str, others: tuple[Expr, ...], cpu: tuple[Expr, ...]) -> Expr:
        return and_(*map(eq, self.at(name, others), cpu))

    def _running(self, cpu: tuple[Expr, ...], nmi: bool = False) -> Iterator[Blocker]:
        """The handlers that run on ``cpu``; ``nmi``: only those that nothing masks."""
        for handler in self.handlers():
            if nmi and not self.is_nmi(handler):
                continue
            others, inside = self._others(handler)
            here = and_(inside, *map(eq, others, cpu), self.active(handler, others))
            yield Blocker(handler, others, here, "runs on this CPU")

    def pinned(self, name: str, who: tuple[Expr, ...]) -> Expr:
        """Whether an instance that migrates has to stay where it is."""
        return or_(self.stays(name, who), self._has(name, who, lambda lock: lock.kind is LockKind.MIGRATE_OFF))

    def over_mover(self, name: str, who: tuple[Expr, ...]) -> tuple[Blocker, ...]:
        """Who keeps an instance of a class that moves others from doing so: the one that it would move."""
        moved = self.threads[name].moves
        others = tuple(self.fresh(q.sort, q.name) for q in self.views[moved].params)
        cond = and_(*map(eq, others, who), self.pinned(moved, others))
        blocker = Blocker(moved, others, cond, "has to stay on its CPU")
        return () if cond == FALSE else (blocker,)

    def over_thread(self, name: str, who: tuple[Expr, ...]) -> tuple[Blocker, ...]:
        """Who keeps a thread from its next step: handlers, and threads with preemption off. For a handler: NMIs."""
        if self.threads[name].moves:
            return self.over_mover(name, who)
        if name not in self.where or self.is_nmi(name):
            return ()
        if self.is_handler(name):
            return tuple(b for b in self._running(who, True) if b.cond != FALSE)
        return self._over(name, who, self.at(name, who))

    def _over(self, name: str, who: tuple[Expr, ...], cpu: tuple[Expr, ...]) -> tuple[Blocker, ...]:
        """Who would keep an instance from its next step if it were on ``cpu``."""
        found = list(self._running(cpu))
        for other in self.where:
            if self.is_handler(other):
                continue
            others, inside = self._others(other)
            apart = not_(and_(*map(eq, others, who))) if other == name else TRUE
            cond = and_(inside, apart, self._same(other, others, cpu), self.stays(other, others))
            found.append(Blocker(other, others, cond, "has preemption off on this CPU"))
        return tuple(b for b in found if b.cond != FALSE)

    def over_handler(self, handler: str, cpu: tuple[Expr, ...]) -> tuple[Blocker, ...]:
        """Who keeps an interrupt away from ``cpu``: another handler, and threads with interrupts off; NMIs an NMI."""
        if self.is_nmi(handler):
            return tuple(b for b in self._running(cpu, True) if b.cond != FALSE)
        found = list(self._running(cpu))
        for other in self.where:
            if not self.is_handler(other):
                others, inside = self._others(other)
                cond = and_(inside, self._same(other, others, cpu), self.irqs_off(other, others))
                found.append(Blocker(other, others, cond, "has interrupts off on this CPU"))
        return tuple(b for b in found if b.cond != FALSE)

    def free(self, name: str, who: tuple[Expr, ...]) -> Expr:
        """Whether the CPU of a thread lets it take a step."""
        if self.threads[name].migrates is None:
            return and_(*(not_(b.holds()) for b in self.over_thread(name, who)))
        cpu = self._any_cpu(name, who)
        here = and_(*map(eq, self.at(name, who), cpu))  # spoken of one by one, so that there may be any number of them
        return exists(cpu, and_(here, *(not_(b.holds()) for b in self._over(name, who, cpu))))

    def _any_cpu(self, name: str, who: tuple[Expr, ...]) -> tuple[Param, ...]:
        return tuple(self.fresh(e.var.sort, "cpu") for e in self.at(name, who) if isinstance(e, Read))

    # -- IPIs

    def asked(self, handler: str) -> Var:
        """Whether somebody has asked a CPU to run the handler, and it has not begun to."""
        return Var(f"{handler}.asked", tuple(q.sort for q in self.views[handler].params), BOOL, VarKind.STATE)

    def request(self, handler: str, name: str) -> Var:
        """How far the handler is with what an instance of class ``name`` asked of a CPU."""
        sorts = tuple(q.sort for q in (*self.views[name].params, *self.views[handler].params))
        return Var(f"{handler}.asked by {name}", sorts, RangeSort(NOT_ASKED, IN_SERVICE), VarKind.HIDDEN)

    def variables(self) -> Iterator[tuple[Var, Expr]]:
        """What has to be kept, with what it begins as."""
        for handler in self.handlers():
            if self.threads[handler].asked:
                yield self.asked(handler), FALSE
                for name in self.waiters.get(handler, ()):
                    yield self.request(handler, name), Lit(NOT_ASKED)

    # -- who waits for whom

    def preempted(self, name: str, resolve: Callable[[Expr], Expr], here: Expr, blocked: Expr) -> Iterator[Wait]:
        """A thread that could move, were it not for others on its CPU (``blocked``: where it waits anyway)."""
        who = self.views[name].params
        over = self.over_thread(name, who)
        kept = or_(*(b.holds() for b in over))
        on = tuple(b.edge(resolve) for b in over)
        idle = TRUE if self.threads[name].moves else FALSE
        if over and self.threads[name].migrates is not None:  # it waits for whoever is in the way on every CPU
            cpu = self._any_cpu(name, who)
            anywhere = self._over(name, who, cpu)
            free = not_(self.pinned(name, who))
            kept = and_(kept, or_(not_(free), forall(cpu, or_(*(b.holds() for b in anywhere)))))
            on += tuple(replace(b, cond=exists(cpu, and_(free, b.cond))).edge(resolve) for b in anywhere)
        if over:
            cond = and_(resolve(and_(here, kept)), not_(blocked))
            yield Wait(name, cond, on, idle, ITS_CPU, None, self.graphs[name].nodes[0].origin)

    def pending(
        self,
        name: str,
        resolve: Callable[[Expr], Expr],
        here: Expr,
        alive: Callable[[str, tuple[Expr, ...]], Expr],
    ) -> Iterator[Wait]:
        """A handler that has not begun: kept away, or (an IPI) not asked for."""
        own = self.views[name].params
        over = self.over_handler(name, own)
        origin = self.graphs[name].nodes[0].origin
        kept = or_(*(b.holds() for b in over))
        on = tuple(b.edge(resolve) for b in over)
        ipi = self.threads[name].asked
        asked: Expr = Read(self.asked(name), own) if ipi else TRUE
        what = f"interrupts on, to run {name}"
        if over:
            yield Wait(name, resolve(and_(here, asked, kept)), on, FALSE if ipi else TRUE, what, None, origin)
        if ipi:
            senders = []
            for other, graph in self.graphs.items():
                if any(isinstance(n.op, ops.SendIpi) and n.op.handler == name for n in graph.nodes):
                    others, _ = self._others(other)
                    senders.append(WaitsFor(other, others, resolve(alive(other, others)), f"may ask for {name}"))
            yield Wait(name, resolve(and_(here, not_(asked))), tuple(senders), TRUE, f"an IPI for {name}", None, origin)

    def served_by(self, var: Var) -> str | None:
        """The handler whose :meth:`request` ``var`` is."""
        for handler, names in self.waiters.items():
            if any(self.request(handler, n) == var for n in names):
                return handler
        return None
