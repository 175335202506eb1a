"""What names mean: symbols, the places where declarations are written, and the world they all live in.

A model is one *unit*; each import adds another one, with its own copy of the library's declarations under the alias.
Symbols are filled in lazily, because names may be used before they are declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from protocheck.diagnostics import Label
from protocheck.ir.system import LockKind
from protocheck.records import dataclass
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import ranges
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.report import Report


@dataclass(eq=False)
class Home:
    """Where a declaration is written: its owner, the prefix of its full name, and the scopes in which it is read."""

    owner: str
    prefix: str
    scopes: tuple[dict[str, Symbol], ...]
    library: bool = False

    def find(self, name: str) -> Symbol | None:
        """What ``name`` means here, innermost scope first."""
        for scope in self.scopes:
            if name in scope:
                return scope[name]
        return None

    def names(self) -> Iterator[str]:
        """Every name that is visible here."""
        for scope in self.scopes:
            yield from scope


@dataclass(eq=False)
class TypeSymbol:
    name: str
    span: Span
    home: Home
    node: n.TypeDecl | None
    passed: tuple[n.Expr, Home] | None = None  # a type parameter of a library: what was passed for it, and where
    type: ty.Type | None = None
    busy: bool = False


@dataclass(eq=False)
class ConstSymbol:
    """A constant, or a value parameter of a library: its type is written at ``type_home``, its value at ``home``."""

    name: str
    span: Span
    home: Home
    type_home: Home
    type_node: n.TypeExpr | None
    node: n.Expr
    value: t.Expr | None = None
    busy: bool = False


@dataclass(eq=False)
class ParamSymbol:
    name: str
    span: Span
    home: Home
    node: n.ParamDecl | n.SizeParam
    type: ty.Type | None = None
    busy: bool = False


@dataclass(eq=False)
class StateSymbol:
    name: str
    span: Span
    home: Home
    node: n.StateDecl
    index: tuple[ty.Type, ...] = ()
    type: ty.Type = field(default_factory=ty.ErrorType)
    binders: tuple[t.Local, ...] = ()
    busy: bool = False
    pool: str = ""  # of the objects that it is a field of: its first index is a pointer

    @property
    def ghost(self) -> bool:
        return self.node.ghost


@dataclass(eq=False)
class LockSymbol:
    name: str
    span: Span
    home: Home
    node: n.LockDecl
    kind: LockKind
    index: tuple[ty.Type, ...] = ()
    pool: str = ""


@dataclass(eq=False)
class PoolSymbol:
    """A pool of objects: what is in each of them, and which places are in use. It is known as a type."""

    name: str
    span: Span
    home: Home
    node: n.ObjectDecl
    live: StateSymbol
    members: dict[str, StateSymbol | LockSymbol]


@dataclass(eq=False)
class RoutineSymbol:
    name: str
    span: Span
    home: Home
    node: n.RoutineDecl | n.FnDecl
    signed: bool = False
    params: tuple[t.Local, ...] = ()
    result: ty.Type = field(default_factory=ty.VoidType)

    @property
    def kind(self) -> Literal["op", "proc", "fn"]:
        return "fn" if isinstance(self.node, n.FnDecl) else self.node.kind

    @property
    def ghost(self) -> bool:
        return isinstance(self.node, n.RoutineDecl) and self.node.ghost

    @property
    def public(self) -> bool:
        return isinstance(self.node, n.FnDecl) or self.node.pub or self.node.ghost


@dataclass(eq=False)
class ThreadSymbol:
    name: str
    span: Span
    home: Home
    node: n.ThreadDecl | n.AdversaryDecl
    params: tuple[t.Local, ...] = ()


@dataclass(eq=False)
class ActorSymbol:
    name: str
    span: Span
    role: str
    scope: dict[str, Symbol]


@dataclass(eq=False)
class ImportSymbol:
    """An imported library; ``broken`` if it could not be read, and then nothing in it is reported as unknown."""

    name: str
    span: Span
    scope: dict[str, Symbol]
    broken: bool = False


Symbol: TypeAlias = (
    TypeSymbol
    | ConstSymbol
    | ParamSymbol
    | StateSymbol
    | LockSymbol
    | RoutineSymbol
    | ThreadSymbol
    | ActorSymbol
    | ImportSymbol
)

ConstantOf: TypeAlias = Callable[[n.Expr, ty.Type | None, Home], t.Expr]


class World:
    """Everything that is declared, by full name and in source order, and the report that is written about it."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.params: dict[str, t.ParamDecl] = {}
        self.scalarsets: dict[str, t.ScalarsetDecl] = {}
        self.literals: dict[str, list[ty.Type]] = {}
        self.types: dict[str, TypeSymbol] = {}
        self.states: dict[str, StateSymbol] = {}
        self.locks: dict[str, LockSymbol] = {}
        self.pools: dict[str, PoolSymbol] = {}
        self.routines: dict[str, RoutineSymbol] = {}
        self.threads: dict[str, ThreadSymbol] = {}
        self.actors: dict[str, str] = {}
        self.done_fns: dict[str, t.Routine] = {}
        self.ranges: list[tuple[ty.RangeType, Span]] = []
        self.marks: dict[str, dict[str, Span]] = {"label": {}, "region": {}}
        self.places: dict[tuple[str, str], set[str]] = {}
        self.reach: dict[str, list[str]] = {}  # thread -> itself and the routines that it runs
        self.blurred: list[Span] = []  # text in which a statement about a lock was faulty: nothing is known about locks
        self.mentioned: set[str] = set()  # routines that some call names, be it a faulty one
        self.masks: dict[str, Span] = {}  # `irq_off` and `preempt_off`, with a place each
        self._locals = 0

    def local(
        self, name: str, kind: ty.Type, *, mutable: bool = False, ref: bool = False, ghost: bool = False
    ) -> t.Local:
        """A new local, with a number of its own."""
        self._locals += 1
        return t.Local(self._locals, name, kind, mutable, ref, ghost)

    def size_of(self, scalarset: str) -> t.Expr:
        """The size of a scalarset: an expression over parameters."""
        return self.scalarsets[scalarset].size

    def note_literals(self, kind: ty.EnumType | ty.ScalarsetType, members: tuple[str, ...]) -> None:
        """Remember the members of an enum or scalarset, so that they can be found without an expected type."""
        for member in members:
            known = self.literals.setdefault(member, [])
            if kind not in known:
                known.append(kind)

    def defaults(self) -> dict[str, int]:
        """The default value of every parameter."""
        return {name: decl.default for name, decl in self.params.items()}

    def value(self, e: t.Expr, params: Mapping[str, int] | None = None) -> int | None:
        """The value of a constant expression, for these parameters or for their defaults."""
        return ranges.value(e, self.defaults() if params is None else params, self.size_of, self.done_fns)

    def bounds(self, e: t.Expr) -> ranges.Bounds | None:
        """Constant expressions between which ``e`` lies."""
        return ranges.bounds(e, self.size_of, self.widest)

    def widest(self, e: t.Expr) -> tuple[int, int] | None:
        """Numbers between which a constant expression lies, whatever the parameters are."""
        match e:
            case t.Const():
                return e.value, e.value
            case t.ParamRef() if e.name in self.params:
                kind = self.params[e.name].type
                if isinstance(kind, ty.RangeType):
                    low, high = self.widest(kind.lo), self.widest(kind.hi)
                    return None if low is None or high is None else (low[0], high[1])
                return (0, len(kind.members) - 1) if isinstance(kind, ty.EnumType) else (0, 1)
            case t.SizeOf():
                return self.widest(self.size_of(e.scalarset))
            case t.Apply():
                if e.op.value == "?:":
                    then, other = self.widest(e.args[1]), self.widest(e.args[2])
                    return None if then is None or other is None else (min(then[0], other[0]), max(then[1], other[1]))
                parts = [self.widest(a) for a in e.args]
                known = [p for p in parts if p is not None]
                return ranges.numeric(e.op, known) if len(known) == len(parts) else None
            case _:
                return None

    def declared(self, symbol: Symbol) -> Label:
        """A label for the place where ``symbol`` is declared."""
        return Label(symbol.span, f"`{symbol.span.text or symbol.name}` is declared here")


