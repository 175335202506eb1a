"""Interrupts that nothing masks."""

from __future__ import annotations

import pytest

from protocheck.engines import bmc, fair, ic3
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.system import ProgressTarget
from tests.lower.snippets import compiled, depth, depths, faults

CPU = "type cpu = scalarset(cpus in 1..3 = 2) "
MET = CPU + """kernel k {{ state in_section : [cpu] bool = false; state met : bool = false; lock l : spinlock{};
    interrupt h on cpu {} {{ if in_section[this_cpu] {{ met = true; }} }}
    thread t[c : cpu] on c {{ {} {{ in_section[c] = true; in_section[c] = false; }} }} }} reachable met: k.met;"""


@pytest.mark.parametrize("mask", ["irq_off", "preempt_off", "with l", "irq_off { preempt_off"])
def test_an_nmi_comes_where_interrupts_are_off(mask: str) -> None:
    """An ordinary handler does not, where the mask is for interrupts."""
    text = MET if mask.count("{") == 0 else MET.replace("= false; }} }} }} reachable", "= false; }} }} }} }} reachable")
    option = " (irq)" if mask == "with l" else ""
    assert depth(text.format(option, "by nmi", mask), "met") is not None
    assert (depth(text.format(option, "", mask), "met") is None) is (mask != "preempt_off")


def test_an_nmi_interrupts_handlers_and_no_nmi() -> None:
    """It runs to its end before the handler goes on; a second one waits for the first."""
    text = """type cpu = 0..0 kernel k {{ state a : 0..2 = 0; state b : 0..2 = 0; state half : bool = false;
        state nested : bool = false;
        interrupt outer on cpu {} {{ a = 1; if b == 1 {{ half = true; }} a = 2; }}
        interrupt inner on cpu by nmi {{ if a == 1 {{ nested = true; }} b = 1; b = 2; }} thread t on 0 {{ skip; }} }}
        reachable nested: k.nested; reachable half: k.half;"""
    for by, nests in (("", True), ("by nmi", False)):
        found = depths(compiled(text.format(by)))
        assert (found["nested"] is not None, found["half"]) == (nests, None), by


def test_an_interrupt_does_not_come_while_an_nmi_runs() -> None:
    """The other way round it is masked."""
    text = """type cpu = 0..{} kernel k {{ state a : 0..2 = 0; state met : bool = false;
        interrupt tick on cpu {{ if a == 1 {{ met = true; }} }}
        interrupt n on cpu by nmi {{ if this_cpu == 0 {{ a = 1; a = 2; }} }} thread t on 0 {{ skip; }} }}
        reachable met: k.met;"""
    assert depth(text.format(0), "met") is None
    assert depth(text.format(1), "met") is not None  # on another CPU it may


LOCKS = CPU + """kernel k {{ lock l : spinlock{}; lock own : spinlock; state x : bool = false;
    interrupt n on cpu by nmi {{ {} }} interrupt h on cpu {{ {} }} thread t[c : cpu] on c {{ {} }} }}
    reachable inside: exists c in cpu : at(k.t[c], here);"""
TAKES = "with l { here: skip; }"


@pytest.mark.parametrize(
    ("option", "nmi", "handler", "thread", "misused", "stuck"),
    [
        (" (irq)", "with l { skip; }", "skip;", TAKES, True, True),
        ("", "with l { skip; }", "skip;", f"irq_off {{ {TAKES} }}", True, True),
        ("", "with l { skip; }", "with l { skip; }", "here: skip;", True, False),
        ("", "with l { skip; }", "skip;", "if try_acquire l { here: skip; release l; }", True, True),
        (" (irq)", "if try_acquire l { release l; }", "with l { skip; }", TAKES, False, False),
        (" (irq)", "with own { skip; }", "with l { skip; }", TAKES, False, False),
    ],
)
def test_a_lock_that_an_nmi_waits_for_is_misused_by_all_others_of_its_cpu(
    option: str, nmi: str, handler: str, thread: str, misused: bool, stuck: bool
) -> None:
    """Whatever is masked; where it only tries, or where nobody but NMIs takes the lock, it is not."""
    found = depths(compiled(LOCKS.format(option, nmi, handler, thread)))
    assert (found["lock_misuse"] is not None, found["deadlock"] is not None) == (misused, stuck)
    assert found["inside"] is not None


