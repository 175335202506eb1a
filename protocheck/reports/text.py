"""Reports for people: a table per model, the runs behind what was not expected, and what to type next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias, assert_never

from tabulate import tabulate

from protocheck.as_found import expect_line
from protocheck.engines.verdict import Choice, Limit
from protocheck.findings import (
    MEMORY_MODEL,
    Broken,
    Evidence,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    LockFinding,
    LockGraph,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Report,
    ScenarioReport,
    Tone,
    Unknown,
    Vacuous,
    Violated,
    exit_status,
    plural,
    sentence,
    word,
)
from protocheck.reports.style import Paint, Style, hang, pad, printable, wrap
from protocheck.reports.table import layout_trace
from protocheck.traces.invariant import ROUNDS, of_rounds
from protocheck.traces.trace import trace_of_finding, trace_of_lock_evidence

LOCK_ORDER = "lock_order"


class Traces(Enum):
    """Which runs to print."""

    UNEXPECTED = "unexpected"  # of verdicts that differ from what was expected
    VIOLATIONS = "violations"  # of these, and of all violations
    ALL = "all"  # the witnesses of what is reachable as well


def render(
    report: Report,
    style: Style,
    traces: Traces = Traces.UNEXPECTED,
    full: bool = False,
    brief: bool = False,
) -> str:
    """One model: its table, then a section for each verdict that differs (or, with ``ALL``, that has a run).

    ``brief``: a row per scenario instead of a row per property, for when there are many models.
    """
    count = plural(len(report.scenarios), "scenario")
    lines = [f"{style.paint(printable(report.file), Paint.BOLD)}: {printable(report.model)}, {count}"]
    lines += _brief(report, style) if brief else ["", *_table(report, style, traces is Traces.ALL)]
    printed: dict[tuple[str, ...], str] = {}
    for scenario in report.scenarios:
        lines += _invariants(scenario, style)
        lines += _sections(report, scenario, style, traces, full, printed)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def summary(
    reports: Sequence[Report],
    style: Style,
    again: str,
    shown: Traces = Traces.UNEXPECTED,
    suggest: bool | None = False,
) -> str:
    """The last lines: how many verdicts are as expected, what all of them assume, and what to type next.

    ``again`` is the command without options that choose scenarios or properties ("protocheck check my.pchk").
    ``suggest``: the `expect` line that says what was found, for all scenarios; None: for those where something else
    was expected.
    """
    everything = [(r, s, f) for r in reports for s, f in r.findings()]
    wrong = [x for x in everything if not x[2].as_expected]
    mismatches = sum(len(s.mismatches) for r in reports for s in r.scenarios)
    scenarios = sum(len(r.scenarios) for r in reports)
    parts = f"{plural(len(reports), 'model')}, {plural(scenarios, 'scenario')}, {plural(len(everything), 'verdict')}"
    status = exit_status(reports)
    if status == 0:
        tail = style.paint("all as expected", Paint.GOOD)
    else:
        differ = len(wrong) + mismatches
        left = len([f for _, _, f in wrong if f.open]) + sum(
            m.open for r in reports for s in r.scenarios for m in s.mismatches
        )
        parts_ = [f"{differ - left:,} not as expected"] * (differ > left) + [f"{left:,} left open"] * (left > 0)
        words = " and ".join(parts_) if status != 70 else "a fault in protocheck itself"
        tail = style.paint(words, Paint.ERROR if status != 3 else Paint.WARNING)
    lines = [f"{parts}: {tail}.", *hang("", _assumed(reports), style.width, 0)]
    lines += _as_found(reports, style, suggest)
    hints = list(_next(everything, again, shown))
    if hints:
        width = max(len(command) for command, _ in hints)
        lines.append("")
        for number, (command, what) in enumerate(hints):
            lead = "next: " if number == 0 else "      "
            if width + len(lead) + len(what) + 3 > style.width:
                lines += [lead + command, f"          {what}"]
            else:
                lines.append(f"{lead}{pad(command, width)}   {what}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _as_found(reports: Sequence[Report], style: Style, suggest: bool | None) -> Iterator[str]:
    """For each scenario the line that would make all of it expected."""
    if suggest is False:
        return
    first = True
    for report in reports:
        for scenario in report.scenarios:
            if suggest is None and scenario.as_expected:
                continue
            line = expect_line(scenario)
            if line is None:
                continue
            if first:
                yield ""
                yield "as found:" if suggest else "as found, should that be right:"
                first = False
            name = f"{report.file}: " if len(reports) > 1 else ""
            yield from hang(f"  {printable(name + scenario.name)}: ", printable(line), style.width, 4)


def _assumed(reports: Sequence[Report]) -> str:
    """The assumptions that are common to all verdicts, and that there are more where a table says so."""
    any_size = any(getattr(f.outcome, "any_size", ()) for r in reports for _, f in r.findings())
    unless = ", unless it says any number," if any_size else ""
    return f"Every verdict is for the sizes shown with its scenario{unless} and assumes {MEMORY_MODEL}."


def _further(outcome: Outcome, only: str) -> tuple[str, str]:
    """How to come to the answer that a limit has kept back from the command ``only``."""
    match outcome:
        case HoldsToDepth() | NotFoundToDepth() if "--bound" in only:
            return re.sub(r"--bound (\d+)", lambda m: f"--bound {2 * int(m[1]) + 10}", only), "look deeper"
        case Unknown(Limit.INTERRUPTED):
            return only, "begin this verdict anew"
        case Unknown(Limit.ENGINE) if "--engine" in only:
            return re.sub(r" --engine \S+", "", only), "ask the engine that fits"
        case _:
            return f"{only} --timeout 600", "look longer"


def _next(
    everything: Sequence[tuple[Report, ScenarioReport, Finding]], again: str, shown: Traces
) -> Iterator[tuple[str, str]]:
    """Commands worth typing now, with what they do."""
    wrong = [x for x in everything if not x[2].as_expected]
    for report, scenario, finding in wrong[:1]:
        only = f"{again} --scenario {shlex.quote(scenario.name)} --property {shlex.quote(finding.name)}"
        if len({id(r) for r, _, _ in everything}) > 1:
            only = (
                f"protocheck check {shlex.quote(report.file)} --scenario {shlex.quote(scenario.name)} "
                f"--property {shlex.quote(finding.name)}"
            )
        if finding.open:
            yield _further(finding.outcome, only)
        elif finding.evidence is not None:
            yield f"{only} --full", "the same run with the whole state at each step"
        elif not isinstance(finding.outcome, Broken):
            yield only, "this verdict alone"
    hidden = [
        f
        for _, _, f in everything
        if f.as_expected
        and f.evidence is not None
        and not (shown is Traces.VIOLATIONS and isinstance(f.outcome, Violated))
    ]
    if hidden and shown is not Traces.ALL:
        runs = "run" if len(hidden) == 1 else f"{len(hidden):,} runs"
        yield f"{again} --traces", f"the {runs} behind what was expected"


# --------------------------------------------------------------------------------------------------------------------
# The table


@dataclass(frozen=True)
class _Row:
    properties: tuple[str, ...]
    verdict: tuple[str, ...]
    expected: str
    finding: Finding


def _table(report: Report, style: Style, verbose: bool) -> list[str]:
    groups = {id(s): _rows(s, verbose) for s in report.scenarios}
    name_width = min(20, max([8, *(len(s.name) for s in report.scenarios)]))
    widest = max([8, *(len(", ".join(r.properties)) for rows in groups.values() for r in rows)])
    property_width = max(12, min(widest, 32, style.width // 3))
    expected_width = 8 if all(s.as_expected for s in report.scenarios) else 14
    verdict_width = max(24, style.width - name_width - property_width - expected_width - 6)
    rows: list[list[str]] = []
    for scenario in report.scenarios:
        fixed = _fixed_in_all(scenario)
        name = "\n".join(wrap(printable(scenario.name), name_width))
        about = _about(scenario, verdict_width, style, fixed)
        if any(about):
            rows.append([name, *about])
            name = ""
        for row in groups[id(scenario)]:
            names = "\n".join(wrap(", ".join(row.properties), property_width))
            paint = _paint(row.finding)
            said = [v.replace(f" with {fixed} fixed", "", 1) if fixed else v for v in row.verdict]
            verdict = [style.paint(x, paint) if paint else x for v in said for x in hang("", v, verdict_width)]
            expected = [
                style.paint(line, Paint.GOOD if row.finding.as_expected else Paint.ERROR)
                for line in wrap(row.expected, expected_width)
            ]
            rows.append([name, names, "\n".join(verdict), "\n".join(expected)])
            name = ""
        for mismatch in scenario.mismatches:
            words = [style.paint(x, Paint.ERROR) for x in hang("", printable(mismatch.message), verdict_width)]
            expected = [
                style.paint(line, Paint.ERROR)
                for line in wrap(f"{'open' if mismatch.open else 'NO'}: {printable(mismatch.expected)}", expected_width)
            ]
            rows.append(["", "", "\n".join(words), "\n".join(expected)])
    if not rows:
        return ["(no scenarios)"]
    return tabulate(
        rows, headers=["scenario", "property", "verdict", "expected"], tablefmt="simple", disable_numparse=True
    ).split("\n")


def _brief(report: Report, style: Style) -> Iterator[str]:
    """One row per scenario, in columns that are the same for all models."""
    name_width, end = 22, 10
    room = max(30, style.width - name_width - end - 4)
    for scenario in report.scenarios:
        names = wrap(printable(scenario.name), name_width - 2)
        sizes = f"{scenario.instance}: " if scenario.instance else ""
        words = wrap(sizes + ("; ".join(_counted(scenario)) or "nothing is checked"), room)
        status, paint = (["yes"], Paint.GOOD) if scenario.as_expected else (["NO: see", "below"], Paint.ERROR)
        ends = [style.paint(x, paint) for x in status]
        for line in range(max(len(names), len(words), len(ends))):
            name = names[line] if line < len(names) else ""
            text = words[line] if line < len(words) else ""
            yield f"  {pad(name, name_width)}{pad(text, room + 2)}{ends[line] if line < len(ends) else ''}"


def _counted(scenario: ScenarioReport) -> Iterator[str]:
    """What is as it should be is counted, by how far was looked; everything else is named."""
    proved = found = 0
    bounded: dict[int, int] = {}
    named: dict[str, list[str]] = {}
    for finding in scenario.findings:
        match finding.outcome:
            case Holds():
                proved += 1
            case Found():
                found += 1
            case HoldsToDepth(depth):
                bounded[depth] = bounded.get(depth, 0) + 1
            case Violated(steps):
                word_ = "shows" if finding.kind == "weakness" else "violated"
                named.setdefault(word_, []).append(f"{finding.name} ({plural(steps, 'step')})")
            case NotFoundToDepth(depth):
                named.setdefault(f"not found up to depth {depth:,}", []).append(finding.name)
            case Unknown(limit):
                named.setdefault(f"unknown ({limit.value})", []).append(finding.name)
            case NeverFound() | Vacuous() | Broken():
                named.setdefault(word(finding.outcome), []).append(finding.name)
            case _:
                assert_never(finding.outcome)
    if proved:
        yield f"{proved} hold at every depth"
    for depth, number in bounded.items():
        yield f"{number} hold up to depth {depth:,}"
    if found:
        yield f"{found} reachable"
    for words, names in named.items():
        yield f"{words}: {', '.join(names)}"


def _fixed_in_all(scenario: ScenarioReport) -> str:
    """What stays fixed in all verdicts for any number of something, if there are several: it is said once for all."""
    sized = (f.outcome for f in scenario.findings if isinstance(f.outcome, Holds | NeverFound))
    fixed = [o.fixed for o in sized if o.any_size]
    return ", ".join(fixed[0]) if len(fixed) > 1 and len(set(fixed)) == 1 else ""


def _about(scenario: ScenarioReport, width: int, style: Style, fixed: str = "") -> list[str]:
    """The rest of a scenario's own row: variants, sizes, and what all its verdicts assume."""
    parts = [f"with {', '.join(scenario.variants)}"] if scenario.variants else []
    parts += [scenario.instance] if scenario.instance else []
    parts += [f"any number means: with {fixed} fixed"] if fixed else []
    lines = wrap("; ".join(parts), width) if parts else []
    for note in (*(f"assumes {a}" for a in scenario.assumptions), *scenario.notes):
        lines += hang("", printable(note), width)
    return ["", "\n".join(style.paint(x, Paint.DIM) for x in lines), ""]


