"""Where threads stand: what each may do next, or what keeps it."""

from __future__ import annotations

from dataclasses import replace

from hand import FILE, abba, abba_run, pages, pages_run

from protocheck.ir.expr import Read, and_, eq, lit
from protocheck.traces.standing import Stand, standings
from protocheck.traces.trace import Place


def test_who_waits_is_told_with_who_is_in_the_way() -> None:
    """In the deadlock each thread waits for the other, which holds what it wants."""
    rows = standings(abba(), abba_run().replayed.states)
    assert len(rows) == 5
    assert rows[4] == (
        Stand("kvm.one", Place(FILE.path, 5, 5), (), ("waits for b (write)", "kvm.two holds b (read)"), True),
        Stand("kvm.two", Place(FILE.path, 6, 5), (), ("waits for a", "kvm.one holds a"), True),
    )


def test_who_can_move_is_told_with_its_statement() -> None:
    """At the beginning both threads may take their first lock."""
    first = standings(abba(), abba_run().replayed.states)[0]
    assert [(s.thread, s.can, s.why) for s in first] == [
        ("kvm.one", ("acquire a",), ()),
        ("kvm.two", ("acquire b read",), ()),
    ]


def test_a_false_guard_is_told_with_its_values() -> None:
    """A thread that waits for nobody is kept by the first false part of its guard."""
    system = pages()
    pick, fill = system.transitions
    spte = next(v for v in system.variables if v.name == "kvm.spte")
    closed = and_(pick.guard, eq(Read(spte, (lit(0),)), lit(1)))
    system = replace(system, transitions=(replace(pick, guard=closed), fill))
    state = pages_run(pages()).replayed.states[0]
    (row,) = standings(system, [state])
    assert row[0].can == ()
    assert row[0].why == ("`choose g : gfn;` is not possible: spte[gfn0] = none",)
    assert not row[0].waits


def test_a_thread_without_another_step_has_ended() -> None:
    """Nothing leaves the last location."""
    system = abba()
    system = replace(system, transitions=system.transitions[:1], waits=())
    last = standings(system, abba_run().replayed.states)[4]
    assert [s.why for s in last] == [("has ended",), ("has ended",)]
    assert [s.place for s in last] == [None, None]
