"""Which accesses are contended: section "Steps" of the language reference, decided statically for a whole file.

All threads and all variants count, and every indexed thread counts as at least two, so that neither sizes nor scenarios
renumber a trace. The analysis walks each thread with every routine that it may call (all variants of it), tracks which
locks are surely held, and compares accesses pairwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TypeAlias, assert_never

from protocheck.ir.expr import Op
from protocheck.ir.system import MASKS, LockKind
from protocheck.records import dataclass
from protocheck.types.tree import (
    THIS_CPU,
    Acquire,
    Apply,
    Assert,
    Assign,
    AtLabel,
    Atomic,
    Await,
    Block,
    Break,
    Bug,
    Builtin,
    BuiltinCall,
    Call,
    CallStmt,
    Changed,
    CheckedModule,
    Choose,
    Const,
    Continue,
    Declare,
    Downgrade,
    Either,
    Expr,
    Field,
    Finished,
    FnCall,
    ForEach,
    ForRange,
    Ghost,
    Halt,
    Havoc,
    Held,
    Hold,
    If,
    InRegion,
    Ipi,
    LocalRef,
    LockRef,
    Member,
    MightSleep,
    NoneLit,
    Old,
    ParamRef,
    Place,
    Quantified,
    RecordLit,
    Region,
    Release,
    RequiresHeld,
    Retry,
    Return,
    Rhs,
    Routine,
    SetLit,
    SizeOf,
    Skip,
    StaleLit,
    Statement,
    StateRef,
    Stop,
    Synchronize,
    Test,
    ThreadDecl,
    TryAcquire,
    Unwrap,
    While,
    With,
    Wrap,
)
from protocheck.types.types import SnapshotType

# What is known of an index: ("own", i): the thread's own i-th index; ("const", v); ("local", n): the immutable local n
# of this very activation; ("any", -1): nothing, and not even equal to itself.
Form: TypeAlias = tuple[str, int]
ANY: Form = ("any", -1)


@dataclass(frozen=True)
class HeldForm:
    """A lock that is surely held; ``every``: all instances of the array are."""

    lock: str
    index: tuple[Form, ...]
    mode: str
    every: bool = False


HeldForms: TypeAlias = tuple[HeldForm, ...]


@dataclass(frozen=True)
class Access:
    """One access to shared state by a thread class. ``wild``: through ``racy``, an ``await`` or a ``retry`` turn."""

    thread: str
    state: str
    index: tuple[Form, ...]
    write: bool
    held: HeldForms
    wild: bool = False
    frees: bool = False  # the write is that of ``free``, which heeds no guard


@dataclass(frozen=True)
class Contention:
    """The answer for one file; made by :func:`contention`."""

    module: CheckedModule = field(repr=False)
    accesses: tuple[Access, ...] = field(repr=False)
    wild: frozenset[str]

    def contended(self, access: Access) -> bool:
        """Whether ``access`` (not necessarily one of the recorded ones) is contended."""
        declaration = self.module.states[access.state]
        if declaration.ghost:
            return False
        meeting = [
            other
            for other in self.accesses
            if other.state == access.state
            and self._conflict(access, other)
            and (access.state in self.wild or not self._excluded(access, other))
        ]
        if any(other.frees for other in meeting) and not self._pinned(access):
            return True
        if access.state not in self.wild and self._guarded(access):
            return False
        return any(not other.frees for other in meeting)

    def _pinned(self, access: Access) -> bool:
        """Whether a lock of the object itself is surely held: a run in which it is freed meanwhile ends there."""
        pool = next((p for p in self.module.pools.values() if access.state in p.fields), None)
        return pool is not None and any(
            h.lock in pool.locks
            and self.module.locks[h.lock].kind is not LockKind.FLAG
            and not h.every
            and h.index[0] == access.index[0] != ANY
            for h in access.held
        )

    def shared(self, state: str) -> bool:
        """Whether two different threads may touch ``state``, one of them writing, whatever locks they hold."""
        mine = [a for a in self.accesses if a.state == state]
        return any(self._conflict(a, b) for a in mine for b in mine)

    def writers(self, state: str) -> tuple[str, ...]:
        """Thread classes whose code contains a write to ``state``, in order of first appearance."""
        return tuple(dict.fromkeys(a.thread for a in self.accesses if a.state == state and a.write))

    def _conflict(self, a: Access, b: Access) -> bool:
        if not (a.write or b.write):
            return False
        if a.thread == b.thread:
            own = {x[1] for x, y in zip(a.index, b.index, strict=False) if x == y and x[0] == "own"}
            if own.issuperset(range(len(self.module.threads[a.thread].params))):
                return False  # one and the same thread, or different cells
        return not any(x[0] == y[0] == "const" and x != y for x, y in zip(a.index, b.index, strict=False))

    def _guarded(self, access: Access) -> bool:
        """Whether a declared guard is surely held; the declaration is checked in every run, so it can be relied on.

        That helps only if the guard keeps readers and writers apart: what suffices to read must be needed to write.
        """
        guard = self.module.states[access.state].guard
        if guard is None or guard.any_mode or guard.read_any:
            return False
        needed = [t.lock for t in guard.write]
        if not all(t.lock in needed and self.module.locks[t.lock.lock].kind is not LockKind.SRCU for t in guard.read):
            return False
        declared = self.module.states[access.state].binders
        binders = {b.number: form for b, form in zip(declared, access.index, strict=True)}

        def holds(term_lock: LockRef, exclusive: bool) -> bool:
            wanted = tuple(form_of(i, binders) for i in term_lock.index)
            kind = self.module.locks[term_lock.lock].kind
            return any(
                h.lock == term_lock.lock
                and (h.every or (h.index == wanted and ANY not in wanted))
                and (not exclusive or h.mode == "write" or kind in (LockKind.MUTEX, LockKind.SPINLOCK))
                and kind is not LockKind.SRCU
                for h in access.held
            )

        if access.write:
            return bool(guard.write) and all(holds(t.lock, True) for t in guard.write)
        return any(holds(t.lock, t.mode == "write") for t in guard.read)

    def _excluded(self, a: Access, b: Access) -> bool:
        for held in a.held:
            if self.module.locks[held.lock].kind in (LockKind.SRCU, LockKind.FLAG, *MASKS):
                continue
            for other in b.held:
                if other.lock != held.lock or (held.mode == other.mode == "read"):
                    continue
                if held.every or other.every:
                    return True
                mine, theirs = _relative(held.index, a.index), _relative(other.index, b.index)
                if mine == theirs and ANY not in mine:
                    return True
        return False


def _relative(lock: tuple[Form, ...], cell: tuple[Form, ...]) -> tuple[Form, ...]:
    """The index of a lock in terms of the cell's own index, so that it can be compared between threads."""
    result = []
    for form in lock:
        if form == ANY:
            result.append(ANY)
        elif form in cell:
            result.append(("cell", cell.index(form)))
        else:
            result.append(form if form[0] == "const" else ANY)
    return tuple(result)


