"""What ``protocheck sweep`` finds over sizes and variants of models whose verdicts are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pressed import pressed_after

from protocheck import cli
from protocheck.diagnostics import ModelError
from protocheck.findings import Unknown, word
from protocheck.reports.style import Style
from protocheck.reports.sweep import render
from protocheck.source import SourceFile
from protocheck.sweep import MOST_SETS, Axis, Sweep, _cell, parse_axis, sweep
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.tree import CheckedModule

MODEL = """\
protocol tickets
type clerk = scalarset(clerks in 1..3 = 2)
param most : 1..4 = 3;
type mood = enum { calm, hasty }
param how : mood = hasty;
require most >= clerks;
hypervisor office {
    lock counter : mutex;
    state sold : 0..4 = 0;
    thread sell[c : clerk] { let seen = sold;  sold = min(seen + 1, most); }
    variant locked of thread sell[c : clerk] { with counter { let seen = sold;  sold = min(seen + 1, most); } }
    variant atomic_ of thread sell[c : clerk] { atomic { sold = min(sold + 1, most); } }
}
final every_sale_counts: office.sold == clerks;
reachable sold_out: office.sold == 2;
scenario careful { with locked; }
"""


def load(text: str = MODEL) -> CheckedModule:
    """The module of a model given as text."""
    return check(parse(SourceFile("m.pchk", text)), library_loader(Path()))


def words(found: Sweep, name: str) -> list[str]:
    """The word of one property in every cell that was checked."""
    number = found.properties.index(name)
    return [word(o) for c in found.cells if c.outcomes and (o := c.outcomes[number]) is not None]


def test_the_map_is_exact() -> None:
    """One clerk is safe, two are not; variants that replace the same thread never stand together."""
    found = sweep(load(), [Axis("clerks", ("1", "2", "3"))], variants=True)
    assert found.sets == ((), ("locked",), ("atomic_",))
    assert [(c.values, c.variants) for c in found.cells][:4] == [
        (("1",), ()),
        (("1",), ("locked",)),
        (("1",), ("atomic_",)),
        (("2",), ()),
    ]
    assert words(found, "every_sale_counts") == ["holds"] * 3 + ["violated", "holds", "holds"] * 2
    assert words(found, "sold_out") == ["unreachable"] * 3 + ["holds"] * 6


def test_all_smallest_changes_are_told() -> None:
    """From the model as it stands one clerk less, the lock, or the atomic block flips the verdict; two steps do not."""
    found = sweep(load(), [Axis("clerks", ("1", "2", "3"))], variants=True)
    name = found.properties.index("every_sale_counts")
    assert [(f.changes, found.cells[f.before].values) for f in found.flips if f.property == name] == [
        (("clerks = 2 -> 1",), ("2",)),
        (("with locked",), ("2",)),
        (("with atomic_",), ("2",)),
    ]


def test_what_the_model_excludes_is_skipped_by_name() -> None:
    """Out of range, against a `require`, or no member of an enum: told for each instance, and not checked."""
    found = sweep(load(), [Axis("most", ("1", "2", "5")), Axis("how", ("calm", "wild"))])
    assert [(c.values, c.skipped) for c in found.cells if c.skipped] == [
        (("1", "calm"), "`require most >= clerks` is false for clerks = 2, most = 1, how = calm"),
        (("1", "wild"), "`how` cannot be wild: it is declared as calm, hasty"),
        (("2", "wild"), "`how` cannot be wild: it is declared as calm, hasty"),
        (("5", "calm"), "`most` cannot be 5: it is declared as 1..4"),
        (
            ("5", "wild"),
            "`most` cannot be 5: it is declared as 1..4; `how` cannot be wild: it is declared as calm, hasty",
        ),
    ]
    assert len([c for c in found.cells if not c.skipped]) == 1
    with pytest.raises(ModelError, match="the model excludes every instance"):
        sweep(load(), [Axis("most", ("1",))])


def test_a_scenario_is_the_beginning() -> None:
    """Without --variants the scenario's own variants stay, and nothing flips."""
    found = sweep(load(), [Axis("clerks", ("1", "2"))], scenario="careful")
    assert words(found, "every_sale_counts") == ["holds", "holds"]
    assert {c.variants for c in found.cells} == {("locked",)}
    with pytest.raises(ModelError, match="no scenario is called `carefree`"):
        sweep(load(), [Axis("clerks", ("1",))], scenario="carefree")


