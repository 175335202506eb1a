"""The calmest of the shortest runs to a target, read off the layers of a finished breadth-first search.

The same run that :func:`protocheck.engines.bmc.calmest` asks a solver for: among the shortest, fewest changes of the
thread, then fewest choices that are not the first one, then the first steps in the order of the system. Every state
that a shortest run passes after k steps is at distance k, so only neighbouring layers need to be looked at: backwards
for the states from which the target is still as near as that, which symmetry keeps few, then forwards among the states
themselves, and once more backwards for the least that is left to pay from each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from protocheck.engines.verdict import Choice
from protocheck.ir.sorts import low_of
from protocheck.ir.system import System

State: TypeAlias = int
Mover: TypeAlias = tuple[str, tuple[int, ...]]
Price: TypeAlias = tuple[int, int]
"""Changes of the thread, and choices that are not the first one."""

MOST_STATES = 20_000
"""Where the layers before the target have more states, or the runs pass more states than this, nothing is said."""


class Layers(Protocol):
    """What a breadth-first search knows; representatives stand for the states that differ only by a renaming."""

    @property
    def system(self) -> System:
        """What was searched."""

    @property
    def layers(self) -> Sequence[Sequence[State]]:
        """The representatives at distance 0, 1, 2, ..."""

    @property
    def starts(self) -> Mapping[Choice, State]:
        """Where runs begin."""

    def representative(self, state: State) -> State:
        """The state that stands for ``state``."""

    def after(self, state: State) -> Sequence[State]:
        """The states that a step leads to from ``state``."""

    def steps(self, state: State) -> Sequence[tuple[int, tuple[int, ...], State | None]]:
        """The same with the steps: transition, values, and the state after it if no fatal check fails."""


class Goal(Protocol):
    """A target that is met in states, or in steps out of them."""

    @property
    def by_step(self) -> bool:
        """Whether it is met in steps."""

    def met(self, state: State) -> bool:
        """Whether ``state``, or a step out of it, is in the target."""

    def endings(self, state: State) -> Sequence[tuple[Choice, Choice | None]]:
        """The cases of the target that are met, in their order, each with the step if it is met in one."""


@dataclass(frozen=True)
class Calm:
    """A run as choices: how it begins, its steps, the case of the target at its end (None for a deadlock)."""

    init: Choice
    moves: tuple[Choice, ...]
    end: Choice | None


def calmest(search: Layers, goal: Goal, depth: int) -> Calm | None:
    """The calmest run to ``goal``, which is met first in states at distance ``depth``; None if that is too much work.

    With ``goal.by_step`` the run has a step more.
    """
    near = _near(search, goal, depth)
    return None if near is None else _Paths(search, goal, depth, near).calmest()


def _near(search: Layers, goal: Goal, depth: int) -> list[set[State]] | None:
    """For each distance the representatives there from which a run of the length that is left meets the goal."""
    if sum(len(layer) for layer in search.layers[: depth + 1]) > MOST_STATES:
        return None
    near = [{s for s in search.layers[depth] if goal.met(s)}]
    for layer in reversed(search.layers[:depth]):
        last = near[-1]
        near.append({s for s in layer if any(search.representative(t) in last for t in search.after(s))})
    return near[::-1]


class _Paths:
    """All shortest runs to the goal, state by state."""

    def __init__(self, search: Layers, goal: Goal, depth: int, near: Sequence[set[State]]) -> None:
        self.search = search
        self.goal = goal
        self.depth = depth
        self.near = near
        self.arity = {t.name: len(t.params) for t in search.system.threads}
        self.edges: list[dict[State, list[tuple[Choice, State]]]] = []
        self.left: list[dict[State, dict[Mover | None, Price]]] = []
        """Per distance and state: the least price of what is left, by the thread that moves first."""

    def calmest(self) -> Calm | None:
        origin: dict[State, Choice] = {}
        for choice, state in self.search.starts.items():
            if self.search.representative(state) in self.near[0]:
                origin.setdefault(state, choice)
        if not self._forward(list(origin)):
            return None
        self._backward()
        return self._walk(origin)

    def _forward(self, states: Sequence[State]) -> bool:
        """Fill ``edges`` with the steps of shortest runs; whether they are few enough."""
        count = 0
        for distance in range(self.depth):
            count += len(states)
            if count > MOST_STATES:
                return False
            following: dict[State, None] = {}
            edges: dict[State, list[tuple[Choice, State]]] = {}
            for state in states:
                edges[state] = []
                for which, values, after in self.search.steps(state):
                    if after is not None and self.search.representative(after) in self.near[distance + 1]:
                        edges[state].append((Choice(which, values), after))
                        following[after] = None
            self.edges.append(edges)
            states = list(following)
        self.edges.append({state: [] for state in states})
        return True

    def _backward(self) -> None:
        """Fill ``left`` from the end."""
        last: dict[State, dict[Mover | None, Price]] = {}
        for state in self.edges[self.depth]:
            prices: dict[Mover | None, Price] = {} if self.goal.by_step else {None: (0, 0)}
            for _, step in self.goal.endings(state) if self.goal.by_step else ():
                assert step is not None
                _least(prices, self.mover(step), (0, self.cost(step)))
            last[state] = prices
        self.left = [last]
        for edges in reversed(self.edges[: self.depth]):
            here: dict[State, dict[Mover | None, Price]] = {}
            for state, steps in edges.items():
                prices = {}
                for step, after in steps:
                    rest = self.rest(self.mover(step), self.left[-1][after])
                    if rest is not None:
                        _least(prices, self.mover(step), (rest[0], rest[1] + self.cost(step)))
                here[state] = prices
            self.left.append(here)
        self.left.reverse()

    def _walk(self, origin: dict[State, Choice]) -> Calm | None:
        """The first run, in the order of the steps, of those that cost least."""
        prices = [p for state in origin for p in self.left[0][state].values()]
        if not prices:
            return None
        due = min(prices)
        moves: list[Choice] = []
        mover: Mover | None = None
        for distance in range(self.depth):
            ways: dict[Choice, dict[State, Choice]] = {}
            for state, init in origin.items():
                for step, after in self.edges[distance][state]:
                    rest = self.rest(self.mover(step), self.left[distance + 1][after])
                    if rest is not None and self.paid(mover, step, rest) == due:
                        ways.setdefault(step, {}).setdefault(after, init)
            step = min(ways, key=_place)
            origin = ways[step]
            due = (due[0] - self.changes(mover, step), due[1] - self.cost(step))
            mover = self.mover(step)
            moves.append(step)
        state, init = min(origin.items(), key=lambda item: _place(item[1]))
        return self._end(init, moves, mover, due, state)

    def _end(
        self, init: Choice, moves: list[Choice], mover: Mover | None, due: Price, state: State
    ) -> Calm | None:
        endings = self.goal.endings(state)
        if not self.goal.by_step:
            return Calm(init, tuple(moves), endings[0][0] if endings else None)
        for end, step in endings:
            if step is not None and self.paid(mover, step, (0, 0)) == due:
                return Calm(init, (*moves, step), end)
        return None

    def rest(self, mover: Mover, left: Mapping[Mover | None, Price]) -> Price | None:
        """The least price of what is left after a step of ``mover``."""
        return min(((p[0] + (m is not None and m != mover), p[1]) for m, p in left.items()), default=None)

    def paid(self, before: Mover | None, step: Choice, rest: Price) -> Price:
        """The price of ``step`` after one of ``before``, and of the rest."""
        return rest[0] + self.changes(before, step), rest[1] + self.cost(step)

    def changes(self, before: Mover | None, step: Choice) -> int:
        return int(before is not None and before != self.mover(step))

    def mover(self, step: Choice) -> Mover:
        thread = self.search.system.transitions[step.which].thread
        return thread, step.values[: self.arity[thread]]

    def cost(self, step: Choice) -> int:
        """How many choices in ``step`` are not the first one."""
        transition = self.search.system.transitions[step.which]
        arity = self.arity[transition.thread]
        chosen = zip(transition.params[arity:], step.values[arity:], strict=True)
        return sum(v != low_of(p.sort) for p, v in chosen) + (not transition.calm)


def _least(prices: dict[Mover | None, Price], mover: Mover, price: Price) -> None:
    known = prices.get(mover)
    if known is None or price < known:
        prices[mover] = price


def _place(choice: Choice) -> tuple[int, tuple[int, ...]]:
    return choice.which, choice.values
