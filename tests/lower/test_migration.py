"""Threads that move between CPUs."""

from __future__ import annotations

import pytest

from protocheck import check_file
from protocheck.engines import bmc, fair, ic3
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached, Unreachable
from protocheck.findings import Holds
from protocheck.ir.system import ProgressTarget
from protocheck.lower import compile_system, instantiate
from tests.lower.snippets import MODELS, compiled, depth, depths, faults, module, states

CPU = "type cpu = scalarset(cpus in 1..3 = 2) type vcpu = scalarset(vcpus in 1..3 = 2) "
LOADED = CPU + """kernel k {{ state loaded : [cpu] vcpu? = none;
    migrating thread t[v : vcpu] {{ {} {{ let c = this_cpu; loaded[c] = v;
        let s = loaded[this_cpu]; assert s == v as other; }} }} }}
    reachable done: forall v in vcpu : finished(k.t[v]);"""


def test_per_cpu_state_is_that_of_another_cpu_after_the_thread_has_moved() -> None:
    """Look, store, move, look, load, end: six steps. Whatever keeps the thread on its CPU excludes it."""
    plain = depths(compiled(LOADED.format("")))
    assert plain["other"] == 6
    for keeps in ("preempt_off", "irq_off"):
        found = depths(compiled(LOADED.format(keeps)))
        assert (found["other"], found["done"] is not None) == (None, True), keeps
    alone = depths(compiled(LOADED.format("migrate_off").replace("vcpus in 1..3 = 2", "vcpus in 1..3 = 1")))
    assert alone["other"] is None


def test_migrate_off_keeps_the_thread_on_its_cpu_and_nobody_else_away() -> None:
    """Another thread of the CPU still comes in between; and it is no error to sleep there."""
    assert depths(compiled(LOADED.format("migrate_off")))["other"] is not None
    text = """type cpu = 0..1 kernel k {{ lock m : mutex; migrating thread t {{ {} {{ with m {{ skip; }} }} }} }}"""
    assert depth(text.format("migrate_off"), "lock_misuse") is None
    assert depth(text.format("preempt_off"), "lock_misuse") is not None


def test_spinlocks_keep_their_holder_on_its_cpu_and_mutexes_do_not() -> None:
    """Also one that spins for the lock."""
    text = """type cpu = 0..1 kernel k {{ lock l : {}; state seen : [cpu] bool = false;
        migrating thread t on 0 {{ with l {{ let c = this_cpu; seen[c] = true;
            let d = this_cpu; assert d == c as moved; }} }} }}"""
    for kind, moves in (("spinlock", False), ("rwlock", False), ("mutex", True), ("rwsem", True)):
        assert (depth(text.format(kind), "moved") is not None) is moves, kind
    spins = """type cpu = 0..1 kernel k { lock l : spinlock; state x : bool = false; thread w on 1 { x = true; }
        thread u on 0 { with l { spin until x; } } migrating thread t on 1 { with l { skip; } } }"""
    assert depth(spins, "deadlock") == 2  # u has the lock and waits for w, which waits for the CPU where t spins


def test_who_spins_or_has_preemption_off_does_not_move() -> None:
    """The moves of a thread stop with the mask and begin again behind it; each costs a step."""
    text = """type cpu = 0..1 kernel k {{ state x : bool = false; state got : cpu = 0;
        migrating thread t on 0 {{ {} got = this_cpu; }} }} reachable there: k.got == 1;"""
    assert depth(text.format(""), "there") == 3  # moves, looks where it is, stores: a claim mentions `got`
    assert depth(text.format("preempt_off { skip; }"), "there") == 4
    inside = """type cpu = 0..1 kernel k { state got : cpu = 0;
        migrating thread t on 0 { preempt_off { got = this_cpu; } } }
        reachable there: k.got == 1;"""
    assert depth(inside, "there") == 3  # moves before: preempt_off, and one step that looks and stores


def test_a_thread_that_has_ended_is_not_moved() -> None:
    """So nothing moves for ever in a state in which all is done."""
    text = "type cpu = 0..1 kernel k { migrating thread t on 0 { skip; } }"
    assert states(text) == 4  # at the beginning on either CPU, at the end on either
    assert depth(text + " final f: false;", "f") == 1


def test_where_nothing_is_said_all_begin_on_one_cpu() -> None:
    """On any of them; what is behind `on` is where each begins."""
    text = """type cpu = 0..2 kernel k {{ state at : cpu = 0;
        migrating thread t[i : 0..1] {} {{ preempt_off {{ at = this_cpu; }} }} }}"""
    goal = " reachable two: k.at == 2;"
    assert depth(text.format("") + goal, "two") == 2
    assert depth(text.format("on 0") + goal, "two") == 3
    assert depth(text.format("on i + 1") + goal, "two") == 2


