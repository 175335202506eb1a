"""How the value of a state variable changes over its life: every change that some reachable step makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget
from protocheck.ir.expr import Var, VarKind
from protocheck.ir.sorts import (
    BoolSort,
    EnumSort,
    OptionSort,
    ScalarSort,
    Sort,
    none_of,
    product_size,
    show_value,
    values_of,
)
from protocheck.ir.system import System, Target
from protocheck.traces.trace import Place, places_of, plain_name

STATES = 5000
"""How many states are looked at by default: documents need the shape of a life, not a census."""


@dataclass(frozen=True)
class Change:
    """A step of ``thread`` turns ``before`` into ``after``; ``text`` is its statement, ``place`` where it stands."""

    before: str
    after: str
    thread: str
    text: str
    place: Place | None


@dataclass(frozen=True)
class LifeCycle:
    """The life of each cell of ``state``: the values it begins with, and every change, in the order of discovery.

    ``complete``: there are no other changes in this instance; otherwise only the first ``states`` states were seen.
    """

    state: str
    values: tuple[str, ...]
    begins: tuple[str, ...]
    changes: tuple[Change, ...]
    states: int
    complete: bool


def life_cycles(system: System, states: int = STATES) -> tuple[LifeCycle, ...]:
    """The life cycles of the variables of ``system`` whose values are names: those of an enum, or a member or none.

    Variables of yes or no are told only where there is no other. ``states`` limits the search.
    """
    own = [v for v in system.variables if v.kind is VarKind.STATE and product_size(v.index)]
    chosen = [v for v in own if _has_life(v.sort)] or [v for v in own if isinstance(v.sort, BoolSort)]
    if not chosen:
        return ()
    search = explore(system, [Target(())], Budget(states=states), to_the_end=True)
    cells: list[tuple[Var, range]] = []
    begin = 0
    for v in system.variables:
        count = product_size(v.index)
        if v in chosen:
            cells.append((v, range(begin, begin + count)))
        begin += count
    found: dict[str, dict[tuple[str, str, int], None]] = {v.name: {} for v in chosen}
    for which, before, after in search.changes([v.name for v in chosen]):
        for var, places in cells:
            for k in places:
                if before[k] != after[k]:
                    change = (_show(var.sort, before[k]), _show(var.sort, after[k]), which)
                    found[var.name][change] = None
    first = list(search.beginnings())
    return tuple(
        LifeCycle(
            plain_name(var.name),
            tuple(dict.fromkeys(_show(var.sort, x) for x in values_of(var.sort))),
            tuple(dict.fromkeys(_show(var.sort, values[k]) for values in first for k in places)),
            tuple(_changes(system, tuple(found[var.name]))),
            search.states,
            search.complete,
        )
        for var, places in cells
    )


def _has_life(sort: Sort) -> bool:
    return isinstance(sort, EnumSort | OptionSort)


def _show(sort: Sort, value: int) -> str:
    """The value; interchangeable members are not told apart."""
    if isinstance(sort, OptionSort) and isinstance(sort.of, ScalarSort) and value != none_of(sort):
        named = sort.of.named
        return show_value(sort, value) if 0 <= value < named else f"some {plain_name(sort.of.name)}"
    return show_value(sort, value)


def _changes(system: System, found: Sequence[tuple[str, str, int]]) -> list[Change]:
    result: dict[Change, None] = {}
    for before, after, which in found:
        t = system.transitions[which]
        places = places_of(t.origin)
        result[Change(before, after, plain_name(t.thread), t.text or t.name, places[0] if places else None)] = None
    return list(result)
