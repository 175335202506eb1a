"""Checks one of the protocols of the benchmarks, as flat guarded commands (:mod:`benchmarks.protocols`).

The same commands, one step each, are given to every other checker (:mod:`benchmarks.inputs`): what a thread may do
between two steps of the others is the same everywhere, so state counts, verdicts and lengths must be the same as well.

``python -m benchmarks.flat NAME SIZES repaired|broken [--engine E]``, e.g. ``fault_vs_conversion 4,3 repaired``,
prints the verdict; ``--count`` the number of reachable states instead (``--orbits`` up to symmetry), ``--any`` whether
the proof carries over to any number of members.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from benchmarks.protocols import PROTOCOLS
from protocheck.check import check_system, engine_named
from protocheck.engines.explore import explore
from protocheck.engines.lift import Refusal, Seed, prove_any_size
from protocheck.engines.verdict import Budget
from protocheck.findings import Evidence, Holds, Violated


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one protocol and print what was found; 0 if it holds, 1 if it is violated, 3 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flat")
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("sizes")
    parser.add_argument("variant", choices=("repaired", "broken"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--orbits", action="store_true")
    parser.add_argument("--any", action="store_true", dest="any_size")
    parser.add_argument("--timeout", type=float, default=None)
    given = parser.parse_args(arguments)
    make, broken = PROTOCOLS[given.protocol], given.variant == "broken"
    sizes = [int(k) for k in given.sizes.split(",")]
    built, _ = make(sizes, broken=broken)
    if given.count or given.orbits:
        print(explore(built, (), Budget(), symmetry=given.orbits, to_the_end=True).states)
        return 0
    if given.any_size:
        budget = Budget(deadline=time.monotonic() + (given.timeout or 120.0))
        answer = prove_any_size(lambda k: Seed(*make([s + k for s in sizes], broken=broken)), budget)
        print(
            f"not for any size: {answer.reason}"
            if isinstance(answer, Refusal)
            else f"holds for any number of {', '.join(answer.verdict.any_size)}"
        )
        return 3 if isinstance(answer, Refusal) else 0
    (finding,) = check_system(built, engine=engine_named(given.engine), timeout=given.timeout)
    match finding.outcome:
        case Holds():
            print(f"holds: by {type(finding.outcome.by).__name__}")
            return 0
        case Violated():
            assert isinstance(finding.evidence, Evidence)
            print(
                f"violated in {finding.outcome.steps} steps" + ("" if finding.outcome.shortest else " (not shortest)")
            )
            return 1
        case _:
            print(f"open: {finding.outcome}")
            return 3


if __name__ == "__main__":
    raise SystemExit(main())
