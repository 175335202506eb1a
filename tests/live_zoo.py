"""Tiny systems whose infinite runs are known: who starves, under which fairness, and how short a run shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from build import at, ex, is_, move, plus, put, read, system, thread

from protocheck.ir.expr import FALSE, TRUE, Expr, Lit, Op, Param, Var, apply, eq, ne, not_, or_
from protocheck.ir.sorts import BOOL, OptionSort, RangeSort, ScalarSort, none_of
from protocheck.ir.system import (
    FairKind,
    Fairness,
    LiveTarget,
    ProgressTarget,
    RecoverableTarget,
    StepSet,
    System,
    ThreadClass,
    ThreadKind,
)


@dataclass(frozen=True)
class LiveCase:
    """A system, a target, and (stem, loop) of the shortest violation, or None if there is none."""

    name: str
    system: System
    target: LiveTarget
    expected: tuple[int, int] | None


def with_fairness(built: System, *fairness: Fairness) -> System:
    """``built`` whose runs are fair as told."""
    return replace(built, fairness=fairness)


def weak(built: System, owner: ThreadClass, rest: Expr = FALSE) -> Fairness:
    """Weak fairness for every step of ``owner``."""
    mine = tuple(k for k, t in enumerate(built.transitions) if t.thread == owner.name)
    return Fairness(FairKind.WEAK, f"{owner.name} is weakly fair", owner.name, owner.params, mine, rest)


def strong(owner: ThreadClass, *transitions: int, trigger: tuple[int, ...] = ()) -> Fairness:
    """Strong fairness for some steps of ``owner``; with ``trigger``, that these follow upon those."""
    name = f"steps {transitions} of {owner.name}"
    return Fairness(FairKind.STRONG, name, owner.name, owner.params, transitions, FALSE, trigger)


def leads_to(pending: Expr, reached: Expr, *params: Param, where: Expr = TRUE) -> ProgressTarget:
    """``pending`` leads to ``reached`` for all values of ``params``."""
    return ProgressTarget(params, where, pending, reached)


def spin_lock(size: int, fair_lock: bool) -> tuple[System, ProgressTarget]:
    """Threads that take one lock again and again; whoever wants it should get it."""
    cpu = ScalarSort("cpu", tuple(f"c{k}" for k in range(size)))
    i = Param("i", cpu)
    t = thread("t", 3, (i,))
    held = Var("held", (), OptionSort(cpu))
    none = none_of(held.sort)
    moves = [
        move(t, 0, 1, name="want"),
        move(t, 1, 2, is_(held, none), [put(held, i)], name="take"),
        move(t, 2, 0, True, [put(held, none)], name="leave"),
    ]
    built = system("test and set", [(held, none)], [t], moves)
    fair = [weak(built, t)] + ([strong(t, 1)] if fair_lock else [])
    r = Param("r", cpu)
    return with_fairness(built, *fair), leads_to(at(t.pc, (r,), 1), at(t.pc, (r,), 2), r)


def peterson(fair: bool = True) -> tuple[System, ProgressTarget]:
    """Peterson's lock for two threads, each access a step."""
    side = RangeSort(0, 1)
    i, r = Param("i", side), Param("r", side)
    other = apply(Op.SUB, ex(1), i)
    t = thread("t", 4, (i,))
    flag, turn = Var("flag", (side,), BOOL), Var("turn", (), side)
    moves = [
        move(t, 0, 1, True, [put(flag, i, 1)], name="flag"),
        move(t, 1, 2, True, [put(turn, other)], name="turn"),
        move(t, 2, 3, or_(not_(read(flag, other)), eq(read(turn), i)), name="enter"),
        move(t, 3, 0, True, [put(flag, i, 0)], name="leave"),
    ]
    built = system("peterson", [(flag, 0), (turn, 0)], [t], moves)
    # A thread that wants nothing need not begin to want.
    rest = at(t.pc, (i,), 0)
    return (
        with_fairness(built, *([weak(built, t, rest)] if fair else [])),
        leads_to(at(t.pc, (r,), 1), at(t.pc, (r,), 3), r),
    )


def tickets(size: int) -> tuple[System, ProgressTarget]:
    """A ticket lock, its counters modulo ``size``; correct for at most ``size`` threads."""
    i, r = Param("i", RangeSort(0, size - 1)), Param("r", RangeSort(0, size - 1))
    number = RangeSort(0, size - 1)
    t = thread("t", 3, (i,))
    following, serving, mine = Var("next", (), number), Var("serving", (), number), Var("mine", (i.sort,), number)

    def up(e: Expr) -> Expr:
        return apply(Op.MOD, plus(e, 1), ex(size))

    moves = [
        move(t, 0, 1, True, [put(mine, i, read(following)), put(following, up(read(following)))], name="draw"),
        move(t, 1, 2, eq(read(mine, i), read(serving)), name="enter"),
        move(t, 2, 0, True, [put(serving, up(read(serving)))], name="leave"),
    ]
    built = system("tickets", [(following, 0), (serving, 0), (mine, 0)], [t], moves)
    return with_fairness(built, weak(built, t)), leads_to(at(t.pc, (r,), 1), at(t.pc, (r,), 2), r)


