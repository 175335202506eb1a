"""JSON reports follow the published schema and carry everything that the text says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import sample

from protocheck.diagnostics import Diagnostic, Label, Rule
from protocheck.findings import EdgeStatus, LockFindingKind, Report
from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.json import render, schema_path
from protocheck.source import SourceFile, Span

SCHEMA = json.loads(schema_path().read_text(encoding="utf-8"))


def document(*reports: Report, diagnostics: tuple[Diagnostic, ...] = (), status: int = 0) -> Any:
    """The parsed and validated JSON of ``reports``."""
    parsed = json.loads(render(reports, diagnostics, status, "0.1.0"))
    jsonschema.Draft202012Validator(SCHEMA).validate(parsed)
    return parsed


def test_the_schema_is_a_schema() -> None:
    """The published file is itself valid, and forbids fields it does not name."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document(), "surprise": 1}, SCHEMA)


@pytest.mark.parametrize("name", ["good", "bad", "locks", "every_outcome"])
def test_reports_follow_the_schema(name: str) -> None:
    """Every kind of report validates."""
    report = document(getattr(sample, name)())["reports"][0]
    assert report["file"] == "models/abba.pchk"


def test_every_outcome_is_told_with_its_depth() -> None:
    """The kind and the reach of each outcome are in the data, not only in the sentence."""
    findings = document(sample.every_outcome())["reports"][0]["scenarios"][0]["findings"]
    kinds = [f["outcome"]["kind"] for f in findings]
    assert kinds == [
        "holds", "holds", "holds", "holds-to-depth", "violated", "found", "never-found", "not-found-to-depth",
        "vacuous", "vacuous", "unknown", "unknown", "broken",
    ]  # fmt: skip
    assert findings[3]["outcome"] == {"kind": "holds-to-depth", "depth": 12}
    assert findings[1]["outcome"]["any_size"] == ["vcpu"]


def test_a_trace_can_be_followed() -> None:
    """Steps have thread, place, values and changes; the ending names the cycle of waiting threads."""
    finding = document(sample.good())["reports"][0]["scenarios"][0]["findings"][0]
    trace = finding["trace"]
    assert [s["thread"] for s in trace["steps"]] == ["kvm.one", "kvm.two", "kvm.one", "kvm.two"]
    assert trace["steps"][2]["locks"] == [
        {"act": "want", "lock": "b", "mode": "write", "because": ["kvm.two holds b (read)"]}
    ]
    assert trace["ending"]["deadlock"][0]["holds"] == [{"lock": "a", "since": 1}]
    assert [link["thread"] for link in trace["ending"]["cycle"]] == ["kvm.one", "kvm.two"]


def test_edges_of_the_lock_graph_carry_their_witness() -> None:
    """An edge that was reached has its run, one that was not decided has none."""
    graph = document(sample.locks())["reports"][0]["scenarios"][0]["lock_graph"]
    assert [e["trace"] is not None for e in graph["edges"]] == [True, False]


def test_diagnostics_have_places() -> None:
    """A fault of a model is data too: rule, headline, and the exact stretch of text."""
    file = SourceFile("m.pchk", "protocol p\nlok x;\n")
    diagnostic = Diagnostic(Rule("misspelt-keyword", ""), "`lok`?", (Label(Span(file, 11, 14), "here"),), "lock")
    parsed = document(diagnostics=(diagnostic,), status=2)
    assert parsed["exit_status"] == 2
    assert parsed["diagnostics"][0]["labels"][0]["span"] == {
        "file": "m.pchk", "line": 2, "column": 1, "end_line": 2, "end_column": 4,
    }  # fmt: skip


def test_the_same_input_gives_the_same_bytes() -> None:
    """Two renderings are identical and ASCII, and name no path of this machine."""
    first, second = (render([sample.bad(), sample.locks()], (), 1, "0.1.0") for _ in range(2))
    assert first == second
    assert first.isascii()
    assert '"/' not in first


def test_the_schema_knows_every_word() -> None:
    """Kinds of lock finding, states of edges, acts and kinds of cell are in the schema as in the program."""
    defs = SCHEMA["$defs"]
    assert defs["lock_finding"]["properties"]["kind"]["enum"] == [k.value for k in LockFindingKind]
    assert defs["lock_edge"]["properties"]["status"]["enum"] == [s.name.lower() for s in EdgeStatus]
    assert defs["step"]["properties"]["locks"]["items"]["properties"]["act"]["enum"] == [a.name.lower() for a in Act]
    assert defs["kind"]["enum"] == [k.value for k in VarKind]
