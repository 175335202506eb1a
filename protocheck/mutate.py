"""Faults planted in a model on purpose: which of them do its expectations notice?

Each mutant differs from the model in one place of the checked tree. It is checked like any scenario; it is *noticed* if
some verdict is no longer as expected. What survives shows a step, a lock or a test that no property needs, or that a
property is missing. R. A. DeMillo, R. J. Lipton and F. G. Sayward, "Hints on test data selection", 1978.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from itertools import pairwise

from protocheck.check import check_scenario, scenario_names
from protocheck.diagnostics import ModelError
from protocheck.engines.alike import alike
from protocheck.findings import Broken, ScenarioReport, interrupted
from protocheck.jobs import Died, Done, Failed, Interrupted, run_all
from protocheck.lower import compile_system, instantiate
from protocheck.lower.flow import mentions
from protocheck.source import Span
from protocheck.types import tree as t
from protocheck.types.flow import flow_faults
from protocheck.types.graph import expressions
from protocheck.types.walk import blocks, call_of, everything, rhs_of, statements
from protocheck.widen import ignored, widened, widened_routine

SECONDS = 10.0
"""At most so long one mutant is checked in one scenario, unless somebody asks for more."""

PATIENCE, FULL = 10, 0.9
"""A machine that is busy may take so many times as long; a check that got this share of its time has had it."""


class Fate(Enum):
    """What becomes of a mutant."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    SAME = "equivalent"  # it survives, and nobody who sees only the states can tell it from the model
    OPEN = "undecided"
    REFUSED = "no model"  # a static rule refuses it, so nobody could have written it
    BROKEN = "our fault"  # protocheck failed, or its evidence did not stand up


@dataclass(frozen=True)
class Mutant:
    """One change: ``kind`` ("drop a lock"), what it does to the statement at ``span``, in the routine ``home``."""

    kind: str
    what: str
    home: str
    span: Span
    touches: tuple[str, ...]  # states that the statement reads or writes
    body: t.Block
    scenarios: tuple[str | None, ...] = ()  # those that run this code


@dataclass(frozen=True)
class Tried:
    """A mutant with its fate. ``by`` are the verdicts that notice it, as scenario/property; else ``why`` it is open."""

    mutant: Mutant
    fate: Fate
    by: tuple[str, ...] = ()
    why: str = ""
    missing: str = ""  # of a survivor: the property that may be missing


@dataclass(frozen=True)
class Mutation:
    """All mutants of a model, in the order of the source; after Ctrl-C ``untried`` are not among them."""

    file: str
    model: str
    scenarios: tuple[str, ...]
    tried: tuple[Tried, ...]
    untried: int = 0

    def count(self, fate: Fate) -> int:
        """How many mutants had this fate."""
        return sum(x.fate is fate for x in self.tried)


def mutate(
    module: t.CheckedModule,
    scenario: str | None = None,
    *,
    timeout: float = SECONDS,
    jobs: int = 1,
    tell: Callable[[int, str], None] = lambda _number, _words: None,
) -> Mutation:
    """Check every mutant of ``module`` in ``scenario``, or in those that expect no violation but of weaknesses (all, if
    each does).

    A mutant is checked in one scenario after the other of those that run its code, until one notices it. ``timeout``
    is in seconds of work and for one mutant in one scenario: what others take from the machine does not count.
    :class:`ModelError` for an unknown scenario. After Ctrl-C what was found until then is told; if that is nothing, it
    is a KeyboardInterrupt.
    """
    names = scenario_names(module, (scenario,) if scenario is not None else ())
    weak = {p.name for p in module.properties if p.kind == "weakness"}
    calm = tuple(n for n in names if n is None or not _expects_violation(module.scenarios[n], weak))
    names = names if scenario is not None else (calm or names)
    found = list(mutants(module, names))
    work = [partial(_try, module, m, timeout) for m in found]
    known = _spoken_of(module)
    tried: list[Tried] = []
    for mutant, answer in zip(found, run_all(work, jobs, tell), strict=True):
        match answer:
            case Done(value):
                done = value
            case Failed("MemoryError"):
                done = Tried(mutant, Fate.OPEN, why="out of memory")
            case Failed(kind, message, where):
                done = Tried(mutant, Fate.BROKEN, why=f"{kind}: {message}, at {where}")
            case Died(9, _):
                done = Tried(mutant, Fate.OPEN, why="the process was killed, most likely for want of memory")
            case Died(number, code):
                how = f"signal {number}" if number else f"exit code {code}"
                done = Tried(mutant, Fate.BROKEN, why=f"the process ended by {how}")
            case Interrupted():
                continue
        if done.fate is Fate.SURVIVED:
            done = replace(done, missing=_missing(mutant, known))
        tried.append(done)
    if found and not tried:
        raise KeyboardInterrupt
    told = tuple(n or "default" for n in names)
    return Mutation(module.file.path, module.name, told, tuple(tried), len(found) - len(tried))


