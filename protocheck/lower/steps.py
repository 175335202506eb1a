"""From the flow graph of a thread to its transitions: symbolic execution from each location to the next.

A path begins at a location, makes the choices that belong to the step, executes one step of the language, and runs on
up to the next step, choice, pending assertion or marked label: section "Steps" of the language reference. Every such
path is one transition. What the path writes is kept in terms of the state before it, so the result is simultaneous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from itertools import product
from typing import TypeAlias, assert_never

from protocheck.diagnostics import Diagnostic, Label, ModelError
from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Lit,
    Op,
    Param,
    Read,
    Var,
    VarKind,
    and_,
    apply,
    eq,
    exists,
    extent,
    forall,
    implies,
    interval,
    ite,
    ne,
    not_,
    or_,
    parameters,
    within,
)
from protocheck.ir.sorts import BOOL, ScalarSort, Sort, size_of, values_of
from protocheck.ir.system import (
    HELD_NONE,
    HELD_READ,
    HELD_WRITE,
    INJECTED,
    MASKS,
    NEVER_WAITED_FOR,
    SIGNALLED,
    Act,
    LockEvent,
    LockKind,
)
from protocheck.lower import nodes as ops
from protocheck.lower import objects
from protocheck.lower.cpus import ASKED, IN_SERVICE, NOT_ASKED, Cpus
from protocheck.lower.evaluate import Evaluator, Passed, Path, ThreadInstance, Way, decided
from protocheck.lower.nodes import Activation, Alias, Graph, Node, Slot, is_choice, is_step
from protocheck.lower.rules import CHOICE_OF_SET, ENDLESS_STEP, ORDER_OF_MEMBERS, STEP_TOO_LARGE, TOO_MANY_PATHS
from protocheck.lower.turns import independent
from protocheck.lower.values import (
    FRESH,
    LEFT,
    PLACE,
    RecordShape,
    RecordValue,
    ScalarShape,
    SetShape,
    SetValue,
    Shape,
    Storage,
    Store,
    Value,
    Write,
    choose_value,
    default_value,
    flatten,
    index_sorts,
    load,
    make_storage,
    none_value,
    pointer_to,
    same,
    save,
    scalar,
    shape_of,
)
from protocheck.records import dataclass
from protocheck.source import Origin
from protocheck.types import tree as t
from protocheck.types.types import SnapshotType

MAX_VISITS = 20_000
MAX_PATHS = 4_096
NO_CODE_OF_A_CPU = ("hardware", "device")  # roles whose threads no interrupt comes in between
MAX_SIZE, MAX_DEPTH = 100_000, 150
"""Of one expression, quantifiers written out. What comes after the compiler walks through all of it, with recursion."""


@dataclass(frozen=True)
class Key:
    """A location: before ``node``, or (``waiting``) in the queue of the lock that it takes; node -1 is the end."""

    node: int
    waiting: bool = False


END = Key(-1)


@dataclass(frozen=True, eq=False)
class RawTransition:
    """A path from ``source`` to ``target``; numbers, pc and dead locals are put in later."""

    source: Key
    target: Key
    path: Path
    action: Node


@dataclass(frozen=True, eq=False)
class ReadSite:
    """What a turn of a loop with ``retry`` read: valid flag, index and value, kept in the state.

    A read below a quantifier is kept for each value of the bound names: ``bound`` are their sorts.
    """

    loop: int
    state: str
    valid: Storage
    index: tuple[Storage, ...]
    value: Storage
    bound: tuple[Sort, ...]

    def kept(self) -> tuple[Storage, ...]:
        return (self.valid, *self.index, self.value)


@dataclass(frozen=True, eq=False)
class VersionSite:
    """A version that a turn of a loop with ``retry`` looked at: a snapshot of its own says if it was bumped since."""

    loop: int
    version: str
    valid: Storage
    snapshot: Storage

    def kept(self) -> tuple[Storage, ...]:
        return (self.valid, self.snapshot)


@dataclass(frozen=True, eq=False)
class TrySite:
    """A failed ``try_acquire`` in a turn of a loop with ``retry``."""

    loop: int
    lock: str
    mode: str
    valid: Storage
    index: tuple[Storage, ...]

    def kept(self) -> tuple[Storage, ...]:
        return (self.valid, *self.index)


Site: TypeAlias = ReadSite | TrySite | VersionSite


@dataclass
class Shared:
    """What the threads of one instance have in common during compilation."""

    holders: dict[str, tuple[str, ...]]  # lock -> classes that take it
    mode: Callable[[str, str], Var]  # lock, class -> (place holder of) the mode in which it is held
    queued: Callable[[str, str], Var]
    explicit: set[tuple[str, str]]  # (lock, class) whose mode is a variable of its own
    snapshots: dict[str, list[Storage]]  # version -> where snapshots of it are kept
    looks: dict[tuple[str, int, int, str], VersionSite]  # class, loop, node, version
    pending_sync: Callable[[str, str, str], Var]  # lock, waiting class, reading class
    syncers: dict[str, tuple[str, ...]]  # srcu lock -> classes that synchronize
    stopped: dict[str, Var]
    halted: Var | None
    fair: dict[str, bool]
    failures: Var | None  # how many failures this run may still have
    signals: Var | None  # how many killable waits a signal may still end
    pointers: dict[str, tuple[objects.Copy, ...]]  # pool -> where pointers to its objects are kept
    cpus: Cpus


Item: TypeAlias = "tuple[Path, int, bool, Node | None]"


@dataclass
class ThreadSteps:
    """The result for one thread: its transitions by location, in order of discovery."""

    name: str
    graph: Graph
    keys: list[Key] = field(default_factory=list)
    transitions: list[RawTransition] = field(default_factory=list)
    rest: set[Key] = field(default_factory=set)
    sites: list[Site] = field(default_factory=list)
    impure: dict[int, Storage] = field(default_factory=dict)
    seen_of: dict[tuple[object, ...], Site] = field(default_factory=dict)
    stuck: set[Key] = field(default_factory=set)  # locations with a way on that is known to be blocked for ever


def too_large(origin: Origin) -> ModelError:
    """The fault of a step that computes too much."""
    headline = "too much is computed in one step"
    mend = "let the code take a step in between, or compute less in one step"
    return ModelError([Diagnostic(STEP_TOO_LARGE, headline, (Label(origin.span),), mend)])


def limit(parts: Iterable[Expr], origin: Origin) -> None:
    """Refuse what no engine could work with (rule ``step-too-large``)."""
    for e in parts:
        size, depth = extent(e)
        if size > MAX_SIZE or depth > MAX_DEPTH:
            raise too_large(origin)


class Stepper:
    """Symbolic execution of one thread (or of an init block, for which ``graph.thread`` is None)."""

    def __init__(self, graph: Graph, evaluator: Evaluator, shared: Shared, slots: dict[Slot, Storage]) -> None:
        self.graph = graph
        self.e = evaluator
        self.shared = shared
        self.slots = slots
        self.module = evaluator.instance.module
        self.own = evaluator.own
        self.name = evaluator.own_class
        self.result = ThreadSteps(self.name, graph)
        self.loops: tuple[int, ...] = ()
        self.key = Key(0)
        self.node = graph.nodes[0]
        self.site_count = 0
        evaluator.held_now = self.held_now
        if graph.thread is not None:
            evaluator.record = self.record
            evaluator.look = self.look

    # -- exploration

    def run(self) -> ThreadSteps:
        """All transitions of the thread."""
        self.explore()
        if self.result.impure:  # a turn forgets what any turn reads, so everything that is read must be known first
            self.result.keys.clear()
            self.result.transitions.clear()
            self.explore()
        return self.result

    def explore(self) -> None:
        start = Key(self.first(0))
        queue = [start]
        self.result.keys.append(start)
        known = {start}
        turns = self.turns()
        if self.graph.nodes[0].number in turns:
            self.result.rest.add(start)
        while queue:
            key = queue.pop(0)
            for raw in self.from_location(key):
                self.result.transitions.append(raw)
                back = isinstance(raw.action.op, ops.Back) and raw.action.number in self.graph.outermost
                if back and raw.target.node in turns:
                    self.result.rest.add(raw.target)
                if raw.target != END and raw.target not in known:
                    known.add(raw.target)
                    self.result.keys.append(raw.target)
                    queue.append(raw.target)

    def turns(self) -> set[int]:
        """The nodes before the first step of a turn of an outermost loop, or of the way to such a loop."""
        found: set[int] = set()
        for back in self.graph.outermost:
            head = self.graph.nodes[back].succ[0]
            work = [head]
            inside = {head}
            while work:
                node = self.graph.nodes[work.pop()]
                if is_step(node):
                    continue
                for n in node.succ:
                    if n >= 0 and n not in inside and self.reaches(n, back):
                        inside.add(n)
                        work.append(n)
            found |= inside
            at = 0
            before = {0}
            while not is_step(self.graph.nodes[at]) and len(self.graph.nodes[at].succ) == 1 and at != head:
                at = self.graph.nodes[at].succ[0]
                before.add(at)
            if at == head:
                found |= before
        return found

    def reaches(self, number: int, goal: int) -> bool:
        work, seen = [number], {number}
        while work:
            at = work.pop()
            if at == goal:
                return True
            for n in self.graph.nodes[at].succ:
                if n >= 0 and n not in seen:
                    seen.add(n)
                    work.append(n)
        return False

    def first(self, number: int) -> int:
        """The first node from ``number`` on that does something."""
        seen = set()
        while number not in seen and self.nothing(self.graph.nodes[number]):
            seen.add(number)
            number = self.graph.nodes[number].succ[0]
        return number

    def nothing(self, node: Node) -> bool:
        if isinstance(node.op, ops.MustNotHold):
            quiet = Path()
            self.not_held(node.op, node, quiet)
            return not quiet.checks
        return isinstance(node.op, ops.Nop | ops.Head)

    def from_location(self, key: Key) -> Iterator[RawTransition]:
        """The transitions from ``key``, in the order of the source."""
        self.key = key
        stack: list[Item] = [(Path(), key.node, False, None)]
        count = 0
        waiting = key.waiting
        while stack:
            path, number, acted, action = stack.pop()
            node = self.graph.nodes[number]
            path.visits += 1
            if path.visits > MAX_VISITS:
                headline = "this loop takes no step and does not end"
                raise ModelError([Diagnostic(ENDLESS_STEP, headline, (Label(node.origin.span),))])
            if acted and self.stops(node):
                if isinstance(node.op, ops.PickMember) and node.op.early:
                    yield from self.stop_at_head(path, node, key, action, stack)
                else:
                    assert action is not None
                    yield RawTransition(key, Key(self.first(number)), path, action)
                continue
            begins = not acted and is_step(node)
            if node.labels and not waiting and (not acted or node.depth > 0):
                path.labels = (*path.labels, *node.labels)
            out = list(self.execute(path, node, waiting and not acted and action is None))
            waiting = False
            count += len(out)
            if count > MAX_PATHS:
                headline = f"the code after this step branches in more than {MAX_PATHS} ways"
                raise ModelError([Diagnostic(TOO_MANY_PATHS, headline, (Label(node.origin.span),))])
            for new, target in reversed(out):
                if any(g == FALSE for g in new.guard):
                    continue
                limit(new.expressions(), node.origin)
                at = target.node if isinstance(target, Key) else target
                self.pass_by(new, node, self.graph.nodes[at] if at != END.node else None)
                now = acted or begins
                by = node if begins else action
                if isinstance(target, Key):
                    yield RawTransition(key, target, new, by or node)
                else:
                    stack.append((new, target, now, by))

    def pass_by(self, p: Path, node: Node, then: Node | None) -> None:
        """Note what ``p`` leaves or repeats where it goes from ``node`` to ``then`` (None: to no other node)."""
        new: list[Passed] = []
        match node.op:
            case ops.Again():
                new.append(Passed(Way.AGAIN, node.number))
            case ops.Back():
                new.append(Passed(Way.BACK, node.number))
            case ops.IrqEnd():
                new.append(Passed(Way.END))
            case _:
                pass
        if then is None:
            new.append(Passed(Way.END))
        new += [Passed(Way.EXIT, n) for n in _inside(node) if then is None or n not in _inside(then)]
        new += [Passed(Way.LEAVE, name=name) for name in node.inside if then is None or name not in then.inside]
        if new:
            p.passed = (*p.passed, *new)

    def stops(self, node: Node) -> bool:
        """Whether a path that has done its step ends before ``node``."""
        if node.depth > 0 and not isinstance(node.op, ops.Begin):
            return False
        if is_step(node) or isinstance(node.op, ops.Mark):
            return True
        if isinstance(node.op, ops.Assertion):
            return node.op.pending
        return is_choice(node) and node.depth == 0

    def stop_at_head(
        self, path: Path, node: Node, key: Key, action: Node | None, stack: list[Item]
    ) -> Iterator[RawTransition]:
        """At the head of a ``for`` the end is no choice: with no member left the path goes on behind the loop."""
        assert action is not None
        self.node, self.loops = node, node.loops
        left = self.members_left(path, node)
        if left != FALSE:
            stay = path.copy()
            if self.assume(stay, left, node):
                yield RawTransition(key, Key(node.number), stay, action)
        gone = path.copy()
        if self.assume(gone, not_(left), node):
            self.pass_by(gone, node, self.graph.nodes[node.succ[1]])
            stack.append((gone, node.succ[1], True, action))

    # -- conditions

    def known(self, path: Path, cond: Expr) -> bool | None:
        """Whether the path already decides ``cond``."""
        cond = decided(cond)
        if isinstance(cond, Lit):
            return bool(cond.value)
        opposite = not_(cond)
        for g in path.guard:
            parts = g.args if isinstance(g, Apply) and g.op is Op.AND else (g,)
            if cond in parts:
                return True
            if opposite in parts:
                return False
            if isinstance(cond, Apply) and cond.op in (Op.EQ, Op.NE) and isinstance(cond.args[1], Lit):
                for part in parts:
                    if (
                        isinstance(part, Apply)
                        and part.op is Op.EQ
                        and part.args[0] == cond.args[0]
                        and isinstance(part.args[1], Lit)
                    ):
                        equal = part.args[1] == cond.args[1]
                        return equal if cond.op is Op.EQ else not equal
        return None

    def assume(self, path: Path, cond: Expr, node: Node, blocking: bool = False) -> bool:
        """Add ``cond`` to the path; False if it cannot be."""
        decided_ = self.known(path, cond)
        if decided_ is False:
            if blocking:
                self.result.stuck.add(self.key)
            return False
        if decided_ is None:
            path.guard = (*path.guard, cond)
            if blocking:
                path.blocking = (*path.blocking, cond)
        return True

    def param(self, path: Path, name: str, sort: Sort) -> Param:
        taken = {q.name for q in (*self.own, *path.params)}
        fresh = name
        n = 2
        while fresh in taken:
            fresh = f"{name}#{n}"
            n += 1
        q = Param(fresh, sort)
        path.params = (*path.params, q)
        return q

    def chosen(self, path: Path, name: str, shape: Shape, node: Node) -> Value:
        """A value of ``shape`` as new choices of the path."""
        match shape:
            case ScalarShape(sort):
                return self.param(path, name, sort)
            case RecordShape(fields, optional):
                parts = tuple((n, self.chosen(path, f"{name}.{n.lstrip('#')}", f, node)) for n, f in fields)
                value = RecordValue(parts)
                if optional:
                    plain = default_value(RecordShape(fields[1:]))
                    assert isinstance(plain, RecordValue)
                    for (_, x), (_, y) in zip(parts[1:], plain.fields, strict=True):
                        same_ = and_(*map(eq, flatten(x), flatten(y)))
                        self.assume(path, implies(not_(value.scalar("#some")), same_), node)
                return value
            case SetShape():
                headline = "a set cannot be chosen as one value"
                mend = "choose a member, or decide membership member by member in a loop"
                raise ModelError([Diagnostic(CHOICE_OF_SET, headline, (Label(node.origin.span),), mend)])
            case _:
                assert_never(shape)

    # -- storage of locals

    def place(
        self, place: t.Expr, a: Activation, p: Path, under: Expr = TRUE
    ) -> tuple[Storage, tuple[Expr, ...], str | None]:
        """Where ``place`` is kept: its variables, the index into them, and the state it belongs to (None: a local)."""
        match place:
            case t.StateRef():
                return self.e.states[place.state], self.e.state_index(place, a, p, under), place.state
            case t.Field(base, name):
                storage, index, state = self.place(base, a, p, under)
                return storage.part(name), index, state
            case t.LocalRef(local):
                binding = a.bindings[local.number]
                if isinstance(binding, Alias):
                    return self.place(binding.expr, binding.activation, p, under)
                assert isinstance(binding, Slot)
                return self.slots[binding], self.own, None
            case _:
                raise KeyError(type(place).__name__)

    def put(self, place: t.Expr, value: Value, a: Activation, p: Path, origin: Origin, where: Expr = TRUE) -> None:
        """Store with its range check; a store to shared state makes the turns of its loops count as work."""
        storage, index, state = self.place(place, a, p, where)
        self.fit(storage.shape, value, place, p, origin, where)
        save(storage, index, value, p.store, self.e.fresh, where=where)
        limit((e for v in storage.vars() for e in p.store.last(v)), origin)
        if state is not None and not self.module.states[state].ghost:
            self.work(p)

    def fit(self, shape: Shape, value: Value, place: t.Expr, p: Path, origin: Origin, where: Expr) -> None:
        match shape:
            case ScalarShape(sort):
                inside = decided(within(scalar(value), sort))
                text = " ".join(place.span.text.split())
                p.check("range", inside, f"the value does not fit into `{text}`", origin, True, where)
            case RecordShape(fields):
                assert isinstance(value, RecordValue)
                for (_, f), (_, v) in zip(fields, value.fields, strict=True):
                    self.fit(f, v, place, p, origin, where)
            case SetShape():
                pass
            case _:
                assert_never(shape)

    # -- retry

    def impure(self, loop: int) -> Storage:
        known = self.result.impure.get(loop)
        if known is None:
            sorts = tuple(q.sort for q in self.own)
            known = make_storage(f"{self.name}.loop{loop}.worked", sorts, ScalarShape(BOOL), VarKind.HIDDEN)
            self.result.impure[loop] = known
        return known

    def work(self, p: Path, cond: Expr = TRUE) -> None:
        """The turn has done something (where ``cond``): a ``retry`` that ends it is only a ``continue``."""
        for loop in self.loops:
            s = self.impure(loop)
            old = scalar(load(s, self.own, p.store))
            save(s, self.own, or_(old, cond), p.store, self.e.fresh)

    def record(self, p: Path, ref: t.StateRef, index: tuple[Expr, ...], value: Value, a: Activation) -> None:
        """Remember what a turn of a loop with ``retry`` reads."""
        if not self.loops or self.module.states[ref.state].ghost:
            return
        self.site_count += 1
        used = tuple(q for q in p.bound if any(q in parameters(i) for i in index))
        for loop in self.loops:
            key: tuple[object, ...] = (loop, self.node.number, self.site_count, ref.state)
            site = self.result.seen_of.get(key)
            if site is None:
                declaration = self.module.states[ref.state]
                bound = tuple(q.sort for q in used)
                sorts = (*(q.sort for q in self.own), *bound)
                base = f"{self.name}.loop{loop}.seen{len(self.result.sites)}"
                cells = [s for b in declaration.binders for s in index_sorts(b.type, self.e.instance)]
                at = tuple(self.hidden(f"{base}.at{n}", ScalarShape(s), sorts) for n, s in enumerate(cells))
                kept = self.hidden(f"{base}.value", shape_of(declaration.type, self.e.instance), sorts)
                site = ReadSite(loop, ref.state, self.hidden(f"{base}.is", ScalarShape(BOOL)), at, kept, bound)
                self.remember(key, site)
            assert isinstance(site, ReadSite)
            where = self.own + used
            save(site.valid, self.own, TRUE, p.store, self.e.fresh)
            for s, i in zip(site.index, index, strict=True):
                save(s, where, i, p.store, self.e.fresh, used)
            save(site.value, where, value, p.store, self.e.fresh, used)

    def hidden(self, name: str, shape: Shape, sorts: tuple[Sort, ...] | None = None) -> Storage:
        own = tuple(q.sort for q in self.own)
        return make_storage(name, own if sorts is None else sorts, shape, VarKind.HIDDEN)

    def remember(self, key: tuple[object, ...], site: Site) -> None:
        self.result.seen_of[key] = site
        self.result.sites.append(site)

    def look(self, p: Path, version: str, index: tuple[Expr, ...]) -> None:
        """The turn looks at a version."""
        for loop in self.loops:
            site = self.shared.looks[self.name, loop, self.node.number, version]
            if site not in self.result.sites:
                self.remember((loop, self.node.number, version), site)
            save(site.valid, self.own, TRUE, p.store, self.e.fresh)
            save(site.snapshot.part(FRESH), self.own, TRUE, p.store, self.e.fresh)
            parts = [v for n, s in site.snapshot.parts if n != FRESH for v in s.vars()]
            for v, i in zip(parts, index, strict=True):
                p.store.write(v, Write(self.own, i))

    def record_try(self, p: Path, lock: str, mode: str, index: tuple[Expr, ...]) -> None:
        for loop in self.loops:
            key: tuple[object, ...] = (loop, self.node.number, lock, mode)
            site = self.result.seen_of.get(key)
            if site is None:
                base = f"{self.name}.loop{loop}.seen{len(self.result.sites)}"
                cells = [s for i in self.module.locks[lock].index for s in index_sorts(i, self.e.instance)]
                at = tuple(self.hidden(f"{base}.at{n}", ScalarShape(s)) for n, s in enumerate(cells))
                site = TrySite(loop, lock, mode, self.hidden(f"{base}.is", ScalarShape(BOOL)), at)
                self.remember(key, site)
            assert isinstance(site, TrySite)
            save(site.valid, self.own, TRUE, p.store, self.e.fresh)
            for s, i in zip(site.index, index, strict=True):
                save(s, self.own, i, p.store, self.e.fresh)

    def retry_marker(self, loop: int) -> Expr:
        """Stands for "something that the turn read has changed" until all read sites of the loop are known."""
        return Read(Var(f"#changed:{self.name}:{loop}", tuple(q.sort for q in self.own), BOOL), self.own)

    def changed(self, loop: int) -> Expr:
        """The condition under which a thread that retries in ``loop`` goes on."""
        store = Store()
        parts = []
        for site in self.result.sites:
            if site.loop != loop:
                continue
            valid = scalar(load(site.valid, self.own, store))
            match site:
                case ReadSite():
                    binders = tuple(self.e.fresh(x) for x in site.bound)
                    where = self.own + binders
                    index = tuple(scalar(load(s, where, store)) for s in site.index)
                    now = load(self.e.states[site.state], index, store)
                    then = load(site.value, where, store)
                    parts.append(and_(valid, exists(binders, not_(same(now, then, self.e.fresh)))))
                case TrySite():
                    index = tuple(scalar(load(s, self.own, store)) for s in site.index)
                    parts.append(and_(valid, self.grantable(site.lock, site.mode, index, None)))
                case VersionSite():
                    fresh = scalar(load(site.snapshot.part(FRESH), self.own, store))
                    parts.append(and_(valid, not_(fresh)))
                case _:
                    assert_never(site)
        return or_(*parts)

    # -- locks

    def held_now(self, lock: str, name: str, who: tuple[Expr, ...], index: tuple[Expr, ...], p: Path | None) -> Expr:
        """The mode in which an instance of class ``name`` holds the lock now: the thread itself as of this point."""
        before = self.e.held_mode(lock, name, who, index)
        if name != self.name or p is None:
            return before
        if (lock, name) in self.shared.explicit:
            return p.store.read(self.shared.mode(lock, name), who + index)
        now = self.level(lock, self.node)
        if now == self.level(lock, self.graph.nodes[self.key.node]) and who != self.own:
            return before
        return ite(and_(*map(eq, who, self.own)), Lit(now), before)

    def level(self, lock: str, node: Node) -> int:
        """The mode in which the code at ``node`` holds a lock without instances, known from its structure."""
        held = [h.mode for h in node.held if h.lock.lock == lock]
        if not held:
            return HELD_NONE
        return HELD_READ if all(m == "read" for m in held) else HELD_WRITE

    def conflicting(self, lock: str, mode: str, index: tuple[Expr, ...], p: Path | None) -> Expr:
        """Whether anybody (the thread itself included) holds the instance in a mode that excludes ``mode``."""
        kind = self.module.locks[lock].kind
        if kind in NEVER_WAITED_FOR:
            return FALSE
        parts = []
        for name in self.shared.holders.get(lock, ()):
            bound, inside = self.e.thread_binder(name)
            held = self.held_now(lock, name, bound.params, index, p)
            shared = mode == "read" and kind.shared
            bad = eq(held, Lit(HELD_WRITE)) if shared else ne(held, Lit(HELD_NONE))
            parts.append(exists(bound.params, and_(inside, bad)))
        return or_(*parts)

    def anyone(self, lock: str, index: tuple[Expr, ...], p: Path | None) -> Expr:
        parts = []
        for name in self.shared.holders.get(lock, ()):
            bound, inside = self.e.thread_binder(name)
            held = ne(self.held_now(lock, name, bound.params, index, p), Lit(HELD_NONE))
            parts.append(exists(bound.params, and_(inside, held)))
        return or_(*parts)

    def writer_queued(self, lock: str, index: tuple[Expr, ...]) -> Expr:
        if not self.shared.fair[lock]:
            return FALSE
        parts = []
        for name in self.shared.holders.get(lock, ()):
            bound, inside = self.e.thread_binder(name)
            queued = Read(self.shared.queued(lock, name), bound.params + index)
            parts.append(exists(bound.params, and_(inside, eq(queued, Lit(HELD_WRITE)))))
        return or_(*parts)

    def reads_in_queue(self, lock: str, mode: str) -> bool:
        kind = self.module.locks[lock].kind
        return mode == "read" and kind in (LockKind.RWLOCK, LockKind.RWSEM)

    def grantable(
        self, lock: str, mode: str, index: tuple[Expr, ...], p: Path | None, waiting: bool = False
    ) -> Expr:
        """Whether the lock can be granted at this point of ``p``: at once, or to one that already waits."""
        if lock in self.e.flags:
            store = Store() if p is None else p.store
            return not_(store.read(self.e.flags[lock], index))
        free = not_(self.conflicting(lock, mode, index, p))
        if not self.reads_in_queue(lock, mode):
            return free
        held_back = self.writer_queued(lock, index)
        if waiting:
            held_back = and_(held_back, self.anyone(lock, index, p))
        return and_(free, not_(held_back))

    def mode_text(self, lock: str, mode: str) -> str:
        return mode if self.module.locks[lock].kind.shared else ""

    def set_mode(self, lock: str, index: tuple[Expr, ...], mode: int, p: Path) -> None:
        if (lock, self.name) in self.shared.explicit:
            p.store.write(self.shared.mode(lock, self.name), Write(self.own + index, Lit(mode)))

    def taken(self, op: ops.Take | ops.Attempt, index: tuple[Expr, ...], p: Path, node: Node) -> None:
        level = HELD_READ if op.mode == "read" else HELD_WRITE
        self.set_mode(op.lock.lock, index, level, p)
        event = LockEvent(Act.ACQUIRE, op.lock.lock, index, self.mode_text(op.lock.lock, op.mode), node.origin)
        p.events = (*p.events, event)
        self.unmasked(op.lock.lock, p, node)

    def unmasked(self, lock: str, p: Path, node: Node) -> None:
        """A lock for which a handler may wait, taken by a thread that the handler may interrupt: on its CPU, or, if the
        model does not say where it runs, on any."""
        thread = self.graph.thread
        if thread is None or thread.unmasked:
            return
        if thread.cpu is None and self.module.actors.get(thread.actor) in NO_CODE_OF_A_CPU:
            return
        anywhere = "" if thread.cpu is not None else f"; {self.name} may run on any CPU"
        nmis = self.shared.cpus.nmis_that_wait(lock)
        if nmis:
            message = f"{lock} is taken where the NMI {nmis[0]} may come, which takes it, too; nothing masks it"
            p.check("lock_misuse", FALSE, message + anywhere, node.origin, False, TRUE)
            return
        handlers = self.shared.cpus.handlers_that_wait(lock)
        if not handlers or thread.interrupt or self.module.locks[lock].irq:
            return
        off = []
        for mask, names in self.shared.holders.items():
            declaration = self.module.locks[mask]
            if self.name in names and (declaration.irq or declaration.kind is LockKind.IRQ_OFF):
                sorts = [s for i in declaration.index for s in index_sorts(i, self.e.instance)]
                cells = tuple(self.e.fresh(s) for s in sorts)
                off.append(exists(cells, ne(self.own_mode(mask, cells, node, p), Lit(HELD_NONE))))
        message = f"{lock} is taken with interrupts on, and the interrupt {handlers[0]} takes it, too{anywhere}"
        p.check("lock_misuse", or_(*off), message, node.origin, False, TRUE)

    def release(self, op: ops.Give, p: Path, node: Node) -> None:
        lock = op.lock.lock
        if op.every:
            self.release_every(op, p, node)
            return
        index = self.e.lock_index(op.lock, node.activation, p)
        if lock in self.e.flags:
            p.store.write(self.e.flags[lock], Write(index, FALSE))
            p.events = (*p.events, LockEvent(Act.RELEASE, lock, index, "", node.origin))
            return
        if op.checked:
            held = self.own_mode(lock, index, node, p)
            wanted = {"read": eq(held, Lit(HELD_READ)), "write": eq(held, Lit(HELD_WRITE))}
            good = wanted[op.mode] if op.mode in wanted and self.rw(lock) else ne(held, Lit(HELD_NONE))
            p.check("lock_misuse", good, f"release of {lock}, which is not held so", node.origin, False, TRUE)
        left = self.left(lock, index, node, p)
        if (lock, self.name) in self.shared.explicit:
            p.store.write(self.shared.mode(lock, self.name), Write(self.own + index, left))
        if self.module.locks[lock].kind is LockKind.SRCU:
            self.end_grace(lock, index, eq(left, Lit(HELD_NONE)), p)
        event = LockEvent(Act.RELEASE, lock, index, self.mode_text(lock, op.mode), node.origin)
        p.events = (*p.events, event)

    def left(self, lock: str, index: tuple[Expr, ...], node: Node, p: Path) -> Expr:
        """In which mode the instance is still held behind ``node``, which gives it back: it may be held twice."""
        behind = self.graph.nodes[node.succ[0]]
        mode: Expr = Lit(HELD_NONE)
        for h in behind.held:
            if h.lock.lock == lock and not h.every:
                mine = self.e.lock_index(h.lock, h.activation, p)
                mode = ite(and_(*map(eq, mine, index)), Lit(HELD_READ if h.mode == "read" else HELD_WRITE), mode)
        return mode

    def end_grace(self, lock: str, index: tuple[Expr, ...], over: Expr, p: Path) -> None:
        """Nobody who synchronizes waits for this reader any more, where ``over``."""
        for waiting in self.shared.syncers.get(lock, ()):
            var = self.shared.pending_sync(lock, waiting, self.name)
            mine = tuple(self.e.fresh(q.sort) for q in self.e.threads[waiting].params)
            p.store.write(var, Write(mine + self.own + index, FALSE, mine, over))

    def release_every(self, op: ops.Give, p: Path, node: Node) -> None:
        """All instances at once: nobody can tell in which order they were released."""
        lock = op.lock.lock
        sorts = [s for i in self.module.locks[lock].index for s in index_sorts(i, self.e.instance)]
        binders = tuple(self.e.fresh(s) for s in sorts)
        var = self.shared.mode(lock, self.name)
        if op.checked:
            held = forall(binders, ne(p.store.read(var, self.own + binders), Lit(HELD_NONE)))
            p.check("lock_misuse", held, f"release of every {lock}, not all are held", node.origin, False, TRUE)
        p.store.write(var, Write(self.own + binders, Lit(HELD_NONE), binders))
        if self.module.locks[lock].kind is LockKind.SRCU:
            for waiting in self.shared.syncers.get(lock, ()):
                pending = self.shared.pending_sync(lock, waiting, self.name)
                mine = tuple(self.e.fresh(q.sort) for q in self.e.threads[waiting].params)
                p.store.write(pending, Write(mine + self.own + binders, FALSE, mine + binders))
        p.events = (*p.events, LockEvent(Act.RELEASE, lock, (), self.mode_text(lock, op.mode), node.origin))

    def rw(self, lock: str) -> bool:
        return self.module.locks[lock].kind.shared

    def own_mode(self, lock: str, index: tuple[Expr, ...], node: Node, p: Path) -> Expr:
        """In which mode the thread holds the instance at ``node``."""
        if (lock, self.name) in self.shared.explicit:
            return p.store.read(self.shared.mode(lock, self.name), self.own + index)
        return Lit(self.level(lock, node))

    def not_held(self, op: ops.MustNotHold, node: Node, p: Path) -> None:
        """A check per lock that the thread may hold."""
        if op.spinning and self.graph.thread is not None and self.graph.thread.interrupt:
            message = f"{op.what} may sleep in an interrupt handler"
            p.check("lock_misuse", FALSE, message, node.origin, False, TRUE)
        for lock, names in self.shared.holders.items():
            masks = self.module.locks[lock].kind in MASKS
            kind = self.module.locks[lock].kind
            spins = kind in (LockKind.SPINLOCK, LockKind.RWLOCK) or (masks and kind is not LockKind.MIGRATE_OFF)
            if self.name not in names or (op.spinning and not spins):
                continue
            held = any(h.lock.lock == lock for h in node.held)
            if held:
                free: Expr = FALSE
            elif (lock, self.name) in self.shared.explicit and lock in self.graph.inexact:
                sorts = [s for i in self.module.locks[lock].index for s in index_sorts(i, self.e.instance)]
                cells = tuple(self.e.fresh(s) for s in sorts)
                free = forall(cells, eq(self.own_mode(lock, cells, node, p), Lit(HELD_NONE)))
            else:
                continue
            message = f"{op.what} with {lock} held"
            if op.spinning:
                message = f"{op.what} may sleep while the spinning lock {lock} is held"
            if masks:
                message = f"{op.what} in {lock}" if not op.spinning else f"{op.what} may sleep in {lock}"
            p.check("lock_misuse", free, message, node.origin, False, TRUE)

    # -- nodes

    def execute(self, path: Path, node: Node, waiting: bool) -> Iterator[tuple[Path, int | Key]]:
        """What happens at ``node``: each way on with its path. The given path may be changed and passed on."""
        self.loops = node.loops
        self.node, self.site_count = node, 0
        if node.crossing and is_step(node):
            path.notes = tuple(dict.fromkeys((*path.notes, f"in {node.crossing}")))
        a, p, op = node.activation, path, node.op
        match op:
            case ops.Begin(note) | ops.End(note):
                if note:
                    p.notes = (*p.notes, note)
                yield p, node.succ[0]
            case ops.Nop() | ops.Mark():
                yield p, node.succ[0]
            case ops.Load(local, ref):
                value = self.e.value(ref, a, p)
                self.put(t.LocalRef(local, type=ref.type, span=ref.span), value, a, p, node.origin)
                yield p, node.succ[0]
            case ops.Set(place, value):
                if value is None:
                    if isinstance(place, t.LocalRef):
                        p.turns[place.local.number] = 0
                    storage, index, _ = self.place(place, a, p)
                    save(storage, index, default_value(storage.shape), p.store, self.e.fresh)
                else:
                    self.put(place, self.e.value(value, a, p), a, p, node.origin)
                yield p, node.succ[0]
            case ops.Branch(condition):
                cond = decided(self.e.truth(condition, a, p))
                yield from self.both(p, cond, node)
            case ops.Fork():
                self.work(p)
                for n, target in enumerate(node.succ):
                    branch = p.copy()
                    if n > 0:
                        branch.calm = False
                    branch.notes = (*branch.notes, f"branch {n + 1} of either")
                    branch.passed = (*branch.passed, Passed(Way.BRANCH, node.number, n))
                    yield branch, target
            case ops.Inject(texts):
                yield from self.inject(p, texts, node)
            case ops.Pick():
                yield from self.pick(p, op, node)
            case ops.PickMember():
                yield from self.pick_member(p, op, node)
            case ops.Scramble(place):
                storage, _, _ = self.place(place, a, p)
                name = place.local.name if isinstance(place, t.LocalRef) else " ".join(place.span.text.split())
                value = self.chosen(p, name, storage.shape, node)
                self.put(place, value, a, p, node.origin)
                self.work(p)
                yield p, node.succ[0]
            case ops.Primitive(call) if call.name in ("new", "try_new"):
                yield from self.take_object(p, op, node)
            case ops.Primitive(call) if call.name == "free":
                self.free_object(p, op, node)
                yield p, node.succ[0]
            case ops.Primitive():
                yield self.primitive(p, op, node), node.succ[0]
            case ops.Take():
                yield from self.take(p, op, node, waiting)
            case ops.Attempt(lock, mode):
                index = self.e.lock_index(lock, a, p)
                free = self.grantable(lock.lock, mode, index, p)
                got = p.copy()
                if self.assume(got, free, node):
                    if lock.lock in self.e.flags:
                        got.store.write(self.e.flags[lock.lock], Write(index, TRUE))
                        got.events = (*got.events, LockEvent(Act.ACQUIRE, lock.lock, index, "", node.origin))
                        self.work(got)
                    else:
                        self.taken(op, index, got, node)
                    yield got, node.succ[0]
                if self.assume(p, not_(free), node):
                    event = LockEvent(Act.TRY_FAILED, lock.lock, index, self.mode_text(lock.lock, mode), node.origin)
                    p.events = (*p.events, event)
                    self.record_try(p, lock.lock, mode, index)
                    yield p, node.succ[1]
            case ops.Give(lock, _, _, _, True):
                index = self.e.lock_index(lock, a, p)
                held = ne(self.own_mode(lock.lock, index, node, p), Lit(HELD_NONE))
                gone = p.copy()
                if self.assume(gone, not_(held), node):
                    yield gone, node.succ[0]
                if self.assume(p, held, node):
                    self.release(op, p, node)
                    yield p, node.succ[0]
            case ops.Give():
                self.release(op, p, node)
                yield p, node.succ[0]
            case ops.Lower(lock, checked):
                index = self.e.lock_index(lock, a, p)
                if checked:
                    held = eq(self.own_mode(lock.lock, index, node, p), Lit(HELD_WRITE))
                    message = f"downgrade of {lock.lock}, which is not held for writing"
                    p.check("lock_misuse", held, message, node.origin, False, TRUE)
                self.set_mode(lock.lock, index, HELD_READ, p)
                p.events = (*p.events, LockEvent(Act.DOWNGRADE, lock.lock, index, "read", node.origin))
                yield p, node.succ[0]
            case ops.SyncBegin(lock):
                index = self.e.lock_index(lock, a, p)
                for reader in self.shared.holders.get(lock.lock, ()):
                    var = self.shared.pending_sync(lock.lock, self.name, reader)
                    mine = tuple(self.e.fresh(q.sort) for q in self.e.threads[reader].params)
                    reading = ne(self.held_now(lock.lock, reader, mine, index, p), Lit(HELD_NONE))
                    p.store.write(var, Write(self.own + mine + index, reading, mine))
                p.events = (*p.events, LockEvent(Act.SYNC_BEGIN, lock.lock, index, "", node.origin))
                yield p, node.succ[0]
            case ops.SyncEnd(lock):
                index = self.e.lock_index(lock, a, p)
                waits = []
                for reader in self.shared.holders.get(lock.lock, ()):
                    var = self.shared.pending_sync(lock.lock, self.name, reader)
                    mine = tuple(self.e.fresh(q.sort) for q in self.e.threads[reader].params)
                    waits.append(forall(mine, not_(p.store.read(var, self.own + mine + index))))
                if self.assume(p, and_(*waits), node, blocking=True):
                    p.events = (*p.events, LockEvent(Act.SYNC_END, lock.lock, index, "", node.origin))
                    yield p, node.succ[0]
            case ops.Wait(condition, _, unless, killable):
                cond = self.e.truth(condition, a, p)
                freed = [k.cond for k in p.checks if k.prop == "use_after_free"]
                if freed:  # what was freed is looked at all the same
                    cond = or_(cond, not_(and_(*freed)))
                if unless is not None:
                    self.e.truth(unless, a, p)
                if killable and self.shared.signals is not None:
                    killed = p.copy()
                    if self.assume(killed, not_(cond), node) and self.signal(killed, node):
                        yield killed, node.succ[1]
                if self.assume(p, cond, node, blocking=True):
                    yield p, node.succ[0]
            case ops.Assertion(condition, message, family):
                outer, self.loops = self.loops, ()
                p.spoken = (*p.spoken, (family, and_(*p.fatal)))
                p.check(family, self.e.truth(condition, a, p), message, node.origin, False, TRUE)
                self.loops = outer
                yield p, node.succ[0]
            case ops.MustHold(condition, message):
                if isinstance(condition, t.Held):
                    index = self.e.lock_index(condition.lock, a, p)
                    held = self.own_mode(condition.lock.lock, index, node, p)
                    exact = condition.mode == "write" and self.rw(condition.lock.lock)
                    good = eq(held, Lit(HELD_WRITE)) if exact else ne(held, Lit(HELD_NONE))
                else:
                    good = self.e.truth(condition, a, p)
                p.check("lock_misuse", good, message, node.origin, False, TRUE)
                yield p, node.succ[0]
            case ops.MustNotHold():
                self.not_held(op, node, p)
                yield p, node.succ[0]
            case ops.GuardCheck():
                self.loops = ()
                self.guard_check(op, p, node)
                yield p, node.succ[0]
            case ops.Inline(statement, ghost):
                outer = self.loops
                if ghost:
                    self.loops = ()
                self.predicated(statement, a, p, TRUE)
                self.loops = outer
                yield p, node.succ[0]
            case ops.Back():
                yield p, node.succ[0]
            case ops.Again(loop, _):
                self.loops = ()
                worked = scalar(load(self.impure(loop), self.own, p.store))
                cond = or_(worked, self.retry_marker(loop))
                if self.assume(p, cond, node, blocking=True):
                    if worked != TRUE:
                        p.events = (*p.events, LockEvent(Act.RETRY, "", (), "", node.origin))
                    yield p, node.succ[0]
            case ops.Head(loop):
                self.forget(loop, p)
                yield p, node.succ[0]
            case ops.Finish():
                yield p, END
            case ops.HaltAll():
                assert self.shared.halted is not None
                p.store.write(self.shared.halted, Write((), TRUE))
                yield p, END
            case ops.IrqBegin():
                yield from self.interrupt(p, node)
            case ops.IrqEnd():
                self.served(p, ops.IrqEnd())
                yield p, node.succ[0]
            case ops.Move(cpu):
                yield from self.move(p, cpu, node)
            case ops.SendIpi(handler, cpu):
                there = tuple(flatten(self.e.value(cpu, a, p)))
                p.store.write(self.shared.cpus.asked(handler), Write(there, TRUE))
                if self.name in self.shared.cpus.waiters.get(handler, ()):
                    p.store.write(self.shared.cpus.request(handler, self.name), Write(self.own + there, Lit(ASKED)))
                self.work(p)
                yield p, node.succ[0]
            case ops.AwaitIpi(handler, cpu):
                there = tuple(flatten(self.e.value(cpu, a, p)))
                state = p.store.read(self.shared.cpus.request(handler, self.name), self.own + there)
                if self.assume(p, eq(state, Lit(NOT_ASKED)), node, blocking=True):
                    yield p, node.succ[0]
            case ops.Freeze(thread, at):
                self.freeze(thread, at, p, node)
                yield p, node.succ[0]
            case ops.Crash(message):
                p.check("bug", FALSE, message, node.origin, True, TRUE)
                yield p, END
            case _:
                assert_never(op)

    def both(self, p: Path, cond: Expr, node: Node) -> Iterator[tuple[Path, int | Key]]:
        yes = p.copy()
        if self.assume(yes, cond, node):
            yield yes, node.succ[0]
        if self.assume(p, not_(cond), node):
            yield p, node.succ[1]

    def forget(self, loop: int, p: Path) -> None:
        """A new turn: nothing is read yet, nothing done."""
        storages = [self.impure(loop)]
        for site in self.result.sites:
            if site.loop == loop:
                storages += site.kept()
        for s in storages:
            sorts = next(s.vars()).index[len(self.own) :] if not isinstance(s.shape, SetShape) else ()
            if isinstance(s.shape, SetShape):
                assert s.var is not None
                sorts = s.var.index[len(self.own) : len(s.var.index) - len(s.shape.of)]
            binders = tuple(self.e.fresh(x) for x in sorts)
            save(s, self.own + binders, default_value(s.shape), p.store, self.e.fresh, binders)

    def pick(self, p: Path, op: ops.Pick, node: Node) -> Iterator[tuple[Path, int | Key]]:
        a = node.activation
        shape = self.e.shape(op.local.type)
        some = p.copy()
        value = self.chosen(some, op.local.name, shape, node)
        some.values[op.local.number] = value
        cond = self.e.truth(op.where, a, some) if op.where is not None else TRUE
        del some.values[op.local.number]
        if self.assume(some, cond, node, blocking=not op.otherwise):
            if self.loops:
                self.work(some, self.other_candidate(p, op, value, a))
            place = t.LocalRef(op.local, type=op.local.type, span=op.span)
            storage, index, _ = self.place(place, a, some)
            save(storage, index, value, some.store, self.e.fresh)
            yield some, node.succ[0]
        if op.otherwise:
            none = p.copy()
            binders, test = self.candidate(none, op, a)
            if self.assume(none, not_(exists(binders, test)), node):
                yield none, node.succ[1]

    def candidate(self, p: Path, op: ops.Pick, a: Activation) -> tuple[tuple[Param, ...], Expr]:
        binders = tuple(self.e.names.fresh(s, op.local.name) for s in index_sorts(op.local.type, self.e.instance))
        quiet = Path(p.store, values=dict(p.values), bound=p.bound + binders)
        quiet.values[op.local.number] = self.e.bundle(op.local.type, binders)
        return binders, self.e.truth(op.where, a, quiet) if op.where is not None else TRUE

    def other_candidate(self, p: Path, op: ops.Pick, value: Value, a: Activation) -> Expr:
        loops, self.loops = self.loops, ()
        binders, test = self.candidate(p, op, a)
        self.loops = loops
        different = not_(and_(*map(eq, binders, flatten(value))))
        size = 1
        for b in binders:
            size *= size_of(b.sort)
        return FALSE if size < 2 else exists(binders, and_(test, different))

    def members_left(self, p: Path, node: Node) -> Expr:
        assert isinstance(node.op, ops.PickMember)
        size = 1
        for s in index_sorts(node.op.local.type, self.e.instance):
            size *= size_of(s)
        turns = p.turns.get(node.op.visited.number, -1)
        if turns >= size:
            return FALSE
        if turns >= 0 and node.op.where is None and node.op.domain is None:
            return TRUE
        binders = tuple(
            self.e.names.fresh(s, node.op.local.name) for s in index_sorts(node.op.local.type, self.e.instance)
        )
        return exists(binders, self.member_open(p, node, binders))

    def member_open(self, p: Path, node: Node, member: tuple[Expr, ...]) -> Expr:
        """Whether ``member`` is still to be visited."""
        op, a = node.op, node.activation
        assert isinstance(op, ops.PickMember)
        visited = self.e.local(op.visited, a, p, TRUE)
        assert isinstance(visited, SetValue)
        cond = not_(visited.member(member))
        outer = p.values.get(op.local.number)
        p.values[op.local.number] = self.e.bundle(op.local.type, member)
        if op.domain is not None:
            inside = self.e.value(op.domain, a, p)
            assert isinstance(inside, SetValue)
            cond = and_(cond, inside.member(member))
        if op.where is not None:
            bound = tuple(m for m in member if isinstance(m, Param) and m not in p.params)
            quiet = Path(p.store, values=p.values, bound=p.bound + bound)
            cond = and_(cond, self.e.truth(op.where, a, quiet))
        if outer is None:
            del p.values[op.local.number]
        else:
            p.values[op.local.number] = outer
        return cond

    def pick_member(self, p: Path, op: ops.PickMember, node: Node) -> Iterator[tuple[Path, int | Key]]:
        a = node.activation
        end = p.copy()
        sorts = index_sorts(op.local.type, self.e.instance)
        if self.members_left(p, node) == FALSE:
            yield end, node.succ[1]
            return
        some = p.copy()
        if op.visited.number in some.turns:
            some.turns[op.visited.number] += 1
        member = tuple(self.param(some, op.local.name, s) for s in sorts)
        cond = self.member_open(some, node, member)
        ordered = not any(isinstance(s, ScalarSort) for s in sorts)
        if ordered:
            smaller = tuple(self.e.names.fresh(s, op.local.name) for s in sorts)
            loops, self.loops = self.loops, ()
            earlier = and_(self.member_open(some, node, smaller), _before(smaller, member))
            self.loops = loops
            cond = and_(cond, not_(exists(smaller, earlier)))
        if self.assume(some, cond, node):
            value = self.e.bundle(op.local.type, member)
            place = t.LocalRef(op.local, type=op.local.type, span=node.origin.span)
            storage, index, _ = self.place(place, a, some)
            save(storage, index, value, some.store, self.e.fresh)
            binding = a.bindings[op.visited.number]
            assert isinstance(binding, Slot)
            var = self.slots[binding].var
            assert var is not None
            some.store.write(var, Write(self.own + member, TRUE))
            if not ordered and any(size_of(s) > 1 for s in sorts):
                self.work(some)
            yield some, node.succ[0]
        if self.assume(end, not_(self.members_left(end, node)), node):
            yield end, node.succ[1]

    def take(self, p: Path, op: ops.Take, node: Node, waiting: bool) -> Iterator[tuple[Path, int | Key]]:
        lock = op.lock.lock
        index = self.e.lock_index(op.lock, node.activation, p)
        granted = p.copy()
        free = self.grantable(lock, op.mode, index, granted, waiting)
        if self.assume(granted, free, node, blocking=node.depth > 0 or waiting):
            self.taken(op, index, granted, node)
            yield granted, node.succ[0]
        if waiting and op.killable and self.signal(p, node):
            yield p, node.succ[1]
        if waiting or node.depth > 0 or self.module.locks[lock].kind in NEVER_WAITED_FOR:
            return
        if self.assume(p, not_(self.grantable(lock, op.mode, index, p)), node):
            event = LockEvent(Act.WANT, lock, index, self.mode_text(lock, op.mode), node.origin)
            p.events = (*p.events, event)
            yield p, Key(node.number, True)

    def interrupt(self, p: Path, node: Node) -> Iterator[tuple[Path, int | Key]]:
        """The handler begins, if it has been asked for and nothing keeps interrupts away from its CPU."""
        cpus = self.shared.cpus
        assert self.graph.thread is not None
        if self.graph.thread.asked:
            asked = cpus.asked(self.name)
            if not self.assume(p, p.store.read(asked, self.own), node):
                return
            p.store.write(asked, Write(self.own, FALSE))
            self.served(p, node.op)
        if all(self.assume(p, not_(b.holds()), node) for b in cpus.over_handler(self.name, self.own)):
            yield p, node.succ[0]

    def move(self, p: Path, cpu: t.StateRef, node: Node) -> Iterator[tuple[Path, int | Key]]:
        """The thread of the same index goes to another CPU, unless something keeps it or it has ended."""
        storage = self.e.states[cpu.state]
        there = tuple(self.e.names.fresh(s, "to") for s in index_sorts(cpu.type, self.e.instance))
        here = tuple(flatten(load(storage, self.own, p.store)))
        save(storage, self.own, self.e.bundle(cpu.type, there), p.store, self.e.fresh)
        p.params = (*p.params, *there)
        if self.assume(p, not_(and_(*map(eq, here, there))), node):
            yield p, node.succ[0]

    def served(self, p: Path, op: ops.NodeOp) -> None:
        """What has been asked of the handler is in its hands from the begin on, and done at the end."""
        cpus = self.shared.cpus
        before, after = (ASKED, IN_SERVICE) if isinstance(op, ops.IrqBegin) else (IN_SERVICE, NOT_ASKED)
        for name in cpus.waiters.get(self.name, ()):
            var = cpus.request(self.name, name)
            who = tuple(self.e.fresh(q.sort) for q in cpus.views[name].params)
            here = eq(p.store.read(var, who + self.own), Lit(before))
            p.store.write(var, Write(who + self.own, Lit(after), who, here))

    def signal(self, p: Path, node: Node) -> bool:
        """A signal ends the wait, if one is left."""
        left = self.shared.signals
        if left is None or not self.use_up(p, left, node):
            return False
        p.notes = (*p.notes, SIGNALLED)
        p.calm = False
        self.work(p)
        return True

    def use_up(self, p: Path, left: Var, node: Node) -> bool:
        """Take one from a budget of the run; False if nothing can be left of it."""
        before = p.store.read(left, ())
        if not self.assume(p, apply(Op.GT, before, Lit(0)), node):
            return False
        p.store.write(left, Write((), apply(Op.SUB, before, Lit(1))))
        p.passed = (*p.passed, Passed(Way.UNOWED))
        return True

    def inject(self, p: Path, texts: tuple[str, ...], node: Node) -> Iterator[tuple[Path, int | Key]]:
        """A call that may fail. That it did not fail is no choice on which a ``retry`` could count."""
        yield p.copy(), node.succ[0]
        left = self.shared.failures
        for text, target in zip(texts, node.succ[1:], strict=True):
            failed = p.copy()
            if left is not None and self.use_up(failed, left, node):
                failed.notes = (*failed.notes, f"{INJECTED}: {text}")
                failed.calm = False
                self.work(failed)
                yield failed, target

    def take_object(self, p: Path, op: ops.Primitive, node: Node) -> Iterator[tuple[Path, int | Key]]:
        """``new``: any place that is free; without one it waits, or (``try_new``) gives none."""
        pool = objects.pool_of(self.module, op.call)
        var = objects.used(self.e, pool)
        some = p.copy()
        place = self.param(some, pool.name.rsplit(".", 1)[-1], var.index[0])
        if self.assume(some, not_(some.store.read(var, (place,))), node, blocking=op.call.name == "new"):
            some.store.write(var, Write((place,), TRUE))
            self.work(some)
            self.give_result(op, pointer_to(place), some, node)
            yield some, node.succ[0]
        if op.call.name == "try_new":
            other = self.e.fresh(var.index[0])
            full = p.store.read(var, (other,))
            assert isinstance(op.call.place, t.StateRef)
            self.record(p.under_binders((other,)), op.call.place, (other,), full, node.activation)
            if self.assume(p, forall((other,), full), node):
                self.give_result(op, none_value(self.e.shape(op.call.type)), p, node)
                yield p, node.succ[0]

    def free_object(self, p: Path, op: ops.Primitive, node: Node) -> None:
        """``free``: every copy of the pointer becomes stale, and what was in the object is gone."""
        pool = objects.pool_of(self.module, op.call)
        target = op.call.args[0]
        pointer = self.e.value(target, node.activation, p)
        assert isinstance(pointer, RecordValue)
        text = " ".join(target.span.text.split())
        p.check("double_free", self.e.points(pointer, target.type), f"`{text}` was freed", node.origin, True, TRUE)
        at = pointer.scalar(PLACE)
        for lock in pool.locks:
            sorts = [s for i in self.module.locks[lock].index for s in index_sorts(i, self.e.instance)]
            rest = tuple(self.e.fresh(s) for s in sorts[1:])
            if lock in self.e.flags:
                taken = p.store.read(self.e.flags[lock], (at, *rest))
            else:
                taken = self.anyone(lock, (at, *rest), p)
            message = f"{lock} is held while its object is freed"
            p.check("lock_misuse", forall(rest, not_(taken)), message, node.origin, True, TRUE)
        objects.make_stale(self.shared.pointers.get(pool.name, ()), self.name, self.own, at, p, self.e)
        objects.clear(pool, at, p, self.e)
        p.store.write(objects.used(self.e, pool), Write((at,), FALSE))
        self.work(p)

    def primitive(self, p: Path, op: ops.Primitive, node: Node) -> Path:
        a, call = node.activation, op.call
        args = [self.e.value(x, a, p) for x in call.args]
        target, owner = self.resolved(call.place, a)
        if call.name in ("snapshot", "bump", "reset"):
            assert isinstance(target, t.StateRef)
            index = self.e.state_index(target, owner, p, TRUE)
            if call.name == "snapshot":
                fields: list[tuple[str, Value]] = [(FRESH, TRUE)]
                window = call.type.window if isinstance(call.type, SnapshotType) else None
                if window is not None:
                    fields = [(LEFT, Lit(self.e.instance.constant(window) + 1))]
                start = 0
                binders = self.module.states[target.state].binders
                for n, b in enumerate(binders):
                    width = len(index_sorts(b.type, self.e.instance))
                    fields.append((f"i{n}", self.e.bundle(b.type, index[start : start + width])))
                    start += width
                self.look(p, target.state, index)
                self.give_result(op, RecordValue(tuple(fields)), p, node)
            else:
                self.bump(target.state, index, p, call.name == "reset")
                self.work(p)
            return p
        old = self.e.value(call.place, a, p)
        result: Value
        new: Value
        x = old
        match call.name:
            case "cmpxchg":
                new, result = choose_value(same(x, args[0], self.e.fresh), args[1], x), x
            case "xchg":
                new, result = args[0], x
            case "fetch_add":
                new, result = apply(Op.ADD, scalar(x), scalar(args[0])), x
            case "dec_and_test":
                less = apply(Op.SUB, scalar(x), Lit(1))
                new, result = less, decided(eq(less, Lit(0)))
            case "inc_not_zero":
                some = ne(scalar(x), Lit(0))
                new, result = ite(some, apply(Op.ADD, scalar(x), Lit(1)), scalar(x)), some
            case "test_and_set":
                new, result = TRUE, x
            case "test_and_clear":
                new, result = FALSE, x
            case _:
                raise KeyError(call.name)
        loops, self.loops = self.loops, ()
        self.put(call.place, new, a, p, node.origin)
        self.loops = loops
        self.work(p, not_(same(new, x, self.e.fresh)))
        if loops and isinstance(target, t.StateRef):
            index = self.e.state_index(target, owner, p, TRUE)
            self.record(p, target, index, new, owner)
        self.give_result(op, result, p, node)
        return p

    def resolved(self, e: t.Expr, a: Activation) -> tuple[t.Expr, Activation]:
        while isinstance(e, t.LocalRef):
            b = a.bindings.get(e.local.number)
            if not isinstance(b, Alias):
                break
            e, a = b.expr, b.activation
        return e, a

    def give_result(self, op: ops.Primitive, value: Value, p: Path, node: Node) -> None:
        if op.result is not None:
            place = t.LocalRef(op.result, type=op.result.type, span=node.origin.span)
            storage, index, _ = self.place(place, node.activation, p)
            save(storage, index, value, p.store, self.e.fresh)

    def bump(self, version: str, index: tuple[Expr, ...], p: Path, all_stale: bool = False) -> None:
        """Every snapshot of this version (of this index), wherever it is kept, is stale from now on; those of a counter
        are one bump older, and stale when they are too old to tell by how much."""
        for storage in self.shared.snapshots.get(version, ()):
            name = storage.parts[0][0]
            age = storage.part(name).var
            assert age is not None
            cells = tuple(self.e.fresh(s) for s in age.index)
            parts = [v for n, s in storage.parts if n != name for v in s.vars()]
            here = and_(*(eq(p.store.read(v, cells), i) for v, i in zip(parts, index, strict=True)))
            older: Expr = FALSE
            if name == LEFT:
                left = p.store.read(age, cells)
                older = Lit(0) if all_stale else ite(eq(left, Lit(0)), Lit(0), apply(Op.SUB, left, Lit(1)))
            p.store.write(age, Write(cells, older, cells, here))

    def guard_check(self, op: ops.GuardCheck, p: Path, node: Node) -> None:
        ref = op.ref
        guard = self.module.states[ref.state].guard
        assert guard is not None
        a = node.activation
        binders: tuple[Param, ...] = ()
        quiet = Path(p.store, values=dict(p.values))
        cond: Expr = TRUE
        for local, where in op.bound:
            mine = tuple(self.e.names.fresh(s, local.name) for s in index_sorts(local.type, self.e.instance))
            binders += mine
            quiet.values[local.number] = self.e.bundle(local.type, mine)
            if where is not None:
                cond = and_(cond, self.e.truth(where, a, quiet))
        for b, e in zip(self.module.states[ref.state].binders, ref.index, strict=True):
            quiet.values[b.number] = self.e.value(e, a, quiet)

        def holds(term: t.GuardTerm, exclusive: bool) -> Expr:
            index = self.e.lock_index(term.lock, a, quiet)
            mode = self.own_mode(term.lock.lock, index, node, p)
            if exclusive and self.rw(term.lock.lock):
                return eq(mode, Lit(HELD_WRITE))
            return ne(mode, Lit(HELD_NONE))

        if op.write:
            good = and_(*(holds(g, not guard.any_mode) for g in guard.write))
        else:
            good = or_(*(holds(g, g.mode == "write") for g in guard.read))
        verb = "written" if op.write else "read"
        text = " ".join(ref.span.text.split())
        message = f"`{text}` is {verb} without its lock"
        p.check("lock_misuse", forall(binders, implies(cond, good)), message, node.origin, False, TRUE)

    def freeze(self, thread: str, at: tuple[t.Expr, ...] | None, p: Path, node: Node) -> None:
        var = self.shared.stopped.get(thread)
        if var is None:
            return
        if at is None:
            cells = tuple(self.e.fresh(s) for s in var.index)
            p.store.write(var, Write(cells, TRUE, cells))
        else:
            types = tuple(q.type for q in self.e.instance.threads[thread].params)
            index = self.e.index(at, types, node.activation, p, TRUE)
            p.store.write(var, Write(index, TRUE))

    # -- execution without steps and choices, under a condition instead of along one way

    def predicated(self, s: t.Statement, a: Activation, p: Path, alive: Expr) -> Expr:
        """Execute ``s`` where ``alive``; returns the condition under which control goes on behind it."""
        if alive == FALSE:
            return FALSE
        match s:
            case t.Block(body):
                for inner in body:
                    alive = self.predicated(inner, a, p, alive)
                return alive
            case t.Ghost(body):
                outer, self.loops = self.loops, ()
                self.predicated(body, a, p, alive)
                self.loops = outer
            case t.Declare(local, value):
                self.predicated_declare(local, value, a, p, alive, s)
            case t.Assign(place, value):
                if isinstance(value, t.Call):
                    got = self.predicated_call(value, a, p, alive)
                    if got is not None:
                        self.assign_value(place, got, a, p, alive, a.at(s.span))
                elif not isinstance(value, t.BuiltinCall | t.TryAcquire | t.Test):
                    self.assign_value(place, self.e.value(value, a, p, alive), a, p, alive, a.at(s.span))
                else:
                    raise KeyError("built-in in ghost code")
            case t.CallStmt(call):
                self.predicated_call(call, a, p, alive)
            case t.If(condition, then, otherwise):
                cond = self.predicated_condition(condition, a, p, alive)
                yes = self.predicated(then, a, p, and_(alive, cond))
                no = and_(alive, not_(cond))
                if otherwise is not None:
                    no = self.predicated(otherwise, a, p, no)
                if yes == and_(alive, cond) and no == and_(alive, not_(cond)):
                    return alive
                return or_(yes, no)
            case t.ForEach():
                return self.predicated_each(s, a, p, alive)
            case t.ForRange():
                return self.predicated_range(s, a, p, alive)
            case t.Assert(condition, message, family):
                outer, self.loops = self.loops, ()
                cond = self.e.truth(condition, a, p, alive)
                p.spoken = (*p.spoken, (family, and_(*p.fatal, alive)))
                p.check(family, cond, message, a.at(s.span), False, alive)
                self.loops = outer
            case t.Return(value):
                if value is not None:
                    result = p.values.get(_RESULT)
                    got = self.predicated_value(value, a, p, alive)
                    if got is not None:
                        assert not isinstance(result, ThreadInstance)
                        p.values[_RESULT] = got if result is None else choose_value(alive, got, result)
                return FALSE
            case t.Skip():
                pass
            case t.Region(_, body):
                return self.predicated(body, a, p, alive)
            case _:
                raise KeyError(type(s).__name__)
        return alive

    def predicated_value(self, value: t.Rhs, a: Activation, p: Path, alive: Expr) -> Value | None:
        if isinstance(value, t.Call):
            return self.predicated_call(value, a, p, alive)
        if isinstance(value, t.BuiltinCall | t.TryAcquire | t.Test):
            raise KeyError("built-in in ghost code")
        return self.e.value(value, a, p, alive)

    def predicated_condition(self, condition: t.Rhs, a: Activation, p: Path, alive: Expr) -> Expr:
        if isinstance(condition, t.Test):
            assert isinstance(condition.call, t.Call)
            got = self.predicated_call(condition.call, a, p, alive)
            assert got is not None
            rest = [self.e.truth(x, a, p, alive) for x in condition.args]
            return decided(apply(condition.op, scalar(got), *rest))
        got = self.predicated_value(condition, a, p, alive)
        assert got is not None
        return decided(scalar(got))

    def predicated_declare(
        self, local: t.Local, value: t.Rhs | None, a: Activation, p: Path, alive: Expr, s: t.Declare
    ) -> None:
        if value is None:
            p.values[local.number] = default_value(self.e.shape(local.type))
            return
        got = self.predicated_value(value, a, p, alive)
        assert got is not None
        p.values[local.number] = got

    def assign_value(self, place: t.Place, value: Value, a: Activation, p: Path, alive: Expr, origin: Origin) -> None:
        """An assignment under a condition; a local of the ghost code itself is a value, not kept in the state."""
        if isinstance(place, t.LocalRef) and place.local.number in p.values:
            old = p.values[place.local.number]
            assert not isinstance(old, ThreadInstance)
            p.values[place.local.number] = choose_value(alive, value, old)
            return
        self.put(place, value, a, p, origin, alive)

    def predicated_call(self, call: t.Call, a: Activation, p: Path, alive: Expr) -> Value | None:
        routine = self.e.instance.routines[call.routine]
        assert routine.body is not None
        inner = Activation(call.routine, a.at(call.span))
        if t.THIS_CPU in a.bindings:
            inner.bindings[t.THIS_CPU] = a.bindings[t.THIS_CPU]
        for param, arg in zip(routine.params, call.args, strict=True):
            if param.ref:
                inner.bindings[param.number] = Alias(arg, a)
            else:
                p.values[param.number] = self.e.value(arg, a, p, alive)
        outer = p.values.pop(_RESULT, None)
        self.predicated(routine.body, inner, p, alive)
        result = p.values.pop(_RESULT, None)
        if outer is not None:
            p.values[_RESULT] = outer
        assert not isinstance(result, ThreadInstance)
        return result

    def predicated_each(self, s: t.ForEach, a: Activation, p: Path, alive: Expr) -> Expr:
        """All turns at once where no turn can see another; otherwise one after the other."""
        sorts = index_sorts(s.local.type, self.e.instance)
        if independent(s, self.module):
            binders = tuple(self.e.names.fresh(x, s.local.name) for x in sorts)
            inner = Path(Store(dict(p.store.writes)), values=dict(p.values), bound=p.bound + binders)
            inner.values[s.local.number] = self.e.bundle(s.local.type, binders)
            where = self.e.truth(s.where, a, inner) if s.where is not None else TRUE
            if s.domain is not None:
                domain = self.e.value(s.domain, a, inner)
                assert isinstance(domain, SetValue)
                where = and_(where, domain.member(binders))
            before = {v: len(w) for v, w in inner.store.writes.items()}
            self.predicated(s.body, a, inner, where)
            for var, writes in inner.store.writes.items():
                for w in writes[before.get(var, 0) :]:
                    new = Write(w.index, w.value, binders + w.binders, and_(alive, w.where))
                    p.store.write(var, new)
            for family, spoken in inner.spoken:
                p.spoken = (*p.spoken, (family, and_(*p.fatal, alive, exists(binders, spoken))))
            for c in inner.checks:
                p.check(c.prop, forall(binders, c.cond), c.message, c.origin, c.fatal, alive)
            return alive
        if any(isinstance(x, ScalarSort) and size_of(x) > max(x.named, 1) for x in sorts):
            headline = f"the outcome of this loop may depend on the order in which `{s.local.name}` is visited"
            mend = "write only cells indexed by the member, or say it with `forall`, `exists` or `count`"
            raise ModelError([Diagnostic(ORDER_OF_MEMBERS, headline, (Label(s.span),), mend)])
        for values in _tuples(sorts):
            member = tuple(Lit(v) for v in values)
            p.values[s.local.number] = self.e.bundle(s.local.type, member)
            where = self.e.truth(s.where, a, p, alive) if s.where is not None else TRUE
            if s.domain is not None:
                domain = self.e.value(s.domain, a, p, alive)
                assert isinstance(domain, SetValue)
                where = and_(where, domain.member(member))
            after = self.predicated(s.body, a, p, and_(alive, where))
            if after != and_(alive, where):
                alive = or_(after, and_(alive, not_(where)))
        return alive

    def predicated_range(self, s: t.ForRange, a: Activation, p: Path, alive: Expr) -> Expr:
        first, end = self.e.truth(s.first, a, p, alive), self.e.truth(s.end, a, p, alive)
        step = self.e.truth(s.step, a, p, alive) if s.step is not None else Lit(1)
        i = apply(Op.SUB, end, step) if s.down else first
        origin = a.at(s.span)
        shape = self.e.shape(s.local.type)
        for _ in range(MAX_VISITS):
            inside = decided(apply(Op.GE, i, first) if s.down else apply(Op.LT, i, end))
            alive_turn = and_(alive, inside)
            limits = interval(i)
            bound = interval(first if s.down else end)
            if limits is not None and bound is not None:
                over = limits[1] < bound[0] if s.down else limits[0] >= bound[1]
                if over:
                    return alive
            if alive_turn == FALSE:
                return alive
            self.fit(shape, i, t.LocalRef(s.local, type=s.local.type, span=s.span), p, origin, alive_turn)
            p.values[s.local.number] = i
            after = self.predicated(s.body, a, p, alive_turn)
            if after != alive_turn:
                alive = or_(after, and_(alive, not_(inside)))
            i = apply(Op.SUB if s.down else Op.ADD, i, step)
        raise ModelError([Diagnostic(ENDLESS_STEP, "this loop has no evident end", (Label(s.span),))])


_RESULT = 0  # the number under which a routine's result is kept while it is executed


def _inside(node: Node) -> tuple[int, ...]:
    """The loops with a ``retry`` of whose turns ``node`` is part."""
    return (*node.loops, node.op.loop) if isinstance(node.op, ops.Head) else node.loops


def _before(x: tuple[Expr, ...], y: tuple[Expr, ...]) -> Expr:
    """Lexicographic order."""
    if not x:
        return FALSE
    return or_(apply(Op.LT, x[0], y[0]), and_(eq(x[0], y[0]), _before(x[1:], y[1:])))


def _tuples(sorts: tuple[Sort, ...]) -> Iterator[tuple[int, ...]]:
    yield from product(*(values_of(s) for s in sorts))
