"""Threads on CPUs, masked sections, interrupt handlers and IPIs."""

from __future__ import annotations

import pytest

from protocheck.engines import bmc, fair
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.system import ProgressTarget
from tests.lower.snippets import compiled, depth, depths, faults, states

CPU = "type cpu = scalarset(cpus in 1..3 = 2) "


def test_a_handler_runs_between_any_two_steps_of_its_cpu_and_to_its_end() -> None:
    """The thread of its CPU sees nothing half done; the thread of another CPU does."""
    text = CPU + """kernel k {{ state a : [cpu] bool = false; state b : [cpu] bool = false; state odd : bool = false;
        interrupt tick on cpu {{ a[this_cpu] = true; b[this_cpu] = true; a[this_cpu] = false; b[this_cpu] = false; }}
        thread t[c : cpu] on c {{ {} if a[{}] {{ odd = true; }} }} }}
        reachable half: k.odd; reachable between: exists c in cpu : k.a[c] && !k.b[c];"""
    here = depths(compiled(text.format("", "c")))
    there = depths(compiled(text.format("choose o : cpu where o != c;", "o")))
    assert here["half"] is None
    assert there["half"] is not None
    assert here["between"] == there["between"] == 2  # the interrupt, and its first store


def test_a_handler_does_not_interrupt_a_masked_section_nor_another_handler() -> None:
    """irq_off keeps it away, preempt_off does not; two handlers on one CPU follow one another."""
    text = CPU + """kernel k {{ state in_section : [cpu] bool = false; state in_other : [cpu] bool = false;
        state met : bool = false; state nested : bool = false;
        interrupt tick on cpu {{ if in_section[this_cpu] {{ met = true; }} if in_other[this_cpu] {{ nested = true; }} }}
        interrupt other on cpu {{ in_other[this_cpu] = true; in_other[this_cpu] = false; }}
        thread t[c : cpu] on c {{ {} {{ in_section[c] = true; in_section[c] = false; }} }} }}
        reachable met: k.met; reachable nested: k.nested;"""
    for mask, wanted in (("irq_off", False), ("preempt_off", True), ("", True)):
        found = depths(compiled(text.format(mask)))
        assert (found["met"] is not None, found["nested"]) == (wanted, None), mask


def test_preempt_off_keeps_the_other_threads_of_the_cpu_out() -> None:
    """Under a spinlock, too; a mutex keeps nobody out, and other CPUs go on."""
    text = """type cpu = 0..1 kernel k {{ state inside : bool = false; state met : bool = false;
        lock s : spinlock; lock m : mutex;
        thread a on 0 {{ {} {{ inside = true; inside = false; }} }}
        thread b on {} {{ if inside {{ met = true; }} }} }} reachable met: k.met;"""
    for head, same in (("preempt_off", False), ("irq_off", False), ("with s", False), ("with m", True), ("", True)):
        assert (depth(text.format(head, 0), "met") is not None) is same, head
        assert depth(text.format(head, 1), "met") is not None, head


def test_threads_without_a_cpu_are_disturbed_by_nobody() -> None:
    """A handler that never ends on one CPU holds up that CPU's thread alone."""
    text = """type cpu = 0..0 kernel k {{ state x : bool = false;
        interrupt stuck on cpu {{ spin until x; }} thread t {} {{ skip; }} }} final f: true;"""
    assert depths(compiled(text.format("")))["deadlock"] is not None  # the handler waits for what nobody does
    free = text.replace("thread t {}", "thread t {{ x = true; }} thread u {}")
    assert depths(compiled(free.format("on 0")))["deadlock"] is None
    bound = text.replace("{{ skip; }}", "{{ x = true; }}")
    assert depths(compiled(bound.format("on 0")))["deadlock"] == 1  # the interrupt comes first
    assert depths(compiled(bound.format("")))["deadlock"] is None


