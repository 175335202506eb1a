"""Faults planted in the engines on purpose, and who notices.

================================  =====================================================================
fault                             noticed by
================================  =====================================================================
forgotten frame (unrolling)       replay of the run, in the zoo (``judge``)
forgotten frame (IC3)             replay: the engine's own run is not one
ignored guard (unrolling, IC3)    replay of the run, in the zoo
missing base case (k-induction)   the zoo (``judge``: proves what is false), and the re-check
missing base case (IC3)           the zoo, and the re-check (initiation)
orbit with a wrong permutation    the re-check (consecution), or the zoo
dropped event                     the zoo (proves what is false), and the re-check (consecution)
inverted simple-path constraint   the zoo (k-induction proves what is false), and the re-check
bound off by one                  the boundary test (``test_bmc``), shown here to fail
================================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from judge import InventsError, MissesError, ProvesWhatIsFalseError, judge
from protocols import fault_vs_conversion, snp_remap
from zoo import ZOO

from protocheck.engines import bmc, ic3, kinduction, smt
from protocheck.engines.certify import CertificateRejected, certify
from protocheck.engines.verdict import Budget, Engine, NotReachedWithin, Reached, Unreachable
from protocheck.ir.ground import TRUE_LIT, Event, GroundSystem, ground
from protocheck.ir.system import System
from protocheck.traces.replay import ReplayFailed

NOTICED = (InventsError, MissesError, ProvesWhatIsFalseError, ReplayFailed, CertificateRejected, AssertionError)


def complaints(engine: Engine, depth: int | None = 10) -> Iterator[tuple[str, type[Exception]]]:
    """What the zoo, the replay and the re-check have to say of ``engine``."""
    cases = [(z.name, z.system, z.target, z.expected_depth) for z in ZOO]
    for broken in (False, True):
        cases.append((f"conversion {broken}", *fault_vs_conversion(2, 2, broken=broken), 12 if broken else None))
        cases.append((f"remap {broken}", *snp_remap(1, 2, broken=broken), 9 if broken else None))
    for name, system, target, expected in cases:
        if engine is kinduction.ENGINE and len(system.variables) > 8:
            continue
        try:
            (verdict,) = engine.run(system, [target], Budget(depth=depth))
            judge(system, target, verdict, expected)
        except NOTICED as problem:
            yield name, type(problem)
            continue
        if isinstance(verdict, Unreachable):
            try:
                certify(system, target, verdict)
            except CertificateRejected:
                yield name, CertificateRejected


def rechecks(engine: Engine) -> Iterator[str]:
    """The zoo's systems for which the re-check alone refuses what ``engine`` proves."""
    for case in ZOO:
        try:
            (verdict,) = engine.run(case.system, [case.target], Budget(depth=10))
        except AssertionError:
            continue
        if isinstance(verdict, Unreachable):
            try:
                certify(case.system, case.target, verdict)
            except CertificateRejected:
                yield case.name


@pytest.mark.parametrize("engine", [bmc.ENGINE, ic3.ENGINE, kinduction.ENGINE], ids=lambda e: e.name)
def test_sound_engines_draw_no_complaints(engine: Engine) -> None:
    """Without a planted fault nobody complains."""
    assert list(complaints(engine)) == []


