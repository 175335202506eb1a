"""The tree of a model file: frozen, closed, exactly as written, every node with its span.

Nothing is resolved, typed or normalised here: ``x += 1`` stays an ``Assign`` with ``+=``, a call of a built-in is an
ordinary ``Call``, and a bare path in a type or domain position is a ``NamedType`` whatever it names in the end.
Identifiers are ``Ident`` nodes, so that each can be pointed at. Comparing two trees ignores the spans.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from protocheck.records import dataclass
from protocheck.source import SourceFile, Span


@dataclass(frozen=True)
class Node:
    """What every part of the tree has: the place it was written at."""

    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Ident(Node):
    """A name where it is written, be it declared there or used."""

    text: str

    def __str__(self) -> str:
        return self.text


Path: TypeAlias = tuple[Ident, ...]
"""A dotted name such as ``kvm.populate_page``; never empty."""

Mode: TypeAlias = Literal["read", "write"]
"""The mode of a lock, where one is written."""


# --------------------------------------------------------------------------------------------------------- types


@dataclass(frozen=True)
class NamedType(Node):
    """``gfn``, ``content.page_id``; as a domain also a thread (``kvm.migrate``) or a set-valued variable."""

    path: Path


@dataclass(frozen=True)
class BoolType(Node):
    """``bool``"""


@dataclass(frozen=True)
class RangeType(Node):
    """``lo..hi``, both ends included."""

    lo: Expr
    hi: Expr


@dataclass(frozen=True)
class EnumType(Node):
    """``enum { shared, private }``"""

    members: tuple[Ident, ...]


@dataclass(frozen=True)
class SizeParam(Node):
    """``gfns in 0..8 = 2``: a size that a scenario may set; declares a parameter of that name."""

    name: Ident
    lo: Expr
    hi: Expr
    default: Expr


@dataclass(frozen=True)
class ScalarsetType(Node):
    """``scalarset(gfns in 0..8 = 2) with BOOT, AP1``, or with a size that is declared elsewhere: ``scalarset(3)``."""

    size: SizeParam | Expr
    members: tuple[Ident, ...] = ()


@dataclass(frozen=True)
class ProductPart(Node):
    """One component of a product; ``folio : scalarset(folios)`` or without a name."""

    name: Ident | None
    type: TypeExpr


@dataclass(frozen=True)
class ProductType(Node):
    """``folio : scalarset(folios) x index : 0..P-1``; at least two parts; only as the right side of ``type``."""

    parts: tuple[ProductPart, ...]


@dataclass(frozen=True)
class OptionType(Node):
    """``T?``: a ``T`` or ``none``."""

    element: TypeExpr


@dataclass(frozen=True)
class SetType(Node):
    """``set of T``"""

    element: TypeExpr


@dataclass(frozen=True)
class TypedName(Node):
    """``name : type``, a field of a record or an index of a thread."""

    name: Ident
    type: TypeExpr


@dataclass(frozen=True)
class RecordType(Node):
    """``record { a : T, b : T }``"""

    fields: tuple[TypedName, ...]


@dataclass(frozen=True)
class ArrayIndex(Node):
    """``[gfn]``, or ``[v : vcpu]`` where a guard names the index."""

    name: Ident | None
    type: TypeExpr


@dataclass(frozen=True)
class ArrayType(Node):
    """``[vm][vcpu] bool``: indexes from left to right, at least one."""

    indexes: tuple[ArrayIndex, ...]
    element: TypeExpr


@dataclass(frozen=True)
class VersionType(Node):
    """``version``"""


@dataclass(frozen=True)
class CounterType(Node):
    """``counter(window 3)``"""

    window: Expr


@dataclass(frozen=True)
class SnapshotType(Node):
    """``snapshot of sequence``"""

    of: Expr


# --------------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True)
class IntLit(Node):
    """``17``, ``0x1f``, ``1_000``; never negative (``-1`` is a ``Unary``)."""

    value: int


@dataclass(frozen=True)
class BoolLit(Node):
    """``true``, ``false``"""

    value: bool


@dataclass(frozen=True)
class NoneLit(Node):
    """``none``"""


@dataclass(frozen=True)
class StaleLit(Node):
    """``stale``"""


@dataclass(frozen=True)
class Name(Node):
    """A name used as a value."""

    ident: Ident


@dataclass(frozen=True)
class Member(Node):
    """``base.ident``: of an actor, an import, an enum, a record, a product or a thread."""

    base: Expr
    ident: Ident


@dataclass(frozen=True)
class Index(Node):
    """``base[index]``; ``a[i][j]`` and ``a[i, j]`` both nest."""

    base: Expr
    index: Expr


@dataclass(frozen=True)
class RefArg(Node):
    """``ref x``, only as an argument of a call."""

    target: Expr


@dataclass(frozen=True)
class Call(Node):
    """``func(args)``: a proc, an op, a fn or a built-in; ``func`` is a ``Name`` or a ``Member``."""

    func: Expr
    args: tuple[Expr | RefArg, ...]


UnaryOp: TypeAlias = Literal["!", "-", "~"]
BinaryOp: TypeAlias = Literal[
    "+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^", "&&", "||", "==", "!=", "<", "<=", ">", ">=", "implies", "in"
]


@dataclass(frozen=True)
class Unary(Node):
    op: UnaryOp
    operand: Expr


@dataclass(frozen=True)
class Binary(Node):
    op: BinaryOp
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Conditional(Node):
    """``cond ? then : otherwise``"""

    cond: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True)
class Unwrap(Node):
    """``p!``: the value of an option that must not be none."""

    operand: Expr


@dataclass(frozen=True)
class Binder(Node):
    """``g in gfn``: a bare path is a ``NamedType``, ``a..b`` a ``RangeType``, anything else a set-valued ``Expr``."""

    name: Ident
    domain: Domain


QuantifierKind: TypeAlias = Literal["forall", "exists", "count"]


@dataclass(frozen=True)
class Quantified(Node):
    """``forall g in gfn, h in gfn where g != h : e``; ``count`` gives the number of cases in which ``body`` is true."""

    kind: QuantifierKind
    binders: tuple[Binder, ...]
    where: Expr | None
    body: Expr


@dataclass(frozen=True)
class Old(Node):
    """``old(x)``, in a ``transition`` property."""

    operand: Expr


@dataclass(frozen=True)
class At(Node):
    """``at(t, label)``"""

    thread: Expr
    label: Ident


@dataclass(frozen=True)
class In(Node):
    """``in(t, region)``"""

    thread: Expr
    region: Ident


@dataclass(frozen=True)
class Finished(Node):
    """``finished(t)``"""

    thread: Expr


@dataclass(frozen=True)
class Held(Node):
    """``held(l)``, ``held(l, write)``, ``held(l, by t)``, ``held(l, write, by t)``"""

    lock: Expr
    mode: Mode | None
    by: Expr | None


@dataclass(frozen=True)
class Racy(Node):
    """``racy(x)``: this one access is exempt from the guards of ``x``."""

    operand: Expr


@dataclass(frozen=True)
class SetLit(Node):
    """``{a, b}``, ``{}``"""

    elements: tuple[Expr, ...]


@dataclass(frozen=True)
class FieldValue(Node):
    name: Ident
    value: Expr


@dataclass(frozen=True)
class RecordLit(Node):
    """``{ a = 1, b = none }``"""

    fields: tuple[FieldValue, ...]


@dataclass(frozen=True)
class TryAcquire(Node):
    """``try_acquire l read``: true if the lock was taken. Binds like a unary operator."""

    lock: Expr
    mode: Mode | None


@dataclass(frozen=True)
class NewObject(Node):
    """``new slot``: an object of a pool. Binds like a unary operator."""

    pool: Path


# ---------------------------------------------------------------------------------------------------- statements


@dataclass(frozen=True)
class Block(Node):
    """``{ ... }``"""

    statements: tuple[Stmt, ...]


@dataclass(frozen=True)
class VarDecl(Node):
    """``var x : T = e;``; type or value may be missing, not both."""

    name: Ident
    type: TypeExpr | None
    init: Expr | None


@dataclass(frozen=True)
class Let(Node):
    """``let x = e;``, ``let x : T = e;``"""

    name: Ident
    type: TypeExpr | None
    init: Expr


@dataclass(frozen=True)
class LetNew(Node):
    """``let p = new slot else { }``: the block is executed where the pool is exhausted."""

    name: Ident
    type: TypeExpr | None
    new: NewObject
    otherwise: Block


@dataclass(frozen=True)
class Free(Node):
    """``free p;``"""

    target: Expr


AssignOp: TypeAlias = Literal["=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="]


@dataclass(frozen=True)
class Assign(Node):
    """``target op value;``: the target is a ``Name``, ``Member`` or ``Index``, or one of these in ``racy(...)``."""

    target: Expr
    op: AssignOp
    value: Expr


@dataclass(frozen=True)
class ExprStmt(Node):
    """``f(x);``, ``bump(sequence);``"""

    call: Call


@dataclass(frozen=True)
class Ignore(Node):
    """``ignore f(x);``"""

    call: Call


@dataclass(frozen=True)
class Try(Node):
    """``try f(x);``, ``try f(x) else EIO;``"""

    call: Call
    otherwise: Expr | None


@dataclass(frozen=True)
class OnError(Node):
    """``on_error { }``"""

    body: Block


@dataclass(frozen=True)
class Choose(Node):
    """``choose x : T where e else { }``"""

    name: Ident
    type: TypeExpr
    where: Expr | None
    otherwise: Block | None


@dataclass(frozen=True)
class Havoc(Node):
    """``havoc x;``"""

    target: Expr


@dataclass(frozen=True)
class If(Node):
    """``if c { } else if d { } else { }``; an ``else if`` is an ``If`` in ``otherwise``."""

    cond: Expr
    then: Block
    otherwise: Block | If | None


@dataclass(frozen=True)
class While(Node):
    cond: Expr
    body: Block


@dataclass(frozen=True)
class Loop(Node):
    """``loop { }``, left only by ``break``, ``return`` and the like."""

    body: Block


@dataclass(frozen=True)
class Budget(Node):
    """``loop at most 2 times { } else { }``: the ``else`` is executed where no turn left the loop."""

    times: Expr
    body: Block
    otherwise: Block | None


@dataclass(frozen=True)
class ForIn(Node):
    """``for g in gfn where e { }``"""

    name: Ident
    domain: Domain
    where: Expr | None
    body: Block


@dataclass(frozen=True)
class ForRange(Node):
    """``for i in lo ..< hi by step down { }``: ``hi`` is not reached; ``down`` visits the same numbers backwards."""

    name: Ident
    lo: Expr
    hi: Expr
    by: Expr | None
    down: bool
    body: Block


@dataclass(frozen=True)
class Break(Node):
    """``break;``"""


@dataclass(frozen=True)
class Continue(Node):
    """``continue;``"""


@dataclass(frozen=True)
class Return(Node):
    value: Expr | None


@dataclass(frozen=True)
class Retry(Node):
    """``retry;``, ``fair retry;``"""

    fair: bool = False


@dataclass(frozen=True)
class Either(Node):
    """``either { } or { }``, ``fair either { } or { }``; at least two branches."""

    branches: tuple[Block, ...]
    fair: bool = False


@dataclass(frozen=True)
class Atomic(Node):
    body: Block


@dataclass(frozen=True)
class GhostBlock(Node):
    """``ghost { }`` as a statement."""

    body: Block


@dataclass(frozen=True)
class LockUse(Node):
    """``mmap_lock read``"""

    lock: Expr
    mode: Mode | None


@dataclass(frozen=True)
class With(Node):
    """``with l, m read { }``: taken from left to right, each in its own mode."""

    locks: tuple[LockUse, ...]
    body: Block


@dataclass(frozen=True)
class Under(Node):
    """``under l read: stmt``"""

    lock: LockUse
    body: Stmt


@dataclass(frozen=True)
class Acquire(Node):
    """``acquire l read;``, ``acquire every m;``, ``acquire l killable else { }``"""

    lock: Expr
    mode: Mode | None
    every: bool
    killed: Block | None = None


@dataclass(frozen=True)
class Release(Node):
    """``release l;``, ``release every m;``"""

    lock: Expr
    mode: Mode | None
    every: bool


@dataclass(frozen=True)
class Downgrade(Node):
    lock: Expr


@dataclass(frozen=True)
class Synchronize(Node):
    lock: Expr


@dataclass(frozen=True)
class Await(Node):
    """``await e;``, ``await e idle;``, ``await e idle unless f;``, ``await e killable else { }``"""

    cond: Expr
    idle: bool
    unless: Expr | None
    killed: Block | None = None


@dataclass(frozen=True)
class SpinUntil(Node):
    """``spin until e;``"""

    cond: Expr


@dataclass(frozen=True)
class Assert(Node):
    """``assert e, "text" as family;``"""

    cond: Expr
    message: str | None
    family: Ident | None


@dataclass(frozen=True)
class Labeled(Node):
    """``map: spte[g] = wanted;``"""

    label: Ident
    statement: Stmt


@dataclass(frozen=True)
class Region(Node):
    """``region NAME { }``"""

    name: Ident
    body: Block


@dataclass(frozen=True)
class Skip(Node):
    """``skip;``"""


@dataclass(frozen=True)
class Halt(Node):
    """``halt;``"""


Mask: TypeAlias = Literal["irq_off", "preempt_off", "migrate_off"]


@dataclass(frozen=True)
class Masked(Node):
    """``irq_off { }``, ``preempt_off { }``, ``migrate_off { }``"""

    what: Mask
    body: Block


@dataclass(frozen=True)
class Ipi(Node):
    """``ipi tlb_flush on c;``: asks a CPU to run a handler; ``ipi_wait tlb_flush on c;`` (``wait``): until it has."""

    handler: Expr
    cpu: Expr
    wait: bool


@dataclass(frozen=True)
class Stop(Node):
    """``stop kvm.populate;``, ``stop kvm.vcpu[v];``: a thread, or all of that name."""

    thread: Expr


@dataclass(frozen=True)
class Bug(Node):
    """``bug "why";``"""

    message: str


@dataclass(frozen=True)
class MightSleep(Node):
    """``might_sleep;``"""


# -------------------------------------------------------------------------------------------------- declarations


@dataclass(frozen=True)
class Decl(Node):
    """A declaration; ``doc`` is the text of the ``///`` comments before it, lines joined by line breaks."""

    doc: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Protocol(Decl):
    """``protocol NAME``"""

    name: Ident


