"""The finite sorts of the transition system.

Every value is a machine-independent Python ``int`` inside the contiguous interval ``low..high`` of its sort:
booleans are 0 and 1, enum and scalarset members their position, range members themselves, and an option adds one
value, ``none``, directly above the interval of what it wraps. So a member of ``T`` and the same member of ``T?`` are
the same number, and ``==`` between them needs no conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from protocheck.records import dataclass


@dataclass(frozen=True)
class BoolSort:
    """``false`` (0) and ``true`` (1)."""


@dataclass(frozen=True)
class EnumSort:
    """Distinct named members; position is value. Two enums with the same name and members are the same sort."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class RangeSort:
    """The integers ``lo..hi``, both included."""

    lo: int
    hi: int


@dataclass(frozen=True)
class ScalarSort:
    """A scalarset: ``members`` are interchangeable except the first ``named`` ones, which have names of their own.

    Only ``==`` and ``!=`` apply to its values. C. N. Ip and D. L. Dill, "Better verification through symmetry", 1996.
    """

    name: str
    members: tuple[str, ...]
    named: int = 0


@dataclass(frozen=True)
class OptionSort:
    """``of`` plus ``none``, which is ``high_of(of) + 1``."""

    of: Sort


Sort: TypeAlias = BoolSort | EnumSort | RangeSort | ScalarSort | OptionSort

BOOL = BoolSort()


def low_of(sort: Sort) -> int:
    """The smallest value of ``sort``."""
    match sort:
        case BoolSort() | EnumSort() | ScalarSort():
            return 0
        case RangeSort(lo, _):
            return lo
        case OptionSort(inner):
            return low_of(inner)
        case _:
            assert_never(sort)


def high_of(sort: Sort) -> int:
    """The largest value of ``sort``; below ``low_of(sort)`` if the sort is empty."""
    match sort:
        case BoolSort():
            return 1
        case EnumSort(_, members) | ScalarSort(_, members, _):
            return len(members) - 1
        case RangeSort(_, hi):
            return hi
        case OptionSort(inner):
            return high_of(inner) + 1
        case _:
            assert_never(sort)


def size_of(sort: Sort) -> int:
    """How many values ``sort`` has."""
    return high_of(sort) - low_of(sort) + 1


def values_of(sort: Sort) -> range:
    """All values of ``sort``, ascending."""
    return range(low_of(sort), high_of(sort) + 1)


def none_of(sort: OptionSort) -> int:
    """The value that stands for ``none`` in ``sort``."""
    return high_of(sort)


def show_value(sort: Sort, value: int) -> str:
    """``value`` as a model would write it; a value outside of ``sort`` is shown as its number."""
    match sort:
        case BoolSort():
            return {0: "false", 1: "true"}.get(value, str(value))
        case EnumSort(_, members) | ScalarSort(_, members, _):
            return members[value] if 0 <= value < len(members) else str(value)
        case RangeSort():
            return str(value)
        case OptionSort(inner):
            return "none" if value == none_of(sort) else show_value(inner, value)
        case _:
            assert_never(sort)


def scalarset_of(sort: Sort) -> ScalarSort | None:
    """The scalarset whose members the values of ``sort`` are (looking through options), if any."""
    match sort:
        case ScalarSort():
            return sort
        case OptionSort(inner):
            return scalarset_of(inner)
        case BoolSort() | EnumSort() | RangeSort():
            return None
        case _:
            assert_never(sort)


def product_size(sorts: Sequence[Sort]) -> int:
    """The number of tuples over ``sorts``."""
    size = 1
    for sort in sorts:
        size *= size_of(sort)
    return size
