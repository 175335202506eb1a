"""Fair infinite runs found in another way than the engine's: every strong demand is guessed, the rest is Buechi.

The graph is the interpreter's; components are networkx's. Nothing is shared with the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import networkx as nx

from protocheck.ir.interp import Choice, State, default_state, enabled, evaluate, initial_states, instances, mover, step
from protocheck.ir.sorts import values_of
from protocheck.ir.system import FairKind, ProgressTarget, RecoverableTarget, StepSet, System


@dataclass(frozen=True)
class Demand:
    """``kind`` is weak, strong, trigger or recur: where it can step, edges that serve it, edges that trigger it."""

    kind: str
    able: frozenset[int]
    serves: frozenset[tuple[int, int]]
    pulls: frozenset[tuple[int, int]] = frozenset()


class Reference:
    """The whole graph of ``system``, if it has at most ``most`` states (``small``)."""

    def __init__(self, system: System, most: int) -> None:
        self.system = system
        self.states: list[State] = list(initial_states(system))
        self.begun = len(self.states)
        number = {s: n for n, s in enumerate(self.states)}
        self.moves: list[list[tuple[Choice, int | None]]] = []
        self.small = True
        for state in self.states:
            row: list[tuple[Choice, int | None]] = []
            for move in enabled(system, state):
                after = step(system, state, move).state
                if after is not None and after not in number:
                    number[after] = len(self.states)
                    self.states.append(after)
                row.append((move, None if after is None else number[after]))
            self.moves.append(row)
            if len(self.states) > most:
                self.small = False
                return

    def recoverable(self, target: RecoverableTarget) -> int | None:
        """The length of the shortest run to a state from which there is no way to the goal."""
        plain = nx.DiGraph()
        plain.add_nodes_from(range(len(self.states)))
        plain.add_edges_from((n, end) for n, row in enumerate(self.moves) for _, end in row if end is not None)
        goals = [n for n, s in enumerate(self.states) if evaluate(target.goal, s, {})]
        safe = set(goals)
        for goal in goals:
            safe |= nx.ancestors(plain, goal)
        plain.add_edges_from(("start", n) for n in range(self.begun))
        far = nx.single_source_shortest_path_length(plain, "start")
        return min((far[n] - 1 for n in range(len(self.states)) if n not in safe), default=None)

    def stem(self, target: ProgressTarget) -> int | None:
        """The length of the shortest stem of a fair violation of ``target``; None if there is none."""
        found: list[int] = []
        for rigid in product(*(values_of(p.sort) for p in target.params)):
            env = {p.name: v for p, v in zip(target.params, rigid, strict=True)}
            if evaluate(target.where, self.states[0], env):
                found += self._stems(target, env)
        return min(found, default=None)

    def _in(self, steps: StepSet, n: int, move: Choice, env: dict[str, int]) -> bool:
        params = self.system.transitions[move.which].params
        told = {**env, **{p.name: v for p, v in zip(params, move.values, strict=True)}}
        return any(w == move.which and evaluate(c, self.states[n], told) for w, c in steps.members)

    def _stems(self, target: ProgressTarget, env: dict[str, int]) -> Iterator[int]:
        away = [not evaluate(target.reached, s, env) for s in self.states]
        edges = {
            (n, k): end
            for n, row in enumerate(self.moves)
            for k, (move, end) in enumerate(row)
            if end is not None and away[n] and away[end] and not self._in(target.reaching, n, move, env)
        }
        walk = nx.DiGraph()
        walk.add_edges_from(("start", ("free", n)) for n in range(self.begun))
        walk.add_edges_from(
            (("free", n), ("free", end)) for n, row in enumerate(self.moves) for _, end in row if end is not None
        )
        walk.add_edges_from((("owes", n), ("owes", end)) for (n, _), end in edges.items())
        for n, state in enumerate(self.states):
            if away[n] and evaluate(target.pending, state, env):
                walk.add_edge(("free", n), ("half", n))
                walk.add_edge(("half", n), ("owes", n))
        # Each owing costs two edges more than the run has moves.
        far = nx.single_source_shortest_path_length(walk, "start")
        region = {place[1]: cost - 3 for place, cost in far.items() if place[0] == "owes"}
        demands = list(self._demands(target, env))
        picky = [d for d in demands if d.kind in ("strong", "trigger")]
        for guess in product([False, True], repeat=len(picky)):
            nodes, kept = set(region), dict(edges)
            wanted = [d for d in demands if d.kind in ("weak", "recur")]
            for demand, served in zip(picky, guess, strict=True):
                if served:
                    wanted.append(Demand("recur", frozenset(), demand.serves))
                elif demand.kind == "strong":
                    nodes -= demand.able
                else:
                    kept = {e: end for e, end in kept.items() if e not in demand.pulls}
            yield from self._accepting(nodes, kept, wanted, region)

    def _accepting(
        self, nodes: set[int], edges: dict[tuple[int, int], int], wanted: list[Demand], region: dict[int, int]
    ) -> Iterator[int]:
        part = nx.MultiDiGraph()
        part.add_nodes_from(nodes)
        part.add_edges_from((e[0], end, e) for e, end in edges.items() if e[0] in nodes and end in nodes)
        for piece in nx.strongly_connected_components(part):
            inside = {e for e, end in edges.items() if e[0] in piece and end in piece}
            if all(d.serves & inside or (d.kind == "weak" and piece - d.able) for d in wanted):
                yield min(region[n] for n in piece)  # one that has no edge stands still

    def _demands(self, target: ProgressTarget, env: dict[str, int]) -> Iterator[Demand]:
        every = {(n, k): move for n, row in enumerate(self.moves) for k, (move, _) in enumerate(row)}
        for fair in self.system.fairness:
            owner = next(t for t in self.system.threads if t.name == fair.thread)
            for who in instances(self.system, owner, default_state(self.system)):
                mine = {e: m.which for e, m in every.items() if mover(self.system, m) == who}
                enables = frozenset(e for e, which in mine.items() if which in fair.transitions)
                serves = enables | {e for e, which in mine.items() if which in fair.released}
                told = {p.name: v for p, v in zip(fair.params, who.values, strict=True)}
                resting = {n for n, s in enumerate(self.states) if evaluate(fair.rest, s, told)}
                able = frozenset(n for n, _ in enables if n not in resting)
                pulls = frozenset(e for e, which in mine.items() if which in fair.trigger)
                kind = "trigger" if fair.trigger else "weak" if fair.kind is FairKind.WEAK else "strong"
                yield Demand(kind, able, serves, pulls)
        for steps in target.recurs:
            yield Demand("recur", frozenset(), frozenset(e for e, m in every.items() if self._in(steps, e[0], m, env)))