def _rows(scenario: ScenarioReport, verbose: bool) -> list[_Row]:
    """One row per finding; neighbours that are as expected and say the same share one."""
    rows: list[_Row] = []
    for finding in scenario.findings:
        verdict = (sentence(finding.outcome), *_details(finding, scenario, verbose))
        differs = "open" if finding.open else "NO"
        expected = "yes" if finding.as_expected else f"{differs}: {_expected(finding)}"
        last = rows[-1] if rows else None
        if last is not None and finding.as_expected and last.finding.as_expected and last.verdict == verdict:
            rows[-1] = _Row((*last.properties, finding.name), verdict, expected, last.finding)
        else:
            rows.append(_Row((finding.name,), verdict, expected, finding))
    return rows


def _expected(finding: Finding) -> str:
    """What was expected, in the words of the verdict that would have met it."""
    return "found" if finding.kind == "reachable" and finding.expected == "holds" else finding.expected


def _details(finding: Finding, scenario: ScenarioReport, verbose: bool) -> Iterator[str]:
    graph = _graph(finding, scenario)
    if graph is not None:
        for lock_finding in graph.findings:
            by = f" (prevented by {lock_finding.prevented_by})" if lock_finding.prevented_by else ""
            yield printable(f"{lock_finding.headline}{by}")
    if finding.message and finding.as_expected and graph is None:
        yield printable(finding.message)
    if finding.not_any and verbose:
        yield printable(f"proved for these sizes; not for any: {finding.not_any}")


