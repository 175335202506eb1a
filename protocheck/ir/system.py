"""The transition system: guarded simultaneous assignments over finite variables, with parameters kept symbolic.

A *step* of the modelling language is one :class:`Transition` taken for one value of each of its parameters (first the
index of the thread, then what the step chooses). What is not assigned stays. Everything else here says what the state
means: which thread is where, who holds which lock, who waits for whom, what is claimed.

NOTE(pre-state): every expression of a transition (guard, checks, right-hand sides, indexes) speaks of the state before
the step. The compiler has already folded the sequence of a step's local computations into that form.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TypeAlias

from protocheck.ir.expr import FALSE, TRUE, Expr, Param, Var
from protocheck.ir.sorts import ScalarSort, Sort
from protocheck.records import dataclass
from protocheck.source import Origin


@dataclass(frozen=True)
class Update:
    """``var[index] := value`` for every value of ``binders`` (bound here) that satisfies ``where``.

    Within one transition all right-hand sides read the state before the step; if two updates hit one cell, the later
    one wins (within one update with binders the compiler sees to it that no two values hit the same cell).
    """

    var: Var
    index: tuple[Expr, ...]
    value: Expr
    binders: tuple[Param, ...] = ()
    where: Expr = TRUE


@dataclass(frozen=True)
class Check:
    """Something that must be true when the step is taken: an assertion, a range, a lock held on release, ...

    ``prop`` names the :class:`Property` that it belongs to. ``cond`` may use the parameters of the transition. If
    ``fatal``, the run ends where ``cond`` is false (there is no successor state); otherwise it goes on.
    """

    prop: str
    cond: Expr
    message: str
    origin: Origin = field(compare=False, repr=False)
    fatal: bool = False


class Act(Enum):
    """What a step does to a lock, as a trace tells it; ``WANT`` begins to wait."""

    ACQUIRE = "takes"
    RELEASE = "releases"
    WANT = "waits for"
    DOWNGRADE = "downgrades"
    TRY_FAILED = "fails to take"
    SYNC_BEGIN = "begins synchronize"
    SYNC_END = "ends synchronize"
    AWAIT = "sees"
    RETRY = "retries"


@dataclass(frozen=True)
class LockEvent:
    """One thing that a step does to a lock; ``index`` selects the instance, ``mode`` is "write", "read" or ""."""

    act: Act
    lock: str
    index: tuple[Expr, ...] = ()
    mode: str = ""
    origin: Origin | None = field(default=None, compare=False, repr=False)


INJECTED, SIGNALLED = "injected failure", "a signal ends the wait"
"""How notes of transitions begin that say what happens and no statement of the model does."""

BEGINS, ENDS = "begins", "ends"
"""How notes of transitions begin that say which half of an operation in two steps this one is."""


@dataclass(frozen=True)
class Transition:
    """One step of one thread (class), for all instances and choices at once.

    ``params`` are first the thread's own index parameters (as in :class:`ThreadClass`), then the choices of the step,
    in the order in which they are made. ``guard`` includes the test that the thread stands at ``source``, and
    ``updates`` the assignment of ``target`` to its ``pc``: the two numbers repeat that for reports and change nothing.
    ``text`` is the source text of the statement on one line. ``calm`` counts nothing: it is False where the step takes
    a branch of an ``either`` other than the first (used to prefer calm traces).
    """

    name: str
    thread: str
    params: tuple[Param, ...]
    guard: Expr
    updates: tuple[Update, ...]
    checks: tuple[Check, ...]
    source: int  # location before the step
    target: int  # location after it
    origin: Origin = field(compare=False, repr=False)
    text: str = ""
    events: tuple[LockEvent, ...] = ()
    notes: tuple[str, ...] = ()  # e.g. "enters kvm", "either branch 2"
    calm: bool = True


class ThreadKind(Enum):
    """Kinds of thread; see the language reference for what each owes."""

    THREAD = "thread"
    SERVER = "server"
    ENVIRONMENT = "environment"
    ADVERSARY = "adversary"


@dataclass(frozen=True)
class Location:
    """A point between two steps of a thread: values of its ``pc``.

    ``waiting`` locations are those of a thread that has begun to wait for a lock. ``labels`` and ``regions`` name what
    properties may ask for. ``origin`` is where the next statement stands.
    """

    number: int
    name: str
    origin: Origin | None = field(default=None, compare=False, repr=False)
    waiting: bool = False
    labels: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThreadClass:
    """A declared thread with its instances: one per value of ``params`` that satisfies ``where``.

    ``pc`` is indexed by the sorts of ``params``; its sort is ``RangeSort(0, len(locations) - 1)``. ``done`` (over
    ``params``) says when the instance counts as done for ``final``. ``locals`` are indexed like ``pc``.
    """

    name: str
    kind: ThreadKind
    params: tuple[Param, ...]
    where: Expr
    pc: Var
    locations: tuple[Location, ...]
    done: Expr
    locals: tuple[Var, ...] = ()
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Wait:
    """One way in which an instance of a thread class waits: it may be able to go on only when others have moved.

    ``blocked`` (over the thread's ``params``) is true in states in which the instance stands there and cannot move.
    ``on`` lists, for each other class, the condition (over ``params`` of the waiter and ``others``) under which it
    waits for that instance. ``idle`` waits are no deadlock by themselves. ``lock`` is set for lock waits.
    """

    thread: str
    blocked: Expr
    on: tuple[WaitsFor, ...]
    idle: Expr = FALSE
    what: str = ""  # "mmap_lock (read)", "await done", "synchronize kvm_srcu"
    lock: str | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)


ITS_CPU = "its CPU"
"""What a thread waits for (``Wait.what``) that could move, were it not for others on its CPU."""


@dataclass(frozen=True)
class WaitsFor:
    """The waiter waits for the instance ``others`` of class ``thread`` where ``cond`` is true.

    ``others`` are fresh parameters of the sorts of that class's ``params``. If waiter and other are of one class, the
    instance itself may be among those it waits for (self-deadlock): ``cond`` says so.
    """

    thread: str
    others: tuple[Param, ...]
    cond: Expr
    why: str = ""  # "holds mmap_lock (read)", "is queued for mmap_lock (write)", "may write kvm.done"


class LockKind(Enum):
    """Kinds of lock."""

    MUTEX = "mutex"
    SPINLOCK = "spinlock"
    RWLOCK = "rwlock"
    RWSEM = "rwsem"
    SRCU = "srcu"
    FLAG = "flag"
    IRQ_OFF = "irq_off"  # no lock: a thread that keeps interrupts away from its CPU "holds" it
    PREEMPT_OFF = "preempt_off"
    MIGRATE_OFF = "migrate_off"
    BUSY = "busy"

    @property
    def shared(self) -> bool:
        """Whether several threads may hold it at once, in read mode, and one alone in write mode."""
        return self in (LockKind.RWLOCK, LockKind.RWSEM, LockKind.BUSY)


MONITOR = "monitor%"
"""What the names of that begin which watches endless runs."""

MASKS = (LockKind.IRQ_OFF, LockKind.PREEMPT_OFF, LockKind.MIGRATE_OFF)
NEVER_WAITED_FOR = (LockKind.SRCU, *MASKS)  # to take: everybody may hold them at once


@dataclass(frozen=True)
class HeldBy:
    """How instances of one thread class stand to the instances of one lock, as expressions over the state.

    ``mode`` over ``params`` (the thread instance) and ``index`` (the lock instance) is 0 not held, 1 read, 2 write;
    ``queued`` likewise is the mode for which the instance has begun to wait. Often they are derived from the pc.
    """

    thread: str
    params: tuple[Param, ...]
    index: tuple[Param, ...]
    mode: Expr
    queued: Expr = FALSE


@dataclass(frozen=True)
class Lock:
    """A lock class with one instance per tuple of ``index`` values. Classes that never take it are not in ``held``."""

    name: str
    kind: LockKind
    index: tuple[Sort, ...]
    held: tuple[HeldBy, ...]
    fair: bool = True
    order_field: str = ""  # `nest ... by`: two instances are taken in ascending order of this index
    origin: Origin | None = field(default=None, compare=False, repr=False)
    nest_under: str = ""  # `nest ... under`: two instances are taken only by who holds this lock

    def held_by(self, thread: str) -> HeldBy | None:
        """The entry of thread class ``thread``, if it ever takes this lock."""
        return next((h for h in self.held if h.thread == thread), None)


@dataclass(frozen=True)
class AcquireSite:
    """A place in the code of a thread class where it takes a lock, in any of ``transitions``.

    Those are the transitions by which it is granted the lock or begins to wait for it (``Act.ACQUIRE`` or ``Act.WANT``
    among their events gives the instance). ``blocking`` is False for try_acquire. ``may_hold`` is what the data-flow
    analysis says is held there: (lock, mode).
    """

    thread: str
    lock: str
    mode: str
    blocking: bool
    may_hold: tuple[tuple[str, str], ...]
    transitions: tuple[int, ...]
    origin: Origin = field(compare=False, repr=False)


@dataclass(frozen=True)
class Case:
    """A set of states: those in which ``cond`` is true for some value of ``params``.

    With ``via`` (the index of a transition, whose params begin ``params``) the fault happens *in* that step: the run
    that shows it takes the step as its last one.
    """

    params: tuple[Param, ...]
    cond: Expr
    via: int | None = None
    check: int | None = None  # which check of that transition


@dataclass(frozen=True)
class Target:
    """States to be looked for: the union of ``cases``. The shortest run to it counts the ``via`` step."""

    cases: tuple[Case, ...]


@dataclass(frozen=True)
class DeadlockTarget:
    """States with a non-empty set W of blocked instances, not all idle, each of which waits only for W.

    The largest such W is a greatest fixpoint over ``System.waits``: begin with all blocked instances, remove those
    that wait for one outside of W, until nothing changes; then W must contain one that is not idle.
    """


PropertyTarget: TypeAlias = Target | DeadlockTarget


class FairKind(Enum):
    """What an assumption of fairness rules out."""

    WEAK = "weak"  # to be able to step from some point on for ever, and never step
    STRONG = "strong"  # to be able to step infinitely often, and step only finitely often


@dataclass(frozen=True)
class Fairness:
    """Runs are only judged if they treat every instance of ``thread`` fairly, as far as ``transitions`` goes.

    ``transitions`` are steps of that class. An instance *can* step where the guard of one of them is true for it (and
    some choice) and ``rest`` (over ``params``) is false; it *steps* when it takes one of them. With ``trigger`` the
    assumption is another: if it takes steps of ``trigger`` infinitely often, it takes ``transitions`` infinitely often.
    Steps of ``released`` do as well as ``transitions`` where strong fairness asks for one: the instance was free to go
    another way, where nothing is owed.
    ``name`` says it in the model's words, for the verdict that assumes it.
    """

    kind: FairKind
    name: str
    thread: str
    params: tuple[Param, ...]
    transitions: tuple[int, ...]
    rest: Expr = FALSE
    trigger: tuple[int, ...] = ()
    released: tuple[int, ...] = ()


@dataclass(frozen=True)
class StepSet:
    """Steps: transition ``index`` where ``cond`` (over its params and the rigid params of the target) is true."""

    members: tuple[tuple[int, Expr], ...]


@dataclass(frozen=True)
class ProgressTarget:
    """Fair infinite runs that are in ``pending`` once and from there on never reach: what violates a progress claim.

    ``params`` are rigid: one value for the whole run, with ``where``. The run *reaches* in a state in which ``reached``
    is true (the pending state included) or by a step of ``reaching``. Of each set in ``recurs`` it takes a step
    infinitely often. A run that stops (nothing moves any more) is infinite by standing still, and fair if everyone who
    could step may rest. ``System.fairness`` says which runs are fair.
    """

    params: tuple[Param, ...]
    where: Expr
    pending: Expr
    reached: Expr
    reaching: StepSet = StepSet(())
    recurs: tuple[StepSet, ...] = ()


@dataclass(frozen=True)
class RecoverableTarget:
    """Reachable states from which no run at all, fair or not, leads to ``goal``: the violations of ``recoverable``."""

    goal: Expr


LiveTarget: TypeAlias = ProgressTarget | RecoverableTarget

AnyTarget: TypeAlias = PropertyTarget | LiveTarget


class Wish(Enum):
    """What a property wants of its target."""

    NEVER = "never"  # invariants, assertions, deadlock: reaching the target is a violation
    SOMETIMES = "sometimes"  # reachable: not reaching it is a violation
    NOTED = "noted"  # weakness: reaching it is reported, never a failure


@dataclass(frozen=True)
class Property:
    """A claim. ``speaks`` are the states (steps) in which it is evaluated at all: never reached means ``vacuous``."""

    name: str
    family: str
    kind: str  # as the keyword that declares it: "invariant", "reachable", ...; "assertion" or "built-in" otherwise
    wish: Wish
    target: AnyTarget
    claim: str
    speaks: Target | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class RunLine:
    """One line of a run: the instance ``index`` of ``thread`` (over the params of the claim) takes one of ``steps``.

    Without ``steps`` nothing in this instance begins the statement.
    """

    text: str
    thread: str
    index: tuple[Expr, ...]
    steps: tuple[int, ...]
    origin: Origin = field(compare=False, repr=False)


@dataclass(frozen=True)
class RunClaim:
    """A table of named steps, claimed to happen in this order for some values of ``params`` (with ``where``).

    From the first line to the last, no step that begins the statement of any line is taken but the one whose turn it
    is; all other steps are free, as is everything before and after. Then, in the last of these steps or at any time
    after it, ``leads`` is reached (None: the lines alone are the claim). ``toward`` names what is violated then.
    """

    name: str
    params: tuple[Param, ...]
    where: Expr
    lines: tuple[RunLine, ...]
    leads: PropertyTarget | None
    toward: str
    claim: str
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class InitCase:
    """One way to begin: the defaults, then ``updates`` (over ``params``, read in the default state) where ``guard``."""

    params: tuple[Param, ...] = ()
    guard: Expr = TRUE
    updates: tuple[Update, ...] = ()


@dataclass(frozen=True)
class System:
    """A compiled instance: sizes and variants are fixed, thread and choice parameters are still symbolic.

    ``defaults`` gives for every variable its value before ``initial`` applies; the expression may use only literals and
    parameters named ``#0``, ``#1``, ... for the cell's index. ``instance`` names the sizes ("2 vcpu, 2 gfn"),
    ``assumptions`` what every verdict takes for granted ("2 atomic blocks", "1 racy read").
    """

    name: str
    scalarsets: tuple[ScalarSort, ...]
    variables: tuple[Var, ...]
    defaults: tuple[Expr, ...]
    initial: tuple[InitCase, ...]
    threads: tuple[ThreadClass, ...]
    transitions: tuple[Transition, ...]
    locks: tuple[Lock, ...] = ()
    acquires: tuple[AcquireSite, ...] = ()
    waits: tuple[Wait, ...] = ()
    properties: tuple[Property, ...] = ()
    lock_order: tuple[tuple[str, str], ...] = ()  # declared: outer, inner
    instance: str = ""
    assumptions: tuple[str, ...] = ()
    fairness: tuple[Fairness, ...] = ()  # what progress claims take for granted
    runs: tuple[RunClaim, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One alternative taken: the index of an initial case, transition or target case, with its parameters' values."""

    which: int
    values: tuple[int, ...]


HELD_NONE, HELD_READ, HELD_WRITE = 0, 1, 2
