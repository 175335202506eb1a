"""A deadlock or a broken lock order in the layout in which the Linux kernel's lockdep reports one.

The layout is that of ``print_circular_bug`` and ``print_deadlock_bug`` (kernel/locking/lockdep.c), so that eyes and
scripts that know it feel at home. What differs is said in the report: the run has been replayed, so what lockdep calls
possible has happened; classes are followed by the mode in which they are taken, not by usage bits, which a model does
not have; and the unsafe scenario is the run itself, with as many CPUs as take part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocheck.findings import Blocked, plural
from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.document import Document, Run
from protocheck.reports.mail import ascii_only
from protocheck.reports.style import printable
from protocheck.traces.trace import Place, Step, Trace

_CIRCULAR = "WARNING: possible circular locking dependency detected"
_RECURSIVE = "WARNING: possible recursive locking detected"
_AGAINST = "against order"
_SYNC = "synchronize "


def refuses(run: Run) -> str:
    """Why the layout cannot tell ``run``; empty if it can."""
    if _against(run) is not None:
        return ""
    ending = run.trace.ending
    if ending.deadlock is None:
        if run.locks is not None:
            return "it ends before anybody waits; where it goes on to a deadlock, that has a run of its own"
        return "it ends in no deadlock and breaks no order of locks"
    if not ending.cycle:
        return "its threads wait for something that nobody is left to do, not for one another's locks"
    members = {m.thread: m for m in ending.deadlock.blocked}
    for thread, _ in ending.cycle:
        if _wanted(run.trace, members[thread]) is None:
            return f"{thread} waits for {members[thread].waits}, which is no lock"
    return ""


def render(document: Document, runs: Sequence[Run]) -> str:
    """The reports, one after the other; every run must be one that is not refused."""
    parts = []
    for run in runs:
        against = _against(run)
        lines = _order(document, run, against) if against is not None else _deadlock(document, run)
        parts.append("\n".join(ascii_only(printable(line)).rstrip() for line in lines) + "\n")
    return "\n".join(parts)


@dataclass(frozen=True)
class _Lock:
    """A lock instance as somebody holds or wants it."""

    name: str
    mode: str = ""
    sync: bool = False

    @property
    def shown(self) -> str:
        """The class with its mode, in the place of lockdep's usage bits."""
        return f"({self.name})" + (f"{{{self.mode}}}" if self.mode else "{sync}" if self.sync else "")

    @property
    def call(self) -> str:
        """As the table of the unsafe scenario writes it."""
        return f"{'sync' if self.sync else 'rlock' if self.mode == 'read' else 'lock'}({self.name});"


def _parse(text: str) -> _Lock:
    """``mmap_lock (read)`` or ``synchronize kvm_srcu``."""
    if text.startswith(_SYNC):
        return _Lock(text.removeprefix(_SYNC), sync=True)
    name, _, mode = text.partition(" (")
    return _Lock(name, mode.rstrip(")"))


def _wanted(trace: Trace, member: Blocked) -> _Lock | None:
    lock = _parse(member.waits)
    known = {c.name for c in trace.initial if c.kind is VarKind.LOCK}
    return lock if lock.name in known else None


def _task(trace: Trace, thread: str) -> str:
    """The thread, with its position among those that move in the place of a process number."""
    return f"{thread}/{trace.threads.index(thread) + 1 if thread in trace.threads else 0}"


def _head(document: Document, run: Run, title: str) -> Iterator[str]:
    scenario = run.scenario
    width = max(len(title), 54)
    yield "=" * width
    yield title
    yield f"{run.model.file}, scenario {scenario.name}" + (f", {scenario.instance}" if scenario.instance else "")
    yield f"protocheck {document.version}: replayed, so not only possible: {run.trace.ending.headline}"
    yield "-" * width


def _stack(places: Sequence[Place], text: str) -> Iterator[str]:
    for number, place in enumerate(places):
        yield f"       {f'{text}, at' if number == 0 else 'called from'} {place.file}:{place.line}"
    if not places:
        yield f"       {text}"


