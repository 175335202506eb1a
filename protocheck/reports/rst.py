"""Runs as the grid tables in which the kernel's documentation draws races: a column per CPU, rows in order of time.

The shape is that of the tables in Documentation/virt/kvm/locking.rst: what is so at the beginning over the full width,
then the CPUs side by side, and what goes wrong over the full width at the end. Everything that comes from a model
stands in literal blocks, so nothing in it can be mistaken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from protocheck.ir.expr import VarKind
from protocheck.reports.document import Document, Run
from protocheck.reports.mail import statement
from protocheck.reports.style import Style, display_width, hang, pad, printable, wrap
from protocheck.reports.table import layout_ending
from protocheck.traces.trace import Trace

_WIDTH = 76
_NARROWEST = 26
_INDENT = "   "


def render(document: Document, runs: Sequence[Run]) -> str:
    """One section per run; the whole is a document of its own, or can be included in one."""
    return "\n".join("\n".join(line.rstrip() for line in _section(document, run)) + "\n" for run in runs)


def _section(document: Document, run: Run) -> Iterator[str]:
    # Several findings about the lock order of a scenario are told apart by what they found.
    found = f": {run.locks.headline}" if run.locks is not None else ""
    title = _inline(f"{run.model.name}: {run.scenario.name}: {run.verdict.prop}{found}")
    yield title
    yield "-" * display_width(title)
    yield ""
    words = run.locks.headline if run.locks is not None else run.verdict.sentence
    yield from wrap(_inline(f"{words[:1].upper()}{words[1:]}."), _WIDTH)
    yield ""
    yield f":Model: ``{printable(run.model.file)}``"
    if run.scenario.instance:
        yield f":Sizes: {_inline(run.scenario.instance)}"
    yield from hang(":Assumes: ", _inline("; ".join((document.memory_model, *run.scenario.assumptions))), _WIDTH, 3)
    yield ""
    yield from table(run)


def _inline(text: str) -> str:
    """``text`` as paragraph text: what could be markup is escaped."""
    return "".join(f"\\{c}" if c in "\\*`_|<>" else c for c in printable(text))


def table(run: Run) -> Iterator[str]:
    """The grid table of ``run``."""
    trace = run.trace
    count = max(len(trace.threads), 1)
    room = max(_NARROWEST, (_WIDTH - 1) // count - 3)
    whole = count * (room + 3) - 3
    across = f"+{'-' * (whole + 2)}+"
    between = "+" + f"{'-' * (room + 2)}+" * count
    chosen = [f"{c.name} = {c.value}" for c in trace.initial if c.chosen and c.kind is not VarKind.PC]
    yield across
    if chosen:
        yield from _full(["At the beginning::", "", *_literal([x for c in chosen for x in wrap(c, whole - 3)])], whole)
    else:
        yield from _full(["At the beginning everything has its default."], whole)
    yield between
    if trace.threads:
        yield from _cells([_head(k, thread, room) for k, thread in enumerate(trace.threads)], room)
        yield between
        loop = trace.ending.loop
        begin = loop.begin if loop is not None else 0
        groups = [list(steps) for _, steps in groupby(trace.steps, key=lambda s: (s.thread, s.number >= begin))]
        for steps in groups:
            if loop is not None and steps[0].number == begin:
                yield from _full([f"From here on, {loop.opening}."], whole)
                yield between
            lines = [x for s in steps for x in _numbered(trace, s.number, room - len(_INDENT))]
            at = trace.threads.index(steps[0].thread)
            yield from _cells([["::", "", *_literal(lines)] if k == at else [] for k in range(count)], room)
            yield between
        if loop is not None:
            yield from _full([f"Then {loop.closing}."], whole)
            yield between
    ending = layout_ending(trace.ending, run.model.file, Style(width=max(whole - len(_INDENT), 40)))
    yield from _full(["::", "", *_literal([printable(x) for x in ending])], whole)
    yield across


def _head(number: int, thread: str, room: int) -> list[str]:
    return [f"CPU {number}::", "", *_literal(wrap(printable(thread), room - len(_INDENT)))]


def _numbered(trace: Trace, number: int, room: int) -> Iterator[str]:
    step = trace.steps[number - 1]
    lead = f"{number}. "
    for line, text in enumerate(statement(step, trace.threads, room - len(lead))):
        yield (lead if line == 0 else " " * len(lead)) + text


def _literal(lines: Sequence[str]) -> list[str]:
    return [f"{_INDENT}{line}" for line in lines]


def _full(lines: Sequence[str], width: int) -> Iterator[str]:
    for line in lines:
        yield f"| {pad(line, width)} |"


def _cells(cells: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    for line in range(max(map(len, cells))):
        yield "| " + " | ".join(pad(cell[line] if line < len(cell) else "", room) for cell in cells) + " |"
