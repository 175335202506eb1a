"""What a scenario expects, against what was found.

A name means a property if one has it, else a family; a family is violated if any member is, and to name it covers all
of its members. What no expectation names must hold, unless ``others`` says otherwise. An outcome that a limit kept
from being the expected one is *open*: no failure, but no success either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protocheck.findings import (
    Broken,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    LockFinding,
    LockFindingKind,
    LockGraph,
    Mismatch,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Unknown,
    Vacuous,
    Violated,
    plural,
    sentence,
)
from protocheck.properties.families import LOCK_ORDER, members

if TYPE_CHECKING:
    from protocheck.types.tree import Expectation

Labels = Callable[[Finding], Sequence[str]]
"""The labels at which the run of a finding ends (where its last step began, or where its threads are blocked)."""


@dataclass(frozen=True)
class Match:
    """Whether an outcome is what was expected; ``open`` if only a limit kept it from being decided."""

    good: bool
    open: bool = False
    message: str = ""


def judge(
    findings: Sequence[Finding], expectations: Sequence[Expectation], labels: Labels, selected: bool = False
) -> tuple[tuple[Finding, ...], tuple[Mismatch, ...]]:
    """``findings`` with ``expected``, ``as_expected``, ``open`` and ``message`` filled in, and what no finding tells.

    ``selected``: not everything was checked, so that an expectation about nothing that was checked is no mismatch.
    """
    pairs = [("" if f.kind == "assertion" else f.name, f.family) for f in findings]
    rest = next((e for e in reversed(expectations) if e.target == "others"), None)
    rest = rest or next((e for e in reversed(expectations) if e.target == "all"), None)
    by_property: dict[int, Expectation] = {}
    by_family: dict[int, tuple[Expectation, tuple[int, ...]]] = {}
    about_locks: list[Expectation] = []
    mismatches: list[Mismatch] = []
    for e in expectations:
        if e.target in ("all", "others"):
            continue
        if e.target == LOCK_ORDER:
            about_locks.append(e)
            continue
        found = members(e.target, pairs)
        if not found and not selected:
            mismatches += _about_nothing(e)
        if len(found) == 1 and pairs[found[0]][0] == e.target:
            by_property[found[0]] = e
        else:
            for k in found:
                by_family[k] = (e, found)
    judged: list[Finding] = []
    for k, finding in enumerate(findings):
        if finding.family == LOCK_ORDER and finding.lock_graph is not None:
            judged.append(_lock_order(finding, finding.lock_graph, about_locks or [e for e in (rest,) if e], labels))
        elif k in by_property:
            judged.append(_apply(finding, words(by_property[k]), _match(finding, by_property[k], labels)))
        elif k in by_family:
            expectation, group = by_family[k]
            judged.append(_of_family(findings, k, expectation, group, labels))
        else:
            judged.append(_unnamed(finding, rest, labels))
    if about_locks and not selected and not any(f.family == LOCK_ORDER for f in findings):
        mismatches += [m for e in about_locks for m in _about_nothing(e)]
    return tuple(judged), tuple(mismatches)


def words(e: Expectation) -> str:
    """What an expectation expects, without the name: "violated in at most 6 steps at store"."""
    text = f"{e.kind} {e.outcome}".strip() if e.outcome != "holds" or not e.kind else e.kind
    if e.steps is not None:
        text += f" in {'at most ' if e.at_most else ''}{plural(e.steps, 'step')}"
    return text + (f" at {e.label}" if e.label else "")


def _about_nothing(e: Expectation) -> list[Mismatch]:
    """An expectation about something that this instance does not have: nothing can go wrong, but nothing happens."""
    if e.outcome in ("holds", "holds or vacuous", "any", "vacuous", "unreachable"):
        return []
    return [Mismatch(f"{e.target} {words(e)}", f"nothing in this scenario belongs to {e.target}")]


def _unnamed(finding: Finding, rest: Expectation | None, labels: Labels) -> Finding:
    if finding.kind == "weakness" and (rest is None or rest.target == "all" or rest.outcome == "any"):
        good = not isinstance(finding.outcome, Broken)
        return replace(finding, expected="any", as_expected=good)
    if rest is None:
        return _apply(finding, "holds", _holds(finding.outcome))
    return _apply(finding, words(rest), _match(finding, rest, labels))


def _apply(finding: Finding, expected: str, match: Match) -> Finding:
    message = finding.message if match.good or not match.message else match.message
    if finding.kind == "run" and finding.message and message != finding.message:
        message = f"{message}; {finding.message}"  # from which line on it is impossible
    return replace(finding, expected=expected, as_expected=match.good, open=match.open, message=message)


def _of_family(
    findings: Sequence[Finding], k: int, e: Expectation, group: Sequence[int], labels: Labels
) -> Finding:
    """Finding ``k`` as a member of ``group``, of which ``e`` speaks as a whole."""
    finding = findings[k]
    if e.outcome not in ("violated", "unknown"):
        return _apply(finding, words(e), _match(finding, e, labels))
    if isinstance(finding.outcome, Broken):
        return _apply(finding, words(e), Match(False))
    matches = {j: _match(findings[j], e, labels) for j in group}
    best = _shortest([findings[j] for j in group]) if e.outcome == "violated" else None
    if best is not None:
        match = next(matches[j] for j in group if findings[j] is best)
        if match.good or finding is best:
            return _apply(finding, words(e), match)
        return _apply(finding, words(e), Match(True))
    if any(m.good for m in matches.values()):
        return _apply(finding, words(e), Match(True))
    # Nobody is what the family should be: told once, by a member that a limit left open if there is one.
    teller = next((j for j in group if matches[j].open), group[0])
    return _apply(finding, words(e), matches[k] if k == teller else Match(True))


def _shortest(group: Sequence[Finding]) -> Finding | None:
    violated = [(f.outcome.steps, n, f) for n, f in enumerate(group) if isinstance(f.outcome, Violated)]
    return min(violated, key=lambda v: v[:2])[2] if violated else None


def _match(finding: Finding, e: Expectation, labels: Labels) -> Match:
    """One outcome against one expectation."""
    outcome = finding.outcome
    if isinstance(outcome, Broken):
        return Match(False)
    match e.outcome:
        case "any":
            return Match(True)
        case "holds":
            return _holds(outcome)
        case "holds or vacuous":
            return Match(True) if isinstance(outcome, Vacuous) else _holds(outcome)
        case "violated":
            return _violated(finding, outcome, e, labels)
        case "unreachable":
            return _one_of(outcome, NeverFound, "unreachable")
        case "vacuous" if finding.untested:
            return Match(False, True, f"expected to be vacuous, which is not decided: {sentence(outcome)}")
        case "vacuous":
            return _one_of(outcome, Vacuous, "vacuous")
        case "unknown":
            good = isinstance(outcome, Unknown | HoldsToDepth | NotFoundToDepth)
            return Match(good, message="" if good else f"expected to be unknown, but it {sentence(outcome)}")
        case other:
            raise ValueError(f"no outcome is called {other}")


def _holds(outcome: Outcome) -> Match:
    match outcome:
        case Holds() | Found():
            return Match(True)
        case Unknown() | HoldsToDepth() | NotFoundToDepth():
            return Match(False, True, f"expected to hold, which is not decided: {sentence(outcome)}")
        case Violated() | NeverFound() | Vacuous():
            return Match(False, message=f"expected to hold, but {_it_is(outcome)}")
        case Broken():
            return Match(False)


def _violated(finding: Finding, outcome: Outcome, e: Expectation, labels: Labels) -> Match:
    if not isinstance(outcome, Violated):
        undecided = isinstance(outcome, Unknown | HoldsToDepth | NotFoundToDepth)
        return Match(False, undecided, f"expected to be {words(e)}, but {_it_is(outcome)}")
    if e.steps is not None:
        longer = outcome.steps > e.steps
        if (e.at_most and longer) or (not e.at_most and outcome.steps != e.steps):
            undecided = longer and not outcome.shortest
            return Match(False, undecided, f"expected {words(e)}, but it is {sentence(outcome)}")
    if e.label and e.label not in labels(finding):
        ends = ", ".join(labels(finding)) or "no label"
        return Match(False, message=f"expected {words(e)}, but its run ends at {ends}")
    return Match(True)


def _one_of(outcome: Outcome, kind: type[NeverFound] | type[Vacuous], name: str) -> Match:
    if isinstance(outcome, kind):
        return Match(True)
    undecided = isinstance(outcome, Unknown | HoldsToDepth | NotFoundToDepth)
    return Match(False, undecided, f"expected to be {name}, but {_it_is(outcome)}")


def _it_is(outcome: Outcome) -> str:
    """``sentence`` after "it"."""
    verb = "" if isinstance(outcome, Holds | HoldsToDepth) else "is "
    return f"it {verb}{sentence(outcome)}"


# --------------------------------------------------------------------------------------------------------------------
# Lock order


def _lock_order(finding: Finding, graph: LockGraph, expectations: Sequence[Expectation], labels: Labels) -> Finding:
    """``lock_order`` against what names its kinds; violations of a kind that is not named must not occur."""
    if not expectations:
        return _apply(finding, "holds", _holds(finding.outcome))
    plain = [e for e in expectations if not e.kind]
    named = [e for e in expectations if e.kind]
    expected = ", ".join(words(e) for e in expectations)
    if plain:
        match = _match(finding, plain[-1], labels)
        if not match.good:
            return _apply(finding, expected, match)
    undecided = any(f.kind is LockFindingKind.OPEN for f in graph.findings)
    for e in named:
        match = _kind(finding, graph, e, labels, undecided)
        if not match.good:
            return _apply(finding, expected, match)
    if not plain:
        kinds = {e.kind for e in named}
        for f in graph.findings:
            if f.violation and f.kind.value not in kinds:
                return _apply(finding, expected, Match(False, message=f"not expected: {f.headline}"))
        if undecided and not any(e.outcome == "violated" for e in named):
            return _apply(finding, expected, Match(False, True, f"not decided: {sentence(finding.outcome)}"))
    return _apply(finding, expected, Match(not isinstance(finding.outcome, Broken)))


def _kind(finding: Finding, graph: LockGraph, e: Expectation, labels: Labels, undecided: bool) -> Match:
    """Whether the graph has a finding of the kind that ``e`` names (or has none, if that is to hold)."""
    of_kind = [f for f in graph.findings if f.kind.value == e.kind]
    harmless = e.kind in (LockFindingKind.PREVENTED.value, LockFindingKind.UNREALISED.value)
    if e.outcome == "any":
        return Match(True)
    if e.outcome in ("holds", "holds or vacuous") and not harmless:
        if of_kind:
            return Match(False, message=f"not expected: {of_kind[0].headline}")
        return Match(not undecided, undecided, "" if not undecided else f"whether there is a {e.kind} was not decided")
    if not of_kind:
        instead = "; ".join(f.headline for f in graph.findings) or "nothing of the sort"
        return Match(False, undecided, f"expected a {e.kind}, found {instead}")
    if e.outcome != "violated" or harmless:
        return Match(True)
    best = min(of_kind, key=_steps)
    inner = replace(finding, outcome=best.outcome, evidence=best.evidence)
    return _violated(inner, best.outcome, e, labels)


def _steps(f: LockFinding) -> int:
    return f.outcome.steps if isinstance(f.outcome, Violated) else 0
