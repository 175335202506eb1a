"""Expressions: names resolved, types found, options narrowed, calls lifted out to where they are a statement's own.

What an expression may do depends on the *mode* it stands in: ``real`` code obeys ownership and may call; ``ghost`` code
and ``claim`` (an assertion) read anything; a ``property`` may also speak of threads; ``constant`` expressions know only
parameters and constants, ``pure`` ones (bodies of fns) also their parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, TypeAlias, assert_never

from protocheck.diagnostics import Label, Rule
from protocheck.ir.expr import Op, Quantifier
from protocheck.ir.system import LockKind
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.syntax.c_habits import mend_name
from protocheck.types import objects, rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.calls import BUILTINS, check_call
from protocheck.types.report import did_you_mean, listing
from protocheck.types.scope import (
    ActorSymbol,
    ConstSymbol,
    Home,
    ImportSymbol,
    LockSymbol,
    ParamSymbol,
    RoutineSymbol,
    StateSymbol,
    Symbol,
    ThreadSymbol,
    TypeSymbol,
    World,
    kind_of,
    show,
)
from protocheck.types.type_check import Types, compatible, is_int
from protocheck.types.walk import everything, larger_than

Mode: TypeAlias = Literal["real", "ghost", "claim", "property", "constant", "pure"]

INT = ty.IntType()
BOOL = ty.BoolType()
ERROR = ty.ErrorType()

MAX_CONSTANT = 1_000

OPERATORS = {
    "+": Op.ADD, "-": Op.SUB, "*": Op.MUL, "/": Op.DIV, "%": Op.MOD, "<<": Op.SHL, ">>": Op.SHR, "&": Op.BITAND,
    "|": Op.BITOR, "^": Op.BITXOR, "&&": Op.AND, "||": Op.OR, "==": Op.EQ, "!=": Op.NE, "<": Op.LT, "<=": Op.LE,
    ">": Op.GT, ">=": Op.GE, "implies": Op.IMPLIES,
}  # fmt: skip
QUANTIFIERS = {"forall": Quantifier.FORALL, "exists": Quantifier.EXISTS, "count": Quantifier.COUNT}
SET_OPERATORS = (Op.BITAND, Op.BITOR, Op.SUB)


class Exprs:
    """Checks the expressions of one routine, property or constant; knows the locals that are in scope there."""

    def __init__(self, world: World, types: Types, home: Home, mode: Mode, kind: str = "") -> None:
        self.world = world
        self.types = types
        self.home = home
        self.mode: Mode = mode
        self.kind = kind  # of the property, of the routine; "init" may write and read whatever it likes
        self.scopes: list[dict[str, t.Local]] = [{}]
        self.declared: dict[int, Span] = {}
        self.narrowed: frozenset[int] = frozenset()
        self.pre: list[t.Statement] | None = None  # statements that calls inside of an expression are lifted to
        self.no_call = "here"  # where ``pre`` is None: why there can be no call
        self.reads = 0  # of shared state so far in this statement, or of locals that a call could change
        self.whole: Span | None = None  # the body that is checked
        self.this: t.Local | None = None  # in the guard of a field: the object that it is a field of
        self.user: tuple[str, str] = ("", "")  # routine or thread and its variant: who uses labels, who calls

    # ------------------------------------------------------------------------------------------------ plumbing

    def error(
        self, rule: Rule, headline: str, at: Span, label: str = "", why: Sequence[Label] = (), mend: str = ""
    ) -> t.Expr:
        """Report, and give something to go on with that causes no further reports."""
        self.world.report.add(rule, headline, at, label, why, mend)
        return t.Const(value=0, type=ERROR, span=at)

    def declare(self, name: n.Ident, kind: ty.Type, *, mutable: bool = False, ref: bool = False) -> t.Local:
        """A new local in the innermost scope; a name that is already taken is reported."""
        self._check_free(name)
        local = self.world.local(name.text, kind, mutable=mutable, ref=ref, ghost=self.mode == "ghost")
        self.scopes[-1][name.text] = local
        self.declared[local.number] = name.span
        return local

    def _check_free(self, name: n.Ident) -> None:
        known = self.find_local(name.text)
        if known is not None:
            why = [Label(self.declared[known.number], "the other one")] if known.number in self.declared else []
            same = name.text in self.scopes[-1]
            rule = rules.DUPLICATE_NAME if same else rules.SHADOWED_NAME
            text = f"`{name.text}` is declared twice" if same else f"`{name.text}` hides another local of that name"
            self.error(rule, text, name.span, "choose another name", why)
            return
        symbol = self.home.find(name.text)
        if isinstance(symbol, StateSymbol | ParamSymbol | ConstSymbol | LockSymbol | ActorSymbol | ImportSymbol):
            self.error(
                rules.SHADOWED_NAME, f"`{name.text}` hides {kind_of(symbol)} of that name", name.span,
                "choose another name", [self.world.declared(symbol)],
            )  # fmt: skip

    def find_local(self, name: str) -> t.Local | None:
        """The local of that name, innermost scope first."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A scope for the locals of a block or quantifier."""
        self.scopes.append({})
        try:
            yield
        finally:
            self.scopes.pop()

    @contextmanager
    def without_calls(self, reason: str) -> Iterator[None]:
        """A part of an expression that may not be evaluated, or more than once: calls cannot be lifted out of it."""
        before = self.pre, self.no_call
        self.pre, self.no_call = None, reason
        try:
            yield
        finally:
            self.pre, self.no_call = before

    @contextmanager
    def narrowing(self, locals_: frozenset[int]) -> Iterator[None]:
        """A part of the text in which these locals are known not to be none."""
        before = self.narrowed
        self.narrowed = before | locals_
        try:
            yield
        finally:
            self.narrowed = before

    @contextmanager
    def in_mode(self, mode: Mode) -> Iterator[None]:
        """A part of the text that stands in another mode."""
        before = self.mode
        self.mode = mode
        try:
            yield
        finally:
            self.mode = before

    # ------------------------------------------------------------------------------------------------ entrances

    def value(self, node: n.Expr, expected: ty.Type) -> t.Expr:
        """``node`` as a value of type ``expected``."""
        return self.coerce(self.infer(node, expected), expected)

    def condition(self, node: n.Expr) -> t.Expr:
        """``node`` as a condition."""
        return self.value(node, BOOL)

    def integer(self, node: n.Expr) -> t.Expr:
        """``node`` as a number."""
        return self._number(self.infer(node, None))

    def rhs(self, node: n.Expr, expected: ty.Type | None) -> t.Rhs:
        """``node`` where a call may stand: on the right of an assignment, or as a condition."""
        found = self._test(node, expected)
        if found is None:
            e = self.infer(node, expected)
            return e if expected is None else self.coerce(e, expected)
        if expected is None or isinstance(found.type, ty.ErrorType):
            return found
        if not isinstance(found, t.Call | t.BuiltinCall | t.TryAcquire | t.Test):
            return self.coerce(found, expected)
        if isinstance(found.type, ty.OptionType) == isinstance(expected, ty.OptionType) and compatible(
            found.type, expected
        ):
            return found
        return self.coerce(self._lifted(found), expected)

    def _test(self, node: n.Expr, expected: ty.Type | None) -> t.Rhs | None:
        """``node`` if it is a call, or a call compared or negated; None if it is anything else."""
        call: t.Rhs | None
        match node:
            case n.Call() if self._callee_is_routine(node):
                return check_call(self, node, expected)
            case n.TryAcquire():
                return self.try_acquire(node)
            case n.NewObject():
                return objects.new(self, node)
            case n.Unary(op="!", operand=n.TryAcquire() | n.Call() as inner) if not (
                isinstance(inner, n.Call) and not self._callee_is_routine(inner)
            ):
                call = self._test(inner, BOOL)
                if not isinstance(call, t.Call | t.BuiltinCall | t.TryAcquire):
                    return call
                if not isinstance(call.type, ty.BoolType | ty.ErrorType):
                    self.mismatch(call.type, BOOL, inner.span)
                return t.Test(op=Op.NOT, call=call, type=BOOL, span=node.span)
            case n.Binary(op="==" | "!=" | "<" | "<=" | ">" | ">=", left=n.Call() as left, right=right) if (
                self._callee_is_routine(left) and not self._has_call(right)
            ):
                call = self._test(left, None)
                if not isinstance(call, t.Call | t.BuiltinCall):
                    return call
                return self._compared(node, call, right)
            case _:
                return None

    def _compared(self, node: n.Binary, call: t.Call | t.BuiltinCall, right: n.Expr) -> t.Test:
        op = OPERATORS[node.op]
        with self.without_calls("in the other half of a comparison with a call"):
            other = self.infer(right, call.type)
        stand_in = t.LocalRef(local=self.world.local("", call.type), type=call.type, span=call.span)
        if op in (Op.EQ, Op.NE):
            _, other = self._unified(stand_in, other, node.span)
        else:
            self._number(stand_in)
            other = self._number(other)
        return t.Test(op=op, call=call, args=(other,), type=BOOL, span=node.span)

    def _callee_is_routine(self, node: n.Call) -> bool:
        """Whether a call is one that takes steps (an op, a proc, an indivisible built-in), not a fn."""
        if isinstance(node.func, n.Name) and self.home.find(node.func.ident.text) is None:
            return node.func.ident.text in BUILTINS and BUILTINS[node.func.ident.text].steps
        symbol = self.quiet_path(node.func)
        return isinstance(symbol, RoutineSymbol) and symbol.kind != "fn"

    def _has_call(self, node: n.Expr) -> bool:
        match node:
            case n.Call():
                return self._callee_is_routine(node) or any(
                    self._has_call(a) for a in node.args if not isinstance(a, n.RefArg)
                )
            case n.TryAcquire() | n.NewObject():
                return True
            case n.Binary():
                return self._has_call(node.left) or self._has_call(node.right)
            case n.Unary() | n.Unwrap() | n.Racy():
                return self._has_call(node.operand)
            case n.Index():
                return self._has_call(node.base) or self._has_call(node.index)
            case n.Member():
                return self._has_call(node.base)
            case n.Conditional():
                return any(self._has_call(part) for part in (node.cond, node.then, node.otherwise))
            case _:
                return False

    def _lifted(self, call: t.Call | t.BuiltinCall | t.TryAcquire | t.Test) -> t.Expr:
        """The value of a call, which is executed before the statement it stands in."""
        if isinstance(call.type, ty.ErrorType):
            return t.Const(value=0, type=ERROR, span=call.span)
        if isinstance(call.type, ty.VoidType):
            return self.error(rules.TYPE_MISMATCH, f"`{call.span.text}` gives no value", call.span, "a value is needed")
        if self.pre is None:
            return self.error(
                rules.CALL_IN_EXPRESSION, f"a call cannot stand {self.no_call}", call.span, "this is a step of its own",
                mend="name its result first: `let result = ...;`",
            )  # fmt: skip
        local = self.world.local("result", call.type, ghost=self.mode == "ghost")
        self.pre.append(t.Declare(local=local, value=call, span=call.span))
        return t.LocalRef(local=local, type=local.type, span=call.span)

    # ----------------------------------------------------------------------------------------------- expressions

    def infer(self, node: n.Expr, hint: ty.Type | None) -> t.Expr:
        """``node`` with whatever type it has. ``hint`` resolves literals and is no obligation."""
        span = node.span
        match node:
            case n.IntLit():
                return t.Const(value=node.value, type=INT, span=span)
            case n.BoolLit():
                return t.Const(value=int(node.value), type=BOOL, span=span)
            case n.NoneLit():
                return t.NoneLit(type=hint if isinstance(hint, ty.OptionType) else ty.NoneType(), span=span)
            case n.StaleLit():
                return t.StaleLit(
                    type=hint if isinstance(hint, ty.SnapshotType) else ty.NoneType(stale=True), span=span
                )
            case n.Name():
                return self._name(node.ident, hint)
            case n.Member():
                return self._member(node, hint)
            case n.Index():
                return self._index(node, racy=False)
            case n.Call() | n.TryAcquire() | n.NewObject():
                return self._call(node, hint)
            case n.Unary():
                return self._unary(node)
            case n.Binary():
                return self._binary(node, hint)
            case n.Conditional():
                return self._conditional(node, hint)
            case n.Unwrap():
                return self._unwrap(node)
            case n.Quantified():
                return self.quantified(node)
            case n.Old():
                if self.kind != "transition":
                    return self.error(
                        rules.MISPLACED_OPERATOR, "`old` belongs into a `transition` property", span,
                        "there is no earlier state here",
                        mend="write `transition NAME: ...;`, or keep the old value in a ghost",
                    )  # fmt: skip
                inner = self.infer(node.operand, hint)
                return t.Old(body=inner, type=inner.type, span=span)
            case n.At() | n.In() | n.Finished():
                return self._about_thread(node)
            case n.Held():
                return self.held(node)
            case n.Racy():
                return self._racy(node)
            case n.SetLit():
                return self._set(node, hint)
            case n.RecordLit():
                return self._record(node, hint)
            case _:
                assert_never(node)

    def _call(self, node: n.Call | n.TryAcquire | n.NewObject, hint: ty.Type | None) -> t.Expr:
        before = self.reads
        if isinstance(node, n.TryAcquire):
            call: t.Rhs = self.try_acquire(node)
        elif isinstance(node, n.NewObject):
            call = objects.new(self, node)
        else:
            call = check_call(self, node, hint)
        if not isinstance(call, t.Call | t.BuiltinCall | t.TryAcquire):
            assert not isinstance(call, t.Test)
            return call
        if before and self.pre is not None and not isinstance(call.type, ty.ErrorType):
            return self.error(
                rules.CALL_IN_EXPRESSION, "a call cannot stand after something that is read before it", node.span,
                "what stands to the left is read first, and this call could change it",
                mend="name the result first: `let result = ...;`",
            )  # fmt: skip
        return self._lifted(call)

    def _name(self, ident: n.Ident, hint: ty.Type | None) -> t.Expr:
        local = self.find_local(ident.text)
        if local is not None:
            return self._local(local, ident.span)
        wanted = _literal_type(hint)
        position = self._position(wanted, ident.text)
        symbol = self.home.find(ident.text)
        if isinstance(symbol, StateSymbol | ParamSymbol | ConstSymbol):
            if position is None or wanted is None:
                return self._symbol(symbol, ident.span)
            if isinstance(symbol, StateSymbol):
                self.types.state(symbol)
                if not symbol.index and compatible(symbol.type, wanted):
                    return self._symbol(symbol, ident.span)
        if position is not None and wanted is not None:
            return t.Const(value=position, type=wanted, span=ident.span)
        known = self.world.literals.get(ident.text, [])
        if len(known) == 1 and symbol is None:
            at = self._position(known[0], ident.text)
            return t.Const(value=at or 0, type=known[0], span=ident.span)
        if len(known) > 1 and symbol is None:
            return self.error(
                rules.AMBIGUOUS_NAME, f"`{ident.text}` is a member of {listing(show(k) for k in known)}", ident.span,
                "which one is meant?", mend=f"write `{show(known[0])}.{ident.text}`",
            )  # fmt: skip
        if symbol is not None:
            return self._symbol(symbol, ident.span)
        return self._unknown(ident, wanted)

    def _this_cpu(self, span: Span) -> t.Expr:
        """The CPU on which the code runs: its type is the one that is called ``cpu`` here."""
        kind = self.types.cpu(self.home, span)
        return t.LocalRef(local=t.Local(t.THIS_CPU, "this_cpu", kind), type=kind, span=span)

    def _unknown(self, ident: n.Ident, wanted: ty.Type | None) -> t.Expr:
        if ident.text == "this_cpu" and self.mode in ("real", "ghost", "claim"):
            return self._this_cpu(ident.span)
        near = list(wanted.members) if isinstance(wanted, ty.EnumType) else []
        mend = did_you_mean(ident.text, near)
        if not mend:
            names = [*near, *self.home.names(), *self.world.literals]
            for scope in self.scopes:
                names.extend(scope)
            mend = did_you_mean(ident.text, names)
        if isinstance(wanted, ty.EnumType) and not mend:
            mend = f"`{show(wanted)}` has {listing(wanted.members)}"
        owners = [
            f"{actor.name}.{ident.text}"
            for name in dict.fromkeys(self.home.names())
            if isinstance(actor := self.home.find(name), ActorSymbol | ImportSymbol) and ident.text in actor.scope
        ]
        if owners:
            mend = f"did you mean `{owners[0]}`?"
        mend = mend_name(ident.text) or mend
        return self.error(rules.UNKNOWN_NAME, f"unknown name `{ident.text}`", ident.span, mend=mend)

    def _position(self, kind: ty.Type | None, name: str) -> int | None:
        """The position of the member ``name`` of an enum or scalarset."""
        members: tuple[str, ...] = ()
        if isinstance(kind, ty.EnumType):
            members = kind.members
        elif isinstance(kind, ty.ScalarsetType) and kind.name in self.world.scalarsets:
            members = self.world.scalarsets[kind.name].members
        return members.index(name) if name in members else None

    def _local(self, local: t.Local, span: Span) -> t.Expr:
        if local.mutable or local.ref:
            self.reads += local.ref
        return t.LocalRef(local=local, type=local.type, span=span)

    def _symbol(self, symbol: Symbol, span: Span) -> t.Expr:
        match symbol:
            case StateSymbol():
                return self._state(symbol, (), span, racy=False)
            case ParamSymbol():
                kind = self.types.param(symbol)
                if isinstance(kind, ty.ErrorType):
                    return t.Const(value=0, type=ERROR, span=span)
                return t.ParamRef(name=symbol.name, type=kind, span=span)
            case ConstSymbol():
                return self._constant(symbol, span)
            case TypeSymbol() | LockSymbol() | RoutineSymbol() | ThreadSymbol() | ActorSymbol() | ImportSymbol():
                mend = ""
                if isinstance(symbol, RoutineSymbol):
                    mend = f"call it: `{symbol.span.text}(...)`"
                elif isinstance(symbol, LockSymbol):
                    mend = f"write `held({symbol.span.text})` to ask for it"
                return self.error(
                    rules.NOT_A_VALUE, f"`{span.text}` is {kind_of(symbol)}, not a value", span, "a value belongs here",
                    [self.world.declared(symbol)], mend,
                )  # fmt: skip
            case _:
                assert_never(symbol)

    def _constant(self, symbol: ConstSymbol, span: Span) -> t.Expr:
        if symbol.value is None:
            if symbol.busy:
                return self.error(rules.ENDLESS_DEFINITION, f"constant `{symbol.name}` depends on itself", symbol.span)
            symbol.busy = True
            kind = None if symbol.type_node is None else self.types.local(symbol.type_node, symbol.type_home)
            found = self.types.constant(symbol.node, kind, symbol.home)
            symbol.value = self._computed(found)
            symbol.busy = False
        return replace(symbol.value, span=span)

    def _computed(self, e: t.Expr) -> t.Expr:
        """A constant, computed where no parameter is in it; refused if it is too large to be handled."""
        if larger_than(e, MAX_CONSTANT):
            return self.error(
                rules.OUT_OF_RANGE, "this constant is too large an expression", e.span, "written out, it never ends",
                mend="use smaller steps, or fewer parameters",
            )  # fmt: skip
        if is_int(e.type) and not any(isinstance(part, t.ParamRef | t.SizeOf) for part in everything(e)):
            number = self.world.value(e)
            if number is None:
                return self.error(rules.OUT_OF_RANGE, "this number is too large", e.span, "no range reaches so far")
            return t.Const(value=number, type=INT, span=e.span)
        return e

    def _state(self, symbol: StateSymbol, index: tuple[t.Expr, ...], span: Span, racy: bool) -> t.Expr:
        if self.mode in ("constant", "pure"):
            rule, what = (
                (rules.NOT_CONSTANT, "a constant expression") if self.mode == "constant" else (rules.IMPURE_FN, "a fn")
            )
            return self.error(
                rule, f"{what} cannot read state `{symbol.name}`", span, "changes during a run",
                [self.world.declared(symbol)],
                "pass it as an argument; or write an `op`, and in a property the expression itself"
                if self.mode == "pure"
                else "use a `param`",
            )  # fmt: skip
        self.types.state(symbol)
        if len(index) < len(symbol.index):
            missing = "".join(f"[{show(k)}]" for k in symbol.index[len(index) :])
            return self.error(
                rules.WRONG_INDEX, f"`{span.text}` needs {'another' if index else 'an'} index", span,
                f"index it by {missing}", [self.world.declared(symbol)],
            )  # fmt: skip
        if self.mode == "real" and symbol.ghost:
            return self.error(
                rules.GHOST_READ, f"real code cannot read the ghost `{symbol.name}`", span,
                "would steer the run by a ghost",
                [self.world.declared(symbol)], "read it in an assertion, a property or a `ghost { }` block",
            )  # fmt: skip
        if self.mode == "real" and not symbol.node.pub and symbol.home.owner != self.home.owner and self.kind != "init":
            return self.error(
                rules.PRIVATE_READ, f"`{symbol.name}` is private to `{symbol.home.owner}`", span,
                f"read by code of `{self.home.owner}`", [self.world.declared(symbol)],
                f"declare it `pub state`, or ask through a `pub op` of `{symbol.home.owner}`",
            )  # fmt: skip
        if isinstance(symbol.type, ty.VersionType):
            return self.error(
                rules.VERSION_AS_VALUE, f"`{symbol.name}` is a version and has no value", span,
                "only its changes can be seen", [self.world.declared(symbol)],
                f"take `let seen = snapshot({span.text});` and ask `changed(seen)`",
            )  # fmt: skip
        self.reads += not symbol.ghost
        return t.StateRef(state=symbol.name, index=index, racy=racy, type=symbol.type, span=span)

    def version(self, node: n.Expr) -> tuple[StateSymbol, tuple[t.Expr, ...]] | None:
        """The version that ``node`` names, for ``snapshot`` and ``bump``."""
        base, index = _spread(node)
        symbol = self.types.expression_path(base, self.home, "version")
        if symbol is None:
            return None
        if isinstance(symbol, StateSymbol):
            self.types.state(symbol)
        if not isinstance(symbol, StateSymbol) or not isinstance(symbol.type, ty.VersionType):
            self.error(
                rules.TYPE_MISMATCH, f"`{base.span.text}` is not a version", node.span, "a `version` belongs here",
                [self.world.declared(symbol)],
            )  # fmt: skip
            return None
        return symbol, self.indexes(symbol.index, index, node.span, symbol)

    def quiet_path(self, node: n.Expr) -> Symbol | None:
        """What a dotted name means that does not begin with a local; None, without a report, if it is no such name."""
        match node:
            case n.Name():
                return None if self.find_local(node.ident.text) is not None else self.home.find(node.ident.text)
            case n.Member():
                base = self.quiet_path(node.base)
                return base.scope.get(node.ident.text) if isinstance(base, ActorSymbol | ImportSymbol) else None
            case _:
                return None

    def _member(self, node: n.Member, hint: ty.Type | None) -> t.Expr:
        base = self.quiet_path(node.base)
        match base:
            case ActorSymbol() | ImportSymbol():
                symbol = self.types.member(base, node.ident)
                if symbol is None:
                    return t.Const(value=0, type=ERROR, span=node.span)
                return self._symbol(symbol, node.span)
            case TypeSymbol():
                kind = self.types.of_symbol(base)
                position = self._position(kind, node.ident.text)
                if position is not None:
                    return t.Const(value=position, type=kind, span=node.span)
                members: tuple[str, ...] = kind.members if isinstance(kind, ty.EnumType) else ()
                if isinstance(kind, ty.ErrorType):
                    return t.Const(value=0, type=ERROR, span=node.span)
                return self.error(
                    rules.UNKNOWN_MEMBER, f"type `{base.name}` has no member `{node.ident.text}`", node.ident.span,
                    mend=did_you_mean(node.ident.text, members), why=[self.world.declared(base)],
                )  # fmt: skip
            case _:
                return self.field(self.plain(self.infer(node.base, None)), node)

    def field(self, base: t.Expr, node: n.Member) -> t.Expr:
        """A field of a record, a part of a product, or an index of a thread."""
        kind = base.type
        name = node.ident.text
        if isinstance(kind, ty.ErrorType):
            return t.Const(value=0, type=ERROR, span=node.span)
        if isinstance(kind, ty.ThreadType):
            fields = {p.name: p.type for p in self.world.threads[kind.thread].params}
        elif isinstance(kind, ty.RecordType):
            fields = dict(kind.fields)
        elif isinstance(kind, ty.OptionType):
            return self.possible_none(base)
        elif isinstance(kind, ty.PointerType):
            member = objects.member(self, base, node)
            if isinstance(member, StateSymbol):
                return self._state(member, (base,), node.span, racy=False)
            return t.Const(value=0, type=ERROR, span=node.span) if member is None else self._symbol(member, node.span)
        else:
            return self.error(
                rules.UNKNOWN_MEMBER,
                f"`{show(kind)}` has no fields",
                node.ident.span,
                "",
                [Label(base.span, show(kind))],
            )
        if name not in fields:
            return self.error(
                rules.UNKNOWN_MEMBER, f"`{show(kind)}` has no field `{name}`", node.ident.span,
                mend=did_you_mean(name, fields) or f"it has {listing(fields)}",
            )  # fmt: skip
        return t.Field(base=base, field=name, type=fields[name], span=node.span)

    def _index(self, node: n.Index, racy: bool) -> t.Expr:
        base, index = _spread(node)
        symbol = self.quiet_path(base)
        if isinstance(symbol, StateSymbol):
            self.types.state(symbol)
            return self._state(symbol, self.indexes(symbol.index, index, node.span, symbol), node.span, racy)
        part = objects.part_of(self, node) if symbol is None else None
        if part is not None:
            return self._part(part, node.span, racy)
        if symbol is None and not isinstance(base, n.Name | n.Member):
            inner: t.Expr | None = self.infer(base, None)
        elif symbol is None:
            inner = self.infer(base, None)
        else:
            inner = self._symbol(symbol, base.span)
        if inner is not None and not isinstance(inner.type, ty.ErrorType):
            self.error(
                rules.WRONG_INDEX,
                f"`{base.span.text}` has no index",
                base.span,
                f"this is `{show(inner.type)}`, not an array",
            )
        return t.Const(value=0, type=ERROR, span=node.span)

    def _part(self, part: objects.Part, span: Span, racy: bool) -> t.Expr:
        """A field of an object, with its further indexes."""
        symbol = part.symbol
        if symbol is None:
            return t.Const(value=0, type=ERROR, span=span)
        if isinstance(symbol, LockSymbol):
            return self._symbol(symbol, span)
        self.types.state(symbol)
        return self._state(symbol, self.part_index(part, symbol, span), span, racy)

    def part_index(
        self, part: objects.Part, symbol: StateSymbol | LockSymbol, span: Span
    ) -> tuple[t.Expr, ...]:
        """The whole index of a member of an object: the pointer, then what is written behind the name."""
        return (part.pointer, *self.indexes(symbol.index[1:], part.index, span, symbol))

    def indexes(
        self, kinds: tuple[ty.Type, ...], nodes: Sequence[n.Expr], span: Span, symbol: StateSymbol | LockSymbol
    ) -> tuple[t.Expr, ...]:
        """The index expressions of an array, one for each dimension that is written."""
        if len(nodes) > len(kinds):
            extra = nodes[len(kinds)]
            text = f"`{symbol.name}` has {len(kinds) or 'no'} index{'es' if len(kinds) > 1 else ''}"
            self.error(
                rules.WRONG_INDEX, f"{text}, not {len(nodes)}", extra.span, "too many", [self.world.declared(symbol)]
            )
            self.infer(extra, None)
        return tuple(self.value(node, kind) for node, kind in zip(nodes, kinds, strict=False))

    def _racy(self, node: n.Racy) -> t.Expr:
        if self.mode in ("constant", "pure", "property"):
            return self.error(
                rules.MISPLACED_OPERATOR, "`racy` marks an access in code", node.span, "has no meaning here"
            )
        base, index = _spread(node.operand)
        symbol = self.quiet_path(base)
        part = objects.part_of(self, node.operand) if symbol is None else None
        if part is not None:
            return self._part(part, node.operand.span, racy=True)
        if not isinstance(symbol, StateSymbol):
            self.infer(node.operand, None)
            return self.error(
                rules.MISPLACED_OPERATOR, "`racy` marks one access to shared state", node.operand.span,
                "this is none", mend="write `racy(x)` or `racy(x[i])`",
            )  # fmt: skip
        self.types.state(symbol)
        return self._state(symbol, self.indexes(symbol.index, index, node.span, symbol), node.operand.span, racy=True)

    def _unwrap(self, node: n.Unwrap) -> t.Expr:
        base = self.infer(node.operand, None)
        match base.type:
            case ty.ErrorType():
                return base
            case ty.OptionType(inner):
                return t.Unwrap(base=base, checked=not self._is_narrowed(base), type=inner, span=node.span)
            case _:
                return self.error(
                    rules.TYPE_MISMATCH, f"`{node.operand.span.text}` is never none", node.span,
                    f"it is `{show(base.type)}`", mend="leave out the `!`",
                )  # fmt: skip

    def _unary(self, node: n.Unary) -> t.Expr:
        if node.op == "!":
            inner = self.value(node.operand, BOOL)
            return t.Apply(op=Op.NOT, args=(inner,), type=BOOL, span=node.span)
        inner = self.integer(node.operand)
        if isinstance(inner, t.Const) and node.op == "-" and is_int(inner.type):
            return t.Const(value=-inner.value, type=INT, span=node.span)
        return t.Apply(op=Op.NEG if node.op == "-" else Op.BITNOT, args=(inner,), type=INT, span=node.span)

    def _binary(self, node: n.Binary, hint: ty.Type | None) -> t.Expr:
        match node.op:
            case "&&" | "||":
                return self._junction(node)
            case "implies":
                left = self.condition(node.left)
                with self.without_calls("under `implies`"), self.narrowing(self.facts(left, True)):
                    right = self.condition(node.right)
                return t.Apply(op=Op.IMPLIES, args=(left, right), type=BOOL, span=node.span)
            case "==" | "!=":
                left, right = self._pair(node)
                return t.Apply(op=OPERATORS[node.op], args=(left, right), type=BOOL, span=node.span)
            case "in":
                return self._in(node)
            case "<" | "<=" | ">" | ">=":
                left, right = self.integer(node.left), self.integer(node.right)
                return t.Apply(op=OPERATORS[node.op], args=(left, right), type=BOOL, span=node.span)
            case _:
                return self._arithmetic(node, hint)

    def _junction(self, node: n.Binary) -> t.Expr:
        """``a && b && c``: the left spine is taken apart, so that long chains are not deep."""
        parts: list[n.Expr] = []
        at: n.Expr = node
        while isinstance(at, n.Binary) and at.op == node.op:
            parts.append(at.right)
            at = at.left
        parts.append(at)
        parts.reverse()
        done = [self.condition(parts[0])]
        known: frozenset[int] = frozenset()
        with self.without_calls(f"under `{node.op}`"):
            for part in parts[1:]:
                known |= self.facts(done[-1], node.op == "&&")
                with self.narrowing(known):
                    done.append(self.condition(part))
        return t.Apply(op=OPERATORS[node.op], args=tuple(done), type=BOOL, span=node.span)

    def _pair(self, node: n.Binary) -> tuple[t.Expr, t.Expr]:
        if self._is_literal(node.left) and not self._is_literal(node.right):
            right = self.infer(node.right, None)
            left = self.infer(node.left, right.type)
        else:
            left = self.infer(node.left, None)
            right = self.infer(node.right, left.type)
        return self._unified(left, right, node.span)

    def _is_literal(self, node: n.Expr) -> bool:
        """Whether ``node`` has a type only where one is expected."""
        match node:
            case n.NoneLit() | n.StaleLit() | n.SetLit() | n.RecordLit():
                return True
            case n.Name():
                symbol = self.quiet_path(node)
                local = self.find_local(node.ident.text)
                return local is None and not isinstance(symbol, StateSymbol | ParamSymbol | ConstSymbol)
            case n.Conditional():
                return self._is_literal(node.then) and self._is_literal(node.otherwise)
            case _:
                return False

    def _unified(self, left: t.Expr, right: t.Expr, span: Span) -> tuple[t.Expr, t.Expr]:
        """Both sides of ``==``, brought to one type."""
        a, b = left.type, right.type
        if isinstance(a, ty.ErrorType) or isinstance(b, ty.ErrorType):
            return left, right
        if isinstance(a, ty.VoidType) or isinstance(b, ty.VoidType):
            self.mismatch(b, a, right.span)
        elif isinstance(a, ty.SnapshotType) or isinstance(b, ty.SnapshotType):
            self.error(
                rules.TYPE_MISMATCH, "snapshots cannot be compared", span, "only its version knows what it means",
                mend="ask `changed(s)`",
            )  # fmt: skip
        elif isinstance(a, ty.NoneType) and isinstance(b, ty.NoneType):
            self.error(rules.UNTYPED_LITERAL, "nothing says what this `none` is of", left.span, "both sides are `none`")
        elif isinstance(a, ty.NoneType):
            left = self.coerce(left, b)
        elif isinstance(a, ty.OptionType) and not isinstance(b, ty.OptionType):
            right = self.coerce(right, a)
        elif isinstance(b, ty.OptionType) and not isinstance(a, ty.OptionType):
            left = self.coerce(left, b)
        elif isinstance(b, ty.NoneType) or not compatible(a, b):
            right = self.coerce(right, a)
        return left, right

    def _in(self, node: n.Binary) -> t.Expr:
        members = self.infer(node.right, None)
        if isinstance(members.type, ty.ErrorType):
            self.infer(node.left, None)
            return members
        if not isinstance(members.type, ty.SetType):
            return self.error(
                rules.TYPE_MISMATCH, f"`{node.right.span.text}` is not a set", node.right.span,
                f"it is `{show(members.type)}`", mend="`in` asks for membership of a `set of T`",
            )  # fmt: skip
        element = self.value(node.left, members.type.of)
        return t.Member(element=element, set=members, type=BOOL, span=node.span)

    def _arithmetic(self, node: n.Binary, hint: ty.Type | None) -> t.Expr:
        op = OPERATORS[node.op]
        sets = hint if isinstance(hint, ty.SetType) and op in SET_OPERATORS else None
        left = self.plain(self.infer(node.left, sets))
        if op in SET_OPERATORS and isinstance(left.type, ty.SetType):
            right = self.value(node.right, left.type)
            return t.Apply(op=op, args=(left, right), type=left.type, span=node.span)
        left, right = self._number(left), self.integer(node.right)
        if isinstance(right, t.Const) and right.value == 0 and op in (Op.DIV, Op.MOD) and is_int(right.type):
            return self.error(rules.OUT_OF_RANGE, "division by zero", node.right.span, "this is always 0")
        return t.Apply(op=op, args=(left, right), type=INT, span=node.span)

    def _number(self, e: t.Expr) -> t.Expr:
        e = self.plain(e)
        match e.type:
            case ty.IntType() | ty.RangeType() | ty.ErrorType():
                return e
            case ty.ScalarsetType():
                return self.error(
                    rules.BROKEN_SYMMETRY, f"a member of `{show(e.type)}` is not a number", e.span,
                    "members of a scalarset are interchangeable: only `==` and `!=` tell them apart",
                    self._why(e), "use a range `lo..hi` where order or arithmetic matters",
                )  # fmt: skip
            case ty.OptionType(of=ty.IntType() | ty.RangeType()):
                return self.possible_none(e)
            case _:
                return self.mismatch(e.type, INT, e.span)

    def _conditional(self, node: n.Conditional, hint: ty.Type | None) -> t.Expr:
        cond = self.condition(node.cond)
        with self.without_calls("in a branch of `?:`"):
            first, second = (node.then, True), (node.otherwise, False)
            swapped = hint is None and self._is_literal(node.then) and not self._is_literal(node.otherwise)
            done: dict[bool, t.Expr] = {}
            for part, truth in (second, first) if swapped else (first, second):
                with self.narrowing(self.facts(cond, truth)):
                    other = next(iter(done.values())).type if done and hint is None else hint
                    e = self.infer(part, other)
                    if hint is not None and not is_int(hint):
                        e = self.coerce(e, hint)
                    elif not done:
                        e = self.plain(e)
                    done[truth] = e
        then, otherwise = self._unified(done[True], done[False], node.span)
        kind = INT if is_int(then.type) else then.type
        return t.Apply(op=Op.ITE, args=(cond, then, otherwise), type=kind, span=node.span)

    def quantified(self, node: n.Quantified) -> t.Expr:
        """``forall``, ``exists`` and ``count``."""
        with self.without_calls("in a quantifier"), self.scope():
            binders, members = [], []
            for binder in node.binders:
                local, member = self.binder(binder.name, binder.domain)
                binders.append(local)
                members += [] if member is None else [member]
            where = None if node.where is None else self.condition(node.where)
            known = frozenset() if where is None else self.facts(where, True)
            with self.narrowing(known):
                body = self.condition(node.body)
        for member in members:
            where = member if where is None else t.Apply(op=Op.AND, args=(member, where), type=BOOL, span=node.span)
        kind = QUANTIFIERS[node.kind]
        result: ty.Type = INT if kind is Quantifier.COUNT else BOOL
        return t.Quantified(
            kind=kind, binders=tuple(binders), where=where, body=body, type=result, span=node.span
        )  # fmt: skip

    def binder(self, name: n.Ident, domain: n.Domain) -> tuple[t.Local, t.Expr | None]:
        """A bound name; for a set-valued domain also the condition that it is a member."""
        kind, members = self.domain(domain)
        local = self.declare(name, kind)
        if isinstance(kind, ty.PointerType):
            return local, objects.in_use(self, local, kind, domain.span)
        if members is None:
            return local, None
        ref = t.LocalRef(local=local, type=kind, span=name.span)
        return local, t.Member(element=ref, set=members, type=BOOL, span=domain.span)

    def domain(self, node: n.Domain) -> tuple[ty.Type, t.Expr | None]:
        """What a name in ``forall``, ``for`` or ``choose`` runs over: a type, a set, or the instances of a thread."""
        if isinstance(node, n.NamedType):
            local = self.find_local(node.path[0].text)
            symbol = None if local is not None else self._quiet_symbol(node.path)
            if isinstance(symbol, ThreadSymbol):
                if self.mode != "property":
                    self.error(
                        rules.MISPLACED_OPERATOR, "only properties speak of threads", node.span, "this is a thread",
                        mend="keep what the code needs to know in state",
                    )  # fmt: skip
                    return ERROR, None
                return ty.ThreadType(symbol.name), None
            if (symbol is None and local is None) or isinstance(symbol, TypeSymbol):
                kind = self.types.resolve(node, self.home)
                if isinstance(kind, ty.PointerType):
                    if self.mode in ("ghost", "claim", "property"):
                        return kind, None
                    objects.refuse_conjured(self, kind, node.span, "picked")
                    return ERROR, None
                return (kind if self.types.is_index(kind, node.span, "run over") else ERROR), None
            expr: n.Expr = n.Name(node.path[0], span=node.path[0].span)
            for ident in node.path[1:]:
                expr = n.Member(expr, ident, span=Span(node.span.file, node.span.start, ident.span.end))
            return self._set_domain(expr)
        if isinstance(node, n.BoolType):
            return BOOL, None
        if isinstance(node, n.RangeType):
            with self.in_mode("constant"):
                lo, hi = self.integer(node.lo), self.integer(node.hi)
            if isinstance(lo.type, ty.ErrorType) or isinstance(hi.type, ty.ErrorType):
                return ERROR, None
            kind = ty.RangeType(lo, hi)
            self.world.ranges.append((kind, node.span))
            return kind, None
        return self._set_domain(node)

    def _quiet_symbol(self, path: n.Path) -> Symbol | None:
        symbol = self.home.find(path[0].text)
        for ident in path[1:]:
            symbol = symbol.scope.get(ident.text) if isinstance(symbol, ActorSymbol | ImportSymbol) else None
        return symbol

    def _set_domain(self, node: n.Expr) -> tuple[ty.Type, t.Expr | None]:
        members = self.infer(node, None)
        if isinstance(members.type, ty.SetType):
            return members.type.of, members
        if not isinstance(members.type, ty.ErrorType):
            self.error(
                rules.TYPE_MISMATCH, f"cannot run over `{node.span.text}`", node.span, f"it is `{show(members.type)}`",
                mend="run over a type, a range or a set",
            )  # fmt: skip
        return ERROR, None

    def _set(self, node: n.SetLit, hint: ty.Type | None) -> t.Expr:
        kind = hint.of if isinstance(hint, ty.OptionType) else hint
        if not isinstance(kind, ty.SetType):
            first = self.plain(self.infer(node.elements[0], None)) if node.elements else None
            if first is None or is_int(first.type) or isinstance(first.type, ty.NoneType):
                return self.error(
                    rules.UNTYPED_LITERAL, "nothing says what this is a set of", node.span, "its type is not known",
                    mend="give the variable a type: `: set of T`",
                )  # fmt: skip
            if isinstance(first.type, ty.ErrorType):
                return first
            kind = ty.SetType(first.type)
        elements = tuple(self.value(e, kind.of) for e in node.elements)
        return t.SetLit(elements=elements, type=kind, span=node.span)

    def _record(self, node: n.RecordLit, hint: ty.Type | None) -> t.Expr:
        kind = hint.of if isinstance(hint, ty.OptionType) else hint
        if not isinstance(kind, ty.RecordType):
            if isinstance(kind, ty.ErrorType):
                return t.Const(value=0, type=ERROR, span=node.span)
            return self.error(
                rules.UNTYPED_LITERAL, "nothing says which record this is", node.span, "its type is not known",
                mend="give the variable a type: `: T`",
            )  # fmt: skip
        fields = dict(kind.fields)
        given: dict[str, t.Expr] = {}
        for part in node.fields:
            name = part.name.text
            if name in given:
                self.error(rules.DUPLICATE_NAME, f"field `{name}` is given twice", part.name.span)
            elif name not in fields:
                self.error(
                    rules.UNKNOWN_MEMBER, f"`{show(kind)}` has no field `{name}`", part.name.span,
                    mend=did_you_mean(name, fields) or f"it has {listing(fields)}",
                )  # fmt: skip
                self.infer(part.value, None)
                continue
            given[name] = self.value(part.value, fields[name])
        missing = [name for name in fields if name not in given]
        if missing:
            return self.error(
                rules.WRONG_ARGUMENT_COUNT,
                f"`{show(kind)}` also has {listing(missing)}",
                node.span,
                "every field is needed",
            )
        return t.RecordLit(fields=tuple(given[name] for name in fields), type=kind, span=node.span)

    # ------------------------------------------------------------------------------------------ locks and threads

    def lock(self, node: n.Expr, *, every: bool = False) -> t.LockRef | None:
        """The lock that ``node`` names; ``every`` instance of an array is named without an index."""
        base, index = _spread(node)
        part = objects.part_of(self, node) if self.quiet_path(base) is None else None
        symbol = self.types.expression_path(base, self.home, "lock") if part is None else part.symbol
        if symbol is None:
            return None
        if not isinstance(symbol, LockSymbol):
            self.error(
                rules.NOT_A_LOCK, f"`{base.span.text}` is {kind_of(symbol)}, not a lock", base.span,
                "a lock belongs here",
                [self.world.declared(symbol)],
            )  # fmt: skip
            return None
        if part is not None:
            found = self.part_index(part, symbol, node.span)
            index = [*index, node]  # an object is named, so it is no whole array
        elif self.this is not None and self.this.type == ty.PointerType(symbol.pool):
            own = t.LocalRef(local=self.this, type=self.this.type, span=node.span)
            found = (own, *self.indexes(symbol.index[1:], index, node.span, symbol))
        else:
            found = self.indexes(symbol.index, index, node.span, symbol)
        if every and (index or not symbol.index):
            self.error(
                rules.WRONG_INDEX, f"`every` takes a whole array, and `{node.span.text}` is one lock", node.span,
                mend="leave out the index" if symbol.index else "leave out `every`",
            )  # fmt: skip
            return None
        if not every and len(found) < len(symbol.index):
            missing = "".join(f"[{show(k)}]" for k in symbol.index[len(found) :])
            self.error(
                rules.WRONG_INDEX, f"`{symbol.name}` is an array of locks", node.span, f"index it by {missing}",
                [self.world.declared(symbol)],
            )  # fmt: skip
            return None
        return t.LockRef(symbol.name, found, node.span)

    def lock_mode(self, lock: t.LockRef, mode: n.Mode | None, node: n.Node) -> str:
        """The mode in which a lock is taken: as written, else ``read`` for srcu and ``write`` for all others."""
        symbol = self.world.locks[lock.lock]
        kind = symbol.kind
        if kind is LockKind.SRCU:
            if mode == "write":
                self.error(
                    rules.WRONG_LOCK_MODE, "an srcu has no write mode", node.span, "readers only",
                    [self.world.declared(symbol)], f"writers wait with `synchronize {lock.span.text};`",
                )  # fmt: skip
            return "read"
        if mode == "read" and not kind.shared:
            self.error(
                rules.WRONG_LOCK_MODE, f"a {kind.value} has no read mode", node.span,
                "it is held by one thread at a time",
                [self.world.declared(symbol)], "declare it as `rwlock` or `rwsem`, or leave out `read`",
            )  # fmt: skip
        return mode or "write"

    def may_take(self, lock: t.LockRef) -> None:
        """Report if code here has no right to this lock."""
        symbol = self.world.locks[lock.lock]
        if not symbol.node.pub and symbol.home.owner != self.home.owner:
            self.error(
                rules.FOREIGN_WRITE, f"`{symbol.name}` belongs to `{symbol.home.owner}`", lock.span,
                f"taken by code of `{self.home.owner}`", [self.world.declared(symbol)],
                f"declare it `pub lock`, or call a `pub proc` of `{symbol.home.owner}` that takes it",
            )  # fmt: skip

    def try_acquire(self, node: n.TryAcquire) -> t.TryAcquire | t.Const:
        """``try_acquire l read``"""
        lock = self.lock(node.lock)
        if lock is None or self.mode != "real":
            if lock is not None:
                rule = rules.GHOST_SIDE_EFFECT if self.mode == "ghost" else rules.CALL_IN_CLAIM
                self.error(rule, "a lock can be taken by real code only", node.span)
            self.world.blurred.append(self.whole or node.span)
            return t.Const(value=0, type=ERROR, span=node.span)
        self.may_take(lock)
        kind = self.world.locks[lock.lock].kind
        if kind is LockKind.SRCU:
            self.error(
                rules.WRONG_LOCK_MODE, "entering an srcu section never fails", node.span, "nothing to try",
                mend=f"write `with {lock.span.text} {{ }}`",
            )  # fmt: skip
        return t.TryAcquire(lock=lock, mode=self.lock_mode(lock, node.mode, node), type=BOOL, span=node.span)

    def held(self, node: n.Held) -> t.Expr:
        """``held(l)``: by self in code, by a thread or anyone in properties."""
        if self.mode in ("constant", "pure"):
            return self.error(rules.NOT_CONSTANT, "`held` speaks of a state of the run", node.span)
        lock = self.lock(node.lock)
        if lock is None:
            return t.Const(value=0, type=ERROR, span=node.span)
        mode = "" if node.mode is None else self.lock_mode(lock, node.mode, node)
        by = None
        if node.by is not None:
            by = self.thread(node.by)
            if by is None:
                return t.Const(value=0, type=ERROR, span=node.span)
        return t.Held(lock=lock, mode=mode, by=by, by_self=self.mode != "property", type=BOOL, span=node.span)

    def _about_thread(self, node: n.At | n.In | n.Finished) -> t.Expr:
        thread = self.thread(node.thread)
        if thread is None:
            return t.Const(value=0, type=ERROR, span=node.span)
        if isinstance(node, n.Finished):
            return t.Finished(thread=thread, type=BOOL, span=node.span)
        what, name = ("label", node.label) if isinstance(node, n.At) else ("region", node.region)
        known = self.world.places.get((what, thread.thread), set())
        if name.text not in known:
            self.error(
                rules.UNKNOWN_LABEL, f"thread `{thread.thread}` has no {what} `{name.text}`", name.span,
                mend=did_you_mean(name.text, known),
            )  # fmt: skip
        if isinstance(node, n.At):
            return t.AtLabel(thread=thread, label=name.text, type=BOOL, span=node.span)
        return t.InRegion(thread=thread, region=name.text, type=BOOL, span=node.span)

    def thread(self, node: n.Expr) -> t.ThreadRef | None:
        """A thread, or one instance of it, as properties name it."""
        if self.mode != "property":
            self.error(
                rules.MISPLACED_OPERATOR, "only properties speak of threads", node.span, "this is code",
                mend="keep what the code needs to know in state",
            )  # fmt: skip
            return None
        if isinstance(node, n.Name):
            local = self.find_local(node.ident.text)
            if local is not None:
                if isinstance(local.type, ty.ThreadType):
                    return t.ThreadRef(local.type.thread, local, (), node.span)
                if not isinstance(local.type, ty.ErrorType):
                    self.mismatch(local.type, ty.ThreadType("a thread"), node.span)
                return None
        found = self.thread_path(node)
        if found is None:
            return None
        symbol, index = found
        if len(index) != len(symbol.params):
            self.error(
                rules.WRONG_INDEX, f"thread `{symbol.name}` has {len(symbol.params)} index(es), not {len(index)}",
                node.span,
                "which instance?", [self.world.declared(symbol)], f"quantify: `forall t in {symbol.name} : ...`",
            )  # fmt: skip
            return None
        kinds = [p.type for p in symbol.params]
        values = tuple(self.value(i, kind) for i, kind in zip(index, kinds, strict=True))
        return t.ThreadRef(symbol.name, None, values, node.span)

    def thread_path(self, node: n.Expr) -> tuple[ThreadSymbol, list[n.Expr]] | None:
        """The thread that ``node`` names, and the indexes that are written with it."""
        base, index = _spread(node)
        symbol = self.types.expression_path(base, self.home, "thread")
        if symbol is None:
            return None
        if not isinstance(symbol, ThreadSymbol):
            self.error(
                rules.UNKNOWN_THREAD, f"`{base.span.text}` is {kind_of(symbol)}, not a thread", base.span,
                "a thread belongs here", [self.world.declared(symbol)],
            )  # fmt: skip
            return None
        return symbol, index

    # ----------------------------------------------------------------------------------------------- conversions

    def coerce(self, e: t.Expr, expected: ty.Type) -> t.Expr:
        """``e`` as a value of type ``expected``: wrapped into an option or taken out of a narrowed one."""
        have = e.type
        if isinstance(have, ty.ErrorType) or isinstance(expected, ty.ErrorType):
            return e
        if isinstance(have, ty.NoneType):
            return self._none(e, have, expected)
        if isinstance(expected, ty.OptionType):
            if isinstance(have, ty.OptionType) and compatible(have, expected):
                return e
            if isinstance(have, ty.OptionType):
                return self.mismatch(have, expected, e.span)
            inner = self.coerce(e, expected.of)
            return inner if isinstance(inner.type, ty.ErrorType) else t.Wrap(base=inner, type=expected, span=e.span)
        if isinstance(have, ty.OptionType):
            if not compatible(have.of, expected):
                return self.mismatch(have, expected, e.span)
            if not self._is_narrowed(e):
                return self.possible_none(e)
            e = t.Unwrap(base=e, checked=False, type=have.of, span=e.span)
            have = e.type
        if is_int(have) and is_int(expected):
            return self._in_range(e, expected)
        if compatible(have, expected):
            return e
        if (isinstance(have, ty.ScalarsetType) and is_int(expected)) or (
            isinstance(expected, ty.ScalarsetType) and is_int(have)
        ):
            scalarset = have if isinstance(have, ty.ScalarsetType) else expected
            return self.error(
                rules.BROKEN_SYMMETRY, f"`{show(have)}` where `{show(expected)}` is needed: members of "
                f"`{show(scalarset)}` have no numbers", e.span, "would tell members apart by their number",
                self._why(e), "name members with `scalarset(...) with A, B`, or use a range `lo..hi`",
            )  # fmt: skip
        return self.mismatch(have, expected, e.span)

    def _none(self, e: t.Expr, have: ty.NoneType, expected: ty.Type) -> t.Expr:
        if have.stale and isinstance(expected, ty.SnapshotType):
            return t.StaleLit(type=expected, span=e.span)
        if not have.stale and isinstance(expected, ty.OptionType):
            return t.NoneLit(type=expected, span=e.span)
        if have.stale:
            return self.mismatch(have, expected, e.span)
        return self.error(
            rules.MISPLACED_NONE, f"`{show(expected)}` is never `none`", e.span, "a value is needed",
            mend=f"make it optional: `{show(expected)}?`",
        )  # fmt: skip

    def _in_range(self, e: t.Expr, expected: ty.Type) -> t.Expr:
        if isinstance(expected, ty.RangeType):
            mine = self.world.bounds(e) if isinstance(e, t.Const | t.ParamRef | t.Apply) else None
            if mine is not None:
                low, high = self.world.widest(mine[0]), self.world.widest(mine[1])
                least, most = self.world.widest(expected.lo), self.world.widest(expected.hi)
                if low and high and least and most and (low[0] > most[1] or high[1] < least[0]):
                    value = str(low[0]) if low[0] == high[1] else f"a number in {low[0]}..{high[1]}"
                    return self.error(
                        rules.OUT_OF_RANGE, f"{value} is not in {show(expected)}", e.span,
                        f"can only be {least[0]} to {most[1]}",
                    )  # fmt: skip
        return e

    def plain(self, e: t.Expr) -> t.Expr:
        """``e`` itself, or its value where it is an option that is known not to be none here."""
        if isinstance(e.type, ty.OptionType) and self._is_narrowed(e):
            return t.Unwrap(base=e, checked=False, type=e.type.of, span=e.span)
        return e

    def _is_narrowed(self, e: t.Expr) -> bool:
        return isinstance(e, t.LocalRef) and e.local.number in self.narrowed

    def possible_none(self, e: t.Expr) -> t.Expr:
        """Report an option that is used as if it could not be none."""
        shared = isinstance(e, t.StateRef)
        text = e.span.text
        return self.error(
            rules.POSSIBLE_NONE, f"`{text}` may be none", e.span, f"it is `{show(e.type)}`", (),
            f"copy it first: `let p = {text}; if p != none {{ ... }}`; or write `{text}!`, checked in every run"
            if shared else f"test `{text} != none` first, or write `{text}!`, which is checked in every run",
        )  # fmt: skip

    def mismatch(self, have: ty.Type, expected: ty.Type, span: Span) -> t.Expr:
        """Report a value of one type where another is needed."""
        mend = ""
        if isinstance(expected, ty.BoolType) and is_int(have):
            truth = {"0": "false", "1": "true"}.get(span.text)
            mend = f"write `{truth}`" if truth else f"compare it: `{span.text} != 0`"
        return self.error(
            rules.TYPE_MISMATCH, f"`{show(expected)}` is needed, this is `{show(have)}`", span,
            f"this is `{show(have)}`", (), mend,
        )  # fmt: skip

    def _why(self, e: t.Expr) -> list[Label]:
        """Where the scalarset of ``e`` is declared."""
        kind = e.type
        if isinstance(kind, ty.ScalarsetType) and kind.name in self.world.scalarsets:
            return [Label(self.world.scalarsets[kind.name].span, "a scalarset")]
        return []

    # ------------------------------------------------------------------------------------------------- narrowing

    def facts(self, e: t.Rhs, truth: bool) -> frozenset[int]:
        """The locals that are known not to be none where ``e`` is true (or false)."""
        if not isinstance(e, t.Apply):
            return frozenset()
        match e.op, truth:
            case (Op.NOT, _):
                return self.facts(e.args[0], not truth)
            case (Op.AND, True) | (Op.OR, False):
                return frozenset().union(*(self.facts(a, truth) for a in e.args))
            case (Op.IMPLIES, False):
                return self.facts(e.args[0], True) | self.facts(e.args[1], False)
            case (Op.NE, True) | (Op.EQ, False):
                return self._not_none(e.args, t.NoneLit)
            case (Op.EQ, True) | (Op.NE, False):
                return self._not_none(e.args, t.Wrap)
            case _:
                return frozenset()

    def _not_none(self, args: tuple[t.Expr, ...], other: type[t.NoneLit] | type[t.Wrap]) -> frozenset[int]:
        a, b = args
        if isinstance(a, other):
            a, b = b, a
        if isinstance(a, t.LocalRef) and isinstance(b, other) and not a.local.ref:
            return frozenset([a.local.number])
        return frozenset()


def _literal_type(hint: ty.Type | None) -> ty.Type | None:
    """The enum or scalarset whose members may be written where ``hint`` is expected."""
    while isinstance(hint, ty.OptionType):
        hint = hint.of
    return hint if isinstance(hint, ty.EnumType | ty.ScalarsetType) else None


def _spread(node: n.Expr) -> tuple[n.Expr, list[n.Expr]]:
    """``a[i][j]`` as ``a`` and ``[i, j]``."""
    index: list[n.Expr] = []
    while isinstance(node, n.Index):
        index.append(node.index)
        node = node.base
    return node, index[::-1]
