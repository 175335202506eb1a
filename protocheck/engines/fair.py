"""Fair infinite runs on the graph of all reachable states: does one stay away for ever from what it should reach?

The states from which a run may go on for ever without reaching are cut into strongly connected components. A component
that cannot be fair is cut further (Emerson and Lei, "Modalities for model checking", 1987, for strong fairness): states
in which somebody can step who never does in it are taken out, and what is left is cut again. In what remains, every
state is on a fair loop. The stem of the answer is a shortest one; the loop is a shortest one from its end as long as
that is cheap to find, and else one that goes from need to need.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from itertools import product
from typing import TypeAlias, assert_never, cast

from protocheck.engines.codegen import Layout, unroll
from protocheck.engines.graph import Graph, graph
from protocheck.engines.orbits import interchangeable
from protocheck.engines.verdict import (
    Budget,
    Exhausted,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.expr import FALSE, TRUE, Expr, Lit, Param, not_, substitute
from protocheck.ir.ground import TOO_DEEP, GroundError
from protocheck.ir.sorts import scalarset_of, values_of
from protocheck.ir.system import (
    Case,
    FairKind,
    Fairness,
    LiveTarget,
    ProgressTarget,
    RecoverableTarget,
    StepSet,
    System,
    Target,
)
from protocheck.records import dataclass

ENTRIES = 16  # states at the end of a shortest stem from which a loop is looked for
SEARCHED = 20_000  # pairs of state and needs looked at for a shortest loop
PACE = 4096  # states between two looks at the clock


class ExpiredError(Exception):
    """The deadline has passed."""


def run(system: System, targets: Sequence[LiveTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target, in order: a lasso, that there is none, or the limit that was hit.

    Raises :class:`protocheck.engines.codegen.StoreOutsideError` for a system that stores a value outside of its sort.
    """
    try:
        made = graph(system, budget)
        return tuple(judge(made, target, system.fairness, budget) for target in targets)
    except GroundError as problem:
        return tuple(Unknown(Limit.SOLVER, str(problem)) for _ in targets)
    except (RecursionError, SyntaxError):  # Python's own parser also has a limit
        return tuple(Unknown(Limit.SOLVER, TOO_DEEP) for _ in targets)


def judge(
    made: Graph, target: LiveTarget, fairness: Sequence[Fairness], budget: Budget, known: Spaces | None = None
) -> Verdict:
    """The verdict on ``target`` if runs are fair as ``fairness`` says, from a graph already built.

    A graph that is not complete can still show a lasso; never that there is none. ``known``, begun as an empty
    dictionary, keeps what does not depend on ``fairness`` from one judgement of the same target to the next.
    """
    try:
        match target:
            case ProgressTarget():
                found = _lasso(made, target, fairness, budget, known)
            case RecoverableTarget():
                found = _lost(made, target.goal, budget) if made.complete else None
            case _:
                assert_never(target)
    except ExpiredError:
        return Unknown(Limit.TIME)
    except KeyboardInterrupt:
        return Unknown(Limit.INTERRUPTED)
    except MemoryError:
        return Unknown(Limit.MEMORY)
    if found is not None:
        return Reached(found, made.complete)
    if made.complete:
        return Unreachable(Exhausted(len(made.states), made.depth, False))
    if made.limit is not None:
        return Unknown(made.limit, made.detail)
    if isinstance(target, RecoverableTarget):
        return Unknown(Limit.STATES, "recoverable needs every state")
    return NotReachedWithin(budget.depth or 0)


def _lost(made: Graph, goal: Expr, budget: Budget) -> Run | None:
    """A shortest run to a state from which no run leads to ``goal``."""
    reached = made.test(goal)
    safe = bytearray(made.size)
    before: list[list[int]] = [[] for _ in range(made.size)]
    todo: list[int] = []
    for n in range(made.size):
        if n % PACE == 0 and budget.expired():
            raise ExpiredError
        if reached(made.states[n]):
            safe[n] = 1
            todo.append(n)
        for edge in range(made.offsets[n], made.offsets[n + 1]):
            if made.ends[edge] >= 0:
                before[made.ends[edge]].append(n)
    while todo:
        for n in before[todo.pop()]:
            if not safe[n]:
                safe[n] = 1
                todo.append(n)
    first = safe.find(0)
    if first < 0:
        return None
    way = made.back(first)
    return Run(made.begun[made.source(way[0]) if way else first], tuple(made.choice(e) for e in way))