def form_of(e: Expr, forms: Mapping[int, Form]) -> Form:
    """What is known of the index expression ``e``, given what is known of locals (by number)."""
    match e:
        case Const():
            return ("const", e.value)
        case LocalRef(local):
            known = forms.get(local.number)
            if known is not None:
                return known
            return ANY if local.mutable or local.ref else ("local", local.number)
        case Wrap(base) | Unwrap(base):
            return form_of(base, forms)
        case _:
            return ANY


def contention(module: CheckedModule) -> Contention:
    """Collect every access of every thread of ``module``, over all variants."""
    walker = _Walker(module, {})
    accesses: dict[Access, None] = {}
    for thread in _threads(module):
        for access in walker.thread(thread):
            accesses[access] = None
    wild = frozenset(a.state for a in accesses if a.wild) | {n for n, s in module.states.items() if s.racy}
    return Contention(module, tuple(accesses), wild)


def held_at_head(
    loop: While | ForEach | ForRange,
    thread: str,
    held: HeldForms,
    forms: Mapping[int, Form],
    refs: Mapping[int, tuple[str, tuple[Form, ...]]],
    module: CheckedModule,
) -> HeldForms:
    """What of ``held`` is surely held whenever a turn of ``loop`` begins: a turn may release some of it."""
    context = _Context(thread, dict(forms), dict(refs), held, [])
    _Walker(module, {}).loop(loop.body, None, True, context)
    return context.head


