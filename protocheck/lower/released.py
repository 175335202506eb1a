"""Steps by which a thread goes another way than to what it is owed, of its own free choice.

Code that nobody sees is of one step with what follows. So where a choice that nothing makes fair (``either``,
``choose``, ``havoc``) comes before a lock or a ``fair either``, the thread is able to step to both from one location,
although it would be asked for the second only once it has chosen so. What chose otherwise is no unfairness.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocheck.ir.expr import Expr, names
from protocheck.ir.system import ThreadClass
from protocheck.lower import nodes as ops
from protocheck.lower.evaluate import Passed, Way
from protocheck.lower.nodes import Node
from protocheck.lower.steps import Key, RawTransition


def released(
    owed: Sequence[int],
    mine: Sequence[int],
    raws: Sequence[tuple[str, RawTransition]],
    nodes: Sequence[Node],
    thread: ThreadClass,
) -> tuple[int, ...]:
    """Of the steps ``mine`` of ``thread``, those that avoid the steps ``owed`` by a choice, from where these begin.

    ``nodes`` are its code. A step avoids them by a fork if they pass the same fork
    on other branches only, and by a value if it asks something of the value chosen that none of them asks. An answer
    that is too long lets threads be free where they are not, which may show a loop that is none, and proves nothing.
    """
    there: dict[Key, list[RawTransition]] = {}
    for n in owed:
        there.setdefault(raws[n][1].source, []).append(raws[n][1])
    own = frozenset(p.name for p in thread.params)
    found = []
    for n in mine:
        here = raws[n][1]
        others = there.get(here.source, [])
        if n not in owed and others and (_by_fork(here, others, nodes) or _by_value(here, others, own)):
            found.append(n)
    return tuple(found)


def _by_fork(here: RawTransition, others: Sequence[RawTransition], nodes: Sequence[Node]) -> bool:
    passed: dict[int, set[int]] = {}
    for p in (p for raw in others for p in _forks(raw, nodes)):
        passed.setdefault(p.number, set()).add(p.way)
    return any(p.number in passed and p.way not in passed[p.number] for p in _forks(here, nodes))


def _forks(raw: RawTransition, nodes: Sequence[Node]) -> list[Passed]:
    return [p for p in raw.path.passed if p.what is Way.BRANCH and nodes[p.number].op == ops.Fork(False)]


def _by_value(here: RawTransition, others: Sequence[RawTransition], own: frozenset[str]) -> bool:
    chosen = {p.name for raw in others for p in raw.path.params} - own
    asked: set[Expr] = {e for raw in others for e in raw.path.guard}
    return any(e not in asked and names(e) & chosen for e in here.path.guard)
