"""Injected failures, errors that undo what was done, and waits that a signal ends."""

from __future__ import annotations

import pytest

from protocheck.engines import bmc, ic3
from protocheck.engines.verdict import Budget, NotReachedWithin, Reached, Unreachable
from protocheck.ir.system import System
from protocheck.lower import compile_system, instantiate
from tests.lower.snippets import compiled, depths, module

HEAD = """type rc = enum { OK, EIO, EINTR }
hypervisor kvm {
    lock m : mutex;  lock n : mutex;
    state x : 0..3 = 0;  state y : 0..3 = 0;  state go : bool = false;  state done : bool = false;
    op plain() -> rc { x = min(x + 1, 3);  return OK; }
"""


def with_budget(text: str, scenario: str | None = None, **settings: int) -> System:
    """The system of a model text with these budgets."""
    checked = module(text)
    return compile_system(checked, instantiate(checked, scenario, settings))


def found(text: str, **settings: int) -> dict[str, int | None]:
    """Depths of the claims of a model text, with these budgets."""
    return depths(with_budget(HEAD + text, **settings))


# ---------------------------------------------------------------------------------------------------------- may_fail

TWICE = """
    op inc() -> rc may_fail EIO, EINTR { x = min(x + 1, 3);  return OK; }
    thread t { ignore inc();  ignore inc();  ignore inc(); }
}
reachable zero: finished(kvm.t) && kvm.x == 0;
reachable one:  finished(kvm.t) && kvm.x == 1;
reachable two:  finished(kvm.t) && kvm.x == 2;
reachable three:  finished(kvm.t) && kvm.x == 3;
"""


@pytest.mark.parametrize("budget", range(4))
def test_a_run_has_at_most_as_many_failures_as_the_budget(budget: int) -> None:
    """Of three increments at least 3 - budget happen, and any fewer failures are possible; a failure takes one step."""
    names = ("three", "two", "one", "zero")
    ways = found(TWICE, failures=budget)
    assert [ways[n] for n in names] == [4 if k <= budget else None for k in range(4)]


def test_without_failures_nothing_of_them_is_in_the_system() -> None:
    """The system is the one of the model without `may_fail`: same variables, same transitions."""
    bare = compiled(HEAD + TWICE.replace("may_fail EIO, EINTR", ""))
    quiet = with_budget(HEAD + TWICE)
    assert [v.name for v in quiet.variables] == [v.name for v in bare.variables]
    assert len(quiet.transitions) == len(bare.transitions)
    assert "failures left" in [v.name for v in with_budget(HEAD + TWICE, failures=1).variables]


def test_a_failure_by_hand_and_an_injected_one_give_the_same_depths() -> None:
    """`may_fail` with a budget does what an op with a counter of its own does."""
    by_hand = TWICE.replace(
        "op inc() -> rc may_fail EIO, EINTR { x",
        """state left : 0..2 = 2;
    op inc() -> rc {
        either { skip; } or { if left > 0 { left -= 1;  return EIO; } }
        x""",
    )
    ours = found(TWICE, failures=2)
    assert ours == {k: v for k, v in found(by_hand).items() if k in ours}


CODES = """
    op f() -> rc may_fail EIO { return OK; }
    op g() -> bool may_fail false { return true; }
    proc h() -> rc may_fail EINTR { go = true;  done = true;  return OK; }
    thread t {
        let a = f();  x = a == OK ? 0 : a == EIO ? 1 : 2;
        let b = g();  if !b { x = 3; }
        let c = h();  y = c == OK ? 0 : c == EIO ? 1 : 2;
    }
    thread u { if go && done { skip; } }
}
reachable eio:    kvm.x == 1;
reachable eintr:  kvm.x == 2;
reachable no:     kvm.x == 3;
reachable killed: kvm.y == 2;
reachable wrong:  kvm.y == 1;
reachable effect: kvm.y == 2 && (kvm.go || kvm.done);
reachable half:   kvm.go && !kvm.done;
"""


def test_a_failure_returns_its_code_and_has_no_effect() -> None:
    """An op and a proc alike; the failing call of a proc is one step of its own."""
    ways = found(CODES, failures=1)
    assert (ways["eio"], ways["eintr"], ways["no"], ways["wrong"], ways["effect"]) == (2, None, 4, None, None)
    assert found(CODES)["killed"] is None
    # f, x = 0, g, h fails, y = 2; without a failure h takes the two steps of its stores.
    assert (ways["killed"], ways["half"]) == (5, 4)


