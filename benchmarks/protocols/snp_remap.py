"""`snp_remap` as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.guarded import Flat, Proc, members, put, system
from protocheck.ir.expr import FALSE, TRUE, Param, Read, Var, VarKind, and_, eq, lit, ne, not_
from protocheck.ir.sorts import BOOL, OptionSort, none_of
from protocheck.ir.system import Case, Target, ThreadKind, Update


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
