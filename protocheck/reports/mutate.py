"""Tells what became of mutants: how many were noticed, and a table of those that nobody noticed."""

from __future__ import annotations

from tabulate import tabulate

from protocheck.findings import plural
from protocheck.mutate import Fate, Mutation, Tried
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.style import Paint, Style, hang, printable


def render(found: Mutation, style: Style) -> str:
    """Counts, then the survivors with the property that may be missing, then what was not decided."""
    where = f"scenario{'' if len(found.scenarios) == 1 else 's'} {', '.join(found.scenarios)}"
    head = f"{found.file}, {where}: {plural(len(found.tried), 'mutant')}"
    lines = [style.paint(printable(head), Paint.BOLD)]
    if found.untried:
        lines += [f"interrupted: {plural(found.untried, 'more mutant')} not tried"]
    lines += [""]
    kinds = list(dict.fromkeys(x.mutant.kind for x in found.tried))
    fates = [fate for fate in Fate if fate is not Fate.BROKEN or found.count(fate)]
    rows = [[kind, *(_count(found, kind, fate) for fate in fates)] for kind in kinds]
    if rows:
        lines += _table(rows, ["mutants", *(fate.value for fate in fates)])
    for fate, title in (
        (Fate.SURVIVED, "survived: no expectation notices"),
        (Fate.OPEN, "undecided: a limit was hit"),
        (Fate.BROKEN, "faults in protocheck itself, not in the model: please report them"),
    ):
        some = [x for x in found.tried if x.fate is fate]
        if some:
            lines += ["", style.paint(title, Paint.BOLD)]
        for x in some:
            told = f"{_place(x)}: {x.mutant.kind} ({x.mutant.what}): {_code(x)}"
            lines += hang("  ", printable(told), style.width, 4)
            lines += hang("      ", printable(x.missing or x.why), style.width, 4)
    return "\n".join(lines) + "\n"


def render_json(found: Mutation) -> str:
    """Every mutant with its fate."""
    mutants: list[Json] = [
        {
            "kind": x.mutant.kind,
            "what": x.mutant.what,
            "file": x.mutant.span.file.path,
            "line": x.mutant.span.line,
            "column": x.mutant.span.column,
            "text": _code(x),
            "fate": x.fate.value,
            "noticed_by": list(x.by),
            "why": x.why,
            "missing": x.missing,
        }
        for x in found.tried
    ]
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "file": found.file,
            "model": found.model,
            "scenarios": list(found.scenarios),
            "mutants": mutants,
            "untried": found.untried,
        }
    )


def _count(found: Mutation, kind: str, fate: Fate) -> str:
    number = sum(x.mutant.kind == kind and x.fate is fate for x in found.tried)
    return str(number) if number else "-"


def _table(rows: list[list[str]], head: list[str]) -> list[str]:
    align = ("left", *("right" for _ in head[1:]))
    text = tabulate(rows, head, tablefmt="simple", colalign=align, disable_numparse=True)
    return ["  " + line for line in text.splitlines()]


def _place(x: Tried) -> str:
    return f"{x.mutant.span.file.path}:{x.mutant.span.line}"


def _code(x: Tried) -> str:
    """The first line of the statement."""
    return " ".join(x.mutant.span.text.split("\n", 1)[0].split())
