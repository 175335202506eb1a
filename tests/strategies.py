"""Hypothesis strategies for small random systems and targets, well-typed by construction.

They use scalarsets (in a symmetric way only), arrays, choices, quantifiers, conditional and quantified assignments,
several thread classes with conditions on their instances, nondeterministic beginnings, checks and ``via`` cases.
"""

from __future__ import annotations

from dataclasses import dataclass

from build import at, check, ex, move, put, read, system, thread
from hypothesis import strategies as st

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Expr,
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
    within,
)
from protocheck.ir.sorts import (
    BOOL,
    BoolSort,
    EnumSort,
    OptionSort,
    RangeSort,
    ScalarSort,
    Sort,
    none_of,
    scalarset_of,
    values_of,
)
from protocheck.ir.system import (
    Case,
    Check,
    DeadlockTarget,
    InitCase,
    PropertyTarget,
    System,
    Target,
    ThreadClass,
    Transition,
    Update,
    Wait,
    WaitsFor,
)

ENUM = EnumSort("colour", ("red", "green", "blue"))


@dataclass(frozen=True)
class Problem:
    """A system and targets to look for."""

    system: System
    targets: tuple[PropertyTarget, ...]


@dataclass(frozen=True)
class Scope:
    """What an expression may mention; ``fresh`` prefixes new binder names so that none shadows another."""

    variables: tuple[Var, ...]
    params: tuple[Param, ...]
    fresh: str = "q"

    def with_(self, *params: Param) -> Scope:
        return Scope(self.variables, (*self.params, *params), self.fresh + "q")


@st.composite
def problems(draw: st.DrawFn, deadlock: bool = True) -> Problem:
    """A random system with one to three targets of each kind."""
    page = ScalarSort("page", ("p0", "p1", "p2")[: draw(st.integers(1, 3))])
    size = draw(st.integers(1, 3))
    cpu = ScalarSort("cpu", ("boot", "c1", "c2")[:size], named=draw(st.integers(0, 1)))
    scalars = (page, cpu)
    sorts: list[Sort] = [BOOL, RangeSort(0, 3), RangeSort(-1, 1), ENUM, page, OptionSort(page), OptionSort(cpu)]
    variables: list[tuple[Var, Expr]] = []
    for k in range(draw(st.integers(2, 4))):
        sort = draw(st.sampled_from(sorts))
        index = draw(st.sampled_from([(), (), (page,), (cpu,), (RangeSort(1, 2),)]))
        # A default must not tell interchangeable members apart: options begin as none, members only if there is one.
        if isinstance(sort, ScalarSort) and len(sort.members) > 1:
            sort = OptionSort(sort)
        variables.append((Var(f"v{k}", index, sort), ex(_first(sort))))
    names = tuple(v for v, _ in variables)
    threads: list[ThreadClass] = []
    transitions: list[Transition] = []
    waits: list[Wait] = []
    for k in range(draw(st.integers(1, 2))):
        params = draw(st.sampled_from([(), (Param(f"i{k}", cpu),), (Param(f"i{k}", RangeSort(0, 1)),)]))
        where = TRUE
        if params and isinstance(params[0].sort, RangeSort) and draw(st.booleans()):
            where = eq(params[0], ex(1))
        locations = draw(st.sampled_from([3, 2, 1]))
        owner = thread(f"t{k}", locations, params, where, done=(locations - 1,))
        threads.append(owner)
        for n in range(draw(st.sampled_from([4, 3, 5, 2, 1]))):
            # The first ones form a way through all locations; the others go anywhere.
            ends = (n, (n + 1) % locations) if n < locations else None
            transitions.append(_transition(draw, owner, locations, names, scalars, f"c{k}_{n}_", ends))
    for k, owner in enumerate(threads):
        if draw(st.booleans()):
            waits.append(_wait(draw, owner, threads, names, scalars, k))
    initial: list[InitCase] = [InitCase()]
    if draw(st.booleans()):
        chosen = tuple(Param(f"n{j}", s) for j, s in enumerate(draw(st.lists(st.sampled_from(sorts), max_size=2))))
        scope = Scope(names, chosen)
        initial.append(
            InitCase(chosen, draw(truths(scope, scalars, 1)), tuple(_update(draw, scope, scalars) for _ in range(2)))
        )
    built = system("random", variables, threads, transitions, initial, waits)
    built = System(
        built.name,
        tuple(s for s in scalars if s in built.scalarsets),
        built.variables,
        built.defaults,
        built.initial,
        built.threads,
        built.transitions,
        waits=built.waits,
    )
    targets: list[PropertyTarget] = []
    pcs = tuple(t.pc for t in threads)
    for k in range(draw(st.integers(1, 3))):
        extra = tuple(Param(f"x{k}_{j}", s) for j, s in enumerate(draw(st.lists(st.sampled_from(scalars), max_size=1))))
        scope = Scope((*names, *pcs), extra, "y")
        wanted = [_compare(draw, scope, scalars) for _ in range(draw(st.sampled_from([2, 3, 1])))]
        if draw(st.booleans()):
            wanted.append(draw(truths(scope, scalars, 2)))
        cases = [Case(extra, and_(*wanted))]
        if draw(st.booleans()):
            via = draw(st.integers(0, len(transitions) - 1))
            step = transitions[via]
            cond = draw(truths(Scope(names, step.params, "z"), scalars, 1))
            if step.checks and draw(st.booleans()):
                cond = not_(step.checks[0].cond)
            cases.append(Case(step.params, cond, via, 0))
            if draw(st.booleans()):
                cases = cases[1:]
        targets.append(Target(tuple(cases)))
    if deadlock:
        targets.append(DeadlockTarget())
    return Problem(built, tuple(targets))


