"""Planted faults: which changes are made, what notices them, and that each is the fault it says it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pressed import pressed_after

from protocheck.check import check_scenario
from protocheck.cli import main
from protocheck.engines.verdict import Limit
from protocheck.findings import Outcome, ScenarioReport, Unknown
from protocheck.ir.interp import enabled
from protocheck.lower import compile_system, instantiate
from protocheck.mutate import Fate, Mutant, _try, mutants, mutate, mutated
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types import tree as t
from protocheck.types.check import check, library_loader
from tests.lower.snippets import reachable_states

MODEL = """\
protocol tickets
type clerk = scalarset(clerks in 1..3 = 2)
hypervisor office {
    lock counter : mutex;
    lock spare : mutex;
    state sold : 0..3 = 0;
    state told : bool = false;
    thread sell[c : clerk] {
        with counter, spare {
            let seen = sold;
            if seen == 3 { return; }
            sold = seen + 1;
        }
    }
    thread close { await sold >= 1; acquire spare; told = true; release spare; atomic { sold = sold; told = sold > 0; }}
    thread idle { either { skip; } or { told = false; } }
}
final every_sale_counts: office.sold == clerks;
scenario careful { expect all hold; }
"""


def load(text: str) -> t.CheckedModule:
    return check(parse(SourceFile("tickets.pchk", text)), library_loader(Path()))


def told(m: Mutant) -> tuple[str, str, int]:
    return m.kind, m.what, m.span.line


def test_the_changes_are_these() -> None:
    """Every operator finds its places, in the order of the source, and no others."""
    assert [told(m) for m in mutants(load(MODEL), ("careful",))] == [
        ("drop a lock", "office.counter", 9),
        ("drop a lock", "office.spare", 9),
        ("drop a guard", "never taken", 11),
        ("swap two statements", "with the next", 11),
        ("drop a guard", "does not wait", 15),
        ("swap two statements", "with the next", 15),
        ("drop a lock", "office.spare", 15),
        ("swap two statements", "with the next", 15),
        ("swap two statements", "with the next", 15),
        ("forget a release", "office.spare", 15),
        ("swap two statements", "with the next", 15),
        ("split an atomic block", "step by step", 15),
        ("swap two statements", "with the next", 15),
        ("drop a branch", "branch 1", 16),
        ("drop a branch", "branch 2", 16),
    ]


def test_what_is_noticed_and_what_survives() -> None:
    """Nothing needs the counter's lock beside the other, which `close` takes too; a lock that is kept is noticed."""
    found = mutate(load(MODEL), "careful")
    fates = {(*told(x.mutant), n): x.fate for n, x in enumerate(found.tried)}
    assert fates[("drop a lock", "office.counter", 9, 0)] is Fate.SAME
    assert fates[("drop a lock", "office.spare", 9, 1)] is Fate.SURVIVED
    assert fates[("forget a release", "office.spare", 15, 9)] is Fate.NOTICED
    assert sum(found.count(f) for f in Fate) == len(found.tried) == 15
    assert found.tried[9].by
    dropped = next(x for x in found.tried if x.mutant.kind == "drop a branch" and x.mutant.what == "branch 2")
    assert (dropped.fate, dropped.missing) == (Fate.SURVIVED, "no property speaks of office.told")


def outcomes(module: t.CheckedModule) -> list[tuple[str, type[Outcome], int]]:
    report = check_scenario(module, "careful")
    return [(f.name, type(f.outcome), getattr(f.outcome, "steps", 0)) for f in report.findings]


