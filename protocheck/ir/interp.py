"""The reference interpreter: what a transition system means, executed in the plainest way.

Slow on purpose. It shares nothing with the engines but the definitions of the operators (:func:`expr.compute`), and it
replays every run before anyone sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from itertools import product
from typing import TypeAlias, assert_never

from protocheck.ir.expr import Apply, Expr, Lit, Param, Quant, Quantifier, Read, compute
from protocheck.ir.sorts import values_of
from protocheck.ir.system import Case, Choice, InitCase, System, Target, ThreadClass, Transition, Update
from protocheck.records import dataclass

Cell: TypeAlias = tuple[str, tuple[int, ...]]
"""The name of a variable and the values of its index."""

Env: TypeAlias = Mapping[str, int]
"""Values of the parameters in scope."""


class IllFormedError(Exception):
    """The system does something that its compiler had to exclude, such as storing a value outside of its sort."""


class NotEnabledError(Exception):
    """A step was asked for that cannot be taken; the message says why."""


@dataclass(frozen=True)
class State:
    """A state: ``values`` in the order of :func:`cells`, and ``where`` each cell stands in it."""

    values: tuple[int, ...]
    where: Mapping[Cell, int] = field(compare=False, repr=False)

    def __getitem__(self, cell: Cell) -> int:
        return self.values[self.where[cell]]

    def get(self, cell: Cell) -> int | None:
        """The value of ``cell``, or None if there is no such cell."""
        position = self.where.get(cell)
        return None if position is None else self.values[position]


@dataclass(frozen=True)
class Outcome:
    """What a step leads to: the next state (None if a fatal check failed) and the positions of the failed checks."""

    state: State | None
    failed: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """A thread: the name of its class and the values of the class's parameters."""

    thread: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Blocked:
    """A blocked thread: by which of ``System.waits``, whether all of them are idle, and for whom it waits, and why."""

    who: Instance
    waits: tuple[int, ...]
    idle: bool
    on: tuple[tuple[Instance, str], ...]


def evaluate(e: Expr, state: State, env: Env) -> int:
    """The value of ``e`` in ``state``; a read of a cell that does not exist answers 0."""
    match e:
        case Lit(value):
            return value
        case Param(name, _):
            return env[name]
        case Read(var, index):
            found = state.get((var.name, tuple(evaluate(i, state, env) for i in index)))
            return 0 if found is None else found
        case Apply(op, args):
            return compute(op, [evaluate(a, state, env) for a in args])
        case Quant(kind, binders, body):
            truths = [bool(evaluate(body, state, inner)) for inner in bindings(binders, env)]
            match kind:
                case Quantifier.FORALL:
                    return int(all(truths))
                case Quantifier.EXISTS:
                    return int(any(truths))
                case Quantifier.COUNT:
                    return sum(truths)
                case _:
                    assert_never(kind)
        case _:
            assert_never(e)


def bindings(binders: Sequence[Param], env: Env) -> Iterator[dict[str, int]]:
    """``env`` extended by every combination of values of ``binders``, in ascending order."""
    for values in product(*(values_of(b.sort) for b in binders)):
        yield {**env, **_named(binders, values)}


def cells(system: System) -> tuple[Cell, ...]:
    """All cells: variables in the order of their declaration, the cells of one by ascending index."""
    return tuple((v.name, i) for v in system.variables for i in product(*(values_of(sort) for sort in v.index)))


def default_state(system: System) -> State:
    """The state in which every cell has its default."""
    where = {cell: position for position, cell in enumerate(cells(system))}
    blank = State((0,) * len(where), where)
    values: list[int] = []
    for var, default in zip(system.variables, system.defaults, strict=True):
        for index in product(*(values_of(sort) for sort in var.index)):
            value = evaluate(default, blank, {f"#{k}": i for k, i in enumerate(index)})
            if value not in values_of(var.sort):
                raise IllFormedError(f"default of {var.name}{list(index)} is {value}, outside of its sort")
            values.append(value)
    return State(tuple(values), where)


def initial_choices(system: System) -> Iterator[Choice]:
    """Every way to begin, in the order of the initial cases and of their parameters' values."""
    state = default_state(system)
    for which, case in enumerate(system.initial):
        for values in product(*(values_of(p.sort) for p in case.params)):
            if evaluate(case.guard, state, _named(case.params, values)):
                yield Choice(which, values)


def begin(system: System, choice: Choice) -> State:
    """The state in which a run with this ``choice`` begins; :class:`NotEnabledError` if there is no such choice."""
    if not 0 <= choice.which < len(system.initial):
        raise NotEnabledError(f"there is no initial case {choice.which}")
    case: InitCase = system.initial[choice.which]
    state = default_state(system)
    _fit(case.params, choice.values)
    env = _named(case.params, choice.values)
    if not evaluate(case.guard, state, env):
        raise NotEnabledError(f"the condition of initial case {choice.which} is false for {choice.values}")
    return _assign(case.updates, state, env)


def initial_states(system: System) -> tuple[State, ...]:
    """The states in which runs begin, without repetitions, in the order of :func:`initial_choices`."""
    return tuple(dict.fromkeys(begin(system, choice) for choice in initial_choices(system)))


def thread_of(system: System, name: str) -> ThreadClass:
    """The thread class called ``name``."""
    for thread in system.threads:
        if thread.name == name:
            return thread
    raise IllFormedError(f"there is no thread class {name}")


