"""``protocheck explain-run``: what a run depends on, of models of which that is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from protocheck import cli
from protocheck.check import check_file, check_scenario
from protocheck.diagnostics import ModelError
from protocheck.engines.verdict import Run
from protocheck.explain_run import Explanation, Kind, explain_run
from protocheck.findings import word
from protocheck.ir.interp import enabled
from protocheck.ir.system import ProgressTarget, System
from protocheck.ir.uninterrupted import uninterrupted, without
from protocheck.lower import compile_system, instantiate
from protocheck.simulate import Session
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.traces.essential import essential
from protocheck.traces.lasso import replay_lasso
from protocheck.traces.trace import trace_of_finding
from protocheck.types.check import check, library_loader
from protocheck.types.tree import CheckedModule
from tests.lower.snippets import reachable_states

TICKETS = """\
protocol tickets
type clerk = scalarset(clerks in 1..3 = 2)
param tone : 0..1 = 0;
type mood = enum { calm, hasty }
param how : mood = hasty;
hypervisor office {
    lock counter : mutex;
    state sold : 0..3 = 0;
    state noise : 0..1 = 0;
    thread sell[c : clerk] {
        noise = tone;
        let seen = sold;
        if how == calm { acquire counter;  sold = sold + 1;  release counter; }
        else { sold = seen + 1; }
    }
    variant in_one of thread sell[c : clerk] { atomic { sold = sold + 1; } }
}
final every_sale_counts: office.sold == clerks;
scenario now { expect every_sale_counts violated; }
"""


def load(text: str) -> CheckedModule:
    """The module of a model given as text."""
    return check(parse(SourceFile("m.pchk", text)), library_loader(Path()))


def explained(text: str, prop: str, scenario: str = "now") -> Explanation:
    """The shortest run behind ``prop``, explained."""
    module = load(text)
    report = check_scenario(module, scenario, properties=(prop,))
    (finding,) = (f for f in report.findings if f.name == prop)
    trace = trace_of_finding(report.system, finding)
    assert trace is not None
    return explain_run(module, scenario, prop, trace, dict(report.settings))


def test_settings_are_answered_one_by_one() -> None:
    """One clerk, a calm one and an atomic sale are safe; a third clerk and the tone change nothing."""
    found = explained(TICKETS, "every_sale_counts")
    assert {s.what: s.answer.kind for s in found.settings} == {
        "with tone = 1 instead of 0": Kind.THERE,
        "with how = calm instead of hasty": Kind.ABSENT,
        "with clerks = 1 instead of 2": Kind.ABSENT,
        "with clerks = 3 instead of 2": Kind.THERE,
        "with in_one": Kind.ABSENT,
    }
    assert [(s.name, s.value, s.smallest) for s in found.sizes] == [("clerks", 2, 2), ("tone", 0, 0)]


def test_the_switch_that_matters_is_named() -> None:
    """Of the places where a clerk is interrupted only that between looking and counting matters."""
    found = explained(TICKETS, "every_sale_counts")
    kinds = {s.lines: s.answer.kind for s in found.switches}
    assert kinds[(12, 14)] is Kind.ABSENT
    assert all(kind is Kind.THERE for lines, kind in kinds.items() if lines != (12, 14))


def test_a_larger_run_is_traced_to_the_smallest_sizes() -> None:
    """At three clerks the run exists from two clerks on."""
    module = load(TICKETS)
    report = check_scenario(module, "now", settings={"clerks": "3"})
    trace = trace_of_finding(report.system, report.findings[0])
    assert trace is not None
    found = explain_run(module, "now", "every_sale_counts", trace, {"clerks": "3"})
    assert [(s.name, s.value, s.smallest) for s in found.sizes] == [("clerks", 3, 2), ("tone", 0, 0)]


SECTIONS = """\
protocol sections
hypervisor k {
    state x : 0..7 = 0;
    state y : 0..7 = 0;
    state mixed : bool = false;
    thread a { let s = x;  OPEN x = s + 1;  y = 1; CLOSE }
    thread b { let t = x;  let u = y;  mixed = t != u;  x = t + 1; }
}
final done: k.x == 2;
scenario now { expect done any; }
"""


def ends(system: System) -> set[tuple[int, ...]]:
    """The values of the declared variables in the states in which nothing moves any more."""
    states = {s for s in reachable_states(system) if not list(enabled(system, s))}
    cells = [("k.x", ()), ("k.y", ()), ("k.mixed", ())]
    return {tuple(s[cell] for cell in cells) for s in states}


def test_not_interrupted_is_as_one_step() -> None:
    """A thread that is not interrupted leads to the ends to which its code leads if it is atomic, and not to others."""
    plain, atomic = (
        compile_system(m, instantiate(m, "now"))
        for m in (
            load(SECTIONS.replace("OPEN ", "").replace(" CLOSE", "")),
            load(SECTIONS.replace("OPEN ", "atomic { ").replace(" CLOSE", " }")),
        )
    )
    (between,) = (t.target for t in plain.transitions if t.thread == "k.a" and t.text.startswith("x ="))
    assert ends(uninterrupted(plain, {"k.a": [between]})) == ends(atomic)
    assert ends(atomic) < ends(plain)


def test_nobody_is_kept_from_moving_for_ever() -> None:
    """Two threads of a class at such a place do not keep each other from going on."""
    module = load(TICKETS)
    system = compile_system(module, instantiate(module, "now"))
    places = {"office.sell": [n.number for n in system.threads[0].locations if n.number]}
    quiet = uninterrupted(system, places)
    states = reachable_states(quiet)
    assert all(list(enabled(quiet, s)) or not list(enabled(system, s)) for s in states)
    assert 5 < len(states) < len(reachable_states(system))


WANDERING = """\
protocol wandering
hypervisor k {
    state lamp : bool = false;
    state x : 0..3 = 0;
    state y : 0..3 = 0;
    environment blink { loop { lamp = !lamp; } }
    thread up { x = 1;  y = 1; }
    thread other { x = 2; }
}
invariant small: k.y == 0;
scenario now { expect small violated; }
"""


def test_what_a_run_does_beside_is_left_out() -> None:
    """Rounds of another thread are not needed, nor a thread that ends early, nor the first assignment's effect."""
    module = load(WANDERING)
    system = compile_system(module, instantiate(module, "now"))
    session = Session(system)
    for words in ("k.blink", "k.blink", "k.up", "k.other", "k.blink", "k.up"):
        session.take(next(o.move for o in session.options(20) if o.step.thread == words))
    (target,) = (p.target for p in system.properties if p.name == "small")
    moves = session.evidence().run.moves
    found = essential(system, target, Run(session.evidence().run.init, moves))  # type: ignore[arg-type]
    assert found is not None
    assert found.kept == (3, 6)
    assert found.idle == (3,)
    assert {k: w.stuck for k, w in found.weights.items()} == {6: None}


