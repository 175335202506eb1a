"""Claims about endless runs: which fairness a model gets, and what each claim comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocheck.engines.fair import run
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.expr import FALSE
from protocheck.ir.system import Act, FairKind, ProgressTarget, RecoverableTarget, System, Wish
from protocheck.lower import compile_system, instantiate
from tests.lower.snippets import compiled, depths, module, states


def live(system: System) -> dict[str, tuple[int, int] | str | None]:
    """For each claim about endless runs (stem, loop) of the shortest violation, None if it holds."""
    found: dict[str, tuple[int, int] | str | None] = {}
    for p in system.properties:
        if isinstance(p.target, ProgressTarget | RecoverableTarget):
            if isinstance(p.target, ProgressTarget) and any(not steps.members for steps in p.target.recurs):
                found[p.name] = "nothing could recur"
                continue
            (verdict,) = run(system, [p.target], Budget())
            match verdict:
                case Reached(lasso):
                    stem = len(lasso.moves) if lasso.loop is None else lasso.loop
                    found[p.name] = (stem, len(lasso.moves) - stem)
                case Unreachable():
                    found[p.name] = None
                case _:
                    raise AssertionError(verdict)
    return found


def judged(text: str, *names: str) -> dict[str, tuple[int, int] | str | None]:
    """What comes of the claims of a model text, restricted to ``names`` if there are any."""
    found = live(compiled(text))
    return {name: found[name] for name in names} if names else found


# --------------------------------------------------------------------------------------------------------------------
# Fairness


FOUR = """kernel k {{ state n : 0..3; lock l : mutex;
    {kind} t {{ loop {{ {body} }} }} thread other {{ with l {{ n = 1; }} n = 2; }} }}"""


@pytest.mark.parametrize(("kind", "rests"), [("server", False), ("environment", True)])
def test_only_environments_may_rest(kind: str, rests: bool) -> None:
    """A server is weakly fair with all of its steps, and so is an environment when it is not at rest."""
    system = compiled(FOUR.format(kind=kind, body="n = 0; n = 1;"))
    weak = [f for f in system.fairness if f.kind is FairKind.WEAK and f.thread == "k.t"]
    assert len(weak) == 1
    assert weak[0].transitions == tuple(n for n, t in enumerate(system.transitions) if t.thread == "k.t")
    assert (weak[0].rest != FALSE) is rests


def test_an_acquire_is_granted_and_a_try_owes_nothing() -> None:
    """Strong fairness is about the transitions by which a blocking acquire takes a lock, and no others."""
    for body, expected in (("with l { n = 0; }", True), ("if try_acquire l { release l; }", False)):
        system = compiled(FOUR.format(kind="server", body=body))
        strong = [f for f in system.fairness if f.kind is FairKind.STRONG and f.thread == "k.t"]
        assert bool(strong) is expected, body
        for n in (n for f in strong for n in f.transitions):
            assert any(e.act is Act.ACQUIRE for e in system.transitions[n].events)


def test_every_branch_of_a_fair_either_is_owed() -> None:
    """One assumption per branch, none for a plain either; the rest of the system is the same."""
    text = FOUR.format(kind="server", body="FAIR either { n = 0; } or { n = 1; } or { n = 2; }")
    text, with_fair = text.replace("FAIR ", ""), text.replace("FAIR", "fair")
    plain, fair = compiled(text), compiled(with_fair)
    assert [f.kind for f in plain.fairness if f.kind is FairKind.STRONG and f.thread == "k.t"] == []
    branches = [f for f in fair.fairness if f.kind is FairKind.STRONG and f.thread == "k.t"]
    assert [len(f.transitions) for f in branches] == [1, 1, 1]
    assert len({f.transitions for f in branches}) == 3
    assert states(text) == states(with_fair)
    assert len(plain.transitions) == len(fair.transitions)


def test_a_fair_retry_answers_itself() -> None:
    """Its trigger are the steps of `retry`; what answers are those that end a turn otherwise."""
    text = "kernel k {{ state n : 0..1; thread t {{ loop {{ choose c : bool; n = 0; if c {{ break; }} {} }} }} }}"
    system = compiled(text.format("fair retry;"))
    (fair,) = [f for f in system.fairness if f.trigger]
    assert {system.transitions[n].text for n in fair.trigger} == {"fair retry"}
    assert not set(fair.trigger) & set(fair.transitions)
    assert [f for f in compiled(text.format("retry;")).fairness if f.trigger] == []


def test_a_fair_retry_waits_for_what_a_retry_waits_for() -> None:
    """The word removes no run: a turn of several steps remembers what it read, and that it resolved a choice."""
    reads = """kernel k {{ state go : bool; state n : 0..1; op look() -> bool {{ return go; }}
        thread t {{ loop {{ let seen = look(); if seen {{ break; }} let m = n; {} }} }}
        thread u {{ go = true; n = 1; }} }}"""
    chooses = """kernel k {{ state large : bool = true; op look() -> bool {{ return large; }}
        op split() -> bool {{ either {{ large = false; return true; }} or {{ return false; }} }}
        thread t {{ loop {{ if !look() {{ break; }} if split() {{ break; }} {} }} }}
        thread u {{ loop {{ if !look() {{ break; }} retry; }} }} }}"""
    for text in (reads, chooses):
        assert states(text.format("fair retry;")) == states(text.format("retry;"))
        assert judged(text.format("fair retry;") + " recoverable done: finished(k.t);")["done"] is None


# --------------------------------------------------------------------------------------------------------------------
# Claims


def test_leads_to_is_violated_by_standing_still() -> None:
    """A run that ends without what it should lead to stands still for ever, after as many steps as a `final` needs."""
    text = "kernel k { state n : 0..2; thread t { n = 1; n = 2; } } progress up: k.n == {} leads_to k.n == {};"
    text = text.replace("{ ", "{{ ").replace(" }", " }}")
    assert judged(text.format(1, 2), "up") == {"up": None}
    assert judged(text.format(2, 1), "up") == {"up": (3, 0)}
    assert judged(text.format(0, 0), "up") == {"up": None}


def test_progress_without_leads_to_means_again_and_again() -> None:
    """It is the same as `true leads_to`, and `reached once` is not enough."""
    text = "kernel k { state n : 0..1; thread t { n = 1; n = 0; } } progress p: k.n == 1;"
    text += " progress q: true leads_to k.n == 1;"
    assert judged(text, "p", "q") == {"p": (3, 0), "q": (3, 0)}
    again = text.replace("thread t { n = 1; n = 0; }", "server t { loop { n = 1; n = 0; } }")
    assert judged(again, "p", "q") == {"p": None, "q": None}


def test_a_rigid_name_is_one_value_for_the_whole_run() -> None:
    """Everybody's own cell becomes true, and the claim for each is not that of anybody."""
    text = """type g = scalarset(gs in 1..3 = 2)
        kernel k {{ state x : [g] bool; server t {{ loop {{ choose i : g {}; x[i] = true; x[i] = false; }} }} }}
        progress each: k.x[i] for i in g; progress some: exists i in g : k.x[i];"""
    assert judged(text.format(""), "each", "some") == {"each": (0, 3), "some": None}
    where = text.replace("for i in g;", "for i in g where i == A;").replace("= 2)", "= 2) with A")
    assert judged(where.format("where i == A"), "each") == {"each": None}