def _graph(finding: Finding, scenario: ScenarioReport) -> LockGraph | None:
    if finding.lock_graph is not None:
        return finding.lock_graph
    return scenario.lock_graph if finding.family == LOCK_ORDER else None


def _paint(finding: Finding) -> Paint | None:
    if finding.as_expected:
        return Paint.WARNING if finding.tone is Tone.NOTED else None
    match finding.tone:
        case Tone.OPEN:
            return Paint.WARNING
        case _:
            return Paint.ERROR


# --------------------------------------------------------------------------------------------------------------------
# Runs


def _sections(
    report: Report,
    scenario: ScenarioReport,
    style: Style,
    traces: Traces,
    full: bool,
    printed: dict[tuple[str, ...], str],
) -> Iterator[str]:
    """The sections of a scenario. ``printed``: the runs told so far, and of which scenario and claim each was."""
    told: dict[_Moves, str] = {}
    for finding in scenario.findings:
        if finding.as_expected and (
            traces is Traces.UNEXPECTED
            or (traces is Traces.VIOLATIONS and not isinstance(finding.outcome, Violated))
        ):
            continue
        graph = _graph(finding, scenario)
        runs = [*_lock_runs(graph, full)] if graph is not None else []
        if finding.as_expected and finding.evidence is None and not (graph is not None and graph.findings):
            continue
        yield ""
        yield style.paint("=" * min(style.width, 80), Paint.DIM)
        head = f"{scenario.name}: {finding.name}: {sentence(finding.outcome, scenario.instance)}"
        yield from (style.paint(x, _paint(finding) or Paint.BOLD) for x in wrap(printable(head), style.width))
        if not finding.as_expected:
            yield from hang("", f"expected: {printable(_expected(finding))}", style.width)
            if finding.message and graph is None and sentence(finding.outcome) not in finding.message:
                yield from hang("", printable(finding.message), style.width)
        if not runs:
            trace = trace_of_finding(scenario.system, finding)
            if trace is not None and finding.evidence is not None:
                told.setdefault(_moves(finding.evidence), finding.name)
                run = tuple(layout_trace(trace, report.file, style, full).rstrip("\n").split("\n"))
                same = printed.setdefault(run, f"{scenario.name}: {finding.name}")
                if same == f"{scenario.name}: {finding.name}":
                    yield from run
                else:
                    yield from wrap(f"The run is that of {printable(same)}, above, step by step.", style.width)
        yield from _others(report, scenario, finding, style, full)
        if graph is not None:
            yield from _lock_section(report, scenario, graph, runs, told, style, full)


