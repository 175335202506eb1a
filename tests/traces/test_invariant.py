"""Invariants are told in the words of the model; what is told of shipped models is kept as text."""

from __future__ import annotations

from pathlib import Path

import golden
import pytest
from build import ex, read

from protocheck.check import check_file
from protocheck.engines.verdict import Clause
from protocheck.ir.expr import Expr, Param, and_, eq, ne, not_, or_
from protocheck.ir.system import System
from protocheck.lower import compile_system, instantiate
from protocheck.resources import models_path
from protocheck.traces.invariant import of_rounds, told
from protocheck.types import load

GOLDEN = Path(__file__).parent / "golden"


def fault_vs_conversion() -> System:
    """The repaired conversion with two pages and two cpus."""
    module = load(models_path() / "gmem" / "fault_vs_conversion.pchk")
    return compile_system(module, instantiate(module, "upstream"))


SYSTEM = fault_vs_conversion()
VARS = {v.name: v for v in SYSTEM.variables}
G = Param("gfn!", SYSTEM.scalarsets[0])
H = Param("gfn!2", SYSTEM.scalarsets[0])
V = Param("vcpu!", SYSTEM.scalarsets[1])


def cell(name: str, *index: Param) -> Expr:
    """A cell of the system."""
    return read(VARS[f"kvm.{name}"], *index)


@pytest.mark.parametrize(
    ("params", "excluded", "sentence"),
    [
        ((), [ne(cell("invalidations"), ex(0))], "invalidations > 0"),
        ((), [ne(cell("invalidations"), ex(1))], "invalidations == 0"),
        ((G,), [ne(cell("attribute", G), ex(0))], "for every gfn g: attribute[g] == private"),
        (
            (G,),
            [ne(cell("spte", G), ex(2)), ne(cell("attribute", G), ex(1))],
            "for every gfn g: whenever attribute[g] == private: spte[g] != none",
        ),
        (
            (V,),
            [not_(cell("fault.seen.fresh", V)), ne(cell("invalidations"), ex(1))],
            "for every vcpu v: whenever seen of kvm.fault[v] is fresh: invalidations == 0",
        ),
        (
            (),
            [ne(cell("set_attributes.pc"), ex(3)), ne(cell("invalidations"), ex(0))],
            "whenever kvm.set_attributes is before `store: attribute[g] = to` (line 68): invalidations > 0",
        ),
        (
            (G, H),
            [eq(G, H), ne(cell("spte", G), ex(1)), ne(cell("spte", H), ex(1))],
            "for every different gfn g1, g2: whenever spte[g1] == private: spte[g2] != private",
        ),
    ],
)
def test_a_clause_is_one_sentence(params: tuple[Param, ...], excluded: list[Expr], sentence: str) -> None:
    """All but the last of the values that exclude each other are the condition, the last one's opposite follows."""
    assert told(SYSTEM, [Clause(params, or_(*excluded))]) == (sentence,)


def test_clauses_that_differ_in_one_cell_are_one_sentence() -> None:
    """Two places at which the same is true are told at once; what differs in two cells stays apart."""
    pc, count = cell("set_attributes.pc"), cell("invalidations")
    both = [Clause((), or_(ne(pc, ex(n)), ne(count, ex(0)))) for n in (3, 6)]
    (sentence,) = told(SYSTEM, both)
    assert sentence.startswith("whenever kvm.set_attributes is before `store: attribute[g] = to` (line 68) or before ")
    apart = [Clause((), or_(ne(pc, ex(3)), ne(count, ex(0)))), Clause((), or_(ne(pc, ex(6)), ne(count, ex(1))))]
    assert len(told(SYSTEM, apart)) == 2


def test_what_is_no_clause_is_told_as_it_is() -> None:
    """A formula of another shape is not bent into a sentence that it does not say."""
    odd = and_(ne(cell("invalidations"), ex(0)), ne(cell("set_attributes.pc"), ex(0)))
    assert told(SYSTEM, [Clause((), odd)]) == ("((kvm.invalidations != 0) && (kvm.set_attributes.pc != 0))",)


@pytest.mark.parametrize(
    ("model", "scenario"),
    [
        ("gmem/fault_vs_conversion", "upstream"),
        ("gmem/populate_locking", "after"),
        ("snp/snp_remap", "validate_once"),
    ],
)
def test_shipped_invariants(model: str, scenario: str) -> None:
    """Why each claim of a repaired protocol holds, for any size, in sentences."""
    report = check_file(models_path() / f"{model}.pchk", scenarios=[scenario], any_size=60.0, why=True)
    lines = []
    for finding in report.scenarios[0].findings:
        if finding.invariant:
            lines += [f"{finding.name}:", *(f"  {s}" for s in finding.invariant)]
    golden.check(GOLDEN / f"why_{Path(model).name}.txt", "\n".join(lines) + "\n")


def test_nothing_is_told_unless_it_is_asked_for() -> None:
    """Without ``why`` a finding has no sentences."""
    report = check_file(models_path() / "gmem" / "populate_locking.pchk", scenarios=["after"], any_size=60.0)
    assert all(f.invariant == () for f in report.scenarios[0].findings)


def test_a_search_is_replaced_by_an_invariant() -> None:
    """What a search has exhausted, without any size tried, is proved again for the sake of its invariant."""
    report = check_file(models_path() / "snp" / "snp_remap.pchk", scenarios=["validate_once"], why=True)
    (found,) = [f for f in report.scenarios[0].findings if f.name == "lost_content"]
    assert found.invariant
    assert found.engine == "ic3"


def test_a_proof_by_counting_rounds_speaks_of_the_model() -> None:
    """No name of what watches the run is left, and no claim but one about endless runs speaks of rounds."""
    report = check_file(GOLDEN.parent / "turns.pchk", properties=("served", "fine"), why=True)
    told_of = {f.name: f.invariant for f in report.scenarios[0].findings}
    assert "the number of complete rounds < 3" in told_of["served"]
    assert any("the s of the wait" in sentence for sentence in told_of["served"])
    assert not [sentence for sentence in told_of["served"] if "%" in sentence]
    assert of_rounds(told_of["served"])
    assert told_of["fine"]
    assert not of_rounds(told_of["fine"])