@dataclass(frozen=True)
class TypeParam(Node):
    """``type page_id`` in the header of a library module."""

    name: Ident


@dataclass(frozen=True)
class ValueParam(Node):
    """``lost : enum { destroyed, read } = destroyed`` in the header of a library module."""

    name: Ident
    type: TypeExpr
    default: Expr | None


@dataclass(frozen=True)
class ModuleHeader(Decl):
    """``module content(type page_id, lost : enum { destroyed, read } = destroyed)``: this file is a library module."""

    name: Ident
    params: tuple[TypeParam | ValueParam, ...]


@dataclass(frozen=True)
class Source(Decl):
    """``source "mail subject"``"""

    text: str


@dataclass(frozen=True)
class Argument(Node):
    """An argument of an import: by place (``name`` is None) or by name."""

    name: Ident | None
    value: Expr


@dataclass(frozen=True)
class Import(Decl):
    """``import lib.content(gfn, lost = destroyed) as page``; without ``as`` the last name of the path is the alias."""

    path: Path
    args: tuple[Argument, ...]
    alias: Ident


@dataclass(frozen=True)
class ParamDecl(Decl):
    """``param vcpus : 1..8 = 2``"""

    name: Ident
    type: TypeExpr
    default: Expr


@dataclass(frozen=True)
class Require(Decl):
    """``require power_of_two(P)``"""

    condition: Expr


