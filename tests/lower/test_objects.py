"""Objects: pointers that go stale, families that judge lifetimes, the same protocols with arrays written by hand."""

from __future__ import annotations

import pytest

from protocheck.engines.bmc import ENGINE as BMC
from protocheck.engines.explore import explore
from protocheck.engines.ic3 import ENGINE as IC3
from protocheck.engines.verdict import Budget, Reached, Unreachable
from tests.lower.snippets import compiled, depths

POOL = """
    object slot[2] { state users : 0..3 = 1;  state next : slot? = none;  lock m : mutex; }
    state root : slot? = none;
    state seen : 0..3 = 0;
"""

# What an object is made of: a scalarset, arrays, and a bit beside each pointer.
BY_HAND = """type place = scalarset(2)
kernel k {
    state live  : [place] bool = false;
    state users : [place] 0..3 = 1;
    state root  : place? = none;
    state root_stale : bool = false;
    state copy  : [vcpu] place? = none;
    state copy_stale : [vcpu] bool = false;
    thread use[v : vcpu] {
        atomic { choose p : place where !live[p];  live[p] = true;  copy[v] = p;  copy_stale[v] = false; }
        atomic { root = copy[v];  root_stale = copy_stale[v]; }
        atomic { copy[v] = root;  copy_stale[v] = root_stale; }
        atomic {
            let q = copy[v];
            if q == none { halt; }
            if copy_stale[v] { bug "used after free"; }
            users[q] = 2;
        }
        atomic {
            let q = copy[v];
            if q == none { halt; }
            if copy_stale[v] { bug "freed twice"; }
            live[q] = false;
            users[q] = 1;
            if root == q { root_stale = true; }
            for w in vcpu { if copy[w] == q { copy_stale[w] = true; } }
            copy[v] = none;
            copy_stale[v] = false;
        }
    }
}
type vcpu = scalarset(vcpus in 1..3 = 2)"""

WITH_OBJECTS = """kernel k {
    object slot[2] { state users : 0..3 = 1; }
    state root : slot? = none;
    thread use[v : vcpu] {
        let p = new slot;
        root = p;
        let q = root;
        if q == none { halt; }
        q.users = 2;
        free q;
    }
}
type vcpu = scalarset(vcpus in 1..3 = 2)"""


def model(*threads: str, pool: str = POOL) -> str:
    """A model with the pool above and these threads, each a body."""
    bodies = "".join(f"    thread t{n} {{ {body} }}\n" for n, body in enumerate(threads))
    return f"kernel k {{{pool}{bodies}}}"


def test_objects_do_what_arrays_with_a_bit_beside_each_pointer_do() -> None:
    """The first fault of a protocol with objects is as deep as where everything is written out."""
    with_objects, by_hand = depths(compiled(WITH_OBJECTS)), depths(compiled(BY_HAND))
    faults = [d for name in ("use_after_free", "double_free") if (d := with_objects[name]) is not None]
    assert min(faults) == by_hand["bug"] == 9
    assert with_objects["range"] is None
    assert by_hand["range"] is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("let p = new slot;  free p;", {}),
        ("let p = new slot;  free p;  p.users = 2;", {"use_after_free": 2}),
        ("let p = new slot;  free p;  seen = p.users;", {"use_after_free": 2}),
        ("let p = new slot;  free p;  free p;", {"double_free": 3}),
        ("let p = new slot;  let q = p;  free p;  q.users = 2;", {"use_after_free": 2}),
        ("let p = new slot;  root = p;  free p;  root!.users = 2;", {"use_after_free": 2}),
        ("let p = new slot;  root = p;  free p;  let q = new slot;  root!.users = 2;  free q;", {"use_after_free": 3}),
        ("seen = root!.users;", {"null_deref": 1}),
        ("free root!;", {"null_deref": 1}),
        ("let p = new slot;  p.users = 2;", {"leak": 2}),
        ("let p = new slot;  root = p;", {}),
        ("let p = new slot;  p.next = p;", {"leak": 2}),
        ("let p = new slot;  let q = new slot;  p.next = q;  root = p;", {}),
        ("let p = new slot;  let q = new slot;  p.next = q;  q.next = p;", {"leak": 3}),
        ("let p = new slot;  let q = new slot;  p.next = q;  root = p;  free p;", {"leak": 4}),
        ("let p = new slot;  with p.m { free p; }", {"lock_misuse": 3}),
        ("let p = new slot;  free p;  with p.m { skip; }", {"use_after_free": 3}),
        ("let p = new slot;  root = p;  free p;  let q = new slot;  assert q == root;  free q;", {"assertion": 4}),
        ("let p = new slot;  root = p;  free p;  assert live(root);", {"assertion": 3}),
        ("let p = new slot;  root = p;  assert live(root);  root = none;  assert !live(root);  free p;", {}),
        ("let p = new slot;  let q = new slot;  let r = new slot;  free p;  free q;  free r;", {"deadlock": 2}),
        ("let p = new slot;  let q = new slot;  let r = new slot else { free p;  free q;  return; }  free r;", {}),
        ("let p = new slot;  p.users = 3;  free p;  let q = new slot;  assert q.users == 1;  free q;", {}),
        ("let p = new slot;  seen = p.users;  halt;", {}),
        ("atomic { let p = new slot;  let q = p;  free p;  q.users = 2; }", {"use_after_free": 1}),
    ],
)
def test_one_thread_alone(body: str, expected: dict[str, int]) -> None:
    """Each fault of a single thread is found at its step, and nothing else is found."""
    depth_of = depths(compiled(model(body)))
    assert {name: d for name, d in depth_of.items() if d is not None} == expected


