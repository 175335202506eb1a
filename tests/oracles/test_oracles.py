"""State counts that others published, and that the search must reproduce to the last state."""

from __future__ import annotations

import pytest
from oracles.fault_vs_conversion import fault_vs_conversion
from oracles.tlaplus import ORACLES, Oracle, die_hard

from protocheck.engines.explore import explore
from protocheck.engines.verdict import Exhausted, Reached, Unreachable
from protocheck.traces.replay import replay


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda o: o.name)
def test_published_counts(oracle: Oracle) -> None:
    """Distinct states, generated states and levels are those that the authors' checker reports, and the claim holds."""
    found = explore(oracle.system, (oracle.bad,), symmetry=False)
    assert (found.states, found.edges + found.begun, found.depth + 1) == (
        oracle.distinct,
        oracle.generated,
        oracle.levels,
    )
    assert found.verdicts == (Unreachable(Exhausted(oracle.distinct, oracle.levels - 1, False)),)


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda o: o.name)
def test_published_verdicts_with_symmetry(oracle: Oracle) -> None:
    """With symmetry the claim holds as well, at the same depth, and no more states are visited."""
    found = explore(oracle.system, (oracle.bad,))
    assert found.complete
    assert found.depth == oracle.levels - 1
    assert found.states <= oracle.distinct
    assert isinstance(found.verdicts[0], Unreachable)


@pytest.mark.parametrize(
    ("name", "orbits"), [("TCommit", 13), ("TwoPhase", 80), ("Barrier", 7), ("Barriers", 368), ("Simple", 723)]
)
def test_orbits_of_the_published(name: str, orbits: int) -> None:
    """Interchangeable processes are counted once: six that are inside or not make seven states."""
    oracle = next(o for o in ORACLES if o.name == name)
    assert explore(oracle.system, ()).states == orbits


@pytest.mark.parametrize("symmetry", [False, True])
def test_die_hard_takes_six_steps(symmetry: bool) -> None:
    """Four gallons are measured out in six steps and not in fewer."""
    built, target = die_hard()
    (verdict,) = explore(built, (target,), symmetry=symmetry).verdicts
    assert isinstance(verdict, Reached)
    assert len(verdict.run.moves) == 6
    replay(built, target, verdict.run)


@pytest.mark.parametrize(("gfns", "vcpus", "states"), [(1, 1, 352), (2, 1, 6_088), (1, 2, 4_974), (2, 2, 169_848)])
def test_fault_vs_conversion(gfns: int, vcpus: int, states: int) -> None:
    """The repaired protocol has exactly the states that four other searches agree on, and none is bad."""
    built, target = fault_vs_conversion(gfns, vcpus)
    found = explore(built, (target,), symmetry=False)
    assert found.states == states
    assert found.verdicts == (Unreachable(Exhausted(states, found.depth, False)),)


@pytest.mark.parametrize(("gfns", "vcpus", "orbits"), [(1, 1, 264), (2, 1, 1_922), (1, 2, 1_362), (2, 2, 17_397)])
def test_fault_vs_conversion_with_symmetry(gfns: int, vcpus: int, orbits: int) -> None:
    """With symmetry, and picks forgotten at the end of a turn, exactly the known number of orbits is visited."""
    built, target = fault_vs_conversion(gfns, vcpus, reset=True)
    found = explore(built, (target,))
    assert found.states == orbits
    assert isinstance(found.verdicts[0], Unreachable)


@pytest.mark.parametrize("symmetry", [False, True])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(("gfns", "vcpus"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_fault_vs_conversion_broken(gfns: int, vcpus: int, reset: bool, symmetry: bool) -> None:
    """The broken protocol shows its fault in twelve steps, whatever the size and however it is searched."""
    built, target = fault_vs_conversion(gfns, vcpus, buggy=True, reset=reset)
    (verdict,) = explore(built, (target,), symmetry=symmetry).verdicts
    assert isinstance(verdict, Reached)
    assert len(verdict.run.moves) == 12
    replay(built, target, verdict.run)
