"""What the lock analysis says about small systems, each sentence against an exhaustive search."""

from __future__ import annotations

from dataclasses import replace

import pytest
from locking import L, S, T, analyse, build, drop, take, under

from protocheck.engines.verdict import Exhausted, NotReachedWithin, Structural, Unreachable
from protocheck.findings import EdgeStatus, Holds, HoldsToDepth, LockFindingKind, LockGraph, Unknown, Violated
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, ne
from protocheck.ir.sorts import RangeSort, ScalarSort
from protocheck.ir.system import LockKind, System
from protocheck.properties.lock_order import conclude, plan
from protocheck.properties.lock_order import outcome as judge

KIND = LockFindingKind
TWO = RangeSort(0, 1)
CPU = ScalarSort("cpu", ("c0", "c1"))
V = Param("v", CPU)


def kinds(graph: LockGraph) -> list[str]:
    return [f.headline for f in graph.findings]


def abba(*, gate: bool = False) -> System:
    one, two = under("a", under("b")), under("b", under("a"))
    if gate:
        one, two = under("g", one), under("g", two)
    return build([L("g"), L("a"), L("b")] if gate else [L("a"), L("b")], [T("p", one), T("q", two)])


def test_two_locks_in_opposite_orders_are_a_cycle_with_a_run() -> None:
    """ABBA is reported once, with the shortest run into the deadlock (take, take, wait, wait)."""
    graph, outcome = analyse(abba())
    assert kinds(graph) == ["cycle: a -> b -> a"]
    assert outcome == Violated(4, True)
    assert graph.findings[0].evidence is not None
    assert graph.findings[0].explanation == "p waits for b: q holds b; q waits for a: p holds a"


def test_every_reachable_edge_has_a_witness() -> None:
    """Both edges of ABBA are reachable after one step, and each has its run."""
    graph, _ = analyse(abba())
    assert [(e.held, e.wanted, e.thread, e.status, e.steps) for e in graph.edges] == [
        ("a", "b", "p", EdgeStatus.REACHABLE, 1),
        ("b", "a", "q", EdgeStatus.REACHABLE, 1),
    ]
    assert all(e.evidence is not None for e in graph.edges)


def test_one_order_is_proved_for_any_size_without_a_search() -> None:
    """Where everybody takes a before b the static graph has no cycle, which decides without asking anything."""
    body = under("a", under("b"))
    system = build([L("a"), L("b")], [T("p", body, (V,)), T("q", body)])
    graph, outcome = analyse(system)
    assert graph.acyclic
    assert not graph.findings
    assert plan(system).decisive == ()
    assert outcome == Holds(Structural("the lock graph has no cycle"), ("cpu",))


def test_three_locks_in_a_ring_are_one_cycle() -> None:
    """A cycle of three locks and three threads is found at its shortest length, six steps."""
    locks = [L("a"), L("b"), L("c")]
    threads = [T("p", under("a", under("b"))), T("q", under("b", under("c"))), T("r", under("c", under("a")))]
    graph, outcome = analyse(build(locks, threads))
    assert kinds(graph) == ["cycle: a -> b -> c -> a"]
    assert outcome == Violated(6, True)


def test_a_gate_lock_prevents_the_cycle_and_is_named() -> None:
    """ABBA under a common outer lock is a prevented cycle, not a violation, and the outer lock is named."""
    graph, outcome = analyse(abba(gate=True))
    assert kinds(graph) == ["prevented cycle: a -> b -> a"]
    assert graph.findings[0].prevented_by == "g"
    assert isinstance(outcome, Holds)
    assert not isinstance(outcome.by, Structural)


@pytest.mark.parametrize(("one", "two", "kind"), [("read", "read", KIND.CYCLE), ("read", "write", KIND.PREVENTED)])
def test_a_gate_must_exclude(one: str, two: str, kind: LockFindingKind) -> None:
    """An outer rwsem prevents the cycle only if one side holds it for writing."""
    first, second = under("a", under("b")), under("b", under("a"))
    threads = [T("p", under("g", first, mode=one)), T("q", under("g", second, mode=two))]
    graph, _ = analyse(build([L("g", LockKind.RWSEM), L("a"), L("b")], threads))
    assert [f.kind for f in graph.findings] == [kind]


def test_a_condition_can_prevent_a_cycle_too() -> None:
    """Without a lock that keeps the threads apart, the finding says that a condition does."""
    first = [*under("a", under("b")), S("set", "done")]
    second = [S("await", "done"), *under("b", under("a"))]
    graph, outcome = analyse(build([L("a"), L("b")], [T("p", first), T("q", second)], flags=["done"]))
    assert kinds(graph) == ["prevented cycle: a -> b -> a"]
    assert graph.findings[0].prevented_by == "a condition"
    assert isinstance(outcome, Holds)


