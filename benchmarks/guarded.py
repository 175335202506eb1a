"""Short ways to write a protocol as flat guarded commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocheck.ir.expr import TRUE, Expr, Lit, Param, Read, Var, VarKind, and_, eq, lit, or_
from protocheck.ir.sorts import RangeSort, ScalarSort, Sort, scalarset_of
from protocheck.ir.system import (
    InitCase,
    Location,
    Property,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wish,
)
from protocheck.source import Origin, SourceFile, Span

ORIGIN = Origin(Span(SourceFile("flat", ""), 0, 0))
Flat = tuple[System, Target]


@dataclass(frozen=True)
class Proc:
    """A thread class with ``size`` locations."""

    name: str
    size: int
    params: tuple[Param, ...] = ()
    kind: ThreadKind = ThreadKind.ENVIRONMENT

    def pc(self) -> Var:
        """Where its instances stand."""
        return Var(f"{self.name}.pc", tuple(p.sort for p in self.params), RangeSort(0, self.size - 1), VarKind.PC)

    def at(self, location: int, who: tuple[Param, ...] | None = None) -> Expr:
        """The instance ``who`` (by default the one that moves) stands at ``location``."""
        return eq(Read(self.pc(), self.params if who is None else who), lit(location))

    def among(self, *locations: int, who: tuple[Param, ...] | None = None) -> Expr:
        """It stands at one of ``locations``."""
        return or_(*(self.at(k, who) for k in locations))

    def step(
        self, source: int, target: int, guard: Expr, *updates: Update, choices: tuple[Param, ...] = ()
    ) -> Transition:
        """One command."""
        moved = (Update(self.pc(), self.params, lit(target)),) if source != target else ()
        name = f"{self.name} {source} to {target}"
        here = and_(self.at(source), guard)
        return Transition(
            name, self.name, (*self.params, *choices), here, (*updates, *moved), (), source, target, ORIGIN, text=name
        )

    def declared(self) -> ThreadClass:
        """The class itself."""
        places = tuple(Location(k, str(k)) for k in range(self.size))
        return ThreadClass(self.name, self.kind, self.params, TRUE, self.pc(), places, TRUE)


def members(name: str, size: int) -> ScalarSort:
    """A scalarset of ``size`` members."""
    return ScalarSort(name, tuple(f"{name}{k}" for k in range(size)))


def put(var: Var, *rest: Expr | int) -> Update:
    """``var[index] := value``; the value comes last."""
    *index, value = (lit(x) if isinstance(x, int) else x for x in rest)
    return Update(var, tuple(index), value)


def is_true(var: Var) -> Expr:
    """The value of a boolean without index."""
    return Read(var)


def system(
    name: str,
    sizes: Sequence[int],
    variables: Sequence[tuple[Var, Lit | int]],
    procs: Sequence[Proc],
    commands: Sequence[Transition],
    bad: Target,
) -> Flat:
    """The system with one claim: ``bad`` is never reached."""
    everything = [*variables, *((p.pc(), 0) for p in procs)]
    scalarsets: dict[ScalarSort, None] = {}
    sorts: list[Sort] = [s for v, _ in everything for s in (*v.index, v.sort)]
    for sort in sorts:
        found = scalarset_of(sort)
        if found is not None:
            scalarsets[found] = None
    built = System(
        name,
        tuple(scalarsets),
        tuple(v for v, _ in everything),
        tuple(lit(d) if isinstance(d, int) else d for _, d in everything),
        (InitCase(),),
        tuple(p.declared() for p in procs),
        tuple(commands),
        properties=(Property("claim", "claim", "invariant", Wish.NEVER, bad, "never bad"),),
        instance=",".join(str(k) for k in sizes),
    )
    return built, bad
