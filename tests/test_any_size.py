"""What is claimed for any number of members through the command line, and what must not be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from protocheck.any_size import AnySize, prove_any_size
from protocheck.check import check_file
from protocheck.cli import main
from protocheck.engines.lift import Refusal
from protocheck.engines.verdict import Budget, Meter
from protocheck.engines.z3raw import Answer, RawSolver
from protocheck.findings import Finding, Holds, Report, Violated
from protocheck.ir.system import Wish
from protocheck.lower import compile_system, instantiate
from protocheck.properties.families import claims
from protocheck.resources import models_path
from protocheck.types import load


def checked(text: str, folder: Path, **settings: int) -> Report:
    """The report on the model ``text``, with claims for any size wanted."""
    path = folder / "m.pchk"
    path.write_text(text, encoding="utf-8")
    return check_file(path, any_size=60.0, settings=settings)


def finding(report: Report, name: str) -> Finding:
    """What is said about the property ``name`` in the first scenario."""
    return next(f for f in report.scenarios[0].findings if f.name == name)


def any_size(found: Finding) -> tuple[str, ...]:
    """The scalarsets that a claim is for any number of."""
    assert isinstance(found.outcome, Holds), found.outcome
    return found.outcome.any_size


def distinct(number: int) -> str:
    """A condition on ``number`` pages: that they are pairwise different and all taken."""
    names = [f"a{n}" for n in range(number)]
    different = [f"{a} != {b}" for k, a in enumerate(names) for b in names[k + 1 :]]
    taken = [f"h.taken[{a}]" for a in names]
    return " && ".join([*different, *taken])


def at_most(bound: int) -> str:
    """Any page may be taken. Claim: never more than ``bound`` are, which fails from ``bound + 1`` pages on."""
    binders = ", ".join(f"a{n} in page" for n in range(bound + 1))
    return f"""protocol at_most
