"""Verdicts as SARIF 2.1.0: a result per violation, its run as one thread flow per thread in a common order.

What is as expected is no result: a model that documents a known fault does not raise an alert. Fingerprints are made
from what a finding is (model, scenario, property, and who does what in its run), not from lines, so that an alert
survives edits elsewhere in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from protocheck.ir.system import Act
from protocheck.reports.document import Document, Fault, Mismatch, Model, Run, RunOfReport, Scenario, Verdict
from protocheck.reports.json import dump
from protocheck.traces.trace import Place, Step, Trace

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_Json: TypeAlias = dict[str, Any]

# Words that the standard knows for what a location is; others are allowed.
_KINDS = {
    Act.ACQUIRE: ("acquire", "lock"),
    Act.RELEASE: ("release", "lock"),
    Act.DOWNGRADE: ("release", "lock"),
    Act.WANT: ("wait", "lock"),
    Act.TRY_FAILED: ("wait", "lock"),
    Act.RETRY: ("wait", "lock"),
    Act.SYNC_BEGIN: ("wait",),
    Act.SYNC_END: ("wait",),
    Act.AWAIT: ("wait",),
}


def render(document: Document, runs: Sequence[Run]) -> str:
    """One SARIF run with everything that is not as expected, and the faults of models as tool notifications."""
    results = [r for m in document.models for s in m.scenarios for r in _results(m, s)]
    rules = {r["ruleId"]: None for r in results}
    families = {_rule_id(v): v for m in document.models for s in m.scenarios for v in s.verdicts}
    log: _Json = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "protocheck",
                        "version": document.version,
                        "semanticVersion": document.version,
                        "rules": [_rule(name, families.get(name)) for name in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(document)],
                "results": [{**r, "ruleIndex": list(rules).index(r["ruleId"])} for r in results],
            }
        ],
    }
    return dump(log)


def _invocation(document: Document) -> _Json:
    notes = [_notification(f) for f in document.faults]
    if document.message:
        notes.append({"level": "error", "message": {"text": document.message}})
    return {
        "executionSuccessful": document.exit_status in (0, 1),
        "exitCode": document.exit_status,
        "toolExecutionNotifications": notes,
    }


def _notification(fault: Fault) -> _Json:
    words = fault.headline + (f" ({fault.help})" if fault.help else "")
    return {
        "level": "warning" if fault.severity == "warning" else "error",
        "message": {"text": f"{fault.rule}: {words}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(region.file)},
                    "region": {
                        "startLine": region.line,
                        "startColumn": region.column,
                        "endLine": region.end_line,
                        "endColumn": region.end_column,
                    },
                }
            }
            for region, _ in fault.regions[:1]
        ],
    }


_EXPECTATION = "expectation"


def _rule_id(verdict: Verdict) -> str:
    return verdict.family or verdict.prop


def _rule(name: str, verdict: Verdict | None) -> _Json:
    if verdict is None:
        words = "An expectation of a scenario is not met."
    elif verdict.kind == "assertion":
        words = f"No assertion tagged {name} fails."
    elif verdict.kind == "built-in":
        words = f"{verdict.claim[:1].upper()}{verdict.claim[1:]}."
    else:
        words = f"A claim of the family {name} ({verdict.kind}) fares otherwise than its scenario expects."
    return {"id": name, "shortDescription": {"text": words}}


def _results(model: Model, scenario: Scenario) -> Iterator[_Json]:
    for verdict in scenario.verdicts:
        if not verdict.as_expected:
            yield _result(model, scenario, verdict)
    for mismatch in scenario.mismatches:
        yield _mismatch(model, scenario, mismatch)


def _result(model: Model, scenario: Scenario, verdict: Verdict) -> _Json:
    run = run_of(verdict)
    words = f"{scenario.name}: {verdict.prop}: {verdict.sentence}; expected: {verdict.expected}"
    if run is not None:
        words += f". {run.trace.ending.headline}"
    result: _Json = {
        "ruleId": _rule_id(verdict),
        "level": "none" if verdict.open else "error",  # the standard: what is no failure has no level
        "kind": "open" if verdict.open else "fail",
        "message": {"text": words},
        "locations": [_location(where(model, verdict))],
        "partialFingerprints": {"protocheck/v1": fingerprint(model, scenario, verdict.prop, run)},
    }
    if run is not None and run.trace.steps:
        result["codeFlows"] = [_code_flow(run.trace)]
    return result


def _mismatch(model: Model, scenario: Scenario, mismatch: Mismatch) -> _Json:
    place = mismatch.places[0] if mismatch.places else Place(model.file, 1, 1)
    return {
        "ruleId": _EXPECTATION,
        "level": "none" if mismatch.open else "error",
        "kind": "open" if mismatch.open else "fail",
        "message": {"text": f"{scenario.name}: expect {mismatch.expected}: {mismatch.message}"},
        "locations": [_location(place)],
        "partialFingerprints": {"protocheck/v1": fingerprint(model, scenario, f"expect {mismatch.expected}", None)},
    }


def run_of(verdict: Verdict) -> RunOfReport | None:
    """The run that shows a verdict: its own, or that of the first finding about lock order that has one."""
    if verdict.run is None and verdict.graph is not None:
        return next((f.run for f in verdict.graph.findings if f.run is not None), None)
    return verdict.run


def where(model: Model, verdict: Verdict) -> Place:
    """Where to point: at what failed or at the last step, in the model if one of them is; else at the property."""
    run = run_of(verdict)
    if run is not None:
        last = run.trace.steps[-1].places if run.trace.steps else ()
        places = (*run.trace.ending.places, *last)
        if places:
            return next((p for p in places if p.file == model.file), places[0])
    return verdict.places[0] if verdict.places else Place(model.file, 1, 1)


def uri(path: str) -> str:
    """``path`` as a reference: relative where it is, with ``/``."""
    plain = path.replace("\\", "/")
    return f"file://{quote(plain)}" if plain.startswith("/") else quote(plain)


def fingerprint(model: Model, scenario: Scenario, prop: str, run: RunOfReport | None) -> str:
    """What stays the same while lines move: the names, and who does what in the run, in no particular order."""
    steps = sorted((s.thread, s.text) for s in run.trace.steps) if run is not None else []
    parts = [model.name, scenario.name, prop, *(f"{thread}\t{text}" for thread, text in steps)]
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()


def _physical(place: Place) -> _Json:
    return {
        "artifactLocation": {"uri": uri(place.file)},
        "region": {"startLine": place.line, "startColumn": place.column},
    }


def _location(place: Place) -> _Json:
    return {"physicalLocation": _physical(place)}


def _code_flow(trace: Trace) -> _Json:
    return {
        "message": {"text": trace.ending.headline},
        "threadFlows": [
            {
                "id": thread,
                "message": {"text": thread},
                "locations": [_step(s, trace) for s in trace.steps if s.thread == thread],
            }
            for thread in trace.threads
        ],
    }


def _step(step: Step, trace: Trace) -> _Json:
    words = f"{step.number}. {step.text}"
    if step.choices:
        words += f" [{', '.join(f'{name} = {value}' for name, value in step.choices)}]"
    words += "".join(f" ({note})" for note in step.befallen)
    told = [str(a) for a in step.locks if a.lock or a.because] + [f.message for f in step.failures]
    location: _Json = {"message": {"text": "; ".join([words, *told])}}
    if step.places:
        location["physicalLocation"] = _physical(step.places[0])
    flow: _Json = {
        "location": location,
        "executionOrder": step.number,
        "nestingLevel": max(0, len(step.places) - 1),
        "importance": "essential" if step.failures or step.number == len(trace.steps) else "important",
    }
    state = {c.name: {"text": c.after} for c in step.changes if not c.folded}
    if state:
        flow["state"] = state
    kinds = list(dict.fromkeys(k for a in step.locks for k in _KINDS[a.act]))
    if kinds:
        flow["kinds"] = kinds
    return flow
