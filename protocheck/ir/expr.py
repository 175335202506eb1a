"""Expressions over the state: five kinds of node and a closed enum of operators.

All values are unbounded integers; truth is 0 or 1. Nothing wraps: ranges are checked where a value is stored.
Build expressions with the small constructors below: they fold constants, which keeps guards readable and small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from operator import is_
from typing import TypeAlias, assert_never

from protocheck.ir.sorts import Sort, product_size, scalarset_of, values_of
from protocheck.records import dataclass


class Op(Enum):
    """Operators of :class:`Apply`. ``AND``, ``OR``, ``ADD``, ``MUL``, ``MIN``, ``MAX`` take any number of arguments."""

    NOT = "!"
    AND = "&&"
    OR = "||"
    IMPLIES = "implies"
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"  # truncates towards zero, as in C; by zero gives 0 (a range check refuses it beforehand)
    MOD = "%"  # has the sign of the dividend, as in C; by zero gives 0
    NEG = "neg"
    SHL = "<<"
    SHR = ">>"
    BITAND = "&"
    BITOR = "|"
    BITXOR = "^"
    BITNOT = "~"
    MIN = "min"
    MAX = "max"
    ITE = "?:"

    __hash__ = object.__hash__


class Quantifier(Enum):
    """Quantifiers; ``COUNT`` is the number of tuples for which the body is true."""

    FORALL = "forall"
    EXISTS = "exists"
    COUNT = "count"


class VarKind(Enum):
    """What a variable is for; engines treat all alike, traces and reports do not."""

    STATE = "state"
    GHOST = "ghost"
    LOCAL = "local"
    PC = "pc"
    LOCK = "lock"
    HIDDEN = "hidden"


def _hash_once(self: Var | Read | Apply | Quant) -> int:
    """A hash that is computed once per node: guards are large, and folding looks them up again and again."""
    known: int | None = self.__dict__.get("_hash")
    if known is None:
        match self:
            case Apply(op, args):
                known = hash((op, args))
            case Read(var, index):
                known = hash((var, index))
            case Var(name):
                known = hash(name)
            case Quant(kind, binders, body):
                known = hash((kind, binders, body))
            case _:
                assert_never(self)
        self.__dict__["_hash"] = known
    return known


def _without_hash(self: Var | Read | Apply | Quant) -> dict[str, object]:
    """What is copied to another process, where strings hash differently: the fields, and nothing kept beside them."""
    return {k: v for k, v in self.__dict__.items() if k[0] != "_"}


@dataclass(frozen=True)
class Var:
    """A state variable, or an array of them with one cell per tuple of ``index`` values. Names are unique."""

    name: str
    index: tuple[Sort, ...]
    sort: Sort
    kind: VarKind = VarKind.STATE

    __hash__ = _hash_once
    __getstate__ = _without_hash


@dataclass(frozen=True)
class Lit:
    """The constant ``value``."""

    value: int


@dataclass(frozen=True)
class Param:
    """A name bound by a transition, a target, an update or a quantifier, ranging over all values of ``sort``.

    Names are unique within what binds them: no binder shadows another that is in scope.
    """

    name: str
    sort: Sort


@dataclass(frozen=True)
class Read:
    """The value of a cell in the state in which the expression is evaluated (the state before a step).

    Reading outside of the index sorts is an error of whoever built the expression: the compiler puts a range check
    before it. Evaluators may answer anything for such a read but must not fail.
    """

    var: Var
    index: tuple[Expr, ...] = ()

    __hash__ = _hash_once
    __getstate__ = _without_hash


@dataclass(frozen=True)
class Apply:
    """An operator applied to arguments."""

    op: Op
    args: tuple[Expr, ...]

    __hash__ = _hash_once
    __getstate__ = _without_hash


@dataclass(frozen=True)
class Quant:
    """A quantifier over ``binders``."""

    kind: Quantifier
    binders: tuple[Param, ...]
    body: Expr

    __hash__ = _hash_once
    __getstate__ = _without_hash


Expr: TypeAlias = Lit | Param | Read | Apply | Quant

TRUE = Lit(1)
FALSE = Lit(0)


def lit(value: int | bool) -> Lit:
    """The constant ``value``."""
    return Lit(int(value))


def not_(e: Expr) -> Expr:
    """Negation, pushed through constants, double negation and comparisons for equality."""
    match e:
        case Lit(value):
            return lit(not value)
        case Apply(Op.NOT, (inner,)):
            return inner
        case Apply(Op.EQ, args):
            return Apply(Op.NE, args)
        case Apply(Op.NE, args):
            return Apply(Op.EQ, args)
        case _:
            return Apply(Op.NOT, (e,))


def and_(*es: Expr) -> Expr:
    """Conjunction: flattened, without repetitions, with constants folded."""
    return _junction(Op.AND, TRUE, FALSE, es)


def or_(*es: Expr) -> Expr:
    """Disjunction: flattened, without repetitions, with constants folded."""
    return _junction(Op.OR, FALSE, TRUE, es)


def _junction(op: Op, unit: Lit, zero: Lit, es: Iterable[Expr]) -> Expr:
    seen: dict[Expr, None] = {}
    for e in es:
        parts = e.args if isinstance(e, Apply) and e.op is op else (e,)
        for part in parts:
            if isinstance(part, Lit):
                if bool(part.value) == bool(zero.value):
                    return zero
                continue
            seen[part] = None
    if not seen:
        return unit
    if len(seen) == 1:
        return next(iter(seen))
    return Apply(op, tuple(seen))


def implies(a: Expr, b: Expr) -> Expr:
    """Implication."""
    if isinstance(a, Lit):
        return b if a.value else TRUE
    if isinstance(b, Lit):
        return TRUE if b.value else not_(a)
    return Apply(Op.IMPLIES, (a, b))


def eq(a: Expr, b: Expr) -> Expr:
    """Equality."""
    if a == b:
        return TRUE
    if isinstance(a, Lit) and isinstance(b, Lit):
        return FALSE
    if isinstance(a, Lit):
        a, b = b, a
    if isinstance(b, Lit) and isinstance(a, Apply) and a.op is Op.ITE:
        cond, then, other = a.args
        if isinstance(then, Lit) or isinstance(other, Lit):
            return ite(cond, eq(then, b), eq(other, b))
    return Apply(Op.EQ, (a, b))


def ne(a: Expr, b: Expr) -> Expr:
    """Inequality."""
    return not_(eq(a, b))


def ite(cond: Expr, then: Expr, other: Expr) -> Expr:
    """If-then-else; on constant booleans it becomes the connective it is."""
    if isinstance(cond, Lit):
        return then if cond.value else other
    if then == other:
        return then
    if then == TRUE and other == FALSE:
        return cond
    if then == FALSE and other == TRUE:
        return not_(cond)
    return Apply(Op.ITE, (cond, then, other))


def apply(op: Op, *args: Expr) -> Expr:
    """``op`` applied to ``args`` with constants folded."""
    match op:
        case Op.NOT:
            return not_(args[0])
        case Op.AND:
            return and_(*args)
        case Op.OR:
            return or_(*args)
        case Op.IMPLIES:
            return implies(args[0], args[1])
        case Op.EQ:
            return eq(args[0], args[1])
        case Op.NE:
            return ne(args[0], args[1])
        case Op.ITE:
            return ite(args[0], args[1], args[2])
        case _:
            values = [a.value for a in args if isinstance(a, Lit)]
            if len(values) == len(args):
                return Lit(compute(op, values))
            return Apply(op, args)


def quant(kind: Quantifier, binders: tuple[Param, ...], body: Expr) -> Expr:
    """A quantified expression; one without binders is its body, one whose body is constant is folded if possible."""
    if not binders:
        return body
    if isinstance(body, Lit):
        empty = any(len(values_of(b.sort)) == 0 for b in binders)
        if kind is Quantifier.FORALL:
            return TRUE if empty else lit(bool(body.value))
        if kind is Quantifier.EXISTS:
            return FALSE if empty else lit(bool(body.value))
    return Quant(kind, binders, body)


def forall(binders: tuple[Param, ...], body: Expr) -> Expr:
    """Universal quantification."""
    return quant(Quantifier.FORALL, binders, body)


def exists(binders: tuple[Param, ...], body: Expr) -> Expr:
    """Existential quantification."""
    return quant(Quantifier.EXISTS, binders, body)


def compute(op: Op, v: list[int]) -> int:
    """The value of ``op`` on the values ``v``: the one definition of every operator's meaning."""
    match op:
        case Op.NOT:
            return int(not v[0])
        case Op.AND:
            return int(all(v))
        case Op.OR:
            return int(any(v))
        case Op.IMPLIES:
            return int(not v[0] or bool(v[1]))
        case Op.EQ:
            return int(v[0] == v[1])
        case Op.NE:
            return int(v[0] != v[1])
        case Op.LT:
            return int(v[0] < v[1])
        case Op.LE:
            return int(v[0] <= v[1])
        case Op.GT:
            return int(v[0] > v[1])
        case Op.GE:
            return int(v[0] >= v[1])
        case Op.ADD:
            return sum(v)
        case Op.SUB:
            return v[0] - v[1]
        case Op.MUL:
            product = 1
            for x in v:
                product *= x
            return product
        case Op.DIV:
            return _quotient(v[0], v[1])
        case Op.MOD:
            return v[0] - v[1] * _quotient(v[0], v[1]) if v[1] else 0
        case Op.NEG:
            return -v[0]
        case Op.SHL:
            return v[0] << v[1] if 0 <= v[1] <= 64 else 0
        case Op.SHR:
            return v[0] >> v[1] if v[1] >= 0 else 0
        case Op.BITAND:
            return v[0] & v[1]
        case Op.BITOR:
            return v[0] | v[1]
        case Op.BITXOR:
            return v[0] ^ v[1]
        case Op.BITNOT:
            return ~v[0]
        case Op.MIN:
            return min(v)
        case Op.MAX:
            return max(v)
        case Op.ITE:
            return v[1] if v[0] else v[2]
        case _:
            assert_never(op)


