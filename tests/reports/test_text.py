"""Text reports: tables, sections, and what to type next."""

from __future__ import annotations

import re
from pathlib import Path

import golden
import pytest
import sample

from protocheck.engines.verdict import Limit
from protocheck.findings import Report, Unknown, sentence
from protocheck.reports.style import Style
from protocheck.reports.text import Traces, render, summary

HERE = Path(__file__).parent / "golden"
PLAIN = Style()
AGAIN = "protocheck check models/abba.pchk"


def text(report: Report, traces: Traces = Traces.UNEXPECTED, width: int = 100, full: bool = False) -> str:
    """Report and summary."""
    style = Style(width=width)
    return f"{render(report, style, traces, full)}\n{summary([report], style, AGAIN, traces)}"


@pytest.mark.parametrize("name", ["good", "bad", "locks", "every_outcome"])
def test_layout(name: str) -> None:
    """The layout of each report is the one that was last accepted."""
    golden.check(HERE / f"report_{name}.txt", text(getattr(sample, name)()))


def test_all_runs_on_request() -> None:
    """With ``ALL``, the run behind an expected violation is printed, and not offered again."""
    assert "who waits for whom" not in text(sample.good())
    assert "--traces" in text(sample.good())
    assert "who waits for whom: kvm.one -> kvm.two -> kvm.one" in text(sample.good(), Traces.ALL)
    assert "--traces" not in text(sample.good(), Traces.ALL)


def test_an_unexpected_violation_has_verdict_then_run_then_what_next() -> None:
    """The table, the run, and the next command come in this order."""
    shown = text(sample.bad())
    marks = ["NO: holds", "expected: holds", "4 steps, 3 context switches", "page populated twice", "next: "]
    assert sorted(marks, key=shown.index) == marks
    assert "--scenario racing --property double_populate --full" in shown


def test_expected_verdicts_that_say_the_same_share_a_row() -> None:
    """Three claims that hold alike take one row, with all three names."""
    assert text(sample.good()).count("holds (exhausted: 1,234 states") == 1
    assert "deadlock, range, lock_misuse" in text(sample.good())


def test_no_verdict_is_shortened() -> None:
    """Every sentence stands in the table whole, whatever its wrapping."""
    shown = " ".join(text(sample.every_outcome()).split())
    for outcome in sample.OUTCOMES:
        words = sentence(outcome).split()
        assert all(w in shown for w in words)
        if len(sentence(outcome)) < 40:
            assert sentence(outcome) in shown


def test_the_sizes_stand_with_the_verdict() -> None:
    """Each scenario's row names its instance and its variants."""
    assert "with hoisted; 2 gfn, 2 vcpu" in text(sample.good())


def test_assumptions_are_named() -> None:
    """Atomic blocks that a verdict takes for granted, and the memory model, are said."""
    shown = text(sample.bad())
    assert "assumes 2 atomic blocks" in shown
    assert "assumes sequential consistency" in shown


def test_an_unmet_expectation_is_shown_though_no_finding_tells_it() -> None:
    """A mismatch has a row of its own and is counted."""
    shown = text(sample.bad())
    assert "no property of family disclosure is violated" in shown
    assert "2 not as expected" in shown


def test_every_lock_finding_has_a_run_or_the_word_prevented() -> None:
    """The cycle comes with its run and its edges, the prevented one with what prevents it."""
    shown = text(sample.locks())
    cycle, prevented = shown[shown.index("\ncycle: a -> b -> a") :].split("\nprevented cycle: c -> d -> c")
    assert "deadlock after step 4" in cycle
    assert "kvm.one wants b (write) at line 5 while it holds a (write): reachable in 3 steps" in cycle
    assert "slots_lock is held on both paths" in prevented


def test_the_run_of_an_edge_is_shown_in_full_reports() -> None:
    """``full`` adds the run that shows an edge of the lock graph."""
    assert "a -> b: kvm.one wants b while it holds a" not in text(sample.locks())
    assert "a -> b: kvm.one wants b while it holds a" in text(sample.locks(), full=True)


def test_a_limit_offers_to_look_longer() -> None:
    """What to type after a search that was cut short is the same with more time."""
    report = sample.report(
        sample.scenario("large", sample.finding("agree", Unknown(Limit.TIME, "", 9), as_expected=False, open=True))
    )
    assert f"next: {AGAIN} --scenario large --property agree --timeout 600\n          look longer" in text(report)


def test_what_was_interrupted_is_begun_anew() -> None:
    """Ctrl-C is no want of time: nothing longer is offered."""
    report = sample.report(
        sample.scenario(
            "large", sample.finding("agree", Unknown(Limit.INTERRUPTED, "", 9), as_expected=False, open=True)
        )
    )
    shown = text(report)
    assert f"next: {AGAIN} --scenario large --property agree   begin this verdict anew" in shown
    assert "--timeout" not in shown


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("name", ["good", "bad", "locks", "every_outcome"])
def test_reports_fit(name: str, width: int) -> None:
    """No line is wider than the terminal, but for commands to be copied and columns at their narrowest."""
    for line in text(getattr(sample, name)(), Traces.ALL, width).split("\n"):
        assert len(line) <= max(width, 70) or "protocheck check" in line


def test_colours_only_add() -> None:
    """With the colour codes taken out, the coloured report is the plain one."""
    coloured = render(sample.bad(), Style(color=True), Traces.ALL)
    bare = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).split("\n")]
    assert bare == render(sample.bad(), PLAIN, Traces.ALL).split("\n")
    assert "\x1b[1;31m" in coloured


def test_brief_reports_have_a_row_per_scenario() -> None:
    """With many models, what holds is counted and what does not is named, each with sizes and how far was looked."""
    assert render(sample.good(), PLAIN, brief=True) == (
        "models/abba.pchk: abba, 2 scenarios\n"
        "  before                2 gfn, 2 vcpu: violated: deadlock (4 steps)                       yes\n"
        "  after                 2 gfn, 2 vcpu: 3 hold at every depth                              yes\n"
    )


def test_brief_reports_name_every_outcome_that_is_not_plain() -> None:
    """Bounded, unreachable, vacuous, unknown and broken verdicts never hide among those that hold."""
    shown = " ".join(render(sample.every_outcome(), PLAIN, brief=True).split("====")[0].split())
    for words in (
        "3 hold at every depth",
        "1 hold up to depth 12",
        "1 reachable",
        "violated: p4 (4 steps)",
        "unreachable: p6",
        "not found up to depth 9: p7",
        "vacuous: p8, p9",
        "unknown (time limit): p10",
        "unknown (memory limit): p11",
        "broken: p12",
    ):
        assert words in " ".join(shown.replace("NO: see", "").replace("below", "").split()), words
