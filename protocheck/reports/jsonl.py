"""Findings for programs that read line by line: one JSON object per line, as :func:`schema` describes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from protocheck.reports.document import Document, Run
from protocheck.reports.json import FORMAT_VERSION, schema_path


def render(document: Document, runs: Sequence[Run]) -> str:
    """Faults, then a line per finding and per expectation that nothing met, then the exit status."""
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in _lines(document))


def _lines(document: Document) -> Iterator[dict[str, Any]]:
    data = document.data
    for diagnostic in data["diagnostics"]:
        yield {"type": "diagnostic", **diagnostic}
    for report in data["reports"]:
        for scenario in report["scenarios"]:
            about = {
                "file": report["file"],
                "model": report["model"],
                "scenario": scenario["name"],
                "instance": scenario["instance"],
                "variants": scenario["variants"],
                "assumptions": scenario["assumptions"],
            }
            for finding in scenario["findings"]:
                yield {"type": "finding", **about, **finding}
            for mismatch in scenario["mismatches"]:
                yield {"type": "mismatch", **about, **mismatch}
    yield {
        "type": "exit",
        "format_version": FORMAT_VERSION,
        "version": data["tool"]["version"],
        "memory_model": data["memory_model"],
        "exit_status": data["exit_status"],
        "message": data["message"],
    }


def schema() -> dict[str, Any]:
    """The JSON Schema of a line, made from that of the whole report so that the two cannot drift apart."""
    whole = json.loads(schema_path().read_text(encoding="utf-8"))
    shared = whole["$defs"]
    text: dict[str, Any] = {"type": "string"}
    texts = {"type": "array", "items": text}
    about = {
        "file": text,
        "model": text,
        "scenario": text,
        "instance": text,
        "variants": texts,
        "assumptions": texts,
    }
    scenario = shared["scenario"]["properties"]
    finding = _resolve(scenario["findings"]["items"], shared)
    mismatch = _resolve(scenario["mismatches"]["items"], shared)
    diagnostic = _resolve(whole["properties"]["diagnostics"]["items"], shared)
    end = {
        "format_version": {"const": FORMAT_VERSION},
        "version": text,
        "memory_model": text,
        "exit_status": whole["properties"]["exit_status"],
        "message": text,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of protocheck --format jsonl",
        "oneOf": [
            _line("diagnostic", diagnostic["properties"]),
            _line("finding", {**about, **finding["properties"]}, ("others",)),
            _line("mismatch", {**about, **mismatch["properties"]}),
            _line("exit", end),
        ],
        "$defs": shared,
    }


def _resolve(node: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    found: dict[str, Any] = shared[reference.rsplit("/", 1)[-1]] if reference is not None else node
    return found


def _line(kind: str, properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    everything = {"type": {"const": kind}, **properties}
    return {
        "type": "object",
        "properties": everything,
        "required": [name for name in everything if name not in optional],
        "additionalProperties": False,
    }
