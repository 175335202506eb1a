"""The state counts that are too large for a test: ``python tests/oracles/bench.py`` from the top of the project.

Prints states, seconds and states per second for the known sizes, and exits with 1 if a count is not the known one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from oracles.fault_vs_conversion import fault_vs_conversion  # noqa: E402

from protocheck.engines.explore import explore  # noqa: E402

KNOWN = {(2, 2): 169_848, (3, 2): 2_347_296, (2, 3): 4_349_592}


def main() -> int:
    """Run all sizes; 0 if every count is the known one."""
    wrong = 0
    for (gfns, vcpus), states in KNOWN.items():
        built, target = fault_vs_conversion(gfns, vcpus)
        begun = time.perf_counter()
        found = explore(built, (target,), symmetry=False)
        seconds = time.perf_counter() - begun
        wrong += found.states != states
        print(f"({gfns},{vcpus}) {found.states:>9,} states {seconds:6.2f} s {found.states / seconds:>9,.0f} states/s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
