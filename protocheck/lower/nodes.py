"""The flow graph of one thread: its nodes, what the names in them mean, and which of them are steps.

Built by :mod:`protocheck.lower.flow`, read by the modules that make transitions of it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from protocheck.records import dataclass
from protocheck.source import Origin, Span
from protocheck.types import tree as t
from protocheck.types.contention import Form, HeldForm
from protocheck.types.types import Type

# --------------------------------------------------------------------------------------------------------------------
# Activations: what the names in a routine's body mean


@dataclass(eq=False)
class Slot:
    """A local that is kept in the state. Slots are shared by all activations of a routine in one thread."""

    name: str
    type: Type
    hidden: bool = False  # the compiler's own: traces need not show it


@dataclass(frozen=True, eq=False)
class Alias:
    """A local that stands for an expression of the caller: a reference parameter or a value that cannot change."""

    expr: t.Expr
    activation: Activation


@dataclass(frozen=True, eq=False)
class OwnIndex:
    """The thread's own ``position``-th index."""

    position: int


Binding: TypeAlias = Slot | Alias | OwnIndex


@dataclass(eq=False)
class Activation:
    """One inlined call (or the thread itself)."""

    routine: str
    origin: Origin | None
    bindings: dict[int, Binding] = field(default_factory=dict)
    forms: dict[int, Form] = field(default_factory=dict)
    refs: dict[int, tuple[str, tuple[Form, ...]]] = field(default_factory=dict)

    def at(self, span: Span) -> Origin:
        return Origin(span, self.origin)


# --------------------------------------------------------------------------------------------------------------------
# Nodes


@dataclass(frozen=True, eq=False)
class HeldNow:
    """A lock that is held at a node, as far as the structure of the code shows."""

    lock: t.LockRef
    activation: Activation
    mode: str
    every: bool
    form: HeldForm
    scope: int = 0  # which lock of which ``with`` this is; 0: taken by ``acquire``


@dataclass(frozen=True)
class Nop:
    """Nothing; joins edges."""


@dataclass(frozen=True)
class Mark:
    """A labelled statement, or the begin of a region, that a property mentions: a step ends before it."""


@dataclass(frozen=True)
class Load:
    """Read the contended cell ``ref`` into a local. A step."""

    local: t.Local
    ref: t.StateRef


@dataclass(frozen=True)
class Set:
    """``place := value``; a step if ``step``. ``declares`` resets a local that has no value yet."""

    place: t.Place
    value: t.Expr | None
    step: bool


@dataclass(frozen=True)
class Branch:
    """Two successors: the condition holds, or not."""

    condition: t.Expr


@dataclass(frozen=True)
class Fork:
    """``either``: one successor per branch, a choice; ``fair`` as written."""

    fair: bool = False


@dataclass(frozen=True)
class Inject:
    """The begin of a call that may fail: successors: it is executed, and one per error that it may return instead.

    ``failed``: the results in words. A choice.
    """

    failed: tuple[str, ...]


@dataclass(frozen=True)
class Pick:
    """``choose``: successors: chosen, and (if ``otherwise``) no candidate."""

    local: t.Local
    where: t.Expr | None
    otherwise: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class PickMember:
    """The head of a ``for`` over a scalarset: successors: a turn, and the end. ``visited`` is a slot of type set."""

    local: t.Local
    visited: t.Local
    where: t.Expr | None
    domain: t.Expr | None
    early: bool  # who is left cannot be changed by others, so the end of the loop need not wait for the next step


@dataclass(frozen=True)
class Scramble:
    """``havoc``; a step if the place is contended."""

    place: t.Place
    step: bool


@dataclass(frozen=True)
class Primitive:
    """A built-in. A step."""

    call: t.BuiltinCall
    result: t.Local | None


@dataclass(frozen=True)
class Take:
    """``acquire``. A step, or two: to begin waiting, and to be granted; if ``killable``, a second successor: a signal
    has ended the wait."""

    lock: t.LockRef
    mode: str
    killable: bool = False


