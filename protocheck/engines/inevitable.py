"""From which step of a run on its end cannot be avoided any more, whatever follows.

It can be avoided from a state if some run from there never meets the target and treats every thread fairly: one that
could go on all the time takes a step at some time; an environment at rest and an adversary between two calls may stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from protocheck.engines.codegen import unroll
from protocheck.engines.explore import Search
from protocheck.engines.verdict import Budget, Choice
from protocheck.ir.expr import FALSE, Expr, Lit, substitute
from protocheck.ir.ground import GroundError
from protocheck.ir.interp import State
from protocheck.ir.system import DeadlockTarget, PropertyTarget, System, ThreadKind

STATES = 5_000
"""So many states that can follow are looked at; if there are more, nothing is claimed."""

_Mover: TypeAlias = tuple[str, tuple[int, ...]]


def inevitable(
    system: System, target: PropertyTarget, states: Sequence[State], by_step: bool, budget: Budget, limit: int = STATES
) -> int | None:
    """The number of steps of a run into ``target`` after which its end is inevitable; None if that was not decided.

    ``states[k]`` is the state after ``k`` steps; ``by_step``: one more step leads from the last one into the target,
    otherwise the last one is in it. Other fairness than that of steps is not assumed: where a lock may be
    granted to others for ever, the end counts as avoidable.
    """
    try:
        after = _After(system, target, budget, limit)
        packed = [after.search.made.layout.pack(s.values) for s in states]
        first = len(states) if by_step else None
        for number in reversed(range(len(packed))):
            avoidable = after.avoidable(packed[number])
            if avoidable is None:
                return None
            if avoidable:
                break
            first = number
        return first
    except (GroundError, MemoryError, RecursionError):
        return None


class _After:
    """What can follow a state without meeting the target."""

    def __init__(self, system: System, target: PropertyTarget, budget: Budget, limit: int) -> None:
        self.system, self.target, self.budget, self.limit = system, target, budget, limit
        self.search = Search(system, (target,), budget, symmetry=False).prepared()
        self.check = self.search.checker((0,))
        cases = () if isinstance(target, DeadlockTarget) else target.cases
        self.vias = {c.via for c in cases if c.via is not None}
        self.arity = {t.name: len(t.params) for t in system.threads}
        self.rest = {
            t.name: t.done if t.kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY) else FALSE
            for t in system.threads
        }
        self._tests: dict[_Mover, Callable[..., object]] = {}
        self.resting: dict[tuple[_Mover, int], bool] = {}
        self.steps: dict[int, list[tuple[_Mover, int]]] = {}
        self.owed: dict[int, frozenset[_Mover]] = {}
        self.ends: dict[int, bool] = {}  # the target is met there

    def avoidable(self, start: int) -> bool | None:
        """Whether some fair run from ``start`` never meets the target; None if a limit was hit."""
        seen = {start: None}
        open_ = [start]
        while open_:
            state = open_.pop()
            if self.budget.expired() or len(self.steps) > self.limit:
                return None
            if self._look(state):
                return True
            for _, after in self.steps[state]:
                if after not in seen:
                    seen[after] = None
                    open_.append(after)
        going = {s: [n for _, n in self.steps[s]] for s in seen if not self.ends[s]}
        return any(self._fair(set(c)) for c in _components(going))

    def _look(self, state: int) -> bool:
        """Fill in what is known of ``state``; says whether a run may end there, without the target."""
        if state in self.steps:
            return False
        found: dict[int, int] = {}
        self.check((state,), found)
        self.steps[state], self.owed[state], self.ends[state] = [], frozenset(), bool(found)
        if found:
            return False
        moves = self.search.moves(state)
        failing: set[Choice] = set()
        if not isinstance(self.target, DeadlockTarget) and any(w in self.vias for w, _, _ in moves):
            failing = {s for _, s in self.search.endings(self.target, state, True) if s is not None}
        owed: set[_Mover] = set()
        for which, values, after in moves:
            name = self.system.transitions[which].thread
            who = name, values[: self.arity[name]]
            if not self._rests(who, state):
                owed.add(who)
            if Choice(which, values) in failing:
                continue
            if after is None:
                del self.steps[state]
                return True  # another fault ends the run
            self.steps[state].append((who, after))
        self.owed[state] = frozenset(owed)
        if not owed:
            del self.steps[state]
            return True
        return False

    def _rests(self, who: _Mover, state: int) -> bool:
        done = self.rest[who[0]]
        if done == FALSE:
            return False
        thread = next(t for t in self.system.threads if t.name == who[0])
        fixed: Mapping[str, Expr] = {p.name: Lit(v) for p, v in zip(thread.params, who[1], strict=True)}
        if (who, state) not in self.resting:
            if who not in self._tests:
                self._tests[who] = self.search.made.predicate(unroll(substitute(done, fixed)))
            self.resting[who, state] = bool(self._tests[who](state))
        return self.resting[who, state]

    def _fair(self, inside: set[int]) -> bool:
        """Whether a run may stay for ever in a component: whoever is owed a step everywhere takes one there."""
        takes = {who for s in inside for who, after in self.steps[s] if after in inside}
        if not takes:
            return False
        return frozenset.intersection(*(self.owed[s] for s in inside)) <= takes


def _components(graph: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """The strongly connected components (R. Tarjan, 1972), with a stack of its own."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in graph:
        if root in number:
            continue
        work = [(root, iter(graph[root]))]
        number[root] = low[root] = len(number)
        path.append(root)
        on_path.add(root)
        while work:
            here, rest = work[-1]
            for there in rest:
                if there not in graph:
                    continue
                if there not in number:
                    number[there] = low[there] = len(number)
                    path.append(there)
                    on_path.add(there)
                    work.append((there, iter(graph[there])))
                    break
                if there in on_path:
                    low[here] = min(low[here], number[there])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == number[here]:
                    component: list[int] = []
                    while not component or component[-1] != here:
                        component.append(path.pop())
                        on_path.discard(component[-1])
                    yield component