def test_a_step_that_nobody_takes() -> None:
    """Without the transition that changes ``y`` its claim holds, without any other it does not."""
    module = load(WANDERING)
    system = compile_system(module, instantiate(module, "now"))
    reached = {
        t.text: any(s.values[s.where["k.y", ()]] for s in reachable_states(without(system, [n])))
        for n, t in enumerate(system.transitions)
    }
    assert {text for text, still in reached.items() if not still} == {"x = 1", "y = 1"}
    assert len(reached) > 3


DESKS = """\
protocol desks
hypervisor bank {
    lock front : mutex;
    lock back : mutex;
    lock vault : mutex;
    thread serve { acquire front; acquire back;  release back;  release front; }
    thread tally { acquire back;  acquire front; release front; release back; }
    thread audit { acquire vault; acquire front; release front; release vault; }
    thread store { acquire front; acquire vault; release vault; release front; }
}
scenario now { expect deadlock violated; expect lock_order violated; }
"""


def test_another_deadlock_is_told_apart() -> None:
    """Where the deadlock of the run is excluded and another remains, that is said with those who wait in it."""
    found = explained(DESKS, "deadlock")
    passing = {m.number: m.passing for m in found.moves if m.passing is not None}
    assert {a.other for a in passing.values()} == {
        "by another deadlock: bank.audit waits for front, bank.store waits for vault"
    }
    assert all(m.needed for m in found.moves)


