"""From types as they are written to types that are known; sizes stay expressions over parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from protocheck.diagnostics import Label
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.ranges import number
from protocheck.types.report import did_you_mean
from protocheck.types.scope import (
    ActorSymbol,
    ConstantOf,
    Home,
    ImportSymbol,
    ParamSymbol,
    PoolSymbol,
    RoutineSymbol,
    StateSymbol,
    Symbol,
    TypeSymbol,
    World,
    kind_of,
    show,
)

INT = ty.IntType()
BOOL = ty.BoolType()
ERROR = ty.ErrorType()


class Types:
    """Resolves types; ``constant`` checks the constant expressions in them."""

    def __init__(self, world: World, constant: ConstantOf) -> None:
        self.world = world
        self.constant = constant

    def resolve(self, node: n.TypeExpr, home: Home, name: str = "") -> ty.Type:
        """The type that ``node`` means in ``home``. A type that is faulty is reported and becomes an ``ErrorType``.

        ``name`` is that of the declaration whose whole right side ``node`` is; scalarsets and products need one.
        """
        match node:
            case n.NamedType():
                symbol = self.path(node.path, home, "type")
                if isinstance(symbol, TypeSymbol):
                    return self.of_symbol(symbol)
                if symbol is not None:
                    self.world.report.add(
                        rules.UNKNOWN_TYPE, f"`{_dotted(node.path)}` is {kind_of(symbol)}, not a type", node.span,
                        "a type belongs here", [self.world.declared(symbol)],
                    )  # fmt: skip
                return ERROR
            case n.BoolType():
                return BOOL
            case n.RangeType():
                return self._range(node.lo, node.hi, node.span, home)
            case n.EnumType():
                members = self._members(node.members)
                enum = ty.EnumType(name or "|".join(members), members)
                self.world.note_literals(enum, members)
                return enum
            case n.ScalarsetType():
                return self._scalarset(node, home, name)
            case n.ProductType():
                return self._product(node, home, name)
            case n.OptionType():
                inner = self.resolve(node.element, home)
                if isinstance(inner, ty.OptionType):
                    return inner
                return (
                    ERROR if self._unstorable(inner, node.element.span, "an optional value") else ty.OptionType(inner)
                )
            case n.SetType():
                inner = self.resolve(node.element, home)
                return ERROR if not self.is_index(inner, node.element.span, "a set") else ty.SetType(inner)
            case n.RecordType():
                fields: dict[str, ty.Type] = {}
                for part in node.fields:
                    if part.name.text in fields:
                        self._duplicate(part.name, "field")
                    inner = self.resolve(part.type, home)
                    bad = self._unstorable(inner, part.type.span, "a field")
                    fields[part.name.text] = ERROR if bad else inner
                shown = name or f"record {{ {', '.join(f'{f} : {show(k)}' for f, k in fields.items())} }}"
                return ty.RecordType(shown, tuple(fields.items()))
            case n.ArrayType():
                index = tuple(self.index_type(i, home) for i in node.indexes)
                inner = self.resolve(node.element, home)
                if isinstance(inner, ty.ArrayType):
                    return ty.ArrayType((*index, *inner.index), inner.element)
                return ty.ArrayType(index, inner)
            case n.VersionType():
                return ty.VersionType()
            case n.CounterType():
                window = self.constant(node.window, INT, home)
                if isinstance(window.type, ty.ErrorType):
                    return ERROR
                self.world.ranges.append((ty.RangeType(number(1, node.window.span), window), node.window.span))
                return ty.VersionType(window)
            case n.SnapshotType():
                return self._snapshot(node, home)
            case _:
                assert_never(node)

    def _range(self, lo: n.Expr, hi: n.Expr, span: Span, home: Home) -> ty.Type:
        low, high = self.constant(lo, INT, home), self.constant(hi, INT, home)
        if isinstance(low.type, ty.ErrorType) or isinstance(high.type, ty.ErrorType):
            return ERROR
        numbers = ty.RangeType(low, high)
        self.world.ranges.append((numbers, span))
        return numbers

    def index_type(self, index: n.ArrayIndex, home: Home) -> ty.Type:
        """The type of an index of an array."""
        kind = self.resolve(index.type, home)
        return kind if self.is_index(kind, index.type.span, "an index") else ERROR

    def cpu(self, home: Home, span: Span) -> ty.Type:
        """The type of CPUs: the one that is called ``cpu`` at this place."""
        symbol = home.find("cpu")
        if not isinstance(symbol, TypeSymbol):
            self.world.report.add(
                rules.NO_CPU_TYPE, "there is no type called `cpu`", span, "CPUs are its members",
                mend="declare it: `type cpu = scalarset(cpus in 1..4 = 2)`, or `type cpu = 0..1`",
            )  # fmt: skip
            return ty.ErrorType()
        kind = self.of_symbol(symbol)
        return kind if self.is_index(kind, span, "the type of CPUs") else ty.ErrorType()

    def of_symbol(self, symbol: TypeSymbol) -> ty.Type:
        """The type that a declared name stands for."""
        if symbol.type is None and symbol.passed is not None:
            symbol.type = self._passed(*symbol.passed)
        if symbol.type is None and symbol.node is not None:
            if symbol.busy:
                self.world.report.add(
                    rules.ENDLESS_DEFINITION, f"type `{symbol.name}` is made of itself", symbol.span,
                    "it would have no end", mend="types are finite: refer to another object by its index",
                )  # fmt: skip
                return ERROR
            symbol.busy = True
            kind = self.resolve(symbol.node.type, symbol.home, symbol.name)
            symbol.busy = False
            symbol.type = kind if symbol.type is None else symbol.type
        return symbol.type or ERROR

    def _passed(self, node: n.Expr, home: Home) -> ty.Type:
        """The type that is passed to a library."""
        found = self.expression_path(node, home, "type")
        if isinstance(found, TypeSymbol):
            return self.of_symbol(found)
        if found is not None:
            self.world.report.add(
                rules.WRONG_IMPORT_ARGUMENTS, f"`{node.span.text}` is {kind_of(found)}, not a type", node.span,
                "the library takes a type here", [self.world.declared(found)],
            )  # fmt: skip
        return ERROR

    def state(self, symbol: StateSymbol) -> None:
        """Fill in the type of a state, its index and the locals that its index is named by."""
        if symbol.busy:  # it is known, or it is being found out: nothing else will come of asking again
            return
        symbol.busy = True
        node = symbol.node.type
        kind = self.resolve(node, symbol.home)
        if symbol.pool and isinstance(kind, ty.VersionType):
            self.world.report.add(
                rules.MISPLACED_TYPE, "a version cannot be a field of an object", node.span,
                "its snapshots would outlive it", mend="declare the version outside of the object",
            )  # fmt: skip
            kind = ERROR
        index: tuple[ty.Type, ...] = ()
        if isinstance(kind, ty.ArrayType):
            index, kind = kind.index, kind.element
        names = [i.name.text if i.name else "" for i in node.indexes] if isinstance(node, n.ArrayType) else []
        names += [""] * (len(index) - len(names))
        if symbol.pool:
            index, names = (ty.PointerType(symbol.pool), *index), ["", *names]
        symbol.index, symbol.type = index, kind
        symbol.binders = tuple(
            self.world.local(name or f"#{k}", i) for k, (name, i) in enumerate(zip(names, index, strict=True))
        )

    def pool(self, symbol: PoolSymbol) -> None:
        """Enter the places of a pool into the world: a scalarset."""
        node = symbol.node
        places = n.ScalarsetType(node.size, (), span=Span(node.span.file, node.span.start, node.size.span.end + 1))
        self._scalarset(places, symbol.home, symbol.name)

    def is_index(self, kind: ty.Type, span: Span, what: str) -> bool:
        """Whether ``kind`` has finitely many values that can be counted off; reports it otherwise."""
        match kind:
            case ty.BoolType() | ty.EnumType() | ty.RangeType() | ty.ScalarsetType() | ty.ErrorType():
                return True
            case ty.RecordType(product=True):
                return True
            case ty.PointerType():
                self.world.report.add(
                    rules.NOT_AN_INDEX_TYPE, f"a pointer to `{show(kind)}` cannot be {what}", span, "may be stale",
                    mend="keep what belongs to an object in a field of it, and pointers in state or records",
                )  # fmt: skip
                return False
            case _:
                self.world.report.add(
                    rules.NOT_AN_INDEX_TYPE, f"`{show(kind)}` cannot be {what}", span, "not a plain type",
                    mend="use bool, an enum, a range, a scalarset, or a product of those",
                )  # fmt: skip
                return False

    def _unstorable(self, kind: ty.Type, span: Span, what: str) -> bool:
        if isinstance(kind, ty.ArrayType | ty.VersionType):
            self.world.report.add(
                rules.MISPLACED_TYPE, f"`{show(kind)}` cannot be {what}", span, "only shared state can be this",
                mend="declare it as state of its own, indexed as needed",
            )  # fmt: skip
            return True
        return isinstance(kind, ty.ErrorType)

    def local(self, node: n.TypeExpr, home: Home) -> ty.Type:
        """The type of a local, a parameter or a result: arrays and versions are refused."""
        kind = self.resolve(node, home)
        return ERROR if self._unstorable(kind, node.span, "local") else kind

    def _members(self, members: Sequence[n.Ident]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for member in members:
            if member.text in found:
                self._duplicate(member, "member")
            found[member.text] = None
        return tuple(found)

    def _duplicate(self, name: n.Ident, what: str) -> None:
        self.world.report.add(rules.DUPLICATE_NAME, f"{what} `{name.text}` is named twice", name.span, "again here")

    def _scalarset(self, node: n.ScalarsetType, home: Home, name: str) -> ty.Type:
        if not name:
            self.world.report.add(
                rules.MISPLACED_TYPE, "a scalarset needs a name", node.span, "declare it by itself",
                mend="write `type NAME = scalarset(...)` and use NAME",
            )  # fmt: skip
            return ERROR
        kind = ty.ScalarsetType(name)
        if name not in self.world.scalarsets:
            members = self._members(node.members)
            if isinstance(node.size, n.SizeParam):
                size: t.Expr = self.constant(n.Name(node.size.name, span=node.size.name.span), INT, home)
            else:
                size = self.constant(node.size, INT, home)
            self.world.scalarsets[name] = t.ScalarsetDecl(name, size, members, node.span)
            self.world.note_literals(kind, members)
            self._enough(size, members, node)
        return kind

    def _enough(self, size: t.Expr, members: tuple[str, ...], node: n.ScalarsetType) -> None:
        widest = self.world.widest(size)
        if widest is None:
            return
        if widest[1] < len(members):
            self.world.report.add(
                rules.EMPTY_RANGE, f"{len(members)} named members do not fit into a size of {widest[1]}",
                node.members[widest[1]].span if widest[1] >= 0 else node.span, "no room for this one",
            )  # fmt: skip
        elif widest[0] < len(members) and isinstance(node.size, n.SizeParam):
            self.world.report.add(
                rules.EMPTY_RANGE, f"a size of {widest[0]} is allowed, but {len(members)} members have names",
                node.size.lo.span, f"at least {len(members)} is needed", [Label(node.members[-1].span)],
            )  # fmt: skip
        elif widest[1] < 0:
            self.world.report.add(rules.EMPTY_RANGE, f"a scalarset cannot have {widest[1]} members", node.span)

    def _product(self, node: n.ProductType, home: Home, name: str) -> ty.Type:
        if not name:
            self.world.report.add(
                rules.MISPLACED_TYPE, "a product of types needs a name", node.span, "declare it by itself",
                mend="write `type NAME = ... x ...` and use NAME",
            )  # fmt: skip
            return ERROR
        fields: dict[str, ty.Type] = {}
        for part in node.parts:
            label = part.name.text if part.name else _part_name(part.type)
            if not label or label in fields:
                self.world.report.add(
                    rules.DUPLICATE_NAME,
                    f"two parts of `{name}` are called `{label}`" if label else f"a part of `{name}` needs a name",
                    part.span, "name this part", mend="write `name : type` for each part",
                )  # fmt: skip
                label = label or "?"
            inner = self.resolve(part.type, home, f"{name}.{label}" if isinstance(part.type, n.ScalarsetType) else "")
            fields[label] = inner if self.is_index(inner, part.type.span, "a part of a product") else ERROR
        return ty.RecordType(name, tuple(fields.items()), product=True)

    def _snapshot(self, node: n.SnapshotType, home: Home) -> ty.Type:
        symbol = self.expression_path(node.of, home)
        if symbol is None:
            return ERROR
        if isinstance(symbol, StateSymbol):
            self.state(symbol)
            if isinstance(symbol.type, ty.VersionType):
                return ty.SnapshotType(symbol.name, symbol.index, symbol.type.window)
            if isinstance(symbol.type, ty.ErrorType):
                return ERROR
        self.world.report.add(
            rules.UNKNOWN_TYPE, f"`{node.of.span.text}` is {kind_of(symbol)}, not a version", node.of.span,
            "a snapshot is one of a `version`", [self.world.declared(symbol)],
        )  # fmt: skip
        return ERROR

    def expression_path(self, node: n.Expr, home: Home, what: str = "name") -> Symbol | None:
        """The symbol that a dotted expression names; reports it if there is none."""
        path: list[n.Ident] = []
        at: n.Expr = node
        while isinstance(at, n.Member):
            path.append(at.ident)
            at = at.base
        if not isinstance(at, n.Name):
            self.world.report.add(
                rules.UNKNOWN_NAME, f"`{node.span.text}` is no {what}", node.span, "a name belongs here"
            )
            return None
        return self.path((at.ident, *reversed(path)), home, what)

    def path(self, path: n.Path, home: Home, what: str) -> Symbol | None:
        """The symbol that a dotted name means; reports it if there is none."""
        symbol = home.find(path[0].text)
        if symbol is None:
            rule = rules.UNKNOWN_TYPE if what == "type" else rules.UNKNOWN_NAME
            known = list(home.names())
            if what == "type":
                known = [k for k in known if isinstance(home.find(k), TypeSymbol)] or known
            self.world.report.add(
                rule, f"unknown {what} `{path[0].text}`", path[0].span, mend=did_you_mean(path[0].text, known)
            )
            return None
        for ident in path[1:]:
            inside = self.member(symbol, ident)
            if inside is None:
                return None
            symbol = inside
        return symbol

    def member(self, symbol: Symbol, ident: n.Ident) -> Symbol | None:
        """What ``ident`` means inside of an actor or import; reports it if there is nothing of that name."""
        if not isinstance(symbol, ActorSymbol | ImportSymbol):
            self.world.report.add(
                rules.UNKNOWN_MEMBER, f"`{symbol.name}` is {kind_of(symbol)} and has nothing called `{ident.text}`",
                ident.span, "", [self.world.declared(symbol)],
            )  # fmt: skip
            return None
        if ident.text not in symbol.scope:
            if isinstance(symbol, ImportSymbol) and symbol.broken:
                return None
            self.world.report.add(
                rules.UNKNOWN_MEMBER, f"`{symbol.name}` has nothing called `{ident.text}`", ident.span,
                mend=did_you_mean(ident.text, symbol.scope),
            )  # fmt: skip
            return None
        return symbol.scope[ident.text]

    def sign(self, symbol: RoutineSymbol) -> None:
        """Fill in parameters and result of a routine, when they are first needed."""
        if not symbol.signed:
            symbol.signed = True
            symbol.params, symbol.result = self.signature(symbol.node, symbol.home)

    def signature(self, node: n.RoutineDecl | n.FnDecl, home: Home) -> tuple[tuple[t.Local, ...], ty.Type]:
        """Parameters and result."""
        ghost = isinstance(node, n.RoutineDecl) and node.ghost
        params = []
        for p in node.params:
            if p.ref and isinstance(node, n.FnDecl):
                self.world.report.add(rules.IMPURE_FN, "a fn has no `ref` parameters", p.span, "it changes nothing")
            kind = self.local(p.type, home)
            params.append(self.world.local(p.name.text, kind, mutable=p.ref, ref=p.ref, ghost=ghost))
        result = self.local(node.result, home) if node.result is not None else ty.VoidType()
        return tuple(params), result

    def param(self, symbol: ParamSymbol) -> ty.Type:
        """The type of a model parameter; its declaration is entered into the world when it is first needed."""
        if symbol.type is not None:
            return symbol.type
        if symbol.busy:
            self.world.report.add(
                rules.ENDLESS_DEFINITION, f"the range of parameter `{symbol.name}` depends on itself", symbol.span
            )
            return ERROR
        symbol.busy = True
        node = symbol.node
        if isinstance(node, n.SizeParam):
            span = Span(node.span.file, node.lo.span.start, node.hi.span.end)
            kind = self._range(node.lo, node.hi, span, symbol.home)
        else:
            kind = self.resolve(node.type, symbol.home)
            if not isinstance(kind, ty.RangeType | ty.EnumType | ty.BoolType | ty.ErrorType):
                self.world.report.add(
                    rules.MISPLACED_TYPE, f"a parameter cannot be `{show(kind)}`", node.type.span,
                    "a range, an enum or bool", mend="write a range such as `1..8`",
                )  # fmt: skip
                kind = ERROR
        value = self.constant(node.default, kind, symbol.home)
        default = self.world.value(value)
        if default is None and not isinstance(value.type, ty.ErrorType):
            self.world.report.add(
                rules.NOT_CONSTANT, f"the default of `{symbol.name}` cannot be computed", node.default.span,
                "must be known when the file is read",
            )  # fmt: skip
        symbol.busy = False
        symbol.type = kind
        if not isinstance(kind, ty.ErrorType):
            self.world.params[symbol.name] = t.ParamDecl(symbol.name, kind, default or 0, symbol.span)
            if isinstance(kind, ty.RangeType) and default is not None:
                low, high = self.world.value(kind.lo), self.world.value(kind.hi)
                if low is not None and high is not None and low <= high and not low <= default <= high:
                    self.world.report.add(
                        rules.OUT_OF_RANGE, f"the default {default} is not in {show(kind)}", node.default.span,
                        f"must be {low} to {high}",
                    )  # fmt: skip
        return kind


def _part_name(node: n.TypeExpr) -> str:
    """The name of a part of a product that is written without one."""
    match node:
        case n.ScalarsetType():
            size = node.size
            text = (
                size.name.text if isinstance(size, n.SizeParam) else size.ident.text if isinstance(size, n.Name) else ""
            )
            return text[:-1] if text.endswith("s") else text
        case n.RangeType():
            return "index"
        case n.NamedType():
            return node.path[-1].text
        case _:
            return ""


def _dotted(path: n.Path) -> str:
    return ".".join(i.text for i in path)


def compatible(a: ty.Type, b: ty.Type) -> bool:
    """Whether values of the two types can be compared and copied as they are; ranges are checked where it matters."""
    match a, b:
        case (ty.ErrorType(), _) | (_, ty.ErrorType()):
            return True
        case (ty.RangeType() | ty.IntType(), ty.RangeType() | ty.IntType()):
            return True
        case (ty.OptionType(x), ty.OptionType(y)) | (ty.SetType(x), ty.SetType(y)):
            return compatible(x, y)
        case (ty.RecordType(), ty.RecordType()):
            return (
                (a.name == b.name or not (a.product or b.product))
                and len(a.fields) == len(b.fields)
                and all(f == g and compatible(c, d) for (f, c), (g, d) in zip(a.fields, b.fields, strict=True))
            )
        case _:
            return a == b


def is_int(kind: ty.Type) -> bool:
    """Whether values of this type are numbers."""
    return isinstance(kind, ty.IntType | ty.RangeType)
