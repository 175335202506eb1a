"""What ``protocheck info`` finds out about models that are small enough to be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocheck import cli
from protocheck.info import ASSERTION, LOCK, STATEMENT, WAIT, WAY, info
from protocheck.reports.info import render
from protocheck.reports.style import Style
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.tree import CheckedModule

LOOKS = """\
protocol looks
hypervisor k {
    lock a : mutex;
    lock lonely : mutex;
    state n : 0..3 = 0;
    state dead : bool = false;
    state ready : bool = true;
    thread one {
        with a { n = 1; }
        await ready;
        if dead { n = 3; assert n == 2 as never; }
        assert n < 3 as settled;
    }
    thread two { with a { skip; }  with lonely { n = 2; }  ready = true;  dead = false; }
}
"""

TWO = """\
protocol two_ways
param start : 0..1 = 0;
hypervisor k {
    state n : 0..2 = start;
    thread t { if n == 1 { n = 2; } n = 0; }
    thread u { await n == 2; }
    environment e { loop { either { n = 0; } or { skip; } } }
}
scenario from_zero { }
scenario from_one { start = 1; }
"""

COUNTER = """\
protocol counter
hypervisor k {
    state big : 0..99 = 0;
    state small : bool = false;
    environment up { loop { choose x : 0..99;  big = x; } }
    environment flip { loop { choose b : bool;  small = b; } }
}
"""


def load(text: str) -> CheckedModule:
    """The module of a model given as text."""
    return check(parse(SourceFile("m.pchk", text)), library_loader(Path()))


def test_everything_silent_is_found_and_nothing_else() -> None:
    """One of each kind: a dead statement, a way never gone, a lonely lock, an idle await, an unreached assertion."""
    (scenario,) = info(load(LOOKS)).scenarios
    found = [(s.what, s.text, s.place.line if s.place else 0) for s in scenario.silent]
    assert found == [
        (STATEMENT, "`n = 3` in k.one", 11),
        (WAY, "from `if dead { ... }` in k.one to column 19 of that line", 11),
        (LOCK, "lock k.lonely", 4),
        (WAIT, "`await ready` in k.one", 10),
        (ASSERTION, "assertion never", 11),
    ]
    assert scenario.unasked == ()


def test_an_assertion_that_cannot_fail_is_reached_all_the_same() -> None:
    """`sure` is no check of any step, but a step comes by it; none comes by `never`."""
    text = "protocol p\nhypervisor k { state n : 0..1 = 0; thread t {\n    n = 1;  assert true as sure;\n"
    text += "    if n == 0 { skip;  assert true as never; } } environment e { n = 1; } }\n"
    (scenario,) = info(load(text)).scenarios
    assert [s.text for s in scenario.silent if s.what == ASSERTION] == ["assertion never"]


def test_sizes_are_exact() -> None:
    """Ten bits hold 7 + 1 + 1 + 1 bits of values; every combination that there can be is reached and counted."""
    (scenario,) = info(load(COUNTER)).scenarios
    assert [(v.name, v.values, v.bits, v.seen) for v in scenario.variables if v.kind.value == "state"] == [
        ("k.big", 100, 7, 100),
        ("k.small", 2, 1, 2),
    ]
    places = 1
    for thread in scenario.threads:
        places *= thread.locations
    assert scenario.combinations == 200 * places
    assert (scenario.count.states, scenario.count.complete) == (200 * places, True)
    assert scenario.heaviest is not None
    assert (scenario.heaviest.name, scenario.heaviest.factor) == ("k.big", 100.0)


def test_a_limit_is_said() -> None:
    """A search that was cut claims no exact count, and the variable with the most bits is named instead."""
    (scenario,) = info(load(COUNTER), states=10).scenarios
    assert not scenario.count.complete
    assert scenario.heaviest is not None
    assert scenario.heaviest.name == "k.big"
    assert all(v.seen is None and v.factor is None for v in scenario.variables)
    text = render(info(load(COUNTER), states=10), Style())
    assert "more than" in text
    assert "the search ended at its limit" in text


def test_what_happens_in_one_scenario_is_not_silent_in_all() -> None:
    """`n = 2` runs in one of two scenarios only, and so it is silent in the other one alone."""
    found = info(load(TWO))
    zero, one = found.scenarios
    assert "`n = 2` in k.t" in [s.text for s in zero.silent]
    assert "`n = 2` in k.t" not in [s.text for s in one.silent]
    assert "`n = 2` in k.t" not in [s.text for s in found.silent]


def test_parameters_and_scenarios_are_chosen() -> None:
    """A setting of the command line goes above that of the scenario."""
    (scenario,) = info(load(TWO), ["from_zero"], {"start": 1}).scenarios
    assert scenario.instance == "start = 1"
    assert "`n = 2` in k.t" not in [s.text for s in scenario.silent]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the same as the renderer, and as JSON the same numbers."""
    monkeypatch.chdir(tmp_path)
    Path("looks.pchk").write_text(LOOKS, encoding="utf-8")
    assert cli.main(["info", "looks.pchk"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("looks.pchk: looks, 1 scenario\n\ndefault (no sizes)\n")
    assert text.endswith("  never reached:\n    11: assertion never\n")
    assert cli.main(["info", "looks.pchk", "--format", "json"]) == 0
    (scenario,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert f"  {scenario['states']['count']} states, " in text
    assert [s["what"] for s in scenario["silent"]] == [STATEMENT, WAY, LOCK, WAIT, ASSERTION]
    assert cli.main(["info", "looks.pchk", "--scenario", "nowhere"]) == 2
    assert "no scenario is called `nowhere`" in capsys.readouterr().err
    assert cli.main(["info", "looks.pchk", "--states", "few"]) == 2
    assert "`--states few`" in capsys.readouterr().err
