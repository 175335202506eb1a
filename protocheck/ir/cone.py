"""The cone of influence: the part of a system that can make a difference to some targets.

A variable matters if a target reads it, if it decides whether a step can be taken (guards, fatal checks, the ways to
begin), or if a variable that matters is computed from it. Everything else is left out, together with what writes it.
Transitions keep their places and their parameters, so a run of the cone is a run of the whole system, step by step,
and targets are reached in the same steps: verdicts and shortest runs do not change. (Clarke, Grumberg, Peled: "Model
checking", chapter 13.1, with guarded commands in place of equations.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from protocheck.ir.expr import FALSE, TRUE, Expr, parameters, reads
from protocheck.ir.sorts import RangeSort, low_of
from protocheck.ir.system import (
    Check,
    DeadlockTarget,
    Lock,
    PropertyTarget,
    System,
    ThreadClass,
    Transition,
    Update,
    Wait,
)


def cone(system: System, targets: Sequence[PropertyTarget]) -> System:
    """``system`` without the variables that cannot influence whether, or how soon, any of ``targets`` is reached.

    The result is for engines only: it has no properties, no waits unless a deadlock is asked for, and of locks, lock
    events and the ends of threads only what can still be told.
    """
    kept = _influence(system, targets)
    if all(v.name in kept for v in system.variables):
        return system
    locks = tuple(lock for lock in system.locks if _known(_of_lock(lock), kept))
    pairs = [(v, d) for v, d in zip(system.variables, system.defaults, strict=True) if v.name in kept]
    return replace(
        system,
        variables=tuple(v for v, _ in pairs),
        defaults=tuple(d for _, d in pairs),
        initial=tuple(replace(case, updates=_updates(case.updates, kept)) for case in system.initial),
        threads=tuple(_thread(thread, kept) for thread in system.threads),
        transitions=tuple(_transition(tr, kept, {lock.name for lock in locks}) for tr in system.transitions),
        locks=locks,
        acquires=tuple(site for site in system.acquires if any(site.lock == lock.name for lock in locks)),
        waits=system.waits if any(isinstance(t, DeadlockTarget) for t in targets) else (),
        properties=(),
    )


def without_idle_choices(system: System, targets: Sequence[PropertyTarget]) -> System:
    """``system`` where each choice that changes nothing has only its first value left.

    Such choices are those of a step that neither its guard nor its checks nor what it assigns mention. Runs of the
    result are runs of ``system``, and every run becomes one of them if its idle choices are made the first ones. Steps
    by which a target is reached keep theirs.
    """
    arity = {thread.name: len(thread.params) for thread in system.threads}
    through = {case.via for t in targets if not isinstance(t, DeadlockTarget) for case in t.cases}
    transitions = []
    for which, tr in enumerate(system.transitions):
        told = [tr.guard, *(c.cond for c in tr.checks), *(e for u in tr.updates for e in _of_update(u))]
        told += [e for event in tr.events for e in event.index]
        named = {p.name for e in told for p in parameters(e)}
        params = tuple(
            p
            if n < arity[tr.thread] or p.name in named or which in through
            else replace(p, sort=RangeSort(low_of(p.sort), low_of(p.sort)))
            for n, p in enumerate(tr.params)
        )
        transitions.append(tr if params == tr.params else replace(tr, params=params))
    return replace(system, transitions=tuple(transitions))


def _influence(system: System, targets: Sequence[PropertyTarget]) -> set[str]:
    """The names of the variables that matter: the least set that is closed under "computed from"."""
    of_write: dict[str, list[Update]] = {}
    for updates in (x.updates for part in (system.initial, system.transitions) for x in part):
        for u in updates:
            of_write.setdefault(u.var.name, []).append(u)
    work = [thread.pc.name for thread in system.threads]
    work += [r.var.name for e in _roots(system, targets) for r in reads(e)]
    kept: set[str] = set()
    while work:
        name = work.pop()
        if name not in kept:
            kept.add(name)
            for u in of_write.get(name, ()):
                work += [r.var.name for e in _of_update(u) for r in reads(e)]
    return kept


def _roots(system: System, targets: Sequence[PropertyTarget]) -> Iterator[Expr]:
    for target in targets:
        if isinstance(target, DeadlockTarget):
            for wait in system.waits:
                yield from _of_wait(wait)
            yield from (thread.done for thread in system.threads)
        else:
            yield from (case.cond for case in target.cases)
    for thread in system.threads:
        yield thread.where
    for case in system.initial:
        yield case.guard
    for tr in system.transitions:
        yield tr.guard
        yield from (check.cond for check in tr.checks if check.fatal)


def _of_update(u: Update) -> tuple[Expr, ...]:
    return (*u.index, u.value, u.where)


def _of_wait(wait: Wait) -> Iterator[Expr]:
    yield wait.blocked
    yield wait.idle
    yield from (other.cond for other in wait.on)


def _of_lock(lock: Lock) -> Iterator[Expr]:
    for by in lock.held:
        yield by.mode
        yield by.queued


def _known(parts: Iterable[Expr], kept: set[str]) -> bool:
    return all(r.var.name in kept for e in parts for r in reads(e))


def _updates(updates: tuple[Update, ...], kept: set[str]) -> tuple[Update, ...]:
    return tuple(u for u in updates if u.var.name in kept)


def _thread(thread: ThreadClass, kept: set[str]) -> ThreadClass:
    done = thread.done if _known((thread.done,), kept) else FALSE
    return replace(thread, done=done, locals=tuple(v for v in thread.locals if v.name in kept))


def _transition(tr: Transition, kept: set[str], locks: set[str]) -> Transition:
    """A check that nobody asks about stays in its place, since others are told by their number, and always succeeds."""
    checks = tuple(c if _known((c.cond,), kept) else _silent(c) for c in tr.checks)
    events = tuple(e for e in tr.events if e.lock in locks and _known(e.index, kept))
    return replace(tr, updates=_updates(tr.updates, kept), checks=checks, events=events)


def _silent(check: Check) -> Check:
    return replace(check, cond=TRUE)
