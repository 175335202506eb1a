"""Tells how proposals compare: a table, what is lost and gained, and a run for each difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from protocheck.compare import Change, Comparison, Difference, Entry
from protocheck.findings import MEMORY_MODEL, sentence, word
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.style import Paint, Style, display_width, hang, printable, wrap
from protocheck.reports.table import layout_trace
from protocheck.traces.trace import trace_of_finding

_NARROWEST = 18
_PAINTS = {
    Change.LOST: Paint.ERROR,
    Change.UNCLAIMED: Paint.ERROR,
    Change.GAINED: Paint.GOOD,
    Change.NEW: Paint.GOOD,
    Change.OPEN: Paint.WARNING,
    Change.DECIDED: Paint.NOTE,
    Change.OTHER: Paint.NOTE,
}


def render(comparison: Comparison, style: Style, runs: bool = True) -> str:
    """The table of verdicts, then what differs from the first proposal, with the shortest runs that show it."""
    lines = [*_table(comparison, style)]
    if comparison.unchecked:
        lines += ["", *hang("", f"interrupted: not checked: {', '.join(comparison.unchecked)}", style.width, 4)]
    for column in range(1, len(comparison.columns)):
        found = [d for d in comparison.differences if d.column == column]
        lines += ["", *_against(comparison, column, found, style)]
    if comparison.behaviours:
        lines += ["", style.paint("behaviours that some allow and others exclude:", Paint.BOLD)]
        for one in comparison.behaviours:
            allowed = ", ".join(comparison.columns[c].label for c in one.allowed)
            forbidden = ", ".join(comparison.columns[c].label for c in one.forbidden)
            text = f"{comparison.rows[one.row].name}: possible in {allowed}; impossible in {forbidden}"
            lines += hang("  ", printable(text), style.width, 4)
    if runs:
        lines += _runs(comparison, style)
    lines += ["", *hang("", f"Every verdict is for the sizes shown and assumes {MEMORY_MODEL}.", style.width, 0)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _table(comparison: Comparison, style: Style) -> Iterator[str]:
    first = max([len("guarantee"), *(display_width(r.name) for r in comparison.rows)])
    count = len(comparison.columns)
    each = max(_NARROWEST, (style.width - first - 2 * count) // count)

    def cell(text: str) -> str:
        return "\n".join(wrap(printable(text), each))

    heads = ["guarantee", *(cell(c.label) for c in comparison.columns)]
    rows = []
    sizes = [" | ".join(dict.fromkeys(s.instance or "no sizes" for s in c.scenarios)) for c in comparison.columns]
    rows.append(["", *(cell(s) for s in sizes)])
    for row in comparison.rows:
        rows.append([printable(row.name), *(cell(_verdict(e)) for e in row.entries)])
    yield from tabulate(rows, headers=heads, tablefmt="simple", disable_numparse=True).split("\n")


def _verdict(entry: Entry | None) -> str:
    return "not claimed" if entry is None else sentence(entry.finding.outcome)


def _against(comparison: Comparison, column: int, found: Sequence[Difference], style: Style) -> Iterator[str]:
    first, other = comparison.columns[0].label, comparison.columns[column].label
    if not found:
        yield f"{other} against {first}: every guarantee fares alike"
        return
    yield style.paint(f"{other} against {first}:", Paint.BOLD)
    for change in Change:
        for one in found:
            if one.change is not change:
                continue
            row = comparison.rows[one.row]
            lead = f"  {style.paint(change.value, _PAINTS[change])}: "
            text = f"{row.name}: {_verdict(row.entries[0])} -> {_verdict(row.entries[column])}"
            plain = f"  {change.value}: "
            body = hang(plain, printable(text), style.width, 4)
            yield lead + body[0].removeprefix(plain)
            yield from body[1:]


def _runs(comparison: Comparison, style: Style) -> Iterator[str]:
    told: dict[tuple[int, int], None] = {}
    for one in comparison.differences:
        if one.witness is None or (one.row, one.witness) in told:
            continue
        told[one.row, one.witness] = None
        row, column = comparison.rows[one.row], comparison.columns[one.witness]
        entry = row.entries[one.witness]
        assert entry is not None  # a witness is the run of an entry
        trace = trace_of_finding(entry.scenario.system, entry.finding)
        if trace is None:
            continue
        yield ""
        yield style.paint(f"{row.name} in {column.label}: {sentence(entry.finding.outcome)}", Paint.BOLD)
        yield from layout_trace(trace, column.file, style).rstrip("\n").split("\n")


def render_json(comparison: Comparison) -> str:
    """The table and the differences as one JSON document; the runs are those of ``check --format json``."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "memory_model": MEMORY_MODEL,
            "proposals": [
                {
                    "label": c.label,
                    "file": c.file,
                    "scenarios": [
                        {"name": s.name, "instance": s.instance, "variants": list(s.variants)} for s in c.scenarios
                    ],
                }
                for c in comparison.columns
            ],
            "guarantees": [
                {"name": r.name, "kind": r.kind, "verdicts": [_json(e) for e in r.entries]} for r in comparison.rows
            ],
            "differences": [
                {
                    "guarantee": comparison.rows[d.row].name,
                    "proposal": comparison.columns[d.column].label,
                    "change": d.change.value,
                }
                for d in comparison.differences
            ],
            "behaviours": [
                {
                    "name": comparison.rows[b.row].name,
                    "possible": [comparison.columns[c].label for c in b.allowed],
                    "impossible": [comparison.columns[c].label for c in b.forbidden],
                }
                for b in comparison.behaviours
            ],
            "unchecked": list(comparison.unchecked),
        }
    )


def _json(entry: Entry | None) -> Json | None:
    if entry is None:
        return None
    outcome = entry.finding.outcome
    return {"verdict": word(outcome), "sentence": sentence(outcome, entry.scenario.instance)}