def populate(*, writer: bool, fair: bool = True) -> System:
    threads = [
        T("populate", under("inv", under("mmap", mode="read"))),
        T("fault", under("mmap", under("inv", mode="read"), mode="read")),
    ]
    if writer:
        threads.append(T("remap", under("mmap")))
    return build([L("inv", LockKind.RWSEM), L("mmap", LockKind.RWSEM, (), fair)], threads)


def test_readers_on_both_sides_deadlock_only_with_a_queued_writer() -> None:
    """With a writer in the file the cycle closes, and the explanation says that the writer is what closes it."""
    graph, outcome = analyse(populate(writer=True))
    assert kinds(graph) == ["cycle: inv -> mmap -> inv"]
    assert outcome == Violated(5, True)
    text = graph.findings[0].explanation
    assert "without the writer queued for mmap its readers would not block one another" in text


def test_without_a_writer_the_cycle_is_unrealised_and_says_what_would_close_it() -> None:
    """Two readers do not block each other: unrealised, and a queued writer is named as what would close it."""
    graph, outcome = analyse(populate(writer=False))
    assert kinds(graph) == ["unrealised cycle: inv -> mmap -> inv"]
    assert "a writer queued for it would close the cycle" in graph.findings[0].explanation
    assert isinstance(outcome, Holds)


def test_readers_of_an_unfair_lock_pass_the_queued_writer() -> None:
    """On an unfair rwsem the same threads never deadlock, and the reason is given."""
    graph, _ = analyse(populate(writer=True, fair=False))
    assert kinds(graph) == ["unrealised cycle: inv -> mmap -> inv"]
    assert "its readers pass a queued writer" in graph.findings[0].explanation


def test_a_mutex_taken_twice_is_recursion() -> None:
    """The same instance twice by one thread is recursion, found when the lock is wanted again."""
    graph, outcome = analyse(build([L("a")], [T("p", [take("a"), take("a"), drop("a")])]))
    assert kinds(graph) == ["recursion: a -> a"]
    assert outcome == Violated(1, True)


@pytest.mark.parametrize(("writer", "kind"), [(True, KIND.RECURSION), (False, KIND.UNREALISED)])
def test_reading_twice_counts_when_a_writer_can_queue_in_between(writer: bool, kind: LockFindingKind) -> None:
    """Read-read recursion on a fair rwsem is a violation exactly if some writer can come between."""
    threads = [T("p", [take("a", mode="read"), take("a", mode="read"), drop("a")])]
    if writer:
        threads.append(T("w", under("a")))
    graph, outcome = analyse(build([L("a", LockKind.RWSEM)], threads))
    assert [f.kind for f in graph.findings] == [kind]
    assert isinstance(outcome, Violated) is writer


def test_taking_all_instances_under_an_outer_lock_is_no_false_alarm() -> None:
    """Two threads that take all instances, in opposite orders but under one outer lock: prevented, by that lock."""
    up = under("all", take("m", 0), take("m", 1), drop("m", 0), drop("m", 1))
    down = under("all", take("m", 1), take("m", 0), drop("m", 0), drop("m", 1))
    system = build([L("all"), L("m", index=(TWO,))], [T("p", up), T("q", down)])
    graph, outcome = analyse(system)
    assert kinds(graph) == ["prevented cycle: m[i] -> m[j] -> m[i]"]
    assert graph.findings[0].prevented_by == "all"
    assert isinstance(outcome, Holds)


def test_two_instances_in_opposite_order_are_a_cycle() -> None:
    """The same without the outer lock deadlocks."""
    up = [take("m", 0), take("m", 1), drop("m", 1), drop("m", 0)]
    down = [take("m", 1), take("m", 0), drop("m", 0), drop("m", 1)]
    graph, outcome = analyse(build([L("m", index=(TWO,))], [T("p", up), T("q", down)]))
    assert kinds(graph) == ["cycle: m[i] -> m[j] -> m[i]"]
    assert outcome == Violated(4, True)


def test_instances_taken_in_one_order_are_fine() -> None:
    """Two threads that both take instance 0 before 1 have no finding, and a note says why."""
    up = [take("m", 0), take("m", 1), drop("m", 1), drop("m", 0)]
    graph, outcome = analyse(build([L("m", index=(TWO,))], [T("p", up), T("q", up)]))
    assert not graph.findings
    assert graph.notes == ("instances of m are only taken in one order",)
    assert isinstance(outcome, Holds)


def test_one_thread_with_two_instances_is_fine() -> None:
    """Nobody else takes two instances, so their order does not matter."""
    up = [take("m", 0), take("m", 1), drop("m", 1), drop("m", 0)]
    graph, _ = analyse(build([L("m", index=(TWO,))], [T("p", up), T("q", under("m", index=(0,)))]))
    assert not graph.findings


