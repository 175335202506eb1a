"""From a grammar rule and its parts to a node: one method per rule or alias of the grammar, in its order.

``parse`` calls the method that is named like the rule with the span of the rule and its parts: nodes, tuples of nodes,
``Ident`` for a bare token, ``None`` for an optional part that is missing. What the grammar lets through for the sake of
a better message is refused here; the faults are collected, and the node that is returned then is only a stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import cast, get_args

from protocheck.diagnostics import Diagnostic, Label, Rule
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.syntax import rules

_MAX_DIGITS = 18


def not_yet_supported(word: str, span: Span) -> Diagnostic:
    """The refusal of a construct that a later version will have."""
    what, instead = rules.LATER[word]
    return Diagnostic(
        rules.NOT_YET_SUPPORTED, f"`{word}` is not supported yet: {what}", (Label(span),), f"for now, {instead}"
    )


def suggest(word: str, known: tuple[str, ...]) -> str:
    """A sentence that offers the known word nearest to ``word``; else one that lists them all."""
    near = get_close_matches(word, known, 1, 0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "known are " + ", ".join(f"`{k}`" for k in known)


class Builder:
    """Makes the nodes of one file. ``docs`` maps the offset of a declaration to its ``///`` comments."""

    def __init__(self, docs: Mapping[int, str]) -> None:
        self.faults: list[Diagnostic] = []
        self._docs = docs

    def _fault(self, rule: Rule, headline: str, span: Span, help_: str = "", *more: Label) -> None:
        self.faults.append(Diagnostic(rule, headline, (Label(span), *more), help_))

    def _doc(self, span: Span) -> str:
        return self._docs.get(span.start, "")

    def _single(self, path: n.Path, what: str) -> n.Ident:
        """The only name of ``path``; a dotted one is a fault, since only variants replace things by path."""
        if len(path) > 1:
            dotted = ".".join(p.text for p in path)
            self._fault(
                rules.DOTTED_NAME,
                f"the declaration of a {what} takes a plain name, not `{dotted}`",
                replace(path[0].span, end=path[-1].span.end),
                f"declare `{path[-1].text}` inside the block of `{path[0].text}`, or write `variant NAME of ...`",
            )
        return path[-1]

    # ------------------------------------------------------------------------------------------------- top level

    def protocol(self, span: Span, name: n.Ident) -> n.Protocol:
        return n.Protocol(name, span=span, doc=self._doc(span))

    def module(
        self, span: Span, name: n.Ident, params: tuple[n.TypeParam | n.ValueParam, ...] | None
    ) -> n.ModuleHeader:
        return n.ModuleHeader(name, params or (), span=span, doc=self._doc(span))

    def module_params(
        self, span: Span, *params: n.TypeParam | n.ValueParam
    ) -> tuple[n.TypeParam | n.ValueParam, ...]:
        return params

    def type_param(self, span: Span, name: n.Ident) -> n.TypeParam:
        return n.TypeParam(name, span=span)

    def value_param(self, span: Span, name: n.Ident, type_: n.TypeExpr, default: n.Expr | None) -> n.ValueParam:
        return n.ValueParam(name, type_, default, span=span)

    def source(self, span: Span, text: str) -> n.Source:
        return n.Source(text, span=span, doc=self._doc(span))

    def import_(
        self, span: Span, path: n.Path, args: tuple[n.Argument, ...] | None, alias: n.Ident | None
    ) -> n.Import:
        return n.Import(path, args or (), alias or path[-1], span=span, doc=self._doc(span))

    def import_args(self, span: Span, *args: n.Argument) -> tuple[n.Argument, ...]:
        return args

    def place_arg(self, span: Span, value: n.Expr) -> n.Argument:
        return n.Argument(None, value, span=span)

    def named_arg(self, span: Span, name: n.Ident, value: n.Expr) -> n.Argument:
        return n.Argument(name, value, span=span)

    def param(self, span: Span, name: n.Ident, type_: n.TypeExpr, default: n.Expr) -> n.ParamDecl:
        return n.ParamDecl(name, type_, default, span=span, doc=self._doc(span))

    def require(self, span: Span, condition: n.Expr) -> n.Require:
        return n.Require(condition, span=span, doc=self._doc(span))

    def order(self, span: Span, *locks: n.Expr) -> n.Order:
        return n.Order(locks, span=span, doc=self._doc(span))

    def nest_under(self, span: Span, inner: n.Expr, outer: n.Expr) -> n.Nest:
        return n.Nest(inner, outer, None, span=span, doc=self._doc(span))

    def nest_by(self, span: Span, inner: n.Expr, by: n.Ident) -> n.Nest:
        return n.Nest(inner, None, by, span=span, doc=self._doc(span))

    def nest_both(self, span: Span, inner: n.Expr, outer: n.Expr, by: n.Ident) -> n.Nest:
        return n.Nest(inner, outer, by, span=span, doc=self._doc(span))

    def actor(self, span: Span, head: tuple[n.Role, n.Ident], *members: n.ActorMember) -> n.ActorDecl:
        role, name = head
        return n.ActorDecl(role, name, members, span=span, doc=self._doc(span))

    def actor_open(self, span: Span, head: tuple[n.Role, n.Ident]) -> n.ActorDecl:
        return self.actor(span, head)

    def short_head(self, span: Span, role: n.Role, name: n.Ident) -> tuple[n.Role, n.Ident]:
        return role, name

    def long_head(self, span: Span, name: n.Ident, role: n.Role) -> tuple[n.Role, n.Ident]:
        return role, name

    def role(self, span: Span, word: n.Ident) -> n.Role:
        return cast(n.Role, word.text)

    def adversary(
        self,
        span: Span,
        role: n.Role,
        name: n.Ident,
        instances: n.Expr | None,
        *lines: tuple[n.AdversaryCall, ...] | n.Expr,
    ) -> n.AdversaryDecl:
        calls: list[n.AdversaryCall] = []
        limits: list[n.Expr] = []
        for line in lines:
            if isinstance(line, tuple):
                calls.extend(line)
            else:
                limits.append(line)
        for extra in limits[1:]:
            self._fault(
                rules.REPEATED_LIMIT,
                "an adversary has one limit",
                extra.span,
                "keep one `at most N calls;`",
                Label(limits[0].span, "the first one"),
            )
        limit = limits[0] if limits else None
        return n.AdversaryDecl(role, name, instances, tuple(calls), limit, span=span, doc=self._doc(span))

    def any_call(self, span: Span, *calls: n.AdversaryCall) -> tuple[n.AdversaryCall, ...]:
        return calls

    def call_limit(self, span: Span, limit: n.Expr) -> n.Expr:
        return limit

    def adversary_call(
        self, span: Span, path: n.Path, args: tuple[n.AnyArg | n.ChosenArg | n.Expr, ...] | None
    ) -> n.AdversaryCall:
        if args is None and span.text.endswith(")"):
            args = ()
        return n.AdversaryCall(path, args, span=span)

    def adversary_args(
        self, span: Span, *args: n.AnyArg | n.ChosenArg | n.Expr
    ) -> tuple[n.AnyArg | n.ChosenArg | n.Expr, ...]:
        return args

    def any_arg(self, span: Span) -> n.AnyArg:
        return n.AnyArg(span=span)

    def chosen_arg(self, span: Span, name: n.Ident, where: n.Expr) -> n.ChosenArg:
        return n.ChosenArg(name, where, span=span)

    # --------------------------------------------------------------------------------------- members of an actor

    def typedef(self, span: Span, name: n.Ident, type_: n.ProductPart | n.ProductType) -> n.TypeDecl:
        if isinstance(type_, n.ProductPart):
            if type_.name is not None:
                self._fault(
                    rules.NAMED_SINGLE_PART,
                    f"`{type_.name.text}` names a part of a product, but there is only one part",
                    type_.name.span,
                    "write the type alone, or add a part: `a : T x b : U`",
                )
            return n.TypeDecl(name, type_.type, span=span, doc=self._doc(span))
        return n.TypeDecl(name, type_, span=span, doc=self._doc(span))

    def product(self, span: Span, *parts: n.ProductPart | n.Ident) -> n.ProductType:
        return n.ProductType(tuple(p for p in parts if isinstance(p, n.ProductPart)), span=span)

    def product_part(self, span: Span, name: n.Ident | None, type_: n.TypeExpr) -> n.ProductPart:
        return n.ProductPart(name, type_, span=span)

    def scalarset(
        self, span: Span, size: n.SizeParam | n.Expr, members: tuple[n.Ident, ...] | None
    ) -> n.ScalarsetType:
        return n.ScalarsetType(size, members or (), span=span)

    def size_param(self, span: Span, name: n.Ident, lo: n.Expr, hi: n.Expr, default: n.Expr) -> n.SizeParam:
        return n.SizeParam(name, lo, hi, default, span=span)

    def const(self, span: Span, name: n.Ident, type_: n.TypeExpr | None, value: n.Expr) -> n.ConstDecl:
        return n.ConstDecl(name, type_, value, span=span, doc=self._doc(span))

    def state(
        self,
        span: Span,
        pub: n.Ident | None,
        ghost: n.Ident | None,
        name: n.Ident,
        type_: n.TypeExpr,
        init: n.Expr | None,
        guard: n.Guard | None,
    ) -> n.StateDecl:
        return n.StateDecl(
            pub is not None, ghost is not None, name, type_, init, guard, span=span, doc=self._doc(span)
        )

    def guarded_by(self, span: Span, guard: n.GuardExpr, any_: n.Ident | None) -> n.GuardedBy:
        return n.GuardedBy(guard, any_ is not None, span=span)

    def guarded_write_first(self, span: Span, write: n.GuardExpr, read: n.GuardExpr | None) -> n.GuardedByAccess:
        return n.GuardedByAccess(write, read, span=span)

    def guarded_read_first(self, span: Span, read: n.GuardExpr, write: n.GuardExpr | None) -> n.GuardedByAccess:
        return n.GuardedByAccess(write, read, span=span)

    def racy_state(self, span: Span) -> n.RacyState:
        return n.RacyState(span=span)

    def write_guard(self, span: Span, guard: n.GuardExpr) -> n.GuardExpr:
        return guard

    def read_guard(self, span: Span, guard: n.GuardExpr) -> n.GuardExpr:
        return guard

    def guard_none(self, span: Span) -> n.GuardNone:
        return n.GuardNone(span=span)

    def guard_or(self, span: Span, *parts: n.GuardExpr) -> n.GuardOr:
        return n.GuardOr(parts, span=span)

    def guard_and(self, span: Span, *parts: n.GuardExpr) -> n.GuardAll:
        return n.GuardAll(parts, span=span)

    def guard_place(self, span: Span, lock: n.Expr) -> n.GuardLock:
        return n.GuardLock(lock, False, span=span)

    def guard_srcu(self, span: Span, lock: n.Expr) -> n.GuardLock:
        return n.GuardLock(lock, True, span=span)

    def lock(
        self,
        span: Span,
        pub: n.Ident | None,
        name: n.Ident,
        indexes: tuple[n.ArrayIndex, ...],
        kind: n.Ident,
        *options: n.LockOption | None,
    ) -> n.LockDecl:
        known = get_args(n.LockKind)
        if kind.text in rules.LATER:
            self.faults.append(not_yet_supported(kind.text, kind.span))
        elif kind.text not in known:
            self._fault(
                rules.UNKNOWN_LOCK_KIND,
                f"there is no kind of lock called `{kind.text}`",
                kind.span,
                suggest(kind.text, known),
            )
        if len(indexes) > 2:
            self._fault(
                rules.TOO_MANY_LOCK_INDEXES,
                f"an array of locks has one or two dimensions, `{name.text}` has {len(indexes)}",
                replace(indexes[2].span, end=indexes[-1].span.end),
                "use a product type as an index",
            )
        return n.LockDecl(
            pub is not None,
            name,
            indexes,
            cast(n.LockKind, kind.text),
            tuple(o for o in options if o is not None),
            span=span,
            doc=self._doc(span),
        )

    def plain_lock(
        self, span: Span, pub: n.Ident | None, name: n.Ident, kind: n.Ident, *options: n.LockOption | None
    ) -> n.LockDecl:
        return self.lock(span, pub, name, (), kind, *options)

    def object_pool(
        self, span: Span, name: n.Ident, size: n.SizeParam | n.Expr, *members: n.StateDecl | n.LockDecl
    ) -> n.ObjectDecl:
        for member in members:
            if isinstance(member, n.LockDecl) and len(member.indexes) == 2:
                self._fault(
                    rules.TOO_MANY_LOCK_INDEXES,
                    f"an array of locks in an object has one dimension, `{member.name.text}` has two",
                    member.indexes[1].span,
                    "use a product type as an index",
                )
        return n.ObjectDecl(name, size, members, span=span, doc=self._doc(span))

    def lock_option(self, span: Span, name: n.Ident, when: n.Expr | None) -> n.LockOption:
        if name.text not in ("unfair", "irq"):
            self._fault(
                rules.UNKNOWN_LOCK_OPTION,
                f"there is no option of locks called `{name.text}`",
                name.span,
                suggest(name.text, ("unfair", "irq")),
            )
        elif name.text == "irq" and when is not None:
            self._fault(
                rules.UNKNOWN_LOCK_OPTION, "only `unfair` takes `when`", when.span, "write `irq` without a condition"
            )
        return n.LockOption("irq" if name.text == "irq" else "unfair", when, span=span)

    def routine(
        self,
        span: Span,
        pub: n.Ident | None,
        ghost: n.Ident | None,
        plain: tuple[n.Path, n.RoutineDecl],
    ) -> n.RoutineDecl:
        path, decl = plain
        self._single(path, decl.kind)
        return replace(decl, pub=pub is not None, ghost=ghost is not None, span=span, doc=self._doc(span))

    def plain_routine(
        self,
        span: Span,
        slow: n.Ident | None,
        kind: n.Ident,
        path: n.Path,
        params: tuple[n.Param, ...] | None,
        result: n.TypeExpr | None,
        may_fail: tuple[n.Expr, ...] | None,
        requires: n.Expr | None,
        holds: tuple[n.Holding, ...] | None,
        body: n.Block,
    ) -> tuple[n.Path, n.RoutineDecl]:
        word: n.RoutineKind = "op" if kind.text == "op" else "proc"
        decl = n.RoutineDecl(
            word, False, False, path[-1], params or (), result, requires, body, may_fail or (), slow is not None,
            holds or (), span=span
        )  # fmt: skip
        return path, decl

    def may_fail(self, span: Span, *codes: n.Expr) -> tuple[n.Expr, ...]:
        return codes

    def holdings(self, span: Span, *holdings: n.Holding) -> tuple[n.Holding, ...]:
        return holdings

    def holding(self, span: Span, lock: n.Expr, mode: n.Mode | None, otherwise: n.Expr | None) -> n.Holding:
        return n.Holding(lock, mode, otherwise, span=span)

    def params(self, span: Span, *params: n.Param) -> tuple[n.Param, ...]:
        return params

    def param_decl(self, span: Span, ref: n.Ident | None, name: n.Ident, type_: n.TypeExpr) -> n.Param:
        return n.Param(ref is not None, name, type_, span=span)

    def fn(
        self,
        span: Span,
        path: n.Path,
        params: tuple[n.Param, ...] | None,
        result: n.TypeExpr,
        body: n.Expr | n.Block,
    ) -> tuple[n.Path, n.FnDecl]:
        return path, n.FnDecl(path[-1], params or (), result, body, span=span, doc=self._doc(span))

    def plain_fn(self, span: Span, plain: tuple[n.Path, n.FnDecl]) -> n.FnDecl:
        self._single(plain[0], "fn")
        return plain[1]

    def thread(
        self,
        span: Span,
        migrating: n.Ident | None,
        kind: n.Ident,
        path: n.Path,
        indexes: tuple[n.TypedName, ...] | None,
        where: n.Expr | None,
        cpu: n.Expr | None,
        body: n.Block,
    ) -> tuple[n.Path, n.ThreadDecl]:
        word = cast(n.ThreadKind, kind.text)
        made = n.ThreadDecl(word, path[-1], indexes or (), where, body, cpu, False, migrating is not None, span=span)
        return path, replace(made, doc=self._doc(span))

    def plain_thread(self, span: Span, plain: tuple[n.Path, n.ThreadDecl]) -> n.ThreadDecl:
        self._single(plain[0], plain[1].kind)
        return plain[1]

    def plain_interrupt(self, span: Span, plain: tuple[n.Path, n.ThreadDecl]) -> n.ThreadDecl:
        self._single(plain[0], plain[1].kind)
        return plain[1]

    def interrupt(
        self, span: Span, path: n.Path, cpus: n.Path, by: frozenset[str] | None, body: n.Block
    ) -> tuple[n.Path, n.ThreadDecl]:
        at = replace(cpus[0].span, end=cpus[-1].span.end)
        index = n.TypedName(cpus[-1], n.NamedType(cpus, span=at), span=at)
        how = by or frozenset()
        ends = n.ThreadDecl("interrupt", path[-1], (index,), None, body, None, "ipi" in how, span=span)
        return path, replace(ends, nmi="nmi" in how, doc=self._doc(span))

    def cause(self, span: Span, *words: n.Ident | None) -> frozenset[str]:
        return frozenset(w.text for w in words if w is not None)

    def typed_names(self, span: Span, *names: n.TypedName) -> tuple[n.TypedName, ...]:
        return names

    def typed_name(self, span: Span, name: n.Ident, type_: n.TypeExpr) -> n.TypedName:
        return n.TypedName(name, type_, span=span)

    def variant(
        self, span: Span, name: n.Ident, plain: tuple[n.Path, n.RoutineDecl | n.FnDecl | n.ThreadDecl]
    ) -> n.VariantDecl:
        return n.VariantDecl(name, plain[0], plain[1], span=span, doc=self._doc(span))

    def init(self, span: Span, body: n.Block) -> n.Init:
        return n.Init(body, span=span, doc=self._doc(span))

    def invariant(
        self, span: Span, always: n.Ident | None, name: n.Ident, family: n.Ident | None, condition: n.Expr
    ) -> n.Invariant:
        return n.Invariant(always is not None, name, family, condition, span=span, doc=self._doc(span))

    def transition(self, span: Span, name: n.Ident, family: n.Ident | None, condition: n.Expr) -> n.TransitionProp:
        return n.TransitionProp(name, family, condition, span=span, doc=self._doc(span))

    def final(self, span: Span, name: n.Ident, family: n.Ident | None, condition: n.Expr) -> n.Final:
        return n.Final(name, family, condition, span=span, doc=self._doc(span))

    def weakness(self, span: Span, name: n.Ident, family: n.Ident | None, condition: n.Expr) -> n.Weakness:
        return n.Weakness(name, family, condition, span=span, doc=self._doc(span))

    def reachable(self, span: Span, name: n.Ident, condition: n.Expr) -> n.Reachable:
        return n.Reachable(name, None, (), condition, span=span, doc=self._doc(span))

    def reachable_when(self, span: Span, name: n.Ident, when: n.Expr, condition: n.Expr) -> n.Reachable:
        return n.Reachable(name, when, (), condition, span=span, doc=self._doc(span))

    def reachable_in(
        self, span: Span, name: n.Ident, scenarios: tuple[n.Ident, ...], condition: n.Expr
    ) -> n.Reachable:
        return n.Reachable(name, None, scenarios, condition, span=span, doc=self._doc(span))

    def progress(
        self,
        span: Span,
        name: n.Ident,
        family: n.Ident | None,
        first: n.Expr,
        then: n.Expr | None,
        rigid: tuple[tuple[n.Binder, ...], n.Expr | None] | None,
    ) -> n.Progress:
        pending, reached = (None, first) if then is None else (first, then)
        binders, where = rigid if rigid is not None else ((), None)
        return n.Progress(name, family, pending, reached, binders, where, span=span, doc=self._doc(span))

    def rigid(
        self, span: Span, binders: tuple[n.Binder, ...], where: n.Expr | None
    ) -> tuple[tuple[n.Binder, ...], n.Expr | None]:
        return binders, where

    def progress_finishes(
        self, span: Span, name: n.Ident, family: n.Ident | None, routine: n.Path
    ) -> n.Finishing:
        return n.Finishing(name, family, routine, span=span, doc=self._doc(span))

    def finishing(self, span: Span, routine: n.Path) -> n.Finishing:
        at = Span(span.file, routine[0].span.start, routine[-1].span.end)
        name = n.Ident(".".join(part.text for part in routine), span=at)
        return n.Finishing(name, None, routine, span=span, doc=self._doc(span))

    def recoverable(
        self, span: Span, name: n.Ident, family: n.Ident | None, condition: n.Expr
    ) -> n.Recoverable:
        return n.Recoverable(name, family, condition, span=span, doc=self._doc(span))

    def run(
        self,
        span: Span,
        name: n.Ident,
        scenarios: tuple[n.Ident, ...] | None,
        binders: tuple[n.Binder, ...] | None,
        where: n.Expr | None,
        *rest: n.RunLine | n.Expr | None,
    ) -> n.RunDecl:
        lines = cast("tuple[n.RunLine, ...]", rest[:-1])
        leads = cast("n.Expr | None", rest[-1])
        return n.RunDecl(
            name, scenarios or (), binders or (), where, lines, leads, span=span, doc=self._doc(span)
        )

    def run_line(self, span: Span, thread: n.Expr, label: n.Ident) -> n.RunLine:
        return n.RunLine(thread, label, span=span)

    # ----------------------------------------------------------------------------------------- scenarios, checks

    def scenario(self, span: Span, name: n.Ident, *items: n.ScenarioItem) -> n.Scenario:
        return n.Scenario(name, items, span=span, doc=self._doc(span))

    def with_variants(self, span: Span, names: tuple[n.Ident, ...]) -> n.WithVariants:
        return n.WithVariants(names, span=span)

    def without(self, span: Span, threads: tuple[n.Path, ...]) -> n.Without:
        return n.Without(threads, span=span)

    def set_param(self, span: Span, name: n.Ident, value: n.Expr) -> n.SetParam:
        return n.SetParam(name, value, span=span)

    def set_range(self, span: Span, name: n.Ident, lo: n.Expr, hi: n.Expr) -> n.SetRange:
        return n.SetRange(name, lo, hi, span=span)

    def fail_only(self, span: Span, routines: tuple[n.Path, ...]) -> n.FailOnly:
        return n.FailOnly(routines, span=span)

    def expect(self, span: Span, *expectations: n.Expectation) -> n.Expect:
        return n.Expect(expectations, span=span)

    def expectation(self, span: Span, *parts: n.Path | tuple[n.Ident, bool] | n.Ident | None) -> n.Expectation:
        """Sort the words of ``lock_order cycle violated in 5 steps at map`` into target, kind and outcome."""
        within = cast("tuple[n.Ident, bool] | None", parts[-2])
        label = cast("n.Ident | None", parts[-1])
        either = cast("n.Path | None", parts[-3])
        words = cast("tuple[n.Path, ...]", parts[:-3])
        said = [".".join(i.text for i in w) for w in words]
        target, rest = words[0], said[1:]
        kind: n.FindingKind | None = None
        for known in get_args(n.FindingKind):
            if rest[: len(known.split())] == known.split():
                kind = cast(n.FindingKind, known)
                rest = rest[len(known.split()) :]
                break
        outcome: n.Outcome | None = None
        if len(rest) == 1:
            outcome = "holds" if rest == ["hold"] else _OUTCOMES.get(rest[0])
        elif not rest and kind is not None:
            outcome = "found"
        if outcome is None:
            self._bad_outcome(words, rest)
            outcome = "any"
        if kind is not None and said[0] != "lock_order":
            self._fault(
                rules.BAD_EXPECTATION,
                f"`{kind}` is a kind of lock_order finding; `{said[0]}` has no kinds",
                replace(words[1][0].span, end=words[len(kind.split())][-1].span.end),
                f"write `lock_order {kind} ...`, or `{said[0]} violated`",
            )
        if (within is not None or label is not None) and outcome in (
            "holds", "unreachable", "vacuous", "unknown", "impossible"
        ):  # fmt: skip
            self._fault(
                rules.BAD_EXPECTATION,
                f"`{rest[-1] if rest else outcome}` has no run, so it takes neither steps nor a label",
                span,
                "only what is violated has a number of steps or ends at a label",
            )
        if either is not None:
            outcome = self._or_vacuous(outcome, either)
        steps = None if within is None else self._number(within[0])
        return n.Expectation(
            target, kind, outcome, steps, within is not None and within[1], label, span=span
        )

    def _or_vacuous(self, outcome: n.Outcome, either: n.Path) -> n.Outcome:
        said = ".".join(i.text for i in either)
        if outcome == "holds" and said == "vacuous":
            return "holds or vacuous"
        self._fault(
            rules.BAD_EXPECTATION,
            f"`or {said}` cannot follow `{outcome}`",
            replace(either[0].span, end=either[-1].span.end),
            "only `hold or vacuous` leaves a choice; `any` takes everything",
        )
        return "any"

    def _bad_outcome(self, words: tuple[n.Path, ...], rest: list[str]) -> None:
        known = (*_OUTCOMES, *(k for k in get_args(n.FindingKind)))
        outcomes = tuple(_OUTCOMES)
        if not rest:
            last = words[-1]
            self._fault(
                rules.BAD_EXPECTATION,
                f"what is expected of `{'.'.join(i.text for i in last)}`?",
                replace(last[0].span, end=last[-1].span.end),
                "add `holds`, `violated`, `unreachable`, `vacuous`, `unknown` or `any`",
            )
            return
        wrong = next((i for i, r in enumerate(rest) if r not in (*_OUTCOMES, "hold")), len(rest) - 1)
        at = words[len(words) - len(rest) + wrong]
        span = replace(at[0].span, end=at[-1].span.end)
        said = rest[wrong]
        self._fault(
            rules.BAD_EXPECTATION,
            f"`{said}` is not something that can be expected here",
            span,
            suggest(said, known if words[0][0].text == "lock_order" else outcomes)
            if said not in (*_OUTCOMES, "hold")
            else "separate expectations by `,`",
        )

    def bare_word(self, span: Span, word: n.Ident) -> n.Path:
        return (word,)

    def within_at_most(self, span: Span, steps: n.Ident) -> tuple[n.Ident, bool]:
        return steps, True

    def within_exactly(self, span: Span, steps: n.Ident) -> tuple[n.Ident, bool]:
        return steps, False

    def check(self, span: Span, targets: tuple[n.Path, ...]) -> n.Check:
        return n.Check(targets, span=span, doc=self._doc(span))

    # ----------------------------------------------------------------------------------------------------- types

    def array_type(self, span: Span, indexes: tuple[n.ArrayIndex, ...], element: n.TypeExpr) -> n.ArrayType:
        return n.ArrayType(indexes, element, span=span)

    def index_list(self, span: Span, *indexes: n.ArrayIndex) -> tuple[n.ArrayIndex, ...]:
        return indexes

    def array_index(self, span: Span, name: n.Ident, type_: n.TypeExpr) -> n.ArrayIndex:
        return n.ArrayIndex(name, type_, span=span)

    def unnamed_index(self, span: Span, type_: n.TypeExpr) -> n.ArrayIndex:
        return n.ArrayIndex(None, type_, span=span)

    def set_type(self, span: Span, element: n.TypeExpr) -> n.SetType:
        return n.SetType(element, span=span)

    def option(self, span: Span, element: n.TypeExpr) -> n.OptionType:
        return n.OptionType(element, span=span)

    def named_type(self, span: Span, path: n.Path) -> n.NamedType:
        return n.NamedType(path, span=span)

    def bool_type(self, span: Span) -> n.BoolType:
        return n.BoolType(span=span)

    def range_type(self, span: Span, lo: n.Expr, hi: n.Expr) -> n.RangeType:
        return n.RangeType(lo, hi, span=span)

    def enum_type(self, span: Span, members: tuple[n.Ident, ...]) -> n.EnumType:
        return n.EnumType(members, span=span)

    def record_type(self, span: Span, fields: tuple[n.TypedName, ...]) -> n.RecordType:
        return n.RecordType(fields, span=span)

    def version_type(self, span: Span) -> n.VersionType:
        return n.VersionType(span=span)

    def counter_type(self, span: Span, window: n.Expr) -> n.CounterType:
        return n.CounterType(window, span=span)

    def snapshot_type(self, span: Span, of: n.Expr) -> n.SnapshotType:
        return n.SnapshotType(of, span=span)

    def minus_int(self, span: Span, minus: n.Ident, number: n.Ident) -> n.Unary:
        return n.Unary("-", self.int_lit(number.span, number), span=span)

    def path_value(self, span: Span, path: n.Path) -> n.Expr:
        value: n.Expr = n.Name(path[0], span=path[0].span)
        for ident in path[1:]:
            value = n.Member(value, ident, span=replace(span, end=ident.span.end))
        return value

    # ----------------------------------------------------------------------------------------------- expressions

    def conditional(self, span: Span, cond: n.Expr, then: n.Expr, otherwise: n.Expr) -> n.Conditional:
        return n.Conditional(cond, then, otherwise, span=span)

    def binary(self, span: Span, left: n.Expr, op: n.Ident, right: n.Expr) -> n.Binary:
        return n.Binary(cast(n.BinaryOp, op.text), left, right, span=span)

    def quantifier(
        self, span: Span, kind: n.Ident, binders: tuple[n.Binder, ...], where: n.Expr | None, body: n.Expr
    ) -> n.Quantified:
        return n.Quantified(cast(n.QuantifierKind, kind.text), binders, where, body, span=span)

    def unary(self, span: Span, op: n.Ident, operand: n.Expr) -> n.Unary:
        return n.Unary(cast(n.UnaryOp, op.text), operand, span=span)

    def binders(self, span: Span, *binders: n.Binder) -> tuple[n.Binder, ...]:
        return binders

    def binder(self, span: Span, name: n.Ident, domain: n.Domain) -> n.Binder:
        return n.Binder(name, _domain(domain), span=span)

    def try_acquire(self, span: Span, lock: n.Expr, mode: n.Mode | None) -> n.TryAcquire:
        return n.TryAcquire(lock, mode, span=span)

    def new_object(self, span: Span, pool: n.Path) -> n.NewObject:
        return n.NewObject(pool, span=span)

    def int_lit(self, span: Span, number: n.Ident) -> n.IntLit:
        return n.IntLit(self._number(number), span=span)

    def _number(self, number: n.Ident) -> int:
        digits = number.text.replace("_", "")
        if len(digits) > _MAX_DIGITS:
            self._fault(
                rules.NUMBER_TOO_LARGE,
                f"a number with {len(digits)} digits is more than any model needs",
                number.span,
                f"numbers may have {_MAX_DIGITS} digits",
            )
            return 0
        return int(digits, 16) if digits[:2].lower() == "0x" else int(digits)

    def true_lit(self, span: Span) -> n.BoolLit:
        return n.BoolLit(True, span=span)

    def false_lit(self, span: Span) -> n.BoolLit:
        return n.BoolLit(False, span=span)

    def none_lit(self, span: Span) -> n.NoneLit:
        return n.NoneLit(span=span)

    def stale_lit(self, span: Span) -> n.StaleLit:
        return n.StaleLit(span=span)

    def set_lit(self, span: Span, *elements: n.Expr) -> n.SetLit:
        return n.SetLit(elements, span=span)

    def record_lit(self, span: Span, *fields: n.FieldValue) -> n.RecordLit:
        return n.RecordLit(fields, span=span)

    def field_value(self, span: Span, name: n.Ident, value: n.Expr) -> n.FieldValue:
        return n.FieldValue(name, value, span=span)

    def name(self, span: Span, ident: n.Ident) -> n.Name:
        return n.Name(ident, span=span)

    def member_of(self, span: Span, base: n.Expr, ident: n.Ident) -> n.Member:
        return n.Member(base, ident, span=span)

    def index(self, span: Span, base: n.Expr, *indexes: n.Expr) -> n.Expr:
        for index in indexes[:-1]:
            base = n.Index(base, index, span=replace(span, end=index.span.end))
        return n.Index(base, indexes[-1], span=span)

    def call(self, span: Span, func: n.Expr, args: tuple[n.Expr | n.RefArg, ...] | None) -> n.Call:
        if not isinstance(func, n.Name | n.Member):
            self._fault(
                rules.NOT_A_CALL, "only a proc, op, fn or built-in can be called", func.span, "call it by its name"
            )
        return n.Call(func, args or (), span=span)

    def unwrap(self, span: Span, operand: n.Expr) -> n.Unwrap:
        return n.Unwrap(operand, span=span)

    def grouped(self, span: Span, inner: n.Expr) -> n.Expr:
        return inner

    def old(self, span: Span, operand: n.Expr) -> n.Old:
        return n.Old(operand, span=span)

    def at_label(self, span: Span, thread: n.Expr, label: n.Ident) -> n.At:
        return n.At(thread, label, span=span)

    def in_region(self, span: Span, thread: n.Expr, region: n.Ident) -> n.In:
        return n.In(thread, region, span=span)

    def finished(self, span: Span, thread: n.Expr) -> n.Finished:
        return n.Finished(thread, span=span)

    def held(self, span: Span, lock: n.Expr, mode: n.Mode | None, by: n.Expr | None) -> n.Held:
        return n.Held(lock, mode, by, span=span)

    def racy(self, span: Span, operand: n.Expr) -> n.Racy:
        return n.Racy(operand, span=span)

    def arguments(self, span: Span, *args: n.Expr | n.RefArg) -> tuple[n.Expr | n.RefArg, ...]:
        return args

    def ref_arg(self, span: Span, target: n.Expr) -> n.RefArg:
        return n.RefArg(target, span=span)

    # ------------------------------------------------------------------------------------------------ statements

    def block(self, span: Span, *statements: n.Stmt) -> n.Block:
        return n.Block(statements, span=span)

    def labeled(self, span: Span, label: n.Ident, statement: n.Stmt) -> n.Labeled:
        return n.Labeled(label, statement, span=span)

    def var(self, span: Span, name: n.Ident, type_: n.TypeExpr | None, init: n.Expr | None) -> n.VarDecl:
        if type_ is None and init is None:
            self._fault(
                rules.UNTYPED_VARIABLE,
                f"`{name.text}` has neither a type nor a value",
                name.span,
                f"write `var {name.text} : T;` or `var {name.text} = e;`",
            )
        return n.VarDecl(name, type_, init, span=span)

    def let(self, span: Span, name: n.Ident, type_: n.TypeExpr | None, init: n.Expr) -> n.Let:
        return n.Let(name, type_, init, span=span)

    def let_new(
        self, span: Span, name: n.Ident, type_: n.TypeExpr | None, pool: n.Path, otherwise: n.Block
    ) -> n.LetNew:
        at = replace(pool[0].span, end=pool[-1].span.end)
        return n.LetNew(name, type_, n.NewObject(pool, span=at), otherwise, span=span)

    def free(self, span: Span, target: n.Expr) -> n.Free:
        return n.Free(target, span=span)

    def assign(self, span: Span, target: n.Expr, op: n.AssignOp, value: n.Expr) -> n.Assign:
        if not _assignable(target):
            self._fault(
                rules.NOT_ASSIGNABLE,
                f"nothing can be stored in `{_short(target.span)}`",
                target.span,
                "the left side is a variable, a field or an element of an array"
                + ("; `==` compares" if op == "=" else ""),
            )
        return n.Assign(target, op, value, span=span)

    def assign_op(self, span: Span, op: n.Ident) -> n.AssignOp:
        return cast(n.AssignOp, op.text)

    def expr_stmt(self, span: Span, value: n.Expr) -> n.Stmt:
        if isinstance(value, n.Call):
            return n.ExprStmt(value, span=span)
        if isinstance(value, n.Name) and value.ident.text in rules.LATER:
            self.faults.append(not_yet_supported(value.ident.text, value.span))
            return n.Skip(span=span)
        self._fault(
            rules.NOT_A_CALL,
            f"`{_short(value.span)}` does nothing on its own",
            value.span,
            f"to call it, write `{_short(value.span)}();`"
            if isinstance(value, n.Name | n.Member)
            else "a statement is a call, an assignment, or begins with a keyword",
        )
        return n.Skip(span=span)

    def ignore(self, span: Span, value: n.Expr) -> n.Stmt:
        if isinstance(value, n.Call):
            return n.Ignore(value, span=span)
        self._fault(
            rules.NOT_A_CALL,
            "`ignore` drops the result of a call, and this is none",
            value.span,
            "write `ignore f(x);`, or remove the line",
        )
        return n.Skip(span=span)

    def try_(
        self,
        span: Span,
        path: n.Path,
        args: tuple[n.Expr | n.RefArg, ...] | None,
        otherwise: n.Expr | None = None,
    ) -> n.Try:
        func: n.Expr = n.Name(path[0], span=path[0].span)
        for ident in path[1:]:
            func = n.Member(func, ident, span=replace(path[0].span, end=ident.span.end))
        end = span.file.text.rindex(")", 0, otherwise.span.start if otherwise is not None else span.end) + 1
        call = n.Call(func, args or (), span=replace(path[0].span, end=end))
        return n.Try(call, otherwise, span=span)

    def on_error(self, span: Span, body: n.Block) -> n.OnError:
        return n.OnError(body, span=span)

    def choose(self, span: Span, name: n.Ident, type_: n.TypeExpr, where: n.Expr | None) -> n.Choose:
        return n.Choose(name, type_, where, None, span=span)

    def choose_else(
        self, span: Span, name: n.Ident, type_: n.TypeExpr, where: n.Expr | None, otherwise: n.Block
    ) -> n.Choose:
        return n.Choose(name, type_, where, otherwise, span=span)

    def havoc(self, span: Span, target: n.Expr) -> n.Havoc:
        return n.Havoc(target, span=span)

    def if_stmt(self, span: Span, cond: n.Expr, then: n.Block, otherwise: n.Block | n.If | None) -> n.If:
        return n.If(cond, then, otherwise, span=span)

    def while_loop(self, span: Span, cond: n.Expr, body: n.Block) -> n.While:
        return n.While(cond, body, span=span)

    def loop(self, span: Span, body: n.Block) -> n.Loop:
        return n.Loop(body, span=span)

    def budget(self, span: Span, times: n.Expr, body: n.Block, otherwise: n.Block | None) -> n.Budget:
        return n.Budget(times, body, otherwise, span=span)

    def for_in(self, span: Span, name: n.Ident, domain: n.Domain, where: n.Expr | None, body: n.Block) -> n.ForIn:
        if isinstance(domain, n.RangeType):
            lo, hi = _short(domain.lo.span), _short(domain.hi.span)
            self._fault(
                rules.CLOSED_RANGE_IN_FOR,
                "a `for` over numbers is half-open and written with `..<`",
                domain.span,
                f"`{lo} ..< {hi}` stops before `{hi}`; to visit `{hi}` too write `{lo} ..< {hi} + 1`",
            )
        return n.ForIn(name, _domain(domain), where, body, span=span)

    def for_range(
        self,
        span: Span,
        name: n.Ident,
        lo: n.Expr,
        hi: n.Expr,
        by: n.Expr | None,
        down: n.Ident | None,
        body: n.Block,
    ) -> n.ForRange:
        return n.ForRange(name, lo, hi, by, down is not None, body, span=span)

    def break_(self, span: Span) -> n.Break:
        return n.Break(span=span)

    def continue_(self, span: Span) -> n.Continue:
        return n.Continue(span=span)

    def return_(self, span: Span, value: n.Expr | None) -> n.Return:
        return n.Return(value, span=span)

    def retry(self, span: Span) -> n.Retry:
        return n.Retry(span=span)

    def fair_retry(self, span: Span) -> n.Retry:
        return n.Retry(True, span=span)

    def either(self, span: Span, *branches: n.Block) -> n.Either:
        return n.Either(branches, span=span)

    def fair_either(self, span: Span, *branches: n.Block) -> n.Either:
        return n.Either(branches, True, span=span)

    def atomic(self, span: Span, body: n.Block) -> n.Atomic:
        return n.Atomic(body, span=span)

    def ghost_block(self, span: Span, body: n.Block) -> n.GhostBlock:
        return n.GhostBlock(body, span=span)

    def region(self, span: Span, name: n.Ident, body: n.Block) -> n.Region:
        return n.Region(name, body, span=span)

    def masked(self, span: Span, word: n.Ident, body: n.Block) -> n.Masked:
        return n.Masked(cast(n.Mask, word.text), body, span=span)

    def ipi(self, span: Span, handler: n.Expr, cpu: n.Expr) -> n.Ipi:
        return n.Ipi(handler, cpu, False, span=span)

    def ipi_wait(self, span: Span, handler: n.Expr, cpu: n.Expr) -> n.Ipi:
        return n.Ipi(handler, cpu, True, span=span)

    def with_locks(self, span: Span, *parts: n.LockUse | n.Block) -> n.With:
        locks = tuple(p for p in parts if isinstance(p, n.LockUse))
        return n.With(locks, cast(n.Block, parts[-1]), span=span)

    def under(self, span: Span, lock: n.LockUse, body: n.Stmt) -> n.Under:
        return n.Under(lock, body, span=span)

    def acquire(
        self, span: Span, every: n.Ident | None, lock: n.Expr, mode: n.Mode | None, killed: n.Block | None = None
    ) -> n.Acquire:
        return n.Acquire(lock, mode, every is not None, killed, span=span)

    def release(self, span: Span, every: n.Ident | None, lock: n.Expr, mode: n.Mode | None) -> n.Release:
        return n.Release(lock, mode, every is not None, span=span)

    def downgrade(self, span: Span, lock: n.Expr) -> n.Downgrade:
        return n.Downgrade(lock, span=span)

    def synchronize(self, span: Span, lock: n.Expr) -> n.Synchronize:
        return n.Synchronize(lock, span=span)

    def await_(
        self,
        span: Span,
        cond: n.Expr,
        idle: n.Ident | None,
        unless: n.Expr | None,
        killed: n.Block | None = None,
    ) -> n.Await:
        return n.Await(cond, idle is not None, unless, killed, span=span)

    def spin_until(self, span: Span, cond: n.Expr) -> n.SpinUntil:
        return n.SpinUntil(cond, span=span)

    def assert_(self, span: Span, cond: n.Expr, message: str | None, family: n.Ident | None) -> n.Assert:
        return n.Assert(cond, message, family, span=span)

    def bug(self, span: Span, message: str) -> n.Bug:
        return n.Bug(message, span=span)

    def stop(self, span: Span, thread: n.Expr) -> n.Stop:
        return n.Stop(thread, span=span)

    def halt(self, span: Span) -> n.Halt:
        return n.Halt(span=span)

    def skip(self, span: Span) -> n.Skip:
        return n.Skip(span=span)

    def might_sleep(self, span: Span) -> n.MightSleep:
        return n.MightSleep(span=span)

    def lock_use(self, span: Span, lock: n.Expr, mode: n.Mode | None) -> n.LockUse:
        return n.LockUse(lock, mode, span=span)

    def mode(self, span: Span, word: n.Ident) -> n.Mode:
        return "read" if word.text == "read" else "write"

    # ----------------------------------------------------------------------------------------------------- names

    def path(self, span: Span, *idents: n.Ident) -> n.Path:
        return idents

    def pool_path(self, span: Span, *idents: n.Ident) -> n.Path:
        return idents

    def paths(self, span: Span, *paths: n.Path) -> tuple[n.Path, ...]:
        return paths

    def names(self, span: Span, *idents: n.Ident) -> tuple[n.Ident, ...]:
        return idents

    def string(self, span: Span, text: n.Ident) -> str:
        for escape in re.finditer(r"\\(.)", text.text):
            if escape[1] not in '"\\':
                start = text.span.start + escape.start()
                where = Span(text.span.file, start, start + 2)
                mend = 'only `\\"` and `\\\\` are escapes; a backslash itself is written `\\\\`'
                self._fault(rules.UNKNOWN_ESCAPE, f"`{escape[0]}` means nothing in a text", where, mend)
        return re.sub(r"\\(.)", r"\1", text.text[1:-1])

    def ident(self, span: Span, word: n.Ident) -> n.Ident:
        return word


_OUTCOMES: Mapping[str, n.Outcome] = {
    "holds": "holds",
    "violated": "violated",
    "unreachable": "unreachable",
    "vacuous": "vacuous",
    "unknown": "unknown",
    "any": "any",
    "found": "found",
    "impossible": "impossible",
}


def _domain(domain: n.Domain) -> n.Domain:
    """A bare path is a ``NamedType``, whatever it names."""
    path: list[n.Ident] = []
    at = domain
    while isinstance(at, n.Member):
        path.append(at.ident)
        at = at.base
    if isinstance(at, n.Name):
        return n.NamedType((at.ident, *reversed(path)), span=domain.span)
    return domain


def _assignable(target: n.Expr) -> bool:
    if isinstance(target, n.Racy):
        target = target.operand
    if not isinstance(target, n.Name | n.Member | n.Index):
        return False
    while isinstance(target, n.Member | n.Index | n.Unwrap):
        target = target.operand if isinstance(target, n.Unwrap) else target.base
    return isinstance(target, n.Name)


def _short(span: Span) -> str:
    """The text of ``span`` on one line, cut where it is long."""
    text = " ".join(span.text.split())
    return text if len(text) <= 40 else text[:37] + "..."
