"""Who waits for whom: await, choose, retry, synchronize, deadlock, done."""

from __future__ import annotations

from protocheck.lower import compile_system, instantiate
from tests.lower.snippets import compiled, depth, depths, module


def test_an_await_that_nobody_can_end_is_a_deadlock() -> None:
    """Whether its condition is a constant, or a cell that only the waiting thread writes, or a branch among others."""
    text = "kernel k {{ state x : bool; state y : bool; thread t {{ {} }} thread u {{ y = true; }} }}"
    assert depth(text.format("await x; x = true;"), "deadlock") == 0
    assert depth(text.format("await y;"), "deadlock") is None
    assert depth(text.format("choose c : bool; if c { await x; } else { await x; } x = true;"), "deadlock") == 0


def test_a_choice_without_a_candidate_waits() -> None:
    """It goes on as soon as there is one; with an else it does not wait."""
    text = "kernel k {{ state n : 0..2; thread t {{ choose i : 0..1 where i + 1 == n {} {} }} thread u {{ n = {}; }} }}"
    assert depth(text.format(";", "skip;", 1), "deadlock") is None
    assert depth(text.format(";", "skip;", 0), "deadlock") is not None
    assert depth(text.format("else { return; }", "skip;", 0), "deadlock") is None


def test_either_takes_no_blocked_branch() -> None:
    """A branch whose first step is blocked cannot be chosen; if all are, the thread waits."""
    text = """kernel k {{ state x : bool; state y : bool; state z : bool;
        thread t {{ either {{ await x; {} = true; }} or {{ await !x; }} }} thread u {{ x = false; y = false; }} }}"""
    found = depths(compiled(text.format("z") + "reachable first: k.z; reachable end: finished(k.t);"))
    assert (found["first"], found["end"], found["deadlock"]) == (None, 2, None)


RETRY = """kernel k {{ state x : bool; state y : bool; state seq : version; lock m : mutex;
    thread t {{ loop {{ {} }} }} thread u {{ {} }} }} reachable end: finished(k.t);"""


def test_a_retry_waits_for_a_change_of_what_the_turn_read() -> None:
    """load, (store by u), retry, load, end; a turn that read nothing that can change deadlocks."""
    found = depths(compiled(RETRY.format("if x { break; } retry;", "x = true;")))
    assert (found["end"], found["deadlock"]) == (3, None)
    assert depths(compiled(RETRY.format("if x { break; } retry;", "x = false;")))["deadlock"] == 3


def test_a_retry_after_work_or_a_choice_is_a_continue() -> None:
    """A turn that wrote shared state or resolved a choice does not wait."""
    for turn in ("y = true; if x { break; } retry;", "choose c : bool; if c && x { break; } retry;"):
        assert depths(compiled(RETRY.format(turn, "y = false;")))["deadlock"] is None, turn


def test_taking_a_lock_is_no_work() -> None:
    """A turn that only took a lock and gave it back has achieved nothing."""
    for turn in ("with m { if x { break; } } retry;", "if try_acquire m { release m; } if x { break; } retry;"):
        assert depths(compiled(RETRY.format(turn, "y = true;")))["deadlock"] is not None, turn


def test_a_retry_that_saw_a_version_goes_on_when_it_is_bumped() -> None:
    """Also when the bump came between the snapshot and the retry."""
    turn = "let s = snapshot(seq); if y && !changed(s) { break; } retry;"
    assert depths(compiled(RETRY.format(turn, "y = true; bump(seq);")))["deadlock"] is None


def test_a_retry_remembers_every_cell_of_a_quantifier() -> None:
    """Any cell of those that `exists` looked at wakes the thread."""
    text = """type g = scalarset(gs in 1..3 = 2)
        kernel k { state x : [g] bool; op some() -> bool { return exists i in g : x[i]; }
        thread t { loop { if some() { break; } retry; } } thread u { choose i : g; x[i] = true; } }
        reachable end: finished(k.t);"""
    found = depths(compiled(text))
    assert (found["deadlock"], found["end"]) == (None, 3)


def test_retry_keeps_its_meaning_without_the_reset_of_dead_locals() -> None:
    """What an earlier turn read does not wake the thread."""
    text = RETRY.format("if x { if y { break; } } retry;", "x = true; x = false; y = true; x = true;")
    assert depths(compiled(text)) == depths(compiled(text, dead_locals=False))


def test_nested_srcu_sections_end_with_the_outer_one() -> None:
    """synchronize does not return while the outer section lasts."""
    nested = """kernel k { lock s : srcu; state x : bool; state y : bool;
        thread r { with s read { with s read { skip; } y = true; inside: x = true; } }
        thread w { begun: synchronize s; behind: x = false; } }
        reachable met: at(k.r, inside) && at(k.w, behind);"""
    assert depth(nested, "met") is not None  # synchronize may have begun before the section
    before = nested.replace("begun: synchronize", "await y; begun: synchronize")
    assert depth(before.replace("thread w", "thread v { y = false; } thread w"), "met") is None


def test_environments_at_rest_are_done_and_wait_for_nobody() -> None:
    """A thread that waits for what only an environment at rest may do is no deadlock; one blocked elsewhere is."""
    text = """kernel k {{ state x : bool; state y : bool;
        thread t {{ await x; }} environment e {{ loop {{ {} }} }} }} final f: k.x; reachable end: finished(k.t);"""
    found = depths(compiled(text.format("x = true;")))
    assert (found["end"], found["deadlock"], found["f"]) == (3, None, None)
    assert depths(compiled(text.format("y = true; await !y; x = true;")))["deadlock"] is not None


def test_halt_counts_everybody_as_done() -> None:
    """A final claim is judged where the run was halted, and nothing is a deadlock there."""
    text = "kernel k { state x : bool; thread a { halt; } thread b { await x; x = true; } } final f: k.x;"
    found = depths(compiled(text))
    assert (found["f"], found["deadlock"]) == (1, 0)


def test_an_op_that_waits_idle_is_idle() -> None:
    """`idle` counts where the wait is the first statement of an op, and `unless` with it."""
    text = """kernel k {{ state x : bool; state y : bool; op get() {{ await x {}; x = false; }}
        server s {{ loop {{ get(); }} }} thread t {{ y = true; }} }} final f: !k.x;"""
    assert depths(compiled(text.format("")))["deadlock"] is not None
    assert depths(compiled(text.format("idle")))["deadlock"] is None
    assert depths(compiled(text.format("idle unless y")))["deadlock"] == 1


def test_a_quantifier_over_a_thread_that_was_left_out_has_nothing_to_range_over() -> None:
    """Also below the top of a claim, where the thread is not the claim's own binder."""
    text = """kernel k { state x : bool; thread t { x = true; } thread u { x = false; } }
        final each: forall z in k.u : k.x;  final some: exists z in k.u : k.x;
        final none_of_them: (count z in k.u : true) == 0;  scenario s { without u;  expect others any; }"""
    found_in = module(text)
    found = depths(compile_system(found_in, instantiate(found_in, "s")))
    assert (found["each"], found["none_of_them"]) == (None, None)
    assert found["some"] is not None