ONE_CYCLE = """\
protocol abba
hypervisor k {
    lock a : mutex;
    lock b : mutex;
    state n : 0..2 = 0;
    thread one { with a { with b { n = 1; } } }
    thread two { with b { with a { n = 2; } } }
}
reachable second: k.n == 2;
scenario now { expect deadlock violated; expect lock_order violated; }
"""


def test_changes_of_code_that_stop_it_are_told_with_what_they_cost() -> None:
    """Leaving out any of the four locks ends the deadlock; nothing else is lost."""
    found = explained(ONE_CYCLE, "deadlock")
    assert [(e.kind, e.place.line, e.what, e.answer.kind, e.loses) for e in found.edits] == [
        ("drop a lock", 6, "k.a", Kind.ABSENT, ()),
        ("drop a lock", 6, "k.b", Kind.ABSENT, ()),
        ("drop a lock", 7, "k.b", Kind.ABSENT, ()),
        ("drop a lock", 7, "k.a", Kind.ABSENT, ()),
    ]
    # Not to be interrupted is no help to who comes to wait: the other has its first lock already.
    assert [s.answer.kind for s in found.switches] == [Kind.THERE]


LASSO = """\
protocol taken
hypervisor k {
    state taken : bool;
    server p[me : 0..1] {
        loop {
            wanting: atomic { await !taken;  taken = true; }
            inside: taken = false;
        }
    }
    variant calm of server p[me : 0..1] { loop { wanting: taken = true;  inside: taken = false; } }
}
progress served: at(k.p[0], wanting) leads_to at(k.p[0], inside);
scenario now { expect served violated; }
"""


def test_the_steps_of_a_run_without_an_end_are_weighed() -> None:
    """All three are needed, each for its reason; without the first nobody moves any more, which is another run."""
    found = explained(LASSO, "served")
    assert [(s.what, s.answer.kind) for s in found.settings] == [("with calm", Kind.ABSENT)]
    assert (found.steps, found.loop, found.notes) == (3, 0, ())
    assert [(m.needed, m.effect, m.again) for m in found.moves] == [
        (True, "without what it changes the loop is not fair to k.p[0]", None),
        (True, "without what it changes the loop does not close", None),
        (True, "else the loop is not fair to k.p[0]", None),
    ]
    passing = [m.passing for m in found.moves]
    assert [p is None for p in passing] == [False, True, True]
    assert passing[0] is not None
    assert passing[0].text == "still violated, 0 steps, but then nothing moves any more"


TWO_WAYS = """\
protocol two_ways
param polite : bool = false;
hypervisor k {
    state a : 0..1 = 0;
    state way : 0..2 = 0;
    state other : 0..1 = 0;
    thread t {
        loop {
            if a == 1 { break; }
            either { way = 1; } or { way = 2; }
            if polite { a = 1; }
        }
    }
    server clock { loop { other = 1 - other; } }
}
reachable r: k.way == 2 && k.other == 1;
progress comes: finished(k.t);
scenario now { expect comes violated; }
"""


def test_what_every_endless_run_does_again_and_again_is_told() -> None:
    """Looking and going round; of two ways either will do. What only fairness asks for is told apart."""
    found = explained(TWO_WAYS, "comes")
    assert [(s.what, s.answer.kind) for s in found.settings] == [("with polite = true instead of false", Kind.ABSENT)]
    assert found.loop == 1
    told = {(m.thread, m.text): m.again.kind for m in found.moves if m.again is not None}
    assert {text: kind for (thread, text), kind in told.items() if thread == "k.t"} == {
        "way = 1": Kind.THERE, "next turn": Kind.ABSENT,
    }
    owed = {m.effect for m in found.moves if m.text == "next turn"}
    assert owed == {"else the loop is not fair to k.t", "else the loop is not fair to k.clock"}


