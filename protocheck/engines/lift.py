"""From a proof for some sizes to a proof for any: does the invariant survive any number of members of a scalarset?

The clauses of a symmetric invariant are formulas over parameters, one per member that occurs. Read as universally
quantified over scalarsets of unknown size they are a candidate invariant. Scalarsets become uninterpreted sorts; every
cell becomes relations: one per value of a finite variable, and for a variable that holds a member the relation "holds
this one" with an at-most-one axiom and a predicate per kind of ``none``. Parameters of a step and the members it reads
become constants. So each question (once per transition, once for the beginning, once for the target) has only
universal quantifiers over sorts without functions: it lies in EPR and Z3 decides it.

Clauses that a transition does not keep are dropped until all others are kept (Houdini; C. Flanagan, K. R. M. Leino,
2001). If the rest no longer excludes the target, invariants of larger instances can be tried: :func:`prove_any_size`.

NOTE(one-shape): two compilations of one model at different sizes must be the same but for the sizes. Otherwise a number
in the system depends on a size and the claim would be about one such number only: :func:`same_shape` decides that.
Applies to scalarsets with at least two unnamed members at hand that the system treats symmetrically; the claim is for
any positive number of members. Everything else (ranges, enums, other sizes) stays as it was compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import combinations, product
from math import prod
from typing import Any, TypeAlias, assert_never

import z3
from z3 import z3core

from protocheck.engines import ic3
from protocheck.engines.verdict import Budget, Clause, Invariant, Limit, Unreachable
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Quantifier, Read, Var, compute, reads
from protocheck.ir.ground import symmetric_scalarsets
from protocheck.ir.sorts import OptionSort, ScalarSort, Sort, scalarset_of, values_of
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    PropertyTarget,
    System,
    Target,
    ThreadClass,
    Transition,
    Update,
    Wait,
    WaitsFor,
)
from protocheck.records import dataclass


@dataclass(frozen=True)
class Lifted:
    """``clauses`` are inductive and exclude the target for any number of members of ``scalarsets``."""

    clauses: tuple[Clause, ...]
    scalarsets: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Nothing is claimed beyond the sizes that were proved; ``reason`` says why, for people.

    ``larger_may_help`` where the reason is one of the clauses at hand, and a proof with more members has others.
    """

    reason: str
    larger_may_help: bool = False


class NotLiftableError(Exception):
    """The system says something that has no counterpart for sorts of unknown size; the message says what."""


@dataclass(frozen=True)
class Seed:
    """A model compiled at some size, and its target there."""

    system: System
    target: PropertyTarget


@dataclass(frozen=True)
class Proved:
    """A proof for any size, made of the instance with ``number`` more members than the first seed; its certificate,
    too, is about that instance."""

    number: int
    verdict: Unreachable


def prove_any_size(
    compile_at: Callable[[int], Seed | None],
    budget: Budget,
    tries: int = 3,
    among: Sequence[str] | None = None,
) -> Proved | Refusal:
    """Prove the target for any size, from proofs of instances: ``compile_at(k)`` has k more members in each scalarset.

    Seeds are tried in turn, at most ``tries``: a property of three members, say, tells nothing at size two. The reason
    of a refusal is that of the first seed, which is the one to look at. ``among`` as for :func:`lift`.
    """
    seed = compile_at(0)
    refusal = Refusal("there is no such instance")
    for k in range(tries):
        if seed is None or (k and budget.expired()):
            break
        (verdict,) = ic3.run(seed.system, [seed.target], budget)
        if not isinstance(verdict, Unreachable) or not isinstance(verdict.by, Invariant):
            return refusal if k else Refusal(f"not proved at {seed.system.instance}")
        larger = compile_at(k + 1)
        if larger is None:
            return refusal if k else Refusal("the model does not allow a larger instance to compare with")
        answer = lift(seed.system, seed.target, verdict.by.clauses, larger, budget, among)
        if isinstance(answer, Lifted):
            return Proved(k, Unreachable(Invariant(answer.clauses), answer.scalarsets))
        refusal = refusal if k else answer
        if not answer.larger_may_help:
            break
        seed = larger
    return refusal


def lift(
    system: System,
    target: PropertyTarget,
    clauses: Sequence[Clause],
    larger: Seed,
    budget: Budget,
    among: Sequence[str] | None = None,
) -> Lifted | Refusal:
    """Whether some of ``clauses`` are an invariant for any size. ``larger`` is the same model with more members.

    Only scalarsets ``among`` those named, if any are, may have any size; the others keep theirs.
    """
    symmetric = symmetric_scalarsets(system, [target], resets=True)
    chosen = tuple(s.name for s in symmetric if among is None or s.name in among)
    if not chosen:
        return Refusal("no scalarset has two interchangeable members")
    difference = same_shape(system, target, larger.system, larger.target)
    if difference is not None:
        return Refusal(difference)
    try:
        kept = _Houdini(system, target, tuple(clauses), chosen, budget).run()
    except NotLiftableError as problem:
        return Refusal(str(problem))
    if kept is None:
        cycle = function_cycle(system, chosen)
        if cycle:
            return Refusal(f"no invariant of this instance holds for any size; maps lead in a circle: {cycle}", True)
        return Refusal("no invariant of this instance holds for any size", True)
    return Lifted(kept, chosen)


