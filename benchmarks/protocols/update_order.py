"""`update_order` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, is_true, members, put, system
from protocheck.ir.expr import TRUE, Param, Read, Var, VarKind, and_, exists, lit, not_, or_
from protocheck.ir.sorts import BOOL, OptionSort, none_of
from protocheck.ir.system import Case, Target, Update


def update_order(sizes: Sequence[int], *, broken: bool) -> Flat:
    """Faults (5 commands) map a range large unless its mixed bit forbids it; a change (7) keeps the bit up to date.

    Broken: the change ends its invalidation before it looks at the pages again. Whether the lock is free follows from
    where the threads stand; that it has a bit of its own adds no state, and makes the proof shorter.
    """
    pages, vcpus = sizes
    page, vcpu = members("page", pages), members("vcpu", vcpus)
    pick_sort = OptionSort(page)
    nobody = lit(none_of(pick_sort))
    shared, mixed, large = Var("shared", (page,), BOOL), Var("mixed", (), BOOL), Var("large", (), BOOL)
    busy, fresh = Var("in_progress", (), BOOL), Var("fresh", (vcpu,), BOOL)
    pick, value = Var("pick", (), pick_sort, VarKind.LOCAL), Var("value", (), BOOL, VarKind.LOCAL)
    g, h, to = Param("g", page), Param("h", page), Param("to", BOOL)
    v, u = Param("v", vcpu), Param("u", vcpu)
    fault, change = Proc("fault", 5, (v,)), Proc("change", 7)
    lock = Var("lock", (), BOOL)
    free, take, drop = not_(is_true(lock)), put(lock, 1), put(lock, 0)
    differ = and_(exists((g,), Read(shared, (g,))), exists((g,), not_(Read(shared, (g,)))))
    stale = or_(is_true(busy), not_(Read(fresh, (v,))))
    look = (Update(mixed, (), differ),)
    finish = (drop, put(busy, 0), Update(fresh, (u,), lit(0), (u,)))
    forget = (put(pick, nobody), put(value, 0))
    repaired = (
        change.step(4, 5, TRUE, *look),
        change.step(5, 6, free, take),
        change.step(6, 0, TRUE, *finish, *forget),
    )
    early = (
        change.step(4, 5, free, take),
        change.step(5, 6, TRUE, *finish),
        change.step(6, 0, TRUE, *look, *forget),
    )
    commands = (
        fault.step(0, 1, TRUE, put(fresh, v, 1)),
        fault.step(1, 0, is_true(mixed), put(fresh, v, 0)),
        fault.step(1, 2, not_(is_true(mixed))),
        fault.step(2, 3, free, take),
        fault.step(3, 0, stale, put(fresh, v, 0), drop),
        fault.step(3, 4, not_(stale), put(large, 1)),
        fault.step(4, 0, TRUE, put(fresh, v, 0), drop),
        change.step(0, 1, TRUE, put(pick, g), put(value, to), choices=(g, to)),
        change.step(1, 2, free, take),
        change.step(2, 3, TRUE, put(busy, 1), put(large, 0), drop),
        change.step(3, 4, TRUE, put(shared, Read(pick), Read(value))),
        *(early if broken else repaired),
    )
    bad = and_(change.at(0), is_true(large), Read(shared, (g,)), not_(Read(shared, (h,))))
    variables = ((lock, 0), (shared, 0), (mixed, 0), (large, 0), (busy, 0), (fresh, 0), (pick, nobody), (value, 0))
    return system("update_order", sizes, variables, (fault, change), commands, Target((Case((g, h), bad),)))
