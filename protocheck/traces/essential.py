"""Which steps of one run, and which of their effects, it needs to end as it does.

The run is walked again and again by the interpreter, each time without one more thing; nothing is searched. What is
left cannot lose any single thing more (A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing
input", 2002, call such a remainder 1-minimal).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocheck.engines.verdict import Run
from protocheck.ir.expr import VarKind, reads
from protocheck.ir.interp import (
    IllFormedError,
    NotEnabledError,
    State,
    begin,
    deadlock,
    mover,
    step,
    thread_of,
    witnesses,
)
from protocheck.ir.system import Choice, DeadlockTarget, PropertyTarget, System, Transition
from protocheck.records import dataclass
from protocheck.traces.causes import parts

MOST_STEPS = 200
"""A run of more steps is not weighed."""


@dataclass(frozen=True)
class Weight:
    """What becomes of the run if a step does not change what it changes.

    ``stuck`` is the step that cannot be taken then; None: all can be, and the run does not end as it did.
    """

    stuck: int | None


@dataclass(frozen=True)
class Essential:
    """What a run needs. Steps have their numbers in the run, from 1.

    ``kept`` are steps of which no more can be left out, ``idle`` those among them that change shared state and
    need not, all at once; ``weights`` says of each other one that changes something what it is needed for.
    """

    kept: tuple[int, ...]
    idle: tuple[int, ...]
    weights: dict[int, Weight]


def essential(system: System, target: PropertyTarget, run: Run) -> Essential | None:
    """What ``run``, which ends in ``target``, needs; None if it is too long to weigh."""
    if len(run.moves) > MOST_STEPS:
        return None
    weigh = _Scale(system, target, run)
    kept = weigh.shortened()
    idle: list[int] = []
    for number in reversed(weigh.acting(kept, ())):
        if weigh.trouble(kept, (*idle, number)) is None:
            idle.append(number)
    shared = [k for k in idle if k in weigh.acting(kept, (), shared=True)]
    weights = {}
    for number in weigh.acting(kept, idle):
        trouble = weigh.trouble(kept, (*idle, number))
        if trouble is not None:
            weights[number] = Weight(trouble if trouble <= len(run.moves) else None)
    return Essential(tuple(kept), tuple(sorted(shared)), weights)


def asks(system: System, which: int) -> bool:
    """Whether transition ``which`` depends on anything but where its thread stands and what it has in its locals."""
    transition = system.transitions[which]
    thread = thread_of(system, transition.thread)
    mine = {thread.pc, *thread.locals}
    me = transition.params[: len(thread.params)]
    return any(r.var not in mine or r.index[: len(me)] != me for e in parts(transition.guard) for r in reads(e))


class _Scale:
    def __init__(self, system: System, target: PropertyTarget, run: Run) -> None:
        self.system, self.target, self.run = system, target, run
        self.movers = [mover(system, m) for m in run.moves]
        self.start = begin(system, run.init)
        kinds = {v.name: v.kind for v in system.variables}
        shared = (VarKind.STATE, VarKind.GHOST)
        self.shared = [k for cell, k in self.start.where.items() if kinds[cell[0]] in shared]
        self.effects = [k for cell, k in self.start.where.items() if kinds[cell[0]] in (*shared, VarKind.LOCAL)]

    def trouble(self, kept: Sequence[int], idle: Sequence[int]) -> int | None:
        """Where the run of the steps ``kept`` fails if those in ``idle`` change nothing: the first step that cannot be
        taken, or one more than there are if the end is another; None if it does not fail.
        """
        state: State | None = self.start
        before = self.start
        for number in kept:
            if state is None:
                return number
            before = state
            try:
                state = step(self.system, before, self.run.moves[number - 1]).state
            except (NotEnabledError, IllFormedError):
                return number
            if number in idle and state is not None:
                state = self._unchanged(before, state)
        last = self.run.moves[kept[-1] - 1] if kept else None
        return None if self._ends(before, last, state) else len(self.run.moves) + 1

    def _ends(self, before: State, last: Choice | None, state: State | None) -> bool:
        if isinstance(self.target, DeadlockTarget):
            return state is not None and bool(deadlock(self.system, state))
        if state is not None:
            ends = (self.target.cases[w.which] for w in witnesses(self.system, self.target, state))
            if any(case.via is None for case in ends):
                return True
        if last is None:
            return False
        return any(
            self.target.cases[w.which].via == last.which and w.values[: len(last.values)] == last.values
            for w in witnesses(self.system, self.target, before)
        )

    def _unchanged(self, before: State, after: State) -> State:
        values = list(after.values)
        for k in self.effects:
            values[k] = before.values[k]
        return State(tuple(values), after.where)

    def acting(self, kept: Sequence[int], idle: Sequence[int], shared: bool = False) -> list[int]:
        """The steps that change a state (or a local, unless ``shared``), if those in ``idle`` change nothing."""
        cells = self.shared if shared else self.effects
        state, found = self.start, []
        for number in kept:
            after = step(self.system, state, self.run.moves[number - 1]).state
            if after is None:
                break
            if number in idle:
                after = self._unchanged(state, after)
            elif any(state.values[c] != after.values[c] for c in cells):
                found.append(number)
            state = after
        return found

    def shortened(self) -> list[int]:
        """The numbers of steps that are needed: no thread can end earlier, and none can leave out a round."""
        kept = list(range(1, len(self.run.moves) + 1))
        again = True
        while again:
            again = False
            for gone in self._removable(kept):
                left = [k for k in kept if k not in gone]
                if self.trouble(left, ()) is None:
                    kept, again = left, True
                    break
        return kept

    def _removable(self, kept: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Steps that one thread could leave out: its last ones, or a round back to where it began; longest first."""
        for who in dict.fromkeys(self.movers[k - 1] for k in kept):
            mine = [k for k in kept if self.movers[k - 1] == who]
            yield from (tuple(mine[at:]) for at in range(len(mine)))
            places = [self._transition(k).source for k in mine]
            ends = [self._transition(k).target for k in mine]
            for length in range(len(mine) - 1, 0, -1):
                for at in range(len(mine) - length):
                    if places[at] == ends[at + length - 1]:
                        yield tuple(mine[at : at + length])

    def _transition(self, number: int) -> Transition:
        return self.system.transitions[self.run.moves[number - 1].which]