def kind_of(symbol: Symbol) -> str:
    """The kind of a symbol, with its article, for sentences."""
    match symbol:
        case TypeSymbol():
            return "a type"
        case ConstSymbol():
            return "a constant"
        case ParamSymbol():
            return "a parameter"
        case StateSymbol():
            return "ghost state" if symbol.ghost else "state"
        case LockSymbol():
            return "a lock"
        case RoutineSymbol():
            return {"op": "an op", "proc": "a proc", "fn": "a fn"}[symbol.kind]
        case ThreadSymbol():
            return "a thread"
        case ActorSymbol():
            return "an actor"
        case ImportSymbol():
            return "an import"


def show(kind: ty.Type) -> str:
    """A type as it is written."""
    match kind:
        case ty.BoolType():
            return "bool"
        case ty.IntType():
            return "a number"
        case ty.RangeType():
            return f"{_bound(kind.lo)}..{_bound(kind.hi)}"
        case ty.EnumType():
            return kind.name if "|" not in kind.name else f"enum {{ {', '.join(kind.members)} }}"
        case ty.ScalarsetType() | ty.RecordType():
            return kind.name
        case ty.OptionType():
            return f"{show(kind.of)}?"
        case ty.SetType():
            return f"set of {show(kind.of)}"
        case ty.ArrayType():
            return "".join(f"[{show(i)}]" for i in kind.index) + f" {show(kind.element)}"
        case ty.VersionType():
            return "version" if kind.window is None else "counter"
        case ty.SnapshotType():
            return f"snapshot of {kind.state}"
        case ty.PointerType():
            return kind.pool
        case ty.ThreadType():
            return f"an instance of {kind.thread}"
        case ty.NoneType():
            return "stale" if kind.stale else "none"
        case ty.VoidType():
            return "nothing"
        case ty.ErrorType():
            return "?"


def _bound(e: t.Expr) -> str:
    if isinstance(e, t.Const):
        return str(e.value)
    if isinstance(e, t.ParamRef):
        return e.name
    text = " ".join(e.span.text.split())
    return text if len(text) <= 20 else "(...)"