# --------------------------------------------------------------------------------------------------------------------
# What a fair run owes


Sometimes: TypeAlias = "dict[int, tuple[tuple[Callable[[int], bool], int], ...]]"


@dataclass(frozen=True)
class Owed:
    """What a loop must do again and again, whatever is fair: the lowest bits of its duties.

    ``always`` is by label; ``sometimes`` has what is so in some states only.
    """

    bits: int
    always: Sequence[int]
    sometimes: Sometimes


def owed(made: Graph, target: ProgressTarget, rigid: Sequence[int]) -> Owed:
    """The steps of ``target.recurs`` for the values ``rigid`` of the parameters."""
    always = [0] * len(made.labels.steps)
    sometimes: Sometimes = {}
    for k, steps in enumerate(target.recurs):
        for label, cond in members(made, steps, target, rigid):
            if cond == TRUE:
                always[label] |= 1 << k
            else:
                sometimes[label] = (*sometimes.get(label, ()), (made.test(cond), 1 << k))
    return Owed((1 << len(target.recurs)) - 1, always, sometimes)


@dataclass(frozen=True)
class Duties:
    """What a loop must do, one bit per duty.

    ``weak``: be in a state where the bit is not in ``can``, or take a step that ``serves`` it. ``strong``: take such a
    step, if it is in a state where the bit is in ``can``, which has a step that ``enables`` it. ``bound``: take such a
    step, if it takes one that ``pulls`` the bit. ``owed``: take such a step. ``serves``, ``enables`` and ``pulls`` are
    by label; what ``recurs`` says of a label in some states only is in ``sometimes``.
    """

    weak: int
    strong: int
    bound: int
    owed: int
    serves: Sequence[int]
    enables: Sequence[int]
    pulls: Sequence[int]
    rests: Callable[[int], int]  # of a packed state: the duties whose instance may rest there
    may_rest: int  # the duties whose instance may rest somewhere
    sometimes: Sometimes


def duties(made: Graph, owes: Owed, fairness: Sequence[Fairness]) -> Duties:
    """The duties of a loop that does what it ``owes`` and is fair as ``fairness`` says."""
    weak = strong = bound = may_rest = 0
    serves, enables, pulls = list(owes.always), [0] * len(made.labels.steps), [0] * len(made.labels.steps)
    by_which: dict[int, list[int]] = {}
    for label, (which, _) in enumerate(made.labels.steps):
        by_which.setdefault(which, []).append(label)
    rests: list[tuple[Expr, int]] = []
    bit = owes.bits + 1
    threads = {t.name: t for t in made.system.threads}
    for fair in fairness:
        for own, _ in made.made.instances(threads[fair.thread]):
            for steps, marks in (
                (fair.transitions, (serves, enables)),
                (fair.released, (serves,)),
                (fair.trigger, (pulls,)),
            ):
                for label in (n for which in steps for n in by_which.get(which, ())):
                    if made.labels.steps[label][1][: len(own)] == own:
                        for mark in marks:
                            mark[label] |= bit
            if fair.trigger:
                bound |= bit
            elif fair.kind is FairKind.WEAK:
                weak |= bit
            elif fair.kind is FairKind.STRONG:
                strong |= bit
            else:
                assert_never(fair.kind)
            fixed: dict[str, Expr] = {p.name: Lit(v) for p, v in zip(fair.params, own, strict=True)}
            rest = unroll(substitute(fair.rest, fixed))
            if not fair.trigger and rest != FALSE:
                rests.append((rest, bit))
                may_rest |= bit
            bit <<= 1
    resting = _at_rest(made, rests)
    return Duties(weak, strong, bound, owes.bits, serves, enables, pulls, resting, may_rest, owes.sometimes)


def _at_rest(made: Graph, rests: Sequence[tuple[Expr, int]]) -> Callable[[int], int]:
    if not rests:
        return lambda s: 0
    return cast("Callable[[int], int]", made.made.sum_of(rests))


def members(
    made: Graph, steps: StepSet, target: ProgressTarget, rigid: Sequence[int]
) -> Iterator[tuple[int, Expr]]:
    """The labels that are in ``steps``, each with the condition on the state before the step; never ``FALSE``."""
    fixed: dict[str, Expr] = {p.name: Lit(v) for p, v in zip(target.params, rigid, strict=True)}
    for which, cond in steps.members:
        params = made.system.transitions[which].params
        for label, (mine, values) in enumerate(made.labels.steps):
            if mine == which:
                told: dict[str, Expr] = {p.name: Lit(v) for p, v in zip(params, values, strict=True)}
                found = unroll(substitute(cond, {**fixed, **told}))
                if found != FALSE:
                    yield label, TRUE if isinstance(found, Lit) else found