def test_a_lock_that_a_handler_takes_is_misused_where_interrupts_are_on() -> None:
    """On the CPU of a thread that takes it unmasked; and the handler then waits for ever."""
    text = CPU + """kernel k {{ lock l : spinlock{}; interrupt tick on cpu {{ with l {{ skip; }} }}
        thread t[c : cpu] on c {{ {} }} }} reachable inside: exists c in cpu : at(k.t[c], here);"""
    body = "with l { here: skip; }"
    unmasked = depths(compiled(text.format("", body)))
    assert (unmasked["lock_misuse"], unmasked["deadlock"]) == (1, 3)
    for option, code in ((" (irq)", body), ("", "irq_off { " + body + " }")):
        found = depths(compiled(text.format(option, code)))
        assert (found["lock_misuse"], found["deadlock"]) == (None, None)
        assert found["inside"] is not None
    half = depths(compiled(text.format("", "preempt_off { " + body + " }")))
    assert (half["lock_misuse"] is None, half["deadlock"] is None) == (False, False)


def test_a_lock_for_which_the_handler_never_waits_is_not_misused() -> None:
    """It only tries, is told that the lock is busy, or reads what is always granted; one that spins may wait."""
    text = CPU + """type rc = enum {{ OK, BUSY }} kernel k {{ lock l : {}; lock b : busy; lock s : srcu;
        slow op call() -> rc holds b else BUSY {{ return OK; }}
        interrupt tick on cpu {{ {} }} thread t[c : cpu] on c {{ {} }} }}"""
    for kind, handler, body in (
        ("spinlock", "if try_acquire l { release l; }", "with l { skip; }"),
        ("spinlock", "ignore call();", "ignore call();"),
        ("spinlock", "with s { skip; }", "with s { skip; }"),
        ("spinlock", "irq_off { skip; }", "irq_off { skip; }"),
    ):
        found = depths(compiled(text.format(kind, handler, body)))
        assert (found["lock_misuse"], found["deadlock"]) == (None, None), handler
    spins = depths(compiled(text.format("spinlock", "with l { skip; }", "if try_acquire l { release l; }")))
    assert spins["lock_misuse"] == 1


def test_a_spinlock_with_irq_masks_interrupts_while_it_is_waited_for() -> None:
    """Whoever spins for it answers no IPI, so that to wait for an IPI with it held is a deadlock."""
    text = """type cpu = 0..1 kernel k {{ lock l : spinlock{}; state x : bool = false;
        interrupt f on cpu by ipi {{ x = true; }}
        thread a on 0 {{ with l {{ ipi f on 1; ipi_wait f on 1; }} }} thread b on 1 {{ with l {{ skip; }} }} }}"""
    assert depths(compiled(text.format(" (irq)")))["deadlock"] == 3  # acquire, ipi, b begins to wait
    assert depths(compiled(text.format("")))["deadlock"] is None


def test_sleeping_with_a_mask_or_in_a_handler_is_lock_misuse() -> None:
    """As under a spinlock; the end of the section ends it, on every way out."""
    text = """type cpu = 0..0 kernel k {{ lock m : mutex; state x : bool = true;
        thread t on 0 {{ loop {{ {} break; }} might_sleep; }} interrupt h on cpu {{ {} }} }}"""
    for inside in ("might_sleep;", "with m { skip; }", "await x;"):
        for mask in ("irq_off", "preempt_off"):
            assert depth(text.format(f"{mask} {{ {inside} }}", "skip;"), "lock_misuse") is not None, (mask, inside)
        assert depth(text.format("", inside), "lock_misuse") is not None, inside
    for left in ("irq_off { skip; }", "irq_off { if x { break; } }", "preempt_off { spin until x; }"):
        assert depth(text.format(left, "spin until x;"), "lock_misuse") is None, left


def test_an_ipi_is_served_once_and_by_the_cpu_that_was_asked() -> None:
    """The handler runs after the request and before the wait is over; requests before it begins are one."""
    text = CPU + """kernel k {{ state n : [cpu] 0..2 = 0; state done : bool = false;
        interrupt f on cpu by ipi {{ n[this_cpu] += 1; }}
        thread t {{ choose c : cpu; {} done = true; assert n[c] > 0 as unserved; }} }}
        reachable once: exists c in cpu : k.n[c] == 1; reachable twice: exists c in cpu : k.n[c] == 2;
        reachable two_places: forall c in cpu : k.n[c] > 0;"""
    waited = depths(compiled(text.format("ipi f on c; ipi_wait f on c;")))
    assert (waited["unserved"], waited["twice"], waited["two_places"], waited["range"]) == (None, None, None, None)
    assert waited["once"] == 3  # ipi, interrupt, store: the cell is the handler's own, but a claim mentions it
    assert depths(compiled(text.format("ipi f on c;")))["unserved"] is not None
    assert depths(compiled(text.format("ipi f on c; ipi f on c; ipi_wait f on c;")))["twice"] is not None


