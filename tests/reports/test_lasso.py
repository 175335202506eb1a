"""Runs without an end: told with their loop marked, and why it is fair, in every format that tells runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import golden
import jsonschema
import pytest
import sample
from live_zoo import LIVE_ZOO

from protocheck.engines.fair import run as fair_run
from protocheck.engines.verdict import Budget, Reached
from protocheck.findings import Evidence, Finding, Report, Violated
from protocheck.ir.system import ProgressTarget, Property, Wish
from protocheck.reports import itf
from protocheck.reports.document import Document, document_of, runs
from protocheck.reports.formats import find_format, tell
from protocheck.reports.json import document as as_json
from protocheck.reports.json import dump, schema_path
from protocheck.reports.style import Style
from protocheck.reports.table import layout_trace
from protocheck.traces.replay import replay
from protocheck.traces.trace import Trace, trace_of

HERE = Path(__file__).parent / "golden" / "lasso"
TOLD = ("test and set, weakly fair", "what stops stands still", "retries while the flag flips", "no way back")


def evidence(name: str) -> tuple[Property, Evidence, Report]:
    """The violation that the zoo knows under ``name``: its property, the replayed run, a report with it."""
    case = next(c for c in LIVE_ZOO if c.name == name)
    (verdict,) = fair_run(case.system, (case.target,), Budget())
    assert isinstance(verdict, Reached)
    kind = "progress" if isinstance(case.target, ProgressTarget) else "recoverable"
    prop = Property("served", "served", kind, Wish.NEVER, case.target, "wants leads_to has", None)
    system = replace(case.system, properties=(prop,))
    found = Evidence(verdict.run, case.target, replay(system, case.target, verdict.run))
    outcome = Violated(len(verdict.run.moves), True, 1)
    finding = Finding(prop.name, prop.family, prop.kind, prop.claim, outcome, "holds", False, evidence=found)
    return prop, found, sample.report(sample.scenario("small", finding, system=system), model="zoo")


def told(name: str) -> Trace:
    """The run that the zoo knows under ``name``, told."""
    prop, found, report = evidence(name)
    system = report.scenarios[0].system
    assert system is not None
    return trace_of(system, prop, found.target, found.run, found.replayed)


def document(name: str) -> Document:
    """A document with one such run."""
    return document_of([evidence(name)[2]], (), 1, "0.1.0")


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("width", [100, 40])
def test_table(name: str, width: int) -> None:
    """A table and a list mark where the loop begins and ends, and say why it is fair."""
    text = layout_trace(told(name), sample.FILE, Style(width=width))
    golden.check(HERE / f"{name.replace(' ', '_').replace(',', '')}_{width}.txt", text)


@pytest.mark.parametrize("name", ["mail", "rst", "mermaid", "dot", "itf"])
def test_formats(name: str) -> None:
    """Every format for one run marks the loop in its own way."""
    doc = document(TOLD[0])
    golden.check(HERE / f"loop.{name}", tell(find_format(name), doc, runs(doc)).text)
    still = document(TOLD[1])
    golden.check(HERE / f"still.{name}", tell(find_format(name), still, runs(still)).text)


def test_json_comes_back() -> None:
    """The JSON of a lasso follows its schema, and what is read back from it is what was told."""
    schema = json.loads(schema_path().read_text(encoding="utf-8"))
    for name in TOLD:
        text = dump(as_json([evidence(name)[2]], (), 1, "0.1.0", ""))
        jsonschema.validate(json.loads(text), schema)
        (run,) = runs(document(name))
        assert run.trace == told(name)


def test_the_loop_of_itf_closes() -> None:
    """In ITF the state before the loop is the one at its end, and standing still repeats the last state alone."""
    doc = document(TOLD[0])
    shown = json.loads(itf.render(doc, runs(doc)))
    names = [n for n in shown["vars"] if not n.startswith("mbt::")]
    before, last = shown["states"][shown["loop"] - 1], shown["states"][-1]
    assert [before[n] for n in names] == [last[n] for n in names]
    doc = document(TOLD[1])
    shown = json.loads(itf.render(doc, runs(doc)))
    assert shown["loop"] == len(shown["states"]) - 1


def test_the_page_knows_the_loop() -> None:
    """The page has the loop in its data, with the words that it puts above and below its steps."""
    doc = document(TOLD[0])
    text = tell(find_format("html"), doc, runs(doc)).text
    assert '"loop":{"begin":2,"opening":"steps 2 to 4 are repeated for ever","closing":"back to step 2"}' in text
