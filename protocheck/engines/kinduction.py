"""k-induction with simple paths: base case by bounded search, step case on a second unrolling from any state.

M. Sheeran, S. Singh, G. Stalmarck, "Checking safety properties using induction and a SAT-solver", 2000. Complete for
finite systems: at some k either no good simple path of k + 1 steps ends badly, or no simple path of k + 1 steps begins
initially. Simple-path constraints are added only where a model breaks them.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocheck.engines.bmc import calmest
from protocheck.engines.smt import Interrupted, Unrolling, decided
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Induction,
    Limit,
    NotReachedWithin,
    Reached,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.ground import FALSE_LIT, GroundSystem, GroundTarget, ground
from protocheck.ir.system import PropertyTarget, System


def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target: a shortest run, a proof by :class:`Induction`, or how far the base case came."""
    grounded = ground(system)
    verdicts: list[Verdict] = []
    stopped: Verdict | None = None
    for target in targets:
        if stopped is None:
            verdict = prove(grounded, grounded.target(target), budget)
            verdicts.append(verdict)
            if isinstance(verdict, Unknown):
                stopped = Unknown(verdict.limit, verdict.detail)
        else:
            verdicts.append(stopped)
    return tuple(verdicts)


def prove(grounded: GroundSystem, target: GroundTarget, budget: Budget) -> Verdict:
    """As :func:`run` for one target of a ground system."""
    done = -1
    try:
        base = Unrolling(grounded, from_start=True)
        step = Unrolling(grounded, from_start=False)
        via = grounded.circuit.or_(e.lit for e in target.endings if e.via is not None)
        k = 0
        while True:
            for literal, is_via in ((target.state, False), (via, True)):
                if literal == FALSE_LIT or (is_via and budget.depth is not None and k >= budget.depth):
                    continue
                goal = base.at(literal, k)
                if decided(base.solver, (goal,), budget):
                    return Reached(calmest(base, goal, target, via=is_via, budget=budget), shortest=True)
                base.solver.add(base.solver.not_(goal))
            done = k
            if via != FALSE_LIT and budget.depth is not None and k >= budget.depth:
                return NotReachedWithin(k)
            # NOTE(base-before-step): the step case is asked only for a k whose base case has been checked, the steps
            # that end in the target included.
            if not good_path_ends_badly(step, target, k, budget):
                return Unreachable(Induction(k))
            if budget.depth is not None and k >= budget.depth:
                return NotReachedWithin(k)
            budget.progress(f"no run of at most {k} steps")
            base.extend()
            if not simple_path(base, (), budget):
                return Unreachable(Induction(k))
            k += 1
    except Interrupted as stop:
        return Unknown(stop.limit, stop.detail, done)
    except KeyboardInterrupt:
        return Unknown(Limit.INTERRUPTED, "", done)


def good_path_ends_badly(step: Unrolling, target: GroundTarget, k: int, budget: Budget) -> bool:
    """Whether a simple path of k + 1 steps goes through good states only and ends in a bad one.

    ``step`` has been asked for all smaller k; a state counts as bad, too, if a step that ends in the target is
    possible there.
    """
    if target.any_state == FALSE_LIT:
        return False
    step.solver.add(step.solver.not_(step.at(target.any_state, k)))
    step.extend()
    return simple_path(step, (step.at(target.any_state, k + 1),), budget)


def simple_path(unrolling: Unrolling, assumptions: Sequence[int], budget: Budget) -> bool:
    """Whether there is a path of the unrolling's depth without repeated states, under ``assumptions``."""
    while decided(unrolling.solver, assumptions, budget):
        states: dict[tuple[int, ...], int] = {}
        repeated: list[tuple[int, int]] = []
        for time in range(unrolling.depth + 1):
            state = tuple(unrolling.state(time))
            if state in states:
                repeated.append((states[state], time))
            states[state] = time
        if not repeated:
            return True
        for i, j in repeated:
            unrolling.solver.add(unrolling.differ(i, j))
    return False


ENGINE = Engine("kinduction", "k-induction with simple paths: a second opinion on small systems", run)