@pytest.mark.parametrize(
    ("kind", "what", "line", "before", "after"),
    [
        ("drop a lock", "office.counter", 9, "with counter, spare {", "with spare {"),
        ("drop a guard", "never taken", 11, "if seen == 3 { return; }", "skip;"),
        ("drop a guard", "does not wait", 15, "await sold >= 1;", "skip;"),
        ("forget a release", "office.spare", 15, "release spare;", "skip;"),
        ("split an atomic block", "step by step", 15, "atomic { sold = sold; told = sold > 0; }",
         "{ sold = sold; told = sold > 0; }"),
        ("drop a branch", "branch 1", 16, "either { skip; } or { told = false; }", "{ told = false; }"),
    ],
)  # fmt: skip
def test_a_mutant_is_the_model_with_that_fault(kind: str, what: str, line: int, before: str, after: str) -> None:
    """The same verdicts at the same depths as the text with the fault written by hand."""
    module = load(MODEL)
    mutant = next(m for m in mutants(module, ("careful",)) if told(m) == (kind, what, line))
    threads = {**module.threads, mutant.home: replace(module.threads[mutant.home], body=mutant.body)}
    assert before in MODEL
    assert outcomes(replace(module, threads=threads)) == outcomes(load(MODEL.replace(before, after)))


def test_the_code_of_a_chosen_variant_is_changed_and_no_other() -> None:
    """What a scenario does not run has no mutants."""
    text = MODEL.replace(
        "final every", "variant brief of thread office.idle { told = false; told = true; }\nfinal every"
    ).replace("scenario careful {", "scenario careful { with brief;")
    homes = {m.home for m in mutants(load(text), ("careful",))}
    assert homes == {"office.sell", "office.close", "brief\0office.idle"}


def test_what_is_chosen_stays_before_its_use() -> None:
    """Two choices may change places; a choice and what uses it may not."""
    pick = "thread pick { choose a : clerk; choose b : clerk; told = a == b; }"
    text = MODEL.replace("thread idle {", f"{pick}\nthread idle {{")
    found = [m.span.text for m in mutants(load(text), ("careful",)) if m.home == "office.pick"]
    assert found == ["choose a : clerk;"]


def test_the_count_of_turns_of_a_loop_is_no_statement() -> None:
    """`loop at most` counts in a variable of its own; only what is written in it is swapped."""
    again = "thread again { loop at most 2 times { told = true; sold = 0; } }"
    text = MODEL.replace("thread idle {", f"{again}\nthread idle {{")
    found = [m.span.text for m in mutants(load(text), ("careful",)) if m.home == "office.again"]
    assert found == ["told = true;"]


def test_a_mutant_is_tried_where_its_code_runs() -> None:
    """The body of a variant has no part in a scenario without it."""
    text = MODEL.replace(
        "final every", "variant brief of thread office.idle { told = false; told = true; }\nfinal every"
    ) + "scenario short { with brief; expect all hold; }\n"
    found = {m.home: m.scenarios for m in mutants(load(text), ("careful", "short"))}
    assert found == {
        "office.sell": ("careful", "short"),
        "office.close": ("careful", "short"),
        "office.idle": ("careful",),
        "brief\0office.idle": ("short",),
    }


def test_what_a_static_rule_refuses_is_no_model() -> None:
    """A guarded state without its lock is refused, as it would be if the fault stood in the text."""
    text = MODEL.replace("state sold : 0..3 = 0;", "state sold : 0..3 = 0 guarded_by write: counter, read: any;")
    text = text.replace("sold = sold; ", "")
    found = mutate(load(text), "careful")
    first = found.tried[0]
    assert (first.mutant.kind, first.mutant.what, first.fate) == ("drop a lock", "office.counter", Fate.REFUSED)
    assert first.why == "`office.sold` is written without `counter`"


