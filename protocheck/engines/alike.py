"""Do two systems take some variables through the same changes, each by the same thread, with the same choices left?

Steps that change none of the variables are not seen: the two are compared by branching bisimulation. R. J. van Glabbeek
and W. P. Weijland, "Branching time and abstraction in bisimulation semantics", 1996; computed by signatures as in
S. Blom and S. Orzan, "Distributed branching bisimulation reduction of state spaces", 2003.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import cast

from protocheck.engines.graph import Graph, graph
from protocheck.engines.verdict import Budget, Limit
from protocheck.ir.expr import Apply, Expr, Lit, Op, substitute
from protocheck.ir.system import System

STATES = 3000
"""Systems with more states than this are not compared, unless somebody asks for more."""

UNSEEN = -1


def alike(a: System, b: System, names: Collection[str], states: int = STATES) -> bool | None:
    """Whether nobody can tell ``a`` from ``b`` who sees the variables called ``names``, and which threads are done.

    True, whatever their size, if they consist of the same moves. None if otherwise one of them has more than ``states``
    reachable states. A thread that goes round in steps that nobody sees is taken for one that stands still. Raises
    KeyboardInterrupt on Ctrl-C, and :class:`protocheck.engines.codegen.StoreOutsideError` for a system that stores a
    value outside of its sort.
    """
    if _moves(a) == _moves(b) and _rest(a) == _rest(b):
        return True
    graphs = []
    for system in (a, b):
        made = graph(system, Budget(states=states))
        if made.limit is Limit.INTERRUPTED:
            raise KeyboardInterrupt
        if not made.complete or len(made.states) > states:
            return None
        graphs.append(made)
    both = _Union()
    begun = [frozenset(both.enter(made, names)) for made in graphs]
    block = _coarsest(both)
    first, second = ({block[n] for n in some} for some in begun)
    return first == second


def _moves(system: System) -> Counter[Hashable]:
    """All transitions, whatever they are called and in whatever order they choose and assign."""
    own = {t.name: len(t.params) for t in system.threads}
    found: Counter[Hashable] = Counter()
    for tr in system.transitions:
        updates: Hashable = tr.updates
        if len({u.var for u in tr.updates}) == len(tr.updates):  # otherwise a later one may win
            updates = frozenset(tr.updates)
        guard = frozenset(tr.guard.args) if isinstance(tr.guard, Apply) and tr.guard.op is Op.AND else tr.guard
        checks = frozenset((c.prop, c.cond, c.fatal) for c in tr.checks)
        count = own[tr.thread]
        found[tr.thread, tr.params[:count], frozenset(tr.params[count:]), guard, updates, checks] += 1
    return found


def _rest(system: System) -> Hashable:
    """How runs begin, and when threads exist and are done."""
    variables = frozenset(zip(system.variables, system.defaults, strict=True))
    return variables, system.initial, tuple((t.name, t.params, t.where, t.done) for t in system.threads)


@dataclass
class _Union:
    """The two graphs side by side: ``seen[n]`` is what is seen of a node, ``edges[n]`` who moves and where to."""

    seen: list[int] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)
    views: dict[Hashable, int] = field(default_factory=dict)
    movers: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)

    def enter(self, made: Graph, names: Collection[str]) -> Iterator[int]:
        """Add a graph; gives the nodes in which its runs begin."""
        base = len(self.seen)
        fields = [f for name, f in sorted(made.made.layout.fields.items()) if name in names]
        cuts = [(f.base, (1 << f.width * prod(len(span) for span in f.spans)) - 1) for f in fields]
        done = _done(made)
        for state in made.states:
            view = (*((state >> at) & mask for at, mask in cuts), done(state))
            self.seen.append(self.views.setdefault(view, len(self.views)))
        end = base + len(made.states)  # where a fatal check leads
        self.seen.append(self.views.setdefault("ended", len(self.views)))
        who = []
        for which, values in made.labels.steps:
            thread = made.system.transitions[which].thread
            count = next(len(t.params) for t in made.system.threads if t.name == thread)
            who.append(self.movers.setdefault((thread, values[:count]), len(self.movers)))
        for n in range(len(made.states)):
            span = range(made.offsets[n], made.offsets[n + 1])
            steps = {(who[made.kinds[e]], end if made.ends[e] < 0 else base + made.ends[e]) for e in span}
            self.edges.append(sorted(steps))
        self.edges.append([])
        for n in made.begun:
            yield base + n


def _done(made: Graph) -> Callable[[int], int]:
    """A function that tells, as a number, which of the threads are done in a state."""
    parts: list[tuple[Expr, int]] = []
    for thread in made.system.threads:
        for own, _ in made.made.instances(thread):
            fixed = {p.name: Lit(v) for p, v in zip(thread.params, own, strict=True)}
            parts.append((substitute(thread.done, fixed), 1 << len(parts)))
    return cast("Callable[[int], int]", made.made.sum_of(parts))


def _coarsest(both: _Union) -> list[int]:
    """The block of each node in the coarsest partition that respects what is seen."""
    block, count = list(both.seen), len(set(both.seen))
    while True:
        numbers: dict[tuple[int, frozenset[tuple[int, int]]], int] = {}
        block = [numbers.setdefault((block[n], s), len(numbers)) for n, s in enumerate(_signatures(both, block))]
        if len(numbers) == count:
            return block
        count = len(numbers)


def _signatures(both: _Union, block: list[int]) -> list[frozenset[tuple[int, int]]]:
    """For each node what can leave its block, after any number of steps within it."""
    signature: list[frozenset[tuple[int, int]]] = []
    inner: list[list[int]] = []
    for n, edges in enumerate(both.edges):
        out = [(who, m) for who, m in edges if block[m] != block[n]]
        leaving = {(UNSEEN if both.seen[n] == both.seen[m] else who, block[m]) for who, m in out}
        signature.append(frozenset(leaving))
        inner.append([m for _, m in edges if block[m] == block[n] and m != n])
    changed = True
    while changed:
        changed = False
        for n in range(len(signature) - 1, -1, -1):
            if inner[n]:
                more = signature[n].union(*(signature[m] for m in inner[n]))
                if len(more) != len(signature[n]):
                    signature[n], changed = more, True
    return signature
