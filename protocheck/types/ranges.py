"""Bounds of integer expressions: symbolic over the parameters where possible, numbers where not.

``bounds`` serves ``let``, whose range is inferred; ``value`` and ``widest`` serve the checks of constants and ranges.
Interval arithmetic is Moore's; bounds over parameters stay expressions, so one check serves every scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from protocheck.ir.expr import Op, Quantifier, compute
from protocheck.source import Span
from protocheck.types import tree as t
from protocheck.types import types as ty

Sizes: TypeAlias = Callable[[str], t.Expr]
"""The size of a scalarset, by its name."""

Bounds: TypeAlias = tuple[t.Expr, t.Expr]

INT = ty.IntType()
LARGE = 1 << 128
"""Constants beyond this are not computed: no range of a model reaches so far, and computing might not end."""


def number(value: int, span: Span) -> t.Const:
    """The integer constant ``value``."""
    return t.Const(value=value, type=INT, span=span)


def fold(op: Op, span: Span, *args: t.Expr) -> t.Expr:
    """``op`` applied to integers, computed at once where they are constants; ``x + 0``, ``x - 0``, ``1 * x`` are x."""
    values = [a.value for a in args if isinstance(a, t.Const)]
    if len(values) == len(args) and not (op is Op.SHL and values[1] > 64):
        found = compute(op, values)
        if abs(found) < LARGE:
            return number(found, span)
    if len(args) == 2:
        a, b = args
        if op in (Op.ADD, Op.SUB) and isinstance(b, t.Const) and b.value == 0:
            return a
        if op is Op.ADD and isinstance(a, t.Const) and a.value == 0:
            return b
        if op is Op.MUL and isinstance(a, t.Const) and a.value == 1:
            return b
        if op is Op.MUL and isinstance(b, t.Const) and b.value == 1:
            return a
        if op in (Op.MIN, Op.MAX) and a == b:
            return a
        if isinstance(b, t.Const) and isinstance(a, t.Apply) and op in (Op.ADD, Op.SUB) and a.op in (Op.ADD, Op.SUB):
            base, shift = a.args[0], a.args[1] if len(a.args) == 2 else None
            if isinstance(shift, t.Const):
                total = (shift.value if a.op is Op.ADD else -shift.value) + (b.value if op is Op.ADD else -b.value)
                return fold(Op.ADD if total >= 0 else Op.SUB, span, base, number(abs(total), span))
    return t.Apply(op=op, args=args, type=INT, span=span)


def extent(kind: ty.Type, sizes: Sizes, span: Span) -> t.Expr | None:
    """How many values an index type has."""
    match kind:
        case ty.BoolType():
            return number(2, span)
        case ty.EnumType():
            return number(len(kind.members), span)
        case ty.ScalarsetType():
            return sizes(kind.name)
        case ty.RangeType():
            return fold(Op.ADD, span, fold(Op.SUB, span, kind.hi, kind.lo), number(1, span))
        case ty.OptionType():
            inner = extent(kind.of, sizes, span)
            return None if inner is None else fold(Op.ADD, span, inner, number(1, span))
        case ty.RecordType():
            total: t.Expr = number(1, span)
            for _, part in kind.fields:
                inner = extent(part, sizes, span)
                if inner is None:
                    return None
                total = fold(Op.MUL, span, total, inner)
            return total
        case _:
            return None


def bounds(e: t.Expr, sizes: Sizes, widest: Callable[[t.Expr], tuple[int, int] | None]) -> Bounds | None:
    """Constant expressions between which ``e`` lies, or None where there are none."""
    span = e.span
    match e:
        case t.Const():
            return e, e
        case t.ParamRef() | t.SizeOf():
            return e, e
        case t.Quantified(kind=Quantifier.COUNT):
            total: t.Expr = number(1, span)
            for binder in e.binders:
                inner = extent(binder.type, sizes, span)
                if inner is None:
                    return None
                total = fold(Op.MUL, span, total, inner)
            return number(0, span), total
        case t.Apply(op=Op.ITE):
            then, other = (bounds(a, sizes, widest) for a in e.args[1:])
            if then is None or other is None:
                return None
            return fold(Op.MIN, span, then[0], other[0]), fold(Op.MAX, span, then[1], other[1])
        case t.Apply():
            parts = [bounds(a, sizes, widest) for a in e.args]
            known = [p for p in parts if p is not None]
            if len(known) != len(parts):
                return None
            return _combine(e.op, known, span, widest)
        case _ if isinstance(e.type, ty.RangeType):
            return e.type.lo, e.type.hi
        case _:
            return None


def _combine(
    op: Op, args: list[Bounds], span: Span, widest: Callable[[t.Expr], tuple[int, int] | None]
) -> Bounds | None:
    lows, highs = [a[0] for a in args], [a[1] for a in args]
    match op:
        case Op.ADD | Op.MIN | Op.MAX:
            lo, hi = lows[0], highs[0]
            for low, high in args[1:]:
                lo, hi = fold(op, span, lo, low), fold(op, span, hi, high)
            return lo, hi
        case Op.SUB:
            return fold(Op.SUB, span, lows[0], highs[1]), fold(Op.SUB, span, highs[0], lows[1])
        case Op.NEG:
            return fold(Op.NEG, span, highs[0]), fold(Op.NEG, span, lows[0])
        case _:
            return _numeric(op, args, span, widest)


def _numeric(
    op: Op, args: list[Bounds], span: Span, widest: Callable[[t.Expr], tuple[int, int] | None]
) -> Bounds | None:
    """Bounds for the operators that need the signs: by numbers, parameters taken over their whole range."""
    if all(isinstance(x, t.Const) for pair in args for x in pair) or op is not Op.MUL:
        pairs = []
        for low, high in args:
            least, most = widest(low), widest(high)
            if least is None or most is None:
                return None
            pairs.append((least[0], most[1]))
        found = numeric(op, pairs)
        return None if found is None else (number(found[0], span), number(found[1], span))
    corners = [fold(op, span, x, y) for x in args[0] for y in args[1]]
    lo, hi = corners[0], corners[0]
    for corner in corners[1:]:
        lo, hi = fold(Op.MIN, span, lo, corner), fold(Op.MAX, span, hi, corner)
    return lo, hi


def numeric(op: Op, known: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Bounds of ``op`` on intervals of numbers, or None where no finite ones are known."""
    found = _numbers(op, known)
    return None if found is None or max(abs(found[0]), abs(found[1])) >= LARGE else found


