"""From the parametric system to cells, events and a shared Boolean circuit over ``cell == value``.

:func:`ground` is what every Z3 engine works on. A *cell* is one variable at one index tuple; an *event* is one
transition for one thread instance and one value of each choice. Integers disappear here: an integer expression becomes
a *distribution*, the list of its possible values each with the condition under which it takes that value, so that
every guard, right-hand side and target ends as a literal of one hash-consed circuit of conjunctions.

A literal is a non-zero ``int``; its negation is the negated number; ``TRUE_LIT`` is 1. Nothing is assumed about the
circuit but that exactly one value of each cell is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import TypeAlias, assert_never

from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Quantifier, Read, Var, compute
from protocheck.ir.sorts import (
    OptionSort,
    ScalarSort,
    Sort,
    high_of,
    low_of,
    none_of,
    scalarset_of,
    show_value,
    values_of,
)
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    PropertyTarget,
    System,
    Target,
    ThreadClass,
    Transition,
    Update,
    WaitsFor,
)
from protocheck.records import dataclass

TRUE_LIT = 1
FALSE_LIT = -1

Dist: TypeAlias = tuple[tuple[int, int], ...]
"""The values an expression may take, ascending, each with the literal that says when; exclusive and exhaustive."""

MAX_VALUES = 4096


TOO_DEEP = "an expression is nested too deeply"


class GroundError(Exception):
    """The system is outside of what grounding supports; the message says what and where."""


@dataclass(frozen=True)
class Cell:
    """One variable at one index tuple: the number ``number`` among the system's cells."""

    number: int
    var: Var
    index: tuple[int, ...]
    low: int
    high: int

    @property
    def name(self) -> str:
        """As a person would write it, e.g. ``kvm.spte[g0]``."""
        if not self.index:
            return self.var.name
        shown = ", ".join(show_value(s, i) for s, i in zip(self.var.index, self.index, strict=True))
        return f"{self.var.name}[{shown}]"


@dataclass(frozen=True)
class Event:
    """One transition for one value of each of its parameters.

    ``enabled`` is thread condition and guard: when the step can be begun. ``guard`` adds that no fatal check fails, so
    that there is a state afterwards. ``writes`` gives the new distribution of every cell that may change.
    """

    number: int
    transition: int
    values: tuple[int, ...]
    thread: int  # index into GroundSystem.instances
    enabled: int
    guard: int
    writes: Mapping[int, Dist]


@dataclass(frozen=True)
class Instance:
    """One thread instance: the class (index into ``System.threads``) and the values of its parameters."""

    thread: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class Ending:
    """One way to satisfy a target: case ``case`` for ``values``; with ``via`` (an event number), in that step."""

    case: int
    values: tuple[int, ...]
    lit: int
    via: int | None


@dataclass(frozen=True)
class GroundTarget:
    """The states to look for. ``state`` covers the endings without a step, ``endings`` are all, one by one.

    ``any_state`` is true in every state from which at most the ``via`` step is missing.
    """

    state: int
    any_state: int
    endings: tuple[Ending, ...]


@dataclass(frozen=True)
class Start:
    """One initial case: ``free`` lists its parameters as inputs, ``guard`` and ``values`` are over them only."""

    case: int
    free: tuple[int, ...]  # input cells, one per parameter of the case
    guard: int
    values: tuple[Dist, ...]  # per cell of the system


