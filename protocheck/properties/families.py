"""Families of properties: the ones every model is checked for, and how a name selects properties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocheck.ir.system import DeadlockTarget, Property, System, Wish

LOCK_ORDER = "lock_order"


@dataclass(frozen=True)
class Family:
    """A family that is checked in every model; all others are tags that models give."""

    name: str
    summary: str


BUILT_IN = (
    Family(LOCK_ORDER, "locks are taken in an order that cannot deadlock"),
    Family("deadlock", "no set of threads waits for itself for ever"),
    Family("livelock", "threads do not retry for ever while nobody gets anything done"),
    Family("starvation", "no thread is kept from going on for ever while others move"),
    Family("lock_misuse", "locks are released by who holds them, and nobody ends or sleeps with the wrong one"),
    Family("range", "no store, argument or index leaves the range of its type"),
    Family("null_deref", "nothing is taken out of an optional value that is none"),
    Family("bug", "no `bug` statement is reached"),
)


def claims(system: System) -> tuple[Property, ...]:
    """All properties of ``system`` but lock order, in source order; ``deadlock`` is added where anybody waits."""
    if not system.waits or any(isinstance(p.target, DeadlockTarget) for p in system.properties):
        return system.properties
    summary = next(f.summary for f in BUILT_IN if f.name == "deadlock")
    deadlock = Property("deadlock", "deadlock", "built-in", Wish.NEVER, DeadlockTarget(), summary)
    return (*system.properties, deadlock)


def known_names(system: System) -> tuple[str, ...]:
    """Every name by which something can be checked: properties, then families."""
    properties = claims(system)
    names = [p.name for p in properties] + [p.family for p in properties] + [f.name for f in BUILT_IN]
    return tuple(dict.fromkeys([*names, *(r.name for r in system.runs)]))


def members(name: str, properties: Sequence[tuple[str, str]]) -> tuple[int, ...]:
    """The positions of the (property, family) pairs that ``name`` means.

    It is a property if one has that name, else a family; a name that is neither may be that of a property or family
    of an imported module without the import's name before it. Assertions go by an empty name: what is written is that
    of their family, and means all of it.
    """
    last = [(p.rsplit(".", 1)[-1], f.rsplit(".", 1)[-1]) for p, f in properties]
    for pairs, part in ((properties, 0), (properties, 1), (last, 0), (last, 1)):
        found = tuple(k for k, pair in enumerate(pairs) if pair[part] == name)
        if found:
            return found
    return ()


def select(properties: Sequence[Property], names: Iterable[str]) -> tuple[Property, ...]:
    """Those of ``properties`` that any of ``names`` means, in their order; all if there are no names."""
    pairs = [("" if p.kind == "assertion" else p.name, p.family) for p in properties]
    wanted = list(names)
    chosen = {k for name in wanted for k in members(name, pairs)}
    return tuple(p for k, p in enumerate(properties) if k in chosen or not wanted)
