"""The graph of the states of a small model for Graphviz: violations in red, beginnings with a double border."""

from __future__ import annotations

from protocheck.reports.dot import label, quoted
from protocheck.state_graph import StateGraph


def render(found: StateGraph) -> str:
    """One digraph. Two steps between the same states that say the same are one arrow."""
    lines = ["digraph states {", '  graph [fontname="sans-serif", labeljust=l];']
    sizes = f" ({found.instance})" if found.instance else ""
    lines.append(f"  label={quoted(f'{found.file}, scenario {found.scenario}{sizes}')};")
    lines += ['  node [fontname="sans-serif", fontsize=10, shape=box];', '  edge [fontname="sans-serif", fontsize=9];']
    for n, node in enumerate(found.nodes):
        border = ", peripheries=2" if node.begins else ""
        bad = ", color=red, fontcolor=red" if node.violates else ""
        faults = [f"violates {name}" for name in node.violates]
        lines.append(f"  s{n} [label={label(*node.facts, *faults)}{border}{bad}];")
    arrows: list[str] = []
    for k, edge in enumerate(found.edges):
        end = f"s{edge.after}"
        if edge.after is None:
            end = f"x{k}"
            arrows.append(f'  {end} [label="the run ends", shape=plaintext];')
        bad = ", color=red, fontcolor=red" if edge.violates else ""
        faults = [f"violates {name}" for name in edge.violates]
        arrows.append(f"  s{edge.before} -> {end} [label={label(edge.thread, edge.text, *faults)}{bad}];")
    return "\n".join([*lines, *dict.fromkeys(arrows), "}"]) + "\n"