type page = scalarset(pages in 1..8 = 2)
hypervisor h {{
    state taken : [page] bool = false;
    environment taker {{ loop {{ choose p : page;  taken[p] = true; }} }}
}}
invariant few: !(exists {binders} : {distinct(bound + 1)});
scenario small {{ expect few holds; }}
"""


@pytest.mark.parametrize("bound", [2, 3, 4])
def test_what_fails_from_some_size_on_is_never_claimed_for_any(bound: int, tmp_path: Path) -> None:
    """With a threshold of 3, 4 and 5 the claim holds below it, says so for that size only, and fails at it."""
    for pages in range(2, bound + 1):
        found = finding(checked(at_most(bound), tmp_path, pages=pages), "few")
        assert any_size(found) == ()
        assert found.not_any
    assert isinstance(finding(checked(at_most(bound), tmp_path, pages=bound + 1), "few").outcome, Violated)


COUNTED = """protocol counted
type page = scalarset(pages in 1..8 = 2)
hypervisor h {
    state met   : [page] bool = false;
    state number : 0..%(limit)d = 0;
    environment walker { loop { choose p : page;  if !met[p] && number < %(limit)d { met[p] = true;  number += 1; } } }
}
invariant below: h.number < %(limit)d;
scenario small { expect below holds; }
"""


@pytest.mark.parametrize("limit", [3, 4, 5])
def test_a_counter_with_a_threshold_is_never_claimed_for_any_size(limit: int, tmp_path: Path) -> None:
    """A counter that reaches 3, 4 or 5 only with as many pages is below it with fewer, for these sizes only."""
    text = COUNTED % {"limit": limit}
    assert any_size(finding(checked(text, tmp_path, pages=limit - 1), "below")) == ()
    assert isinstance(finding(checked(text, tmp_path, pages=limit), "below").outcome, Violated)


BY_PARAMETER = """protocol by_parameter
type page = scalarset(pages in 1..8 = 2)
hypervisor h {
    state taken : [page] bool = false;
    environment taker { loop { choose p : page;  if pages >= %(limit)d { taken[p] = true; } } }
}
invariant none_taken: forall p in page : !h.taken[p];
scenario small { expect none_taken holds; }
"""


@pytest.mark.parametrize("limit", [3, 4, 5, 8])
def test_a_model_that_looks_at_its_own_size_is_not_lifted(limit: int, tmp_path: Path) -> None:
    """Code that asks how many members there are may do anything at another size; the line is named."""
    text = BY_PARAMETER % {"limit": limit}
    found = finding(checked(text, tmp_path, pages=2), "none_taken")
    assert any_size(found) == ()
    assert "line 5 depends on the number of members: pages" in found.not_any
    assert isinstance(finding(checked(text, tmp_path, pages=limit), "none_taken").outcome, Violated)


def test_a_claim_that_looks_at_the_size_is_not_lifted(tmp_path: Path) -> None:
    """Only the property that names the parameter is refused; the others are claimed for any size."""
    text = BY_PARAMETER.replace("pages >= %(limit)d", "false").replace(
        "scenario", "invariant few_pages: pages < 5;\nscenario"
    )
    report = checked(text, tmp_path)
    assert any_size(finding(report, "few_pages")) == ()
    assert any_size(finding(report, "none_taken")) == ("page",)


OWNER = """protocol one_owner
type page = scalarset(pages in 1..8 = %(size)d)
type slot = scalarset(2)
hypervisor h {
    state owner : page? = none;
    state mark  : [page] bool = false;
    state used  : [slot] bool = false;
    environment taker {
        loop { choose p : page;  atomic { if owner == none { owner = p;  mark[p] = true; } } }
    }
    environment user { loop { choose s : slot;  used[s] = true; } }
}
invariant one: forall p in page, q in page : h.mark[p] && h.mark[q] implies p == q;
"""


@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_holds_for_any_number_says_so_at_every_size(size: int, tmp_path: Path) -> None:
    """From one, two or five pages the same claim: any number of pages, while the number of slots stays fixed."""
    found = finding(checked(OWNER % {"size": size}, tmp_path), "one")
    assert isinstance(found.outcome, Holds)
    assert found.outcome.any_size == ("page",)
    assert found.outcome.fixed == ("2 slot",)
    assert found.outcome.rechecked


@pytest.mark.parametrize(
    ("model", "scenario", "sets"),
    [
        ("gmem/fault_vs_conversion", "upstream", ("gfn", "vcpu")),
        ("gmem/populate_locking", "after", ("gfn", "faulter", "remapper")),
        ("snp/snp_remap", "validate_once", ("gfn", "pfn")),
    ],
)
def test_the_shipped_repairs_hold_for_any_number(model: str, scenario: str, sets: tuple[str, ...]) -> None:
    """Each claim of the repaired protocols is for any number of everything; a run is looked for at one size."""
    report = check_file(models_path() / f"{model}.pchk", scenarios=[scenario], any_size=60.0)
    for found in report.scenarios[0].findings:
        if found.kind not in ("reachable", "run"):
            assert set(any_size(found)) == set(sets), found.name


def test_a_broken_protocol_claims_nothing_for_what_is_violated() -> None:
    """The broken variant is violated in the same number of steps, any size tried or not."""
    path = models_path() / "gmem/fault_vs_conversion.pchk"
    for tried in (60.0, False):
        report = check_file(path, scenarios=["no_sequence"], any_size=tried)
        outcome = finding(report, "agree").outcome
        assert isinstance(outcome, Violated)
        assert outcome.steps == 8


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code and the output of a command."""
    status = main(list(words))
    return status, capsys.readouterr().out


def test_any_size_is_tried_for_one_model_and_can_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On for one file, off for a folder of two, and either way as the option says."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.pchk").write_text(OWNER % {"size": 2}, encoding="utf-8")
    words = "for any number of page"
    flat = [" ".join(run(capsys, "check", *o)[1].split()) for o in (
        [str(folder / "a.pchk")],
        [str(folder / "a.pchk"), "--no-any-size"],
        [str(folder), "-v"],
        [str(folder), "-v", "--any-size"],
    )]
    assert [words in text for text in flat] == [True, False, False, True]


