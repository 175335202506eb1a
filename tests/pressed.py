"""Ctrl-C at a moment that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def pressed_after(calls: int, real: Callable[P, T]) -> Callable[P, T]:
    """``real``, but Ctrl-C comes when it is called once more than ``calls`` times."""
    left = iter(range(calls))

    def until(*given: P.args, **named: P.kwargs) -> T:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*given, **named)

    return until