class Circuit:
    """A hash-consed circuit: literal ``n`` is a node, ``-n`` its negation.

    Nodes are the constant, atoms ``cell == value`` and conjunctions. A cell of two values has one atom: that it has
    its higher value. Cells beyond those of the system are *inputs*: existential choices of a target or initial case.
    """

    def __init__(self) -> None:
        self.bounds: list[tuple[int, int]] = []
        self.atom_of: dict[int, tuple[int, int]] = {}  # node -> cell, value
        self.gate_of: dict[int, tuple[int, ...]] = {}  # node -> literals of the conjunction, ascending
        self._atoms: dict[tuple[int, int], int] = {}
        self._gates: dict[tuple[int, ...], int] = {}
        self._supports: dict[int, tuple[int, ...]] = {}
        self._next = 2

    def add_cell(self, low: int, high: int) -> int:
        """A new cell with the values ``low..high``; its number."""
        self.bounds.append((low, high))
        return len(self.bounds) - 1

    def is_value(self, cell: int, value: int) -> int:
        """The literal ``cell == value``; false outside of the cell's range."""
        low, high = self.bounds[cell]
        if not low <= value <= high:
            return FALSE_LIT
        if low == high:
            return TRUE_LIT
        if high == low + 1:
            node = self._atom(cell, high)
            return node if value == high else -node
        return self._atom(cell, value)

    def _atom(self, cell: int, value: int) -> int:
        node = self._atoms.get((cell, value))
        if node is None:
            node = self._next
            self._next += 1
            self._atoms[cell, value] = node
            self.atom_of[node] = (cell, value)
        return node

    def meaning(self, literal: int) -> tuple[int, int] | None:
        """The ``(cell, value)`` that ``literal`` says, or None if it is no single ``cell == value``."""
        atom = self.atom_of.get(abs(literal))
        if atom is None:
            return None
        cell, value = atom
        if literal > 0:
            return cell, value
        low, high = self.bounds[cell]
        return (cell, low) if high == low + 1 else None

    def and_(self, literals: Iterable[int]) -> int:
        """Conjunction: flattened one level, sorted, constants and plain contradictions folded."""
        parts: set[int] = set()
        for literal in literals:
            if literal == TRUE_LIT:
                continue
            if literal == FALSE_LIT:
                return FALSE_LIT
            inner = self.gate_of.get(literal)
            if inner is not None:
                parts.update(inner)
            else:
                parts.add(literal)
        if not parts:
            return TRUE_LIT
        if len(parts) == 1:
            return next(iter(parts))
        fixed: dict[int, int] = {}
        for literal in parts:
            if -literal in parts:
                return FALSE_LIT
            if literal > 0 and literal in self.atom_of:
                cell = self.atom_of[literal][0]
                if cell in fixed:
                    return FALSE_LIT
                fixed[cell] = literal
        if fixed:
            parts = {p for p in parts if p > 0 or -p not in self.atom_of or self.atom_of[-p][0] not in fixed}
            if len(parts) == 1:
                return next(iter(parts))
        key = tuple(sorted(parts))
        node = self._gates.get(key)
        if node is None:
            node = self._next
            self._next += 1
            self._gates[key] = node
            self.gate_of[node] = key
        return node

    def or_(self, literals: Iterable[int]) -> int:
        """Disjunction."""
        return -self.and_([-literal for literal in literals])

    def ite(self, cond: int, then: int, other: int) -> int:
        """If-then-else on literals."""
        if cond == TRUE_LIT or then == other:
            return then
        if cond == FALSE_LIT:
            return other
        return self.or_((self.and_((cond, then)), self.and_((-cond, other))))

    def support(self, literal: int) -> tuple[int, ...]:
        """The atoms that ``literal`` depends on, ascending."""
        node = abs(literal)
        found = self._supports.get(node)
        if found is None:
            atoms: set[int] = set()
            seen = {node}
            stack = [node]
            while stack:
                here = stack.pop()
                if here in self.atom_of:
                    atoms.add(here)
                for child in self.gate_of.get(here, ()):
                    if abs(child) not in seen:
                        seen.add(abs(child))
                        stack.append(abs(child))
            found = self._supports[node] = tuple(sorted(atoms))
        return found

    def cell_dist(self, cell: int) -> Dist:
        """The value of ``cell`` as a distribution."""
        low, high = self.bounds[cell]
        return tuple((v, self.is_value(cell, v)) for v in range(low, high + 1))

    def merge(self, branches: Iterable[tuple[int, Dist]]) -> Dist:
        """The distribution that is ``d`` where ``cond``, for exclusive and exhaustive ``(cond, d)``."""
        by_value: dict[int, list[int]] = {}
        for cond, dist in branches:
            if cond == FALSE_LIT:
                continue
            for value, when in dist:
                by_value.setdefault(value, []).append(self.and_((cond, when)))
        return self._pack(by_value)

    def combine(self, a: Dist, b: Dist, function: Callable[[int, int], int]) -> Dist:
        """The distribution of ``function`` applied to two values."""
        by_value: dict[int, list[int]] = {}
        for (x, when_x), (y, when_y) in product(a, b):
            by_value.setdefault(function(x, y), []).append(self.and_((when_x, when_y)))
        return self._pack(by_value)

    def relabel(self, a: Dist, function: Callable[[int], int]) -> Dist:
        """The distribution of ``function`` applied to a value."""
        by_value: dict[int, list[int]] = {}
        for x, when in a:
            by_value.setdefault(function(x), []).append(when)
        return self._pack(by_value)

    def _pack(self, by_value: Mapping[int, list[int]]) -> Dist:
        if len(by_value) > MAX_VALUES:
            raise GroundError(f"an expression may take {len(by_value)} values; at most {MAX_VALUES} are supported")
        packed = []
        for value in sorted(by_value):
            when = self.or_(by_value[value])
            if when != FALSE_LIT:
                packed.append((value, when))
        # One value left means it is certain (the conditions are exhaustive), even if that does not show.
        return ((packed[0][0], TRUE_LIT),) if len(packed) == 1 else tuple(packed)


