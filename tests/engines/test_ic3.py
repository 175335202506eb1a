"""IC3 agrees with the zoo and the interpreter, and everything it proves stands up to the re-check."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from judge import judge, shortest
from lifting import first_only
from protocols import fault_vs_conversion, snp_remap
from strategies import Problem, problems
from zoo import ZOO, ZooCase

from protocheck.engines import ic3
from protocheck.engines.certify import Recheck, certify
from protocheck.engines.verdict import Budget, Invariant, Limit, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.ir.ground import ground, symmetric_scalarsets


@pytest.mark.parametrize("case", ZOO, ids=lambda z: z.name)
def test_zoo(case: ZooCase) -> None:
    """Every target of the zoo is decided, and every proof is accepted by the re-check."""
    (verdict,) = ic3.run(case.system, [case.target], Budget())
    judge(case.system, case.target, verdict, case.expected_depth)
    assert isinstance(verdict, Reached) == (case.expected_depth is not None)
    if isinstance(verdict, Unreachable):
        assert certify(case.system, case.target, verdict) is Recheck.CHECKED


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems())
def test_random_systems(problem: Problem) -> None:
    """On random systems IC3 decides every target as the interpreter does, and its proofs are accepted."""
    depths = shortest(problem.system, problem.targets, 400)
    assume(depths is not None)
    assert depths is not None
    verdicts = ic3.run(problem.system, problem.targets, Budget())
    for target, verdict, depth in zip(problem.targets, verdicts, depths, strict=True):
        judge(problem.system, target, verdict, depth)
        assert isinstance(verdict, Reached | Unreachable)
        if isinstance(verdict, Unreachable):
            certify(problem.system, target, verdict)


@pytest.mark.parametrize(("gfns", "vcpus"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 3), (16, 8)])
def test_the_repaired_conversion_holds_at_every_depth(gfns: int, vcpus: int) -> None:
    """The repaired protocol is proved at every size, by at most 25 clauses, and the proof is accepted."""
    system, target = fault_vs_conversion(gfns, vcpus)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    assert isinstance(verdict.by, Invariant)
    if gfns > 1 and vcpus > 1:
        assert len(verdict.by.clauses) <= 25
    assert certify(system, target, verdict) is Recheck.CHECKED


@pytest.mark.parametrize(("gfns", "pfns"), [(1, 2), (2, 2), (4, 4), (8, 8)])
def test_the_repaired_remap_holds_at_every_depth(gfns: int, pfns: int) -> None:
    """The repaired protocol is proved at every size, by at most 25 clauses, and the proof is accepted."""
    system, target = snp_remap(gfns, pfns)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    assert isinstance(verdict.by, Invariant)
    assert len(verdict.by.clauses) <= 25
    assert certify(system, target, verdict) is Recheck.CHECKED


@pytest.mark.parametrize("size", [1, 2, 3])
def test_broken_protocols_are_refuted(size: int) -> None:
    """The broken protocols are refuted by runs that replay, no shorter than the shortest."""
    system, target = fault_vs_conversion(size, size, broken=True)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Reached)
    judge(system, target, verdict, 12)
    system, target = snp_remap(1, size + 1, broken=True)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Reached)
    judge(system, target, verdict, 9)


def test_a_default_that_is_a_member_does_not_break_the_symmetry() -> None:
    """Locals that begin as the first member leave all members interchangeable: runs are mapped back."""
    system, target = fault_vs_conversion(3, 2, broken=True)
    assert [s.name for s in symmetric_scalarsets(system, [target])] == ["gfn", "vcpu"]
    (verdict,) = ic3.run(system, [target], Budget())
    judge(system, target, verdict, 12)


def test_a_reset_to_a_member_does_not_break_the_symmetry() -> None:
    """Locals reset to the first member are let pass: the proof at (16, 8) still needs at most 25 clauses."""
    system, target = fault_vs_conversion(16, 8, reset=True)
    assert [s.name for s in symmetric_scalarsets(system, [target])] == ["vcpu"]
    assert [s.name for s in symmetric_scalarsets(system, [target], resets=True)] == ["gfn", "vcpu"]
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    assert isinstance(verdict.by, Invariant)
    assert len(verdict.by.clauses) <= 25
    assert certify(system, target, verdict) is Recheck.CHECKED
    broken, bad = fault_vs_conversion(3, 2, broken=True, reset=True)
    (found,) = ic3.run(broken, [bad], Budget())
    assert isinstance(found, Reached)
    judge(broken, bad, found, 12)


def test_a_literal_member_that_matters_is_not_forgotten() -> None:
    """Where the run of the looser system is none, the target is decided again without looseness."""
    seed = first_only(3)
    assert [s.name for s in symmetric_scalarsets(seed.system, [seed.target], resets=True)] == ["page"]
    (verdict,) = ic3.run(seed.system, [seed.target], Budget())
    assert isinstance(verdict, Unreachable)
    assert certify(seed.system, seed.target, verdict) is Recheck.CHECKED


def test_large_orbits_are_learned_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any orbit learned as a whole the same systems are decided in the same way."""
    monkeypatch.setattr(ic3, "MAX_EAGER_ORBIT", 1)
    for broken in (False, True):
        for system, target in (fault_vs_conversion(3, 3, broken=broken), snp_remap(2, 2, broken=broken)):
            (verdict,) = ic3.run(system, [target], Budget())
            assert isinstance(verdict, Reached if broken else Unreachable)
            if isinstance(verdict, Unreachable):
                certify(system, target, verdict)