def test_a_fault_of_ours_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails otherwise than by a rule is no property of the mutant: it is shown, with exit code 70."""

    def fail(*_args: object, **_named: object) -> None:
        raise ValueError("planted")

    monkeypatch.setattr("protocheck.mutate.check_scenario", fail)
    monkeypatch.chdir(tmp_path)
    Path("tickets.pchk").write_text(MODEL, encoding="utf-8")
    assert main(["mutate", "tickets.pchk"]) == 70
    text = capsys.readouterr().out
    assert "ValueError: planted" in text
    assert "our fault" in text


@pytest.mark.parametrize(
    ("share", "needs", "asked", "fate"),
    [
        (1.0, 8.0, [10.0], Fate.SAME),
        (1.0, 12.0, [10.0], Fate.OPEN),  # it has had its time
        (0.5, 8.0, [10.0, 20.0], Fate.SAME),  # of 10 seconds others had 5
        (0.5, 12.0, [10.0, 20.0], Fate.OPEN),
        (0.01, 8.0, [10.0, 100.0], Fate.OPEN),  # a machine that has no time for it at all
    ],
)
def test_only_the_work_of_the_check_itself_counts(
    monkeypatch: pytest.MonkeyPatch, share: float, needs: float, asked: list[float], fate: Fate
) -> None:
    """With a ``share`` of the machine, a check that ``needs`` so much of it is decided as on an idle one."""
    real = check_scenario(load(MODEL), "careful")
    open_ = replace(real.findings[0], outcome=Unknown(Limit.TIME, "", -1), as_expected=False, open=True)
    clock = {"wall": 0.0}
    given: list[float] = []

    def checked(*_args: object, timeout: float, **_named: object) -> ScenarioReport:
        given.append(timeout)
        spent = min(timeout, needs / share)
        clock["wall"] += spent
        return real if spent * share >= needs else replace(real, findings=(open_, *real.findings[1:]))

    monkeypatch.setattr("protocheck.mutate.check_scenario", checked)
    monkeypatch.setattr("protocheck.mutate.time.monotonic", lambda: clock["wall"])
    monkeypatch.setattr("protocheck.mutate.time.process_time", lambda: clock["wall"] * share)
    only = replace(next(iter(mutants(load(MODEL), ("careful",)))), scenarios=("careful",))
    monkeypatch.setattr("protocheck.mutate.mutants", lambda _module, _names: iter([only]))
    (tried,) = mutate(load(MODEL), "careful", timeout=10.0).tried
    assert (given, tried.fate) == (asked, fate)


def test_scenarios_in_which_only_a_weakness_shows_up_are_tried() -> None:
    """They expect nothing bad; those that expect a violation, also beside a weakness, are not."""
    text = MODEL + """weakness loud: office.sold > 0;
        scenario weak { expect loud violated; } scenario bad { expect loud violated, every_sale_counts any; }"""
    assert mutate(load(text.replace("expect all hold", "expect all hold, loud violated"))).scenarios == (
        "careful", "weak",
    )  # fmt: skip


def test_ctrl_c_leaves_the_mutants_that_were_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted at the third mutant the first two are told and the others counted; at the first nothing is told."""
    monkeypatch.setattr("protocheck.mutate._try", pressed_after(2, _try))
    monkeypatch.chdir(tmp_path)
    Path("tickets.pchk").write_text(MODEL, encoding="utf-8")
    whole = len(list(mutants(load(MODEL), ("careful",))))
    line = ["mutate", "tickets.pchk", "--scenario", "careful", "-j", "1"]
    assert main(line) in (1, 3)
    text = capsys.readouterr().out
    assert text.startswith(
        f"tickets.pchk, scenario careful: 2 mutants\ninterrupted: {whole - 2} more mutants not tried\n"
    )
    monkeypatch.setattr("protocheck.mutate._try", pressed_after(2, _try))
    main([*line, "--format", "json"])
    data = json.loads(capsys.readouterr().out)
    assert (len(data["mutants"]), data["untried"]) == (2, whole - 2)
    monkeypatch.setattr("protocheck.mutate._try", pressed_after(0, _try))
    assert main(line) == 3
    assert capsys.readouterr() == ("", "interrupted\n")


