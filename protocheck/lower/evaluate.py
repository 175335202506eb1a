"""Symbolic evaluation: expressions of the checked tree to expressions over the state before a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from enum import Enum
from typing import TypeAlias, assert_never

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Lit,
    Op,
    Param,
    Quantifier,
    Read,
    Var,
    VarKind,
    and_,
    apply,
    eq,
    exists,
    implies,
    interval,
    ne,
    not_,
    or_,
    quant,
    rebuild,
    substitute,
    within,
)
from protocheck.ir.sorts import OptionSort, RangeSort, Sort
from protocheck.ir.system import HELD_NONE, HELD_READ, HELD_WRITE, Check, LockEvent, LockKind
from protocheck.lower.instance import Instance
from protocheck.lower.nodes import Activation, Alias, OwnIndex, Slot
from protocheck.lower.values import (
    FRESH,
    LEFT,
    PLACE,
    RecordShape,
    RecordValue,
    ScalarShape,
    SetShape,
    SetValue,
    Shape,
    Storage,
    Store,
    Value,
    choose_value,
    default_value,
    flatten,
    index_sorts,
    is_pointer,
    load,
    make_storage,
    map_value,
    none_value,
    pointer_to,
    same,
    scalar,
    set_operation,
    shape_of,
    some_value,
    unwrapped,
)
from protocheck.records import dataclass
from protocheck.source import Origin
from protocheck.types import tree as t
from protocheck.types.types import STALE, OptionType, PointerType, SnapshotType, ThreadType, Type

MAX_SHIFT = 64
MODE_SORT = RangeSort(HELD_NONE, HELD_WRITE)


@dataclass(frozen=True)
class ThreadInstance:
    """What a bound thread reference stands for."""

    thread: str
    params: tuple[Param, ...]


Meaning: TypeAlias = Value | ThreadInstance


class Way(Enum):
    """What a way through the code may pass that claims about endless runs ask for."""

    BRANCH = "branch"  # of the fork at node ``number``, the branch ``way``
    AGAIN = "again"  # the `retry` at node ``number``
    BACK = "back"  # the back edge at node ``number``
    EXIT = "exit"  # out of loop ``number``, which has a `retry`
    LEAVE = "leave"  # the end of the proc ``name``
    END = "end"  # the end of the thread, or of a run of a handler
    UNOWED = "unowed"  # an injected failure or a signal, which nobody may count on


@dataclass(frozen=True)
class Passed:
    """Something passed."""

    what: Way
    number: int = 0
    way: int = 0
    name: str = ""


@dataclass
class Path:
    """What one way through the code has gathered so far. Expressions speak of the state before the step."""

    store: Store = field(default_factory=Store)
    params: tuple[Param, ...] = ()
    guard: tuple[Expr, ...] = ()
    blocking: tuple[Expr, ...] = ()
    fatal: tuple[Expr, ...] = ()
    checks: tuple[Check, ...] = ()
    spoken: tuple[tuple[str, Expr], ...] = ()  # families of assertions that were evaluated, and under which condition
    events: tuple[LockEvent, ...] = ()
    notes: tuple[str, ...] = ()
    calm: bool = True
    values: dict[int, Meaning] = field(default_factory=dict)
    turns: dict[int, int] = field(default_factory=dict)  # of loops over members that run within the step
    bound: tuple[Param, ...] = ()  # names bound around the expression that is being evaluated
    visits: int = 0
    passed: tuple[Passed, ...] = ()
    labels: tuple[str, ...] = ()  # of the statements that the step begins

    def copy(self) -> Path:
        return Path(
            self.store.copy(),
            self.params,
            self.guard,
            self.blocking,
            self.fatal,
            self.checks,
            self.spoken,
            self.events,
            self.notes,
            self.calm,
            dict(self.values),
            dict(self.turns),
            self.bound,
            self.visits,
            self.passed,
            self.labels,
        )

    def expressions(self) -> Iterator[Expr]:
        """All that the step computes, in so far as it may have grown lately."""
        yield from self.guard
        yield from (c.cond for c in self.checks)
        for var in self.store.writes:
            yield from self.store.last(var)

    def under_binders(self, binders: tuple[Param, ...]) -> Path:
        """For what is evaluated below a binder: what it checks is not checked of this path."""
        return Path(self.store, values=self.values, bound=self.bound + binders)

    def check(self, prop: str, cond: Expr, message: str, origin: Origin, fatal: bool, under: Expr) -> None:
        """Record that ``cond`` must be true here, given that no earlier fatal check failed."""
        if cond == TRUE or under == FALSE:
            return
        new = Check(prop, implies(and_(*self.fatal, under), cond), message, origin, fatal)
        if new not in self.checks:
            self.checks = (*self.checks, new)
        if fatal:
            self.fatal = (*self.fatal, implies(under, cond))


@dataclass
class Names:
    """Fresh binder names, deterministic for one compilation."""

    count: int = 0

    def fresh(self, sort: Sort, name: str = "x") -> Param:
        self.count += 1
        return Param(f"{name}%{self.count}", sort)


@dataclass(frozen=True)
class ThreadView:
    """What expressions may ask about a thread class."""

    name: str
    params: tuple[Param, ...]
    names: tuple[str, ...]  # of the index parameters, as declared
    where: Expr


@dataclass
class Evaluator:
    """Evaluation in one instance.

    ``own`` are the parameters of the thread whose code is evaluated (empty in properties), ``held_mode`` gives the mode
    in which an instance of a class holds a lock instance, ``place_test`` answers ``at``/``in``/``finished``.
    """

    instance: Instance
    states: dict[str, Storage]
    names: Names
    threads: dict[str, ThreadView]
    flags: dict[str, Var]
    own: tuple[Param, ...]
    own_class: str
    slot_storage: Callable[[Slot], Storage]
    held_mode: Callable[[str, str, tuple[Expr, ...], tuple[Expr, ...]], Expr]  # lock, class, instance, lock index
    place_test: Callable[[str, str, str, tuple[Expr, ...]], Expr]  # "at"|"in"|"finished", name, class, instance
    record: Callable[[Path, t.StateRef, tuple[Expr, ...], Value, Activation], None] | None = None
    look: Callable[[Path, str, tuple[Expr, ...]], None] | None = None
    held_now: Callable[[str, str, tuple[Expr, ...], tuple[Expr, ...], Path], Expr] | None = None

    # -- small helpers

    def fresh(self, sort: Sort) -> Param:
        return self.names.fresh(sort)

    def shape(self, type_: Type) -> Shape:
        return shape_of(type_, self.instance)

    def scalar_sort(self, type_: Type) -> Sort | None:
        try:
            return self.instance.sort(type_)
        except KeyError:
            return None

    def origin(self, e: t.Expr | t.LockRef | t.ThreadRef, a: Activation) -> Origin:
        return a.at(e.span)

    def index(
        self, exprs: tuple[t.Expr, ...], types: tuple[Type, ...], a: Activation, p: Path, under: Expr
    ) -> tuple[Expr, ...]:
        """The flattened index for cells whose index types are ``types``, with range checks."""
        result: list[Expr] = []
        for e, type_ in zip(exprs, types, strict=True):
            if isinstance(type_, PointerType):
                result.append(self.dereferenced(e, a, p, under))
                continue
            parts = flatten(self.value(e, a, p, under))
            for part, sort in zip(parts, index_sorts(type_, self.instance), strict=True):
                inside = within(part, sort)
                p.check("range", inside, f"index {_text(e)} is out of range", self.origin(e, a), True, under)
                result.append(part)
        return tuple(result)

    def dereferenced(self, e: t.Expr, a: Activation, p: Path, under: Expr) -> Expr:
        """The place that the pointer ``e`` leads to, checked for use after free."""
        pointer = self.value(e, a, p, under)
        assert isinstance(pointer, RecordValue)
        good = self.points(pointer, e.type)
        p.check("use_after_free", good, f"{_text(e)} was freed", self.origin(e, a), True, under)
        return pointer.scalar(PLACE)

    def points(self, pointer: RecordValue, type_: Type) -> Expr:
        """Whether a pointer leads to an object that was not freed since."""
        there = not_(self.none(pointer, type_))
        return and_(there, not_(pointer.scalar(STALE)))

    def state_index(self, ref: t.StateRef, a: Activation, p: Path, under: Expr) -> tuple[Expr, ...]:
        types = tuple(b.type for b in self.instance.module.states[ref.state].binders)
        return self.index(ref.index, types, a, p, under)

    def lock_index(self, ref: t.LockRef, a: Activation, p: Path) -> tuple[Expr, ...]:
        return self.index(ref.index, self.instance.module.locks[ref.lock].index, a, p, TRUE)

    # -- expressions

    def truth(self, e: t.Expr, a: Activation, p: Path, under: Expr = TRUE) -> Expr:
        """The value of a boolean or scalar expression."""
        return scalar(self.value(e, a, p, under))

    def value(self, e: t.Expr, a: Activation, p: Path, under: Expr = TRUE) -> Value:
        """The value of ``e``. Checks that must hold for it to have one are recorded in ``p``, if ``under`` holds."""
        match e:
            case t.Const(value):
                return Lit(value)
            case t.ParamRef(name):
                return Lit(self.instance.params[name])
            case t.SizeOf(name):
                return Lit(len(self.instance.scalarsets[name].members))
            case t.NoneLit() | t.StaleLit():
                return none_value(self.shape(e.type))
            case t.LocalRef(local):
                return self.local(local, a, p, under)
            case t.StateRef():
                index = self.state_index(e, a, p, under)
                got = load(self.states[e.state], index, p.store)
                if self.record is not None:
                    self.record(p, e, index, got, a)
                return got
            case t.Field(base, name):
                return self.field(base, name, a, p, under)
            case t.Apply(op, args):
                return self.apply(op, args, e, a, p, under)
            case t.Member(element, domain):
                inner = self.value(domain, a, p, under)
                assert isinstance(inner, SetValue)
                return inner.member(flatten(self.value(element, a, p, under)))
            case t.SetLit(elements):
                members = [flatten(self.value(x, a, p, under)) for x in elements]
                shape = self.shape(e.type)
                assert isinstance(shape, SetShape)
                return SetValue(shape.of, lambda es: or_(*(and_(*map(eq, m, es)) for m in members)))
            case t.RecordLit(fields):
                shape = self.shape(e.type)
                assert isinstance(shape, RecordShape)
                names = [n for n, _ in shape.fields]
                return RecordValue(tuple((n, self.value(x, a, p, under)) for n, x in zip(names, fields, strict=True)))
            case t.Unwrap(base, checked):
                got = self.value(base, a, p, under)
                if checked:
                    there = not_(self.none(got, base.type))
                    message = f"{_text(base)} is none"
                    p.check("null_deref", there, message, self.origin(e, a), True, under)
                return unwrapped(got)
            case t.Wrap(base):
                got = self.value(base, a, p, under)
                return got if isinstance(base.type, OptionType) else some_value(got)
            case t.Quantified():
                return self.quantified(e, a, p, under)
            case t.FnCall(fn, args):
                routine = self.instance.routines[fn]
                values = [self.value(x, a, p, under) for x in args]
                assert routine.value is not None
                for param, v in zip(routine.params, values, strict=True):
                    p.values[param.number] = v
                return self.value(routine.value, Activation(fn, a.at(e.span)), p, under)
            case t.Changed(snapshot):
                got = self.value(snapshot, a, p, under)
                assert isinstance(got, RecordValue)
                if self.look is not None and isinstance(snapshot.type, SnapshotType):
                    self.look(p, snapshot.type.state, flatten(RecordValue(got.fields[1:])))
                window = snapshot.type.window if isinstance(snapshot.type, SnapshotType) else None
                if window is None:
                    return not_(got.scalar(FRESH))
                most = self.instance.constant(window) + 1
                if not e.behind:
                    return ne(got.scalar(LEFT), Lit(most))
                message = f"more than {most - 1} bumps since {_text(snapshot)}, or it is stale"
                p.check("range", ne(got.scalar(LEFT), Lit(0)), message, self.origin(e, a), True, under)
                return apply(Op.SUB, Lit(most), got.scalar(LEFT))
            case t.Old(body):
                return map_value(self.value(body, a, p, under), as_old)
            case t.AtLabel(thread, label):
                return self.place_test("at", label, thread.thread, self.thread_index(thread, a, p, under))
            case t.InRegion(thread, region):
                return self.place_test("in", region, thread.thread, self.thread_index(thread, a, p, under))
            case t.Finished(thread):
                return self.place_test("finished", "", thread.thread, self.thread_index(thread, a, p, under))
            case t.Held():
                return self.held(e, a, p, under)
            case _:
                assert_never(e)

    def local(self, local: t.Local, a: Activation, p: Path, under: Expr) -> Value:
        if local.number in p.values:
            got = p.values[local.number]
            assert not isinstance(got, ThreadInstance)
            return got
        binding = a.bindings[local.number]
        match binding:
            case OwnIndex(position):
                return self.own_value(local.type, position)
            case Alias(expr, activation):
                return self.value(expr, activation, p, under)
            case Slot():
                return load(self.slot_storage(binding), self.own, p.store)
            case _:
                assert_never(binding)

    def own_value(self, type_: Type, position: int) -> Value:
        """The thread's own index number ``position``: its parameters are flattened in order."""
        declared = self.threads[self.own_class]
        start = 0
        thread = self.instance.threads[self.own_class]
        for param in thread.params[:position]:
            start += len(index_sorts(param.type, self.instance))
        count = len(index_sorts(type_, self.instance))
        return self.bundle(type_, declared.params[start : start + count])

    def bundle(self, type_: Type, parts: tuple[Expr, ...]) -> Value:
        """Scalars put back together as an index value of ``type_``."""
        if isinstance(type_, PointerType):
            return pointer_to(parts[0])
        shape = self.shape(type_)
        if isinstance(shape, ScalarShape):
            return parts[0]
        assert isinstance(shape, RecordShape)
        fields: list[tuple[str, Value]] = []
        rest = parts
        for name, inner in shape.fields:
            width = _width(inner)
            if isinstance(inner, ScalarShape):
                fields.append((name, rest[0]))
            else:
                assert isinstance(inner, RecordShape)
                fields.append((name, self._bundle_shape(inner, rest[:width])))
            rest = rest[width:]
        return RecordValue(tuple(fields))

    def _bundle_shape(self, shape: RecordShape, parts: tuple[Expr, ...]) -> RecordValue:
        fields: list[tuple[str, Value]] = []
        for name, inner in shape.fields:
            width = _width(inner)
            if isinstance(inner, RecordShape):
                fields.append((name, self._bundle_shape(inner, parts[:width])))
            else:
                fields.append((name, parts[0]))
            parts = parts[width:]
        return RecordValue(tuple(fields))

    def field(self, base: t.Expr, name: str, a: Activation, p: Path, under: Expr) -> Value:
        if isinstance(base.type, ThreadType):
            assert isinstance(base, t.LocalRef)
            bound = p.values[base.local.number]
            assert isinstance(bound, ThreadInstance)
            thread = self.instance.threads[bound.thread]
            start = 0
            for param in thread.params:
                width = len(index_sorts(param.type, self.instance))
                if param.name == name:
                    return self.bundle(param.type, bound.params[start : start + width])
                start += width
            raise KeyError(name)
        got = self.value(base, a, p, under)
        assert isinstance(got, RecordValue)
        return got.get(name)

    def apply(self, op: Op, args: tuple[t.Expr, ...], e: t.Apply, a: Activation, p: Path, under: Expr) -> Value:
        match op:
            case Op.AND | Op.OR:
                parts: list[Expr] = []
                so_far = under
                for x in args:
                    got = self.truth(x, a, p, so_far)
                    parts.append(got)
                    so_far = and_(so_far, got if op is Op.AND else not_(got))
                return and_(*parts) if op is Op.AND else or_(*parts)
            case Op.IMPLIES:
                left = self.truth(args[0], a, p, under)
                return implies(left, self.truth(args[1], a, p, and_(under, left)))
            case Op.ITE:
                cond = self.truth(args[0], a, p, under)
                then = self.value(args[1], a, p, and_(under, cond))
                other = self.value(args[2], a, p, and_(under, not_(cond)))
                return choose_value(cond, then, other)
            case Op.EQ | Op.NE:
                left_value = self.value(args[0], a, p, under)
                right_value = self.value(args[1], a, p, under)
                equal = same(*_matched(left_value, right_value), self.fresh)
                return decided(equal if op is Op.EQ else not_(equal))
            case Op.DIV | Op.MOD:
                left, right = (self.truth(x, a, p, under) for x in args)
                p.check("range", _nonzero(right), f"division by zero in {_text(e)}", self.origin(e, a), True, under)
                return decided(apply(op, left, right))
            case Op.SHL | Op.SHR:
                left, right = (self.truth(x, a, p, under) for x in args)
                message = f"the shift in {_text(e)} is not by 0..{MAX_SHIFT}"
                p.check("range", within(right, RangeSort(0, MAX_SHIFT)), message, self.origin(e, a), True, under)
                return decided(apply(op, left, right))
            case _:
                values = [self.value(x, a, p, under) for x in args]
                if isinstance(values[0], SetValue):
                    assert isinstance(values[1], SetValue)
                    return set_operation(op, values[0], values[1])
                return decided(apply(op, *(scalar(v) for v in values)))

    def none(self, v: Value, type_: Type) -> Expr:
        """Whether the optional value ``v`` of ``type_`` is none."""
        if isinstance(v, RecordValue) and is_pointer(v):
            shape = self.shape(type_)
            assert isinstance(shape, RecordShape)
            return decided(eq(v.scalar(PLACE), scalar(default_value(shape.fields[0][1]))))
        if isinstance(v, RecordValue):
            return not_(v.scalar("#some"))
        sort = self.scalar_sort(type_)
        assert isinstance(sort, OptionSort)
        return eq(scalar(v), scalar(none_value(ScalarShape(sort))))

    def quantified(self, e: t.Quantified, a: Activation, p: Path, under: Expr) -> Expr:
        binders: list[Param] = []
        exist: list[Expr] = []
        for local in e.binders:
            if isinstance(local.type, ThreadType):
                if local.type.thread not in self.threads:  # left out of the scenario: there is no instance
                    return {Quantifier.FORALL: TRUE, Quantifier.EXISTS: FALSE, Quantifier.COUNT: Lit(0)}[e.kind]
                bound, inside = self.thread_binder(local.type.thread)
                binders += bound.params
                exist.append(inside)
                p.values[local.number] = bound
            else:
                mine = tuple(self.names.fresh(s, local.name) for s in index_sorts(local.type, self.instance))
                binders += mine
                p.values[local.number] = self.bundle(local.type, mine)
        there = and_(*exist)
        quiet = p.under_binders(tuple(binders))
        where = and_(there, self.truth(e.where, a, quiet, there) if e.where is not None else TRUE)
        body = self.truth(e.body, a, quiet, where)
        for c in quiet.checks:
            lifted = quant(Quantifier.FORALL, tuple(binders), c.cond)
            p.check(c.prop, lifted, c.message, c.origin, c.fatal, under)
        match e.kind:
            case Quantifier.FORALL:
                body = implies(where, body)
            case Quantifier.EXISTS | Quantifier.COUNT:
                body = and_(where, body)
            case _:
                assert_never(e.kind)
        return quant(e.kind, tuple(binders), body)

    def thread_binder(self, thread: str) -> tuple[ThreadInstance, Expr]:
        """Fresh parameters for an instance of ``thread`` and the condition that it exists."""
        view = self.threads[thread]
        fresh = tuple(self.names.fresh(q.sort, q.name) for q in view.params)
        renamed = {q.name: f for q, f in zip(view.params, fresh, strict=True)}
        return ThreadInstance(thread, fresh), substitute(view.where, dict(renamed))

    def thread_index(self, ref: t.ThreadRef, a: Activation, p: Path, under: Expr) -> tuple[Expr, ...]:
        if ref.binder is not None:
            bound = p.values[ref.binder.number]
            assert isinstance(bound, ThreadInstance)
            return bound.params
        thread = self.instance.threads.get(ref.thread)
        if thread is None:
            return ()
        return self.index(ref.index, tuple(q.type for q in thread.params), a, p, under)

    def held(self, e: t.Held, a: Activation, p: Path, under: Expr) -> Expr:
        index = self.index(e.lock.index, self.instance.module.locks[e.lock.lock].index, a, p, under)
        if e.lock.lock in self.flags:
            return p.store.read(self.flags[e.lock.lock], index)
        kind = self.instance.module.locks[e.lock.lock].kind

        def good(mode: Expr) -> Expr:
            if e.mode == "write" and kind not in (LockKind.MUTEX, LockKind.SPINLOCK):
                return eq(mode, Lit(HELD_WRITE))
            if e.mode == "read":
                return eq(mode, Lit(HELD_READ))
            return ne(mode, Lit(HELD_NONE))

        if e.by is not None:
            mine = self.thread_index(e.by, a, p, under)
            if e.by.thread not in self.threads:
                return FALSE
            return good(self.mode(e.lock.lock, e.by.thread, mine, index, p))
        if e.by_self:
            return good(self.mode(e.lock.lock, self.own_class, self.own, index, p))
        some = []
        for name in self.threads:
            bound, inside = self.thread_binder(name)
            mode = self.mode(e.lock.lock, name, bound.params, index, p)
            if mode != Lit(HELD_NONE):
                some.append(exists(bound.params, and_(inside, good(mode))))
        return or_(*some)


    def mode(self, lock: str, name: str, who: tuple[Expr, ...], index: tuple[Expr, ...], p: Path) -> Expr:
        """The mode in which an instance of thread ``name`` holds the lock instance, at this point of the path."""
        if self.held_now is not None:
            return self.held_now(lock, name, who, index, p)
        return self.held_mode(lock, name, who, index)


