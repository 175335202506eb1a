"""Claims about endless runs: which runs are fair, and what a claim of progress, livelock or starvation looks for.

Fairness follows from the kind of a thread and from the code (section "Progress" of the language reference); what a step
leaves or repeats was noted while it was compiled (:class:`protocheck.lower.evaluate.Passed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocheck.ir.expr import FALSE, TRUE, Expr, Lit, Param, and_, eq, not_, or_, substitute
from protocheck.ir.sorts import EnumSort, low_of
from protocheck.ir.system import (
    Act,
    Case,
    FairKind,
    Fairness,
    ProgressTarget,
    StepSet,
    System,
    Target,
    ThreadClass,
    ThreadKind,
)
from protocheck.lower import nodes as ops
from protocheck.lower.evaluate import Names, Passed, Way
from protocheck.lower.nodes import Graph, Node
from protocheck.lower.released import released
from protocheck.lower.steps import END, Key, RawTransition
from protocheck.types.tree import ThreadDecl

Raws = Sequence[tuple[str, RawTransition]]
"""For each transition of a system the thread and the way through the code that it was made from."""


@dataclass(frozen=True)
class Compiled:
    """What this module needs to know of the threads: flow graphs and the numbers of their locations."""

    graphs: Mapping[str, Graph]
    number: Mapping[str, Mapping[Key, int]]
    at: Callable[[str, Sequence[int], tuple[Expr, ...]], Expr]  # class, locations, instance: it stands at one of them
    running: Expr
    names: Names


# --------------------------------------------------------------------------------------------------------------------
# Fairness


def fairness(system: System, raws: Raws, compiled: Compiled) -> tuple[Fairness, ...]:
    """What the runs of ``system`` owe: threads go on, locks are granted, and what is written ``fair`` is.

    Failures and signals need not come: a thread that only one of them could move may stand for ever.
    """
    found: list[Fairness] = []
    for thread in system.threads:
        mine = [
            n
            for n, tr in enumerate(system.transitions)
            if tr.thread == thread.name and not any(p.what is Way.UNOWED for p in raws[n][1].path.passed)
        ]
        if not mine:
            continue
        may_rest = thread.kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY)
        rest = thread.done if may_rest else FALSE
        goes_on = f"`{thread.name}` " + ("finishes what it has begun" if may_rest else "goes on when it can")
        found.append(Fairness(FairKind.WEAK, goes_on, thread.name, thread.params, tuple(mine), rest))
        declared = compiled.graphs[thread.name].thread
        free = [n for n in mine if not raws[n][1].path.blocking]
        if declared is not None and declared.cpu is not None and free and _loses_its_cpu(declared, compiled.graphs):
            # Of steps that nothing can block, only the CPU can keep the thread.
            name = f"`{thread.name}` gets its CPU when that is free for it again and again"
            found.append(Fairness(FairKind.STRONG, name, thread.name, thread.params, tuple(free), rest))
        nodes = compiled.graphs[thread.name].nodes
        granted = [n for n in mine if isinstance(raws[n][1].action.op, ops.Take) and _takes(system, n)]
        if granted:
            name = f"`{thread.name}` gets each lock that becomes free for it again and again"
            free_of = released(granted, mine, raws, nodes, thread)
            found.append(
                Fairness(FairKind.STRONG, name, thread.name, thread.params, tuple(granted), rest, released=free_of)
            )
        for node in nodes:
            match node.op:
                case ops.Fork(True):
                    found += _branches(thread, node, nodes, mine, raws, rest)
                case ops.Again(loop, True):
                    again = [n for n in mine if _has(raws[n][1], Way.AGAIN, node.number)]
                    out = [n for n in mine if _ends_turn(raws[n][1], nodes, loop)]
                    if again:
                        name = f"`{thread.name}` does not end every turn in `fair retry` of line {_line(node)}"
                        found.append(
                            Fairness(
                                FairKind.STRONG, name, thread.name, thread.params, tuple(out), rest, tuple(again)
                            )
                        )
                case _:
                    pass
    return tuple(found)


def _loses_its_cpu(declared: ThreadDecl, graphs: Mapping[str, Graph]) -> bool:
    """Whether others come in between its steps on its CPU: between those of a handler only NMIs do."""
    nmis = any(g.thread is not None and g.thread.unmasked for g in graphs.values())
    return not declared.interrupt or (nmis and not declared.unmasked)


def _takes(system: System, number: int) -> bool:
    return any(e.act is Act.ACQUIRE for e in system.transitions[number].events)


def _branches(
    thread: ThreadClass, node: Node, nodes: Sequence[Node], mine: Sequence[int], raws: Raws, rest: Expr
) -> Iterator[Fairness]:
    through = [n for n in mine if _has(raws[n][1], Way.BRANCH, node.number)]
    free_of = released(through, mine, raws, nodes, thread)
    for way in range(len(node.succ)):
        taken = [n for n in mine if Passed(Way.BRANCH, node.number, way) in raws[n][1].path.passed]
        name = f"`{thread.name}` takes branch {way + 1} of `fair either` of line {_line(node)} again and again"
        if taken:
            yield Fairness(
                FairKind.STRONG, name, thread.name, thread.params, tuple(taken), rest, released=free_of
            )


def _line(node: Node) -> int:
    return node.origin.span.line


def _has(raw: RawTransition, what: Way, number: int) -> bool:
    return any(p.what is what and p.number == number for p in raw.path.passed)


def _ends_turn(raw: RawTransition, nodes: Sequence[Node], loop: int) -> bool:
    """Whether a turn of ``loop`` ends in this step otherwise than by ``retry``."""
    for p in raw.path.passed:
        match p.what:
            case Way.EXIT if p.number == loop:
                return True
            case Way.BACK:
                op = nodes[p.number].op
                if isinstance(op, ops.Back) and op.loop == loop:
                    return True
            case _:
                pass
    return False


# --------------------------------------------------------------------------------------------------------------------
# Every proc finishes


def finishes(system: System, raws: Raws, compiled: Compiled, proc: str) -> tuple[ProgressTarget, Target]:
    """Runs in which some thread stands inside of ``proc`` and never leaves; and the states in which one stands there.

    A thread has begun when it can take no other step than one of the proc, unless it is done, which is to be at rest.
    """
    someone = _Someone([t for t in system.threads if _calls(compiled.graphs[t.name], proc)], compiled.names)
    pending: list[Expr] = []
    done: list[Expr] = []
    leaving: list[tuple[int, Expr]] = []
    for thread in someone.threads:
        graph = compiled.graphs[thread.name]
        inside = [n for key, n in compiled.number[thread.name].items() if _stands_in(graph, key, proc)]
        who = someone.index(thread)
        mine = dict(zip((p.name for p in thread.params), who, strict=True))
        at_rest = substitute(thread.done, dict(mine))
        done.append(and_(someone.is_(thread), at_rest))
        pending.append(and_(someone.is_(thread), compiled.at(thread.name, inside, who), not_(at_rest)))
        for n, (name, raw) in enumerate(raws):
            if name != thread.name:
                continue
            left = any(p.what is Way.LEAVE and p.name == proc for p in raw.path.passed)
            if left or not _stands_in(graph, raw.target, proc):
                leaving.append((n, someone.steps(system, n, thread)))
    over = or_(not_(compiled.running), *done)  # a thread that is stopped there has not been kept from going on
    target = ProgressTarget(someone.params, someone.where, or_(*pending), over, StepSet(tuple(leaving)))
    return target, Target((Case(someone.params, and_(someone.where, or_(*pending)),),))


def _calls(graph: Graph, proc: str) -> bool:
    return any(proc in node.inside for node in graph.nodes)


def _stands_in(graph: Graph, key: Key, proc: str) -> bool:
    """Whether the next step from the location is inside of ``proc``: some way on if it has begun, else every way on."""
    if key == END:
        return False
    begun = proc in graph.nodes[key.node].inside
    work, seen, found = [key.node], {key.node}, False
    while work:
        node = graph.nodes[work.pop()]
        if ops.is_step(node):
            if proc in node.inside:
                found = True
            elif not begun:
                return False
            continue
        for n in node.succ:
            if n >= 0 and n not in seen:
                seen.add(n)
                work.append(n)
    return found


# --------------------------------------------------------------------------------------------------------------------
# Livelock and starvation


def livelock(system: System, raws: Raws, compiled: Compiled) -> ProgressTarget:
    """Runs in which somebody retries again and again, and from some point on no turn of anybody gets anything done."""
    again = [n for n, (_, raw) in enumerate(raws) if any(p.what is Way.AGAIN for p in raw.path.passed)]
    useful = [n for n, (name, raw) in enumerate(raws) if _useful(raw, compiled.graphs[name])]
    retries = StepSet(tuple((n, TRUE) for n in again))
    reaching = StepSet(tuple((n, TRUE) for n in useful))
    return ProgressTarget((), TRUE, TRUE, not_(compiled.running), reaching, (retries,))


def starvation(system: System, raws: Raws, compiled: Compiled) -> ProgressTarget:
    """Runs in which a thread that is not done gets nothing done any more, while others move again and again."""
    someone = _Someone(list(system.threads), compiled.names)
    pending: list[Expr] = []
    reaching: list[tuple[int, Expr]] = []
    others: list[tuple[int, Expr]] = []
    easy: list[Expr] = []
    for thread in someone.threads:
        mine = dict(zip((p.name for p in thread.params), someone.index(thread), strict=True))
        idle = [w for w in system.waits if w.thread == thread.name and w.idle != FALSE]
        graph = compiled.graphs[thread.name]
        resting = [n for key, n in compiled.number[thread.name].items() if _idles(graph, key)]
        at_ease = or_(
            thread.done,
            compiled.at(thread.name, resting, thread.params),
            *(and_(w.blocked, w.idle) for w in idle),
        )
        at_ease = substitute(at_ease, dict(mine))
        easy.append(and_(someone.is_(thread), at_ease))
        pending.append(and_(someone.is_(thread), not_(at_ease)))
        for n, (name, raw) in enumerate(raws):
            if name != thread.name:
                continue
            own = someone.steps(system, n, thread)
            if not _moves(graph):
                others.append((n, not_(own)))
            if _useful(raw, graph) or not _retries(graph, raw.source):
                reaching.append((n, own))
    over = or_(not_(compiled.running), *easy)  # who is at ease later on, or stopped, is not kept from anything
    recurs = StepSet(tuple(m for m in others if m[1] != FALSE))
    return ProgressTarget(someone.params, someone.where, or_(*pending), over, StepSet(tuple(reaching)), (recurs,))


def _idles(graph: Graph, key: Key) -> bool:
    """Whether the location is an idle wait, whatever the state."""
    op = graph.nodes[key.node].op if key != END else None
    return isinstance(op, ops.Wait) and op.idle and op.unless is None


def _useful(raw: RawTransition, graph: Graph) -> bool:
    """Whether the step ends a turn that has done what it was for: not by ``retry``, or the thread itself."""
    retried = {n.op.loop for n in graph.nodes if isinstance(n.op, ops.Again)}
    for p in raw.path.passed:
        match p.what:
            case Way.EXIT | Way.END:
                return True
            case Way.BACK:
                op = graph.nodes[p.number].op
                if p.number in graph.outermost or (isinstance(op, ops.Back) and op.loop in retried):
                    return True
            case _:
                pass
    return False


def _moves(graph: Graph) -> bool:
    """Whether the class only moves other threads between CPUs."""
    return graph.thread is not None and bool(graph.thread.moves)


def _retries(graph: Graph, key: Key) -> bool:
    """Whether the location is inside of a turn that may end in ``retry``."""
    return key != END and bool(graph.nodes[key.node].loops)


# --------------------------------------------------------------------------------------------------------------------
# One thread among several classes


class _Someone:
    """Rigid parameters that stand for an instance of any of ``threads``: which class, and its index.

    The index of a class that is not the one is kept at its first value.
    """

    def __init__(self, threads: Sequence[ThreadClass], names: Names) -> None:
        self.threads = threads
        self.which: Param | None = None
        if len(threads) > 1:
            self.which = names.fresh(EnumSort("thread", tuple(t.name for t in threads)), "thread")
        self._index = {t.name: tuple(names.fresh(p.sort, p.name) for p in t.params) for t in threads}

    @property
    def params(self) -> tuple[Param, ...]:
        own = tuple(p for t in self.threads for p in self._index[t.name])
        return own if self.which is None else (self.which, *own)

    @property
    def where(self) -> Expr:
        parts = []
        for t in self.threads:
            fixed = [
                eq(p, Lit(low_of(p.sort))) for u in self.threads if u is not t for p in self._index[u.name]
            ]
            inside = substitute(t.where, dict(zip((p.name for p in t.params), self._index[t.name], strict=True)))
            parts.append(and_(self.is_(t), inside, *fixed))
        return or_(*parts)

    def index(self, thread: ThreadClass) -> tuple[Expr, ...]:
        return self._index[thread.name]

    def is_(self, thread: ThreadClass) -> Expr:
        if self.which is None:
            return TRUE
        return eq(self.which, Lit([t.name for t in self.threads].index(thread.name)))

    def steps(self, system: System, number: int, thread: ThreadClass) -> Expr:
        """Over the parameters of the transition and the rigid ones: it is a step of the one."""
        own = system.transitions[number].params[: len(thread.params)]
        return and_(self.is_(thread), *map(eq, own, self._index[thread.name]))