def _threads(module: CheckedModule) -> Iterator[ThreadDecl]:
    for name, thread in module.threads.items():
        yield thread
        for variant in module.variants:
            if variant.target == name and isinstance(variant.replacement, ThreadDecl):
                yield variant.replacement


@dataclass
class _Context:
    thread: str
    forms: dict[int, Form]
    refs: dict[int, tuple[str, tuple[Form, ...]]]
    held: HeldForms
    out: list[Access]
    stack: tuple[str, ...] = ()
    head: HeldForms = ()
    breaks: list[HeldForms] = field(default_factory=list)
    continues: list[HeldForms] = field(default_factory=list)
    returns: list[HeldForms] = field(default_factory=list)

    def form(self, e: Expr) -> Form:
        return form_of(e, self.forms)


@dataclass(frozen=True)
class _Walker:
    module: CheckedModule
    cache: dict[tuple[object, ...], tuple[tuple[Access, ...], HeldForms]]

    def thread(self, thread: ThreadDecl) -> list[Access]:
        forms: dict[int, Form] = {p.number: ("own", i) for i, p in enumerate(thread.params)}
        if thread.cpu is not None:
            forms[THIS_CPU] = form_of(thread.cpu, forms)
        context = _Context(thread.name, forms, {}, (), [])
        self.block(thread.body, context)
        return context.out

    # -- statements; each returns False if control does not go on after it

    def block(self, block: Block, c: _Context) -> bool:
        return all(self.statement(s, c) for s in block.body)

    def statement(self, s: Statement, c: _Context) -> bool:
        match s:
            case Declare(local, value):
                if value is not None:
                    self.rhs(value, c)
                    if not local.mutable and not isinstance(value, Call | BuiltinCall | TryAcquire | Test):
                        form = c.form(value)
                        if form != ANY:
                            c.forms[local.number] = form
            case Assign(place, value):
                self.rhs(value, c)
                self.store(place, c)
            case CallStmt(call):
                self.call(call, c)
            case Builtin(call):
                self.rhs(call, c)
            case Choose(_, where, otherwise):
                self.waiting(where, c)
                if otherwise is not None:
                    self.branches((otherwise,), c, fall_through=True)
            case Havoc(place):
                self.store(place, c)
            case If(condition, then, otherwise):
                return self.conditional(condition, then, otherwise, c)
            case While(condition, body):
                return self.loop(body, condition, condition is not None, c)
            case ForEach(_, where, body, domain):
                if domain is not None:
                    self.reads(domain, c)
                return self.loop(body, where, True, c)
            case ForRange(_, first, end, step, _, body):
                for e in (first, end, step):
                    if e is not None:
                        self.reads(e, c)
                return self.loop(body, None, True, c)
            case Return(value):
                if value is not None:
                    self.rhs(value, c)
                c.returns.append(c.held)
                return False
            case Break():
                c.breaks.append(c.held)
                return False
            case Continue() | Retry():
                c.continues.append(c.held)
                return False
            case Halt() | Bug():
                return False
            case Either(branches):
                return self.branches(branches, c, fall_through=False)
            case Atomic(body) | Region(_, body):
                return self.block(body, c)
            case Block():
                return self.block(s, c)
            case Ghost() | Assert() | RequiresHeld() | Skip() | MightSleep() | Stop():
                pass
            case With(locks, body):
                taken = []
                for lock, mode in locks:
                    for e in lock.index:
                        self.reads(e, c)
                    taken.append(self.held(lock, mode, False, c))
                    c.held = (*c.held, taken[-1])
                marks = [(jumps, len(jumps)) for jumps in (c.breaks, c.continues, c.returns)]
                goes_on = self.block(body, c)
                for jumps, start in marks:
                    jumps[start:] = [_without(h, taken) for h in jumps[start:]]
                c.held = _without(c.held, taken)
                return goes_on
            case Hold(locks, body):
                taken = []
                for lock, mode, busy in locks:
                    for e in lock.index:
                        self.reads(e, c)
                    self.reads(busy, c)
                    c.returns.append(_without(c.held, taken))
                    taken.append(self.held(lock, mode, False, c))
                    c.held = (*c.held, taken[-1])
                start = len(c.returns)
                goes_on = self.block(body, c)
                c.returns[start:] = [_without(h, taken) for h in c.returns[start:]]
                c.held = _without(c.held, taken)
                return goes_on
            case Acquire(lock, mode, every):
                for e in lock.index:
                    self.reads(e, c)
                c.held = (*c.held, self.held(lock, mode, every, c))
            case Release(lock, _, every):
                c.held = released(c.held, self.held(lock, "", every, c))
            case Downgrade(lock):
                lower = self.held(lock, "read", False, c)
                known = any((h.lock, h.index) == (lower.lock, lower.index) for h in c.held)
                c.held = released(c.held, lower)
                if known:
                    c.held = (*c.held, lower)
            case Synchronize():
                pass
            case Ipi(_, cpu):
                self.reads(cpu, c)
            case Await(condition, _, unless, _, killed):
                self.waiting(condition, c)
                self.waiting(unless, c)
                if killed is not None:
                    self.branches((killed,), c, fall_through=True)
            case _:
                assert_never(s)
        return True

    def conditional(self, condition: Rhs, then: Block, otherwise: Block | None, c: _Context) -> bool:
        self.rhs(condition, c)
        taken: HeldForms = ()
        negated = False
        match condition:
            case TryAcquire(lock=lock, mode=mode) if self.module.locks[lock.lock].kind is not LockKind.FLAG:
                taken = (self.held(lock, mode, False, c),)
            case Test(op=Op.NOT, call=TryAcquire(lock=lock, mode=mode)) if (
                self.module.locks[lock.lock].kind is not LockKind.FLAG
            ):
                taken, negated = (self.held(lock, mode, False, c),), True
            case _:
                pass
        before = c.held
        ends: list[HeldForms] = []
        for holds, body in ((not negated, then), (negated, otherwise)):
            c.held = (*before, *taken) if holds else before
            if body is None or self.block(body, c):
                ends.append(c.held)
        return self.merge(ends, before, c)

    def branches(self, blocks: Iterable[Block], c: _Context, fall_through: bool) -> bool:
        before = c.held
        ends = [before] if fall_through else []
        for block in blocks:
            c.held = before
            if self.block(block, c):
                ends.append(c.held)
        return self.merge(ends, before, c)

    def merge(self, ends: list[HeldForms], before: HeldForms, c: _Context) -> bool:
        c.held = _common(ends) if ends else before
        return bool(ends)

    def loop(self, body: Block, condition: Expr | None, may_skip: bool, c: _Context) -> bool:
        """What is surely held at the head is what every way to it holds: repeated until that is stable."""
        c.head = c.held
        head = c.held
        breaks, continues = c.breaks, c.continues
        start, returned = len(c.out), len(c.returns)
        while True:
            c.held, c.breaks, c.continues = head, [], []
            if condition is not None:
                self.reads(condition, c)
            ends = [*c.continues, c.held] if self.block(body, c) else c.continues
            again = _common([head, *ends])
            if again == head:
                break
            head = again
            del c.out[start:], c.returns[returned:]
        if has_retry(body):
            c.out.extend(
                Access(a.thread, a.state, a.index, a.write, a.held, True) for a in c.out[start:] if not a.write
            )
        c.head = head
        exits = [*c.breaks, head] if may_skip else c.breaks
        c.breaks, c.continues = breaks, continues
        if exits:
            c.held = tuple(h for h in _common(exits) if h in head or not any(f[0] == "local" for f in h.index))
        return bool(exits)

    # -- expressions

    def held(self, lock: LockRef, mode: str, every: bool, c: _Context) -> HeldForm:
        return HeldForm(lock.lock, tuple(c.form(i) for i in lock.index), mode, every)

    def rhs(self, value: Rhs, c: _Context) -> None:
        match value:
            case Call():
                self.call(value, c)
            case BuiltinCall(place=place, args=args):
                for e in args:
                    self.reads(e, c)
                if value.name != "snapshot":
                    self.store(place, c)
                elif isinstance(place, StateRef):
                    for e in place.index:
                        self.reads(e, c)
                self.place_read(place, c)
                if value.name == "free" and isinstance(place, StateRef):
                    self.free(place, c)
            case TryAcquire(lock=lock):
                for e in lock.index:
                    self.reads(e, c)
            case Test(call=call, args=args):
                self.rhs(call, c)
                for e in args:
                    self.reads(e, c)
            case _:
                self.reads(value, c)

    def free(self, place: StateRef, c: _Context) -> None:
        """``free`` ends the life of every field of the object."""
        pool = next(p for p in self.module.pools.values() if p.live == place.state)
        for state in pool.fields:
            rest = tuple(ANY for _ in self.module.states[state].binders[1:])
            c.out.append(Access(c.thread, state, (c.form(place.index[0]), *rest), True, c.held, frees=True))

    def call(self, call: Call, c: _Context) -> None:
        for param, arg in zip(self.module.routines[call.routine].params, call.args, strict=True):
            for e in subexpressions(arg) if param.ref else (arg,):
                self.reads(e, c)
        if call.routine in c.stack:
            return
        alternatives = [self.module.routines[call.routine]]
        for v in self.module.variants:
            if v.target == call.routine and isinstance(v.replacement, Routine):
                alternatives.append(v.replacement)
        ends = []
        before = c.held
        for routine in alternatives:
            c.held = before
            self.routine(routine, call, c)
            ends.append(c.held)
        self.merge(ends, before, c)

    def routine(self, routine: Routine, call: Call, c: _Context) -> None:
        if routine.body is None or routine.ghost:
            return
        forms: dict[int, Form] = {THIS_CPU: c.forms[THIS_CPU]} if THIS_CPU in c.forms else {}
        refs: dict[int, tuple[str, tuple[Form, ...]]] = {}
        for param, arg in zip(routine.params, call.args, strict=True):
            if param.ref:
                place = self.place(arg, c)
                if place is not None:
                    refs[param.number] = place
            elif not param.mutable:
                form = c.form(arg)
                forms[param.number] = form if form != ANY else ("local", param.number)
        key = (c.thread, id(routine), tuple(forms.items()), tuple(refs.items()), c.held)
        known = self.cache.get(key)
        if known is None:
            inner = _Context(c.thread, forms, refs, c.held, [], (*c.stack, call.routine))
            ends = [*inner.returns, inner.held] if self.block(routine.body, inner) else inner.returns
            if routine.may_fail:
                ends = [*ends, c.held]
            after = _common(ends) if ends else c.held
            passed = {c.form(x) for p, x in zip(routine.params, call.args, strict=True) if not p.ref}
            known = self.cache[key] = tuple(dict.fromkeys(inner.out)), tuple(foreign(h, passed, c.held) for h in after)
        c.out.extend(known[0])
        c.held = known[1]

    def waiting(self, e: Expr | None, c: _Context) -> None:
        if e is not None:
            start = len(c.out)
            self.reads(e, c)
            c.out[start:] = [Access(a.thread, a.state, a.index, a.write, a.held, True) for a in c.out[start:]]

    def place(self, e: Expr, c: _Context) -> tuple[str, tuple[Form, ...]] | None:
        match e:
            case StateRef(state, index):
                return state, tuple(c.form(i) for i in index)
            case Field(base, _):
                return self.place(base, c)
            case LocalRef(local):
                return c.refs.get(local.number)
            case _:
                return None

    def place_read(self, place: Place, c: _Context) -> None:
        found = self.place(place, c)
        if found is not None:
            c.out.append(Access(c.thread, *found, False, c.held))

    def store(self, place: Place, c: _Context) -> None:
        match place:
            case StateRef(_, index):
                for e in index:
                    self.reads(e, c)
            case Field(base, _) if not isinstance(base, LocalRef):
                for e in subexpressions(base):
                    self.reads(e, c)
            case _:
                pass
        found = self.place(place, c)
        if found is not None:
            c.out.append(Access(c.thread, *found, True, c.held, isinstance(place, StateRef) and place.racy))

    def reads(self, e: Expr, c: _Context) -> None:
        match e:
            case StateRef(state, index, racy):
                for i in index:
                    self.reads(i, c)
                c.out.append(Access(c.thread, state, tuple(c.form(i) for i in index), False, c.held, racy))
            case LocalRef(local) if local.number in c.refs:
                c.out.append(Access(c.thread, *c.refs[local.number], False, c.held))
            case FnCall(fn, args):
                for arg in args:
                    self.reads(arg, c)
                for value in fn_values(fn, self.module):
                    self.reads(value, c)
            case Changed(snapshot):
                self.reads(snapshot, c)
                if isinstance(snapshot.type, SnapshotType):
                    anywhere = tuple(ANY for _ in snapshot.type.index)
                    c.out.append(Access(c.thread, snapshot.type.state, anywhere, False, c.held))
            case _:
                for child in subexpressions(e):
                    self.reads(child, c)


