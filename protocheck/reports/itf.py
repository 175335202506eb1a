"""A run in the Informal Trace Format, as Apalache's tools and viewers read it.

The format is that of Apalache's ADR 015 with its revisions: every integer is a ``#bigint``, indexed variables are a
``#map``, and an optional number is a set of at most one. Actor, action and choices stand in each state's ``#meta``, and
in the pseudo-variables ``mbt::actionTaken`` and ``mbt::nondetPicks`` that tools for model-based testing look for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from protocheck.ir.expr import VarKind
from protocheck.reports.document import Document, Run
from protocheck.reports.json import dump
from protocheck.traces.trace import Change, Step, Trace

_DESCRIPTION = "https://apalache-mc.org/docs/adr/015adr-trace.html"

# NOTE(itf-names): a model cannot declare a name with a double colon, so these never meet one of its own.
_AT, _HOLDERS = "thread::at", "lock::holders"
_ACTION, _PICKS = "mbt::actionTaken", "mbt::nondetPicks"

_Json: TypeAlias = dict[str, Any]


def render(document: Document, runs: Sequence[Run]) -> str:
    """The run as one ITF object. One file holds one run."""
    (run,) = runs
    return dump(_trace(document, run))


class _Type(Enum):
    BOOL = "Bool"
    INT = "Int"
    STR = "Str"
    OPTION = "none, or something else than a text"


@dataclass(frozen=True)
class _Slot:
    """Where a cell of the trace goes: a variable, and the key in it (None: the variable is no map)."""

    var: str
    key: tuple[str, ...] | None


def _trace(document: Document, run: Run) -> _Json:
    trace = run.trace
    slots = {c.name: _slot(c.name, c.kind) for c in trace.initial}
    states = list(_states(trace))
    types = _types(slots, states)
    names = list(dict.fromkeys(s.var for s in slots.values()))
    shown = []
    for index, state in enumerate(states):
        step = trace.steps[index - 1] if index else None
        shown.append(
            {
                "#meta": _meta(index, step),
                **_variables(state, slots, types),
                _ACTION: f"{step.thread}: {step.text}" if step is not None else "init",
                _PICKS: _picks(step),
            }
        )
    violation = run.verdict.outcome == "violated"
    loop = trace.ending.loop
    return {
        "#meta": {
            "format": "ITF",
            "format-description": _DESCRIPTION,
            "source": run.model.file,
            "status": "violation" if violation else "ok",
            "description": f"protocheck {document.version}: {run.about}",
            "ending": trace.ending.headline,
            "varTypes": {name: _var_type(name, slots, types) for name in names},
        },
        "params": [],
        "vars": [*names, _ACTION, _PICKS],
        "states": shown,
        # The states from here to the last one are repeated: each as it is after the step that is told with it.
        **({"loop": min(loop.begin, loop.end)} if loop is not None else {}),
    }


def _slot(name: str, kind: VarKind) -> _Slot:
    """Cells of one variable become one map; threads and locks, one map each by name."""
    match kind:
        case VarKind.PC:
            return _Slot(_AT, (name,))
        case VarKind.LOCK:
            return _Slot(_HOLDERS, (name,))
        case _:
            own, _, owner = name.partition(" of ")
            whole = f"{_base(owner)}.{_base(own)}" if owner else _base(own)
            key = (*_index(owner), *_index(own))
            return _Slot(whole, key or None)


def _base(name: str) -> str:
    return name.split("[", 1)[0]


def _index(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\[([^\]]*)\]", name))


def _states(trace: Trace) -> Iterator[dict[str, str]]:
    """The value of every cell, by name, at the beginning and after each step that leads to a state."""
    state = {c.name: c.value for c in trace.initial}
    yield dict(state)
    for step in trace.steps:
        if any(f.fatal for f in step.failures):
            return
        state |= {cell(c, step): c.after for c in step.changes}
        yield dict(state)


def cell(change: Change, step: Step) -> str:
    """The cell of the state that ``change`` is about; a change of a mover's local leaves out whose it is."""
    if change.kind is VarKind.LOCAL and " of " not in change.name:
        return f"{change.name} of {step.thread}"
    return change.name


def _types(slots: Mapping[str, _Slot], states: Sequence[Mapping[str, str]]) -> dict[str, _Type]:
    """One type for each variable, from all values that it has in the run."""
    seen: dict[str, set[_Type]] = {}
    for name, slot in slots.items():
        for state in states:
            seen.setdefault(slot.var, set()).add(_type_of(state[name]))
    return {var: next(iter(found)) if len(found) == 1 else _Type.OPTION for var, found in seen.items()}


def _type_of(text: str) -> _Type:
    if text in ("true", "false"):
        return _Type.BOOL
    return _Type.INT if re.fullmatch(r"-?\d+", text) else _Type.STR


def _value(text: str, kind: _Type) -> Any:
    match kind:
        case _Type.BOOL:
            return text == "true"
        case _Type.INT:
            return {"#bigint": text}
        case _Type.STR:
            return text
        case _Type.OPTION:
            return {"#set": [] if text == "none" else [_value(text, _type_of(text))]}


def _var_type(name: str, slots: Mapping[str, _Slot], types: Mapping[str, _Type]) -> str:
    """The type in Apalache's notation."""
    value = "Set(Int)" if types[name] is _Type.OPTION else types[name].value
    keys = [s.key for s in slots.values() if s.var == name and s.key is not None]
    if not keys:
        return value
    parts = [_type_of(part).value for part in keys[0]]
    key = parts[0] if len(parts) == 1 else "<<" + ", ".join(parts) + ">>"
    return f"({key} -> {value})"


def _variables(state: Mapping[str, str], slots: Mapping[str, _Slot], types: Mapping[str, _Type]) -> _Json:
    variables: _Json = {}
    for name, slot in slots.items():
        value = _value(state[name], types[slot.var])
        if slot.key is None:
            variables[slot.var] = value
        else:
            parts = [_value(part, _type_of(part)) for part in slot.key]
            pairs = variables.setdefault(slot.var, {"#map": []})["#map"]
            pairs.append([parts[0] if len(parts) == 1 else {"#tup": parts}, value])
    return variables


def _meta(index: int, step: Step | None) -> _Json:
    meta: _Json = {"index": index}
    if step is not None:
        meta["actor"] = step.thread
        meta["action"] = step.text
        meta["choices"] = dict(step.choices)
        if step.places:
            meta["location"] = str(step.places[0])
        if step.locks:
            meta["locks"] = [str(a) for a in step.locks]
    return meta


def _picks(step: Step | None) -> _Json:
    """What the step chose, as Quint writes it: ``Some(value)`` by name; what it did not choose is left out."""
    chosen = step.choices if step is not None else ()
    return {re.sub(r"\W", "_", name): {"tag": "Some", "value": _value(v, _type_of(v))} for name, v in chosen}
