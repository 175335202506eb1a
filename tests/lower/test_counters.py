"""Counters with a window: what `behind` says, and when a snapshot is too old to say anything."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from protocheck.engines import bmc, ic3
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.ir.system import Target
from tests.lower.snippets import compiled, depth, depths, states


@pytest.mark.parametrize("seed", range(12))
def test_a_counter_is_a_number_that_grows(seed: int) -> None:
    """A random program of bumps, snapshots, copies and questions gives what unbounded integers give, and violates
    `range` exactly where a difference exceeds the window."""
    random = Random(seed)
    window, now, code = random.randint(1, 3), 0, []
    seen: list[int | None] = [None, None]
    goal: list[str] = []
    for n in range(random.randint(4, 12)):
        i = random.randrange(2)
        match random.choice(("bump", "bump", "bump", "take", "take", "copy", "drop", "ask", "changed", "reset")):
            case "bump":
                now += 1
                code.append("bump(c);")
            case "take":
                seen[i] = now
                code.append(f"s{i} = snapshot(c);")
            case "copy":
                seen[i] = seen[1 - i]
                code.append(f"s{i} = s{1 - i};")
            case "drop":
                seen[i] = None
                code.append(f"s{i} = stale;")
            case "reset":
                seen = [None, None]
                code.append("reset(c);")
            case "changed":
                goal.append(f"k.a[{n}] == {int(seen[i] is None or seen[i] != now)}")
                code.append(f"a[{n}] = changed(s{i}) ? 1 : 0;")
            case _:
                at = seen[i]
                code.append(f"a[{n}] = behind(s{i});")
                if at is None or now - at > window:
                    goal = ["false"]
                    break
                goal.append(f"k.a[{n}] == {now - at}")
    for local in (False, True):
        kept = " ".join(f"{'var' if local else 'state'} s{i} : snapshot of c = stale;" for i in range(2))
        found = depths(
            compiled(
                f"kernel k {{ state c : counter(window {window}); state a : [0..15] 0..3 = 0; {'' if local else kept}"
                f" thread t {{ {kept if local else ''} {' '.join(code)} }} }}"
                f" reachable end: finished(k.t) && {' && '.join(goal) or 'true'};"
            )
        )
        assert (found["end"] is None) == (found["range"] is not None) == (goal == ["false"]), code


EPOCH = """type cpu = scalarset(2) kernel k {{ {state}
    op enter(c : cpu) {{ {take} }} op track() {{ {track} }}
    thread run[c : cpu] {{ loop {{ enter(c); }} }} thread bump_it {{ loop {{ track(); }} }} }}
    reachable apart: exists a in cpu, b in cpu : {a} == 0 && {b} == 2;
    reachable both: forall a in cpu : {a} == 2;
    always invariant never: !exists a in cpu, b in cpu : {a} == 1 && {b} == 3;"""


def test_a_counter_is_its_differences_written_out() -> None:
    """The same protocol with a number per CPU, capped by hand, has the same depths and as many states."""
    counter = EPOCH.format(
        state="state e : counter(window 2); state s : [cpu] snapshot of e = stale;",
        take="s[c] = snapshot(e);", track="bump(e);", a="behind(k.s[a])", b="behind(k.s[b])",
    )  # fmt: skip
    numbers = EPOCH.format(
        state="state s : [cpu] 0..3 = 3;", take="s[c] = 0;", track="for c in cpu { s[c] = min(s[c] + 1, 3); }",
        a="k.s[a]", b="k.s[b]",
    )  # fmt: skip
    assert depths(compiled(counter)) == depths(compiled(numbers))
    assert states(counter) == states(numbers)


def test_engines_agree_on_counters() -> None:
    """Explicit search, bounded search and IC3 give the same verdict for every claim."""
    text = EPOCH.format(
        state="state e : counter(window 2); state s : [cpu] snapshot of e = stale;",
        take="s[c] = snapshot(e);", track="bump(e);", a="behind(k.s[a])", b="behind(k.s[b])",
    )  # fmt: skip
    system = compiled(text)
    known = depths(system)
    chosen = [p for p in system.properties if isinstance(p.target, Target)]
    targets = [p.target for p in chosen]
    answers = zip(bmc.run(system, targets, Budget(depth=8)), ic3.run(system, targets, Budget()), strict=True)
    for p, (shallow, proved) in zip(chosen, answers, strict=True):
        if known[p.name] is None:
            assert not isinstance(shallow, Reached)
            assert isinstance(proved, Unreachable)
        else:
            assert isinstance(shallow, Reached)
            assert len(shallow.run.moves) == known[p.name]
            assert isinstance(proved, Reached)


def test_arrays_of_counters_keep_the_index_with_the_snapshot() -> None:
    """A bump of one counter ages the snapshots of that one only."""
    text = """type g = 0..1 kernel k { state e : [g] counter(window 1); state s : [g] snapshot of e = stale;
        thread t { for i in 0 ..< 2 { s[i] = snapshot(e[i]); } bump(e[1]); done: skip; } }
        reachable right: behind(k.s[0]) == 0 && behind(k.s[1]) == 1;
        reachable wrong: behind(k.s[0]) == 1;"""
    found = depths(compiled(text))
    assert found["right"] is not None
    assert found["wrong"] is None


def test_a_window_may_depend_on_a_parameter() -> None:
    """The window is a constant of the instance."""
    for window, bumps in product((1, 2, 3), (1, 2, 3, 4)):
        text = f"""param w : 1..3 = {window} kernel k {{ state e : counter(window w); state n : 0..3 = 0;
            thread t {{ let s = snapshot(e); {"bump(e);" * bumps} n = behind(s); }} }}"""
        assert (depth(text, "range") is None) == (bumps <= window)


def test_a_snapshot_of_a_contended_counter_is_asked_in_a_step_of_its_own() -> None:
    """snapshot, behind, store: three steps and the end; with the counter to itself the question is none."""
    text = """kernel k {{ state e : counter(window 3); state n : 0..3 = 0; state m : 0..3 = 0;
        thread t {{ let s = snapshot(e); m = behind(s); }} {} }} reachable end: finished(k.t);"""
    alone = depth(text.format(""), "end")
    shared = depth(text.format("environment u { loop { bump(e); } }"), "end")
    assert (alone, shared) == (2, 3)


def test_a_retry_that_asked_a_counter_waits_for_a_bump() -> None:
    """The turn goes on when the counter is bumped, and not before."""
    text = """kernel k {{ state e : counter(window 2); state go : bool; thread t {{ let s = snapshot(e); go = true;
        loop {{ if behind(s) == 2 {{ break; }} retry; }} }} thread u {{ await go; {} }} }}
        reachable end: finished(k.t);"""
    twice, once = (depths(compiled(text.format(code))) for code in ("bump(e); bump(e);", "bump(e);"))
    assert (twice["deadlock"], twice["end"] is None) == (None, False)
    assert (once["deadlock"] is None, once["end"]) == (False, None)
