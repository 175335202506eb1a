"""Reductions keep verdicts, two compilations are equal, and the engines agree on random models."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocheck.engines import bmc, ic3
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.system import System
from protocheck.lower import compile_system, instantiate
from protocheck.lower.assemble import Reductions
from protocheck.types.check import load
from tests.lower.snippets import MODELS, compiled, depths

SMALL = ("abba", "idle_server", "lock_every", "retry_spin", "rwsem_reader_recursion", "srcu_self", "held_on_one_path")


def cases() -> list[tuple[str, str]]:
    """The scenarios of the small toy models."""
    return [(name, scenario) for name in SMALL for scenario in load(MODELS / "toys" / f"{name}.pchk").scenarios]


@pytest.mark.parametrize(("name", "scenario"), cases())
def test_toys_mean_the_same_without_reductions(name: str, scenario: str) -> None:
    """Resetting dead locals keeps verdicts and shortest depths; merging local work keeps verdicts."""
    found = load(MODELS / "toys" / f"{name}.pchk")

    def system(dead_locals: bool, merge: bool) -> System:
        return compile_system(found, instantiate(found, scenario), None, Reductions(dead_locals, merge))

    plain = depths(system(True, True))
    assert depths(system(False, True)) == plain
    assert {k: v is None for k, v in depths(system(True, False)).items()} == {k: v is None for k, v in plain.items()}


def test_two_compilations_are_equal() -> None:
    """Also in processes with different hash seeds."""
    path = MODELS / "gmem" / "fault_range.pchk"
    text = f"""
from pathlib import Path
from protocheck.lower import compile_system, instantiate
from protocheck.types.check import load
found = load(Path({str(path)!r}))
print(compile_system(found, instantiate(found, "upstream")))
"""
    outputs = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        root = Path(__file__).parents[2]
        outputs.append(subprocess.run([sys.executable, "-c", text], env=env, cwd=root, capture_output=True, check=True))
    assert outputs[0].stdout == outputs[1].stdout
    assert len(outputs[0].stdout) > 1000


# --------------------------------------------------------------------------------------------------------------------
# Random models: source text, well-typed by construction

ROUTINES = (
    "op flip() { a = !b; b = !b; }",
    "proc put(p : gfn, v : bool) { if v { c[p] = false; } else { a = c[p]; } }",
)
CONDITIONS = ("a", "!b", "n == 1", "c[g]", "a && n < 2", "b || c[g]", "l == 1")
SIMPLE = (
    "a = !a;", "b = a;", "n = n == 2 ? 0 : n + 1;", "c[g] = true;", "c[g] = b;", "l = n;", "l = 0;", "skip;",
    "assert !(a && b) as claim;", "ignore fetch_add(ref n, 1);", "flip();", "put(g, a);", "with m { d = l == 1; }",
    "with m { d = !d; if d { b = true; } }", "await CONDITION;",
)  # fmt: skip


@st.composite
def statements(draw: st.DrawFn, deep: int) -> str:
    """One or two statements, with blocks nested at most ``deep``."""
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        kinds = ["simple", "simple", "simple"]
        if deep:
            kinds += ["if", "either", "with", "atomic", "for", "choose"]
        kind = draw(st.sampled_from(kinds))
        condition = draw(st.sampled_from(CONDITIONS))
        if kind == "simple":
            parts.append(draw(st.sampled_from(SIMPLE)).replace("CONDITION", condition))
            continue
        if kind == "atomic":
            parts.append(f"atomic {{ a = b; if {condition} {{ n = 0; }} c[g] = !c[g]; }}")
            continue
        inner = draw(statements(deep - 1))
        if kind == "if":
            parts.append(f"if {condition} {{ {inner} }} else {{ {draw(statements(deep - 1))} }}")
        elif kind == "either":
            parts.append(f"either {{ {inner} }} or {{ {draw(statements(deep - 1))} }}")
        elif kind == "with":
            parts.append(f"with r {draw(st.sampled_from(['read', 'write']))} {{ {inner} }}")
        elif kind == "for":
            parts.append(f"for h in gfn {{ c[h] = b; {inner} }}")
        else:
            parts.append(f"{{ choose h : gfn where !c[h] else {{ return; }} c[h] = true; {inner} }}")
    return " ".join(parts)


@st.composite
def models(draw: st.DrawFn) -> str:
    """A model of two threads, one of them possibly a loop that tries again."""
    bodies = []
    for _ in range(2):
        body = draw(statements(1))
        if draw(st.booleans()):
            end = draw(st.sampled_from(CONDITIONS))
            body = f"loop {{ {body} if {end} {{ break; }} {draw(st.sampled_from(['retry;', 'continue;']))} }}"
        bodies.append(f"var l : 0..2 = 0; choose g : gfn; {body}")
    return f"""protocol random
        type gfn = scalarset(gfns in 1..2 = 2)
        kernel k {{
            state a : bool; state b : bool; state n : 0..2; state c : [gfn] bool;
            lock m : mutex; lock r : rwsem; state d : bool guarded_by m;
            {ROUTINES[0] if any("flip()" in b for b in bodies) else ""}
            {ROUTINES[1] if any("put(" in b for b in bodies) else ""}
            thread t {{ {bodies[0]} }}
            thread u {{ {bodies[1]} }}
        }}
        invariant once: (count i in gfn : k.c[i]) < 2 || k.n != 2;
        reachable both: finished(k.t) && finished(k.u) && k.a;"""


@settings(max_examples=6, deadline=None, derandomize=True)
@given(models())
def test_engines_agree_on_random_models(text: str) -> None:
    """Search, bounded model checking and IC3 give the same verdicts; reductions and symmetry change none."""
    system = compiled(text)
    targets = [p.target for p in system.properties]
    search = explore(system, targets, Budget(states=1_500), symmetry=True)
    if not search.complete:
        return
    known = [len(v.run.moves) if isinstance(v, Reached) else None for v in search.verdicts]
    plain = depths(compiled(text, dead_locals=False))
    assert list(plain.values()) == known
    assert [v is None for v in depths(compiled(text, merge=False)).values()] == [k is None for k in known]
    reached = [k for k in known if k is not None]
    bounded = bmc.run(system, targets, Budget(depth=min(max(reached, default=3), 6)))
    for k, v in zip(known, bounded, strict=True):
        if k is not None and k <= 6:
            assert isinstance(v, Reached)
            assert len(v.run.moves) == k
        else:
            assert not isinstance(v, Reached)
    for k, v in zip(known, ic3.run(system, targets, Budget(deadline=time.monotonic() + 1)), strict=True):
        if isinstance(v, Reached):
            assert k is not None
        elif isinstance(v, Unreachable):
            assert k is None