def rigid_values(system: System, target: ProgressTarget, fairness: Sequence[Fairness]) -> list[tuple[int, ...]]:
    """The values of the rigid parameters that have to be looked at: one for all that symmetry makes alike."""
    conds = [target.where, target.pending, target.reached, *(f.rest for f in fairness)]
    conds += [c for steps in (target.reaching, *target.recurs) for _, c in steps.members]
    alike = interchangeable(system, (Target(tuple(Case((), c) for c in conds)),), Layout(system))
    found: list[tuple[int, ...]] = []
    for values in product(*(values_of(p.sort) for p in target.params)):
        if _first_of_its_kind(target.params, values, alike):
            where = substitute(target.where, {p.name: Lit(v) for p, v in zip(target.params, values, strict=True)})
            if unroll(where) != FALSE:
                found.append(values)
    return found


def _first_of_its_kind(params: Sequence[Param], values: Sequence[int], alike: Sequence[object]) -> bool:
    """Whether the unnamed members of each scalarset in ``alike`` appear in the order of their numbers."""
    following: dict[object, int] = {}
    for param, value in zip(params, values, strict=True):
        scalar = scalarset_of(param.sort)
        if scalar is None or scalar not in alike or not scalar.named <= value < len(scalar.members):
            continue
        top = following.setdefault(scalar, scalar.named)
        if value > top:
            return False
        following[scalar] = max(top, value + 1)
    return True


# --------------------------------------------------------------------------------------------------------------------
# The region in which a run has not reached, and its fair part


@dataclass
class _Core:
    """States of which each can be reached from each: the labels of the steps between them, what these do of what is
    owed in some states only, and which sets of steps are possible in them.
    """

    states: list[int]
    labels: set[int]
    sometimes: int
    enabled: set[int]


@dataclass
class _Space:
    """The states in which a run can be after it was in a pending one, without having reached.

    ``far[n]`` is the length of a shortest such run (negative: none), ``via[n]`` the edge by which it comes (-1: the
    pending state itself). ``shut[e]``: not taken without reaching, or at all. ``cores`` are the strongly connected
    components in which everything is done that is ``owed``; ``zone[n]`` is the number of the one that holds ``n``, -1
    for none. ``single`` are the states to which no run comes back.
    """

    made: Graph
    owed: Owed
    far: array[int]
    via: array[int]
    shut: bytearray
    zone: array[int] = field(default_factory=lambda: array("q"))
    cores: list[_Core] = field(default_factory=list)
    single: list[int] = field(default_factory=list)


Spaces: TypeAlias = "dict[tuple[int, ...], _Space]"
"""What is known for the values of the rigid parameters, whatever is fair."""


class _Region:
    """A space in which runs are fair.

    ``closed`` begins as ``shut``; the search for fair components also marks there what they must not take. ``zone[n]``
    is the number of the piece that holds ``n``.
    """

    def __init__(self, space: _Space, owes: Duties, budget: Budget) -> None:
        self.made = space.made
        self.space = space
        self.duties = owes
        self.far, self.via = space.far, space.via
        self.closed = space.shut
        self.zone = space.zone[:]
        self.budget = budget
        self.enabled = space.made.enabled
        ours = owes.weak | owes.strong
        self.able = [_union(owes.enables, labels) & ours for labels in space.made.possible]

    def can_step(self, n: int) -> int:
        """The duties whose instance can step in state ``n`` and may not rest."""
        known = self.able[self.enabled[n]]
        return known & ~self.duties.rests(self.made.states[n]) if known & self.duties.may_rest else known

    def served(self, n: int, edge: int) -> int:
        """The duties that ``edge`` out of ``n`` does."""
        label = self.made.kinds[edge]
        bits = self.duties.serves[label]
        for cond, bit in self.duties.sometimes.get(label, ()):
            if cond(self.made.states[n]):
                bits |= bit
        return bits

    def inner(self, n: int) -> Iterator[tuple[int, int]]:
        """The edges out of ``n`` that stay in its piece, with where they lead."""
        made, zone, closed = self.made, self.zone, self.closed
        mine = zone[n]
        for edge in range(made.offsets[n], made.offsets[n + 1]):
            if not closed[edge]:
                there = made.ends[edge]
                if zone[there] == mine:
                    yield edge, there

    def still(self, n: int) -> bool:
        """Whether a fair run may stand still in ``n`` for ever."""
        return not self.duties.owed and not self.can_step(n)


