"""`srcu_free` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, members, put, system
from protocheck.ir.expr import TRUE, Param, Read, Var, VarKind, and_, eq, exists, lit, ne, not_
from protocheck.ir.sorts import BOOL, OptionSort, none_of
from protocheck.ir.system import Case, Target, Update


def srcu_free(sizes: Sequence[int], *, broken: bool) -> Flat:
    """An update publishes set after set and frees the one before; readers use what they find within their section.

    Waiting for readers: those inside when it begins must leave before it ends. Broken: nobody waits.
    """
    vcpus, sets = sizes
    vcpu, slots = members("vcpu", vcpus), members("slots", sets)
    slot = OptionSort(slots)
    none = lit(none_of(slot))
    live, active = Var("live", (slots,), BOOL), Var("active", (), slot)
    owed = Var("owed", (vcpu,), BOOL)
    fresh, past = Var("fresh", (), slot, VarKind.LOCAL), Var("past", (), slot, VarKind.LOCAL)
    seen = Var("seen", (vcpu,), slot, VarKind.LOCAL)
    s, v, u, w = Param("s", slots), Param("v", vcpu), Param("u", vcpu), Param("w", vcpu)
    read, update = Proc("read", 4, (v,)), Proc("update", 4)
    gone, mine = Read(past), Read(seen, (v,))
    free = (put(live, gone, 0), put(past, none))
    commands = (
        read.step(0, 1, TRUE),
        read.step(1, 2, TRUE, put(seen, v, Read(active))),
        read.step(2, 3, TRUE),
        read.step(3, 0, TRUE, put(seen, v, none), put(owed, v, 0)),
        update.step(0, 1, not_(Read(live, (s,))), put(fresh, s), put(live, s, 1), choices=(s,)),
        update.step(1, 2, TRUE, put(past, Read(active)), put(active, Read(fresh)), put(fresh, none)),
        update.step(2, 0, eq(gone, none)),
        *(
            (update.step(2, 0, ne(gone, none), *free),)
            if broken
            else (
                update.step(2, 3, ne(gone, none), Update(owed, (u,), not_(read.at(0, (u,))), (u,))),
                update.step(3, 0, not_(exists((w,), Read(owed, (w,)))), *free),
            )
        ),
    )
    bad = and_(read.at(2), ne(mine, none), not_(Read(live, (mine,))))
    variables = ((live, 0), (active, none), (owed, 0), (fresh, none), (past, none), (seen, none))
    return system("srcu_free", sizes, variables, (read, update), commands, Target((Case((v,), bad),)))
