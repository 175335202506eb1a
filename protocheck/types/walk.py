"""Going through checked expressions and statements: children, rebuilding, substitution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import assert_never

from protocheck.types import tree as t


def children(e: t.Expr) -> tuple[t.Expr, ...]:
    """The direct parts of ``e``, in the order in which they are evaluated."""
    match e:
        case t.Const() | t.NoneLit() | t.StaleLit() | t.ParamRef() | t.SizeOf() | t.LocalRef():
            return ()
        case t.StateRef():
            return e.index
        case t.Field() | t.Unwrap() | t.Wrap():
            return (e.base,)
        case t.Apply() | t.FnCall():
            return e.args
        case t.Member():
            return (e.element, e.set)
        case t.SetLit():
            return e.elements
        case t.RecordLit():
            return e.fields
        case t.Quantified():
            return (e.body,) if e.where is None else (e.where, e.body)
        case t.Changed():
            return (e.snapshot,)
        case t.Old():
            return (e.body,)
        case t.AtLabel() | t.InRegion() | t.Finished():
            return e.thread.index
        case t.Held():
            return e.lock.index if e.by is None else (*e.lock.index, *e.by.index)
        case _:
            assert_never(e)


def everything(e: t.Expr) -> Iterator[t.Expr]:
    """``e`` and all its parts."""
    stack = [e]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def larger_than(e: t.Expr, limit: int) -> bool:
    """Whether ``e``, written out, has more than ``limit`` parts; shared parts count each time."""
    return next(islice(everything(e), limit, None), None) is not None


def rebuild(e: t.Expr, change: Callable[[t.Expr], t.Expr]) -> t.Expr:
    """``e`` with ``change`` applied to every part, the innermost first."""

    def go(part: t.Expr) -> t.Expr:
        return rebuild(part, change)

    def all_of(parts: tuple[t.Expr, ...]) -> tuple[t.Expr, ...]:
        return tuple(rebuild(part, change) for part in parts)

    match e:
        case t.Const() | t.NoneLit() | t.StaleLit() | t.ParamRef() | t.SizeOf() | t.LocalRef():
            return change(e)
        case t.StateRef():
            return change(replace(e, index=all_of(e.index)))
        case t.Field() | t.Unwrap() | t.Wrap():
            return change(replace(e, base=go(e.base)))
        case t.Apply() | t.FnCall():
            return change(replace(e, args=all_of(e.args)))
        case t.Member():
            return change(replace(e, element=go(e.element), set=go(e.set)))
        case t.SetLit():
            return change(replace(e, elements=all_of(e.elements)))
        case t.RecordLit():
            return change(replace(e, fields=all_of(e.fields)))
        case t.Quantified():
            where = None if e.where is None else go(e.where)
            return change(replace(e, where=where, body=go(e.body)))
        case t.Changed():
            return change(replace(e, snapshot=go(e.snapshot)))
        case t.Old():
            return change(replace(e, body=go(e.body)))
        case t.AtLabel() | t.InRegion() | t.Finished():
            return change(replace(e, thread=replace(e.thread, index=all_of(e.thread.index))))
        case t.Held():
            by = None if e.by is None else replace(e.by, index=all_of(e.by.index))
            return change(replace(e, lock=replace(e.lock, index=all_of(e.lock.index)), by=by))
        case _:
            assert_never(e)


def substitute(e: t.Expr, values: Mapping[int, t.Expr]) -> t.Expr:
    """``e`` with the locals numbered in ``values`` replaced. Local numbers are unique, so nothing is captured."""
    if not values:
        return e
    return rebuild(e, lambda part: values.get(part.local.number, part) if isinstance(part, t.LocalRef) else part)


def blocks(s: t.Statement) -> tuple[t.Block, ...]:
    """The blocks directly inside of ``s``."""
    match s:
        case t.Block():
            return (s,)
        case t.If():
            return (s.then,) if s.otherwise is None else (s.then, s.otherwise)
        case t.While() | t.ForEach() | t.ForRange() | t.Atomic() | t.Ghost() | t.With() | t.Hold() | t.Region():
            return (s.body,)
        case t.Either():
            return s.branches
        case t.Choose():
            return () if s.otherwise is None else (s.otherwise,)
        case t.Await():
            return () if s.killed is None else (s.killed,)
        case _:
            return ()


def statements(s: t.Statement) -> Iterator[t.Statement]:
    """``s`` and every statement in it, in source order."""
    yield s
    inner = s.body if isinstance(s, t.Block) else blocks(s)
    for part in inner:
        yield from statements(part)


def rhs_of(s: t.Statement) -> t.Rhs | None:
    """What ``s`` computes with a possible call in it: a value, a condition, a call."""
    match s:
        case t.Declare() | t.Assign() | t.Return():
            return s.value
        case t.CallStmt() | t.Builtin():
            return s.call
        case t.If():
            return s.condition
        case _:
            return None


def call_of(rhs: t.Rhs | None) -> t.Call | t.BuiltinCall | t.TryAcquire | None:
    """The call in ``rhs``, be it bare or inside of a test."""
    if isinstance(rhs, t.Test):
        return rhs.call
    return rhs if isinstance(rhs, t.Call | t.BuiltinCall | t.TryAcquire) else None