@dataclass(frozen=True)
class TypeDecl(Decl):
    """``type gfn = scalarset(gfns in 0..8 = 2)``"""

    name: Ident
    type: TypeExpr


@dataclass(frozen=True)
class ConstDecl(Decl):
    """``const LAST : 0..7 = P - 1``"""

    name: Ident
    type: TypeExpr | None
    value: Expr


@dataclass(frozen=True)
class Param(Node):
    """``ref p : gfn?``, ``g : gfn``"""

    ref: bool
    name: Ident
    type: TypeExpr


@dataclass(frozen=True)
class FnDecl(Decl):
    """``fn f(a : T) -> T = e;`` or ``fn f(a : T) -> T { return e; }``: pure."""

    name: Ident
    params: tuple[Param, ...]
    result: TypeExpr
    body: Expr | Block


@dataclass(frozen=True)
class GuardLock(Node):
    """A lock in a guard; ``srcu s`` has ``srcu`` set."""

    lock: Expr
    srcu: bool


@dataclass(frozen=True)
class GuardAll(Node):
    """``a && b``: all of them must be held; at least two."""

    parts: tuple[GuardExpr, ...]


@dataclass(frozen=True)
class GuardOr(Node):
    """``a || b``: one of them must be held; at least two."""

    parts: tuple[GuardExpr, ...]


