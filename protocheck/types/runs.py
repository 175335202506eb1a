"""``run`` declarations: the table of a commit message, every name in it looked up."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from protocheck.diagnostics import Label
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.expr_check import Exprs
from protocheck.types.report import did_you_mean, listing
from protocheck.types.scope import ActorSymbol, Home, ImportSymbol, RoutineSymbol, Symbol, ThreadSymbol, World, kind_of
from protocheck.types.type_check import Types
from protocheck.types.walk import everything

ENDS = ("invariant", "always invariant", "transition", "final", "weakness")
"""Kinds of property whose violation a run may lead to."""

ENDLESS = {
    "lock_order": "it is a graph over all runs",
    "progress": "only runs without an end violate it",
    "livelock": "only runs without an end violate it",
    "starvation": "only runs without an end violate it",
}
"""Families that no single moment violates."""


def check_runs(
    world: World,
    types: Types,
    declared: list[tuple[n.RunDecl, Home]],
    properties: Mapping[str, t.PropertyDecl],
    families: Collection[str],
    scenarios: Collection[str],
) -> tuple[t.RunDecl, ...]:
    """The runs of a model; what is wrong with them is reported. ``families`` are those that the model has."""
    found: dict[str, t.RunDecl] = {}
    for node, home in declared:
        name = node.name.text
        other = found[name].span if name in found else properties[name].span if name in properties else None
        if other is not None:
            world.report.add(
                rules.DUPLICATE_NAME, f"property `{name}` is declared twice", node.name.span, "again",
                [Label(other, "the first one")],
            )  # fmt: skip
            continue
        for scenario in node.scenarios:
            if scenario.text not in scenarios:
                world.report.add(
                    rules.UNKNOWN_SCENARIO, f"unknown scenario `{scenario.text}`", scenario.span,
                    mend=did_you_mean(scenario.text, scenarios),
                )  # fmt: skip
        found[name] = _Run(world, types, home, properties, families).run(node)
    return tuple(found.values())


class _Run:
    def __init__(
        self,
        world: World,
        types: Types,
        home: Home,
        properties: Mapping[str, t.PropertyDecl],
        families: Collection[str],
    ) -> None:
        self.world = world
        self.home = home
        self.properties = properties
        self.families = families
        self.x = Exprs(world, types, home, "property", "reachable")
        self.x.no_call = "in a run"
        self.binders: list[t.Local] = []
        self.implicit: dict[str, t.Local] = {}  # the one instance that lines without an index speak of

    def run(self, node: n.RunDecl) -> t.RunDecl:
        where: t.Expr | None = None
        for binder in node.binders:
            local, member = self.x.binder(binder.name, binder.domain)
            self.binders.append(local)
            if member is not None:
                self.x.error(
                    rules.NOT_CONSTANT, "a run chooses its threads before anything happens", binder.domain.span,
                    "this set may change", mend="name a type or a thread after `in`",
                )  # fmt: skip
        if node.where is not None:
            where = self.x.condition(node.where)
            for part in everything(where):
                if isinstance(part, t.StateRef | t.Held | t.AtLabel | t.InRegion | t.Finished):
                    self.x.error(
                        rules.NOT_CONSTANT, "a run chooses its threads before anything happens",
                        node.where.span, "this depends on the state",
                        mend="compare the indexes of the threads only",
                    )  # fmt: skip
                    break
        lines = tuple(line for x in node.lines if (line := self.line(x)) is not None)
        toward, goal = self.leads(node.leads) if node.leads is not None else ("", None)
        return t.RunDecl(
            name=node.name.text, binders=tuple(self.binders), where=where, lines=lines, toward=toward, goal=goal,
            scenarios=tuple(s.text for s in node.scenarios), span=node.name.span, doc=node.doc,
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------------- lines

    def line(self, node: n.RunLine) -> t.RunLine | None:
        thread = self.thread(node.thread, node.label)
        if thread is None:
            return None
        known = self.world.places.get(("label", thread.thread), set())
        label = node.label.text
        if label not in known:
            self.x.error(
                rules.UNKNOWN_LABEL, f"thread `{thread.thread}` has no label `{label}`", node.label.span,
                mend=did_you_mean(label, known) or _labels(known),
            )  # fmt: skip
            return None
        text = " ".join(node.span.text.rstrip(";").split())
        return t.RunLine(thread, label, text, node.span)

    def thread(self, node: n.Expr, label: n.Ident) -> t.ThreadRef | None:
        """The instance that a line speaks of; without an index it is the same one in all lines of that name."""
        if isinstance(node, n.Name) and self.x.find_local(node.ident.text) is not None:
            return self.x.thread(node)
        if isinstance(node, n.Index):
            return self.x.thread(node)
        symbol = self.x.types.expression_path(node, self.home, "thread")
        if symbol is None:
            return None
        name = self.of_proc(symbol, node.span, label) if isinstance(symbol, RoutineSymbol) else self.named(symbol, node)
        if not name:
            return None
        if not self.world.threads[name].params:
            return t.ThreadRef(name, None, (), node.span)
        if name not in self.implicit:
            self.implicit[name] = self.world.local(name.rsplit(".", 1)[-1], ty.ThreadType(name))
            self.binders.append(self.implicit[name])
        return t.ThreadRef(name, self.implicit[name], (), node.span)

    def named(self, symbol: Symbol, node: n.Expr) -> str:
        if isinstance(symbol, ThreadSymbol):
            return symbol.name
        self.x.error(
            rules.UNKNOWN_THREAD, f"`{node.span.text}` is {kind_of(symbol)}, not a thread", node.span,
            "a thread or a proc belongs here", [self.world.declared(symbol)],
            did_you_mean(node.span.text, self.world.threads),
        )  # fmt: skip
        return ""

    def of_proc(self, symbol: RoutineSymbol, span: Span, label: n.Ident) -> str:
        """The only thread that runs a proc."""
        runs = [name for name, reached in self.world.reach.items() if symbol.name in reached]
        if len(runs) == 1:
            return runs[0]
        what = f"{len(runs)} threads run `{symbol.name}`" if runs else f"no thread runs `{symbol.name}`"
        mend = f"name the thread: {listing([f'{name} : {label.text}' for name in runs])}" if runs else ""
        self.x.error(
            rules.UNKNOWN_THREAD, what, span, "which one?" if runs else "never executed",
            [self.world.declared(symbol)], mend,
        )  # fmt: skip
        return ""

    # --------------------------------------------------------------------------------------------------- leads to

    def leads(self, node: n.Expr) -> tuple[str, t.Expr | None]:
        """What a run leads to: the name of a property or family, or a condition."""
        path = _dotted(node)
        if path is None or self.x.find_local(path[0].text) is not None:
            return "", self.x.condition(node)
        text = ".".join(i.text for i in path)
        name = text if text in self.properties or text in self.families else ""
        short = [p for p in self.properties if p.endswith(f".{text}")]
        name = name or (short[0] if len(short) == 1 else "")
        if not name:
            symbol = self.home.find(path[0].text)
            if symbol is not None and (len(path) == 1 or isinstance(symbol, ActorSymbol | ImportSymbol)):
                return "", self.x.condition(node)
            known = [k for k in (*self.properties, *self.families) if k != "lock_order"]
            self.x.error(
                rules.UNKNOWN_CLAIM, f"no property and no family is called `{text}`", node.span,
                mend=did_you_mean(text, known) or f"there are {listing(sorted(known), 12)}, or write a condition",
            )  # fmt: skip
            return "", None
        if name in self.properties and self.properties[name].kind not in ENDS:
            self.x.error(
                rules.RUN_LEADS_NOWHERE, f"a run cannot lead to `{name}`", node.span,
                f"it is a `{self.properties[name].kind}`: no state violates it",
                [Label(self.properties[name].span, "declared here")], "write the condition instead",
            )  # fmt: skip
        elif name in ENDLESS and name not in self.properties:
            self.x.error(
                rules.RUN_LEADS_NOWHERE, f"a run cannot lead to `{name}`", node.span,
                ENDLESS[name], mend="write `leads to deadlock`, or a condition",
            )  # fmt: skip
        return name, None


def _labels(known: Collection[str]) -> str:
    return f"there are {listing(sorted(known), 12)}" if known else "it has no labels: write `name: statement`"


def _dotted(node: n.Expr) -> tuple[n.Ident, ...] | None:
    path: list[n.Ident] = []
    while isinstance(node, n.Member):
        path.append(node.ident)
        node = node.base
    return (node.ident, *reversed(path)) if isinstance(node, n.Name) else None
