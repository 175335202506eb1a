"""What is claimed for any number of members is true of any number; what is not is refused with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lifting import at_most, chain, circle, counting, one_owner, sized
from protocols import fault_vs_conversion, snp_remap

from protocheck.engines import ic3, lift
from protocheck.engines.certify import Recheck, certify
from protocheck.engines.lift import Lifted, Proved, Refusal, Seed, prove_any_size, same_shape
from protocheck.engines.verdict import Budget, Invariant, Unreachable
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Quantifier, Read, eq
from protocheck.ir.ground import symmetric_scalarsets


def test_the_repaired_conversion_holds_for_any_number_of_pages_and_cpus() -> None:
    """From two pages and two cpus the proof is lifted to any number, and re-checked with sorts of unknown size."""
    answer = prove_any_size(lambda k: Seed(*fault_vs_conversion(2 + k, 2 + k)), Budget(), tries=1)
    assert isinstance(answer, Proved)
    verdict = answer.verdict
    assert verdict.any_size == ("gfn", "vcpu")
    assert certify(*fault_vs_conversion(2, 2), verdict) is Recheck.CHECKED


def test_the_repaired_remap_holds_for_any_number_of_pages() -> None:
    """Maps in both directions between two scalarsets are no obstacle as relations."""
    answer = prove_any_size(lambda k: Seed(*snp_remap(2 + k, 2 + k)), Budget(), tries=1)
    assert isinstance(answer, Proved)
    verdict = answer.verdict
    assert verdict.any_size == ("gfn", "pfn")
    assert certify(*snp_remap(2, 2), verdict) is Recheck.CHECKED


@pytest.mark.parametrize("bound", [2, 3, 4, 5])
@pytest.mark.parametrize("build", [at_most, chain])
def test_what_holds_up_to_a_threshold_is_not_claimed_for_any_number(build: object, bound: int) -> None:
    """A claim that fails from 3, 4, 5 or 6 members on is proved below that and never for any number."""
    make = at_most if build is at_most else chain
    size = bound if build is at_most else bound - 1
    size = max(size, 2)
    bound = max(bound, 3) if build is chain else bound
    (below,) = ic3.run(make(size, bound).system, [make(size, bound).target], Budget())
    assert isinstance(below, Unreachable)
    assert isinstance(below.by, Invariant)
    seed = make(size, bound)
    assert isinstance(lift.lift(seed.system, seed.target, below.by.clauses, make(size + 1, bound), Budget()), Refusal)
    assert isinstance(prove_any_size(lambda k: make(2 + k, bound), Budget(), tries=5), Refusal)


def test_a_single_owner_holds_for_any_number() -> None:
    """An option of a scalarset, whose none is another number at each size, is lifted."""
    answer = prove_any_size(lambda k: one_owner(2 + k), Budget())
    assert isinstance(answer, Proved)
    verdict = answer.verdict
    assert verdict.any_size == ("page",)
    seed = one_owner(2)
    assert certify(seed.system, seed.target, verdict) is Recheck.CHECKED


def test_a_range_that_grows_with_the_size_is_refused_by_name() -> None:
    """A variable whose range depends on the number of members is named as the reason."""
    answer = prove_any_size(lambda k: sized(2 + k), Budget())
    assert isinstance(answer, Refusal)
    assert "count" in answer.reason


def test_counting_members_is_refused() -> None:
    """A count over members has no counterpart for an unknown number of them."""
    answer = prove_any_size(lambda k: counting(2 + k), Budget())
    assert isinstance(answer, Refusal)
    assert "count" in answer.reason


def test_total_maps_in_a_circle_are_found() -> None:
    """Total maps from pages to frames and back are named as a circle; option maps are none."""
    seed = circle(2)
    assert lift.function_cycle(seed.system, ("page", "frame")) == "to, back"
    assert lift.function_cycle(snp_remap(2, 2)[0], ("gfn", "pfn")) is None


def test_a_model_is_compared_with_itself_at_another_size() -> None:
    """Two sizes of one model have one shape; the broken and the repaired model do not."""
    small, large = fault_vs_conversion(2, 2), fault_vs_conversion(3, 4)
    assert same_shape(*small, *large) is None
    assert same_shape(*small, *fault_vs_conversion(3, 3, broken=True)) is not None


def test_what_expressions_share_is_compared_once() -> None:
    """A choice of a choice of ... sixty deep, each branch the same, is a small expression and not 2^60 of them."""

    def deep(gfns: int, otherwise: int) -> Seed:
        system, target = fault_vs_conversion(gfns, 2)
        cell = next(v for v in system.variables if len(v.index) == 1 and v.index[0].name == "gfn")
        chosen: Expr = Read(cell, (Param("g", cell.index[0]),))
        for level in range(60):
            chosen = Apply(Op.ITE, (eq(chosen, Lit(otherwise if level == 59 else 0)), chosen, chosen))
        guard = Quant(Quantifier.FORALL, (Param("g", cell.index[0]),), eq(chosen, Lit(0)))
        first, *rest = system.transitions
        return Seed(replace(system, transitions=(replace(first, guard=guard), *rest)), target)

    small, large, other = deep(2, 0), deep(3, 0), deep(3, 1)
    assert same_shape(small.system, small.target, large.system, large.target) is None
    assert same_shape(small.system, small.target, other.system, other.target) is not None
    assert [s.name for s in symmetric_scalarsets(small.system, [small.target])] == ["gfn", "vcpu"]


def test_clauses_that_hold_for_this_size_only_are_dropped() -> None:
    """Clauses of another system are no help: what is not kept by each step is dropped, and the rest proves nothing."""
    system, target = fault_vs_conversion(2, 2)
    (verdict,) = ic3.run(system, [target], Budget())
    assert isinstance(verdict, Unreachable)
    assert isinstance(verdict.by, Invariant)
    larger = Seed(*fault_vs_conversion(3, 3))
    clauses = verdict.by.clauses
    assert isinstance(lift.lift(system, target, clauses, larger, Budget()), Lifted)
    assert isinstance(lift.lift(system, target, clauses[: len(clauses) // 2], larger, Budget()), Refusal)
    broken = Seed(*fault_vs_conversion(2, 2, broken=True)), Seed(*fault_vs_conversion(3, 3, broken=True))
    assert isinstance(lift.lift(broken[0].system, broken[0].target, clauses, broken[1], Budget()), Refusal)


def test_one_member_is_not_any_number() -> None:
    """A proof for one member, of which no permutation speaks, is not lifted."""
    assert isinstance(prove_any_size(lambda k: one_owner(1), Budget(), tries=1), Refusal)