def test_a_slow_op_fails_before_it_begins() -> None:
    """In one step, with none of its locks taken; that a lock is busy is no injected failure."""
    text = """
firmware tdx {
    lock tdr : busy;
    pub state pages : 0..3 = 0;
    pub slow op add() -> rc may_fail EIO holds tdr write else EINTR { pages = min(pages + 1, 3);  return OK; }
}
hypervisor host { state last : rc = OK;  thread a { last = tdx.add(); } }
reachable failed: host.last == EIO && tdx.pages == 0;
reachable begun:  held(tdx.tdr) && host.last == EIO;
reachable added:  tdx.pages == 1;
reachable busy:   host.last == EINTR;
"""
    ways = found("}" + text, failures=1)
    assert [ways[k] for k in ("failed", "begun", "added", "busy")] == [2, None, 2, None]
    assert found("}" + text)["failed"] is None


def test_failures_can_be_kept_to_some_routines() -> None:
    """`fail h;` lets no other call fail, whatever the budget."""
    text = HEAD + CODES + "scenario s { failures : 0..3;  fail h; }"
    ways = depths(with_budget(text, "s"))
    assert (ways["eio"], ways["no"], ways["killed"]) == (None, None, 5)


def test_a_failing_call_holds_no_lock() -> None:
    """A proc that returns with a lock held does not hold it where it has failed: the release there is a misuse."""
    text = """
    proc take() -> rc may_fail EIO { acquire m;  return OK; }
    thread t { ignore take();  release m; }
    thread u { with m { go = true;  done = go; } }
}"""
    assert found(text)["lock_misuse"] is None
    assert found(text, failures=1)["lock_misuse"] == 1


def test_not_to_fail_is_no_choice_for_a_retry() -> None:
    """A turn that merely could have failed still waits; one that did fail is tried again."""
    text = """
    op f() -> rc may_fail EIO { if go { return OK; }  return EINTR; }
    thread t { loop { if f() == OK { break; }  retry; } }
    thread u { if done { go = true; } }
}
reachable end: finished(kvm.t);"""
    for budget in range(3):
        ways = found(text, failures=budget)
        assert ways["end"] is None
        assert ways["deadlock"] == 2  # f, and the end of u; the failures need not come


def test_every_engine_agrees_on_a_budget() -> None:
    """Bounded search finds the same depths as the explicit one, IC3 proves what has no run."""
    system = with_budget(HEAD + TWICE, failures=2)
    wanted = depths(system)
    targets = [p.target for p in system.properties]
    for p, seen, proved in zip(
        system.properties, bmc.run(system, targets, Budget(depth=6)), ic3.run(system, targets, Budget()), strict=True
    ):
        depth = wanted[p.name]
        if depth is None:
            assert isinstance(seen, NotReachedWithin | Unreachable), p.name
            assert isinstance(proved, Unreachable), p.name
        else:
            assert isinstance(seen, Reached), p.name
            assert len(seen.run.moves) == depth, p.name
            assert isinstance(proved, Reached), p.name


# --------------------------------------------------------------------------------------------------- try and on_error

UNWINDING = """
    op pin() -> rc may_fail EIO { x += 1;  return OK; }
    op map() -> rc may_fail EIO { y += 1;  return OK; }
    op last() -> rc may_fail EIO { done = true;  return OK; }
    PROC
    thread t { let r = work();  good = r == OK;  ended = true; }
    state good : bool = false;  state ended : bool = false;
    thread u { with m { go = true;  go = false; } }
}
reachable ok:      kvm.ended && kvm.good && kvm.x == 1 && kvm.y == 1 && kvm.done;
reachable undone:  kvm.ended && !kvm.good && kvm.x == 0 && kvm.y == 0 && !kvm.done;
reachable mess:    kvm.ended && kvm.good != (kvm.x == 1 && kvm.y == 1 && kvm.done);
reachable partly:  kvm.ended && !kvm.good && (kvm.x != 0 || kvm.y != 0);
reachable early:   !kvm.ended && kvm.y == 1 && kvm.x == 0;
"""

WITH_WORDS = """proc work() -> rc {
        try pin();
        on_error { x -= 1; }
        with m {
            try map();
            on_error { y -= 1; }
            try last();
        }
        return OK;
    }"""

BY_HAND = """proc work() -> rc {
        let a = pin();
        if a != OK { return a; }
        acquire m;
        let b = map();
        if b != OK { release m;  x -= 1;  return b; }
        let c = last();
        if c != OK { y -= 1;  release m;  x -= 1;  return c; }
        release m;
        return OK;
    }"""


@pytest.mark.parametrize("budget", [0, 1, 2])
def test_on_error_is_the_unwinding_written_by_hand(budget: int) -> None:
    """Same depths of everything, whatever fails: the last `on_error` first, with locks given back in between."""
    ours = found(UNWINDING.replace("PROC", WITH_WORDS), failures=budget)
    hands = found(UNWINDING.replace("PROC", BY_HAND), failures=budget)
    assert ours == hands
    assert (ours["ok"] is None, ours["mess"], ours["partly"], ours["early"]) == (False, None, None, None)
    assert (ours["undone"] is None) == (budget == 0)
    assert ours["lock_misuse"] is None


