"""What a vacuous claim about the end names, and other words that newcomers stumbled over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protocheck import cli
from protocheck.check import check_file
from protocheck.diagnostics import ModelError
from protocheck.engines.verdict import Structural
from protocheck.findings import Holds, Vacuous, sentence
from protocheck.reports.style import Style, wrap
from protocheck.reports.text import Traces, render

MODEL = """\
protocol ends
type gfn = scalarset(gfns in 1..3 = 2)
hypervisor kvm {
    lock m : mutex;
    state on : [gfn] bool = false;
    state go : bool = false;
    thread one   { choose g : gfn;  with m { on[g] = true; } }
    thread spins { loop { await !go;  go = false; } }
    server waits { loop { await !go;  skip; } }
    environment takes { loop { choose g : gfn;  with m { on[g] = false; } } }
}
final over: forall g in gfn : kvm.on[g];
invariant off: forall g in gfn : !kvm.on[g];
scenario both    { expect over vacuous, off violated; }
scenario ends    { without spins, waits;  expect over violated, off violated; }
scenario again   { without waits;  expect over vacuous, off violated; }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "ends.pchk"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("engine", ["auto", "explore", "ic3"])
def test_a_vacuous_final_names_who_never_ends(engine: str, tmp_path: Path) -> None:
    """Every thread that is never done is named, by what its kind owes; others are not; engines say the same."""
    report = check_file(write(tmp_path, MODEL), engine=engine)
    said = {s.name: next(f.outcome for f in s.findings if f.name == "over") for s in report.scenarios}
    both, again = said["both"], said["again"]
    assert isinstance(both, Vacuous)
    assert isinstance(again, Vacuous)
    assert not isinstance(said["ends"], Vacuous)
    waits = "kvm.waits never waits where it may for ever (`idle`)"
    assert both.why == f"no run ends with every thread done: kvm.spins never ends and {waits}"
    assert again.why == "no run ends with every thread done: kvm.spins never ends"


def test_nobody_is_blamed_who_ends_alone(tmp_path: Path) -> None:
    """Where each thread can end, but not all in one run, no name is given."""
    text = """\
protocol either_of
hypervisor h {
    state first : bool = false;
    thread a { if cmpxchg(ref first, false, true) { skip; } else { await false; } }
    thread b { if cmpxchg(ref first, false, true) { skip; } else { await false; } }
}
final never: false;
scenario s { expect never vacuous, others any; }
"""
    (scenario,) = check_file(write(tmp_path, text)).scenarios
    (outcome,) = [f.outcome for f in scenario.findings if f.name == "never"]
    assert sentence(outcome).startswith("vacuous: no run ends with every thread done (")


def test_a_run_that_was_told_is_referred_to(tmp_path: Path) -> None:
    """The same run in a later scenario is one line; a run that differs is told."""
    report = check_file(write(tmp_path, MODEL))
    text = render(report, Style(width=100), Traces.VIOLATIONS)
    assert text.count("off is false after step 2") == 1
    assert text.count("The run is that of both: off, above, step by step.") == 2
    assert text.count("over is false after") == 1


def test_what_stays_fixed_is_said_once(tmp_path: Path) -> None:
    """If all verdicts for any size have the same size fixed, the scenario's row says so, and no verdict does."""
    report = check_file(write(tmp_path, MODEL), scenarios=["ends"])
    (scenario,) = report.scenarios
    by = Structural("as it is")

    def told(*fixed: str) -> str:
        pairs = zip(scenario.findings, fixed, strict=False)
        findings = [replace(f, outcome=Holds(by, ("gfn",), (x,))) for f, x in pairs]
        return render(replace(report, scenarios=(replace(scenario, findings=tuple(findings)),)), Style(width=100))

    same, differ, alone = told("2 vcpu", "2 vcpu"), told("2 vcpu", "1 vcpu"), told("2 vcpu")
    assert same.count(" fixed") == 1
    assert "any number means: with 2 vcpu fixed" in same
    assert differ.count("with 2 vcpu fixed") == differ.count("with 1 vcpu fixed") == 1
    assert "holds for any number of gfn with 2 vcpu fixed (proved: as it is)" in alone


def test_an_arrow_stays_with_its_end() -> None:
    """A line never ends with an arrow, unless nothing else fits."""
    assert wrap("spte[gfn0]: false -> true", 22) == ["spte[gfn0]: false", "-> true"]
    assert wrap("a -> bbbbbbbbbbbbbbbb", 8) == ["a ->", "bbbbbbbb", "bbbbbbbb"]
    assert wrap("a ->", 8) == ["a ->"]
    assert wrap("-> a", 8) == ["-> a"]


def test_a_faulty_variant_is_known_all_the_same(tmp_path: Path) -> None:
    """A variant whose head does not fit is reported once, not once more as unknown where it is chosen."""
    faulty = "    proc p(g : gfn) { skip; }\n    variant v of proc p(g : bool) { skip; }\n"
    text = MODEL.replace("    lock m", f"{faulty}    lock m")
    text = text.replace("{ choose g : gfn;  with", "{ choose g : gfn;  p(g);  with")
    text = text.replace("expect", "with v;  expect", 1)
    with pytest.raises(ModelError) as failed:
        check_file(write(tmp_path, text))
    assert [d.rule.name for d in failed.value.diagnostics] == ["variant-mismatch"]


def test_a_mail_says_where_a_slow_op_begins_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves of a slow op are told, each in its row."""
    text = """\
protocol slow
firmware f {
    lock l : busy;
    pub state n : bool = false;
    pub slow op work() -> bool holds l else false { n = true;  return true; }
}
hypervisor h { state got : bool = false;  thread t { got = f.work(); } }
reachable worked: h.got;
"""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text)
    cli.main(["check", "ends.pchk", "--format", "mail", "-v"])
    out = capsys.readouterr().out
    assert out.index("/* begins f.work */") < out.index("/* ends f.work */")


def test_what_an_engine_cannot_decide_is_not_said_of_a_solver(tmp_path: Path) -> None:
    """`recoverable` needs the graph of states; another engine says that it is not a question for it."""
    text = MODEL.replace("final over:", "recoverable back: !kvm.go;\nfinal over:")
    text = text.replace("off violated; }", "others any; }")
    report = check_file(write(tmp_path, text), engine="bmc", bound=3, properties=["back"])
    (outcome,) = [f.outcome for f in report.scenarios[0].findings]
    assert sentence(outcome).startswith("unknown: not a question for this engine (")


def test_who_is_done_is_not_said_to_be_held_up(tmp_path: Path) -> None:
    """Where a run stands still, threads at their end are done; who waits in a `retry` waits for a change."""
    text = """\
protocol still
hypervisor h {
    state on : bool = false;
    state got : bool = false;
    thread ends { skip; on = false; }
    thread tries { loop { if on { break; }  retry; } got = true; }
}
progress got: h.got;
scenario s { expect got violated, deadlock violated, others any; }
"""
    told = render(check_file(write(tmp_path, text)), Style(width=100), Traces.VIOLATIONS)
    assert "h.ends is done" in told
    assert "h.tries at line 6 waits for what it has read to change (retry)" in told
