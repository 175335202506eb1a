"""Tiny systems, each with one thing that engines get wrong, and what is true of it.

``ZOO`` is the list that every engine must agree with. ``expected_depth`` is the length of the shortest run to the
target (a ``via`` step counts), or None if there is no run.
"""

from __future__ import annotations

from dataclasses import dataclass

from build import at, check, ex, is_, less, move, never, plus, put, read, system, thread

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Op,
    Param,
    Quant,
    Quantifier,
    Var,
    and_,
    apply,
    eq,
    exists,
    forall,
    implies,
    ite,
    ne,
    not_,
    or_,
)
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort, none_of
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    InitCase,
    PropertyTarget,
    System,
    Target,
    Transition,
    Wait,
    WaitsFor,
)


@dataclass(frozen=True)
class ZooCase:
    """A system, a target, and the length of the shortest run to it (None: unreachable)."""

    name: str
    system: System
    target: PropertyTarget
    expected_depth: int | None


def counter(lo: int, hi: int, first: int, last: int) -> tuple[System, Var]:
    """Counts from ``first`` to ``last`` in a variable of range ``lo..hi``, then stops."""
    x = Var("x", (), RangeSort(lo, hi))
    t = thread("t", 1)
    up = move(t, 0, 0, less(read(x), last), [put(x, plus(read(x), 1))])
    return system(f"count {first} to {last} in {lo}..{hi}", [(x, first)], [t], [up]), x


def _count(name: str, lo: int, hi: int, first: int, last: int, bad: int, depth: int | None) -> ZooCase:
    built, x = counter(lo, hi, first, last)
    return ZooCase(name, built, never(is_(x, bad)), depth)


def _framed() -> list[ZooCase]:
    x, y = Var("x", (), RangeSort(0, 3)), Var("y", (), BOOL)
    t = thread("t", 1)
    up = move(t, 0, 0, less(read(x), 3), [put(x, plus(read(x), 1))])
    built = system("one of two moves", [(x, 0), (y, 1)], [t], [up])
    return [
        ZooCase("what is not assigned stays", built, never(is_(y, 0)), None),
        ZooCase("what is assigned moves", built, never(and_(is_(x, 3), is_(y, 1))), 3),
    ]


def _swap() -> list[ZooCase]:
    x, y = Var("x", (), RangeSort(0, 2)), Var("y", (), RangeSort(0, 2))
    t = thread("t", 1)
    swap = move(t, 0, 0, True, [put(x, read(y)), put(y, read(x))])
    built = system("swap", [(x, 1), (y, 2)], [t], [swap])
    over = system("later wins", [(x, 0), (y, 0)], [t], [move(t, 0, 0, True, [put(x, 1), put(x, 2), put(y, read(x))])])
    return [
        ZooCase("assignments are simultaneous", built, never(and_(is_(x, 2), is_(y, 1))), 1),
        ZooCase("assignments never mix", built, never(eq(read(x), read(y))), None),
        ZooCase("the later assignment wins", over, never(is_(x, 2)), 1),
        ZooCase("the earlier assignment loses", over, never(is_(x, 1)), None),
        ZooCase("right sides read the state before", over, never(and_(is_(x, 2), is_(y, 2))), 2),
    ]


def _not_inductive() -> ZooCase:
    x = Var("x", (), RangeSort(0, 15))
    t = thread("t", 1)
    turn = move(t, 0, 0, True, [put(x, apply(Op.MOD, plus(read(x), 2), ex(16)))])
    return ZooCase("true but not inductive", system("even", [(x, 0)], [t], [turn]), never(is_(x, 7)), None)


def _no_transitions() -> list[ZooCase]:
    x = Var("x", (), BOOL)
    t = thread("t", 1)
    built = system("nothing moves", [(x, 0)], [t], [])
    return [
        ZooCase("no transitions, unreachable", built, never(is_(x, 1)), None),
        ZooCase("no transitions, at once", built, never(is_(x, 0)), 0),
        ZooCase("a target without cases", built, Target(()), None),
    ]