def instances(system: System, thread: ThreadClass, state: State) -> Iterator[Instance]:
    """The existing instances of ``thread``."""
    for values in product(*(values_of(p.sort) for p in thread.params)):
        if evaluate(thread.where, state, _named(thread.params, values)):
            yield Instance(thread.name, values)


def mover(system: System, move: Choice) -> Instance:
    """The thread that takes ``move``."""
    transition = system.transitions[move.which]
    return Instance(transition.thread, move.values[: len(thread_of(system, transition.thread).params)])


def enabled(system: System, state: State) -> Iterator[Choice]:
    """The moves possible in ``state``, in the order of the transitions and of their parameters' values."""
    for which, transition in enumerate(system.transitions):
        for values in product(*(values_of(p.sort) for p in transition.params)):
            if _why_not(system, transition, state, values) is None:
                yield Choice(which, values)


def step(system: System, state: State, move: Choice) -> Outcome:
    """What ``move`` does in ``state``; :class:`NotEnabledError` if it is not possible there."""
    if not 0 <= move.which < len(system.transitions):
        raise NotEnabledError(f"there is no transition {move.which}")
    transition = system.transitions[move.which]
    _fit(transition.params, move.values)
    reason = _why_not(system, transition, state, move.values)
    if reason is not None:
        raise NotEnabledError(reason)
    env = _named(transition.params, move.values)
    failed = tuple(k for k, check in enumerate(transition.checks) if not evaluate(check.cond, state, env))
    if any(transition.checks[k].fatal for k in failed):
        return Outcome(None, failed)
    return Outcome(_assign(transition.updates, state, env), failed)


def holds(case: Case, state: State, values: tuple[int, ...]) -> bool:
    """Whether the condition of ``case`` is true in ``state`` for ``values`` of its parameters.

    For a case with ``via``, ``state`` is the one before that step; whether the step is possible is not asked here.
    """
    return bool(evaluate(case.cond, state, _named(case.params, values)))


def witnesses(system: System, target: Target, state: State) -> Iterator[Choice]:
    """The ways in which ``state`` is in ``target``, or in which a step out of it is (for cases with ``via``)."""
    for which, case in enumerate(target.cases):
        for values in product(*(values_of(p.sort) for p in case.params)):
            if not holds(case, state, values):
                continue
            if case.via is not None:
                transition = system.transitions[case.via]
                if _why_not(system, transition, state, values[: len(transition.params)]) is not None:
                    continue
            yield Choice(which, values)


def blocked(system: System, state: State) -> tuple[Blocked, ...]:
    """The blocked threads of ``state`` in the order of the thread classes.

    Where several waits of one instance are true at once, it waits for whomever any of them names, and it is idle only
    if all of them are.
    """
    answer: list[Blocked] = []
    for thread in system.threads:
        for who in instances(system, thread, state):
            env = _named(thread.params, who.values)
            ways = [
                k for k, w in enumerate(system.waits) if w.thread == thread.name and evaluate(w.blocked, state, env)
            ]
            if not ways:
                continue
            on: dict[tuple[Instance, str], None] = {}
            for k in ways:
                for edge in system.waits[k].on:
                    for other in instances(system, thread_of(system, edge.thread), state):
                        if evaluate(edge.cond, state, {**env, **_named(edge.others, other.values)}):
                            on[other, edge.why] = None
            idle = all(evaluate(system.waits[k].idle, state, env) for k in ways)
            answer.append(Blocked(who, tuple(ways), idle, tuple(on)))
    return tuple(answer)


def deadlock(system: System, state: State) -> tuple[Blocked, ...]:
    """The deadlocked threads of ``state`` as :class:`DeadlockTarget` defines them; empty if there are none."""
    members = blocked(system, state)
    while True:
        inside = {b.who for b in members}
        kept = tuple(b for b in members if all(other in inside for other, _ in b.on))
        if len(kept) == len(members):
            break
        members = kept
    return () if all(b.idle for b in members) else members


def _named(params: Sequence[Param], values: Sequence[int]) -> dict[str, int]:
    return {p.name: v for p, v in zip(params, values, strict=True)}


def _fit(params: Sequence[Param], values: Sequence[int]) -> None:
    if len(params) != len(values):
        raise NotEnabledError(f"{len(values)} values given for {len(params)} parameters")
    for param, value in zip(params, values, strict=True):
        if value not in values_of(param.sort):
            raise NotEnabledError(f"{value} is no value of parameter {param.name}")


def _why_not(system: System, transition: Transition, state: State, values: tuple[int, ...]) -> str | None:
    env = _named(transition.params, values)
    thread = thread_of(system, transition.thread)
    own = values[: len(thread.params)]
    if not evaluate(thread.where, state, _named(thread.params, own)):
        return f"there is no instance {list(own)} of {thread.name}"
    if not evaluate(transition.guard, state, env):
        return f"the guard of {transition.name}{list(values)} is false"
    return None


def _assign(updates: Sequence[Update], state: State, env: Env) -> State:
    values = list(state.values)
    for update in updates:
        for inner in bindings(update.binders, env):
            if not evaluate(update.where, state, inner):
                continue
            cell = (update.var.name, tuple(evaluate(i, state, inner) for i in update.index))
            value = evaluate(update.value, state, inner)
            if cell not in state.where:
                raise IllFormedError(f"there is no cell {cell[0]}{list(cell[1])} to store to")
            if value not in values_of(update.var.sort):
                raise IllFormedError(f"{value} stored in {cell[0]}{list(cell[1])} is outside of its sort")
            values[state.where[cell]] = value
    return State(tuple(values), state.where)
