"""Ports of small published protocols, with the state counts that their authors' own checker reports.

Origin: https://github.com/tlaplus/Examples (MIT licence), the specifications ``locks_auxiliary_vars`` (Peterson, Lock,
LockHS), ``DiningPhilosophers``, ``transaction_commit`` (TCommit, TwoPhase), ``barriers`` (Barrier, Barriers),
``TeachingConcurrency`` (Simple) and ``DieHard``; counts from the ``manifest.json`` beside each. No text is copied:
these are the same transition systems, written again as guarded commands.

The checker counts *levels* where this project counts steps (one more), and *generated* states: the initial ones and
every successor of every state, whether new or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from build import NOWHERE, at, ex, is_, move, never, plus, put, read, system, thread

from protocheck.ir.expr import (
    Expr,
    Op,
    Param,
    Quant,
    Quantifier,
    Var,
    and_,
    apply,
    exists,
    forall,
    ite,
    ne,
    not_,
    or_,
)
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort, none_of
from protocheck.ir.system import System, Target, Transition


@dataclass(frozen=True)
class Oracle:
    """A port; ``distinct``, ``generated`` and ``levels`` as published; ``bad`` is what must be unreachable."""

    name: str
    system: System
    bad: Target
    distinct: int
    generated: int
    levels: int


TWO = RangeSort(1, 2)


def _other(p: Param) -> Expr:
    return apply(Op.SUB, ex(3), p)


def _both(locations: Sequence[int], pc: Var) -> Target:
    """Both of two processes are at one of ``locations``."""
    a, b = (or_(*(is_(pc, k, place) for place in locations)) for k in (1, 2))
    return never(and_(a, b))


def peterson() -> Oracle:
    """Two processes and a turn: 0 elsewhere, 1 announce, 2 give way, 3 wait, 4 critical, 5 leave."""
    p = Param("p", TWO)
    wants, turn = Var("wants", (TWO,), BOOL), Var("turn", (), TWO)
    t = thread("proc", 6, (p,))
    moves = [
        move(t, 0, 1),
        move(t, 1, 2, True, [put(wants, p, 1)]),
        move(t, 2, 3, True, [put(turn, _other(p))]),
        move(t, 3, 4, or_(not_(read(wants, _other(p))), is_(turn, p))),
        move(t, 4, 5),
        move(t, 5, 0, True, [put(wants, p, 0)]),
    ]
    built = system("Peterson", [(wants, 0), (turn, 1)], [t], moves)
    return Oracle("Peterson", built, _both((4, 5), t.pc), 42, 77, 11)


def lock() -> Oracle:
    """A lock: 0 elsewhere, 1 take, 2 critical, 3 release."""
    p = Param("p", TWO)
    free = Var("free", (), BOOL)
    t = thread("proc", 4, (p,))
    moves = [
        move(t, 0, 1),
        move(t, 1, 2, read(free), [put(free, 0)]),
        move(t, 2, 3),
        move(t, 3, 0, True, [put(free, 1)]),
    ]
    return Oracle("Lock", system("Lock", [(free, 1)], [t], moves), _both((2, 3), t.pc), 12, 21, 5)


def lock_with_stuttering() -> Oracle:
    """The same lock with two idle steps after taking it, in which nobody else moves, and a record of the turn."""
    p = Param("p", TWO)
    free, turn = Var("free", (), BOOL), Var("turn", (), TWO)
    left, who = Var("left", (), RangeSort(0, 2)), Var("who", (), OptionSort(TWO))
    nobody = none_of(OptionSort(TWO))
    t = thread("proc", 4, (p,))
    calm = is_(left, 0)
    # The idle steps belong to the take, but are possible wherever the process stands: 2 in fact.
    idle = [
        Transition("idle", "proc", (p,), and_(is_(who, p), is_(left, k)), updates, (), 2, 2, NOWHERE)
        for k, updates in (
            (2, (put(left, 1), put(turn, _other(p)))),
            (1, (put(left, 0), put(who, nobody))),
        )
    ]
    moves = [
        move(t, 0, 1, calm),
        move(t, 1, 2, and_(calm, read(free)), [put(free, 0), put(left, 2), put(who, p)]),
        *idle,
        move(t, 2, 3, calm),
        move(t, 3, 0, calm, [put(free, 1)]),
    ]
    built = system("LockHS", [(free, 1), (turn, 1), (left, 0), (who, nobody)], [t], moves)
    return Oracle("LockHS", built, _both((2, 3), t.pc), 28, 41, 10)


def philosophers(seats: int) -> Oracle:
    """Forks that are handed over clean and become dirty by eating: 0 loop, 1 eat, 2 think."""
    seat = RangeSort(1, seats)
    p = Param("p", seat)
    holder, clean = Var("holder", (seat,), seat), Var("clean", (seat,), BOOL)
    hungry = Var("hungry", (seat,), BOOL)
    right = plus(apply(Op.MOD, p, ex(seats)), 1)
    before = plus(apply(Op.MOD, plus(p, seats - 2), ex(seats)), 1)
    t = thread("philosopher", 3, (p,))
    mine = [and_(is_(holder, fork, p), not_(read(clean, fork))) for fork in (p, right)]
    hand = [
        (mine[0], [put(holder, p, before), put(clean, p, 1)]),
        (and_(not_(mine[0]), mine[1]), [put(holder, right, right), put(clean, right, 1)]),
        (and_(not_(mine[0]), not_(mine[1])), []),
    ]

    def after(fork: Expr, given: bool, to: Expr) -> tuple[Expr, Expr]:
        """Holder and cleanness of ``fork`` once the first part of the turn is done."""
        return (to, ex(1)) if given else (read(holder, fork), read(clean, fork))

    moves: list[Transition] = []
    for k, (guard, updates) in enumerate(hand):
        left_holder, left_clean = after(p, k == 0, before)
        right_holder, right_clean = after(right, k == 1, right)
        can_eat = and_(apply(Op.EQ, left_holder, p), apply(Op.EQ, right_holder, p), left_clean, right_clean)
        moves += [
            move(t, 0, 1, and_(guard, read(hungry, p), can_eat), updates),
            move(t, 0, 0, and_(guard, read(hungry, p), not_(can_eat)), updates),
            move(t, 0, 2, and_(guard, not_(read(hungry, p))), updates),
        ]
    moves += [
        move(t, 1, 0, True, [put(hungry, p, 0), put(clean, p, 0), put(clean, right, 0)]),
        move(t, 2, 0, True, [put(hungry, p, 1)]),
    ]
    first = Param("#0", seat)
    built = system(
        "DiningPhilosophers",
        [(holder, ite(apply(Op.EQ, first, ex(2)), ex(1), first)), (clean, 0), (hungry, 1)],
        [t],
        moves,
    )
    q = Param("q", seat)
    shared = or_(apply(Op.EQ, q, right), apply(Op.EQ, q, before))
    both = and_(ne(p, q), shared, at(t.pc, (p,), 1), at(t.pc, (q,), 1))
    return Oracle("DiningPhilosophers", built, never(both, p, q), 67, 336, 29)


def _managers(count: int) -> ScalarSort:
    return ScalarSort("rm", tuple(f"r{k}" for k in range(1, count + 1)))


STATE = EnumSort("state", ("working", "prepared", "committed", "aborted"))
WORKING, PREPARED, COMMITTED, ABORTED = range(4)


def _inconsistent(state: Var, sort: ScalarSort) -> Target:
    a, b = Param("a", sort), Param("b", sort)
    return never(and_(is_(state, a, COMMITTED), is_(state, b, ABORTED)), a, b)


def transaction_commit() -> Oracle:
    """Three resource managers that may commit once all are prepared, and abort while none has committed."""
    rm = _managers(3)
    r, q = Param("r", rm), Param("q", rm)
    state = Var("state", (rm,), STATE)
    t = thread("manager", 1, (r,))
    all_ready = forall((q,), or_(is_(state, q, PREPARED), is_(state, q, COMMITTED)))
    none_yet = forall((q,), ne(read(state, q), ex(COMMITTED)))
    moves = [
        move(t, 0, 0, is_(state, r, WORKING), [put(state, r, PREPARED)]),
        move(t, 0, 0, and_(is_(state, r, PREPARED), all_ready), [put(state, r, COMMITTED)]),
        move(t, 0, 0, and_(or_(is_(state, r, WORKING), is_(state, r, PREPARED)), none_yet), [put(state, r, ABORTED)]),
    ]
    built = system("TCommit", [(state, WORKING)], [t], moves)
    return Oracle("TCommit", built, _inconsistent(state, rm), 34, 94, 7)


def two_phase() -> Oracle:
    """The same with a transaction manager and messages that are never lost or removed."""
    rm = _managers(3)
    r, q = Param("r", rm), Param("q", rm)
    state = Var("state", (rm,), STATE)
    decision = Var("decision", (), EnumSort("decision", ("init", "committed", "aborted")))
    sent, got = Var("sent", (rm,), BOOL), Var("got", (rm,), BOOL)
    commit, abort = Var("commit", (), BOOL), Var("abort", (), BOOL)
    tm, t = thread("tm", 1), thread("manager", 1, (r,))
    moves = [
        move(tm, 0, 0, and_(is_(decision, 0), forall((q,), read(got, q))), [put(decision, 1), put(commit, 1)]),
        move(tm, 0, 0, is_(decision, 0), [put(decision, 2), put(abort, 1)]),
        move(tm, 0, 0, and_(is_(decision, 0), read(sent, r)), [put(got, r, 1)], (r,)),
        move(t, 0, 0, is_(state, r, WORKING), [put(state, r, PREPARED), put(sent, r, 1)]),
        move(t, 0, 0, is_(state, r, WORKING), [put(state, r, ABORTED)]),
        move(t, 0, 0, read(commit), [put(state, r, COMMITTED)]),
        move(t, 0, 0, read(abort), [put(state, r, ABORTED)]),
    ]
    variables = [(state, WORKING), (decision, 0), (sent, 0), (got, 0), (commit, 0), (abort, 0)]
    built = system("TwoPhase", [(v, d) for v, d in variables], [tm, t], moves)
    return Oracle("TwoPhase", built, _inconsistent(state, rm), 288, 1146, 11)


def barrier() -> Oracle:
    """Six processes arrive one by one and leave together."""
    proc = ScalarSort("proc", tuple(f"p{k}" for k in range(6)))
    p, q = Param("p", proc), Param("q", proc)
    inside = Var("inside", (proc,), BOOL)
    t, gate = thread("proc", 1, (p,)), thread("gate", 1)
    moves = [
        move(t, 0, 0, not_(read(inside, p)), [put(inside, p, 1)]),
        move(gate, 0, 0, forall((q,), read(inside, q)), [put(inside, q, 0, binders=(q,))]),
    ]
    return Oracle("Barrier", system("Barrier", [(inside, 0)], [t, gate], moves), Target(()), 64, 194, 7)


def barriers() -> Oracle:
    """Six processes through two chambers with a counting gate each; 13 steps per turn, as numbered in the original."""
    size = 6
    proc = ScalarSort("proc", tuple(f"p{k}" for k in range(size)))
    p, q = Param("p", proc), Param("q", proc)
    free, inside = Var("free", (), BOOL), Var("inside", (), RangeSort(0, size))
    gates = [Var("gate1", (), RangeSort(0, size)), Var("gate2", (), RangeSort(0, size))]
    t = thread("proc", 13, (p,))
    moves = [move(t, 0, 1)]
    for first, gate, change, full in ((1, gates[0], 1, size), (7, gates[1], -1, 0)):
        moves += [
            move(t, first, first + 1, read(free), [put(free, 0)]),
            move(t, first + 1, first + 2, True, [put(inside, plus(read(inside), change))]),
            move(t, first + 2, first + 3, is_(inside, full)),
            move(t, first + 2, first + 4, not_(is_(inside, full))),
            move(t, first + 3, first + 4, True, [put(gate, plus(read(gate), size))]),
            move(t, first + 4, first + 5, True, [put(free, 1)]),
            move(t, first + 5, (first + 6) % 13, not_(is_(gate, 0)), [put(gate, plus(read(gate), -1))]),
        ]
    built = system("Barriers", [(free, 1), (inside, 0), (gates[0], 0), (gates[1], 0)], [t], moves)
    early, late = (
        exists((q,), or_(*(at(t.pc, (q,), k) for k in places))) for places in ((0, 1, 2, 3, 4), (7, 8, 9, 10))
    )
    counted = Quant(Quantifier.COUNT, (q,), or_(*(at(t.pc, (q,), k) for k in range(3, 9))))
    bad = or_(and_(early, late), ne(read(inside), counted), not_(or_(is_(gates[0], 0), is_(gates[1], 0))))
    return Oracle("Barriers", built, never(bad), 29279, 104515, 93)


def simple() -> Oracle:
    """Five processes in a ring: each sets its x, then copies its neighbour's into its y. Some y is 1 at the end."""
    ring = RangeSort(0, 4)
    p, q = Param("p", ring), Param("q", ring)
    x, y = Var("x", (ring,), BOOL), Var("y", (ring,), BOOL)
    t, rest = thread("proc", 3, (p,), done=(2,)), thread("rest", 1)
    finished = forall((q,), at(t.pc, (q,), 2))
    left = apply(Op.MOD, plus(p, 4), ex(5))
    moves = [
        move(t, 0, 1, True, [put(x, p, 1)]),
        move(t, 1, 2, True, [put(y, p, read(x, left))]),
        move(rest, 0, 0, finished),
    ]
    built = system("Simple", [(x, 0), (y, 0)], [t, rest], moves)
    return Oracle("Simple", built, never(and_(finished, not_(exists((q,), read(y, q))))), 723, 1842, 11)


def die_hard() -> tuple[System, Target]:
    """Jugs of three and five; reach exactly four in the big one. The shortest way has six steps."""
    small, big = Var("small", (), RangeSort(0, 3)), Var("big", (), RangeSort(0, 5))
    both = plus(read(small), read(big))
    into_big, into_small = apply(Op.MIN, both, ex(5)), apply(Op.MIN, both, ex(3))
    t = thread("hero", 1)
    pours = [
        [put(small, 3)],
        [put(big, 5)],
        [put(small, 0)],
        [put(big, 0)],
        [put(big, into_big), put(small, apply(Op.SUB, both, into_big))],
        [put(small, into_small), put(big, apply(Op.SUB, both, into_small))],
    ]
    built = system("DieHard", [(small, 0), (big, 0)], [t], [move(t, 0, 0, True, u) for u in pours])
    return built, never(is_(big, 4))


ORACLES: tuple[Oracle, ...] = (
    peterson(),
    lock(),
    lock_with_stuttering(),
    philosophers(5),
    transaction_commit(),
    two_phase(),
    barrier(),
    barriers(),
    simple(),
)
