"""What there is to know about a model before it is checked: its size, and what in it never happens.

Each scenario is explored without any target, as far as a limit of states allows. What a search has not met is called
impossible only if the search is complete; otherwise it is what the first so many states do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from math import ceil, log2
from typing import TypeVar

from protocheck.check import DEFAULT_SCENARIO, scenario_names
from protocheck.engines.explore import Exploration, explore
from protocheck.engines.verdict import Budget, Limit, Reached, Unknown
from protocheck.ir.expr import VarKind
from protocheck.ir.interp import State, cells, default_state, evaluate, instances
from protocheck.ir.sorts import product_size, size_of
from protocheck.ir.system import Act, LockKind, System, Target, ThreadClass, Transition, Wait
from protocheck.lower import compile_system, instantiate
from protocheck.records import dataclass
from protocheck.traces.trace import Place, places_of, plain_name
from protocheck.types.tree import CheckedModule

STATES = 50_000
"""How many states are looked at by default."""

# What a wait is called that stands in the model as one; that for a lock is asked otherwise.
_WAITING = ("await ", "spin ", "synchronize ")

# Waits are looked at by the plain interpreter, state by state: beyond so many evaluations nothing is said about them.
_EVALUATIONS = 400_000

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class ThreadInfo:
    """A thread class: ``instances`` of it in the first state; ``statements`` are those that are steps of their own."""

    name: str
    kind: str
    instances: int
    locations: int
    statements: int
    steps: int


@dataclass(frozen=True)
class VariableInfo:
    """A variable: ``cells`` of ``values`` values each, in ``bits`` bits.

    ``seen`` is how many combinations of values its cells have in the states visited. ``factor`` is by how much the
    count of states would shrink if it were not looked at (states per state without it); None if that was not counted.
    """

    name: str
    kind: VarKind
    cells: int
    values: int
    bits: int
    seen: int | None
    factor: float | None


@dataclass(frozen=True)
class Count:
    """How many states were visited; ``complete`` if there are no others. ``symmetric``: up to renaming."""

    states: int
    steps: int
    depth: int
    complete: bool
    symmetric: bool


@dataclass(frozen=True)
class Silent:
    """Something of the model that no visited state or step shows; ``text`` is how the model writes it."""

    what: str
    text: str
    place: Place | None


@dataclass(frozen=True)
class ScenarioInfo:
    """One scenario: its size, and what never happens in it. ``unasked`` says why a kind of question was not put."""

    name: str
    instance: str
    variants: tuple[str, ...]
    threads: tuple[ThreadInfo, ...]
    variables: tuple[VariableInfo, ...]
    locks: int
    bits: int
    combinations: int
    count: Count
    silent: tuple[Silent, ...]
    unasked: tuple[str, ...] = ()

    @property
    def heaviest(self) -> VariableInfo | None:
        """The variable that makes the scenario large: by states where they were counted, by bits otherwise."""
        if not self.variables:
            return None
        return max(self.variables, key=lambda v: (v.factor or 0.0, v.bits))


@dataclass(frozen=True)
class Info:
    """A model. ``silent`` is what happens in none of the scenarios looked at, if there are several."""

    file: str
    model: str
    scenarios: tuple[ScenarioInfo, ...]
    silent: tuple[Silent, ...]


# What may be silent, in the order in which it is told.
STATEMENT = "never runs"
WAY = "never goes on"
LOCK = "never contended"
WAIT = "never waits"
ASSERTION = "never reached"
KINDS = (STATEMENT, WAY, LOCK, WAIT, ASSERTION)


def info(
    module: CheckedModule,
    scenarios: Sequence[str] = (),
    settings: Mapping[str, int | str] | None = None,
    states: int = STATES,
) -> Info:
    """Look into ``module``, one scenario after the other; ``states`` limits each search.

    :class:`protocheck.diagnostics.ModelError` for an unknown scenario or a setting that is out of range.
    """
    found = [_Looking(module, name, settings or {}, states) for name in scenario_names(module, scenarios)]
    seen = [set(x.happens) for x in found]
    everywhere = []
    if len(found) > 1:
        named = {key: silent for x in found for key, silent in x.silent.items()}
        everywhere = [s for key, s in named.items() if not any(key in happens for happens in seen)]
        everywhere.sort(key=_by_kind_and_place)
    return Info(module.file.path, module.name, tuple(x.info for x in found), tuple(everywhere))


def _by_kind_and_place(silent: Silent) -> tuple[int, str, int, int, str]:
    place = silent.place
    at = (place.file, place.line, place.column) if place is not None else ("", 0, 0)
    return (KINDS.index(silent.what), *at, silent.text)


# Something that can happen, told apart from everything else: its kind, its text, and where it stands.
_Key = tuple[str, str, Place | None]


class _Looking:
    """One scenario looked into. ``happens`` and ``silent`` together are everything that was asked for."""

    def __init__(
        self, module: CheckedModule, name: str | None, settings: Mapping[str, int | str], states: int
    ) -> None:
        instance = instantiate(module, name, settings)
        self.system = compile_system(module, instance)
        # The count of distinct states is what people expect; only what is too large for it is counted by symmetry.
        spoken = [p for p in self.system.properties if p.kind == "assertion" and p.speaks is not None]
        targets = [p.speaks for p in spoken if p.speaks is not None]
        targets.append(Target(()))  # never reached: its verdict tells which limit ended the search
        search = explore(self.system, targets, Budget(states=states), symmetry=False, to_the_end=True)
        _go_on(search)
        if not search.complete:
            smaller = explore(self.system, targets, Budget(states=states), to_the_end=True)
            _go_on(smaller)
            search = smaller if smaller.complete or smaller.depth > search.depth else search
        self.happens: dict[_Key, None] = {}
        self.silent: dict[_Key, Silent] = {}
        unasked = []
        self._sort_out(_statements(self.system, search.fired))
        self._sort_out(_ways(self.system, search.fired))
        self._sort_out(_contention(self.system, search.fired))
        waits = _waits(self.system, search)
        if waits is None:
            unasked.append("whether each `await` and `synchronize` ever has to wait")
        else:
            self._sort_out(waits)
        reached = {p.name for p, v in zip(spoken, search.verdicts, strict=False) if isinstance(v, Reached)}
        self._sort_out(_assertions(self.system, search.fired, reached))
        variables = tuple(_variables(self.system, search))
        self.info = ScenarioInfo(
            name or DEFAULT_SCENARIO,
            instance.text,
            instance.variants,
            tuple(_thread(self.system, t) for t in self.system.threads),
            variables,
            sum(product_size(lock.index) for lock in self.system.locks),
            sum(v.bits for v in variables),
            _product(v.values**v.cells for v in variables),
            Count(search.states, search.edges, max(search.depth, 0), search.complete, search.symmetric),
            tuple(sorted(self.silent.values(), key=_by_kind_and_place)),
            tuple(unasked),
        )

    def _sort_out(self, asked: Iterable[tuple[_Key, bool]]) -> None:
        for key, happens in asked:
            if happens:
                self.happens[key] = None
            else:
                self.silent[key] = Silent(*key)


def _go_on(search: Exploration) -> None:
    """Ctrl-C ends a search with what is known so far; here it is to end everything."""
    last = search.verdicts[-1]
    if isinstance(last, Unknown) and last.limit is Limit.INTERRUPTED:
        raise KeyboardInterrupt


# --------------------------------------------------------------------------------------------------------------------
# Sizes


def _thread(system: System, thread: ThreadClass) -> ThreadInfo:
    own = [t for t in system.transitions if t.thread == thread.name]
    there = sum(1 for _ in instances(system, thread, default_state(system)))
    statements = {(t.text or t.name, _place(t)) for t in own}
    name, places = plain_name(thread.name), len(thread.locations)
    return ThreadInfo(name, thread.kind.value, there, places, len(statements), len(own))


def _variables(system: System, search: Exploration) -> Iterator[VariableInfo]:
    """Each variable with its sizes; how much it matters is counted only over a complete set of states."""
    visited = list(search.values()) if search.complete else []
    begin = 0
    for var in system.variables:
        count = product_size(var.index)
        seen: int | None = None
        factor: float | None = None
        if visited:
            end = begin + count
            seen = len({s[begin:end] for s in visited})
            factor = len(visited) / len({s[:begin] + s[end:] for s in visited})
        values = size_of(var.sort)
        bits = count * ceil(log2(values)) if values > 1 else 0
        yield VariableInfo(plain_name(var.name), var.kind, count, values, bits, seen, factor)
        begin += count


def _product(numbers: Iterable[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


# --------------------------------------------------------------------------------------------------------------------
# What happens, and what does not


def _any(pairs: Iterable[tuple[K, bool]]) -> dict[K, bool]:
    """For each key whether any of its values is true, in the order of first appearance."""
    found: dict[K, bool] = {}
    for key, value in pairs:
        found[key] = found.get(key, False) or value
    return found


def _place(transition: Transition) -> Place:
    return places_of(transition.origin)[0]


def _statements(system: System, fired: Sequence[int]) -> Iterator[tuple[_Key, bool]]:
    """Statements that are steps: whether any step of them is ever taken."""
    pairs = (
        ((t.thread, _quoted(t), _place(t)), count > 0) for t, count in zip(system.transitions, fired, strict=True)
    )
    for (thread, text, place), runs in _any(pairs).items():
        yield (STATEMENT, f"{text} in {plain_name(thread)}", place), runs


def _ways(system: System, fired: Sequence[int]) -> Iterator[tuple[_Key, bool]]:
    """Where a statement that does run can lead: whether it ever leads there."""
    runs: dict[tuple[str, str, Place], dict[str, bool]] = {}
    for transition, count in zip(system.transitions, fired, strict=True):
        thread = next(t for t in system.threads if t.name == transition.thread)
        target = thread.locations[transition.target]
        if target.waiting:
            continue  # that is what contention asks
        key = (transition.thread, _quoted(transition), _place(transition))
        line = _where_to(places_of(target.origin), key[2])
        ways = runs.setdefault(key, {})
        ways[line] = ways.get(line, False) or count > 0
    for (thread_name, text, place), ways in runs.items():
        for line, taken in ways.items():
            # Where there is but one way, it is no news that it is not gone; in another scenario there may be more.
            if taken or (len(ways) > 1 and any(ways.values())):
                yield (WAY, f"from {text} in {plain_name(thread_name)} to {line}", place), taken


def _where_to(places: Sequence[Place], begin: Place) -> str:
    """The next statement of a thread that has just done the one at ``begin``."""
    if not places:
        return "its end"
    place = places[0]
    if (place.file, place.line) == (begin.file, begin.line):
        return f"column {place.column} of that line"
    return f"line {place.line}" + ("" if place.file == begin.file else f" of {place.file}")


def _quoted(transition: Transition) -> str:
    """The statement of a step, without the block that it has."""
    text = transition.text or transition.name
    head, brace, _ = text.partition(" {")
    return f"`{head}{' { ... }' if brace else ''}`"


def _contention(system: System, fired: Sequence[int]) -> Iterator[tuple[_Key, bool]]:
    """Locks: whether anybody ever has to wait for one, or fails to take it."""
    waited = {
        event.lock
        for transition, count in zip(system.transitions, fired, strict=True)
        for event in transition.events
        if count and event.act in (Act.WANT, Act.TRY_FAILED)
    }
    for lock in system.locks:
        if lock.kind is LockKind.SRCU:
            continue  # nobody waits for a reader but who synchronizes, and that is a wait of its own
        places = places_of(lock.origin)
        yield (LOCK, f"lock {plain_name(lock.name)}", places[0] if places else None), lock.name in waited


def _waits(system: System, search: Exploration) -> Iterator[tuple[_Key, bool]] | None:
    """Waits for a condition: whether anybody is ever kept by it. None where that would take too long."""
    waits = [w for w in system.waits if w.what.startswith(_WAITING)]
    members = sum(product_size([p.sort for p in _class(system, w).params]) for w in waits)
    if search.states * members > _EVALUATIONS:
        return None
    where = {cell: position for position, cell in enumerate(cells(system))}
    open_: dict[int, Callable[[State], bool]] = {k: partial(_kept, system, w) for k, w in enumerate(waits)}
    kept: dict[int, bool] = dict.fromkeys(open_, False)
    for values in search.values():
        if not open_:
            break
        state = State(values, where)
        for number in [k for k, test in open_.items() if test(state)]:
            kept[number] = True
            del open_[number]
    pairs = []
    for number, wait in enumerate(waits):
        places = places_of(wait.origin)
        key = (WAIT, f"`{wait.what}` in {plain_name(wait.thread)}", places[0] if places else None)
        pairs.append((key, kept[number]))
    return iter(_any(pairs).items())


def _class(system: System, wait: Wait) -> ThreadClass:
    return next(t for t in system.threads if t.name == wait.thread)


def _kept(system: System, wait: Wait, state: State) -> bool:
    thread = _class(system, wait)
    return any(
        evaluate(wait.blocked, state, {p.name: v for p, v in zip(thread.params, who.values, strict=True)})
        for who in instances(system, thread, state)
    )


def _assertions(system: System, fired: Sequence[int], reached: Set[str]) -> Iterator[tuple[_Key, bool]]:
    """Assertions: whether any step evaluates them.

    One that cannot fail is no check of any step; then its name is among ``reached`` if a step comes by its place.
    """
    kinds = {p.name: p.kind for p in system.properties}
    pairs: list[tuple[_Key, bool]] = []
    for transition, count in zip(system.transitions, fired, strict=True):
        for check in transition.checks:
            if kinds.get(check.prop) == "assertion":
                pairs.append(((ASSERTION, f"assertion {check.prop}", places_of(check.origin)[0]), count > 0))
    asserted = {key[1] for key, _ in pairs}
    for prop in system.properties:
        name = f"assertion {prop.name}"
        if prop.kind == "assertion" and name not in asserted:
            places = places_of(prop.origin)
            pairs.append(((ASSERTION, name, places[0] if places else None), prop.name in reached))
    return iter(_any(pairs).items())
