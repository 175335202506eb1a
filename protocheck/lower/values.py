"""Values of the modelling language during symbolic execution, and where they are kept.

A scalar is an expression. Records, products and optional records are taken apart into fields; a set is its membership
function; so every variable of the transition system is a scalar or an array of scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from typing import TypeAlias, assert_never

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Expr,
    Lit,
    Op,
    Param,
    Read,
    Var,
    VarKind,
    and_,
    eq,
    forall,
    implies,
    ite,
    not_,
    or_,
    substitute,
)
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, Sort, low_of, none_of
from protocheck.ir.system import Update
from protocheck.lower.instance import Instance
from protocheck.records import dataclass
from protocheck.types.types import (
    STALE,
    ArrayType,
    BoolType,
    EnumType,
    ErrorType,
    IntType,
    NoneType,
    OptionType,
    PointerType,
    RangeType,
    RecordType,
    ScalarsetType,
    SetType,
    SnapshotType,
    ThreadType,
    Type,
    VersionType,
    VoidType,
)

SOME = "#some"  # field of an optional record: is there one?
PLACE = "#place"  # field of a pointer: the place, or none; STALE is the other one
FRESH = "#fresh"  # field of a snapshot: has the version stood still since?
LEFT = "#left"  # of a counter's: how many bumps until it is too old to tell, counted down from window + 1; 0: stale

# --------------------------------------------------------------------------------------------------------------------
# Shapes


@dataclass(frozen=True)
class ScalarShape:
    sort: Sort


@dataclass(frozen=True)
class RecordShape:
    fields: tuple[tuple[str, Shape], ...]
    optional: bool = False


@dataclass(frozen=True)
class SetShape:
    of: tuple[Sort, ...]


Shape: TypeAlias = ScalarShape | RecordShape | SetShape


def shape_of(t: Type, instance: Instance) -> Shape:
    """How values of ``t`` are taken apart. Versions have no value of their own: an empty record."""
    match t:
        case BoolType() | RangeType() | EnumType() | ScalarsetType():
            return ScalarShape(instance.sort(t))
        case RecordType():
            return RecordShape(tuple((name, shape_of(f, instance)) for name, f in t.fields))
        case PointerType(pool) | OptionType(PointerType(pool)):
            place = OptionSort(instance.sort(ScalarsetType(pool)))  # none is what a pointer without a value is reset to
            return RecordShape(((PLACE, ScalarShape(place)), (STALE, ScalarShape(BOOL))))
        case OptionType(of):
            inner = shape_of(of, instance)
            match inner:
                case ScalarShape(sort):
                    return ScalarShape(OptionSort(sort))
                case RecordShape(fields):
                    return RecordShape(((SOME, ScalarShape(BOOL)), *fields), optional=True)
                case SetShape():
                    return RecordShape(((SOME, ScalarShape(BOOL)), ("set", inner)), optional=True)
                case _:
                    assert_never(inner)
        case SetType(of):
            return SetShape(index_sorts(of, instance))
        case SnapshotType(_, index, window):
            parts = [(f"i{n}", shape_of(i, instance)) for n, i in enumerate(index)]
            if window is not None:
                ages = (f"{k} behind" for k in range(instance.constant(window), 0, -1))
                return RecordShape(((LEFT, ScalarShape(EnumSort("age", ("stale", *ages, "fresh")))), *parts))
            return RecordShape(((FRESH, ScalarShape(BOOL)), *parts))
        case VersionType() | VoidType():
            return RecordShape(())
        case ArrayType() | IntType() | ThreadType() | NoneType() | ErrorType():
            raise KeyError(type(t).__name__)
        case _:
            assert_never(t)


def index_sorts(t: Type, instance: Instance) -> tuple[Sort, ...]:
    """The sorts of an index of type ``t``: one, or one per part of a product or record."""
    match t:
        case RecordType(_, fields):
            return tuple(s for _, f in fields for s in index_sorts(f, instance))
        case PointerType(pool):
            return (instance.sort(ScalarsetType(pool)),)
        case _:
            return (instance.sort(t),)


# --------------------------------------------------------------------------------------------------------------------
# Values


@dataclass(frozen=True)
class RecordValue:
    fields: tuple[tuple[str, Value], ...]

    def get(self, name: str) -> Value:
        return next(v for n, v in self.fields if n == name)

    def scalar(self, name: str) -> Expr:
        v = self.get(name)
        assert not isinstance(v, RecordValue | SetValue)
        return v


@dataclass(frozen=True)
class SetValue:
    of: tuple[Sort, ...]
    member: Callable[[tuple[Expr, ...]], Expr] = field(compare=False)


Value: TypeAlias = Expr | RecordValue | SetValue


def scalar(v: Value) -> Expr:
    """``v``, known to be a scalar."""
    assert not isinstance(v, RecordValue | SetValue)
    return v


def pointer_to(place: Expr) -> RecordValue:
    """A pointer to what is at ``place`` now."""
    return RecordValue(((PLACE, place), (STALE, FALSE)))


def is_pointer(v: Value) -> bool:
    """Whether ``v`` is a pointer (or none in the place of one)."""
    return isinstance(v, RecordValue) and bool(v.fields) and v.fields[0][0] == PLACE


def flatten(v: Value) -> tuple[Expr, ...]:
    """The scalars of a value that is used as an index."""
    match v:
        case RecordValue(fields):
            return tuple(e for n, f in fields if n != STALE for e in flatten(f))
        case SetValue():
            raise KeyError("set")
        case _:
            return (v,)


def default_value(shape: Shape) -> Value:
    """What a variable without an initial value begins with: the lowest value, none, the empty set, stale."""
    match shape:
        case ScalarShape(OptionSort() as sort):
            return Lit(none_of(sort))
        case ScalarShape(sort):
            return Lit(low_of(sort))
        case RecordShape(fields):
            return RecordValue(tuple((n, default_value(f)) for n, f in fields))
        case SetShape(of):
            return SetValue(of, lambda _: FALSE)
        case _:
            assert_never(shape)


def none_value(shape: Shape) -> Value:
    """``none`` (or ``stale``) of an optional shape (or a snapshot)."""
    return default_value(shape)


def some_value(v: Value) -> Value:
    """A value of T used as ``T?``."""
    match v:
        case RecordValue(fields) if not is_pointer(v):
            return RecordValue(((SOME, TRUE), *fields))
        case SetValue():
            return RecordValue(((SOME, TRUE), ("set", v)))
        case _:
            return v


def is_none(v: Value, sort: Sort | None) -> Expr:
    """Whether an optional value is none; ``sort`` is the option sort of a scalar."""
    match v:
        case RecordValue():
            return not_(v.scalar(SOME))
        case SetValue():
            raise KeyError("set")
        case _:
            assert isinstance(sort, OptionSort)
            return eq(v, Lit(none_of(sort)))


def unwrapped(v: Value) -> Value:
    """An optional value that is known not to be none, as a value of what it wraps."""
    match v:
        case RecordValue(fields) if not is_pointer(v):
            rest = fields[1:]
            return rest[0][1] if rest and rest[0][0] == "set" else RecordValue(rest)
        case _:
            return v


def same(a: Value, b: Value, fresh: Callable[[Sort], Param]) -> Expr:
    """Equality of two values of one type; ``fresh`` makes binders for sets."""
    match a, b:
        case RecordValue(), RecordValue():
            if is_pointer(a):  # as C compares them: what is stale may equal what is not
                return eq(a.scalar(PLACE), b.scalar(PLACE))
            if a.fields and a.fields[0][0] == SOME:
                rest = and_(*(same(x, y, fresh) for (_, x), (_, y) in zip(a.fields[1:], b.fields[1:], strict=True)))
                return and_(eq(a.scalar(SOME), b.scalar(SOME)), implies(a.scalar(SOME), rest))
            return and_(*(same(x, y, fresh) for (_, x), (_, y) in zip(a.fields, b.fields, strict=True)))
        case SetValue(), SetValue():
            binders = tuple(fresh(s) for s in a.of)
            return forall(binders, eq(a.member(binders), b.member(binders)))
        case _:
            return eq(scalar(a), scalar(b))


def choose_value(cond: Expr, a: Value, b: Value) -> Value:
    """``cond ? a : b`` on values of one type."""
    match a, b:
        case RecordValue(), RecordValue():
            pairs = zip(a.fields, b.fields, strict=True)
            return RecordValue(tuple((n, choose_value(cond, x, y)) for (n, x), (_, y) in pairs))
        case SetValue(), SetValue():
            return SetValue(a.of, lambda es: ite(cond, a.member(es), b.member(es)))
        case _:
            return ite(cond, scalar(a), scalar(b))


def map_value(v: Value, change: Callable[[Expr], Expr]) -> Value:
    """``v`` with ``change`` applied to each of its scalars."""
    match v:
        case RecordValue(fields):
            return RecordValue(tuple((n, map_value(f, change)) for n, f in fields))
        case SetValue(of, member):
            return SetValue(of, lambda es: change(member(es)))
        case _:
            return change(v)


# --------------------------------------------------------------------------------------------------------------------
# Storage


@dataclass(frozen=True)
class Storage:
    """The variables that hold a value of ``shape``; ``var`` for scalars and sets, ``parts`` for records."""

    shape: Shape
    var: Var | None = None
    parts: tuple[tuple[str, Storage], ...] = ()

    def part(self, name: str) -> Storage:
        return next(s for n, s in self.parts if n == name)

    def vars(self) -> Iterator[Var]:
        """All variables, in order."""
        if self.var is not None:
            yield self.var
        for _, p in self.parts:
            yield from p.vars()


def make_storage(name: str, index: tuple[Sort, ...], shape: Shape, kind: VarKind) -> Storage:
    """Fresh variables for a value of ``shape`` per tuple of ``index``, named ``name`` and ``name.field``."""
    match shape:
        case ScalarShape(sort):
            return Storage(shape, Var(name, index, sort, kind))
        case SetShape(of):
            return Storage(shape, Var(name, index + of, BOOL, kind))
        case RecordShape(fields):
            names = ((n, name if n in (PLACE, LEFT) else f"{name}.{n.lstrip('#')}") for n, _ in fields)
            parts = tuple((n, make_storage(at, index, f, kind)) for (n, at), (_, f) in zip(names, fields, strict=True))
            return Storage(shape, None, parts)
        case _:
            assert_never(shape)


@dataclass(frozen=True)
class Write:
    """A write in program order: an :class:`Update`, but sequential. Expressions speak of the state before the step."""

    index: tuple[Expr, ...]
    value: Expr
    binders: tuple[Param, ...] = ()
    where: Expr = TRUE


@dataclass
class Store:
    """What a step has written so far. Copied where the execution forks."""

    writes: dict[Var, tuple[Write, ...]] = field(default_factory=dict)

    def copy(self) -> Store:
        return Store(dict(self.writes))

    def read(self, var: Var, index: tuple[Expr, ...]) -> Expr:
        """The value of a cell after the writes so far, in terms of the state before the step."""
        known = self.writes.get(var)
        if not known:
            return Read(var, index)
        value: Expr = Read(var, index)
        for w in known:
            match_, new = _match(w, index)
            value = ite(match_, new, value)
        return value

    def write(self, var: Var, w: Write) -> None:
        if w.where == FALSE:
            return
        known = self.writes.get(var, ())
        if not w.binders and w.where == TRUE:
            known = tuple(k for k in known if k.binders or k.index != w.index)
        self.writes[var] = (*known, w)

    def last(self, var: Var) -> tuple[Expr, ...]:
        """The expressions of the last write to ``var``."""
        known = self.writes.get(var)
        return (*known[-1].index, known[-1].value, known[-1].where) if known else ()

    def updates(self) -> tuple[Update, ...]:
        """The writes as simultaneous updates, without those that change nothing."""
        result = []
        for var, writes in self.writes.items():
            for n, w in enumerate(writes):
                if not w.binders and n == 0 and w.value == Read(var, w.index):
                    continue
                result.append(Update(var, w.index, w.value, w.binders, w.where))
        return tuple(result)


def _match(w: Write, index: tuple[Expr, ...]) -> tuple[Expr, Expr]:
    found: dict[str, Expr] = {}
    conditions = []
    bound = {b.name for b in w.binders}
    for mine, wanted in zip(w.index, index, strict=True):
        if isinstance(mine, Param) and mine.name in bound and mine.name not in found:
            found[mine.name] = wanted
        else:
            conditions.append((mine, wanted))
    tests = [eq(substitute(mine, found), wanted) for mine, wanted in conditions]
    return and_(*tests, substitute(w.where, found)), substitute(w.value, found)


def load(s: Storage, index: tuple[Expr, ...], store: Store) -> Value:
    """The value kept in ``s`` at ``index``."""
    match s.shape:
        case ScalarShape():
            assert s.var is not None
            return store.read(s.var, index)
        case SetShape(of):
            var, frozen = s.var, store.copy()
            assert var is not None
            return SetValue(of, lambda es: frozen.read(var, index + es))
        case RecordShape():
            return RecordValue(tuple((n, load(p, index, store)) for n, p in s.parts))
        case _:
            assert_never(s.shape)


def save(
    s: Storage,
    index: tuple[Expr, ...],
    value: Value,
    store: Store,
    fresh: Callable[[Sort], Param],
    binders: tuple[Param, ...] = (),
    where: Expr = TRUE,
) -> None:
    """Write ``value`` to ``s`` at ``index`` (for all ``binders`` where ``where`` is true)."""
    match s.shape:
        case ScalarShape():
            assert s.var is not None
            store.write(s.var, Write(index, scalar(value), binders, where))
        case SetShape(of):
            assert s.var is not None
            assert isinstance(value, SetValue)
            mine = tuple(fresh(x) for x in of)
            store.write(s.var, Write(index + mine, value.member(mine), binders + mine, where))
        case RecordShape():
            assert isinstance(value, RecordValue)
            for (_, p), (_, v) in zip(s.parts, value.fields, strict=True):
                save(p, index, v, store, fresh, binders, where)
        case _:
            assert_never(s.shape)


def set_operation(op: Op, a: SetValue, b: SetValue) -> SetValue:
    """Intersection, union and difference."""
    match op:
        case Op.BITAND:
            return SetValue(a.of, lambda es: and_(a.member(es), b.member(es)))
        case Op.BITOR | Op.ADD:
            return SetValue(a.of, lambda es: or_(a.member(es), b.member(es)))
        case Op.SUB:
            return SetValue(a.of, lambda es: and_(a.member(es), not_(b.member(es))))
        case _:
            raise KeyError(op.value)
