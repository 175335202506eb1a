"""The graph of all reachable states with every step in it, for questions about infinite runs.

States are packed integers, numbered in the order of their distance; an edge knows which step of which thread it is.
Symmetry is not used: a fair run is about one thread and not about any that is like it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import cast

from protocheck.engines.codegen import Generator, State, Step
from protocheck.engines.verdict import Budget, Choice, Limit
from protocheck.ir.expr import TRUE, Expr
from protocheck.ir.system import System

CHUNK = 2048


class Labels(dict[tuple[int, tuple[int, ...]], int]):
    """A number for each step that occurs: a transition and the values of its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, tuple[int, ...]]] = []

    def __missing__(self, key: tuple[int, tuple[int, ...]]) -> int:
        self.steps.append(key)
        self[key] = len(self.steps) - 1
        return len(self.steps) - 1


@dataclass
class Graph:
    """``states[n]`` with its edges ``offsets[n]`` up to ``offsets[n + 1]``: where each leads, and its label.

    An edge leads to -1 where a fatal check ends the run. ``begun`` are the states in which runs begin. Only the first
    ``len(offsets) - 1`` states have been expanded: all of them, if no ``limit`` was hit and ``complete`` is set.
    ``depths[n]`` is the distance of a state, ``parents[n]`` an edge by which it was first reached (-1: a beginning).
    """

    system: System
    made: Generator
    labels: Labels
    states: list[State] = field(default_factory=list)
    offsets: array[int] = field(default_factory=lambda: array("q", [0]))
    ends: array[int] = field(default_factory=lambda: array("q"))
    kinds: array[int] = field(default_factory=lambda: array("l"))
    begun: dict[int, Choice] = field(default_factory=dict)
    depths: array[int] = field(default_factory=lambda: array("l"))
    parents: array[int] = field(default_factory=lambda: array("q"))
    limit: Limit | None = None
    detail: str = ""
    complete: bool = False

    @property
    def size(self) -> int:
        """How many states have been expanded."""
        return len(self.offsets) - 1

    @property
    def depth(self) -> int:
        """The distance of the deepest state."""
        return max(self.depths, default=0)

    @cached_property
    def enabled(self) -> array[int]:
        """For each expanded state the number of what is possible there; :attr:`possible` says which labels that is."""
        return self._enabled[0]

    @cached_property
    def possible(self) -> list[tuple[int, ...]]:
        """The sets of labels that are possible together in some state."""
        return self._enabled[1]

    @cached_property
    def _enabled(self) -> tuple[array[int], list[tuple[int, ...]]]:
        kinds, offsets = self.kinds, self.offsets
        numbers: dict[bytes, int] = {}
        found = array("l")
        for first, last in pairwise(offsets):
            found.append(numbers.setdefault(kinds[first:last].tobytes(), len(numbers)))
        return found, [tuple(dict.fromkeys(array("l", text))) for text in numbers]

    def source(self, edge: int) -> int:
        """The state from which ``edge`` leads."""
        return bisect_right(self.offsets, edge) - 1

    def choice(self, edge: int) -> Choice:
        """The move that ``edge`` is."""
        return Choice(*self.labels.steps[self.kinds[edge]])

    def back(self, state: int) -> list[int]:
        """The edges of a shortest way from a beginning to ``state``, in order."""
        way: list[int] = []
        while self.parents[state] != -1:
            way.append(self.parents[state])
            state = self.source(way[-1])
        way.reverse()
        return way

    def test(self, cond: Expr) -> Callable[[State], bool]:
        """A function that says whether ``cond``, without parameters and quantifiers written out, is true in a state."""
        if cond == TRUE:
            return lambda s: True
        return cast("Callable[[State], bool]", self.made.predicate(cond))


def graph(system: System, budget: Budget) -> Graph:
    """Visit every reachable state of ``system``, breadth first; limits and Ctrl-C leave a part of the graph.

    Raises :class:`protocheck.engines.codegen.StoreOutsideError` for a system that stores a value outside of its sort.
    """
    made = Generator(system, {})
    found = Graph(system, made, Labels())
    try:
        _fill(found, budget)
    except KeyboardInterrupt:
        found.limit = Limit.INTERRUPTED
    except MemoryError:
        found.limit = Limit.MEMORY
    del found.ends[found.offsets[-1] :], found.kinds[found.offsets[-1] :]
    found.depths.extend([max(found.depths, default=-1) + 1] * (len(found.states) - len(found.depths)))
    return found


def _fill(made: Graph, budget: Budget) -> None:
    seen: dict[State, int] = {}
    states = made.states
    for choice, state in made.made.initial():
        if state not in seen:
            seen[state] = len(states)
            made.begun[len(states)] = choice
            states.append(state)
            made.parents.append(-1)
    expand = _expander(made)
    depth = 0
    while len(made.depths) < len(states):
        first, last = len(made.depths), len(states)
        made.depths.extend([depth] * (last - first))
        if budget.depth is not None and depth >= budget.depth:
            return
        for start in range(first, last, CHUNK):
            if budget.expired():
                made.limit = Limit.TIME
            elif budget.states is not None and len(states) > budget.states:
                made.limit, made.detail = Limit.STATES, f"{budget.states} states"
            if made.limit is not None:
                return
            expand(start, min(start + CHUNK, last), seen)
        budget.progress(f"depth {depth}: {len(states)} states, {len(states) - last} to go")
        depth += 1
    made.complete = True


def _expander(made: Graph) -> Callable[..., object]:
    def before(step: Step) -> str:
        fixed = [v for v in step.values if isinstance(v, int)]
        if len(fixed) == len(step.values):
            return f"add_kind({made.labels[step.which, tuple(fixed)]}); add_end(-1)"
        values = "".join(f"{v}, " for v in step.values)
        return f"add_kind(labels[{step.which}, ({values})]); add_end(-1)"

    def sink(step: Step) -> list[str]:
        return [
            "there = seen.get(t)",
            "if there is None:",
            "    there = seen[t] = len(states)",
            "    add_state(t)",
            "    add_parent(len(ends) - 1)",
            "ends[-1] = there",
        ]

    made.made.share("labels", made.labels)
    body = made.made.body(sink, lambda target, which: ["pass"], before)
    lines = [
        "def expand(first, last, seen, states, ends, add_state, add_parent, add_kind, add_end, add_offset):",
        "    for here in range(first, last):",
        "        s = states[here]",
        *("        " + line for line in body),
        "        add_offset(len(ends))",
        "    return None",
    ]
    function = made.made.function("expand", lines)
    fixed = (
        made.states,
        made.ends,
        made.states.append,
        made.parents.append,
        made.kinds.append,
        made.ends.append,
        made.offsets.append,
    )
    return lambda first, last, seen: function(first, last, seen, *fixed)