def test_an_undo_in_the_wrong_order_or_forgotten_is_found() -> None:
    """The claims of the test above can fail."""
    assert found(UNWINDING.replace("PROC", WITH_WORDS.replace("on_error { y -= 1; }", "")), failures=1)["partly"]
    late = WITH_WORDS.replace("on_error { x -= 1; }", "").replace("y -= 1;", "x -= 1; y -= 1;")
    assert found(UNWINDING.replace("PROC", late), failures=1)["early"] is not None


def test_on_error_covers_its_block_only_and_only_errors() -> None:
    """An error behind the block, or a success, undoes nothing; a returned local is looked at in the run."""
    text = """
    op map() -> rc may_fail EIO { return OK; }
    proc work(early : bool) -> rc {
        if early { on_error { x = 3; }  let r = map();  y = 1;  return r; }
        try map();
        return OK;
    }
    thread t { choose e : bool;  let r = work(e);  if r == OK { y = 2; } else { y = 3; } }
}
reachable undone:    kvm.x == 3 && kvm.y == 3;
reachable not_there: kvm.x == 0 && kvm.y == 3;
reachable success:   kvm.x == 3 && kvm.y == 2;
"""
    ways = found(text, failures=1)
    assert (ways["undone"] is None, ways["not_there"] is None, ways["success"]) == (False, False, None)


def test_try_with_else_maps_the_error() -> None:
    """`try f() else E;` returns E for every error of f, and runs what is to be undone."""
    text = """
    op map() -> bool may_fail false { return true; }
    proc work() -> rc { x = 1;  on_error { x = 2; }  try map() else EINTR;  return OK; }
    thread t { let r = work();  y = r == OK ? 1 : r == EIO ? 2 : 3; }
}
reachable eio:   kvm.y == 2;
reachable eintr: kvm.y == 3 && kvm.x == 2;
reachable ok:    kvm.y == 1 && kvm.x == 1;
"""
    ways = found(text, failures=1)
    assert (ways["eio"], ways["eintr"] is None, ways["ok"] is None) == (None, False, False)


# ------------------------------------------------------------------------------------------------------------ signals

KILLABLE = """
    thread t { acquire m killable else { x = 1;  return; }  x = 2;  release m; }
    thread u { acquire m;  await go;  release m; }
    thread w { if y == 0 { skip; } }
}
reachable got:    kvm.x == 2;
reachable killed: kvm.x == 1;
"""


def test_a_signal_ends_only_a_wait_and_only_within_the_budget() -> None:
    """The lock that is free is taken; the thread that waits for ever deadlocks unless a signal may come."""
    none, one = found(KILLABLE), found(KILLABLE, signals=1)
    assert (none["killed"], none["got"], none["deadlock"]) == (None, 2, 1)
    # u takes m; t waits, is killed and stores x: u alone is in a deadlock as soon as it waits.
    assert (one["killed"], one["got"]) == (4, 2)
    free = KILLABLE.replace("thread u { acquire m;  await go;  release m; }", "")
    assert found(free, signals=2)["killed"] is None


def test_a_thread_that_a_signal_can_wake_is_not_deadlocked() -> None:
    """Two threads that wait for each other: with a signal left they go on, without one they are stuck."""
    text = """
    thread a { with m { acquire n killable else { return; }  release n; } }
    thread b { with n { with m { skip; } } }
}
reachable ends: finished(kvm.a) && finished(kvm.b);
"""
    assert found(text)["deadlock"] == 4
    assert found(text, signals=1)["deadlock"] is None
    # Used up by a, it is missed by c: b takes n, a takes m, waits, and is killed.
    more = text.replace("thread b", "thread c { await go killable else { return; } }  thread b")
    assert found(more, signals=1)["deadlock"] == 4
    assert found(more, signals=2)["deadlock"] is None


def test_an_await_can_be_killed_while_it_waits() -> None:
    """Not where its condition holds; by hand it is an `either` of the two outcomes with a counter."""
    text = """
    thread t { KILL  x = 2; }
    thread u { go = true; }
}
reachable killed:  kvm.x == 1;
reachable late:    kvm.x == 1 && kvm.go;
reachable waited:  kvm.x == 2;
"""
    kill = "await go killable else { x = 1;  return; }"
    hand = "either { await go; } or { await !go && left > 0;  left = 0;  x = 1;  return; }"
    ours = found(text.replace("KILL", kill), signals=1)
    assert (ours["killed"], ours["late"], ours["waited"], ours["deadlock"]) == (2, 3, 3, None)
    by_hand = found(text.replace("KILL", hand).replace("thread u", "state left : 0..1 = 1;  thread u"))
    assert [by_hand[k] for k in ("killed", "late", "waited", "deadlock")] == [2, 3, 3, None]
    assert found(text.replace("KILL", kill.replace("go", "go && done")))["deadlock"] == 2
    assert found(text.replace("KILL", kill.replace("go", "go && done")), signals=1)["deadlock"] is None
