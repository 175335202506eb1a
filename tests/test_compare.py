"""What ``protocheck compare`` says about proposals whose verdicts are known."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocheck import cli
from protocheck.check import check_scenario
from protocheck.compare import Change, Comparison, compare
from protocheck.diagnostics import ModelError
from protocheck.engines.verdict import Limit
from protocheck.findings import ScenarioReport, Unknown
from protocheck.proposals import Spec, find_proposals, parse_spec
from protocheck.reports.compare import render
from protocheck.reports.style import Style
from protocheck.types.tree import CheckedModule
from protocheck.usage import UsageError

MODEL = """\
protocol tickets
type clerk = scalarset(clerks in 1..3 = 2)
hypervisor office {
    lock counter : mutex;
    state sold : 0..3 = 0;
    thread sell[c : clerk] { let seen = sold;  sold = seen + 1; }
    variant locked of thread sell[c : clerk] { with counter { let seen = sold;  sold = seen + 1; } }
}
final every_sale_counts: office.sold == clerks;
reachable sold_out: office.sold == 2;
scenario careless { expect every_sale_counts violated; }
scenario careful  { with locked; }
scenario alone    { clerks = 1;  expect sold_out unreachable; }
"""

CARELESS = "{ let seen = sold;  sold = seen + 1; }\n    variant"
ATOMIC = "{ atomic { sold = sold + 1; } }\n    variant"
GIT = shutil.which("git")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model in it."""
    monkeypatch.chdir(tmp_path)
    Path("tickets.pchk").write_text(MODEL, encoding="utf-8")
    return tmp_path


def told(comparison: Comparison) -> list[tuple[str, str, Change, str | None]]:
    """Differences by name: column, guarantee, how it fares, and whose run shows it."""
    columns = comparison.columns
    return [
        (
            columns[d.column].label,
            comparison.rows[d.row].name,
            d.change,
            columns[d.witness].label if d.witness is not None else None,
        )
        for d in comparison.differences
    ]


def test_one_file_stands_for_its_scenarios(here: Path) -> None:
    """Against the careless one, the lock gains a guarantee, and a single clerk gains it and loses a behaviour."""
    found = compare(find_proposals(["tickets.pchk"]))
    assert [c.label for c in found.columns] == ["careless", "careful", "alone"]
    assert told(found) == [
        ("careful", "every_sale_counts", Change.GAINED, "careless"),
        ("alone", "every_sale_counts", Change.GAINED, "careless"),
        ("alone", "sold_out", Change.LOST, "careless"),
    ]
    (behaviour,) = found.behaviours
    assert (found.rows[behaviour.row].name, behaviour.allowed, behaviour.forbidden) == ("sold_out", (0, 1), (2,))


def test_the_witness_of_a_loss_is_the_run_of_the_loser(here: Path) -> None:
    """The shortest violation, six steps, is laid out once, below the table."""
    found = compare(find_proposals(["tickets.pchk:careful", "tickets.pchk:careless"]))
    assert told(found) == [("careless", "every_sale_counts", Change.LOST, "careless")]
    text = render(found, Style())
    assert "\ncareless against careful:\n  lost: every_sale_counts: holds (exhausted: 16 states" in text
    assert text.count("every_sale_counts in careless: violated in 6 steps (the shortest run)\n6 steps, ") == 1
    assert "context switch" not in render(found, Style(), runs=False)


def test_a_run_that_is_no_longer_possible_is_no_loss(here: Path) -> None:
    """The table of the race can happen without the lock and cannot with it; `--fail-on lost` has nothing to say."""
    race = "run race for v in clerk, w in clerk where v != w { office.sell[v] : look; office.sell[w] : look; "
    race += "office.sell[v] : count; office.sell[w] : count; }\nscenario careless"
    model = MODEL.replace("let seen", "look: let seen").replace("sold = seen + 1", "count: sold = seen + 1")
    Path("race.pchk").write_text(model.replace("scenario careless", race, 1), encoding="utf-8")
    found = compare(find_proposals(["race.pchk:careless", "race.pchk:careful"]))
    assert ("careful", "race", Change.OTHER, "careless") in told(found)
    assert found.count(Change.LOST, Change.UNCLAIMED) == 0
    assert [found.rows[b.row].name for b in found.behaviours] == ["race"]