def _quotient(a: int, b: int) -> int:
    if b == 0:
        return 0
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions of ``e``."""
    match e:
        case Lit() | Param():
            return ()
        case Read(_, index):
            return index
        case Apply(_, args):
            return args
        case Quant(_, _, body):
            return (body,)
        case _:
            assert_never(e)


def extent(e: Expr) -> tuple[int, int]:
    """How large ``e`` is when written out, and how deep: nodes, those of a quantifier's body once for each member."""
    if isinstance(e, Lit | Param):
        return 1, 1
    known: tuple[int, int] | None = e.__dict__.get("_extent")
    if known is None:
        parts = [extent(child) for child in children(e)]
        times = product_size([b.sort for b in e.binders]) if isinstance(e, Quant) else 1
        known = 1 + times * sum(p[0] for p in parts), 1 + max((p[1] for p in parts), default=0)
        e.__dict__["_extent"] = known
    return known


def reads(e: Expr) -> Iterator[Read]:
    """Every cell that ``e`` mentions, in order of appearance, with repetitions."""
    return (node for node in _nodes(e) if isinstance(node, Read))


def parameters(e: Expr) -> Iterator[Param]:
    """Every parameter that ``e`` mentions, bound ones too, in order of appearance, with repetitions."""
    return (node for node in _nodes(e) if isinstance(node, Param))


