"""The protocol of a guest page fault racing with a conversion of memory attributes, as flat commands.

Written from the list of commands in the project's own design notes, from where the state counts come as well: two
established checkers and a search by hand agree on them.
"""

from __future__ import annotations

from build import ex, is_, move, never, put, read, system, thread

from protocheck.ir.expr import Param, Var, and_, ne, not_, or_
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, ScalarSort, none_of
from protocheck.ir.system import System, Target

KIND = EnumSort("kind", ("shared", "private"))


def fault_vs_conversion(gfns: int, vcpus: int, buggy: bool = False, reset: bool = False) -> tuple[System, Target]:
    """The system of ``gfns`` pages and ``vcpus`` faulting vCPUs, and the states in which a mapping is stale.

    ``buggy``: the fault forgets to ask whether its view is still fresh. ``reset``: a thread that returns to its first
    command forgets what it picked.
    """
    gfn = ScalarSort("gfn", tuple(f"g{k}" for k in range(gfns)))
    vcpu = ScalarSort("vcpu", tuple(f"v{k}" for k in range(vcpus)))
    g, v, u, to = Param("g", gfn), Param("v", vcpu), Param("u", vcpu), Param("to", KIND)
    spte_sort, lock_sort = OptionSort(KIND), OptionSort(vcpu)
    pick_sort = OptionSort(gfn) if reset else gfn
    none, free = none_of(spte_sort), none_of(lock_sort)
    converter = free + 1
    lock_sort = OptionSort(lock_sort)
    nobody = gfns
    attr, spte = Var("attr", (gfn,), KIND), Var("spte", (gfn,), spte_sort)
    lock, busy = Var("lock", (), lock_sort), Var("in_progress", (), BOOL)
    pick, priv = Var("pick", (vcpu,), pick_sort), Var("priv", (vcpu,), KIND)
    fresh = Var("fresh", (vcpu,), BOOL)
    cpick, cto = Var("cpick", (), pick_sort), Var("cto", (), KIND)
    fault = thread("vcpu", 6, (v,))
    conv = thread("converter", 7)
    again = read(busy) if buggy else or_(read(busy), not_(read(fresh, v)))
    forget = [put(pick, v, nobody), put(priv, v, 0)] if reset else []
    cforget = [put(cpick, nobody), put(cto, 0)] if reset else []
    moves = [
        move(fault, 0, 1, True, [put(pick, v, g)], (g,), name="pick"),
        move(fault, 1, 2, True, [put(fresh, v, 1)], name="snapshot"),
        move(fault, 2, 3, True, [put(priv, v, read(attr, read(pick, v)))], name="read attribute"),
        move(fault, 3, 4, is_(lock, free), [put(lock, v)], name="lock"),
        move(fault, 4, 0, again, [put(lock, free), put(fresh, v, 0), *forget], name="retry"),
        move(fault, 4, 5, not_(again), [put(spte, read(pick, v), read(priv, v))], name="map"),
        move(fault, 5, 0, True, [put(lock, free), put(fresh, v, 0), *forget], name="unlock"),
        move(conv, 0, 1, True, [put(cpick, g), put(cto, to)], (g, to), name="begin conversion"),
        move(conv, 1, 2, is_(lock, free), [put(lock, converter)], name="lock to invalidate"),
        move(conv, 2, 3, True, [put(busy, 1)], name="in progress"),
        move(conv, 3, 4, True, [put(spte, read(cpick), none), put(lock, free)], name="zap"),
        move(conv, 4, 5, True, [put(attr, read(cpick), read(cto))], name="set attribute"),
        move(conv, 5, 6, is_(lock, free), [put(lock, converter)], name="lock to finish"),
        move(conv, 6, 0, True, [put(busy, 0), put(lock, free), put(fresh, u, 0, binders=(u,)), *cforget], name="done"),
    ]
    built = system(
        f"fault_vs_conversion({gfns},{vcpus})",
        [
            (attr, 0),
            (spte, none),
            (lock, free),
            (busy, 0),
            (pick, nobody if reset else 0),
            (priv, 0),
            (fresh, 0),
            (cpick, nobody if reset else 0),
            (cto, 0),
        ],
        [fault, conv],
        moves,
    )
    stale = and_(not_(read(busy)), ne(read(spte, g), ex(none)), ne(read(spte, g), read(attr, g)))
    return built, never(stale, g)
