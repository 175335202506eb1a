"""Reports for programs: JSON as ``protocheck schema`` describes it. The same input gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, assert_never

from protocheck.diagnostics import Diagnostic
from protocheck.engines.verdict import Certificate, Exhausted, Induction, Invariant, Structural
from protocheck.findings import (
    MEMORY_MODEL,
    Blocked,
    Broken,
    Evidence,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    LockEdge,
    LockFinding,
    LockGraph,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Report,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
    sentence,
    word,
)
from protocheck.ir.system import System
from protocheck.source import Origin, Span
from protocheck.traces.standing import standings
from protocheck.traces.trace import (
    Change,
    Ending,
    Loop,
    Place,
    Step,
    Trace,
    places_of,
    trace_of_finding,
    trace_of_lock_evidence,
)

FORMAT_VERSION = 1

Json: TypeAlias = dict[str, Any]


def schema_path() -> Path:
    """The JSON Schema of what :func:`render` prints."""
    return Path(__file__).resolve().parent / "schema" / "report.schema.json"


def render(
    reports: Sequence[Report], diagnostics: Sequence[Diagnostic], exit_status: int, version: str, message: str = ""
) -> str:
    """Everything that one command found, as one JSON document and a line break: :func:`document`, written out."""
    return dump(document(reports, diagnostics, exit_status, version, message))


def dump(data: Json) -> str:
    """``data`` as the text of a report."""
    return json.dumps(data, indent=2, ensure_ascii=True) + "\n"


def document(
    reports: Sequence[Report], diagnostics: Sequence[Diagnostic], exit_status: int, version: str, message: str = ""
) -> Json:
    """Everything that one command found, as plain data.

    ``message`` says what went wrong where neither a report nor a diagnostic does (bad usage, an internal error).
    """
    return {
        "format_version": FORMAT_VERSION,
        "tool": {"name": "protocheck", "version": version},
        "memory_model": MEMORY_MODEL,
        "exit_status": exit_status,
        "message": message,
        "diagnostics": [_diagnostic(d) for d in diagnostics],
        "reports": [_report(r) for r in reports],
        "sources": [{"file": name, "text": text} for name, text in _sources(reports)],
    }


def _sources(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """The files that runs pass through, by name, so that a stored run can be read beside its source."""
    files: dict[str, str] = {}
    for report in reports:
        for scenario in report.scenarios:
            if scenario.system is None or all(f.evidence is None for f in scenario.findings):
                continue
            for transition in scenario.system.transitions:
                for span in transition.origin.chain():
                    files.setdefault(span.file.path, span.file.text)
    return sorted(files.items())


def _diagnostic(diagnostic: Diagnostic) -> Json:
    return {
        "rule": diagnostic.rule.name,
        "severity": diagnostic.rule.severity.value,
        "headline": diagnostic.headline,
        "help": diagnostic.help,
        "labels": [{"span": _span(label.span), "text": label.text} for label in diagnostic.labels],
    }


def _span(span: Span) -> Json:
    end_line, end_column = span.file.line_column(span.end)
    return {
        "file": span.file.path,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _report(report: Report) -> Json:
    return {
        "file": report.file,
        "model": report.model,
        "doc": report.doc,
        "exit_status": report.exit_status,
        "scenarios": [_scenario(s) for s in report.scenarios],
    }


def _scenario(scenario: ScenarioReport) -> Json:
    system = scenario.system
    return {
        "name": scenario.name,
        "doc": scenario.doc,
        "instance": scenario.instance,
        "variants": list(scenario.variants),
        "settings": dict(scenario.settings),
        "assumptions": list(scenario.assumptions),
        "notes": list(scenario.notes),
        "as_expected": scenario.as_expected,
        "findings": [_finding(f, scenario.instance, system) for f in scenario.findings],
        "mismatches": [
            {"expected": m.expected, "message": m.message, "open": m.open, "places": _places(m.origin)}
            for m in scenario.mismatches
        ],
        "lock_graph": _graph(scenario.lock_graph, system),
    }


def _finding(finding: Finding, instance: str, system: System | None) -> Json:
    trace = trace_of_finding(system, finding)
    return {
        "property": finding.name,
        "family": finding.family,
        "kind": finding.kind,
        "claim": finding.claim,
        "verdict": word(finding.outcome),
        "sentence": sentence(finding.outcome, instance),
        "outcome": _outcome(finding.outcome),
        "expected": finding.expected,
        "as_expected": finding.as_expected,
        "open": finding.open,
        "message": finding.message,
        "engine": finding.engine,
        "invariant": list(finding.invariant),
        "not_any_size": finding.not_any,
        "places": _places(finding.origin),
        "trace": _trace(trace, _stands(system, finding.evidence)) if trace is not None else None,
        "lock_graph": _graph(finding.lock_graph, system),
        **({"others": _others(finding, system)} if finding.others is not None else {}),
    }


def _others(finding: Finding, system: System | None) -> Json:
    """The further counterexamples that were asked for."""
    others = finding.others
    assert others is not None
    told = [(trace_of_finding(system, replace(finding, evidence=e)), e) for e in others.runs]
    return {
        "found": others.found,
        "ends": others.ends,
        "complete": others.complete,
        "text": others.text,
        "traces": [_trace(trace, _stands(system, e)) for trace, e in told if trace is not None],
    }


def _outcome(outcome: Outcome) -> Json:
    match outcome:
        case Holds(by, any_size, fixed, rechecked, assumed):
            fair: Json = {"assumed": list(assumed)} if assumed else {}
            return {"kind": "holds", **_proof(by, any_size, fixed, rechecked), **fair}
        case NeverFound(by, any_size, fixed, rechecked):
            return {"kind": "never-found", **_proof(by, any_size, fixed, rechecked)}
        case HoldsToDepth(depth):
            return {"kind": "holds-to-depth", "depth": depth}
        case NotFoundToDepth(depth):
            return {"kind": "not-found-to-depth", "depth": depth}
        case Violated(steps, shortest, switches, loop, excluded):
            endless: Json = {} if loop is None else {"loop": loop, "excluded": excluded}
            return {"kind": "violated", "steps": steps, "shortest": shortest, "switches": switches, **endless}
        case Found(steps, shortest, switches):
            return {"kind": "found", "steps": steps, "shortest": shortest, "switches": switches}
        case Vacuous(why, by_or_none):
            return {
                "kind": "vacuous",
                "why": why,
                "certificate": _certificate(by_or_none) if by_or_none is not None else None,
            }
        case Unknown(limit, detail, depth):
            return {"kind": "unknown", "limit": limit.value, "detail": detail, "depth": depth}
        case Broken(detail):
            return {"kind": "broken", "detail": detail}
        case _:
            assert_never(outcome)


def _proof(by: Certificate, any_size: tuple[str, ...], fixed: tuple[str, ...], rechecked: bool) -> Json:
    return {
        "certificate": _certificate(by),
        "any_size": list(any_size),
        "fixed": list(fixed),
        "rechecked": rechecked,
    }


def _certificate(by: Certificate) -> Json:
    match by:
        case Exhausted(states, depth, symmetric):
            return {"kind": "exhausted", "states": states, "depth": depth, "symmetric": symmetric}
        case Induction(k):
            return {"kind": "induction", "k": k}
        case Invariant(clauses):
            return {"kind": "invariant", "clauses": len(clauses)}
        case Structural(argument):
            return {"kind": "structural", "argument": argument}
        case _:
            assert_never(by)


# --------------------------------------------------------------------------------------------------------------------
# Lock order


def _graph(graph: LockGraph | None, system: System | None) -> Json | None:
    if graph is None:
        return None
    return {
        "acyclic": graph.acyclic,
        "notes": list(graph.notes),
        "nodes": [
            {"name": n.name, "kind": n.kind, "instances": n.instances, "is_wait": n.is_wait} for n in graph.nodes
        ],
        "edges": [_edge(e, system) for e in graph.edges],
        "findings": [_lock_finding(f, system) for f in graph.findings],
    }


def _edge(edge: LockEdge, system: System | None) -> Json:
    why = f"{edge.thread} wants {edge.wanted} while it holds {edge.held}"
    return {
        "held": edge.held,
        "held_mode": edge.held_mode,
        "wanted": edge.wanted,
        "wanted_mode": edge.wanted_mode,
        "thread": edge.thread,
        "status": edge.status.name.lower(),
        "same_instance": edge.same,
        "steps": edge.steps,
        "detail": edge.detail,
        "places": _places(edge.origin),
        "trace": _lock_trace(system, f"{edge.held} -> {edge.wanted}", why, edge.evidence, everyone=False),
    }


def _lock_finding(finding: LockFinding, system: System | None) -> Json:
    return {
        "kind": finding.kind.value,
        "locks": list(finding.locks),
        "headline": finding.headline,
        "explanation": finding.explanation,
        "prevented_by": finding.prevented_by,
        "violation": finding.violation,
        "outcome": _outcome(finding.outcome),
        "trace": _lock_trace(system, finding.headline, finding.explanation, finding.evidence),
    }


def _lock_trace(
    system: System | None, headline: str, why: str, evidence: Evidence | None, everyone: bool = True
) -> Json | None:
    if system is None or evidence is None:
        return None
    stands = _stands(system, evidence) if everyone else []
    return _trace(trace_of_lock_evidence(system, headline, why, evidence), stands)


# --------------------------------------------------------------------------------------------------------------------
# Traces


def _stands(system: System | None, evidence: Evidence | None) -> list[list[Json]]:
    """Where every thread stands in each state of a run."""
    if system is None or evidence is None:
        return []
    return [
        [
            {
                "thread": s.thread,
                "place": _place(s.place) if s.place is not None else None,
                "can": list(s.can),
                "why": list(s.why),
                "waits": s.waits,
            }
            for s in everyone
        ]
        for everyone in standings(system, evidence.replayed.states)
    ]


def _trace(trace: Trace, stands: list[list[Json]]) -> Json:
    return {
        "threads": list(trace.threads),
        "context_switches": trace.switches,
        "initial": [
            {"name": c.name, "value": c.value, "kind": c.kind.value, "chosen": c.chosen} for c in trace.initial
        ],
        "steps": [_step(s) for s in trace.steps],
        "stands": stands,
        "ending": _ending(trace.ending),
        **({"inevitable_after": trace.inevitable} if trace.inevitable is not None else {}),
    }


def _step(step: Step) -> Json:
    return {
        "number": step.number,
        "thread": step.thread,
        "text": step.text,
        "places": [_place(p) for p in step.places],
        "choices": [{"name": name, "value": value} for name, value in step.choices],
        "sees": [{"name": name, "value": value} for name, value in step.sees],
        "changes": [_change(c) for c in step.changes],
        "locks": [
            {"act": a.act.name.lower(), "lock": a.lock, "mode": a.mode, "because": list(a.because)} for a in step.locks
        ],
        "notes": list(step.notes),
        "failures": [
            {
                "property": f.prop,
                "message": f.message,
                "places": [_place(p) for p in f.places],
                "facts": list(f.facts),
                "fatal": f.fatal,
            }
            for f in step.failures
        ],
        "context_switch": step.switch,
        "causes": list(step.causes),
    }


def _change(change: Change) -> Json:
    return {
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "kind": change.kind.value,
        "folded": change.folded,
    }


def _ending(ending: Ending) -> Json:
    return {
        "headline": ending.headline,
        "claim": ending.claim,
        "where": [{"name": name, "value": value} for name, value in ending.where],
        "facts": [{"text": f.text, "since": f.since} for f in ending.facts],
        "places": [_place(p) for p in ending.places],
        "deadlock": [_blocked(b) for b in ending.deadlock.blocked] if ending.deadlock is not None else None,
        "cycle": [{"thread": thread, "why": why} for thread, why in ending.cycle],
        "standing": [
            {"thread": thread, "place": _place(place) if place is not None else None, "what": what}
            for thread, place, what in ending.standing
        ],
        **({"loop": _loop(ending.loop)} if ending.loop is not None else {}),
    }


def _loop(loop: Loop) -> Json:
    return {"begin": loop.begin, "end": loop.end, "since": loop.since, "why": loop.why}


def _blocked(blocked: Blocked) -> Json:
    return {
        "thread": blocked.thread,
        "waits": blocked.waits,
        "since": blocked.since,
        "for_whom": [{"thread": thread, "why": why} for thread, why in blocked.for_whom],
        "holds": [{"lock": lock, "since": since} for lock, since in blocked.holds],
        "idle": blocked.idle,
    }


def _places(origin: Origin | None) -> list[Json]:
    return [_place(p) for p in places_of(origin)]


def _place(place: Place) -> Json:
    return {"file": place.file, "line": place.line, "column": place.column}