def test_a_forgotten_frame_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unrolling in which unassigned cells may change invents runs, and replay refuses them."""

    def anything_may_change(self: smt.Unrolling, writers: Sequence[int], private: list[int], parts: list[int]) -> int:
        return self.solver.true

    monkeypatch.setattr(smt.Unrolling, "_written", anything_may_change)
    assert ("what is not assigned stays", InventsError) in complaints(bmc.ENGINE)
    assert any(complaints(kinduction.ENGINE))


def test_a_forgotten_frame_in_ic3_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """IC3 that believes that an event can set what it does not write builds runs that do not replay."""
    sound = ic3.Prover.precondition

    def careless(self: ic3.Prover, event: Event, literal: int) -> int:
        wp = sound(self, event, literal)
        return TRUE_LIT if wp == literal else wp

    monkeypatch.setattr(ic3.Prover, "precondition", careless)
    assert any(complaints(ic3.ENGINE))


def without_guards(system: System) -> GroundSystem:
    """The ground system with every step possible at any time."""
    grounded = ground(system)
    grounded.events = tuple(replace(e, guard=TRUE_LIT) for e in grounded.events)
    return grounded


@pytest.mark.parametrize("engine", [bmc, ic3, kinduction], ids=lambda m: m.ENGINE.name)
def test_an_ignored_guard_is_noticed(monkeypatch: pytest.MonkeyPatch, engine: Any) -> None:
    """Engines that take steps whose guard is false report runs that replay refuses."""
    monkeypatch.setattr(engine, "ground", without_guards)
    assert ("unreachable", InventsError) in complaints(engine.ENGINE)


def test_a_missing_base_case_of_k_induction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """k-induction that does not look at the beginning proves what is false; judge and re-check both say so."""
    monkeypatch.setattr(kinduction, "decided", lambda solver, assumptions, budget: False)
    assert ("bad at once", ProvesWhatIsFalseError) in complaints(kinduction.ENGINE)
    assert "bad at once" in rechecks(kinduction.ENGINE)


def test_a_missing_base_case_of_ic3_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """IC3 whose clauses may exclude initial states proves what is false; judge and re-check both say so."""
    monkeypatch.setattr(ic3.Prover, "_meets_beginning", lambda self, cube: False)
    assert ProvesWhatIsFalseError in (kind for _, kind in complaints(ic3.ENGINE))
    assert any(rechecks(ic3.ENGINE))


def test_an_orbit_with_a_wrong_permutation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orbits whose images rename the values but not the indexes exclude states that are reachable."""

    def half(self: ic3.Symmetry, literal: int, move: Sequence[Mapping[int, int]]) -> int:
        meaning = self.ground.circuit.meaning(literal)
        assert meaning is not None
        cell = self.ground.cells[meaning[0]]
        return self.ground.circuit.is_value(meaning[0], self.renamed(cell.var.sort, meaning[1], move))

    monkeypatch.setattr(ic3.Symmetry, "image", half)
    assert any(complaints(ic3.ENGINE))


def test_a_dropped_event_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """IC3 that forgets the last event that writes a cube proves what is false; judge and re-check both say so."""
    sound: Callable[..., list[int]] = ic3.Prover._events
    monkeypatch.setattr(ic3.Prover, "_events", lambda self, cube: sound(self, cube)[:-1])
    assert ProvesWhatIsFalseError in (kind for _, kind in complaints(ic3.ENGINE))
    assert any(rechecks(ic3.ENGINE))


def test_one_event_for_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """IC3 that lets one event stand for images under permutations that move the cube is found out."""
    sound: Callable[..., bool] = ic3.Symmetry.represents
    monkeypatch.setattr(
        ic3.Symmetry, "represents", lambda self, event, used: sound(self, event, tuple(() for _ in used))
    )
    assert any(complaints(ic3.ENGINE))


def test_an_inverted_simple_path_constraint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """k-induction over paths that must repeat themselves runs out of paths too early and is found out."""
    sound: Callable[..., int] = smt.Unrolling.differ
    monkeypatch.setattr(smt.Unrolling, "differ", lambda self, i, j: self.solver.not_(sound(self, i, j)))
    monkeypatch.setattr(kinduction, "simple_path", _all_repeat)
    assert any(complaints(kinduction.ENGINE))


def _all_repeat(unrolling: smt.Unrolling, assumptions: Sequence[int], budget: Budget) -> bool:
    for i in range(unrolling.depth):
        unrolling.solver.add(unrolling.differ(i, unrolling.depth))
    return smt.decided(unrolling.solver, assumptions, budget)


def test_a_bound_that_is_one_too_small_is_noticed() -> None:
    """A search that looks one layer less far than it claims fails the boundary test."""
    case = next(z for z in ZOO if z.name == "bad after two")
    (verdict,) = bmc.run(case.system, [case.target], Budget(depth=1))
    assert verdict == NotReachedWithin(1)
    with pytest.raises(MissesError):
        judge(case.system, case.target, NotReachedWithin(2), case.expected_depth)
    (seen,) = bmc.run(case.system, [case.target], Budget(depth=2))
    assert isinstance(seen, Reached)