def _first(sort: Sort) -> int:
    return none_of(sort) if isinstance(sort, OptionSort) else values_of(sort)[0]


def _transition(
    draw: st.DrawFn,
    owner: ThreadClass,
    locations: int,
    names: tuple[Var, ...],
    scalars: tuple[ScalarSort, ...],
    tag: str,
    ends: tuple[int, int] | None,
) -> Transition:
    sorts = st.sampled_from([*scalars, RangeSort(0, 2), OptionSort(scalars[0])])
    choices = tuple(Param(f"{tag}{j}", s) for j, s in enumerate(draw(st.lists(sorts, max_size=2))))
    scope = Scope(names, (*owner.params, *choices), tag)
    source, target = ends or (draw(st.integers(0, locations - 1)), draw(st.integers(0, locations - 1)))
    guard = TRUE if draw(st.integers(0, 2)) else draw(truths(scope, scalars, 1))
    updates = [_update(draw, scope, scalars) for _ in range(draw(st.sampled_from([2, 1, 3, 0])))]
    checks: list[Check] = []
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        checks.append(check(draw(truths(scope, scalars, 1)), fatal=draw(st.booleans())))
    return move(owner, source, target, guard, updates, choices, checks)


def _update(draw: st.DrawFn, scope: Scope, scalars: tuple[ScalarSort, ...]) -> Update:
    """An assignment that cannot leave a sort: where a value may be outside, the cell keeps what it has."""
    var = draw(st.sampled_from(scope.variables))
    binders: tuple[Param, ...] = ()
    inner = scope
    if var.index and (not _nameable(scope, var.index[0]) or draw(st.booleans())):
        binders = (Param(f"{scope.fresh}u", var.index[0]),)
        inner = scope.with_(*binders)
        index: tuple[Expr, ...] = binders
    else:
        index = tuple(draw(values(scope, sort, scalars, 1)) for sort in var.index)
    value = draw(values(inner, var.sort, scalars, 1))
    where = TRUE if draw(st.integers(0, 2)) else draw(truths(inner, scalars, 1))
    where = and_(where, *(within(i, sort) for i, sort in zip(index, var.index, strict=True)))
    return put(var, *index, ite(within(value, var.sort), value, ex(_first(var.sort))), binders=binders, where=where)


def _nameable(scope: Scope, sort: Sort) -> bool:
    """Whether something in scope names a member of ``sort`` without telling interchangeable ones apart."""
    scalar = scalarset_of(sort)
    return scalar is None or bool(scalar.named) or len(scalar.members) == 1 or any(p.sort == sort for p in scope.params)


def _wait(
    draw: st.DrawFn,
    owner: ThreadClass,
    threads: list[ThreadClass],
    names: tuple[Var, ...],
    scalars: tuple[ScalarSort, ...],
    number: int,
) -> Wait:
    scope = Scope(names, owner.params, f"w{number}")
    place = draw(st.integers(0, len(owner.locations) - 1))
    on: list[WaitsFor] = []
    for k, other in enumerate(threads):
        others = tuple(Param(f"o{number}_{k}_{j}", p.sort) for j, p in enumerate(other.params))
        on.append(WaitsFor(other.name, others, draw(truths(scope.with_(*others), scalars, 1))))
    idle = draw(st.one_of(st.just(FALSE), truths(scope, scalars, 0)))
    return Wait(owner.name, and_(at(owner.pc, owner.params, place), draw(truths(scope, scalars, 1))), tuple(on), idle)


