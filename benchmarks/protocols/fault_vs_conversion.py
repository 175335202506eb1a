"""`fault_vs_conversion` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, is_true, members, put, system
from protocheck.ir.expr import TRUE, Expr, Param, Read, Var, VarKind, and_, lit, ne, not_, or_
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, none_of
from protocheck.ir.system import Case, Target, Update


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> Flat:
    """Page faults (6 commands) against a conversion (7); broken: a fault does not ask whether its view is fresh.

    A thread that returns to its first command forgets what it picked. Whether the lock is free follows from where the
    threads stand; that it has a bit of its own adds no state, and makes the proof shorter.
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
    g, v, u, to = Param("g", gfn), Param("v", vcpu), Param("u", vcpu), Param("to", kind)
    fault, convert = Proc("fault", 6, (v,)), Proc("convert", 7)
    lock = Var("lock", (), BOOL)
    free, take, let_go = not_(is_true(lock)), put(lock, 1), put(lock, 0)
    stale: Expr = is_true(busy)
    if not broken:
        stale = or_(stale, not_(Read(fresh, (v,))))
    mine = Read(pick, (v,))
    drop = (let_go, put(fresh, v, 0), put(pick, v, nobody), put(priv, v, 0))
    commands = (
        fault.step(0, 1, TRUE, put(pick, v, g), choices=(g,)),
        fault.step(1, 2, TRUE, put(fresh, v, 1)),
        fault.step(2, 3, TRUE, put(priv, v, Read(attr, (mine,)))),
        fault.step(3, 4, free, take),
        fault.step(4, 0, stale, *drop),
        fault.step(4, 5, not_(stale), put(spte, mine, Read(priv, (v,)))),
        fault.step(5, 0, TRUE, *drop),
        convert.step(0, 1, TRUE, put(cpick, g), put(cto, to), choices=(g, to)),
        convert.step(1, 2, free, take),
        convert.step(2, 3, TRUE, put(busy, 1)),
        convert.step(3, 4, TRUE, put(spte, Read(cpick), none), let_go),
        convert.step(4, 5, TRUE, put(attr, Read(cpick), Read(cto))),
        convert.step(5, 6, free, take),
        convert.step(
            6, 0, TRUE, let_go, put(busy, 0), put(cpick, nobody), put(cto, 0), Update(fresh, (u,), lit(0), (u,))
        ),
    )
    bad = and_(not_(is_true(busy)), ne(Read(spte, (g,)), none), ne(Read(spte, (g,)), Read(attr, (g,))))
    variables = (
        (lock, 0),
        (attr, 0),
        (spte, none),
        (busy, 0),
        (fresh, 0),
        (pick, nobody),
        (priv, 0),
        (cpick, nobody),
        (cto, 0),
    )
    return system("fault_vs_conversion", sizes, variables, (fault, convert), commands, Target((Case((g,), bad),)))
