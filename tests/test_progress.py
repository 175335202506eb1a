"""Claims about endless runs from a file to a verdict: sentences, expectations, and models with known answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.check import check_file
from protocheck.findings import Finding, Holds, ScenarioReport, Unknown, Vacuous, Violated, sentence, word
from protocheck.reports.json import document
from protocheck.traces.trace import trace_of_finding

MODELS = Path(__file__).parents[1] / "models"

TOGGLE = """protocol toggle
kernel k {{
    state on : bool;
    state seen : bool;
    proc look() {{ loop {{ if on {{ seen = true; return; }} retry; }} }}
    thread t {{ look(); }}
    {kind} flip {{ loop {{ on = true; on = false; }} }}
}}
{claims}
"""


def checked(folder: Path, text: str, **options: object) -> tuple[ScenarioReport, ...]:
    """What is found about the scenarios of a model text."""
    file = folder / "model.pchk"
    file.write_text(text, encoding="utf-8")
    return check_file(file, **options).scenarios  # type: ignore[arg-type]


def found(scenario: ScenarioReport, name: str) -> Finding:
    """The finding called ``name``."""
    return next(f for f in scenario.findings if f.name == name)


def test_a_violation_is_a_lasso_and_says_what_would_exclude_it(tmp_path: Path) -> None:
    """Who looks while it is on just now may never do: four steps are repeated, and the loop is told as one."""
    (scenario,) = checked(tmp_path, TOGGLE.format(kind="server", claims="every k.look finishes;"))
    finding = found(scenario, "k.look")
    outcome = finding.outcome
    assert isinstance(outcome, Violated)
    assert outcome.loop is not None
    stem = outcome.steps - outcome.loop
    assert sentence(outcome).startswith(f"violated by a loop of {outcome.loop} steps after {stem}")
    assert finding.evidence is not None
    assert finding.evidence.run.loop == outcome.steps - outcome.loop
    assert scenario.system is not None
    trace = trace_of_finding(scenario.system, finding)
    assert trace is not None
    assert trace.ending.loop is not None


def test_a_proof_names_the_fairness_that_it_needs(tmp_path: Path) -> None:
    """Only the thread that looks must go on when the other stays at rest or has left it on; no more is named."""
    text = TOGGLE.format(kind="server", claims="every k.look finishes;").replace("on = false;", "")
    (scenario,) = checked(tmp_path, text)
    outcome = found(scenario, "k.look").outcome
    assert isinstance(outcome, Holds)
    assert outcome.assumed == ("`k.t` goes on when it can", "`k.flip` goes on when it can")
    assert "assuming that each of `k.t` and `k.flip` goes on when it can" in sentence(outcome)
    at_rest = TOGGLE.format(kind="environment", claims="every k.look finishes;").replace("on = false;", "")
    (scenario,) = checked(tmp_path, at_rest)
    finding = found(scenario, "k.look")
    assert isinstance(finding.outcome, Violated)
    assert finding.outcome.loop == 0
    assert finding.outcome.excluded == "it would not happen if `k.flip` never rested"


def test_expectations_speak_of_endless_runs(tmp_path: Path) -> None:
    """By the name of a claim, of a proc, of a family of the file's own, and of the two built-in families."""
    claims = """progress sees as service: true leads_to k.seen;
        every k.look finishes;
        recoverable hope: k.seen;
        scenario names { expect sees violated, k.look violated, hope holds, starvation violated, livelock holds; }
        scenario families { expect service violated, progress violated, recoverable holds, starvation any; }
        scenario wrong { expect service holds, others any; }
        scenario steps { expect service violated in 1 step, others any; }"""
    reports = checked(tmp_path, TOGGLE.format(kind="server", claims=claims))
    assert [r.as_expected for r in reports] == [True, True, False, False]
    assert "by a loop of" in found(reports[3], "sees").message


def test_what_is_never_pending_is_vacuous(tmp_path: Path) -> None:
    """A claim whose beginning no state has, and a proc that nobody calls in the instance."""
    claims = """progress odd: k.on && !k.on leads_to k.seen; every k.look finishes;
        scenario s { without k.t; expect all hold; }"""
    (scenario,) = checked(tmp_path, TOGGLE.format(kind="server", claims=claims))
    assert isinstance(found(scenario, "odd").outcome, Vacuous)
    assert isinstance(found(scenario, "k.look").outcome, Vacuous)
    assert not scenario.as_expected


