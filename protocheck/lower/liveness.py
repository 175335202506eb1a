"""Which locals of a thread can still matter at a node: backward data flow over the flow graph.

At the end of a step every local that cannot matter is put back to its default, so that states which differ only in
leftovers are one state. Source: the reduction "dead locals reset" of the engine notes; it keeps verdicts and depths.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocheck.lower import nodes as ops
from protocheck.lower.nodes import Activation, Alias, Graph, Node, Slot
from protocheck.types import tree as t
from protocheck.types.contention import subexpressions


def live_slots(graph: Graph) -> list[frozenset[Slot]]:
    """For each node the slots whose value may be used before it is overwritten."""
    uses = [frozenset(_uses(n)) for n in graph.nodes]
    kills = [frozenset(_kills(n)) for n in graph.nodes]
    live: list[frozenset[Slot]] = [frozenset() for _ in graph.nodes]
    before: list[list[int]] = [[] for _ in graph.nodes]
    for n in graph.nodes:
        for s in n.succ:
            if s >= 0:
                before[s].append(n.number)
    work = list(range(len(graph.nodes) - 1, -1, -1))
    queued = set(work)
    while work:
        number = work.pop(0)
        queued.discard(number)
        out: frozenset[Slot] = frozenset()
        for s in graph.nodes[number].succ:
            if s >= 0:
                out |= live[s]
        new = uses[number] | (out - kills[number])
        if new != live[number]:
            live[number] = new
            for b in before[number]:
                if b not in queued:
                    queued.add(b)
                    work.append(b)
    return live


def retry_region(graph: Graph, loop: int) -> frozenset[int]:
    """The nodes from which a ``retry`` of ``loop`` can be reached in the same turn."""
    before: list[list[int]] = [[] for _ in graph.nodes]
    for n in graph.nodes:
        for s in n.succ:
            if s >= 0 and not isinstance(n.op, ops.Back | ops.Again):
                before[s].append(n.number)
    work = [n.number for n in graph.nodes if isinstance(n.op, ops.Again) and n.op.loop == loop]
    found = set(work)
    while work:
        for b in before[work.pop()]:
            node = graph.nodes[b]
            if b not in found and node.op != ops.Head(loop):
                found.add(b)
                work.append(b)
    return frozenset(found)


def _slots(e: t.Expr, a: Activation) -> Iterator[Slot]:
    if isinstance(e, t.LocalRef):
        binding = a.bindings.get(e.local.number)
        if isinstance(binding, Slot):
            yield binding
        elif isinstance(binding, Alias):
            yield from _slots(binding.expr, binding.activation)
        return
    for child in subexpressions(e):
        yield from _slots(child, a)


def _place_uses(place: t.Expr, a: Activation) -> Iterator[Slot]:
    """What is needed to find the place: indexes; for a field of a local the rest of the local."""
    match place:
        case t.StateRef(_, index):
            for i in index:
                yield from _slots(i, a)
        case t.Field(base, _):
            if isinstance(base, t.LocalRef):
                yield from _slots(base, a)
            yield from _place_uses(base, a)
        case t.LocalRef(local):
            binding = a.bindings.get(local.number)
            if isinstance(binding, Alias):
                yield from _place_uses(binding.expr, binding.activation)
        case _:
            yield from _slots(place, a)


def _whole(place: t.Expr, a: Activation) -> Iterator[Slot]:
    """The slot that an assignment to ``place`` overwrites completely."""
    if isinstance(place, t.LocalRef):
        binding = a.bindings.get(place.local.number)
        if isinstance(binding, Slot):
            yield binding
        elif isinstance(binding, Alias):
            yield from _whole(binding.expr, binding.activation)


def _local(local: t.Local, a: Activation) -> Iterator[Slot]:
    binding = a.bindings.get(local.number)
    if isinstance(binding, Slot):
        yield binding


def _uses(node: Node) -> Iterator[Slot]:
    a, op = node.activation, node.op
    match op:
        case ops.Load(_, ref):
            yield from _slots(ref, a)
        case ops.Set(place, value):
            yield from _place_uses(place, a)
            if value is not None:
                yield from _slots(value, a)
        case ops.Branch(condition) | ops.Assertion(condition):
            yield from _slots(condition, a)
        case ops.Pick(_, where):
            if where is not None:
                yield from _slots(where, a)
        case ops.PickMember(_, visited, where, domain):
            yield from _local(visited, a)
            for e in (where, domain):
                if e is not None:
                    yield from _slots(e, a)
        case ops.Scramble(place):
            yield from _place_uses(place, a)
        case ops.Primitive(call):
            yield from _place_uses(call.place, a)
            yield from _slots(call.place, a)
            for e in call.args:
                yield from _slots(e, a)
        case ops.Take(lock) | ops.Attempt(lock) | ops.Give(lock) | ops.Lower(lock):
            for e in lock.index:
                yield from _slots(e, a)
            for h in node.held:
                for e in h.lock.index if h.lock.lock == lock.lock and not h.every else ():
                    yield from _slots(e, h.activation)
        case ops.SyncBegin(lock) | ops.SyncEnd(lock):
            for e in lock.index:
                yield from _slots(e, a)
        case ops.Wait(condition, _, unless):
            yield from _slots(condition, a)
            if unless is not None:
                yield from _slots(unless, a)
        case ops.MustHold(condition):
            yield from _slots(condition, a)
        case ops.GuardCheck(ref, _, bound):
            yield from _slots(ref, a)
            for _, where in bound:
                if where is not None:
                    yield from _slots(where, a)
        case ops.Inline(statement):
            yield from _statement(statement, a)
        case ops.Freeze(_, index):
            for e in index or ():
                yield from _slots(e, a)
        case _:
            pass


def _kills(node: Node) -> Iterator[Slot]:
    a, op = node.activation, node.op
    match op:
        case ops.Load(local):
            yield from _local(local, a)
        case ops.Set(place) | ops.Scramble(place):
            yield from _whole(place, a)
        case ops.Pick(local):
            yield from _local(local, a)
        case ops.PickMember(local):
            yield from _local(local, a)
        case ops.Primitive(_, result):
            if result is not None:
                yield from _local(result, a)
        case _:
            pass


def _statement(s: t.Statement, a: Activation) -> Iterator[Slot]:
    """Every slot that a statement executed as a whole mentions, in any role."""
    match s:
        case t.Block(body):
            for inner in body:
                yield from _statement(inner, a)
        case t.Ghost(body) | t.Region(_, body) | t.Atomic(body):
            yield from _statement(body, a)
        case t.Declare(_, value):
            yield from _rhs(value, a)
        case t.Assign(place, value):
            yield from _slots(place, a)
            yield from _rhs(value, a)
        case t.CallStmt(call):
            yield from _rhs(call, a)
        case t.If(condition, then, otherwise):
            yield from _rhs(condition, a)
            yield from _statement(then, a)
            if otherwise is not None:
                yield from _statement(otherwise, a)
        case t.ForEach(_, where, body, domain):
            for e in (where, domain):
                if e is not None:
                    yield from _slots(e, a)
            yield from _statement(body, a)
        case t.ForRange(_, first, end, step, _, body):
            for e in (first, end, step):
                if e is not None:
                    yield from _slots(e, a)
            yield from _statement(body, a)
        case t.Assert(condition):
            yield from _slots(condition, a)
        case t.Return(value):
            yield from _rhs(value, a)
        case _:
            pass


def _rhs(value: t.Rhs | None, a: Activation) -> Iterator[Slot]:
    match value:
        case None | t.TryAcquire():
            pass
        case t.Call(args=args) | t.BuiltinCall(args=args):
            for e in args:
                yield from _slots(e, a)
        case t.Test(call=call, args=args):
            yield from _rhs(call, a)
            for e in args:
                yield from _slots(e, a)
        case _:
            yield from _slots(value, a)
