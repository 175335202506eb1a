"""Which fairness a verdict on endless runs rests on: what a proof needs, and what would exclude a violation.

Both are found by judging the same graph again with other assumptions, so they cost a search each; where that is too
much, a proof names all that was assumed and a violation nothing. The measure is the size of the graph, never the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocheck.engines.fair import Spaces, judge, run
from protocheck.engines.graph import Graph, graph
from protocheck.engines.verdict import Budget, Choice, Reached, Run, Unreachable, Verdict
from protocheck.ir.expr import FALSE
from protocheck.ir.ground import GroundError
from protocheck.ir.system import (
    FairKind,
    Fairness,
    LiveTarget,
    ProgressTarget,
    System,
    ThreadClass,
    ThreadKind,
    Transition,
)

EFFORT = 1_000_000  # steps of the graph, looked at once for each assumption that is tried


@dataclass(frozen=True)
class Judged:
    """A verdict with the names of the fairness that it needs (a proof), or what would exclude it (a violation)."""

    verdict: Verdict
    needs: tuple[str, ...] = ()
    excluded: str = ""


def examine(system: System, targets: Sequence[LiveTarget], budget: Budget) -> tuple[Judged, ...]:
    """The verdicts of :func:`protocheck.engines.fair.run`, in order, each with what it rests on."""
    try:
        made = graph(system, budget)
        return tuple(_examined(made, target, budget) for target in targets)
    except (GroundError, RecursionError, SyntaxError):
        return tuple(Judged(v) for v in run(system, targets, budget))


def _examined(made: Graph, target: LiveTarget, budget: Budget) -> Judged:
    fairness = made.system.fairness
    known: Spaces | None = {} if len(made.ends) <= EFFORT else None
    verdict = judge(made, target, fairness, budget, known)
    if not isinstance(target, ProgressTarget):
        return Judged(verdict)
    match verdict:
        case Unreachable():
            return Judged(verdict, tuple(f.name for f in needed(made, target, budget, known)))
        case Reached(found) if made.complete:
            return Judged(verdict, (), excluding(made, target, found, budget, known))
        case _:
            return Judged(verdict)


def needed(
    made: Graph, target: ProgressTarget, budget: Budget, known: Spaces | None = None
) -> tuple[Fairness, ...]:
    """A part of the fairness without which there would be a violation: none of it can be left out alone.

    Strong fairness is left out first, so that what remains is as weak as it can be.
    """
    kept = list(made.system.fairness)
    if len(made.ends) * len(kept) > EFFORT:
        return tuple(kept)
    strongest = sorted(kept, key=lambda f: f.kind is FairKind.WEAK)
    for fair in strongest:
        rest = [f for f in kept if f is not fair]
        if isinstance(judge(made, target, rest, budget, known), Unreachable):
            kept = rest
    return tuple(kept)


def excluding(
    made: Graph, target: ProgressTarget, found: Run, budget: Budget, known: Spaces | None = None
) -> str:
    """The first assumption, from the weakest on, under which there is no violation at all; "" if none is found."""
    candidates = list(_candidates(made, found))
    if len(made.ends) * len(candidates) > EFFORT:
        return ""
    for fair in candidates:
        if isinstance(judge(made, target, (*made.system.fairness, fair), budget, known), Unreachable):
            return fair.name
    return ""


def _candidates(made: Graph, found: Run) -> Iterator[Fairness]:
    """What could be assumed besides, worded as the condition under which the violation would not happen.

    First that who may rest goes on; then that who is not trusted to stop stops in the end; then that a single step that
    is possible again and again is taken; then the same for all steps of a thread.
    """
    system = made.system
    assert found.loop is not None
    threads = {t.name: t for t in system.threads}
    for fair in system.fairness:
        if fair.rest != FALSE and not fair.trigger:
            yield replace(fair, rest=FALSE, name=f"it would not happen if `{fair.thread}` never rested")
    taken = {move.which for move in found.moves[found.loop :]}
    for thread in system.threads:
        mine = _steps_of(system, thread)
        if thread.kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY) and taken & set(mine):
            name = f"it would not happen if `{thread.name}` stopped in the end"
            yield Fairness(FairKind.STRONG, name, thread.name, thread.params, (), FALSE, mine)
    done = {(m.which, m.values) for m in found.moves[found.loop :]}
    for which in sorted({which for which, _ in _possible(made, found) - done}):
        transition = system.transitions[which]
        thread = threads[transition.thread]
        yield Fairness(
            FairKind.STRONG,
            f"it would not happen if `{thread.name}` took {_shown(transition)} whenever it can again and again",
            thread.name,
            thread.params,
            (which,),
        )
    for thread in system.threads:
        mine = _steps_of(system, thread)
        name = f"it would not happen if `{thread.name}` took a step whenever it can again and again"
        if mine:
            yield Fairness(FairKind.STRONG, name, thread.name, thread.params, mine)


def _steps_of(system: System, thread: ThreadClass) -> tuple[int, ...]:
    return tuple(k for k, t in enumerate(system.transitions) if t.thread == thread.name)


def _shown(transition: Transition) -> str:
    line = transition.origin.span.line
    return f"`{transition.text or transition.name}` (line {line})"


def _possible(made: Graph, found: Run) -> set[tuple[int, tuple[int, ...]]]:
    """The steps that are possible in some state of the loop."""
    where = {choice: n for n, choice in made.begun.items()}
    here = where[found.init]
    around: list[int] = [here] if found.loop == 0 else []
    for number, move in enumerate(found.moves, start=1):
        here = _after(made, here, move)
        if found.loop is not None and number >= found.loop:
            around.append(here)
    edges = (e for n in around for e in range(made.offsets[n], made.offsets[n + 1]))
    return {made.labels.steps[made.kinds[e]] for e in edges}


def _after(made: Graph, here: int, move: Choice) -> int:
    for edge in range(made.offsets[here], made.offsets[here + 1]):
        if made.choice(edge) == move:
            return made.ends[edge]
    raise AssertionError("a run takes a step that the graph does not have")