ANYWHERE = """type cpu = 0..1 kernel k {{ lock l : spinlock{}; interrupt h on cpu {} {{ {} }}
    thread t {} {{ {} }} }} reachable inside: at(k.t, here);"""


@pytest.mark.parametrize(
    ("option", "by", "handler", "thread", "misused"),
    [
        ("", "by nmi", "with l { skip; }", TAKES, True),
        (" (irq)", "by nmi", "with l { skip; }", TAKES, True),
        ("", "by nmi", "with l { skip; }", f"irq_off {{ {TAKES} }}", True),
        ("", "by nmi", "with l { skip; }", "if try_acquire l { here: skip; release l; }", True),
        ("", "by nmi", "if try_acquire l { release l; }", TAKES, False),
        ("", "", "with l { skip; }", TAKES, True),
        ("", "", "with l { skip; }", f"preempt_off {{ {TAKES} }}", True),
        ("", "by ipi", "with l { skip; }", TAKES, True),
        ("", "", "if try_acquire l { release l; }", TAKES, False),
        (" (irq)", "", "with l { skip; }", TAKES, False),
        ("", "", "with l { skip; }", f"irq_off {{ {TAKES} }}", False),
    ],
)
def test_a_thread_without_a_cpu_misuses_a_lock_as_one_that_has_one_does(
    option: str, by: str, handler: str, thread: str, misused: bool
) -> None:
    """It may run on any; only that nothing disturbs it, so that no deadlock comes of it, is what sets it apart."""
    free, bound = (depths(compiled(ANYWHERE.format(option, by, handler, on, thread))) for on in ("", "on 0"))
    assert (free["lock_misuse"] is not None) is misused
    assert free["lock_misuse"] == bound["lock_misuse"]
    assert free["deadlock"] is None
    assert free["inside"] is not None
    assert bound["inside"] is not None


def test_code_that_runs_on_no_cpu_is_not_blamed() -> None:
    """A device's own thread takes a lock that a handler takes: no handler comes in between its steps."""
    text = """type cpu = 0..1 hypervisor k {{ interrupt h on cpu by nmi {{ d.ring(); }} }}
        {} d {{ lock l : spinlock; pub proc ring() {{ with l {{ skip; }} }} environment e {{ loop {{ ring(); }} }} }}"""
    for role, blamed in (("device", False), ("hardware", False), ("kernel", True), ("userspace", True)):
        assert (depth(text.format(role), "lock_misuse") is not None) is blamed, role


def test_a_lock_of_a_handler_and_an_nmi_deadlocks_where_the_handler_is_seen_to_hold_it() -> None:
    """The NMI waits for the handler below it, and the handler for its CPU."""
    text = """type cpu = 0..0 kernel k {{ lock l : spinlock; state x : bool = false;
        interrupt n on cpu by nmi {{ {} }} interrupt h on cpu {{ with l {{ x = true; x = false; }} }}
        thread t {{ if x {{ skip; }} }} }}"""
    assert depth(text.format("with l { skip; }"), "deadlock") == 4  # interrupt, lock, NMI, and it waits
    assert depth(text.format("if try_acquire l { release l; }"), "deadlock") is None


