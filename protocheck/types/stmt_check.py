"""Statements: what may stand where, what follows from what, and the smaller set of statements the compiler knows.

Spelt out here: ``with``, ``under``, compound assignment, conditions that call, ghost statements in real code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import assert_never

from protocheck.diagnostics import Label, Rule
from protocheck.ir.expr import Op
from protocheck.ir.system import LockKind
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import objects, rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.calls import assigned, check_call, forget, place
from protocheck.types.expr_check import OPERATORS, Exprs
from protocheck.types.ranges import INT, fold, number
from protocheck.types.scope import RoutineSymbol, StateSymbol, ThreadSymbol, show
from protocheck.types.type_check import is_int
from protocheck.types.unwind import Inside, Undo, Unwinding, error_test, has_errors
from protocheck.types.walk import call_of, larger_than, rhs_of

MAX_BOUND = 40

BOOL = ty.BoolType()
ERROR = ty.ErrorType()


@dataclass
class _Loop:
    """A loop around the current statement; ``ghost`` if it stands in ghost code."""

    kind: str  # "loop", "while", "for"
    ghost: bool
    left: bool = False  # by a break


class Stmts:
    """Checks the body of one routine, thread or init block."""

    def __init__(self, x: Exprs, *, what: str, result: ty.Type | None = None) -> None:
        self.x = x
        self.what = what  # "op", "proc", "thread", "init"
        self.result = result  # of a routine that has one
        self.loops: list[_Loop] = []
        self.live = True
        self.indivisible = what == "op"
        self.first = True  # nothing but the first statement of an op or atomic block may block
        self.routine_ghost = x.mode == "ghost"
        self.unwinding = Unwinding(x.world, self._fixed)
        self.undoing = False  # in an `on_error` block

    # ------------------------------------------------------------------------------------------------- structure

    def body(self, node: n.Block) -> t.Block:
        """The whole body; whoever calls looks at ``live`` to see if control reaches its end."""
        self.x.whole = node.span
        return self.block(node)

    def block(self, node: n.Block) -> t.Block:
        """A block with a scope of its own."""
        opened = len(self.unwinding.open)
        with self.x.scope():
            out: list[t.Statement] = []
            dead = False
            for k, statement in enumerate(node.statements):
                if not self.live and not dead:
                    dead = self.live = True
                    self.x.error(
                        rules.UNREACHABLE_CODE, "this is never executed", _head(statement), "control never comes here",
                        [Label(_head(node.statements[k - 1]), "it goes elsewhere here")],
                        "remove it, or make the way to it",
                    )  # fmt: skip
                nxt = node.statements[k + 1] if k + 1 < len(node.statements) else None
                out.extend(self.statement(statement, nxt))
                self.first = False
            self.live = self.live and not dead
        self.unwinding.close(opened)
        return t.Block(body=tuple(out), span=node.span)

    def statement(self, node: n.Stmt, after: n.Stmt | None = None) -> list[t.Statement]:
        """What ``node`` becomes: mostly one statement, more where calls are lifted out of it."""
        pre: list[t.Statement] = []
        self.x.pre, self.x.reads = pre, 0
        done = self._statement(node, after)
        for s in (*pre, *done):
            call = call_of(rhs_of(s))
            if isinstance(call, t.BuiltinCall) and call.name == "new" and self.what != "init":
                self._may_block(call.span, "`new`")
        return [*pre, *done]

    def _statement(self, node: n.Stmt, after: n.Stmt | None) -> list[t.Statement]:
        x, span = self.x, node.span
        match node:
            case n.Block():
                return [self.block(node)]
            case n.VarDecl():
                return self._var(node, after)
            case n.Let():
                return self._let(node)
            case n.LetNew():
                return self._let_new(node)
            case n.Free():
                freed = objects.free(x, node)
                return [] if freed is None else [t.Builtin(call=freed, span=span)]
            case n.Assign():
                return self._assign(node)
            case n.ExprStmt() | n.Ignore():
                return self._call(node)
            case n.Try():
                return self._try(node)
            case n.OnError():
                return self._on_error(node)
            case n.Choose():
                return self._choose(node)
            case n.Havoc():
                return self._havoc(node)
            case n.If():
                return self._if(node)
            case n.While():
                return self._while(node)
            case n.Loop():
                body, left = self._turns(node.body, "loop")
                self.live = left
                return [t.While(condition=None, body=body, span=span)]
            case n.Budget():
                return self._budget(node)
            case n.ForIn():
                return self._for_in(node)
            case n.ForRange():
                return self._for_range(node)
            case n.Break() | n.Continue():
                return self._leave_loop(node)
            case n.Retry():
                return self._retry(node)
            case n.Return():
                return self._return(node)
            case n.Either():
                return self._either(node)
            case n.Atomic():
                self._refuse_in_ghost(span, "`atomic`")
                with self._as_indivisible():
                    return [t.Atomic(body=self.block(node.body), span=span)]
            case n.GhostBlock():
                if x.mode == "ghost":
                    return [self.block(node.body)]
                with x.in_mode("ghost"), self._keeping_live():
                    return [t.Ghost(body=self.block(node.body), span=span)]
            case n.With():
                return self._with(node.locks, node.body, span)
            case n.Under():
                inner = node.body if isinstance(node.body, n.Block) else n.Block((node.body,), span=node.body.span)
                return self._with((node.lock,), inner, span)
            case n.Acquire() | n.Release() | n.Downgrade() | n.Synchronize():
                return self._lock_statement(node)
            case n.Await():
                if not self._may_block(span, "`await`"):
                    return []
                with x.without_calls("in an `await`, which is evaluated at once"):
                    condition = x.condition(node.cond)
                    unless = None if node.unless is None else x.condition(node.unless)
                killed = None if node.killed is None else self._killed(node.killed, node)
                return [t.Await(condition=condition, idle=node.idle, unless=unless, killed=killed, span=span)]
            case n.SpinUntil():
                if not self._may_block(span, "`spin until`"):
                    return []
                with x.without_calls("in `spin until`, which is evaluated at once"):
                    return [t.Await(condition=x.condition(node.cond), spin=True, span=span)]
            case n.Assert():
                with x.without_calls("in an assertion"), x.in_mode("claim"):
                    condition = x.condition(node.cond)
                message = node.message if node.message is not None else " ".join(node.cond.span.text.split())
                family = node.family.text if node.family else "assertion"
                return [t.Assert(condition=condition, message=message, family=family, span=span)]
            case n.Labeled():
                self._mark("label", node.label)
                inner_statements = self.statement(node.statement, after)
                if not inner_statements:
                    return []
                head = inner_statements[0]
                if head.label:
                    block = t.Block(body=tuple(inner_statements), label=node.label.text, span=span)
                    return [block]
                return [replace(head, label=node.label.text), *inner_statements[1:]]
            case n.Region():
                self._mark("region", node.name)
                self._refuse_in_ghost(span, "a region")
                return [t.Region(name=node.name.text, body=self.block(node.body), span=span)]
            case n.Masked():
                return self._masked(node)
            case n.Ipi():
                return self._ipi(node)
            case n.Skip():
                return [t.Skip(span=span)]
            case n.Halt():
                self._refuse_in_ghost(span, "`halt`")
                self.live = False
                return [t.Halt(span=span)]
            case n.Bug():
                self._refuse_in_ghost(span, "`bug`")
                self.live = False
                return [t.Bug(message=node.message, span=span)]
            case n.Stop():
                return self._stop(node)
            case n.MightSleep():
                self._refuse_in_ghost(span, "`might_sleep`")
                return [t.MightSleep(span=span)]
            case _:
                assert_never(node)

    # ------------------------------------------------------------------------------------------- small helpers

    def _refuse_in_ghost(self, span: Span, what: str) -> None:
        if self.x.mode == "ghost":
            self.x.error(
                rules.GHOST_SIDE_EFFECT, f"{what} cannot stand in ghost code", span, "would change the run",
                mend="ghost code may read anything, branch and loop, and write ghosts",
            )  # fmt: skip

    def _may_block(self, span: Span, what: str) -> bool:
        """Whether a statement that can block may stand here; reports it if not."""
        x = self.x
        if x.mode == "ghost":
            self._refuse_in_ghost(span, what)
            return False
        if self.what == "init":
            x.error(
                rules.BLOCKING_IN_ONE_STEP,
                f"{what} cannot stand in `init`",
                span,
                "`init` runs before all threads and takes no steps",
            )
            return False
        if self.indivisible and not self.first:
            x.error(
                rules.BLOCKING_IN_ONE_STEP, f"{what} can block in the middle of something indivisible", span,
                "only the first statement may block", mend="put it first, or use a `proc`",
            )  # fmt: skip
            return False
        return True

    @contextmanager
    def _as_indivisible(self) -> Iterator[None]:
        before = self.indivisible, self.first
        self.first = self.first if self.indivisible else True
        self.indivisible = True
        try:
            yield
        finally:
            self.indivisible = before[0]
            self.first = False

    @contextmanager
    def _keeping_live(self) -> Iterator[None]:
        before = self.live
        try:
            yield
        finally:
            self.live = before

    def _mark(self, what: str, name: n.Ident) -> None:
        known = self.x.world.marks[what]
        key = f"{self.x.user[0]}\0{self.x.user[1]}\0{name.text}"
        if key in known and known[key] != name.span:
            self.x.error(
                rules.DUPLICATE_NAME, f"{what} `{name.text}` is used twice here", name.span, "again",
                [Label(known[key], "the first one")],
            )  # fmt: skip
        known[key] = name.span

    def _branch(self, node: n.Block, known: frozenset[int]) -> tuple[t.Block, bool, frozenset[int]]:
        """A block, executed with these locals known not to be none; whether it is left at its end, and with what."""
        x = self.x
        before = x.narrowed
        first = self.first
        x.narrowed = before | known
        self.live = True
        block = self.block(node)
        result = block, self.live, x.narrowed
        x.narrowed = before
        self.first = first
        return result

    def _join(self, ends: Sequence[tuple[bool, frozenset[int]]]) -> None:
        """Go on where any of these ends goes on, with what is known on all of those."""
        reached = [known for live, known in ends if live]
        self.live = bool(reached)
        if reached:
            self.x.narrowed = frozenset.intersection(*reached)
        self.first = False

    # ------------------------------------------------------------------------------------------------ variables

    def _var(self, node: n.VarDecl, after: n.Stmt | None) -> list[t.Statement]:
        x = self.x
        kind = None if node.type is None else x.types.local(node.type, x.home)
        value = None if node.init is None else x.rhs(node.init, kind)
        if kind is None and value is not None:
            kind = value.type
            if is_int(kind):
                x.error(
                    rules.UNBOUNDED_RANGE, f"`var {node.name.text}` needs a range", node.name.span,
                    "its value will change", mend=f"write `var {node.name.text} : lo..hi = ...`",
                )  # fmt: skip
                kind = ERROR
            kind = self._declarable(kind, node.name)
        if value is None and kind is not None and not isinstance(after, n.Havoc) and self._needs_value(kind):
            x.error(
                rules.MISSING_INITIAL_VALUE, f"`{node.name.text}` needs a value to begin with", node.name.span,
                f"no member of `{show(kind)}` is the first one",
                mend=f"write `choose {node.name.text} : {show(kind)};`",
            )  # fmt: skip
        local = x.declare(node.name, kind or ERROR, mutable=True)
        self._learn(local, value)
        return [t.Declare(local=local, value=value, span=node.span)]

    def _needs_value(self, kind: ty.Type) -> bool:
        match kind:
            case ty.ScalarsetType() | ty.PointerType():
                return True
            case ty.RecordType():
                return any(self._needs_value(k) for _, k in kind.fields)
            case _:
                return False

    def _declarable(self, kind: ty.Type, name: n.Ident) -> ty.Type:
        """The type of a local whose type is not written."""
        if isinstance(kind, ty.NoneType | ty.VoidType):
            if isinstance(kind, ty.NoneType):
                self.x.error(
                    rules.UNTYPED_LITERAL, f"nothing says what type `{name.text}` has", name.span,
                    f"`{show(kind)}` fits many",
                    mend=f"write `{name.text} : T`",
                )  # fmt: skip
            else:
                self.x.error(rules.TYPE_MISMATCH, f"there is no value for `{name.text}`", name.span, "gives nothing")
            return ERROR
        return kind

    def _learn(self, local: t.Local, value: t.Rhs | None) -> None:
        """A local that was given a value is known not to be none if the value is not."""
        x = self.x
        x.narrowed -= {local.number}
        if not isinstance(local.type, ty.OptionType) or local.ref:
            return
        if isinstance(value, t.Wrap):
            x.narrowed |= {local.number}
        if isinstance(value, t.LocalRef) and value.local.number in x.narrowed:
            x.narrowed |= {local.number}

    def _let(self, node: n.Let) -> list[t.Statement]:
        x = self.x
        kind = None if node.type is None else x.types.local(node.type, x.home)
        value = x.rhs(node.init, kind)
        if kind is None:
            kind = self._declarable(value.type, node.name)
            if isinstance(kind, ty.IntType):
                kind = self._inferred(value, node)
        local = x.declare(node.name, kind)
        self._learn(local, value)
        return [t.Declare(local=local, value=value, span=node.span)]

    def _let_new(self, node: n.LetNew) -> list[t.Statement]:
        """``let p = new slot else { }``: a pointer or none first; the block is left where it is none."""
        x, span = self.x, node.span
        value = objects.new(x, node.new, otherwise=True)
        kind = None if node.type is None else x.types.local(node.type, x.home)
        taken = x.world.local("taken", value.type)
        first = t.Declare(local=taken, value=value, span=Span(span.file, span.start, node.new.span.end))
        otherwise, live, _ = self._branch(node.otherwise, frozenset())
        if live:
            x.error(
                rules.UNCHOSEN_VALUE, f"after this `else`, `{node.name.text}` has no value", node.otherwise.span,
                "control goes on after it", [Label(node.name.span, "nothing was taken")],
                "end it with `return`, `continue`, `break`, `retry` or `halt`",
            )  # fmt: skip
        self.live = True
        if not isinstance(value.type, ty.OptionType):
            x.declare(node.name, ERROR)
            return []
        if kind is not None and not isinstance(kind, ty.ErrorType) and kind not in (value.type, value.type.of):
            x.mismatch(value.type.of, kind, node.new.span)
        mine = t.LocalRef(local=taken, type=value.type, span=node.new.span)
        nothing = t.NoneLit(type=value.type, span=node.new.span)
        gone = t.Apply(op=Op.EQ, args=(mine, nothing), type=BOOL, span=node.new.span)
        leave = t.If(condition=gone, then=otherwise, otherwise=None, span=span)
        local = x.declare(node.name, value.type.of)
        some = t.Unwrap(base=mine, checked=False, type=value.type.of, span=node.new.span)
        return [first, leave, t.Declare(local=local, value=some, span=span)]

    def _inferred(self, value: t.Rhs, node: n.Let) -> ty.Type:
        bounds = None
        if not isinstance(value, t.Call | t.BuiltinCall | t.TryAcquire | t.Test):
            bounds = self.x.world.bounds(value)
        if bounds is None:
            self.x.error(
                rules.UNBOUNDED_RANGE, f"the range of `{node.name.text}` is not known", node.name.span,
                "no finite range can be inferred", [Label(node.init.span, "from this")],
                f"write `let {node.name.text} : lo..hi = ...`",
            )  # fmt: skip
            return ERROR
        low, high = bounds
        if larger_than(low, MAX_BOUND) or larger_than(high, MAX_BOUND):  # numbers do, where symbols grow too long
            least, most = self.x.world.widest(low), self.x.world.widest(high)
            if least is None or most is None:
                return self._inferred(t.LocalRef(local=self.x.world.local("", INT), type=INT, span=value.span), node)
            low, high = number(least[0], node.span), number(most[1], node.span)
        return ty.RangeType(low, high)

    def _assign(self, node: n.Assign) -> list[t.Statement]:
        x = self.x
        ghostly = x.mode == "real" and self._is_ghost_target(node.target)
        if ghostly:
            with x.in_mode("ghost"), x.without_calls("in an assignment to a ghost"):
                done = self._assignment(node)
            return [t.Ghost(body=t.Block(body=tuple(done), span=node.span), span=node.span)] if done else []
        return self._assignment(node)

    def _assignment(self, node: n.Assign) -> list[t.Statement]:
        x = self.x
        with x.without_calls("in the index of what is assigned"):
            target = place(x, node.target)
        x.reads = 0
        if target is None:
            x.infer(node.value, None) if not isinstance(
                node.value, n.Name | n.NoneLit | n.SetLit | n.RecordLit
            ) else None
            return []
        value = x.rhs(node.value, target.type) if node.op == "=" else self._compound(node, target)
        self._written(target, value)
        return [t.Assign(place=target, value=value, span=node.span)]

    def _compound(self, node: n.Assign, target: t.Place) -> t.Expr:
        """``x += e`` as ``x = x + e``."""
        x = self.x
        op = OPERATORS[node.op[:-1]]
        if isinstance(target, t.StateRef):
            x.reads += 1
        if isinstance(target.type, ty.SetType) and op in (Op.BITOR, Op.BITAND, Op.SUB):
            other = x.value(node.value, target.type)
            return t.Apply(op=op, args=(target, other), type=target.type, span=node.span)
        if not is_int(target.type):
            other = x.infer(node.value, target.type)
            if not isinstance(target.type, ty.ErrorType):
                x.mismatch(target.type, INT, node.target.span)
            return other
        other = x.integer(node.value)
        return x.coerce(t.Apply(op=op, args=(target, other), type=INT, span=node.span), target.type)

    def _written(self, target: t.Place, value: t.Rhs | None) -> None:
        forget(self.x, target)
        if isinstance(target, t.LocalRef):
            self._learn(target.local, value)

    def _is_ghost_target(self, node: n.Expr) -> bool:
        at = node.operand if isinstance(node, n.Racy) else node
        while True:
            symbol = self.x.quiet_path(at) or objects.quiet_member(self.x, at)
            if isinstance(symbol, StateSymbol):
                return symbol.ghost
            match at:
                case n.Index() | n.Member():
                    at = at.base
                case _:
                    return False

    def _havoc(self, node: n.Havoc) -> list[t.Statement]:
        x = self.x
        if x.mode == "ghost" or self._is_ghost_target(node.target):
            x.error(
                rules.GHOST_SIDE_EFFECT, "a ghost cannot be chosen freely", node.span,
                "ghosts follow from what the run does", mend="assign a definite value",
            )  # fmt: skip
            return []
        target = place(x, node.target)
        if target is None or objects.refuse_conjured(x, target.type, node.target.span, "havocked"):
            return []
        self._written(target, None)
        return [t.Havoc(place=target, span=node.span)]

    # ---------------------------------------------------------------------------------------------------- calls

    def _call(self, node: n.ExprStmt | n.Ignore) -> list[t.Statement]:
        x, span = self.x, node.span
        symbol = x.quiet_path(node.call.func)
        if x.mode == "real" and isinstance(symbol, RoutineSymbol) and symbol.ghost:
            with x.in_mode("ghost"), x.without_calls("in the arguments of a ghost proc"):
                call = check_call(x, node.call, None)
            if not isinstance(call, t.Call):
                return []
            self._dropped(node, call)
            inner = t.CallStmt(call=call, span=span)
            return [t.Ghost(body=t.Block(body=(inner,), span=span), span=span)]
        call = check_call(x, node.call, None)
        if not isinstance(call, t.Call | t.BuiltinCall):
            if not isinstance(call.type, ty.ErrorType):
                x.error(
                    rules.DROPPED_RESULT, "this only computes a value", span, "and nothing is done with it",
                    mend="use the value, or remove the statement",
                )  # fmt: skip
            return []
        self._dropped(node, call)
        if isinstance(call, t.BuiltinCall):
            return [t.Builtin(call=call, span=span)]
        return [t.CallStmt(call=call, span=span)]

    def _dropped(self, node: n.ExprStmt | n.Ignore, call: t.Call | t.BuiltinCall) -> None:
        x = self.x
        void = isinstance(call.type, ty.VoidType | ty.ErrorType)
        name = call.routine if isinstance(call, t.Call) else call.name
        if isinstance(node, n.ExprStmt) and not void:
            why = [Label(x.world.routines[name].span, "declared here")] if name in x.world.routines else []
            x.error(
                rules.DROPPED_RESULT, f"the result of `{name}` is dropped", node.call.span,
                f"it says how it went: `{show(call.type)}`", why, f"test it, or write `ignore {node.call.span.text};`",
            )  # fmt: skip
        if isinstance(node, n.Ignore) and isinstance(call.type, ty.VoidType):
            x.error(rules.DROPPED_RESULT, f"`{name}` has no result to ignore", node.span, "", (), "leave out `ignore`")

    # ------------------------------------------------------------------------------------------------ branching

    def _if(self, node: n.If) -> list[t.Statement]:
        x = self.x
        condition = x.rhs(node.cond, BOOL)
        base = x.narrowed
        then, then_live, then_known = self._branch(node.then, x.facts(condition, True))
        ends = [(then_live, then_known)]
        x.narrowed = base
        otherwise = None
        no = x.facts(condition, False)
        if node.otherwise is None:
            ends.append((True, base | no))
        else:
            other = node.otherwise
            block = other if isinstance(other, n.Block) else n.Block((other,), span=other.span)
            otherwise, live, known = self._branch(block, no)
            ends.append((live, known))
        self._join(ends)
        return [t.If(condition=condition, then=then, otherwise=otherwise, span=node.span)]

    def _either(self, node: n.Either) -> list[t.Statement]:
        self._refuse_in_ghost(node.span, "`either`")
        if node.fair and self.what == "init":
            word = Span(node.span.file, node.span.start, node.span.start + len("fair"))
            self.x.error(rules.FAIR_OUTSIDE_THREAD, "`fair` in `init`", word, "happens only once", (), "leave it out")
        done = [self._branch(branch, frozenset()) for branch in node.branches]
        self._join([(live, known) for _, live, known in done])
        return [t.Either(branches=tuple(block for block, _, _ in done), fair=node.fair, span=node.span)]

    def _choose(self, node: n.Choose) -> list[t.Statement]:
        x = self.x
        self._refuse_in_ghost(node.span, "`choose`")
        kind = x.types.local(node.type, x.home)
        if isinstance(kind, ty.SnapshotType):
            x.error(
                rules.TYPE_MISMATCH, "a snapshot cannot be chosen", node.type.span, mend="take one with `snapshot(v)`"
            )
            kind = ERROR
        if objects.refuse_conjured(x, kind, node.type.span, "chosen"):
            kind = ERROR
        local = x.declare(node.name, kind)
        where = None
        if node.where is not None:
            with x.without_calls("in the condition of a `choose`, which is evaluated at once"):
                where = x.condition(node.where)
        known = frozenset() if where is None else x.facts(where, True)
        otherwise = None
        if node.otherwise is not None:
            hidden = x.scopes[-1].pop(node.name.text, None)
            otherwise, live, _ = self._branch(node.otherwise, frozenset())
            if hidden is not None:
                x.scopes[-1][node.name.text] = hidden
            if live:
                x.error(
                    rules.UNCHOSEN_VALUE, f"after this `else`, `{node.name.text}` has no value", node.otherwise.span,
                    "control goes on after it", [Label(node.name.span, "nothing was chosen")],
                    "end it with `return`, `continue`, `break`, `retry` or `halt`",
                )  # fmt: skip
            self.live = True
        x.narrowed |= known
        return [t.Choose(local=local, where=where, otherwise=otherwise, span=node.span)]

    # ---------------------------------------------------------------------------------------------------- loops

    def _turns(self, body: n.Block, kind: str) -> tuple[t.Block, bool]:
        """The body of a loop; whether the loop is left by a ``break``."""
        x = self.x
        names = assigned(body)
        changed = {
            local.number for scope in x.scopes for name, local in scope.items() if local.mutable and name in names
        }
        base = x.narrowed - changed
        x.narrowed = base
        self.loops.append(_Loop(kind, x.mode == "ghost"))
        self.live = True
        first, self.first = self.first, False
        block = self.block(body)
        self.first = first and False
        x.narrowed = base
        return block, self.loops.pop().left

    def _while(self, node: n.While) -> list[t.Statement]:
        x = self.x
        outer = x.pre
        pre: list[t.Statement] = []
        x.pre = pre
        names = assigned(node.body)
        changed = {
            local.number for scope in x.scopes for name, local in scope.items() if local.mutable and name in names
        }
        x.narrowed -= changed
        condition = x.rhs(node.cond, BOOL)
        x.pre = outer
        if isinstance(condition, t.Const) and condition.value and not isinstance(condition.type, ty.ErrorType):
            body, self.live = self._turns(node.body, "while")
            return [t.While(condition=None, body=body, span=node.span)]
        base = x.narrowed
        x.narrowed = base | x.facts(condition, True)
        known = x.narrowed
        self.loops.append(_Loop("while", x.mode == "ghost"))
        self.live = True
        self.first = False
        x.narrowed = known
        body = self.block(node.body)
        left = self.loops.pop().left
        x.narrowed = base if left else base | x.facts(condition, False)
        self.live = True
        if not pre and not isinstance(condition, t.Call | t.BuiltinCall | t.TryAcquire | t.Test):
            return [t.While(condition=condition, body=body, span=node.span)]
        end: t.Statement = t.Break(span=node.cond.span)
        leave = t.If(
            condition=condition,
            then=t.Block(body=(), span=node.cond.span),
            otherwise=t.Block(body=(end,), span=node.cond.span),
            span=node.cond.span,
        )
        whole = t.Block(body=(*pre, leave, *body.body), span=node.body.span)
        return [t.While(condition=None, body=whole, span=node.span)]

    def _budget(self, node: n.Budget) -> list[t.Statement]:
        """``loop at most n times``: a loop that counts the turns that are left in a variable of its own."""
        x, span = self.x, node.times.span
        self._refuse_in_ghost(node.span, "`loop at most`")
        times = x.integer(node.times)
        limits = x.world.bounds(times)
        zero, one = number(0, span), number(1, span)
        kind: ty.Type = ERROR
        if limits is not None:
            kind = ty.RangeType(zero, fold(Op.MAX, span, zero, limits[1]))
        elif not isinstance(times.type, ty.ErrorType):
            x.error(
                rules.UNBOUNDED_RANGE, "how many turns this loop may have is not known", span, "no finite range",
                mend="give it a type with a range",
            )  # fmt: skip
        left = x.world.local("turns_left", kind, mutable=True)
        here = t.LocalRef(local=left, type=kind, span=span)
        body, broken = self._turns(node.body, "loop at most")
        base, live = x.narrowed, True
        end: list[t.Statement] = []
        if node.otherwise is not None:
            block, live, _ = self._branch(node.otherwise, frozenset())
            x.narrowed = base
            end.append(block)
        if live:
            end.append(t.Break(span=span))
        self.live = live or broken
        over = t.Apply(op=Op.EQ, args=(here, zero), type=BOOL, span=span)
        out = t.If(condition=over, then=t.Block(body=tuple(end), span=span), otherwise=None, span=span)
        less = t.Apply(op=Op.SUB, args=(here, one), type=INT, span=span)
        count = t.Assign(place=here, value=less, span=span)
        return [
            t.Declare(local=left, value=times, span=span),
            t.While(condition=None, body=t.Block(body=(out, count, body), span=node.body.span), span=node.span),
        ]

    def _for_in(self, node: n.ForIn) -> list[t.Statement]:
        x = self.x
        with x.scope():
            kind, members = x.domain(node.domain)
            if objects.refuse_conjured(x, kind, node.domain.span, "picked by a `for`"):
                kind = ERROR
            local = x.declare(node.name, kind)
            where = None
            if node.where is not None:
                with x.without_calls("in the condition of a `for`"):
                    where = x.condition(node.where)
            if where is not None:
                x.narrowed |= x.facts(where, True)
            body, _ = self._turns(node.body, "for")
        self.live = True
        return [t.ForEach(local=local, where=where, body=body, domain=members, span=node.span)]

    def _for_range(self, node: n.ForRange) -> list[t.Statement]:
        x = self.x
        first, end = x.integer(node.lo), x.integer(node.hi)
        step = None if node.by is None else x.integer(node.by)
        kind: ty.Type = ERROR
        low, high = x.world.bounds(first), x.world.bounds(end)
        if not any(isinstance(e.type, ty.ErrorType) for e in (first, end)):
            if low is None or high is None:
                x.error(
                    rules.UNBOUNDED_RANGE, f"the range of `{node.name.text}` is not known", node.name.span,
                    "the ends of the loop are not bounded", mend="give the ends a type with a range",
                )  # fmt: skip
            else:
                last = fold(Op.SUB, node.hi.span, high[1], number(1, node.hi.span))
                kind = ty.RangeType(low[0], fold(Op.MAX, node.hi.span, low[0], last))
                self._never_runs(first, end, node)
        if isinstance(step, t.Const) and step.value < 1 and is_int(step.type) and node.by is not None:
            x.error(
                rules.EMPTY_RANGE, f"a step of {step.value} leads nowhere", node.by.span, "at least 1",
                mend="write `down` to count downwards",
            )  # fmt: skip
        with x.scope():
            local = x.declare(node.name, kind)
            body, _ = self._turns(node.body, "for")
        self.live = True
        return [
            t.ForRange(local=local, first=first, end=end, step=step, down=node.down, body=body, span=node.span)
        ]  # fmt: skip

    def _never_runs(self, first: t.Expr, end: t.Expr, node: n.ForRange) -> None:
        if isinstance(first, t.Const) and isinstance(end, t.Const) and first.value >= end.value:
            self.x.error(
                rules.EMPTY_RANGE, f"no number is in {first.value} ..< {end.value}", Span(
                    node.span.file, node.lo.span.start, node.hi.span.end
                ), "the loop never runs", mend="write `down` after the range to count downwards",
            )  # fmt: skip

    def _leave_loop(self, node: n.Break | n.Continue) -> list[t.Statement]:
        word = "break" if isinstance(node, n.Break) else "continue"
        inside = self._loops_here()
        if not inside:
            why = "ends the ghost code" if self.loops else "there is no loop around it"
            self._outside(rules.BREAK_OUTSIDE_LOOP, word, node.span, why)
        elif word == "break":
            inside[-1].left = True
        self.live = False
        return [t.Break(span=node.span) if word == "break" else t.Continue(span=node.span)]

    def _loops_here(self) -> list[_Loop]:
        """The loops that can be left from here: ghost code stays in its own."""
        ghost = self.x.mode == "ghost"
        return self.loops[-1:] if self.loops and self.loops[-1].ghost == ghost else []

    def _outside(self, rule: Rule, word: str, span: Span, why: str) -> None:
        mend = (
            "a proc cannot break out of the loop it is called from: return a result and test it"
            if (self.what in ("proc", "op"))
            else ""
        )
        self.x.error(rule, f"`{word}` outside of a loop", span, why, (), mend)

    def _retry(self, node: n.Retry) -> list[t.Statement]:
        self._refuse_in_ghost(node.span, "`retry`")
        if not self.loops:
            self._outside(rules.RETRY_OUTSIDE_LOOP, "retry", node.span, "there is no turn to try again")
        elif self.loops[-1].kind == "for":
            self.x.error(
                rules.RETRY_OUTSIDE_LOOP, "`retry` in a `for`", node.span, "a turn of a `for` cannot be tried again",
                mend="put a `loop { }` around what is to be tried again",
            )  # fmt: skip
        elif self.loops[-1].kind == "loop at most":
            self.x.error(
                rules.RETRY_OUTSIDE_LOOP, "`retry` in a `loop at most`", node.span,
                "`retry` waits, and these turns are counted", mend="write `continue;` to begin the next turn at once",
            )  # fmt: skip
        elif self.indivisible:
            self.x.error(
                rules.BLOCKING_IN_ONE_STEP, "`retry` in the middle of something indivisible", node.span, "it waits"
            )
        self.live = False
        return [t.Retry(fair=node.fair, span=node.span)]

    # -------------------------------------------------------------------------------------------------- leaving

    def _return(self, node: n.Return) -> list[t.Statement]:
        x = self.x
        if x.mode == "ghost" and not self.routine_ghost:
            self._refuse_in_ghost(node.span, "`return`")
        value = None
        if self.result is None:
            if node.value is not None:
                x.infer(node.value, None)
                what = {"thread": "a thread", "init": "`init`"}.get(self.what, f"this {self.what}")
                x.error(
                    rules.TYPE_MISMATCH, f"{what} has no result", node.value.span, "nobody gets this value",
                    mend="write `return;`" if self.what in ("thread", "init") else "declare a result: `-> T`",
                )  # fmt: skip
        elif node.value is None:
            x.error(
                rules.MISSING_RETURN, f"a `{show(self.result)}` must be returned", node.span, "returns nothing",
                mend="write `return VALUE;`",
            )  # fmt: skip
        else:
            value = x.rhs(node.value, self.result)
        self.live = False
        if self.undoing:
            self._refuse_leaving(node.span, "`return`")
        if value is not None and self.result is not None and self.unwinding.pending:
            if isinstance(value, t.Const):
                return self.unwinding.leave(value, node.span)
            kept = x.world.local("rc", self.result)
            keep = t.Declare(local=kept, value=value, span=node.span)
            return [keep, *self.unwinding.leave(t.LocalRef(kept, type=self.result, span=node.span), node.span)]
        return [t.Return(value=value, span=node.span)]

    # --------------------------------------------------------------------------------------------------- failures

    def _try(self, node: n.Try) -> list[t.Statement]:
        """``try f();``: the call, and a return of its result where that is an error."""
        x, span = self.x, node.span
        self._refuse_in_ghost(span, "`try`")
        call = check_call(x, node.call, None)
        if isinstance(call.type, ty.ErrorType):
            return []
        if not isinstance(call, t.Call | t.BuiltinCall) or not has_errors(call.type):
            kind = "nothing" if isinstance(call.type, ty.VoidType) else f"`{show(call.type)}`"
            x.error(
                rules.TRY_OF_NO_ERROR, f"`{node.call.func.span.text}` cannot return an error", node.call.span,
                f"it returns {kind}", mend="errors are `false`, and all members of an enum but the first",
            )  # fmt: skip
            return []
        if self.undoing:
            self._refuse_leaving(span, "`try`")
        value: t.Expr | None = None
        kept = x.world.local("rc", call.type)
        result = t.LocalRef(kept, type=call.type, span=node.call.span)
        if self.result is not None and node.otherwise is not None:
            with x.without_calls("behind the `else` of a `try`"):
                value = x.value(node.otherwise, self.result)
            if self.unwinding.pending and not isinstance(value, t.Const):
                x.error(
                    rules.NOT_CONSTANT, "only a constant can stand behind the `else` of this `try`",
                    node.otherwise.span, "an `on_error` must know if it is an error",
                )  # fmt: skip
                return []
        elif self.result is not None and self.result == call.type:
            value = result
        elif not isinstance(self.result, ty.ErrorType):
            what = {"thread": "a thread", "init": "`init`"}.get(self.what, f"this {self.what}")
            has = "no result" if self.result is None else f"the result `{show(self.result)}`"
            x.error(
                rules.NO_ERROR_TO_RETURN, f"{what} cannot return the error of `{node.call.func.span.text}`",
                span, f"{what} has {has}, the error is a `{show(call.type)}`",
                mend=f"test it: `if {node.call.span.text} ... {{ }}`" if self.result is None
                else f"say what to return instead: `try {node.call.span.text} else E;`",
            )  # fmt: skip
            return [t.CallStmt(call=call, span=span)] if isinstance(call, t.Call) else []
        if value is None:
            return []
        if not self.unwinding.pending:
            leave: list[t.Statement] = [t.Return(value=value, span=span)]
        elif isinstance(value, t.Const):
            leave = self.unwinding.leave(value, span)
        else:
            leave = self.unwinding.leave_by_error(value, span)
        then = t.Block(body=tuple(leave), span=span)
        test = t.If(condition=error_test(result, span), then=then, otherwise=None, span=span)
        return [t.Declare(local=kept, value=call, span=span), test]

    def _on_error(self, node: n.OnError) -> list[t.Statement]:
        """``on_error { }``: kept for the returns behind it; nothing happens here."""
        x = self.x
        head = Span(node.span.file, node.span.start, node.span.start + len("on_error"))
        self._refuse_in_ghost(node.span, "`on_error`")
        if self.undoing:
            self._refuse_leaving(head, "`on_error`")
        if not has_errors(self.result) and not isinstance(self.result, ty.ErrorType):
            what = {"thread": "a thread", "init": "`init`"}.get(self.what, f"this {self.what}")
            has = "no result" if self.result is None else f"the result `{show(self.result)}`"
            x.error(
                rules.NO_ERROR_TO_RETURN, f"{what} never leaves by an error", head, f"it has {has}",
                mend="errors are `false`, and all members of an enum but the first",
            )  # fmt: skip
            return []
        before = self.loops, self.undoing, x.narrowed, self.first
        changing = {local.number for scope in x.scopes for local in scope.values() if local.mutable}
        self.loops, self.undoing, x.narrowed = [], True, x.narrowed - changing
        with self._keeping_live():
            open_, self.unwinding.open = self.unwinding.open, []
            body = self.block(node.body)
            self.unwinding.open = open_
        self.loops, self.undoing, x.narrowed, self.first = before
        self.unwinding.open.append(Undo(body, node.span))
        return []

    def _refuse_leaving(self, span: Span, what: str) -> None:
        self.x.error(
            rules.LEAVING_ON_ERROR, f"{what} cannot stand in `on_error`", span, "the proc is on its way out already",
            mend="undo here, and leave the rest to the `return` that led here",
        )  # fmt: skip

    def _killed(self, node: n.Block, wait: n.Acquire | n.Await) -> t.Block:
        """The ``else`` of a killable wait: it must lead elsewhere."""
        x = self.x
        if self.indivisible:
            x.error(
                rules.NOT_KILLABLE, "a wait in something indivisible cannot be killed", wait.span,
                "it has no place between two steps", mend="wait before it, in a `proc`",
            )  # fmt: skip
        before = self.first
        block, live, _ = self._branch(node, frozenset())
        self.first = before
        if live:
            what = "has not happened" if isinstance(wait, n.Await) else "is not held"
            x.error(
                rules.KILLED_AND_GOING_ON, "control goes on after this `else`", node.span,
                f"what was waited for {what}", mend="end it with `return`, `continue`, `break` or `halt`",
            )  # fmt: skip
        self.live = True
        return block

    def _fixed(self, e: t.Expr) -> bool:
        """Whether an index keeps its value from the ``with`` to the way out."""
        match e:
            case t.LocalRef(local):
                return not local.mutable and not local.ref
            case t.Wrap(base):
                return self._fixed(base)
            case _:
                return isinstance(e, t.Const | t.ParamRef)

    def _stop(self, node: n.Stop) -> list[t.Statement]:
        x = self.x
        self._refuse_in_ghost(node.span, "`stop`")
        found = x.thread_path(node.thread)
        if found is None:
            return []
        symbol, index = found
        if index and len(index) != len(symbol.params):
            x.error(
                rules.WRONG_INDEX, f"thread `{symbol.name}` has {len(symbol.params)} index(es), not {len(index)}",
                node.thread.span, "one instance or all", mend=f"write `stop {symbol.name};` for all",
            )  # fmt: skip
            return []
        values = tuple(x.value(i, p.type) for i, p in zip(index, symbol.params, strict=False))
        whole = not index and bool(symbol.params)
        return [t.Stop(thread=symbol.name, index=None if whole else values, span=node.span)]

    # --------------------------------------------------------------------------------------------- CPUs, interrupts

    def _masked(self, node: n.Masked) -> list[t.Statement]:
        """Spelt out as a lock that excludes nobody and that is never waited for."""
        head = Span(node.span.file, node.span.start, node.span.start + len(node.what))
        if not self._may_block(head, f"`{node.what}`"):
            self.block(node.body)
            return []
        self.x.world.masks.setdefault(node.what, head)
        self.first = False
        mask = t.LockRef(node.what, (), head)
        return [t.With(locks=((mask, "write"),), body=self.block(node.body), span=node.span)]

    def _ipi(self, node: n.Ipi) -> list[t.Statement]:
        x = self.x
        word = "ipi_wait" if node.wait else "ipi"
        if not self._may_block(node.span, f"`{word}`"):
            return []
        symbol = x.types.expression_path(node.handler, x.home, "interrupt")
        if symbol is None:
            return []
        thread = symbol.node if isinstance(symbol, ThreadSymbol) else None
        if not isinstance(symbol, ThreadSymbol) or not (isinstance(thread, n.ThreadDecl) and thread.ipi):
            unmasked = isinstance(thread, n.ThreadDecl) and thread.nmi
            x.error(
                rules.NOT_AN_IPI, f"`{node.handler.span.text}` cannot be asked for by `{word}`", node.handler.span,
                "no interrupt `by ipi`", [x.world.declared(symbol)],
                f"declare it `interrupt NAME on cpu by {'nmi ' * unmasked}ipi {{ ... }}`",
            )  # fmt: skip
            return []
        x.world.mentioned.add(symbol.name)
        cpu = x.value(node.cpu, symbol.params[0].type)
        return [t.Ipi(handler=symbol.name, cpu=cpu, wait=node.wait, span=node.span)]

    # ---------------------------------------------------------------------------------------------------- locks

    def _takes(self, lock: t.LockRef, mode: n.Mode | None, node: n.Node) -> str:
        self.x.may_take(lock)
        symbol = self.x.world.locks[lock.lock]
        if symbol.kind is LockKind.FLAG:
            self.x.error(
                rules.WRONG_LOCK_MODE, f"nobody waits for the flag `{symbol.name}`", node.span, "would wait",
                [self.x.world.declared(symbol)], f"write `if try_acquire {lock.span.text} {{ }} else {{ }}`",
            )  # fmt: skip
        if symbol.kind is LockKind.BUSY:
            self.x.error(
                rules.WRONG_LOCK_MODE, f"nobody waits for the busy lock `{symbol.name}`", node.span, "would wait",
                [self.x.world.declared(symbol)],
                f"write an op that `holds {lock.span.text} else BUSY`, or `if try_acquire {lock.span.text} {{ }}`",
            )  # fmt: skip
        return self.x.lock_mode(lock, mode, node)

    def _with(self, uses: Sequence[n.LockUse], body: n.Block, span: Span) -> list[t.Statement]:
        x = self.x
        if not self._may_lock(span):
            x.world.blurred.append(body.span)
            self.block(body)
            return []
        locks = []
        with x.without_calls("in the index of a lock"):
            for use in uses:
                lock = x.lock(use.lock)
                if lock is None:
                    x.world.blurred.append(body.span)
                else:
                    locks.append((lock, self._takes(lock, use.mode, use)))
        self.first = False
        self.unwinding.open.append(Inside(tuple(lock for lock, _ in locks)))
        inner = self.block(body)
        self.unwinding.open.pop()
        return [t.With(locks=tuple(locks), body=inner, span=span)]

    def _may_lock(self, span: Span) -> bool:
        return self._may_block(span, "a lock")

    def _lock_statement(self, node: n.Acquire | n.Release | n.Downgrade | n.Synchronize) -> list[t.Statement]:
        x = self.x
        every = isinstance(node, n.Acquire | n.Release) and node.every
        if isinstance(node, n.Acquire | n.Synchronize):
            if not self._may_lock(node.span):
                return []
        else:
            self._refuse_in_ghost(node.span, "a lock")
        with x.without_calls("in the index of a lock"):
            lock = x.lock(node.lock, every=every)
        if lock is None:
            x.world.blurred.append(x.whole or node.span)
            return []
        symbol = x.world.locks[lock.lock]
        match node:
            case n.Acquire() if node.killed is not None:
                mode = self._takes(lock, node.mode, node)
                if every or symbol.kind not in (LockKind.MUTEX, LockKind.RWSEM):
                    x.error(
                        rules.NOT_KILLABLE, f"no signal ends the wait for {'all of these' if every else symbol.name}",
                        node.span, "several waits" if every else f"a {symbol.kind.value}",
                        [x.world.declared(symbol)], "take them one by one" if every else "leave out `killable`",
                    )  # fmt: skip
                killed = self._killed(node.killed, node)
                head = Span(node.span.file, node.span.start, node.killed.span.start)
                attempt = t.TryAcquire(lock=lock, mode=mode, killable=True, type=BOOL, span=head)
                failed = t.Test(op=Op.NOT, call=attempt, type=BOOL, span=head)
                return [t.If(condition=failed, then=killed, otherwise=None, span=head)]
            case n.Acquire():
                return [t.Acquire(lock=lock, mode=self._takes(lock, node.mode, node), every=every, span=node.span)]
            case n.Release():
                x.may_take(lock)
                mode = "" if node.mode is None else x.lock_mode(lock, node.mode, node)
                return [t.Release(lock=lock, mode=mode, every=every, span=node.span)]
            case n.Downgrade():
                x.may_take(lock)
                if symbol.kind is not LockKind.RWSEM:
                    x.error(
                        rules.WRONG_LOCK_MODE, f"a {symbol.kind.value} cannot be downgraded", node.span,
                        "only an rwsem can", [x.world.declared(symbol)],
                    )  # fmt: skip
                return [t.Downgrade(lock=lock, span=node.span)]
            case n.Synchronize():
                if symbol.kind is not LockKind.SRCU:
                    x.error(
                        rules.WRONG_LOCK_MODE, f"a {symbol.kind.value} has no readers to wait for", node.span,
                        "`synchronize` waits for srcu readers", [x.world.declared(symbol)],
                    )  # fmt: skip
                return [t.Synchronize(lock=lock, span=node.span)]
            case _:
                assert_never(node)


def _head(node: n.Stmt) -> Span:
    """The first line of a statement: what to point at."""
    line_end = node.span.file.text.find("\n", node.span.start)
    end = node.span.end if line_end < 0 else min(node.span.end, line_end)
    return Span(node.span.file, node.span.start, max(end, node.span.start + 1))
