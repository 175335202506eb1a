"""Short ways to write systems by hand in tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocheck.ir.expr import TRUE, Expr, Lit, Op, Param, Read, Var, VarKind, and_, apply, eq, lit
from protocheck.ir.sorts import RangeSort, ScalarSort, scalarset_of
from protocheck.ir.system import (
    Case,
    Check,
    InitCase,
    Location,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wait,
)
from protocheck.source import Origin, SourceFile, Span

NOWHERE = Origin(Span(SourceFile("test.pchk", ""), 0, 0))

Value = Expr | int | bool


def ex(value: Value) -> Expr:
    """``value`` as an expression."""
    return lit(value) if isinstance(value, int) else value


def read(var: Var, *index: Value) -> Expr:
    """The cell ``var[index]``."""
    return Read(var, tuple(ex(i) for i in index))


def is_(var: Var, *rest: Value) -> Expr:
    """``var[index] == value``; the value comes last."""
    return eq(read(var, *rest[:-1]), ex(rest[-1]))


def put(var: Var, *rest: Value, binders: tuple[Param, ...] = (), where: Expr = TRUE) -> Update:
    """``var[index] := value``; the value comes last."""
    return Update(var, tuple(ex(i) for i in rest[:-1]), ex(rest[-1]), binders, where)


def plus(*values: Value) -> Expr:
    """Their sum."""
    return apply(Op.ADD, *(ex(v) for v in values))


def less(a: Value, b: Value) -> Expr:
    """``a < b``."""
    return apply(Op.LT, ex(a), ex(b))


def at(pc: Var, params: Sequence[Param], location: int) -> Expr:
    """The thread stands at ``location``."""
    return eq(Read(pc, tuple(params)), Lit(location))


def thread(
    name: str,
    locations: int,
    params: tuple[Param, ...] = (),
    where: Expr = TRUE,
    done: Iterable[int] = (),
    kind: ThreadKind = ThreadKind.THREAD,
) -> ThreadClass:
    """A thread class with ``locations`` points; its program counter is called ``NAME.pc``."""
    pc = Var(f"{name}.pc", tuple(p.sort for p in params), RangeSort(0, locations - 1), VarKind.PC)
    finished = apply(Op.OR, *(at(pc, params, d) for d in done))
    return ThreadClass(
        name, kind, params, where, pc, tuple(Location(k, f"{name}{k}") for k in range(locations)), finished
    )


def move(
    owner: ThreadClass,
    source: int,
    target: int,
    guard: Value = True,
    updates: Sequence[Update] = (),
    choices: tuple[Param, ...] = (),
    checks: Sequence[Check] = (),
    name: str = "",
) -> Transition:
    """A step of ``owner`` from one location to another."""
    return Transition(
        name or f"{owner.name}: {source} to {target}",
        owner.name,
        (*owner.params, *choices),
        and_(at(owner.pc, owner.params, source), ex(guard)),
        (*updates, *((put(owner.pc, *owner.params, target),) if source != target else ())),
        tuple(checks),
        source,
        target,
        NOWHERE,
    )


def check(cond: Value, fatal: bool = False, prop: str = "claim") -> Check:
    """A check of property ``prop``."""
    return Check(prop, ex(cond), prop, NOWHERE, fatal)


def never(cond: Value, *params: Param) -> Target:
    """The states in which ``cond`` is true for some values of ``params``."""
    return Target((Case(params, ex(cond)),))


def system(
    name: str,
    variables: Sequence[tuple[Var, Value]],
    threads: Sequence[ThreadClass],
    transitions: Sequence[Transition],
    initial: Sequence[InitCase] = (InitCase(),),
    waits: Sequence[Wait] = (),
) -> System:
    """A system of ``variables`` with their defaults; the program counters are added, and begin at 0."""
    scalarsets: dict[ScalarSort, None] = {}
    everything = [*variables, *((t.pc, 0) for t in threads)]
    sorts = [s for v, _ in everything for s in (*v.index, v.sort)]
    sorts += [p.sort for t in transitions for p in t.params]
    for sort in sorts:
        found = scalarset_of(sort)
        if found is not None:
            scalarsets[found] = None
    return System(
        name,
        tuple(scalarsets),
        tuple(v for v, _ in everything),
        tuple(ex(d) for _, d in everything),
        tuple(initial),
        tuple(threads),
        tuple(transitions),
        waits=tuple(waits),
    )