def test_the_engines_agree_about_nested_handlers() -> None:
    """With and without symmetry, the solver to the same depth, and IC3 where there is nothing."""
    text = CPU + """kernel k { lock l : spinlock (irq); state n : [cpu] 0..3 = 0; state odd : bool = false;
        interrupt perf on cpu by nmi { if try_acquire l { n[this_cpu] = 2; release l; } }
        interrupt tick on cpu { with l { n[this_cpu] = 1; } if n[this_cpu] == 2 { odd = true; } }
        thread t[c : cpu] on c { with l { n[c] = 3; n[c] = 0; } } }
        reachable odd: k.odd; reachable half: exists c in cpu : k.n[c] == 3;"""
    system = compiled(text)
    found = depths(system)
    assert found["odd"] is not None
    names = ("odd", "half", "deadlock", "lock_misuse")
    targets = [p.target for p in system.properties if p.name in names]
    order = [p.name for p in system.properties if p.name in names]
    for name, target, verdict in zip(order, targets, explore(system, targets, symmetry=True).verdicts, strict=True):
        if found[name] is None:
            (proved,) = ic3.run(system, [target], Budget())
            assert isinstance(verdict, Unreachable), name
            assert isinstance(proved, Unreachable), name
            continue
        assert isinstance(verdict, Reached)
        (bounded,) = bmc.run(system, [target], Budget(depth=10))
        assert isinstance(bounded, Reached)
        assert len(verdict.run.moves) == len(bounded.run.moves) == found[name], name


def test_nested_handlers_mean_what_the_same_written_out_means() -> None:
    """As many steps to every claim as with bits that say which handler is inside."""
    short = """type cpu = 0..0 kernel k { state x : 0..3 = 0;
        interrupt h on cpu { x = 1; } interrupt n on cpu by nmi { x = 2; } thread t on 0 { irq_off { x = 3; } } }
        reachable one: k.x == 1; reachable two: k.x == 2 && finished(k.t); reachable three: k.x == 3;"""
    long = """kernel k { state x : 0..3 = 0; state h : bool = false; state n : bool = false; state off : bool = false;
        op come() { await !h && !n && !off; h = true; } op one() { await !n; x = 1; h = false; }
        op nmi() { await !n; n = true; } op two() { x = 2; n = false; }
        op mask() { await !h && !n; off = true; } op three() { await !h && !n; x = 3; off = false; }
        op end() { await !h && !n; over = true; } state over : bool = false;
        environment eh { loop { come(); one(); } } environment en { loop { nmi(); two(); } }
        thread t { mask(); three(); end(); } }
        reachable one: k.x == 1; reachable two: k.x == 2 && k.over; reachable three: k.x == 3;"""
    a, b = depths(compiled(short)), depths(compiled(long))
    for claim in ("one", "two", "three", "deadlock"):
        assert a[claim] == b[claim], claim


def test_nmis_that_never_stop_do_not_starve_what_they_interrupt() -> None:
    """Neither the thread nor the handler; an NMI that does not end takes the CPU away for good."""
    text = """type cpu = 0..0 kernel k {{ state x : bool = false; state z : bool = false; state y : 0..1 = 0;
        interrupt storm on cpu by nmi {{ y = 1; {} }} interrupt once on cpu by ipi {{ z = false; z = true; }}
        thread t on 0 {{ ipi once on 0; ipi_wait once on 0; x = true; }} }} progress done: k.z;"""
    for body, holds in (("y = 0;", True), ("loop { y = 0; y = 1; }", False)):
        system = compiled(text.format(body))
        (claim,) = (p.target for p in system.properties if p.name == "done")
        assert isinstance(claim, ProgressTarget)
        (verdict,) = fair.run(system, [claim], Budget())
        assert isinstance(verdict, Unreachable if holds else Reached), body


SENT = """type cpu = 0..1 kernel k {{ state busy : bool = false; state met : bool = false;
    interrupt h on cpu by {} {{ if busy && this_cpu == 0 {{ met = true; }} }}
    thread t on 0 {{ irq_off {{ busy = true; busy = false; }} }} thread s on 1 {{ {} }} }} reachable met: k.met;"""


