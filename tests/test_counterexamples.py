"""``check --all N``: more than one counterexample, in every report, each with its own end or order."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from protocheck.check import check_file
from protocheck.cli import main
from protocheck.findings import Finding
from protocheck.reports.document import document_of, load, runs
from protocheck.reports.json import schema_path

DESKS = """\
protocol desks
hypervisor bank {
    lock front : mutex;
    lock back : mutex;
    lock vault : mutex;
    thread serve { acquire front; acquire back;  release back;  release front; }
    thread tally { acquire back;  acquire front; release front; release back; }
    thread audit { acquire vault; acquire front; release front; release vault; }
    thread store { acquire front; acquire vault; release vault; release front; }
}
"""

CLERKS = """\
protocol clerks
type clerk = scalarset(clerks in 1..3 = 3)
hypervisor office {
    state sold : 0..3 = 0;
    thread sell[c : clerk] {
        let seen = sold;
        if seen < 3 { sold = seen + 1; }
    }
}
final every_sale_counts: office.sold == clerks;
"""


def found(tmp_path: Path, text: str, name: str, several: int) -> Finding:
    path = tmp_path / f"{text.split()[1]}.pchk"
    path.write_text(text)
    report = check_file(path, properties=[name], several=several)
    return next(f for _, f in report.findings() if f.name == name)


def test_another_cycle_comes_before_another_order(tmp_path: Path) -> None:
    """Of the two deadlocks of the model the second run shows the other one."""
    finding = found(tmp_path, DESKS, "deadlock", 2)
    assert finding.others is not None
    assert (finding.others.ends, finding.others.complete, len(finding.others.runs)) == (2, True, 1)
    ends = []
    assert finding.evidence is not None
    for evidence in (finding.evidence, *finding.others.runs):
        ends.append({b.who.thread for b in evidence.replayed.blocked})
    assert ends[0] != ends[1]


def test_renamed_members_are_no_other_run(tmp_path: Path) -> None:
    """Three clerks, of whom two or three read the same number: every run has another order of reading and selling."""
    finding = found(tmp_path, CLERKS, "every_sale_counts", 1_000)
    assert finding.others is not None
    assert finding.evidence is not None
    assert finding.others.complete
    orders = set()
    for evidence in (finding.evidence, *finding.others.runs):
        names: dict[int, int] = {}
        orders.add(
            (tuple((m.which, names.setdefault(m.values[0], len(names))) for m in evidence.run.moves), evidence.run.end)
        )
    assert len(orders) == finding.others.found == len(finding.others.runs) + 1


def test_a_claim_that_holds_has_none(tmp_path: Path) -> None:
    """Nothing is looked for where nothing is violated, or where only one run is wanted."""
    assert found(tmp_path, CLERKS, "deadlock", 3).others is None
    assert found(tmp_path, CLERKS, "every_sale_counts", 1).others is None


def test_json_carries_them_and_show_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON validates, a stored report has all three runs, and each is told under its own number."""
    path = tmp_path / "desks.pchk"
    path.write_text(DESKS)
    stored = tmp_path / "desks.json"
    options = ["--property", "deadlock", "--all", "3", "--no-any-size", "-j", "1"]
    assert main(["check", str(path), *options, "--format", "json", "-o", str(stored)]) == 1
    data = json.loads(stored.read_text())
    jsonschema.Draft202012Validator(json.loads(schema_path().read_text())).validate(data)
    (finding,) = data["reports"][0]["scenarios"][0]["findings"]
    assert len(finding["others"]["traces"]) == 2
    told = runs(load(str(stored)))
    assert [r.number for r in told] == [1, 2, 3]
    assert told == runs(document_of([check_file(path, properties=["deadlock"], several=3, explain=True)], (), 1, "0"))
    capsys.readouterr()
    assert main(["show", str(stored), "--format", "mail"]) == 0
    out = capsys.readouterr().out
    assert main(["check", str(path), *options]) == 1
    text = capsys.readouterr().out
    assert "counterexample 2 of 3" in text
    assert "deadlock: 3 counterexamples of" in text
    assert out.count("deadlock after step") == 3


def test_a_number_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """``--all`` takes a whole number of at least 1."""
    assert main(["check", "--all", "0"]) == 2
    assert "`--all 0`: the number of counterexamples is 1 or more" in capsys.readouterr().err