def truth(circuit: Circuit, dist: Dist) -> int:
    """When the value of ``dist`` counts as true."""
    return circuit.or_(when for value, when in dist if value != 0)


def constant(value: int) -> Dist:
    """The distribution of a constant."""
    return ((value, TRUE_LIT),)


class Grounder:
    """Translates expressions: ``reader`` gives the distribution of a cell, environments those of parameters.

    Results are shared per expression object and values of its free parameters; the objects are kept alive by
    ``_kept`` so that identities stay unique.
    """

    def __init__(self, circuit: Circuit, reader: Callable[[Var, tuple[int, ...]], Dist]) -> None:
        self.circuit = circuit
        self.reader = reader
        self._free: dict[int, tuple[str, ...]] = {}
        self._kept: list[Expr] = []
        self._memo: dict[tuple[int, tuple[Dist, ...]], Dist] = {}
        self._memo_bool: dict[tuple[int, tuple[Dist, ...]], int] = {}

    def free_names(self, e: Expr) -> tuple[str, ...]:
        """The parameters that ``e`` mentions and does not bind, in order of appearance."""
        found = self._free.get(id(e))
        if found is None:
            names: dict[str, None] = {}
            match e:
                case Lit():
                    pass
                case Param(name, _):
                    names[name] = None
                case Read(_, args) | Apply(_, args):
                    for arg in args:
                        names.update(dict.fromkeys(self.free_names(arg)))
                case Quant(_, binders, body):
                    bound = {b.name for b in binders}
                    names.update(dict.fromkeys(n for n in self.free_names(body) if n not in bound))
                case _:
                    assert_never(e)
            found = tuple(names)
            self._free[id(e)] = found
            self._kept.append(e)
        return found

    def bool_(self, e: Expr, env: Mapping[str, Dist]) -> int:
        """The literal that is true where ``e`` is (not 0)."""
        if isinstance(e, Lit):
            return TRUE_LIT if e.value else FALSE_LIT
        key = (id(e), tuple([env[n] for n in self.free_names(e)]))
        found = self._memo_bool.get(key)
        if found is None:
            found = self._bool(e, env)
            self._memo_bool[key] = found
        return found

    def _bool(self, e: Expr, env: Mapping[str, Dist]) -> int:
        c = self.circuit
        match e:
            case Apply(Op.NOT, (a,)):
                return -self.bool_(a, env)
            case Apply(Op.AND, args):
                return self._all(args, env)
            case Apply(Op.OR, args):
                literals = []
                for arg in args:
                    literal = self.bool_(arg, env)
                    if literal == TRUE_LIT:
                        return TRUE_LIT
                    literals.append(literal)
                return c.or_(literals)
            case Apply(Op.IMPLIES, (a, b)):
                left = self.bool_(a, env)
                return TRUE_LIT if left == FALSE_LIT else c.or_((-left, self.bool_(b, env)))
            case Apply(Op.ITE, (cond, a, b)):
                when = self.bool_(cond, env)
                if when == TRUE_LIT:
                    return self.bool_(a, env)
                if when == FALSE_LIT:
                    return self.bool_(b, env)
                return c.ite(when, self.bool_(a, env), self.bool_(b, env))
            case Apply(Op.EQ, (a, b)):
                return self._equal(self.num(a, env), self.num(b, env))
            case Apply(Op.NE, (a, b)):
                return -self._equal(self.num(a, env), self.num(b, env))
            case Apply(Op.LT, (a, b)):
                return self._less(self.num(a, env), self.num(b, env))
            case Apply(Op.GE, (a, b)):
                return -self._less(self.num(a, env), self.num(b, env))
            case Apply(Op.GT, (a, b)):
                return self._less(self.num(b, env), self.num(a, env))
            case Apply(Op.LE, (a, b)):
                return -self._less(self.num(b, env), self.num(a, env))
            case Quant(Quantifier.FORALL, binders, body):
                return c.and_(self.bool_(body, inner) for inner in bindings(binders, env))
            case Quant(Quantifier.EXISTS, binders, body):
                return c.or_(self.bool_(body, inner) for inner in bindings(binders, env))
            case _:
                return truth(c, self.num(e, env))

    def _all(self, args: Sequence[Expr], env: Mapping[str, Dist]) -> int:
        literals = []
        for arg in args:
            literal = self.bool_(arg, env)
            if literal == FALSE_LIT:
                return FALSE_LIT
            literals.append(literal)
        return self.circuit.and_(literals)

    def _equal(self, a: Dist, b: Dist) -> int:
        if len(a) == 2 and len(b) == 2 and a[0][0] == b[0][0] and a[1][0] == b[1][0]:
            return self.circuit.ite(a[1][1], b[1][1], -b[1][1])
        other = dict(b)
        return self.circuit.or_([self.circuit.and_((when, other[v])) for v, when in a if v in other])

    def _less(self, a: Dist, b: Dist) -> int:
        return self.circuit.or_(
            self.circuit.and_((when, self.circuit.or_(w for y, w in b if y > x))) for x, when in a
        )

    def num(self, e: Expr, env: Mapping[str, Dist]) -> Dist:
        """The distribution of the value of ``e``."""
        if isinstance(e, Lit):
            return ((e.value, TRUE_LIT),)
        if isinstance(e, Param):
            return env[e.name]
        key = (id(e), tuple([env[n] for n in self.free_names(e)]))
        found = self._memo.get(key)
        if found is None:
            found = self._num(e, env)
            self._memo[key] = found
        return found

    def _num(self, e: Read | Apply | Quant, env: Mapping[str, Dist]) -> Dist:
        c = self.circuit
        match e:
            case Read(var, index):
                return self._read(var, [self.num(i, env) for i in index])
            case Apply(Op.ITE, (cond, a, b)):
                when = self.bool_(cond, env)
                if when == TRUE_LIT:
                    return self.num(a, env)
                if when == FALSE_LIT:
                    return self.num(b, env)
                return c.merge(((when, self.num(a, env)), (-when, self.num(b, env))))
            case Apply(
                Op.NOT | Op.AND | Op.OR | Op.IMPLIES | Op.EQ | Op.NE | Op.LT | Op.LE | Op.GT | Op.GE, _
            ):
                return self._truth_value(self.bool_(e, env))
            case Apply(Op.ADD | Op.MUL | Op.MIN | Op.MAX as op, args):
                total = self.num(args[0], env)
                for arg in args[1:]:
                    total = c.combine(total, self.num(arg, env), lambda x, y: compute(op, [x, y]))
                return total
            case Apply(op, (a,)):
                return c.relabel(self.num(a, env), lambda x: compute(op, [x]))
            case Apply(op, (a, b)):
                return c.combine(self.num(a, env), self.num(b, env), lambda x, y: compute(op, [x, y]))
            case Apply(op, args):
                raise GroundError(f"operator {op.value} with {len(args)} arguments")
            case Quant(Quantifier.COUNT, binders, body):
                total = constant(0)
                for inner in bindings(binders, env):
                    total = c.combine(total, self._truth_value(self.bool_(body, inner)), int.__add__)
                return total
            case Quant():
                return self._truth_value(self.bool_(e, env))
            case _:
                assert_never(e)

    def _truth_value(self, literal: int) -> Dist:
        if literal in (TRUE_LIT, FALSE_LIT):
            return constant(int(literal == TRUE_LIT))
        return ((0, -literal), (1, literal))

    def _read(self, var: Var, index: list[Dist]) -> Dist:
        if all(len(i) == 1 for i in index):
            where = tuple([i[0][0] for i in index])
            return self.reader(var, where) if inside(var, where) else constant(0)
        branches = []
        for choice in product(*index):
            where = tuple([v for v, _ in choice])
            cond = self.circuit.and_(when for _, when in choice)
            if cond != FALSE_LIT:
                # Outside of the index sorts any answer will do; 0 is what the interpreter says.
                branches.append((cond, self.reader(var, where) if inside(var, where) else constant(0)))
        return self.circuit.merge(branches)