def test_a_thread_that_never_gets_its_turn_is_excluded_by_weak_fairness_alone() -> None:
    """Without any fairness the same claim is violated at once."""
    system = compiled("kernel k { state a : bool; server t { loop { a = !a; } } thread u { a = true; } } "
                      "progress end: finished(k.u);")  # fmt: skip
    assert live(system)["end"] is None
    assert live(replace(system, fairness=()))["end"] == (0, 0)


def test_a_halt_reaches_everything() -> None:
    """What was pending when the run was halted is no violation; a crash is one of its own family only."""
    text = "kernel k {{ state n : 0..2; thread t {{ n = 1; {} }} }} progress up: k.n == 1 leads_to k.n == 2;"
    assert judged(text.format("halt;"), "up") == {"up": None}
    assert judged(text.format(""), "up") == {"up": (2, 0)}


def test_recoverable_asks_for_a_way_and_not_for_luck() -> None:
    """A choice that may never be made is a way; a state behind which there is none is a violation."""
    text = "kernel k {{ state n : 0..2; thread t {{ loop {{ either {{ n = 0; }} or {{ n = 1; }} {} }} }} }}\n"
    text += "recoverable low: k.n == 0; progress low_again: k.n == 0;"
    assert judged(text.format(""), "low", "low_again") == {"low": None, "low_again": (1, 2)}
    assert judged(text.format("or { n = 2; break; }"), "low") == {"low": (1, 0)}


# --------------------------------------------------------------------------------------------------------------------
# Every proc finishes


FINISH = """kernel k {{ state x : bool; state y : bool; lock l : mutex;
    proc p() {{ {} }}
    {} t {{ {} }}
    thread u {{ x = true; }} }}
    every k.p finishes;"""


