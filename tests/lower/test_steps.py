"""What takes a step and what does not: one test per row of the table of the language reference, with exact counts."""

from __future__ import annotations

import pytest

from tests.lower.snippets import compiled, depth, depths, states

# Thread `other` makes what it touches contended; it is not what is counted.
OTHER = "thread other { a = true; b = true; n = 1; }"
HEAD = "state a : bool; state b : bool; state n : 0..3; lock m : mutex; lock r : rwsem; lock s : srcu; lock f : flag;"


def alone(body: str, declarations: str = "", claims: str = "") -> int | None:
    """Steps of thread ``t`` from begin to end, where nobody else need move."""
    text = f"kernel k {{ {HEAD} {declarations} {OTHER} thread t {{ {body} }} }} reachable goal: finished(k.t); {claims}"
    return depth(text)


ROWS = [
    ("", 1, "only its end"),
    ("a = true;", 2, "a contended write"),
    ("if a { skip; }", 2, "a contended read"),
    ("let v = a; if v { skip; }", 2, "a condition on a local takes none"),
    ("a = b;", 3, "a load, then a store"),
    ("n = n;", 3, "a load and a store of the same cell"),
    ("if a && b { skip; }", 2, "a false first operand saves the second access"),
    ("if a || b { skip; }", 3, "a false first operand needs the second access"),
    ("let v = a ? a : b;", 3, "one access decides, one is chosen"),
    ("let v = a implies b;", 2, "a false premise is enough"),
    ("var v : bool = true; v = !v; let w = v;", 1, "locals take no step"),
    ("atomic { a = b; b = a; }", 2, "an atomic block is one step"),
    ("swap();", 2, "an op is one step"),
    ("twice();", 3, "a call takes none of its own"),
    ("let v = fetch_add(ref n, 1);", 2, "a built-in is one step"),
    ("let v = cmpxchg(ref n, 0, 2);", 2, "so is this one"),
    ("with m { skip; }", 2, "an acquire is one step, a release none"),
    ("with r write { downgrade r; }", 2, "a downgrade is none"),
    ("with m { under r read: skip; }", 3, "two acquires"),
    ("if try_acquire m { release m; }", 2, "a try that succeeds"),
    ("if try_acquire f { release f; }", 2, "a flag that is taken"),
    ("if try_acquire f { if try_acquire f { skip; } }", 3, "a try that fails is a step as well"),
    ("await !a;", 2, "an await that succeeds"),
    ("spin until !a;", 2, "so does spinning"),
    ("synchronize s;", 3, "to begin, and to end"),
    ("let v = snapshot(q); if changed(v) { skip; }", 3, "a snapshot, and a look at a contended version"),
    ("bump(q);", 2, "a bump"),
    ("choose v : bool; a = v;", 2, "a choice belongs to the step behind it"),
    ("var v : bool; havoc v; a = v;", 2, "so does havoc of a local"),
    ("havoc a;", 2, "havoc of contended state is a step"),
    ("either { a = true; } or { b = true; a = true; }", 2, "either takes none"),
    ("assert !a; ghost { g = true; }", 1, "assertions and ghost code take none"),
    ("stop other;", 2, "stop is a step"),
    ("var v : 0..2 = 0; while v < 2 { a = true; v = v + 1; }", 5, "a while whose turn touches shared state"),
    ("for i in 0 ..< 2 { a = true; }", 5, "two stores, two back edges"),
    ("for i in 0 ..< 3 { skip; }", 1, "a turn that touches no shared state has no back edge step"),
    ("loop { if !a { break; } }", 2, "a turn that is left has no back edge"),
    ("mine = 3; let v = mine;", 1, "what no other thread touches takes no step"),
    ("read_twice(ref n);", 3, "a reference parameter is the cell itself"),
    ("if test(a) { skip; }", 2, "an argument is read once"),
    ("let v = test(a) && test(b);", 2, "a fn whose value is not needed reads nothing"),
]
MORE = {
    "swap": "op swap() { let v = a; a = b; b = v; }",
    "twice": "proc twice() { a = true; a = false; }",
    "read_twice": "proc read_twice(ref v : 0..3) { let x = v; let y = v; }",
    "test": "fn test(v : bool) -> bool = v && v;",
    "q)": "state q : version; thread bumps { bump(q); }",
    "g =": "ghost state g : bool;",
    "mine": "state mine : 0..3;",
}


@pytest.mark.parametrize(("body", "steps", "why"), ROWS, ids=[w for _, _, w in ROWS])
def test_rows(body: str, steps: int, why: str) -> None:
    """A thread with this body takes exactly so many steps, its end included."""
    assert alone(body, " ".join(text for use, text in MORE.items() if use in body)) == steps


def test_a_mentioned_store_is_a_step() -> None:
    """A store to what a property mentions is a step of its own, unless a lock that guards it is held."""
    text = "kernel k { lock m : mutex; state x : 0..2; thread t { x = 1; x = 2; } } reachable goal: finished(k.t); "
    assert depth(text) == 1
    assert depth(text + "invariant i: k.x < 3;") == 3
    guarded = "kernel k { lock m : mutex; state x : 0..2 guarded_by m; thread t { with m { x = 1; x = 2; } } }"
    assert depth(guarded + "reachable goal: finished(k.t); invariant i: k.x < 3;") == 2