def test_compared_as_c_compares() -> None:
    """A stale pointer equals a new one exactly if the place was used again, which is a matter of chance."""
    body = "let p = new slot;  root = p;  free p;  let q = new slot;  free q;  seen = q == root ? 1 : 2;"
    text = model(body) + "reachable again: k.seen == 1;  reachable another: k.seen == 2;"
    found = depths(compiled(text))
    assert (found["again"], found["another"]) == (5, 5)


TWO = model(
    "let p = new slot;  root = p;  let q = root;  if q != none { q.users = 2; }  root = none;  free p;",
    "let q = root;  if q == none { return; }  seen = q.users;",
)


def test_a_reader_of_an_unwritten_field_is_still_in_the_way_of_free() -> None:
    """Nobody writes the field after it is published, yet another thread frees the object between two steps."""
    text = model(
        "let p = new slot;  root = p;  root = none;  free p;",
        "let q = root;  if q == none { return; }  seen = q.users;",
    )
    assert depths(compiled(text))["use_after_free"] == 6


def test_a_lock_of_the_object_itself_keeps_it() -> None:
    """Who frees an object whose lock is held is at fault, so what is done under the lock needs no step of its own."""
    guarded = POOL.replace("users : 0..3 = 1;", "users : 0..3 = 1 guarded_by m;")
    text = model(
        "let p = new slot;  root = p;  root = none;  free p;",
        "let q = root;  if q == none { return; }  with q.m { q.users = 2;  root = none;  seen = q.users; }",
        pool=guarded,
    )
    found = depths(compiled(text))
    assert (found["use_after_free"], found["lock_misuse"]) == (6, 6)


def test_a_lock_elsewhere_does_not_keep_it() -> None:
    """The guard of a field is no reason why it cannot be freed, unless who frees holds it as well."""
    guarded = "lock l : mutex;" + POOL.replace("users : 0..3 = 1;", "users : 0..3 = 1 guarded_by l;")
    reader = "let q = root;  if q == none { return; }  with l { seen = q.users; }"
    careless = model("let p = new slot;  root = p;  root = none;  free p;", reader, pool=guarded)
    assert depths(compiled(careless))["use_after_free"] is not None
    before = "with l { let q = root;  if q == none { return; }  seen = q.users; }"
    careful = model("let p = new slot;  with l { root = p; }  with l { root = none;  free p; }", before, pool=guarded)
    assert depths(compiled(careful))["use_after_free"] is None


def test_free_reaches_the_locals_of_other_instances() -> None:
    """A thread marks the copies that others of its class hold, though its own local is dead by then."""
    text = """type vcpu = scalarset(2)
    kernel k {
        object slot[1] { state users : 0..3 = 1; }
        state root : slot? = none;
        init { root = new slot; }
        thread t[v : vcpu] { let p = root;  if p == none { return; }  root = none;  free p; }
    }"""
    assert depths(compiled(text))["double_free"] == 6


def test_bump_reaches_the_locals_of_other_instances() -> None:
    """A thread makes the snapshots of others of its class stale, though its own is dead by then."""
    text = """type vcpu = scalarset(2)
    kernel k {
        state seq : version;
        state missed : bool = false;
        thread t[v : vcpu] { let s = snapshot(seq);  if changed(s) { missed = true; }  bump(seq); }
    }
    reachable goal: k.missed;"""
    assert depths(compiled(text))["goal"] is not None