def mutants(module: t.CheckedModule, scenarios: Sequence[str | None]) -> Iterator[Mutant]:
    """Every change of code that runs in one of ``scenarios``, in the order of the source."""
    bodies: dict[str, t.Block] = {}
    runs: dict[str, list[str | None]] = {}
    for name in scenarios:
        for home, body in _running(module, name).items():
            bodies.setdefault(home, body)
            runs.setdefault(home, []).append(name)
    touched = {name: _touched(body) for name, body in bodies.items()}
    found: list[Mutant] = []
    for home, body in bodies.items():
        for kind, what, at, changed in (*_of_routine(module, home), *_changes(body)):
            states = dict.fromkeys(_states(at, touched))
            found.append(Mutant(kind, what, home, at.span, tuple(states), _as_block(changed), tuple(runs[home])))
    yield from sorted(found, key=lambda m: (m.span.file.path, m.span.start, m.span.end, m.kind, m.what))


# --------------------------------------------------------------------------------------------------------------------
# Trying one


def _try(
    module: t.CheckedModule,
    mutant: Mutant,
    timeout: float,
    tell: Callable[[str], None],
) -> Tried:
    changed = mutated(module, mutant)
    faults = flow_faults(changed)
    if faults:
        return Tried(mutant, Fate.REFUSED, why="; ".join(d.headline for d in faults))
    waiting = ""
    for name in mutant.scenarios:
        tell(f"{mutant.kind} at line {mutant.span.line}, scenario {name or 'default'}")
        try:
            report = _checked(changed, name, timeout)
        except ModelError as fault:
            return Tried(mutant, Fate.REFUSED, why="; ".join(d.headline for d in fault.diagnostics))
        if interrupted(report):
            raise KeyboardInterrupt
        broken = next((f for f in report.findings if isinstance(f.outcome, Broken)), None)
        if broken is not None and isinstance(broken.outcome, Broken):
            return Tried(mutant, Fate.BROKEN, why=f"{report.name}/{broken.name}: {broken.outcome.detail}")
        by, late = _noticed(report)
        if by:
            return Tried(mutant, Fate.NOTICED, by)
        waiting = waiting or late
    if waiting:
        return Tried(mutant, Fate.OPEN, why=waiting)
    same = all(_alike(module, changed, name) for name in mutant.scenarios)
    return Tried(mutant, Fate.SAME if same else Fate.SURVIVED)


def _checked(changed: t.CheckedModule, name: str | None, timeout: float) -> ScenarioReport:
    """What a check finds in ``timeout`` seconds of this process's own time, however long that takes.

    Engines look at the clock on the wall. Where it ends a check that had less than its time, since other processes had
    the rest, the check is made again with so much more, up to ``PATIENCE`` times as much.
    """
    given = timeout
    while True:
        wall, work = time.monotonic(), time.process_time()
        report = check_scenario(changed, name, timeout=given)
        wall, work = time.monotonic() - wall, time.process_time() - work
        by, late = _noticed(report)
        if by or not late or interrupted(report) or wall < given / 2:
            return report  # it was no lack of time
        share = max(work / wall, 1 / PATIENCE)
        if given * share >= FULL * timeout or given >= PATIENCE * timeout:
            return report
        given = min(PATIENCE * timeout, timeout / share)


def _alike(module: t.CheckedModule, changed: t.CheckedModule, scenario: str | None) -> bool:
    """Whether ``changed`` is known to take the states of the model through the same changes."""
    before, after = (compile_system(m, instantiate(m, scenario)) for m in (module, changed))
    return alike(before, after, module.states) is True


def _noticed(report: ScenarioReport) -> tuple[tuple[str, ...], str]:
    """Which verdicts are not as expected; and one that a limit left open."""
    by = [f"{report.name}/{f.name}" for f in report.findings if not f.as_expected and not f.open]
    by += [f"{report.name}/{m.expected}" for m in report.mismatches if not m.open]
    late = [f.name for f in report.findings if not f.as_expected and f.open]
    return tuple(by), f"{late[0]} was not decided in time" if late else ""


def mutated(module: t.CheckedModule, mutant: Mutant) -> t.CheckedModule:
    """``module`` with the change: another body for one routine, thread or variant of one."""
    variant, _, name = mutant.home.rpartition("\0")
    if variant:
        return replace(
            module,
            variants=tuple(
                replace(v, replacement=replace(v.replacement, body=mutant.body))
                if (v.name, v.target) == (variant, name)
                else v
                for v in module.variants
            ),
        )
    if name in module.threads:
        return replace(module, threads={**module.threads, name: replace(module.threads[name], body=mutant.body)})
    return replace(module, routines={**module.routines, name: replace(module.routines[name], body=mutant.body)})