def _nondeterministic_init() -> list[ZooCase]:
    i = Param("i", RangeSort(0, 3))
    x, y = Var("x", (), RangeSort(0, 5)), Var("y", (), RangeSort(0, 5))
    t = thread("t", 1)
    up = move(t, 0, 0, less(read(x), 5), [put(x, plus(read(x), 1))])
    cases = (
        InitCase((i,), ne(i, ex(2)), (put(x, i),)),
        InitCase((), TRUE, (put(y, 1),)),
    )
    built = system("many beginnings", [(x, 0), (y, 0)], [t], [up], cases)
    return [
        ZooCase("the nearest beginning counts", built, never(is_(x, 5)), 2),
        ZooCase("a beginning that its guard forbids", built, never(is_(x, 2)), 1),
        ZooCase("each beginning keeps its own", built, never(and_(is_(x, 5), is_(y, 1))), 5),
        ZooCase("beginnings do not mix", built, never(and_(is_(y, 1), is_(x, 0), exists((i,), eq(i, read(y))))), 0),
    ]


def _no_beginning() -> ZooCase:
    x = Var("x", (), BOOL)
    t = thread("t", 1)
    built = system("no beginning", [(x, 0)], [t], [move(t, 0, 0)], (InitCase((), FALSE),))
    return ZooCase("a system that cannot begin", built, never(TRUE), None)


def _via() -> list[ZooCase]:
    x = Var("x", (), RangeSort(0, 4))
    c = Param("c", RangeSort(0, 1))
    d = Param("d", RangeSort(0, 1))
    t = thread("t", 1)
    up = move(t, 0, 0, less(read(x), 4), [put(x, plus(read(x), 1))], (c,), [check(ne(plus(read(x), c), ex(4)))])
    built = system("fault in a step", [(x, 0)], [t], [up])
    return [
        ZooCase("a fault in the last step", built, Target((Case((c,), is_(x, 2), 0, 0),)), 3),
        ZooCase("a fault that a choice makes", built, Target((Case((c,), eq(plus(read(x), c), ex(4)), 0, 0),)), 4),
        ZooCase("a fault in no step", built, Target((Case((c,), is_(x, 4), 0, 0),)), None),
        ZooCase("a fault in the first step", built, Target((Case((c,), is_(x, 0), 0),)), 1),
        ZooCase("more parameters than the step", built, Target((Case((c, d), and_(is_(x, 1), ne(c, d)), 0),)), 2),
        ZooCase("a state or a step", built, Target((Case((c,), is_(x, 1), 0), Case((), is_(x, 2)))), 2),
    ]


def _fatal() -> list[ZooCase]:
    x = Var("x", (), RangeSort(0, 3))
    t = thread("t", 1)
    mild = check(ne(read(x), ex(1)))
    hard = check(ne(read(x), ex(2)), fatal=True, prop="range")
    up = move(t, 0, 0, less(read(x), 3), [put(x, plus(read(x), 1))], checks=[mild, hard])
    built = system("fatal", [(x, 0)], [t], [up])
    over = system(
        "range",
        [(x, 0)],
        [t],
        [move(t, 0, 0, True, [put(x, plus(read(x), 1))], checks=[check(less(read(x), 3), True)])],
    )
    return [
        ZooCase("a failed check lets the run go on", built, never(is_(x, 2)), 2),
        ZooCase("a fatal check ends the run", built, never(is_(x, 3)), None),
        ZooCase("the mild fault", built, Target((Case((), is_(x, 1), 0, 0),)), 2),
        ZooCase("the fatal fault", built, Target((Case((), is_(x, 2), 0, 1),)), 3),
        ZooCase("a range is left", over, Target((Case((), is_(x, 3), 0, 0),)), 4),
    ]