@dataclass(frozen=True)
class GuardNone(Node):
    """``any`` in ``read: any``: no lock is needed."""


@dataclass(frozen=True)
class GuardedBy(Node):
    """``guarded_by l``; ``any_mode`` for ``guarded_by l any`` (writes under read mode must be indivisible)."""

    guard: GuardExpr
    any_mode: bool


@dataclass(frozen=True)
class GuardedByAccess(Node):
    """``guarded_by write: a && b, read: a || b``; a part that is not written is None. Never both None."""

    write: GuardExpr | None
    read: GuardExpr | None


@dataclass(frozen=True)
class RacyState(Node):
    """``racy`` in place of a guard: no access to it is ever held against a lock; it is listed with the verdict."""


@dataclass(frozen=True)
class StateDecl(Decl):
    """``pub ghost state x : [v : vcpu] T = e guarded_by m[v];``"""

    pub: bool
    ghost: bool
    name: Ident
    type: TypeExpr
    init: Expr | None
    guard: Guard | None


@dataclass(frozen=True)
class LockOption(Node):
    """``unfair``, ``unfair when PARAM == b``, ``irq``"""

    name: Literal["unfair", "irq"]
    when: Expr | None


LockKind: TypeAlias = Literal["mutex", "spinlock", "rwlock", "rwsem", "srcu", "flag", "busy"]


