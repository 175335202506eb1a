"""Where a thread stands towards a lock, as conditions over the state: holds it, is about to want it, waits for it.

All conditions are over renamed copies of a thread's parameters, so that several threads can be spoken of at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Lit,
    Op,
    Param,
    Read,
    and_,
    children,
    eq,
    exists,
    ne,
    or_,
    substitute,
)
from protocheck.ir.interp import default_state, instances
from protocheck.ir.sorts import Sort, values_of
from protocheck.ir.system import (
    HELD_NONE,
    HELD_READ,
    HELD_WRITE,
    AcquireSite,
    Act,
    Lock,
    LockEvent,
    LockKind,
    System,
    ThreadClass,
    Transition,
    Wait,
)

READ, WRITE = "read", "write"
MODE = {READ: HELD_READ, WRITE: HELD_WRITE}

RW_KINDS = frozenset({LockKind.RWLOCK, LockKind.RWSEM})
"""Kinds whose readers do not exclude one another."""


@dataclass(frozen=True)
class Someone:
    """A thread instance under a name of its own: ``args`` stand for the parameters of ``thread``."""

    thread: ThreadClass
    args: tuple[Param, ...]

    @property
    def names(self) -> Mapping[str, Expr]:
        """What to put for the thread's own parameters."""
        return {p.name: a for p, a in zip(self.thread.params, self.args, strict=True)}

    @property
    def there(self) -> Expr:
        """The instance exists."""
        return substitute(self.thread.where, self.names)


def someone(thread: ThreadClass, tag: str) -> Someone:
    """An instance of ``thread`` whose parameters carry ``tag``; tags must differ between threads spoken of at once."""
    return Someone(thread, tuple(Param(f"{tag}.{p.name}", p.sort) for p in thread.params))


def distinct(a: Someone, b: Someone) -> Expr:
    """``a`` and ``b`` are two threads."""
    if a.thread.name != b.thread.name:
        return TRUE
    return or_(*(ne(x, y) for x, y in zip(a.args, b.args, strict=True)))


def instance_binders(lock: Lock, tag: str) -> tuple[Param, ...]:
    """Parameters for an instance of ``lock``."""
    return tuple(Param(f"{tag}.{k}", sort) for k, sort in enumerate(lock.index))


def exclusive(mode: str) -> bool:
    """Whether ``mode``, as the system writes it, excludes everybody else."""
    return mode != READ


def mode_word(mode: str) -> str:
    """``mode`` as one of READ and WRITE."""
    return WRITE if exclusive(mode) else READ


def held_mode(lock: Lock, who: Someone, index: Sequence[Expr]) -> Expr:
    """The mode (0, 1, 2) in which ``who`` holds ``lock[index]``."""
    entry = lock.held_by(who.thread.name)
    if entry is None:
        return Lit(HELD_NONE)
    return substitute(entry.mode, {**_named(entry.params, who.args), **_named(entry.index, index)})


def holds(lock: Lock, who: Someone, index: Sequence[Expr], mode: str | None = None) -> Expr:
    """``who`` holds ``lock[index]``, in any mode or in ``mode``."""
    value = held_mode(lock, who, index)
    if value == Lit(HELD_NONE):
        return FALSE
    return ne(value, Lit(HELD_NONE)) if mode is None else eq(value, Lit(MODE[mode_word(mode)]))


def stands_before(
    system: System, lock: Lock, sites: Sequence[AcquireSite], who: Someone, index: Sequence[Expr]
) -> Expr:
    """``who`` wants ``lock[index]`` at one of ``sites``: its next step takes it or begins to wait, or it waits there.

    Read off the steps themselves, whose guards know which branch is taken.
    """
    parts: list[Expr] = []
    for site in sites:
        for number in site.transitions:
            transition = system.transitions[number]
            for event in _wanting(transition, lock.name):
                tag = f"{who.args[0].name if who.args else who.thread.name}/{number}"
                parts.append(_enabled(transition, who, tag, event.index, index))
        parts.append(_waits_at(system, lock, site, who, index))
    return or_(*parts)


def waits_for(
    system: System, lock: Lock, sites: Sequence[AcquireSite], who: Someone, index: Sequence[Expr]
) -> Expr:
    """``who`` has begun to wait for ``lock[index]`` at one of ``sites`` and cannot have it now."""
    stuck = or_(*(blocked(w, who) for w in system.waits if w.thread == who.thread.name and w.lock == lock.name))
    return and_(stuck, or_(*(_waits_at(system, lock, site, who, index) for site in sites)))


def _waits_at(system: System, lock: Lock, site: AcquireSite, who: Someone, index: Sequence[Expr]) -> Expr:
    """``who`` stands in a waiting location of ``site``, with ``lock[index]`` as what it waits for."""
    waiting = {location.number for location in who.thread.locations if location.waiting}
    parts: list[Expr] = []
    for number in site.transitions:
        transition = system.transitions[number]
        if transition.source not in waiting:
            continue
        for event in _wanting(transition, lock.name):
            tag = f"{who.args[0].name if who.args else who.thread.name}/{number}"
            names, choices = _renamed(transition.params[len(who.args) :], who, tag)
            names.update(_named(transition.params[: len(who.args)], who.args))
            same = and_(*(eq(substitute(e, names), i) for e, i in zip(event.index, index, strict=True)))
            parts.append(and_(_at(who, transition.source), exists(choices, same)))
    return or_(*parts)


