"""Failures made more frequent, or not noticed: the changes of code that this takes, for planted faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from protocheck.ir.expr import Op
from protocheck.types import tree as t
from protocheck.types.unwind import has_errors, is_error

Widened = tuple[str, t.Statement]
"""What is done, and the statement after it."""


def widened_routine(routine: t.Routine) -> Iterator[Widened]:
    """For each failure that ``routine`` declares, its body with that failure possible at any call."""
    if routine.body is None:
        return
    for code in routine.may_fail:
        failing = t.Block(body=(t.Return(value=code, span=code.span),), span=code.span)
        yield f"{code.span.text} at any call", t.Either(branches=(routine.body, failing), span=code.span)


def widened(s: t.Statement) -> Iterator[Widened]:
    """``s`` that may return its error although its condition does not ask for it."""
    match s:
        case t.If(condition, t.Block((*_, t.Return(value))) as then, _) if _fails(value):
            if not isinstance(condition, t.Call | t.BuiltinCall | t.TryAcquire | t.Test):
                inner = t.Block(body=(replace(s, label=""),), span=s.span)
                yield "also otherwise", t.Either(branches=(inner, then), span=s.span, label=s.label)
        case _:
            pass


def ignored(s: t.Statement) -> Iterator[Widened]:
    """``s`` that goes on as if the call in its condition had succeeded.

    ``if f() { }`` without an ``else`` is taken for a question, not for a failure that is handled.
    """
    if not isinstance(s, t.If):
        return
    match s.condition:
        case t.Call() as call if has_errors(call.type) and s.otherwise is not None:
            success: t.Block | None = s.then
        case t.Test(op=Op.NOT, call=t.Call() as call) if has_errors(call.type):
            success = s.otherwise
        case t.Test(op=Op.EQ | Op.NE as op, call=t.Call() as call, args=(value,)) if is_error(value) is not None:
            success = s.then if (op is Op.EQ) is not is_error(value) else s.otherwise
        case _:
            return
    called = t.CallStmt(call=call, span=s.span)
    yield "goes on", t.Block(body=(called, *((success,) if success is not None else ())), span=s.span, label=s.label)


def _fails(value: t.Rhs | None) -> bool:
    return isinstance(value, t.Const) and has_errors(value.type) and is_error(value) is True