@st.composite
def values(draw: st.DrawFn, scope: Scope, sort: Sort, scalars: tuple[ScalarSort, ...], depth: int) -> Expr:
    """An expression whose values lie in ``sort``, or for numbers perhaps outside of it."""
    options: list[st.SearchStrategy[Expr]] = []
    scalar = scalarset_of(sort)
    if scalar is None:
        options += [st.sampled_from(list(values_of(sort))).map(ex)] * 2
    else:
        fixed = [ex(k) for k in range(scalar.named)] + ([ex(none_of(sort))] if isinstance(sort, OptionSort) else [])
        if len(scalar.members) == 1:
            fixed.append(ex(0))
        if fixed:
            options.append(st.sampled_from(fixed))
    same = [p for p in scope.params if p.sort == sort or (isinstance(sort, OptionSort) and p.sort == sort.of)]
    if same:
        options.append(st.sampled_from(same))
    readable = [v for v in scope.variables if v.sort == sort or (isinstance(sort, OptionSort) and v.sort == sort.of)]
    if readable and depth > 0:
        var = draw(st.sampled_from(readable))
        cell = _cell(draw, scope, var, scalars)
        if cell is not None:
            options.append(st.just(cell))
    if isinstance(sort, BoolSort) and depth > 0:
        options.append(truths(scope, scalars, depth - 1))
    if isinstance(sort, RangeSort) and depth > 0:
        a = draw(values(scope, sort, scalars, depth - 1))
        b = draw(values(scope, sort, scalars, depth - 1))
        op = draw(
            st.sampled_from([Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.MIN, Op.MAX, Op.BITAND, Op.BITOR, Op.SHL])
        )
        options.append(st.just(apply(op, a, b)))
    return draw(st.one_of(options))


def _cell(draw: st.DrawFn, scope: Scope, var: Var, scalars: tuple[ScalarSort, ...]) -> Expr | None:
    index: list[Expr] = []
    for sort in var.index:
        fitting = [p for p in scope.params if p.sort == sort]
        scalar = scalarset_of(sort)
        if fitting and (scalar is not None or draw(st.booleans())):
            index.append(draw(st.sampled_from(fitting)))
        elif scalar is None:
            index.append(ex(draw(st.sampled_from(list(values_of(sort))))))
        elif scalar.named or len(scalar.members) == 1:
            index.append(ex(0))
        else:
            return None
    return read(var, *index)


@st.composite
def truths(draw: st.DrawFn, scope: Scope, scalars: tuple[ScalarSort, ...], depth: int) -> Expr:
    """A condition."""
    kinds = ["compare"] * 6 + ["const"]
    if depth > 0:
        kinds += ["and", "or", "not", "implies", "forall", "exists", "count"]
    kind = draw(st.sampled_from(kinds))
    match kind:
        case "const":
            return ex(draw(st.booleans()))
        case "compare":
            return _compare(draw, scope, scalars)
        case "not":
            return not_(draw(truths(scope, scalars, depth - 1)))
        case "and" | "or" | "implies":
            a, b = draw(truths(scope, scalars, depth - 1)), draw(truths(scope, scalars, depth - 1))
            return and_(a, b) if kind == "and" else or_(a, b) if kind == "or" else implies(a, b)
        case _:
            binder = Param(scope.fresh, draw(st.sampled_from([*scalars, RangeSort(0, 1)])))
            body = draw(truths(scope.with_(binder), scalars, depth - 1))
            if kind == "forall":
                return forall((binder,), body)
            if kind == "exists":
                return exists((binder,), body)
            return apply(Op.GE, Quant(Quantifier.COUNT, (binder,), body), ex(draw(st.integers(0, 2))))


def _compare(draw: st.DrawFn, scope: Scope, scalars: tuple[ScalarSort, ...]) -> Expr:
    cells = [c for c in (_cell(draw, scope, v, scalars) for v in scope.variables) if c is not None]
    sorted_: list[tuple[Expr, Sort]] = [(c, v.sort) for c in cells for v in scope.variables if _reads(c, v)]
    sorted_ += [(p, p.sort) for p in scope.params]
    if not sorted_:
        return TRUE
    left, sort = draw(st.sampled_from(sorted_))
    scalar = scalarset_of(sort)
    partners = [e for e, other in sorted_ if (scalarset_of(other) == scalar if scalar is not None else other == sort)]
    if scalar is None:
        partners += [ex(v) for v in values_of(sort)]
    else:
        partners += [ex(k) for k in range(scalar.named)]
        if isinstance(sort, OptionSort):
            partners.append(ex(none_of(sort)))
    right = draw(st.sampled_from(partners))
    if isinstance(sort, RangeSort):
        return apply(draw(st.sampled_from([Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE])), left, right)
    return draw(st.sampled_from([eq, ne]))(left, right)


def _reads(e: Expr, var: Var) -> bool:
    return getattr(e, "var", None) == var