def doubled(module: CheckedModule, prop: str) -> tuple[System, ProgressTarget, Run]:
    """The run behind ``prop``, with its loop once more in front of it and twice in it."""
    report = check_scenario(module, "now", properties=(prop,))
    (finding,) = (f for f in report.findings if f.name == prop)
    assert finding.evidence is not None
    run, target = finding.evidence.run, finding.evidence.target
    assert isinstance(target, ProgressTarget)
    assert report.system is not None
    assert run.loop is not None
    turn = run.moves[run.loop :]
    return report.system, target, replace(run, moves=run.moves + 2 * turn, loop=len(run.moves))


@pytest.mark.parametrize(("text", "prop"), [(LASSO, "served"), (TWO_WAYS, "comes"), (LASSO, "starvation")])
def test_rounds_of_a_loop_that_are_too_many_can_be_left_out(text: str, prop: str) -> None:
    """What is left is as long as the shortest run, has a loop, and violates the claim; it cannot lose another step."""
    system, target, run = doubled(load(text), prop)
    replay_lasso(system, target, run)
    found = essential(system, target, run)
    assert found is not None
    assert run.loop is not None
    turn = (len(run.moves) - run.loop) // 2
    assert len(found.kept) == run.loop
    left = replace(
        run, moves=tuple(run.moves[k - 1] for k in found.kept), loop=sum(k <= run.loop for k in found.kept)
    )
    replay_lasso(system, target, left)
    assert len(left.moves) - (left.loop or 0) == turn
    again = essential(system, target, left)
    assert again is not None
    assert again.kept == tuple(range(1, len(left.moves) + 1))


LOOKS_TWICE = """\
protocol looks_twice
hypervisor k {
    state x : bool = false;
    thread t {
        loop {
            let seen = x;
            if x == seen { break; }
        }
    }
    server flip { loop { x = true;  x = false; } }
}
progress steady: finished(k.t);
scenario now { expect steady violated; }
"""


def test_a_loop_that_needs_an_interruption_says_where() -> None:
    """Whoever looks twice and sees another value each time is interrupted between the two looks, and only there."""
    found = explained(LOOKS_TWICE, "steady")
    assert found.loop is not None
    kinds = {(s.thread, s.lines): s.answer.kind for s in found.switches}
    assert kinds.pop(("k.t", (6, 7))) is Kind.ABSENT
    assert kinds
    assert set(kinds.values()) == {Kind.THERE}
    assert any(s.until <= s.after for s in found.switches)
    looks = [m.again for m in found.moves if m.thread == "k.t"]
    assert [a.kind for a in looks if a is not None] == [Kind.ABSENT] * len(looks)
    owed = [m.effect for m in found.moves if m.thread == "k.flip"]
    assert "what it changes is needed by" in " ".join(owed)


LOST = """\
protocol lost
hypervisor k {
    state fuse : bool = true;
    state noise : 0..1 = 0;
    state lit : bool = false;
    thread blow { noise = 1;  fuse = false; }
    server light { loop { await fuse idle;  lit = !lit; } }
}
recoverable lit: k.lit;
scenario now { expect lit violated; }
"""


def test_a_run_to_where_there_is_no_way_back_is_weighed() -> None:
    """The fuse is needed for the end, the noise before it is not."""
    found = explained(LOST, "lit")
    effects = {m.text: m.effect for m in found.moves}
    assert effects["fuse = false"] == "what it changes is needed for the end"
    assert "noise = 1" not in effects or effects["noise = 1"] == "what it changes does not matter"
    assert found.notes == ()


AGAINST = """\
protocol against
order k.a -> k.b;
hypervisor k {
    lock a : mutex;
    lock b : mutex;
    state n : 0..3 = 0;
    thread one { n = 1;  n = 2;  with b { with a { n = 3; } } }
}
reachable r: k.n == 3;
scenario now { expect lock_order violated; }
"""


def test_a_run_against_an_order_of_locks_is_weighed() -> None:
    """It ends where the second lock is wanted; what was counted before does not matter."""
    found = explained(AGAINST, "lock_order")
    assert found.notes == ()
    assert found.moves[-1].effect.startswith("takes k.b") or found.moves[-1].effect.startswith("takes b")
    assert [m.effect for m in found.moves if m.text.startswith("n = ")] == ["what it changes does not matter"] * 2