def _options() -> list[ZooCase]:
    colour = EnumSort("colour", ("red", "green", "blue"))
    maybe = OptionSort(colour)
    x = Var("x", (), maybe)
    c = Param("c", colour)
    t = thread("t", 1)
    none = none_of(maybe)
    moves = [
        move(t, 0, 0, is_(x, none), [put(x, c)], (c,)),
        move(t, 0, 0, is_(x, 2), [put(x, none)]),
    ]
    built = system("option", [(x, none)], [t], moves)
    deep = Var("y", (), OptionSort(maybe))
    deeper = system("option of option", [(deep, none)], [t], [move(t, 0, 0, is_(deep, none), [put(deep, none + 1)])])
    return [
        ZooCase("a member of an option", built, never(is_(x, 1)), 1),
        ZooCase("no way from one member to another", built, never(is_(x, 4)), None),
        ZooCase("none of none", deeper, never(is_(deep, 4)), 1),
    ]


def _scalarset() -> list[ZooCase]:
    page = ScalarSort("page", ("p0", "p1", "p2"))
    owner = ScalarSort("owner", ("root", "a", "b"), named=1)
    g, h, o = Param("g", page), Param("h", page), Param("o", owner)
    q = Param("q", page)
    m, n = Param("m", owner), Param("n", owner)
    guests = and_(ne(m, n), ne(m, ex(0)), ne(n, ex(0)))
    used = Var("used", (page,), BOOL)
    who = Var("who", (page,), OptionSort(owner))
    last = Var("last", (), OptionSort(page))
    t = thread("t", 1)
    moves = [
        move(t, 0, 0, not_(read(used, g)), [put(used, g, 1), put(who, g, o), put(last, g)], (g, o)),
        move(
            t,
            0,
            0,
            forall((g,), read(used, g)),
            [put(used, q, 0, binders=(q,), where=ne(read(who, q), ex(0))), put(last, 3)],
        ),
    ]
    built = system("pages", [(used, 0), (who, 3), (last, 3)], [t], moves)
    all_root = forall((g,), eq(read(who, g), ex(0)))
    return [
        ZooCase("every page is used", built, never(forall((g,), read(used, g))), 3),
        ZooCase("the named member owns all", built, never(all_root), 3),
        ZooCase(
            "two pages, two owners", built, never(and_(ne(g, h), guests, is_(who, g, m), is_(who, h, n)), g, h, m, n), 2
        ),
        ZooCase(
            "a quantified assignment",
            built,
            never(and_(is_(who, g, m), ne(m, ex(0)), not_(read(used, g)), is_(last, 3)), g, m),
            4,
        ),
        ZooCase("the last one is used", built, never(and_(eq(read(last), g), not_(read(used, g))), g), None),
        ZooCase("root keeps its pages", built, never(and_(is_(who, g, 0), not_(read(used, g))), g), None),
        ZooCase("counting", built, never(eq(Quant(Quantifier.COUNT, (g,), read(used, g)), ex(2))), 2),
    ]


def _indirect() -> list[ZooCase]:
    page = RangeSort(1, 3)
    g = Param("g", page)
    mark, pick = Var("mark", (page,), BOOL), Var("pick", (page,), page)
    after = ite(eq(Param("#0", page), ex(3)), ex(1), ex(2))
    cursor = Var("cursor", (), page)
    t = thread("t", 2)
    moves = [
        move(t, 0, 1, True, [put(cursor, g)], (g,)),
        move(t, 1, 0, True, [put(mark, read(pick, read(cursor)), 1)]),
    ]
    built = system("a cell chosen by a cell", [(mark, 0), (pick, after), (cursor, 1)], [t], moves)
    return [
        ZooCase("a cell chosen by a cell", built, never(and_(is_(mark, 1, 1), is_(mark, 2, 1))), 4),
        ZooCase("a cell that is never chosen", built, never(is_(mark, 3, 1)), None),
    ]


def _where() -> list[ZooCase]:
    vm = RangeSort(0, 2)
    a, b = Param("a", vm), Param("b", vm)
    count = Var("count", (), RangeSort(0, 9))
    moved = Var("moved", (vm, vm), BOOL)
    t = thread("t", 2, (a, b), less(a, b), done=(1,))
    step = move(t, 0, 1, True, [put(count, plus(read(count), 1)), put(moved, a, b, 1)])
    built = system("pairs", [(count, 0), (moved, 0)], [t], [step])
    return [
        ZooCase("only instances that exist move", built, never(is_(count, 4)), None),
        ZooCase("all instances that exist move", built, never(is_(count, 3)), 3),
        ZooCase("an instance that does not exist", built, never(is_(moved, 1, 0, 1)), None),
        ZooCase("a step of an instance that does not exist", built, Target((Case((a, b), is_(count, 3), 0),)), None),
    ]


