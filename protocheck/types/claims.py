"""Properties, scenarios, expectations and checks: what a model says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from protocheck.diagnostics import Label
from protocheck.ir.expr import Op, Quantifier
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.declare import Declared
from protocheck.types.expr_check import Exprs
from protocheck.types.failures import failing, from_range, refuse_budget
from protocheck.types.report import did_you_mean, listing
from protocheck.types.runs import check_runs
from protocheck.types.scope import Home, ParamSymbol, RoutineSymbol, ThreadSymbol, World, kind_of, show
from protocheck.types.type_check import Types
from protocheck.types.walk import statements

LATER: Mapping[str, tuple[str, str]] = {
    "stuck": ("a family of claims about liveness", "use `deadlock`, and `final` for threads that end"),
}
"""Families of claims that are planned."""

BOOL = ty.BoolType()

FAMILIES = (
    "lock_order", "deadlock", "livelock", "starvation", "lock_misuse", "range", "null_deref", "bug", "assertion",
)  # fmt: skip
"""The families that every model has; all others come from tags and properties."""

LIFETIME = ("use_after_free", "double_free", "leak")
"""The families of models with objects."""

PROPERTY_KINDS = {
    n.TransitionProp: "transition",
    n.Final: "final",
    n.Weakness: "weakness",
    n.Reachable: "reachable",
    n.Progress: "progress",
    n.Finishing: "progress",
    n.Recoverable: "recoverable",
}


def check_claims(world: World, types: Types, declared: Declared, module: t.CheckedModule) -> t.CheckedModule:
    """``module`` with its properties, scenarios and checks."""
    properties = _properties(world, types, declared)
    claims = _Claims(world, types, declared, replace(module, properties=properties))
    named = [node.name.text for node, _ in declared.scenarios]
    runs = check_runs(world, types, declared.runs, claims.names, claims.families, named)
    claims.runs = {r.name: r for r in runs}
    scenarios: dict[str, t.ScenarioDecl] = {}
    for node, home in declared.scenarios:
        if node.name.text in scenarios:
            world.report.add(
                rules.DUPLICATE_NAME, f"scenario `{node.name.text}` is declared twice", node.name.span, "again",
                [Label(scenarios[node.name.text].span, "the first one")],
            )  # fmt: skip
            continue
        scenarios[node.name.text] = claims.scenario(node, home)
    claims.reachables(list(scenarios))
    checks = claims.checks()
    result = replace(module, properties=properties, scenarios=scenarios, checks=checks, runs=runs)
    _instances(world, result, declared)
    return result


# ------------------------------------------------------------------------------------------------------ properties


def _properties(world: World, types: Types, declared: Declared) -> tuple[t.PropertyDecl, ...]:
    found: dict[str, t.PropertyDecl] = {}
    for node, home in declared.properties:
        done = _property(world, types, node, home)
        other = found.get(done.name)
        if other is not None:
            world.report.add(
                rules.DUPLICATE_NAME, f"property `{done.name}` is declared twice", node.name.span, "again",
                [Label(other.span, "the first one")],
            )  # fmt: skip
            continue
        found[done.name] = done
    return tuple(found.values())


def _property(world: World, types: Types, node: n.Property, home: Home) -> t.PropertyDecl:
    kind = _kind(node)
    x = Exprs(world, types, home, "property", kind)
    x.no_call = "in a property"
    if isinstance(node, n.Progress):
        return _progress(x, node, home)
    if isinstance(node, n.Finishing):
        return _finishing(x, node, home)
    when = None
    scenarios: tuple[str, ...] = ()
    family = ""
    if isinstance(node, n.Reachable):
        when = None if node.when is None else types.constant(node.when, BOOL, home)
        scenarios = tuple(s.text for s in node.scenarios)
    elif node.family is not None:
        family = node.family.text
    binders: tuple[t.Local, ...] = ()
    condition = x.condition(node.condition)
    if isinstance(node, n.Invariant) and isinstance(condition, t.Quantified) and condition.kind is Quantifier.FORALL:
        binders, body = condition.binders, condition.body
        if condition.where is not None:
            body = t.Apply(op=Op.IMPLIES, args=(condition.where, body), type=BOOL, span=condition.span)
        condition = body
    return t.PropertyDecl(
        name=home.prefix + node.name.text, kind=kind, family=family or kind.removeprefix("always "), binders=binders,
        condition=condition, when=when, scenarios=scenarios, span=node.name.span, doc=node.doc,
    )  # fmt: skip


def _progress(x: Exprs, node: n.Progress, home: Home) -> t.PropertyDecl:
    """``pending leads_to reached``: both are conditions of their own, below the same rigid names."""
    true: t.Expr = t.Const(value=1, type=BOOL, span=node.reached.span)
    pending: t.Expr | None
    binders: tuple[t.Local, ...] = ()
    where: t.Expr | None = None
    if node.binders:
        # Rigid names are bound as by a `forall` over `pending implies reached`. What `pending` shows about them stays
        # true, since they never change; nothing narrows shared state.
        before = node.pending if node.pending is not None else n.BoolLit(True, span=node.reached.span)
        both = n.Binary("implies", before, node.reached, span=node.span)
        whole = x.quantified(n.Quantified("forall", node.binders, node.where, both, span=node.span))
        if not isinstance(whole, t.Quantified) or not isinstance(whole.body, t.Apply) or len(whole.body.args) != 2:
            pending, reached = None, true
        else:
            binders, where = whole.binders, whole.where
            pending, reached = whole.body.args
    else:
        pending = None if node.pending is None else x.condition(node.pending)
        reached = x.condition(node.reached)
    family = "" if node.family is None else node.family.text
    return t.PropertyDecl(
        name=home.prefix + node.name.text, kind="progress", family=family or "progress", binders=binders,
        condition=reached, when=None, scenarios=(), span=node.name.span, doc=node.doc,
        pending=None if node.pending is None else pending, where=where,
    )  # fmt: skip


def _finishing(x: Exprs, node: n.Finishing, home: Home) -> t.PropertyDecl:
    """``every PROC finishes``."""
    at = Span(node.span.file, node.routine[0].span.start, node.routine[-1].span.end)
    symbol = x.types.path(node.routine, home, "proc")
    name = ""
    if isinstance(symbol, RoutineSymbol) and symbol.kind == "proc" and not symbol.ghost:
        name = symbol.name
    elif symbol is not None:
        what = f"a ghost {symbol.kind}" if isinstance(symbol, RoutineSymbol) and symbol.ghost else kind_of(symbol)
        whole = kind_of(symbol) == "a thread"
        mend = "write `progress NAME: p leads_to q;`"
        if whole:
            mend = f"write `progress NAME: finished({at.text});`, where it has indexes with `[i]` and `for i in T`"
        x.error(
            rules.FINISHES_AT_ONCE, f"`{at.text}` is {what}: only a `proc` {'is called' if whole else 'takes time'}",
            at, "", [x.world.declared(symbol)], f"name a proc, or {mend}",
        )  # fmt: skip
    family = "" if node.family is None else node.family.text
    return t.PropertyDecl(
        name=home.prefix + node.name.text, kind="progress", family=family or "progress", binders=(),
        condition=t.Const(value=1, type=BOOL, span=at), when=None, scenarios=(), span=node.name.span, doc=node.doc,
        finishes=name,
    )  # fmt: skip


def _kind(node: n.Property) -> str:
    match node:
        case n.Invariant():
            return "always invariant" if node.always else "invariant"
        case n.TransitionProp() | n.Final() | n.Weakness() | n.Reachable():
            return PROPERTY_KINDS[type(node)]
        case n.Progress() | n.Finishing() | n.Recoverable():
            return PROPERTY_KINDS[type(node)]
        case _:
            assert_never(node)


# ------------------------------------------------------------------------------------------------------- scenarios


class _Claims:
    def __init__(self, world: World, types: Types, declared: Declared, module: t.CheckedModule) -> None:
        self.world = world
        self.types = types
        self.declared = declared
        self.module = module
        self.names = {p.name: p for p in module.properties}
        self.families = set(FAMILIES) | {p.family for p in module.properties} | _tags(module)
        if module.pools:
            self.families |= set(LIFETIME)
        self.labels = {key.split("\0")[2] for key in world.marks["label"]}
        self.runs: dict[str, t.RunDecl] = {}
        self.variants: dict[str, list[t.VariantDecl]] = {}
        for v in module.variants:
            self.variants.setdefault(v.name, []).append(v)

    def scenario(self, node: n.Scenario, home: Home) -> t.ScenarioDecl:
        """A scenario, with every name in it looked up."""
        chosen: dict[str, Span] = {}
        settings: dict[str, t.Expr] = {}
        without: dict[str, None] = {}
        expectations: list[t.Expectation] = []
        fails: tuple[str, ...] | None = None
        for item in node.items:
            match item:
                case n.WithVariants():
                    for name in item.names:
                        self._variant(name, chosen)
                case n.SetParam():
                    self._set(item, home, settings)
                case n.SetRange():
                    self._set(from_range(self.world, item), home, settings)
                case n.FailOnly():
                    fails = (*(fails or ()), *failing(self.world, self.module, item))
                case n.Without():
                    for path in item.threads:
                        thread = self._thread(path, home)
                        if thread:
                            without[thread] = None
                case n.Expect():
                    expectations += [e for x in item.expectations if (e := self._expectation(x)) is not None]
                case _:
                    assert_never(item)
        if self.module.threads and len(without) == len(self.module.threads):
            self.world.report.add(
                rules.MODEL_WITHOUT_THREADS, f"scenario `{node.name.text}` leaves out every thread", node.name.span,
                "nothing ever happens",
            )  # fmt: skip
        self._refuse_contradictions(expectations)
        return t.ScenarioDecl(
            name=node.name.text, variants=tuple(chosen), settings=tuple(settings.items()), without=tuple(without),
            expectations=tuple(expectations), span=node.name.span, doc=node.doc, fails=fails,
        )  # fmt: skip

    def _variant(self, name: n.Ident, chosen: dict[str, Span]) -> None:
        report = self.world.report
        if name.text not in self.variants:
            if any(v.name.text == name.text for v, _ in self.declared.variants):
                return  # there is one, and it has been found faulty
            known = list(self.variants)
            report.add(
                rules.UNKNOWN_VARIANT, f"unknown variant `{name.text}`", name.span,
                mend=did_you_mean(name.text, known) or (f"there are {listing(known)}" if known else "there are none"),
            )  # fmt: skip
            return
        if name.text in chosen:
            report.add(rules.DUPLICATE_NAME, f"variant `{name.text}` is chosen twice", name.span, "again")
            return
        mine = {v.target for v in self.variants[name.text]}
        for other, span in chosen.items():
            for v in self.variants[other]:
                if v.target in mine:
                    report.add(
                        rules.CONFLICTING_VARIANTS, f"`{other}` and `{name.text}` both replace `{v.target}`", name.span,
                        "two variants of one thing", [Label(span, "the other one")], "choose one of them",
                    )  # fmt: skip
        chosen[name.text] = name.span

    def _set(self, item: n.SetParam, home: Home, settings: dict[str, t.Expr]) -> None:
        report, name = self.world.report, item.name.text
        decl = self.world.params.get(name)
        if decl is None and refuse_budget(self.world, item.name):
            return
        if decl is None:
            symbol = home.find(name)
            if isinstance(symbol, ParamSymbol):
                return
            known = list(self.world.params)
            mend = did_you_mean(name, known) or (f"there are {listing(known)}" if known else "there are none")
            headline = f"unknown parameter `{name}`"
            why = []
            if symbol is not None:
                headline = f"`{name}` is {kind_of(symbol)}, not a parameter"
                why = [self.world.declared(symbol)]
            report.add(rules.UNKNOWN_PARAMETER, headline, item.name.span, "", why, mend)
            return
        if name in settings:
            report.add(rules.DUPLICATE_NAME, f"`{name}` is set twice", item.name.span, "again")
            return
        value = self.types.constant(item.value, decl.type, home)
        settings[name] = value
        number = self.world.value(value)
        if isinstance(decl.type, ty.RangeType) and number is not None and not isinstance(value.type, ty.ErrorType):
            low, high = self.world.value(decl.type.lo), self.world.value(decl.type.hi)
            if low is not None and high is not None and not low <= number <= high:
                report.add(
                    rules.OUT_OF_RANGE, f"`{name}` cannot be {number}", item.value.span, f"must be {low} to {high}",
                    [Label(decl.span, "declared here")],
                )  # fmt: skip

    def _thread(self, path: n.Path, home: Home) -> str:
        text = ".".join(p.text for p in path)
        span = Span(path[0].span.file, path[0].span.start, path[-1].span.end)
        if text in self.world.threads:
            return text
        short = [name for name in self.world.threads if name.endswith(f".{text}")]
        if len(short) == 1:
            return short[0]
        symbol = home.find(path[0].text) if len(path) == 1 else None
        known = [*self.world.threads, *(name.split(".")[-1] for name in self.world.threads)]
        if len(short) > 1:
            mend = f"there are {listing(short)}"
            self.world.report.add(
                rules.UNKNOWN_THREAD, f"several threads are called `{text}`", span, "which one?", (), mend
            )
        else:
            what = (
                f"`{text}` is {kind_of(symbol)}, not a thread"
                if (symbol is not None and not isinstance(symbol, ThreadSymbol))
                else f"unknown thread `{text}`"
            )
            self.world.report.add(
                rules.UNKNOWN_THREAD, what, span,
                mend=did_you_mean(text, known) or f"there are {listing(self.world.threads)}",
            )  # fmt: skip
        return ""

    # ---------------------------------------------------------------------------------------------- expectations

    def target(self, path: n.Path) -> str:
        """The property or family that ``path`` names ("" if none); ``all`` and ``others`` stand for themselves."""
        text = ".".join(p.text for p in path)
        if text in ("all", "others") or text in self.names or text in self.families or text in self.runs:
            return text
        short = [name for name in self.names if name.endswith(f".{text}")]
        if len(short) == 1:
            return short[0]
        span = Span(path[0].span.file, path[0].span.start, path[-1].span.end)
        if text in LATER:
            what, instead = LATER[text]
            self.world.report.add(
                rules.NOT_YET_SUPPORTED, f"`{text}` is not supported yet: {what}", span, mend=f"for now, {instead}"
            )
            return ""
        known = sorted({*self.names, *self.families, *self.runs})
        self.world.report.add(
            rules.UNKNOWN_CLAIM, f"no property and no family is called `{text}`", span,
            mend=did_you_mean(text, known) or f"there are {listing(known, 12)}",
        )  # fmt: skip
        return ""

    def checks(self) -> tuple[str, ...]:
        """What the ``check`` lines restrict the checks to; nothing where they name ``all``."""
        named: dict[str, None] = {}
        for node, _ in self.declared.checks:
            for path in node.targets:
                name = self.target(path)
                if name == "others":
                    self.world.report.add(
                        rules.IMPOSSIBLE_EXPECTATION, "`others` has no meaning in a `check` line", path[0].span,
                        "other than what?", mend="write `check all;`, or name properties and families",
                    )  # fmt: skip
                elif name:
                    named[name] = None
        return () if "all" in named else tuple(named)

    def _expectation(self, node: n.Expectation) -> t.Expectation | None:
        report = self.world.report
        name = self.target(node.target)
        if not name:
            return None
        if node.kind is not None and name != "lock_order":
            report.add(
                rules.IMPOSSIBLE_EXPECTATION, f"`{node.kind}` is a finding of `lock_order`, not of `{name}`",
                node.span, "",
                mend=f"write `lock_order {node.kind} ...`",
            )  # fmt: skip
            return None
        label = node.label.text if node.label else ""
        if node.label is not None and label not in self.labels:
            report.add(
                rules.UNKNOWN_LABEL, f"no statement is labelled `{label}`", node.label.span,
                mend=did_you_mean(label, self.labels),
            )  # fmt: skip
        prop = self.names.get(name)
        outcome = node.outcome
        witnessed = name in self.runs or (prop is not None and prop.kind == "reachable")
        if outcome == "impossible" or (outcome == "found" and node.kind is None):
            if not witnessed:
                report.add(
                    rules.IMPOSSIBLE_EXPECTATION, f"`{name}` cannot be {outcome}", node.span,
                    "only a `run` or a `reachable` property can",
                    [Label(prop.span, f"this is {_article(prop.kind)}")] if prop else [], "write `holds` or `violated`",
                )  # fmt: skip
            outcome = "holds" if outcome == "found" else "unreachable"
        elif outcome == "violated" and name in self.runs:
            report.add(
                rules.IMPOSSIBLE_EXPECTATION, f"`{name}` is a run, which is found or impossible", node.span,
                "not violated", [Label(self.runs[name].span, "declared here")], "write `found` or `impossible`",
            )  # fmt: skip
        elif outcome == "unreachable" and not witnessed:
            report.add(
                rules.IMPOSSIBLE_EXPECTATION, f"`{name}` cannot be unreachable", node.span,
                "only a `reachable` property can",
                [Label(prop.span, f"this is {_article(prop.kind)}")] if prop else [], "write `holds` or `violated`",
            )  # fmt: skip
        if (node.steps is not None or node.label is not None) and node.outcome != "violated":
            report.add(
                rules.IMPOSSIBLE_EXPECTATION,
                f"only `violated` has steps and a place, not `{node.outcome}`",
                node.span,
                "",
            )
        return t.Expectation(
            target=name, kind=node.kind or "", outcome=outcome, steps=node.steps, at_most=node.at_most,
            label=label,
            span=node.span,
        )  # fmt: skip

    def _refuse_contradictions(self, expectations: list[t.Expectation]) -> None:
        seen: dict[tuple[str, str], t.Expectation] = {}
        for e in expectations:
            other = seen.setdefault((e.target, e.kind), e)
            if other is not e:
                self.world.report.add(
                    rules.IMPOSSIBLE_EXPECTATION, f"two expectations for `{e.target}`", e.span, "again",
                    [Label(other.span, "the first one")], "keep one of them",
                )  # fmt: skip
        every, others = seen.get(("all", "")), seen.get(("others", ""))
        if every is not None and others is not None:
            self.world.report.add(
                rules.IMPOSSIBLE_EXPECTATION, "`all` and `others` both speak of what is not named", others.span,
                "again", [Label(every.span, "`all` does already")], "keep one of them",
            )  # fmt: skip

    def reachables(self, scenarios: list[str]) -> None:
        """Check the scenarios that ``reachable N in S`` names."""
        for node, _ in self.declared.properties:
            if isinstance(node, n.Reachable):
                for name in node.scenarios:
                    if name.text not in scenarios:
                        self.world.report.add(
                            rules.UNKNOWN_SCENARIO, f"unknown scenario `{name.text}`", name.span,
                            mend=did_you_mean(name.text, scenarios),
                        )  # fmt: skip


def _article(kind: str) -> str:
    return f"an `{kind}`" if kind[0] in "ai" else f"a `{kind}`"


def _tags(module: t.CheckedModule) -> set[str]:
    """The families of all assertions."""
    blocks: list[t.Block] = list(module.init)
    for holder in [*module.routines.values(), *module.threads.values(), *(v.replacement for v in module.variants)]:
        if holder.body is not None:
            blocks.append(holder.body)
    return {s.family for block in blocks for s in statements(block) if isinstance(s, t.Assert)}


# ------------------------------------------------------------------------------------------------------- instances


def _instances(world: World, module: t.CheckedModule, declared: Declared) -> None:
    """Check ``require`` lines and ranges with the default sizes and with those of every scenario."""
    _instance(world, module, declared, world.defaults(), None)
    for scenario in module.scenarios.values():
        params = world.defaults()
        for name, e in scenario.settings:
            number = world.value(e)
            if number is not None:
                params[name] = number
        _instance(world, module, declared, params, scenario)


def _instance(
    world: World,
    module: t.CheckedModule,
    declared: Declared,
    params: Mapping[str, int],
    scenario: t.ScenarioDecl | None,
) -> None:
    where = "with the default values" if scenario is None else f"in scenario `{scenario.name}`"
    why = [] if scenario is None else [Label(scenario.span, "in this scenario")]
    for (node, _), condition in zip(declared.requires, module.requires, strict=True):
        if isinstance(condition.type, ty.ErrorType):
            continue
        if world.value(condition, params) == 0:
            world.report.add(
                rules.FAILED_REQUIREMENT, f"what is required is not true {where}", node.condition.span,
                _values(condition, params), why, "choose other values, or drop the requirement",
            )  # fmt: skip
    for kind, span in world.ranges:
        low, high = world.value(kind.lo, params), world.value(kind.hi, params)
        if low is not None and high is not None and low > high:
            world.report.add(
                rules.EMPTY_RANGE, f"no number is in {low}..{high}" + ("" if scenario is None else f" {where}"), span,
                f"`{show(kind)}`", why if scenario is not None else [],
            )  # fmt: skip


def _values(condition: t.Expr, params: Mapping[str, int]) -> str:
    from protocheck.types.walk import everything

    names = dict.fromkeys(e.name for e in everything(condition) if isinstance(e, t.ParamRef))
    return ", ".join(f"{name} = {params[name]}" for name in names if name in params)