def test_a_loop_that_is_none_any_more_is_refused() -> None:
    """The same steps, of a model that claims something else, do not violate the claim."""
    module = load(LASSO)
    report = check_scenario(module, "now", properties=("served",))
    (finding,) = (f for f in report.findings if f.name == "served")
    trace = trace_of_finding(report.system, finding)
    assert trace is not None
    other = load(LASSO.replace("progress served: at(k.p[0], wanting)", "progress served: at(k.p[1], wanting)").replace(
        "leads_to at(k.p[0], inside)", "leads_to at(k.p[1], inside)"))
    with pytest.raises(ModelError, match="does not violate the claim"):
        explain_run(other, "now", "served", trace, {})


def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """``m.pchk`` and its report ``run.json``, in the folder of the test."""
    (tmp_path / "m.pchk").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "m.pchk", "--format", "json", "-o", "run.json"]) == 0


def test_the_three_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, Markdown and JSON name the same number of answers, and a file gets what the output would."""
    stored(tmp_path, monkeypatch, ONE_CYCLE)
    out = {}
    for form in ("text", "md", "json"):
        assert cli.main(["explain-run", "run.json", "--property", "deadlock", "--format", form]) == 0
        out[form] = capsys.readouterr().out
        assert cli.main(["explain-run", "run.json", "--property", "deadlock", "--format", form, "-o", "x"]) == 0
        assert (tmp_path / "x").read_text() == out[form]
    data = json.loads(out["json"])
    assert data["property"] == "deadlock"
    assert (data["changes_tried"], data["length"]) == (4, 4)
    passing = [s["without"] for s in data["steps"] if s["without"]]
    answers = [a["answer"] for a in (*data["settings"], *data["switches"], *data["changes"], *passing)]
    assert answers.count("absent") == out["md"].count("absent: proved") == 8
    for one in data["changes"]:
        assert one["sentence"].split(" (")[0] in out["text"]


def test_what_cannot_be_explained_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run by hand claims nothing, a model that is gone cannot be asked, one that differs does not have the run."""
    stored(tmp_path, monkeypatch, ONE_CYCLE)
    assert cli.main(["simulate", "m.pchk", "--do", "1; s hand.json"]) == 0
    capsys.readouterr()
    assert cli.main(["explain-run", "hand.json"]) == 2
    assert "error[nothing-to-explain]: the model claims nothing called `simulated`" in capsys.readouterr().err
    (tmp_path / "m.pchk").rename(tmp_path / "n.pchk")
    assert cli.main(["explain-run", "run.json"]) == 2
    assert "the model of the run, `m.pchk`, is not there" in capsys.readouterr().err
    assert cli.main(["explain-run", "run.json", "--property", "deadlock", "--model", "n.pchk"]) == 0
    (tmp_path / "m.pchk").write_text(ONE_CYCLE.replace("with a { with b {", "with b { with a {"))
    capsys.readouterr()
    assert cli.main(["explain-run", "run.json", "--property", "deadlock"]) == 2
    assert "error[not-of-this-model]" in capsys.readouterr().err


def test_what_time_leaves_open_is_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any time the questions that need a search are undecided, and the exit code is 3."""
    stored(tmp_path, monkeypatch, TICKETS)
    assert cli.main(["explain-run", "run.json", "--timeout", "0.000001"]) == 3
    assert "undecided (time limit" in capsys.readouterr().out


def test_the_answers_are_those_of_a_check(tmp_path: Path) -> None:
    """Each answer about a setting is the verdict of the same model with that setting."""
    path = tmp_path / "m.pchk"
    path.write_text(TICKETS)
    found = explained(TICKETS, "every_sale_counts")
    for setting in found.settings:
        if not setting.what.startswith("with ") or " = " not in setting.what:
            continue
        name, value = setting.what.removeprefix("with ").split(" instead")[0].split(" = ")
        report = check_file(path, properties=["every_sale_counts"], settings={name: value})
        verdict = word(report.scenarios[0].findings[0].outcome)
        assert (verdict == "violated") == (setting.answer.kind is Kind.THERE), setting
