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
CHUNK_BITS = 12


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
        self._chunks = tuple(self._cut())
        self._keep = ((1 << layout.bits) - 1) & ~sum(p.field.mask << p.shift for p in self._places)
        self.identity: Mapping = tuple(tuple(range(len(s.members))) for s in self.sorts)
        self._swaps: dict[tuple[int, int, int], Callable[[int], int]] = {}
        if self.order <= SMALL_GROUP:
            self._group = [self._memos(m) for m in self._mappings()]
            self.canon: Callable[[State], State] = self._smallest()
        else:
            made = [self._signature(k) for k in range(len(self.sorts))]
            self._signatures = [marks for marks, _ in made]
            self._plain = [complete for _, complete in made]
            self.canon = self._sorted

    def _touched(self) -> Iterator[_Place]:
        mine = set(self.sorts)
        for field in self.layout.fields.values():
            var = field.var
            if field.width and any(scalarset_of(s) in mine for s in (*var.index, var.sort)):
                for index in field.indexes():
                    shift = field.shift(index)
                    assert shift is not None
                    yield _Place(field, index, shift)

    def _cut(self) -> Iterator[tuple[int, int, tuple[_Place, ...]]]:
        """The places in groups: first bit, mask, places; no group is wider than ``CHUNK_BITS`` unless one cell is."""
        group: list[_Place] = []
        for place in sorted(self._places, key=lambda p: p.shift):
            if group and place.shift + place.field.width - group[0].shift > CHUNK_BITS:
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
        images = self._images({state: self.identity})
        return wanted, images[wanted]

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

    def _sorted(self, state: State) -> State:
        images = self._images({state: self.identity}, track=False)
        return min(images)

    def _images(self, images: dict[State, Mapping], track: bool = True) -> dict[State, Mapping]:
        """The images of one state under all mappings that sort every scalarset's members by signature."""
        for k, sort in enumerate(self.sorts):
            first, last = sort.named, len(sort.members)
            # A signature says nothing of how other members are numbered, so all images have the same ones.
            marks = self._signatures[k](next(iter(images)))
            swaps: list[tuple[int, int]] = []
            for a in range(first, last - 1):
                b = min(range(a, last), key=lambda i: (marks[i - first], i))
                if b != a:
                    swaps.append((a, b))
                    marks[a - first], marks[b - first] = marks[b - first], marks[a - first]
            for a, b in swaps:
                swap = self._swap(k, a, b)
                images = {swap(s): self._then(m, k, a, b) if track else m for s, m in images.items()}
            ties = [i for i in range(first, last - 1) if marks[i - first] == marks[i + 1 - first]]
            if not ties or self._plain[k]:
                continue
            for a in range(first, last - 1):
                same = [b for b in range(a + 1, last) if marks[b - first] == marks[a - first]]
                grown = dict(images)
                for b in same:
                    swap = self._swap(k, a, b)
                    for s, m in images.items():
                        t = swap(s)
                        if t not in grown:
                            grown[t] = self._then(m, k, a, b) if track else m
                images = grown
                if len(images) > MOST_IMAGES:
                    least = min(images)
                    images = {least: images[least]}
        return images

    def _then(self, mapping: Mapping, sort: int, a: int, b: int) -> Mapping:
        changed = tuple(b if x == a else a if x == b else x for x in mapping[sort])
        return (*mapping[:sort], changed, *mapping[sort + 1 :])

    def _signature(self, k: int) -> tuple[Callable[[State], list[int]], bool]:
        """A function that gives each unnamed member of scalarset ``k`` a number, and whether the number says all.

        The number is made of the cells of the member, of how often it is stored where, and of what is stored in cells
        that it shares with others, as far as that does not depend on how unnamed members of any scalarset are numbered.
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
                symmetric = sum(scalarset_of(sort) in self.sorts for sort in var.index)
                if stored in self.sorts or symmetric > 1:
                    complete = False
                if stored == mine:
                    hits = " + ".join(f"(s >> {p.shift} & {field.mask} == {member - field.low})" for p in places)
                    parts.append((f"({hits})", len(places).bit_length()))
                for position in at:
                    groups: dict[str, list[_Place]] = {}
                    for place in places:
                        if place.index[position] == member:
                            groups.setdefault(self._key(mine, member, place), []).append(place)
                    table = self._classes(field, mine, member)
                    for key in sorted(groups):
                        cells = groups[key]
                        base = len(cells) + 1
                        name = f"k{len(space)}"
                        space[name] = table if len(cells) == 1 else tuple(base**c for c in table)
                        total = " + ".join(f"{name}[s >> {p.shift} & {field.mask}]" for p in cells)
                        width = (max(table) if len(cells) == 1 else base ** (max(table) + 1)).bit_length()
                        parts.append((f"({total})", width))
            text, shift = [], 0
            for part, width in parts:
                text.append(f"{part} << {shift}" if shift else part)
                shift += width
            marks.append(" | ".join(text) or "0")
        exec(compile(f"def marks(s):\n    return [{', '.join(marks)}]", "<generated signature>", "exec"), space)
        made = space["marks"]
        assert callable(made)
        return made, complete

    def _key(self, mine: ScalarSort, member: int, place: _Place) -> str:
        """The index of ``place`` as far as it does not name an unnamed member."""
        words: list[str] = []
        for sort, i in zip(place.field.var.index, place.index, strict=True):
            scalar = scalarset_of(sort)
            if scalar == mine and i == member:
                words.append("self")
            elif scalar is not None and scalar in self.sorts and scalar.named <= i < len(scalar.members):
                words.append("other")
            else:
                words.append(f"{i:+09d}")
        return " ".join(words)

    def _classes(self, field: Field, mine: ScalarSort, member: int) -> tuple[int, ...]:
        """For each stored number, what may be said about it without naming an unnamed member but ``member``."""
        stored = scalarset_of(field.var.sort)
        raws = range(field.mask + 1)
        if stored is None or stored not in self.sorts:
            return tuple(raws)
        fixed = {r: n for n, r in enumerate((r for r in raws if not stored.named <= r < len(stored.members)), start=2)}
        return tuple(fixed.get(r, 1 if stored == mine and r == member else 0) for r in raws)
