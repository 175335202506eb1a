"""Two protocols of the kind the engines are built for, written directly as transition systems."""

from __future__ import annotations

from protocheck.ir.expr import FALSE, TRUE, Expr, Param, Read, Var, VarKind, and_, eq, lit, ne, not_, or_
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort, none_of
from protocheck.ir.system import (
    Case,
    InitCase,
    Location,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
)
from protocheck.source import Origin, SourceFile, Span

ORIGIN = Origin(Span(SourceFile("test.pchk", ""), 0, 0))


def scalarset(name: str, prefix: str, size: int, named: int = 0) -> ScalarSort:
    """A scalarset of ``size`` members ``prefix0``, ``prefix1``, ..."""
    return ScalarSort(name, tuple(f"{prefix}{i}" for i in range(size)), named)


def transition(
    name: str,
    thread: str,
    params: tuple[Param, ...],
    guard: Expr,
    updates: tuple[Update, ...],
    source: int = 0,
    target: int = 0,
) -> Transition:
    """A transition without checks."""
    return Transition(name, thread, params, guard, updates, (), source, target, ORIGIN, text=name)


def never(cond: Expr, *params: Param) -> Target:
    """The target of states in which ``cond`` is true for some value of ``params``."""
    return Target((Case(params, cond),))


def fault_vs_conversion(
    gfns: int, vcpus: int, *, broken: bool = False, reset: bool = False
) -> tuple[System, Target]:
    """The commands of the protocol one step each; the broken variant's bug is 12 steps deep.

    Locals are never reset, or with ``reset`` to their first value when a fault is over.
    """
    gfn, vcpu = scalarset("gfn", "g", gfns), scalarset("vcpu", "v", vcpus)
    kind = EnumSort("kind", ("shared", "private"))
    spte_sort = OptionSort(kind)
    none = lit(none_of(spte_sort))
    lock_sort = OptionSort(OptionSort(vcpu))  # a vcpu, the converter, or free
    converter, free = lit(vcpus), lit(vcpus + 1)
    pc = Var("pc", (vcpu,), RangeSort(0, 5), VarKind.PC)
    cpc = Var("cpc", (), RangeSort(0, 6), VarKind.PC)
    pick = Var("pick", (vcpu,), gfn, VarKind.LOCAL)
    priv = Var("priv", (vcpu,), kind, VarKind.LOCAL)
    fresh = Var("fresh", (vcpu,), BOOL, VarKind.HIDDEN)
    cpick = Var("cpick", (), gfn, VarKind.LOCAL)
    cto = Var("cto", (), kind, VarKind.LOCAL)
    attr = Var("attr", (gfn,), kind)
    spte = Var("spte", (gfn,), spte_sort)
    busy = Var("in_progress", (), BOOL)
    lock = Var("lock", (), lock_sort, VarKind.LOCK)
    variables = (pc, cpc, pick, priv, fresh, cpick, cto, attr, spte, busy, lock)
    defaults: tuple[Expr, ...] = (lit(0),) * 8 + (none, lit(0), free)
    v, g, to, w = Param("v", vcpu), Param("g", gfn), Param("to", kind), Param("w", vcpu)

    def at(k: int) -> Expr:
        return eq(Read(pc, (v,)), lit(k))

    def go(k: int) -> Update:
        return Update(pc, (v,), lit(k))

    def cat(k: int) -> Expr:
        return eq(Read(cpc), lit(k))

    def cgo(k: int) -> Update:
        return Update(cpc, (), lit(k))

    mine = Read(pick, (v,))
    stale: Expr = ne(Read(busy), lit(0))
    if not broken:
        stale = or_(stale, not_(Read(fresh, (v,))))
    drop: tuple[Update, ...] = (Update(lock, (), free), Update(fresh, (v,), lit(0)), go(0))
    if reset:
        drop = (*drop, Update(pick, (v,), lit(0)), Update(priv, (v,), lit(0)))
    is_free = eq(Read(lock), free)
    transitions = (
        transition("pick", "fault", (v, g), at(0), (Update(pick, (v,), g), go(1)), 0, 1),
        transition("snap", "fault", (v,), at(1), (Update(fresh, (v,), lit(1)), go(2)), 1, 2),
        transition("look", "fault", (v,), at(2), (Update(priv, (v,), Read(attr, (mine,))), go(3)), 2, 3),
        transition("lock", "fault", (v,), and_(at(3), is_free), (Update(lock, (), v), go(4)), 3, 4),
        transition("retry", "fault", (v,), and_(at(4), stale), drop, 4, 0),
        transition(
            "map", "fault", (v,), and_(at(4), not_(stale)), (Update(spte, (mine,), Read(priv, (v,))), go(5)), 4, 5
        ),
        transition("unlock", "fault", (v,), at(5), drop, 5, 0),
        transition("cpick", "convert", (g, to), cat(0), (Update(cpick, (), g), Update(cto, (), to), cgo(1)), 0, 1),
        transition("clock", "convert", (), and_(cat(1), is_free), (Update(lock, (), converter), cgo(2)), 1, 2),
        transition("begin", "convert", (), cat(2), (Update(busy, (), lit(1)), cgo(3)), 2, 3),
        transition(
            "zap", "convert", (), cat(3), (Update(spte, (Read(cpick),), none), Update(lock, (), free), cgo(4)), 3, 4
        ),
        transition("set", "convert", (), cat(4), (Update(attr, (Read(cpick),), Read(cto)), cgo(5)), 4, 5),
        transition("clock2", "convert", (), and_(cat(5), is_free), (Update(lock, (), converter), cgo(6)), 5, 6),
        transition(
            "end",
            "convert",
            (),
            cat(6),
            (Update(busy, (), lit(0)), Update(lock, (), free), Update(fresh, (w,), lit(0), (w,)), cgo(0)),
            6,
            0,
        ),
    )
    threads = (
        ThreadClass("fault", ThreadKind.ENVIRONMENT, (v,), TRUE, pc, _locations(6), at(0)),
        ThreadClass("convert", ThreadKind.ENVIRONMENT, (), TRUE, cpc, _locations(7), cat(0)),
    )
    system = System(
        "fault_vs_conversion", (gfn, vcpu), variables, defaults, (InitCase(),), threads, transitions
    )
    bad = and_(eq(Read(busy), lit(0)), ne(Read(spte, (g,)), none), ne(Read(spte, (g,)), Read(attr, (g,))))
    return system, never(bad, g)