def inside(var: Var, index: Sequence[int]) -> bool:
    """Whether ``index`` is a cell of ``var``."""
    return all(low_of(s) <= i <= high_of(s) for s, i in zip(var.index, index, strict=True))


def bindings(binders: Sequence[Param], env: Mapping[str, Dist]) -> Iterable[dict[str, Dist]]:
    """``env`` extended by every combination of values of ``binders``, the last one fastest."""
    for values in product(*(values_of(b.sort) for b in binders)):
        yield {**env, **{b.name: constant(v) for b, v in zip(binders, values, strict=True)}}


class GroundSystem:
    """Cells, events and initial cases of one system, with the circuit that all literals belong to.

    Built once per system by :func:`ground`; targets are translated on demand with :meth:`target` and share everything.

    NOTE(loose): where a step stores a literal unnamed member of a scalarset in ``loose``, it may store any. Then the
    conditions of the values that a write lists overlap: each says when the cell *may* get that value.
    """

    def __init__(self, system: System, loose: frozenset[str] = frozenset()) -> None:
        self.system = system
        self.loose = loose
        self.circuit = Circuit()
        self._number: dict[tuple[str, tuple[int, ...]], int] = {}
        cells = []
        for var in system.variables:
            low, high = low_of(var.sort), high_of(var.sort)
            if high < low:
                raise GroundError(f"variable {var.name} has a sort without values")
            for index in product(*(values_of(s) for s in var.index)):
                number = self.circuit.add_cell(low, high)
                self._number[var.name, index] = number
                cells.append(Cell(number, var, index, low, high))
        self.cells: tuple[Cell, ...] = tuple(cells)
        self._dists = [self.circuit.cell_dist(c.number) for c in self.cells]
        self.now = Grounder(self.circuit, lambda var, index: self._dists[self._number[var.name, index]])
        self.instances: tuple[Instance, ...] = tuple(
            Instance(number, values)
            for number, thread in enumerate(system.threads)
            for values in product(*(values_of(p.sort) for p in thread.params))
            if self.now.bool_(thread.where, environment(thread.params, values)) != FALSE_LIT
        )
        self._instance = {(i.thread, i.values): n for n, i in enumerate(self.instances)}
        self._class = {thread.name: number for number, thread in enumerate(system.threads)}
        self.events: tuple[Event, ...] = tuple(self._events())
        self._event = {(e.transition, e.values): e.number for e in self.events}
        self.starts: tuple[Start, ...] = tuple(self._starts())

    def cell(self, var: Var, index: tuple[int, ...]) -> int:
        """The number of the cell ``var[index]``."""
        return self._number[var.name, index]

    def event(self, transition: int, values: tuple[int, ...]) -> Event | None:
        """The event of ``transition`` for ``values`` of its parameters, if it can ever happen."""
        number = self._event.get((transition, values))
        return None if number is None else self.events[number]

    def _thread_of(self, transition: Transition) -> tuple[int, ThreadClass]:
        number = self._class.get(transition.thread)
        if number is None:
            raise GroundError(f"transition {transition.name} belongs to no declared thread ({transition.thread})")
        return number, self.system.threads[number]

    def _events(self) -> Iterable[Event]:
        c = self.circuit
        number = 0
        for t, transition in enumerate(self.system.transitions):
            which, thread = self._thread_of(transition)
            arity = len(thread.params)
            for values in product(*(values_of(p.sort) for p in transition.params)):
                instance = self._instance.get((which, values[:arity]))
                if instance is None:
                    continue
                env = environment(transition.params, values)
                enabled = c.and_(
                    (
                        self.now.bool_(thread.where, environment(thread.params, values[:arity])),
                        self.now.bool_(transition.guard, env),
                    )
                )
                if enabled == FALSE_LIT:
                    continue
                guard = c.and_([enabled, *(self.now.bool_(k.cond, env) for k in transition.checks if k.fatal)])
                writes, overflow = self._writes(transition.updates, env, self._dists)
                # NOTE(no-overflow): a value outside of its cell is caught by a fatal check before it is stored; a
                # system without that check has no such step.
                guard = c.and_((guard, -overflow))
                changed = {n: d for n, d in writes.items() if d != self._dists[n]}
                yield Event(number, t, values, instance, enabled, guard, changed)
                number += 1

    def _writes(
        self, updates: Sequence[Update], env: Mapping[str, Dist], before: Sequence[Dist]
    ) -> tuple[dict[int, Dist], int]:
        """What ``updates`` do to the state ``before``: the new distributions, and when a value fits no cell."""
        return self._apply(self.now, updates, env, before)

    def _apply(
        self, grounder: Grounder, updates: Sequence[Update], env: Mapping[str, Dist], before: Sequence[Dist]
    ) -> tuple[dict[int, Dist], int]:
        c = self.circuit
        writes: dict[int, Dist] = {}
        overflows: list[int] = []
        for update in updates:
            var = update.var
            for inner in bindings(update.binders, env) if update.binders else (env,):
                where = grounder.bool_(update.where, inner)
                if where == FALSE_LIT:
                    continue
                value = self._stored(grounder, update.value, var.sort, inner)
                for choice in product(*(grounder.num(i, inner) for i in update.index)):
                    index = tuple([v for v, _ in choice])
                    cond = c.and_([where, *(when for _, when in choice)])
                    if cond == FALSE_LIT:
                        continue
                    if not inside(var, index):
                        overflows.append(cond)
                        continue
                    cell = self._number[var.name, index]
                    low, high = self.circuit.bounds[cell]
                    fitting = value
                    if value[0][0] < low or value[-1][0] > high:
                        outside = [when for v, when in value if not low <= v <= high]
                        overflows.append(c.and_((cond, c.or_(outside))))
                        fitting = tuple((v, when) for v, when in value if low <= v <= high)
                    old = writes.get(cell, before[cell])
                    writes[cell] = c.merge(((cond, fitting), (-cond, old))) if cond != TRUE_LIT else fitting
        return writes, c.or_(overflows)

    def _stored(self, grounder: Grounder, e: Expr, sort: Sort, env: Mapping[str, Dist]) -> Dist:
        """The value of ``e``, stored in a cell of ``sort``."""
        if self.loose and grounder is self.now:
            scalarset = scalarset_of(sort)
            if scalarset is not None and scalarset.name in self.loose:
                if isinstance(e, Lit) and scalarset.named <= e.value < len(scalarset.members):
                    return tuple((v, TRUE_LIT) for v in range(scalarset.named, len(scalarset.members)))
                if isinstance(e, Apply) and e.op is Op.ITE:
                    cond = grounder.bool_(e.args[0], env)
                    then, other = (self._stored(grounder, a, sort, env) for a in e.args[1:])
                    return self.circuit.merge(((cond, then), (-cond, other)))
        return grounder.num(e, env)

    def _starts(self) -> Iterable[Start]:
        c = self.circuit
        defaults: list[Dist] = []
        plain = Grounder(c, lambda var, index: defaults[self._number[var.name, index]])
        for var, value in zip(self.system.variables, self.system.defaults, strict=True):
            for index in product(*(values_of(s) for s in var.index)):
                dist = plain.num(value, {f"#{i}": constant(v) for i, v in enumerate(index)})
                if len(dist) != 1 or not low_of(var.sort) <= dist[0][0] <= high_of(var.sort):
                    raise GroundError(f"the default of {var.name} is no value of its sort")
                defaults.append(dist)
        for number, case in enumerate(self.system.initial):
            free = tuple(c.add_cell(low_of(p.sort), high_of(p.sort)) for p in case.params)
            if any(high_of(p.sort) < low_of(p.sort) for p in case.params):
                continue
            env = {p.name: c.cell_dist(f) for p, f in zip(case.params, free, strict=True)}
            writes, overflow = self._apply(plain, case.updates, env, defaults)
            guard = c.and_((plain.bool_(case.guard, env), -overflow))
            if guard != FALSE_LIT:
                values = tuple(writes.get(n, d) for n, d in enumerate(defaults))
                yield Start(number, free, guard, values)

    def target(self, target: PropertyTarget) -> GroundTarget:
        """``target`` over the cells of this system (and inputs of its own, for a deadlock)."""
        match target:
            case Target(cases):
                return self._target(cases)
            case DeadlockTarget():
                lit = self.deadlock()
                return GroundTarget(lit, lit, (Ending(-1, (), lit, None),) if lit != FALSE_LIT else ())
            case _:
                assert_never(target)

    def _target(self, cases: Sequence[Case]) -> GroundTarget:
        c = self.circuit
        endings = []
        for number, case in enumerate(cases):
            for values in product(*(values_of(p.sort) for p in case.params)):
                cond = self.now.bool_(case.cond, environment(case.params, values))
                via: int | None = None
                if case.via is not None:
                    arity = len(self.system.transitions[case.via].params)
                    via = self._event.get((case.via, values[:arity]))
                    cond = FALSE_LIT if via is None else c.and_((cond, self.events[via].enabled))
                if cond != FALSE_LIT:
                    endings.append(Ending(number, values, cond, via))
        return GroundTarget(
            c.or_(e.lit for e in endings if e.via is None), c.or_(e.lit for e in endings), tuple(endings)
        )

    def deadlock(self) -> int:
        """The literal "there is a deadlocked set W": one input bit per thread instance, true for its members.

        Any set of blocked instances that wait only for each other, one of them not idle, lies within the greatest one,
        so some choice of the inputs satisfies the literal exactly where :class:`DeadlockTarget` says so.
        """
        c = self.circuit
        member: list[int] = []
        for _ in self.instances:
            member.append(c.is_value(c.add_cell(0, 1), 1))
        blocked: list[list[int]] = [[] for _ in self.instances]
        restless: list[int] = []
        closed: list[int] = []
        for wait in self.system.waits:
            which = self._class[wait.thread]
            params = self.system.threads[which].params
            for n, instance in enumerate(self.instances):
                if instance.thread != which:
                    continue
                env = environment(params, instance.values)
                here = c.and_(
                    (self.now.bool_(self.system.threads[which].where, env), self.now.bool_(wait.blocked, env))
                )
                if here == FALSE_LIT:
                    continue
                blocked[n].append(here)
                restless.append(c.and_((member[n], here, -self.now.bool_(wait.idle, env))))
                for other in wait.on:
                    for m, cond in self._others(other, env):
                        closed.append(-c.and_((member[n], here, cond, -member[m])))
        closed.extend(-c.and_((member[n], -c.or_(blocked[n]))) for n in range(len(self.instances)))
        return c.and_([*closed, c.or_(restless)])

    def _others(self, other: WaitsFor, env: Mapping[str, Dist]) -> Iterable[tuple[int, int]]:
        which = self._class.get(other.thread)
        for m, instance in enumerate(self.instances):
            if instance.thread == which:
                thread = self.system.threads[instance.thread]
                cond = self.circuit.and_(
                    (
                        self.now.bool_(thread.where, environment(thread.params, instance.values)),
                        self.now.bool_(other.cond, {**env, **environment(other.others, instance.values)}),
                    )
                )
                if cond != FALSE_LIT:
                    yield m, cond