def function_cycle(system: System, chosen: Sequence[str]) -> str | None:
    """A circle of total maps between scalarsets of any size (of which only "at most one value" is used), or None."""
    edges: dict[str, list[tuple[str, str]]] = {}
    for var in system.variables:
        if isinstance(var.sort, ScalarSort) and var.sort.name in chosen:
            for sort in var.index:
                scalarset = scalarset_of(sort)
                if scalarset is not None and scalarset.name in chosen:
                    edges.setdefault(scalarset.name, []).append((var.name, var.sort.name))

    def search(start: str, here: str, path: list[str], seen: set[str]) -> list[str] | None:
        for name, to in edges.get(here, ()):
            if to == start:
                return [*path, name]
            if to not in seen:
                seen.add(to)
                found = search(start, to, [*path, name], seen)
                if found is not None:
                    return found
        return None

    for start in chosen:
        found = search(start, start, [], {start})
        if found is not None:
            return ", ".join(found)
    return None


# -- the same model at two sizes ---------------------------------------------------------------------------------------


def same_shape(a: System, target_a: PropertyTarget, b: System, target_b: PropertyTarget) -> str | None:
    """None if the two differ in the sizes of scalarsets only; otherwise where they differ first."""
    alike = _Alike()
    for name in (f.name for f in fields(System)):
        if name in ("scalarsets", "instance", "name", "properties", "acquires", "locks", "lock_order"):
            continue
        left, right = getattr(a, name), getattr(b, name)
        for n, (x, y) in enumerate(zip(left, right, strict=False)):
            sort_a, sort_b = (a.variables[n].sort, b.variables[n].sort) if name == "defaults" else (None, None)
            if not alike.values(sort_a, x, sort_b, y):
                label = a.variables[n].name if name == "defaults" else getattr(x, "name", f"{name} {n + 1}")
                return f"{label} depends on the number of members"
        if len(left) != len(right):
            return f"the number of {name} depends on the number of members"
    if [s.name for s in a.scalarsets] != [s.name for s in b.scalarsets]:
        return "the scalarsets themselves differ"
    if not alike.parts(target_a, target_b):
        return "the property depends on the number of members"
    return None