def fn_values(fn: str, module: CheckedModule) -> Iterator[Expr]:
    """The bodies that the function may have: its own, and those of its variants."""
    routines = [module.routines[fn]]
    routines += [v.replacement for v in module.variants if v.target == fn and isinstance(v.replacement, Routine)]
    for routine in routines:
        if routine.value is not None:
            yield routine.value


def released(held: HeldForms, gone: HeldForm) -> HeldForms:
    """What is still surely held after ``gone`` was released (its mode does not matter).

    If it is known to be held, that one alone is gone; otherwise any instance that may be the same one.
    """
    if not gone.every:
        for n in range(len(held) - 1, -1, -1):
            if (held[n].lock, held[n].index) == (gone.lock, gone.index) and ANY not in gone.index:
                return held[:n] + held[n + 1 :]
    return tuple(h for h in held if h.lock != gone.lock or not (gone.every or h.every or _alike(h.index, gone.index)))


def _alike(a: tuple[Form, ...], b: tuple[Form, ...]) -> bool:
    return not any(x[0] == y[0] == "const" and x != y for x, y in zip(a, b, strict=False))


def _without(held: HeldForms, taken: list[HeldForm]) -> HeldForms:
    """``held`` at the end of a ``with`` that took ``taken``, in whatever mode they are held by now."""
    for lock in reversed(taken):
        for n in range(len(held) - 1, -1, -1):
            if (held[n].lock, held[n].index) == (lock.lock, lock.index):
                held = held[:n] + held[n + 1 :]
                break
    return held