@dataclass(frozen=True)
class LockDecl(Decl):
    """``pub lock m : [vcpu] mutex (unfair);``; no index, one or two."""

    pub: bool
    name: Ident
    indexes: tuple[ArrayIndex, ...]
    kind: LockKind
    options: tuple[LockOption, ...]


@dataclass(frozen=True)
class ObjectDecl(Decl):
    """``object slot[slots in 1..4 = 2] { state users : 0..3 = 1; lock m : mutex; }``: a pool of objects."""

    name: Ident
    size: SizeParam | Expr
    members: tuple[StateDecl | LockDecl, ...]


RoutineKind: TypeAlias = Literal["op", "proc"]


@dataclass(frozen=True)
class Holding(Node):
    """``holds table read else BUSY``: a busy lock, and what the op returns where it cannot have it."""

    lock: Expr
    mode: Mode | None
    otherwise: Expr | None


@dataclass(frozen=True)
class RoutineDecl(Decl):
    """``pub slow op f(g : gfn) -> rc requires held(l) holds m else BUSY { }``; ``ghost proc`` in libraries."""

    kind: RoutineKind
    pub: bool
    ghost: bool
    name: Ident
    params: tuple[Param, ...]
    result: TypeExpr | None
    requires: Expr | None
    body: Block
    may_fail: tuple[Expr, ...] = ()
    slow: bool = False
    holds: tuple[Holding, ...] = ()


ThreadKind: TypeAlias = Literal["thread", "server", "environment", "interrupt"]


@dataclass(frozen=True)
class ThreadDecl(Decl):
    """``thread migrate[dst : vm, src : vm] where dst != src { }``, ``server work[c : cpu] on c { }``,
    ``migrating thread run[v : vcpu] { }``.

    ``interrupt tick on cpu { }`` ``interrupt call on cpu by ipi { }`` ``interrupt perf on cpu by nmi { }`` and
    ``interrupt backtrace on cpu by nmi ipi { }``, which is both, have one index, of type ``cpu``.
    """

    kind: ThreadKind
    name: Ident
    indexes: tuple[TypedName, ...]
    where: Expr | None
    body: Block
    cpu: Expr | None = None
    ipi: bool = False
    migrating: bool = False
    nmi: bool = False


@dataclass(frozen=True)
class Init(Decl):
    """``init { }``"""

    body: Block


@dataclass(frozen=True)
class Order(Decl):
    """``order a -> b -> c``; at least two locks."""

    locks: tuple[Expr, ...]


@dataclass(frozen=True)
class Nest(Decl):
    """``nest inner under outer``, ``nest folio by index``, or both; at least one of ``outer`` and ``by``."""

    inner: Expr
    outer: Expr | None
    by: Ident | None


@dataclass(frozen=True)
class Invariant(Decl):
    """``always invariant NAME as family: e;``"""

    always: bool
    name: Ident
    family: Ident | None
    condition: Expr