OLD = "#old:"


def as_old(e: Expr) -> Expr:
    """``e`` marked as speaking of the state before a step, for :func:`protocheck.lower.values.post`."""

    def mark(leaf: Param | Read) -> Expr:
        if isinstance(leaf, Param):
            return leaf
        return Read(Var(f"{OLD}{leaf.var.name}", leaf.var.index, leaf.var.sort, leaf.var.kind), leaf.index)

    return rebuild(e, mark)


def decided(e: Expr) -> Expr:
    """A comparison whose outcome follows from the bounds of its sides, folded."""
    if not isinstance(e, Apply) or len(e.args) != 2:
        return e
    left, right = interval(e.args[0]), interval(e.args[1])
    if left is None or right is None:
        return e
    match e.op:
        case Op.LT if left[1] < right[0]:
            return TRUE
        case Op.LT if left[0] >= right[1]:
            return FALSE
        case Op.LE if left[1] <= right[0]:
            return TRUE
        case Op.LE if left[0] > right[1]:
            return FALSE
        case Op.GT if left[0] > right[1]:
            return TRUE
        case Op.GT if left[1] <= right[0]:
            return FALSE
        case Op.GE if left[0] >= right[1]:
            return TRUE
        case Op.GE if left[1] < right[0]:
            return FALSE
        case Op.EQ if left[1] < right[0] or right[1] < left[0]:
            return FALSE
        case Op.NE if left[1] < right[0] or right[1] < left[0]:
            return TRUE
        case _:
            return e


