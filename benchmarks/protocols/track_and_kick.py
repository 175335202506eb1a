"""`track_and_kick` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, members, put, system
from protocheck.ir.expr import TRUE, Expr, Param, Read, Var, VarKind, and_, exists, lit, not_, or_
from protocheck.ir.sorts import BOOL, OptionSort, none_of
from protocheck.ir.system import Case, Target, Update


def track_and_kick(sizes: Sequence[int], *, broken: bool) -> Flat:
    """A zap takes page after page from a TD, whose vCPUs enter, leave, and keep translations until they enter anew.

    A vCPU is ``current`` if it has entered since the last TRACK, and flushes when it enters if it is not. Broken: the
    zap does not kick, and frees the page although the module refuses to remove it.
    """
    gfns, vcpus = sizes
    gfn, vcpu = members("gfn", gfns), members("vcpu", vcpus)
    pick_sort = OptionSort(gfn)
    nobody = lit(none_of(pick_sort))
    removed, blocked = Var("removed", (gfn,), BOOL), Var("blocked", (gfn,), BOOL)
    tracked, freed = Var("tracked", (gfn,), BOOL), Var("freed", (gfn,), BOOL)
    cached = Var("cached", (vcpu, gfn), BOOL)
    inside, current = Var("inside", (vcpu,), BOOL), Var("current", (vcpu,), BOOL)
    pick = Var("pick", (), pick_sort, VarKind.LOCAL)
    g, h, v, u, w = Param("g", gfn), Param("h", gfn), Param("v", vcpu), Param("u", vcpu), Param("w", vcpu)
    run, zap = Proc("run", 1, (v,)), Proc("zap", 6)
    mine = Read(pick)
    reached = or_(Read(cached, (v, g)), and_(not_(Read(removed, (g,))), not_(Read(blocked, (g,)))))
    lagging = exists((w,), and_(Read(inside, (w,)), not_(Read(current, (w,)))))
    removable: Expr = and_(Read(blocked, (mine,)), Read(tracked, (mine,)), not_(lagging))
    track = (Update(current, (u,), lit(0), (u,)), Update(tracked, (h,), Read(blocked, (h,)), (h,)))
    kick = (Update(inside, (u,), lit(0), (u,)),)
    remove = (put(removed, mine, 1), put(blocked, mine, 0))
    refused = zap.step(4, 5, not_(removable)) if broken else zap.step(4, 0, not_(removable), put(pick, nobody))
    commands = (
        run.step(
            0,
            0,
            not_(Read(inside, (v,))),
            Update(cached, (v, h), lit(0), (h,), not_(Read(current, (v,)))),
            put(inside, v, 1),
            put(current, v, 1),
        ),
        run.step(0, 0, Read(inside, (v,)), put(inside, v, 0)),
        run.step(0, 0, and_(Read(inside, (v,)), reached), put(cached, v, g, 1), choices=(g,)),
        zap.step(0, 1, not_(Read(removed, (g,))), put(pick, g), choices=(g,)),
        zap.step(1, 2, TRUE, put(blocked, mine, 1), put(tracked, mine, 0)),
        zap.step(2, 2, lagging, *kick),
        zap.step(2, 4 if broken else 3, not_(lagging), *track),
        *(() if broken else (zap.step(3, 4, TRUE, *kick),)),
        zap.step(4, 5, removable, *remove),
        refused,
        zap.step(5, 0, TRUE, put(freed, mine, 1), put(pick, nobody)),
    )
    bad = and_(Read(inside, (v,)), reached, Read(freed, (g,)))
    variables = (
        (removed, 0),
        (blocked, 0),
        (tracked, 0),
        (freed, 0),
        (cached, 0),
        (inside, 0),
        (current, 0),
        (pick, nobody),
    )
    return system("track_and_kick", sizes, variables, (run, zap), commands, Target((Case((v, g), bad),)))
