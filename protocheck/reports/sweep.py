"""Tells a sweep: a map of verdicts, what was skipped, and what flips each verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from tabulate import tabulate

from protocheck.findings import (
    MEMORY_MODEL,
    Broken,
    Found,
    Holds,
    HoldsToDepth,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Unknown,
    Vacuous,
    Violated,
    plural,
    sentence,
    word,
)
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.style import Paint, Style, display_width, hang, printable
from protocheck.sweep import Cell, Flip, Sweep

_GAP = 2


def render(found: Sweep, style: Style) -> str:
    """The map: a row per instance, a column per guarantee whose verdict is not the same everywhere."""
    checked = [c for c in found.cells if not c.skipped]
    skipped = [c for c in found.cells if c.skipped]
    begin = f"scenario {printable(found.scenario)}" if found.scenario else "parameters as declared"
    head = f"{printable(found.file)}, {begin}: {plural(len(checked), 'instance')} checked"
    lines = [style.paint(head, Paint.BOLD) + (f", {len(skipped)} skipped" if skipped else "")]
    if found.unchecked:
        lines += [f"interrupted: {plural(found.unchecked, 'more instance')} not checked; what follows is of the others"]
    varied = [n for n in range(len(found.properties)) if len(_keys(checked, n)) > 1]
    if varied:
        lines += ["", *_maps(found, checked, varied, style)]
        lines += ["", "A number counts the steps of the run that shows it; `-`: nothing to claim there."]
    same = [n for n in range(len(found.properties)) if n not in varied]
    if same:
        lines += ["", style.paint("the same in every instance:", Paint.BOLD)]
        words: dict[str, list[str]] = {}
        for n in same:
            words.setdefault(next(iter(_keys(checked, n)), "-"), []).append(found.properties[n])
        for told, names in words.items():
            lines += hang("  ", f"{', '.join(names)}: {told}", style.width, 4)
    if found.flips:
        lines += ["", style.paint("the smallest change that flips a verdict:", Paint.BOLD)]
        for flip in found.flips:
            lines += hang("  ", _flip(found, flip), style.width, 4)
    if skipped:
        lines += ["", style.paint("skipped, because the model excludes them:", Paint.BOLD)]
        for cell in skipped:
            lines += hang("  ", f"{_where(found, cell)}: {printable(cell.skipped)}", style.width, 4)
    if found.left_out:
        lines += ["", found.left_out]
    lines += ["", f"Every verdict is for the sizes of its row and assumes {MEMORY_MODEL}."]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _maps(found: Sweep, checked: Sequence[Cell], varied: Sequence[int], style: Style) -> Iterator[str]:
    """One table, or several where the columns do not fit beside one another."""
    named = len(found.sets) > 1
    left = [a.name for a in found.axes] + (["variants"] if named else [])
    rows = [[*c.values, *([", ".join(c.variants) or "none"] if named else [])] for c in checked]
    used = sum(max(display_width(x) for x in column) + _GAP for column in zip(left, *rows, strict=True))
    groups: list[list[int]] = []
    room = 0
    for number in varied:
        width = max(display_width(x) for x in (found.properties[number], *(_key(c, number) for c in checked))) + _GAP
        if not groups or width > room:
            groups.append([])
            room = style.width - used
        groups[-1].append(number)
        room -= width
    for position, group in enumerate(groups):
        if position:
            yield ""
        heads = [*left, *(found.properties[n] for n in group)]
        table = [[*row, *(_key(c, n) for n in group)] for row, c in zip(rows, checked, strict=True)]
        yield from tabulate(table, headers=heads, tablefmt="simple", disable_numparse=True).split("\n")


def _key(cell: Cell, number: int) -> str:
    """The verdict in a word or two."""
    outcome = cell.outcomes[number]
    return "-" if outcome is None else _brief(outcome)


def _keys(cells: Sequence[Cell], number: int) -> list[str]:
    """The different verdicts in ``cells``, where there is something to claim."""
    return list(dict.fromkeys(k for c in cells if (k := _key(c, number)) != "-"))


def _brief(outcome: Outcome) -> str:
    match outcome:
        case Violated(steps) | Found(steps):
            return f"{'violated' if isinstance(outcome, Violated) else 'found'} {steps}"
        case Holds() | NeverFound() | Vacuous():
            return word(outcome)
        case HoldsToDepth() | NotFoundToDepth() | Unknown() | Broken():
            return "unknown"
        case _:
            assert_never(outcome)


def _where(found: Sweep, cell: Cell) -> str:
    parts = [f"{a.name} = {v}" for a, v in zip(found.axes, cell.values, strict=True)]
    if len(found.sets) > 1:
        parts.append(f"with {' and '.join(cell.variants)}" if cell.variants else "without variants")
    return ", ".join(parts)


def _flip(found: Sweep, flip: Flip) -> str:
    before, after = found.cells[flip.before], found.cells[flip.after]
    words = f"{_key(before, flip.property)} -> {_key(after, flip.property)}"
    return f"{found.properties[flip.property]}: {words}: {', '.join(flip.changes)} (from {_where(found, before)})"


def render_json(found: Sweep) -> str:
    """The same as one JSON document."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "memory_model": MEMORY_MODEL,
            "file": found.file,
            "scenario": found.scenario,
            "parameters": [{"name": a.name, "values": list(a.values)} for a in found.axes],
            "instances": [_cell(found, c) for c in found.cells],
            "flips": [
                {
                    "property": found.properties[f.property],
                    "before": f.before,
                    "after": f.after,
                    "changes": list(f.changes),
                }
                for f in found.flips
            ],
            "left_out": found.left_out,
            "unchecked": found.unchecked,
        }
    )


def _cell(found: Sweep, cell: Cell) -> Json:
    return {
        "settings": {a.name: v for a, v in zip(found.axes, cell.values, strict=True)},
        "variants": list(cell.variants),
        "skipped": cell.skipped,
        "verdicts": {
            name: {"verdict": word(o), "sentence": sentence(o)}
            for name, o in zip(found.properties, cell.outcomes, strict=not cell.skipped)
            if o is not None
        },
    }