def _nonzero(e: Expr) -> Expr:
    found = interval(e)
    return TRUE if found is not None and (found[0] > 0 or found[1] < 0) else ne(e, Lit(0))


def _matched(x: Value, y: Value) -> tuple[Value, Value]:
    """Two values of compatible types, one perhaps optional, made alike."""
    if isinstance(x, RecordValue) and isinstance(y, RecordValue) and len(x.fields) != len(y.fields):
        return (some_value(x), y) if len(x.fields) < len(y.fields) else (x, some_value(y))
    return x, y


def _width(shape: Shape) -> int:
    match shape:
        case ScalarShape():
            return 1
        case RecordShape(fields):
            return sum(_width(f) for _, f in fields)
        case SetShape():
            raise KeyError("set")
        case _:
            assert_never(shape)


def _text(e: t.Expr) -> str:
    return f"`{' '.join(e.span.text.split())}`"


def state_storages(instance: Instance) -> dict[str, Storage]:
    """The variables of every declared state."""
    result = {}
    for name, s in instance.module.states.items():
        index = tuple(x for b in s.binders for x in index_sorts(b.type, instance))
        kind = VarKind.GHOST if s.ghost else VarKind.STATE
        result[name] = make_storage(name, index, shape_of(s.type, instance), kind)
    return result


def snapshot_fields(type_: Type) -> str | None:
    """The version that a snapshot type is of."""
    return type_.state if isinstance(type_, SnapshotType) else None