def _lasso(
    made: Graph, target: ProgressTarget, fairness: Sequence[Fairness], budget: Budget, known: Spaces | None
) -> Run | None:
    """A fair lasso of least stem over all rigid values, the shortest loop found for it; None if there is none."""
    best: Run | None = None
    for rigid in rigid_values(made.system, target, fairness):
        space = known.get(rigid) if known is not None else None
        if space is None:
            space = _space(made, target, rigid, budget)
            if known is not None:
                known[rigid] = space
        found = _lasso_for(space, rigid, fairness, budget)
        if found is not None and (best is None or _size(found) < _size(best)):
            best = found
    return best


def _size(found: Run) -> tuple[int, int]:
    stem = found.loop or 0
    return stem, len(found.moves) - stem


def _lasso_for(space: _Space, rigid: tuple[int, ...], fairness: Sequence[Fairness], budget: Budget) -> Run | None:
    made = space.made
    if not space.cores and space.owed.bits:
        return None
    region = _Region(space, duties(made, space.owed, fairness), budget)
    fair = _fair_states(region)
    if not fair:
        return None
    nearest = min(region.far[n] for n in fair)
    best: tuple[int, list[int]] | None = None
    for entry in sorted(n for n in fair if region.far[n] == nearest)[:ENTRIES]:
        loop = _loop(region, entry)
        if best is None or len(loop) < len(best[1]):
            best = entry, loop
    assert best is not None
    entry, loop = best
    stem: list[int] = []
    here = entry
    while region.via[here] != -1:
        stem.append(region.via[here])
        here = made.source(stem[-1])
    stem.reverse()
    stem = [*made.back(here), *stem]
    begun = made.begun[made.source(stem[0]) if stem else entry]
    return Run(begun, tuple(made.choice(e) for e in (*stem, *loop)), None, len(stem), rigid)


def _space(made: Graph, target: ProgressTarget, rigid: tuple[int, ...], budget: Budget) -> _Space:
    fixed: dict[str, Expr] = {p.name: Lit(v) for p, v in zip(target.params, rigid, strict=True)}
    where, pending, reached = (unroll(substitute(e, fixed)) for e in (target.where, target.pending, target.reached))
    size, states, offsets, ends, kinds, depths = (
        made.size, made.states, made.offsets, made.ends, made.kinds, made.depths
    )
    far, via, shut = array("l", [-1]) * size, array("q", [-1]) * size, bytearray(len(ends))
    space = _Space(made, owed(made, target, rigid), far, via, shut)
    asks = [made.test(e) for e in (where, pending) if e != TRUE]
    away = made.test(not_(reached))
    reaching: dict[int, Expr] = dict(members(made, target.reaching, target, rigid))
    tests = {label: made.test(cond) for label, cond in reaching.items()}
    layer: list[int] = []
    depth = fresh = 0
    while layer or fresh < size:
        if not layer and fresh < size:
            depth = max(depth, depths[fresh])
        while fresh < size and depths[fresh] <= depth:
            if fresh % PACE == 0 and budget.expired():
                raise ExpiredError
            s = states[fresh]
            if far[fresh] == -1 and all(ask(s) for ask in asks) and away(s):
                far[fresh] = depths[fresh]
                layer.append(fresh)
            fresh += 1
        following: list[int] = []
        for count, n in enumerate(layer):
            if count % PACE == 0 and budget.expired():
                raise ExpiredError
            for edge in range(offsets[n], offsets[n + 1]):
                there = ends[edge]
                if there < 0 or there >= size or (kinds[edge] in tests and tests[kinds[edge]](states[n])):
                    shut[edge] = 1
                    continue
                known = far[there]
                if known == -1:
                    if away(states[there]):
                        far[there] = depth + 1
                        via[there] = edge
                        following.append(there)
                        continue
                    far[there] = known = -2  # one that has reached
                if known == -2:
                    shut[edge] = 1
        layer = following
        depth += 1
    _find_cores(space, budget)
    return space


