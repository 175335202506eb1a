"""Injected failures and signals from outside: what a check says of them, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

import protocheck
from protocheck.cli import main
from protocheck.findings import Finding, Violated

CALM = """protocol calm
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    lock m : mutex;
    state mapped : [gfn] bool = false guarded_by m;
    op map(g : gfn) -> bool may_fail false { if mapped[g] { return false; }  mapped[g] = true;  return true; }
    op look(g : gfn) -> bool may_fail false { return true; }
    thread fault[g : gfn] {
        if !look(g) { return; }
        with m { if !map(g) { assert mapped[g], "told to be mapped"; } }
    }
}
always invariant all: forall g in gfn : kvm.mapped[g] implies !finished(kvm.fault[g]) || kvm.mapped[g];
reachable one_done: exists g in gfn : finished(kvm.fault[g]);
scenario quiet   { expect others any; }
scenario failing { failures = 1;  expect others any; }
"""

ENDLESS = """protocol endless
type rc = enum { OK, EINTR }
hypervisor kvm {
    state go : bool = false;  state begun : bool = false;
    proc wait() -> rc { begun = true;  await go killable else { return EINTR; }  return OK; }
    op locked() -> rc may_fail EINTR { await go;  return OK; }
    variant blocks of proc wait() -> rc { begun = true;  return locked(); }
    thread t { ignore wait(); }
    thread u { if begun && !begun { go = true; } }
}
progress served: finished(kvm.t);
scenario zero  { expect served violated, others any; }
scenario one   { signals = 1;  expect served violated, others any; }
scenario fails { with blocks;  failures = 1;  expect served violated, others any; }
"""


def findings(path: Path, text: str, scenario: str) -> dict[str, Finding]:
    """What a check of one scenario of ``text`` finds, by name."""
    path.write_text(text)
    return {f.name: f for _, f in protocheck.check_file(path, scenarios=(scenario,)).findings()}


@pytest.mark.parametrize("scenario", ["zero", "one", "fails"])
def test_nobody_may_count_on_a_failure_or_a_signal(tmp_path: Path, scenario: str) -> None:
    """A thread that only they could move is no deadlock while one is left, but progress is not owed to it."""
    found = findings(tmp_path / "m.pchk", ENDLESS, scenario)
    assert isinstance(found["served"].outcome, Violated)
    assert isinstance(found["deadlock"].outcome, Violated) == (scenario == "zero")


EITHER_WAY = """protocol either_way
hypervisor kvm {
    state done : bool = false;  state asked : 0..2 = 0;
    op ask() -> bool may_fail false { return true; }
    thread t { if ask() { asked = 1; } else { asked = 2; }  done = true; }
}
reachable done:   kvm.done;
reachable failed: kvm.done && kvm.asked == 2;
scenario s { failures = 1;  expect all hold; }
"""


@pytest.mark.parametrize(("claim", "told"), [("done", False), ("failed", True)])
def test_of_equally_short_runs_the_one_without_a_failure_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], claim: str, told: bool
) -> None:
    """A failure is shown only where it is needed: both runs have three steps."""
    path = tmp_path / "m.pchk"
    path.write_text(EITHER_WAY)
    main(["check", str(path), "--property", claim, "--traces"])
    words = " ".join(capsys.readouterr().out.replace("|", " ").split())
    assert "3 steps" in words
    assert ("injected failure" in words) == told


def test_a_failure_leaves_the_symmetry_and_proofs_for_any_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without failures as before; with a budget, that is what stays fixed."""
    path = tmp_path / "m.pchk"
    path.write_text(CALM)
    main(["check", str(path), "--property", "all", "-v"])
    words = " ".join(capsys.readouterr().out.split())
    assert "holds for any number of gfn (" in words
    assert "with failures = 1 fixed" in words


@pytest.mark.parametrize("form", ["text", "mail", "mermaid", "sarif", "rst", "json"])
def test_every_format_says_that_a_failure_was_injected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Else the reader would look for a reason in the model."""
    path = tmp_path / "m.pchk"
    path.write_text(CALM.replace("1;  expect others any;", "1;"))
    main(["check", str(path), "--scenario", "failing", "--property", "assertion", "--format", form])
    words = " ".join(capsys.readouterr().out.replace("|", " ").split())
    assert "injected failure" in words


def test_the_command_line_sets_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-p failures=2` and `sweep` know the parameter though no line of the model declares it."""
    path = tmp_path / "m.pchk"
    path.write_text(CALM)
    assert main(["sweep", str(path), "-p", "failures=0..2"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "failures assertion" in words
    assert "vacuous -> violated" in words
    main(["check", str(path), "--scenario", "quiet", "-p", "failures=2"])
    assert "2 gfn, failures = 2" in capsys.readouterr().out