def test_an_nmi_that_is_sent_comes_where_interrupts_are_off_and_only_if_it_is_sent() -> None:
    """Others `by ipi` wait until interrupts are on; one that comes by itself needs nobody."""
    for cause, sends, met in (
        ("nmi ipi", "ipi h on 0;", 6),  # mask, set, send, come, look, store
        ("nmi ipi", "if busy { ipi h on 1; }", None),
        ("nmi ipi", "if busy { skip; } ", None),
        ("ipi", "ipi h on 0;", None),
        ("nmi", "skip;", 5),
    ):
        assert depth(SENT.format(cause, sends), "met") == met, (cause, sends)


def test_what_is_sent_before_an_nmi_begins_is_one_and_what_is_sent_later_is_another() -> None:
    """It never interrupts itself."""
    text = """type cpu = 0..0 kernel k {{ state n : 0..2 = 0; state inside : bool = false; state nested : bool = false;
        interrupt h on cpu by nmi ipi {{ if inside {{ nested = true; }} inside = true; n += 1; inside = false; }}
        thread t on 0 {{ irq_off {{ ipi h on 0; {} ipi h on 0; }} {} }} thread u {{ {} }} }}
        reachable one: k.n == 1 && finished(k.t); reachable two: k.n == 2; reachable nested: k.nested;"""
    for between, after, other, one, two in (
        ("", "ipi_wait h on 0;", "skip;", True, True),  # it may come between the two
        ("ipi_wait h on 0;", "ipi_wait h on 0;", "skip;", False, True),
        ("", "", "skip;", True, True),
        ("", "ipi_wait h on 0;", "if inside { ipi h on 0; }", True, True),
    ):
        found = depths(compiled(text.format(between, after, other)))
        assert (found["one"] is not None, found["two"] is not None) == (one, two), (between, after)
        assert (found["nested"], found["deadlock"]) == (None, None)
    masked = text.replace("by nmi ipi", "by ipi")  # where the mask holds it back, both are one
    assert depths(compiled(masked.format("", "ipi_wait h on 0;", "skip;")))["two"] is None


CROSSED = """type cpu = 0..1 kernel k {{ interrupt h on cpu by {} {{ {} }}
    thread t[c : cpu] on c {{ irq_off {{ ipi h on 1 - c; ipi_wait h on 1 - c; }} }} }}"""


def test_waiting_for_an_nmi_with_interrupts_off_is_no_deadlock() -> None:
    """Both CPUs answer; one whose NMI does not end answers nobody. An IPI is not answered at all."""
    for cause, body, deadlock, ends in (
        ("nmi ipi", "skip;", None, True),
        ("ipi", "skip;", 4, False),
        ("nmi ipi", "spin until false;", 3, False),
    ):
        text = CROSSED.format(cause, body)
        system = compiled(text + " progress ends: finished(k.t[0]);")
        (claim,) = (p.target for p in system.properties if p.name == "ends")
        assert isinstance(claim, ProgressTarget)
        (verdict,) = fair.run(system, [claim], Budget())
        assert (depth(text, "deadlock"), isinstance(verdict, Unreachable)) == (deadlock, ends), (cause, body)


def test_an_nmi_that_is_sent_keeps_to_the_rules_of_all_nmis() -> None:
    """It waits for another one, is misused through locks as those are, and interrupts handlers."""
    sender = "thread send {{ choose c : cpu; ipi n on c; }} thread t["
    locks = LOCKS.replace("by nmi", "by nmi ipi").replace("thread t[", sender)
    found = depths(compiled(locks.format(" (irq)", "with l { skip; }", "skip;", TAKES)))
    assert (found["lock_misuse"] is not None, found["deadlock"] is not None) == (True, True)
    text = """type cpu = 0..0 kernel k {{ state a : bool = false; state met : bool = false;
        interrupt first on cpu by {} {{ a = true; a = false; }}
        interrupt second on cpu by nmi ipi {{ if a {{ met = true; }} }} thread t {{ ipi second on 0; }} }}
        reachable met: k.met;"""
    assert depth(text.format("nmi"), "met") is None
    assert depth(text.format("ipi").replace("ipi second on 0;", "ipi first on 0; ipi second on 0;"), "met") is not None


