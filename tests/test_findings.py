"""The wording of outcomes and the exit codes that follow from reports."""

from __future__ import annotations

import pytest

from protocheck.engines.verdict import Exhausted, Induction, Invariant, Limit, Structural
from protocheck.findings import (
    Broken,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    Mismatch,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Report,
    ScenarioReport,
    Tone,
    Unknown,
    Vacuous,
    Violated,
    exit_status,
    sentence,
    word,
)

ORBITS = Exhausted(17397, 27, True)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Holds(ORBITS), "holds at 2 gfn (exhausted: 17,397 states up to symmetry, deepest 27)"),
        (Holds(Exhausted(1, 0, False)), "holds at 2 gfn (exhausted: 1 state, deepest 0)"),
        (Holds(Induction(4)), "holds at 2 gfn (proved by induction over 4 steps)"),
        (
            Holds(Invariant(()), rechecked=True),
            "holds at 2 gfn (proved: every state excludes it, reachable or not, certificate re-checked)",
        ),
        (
            Holds(Structural("the lock graph has no cycle"), ("gfn", "vcpu"), ("2 slot",)),
            "holds for any number of gfn and vcpu with 2 slot fixed (proved: the lock graph has no cycle)",
        ),
        (HoldsToDepth(20), "holds up to depth 20 at 2 gfn"),
        (Violated(12, True), "violated in 12 steps (the shortest run) at 2 gfn"),
        (Violated(1, False), "violated in 1 step (a shorter run may exist) at 2 gfn"),
        (Found(3, True), "found in 3 steps (the shortest run) at 2 gfn"),
        (NeverFound(ORBITS), "unreachable at 2 gfn (exhausted: 17,397 states up to symmetry, deepest 27)"),
        (NotFoundToDepth(7), "not found up to depth 7 at 2 gfn"),
        (Vacuous("no thread ever evaluates it"), "vacuous at 2 gfn: no thread ever evaluates it"),
        (Unknown(Limit.TIME), "unknown at 2 gfn: time limit"),
        (
            Unknown(Limit.STATES, "400000 states", 9),
            "unknown at 2 gfn: state limit (400000 states); nothing found up to depth 9",
        ),
        (Broken("a run does not replay"), "no verdict, a fault in protocheck itself: a run does not replay"),
    ],
)
def test_each_outcome_has_one_full_sentence(outcome: Outcome, expected: str) -> None:
    """The sentence names how far was looked and at which instance, and nothing of it is ever left out."""
    assert sentence(outcome, "2 gfn") == expected


def test_without_an_instance_only_the_sizes_are_left_out() -> None:
    """A table whose caption names the instance does not repeat it, but says everything else."""
    assert sentence(HoldsToDepth(20)) == "holds up to depth 20"
    assert sentence(Holds(ORBITS)) == "holds (exhausted: 17,397 states up to symmetry, deepest 27)"


def test_a_bounded_result_is_not_called_holds() -> None:
    """The word for what was only looked at up to some depth is unknown."""
    assert word(HoldsToDepth(1000)) == word(NotFoundToDepth(1000)) == "unknown"


def report(*findings: Finding, mismatches: tuple[Mismatch, ...] = ()) -> Report:
    return Report("m.pchk", "m", (ScenarioReport("s", "", (), (), (), findings, mismatches=mismatches),))


def finding(outcome: Outcome, good: bool, *, open_: bool = False, kind: str = "invariant") -> Finding:
    return Finding("p", "f", kind, "claim", outcome, as_expected=good, open=open_)


def test_exit_status_is_0_when_all_is_as_expected() -> None:
    """An expected violation is no failure."""
    assert exit_status([report(finding(Violated(3, True), True))]) == 0


def test_exit_status_is_1_when_a_verdict_differs() -> None:
    """A violation that nobody expected fails, and so does an expectation that no finding tells."""
    assert exit_status([report(finding(Violated(3, True), False))]) == 1
    assert exit_status([report(mismatches=(Mismatch("x violated", "nothing there"),))]) == 1


def test_exit_status_is_3_when_only_a_limit_was_hit() -> None:
    """What a limit left open is neither success nor failure; a failure beside it outranks it."""
    undecided = finding(HoldsToDepth(3), False, open_=True)
    assert exit_status([report(undecided)]) == 3
    assert exit_status([report(undecided), report(finding(Violated(3, True), False))]) == 1
    assert exit_status([report(mismatches=(Mismatch("x violated", "not decided", True),))]) == 3


def test_exit_status_is_70_when_evidence_does_not_stand() -> None:
    """A run that does not replay outranks everything, whatever was expected."""
    wrong = finding(Violated(3, True), False)
    assert exit_status([report(wrong), report(finding(Broken("does not replay"), False))]) == 70


def test_a_weakness_is_never_red() -> None:
    """A weakness that shows is noted, the same outcome of an invariant is bad."""
    assert finding(Violated(3, True), True, kind="weakness").tone is Tone.NOTED
    assert finding(Violated(3, True), True).tone is Tone.BAD
    assert finding(HoldsToDepth(3), True).tone is Tone.OPEN