def test_an_ipi_that_was_sent_while_the_handler_ran_is_served_by_another_turn() -> None:
    """Also if the earlier turn ends after the request; and a later request of others delays nobody."""
    text = """type cpu = 0..0 kernel k {{ state x : bool = false; state seen : bool = false; {}
        interrupt f on cpu by ipi {{ if x {{ seen = true; }} skip; }}
        thread a {{ ipi f on 0; }}
        thread b {{ x = true; ipi f on 0; ipi_wait f on 0; assert seen as missed; }} }}"""
    found = depths(compiled(text.format("")))
    assert (found["missed"], found["deadlock"]) == (None, None)
    busy = text.format("lock l : spinlock;").replace("skip; }", "with l { skip; } }", 1)
    again = busy.replace("thread a { ipi f on 0; }", "thread a { with l { ipi f on 0; here: ipi_wait f on 0; } }")
    assert depths(compiled(again))["deadlock"] is not None


def test_waiting_for_a_masked_cpu_is_a_wait_for_its_thread() -> None:
    """Two CPUs that wait for one another with interrupts off are a deadlock; with interrupts on they are not."""
    text = CPU + """kernel k {{ state x : bool = false; interrupt f on cpu by ipi {{ x = true; }}
        thread t[c : cpu] on c {{ {} {{ for o in cpu {{ ipi f on o; }} for o in cpu {{ ipi_wait f on o; }} }} }} }}"""
    masked = depths(compiled(text.format("irq_off")))["deadlock"]
    assert masked == 9  # irq_off, two IPIs and two turns; the other CPU serves one in two; that wait, and a turn
    assert depths(compiled(text.format("preempt_off")))["deadlock"] is None
    assert depths(compiled(text.format("")))["deadlock"] is None


def test_this_cpu_is_that_of_the_thread_in_all_that_it_calls() -> None:
    """In procs, ops and ghost code, below parameters, and for a handler its own."""
    text = CPU + """kernel k { state hits : [cpu] 0..2 = 0; ghost state seen : [cpu] bool = false;
        op hit() { hits[this_cpu] = min(hits[this_cpu] + 1, 2); }
        proc outer(twice : bool) { hit(); if twice { hit(); } ghost { seen[this_cpu] = true; } }
        thread t[c : cpu, twice : bool] on c { outer(twice); }
        interrupt tick on cpu { assert hits[this_cpu] < 2 || seen[this_cpu] || true as fine; } }
        final all: forall c in cpu : k.hits[c] == 2 && k.seen[c];"""
    found = depths(compiled(text))
    assert (found["all"], found["range"], found["deadlock"]) == (None, None, None)


def test_handlers_and_masks_mean_what_the_same_protocol_written_out_means() -> None:
    """As many steps to every claim as with bits that say who is inside, tested by each step at once."""
    short = """type cpu = 0..0 kernel k { state x : 0..3 = 0; state y : bool = false;
        interrupt h on cpu { x = 1; x = 2; }
        thread t on 0 { if x == 1 { y = true; } irq_off { if x == 0 { x = 3; x = 0; } } } }
        reachable y: k.y; reachable three: k.x == 3; reachable two: k.x == 2 && finished(k.t);"""
    long = """kernel k { state x : 0..3 = 0; state y : bool = false;
        state busy : bool = false; state off : bool = false;
        op come() { await !busy && !off; busy = true; } op set(v : 0..3) { x = v; }
        op leave(v : 0..3) { x = v; busy = false; }
        environment h { loop { come(); set(1); leave(2); } }
        op get() -> 0..3 { await !busy; return x; } op put(v : 0..3) { await !busy; x = v; }
        op mask() { await !busy; off = true; } op last(v : 0..3) { await !busy; x = v; off = false; }
        op last_get(ref v : 0..3) { await !busy; v = x; if v != 0 { off = false; } }
        op yes() { await !busy; y = true; } op end() { await !busy; }
        thread t { let v = get(); if v == 1 { yes(); } mask(); var w : 0..3 = 0; last_get(ref w);
            if w == 0 { put(3); last(0); } } }
        reachable y: k.y; reachable three: k.x == 3; reachable two: k.x == 2 && finished(k.t);"""
    one, two = depths(compiled(short)), depths(compiled(long))
    for claim in ("y", "three", "two", "deadlock"):
        assert one[claim] == two[claim], claim