def ground(system: System, loose: frozenset[str] = frozenset()) -> GroundSystem:
    """The ground form of ``system``; with ``loose`` scalarsets one that can do more (see :class:`GroundSystem`).

    Raises :class:`GroundError` where it cannot be given (a default outside of its sort, an expression of more than
    ``MAX_VALUES`` values, expressions nested too deeply).
    """
    try:
        return GroundSystem(system, loose)
    except RecursionError as error:
        raise GroundError(TOO_DEEP) from error


def environment(params: Sequence[Param], values: Sequence[int]) -> dict[str, Dist]:
    """Parameters bound to constants."""
    return {p.name: ((v, TRUE_LIT),) for p, v in zip(params, values, strict=True)}


def symmetric_scalarsets(
    system: System, targets: Sequence[PropertyTarget], *, resets: bool = False
) -> tuple[ScalarSort, ...]:
    """The scalarsets whose unnamed members may be permuted without changing what steps do and what targets say.

    A scalarset is dropped as soon as any expression could tell its unnamed members apart: by a literal, by an order,
    by arithmetic, or by mixing it with another sort. The analysis errs only towards dropping. It does not look at how
    runs begin: see :func:`symmetric_beginnings`. With ``resets``, storing an unnamed member by a literal is let pass
    (locals that are not needed any more are reset like that); only the loose ground system is symmetric then.
    """
    guilty: set[str] = set()
    audit = _Audit(guilty, resets=resets)
    for thread in system.threads:
        audit.sort_of(thread.where, {p.name: p.sort for p in thread.params})
    for transition in system.transitions:
        scope: dict[str, Sort] = {p.name: p.sort for p in transition.params}
        audit.sort_of(transition.guard, scope)
        for check in transition.checks:
            audit.sort_of(check.cond, scope)
        for update in transition.updates:
            audit.update(update, scope)
    for wait in system.waits:
        which = next(t for t in system.threads if t.name == wait.thread)
        scope = {p.name: p.sort for p in which.params}
        audit.sort_of(wait.blocked, scope)
        audit.sort_of(wait.idle, scope)
        for other in wait.on:
            audit.sort_of(other.cond, {**scope, **{p.name: p.sort for p in other.others}})
    for target in targets:
        if isinstance(target, Target):
            for goal in target.cases:
                audit.sort_of(goal.cond, {p.name: p.sort for p in goal.params})
    return tuple(s for s in system.scalarsets if s.name not in guilty and len(s.members) - s.named >= 2)