def philosophers(size: int, polite: bool, fair_forks: bool) -> tuple[System, ProgressTarget]:
    """Philosophers who take the fork at their left first; a ``polite`` last one begins at the right."""
    seat = RangeSort(0, size - 1)
    i, r = Param("i", seat), Param("r", seat)
    t = thread("t", 3, (i,))
    taken = Var("taken", (seat,), BOOL)
    right = apply(Op.MOD, plus(i, 1), ex(size))
    swap = eq(i, Lit(size - 1)) if polite else FALSE
    first, second = apply(Op.ITE, swap, right, i), apply(Op.ITE, swap, i, right)
    moves = [
        move(t, 0, 1, not_(read(taken, first)), [put(taken, first, 1)], name="first"),
        move(t, 1, 2, not_(read(taken, second)), [put(taken, second, 1)], name="second"),
        move(t, 2, 0, True, [put(taken, i, 0), put(taken, right, 0)], name="leave"),
    ]
    built = system("philosophers", [(taken, 0)], [t], moves)
    fair = [weak(built, t)] + ([strong(t, 0), strong(t, 1)] if fair_forks else [])
    return with_fairness(built, *fair), leads_to(not_(at(t.pc, (r,), 2)), at(t.pc, (r,), 2), r)


def retries() -> tuple[System, ThreadClass, ThreadClass]:
    """A thread that retries while a flag flips under it, in which ``vmm`` may stop where it likes."""
    x, seen = Var("x", (), BOOL), Var("seen", (), BOOL)
    t, vmm = thread("t", 3, done=(2,)), thread("vmm", 1, done=(0,), kind=ThreadKind.ENVIRONMENT)
    moves = [
        move(t, 0, 1, True, [put(seen, read(x))], name="look"),
        move(t, 1, 2, eq(read(seen), read(x)), name="done"),
        move(t, 1, 0, ne(read(seen), read(x)), name="retry"),
        move(vmm, 0, 0, True, [put(x, not_(read(x)))], name="flip"),
    ]
    return system("retries", [(x, 0), (seen, 0)], [t, vmm], moves), t, vmm


def _retry_cases() -> list[LiveCase]:
    built, t, vmm = retries()
    fair = [weak(built, t), weak(built, vmm, TRUE)]
    ends = leads_to(TRUE, at(t.pc, (), 2))
    every = ((2, TRUE),)
    lives = ProgressTarget((), TRUE, TRUE, FALSE, StepSet(((1, TRUE),)), (StepSet(every),))
    return [
        LiveCase("retries while the flag flips", with_fairness(built, *fair), ends, (0, 4)),
        LiveCase("a livelock", with_fairness(built, *fair), lives, (0, 4)),
        LiveCase("a retry that is fair", with_fairness(built, *fair, strong(t, 1, trigger=(2,))), ends, None),
        LiveCase("a livelock with a fair retry", with_fairness(built, *fair, strong(t, 1, trigger=(2,))), lives, None),
        LiveCase("done if it ever can", with_fairness(built, *fair, strong(t, 1)), ends, None),
        LiveCase("without fairness nobody moves", built, ends, (0, 0)),
        LiveCase("only the environment is fair", with_fairness(built, weak(built, vmm)), ends, (0, 2)),
    ]


def _small() -> list[LiveCase]:
    x = Var("x", (), RangeSort(0, 3))
    t = thread("t", 1)
    up = move(t, 0, 0, apply(Op.LT, read(x), ex(2)), [put(x, plus(read(x), 1))])
    down = move(t, 0, 0, is_(x, 1), [put(x, 3)])
    built = system("up or out", [(x, 0)], [t], [up, down])
    fair = with_fairness(built, weak(built, t))
    a = Param("a", RangeSort(0, 3))
    return [
        LiveCase("what stops stands still", fair, leads_to(TRUE, is_(x, 3)), (2, 0)),
        LiveCase("what is never pending", fair, leads_to(apply(Op.GT, read(x), ex(3)), FALSE), None),
        LiveCase("pending and reached at once", fair, leads_to(is_(x, 3), is_(x, 3)), None),
        LiveCase("a rigid value", fair, leads_to(is_(x, 1), eq(read(x), a), a, where=ne(a, ex(1))), (2, 0)),
        LiveCase("recoverable from everywhere", fair, RecoverableTarget(apply(Op.GE, read(x), ex(2))), None),
        LiveCase("no way back", fair, RecoverableTarget(is_(x, 3)), (2, 0)),
        LiveCase("no way at all", fair, RecoverableTarget(FALSE), (0, 0)),
    ]


LIVE_ZOO: list[LiveCase] = [
    LiveCase("test and set, weakly fair", *spin_lock(2, False), (1, 3)),
    LiveCase("test and set, the lock is fair", *spin_lock(2, True), None),
    LiveCase("test and set of three", *spin_lock(3, False), (1, 6)),
    LiveCase("peterson", *peterson(), None),
    LiveCase("peterson without fairness", *peterson(False), (1, 0)),
    LiveCase("tickets", *tickets(2), None),
    LiveCase("tickets of three", *tickets(3), None),
    LiveCase("philosophers wait for ever", *philosophers(2, False, True), (2, 0)),
    LiveCase("a polite one among greedy ones", *philosophers(3, True, False), (0, 3)),
    LiveCase("a polite one and fair forks", *philosophers(3, True, True), None),
    *_retry_cases(),
    *_small(),
]
