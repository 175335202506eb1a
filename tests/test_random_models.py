"""On random models with failures, slow ops, objects and claims of progress nobody contradicts anybody.

By default a few seeds are tried, always the same; ``make fuzz`` tries many.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from random_models import model

from protocheck.check import check_scenario
from protocheck.diagnostics import ModelError
from protocheck.findings import Broken, Found, HoldsToDepth, NotFoundToDepth, Violated, word
from protocheck.ir import interp
from protocheck.ir.system import DeadlockTarget, Target
from protocheck.lower import compile_system, instantiate
from protocheck.properties.families import claims
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.tree import CheckedModule

FUZZ = bool(os.environ.get("PROTOCHECK_FUZZ"))
FIRST = random.SystemRandom().randrange(1_000_000) if FUZZ else 0
SEEDS = range(FIRST, FIRST + 300) if FUZZ else range(8)
SECONDS = 5.0 if FUZZ else 0.5
FEW_STATES = 400 if FUZZ else 150
BOUNDS = {"explore": None, "auto": None, "bmc": 8, "kinduction": 3, "ic3": None}


def random_module(seed: int) -> CheckedModule:
    """The model of this seed; skips the test if its code has too many ways through one step."""
    text = model(seed)
    try:
        checked = check(parse(SourceFile("random.pchk", text)), library_loader(Path()))
        compile_system(checked, instantiate(checked, "s"))
    except ModelError as refused:
        if {d.rule.name for d in refused.diagnostics} != {"too-many-paths"}:
            raise
        pytest.skip("too many ways through one step")
    return checked


@pytest.mark.parametrize("seed", SEEDS)
def test_engines_agree_on_random_models(seed: int) -> None:
    """What engines decide is one verdict and one length, and nothing is found below a depth said to be clear."""
    module = random_module(seed)
    decided: dict[str, set[str]] = {}
    lengths: dict[str, set[int]] = {}
    runs: dict[str, list[int]] = {}
    clear: dict[str, int] = {}
    for engine, bound in BOUNDS.items():
        for f in check_scenario(module, "s", engine=engine, bound=bound, timeout=SECONDS).findings:
            found = f.outcome
            assert not isinstance(found, Broken), (engine, f.name, found)
            if isinstance(found, HoldsToDepth | NotFoundToDepth):
                clear[f.name] = max(clear.get(f.name, 0), found.depth)
            elif word(found) != "unknown" and not f.untested:
                decided.setdefault(f.name, set()).add(word(found))
                if isinstance(found, Violated | Found):
                    runs.setdefault(f.name, []).append(found.steps)
                    # Of endless runs the stem is a shortest one, the whole need not be.
                    if found.shortest and (isinstance(found, Found) or found.loop is None):
                        lengths.setdefault(f.name, set()).add(found.steps)
    assert decided
    for name, words in decided.items():
        assert len(words) == 1, (name, words)
    for name, found_in in lengths.items():
        assert len(found_in) == 1, (name, found_in)
    for name, steps in runs.items():
        assert name not in clear or min(steps) > clear[name], (name, steps, clear[name])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_finds_what_the_interpreter_finds(seed: int) -> None:
    """A plain search by the reference interpreter meets each claim's target after as many steps, or never."""
    module = random_module(seed)
    system = compile_system(module, instantiate(module, "s"))
    targets = {p.name: p.target for p in claims(system) if isinstance(p.target, Target | DeadlockTarget)}
    first: dict[str, int] = {}
    level = list(interp.initial_states(system))
    seen, depth = set(level), 0
    while level:
        following: dict[interp.State, None] = {}
        for state in level:
            for name, target in targets.items():
                if isinstance(target, DeadlockTarget):
                    if interp.deadlock(system, state):
                        first[name] = min(first.get(name, depth), depth)
                    continue
                for choice in interp.witnesses(system, target, state):
                    steps = depth + (target.cases[choice.which].via is not None)
                    first[name] = min(first.get(name, steps), steps)
            for move in interp.enabled(system, state):
                after = interp.step(system, state, move).state
                if after is not None and after not in seen:
                    seen.add(after)
                    following[after] = None
        if len(seen) > FEW_STATES:
            pytest.skip("too many states for the interpreter")
        level, depth = list(following), depth + 1
    for f in check_scenario(module, "s", engine="explore", timeout=30).findings:
        if f.name in targets:
            steps_ = f.outcome.steps if isinstance(f.outcome, Violated | Found) else None
            assert steps_ == first.get(f.name), (f.name, f.outcome)