def _nodes(e: Expr) -> Iterator[Expr]:
    """The nodes of ``e``, each before its parts, from left to right."""
    stack = [e]
    while stack:
        top = stack.pop()
        yield top
        match top:
            case Lit() | Param():
                pass
            case Read(_, index):
                stack.extend(index[::-1])
            case Apply(_, args):
                stack.extend(args[::-1])
            case Quant(_, _, body):
                stack.append(body)
            case _:
                assert_never(top)


def rebuild(e: Expr, change: Callable[[Param | Read], Expr]) -> Expr:
    """``e`` with ``change`` applied to its parameters and (after their indexes) its reads, constants folded again.

    Parameters bound inside ``e`` are passed to ``change`` as well; binder names are unique, so a substitution that
    leaves unknown names alone cannot capture.
    """
    return _rebuild(e, change, {})


def _rebuild(e: Expr, change: Callable[[Param | Read], Expr], done: dict[int, Expr]) -> Expr:
    """As :func:`rebuild`; ``done`` has what became of nodes, by identity: a node that is shared stays shared.

    A node none of whose parts have changed stays the node that it is. (This is where the compiler and the code
    generators spend their time; hence no ``match``.)
    """
    if isinstance(e, Lit):
        return e
    known = done.get(id(e))
    if known is not None:
        return known
    new: Expr
    if isinstance(e, Apply):
        parts = [_rebuild(a, change, done) for a in e.args]
        new = e if _same(parts, e.args) else apply(e.op, *parts)
    elif isinstance(e, Read):
        if e.index:
            parts = [_rebuild(i, change, done) for i in e.index]
            new = change(e if _same(parts, e.index) else Read(e.var, tuple(parts)))
        else:
            new = change(e)
    elif isinstance(e, Param):
        new = change(e)
    elif isinstance(e, Quant):
        body = _rebuild(e.body, change, done)
        new = e if body is e.body else quant(e.kind, e.binders, body)
    else:
        assert_never(e)
    done[id(e)] = new
    return new