def _expects_violation(scenario: t.ScenarioDecl, weak: Collection[str]) -> bool:
    """Whether something may go wrong in ``scenario``; that one of the ``weak`` properties shows up is not wrong."""
    return any(e.outcome in ("violated", "any") and e.target not in weak for e in scenario.expectations)


# --------------------------------------------------------------------------------------------------------------------
# Which code runs


def _running(module: t.CheckedModule, scenario: str | None) -> dict[str, t.Block]:
    """The bodies that a scenario runs: ``kvm.fault``, or ``hoisted`` NUL ``kvm.fault`` for a variant."""
    instance = instantiate(module, scenario)
    chosen = {v.target: v.name for v in module.variants if v.name in instance.variants}
    found: dict[str, t.Block] = {}
    todo = list(instance.threads)
    seen = set(todo)
    while todo:
        name = todo.pop(0)
        routine = instance.threads.get(name) or instance.routines.get(name)
        if routine is None or routine.body is None or (isinstance(routine, t.Routine) and routine.ghost):
            continue
        if routine.span.file.path == module.file.path:
            found[f"{chosen[name]}\0{name}" if name in chosen else name] = routine.body
        for s in statements(routine.body):
            call = call_of(rhs_of(s))
            if isinstance(call, t.Call) and call.routine not in seen:
                seen.add(call.routine)
                todo.append(call.routine)
    return found


def _touched(body: t.Block) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_states(body, {})))


