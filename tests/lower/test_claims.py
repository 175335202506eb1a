"""What is claimed: assertions, invariants, transitions, regions, init."""

from __future__ import annotations

import pytest

from protocheck.diagnostics import ModelError
from tests.lower.snippets import compiled, depth, depths, module, states


def test_an_assertion_is_judged_just_before_the_next_step() -> None:
    """Others may move between the last step and the assertion, unless ghost code follows or a lock is held."""
    text = """kernel k {{ lock m : mutex; state x : bool; ghost state g : bool;
        thread t {{ {} }} thread u {{ x = true; }} }}"""
    assert depth(text.format("x = false; assert !x; skip;"), "assertion") == 3
    assert depth(text.format("x = false; assert !x; ghost { g = true; }"), "assertion") is None
    assert depth(text.format("x = false; assert !x; let v = 1; ghost { g = true; }"), "assertion") is None
    assert depth(text.format("x = false; assert !x; with m { ghost { g = true; } }"), "assertion") == 3
    assert depth(text.format("with m { x = false; assert !x; }"), "assertion") is None
    assert depth(text.format("atomic { x = false; assert !x; }"), "assertion") is None


def test_a_thread_knows_what_it_has_just_taken() -> None:
    """`held` in code speaks of this very point, not of the state before the step."""
    text = "kernel k {{ lock m : mutex; state x : bool; thread t {{ acquire m; if held(m) {{ {} }} release m; {} }} }}"
    assert depth(text.format("skip;", "assert !held(m);"), "assertion") is None
    assert depth(text.format('assert false, "reached" as here;', ""), "here") == 1


def test_an_invariant_is_silent_while_a_writer_runs_also_through_a_quantifier() -> None:
    """Cells are found below quantifiers; a stopped holder silences nothing."""
    text = """type g = scalarset(gs in 1..2 = 2)
        kernel k {{ lock m : [g] mutex; state x : [i : g] bool guarded_by m[i]; state y : bool;
        thread t {{ choose i : g; with m[i] {{ x[i] = true; y = true; x[i] = false; }} }}
        thread u {{ let v = y; {} }} }} invariant quiet: (count i in g : k.x[i]) == 0;
        always invariant loud: forall i in g : !k.x[i];"""
    found = depths(compiled(text.format("skip;")))
    assert (found["quiet"], found["loud"]) == (None, 1)
    assert depths(compiled(text.format("stop t;")))["quiet"] is not None


def test_a_transition_claim_sees_both_states() -> None:
    """`old` is before the step, everything else after it: cells, places of threads, locks."""
    text = "kernel k { lock m : mutex; state x : 0..2; thread t { x = 1; with m { x = 2; } } }"
    found = depths(compiled(text + """
        transition up: old(k.x) <= k.x;
        transition one_at_a_time: k.x <= old(k.x) + 1;
        transition end: finished(k.t) implies old(k.x) == 2;
        transition taken: held(k.m) implies old(k.x) == 1;
        transition wrong: k.x == old(k.x);"""))
    names = ("up", "one_at_a_time", "end", "taken", "wrong")
    assert [found[n] for n in names] == [None, None, None, None, 1]


def test_a_region_without_a_step_is_entered() -> None:
    """A thread is in a region as soon as it is about to execute its first statement."""
    text = "kernel k { state x : 0..2; thread t { x = 1; region r { skip; } region q { x = 2; } } }"
    found = depths(compiled(text + "reachable r: in(k.t, r); reachable q: in(k.t, q) && k.x == 1;"))
    assert (found["r"], found["q"]) == (1, 1)


def test_init_is_checked() -> None:
    """A value out of range and a failed assertion in `init` are violations without a step."""
    assert depth("kernel k { state x : 0..3; init { choose a : 0..5; x = a; } thread t { x = 1; } }", "range") == 0
    text = "kernel k { state x : 0..3; init { choose a : 0..3; x = a; assert x != 2; } thread t { x = 1; } }"
    assert depth(text, "assertion") == 0
    assert states("kernel k { state x : 0..3; init { choose a : 0..3; x = a; } thread t { skip; } }") == 8


def test_a_cell_that_begins_outside_of_its_range_is_refused() -> None:
    """Also where the initial value depends on the index."""
    with pytest.raises(ModelError, match="begins with 3"):
        compiled("kernel k { state x : [i : 0..3] 0..2 = i; thread t { x[0] = 1; } }")


def test_ghost_loops_may_not_depend_on_the_order_of_members() -> None:
    """Each turn may write its own cells; a value of the last member has no meaning."""
    text = """type g = scalarset(gs in 1..2 = 2)
        kernel k {{ ghost state x : [g] bool; ghost state last : g?;
        thread t {{ ghost {{ for i in g {{ {} }} }} }} }}"""
    assert states(text.format("x[i] = true;")) == 2
    with pytest.raises(ModelError, match="order in which `i` is visited"):
        compiled(text.format("last = i;"))


def test_a_loop_over_members_picks_each_in_any_order() -> None:
    """A turn that sees another is executed in every order; one that does not collapses to one assignment."""
    text = """type g = scalarset(gs in 1..3 = 3)
        kernel k {{ state x : [g] bool; state last : g?; thread t {{ atomic {{ for i in g {{ {} }} }} }} }}
        reachable end: finished(k.t);"""
    assert states(text.format("x[i] = true;")) == 3
    assert states(text.format("last = i;")) == 7


def test_a_range_of_a_loop_index_is_never_left() -> None:
    """Up, down and in strides, the loop variable stays inside."""
    for head, last in (("0 ..< 4", 3), ("0 ..< 4 by 3", 3), ("0 ..< 4 down", 0), ("1 ..< 4 by 2 down", 2)):
        text = f"kernel k {{ state x : 0..3; thread t {{ for i in {head} {{ x = i; }} }} }} final f: k.x == {last};"
        found = depths(compiled(text))
        assert (found["range"], found["f"]) == (None, None), head


def test_records_are_exchanged_as_a_whole() -> None:
    """xchg and cmpxchg work on records and options."""
    text = """type r = record { a : 0..1, b : bool }
        kernel k { state x : r?; state y : bool; thread t { let v = xchg(ref x, { a = 1, b = true }); y = v == none; } }
        final f: k.y && k.x != none;"""
    assert depth(text, "f") is None


def test_origins_survive_inlining() -> None:
    """A step in a proc that a proc calls says where each call was made."""
    text = """kernel k { state x : bool; proc p() { q(); }
        proc q() { x = true; }
        thread t { p(); } thread u { x = false; } }"""
    assert [span.line for span in compiled(text).transitions[0].origin.chain()] == [2, 1, 3]


def test_the_module_of_a_snippet_has_no_warnings_by_accident() -> None:
    """The helper compiles what is written, not something else."""
    assert module("kernel k { state x : bool; thread t { x = true; } }").name == "snippet"
