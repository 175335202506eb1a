"""Short models compiled and searched, for tests of the compiler."""

from __future__ import annotations

from pathlib import Path

from protocheck.diagnostics import ModelError
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Reached
from protocheck.ir.interp import State, enabled, initial_states, step
from protocheck.ir.system import System
from protocheck.lower import compile_system, instantiate
from protocheck.lower.assemble import Reductions
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.tree import CheckedModule

MODELS = Path(__file__).parents[2] / "models"


def module(text: str) -> CheckedModule:
    """The checked module of a model text; a header is added where there is none."""
    whole = text if text.startswith("protocol ") else f"protocol snippet {text}"
    return check(parse(SourceFile("snippet.pchk", whole)), library_loader(MODELS))


def compiled(text: str, *, dead_locals: bool = True, merge: bool = True) -> System:
    """The system of a model text, with or without the compiler's reductions."""
    found = module(text)
    return compile_system(found, instantiate(found), None, Reductions(dead_locals, merge))


def faults(text: str) -> list[str]:
    """The names of the rules that a model text breaks, in the order in which they are told."""
    try:
        compiled(text)
    except ModelError as error:
        return [d.rule.name for d in error.diagnostics]
    return []


def reachable_states(system: System) -> set[State]:
    """Every state that can be reached, by the interpreter."""
    open_ = list(initial_states(system))
    seen = set(open_)
    while open_:
        state = open_.pop()
        for move in enabled(system, state):
            after = step(system, state, move).state
            if after is not None and after not in seen:
                seen.add(after)
                open_.append(after)
    return seen


def depths(system: System) -> dict[str, int | None]:
    """For each claim the length of a shortest run to what it looks for, None if there is none."""
    answers = explore(system, [p.target for p in system.properties], symmetry=False, to_the_end=True).verdicts
    found = {}
    for p, v in zip(system.properties, answers, strict=True):
        found[p.name] = len(v.run.moves) if isinstance(v, Reached) else None
    return found


def depth(text: str, name: str = "goal") -> int | None:
    """The length of a shortest run to ``name`` in a model text."""
    return depths(compiled(text))[name]


def states(text: str) -> int:
    """The number of reachable states of a model text, without symmetry."""
    return explore(compiled(text), [], symmetry=False, to_the_end=True).states