def _locations(count: int) -> tuple[Location, ...]:
    return tuple(Location(i, str(i)) for i in range(count))


def snp_remap(gfns: int, pfns: int, *, broken: bool = False) -> tuple[System, Target]:
    """A host that remaps at will against a guest that validates on demand (broken) or once (repaired)."""
    gfn, pfn = scalarset("gfn", "g", gfns), scalarset("pfn", "p", pfns)
    owner_sort, map_sort = OptionSort(gfn), OptionSort(pfn)
    owner = Var("owner", (pfn,), owner_sort)
    validated = Var("validated", (pfn,), BOOL)
    latest = Var("latest", (pfn,), BOOL, VarKind.GHOST)
    npt = Var("npt", (gfn,), map_sort)
    accepted = Var("accepted", (gfn,), BOOL)
    written = Var("written", (gfn,), BOOL, VarKind.GHOST)
    host_pc = Var("host_pc", (), RangeSort(0, 0), VarKind.PC)
    vm_pc = Var("vm_pc", (), RangeSort(0, 2), VarKind.PC)
    pick = Var("pick", (), gfn, VarKind.LOCAL)
    p, q, g, to = Param("p", pfn), Param("q", pfn), Param("g", gfn), Param("to", owner_sort)
    page = Param("page", map_sort)
    unmapped = lit(none_of(map_sort))
    at = Read(npt, (g,))
    mine = Read(npt, (Read(pick),))

    def here(k: int) -> Expr:
        return eq(Read(vm_pc), lit(k))

    ok = and_(here(0), ne(at, unmapped), eq(Read(owner, (at,)), g))
    usable = and_(ok, ne(Read(validated, (at,)), lit(0)))
    validate = Update(
        validated, (mine,), lit(1), where=and_(ne(mine, unmapped), eq(Read(owner, (mine,)), Read(pick)))
    )
    must_stop = FALSE if broken else ne(Read(accepted, (Read(pick),)), lit(0))
    transitions = (
        transition(
            "rmpupdate",
            "host",
            (p, to),
            TRUE,
            (
                Update(validated, (p,), lit(0)),
                Update(latest, (p,), lit(0), where=ne(Read(owner, (p,)), to)),
                Update(owner, (p,), to),
            ),
        ),
        transition("set", "host", (g, page), TRUE, (Update(npt, (g,), page),)),
        transition("check", "vm", (g,), and_(ok, not_(Read(validated, (at,)))), (Update(pick, (), g), _to(vm_pc, 1))),
        transition(
            "write",
            "vm",
            (g,),
            usable,
            (
                Update(latest, (q,), lit(0), (q,), eq(Read(owner, (q,)), g)),
                Update(latest, (at,), lit(1)),
                Update(written, (g,), lit(1)),
            ),
        ),
        transition("stop", "vm", (), and_(here(1), must_stop), (_to(vm_pc, 2),), 1, 2),
        transition(
            "validate",
            "vm",
            (),
            and_(here(1), not_(must_stop)),
            (validate, Update(accepted, (Read(pick),), lit(1)), _to(vm_pc, 0)),
            1,
            0,
        ),
    )
    threads = (
        ThreadClass("host", ThreadKind.ADVERSARY, (), TRUE, host_pc, _locations(1), TRUE),
        ThreadClass("vm", ThreadKind.ENVIRONMENT, (), TRUE, vm_pc, _locations(3), TRUE),
    )
    variables = (owner, validated, latest, npt, accepted, written, host_pc, vm_pc, pick)
    defaults: tuple[Expr, ...] = (
        lit(none_of(owner_sort)), lit(0), lit(0), unmapped, lit(0), lit(0), lit(0), lit(0), lit(0)
    )
    system = System("snp_remap", (gfn, pfn), variables, defaults, (InitCase(),), threads, transitions)
    replayed = and_(usable, ne(Read(written, (g,)), lit(0)), not_(Read(latest, (at,))))
    return system, never(replayed, g)


def _to(pc: Var, location: int) -> Update:
    return Update(pc, (), lit(location))
