"""Which accesses are contended: section "Steps" of the language reference, decided statically for a whole file.

All threads and all variants count, and every indexed thread counts as at least two, so that neither sizes nor scenarios
renumber a trace. The analysis walks each thread with every routine that it may call (all variants of it), tracks which
locks are surely held, and compares accesses pairwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from protocheck.ir.system import LockKind
from protocheck.types.tree import (
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
    If,
    InRegion,
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


@dataclass(frozen=True)
class Access:
    """One access to shared state by a thread class. ``wild``: through ``racy``, an ``await`` or a ``retry`` turn."""

    thread: str
    state: str
    index: tuple[Form, ...]
    write: bool
    held: tuple[HeldForm, ...]
    wild: bool = False


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
        if access.state not in self.wild and self._guarded(access):
            return False
        return any(
            self._conflict(access, other) and (access.state in self.wild or not self._excluded(access, other))
            for other in self.accesses
            if other.state == access.state
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
            if not self._threads_of(a.thread):
                return False
            if any(x == y and x[0] == "own" for x, y in zip(a.index, b.index, strict=False)):
                return False
        return not any(x[0] == y[0] == "const" and x != y for x, y in zip(a.index, b.index, strict=False))

    def _threads_of(self, thread: str) -> bool:
        return bool(self.module.threads[thread].params)

    def _guarded(self, access: Access) -> bool:
        """Whether a declared guard is surely held; the declaration is checked in every run, so it can be relied on."""
        guard = self.module.states[access.state].guard
        if guard is None or guard.any_mode or guard.read_any:
            return False
        binders = {b.number: form for b, form in zip(self.module.states[access.state].binders, access.index, strict=True)}

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
            kind = self.module.locks[held.lock].kind
            if kind is LockKind.SRCU:
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
    wild = frozenset(a.state for a in accesses if a.wild)
    return Contention(module, tuple(accesses), wild)


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
    held: tuple[HeldForm, ...]
    out: list[Access]
    quiet: bool = False
    stack: tuple[str, ...] = ()

    def form(self, e: Expr) -> Form:
        return form_of(e, self.forms)


@dataclass(frozen=True)
class _Walker:
    module: CheckedModule
    cache: dict[tuple[object, ...], tuple[tuple[Access, ...], tuple[HeldForm, ...]]]

    def thread(self, thread: ThreadDecl) -> list[Access]:
        forms: dict[int, Form] = {p.number: ("own", i) for i, p in enumerate(thread.params)}
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
                if condition is not None:
                    self.reads(condition, c)
                self.loop(body, c)
            case ForEach(_, where, body, domain):
                for e in (where, domain):
                    if e is not None:
                        self.reads(e, c)
                self.loop(body, c)
            case ForRange(_, first, end, step, _, body):
                for e in (first, end, step):
                    if e is not None:
                        self.reads(e, c)
                self.loop(body, c)
            case Return(value):
                if value is not None:
                    self.rhs(value, c)
                return False
            case Break() | Continue() | Retry() | Halt() | Bug():
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
                before = c.held
                for lock, mode in locks:
                    for e in lock.index:
                        self.reads(e, c)
                    c.held = (*c.held, self.held(lock, mode, False, c))
                goes_on = self.block(body, c)
                c.held = before
                return goes_on
            case Acquire(lock, mode, every):
                for e in lock.index:
                    self.reads(e, c)
                c.held = (*c.held, self.held(lock, mode, every, c))
            case Release(lock, _, every):
                gone = self.held(lock, "", every, c)
                c.held = tuple(
                    h for h in c.held if h.lock != gone.lock or not (every or h.index == gone.index or ANY in gone.index)
                )
            case Downgrade(lock):
                gone = self.held(lock, "read", False, c)
                c.held = tuple(gone if (h.lock, h.index) == (gone.lock, gone.index) else h for h in c.held)
            case Synchronize():
                pass
            case Await(condition, _, unless):
                self.waiting(condition, c)
                self.waiting(unless, c)
            case _:
                assert_never(s)
        return True

    def conditional(self, condition: Rhs, then: Block, otherwise: Block | None, c: _Context) -> bool:
        self.rhs(condition, c)
        taken: tuple[HeldForm, ...] = ()
        negated = False
        match condition:
            case TryAcquire(lock=lock, mode=mode):
                taken = (self.held(lock, mode, False, c),)
            case Test(call=TryAcquire(lock=lock, mode=mode)):
                taken, negated = (self.held(lock, mode, False, c),), True
            case _:
                pass
        before = c.held
        ends: list[tuple[HeldForm, ...]] = []
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

    def merge(self, ends: list[tuple[HeldForm, ...]], before: tuple[HeldForm, ...], c: _Context) -> bool:
        if not ends:
            c.held = before
            return False
        c.held = tuple(h for h in ends[0] if all(h in end for end in ends[1:]))
        return True

    def loop(self, body: Block, c: _Context) -> None:
        before = c.held
        start = len(c.out)
        self.block(body, c)
        c.held = before
        if has_retry(body):
            c.out.extend(
                Access(a.thread, a.state, a.index, a.write, a.held, True) for a in c.out[start:] if not a.write
            )

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
                self.place_read(place, c)
            case TryAcquire(lock=lock):
                for e in lock.index:
                    self.reads(e, c)
            case Test(call=call, args=args):
                self.rhs(call, c)
                for e in args:
                    self.reads(e, c)
            case _:
                self.reads(value, c)

    def call(self, call: Call, c: _Context) -> None:
        for arg in call.args:
            self.reads(arg, c)
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
        forms: dict[int, Form] = {}
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
            inner = _Context(c.thread, forms, refs, c.held, [], c.quiet, (*c.stack, call.routine))
            returns = self.block(routine.body, inner)
            after = inner.held if returns else c.held
            known = self.cache[key] = tuple(dict.fromkeys(inner.out)), after
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
            c.out.append(Access(c.thread, *found, True, c.held))

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
                value = self.module.routines[fn].value
                if value is not None:
                    self.reads(value, c)
            case _:
                for child in subexpressions(e):
                    self.reads(child, c)


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
        case Either(branches):
            return any(has_retry(b) for b in branches)
        case Atomic(body) | Region(_, body) | With(_, body):
            return has_retry(body)
        case Block():
            return has_retry(s)
        case _:
            return False