def test_a_lock_that_is_taken_is_first_waited_for() -> None:
    """Holder and waiter: take, wait, leave, be granted, end, end; and nothing shorter."""
    text = """kernel k { lock m : mutex; state w : bool;
        thread one { with m { w = true; } } thread two { with m { skip; } } }
    reachable goal: at(k.two, nowhere);"""
    claims = "reachable both: finished(k.one) && finished(k.two);"
    assert depth(text.replace("reachable goal: at(k.two, nowhere);", claims), "both") == 4
    assert states("kernel k { lock m : mutex; thread one { with m { skip; } } thread two { with m { skip; } } }") == 9


def test_uncontended_accesses_of_a_guarded_section_are_one_step() -> None:
    """Under an excluding lock a section runs as the step that takes the lock; with racy reads elsewhere it does not."""
    text = """kernel k {{ lock m : mutex; state x : 0..3 guarded_by m;
        thread t {{ with m {{ x = 1; x = 2; x = 3; }} }} thread u {{ {} }} }} reachable goal: finished(k.t);"""
    assert depth(text.format("with m { x = 0; }")) == 2
    assert depth(text.format("let v = racy(x);")) == 5


def test_readers_exclude_writers_only() -> None:
    """Two readers share; a write under the read mode of `guarded_by l any` is contended."""
    text = """kernel k {{ lock r : rwsem; state x : 0..3 guarded_by r {};
        thread t {{ with r {} {{ x = 1; x = 2; }} }} thread u {{ with r read {{ let v = x; }} }} }}
        reachable goal: finished(k.t);"""
    assert depth(text.format("", "write")) == 2
    assert depth(text.format("any", "read")) == 4


def test_srcu_readers_exclude_nobody() -> None:
    """A writer under the write lock is contended when readers may come under srcu alone."""
    text = """kernel k {{ lock m : mutex; lock s : srcu; state x : 0..3 guarded_by write: m, read: {};
        thread t {{ with m {{ x = 1; x = 2; }} }} thread u {{ with {} {{ let v = x; }} }} }}
        reachable goal: finished(k.t);"""
    assert depth(text.format("m || srcu s", "s read")) == 4
    assert depth(text.format("m", "m")) == 2


def test_own_cells_are_uncontended_only_if_all_indexes_are_the_threads_own() -> None:
    """Two threads may share a cell that only one of their indexes selects."""
    text = """type v = scalarset(vs in 1..2 = 1)
        kernel k {{ state x : [v] 0..2; state y : [v][v] 0..2; thread t[p : v, q : v] {{ {} }} }}
        reachable goal: forall p in v, q in v : finished(k.t[p, q]);"""
    assert depth(text.format("y[p][q] = 1; y[p][q] = 2;")) == 1
    assert depth(text.format("x[p] = 1; x[p] = 2;")) == 3


def test_a_lock_released_in_a_turn_does_not_guard_the_next() -> None:
    """What is held at the head of a loop is what every turn finds held."""
    text = """kernel k {{ lock m : mutex; state x : 0..3; state go : bool;
        thread t {{ acquire m; loop {{ x = 1; x = 2; {} if !go {{ break; }} }} release m; }}
        thread u {{ with m {{ x = 0; }} go = true; }} }} reachable goal: finished(k.t);"""
    assert depth(text.format("")) == 3
    assert depth(text.format("release m; acquire m;")) == 4


def test_an_early_return_that_releases_is_seen_by_the_caller() -> None:
    """A call that may give the lock back leaves nothing certain: accesses behind it are contended again."""
    text = """kernel k {{ lock m : mutex; state x : 0..3; state y : bool;
        proc p(early : bool) {{ {} }}
        thread t {{ acquire m; p(false); x = 1; x = 2; release m; }} thread u {{ with m {{ x = 0; }} }} }}
        reachable goal: finished(k.t);"""
    assert depth(text.format("skip;")) == 2
    assert depth(text.format("if early { release m; return; }")) == 4


def test_locks_of_a_with_are_given_back_on_every_way_out() -> None:
    """break, continue, return, downgrade and an early release leave the lock free, and nobody misuses it."""
    ways = [
        "loop { with r write { break; } }",
        "var n : 0..2 = 0; while n < 2 { with r write { n = n + 1; continue; } }",
        "with r write { downgrade r; }",
        "loop { with r write { downgrade r; break; } }",
        "with r write { release r; }",
        "with r write { if c { release r; } }",
        "with m { with r write { release m; } }",
        "leave();",
    ]
    for way in ways:
        text = f"""kernel k {{ lock r : rwsem; lock m : mutex; state c : bool;
            proc leave() {{ with r read {{ return; }} }}
            init {{ choose v : bool; c = v; }}
            thread t {{ {way} here: await held_by_nobody; }} state held_by_nobody : bool = true; }}
            reachable goal: at(k.t, here); invariant free: at(k.t, here) implies !held(k.r) && !held(k.m);"""
        found = depths(compiled(text))
        assert (found["free"], found["lock_misuse"], found["deadlock"]) == (None, None, None), way
        assert found["goal"] is not None, way


def test_what_is_held_at_the_end_or_an_idle_wait_is_a_misuse() -> None:
    """Also when only some way holds it."""
    text = """kernel k {{ lock m : mutex; state c : bool; init {{ choose v : bool; c = v; }} {} {{ {} }} }}"""
    for kind, body, steps in [
        ("thread t", "acquire m;", 1),
        ("thread t", "if c { acquire m; }", 1),
        ("thread t", "if c { acquire m; release m; }", None),
        ("server t", "loop { acquire m; await c idle; release m; }", 1),
    ]:
        assert depth(text.format(kind, body), "lock_misuse") == steps, body