def _wanting(transition: Transition, lock: str) -> tuple[LockEvent, ...]:
    return tuple(e for e in transition.events if e.act in (Act.ACQUIRE, Act.WANT) and e.lock == lock)


def blocked(wait: Wait, who: Someone) -> Expr:
    """``who`` is blocked in ``wait``."""
    return substitute(wait.blocked, who.names)


def waits_on(wait: Wait, who: Someone, other: Someone) -> Expr:
    """While blocked in ``wait``, ``who`` waits for ``other``."""
    parts = [
        substitute(edge.cond, {**who.names, **_named(edge.others, other.args)})
        for edge in wait.on
        if edge.thread == other.thread.name
    ]
    return or_(*parts)


def stands_at(system: System, wait: Wait, who: Someone) -> Expr:
    """``who`` stands where ``wait`` happens, whether it can go on or not."""
    locations = wait_locations(system, wait)
    if not locations:
        return blocked(wait, who)
    return or_(blocked(wait, who), *(_at(who, location) for location in locations))


def wait_locations(system: System, wait: Wait) -> tuple[int, ...]:
    """The locations that ``wait.blocked`` asks the thread's pc for; empty if it does not compare it with constants."""
    pc = next(t.pc for t in system.threads if t.name == wait.thread)
    found: dict[int, None] = {}

    def visit(e: Expr) -> None:
        if isinstance(e, Apply) and e.op is Op.EQ and isinstance(e.args[0], Read) and e.args[0].var == pc:
            if isinstance(e.args[1], Lit):
                found[e.args[1].value] = None
            return
        for child in children(e):
            visit(child)

    visit(wait.blocked)
    return tuple(found)


def may_hold(system: System, thread: ThreadClass) -> Mapping[int, tuple[tuple[str, str], ...]]:
    """For each location of ``thread`` the (lock, mode) pairs that could be held there, by data flow over its steps.

    A release of one instance of a lock array does not end the possibility that another is held.
    """
    locks = {lock.name: lock for lock in system.locks}
    steps = [t for t in system.transitions if t.thread == thread.name]
    held: dict[int, dict[tuple[str, str], None]] = {location.number: {} for location in thread.locations}
    changed = True
    while changed:
        changed = False
        for step in steps:
            now = dict(held.get(step.source, {}))
            for event in step.events:
                mode = mode_word(event.mode)
                match event.act:
                    case Act.ACQUIRE:
                        now[event.lock, mode] = None
                    case Act.RELEASE if event.lock in locks and not locks[event.lock].index:
                        for any_mode in (READ, WRITE):
                            now.pop((event.lock, any_mode), None)
                    case Act.DOWNGRADE:
                        if event.lock in locks and not locks[event.lock].index:
                            now.pop((event.lock, WRITE), None)
                        now[event.lock, READ] = None
                    case _:
                        pass
            after = held.setdefault(step.target, {})
            fresh = [pair for pair in now if pair not in after]
            after.update(dict.fromkeys(fresh))
            changed = changed or bool(fresh)
    return {location: tuple(pairs) for location, pairs in held.items()}


def how_many(system: System, thread: ThreadClass) -> int:
    """The number of instances of ``thread``."""
    return sum(1 for _ in instances(system, thread, default_state(system)))


def lock_instances(sorts: Sequence[Sort]) -> tuple[tuple[int, ...], ...]:
    """All index tuples of a lock."""
    return tuple(product(*(values_of(s) for s in sorts)))


def _enabled(
    transition: Transition, who: Someone, tag: str, at: Sequence[Expr], index: Sequence[Expr]
) -> Expr:
    """``transition`` can be taken by ``who`` and its event at index ``at`` concerns ``index``."""
    names, choices = _renamed(transition.params[len(who.args) :], who, tag)
    names.update(_named(transition.params[: len(who.args)], who.args))
    same = and_(*(eq(substitute(e, names), i) for e, i in zip(at, index, strict=True)))
    return exists(choices, and_(substitute(transition.guard, names), same))


def _renamed(choices: Sequence[Param], who: Someone, tag: str) -> tuple[dict[str, Expr], tuple[Param, ...]]:
    fresh = tuple(Param(f"{tag}.{p.name}", p.sort) for p in choices)
    return {**who.names, **_named(choices, fresh)}, fresh


def _at(who: Someone, location: int) -> Expr:
    return eq(Read(who.thread.pc, who.args), Lit(location))


def _named(params: Sequence[Param], values: Sequence[Expr]) -> dict[str, Expr]:
    return {p.name: v for p, v in zip(params, values, strict=True)}
