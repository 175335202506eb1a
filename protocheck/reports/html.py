"""Runs as one self-contained page: columns per thread, a slider, the source beside it, and why others cannot move.

The page loads nothing and may load nothing: its own policy forbids it. Its data is JSON in a script element, and the
script writes texts only as texts, so a model cannot inject markup.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

from protocheck.ir.system import Act
from protocheck.reports.document import Document, Run
from protocheck.reports.itf import cell
from protocheck.reports.mail import GIVING_BACK
from protocheck.reports.style import Style
from protocheck.reports.table import layout_ending
from protocheck.traces.standing import Stand
from protocheck.traces.trace import Ending, Place, Step

_Json: TypeAlias = dict[str, Any]


def render(document: Document, runs: Sequence[Run]) -> str:
    """The page with all ``runs``, of which the reader chooses."""
    template = Template((Path(__file__).resolve().parent / "page" / "page.html").read_text(encoding="utf-8"))
    files = {p.file for run in runs for p in _places(run)} | {run.model.file for run in runs}
    data = {
        "runs": [_run(document, run, len({(r.model.file, r.model.name) for r in runs}) > 1) for run in runs],
        "sources": {name: text for name, text in document.sources if name in files},
    }
    title = runs[0].about if len(runs) == 1 else f"{len(runs)} runs"
    # No "<" can end the script element, and no line separator can end a string.
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return template.substitute(
        version=html.escape(document.version), title=html.escape(f"protocheck: {title}"), data=text
    )


def _places(run: Run) -> Iterator[Place]:
    for step in run.trace.steps:
        yield from step.places[:1]


def _run(document: Document, run: Run, among_others: bool) -> _Json:
    trace = run.trace
    scenario = run.scenario
    variants = f", with {', '.join(scenario.variants)}" if scenario.variants else ""
    about = [f"{run.model.file}: {run.model.name}, scenario {scenario.name}{variants}"]
    about += [scenario.instance] if scenario.instance else []
    about.append("assumes " + "; ".join((document.memory_model, *scenario.assumptions)))
    explanation = run.locks.explanation if run.locks is not None else f"Claim: {run.verdict.claim}"
    return {
        "title": f"{run.model.name}: {run.about}" if among_others else run.about,
        "file": run.model.file,
        "about": " \u00b7 ".join(about),
        "explanation": explanation,
        "violation": run.verdict.outcome == "violated",
        "threads": list(trace.threads),
        "initial": [{"name": c.name, "value": c.value, "kind": c.kind.value} for c in trace.initial],
        "steps": [_step(s) for s in trace.steps],
        "stands": [[_stand(s) for s in everyone] for everyone in run.found.stands],
        "ending": _ending(trace.ending, run.model.file),
        "inevitable": trace.inevitable,
    }


def _place(place: Place | None) -> _Json | None:
    return {"file": place.file, "line": place.line} if place is not None else None


def _step(step: Step) -> _Json:
    return {
        "number": step.number,
        "thread": step.thread,
        "text": step.text,
        "place": _place(step.places[0] if step.places else None),
        "choices": [[name, value] for name, value in step.choices],
        "locks": [
            {"text": str(a), "waits": a.act in (Act.WANT, Act.TRY_FAILED, Act.RETRY), "last": a.act in GIVING_BACK}
            for a in step.locks
            if a.lock or a.because
        ],
        "changes": [
            {
                "name": c.name,
                "cell": cell(c, step),
                "before": c.before,
                "after": c.after,
                "kind": c.kind.value,
                "folded": c.folded,
            }
            for c in step.changes
        ],
        "failures": [f.message for f in step.failures],
        "causes": list(step.causes),
    }


def _stand(stand: Stand) -> _Json:
    return {
        "thread": stand.thread,
        "place": _place(stand.place),
        "can": list(stand.can),
        "why": list(stand.why),
        "waits": stand.waits,
    }


def _ending(ending: Ending, file: str) -> _Json:
    lines = layout_ending(ending, file, Style(width=10_000))
    told: _Json = {"headline": ending.headline, "lines": lines[1:]}
    if ending.loop is not None:
        told["loop"] = {"begin": ending.loop.begin, "opening": ending.loop.opening, "closing": ending.loop.closing}
    return told
