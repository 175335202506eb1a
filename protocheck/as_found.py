"""The `expect` line that says of a scenario what was found: what to write where that is what the model should say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from protocheck.findings import (
    Broken,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
    plural,
)
from protocheck.properties.families import LOCK_ORDER


def expect_line(scenario: ScenarioReport) -> str | None:
    """An `expect` line that all verdicts of ``scenario`` meet, with the length of each shortest run.

    None where a limit left a verdict open, or evidence did not stand: nobody should expect that. What holds is not
    named, since it is expected anyway. The assertions of a family go by its name.
    """
    parts: list[str] = []
    for finding in _tellers(scenario.findings):
        if isinstance(finding.outcome, Broken | Unknown | HoldsToDepth | NotFoundToDepth):
            return None
        if finding.lock_graph is not None:
            parts += _lock_order(finding)
        else:
            said = _words(finding.outcome)
            name = finding.family if finding.kind == "assertion" else finding.name
            parts += [f"{name} {said}"] if said else []
    return f"expect {', '.join(dict.fromkeys(parts)) or 'all hold'};"


def _tellers(findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding for each name: of the assertions of a family, which is expected as a whole, the one that counts."""
    for finding in findings:
        if finding.kind != "assertion":
            yield finding
            continue
        group = [f for f in findings if f.family == finding.family]
        if finding is next(f for f in group if f.kind == "assertion"):
            yield min(group, key=_rank)


def _rank(finding: Finding) -> tuple[int, int]:
    match finding.outcome:
        case Violated(steps):
            return 0, steps
        case Holds() | Found():
            return 2, 0
        case _:
            return 1, 0


def _words(outcome: Outcome) -> str:
    match outcome:
        case Violated(steps, True, _, None):
            return f"violated in {plural(steps, 'step')}"
        case Violated():  # an endless run, or one of which a shorter one may exist, has no length to rely on
            return "violated"
        case NeverFound():
            return "unreachable"
        case Vacuous():
            return "vacuous"
        case Holds() | Found() | HoldsToDepth() | NotFoundToDepth() | Unknown() | Broken():
            return ""
        case _:
            assert_never(outcome)


def _lock_order(finding: Finding) -> Iterator[str]:
    """A part for each kind of violation, with the length of the shortest run of that kind."""
    graph = finding.lock_graph
    assert graph is not None
    for kind in dict.fromkeys(f.kind.value for f in graph.findings if f.violation):
        of_kind = [f.outcome for f in graph.findings if f.kind.value == kind]
        best = min(of_kind, key=lambda o: o.steps if isinstance(o, Violated) else 0)
        yield f"{LOCK_ORDER} {kind} {_words(best) or 'violated'}"