@pytest.mark.parametrize("text", [TWO, WITH_OBJECTS, model("let p = new slot;  root = p;  free root!;")])
def test_engines_agree(text: str) -> None:
    """Exploration with and without symmetry, bounded search and IC3 give one verdict, the first three one depth."""
    system = compiled(text)
    targets = [p.target for p in system.properties]
    plain = depths(system)
    reduced = explore(system, targets, to_the_end=True).verdicts
    for answers in (reduced, BMC.run(system, targets, Budget(depth=12))):
        for p, a in zip(system.properties, answers, strict=True):
            assert (len(a.run.moves) if isinstance(a, Reached) else None) == plain[p.name], p.name
    for p, a in zip(system.properties, IC3.run(system, targets, Budget()), strict=True):
        assert isinstance(a, Reached | Unreachable), p.name
        assert isinstance(a, Reached) == (plain[p.name] is not None), p.name


@pytest.mark.parametrize("text", [TWO, WITH_OBJECTS, model("let p = new slot;  p.next = p;")])
def test_reductions_change_no_verdict(text: str) -> None:
    """With dead locals kept, or every access a step, the same is found, and with dead locals kept as early."""
    reduced = depths(compiled(text))
    assert depths(compiled(text, dead_locals=False)) == reduced
    slow = depths(compiled(text, merge=False))
    assert {name for name, d in slow.items() if d is not None} == {n for n, d in reduced.items() if d is not None}


def test_places_are_interchangeable() -> None:
    """Symmetry folds the ways in which the places of a pool may be given out."""
    system = compiled(WITH_OBJECTS)
    plain = explore(system, [], symmetry=False, to_the_end=True).states
    folded = explore(system, [], symmetry=True, to_the_end=True).states
    assert folded * 3 < plain


def test_a_model_that_never_ends_says_nothing_of_leaks() -> None:
    """Where the threads are never all done, the family is not put to the test."""
    text = "kernel k { object slot[1] { }  state n : 0..1 = 0;  thread t { loop { n = 1 - n; } } }"
    system = compiled(text)
    leak = next(p for p in system.properties if p.name == "leak")
    assert leak.speaks is not None
    (verdict,) = explore(system, [leak.speaks], to_the_end=True).verdicts
    assert isinstance(verdict, Unreachable)


def test_who_finds_no_place_and_retries_waits_for_a_free() -> None:
    """A turn that found the pool exhausted goes on when a place is given back, and is stuck where none ever is."""
    wait = "loop { let p = new slot else { retry; }  free p;  break; }"
    pool = "object slot[1] { }  state root : slot? = none;  init { root = new slot; }"
    giver = "let p = root;  if p != none { root = none;  free p; }"
    gives = depths(compiled(model(wait, giver, pool=pool) + "reachable goal: finished(k.t0);"))
    assert (gives["deadlock"], gives["goal"]) == (None, 4)
    keeps = depths(compiled(model(wait, pool=pool) + "reachable goal: finished(k.t0);"))
    assert (keeps["deadlock"], keeps["goal"]) == (1, None)


def test_objects_in_records_and_procs() -> None:
    """Pointers go stale in fields of records, and are passed to procs and given back by them."""
    text = """kernel k {
        object slot[2] { state users : 0..3 = 1; }
        type entry = record { who : slot?, since : 0..3 }
        state last : entry = { who = none, since = 0 };
        state some : entry? = none;
        proc make() -> slot { let p = new slot;  p.users = 2;  return p; }
        proc put(p : slot) { if dec_and_test(ref p.users) { free p; } }
        proc one_more(ref n : 0..3) { n += 1; }
        thread t {
            let p = make();
            last = { who = p, since = 1 };
            some = last;
            one_more(ref p.users);
            assert p.users == 3 && live(last.who) && live(some!.who);
            put(p);
            put(p);
            put(p);
            assert !live(last.who) && !live(some!.who);
            assert !exists q in slot : q.users > 0;
        }
    }"""
    assert {name for name, d in depths(compiled(text)).items() if d is not None} == set()


def test_arrays_in_objects() -> None:
    """A field may be an array, and a lock of an object one of several; each goes back to its begin with the object."""
    text = """type gfn = scalarset(2)
    kernel k {
        object slot[1] { state dirty : [gfn] bool = false;  state tags : set of gfn = {};  lock m : [gfn] mutex; }
        thread t {
            choose g : gfn;
            let p = new slot;
            with p.m[g] { p.dirty[g] = true;  p.tags = { g }; }
            assert p.dirty[g] && g in p.tags;
            free p;
            let q = new slot;
            assert !q.dirty[g] && q.tags == {};
            free q;
        }
    }"""
    assert {name for name, d in depths(compiled(text)).items() if d is not None} == set()