def _states(s: t.Statement, routines: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The states that ``s`` reads or writes, in what it calls too."""
    for inner in statements(s):
        for e in expressions(inner):
            for part in everything(e):
                if isinstance(part, t.StateRef):
                    yield part.state
        call = call_of(rhs_of(inner))
        if isinstance(call, t.Call):
            for home, states in routines.items():
                if home.rpartition("\0")[2] == call.routine:
                    yield from states


# --------------------------------------------------------------------------------------------------------------------
# Changes

Change = tuple[str, str, t.Statement, t.Statement]
"""Kind, words, the statement that is changed, and the whole of which it is a part after the change."""

LEAVES = (t.Return, t.Break, t.Continue, t.Retry, t.Halt, t.Bug)
STAYS = (t.Declare, t.Assert, t.RequiresHeld, t.Skip, t.MightSleep, t.Ghost, *LEAVES)
"""What is not swapped: declarations come before their use, and the rest has no effect of its own."""


def _of_routine(module: t.CheckedModule, home: str) -> Iterator[Change]:
    """The changes that are made to a routine as a whole."""
    variant, _, name = home.rpartition("\0")
    replaced = (v.replacement for v in module.variants if (v.name, v.target) == (variant, name))
    routine = next(replaced, None) if variant else module.routines.get(name)
    if isinstance(routine, t.Routine):
        for what, changed in widened_routine(routine):
            yield "widen a failure", what, changed, changed


def _changes(s: t.Statement) -> Iterator[Change]:
    """Every change of ``s`` or of something in it; each gives the whole ``s`` after it."""
    if isinstance(s, t.Ghost):
        return  # ghosts say what is wanted; a fault there is no fault of the protocol
    yield from _here(s)
    if isinstance(s, t.Block):
        for k, inner in enumerate(s.body):
            for kind, what, at, changed in _changes(inner):
                yield kind, what, at, replace(s, body=(*s.body[:k], changed, *s.body[k + 1 :]))
        return
    for k, block in enumerate(blocks(s)):
        for kind, what, at, changed in _changes(block):
            yield kind, what, at, _with_block(s, k, _as_block(changed))


def _here(s: t.Statement) -> Iterator[Change]:
    for what, changed in widened(s):
        yield "widen a failure", what, s, changed
    for what, changed in ignored(s):
        yield "ignore a failure", what, s, changed
    match s:
        case t.Block(body):
            for k, (a, b) in enumerate(pairwise(body)):
                if any(isinstance(x, STAYS) or _counts_turns(x) for x in (a, b)):
                    continue
                if a != b and not _chosen_for(a, b):
                    yield "swap two statements", "with the next", a, replace(s, body=(*body[:k], b, a, *body[k + 2 :]))
            for lock in dict.fromkeys(x.lock.lock for x in body if isinstance(x, t.Acquire)):
                rest = _without(s, lock)
                first = next(x for x in body if isinstance(x, t.Acquire) and x.lock.lock == lock)
                yield "drop a lock", lock, first, rest
        case t.With(locks, body):
            for k, (ref, _) in enumerate(locks):
                rest_of = (*locks[:k], *locks[k + 1 :])
                yield "drop a lock", ref.lock, s, replace(s, locks=rest_of) if rest_of else _labelled(body, s)
        case t.Release(lock):
            yield "forget a release", lock.lock, s, _skip(s)
        case t.If(condition, then, otherwise) if not _counts_turns(s):
            if not isinstance(condition, t.Call | t.BuiltinCall | t.TryAcquire | t.Test):
                if then.body and isinstance(then.body[-1], LEAVES):
                    yield "drop a guard", "never taken", s, _labelled(otherwise, s) if otherwise else _skip(s)
                else:
                    yield "drop a guard", "always taken", s, _labelled(then, s)
            if otherwise is not None:
                yield "drop a branch", "else", s, replace(s, otherwise=None)
        case t.Await():
            yield "drop a guard", "does not wait", s, _skip(s)
        case t.Choose(_, where) | t.ForEach(_, where) if where is not None:
            yield "drop a guard", "any member", s, replace(s, where=None)
        case t.Atomic(body):
            if len(body.body) > 1 or blocks(body.body[0] if body.body else body):
                yield "split an atomic block", "step by step", s, _labelled(body, s)
        case t.Either(branches) if len(branches) > 1:
            for k in range(len(branches)):
                left = (*branches[:k], *branches[k + 1 :])
                which = f"branch {k + 1}"
                yield "drop a branch", which, s, replace(s, branches=left) if left[1:] else _labelled(left[0], s)
        case _:
            pass


def _counts_turns(s: t.Statement) -> bool:
    """Whether ``s`` counts or tests the turns of a ``loop at most``, and so is no statement that anybody wrote."""
    whole = s.place if isinstance(s, t.Assign) else s.condition if isinstance(s, t.If) else None
    return whole is not None and whole.span == s.span


def _chosen_for(a: t.Statement, b: t.Statement) -> bool:
    """Whether ``a`` chooses what ``b`` speaks of: a use cannot stand before the declaration."""
    if not isinstance(a, t.Choose):
        return False
    return any(
        isinstance(part, t.LocalRef) and part.local == a.local
        for s in statements(b)
        for e in expressions(s)
        for part in everything(e)
    )


def _without(s: t.Block, lock: str) -> t.Block:
    """``s`` where nobody takes or gives ``lock`` by a statement of its own."""

    def go(x: t.Statement) -> t.Statement:
        if isinstance(x, t.Acquire | t.Release | t.Downgrade) and x.lock.lock == lock:
            return _skip(x)
        if isinstance(x, t.Block):
            return replace(x, body=tuple(go(y) for y in x.body))
        for k, block in enumerate(blocks(x)):
            x = _with_block(x, k, _as_block(go(block)))
        return x

    return _as_block(go(s))


def _with_block(s: t.Statement, k: int, block: t.Block) -> t.Statement:
    """``s`` with its ``k``-th block (in the order of :func:`blocks`) replaced."""
    match s:
        case t.If():
            return replace(s, then=block) if k == 0 else replace(s, otherwise=block)
        case t.Either():
            return replace(s, branches=(*s.branches[:k], block, *s.branches[k + 1 :]))
        case t.Choose():
            return replace(s, otherwise=block)
        case t.Await():
            return replace(s, killed=block)
        case t.While() | t.ForEach() | t.ForRange() | t.Atomic() | t.Ghost() | t.With() | t.Hold() | t.Region():
            return replace(s, body=block)
        case _:
            raise TypeError(f"{type(s).__name__} has no blocks")


def _skip(s: t.Statement) -> t.Skip:
    return t.Skip(span=s.span, label=s.label)


def _labelled(block: t.Block, s: t.Statement) -> t.Block:
    """``block`` in place of ``s``, under its label."""
    return replace(block, label=s.label)


def _as_block(s: t.Statement) -> t.Block:
    return s if isinstance(s, t.Block) else t.Block(body=(s,), span=s.span)


# --------------------------------------------------------------------------------------------------------------------
# What may be missing


def _spoken_of(module: t.CheckedModule) -> frozenset[str]:
    """The states that some property or assertion mentions."""
    found = set(mentions(module).states)
    holders = [*module.routines.values(), *module.threads.values(), *(v.replacement for v in module.variants)]
    for holder in holders:
        for s in statements(holder.body) if holder.body is not None else ():
            if isinstance(s, t.Assert):
                found.update(e.state for e in everything(s.condition) if isinstance(e, t.StateRef))
    return frozenset(found)


def _missing(mutant: Mutant, known: frozenset[str]) -> str:
    """A guess, from what the statement touches."""
    silent = [name for name in mutant.touches if name not in known]
    if silent:
        return f"no property speaks of {', '.join(silent)}"
    if mutant.touches:
        return f"no property of {', '.join(mutant.touches)} depends on it"
    return "nothing that is claimed depends on it"