def _same(new: list[Expr], old: tuple[Expr, ...]) -> bool:
    """Whether these are the very same nodes."""
    return all(map(is_, new, old))


def substitute(e: Expr, values: Mapping[str, Expr]) -> Expr:
    """``e`` with every parameter named in ``values`` replaced. What mentions none of them stays as it is."""
    return _substitute(e, values, {}) if values else e


def _substitute(e: Expr, values: Mapping[str, Expr], done: dict[int, Expr]) -> Expr:
    if isinstance(e, Lit):
        return e
    if isinstance(e, Param):
        return values.get(e.name, e)
    known = done.get(id(e))
    if known is not None:
        return known
    new: Expr = e
    if not names(e).isdisjoint(values):
        if isinstance(e, Apply):
            new = apply(e.op, *[_substitute(a, values, done) for a in e.args])
        elif isinstance(e, Read):
            new = Read(e.var, tuple([_substitute(i, values, done) for i in e.index]))
        elif isinstance(e, Quant):
            new = quant(e.kind, e.binders, _substitute(e.body, values, done))
        else:
            assert_never(e)
    done[id(e)] = new
    return new


_NO_NAMES: frozenset[str] = frozenset()


def names(e: Expr) -> frozenset[str]:
    """The names of the parameters that ``e`` mentions, bound ones too. Found once per node."""
    if isinstance(e, Lit):
        return _NO_NAMES
    if isinstance(e, Param):
        return frozenset((e.name,))
    found: frozenset[str] | None = e.__dict__.get("_names")
    if found is None:
        found = _NO_NAMES
        for part in children(e):
            more = names(part)
            if not more <= found:
                found = found | more if found else more
        e.__dict__["_names"] = found
    return found


def quantified(e: Expr) -> bool:
    """Whether there is a quantifier in ``e``. Found once per node."""
    if isinstance(e, Lit | Param):
        return False
    found: bool | None = e.__dict__.get("_quantified")
    if found is None:
        found = isinstance(e, Quant) or any(quantified(part) for part in children(e))
        e.__dict__["_quantified"] = found
    return found