def test_own_lock_then_a_neighbours_is_a_cycle_over_as_many_instances_as_there_are() -> None:
    """Three philosophers: no two instances are taken in both orders, three of them close the ring in six steps."""
    seat = RangeSort(0, 2)
    i = Param("i", seat)
    right: Expr = Apply(Op.MOD, (Apply(Op.ADD, (i, Lit(1))), Lit(3)))
    body = [take("fork", i), take("fork", right), drop("fork", right), drop("fork", i)]
    graph, outcome = analyse(build([L("fork", index=(seat,))], [T("p", body, (i,))]), quick=True)
    assert kinds(graph) == ["cycle: fork[i] -> fork[j] -> fork[k] -> fork[i]"]
    assert outcome == Violated(6, True)


def test_interchangeable_threads_that_take_their_own_and_another_lock() -> None:
    """vcpu[v] holds m[v] and takes m[w]: opposite orders by symmetry, so a cycle of two."""
    w = Param("w", CPU)
    body = [take("m", V), take("m", w), drop("m", w), drop("m", V)]
    graph, _ = analyse(build([L("m", index=(CPU,))], [T("p", body, (V, w), where=ne(V, w))]))
    assert kinds(graph) == ["cycle: m[i] -> m[j] -> m[i]"]


def test_taking_against_the_declared_order_is_a_violation_without_any_deadlock() -> None:
    """One thread that takes b before a breaks the order a -> b, though nothing can deadlock."""
    graph, outcome = analyse(build([L("a"), L("b")], [T("p", under("b", under("a")))], order=[("a", "b")]))
    assert kinds(graph) == ["against order: b -> a"]
    assert outcome == Violated(1, True)


def test_declared_order_is_transitive() -> None:
    """a -> b and b -> c declare a -> c."""
    system = build([L("a"), L("b"), L("c")], [T("p", under("c", under("a")))], order=[("a", "b"), ("b", "c")])
    assert kinds(analyse(system)[0]) == ["against order: c -> a"]


def test_nest_by_index_is_checked() -> None:
    """With a declared order among instances, descending is against it and ascending is not."""
    for first, second, expected in ((1, 0, ["against order: m -> m"]), (0, 1, [])):
        body = [take("m", first), take("m", second), drop("m", 0), drop("m", 1)]
        graph, _ = analyse(build([L("m", index=(TWO,), order_field="i0")], [T("p", body)]))
        assert kinds(graph) == expected


def test_nest_under_is_checked() -> None:
    """Where two instances may nest only under an outer lock, taking them without it is against the order."""
    both = [take("m", 0), take("m", 1), drop("m", 0), drop("m", 1)]
    for body, expected in ((both, ["against order: m -> m"]), (under("all", both), [])):
        graph, _ = analyse(build([L("all"), L("m", index=(TWO,), nest_under="all")], [T("p", body)]))
        assert kinds(graph) == expected


def test_nest_under_a_lock_that_nobody_takes_is_against_the_order() -> None:
    """The outer lock need not be part of the system: then it is never held."""
    both = [take("m", 0), take("m", 1), drop("m", 0), drop("m", 1)]
    graph, _ = analyse(build([L("m", index=(TWO,), nest_under="all")], [T("p", both)]))
    assert kinds(graph) == ["against order: m -> m"]


def test_synchronize_under_a_lock_that_readers_take_is_a_cycle() -> None:
    """A reader that wants m, and m's owner that waits for readers: the SRCU wait closes a cycle."""
    reader = under("srcu", under("m"), mode="read")
    writer = under("m", S("sync", "srcu"))
    graph, outcome = analyse(build([L("srcu", LockKind.SRCU), L("m")], [T("r", reader), T("w", writer)]))
    assert kinds(graph) == ["cycle: srcu -> m -> srcu"]
    assert isinstance(outcome, Violated)


def test_synchronize_inside_an_own_read_section_is_recursion() -> None:
    """Waiting for the readers while being one of them is recursion."""
    graph, _ = analyse(build([L("srcu", LockKind.SRCU)], [T("r", under("srcu", S("sync", "srcu"), mode="read"))]))
    assert kinds(graph) == ["recursion: srcu -> srcu"]


def test_reading_an_srcu_domain_never_waits() -> None:
    """Entering a read section under a lock is no edge, so opposite nesting of readers is no cycle."""
    threads = [T("r", under("srcu", under("m"), mode="read")), T("s", under("m", under("srcu", mode="read")))]
    graph, _ = analyse(build([L("srcu", LockKind.SRCU), L("m")], threads))
    assert graph.acyclic


