"""Runs as claims: what the watching system finds against a search by hand over runs of the system itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from protocheck.check import check_file, engine_named
from protocheck.engines.verdict import Budget, Choice, Reached, Run, Unreachable, Verdict
from protocheck.findings import Broken, Finding, Found, NeverFound, sentence
from protocheck.ir.interp import (
    State,
    begin,
    bindings,
    deadlock,
    default_state,
    evaluate,
    holds,
    initial_choices,
    step,
)
from protocheck.ir.sorts import values_of
from protocheck.ir.system import DeadlockTarget, PropertyTarget, RunClaim, System, Target
from protocheck.lower import compile_system, instantiate
from protocheck.properties.runs import ask_run
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.traces.run_lines import NotTheRun, lines_in, where_lines
from protocheck.traces.trace import trace_of_finding
from protocheck.types.check import check, library_loader

RACE = """\
protocol race
type vcpu = scalarset(vcpus in 1..4 = 2)
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    state populated : bool = false;
    state times : 0..3 = 0;
    state go : bool = false;
    server populate[v : vcpu] {
        loop {
            look: if !populated {
                store: populated = true;
                fill: atomic { assert times == 0, "twice" as twice;  times = min(times + 1, 3); }
            }
            rest: await go idle;
        }
    }
    thread one { first: acquire a;  second: acquire b;  release b;  release a; }
    thread two { third: acquire b;  fourth: acquire a;  release a;  release b; }
    thread main { opens: go = true; }
    variant calm of thread two { third: acquire a;  fourth: acquire b;  release b;  release a; }
}
transition counts: old(kvm.times) <= kvm.times && kvm.times < 2;
always invariant few: kvm.times <= 1;
RUN
scenario s { SETTING }
"""

RUNS = (
    "run r for v in vcpu, w in vcpu where v != w { kvm.populate[v] : look; kvm.populate[w] : look; "
    "kvm.populate[v] : fill; kvm.populate[w] : fill; } leads to twice;",
    "run r for v in vcpu, w in vcpu where v != w { kvm.populate[v] : fill; kvm.populate[w] : look; "
    "kvm.populate[w] : store; } leads to few;",
    "run r for t in kvm.populate, u in kvm.populate where t.v != u.v { t : look; u : look; t : store; u : store; } "
    "leads to counts;",
    "run r { kvm.populate : look; kvm.populate : look; }",
    "run r { kvm.populate : look; kvm.populate : rest; kvm.populate : look; kvm.populate : store; }",
    "run r { kvm.one : first; kvm.two : third; kvm.one : second; kvm.two : fourth; } leads to deadlock;",
    "run r { kvm.one : first; kvm.one : second; kvm.two : third; kvm.two : fourth; } leads to deadlock;",
    "run r { kvm.main : opens; kvm.populate : rest; kvm.populate : fill; } leads to kvm.go && kvm.times == 1;",
    "run r for v in vcpu { kvm.populate[v] : fill; } "
    "leads to exists w in vcpu where w != v : at(kvm.populate[w], fill);",
    "run r { kvm.one : second; kvm.one : first; }",
)


def system(run: str, setting: str = "") -> System:
    """The model with one run."""
    text = RACE.replace("RUN", run).replace("SETTING", setting)
    module = check(parse(SourceFile("race.pchk", text)), library_loader(Path()))
    return compile_system(module, instantiate(module, "s", {}))


def by_hand(system: System, claim: RunClaim) -> tuple[int | None, int]:
    """The length of the shortest run that the claim describes (None: there is none), and how many lines can happen.

    A breadth-first search over (state, lines that have happened), once for every choice of the threads.
    """
    best: int | None = None
    possible = 0
    nowhere = default_state(system)
    for values in product(*(values_of(p.sort) for p in claim.params)):
        env = {p.name: v for p, v in zip(claim.params, values, strict=True)}
        if not evaluate(claim.where, nowhere, env):
            continue
        who = [tuple(evaluate(i, nowhere, env) for i in line.index) for line in claim.lines]
        seen: set[tuple[tuple[int, ...], int]] = set()
        layer: list[tuple[State, int]] = [(begin(system, c), 0) for c in initial_choices(system)]
        depth = 0
        while layer:
            following: list[tuple[State, int]] = []
            for state, count in layer:
                if (state.values, count) in seen:
                    continue
                seen.add((state.values, count))
                possible = max(possible, count)
                if count == len(claim.lines) and ends(system, claim, state, env) and (best is None or depth < best):
                    best = depth
                for move, then in moves(system, claim, who, state, count):
                    outcome = step(system, state, move)
                    possible = max(possible, then)
                    last = then == len(claim.lines)
                    if last and breaks(claim, state, move) and (best is None or depth + 1 < best):
                        best = depth + 1
                    if outcome.state is not None:
                        following.append((outcome.state, then))
            layer = following
            depth += 1
    return best, possible


def moves(
    system: System, claim: RunClaim, who: Sequence[tuple[int, ...]], state: State, count: int
) -> list[tuple[Choice, int]]:
    """Every step that the claim allows here, with the number of lines that have happened after it."""
    found = []
    for number, tr in enumerate(system.transitions):
        for env in bindings(tr.params, {}):
            if not evaluate(tr.guard, state, env):
                continue
            values = tuple(env[p.name] for p in tr.params)
            named = [
                k
                for k, line in enumerate(claim.lines)
                if number in line.steps and values[: len(who[k])] == who[k]
            ]
            move = Choice(number, values)
            if not named or count in (0, len(claim.lines)):
                found.append((move, count))
            if count in named:
                found.append((move, count + 1))
    return found


def ends(system: System, claim: RunClaim, state: State, env: dict[str, int]) -> bool:
    match claim.leads:
        case None:
            return True
        case DeadlockTarget():
            return bool(deadlock(system, state))
        case Target(cases):
            own = {p.name for p in claim.params}
            return any(
                holds(c, state, tuple(inner[p.name] for p in c.params))
                for c in cases
                if c.via is None
                for inner in bindings([p for p in c.params if p.name not in own], env)
            )


def breaks(claim: RunClaim, state: State, move: Choice) -> bool:
    if not isinstance(claim.leads, Target):
        return False
    for c in claim.leads.cases:
        if c.via == move.which:
            known = {p.name: v for p, v in zip(c.params, move.values, strict=False)}
            rest = c.params[len(move.values) :]
            if any(evaluate(c.cond, state, inner) for inner in bindings(rest, known)):
                return True
    return False


def test_a_label_behind_a_choice_is_begun_by_the_step_that_takes_it(tmp_path: Path) -> None:
    """The choice belongs to the step after it: no thread ever stands at the label, and yet the statement is begun."""
    path = tmp_path / "chosen.pchk"
    path.write_text(
        "protocol chosen\ntype gfn = scalarset(gfns in 1..4 = 2)\n"
        "hypervisor kvm { state x : [gfn] bool = false;\n"
        "thread one { choose g : gfn;  put: x[g] = true; }\nthread two { choose g : gfn;  see: if x[g] { skip; } } }\n"
        "run r { kvm.one : put; kvm.two : see; }\nscenario s { expect r found; }\n",
        encoding="utf-8",
    )
    (scenario,) = check_file(path, properties=["r"]).scenarios
    (found,) = scenario.findings
    assert isinstance(found.outcome, Found)
    assert (found.outcome.steps, found.as_expected) == (2, True)


@pytest.mark.parametrize("number", range(len(RUNS)))
@pytest.mark.parametrize("setting", ["expect others any;", "with calm; expect others any;"])
def test_the_watching_system_finds_what_a_search_by_hand_finds(number: int, setting: str) -> None:
    """Same verdict, same length, same longest part of the table, with and without the variant."""
    made = system(RUNS[number], setting)
    (claim,) = made.runs
    engine = engine_named("explore")

    def ask(watching: System, targets: Sequence[PropertyTarget]) -> tuple[Verdict, ...]:
        return engine.run(watching, targets, Budget())

    answer = ask_run(made, claim, ask)
    length, possible = by_hand(made, claim)
    if length is None:
        assert isinstance(answer.verdict, Unreachable)
        assert answer.possible == possible
        assert answer.exact
        if answer.prefix is not None:
            assert len(where_lines(made, claim, answer.prefix, possible)) == possible
    else:
        assert isinstance(answer.verdict, Reached)
        assert len(answer.verdict.run.moves) == length
        assert len(where_lines(made, claim, answer.verdict.run, len(claim.lines))) == len(claim.lines)


@pytest.mark.parametrize("engine", ["explore", "bmc", "ic3", "kinduction", "auto"])
@pytest.mark.parametrize("number", [0, 5, 6])
def test_every_engine_gives_the_same_answer(tmp_path: Path, engine: str, number: int) -> None:
    """What is found is found by all, and replays; what is impossible is violated by none."""
    found = finding(tmp_path, RUNS[number], engine=engine)
    assert not isinstance(found.outcome, Broken)
    if number == 6:
        assert not isinstance(found.outcome, Found)
    elif not isinstance(found.outcome, Found):
        assert engine in ("ic3", "kinduction")
    else:
        assert found.outcome.steps == {0: 6, 5: 4}[number] or not found.outcome.shortest


def finding(tmp_path: Path, run: str, setting: str = "expect others any;", engine: str = "auto") -> Finding:
    path = tmp_path / "race.pchk"
    path.write_text(RACE.replace("RUN", run).replace("SETTING", setting), encoding="utf-8")
    bound = 12 if engine in ("bmc", "kinduction") else None
    report = check_file(path, engine=engine, properties=["r"], bound=bound)
    (scenario,) = report.scenarios
    (found,) = scenario.findings
    return found


def test_an_impossible_run_says_from_which_line_on(tmp_path: Path) -> None:
    """The locks are taken one after the other: the second thread waits, and nobody deadlocks."""
    found = finding(tmp_path, RUNS[6])
    assert isinstance(found.outcome, NeverFound)
    assert found.message == "all 4 lines can happen (in 4 steps), but `deadlock` never follows"
    backwards = finding(tmp_path, RUNS[9])
    assert isinstance(backwards.outcome, NeverFound)
    assert backwards.message == (
        "the first line can happen (in 2 steps), but line 2 (`kvm.one : first`) can never be next"
    )


def test_a_line_of_a_thread_that_is_left_out_is_named(tmp_path: Path) -> None:
    """A scenario without the thread makes the run impossible, and says why."""
    found = finding(tmp_path, RUNS[5], "without two; expect others any;")
    assert isinstance(found.outcome, NeverFound)
    assert "kvm.two : third`): no thread of this scenario takes a step there" in found.message


def test_the_steps_of_the_lines_are_marked_in_the_trace(tmp_path: Path) -> None:
    """Each line stands as a note at its step, and the run ends as what it leads to does."""
    path = tmp_path / "race.pchk"
    path.write_text(RACE.replace("RUN", RUNS[0]).replace("SETTING", "expect others any;"), encoding="utf-8")
    (scenario,) = check_file(path, properties=["r"]).scenarios
    trace = trace_of_finding(scenario.system, scenario.findings[0])
    assert trace is not None
    notes = [note for s in trace.steps for note in s.notes if note.startswith("line ")]
    assert notes == ["line 1", "line 2", "line 3", "line 4"]
    assert "twice" in trace.ending.headline


def test_a_run_that_takes_a_line_twice_is_refused() -> None:
    """The check by hand does not accept a named step out of its turn."""
    made = system(RUNS[5])
    (claim,) = made.runs
    find = engine_named("explore").run

    def ask(watching: System, targets: Sequence[PropertyTarget]) -> tuple[Verdict, ...]:
        return find(watching, targets, Budget())

    verdict = ask_run(made, claim, ask).verdict
    assert isinstance(verdict, Reached)
    run: Run = verdict.run
    assert lines_in(made, claim, run) == (1, 2, 3, 4)
    swapped = replace(claim, lines=(claim.lines[0], claim.lines[2], claim.lines[1], claim.lines[3]))
    with pytest.raises(NotTheRun, match="line"):
        where_lines(made, swapped, run, 4)


NOBODY = """\
protocol nobody
type faulter = scalarset(faulters in 0..2 = 0)
hypervisor h {
    state x : 0..2 = 0;
    environment fault[f : faulter] { loop { touch: x = 1; } }
    thread other { look: x = 2; }
}
run r for f in faulter { h.other : look; h.fault[f] : touch; }
scenario nobody { expect r unreachable; }
scenario one  { faulters = 1;  expect r holds; }
"""


@pytest.mark.parametrize("engine", ["auto", "explore", "bmc", "ic3"])
def test_a_run_about_nobody_cannot_happen(tmp_path: Path, engine: str) -> None:
    """Where the type that a run chooses from has no member, no run can be the one, whoever is asked."""
    path = tmp_path / "m.pchk"
    path.write_text(NOBODY)
    report = check_file(path, engine=engine, properties=["r"])
    none, one = (next(f for f in s.findings if f.name == "r") for s in report.scenarios)
    assert isinstance(none.outcome, NeverFound)
    assert none.as_expected
    assert sentence(none.outcome) == "unreachable (proved: there is no faulter)"
    assert isinstance(one.outcome, Found)