def test_a_proc_is_begun_by_its_first_step() -> None:
    """Who stands before it at rest has not begun; who must go on has, and so has who waits for its lock."""
    never = "await y && !x;"
    assert judged(FINISH.format("y = true; y = false;", "environment", "loop { p(); }"), "k.p") == {"k.p": None}
    assert judged(FINISH.format(never, "environment", "loop { p(); }"), "k.p") == {"k.p": None}
    assert judged(FINISH.format(never, "thread", "p();"), "k.p") == {"k.p": (2, 0)}
    assert judged(FINISH.format(never, "thread", "either { p(); } or { await x; }"), "k.p") == {"k.p": None}
    assert judged(FINISH.format("x = false; " + never, "environment", "loop { p(); }"), "k.p") == {"k.p": (3, 0)}
    waits = FINISH.replace("thread u {{ x = true; }}", "thread u {{ acquire l; await y; }}")
    assert judged(waits.format("with l { y = true; }", "environment", "loop { p(); }"), "k.p") == {"k.p": (2, 0)}


def test_a_proc_that_retries_is_not_finished_by_a_turn() -> None:
    """The first step of a second turn is no new beginning and no end."""
    turn = "loop { y = false; if x { return; } retry; }"
    assert judged(FINISH.format(turn, "thread", "p();"), "k.p") == {"k.p": None}
    assert judged(FINISH.format(turn.replace("if x", "if y"), "thread", "p();"), "k.p")["k.p"] is not None


def test_a_proc_that_may_be_left_is_not_left() -> None:
    """A loop in it that could end by choice at each turn, and never does."""
    turns = "y = true; loop { either { y = !y; } or { break; } }"
    assert judged(FINISH.format(turns, "thread", "p(); y = false;"), "k.p")["k.p"] is not None
    turns = turns.replace("either", "fair either")
    assert judged(FINISH.format(turns, "thread", "p(); y = false;"), "k.p")["k.p"] is None


def test_a_proc_called_again_and_again_finishes_each_time() -> None:
    """Leaving it counts, although the next call begins at once."""
    assert judged(FINISH.format("y = true;", "server", "loop { p(); }"), "k.p") == {"k.p": None}
    assert judged(FINISH.format("y = true;", "server", "loop { p(); p(); }"), "k.p") == {"k.p": None}


def test_a_claim_of_a_proc_is_about_every_thread_that_calls_it() -> None:
    """Two classes, of which one gets stuck in it: the rigid parameters tell which."""
    text = """kernel k { state x : bool; state y : bool;
        proc p(b : bool) { x = true; await b || y; }
        thread one[i : 0..1] { p(i == 0); } thread two { p(true); } }
        every k.p finishes;"""
    system = compiled(text)
    target = next(p.target for p in system.properties if p.name == "k.p")
    assert isinstance(target, ProgressTarget)
    (verdict,) = run(system, [target], Budget())
    assert isinstance(verdict, Reached)
    assert [p.name.split("%")[0] for p in target.params] == ["thread", "i"]
    assert verdict.run.rigid == (0, 1)


def test_the_boundary_before_a_proc_adds_no_step() -> None:
    """Depths of other claims are the same with and without a claim that the proc finishes."""
    text = FINISH.format("y = true; y = false; if x { return; } y = true;", "thread", "p(); x = false; p();")
    text += " reachable goal: finished(k.t) && finished(k.u) && !k.x;"
    plain = text.replace("every k.p finishes;", "")
    with_it, without = compiled(text), compiled(plain)
    kept = [p for p in with_it.properties if not isinstance(p.target, ProgressTarget | RecoverableTarget)]
    assert depths(replace(with_it, properties=tuple(kept))) == depths(without)


def test_a_claim_whose_beginning_never_comes_says_what_it_speaks_of() -> None:
    """`speaks` of a claim are the pending states: none for a proc that nobody calls."""
    system = compiled(FINISH.format("y = true;", "thread", "skip;"))
    (p,) = [p for p in system.properties if p.name == "k.p"]
    assert (p.wish, p.kind, p.family) == (Wish.NEVER, "progress", "progress")
    assert p.speaks is not None
    assert p.speaks.cases[0].cond == FALSE


# --------------------------------------------------------------------------------------------------------------------
# Livelock and starvation


def test_the_families_are_judged_where_somebody_names_them() -> None:
    """In a model without claims of progress, `livelock` alone if a scenario names it alone, and both if one claims."""
    plain = "kernel k { state n : 0..1; thread t { n = 1; } } "
    names = {"livelock", "starvation"}

    def has(text: str, *also: str) -> set[str]:
        found = module(text)
        scenario = next(iter(found.scenarios), None)
        system = compile_system(found, instantiate(found, scenario), also=also)
        return {p.name for p in system.properties} & names

    assert has(plain) == set()
    assert has(plain, "starvation") == {"starvation"}
    assert has(plain + "scenario s { expect livelock holds; }") == {"livelock"}
    assert has(plain + "check starvation;") == {"starvation"}
    assert has(plain + "recoverable r: k.n == 1;") == names
    assert has(plain + "progress r: k.n == 1;") == names