def _find_cores(space: _Space, budget: Budget) -> None:
    whole = [n for n, distance in enumerate(space.far) if distance >= 0]
    space.zone = zone = array("q", [-1]) * space.made.size
    for n in whole:
        zone[n] = 0
    owes = space.owed
    pieces, space.single = _components(space.made, zone, space.shut, whole, budget)
    for n in whole:
        zone[n] = -1
    for piece in pieces:
        number = len(space.cores) + 1
        for n in piece:
            zone[n] = number
        core = _core(space.made, zone, space.shut, piece, owes.sometimes)
        if owes.bits & ~(_union(owes.always, core.labels) | core.sometimes):
            for n in piece:
                zone[n] = -1
        else:
            space.cores.append(core)


def _core(
    made: Graph, zone: array[int], closed: bytearray, piece: list[int], sometimes: Sometimes
) -> _Core:
    """What is known of ``piece``, all of whose states have one number in ``zone`` that no other state has."""
    offsets, ends, kinds, enabled = made.offsets, made.ends, made.kinds, made.enabled
    mine = zone[piece[0]]
    labels: set[int] = set()
    bits = 0
    for n in piece:
        for edge in range(offsets[n], offsets[n + 1]):
            if not closed[edge] and zone[ends[edge]] == mine:
                label = kinds[edge]
                labels.add(label)
                if label in sometimes:
                    for cond, bit in sometimes[label]:
                        if not bits & bit and cond(made.states[n]):
                            bits |= bit
    return _Core(piece, labels, bits, {enabled[n] for n in piece})


def _union(masks: Sequence[int], which: Iterable[int]) -> int:
    bits = 0
    for k in which:
        bits |= masks[k]
    return bits


def _fair_states(region: _Region) -> list[int]:
    """All states of the region that are on a fair loop; ``zone`` then tells the components apart."""
    made, owes, space = region.made, region.duties, region.space
    fair: list[int] = []

    def rest_in(states: Iterable[int]) -> None:
        """Keep those in which a fair run may stand still."""
        if not owes.owed:
            still = [not mask & ~owes.may_rest for mask in region.able]
            fair.extend(n for n in states if still[region.enabled[n]] and region.still(n))

    rest_in(space.single)
    used = len(space.cores) + 1
    todo = list(space.cores)
    while todo:
        core = todo.pop()
        piece = core.states
        served = _union(owes.serves, core.labels) | core.sometimes
        pulled = _union(owes.pulls, core.labels)
        some = _union(region.able, core.enabled)
        every = -1
        if some & owes.may_rest:
            some = 0
            for n in piece:
                can = region.can_step(n)
                every &= can
                some |= can
        else:
            for k in core.enabled:
                every &= region.able[k]
        if (owes.weak & every | owes.owed) & ~served:
            continue
        starved, unanswered = owes.strong & some & ~served, owes.bound & pulled & ~served
        if not starved and not unanswered:
            fair += piece
            continue
        if unanswered:
            if region.closed is space.shut:
                region.closed = bytearray(space.shut)
            for n in piece:
                for edge, _ in list(region.inner(n)):
                    if owes.pulls[made.kinds[edge]] & unanswered:
                        region.closed[edge] = 1
        rest = [n for n in piece if not region.can_step(n) & starved]
        for n in piece:
            if region.can_step(n) & starved:
                region.zone[n] = -1
        pieces, single = _components(made, region.zone, region.closed, rest, region.budget)
        rest_in(single)
        for part in pieces:
            for n in part:
                region.zone[n] = used
            used += 1
            todo.append(_core(made, region.zone, region.closed, part, owes.sometimes))
    return fair


def _components(
    made: Graph, zone: array[int], closed: bytearray, piece: Sequence[int], budget: Budget
) -> tuple[list[list[int]], list[int]]:
    """The strongly connected components of ``piece``, and apart the states to which no way leads back.

    ``piece`` are states with one number in ``zone``. Tarjan's algorithm with a stack of its own; a component that is
    complete gets a number larger than all, so that nobody looks back at it.
    """
    offsets, ends = made.offsets, made.ends
    number = [0] * made.size if len(piece) * 8 > made.size else defaultdict[int, int](int)
    done = made.size + 1
    counted = 0
    open_: list[int] = []
    found: list[list[int]] = []
    single: list[int] = []
    for root in piece:
        if number[root]:
            continue
        mine = zone[root]
        counted += 1
        number[root] = counted
        open_.append(root)
        here, edge, stop = root, offsets[root], offsets[root + 1]
        first = low = counted
        moving = False
        path: list[tuple[int, int, int, int, bool]] = []
        while True:
            if edge < stop:
                if not closed[edge]:
                    there = ends[edge]
                    if zone[there] == mine:
                        other = number[there]
                        if not other:
                            path.append((here, edge + 1, first, low, moving))
                            counted += 1
                            if counted % PACE == 0 and budget.expired():
                                raise ExpiredError
                            number[there] = first = low = counted
                            open_.append(there)
                            here, edge, stop = there, offsets[there], offsets[there + 1]
                            moving = False
                            continue
                        if other < low:
                            low = other
                        elif there == here:
                            moving = True
                edge += 1
                continue
            if low == first:
                last = open_.pop()
                number[last] = done
                if last == here and not moving:
                    single.append(last)
                else:
                    component = [last]
                    while last != here:
                        last = open_.pop()
                        number[last] = done
                        component.append(last)
                    found.append(component)
            if not path:
                break
            inner = low
            here, edge, first, low, moving = path.pop()
            stop = offsets[here + 1]
            if inner < low:
                low = inner
    return found, single


