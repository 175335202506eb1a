"""Lock order: which lock is wanted while which is held, and which cycles of that can really close.

In two parts, so that one search answers everything: :func:`plan` turns a system into targets, :func:`conclude` turns
the answers into a graph with findings. The static graph over-approximates what is held where, so when it has no cycle
that is a proof for any size. Otherwise three questions decide each cycle: can each of its threads hold its lock and
be blocked on the next, all at once (``cycle``); if never, can they stand there at once (``unrealised``: the modes are
compatible) or not (``prevented``); and which lock, if any, do they all hold that keeps them apart (a gate lock, in the
terms of K. Havelund, "Using runtime analysis to guide model checking of Java programs", 2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

from protocheck.engines.verdict import (
    Certificate,
    Limit,
    NotReachedWithin,
    Reached,
    Structural,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.findings import (
    EdgeStatus,
    Evidence,
    Holds,
    HoldsToDepth,
    LockEdge,
    LockFinding,
    LockFindingKind,
    LockGraph,
    LockNode,
    Outcome,
    Violated,
)
from protocheck.findings import Unknown as UnknownOutcome
from protocheck.ir.expr import FALSE, TRUE, Apply, Expr, Lit, Op, Param, and_, exists, forall, implies, ne, not_, or_
from protocheck.ir.interp import Blocked, Instance, State, evaluate
from protocheck.ir.interp import blocked as blocked_in
from protocheck.ir.interp import deadlock as deadlocked_in
from protocheck.ir.sorts import ScalarSort, show_value
from protocheck.ir.system import (
    HELD_READ,
    HELD_WRITE,
    ITS_CPU,
    AcquireSite,
    Case,
    Lock,
    LockKind,
    System,
    Target,
    ThreadClass,
    Wait,
)
from protocheck.properties import standing
from protocheck.properties.standing import RW_KINDS, Someone, distinct, exclusive, holds, mode_word, someone
from protocheck.records import dataclass

if TYPE_CHECKING:
    import networkx as nx

ACYCLIC = "the lock graph has no cycle"
DEADLOCK_FREE = "the lock graph has no cycle, and threads wait for nothing but locks"

LONGEST_CYCLE = 6
"""Cycles through more locks than this are not listed (a note says so)."""

MOST_CYCLES = 40
"""More cycles than this are not listed (a note says so)."""

MOST_COMBINATIONS = 24
"""Ways to fill one cycle with thread classes; beyond, it is undecided (a note says so)."""

MOST_INSTANCES = 4
"""Cycles over more instances of one lock array than this are left to the deadlock check (a note says so)."""

MOST_PAIRS = 64
"""Ordered pairs of instances asked for one by one; a larger lock array is treated as if any order occurred."""


# --------------------------------------------------------------------------------------------------------------------
# The plan


@dataclass(frozen=True)
class Way:
    """Threads of one class go from node ``source`` to node ``target``: they hold the one and want the other.

    ``waits`` (positions in ``System.waits``) instead of ``sites`` where what is wanted is not a lock to be taken.
    ``modes`` are the questions per (held mode, wanted mode).
    """

    source: int
    target: int
    thread: ThreadClass
    sites: tuple[AcquireSite, ...]
    waits: tuple[int, ...]
    edges: tuple[tuple[LockEdge, int], ...]  # with the question that decides it


@dataclass(frozen=True)
class Gate:
    """A lock that might keep the threads of a cycle apart: per position two questions, and its kind.

    ``loose[i]`` is a state with the thread at its position without holding the lock exclusively, ``without[i]``
    without holding it at all.
    """

    lock: str
    loose: tuple[int, ...]
    without: tuple[int, ...]


@dataclass(frozen=True)
class Combination:
    """One way to fill a cycle with thread classes. ``enough``: the instance has that many threads of each class.

    ``for_ever`` is the question for a cycle with a wait in it, which others may end: closed, and whoever could end it
    is blocked, too. Every deadlock with this cycle in it is such a state.
    """

    ways: tuple[Way, ...]
    enough: bool
    closed: int  # question: all blocked at once
    together: int  # question: all there at once
    gates: tuple[Gate, ...]
    for_ever: int | None = None


@dataclass(frozen=True)
class Cycle:
    """A cycle of the static graph. ``among``: over instances of one class, with the ``pairs`` questions (see there)."""

    nodes: tuple[int, ...]
    combinations: tuple[Combination, ...]
    among: bool = False


@dataclass(frozen=True)
class Recursion:
    """Threads of a class want an instance that they hold. ``stuck`` is asked where only a queued writer closes it."""

    lock: str
    edge: LockEdge
    again: int
    stuck: int | None


@dataclass(frozen=True)
class Nested:
    """Threads take two instances of one class. ``pairs`` are the questions (first, second, question), per instance.

    ``symmetric``: instances are interchangeable, so a pair occurs in both orders or not at all. ``against`` are the
    questions about what the class declares, each with what it means: a descending pair, a pair without an outer lock.
    """

    lock: str
    ways: tuple[Way, ...]
    pairs: tuple[tuple[int, int, int], ...]
    symmetric: bool
    against: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Plan:
    """What has to be asked of an engine, and what the answers will mean.

    ``targets[i]`` is question ``i``; ``decisive`` are those on which the outcome depends (empty if the static graph
    has no cycle): the others only provide witnesses. ``deadlock_free``: the graph has no cycle and, but for idle waits
    with no lock held, threads only wait for locks; so in any set of threads that wait for one another one could follow
    the chain of holders for ever, which no finite set allows.
    """

    system: System
    nodes: tuple[LockNode, ...]
    ways: tuple[Way, ...]
    cycles: tuple[Cycle, ...]
    recursions: tuple[Recursion, ...]
    nested: tuple[Nested, ...]
    targets: tuple[Target, ...]
    decisive: tuple[int, ...]
    acyclic: bool
    deadlock_free: bool
    notes: tuple[str, ...]
    cut: bool  # whether some cycle was not looked at; a note says which
    unordered: bool  # whether a declared order of instances was not looked at

    @property
    def any_size(self) -> tuple[str, ...]:
        """The scalarsets of which a static argument holds for any number: a lone member may hide code of several."""
        return tuple(s.name for s in self.system.scalarsets if len(s.members) - s.named >= 2)


def plan(system: System) -> Plan:
    """Build the static graph of ``system`` and the questions about it."""
    return _Planner(system).plan()


@dataclass
class _Planner:
    """Collects questions; each distinct target is asked once."""

    system: System
    questions: dict[Target, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cut: bool = False
    unordered: bool = False

    def _cut(self, note: str) -> None:
        """Some cycles are not looked at: ``note`` says which."""
        self.notes.append(note)
        self.cut = True

    def plan(self) -> Plan:
        system = self.system
        # NOTE(busy-locks-order-nothing): nobody waits for a busy lock, so it closes no cycle and is no node.
        waited = [lock for lock in system.locks if lock.kind is not LockKind.BUSY]
        self.locks = {lock.name: lock for lock in waited}
        self.number = {lock.name: i for i, lock in enumerate(waited)}
        self.threads = {t.name: t for t in system.threads}
        self.count = {t.name: standing.how_many(system, t) for t in system.threads}
        self.nodes = [LockNode(k.name, k.kind.value, len(standing.lock_instances(k.index))) for k in waited]
        self.sync: dict[int, int] = {}  # wait -> node, for synchronize
        self.waiting: dict[int, int] = {}  # wait -> node, for other waits under a lock
        self.held_at_wait: dict[int, tuple[tuple[str, str], ...]] = {}
        self._find_waits()
        ways = [*self._lock_ways(), *self._ways_into_waits(), *self._ways_out_of_waits()]
        recursions = tuple(self._recursions())
        nested = tuple(self._nested())
        cycles = [*self._cycles(ways), *(c for n in nested for c in self._instance_cycles(n))]
        everything = [*ways, *(w for n in nested for w in n.ways)]
        against = _order_closure(system)
        acyclic = not cycles and not recursions and not nested and not self.notes
        decisive: dict[int, None] = {}
        for cycle in cycles:
            for c in cycle.combinations:
                decisive.update(dict.fromkeys((c.closed, c.together)))
                if c.for_ever is not None:
                    decisive[c.for_ever] = None
                decisive.update((q, None) for g in c.gates for q in (*g.loose, *g.without))
                decisive.update((q, None) for w in c.ways for _, q in w.edges)
        for r in recursions:
            decisive[r.again] = None
            if r.stuck is not None:
                decisive[r.stuck] = None
        for n in nested:
            decisive.update((q, None) for _, _, q in n.pairs)
            decisive.update((q, None) for q, _ in n.against)
        for way in everything:
            for edge, question in way.edges:
                if (edge.wanted, edge.held) in against:
                    decisive[question] = None
        return Plan(
            system,
            tuple(self.nodes),
            tuple(everything),
            tuple(cycles),
            recursions,
            nested,
            tuple(self.questions),
            tuple(decisive),
            acyclic,
            acyclic and self._waits_for_locks_alone(),
            tuple(self.notes),
            self.cut,
            self.unordered,
        )

    def _waits_for_locks_alone(self) -> bool:
        return all(
            self.number.get(wait.lock or "") is not None or (wait.idle == TRUE and not self.held_at_wait[k])
            for k, wait in enumerate(self.system.waits)
        )

    def ask(self, *cases: Case) -> int:
        """The number of the question whether any of ``cases`` is reachable."""
        kept = tuple(c for c in cases if c.cond != FALSE)
        return self.questions.setdefault(Target(kept), len(self.questions))

    # Nodes and edges

    def _find_waits(self) -> None:
        """Give a node to each wait that may happen with a lock held; idle ones never close a cycle."""
        held = {t.name: standing.may_hold(self.system, t) for t in self.system.threads}
        by_name: dict[str, int] = {}
        for k, wait in enumerate(self.system.waits):
            lock = self.locks.get(wait.lock) if wait.lock is not None else None
            if lock is not None and lock.kind is not LockKind.SRCU:
                continue
            at = standing.wait_locations(self.system, wait) or tuple(held[wait.thread])
            pairs = tuple(dict.fromkeys(p for location in at for p in held[wait.thread].get(location, ())))
            self.held_at_wait[k] = pairs
            if wait.idle == TRUE:
                continue
            if lock is not None:
                self.sync[k] = self.number[lock.name]
            elif pairs:
                name = wait.what if len(wait.what.split()) > 1 else f"{wait.what or 'wait'} of {wait.thread}"
                if name not in by_name:
                    by_name[name] = len(self.nodes)
                    self.nodes.append(LockNode(name, "wait", 1, True))
                self.waiting[k] = by_name[name]

    def _blocking(self, thread: str) -> list[AcquireSite]:
        return [
            s
            for s in self.system.acquires
            if s.thread == thread
            and s.blocking
            and self.locks[s.lock].kind not in (LockKind.SRCU, LockKind.FLAG)
        ]

    def _lock_ways(self) -> Iterator[Way]:
        """From a held lock to a wanted lock of another class."""
        for thread in self.system.threads:
            groups: dict[tuple[str, str], dict[tuple[str, str], list[AcquireSite]]] = {}
            for site in self._blocking(thread.name):
                for held, held_mode in site.may_hold:
                    if held != site.lock and held in self.locks:
                        pair = groups.setdefault((held, site.lock), {})
                        pair.setdefault((mode_word(held_mode), mode_word(site.mode)), []).append(site)
            for (held, wanted), modes in groups.items():
                edges = []
                for (held_mode, wanted_mode), sites in modes.items():
                    who = someone(thread, "t")
                    outer, inner = self._instances(held, "a"), self._instances(wanted, "b")
                    cond = and_(
                        who.there,
                        exists(outer, holds(self.locks[held], who, outer, held_mode)),
                        exists(
                            inner, standing.stands_before(self.system, self.locks[wanted], sites, who, inner)
                        ),
                    )
                    edge = self._edge(held, held_mode, wanted, wanted_mode, thread, sites)
                    edges.append((edge, self.ask(Case(who.args, cond))))
                every = tuple(dict.fromkeys(s for sites in modes.values() for s in sites))
                yield Way(self.number[held], self.number[wanted], thread, every, (), tuple(edges))

    def _ways_into_waits(self) -> Iterator[Way]:
        """From a held lock to a wait, or to the synchronize of an SRCU domain."""
        groups: dict[tuple[str, int, str], list[int]] = {}
        for k, node in (*self.sync.items(), *self.waiting.items()):
            for held in dict.fromkeys(name for name, _ in self.held_at_wait[k]):
                if held in self.locks and self.number[held] != node:
                    groups.setdefault((held, node, self.system.waits[k].thread), []).append(k)
        for (held, node, name), waits in groups.items():
            thread = self.threads[name]
            who = someone(thread, "t")
            outer = self._instances(held, "a")
            edges = []
            modes = dict.fromkeys(mode_word(m) for k in waits for lock, m in self.held_at_wait[k] if lock == held)
            for mode in modes:
                here = or_(*(standing.stands_at(self.system, self.system.waits[k], who) for k in waits))
                cond = and_(who.there, here, exists(outer, holds(self.locks[held], who, outer, mode)))
                wanted_mode = "synchronize" if not self.nodes[node].is_wait else ""
                edge = LockEdge(
                    held,
                    self._shown(held, mode),
                    self.nodes[node].name,
                    wanted_mode,
                    name,
                    EdgeStatus.STATIC,
                    origin=self.system.waits[waits[0]].origin,
                )
                edges.append((edge, self.ask(Case(who.args, cond))))
            yield Way(self.number[held], node, thread, (), tuple(waits), tuple(edges))

    def _ways_out_of_waits(self) -> Iterator[Way]:
        """From a wait to what the threads that could end it want themselves."""
        for node in dict.fromkeys(self.waiting.values()):
            waits = [k for k, n in self.waiting.items() if n == node]
            helpers = dict.fromkeys(edge.thread for k in waits for edge in self.system.waits[k].on)
            for name in helpers:
                thread = self.threads[name]
                for lock in dict.fromkeys(s.lock for s in self._blocking(name)):
                    sites = tuple(s for s in self._blocking(name) if s.lock == lock)
                    cases = []
                    for k in waits:
                        waiter = someone(self.threads[self.system.waits[k].thread], "t")
                        helper = someone(thread, "u")
                        index = self._instances(lock, "b")
                        wants = standing.stands_before(self.system, self.locks[lock], sites, helper, index)
                        wait = self.system.waits[k]
                        cond = and_(
                            waiter.there,
                            standing.blocked(wait, waiter),
                            exists(
                                helper.args,
                                and_(helper.there, standing.waits_on(wait, waiter, helper), exists(index, wants)),
                            ),
                        )
                        cases.append(Case(waiter.args, cond))
                    mode = mode_word(sites[0].mode)
                    edge = self._edge(self.nodes[node].name, "", lock, mode, thread, sites)
                    yield Way(
                        node, self.number[lock], thread, sites, (), ((edge, self.ask(*cases)),)
                    )
                for k2, target in self.waiting.items():
                    if self.system.waits[k2].thread == name and target != node:
                        edge = LockEdge(
                            self.nodes[node].name, "", self.nodes[target].name, "", name, EdgeStatus.STATIC
                        )
                        helper = someone(thread, "t")
                        cond = and_(helper.there, standing.blocked(self.system.waits[k2], helper))
                        yield Way(node, target, thread, (), (k2,), ((edge, self.ask(Case(helper.args, cond))),))

    def _edge(
        self,
        held: str,
        held_mode: str,
        wanted: str,
        wanted_mode: str,
        thread: ThreadClass,
        sites: Sequence[AcquireSite],
    ) -> LockEdge:
        return LockEdge(
            held,
            self._shown(held, held_mode),
            wanted,
            self._shown(wanted, wanted_mode),
            thread.name,
            EdgeStatus.STATIC,
            origin=sites[0].origin,
        )

    def _shown(self, lock: str, mode: str) -> str:
        """The mode as people read it: only locks that have two modes show one."""
        known = self.locks.get(lock)
        return mode if known is not None and (known.kind in RW_KINDS or known.kind is LockKind.SRCU) else ""

    def _instances(self, lock: str, tag: str) -> tuple[Param, ...]:
        return standing.instance_binders(self.locks[lock], tag)

    # One class

    def _recursions(self) -> Iterator[Recursion]:
        for thread in self.system.threads:
            groups: dict[tuple[str, str, str], list[AcquireSite]] = {}
            for site in self._blocking(thread.name):
                for held, held_mode in site.may_hold:
                    if held == site.lock:
                        key = (held, mode_word(held_mode), mode_word(site.mode))
                        groups.setdefault(key, []).append(site)
            for (name, held_mode, wanted_mode), sites in groups.items():
                lock = self.locks[name]
                who, index = someone(thread, "t"), self._instances(name, "a")
                has = holds(lock, who, index, held_mode)
                wants = standing.stands_before(self.system, lock, sites, who, index)
                again = self.ask(Case(who.args, and_(who.there, exists(index, and_(has, wants)))))
                stuck = None
                if lock.kind in RW_KINDS and not exclusive(held_mode) and not exclusive(wanted_mode):
                    waits = standing.waits_for(self.system, lock, sites, who, index)
                    stuck = self.ask(Case(who.args, and_(who.there, exists(index, and_(has, waits)))))
                edge = replace(self._edge(name, held_mode, name, wanted_mode, thread, sites), same=True)
                yield Recursion(name, edge, again, stuck)
        for k, node in self.sync.items():
            wait = self.system.waits[k]
            name = self.nodes[node].name
            if name not in {lock for lock, _ in self.held_at_wait[k]}:
                continue
            thread = self.threads[wait.thread]
            who, index = someone(thread, "t"), self._instances(name, "a")
            cond = and_(
                who.there, standing.blocked(wait, who), standing.waits_on(wait, who, who),
                exists(index, holds(self.locks[name], who, index)),
            )
            edge = LockEdge(
                name, "read", name, "synchronize", thread.name, EdgeStatus.STATIC, same=True, origin=wait.origin
            )
            yield Recursion(name, edge, self.ask(Case(who.args, cond)), None)

    def _nested(self) -> Iterator[Nested]:
        for lock in self.locks.values():
            instances = standing.lock_instances(lock.index)
            if len(instances) < 2:
                continue
            ways: list[Way] = []
            for thread in self.system.threads:
                groups: dict[tuple[str, str], list[AcquireSite]] = {}
                for site in self._blocking(thread.name):
                    for held, held_mode in site.may_hold:
                        if held == site.lock == lock.name:
                            groups.setdefault((mode_word(held_mode), mode_word(site.mode)), []).append(site)
                edges = []
                for (held_mode, wanted_mode), sites in groups.items():
                    who = someone(thread, "t")
                    outer, inner = self._instances(lock.name, "a"), self._instances(lock.name, "b")
                    cond = and_(
                        _differ(outer, inner),
                        holds(lock, who, outer, held_mode),
                        standing.stands_before(self.system, lock, sites, who, inner),
                    )
                    question = self.ask(Case(who.args, and_(who.there, exists((*outer, *inner), cond))))
                    edges.append((self._edge(lock.name, held_mode, lock.name, wanted_mode, thread, sites), question))
                if edges:
                    every = tuple(dict.fromkeys(s for sites in groups.values() for s in sites))
                    me = self.number[lock.name]
                    ways.append(Way(me, me, thread, every, (), tuple(edges)))
            if not ways:
                continue
            symmetric = all(isinstance(s, ScalarSort) and s.named == 0 for s in lock.index)
            pairs: list[tuple[int, int, int]] = []
            if not symmetric and len(instances) * (len(instances) - 1) <= MOST_PAIRS:
                for a, b in product(range(len(instances)), repeat=2):
                    if a != b:
                        pairs.append((a, b, self.ask(*self._pair(lock, ways, instances[a], instances[b]))))
            yield Nested(lock.name, tuple(ways), tuple(pairs), symmetric, tuple(self._declared(lock, ways)))

    def _pair(
        self, lock: Lock, ways: Sequence[Way], first: tuple[int, ...], second: tuple[int, ...]
    ) -> Iterator[Case]:
        """Some thread holds instance ``first`` and wants instance ``second``."""
        a, b = [Lit(v) for v in first], [Lit(v) for v in second]
        for way in ways:
            who = someone(way.thread, "t")
            wants = standing.stands_before(self.system, lock, way.sites, who, b)
            yield Case(who.args, and_(who.there, holds(lock, who, a), wants))

    def _declared(self, lock: Lock, ways: Sequence[Way]) -> Iterator[tuple[int, str]]:
        """Two instances taken against what the class declares about them."""
        outer, inner = self._instances(lock.name, "a"), self._instances(lock.name, "b")
        if lock.order_field:
            place = _field_position(lock)
            if place is None:
                self.unordered = True
                self.notes.append(f"the order of {lock.name} by {lock.order_field} was not checked: no such index")
            else:
                unordered = not_(Apply(Op.LT, (outer[place], inner[place])))
                text = f"two instances of {lock.name} are taken, and not in ascending order of {lock.order_field}"
                yield self._taken_while(lock, ways, lambda _: unordered), text
        if lock.nest_under:
            text = f"two instances of {lock.name} are taken without {lock.nest_under}, under which they nest"
            yield self._taken_while(lock, ways, lambda who: not_(self._holds_any(lock.nest_under, who))), text

    def _holds_any(self, name: str, who: Someone) -> Expr:
        """``who`` holds an instance of the lock; where nobody takes it, it is no part of the system."""
        lock = self.locks.get(name)
        if lock is None:
            return FALSE
        index = self._instances(name, "g")
        return exists(index, holds(lock, who, index))

    def _taken_while(self, lock: Lock, ways: Sequence[Way], wrong: Callable[[Someone], Expr]) -> int:
        """Some thread holds instance ``a`` of ``lock``, wants another one, ``b``, and is ``wrong`` in that."""
        cases = []
        for way in ways:
            who = someone(way.thread, "t")
            outer, inner = self._instances(lock.name, "a"), self._instances(lock.name, "b")
            cond = and_(
                _differ(outer, inner),
                wrong(who),
                holds(lock, who, outer),
                standing.stands_before(self.system, lock, way.sites, who, inner),
            )
            cases.append(Case(who.args, and_(who.there, exists((*outer, *inner), cond))))
        return self.ask(*cases)

    # Cycles

    def _cycles(self, ways: Sequence[Way]) -> Iterator[Cycle]:
        """The simple cycles of the graph over classes, shortest first."""
        if not _circular(dict.fromkeys((w.source, w.target) for w in ways)):
            return
        import networkx as nx  # here and below: it takes as long to load as a small model to check

        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(self.nodes)))
        graph.add_edges_from(dict.fromkeys((w.source, w.target) for w in ways))
        between: dict[tuple[int, int], list[Way]] = {}
        for way in ways:
            between.setdefault((way.source, way.target), []).append(way)
        if any(len(part) > LONGEST_CYCLE for part in nx.strongly_connected_components(graph)):
            self._cut(f"cycles through more than {LONGEST_CYCLE} locks were not listed")
        found = [
            tuple(_rotated(cycle))
            for cycle in islice(nx.simple_cycles(graph, length_bound=LONGEST_CYCLE), MOST_CYCLES + 1)
        ]
        if len(found) > MOST_CYCLES:
            self._cut(f"only {MOST_CYCLES} cycles were listed; there are more")
        for nodes in sorted(found[:MOST_CYCLES], key=lambda c: (len(c), c)):
            if all(self.nodes[n].is_wait for n in nodes):
                continue  # no lock is part of it: the deadlock check is about those
            choices = [between[a, b] for a, b in zip(nodes, (*nodes[1:], nodes[0]), strict=True)]
            yield Cycle(nodes, tuple(self._combinations(choices)))

    def _instance_cycles(self, nested: Nested) -> Iterator[Cycle]:
        """Cycles over 2, 3, ... different instances of one class."""
        most = min(self.nodes[self.number[nested.lock]].instances, sum(self.count[w.thread.name] for w in nested.ways))
        lengths: Sequence[int] = range(2, min(most, MOST_INSTANCES) + 1)
        if most > MOST_INSTANCES:
            self._cut(
                f"cycles over more than {MOST_INSTANCES} instances of {nested.lock} were left to the deadlock check"
            )
        for length in lengths:
            combos = tuple(self._combinations([nested.ways] * length))
            if any(c.enough for c in combos):
                yield Cycle((self.number[nested.lock],) * length, combos, among=True)

    def _combinations(self, choices: Sequence[Sequence[Way]]) -> Iterator[Combination]:
        total = 1
        for options in choices:
            total *= len(options)
        if total > MOST_COMBINATIONS:
            self._cut(f"only {MOST_COMBINATIONS} of {total} combinations of threads were examined for a cycle")
        for ways in islice(product(*choices), MOST_COMBINATIONS):
            names = [w.thread.name for w in ways]
            enough = all(self.count[n] >= names.count(n) for n in dict.fromkeys(names))
            closed = self.ask(Case((), self._chain(ways, True) if enough else FALSE))
            together = self.ask(Case((), self._chain(ways, False) if enough else FALSE))
            gates = tuple(self._gates(ways)) if enough else ()
            waits = enough and any(way.waits for way in ways)
            for_ever = self.ask(Case((), self._chain(ways, True, for_ever=True))) if waits else None
            yield Combination(ways, enough, closed, together, gates, for_ever)

    def _chain(self, ways: Sequence[Way], closed: bool, for_ever: bool = False) -> Expr:
        """Different threads, each holding its lock and ``closed``: blocked on the next one; else standing before it.

        ``for_ever``: nobody who could end one of its waits can move, either.
        """
        who = [someone(w.thread, f"t{i}") for i, w in enumerate(ways)]
        size = len(ways)

        def index_of(i: int) -> tuple[Param, ...]:
            node = self.nodes[ways[i].source]
            return () if node.is_wait else self._instances(node.name, f"i{i}")

        def has(i: int) -> Expr:
            node = self.nodes[ways[i].source]
            return TRUE if node.is_wait else holds(self.locks[node.name], who[i], index_of(i))

        def others(i: int, before: Sequence[int]) -> Expr:
            same = [j for j in before if ways[j].source == ways[i].source]
            return and_(*(_differ(index_of(i), index_of(j)) for j in same))

        def step(i: int) -> Expr:
            then = (i + 1) % size
            last = then == 0
            bound = range(1, i + 1)
            rest = TRUE if last else step(then)
            apart = TRUE if last else and_(*(distinct(who[then], who[j]) for j in range(then)))
            there = TRUE if last else who[then].there
            people = () if last else who[then].args
            if ways[i].waits:
                link = self._link(ways[i], who[i], who[then], closed)
                if for_ever:
                    link = and_(link, *(self._helpless(self.system.waits[k], who[i]) for k in ways[i].waits))
                holding = exists(index_of(then), has(then))
                return exists(people, and_(there, apart, link, holding, rest))
            node = self.nodes[ways[i].target]
            ask = standing.waits_for if closed else standing.stands_before
            wants = ask(self.system, self.locks[node.name], ways[i].sites, who[i], index_of(then))
            inner = exists(people, and_(there, apart, has(then), rest))
            return exists(index_of(then), and_(others(then, bound), wants, inner))

        return exists(who[0].args, and_(who[0].there, step(0)))

    def _link(self, way: Way, waiter: Someone, other: Someone, closed: bool) -> Expr:
        waits = [self.system.waits[k] for k in way.waits]
        if closed:
            return or_(
                *(and_(standing.blocked(w, waiter), standing.waits_on(w, waiter, other)) for w in waits)
            )
        # NOTE(in-the-way): who wants its CPU stands nowhere in particular; without the other, it would just move.
        return or_(
            *(
                standing.waits_on(w, waiter, other) if w.what == ITS_CPU else standing.stands_at(self.system, w, waiter)
                for w in waits
            )
        )

    def _helpless(self, wait: Wait, waiter: Someone) -> Expr:
        """If ``waiter`` is blocked in ``wait``, so are those whom it waits for."""
        parts = []
        for n, name in enumerate(dict.fromkeys(edge.thread for edge in wait.on)):
            other = someone(self.threads[name], f"h{n}")
            waits = [w for w in self.system.waits if w.thread == name]
            stuck = or_(*(standing.blocked(w, other) for w in waits))
            on = and_(other.there, standing.waits_on(wait, waiter, other))
            parts.append(forall(other.args, implies(on, stuck)))
        return implies(standing.blocked(wait, waiter), and_(*parts))

    def _gates(self, ways: Sequence[Way]) -> Iterator[Gate]:
        """Locks that could be held at two or more positions of the cycle, other than its own."""
        inside = {w.source for w in ways} | {w.target for w in ways}
        for lock in self.locks.values():
            if self.number[lock.name] in inside or len(standing.lock_instances(lock.index)) != 1:
                continue
            if lock.kind is LockKind.SRCU or sum(self._could_hold(w, lock.name) for w in ways) < 2:
                continue
            loose, without = [], []
            for way in ways:
                who, g = someone(way.thread, "t"), self._instances(lock.name, "g")
                place = self._position(way, who)
                free = not_(exists(g, holds(lock, who, g)))
                weak = not_(exists(g, holds(lock, who, g, standing.WRITE)))
                loose.append(self.ask(Case(who.args, and_(who.there, place, weak))))
                without.append(self.ask(Case(who.args, and_(who.there, place, free))))
            yield Gate(lock.name, tuple(loose), tuple(without))

    def _could_hold(self, way: Way, lock: str) -> bool:
        if way.waits:
            return any(lock == name for k in way.waits for name, _ in self.held_at_wait[k])
        return any(lock == name for s in way.sites for name, _ in s.may_hold)

    def _position(self, way: Way, who: Someone) -> Expr:
        """``who`` holds the source of ``way`` and stands before its target."""
        source, target = self.nodes[way.source], self.nodes[way.target]
        outer = () if source.is_wait else self._instances(source.name, "a")
        has = TRUE if source.is_wait else holds(self.locks[source.name], who, outer)
        if way.waits:
            here = or_(*(standing.stands_at(self.system, self.system.waits[k], who) for k in way.waits))
            return and_(exists(outer, has), here)
        inner = self._instances(target.name, "b")
        wants = standing.stands_before(self.system, self.locks[target.name], way.sites, who, inner)
        if way.source == way.target:
            return exists((*outer, *inner), and_(_differ(outer, inner), has, wants))
        return and_(exists(outer, has), exists(inner, wants))


def _differ(a: Sequence[Param], b: Sequence[Param]) -> Expr:
    return or_(*(ne(x, y) for x, y in zip(a, b, strict=True)))


def _rotated(cycle: Sequence[int]) -> list[int]:
    first = cycle.index(min(cycle))
    return [*cycle[first:], *cycle[:first]]


def _field_position(lock: Lock) -> int | None:
    """Which index of ``lock`` its declared order is about: the one of that name, else the only one with an order."""
    for entry in lock.held:
        for place, param in enumerate(entry.index):
            if param.name == lock.order_field:
                return place
    ordered = [place for place, sort in enumerate(lock.index) if not isinstance(sort, ScalarSort)]
    return ordered[0] if len(ordered) == 1 else None


def _order_closure(system: System) -> frozenset[tuple[str, str]]:
    """All (outer, inner) pairs that follow from the declared order."""
    following: dict[str, list[str]] = {}
    for outer, inner in system.lock_order:
        following.setdefault(outer, []).append(inner)
    pairs: set[tuple[str, str]] = set()
    for outer in following:
        todo = list(following[outer])
        while todo:
            inner = todo.pop()
            if (outer, inner) not in pairs:
                pairs.add((outer, inner))
                todo.extend(following.get(inner, ()))
    return frozenset(pairs)


def _circular(edges: Iterable[tuple[int, int]]) -> bool:
    """Whether some edges form a cycle."""
    before: dict[int, list[int]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
    try:
        TopologicalSorter(before).prepare()
    except CycleError:
        return True
    return False


# --------------------------------------------------------------------------------------------------------------------
# The conclusion


def conclude(
    plan: Plan,
    verdicts: Sequence[Verdict | None],
    evidence: Sequence[Evidence | None],
    deadlock: Evidence | None = None,
    no_deadlock: bool = False,
) -> LockGraph:
    """The graph with its findings, from one verdict per target of ``plan`` (None: not asked).

    ``evidence[i]`` is the replayed run where ``verdicts[i]`` is Reached. ``deadlock`` is a replayed run into a
    deadlock: if locks alone close it and no finding tells it yet (it passes one class twice, say), it is added.
    ``no_deadlock``: that there is none is known.
    """
    return _Conclusion(plan, verdicts, evidence, no_deadlock).graph(deadlock)


def outcome(
    plan: Plan, graph: LockGraph, verdicts: Sequence[Verdict | None], no_deadlock: Certificate | None = None
) -> Outcome:
    """What the graph says about the family ``lock_order``.

    If not all cycles were looked at, it is unknown, unless ``no_deadlock`` proves that none of them ever closes.
    """
    bad = [f.outcome for f in graph.findings if f.violation and isinstance(f.outcome, Violated)]
    if bad:
        return min(bad, key=lambda v: (v.steps, not v.shortest))
    open_ = [f.outcome for f in graph.findings if f.kind is LockFindingKind.OPEN]
    if open_:
        unknown = [o for o in open_ if isinstance(o, UnknownOutcome)]
        bounded = [o for o in open_ if isinstance(o, HoldsToDepth)]
        return unknown[0] if unknown or not bounded else min(bounded, key=lambda o: o.depth)
    if graph.acyclic:
        return Holds(Structural(ACYCLIC), plan.any_size)
    if plan.unordered or (plan.cut and no_deadlock is None):
        return UnknownOutcome(Limit.CYCLES, "; ".join(plan.notes))
    return Holds(_certificate(plan, verdicts) if no_deadlock is None or not plan.cut else no_deadlock)


def _certificate(plan: Plan, verdicts: Sequence[Verdict | None]) -> Certificate:
    for question in plan.decisive:
        verdict = verdicts[question]
        if isinstance(verdict, Unreachable) and plan.targets[question].cases:
            return verdict.by
    return Structural("no cycle of the lock graph can be filled with the threads of this instance")


@dataclass(frozen=True)
class _Conclusion:
    plan: Plan
    verdicts: Sequence[Verdict | None]
    evidence: Sequence[Evidence | None]
    free: bool = False

    def graph(self, deadlock: Evidence | None) -> LockGraph:
        edges = [self._edge(e, q) for w in self.plan.ways for e, q in w.edges]
        edges += [self._edge(r.edge, r.again) for r in self.plan.recursions]
        findings: list[LockFinding] = []
        skip: dict[int, int] = {}  # lock -> length of the shortest cycle over its instances that was reported
        for cycle in self.plan.cycles:
            if cycle.among and skip.get(cycle.nodes[0], 99) < len(cycle.nodes):
                continue
            if cycle.among and not self._opposite(cycle):
                continue
            found = self._cycle(cycle, deadlock)
            if found is not None:
                findings.append(found)
                if cycle.among:
                    skip.setdefault(cycle.nodes[0], len(cycle.nodes))
        findings += [f for r in self.plan.recursions if (f := self._recursion(r)) is not None]
        findings += self._against()
        if deadlock is not None:
            more = list(self._from_deadlock(deadlock, findings))
            decided = [{*f.locks} for f in more]
            findings = [f for f in findings if f.kind is not LockFindingKind.OPEN or {*f.locks} not in decided] + more
        notes = [*self.plan.notes, *self._ordered_instances(findings)]
        return LockGraph(self.plan.nodes, tuple(edges), tuple(findings), self.plan.acyclic, tuple(notes))

    def _edge(self, edge: LockEdge, question: int) -> LockEdge:
        match self.verdicts[question]:
            case Reached(run, _):
                return replace(
                    edge,
                    status=EdgeStatus.REACHABLE,
                    steps=len(run.moves),
                    evidence=self.evidence[question],
                )
            case Unreachable():
                return replace(edge, status=EdgeStatus.UNREACHABLE)
            case NotReachedWithin(depth):
                return replace(edge, status=EdgeStatus.UNKNOWN, detail=f"not reached up to depth {depth:,}")
            case Unknown(limit, detail, _):
                words = limit.value + (f" ({detail})" if detail else "")
                return replace(edge, status=EdgeStatus.UNKNOWN, detail=words)
            case None:
                return edge

    def _status(self, way: Way) -> EdgeStatus:
        states = [self._edge(e, q).status for e, q in way.edges]
        for status in (EdgeStatus.REACHABLE, EdgeStatus.UNKNOWN, EdgeStatus.STATIC):
            if status in states:
                return status
        return EdgeStatus.UNREACHABLE

    def _open(self, questions: Sequence[int]) -> Outcome | None:
        """What to say if one of ``questions`` has no definite answer."""
        depths: list[int] = []
        for q in questions:
            match self.verdicts[q]:
                case Reached() | Unreachable():
                    pass
                case NotReachedWithin(depth):
                    depths.append(depth)
                case Unknown(limit, detail, depth):
                    return UnknownOutcome(limit, detail, depth)
                case None:
                    depths.append(0)
        return HoldsToDepth(min(depths)) if depths else None

    def _violated(self, question: int) -> Violated | None:
        verdict = self.verdicts[question]
        return Violated(len(verdict.run.moves), verdict.shortest) if isinstance(verdict, Reached) else None

    # Cycles

    def _names(self, cycle: Cycle) -> tuple[str, ...]:
        if cycle.among:
            name = self.plan.nodes[cycle.nodes[0]].name
            return tuple(f"{name}[{letter}]" for letter in "ijkl"[: len(cycle.nodes)])
        return tuple(self.plan.nodes[n].name for n in cycle.nodes)

    def _cycle(self, cycle: Cycle, deadlock: Evidence | None) -> LockFinding | None:
        live = [c for c in cycle.combinations if all(self._status(w) is not EdgeStatus.UNREACHABLE for w in c.ways)]
        if not live:
            return None
        names = self._names(cycle)
        edges = tuple(
            dict.fromkeys(
                edge
                for c in live
                for w in c.ways
                for edge in (self._edge(e, q) for e, q in w.edges)
                if edge.status is not EdgeStatus.UNREACHABLE
            )
        )
        ends = [end for c in live if (end := self._end(c, deadlock)) is not None]
        if ends:
            _, combo, verdict, proof = min(ends, key=lambda end: end[0])
            kept = tuple(e for e in edges if any(e.thread == w.thread.name for w in combo.ways))
            text = self._deadlock_text(proof, cycle) if proof is not None else ""
            return LockFinding(LockFindingKind.CYCLE, names, kept, text, verdict, evidence=proof)
        closed = [c for c in live if self._violated(c.closed) is not None]
        if closed:
            proof = self.evidence[closed[0].closed]
            unsure = self._escapes(live)
            if unsure is not None:
                text = "its threads wait at once; whether they ever do so for good was not decided"
                return LockFinding(LockFindingKind.OPEN, names, edges, text, unsure, evidence=proof)
            text = "its threads wait at once, but one of the waits can be ended by a thread that is not in the cycle"
            certificate = self._certificate([q for c in live for q in (c.closed, c.for_ever) if q is not None])
            return LockFinding(LockFindingKind.UNREALISED, names, edges, text, Holds(certificate), evidence=proof)
        unsure = self._open([c.closed for c in live])
        if unsure is not None:
            text = "no run into this cycle was found, and none was excluded"
            return LockFinding(LockFindingKind.OPEN, names, edges, text, unsure)
        certificate = self._certificate([c.closed for c in live])
        able = [c for c in live if c.enough]
        if not able:
            return LockFinding(
                LockFindingKind.UNREALISED, names, edges, _one_thread(live[0]), Holds(certificate)
            )
        there = [c for c in able if isinstance(self.verdicts[c.together], Reached)]
        if there:
            text = self._compatible(there[0], cycle)
            proof = self.evidence[there[0].together]
            return LockFinding(
                LockFindingKind.UNREALISED, names, edges, text, Holds(certificate), evidence=proof
            )
        if self._open([c.together for c in able]) is not None:
            text = (
                "its threads are never all blocked in it, but whether they can stand before their locks at once was "
                "not decided"
            )
            return LockFinding(LockFindingKind.UNREALISED, names, edges, text, Holds(certificate))
        if any(self.plan.nodes[n].name == ITS_CPU for n in cycle.nodes):
            return None  # where they want the lock, nobody is in the way on that CPU: what masks are for
        gates, all_gated = self._keepers(able)
        if gates and all_gated:
            by = " and ".join(gates)
            text = f"{by} is held by every thread of the cycle where it happens, in modes that exclude one another"
            if len(gates) > 1:
                text = f"{by} are held where it happens, in modes that exclude one another"
        else:
            by = " and ".join((*gates, "a condition"))
            text = "its threads never hold these locks and want the next at once" + (
                "" if gates else "; no lock keeps them apart, so a flag, a condition or the order of events does"
            )
        return LockFinding(LockFindingKind.PREVENTED, names, edges, text, Holds(certificate), prevented_by=by)

    def _end(
        self, combo: Combination, deadlock: Evidence | None
    ) -> tuple[tuple[int, bool], Combination, Violated, Evidence | None] | None:
        """The run after which the threads of ``combo`` wait for one another for good, if there is one."""
        for question in (combo.closed, combo.for_ever):
            verdict = self._violated(question) if question is not None else None
            if question is None or verdict is None:
                continue
            proof = self.evidence[question]
            # Who waits for locks alone is helped by nobody; a wait for something else may be ended by others.
            if combo.for_ever is None or (proof is not None and self._stay(proof)):
                return (verdict.steps, not verdict.shortest), combo, verdict, proof
        if combo.for_ever is None or deadlock is None or not self._stay(deadlock):
            return None
        cases = self.plan.targets[combo.closed].cases
        if not any(evaluate(c.cond, deadlock.replayed.states[-1], {}) for c in cases):
            return None
        steps = len(deadlock.run.moves)
        return (steps, True), combo, Violated(steps, False), deadlock

    def _stay(self, proof: Evidence) -> bool:
        return bool(deadlocked_in(self.plan.system, proof.replayed.states[-1]))

    def _escapes(self, combos: Sequence[Combination]) -> Outcome | None:
        """None if no run makes the threads of one of ``combos`` wait for good; else what to say."""
        if self.free:
            return None
        for combo in combos:
            verdict = self.verdicts[combo.for_ever] if combo.for_ever is not None else None
            if isinstance(verdict, Reached):
                return UnknownOutcome(Limit.CYCLES, "who could end the waits waits, too")
        return self._open([q for c in combos for q in (c.closed, c.for_ever) if q is not None])

    def _certificate(self, questions: Sequence[int]) -> Certificate:
        for q in questions:
            verdict = self.verdicts[q]
            if isinstance(verdict, Unreachable) and self.plan.targets[q].cases:
                return verdict.by
        return Structural("this instance has too few threads for it")

    def _keepers(self, combos: Sequence[Combination]) -> tuple[tuple[str, ...], bool]:
        """Names of locks that keep two positions of a combination apart, and whether every combination has one."""
        names: dict[str, None] = {}
        everyone = True
        for combo in combos:
            gated = [g.lock for g in combo.gates if self._excludes(g)]
            everyone = everyone and bool(gated)
            names.update(dict.fromkeys(gated[:1]))
        return tuple(names), everyone

    def _excludes(self, gate: Gate) -> bool:
        """Two positions always hold it, at least one of them exclusively."""
        tight = [isinstance(self.verdicts[q], Unreachable) for q in gate.loose]
        held = [isinstance(self.verdicts[q], Unreachable) for q in gate.without]
        places = range(len(tight))
        return any((tight[a] and held[b]) or (held[a] and tight[b]) for a, b in combinations(places, 2))

    def _compatible(self, combo: Combination, cycle: Cycle) -> str:
        """Why nobody is blocked although everybody is there, and what would change that."""
        system = self.plan.system
        locks = {lock.name: lock for lock in system.locks}
        closers: list[str] = []
        unfair: list[str] = []
        for i, way in enumerate(combo.ways):
            node = self.plan.nodes[way.target]
            if node.is_wait or node.name not in locks or locks[node.name].kind not in RW_KINDS:
                continue
            following = combo.ways[(i + 1) % len(combo.ways)]
            wants = {e.wanted_mode for e, q in way.edges if self._edge(e, q).status is EdgeStatus.REACHABLE}
            has = {e.held_mode for e, q in following.edges if self._edge(e, q).status is EdgeStatus.REACHABLE}
            if "read" in wants and "read" in has:
                (closers if locks[node.name].fair else unfair).append(node.name)
        start = "its threads can hold these locks and want the next at once, but they never block one another"
        if closers:
            which = " or ".join(dict.fromkeys(closers))
            return f"{start}: {which} is only read on both sides; a writer queued for it would close the cycle"
        if unfair:
            which = " and ".join(dict.fromkeys(unfair))
            return f"{start}: {which} is only read on both sides, and its readers pass a queued writer"
        return f"{start} in this instance"

    def _deadlock_text(self, proof: Evidence, cycle: Cycle) -> str:
        """Who waits for whom in the last state of the run."""
        system = self.plan.system
        state = proof.replayed.states[-1]
        names = {self.plan.nodes[n].name for n in cycle.nodes}
        members = deadlocked_in(system, state) or blocked_in(system, state)
        about = [b for b in members if any({system.waits[k].lock, system.waits[k].what} & names for k in b.waits)]
        words = [w for b in about if (w := _waits_words(system, b))]
        words += self._queued_writers(state, names)
        return "; ".join(words)

    def _queued_writers(self, state: State, names: set[str]) -> list[str]:
        """Locks of the cycle that are held and wanted only for reading: a queued writer is what closes it."""
        words = []
        for lock in self.plan.system.locks:
            if lock.name not in names or lock.kind not in RW_KINDS:
                continue
            held = [m for m, _ in _users(self.plan.system, lock, state)]
            queue = [q for _, q in _users(self.plan.system, lock, state)]
            if HELD_READ in held and HELD_WRITE not in held and HELD_READ in queue and HELD_WRITE in queue:
                words.append(f"without the writer queued for {lock.name} its readers would not block one another")
        return words

    # Instances of one class

    def _opposite(self, cycle: Cycle) -> bool:
        """Whether instances are taken in orders that can form a cycle of this length at all."""
        nested = next(n for n in self.plan.nested if n.lock == self.plan.nodes[cycle.nodes[0]].name)
        if nested.symmetric or not nested.pairs:
            return True
        import networkx as nx

        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_edges_from(
            (a, b) for a, b, q in nested.pairs if not isinstance(self.verdicts[q], Unreachable)
        )
        size = len(cycle.nodes)
        return any(len(c) == size for c in islice(nx.simple_cycles(graph, length_bound=size), 10_000))

    def _ordered_instances(self, findings: Sequence[LockFinding]) -> Iterator[str]:
        told = {name.split("[")[0] for f in findings for name in f.locks}
        for nested in self.plan.nested:
            if nested.lock in told or not nested.pairs:
                continue
            if all(isinstance(self.verdicts[q], Reached | Unreachable) for _, _, q in nested.pairs):
                yield f"instances of {nested.lock} are only taken in one order"

    def _recursion(self, r: Recursion) -> LockFinding | None:
        edge = self._edge(r.edge, r.again)
        again, stuck = self.verdicts[r.again], self.verdicts[r.stuck] if r.stuck is not None else None
        if isinstance(again, Unreachable):
            return None
        question = r.again if r.stuck is None else r.stuck
        violated = self._violated(question)
        if violated is not None:
            what = "synchronizes" if edge.wanted_mode == "synchronize" else "wants"
            text = f"{edge.thread} {what} {r.lock} while it holds the same instance"
            if r.stuck is not None:
                text += " for reading, and a writer queued in between blocks it for ever"
            proof = self.evidence[question]
            return LockFinding(LockFindingKind.RECURSION, (r.lock,), (edge,), text, violated, evidence=proof)
        unsure = self._open([r.again] if r.stuck is None else [r.stuck])
        if unsure is not None:
            return LockFinding(
                LockFindingKind.OPEN, (r.lock,), (edge,), "whether a lock is taken twice was not decided", unsure
            )
        if isinstance(again, Reached) and isinstance(stuck, Unreachable):
            fair = next(k.fair for k in self.plan.system.locks if k.name == r.lock)
            text = f"{edge.thread} reads {r.lock} twice and is never blocked in it" + (
                "; a writer queued in between would close it" if fair else ", since readers pass a queued writer"
            )
            proof = self.evidence[r.again]
            return LockFinding(
                LockFindingKind.UNREALISED, (r.lock,), (edge,), text, Holds(stuck.by), evidence=proof
            )
        return None

    # Declared order

    def _against(self) -> Iterator[LockFinding]:
        declared = _order_closure(self.plan.system)
        groups: dict[tuple[str, str], list[tuple[LockEdge, int]]] = {}
        for way in self.plan.ways:
            for edge, question in way.edges:
                if edge.held != edge.wanted and (edge.wanted, edge.held) in declared:
                    groups.setdefault((edge.held, edge.wanted), []).append((edge, question))
        for (held, wanted), members in groups.items():
            text = f"the declared order is {wanted} before {held}"
            yield from self._against_one((held, wanted), members, [q for _, q in members], text)
        for nested in self.plan.nested:
            edges = [pair for w in nested.ways for pair in w.edges]
            for question, text in nested.against:
                yield from self._against_one((nested.lock, nested.lock), edges, [question], text)

    def _against_one(
        self, locks: tuple[str, str], members: Sequence[tuple[LockEdge, int]], questions: Sequence[int], text: str
    ) -> Iterator[LockFinding]:
        edges = tuple(e for e in (self._edge(e, q) for e, q in members) if e.status is not EdgeStatus.UNREACHABLE)
        reached = [(v.steps, q, v) for q in questions if (v := self._violated(q)) is not None]
        if reached:
            _, question, verdict = min(reached, key=lambda r: r[:2])
            yield LockFinding(
                LockFindingKind.AGAINST, locks, edges, text, verdict, evidence=self.evidence[question]
            )
            return
        unsure = self._open(questions)
        if unsure is not None:
            yield LockFinding(LockFindingKind.OPEN, locks, edges, f"{text}; not decided", unsure)

    # Deadlocks that no simple cycle of classes tells

    def _from_deadlock(self, proof: Evidence, findings: Sequence[LockFinding]) -> Iterator[LockFinding]:
        import networkx as nx

        system = self.plan.system
        members = {b.who: b for b in deadlocked_in(system, proof.replayed.states[-1])}
        graph: nx.DiGraph[int] = nx.DiGraph()
        people = list(members)
        number = {who: i for i, who in enumerate(people)}
        for who, b in members.items():
            if all(_lock_of(system, k) is not None for k in b.waits):
                graph.add_edges_from((number[who], number[o]) for o, _ in b.on if o in number)
        loops = sorted((_rotated(c) for c in islice(nx.simple_cycles(graph), 1_000)), key=lambda c: (len(c), c))
        if not loops:
            return
        told = [{name.split("[")[0] for name in f.locks} for f in findings if f.violation]
        wanted: list[str] = []
        for i in loops[0]:
            for k in members[people[i]].waits:
                name = _lock_of(system, k)
                if name is not None and name not in wanted:
                    wanted.append(name)
        for loop in loops:
            about = {n for i in loop for k in members[people[i]].waits if (n := _lock_of(system, k)) is not None}
            if any(t <= about for t in told):
                return
        kind = LockFindingKind.RECURSION if len(loops[0]) == 1 else LockFindingKind.CYCLE
        text = "; ".join(w for i in loops[0] if (w := _waits_words(system, members[people[i]])))
        steps = len(proof.run.moves)
        yield LockFinding(kind, tuple(wanted), (), text, Violated(steps, True), evidence=proof)


def _one_thread(combo: Combination) -> str:
    names = [w.thread.name for w in combo.ways]
    which = next(n for n in dict.fromkeys(names) if names.count(n) > 1)
    return f"one thread takes these locks in both orders; a second instance of {which} would close the cycle"


def _lock_of(system: System, wait: int) -> str | None:
    return system.waits[wait].lock


def instance_name(system: System, who: Instance) -> str:
    """A thread instance as people write it: ``vcpu[v0]``."""
    thread = next(t for t in system.threads if t.name == who.thread)
    parts = [show_value(p.sort, v) for p, v in zip(thread.params, who.values, strict=True)]
    return who.thread + (f"[{', '.join(parts)}]" if parts else "")


def _waits_words(system: System, b: Blocked) -> str:
    what = " and ".join(dict.fromkeys(system.waits[k].what or "something" for k in b.waits))
    because = ", ".join(f"{instance_name(system, other)} {why}".rstrip() for other, why in b.on)
    return f"{instance_name(system, b.who)} waits for {what}" + (f": {because}" if because else "")


def _users(system: System, lock: Lock, state: State) -> Iterator[tuple[int, int]]:
    """(held mode, queued mode) of every thread and instance that uses ``lock`` in ``state``."""
    for entry in lock.held:
        for values in standing.lock_instances([p.sort for p in (*entry.params, *entry.index)]):
            env: Mapping[str, int] = {
                p.name: v for p, v in zip((*entry.params, *entry.index), values, strict=True)
            }
            yield evaluate(entry.mode, state, env), evaluate(entry.queued, state, env)
