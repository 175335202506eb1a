"""The ladder beside Spin with weak fairness: both sides ask the same, and are read rightly."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.endless import PROTOCOLS, Protocol, main, verdict
from protocheck import check_file
from protocheck.findings import Holds, Violated


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_our_side(protocol: Protocol, tmp_path: Path) -> None:
    """Each lock gets the known verdict at its smallest size."""
    path = tmp_path / "m.pchk"
    path.write_text(protocol.ours(protocol.sizes[0]), encoding="utf-8")
    (scenario,) = check_file(str(path)).scenarios
    (found,) = (f for f in scenario.findings if f.name == "served")
    assert isinstance(found.outcome, Holds if protocol.holds else Violated)


@pytest.mark.skipif(shutil.which("spin") is None, reason="Spin is not installed")
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_spin_reads_its_side(protocol: Protocol, tmp_path: Path) -> None:
    """Spin takes the other side without complaint."""
    (tmp_path / "m.pml").write_text(protocol.spin(protocol.sizes[0]), encoding="utf-8")
    done = subprocess.run(["spin", "-a", "m.pml"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Error" not in done.stdout + done.stderr


def test_what_tools_say() -> None:
    """A verdict is read from what a tool prints, and nothing from a tool that failed."""
    assert verdict("spin", "State-vector 52 byte, depth reached 5, errors: 0\n") == "holds"
    assert verdict("spin", "State-vector 52 byte, depth reached 5, errors: 1\n") == "violated"
    assert verdict("spin", "pan: recompile with more\n") == "?"
    assert verdict("protocheck", "default  served  violated by a loop of 3 steps\n") == "violated"
    assert verdict("protocheck", "default  served  holds (exhausted: 65 states)\n") == "holds"
    assert verdict("protocheck", "default  served  unknown: time limit  open: holds\n") == "?"
    assert verdict("protocheck", "error: no property is called `served`\n") == "?"


def test_a_rung(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a row per rung, and the exit code is 0 where everybody agrees, else 1."""
    monkeypatch.setattr("benchmarks.endless._measured", lambda protocol, size, tool, known, limit: "1.00")
    assert main(["--rungs", "1"]) == 0
    assert capsys.readouterr().out.count("| 1.00 | 1.00 |") == len(PROTOCOLS)
    monkeypatch.setattr("benchmarks.endless._measured", lambda protocol, size, tool, known, limit: f"not {known}: ?")
    assert main(["--rungs", "1"]) == 1