# --------------------------------------------------------------------------------------------------------------------
# Loops


def _loop(region: _Region, entry: int) -> list[int]:
    """The edges of a fair loop through ``entry``: none if it may stand still there."""
    if region.still(entry):
        return []
    exact = _shortest_loop(region, entry)
    return exact if exact is not None else _some_loop(region, entry)


def _shortest_loop(region: _Region, entry: int) -> list[int] | None:
    """A shortest fair loop by breadth-first search over states and what has been done so far; None: too many."""
    owes = region.duties
    must, either = owes.weak | owes.owed, owes.strong | owes.bound
    pulls, kinds = owes.pulls, region.made.kinds

    def look(n: int) -> tuple[int, int]:
        can = region.can_step(n)
        return owes.weak & ~can, owes.strong & can

    start = (entry, *look(entry))
    before: dict[tuple[int, int, int], tuple[tuple[int, int, int], int]] = {}
    queue = deque([start])
    while queue:
        place = queue.popleft()
        n, done, due = place
        for edge, there in region.inner(n):
            free, asked = look(there)
            did = done | (region.served(n, edge) & (must | either)) | free
            dues = due | (owes.bound & pulls[kinds[edge]]) | asked
            after = there, did, dues
            if after in before:
                continue
            before[after] = place, edge
            if there == entry and not (must | dues) & ~did:
                loop = [edge]
                while place != start:
                    place, edge = before[place]
                    loop.append(edge)
                loop.reverse()
                return loop
            if len(before) > SEARCHED:
                return None
            queue.append(after)
    raise AssertionError("a fair component has no fair loop")


def _some_loop(region: _Region, entry: int) -> list[int]:
    """A fair loop that goes to the nearest place where something that is owed is done, until nothing is owed."""
    owes = region.duties
    piece = _reach(region, entry)
    some = served = pulled = 0
    for n in piece:
        some |= region.can_step(n)
        for edge, _ in region.inner(n):
            served |= region.served(n, edge)
            pulled |= owes.pulls[region.made.kinds[edge]]
    owed = owes.weak | owes.owed | (owes.strong & some) | (owes.bound & pulled)
    here, loop = entry, list[int]()
    owed &= ~(owes.weak & ~region.can_step(entry))
    while owed or not loop or here != entry:
        todo = owed

        def there_is(n: int, edge: int, end: int, todo: int = todo) -> bool:
            if not todo:
                return end == entry
            return bool((region.served(n, edge) | (owes.weak & ~region.can_step(end))) & todo)

        way = _way(region, here, there_is)
        for edge in way:
            end = region.made.ends[edge]
            owed &= ~(region.served(here, edge) | (owes.weak & ~region.can_step(end)))
            here = end
        loop += way
    return loop


def _reach(region: _Region, entry: int) -> list[int]:
    seen = {entry: None}
    todo = [entry]
    while todo:
        for _, there in region.inner(todo.pop()):
            if there not in seen:
                seen[there] = None
                todo.append(there)
    return list(seen)


def _way(region: _Region, start: int, goal: Callable[[int, int, int], bool]) -> list[int]:
    """A shortest way, of at least one edge, whose last edge (from, edge, to) satisfies ``goal``."""
    before: dict[int, tuple[int, int]] = {}
    queue = deque([start])
    while queue:
        n = queue.popleft()
        for edge, there in region.inner(n):
            if goal(n, edge, there):
                way = [edge]
                while n != start:
                    n, edge = before[n]
                    way.append(edge)
                way.reverse()
                return way
            if there not in before and there != start:
                before[there] = n, edge
                queue.append(there)
    raise AssertionError("what a fair component owes is not done in it")
