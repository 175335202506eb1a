"""What is left out of a system makes no difference to the targets; what makes one is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached, Verdict
from protocheck.ir.cone import cone, without_idle_choices
from protocheck.ir.sorts import product_size
from protocheck.ir.system import DeadlockTarget, ProgressTarget, PropertyTarget, RecoverableTarget, System
from protocheck.lower import compile_system, instantiate
from protocheck.traces.replay import replay
from protocheck.types.check import load
from tests import zoo
from tests.lower.snippets import MODELS, compiled

SMALL = ("gmem/populate_once", "gmem/async_fault", "tdx/hva_notifier", "snp/snp_remap", "toys/abba", "toys/srcu_self")

COUNTED = """type gfn = scalarset(gfns in 1..3 = 2)
kernel k {
    state a    : 0..3 = 0;
    state b    : 0..3 = 0;
    state c    : 0..3 = 0;
    state from : 0..3 = 0;
    ghost state seen : [gfn] bool = false;
    environment t { loop { choose g : gfn;  a = from;  ghost { seen[g] = true; } } }
    environment u { loop { if b == 2 { c = 1; }  from = 3; } }
    environment w { loop { choose n : 0..3;  b = n; } }
}
always invariant small: k.a < 3;
always invariant many:  (count g in gfn : k.seen[g]) < 2;
always invariant other: k.c == 0;"""


def names(system: System) -> set[str]:
    return {v.name for v in system.variables}


def target(system: System, name: str) -> PropertyTarget:
    return next(p.target for p in system.properties if p.name == name)


def _length(verdict: Verdict) -> int | None:
    return len(verdict.run.moves) if isinstance(verdict, Reached) else None


def same(system: System, targets: Sequence[PropertyTarget]) -> int:
    """Compare verdicts, lengths and runs of one target at a time and all together; how many variables were left out."""
    budget = Budget(states=20_000)
    known = explore(system, targets, budget, to_the_end=True)
    if not known.complete:
        pytest.skip("too many states")
    gone = 0
    for group in (*([t] for t in targets), list(targets)):
        smaller = cone(system, group)
        fewer = explore(without_idle_choices(smaller, group), group, budget, to_the_end=True)
        assert [_length(v) for v in fewer.verdicts] == [_length(known.verdicts[list(targets).index(t)]) for t in group]
        for t, verdict in zip(group, fewer.verdicts, strict=True):
            if isinstance(verdict, Reached):
                replay(system, t, verdict.run)
        gone += len(system.variables) - len(smaller.variables)
        for t, verdict in zip(group, explore(smaller, group, budget, to_the_end=True).verdicts, strict=True):
            before = known.verdicts[list(targets).index(t)]
            assert isinstance(verdict, Reached) == isinstance(before, Reached)
            if isinstance(verdict, Reached) and isinstance(before, Reached):
                assert len(verdict.run.moves) == len(before.run.moves)
                assert len(replay(system, t, verdict.run).states) >= len(verdict.run.moves)
    return gone


def test_only_what_influences_a_claim_is_kept() -> None:
    """What a guard reads stays for every claim; the ghost stays for its own claim alone."""
    system = compiled(COUNTED)
    always = {v.name for v in system.variables if v.name.endswith(".pc")} | {"k.b"}
    whole = names(system)
    small, many, other = (names(cone(system, [target(system, n)])) for n in ("small", "many", "other"))
    assert {"k.a", "k.from"} <= small
    assert not {"k.c", "k.seen"} & small
    assert "k.seen" in many
    assert not {"k.a", "k.c", "k.from"} & many
    assert "k.c" in other
    assert not {"k.a", "k.seen"} & other
    assert all(always & whole <= kept for kept in (small, many, other))


def test_a_system_of_which_everything_matters_is_itself() -> None:
    """Nothing is rebuilt where nothing can be left out."""
    system = compiled("kernel k { state a : bool; thread t { a = !a; } } always invariant no: !k.a;")
    assert cone(system, [p.target for p in system.properties]) is system


def test_verdicts_and_lengths_of_a_snippet_do_not_change() -> None:
    """Each claim alone and all together, deadlock included, with what it leaves out counted."""
    system = compiled(COUNTED)
    assert same(system, [p.target for p in system.properties]) > 0


def test_fewer_states_are_visited() -> None:
    """A claim that does not read the ghost state does not pay for it."""
    system = compiled(COUNTED)
    wanted = [target(system, "small")]
    whole = explore(system, wanted, symmetry=False, to_the_end=True).states
    assert explore(cone(system, wanted), wanted, symmetry=False, to_the_end=True).states * 4 <= whole


def test_waits_are_kept_for_a_deadlock_only() -> None:
    """A deadlock reads the waits, no other target does."""
    system = compiled("kernel k { state a : bool; state b : bool; thread t { b = true; await a; } } "
                      "reachable end: finished(k.t);")  # fmt: skip
    assert cone(system, [DeadlockTarget()]).waits == system.waits
    assert cone(system, [target(system, "end")]).waits == ()


@pytest.mark.parametrize("case", zoo.ZOO, ids=lambda case: case.name)
def test_the_zoo_keeps_its_verdicts(case: zoo.ZooCase) -> None:
    """Every hand-made system, whatever it is made to be difficult for."""
    same(case.system, [case.target])


@pytest.mark.parametrize("name", SMALL)
def test_shipped_models_keep_their_verdicts(name: str) -> None:
    """The first scenario of small shipped models: same verdicts, same lengths, runs that replay."""
    module = load(MODELS / f"{name}.pchk")
    scenario = next(iter(module.scenarios), None)
    system = compile_system(module, instantiate(module, scenario))
    same(system, [p.target for p in system.properties if not isinstance(p.target, ProgressTarget | RecoverableTarget)])


def test_choices_that_change_nothing_are_made_the_first_ones() -> None:
    """Where nobody's page matters, one of the two is left to choose; a value that decides a branch is not idle."""
    system = compiled(COUNTED)
    (small,) = (target(system, n) for n in ("small",))
    left = without_idle_choices(cone(system, [small]), [small])
    whole, fewer = (sum(product_size([p.sort for p in t.params]) for t in s.transitions) for s in (system, left))
    assert whole - fewer == 1
    (same_,) = (target(system, n) for n in ("other",))
    assert without_idle_choices(system, [same_]) == system
