"""A system in which some threads are not interrupted at some places: what it would do, were they in one step.

Nobody else moves while an instance stands at such a place and can go on. Whoever stands at such a place itself is
exempt, so that two of them never keep each other from moving. What is blocked and who waits for whom stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from protocheck.ir.expr import Expr, Lit, Param, Read, and_, eq, exists, not_, or_, substitute
from protocheck.ir.system import System, ThreadClass, Transition


def uninterrupted(system: System, places: Mapping[str, Sequence[int]]) -> System:
    """``system`` whose threads are not interrupted at ``places``: for a thread class, numbers of its locations."""
    threads = {t.name: t for t in system.threads}
    busy = [_busy(system, threads[name], numbers) for name, numbers in places.items()]

    def quiet(transition: Transition) -> Transition:
        thread = threads[transition.thread]
        mine = tuple(transition.params[: len(thread.params)])
        own = or_(*(eq(Read(thread.pc, mine), Lit(n)) for n in places.get(thread.name, ())))
        return replace(transition, guard=and_(transition.guard, or_(own, not_(or_(*busy)))))

    return replace(system, transitions=tuple(quiet(t) for t in system.transitions))


def without(system: System, which: Sequence[int]) -> System:
    """``system`` in which the transitions ``which`` are never possible."""
    never = Lit(0)
    return replace(
        system,
        transitions=tuple(
            replace(t, guard=never) if number in which else t for number, t in enumerate(system.transitions)
        ),
    )


def _busy(system: System, thread: ThreadClass, numbers: Sequence[int]) -> Expr:
    """Whether some instance of ``thread`` stands at one of ``numbers`` and can go on."""
    who = tuple(Param(f"busy'{k}", p.sort) for k, p in enumerate(thread.params))
    there = {p.name: b for p, b in zip(thread.params, who, strict=True)}
    ways = []
    for transition in system.transitions:
        if transition.thread != thread.name or transition.source not in numbers:
            continue
        count = len(thread.params)
        choices = tuple(Param(f"busy'{k}", p.sort) for k, p in enumerate(transition.params[count:], start=count))
        names = {p.name: b for p, b in zip(transition.params, (*who, *choices), strict=True)}
        ways.append(exists(choices, substitute(transition.guard, names)))
    return exists(who, and_(substitute(thread.where, there), or_(*ways)))
