"""``protocheck doc``: what the document of a small model says, and that drift is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck import cli
from protocheck.check import check_file
from protocheck.describe import describe
from protocheck.life_cycle import life_cycles
from protocheck.lower import compile_system, instantiate
from protocheck.reports.guide import main_scenario
from protocheck.types import load

ROOT = Path(__file__).resolve().parent.parent

MODEL = """\
/// A page is lent, and given back.
protocol lending
source "a letter"
type page = scalarset(pages in 1..4 = 2)
type kind = enum { owned, lent, lost }
hypervisor host {
    /// who has the page
    pub state owner : [page] kind = owned guarded_by table;
    lock table : mutex;                                     // guards all owners
    thread lend[p : page] {
        with table { owner[p] = lent; }
        with table { owner[p] = owned; }
    }
    variant careless of thread lend[p : page] {
        with table { owner[p] = lent; }
        with table { owner[p] = lost; }
    }
}
/// No page is ever lost.
invariant kept: forall p in page : host.owner[p] != lost;
reachable both_lent: forall p in page : host.owner[p] == lent;
scenario forgets { with careless; expect kept violated in 2 steps; }        // as first proposed
scenario gives_back { expect all hold; }
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("lending.pchk")
    path.write_text(MODEL, encoding="utf-8")
    return path


def test_the_life_of_a_page_is_complete(model: Path) -> None:
    """Both scenarios show exactly the changes that their code makes, each with its line."""
    module = load(model)
    found = {}
    for name in ("forgets", "gives_back"):
        (cycle,) = life_cycles(compile_system(module, instantiate(module, name, {})))
        assert (cycle.state, cycle.begins, cycle.complete) == ("host.owner", ("owned",), True)
        found[name] = [(c.before, c.after, c.place.line if c.place else 0) for c in cycle.changes]
    assert found == {
        "forgets": [("owned", "lent", 15), ("lent", "lost", 16)],
        "gives_back": [("owned", "lent", 11), ("lent", "owned", 12)],
    }


def test_a_search_that_was_cut_says_so() -> None:
    """Cut at 1,000 states the life is not complete, and shows nothing that the longer search does not."""
    module = load(ROOT / "models/gmem/fault_vs_conversion.pchk")
    system = compile_system(module, instantiate(module, None, {}))
    cut, longer = life_cycles(system, states=1000), life_cycles(system)
    assert [(c.state, c.complete) for c in cut] == [("kvm.attribute", False), ("kvm.spte", False)]
    for short, long in zip(cut, longer, strict=True):
        assert set(short.changes) <= set(long.changes)


def test_the_document_is_about_what_holds(model: Path) -> None:
    """The scenario without violations is the one that is told at length, though it is not the first."""
    main = main_scenario(check_file(model))
    assert main is not None
    assert main.name == "gives_back"


def test_the_document_says_what_matters(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Title, sources, parties, declarations with their remarks, life, verdicts, invariant and the run are all there."""
    assert cli.main(["doc", str(model)]) == 0
    text = capsys.readouterr().out
    for line in (
        "# `lending`",
        "A page is lent, and given back.",
        "| `forgets` | as first proposed; with the change `careless` | 2 page | `kept` is violated in 2 steps "
        "(the shortest run); the other 5 claims hold |",
        "- a letter",
        "| `host` | hypervisor | `lend` (thread) | - | `owner` |",
        "| `host.owner` | `pub state owner : [page] kind = owned guarded_by table` | who has the page |",
        "| `host.table` | mutex | guards all owners |",
        "No lock is ever wanted while another is held.",
        "| `owned` | `lent` | `host.lend`: `with table` (line 11) |",
        "| No page is ever lost. | `kept` | holds",
        "### `forgets`",
        "`kept` (No page is ever lost.) is violated in 2 steps (the shortest run) at 2 page:",
        "- memory behaves as under sequential consistency",
    ):
        assert line in text, line
    assert "owner[page0]: owned -> lent" in text
    described = describe(load(model))
    (kept,) = [f for f in described.report.scenarios[1].findings if f.name == "kept"]
    assert kept.invariant
    for sentence in kept.invariant:
        assert sentence in text


def test_drift_is_noticed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing and a changed document fail the check, each by its own word; a current one passes, untouched."""
    check = ["doc", str(model), "-o", "docs", "--check"]
    assert cli.main(check) == 1
    assert "docs/lending.md is missing" in capsys.readouterr().out
    assert cli.main(["doc", str(model), "-o", "docs"]) == 0
    assert cli.main(check) == 0
    assert capsys.readouterr().out == ""
    model.write_text(MODEL.replace("who has the page", "whose page it is"), encoding="utf-8")
    assert cli.main(check) == 1
    assert "docs/lending.md has drifted" in capsys.readouterr().out
    assert "whose page" not in Path("docs/lending.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["doc", "lending.pchk", "--check"], "needs the folder"),
        (["doc", "lending.pchk", "other.pchk"], "2 models make 2 documents"),
        (["doc", "lending.pchk", "other.pchk", "-o", "d"], "two models are called `lending`"),
        (["doc", "lending.pchk", "-o", "lending.pchk"], "`--output lending.pchk`"),
        (["doc", "nowhere.pchk"], "nowhere.pchk"),
    ],
)
def test_bad_usage_is_named(model: Path, capsys: pytest.CaptureFixture[str], words: list[str], fault: str) -> None:
    """Each wrong command ends with code 2 and says what is wrong with it."""
    Path("other.pchk").write_text(MODEL, encoding="utf-8")
    assert cli.main(words) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("to", ["rst", "html"])
def test_every_format_tells_the_same(model: Path, capsys: pytest.CaptureFixture[str], to: str) -> None:
    """The verdict, the run and the invariant stand in each of the formats."""
    assert cli.main(["doc", str(model), "--to", to]) == 0
    text = capsys.readouterr().out
    for words in ("violated in 2 steps", "No page is ever lost", "lending", "owned"):
        assert words in text


RACE = """\
protocol racing
hypervisor k {
    state x : 0..2 = 0;
    thread one { let s = x;  store: x = s + 1; }
    thread two { let t = x;  put: x = t + 1; }
    variant locked of thread two { atomic { let t = x;  put: x = t + 1; } }
}
final both: k.x == 2;
/// The update of one is lost.
run lost in bare, safe { k.two : put;  k.one : store; } leads to both;
scenario bare { expect both violated; }
scenario safe { with locked;  expect both any, lost any; }
"""


def test_the_document_has_the_model_and_the_orders_that_it_asks_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of the model stands there with its number, and each run with what it says and where it can happen."""
    monkeypatch.chdir(tmp_path)
    Path("racing.pchk").write_text(RACE, encoding="utf-8")
    assert cli.main(["doc", "racing.pchk"]) == 0
    page = capsys.readouterr().out
    listing = page.rsplit("```text\n", 1)[1].removesuffix("```\n").splitlines()
    assert listing == [f"{n:2}  {line}".rstrip() for n, line in enumerate(RACE.splitlines(), start=1)]
    assert "| `lost` | The update of one is lost. | `k.two : put; k.one : store leads to both` |" in page
    row = next(line for line in page.splitlines() if line.startswith("| `lost` |"))
    assert "in `bare`" in row
    assert "in `safe`" in row
    assert "`exhausted`: every state that can be reached" in page
