"""The inputs for other checkers say what our own systems say; each peer is asked where it is installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.inputs import murphi, spin, tla, verilog
from benchmarks.peers import HOLDS, PEERS, VIOLATED, Peer
from benchmarks.protocols import PROTOCOLS
from protocheck.engines import ic3
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached

SIZES = {
    "fault_vs_conversion": ((1, 1), (2, 1)),
    "snp_remap": ((1, 1), (2, 1)),
    "populate_locking": ((1, 1, 1, 1), (2, 1, 1, 1)),
    "track_and_kick": ((1, 1), (2, 2)),
    "update_order": ((2, 1), (3, 2)),
    "srcu_free": ((1, 2), (2, 3)),
}
STATES = {
    ("fault_vs_conversion", (1, 1)): 264,
    ("snp_remap", (1, 2)): 204,
    ("snp_remap", (2, 2)): 7_083,
    ("populate_locking", (1, 1, 1, 1)): 84,
    ("populate_locking", (2, 2, 2, 2)): 17_296,
    ("track_and_kick", (2, 2)): 1_677,
    ("update_order", (3, 2)): 7_264,
    ("srcu_free", (2, 3)): 1_606,
}
SHORTEST = {"fault_vs_conversion": 12, "snp_remap": 9, "populate_locking": 4}
SHORTEST |= {"track_and_kick": 7, "update_order": 11, "srcu_free": 8}
BROKEN = {"fault_vs_conversion": (1, 1), "snp_remap": (1, 2), "populate_locking": (1, 1, 1, 1)}
BROKEN |= {"track_and_kick": (1, 1), "update_order": (2, 1), "srcu_free": (1, 2)}


def states(protocol: str, sizes: tuple[int, ...]) -> int:
    """Reachable states of our system."""
    system, _ = PROTOCOLS[protocol](sizes, broken=False)
    return explore(system, (), Budget(), symmetry=False, to_the_end=True).states


def ask(peer: Peer, protocol: str, sizes: tuple[int, ...], folder: Path, *, broken: bool, count: bool) -> str:
    """What the peer prints; the test is skipped where it is not installed."""
    missing = peer.missing()
    if missing is not None:
        pytest.skip(f"{peer.name}: {missing} is not installed")
    command = peer.prepare(folder, protocol, sizes, broken, count)
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("protocol", "sizes"), STATES, ids=str)
def test_states_are_those_that_every_peer_counted(protocol: str, sizes: tuple[int, ...]) -> None:
    """The flat systems have exactly the states that Spin, Rumur and TLC count without reductions."""
    assert states(protocol, sizes) == STATES[protocol, sizes]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stricter_ic3_finds_a_run_of_known_shortest_length(protocol: str) -> None:
    """IC3 without later obligations says that its run is a shortest one, and it has the length the peers found."""
    system, target = PROTOCOLS[protocol](BROKEN[protocol], broken=True)
    (verdict,) = ic3.shortest(system, (target,), Budget())
    assert isinstance(verdict, Reached)
    assert verdict.shortest
    assert len(verdict.run.moves) == SHORTEST[protocol]


def test_stricter_ic3_finds_the_shortest_run_where_the_quicker_one_does_not() -> None:
    """The quick search may end with a longer run, and says so; the stricter one finds 9 steps."""
    system, target = PROTOCOLS["snp_remap"]((3, 3), broken=True)
    (quick,), (strict,) = (find(system, (target,), Budget()) for find in (ic3.run, ic3.shortest))
    assert isinstance(quick, Reached)
    assert isinstance(strict, Reached)
    assert (len(strict.run.moves), strict.shortest) == (9, True)
    assert len(quick.run.moves) >= 9
    assert not quick.shortest or len(quick.run.moves) == 9


@pytest.mark.parametrize("peer", [p for p in PEERS if p.name != "ABC"], ids=lambda p: p.name)
@pytest.mark.parametrize(("protocol", "sizes"), [(p, s) for p in SIZES for s in SIZES[p]], ids=str)
def test_peer_counts_our_states(peer: Peer, protocol: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    """Without reductions a peer finds exactly as many states as we do."""
    text = ask(peer, protocol, sizes, tmp_path, broken=False, count=True)
    answer = peer.read(text, protocol)
    assert (answer.verdict, answer.states) == (HOLDS, states(protocol, sizes)), text[-2000:]


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_peer_finds_our_shortest_run(peer: Peer, protocol: str, tmp_path: Path) -> None:
    """On the broken variant a peer's shortest run is as long as ours."""
    text = ask(peer, protocol, BROKEN[protocol], tmp_path, broken=True, count=False)
    answer = peer.read(text, protocol)
    assert (answer.verdict, answer.steps) == (VIOLATED, SHORTEST[protocol]), text[-2000:]


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_peer_proves_what_we_prove(peer: Peer, protocol: str, tmp_path: Path) -> None:
    """With its reductions on, as it is timed, a peer says that the repaired variant holds."""
    text = ask(peer, protocol, BROKEN[protocol], tmp_path, broken=False, count=False)
    assert peer.read(text, protocol).verdict == HOLDS, text[-2000:]


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
def test_nothing_printed_is_no_verdict(peer: Peer) -> None:
    """A tool that printed nothing, or failed, has not said that anything holds."""
    for text in ("", "error: cannot open file", "Segmentation fault"):
        assert peer.read(text, "fault_vs_conversion").verdict == "?"


@pytest.mark.parametrize("tool", [spin, murphi, tla, verilog], ids=lambda m: m.__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_and_repaired_inputs_differ_at_every_rung(tool: object, protocol: str) -> None:
    """Each generator writes other text for the broken variant, and no placeholder of a template is left."""
    make = tool.PROTOCOLS[protocol]  # type: ignore[attr-defined]
    for sizes in (BROKEN[protocol], tuple(k + 2 for k in BROKEN[protocol])):
        repaired, broken = make(sizes, broken=False), make(sizes, broken=True)
        assert repaired != broken
        assert not re.search(r"KEEP_BUT|\{[a-z_]+\}", repaired)
