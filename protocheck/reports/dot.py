"""Graphs for Graphviz: who waits for whom at the end of a run, and which lock is wanted while which is held."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence

from protocheck.diagnostics import Rule
from protocheck.ir.expr import VarKind
from protocheck.reports.document import Document, Graph, GraphEdge, Run, Scenario
from protocheck.reports.style import printable
from protocheck.traces.trace import Trace

NO_GRAPHVIZ = Rule(
    "no-graphviz",
    "A picture was asked for, and the program that draws it is not installed.",
    """\
`--format svg` hands the graphs to `dot` of Graphviz, which is no part of protocheck. Install it (Debian, Ubuntu:
`apt install graphviz`; Fedora: `dnf install graphviz`), or write the graphs themselves and draw them elsewhere:

    protocheck check my.pchk --format dot -o my.dot
""",
)

_STYLES = {"reachable": "solid", "unreachable": "dotted", "unknown": "dashed", "static": "dashed"}


def render(document: Document, runs: Sequence[Run]) -> str:
    """One digraph: a cluster per lock order of a scenario, and one per run that ends in a deadlock."""
    lines = ["digraph protocheck {", '  graph [fontname="sans-serif", labeljust=l, rankdir=LR];']
    lines += ['  node [fontname="sans-serif", fontsize=11];', '  edge [fontname="sans-serif", fontsize=9];']
    number = 0
    for model in document.models:
        for scenario in model.scenarios:
            graph = _graph_of(scenario)
            if graph is not None and graph.edges:
                lines += _cluster(number, f"{model.name}, {scenario.name}: lock order", _order(f"g{number}", graph))
                number += 1
    for run in runs:
        if run.trace.ending.deadlock is not None:
            title = f"{run.model.name}, {run.scenario.name}: {run.trace.ending.headline}"
            lines += _cluster(number, title, _waits(f"g{number}", run.trace))
            number += 1
        if run.trace.ending.loop is not None:
            title = f"{run.model.name}, {run.scenario.name}: {run.trace.ending.headline}"
            lines += _cluster(number, title, _lasso(f"g{number}", run.trace))
            number += 1
    return "\n".join([*lines, "}"]) + "\n"


def svg(document: Document, runs: Sequence[Run]) -> str:
    """The same, drawn by Graphviz; :func:`available` says whether that is there."""
    done = subprocess.run(
        ["dot", "-Tsvg"], input=render(document, runs), capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return done.stdout


def available() -> bool:
    """Whether Graphviz can be called."""
    return shutil.which("dot") is not None


def _graph_of(scenario: Scenario) -> Graph | None:
    return next((v.graph for v in scenario.verdicts if v.graph is not None), None)


def _cluster(number: int, title: str, body: Iterator[str]) -> list[str]:
    return [
        f"  subgraph cluster_{number} {{",
        f"    label={quoted(title)};",
        *(f"    {line}" for line in body),
        "  }",
    ]


def quoted(text: str) -> str:
    """``text`` as a string of the language; what ``\\n`` means there is not meant."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def label(*lines: str) -> str:
    """Lines one below the other, as a label."""
    return '"' + "\\n".join(quoted(line)[1:-1] for line in lines if line) + '"'


def _order(key: str, graph: Graph) -> Iterator[str]:
    names = {n.name: f"{key}_{k}" for k, n in enumerate(graph.nodes)}
    for edge in graph.edges:
        for name in (edge.held, edge.wanted):
            names.setdefault(name, f"{key}_{len(names)}")
    kinds = {n.name: n for n in graph.nodes}
    in_cycle = {
        (a, b) for f in graph.findings for a, b in zip(f.locks, (*f.locks[1:], f.locks[0]), strict=True) if f.violation
    }
    for name, node in names.items():
        kind = kinds.get(name)
        words = kind.kind if kind is not None else ""
        if kind is not None and kind.instances > 1:
            words += f" x {kind.instances}"
        shape = "box" if kind is not None and kind.is_wait else "ellipse"
        yield f"{node} [label={label(name, words)}, shape={shape}];"
    for edge in graph.edges:
        bad = ", color=red, fontcolor=red" if (edge.held, edge.wanted) in in_cycle else ""
        style = _STYLES.get(edge.status, "dashed")
        yield f"{names[edge.held]} -> {names[edge.wanted]} [label={_edge_label(edge)}, style={style}{bad}];"


