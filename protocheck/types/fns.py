"""The body of a fn, if it is written as a block: ``let``, ``if`` and ``return`` become one expression."""

from __future__ import annotations

from dataclasses import dataclass

from protocheck.ir.expr import Op
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.expr_check import Exprs
from protocheck.types.walk import substitute


@dataclass(frozen=True)
class _Rest:
    """What is still to be executed: statements of a block, then the rest of the block around it."""

    statements: tuple[n.Stmt, ...]
    after: _Rest | None = None


def fn_value(x: Exprs, body: n.Block, result: ty.Type) -> t.Expr:
    """The value of a fn with this body; what is no expression is reported."""
    with x.scope():
        return _value(x, _Rest(body.statements), result, body)


def _value(x: Exprs, rest: _Rest | None, result: ty.Type, body: n.Block) -> t.Expr:
    if rest is None:
        return x.error(
            rules.MISSING_RETURN, "the fn can end without a result", body.span, "a way through it has no `return`",
            mend="end it with `return ...;`",
        )  # fmt: skip
    if not rest.statements:
        return _value(x, rest.after, result, body)
    head, tail = rest.statements[0], _Rest(rest.statements[1:], rest.after)
    match head:
        case n.Return():
            if rest.statements[1:]:
                x.error(
                    rules.UNREACHABLE_CODE, "this is never executed", rest.statements[1].span, "stands after a `return`"
                )
            if head.value is None:
                return x.error(rules.MISSING_RETURN, "a fn returns a value", head.span, "returns nothing")
            return x.value(head.value, result)
        case n.Let():
            kind = None if head.type is None else x.types.local(head.type, x.home)
            value = x.infer(head.init, None) if kind is None else x.value(head.init, kind)
            local = x.declare(head.name, value.type)
            inner = _value(x, tail, result, body)
            return substitute(inner, {local.number: value})
        case n.If():
            cond = x.condition(head.cond)
            other: tuple[n.Stmt, ...] = ()
            if head.otherwise is not None:
                other = head.otherwise.statements if isinstance(head.otherwise, n.Block) else (head.otherwise,)
            with x.scope(), x.narrowing(x.facts(cond, True)):
                yes = _value(x, _Rest(head.then.statements, tail), result, body)
            with x.scope(), x.narrowing(x.facts(cond, False)):
                no = _value(x, _Rest(other, tail), result, body)
            return t.Apply(op=Op.ITE, args=(cond, yes, no), type=result, span=head.span)
        case n.Block():
            with x.scope():
                return _value(x, _Rest(head.statements, tail), result, body)
        case _:
            return x.error(
                rules.IMPURE_FN, "a fn has only `let`, `if` and `return`", head.span, "changes something, or loops",
                mend="write a `proc`",
            )  # fmt: skip