class _Alike:
    """Structural equality in which scalarsets of one name are equal and so are the nones above them.

    Expressions share their parts, so each pair is looked at once. Pairs (with their sorts, where these matter) are
    known by their addresses: both systems must outlive this. One that differs ends the comparison, so only pairs that
    are alike are kept.
    """

    def __init__(self) -> None:
        self.known: set[tuple[int, ...]] = set()
        self.compared: dict[type, tuple[str, ...]] = {}

    def parts(self, a: object, b: object) -> bool:
        """Whether ``a`` is ``b`` but for the sizes of scalarsets."""
        if isinstance(a, tuple) and isinstance(b, tuple):
            return len(a) == len(b) and all(self.parts(x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, ScalarSort) and isinstance(b, ScalarSort):
            return a.name == b.name and a.named == b.named
        if not is_dataclass(a) or not is_dataclass(b):
            return a == b
        pair = id(a), id(b)
        if pair in self.known:
            return True
        same = self._nodes(a, b)
        if same:
            self.known.add(pair)
        return same

    def _nodes(self, a: object, b: object) -> bool:
        if type(a) is not type(b):
            return False
        if isinstance(a, Apply) and isinstance(b, Apply) and a.op is b.op and a.op in (Op.EQ, Op.NE):
            left, right = _sort(a.args[0]) or _sort(a.args[1]), _sort(b.args[0]) or _sort(b.args[1])
            return all(self.values(left, x, right, y) for x, y in zip(a.args, b.args, strict=True))
        if isinstance(a, Update) and isinstance(b, Update):
            if not (self.parts(a.var, b.var) and self.parts(a.binders, b.binders) and self.parts(a.where, b.where)):
                return False
            indexes = zip(a.var.index, a.index, b.var.index, b.index, strict=True)
            return self.values(a.var.sort, a.value, b.var.sort, b.value) and all(
                self.values(s, x, t, y) for s, x, t, y in indexes
            )
        kind = type(a)
        if kind not in self.compared and is_dataclass(a):
            self.compared[kind] = tuple(f.name for f in fields(a) if f.compare)
        return all(self.parts(getattr(a, name), getattr(b, name)) for name in self.compared[kind])

    def values(self, s: Sort | None, x: Expr, t: Sort | None, y: Expr) -> bool:
        """``x`` as a value of sort ``s`` means what ``y`` means as a value of ``t``: a none may be another number."""
        if isinstance(x, Apply) and isinstance(y, Apply) and x.op is Op.ITE and y.op is Op.ITE:
            pair = id(s), id(x), id(t), id(y)
            if pair not in self.known:
                branches = zip(x.args[1:], y.args[1:], strict=True)
                if not self.parts(x.args[0], y.args[0]) or not all(self.values(s, p, t, q) for p, q in branches):
                    return False
                self.known.add(pair)
            return True
        if isinstance(x, Lit) and isinstance(y, Lit) and s is not None and t is not None:
            a, b = scalarset_of(s), scalarset_of(t)
            if a is not None and b is not None:
                above = x.value - len(a.members), y.value - len(b.members)
                return above[0] == above[1] if max(above) >= 0 else x.value == y.value
        return self.parts(x, y)


def _sort(e: Expr) -> Sort | None:
    match e:
        case Param(_, sort) | Read(Var(_, _, sort, _), _):
            return sort
        case Apply(Op.ITE, (_, a, b)):
            return _sort(a) or _sort(b)
        case _:
            return None


# -- expressions over sorts of any size --------------------------------------------------------------------------------

Number: TypeAlias = tuple[tuple[int, z3.BoolRef], ...]
"""The values of a number, each with its condition; exclusive, and in every real state exhaustive."""

Member: TypeAlias = tuple[tuple[z3.ExprRef | int, z3.BoolRef], ...]
"""What a member-valued expression may be: an element, or (an ``int`` k) the k-th none; each with its condition."""

Env: TypeAlias = Mapping[str, "Number | Member"]

ReadCell: TypeAlias = Callable[[Var, "Sequence[int | z3.ExprRef]"], "Number | Member"]
"""The value of a cell whose index is given by numbers and elements."""

MAX_NAMED_CELLS = 200

TRUE = z3.BoolVal(True)
FALSE = z3.BoolVal(False)


def _is_true(part: z3.BoolRef) -> bool:
    """Z3 keeps equal terms once, so truth is one address; asking for it by name would cost most of the time here."""
    return bool(part.ast.value == _TRUE_AT)


def _is_false(part: z3.BoolRef) -> bool:
    return bool(part.ast.value == _FALSE_AT)


_TRUE_AT, _FALSE_AT = TRUE.ast.value, FALSE.ast.value


def _and(parts: Sequence[z3.BoolRef]) -> z3.BoolRef:
    kept = [p for p in parts if not _is_true(p)]
    if any(_is_false(p) for p in kept):
        return FALSE
    return TRUE if not kept else kept[0] if len(kept) == 1 else _joined(z3core.Z3_mk_and, kept)


def _or(parts: Sequence[z3.BoolRef]) -> z3.BoolRef:
    kept = [p for p in parts if not _is_false(p)]
    if any(_is_true(p) for p in kept):
        return TRUE
    return FALSE if not kept else kept[0] if len(kept) == 1 else _joined(z3core.Z3_mk_or, kept)


def _not(part: z3.BoolRef) -> z3.BoolRef:
    if _is_true(part):
        return FALSE
    return TRUE if _is_false(part) else z3.BoolRef(z3core.Z3_mk_not(part.ctx_ref(), part.as_ast()), part.ctx)


def _same(x: z3.ExprRef, y: z3.ExprRef) -> z3.BoolRef:
    return z3.BoolRef(z3core.Z3_mk_eq(x.ctx_ref(), x.as_ast(), y.as_ast()), x.ctx)


def _joined(make: Callable[..., Any], parts: Sequence[z3.BoolRef]) -> z3.BoolRef:
    """What :func:`z3.And` and :func:`z3.Or` make of ``parts``, without looking at each of them several times."""
    array = (z3.Ast * len(parts))(*[p.as_ast() for p in parts])
    return z3.BoolRef(make(parts[0].ctx_ref(), len(parts), array), parts[0].ctx)


@dataclass(frozen=True)
class _Universal:
    """A clause as a closed formula, with the members and the cells whose axioms it needs."""

    formula: z3.BoolRef
    needs: tuple[tuple[str, int] | tuple[Var, tuple[int | z3.ExprRef, ...], str | None], ...]


class _World:
    """One question: its solver, the relations of the state, and the constants that the question talks about."""

    def __init__(self, system: System, chosen: Sequence[str]) -> None:
        self.system = system
        self.sorts = {name: z3.DeclareSort(name) for name in chosen}
        self.size = {s.name: len(s.members) for s in system.scalarsets}
        self.solver = z3.SimpleSolver()
        self.solver.set("ctrl_c", False)  # or short questions would swallow it
        self._named: dict[tuple[str, int], z3.ExprRef] = {}
        self._axioms: set[str] = set()
        self._relations: dict[str, z3.FuncDeclRef] = {}
        self._atoms: dict[tuple[str, tuple[int, ...]], z3.BoolRef] = {}
        self._cells: dict[tuple[str, tuple[int, ...]], Number | Member] = {}
        # Z3 gives the number of a term that is gone to a new one, so terms are kept with their numbers.
        self._bound: dict[int, z3.ExprRef] = {}
        self._kept: list[Sequence[int | z3.ExprRef]] = []
        self._count = 0
        self._elements: dict[str, list[z3.ExprRef]] = {name: [] for name in chosen}
        # What a formula about this world needs of it, and whether it names something that other worlds do not know.
        self._needs: list[tuple[str, int] | tuple[Var, tuple[int | z3.ExprRef, ...], str | None]] = []
        self._own = False

    def universal(self, number: int, clause: Clause, known: dict[int, _Universal]) -> z3.BoolRef:
        """``clause`` for all members; ``known`` are those built for other worlds, by number."""
        found = known.get(number)
        if found is None:
            self._needs, self._own = [], False
            formula = self.each(
                Quantifier.FORALL, clause.params, {}, lambda env: self.bool_(clause.formula, env, self.now)
            )
            found = _Universal(formula, tuple(self._needs))
            if not self._own:
                known[number] = found
            return formula
        for need in found.needs:
            if len(need) == 2:
                self.element(*need)
            else:
                self._declare(*need)
        return found.formula

    def complete(self) -> None:
        """Say that each cell that holds a member or none does hold one, for the cells at the constants in sight.

        Saying so for all cells would need a function from index to member, which may close a circle of sorts. Cells
        at constants are all that a question with universal hypotheses can be about, and one round keeps it finite.
        """
        elements = {name: list(found) for name, found in self._elements.items()}
        for var in self.system.variables:
            if self.free(var.sort) is None:
                continue
            pools: list[Sequence[int | z3.ExprRef]] = []
            for sort in var.index:
                name = self.free(sort)
                pools.append(list(values_of(sort)) if name is None else elements[name])
            if prod(len(p) for p in pools) <= MAX_NAMED_CELLS:
                for index in product(*pools):
                    self.now(var, index)

    def free(self, sort: Sort) -> str | None:
        """The scalarset of any size whose members the values of ``sort`` are, if any."""
        scalarset = scalarset_of(sort)
        return scalarset.name if scalarset is not None and scalarset.name in self.sorts else None

    def fresh(self, prefix: str, sort: z3.SortRef) -> z3.ExprRef:
        self._count += 1
        return z3.Const(f"{prefix}!{self._count}", sort)

    def element(self, name: str, value: int) -> z3.ExprRef:
        """The member ``value`` of a scalarset, as a constant different from those of other members."""
        found = self._named.get((name, value))
        self._needs.append((name, value))
        if found is None:
            found = z3.Const(f"{name}:{value}", self.sorts[name])
            for (other, _), constant in self._named.items():
                if other == name:
                    self.solver.add(found != constant)
            self._named[name, value] = found
            self._elements[name].append(found)
        return found

    def literal(self, name: str, value: int) -> Member:
        above = value - self.size[name]
        return ((above if above >= 0 else self.element(name, value), TRUE),)

    def constant(self, param: Param) -> Number | Member:
        """Any value of the sort of ``param``."""
        name = self.free(param.sort)
        if name is None:
            return self._one_of([(v, TRUE) for v in values_of(param.sort)], param.name)
        element = self.fresh(param.name, self.sorts[name])
        self._elements[name].append(element)
        keys: list[z3.ExprRef | int] = [element]
        keys.extend(range(_depth(param.sort)))
        return self._one_of([(k, TRUE) for k in keys], param.name)

    def _one_of(self, keys: Sequence[tuple[int, z3.BoolRef]], label: str) -> Number:
        if len(keys) == 1:
            return ((keys[0][0], TRUE),)
        bits = [z3.Bool(f"{label}={n}!{self._count}") for n in range(len(keys))]
        self._count += 1
        self.solver.add(z3.Or(bits))
        self.solver.add(z3.AtMost(*bits, 1))
        return tuple((key, bit) for (key, _), bit in zip(keys, bits, strict=True))

    # reading the state

    def now(self, var: Var, index: Sequence[int | z3.ExprRef]) -> Number | Member:
        """A cell of the state in which the question is asked. Cells at constants are named once."""
        key = (var.name, tuple(i if isinstance(i, int) else -1 - i.get_id() for i in index))
        found = self._cells.get(key)
        self._own = self._own or self.free(var.sort) is not None
        if found is not None:
            self._needs.append((var, tuple(index), self.free(var.sort)))
        else:
            ground = not any(isinstance(i, z3.ExprRef) and i.get_id() in self._bound for i in index)
            found = self._cell(var, index, ground)
            if ground:
                self._cells[key] = found
                self._kept.append(index)
        return found

    def _relation(self, var: Var, index: Sequence[int | z3.ExprRef], what: str, *extra: z3.ExprRef) -> z3.BoolRef:
        fixed = ",".join(str(i) for i in index if isinstance(i, int))
        arguments = [i for i in index if not isinstance(i, int)] + list(extra)
        name = f"{var.name}[{fixed}]{what}"
        if not arguments:
            return z3.Bool(name)
        key = (name, tuple(a.get_id() for a in arguments))
        found = self._atoms.get(key)
        if found is None:
            relation = self._relations.get(name)
            if relation is None:
                relation = z3.Function(name, *(a.sort() for a in arguments), z3.BoolSort())
                self._relations[name] = relation
            array = (z3.Ast * len(arguments))(*[a.as_ast() for a in arguments])
            app = z3core.Z3_mk_app(relation.ctx_ref(), relation.ast, len(arguments), array)
            found = self._atoms[key] = z3.BoolRef(app, relation.ctx)  # keeps its arguments, and so their numbers
        return found

    def _cell(self, var: Var, index: Sequence[int | z3.ExprRef], ground: bool) -> Number | Member:
        name = self.free(var.sort)
        self._declare(var, index, name)
        if name is None:
            return tuple((v, self._value(var, index, v)) for v in values_of(var.sort))
        nones = [self._relation(var, index, f" none {k}") for k in range(_depth(var.sort))]
        if not ground:
            raise NotLiftableError(f"{var.name} is read for all members at once, other than to compare it with one")
        held = self.fresh(var.name, self.sorts[name])
        self._elements[name].append(held)
        holds = self._relation(var, index, " holds", held)
        self.solver.add(_or([holds, *nones]))
        return ((held, holds), *enumerate(nones))

    def _value(self, var: Var, index: Sequence[int | z3.ExprRef], value: int) -> z3.BoolRef:
        span = values_of(var.sort)
        if len(span) == 1:
            return TRUE
        if len(span) == 2:
            is_high = self._relation(var, index, f" = {span[1]}")
            return is_high if value == span[1] else _not(is_high)
        return self._relation(var, index, f" = {value}")

    def _declare(self, var: Var, index: Sequence[int | z3.ExprRef], name: str | None) -> None:
        """The axioms of the relations of ``var`` at the finite part of ``index``, once."""
        self._needs.append((var, tuple(index), name))
        label = f"{var.name} {[i if isinstance(i, int) else '' for i in index]}"
        if label in self._axioms:
            return
        self._axioms.add(label)
        bound = [i if isinstance(i, int) else self.fresh("i", i.sort()) for i in index]
        variables = [b for b in bound if not isinstance(b, int)]
        if name is None:
            span = values_of(var.sort)
            if len(span) > 2:
                cells = [self._value(var, bound, v) for v in span]
                pairs = [_or([_not(a), _not(b)]) for a, b in combinations(cells, 2)]
                self._always(variables, _and([_or(cells), *pairs]))
            return
        nones = [self._relation(var, bound, f" none {k}") for k in range(_depth(var.sort))]
        x, y = self.fresh("x", self.sorts[name]), self.fresh("y", self.sorts[name])
        both = [self._relation(var, bound, " holds", x), self._relation(var, bound, " holds", y)]
        self._always([*variables, x, y], _or([*map(_not, both), _same(x, y)]))
        for k, none in enumerate(nones):
            others = [both[0], *nones[:k]]
            self._always([*variables, x], _or([_not(none), _not(_or(others))]))

    def _always(self, variables: Sequence[z3.ExprRef], formula: z3.BoolRef) -> None:
        self.solver.add(z3.ForAll(list(variables), formula) if variables else formula)

    # expressions

    def bool_(self, e: Expr, env: Env, read: ReadCell) -> z3.BoolRef:
        """``e`` as a formula."""
        match e:
            case Lit(value):
                return TRUE if value else FALSE
            case Apply(Op.NOT, (a,)):
                return _not(self.bool_(a, env, read))
            case Apply(Op.AND, args):
                return _and([self.bool_(a, env, read) for a in args])
            case Apply(Op.OR, args):
                return _or([self.bool_(a, env, read) for a in args])
            case Apply(Op.IMPLIES, (a, b)):
                return _or([_not(self.bool_(a, env, read)), self.bool_(b, env, read)])
            case Apply(Op.ITE, (c, a, b)):
                cond = self.bool_(c, env, read)
                return _or([_and([cond, self.bool_(a, env, read)]), _and([_not(cond), self.bool_(b, env, read)])])
            case Apply(Op.EQ, (a, b)):
                return self._equal(a, b, env, read)
            case Apply(Op.NE, (a, b)):
                return _not(self._equal(a, b, env, read))
            case Apply(Op.LT | Op.LE | Op.GT | Op.GE as op, (a, b)):
                left, right = self.num(a, env, read), self.num(b, env, read)
                return _or([_and([p, q]) for x, p in left for y, q in right if compute(op, [x, y])])
            case Quant(Quantifier.FORALL | Quantifier.EXISTS as kind, binders, body):
                return self.each(kind, binders, env, lambda inner: self.bool_(body, inner, read))
            case _:
                return _or([when for value, when in self.num(e, env, read) if value])

    def each(
        self, kind: Quantifier, binders: Sequence[Param], env: Env, body: Callable[[Env], z3.BoolRef]
    ) -> z3.BoolRef:
        """``body`` for all or for some values of ``binders``; nones of a binder's sort are listed one by one."""
        choices: list[list[Number | Member]] = []
        variables = []
        for binder in binders:
            name = self.free(binder.sort)
            if name is None:
                choices.append([((v, TRUE),) for v in values_of(binder.sort)])
                continue
            x = self.fresh(binder.name, self.sorts[name])
            self._bound[x.get_id()] = x
            variables.append(x)
            nones: list[Number | Member] = [((k, TRUE),) for k in range(_depth(binder.sort))]
            choices.append([((x, TRUE),), *nones])
        parts = [
            body({**env, **{b.name: v for b, v in zip(binders, values, strict=True)}}) for values in product(*choices)
        ]
        if kind is Quantifier.FORALL:
            whole = _and(parts)
            return z3.ForAll(variables, whole) if variables and not _is_true(whole) else whole
        whole = _or(parts)
        return z3.Exists(variables, whole) if variables and not _is_false(whole) else whole

    def kind(self, e: Expr) -> str | None:
        """The scalarset of any size that ``e`` is a member of, if it shows."""
        sort = _sort(e)
        return None if sort is None else self.free(sort)

    def _equal(self, a: Expr, b: Expr, env: Env, read: ReadCell) -> z3.BoolRef:
        name = self.kind(a) or self.kind(b)
        if name is None:
            other = dict(self.num(b, env, read))
            return _or([_and([p, other[x]]) for x, p in self.num(a, env, read) if x in other])
        for one, two in ((a, b), (b, a)):
            if isinstance(one, Read) and read == self.now and not isinstance(two, Read):
                return self._holds(one, self.member(two, name, env, read), env, read)
        return equal(self.member(a, name, env, read), self.member(b, name, env, read))

    def _holds(self, e: Read, value: Member, env: Env, read: ReadCell) -> z3.BoolRef:
        """``e == value`` straight from the relations: no name for what the cell holds is needed."""
        parts = []
        for index, cond in self._indexes(e.var, e.index, env, read):
            self._declare(e.var, index, self.free(e.var.sort))
            for key, when in value:
                if isinstance(key, int):
                    if key < _depth(e.var.sort):
                        parts.append(_and([cond, when, self._relation(e.var, index, f" none {key}")]))
                else:
                    parts.append(_and([cond, when, self._relation(e.var, index, " holds", key)]))
        return _or(parts)

    def _indexes(
        self, var: Var, index: Sequence[Expr], env: Env, read: ReadCell
    ) -> Iterator[tuple[tuple[int | z3.ExprRef, ...], z3.BoolRef]]:
        """The cells that ``var[index]`` may be, each with its condition; indexes outside of their sort are left out."""
        options: list[list[tuple[int | z3.ExprRef, z3.BoolRef]]] = []
        for sort, i in zip(var.index, index, strict=True):
            name = self.free(sort)
            if name is None:
                options.append([(v, p) for v, p in self.num(i, env, read) if v in values_of(sort)])
            else:
                if isinstance(sort, OptionSort):
                    raise NotLiftableError(f"{var.name} is indexed by an option")
                options.append([(k, p) for k, p in self.member(i, name, env, read) if not isinstance(k, int)])
        for choice in product(*options):
            yield tuple(k for k, _ in choice), _and([p for _, p in choice])

    def member(self, e: Expr, name: str, env: Env, read: ReadCell) -> Member:
        """``e`` as a member of the scalarset ``name``."""
        match e:
            case Lit(value):
                return self.literal(name, value)
            case Param(label, sort) if self.free(sort) == name:
                return env[label]
            case Read(var, index) if self.free(var.sort) == name:
                return tuple(
                    (key, _and([cond, when]))
                    for where, cond in self._indexes(var, index, env, read)
                    for key, when in read(var, where)
                )
            case Apply(Op.ITE, (c, a, b)):
                cond = self.bool_(c, env, read)
                return (
                    *((k, _and([cond, p])) for k, p in self.member(a, name, env, read)),
                    *((k, _and([_not(cond), p])) for k, p in self.member(b, name, env, read)),
                )
            case _:
                raise NotLiftableError(f"something other than a member of {name} is used as one")

    def num(self, e: Expr, env: Env, read: ReadCell) -> Number:
        """``e`` as a number."""
        match e:
            case Lit(value):
                return ((value, TRUE),)
            case Param(name, sort):
                if self.free(sort) is not None:
                    raise NotLiftableError(f"arithmetic on members of {self.free(sort)}")
                return env[name]
            case Read(var, index):
                if self.free(var.sort) is not None:
                    raise NotLiftableError(f"arithmetic on members of {self.free(var.sort)}")
                return _merge(
                    (value, _and([cond, when]))
                    for where, cond in self._indexes(var, index, env, read)
                    for value, when in read(var, where)
                )
            case Apply(Op.ITE, (c, a, b)):
                cond = self.bool_(c, env, read)
                return _merge(
                    [
                        *((v, _and([cond, p])) for v, p in self.num(a, env, read)),
                        *((v, _and([_not(cond), p])) for v, p in self.num(b, env, read)),
                    ]
                )
            case Quant(Quantifier.COUNT, binders, body):
                if any(self.free(b.sort) is not None for b in binders):
                    raise NotLiftableError("a count over members")
                total: Number = ((0, TRUE),)
                for values in product(*(values_of(b.sort) for b in binders)):
                    inner = {**env, **{b.name: ((v, TRUE),) for b, v in zip(binders, values, strict=True)}}
                    one = self.bool_(body, inner, read)
                    fewer = [(n, _and([p, _not(one)])) for n, p in total]
                    total = _merge([*fewer, *((n + 1, _and([p, one])) for n, p in total)])
                return total
            case Apply(Op.NOT | Op.AND | Op.OR | Op.IMPLIES | Op.EQ | Op.NE | Op.LT | Op.LE | Op.GT | Op.GE) | Quant():
                truth = self.bool_(e, env, read)
                return ((0, _not(truth)), (1, truth))
            case Apply(op, args):
                rows = product(*(self.num(a, env, read) for a in args))
                return _merge((compute(op, [v for v, _ in row]), _and([p for _, p in row])) for row in rows)
            case _:
                assert_never(e)


def _merge(parts: object) -> Number:
    by_value: dict[int, list[z3.BoolRef]] = {}
    for value, when in parts:  # type: ignore[attr-defined]
        if not _is_false(when):
            by_value.setdefault(value, []).append(when)
    return tuple((value, _or(by_value[value])) for value in sorted(by_value))


def _depth(sort: Sort) -> int:
    """How many kinds of none ``sort`` has."""
    return 1 + _depth(sort.of) if isinstance(sort, OptionSort) else 0


def equal(a: Member, b: Member) -> z3.BoolRef:
    """When two members are the same."""
    parts = []
    for x, p in a:
        for y, q in b:
            if isinstance(x, int) or isinstance(y, int):
                if isinstance(x, int) and isinstance(y, int) and x == y:
                    parts.append(_and([p, q]))
            else:
                parts.append(_and([p, q, TRUE if x.eq(y) else _same(x, y)]))
    return _or(parts)


def _after(world: _World, updates: Sequence[Update], env: Env, before: ReadCell) -> ReadCell:
    """The state after ``updates``, whose right-hand sides are read in ``before``."""

    def read(var: Var, index: Sequence[int | z3.ExprRef]) -> Number | Member:
        value = before(var, index)
        for update in updates:
            if update.var.name == var.name:
                value = _updated(world, update, index, value, env, before)
        return value

    return read


def _updated(
    world: _World,
    update: Update,
    index: Sequence[int | z3.ExprRef],
    old: Number | Member,
    env: Env,
    before: ReadCell,
) -> Number | Member:
    bound: dict[str, Number | Member] = {}
    for sort, part, here in zip(update.var.index, update.index, index, strict=True):
        if isinstance(part, Param) and part in update.binders and part.sort == sort:
            bound.setdefault(part.name, ((here, TRUE),))
    loose = [b for b in update.binders if b.name not in bound]
    if any(world.free(b.sort) is not None for b in loose):
        raise NotLiftableError(f"an assignment to {update.var.name} for members that its index does not name")
    name = world.free(update.var.sort)
    value: Number | Member = old
    for choice in product(*(values_of(b.sort) for b in loose)):
        inner = {**env, **bound, **{b.name: ((v, TRUE),) for b, v in zip(loose, choice, strict=True)}}
        conds = [world.bool_(update.where, inner, before)]
        for sort, part, here in zip(update.var.index, update.index, index, strict=True):
            free = world.free(sort)
            if free is None:
                conds.append(_or([p for v, p in world.num(part, inner, before) if v == here]))
            else:
                conds.append(equal(world.member(part, free, inner, before), ((here, TRUE),)))
        cond = _and(conds)
        if _is_false(cond):
            continue
        new: Number | Member
        if name is None:
            span = values_of(update.var.sort)
            new = tuple((v, p) for v, p in world.num(update.value, inner, before) if v in span)
        else:
            new = world.member(update.value, name, inner, before)
        both = [*((k, _and([cond, p])) for k, p in new), *((k, _and([_not(cond), p])) for k, p in value)]
        value = _merge(both) if name is None else tuple(both)
    return value


class _Houdini:
    """The largest part of some clauses that is inductive for any size, if it excludes the target."""

    def __init__(
        self,
        system: System,
        target: PropertyTarget,
        clauses: tuple[Clause, ...],
        chosen: Sequence[str],
        budget: Budget,
    ) -> None:
        self.system = system
        self.target = target
        self.clauses = clauses
        self.chosen = chosen
        self.budget = budget
        self.alive = dict.fromkeys(range(len(clauses)))
        self.universals: dict[int, _Universal] = {}

    def run(self) -> tuple[Clause, ...] | None:
        """The clauses that remain, or None if they do not exclude the target (or no answer was found)."""
        for case in self.system.initial:
            world = _World(self.system, self.chosen)
            env = {p.name: world.constant(p) for p in case.params}
            defaults = self._defaults(world)
            world.solver.add(world.bool_(case.guard, env, defaults))
            self._drop(_Question(self, world, _after(world, case.updates, env, defaults), None, hypotheses=False))
        questions = []
        for transition in self.system.transitions:
            written = frozenset(u.var.name for u in transition.updates)
            if all(written.isdisjoint(r.var.name for r in reads(c.formula)) for c in self.clauses):
                continue
            self.budget.spend(QUERY_WORK)
            if self.budget.expired():
                raise NotLiftableError(Limit.TIME.value)
            world = _World(self.system, self.chosen)
            env = {p.name: world.constant(p) for p in transition.params}
            world.solver.add(self._can_step(world, transition, env, fatal=True))
            after = _after(world, transition.updates, env, world.now)
            questions.append(_Question(self, world, after, written, hypotheses=True))
        changed = True
        while changed:
            changed = False
            for question in questions:
                if self.budget.expired():
                    raise NotLiftableError(Limit.TIME.value)
                changed = self._drop(question) or changed
        if any(self._reachable(world) for world in self._goals()):
            return None
        return tuple(self.clauses[n] for n in self.alive)

    def _defaults(self, world: _World) -> ReadCell:
        values = {v.name: d for v, d in zip(self.system.variables, self.system.defaults, strict=True)}

        def read(var: Var, index: Sequence[int | z3.ExprRef]) -> Number | Member:
            env: Env = {f"#{n}": ((i, TRUE),) for n, i in enumerate(index)}
            name = world.free(var.sort)
            if name is None:
                return world.num(values[var.name], env, read)
            return world.member(values[var.name], name, env, read)

        return read

    def _can_step(self, world: _World, transition: Transition, env: Env, *, fatal: bool) -> z3.BoolRef:
        thread = next(t for t in self.system.threads if t.name == transition.thread)
        own = {t.name: env[p.name] for t, p in zip(thread.params, transition.params, strict=False)}
        parts = [world.bool_(thread.where, own, world.now), world.bool_(transition.guard, env, world.now)]
        if fatal:
            parts.extend(world.bool_(c.cond, env, world.now) for c in transition.checks if c.fatal)
        return _and(parts)

    def _check(self, solver: z3.Solver, assumptions: Sequence[z3.BoolRef]) -> z3.CheckSatResult:
        left = self.budget.seconds_left()
        metered = self.budget.meter is not None
        most = METERED_QUERY_MS if metered else MAX_QUERY_MS
        solver.set("timeout", most if left is None else max(1, min(most, int(left * 1000))))
        if not metered:
            return solver.check(*assumptions)
        solver.set("rlimit", QUERY_EFFORT)
        before = _effort(solver)
        answer = solver.check(*assumptions)
        self.budget.spend(max(QUERY_WORK, (_effort(solver) - before) // EFFORT_PER_WORK))
        return answer

    def _drop(self, question: _Question) -> bool:
        """Drop the clauses that ``question`` refutes, or cannot decide, until none is left; whether there were any."""
        dropped = False
        while True:
            goals = [n for n in self.alive if n in question.goals]
            if not goals:
                return dropped
            hypotheses = [question.hypotheses[n] for n in self.alive if n in question.hypotheses]
            some = question.world.fresh("some", z3.BoolSort())
            question.world.solver.add(z3.Implies(some, z3.Or([question.goals[n] for n in goals])))
            answer = self._check(question.world.solver, [*hypotheses, some])
            if answer == z3.unsat:
                return dropped
            if answer == z3.sat:
                model = question.world.solver.model()
                wrong = [n for n in goals if z3.is_true(model.eval(question.goals[n]))]
            else:
                wrong = [
                    n
                    for n in goals
                    if self._check(question.world.solver, [*hypotheses, question.goals[n]]) != z3.unsat
                ]
                if not wrong:
                    return dropped
            for n in wrong:
                del self.alive[n]
            dropped = True

    def _reachable(self, world: _World) -> bool:
        world.complete()
        for n in self.alive:
            world.solver.add(world.universal(n, self.clauses[n], self.universals))
        return bool(self._check(world.solver, ()) != z3.unsat)

    def _goals(self) -> Iterator[_World]:
        """One world per way to be in the target."""
        match self.target:
            case Target(cases):
                for case in cases:
                    yield self._case(case)
            case DeadlockTarget():
                yield self._deadlock()
            case _:
                assert_never(self.target)

    def _case(self, case: Case) -> _World:
        world = _World(self.system, self.chosen)
        env = {p.name: world.constant(p) for p in case.params}
        world.solver.add(world.bool_(case.cond, env, world.now))
        if case.via is not None:
            step = self.system.transitions[case.via]
            given = {s.name: env[p.name] for s, p in zip(step.params, case.params, strict=False)}
            world.solver.add(self._can_step(world, step, given, fatal=False))
        return world

    def _deadlock(self) -> _World:
        """A set of waiting instances that wait only for each other, not all idle."""
        world = _World(self.system, self.chosen)
        restless = []
        for thread in self.system.threads:
            waits = tuple(w for w in self.system.waits if w.thread == thread.name)

            def closed(env: Env, thread: ThreadClass = thread, waits: Sequence[Wait] = waits) -> z3.BoolRef:
                parts = [world.bool_(thread.where, env, world.now)]
                blocked = []
                for wait in waits:
                    here = world.bool_(wait.blocked, env, world.now)
                    blocked.append(here)
                    for other in wait.on:
                        parts.append(_or([_not(here), self._only(world, other, env)]))
                return _or([_not(self._member(world, thread, thread.params, env)), _and([*parts, _or(blocked)])])

            world.solver.add(world.each(Quantifier.FORALL, thread.params, {}, closed))
            for wait in waits:
                env = {p.name: world.constant(p) for p in thread.params}
                restless.append(
                    _and(
                        [
                            self._member(world, thread, thread.params, env),
                            world.bool_(wait.blocked, env, world.now),
                            _not(world.bool_(wait.idle, env, world.now)),
                        ]
                    )
                )
        world.solver.add(_or(restless))
        return world

    def _only(self, world: _World, other: WaitsFor, env: Env) -> z3.BoolRef:
        their = next(t for t in self.system.threads if t.name == other.thread)

        def inside(inner: Env) -> z3.BoolRef:
            own = {p.name: inner[o.name] for p, o in zip(their.params, other.others, strict=True)}
            exists = world.bool_(their.where, own, world.now)
            waits = world.bool_(other.cond, inner, world.now)
            return _or([_not(exists), _not(waits), self._member(world, their, other.others, inner)])

        return world.each(Quantifier.FORALL, other.others, env, inside)

    def _member(self, world: _World, thread: ThreadClass, params: Sequence[Param], env: Env) -> z3.BoolRef:
        """Whether the instance that ``params`` name in ``env`` belongs to the waiting set."""
        parts = []
        for choice in product(*(env[p.name] for p in params)):
            fixed = ",".join(str(k) for k, _ in choice if isinstance(k, int))
            arguments = [k for k, _ in choice if not isinstance(k, int)]
            name = f"W {thread.name}[{fixed}]"
            member = (
                z3.Function(name, *(a.sort() for a in arguments), z3.BoolSort())(*arguments)
                if arguments
                else z3.Bool(name)
            )
            parts.append(_and([*(p for _, p in choice), member]))
        return _or(parts)


MAX_QUERY_MS = 5000

METERED_QUERY_MS = 60_000
"""Where work is counted, time is there only for the worst; what ends a question is effort, in Z3's measure."""

QUERY_EFFORT, EFFORT_PER_WORK, QUERY_WORK = 20_000_000, 400, 120
"""A question here takes at least as long as so many of IC3's; a hard one as its effort says."""


def _effort(solver: z3.Solver) -> int:
    """What Z3 has done until now, in its own measure."""
    statistics = solver.statistics()
    return int(statistics.get_key_value("rlimit count")) if "rlimit count" in statistics.keys() else 0  # noqa: SIM118


class _Question:
    """Which clauses can be false in the state that ``after`` reads: switches for goals and, if wanted, hypotheses."""

    def __init__(
        self, houdini: _Houdini, world: _World, after: ReadCell, written: frozenset[str] | None, *, hypotheses: bool
    ) -> None:
        self.world = world
        self.goals: dict[int, z3.BoolRef] = {}
        self.hypotheses: dict[int, z3.BoolRef] = {}
        shared: dict[tuple[Sort, int], Number | Member] = {}
        for n, clause in enumerate(houdini.clauses):
            if hypotheses:
                on = z3.Bool(f"assume {n}")
                world.solver.add(_or([_not(on), world.universal(n, clause, houdini.universals)]))
                self.hypotheses[n] = on
            if written is not None and written.isdisjoint(r.var.name for r in reads(clause.formula)):
                continue  # what is not assigned stays, and so does what is said of it alone
            # Only one clause has to be false, so all share the constants that stand for their parameters.
            env: dict[str, Number | Member] = {}
            used: dict[Sort, int] = {}
            for param in clause.params:
                key = (param.sort, used.get(param.sort, 0))
                used[param.sort] = key[1] + 1
                if key not in shared:
                    shared[key] = world.constant(replace(param, name=f"goal{key[1]}"))
                env[param.name] = shared[key]
            broken = z3.Bool(f"broken {n}")
            world.solver.add(_or([_not(broken), _not(world.bool_(clause.formula, env, after))]))
            self.goals[n] = broken
        if hypotheses:
            world.complete()
