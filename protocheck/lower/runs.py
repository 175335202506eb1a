"""``run`` declarations of an instance: which transitions begin the statement of each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocheck.ir.expr import TRUE, Expr, Param, and_
from protocheck.ir.sorts import Sort
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    Property,
    PropertyTarget,
    RunClaim,
    RunLine,
    System,
    Target,
)
from protocheck.lower.evaluate import Evaluator, Path
from protocheck.lower.instance import Instance
from protocheck.lower.nodes import Activation
from protocheck.lower.values import index_sorts
from protocheck.source import Origin
from protocheck.types import tree as t
from protocheck.types.types import ThreadType

Fresh = Callable[[Sort, str], Param]


def run_claims(
    runs: Sequence[t.RunDecl],
    instance: Instance,
    system: System,
    begun: Sequence[tuple[str, ...]],
    evaluator: Evaluator,
    fresh: Fresh,
    resolve: Callable[[Expr], Expr],
) -> tuple[RunClaim, ...]:
    """The claims of ``runs`` that are meant for this scenario; ``system`` has its properties already.

    ``begun`` gives for each of its transitions the labels of the statements that the step begins.
    A run whose thread the scenario leaves out has lines that no step begins.
    """
    return tuple(
        _claim(r, instance, system, begun, evaluator, fresh, resolve)
        for r in runs
        if not r.scenarios or instance.scenario in r.scenarios
    )


def _claim(
    run: t.RunDecl,
    instance: Instance,
    system: System,
    begun: Sequence[tuple[str, ...]],
    e: Evaluator,
    fresh: Fresh,
    resolve: Callable[[Expr], Expr],
) -> RunClaim:
    path, here = Path(), Activation(run.name, None)
    params: list[Param] = []
    exist: list[Expr] = []
    for local in run.binders:
        if isinstance(local.type, ThreadType):
            if local.type.thread not in e.threads:
                # Nobody to choose: nothing begins any line, and no other part of the claim can be evaluated.
                lines = tuple(RunLine(line.text, "", (), (), Origin(line.span)) for line in run.lines)
                return RunClaim(run.name, (), TRUE, lines, None, run.toward, _told(run), Origin(run.span))
            bound, inside = e.thread_binder(local.type.thread)
            params += bound.params
            exist.append(inside)
            path.values[local.number] = bound
        else:
            mine = tuple(fresh(s, local.name) for s in index_sorts(local.type, instance))
            params += mine
            path.values[local.number] = e.bundle(local.type, mine)
    if run.where is not None:
        exist.append(e.truth(run.where, here, path))
    lines = tuple(_line(line, system, begun, e, here, path) for line in run.lines)
    leads: PropertyTarget | None = None
    if run.goal is not None:
        leads = Target((Case(tuple(params), resolve(e.truth(run.goal, here, path))),))
    elif run.toward:
        leads = violation(run.toward, system.properties)
    where = and_(*exist)
    return RunClaim(run.name, tuple(params), where, lines, leads, run.toward, _told(run), Origin(run.span))


def violation(name: str, properties: Sequence[Property]) -> PropertyTarget:
    """What violates the property or any member of the family ``name``; nothing does if the instance has none."""
    found = [p for p in properties if p.name == name and p.kind != "assertion"]
    found = found or [p for p in properties if p.family == name]
    if any(isinstance(p.target, DeadlockTarget) for p in found):
        return DeadlockTarget()
    return Target(tuple(case for p in found if isinstance(p.target, Target) for case in p.target.cases))


def _line(
    line: t.RunLine, system: System, begun: Sequence[tuple[str, ...]], e: Evaluator, here: Activation, path: Path
) -> RunLine:
    """The steps that begin the statement, so not those by which one who waits there already goes on."""
    name = line.thread.thread
    if name not in e.threads:
        return RunLine(line.text, "", (), (), Origin(line.span))
    steps = tuple(k for k, tr in enumerate(system.transitions) if tr.thread == name and line.label in begun[k])
    index = e.thread_index(line.thread, here, path, TRUE)
    return RunLine(line.text, name, index, steps, Origin(line.span))


def _told(run: t.RunDecl) -> str:
    """The claim on one line."""
    text = "; ".join(line.text for line in run.lines)
    end = run.toward or (" ".join(run.goal.span.text.split()) if run.goal is not None else "")
    return text + (f" leads to {end}" if end else "")