def foreign(h: HeldForm, passed: set[Form], before: HeldForms) -> HeldForm:
    """``h`` after the call in which it was taken: of the callee's locals nothing is known any more."""
    if h in before:
        return h
    return HeldForm(h.lock, tuple(ANY if f[0] == "local" and f not in passed else f for f in h.index), h.mode, h.every)


def _common(ways: list[HeldForms]) -> HeldForms:
    """What is held on every way, in the order of the first."""
    return tuple(h for h in ways[0] if all(h in way for way in ways[1:]))


def subexpressions(e: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions of ``e`` (for a function call, its arguments)."""
    match e:
        case Const() | NoneLit() | StaleLit() | ParamRef() | SizeOf() | LocalRef():
            return ()
        case StateRef(_, index):
            return index
        case Field(base, _) | Unwrap(base) | Wrap(base):
            return (base,)
        case Apply(_, args) | FnCall(_, args):
            return args
        case Member(element, domain):
            return (element, domain)
        case SetLit(elements):
            return elements
        case RecordLit(fields):
            return fields
        case Quantified(_, _, where, body):
            return (body,) if where is None else (where, body)
        case Changed(snapshot):
            return (snapshot,)
        case Old(body):
            return (body,)
        case AtLabel(thread) | InRegion(thread) | Finished(thread):
            return thread.index
        case Held(lock, _, by):
            return (*lock.index, *(by.index if by is not None else ()))
        case _:
            assert_never(e)


def has_retry(block: Block) -> bool:
    """Whether a ``retry`` in ``block`` ends a turn of the loop whose body it is (loops inside have their own)."""
    return any(_retries(s) for s in block.body)


def _retries(s: Statement) -> bool:
    match s:
        case Retry():
            return True
        case If(_, then, otherwise):
            return has_retry(then) or (otherwise is not None and has_retry(otherwise))
        case Choose(_, _, otherwise):
            return otherwise is not None and has_retry(otherwise)
        case Await(killed=killed):
            return killed is not None and has_retry(killed)
        case Either(branches):
            return any(has_retry(b) for b in branches)
        case Atomic(body) | Region(_, body) | With(_, body):
            return has_retry(body)
        case Block():
            return has_retry(s)
        case _:
            return False