def test_settings_go_above_a_scenario(here: Path) -> None:
    """With three clerks two tickets can be sold on the way, and the careless ones still lose some."""
    found = compare(find_proposals(["tickets.pchk:careless", "tickets.pchk:careless:clerks=1"]))
    assert [c.label for c in found.columns] == ["careless", "careless:clerks=1"]
    assert [(name, change) for _, name, change, _ in told(found)] == [
        ("every_sale_counts", Change.GAINED),
        ("sold_out", Change.LOST),
    ]


def test_a_bound_decides_nothing(here: Path) -> None:
    """What was proved and then is only not refuted is no longer decided, which is neither lost nor kept."""
    whole = compare(find_proposals(["tickets.pchk:careful", "tickets.pchk:careless"]))
    cut = compare(find_proposals(["tickets.pchk:careful", "tickets.pchk:careless"]), bound=2)
    assert [d.change for d in whole.differences] == [Change.LOST]
    assert Change.LOST not in [d.change for d in cut.differences]


def test_a_guarantee_that_is_dropped_is_no_longer_claimed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Deleting a claim that held is a loss for ``--fail-on lost``; deleting it is not called gained either way."""
    kept = [line for line in MODEL.split("\n") if "every_sale_counts" not in line]
    shorter = "\n".join([*kept, "scenario careless { }", ""])
    Path("shorter.pchk").write_text(shorter, encoding="utf-8")
    found = compare(find_proposals(["tickets.pchk:careful", "shorter.pchk:careful"]))
    assert [(n, c, w) for _, n, c, w in told(found)] == [("every_sale_counts", Change.UNCLAIMED, None)]
    assert cli.main(["compare", "tickets.pchk:careful", "shorter.pchk:careful", "--fail-on", "lost"]) == 1
    assert "no longer claimed: every_sale_counts" in capsys.readouterr().out
    back = compare(find_proposals(["shorter.pchk:careful", "tickets.pchk:careful"]))
    assert [c for _, _, c, _ in told(back)] == [Change.NEW]


def test_whole_files_are_matched_by_scenario(here: Path) -> None:
    """Two files with several scenarios each are compared scenario by scenario."""
    Path("mended.pchk").write_text(MODEL.replace(CARELESS, ATOMIC), encoding="utf-8")
    found = compare(find_proposals(["tickets.pchk", "mended.pchk"]))
    assert told(found) == [("mended.pchk", "careless: every_sale_counts", Change.GAINED, "tickets.pchk")]


def test_exit_codes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Losses fail only if asked for; what a bound leaves open is a limit."""
    lost = ["compare", "tickets.pchk:careful", "tickets.pchk:careless"]
    assert cli.main(lost) == 0
    assert cli.main([*lost, "--fail-on", "lost"]) == 1
    assert cli.main(["compare", "tickets.pchk:careless", "tickets.pchk:careful", "--fail-on", "lost"]) == 0
    assert cli.main([*lost, "--bound", "x"]) == 2
    assert cli.main([*lost, "--bound", "2"]) == 0
    assert cli.main([*lost, "--bound", "2", "--fail-on", "lost"]) == 3
    capsys.readouterr()
    assert cli.main([*lost, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["differences"] == [{"guarantee": "every_sale_counts", "proposal": "careless", "change": "lost"}]
    row = next(r for r in data["guarantees"] if r["name"] == "every_sale_counts")
    assert [v["verdict"] for v in row["verdicts"]] == ["holds", "violated"]


def test_ctrl_c_ends_the_comparison(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario that was interrupted is no proposal to compare with."""
    real = check_scenario

    def pressed(*given: Any, **options: Any) -> ScenarioReport:
        report = real(*given, **options)
        first = replace(report.findings[0], outcome=Unknown(Limit.INTERRUPTED))
        return replace(report, findings=(first, *report.findings[1:]))

    monkeypatch.setattr("protocheck.compare.check_scenario", pressed)
    with pytest.raises(KeyboardInterrupt):
        compare(find_proposals(["tickets.pchk"]))


def test_ctrl_c_in_the_third_proposal_leaves_the_first_two(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was checked until then is compared, the third is named, and nothing is said of it; the exit code is 3."""
    real = check_scenario

    def pressed(module: CheckedModule, name: str, **options: Any) -> ScenarioReport:
        if name == "alone":
            raise KeyboardInterrupt
        return real(module, name, **options)

    monkeypatch.setattr("protocheck.compare.check_scenario", pressed)
    found = compare(find_proposals(["tickets.pchk"]))
    assert ([c.label for c in found.columns], found.unchecked) == (["careless", "careful"], ("alone",))
    assert told(found) == [("careful", "every_sale_counts", Change.GAINED, "careless")]
    assert cli.main(["compare", "tickets.pchk"]) == 3
    assert "\ninterrupted: not checked: alone\n" in capsys.readouterr().out
    assert cli.main(["compare", "tickets.pchk", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["unchecked"] == ["alone"]


def test_specs_are_taken_apart(here: Path) -> None:
    """A file that exists is a file; anything before one that does not is a revision."""
    assert parse_spec("tickets.pchk") == Spec("tickets.pchk", "", "tickets.pchk", "", ())
    assert parse_spec("no.pchk:s:a=1,b=2") == Spec("no.pchk:s:a=1,b=2", "", "no.pchk", "s", ("a=1", "b=2"))
    assert parse_spec("HEAD~1:m.pchk:s") == Spec("HEAD~1:m.pchk:s", "HEAD~1", "m.pchk", "s", ())
    for wrong in ("", ":m.pchk", "m.pchk:a:b=1:c", "-x:m.pchk"):
        with pytest.raises(UsageError):
            parse_spec(wrong)


def test_what_cannot_be_compared_is_refused(here: Path) -> None:
    """One proposal, one proposal twice, a scenario with a file of several, an unknown scenario or parameter."""
    for wrong, says in [
        (["tickets.pchk:careful"], "there is nothing to compare it with"),
        (["tickets.pchk:careful", "tickets.pchk:careful"], "is given twice"),
        (["tickets.pchk", "tickets.pchk:careful"], "has 3 scenarios and would be compared with a single one"),
        (["nowhere.pchk", "tickets.pchk"], "there is no file or folder `nowhere.pchk`"),
    ]:
        with pytest.raises(UsageError, match=says):
            find_proposals(wrong)
    with pytest.raises(ModelError):
        find_proposals(["tickets.pchk:carefree", "tickets.pchk:careful"])
    with pytest.raises(ModelError):
        compare(find_proposals(["tickets.pchk:careless", "tickets.pchk:careless:clerks=4"]))


def test_without_git_a_revision_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names git and the revision."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"`HEAD:\.\.\.` needs git, which is not there"):
        find_proposals(["HEAD:tickets.pchk", "tickets.pchk"])


@pytest.mark.skipif(GIT is None, reason="git is not installed")
def test_revisions(here: Path) -> None:
    """The revision has the careless thread and a module beside it; the working tree has neither fault."""
    git = [str(GIT), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    Path("shop.pchk").write_text("module shop\nfn more(n : 0..2) -> 0..3 { return n + 1; }\n", encoding="utf-8")
    old = MODEL.replace("type clerk", "import shop as shop\ntype clerk").replace("seen + 1", "shop.more(seen)")
    Path("tickets.pchk").write_text(old, encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True, cwd=here)
    mended = MODEL.replace(CARELESS, ATOMIC)
    Path("shop.pchk").unlink()
    Path("tickets.pchk").write_text(mended, encoding="utf-8")
    found = compare(find_proposals(["HEAD:tickets.pchk:careless", "tickets.pchk:careless"]))
    assert [(n, c) for _, n, c, _ in told(found)] == [("every_sale_counts", Change.GAINED)]
    assert found.columns[0].file == "HEAD:tickets.pchk"
    with pytest.raises(UsageError, match="git cannot show `NOWHERE:tickets"):
        find_proposals(["NOWHERE:tickets.pchk", "tickets.pchk"])
