"""Hypothesis strategies for small random systems with fairness, and for claims about their infinite runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from strategies import Scope, problems, truths

from protocheck.ir.expr import FALSE, TRUE, Expr, Param
from protocheck.ir.sorts import scalarset_of
from protocheck.ir.system import FairKind, Fairness, LiveTarget, ProgressTarget, RecoverableTarget, StepSet, System


@dataclass(frozen=True)
class LiveProblem:
    """A system with fairness, and targets of which at least one is about progress."""

    system: System
    targets: tuple[LiveTarget, ...]


@st.composite
def live_problems(draw: st.DrawFn) -> LiveProblem:
    """A random system, random fairness of every form, and one to three targets."""
    built = draw(problems(deadlock=False)).system
    scalars = built.scalarsets
    names = tuple(v for v in built.variables if all(v != t.pc for t in built.threads))
    fairness: list[Fairness] = []
    for k, owner in enumerate(built.threads):
        mine = [n for n, t in enumerate(built.transitions) if t.thread == owner.name]
        if not mine:
            continue
        for m in range(draw(st.integers(0, 2))):
            kind = draw(st.sampled_from(["weak", "strong", "trigger"]))
            some = tuple(sorted(draw(st.sets(st.sampled_from(mine), min_size=1))))
            rest: Expr = FALSE
            if kind != "trigger" and draw(st.booleans()):
                rest = draw(truths(Scope(names, owner.params, f"r{k}{m}"), scalars, 1))
            trigger = tuple(sorted(draw(st.sets(st.sampled_from(mine), min_size=1)))) if kind == "trigger" else ()
            free = draw(st.sets(st.sampled_from(mine))) if kind == "strong" else set()
            released = tuple(sorted(free - set(some)))
            fair = FairKind.WEAK if kind == "weak" else FairKind.STRONG
            fairness.append(Fairness(fair, f"{kind} {k}.{m}", owner.name, owner.params, some, rest, trigger, released))
    targets: list[LiveTarget] = []
    for k in range(draw(st.integers(1, 3))):
        if k and draw(st.booleans()):
            targets.append(RecoverableTarget(draw(truths(Scope(names, (), f"g{k}"), scalars, 1))))
            continue
        extra: tuple[Param, ...] = ()
        if scalars and draw(st.booleans()):
            extra = (Param(f"x{k}", draw(st.sampled_from(scalars))),)
        scope = Scope(names, extra, f"p{k}")
        pending = TRUE if draw(st.booleans()) else draw(truths(scope, scalars, 1))
        reached = FALSE if draw(st.booleans()) else draw(truths(scope, scalars, 1))
        reaching = _steps(draw, built, names, extra, f"s{k}") if draw(st.booleans()) else StepSet(())
        recurs = tuple(_steps(draw, built, names, extra, f"c{k}{m}") for m in range(draw(st.integers(0, 1))))
        targets.append(ProgressTarget(extra, TRUE, pending, reached, reaching, recurs))
    return LiveProblem(replace(built, fairness=tuple(fairness)), tuple(targets))


def _steps(draw: st.DrawFn, built: System, names: tuple[object, ...], extra: tuple[Param, ...], tag: str) -> StepSet:
    members: list[tuple[int, Expr]] = []
    for which in sorted(draw(st.sets(st.integers(0, len(built.transitions) - 1), min_size=1, max_size=2))):
        params = (*extra, *built.transitions[which].params)
        scope = Scope(tuple(v for v in built.variables if v in names), params, f"{tag}{which}")
        cond = TRUE if draw(st.booleans()) else draw(truths(scope, built.scalarsets, 1))
        members.append((which, cond))
    assert all(scalarset_of(p.sort) is not None for p in extra)
    return StepSet(tuple(members))