def test_sent_nmis_mean_what_the_same_written_out_means() -> None:
    """As many steps to every claim as with bits that say what is asked for and what runs; solver and search agree."""
    short = """type cpu = 0..0 kernel k { state x : 0..3 = 0; state over : bool = false;
        interrupt n on cpu by nmi ipi { x = 2; x = 1; }
        thread t on 0 { irq_off { x = 3; ipi n on 0; ipi_wait n on 0; } over = true; } thread u { ipi n on 0; } }
        reachable two: k.x == 2; reachable three: k.x == 3 && k.over; reachable again: k.x == 2 && k.over;"""
    long = """kernel k { state x : 0..3 = 0; state over : bool = false; state asked : bool = false;
        state n : bool = false; state mine : 0..2 = 0; state gone : bool = false;
        op come() { await asked && !n; asked = false; n = true; if mine == 1 { mine = 2; } }
        op first() { x = 2; } op last() { x = 1; n = false; if mine == 2 { mine = 0; } }
        op mask() { await !n; } op store() { await !n; x = 3; } op send() { await !n; asked = true; mine = 1; }
        op sent() { asked = true; } op wait() { await mine == 0 && !n; } op set() { await !n; over = true; }
        op end() { await !n; gone = true; }
        environment ea { loop { come(); first(); last(); } } environment eb { loop { come(); first(); last(); } }
        thread t { mask(); store(); send(); wait(); set(); end(); } thread u { sent(); } }
        reachable two: k.x == 2; reachable three: k.x == 3 && k.over; reachable again: k.x == 2 && k.over;"""
    a, b = compiled(short), compiled(long)
    found, written_out = depths(a), depths(b)
    assert (found["three"], found["deadlock"]) == (None, None)
    for name in ("two", "three", "again", "deadlock"):
        assert found[name] == written_out[name], name
        (target,) = (p.target for p in a.properties if p.name == name)
        if found[name] is None:
            (proved,) = ic3.run(a, [target], Budget())
            assert isinstance(proved, Unreachable), name
            continue
        (bounded,) = bmc.run(a, [target], Budget(depth=12))
        assert isinstance(bounded, Reached)
        assert len(bounded.run.moves) == found[name], name


def test_sleeping_in_an_nmi_is_lock_misuse() -> None:
    """As in every handler."""
    text = "type cpu = 0..0 kernel k { interrupt n on cpu by nmi { might_sleep; } thread t on 0 { skip; } }"
    assert depth(text, "lock_misuse") is not None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("type cpu = 0..1 kernel k { interrupt h on cpu by nmi { skip; } thread t { ipi h on 0; } }", "not-an-ipi"),
        (
            "type cpu = 0..1 kernel k { interrupt h on cpu { skip; } "
            "variant v of interrupt h on cpu by nmi { skip; } thread t on 0 { skip; } }",
            "variant-mismatch",
        ),
        (
            "type cpu = 0..1 kernel k { interrupt h on cpu by nmi { skip; } "
            "variant v of interrupt h on cpu by nmi ipi { skip; } thread t on 0 { skip; } }",
            "variant-mismatch",
        ),
        ("type cpu = 0..1 kernel k { interrupt h on cpu by nmi ipi { skip; } thread t { ipi h on 0; } }", None),
        ("type cpu = 0..1 kernel k { interrupt h on cpu by ipi nmi { skip; } }", "unexpected-token"),
    ],
)
def test_faults(text: str, rule: str | None) -> None:
    """Each fault has its own rule."""
    assert faults(text) == ([] if rule is None else [rule])
