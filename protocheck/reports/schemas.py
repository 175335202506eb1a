"""JSON Schemas of what the commands beside ``check`` print as JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

from protocheck.explain_run import Kind
from protocheck.ir.expr import VarKind
from protocheck.library import MARKS
from protocheck.mutate import Fate
from protocheck.reports.json import FORMAT_VERSION

_Schema: TypeAlias = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_FLAG: _Schema = {"type": "boolean"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_VERSION: _Schema = {"const": FORMAT_VERSION}


def _list(of: _Schema) -> _Schema:
    return {"type": "array", "items": of}


def _object(**properties: _Schema) -> _Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _map(of: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": of}


def _or_null(of: _Schema) -> _Schema:
    return {"anyOf": [of, {"type": "null"}]}


_PLACE = _object(file=_TEXT, line={"type": "integer", "minimum": 1}, column={"type": "integer", "minimum": 1})
_VERDICT = _object(
    verdict={"enum": ["holds", "violated", "unreachable", "vacuous", "unknown", "broken"]}, sentence=_TEXT
)
_MARK = _object(how={"enum": list(MARKS)}, where=_TEXT)
_ANSWER: _Schema = {
    "answer": {"enum": [k.value for k in Kind]},
    "steps": _or_null(_COUNT),
    "sentence": _TEXT,
}
_SILENT = _object(what=_TEXT, text=_TEXT, place=_or_null(_PLACE))

SCHEMAS: dict[str, _Schema] = {
    "info": _object(
        format_version=_VERSION,
        file=_TEXT,
        model=_TEXT,
        scenarios=_list(
            _object(
                name=_TEXT,
                instance=_TEXT,
                variants=_list(_TEXT),
                threads=_list(
                    _object(
                        name=_TEXT, kind=_TEXT, instances=_COUNT, locations=_COUNT, statements=_COUNT, steps=_COUNT
                    )
                ),
                variables=_list(
                    _object(
                        name=_TEXT,
                        kind={"enum": [k.value for k in VarKind]},
                        cells=_COUNT,
                        values=_COUNT,
                        bits=_COUNT,
                        seen=_or_null(_COUNT),
                        factor=_or_null({"type": "number"}),
                    )
                ),
                locks=_COUNT,
                bits=_COUNT,
                combinations=_COUNT,
                states=_object(count=_COUNT, steps=_COUNT, depth=_COUNT, complete=_FLAG, symmetric=_FLAG),
                heaviest=_or_null(_TEXT),
                silent=_list(_SILENT),
                unasked=_list(_TEXT),
            )
        ),
        silent_in_all=_list(_SILENT),
    ),
    "library": _object(
        format_version=_VERSION,
        **{"import": _TEXT},
        file=_TEXT,
        module=_TEXT,
        parameters=_TEXT,
        doc=_TEXT,
        purposes=_list(_TEXT),
        sources=_list(_object(text=_TEXT, marks=_list(_MARK))),
        declarations=_list(
            _object(
                kind=_TEXT,
                name=_TEXT,
                signature=_TEXT,
                public=_FLAG,
                line=_COUNT,
                doc=_TEXT,
                shared=_FLAG,
                marks=_list(_MARK),
                results=_list(_TEXT),
                fails=_list(_TEXT),
                busy=_list(_object(lock=_TEXT, result=_TEXT)),
                locks=_list(_TEXT),
                waits=_list(_TEXT),
                writes=_list(_TEXT),
                reports=_list(_TEXT),
            )
        ),
    ),
    "compare": _object(
        format_version=_VERSION,
        memory_model=_TEXT,
        proposals=_list(
            _object(
                label=_TEXT,
                file=_TEXT,
                scenarios=_list(_object(name=_TEXT, instance=_TEXT, variants=_list(_TEXT))),
            )
        ),
        guarantees=_list(_object(name=_TEXT, kind=_TEXT, verdicts=_list(_or_null(_VERDICT)))),
        differences=_list(_object(guarantee=_TEXT, proposal=_TEXT, change=_TEXT)),
        behaviours=_list(_object(name=_TEXT, possible=_list(_TEXT), impossible=_list(_TEXT))),
        unchecked=_list(_TEXT),
    ),
    "sweep": _object(
        format_version=_VERSION,
        memory_model=_TEXT,
        file=_TEXT,
        scenario=_TEXT,
        parameters=_list(_object(name=_TEXT, values=_list(_TEXT))),
        instances=_list(
            _object(settings=_map(_TEXT), variants=_list(_TEXT), skipped=_TEXT, verdicts=_map(_VERDICT))
        ),
        flips=_list(_object(property=_TEXT, before=_COUNT, after=_COUNT, changes=_list(_TEXT))),
        left_out=_TEXT,
        unchecked=_COUNT,
    ),
    "mutate": _object(
        format_version=_VERSION,
        file=_TEXT,
        model=_TEXT,
        scenarios=_list(_TEXT),
        mutants=_list(
            _object(
                kind=_TEXT,
                what=_TEXT,
                file=_TEXT,
                line=_COUNT,
                column=_COUNT,
                text=_TEXT,
                fate={"enum": [f.value for f in Fate]},
                noticed_by=_list(_TEXT),
                why=_TEXT,
                missing=_TEXT,
            )
        ),
        untried=_COUNT,
    ),
    "explain-run": _object(
        format_version=_VERSION,
        memory_model=_TEXT,
        file=_TEXT,
        model=_TEXT,
        scenario=_TEXT,
        property=_TEXT,
        claim=_TEXT,
        instance=_TEXT,
        length=_COUNT,
        loop=_or_null(_COUNT),
        settings=_list(_object(name=_TEXT, change=_TEXT, **_ANSWER)),
        sizes=_list(_object(name=_TEXT, value={"type": "integer"}, smallest={"type": "integer"})),
        steps=_list(
            _object(
                number=_COUNT,
                thread=_TEXT,
                text=_TEXT,
                place=_or_null(_PLACE),
                needed=_FLAG,
                effect=_TEXT,
                without=_or_null(_object(**_ANSWER)),
                again=_or_null(_object(**_ANSWER)),
            )
        ),
        switches=_list(
            _object(
                thread=_TEXT,
                between=_list({"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}),
                lines=_list(_COUNT),
                **_ANSWER,
            )
        ),
        changes=_list(_object(kind=_TEXT, what=_TEXT, text=_TEXT, place=_PLACE, loses=_list(_TEXT), **_ANSWER)),
        changes_tried=_COUNT,
        notes=_list(_TEXT),
    ),
}
"""For each command that has ``--format json``, what it prints; ``library``: what ``info`` prints of a library."""


_COMMANDS = {"library": "info lib.NAME"}


def schema_of(command: str) -> _Schema:
    """The schema of what ``command`` prints, complete with its head."""
    title = f"protocheck {_COMMANDS.get(command, command)} --format json"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **SCHEMAS[command]}