def test_the_reason_for_a_refusal_is_told_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only ``-v`` says why a claim is for these sizes only."""
    path = tmp_path / "m.pchk"
    path.write_text(BY_PARAMETER % {"limit": 5}, encoding="utf-8")
    assert "not for any" not in run(capsys, "check", str(path))[1]
    told = " ".join(run(capsys, "check", str(path), "-v")[1].split())
    assert "proved for these sizes; not for any: line 5 depends on the number of members: pages" in told


@pytest.mark.parametrize("other", [["--bound", "5"], ["--engine", "bmc"]])
def test_any_size_needs_a_proof(other: list[str], tmp_path: Path) -> None:
    """A bounded search and ``--any-size`` exclude each other."""
    path = tmp_path / "m.pchk"
    path.write_text(OWNER % {"size": 2}, encoding="utf-8")
    assert main(["check", str(path), "--any-size", *other]) == 2
    assert main(["check", str(path), "--timeout", "2", *other]) in (0, 3)


PATHS = """protocol paths
type page = scalarset(pages in 1..6 = 2)
hypervisor host {
    state edge : [page] [page] bool = false;
    environment linker {
        loop {
            choose g : page;
            choose h : page;
            atomic {
                if g != h && !(exists k in page : edge[k][g]) && !(exists k in page : edge[h][k]) {
                    edge[g][h] = true;
                }
            }
        }
    }
}
invariant no_path: forall g in page, h in page, k in page :
    g == k || !(host.edge[g][h] && host.edge[h][k]);
scenario two { expect all hold; }
"""


def test_a_claim_about_three_members_is_proved_from_a_larger_seed(tmp_path: Path) -> None:
    """At two members no path visits three, so that its proof says nothing; the one at three members is for any."""
    path = tmp_path / "paths.pchk"
    path.write_text(PATHS, encoding="utf-8")
    module = load(path)
    instance = instantiate(module, "two", {})
    system = compile_system(module, instance)
    wanted = [p for p in claims(system) if p.name == "no_path"]
    claim = prove_any_size(module, instance, system, wanted, {}, Budget())["no_path"]
    assert isinstance(claim, AnySize)
    assert claim.verdict.any_size == ("page",)
    assert "3 page" in claim.system.instance


def slow(solver: RawSolver, assumptions: Sequence[int]) -> Answer:
    """A solver that takes its time."""
    time.sleep(0.0005)
    return CHECK(solver, assumptions)


CHECK = RawSolver.check


def test_what_is_claimed_does_not_depend_on_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small amount of work allowed the claims, the refusals and the work done are the same however long a
    question takes."""
    module = load(models_path() / "gmem" / "fault_vs_conversion.pchk")
    instance = instantiate(module, "upstream", {})
    system = compile_system(module, instance)
    found = []
    for check in (CHECK, slow):
        monkeypatch.setattr(RawSolver, "check", check)
        meter = Meter(3_000)
        wanted = [p for p in claims(system) if p.wish is Wish.NEVER]
        proved = prove_any_size(module, instance, system, wanted, {}, Budget(meter=meter))
        found.append((proved, meter.left))
    assert found[0] == found[1]
    assert any(isinstance(claim, Refusal) for claim in found[0][0].values())
    assert any(isinstance(claim, AnySize) for claim in found[0][0].values())
    assert -200 < found[0][1] < 3_000


def test_what_is_spent_of_a_part_is_spent_of_the_whole() -> None:
    """Two thirds of 90 are 60; when they are spent a third is left, and nothing of the part."""
    whole = Meter(90)
    part = whole.part(2, 3)
    budget = Budget(meter=part)
    budget.spend(60)
    assert (whole.left, part.left, budget.expired(), Budget(meter=whole).expired()) == (30, 0, True, False)
    assert part.part(1, 2).left == 0
