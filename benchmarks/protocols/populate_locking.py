"""`populate_locking` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, members, put, system
from protocheck.ir.expr import TRUE, Param, Read, Var, VarKind, and_, exists, forall, lit, not_, or_
from protocheck.ir.sorts import BOOL, OptionSort, none_of
from protocheck.ir.system import Case, Target


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
