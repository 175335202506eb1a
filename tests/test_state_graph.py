"""``protocheck graph``: every state and every step of a small model, violations marked, large models refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.check import check_file
from protocheck.cli import main
from protocheck.diagnostics import ModelError
from protocheck.engines.explore import explore
from protocheck.state_graph import StateGraph, state_graph
from protocheck.types import load

MODEL = """\
protocol abba
hypervisor h {
    lock a : mutex;
    lock b : mutex;
    state x : 0..2 = 0;
    thread one { acquire a; acquire b; x = 1; release b; release a; }
    thread two { acquire b; acquire a; assert x == 0 as untouched; release a; release b; }
}
invariant low: h.x < 1;
"""


def made(tmp_path: Path, *properties: str, limit: int = 500) -> StateGraph:
    path = tmp_path / "abba.pchk"
    path.write_text(MODEL)
    return state_graph(load(path), None, properties, None, limit)


def test_every_state_and_every_step_is_there(tmp_path: Path) -> None:
    """As many states and steps as an exhaustive search without symmetry counts, and all labels differ."""
    found = made(tmp_path)
    (scenario,) = check_file(tmp_path / "abba.pchk").scenarios
    assert scenario.system is not None
    counted = explore(scenario.system, (), symmetry=False, to_the_end=True)
    assert (len(found.nodes), len(found.edges)) == (counted.states, counted.edges)
    assert [n.begins for n in found.nodes].count(True) == 1


def test_violations_are_marked_where_they_are(tmp_path: Path) -> None:
    """The invariant is violated where x is 1, the deadlock where nothing moves, the assertion in steps."""
    found = made(tmp_path)
    for node in found.nodes:
        assert ("low" in node.violates) is ("x = 1" in node.facts)
    stuck = {n for n, node in enumerate(found.nodes) if "deadlock" in node.violates}
    assert stuck
    assert not stuck & {e.before for e in found.edges}
    broken = [e for e in found.edges if "untouched" in e.violates]
    assert broken
    assert all("x = 1" in found.nodes[e.before].facts and e.thread == "h.two" for e in broken)


def test_only_what_is_asked_for_is_marked(tmp_path: Path) -> None:
    """With a property named no other is marked; one that no state violates is refused, and so is an unknown one."""
    found = made(tmp_path, "low")
    assert {v for n in found.nodes for v in n.violates} == {"low"}
    assert not any(e.violates for e in found.edges)
    with pytest.raises(ModelError) as refused:
        made(tmp_path, "lock_order")
    assert refused.value.diagnostics[0].rule.name == "no-graph-of"


def test_too_many_states_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit is exact, and the message names it."""
    count = len(made(tmp_path).nodes)
    assert len(made(tmp_path, limit=count).nodes) == count
    path = str(tmp_path / "abba.pchk")
    assert main(["graph", path, "--states", str(count - 1)]) == 2
    assert f"there are more than {count - 1} states" in capsys.readouterr().err


def test_the_drawing_is_written(tmp_path: Path) -> None:
    """Each state is a node of the file, each step an arrow, and violations are red."""
    made(tmp_path)
    out = tmp_path / "x.dot"
    assert main(["graph", str(tmp_path / "abba.pchk"), "--property", "deadlock", "-o", str(out)]) == 0
    text = out.read_text()
    found = made(tmp_path, "deadlock")
    assert sum(line.startswith("  s") and "->" not in line for line in text.splitlines()) == len(found.nodes)
    assert text.count("peripheries=2") == 1
    assert text.count("violates deadlock") == sum(bool(n.violates) for n in found.nodes)