def _took(trace: Trace, thread: str, lock: str, since: int | None) -> Step | None:
    """The step by which ``thread`` has had ``lock``."""
    if since is not None and 1 <= since <= len(trace.steps):
        return trace.steps[since - 1]
    found = None
    for step in trace.steps:
        if step.thread == thread and any(a.act is Act.ACQUIRE and a.lock == lock for a in step.locks):
            found = step
    return found


def _at(step: Step | None) -> str:
    if step is None or not step.places:
        return ""
    return f", at: {step.places[0].file}:{step.places[0].line}"


# --------------------------------------------------------------------------------------------------------------------
# Deadlocks


def _deadlock(document: Document, run: Run) -> Iterator[str]:
    trace = run.trace
    assert trace.ending.deadlock is not None
    members = {m.thread: m for m in trace.ending.deadlock.blocked}
    order = [members[thread] for thread, _ in trace.ending.cycle]
    # Who closes the cycle is the one that began to wait last; then the others as each waits for the next.
    first = max(range(len(order)), key=lambda k: order[k].since or 0)
    cycle = order[first:] + order[:first]
    wants = {m.thread: _want(trace, m) for m in cycle}
    closer, holder = cycle[0], cycle[-1]
    for_closer = wants[closer.thread]
    recursive = len(cycle) == 1
    yield from _head(document, run, _RECURSIVE if recursive else _CIRCULAR)
    yield f"{_task(trace, closer.thread)} is trying to acquire lock:"
    last = _step_of(trace, closer)
    yield f"{for_closer.shown}{_at(last)}"
    yield ""
    own = [(_parse(text), since) for text, since in closer.holds]
    blocking = wants[holder.thread].name
    held = next((h for h in own if h[0].name == blocking), own[-1] if own else None)
    if held is not None:
        yield "but task is already holding lock:"
        yield f"{held[0].shown}{_at(_took(trace, closer.thread, held[0].name, held[1]))}"
    else:
        yield "while it holds no lock itself: a queued request stands in the way"
    yield ""
    if not recursive:
        yield from _chain(trace, cycle, wants)
    yield "other info that might help us debug this:"
    yield ""
    if not recursive:
        names = [wants[m.thread].name for m in (holder, *cycle[:-1])]
        path = [n for k, n in enumerate(names) if k == 0 or n != names[k - 1]]
        if len(path) > 2:
            yield "Chain exists of:"
            yield f"  {' --> '.join(path)}"
            yield ""
    yield from _unsafe(trace, [m.thread for m in cycle])
    for member in cycle:
        yield from _held(trace, member)
    yield ""
    yield "stack backtrace:"
    yield from _stack(last.places if last is not None else (), last.text if last is not None else "")
    for member in cycle:
        for why in dict.fromkeys(f"{who} {reason}" for who, reason in member.for_whom):
            yield f"{_task(trace, member.thread)} waits for {member.waits}: {why}"


def _want(trace: Trace, member: Blocked) -> _Lock:
    wanted = _wanted(trace, member)
    assert wanted is not None, "refused runs are not told"
    return wanted


def _step_of(trace: Trace, member: Blocked) -> Step | None:
    return trace.steps[member.since - 1] if member.since is not None else None


def _chain(trace: Trace, cycle: Sequence[Blocked], wants: dict[str, _Lock]) -> Iterator[str]:
    yield "which lock already depends on the new lock."
    yield ""
    yield "the existing dependency chain (in reverse order) is:"
    for number in range(len(cycle) - 1, -1, -1):
        member = cycle[number]
        wanted = wants[member.thread]
        step = _step_of(trace, member)
        yield ""
        yield f"-> #{number} {wanted.shown}:"
        yield from _stack(step.places if step is not None else (), step.text if step is not None else "")
        yield f"       by {_task(trace, member.thread)}, which {_holds(member)}"
    yield ""


def _holds(member: Blocked) -> str:
    return f"holds {', '.join(lock for lock, _ in member.holds)}" if member.holds else "holds no lock, but is queued"