def _invariants(scenario: ScenarioReport, style: Style) -> Iterator[str]:
    """Why what holds does: the sentences of its invariant, once for all properties that share it."""
    shared: dict[tuple[str, ...], list[Finding]] = {}
    for finding in scenario.findings:
        if finding.invariant:
            shared.setdefault(finding.invariant, []).append(finding)
    for sentences, findings in shared.items():
        names = " and ".join(f.name for f in findings)
        verb = "holds" if len(findings) == 1 else "hold"
        yield ""
        yield from (style.paint(x, Paint.BOLD) for x in wrap(f"{scenario.name}: why {names} {verb}", style.width))
        if of_rounds(sentences):
            yield from wrap(ROUNDS, style.width)
        yield from wrap("True when a run begins, kept by every step, false wherever the claim is false:", style.width)
        for number, words in enumerate(sentences, start=1):
            yield from hang(f"{number:>3}. ", printable(words), style.width, 5)


_Moves: TypeAlias = tuple[Choice, tuple[Choice, ...]]


def _moves(evidence: Evidence) -> _Moves:
    """A run without the name of what it leads to: two properties may be shown by the same one."""
    return evidence.run.init, evidence.run.moves


def _lock_runs(graph: LockGraph, full: bool) -> Iterator[tuple[str, str, Evidence]]:
    """The runs behind a lock graph: those of its findings and, if everything is wanted, one per edge."""
    for found in graph.findings:
        if found.evidence is not None:
            yield found.headline, found.explanation, found.evidence
    if full:
        for edge in graph.edges:
            if edge.evidence is not None:
                head = f"{edge.held} -> {edge.wanted}"
                yield head, f"{edge.thread} wants {edge.wanted} while it holds {edge.held}", edge.evidence


