"""Objects during compilation: where copies of pointers are kept, what ``new`` and ``free`` do, what is leaked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from protocheck.ir.expr import TRUE, Expr, Param, Read, Var, and_, eq, exists, not_, or_
from protocheck.ir.sorts import size_of
from protocheck.lower import nodes as ops
from protocheck.lower.evaluate import Evaluator, Path
from protocheck.lower.liveness import live_slots
from protocheck.lower.nodes import Activation, Graph, Slot, is_choice, is_step
from protocheck.lower.values import (
    PLACE,
    Storage,
    Store,
    Value,
    Write,
    default_value,
    index_sorts,
    save,
)
from protocheck.types import tree as t
from protocheck.types.types import STALE, OptionType, PointerType, RecordType, Type


@dataclass(frozen=True, eq=False)
class Copy:
    """A place where a pointer is kept: state (``thread`` is empty), or a local.

    A local that never outlives a step (``lasting`` is False) matters to the thread's own step alone.
    """

    storage: Storage
    thread: str
    slot: Slot | None
    lasting: bool

    @property
    def place(self) -> Var:
        """Where it points to."""
        var = self.storage.part(PLACE).var
        assert var is not None
        return var

    @property
    def stale(self) -> Var:
        """Whether that was freed since."""
        var = self.storage.part(STALE).var
        assert var is not None
        return var


def copies(
    module: t.CheckedModule, states: Mapping[str, Storage], graphs: Mapping[str, Graph], slots: Mapping[Slot, Storage]
) -> dict[str, tuple[Copy, ...]]:
    """For each pool all copies of pointers to its objects that state and locals may hold."""
    found: dict[str, list[Copy]] = {name: [] for name in module.pools}
    if not found:
        return {}
    for name, s in module.states.items():
        for pool, storage in _pointers(states[name], s.type):
            found[pool].append(Copy(storage, "", None, True))
    for name, graph in graphs.items():
        live = live_slots(graph)
        lasting = {slot for n in graph.nodes if _may_stop(n) for slot in live[n.number]}
        for slot in graph.slots:
            for pool, storage in _pointers(slots[slot], slot.type):
                found[pool].append(Copy(storage, name, slot, slot in lasting))
    return {pool: tuple(all_) for pool, all_ in found.items()}


def _may_stop(node: ops.Node) -> bool:
    return is_step(node) or is_choice(node) or isinstance(node.op, ops.Mark | ops.Assertion)


def _pointers(storage: Storage, type_: Type) -> Iterator[tuple[str, Storage]]:
    match type_:
        case PointerType(pool) | OptionType(PointerType(pool)):
            yield pool, storage
        case RecordType(_, fields):
            for (_, part), (_, f) in zip(storage.parts, fields, strict=True):
                yield from _pointers(part, f)
        case OptionType(RecordType(_, fields)):
            for (_, part), (_, f) in zip(storage.parts[1:], fields, strict=True):
                yield from _pointers(part, f)
        case _:
            pass


def pool_of(module: t.CheckedModule, call: t.BuiltinCall) -> t.PoolDecl:
    """The pool that ``new`` or ``free`` is about."""
    assert isinstance(call.place, t.StateRef)
    state = call.place.state
    return next(p for p in module.pools.values() if p.live == state)


def used(e: Evaluator, pool: t.PoolDecl) -> Var:
    """Which places of the pool are in use."""
    var = e.states[pool.live].var
    assert var is not None
    return var


def make_stale(
    found: tuple[Copy, ...], own_class: str, own: tuple[Param, ...], at: Expr, p: Path, e: Evaluator
) -> None:
    """Every copy of a pointer to ``at``, wherever it is kept, is stale from now on."""
    for copy in found:
        if not copy.lasting and copy.thread != own_class:
            continue
        sorts = copy.place.index if copy.lasting else copy.place.index[len(own) :]
        binders = tuple(e.fresh(s) for s in sorts)
        cells = binders if copy.lasting else (*own, *binders)
        here = eq(p.store.read(copy.place, cells), at)
        p.store.write(copy.stale, Write(cells, TRUE, binders, here))


def clear(pool: t.PoolDecl, at: Expr, p: Path, e: Evaluator) -> None:
    """The fields of what is at ``at`` get back their first values, so that free places are all alike."""
    for name in pool.fields:
        storage = e.states[name]
        declaration = e.instance.module.states[name]
        sorts = [s for b in declaration.binders for s in index_sorts(b.type, e.instance)]
        cells = tuple(e.fresh(s) for s in sorts[1:])
        index: tuple[Expr, ...] = (at, *cells)
        value: Value = default_value(storage.shape)
        if declaration.init is not None:
            inner = Path()
            start = 0
            for b in declaration.binders:
                width = len(index_sorts(b.type, e.instance))
                inner.values[b.number] = e.bundle(b.type, index[start : start + width])
                start += width
            value = e.value(declaration.init, Activation("init", None), inner)
        save(storage, index, value, p.store, e.fresh, cells)


def leaked(
    module: t.CheckedModule,
    found: Mapping[str, tuple[Copy, ...]],
    e: Evaluator,
    pool: str,
    place: Expr,
    kept: Callable[[Copy, tuple[Expr, ...]], Expr],
) -> Expr:
    """Whether the object at ``place`` exists and nothing leads to it: no state, no local that is ``kept`` (given the
    instance of its thread), and no field of an object that something leads to."""
    holders = [p for p in module.pools if _fields(module, found, e, p)]
    # A way without circles visits every object once. For larger pools than these it finds less, so it claims no more.
    depth = sum(size_of(used(e, module.pools[p]).index[0]) for p in holders) - (pool in holders)
    nothing = Store()

    def points(copy: Copy, cells: tuple[Expr, ...], to: Expr) -> Expr:
        return and_(eq(nothing.read(copy.place, cells), to), not_(nothing.read(copy.stale, cells)))

    def root(name: str, to: Expr) -> Expr:
        parts = []
        inside = {c.storage for p in module.pools for _, c in _fields(module, found, e, p)}
        for copy in found[name]:
            if copy.storage in inside or not copy.lasting or _is_ghost(module, e, copy):
                continue
            binders = tuple(e.fresh(s) for s in copy.place.index)
            there = kept(copy, binders) if copy.thread else TRUE
            parts.append(exists(binders, and_(there, points(copy, binders, to))))
        return or_(*parts)

    def reached(name: str, to: Expr, steps: int) -> Expr:
        parts = [root(name, to)]
        for holder in holders if steps else ():
            for target, copy in _fields(module, found, e, holder):
                if target != name:
                    continue
                binders = tuple(e.fresh(s) for s in copy.place.index)
                lives = Read(used(e, module.pools[holder]), (binders[0],))
                way = and_(lives, points(copy, binders, to), reached(holder, binders[0], steps - 1))
                parts.append(exists(binders, way))
        return or_(*parts)

    return and_(Read(used(e, module.pools[pool]), (place,)), not_(reached(pool, place, depth)))


def _fields(
    module: t.CheckedModule, found: Mapping[str, tuple[Copy, ...]], e: Evaluator, pool: str
) -> list[tuple[str, Copy]]:
    """The real fields of the objects of ``pool`` that are pointers, each with the pool it points to."""
    mine = {
        v for name in module.pools[pool].fields if not module.states[name].ghost for v in e.states[name].vars()
    }
    return [(target, c) for target, all_ in found.items() for c in all_ if not c.thread and c.place in mine]


def _is_ghost(module: t.CheckedModule, e: Evaluator, copy: Copy) -> bool:
    if copy.thread:
        return False
    return any(s.ghost and copy.place in set(e.states[name].vars()) for name, s in module.states.items())
