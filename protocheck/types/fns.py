"""The body of a fn, if it is written as a block: ``let``, ``if`` and ``return`` become one expression."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from protocheck.ir.expr import Op
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.expr_check import Exprs
from protocheck.types.walk import larger_than, substitute

MAX_WAYS = 2_000
MAX_SIZE = 2_000
"""So many statements are looked at, over all ways through a fn: each way is copied into its value."""


@dataclass(frozen=True)
class _Rest:
    """What is still to be executed: statements of a block, then the rest of the block around it."""

    statements: tuple[n.Stmt, ...]
    after: _Rest | None = None


def fn_value(x: Exprs, body: n.Block, result: ty.Type) -> t.Expr:
    """The value of a fn with this body; what is no expression is reported."""
    with x.scope():
        return _Body(x, result, body, count()).value(_Rest(body.statements))


@dataclass(frozen=True)
class _Body:
    x: Exprs
    result: ty.Type
    body: n.Block
    turns: count[int]

    def value(self, rest: _Rest | None) -> t.Expr:
        """The value that ``rest`` returns."""
        x, result = self.x, self.result
        if rest is None:
            return x.error(
                rules.MISSING_RETURN, "the fn can end without a result", self.body.span,
                "a way through it has no `return`",
                mend="end it with `return ...;`",
            )  # fmt: skip
        if next(self.turns) > MAX_WAYS:
            return x.error(
                rules.IMPURE_FN, "there are too many ways through this fn", self.body.span, "cannot be one expression",
                mend="write it with fewer `if`s that go on",
            )  # fmt: skip
        if not rest.statements:
            return self.value(rest.after)
        head, tail = rest.statements[0], _Rest(rest.statements[1:], rest.after)
        match head:
            case n.Return():
                if tail.statements:
                    x.error(
                        rules.UNREACHABLE_CODE, "this is never executed", tail.statements[0].span,
                        "stands after a `return`"
                    )  # fmt: skip
                if head.value is None:
                    return x.error(rules.MISSING_RETURN, "a fn returns a value", head.span, "returns nothing")
                return x.value(head.value, result)
            case n.Let():
                kind = None if head.type is None else x.types.local(head.type, x.home)
                value = x.infer(head.init, None) if kind is None else x.value(head.init, kind)
                local = x.declare(head.name, value.type)
                inner = substitute(self.value(tail), {local.number: value})
                if larger_than(inner, MAX_SIZE):
                    return x.error(
                        rules.IMPURE_FN, "the value of this fn is too large", head.span, "each use is a copy of it",
                        mend="use the name less often, or write a `proc`",
                    )  # fmt: skip
                return inner
            case n.If():
                cond = x.condition(head.cond)
                other: tuple[n.Stmt, ...] = ()
                if head.otherwise is not None:
                    other = head.otherwise.statements if isinstance(head.otherwise, n.Block) else (head.otherwise,)
                with x.scope(), x.narrowing(x.facts(cond, True)):
                    yes = self.value(_Rest(head.then.statements, tail))
                with x.scope(), x.narrowing(x.facts(cond, False)):
                    no = self.value(_Rest(other, tail))
                return t.Apply(op=Op.ITE, args=(cond, yes, no), type=result, span=head.span)
            case n.Block():
                with x.scope():
                    return self.value(_Rest(head.statements, tail))
            case _:
                return x.error(
                    rules.IMPURE_FN, "a fn has only `let`, `if` and `return`", head.span, "changes something, or loops",
                    mend="write a `proc`",
                )  # fmt: skip
