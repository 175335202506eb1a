"""Python source for a transition system: states packed into one integer each, steps as straight-line code on it.

A state is a Python ``int``; every cell has a fixed place in it, and holds its value minus the low of its sort. Threads
are unrolled, and dispatched on their program counter; choices are unrolled where they are few and looped over where
they are many. What a guard pins down (``lock == none``) is folded into the rest of the step, so that most steps come
out as one addition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import TypeAlias, assert_never

from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Lit,
    Op,
    Param,
    Quant,
    Quantifier,
    Read,
    Var,
    and_,
    apply,
    exists,
    fits,
    ite,
    or_,
    quantified,
    reads,
    rebuild,
    substitute,
    within,
)
from protocheck.ir.sorts import BoolSort, Sort, high_of, low_of, product_size, size_of, values_of
from protocheck.ir.system import Case, Choice, InitCase, System, ThreadClass, Transition, Update

State: TypeAlias = int

UNROLL_CHOICES = 16
UNROLL_QUANTIFIERS = 512


class StoreOutsideError(Exception):
    """A step stored a value outside of its sort, or to no cell; the compiler of the system had to exclude that."""


@dataclass(frozen=True)
class Field:
    """Where the cells of a variable are: the first at bit ``base``, ``width`` bits each, strides in cells."""

    var: Var
    base: int
    width: int
    strides: tuple[int, ...]
    low: int
    spans: tuple[range, ...]
    """The values of the indexes."""

    @property
    def mask(self) -> int:
        return (1 << self.width) - 1

    def shift(self, index: Sequence[int]) -> int | None:
        """The first bit of the cell at ``index``, or None if there is no such cell."""
        at = 0
        for value, span, stride in zip(index, self.spans, self.strides, strict=True):
            if value not in span:
                return None
            at += (value - span.start) * stride
        return self.base + at * self.width

    def indexes(self) -> Iterator[tuple[int, ...]]:
        """The indexes of all cells, ascending."""
        return product(*self.spans)


class Layout:
    """The places of all variables of a system in a packed state."""

    def __init__(self, system: System) -> None:
        self.fields: dict[str, Field] = {}
        at = 0
        for var in system.variables:
            strides: list[int] = []
            cells = 1
            for sort in reversed(var.index):
                strides.append(cells)
                cells *= size_of(sort)
            width = (size_of(var.sort) - 1).bit_length()
            spans = tuple(values_of(sort) for sort in var.index)
            self.fields[var.name] = Field(var, at, width, tuple(reversed(strides)), low_of(var.sort), spans)
            at += cells * width
        self.bits = at

    def pack(self, values: Iterable[int]) -> State:
        """The packed form of a state given as its values in order of the cells."""
        state, given = 0, iter(values)
        for field in self.fields.values():
            for index in field.indexes():
                shift = field.shift(index)
                assert shift is not None
                state |= (next(given) - field.low) << shift
        return state

    def unpack(self, state: State) -> tuple[int, ...]:
        """The values of ``state`` in order of the cells."""
        values: list[int] = []
        for field in self.fields.values():
            for index in field.indexes():
                shift = field.shift(index)
                assert shift is not None
                values.append(((state >> shift) & field.mask) + field.low)
        return tuple(values)


def unroll(e: Expr, limit: int | None = None) -> Expr:
    """``e`` with every quantifier over at most ``limit`` tuples (``UNROLL_QUANTIFIERS`` by default) written out."""
    limit = UNROLL_QUANTIFIERS if limit is None else limit
    if not quantified(e):
        return e
    match e:
        case Lit() | Param():
            return e
        case Read(var, index):
            return Read(var, tuple(unroll(i, limit) for i in index)) if index else e
        case Apply(op, args):
            return apply(op, *(unroll(a, limit) for a in args))
        case Quant(kind, binders, body):
            size = product_size([b.sort for b in binders])
            if size > limit:
                return Quant(kind, binders, unroll(body, 1))
            parts = [
                unroll(
                    substitute(body, {b.name: Lit(v) for b, v in zip(binders, values, strict=True)}),
                    limit // max(size, 1),
                )
                for values in product(*(values_of(b.sort) for b in binders))
            ]
            match kind:
                case Quantifier.FORALL:
                    return and_(*parts)
                case Quantifier.EXISTS:
                    return or_(*parts)
                case Quantifier.COUNT:
                    return apply(Op.ADD, *(ite(p, TRUE, FALSE) for p in parts)) if parts else FALSE
                case _:
                    assert_never(kind)
        case _:
            assert_never(e)


_COMPARISONS = {Op.EQ: "==", Op.NE: "!=", Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_PLAIN = {Op.ADD: " + ", Op.SUB: " - ", Op.MUL: " * ", Op.BITAND: " & ", Op.BITOR: " | ", Op.BITXOR: " ^ "}


def _quotient(a: int, b: int) -> int:
    if not b:
        return 0
    return a // b if (a >= 0) == (b > 0) else -(-a // b)


def _remainder(a: int, b: int) -> int:
    return a - b * _quotient(a, b) if b else 0


def _left(a: int, b: int) -> int:
    return a << b if 0 <= b <= 64 else 0


def _right(a: int, b: int) -> int:
    return a >> b if b >= 0 else 0


_HELPERS: dict[str, object] = {
    "_quotient": _quotient,
    "_remainder": _remainder,
    "_left": _left,
    "_right": _right,
    "product": product,
    "StoreOutsideError": StoreOutsideError,
}
_CALLS = {Op.DIV: "_quotient", Op.MOD: "_remainder", Op.SHL: "_left", Op.SHR: "_right", Op.MIN: "min", Op.MAX: "max"}


class Phrases:
    """Turns expressions over the packed state ``s`` into Python; ``names`` are the Python names of parameters."""

    def __init__(self, layout: Layout, names: Mapping[str, str], cached: Mapping[int, str]) -> None:
        self.layout = layout
        self.names = dict(names)
        self.cached = cached
        self._fresh = count()

    def truth(self, e: Expr) -> str:
        """Python that is truthy exactly if ``e`` is true."""
        match e:
            case Lit(value):
                return "True" if value else "False"
            case Apply(Op.NOT, (a,)):
                return f"(not {self.truth(a)})"
            case Apply(Op.AND, args):
                return "(" + " and ".join(self.truth(a) for a in args) + ")"
            case Apply(Op.OR, args):
                return "(" + " or ".join(self.truth(a) for a in args) + ")"
            case Apply(Op.IMPLIES, (a, b)):
                return f"(not {self.truth(a)} or {self.truth(b)})"
            case Apply(Op.ITE, (c, a, b)):
                return f"({self.truth(a)} if {self.truth(c)} else {self.truth(b)})"
            case Apply(Op.EQ | Op.NE as op, (a, b)):
                return self._equality(op, a, b)
            case Quant(Quantifier.FORALL | Quantifier.EXISTS as kind, binders, body):
                loop = self._loop(binders)
                return f"{'all' if kind is Quantifier.FORALL else 'any'}({self.truth(body)} {loop})"
            case _:
                return self.value(e)

    def value(self, e: Expr) -> str:
        """Python for the value of ``e``; truth values come out as 0 and 1, or as False and True."""
        match e:
            case Lit(value):
                return str(value) if value >= 0 else f"({value})"
            case Param(name, _):
                return self.names[name]
            case Read(var, index):
                return self._read(var, index)
            case Apply(Op.NOT, _):
                return self.truth(e)
            case Apply(Op.AND | Op.OR | Op.IMPLIES, _):
                return f"(1 if {self.truth(e)} else 0)"
            case Apply(Op.ITE, (c, a, b)):
                return f"({self.value(a)} if {self.truth(c)} else {self.value(b)})"
            case Apply(Op.EQ | Op.NE as op, (a, b)):
                return self._equality(op, a, b)
            case Apply(Op.NEG, (a,)):
                return f"(-{self.value(a)})"
            case Apply(Op.BITNOT, (a,)):
                return f"(~{self.value(a)})"
            case Apply(op, args) if op in _COMPARISONS:
                return f"({self.value(args[0])} {_COMPARISONS[op]} {self.value(args[1])})"
            case Apply(op, args) if op in _PLAIN:
                return "(" + _PLAIN[op].join(self.value(a) for a in args) + ")"
            case Apply(Op.MIN | Op.MAX, (a,)):
                return self.value(a)
            case Apply(op, args):
                return f"{_CALLS[op]}({', '.join(self.value(a) for a in args)})"
            case Quant(Quantifier.COUNT, binders, body):
                loop = self._loop(binders)
                return f"sum(1 {loop} if {self.truth(body)})"
            case Quant():
                return f"(1 if {self.truth(e)} else 0)"
            case _:
                assert_never(e)

    def _loop(self, binders: tuple[Param, ...]) -> str:
        parts: list[str] = []
        for b in binders:
            self.names[b.name] = f"q{next(self._fresh)}"
            parts.append(f"for {self.names[b.name]} in range({low_of(b.sort)}, {high_of(b.sort) + 1})")
        return " ".join(parts)

    def _equality(self, op: Op, a: Expr, b: Expr) -> str:
        sign = _COMPARISONS[op]
        if isinstance(a, Read) and isinstance(b, Lit):
            shift = static_shift(self.layout, a)
            field = self.layout.fields[a.var.name]
            if shift is not None and shift not in self.cached:
                raw = b.value - field.low
                if not 0 <= raw <= field.mask:
                    return "False" if op is Op.EQ else "True"
                return f"(s & {field.mask << shift} {sign} {raw << shift})"
        return f"({self.value(a)} {sign} {self.value(b)})"

    def _read(self, var: Var, index: tuple[Expr, ...]) -> str:
        field = self.layout.fields[var.name]
        if not field.width:
            return str(field.low) if field.low >= 0 else f"({field.low})"
        if all(isinstance(i, Lit) for i in index):
            shift = static_shift(self.layout, Read(var, index))
            if shift is None:
                return "0"
            return self.cached.get(shift) or _raw(field, str(shift), field.low)
        outside = [(i, within(i, sort)) for i, sort in zip(index, var.index, strict=True)]
        found = _raw(field, self.offset(field, index), field.low)
        checks = [self.truth(c) for _, c in outside if c != TRUE]
        return f"({found} if {' and '.join(checks)} else 0)" if checks else found

    def offset(self, field: Field, index: Sequence[Expr]) -> str:
        """Python for the first bit of a cell whose index is not constant."""
        fixed, parts = field.base, []
        for i, sort, stride in zip(index, field.var.index, field.strides, strict=True):
            step = stride * field.width
            fixed -= low_of(sort) * step
            if isinstance(i, Lit):
                fixed += i.value * step
            else:
                parts.append(f"{self.value(i)} * {step}" if step != 1 else self.value(i))
        return "(" + " + ".join([*parts, *([str(fixed)] if fixed or not parts else [])]) + ")"


def static_shift(layout: Layout, read: Read) -> int | None:
    """The place of the cell that ``read`` names if its index is constant and exists; else None."""
    values = [i.value for i in read.index if isinstance(i, Lit)]
    return layout.fields[read.var.name].shift(values) if len(values) == len(read.index) else None


def _raw(field: Field, shift: str, low: int) -> str:
    if not field.width:
        return str(low) if low >= 0 else f"({low})"
    at = f"s & {field.mask}" if shift == "0" else f"s >> {shift} & {field.mask}"
    return f"(({at}) + {low})" if low > 0 else f"(({at}) - {-low})" if low else f"({at})"


@dataclass(frozen=True)
class Step:
    """A transition (or initial case) for one thread instance, some choices fixed, the rest looped over.

    ``values`` has a number for each fixed parameter and the Python name of the loop variable for each other one.
    """

    which: int
    values: tuple[int | str, ...]
    loops: tuple[tuple[str, Sort], ...]
    guard: Expr
    updates: tuple[Update, ...]
    fatal: Expr
    vias: tuple[tuple[int, int, Expr], ...]  # target, case, condition


@dataclass(frozen=True)
class Block:
    """What one thread instance can do: ``steps`` by location, under None where no location is tested."""

    thread: str
    own: tuple[int, ...]
    pc: Read
    steps: Mapping[int | None, tuple[Step, ...]]


Sink: TypeAlias = Callable[[Step], list[str]]
ViaSink: TypeAlias = Callable[[int, int], list[str]]
Before: TypeAlias = Callable[[Step], str]


class Generator:
    """Generates functions over packed states of one system; ``vias`` are the target cases that happen in a step."""

    def __init__(self, system: System, vias: Mapping[int, Sequence[tuple[int, int, Case]]]) -> None:
        self.system = system
        self.layout = Layout(system)
        self._fresh = count()
        self._space: dict[str, object] = dict(_HELPERS)
        self.blocks = tuple(self._blocks(vias))

    def default(self) -> State:
        """The packed state of the defaults."""
        values: list[int] = []
        for var, default in zip(self.system.variables, self.system.defaults, strict=True):
            for index in self.layout.fields[var.name].indexes():
                value = unroll(substitute(default, {f"#{k}": Lit(i) for k, i in enumerate(index)}))
                if not isinstance(value, Lit):
                    raise StoreOutsideError(f"the default of {var.name} is not constant")
                if value.value not in values_of(var.sort):
                    raise StoreOutsideError(f"the default of {var.name}{list(index)} is outside of its sort")
                values.append(value.value)
        return self.layout.pack(values)

    def initial(self) -> list[tuple[Choice, State]]:
        """All beginnings, with repetitions, in the order of the initial cases and of their parameters' values."""
        lines = ["def begin(s, out):"]
        for which, case in enumerate(self.system.initial):
            lines += _indent(self._begin(which, case))
        out: list[tuple[Choice, State]] = []
        self.function("begin", [*lines, "    return None"])(self.default(), out)
        return out

    def _begin(self, which: int, case: InitCase) -> list[str]:
        names = {p.name: f"p{next(self._fresh)}" for p in case.params}
        step = Step(
            which,
            tuple(names.values()),
            tuple((names[p.name], p.sort) for p in case.params),
            _renamed(case.guard, names),
            tuple(_update(u, names, {}) for u in case.updates),
            TRUE,
            (),
        )
        values = "".join(f"{v}, " for v in step.values)
        return self.step(step, {}, lambda _: [f"out.append((Choice({which}, ({values})), t))"], _no_via, _no_count)

    def function(self, name: str, lines: Sequence[str]) -> Callable[..., object]:
        """The function ``name`` that ``lines`` define."""
        space = {**self._space, "Choice": Choice}
        exec(compile("\n".join(lines), f"<generated {name}>", "exec"), space)
        found = space[name]
        assert callable(found)
        return found

    def predicate(self, cond: Expr) -> Callable[..., object]:
        """A function that says whether ``cond``, which has no parameters, is true in a packed state."""
        truth = Phrases(self.layout, {}, {}).truth(unroll(cond))
        return self.function("holds", ["def holds(s):", f"    return bool({truth})"])

    def sum_of(self, parts: Sequence[tuple[Expr, int]]) -> Callable[..., object]:
        """A function that adds up the numbers of those conditions that are true in a packed state."""
        phrases = Phrases(self.layout, {}, {})
        terms = " + ".join(f"({number} if {phrases.truth(unroll(cond))} else 0)" for cond, number in parts)
        return self.function("sum_of", ["def sum_of(s):", f"    return {terms or '0'}"])

    def bind(self, value: object) -> str:
        """A name under which generated code finds ``value``."""
        name = f"k{next(self._fresh)}"
        self._space[name] = value
        return name

    def share(self, name: str, value: object) -> None:
        """Let generated code find ``value`` under ``name``."""
        self._space[name] = value

    def instances(self, thread: ThreadClass) -> Iterator[tuple[tuple[int, ...], Expr]]:
        """The instances of ``thread`` with the condition under which they exist, unless that is surely false."""
        for own in product(*(values_of(p.sort) for p in thread.params)):
            where = unroll(substitute(thread.where, {p.name: Lit(v) for p, v in zip(thread.params, own, strict=True)}))
            if where != FALSE:
                yield own, where

    def _blocks(self, vias: Mapping[int, Sequence[tuple[int, int, Case]]]) -> Iterator[Block]:
        for thread in self.system.threads:
            mine = [(k, t) for k, t in enumerate(self.system.transitions) if t.thread == thread.name]
            for own, where in self.instances(thread):
                pc = Read(thread.pc, tuple(Lit(v) for v in own))
                steps: dict[int | None, list[Step]] = {}
                for which, transition in mine:
                    for step in self._steps(which, transition, own, where, vias.get(which, ())):
                        place, rest = _placed(step.guard, pc)
                        if rest != FALSE:
                            known = Step(step.which, step.values, step.loops, rest, step.updates, step.fatal, step.vias)
                            steps.setdefault(place, []).append(known)
                yield Block(thread.name, own, pc, {k: tuple(v) for k, v in steps.items()})

    def _steps(
        self,
        which: int,
        transition: Transition,
        own: tuple[int, ...],
        where: Expr,
        vias: Sequence[tuple[int, int, Case]],
    ) -> Iterator[Step]:
        choices = transition.params[len(own) :]
        few = product_size([p.sort for p in choices]) <= UNROLL_CHOICES
        names = {} if few else {p.name: f"p{next(self._fresh)}" for p in choices}
        fatal = and_(*(c.cond for c in transition.checks if c.fatal))
        for chosen in product(*(values_of(p.sort) for p in choices)) if few else [()]:
            fixed = {p.name: Lit(v) for p, v in zip(transition.params, (*own, *chosen), strict=False)}
            ready = [_fixed(e, fixed, names) for e in (and_(where, transition.guard), fatal)]
            if ready[0] == FALSE:
                continue
            updates = tuple(_update(u, names, fixed) for u in transition.updates)
            found: list[tuple[int, int, Expr]] = []
            for target, number, case in vias:
                # The parameters of the case begin with those of the transition, perhaps under other names.
                alias: dict[str, Expr] = {
                    mine.name: fixed.get(its.name, its)
                    for mine, its in zip(case.params, transition.params, strict=False)
                }
                rest = case.params[len(transition.params) :]
                cond = exists(rest, substitute(case.cond, alias))
                found.append((target, number, _fixed(cond, fixed, names)))
            loops = tuple((names[p.name], p.sort) for p in choices) if not few else ()
            values: tuple[int | str, ...] = (*own, *chosen, *(n for n, _ in loops))
            yield Step(which, values, loops, ready[0], updates, ready[1], tuple(v for v in found if v[2] != FALSE))

    def body(self, sink: Sink, via: ViaSink, before: Before, only: int | None = None) -> list[str]:
        """Code that does all steps possible in ``s``, or those of the transition ``only``.

        Whenever a step is taken, the line ``before`` is executed; then ``via`` for every target case that happens in
        it; then, if no fatal check fails, ``sink`` with the next state in ``t``.
        """
        lines: list[str] = []
        for whole in self.blocks:
            block = whole if only is None else _restricted(whole, only)
            if None in block.steps:
                lines += self._place(block, None, sink, via, before)
            places = sorted(k for k in block.steps if k is not None)
            if places:
                shift = static_shift(self.layout, block.pc)
                field = self.layout.fields[block.pc.var.name]
                assert shift is not None
                lines.append(f"k = {_raw(field, str(shift), field.low)}")
                lines += _dispatch([(p, self._place(block, p, sink, via, before)) for p in places])
        return lines

    def _place(self, block: Block, place: int | None, sink: Sink, via: ViaSink, before: Before) -> list[str]:
        facts: dict[int, int] = {}
        if place is not None:
            shift = static_shift(self.layout, block.pc)
            assert shift is not None
            # A cell of no bits shares its place with the next one, so nothing may be said about that place.
            if self.layout.fields[block.pc.var.name].width:
                facts[shift] = place
        steps = block.steps[place]
        mentioned: Counter[int] = Counter()
        for step in steps:
            parts = [step.guard, step.fatal, *(c for _, _, c in step.vias)]
            parts += [e for u in step.updates for e in (*u.index, u.value, u.where)]
            for e in parts:
                for read in reads(e):
                    found = static_shift(self.layout, read)
                    if found is not None and found not in facts and self.layout.fields[read.var.name].width:
                        mentioned[found] += 1
        cached = {shift: f"c{shift}" for shift, times in mentioned.items() if times > 1}
        lines = [f"{cached[shift]} = {_raw(f, str(shift), f.low)}" for f, shift in self.places() if shift in cached]
        for step in steps:
            lines += self.step(step, facts, sink, via, before, cached)
        return lines

    def places(self) -> Iterator[tuple[Field, int]]:
        """Every cell that has more than one value: its variable's field, and its first bit."""
        for field in self.layout.fields.values():
            if field.width:
                for index in field.indexes():
                    shift = field.shift(index)
                    assert shift is not None
                    yield field, shift

    def step(
        self,
        step: Step,
        facts: Mapping[int, int],
        sink: Sink,
        via: ViaSink,
        before: Before,
        cached: Mapping[int, str] | None = None,
    ) -> list[str]:
        """Code for one step: loops, guard, faults in the step, fatal checks, next state ``t``, ``sink``."""
        names = {name: name for name, _ in step.loops}
        known = {**facts, **self._facts(step.guard)}
        phrases = Phrases(self.layout, names, cached or {})
        inner: list[str] = []
        for target, _, cond in step.vias:
            told = self._told(cond, known)
            if told != FALSE:
                inner += [f"if {phrases.truth(told)}:", *_indent(via(target, step.which))]
        after = [*self._assign(step, known, phrases), *sink(step)]
        fatal = self._told(step.fatal, known)
        if fatal == TRUE:
            inner += after
        elif fatal != FALSE:
            inner += [f"if {phrases.truth(fatal)}:", *_indent(after)]
        lines = [before(step), *inner]
        if step.guard != TRUE:
            guard = self._told(step.guard, facts)
            lines = [f"if {phrases.truth(guard)}:", *_indent(lines)]
        if step.loops:
            targets = ", ".join(n for n, _ in step.loops)
            sorts = [values_of(sort) for _, sort in step.loops]
            if len(sorts) == 1:
                source = f"range({sorts[0].start}, {sorts[0].stop})"
            elif product_size([sort for _, sort in step.loops]) <= 4096:
                source = self.bind(list(product(*sorts)))
            else:
                source = "product(" + ", ".join(f"range({r.start}, {r.stop})" for r in sorts) + ")"
            lines = [f"for {targets} in {source}:", *_indent(lines)]
        return lines

    def _facts(self, guard: Expr) -> dict[int, int]:
        facts: dict[int, int] = {}
        for part in _conjuncts(guard):
            match part:
                case Apply(Op.EQ, (Read() as read, Lit(value))):
                    shift = static_shift(self.layout, read)
                case Read(Var(_, _, BoolSort(), _), _) as read:
                    shift, value = static_shift(self.layout, read), 1
                case Apply(Op.NOT, (Read(Var(_, _, BoolSort(), _), _) as read,)):
                    shift, value = static_shift(self.layout, read), 0
                case _:
                    continue
            if shift is not None and self.layout.fields[read.var.name].width:
                facts[shift] = value
        return facts

    def _told(self, e: Expr, facts: Mapping[int, int]) -> Expr:
        def change(leaf: Param | Read) -> Expr:
            if isinstance(leaf, Read):
                field = self.layout.fields[leaf.var.name]
                if not field.width:
                    return Lit(field.low)
                shift = static_shift(self.layout, leaf)
                if shift is not None and shift in facts:
                    return Lit(facts[shift])
            return leaf

        return rebuild(e, change)

    def _assign(self, step: Step, facts: Mapping[int, int], phrases: Phrases) -> list[str]:
        """Code that sets ``t`` to the state after the step."""
        updates = [
            Update(
                u.var,
                tuple(self._told(i, facts) for i in u.index),
                self._told(u.value, facts),
                u.binders,
                self._told(u.where, facts),
            )
            for whole in step.updates
            for u in _spread(whole)
        ]
        updates = [u for u in updates if u.where != FALSE]
        fixed: dict[tuple[str, int], tuple[Read, Expr]] = {}
        lines: list[str] = []
        rest: list[Update] = []
        for n, u in enumerate(updates):
            read = Read(u.var, u.index)
            shift = static_shift(self.layout, read)
            if u.binders or shift is None:
                rest = updates[n:]
                break
            lines += self._guarded_store(u, phrases)
            before = fixed.get((u.var.name, shift), (read, self._told(read, facts)))[1]
            fixed[u.var.name, shift] = read, ite(u.where, u.value, before)
        clear, constant, parts = 0, 0, []
        for (_, shift), (read, value) in fixed.items():
            field = self.layout.fields[read.var.name]
            if value == read or not field.width:
                continue
            if shift in facts:
                base = facts[shift]
                told_old = Lit(base)
                if value == told_old:
                    continue
            else:
                clear |= field.mask << shift
                base = field.low
            if isinstance(value, Lit):
                constant += (value.value - base) << shift
            else:
                text = phrases.value(value)
                raw = f"({text} - {base})" if base > 0 else f"({text} + {-base})" if base else text
                parts.append(f"({raw} << {shift})" if shift else raw)
        text = f"(s & {~clear & ((1 << self.layout.bits) - 1)})" if clear else "s"
        if constant:
            text += f" + {constant}" if constant > 0 else f" - {-constant}"
        lines.append("t = " + " + ".join([text, *parts]))
        for u in rest:
            lines += self._store(u, phrases)
        return lines

    def _guarded_store(self, u: Update, phrases: Phrases) -> list[str]:
        if fits(u.value, u.var.sort):
            return []
        bad = and_(u.where, apply(Op.NOT, within(u.value, u.var.sort)))
        if bad == FALSE:
            return []
        return [f"if {phrases.truth(bad)}:", f"    raise StoreOutsideError({f'{u.var.name} leaves its sort'!r})"]

    def _store(self, u: Update, phrases: Phrases) -> list[str]:
        """Code for one assignment to ``t``, for cells that are known only when the step is taken."""
        names = []
        for b in u.binders:
            phrases.names[b.name] = f"p{next(self._fresh)}"
            names.append((phrases.names[b.name], b.sort))
        field = self.layout.fields[u.var.name]
        lines = self._guarded_store(Update(u.var, u.index, u.value), phrases)
        inside = and_(*(within(i, sort) for i, sort in zip(u.index, u.var.index, strict=True)))
        if inside != TRUE:
            lines += [
                f"if not {phrases.truth(inside)}:",
                f"    raise StoreOutsideError({f'{u.var.name} has no such cell'!r})",
            ]
        if field.width:
            value = phrases.value(u.value)
            raw = f"({value} - {field.low})" if field.low > 0 else f"({value} + {-field.low})" if field.low else value
            lines.append(f"i = {phrases.offset(field, u.index)}")
            lines.append(f"t = t + (({raw} - (t >> i & {field.mask})) << i)")
        elif not lines:
            lines.append("pass")
        if u.where != TRUE:
            lines = [f"if {phrases.truth(u.where)}:", *_indent(lines)]
        for name, sort in reversed(names):
            lines = [f"for {name} in range({low_of(sort)}, {high_of(sort) + 1}):", *_indent(lines)]
        return lines