@dataclass(frozen=True)
class Attempt:
    """``try_acquire``. A step with two successors: taken, not taken."""

    lock: t.LockRef
    mode: str


@dataclass(frozen=True)
class Give:
    """``release``. No step. ``checked``: the structure of the code does not show that it is held.

    ``every``: all instances of the array at once. ``if_held``: the end of a ``with`` whose lock some way has released.
    """

    lock: t.LockRef
    mode: str
    checked: bool
    every: bool = False
    if_held: bool = False


@dataclass(frozen=True)
class Lower:
    """``downgrade``. No step."""

    lock: t.LockRef
    checked: bool


@dataclass(frozen=True)
class SyncBegin:
    """``synchronize`` begins. A step."""

    lock: t.LockRef


@dataclass(frozen=True)
class SyncEnd:
    """``synchronize`` ends. A step."""

    lock: t.LockRef


@dataclass(frozen=True)
class Wait:
    """``await``. A step when it succeeds; if ``killable``, a second successor: a signal has ended the wait."""

    condition: t.Expr
    idle: bool
    unless: t.Expr | None
    killable: bool = False


@dataclass(frozen=True)
class Assertion:
    """``assert``: evaluated in place, or (``pending``) just before the next step."""

    condition: t.Expr
    message: str
    family: str
    pending: bool


@dataclass(frozen=True)
class MustHold:
    """A ``lock_misuse`` check: the condition over what the thread itself holds."""

    condition: t.Expr
    message: str


@dataclass(frozen=True)
class MustNotHold:
    """A ``lock_misuse`` check that no lock (``spinning``: none of a kind that spins) is held at ``what``."""

    what: str
    spinning: bool


@dataclass(frozen=True)
class GuardCheck:
    """A ``lock_misuse`` check that the declared guard of a cell is held where the structure does not show it.

    ``bound``: the names bound around the read, each with the condition of its quantifier; all cells are meant.
    """

    ref: t.StateRef
    write: bool
    bound: tuple[tuple[t.Local, t.Expr | None], ...] = ()


@dataclass(frozen=True)
class Inline:
    """A statement executed as a whole without a step or choice inside: ghost code, or a loop of local work."""

    statement: t.Statement
    ghost: bool


@dataclass(frozen=True)
class Begin:
    """An ``op`` or ``atomic`` begins: one step up to its :class:`End`. ``note`` is for traces."""

    note: str = ""


@dataclass(frozen=True)
class End:
    """See :class:`Begin`."""

    note: str = ""


@dataclass(frozen=True)
class Back:
    """The back edge of loop ``loop``; a step if its turn touches shared state."""

    loop: int
    step: bool


@dataclass(frozen=True)
class Again:
    """``retry`` in loop ``loop``: a back edge that waits for a change of what the turn read; ``fair`` as written."""

    loop: int
    fair: bool = False


@dataclass(frozen=True)
class Head:
    """The head of a loop that has a ``retry``: forgets what earlier turns read."""

    loop: int


@dataclass(frozen=True)
class Finish:
    """The end of the thread. A step. No successor."""


@dataclass(frozen=True)
class HaltAll:
    """``halt``. A step. No successor."""


@dataclass(frozen=True)
class Freeze:
    """``stop``. A step."""

    thread: str
    index: tuple[t.Expr, ...] | None


@dataclass(frozen=True)
class IrqBegin:
    """An interrupt comes, and its handler begins. A step."""


@dataclass(frozen=True)
class IrqEnd:
    """The handler is done: part of its last step."""


@dataclass(frozen=True)
class Move:
    """An instance of another class, which has the same indexes, goes to another CPU. A step."""

    cpu: t.StateRef


@dataclass(frozen=True)
class SendIpi:
    """``ipi``. A step."""

    handler: str
    cpu: t.Expr


@dataclass(frozen=True)
class AwaitIpi:
    """``ipi_wait``. A step when the handler has run."""

    handler: str
    cpu: t.Expr


@dataclass(frozen=True)
class Crash:
    """``bug``. A step. No successor."""

    message: str


