"""The control flow of one thread with all that it calls put in place: nodes joined by edges, still in source terms.

Contended reads are taken out of expressions here, one node per access, so that a node is either one step of the
language (see ``is_step``) or none. Which nodes then make up a transition is decided by :mod:`protocheck.lower.steps`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from protocheck.ir.expr import Op
from protocheck.ir.system import BEGINS, ENDS, MASKS, LockKind, ThreadKind
from protocheck.lower.bounds import bounded_type
from protocheck.lower.instance import Instance
from protocheck.lower.nodes import (
    Activation,
    Again,
    Alias,
    Assertion,
    Attempt,
    AwaitIpi,
    Back,
    Begin,
    Branch,
    Crash,
    End,
    Finish,
    Fork,
    Freeze,
    Give,
    Graph,
    GuardCheck,
    HaltAll,
    Head,
    HeldNow,
    Inject,
    Inline,
    IrqBegin,
    IrqEnd,
    Load,
    Lower,
    Mark,
    Move,
    MustHold,
    MustNotHold,
    Node,
    NodeOp,
    Nop,
    OwnIndex,
    Pick,
    PickMember,
    Primitive,
    Scramble,
    SendIpi,
    Set,
    Slot,
    SyncBegin,
    SyncEnd,
    Take,
    Wait,
    is_choice,
    is_step,
)
from protocheck.lower.turns import CALLS, independent, state_refs, touches_state, walk
from protocheck.source import Span
from protocheck.types import tree as t
from protocheck.types.contention import (
    ANY,
    Access,
    Contention,
    Form,
    HeldForm,
    fn_values,
    foreign,
    form_of,
    has_retry,
    held_at_head,
    released,
    subexpressions,
)
from protocheck.types.types import BoolType, IntType, PointerType, SetType, SnapshotType, Type


@dataclass
class _Loop:
    number: int
    withs: int
    held: tuple[HeldNow, ...]  # at the head
    retry: bool
    outermost: bool
    breaks: list[tuple[Node, int]] = field(default_factory=list)
    continues: list[tuple[Node, int]] = field(default_factory=list)
    held_at_break: list[tuple[HeldNow, ...]] = field(default_factory=list)
    head: Node | None = None


@dataclass
class _Call:
    withs: int
    exits: list[tuple[Node, int]]
    result: t.Local | None
    held_at_exit: list[tuple[HeldNow, ...]]
    caller: Activation
    span: Span


@dataclass(frozen=True)
class Mentions:
    """What properties (other than assertions) speak about."""

    states: frozenset[str]
    labels: frozenset[str]
    regions: frozenset[str]
    procs: frozenset[str] = frozenset()  # of which some claim says that they finish


def mentions(module: t.CheckedModule) -> Mentions:
    """Collect what the properties of ``module`` mention."""
    states: set[str] = set()
    labels: set[str] = set()
    regions: set[str] = set()

    def visit(e: t.Expr) -> None:
        match e:
            case t.StateRef(state):
                states.add(state)
            case t.AtLabel(_, label):
                labels.add(label)
            case t.InRegion(_, region):
                regions.add(region)
            case t.FnCall(fn):
                for value in fn_values(fn, module):
                    visit(value)
            case _:
                pass
        for child in subexpressions(e):
            visit(child)

    for p in module.properties:
        for e in (p.condition, p.pending, p.where):
            if e is not None:
                visit(e)
    for r in module.runs:
        labels.update(line.label for line in r.lines)
        if r.goal is not None:
            visit(r.goal)
    for s in module.scenarios.values():
        labels.update(x.label for x in s.expectations if x.label)
    procs = frozenset(p.finishes for p in module.properties if p.finishes)
    return Mentions(frozenset(states), frozenset(labels), frozenset(regions), procs)


def thread_flow(
    thread: t.ThreadDecl, instance: Instance, contention: Contention, mentioned: Mentions, merge: bool = True
) -> Graph:
    """The flow graph of ``thread``; ``merge`` False makes every shared access a step, for tests of the reduction."""
    builder = _Builder(instance, contention, mentioned, thread, merge)
    root = Activation(thread.name, None)
    for i, p in enumerate(thread.params):
        root.bindings[p.number] = OwnIndex(i)
        root.forms[p.number] = ("own", i)
    if thread.moves:
        builder.mover(thread, root)
        return builder.graph
    if thread.interrupt:
        builder.handler(thread, root)
        return builder.graph
    if thread.cpu is not None:
        root.bindings[t.THIS_CPU] = Alias(thread.cpu, root)
        root.forms[t.THIS_CPU] = form_of(thread.cpu, root.forms)
    builder.run(thread.body, root)
    return builder.graph


def init_flow(body: t.Block, instance: Instance, contention: Contention) -> Graph:
    """The flow graph of an ``init`` block: everything in it happens at once."""
    builder = _Builder(instance, contention, Mentions(frozenset(), frozenset(), frozenset()), None, True)
    builder.depth = 1
    builder.run(body, Activation("init", None))
    return builder.graph


_LAZY = (Op.AND, Op.OR, Op.IMPLIES, Op.ITE)


class _Builder:
    def __init__(
        self,
        instance: Instance,
        contention: Contention,
        mentioned: Mentions,
        thread: t.ThreadDecl | None,
        merge: bool,
    ) -> None:
        self.instance = instance
        self.module = instance.module
        self.contention = contention
        self.mentioned = mentioned
        self.thread = thread
        self.merge = merge
        self.graph = Graph(thread, [], [], set(), [], [], 0)
        self.pending: list[tuple[Node, int]] = []
        self.alive = True
        self.held: tuple[HeldNow, ...] = ()
        self.depth = 0
        self.loops: list[_Loop] = []
        self.calls: list[_Call] = []
        self.withs: list[HeldNow] = []
        self.scopes = 0
        self.maybe: set[int] = set()  # scopes of ``with`` locks that some way has released early
        self.labels: tuple[str, ...] = ()
        self.regions: tuple[str, ...] = ()
        self.crossing = ""
        self.inside: tuple[str, ...] = ()
        self.touches: set[int] = set()
        self.slot_of: dict[int, Slot] = {}
        self.names: dict[str, int] = {}
        self.hidden = -1
        self.stmt_span: Span | None = None

    # -- emission

    def run(self, body: t.Block, root: Activation) -> None:
        self.emit(Nop(), root, body.span)
        self.block(body, root)
        self.stmt_span = None
        end = Span(body.span.file, max(body.span.start, body.span.end - 1), body.span.end)
        if self.alive:
            if self.thread is not None:
                self.end_checks(root, end)
            self.emit(Finish(), root, end)
            self.dead()
        self.settle_assertions()

    def handler(self, thread: t.ThreadDecl, root: Activation) -> None:
        """An interrupt handler: begin, body, end, and from there back to the begin, for ever."""
        self.emit(Nop(), root, thread.body.span)
        begin = self.emit(IrqBegin(), root, thread.span)
        frame = _Call(0, [], None, [], root, thread.span)
        self.calls.append(frame)
        self.touch()
        self.block(thread.body, root)
        if self.alive:
            frame.exits += self.pending
            frame.held_at_exit.append(self.held)
        self.calls.pop()
        self.stmt_span = None
        self.pending, self.alive = frame.exits, bool(frame.exits)
        if self.alive:
            self.held = self.merge_held(frame.held_at_exit)
            whole = thread.body.span
            end = Span(whole.file, max(whole.start, whole.end - 1), whole.end)
            self.emit(MustNotHold("the end of the interrupt", False), root, end)
            self.emit(IrqEnd(), root, end)
            for source, slot in self.pending:
                source.succ[slot] = begin.number
            self.dead()
        self.settle_assertions()

    def mover(self, thread: t.ThreadDecl, root: Activation) -> None:
        """What moves the threads of another class between CPUs, for ever."""
        self.emit(Nop(), root, thread.span)
        cpu = self.instance.threads[thread.moves].cpu
        assert isinstance(cpu, t.StateRef)
        move = self.emit(Move(cpu), root, thread.span)
        move.succ[0] = move.number
        self.dead()

    def where_it_runs(self, e: t.Expr, a: Activation) -> t.StateRef | None:
        """The cell behind ``this_cpu`` in a thread that migrates."""
        if not isinstance(e, t.LocalRef) or e.local.number != t.THIS_CPU or self.thread is None:
            return None
        cpu = self.thread.cpu
        if self.thread.migrates is None or not isinstance(cpu, t.StateRef):
            return None
        for i, p in enumerate(self.thread.params):
            a.bindings.setdefault(p.number, OwnIndex(i))
            a.forms.setdefault(p.number, ("own", i))
        return t.StateRef(cpu.state, cpu.index, type=cpu.type, span=e.span)

    def stays(self) -> bool:
        """Whether the thread surely stays on its CPU here."""
        kinds = (*MASKS, LockKind.SPINLOCK, LockKind.RWLOCK)
        return any(self.module.locks[h.form.lock].kind in kinds for h in self.held)

    def inherit(self, outer: Activation, inner: Activation) -> Activation:
        """What is called runs on the CPU of the caller."""
        if t.THIS_CPU in outer.bindings:
            inner.bindings[t.THIS_CPU] = outer.bindings[t.THIS_CPU]
        if t.THIS_CPU in outer.forms:
            inner.forms[t.THIS_CPU] = outer.forms[t.THIS_CPU]
        return inner

    def settle_assertions(self) -> None:
        """An assertion with ghost code in the same gap, up to the next step or choice, is evaluated at its place."""
        nodes = self.graph.nodes
        for node in nodes:
            if not isinstance(node.op, Assertion) or not node.op.pending:
                continue
            work, seen = [s for s in node.succ if s >= 0], {node.number}
            while work:
                at = nodes[work.pop()]
                if at.number in seen or is_step(at) or is_choice(at) or isinstance(at.op, Mark):
                    continue
                seen.add(at.number)
                if isinstance(at.op, Inline) and at.op.ghost:
                    node.op = Assertion(node.op.condition, node.op.message, node.op.family, False)
                    break
                work += [s for s in at.succ if s >= 0]

    def emit(self, op: NodeOp, a: Activation, span: Span, ways: int = 1) -> Node:
        """A node after all pending edges; its own edges become pending (in order of successors)."""
        node = Node(
            len(self.graph.nodes),
            op,
            a,
            a.at(span),
            self.held,
            self.depth,
            tuple(loop.number for loop in self.loops if loop.retry),
            self.labels,
            self.regions,
            self.crossing,
            self.stmt_span or span,
            [-1] * ways,
            self.inside,
        )
        self.labels = ()
        self.graph.nodes.append(node)
        self.join(node)
        self.pending = [(node, i) for i in range(ways)]
        self.alive = True
        return node

    def join(self, node: Node) -> None:
        for source, slot in self.pending:
            source.succ[slot] = node.number
        self.pending = []

    def dead(self) -> None:
        self.pending, self.alive = [], False

    def touch(self) -> None:
        for loop in self.loops:
            self.touches.add(loop.number)

    def local(self, name: str, type_: Type, a: Activation) -> t.Local:
        """A fresh hidden local with a slot of its own."""
        self.hidden -= 1
        local = t.Local(self.hidden, name, type_, True)
        self.slot(local, a)
        return local

    def slot(self, local: t.Local, a: Activation) -> Slot:
        known = self.slot_of.get(local.number)
        if known is None:
            prefix = self.thread.name if self.thread else "init"
            name = f"{prefix}.{local.name}"
            if name in self.names and a.routine != prefix:
                name = f"{prefix}.{a.routine}.{local.name}"
            seen = self.names.get(name, 0)
            self.names[name] = seen + 1
            known = Slot(name if not seen else f"{name}#{seen + 1}", local.type, local.number < 0)
            self.slot_of[local.number] = known
            self.graph.slots.append(known)
        a.bindings[local.number] = known
        return known

    # -- accesses

    def access(self, ref: t.StateRef, write: bool, a: Activation) -> Access:
        forms = tuple(self.form(i, a) for i in ref.index)
        return Access(self.thread.name if self.thread else "", ref.state, forms, write, self.held_forms())

    def held_forms(self) -> tuple[HeldForm, ...]:
        return tuple(h.form for h in self.held)

    def form(self, e: t.Expr, a: Activation) -> Form:
        return form_of(e, a.forms)

    def resolve(self, e: t.Expr, a: Activation) -> tuple[t.Expr, Activation]:
        """What a reference parameter stands for."""
        while isinstance(e, t.LocalRef):
            b = a.bindings.get(e.local.number)
            if not isinstance(b, Alias) or not e.local.ref:
                break
            e, a = b.expr, b.activation
        return e, a

    def contended(self, ref: t.StateRef, write: bool, a: Activation) -> bool:
        if self.depth > 0 or self.thread is None or self.module.states[ref.state].ghost:
            return False
        if self.thread.migrates is not None and ref.state == f"{self.thread.name}.cpu":
            return not self.merge or not self.stays()
        return not self.merge or self.contention.contended(self.access(ref, write, a))

    def guard(self, ref: t.StateRef, write: bool, a: Activation) -> None:
        """A run-time check where the structure does not show that the declared guard is held."""
        declaration = self.module.states[ref.state]
        if declaration.guard is None or self.thread is None or ref.racy or declaration.ghost:
            return
        if not write and declaration.guard.read_any:
            return
        if self.shown(ref, write, a):
            return
        self.emit(GuardCheck(ref, write), a, ref.span)

    def shown(self, ref: t.StateRef, write: bool, a: Activation) -> bool:
        declaration = self.module.states[ref.state]
        guard = declaration.guard
        assert guard is not None
        binders = {b.number: self.form(e, a) for b, e in zip(declaration.binders, ref.index, strict=True)}

        def holds(term: t.GuardTerm, exclusive: bool) -> bool:
            wanted = tuple(form_of(i, binders) for i in term.lock.index)
            kind = self.module.locks[term.lock.lock].kind
            return any(
                h.form.lock == term.lock.lock
                and (h.every or (h.form.index == wanted and ANY not in wanted))
                and (not exclusive or h.mode == "write" or kind in (LockKind.MUTEX, LockKind.SPINLOCK))
                for h in self.held
            )

        if write:
            return all(holds(g, not guard.any_mode) for g in guard.write)
        return any(holds(g, g.mode == "write") for g in guard.read)

    def pure(self, e: t.Expr, a: Activation) -> t.Expr:
        """``e`` without contended reads: each becomes a :class:`Load` before it, in the order of evaluation."""
        match e:
            case t.StateRef(_, index):
                new = t.StateRef(e.state, tuple(self.pure(i, a) for i in index), e.racy, type=e.type, span=e.span)
                self.guard(new, False, a)
                self.touch()
                if not self.contended(new, False, a):
                    return new
                return self.loaded(new, a)
            case t.LocalRef(local) if local.number == t.THIS_CPU:
                here = self.where_it_runs(e, a)
                return e if here is None else self.pure(here, a)
            case t.LocalRef(local) if local.ref:
                target, owner = self.resolve(e, a)
                if isinstance(target, t.LocalRef):
                    return e
                value = self.pure(target, owner)
                if value is target:
                    return e
                copy = self.local(f"{local.name}", e.type, a)
                self.assign_local(copy, value, owner, a, e.span)
                return t.LocalRef(copy, type=e.type, span=e.span)
            case t.Apply(op, args) if op in _LAZY and any(self.happens(x, a) for x in args[1:]):
                return self.short_circuit(e, a)
            case t.FnCall():
                return self.function(e, a)
            case _:
                return self.rebuild(e, a)

    def assign_local(self, local: t.Local, value: t.Expr, owner: Activation, a: Activation, span: Span) -> None:
        """``local := value`` where the value's names are those of ``owner`` and the local's slot is shared with it."""
        owner.bindings[local.number] = a.bindings[local.number]
        self.emit(Set(t.LocalRef(local, type=local.type, span=span), value, False), owner, span)

    def function(self, e: t.FnCall, a: Activation) -> t.Expr:
        """A function call; one that reads contended cells is evaluated access by access like any other expression."""
        args = tuple(self.pure(x, a) for x in e.args)
        call = t.FnCall(e.fn, args, type=e.type, span=e.span)
        routine = self.instance.routines[e.fn]
        refs = list(state_refs(call, self.module))
        if routine.value is None or not refs:
            return call
        inner = self.inherit(a, Activation(e.fn, a.at(e.span)))
        for param, arg in zip(routine.params, args, strict=True):
            self.pass_argument(param, arg, a, inner)
        if not self.happens(routine.value, inner):
            self.touch()
            return call
        result = self.local(f"{e.fn.rsplit('.', 1)[-1]}", self.finite(e), a)
        self.assign_local(result, self.pure(routine.value, inner), inner, a, e.span)
        return t.LocalRef(result, type=e.type, span=e.span)

    def loaded(self, ref: t.StateRef, a: Activation) -> t.Expr:
        copy = self.local(f"{ref.state.rsplit('.', 1)[-1]}'", ref.type, a)
        self.emit(Load(copy, ref), a, ref.span)
        return t.LocalRef(copy, type=ref.type, span=ref.span)

    def short_circuit(self, e: t.Apply, a: Activation) -> t.Expr:
        """Evaluate ``&&``, ``||``, ``implies``, ``?:`` by branches: an access happens only when it is needed."""
        result = self.local("test", self.finite(e), a)
        place = t.LocalRef(result, type=result.type, span=e.span)

        def put(value: t.Expr) -> None:
            self.emit(Set(place, self.pure(value, a), False), a, e.span)

        def constant(v: int) -> t.Expr:
            return t.Const(v, type=BoolType(), span=e.span)

        if e.op is Op.ITE:
            condition, then, other = e.args
        elif e.op is Op.AND:
            condition, then = e.args[0], self.fold(e, a)
            other = constant(0)
        elif e.op is Op.OR:
            condition, other = e.args[0], self.fold(e, a)
            then = constant(1)
        else:
            condition, then, other = e.args[0], e.args[1], constant(1)
        self.emit(Branch(self.pure(condition, a)), a, condition.span, 2)
        no = self.pending.pop()
        put(then)
        ends = self.pending
        self.pending = [no]
        put(other)
        self.pending += ends
        self.emit(Nop(), a, e.span)
        return place

    def fold(self, e: t.Apply, a: Activation) -> t.Expr:
        rest = e.args[1:]
        return rest[0] if len(rest) == 1 else t.Apply(e.op, rest, type=e.type, span=e.span)

    def rebuild(self, e: t.Expr, a: Activation) -> t.Expr:
        match e:
            case t.Field(base, name):
                return t.Field(self.pure(base, a), name, type=e.type, span=e.span)
            case t.Apply(op, args):
                return t.Apply(op, tuple(self.pure(x, a) for x in args), type=e.type, span=e.span)
            case t.Member(element, domain):
                return t.Member(self.pure(element, a), self.pure(domain, a), type=e.type, span=e.span)
            case t.SetLit(elements):
                return t.SetLit(tuple(self.pure(x, a) for x in elements), type=e.type, span=e.span)
            case t.RecordLit(fields):
                return t.RecordLit(tuple(self.pure(x, a) for x in fields), type=e.type, span=e.span)
            case t.Unwrap(base, checked):
                return t.Unwrap(self.pure(base, a), checked, type=e.type, span=e.span)
            case t.Wrap(base):
                return t.Wrap(self.pure(base, a), type=e.type, span=e.span)
            case t.Changed(snapshot):
                return self.changed(t.Changed(self.pure(snapshot, a), e.behind, type=e.type, span=e.span), a)
            case t.Quantified():
                self.touch()
                self.guard_all(e, a)
                return e
            case _:
                return e

    def changed(self, e: t.Changed, a: Activation) -> t.Expr:
        """``changed(s)`` reads the version: where that is contended, in a step of its own."""
        kind = e.snapshot.type
        assert isinstance(kind, SnapshotType)
        self.touch()
        if not self.version_contended(kind, a):
            return e
        result = self.local("behind" if e.behind else "changed", e.type, a)
        place = t.LocalRef(result, type=e.type, span=e.span)
        self.emit(Set(place, e, True), a, e.span)
        return place

    def version_contended(self, kind: SnapshotType, a: Activation) -> bool:
        if self.depth > 0 or self.thread is None:
            return False
        anywhere = tuple(ANY for _ in kind.index)
        access = Access(self.thread.name, kind.state, anywhere, False, self.held_forms())
        return not self.merge or self.contention.contended(access)

    def guard_all(self, e: t.Expr, a: Activation, bound: tuple[tuple[t.Local, t.Expr | None], ...] = ()) -> None:
        """Guard checks for everything in ``e``, which is evaluated at once; names bound in it stand for all members."""
        match e:
            case t.StateRef(state):
                declaration = self.module.states[state]
                guard = declaration.guard
                free = guard is None or guard.read_any or e.racy or declaration.ghost or self.thread is None
                if not free and not self.shown(e, False, a):
                    self.emit(GuardCheck(e, False, bound), a, e.span)
            case t.Quantified(_, binders, where, body):
                if where is not None:
                    self.guard_all(where, a, (*bound, *((b, None) for b in binders)))
                inner = (*((b, None) for b in binders[:-1]), (binders[-1], where))
                self.guard_all(body, a, (*bound, *inner))
                return
            case _:
                pass
        for child in subexpressions(e):
            self.guard_all(child, a, bound)

    def happens(self, e: t.Expr, a: Activation) -> bool:
        """Whether evaluating ``e`` is a step or needs a guard check: then it must not happen where it is not needed."""
        here = self.where_it_runs(e, a)
        if here is not None:
            return self.contended(here, False, a)
        match e:
            case t.StateRef() if self.contended(e, False, a):
                return True
            case t.StateRef(state) if self.module.states[state].guard is not None and self.thread is not None:
                guard = self.module.states[state].guard
                assert guard is not None
                if not guard.read_any and not e.racy and not self.shown(e, False, a):
                    return True
            case t.LocalRef(local) if local.ref:
                target, owner = self.resolve(e, a)
                return not isinstance(target, t.LocalRef) and self.happens(target, owner)
            case t.Changed(snapshot) if isinstance(snapshot.type, SnapshotType):
                if self.version_contended(snapshot.type, a):
                    return True
            case t.FnCall(fn, args):
                value = self.instance.routines[fn].value
                inner = Activation(fn, None)
                for param, arg in zip(self.instance.routines[fn].params, args, strict=True):
                    inner.forms[param.number] = self.form(arg, a)
                if value is not None and self.happens(value, inner):
                    return True
            case _:
                pass
        return any(self.happens(x, a) for x in subexpressions(e))

    # -- statements

    def block(self, b: t.Block, a: Activation) -> None:
        for s in b.body:
            if not self.alive:
                return
            self.statement(s, a)

    def statement(self, s: t.Statement, a: Activation) -> None:
        outer = self.stmt_span
        if not isinstance(s, t.Block):
            self.stmt_span = None if isinstance(s, t.CallStmt) else s.span
        if s.label:
            if s.label in self.mentioned.labels and self.depth == 0:
                self.labels = (*self.labels, s.label)
                self.emit(Mark(), a, s.span)
            else:
                self.labels = (*self.labels, s.label)
        self.dispatch(s, a)
        self.stmt_span = outer

    def dispatch(self, s: t.Statement, a: Activation) -> None:
        match s:
            case t.Declare(local, value):
                self.declare(local, value, a, s.span)
            case t.Assign(place, value):
                self.assign(place, value, a, s.span)
            case t.CallStmt(call):
                self.call(call, None, a)
            case t.Builtin(call):
                self.builtin(call, None, a, s.span)
            case t.Choose(local, where, otherwise):
                self.slot(local, a)
                self.at_once(where, a, (local,))
                self.emit(Pick(local, where, otherwise is not None, s.span), a, s.span, 2 if otherwise else 1)
                if otherwise is not None:
                    no = self.pending.pop()
                    self.fork_join([([*self.pending], None), ([no], otherwise)], a)
            case t.Havoc(place):
                place = self.index(place, a)
                step = self.store_is_step(place, a)
                self.emit(Scramble(place, step), a, s.span)
            case t.If(condition, then, otherwise):
                self.conditional(condition, then, otherwise, a, s.span)
            case t.While(condition, body):
                self.while_(condition, body, a, s)
            case t.ForEach():
                self.for_each(s, a)
            case t.ForRange():
                self.for_range(s, a)
            case t.Break():
                loop = self.loops[-1]
                self.unwind(loop.withs, a, s.span)
                loop.held_at_break.append(self.held)
                loop.breaks += self.pending
                self.dead()
            case t.Continue():
                loop = self.loops[-1]
                self.unwind(loop.withs, a, s.span)
                self.check_loop_held(loop)
                loop.continues += self.pending
                self.dead()
            case t.Retry():
                loop = self.loops[-1]
                self.unwind(loop.withs, a, s.span)
                self.check_loop_held(loop)
                again = self.emit(Again(loop.number, s.fair), a, s.span)
                assert loop.head is not None
                again.succ[0] = loop.head.number
                self.dead()
            case t.Return(value):
                self.return_(value, a, s.span)
            case t.Either(branches, fair):
                self.emit(Fork(fair), a, s.span, len(branches))
                edges = self.pending
                self.fork_join([([e], b) for e, b in zip(edges, branches, strict=True)], a)
            case t.Atomic(body):
                if self.depth == 0:
                    self.graph.atomic_blocks.append(s.span)
                self.atomically(body, a, s.span)
            case t.Ghost(body):
                self.emit(Inline(body, True), a, s.span)
            case t.With(locks, body):
                base = len(self.withs)
                for lock, mode in locks:
                    lock = self.lasting_index(lock, a)
                    self.scopes += 1
                    self.acquire(lock, mode, a, lock.span, self.scopes)
                    self.withs.append(self.held[-1])
                self.block(body, a)
                if self.alive:
                    self.unwind(base, a, s.span)
                del self.withs[base:]
            case t.Hold():
                self.hold(s, a)
            case t.Acquire(lock, mode, every):
                self.touch()
                if every:
                    self.acquire_every(lock, mode, a, s.span)
                else:
                    lock = self.lock_index(lock, a)
                    self.acquire(lock, mode, a, s.span)
            case t.Release(lock, mode, every):
                self.release(lock, mode, every, a, s.span)
            case t.Downgrade(lock):
                lock = self.lock_index(lock, a)
                found = self.find_held(lock, a)
                self.emit(Lower(lock, found is None), a, s.span)
                form = self.held_form(lock, "read", a)
                if found is not None:
                    lower = HeldNow(found.lock, found.activation, "read", False, form, found.scope)
                    self.held = tuple(lower if h is found else h for h in self.held)
                else:
                    self.let_go(form)
            case t.Synchronize(lock):
                self.touch()
                self.sleeps(a, s.span, "synchronize")
                self.emit(SyncBegin(lock), a, s.span)
                self.emit(SyncEnd(lock), a, s.span)
            case t.Await(condition, idle, unless, spin, killed):
                self.touch()
                if not spin:
                    self.sleeps(a, s.span, "await")
                if idle:
                    self.emit(MustNotHold("an idle wait", False), a, s.span)
                self.at_once(condition, a)
                self.at_once(unless, a)
                self.emit(Wait(condition, idle, unless, killed is not None), a, s.span, 2 if killed else 1)
                if killed is not None:
                    no = self.pending.pop()
                    self.fork_join([([*self.pending], None), ([no], killed)], a)
            case t.Assert(condition, message, family):
                pending = self.depth == 0 and not self.held and self.thread is not None
                self.emit(Assertion(condition, message, family, pending), a, s.span)
            case t.RequiresHeld(held):
                for part in held.args if isinstance(held, t.Apply) and held.op is Op.AND else (held,):
                    what = part.lock.lock if isinstance(part, t.Held) else " ".join(part.span.text.split())
                    self.emit(MustHold(part, f"{what} must be held here"), a, s.span)
            case t.Region(name, body):
                mark = name in self.mentioned.regions and self.depth == 0
                before_regions = self.regions
                self.regions = (*before_regions, name)
                if mark:
                    self.emit(Mark(), a, s.span)
                self.block(body, a)
                self.regions = before_regions
            case t.Skip():
                self.emit(Nop(), a, s.span)
            case t.Halt():
                self.emit(HaltAll(), a, s.span, 0)
                self.dead()
            case t.Ipi(handler, cpu, wait):
                self.touch()
                cpu = self.pure(cpu, a)
                self.emit(AwaitIpi(handler, cpu) if wait else SendIpi(handler, cpu), a, s.span)
            case t.Stop(thread, index):
                self.touch()
                at = None if index is None else tuple(self.pure(e, a) for e in index)
                self.emit(Freeze(thread, at), a, s.span)
            case t.Bug(message):
                self.emit(Crash(message), a, s.span, 0)
                self.dead()
            case t.MightSleep():
                self.sleeps(a, s.span, "might_sleep")
            case t.Block():
                self.block(s, a)
            case _:
                assert_never(s)

    def hold(self, s: t.Hold, a: Activation) -> None:
        """The busy locks of an op, tried one after the other in its step; then its body, in a second step if slow."""
        base = len(self.withs)
        for lock, mode, busy in s.locks:
            lock = self.lasting_index(lock, a)
            self.touch()
            self.emit(Attempt(lock, mode), a, lock.span, 2)
            yes, no = self.pending
            before = self.held
            self.pending, self.alive = [no], True
            self.return_(busy, a, busy.span)
            self.scopes += 1
            taken = HeldNow(lock, a, mode, False, self.held_form(lock, mode, a), self.scopes)
            self.pending, self.alive, self.held = [yes], True, (*before, taken)
            self.withs.append(taken)
        if s.slow:
            name, span = a.routine, self.calls[-1].span
            self.depth -= 1
            self.emit(End(f"{BEGINS} {name}"), a, span)
            self.emit(Begin(f"{ENDS} {name}"), a, span).span = span
            self.depth += 1
        self.block(s.body, a)
        if self.alive:
            self.unwind(base, a, s.span)
        del self.withs[base:]

    def fork_join(self, ways: list[tuple[list[tuple[Node, int]], t.Block | None]], a: Activation) -> None:
        """Run each block from its edges; afterwards all that are still alive go on together."""
        before = self.held
        ends: list[tuple[Node, int]] = []
        held: list[tuple[HeldNow, ...]] = []
        for edges, block in ways:
            self.pending, self.alive, self.held = edges, True, before
            if block is not None:
                self.emit(Nop(), a, block.span)
                self.block(block, a)
            if self.alive:
                ends += self.pending
                held.append(self.held)
        self.pending, self.alive = ends, bool(ends)
        self.held = self.merge_held(held) if held else before

    def at_once(self, e: t.Expr | None, a: Activation, bound: tuple[t.Local, ...] = ()) -> None:
        """Before an expression that is evaluated at once: its guard checks."""
        if e is not None and any(True for _ in state_refs(e, self.module)):
            self.touch()
            self.guard_all(e, a, tuple((b, None) for b in bound))

    def merge_held(self, ends: list[tuple[HeldNow, ...]]) -> tuple[HeldNow, ...]:
        """What is held on every way; what is held on some only is known to the state alone from now on."""
        first = ends[0]
        for other in ends[1:]:
            rest = [h.form for h in other]
            kept, lost = [], []
            for h in first:
                if h.form in rest:
                    rest.remove(h.form)
                    kept.append(h)
                else:
                    lost.append(h)
            lost += [h for h in other if h.form in rest]
            self.lose(lost)
            first = tuple(kept)
        return first

    def lose(self, lost: Iterable[HeldNow]) -> None:
        for h in lost:
            self.graph.inexact.add(h.lock.lock)
            if h.scope:
                self.maybe.add(h.scope)

    def let_go(self, form: HeldForm) -> None:
        """A lock is given back that is not known to be held: nothing is certain any more about what it may be."""
        self.graph.inexact.add(form.lock)
        left = released(self.held_forms(), form)
        self.lose(h for h in self.held if h.form not in left)
        self.held = tuple(h for h in self.held if h.form in left)

    def check_loop_held(self, loop: _Loop) -> None:
        self.merge_held([loop.held, self.held])

    def declare(self, local: t.Local, value: t.Rhs | None, a: Activation, span: Span) -> None:
        place = t.LocalRef(local, type=local.type, span=span)
        match value:
            case None:
                self.slot(local, a)
                self.emit(Set(place, None, False), a, span)
            case t.Call():
                self.slot(local, a)
                self.call(value, local, a)
            case t.BuiltinCall():
                self.slot(local, a)
                self.builtin(value, local, a, span)
            case t.TryAcquire() | t.Test():
                self.slot(local, a)
                self.test_into(place, value, a, span)
            case _:
                new = self.pure(value, a)
                if not local.mutable and self.fixed(new, a):
                    a.bindings[local.number] = Alias(new, a)
                    a.forms[local.number] = self.form(new, a)
                    return
                if not local.mutable:
                    form = self.form(new, a)
                    if form != ANY:
                        a.forms[local.number] = form
                self.slot(local, a)
                self.emit(Set(place, new, False), a, span)

    def fixed(self, e: t.Expr, a: Activation) -> bool:
        """Whether ``e`` cannot change while the activation lasts."""
        match e:
            case t.LocalRef(local):
                b = a.bindings.get(local.number)
                moves = self.where_it_runs(e, a) is not None
                return isinstance(b, OwnIndex) or (isinstance(b, Alias) and not local.ref and not moves)
            case t.Wrap(base):
                return self.fixed(base, a)
            case _:
                return self.instance.is_constant(e) or isinstance(e, t.NoneLit | t.StaleLit)

    def assign(self, place: t.Place, value: t.Rhs, a: Activation, span: Span) -> None:
        simple = isinstance(place, t.LocalRef) and not place.local.ref
        match value:
            case t.Call():
                if simple and isinstance(place, t.LocalRef):
                    self.call(value, place.local, a)
                    return
                result = self.local("result", value.type, a)
                self.call(value, result, a)
            case t.BuiltinCall():
                if simple and isinstance(place, t.LocalRef):
                    self.builtin(value, place.local, a, span)
                    return
                result = self.local("result", value.type, a)
                self.builtin(value, result, a, span)
            case t.TryAcquire() | t.Test():
                result = self.local("result", BoolType(), a)
                self.test_into(t.LocalRef(result, type=BoolType(), span=span), value, a, span)
            case _:
                new = self.pure(value, a)
                place = self.index(place, a)
                self.emit(Set(place, new, self.store_is_step(place, a)), a, span)
                return
        place = self.index(place, a)
        copy = t.LocalRef(result, type=result.type, span=span)
        self.emit(Set(place, copy, self.store_is_step(place, a)), a, span)

    def index(self, place: t.Place, a: Activation) -> t.Place:
        """``place`` with contended reads taken out of its indexes."""
        match place:
            case t.StateRef(_, index):
                new = tuple(self.pure(i, a) for i in index)
                return t.StateRef(place.state, new, place.racy, type=place.type, span=place.span)
            case t.Field(base, name):
                if isinstance(base, t.StateRef | t.Field):
                    return t.Field(self.index(base, a), name, type=place.type, span=place.span)
                return place
            case t.LocalRef():
                return place
            case _:
                assert_never(place)

    def store_is_step(self, place: t.Place, a: Activation) -> bool:
        target: t.Expr = place
        owner = a
        while isinstance(target, t.Field):
            target = target.base
        target, owner = self.resolve(target, a)
        while isinstance(target, t.Field):
            target = target.base
        if not isinstance(target, t.StateRef) or self.module.states[target.state].ghost:
            return False
        self.touch()
        self.guard_in(target, owner, a)
        if self.depth > 0 or self.thread is None:
            return False
        if self.contended(target, True, owner):
            return True
        guard = self.module.states[target.state].guard
        guarding = guard is not None and any(g.lock.lock == h.lock.lock for g in guard.write for h in self.held)
        return target.state in self.mentioned.states and not guarding

    def guard_in(self, ref: t.StateRef, owner: Activation, a: Activation) -> None:
        self.guard(ref, True, owner)

    def conditional(
        self, condition: t.Rhs, then: t.Block, otherwise: t.Block | None, a: Activation, span: Span
    ) -> None:
        match condition:
            case t.TryAcquire() | t.Test(op=Op.NOT, call=t.TryAcquire()):
                attempt = condition if isinstance(condition, t.TryAcquire) else condition.call
                assert isinstance(attempt, t.TryAcquire)
                lock = self.lock_index(attempt.lock, a)
                self.touch()
                if attempt.killable:
                    self.sleeps(a, span, f"acquire of {lock.lock}")
                    self.emit(Take(lock, attempt.mode, True), a, span, 2)
                else:
                    self.emit(Attempt(lock, attempt.mode), a, span, 2)
                yes, no = self.pending
                before = self.held
                taken = HeldNow(lock, a, attempt.mode, False, self.held_form(lock, attempt.mode, a))
                positive = isinstance(condition, t.TryAcquire)
                first, second = (then, otherwise) if positive else (otherwise, then)
                ends: list[tuple[Node, int]] = []
                held: list[tuple[HeldNow, ...]] = []
                for edge, block, now in ((yes, first, (*before, taken)), (no, second, before)):
                    self.pending, self.alive, self.held = [edge], True, now
                    if self.module.locks[lock.lock].kind is LockKind.FLAG:
                        self.held = before
                    if block is not None:
                        self.emit(Nop(), a, block.span)
                        self.block(block, a)
                    if self.alive:
                        ends += self.pending
                        held.append(self.held)
                self.pending, self.alive = ends, bool(ends)
                self.held = self.merge_held(held) if held else before
                return
            case t.Call() | t.BuiltinCall() | t.Test():
                test = self.tested(condition, a, span)
            case _:
                test = self.pure(condition, a)
        self.emit(Branch(test), a, test.span, 2)
        yes, no = self.pending
        self.fork_join([([yes], then), ([no], otherwise)], a)

    def tested(self, condition: t.Call | t.BuiltinCall | t.Test, a: Activation, span: Span) -> t.Expr:
        """The condition with its call made and its result in a local."""
        call = condition.call if isinstance(condition, t.Test) else condition
        result = self.local("result", call.type, a)
        if isinstance(call, t.Call):
            self.call(call, result, a)
        elif isinstance(call, t.BuiltinCall):
            self.builtin(call, result, a, span)
        else:
            self.test_into(t.LocalRef(result, type=BoolType(), span=span), call, a, span)
        value: t.Expr = t.LocalRef(result, type=call.type, span=call.span)
        if isinstance(condition, t.Test):
            rest = tuple(self.pure(x, a) for x in condition.args)
            value = t.Apply(condition.op, (value, *rest), type=condition.type, span=condition.span)
        return value

    def test_into(self, place: t.LocalRef, value: t.TryAcquire | t.Test, a: Activation, span: Span) -> None:
        if isinstance(value, t.Test):
            test = self.tested(value, a, span)
            self.emit(Set(place, test, False), a, span)
            return
        lock = self.lock_index(value.lock, a)
        self.touch()
        if self.module.locks[lock.lock].kind is not LockKind.FLAG:
            self.graph.inexact.add(lock.lock)
        self.emit(Attempt(lock, value.mode), a, span, 2)
        yes, no = self.pending
        ends = []
        for edge, result in ((yes, 1), (no, 0)):
            self.pending = [edge]
            self.emit(Set(place, t.Const(result, type=BoolType(), span=span), False), a, span)
            ends += self.pending
        self.pending = ends
        self.emit(Nop(), a, span)

    # -- loops

    def enter_loop(self, s: t.While | t.ForEach | t.ForRange, a: Activation) -> _Loop:
        """A loop begins here: of what is held only that counts which every turn finds held."""
        if self.held and self.thread is not None:
            sure = held_at_head(s, self.thread.name, self.held_forms(), a.forms, a.refs, self.module)
            self.lose(h for h in self.held if h.form not in sure)
            self.held = tuple(h for h in self.held if h.form in sure)
        self.graph.loops += 1
        return _Loop(self.graph.loops, len(self.withs), self.held, has_retry(s.body), not self.loops)

    def close_loop(self, loop: _Loop, a: Activation, span: Span, head: Node) -> None:
        """The back edge, from all that goes on to another turn."""
        if self.alive:
            self.check_loop_held(loop)
        self.pending += loop.continues
        if self.pending:
            self.held = loop.held
            touched = loop.number in self.touches and self.depth == 0 and self.thread is not None
            if loop.outermost and self.thread is not None and self.thread.kind is ThreadKind.ADVERSARY:
                touched = False  # its calls are no loop of the author's: nothing lies between one and the next
            back = self.emit(Back(loop.number, touched), a, span)
            back.succ[0] = head.number
            if loop.outermost:
                self.graph.outermost.append(back.number)
        self.loops.pop()

    def leave_loop(self, loop: _Loop, exits: list[tuple[Node, int]], a: Activation, span: Span) -> None:
        """Go on behind the loop, from ``exits`` at its head and from every ``break``."""
        self.pending = exits + loop.breaks
        self.alive = bool(self.pending)
        if not self.alive:
            return
        before = tuple(h.form for h in loop.held)
        held = self.merge_held([*([loop.held] if exits else []), *loop.held_at_break])
        self.held = tuple(self.outside(h, set(), before) for h in held)
        self.emit(Nop(), a, span)

    def outside(self, h: HeldNow, passed: set[Form], before: tuple[HeldForm, ...]) -> HeldNow:
        """``h`` behind the loop or call in which it was taken: locals in its index mean nothing there."""
        form = foreign(h.form, passed, before)
        return h if form == h.form else HeldNow(h.lock, h.activation, h.mode, h.every, form, h.scope)

    def while_(self, condition: t.Expr | None, body: t.Block, a: Activation, s: t.While) -> None:
        loop = self.enter_loop(s, a)
        head = self.emit(Head(loop.number) if loop.retry else Nop(), a, s.span)
        loop.head = head
        self.loops.append(loop)
        exits: list[tuple[Node, int]] = []
        self.stmt_span = None
        if condition is not None:
            self.emit(Branch(self.pure(condition, a)), a, condition.span, 2)
            exits.append(self.pending.pop())
        self.block(body, a)
        self.close_loop(loop, a, s.span, head)
        self.leave_loop(loop, exits, a, s.span)

    def for_each(self, s: t.ForEach, a: Activation) -> None:
        if self.whole_loop(s, a):
            self.inline_loop(s, a)
            return
        domain = None if s.domain is None else self.pure(s.domain, a)
        self.slot(s.local, a)
        visited = self.local(f"{s.local.name}.visited", _set_of(s.local.type), a)
        self.emit(Set(t.LocalRef(visited, type=visited.type, span=s.span), None, False), a, s.span)
        if domain is not None and not self.fixed(domain, a):
            copy = self.local(f"{s.local.name}.domain", domain.type, a)
            self.emit(Set(t.LocalRef(copy, type=copy.type, span=s.span), domain, False), a, s.span)
            domain = t.LocalRef(copy, type=copy.type, span=s.span)
        loop = self.enter_loop(s, a)
        early = s.where is None or not self.happens(s.where, a)
        self.loops.append(loop)
        self.at_once(s.where, a, (s.local,))
        head = self.emit(PickMember(s.local, visited, s.where, domain, early), a, s.span, 2)
        loop.head = head
        exit_ = self.pending.pop()
        self.stmt_span = None
        self.block(s.body, a)
        self.close_loop(loop, a, s.span, head)
        self.leave_loop(loop, [exit_], a, s.span)

    def for_range(self, s: t.ForRange, a: Activation) -> None:
        if self.whole_loop(s, a):
            self.inline_loop(s, a)
            return
        span = s.span
        self.slot(s.local, a)
        place = t.LocalRef(s.local, type=s.local.type, span=span)
        first, end = self.pure(s.first, a), self.pure(s.end, a)
        step = self.pure(s.step, a) if s.step is not None else t.Const(1, type=s.local.type, span=span)
        end = self.kept(end, f"{s.local.name}.end", a, span)
        first = self.kept(first, f"{s.local.name}.first", a, span) if s.down else first
        step = self.kept(step, f"{s.local.name}.step", a, span)
        done = self.local(f"{s.local.name}.more", BoolType(), a)
        more = t.LocalRef(done, type=BoolType(), span=span)

        def guarded(next_: t.Expr) -> None:
            """``more := next_ is still inside; if more: i := next_``, so that the variable never leaves its range."""
            inside = (
                t.Apply(Op.GE, (next_, first), type=BoolType(), span=span)
                if s.down
                else t.Apply(Op.LT, (next_, end), type=BoolType(), span=span)
            )
            self.emit(Set(more, inside, False), a, span)
            self.emit(Branch(more), a, span, 2)
            no = self.pending.pop()
            self.emit(Set(place, next_, False), a, span)
            self.pending.append(no)

        guarded(t.Apply(Op.SUB, (end, step), type=s.local.type, span=span) if s.down else first)
        loop = self.enter_loop(s, a)
        head = self.emit(Branch(more), a, span, 2)
        loop.head = head
        self.loops.append(loop)
        exit_ = self.pending.pop()
        self.stmt_span = None
        self.block(s.body, a)
        if self.alive:
            self.check_loop_held(loop)
        self.pending += loop.continues
        loop.continues = []
        self.alive = bool(self.pending)
        if self.alive:
            self.held = loop.held
            guarded(t.Apply(Op.SUB if s.down else Op.ADD, (place, step), type=s.local.type, span=span))
        self.close_loop(loop, a, span, head)
        self.leave_loop(loop, [exit_], a, span)

    def inline_loop(self, s: t.ForEach | t.ForRange, a: Activation) -> None:
        if touches_state(s, self.module):
            self.touch()
        self.emit(Inline(s, False), a, s.span)

    def kept(self, e: t.Expr, name: str, a: Activation, span: Span) -> t.Expr:
        if self.fixed(e, a):
            return e
        bounded = self.finite(e)
        copy = self.local(name, bounded, a)
        self.emit(Set(t.LocalRef(copy, type=bounded, span=span), e, False), a, span)
        return t.LocalRef(copy, type=bounded, span=span)

    def finite(self, e: t.Expr) -> Type:
        return bounded_type(e, self.instance) if isinstance(e.type, IntType) else e.type

    def whole_loop(self, s: t.ForEach | t.ForRange, a: Activation) -> bool:
        """Whether the loop can be executed as a whole: no step, no choice, no way out.

        A turn that touches shared state ends in a step (inside a step nothing does). Picking a member is a choice,
        unless no turn can see another.
        """
        if not self.simple(s.body, a, {s.local.number}):
            return False
        if isinstance(s, t.ForEach):
            return s.domain is None and independent(s, self.module) and (s.where is None or self.plain(s.where, a))
        return self.depth > 0 or self.thread is None or not touches_state(s, self.module)

    def simple(self, b: t.Block, a: Activation, bound: set[int]) -> bool:
        return all(self.simple_statement(s, a, bound) for s in b.body)

    def simple_statement(self, s: t.Statement, a: Activation, bound: set[int]) -> bool:
        if s.label:
            return False
        match s:
            case t.Declare(local, value):
                if value is None or isinstance(value, CALLS) or local.mutable:
                    return False
                bound.add(local.number)
                return self.plain(value, a)
            case t.Assign(place, value):
                if isinstance(value, CALLS):
                    return False
                return self.plain(value, a) and self.plain_place(place, a)
            case t.If(condition, then, otherwise):
                if isinstance(condition, CALLS):
                    return False
                return (
                    self.plain(condition, a)
                    and self.simple(then, a, bound)
                    and (otherwise is None or self.simple(otherwise, a, bound))
                )
            case t.Block():
                return self.simple(s, a, bound)
            case t.ForEach(local, where, body, None):
                bound.add(local.number)
                if not independent(s, self.module):
                    return False
                return (where is None or self.plain(where, a)) and self.simple(body, a, bound)
            case t.ForRange(local, first, end, step, _, body):
                bound.add(local.number)
                return all(e is None or self.plain(e, a) for e in (first, end, step)) and self.simple(body, a, bound)
            case t.Ghost() | t.Skip():
                return True
            case t.Assert():
                return self.depth > 0 or bool(self.held) or self.thread is None
            case _:
                return False

    def plain(self, e: t.Expr, a: Activation) -> bool:
        """Whether ``e`` reads nothing contended and no cell whose guard would have to be checked."""
        for ref in state_refs(e, self.module):
            declaration = self.module.states[ref.state]
            if declaration.ghost:
                continue
            if self.contended(ref, False, a):
                return False
            guard = declaration.guard
            if guard is not None and not guard.read_any and self.thread is not None and not self.shown(ref, False, a):
                return False
        if any(h is not None and self.contended(h, False, a) for h in (self.where_it_runs(x, a) for x in walk(e))):
            return False
        return self.depth > 0 or not any(isinstance(x, t.LocalRef) and x.local.ref for x in walk(e))

    def plain_place(self, place: t.Place, a: Activation) -> bool:
        target: t.Expr = place
        while isinstance(target, t.Field):
            target = target.base
        match target:
            case t.StateRef(state, index):
                declaration = self.module.states[state]
                if declaration.ghost:
                    return True
                if not all(self.plain(i, a) for i in index) or self.contended(target, True, a):
                    return False
                guard = declaration.guard
                if guard is not None and self.thread is not None and not self.shown(target, True, a):
                    return False
                guarding = guard is not None or self.depth > 0 or self.thread is None
                return guarding or state not in self.mentioned.states
            case t.LocalRef(local):
                return not local.ref or self.depth > 0
            case _:
                return False

    # -- calls

    def call(self, call: t.Call, result: t.Local | None, a: Activation) -> None:
        routine = self.instance.routines[call.routine]
        assert routine.body is not None
        if routine.ghost:
            ghost = t.Block((t.CallStmt(call, span=call.span),), span=call.span)
            self.emit(Inline(ghost, True), a, call.span)
            return
        outer_span = self.stmt_span
        self.stmt_span = None
        inner = self.inherit(a, Activation(call.routine, a.at(call.span)))
        begun = self.inside
        pairs = zip(routine.params, call.args, strict=True)
        args = [self.lasting_place(x, a) if p.ref else self.pure(x, a) for p, x in pairs]
        if call.routine in self.mentioned.procs and self.depth == 0:
            self.emit(Mark(), a, call.span)  # here it has not begun yet
            self.inside = (*begun, call.routine)
        for param, arg in zip(routine.params, args, strict=True):
            self.pass_argument(param, arg, a, inner)
        if result is not None and result.number not in a.bindings:
            self.slot(result, a)
        crossing = self.crossing
        if call.crosses:
            self.crossing = call.routine
        is_op = routine.kind == "op"
        if is_op:
            self.touch()
            self.emit(Begin(), inner, call.span).span = outer_span or call.span
            self.depth += 1
        frame = _Call(len(self.withs), [], result, [], a, outer_span or call.span)
        before = self.held_forms()
        self.calls.append(frame)
        outer_loops, self.loops = self.loops, list(self.loops)
        base_loops = len(self.loops)
        if routine.may_fail:
            self.inject(routine, call, frame, a)
        self.block(routine.body, inner)
        if self.alive:
            frame.exits += self.pending
            frame.held_at_exit.append(self.held)
        del self.loops[base_loops:]
        self.loops = outer_loops
        self.calls.pop()
        self.pending, self.alive = frame.exits, bool(frame.exits)
        if frame.held_at_exit:
            passed = {self.form(x, a) for p, x in zip(routine.params, args, strict=True) if not p.ref}
            self.held = tuple(self.outside(h, passed, before) for h in self.merge_held(frame.held_at_exit))
        if is_op:
            self.depth -= 1
        self.crossing = crossing
        self.inside = begun
        self.stmt_span = outer_span
        if self.alive:
            self.emit(End() if is_op else Nop(), a, call.span)

    def inject(self, routine: t.Routine, call: t.Call, frame: _Call, a: Activation) -> None:
        """The call may fail at once, without effect: an op in its own step, a proc in one that it takes for that."""
        self.touch()
        if self.thread is None or self.instance.failures(routine.name) == 0:
            return
        texts = tuple(" ".join(code.span.text.split()) for code in routine.may_fail)
        self.emit(Inject(texts), a, call.span, 1 + len(texts))
        goes, *fails = self.pending
        for code, edge in zip(routine.may_fail, fails, strict=True):
            self.pending = [edge]
            if routine.kind != "op":
                self.emit(Begin(), a, call.span)
            if frame.result is not None:
                place = t.LocalRef(frame.result, type=frame.result.type, span=call.span)
                self.emit(Set(place, code, False), a, call.span)
            if routine.kind != "op":
                self.emit(End(), a, call.span)
            frame.exits += self.pending
            frame.held_at_exit.append(self.held)
        self.pending = [goes]

    def pass_argument(self, param: t.Local, arg: t.Expr, a: Activation, inner: Activation) -> None:
        if param.ref:
            inner.bindings[param.number] = Alias(arg, a)
            found = self.place_of(arg, a)
            if found is not None:
                inner.refs[param.number] = found
            return
        if not param.mutable:
            form = self.form(arg, a)
            inner.forms[param.number] = form if form != ANY else ("local", param.number)
            if self.fixed(arg, a) or self.held_still(arg, a):
                inner.bindings[param.number] = Alias(arg, a)
                return
        slot = self.slot(param, inner)
        a.bindings[param.number] = slot
        self.emit(Set(t.LocalRef(param, type=param.type, span=arg.span), arg, False), a, arg.span)

    def held_still(self, e: t.Expr, a: Activation) -> bool:
        """Whether ``e`` is a local of the caller that nothing can change during the call."""
        match e:
            case t.LocalRef(local):
                return not local.mutable and not local.ref and local.number > 0  # not `this_cpu`
            case t.Wrap(base):
                return self.held_still(base, a)
            case t.Unwrap(base, False) if isinstance(e.type, PointerType):
                return self.held_still(base, a)
            case _:
                return False

    def place_of(self, e: t.Expr, a: Activation) -> tuple[str, tuple[Form, ...]] | None:
        match e:
            case t.StateRef(state, index):
                return state, tuple(self.form(i, a) for i in index)
            case t.Field(base, _):
                return self.place_of(base, a)
            case t.LocalRef(local):
                return a.refs.get(local.number)
            case _:
                return None

    def return_(self, value: t.Rhs | None, a: Activation, span: Span) -> None:
        if not self.calls:
            self.unwind(0, a, span)
            if self.thread is not None:
                self.end_checks(a, span)
            self.emit(Finish(), a, span, 0)
            self.dead()
            return
        frame = self.calls[-1]
        if value is not None and frame.result is not None:
            # The result's slot belongs to the caller; the value's names to this activation.
            a.bindings[frame.result.number] = frame.caller.bindings[frame.result.number]
            self.assign(t.LocalRef(frame.result, type=frame.result.type, span=span), value, a, span)
        elif isinstance(value, t.Call):
            self.call(value, None, a)
        elif isinstance(value, t.BuiltinCall):
            self.builtin(value, None, a, span)
        elif isinstance(value, t.TryAcquire | t.Test):
            # Nobody wants the result, but the call or the attempt inside happens all the same.
            unused = self.local("result", value.type, a)
            self.test_into(t.LocalRef(unused, type=value.type, span=span), value, a, span)
        elif value is not None:
            self.pure(value, a)
        self.unwind(frame.withs, a, span)
        frame.exits += self.pending
        frame.held_at_exit.append(self.held)
        self.dead()

    def builtin(self, call: t.BuiltinCall, result: t.Local | None, a: Activation, span: Span) -> None:
        args = tuple(self.pure(x, a) for x in call.args)
        place = self.index(call.place, a)
        target, owner = self.resolve(place, a)
        if isinstance(target, t.StateRef):
            self.touch()
            if call.name != "snapshot":
                self.guard(target, True, owner)
            else:
                self.guard(target, False, owner)
        new = t.BuiltinCall(name=call.name, place=place, args=args, type=call.type, span=call.span)
        self.emit(Primitive(new, result), a, span)

    def atomically(self, body: t.Block, a: Activation, span: Span) -> None:
        self.touch()
        self.emit(Begin(), a, span)
        self.depth += 1
        outer = self.stmt_span
        self.stmt_span = None
        self.block(body, a)
        self.stmt_span = outer
        self.depth -= 1
        if self.alive:
            self.emit(End(), a, span)

    # -- locks

    def lock_index(self, lock: t.LockRef, a: Activation) -> t.LockRef:
        return t.LockRef(lock.lock, tuple(self.pure(i, a) for i in lock.index), lock.span)

    def lasting_index(self, lock: t.LockRef, a: Activation) -> t.LockRef:
        """The lock with an index that keeps its value up to the end of the ``with``."""
        return t.LockRef(lock.lock, tuple(self.lasting(self.pure(i, a), a) for i in lock.index), lock.span)

    def lasting(self, e: t.Expr, a: Activation) -> t.Expr:
        if self.fixed(e, a) or self.held_still(e, a):
            return e
        self.hidden -= 1
        copy = t.Local(self.hidden, "index", self.finite(e))
        self.slot(copy, a)
        place = t.LocalRef(copy, type=copy.type, span=e.span)
        self.emit(Set(place, e, False), a, e.span)
        return place

    def lasting_place(self, e: t.Expr, a: Activation) -> t.Expr:
        """What a ``ref`` argument stands for is decided when the call begins."""
        match e:
            case t.StateRef(state, index):
                new = tuple(self.lasting(self.pure(i, a), a) for i in index)
                return t.StateRef(state, new, e.racy, type=e.type, span=e.span)
            case t.Field(base, name):
                return t.Field(self.lasting_place(base, a), name, type=e.type, span=e.span)
            case _:
                return e

    def held_form(self, lock: t.LockRef, mode: str, a: Activation, every: bool = False) -> HeldForm:
        return HeldForm(lock.lock, tuple(self.form(i, a) for i in lock.index), mode, every)

    def acquire(self, lock: t.LockRef, mode: str, a: Activation, span: Span, scope: int = 0) -> None:
        self.touch()
        if self.module.locks[lock.lock].kind in (LockKind.MUTEX, LockKind.RWSEM):
            self.sleeps(a, span, f"acquire of {lock.lock}")
        self.emit(Take(lock, mode), a, span)
        self.held = (*self.held, HeldNow(lock, a, mode, False, self.held_form(lock, mode, a), scope))

    def acquire_every(self, lock: t.LockRef, mode: str, a: Activation, span: Span) -> None:
        """One acquire per instance of the array: in the order of a range, in any order of a scalarset."""
        self.graph.inexact.add(lock.lock)
        index, exits = self.every(lock, a, span)
        one = t.LockRef(lock.lock, index, lock.span)
        before = self.held
        self.acquire(one, mode, a, span)
        self.held = before
        self.end_every(exits, a, span)
        self.held = (*before, HeldNow(lock, a, mode, True, HeldForm(lock.lock, (), mode, True)))

    def every(self, lock: t.LockRef, a: Activation, span: Span) -> tuple[tuple[t.Expr, ...], list[tuple[Node, Node]]]:
        """Open one loop per dimension of the lock array; gives the index and (head, exit marker) per loop."""
        index: list[t.Expr] = []
        heads: list[tuple[Node, Node]] = []
        for n, type_ in enumerate(self.module.locks[lock.lock].index):
            local = self.local(f"{lock.lock.rsplit('.', 1)[-1]}.i{n}", type_, a)
            visited = self.local(f"{lock.lock.rsplit('.', 1)[-1]}.visited{n}", _set_of(type_), a)
            self.emit(Set(t.LocalRef(visited, type=visited.type, span=span), None, False), a, span)
            head = self.emit(PickMember(local, visited, None, None, True), a, span, 2)
            self.pending = [(head, 0)]
            heads.append((head, head))
            index.append(t.LocalRef(local, type=type_, span=span))
        return tuple(index), heads

    def end_every(self, heads: list[tuple[Node, Node]], a: Activation, span: Span) -> None:
        for head, _ in reversed(heads):
            for source, slot in self.pending:
                source.succ[slot] = head.number
            self.pending = [(head, 1)]
        self.emit(Nop(), a, span)

    def find_held(self, lock: t.LockRef, a: Activation) -> HeldNow | None:
        form = self.held_form(lock, "", a)
        for h in reversed(self.held):
            if h.form.lock == lock.lock and h.form.index == form.index and ANY not in form.index:
                return h
        return None

    def release(self, lock: t.LockRef, mode: str, every: bool, a: Activation, span: Span) -> None:
        if self.module.locks[lock.lock].kind is LockKind.FLAG:
            self.touch()
            self.emit(Give(self.lock_index(lock, a), "", False), a, span)
            return
        if every:
            known = any(h.every and h.lock.lock == lock.lock for h in self.held)
            self.emit(Give(lock, mode, not known, True), a, span)
            self.held = tuple(h for h in self.held if h.lock.lock != lock.lock)
            return
        lock = self.lock_index(lock, a)
        found = self.find_held(lock, a)
        wrong = found is None or (mode not in ("", found.mode))
        self.emit(Give(lock, mode, wrong), a, span)
        if found is None:
            self.let_go(self.held_form(lock, mode, a))
        else:
            self.held = tuple(h for h in self.held if h is not found)

    def unwind(self, base: int, a: Activation, span: Span) -> None:
        """Release, in reverse, what ``with`` blocks above ``base`` still hold; the blocks themselves stay open."""
        for taken in reversed(self.withs[base:]):
            now = next((h for h in self.held if h.scope == taken.scope), None)
            if now is None and taken.scope not in self.maybe:
                continue
            op = Give(taken.lock, now.mode if now is not None else "", False, if_held=now is None)
            node = self.emit(op, taken.activation, taken.lock.span)
            node.span = taken.lock.span
            self.held = tuple(h for h in self.held if h is not now)

    def sleeps(self, a: Activation, span: Span, what: str) -> None:
        self.emit(MustNotHold(what, True), a, span)

    def end_checks(self, a: Activation, span: Span) -> None:
        self.emit(MustNotHold("the end of the thread", False), a, span)


def _set_of(type_: Type) -> Type:
    return SetType(type_)