def _restricted(block: Block, only: int) -> Block:
    """``block`` with the steps of the transition ``only``."""
    parts = {place: tuple(s for s in steps if s.which == only) for place, steps in block.steps.items()}
    return Block(block.thread, block.own, block.pc, {place: steps for place, steps in parts.items() if steps})


def _no_via(target: int, which: int) -> list[str]:
    return ["pass"]


def _no_count(step: Step) -> str:
    return "pass"


def _indent(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]


def _dispatch(arms: Sequence[tuple[int, list[str]]]) -> list[str]:
    """A decision on ``k``: a short chain, or a balanced tree of them."""
    if len(arms) <= 4:
        lines: list[str] = []
        for n, (place, body) in enumerate(arms):
            lines += [f"{'elif' if n else 'if'} k == {place}:", *_indent(body)]
        return lines
    middle = len(arms) // 2
    return [
        f"if k < {arms[middle][0]}:",
        *_indent(_dispatch(arms[:middle])),
        "else:",
        *_indent(_dispatch(arms[middle:])),
    ]


def _conjuncts(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, Apply) and e.op is Op.AND else (e,)


def _placed(guard: Expr, pc: Read) -> tuple[int | None, Expr]:
    """The location at which ``guard`` requires ``pc`` to be, and the rest of the guard."""
    for part in _conjuncts(guard):
        match part:
            case Apply(Op.EQ, (read, Lit(value))) if read == pc:
                if value not in values_of(pc.var.sort):
                    return None, FALSE
                return value, and_(*(p for p in _conjuncts(guard) if p is not part))
            case _:
                pass
    return None, guard


