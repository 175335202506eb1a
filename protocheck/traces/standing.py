"""Where every thread stands in each state of a run: what it may do next, or why it cannot move.

A trace tells who moved. This tells of all the others what kept them: whom they wait for, or the first part of their
guard that is false, with the values that make it so. Everything is asked of the reference interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from protocheck.ir.expr import Apply, Expr, Op
from protocheck.ir.interp import Blocked, Env, Instance, State, blocked, evaluate, instances
from protocheck.ir.sorts import values_of
from protocheck.ir.system import System, ThreadClass, Transition
from protocheck.traces.explain import support
from protocheck.traces.trace import Place, Words, places_of

# Of a step with very many choices only so many are tried to find one that is possible; then nothing is claimed.
_TRIED = 4096


@dataclass(frozen=True)
class Stand:
    """One thread in one state: ``place`` is its next statement (None: it has ended, or nothing is known).

    ``can`` are the statements that it may take next; if there are none, ``why`` says what keeps it. ``waits`` is set
    where it waits for somebody, as opposed to having nothing to do.
    """

    thread: str
    place: Place | None
    can: tuple[str, ...]
    why: tuple[str, ...]
    waits: bool = False


def standings(system: System, states: Sequence[State]) -> tuple[tuple[Stand, ...], ...]:
    """For each of ``states``, where each thread stands, in the order in which the model declares them."""
    words = Words(system)
    by_class: dict[str, list[Transition]] = {t.name: [] for t in system.threads}
    for transition in system.transitions:
        by_class[transition.thread].append(transition)
    return tuple(tuple(_everyone(system, words, by_class, state)) for state in states)


def _everyone(
    system: System, words: Words, by_class: dict[str, list[Transition]], state: State
) -> Iterator[Stand]:
    waiting = {b.who: b for b in blocked(system, state)}
    for thread in system.threads:
        for who in instances(system, thread, state):
            yield _stand(system, words, thread, by_class[thread.name], who, waiting.get(who), state)


def _stand(
    system: System,
    words: Words,
    thread: ThreadClass,
    transitions: Sequence[Transition],
    who: Instance,
    waiting: Blocked | None,
    state: State,
) -> Stand:
    name = words.instance(who)
    here = state[thread.pc.name, who.values]
    chain = places_of(thread.locations[here].origin)
    place = chain[0] if chain else None
    leaving = [t for t in transitions if t.source == here]
    can: list[str] = []
    why: list[str] = []
    for transition in leaving:
        own = len(thread.params)
        first: Env | None = None
        possible = False
        for chosen in islice(product(*(values_of(p.sort) for p in transition.params[own:])), _TRIED):
            env = dict(zip((p.name for p in transition.params), (*who.values, *chosen), strict=True))
            first = first or env
            if evaluate(transition.guard, state, env):
                possible = True
                break
        text = transition.text or transition.name
        if possible:
            can.append(text)
        elif first is not None and waiting is None:
            why += _false(words, transition, state, first)
    if can:
        return Stand(name, place, tuple(dict.fromkeys(can)), ())
    if waiting is not None:
        waits = [system.waits[k] for k in waiting.waits]
        what = " and ".join(dict.fromkeys(words.shortened(w.what) or "something" for w in waits))
        reasons = [f"{words.instance(other)} {words.shortened(reason)}" for other, reason in waiting.on]
        idle = " (idle by design)" if waiting.idle else ""
        return Stand(name, place, (), (f"waits for {what}{idle}", *dict.fromkeys(reasons)), waits=True)
    if not leaving:
        return Stand(name, None, (), ("has ended",))
    return Stand(name, place, (), tuple(dict.fromkeys(why)) or ("no step of it is possible",))


def _false(words: Words, transition: Transition, state: State, env: Env) -> Iterator[str]:
    """The first part of the guard that is false, by its values; what the thread's own place says is left out."""
    for part in _parts(transition.guard):
        if evaluate(part, state, env):
            continue
        facts = [words.fact(c, state) for c in support(part, state, env) if words.worth_telling(c)]
        text = transition.text or transition.name
        yield f"`{text}` is not possible" + (f": {', '.join(facts)}" if facts else "")
        return


def _parts(e: Expr) -> Iterator[Expr]:
    if isinstance(e, Apply) and e.op is Op.AND:
        for arg in e.args:
            yield from _parts(arg)
    else:
        yield e