@dataclass(frozen=True)
class TransitionProp(Decl):
    """``transition NAME as family: e;``"""

    name: Ident
    family: Ident | None
    condition: Expr


@dataclass(frozen=True)
class Final(Decl):
    """``final NAME as family: e;``"""

    name: Ident
    family: Ident | None
    condition: Expr


@dataclass(frozen=True)
class Weakness(Decl):
    """``weakness NAME as family: e;``"""

    name: Ident
    family: Ident | None
    condition: Expr


@dataclass(frozen=True)
class Reachable(Decl):
    """``reachable NAME when PARAM == b in before, after: e;``"""

    name: Ident
    when: Expr | None
    scenarios: tuple[Ident, ...]
    condition: Expr


@dataclass(frozen=True)
class Progress(Decl):
    """``progress NAME as family: pending leads_to reached for x in T where e;``; ``pending`` may be left out."""

    name: Ident
    family: Ident | None
    pending: Expr | None
    reached: Expr
    binders: tuple[Binder, ...]
    where: Expr | None


@dataclass(frozen=True)
class Finishing(Decl):
    """``progress NAME as family: every routine finishes;``; without ``progress`` its name is that of the routine."""

    name: Ident
    family: Ident | None
    routine: Path


@dataclass(frozen=True)
class Recoverable(Decl):
    """``recoverable NAME as family: e;``"""

    name: Ident
    family: Ident | None
    condition: Expr


@dataclass(frozen=True)
class RunLine(Node):
    """``kvm.fault[v] : map;`` in a run: the thread takes the statement of that label."""

    thread: Expr
    label: Ident


@dataclass(frozen=True)
class RunDecl(Decl):
    """``run NAME in before for v in vcpu where e { kvm.fault[v] : a; vmm.free : b; } leads to deadlock;``"""

    name: Ident
    scenarios: tuple[Ident, ...]
    binders: tuple[Binder, ...]
    where: Expr | None
    lines: tuple[RunLine, ...]
    leads: Expr | None


@dataclass(frozen=True)
class VariantDecl(Decl):
    """``variant hoisted of proc kvm.populate_page(g : gfn) { }``: ``target`` is the path, ``decl.name`` its end."""

    name: Ident
    target: Path
    decl: RoutineDecl | FnDecl | ThreadDecl


@dataclass(frozen=True)
class ActorDecl(Decl):
    """``hypervisor kvm { }`` or ``actor kvm : hypervisor { }``; may stand several times for one actor."""

    role: Role
    name: Ident
    members: tuple[ActorMember, ...]


Role: TypeAlias = Literal["hypervisor", "guest", "firmware", "userspace", "hardware", "device", "kernel"]


@dataclass(frozen=True)
class AnyArg(Node):
    """``_`` among the arguments of an adversary's call."""


@dataclass(frozen=True)
class ChosenArg(Node):
    """``x where e``: any value for which ``e`` holds; later arguments may speak of ``x`` too."""

    name: Ident
    where: Expr


@dataclass(frozen=True)
class AdversaryCall(Node):
    """``host.update`` (``args`` is None: any) or ``kvm.ioctl_a(_, none)``."""

    path: Path
    args: tuple[AnyArg | ChosenArg | Expr, ...] | None


@dataclass(frozen=True)
class AdversaryDecl(Decl):
    """``adversary userspace u[2] { any kvm.a(_, _); at most 3 calls; }``: ``instances`` is a number or names a type."""

    role: Role
    name: Ident
    instances: Expr | None
    calls: tuple[AdversaryCall, ...]
    at_most: Expr | None


# ----------------------------------------------------------------------------------------- scenarios, expectations


Outcome: TypeAlias = Literal[
    "holds", "holds or vacuous", "violated", "unreachable", "vacuous", "unknown", "any", "found", "impossible"
]
"""``found`` is what is meant where only a kind of lock-order finding is written: ``lock_order unrealised cycle``. Of a
run or ``reachable``, ``found`` and ``impossible`` are other words for ``holds`` and ``unreachable``."""

FindingKind: TypeAlias = Literal["cycle", "prevented cycle", "unrealised cycle", "against order", "recursion"]


@dataclass(frozen=True)
class Expectation(Node):
    """``lock_order cycle violated in at most 5 steps at LABEL``; ``target`` may be ``all`` or ``others``."""

    target: Path
    kind: FindingKind | None
    outcome: Outcome
    steps: int | None
    at_most: bool
    label: Ident | None


