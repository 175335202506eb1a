"""Busy locks, ops that hold them, slow ops, and loops with a budget."""

from __future__ import annotations

import pytest

from protocheck.engines import bmc, ic3
from protocheck.engines.verdict import Budget, NotReachedWithin, Reached, Unreachable
from protocheck.ir.system import Act, LockKind, Target
from protocheck.properties.lock_order import plan
from tests.lower.snippets import compiled, depth, depths

RC = "type rc = enum { OK, BUSY, BAD } "
MODEL = """kernel k {{ {locks} state x : 0..3; state got : [bool] rc? = none; {code}
    thread t[b : bool] {{ got[b] = f(b); }} thread u {{ {other} }} }}
    reachable both: forall b in bool : k.got[b] == OK;
    reachable one_busy: exists b in bool : k.got[b] == BUSY;
    reachable two_busy: forall b in bool : k.got[b] == BUSY;
    reachable twice: k.x == 2;
    always invariant small: k.x < 2;"""
SLOW = "slow op f(b : bool) -> rc holds a{mode} else BUSY, c else BAD {{ x = x + 1; return OK; }}"
BY_HAND = """op step() {{ x = x + 1; }}
    op take() -> rc {{
        if !try_acquire a{mode} {{ return BUSY; }}
        if !try_acquire c {{ release a; return BAD; }}
        return OK;
    }}
    op give() {{ x = x + 1; release c; release a; }}
    proc f(b : bool) -> rc {{ let rc = take(); if rc == OK {{ give(); }} return rc; }}"""


@pytest.mark.parametrize("mode", ["", " read", " write"])
@pytest.mark.parametrize(
    "other", ["skip;", "if try_acquire a { release a; }", "if try_acquire c { x = 3; release c; }"]
)
def test_a_slow_op_is_its_two_steps_written_out(mode: str, other: str) -> None:
    """Trying the locks in one op and working and releasing in another gives the same depth of every claim."""
    locks = "lock a : busy; lock c : busy;"
    slow = depths(compiled(RC + MODEL.format(locks=locks, code=SLOW.format(mode=mode), other=other)))
    hand = depths(compiled(RC + MODEL.format(locks=locks, code=BY_HAND.format(mode=mode), other=other)))
    assert slow == hand
    assert slow["both"] is not None
    assert (slow["one_busy"] is None) == (mode == " read")


def test_a_busy_lock_is_an_rwlock_that_is_only_tried() -> None:
    """Nothing else about it differs, so the same model with an rwlock has the same depths."""
    for mode in ("", " read"):
        for other in ("skip;", "if try_acquire a read { x = 3; release a; }"):
            code = BY_HAND.format(mode=mode)
            found = [
                depths(compiled(RC + MODEL.format(locks=f"lock a : {k}; lock c : {k};", code=code, other=other)))
                for k in ("busy", "rwlock")
            ]
            assert found[0] == found[1]


def test_engines_agree_on_slow_ops() -> None:
    """Explicit search, bounded search and IC3 give the same verdict, the first two the same depth."""
    locks = "lock a : busy; lock c : busy;"
    system = compiled(RC + MODEL.format(locks=locks, code=SLOW.format(mode=""), other="skip;"))
    known = depths(system)
    chosen = [p for p in system.properties if isinstance(p.target, Target)]
    targets = [p.target for p in chosen]
    for p, shallow, proved in zip(
        chosen,
        bmc.run(system, targets, Budget(depth=12)),
        ic3.run(system, targets, Budget()),
        strict=True,
    ):
        if known[p.name] is None:
            assert isinstance(shallow, NotReachedWithin | Unreachable)
            assert isinstance(proved, Unreachable)
        else:
            assert isinstance(shallow, Reached)
            assert len(shallow.run.moves) == known[p.name]
            assert isinstance(proved, Reached)


def test_an_op_that_holds_is_one_step() -> None:
    """It is never seen with its lock held, and fails in one step while a slow op holds it."""
    text = (
        RC
        + """kernel k { lock a : busy; state rc1 : rc? = none; state rc2 : rc? = none;
        slow op f() -> rc holds a else BUSY { return OK; }
        op g() -> rc holds a else BUSY { return OK; }
        thread t { rc1 = f(); } thread u { rc2 = g(); } }
        reachable t_holds: held(k.a, by k.t); reachable u_holds: held(k.a, by k.u);
        reachable u_busy: k.rc2 == BUSY; reachable t_busy: k.rc1 == BUSY;"""
    )
    found = depths(compiled(text))
    assert (found["t_holds"], found["u_holds"], found["t_busy"], found["u_busy"]) == (1, None, None, 3)


def test_shared_holders_meet_and_exclusive_ones_do_not() -> None:
    """Read mode admits readers only, write mode nobody; arrays have a lock per index."""
    text = """type g = scalarset(2) kernel k {{ lock a : [g] busy;
        slow op f(i : g) -> rc holds a[i] {} else BUSY {{ return OK; }}
        thread t[b : bool] {{ choose i : g; ignore f(i); }} }}
        reachable same: exists i in g : forall t in k.t : held(k.a[i], by t);
        reachable both: forall t in k.t : exists i in g : held(k.a[i], by t);"""
    read, write = (depths(compiled(RC + text.format(mode))) for mode in ("read", "write"))
    assert (read["same"], read["both"], write["same"], write["both"]) == (2, 2, None, 2)


