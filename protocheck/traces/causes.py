"""Which earlier steps made a step possible: those that turned what its guard asks for true, the last time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocheck.engines.verdict import Choice
from protocheck.ir.expr import Apply, Expr, Op, reads
from protocheck.ir.interp import State, evaluate, mover, thread_of
from protocheck.ir.system import System


def causes(system: System, moves: Sequence[Choice], states: Sequence[State]) -> tuple[tuple[int, ...], ...]:
    """For each of ``moves`` the numbers (from 1) of the steps that made it possible, ascending; none if it always was.

    ``states[k]`` is the state after ``k`` moves. One of them is the step since which the whole guard has been true:
    mostly that by which the thread came to its place. Beside it, if there is one, the step of another thread that
    turned true what the guard asks of anything but the thread's own place and locals.
    """
    movers = [mover(system, m) for m in moves]
    found: list[tuple[int, ...]] = []
    for number, move in enumerate(moves):
        transition = system.transitions[move.which]
        env = {p.name: v for p, v in zip(transition.params, move.values, strict=True)}

        def true(parts: Sequence[Expr], state: State, env: dict[str, int] = env) -> bool:
            return all(evaluate(part, state, env) for part in parts)

        asked = parts(transition.guard)
        thread = thread_of(system, transition.thread)
        mine = {thread.pc, *thread.locals}
        me = transition.params[: len(thread.params)]
        shared = [e for e in asked if any(r.var not in mine or r.index[: len(me)] != me for r in reads(e))]
        since = _since(asked, states[: number + 1], true)
        others = _since(shared, states[: number + 1], true) if shared else 0
        foreign = {others} if others and movers[others - 1] != movers[number] else set()
        found.append(tuple(sorted({since, *foreign} - {0})))
    return tuple(found)


def _since(
    parts: Sequence[Expr], states: Sequence[State], true: Callable[[Sequence[Expr], State], bool]
) -> int:
    """The number of the first of the last states in a row in which all ``parts`` are true."""
    number = len(states) - 1
    while number > 0 and true(parts, states[number - 1]):
        number -= 1
    return number


def parts(e: Expr) -> list[Expr]:
    """What a conjunction is made of, however it is nested."""
    return [part for arg in e.args for part in parts(arg)] if isinstance(e, Apply) and e.op is Op.AND else [e]