def _unsafe(trace: Trace, threads: Sequence[str]) -> Iterator[str]:
    """What the threads of the cycle do to locks in this very run, in columns."""
    yield " Unsafe locking scenario (this run):"
    yield ""
    rows: list[tuple[int, str]] = []
    taken = (Act.ACQUIRE, Act.WANT, Act.SYNC_BEGIN)
    order = [t for t in trace.threads if t in threads]
    for step in trace.steps:
        if step.thread not in threads:
            continue
        for act in step.locks:
            lock = _Lock(act.lock, act.mode, act.act is Act.SYNC_BEGIN)
            if act.act in taken:
                rows.append((order.index(step.thread), lock.call))
            elif act.act is Act.RELEASE:
                rows.append((order.index(step.thread), f"un{_Lock(act.lock, act.mode).call}"))
    width = max([20, *(len(text) + 4 for _, text in rows)])
    yield "  " + "".join(f"     CPU{k}".ljust(width) for k in range(len(order)))
    yield "  " + "".join("     ----".ljust(width) for _ in order)
    for column, text in rows:
        yield f"  {' ' * (width * column)}{text}"
    yield ""
    yield " *** DEADLOCK ***"
    yield ""


def _held(trace: Trace, member: Blocked) -> Iterator[str]:
    count = len(member.holds)
    yield f"{plural(count, 'lock') if count else 'no locks'} held by {_task(trace, member.thread)}:"
    for number, (text, since) in enumerate(member.holds):
        lock = _parse(text)
        yield f" #{number}: {lock.shown}{_at(_took(trace, member.thread, lock.name, since))}"


# --------------------------------------------------------------------------------------------------------------------
# A declared order that is broken


def _against(run: Run) -> tuple[str, str] | None:
    """Outer and inner lock as taken, where the finding is about a declared order."""
    if run.locks is None or run.locks.kind != _AGAINST or not run.trace.steps:
        return None
    outer, inner = run.locks.locks[0], run.locks.locks[-1]
    return outer, inner


def _order(document: Document, run: Run, locks: tuple[str, str]) -> Iterator[str]:
    """The run leads to where the thread holds the outer lock and is about to ask for the inner one."""
    outer, inner = locks
    trace = run.trace
    takers = [s for s in trace.steps if any(a.act is Act.ACQUIRE and _is(a.lock, outer) for a in s.locks)]
    held = takers[-1] if takers else None
    thread = held.thread if held is not None else trace.steps[-1].thread
    wanted = _edge_places(run, outer, inner)
    at = f", at: {wanted[0].file}:{wanted[0].line}" if wanted else ""
    yield from _head(document, run, _CIRCULAR)
    yield f"{_task(trace, thread)} is trying to acquire lock:"
    yield f"({inner}){at}"
    yield ""
    yield "but task is already holding lock:"
    yield f"({outer}){_at(held)}"
    yield ""
    yield "which lock already depends on the new lock."
    yield ""
    yield "the existing dependency chain (in reverse order) is:"
    yield ""
    yield f"-> #1 ({outer}):"
    yield f"       declared: order {inner} -> {outer}"
    yield ""
    yield f"-> #0 ({inner}):"
    yield from _stack(wanted, f"{thread} takes {inner}")
    yield ""
    yield "other info that might help us debug this:"
    yield ""
    yield f" {run.locks.explanation if run.locks is not None else ''}"
    yield ""
    yield "stack backtrace:"
    yield from _stack(wanted, f"{thread} takes {inner}")


def _is(lock: str, name: str) -> bool:
    """Whether ``lock``, as a trace names an instance, is of the class ``name`` of the graph."""
    short = lock.split("[")[0]
    return name == short or name.endswith(f".{short}")


def _edge_places(run: Run, outer: str, inner: str) -> tuple[Place, ...]:
    graph = run.verdict.graph
    for edge in graph.edges if graph is not None else ():
        if (edge.held, edge.wanted) == (outer, inner) and edge.places:
            return edge.places
    return ()