def test_locks_that_were_taken_are_given_back_on_busy() -> None:
    """After a failure on the second lock nobody holds the first."""
    text = (
        RC
        + """kernel k { lock a : busy; lock c : busy; state rc1 : rc? = none;
        slow op f() -> rc holds a, c else BUSY { return OK; }
        thread t { rc1 = f(); done: skip; } thread u { if try_acquire c { skip; release c; } stop_here: skip; } }
        always invariant free: k.rc1 == BUSY implies !held(k.a);
        always invariant never_half: held(k.a) implies held(k.c);
        reachable busy: k.rc1 == BUSY;"""
    )
    system = compiled(text.replace("skip; release c;", "in_it: skip; release c;") + " reachable at_it: at(k.u, in_it);")
    found = depths(system)
    assert (found["free"], found["never_half"]) == (None, None)
    assert found["busy"] is not None
    events = {(e.act, e.lock) for tr in system.transitions for e in tr.events}
    assert {(Act.ACQUIRE, "k.a"), (Act.RELEASE, "k.a"), (Act.TRY_FAILED, "k.c")} <= events


def test_arguments_are_evaluated_before_it_begins() -> None:
    """What changes between its two steps is seen by its body, and not by its arguments."""
    text = """kernel k { state x : 0..3 = 1; state sum : 0..7;
        slow op f(n : 0..3) -> 0..7 { return n * 2 + x; }
        thread t { let s = f(x); sum = s; } thread u { x = 2; } }
        reachable late: k.sum == 4; reachable both_old: k.sum == 3; reachable both_new: k.sum == 6;
        reachable other: k.sum != 0 && k.sum != 3 && k.sum != 4 && k.sum != 6;"""
    found = depths(compiled(text))
    assert (found["late"], found["both_old"], found["both_new"], found["other"]) == (5, 4, 5, None)


def test_busy_locks_are_in_no_lock_graph_and_no_deadlock() -> None:
    """Two slow ops that take two locks in opposite orders say BUSY; the graph has no node for them."""
    text = (
        RC
        + """kernel k { lock a : busy; lock c : busy; lock m : mutex;
        slow op f() -> rc holds a, c else BUSY { return OK; }
        slow op g() -> rc holds c, a else BUSY { return OK; }
        thread t { with m { ignore f(); } } thread u { ignore g(); with m { skip; } } }"""
    )
    system = compiled(text)
    assert {lock.kind for lock in system.locks} == {LockKind.BUSY, LockKind.MUTEX}
    assert [n.name for n in plan(system).nodes] == ["k.m"]
    assert all(w.lock == "k.m" for w in system.waits)
    assert depths(system)["deadlock"] is None


def test_a_retry_after_busy_waits_for_the_lock() -> None:
    """It goes on when the lock is free, so a lock that is kept for ever is a deadlock of the one who retries."""
    text = """kernel k {{ lock a : busy; slow op f() -> rc holds a else BUSY {{ return OK; }}
        thread t {{ loop {{ if f() == OK {{ break; }} retry; }} }}
        thread u {{ if try_acquire a {{ {} }} }} }} reachable end: finished(k.t);"""
    ends = ("release a;", "loop { await false; }")
    given, kept = (depths(compiled(RC + text.format(code))) for code in ends)
    assert (given["end"], given["deadlock"]) == (3, None)
    assert kept["deadlock"] is not None


def test_a_guard_is_held_in_the_body() -> None:
    """State guarded by a busy lock may be written by an op that holds it, and only read in read mode."""
    text = """kernel k {{ lock a : busy; state x : 0..3 = 0 guarded_by a;
        slow op f() -> rc holds a {} else BUSY {{ {} return OK; }} thread t {{ ignore f(); }} }}"""
    assert depth(RC + text.format("", "x = 1;"), "lock_misuse") is None
    assert depth(RC + text.format("read", "if x == 1 { return BAD; }"), "lock_misuse") is None


def test_a_budget_is_a_loop_that_counts() -> None:
    """Every depth is that of a `for` over numbers with a flag for the `else`."""
    text = """kernel k {{ state x : 0..3; state y : 0..3; {}
        thread t {{ {} }} environment u {{ loop {{ x = 1; x = 0; }} }} }}
        reachable end: finished(k.t); reachable over: k.y == 2; reachable left: k.y == 1;"""
    for n in (1, 2, 3):
        loop = f"loop at most {n} times {{ if x == 1 {{ y = 1; return; }} }} else {{ y = 2; }}"
        hand = f"for i in 0 ..< {n} {{ if x == 1 {{ y = 1; return; }} }} y = 2;"
        found = [depths(compiled(text.format("", code))) for code in (loop, hand)]
        assert found[0] == found[1]
        assert (found[0]["left"], found[0]["over"]) == (3, 2 * n + 1)
    assert depth(text.format("", "loop at most 0 times { y = 1; } else { y = 2; }"), "over") == 1


def test_a_budget_may_depend_on_a_value() -> None:
    """The number of turns is evaluated once, before the first."""
    text = """kernel k { state n : 0..3; thread t { choose m : 1..2; var i : 0..3 = m;
        loop at most i times { n += 1; i = 3; } } } reachable one: k.n == 1; reachable two: k.n == 2;
        reachable three: k.n == 3;"""
    found = depths(compiled(text))
    assert found["one"] is not None
    assert found["two"] is not None
    assert found["three"] is None


def test_a_busy_lock_around_a_cycle_is_no_gate() -> None:
    """Locks taken in both orders inside of a busy lock, which is tried, make a cycle of the other two only."""
    text = """kernel k {{ lock b : busy; lock m : mutex; lock n : mutex;
        thread t {{ if try_acquire b {{ with m {{ with n {{ skip; }} }} release b; }} }}
        thread u {{ if try_acquire b {{ with n {{ with m {{ skip; }} }} release b; }} }} }}""".format()
    found = plan(compiled(text))
    assert [n.name for n in found.nodes] == ["k.m", "k.n"]
    assert (len(found.cycles), depths(compiled(text))["deadlock"]) == (1, None)
