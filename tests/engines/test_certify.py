"""Certificates are checked by other means than they were found, and doctored ones are refused."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from protocols import fault_vs_conversion, snp_remap
from zoo import ZOO

from protocheck.engines import ic3, kinduction
from protocheck.engines.certify import (
    CertificateRejected,
    CertificateUndecided,
    Recheck,
    certify,
    certify_dir,
    export,
    obligations,
)
from protocheck.engines.verdict import Budget, Clause, Exhausted, Induction, Invariant, Structural, Unreachable
from protocheck.ir.expr import FALSE, TRUE
from protocheck.ir.system import PropertyTarget, System


def proved(system: System, target: PropertyTarget) -> tuple[Unreachable, tuple[Clause, ...]]:
    """The verdict of IC3 and the clauses of its invariant."""
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    assert isinstance(verdict.by, Invariant)
    return verdict, verdict.by.clauses


@pytest.mark.parametrize("protocol", ["fault_vs_conversion", "snp_remap"])
def test_no_clause_of_a_certificate_can_be_left_out(protocol: str) -> None:
    """Of each certificate, leaving out any one clause is refused: the invariant is minimal and all of it is checked."""
    system, target = fault_vs_conversion(2, 2) if protocol == "fault_vs_conversion" else snp_remap(2, 2)
    _, clauses = proved(system, target)
    assert len(clauses) == {"fault_vs_conversion": 10, "snp_remap": 4}[protocol]
    for n in range(len(clauses)):
        with pytest.raises(CertificateRejected):
            certify(system, target, Unreachable(Invariant(clauses[:n] + clauses[n + 1 :])))


def test_a_clause_that_is_false_initially_is_refused() -> None:
    """The clause `false` excludes every target and is kept by every step, but no run begins in it."""
    system, target = fault_vs_conversion(2, 2)
    with pytest.raises(CertificateRejected, match="init"):
        certify(system, target, Unreachable(Invariant((Clause((), FALSE),))))


def test_a_clause_that_says_nothing_is_refused() -> None:
    """The clause `true` holds initially and is kept, but excludes nothing."""
    system, target = fault_vs_conversion(2, 2)
    with pytest.raises(CertificateRejected, match="excludes"):
        certify(system, target, Unreachable(Invariant((Clause((), TRUE),))))


def test_a_proof_of_the_repaired_system_is_refused_for_the_broken_one() -> None:
    """The certificate belongs to its system: for the variant with the bug it is refused."""
    verdict, _ = proved(*fault_vs_conversion(2, 2))
    with pytest.raises(CertificateRejected):
        certify(*fault_vs_conversion(2, 2, broken=True), verdict)


def test_an_induction_closed_too_early_is_refused() -> None:
    """Where k-induction needs k steps, the claim to be done with k - 1 is refused."""
    needy = 0
    for case in ZOO:
        if case.expected_depth is None:
            (verdict,) = kinduction.run(case.system, [case.target], Budget())
            assert isinstance(verdict, Unreachable)
            assert isinstance(verdict.by, Induction)
            if verdict.by.k > 0:
                needy += 1
                with pytest.raises(CertificateRejected):
                    certify(case.system, case.target, Unreachable(Induction(verdict.by.k - 1)))
    assert needy >= 3


def test_an_induction_over_a_reachable_target_is_refused() -> None:
    """No k makes a certificate for what a run reaches."""
    case = next(z for z in ZOO if z.name == "bad after two")
    for k in (0, 1, 2, 5):
        with pytest.raises(CertificateRejected):
            certify(case.system, case.target, Unreachable(Induction(k)))


def test_an_exhausted_search_is_repeated() -> None:
    """A small exhausted search is repeated: the right count is accepted, a wrong one and a reachable target are not."""
    case = next(z for z in ZOO if z.name == "unreachable")
    assert certify(case.system, case.target, Unreachable(Exhausted(3, 2, False))) is Recheck.CHECKED
    with pytest.raises(CertificateRejected, match="states"):
        certify(case.system, case.target, Unreachable(Exhausted(4, 2, False)))
    reachable = next(z for z in ZOO if z.name == "bad after two")
    with pytest.raises(CertificateRejected, match="reaches"):
        certify(reachable.system, reachable.target, Unreachable(Exhausted(4, 3, False)))


def test_what_is_not_re_checked_says_so() -> None:
    """Large or symmetric searches and static arguments are trusted, not re-checked, and the answer says which."""
    system, target = fault_vs_conversion(2, 2)
    assert certify(system, target, Unreachable(Exhausted(169848, 40, False))) is Recheck.TRUSTED
    assert certify(system, target, Unreachable(Exhausted(17397, 40, True))) is Recheck.TRUSTED
    assert certify(system, target, Unreachable(Structural("no cycle"))) is Recheck.TRUSTED


def test_exported_scripts_have_the_answers_that_their_names_demand(tmp_path: Path) -> None:
    """Every script of an exported proof is confirmed, and there is one per obligation."""
    system, target = fault_vs_conversion(2, 2)
    verdict, _ = proved(system, target)
    written = export(system, target, verdict, tmp_path)
    assert len(written) == len(list(obligations(system, target, verdict)))
    results = [r for r in certify_dir(tmp_path) if r.solver == "z3"]
    assert len(results) == len(written)
    assert all(r.confirms and not r.contradicts for r in results)
    assert {r.wanted for r in results} == {"sat", "unsat"}


def test_a_doctored_script_is_noticed(tmp_path: Path) -> None:
    """A script that has lost its last demand is contradicted."""
    system, target = snp_remap(2, 2)
    verdict, _ = proved(system, target)
    path = next(p for p in export(system, target, verdict, tmp_path) if "excludes" in p.name)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("(assert")) + "\n")
    assert any(r.contradicts for r in certify_dir(tmp_path) if r.script == path.name)


def test_an_empty_directory_certifies_nothing(tmp_path: Path) -> None:
    """Where there is nothing to check, nothing is confirmed."""
    with pytest.raises(CertificateRejected, match="no scripts"):
        certify_dir(tmp_path)


def test_scripts_are_the_same_every_time() -> None:
    """Two exports of one proof are the same text."""
    system, target = snp_remap(2, 2)
    verdict, _ = proved(system, target)
    assert [o.script for o in obligations(system, target, verdict)] == [
        o.script for o in obligations(system, target, verdict)
    ]


def test_a_claim_for_any_size_needs_more_than_one_size() -> None:
    """An invariant that leans on the number of members is refused when it is claimed for any number of them."""
    from lifting import at_most

    seed = at_most(2, bound=2)
    verdict, _ = proved(seed.system, seed.target)
    assert certify(seed.system, seed.target, verdict) is Recheck.CHECKED
    with pytest.raises(CertificateRejected, match="any-size"):
        certify(seed.system, seed.target, replace(verdict, any_size=("page",)))


def test_a_check_that_comes_too_late_is_undecided_not_wrong() -> None:
    """At the deadline the certificate is neither accepted nor rejected."""
    system, target = fault_vs_conversion(2, 2)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    with pytest.raises(CertificateUndecided, match="time limit"):
        certify(system, target, verdict, deadline=time.monotonic() - 1.0)
    assert certify(system, target, verdict, deadline=time.monotonic() + 600.0) is Recheck.CHECKED