def test_several_processes_find_the_same() -> None:
    """The order and the fates do not depend on how the work is shared out."""
    module = load(MODEL)
    alone, shared = mutate(module, "careful"), mutate(module, "careful", jobs=2)
    assert [(told(x.mutant), x.fate, x.by) for x in alone.tried] == [
        (told(x.mutant), x.fate, x.by) for x in shared.tried
    ]


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """1 where something survives, 0 where nothing does; the JSON has every mutant, the text the survivors."""
    monkeypatch.chdir(tmp_path)
    Path("tickets.pchk").write_text(MODEL, encoding="utf-8")
    assert main(["mutate", "tickets.pchk"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("tickets.pchk, scenario careful: 15 mutants\n")
    assert "tickets.pchk:9: drop a lock (office.spare): with counter, spare {" in text
    assert main(["mutate", "tickets.pchk", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["format_version"], len(data["mutants"])) == (1, 15)
    Path("one.pchk").write_text(
        "protocol one\nhypervisor k { state x : bool = false; thread t { x = true; } }\n"
        "final f: k.x;\nscenario s { expect all hold; }\n",
        encoding="utf-8",
    )
    assert main(["mutate", "one.pchk"]) == 0
    assert "0 mutants" in capsys.readouterr().out


FAILURES = """\
protocol failing
type rc = enum { OK, EBUSY, EIO }
hypervisor kvm {
    state pinned : 0..2 = 0;
    state mapped : bool = false;
    op pin() -> rc may_fail EBUSY, EIO { if pinned == 1 { return EIO; }  pinned += 1;  return OK; }
    op unpin() { pinned -= 1; }
    proc map() -> bool { if pinned == 0 { return false; }  mapped = true;  return true; }
    thread main {
        if pin() != OK { return; }
        if map() { skip; } else { unpin(); }
        if !map() { return; }
        if pin() == EIO { mapped = false; }
    }
}
final undone: kvm.pinned == (kvm.mapped ? 1 : 0);
scenario now { expect undone violated; }
"""


def test_failures_are_widened_and_ignored() -> None:
    """Each declared failure, each return of an error, and each call that is tested has its change."""
    found = [m for m in mutants(load(FAILURES), ("now",)) if "failure" in m.kind]
    assert [told(m) for m in found] == [
        ("widen a failure", "EBUSY at any call", 6),
        ("widen a failure", "EIO at any call", 6),
        ("widen a failure", "also otherwise", 6),
        ("widen a failure", "also otherwise", 8),
        ("ignore a failure", "goes on", 10),
        ("ignore a failure", "goes on", 11),
        ("ignore a failure", "goes on", 12),
        ("ignore a failure", "goes on", 13),
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, ("{ if pinned == 1", "{ either { return EBUSY; } or { }  if pinned == 1")),
        (1, ("{ if pinned == 1", "{ either { return EIO; } or { }  if pinned == 1")),
        (2, ("if pinned == 1 { return EIO; }", "if pinned == 1 { return EIO; }  either { return EIO; } or { }")),
        (3, ("if pinned == 0 { return false; }", "if pinned == 0 { return false; }  either { return false; } or { }")),
        (4, ("if pin() != OK { return; }", "ignore pin();")),
        (5, ("if map() { skip; } else { unpin(); }", "ignore map();  skip;")),
        (6, ("if !map() { return; }", "ignore map();")),
        (7, ("if pin() == EIO { mapped = false; }", "ignore pin();")),
    ],
)
def test_a_widened_failure_is_what_one_would_write(number: int, text: tuple[str, str]) -> None:
    """The mutant reaches the states that the model with that change written by hand reaches."""
    module = load(FAILURES)
    mutant = [m for m in mutants(module, ("now",)) if "failure" in m.kind][number]
    old, new = text
    assert old in FAILURES
    by_hand = load(FAILURES.replace(old, new))
    budget = int(number >= 4)  # what ignores a failure needs one
    assert reached(mutated(module, mutant), budget) == reached(by_hand, budget)
    if number in (0, 1, 2, 4, 7):
        assert reached(mutated(module, mutant), budget) != reached(module, budget)


def reached(module: t.CheckedModule, failures: int) -> set[tuple[int, ...]]:
    """The values of the declared variables in the states in which nothing moves any more."""
    system = compile_system(module, instantiate(module, "now", {"failures": failures}))
    still = [s for s in reachable_states(system) if not list(enabled(system, s))]
    return {(s["kvm.pinned", ()], s["kvm.mapped", ()]) for s in still}
