"""Expectations against findings: which name means what, and what a limit leaves open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from build import NOWHERE

from protocheck.engines.verdict import Exhausted, Limit
from protocheck.findings import (
    Broken,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    LockFinding,
    LockFindingKind,
    LockGraph,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Unknown,
    Vacuous,
    Violated,
)
from protocheck.properties.expectations import judge, words
from protocheck.types.tree import Expectation

PROOF = Exhausted(10, 3, False)
HOLDS = Holds(PROOF)
SPAN = NOWHERE.span


def expect(
    target: str,
    outcome: str = "holds",
    kind: str = "",
    steps: int | None = None,
    at_most: bool = False,
    label: str = "",
) -> Expectation:
    return Expectation(target, kind, outcome, steps, at_most, label, SPAN)


def finding(name: str, outcome: Outcome, family: str = "", kind: str = "invariant") -> Finding:
    return Finding(name, family or name, kind, "claim", outcome)


def run(findings: list[Finding], *expectations: Expectation, label: str = "", selected: bool = False) -> list[str]:
    """Each finding as "name +" (as expected), "name -" (not) or "name ?" (open), then the mismatches."""
    judged, mismatches = judge(findings, expectations, lambda _: (label,) if label else (), selected)
    shown = [f"{f.name} {'+' if f.as_expected else '?' if f.open else '-'}" for f in judged]
    return shown + [f"{m.message}" for m in mismatches]


def test_what_is_not_named_must_hold() -> None:
    """With no expectation at all, holds is expected of everything."""
    findings = [finding("a", HOLDS), finding("b", Violated(2, True)), finding("c", Found(1, True))]
    assert run(findings) == ["a +", "b -", "c +"]


def test_naming_one_leaves_the_others_to_hold() -> None:
    """An expected violation does not excuse another one."""
    findings = [finding("a", Violated(2, True)), finding("b", Violated(2, True))]
    assert run(findings, expect("a", "violated")) == ["a +", "b -"]
    assert run(findings, expect("a", "violated"), expect("others", "any")) == ["a +", "b +"]


def test_all_gives_way_to_what_is_named() -> None:
    """`all hold` beside a named property says the same as `others hold`."""
    findings = [finding("a", Violated(2, True)), finding("b", HOLDS), finding("c", NeverFound(PROOF), kind="reachable")]
    named = (expect("a", "violated"), expect("c", "unreachable"))
    for rest in ("all", "others"):
        assert run(findings, expect(rest), *named) == ["a +", "b +", "c +"]
    assert run(findings, expect("all"), named[0]) == ["a +", "b +", "c -"]


def test_hold_or_vacuous_takes_both_and_nothing_else() -> None:
    """A claim that is never put to the test passes, a violation or a `reachable` that is not found does not."""
    findings = [
        finding("a", HOLDS),
        finding("b", Vacuous("nothing happens")),
        finding("c", Violated(2, True)),
        finding("d", NeverFound(PROOF), kind="reachable"),
    ]
    assert run(findings, expect("others", "holds or vacuous")) == ["a +", "b +", "c -", "d -"]
    assert run(findings[:2], expect("b", "holds or vacuous")) == ["a +", "b +"]


def test_a_property_goes_before_a_family_of_the_same_name() -> None:
    """`lost` names the property alone if one has that name, so the rest of the family must hold."""
    findings = [finding("lost", Violated(2, True), "lost"), finding("other", Violated(2, True), "lost")]
    assert run(findings, expect("lost", "violated")) == ["lost +", "other -"]


def test_a_family_is_violated_if_any_member_is() -> None:
    """Naming a family covers all members, whether they hold or not."""
    findings = [finding("x", HOLDS, "lost"), finding("y", Violated(4, True), "lost")]
    assert run(findings, expect("lost", "violated")) == ["x +", "y +"]


def test_the_number_of_steps_is_that_of_the_shortest_member() -> None:
    """`violated in k steps` looks at the member that is violated soonest."""
    findings = [finding("x", Violated(7, True), "lost"), finding("y", Violated(4, True), "lost")]
    assert run(findings, expect("lost", "violated", steps=4)) == ["x +", "y +"]
    assert run(findings, expect("lost", "violated", steps=7)) == ["x +", "y -"]
    assert run(findings, expect("lost", "violated", steps=5, at_most=True)) == ["x +", "y +"]


def test_a_family_that_holds_is_told_once() -> None:
    """If no member is violated, one finding says so, preferably one that a limit left open."""
    findings = [finding("x", HOLDS, "lost"), finding("y", HoldsToDepth(4), "lost")]
    assert run(findings, expect("lost", "violated")) == ["x +", "y ?"]
    findings = [finding("x", HOLDS, "lost"), finding("y", HOLDS, "lost")]
    assert run(findings, expect("lost", "violated")) == ["x -", "y +"]


def test_a_family_of_an_imported_module_may_be_named_without_the_import() -> None:
    """`double_populate` means `page.double_populate` where nothing else has the name."""
    findings = [finding("page.double_populate", Violated(4, True), "double_populate")]
    assert run(findings, expect("double_populate", "violated")) == ["page.double_populate +"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (HOLDS, "+"),
        (Found(2, True), "+"),
        (Violated(2, True), "-"),
        (NeverFound(PROOF), "-"),
        (Vacuous("never"), "-"),
        (HoldsToDepth(9), "?"),
        (NotFoundToDepth(9), "?"),
        (Unknown(Limit.TIME), "?"),
        (Broken("x"), "-"),
    ],
)
def test_holds_means_for_every_depth(outcome: Outcome, expected: str) -> None:
    """A bounded result does not meet `holds`; it leaves it open. A vacuous pass is a failure."""
    assert run([finding("a", outcome)], expect("a")) == [f"a {expected}"]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (NeverFound(PROOF), "unreachable"),
        (Vacuous("never"), "vacuous"),
        (HoldsToDepth(3), "unknown"),
        (Unknown(Limit.TIME), "unknown"),
        (Violated(3, True), "any"),
    ],
)
def test_each_outcome_can_be_expected(outcome: Outcome, word: str) -> None:
    """What is expected by its name is as expected, and does not meet the others."""
    assert run([finding("a", outcome)], expect("a", word)) == ["a +"]
    assert run([finding("a", HOLDS)], expect("a", word)) == [f"a {'+' if word == 'any' else '-'}"]


def test_a_run_that_may_not_be_the_shortest_leaves_the_length_open() -> None:
    """A longer run than expected is a failure only if it is a shortest one."""
    assert run([finding("a", Violated(9, False))], expect("a", "violated", steps=5)) == ["a ?"]
    assert run([finding("a", Violated(9, True))], expect("a", "violated", steps=5)) == ["a -"]
    assert run([finding("a", Violated(3, False))], expect("a", "violated", steps=5)) == ["a -"]


def test_at_label_asks_where_the_run_ends() -> None:
    """The label must be one at which the run ends."""
    findings = [finding("a", Violated(3, True))]
    assert run(findings, expect("a", "violated", label="store"), label="store") == ["a +"]
    assert run(findings, expect("a", "violated", label="store"), label="load") == ["a -"]


def test_a_weakness_needs_no_expectation() -> None:
    """A weakness that shows is as expected unless it is named otherwise."""
    weak = finding("w", Violated(3, True), kind="weakness")
    assert run([weak], expect("all")) == ["w +"]
    assert run([weak], expect("w", "violated")) == ["w +"]
    assert run([weak], expect("w")) == ["w -"]


def test_expecting_a_violation_of_what_is_not_there_is_a_mismatch() -> None:
    """Unless only some properties were selected."""
    assert run([finding("a", HOLDS)], expect("b", "violated")) == ["a +", "nothing in this scenario belongs to b"]
    assert run([finding("a", HOLDS)], expect("b", "violated"), selected=True) == ["a +"]


def graph(*kinds: LockFindingKind) -> Finding:
    """A lock_order finding with one finding of each of ``kinds``."""
    bad = (LockFindingKind.CYCLE, LockFindingKind.RECURSION, LockFindingKind.AGAINST)
    inner = tuple(LockFinding(k, ("a", "b"), (), "", Violated(4, True) if k in bad else HOLDS) for k in kinds)
    outcome: Outcome = HOLDS
    if LockFindingKind.OPEN in kinds:
        outcome = HoldsToDepth(3)
    if any(f.violation for f in inner):
        outcome = Violated(4, True)
    return Finding("lock_order", "lock_order", "built-in", "", outcome, lock_graph=LockGraph((), (), inner, False))


CYCLE, PREVENTED, UNREALISED = LockFindingKind.CYCLE, LockFindingKind.PREVENTED, LockFindingKind.UNREALISED
RECURSION, OPEN = LockFindingKind.RECURSION, LockFindingKind.OPEN


@pytest.mark.parametrize(
    ("kinds", "expectations", "expected"),
    [
        ([], [], "+"),
        ([PREVENTED, UNREALISED], [], "+"),
        ([CYCLE], [], "-"),
        ([OPEN], [], "?"),
        ([CYCLE], [expect("lock_order", "violated", "cycle")], "+"),
        ([CYCLE], [expect("lock_order", "violated", "cycle", 4)], "+"),
        ([CYCLE], [expect("lock_order", "violated", "cycle", 5)], "-"),
        ([CYCLE], [expect("lock_order", "violated")], "+"),
        ([PREVENTED], [expect("lock_order", "violated", "cycle")], "-"),
        ([OPEN], [expect("lock_order", "violated", "cycle")], "?"),
        ([PREVENTED], [expect("lock_order", "holds", "prevented cycle")], "+"),
        ([UNREALISED], [expect("lock_order", "holds", "prevented cycle")], "-"),
        ([PREVENTED, CYCLE], [expect("lock_order", "holds", "prevented cycle")], "-"),
        ([CYCLE, RECURSION], [expect("lock_order", "violated", "cycle")], "-"),
        (
            [CYCLE, RECURSION],
            [expect("lock_order", "violated", "cycle"), expect("lock_order", "violated", "recursion")],
            "+",
        ),
        ([CYCLE], [expect("lock_order", "holds", "recursion"), expect("lock_order", "violated", "cycle")], "+"),
        ([RECURSION], [expect("lock_order", "holds", "recursion")], "-"),
    ],
)
def test_lock_order_kinds(kinds: list[LockFindingKind], expectations: list[Expectation], expected: str) -> None:
    """Kinds are told apart: the one that is named must be there, and no violation of a kind that is not named."""
    assert run([graph(*kinds)], *expectations) == [f"lock_order {expected}"]


def test_expectations_are_worded_as_written() -> None:
    """Reports repeat the expectation in the words of the model."""
    assert words(expect("a", "violated", steps=6)) == "violated in 6 steps"
    assert words(expect("a", "violated", steps=1, at_most=True, label="store")) == "violated in at most 1 step at store"
    assert words(expect("lock_order", "violated", "cycle")) == "cycle violated"
    assert words(expect("lock_order", "holds", "prevented cycle")) == "prevented cycle"


def test_an_undecided_vacuity_is_open() -> None:
    """A claim that holds, and of which it was not decided whether it is vacuous, may still turn out as expected."""
    assert run([finding("a", HOLDS)], expect("a", "vacuous"))[0] == "a -"
    assert run([replace(finding("a", HOLDS), untested=True)], expect("a", "vacuous")) == ["a ?"]
