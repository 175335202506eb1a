"""The judge of the engines: a breadth-first search by the reference interpreter, and what a verdict may say of it."""

from __future__ import annotations

from collections.abc import Sequence

from protocheck.engines.verdict import NotReachedWithin, Reached, Unknown, Unreachable, Verdict
from protocheck.ir import interp
from protocheck.ir.system import PropertyTarget, System, Target
from protocheck.traces.replay import replay


class InventsError(AssertionError):
    """A run was reported that there is not."""


class MissesError(AssertionError):
    """A run that there is was overlooked, or a shorter one."""


class ProvesWhatIsFalseError(AssertionError):
    """A target was called unreachable that a run reaches."""


def shortest(system: System, targets: Sequence[PropertyTarget], limit: int = 2000) -> list[int | None] | None:
    """The length of the shortest run to each target (None: there is none).

    None altogether for a system of more than ``limit`` states, and for one that stores outside of its sorts.
    """
    try:
        return _shortest(system, targets, limit)
    except interp.IllFormedError:
        return None


def _shortest(system: System, targets: Sequence[PropertyTarget], limit: int) -> list[int | None] | None:
    depths: list[int | None] = [None] * len(targets)
    seen: dict[interp.State, None] = dict.fromkeys(interp.initial_states(system))
    layer = list(seen)
    depth = 0
    while layer:
        for number, target in enumerate(targets):
            for state in layer:
                here = _distance(system, target, state)
                known = depths[number]
                if here is not None and (known is None or depth + here < known):
                    depths[number] = depth + here
        following: list[interp.State] = []
        for state in layer:
            for move in interp.enabled(system, state):
                after = interp.step(system, state, move).state
                if after is not None and after not in seen:
                    seen[after] = None
                    following.append(after)
            if len(seen) > limit:
                return None
        layer = following
        depth += 1
    return depths


def _distance(system: System, target: PropertyTarget, state: interp.State) -> int | None:
    if not isinstance(target, Target):
        return 0 if interp.deadlock(system, state) else None
    steps = [0 if target.cases[w.which].via is None else 1 for w in interp.witnesses(system, target, state)]
    return min(steps, default=None)


def judge(system: System, target: PropertyTarget, verdict: Verdict, depth: int | None) -> None:
    """Compare ``verdict`` with the truth: ``depth`` is the length of the shortest run, None if there is none."""
    match verdict:
        case Reached(run, is_shortest):
            if depth is None:
                raise InventsError(f"a run of {len(run.moves)} steps to what is unreachable")
            replay(system, target, run)
            if len(run.moves) < depth:
                raise InventsError(f"{len(run.moves)} steps, shorter than the shortest run of {depth}")
            if is_shortest and len(run.moves) > depth:
                raise MissesError(f"{len(run.moves)} steps called shortest; {depth} are enough")
        case Unreachable():
            if depth is not None:
                raise ProvesWhatIsFalseError(f"reachable in {depth} steps")
        case NotReachedWithin(bound):
            if depth is not None and depth <= bound:
                raise MissesError(f"reachable in {depth} steps, overlooked within {bound}")
        case Unknown(_, _, done):
            if depth is not None and depth <= done:
                raise MissesError(f"reachable in {depth} steps, overlooked within {done}")