def interval(e: Expr) -> tuple[int, int] | None:
    """Bounds ``(low, high)`` between which ``e`` surely lies, or None where no cheap bound is known."""
    if not isinstance(e, Apply):
        return _interval(e)
    if "_interval" not in e.__dict__:
        e.__dict__["_interval"] = _interval(e)
    found: tuple[int, int] | None = e.__dict__["_interval"]
    return found


def _interval(e: Expr) -> tuple[int, int] | None:
    match e:
        case Lit(value):
            return value, value
        case Param(_, sort) | Read(Var(_, _, sort, _), _):
            span = values_of(sort)
            return span.start, span.stop - 1
        case Quant(Quantifier.COUNT, binders, _):
            return 0, product_size([b.sort for b in binders])
        case Quant():
            return 0, 1
        case Apply(op, args):
            parts = [interval(a) for a in args]
            known = [p for p in parts if p is not None]
            if op in _TRUTH:
                return 0, 1
            if len(known) != len(parts):
                return None
            match op:
                case Op.ADD:
                    return sum(p[0] for p in known), sum(p[1] for p in known)
                case Op.SUB:
                    return known[0][0] - known[1][1], known[0][1] - known[1][0]
                case Op.NEG:
                    return -known[0][1], -known[0][0]
                case Op.MUL:
                    low, high = 1, 1
                    for a, b in known:
                        corners = [low * a, low * b, high * a, high * b]
                        low, high = min(corners), max(corners)
                    return low, high
                case Op.MIN:
                    return min(p[0] for p in known), min(p[1] for p in known)
                case Op.MAX:
                    return max(p[0] for p in known), max(p[1] for p in known)
                case Op.ITE:
                    return min(known[1][0], known[2][0]), max(known[1][1], known[2][1])
                case Op.MOD if known[1][0] > 0 and known[0][0] >= 0:
                    return 0, min(known[0][1], known[1][1] - 1)
                case Op.DIV if known[1][0] > 0:
                    return min(known[0][0], 0), max(known[0][1], 0)
                case Op.BITAND if known[0][0] >= 0 or known[1][0] >= 0:
                    return 0, min(high for low, high in known if low >= 0)
                case Op.BITNOT:
                    return -known[0][1] - 1, -known[0][0] - 1
                case Op.BITOR | Op.BITXOR if known[0][0] >= 0 and known[1][0] >= 0:
                    return 0, (1 << max(known[0][1], known[1][1]).bit_length()) - 1
                case Op.SHL if known[0][0] >= 0 and 0 <= known[1][0] <= known[1][1] <= 64:
                    return known[0][0] << known[1][0], known[0][1] << known[1][1]
                case Op.SHR if known[0][0] >= 0 and known[1][0] >= 0:
                    return 0, known[0][1]
                case _:
                    return None
        case _:
            assert_never(e)


_TRUTH = frozenset({Op.NOT, Op.AND, Op.OR, Op.IMPLIES, Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE})


def fits(e: Expr, sort: Sort) -> bool:
    """Whether every value that ``e`` may take surely lies in ``sort``."""
    bounds = interval(e)
    span = values_of(sort)
    return bounds is not None and span.start <= bounds[0] and bounds[1] < span.stop


def within(e: Expr, sort: Sort) -> Expr:
    """The condition under which the value of ``e`` lies in ``sort``; ``TRUE`` where that is certain."""
    if fits(e, sort):
        return TRUE
    span = values_of(sort)
    bounds = interval(e)
    if bounds is not None and scalarset_of(sort) is not None:
        # Members have no order: only the nones that the value might be are excluded, one by one.
        return and_(*(ne(e, Lit(v)) for v in range(bounds[0], bounds[1] + 1) if v not in span))
    return and_(apply(Op.GE, e, Lit(span.start)), apply(Op.LE, e, Lit(span.stop - 1)))

