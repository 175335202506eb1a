"""Leaving by an error: which results are errors, and what ``on_error`` blocks undo on the way out.

``on_error`` becomes plain statements here: before every ``return`` of an error behind it, what it undoes is put in its
place, the last ``on_error`` first, after the locks of the ``with`` blocks that stand between the two are given back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocheck.ir.expr import Op
from protocheck.source import Span
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.scope import World

BOOL = ty.BoolType()


@dataclass
class Undo:
    """An ``on_error`` block; ``used`` once some way leaves by an error behind it."""

    body: t.Block
    span: Span
    used: bool = False


@dataclass(frozen=True)
class Inside:
    """The locks of a ``with`` block around the current statement."""

    locks: tuple[t.LockRef, ...]


def has_errors(kind: ty.Type | None) -> bool:
    """Whether some values of ``kind`` are errors: ``false``, and the members of an enum but the first."""
    return isinstance(kind, ty.BoolType) or (isinstance(kind, ty.EnumType) and len(kind.members) > 1)


def is_error(value: t.Expr) -> bool | None:
    """Whether ``value`` is an error; None if only a run can tell."""
    if not isinstance(value, t.Const):
        return None
    return value.value == 0 if isinstance(value.type, ty.BoolType) else value.value != 0


def error_test(value: t.Expr, span: Span) -> t.Expr:
    """The condition that ``value``, of a type that :func:`has_errors`, is an error."""
    if isinstance(value.type, ty.BoolType):
        return t.Apply(op=Op.NOT, args=(value,), type=BOOL, span=span)
    first = t.Const(value=0, type=value.type, span=span)
    return t.Apply(op=Op.NE, args=(value, first), type=BOOL, span=span)


class Unwinding:
    """What stands open around the current statement of one routine: ``with`` and ``on_error`` blocks, outermost first.

    ``fixed`` says of an index whether it keeps its value.
    """

    def __init__(self, world: World, fixed: Callable[[t.Expr], bool]) -> None:
        self.world = world
        self.fixed = fixed
        self.open: list[Undo | Inside] = []

    def close(self, mark: int) -> None:
        """The block that began when ``mark`` entries were open ends: its ``on_error`` blocks are over."""
        for entry in self.open[mark:]:
            if isinstance(entry, Undo) and not entry.used:
                self.world.report.add(
                    rules.ON_ERROR_NEVER_RUNS, "this `on_error` never runs", Span(
                        entry.span.file, entry.span.start, entry.span.start + len("on_error")
                    ), "no `try` and no `return` of an error follows in its block",
                    mend="put it before what may fail, right behind what it undoes",
                )  # fmt: skip
        del self.open[mark:]

    @property
    def pending(self) -> bool:
        """Whether a return by error has anything to undo."""
        return any(isinstance(entry, Undo) for entry in self.open)

    def leave(self, value: t.Expr, span: Span) -> list[t.Statement]:
        """``return value;`` with what it undoes. ``value`` must be safe to evaluate twice: a constant or a local."""
        back = t.Return(value=value, span=span)
        verdict = is_error(value)
        if not self.pending or verdict is False:
            return [back]
        undoing = [*self._undoing(span), back]
        if verdict:
            return undoing
        then = t.Block(body=tuple(undoing), span=span)
        return [t.If(condition=error_test(value, span), then=then, otherwise=None, span=span), back]

    def leave_by_error(self, value: t.Expr, span: Span) -> list[t.Statement]:
        """``return value;`` where ``value`` is known to be an error."""
        return [*self._undoing(span), t.Return(value=value, span=span)]

    def _undoing(self, span: Span) -> list[t.Statement]:
        out: list[t.Statement] = []
        first = next(k for k, entry in enumerate(self.open) if isinstance(entry, Undo))
        for entry in reversed(self.open[first:]):
            if isinstance(entry, Undo):
                entry.used = True
                out.append(entry.body)
                continue
            for lock in reversed(entry.locks):
                if not all(self.fixed(i) for i in lock.index):
                    self.world.report.add(
                        rules.MOVING_LOCK_ON_ERROR, "which lock is to be given back here is not known", span,
                        "an `on_error` outside of the `with` runs now", [],
                        "name the index first: `let i = ...; with l[i] { }`",
                    )  # fmt: skip
                out.append(t.Release(lock=lock, span=span))
        return out
