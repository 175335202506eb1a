"""Stored reports: read back they are what they were, and what is no report is refused with its place."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample
from hand import FILE

from protocheck.diagnostics import ModelError
from protocheck.reports.document import Document, document_of, load, runs
from protocheck.reports.formats import FORMATS, tell
from protocheck.reports.json import document, schema_path
from protocheck.traces.trace import Trace, trace_of_finding

REPORTS = [sample.good(), sample.bad(), sample.locks(), sample.every_outcome()]
DATA = document(REPORTS, (), 1, "0.1.0")


def stored(data: Any, folder: Path) -> str:
    """The name of a file with ``data``."""
    path = folder / "r.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def test_a_stored_report_is_what_was_found(tmp_path: Path) -> None:
    """Written and read, a report is equal to the one that never left the program."""
    assert load(stored(DATA, tmp_path)) == document_of(REPORTS, (), 1, "0.1.0")


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report can come through a pipe."""
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(DATA)))
    assert len(load("-").models) == 4


@pytest.mark.parametrize("report", [sample.good(), sample.bad()], ids=["deadlock", "assertion"])
def test_a_trace_survives(report: Any) -> None:
    """Everything that a trace tells is there after the way through JSON, but for sentences made from the rest."""
    finding = next(f for _, f in report.findings() if f.evidence is not None)
    trace = trace_of_finding(report.scenarios[0].system, finding)
    assert trace is not None
    (run,) = runs(document_of([report], (), 0, "0.1.0"))
    assert _told(run.trace) == _told(trace)
    assert len(run.found.stands) == len(trace.steps) + 1


def _told(trace: Trace) -> Any:
    blocked = trace.ending.deadlock.blocked if trace.ending.deadlock is not None else None
    rest = {k: v for k, v in vars(trace.ending).items() if k != "deadlock"}
    return trace.threads, trace.initial, trace.steps, trace.switches, rest, blocked


def test_the_source_is_stored_with_the_runs() -> None:
    """The files through which runs pass, and no others."""
    found: Document = document_of([sample.good()], (), 0, "0.1.0")
    assert found.sources == ((FILE.path, FILE.text),)
    assert document_of([sample.every_outcome()], (), 0, "0.1.0").sources == ()


def _fault(data: Any, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(stored(data, folder))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.rule.name == "not-a-report"
    return diagnostic.headline.replace(str(folder / "r.json"), "r.json")


def test_what_is_no_report_is_refused_with_its_place(tmp_path: Path) -> None:
    """The message names the file, the place, and what should be there."""
    assert _fault([], tmp_path) == "`r.json` is no report: it is not an object"
    assert _fault({}, tmp_path) == "`r.json` has no `format_version`"
    assert _fault({**DATA, "format_version": 9}, tmp_path) == "`r.json` has format version 9; this program reads 1"
    data = copy.deepcopy(DATA)
    steps = data["reports"][0]["scenarios"][0]["findings"][0]["trace"]["steps"]
    steps[1]["text"] = 7
    at = "reports[0].scenarios[0].findings[0].trace.steps[1]"
    assert _fault(data, tmp_path) == f"`r.json` is no report: {at}.text is not a text"
    steps[1]["text"], steps[1]["thread"] = "x", "nobody"
    assert _fault(data, tmp_path) == f"`r.json` is no report: {at} does not belong there"
    (tmp_path / "r.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is not JSON: Expecting"):
        load(str(tmp_path / "r.json"))
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load(str(tmp_path / "s.json"))
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        load(str(tmp_path))


def _places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values of a JSON document, outer ones first."""
    found = [at] if at else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += _places(value, (*at, key))
    return found


def test_a_report_with_any_one_value_replaced_is_refused_or_read(tmp_path: Path) -> None:
    """Each value in turn becomes one of another type: only what the schema forbids is refused, and nothing crashes."""
    small = document([sample.bad()], (), 1, "0.1.0")
    validator = jsonschema.Draft202012Validator(json.loads(schema_path().read_text(encoding="utf-8")))
    refused = 0
    for place in _places(small)[::7]:
        data = copy.deepcopy(small)
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = {"strange": []} if not isinstance(inner[place[-1]], dict) else "strange"
        try:
            load(stored(data, tmp_path))
        except ModelError:
            refused += 1
            assert list(validator.iter_errors(data))
    assert refused > 30


@pytest.mark.parametrize("report", [sample.good(), sample.bad(), sample.locks()], ids=["deadlock", "check", "locks"])
def test_what_is_read_can_be_told_in_every_format(report: Any, tmp_path: Path) -> None:
    """Each number and text in turn becomes another one: the report is refused, or every format tells it."""
    small = document([report], (), 1, "0.1.0")
    refused = told = 0
    for place in _places(small)[::5]:
        data = copy.deepcopy(small)
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        old = inner[place[-1]]
        if isinstance(old, bool) or not isinstance(old, int | str):
            continue
        for new in (0, 999) if isinstance(old, int) else ("", "zz (read) of [q"):
            inner[place[-1]] = new
            try:
                found = load(stored(data, tmp_path))
            except ModelError:
                refused += 1
                continue
            for fmt in FORMATS:
                if fmt.name != "svg":
                    tell(fmt, found, runs(found, witnesses=True))
            told += 1
    assert refused > 10
    assert told > 40