def _others(
    report: Report, scenario: ScenarioReport, finding: Finding, style: Style, full: bool
) -> Iterator[str]:
    """The further counterexamples, if they were asked for."""
    if finding.others is None:
        return
    number = len(finding.others.runs) + 1
    for at, evidence in enumerate(finding.others.runs, start=2):
        trace = trace_of_finding(scenario.system, replace(finding, evidence=evidence))
        if trace is not None:
            yield ""
            head = f"{scenario.name}: {finding.name}: counterexample {at} of {number}"
            yield from (style.paint(x, Paint.BOLD) for x in wrap(printable(head), style.width))
            yield from layout_trace(trace, report.file, style, full).rstrip("\n").split("\n")
    yield ""
    yield from hang("", f"{finding.name}: {finding.others.text}.", style.width)


def _lock_section(
    report: Report,
    scenario: ScenarioReport,
    graph: LockGraph,
    runs: Sequence[tuple[str, str, Evidence]],
    told: dict[_Moves, str],
    style: Style,
    full: bool,
) -> Iterator[str]:
    """Every finding about lock order with its edges, then its run."""
    shown = {head for head, _, _ in runs}
    for found in graph.findings:
        yield ""
        yield from (style.paint(x, Paint.BOLD) for x in wrap(printable(found.headline), style.width))
        yield from hang("  ", printable(found.explanation), style.width)
        yield from _edges(found, report.file, style)
        if found.headline in shown and found.evidence is not None:
            yield ""
            if _moves(found.evidence) in told:
                yield f"  The run is that of {told[_moves(found.evidence)]}, above."
                continue
            told[_moves(found.evidence)] = found.headline
            yield from _lock_trace(scenario, found.headline, found.explanation, found.evidence, report, style, full)
    for head, explanation, evidence in runs:
        if head not in {f.headline for f in graph.findings}:
            yield ""
            yield from wrap(printable(f"{head}: {explanation}"), style.width)
            yield from _lock_trace(scenario, head, explanation, evidence, report, style, full)


def _edges(found: LockFinding, file: str, style: Style) -> Iterator[str]:
    for edge in found.edges:
        held = edge.held + (f" ({edge.held_mode})" if edge.held_mode else "")
        wanted = edge.wanted + (f" ({edge.wanted_mode})" if edge.wanted_mode else "")
        line = ""
        if edge.origin is not None:
            span = edge.origin.span
            line = f" at line {span.line}" if span.file.path == file else f" at {span.file.path}:{span.line}"
        steps = f" in {plural(edge.steps, 'step')}" if edge.steps is not None else ""
        why = f" ({edge.detail})" if edge.detail else ""
        text = f"{edge.thread} wants {wanted}{line} while it holds {held}: {edge.status.value}{steps}{why}"
        yield from hang("  - ", printable(text), style.width, 4)


def _lock_trace(
    scenario: ScenarioReport,
    head: str,
    explanation: str,
    evidence: Evidence,
    report: Report,
    style: Style,
    full: bool,
) -> Iterator[str]:
    if scenario.system is None:
        return
    trace = trace_of_lock_evidence(scenario.system, head, explanation, evidence)
    yield from layout_trace(trace, report.file, style, full).rstrip("\n").split("\n")
