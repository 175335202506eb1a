"""The types of the modelling language. All values of shared state are finite; sizes may depend on parameters.

Sizes stay expressions (over ``param`` names) until an instance is compiled, so that one check serves every scenario.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from protocheck.records import dataclass

if TYPE_CHECKING:
    from protocheck.types.tree import Expr


@dataclass(frozen=True)
class BoolType:
    """``bool``."""


@dataclass(frozen=True)
class IntType:
    """An unbounded integer: the type of arithmetic, never of a variable."""


@dataclass(frozen=True)
class RangeType:
    """``lo..hi``; both ends are constant expressions over parameters."""

    lo: Expr
    hi: Expr


@dataclass(frozen=True)
class EnumType:
    """``enum { a, b }``. ``name`` is the declared name, or the members joined by ``|`` for an anonymous enum."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class ScalarsetType:
    """A scalarset, by its qualified declared name; see ``CheckedModule.scalarsets``."""

    name: str


@dataclass(frozen=True)
class RecordType:
    """A record, or a product of types (then ``fields`` are named after its parts and ``product`` is true)."""

    name: str
    fields: tuple[tuple[str, Type], ...]
    product: bool = False


@dataclass(frozen=True)
class OptionType:
    """``T?``."""

    of: Type


@dataclass(frozen=True)
class SetType:
    """``set of T``; T is an index type (bool, enum, range, scalarset, or a product of those)."""

    of: Type


@dataclass(frozen=True)
class ArrayType:
    """``[I] [J] T``: only as (part of) the type of state, never of an expression that is passed around."""

    index: tuple[Type, ...]
    element: Type


@dataclass(frozen=True)
class VersionType:
    """``version``: a counter of which only change can be asked; ``counter(window k)``: how much, too, up to k."""

    window: Expr | None = None


@dataclass(frozen=True)
class SnapshotType:
    """``snapshot of V``: ``stale`` or a fresh view of state ``state``; over arrays it holds the index as well."""

    state: str
    index: tuple[Type, ...] = ()
    window: Expr | None = None  # of the counter


@dataclass(frozen=True)
class PointerType:
    """A pointer to an object of pool ``pool`` (its qualified name, which is also that of the scalarset of places).

    A place and a bit that says if the object was freed since. As the type of an index it means the place alone.
    """

    pool: str


STALE = "#stale"
"""The bit of a pointer that says if its object was freed since; the checked tree reads it as a field."""


@dataclass(frozen=True)
class ThreadType:
    """A reference to an instance of a thread class; only bound by quantifiers in properties."""

    thread: str


@dataclass(frozen=True)
class NoneType:
    """The type of ``none`` before it meets an option, and of ``stale`` (``stale`` true) before it meets a snapshot."""

    stale: bool = False


@dataclass(frozen=True)
class VoidType:
    """The result of a routine without one."""


@dataclass(frozen=True)
class ErrorType:
    """Given to an expression that is already reported, so that nothing cascades. Never in a checked module."""

    reported: bool = field(default=True, compare=False)


Type: TypeAlias = (
    BoolType
    | IntType
    | RangeType
    | EnumType
    | ScalarsetType
    | RecordType
    | OptionType
    | SetType
    | ArrayType
    | VersionType
    | SnapshotType
    | PointerType
    | ThreadType
    | NoneType
    | VoidType
    | ErrorType
)
