"""Declarations: what every file says there is, before anything is resolved. Imports are instantiated here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from protocheck.diagnostics import Label, ModelError
from protocheck.ir.system import LockKind
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import types as ty
from protocheck.types.report import did_you_mean, listing
from protocheck.types.scope import (
    ActorSymbol,
    ConstSymbol,
    Home,
    ImportSymbol,
    LockSymbol,
    ParamSymbol,
    PoolSymbol,
    RoutineSymbol,
    StateSymbol,
    Symbol,
    ThreadSymbol,
    TypeSymbol,
    World,
    kind_of,
)
from protocheck.types.type_check import Types

Loader: TypeAlias = Callable[[str], n.Module]
"""The library module of a dotted import path. Raises ``LookupError`` if there is none, ``ModelError`` if faulty."""


@dataclass
class Declared:
    """Everything that has to be checked, in source order, each with the place where it is written."""

    types: list[TypeSymbol] = field(default_factory=list)
    params: list[ParamSymbol] = field(default_factory=list)
    consts: list[ConstSymbol] = field(default_factory=list)
    states: list[StateSymbol] = field(default_factory=list)
    locks: list[LockSymbol] = field(default_factory=list)
    pools: list[PoolSymbol] = field(default_factory=list)
    routines: list[RoutineSymbol] = field(default_factory=list)
    threads: list[ThreadSymbol] = field(default_factory=list)
    variants: list[tuple[n.VariantDecl, Home]] = field(default_factory=list)
    inits: list[tuple[n.Init, Home]] = field(default_factory=list)
    requires: list[tuple[n.Require, Home]] = field(default_factory=list)
    orders: list[tuple[n.Order, Home]] = field(default_factory=list)
    nests: list[tuple[n.Nest, Home]] = field(default_factory=list)
    properties: list[tuple[n.Property, Home]] = field(default_factory=list)
    scenarios: list[tuple[n.Scenario, Home]] = field(default_factory=list)
    checks: list[tuple[n.Check, Home]] = field(default_factory=list)
    runs: list[tuple[n.RunDecl, Home]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


def declare(world: World, types: Types, module: n.Module, loader: Loader) -> tuple[Declared, Home]:
    """Enter everything that ``module`` and its imports declare into ``world``; give what is to be checked."""
    maker = _Declarer(world, types, loader)
    home = maker.unit(module)
    return maker.out, home


class _Declarer:
    def __init__(self, world: World, types: Types, loader: Loader) -> None:
        self.world = world
        self.types = types
        self.loader = loader
        self.out = Declared()
        self.modules: dict[str, n.Module] = {}

    def unit(self, module: n.Module) -> Home:
        """The model itself."""
        scope: dict[str, Symbol] = {}
        home = Home("", "", (scope,))
        self._items(module, home, scope, (), "")
        return home

    def _items(
        self, module: n.Module, home: Home, scope: dict[str, Symbol], stack: tuple[str, ...], own_actor: str
    ) -> None:
        for item in module.items:
            match item:
                case n.Source():
                    if not home.library:
                        self.out.sources.append(item.text)
                case n.Import():
                    self._import(item, home, scope, stack)
                case n.ActorDecl():
                    self._actor(item, home, scope, own_actor)
                case n.AdversaryDecl():
                    if not self._misplaced(home.library, item, "an adversary", "in a library"):
                        self._adversary(item, home, scope)
                case n.ParamDecl():
                    if not self._misplaced(home.library, item, "a `param`", "in a library"):
                        self._param(item, home, scope)
                case n.Require():
                    self.out.requires.append((item, home))
                case n.Order():
                    self.out.orders.append((item, home))
                case n.Nest():
                    self.out.nests.append((item, home))
                case n.Scenario():
                    if not self._misplaced(home.library, item, "a scenario", "in a library"):
                        self.out.scenarios.append((item, home))
                case n.Check():
                    if not self._misplaced(home.library, item, "a `check`", "in a library"):
                        self.out.checks.append((item, home))
                case n.RunDecl():
                    if not self._misplaced(home.library, item, "a `run`", "in a library"):
                        self.out.runs.append((item, home))
                case _:
                    outside = not home.library
                    self._member(item, home, scope, outside)

    def _misplaced(self, wrong: bool, item: n.Decl, what: str, where: str) -> bool:
        if wrong:
            mends = {
                "a `param`": "make it a parameter of the module: `module NAME(x : T = default)`",
                "a scenario": "scenarios belong into the model that imports the library",
            }
            self.world.report.add(
                rules.MISPLACED_DECLARATION, f"{what} cannot stand {where}", _head(item), "not here",
                mend=mends.get(what, ""),
            )  # fmt: skip
        return wrong

    def _member(self, item: n.ActorMember, home: Home, scope: dict[str, Symbol], outside: bool) -> None:
        """A declaration in an actor or at the top of a file (``outside``: of a model)."""
        match item:
            case n.StateDecl():
                self._misplaced(outside and not item.ghost, item, "`state` that is not a ghost", "outside of an actor")
                state = StateSymbol(home.prefix + item.name.text, item.name.span, home, item)
                if self._enter(item.name, state, scope):
                    self.world.states[state.name] = state
                    self.out.states.append(state)
            case n.LockDecl():
                self._misplaced(outside, item, "a lock", "outside of an actor")
                lock = LockSymbol(home.prefix + item.name.text, item.name.span, home, item, LockKind(item.kind))
                if self._enter(item.name, lock, scope):
                    self.world.locks[lock.name] = lock
                    self.out.locks.append(lock)
            case n.ObjectDecl():
                self._misplaced(outside, item, "an `object`", "outside of an actor")
                self._object(item, home, scope)
            case n.RoutineDecl() | n.FnDecl():
                if isinstance(item, n.RoutineDecl):
                    self._misplaced(
                        outside and not item.ghost, item, f"{_a(item.kind)} that is not a ghost", "no actor"
                    )
                routine = RoutineSymbol(home.prefix + item.name.text, item.name.span, home, item)
                if self._enter(item.name, routine, scope):
                    self.world.routines[routine.name] = routine
                    self.out.routines.append(routine)
            case n.ThreadDecl():
                self._misplaced(outside, item, f"{_a(item.kind)}", "outside of an actor")
                thread = ThreadSymbol(home.prefix + item.name.text, item.name.span, home, item)
                if self._enter(item.name, thread, scope):
                    self.world.threads[thread.name] = thread
                    self.out.threads.append(thread)
            case n.VariantDecl():
                self.out.variants.append((item, home))
            case n.ConstDecl():
                const = ConstSymbol(
                    home.prefix + item.name.text, item.name.span, home, home, item.type, item.value
                )  # fmt: skip
                if self._enter(item.name, const, scope):
                    self.out.consts.append(const)
            case n.TypeDecl():
                self._type(item, home, scope)
            case n.Init():
                self.out.inits.append((item, home))
            case n.Invariant() | n.TransitionProp() | n.Final() | n.Weakness() | n.Reachable():
                self.out.properties.append((item, home))
            case n.Progress() | n.Finishing() | n.Recoverable():
                self.out.properties.append((item, home))
            case _:
                assert_never(item)

    def _enter(self, name: n.Ident, symbol: Symbol, scope: dict[str, Symbol]) -> bool:
        """Make ``name`` mean ``symbol``; a second meaning is reported and dropped."""
        other = scope.get(name.text)
        if other is None:
            scope[name.text] = symbol
            return True
        self.world.report.add(
            rules.DUPLICATE_NAME, f"`{name.text}` is declared twice", name.span, f"{kind_of(symbol)}",
            [Label(other.span, f"already {kind_of(other)}")], "choose another name for one of them",
        )  # fmt: skip
        return False

    def _type(self, item: n.TypeDecl, home: Home, scope: dict[str, Symbol]) -> None:
        symbol = TypeSymbol(home.prefix + item.name.text, item.name.span, home, item)
        if self._enter(item.name, symbol, scope):
            self.world.types[symbol.name] = symbol
            self.out.types.append(symbol)
        parts = [p.type for p in item.type.parts] if isinstance(item.type, n.ProductType) else [item.type]
        for part in parts:
            if isinstance(part, n.ScalarsetType) and isinstance(part.size, n.SizeParam):
                self._size(part.size, home)

    def _object(self, item: n.ObjectDecl, home: Home, scope: dict[str, Symbol]) -> None:
        """A pool: a type of pointers, its fields and locks as arrays over the places, and which places are in use."""
        full = home.prefix + item.name.text
        symbol = TypeSymbol(full, item.name.span, home, None)
        symbol.type = ty.PointerType(full)
        if not self._enter(item.name, symbol, scope):
            return
        if isinstance(item.size, n.SizeParam):
            self._size(item.size, home)
        locks: dict[str, Symbol] = {}
        inner = Home(home.owner, f"{full}.", (locks, *home.scopes), home.library)
        name = n.Ident("live", span=item.name.span)
        bits = n.StateDecl(True, False, name, n.BoolType(span=item.name.span), None, None, span=item.name.span)
        live = StateSymbol(f"{full}.live", item.name.span, inner, bits, pool=full)
        pool = PoolSymbol(full, item.name.span, home, item, live, {})
        taken: dict[str, Symbol] = {"live": live}
        for member in item.members:
            made: StateSymbol | LockSymbol
            if isinstance(member, n.StateDecl):
                made = StateSymbol(inner.prefix + member.name.text, member.name.span, inner, member, pool=full)
            else:
                kind = LockKind(member.kind)
                made = LockSymbol(inner.prefix + member.name.text, member.name.span, inner, member, kind, pool=full)
            if not self._enter(member.name, made, taken):
                continue
            pool.members[member.name.text] = made
            if isinstance(made, StateSymbol):
                self.world.states[made.name] = made
                self.out.states.append(made)
            else:
                locks[member.name.text] = made
                self.world.locks[made.name] = made
                self.out.locks.append(made)
        self.world.states[live.name] = live
        self.out.states.append(live)
        self.world.pools[full] = pool
        self.out.pools.append(pool)

    def _size(self, size: n.SizeParam, home: Home) -> None:
        """The parameter that is declared where a size is."""
        if home.library:
            self.world.report.add(
                rules.MISPLACED_DECLARATION, "a size that scenarios set cannot stand in a library",
                size.span, "declares a parameter", mend="take the type as a parameter of the module",
            )  # fmt: skip
            return
        symbol = ParamSymbol(size.name.text, size.name.span, home, size)
        if self._enter(size.name, symbol, home.scopes[-1]):
            self.out.params.append(symbol)

    def _param(self, item: n.ParamDecl, home: Home, scope: dict[str, Symbol]) -> None:
        symbol = ParamSymbol(item.name.text, item.name.span, home, item)
        if self._enter(item.name, symbol, scope):
            self.out.params.append(symbol)

    def _actor(self, item: n.ActorDecl, home: Home, scope: dict[str, Symbol], own_actor: str) -> None:
        if own_actor and item.name.text == own_actor:
            # The actor that a library is about: its members are those of the module, known by the alias.
            self.world.actors[home.owner] = item.role
            for member in item.members:
                self._member(member, home, scope, outside=False)
            return
        full = home.prefix + item.name.text
        symbol = scope.get(item.name.text)
        if isinstance(symbol, ActorSymbol):
            if symbol.role != item.role:
                self.world.report.add(
                    rules.DUPLICATE_NAME, f"actor `{full}` is both {symbol.role} and {item.role}", item.name.span,
                    f"here {item.role}", [Label(symbol.span, f"here {symbol.role}")], "one actor has one role",
                )  # fmt: skip
        else:
            symbol = ActorSymbol(full, item.name.span, item.role, {})
            if not self._enter(item.name, symbol, scope):
                symbol = ActorSymbol(full, item.name.span, item.role, {})
            self.world.actors[full] = item.role
        inner = Home(full, f"{full}.", (symbol.scope, *home.scopes), home.library)
        for member in item.members:
            self._member(member, inner, symbol.scope, outside=False)

    def _adversary(self, item: n.AdversaryDecl, home: Home, scope: dict[str, Symbol]) -> None:
        inner = Home(item.name.text, f"{item.name.text}.", home.scopes, home.library)
        thread = ThreadSymbol(home.prefix + item.name.text, item.name.span, inner, item)
        if self._enter(item.name, thread, scope):
            self.world.threads[thread.name] = thread
            self.world.actors[thread.name] = item.role
            self.out.threads.append(thread)

    # --------------------------------------------------------------------------------------------------- imports

    def _import(self, item: n.Import, home: Home, scope: dict[str, Symbol], stack: tuple[str, ...]) -> None:
        path = ".".join(p.text for p in item.path)
        at = Span(item.span.file, item.path[0].span.start, item.path[-1].span.end)
        inside: dict[str, Symbol] = {}
        symbol = ImportSymbol(home.prefix + item.alias.text, item.alias.span, inside)
        if not self._enter(item.alias, symbol, scope):
            return
        module = self._load(path, at, stack)
        if module is None or not isinstance(module.header, n.ModuleHeader):
            symbol.broken = True
            if module is not None:
                self.world.report.add(
                    rules.MISSING_IMPORT, f"`{path}` is a model, not a library module", at, "cannot be imported",
                    [Label(module.header.span, "says `protocol`")], "a library begins with `module NAME(...)`",
                )  # fmt: skip
            return
        alias = home.prefix + item.alias.text
        library = Home(alias, f"{alias}.", (inside,), library=True)
        self._bind(item, module.header, library, home, inside)
        if any(_is_real(i) for i in module.items):
            self.world.actors[alias] = "kernel"
        self._items(module, library, inside, (*stack, path), module.header.name.text)

    def _load(self, path: str, at: Span, stack: tuple[str, ...]) -> n.Module | None:
        if path in stack:
            chain = " -> ".join([*stack[stack.index(path) :], path])
            self.world.report.add(
                rules.CYCLIC_IMPORT, f"`{path}` imports itself", at, f"{chain}",
                mend="move what both need into a third module",
            )  # fmt: skip
            return None
        if path not in self.modules:
            try:
                self.modules[path] = self.loader(path)
            except LookupError as missing:
                known = [str(a) for a in missing.args[1:]]
                self.world.report.add(
                    rules.MISSING_IMPORT, f"there is no library `{path}`", at, "not found",
                    mend=did_you_mean(path, known) or (f"there are {listing(known, 12)}" if known else ""),
                )  # fmt: skip
                return None
            except ModelError as faulty:
                self.world.report.take(faulty.diagnostics)
                self.world.report.add(
                    rules.MISSING_IMPORT, f"the library `{path}` is faulty", at, "see what is said about its file"
                )
                return None
        return self.modules[path]

    def _bind(
        self, item: n.Import, header: n.ModuleHeader, library: Home, home: Home, inside: dict[str, Symbol]
    ) -> None:
        """Give the parameters of a library their meaning."""
        given: dict[str, n.Argument] = {}
        for k, arg in enumerate(item.args):
            if arg.name is None and k >= len(header.params):
                self._bad_import(
                    header, f"`{header.name.text}` takes {len(header.params)} arguments", arg.span, "too many"
                )
                continue
            name = arg.name.text if arg.name else header.params[k].name.text
            if name not in [p.name.text for p in header.params]:
                self._bad_import(
                    header, f"`{header.name.text}` has no parameter `{name}`",
                    arg.name.span if arg.name else arg.span, "",
                    did_you_mean(name, [p.name.text for p in header.params]),
                )  # fmt: skip
            elif name in given:
                self._bad_import(header, f"`{name}` is given twice", arg.span, "again")
            else:
                given[name] = arg
        for param in header.params:
            found = given.get(param.name.text)
            full = library.prefix + param.name.text
            if isinstance(param, n.TypeParam):
                symbol = TypeSymbol(full, param.name.span, library, None)
                inside[param.name.text] = symbol
                if found is None:
                    self._bad_import(
                        header, f"`{header.name.text}` needs a type for `{param.name.text}`",
                        item.path[-1].span, "missing",
                        f"write `{header.name.text}({', '.join(p.name.text for p in header.params)})`",
                    )  # fmt: skip
                    continue
                symbol.passed = (found.value, home)
                continue
            default = param.default if found is None else found.value
            if default is None:
                self._bad_import(
                    header, f"`{header.name.text}` needs a value for `{param.name.text}`", item.path[-1].span, "missing"
                )
                continue
            value_home = library if found is None else home
            inside[param.name.text] = ConstSymbol(full, param.name.span, value_home, library, param.type, default)

    def _bad_import(self, header: n.ModuleHeader, headline: str, at: Span, label: str, mend: str = "") -> None:
        self.world.report.add(
            rules.WRONG_IMPORT_ARGUMENTS, headline, at, label, [Label(header.span, "declared here")], mend
        )


def _is_real(item: n.Item) -> bool:
    match item:
        case n.StateDecl() | n.RoutineDecl():
            return not item.ghost
        case n.LockDecl() | n.ThreadDecl():
            return True
        case _:
            return False


def _a(kind: str) -> str:
    return f"an `{kind}`" if kind in ("op", "environment") else f"a `{kind}`"


def _head(item: n.Decl) -> Span:
    """The first line of a declaration."""
    end = item.span.file.text.find("\n", item.span.start)
    return Span(item.span.file, item.span.start, item.span.end if end < 0 else min(end, item.span.end))
