"""What is found about the ``run`` claims of a system: asked of an engine, replayed, said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from protocheck.engines import auto
from protocheck.engines.certify import CertificateRejected, CertificateUndecided, Recheck, certify
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Induction,
    Invariant,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Structural,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.findings import Broken, Evidence, Finding, Found, NeverFound, NotFoundToDepth, Outcome, Proof, plural
from protocheck.findings import Unknown as UnknownOutcome
from protocheck.ir.interp import mover
from protocheck.ir.system import PropertyTarget, RunClaim, System
from protocheck.properties.families import members
from protocheck.properties.runs import KIND, Answer, ask_run
from protocheck.traces.replay import ReplayFailed, replay
from protocheck.traces.run_lines import ANYWHERE, NotTheRun, where_lines


def selected_runs(system: System, names: Sequence[str]) -> tuple[RunClaim, ...]:
    """The runs of ``system`` that ``names`` mean; all if there are no names."""
    pairs = [(r.name, KIND) for r in system.runs]
    chosen = {k for name in names for k in members(name, pairs)}
    return tuple(r for k, r in enumerate(system.runs) if k in chosen or not names)


def run_findings(
    system: System, names: Sequence[str], engine: Engine, budget: Budget, seconds: float
) -> tuple[Finding, ...]:
    """One finding for each run that ``names`` mean (all, if there are none), in source order.

    ``seconds`` is the time that was allowed, for the words about a limit.
    """
    return tuple(_finding(system, claim, engine, budget, seconds) for claim in selected_runs(system, names))


def _finding(system: System, claim: RunClaim, engine: Engine, budget: Budget, seconds: float) -> Finding:
    used: dict[str, None] = {}

    def ask(watching: System, targets: Sequence[PropertyTarget]) -> tuple[Verdict, ...]:
        if engine.name != auto.ENGINE.name:
            used[engine.name] = None
            return engine.run(watching, targets, budget)
        answers = auto.portfolio(watching, targets, budget)
        used.update(dict.fromkeys(a.engine for a in answers))
        return tuple(a.verdict for a in answers)

    answer = ask_run(system, claim, ask)
    evidence: Evidence | None = None
    proof: Proof | None = None
    try:
        outcome, evidence = _outcome(system, claim, answer, seconds)
        message = _message(claim, answer, evidence)
        if isinstance(answer.verdict, Unreachable) and not isinstance(answer.verdict.by, Structural):
            proof = Proof(answer.watched.system, answer.watched.whole, answer.verdict)
            outcome, remark = _rechecked(outcome, proof, budget)
            message = "; ".join(x for x in (message, remark) if x)
    except (ReplayFailed, NotTheRun) as problem:
        outcome, message = Broken(f"a run found by {', '.join(used)} does not replay: {problem}"), ""
    except CertificateRejected as problem:
        outcome, message = Broken(f"a proof by {', '.join(used)} does not check: {problem}"), ""
    return Finding(
        claim.name,
        KIND,
        KIND,
        claim.claim,
        outcome,
        message=message,
        evidence=evidence,
        verdict=answer.verdict,
        engine=next(iter(used), ""),
        origin=claim.origin,
        proof=proof,
    )


def _outcome(
    system: System, claim: RunClaim, answer: Answer, seconds: float
) -> tuple[Outcome, Evidence | None]:
    shown = (
        _replayed(system, claim, ANYWHERE, answer.prefix, answer.possible) if answer.prefix is not None else None
    )
    match answer.verdict:
        case Reached(run, shortest):
            evidence = _replayed(system, claim, answer.target, run, len(claim.lines))
            movers = [mover(system, move) for move in run.moves]
            return Found(len(run.moves), shortest, sum(a != b for a, b in pairwise(movers))), evidence
        case Unreachable(by, any_size):
            return NeverFound(by, any_size), shown
        case NotReachedWithin(depth):
            return NotFoundToDepth(depth), shown
        case Unknown(limit, detail, depth):
            words = f"{seconds:g} seconds" if limit is Limit.TIME and not detail else detail
            return UnknownOutcome(limit, words, depth), None


def _replayed(system: System, claim: RunClaim, target: PropertyTarget, run: Run, lines: int) -> Evidence:
    """The run, replayed in the system without a counter, and its lines found once more."""
    evidence = Evidence(run, target, replay(system, target, run))
    where_lines(system, claim, run, lines)
    return evidence


def _rechecked(outcome: Outcome, proof: Proof, budget: Budget) -> tuple[Outcome, str]:
    if not isinstance(outcome, NeverFound) or not isinstance(outcome.by, Invariant | Induction):
        return outcome, ""
    try:
        checked = certify(proof.system, proof.target, proof.verdict, budget.deadline) is Recheck.CHECKED
    except CertificateUndecided as problem:
        return outcome, f"its certificate was not re-checked: {problem}"
    return NeverFound(outcome.by, outcome.any_size, outcome.fixed, checked), ""


def _message(claim: RunClaim, answer: Answer, evidence: Evidence | None) -> str:
    """From which line on a run is impossible, in words."""
    if isinstance(answer.verdict, Reached | Unknown):
        return ""
    known = isinstance(answer.verdict, Unreachable) and answer.exact
    steps = f" (in {plural(len(evidence.run.moves), 'step')})" if evidence is not None else ""
    if answer.possible == len(claim.lines):
        so_far = f"all {plural(answer.possible, 'line')}" if answer.possible > 1 else "the line"
        end = claim.toward or claim.claim.rsplit(" leads to ", 1)[-1]
        verb = "never follows" if known else "was not found to follow"
        return f"{so_far} can happen{steps}, but `{end}` {verb}"
    line = claim.lines[answer.possible]
    which = f"line {answer.possible + 1} (`{line.text}`)"
    if not line.steps:
        return f"{which}: no thread of this scenario takes a step there"
    if not answer.possible:
        return f"{which} {'never happens' if known else 'was not found to happen'}"
    first = plural(answer.possible, "line")
    so_far = f"the first {first} can happen{steps}" if answer.possible > 1 else f"the first line can happen{steps}"
    return f"{so_far}, but {which} {'can never be next' if known else 'was not found to be next'}"
