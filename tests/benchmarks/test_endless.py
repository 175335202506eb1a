"""The ladder beside Spin with weak fairness: both sides ask the same, and are read rightly."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.endless import PROTOCOLS, Protocol, main, page, verdict
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


def test_a_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a row per rung, and the exit code is 0 where everybody agrees, else 1."""
    file = tmp_path / "endless.md"
    command = ["--rungs", "1", "--output", str(file)]
    monkeypatch.setattr("benchmarks.endless._measured", lambda protocol, size, tool, known, limit: "1.00")
    assert main(command) == 0
    assert file.read_text(encoding="utf-8").count("| 1.00 | 1.00 | 1.00 |") == len(PROTOCOLS)
    monkeypatch.setattr("benchmarks.endless._measured", lambda protocol, size, tool, known, limit: f"not {known}: ?")
    assert main(command) == 1


def test_who_did_not_end_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that took longer than the limit is not run on a larger size of the same protocol; the other is."""
    asked: list[tuple[str, int, str]] = []

    def measured(protocol: Protocol, size: int, tool: str, known: str, limit: float) -> str:
        asked.append((protocol.name, size, tool))
        return "-" if tool == "spin" else "2.00"

    monkeypatch.setattr("benchmarks.endless._measured", measured)
    assert main(["--output", str(tmp_path / "endless.md")]) == 0
    assert [a for a in asked if a[2] == "spin"] == [(p.name, p.sizes[0], "spin") for p in PROTOCOLS]
    assert len(asked) == len(PROTOCOLS) + sum(len(p.sizes) for p in PROTOCOLS)


def test_no_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the minutes given nothing more is begun, and the document says only what was measured."""
    monkeypatch.setattr("benchmarks.endless._measured", lambda *_: pytest.fail("measured"))
    file = tmp_path / "endless.md"
    assert main(["--minutes", "-1", "--output", str(file)]) == 0
    assert "ticket" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (("2.00", "1.00"), "Slower than Spin at: ticket lock of 2 (2.00)."),
        (("-", "1.00"), "Slower than Spin at: ticket lock of 2 (-)."),
        (("1.00", "2.00"), "Nowhere slower than Spin"),
        (("1.00", "-"), "Nowhere slower than Spin"),
        (("1.00", "missing"), "Spin is skipped"),
    ],
)
def test_the_document_says_where_we_are_behind(cells: tuple[str, str], says: str) -> None:
    """What is said about being slower follows from the figures."""
    text = "\n".join(page([(PROTOCOLS[0], 2, cells)], 30))
    assert says in text
    assert ("Slower than Spin" in text) == says.startswith("Slower")