HAND = CPU + """kernel k { state loaded : [cpu] vcpu? = none; state wrong : bool = false; state place : [vcpu] cpu;
    init { choose c : cpu; for v in vcpu { place[v] = c; } }
    state over : [vcpu] bool = false;
    op get(v : vcpu) -> cpu { return place[v]; }
    op last(v : vcpu) { if loaded[place[v]] != v { wrong = true; } over[v] = true; }
    thread t[v : vcpu] { let c = get(v); loaded[c] = v; last(v); }
    op move(v : vcpu, c : cpu) { await !over[v] && place[v] != c; place[v] = c; }
    environment scheduler[v : vcpu] { loop { choose c : cpu; move(v, c); } } }
    reachable wrong: k.wrong; reachable both: forall v in vcpu : k.over[v];
    reachable all: forall c in cpu : k.loaded[c] != none;"""
SHORT = CPU + """kernel k { state loaded : [cpu] vcpu? = none; state wrong : bool = false;
    state over : [vcpu] bool = false;
    migrating thread t[v : vcpu] { let c = this_cpu; loaded[c] = v;
        atomic { if loaded[this_cpu] != v { wrong = true; } over[v] = true; } } }
    reachable wrong: k.wrong; reachable both: forall v in vcpu : k.over[v];
    reachable all: forall c in cpu : k.loaded[c] != none;"""


def test_migration_means_what_the_same_written_out_means() -> None:
    """As many steps to every claim as with a state for the CPU of each thread, and an environment that changes it."""
    one, two = depths(compiled(SHORT)), depths(compiled(HAND))
    for claim in ("wrong", "both", "all", "deadlock"):
        assert one[claim] == two[claim], claim
    assert one["wrong"] is not None


@pytest.mark.parametrize("text", [LOADED.format(""), LOADED.format("preempt_off"), SHORT])
def test_the_engines_agree(text: str) -> None:
    """The search with and without symmetry, the bounded search of the solver, and IC3."""
    system = compiled(text)
    found = depths(system)
    targets = [p.target for p in system.properties if p.name in ("other", "wrong", "deadlock", "all")]
    names = [p.name for p in system.properties if p.name in ("other", "wrong", "deadlock", "all")]
    for name, target, verdict in zip(names, targets, explore(system, targets, symmetry=True).verdicts, strict=True):
        if found[name] is None:
            assert isinstance(verdict, Unreachable), name
            (proved,) = ic3.run(system, [target], Budget())
            assert isinstance(proved, Unreachable), name
            continue
        assert isinstance(verdict, Reached)
        (bounded,) = bmc.run(system, [target], Budget(depth=10))
        assert isinstance(bounded, Reached)
        assert len(verdict.run.moves) == len(bounded.run.moves) == found[name], name


def test_the_reduction_keeps_every_verdict() -> None:
    """With a step for every access nothing else is reachable."""
    for keeps, wrong in (("", True), ("preempt_off", False)):
        for merge in (True, False):
            found = depths(compiled(LOADED.format(keeps), merge=merge))
            assert (found["other"] is not None) is wrong, (keeps, merge)


def test_this_cpu_is_read_once_where_it_is_passed_or_names_a_lock() -> None:
    """What a proc is given does not change while it runs, and a lock that was taken is the one that is released."""
    text = """type cpu = 0..1 kernel k { lock m : [cpu] mutex; state n : [cpu] 0..1 = 0;
        proc f(c : cpu) { n[c] = 1; assert n[c] == 1 as same; }
        migrating thread t on 0 { f(this_cpu); with m[this_cpu] { skip; } } }
        reachable e: finished(k.t);"""
    found = depths(compiled(text))
    assert (found["same"], found["lock_misuse"]) == (None, None)
    assert found["e"] is not None


def test_a_guard_by_the_lock_of_this_cpu_is_checked_in_the_run() -> None:
    """The lock of the CPU where the thread was does not guard the data of the CPU where it is."""
    text = """type cpu = 0..1 kernel k {{ lock m : [cpu] {}; state n : [c : cpu] 0..1 = 0 guarded_by m[c];
        migrating thread t on 0 {{ with m[this_cpu] {{ n[this_cpu] = 1; }} }} }}"""
    assert depth(text.format("mutex"), "lock_misuse") == 4  # looks, locks, moves, looks: and stores
    masked = text.replace("with m", "preempt_off {{ with m").replace("= 1; }}", "= 1; }} }}")
    assert depth(masked.format("spinlock"), "lock_misuse") is None


