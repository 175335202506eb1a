"""From a model file to a judged report, and what happens when an engine lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from build import is_, never
from locking import L, S, T, build, under

from protocheck.check import DEFAULT_SCENARIO, check_file, check_system
from protocheck.diagnostics import ModelError
from protocheck.engines import auto, explore
from protocheck.engines.certify import CertificateUndecided
from protocheck.engines.verdict import (
    Budget,
    Choice,
    Engine,
    Induction,
    Invariant,
    Limit,
    Reached,
    Run,
    Structural,
    Unreachable,
    Verdict,
)
from protocheck.findings import (
    Broken,
    Found,
    Holds,
    HoldsToDepth,
    NeverFound,
    NotFoundToDepth,
    Report,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
    exit_status,
    sentence,
)
from protocheck.ir.system import DeadlockTarget, Property, PropertyTarget, System, Wish

MODEL = """\
protocol counting
type cpu = scalarset(cpus in 1..4 = 2)
kernel k {
    lock outer : mutex;
    lock a : mutex;
    lock b : mutex;
    state n : 0..8 = 0;
    state seen : bool = false;

    thread one[c : cpu] {
        with a { with b { skip; } }
        let x = n;
        store: n = x + 1;
    }
    thread two { with b { with a { skip; } } }
    variant same_order of thread two { with a { with b { skip; } } }
}
invariant small: k.n <= 1;
invariant unused as never_said: k.seen implies k.n == 7;
reachable counted: k.n == 1;
weakness never_two: k.n < 2;
final all_counted: k.n == 2;
"""

FINE = """
scenario opposite {
    expect lock_order cycle violated, deadlock violated in 4 steps, small violated at store, all_counted violated;
}
scenario same { with same_order;  expect small violated in at most 12 steps, all_counted violated; }
"""


def check(tmp_path: Path, text: str, **options: object) -> Report:
    path = tmp_path / "count.pchk"
    path.write_text(MODEL + text, encoding="utf-8")
    return check_file(path, **options)  # type: ignore[arg-type]


def outcomes(scenario: ScenarioReport) -> dict[str, type]:
    return {f.name: type(f.outcome) for f in scenario.findings}


def test_a_model_that_is_as_its_scenarios_say(tmp_path: Path) -> None:
    """Both scenarios are as expected; the findings come in the order of the source, lock order last."""
    report = check(tmp_path, FINE)
    assert report.exit_status == 0, [f for _, f in report.findings() if not f.as_expected]
    assert [s.name for s in report.scenarios] == ["opposite", "same"]
    first = report.scenarios[0]
    assert first.instance == "2 cpu"
    assert [f.name for f in first.findings if f.kind != "built-in"] == [
        "small",
        "unused",
        "counted",
        "never_two",
        "all_counted",
    ]
    assert first.findings[-1].name == "lock_order"
    assert report.scenarios[1].variants == ("same_order",)


def test_the_runs_are_replayed_and_the_shortest(tmp_path: Path) -> None:
    """Each violation carries a replayed run of the length that its outcome says."""
    for _, finding in check(tmp_path, FINE).findings():
        if isinstance(finding.outcome, Violated):
            assert finding.evidence is not None
            assert finding.outcome.shortest
            assert len(finding.evidence.run.moves) == finding.outcome.steps
            assert len(finding.evidence.replayed.failed) == finding.outcome.steps


def test_without_a_scenario_everything_must_hold(tmp_path: Path) -> None:
    """A file without scenarios has one, called default, in which violations are not expected."""
    report = check(tmp_path, "")
    assert [s.name for s in report.scenarios] == [DEFAULT_SCENARIO]
    assert report.exit_status == 1
    wrong = {f.name for f in report.scenarios[0].findings if not f.as_expected}
    assert wrong == {"small", "all_counted", "deadlock", "lock_order"}


def test_a_bound_leaves_open_what_it_did_not_reach(tmp_path: Path) -> None:
    """Three steps are too few for anything: the exit status is 3 and each sentence names the depth."""
    for engine in ("auto", "bmc", "explore"):
        report = check(tmp_path, "", bound=3, engine=engine, properties=["small", "counted", "lock_misuse"])
        assert report.exit_status == 3
        found = outcomes(report.scenarios[0])
        assert found["small"] is HoldsToDepth
        assert found["counted"] is NotFoundToDepth
        assert sentence(report.scenarios[0].findings[0].outcome) == "holds up to depth 3"


@pytest.mark.parametrize("engine", ["explore", "ic3", "bmc", "kinduction"])
def test_engines_agree(tmp_path: Path, engine: str) -> None:
    """Where another engine decides, it decides as the default does, with the same length where that is a shortest."""
    names = ["small", "counted", "never_two", "all_counted"]
    bound = {"bmc": 12, "kinduction": 9}.get(engine)
    wanted = check(tmp_path, FINE, properties=names).scenarios[1]
    given = check(tmp_path, FINE, properties=names, engine=engine, scenarios=["same"], bound=bound)
    for a, b in zip(wanted.findings, given.scenarios[0].findings, strict=True):
        match b.outcome:
            case Violated(steps, shortest) if shortest:
                assert isinstance(a.outcome, Violated)
                assert a.outcome.steps == steps
            case Violated():
                assert isinstance(a.outcome, Violated)
            case Found():
                assert isinstance(a.outcome, Found)
            case Holds():
                assert isinstance(a.outcome, Holds | Vacuous)
            case Vacuous() | NeverFound() | Broken():
                assert type(a.outcome) is type(b.outcome)
            case HoldsToDepth() | NotFoundToDepth() | Unknown():
                pass


def test_the_same_model_gives_the_same_report(tmp_path: Path) -> None:
    """Two checks of one file give equal reports, runs included."""
    first, second = check(tmp_path, FINE), check(tmp_path, FINE)
    assert first == second
    runs = [[f.evidence.run for _, f in r.findings() if f.evidence is not None] for r in (first, second)]
    assert runs[0] == runs[1]


def test_settings_choose_another_instance(tmp_path: Path) -> None:
    """With one cpu nobody interferes, so the invariant holds and the final claim fails."""
    report = check(tmp_path, FINE, scenarios=["same"], settings={"cpus": "1"}, properties=["small"])
    assert report.scenarios[0].instance == "1 cpu"
    assert report.scenarios[0].settings == (("cpus", "1"),)
    assert outcomes(report.scenarios[0]) == {"small": Holds}
    assert report.exit_status == 1


def test_properties_can_be_selected_by_name_or_family(tmp_path: Path) -> None:
    """Only what was asked for is checked, and expectations about the rest are no mismatch."""
    report = check(tmp_path, FINE, properties=["lock_order", "never_said"])
    assert outcomes(report.scenarios[0]) == {"unused": Holds, "lock_order": Violated}
    assert report.exit_status == 0


def test_lock_order_is_a_proof_for_any_size(tmp_path: Path) -> None:
    """With one order the static graph has no cycle, and as threads only wait for locks there is no deadlock either."""
    same = check(tmp_path, FINE).scenarios[1]
    for name, argument in (("lock_order", "the lock graph has no cycle"), ("deadlock", "nothing but locks")):
        outcome = next(f.outcome for f in same.findings if f.name == name)
        assert isinstance(outcome, Holds)
        assert isinstance(outcome.by, Structural)
        assert argument in outcome.by.argument
        assert outcome.any_size == ("cpu",)


@pytest.mark.parametrize(
    ("options", "rule", "mend"),
    [
        ({"scenarios": ["sam"]}, "unknown-scenario", "did you mean `same`?"),
        ({"properties": ["smal"]}, "nothing-to-check", "did you mean `small`?"),
        ({"settings": {"cpu": 3}}, "unknown-setting", "did you mean `cpus`?"),
    ],
)
def test_names_that_mean_nothing_are_refused(tmp_path: Path, options: dict[str, object], rule: str, mend: str) -> None:
    """A misspelt scenario, property or parameter is a named error with the mend, never a pass."""
    with pytest.raises(ModelError) as caught:
        check(tmp_path, FINE, **options)
    assert [(d.rule.name, d.help) for d in caught.value.diagnostics] == [(rule, mend)]


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    """The message lists the engines."""
    with pytest.raises(ValueError, match="auto, explore, bmc, ic3, kinduction"):
        check(tmp_path, FINE, engine="magic")


def test_a_time_limit_is_named(tmp_path: Path) -> None:
    """With next to no time, what had to be searched for is unknown and says how many seconds there were."""
    report = check(tmp_path, FINE, scenarios=["same"], timeout=1e-9)
    assert report.exit_status == 3
    small = report.scenarios[0].findings[0].outcome
    assert isinstance(small, Unknown)
    assert (small.limit, small.detail) == (Limit.TIME, "1e-09 seconds")


# --------------------------------------------------------------------------------------------------------------------
# Systems by hand, and engines that lie


def flagged() -> System:
    """One thread that sets a flag, with claims about it."""
    system = build([], [T("p", [S("skip"), S("set", "done")])], flags=["done"])
    done = system.variables[0]
    claims = (
        Property("off", "off", "invariant", Wish.NEVER, never(is_(done, 1)), "done is never set"),
        Property("on", "on", "reachable", Wish.SOMETIMES, never(is_(done, 1)), "done is set"),
        Property("idle", "idle", "invariant", Wish.NEVER, never(is_(done, 0)), "", never(is_(done, 7))),
    )
    return replace(system, properties=claims)


def test_a_property_that_is_never_evaluated_is_vacuous() -> None:
    """Nothing violates it, but nothing ever puts it to the test either."""
    system = flagged()
    quiet = replace(system.properties[2], target=never(is_(system.variables[0], 7)))
    (finding,) = check_system(replace(system, properties=(quiet,)))
    assert isinstance(finding.outcome, Vacuous)
    assert finding.outcome.why.startswith("no thread ever evaluates it")


def lying(answer: Verdict) -> Engine:
    def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
        return tuple(answer for _ in targets)

    return Engine("liar", "answers without looking", run)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reached(Run(Choice(0, ()), (), Choice(0, ())), True), "does not replay"),
        (Reached(Run(Choice(0, ()), (Choice(5, ()),), Choice(0, ())), True), "does not replay"),
        (Unreachable(Invariant(())), "does not check"),
        (Unreachable(Induction(1)), "does not check"),
    ],
)
def test_evidence_that_does_not_stand_is_our_fault(answer: Verdict, words: str) -> None:
    """A run that does not replay or a proof that does not check gives no verdict, and exit status 70."""
    system = replace(flagged(), properties=flagged().properties[:1])
    (finding,) = check_system(system, engine=lying(answer))
    assert isinstance(finding.outcome, Broken)
    assert words in finding.outcome.detail
    report = Report("m", "m", (ScenarioReport("s", "", (), (), (), (replace(finding, as_expected=False),)),))
    assert exit_status([report]) == 70


def test_static_proof_of_deadlock_freedom_agrees_with_a_search() -> None:
    """Wherever the lock graph alone says that nothing deadlocks, an exhaustive search says so, too."""
    one = under("a", under("b", under("c")))
    for second, free in ((one, True), (under("b", under("c")), True), (under("c", under("a")), False)):
        system = build([L("a"), L("b"), L("c")], [T("p", one), T("q", second, loop=True)])
        deadlock = next(f for f in check_system(system) if f.name == "deadlock")
        (searched,) = explore.run(system, [DeadlockTarget()], Budget())
        assert isinstance(searched, Unreachable) is free
        assert isinstance(deadlock.outcome, Holds if free else Violated)
        if isinstance(deadlock.outcome, Holds):
            assert isinstance(deadlock.outcome.by, Structural)


def test_a_wait_that_is_no_lock_is_searched_for() -> None:
    """A thread that awaits a flag nobody sets deadlocks although the lock graph has no cycle."""
    system = build([L("a")], [T("p", [*under("a"), S("await", "done")])], flags=["done"])
    found = {f.name: f.outcome for f in check_system(system)}
    assert found["deadlock"] == Violated(2, True)
    assert isinstance(found["lock_order"], Holds)


def test_one_search_answers_everything() -> None:
    """The engine is called once, with all questions, each asked once."""
    calls: list[int] = []

    def run(system: System, targets: Sequence[PropertyTarget], budget: Budget) -> tuple[Verdict, ...]:
        calls.append(len(targets))
        assert len(set(targets)) == len(targets)
        return auto.run(system, targets, budget)

    findings = check_system(flagged(), engine=Engine("counted", "", run))
    assert calls == [3]  # done is set (two claims ask it), done is clear, and whether that is ever put to the test
    assert isinstance(findings[0].outcome, Violated)
    assert isinstance(findings[1].outcome, Found)


def test_a_certificate_too_hard_to_re_check_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a limit stops the second check, the proof stands without the word re-checked, and the reason is told."""

    def give_up(*_: object) -> None:
        raise CertificateUndecided("step-13: expected unsat, got unknown")

    system = flagged()
    quiet = replace(system.properties[0], target=never(is_(system.variables[0], 7)))
    answer = Unreachable(Invariant(()))
    (finding,) = check_system(replace(system, properties=(quiet,)), engine=lying(answer))
    assert finding.outcome == Holds(Invariant(()), rechecked=True)
    monkeypatch.setattr("protocheck.check.certify", give_up)
    (finding,) = check_system(replace(system, properties=(quiet,)), engine=lying(answer))
    assert finding.outcome == Holds(Invariant(()))
    assert finding.message == "its certificate was not re-checked: step-13: expected unsat, got unknown"


WAITER = """
protocol waiting
kernel k {
    lock l : mutex;
    state ready : bool = false;
    thread waiter { await ready; }
    environment ticker { loop { with l { skip; } } }
    environment setter { loop { atomic { if false { ready = true; } } } }
}
"""


def test_stuck_is_told_apart_from_deadlock(tmp_path: Path) -> None:
    """A waiter whose waker never comes is stuck, not deadlocked, as long as the waker goes on; explore says so."""
    path = tmp_path / "waiting.pchk"
    path.write_text(WAITER, encoding="utf-8")
    (scenario,) = check_file(path, engine="explore").scenarios
    assert outcomes(scenario)["deadlock"] is Holds
    assert [n for n in scenario.notes if n.startswith("stuck: k.waiter can never move again after a run of 0 steps")]
    (scenario,) = check_file(path).scenarios
    assert not scenario.notes