@dataclass(frozen=True)
class WithVariants(Node):
    """``with hoisted, checked;``"""

    names: tuple[Ident, ...]


@dataclass(frozen=True)
class SetParam(Node):
    """``gfns = 8;``"""

    name: Ident
    value: Expr


@dataclass(frozen=True)
class SetRange(Node):
    """``failures : 0..2;``"""

    name: Ident
    lo: Expr
    hi: Expr


@dataclass(frozen=True)
class FailOnly(Node):
    """``fail kvm.pin, map;``"""

    routines: tuple[Path, ...]


@dataclass(frozen=True)
class Without(Node):
    """``without remap, vmm.user_fault;``"""

    threads: tuple[Path, ...]


@dataclass(frozen=True)
class Expect(Node):
    """``expect deadlock violated, others hold;``"""

    expectations: tuple[Expectation, ...]


@dataclass(frozen=True)
class Scenario(Decl):
    """``scenario large { with hoisted; gfns = 8; without remap; expect all hold; }``"""

    name: Ident
    items: tuple[ScenarioItem, ...]


@dataclass(frozen=True)
class Check(Decl):
    """``check all;``, ``check deadlock, agree;``"""

    targets: tuple[Path, ...]


@dataclass(frozen=True)
class Module(Node):
    """A whole file: ``header`` says if it is a model (``Protocol``) or a library module; ``items`` has the rest."""

    file: SourceFile = field(compare=False, repr=False)
    header: Protocol | ModuleHeader
    items: tuple[Item, ...]


# ----------------------------------------------------------------------------------------------- the closed unions


TypeExpr: TypeAlias = (
    NamedType
    | BoolType
    | RangeType
    | EnumType
    | ScalarsetType
    | ProductType
    | OptionType
    | SetType
    | RecordType
    | ArrayType
    | VersionType
    | CounterType
    | SnapshotType
)

Expr: TypeAlias = (
    IntLit
    | BoolLit
    | NoneLit
    | StaleLit
    | Name
    | Member
    | Index
    | Call
    | Unary
    | Binary
    | Conditional
    | Unwrap
    | Quantified
    | Old
    | At
    | In
    | Finished
    | Held
    | Racy
    | SetLit
    | RecordLit
    | TryAcquire
    | NewObject
)

Domain: TypeAlias = NamedType | BoolType | RangeType | Expr

Stmt: TypeAlias = (
    Block
    | VarDecl
    | Let
    | LetNew
    | Free
    | Assign
    | ExprStmt
    | Ignore
    | Try
    | OnError
    | Choose
    | Havoc
    | If
    | While
    | Loop
    | Budget
    | ForIn
    | ForRange
    | Break
    | Continue
    | Return
    | Retry
    | Either
    | Atomic
    | GhostBlock
    | With
    | Under
    | Acquire
    | Release
    | Downgrade
    | Synchronize
    | Await
    | SpinUntil
    | Assert
    | Labeled
    | Region
    | Masked
    | Ipi
    | Skip
    | Halt
    | Stop
    | Bug
    | MightSleep
)

GuardExpr: TypeAlias = GuardLock | GuardAll | GuardOr | GuardNone

Guard: TypeAlias = GuardedBy | GuardedByAccess | RacyState

ScenarioItem: TypeAlias = WithVariants | SetParam | SetRange | FailOnly | Without | Expect

Property: TypeAlias = (
    Invariant | TransitionProp | Final | Weakness | Reachable | Progress | Finishing | Recoverable
)

ActorMember: TypeAlias = (
    StateDecl
    | LockDecl
    | ObjectDecl
    | RoutineDecl
    | FnDecl
    | ThreadDecl
    | VariantDecl
    | ConstDecl
    | TypeDecl
    | Init
    | Property
)

Item: TypeAlias = (
    Source
    | Import
    | ParamDecl
    | Require
    | TypeDecl
    | ConstDecl
    | FnDecl
    | ActorDecl
    | AdversaryDecl
    | StateDecl
    | LockDecl
    | RoutineDecl
    | ThreadDecl
    | Init
    | Order
    | Nest
    | Property
    | VariantDecl
    | Scenario
    | Check
    | RunDecl
)
"""``StateDecl``, ``LockDecl``, ``RoutineDecl``, ``ThreadDecl`` stand outside an actor in library modules, or if ghost;
the checker says where they may not."""
