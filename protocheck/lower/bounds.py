"""Finite types for values that the compiler has to keep, from interval arithmetic on the checked tree."""

from __future__ import annotations

from protocheck.ir.expr import Op
from protocheck.lower.instance import Instance
from protocheck.types import tree as t
from protocheck.types.types import OptionType, RangeType, Type


def bounds(e: t.Expr, instance: Instance) -> tuple[int, int] | None:
    """The least and greatest value that the integer expression ``e`` can have, or None if none is evident."""
    try:
        value = instance.constant(e)
    except KeyError:
        pass
    else:
        return value, value
    of = e.type.of if isinstance(e.type, OptionType) else e.type
    match e:
        case t.Apply(Op.ITE, (_, then, other)):
            ways = [bounds(then, instance), bounds(other, instance)]
            sure = [w for w in ways if w is not None]
            if len(sure) == 2:
                return min(w[0] for w in sure), max(w[1] for w in sure)
        case t.Apply(op, args):
            parts = [bounds(x, instance) for x in args]
            known = [p for p in parts if p is not None]
            if len(known) == len(parts):
                found = _apply(op, known)
                if found is not None:
                    return found
        case t.Unwrap(base) | t.Wrap(base):
            return bounds(base, instance)
        case _:
            pass
    if isinstance(of, RangeType):
        return instance.constant(of.lo), instance.constant(of.hi)
    return None


def _apply(op: Op, known: list[tuple[int, int]]) -> tuple[int, int] | None:
    match op:
        case Op.ADD:
            return sum(p[0] for p in known), sum(p[1] for p in known)
        case Op.SUB:
            return known[0][0] - known[1][1], known[0][1] - known[1][0]
        case Op.MUL:
            corners = [x * y for x in known[0] for y in known[1]]
            return min(corners), max(corners)
        case Op.MIN:
            return min(p[0] for p in known), min(p[1] for p in known)
        case Op.MAX:
            return max(p[0] for p in known), max(p[1] for p in known)
        case Op.BITAND if min(known[0][0], known[1][0]) >= 0:
            return 0, min(known[0][1], known[1][1])
        case Op.BITAND if known[0][0] >= 0:
            return 0, known[0][1]
        case Op.DIV if known[1][0] > 0 and known[0][0] >= 0:
            return known[0][0] // known[1][1], known[0][1] // known[1][0]
        case Op.MOD if known[1][0] > 0 and known[0][0] >= 0:
            return 0, min(known[0][1], known[1][1] - 1)
        case Op.SHL if known[0][0] >= 0 and 0 <= known[1][0] <= known[1][1] <= 64:
            return known[0][0] << known[1][0], known[0][1] << known[1][1]
        case Op.SHR if known[0][0] >= 0 and known[1][0] >= 0:
            return known[0][0] >> known[1][1], known[0][1] >> known[1][0]
        case _:
            return None


def bounded_type(e: t.Expr, instance: Instance) -> Type:
    """A range that holds every value of ``e``; the checker has made sure that there is one."""
    found = bounds(e, instance)
    if found is None:
        return e.type
    low, high = (t.Const(v, type=e.type, span=e.span) for v in found)
    return RangeType(low, high)
