"""Traces as tables: what a reader must be able to see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import golden
import pytest
from hand import FILE, LIBRARY, abba, abba_run, pages, pages_run

from protocheck.engines.verdict import Choice, Run
from protocheck.findings import Evidence
from protocheck.ir.expr import TRUE
from protocheck.ir.system import Case, System, Target
from protocheck.reports.style import Style
from protocheck.reports.table import layout_trace
from protocheck.traces.replay import replay
from protocheck.traces.trace import Trace, trace_of

HERE = Path(__file__).parent / "golden"


def told(system: System, name: str, evidence: Evidence) -> Trace:
    """The trace of property ``name``."""
    prop = next(p for p in system.properties if p.name == name)
    return trace_of(system, prop, evidence.target, evidence.run, evidence.replayed)


DEADLOCK = told(abba(), "deadlock", abba_run())
TWICE = told(pages(), "double_populate", pages_run(pages()))
AGREE = told(pages(), "agree", pages_run(pages(), "agree"))


@pytest.mark.parametrize(
    ("name", "trace", "width", "full"),
    [
        ("deadlock", DEADLOCK, 100, False),
        ("deadlock_full", DEADLOCK, 100, True),
        ("deadlock_narrow", DEADLOCK, 70, False),
        ("deadlock_list", DEADLOCK, 40, False),
        ("assertion", TWICE, 100, False),
        ("assertion_full", TWICE, 120, True),
        ("invariant", AGREE, 100, False),
    ],
)
def test_layout(name: str, trace: Trace, width: int, full: bool) -> None:
    """The layout of each kind of trace at each kind of width is the one that was last accepted."""
    golden.check(HERE / f"{name}.txt", layout_trace(trace, FILE.path, Style(width=width), full))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("trace", [DEADLOCK, TWICE, AGREE], ids=["deadlock", "assertion", "invariant"])
def test_nothing_is_wider_than_the_terminal(trace: Trace, width: int) -> None:
    """No line of any trace is wider than the terminal, whole state or not, and all of it is ASCII."""
    for full in (False, True):
        text = layout_trace(trace, FILE.path, Style(width=width), full)
        assert max(map(len, text.split("\n"))) <= width
        assert text.isascii()


def test_each_statement_stands_in_the_column_of_its_thread() -> None:
    """In the deadlock, steps 1 and 3 are in the first column, 2 and 4 in the second."""
    rows = [line.split(" | ") for line in layout_trace(DEADLOCK, FILE.path, Style()).split("\n") if " | " in line]
    header, *steps = rows
    assert [c.strip() for c in header] == ["#", "kvm.one", "kvm.two", "changes"]
    numbered = [r for r in steps if r[0].strip()]
    assert [(r[0].strip(), r[1].strip(), r[2].strip()) for r in numbered] == [
        ("1", "5: acquire a", ""),
        ("2", "", "6: acquire b read"),
        ("3", "5: acquire b write", ""),
        ("4", "", "6: acquire a"),
    ]


def test_a_wait_says_who_is_in_the_way() -> None:
    """The step that begins to wait names the holder."""
    assert [str(a) for s in DEADLOCK.steps for a in s.locks] == [
        "takes a",
        "takes b (read)",
        "waits for b (write): kvm.two holds b (read)",
        "waits for a: kvm.one holds a",
    ]


def test_a_deadlock_is_told_as_a_cycle_with_the_step_of_each_lock() -> None:
    """Who holds what since which step, and who waits for whom, back to the first."""
    assert DEADLOCK.ending.deadlock is not None
    assert DEADLOCK.ending.deadlock.text == (
        "kvm.one holds a since step 1 and waits for b (write) since step 3",
        "kvm.two holds b (read) since step 2 and waits for a since step 4",
    )
    assert [thread for thread, _ in DEADLOCK.ending.cycle] == ["kvm.one", "kvm.two"]


def test_context_switches_are_counted() -> None:
    """Four steps of alternating threads have three switches; two steps of one thread none."""
    assert (DEADLOCK.switches, TWICE.switches, AGREE.switches) == (3, 3, 0)


def test_names_are_the_authors() -> None:
    """What the compiler adds to names is gone: actors where they are clear, and numbers that keep names apart."""
    assert TWICE.threads == ("kvm.fault[vcpu0]", "kvm.fault[vcpu1]")
    assert [c.name for c in TWICE.steps[2].changes] == ["spte[gfn1]", "page.populated[gfn1]"]
    assert TWICE.steps[2].choices == (("kind", "private"),)


def test_a_failed_assertion_is_told_with_the_values_that_fail_it() -> None:
    """The cells that make the assertion false are named with their values and the step that gave them."""
    assert TWICE.ending.headline == "step 4: page populated twice"
    assert [(f.text, f.since) for f in TWICE.ending.facts] == [
        ("page.populated[gfn1] = true", 3),
        ("g of kvm.fault[vcpu1] = gfn1", 2),
    ]
    assert [f.message for f in TWICE.steps[3].failures] == ["page populated twice"]


def test_an_invariant_is_told_for_the_instance_that_breaks_it() -> None:
    """Which x, and the values that matter; the page that is fine is not mentioned."""
    assert AGREE.ending.where == (("x", "gfn1"),)
    assert [(f.text, f.since) for f in AGREE.ending.facts] == [
        ("page.populated[gfn1] = true", 2),
        ("spte[gfn1] = private", 2),
    ]


def test_a_step_in_a_library_names_its_file_and_its_caller() -> None:
    """The place is that of the statement in the library, then the line of the model that called it."""
    assert [str(p) for p in TWICE.steps[2].places] == [f"{LIBRARY.path}:1:12", f"{FILE.path}:6:18"]


def test_changes_add_up_to_the_states() -> None:
    """Hidden cells apart, the first state with all changes applied says what the last state says."""
    state = {c.name: c.value for c in TWICE.initial}
    for step in TWICE.steps:
        for change in step.changes:
            local = change.kind.value == "local" and " of " not in change.name
            name = f"{change.name} of {step.thread}" if local else change.name
            assert state[name] == change.before
            state[name] = change.after
    assert state == {
        "g of kvm.fault[vcpu0]": "gfn1",
        "g of kvm.fault[vcpu1]": "gfn1",
        "spte[gfn0]": "none",
        "spte[gfn1]": "shared",
        "page.populated[gfn0]": "false",
        "page.populated[gfn1]": "true",
        "kvm.fault[vcpu0]": "line 5",
        "kvm.fault[vcpu1]": "line 5",
    }


def test_more_than_four_threads_are_told_as_a_list() -> None:
    """Five moving threads have no columns at any width; each turn is headed by the thread's name."""
    system = pages(vcpus=5)
    prop = next(p for p in system.properties if p.name == "agree")
    moves = (*(Choice(0, (v, 1)) for v in range(5)), Choice(1, (4, 1)))
    run = Run(Choice(0, ()), moves, Choice(0, (1,)))
    trace = trace_of(system, prop, prop.target, run, replay(system, prop.target, run))
    text = layout_trace(trace, FILE.path, Style(width=120))
    assert " | " not in text
    assert [line for line in text.split("\n") if line.startswith("kvm.")] == [f"kvm.fault[vcpu{v}]" for v in range(5)]


def test_a_run_of_no_steps_is_told() -> None:
    """A target that is true at once has an ending and no table."""
    system = pages()
    prop = next(p for p in system.properties if p.name == "agree")
    always = replace(prop, target=Target((Case((), TRUE),)))
    run = Run(Choice(0, ()), (), Choice(0, ()))
    trace = trace_of(system, always, always.target, run, replay(system, always.target, run))
    assert trace.ending.headline == "agree is false in the initial state"
    assert layout_trace(trace, FILE.path, Style()).startswith("0 steps, 0 context switches\n\nagree is false in the ")