def test_bounded_search_finds_the_same_depths() -> None:
    """The generated search and the solver agree about masks, handlers and IPIs."""
    text = CPU + """kernel k { lock l : spinlock; state n : [cpu] 0..2 = 0; interrupt tick on cpu { with l { skip; } }
        interrupt f on cpu by ipi { n[this_cpu] = 1; }
        thread t[c : cpu] on c { with l { skip; here: skip; } ipi f on c; ipi_wait f on c; } }
        reachable served: exists c in cpu : k.n[c] == 1 && finished(k.t[c]);"""
    system = compiled(text)
    found = depths(system)
    for p in system.properties:
        if found[p.name] is not None and p.name in ("served", "lock_misuse", "deadlock"):
            (verdict,) = bmc.run(system, [p.target], Budget(depth=10))
            assert isinstance(verdict, Reached)
            assert len(verdict.run.moves) == found[p.name], p.name


def test_the_reduction_keeps_every_verdict() -> None:
    """With a step for every access nothing else is reachable."""
    text = CPU + """kernel k { lock l : spinlock (irq); state n : [cpu] 0..2 = 0 guarded_by l;
        interrupt tick on cpu { with l { n[this_cpu] = 0; } }
        thread t[c : cpu] on c { with l { n[c] = 1; n[c] = 2; } } }
        reachable two: exists c in cpu : k.n[c] == 2;
        reachable never: exists c in cpu : k.n[c] == 1 && finished(k.t[c]);"""
    for merge in (True, False):
        found = depths(compiled(text, merge=merge))
        assert found["two"] is not None
        assert (found["never"], found["deadlock"], found["lock_misuse"]) == (None, None, None)


def test_masks_cost_a_step_to_begin_and_none_to_end() -> None:
    """irq_off, the store, the end of the thread; nothing is kept of a mask but the place of the thread."""
    text = """type cpu = 0..0 kernel k {{ state x : bool; thread t on 0 {{ {} }} thread u {{ x = false; }} }}
        reachable e: finished(k.t);"""
    assert depth(text.format("irq_off { x = true; }"), "e") == 3
    assert depth(text.format("x = true;"), "e") == 2
    assert states(text.format("irq_off { x = true; }")) == states(text.format("preempt_off { x = true; }"))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("type cpu = 0..1 kernel k { state x : [cpu] bool; thread t { x[this_cpu] = true; } }", "no-cpu"),
        ("type cpu = 0..1 kernel k { state x:[cpu] bool; op p() { x[this_cpu] = true; } thread z { p(); } }", "no-cpu"),
        ("kernel k { thread t on 0 { skip; } }", "no-cpu-type"),
        ("type cpu = 0..1 kernel k { interrupt h on cpu { skip; } thread t { ipi h on 0; } }", "not-an-ipi"),
        ("type cpu = 0..1 type c = 0..2 kernel k { interrupt h on c { skip; } }", "type-mismatch"),
        ("type cpu = 0..1 kernel k { thread t on true { skip; } }", "type-mismatch"),
        ("kernel k { lock m : mutex (irq); thread t { with m { skip; } } }", "wrong-lock-mode"),
        ("kernel k { op f() { irq_off { skip; } } thread t { f(); } }", None),
    ],
)
def test_faults(text: str, rule: str | None) -> None:
    """Each fault has its own rule."""
    assert faults(text) == ([] if rule is None else [rule])


def test_interrupts_that_never_stop_do_not_starve_the_thread_of_their_cpu() -> None:
    """Progress assumes that the CPU comes back to it; a handler that does not end takes that away."""
    text = """type cpu = 0..0 kernel k {{ state x : bool = false; state y : 0..1 = 0;
        interrupt storm on cpu {{ y = 1; {} }} thread t on 0 {{ x = true; }} }} progress done: k.x;"""
    for body, holds in (("y = 0;", True), ("loop { y = 0; y = 1; }", False)):
        system = compiled(text.format(body))
        (claim,) = (p.target for p in system.properties if p.name == "done")
        assert isinstance(claim, ProgressTarget)
        (verdict,) = fair.run(system, [claim], Budget())
        assert isinstance(verdict, Unreachable if holds else Reached), body