def _edge_label(edge: GraphEdge) -> str:
    modes = ""
    if edge.held_mode or edge.wanted_mode:
        modes = f"{edge.held_mode or 'held'} then {edge.wanted_mode or 'wanted'}"
    where = f"line {edge.places[0].line}" if edge.places else ""
    return label(edge.thread, ", ".join(x for x in (modes, where) if x), edge.status)


def _lasso(key: str, trace: Trace) -> Iterator[str]:
    """States as points in a row, steps between them; the last step of the loop leads back to where it begins."""
    loop = trace.ending.loop
    assert loop is not None
    last = len(trace.steps)
    closed = loop.begin <= loop.end
    for n in range(last if closed else last + 1):
        bad = ", color=red" if n >= loop.begin - 1 else ""
        yield f'{key}_s{n} [label="{n}", shape=circle{bad}];'
    for step in trace.steps:
        end = loop.begin - 1 if closed and step.number == last else step.number
        bad = ", color=red, fontcolor=red" if step.number >= loop.begin else ""
        words = label(step.thread, step.text)
        yield f"{key}_s{step.number - 1} -> {key}_s{end} [label={words}{bad}];"
    if not closed:
        yield f'{key}_s{last} -> {key}_s{last} [label="nothing moves", color=red, fontcolor=red];'


def _waits(key: str, trace: Trace) -> Iterator[str]:
    """Threads as boxes and locks as ellipses: a lock points to who holds it, a thread to what it waits for."""
    ending = trace.ending
    assert ending.deadlock is not None
    locks = {c.name for c in trace.initial if c.kind is VarKind.LOCK}
    cycle = dict(ending.cycle)
    threads: dict[str, str] = {}
    resources: dict[str, str] = {}
    for member in ending.deadlock.blocked:
        threads.setdefault(member.thread, f"{key}_t{len(threads)}")
        for other, _ in member.for_whom:
            threads.setdefault(other, f"{key}_t{len(threads)}")
    places = {name: place for name, place, _ in ending.standing}
    for name, node in threads.items():
        place = places.get(name)
        bad = ", color=red" if name in cycle else ""
        yield f"{node} [label={label(name, f'line {place.line}' if place else '')}, shape=box{bad}];"
    edges: list[str] = []
    for member in ending.deadlock.blocked:
        for text, since in member.holds:
            lock, _, mode = text.partition(" (")
            words = f"held{f' ({mode}' if mode else ''}"
            node = resources.setdefault(lock, f"{key}_k{len(resources)}")
            edges.append(f"{node} -> {threads[member.thread]} [label={label(words, _since(since))}];")
        lock = member.waits.split(" (")[0]
        if lock in locks:
            node = resources.setdefault(lock, f"{key}_k{len(resources)}")
            words = f"waits{member.waits.removeprefix(lock)}"
            edges.append(f"{threads[member.thread]} -> {node} [label={label(words, _since(member.since))}];")
        for other, why in dict.fromkeys(member.for_whom):
            bad = ", color=red, fontcolor=red" if cycle.get(member.thread) == why else ""
            edges.append(f"{threads[member.thread]} -> {threads[other]} [label={label(why)}, style=dashed{bad}];")
    for lock, node in resources.items():
        yield f"{node} [label={label(lock)}, shape=ellipse];"
    yield from edges


def _since(step: int | None) -> str:
    return f"since step {step}" if step else ""
