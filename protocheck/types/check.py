"""From the tree of a model to the checked module: every static rule, all faults of a file in one run.

NOTE(well-typed): whatever :func:`check` returns has passed every rule; the compiler relies on it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import assert_never

from protocheck.diagnostics import Label, ModelError
from protocheck.ir.expr import Op
from protocheck.ir.system import LockKind, ThreadKind
from protocheck.resources import models_path
from protocheck.source import SourceFile, Span
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import load_source, parse
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.claims import check_claims
from protocheck.types.declare import Declared, Loader, declare
from protocheck.types.expr_check import Exprs
from protocheck.types.failures import enter_budgets, may_fail
from protocheck.types.flow import check_flow
from protocheck.types.fns import fn_value
from protocheck.types.graph import check_graph
from protocheck.types.objects import pool_decl
from protocheck.types.report import Report, did_you_mean
from protocheck.types.scope import (
    Home,
    LockSymbol,
    RoutineSymbol,
    StateSymbol,
    ThreadSymbol,
    World,
    kind_of,
    show,
)
from protocheck.types.stmt_check import Stmts
from protocheck.types.threads import adversary
from protocheck.types.type_check import Types

INT = ty.IntType()
BOOL = ty.BoolType()

KINDS = {
    "thread": ThreadKind.THREAD,
    "server": ThreadKind.SERVER,
    "environment": ThreadKind.ENVIRONMENT,
    "interrupt": ThreadKind.ENVIRONMENT,
}


def check(module: n.Module, loader: Loader) -> t.CheckedModule:
    """The checked module of a model; ``loader`` finds its library modules by their dotted paths.

    Warnings come with the result. Raises :class:`ModelError` with everything that was found if any of it is an error.
    """
    report = Report()
    first = module.file.path
    if isinstance(module.header, n.ModuleHeader):
        report.add(
            rules.NOT_A_MODEL, f"`{module.header.name.text}` is a library module", module.header.span,
            "has no meaning by itself", mend="check a model that imports it: a file that begins with `protocol NAME`",
        )  # fmt: skip
        raise ModelError(report.sorted(first))
    world = World(report)
    types = Types(world, lambda node, kind, home: _constant(world, types, node, kind, home))
    declared, home = declare(world, types, module, loader)
    checked = _Checker(world, types, declared, module, home).run()
    if report.failed:
        raise ModelError(report.sorted(first))
    return replace(checked, warnings=report.sorted(first))


def load(path: Path, shown: str | None = None) -> t.CheckedModule:
    """Read, parse and check the model at ``path``, which people know as ``shown``. Raises :class:`ModelError`."""
    source = load_source(path, shown)
    return check(parse(source), library_loader(path.parent, _folder(source.path)))


def library_loader(folder: Path, shown: str = "") -> Loader:
    """Finds library modules: ``lib.x`` among the shipped ones, everything else (and other ``lib``) under ``folder``."""

    def find(dotted: str) -> n.Module:
        relative = Path(*dotted.split(".")).with_suffix(".pchk")
        for root, name in ((models_path(), "models"), (folder, shown)):
            if root == models_path() and not dotted.startswith("lib."):
                continue
            path = root / relative
            if path.is_file():
                return _library(load_source(path, f"{name}/{relative.as_posix()}" if name else relative.as_posix()))
        shipped = sorted(f"lib.{p.stem}" for p in (models_path() / "lib").glob("*.pchk"))
        beside = sorted(p.stem for p in folder.glob("*.pchk"))
        raise LookupError(dotted, *shipped, *beside)

    return find


@lru_cache(maxsize=64)
def _library(source: SourceFile) -> n.Module:
    """The tree of a library: a process that checks many models reads it once."""
    return parse(source)


def _folder(shown: str) -> str:
    parent = Path(shown).parent.as_posix()
    return "" if parent == "." else parent


def _constant(world: World, types: Types, node: n.Expr, kind: ty.Type | None, home: Home) -> t.Expr:
    x = Exprs(world, types, home, "constant")
    with x.without_calls("in a constant expression"):
        if kind is None:
            return x.infer(node, None)
        return x.value(node, kind)


class _Checker:
    def __init__(self, world: World, types: Types, declared: Declared, module: n.Module, home: Home) -> None:
        self.world = world
        self.types = types
        self.declared = declared
        self.module = module
        self.home = home

    def run(self) -> t.CheckedModule:
        world, types, declared = self.world, self.types, self.declared
        routines: dict[str, t.Routine] = {}
        for routine in declared.routines:
            if isinstance(routine.node, n.FnDecl):
                types.sign(routine)
                routines[routine.name] = self.fn(
                    routine.name, routine.node, routine.home, routine.params, routine.result
                )  # fmt: skip
        self._refuse_endless_fns(routines)
        for param in declared.params:
            types.param(param)
        for kind in declared.types:
            types.of_symbol(kind)
        for pool in declared.pools:
            types.pool(pool)
        for state in declared.states:
            types.state(state)
        for lock in declared.locks:
            lock.index = tuple(types.index_type(i, lock.home) for i in lock.node.indexes)
            if lock.pool:
                lock.index = (ty.PointerType(lock.pool), *lock.index)
        for routine in declared.routines:
            types.sign(routine)
        for thread in declared.threads:
            if isinstance(thread.node, n.ThreadDecl):
                thread.params = self.thread_params(thread.node, thread.home)
        for const in declared.consts:
            Exprs(world, types, const.home, "constant")._constant(const, const.span)
        requires = tuple(_constant(world, types, r.condition, BOOL, home) for r, home in declared.requires)
        states = {s.name: self.state(s) for s in declared.states}
        locks = {s.name: self.lock(s) for s in declared.locks}
        for routine in declared.routines:
            if isinstance(routine.node, n.RoutineDecl):
                routines[routine.name] = self.routine(
                    routine, routine.node, routine.home, routine.params, routine.result, ""
                )
        threads = {}
        for thread in declared.threads:
            done = self.thread(thread)
            if done is not None:
                threads[thread.name] = done
        variants = [v for node, home in declared.variants if (v := self.variant(node, home)) is not None]
        self._refuse_equal_variants(variants)
        init = tuple(self.init(node, home) for node, home in declared.inits)
        header = self.module.header
        ordered = {r.name: routines[r.name] for r in declared.routines}
        budgets = enter_budgets(world, (*ordered.values(), *(v.replacement for v in variants), *threads.values()))
        checked = t.CheckedModule(
            name=header.name.text, file=self.module.file, doc=header.doc, sources=tuple(declared.sources),
            params={p.name: world.params[p.name] for p in declared.params if p.name in world.params} | budgets,
            requires=requires, scalarsets=dict(world.scalarsets), actors=dict(world.actors), states=states, locks=locks,
            routines=ordered, threads=threads, variants=tuple(variants), init=init,
            order=self.order(), nest_under=self.nest_under(), nest_by=self.nest_by(),
            properties=(), scenarios={}, checks=(),
            pools={p.name: pool_decl(p) for p in declared.pools},
        )  # fmt: skip
        if not declared.threads:
            world.report.add(
                rules.MODEL_WITHOUT_THREADS, f"`{header.name.text}` has no thread", header.name.span,
                "nothing ever happens",
                mend="write a `thread`, `server`, `environment` or `adversary`",
            )  # fmt: skip
        for mask, span in world.masks.items():
            fair: t.Expr = t.Const(value=1, type=BOOL, span=span)
            locks[mask] = t.LockDecl(name=mask, actor="", index=(), kind=LockKind(mask), fair=fair, span=span)
        endless = check_graph(world, checked)
        checked = check_claims(world, types, declared, checked)
        if not endless:
            try:
                check_flow(world, checked)
            except RecursionError:
                world.report.add(
                    rules.TOO_MANY_COPIES, "the statements of this model are nested too deeply", header.name.span,
                    "with all that is called from them", mend="call less deeply, or nest less",
                )  # fmt: skip
        return checked

    # ------------------------------------------------------------------------------------------------ signatures

    def thread_params(self, node: n.ThreadDecl, home: Home) -> tuple[t.Local, ...]:
        """The indexes of a thread."""
        params = []
        for index in node.indexes:
            kind = self.types.local(index.type, home)
            if not self.types.is_index(kind, index.type.span, "the index of a thread"):
                kind = ty.ErrorType()
            if node.kind == "interrupt":
                cpu = self.types.cpu(home, index.type.span)
                if ty.ErrorType() not in (kind, cpu) and kind != cpu:
                    self.world.report.add(
                        rules.TYPE_MISMATCH, "an interrupt runs on the members of `cpu`", index.type.span,
                        f"this is `{show(kind)}`", mend=f"write `interrupt {node.name.text} on cpu`",
                    )  # fmt: skip
                    kind = ty.ErrorType()
                params.append(t.Local(t.THIS_CPU, "this_cpu", kind))
                continue
            params.append(self.world.local(index.name.text, kind))
        return tuple(params)

    def _enter(self, x: Exprs, params: tuple[t.Local, ...], names: list[n.Ident]) -> None:
        """Put parameters into scope under their own locals."""
        for local, name in zip(params, names, strict=True):
            x._check_free(name)
            x.scopes[-1][name.text] = local
            x.declared[local.number] = name.span

    # ---------------------------------------------------------------------------------------------------- bodies

    def fn(self, name: str, node: n.FnDecl, home: Home, params: tuple[t.Local, ...], result: ty.Type) -> t.Routine:
        """A pure function: its value is an expression over its parameters."""
        x = Exprs(self.world, self.types, home, "pure")
        x.no_call = "in a fn"
        self._enter(x, params, [p.name for p in node.params])
        value = x.value(node.body, result) if not isinstance(node.body, n.Block) else fn_value(x, node.body, result)
        return t.Routine(
            name=name, actor=home.owner, kind="fn", params=params, result=result, body=None, value=value, ghost=False,
            public=True, span=node.name.span, doc=node.doc,
        )  # fmt: skip

    def _refuse_endless_fns(self, fns: dict[str, t.Routine]) -> None:
        """Enter all fns that do not call themselves into the world, where constants can be computed with them."""
        from protocheck.types.graph import fn_calls

        done: dict[str, bool] = {}

        def endless(name: str, path: tuple[str, ...]) -> bool:
            if name in path:
                return True
            if name not in done and name in fns:
                value = fns[name].value
                done[name] = value is not None and any(endless(f, (*path, name)) for f in fn_calls(value))
            return done.get(name, False)

        for name, fn in fns.items():
            if not endless(name, ()):
                self.world.done_fns[name] = fn

    def routine(
        self, symbol: RoutineSymbol, node: n.RoutineDecl, home: Home, params: tuple[t.Local, ...], result: ty.Type,
        variant: str,
    ) -> t.Routine:  # fmt: skip
        """An op or proc, or a variant of one."""
        x = Exprs(self.world, self.types, home, "ghost" if node.ghost else "real", node.kind)
        x.user = (symbol.name, variant)
        self._enter(x, params, [p.name for p in node.params])
        s = Stmts(x, what=node.kind, result=None if isinstance(result, ty.VoidType) else result)
        begin: list[t.Statement] = []
        if node.requires is not None:
            with x.in_mode("claim"), x.without_calls("in `requires`"):
                begin.append(t.RequiresHeld(held=x.condition(node.requires), span=node.requires.span))
            self._only_locks(node.requires)
        holds = self._holds(x, node, result) if node.holds or node.slow else ()
        s.first = not (node.holds or node.slow)
        body = s.body(node.body)
        if s.live and s.result is not None and not isinstance(result, ty.ErrorType):
            self.world.report.add(
                rules.MISSING_RETURN, f"`{symbol.name}` can end without a result", _last(node.body),
                "the end is reached without a `return`", [Label(node.result.span if node.result else node.span,
                "a result is declared")],
                f"end it with `return ...;` (a `{show(result)}`)",
            )  # fmt: skip
        if node.kind == "op" and (holds or node.slow):
            body = t.Block(body=(t.Hold(locks=holds, body=body, slow=node.slow, span=body.span),), span=body.span)
        if begin:
            body = replace(body, body=(*begin, *body.body))
        return t.Routine(
            name=symbol.name, actor=home.owner, kind=node.kind, params=params, result=result, body=body, value=None,
            ghost=node.ghost, public=node.pub, span=node.name.span, doc=node.doc,
            may_fail=may_fail(self.world, self.types, node, home, result),
        )  # fmt: skip

    def _holds(self, x: Exprs, node: n.RoutineDecl, result: ty.Type) -> tuple[tuple[t.LockRef, str, t.Expr], ...]:
        """The busy locks of an op, each with what it returns where it cannot have it."""
        add = self.world.report.add
        word = "holds" if node.holds else "slow"
        if node.kind != "op" or node.ghost:
            what = "ghost op" if node.kind == "op" else "proc"
            add(
                rules.MISPLACED_HOLDS, f"`{word}` belongs to an `op`", node.name.span, f"this is a {what}",
                mend=f"leave out `{word}`" if node.ghost else "write `op`, or take locks in the body",
            )  # fmt: skip
            return ()
        if node.holds and isinstance(result, ty.VoidType):
            add(
                rules.UNSAID_BUSY, f"`{node.name.text}` cannot say that a lock was busy", node.name.span,
                "it has no result", mend="declare one: `-> enum { done, busy }`",
            )  # fmt: skip
            return ()
        found: list[tuple[t.LockRef, str, t.Expr]] = []
        busy: n.Expr | None = None
        with x.without_calls("in `holds`"):
            for use in reversed(node.holds):
                busy = use.otherwise or busy
                lock = x.lock(use.lock)
                if busy is None:
                    add(
                        rules.UNSAID_BUSY, f"`{node.name.text}` does not say what it returns", use.span,
                        "where this lock is busy", mend=f"write `holds {use.span.text} else VALUE`",
                    )  # fmt: skip
                    continue
                if use.otherwise is not None and lock is None:
                    x.value(busy, result)
                if lock is None:
                    self.world.blurred.append(node.body.span)
                    continue
                x.may_take(lock)
                symbol = self.world.locks[lock.lock]
                if symbol.kind is not LockKind.BUSY:
                    add(
                        rules.WRONG_LOCK_MODE, f"`{symbol.name}` is waited for, and `holds` never waits", use.lock.span,
                        f"a {symbol.kind.value}", [self.world.declared(symbol)],
                        "declare it as `busy`, or take it with `with` in a `proc`",
                    )  # fmt: skip
                found.append((lock, x.lock_mode(lock, use.mode, use), x.value(busy, result)))
        return tuple(reversed(found))

    def _only_locks(self, node: n.Expr) -> None:
        match node:
            case n.Held():
                pass
            case n.Binary(op="&&" | "||"):
                self._only_locks(node.left)
                self._only_locks(node.right)
            case _:
                self.world.report.add(
                    rules.MISPLACED_OPERATOR, "`requires` speaks of locks only", node.span, "not `held(...)`",
                    mend="write `requires held(l)`; anything else is an `assert` in the body",
                )  # fmt: skip

    def thread(self, symbol: ThreadSymbol) -> t.ThreadDecl | None:
        """A thread with its body; an adversary is spelt out as a loop."""
        if isinstance(symbol.node, n.AdversaryDecl):
            return adversary(self.world, self.types, symbol, symbol.node)
        return self.thread_body(symbol, symbol.node, symbol.home, symbol.params, "")

    def thread_body(
        self, symbol: ThreadSymbol, node: n.ThreadDecl, home: Home, params: tuple[t.Local, ...], variant: str
    ) -> t.ThreadDecl:
        """A thread or a variant of one."""
        x = Exprs(self.world, self.types, home, "real", node.kind)
        x.user = (symbol.name, variant)
        if node.kind == "interrupt":
            x.scopes[-1]["this_cpu"] = params[0]
        else:
            self._enter(x, params, [i.name for i in node.indexes])
        where = None
        if node.where is not None:
            with x.in_mode("pure"), x.without_calls("in the condition of a thread"):
                where = x.condition(node.where)
        cpu: t.Expr | None = None
        migrates: t.Migrates | None = None
        interrupt = ""
        if node.kind == "interrupt":
            interrupt = " ".join(w for w, is_so in (("nmi", node.nmi), ("ipi", node.ipi)) if is_so) or "any"
            cpu = t.LocalRef(local=params[0], type=params[0].type, span=node.indexes[0].span)
        elif node.cpu is not None:
            with x.in_mode("pure"), x.without_calls("in the CPU of a thread"):
                cpu = x.value(node.cpu, self.types.cpu(home, node.cpu.span))
        if node.migrating:
            kind = self.types.cpu(home, node.name.span)
            migrates = t.Migrates(cpu, self.world.local("this_cpu", kind))
            own = tuple(t.LocalRef(local=p, type=p.type, span=node.name.span) for p in params)
            cpu = t.StateRef(state=f"{symbol.name}.cpu", index=own, type=kind, span=node.name.span)
        body = Stmts(x, what="thread").body(node.body)
        return t.ThreadDecl(
            name=symbol.name, actor=home.owner, kind=ThreadKind.SERVER if node.ipi else KINDS[node.kind],
            params=params, where=where, body=body, span=node.name.span, doc=node.doc, cpu=cpu, interrupt=interrupt,
            migrates=migrates,
        )  # fmt: skip

    def init(self, node: n.Init, home: Home) -> t.Block:
        """An ``init`` block."""
        x = Exprs(self.world, self.types, home, "real", "init")
        x.user = ("init", str(node.span.start))
        return Stmts(x, what="init").body(node.body)

    # -------------------------------------------------------------------------------------------------- variants

    def variant(self, node: n.VariantDecl, home: Home) -> t.VariantDecl | None:
        """A whole replacement; it must look from outside like what it replaces."""
        symbol = self.types.path(node.target, home, "proc, op, fn or thread")
        if symbol is None:
            return None
        decl = node.decl
        at = Span(node.span.file, node.target[0].span.start, node.target[-1].span.end)
        is_thread = isinstance(decl, n.ThreadDecl)
        kind = "fn" if isinstance(decl, n.FnDecl) else decl.kind
        if not isinstance(symbol, ThreadSymbol if is_thread else RoutineSymbol):
            self._mismatch(node, at, f"`{at.text}` is {kind_of(symbol)}, not a {kind}", symbol)
            return None
        if isinstance(symbol, ThreadSymbol) and isinstance(decl, n.ThreadDecl):
            if isinstance(symbol.node, n.AdversaryDecl):
                self._mismatch(node, at, f"`{at.text}` is an adversary", symbol)
                return None
            params = self.thread_params(decl, symbol.home)
            if not _same(symbol.params, params):
                self._mismatch(node, at, f"the indexes of `{at.text}` differ from those it replaces", symbol)
                return None
            if decl.kind != symbol.node.kind:
                self._mismatch(node, at, f"`{at.text}` is a {symbol.node.kind}, not a {decl.kind}", symbol)
                return None
            if (decl.ipi, decl.nmi) != (symbol.node.ipi, symbol.node.nmi):
                how = "comes when it is asked for" if symbol.node.ipi else "comes at any time"
                differs = f"{how}, its variant does not"
                if decl.nmi != symbol.node.nmi:
                    differs = "can be masked, its variant cannot"
                    if symbol.node.nmi:
                        differs = "cannot be masked, its variant can"
                self._mismatch(node, at, f"`{at.text}` {differs}", symbol)
                return None
            body = self.thread_body(symbol, decl, symbol.home, params, node.name.text)
            return t.VariantDecl(node.name.text, symbol.name, body, node.name.span)
        if not isinstance(symbol, RoutineSymbol) or isinstance(decl, n.ThreadDecl):
            return None
        if symbol.kind != kind:
            self._mismatch(node, at, f"`{at.text}` is {kind_of(symbol)}, not a {kind}", symbol)
            return None
        params, result = self.types.signature(decl, symbol.home)
        if not _same(symbol.params, params) or symbol.result != result:
            self._mismatch(node, at, f"the signature of `{at.text}` differs from the one it replaces", symbol)
            return None
        if isinstance(decl, n.FnDecl):
            done = self.fn(symbol.name, decl, symbol.home, params, result)
        else:
            if isinstance(symbol.node, n.RoutineDecl) and decl.ghost != symbol.node.ghost:
                decl = replace(decl, ghost=symbol.node.ghost)
            done = replace(
                self.routine(symbol, decl, symbol.home, params, result, node.name.text), public=symbol.public
            )
        return t.VariantDecl(node.name.text, symbol.name, done, node.name.span)

    def _mismatch(
        self, node: n.VariantDecl, at: Span, headline: str, symbol: RoutineSymbol | ThreadSymbol | object
    ) -> None:
        why = [Label(symbol.span, "this is to be replaced")] if isinstance(symbol, RoutineSymbol | ThreadSymbol) else []
        self.world.report.add(
            rules.VARIANT_MISMATCH, headline, at, "a variant replaces like by like", why,
            "repeat the head of what is replaced, and change the body",
        )  # fmt: skip

    def _refuse_equal_variants(self, variants: list[t.VariantDecl]) -> None:
        seen: dict[tuple[str, str], t.VariantDecl] = {}
        for v in variants:
            other = seen.setdefault((v.name, v.target), v)
            if other is not v:
                self.world.report.add(
                    rules.DUPLICATE_NAME, f"variant `{v.name}` replaces `{v.target}` twice", v.span, "again",
                    [Label(other.span, "the first one")],
                )  # fmt: skip

    # -------------------------------------------------------------------------------------------- states and locks

    def state(self, symbol: StateSymbol) -> t.StateDecl:
        """A state with its initial value and guard."""
        node = symbol.node
        x = Exprs(self.world, self.types, symbol.home, "pure")
        x.no_call = "in an initial value"
        names = [i.name for i in node.type.indexes] if isinstance(node.type, n.ArrayType) else []
        if symbol.pool:
            x.this = symbol.binders[0]
            names = [None, *names]
        for local, name in zip(symbol.binders, names, strict=False):
            if name is not None:
                x.scopes[-1][name.text] = local
                x.declared[local.number] = name.span
        init = None
        if node.init is not None:
            init = x.value(node.init, symbol.type)
        elif self._needs_value(symbol.type) and not self._set_by_init(symbol):
            self.world.report.add(
                rules.MISSING_INITIAL_VALUE, f"`{symbol.name}` needs a value to begin with", symbol.span,
                f"no member of `{show(symbol.type)}` is the first one",
                mend=f"make it `{show(symbol.type)}?`, which begins as none, or assign it in `init {{ }}`",
            )  # fmt: skip
        guard, racy = None, isinstance(node.guard, n.RacyState)
        if isinstance(node.guard, n.GuardedBy | n.GuardedByAccess):
            guard = self.guard(node.guard, x)
        return t.StateDecl(
            name=symbol.name, actor=symbol.home.owner, binders=symbol.binders, type=symbol.type, init=init,
            ghost=node.ghost, public=node.pub, guard=guard, racy=racy, span=symbol.span, doc=node.doc,
        )  # fmt: skip

    def _needs_value(self, kind: ty.Type) -> bool:
        match kind:
            case ty.ScalarsetType():
                return not self.world.scalarsets[kind.name].members if kind.name in self.world.scalarsets else False
            case ty.PointerType():
                return True
            case ty.RecordType():
                return any(self._needs_value(k) for _, k in kind.fields)
            case _:
                return False

    def _set_by_init(self, symbol: StateSymbol) -> bool:
        from protocheck.types.calls import assigned

        first = {symbol.node.name.text, symbol.name.split(".")[0]}
        return any(first & assigned(node.body) for node, _ in self.declared.inits)

    def guard(self, node: n.GuardedBy | n.GuardedByAccess, x: Exprs) -> t.Guard:
        """Which locks must be held to write and to read."""
        if isinstance(node, n.GuardedBy):
            terms, _ = self._terms(node.guard, x, "write")
            return t.Guard(write=terms, read=terms, any_mode=node.any_mode)
        write, write_any = self._terms(node.write, x, "write") if node.write is not None else ((), False)
        read, read_any = self._terms(node.read, x, "read") if node.read is not None else (write, False)
        if write_any:
            assert node.write is not None
            self.world.report.add(
                rules.WEAK_GUARD, "a guard that asks for nothing guards nothing", node.write.span, "any write goes",
                mend="write `racy` in place of the guard",
            )  # fmt: skip
        return t.Guard(write=write, read=read, read_any=read_any)

    def _terms(self, node: n.GuardExpr, x: Exprs, access: str) -> tuple[tuple[t.GuardTerm, ...], bool]:
        match node:
            case n.GuardNone():
                return (), True
            case n.GuardLock():
                lock = x.lock(node.lock)
                if lock is None:
                    return (), False
                kind = self.world.locks[lock.lock].kind
                if node.srcu != (kind is LockKind.SRCU):
                    what = f"`{lock.lock}` is a {kind.value}"
                    self.world.report.add(
                        rules.WRONG_LOCK_MODE, what, node.span, "`srcu` names an srcu section" if node.srcu else "",
                        [self.world.declared(self.world.locks[lock.lock])],
                        "leave out `srcu`" if node.srcu else f"write `srcu {lock.span.text}`",
                    )  # fmt: skip
                if node.srcu and access == "write":
                    self.world.report.add(
                        rules.WEAK_GUARD, "an srcu section excludes nobody, so it cannot guard a write", node.span,
                        "several threads may be inside", mend="guard writes by a lock, reads by `srcu s`",
                    )  # fmt: skip
                return (t.GuardTerm(lock, "read" if node.srcu else ""),), False
            case n.GuardAll() | n.GuardOr():
                fits = isinstance(node, n.GuardAll) == (access == "write")
                if not fits or any(isinstance(p, n.GuardAll | n.GuardOr | n.GuardNone) for p in node.parts):
                    mend = (
                        "writers must hold all of them: `write: a && b`; or declare one guard"
                        if access == "write"
                        else "one of them is enough to keep writers out: `read: a || b`"
                    )
                    self.world.report.add(
                        rules.WEAK_GUARD, f"this is no guard for a {access}", node.span,
                        "two writers could meet" if access == "write" else "asks for more than is needed",
                        mend=mend,
                    )  # fmt: skip
                found: list[t.GuardTerm] = []
                for part in node.parts:
                    found += self._terms(part, x, access)[0]
                return tuple(found), False
            case _:
                assert_never(node)

    def lock(self, symbol: LockSymbol) -> t.LockDecl:
        """A lock class."""
        node = symbol.node
        fair: t.Expr = t.Const(value=1, type=BOOL, span=symbol.span)
        irq = False
        for option in node.options:
            if option.name == "irq":
                irq = symbol.kind in (LockKind.SPINLOCK, LockKind.RWLOCK)
                if not irq:
                    self.world.report.add(
                        rules.WRONG_LOCK_MODE, f"a {symbol.kind.value} cannot be taken with interrupts off",
                        option.span, "whoever waits for it sleeps", mend="only `spinlock` and `rwlock` can",
                    )  # fmt: skip
                continue
            if symbol.kind not in (LockKind.RWLOCK, LockKind.RWSEM):
                self.world.report.add(
                    rules.WRONG_LOCK_MODE, f"a {symbol.kind.value} is neither fair nor unfair", option.span,
                    "only readers can overtake writers", mend="leave it out",
                )  # fmt: skip
                continue
            if option.when is None:
                fair = t.Const(value=0, type=BOOL, span=option.span)
            else:
                when = _constant(self.world, self.types, option.when, BOOL, symbol.home)
                fair = t.Apply(op=Op.NOT, args=(when,), type=BOOL, span=option.span)
        return t.LockDecl(
            name=symbol.name, actor=symbol.home.owner, index=symbol.index, kind=symbol.kind, fair=fair,
            span=symbol.span,
            doc=node.doc, irq=irq,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------- lock order

    def _class(self, node: n.Expr, home: Home) -> LockSymbol | None:
        found = self.types.expression_path(node, home, "lock") if not isinstance(node, n.Index) else None
        if isinstance(node, n.Index):
            self.world.report.add(
                rules.WRONG_INDEX, "an order speaks of whole classes of locks", node.span, "one instance",
                mend="leave out the index",
            )  # fmt: skip
            return None
        if found is not None and not isinstance(found, LockSymbol):
            known = list(self.world.locks)
            self.world.report.add(
                rules.NOT_A_LOCK, f"`{node.span.text}` is {kind_of(found)}, not a lock", node.span,
                "a lock belongs here",
                [self.world.declared(found)], did_you_mean(node.span.text, known),
            )  # fmt: skip
            return None
        return found

    def _class_somewhere(self, node: n.Expr, home: Home) -> LockSymbol | None:
        """A lock in ``order`` and ``nest``: its actor may be left out where only one lock has that name."""
        if isinstance(node, n.Name) and home.find(node.ident.text) is None:
            named = [s for s in self.world.locks.values() if s.node.name.text == node.ident.text]
            if len(named) == 1:
                return named[0]
            if len(named) > 1:
                self.world.report.add(
                    rules.AMBIGUOUS_NAME, f"several actors have a lock `{node.ident.text}`", node.span,
                    "which one is meant?", [Label(s.span) for s in named], f"write `{named[0].name}`",
                )  # fmt: skip
                return None
            self.world.report.add(
                rules.UNKNOWN_NAME, f"unknown lock `{node.ident.text}`", node.span,
                mend=did_you_mean(node.ident.text, [s.node.name.text for s in self.world.locks.values()]),
            )  # fmt: skip
            return None
        return self._class(node, home)

    def order(self) -> tuple[tuple[str, str, Span], ...]:
        """Declared pairs: outer, inner."""
        pairs: list[tuple[str, str, Span]] = []
        for node, home in self.declared.orders:
            locks = [(self._class_somewhere(lock, home), lock.span) for lock in node.locks]
            for (outer, _), (inner, span) in pairwise(locks):
                if outer is not None and inner is not None:
                    if outer is inner:
                        self.world.report.add(
                            rules.IMPOSSIBLE_ORDER, f"`{outer.name}` cannot come before itself", span, "the same lock",
                            mend="write `nest l by index` to order the instances of an array",
                        )  # fmt: skip
                        continue
                    pairs.append((outer.name, inner.name, span))
        self._refuse_cyclic_order(pairs)
        return tuple(pairs)

    def _refuse_cyclic_order(self, pairs: list[tuple[str, str, Span]]) -> None:
        after: dict[str, list[str]] = {}
        for outer, inner, span in pairs:
            seen, todo = {inner}, [inner]
            while todo:
                for nxt in after.get(todo.pop(), []):
                    if nxt not in seen:
                        seen.add(nxt)
                        todo.append(nxt)
            if outer in seen:
                self.world.report.add(
                    rules.IMPOSSIBLE_ORDER, f"`{outer} -> {inner}` contradicts an order declared before", span,
                    f"`{inner}` already comes before `{outer}`",
                )  # fmt: skip
                continue
            after.setdefault(outer, []).append(inner)

    def nest_under(self) -> tuple[tuple[str, str, Span], ...]:
        """Classes of which several instances are held only under another lock."""
        found = []
        for node, home in self.declared.nests:
            if node.outer is not None:
                inner, outer = self._class_somewhere(node.inner, home), self._class_somewhere(node.outer, home)
                if inner is not None and outer is not None:
                    found.append((inner.name, outer.name, node.span))
        return tuple(found)

    def nest_by(self) -> tuple[tuple[str, str, Span], ...]:
        """Classes whose instances are taken in the order of an index."""
        found = []
        for node, home in self.declared.nests:
            if node.by is None:
                continue
            lock = self._class_somewhere(node.inner, home)
            if lock is None:
                continue
            if not lock.index:
                self.world.report.add(
                    rules.IMPOSSIBLE_ORDER, f"`{lock.name}` is a single lock", node.inner.span,
                    "has no instances to order",
                    [self.world.declared(lock)],
                )  # fmt: skip
                continue
            parts = {n_.name.text: k for n_, k in zip(lock.node.indexes, lock.index, strict=True) if n_.name}
            for kind in lock.index:
                if isinstance(kind, ty.RecordType):
                    parts.update(dict(kind.fields))
            kind_by = parts.get(node.by.text)
            if kind_by is None and not (len(lock.index) == 1 and isinstance(lock.index[0], ty.RangeType)):
                self.world.report.add(
                    rules.IMPOSSIBLE_ORDER, f"`{lock.name}` has no index `{node.by.text}`", node.by.span, "",
                    [self.world.declared(lock)], did_you_mean(node.by.text,
                    parts) or "name it: `lock l : [i : T] mutex;`",
                )  # fmt: skip
                continue
            if isinstance(kind_by, ty.ScalarsetType):
                self.world.report.add(
                    rules.BROKEN_SYMMETRY, f"members of `{show(kind_by)}` have no order", node.by.span,
                    "a scalarset", [self.world.declared(lock)], "use a range `lo..hi`, or `nest l under outer`",
                )  # fmt: skip
                continue
            found.append((lock.name, node.by.text, node.span))
        return tuple(found)


def _same(a: tuple[t.Local, ...], b: tuple[t.Local, ...]) -> bool:
    return len(a) == len(b) and all(x.type == y.type and x.ref == y.ref for x, y in zip(a, b, strict=True))


def _last(block: n.Block) -> Span:
    """The closing brace of a block."""
    return Span(block.span.file, max(block.span.end - 1, block.span.start), block.span.end)
