"""Whether a ``run`` can happen: a system that watches its own steps, and what an engine finds there.

The watching system counts the lines that have happened in a hidden variable. A step that begins the statement of a
line advances the counter where it is that line's turn, and is left out elsewhere (between the first line and the last,
no other named step happens); a step of the first line may also pass unnoticed. What the engine finds is a run of the
original system with some bookkeeping; it is given back as such, and the lines are looked for in it once more, by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from protocheck.engines.verdict import Choice, NotReachedWithin, Reached, Run, Structural, Unreachable, Verdict
from protocheck.ir.expr import FALSE, TRUE, Expr, Lit, Param, Read, Var, VarKind, and_, eq, ite, not_, or_, substitute
from protocheck.ir.sorts import RangeSort, ScalarSort, low_of, values_of
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    InitCase,
    PropertyTarget,
    RunClaim,
    System,
    Target,
    Transition,
    Update,
)
from protocheck.traces.run_lines import ANYWHERE

Ask = Callable[[System, Sequence[PropertyTarget]], Sequence[Verdict]]
"""An engine: the system, and what is looked for."""

KIND = "run"
"""The kind and family of findings about runs."""

@dataclass(frozen=True)
class Watched:
    """The watching system; ``whole`` is its target, ``prefixes[k]`` are the states after the first ``k`` lines.

    ``original`` gives for each of its transitions the one that it is made of.
    """

    system: System
    claim: RunClaim
    whole: PropertyTarget
    prefixes: tuple[Target, ...]
    original: tuple[int, ...]
    cases: tuple[int, ...]  # for each case of ``whole`` that of the claim's own target


@dataclass(frozen=True)
class Answer:
    """What was found about a run: ``verdict`` about all of it, as one of the original system.

    Where it cannot happen, ``possible`` of its lines can, as ``prefix`` shows (also of the original system); ``exact``
    says that no more of them can.
    """

    watched: Watched
    verdict: Verdict
    target: PropertyTarget
    possible: int
    prefix: Run | None = None
    exact: bool = True


def ask_run(system: System, claim: RunClaim, ask: Ask) -> Answer:
    """Ask whether the run of ``claim`` can happen in ``system``; if it cannot, how far it gets."""
    watched = watch(system, claim)
    count = len(claim.lines)
    target = claim.leads if claim.leads is not None else ANYWHERE
    nobody = next((p.sort for p in claim.params if not values_of(p.sort)), None)
    if nobody is not None:
        words = f"there is no {nobody.name}" if isinstance(nobody, ScalarSort) else "it is about nobody"
        return Answer(watched, Unreachable(Structural(words)), target, 0)
    (verdict,) = ask(watched.system, [watched.whole])
    if isinstance(verdict, Reached):
        return Answer(watched, replace(verdict, run=unwatched(watched, verdict.run)), target, count)
    if not isinstance(verdict, Unreachable | NotReachedWithin):
        return Answer(watched, verdict, target, 0, None, False)
    # Without `leads to` the last line is what was just asked for.
    longest = count if claim.leads is not None else count - 1
    verdicts = ask(watched.system, watched.prefixes[1 : longest + 1]) if longest else ()
    possible, exact = 0, isinstance(verdict, Unreachable)
    prefix: Run | None = None
    for k, found in enumerate(verdicts, start=1):
        if isinstance(found, Reached):
            possible, prefix = k, unwatched(watched, found.run, prefix=True)
    exact = exact and all(isinstance(v, Unreachable) for v in verdicts[possible:])
    return Answer(watched, verdict, target, possible, prefix, exact)


def watch(system: System, claim: RunClaim) -> Watched:
    """``system`` with a counter of the lines of ``claim`` that have happened."""
    count = len(claim.lines)
    counter = Var("%lines", (), RangeSort(0, count), VarKind.HIDDEN)
    at = Read(counter, ())
    chosen = [Var(f"%who.{n}", (), p.sort, VarKind.HIDDEN) for n, p in enumerate(claim.params)]
    values: dict[str, Expr] = {p.name: Read(v, ()) for p, v in zip(claim.params, chosen, strict=True)}
    transitions: list[Transition] = []
    original: list[int] = []
    after: list[Expr] = []  # for each transition whether all lines have happened when it is done
    for number, tr in enumerate(system.transitions):
        mine = [_is_line(claim, k, tr, number, values) for k in range(count)]
        named = or_(*mine)
        if named == FALSE:
            transitions.append(tr)
            original.append(number)
            after.append(eq(at, Lit(count)))
            continue
        first = and_(eq(at, Lit(0)), mine[0])
        turn = or_(*(and_(eq(at, Lit(k)), m) for k, m in enumerate(mine) if k))
        free = or_(eq(at, Lit(0)), eq(at, Lit(count)), not_(named))
        value: Expr = at
        for k, m in enumerate(mine):
            if k and m != FALSE:
                value = ite(and_(eq(at, Lit(k)), m), Lit(k + 1), value)
        passing = replace(
            tr,
            guard=and_(tr.guard, or_(free, turn)),
            updates=(*tr.updates, Update(counter, (), value)),
        )
        transitions.append(passing)
        original.append(number)
        after.append(or_(eq(at, Lit(count)), and_(eq(at, Lit(count - 1)), mine[-1]) if count > 1 else FALSE))
        if mine[0] != FALSE:
            guard = and_(tr.guard, first)
            transitions.append(replace(tr, guard=guard, updates=(*tr.updates, Update(counter, (), Lit(1)))))
            original.append(number)
            after.append(TRUE if count == 1 else FALSE)
    initial = tuple(_chosen(case, claim, chosen) for case in system.initial)
    done = eq(at, Lit(count))
    watching = replace(
        system,
        variables=(*system.variables, counter, *chosen),
        defaults=(*system.defaults, Lit(0), *(Lit(low_of(p.sort)) for p in claim.params)),
        initial=initial,
        transitions=tuple(transitions),
        # NOTE(deadlock): a wait counts only when the run is complete, so that a deadlock is looked for only then.
        waits=tuple(replace(w, blocked=and_(w.blocked, done)) for w in system.waits),
        acquires=(),
        properties=(),
        fairness=(),
        runs=(),
    )
    whole: PropertyTarget
    cases: list[int] = [0]
    match claim.leads:
        case None:
            whole = Target((Case((), done),))
        case DeadlockTarget():
            whole = DeadlockTarget()
        case Target() if not claim.toward:
            (goal,) = claim.leads.cases  # its params are those of the claim, which are chosen already
            whole = Target((Case((), and_(substitute(goal.cond, values), done)),))
        case Target():
            found = [(n, c) for n, case in enumerate(claim.leads.cases) for c in _cases(case, original, after, done)]
            whole = Target(tuple(c for _, c in found))
            cases = [n for n, _ in found]
    prefixes = tuple(Target((Case((), _at_least(at, k, count)),)) for k in range(count + 1))
    return Watched(watching, claim, whole, prefixes, tuple(original), tuple(cases))


def unwatched(watched: Watched, run: Run, *, prefix: bool = False) -> Run:
    """A run of the watching system as one of the original, into what the claim leads to or (``prefix``) anywhere."""
    claim = watched.claim
    original = watched.system.initial[run.init.which]
    own = len(original.params) - len(claim.params)
    rigid = run.init.values[own:]
    moves = tuple(Choice(watched.original[m.which], m.values) for m in run.moves)
    init = Choice(run.init.which, run.init.values[:own])
    end = Choice(0, ()) if prefix else _end(watched, run.end, rigid)
    return Run(init, moves, end, rigid=rigid)


# --------------------------------------------------------------------------------------------------------------------


def _is_line(claim: RunClaim, k: int, tr: Transition, number: int, values: dict[str, Expr]) -> Expr:
    """Whether transition ``number`` is taken by the instance of line ``k``, at its statement."""
    line = claim.lines[k]
    if number not in line.steps:
        return FALSE
    return and_(*(eq(p, substitute(i, values)) for p, i in zip(tr.params, line.index, strict=False)))


def _chosen(case: InitCase, claim: RunClaim, chosen: Sequence[Var]) -> InitCase:
    """A way to begin, with who is meant by the lines."""
    fresh = tuple(Param(f"%who.{n}", p.sort) for n, p in enumerate(claim.params))
    where = substitute(claim.where, {p.name: f for p, f in zip(claim.params, fresh, strict=True)})
    updates = tuple(Update(var, (), f) for var, f in zip(chosen, fresh, strict=True))
    return InitCase((*case.params, *fresh), and_(case.guard, where), (*case.updates, *updates))


def _cases(case: Case, original: Sequence[int], after: Sequence[Expr], done: Expr) -> list[Case]:
    """A case of what the run leads to, in the watching system."""
    if case.via is None:
        return [replace(case, cond=and_(case.cond, done))]
    return [
        Case(case.params, and_(case.cond, after[n]), n, case.check)
        for n, number in enumerate(original)
        if number == case.via and after[n] != FALSE
    ]


def _at_least(at: Expr, k: int, count: int) -> Expr:
    return or_(*(eq(at, Lit(n)) for n in range(k, count + 1)))


def _end(watched: Watched, end: Choice | None, rigid: tuple[int, ...]) -> Choice | None:
    """Which case of the claim's own target the end of a run is."""
    claim = watched.claim
    if end is None:
        return None
    if claim.leads is None:
        return Choice(0, ())
    return Choice(watched.cases[end.which], end.values) if claim.toward else Choice(0, rigid)