NodeOp: TypeAlias = (
    Nop
    | Mark
    | Load
    | Set
    | Branch
    | Fork
    | Inject
    | Pick
    | PickMember
    | Scramble
    | Primitive
    | Take
    | Attempt
    | Give
    | Lower
    | SyncBegin
    | SyncEnd
    | Wait
    | Assertion
    | MustHold
    | MustNotHold
    | GuardCheck
    | Inline
    | Begin
    | End
    | Back
    | Again
    | Head
    | Finish
    | HaltAll
    | Freeze
    | IrqBegin
    | IrqEnd
    | Move
    | SendIpi
    | AwaitIpi
    | Crash
)


@dataclass(eq=False)
class Node:
    """A node; ``succ`` are numbers of nodes, in the order that the operation defines."""

    number: int
    op: NodeOp
    activation: Activation
    origin: Origin
    held: tuple[HeldNow, ...]
    depth: int  # of op and atomic
    loops: tuple[int, ...]  # enclosing loops that have a retry
    labels: tuple[str, ...]
    regions: tuple[str, ...]
    crossing: str  # "kvm.set_attributes": the routine of another actor that contains it
    span: Span  # of the whole statement, for its text
    succ: list[int] = field(default_factory=list)
    inside: tuple[str, ...] = ()  # procs that a progress claim names and that are being executed


@dataclass(eq=False)
class Graph:
    """The flow of one thread. ``inexact`` locks are held or not depending on the path."""

    thread: t.ThreadDecl | None
    nodes: list[Node]
    slots: list[Slot]
    inexact: set[str]
    outermost: list[int]  # the Back nodes of outermost loops
    atomic_blocks: list[Span]
    loops: int


def is_step(node: Node) -> bool:
    """Whether executing ``node`` is (or begins) a step of its own; inside an op or atomic block nothing is."""
    match node.op:
        case Begin():
            return node.depth == 0
        case Set(step=step) | Scramble(step=step):
            return step and node.depth == 0
        case (
            Load()
            | Primitive()
            | Take()
            | Attempt()
            | SyncBegin()
            | SyncEnd()
            | Wait()
            | Again()
            | Finish()
            | HaltAll()
            | Freeze()
            | IrqBegin()
            | Move()
            | SendIpi()
            | AwaitIpi()
            | Crash()
        ):
            return node.depth == 0
        case Back(_, step):
            return step
        case _:
            return False


def is_choice(node: Node) -> bool:
    """Whether ``node`` is a choice, which belongs to the step after it."""
    match node.op:
        case Fork() | Inject() | Pick():
            return True
        case Scramble(step=step):
            return not step
        case PickMember():
            return True
        case _:
            return False


def may_hold(graph: Graph) -> list[dict[tuple[str, str], None]]:
    """For each node the (lock, mode as written) pairs that some path to it may hold: what is held on every path, and,
    of the locks that depend on the path, whatever reaches the node by data flow. Releasing one instance of an array
    does not end the possibility that another is held."""
    flows: list[dict[tuple[str, str], None]] = [{} for _ in graph.nodes]
    work = [n.number for n in graph.nodes]
    while work:
        node = graph.nodes[work.pop()]
        for way, number in enumerate(node.succ):
            if number < 0:
                continue
            now = dict(flows[node.number])
            match node.op:
                case Take(lock, mode) if way == 0:
                    now[lock.lock, mode] = None
                case Attempt(lock, mode) if way == 0:
                    now[lock.lock, mode] = None
                case Give(lock, _, _, every) if every or not lock.index:
                    now = {pair: None for pair in now if pair[0] != lock.lock}
                case Lower(lock):
                    now[lock.lock, "read"] = None
                case _:
                    pass
            if now.keys() - flows[number].keys():
                flows[number].update(now)
                work.append(number)
    return [
        {(h.lock.lock, h.mode): None for h in node.held}
        | {pair: None for pair in flows[node.number] if pair[0] in graph.inexact}
        for node in graph.nodes
    ]