def test_an_orbit_has_all_images_and_each_once() -> None:
    """The orbit of a cube over two pages and one cpu at (4, 3) has 4 * 3 * 3 members, closed under renaming."""
    system, target = fault_vs_conversion(4, 3)
    grounded = ground(system)
    symmetry = ic3.Symmetry(grounded, symmetric_scalarsets(system, [target]))
    variables = {v.name: v for v in system.variables}
    is_value, cell = grounded.circuit.is_value, grounded.cell
    cube = tuple(
        sorted(
            [
                is_value(cell(variables["spte"], (0,)), 1),
                is_value(cell(variables["spte"], (2,)), 0),
                is_value(cell(variables["lock"], ()), 1),
            ]
        )
    )
    orbit = list(symmetry.orbit(cube))
    assert len(orbit) == len(set(orbit)) == 36 == symmetry.orbit_bound(cube)
    assert all(set(symmetry.orbit(image)) == set(orbit) for image in orbit[:3])
    for image in orbit:
        state = [c.low for c in grounded.cells]
        for literal in image:
            meaning = grounded.circuit.meaning(literal)
            assert meaning is not None
            state[meaning[0]] = meaning[1]
        assert image in set(symmetry.images_in(cube, state))


def test_a_bound_is_kept_and_stated() -> None:
    """With a bound of n frames nothing beyond n steps is claimed."""
    system, target = fault_vs_conversion(2, 2)
    (verdict,) = ic3.run(system, [target], Budget(depth=2))
    assert isinstance(verdict, NotReachedWithin | Unreachable)
    if isinstance(verdict, NotReachedWithin):
        assert verdict.depth == 2


def test_no_time_is_no_claim() -> None:
    """Without time the limit is named and nothing is proved."""
    system, target = fault_vs_conversion(4, 4)
    (verdict,) = ic3.run(system, [target], Budget(deadline=0.0))
    assert isinstance(verdict, Unknown)
    assert verdict.limit is Limit.TIME


def test_one_property_helps_the_next() -> None:
    """Asked twice, the second proof rests on the first one's invariant, and both certificates stand alone."""
    system, target = fault_vs_conversion(3, 2)
    first, second = ic3.run(system, [target, target], Budget())
    for verdict in (first, second):
        assert isinstance(verdict, Unreachable)
        assert certify(system, target, verdict) is Recheck.CHECKED
