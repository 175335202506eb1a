"""What more is found out about a violation: since when it is inevitable, and more than one run that shows it."""

from __future__ import annotations

from dataclasses import replace

from protocheck.engines.inevitable import inevitable
from protocheck.engines.several import several
from protocheck.engines.verdict import Budget
from protocheck.findings import Evidence, Finding, Others, Violated
from protocheck.ir.system import DeadlockTarget, System, Target
from protocheck.traces.replay import replay


def others(system: System, finding: Finding, count: int, budget: Budget) -> Others | None:
    """Up to ``count`` runs in all behind ``finding``; None if it is no violation that ends (or one of lock order, whose
    cycles are findings of their own).

    A run that does not replay raises :class:`protocheck.traces.replay.ReplayFailed`: a fault of the search.
    """
    evidence = finding.evidence
    if evidence is None or finding.lock_graph is not None or not isinstance(finding.outcome, Violated):
        return None
    target = evidence.target
    if not isinstance(target, Target | DeadlockTarget):
        return None
    found = several(system, target, evidence.run, count, budget)
    runs = tuple(Evidence(run, target, replay(system, target, run)) for run in found.runs[1:])
    return Others(runs, found.found, found.ends, found.complete)


def explained(system: System, finding: Finding, budget: Budget) -> Finding:
    """``finding`` with the step of its run after which the violation is inevitable, if that can be decided."""
    evidence = finding.evidence
    if evidence is None or finding.lock_graph is not None or not isinstance(finding.outcome, Violated):
        return finding
    if not isinstance(evidence.target, Target | DeadlockTarget):
        return finding
    target, run = evidence.target, evidence.run
    by_step = isinstance(target, Target) and run.end is not None and target.cases[run.end.which].via is not None
    states = evidence.replayed.states[: len(run.moves) + (not by_step)]
    since = inevitable(system, target, states, by_step, budget)
    return replace(finding, evidence=replace(evidence, inevitable=since))