def _renamed(e: Expr, names: Mapping[str, str]) -> Expr:
    """``e`` with parameters renamed to the names of loop variables, quantifiers written out."""
    if not names:
        return unroll(e)
    return unroll(
        rebuild(
            e,
            lambda leaf: Param(names[leaf.name], leaf.sort) if isinstance(leaf, Param) and leaf.name in names else leaf,
        )
    )


def _fixed(e: Expr, fixed: Mapping[str, Expr], names: Mapping[str, str]) -> Expr:
    return _renamed(substitute(e, fixed), names)


def _update(u: Update, names: Mapping[str, str], fixed: Mapping[str, Expr]) -> Update:
    index = tuple(_fixed(i, fixed, names) for i in u.index)
    return Update(u.var, index, _fixed(u.value, fixed, names), u.binders, _fixed(u.where, fixed, names))


def _spread(u: Update) -> Iterator[Update]:
    """The assignments that ``u`` stands for, one per value of its binders, unless those are very many."""
    if product_size([b.sort for b in u.binders]) > UNROLL_QUANTIFIERS:
        yield u
        return
    for values in product(*(values_of(b.sort) for b in u.binders)):
        fixed: dict[str, Expr] = {b.name: Lit(v) for b, v in zip(u.binders, values, strict=True)}
        yield _update(Update(u.var, u.index, u.value, (), u.where), {}, fixed)
