"""The graph of all states of a small instance, in the words of the model: states, steps between them, violations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocheck.check import DEFAULT_SCENARIO, scenario_names
from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.engines.graph import graph
from protocheck.engines.verdict import Budget, Choice
from protocheck.ir.expr import VarKind
from protocheck.ir.interp import State, default_state, mover, witnesses
from protocheck.ir.interp import deadlock as deadlocked
from protocheck.ir.system import DeadlockTarget, Property, System, Target, Wish
from protocheck.lower import compile_system, instantiate
from protocheck.properties.families import claims, select
from protocheck.traces.trace import Words
from protocheck.types.tree import CheckedModule
from protocheck.usage import NO_GRAPH_OF, TOO_MANY_STATES

STATES = 500
"""So many states are drawn at most, unless somebody asks for more."""

_SMALLER = "choose smaller sizes (`-p NAME=VALUE`), or allow more with `--states N`"
_MARKED = "invariants, assertions, finals and `deadlock` can be marked"


@dataclass(frozen=True)
class Node:
    """A state: the declared variables, where threads stand, locks that are held; the properties that it violates."""

    facts: tuple[str, ...]
    begins: bool
    violates: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A step of ``thread``; ``after`` is None where a fatal check ends the run. ``violates``: what the step breaks."""

    before: int
    after: int | None
    thread: str
    text: str
    violates: tuple[str, ...]


@dataclass(frozen=True)
class StateGraph:
    """All states that can be reached and all steps between them, in the order of their distance."""

    file: str
    scenario: str
    instance: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def state_graph(
    module: CheckedModule,
    scenario: str | None = None,
    properties: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    limit: int = STATES,
) -> StateGraph:
    """The graph of one scenario (the first, if none is named), with violations of ``properties`` (all) marked.

    :class:`ModelError` for unknown names, for properties that no state or step violates, and (``too-many-states``)
    beyond ``limit`` states. Members are not taken as interchangeable: renamed states are states of their own.
    """
    name = scenario_names(module, (scenario,) if scenario is not None else ())[0]
    instance = instantiate(module, name, settings)
    system = compile_system(module, instance, also=tuple(properties))
    judged = [
        p
        for p in select(claims(system), tuple(properties))
        if p.wish is not Wish.SOMETIMES and isinstance(p.target, Target | DeadlockTarget)
    ]
    if properties and not judged:
        raise ModelError([Diagnostic(NO_GRAPH_OF, f"no state or step violates {' or '.join(properties)}", (), _MARKED)])
    found = graph(system, Budget(states=limit))
    if not found.complete or len(found.states) > limit:
        raise ModelError([Diagnostic(TOO_MANY_STATES, f"there are more than {limit:,} states", (), _SMALLER)])
    words = Words(system)
    where = default_state(system).where
    states = [State(found.made.layout.unpack(s), where) for s in found.states]
    broken = [_broken(system, judged, s) for s in states]
    nodes = tuple(
        Node(_facts(words, s), n in found.begun, tuple(b for b, step in broken[n] if step is None))
        for n, s in enumerate(states)
    )
    edges: list[Edge] = []
    for n in range(len(states)):
        for e in range(found.offsets[n], found.offsets[n + 1]):
            move = found.choice(e)
            transition = system.transitions[move.which]
            after = found.ends[e] if found.ends[e] >= 0 else None
            faults = tuple(dict.fromkeys(b for b, step in broken[n] if step == move))
            who = words.instance(mover(system, move))
            edges.append(Edge(n, after, who, transition.text or transition.name, faults))
    return StateGraph(module.file.path, name or DEFAULT_SCENARIO, instance.text, nodes, tuple(edges))


def _broken(system: System, judged: Sequence[Property], state: State) -> list[tuple[str, Choice | None]]:
    """The properties violated in ``state``, or (with the step) in a step out of it."""
    found: list[tuple[str, Choice | None]] = []
    for p in judged:
        if isinstance(p.target, DeadlockTarget):
            if deadlocked(system, state):
                found.append((p.name, None))
        elif isinstance(p.target, Target):
            for end in witnesses(system, p.target, state):
                via = p.target.cases[end.which].via
                if via is None:
                    found.append((p.name, None))
                else:
                    found.append((p.name, Choice(via, end.values[: len(system.transitions[via].params)])))
    return list(dict.fromkeys(found))


def _facts(words: Words, state: State) -> tuple[str, ...]:
    """What tells states apart; locals and locks only where they are not as by default."""
    always = (VarKind.STATE, VarKind.GHOST, VarKind.PC)
    view = words.view(state).items()
    return tuple(f"{n} = {value}" for n, (kind, value) in view if kind in always or value != words.default(n))
