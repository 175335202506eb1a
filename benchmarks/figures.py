"""What the program promises about its own speed: figure beside promise, without any other tool.

``python -m benchmarks.figures`` prints a row per line, its parts set apart by tabs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from protocheck.check import check_scenario, scenario_names
from protocheck.engines import bmc
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached
from protocheck.ir.system import System
from protocheck.lower import compile_system, instantiate
from protocheck.types import load

ROOT = Path(__file__).resolve().parent.parent
RACE = ROOT / "models" / "gmem" / "fault_vs_conversion.pchk"
ROUNDS = 3


def figures() -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, and the promise."""
    bare = best(lambda: python("-c", "pass"))
    help_ = best(lambda: python("-m", "protocheck", "--help"))
    yield "protocheck --help", f"{help_:.2f} s", "0.25 s"
    yield "  against an interpreter that does nothing", f"{help_ / bare:.1f} x", ""

    text = five_hundred_lines()
    path = ROOT / ".bench.pchk"
    path.write_text(text, encoding="utf-8")
    try:
        lines = text.count("\n")
        yield f"parse, check and compile a model of {lines} lines", f"{best(lambda: compiled(path)):.2f} s", "0.5 s"
    finally:
        path.unlink()

    small, large = (race(size) for size in ((2, 2), (16, 8)))
    times = []
    for sizes, system, promise in (("2 gfn, 2 vcpu", small, "0.5 s"), ("16 gfn, 8 vcpu", large, "6 s")):
        seconds, steps = bug(system)
        times.append(seconds)
        yield f"bmc: the bug of fault_vs_conversion, {sizes}, {steps} steps", f"{seconds:.2f} s", promise
    yield "  the larger against the smaller", f"{times[1] / times[0]:.1f} x", ""

    for symmetry in (False, True):
        begun = time.perf_counter()
        found = explore(small, (), Budget(), symmetry=symmetry, to_the_end=True)
        rate = found.states / (time.perf_counter() - begun)
        named = "orbits" if symmetry else "states"
        promise = "" if symmetry else "200,000 per second"
        yield f"explore: {found.states:,} {named} of the same, per second", f"{rate:,.0f}", promise

    begun = time.perf_counter()
    python("-m", "protocheck", "check")
    yield "protocheck check (all shipped models)", f"{time.perf_counter() - begun:.1f} s", "20 s on two cores"

    slowest = max(scenarios())
    yield f"the slowest shipped scenario ({slowest[1]})", f"{slowest[0]:.2f} s", "2 s"


def scenarios() -> Iterator[tuple[float, str]]:
    """Seconds that the shipped scenarios take, one after the other, in this process, without loading their file."""
    for path in sorted((ROOT / "models").rglob("*.pchk")):
        if "lib" in path.relative_to(ROOT / "models").parts:
            continue
        module = load(path)
        for name in scenario_names(module):
            begun = time.perf_counter()
            check_scenario(module, name, timeout=30)
            yield time.perf_counter() - begun, f"{path.stem}: {name}"


def best(work: Callable[[], object]) -> float:
    """The least time of a few rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def python(*words: str) -> None:
    """An interpreter of its own; what it prints and how it ends is of no interest here."""
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=False)


def compiled(path: Path, scenario: str | None = None, **settings: int) -> System:
    """The system of a model."""
    module = load(path)
    return compile_system(module, instantiate(module, scenario or next(iter(module.scenarios), None), settings))


def race(size: tuple[int, int]) -> System:
    """fault_vs_conversion without the sequence number, which is its bug."""
    return compiled(RACE, "no_sequence", gfns=size[0], vcpus=size[1])


def bug(system: System) -> tuple[float, int]:
    """Seconds that bounded model checking takes to the bug, and the length of its run."""
    target = next(p.target for p in system.properties if p.name == "agree")
    begun = time.perf_counter()
    (verdict,) = bmc.run(system, (target,), Budget(depth=20))
    seconds = time.perf_counter() - begun
    return seconds, len(verdict.run.moves) if isinstance(verdict, Reached) else -1


def five_hundred_lines() -> str:
    """A model of about 500 lines: many procs under a few locks, called by a few threads."""
    lines = ["protocol bench", "type gfn = scalarset(gfns in 1..4 = 2)", "kernel k {"]
    lines += [f"    lock l{n} : rwsem;" for n in range(5)]
    lines += [f"    state s{n} : [gfn] 0..3 = 0 guarded_by l{n % 5};" for n in range(20)]
    for n in range(50):
        lines += [
            f"    proc p{n}(g : gfn) {{",
            f"        with l{n % 5} write {{",
            f"            if s{n % 20}[g] < 3 {{",
            f"                s{n % 20}[g] += 1;",
            "            } else {",
            f"                s{n % 20}[g] = 0;",
            "            }",
            "        }",
            "    }",
        ]
    for t in range(4):
        calls = " ".join(f"p{n}(g);" for n in range(t, 50, 10))
        lines += [f"    environment e{t} {{", "        loop {", f"            choose g : gfn; {calls}"]
        lines += ["        }", "    }"]
    lines += ["}", "scenario all_of_it { expect all hold; }"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for row in figures():
        print(*row, sep="\t", flush=True)
