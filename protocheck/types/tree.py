"""The checked tree: what the checker makes of a module and the compiler reads.

Names are resolved: declarations are found by qualified name (``kvm.populate_page``, ``page.populated`` for state of a
library imported ``as page``), locals by identity (``Local.number`` is unique within the module). Library modules are
instantiated once per import. ``with``, ``under``, ``adversary`` and compound assignment are already spelt out in the
smaller set of statements below. Every expression carries its type.

NOTE(well-typed): in a :class:`CheckedModule` every rule of the static checks has passed; the compiler relies on it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from protocheck.diagnostics import Diagnostic
from protocheck.ir.expr import Op, Quantifier
from protocheck.ir.system import LockKind, ThreadKind
from protocheck.records import dataclass
from protocheck.source import SourceFile, Span
from protocheck.types.types import Type

# --------------------------------------------------------------------------------------------------------------------
# Expressions


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Base of expressions."""

    type: Type = field(compare=False)
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Local:
    """A local variable, parameter, bound name or thread index. ``ref`` parameters alias what is passed."""

    number: int
    name: str = field(compare=False)
    type: Type = field(compare=False)
    mutable: bool = field(default=False, compare=False)
    ref: bool = field(default=False, compare=False)
    ghost: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Const(Typed):
    """An integer, boolean (0, 1), enum member (position) or named scalarset member (position)."""

    value: int


@dataclass(frozen=True)
class NoneLit(Typed):
    """``none``; ``type`` is the option type it is used at."""


@dataclass(frozen=True)
class StaleLit(Typed):
    """``stale``; ``type`` is the snapshot type."""


@dataclass(frozen=True)
class ParamRef(Typed):
    """A model parameter: an integer, or the position of the member for an enum parameter. Constant per instance."""

    name: str


@dataclass(frozen=True)
class SizeOf(Typed):
    """The number of members of a scalarset; constant per instance."""

    scalarset: str


@dataclass(frozen=True)
class LocalRef(Typed):
    """The value of a local."""

    local: Local


@dataclass(frozen=True)
class StateRef(Typed):
    """A cell of state. ``racy`` if written ``racy(x)``. ``index`` covers all dimensions of the state's array type."""

    state: str
    index: tuple[Expr, ...] = ()
    racy: bool = False


@dataclass(frozen=True)
class Field(Typed):
    """A field of a record or product (``base.field``), or an index parameter of a thread reference (``t.dst``)."""

    base: Expr
    field: str


@dataclass(frozen=True)
class Apply(Typed):
    """An operator. ``&&``, ``||``, ``implies`` and ``?:`` evaluate left to right and only as far as needed.

    EQ and NE compare any two values of compatible types (options with their base, records field by field, sets).
    On sets BITAND, BITOR and SUB are intersection, union and difference.
    """

    op: Op
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Member(Typed):
    """``element in set``."""

    element: Expr
    set: Expr


@dataclass(frozen=True)
class SetLit(Typed):
    """``{ a, b }``."""

    elements: tuple[Expr, ...]


@dataclass(frozen=True)
class RecordLit(Typed):
    """A record from its fields, in declaration order (also products)."""

    fields: tuple[Expr, ...]


@dataclass(frozen=True)
class Unwrap(Typed):
    """``p!``: violates ``null_deref`` when none. ``checked`` is False where narrowing has shown it is not none."""

    base: Expr
    checked: bool = True


@dataclass(frozen=True)
class Wrap(Typed):
    """A value of T used as ``T?``."""

    base: Expr


@dataclass(frozen=True)
class Quantified(Typed):
    """``forall``/``exists``/``count`` over index types, or over the instances of a thread (ThreadType binder)."""

    kind: Quantifier
    binders: tuple[Local, ...]
    where: Expr | None
    body: Expr


@dataclass(frozen=True)
class FnCall(Typed):
    """A pure function applied; its body is an expression over its parameters (``Routine.value``)."""

    fn: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Changed(Typed):
    """``changed(s)``: the version has been bumped since the snapshot (or the snapshot is ``stale``).

    ``behind``: ``behind(s)``, how often the counter has been; one more than its window stands for more, and for stale.
    """

    snapshot: Expr
    behind: bool = False


@dataclass(frozen=True)
class Old(Typed):
    """``old(e)`` in a transition property."""

    body: Expr


@dataclass(frozen=True)
class ThreadRef:
    """An instance of a thread class: of a bound reference (``binder``), or by its index values; ``span`` for errors."""

    thread: str
    binder: Local | None
    index: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class AtLabel(Typed):
    """``at(t, label)``: about to execute the statement with that label."""

    thread: ThreadRef
    label: str


