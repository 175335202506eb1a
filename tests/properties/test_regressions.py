"""Faults that users of the first models met, each pinned by the model that showed it."""

from __future__ import annotations

from pathlib import Path

from protocheck import check_file
from protocheck.findings import Finding, Holds

AWAIT_OR = """
protocol await_or_cycle
hypervisor kvm {
    lock m : mutex;
    state sent : bool = true;
    state attached : bool = false;
    op drain() { await !sent || attached;  attached = false; }
    op attach() { attached = true; }
    environment reset    { loop { with m { drain(); } } }
    environment attacher { loop { with m { attach(); } } }
    environment answer   { loop { sent = false;  sent = true; } }
}
scenario s { expect all hold; }
"""

COMPLETION = """
protocol completion
type waiters = scalarset(most in 1..3 = 2)
hypervisor kvm {
    lock m : mutex;
    state done : 0..2 = 0;
    thread waiter[w : waiters] { with m { atomic { await done > 0;  done -= 1; } } }
    thread completer { with m { done = 2; } }
    thread other { with m { skip; } }
}
scenario s { expect lock_order cycle violated in 3 steps, deadlock violated in 3 steps; }
scenario completed { without kvm.completer;  expect deadlock violated, lock_order any; }
"""

MASKED = """
protocol masked
type cpu = scalarset(cpus in 1..3 = 2)
hypervisor kvm {
    lock l : spinlock;
    interrupt tick on cpu { with l { skip; } }
    thread t[c : cpu] on c { irq_off { with l { here: skip; } } }
    variant unmasked of thread t[c : cpu] on c { with l { here: skip; } }
}
reachable inside: exists c in cpu : at(kvm.t[c], here);
scenario s { expect all hold; }
scenario u { with unmasked;  expect lock_order cycle violated, deadlock violated, lock_misuse violated; }
"""

FAMILY = """
protocol family_covers
kernel k {
    state x : bool = false;
    thread t { x = true;  assert !x, "set" as f; }
}
always invariant inv as f: !k.x;
scenario s { expect f violated; }
"""

BUG = """
protocol expect_bug
hypervisor kvm { thread t { bug "always"; } }
scenario s { expect bug violated in 1 step; }
"""


def findings(tmp_path: Path, text: str) -> tuple[Finding, ...]:
    """What is found about the only scenario of a model."""
    path = tmp_path / "model.pchk"
    path.write_text(text, encoding="utf-8")
    (scenario,) = check_file(path).scenarios
    return scenario.findings


def test_a_wait_that_others_can_end_closes_no_cycle(tmp_path: Path) -> None:
    """A thread that awaits under a lock is in no lock cycle if one that takes no lock can end its wait."""
    order = next(f for f in findings(tmp_path, AWAIT_OR) if f.name == "lock_order")
    assert isinstance(order.outcome, Holds)
    assert [f.kind.value for f in order.lock_graph.findings] == ["unrealised cycle"] if order.lock_graph else False
    assert order.as_expected


def test_a_wait_that_only_waiters_could_end_closes_a_cycle(tmp_path: Path) -> None:
    """Waiters write what they wait for; but where they all wait under the lock that the completer needs, none does."""
    path = tmp_path / "model.pchk"
    path.write_text(COMPLETION, encoding="utf-8")
    for scenario in check_file(path).scenarios:
        assert all(f.as_expected for f in scenario.findings), scenario.findings


def test_masks_leave_no_cycle_through_a_cpu(tmp_path: Path) -> None:
    """Where interrupts are off, no cycle is told of; where they are on, it is one that happens."""
    path = tmp_path / "model.pchk"
    path.write_text(MASKED, encoding="utf-8")
    masked, unmasked = check_file(path).scenarios
    assert masked.lock_graph is not None
    assert masked.lock_graph.findings == ()
    assert all(f.as_expected for f in (*masked.findings, *unmasked.findings))


def test_a_family_named_by_an_assertion_covers_its_other_members(tmp_path: Path) -> None:
    """``expect f violated`` speaks of the invariant of family ``f`` as well as of the assertions tagged ``f``."""
    assert all(f.as_expected for f in findings(tmp_path, FAMILY))


def test_the_family_of_a_bug_statement_can_be_expected(tmp_path: Path) -> None:
    """``bug`` is a keyword and yet the name of a family in ``expect``."""
    assert all(f.as_expected for f in findings(tmp_path, BUG))