def _ring(size: int, kind: str) -> System:
    """``size`` threads and as many locks; each takes its own, then its neighbour's. ``kind``: plain, idle, ordered."""
    seat = RangeSort(0, size - 1)
    free = size
    i, j = Param("i", seat), Param("j", seat)
    holder = Var("holder", (seat,), OptionSort(seat))
    t = thread("t", 3, (i,), done=(2,))
    right = apply(Op.MOD, plus(i, 1), ex(size))
    first, second = (apply(Op.MIN, i, right), apply(Op.MAX, i, right)) if kind == "ordered" else (i, right)
    moves = [
        move(t, 0, 1, is_(holder, first, free), [put(holder, first, i)]),
        move(t, 1, 2, is_(holder, second, free), [put(holder, first, free)]),
    ]
    waits = [
        Wait(
            "t",
            and_(at(t.pc, (i,), location), ne(read(holder, want), ex(free))),
            (WaitsFor("t", (j,), eq(read(holder, want), j), "holds it"),),
            TRUE if kind == "idle" else FALSE,
        )
        for location, want in ((0, first), (1, second))
    ]
    return system(f"ring of {size}, {kind}", [(holder, free)], [t], moves, waits=waits)


def _rings() -> list[ZooCase]:
    return [
        ZooCase("a ring of one deadlocks with itself", _ring(1, "plain"), DeadlockTarget(), 1),
        ZooCase("a ring of two", _ring(2, "plain"), DeadlockTarget(), 2),
        ZooCase("a ring of three", _ring(3, "plain"), DeadlockTarget(), 3),
        ZooCase("a ring of three in order", _ring(3, "ordered"), DeadlockTarget(), None),
        ZooCase("a ring of two that is idle by design", _ring(2, "idle"), DeadlockTarget(), None),
    ]


def _part_of_a_deadlock() -> list[ZooCase]:
    """Two threads wait for each other while a third spins; and a server waits idle for one that waits for it."""
    flag = Var("flag", (), BOOL)
    spin = thread("spin", 1)
    a, b = thread("a", 2), thread("b", 2)
    moves = [move(spin, 0, 0, True, [put(flag, not_(read(flag)))]), move(a, 0, 1), move(b, 0, 1)]

    def waits(idle_b: bool, b_on: str) -> list[Wait]:
        return [
            Wait("a", at(a.pc, (), 1), (WaitsFor("b", (), TRUE),)),
            Wait("b", at(b.pc, (), 1), (WaitsFor(b_on, (), TRUE),), ex(idle_b)),
        ]

    variables = [(flag, 0)]
    threads = [spin, a, b]
    return [
        ZooCase(
            "a deadlock beside a thread that runs",
            system("two stuck", variables, threads, moves, waits=waits(False, "a")),
            DeadlockTarget(),
            2,
        ),
        ZooCase(
            "idle members do not excuse the others",
            system("one idle", variables, threads, moves, waits=waits(True, "a")),
            DeadlockTarget(),
            2,
        ),
        ZooCase(
            "whoever waits for a thread that runs is not deadlocked",
            system("hope", variables, threads, moves, waits=waits(False, "spin")),
            DeadlockTarget(),
            None,
        ),
        ZooCase(
            "one that waits for nobody at all",
            system("alone", variables, [a, b], moves[1:], waits=[Wait("a", at(a.pc, (), 1), ())]),
            DeadlockTarget(),
            1,
        ),
    ]


