"""More than one counterexample: further runs behind a violation, each replayed, none like another."""

from __future__ import annotations

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
