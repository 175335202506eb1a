"""Verdicts as annotations of a GitHub workflow, and as the Markdown of its step summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocheck.findings import plural
from protocheck.reports import mermaid
from protocheck.reports.document import Document, Model, Run, Scenario, Verdict
from protocheck.reports.sarif import run_of, where
from protocheck.reports.style import Style, printable
from protocheck.reports.table import layout_trace
from protocheck.traces.trace import Place

_WIDTH = 110

# GitHub cuts a step summary at a megabyte; runs are left out well before that, and said to be.
_ROOM = 900_000


def render(document: Document, runs: Sequence[Run]) -> str:
    """One workflow command per line: an error for what is not as expected, a warning for what stayed open."""
    return "".join(f"{line}\n" for line in _commands(document))


def _commands(document: Document) -> Iterator[str]:
    for fault in document.faults:
        place, end = None, None
        if fault.regions:
            region = fault.regions[0][0]
            place, end = Place(region.file, region.line, region.column), (region.end_line, region.end_column)
        words = fault.headline + (f"\nhelp: {fault.help}" if fault.help else "")
        yield _command("warning" if fault.severity == "warning" else "error", fault.rule, words, place, end)
    if document.message:
        yield _command("error", "protocheck", document.message, None)
    for model in document.models:
        for scenario in model.scenarios:
            for verdict in scenario.verdicts:
                if not verdict.as_expected:
                    title = f"{model.name}, {scenario.name}: {verdict.prop}"
                    level = "warning" if verdict.open else "error"
                    yield _command(level, title, "\n".join(_message(model, scenario, verdict)), where(model, verdict))
            for mismatch in scenario.mismatches:
                title = f"{model.name}, {scenario.name}: expectation not met"
                place = mismatch.places[0] if mismatch.places else Place(model.file, 1, 1)
                words = f"expect {mismatch.expected}: {mismatch.message}"
                yield _command("warning" if mismatch.open else "error", title, words, place)


def _message(model: Model, scenario: Scenario, verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.sentence}; expected: {verdict.expected}"
    run = run_of(verdict)
    if run is not None:
        yield ""
        yield layout_trace(run.trace, model.file, Style(width=_WIDTH)).rstrip("\n")
    elif verdict.message:
        yield verdict.message


def _command(level: str, title: str, message: str, place: Place | None, end: tuple[int, int] | None = None) -> str:
    properties = [("title", title)]
    if place is not None:
        properties += [("file", place.file), ("line", str(place.line)), ("col", str(place.column))]
        if end is not None:
            properties += [("endLine", str(end[0])), ("endColumn", str(end[1]))]
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties)
    return f"::{level} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# --------------------------------------------------------------------------------------------------------------------
# The step summary


def summary(document: Document, runs: Sequence[Run]) -> str:
    """Markdown: a table of what is not as expected (or that all is), and the runs behind it."""
    everything = [(m, s, v) for m in document.models for s in m.scenarios for v in s.verdicts]
    wrong = [x for x in everything if not x[2].as_expected]
    mismatches = [(m, s, x) for m in document.models for s in m.scenarios for x in s.mismatches]
    differ = len(wrong) + len(mismatches)
    counts = ", ".join(
        (
            plural(len(document.models), "model"),
            plural(sum(len(m.scenarios) for m in document.models), "scenario"),
            plural(len(everything), "verdict"),
        )
    )
    lines = ["## protocheck", ""]
    if document.faults or document.message:
        lines += [f"- {_cell(f'{f.rule}: {f.headline}')}" for f in document.faults]
        lines += [f"- {_cell(document.message)}"] if document.message else []
        lines.append("")
    lines += [f"{counts}: {f'**{differ:,} not as expected**' if differ else 'all as expected'}.", ""]
    if differ:
        lines += ["| model | scenario | property | verdict | expected |", "| --- | --- | --- | --- | --- |"]
        for model, scenario, verdict in wrong:
            cells = (model.file, scenario.name, verdict.prop, verdict.sentence, verdict.expected)
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
        for model, scenario, mismatch in mismatches:
            cells = (model.file, scenario.name, "", mismatch.message, mismatch.expected)
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
        lines.append("")
    text = "\n".join(lines)
    left = 0
    for run in (r for r in runs if not r.verdict.as_expected):
        part = "\n".join(_details(run)) + "\n"
        if len(text) + len(part) > _ROOM:
            left += 1
        else:
            text += part
    if left:
        text += f"{plural(left, 'run')} left out for want of room.\n"
    return text


def _details(run: Run) -> Iterator[str]:
    yield f"<details><summary>{_html(run.about)}</summary>"
    yield ""
    yield from _fenced("text", layout_trace(run.trace, run.model.file, Style(width=_WIDTH)))
    yield ""
    yield from _fenced("mermaid", "\n".join(mermaid.lines(run)))
    yield ""
    yield "</details>"
    yield ""


def _fenced(kind: str, text: str) -> Iterator[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    yield f"{fence}{kind}"
    yield text.rstrip("\n")
    yield fence


def _cell(text: str) -> str:
    """``text`` in a cell of a table: nothing in it is markup."""
    return _html("".join(f"\\{c}" if c in "\\|*_`[]~" else c for c in printable(text.replace("\n", " "))))


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
