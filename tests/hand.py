"""Small systems built by hand, with source text, for tests of traces and reports."""

from __future__ import annotations

from protocheck.engines.verdict import Choice, Run
from protocheck.findings import Evidence
from protocheck.ir.expr import Lit, Param, Read, Var, VarKind, and_, eq, lit, ne, not_
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort
from protocheck.ir.system import (
    TRUE,
    Act,
    Case,
    Check,
    DeadlockTarget,
    HeldBy,
    InitCase,
    Location,
    Lock,
    LockEvent,
    LockKind,
    Property,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wait,
    WaitsFor,
    Wish,
)
from protocheck.source import Origin, SourceFile, Span
from protocheck.traces.replay import replay

TEXT = """\
protocol abba
hypervisor kvm {
    lock a : mutex;
    lock b : rwsem;
    thread one { acquire a; acquire b write; }
    thread two { acquire b read; acquire a; }
}
"""
FILE = SourceFile("models/abba.pchk", TEXT)
LIBRARY = SourceFile(
    "models/lib/content.pchk", 'ghost proc populate(g : gfn) {\n    assert !populated[g], "twice";\n}\n'
)
GFN = ScalarSort("gfn", ("gfn0", "gfn1"))
VCPU = ScalarSort("vcpu", ("vcpu0", "vcpu1"))
KIND = OptionSort(EnumSort("kind", ("shared", "private")))


def at(needle: str, file: SourceFile = FILE, called_from: Origin | None = None, nth: int = 1) -> Origin:
    """The place of the ``nth`` occurrence of ``needle``."""
    start = -1
    for _ in range(nth):
        start = file.text.index(needle, start + 1)
    return Origin(Span(file, start, start + len(needle)), called_from)


def _thread(name: str, pcs: Var, spots: tuple[str, ...]) -> ThreadClass:
    line = at(f"thread {name.split('.')[1]}")
    places = tuple(Location(i, s, line, waiting=s.startswith("wait")) for i, s in enumerate(spots))
    return ThreadClass(name, ThreadKind.THREAD, (), TRUE, pcs, places, eq(Read(pcs), lit(len(spots) - 1)), origin=line)


def abba() -> System:
    """Two threads that take ``a`` and ``b`` in opposite order; both then wait. The deadlock is 4 steps deep."""
    one = Var("kvm.one.pc", (), RangeSort(0, 3), VarKind.PC)
    two = Var("kvm.two.pc", (), RangeSort(0, 3), VarKind.PC)
    spots = ("begin", "second", "waits", "end")

    def move(
        pc: Var, source: int, target: int, thread: str, text: str, act: Act, lock: str, mode: str, nth: int = 1
    ) -> Transition:
        return Transition(
            f"{thread}:{source}",
            thread,
            (),
            eq(Read(pc), lit(source)),
            (Update(pc, (), lit(target)),),
            (),
            source,
            target,
            at(text, nth=nth),
            text=text,
            events=(LockEvent(act, lock, mode=mode),),
        )

    holds_a = {"kvm.one": ne(Read(one), lit(0)), "kvm.two": lit(0)}
    holds_b = {"kvm.one": lit(0), "kvm.two": ne(Read(two), lit(0))}
    waits = (
        Wait(
            "kvm.one",
            eq(Read(one), lit(2)),
            (WaitsFor("kvm.two", (), holds_b["kvm.two"], "holds b (read)"),),
            what="b (write)",
            lock="kvm.b",
            origin=at("acquire b write"),
        ),
        Wait(
            "kvm.two",
            eq(Read(two), lit(2)),
            (WaitsFor("kvm.one", (), holds_a["kvm.one"], "holds a"),),
            what="a",
            lock="kvm.a",
            origin=at("acquire a", nth=2),
        ),
    )
    return System(
        "abba",
        (),
        (one, two),
        (lit(0), lit(0)),
        (InitCase(),),
        (_thread("kvm.one", one, spots), _thread("kvm.two", two, spots)),
        (
            move(one, 0, 1, "kvm.one", "acquire a", Act.ACQUIRE, "kvm.a", "write"),
            move(one, 1, 2, "kvm.one", "acquire b write", Act.WANT, "kvm.b", "write"),
            move(two, 0, 1, "kvm.two", "acquire b read", Act.ACQUIRE, "kvm.b", "read"),
            move(two, 1, 2, "kvm.two", "acquire a", Act.WANT, "kvm.a", "write", nth=2),
        ),
        locks=(
            Lock("kvm.a", LockKind.MUTEX, (), (HeldBy("kvm.one", (), (), holds_a["kvm.one"]),)),
            Lock("kvm.b", LockKind.RWSEM, (), (HeldBy("kvm.two", (), (), holds_b["kvm.two"]),)),
        ),
        waits=waits,
        properties=(
            Property("deadlock", "deadlock", "built-in", Wish.NEVER, DeadlockTarget(), "no thread waits for ever"),
        ),
        instance="1 one, 1 two",
    )


