"""Tells what ``protocheck info`` has found: tables for people, and the same as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from protocheck.findings import plural
from protocheck.info import KINDS, Count, Info, ScenarioInfo, Silent, VariableInfo
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.style import Paint, Style, hang, printable
from protocheck.traces.trace import Place


def render(info: Info, style: Style) -> str:
    """The tables of each scenario, what never happens in it, and what happens in none of them."""
    count = plural(len(info.scenarios), "scenario")
    lines = [f"{style.paint(printable(info.file), Paint.BOLD)}: {printable(info.model)}, {count}"]
    for scenario in info.scenarios:
        lines += ["", *_scenario(scenario, info.file, style)]
    if len(info.scenarios) > 1:
        lines += ["", style.paint("in none of these scenarios", Paint.BOLD)]
        lines += _silent(info.silent, info.file, style) if info.silent else ["  everything happens in one of them"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _scenario(scenario: ScenarioInfo, file: str, style: Style) -> Iterator[str]:
    variants = f" with {', '.join(scenario.variants)}" if scenario.variants else ""
    yield style.paint(f"{scenario.name}{variants} ({scenario.instance or 'no sizes'})", Paint.BOLD)
    rows: list[list[Any]] = [
        [t.name, t.kind, t.instances, t.locations, t.statements, t.steps] for t in scenario.threads
    ]
    yield from _table(rows, ["thread", "kind", "instances", "locations", "statements", "steps"])
    yield ""
    heads = ["variable", "kind", "cells", "values", "bits", "seen", "factor"]
    yield from _table([_variable(v) for v in scenario.variables], heads)
    yield ""
    yield f"  at most {_large(scenario.combinations)} combinations of values ({plural(scenario.bits, 'bit')})"
    yield f"  {count_words(scenario.count)}"
    yield from hang("  ", _heaviest(scenario), style.width)
    if scenario.silent:
        if not scenario.count.complete:
            yield from hang("  ", "nowhere in the states visited, though there are others:", style.width)
        yield from _silent(scenario.silent, file, style)
    else:
        yield "  everything in it happens"
    for words in scenario.unasked:
        yield f"  not looked at, there are too many states: {words}"


def _table(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> Iterator[str]:
    align = ["left", "left", *["right"] * (len(heads) - 2)]
    text = tabulate(rows, headers=heads, tablefmt="simple", colalign=align if rows else None, disable_numparse=True)
    for line in text.split("\n"):
        yield f"  {line}"


def _variable(variable: VariableInfo) -> list[str]:
    seen = f"{variable.seen:,}" if variable.seen is not None else "?"
    factor = f"{variable.factor:.1f}" if variable.factor is not None else "?"
    kind = variable.kind.value
    return [variable.name, kind, f"{variable.cells:,}", f"{variable.values:,}", f"{variable.bits:,}", seen, factor]


def count_words(count: Count) -> str:
    """How many states there are, as far as that is known."""
    states = plural(count.states, "state") + (" up to symmetry" if count.symmetric else "")
    if count.complete:
        return f"{states}, {plural(count.steps, 'step')} between them, the deepest {count.depth:,} from the beginning"
    return f"more than {states}; the search ended at its limit, {plural(count.depth, 'step')} from the beginning"


def _heaviest(scenario: ScenarioInfo) -> str:
    variable = scenario.heaviest
    if variable is None:
        return "it has no variables"
    if variable.factor is not None:
        return f"{variable.name} makes it large: {variable.factor:.1f} times the states that there are without it"
    return f"{variable.name} makes it large: {variable.bits} of {plural(scenario.bits, 'bit')}"


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"{number:.1e}".replace("e+0", "e").replace("e+", "e")


def _silent(silent: Sequence[Silent], file: str, style: Style) -> Iterator[str]:
    for kind in KINDS:
        found = [s for s in silent if s.what == kind]
        if found:
            yield style.paint(f"  {kind}:", Paint.WARNING)
        for one in found:
            yield from hang("    ", f"{_at(one.place, file)}{printable(one.text)}", style.width, 6)


def _at(place: Place | None, file: str) -> str:
    if place is None:
        return ""
    return f"{place.line}: " if place.file == file else f"{place.file}:{place.line}: "


def render_json(info: Info) -> str:
    """The same as one JSON document."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "file": info.file,
            "model": info.model,
            "scenarios": [_scenario_json(s) for s in info.scenarios],
            "silent_in_all": [_silent_json(s) for s in info.silent],
        }
    )


def _scenario_json(scenario: ScenarioInfo) -> Json:
    heaviest = scenario.heaviest
    return {
        "name": scenario.name,
        "instance": scenario.instance,
        "variants": list(scenario.variants),
        "threads": [
            {
                "name": t.name,
                "kind": t.kind,
                "instances": t.instances,
                "locations": t.locations,
                "statements": t.statements,
                "steps": t.steps,
            }
            for t in scenario.threads
        ],
        "variables": [
            {
                "name": v.name,
                "kind": v.kind.value,
                "cells": v.cells,
                "values": v.values,
                "bits": v.bits,
                "seen": v.seen,
                "factor": v.factor,
            }
            for v in scenario.variables
        ],
        "locks": scenario.locks,
        "bits": scenario.bits,
        "combinations": scenario.combinations,
        "states": {
            "count": scenario.count.states,
            "steps": scenario.count.steps,
            "depth": scenario.count.depth,
            "complete": scenario.count.complete,
            "symmetric": scenario.count.symmetric,
        },
        "heaviest": heaviest.name if heaviest is not None else None,
        "silent": [_silent_json(s) for s in scenario.silent],
        "unasked": list(scenario.unasked),
    }


def _silent_json(silent: Silent) -> Json:
    place = silent.place
    return {
        "what": silent.what,
        "text": silent.text,
        "place": {"file": place.file, "line": place.line, "column": place.column} if place is not None else None,
    }
