"""Which steps of one run, and which of their effects, it needs to end as it does.

The run is walked again and again by the interpreter, each time without one more thing; nothing is searched. What is
left cannot lose any single thing more (A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing
input", 2002, call such a remainder 1-minimal). Of a run without an end, stem and loop are shortened together: what is
left is still a fair run that stays away from what should come, judged as :mod:`protocheck.traces.lasso` judges it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from enum import Enum

from protocheck.engines.verdict import Run
from protocheck.ir.expr import VarKind, reads
from protocheck.ir.interp import (
    IllFormedError,
    Instance,
    NotEnabledError,
    State,
    begin,
    deadlock,
    mover,
    step,
    thread_of,
    witnesses,
)
from protocheck.ir.system import (
    AnyTarget,
    Choice,
    DeadlockTarget,
    ProgressTarget,
    RecoverableTarget,
    System,
    Transition,
)
from protocheck.records import dataclass
from protocheck.traces.causes import parts
from protocheck.traces.lasso import Able, LassoFailedError, ReachedError, UnfairError, stays_away, way_back

MOST_STEPS = 200
"""A run of more steps is not weighed."""


class Lack(Enum):
    """Why what is left of a run is not what it was, though all its steps can be taken."""

    END = "it ends otherwise"
    OPEN = "its loop does not lead back"
    UNFAIR = "it is not fair"
    COMES = "what should not come comes"
    NOT_DUE = "nothing is due"


@dataclass(frozen=True)
class Weight:
    """What becomes of the run if a step does not change what it changes.

    ``stuck`` is the step that cannot be taken then; None: all can be, and ``lack`` says what is wrong with the run.
    ``unfair_to`` is who does not get what it is owed.
    """

    stuck: int | None
    lack: Lack = Lack.END
    unfair_to: Instance | None = None


@dataclass(frozen=True)
class Essential:
    """What a run needs. Steps have their numbers in the run, from 1.

    ``kept`` are steps of which no more can be left out, ``idle`` those among them that change shared state and
    need not, all at once; ``weights`` says of each other one that changes something what it is needed for. ``owed`` are
    steps of a loop that could be left out but for what fairness owes somebody: whom.
    """

    kept: tuple[int, ...]
    idle: tuple[int, ...]
    weights: dict[int, Weight]
    owed: dict[int, Instance] = field(default_factory=dict)


def essential(system: System, target: AnyTarget, run: Run) -> Essential | None:
    """What ``run``, which ends in ``target`` or never ends and violates it, needs.

    None if it cannot be weighed: it is too long, or does not end so (or the states behind it are too many to tell).
    """
    if len(run.moves) > MOST_STEPS:
        return None
    weigh = _Endless(system, target, run) if isinstance(target, ProgressTarget) else _Scale(system, target, run)
    if weigh.trouble(range(1, len(run.moves) + 1), ()) is not None:
        return None
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
            weights[number] = weigh.weight(trouble)
    return Essential(tuple(kept), tuple(sorted(shared)), weights, weigh.owed(kept))


def asks(system: System, which: int) -> bool:
    """Whether transition ``which`` depends on anything but where its thread stands and what it has in its locals."""
    transition = system.transitions[which]
    thread = thread_of(system, transition.thread)
    mine = {thread.pc, *thread.locals}
    me = transition.params[: len(thread.params)]
    return any(r.var not in mine or r.index[: len(me)] != me for e in parts(transition.guard) for r in reads(e))


class _Scale:
    def __init__(self, system: System, target: AnyTarget, run: Run) -> None:
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

    def weight(self, trouble: int) -> Weight:
        """The ``trouble`` of the last question in words."""
        return Weight(trouble if trouble <= len(self.run.moves) else None)

    def owed(self, kept: Sequence[int]) -> dict[int, Instance]:
        """A run that ends owes nobody anything."""
        return {}

    def _ends(self, before: State, last: Choice | None, state: State | None) -> bool:
        assert not isinstance(self.target, ProgressTarget)
        if isinstance(self.target, RecoverableTarget):
            return state is not None and way_back(self.system, self.target.goal, state) is False
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


class _Endless(_Scale):
    """Of a run without an end: ``run.loop`` steps lead to its loop."""

    def __init__(self, system: System, target: ProgressTarget, run: Run) -> None:
        super().__init__(system, target, run)
        self.known: Able = {}
        self.lack: Lack = Lack.OPEN
        self.unfair_to: Instance | None = None

    def trouble(self, kept: Sequence[int], idle: Sequence[int]) -> int | None:
        """As for a run with an end; one more than there are steps if what is left does not violate the claim."""
        assert self.run.loop is not None
        assert isinstance(self.target, ProgressTarget)
        states = [self.start]
        for number in kept:
            try:
                state = step(self.system, states[-1], self.run.moves[number - 1]).state
            except (NotEnabledError, IllFormedError):
                return number
            if state is None:
                return number
            states.append(self._unchanged(states[-1], state) if number in idle else state)
        loop = sum(number <= self.run.loop for number in kept)
        self.lack, self.unfair_to = Lack.OPEN, None
        if states[loop] == states[-1]:
            moves = tuple(self.run.moves[number - 1] for number in kept)
            try:
                stays_away(self.system, self.target, replace(self.run, moves=moves, loop=loop), states, self.known)
            except UnfairError as fault:
                self.lack, self.unfair_to = Lack.UNFAIR, fault.who
            except ReachedError:
                self.lack = Lack.COMES
            except LassoFailedError:
                self.lack = Lack.NOT_DUE
            else:
                return None
        return len(self.run.moves) + 1

    def weight(self, trouble: int) -> Weight:
        """With what was wrong when ``trouble`` was found."""
        if trouble <= len(self.run.moves):
            return Weight(trouble)
        return Weight(None, self.lack, self.unfair_to)

    def owed(self, kept: Sequence[int]) -> dict[int, Instance]:
        """For steps of the loop that only fairness keeps there: to whom it would not be fair without them."""
        found: dict[int, Instance] = {}
        assert self.run.loop is not None
        for gone in sorted(self._removable(kept), key=len):
            if gone[0] <= self.run.loop or all(number in found for number in gone):
                continue
            left = [number for number in kept if number not in gone]
            trouble = self.trouble(left, ())
            if trouble is not None and trouble > len(self.run.moves) and self.unfair_to is not None:
                for number in gone:
                    found.setdefault(number, self.unfair_to)
        return found
