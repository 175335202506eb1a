"""The `expect` line that the checker offers: whoever writes it down has a model of which every verdict is expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocheck.as_found import expect_line
from protocheck.check import check_file
from protocheck.cli import main

MODEL = """\
protocol offers
type vcpu = scalarset(vcpus in 1..2 = 2)
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    state n : 0..2 = 0;
    state never : bool = false;
    thread up[v : vcpu] {
        let m = n;
        assert m == 0 as lost_update;
        n = m + 1;
        assert n >= 1, "it was stored" as lost_update;
    }
    thread ab { with a { with b { skip; } } }
    thread ba { with b { with a { skip; } } }
    environment idle { loop { await never;  assert n == 2 as asleep; } }
}
always invariant low: kvm.n <= 1;
final two: kvm.n == 2;
reachable gone: kvm.never;
weakness strict: kvm.n == 0;
scenario plain { EXPECT }
"""


def offered(tmp_path: Path, expect: str) -> tuple[str | None, bool]:
    path = tmp_path / "offers.pchk"
    path.write_text(MODEL.replace("EXPECT", expect), encoding="utf-8")
    (scenario,) = check_file(path).scenarios
    return expect_line(scenario), scenario.as_expected


def test_the_line_names_what_does_not_hold_with_lengths(tmp_path: Path) -> None:
    """Families of assertions, invariants, finals, reachables, weaknesses, vacuous claims and lock order are named."""
    line, good = offered(tmp_path, "")
    assert not good
    assert line == (
        "expect lost_update violated in 4 steps, asleep vacuous, low violated in 4 steps, two violated in 12 steps, "
        "gone unreachable, strict violated in 2 steps, deadlock violated in 4 steps, "
        "lock_order cycle violated in 4 steps;"
    )


def test_what_is_offered_is_met(tmp_path: Path) -> None:
    """With the line in place everything is as expected, and the same line is offered again."""
    line, _ = offered(tmp_path, "")
    assert line is not None
    assert offered(tmp_path, line) == (line, True)


@pytest.mark.parametrize("toy", sorted(p.name for p in Path("models/toys").glob("*.pchk"))[:8])
def test_the_toys_may_be_rewritten_by_it(toy: str, tmp_path: Path) -> None:
    """Every scenario of a toy, with its own line replaced by the one that is offered, is as expected."""
    source = Path("models/toys") / toy
    text = source.read_text(encoding="utf-8")
    for scenario in check_file(source).scenarios:
        line = expect_line(scenario)
        head = re.search(rf"scenario {scenario.name}\s*\{{[^}}]*\}}", text)
        if line is None or head is None:
            continue
        body = re.sub(r"expect [^;]*;", "", head[0])
        path = tmp_path / toy
        path.write_text(text.replace(head[0], f"{body[:-1]} {line} }}"), encoding="utf-8")
        (again,) = check_file(path, scenarios=[scenario.name]).scenarios
        assert again.as_expected, line


def test_the_end_of_a_report_offers_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a verdict is not as expected the line is printed; with `--suggest` always, else never."""
    line, _ = offered(tmp_path, "")
    assert line is not None
    path = str(tmp_path / "offers.pchk")
    first = line.split(",")[0]
    assert main(["check", path, "--no-any-size"]) == 1
    assert f"as found, should that be right:\n  plain: {first}" in capsys.readouterr().out
    offered(tmp_path, line)
    assert main(["check", path, "--no-any-size"]) == 0
    assert "as found" not in capsys.readouterr().out
    assert main(["check", path, "--no-any-size", "--suggest"]) == 0
    assert f"as found:\n  plain: {first}" in capsys.readouterr().out


def test_what_was_to_be_reached_is_expected_to_be_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A `reachable` that nothing reaches differs from "found", the word that its verdict would have had."""
    offered(tmp_path, "expect others any, gone holds;")
    assert main(["check", str(tmp_path / "offers.pchk"), "--no-any-size"]) == 1
    shown = capsys.readouterr().out
    assert "NO: found" in shown
    assert "expected: found" in shown
