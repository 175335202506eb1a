"""The protocols of the benchmarks as flat guarded commands, and a command that checks one of them.

The same commands, one step each, are given to every other checker (:mod:`benchmarks.inputs`): what a thread may do
between two steps of the others is the same everywhere, so state counts, verdicts and lengths must be the same as well.

``python -m benchmarks.flat NAME SIZES repaired|broken [--engine E]``, e.g. ``fault_vs_conversion 4,3 repaired``,
prints the verdict; ``--count`` the number of reachable states instead (``--orbits`` up to symmetry), ``--any`` whether
the proof carries over to any number of members.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocheck.check import check_system, engine_named
from protocheck.engines.explore import explore
from protocheck.engines.lift import Refusal, Seed, prove_any_size
from protocheck.engines.verdict import Budget
from protocheck.findings import Evidence, Holds, Violated
from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Expr,
    Lit,
    Param,
    Read,
    Var,
    VarKind,
    and_,
    eq,
    exists,
    forall,
    lit,
    ne,
    not_,
    or_,
)
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort, Sort, none_of, scalarset_of
from protocheck.ir.system import (
    Case,
    InitCase,
    Location,
    Property,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wish,
)
from protocheck.source import Origin, SourceFile, Span

ORIGIN = Origin(Span(SourceFile("flat", ""), 0, 0))
Flat = tuple[System, Target]


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> Flat:
    """Page faults (6 commands) against a conversion (7); broken: a fault does not ask whether its view is fresh.

    A thread that returns to its first command forgets what it picked. Who holds the lock follows from where the
    threads stand.
    """
    gfns, vcpus = sizes
    gfn, vcpu = members("gfn", gfns), members("vcpu", vcpus)
    kind = EnumSort("kind", ("shared", "private"))
    pick_sort, spte_sort = OptionSort(gfn), OptionSort(kind)
    nobody, none = lit(none_of(pick_sort)), lit(none_of(spte_sort))
    attr, spte = Var("attr", (gfn,), kind), Var("spte", (gfn,), spte_sort)
    busy, fresh = Var("in_progress", (), BOOL), Var("fresh", (vcpu,), BOOL)
    pick, priv = Var("pick", (vcpu,), pick_sort, VarKind.LOCAL), Var("priv", (vcpu,), kind, VarKind.LOCAL)
    cpick, cto = Var("cpick", (), pick_sort, VarKind.LOCAL), Var("cto", (), kind, VarKind.LOCAL)
    g, v, u, w, to = Param("g", gfn), Param("v", vcpu), Param("u", vcpu), Param("w", vcpu), Param("to", kind)
    fault, convert = Proc("fault", 6, (v,)), Proc("convert", 7)
    free = and_(not_(convert.among(2, 3, 6)), not_(exists((w,), fault.among(4, 5, who=(w,)))))
    stale: Expr = is_true(busy)
    if not broken:
        stale = or_(stale, not_(Read(fresh, (v,))))
    mine = Read(pick, (v,))
    drop = (put(fresh, v, 0), put(pick, v, nobody), put(priv, v, 0))
    commands = (
        fault.step(0, 1, TRUE, put(pick, v, g), choices=(g,)),
        fault.step(1, 2, TRUE, put(fresh, v, 1)),
        fault.step(2, 3, TRUE, put(priv, v, Read(attr, (mine,)))),
        fault.step(3, 4, free),
        fault.step(4, 0, stale, *drop),
        fault.step(4, 5, not_(stale), put(spte, mine, Read(priv, (v,)))),
        fault.step(5, 0, TRUE, *drop),
        convert.step(0, 1, TRUE, put(cpick, g), put(cto, to), choices=(g, to)),
        convert.step(1, 2, free),
        convert.step(2, 3, TRUE, put(busy, 1)),
        convert.step(3, 4, TRUE, put(spte, Read(cpick), none)),
        convert.step(4, 5, TRUE, put(attr, Read(cpick), Read(cto))),
        convert.step(5, 6, free),
        convert.step(6, 0, TRUE, put(busy, 0), put(cpick, nobody), put(cto, 0), Update(fresh, (u,), lit(0), (u,))),
    )
    bad = and_(not_(is_true(busy)), ne(Read(spte, (g,)), none), ne(Read(spte, (g,)), Read(attr, (g,))))
    variables = ((attr, 0), (spte, none), (busy, 0), (fresh, 0), (pick, nobody), (priv, 0), (cpick, nobody), (cto, 0))
    return system("fault_vs_conversion", sizes, variables, (fault, convert), commands, Target((Case((g,), bad),)))


def snp_remap(sizes: Sequence[int], *, broken: bool) -> Flat:
    """A host that maps and assigns pages at will; the guest validates on demand (broken) or each gfn once."""
    gfns, pfns = sizes
    gfn, pfn = members("gfn", gfns), members("pfn", pfns)
    owner_sort, map_sort, pick_sort = OptionSort(gfn), OptionSort(pfn), OptionSort(gfn)
    unmapped, nobody = lit(none_of(map_sort)), lit(none_of(pick_sort))
    owner, validated = Var("owner", (pfn,), owner_sort), Var("validated", (pfn,), BOOL)
    latest, npt = Var("latest", (pfn,), BOOL), Var("npt", (gfn,), map_sort)
    accepted, written = Var("accepted", (gfn,), BOOL), Var("written", (gfn,), BOOL)
    pick = Var("pick", (), pick_sort, VarKind.LOCAL)
    p, q, g = Param("p", pfn), Param("q", pfn), Param("g", gfn)
    to, page = Param("to", owner_sort), Param("page", map_sort)
    host, guest = Proc("host", 1, kind=ThreadKind.ADVERSARY), Proc("guest", 3)
    at, mine = Read(npt, (g,)), Read(npt, (Read(pick),))
    assigned = and_(ne(at, unmapped), eq(Read(owner, (at,)), g))
    usable = and_(assigned, Read(validated, (at,)))
    tampered = FALSE if broken else Read(accepted, (Read(pick),))
    walk = and_(ne(mine, unmapped), eq(Read(owner, (mine,)), Read(pick)))
    commands = (
        host.step(
            0,
            0,
            TRUE,
            put(validated, p, 0),
            Update(latest, (p,), lit(0), where=ne(Read(owner, (p,)), to)),
            put(owner, p, to),
            choices=(p, to),
        ),
        host.step(0, 0, TRUE, put(npt, g, page), choices=(g, page)),
        guest.step(0, 1, and_(assigned, not_(Read(validated, (at,)))), put(pick, g), choices=(g,)),
        guest.step(
            0,
            0,
            usable,
            Update(latest, (q,), lit(0), (q,), eq(Read(owner, (q,)), g)),
            put(latest, at, 1),
            put(written, g, 1),
            choices=(g,),
        ),
        guest.step(1, 2, tampered, put(pick, nobody)),
        guest.step(
            1,
            0,
            not_(tampered),
            Update(validated, (mine,), lit(1), where=walk),
            put(accepted, Read(pick), 1),
            put(pick, nobody),
        ),
    )
    bad = and_(guest.at(0), usable, Read(written, (g,)), not_(Read(latest, (at,))))
    variables = (
        (owner, none_of(owner_sort)),
        (validated, 0),
        (latest, 0),
        (npt, unmapped),
        (accepted, 0),
        (written, 0),
        (pick, nobody),
    )
    return system("snp_remap", sizes, variables, (host, guest), commands, Target((Case((g,), bad),)))


def populate_locking(sizes: Sequence[int], *, broken: bool) -> Flat:
    """Populate, user faults and remaps under two fair rwsems: the bad states are those in which nobody can move.

    Who holds or waits for a lock follows from where the threads stand; a waiting writer holds back new readers.
    Broken: populate reads user memory (takes the map lock) with the invalidate lock held, repaired: before it.
    """
    populates, faults, remaps, gfns = sizes
    gfn = members("gfn", gfns)
    pick_sort = OptionSort(gfn)
    nobody = lit(none_of(pick_sort))
    present = Var("present", (gfn,), BOOL)
    p, f, r = Param("p", members("p", populates)), Param("f", members("f", faults)), Param("r", members("r", remaps))
    p2, f2, r2, g = Param("p2", p.sort), Param("f2", f.sort), Param("r2", r.sort), Param("g", gfn)
    pick = Var("pick", (p.sort,), pick_sort, VarKind.LOCAL)
    populate, fault, remap = Proc("populate", 5, (p,)), Proc("fault", 4, (f,)), Proc("remap", 3, (r,))
    reading, waiting, filling = ((3,), (1,), (2, 3, 4)) if broken else ((2,), (3,), (4,))  # where populate does what
    no_writer = not_(exists((r2,), remap.among(1, 2, who=(r2,))))
    no_reader = not_(
        or_(exists((p2,), populate.among(*reading, who=(p2,))), exists((f2,), fault.among(1, 2, 3, who=(f2,))))
    )
    no_filler = not_(exists((p2,), populate.among(*filling, who=(p2,))))
    nobody_fills_or_waits = not_(exists((p2,), populate.among(*waiting, *filling, who=(p2,))))
    fillable = and_(no_filler, not_(exists((f2,), fault.among(2, who=(f2,)))))
    middle = (
        (populate.step(1, 2, fillable), populate.step(2, 3, no_writer), populate.step(3, 4, TRUE))
        if broken
        else (populate.step(1, 2, no_writer), populate.step(2, 3, TRUE), populate.step(3, 4, fillable))
    )
    commands = (
        populate.step(0, 1, TRUE, put(pick, p, g), choices=(g,)),
        *middle,
        populate.step(4, 0, TRUE, put(present, Read(pick, (p,)), 1), put(pick, p, nobody)),
        fault.step(0, 1, no_writer),
        fault.step(1, 2, nobody_fills_or_waits),
        fault.step(2, 3, TRUE),
        fault.step(3, 0, TRUE),
        remap.step(0, 1, TRUE),
        remap.step(1, 2, and_(no_reader, not_(exists((r2,), remap.among(2, who=(r2,)))))),
        remap.step(2, 0, TRUE),
    )
    stuck = and_(*(forall(c.params[:1], not_(c.guard)) for c in commands))
    return system(
        "populate_locking",
        sizes,
        ((present, 0), (pick, nobody)),
        (populate, fault, remap),
        commands,
        Target((Case((), stuck),)),
    )


PROTOCOLS: dict[str, Callable[..., Flat]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
}


# --------------------------------------------------------------------------------------------------------------------
# Short ways to write systems


@dataclass(frozen=True)
class Proc:
    """A thread class with ``size`` locations."""

    name: str
    size: int
    params: tuple[Param, ...] = ()
    kind: ThreadKind = ThreadKind.ENVIRONMENT

    def pc(self) -> Var:
        """Where its instances stand."""
        return Var(f"{self.name}.pc", tuple(p.sort for p in self.params), RangeSort(0, self.size - 1), VarKind.PC)

    def at(self, location: int, who: tuple[Param, ...] | None = None) -> Expr:
        """The instance ``who`` (by default the one that moves) stands at ``location``."""
        return eq(Read(self.pc(), self.params if who is None else who), lit(location))

    def among(self, *locations: int, who: tuple[Param, ...] | None = None) -> Expr:
        """It stands at one of ``locations``."""
        return or_(*(self.at(k, who) for k in locations))

    def step(
        self, source: int, target: int, guard: Expr, *updates: Update, choices: tuple[Param, ...] = ()
    ) -> Transition:
        """One command."""
        moved = (Update(self.pc(), self.params, lit(target)),) if source != target else ()
        name = f"{self.name} {source} to {target}"
        here = and_(self.at(source), guard)
        return Transition(
            name, self.name, (*self.params, *choices), here, (*updates, *moved), (), source, target, ORIGIN, text=name
        )

    def declared(self) -> ThreadClass:
        """The class itself."""
        places = tuple(Location(k, str(k)) for k in range(self.size))
        return ThreadClass(self.name, self.kind, self.params, TRUE, self.pc(), places, TRUE)


def members(name: str, size: int) -> ScalarSort:
    """A scalarset of ``size`` members."""
    return ScalarSort(name, tuple(f"{name}{k}" for k in range(size)))


def put(var: Var, *rest: Expr | int) -> Update:
    """``var[index] := value``; the value comes last."""
    *index, value = (lit(x) if isinstance(x, int) else x for x in rest)
    return Update(var, tuple(index), value)


def is_true(var: Var) -> Expr:
    """The value of a boolean without index."""
    return Read(var)


def system(
    name: str,
    sizes: Sequence[int],
    variables: Sequence[tuple[Var, Lit | int]],
    procs: Sequence[Proc],
    commands: Sequence[Transition],
    bad: Target,
) -> Flat:
    """The system with one claim: ``bad`` is never reached."""
    everything = [*variables, *((p.pc(), 0) for p in procs)]
    scalarsets: dict[ScalarSort, None] = {}
    sorts: list[Sort] = [s for v, _ in everything for s in (*v.index, v.sort)]
    for sort in sorts:
        found = scalarset_of(sort)
        if found is not None:
            scalarsets[found] = None
    built = System(
        name,
        tuple(scalarsets),
        tuple(v for v, _ in everything),
        tuple(lit(d) if isinstance(d, int) else d for _, d in everything),
        (InitCase(),),
        tuple(p.declared() for p in procs),
        tuple(commands),
        properties=(Property("claim", "claim", "invariant", Wish.NEVER, bad, "never bad"),),
        instance=",".join(str(k) for k in sizes),
    )
    return built, bad


# --------------------------------------------------------------------------------------------------------------------
# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one protocol and print what was found; 0 if it holds, 1 if it is violated, 3 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flat")
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("sizes")
    parser.add_argument("variant", choices=("repaired", "broken"))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--orbits", action="store_true")
    parser.add_argument("--any", action="store_true", dest="any_size")
    parser.add_argument("--timeout", type=float, default=None)
    given = parser.parse_args(arguments)
    make, broken = PROTOCOLS[given.protocol], given.variant == "broken"
    sizes = [int(k) for k in given.sizes.split(",")]
    built, _ = make(sizes, broken=broken)
    if given.count or given.orbits:
        print(explore(built, (), Budget(), symmetry=given.orbits, to_the_end=True).states)
        return 0
    if given.any_size:
        budget = Budget(deadline=time.monotonic() + (given.timeout or 120.0))
        answer = prove_any_size(lambda k: Seed(*make([s + k for s in sizes], broken=broken)), budget)
        print(
            f"not for any size: {answer.reason}"
            if isinstance(answer, Refusal)
            else f"holds for any number of {', '.join(answer.any_size)}"
        )
        return 3 if isinstance(answer, Refusal) else 0
    (finding,) = check_system(built, engine=engine_named(given.engine), timeout=given.timeout)
    match finding.outcome:
        case Holds():
            print(f"holds: by {type(finding.outcome.by).__name__}")
            return 0
        case Violated():
            assert isinstance(finding.evidence, Evidence)
            print(
                f"violated in {finding.outcome.steps} steps" + ("" if finding.outcome.shortest else " (not shortest)")
            )
            return 1
        case _:
            print(f"open: {finding.outcome}")
            return 3


if __name__ == "__main__":
    raise SystemExit(main())
