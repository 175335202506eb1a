"""Locks along the ways through each thread: guards visibly not held, releases of nothing, loops that only look.

A forward analysis with routines inlined (all variants of them): ``must`` are the locks held on every way to a point,
``may`` those held on some way. Only what is wrong on *every* way is an error here; the rest is checked in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from protocheck.diagnostics import Diagnostic, Label, Severity
from protocheck.ir.system import LockKind
from protocheck.source import Span
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.contention import ANY, Access, Contention, Form, HeldForm, contention, form_of
from protocheck.types.report import Report
from protocheck.types.scope import World
from protocheck.types.walk import children, everything, statements

Cell: TypeAlias = tuple[str, tuple[Form, ...]]


@dataclass(frozen=True)
class _Held:
    must: frozenset[HeldForm] = frozenset()
    may: frozenset[HeldForm] = frozenset()

    def take(self, *locks: HeldForm) -> _Held:
        return _Held(self.must | set(locks), self.may | set(locks))

    def maybe(self, *locks: HeldForm) -> _Held:
        return _Held(self.must, self.may | set(locks))

    def drop(self, lock: HeldForm) -> _Held:
        sure = frozenset(h for h in self.may if h.lock == lock.lock and h.index == lock.index and ANY not in h.index)
        every = frozenset(h for h in self.may if h.lock == lock.lock) if lock.every else frozenset()
        return _Held(frozenset(h for h in self.must if not _may_match(h, lock)), self.may - sure - every)


def _join(states: Sequence[_Held]) -> _Held | None:
    if not states:
        return None
    return _Held(
        frozenset.intersection(*(s.must for s in states)), frozenset().union(*(s.may for s in states))
    )  # fmt: skip


def _may_match(a: HeldForm, b: HeldForm) -> bool:
    """Whether the two may be the same instance."""
    if a.lock != b.lock:
        return False
    if a.every or b.every:
        return True
    return not any(x[0] == y[0] == "const" and x != y for x, y in zip(a.index, b.index, strict=False))


@dataclass
class _Counts:
    """What a stretch of code does, for the warning about loops that only look."""

    reads: int = 0
    writes: int = 0
    choices: int = 0
    waits: int = 0

    def plus(self, other: _Counts) -> None:
        self.reads += other.reads
        self.writes += other.writes
        self.choices += other.choices
        self.waits += other.waits


@dataclass
class _Frame:
    """One activation: of the thread itself, or of a routine inlined into it."""

    thread: str
    forms: dict[int, Form]
    refs: dict[int, Cell]
    calls: tuple[Span, ...]
    indivisible: bool
    counts: _Counts = field(default_factory=_Counts)
    breaks: list[_Held] = field(default_factory=list)
    continues: list[_Held] = field(default_factory=list)
    returns: list[_Held] = field(default_factory=list)


def check_flow(world: World, module: t.CheckedModule) -> None:
    """Check every thread of ``module``."""
    walker = _Walker(world, module, contention(module))
    for name, thread in module.threads.items():
        walker.thread(thread)
        for variant in module.variants:
            if variant.target == name and isinstance(variant.replacement, t.ThreadDecl):
                walker.thread(variant.replacement)


def flow_faults(module: t.CheckedModule) -> tuple[Diagnostic, ...]:
    """The errors that :func:`check_flow` finds in a module that was changed after it had been checked."""
    report = Report()
    check_flow(World(report), module)
    return tuple(d for d in report.sorted(module.file.path) if d.rule.severity is Severity.ERROR)


class _Walker:
    def __init__(self, world: World, module: t.CheckedModule, contended: Contention) -> None:
        self.world = world
        self.module = module
        self.contended = contended
        self.cache: dict[tuple[object, ...], tuple[_Held | None, _Counts]] = {}
        self.loops: dict[tuple[int, _Held, int], tuple[_Held | None, list[_Held], _Frame]] = {}
        self.quiet = 0

    def thread(self, thread: t.ThreadDecl) -> None:
        forms: dict[int, Form] = {p.number: ("own", i) for i, p in enumerate(thread.params)}
        if thread.cpu is not None:
            forms[t.THIS_CPU] = form_of(thread.cpu, forms)
        self.block(thread.body, _Held(), _Frame(thread.name, forms, {}, (), False))

    # -- statements: each takes what is held before it, and gives what is held after it, or None if nothing follows

    def block(self, block: t.Block, held: _Held, f: _Frame) -> _Held | None:
        at: _Held | None = held
        for s in block.body:
            if at is None:
                return None
            at = self.statement(s, at, f)
        return at

    def statement(self, s: t.Statement, held: _Held, f: _Frame) -> _Held | None:
        match s:
            case t.Block():
                return self.block(s, held, f)
            case t.Declare():
                after = held if s.value is None else self.rhs(s.value, held, f)
                if s.value is not None and not s.local.mutable and isinstance(s.value, t.LocalRef | t.Const | t.Wrap):
                    form = form_of(s.value, f.forms)
                    if form != ANY:
                        f.forms[s.local.number] = form
                if isinstance(s.value, t.TryAcquire) and after is not None:
                    after = after.maybe(self.form(s.value.lock, s.value.mode, False, f))
                return after
            case t.Assign():
                after = self.rhs(s.value, held, f)
                if after is not None:
                    self.store(s.place, after, f)
                if isinstance(s.value, t.TryAcquire) and after is not None:
                    after = after.maybe(self.form(s.value.lock, s.value.mode, False, f))
                return after
            case t.CallStmt() | t.Builtin():
                return self.rhs(s.call, held, f)
            case t.Choose():
                f.counts.choices += 1
                if s.where is not None:
                    self.reads(s.where, held, f, at_once=True)
                if s.otherwise is None:
                    return held
                other = self.block(s.otherwise, held, f)
                return _join([h for h in (held, other) if h is not None])
            case t.Havoc():
                f.counts.choices += 1
                self.store(s.place, held, f)
                return held
            case t.If():
                return self.conditional(s, held, f)
            case t.While():
                return self.loop(s, held, f)
            case t.ForEach():
                for e in (s.domain, s.where):
                    if e is not None:
                        self.reads(e, held, f, at_once=e is s.where)
                f.counts.choices += 1
                return self.turns(s.body, held, f, may_skip=True)
            case t.ForRange():
                for e in (s.first, s.end, s.step):
                    if e is not None:
                        self.reads(e, held, f)
                return self.turns(s.body, held, f, may_skip=True)
            case t.Break():
                f.breaks.append(held)
                return None
            case t.Continue() | t.Retry():
                f.continues.append(held)
                f.counts.waits += isinstance(s, t.Retry)
                return None
            case t.Return():
                after = held if s.value is None else self.rhs(s.value, held, f)
                if after is not None:
                    f.returns.append(after)
                return None
            case t.Either():
                f.counts.choices += 1
                ends = [self.block(b, held, f) for b in s.branches]
                return _join([h for h in ends if h is not None])
            case t.Atomic():
                before, f.indivisible = f.indivisible, True
                after = self.block(s.body, held, f)
                f.indivisible = before
                return after
            case t.Region():
                return self.block(s.body, held, f)
            case t.With():
                return self.with_locks(s, held, f)
            case t.Hold():
                return self.hold(s, held, f)
            case t.Acquire():
                self.index(s.lock, held, f)
                return held.take(self.form(s.lock, s.mode, s.every, f))
            case t.Release():
                self.index(s.lock, held, f)
                self.released(s, held, f)
                return held.drop(self.form(s.lock, "", s.every, f))
            case t.Downgrade():
                lock = self.form(s.lock, "read", False, f)
                if not any(_may_match(h, lock) for h in held.may):
                    self.not_held(s.lock, s.span, f, "downgraded")
                gone = held.drop(lock)
                return gone.take(lock)
            case t.Synchronize():
                f.counts.waits += 1
                return held
            case t.Await():
                f.counts.waits += 1
                for e in (s.condition, s.unless):
                    if e is not None:
                        self.reads(e, held, f, at_once=True)
                if s.killed is None:
                    return held
                return _join([h for h in (held, self.block(s.killed, held, f)) if h is not None])
            case t.RequiresHeld():
                return self.required(s, held, f)
            case t.Halt() | t.Bug():
                return None
            case t.Ipi():
                self.reads(s.cpu, held, f)
                f.counts.waits += s.wait
                f.counts.writes += not s.wait
                return held
            case t.Stop():
                f.counts.writes += 1
                return held
            case t.Ghost() | t.Assert():
                f.counts.writes += 1  # a turn that watches has achieved something
                return held
            case t.Skip() | t.MightSleep():
                return held
            case _:
                assert_never(s)

    def conditional(self, s: t.If, held: _Held, f: _Frame) -> _Held | None:
        after = self.rhs(s.condition, held, f)
        if after is None:
            return None
        yes = no = after
        match s.condition:
            case t.TryAcquire(lock=lock, mode=mode):
                yes = after.take(self.form(lock, mode, False, f))
            case t.Test(call=t.TryAcquire(lock=lock, mode=mode)):
                no = after.take(self.form(lock, mode, False, f))
            case _:
                pass
        ends = [self.block(s.then, yes, f), no if s.otherwise is None else self.block(s.otherwise, no, f)]
        return _join([h for h in ends if h is not None])

    def with_locks(self, s: t.With, held: _Held, f: _Frame) -> _Held | None:
        inside = held
        taken = []
        for lock, mode in s.locks:
            self.index(lock, inside, f)
            taken.append(self.form(lock, mode, False, f))
            inside = inside.take(taken[-1])
        marks = [(jumps, len(jumps)) for jumps in (f.breaks, f.continues, f.returns)]
        after = self.block(s.body, inside, f)
        for jumps, start in marks:
            jumps[start:] = [self._left(h, held, taken) for h in jumps[start:]]
        return None if after is None else self._left(after, held, taken)

    def hold(self, s: t.Hold, held: _Held, f: _Frame) -> _Held | None:
        inside = held
        taken = []
        for lock, mode, busy in s.locks:
            self.index(lock, inside, f)
            self.reads(busy, inside, f)
            f.returns.append(held)
            taken.append(self.form(lock, mode, False, f))
            inside = inside.take(taken[-1])
        start = len(f.returns)
        after = self.block(s.body, inside, f)
        f.returns[start:] = [self._left(h, held, taken) for h in f.returns[start:]]
        return None if after is None else self._left(after, held, taken)

    def _left(self, held: _Held, before: _Held, taken: Iterable[HeldForm]) -> _Held:
        """What is held after the locks of a ``with`` are released, unless they were held before."""
        gone = frozenset(taken)
        return _Held(held.must - (gone - before.must), held.may - (gone - before.may))

    def loop(self, s: t.While, held: _Held, f: _Frame) -> _Held | None:
        outer, f.counts = f.counts, _Counts()
        after = self.turns(s.body, held, f, may_skip=s.condition is not None, condition=s.condition)
        mine, f.counts = f.counts, outer
        outer.plus(mine)
        looks = mine.reads and not (mine.writes or mine.choices or mine.waits or self.quiet)
        if looks and not any(isinstance(p, t.Assign) for p in statements(s.body)):
            word = "loop" if s.condition is None else "while"
            head = Span(s.span.file, s.span.start, s.span.start + len(word))
            self.world.report.add(
                rules.SPINNING_LOOP, "a turn of this loop reads shared state and changes nothing", head,
                "the same turn can be repeated for ever",
                mend="wait with `await e;`, or end a turn that achieved nothing with `retry;`",
            )  # fmt: skip
        return after

    def turns(
        self, body: t.Block, held: _Held, f: _Frame, may_skip: bool, condition: t.Expr | None = None
    ) -> _Held | None:
        """A loop: the state at its head is the meet of all ways to it; found by repeating until it is stable."""
        key = (id(body), held, id(f))
        known = self.loops.get(key) if self.quiet else None
        if known is not None:  # else nested loops would cost time exponential in their depth
            f.returns += known[1]
            return known[0]
        head = held
        breaks, continues, returns = f.breaks, f.continues, f.returns
        self.quiet += 1
        for _ in range(8):
            f.breaks, f.continues, f.returns = [], [], []
            end = self.block(body, head, f)
            again = _join([held, *f.continues, *([end] if end is not None else [])])
            if again is None or again == head:
                break
            head = again
        self.quiet -= 1
        f.breaks, f.continues, f.returns = [], [], []
        if condition is not None:
            self.reads(condition, head, f)
        end = self.block(body, head, f)
        ways = list(f.breaks)
        if may_skip:
            ways += [head, *f.continues, *([end] if end is not None else [])]
        result = _join(ways)
        if self.quiet:
            self.loops[key] = result, f.returns, f
        returns += f.returns  # the same list as before: a `with` around the loop looks at what was added to it
        f.breaks, f.continues, f.returns = breaks, continues, returns
        return result

    # -- expressions and calls

    def rhs(self, value: t.Rhs, held: _Held, f: _Frame) -> _Held | None:
        match value:
            case t.Call():
                return self.call(value, held, f)
            case t.BuiltinCall():
                for e in value.args:
                    self.reads(e, held, f)
                if value.name == "snapshot":
                    self.access(value.place, held, f, write=False)
                else:
                    self.store(value.place, held, f)
                return held
            case t.TryAcquire():
                self.index(value.lock, held, f)
                return held
            case t.Test():
                after = self.rhs(value.call, held, f)
                if after is not None:
                    for e in value.args:
                        self.reads(e, after, f)
                return after
            case _:
                self.reads(value, held, f)
                return held

    def call(self, call: t.Call, held: _Held, f: _Frame) -> _Held | None:
        for arg in call.args:
            if not isinstance(arg, t.StateRef | t.LocalRef) or not self._by_ref(call, arg):
                self.reads(arg, held, f)
        known = self.module.routines.get(call.routine)
        if known is None:
            return held
        replaced = [
            v.replacement
            for v in self.module.variants
            if v.target == call.routine and isinstance(v.replacement, t.Routine)
        ]
        ends = [self.routine(r, call, held, f) for r in (known, *replaced)]
        return _join([h for h in ends if h is not None])

    def _by_ref(self, call: t.Call, arg: t.Expr) -> bool:
        routine = self.module.routines.get(call.routine)
        return routine is not None and any(
            p.ref and a is arg for p, a in zip(routine.params, call.args, strict=False)
        )  # fmt: skip

    def routine(self, routine: t.Routine, call: t.Call, held: _Held, f: _Frame) -> _Held | None:
        if routine.body is None or routine.ghost:
            return held
        forms: dict[int, Form] = {}
        refs: dict[int, Cell] = {}
        for param, arg in zip(routine.params, call.args, strict=False):
            if param.ref:
                cell = self.cell(arg, f)
                if cell is not None:
                    refs[param.number] = cell
            else:
                form = form_of(arg, f.forms)
                forms[param.number] = ("local", param.number) if form == ANY else form
        indivisible = f.indivisible or routine.kind == "op"
        key = (f.thread, id(routine), tuple(forms.items()), tuple(refs.items()), held, indivisible, self.quiet > 0)
        found = self.cache.get(key)
        if found is None:
            inner = _Frame(f.thread, forms, refs, (*f.calls, call.span), indivisible)
            end = self.block(routine.body, held, inner)
            failed = [held] if routine.may_fail else []
            after = _join([*failed, *inner.returns, *([end] if end is not None else [])])
            found = self.cache[key] = after, inner.counts
        f.counts.plus(found[1])
        return found[0]

    def form(self, lock: t.LockRef, mode: str, every: bool, f: _Frame) -> HeldForm:
        return HeldForm(lock.lock, tuple(form_of(i, f.forms) for i in lock.index), mode, every)

    def index(self, lock: t.LockRef, held: _Held, f: _Frame) -> None:
        for e in lock.index:
            self.reads(e, held, f)

    def cell(self, e: t.Expr, f: _Frame) -> Cell | None:
        match e:
            case t.StateRef():
                return e.state, tuple(form_of(i, f.forms) for i in e.index)
            case t.Field():
                return self.cell(e.base, f)
            case t.LocalRef():
                return f.refs.get(e.local.number)
            case _:
                return None

    def store(self, place: t.Place, held: _Held, f: _Frame) -> None:
        at: t.Expr = place
        while isinstance(at, t.Field):
            at = at.base
        if isinstance(at, t.StateRef):
            for e in at.index:
                self.reads(e, held, f)
        self.access(place, held, f, write=True)

    def reads(self, e: t.Expr, held: _Held, f: _Frame, at_once: bool = False) -> None:
        if isinstance(e, t.Quantified) and not at_once:
            self.quantifier(e, held, f)
        for child in children(e):
            self.reads(child, held, f, at_once)
        if isinstance(e, t.StateRef) or (isinstance(e, t.LocalRef) and e.local.number in f.refs):
            self.access(e, held, f, write=False)
        elif isinstance(e, t.Changed) and isinstance(e.snapshot.type, ty.SnapshotType):
            cell = (e.snapshot.type.state, tuple(ANY for _ in e.snapshot.type.index))
            self.guarded(cell, e.span, held, f, write=False)
            f.counts.reads += 1

    def access(self, e: t.Expr, held: _Held, f: _Frame, write: bool) -> None:
        cell = self.cell(e, f)
        if cell is None or cell[0] not in self.module.states or self.module.states[cell[0]].ghost:
            return
        if write:
            f.counts.writes += 1
        elif self.contended.shared(cell[0]):
            f.counts.reads += 1
        racy = isinstance(e, t.StateRef) and e.racy
        if not racy:
            self.guarded(cell, e.span, held, f, write)

    # -- the findings

    def blurred(self, span: Span, f: _Frame) -> bool:
        """Whether a faulty statement about a lock stands around this place, or around a call on the way to it."""
        return any(
            b.file.path == at.file.path and b.start <= at.start and at.end <= b.end
            for b in self.world.blurred
            for at in (span, *f.calls)
        )

    def guarded(self, cell: Cell, span: Span, held: _Held, f: _Frame, write: bool) -> None:
        state = self.module.states.get(cell[0])
        if state is None or state.guard is None or self.quiet or self.blurred(span, f):
            return
        guard = state.guard
        forms = {b.number: form for b, form in zip(state.binders, cell[1], strict=False)}

        def possible(term: t.GuardTerm, exclusive: bool) -> bool:
            wanted = HeldForm(term.lock.lock, tuple(form_of(i, forms) for i in term.lock.index), "")
            kind = self.module.locks[term.lock.lock].kind
            shared = kind.shared
            return any(_may_match(h, wanted) and (not exclusive or not shared or h.mode == "write") for h in held.may)

        if write:
            missing = [term for term in guard.write if not possible(term, not guard.any_mode)]
        else:
            free = guard.read_any or not guard.read or any(possible(term, False) for term in guard.read)
            missing = [] if free else list(guard.read)
        if not missing:
            return
        names = [term.lock.span.text for term in missing]
        verb, word = ("written", "with") if write else ("read", "with")
        needed = " and ".join(f"`{n}`" for n in names) if write else " or ".join(f"`{n}`" for n in names)
        weak = write and any(h.lock == missing[0].lock.lock for h in held.may)
        how = f"{needed} held for reading only" if weak else f"without {needed}"
        why = [Label(missing[0].lock.span, f"`{cell[0]}` is guarded here")]
        if f.calls:
            why.append(Label(f.calls[-1], "called from here"))
        mode = " write" if weak else ""
        self.world.report.add(
            rules.UNGUARDED_ACCESS, f"`{cell[0]}` is {verb} {how}", span,
            f"{needed} is not held here" if not weak else "needs the write mode", why,
            f"write `{word} {names[0]}{mode} {{ ... }}`, or `racy({span.text})` if it is meant",
        )  # fmt: skip

    def released(self, s: t.Release, held: _Held, f: _Frame) -> None:
        if self.quiet or self.module.locks[s.lock.lock].kind is LockKind.FLAG:
            return
        lock = self.form(s.lock, s.mode, s.every, f)
        matching = [h for h in held.may if _may_match(h, lock)]
        if not matching:
            self.not_held(s.lock, s.span, f, "released")
        elif s.mode and not any(h.mode == s.mode for h in matching):
            self.world.report.add(
                rules.WRONG_LOCK_MODE,
                f"`{s.lock.span.text}` is held for {matching[0].mode}, and released for {s.mode}",
                s.span, "the other mode", mend=f"write `release {s.lock.span.text};`",
            )  # fmt: skip

    def not_held(self, lock: t.LockRef, span: Span, f: _Frame, verb: str) -> None:
        if self.quiet or self.blurred(span, f):
            return
        span_of = self.module.locks[lock.lock].span
        why = [Label(span_of, f"`{span_of.text or lock.lock}` is declared here")]
        if f.calls:
            why.append(Label(f.calls[-1], "called from here"))
        self.world.report.add(
            rules.LOCK_NOT_HELD, f"`{lock.span.text}` is {verb} but not held", span, "never taken on the way here", why,
            "take it before, on every way",
        )  # fmt: skip

    def required(self, s: t.RequiresHeld, held: _Held, f: _Frame) -> _Held:
        """``requires held(l)``: at the call it must be possible; inside it is relied on."""
        after = held
        parts = s.held.args if isinstance(s.held, t.Apply) and s.held.op.value == "&&" else (s.held,)
        for part in parts:
            if not isinstance(part, t.Held):
                continue
            lock = self.form(part.lock, part.mode or "write", False, f)
            matching = [h for h in held.may if _may_match(h, lock) and part.mode in ("", h.mode, "read")]
            if not matching and f.calls and not self.quiet and not self.blurred(s.span, f):
                self.world.report.add(
                    rules.LOCK_NOT_HELD, f"`{part.lock.span.text}` must be held for this call", f.calls[-1],
                    "is not held here", [Label(s.span, "required here")],
                    f"write `with {part.lock.span.text} {{ ... }}` around it",
                )  # fmt: skip
            if not matching:
                after = after.take(lock)
        return after

    def quantifier(self, e: t.Quantified, held: _Held, f: _Frame) -> None:
        """Many contended cells cannot be read in one step, unless the author says so."""
        if f.indivisible or self.quiet:
            return
        for part in everything(e):
            if not isinstance(part, t.StateRef) or self.module.states[part.state].ghost:
                continue
            index = tuple(form_of(i, f.forms) for i in part.index)
            access = Access(f.thread, part.state, index, False, tuple(sorted(held.must, key=repr)))
            if self.contended.contended(access):
                self.world.report.add(
                    rules.UNPROTECTED_QUANTIFIER,
                    f"`{e.kind.value}` reads contended cells of `{part.state}` one by one",
                    Span(e.span.file, e.span.start, e.span.start + len(e.kind.value)), "not one step",
                    [Label(part.span, "another thread may write this meanwhile")],
                    "hold the lock that guards it, write a `for` loop, or claim `atomic { }`",
                )  # fmt: skip
                return