def abba_run() -> Evidence:
    """one takes a, two takes b, one wants b, two wants a."""
    system = abba()
    run = Run(Choice(0, ()), tuple(Choice(k, ()) for k in (0, 2, 1, 3)))
    return Evidence(run, DeadlockTarget(), replay(system, DeadlockTarget(), run))


def pages(vcpus: int = 2) -> System:
    """vCPUs that fill pages twice: an assertion in a library fails, and an invariant is broken on the way."""
    vcpu = ScalarSort("vcpu", tuple(f"vcpu{i}" for i in range(vcpus)))
    v, g, k = Param("v#1", vcpu), Param("g#2", GFN), Param("kind#3", KIND.of)
    pc = Var("kvm.fault.pc", (vcpu,), RangeSort(0, 1), VarKind.PC)
    mine = Var("kvm.fault.g#7", (vcpu,), GFN, VarKind.LOCAL)
    spte = Var("kvm.spte", (GFN,), KIND)
    populated = Var("page.populated", (GFN,), BOOL, VarKind.GHOST)
    flag = Var("kvm.%hidden", (), BOOL, VarKind.HIDDEN)
    check = Check(
        "double_populate",
        not_(Read(populated, (Read(mine, (v,)),))),
        "page populated twice",
        at("assert !populated[g], \"twice\"", LIBRARY, at("acquire b read", nth=1)),
    )
    pick = Transition(
        "pick",
        "kvm.fault",
        (v, g),
        eq(Read(pc, (v,)), lit(0)),
        (Update(pc, (v,), lit(1)), Update(mine, (v,), g)),
        (),
        0,
        1,
        at("acquire a"),
        text="choose g : gfn;",
        notes=("enters kvm",),
    )
    fill = Transition(
        "fill",
        "kvm.fault",
        (v, k),
        eq(Read(pc, (v,)), lit(1)),
        (
            Update(pc, (v,), lit(0)),
            Update(spte, (Read(mine, (v,)),), k),
            Update(populated, (Read(mine, (v,)),), lit(1)),
            Update(flag, (), lit(1)),
        ),
        (check,),
        1,
        0,
        at("populate(g", LIBRARY, at("acquire b read")),
        text="populate(g);",
    )
    thread = ThreadClass(
        "kvm.fault",
        ThreadKind.SERVER,
        (v,),
        TRUE,
        pc,
        (Location(0, "choose", at("acquire a")), Location(1, "fill", at("acquire b write"))),
        Lit(0),
        (mine,),
    )
    x = Param("x", GFN)
    broken = and_(Read(populated, (x,)), eq(Read(spte, (x,)), lit(1)))
    return System(
        "pages",
        (GFN, vcpu),
        (pc, mine, spte, populated, flag),
        (lit(0), lit(0), lit(2), lit(0), lit(0)),
        (InitCase(),),
        (thread,),
        (pick, fill),
        properties=(
            Property(
                "double_populate",
                "double_populate",
                "assertion",
                Wish.NEVER,
                Target((Case((v, k), not_(check.cond), via=1, check=0),)),
                "assert !populated[g]",
            ),
            Property(
                "agree",
                "stale_mapping",
                "invariant",
                Wish.NEVER,
                Target((Case((x,), broken),)),
                "forall x in gfn : populated[x] implies spte[x] != private",
                origin=at("protocol"),
            ),
        ),
        instance="2 gfn, 2 vcpu",
    )


# NOTE(pages-guard): the choices of ``fill`` need its local, so every run picks before it fills.
def pages_run(system: System, name: str = "double_populate") -> Evidence:
    """Both vCPUs pick gfn1 and fill it (double_populate), or one fills gfn1 with private memory (agree)."""
    target = next(p.target for p in system.properties if p.name == name)
    if name == "agree":
        run = Run(Choice(0, ()), (Choice(0, (0, 1)), Choice(1, (0, 1))), Choice(0, (1,)))
    else:
        moves = (Choice(0, (0, 1)), Choice(0, (1, 1)), Choice(1, (0, 1)), Choice(1, (1, 0)))
        run = Run(Choice(0, ()), moves, Choice(0, (1, 0)))
    return Evidence(run, target, replay(system, target, run))
