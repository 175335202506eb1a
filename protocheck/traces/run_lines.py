"""Which steps of a run take the lines of a ``run`` claim: read off the moves, without the counter that found it."""

from __future__ import annotations

from protocheck.engines.verdict import Run
from protocheck.ir.expr import TRUE
from protocheck.ir.interp import default_state, evaluate
from protocheck.ir.system import Case, RunClaim, System, Target

ANYWHERE = Target((Case((), TRUE),))
"""What any state is: the end of a run that shows lines and nothing else."""


class NotTheRun(Exception):  # noqa: N818 - reads as the verdict it is
    """A run that was found does not take the lines in order. The message says where."""


def where_lines(system: System, claim: RunClaim, run: Run, count: int) -> tuple[int, ...]:
    """The numbers of the steps of ``run`` (counted from 1) that take the first ``count`` lines of ``claim``.

    :class:`NotTheRun` if it does not take them in order, without a named step out of its turn in between.
    """
    ways, problem = _ways(system, claim, run)
    for way in ways:
        if len(way) >= count:
            return way[:count]
    raise NotTheRun(f"the run does not take {count} lines in order: {problem}")


def lines_in(system: System, claim: RunClaim, run: Run) -> tuple[int, ...]:
    """As :func:`where_lines`, as many lines as ``run`` takes; the earliest way if there are several."""
    ways, _ = _ways(system, claim, run)
    return max(ways, key=len, default=())


def _ways(system: System, claim: RunClaim, run: Run) -> tuple[list[tuple[int, ...]], str]:
    """For each step that may take the first line, the steps of the lines; and why the last such attempt ended."""
    env = {p.name: v for p, v in zip(claim.params, run.rigid, strict=True)}
    nowhere = default_state(system)
    instances = [tuple(evaluate(i, nowhere, env) for i in line.index) for line in claim.lines]
    names: list[tuple[int, ...]] = []
    for move in run.moves:
        named = [
            k
            for k, line in enumerate(claim.lines)
            if move.which in line.steps and move.values[: len(line.index)] == instances[k]
        ]
        names.append(tuple(named))
    problem = "none of its steps is that of the first line"
    ways: list[tuple[int, ...]] = []
    for begin, taken in enumerate(names):
        if 0 not in taken:
            continue
        steps = [begin + 1]
        broken = False
        for n in range(begin + 1, len(names)):
            if len(steps) == len(claim.lines):
                break
            if len(steps) in names[n]:
                steps.append(n + 1)
            elif names[n]:
                problem = f"step {n + 1} takes line {names[n][0] + 1} instead of line {len(steps) + 1}"
                broken = True
                break
        if not broken:
            ways.append(tuple(steps))
    return ways, problem