def test_no_time_flips_nothing() -> None:
    """What a limit left open is no verdict that something could flip."""
    found = sweep(load(), [Axis("clerks", ("1", "2", "3"))], timeout=1e-9)
    assert any(isinstance(o, Unknown) for c in found.cells for o in c.outcomes)
    number = found.properties.index("every_sale_counts")
    assert [f for f in found.flips if f.property == number] == []


def test_ctrl_c_leaves_the_part_of_the_map_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted at the third of nine instances the first two are told; at the first nothing is, but that it was."""
    monkeypatch.setattr("protocheck.sweep._cell", pressed_after(2, _cell))
    monkeypatch.chdir(tmp_path)
    Path("m.pchk").write_text(MODEL, encoding="utf-8")
    line = ["sweep", "m.pchk", "-p", "clerks=1..3", "--variants"]
    assert cli.main(line) == 3
    text = capsys.readouterr().out
    assert text.startswith(
        "m.pchk, parameters as declared: 2 instances checked\n"
        "interrupted: 7 more instances not checked; what follows is of the others\n"
    )
    monkeypatch.setattr("protocheck.sweep._cell", pressed_after(2, _cell))
    assert cli.main([*line, "--format", "json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert (len(data["instances"]), data["unchecked"]) == (2, 7)
    monkeypatch.setattr("protocheck.sweep._cell", pressed_after(0, _cell))
    assert cli.main(line) == 3
    assert capsys.readouterr() == ("", "interrupted\n")


def test_axes_are_read() -> None:
    """Ranges have both ends, lists keep their order, and anything else is refused."""
    module = load()
    assert parse_axis(module, "clerks=1..3") == Axis("clerks", ("1", "2", "3"))
    assert parse_axis(module, "how = hasty , calm") == Axis("how", ("hasty", "calm"))
    for wrong in ("clerks", "clerks=3..1", "clerks=1..x", "clerks=1,,2", "clercs=1", "clerks=1..99999"):
        with pytest.raises(ModelError):
            parse_axis(module, wrong)
    with pytest.raises(ModelError, match="4,096 instances; at most 1,000"):
        sweep(module, [Axis(n, tuple(map(str, range(16)))) for n in ("clerks", "most", "how")])


def test_many_variants_are_tried_one_at_a_time() -> None:
    """Five variants of five threads have 32 sets: too many, so each goes alone, which is said."""
    threads = "".join(f"thread t{k} {{ skip; }} variant v{k} of thread t{k} {{ n = {k}; }}\n" for k in range(5))
    module = load(f"protocol p\nhypervisor h {{ state n : 0..9 = 0;\n{threads}}}\n")
    found = sweep(module, [], variants=True)
    assert MOST_SETS < 2**5
    assert found.sets == ((), *((f"v{k}",) for k in range(5)))
    assert found.left_out == "variants were tried one at a time: their sets are too many"


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command prints the same twice; JSON has the same map; contradictions are refused."""
    monkeypatch.chdir(tmp_path)
    Path("m.pchk").write_text(MODEL, encoding="utf-8")
    line = ["sweep", "m.pchk", "-p", "clerks=1..4", "--variants"]
    assert cli.main(line) == 0
    text = capsys.readouterr().out
    assert cli.main(line) == 0
    assert capsys.readouterr().out == text
    assert text == render(sweep(load(), [Axis("clerks", ("1", "2", "3", "4"))], variants=True), Style())
    assert "\n2         none        violated 6           found 4\n" in text
    assert "  clerks = 4, with locked: `clerks` cannot be 4: it is declared as 1..3" in text
    assert cli.main([*line, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [i["verdicts"].get("every_sale_counts", {}).get("verdict") for i in data["instances"]][3:6] == [
        "violated",
        "holds",
        "holds",
    ]
    for wrong in (["m.pchk"], ["m.pchk", "-p", "clerks=1", "-p", "clerks=2"], ["m.pchk", "-p", "clerks=5"]):
        assert cli.main(["sweep", *wrong]) == 2