def test_awaiting_under_a_lock_that_the_other_needs_first_is_a_cycle() -> None:
    """Holding m while waiting for a flag whose writer needs m is a cycle through the wait."""
    threads = [T("p", under("m", S("await", "done"))), T("q", [*under("m"), S("set", "done")])]
    graph, outcome = analyse(build([L("m")], threads, flags=["done"]))
    assert kinds(graph) == ["cycle: m -> await done -> m"]
    assert isinstance(outcome, Violated)


def test_trylock_in_reverse_order_is_no_edge() -> None:
    """A thread that only tries the second lock never waits for it."""
    threads = [T("p", under("a", under("b"))), T("q", under("b", S("try", "a")))]
    graph, _ = analyse(build([L("a"), L("b")], threads))
    assert graph.acyclic


def test_a_branch_that_is_never_taken_is_no_edge() -> None:
    """The edge stands in the code but no run takes it, so there is no cycle and nothing is reported."""
    threads = [T("p", under("a", under("b"))), T("q", under("b", S("take", "a", when="never")))]
    graph, outcome = analyse(build([L("a"), L("b")], threads, flags=["never"]))
    assert not graph.acyclic
    assert [e.status for e in graph.edges] == [EdgeStatus.REACHABLE, EdgeStatus.UNREACHABLE]
    assert not graph.findings
    assert isinstance(outcome, Holds)


def test_one_thread_alone_cannot_close_a_cycle() -> None:
    """A thread that takes both orders one after the other is unrealised; a second instance would close it."""
    body = [*under("a", under("b")), *under("b", under("a"))]
    graph, _ = analyse(build([L("a"), L("b")], [T("p", body)]))
    assert kinds(graph) == ["unrealised cycle: a -> b -> a"]
    assert "a second instance of p would close the cycle" in graph.findings[0].explanation
    graph, _ = analyse(build([L("a"), L("b")], [T("p", body, (V,))]))
    assert kinds(graph) == ["cycle: a -> b -> a"]


def test_a_bounded_answer_leaves_the_cycle_undecided() -> None:
    """If the engine looked 3 steps far, nothing more is claimed."""
    system = abba()
    planned = plan(system)
    short = {k: NotReachedWithin(3) for k in planned.decisive if not planned.targets[k].cases[0].params}
    graph, outcome = analyse(system, short, deadlocks=False)
    assert kinds(graph) == ["undecided: a -> b -> a"]
    assert outcome == HoldsToDepth(3)


def test_a_deadlock_run_decides_a_cycle_that_was_open() -> None:
    """If the cycle was not decided but a deadlock was found on the same locks, its run closes the question."""
    system = abba()
    planned = plan(system)
    short = {k: NotReachedWithin(3) for k in planned.decisive if not planned.targets[k].cases[0].params}
    graph, outcome = analyse(system, short)
    assert [f.kind for f in graph.findings] == [KIND.CYCLE]
    assert outcome == Violated(4, True)


def test_a_deadlock_that_passes_one_class_twice_is_told_by_its_run() -> None:
    """m[0] -> x -> m[1] -> y -> m[0] is no simple cycle of classes; the deadlock run still gives the finding."""
    threads = [
        T("p", [take("m", 0), take("x"), drop("x"), drop("m", 0)]),
        T("q", [take("x"), take("m", 1), drop("m", 1), drop("x")]),
        T("r", [take("m", 1), take("y"), drop("y"), drop("m", 1)]),
        T("s", [take("y"), take("m", 0), drop("m", 0), drop("y")]),
    ]
    graph, outcome = analyse(build([L("m", index=(TWO,)), L("x"), L("y")], threads))
    assert [f.kind for f in graph.findings if f.violation] == [KIND.CYCLE]
    assert outcome == Violated(8, True)


def test_cycles_that_are_not_looked_at_are_no_proof() -> None:
    """Where the list of cycles was cut and nothing else is wrong, only freedom from deadlock proves lock order."""
    locks = [L("g"), *(L(f"l{n}") for n in range(8))]
    threads = []
    for n in range(8):
        here, there = f"l{n}", f"l{(n + 1) % 8}"
        threads.append(T(f"t{n}", [take("g"), take(here), take(there), drop(there), drop(here), drop("g")]))
    planned = plan(build(locks, threads))
    assert planned.cut
    assert planned.notes
    answers = [Unreachable(Structural("none"))] * len(planned.targets)
    graph = conclude(planned, answers, [None] * len(answers), None)
    quiet = replace(graph, findings=())
    assert isinstance(judge(planned, quiet, answers), Unknown)
    assert judge(planned, quiet, answers, Exhausted(9, 3, False)) == Holds(Exhausted(9, 3, False))


@pytest.mark.parametrize("system", [abba(), abba(gate=True), populate(writer=True), populate(writer=False)])
def test_engines_agree_on_every_question(system: System) -> None:
    """The questions are asked of the search engine and of the interpreter, with the same answers and lengths."""
    assert analyse(system, quick=True) == analyse(system)