def _numbers(op: Op, known: list[tuple[int, int]]) -> tuple[int, int] | None:
    match op:
        case Op.ADD:
            return sum(k[0] for k in known), sum(k[1] for k in known)
        case Op.SUB:
            return known[0][0] - known[1][1], known[0][1] - known[1][0]
        case Op.NEG:
            return -known[0][1], -known[0][0]
        case Op.BITNOT:
            return -known[0][1] - 1, -known[0][0] - 1
        case Op.MUL:
            low, high = known[0]
            for a, b in known[1:]:
                corners = [low * a, low * b, high * a, high * b]
                low, high = min(corners), max(corners)
            return low, high
        case Op.MIN:
            return min(k[0] for k in known), min(k[1] for k in known)
        case Op.MAX:
            return max(k[0] for k in known), max(k[1] for k in known)
        case Op.DIV:
            most = max(abs(known[0][0]), abs(known[0][1]))
            least = 0 if known[0][0] >= 0 and known[1][0] >= 0 else -most
            if known[0][0] >= 0 and known[1][0] > 0:
                return known[0][0] // known[1][1], known[0][1] // known[1][0]
            return least, most
        case Op.MOD:
            most = max(abs(known[1][0]), abs(known[1][1]), 1) - 1
            return (0 if known[0][0] >= 0 else -most), (min(most, known[0][1]) if known[0][0] >= 0 else most)
        case Op.BITAND if known[0][0] >= 0 and known[1][0] >= 0:
            return 0, min(known[0][1], known[1][1])
        case Op.BITOR | Op.BITXOR if known[0][0] >= 0 and known[1][0] >= 0:
            return 0, (1 << max(known[0][1], known[1][1]).bit_length()) - 1
        case Op.SHL if known[0][0] >= 0 and 0 <= known[1][0] <= known[1][1] <= 64:
            return known[0][0] << known[1][0], known[0][1] << known[1][1]
        case Op.SHR if known[0][0] >= 0 and known[1][0] >= 0:
            return known[0][0] >> min(known[1][1], 4096), known[0][1] >> min(known[1][0], 4096)
        case _:
            return None


def value(e: t.Expr, params: Mapping[str, int], sizes: Sizes, fns: Mapping[str, t.Routine]) -> int | None:
    """The value of a constant expression for these parameter values, or None where it is not constant."""
    match e:
        case t.Const():
            return e.value
        case t.ParamRef():
            return params.get(e.name)
        case t.SizeOf():
            return value(sizes(e.scalarset), params, sizes, fns)
        case t.Apply(op=Op.ITE):
            cond = value(e.args[0], params, sizes, fns)
            return None if cond is None else value(e.args[1 if cond else 2], params, sizes, fns)
        case t.Apply():
            found = []
            for arg in e.args:
                v = value(arg, params, sizes, fns)
                if v is None:
                    return None
                found.append(v)
            if e.op is Op.SHL and found[1] > 64:
                return None
            computed = compute(e.op, found)
            return computed if abs(computed) < LARGE else None
        case t.FnCall():
            fn = fns.get(e.fn)
            if fn is None or fn.value is None:
                return None
            from protocheck.types.walk import substitute

            given = {p.number: a for p, a in zip(fn.params, e.args, strict=False)}
            return value(substitute(fn.value, given), params, sizes, fns)
        case _:
            return None
