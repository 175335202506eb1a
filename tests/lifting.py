"""Systems whose claims hold up to some number of members and fail beyond it."""

from __future__ import annotations

from build import ex, is_, move, never, put, read, system, thread

from protocheck.engines.lift import Seed
from protocheck.ir.expr import Expr, Op, Param, Quant, Quantifier, Var, and_, apply, eq, exists, ne, not_
from protocheck.ir.sorts import BOOL, OptionSort, RangeSort, ScalarSort


def pages(size: int) -> ScalarSort:
    """A scalarset of ``size`` pages."""
    return ScalarSort("page", tuple(f"p{n}" for n in range(size)))


def at_most(size: int, bound: int) -> Seed:
    """Any page may be taken, never given back. Claim: never more than ``bound`` are taken. Fails with bound + 1."""
    page = pages(size)
    taken = Var("taken", (page,), BOOL)
    g = Param("g", page)
    t = thread("t", 1)
    built = system(f"at most {bound}", [(taken, 0)], [t], [move(t, 0, 0, True, [put(taken, g, 1)], (g,))])
    several = tuple(Param(f"x{n}", page) for n in range(bound + 1))
    bad: list[Expr] = [read(taken, x) for x in several]
    bad += [ne(a, b) for n, a in enumerate(several) for b in several[n + 1 :]]
    return Seed(built, never(and_(*bad), *several))


def chain(size: int, bound: int) -> Seed:
    """A counter goes up with each new page that is met, up to ``bound``. Claim: it never arrives there."""
    page = pages(size)
    met, count = Var("met", (page,), BOOL), Var("count", (), RangeSort(0, bound))
    g = Param("g", page)
    t = thread("t", 1)
    up = apply(Op.MIN, apply(Op.ADD, read(count), ex(1)), ex(bound))
    meet = move(t, 0, 0, not_(read(met, g)), [put(met, g, 1), put(count, up)], (g,))
    built = system(f"chain of {bound}", [(met, 0), (count, 0)], [t], [meet])
    return Seed(built, never(is_(count, bound)))


def one_owner(size: int) -> Seed:
    """A page is owned by whoever marks it while nobody has: two marks never stand. Holds for any number."""
    page = pages(size)
    mark = Var("mark", (page,), BOOL)
    owner = Var("owner", (), OptionSort(page))
    g, h = Param("g", page), Param("h", page)
    t = thread("t", 1)
    moves = [
        move(t, 0, 0, is_(owner, size), [put(owner, g), put(mark, g, 1)], (g,)),
        move(t, 0, 0, is_(owner, g), [put(owner, size), put(mark, g, 0)], (g,)),
    ]
    built = system("one owner", [(mark, 0), (owner, size)], [t], moves)
    return Seed(built, never(and_(ne(g, h), read(mark, g), read(mark, h)), g, h))


def sized(size: int) -> Seed:
    """A range that is as long as there are pages: nothing can be said of other sizes."""
    page = pages(size)
    met, count = Var("met", (page,), BOOL), Var("count", (), RangeSort(0, size))
    g = Param("g", page)
    t = thread("t", 1)
    up = apply(Op.MIN, apply(Op.ADD, read(count), ex(1)), ex(size))
    built = system("sized", [(met, 0), (count, 0)], [t], [move(t, 0, 0, not_(read(met, g)), [put(count, up)], (g,))])
    return Seed(built, never(read(met, g), g))


def counting(size: int) -> Seed:
    """A guard that counts pages."""
    page = pages(size)
    met = Var("met", (page,), BOOL)
    g = Param("g", page)
    t = thread("t", 1)
    few = eq(Quant(Quantifier.COUNT, (g,), read(met, g)), ex(0))
    h = Param("h", page)
    built = system("counting", [(met, 0)], [t], [move(t, 0, 0, few, [put(met, h, 1)], (h,))])
    i = Param("i", page)
    return Seed(built, never(and_(ne(h, i), read(met, h), read(met, i)), h, i))


def circle(size: int) -> Seed:
    """Two total maps between pages and frames that are each other's inverse. Claim: no page maps to another's frame."""
    page, frame = pages(size), ScalarSort("frame", tuple(f"f{n}" for n in range(size)))
    to, back, live = Var("to", (page,), frame), Var("back", (frame,), page), Var("live", (page,), BOOL)
    g, h, f = Param("g", page), Param("h", page), Param("f", frame)
    t = thread("t", 1)
    free = not_(exists((h,), and_(read(live, h), eq(read(to, h), f))))
    link = move(t, 0, 0, and_(not_(read(live, g)), free), [put(to, g, f), put(back, f, g), put(live, g, 1)], (g, f))
    built = system("circle", [(to, 0), (back, 0), (live, 0)], [t], [link])
    i = Param("i", page)
    bad = and_(read(live, g), ne(read(back, read(to, g)), g))
    return Seed(built, never(bad, g) if i else never(bad))


def first_only(size: int) -> Seed:
    """A step points at the first page, another marks the page pointed at. Claim: no two pages are marked.

    The first page is a literal that matters: forgetting which it is would invent a run.
    """
    page = pages(size)
    mark, pick = Var("mark", (page,), BOOL), Var("pick", (), OptionSort(page))
    g, h = Param("g", page), Param("h", page)
    t = thread("t", 2)
    moves = [move(t, 0, 1, True, [put(pick, 0)]), move(t, 1, 0, True, [put(mark, read(pick), 1)])]
    built = system("first only", [(mark, 0), (pick, size)], [t], moves)
    return Seed(built, never(and_(ne(g, h), read(mark, g), read(mark, h)), g, h))
