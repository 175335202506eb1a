"""Symmetry of packed states: one representative for all that differ only in which interchangeable member is which.

C. N. Ip and D. L. Dill, "Better verification through symmetry", Formal Methods in System Design 9, 1996. Small groups
are tried member by member; for larger ones the members are sorted by what can be said about them without naming any
other (their *signature*), and only what that leaves open is tried. Where even that is too much, a representative is
chosen greedily: several of one orbit may then be kept, which costs states but is never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial, prod
from typing import TypeAlias

from protocheck.engines.codegen import Field, Layout, State, unroll
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Read, children, substitute
from protocheck.ir.sorts import ScalarSort, Sort, scalarset_of, values_of
from protocheck.ir.system import DeadlockTarget, PropertyTarget, System, Update

Mapping: TypeAlias = tuple[tuple[int, ...], ...]
"""For each scalarset of the group, where each member goes."""

SMALL_GROUP = 48
MOST_IMAGES = 720
MOST_POWERS = 256
CHUNK_BITS = 12
CHUNK_BITS_OF_SWAPS = 9


def interchangeable(system: System, targets: Sequence[PropertyTarget], layout: Layout) -> tuple[ScalarSort, ...]:
    """The scalarsets whose unnamed members nothing in ``system`` or ``targets`` tells apart.

    The compiler sees to it that this is all of them; here it is checked, so that no reduction can rest on a belief.
    """
    broken: set[ScalarSort] = set()
    for e in _expressions(system, targets):
        _scan(e, broken)
    for update in _updates(system):
        for sort, e in (*zip(update.var.index, update.index, strict=True), (update.var.sort, update.value)):
            _agree(scalarset_of(sort), e, broken)
    for var, default in zip(system.variables, system.defaults, strict=True):
        _default(var.index, var.sort, default, broken)
    return tuple(s for s in system.scalarsets if s not in broken and len(s.members) - s.named > 1)


def _expressions(system: System, targets: Sequence[PropertyTarget]) -> Iterator[Expr]:
    for case in system.initial:
        yield case.guard
    for update in _updates(system):
        yield from (*update.index, update.value, update.where)
    for thread in system.threads:
        yield from (thread.where, thread.done)
    for transition in system.transitions:
        yield from (transition.guard, *(c.cond for c in transition.checks))
    for wait in system.waits:
        yield from (wait.blocked, wait.idle, *(w.cond for w in wait.on))
    for target in targets:
        if not isinstance(target, DeadlockTarget):
            yield from (case.cond for case in target.cases)


def _updates(system: System) -> Iterator[Update]:
    for case in system.initial:
        yield from case.updates
    for transition in system.transitions:
        yield from transition.updates


def _set_of(e: Expr) -> ScalarSort | None:
    match e:
        case Param(_, sort):
            return scalarset_of(sort)
        case Read(var, _):
            return scalarset_of(var.sort)
        case Apply(Op.ITE, (_, a, b)):
            return _set_of(a) or _set_of(b)
        case _:
            return None


def _agree(expected: ScalarSort | None, e: Expr, broken: set[ScalarSort]) -> None:
    """``e`` stands where a member of ``expected`` (or no member, if None) is meant."""
    match e:
        case Lit(value):
            if expected is not None and expected.named <= value < len(expected.members):
                broken.add(expected)
        case Apply(Op.ITE, (_, a, b)):
            _agree(expected, a, broken)
            _agree(expected, b, broken)
        case Param() | Read():
            found = _set_of(e)
            if found != expected:
                broken.update(s for s in (found, expected) if s is not None)
        case _:
            if expected is not None:
                broken.add(expected)


def _scan(e: Expr, broken: set[ScalarSort]) -> None:
    for child in children(e):
        _scan(child, broken)
    match e:
        case Read(var, index):
            for sort, i in zip(var.index, index, strict=True):
                _agree(scalarset_of(sort), i, broken)
        case Apply(Op.EQ | Op.NE, (a, b)):
            expected = _set_of(a) or _set_of(b)
            _agree(expected, a, broken)
            _agree(expected, b, broken)
        case Apply(Op.ITE, (c, _, _)):
            _agree(None, c, broken)
        case Apply(_, args):
            for a in args:
                _agree(None, a, broken)
        case Quant(_, _, body):
            _agree(None, body, broken)
        case _:
            pass


def _default(index: tuple[Sort, ...], sort: Sort, default: Expr, broken: set[ScalarSort]) -> None:
    """Compare the defaults of cells that differ in one interchangeable member."""

    def value(at: Sequence[int]) -> Expr:
        return unroll(substitute(default, {f"#{k}": Lit(i) for k, i in enumerate(at)}))

    stored = scalarset_of(sort)
    for at in product(*(values_of(s) for s in index)):
        here = value(at)
        if isinstance(here, Lit) and stored is not None and stored.named <= here.value < len(stored.members):
            broken.add(stored)
        for k, s in enumerate(index):
            scalar = scalarset_of(s)
            if scalar is None or scalar in broken:
                continue
            if scalar.named < at[k] < len(scalar.members) and value((*at[:k], scalar.named, *at[k + 1 :])) != here:
                broken.add(scalar)


class _Memo(dict[int, int]):
    """A table that is filled as it is asked."""

    def __init__(self, compute: Callable[[int], int]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: int) -> int:
        value = self[key] = self._compute(key)
        return value


@dataclass(frozen=True)
class _Place:
    """A cell that some permutation moves or changes."""

    field: Field
    index: tuple[int, ...]
    shift: int


class Orbits:
    """The group that permutes the unnamed members of each of ``sorts``, acting on packed states."""

    def __init__(self, layout: Layout, sorts: Sequence[ScalarSort]) -> None:
        self.layout = layout
        self.sorts = tuple(sorts)
        self.order = prod(factorial(len(s.members) - s.named) for s in self.sorts)
        self._places = tuple(self._touched())
        self._chunk_bits = CHUNK_BITS if self.order <= SMALL_GROUP else CHUNK_BITS_OF_SWAPS
        self._chunks = tuple(self._cut())
        self._keep = ((1 << layout.bits) - 1) & ~sum(p.field.mask << p.shift for p in self._places)
        self.identity: Mapping = tuple(tuple(range(len(s.members))) for s in self.sorts)
        self._swaps: dict[tuple[int, int, int], Callable[[int], int]] = {}
        if self.order <= SMALL_GROUP:
            self._group = [self._memos(m) for m in self._mappings()]
            self.canon: Callable[[State], State] = self._smallest()
        else:
            self._bounds = [(s.named, len(s.members)) for s in self.sorts]
            self._mentions = [self._mentioned(s) for s in self.sorts]
            self._ranks = [self._first_ranks(s) for s in self.sorts]
            made = [self._signature(k) for k in range(len(self.sorts))]
            self._signatures = [marks for marks, _ in made]
            self._plain = [complete for _, complete in made]
            self.canon = self._counted() or self._sorted

    def _touched(self) -> Iterator[_Place]:
        mine = set(self.sorts)
        for field in self.layout.fields.values():
            var = field.var
            if field.width and any(scalarset_of(s) in mine for s in (*var.index, var.sort)):
                for index in field.indexes():
                    shift = field.shift(index)
                    assert shift is not None
                    yield _Place(field, index, shift)

    def _mentioned(self, sort: ScalarSort) -> set[int]:
        """The numbers of the scalarsets whose ranks the signatures of ``sort`` depend on."""
        found: set[int] = set()
        for field in self.layout.fields.values():
            related = [scalarset_of(x) for x in (*field.var.index, field.var.sort)]
            if sort in related:
                others = related.copy()
                others.remove(sort)
                found.update(self.sorts.index(x) for x in others if x is not None and x in self.sorts)
        return found

    def _first_ranks(self, sort: ScalarSort) -> list[int]:
        """The rank of every number that may be stored for a member of ``sort``, while nothing is known."""
        masks = [f.mask for f in self.layout.fields.values() if scalarset_of(f.var.sort) == sort]
        size = max([len(sort.members) - 1, *masks]) + 1
        return [sort.named if sort.named <= r < len(sort.members) else r for r in range(size)]

    def _cut(self) -> Iterator[tuple[int, int, tuple[_Place, ...]]]:
        """The places in groups: first bit, mask, places; no group is wider than ``_chunk_bits`` unless one cell is."""
        group: list[_Place] = []
        for place in sorted(self._places, key=lambda p: p.shift):
            if group and place.shift + place.field.width - group[0].shift > self._chunk_bits:
                yield self._chunk(group)
                group = []
            group.append(place)
        if group:
            yield self._chunk(group)

    def _chunk(self, group: list[_Place]) -> tuple[int, int, tuple[_Place, ...]]:
        first = group[0].shift
        return first, (1 << (group[-1].shift + group[-1].field.width - first)) - 1, tuple(group)

    def _mappings(self) -> Iterator[Mapping]:
        each = [[(*range(s.named), *rest) for rest in permutations(range(s.named, len(s.members)))] for s in self.sorts]
        yield from product(*each)

    def image(self, sort: Sort, value: int, mapping: Mapping) -> int:
        """Where ``mapping`` sends ``value`` of ``sort``."""
        scalar = scalarset_of(sort)
        if scalar not in self.sorts:
            return value
        moved = mapping[self.sorts.index(scalar)]
        return moved[value] if 0 <= value < len(moved) else value

    def _memos(self, mapping: Mapping) -> list[_Memo]:
        """For each chunk, the contribution of its bits to the image under ``mapping``."""
        memos: list[_Memo] = []
        for first, _, places in self._chunks:
            moves: list[tuple[int, int, int, tuple[int, ...]]] = []
            for p in places:
                var = p.field.var
                index = tuple(self.image(s, i, mapping) for s, i in zip(var.index, p.index, strict=True))
                to = p.field.shift(index)
                assert to is not None
                table = tuple(
                    self.image(var.sort, r + p.field.low, mapping) - p.field.low for r in range(p.field.mask + 1)
                )
                moves.append((p.shift - first, p.field.mask, to, table))

            def compute(bits: int, moves: list[tuple[int, int, int, tuple[int, ...]]] = moves) -> int:
                return sum(table[bits >> at & mask] << to for at, mask, to, table in moves)

            memos.append(_Memo(compute))
        return memos

    def _smallest(self) -> Callable[[State], State]:
        space: dict[str, object] = {}
        lines = ["def canon(s):"]
        for c, (first, mask, _) in enumerate(self._chunks):
            lines.append(f"    b{c} = s >> {first} & {mask}")
        touched = sum(p.field.mask << p.shift for p in self._places)
        lines.append(f"    best = s & {touched}")
        for m, memos in enumerate(self._group):
            if m == 0:
                continue
            terms: list[str] = []
            for c, memo in enumerate(memos):
                space[f"m{m}_{c}"] = memo
                terms.append(f"m{m}_{c}[b{c}]")
            lines += [f"    x = {' + '.join(terms) or '0'}", "    if x < best: best = x"]
        lines.append(f"    return best + (s & {self._keep})")
        exec(compile("\n".join(lines), "<generated canon>", "exec"), space)
        made = space["canon"]
        assert callable(made)
        return made

    def act(self, mapping: Mapping, state: State) -> State:
        """The image of ``state`` under ``mapping``."""
        result = state & self._keep
        for (first, mask, _), memo in zip(self._chunks, self._memos(mapping), strict=True):
            result += memo[state >> first & mask]
        return result

    def normalize(self, state: State) -> tuple[State, Mapping]:
        """The representative of ``state`` and a mapping that leads from ``state`` to it."""
        wanted = self.canon(state)
        if self.order <= SMALL_GROUP:
            for mapping in self._mappings():
                if self.act(mapping, state) == wanted:
                    return wanted, mapping
        settled, swaps, ties = self._settle(state)
        mapping = self.identity
        for k, a, b in swaps:
            mapping = self._then(mapping, k, a, b)
        return wanted, self._images(settled, ties, mapping)[wanted]

    # Larger groups: sort by signature, then try what is left open.

    def _swap(self, sort: int, a: int, b: int) -> Callable[[State], State]:
        """The action of exchanging members ``a`` and ``b`` of scalarset number ``sort``."""
        found = self._swaps.get((sort, a, b))
        if found is None:
            mapping = list(self.identity)
            members = list(mapping[sort])
            members[a], members[b] = b, a
            mapping[sort] = tuple(members)
            memos = self._memos(tuple(mapping))
            space: dict[str, object] = {f"m{c}": memo for c, memo in enumerate(memos)}
            terms = [f"m{c}[s >> {first} & {mask}]" for c, (first, mask, _) in enumerate(self._chunks)]
            text = f"lambda s: {' + '.join([f'(s & {self._keep})', *terms])}"
            found = self._swaps[sort, a, b] = eval(compile(text, "<generated swap>", "eval"), space)
            assert found is not None
        return found

    def _counted(self) -> Callable[[State], State] | None:
        """What :meth:`_sorted` does, as code, if all that is known of a member are cells of its own; otherwise None.

        No cell then stores a member or belongs to two, and it is enough to sort the members by their cells.
        """
        cells: list[list[list[_Place]]] = [[[] for _ in range(first, last)] for first, last in self._bounds]
        for field in self.layout.fields.values():
            mine = [p for p, sort in enumerate(field.var.index) if scalarset_of(sort) in self.sorts]
            if not field.width or not (mine or scalarset_of(field.var.sort) in self.sorts):
                continue
            if len(mine) != 1 or scalarset_of(field.var.sort) in self.sorts:
                return None
            scalar = scalarset_of(field.var.index[mine[0]])
            assert scalar is not None
            k = self.sorts.index(scalar)
            places = [p for p in self._places if p.field is field]
            for n, own in enumerate(cells[k], start=self._bounds[k][0]):
                groups = self._groups([p for p in places if p.index[mine[0]] == n], scalar, n)
                if any(len(group) > 1 for group in groups):
                    return None
                own += [group[0] for group in groups]
        keep = (1 << self.layout.bits) - 1
        lines, parts = ["def canon(s):"], []
        for k, members in enumerate(cells):
            if not members[0]:
                continue
            numbers = []
            for own in members:
                at, terms = 0, []
                for place in own:
                    terms.append(f"(s >> {place.shift} & {place.field.mask})" + (f" << {at}" if at else ""))
                    at += place.field.width
                    keep &= ~(place.field.mask << place.shift)
                numbers.append(" | ".join(terms))
            names = [f"x{k}_{n}" for n in range(len(members))]
            lines.append(f"    {', '.join(names)} = sorted(({', '.join(numbers)}))")
            for name, own in zip(names, members, strict=True):
                at = 0
                for place in own:
                    whole = name if len(own) == 1 else f"({name} >> {at} & {place.field.mask})"
                    parts.append(f"{whole} << {place.shift}")
                    at += place.field.width
        lines.append(f"    return {' | '.join([f's & {keep}', *parts])}")
        space: dict[str, object] = {}
        exec(compile("\n".join(lines), "<generated canon>", "exec"), space)
        made = space["canon"]
        assert callable(made)
        return made

    def _sorted(self, state: State) -> State:
        settled, _, ties = self._settle(state)
        return min(self._images(settled, ties, None)) if ties else settled

    def _settle(self, state: State) -> tuple[State, list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Sort the members of every scalarset by what is known of them, again until nothing more is learnt.

        Returns the sorted state, the exchanges made (scalarset, member, member), and the runs of members (scalarset,
        first, last + 1) that remain open. Whatever is looked at is the same for all states of an orbit: the *rank* of
        a member is the place of the first one that is like it, and signatures mention members by rank alone.
        """
        ranks = [r.copy() for r in self._ranks]
        swaps: list[tuple[int, int, int]] = []
        open_ = list(range(len(self.sorts)))
        waiting = open_.copy()
        while waiting:
            k = waiting.pop(0)
            first, last = self._bounds[k]
            rank = ranks[k]
            marks = self._signatures[k](state, *ranks)
            keys = list(zip(rank[first:last], marks, strict=True))
            wanted = sorted(keys)
            if wanted != keys:
                for place, key in enumerate(wanted):
                    if keys[place] != key:
                        now = keys.index(key, place + 1)
                        state = self._swap(k, first + place, first + now)(state)
                        swaps.append((k, first + place, first + now))
                        keys[now] = keys[place]
            learnt = False
            before, found, single = None, first, True
            for place, key in enumerate(wanted, start=first):
                if key == before:
                    single = False
                else:
                    found, before = place, key
                if rank[place] != found:
                    rank[place] = found
                    learnt = True
            if single:
                open_.remove(k)
            if learnt:
                waiting += [n for n in open_ if n not in waiting and k in self._mentions[n]]
        ties: list[tuple[int, int, int]] = []
        for k in open_:
            start, last = self._bounds[k]
            while start < last and not self._plain[k]:
                end = start + 1
                while end < last and ranks[k][end] == start:
                    end += 1
                # Members whose exchange changes nothing need not be tried.
                if any(self._swap(k, a, a + 1)(state) != state for a in range(start, end - 1)):
                    ties.append((k, start, end))
                start = end
        return state, swaps, ties

    def _images(self, state: State, ties: list[tuple[int, int, int]], mapping: Mapping | None) -> dict[State, Mapping]:
        """The images of ``state`` under all permutations within ``ties``, and what leads to each if asked for."""
        images: dict[State, Mapping] = {state: mapping or ()}
        for k, first, last in ties:
            for a in range(first, last - 1):
                grown = dict(images)
                for b in range(a + 1, last):
                    swap = self._swap(k, a, b)
                    for s, m in images.items():
                        t = swap(s)
                        if t not in grown:
                            grown[t] = self._then(m, k, a, b) if mapping else m
                images = grown
                if len(images) > MOST_IMAGES:
                    least = min(images)
                    images = {least: images[least]}
        return images

    def _then(self, mapping: Mapping, sort: int, a: int, b: int) -> Mapping:
        changed = tuple(b if x == a else a if x == b else x for x in mapping[sort])
        return (*mapping[:sort], changed, *mapping[sort + 1 :])

    def _signature(self, k: int) -> tuple[Callable[..., list[int]], bool]:
        """A function of a state and the ranks that gives each unnamed member of scalarset ``k`` a number.

        The number is made of the cells of the member, of where it is stored, and of the cells that it shares with
        others, in all of which members are mentioned by rank. Also returned: whether equal numbers mean that the
        members can be exchanged without effect.
        """
        mine = self.sorts[k]
        complete = True
        space: dict[str, object] = {}
        marks: list[str] = []
        for member in range(mine.named, len(mine.members)):
            parts: list[tuple[str, int]] = []
            for field in self.layout.fields.values():
                var = field.var
                stored = scalarset_of(var.sort)
                at = [p for p, sort in enumerate(var.index) if scalarset_of(sort) == mine]
                if not field.width or not (at or stored == mine):
                    continue
                places = [p for p in self._places if p.field is field]
                if stored in self.sorts or sum(scalarset_of(sort) in self.sorts for sort in var.index) > 1:
                    complete = False
                if stored == mine:
                    for group in self._groups(places, mine, member):
                        hit = [f"s >> {p.shift} & {field.mask} == {member}" for p in group]
                        parts.append(self._sum(group, [("1", h) for h in hit], 2, mine, member, space))
                for position in at:
                    own = [p for p in places if p.index[position] == member]
                    for group in self._groups(own, mine, member):
                        told = [(self._class(p, mine, member), "") for p in group]
                        count = field.mask + 2
                        parts.append(self._sum(group, told, count, mine, member, space))
            text, shift = [], 0
            for part, width in parts:
                text.append(f"{part} << {shift}" if shift else part)
                shift += width
            marks.append(" | ".join(text) or "0")
        ranks = ", ".join(f"r{n}" for n in range(len(self.sorts)))
        source = f"def marks(s, {ranks}):\n    return [{', '.join(marks)}]"
        exec(compile(source, "<generated signature>", "exec"), space)
        made = space["marks"]
        assert callable(made)
        return made, complete

    def _sum(
        self,
        group: Sequence[_Place],
        told: Sequence[tuple[str, str]],
        count: int,
        mine: ScalarSort,
        member: int,
        space: dict[str, object],
    ) -> tuple[str, int]:
        """Code for what ``told`` (a number below ``count``, a condition) says of all of ``group``, and its width.

        Cells that differ in a rank only are not told apart: for each rank and number, how many there are is counted.
        """
        if len(group) == 1 and not self._others(group[0], mine, member):
            number, cond = told[0]
            return (f"({cond})" if cond else number), (count - 1).bit_length()
        base = len(group) + 1
        terms: list[str] = []
        size = count
        for place, (number, cond) in zip(group, told, strict=True):
            size, exponent = count, number
            for n, i in self._others(place, mine, member):
                exponent = f"{exponent} + {size} * r{n}[{i}]"
                size *= len(self._ranks[n])
            if size > MOST_POWERS:
                size, exponent = 1, "0"
            terms.append(f"(w[{exponent}] if {cond} else 0)" if cond else f"w[{exponent}]")
        name = f"w{base}_{size}"
        space[name] = tuple(base**e for e in range(size))
        return "(" + " + ".join(t.replace("w[", f"{name}[") for t in terms) + ")", (base**size).bit_length()

    def _others(self, place: _Place, mine: ScalarSort, member: int) -> list[tuple[int, int]]:
        """The unnamed members other than ``member`` in the index of ``place``: scalarset number and member."""
        found: list[tuple[int, int]] = []
        for sort, i in zip(place.field.var.index, place.index, strict=True):
            scalar = scalarset_of(sort)
            movable = scalar is not None and scalar in self.sorts and scalar.named <= i < len(scalar.members)
            if scalar is not None and movable and (scalar != mine or i != member):
                found.append((self.sorts.index(scalar), i))
        return found

    def _groups(self, places: Sequence[_Place], mine: ScalarSort, member: int) -> list[list[_Place]]:
        """``places``, those together whose indexes differ in unnamed members only; always in the same order."""
        groups: dict[str, list[_Place]] = {}
        for place in places:
            words: list[str] = []
            for sort, i in zip(place.field.var.index, place.index, strict=True):
                scalar = scalarset_of(sort)
                if scalar == mine and i == member:
                    words.append("self")
                elif scalar is not None and scalar in self.sorts and scalar.named <= i < len(scalar.members):
                    words.append("other")
                else:
                    words.append(f"{i:+09d}")
            groups.setdefault(" ".join(words), []).append(place)
        return [groups[key] for key in sorted(groups)]

    def _class(self, place: _Place, mine: ScalarSort, member: int) -> str:
        """Code for what is stored in ``place``: members by rank, ``member`` itself by a number of its own."""
        field = place.field
        raw = f"(s >> {place.shift} & {field.mask})"
        stored = scalarset_of(field.var.sort)
        if stored is None or stored not in self.sorts:
            return raw
        ranked = f"r{self.sorts.index(stored)}[{raw}]"
        return f"({field.mask + 1} if {raw} == {member} else {ranked})" if stored == mine else ranked