@dataclass(frozen=True)
class InRegion(Typed):
    """``in(t, region)``."""

    thread: ThreadRef
    region: str


@dataclass(frozen=True)
class Finished(Typed):
    """``finished(t)``: the thread has come to its end (or is halted or stopped)."""

    thread: ThreadRef


@dataclass(frozen=True)
class LockRef:
    """A lock instance."""

    lock: str
    index: tuple[Expr, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Held(Typed):
    """``held(l, mode, by t)``. ``mode`` "" is any mode. In code: by self; in properties: by ``by``, else by anyone."""

    lock: LockRef
    mode: str
    by: ThreadRef | None
    by_self: bool


Expr: TypeAlias = (
    Const
    | NoneLit
    | StaleLit
    | ParamRef
    | SizeOf
    | LocalRef
    | StateRef
    | Field
    | Apply
    | Member
    | SetLit
    | RecordLit
    | Unwrap
    | Wrap
    | Quantified
    | FnCall
    | Changed
    | Old
    | AtLabel
    | InRegion
    | Finished
    | Held
)

# A place that can be assigned: a local, a cell of state, a field of one of those.
Place: TypeAlias = LocalRef | StateRef | Field

# --------------------------------------------------------------------------------------------------------------------
# Statements


THIS_CPU = 0
"""The number of the local ``this_cpu``, which is known in all code that runs on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Stmt:
    """Base of statements. ``label`` is set on a labelled statement."""

    span: Span = field(compare=False, repr=False)
    label: str = ""


@dataclass(frozen=True)
class Declare(Stmt):
    """``var x : T = e``, ``let x = e``: a new local (its default value where ``value`` is None)."""

    local: Local
    value: Rhs | None


@dataclass(frozen=True)
class Assign(Stmt):
    """``place = value``; ``x += 1`` is ``x = x + 1``."""

    place: Place
    value: Rhs


@dataclass(frozen=True)
class CallStmt(Stmt):
    """``p(x);`` or ``ignore op(x);``."""

    call: Call


@dataclass(frozen=True)
class Builtin(Stmt):
    """``bump(v);``, or a built-in whose result is dropped by ``ignore``."""

    call: BuiltinCall


@dataclass(frozen=True)
class Choose(Stmt):
    """``choose x : T where e else { }``; without a candidate it blocks, unless there is an ``else``."""

    local: Local
    where: Expr | None
    otherwise: Block | None


@dataclass(frozen=True)
class Havoc(Stmt):
    """``havoc x;``: any value of its type."""

    place: Place


@dataclass(frozen=True)
class If(Stmt):
    """``if``; a condition may be a TryAcquire (negated or not) or contain calls only as the whole condition."""

    condition: Rhs
    then: Block
    otherwise: Block | None


@dataclass(frozen=True)
class While(Stmt):
    """``while e { }``; ``loop { }`` has condition None."""

    condition: Expr | None
    body: Block


@dataclass(frozen=True)
class ForEach(Stmt):
    """``for x in T where e``: a turn picks an unvisited member, as a choice. ``domain`` None: all of ``local.type``."""

    local: Local
    where: Expr | None
    body: Block
    domain: Expr | None = None  # a set value, read when the loop begins


@dataclass(frozen=True)
class ForRange(Stmt):
    """``for i in first ..< end by step``, ascending or (``down``) from ``end - step`` to ``first``."""

    local: Local
    first: Expr
    end: Expr
    step: Expr | None
    down: bool
    body: Block


@dataclass(frozen=True)
class Break(Stmt):
    """``break;``"""


@dataclass(frozen=True)
class Continue(Stmt):
    """``continue;``"""


@dataclass(frozen=True)
class Return(Stmt):
    """``return e;``"""

    value: Rhs | None


@dataclass(frozen=True)
class Retry(Stmt):
    """``retry;``; ``fair retry;`` claims that it is not the end of every turn for ever."""

    fair: bool = False


@dataclass(frozen=True)
class Either(Stmt):
    """``either { } or { }``; ``fair``: no branch that can be taken again and again is left out for ever."""

    branches: tuple[Block, ...]
    fair: bool = False


@dataclass(frozen=True)
class Atomic(Stmt):
    """``atomic { }``."""

    body: Block


@dataclass(frozen=True)
class Ghost(Stmt):
    """``ghost { }``, or a call to a ghost routine, or an assignment to ghost state written on its own."""

    body: Block


@dataclass(frozen=True)
class With(Stmt):
    """``with l write, m { }`` and ``under l: s;``: acquire in order, release in reverse on every way out."""

    locks: tuple[tuple[LockRef, str], ...]
    body: Block


@dataclass(frozen=True)
class Hold(Stmt):
    """The body of an op with ``holds l read else BUSY``, or of a slow one: tries the locks in order; the first that is
    not to be had ends the routine with its value. If ``slow``, ``body`` is a step of its own."""

    locks: tuple[tuple[LockRef, str, Expr], ...]
    body: Block
    slow: bool = False


@dataclass(frozen=True)
class Acquire(Stmt):
    """``acquire l read;``; ``every``: one acquire per instance of the array. Modes: "read", "write"."""

    lock: LockRef
    mode: str
    every: bool = False


@dataclass(frozen=True)
class Release(Stmt):
    """``release l;``; ``mode`` "" releases the mode that is held; ``every``: all instances of the array."""

    lock: LockRef
    mode: str = ""
    every: bool = False


@dataclass(frozen=True)
class Downgrade(Stmt):
    """``downgrade l;``: write to read, without letting a writer in."""

    lock: LockRef


@dataclass(frozen=True)
class Synchronize(Stmt):
    """``synchronize s;``: waits for the readers that entered before it."""

    lock: LockRef


@dataclass(frozen=True)
class Await(Stmt):
    """``await e;``, ``await e idle;``, ``await e idle unless f;``, ``spin until e;`` (``spin``).

    ``killed`` is the ``else`` of a ``killable`` wait: what happens where a signal ends it. Control leaves it elsewhere.
    """

    condition: Expr
    idle: bool = False
    unless: Expr | None = None
    spin: bool = False
    killed: Block | None = None


@dataclass(frozen=True)
class Assert(Stmt):
    """``assert e, "message" as family;``. Without a tag the family is ``assertion``."""

    condition: Expr
    message: str
    family: str


@dataclass(frozen=True)
class RequiresHeld(Stmt):
    """Put by the checker where a routine with ``requires held(l)`` begins: a ``lock_misuse`` check."""

    held: Expr


@dataclass(frozen=True)
class Region(Stmt):
    """``region NAME { }``."""

    name: str
    body: Block


@dataclass(frozen=True)
class Skip(Stmt):
    """``skip;`` (also a labelled one: a place that properties can name)."""


@dataclass(frozen=True)
class Halt(Stmt):
    """``halt;``: ends the run without a violation."""


@dataclass(frozen=True)
class Stop(Stmt):
    """``stop T;``: freezes all instances of the thread (or, with a reference, that one) where they stand."""

    thread: str
    index: tuple[Expr, ...] | None


@dataclass(frozen=True)
class Ipi(Stmt):
    """``ipi h on c;``: asks CPU ``cpu`` to run ``handler``; ``ipi_wait h on c;``: until it has, as last asked."""

    handler: str
    cpu: Expr
    wait: bool


@dataclass(frozen=True)
class Bug(Stmt):
    """``bug "why";``: ends the run as a violation of family ``bug``."""

    message: str


@dataclass(frozen=True)
class MightSleep(Stmt):
    """``might_sleep;``: a ``lock_misuse`` while a spinlock or rwlock is held."""


@dataclass(frozen=True)
class Block(Stmt):
    """A sequence of statements."""

    body: tuple[Statement, ...]


Statement: TypeAlias = (
    Declare
    | Assign
    | CallStmt
    | Builtin
    | Choose
    | Havoc
    | If
    | While
    | ForEach
    | ForRange
    | Break
    | Continue
    | Return
    | Retry
    | Either
    | Atomic
    | Ghost
    | With
    | Hold
    | Acquire
    | Release
    | Downgrade
    | Synchronize
    | Await
    | Assert
    | RequiresHeld
    | Region
    | Skip
    | Halt
    | Stop
    | Ipi
    | Bug
    | MightSleep
    | Block
)

# --------------------------------------------------------------------------------------------------------------------
# What may stand on the right of an assignment


@dataclass(frozen=True, kw_only=True)
class Call(Typed):
    """A call of an op or proc. ``args`` of ``ref`` parameters are places. ``crosses`` if another actor owns it."""

    routine: str
    args: tuple[Expr, ...]
    crosses: bool = False


@dataclass(frozen=True, kw_only=True)
class BuiltinCall(Typed):
    """An indivisible built-in on a place: ``snapshot bump cmpxchg xchg fetch_add dec_and_test inc_not_zero
    test_and_set test_and_clear``. For snapshot and bump ``place`` is the version.

    ``free`` (of ``args[0]``), ``new`` (waits for a place) and ``try_new`` (or none): ``place`` is the pool's ``live``,
    for the last two without an index.
    """

    name: str
    place: Place
    args: tuple[Expr, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TryAcquire(Typed):
    """``try_acquire l read``: a step; true if it was taken.

    ``killable``: an ``acquire l killable``, which waits; false only where a signal has ended the wait. It stands only
    as the (negated) condition of an :class:`If`.
    """

    lock: LockRef
    mode: str
    killable: bool = False


@dataclass(frozen=True, kw_only=True)
class Test(Typed):
    """A condition around one call: ``!call``, ``call == e``, ``call != e``: ``op`` applied to (call, args...)."""

    op: Op
    call: Call | BuiltinCall | TryAcquire
    args: tuple[Expr, ...] = ()


Rhs: TypeAlias = Expr | Call | BuiltinCall | TryAcquire | Test

# --------------------------------------------------------------------------------------------------------------------
# Declarations


@dataclass(frozen=True)
class ParamDecl:
    """``param NAME : lo..hi = default`` (an enum parameter has members and position values).

    ``implicit``: nobody wrote it; it is the budget ``failures`` or ``signals`` of a model that can use one.
    """

    name: str
    type: Type
    default: int
    span: Span = field(compare=False, repr=False)
    implicit: bool = False


@dataclass(frozen=True)
class ScalarsetDecl:
    """A scalarset: ``size`` is constant per instance; the first ``members`` have names, the rest are symmetric."""

    name: str
    size: Expr
    members: tuple[str, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class GuardTerm:
    """One lock in a guard. ``mode`` "": the mode that excludes (any for mutexes, write for rw locks)."""

    lock: LockRef
    mode: str = ""


@dataclass(frozen=True)
class Guard:
    """``guarded_by``: to write, all of ``write`` must be held (exclusively); to read, one of ``read`` in any mode.

    ``any_mode`` is ``guarded_by l any``: writing under read mode is allowed (and then indivisible); ``read_any`` means
    reading needs nothing. Index expressions use the state's index binders.
    """

    write: tuple[GuardTerm, ...]
    read: tuple[GuardTerm, ...]
    read_any: bool = False
    any_mode: bool = False


@dataclass(frozen=True)
class StateDecl:
    """Shared state. ``binders`` are its index (used by ``guard`` and ``init``); ``type`` is that of the element."""

    name: str
    actor: str
    binders: tuple[Local, ...]
    type: Type
    init: Expr | None
    ghost: bool
    public: bool
    guard: Guard | None
    racy: bool
    span: Span = field(compare=False, repr=False)
    doc: str = ""


@dataclass(frozen=True)
class LockDecl:
    """A lock class; ``index`` types of its instances; ``fair`` is a constant expression per instance."""

    name: str
    actor: str
    index: tuple[Type, ...]
    kind: LockKind
    fair: Expr
    span: Span = field(compare=False, repr=False)
    doc: str = ""
    irq: bool = False  # whoever waits for it or holds it keeps interrupts off


@dataclass(frozen=True)
class PoolDecl:
    """A pool of objects; its places are the scalarset of the same name. ``fields`` and ``locks`` are qualified names
    of states and locks whose first index is a pointer; ``live`` (one of the states) says which places are in use."""

    name: str
    actor: str
    fields: tuple[str, ...]
    locks: tuple[str, ...]
    live: str
    span: Span = field(compare=False, repr=False)
    doc: str = ""


@dataclass(frozen=True)
class Routine:
    """An ``op``, ``proc`` (with a ``body``) or ``fn`` (with a ``value``). ``ghost`` ones write ghosts only."""

    name: str
    actor: str
    kind: str  # "op", "proc", "fn"
    params: tuple[Local, ...]
    result: Type
    body: Block | None
    value: Expr | None
    ghost: bool
    public: bool
    span: Span = field(compare=False, repr=False)
    doc: str = ""
    may_fail: tuple[Expr, ...] = ()  # the results of an injected failure; empty: none is injected


@dataclass(frozen=True)
class Migrates:
    """Where the threads of a class begin that move between CPUs: at ``first``, or all at one that is chosen."""

    first: Expr | None
    chosen: Local


@dataclass(frozen=True)
class ThreadDecl:
    """A thread, server, environment or (with its calls spelt out as a loop of choices) adversary."""

    name: str
    actor: str
    kind: ThreadKind
    params: tuple[Local, ...]
    where: Expr | None
    body: Block
    span: Span = field(compare=False, repr=False)
    doc: str = ""
    cpu: Expr | None = None  # over ``params``: the CPU it runs on; None: one of its own
    interrupt: str = ""  # "any": a handler that may run at any time; "nmi": even where interrupts are masked;
    # "ipi": one that runs when it is asked to; "nmi ipi": when it is asked to, even where interrupts are masked
    migrates: Migrates | None = None  # how a thread that changes its CPU begins; ``cpu`` is then a cell of state
    moves: str = ""  # not written by anybody: the steps in which thread ``moves`` goes to another CPU

    @property
    def asked(self) -> bool:
        """Whether it is a handler that runs when it is asked to."""
        return self.interrupt.endswith("ipi")

    @property
    def unmasked(self) -> bool:
        """Whether it is a handler that nothing masks but another one of its kind."""
        return self.interrupt.startswith("nmi")


@dataclass(frozen=True)
class VariantDecl:
    """A whole replacement of the routine or thread ``target`` (a qualified name)."""

    name: str
    target: str
    replacement: Routine | ThreadDecl
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class PropertyDecl:
    """``kind``: "invariant", "always invariant", "transition", "final", "reachable", "weakness", "progress",
    "recoverable".

    ``when`` and ``scenarios`` restrict a ``reachable`` to instances. ``binders`` are those of the outermost ``forall``,
    split off for invariants; ``condition`` is its body (with ``where`` folded in as an implication).

    For ``progress``, ``binders`` with ``where`` are the rigid names, ``pending`` is what leads to ``condition`` (None:
    always pending), and ``finishes`` names the proc of ``every PROC finishes`` (then ``condition`` means nothing).
    """

    name: str
    kind: str
    family: str
    binders: tuple[Local, ...]
    condition: Expr
    when: Expr | None
    scenarios: tuple[str, ...]
    span: Span = field(compare=False, repr=False)
    doc: str = ""
    pending: Expr | None = None
    where: Expr | None = None
    finishes: str = ""


@dataclass(frozen=True)
class RunLine:
    """One line of a run: ``thread`` begins the statement ``label``; ``text`` is the line as written."""

    thread: ThreadRef
    label: str
    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class RunDecl:
    """``run``: steps that happen in this order, and what follows: the claim or family ``toward``, or ``goal``.

    ``binders`` (which may be threads) are chosen before the run begins; ``scenarios``: those in which it is looked for.
    """

    name: str
    binders: tuple[Local, ...]
    where: Expr | None
    lines: tuple[RunLine, ...]
    toward: str
    goal: Expr | None
    scenarios: tuple[str, ...]
    span: Span = field(compare=False, repr=False)
    doc: str = ""


@dataclass(frozen=True)
class Expectation:
    """One item of ``expect``. ``target`` is a property, a family, "all" or "others"; ``kind`` one of the lock_order
    kinds ("cycle", "prevented cycle", "unrealised cycle", "against order", "recursion") or "".

    ``outcome``: "holds", "holds or vacuous", "violated", "unreachable", "vacuous", "unknown", "any"; "found" where only
    a kind is written.
    """

    target: str
    kind: str
    outcome: str
    steps: int | None
    at_most: bool
    label: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class ScenarioDecl:
    """A scenario: variants chosen, parameters set (scalarset sizes too), threads left out, expectations, checks."""

    name: str
    variants: tuple[str, ...]
    settings: tuple[tuple[str, Expr], ...]
    without: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    span: Span = field(compare=False, repr=False)
    doc: str = ""
    fails: tuple[str, ...] | None = None  # the routines that failures are injected into; None: all that may fail


@dataclass(frozen=True)
class CheckedModule:
    """A model file after all static checks. Dicts are in source order."""

    name: str
    file: SourceFile
    doc: str
    sources: tuple[str, ...]
    params: dict[str, ParamDecl]
    requires: tuple[Expr, ...]
    scalarsets: dict[str, ScalarsetDecl]
    actors: dict[str, str]  # name -> role
    states: dict[str, StateDecl]
    locks: dict[str, LockDecl]
    routines: dict[str, Routine]
    threads: dict[str, ThreadDecl]
    variants: tuple[VariantDecl, ...]
    init: tuple[Block, ...]
    order: tuple[tuple[str, str, Span], ...]  # outer, inner
    nest_under: tuple[tuple[str, str, Span], ...]  # inner class, outer lock
    nest_by: tuple[tuple[str, str, Span], ...]  # lock class, index name
    properties: tuple[PropertyDecl, ...]
    scenarios: dict[str, ScenarioDecl]
    checks: tuple[str, ...]  # names or families of a `check` line; empty: all
    warnings: tuple[Diagnostic, ...] = ()
    pools: dict[str, PoolDecl] = field(default_factory=dict)
    runs: tuple[RunDecl, ...] = ()