def test_a_thread_whose_cpu_is_taken_can_be_moved_to_another_one() -> None:
    """So it is in no deadlock, unless all CPUs are taken, or it has to stay."""
    text = """type cpu = 0..{} kernel k {{ state x : bool = false; state y : 0..1 = 0;
        interrupt stuck on cpu {{ spin until x; }} migrating thread t on 0 {{ {} }} }}"""
    assert depth(text.format(0, "x = true;"), "deadlock") == 1
    assert depth(text.format(1, "x = true;"), "deadlock") == 2
    one = text.replace("interrupt stuck on cpu", "thread stuck on 0")
    one = one.replace("spin until x;", "preempt_off {{ spin until x; }}")
    assert depth(one.format(0, "x = true;"), "deadlock") == 1
    assert depth(one.format(1, "x = true;"), "deadlock") is None
    stays = one.format(1, "migrate_off { x = true; }")
    assert depth(stays, "deadlock") == 2  # migrate_off, then the other has the CPU for itself


def test_an_interrupt_comes_to_the_cpu_on_which_the_thread_is() -> None:
    """With interrupts off it waits for the thread of its own CPU, wherever that came from."""
    text = """type cpu = 0..1 kernel k {{ state inside : bool = false; state met : [cpu] bool = false;
        interrupt h on cpu {{ if inside {{ met[this_cpu] = true; }} }}
        migrating thread t on 0 {{ irq_off {{ let c = this_cpu; inside = true;
            assert !met[c] as here; inside = false; }} }} }}
        reachable elsewhere: exists c in cpu : k.met[c];"""
    found = depths(compiled(text.format()))
    assert found["here"] is None
    assert found["elsewhere"] is not None


@pytest.mark.parametrize(
    ("body", "holds"),
    [("x = true;", True), ("loop { if y { retry; } x = true; break; }", True), ("await y; x = true;", False)],
)
def test_moving_for_ever_is_no_progress_and_keeps_nobody_from_it(body: str, holds: bool) -> None:
    """A thread goes on however often it is moved, and to be moved is nothing that it has got done."""
    text = """type cpu = 0..1 kernel k {{ state x : bool = false; state y : bool = false;
        migrating thread t {{ {} }} }} {}"""
    system = compiled(text.format(body, "progress done: k.x;"))
    for name, wanted in (("done", holds), ("livelock", True), ("starvation", True)):
        (claim,) = (p.target for p in system.properties if p.name == name)
        assert isinstance(claim, ProgressTarget)
        (verdict,) = fair.run(system, [claim], Budget())
        assert isinstance(verdict, Unreachable if wanted else Reached), name


def test_variants_may_migrate_or_not() -> None:
    """A scenario with the variant that stays has no state for its CPU."""
    found = module("""type cpu = 0..1 kernel k { state n : [cpu] 0..1 = 0;
        migrating thread t { n[this_cpu] = 1; } variant bound of thread t on 1 { n[this_cpu] = 1; } }
        scenario moves { expect all hold; } scenario stays { with bound; expect all hold; }
        scenario neither { without t; }
        kernel k { thread u { skip; } }""")
    for scenario, classes in (("moves", 3), ("stays", 2), ("neither", 1)):
        assert len(compile_system(found, instantiate(found, scenario)).threads) == classes


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("kernel k { migrating thread t { skip; } }", "no-cpu-type"),
        ("type cpu = 0..1 kernel k { migrating thread t on true { skip; } }", "type-mismatch"),
        ("type cpu = 0..1 kernel k { migrating thread t on this_cpu { skip; } }", "unknown-name"),
        ("type cpu = 0..1 kernel k { op f() { migrate_off { skip; } } migrating thread t { f(); } }", None),
    ],
)
def test_faults(text: str, rule: str | None) -> None:
    """Each fault has its own rule."""
    assert faults(text) == ([] if rule is None else [rule])


def test_a_section_that_stays_is_proved_for_any_number_of_cpus_and_threads() -> None:
    """The CPUs of threads are spoken of one by one, so that a proof can be lifted."""
    model = MODELS / "toys" / "migration.pchk"
    report = check_file(model, scenarios=("after",), properties=("wrong_vcpu",), any_size=True)
    (finding,) = (f for f in report.scenarios[0].findings if f.name == "wrong_vcpu")
    assert isinstance(finding.outcome, Holds)
    assert set(finding.outcome.any_size) == {"cpu", "vcpu"}
