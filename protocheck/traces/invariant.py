"""Tells an inductive invariant in the words of the model, one sentence per fact, the shortest first.

A clause of an invariant says that some values never come together. As a sentence: whenever all but one of them are
there, the last is not. Clauses that differ in the value of one cell only are told as one, since together they say that
none of those values comes with the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from protocheck.engines.verdict import Clause
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Read, Var, VarKind
from protocheck.ir.sorts import BoolSort, RangeSort, ScalarSort, Sort, scalarset_of, show_value, values_of
from protocheck.ir.system import MONITOR, Fairness, Location, System, ThreadClass
from protocheck.traces.trace import Words, plain_name

ROUNDS = (
    "The wait begins at some moment at which it is due, and is over when what is claimed comes true. A round of it is "
    "over when all has happened that is owed: what is fair, and what would have to recur."
)
"""What the sentences about a proof by counting rounds speak of."""


def of_rounds(sentences: Sequence[str]) -> bool:
    """Whether ``sentences`` speak of what :data:`ROUNDS` explains."""
    words = ("the wait", "in this round", "complete rounds", "given up that")
    return any(w in part for s in sentences for part in s.split("`")[::2] for w in words)


def told(
    system: System, clauses: Sequence[Clause], fairness: Sequence[Fairness] = (), rigid: Sequence[Param] = ()
) -> tuple[str, ...]:
    """``clauses`` over the states of ``system`` as sentences.

    A clause that is not a disjunction of "this cell does not have this value" is told as it is. Of a claim about
    endless runs, ``system`` has the monitor of :mod:`protocheck.engines.live` beside it: ``fairness`` is what it
    watches, and ``rigid`` are the names that it has fixed.
    """
    teller = _Teller(system, fairness, rigid)
    sentences = [teller.sentence(fact) for fact in _merged([teller.fact(c) for c in clauses])]
    return tuple(sorted(dict.fromkeys(sentences), key=lambda s: (len(s), s)))


Value: TypeAlias = "int | str"
"""A value, or the name of a member that the sentence is about."""


@dataclass(frozen=True)
class _Place:
    """A cell: its variable and the texts of its indexes."""

    var: Var
    index: tuple[str, ...]


@dataclass(frozen=True)
class _Fact:
    """``about`` are the members spoken of. No state has in each cell of ``cells`` one of the values named there."""

    about: tuple[str, ...]
    cells: tuple[tuple[_Place, frozenset[Value]], ...]
    otherwise: str = ""


def _merged(facts: Sequence[_Fact]) -> list[_Fact]:
    """Facts that differ in the values of one cell only become one, until there are none."""
    todo = list(dict.fromkeys(facts))
    changed = True
    while changed:
        changed = False
        for i, a in enumerate(todo):
            for b in todo[i + 1 :]:
                both = _union(a, b)
                if both is not None:
                    todo[i] = both
                    todo.remove(b)
                    changed = True
                    break
            if changed:
                break
    return todo


def _union(a: _Fact, b: _Fact) -> _Fact | None:
    left, right = dict(a.cells), dict(b.cells)
    if a.about != b.about or a.otherwise or b.otherwise or left.keys() != right.keys():
        return None
    different = [place for place in left if left[place] != right[place]]
    if len(different) != 1:
        return None
    (place,) = different
    return _Fact(a.about, tuple((p, v | right[p] if p == place else v) for p, v in a.cells))


class _Teller:
    """The names of one system."""

    def __init__(self, system: System, fairness: Sequence[Fairness], rigid: Sequence[Param]) -> None:
        self.system = system
        self.fairness = fairness
        self.rigid = rigid
        self.words = Words(system)
        self.thread_of_pc = {t.pc.name: t for t in system.threads}
        self.owner = {v.name: t for t in system.threads for v in t.locals}
        self.texts: dict[tuple[str, int], dict[str, None]] = {}
        for t in system.transitions:
            self.texts.setdefault((t.thread, t.source), {})[t.text or t.name] = None

    # From a clause to a fact

    def fact(self, clause: Clause) -> _Fact:
        names = self._names(clause.params)
        cells: dict[_Place, frozenset[Value]] = {}
        whole = clause.formula
        for part in whole.args if isinstance(whole, Apply) and whole.op is Op.OR else (whole,):
            if isinstance(part, Apply) and part.op is Op.EQ and isinstance(part.args[0], Param):
                continue  # members with different names are different, and none is one with a name of its own
            found = self._excluded(part, names)
            if found is None or found[0] in cells:
                return _Fact((), (), _plain(clause.formula, names))
            cells[found[0]] = frozenset({found[1]})
        groups: dict[str, list[str]] = {}
        for p in clause.params:
            groups.setdefault(_short(p.sort), []).append(names[p.name])
        about = [f"{kind} {who[0]}" for kind, who in groups.items() if len(who) == 1]
        about += [f"different {kind} {', '.join(who)}" for kind, who in groups.items() if len(who) > 1]
        return _Fact(tuple(about), tuple(sorted(cells.items(), key=lambda c: self._rank(c[0]))))

    def _excluded(self, part: Expr, names: Mapping[str, str]) -> tuple[_Place, Value] | None:
        """The cell and the value that ``part`` says it does not have."""
        match part:
            case Apply(Op.NE, (Read(var, index), (Lit() | Param()) as value)):
                pass
            case Read(var, index) if isinstance(var.sort, BoolSort):
                value = Lit(0)
            case Apply(Op.NOT, (Read(var, index),)) if isinstance(var.sort, BoolSort):
                value = Lit(1)
            case _:
                return None
        texts = []
        for sort, i in zip(var.index, index, strict=True):
            match i:
                case Lit(number):
                    texts.append(show_value(sort, number))
                case Param(name):
                    texts.append(names[name])
                case _:
                    return None
        return _Place(var, tuple(texts)), value.value if isinstance(value, Lit) else names[value.name]

    def _names(self, params: Sequence[Param]) -> dict[str, str]:
        """A letter for each member: the one its thread uses, or else the first of its scalarset."""
        letters: dict[str, str] = {}
        taken: dict[str, None] = {}
        for p in params:
            scalarset = scalarset_of(p.sort)
            name = scalarset.name if scalarset is not None else p.name
            if name not in letters:
                usual = [
                    q.name for t in self.system.threads for q in t.params if scalarset_of(q.sort) == scalarset
                ]
                wishes = [*(u for u in usual if u.isidentifier()), _short(p.sort)[0], _short(p.sort)]
                letters[name] = next((w for w in wishes if w not in taken), name)
                taken[letters[name]] = None
        count = Counter(s.name if (s := scalarset_of(p.sort)) is not None else p.name for p in params)
        names: dict[str, str] = {}
        used: Counter[str] = Counter()
        for p in params:
            scalarset = scalarset_of(p.sort)
            key = scalarset.name if scalarset is not None else p.name
            used[key] += 1
            names[p.name] = letters[key] + (str(used[key]) if count[key] > 1 else "")
        return names

    def _rank(self, place: _Place) -> tuple[int, str, tuple[str, ...]]:
        """Where threads are comes first, then what they know, then the state that they share."""
        order = (VarKind.PC, VarKind.LOCK, VarKind.HIDDEN, VarKind.LOCAL, VarKind.GHOST, VarKind.STATE)
        return order.index(place.var.kind), place.var.name, place.index

    # From a fact to a sentence

    def sentence(self, fact: _Fact) -> str:
        """``fact`` in words."""
        if fact.otherwise:
            return fact.otherwise
        *before, (place, values) = fact.cells
        about = f"for every {_listed(fact.about, 'and')}: " if fact.about else ""
        conclusion = self._condition(place, values, holds=False)
        if not before:
            return f"{about}{conclusion}"
        conditions = " and ".join(self._condition(p, v, holds=True) for p, v in before)
        return f"{about}whenever {conditions}: {conclusion}"

    def _condition(self, place: _Place, values: frozenset[Value], *, holds: bool) -> str:
        thread = self.thread_of_pc.get(place.var.name)
        if thread is not None:
            return self._where(thread, place, values, holds=holds)
        cell, sort = self._cell(place), place.var.sort
        watched = place.var.name.removeprefix(MONITOR)
        if watched != place.var.name and isinstance(sort, BoolSort) and not watched.startswith("copy."):
            return self._watched(watched, place, (values == {1}) == holds)
        every = values_of(sort)
        fixed = {v for v in values if isinstance(v, int)}
        named = sorted(v for v in values if isinstance(v, str))
        if not named and len(every) - len(fixed) < len(fixed) and not isinstance(sort, ScalarSort):
            fixed, holds = set(every) - fixed, not holds
        if isinstance(sort, BoolSort) and not named and len(fixed) == 1:
            if place.var.name.endswith(_FRESH):
                return f"{cell} is {'fresh' if holds == (fixed == {1}) else 'stale'}"
            if self.words.is_stale_bit(place.var.name):
                return f"{cell} is {'stale' if holds == (fixed == {1}) else 'not stale'}"
            return cell if holds == (fixed == {1}) else f"!{cell}"
        if isinstance(sort, RangeSort) and not named and fixed and len(fixed) < len(every):
            low, high = min(fixed), max(fixed)
            if len(fixed) == high - low + 1 and (low == sort.lo) != (high == sort.hi):
                if len(every) == 2 and not holds and low > sort.lo:
                    return f"{cell} == {sort.lo}"
                if low == sort.lo and (not holds or len(fixed) > 1):
                    return f"{cell} <= {high}" if holds else f"{cell} > {high}"
                if high == sort.hi and (not holds or len(fixed) > 1):
                    return f"{cell} >= {low}" if holds else f"{cell} < {low}"
        shown = [*(show_value(sort, v) for v in sorted(fixed)), *named]
        if len(every) == 2 and not named and not holds and len(fixed) == 1:
            shown, holds = [show_value(sort, v) for v in every if v not in fixed], True
        if len(shown) == 1:
            return f"{cell} {'==' if holds else '!='} {shown[0]}"
        return f"{cell} is {_listed(shown, 'or')}" if holds else f"{cell} is neither {_listed(shown, 'nor')}"

    def _watched(self, bit: str, place: _Place, true: bool) -> str:
        """What a bit of the monitor says."""
        kind, number = bit.rstrip("0123456789"), bit[len(bit.rstrip("0123456789")) :]
        match kind:
            case "on":
                return "the wait has begun" if true else "the wait has not begun"
            case "saved":
                return f"the loop has {'' if true else 'not '}begun"
            case "recurred":
                return f"what has to recur has {'' if true else 'not '}happened in this round"
        fair = self.fairness[int(number)]
        who = self.words.shortened(plain_name(fair.thread) + _index(place.index))
        owed = fair.name.removeprefix(f"`{fair.thread}` ")
        if kind == "never":
            return f"it is {'' if true else 'not '}given up that {who} {owed}"
        return f"it is {'' if true else 'not yet '}done in this round that {who} {owed}"

    def _cell(self, place: _Place) -> str:
        bit = place.var.name.removeprefix(MONITOR)
        if bit != place.var.name:
            if bit == "rounds":
                return "the number of complete rounds"
            if bit.startswith("rigid"):
                return f"the {plain_name(self.rigid[int(bit.removeprefix('rigid'))].name).split('%')[0]} of the wait"
            if bit.startswith("copy."):
                copied = next((v for v in self.system.variables if v.name == bit.removeprefix("copy.")), None)
                if copied is not None:
                    return f"{self._cell(_Place(copied, place.index))} as the loop began"
        name = self.words.name(place.var.name).removesuffix(_FRESH)
        if self.words.is_stale_bit(place.var.name):
            name = name.removesuffix(".stale")
        owner = self.owner.get(place.var.name)
        if owner is None:
            return name + _index(place.index)
        arity = len(owner.params)
        who = plain_name(owner.name) + _index(place.index[:arity])
        return f"{name}{_index(place.index[arity:])} of {self.words.shortened(who)}"

    def _where(self, thread: ThreadClass, place: _Place, values: frozenset[Value], *, holds: bool) -> str:
        who = self.words.shortened(plain_name(thread.name) + _index(place.index))
        numbers = {v for v in values if isinstance(v, int)}
        places = [x for x in thread.locations if x.number in numbers]
        others = [x for x in thread.locations if x.number not in numbers]
        if others and len(others) < len(places) and len(others) <= 2:
            places, holds = others, not holds
        if holds:
            return f"{who} is {self._places(thread, places, 'or')}"
        how = "not" if len(places) == 1 else "neither"
        return f"{who} is {how} {self._places(thread, places, 'nor')}"

    def _places(self, thread: ThreadClass, places: Sequence[Location], word: str) -> str:
        numbers = [x.number for x in places]
        run = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        first, last = places[0], places[-1]
        if word == "or" and len(places) >= 3 and run and _line(first) and _line(first) < _line(last):
            return f"from {self._place(thread, first)} to {self._place(thread, last)}"
        return _listed([self._place(thread, x) for x in places], word)

    def _place(self, thread: ThreadClass, location: Location) -> str:
        """``before `bump(sequence)` (line 63)``: the statement that comes next, unless the thread has ended."""
        texts = list(self.texts.get((thread.name, location.number), {}))
        line = f" (line {_line(location)})" if _line(location) else ""
        if not texts:
            return "at its end"
        how = "waiting at" if location.waiting else "before"
        label = f"{location.labels[0].rsplit('.', 1)[-1]}: " if location.labels else ""
        return f"{how} `{label}{self.words.shortened(texts[0].split(' {')[0])}`{line}"


_FRESH = ".fresh"
"""What the compiler adds to the name of a snapshot for whether its state is still the same."""


def _line(location: Location) -> int:
    return location.origin.span.line if location.origin is not None else 0


def _short(sort: Sort) -> str:
    scalarset = scalarset_of(sort)
    return scalarset.name.rsplit(".", 1)[-1] if scalarset is not None else "value"


def _index(texts: Iterable[str]) -> str:
    shown = ", ".join(texts)
    return f"[{shown}]" if shown else ""


def _listed(parts: Sequence[str], word: str) -> str:
    return f" {word} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _plain(e: Expr, names: Mapping[str, str]) -> str:
    """``e`` as it is, for what has no better words."""
    return " ".join(_tokens(e, names))


def _tokens(e: Expr, names: Mapping[str, str]) -> Iterator[str]:
    match e:
        case Lit(value):
            yield str(value)
        case Param(name):
            yield names.get(name, name)
        case Read(var, index):
            yield plain_name(var.name) + _index(_plain(i, names) for i in index)
        case Apply(op, (a,)):
            yield f"{op.value}({_plain(a, names)})"
        case Apply(op, args):
            yield "(" + f" {op.value} ".join(_plain(a, names) for a in args) + ")"
        case _:
            yield f"{e.kind.value}({_plain(e.body, names)})"