def test_a_property_can_be_asked_for_by_name(tmp_path: Path) -> None:
    """`starvation` is judged when it is asked for, although the file does not name it."""
    text = TOGGLE.format(kind="server", claims="")
    (scenario,) = checked(tmp_path, text)
    assert "starvation" not in [f.name for f in scenario.findings]
    (scenario,) = checked(tmp_path, text, properties=("starvation",))
    assert [(f.name, word(f.outcome)) for f in scenario.findings] == [("starvation", "violated")]


def test_a_limit_is_said_and_never_a_verdict(tmp_path: Path) -> None:
    """Without time nothing is claimed about endless runs."""
    text = TOGGLE.format(kind="server", claims="every k.look finishes;")
    (scenario,) = checked(tmp_path, text, timeout=0.0)
    assert isinstance(found(scenario, "k.look").outcome, Unknown)


def test_programs_read_the_loop_and_what_was_assumed(tmp_path: Path) -> None:
    """The JSON outcome of a lasso has its loop, that of a proof its assumptions, any other has neither."""
    text = TOGGLE.format(kind="server", claims="every k.look finishes; always invariant any_time: k.on || !k.on;")
    file = tmp_path / "model.pchk"
    file.write_text(text, encoding="utf-8")
    findings = document([check_file(file)], (), 0, "0")["reports"][0]["scenarios"][0]["findings"]
    outcomes = {f["property"]: f["outcome"] for f in findings}
    assert outcomes["k.look"]["loop"] > 0
    assert "assumed" not in outcomes["any_time"]
    assert "loop" not in outcomes["any_time"]


@pytest.mark.parametrize(
    ("model", "verdicts"),
    [
        ("toys/mutual_exclusion", 33),
        ("gmem/prepared_flag", 44),
        ("gmem/ping_pong", 17),
        ("gmem/lost_binding", 30),
        ("tdx/accept_loop", 100),
        ("snp/rmp_refault", 81),
    ],
)
def test_shipped_models_of_progress(model: str, verdicts: int) -> None:
    """Each is as its scenarios expect, with a lasso in a broken one and a proof in a repaired one."""
    report = check_file(MODELS / f"{model}.pchk")
    assert [r.name for r in report.scenarios if not r.as_expected] == []
    outcomes = [f.outcome for r in report.scenarios for f in r.findings if f.kind == "progress"]
    assert any(isinstance(o, Violated) for o in outcomes)
    assert any(isinstance(o, Holds) for o in outcomes)
    assert sum(len(r.findings) for r in report.scenarios) == verdicts


def test_only_the_guest_is_to_blame_for_ping_pong() -> None:
    """The negative control: what would exclude the run is that the guest stops, and nothing about the host."""
    report = check_file(MODELS / "gmem" / "ping_pong.pchk", scenarios=("obeys",))
    excluded = {f.outcome.excluded for f in report.scenarios[0].findings if isinstance(f.outcome, Violated)}
    assert excluded == {"it would not happen if `vm.run` stopped in the end"}


def test_the_words_of_claims_are_names_elsewhere(tmp_path: Path) -> None:
    """A variable may be called `fair`, `progress`, `leads_to`, `finishes` or `recoverable`; claims speak of it."""
    text = """protocol words
        kernel k { state fair : bool; state progress : bool;
        thread t { var leads_to : bool; fair = true; let finishes = fair; progress = finishes; leads_to = progress; } }
        progress recoverable: k.fair leads_to k.progress;
        recoverable progress: k.progress;"""
    (scenario,) = checked(tmp_path, text)
    assert [word(found(scenario, name).outcome) for name in ("recoverable", "progress")] == ["holds", "holds"]


def test_a_claim_that_a_thread_ends_agrees_with_final_and_deadlock(tmp_path: Path) -> None:
    """Where every run ends, `progress` of the end holds exactly if nobody deadlocks and `final` holds of it."""
    text = """protocol ends
        kernel k {{ lock a : mutex; lock b : mutex; state n : 0..2;
        thread one {{ with a {{ with b {{ n = min(n + 1, 2); }} }} }}
        thread two {{ with {} {{ with {} {{ n = min(n + 1, 2); }} }} }} }}
        final both: k.n == 2;
        progress in_the_end: k.n == 2;
        scenario s {{ expect others any; }}"""
    for outer, inner, holds in (("a", "b", True), ("b", "a", False)):
        (scenario,) = checked(tmp_path, text.format(outer, inner))
        verdicts = {name: word(found(scenario, name).outcome) for name in ("both", "in_the_end", "deadlock")}
        assert verdicts["both"] == "holds"
        assert (verdicts["in_the_end"] == "holds") is holds
        assert (verdicts["deadlock"] == "holds") is holds