def symmetric_beginnings(system: System) -> frozenset[str]:
    """The names of the scalarsets whose unnamed members may be permuted without changing how runs begin."""
    guilty: set[str] = set()
    audit = _Audit(guilty)
    for var, default in zip(system.variables, system.defaults, strict=True):
        audit.store(var.sort, default, {f"#{i}": s for i, s in enumerate(var.index)})
    for case in system.initial:
        scope: dict[str, Sort] = {p.name: p.sort for p in case.params}
        audit.sort_of(case.guard, scope)
        for update in case.updates:
            audit.update(update, scope)
    return frozenset(s.name for s in system.scalarsets if s.name not in guilty)


class _Audit:
    """Finds uses that tell members of a scalarset apart; ``guilty`` collects the names of such scalarsets.

    Expressions share their parts, and a sort is asked for on several ways: what was seen in a scope is known by the
    addresses of both, which ``alive`` keeps from being given to others.
    """

    def __init__(self, guilty: set[str], *, resets: bool = False) -> None:
        self.guilty = guilty
        self.resets = resets
        self.sorts: dict[tuple[int, int], Sort | None] = {}
        self.same: set[tuple[int, int, int, bool]] = set()
        self.alive: list[object] = []

    def update(self, update: Update, scope: Mapping[str, Sort]) -> None:
        inner = {**scope, **{b.name: b.sort for b in update.binders}}
        self.sort_of(update.where, inner)
        for sort, index in zip(update.var.index, update.index, strict=True):
            self.store(sort, index, inner)
        self._same(update.var.sort, update.value, inner, stored=self.resets)

    def store(self, sort: Sort, e: Expr, scope: Mapping[str, Sort]) -> None:
        """``e`` is used where a value of ``sort`` belongs."""
        self._same(sort, e, scope)

    def _same(self, sort: Sort | None, e: Expr, scope: Mapping[str, Sort], *, stored: bool = False) -> None:
        if isinstance(e, Apply) and e.op is Op.ITE:
            use = id(sort), id(e), id(scope), stored
            if use in self.same:
                return
            self.same.add(use)
            self.alive.append((sort, e, scope))
            self.sort_of(e.args[0], scope)
            self._same(sort, e.args[1], scope, stored=stored)
            self._same(sort, e.args[2], scope, stored=stored)
            return
        mine = scalarset_of(sort) if sort is not None else None
        if isinstance(e, Lit):
            if stored and mine is not None and mine.named <= e.value < len(mine.members):
                return
            if mine is not None and not self._nameable(sort, mine, e.value):
                self.guilty.add(mine.name)
            return
        other_sort = self.sort_of(e, scope)
        other = scalarset_of(other_sort) if other_sort is not None else None
        if mine != other:
            self.guilty.update(s.name for s in (mine, other) if s is not None)
        elif mine is not None and sort is not None and other_sort is not None:
            # none of T? and of T?? are different numbers; both lie above the members, so both are fixed.
            return

    def _nameable(self, sort: Sort | None, scalarset: ScalarSort, value: int) -> bool:
        if 0 <= value < scalarset.named:
            return True
        return isinstance(sort, OptionSort) and len(scalarset.members) <= value <= none_of(sort)

    def sort_of(self, e: Expr, scope: Mapping[str, Sort]) -> Sort | None:
        """The sort of ``e`` if it is a parameter or a read (through if-then-else), else None, auditing all inside."""
        if isinstance(e, Lit):
            return None
        use = id(e), id(scope)
        if use not in self.sorts:
            self.sorts[use] = self._sort_of(e, scope)
            self.alive.append((e, scope))
        return self.sorts[use]

    def _sort_of(self, e: Expr, scope: Mapping[str, Sort]) -> Sort | None:
        match e:
            case Lit():
                return None
            case Param(name, sort):
                return scope.get(name, sort)
            case Read(var, index):
                for s, i in zip(var.index, index, strict=True):
                    self._same(s, i, scope)
                return var.sort
            case Apply(Op.EQ | Op.NE, (a, b)):
                self._compare(a, b, scope)
                return None
            case Apply(Op.ITE, (cond, a, b)):
                self.sort_of(cond, scope)
                first = self.sort_of(a, scope) or self.sort_of(b, scope)
                self._same(first, a, scope)
                self._same(first, b, scope)
                return first
            case Apply(_, args):
                for arg in args:
                    found = self.sort_of(arg, scope)
                    scalarset = scalarset_of(found) if found is not None else None
                    if scalarset is not None:
                        self.guilty.add(scalarset.name)
                return None
            case Quant(_, binders, body):
                self.sort_of(body, {**scope, **{b.name: b.sort for b in binders}})
                return None
            case _:
                assert_never(e)

    def _compare(self, a: Expr, b: Expr, scope: Mapping[str, Sort]) -> None:
        left, right = self.sort_of(a, scope), self.sort_of(b, scope)
        if left is not None or right is None:
            # A literal is compared as the widest option that the other side may be, so any none is in order.
            self._same(left, b, scope)
        if right is not None:
            self._same(right, a, scope)