def _arithmetic() -> list[ZooCase]:
    x, y = Var("x", (), RangeSort(-8, 7)), Var("y", (), RangeSort(-8, 7))
    c = Param("c", RangeSort(-8, 7))
    t = thread("t", 2)
    pick = move(t, 0, 1, ne(c, ex(0)), [put(x, c)], (c,))
    divide = move(t, 1, 1, True, [put(y, apply(Op.DIV, ex(-7), read(x)))])
    built = system("division", [(x, 1), (y, 0)], [t], [pick, divide])
    rest = system(
        "remainder", [(x, 1), (y, 0)], [t], [pick, move(t, 1, 1, True, [put(y, apply(Op.MOD, ex(-7), read(x)))])]
    )
    return [
        ZooCase("division goes towards zero", built, never(and_(is_(x, 2), is_(y, -3))), 2),
        ZooCase("division never goes down", built, never(and_(is_(x, 2), is_(y, -4))), None),
        ZooCase("a remainder has the sign of the dividend", rest, never(and_(is_(x, -4), is_(y, -3))), 2),
        ZooCase("a remainder is never positive here", rest, never(less(0, read(y))), None),
    ]


def _two_threads() -> list[ZooCase]:
    v = ScalarSort("v", ("v0", "v1"))
    i = Param("i", v)
    x = Var("x", (), RangeSort(0, 2))
    tmp = Var("tmp", (v,), RangeSort(0, 2))
    t = thread("t", 3, (i,), done=(2,))
    racy = [move(t, 0, 1, True, [put(tmp, i, read(x))]), move(t, 1, 2, True, [put(x, plus(read(tmp, i), 1))])]
    safe = [move(t, 0, 2, True, [put(x, plus(read(x), 1))])]
    lost = never(and_(forall((i,), at(t.pc, (i,), 2)), ne(read(x), ex(2))))
    one = never(and_(or_(is_(x, 1), FALSE), implies(TRUE, exists((i,), at(t.pc, (i,), 2)))))
    return [
        ZooCase("a lost update", system("racy", [(x, 0), (tmp, 0)], [t], racy), lost, 4),
        ZooCase("no lost update", system("safe", [(x, 0), (tmp, 0)], [t], safe), lost, None),
        ZooCase("the first of two", system("safe", [(x, 0), (tmp, 0)], [t], safe), one, 1),
    ]


def _next_door() -> ZooCase:
    """A thread with one location (whose place takes no bits) asks where another thread stands."""
    x = Var("x", (), BOOL)
    a, b = thread("a", 1), thread("b", 2)
    moves = [move(a, 0, 0, at(b.pc, (), 1), [put(x, 1)]), move(b, 0, 1)]
    return ZooCase("where another thread stands", system("next door", [(x, 0)], [a, b], moves), never(is_(x, 1)), 2)


def _everything() -> list[ZooCase]:
    stop: list[Transition] = []
    x = Var("x", (), RangeSort(0, 7))
    t = thread("t", 2)
    stop.append(move(t, 0, 0, less(read(x), 7), [put(x, plus(read(x), 1))]))
    stop.append(move(t, 0, 1, is_(x, 2)))
    dead_end = system("a dead end", [(x, 0)], [t], stop)
    return [
        _count("bad at once", 0, 3, 0, 3, 0, 0),
        _count("bad after two", 0, 3, 0, 3, 2, 2),
        _count("bad at the end of the only run", 0, 3, 0, 3, 3, 3),
        _count("unreachable", 0, 3, 0, 2, 3, None),
        _count("a range that fills three bits", 0, 7, 0, 7, 7, 7),
        _count("a range that fills two bits", 0, 3, 1, 3, 0, None),
        _count("a range with a negative low", -3, 2, -3, 2, 2, 5),
        _count("a range that is all negative", -5, -2, -5, -3, -2, None),
        _count("one value only", 4, 4, 4, 4, 4, 0),
        _count("the initial state is the only one", 0, 5, 5, 5, 5, 0),
        ZooCase("bad is a dead end", dead_end, never(at(t.pc, (), 1)), 3),
        *_framed(),
        *_swap(),
        _not_inductive(),
        *_no_transitions(),
        *_nondeterministic_init(),
        _no_beginning(),
        *_via(),
        *_fatal(),
        *_options(),
        *_scalarset(),
        *_indirect(),
        *_where(),
        *_rings(),
        *_part_of_a_deadlock(),
        *_arithmetic(),
        *_two_threads(),
        _next_door(),
    ]


ZOO: tuple[ZooCase, ...] = tuple(_everything())