BACKOFF = """kernel k {{ lock a : flag; lock b : flag;
    server one {{ loop {{ loop {{ if try_acquire a {{ if try_acquire b {{ break; }} release a; }} {0}; }}
        release b; release a; }} }}
    server two {{ loop {{ loop {{ if try_acquire {1} {{ if try_acquire {2} {{ break; }} release {1}; }} {0}; }}
        release a; release b; }} }} }}
    scenario s {{ expect livelock any, starvation any; }}"""


def test_two_that_back_off_from_each_other_live_and_lock() -> None:
    """In opposite orders both can retry for ever; in one order somebody always wins, yet the other may starve."""
    opposite = judged(BACKOFF.format("retry", "b", "a"))
    same = judged(BACKOFF.format("retry", "a", "b"))
    assert opposite["livelock"] is not None
    assert (same["livelock"], same["starvation"] is not None) == (None, True)


def test_a_fair_retry_ends_a_livelock() -> None:
    """The same code, whose author claims that not every turn ends in `retry`."""
    assert judged(BACKOFF.format("fair retry", "b", "a"))["livelock"] is None


def test_no_livelock_without_a_retry() -> None:
    """Nothing could recur, whatever else loops."""
    text = "kernel k { state n : 0..1; server t { loop { n = 0; n = 1; } } } scenario s { expect livelock holds; }"
    assert judged(text, "livelock") == {"livelock": "nothing could recur"}


def test_an_idle_server_does_not_starve_and_a_waiting_one_does() -> None:
    """What comes and goes need not be seen; who waits idle for it is not said to starve."""
    text = """kernel k {{ state x : bool; server t {{ loop {{ await x{}; x = false; }} }}
        server u {{ loop {{ x = true; x = false; }} }} }} scenario s {{ expect starvation any; }}"""
    assert judged(text.format(" idle"), "starvation") == {"starvation": None}
    assert judged(text.format(""), "starvation")["starvation"] is not None


def test_an_environment_at_rest_does_not_starve() -> None:
    """Only one that has begun a turn can."""
    text = """kernel k {{ state x : bool; state y : bool; environment t {{ loop {{ {} await x; x = false; }} }}
        server u {{ loop {{ y = false; y = true; }} }} }} scenario s {{ expect starvation any; }}"""
    assert judged(text.format(""), "starvation") == {"starvation": None}
    assert judged(text.format("y = true;"), "starvation")["starvation"] is not None


def test_an_interrupt_that_is_served_is_no_livelock() -> None:
    """Its end is the end of a turn, however little the interrupted thread gets done."""
    text = """type cpu = scalarset(cpus in 1..2 = 1)
        kernel k {{ state x : bool; state y : bool; interrupt tick on cpu {{ y = !y; }}
        server t {{ loop {{ loop {{ if x {{ break; }} {} retry; }} }} }} }} scenario s {{ expect livelock any; }}"""
    assert judged(text.format(""), "livelock")["livelock"] is None
    assert judged(text.format("x = false;"), "livelock")["livelock"] is not None


def test_who_is_at_ease_later_on_does_not_starve() -> None:
    """A server that ends up in an idle wait, and a thread that is stopped, are kept from nothing; a spinning one is."""
    rest = "environment others { loop { y = true;  y = false; } }"
    text = "kernel k { state x : bool; state y : bool; state z : bool; " + rest + " %s }"
    text += " scenario s { expect starvation any; }"
    idle = "server s { loop { await !x idle;  x = true;  await z idle; } }"
    stopped = "thread t { loop { if z { break; }  retry; } } thread kill { stop t; }"
    kept = "thread t { loop { await x;  break; } } thread other { z = x;  x = z; }"
    assert judged(text % idle, "starvation")["starvation"] is None
    assert judged(text % stopped, "starvation")["starvation"] is None
    assert isinstance(judged(text % kept, "starvation")["starvation"], tuple)


def test_a_thread_that_is_stopped_in_a_proc_has_finished_as_far_as_it_can() -> None:
    """``every P finishes`` says nothing of threads that are stopped inside; of those that wait for ever it does."""
    text = """kernel k { state x : bool = false; state y : bool = false; proc p() { x = true;  await y; }
        thread t { p(); } thread kill { await x;  %s } thread set { y = y; } } progress finishes: every k.p finishes;"""
    assert judged(text % "stop t;")["finishes"] is None
    assert isinstance(judged(text % "skip;")["finishes"], tuple)
