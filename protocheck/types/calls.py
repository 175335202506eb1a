"""Calls: of ops, procs and fns with their arguments, and of the built-ins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocheck.diagnostics import Label
from protocheck.ir.expr import Op
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.syntax.c_habits import mend_call
from protocheck.types import objects, rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.ranges import fold, number
from protocheck.types.report import did_you_mean
from protocheck.types.scope import ActorSymbol, ImportSymbol, RoutineSymbol, StateSymbol, kind_of, show
from protocheck.types.type_check import compatible

if TYPE_CHECKING:
    from protocheck.types.expr_check import Exprs

INT = ty.IntType()
BOOL = ty.BoolType()
ERROR = ty.ErrorType()


@dataclass(frozen=True)
class BuiltIn:
    """A built-in: how it is written, its number of arguments, and whether it is a step."""

    usage: str
    arguments: int
    steps: bool


BUILTINS = {
    "min": BuiltIn("min(a, b)", 2, False),
    "max": BuiltIn("max(a, b)", 2, False),
    "power_of_two": BuiltIn("power_of_two(n)", 1, False),
    "changed": BuiltIn("changed(seen)", 1, False),
    "live": BuiltIn("live(p)", 1, False),
    "snapshot": BuiltIn("snapshot(version)", 1, True),
    "bump": BuiltIn("bump(version)", 1, True),
    "behind": BuiltIn("behind(seen)", 1, False),
    "reset": BuiltIn("reset(counter)", 1, True),
    "cmpxchg": BuiltIn("cmpxchg(ref x, old, new)", 3, True),
    "xchg": BuiltIn("xchg(ref x, new)", 2, True),
    "fetch_add": BuiltIn("fetch_add(ref x, n)", 2, True),
    "dec_and_test": BuiltIn("dec_and_test(ref x)", 1, True),
    "inc_not_zero": BuiltIn("inc_not_zero(ref x)", 1, True),
    "test_and_set": BuiltIn("test_and_set(ref x)", 1, True),
    "test_and_clear": BuiltIn("test_and_clear(ref x)", 1, True),
}


def check_call(x: Exprs, node: n.Call, hint: ty.Type | None) -> t.Rhs:
    """The call ``node``: a value where it is one of a fn, else a call that is a step of its own."""
    if isinstance(node.func, n.Name) and x.find_local(node.func.ident.text) is None:
        name = node.func.ident.text
        if x.home.find(name) is None:
            if name in BUILTINS:
                return _builtin(x, node, name)
            _arguments_anyway(x, node)
            return x.error(
                rules.UNKNOWN_NAME, f"unknown proc, op or fn `{name}`", node.func.span,
                mend=_nearest(x, name) or mend_call(name),
            )  # fmt: skip
    symbol = x.types.expression_path(node.func, x.home, "proc, op or fn")
    if symbol is None:
        _arguments_anyway(x, node)
        return t.Const(value=0, type=ERROR, span=node.span)
    if not isinstance(symbol, RoutineSymbol):
        return x.error(
            rules.NOT_A_VALUE, f"`{node.func.span.text}` is {kind_of(symbol)} and cannot be called", node.func.span,
            "not a proc, op or fn", [x.world.declared(symbol)],
        )  # fmt: skip
    x.types.sign(symbol)
    x.world.mentioned.add(symbol.name)
    args = _arguments(x, node, symbol)
    if symbol.kind == "fn":
        if args is None:
            return t.Const(value=0, type=symbol.result, span=node.span)
        return t.FnCall(fn=symbol.name, args=args, type=symbol.result, span=node.span)
    if not _may_call(x, node, symbol):
        return t.Const(value=0, type=ERROR, span=node.span)
    if args is None:
        return t.Const(value=0, type=ERROR, span=node.span)
    crosses = bool(symbol.home.owner) and symbol.home.owner != x.home.owner and not symbol.ghost
    return t.Call(routine=symbol.name, args=args, crosses=crosses, type=symbol.result, span=node.span)


def _nearest(x: Exprs, name: str) -> str:
    for known in dict.fromkeys(x.home.names()):
        inside = x.home.find(known)
        if isinstance(inside, ActorSymbol | ImportSymbol) and isinstance(inside.scope.get(name), RoutineSymbol):
            return f"did you mean `{known}.{name}`?"
    routines = [k for k in x.home.names() if isinstance(x.home.find(k), RoutineSymbol)]
    return did_you_mean(name, [*routines, *BUILTINS])


def _arguments_anyway(x: Exprs, node: n.Call) -> None:
    """Check the arguments of a call that cannot be made, for what else is wrong in them."""
    for arg in node.args:
        if not isinstance(arg, n.RefArg) and not isinstance(arg, n.Name):
            x.infer(arg, None)


def _may_call(x: Exprs, node: n.Call, symbol: RoutineSymbol) -> bool:
    """Whether code in this mode and of this owner may call ``symbol``; reports it if not."""
    span = node.func.span
    why = [x.world.declared(symbol)]
    if x.mode in ("claim", "property", "constant", "pure"):
        where = {"claim": "an assertion", "property": "a property", "pure": "a fn"}.get(x.mode, "a constant expression")
        x.error(
            rules.CALL_IN_CLAIM, f"{where} cannot call the {symbol.kind} `{symbol.name}`", span, "would take steps",
            why,
            "speak of the state that it reads, or write a `fn`",
        )  # fmt: skip
        return False
    if x.mode == "ghost":
        if not symbol.ghost:
            x.error(
                rules.GHOST_SIDE_EFFECT, f"ghost code cannot call the {symbol.kind} `{symbol.name}`", span,
                "would change the real state", why, "call it outside of `ghost { }`, or declare it a `ghost proc`",
            )  # fmt: skip
            return False
        return True
    if symbol.ghost:
        x.error(
            rules.GHOST_READ, f"real code cannot use a result of the ghost `{symbol.name}`", span,
            "would steer the run by a ghost", why, "call ghost procs as statements of their own",
        )  # fmt: skip
        return False
    if not symbol.public and symbol.home.owner != x.home.owner:
        x.error(
            rules.PRIVATE_CALL, f"`{symbol.name}` is private to `{symbol.home.owner}`", span,
            f"called by code of `{x.home.owner}`", why, f"declare it `pub {symbol.kind}`",
        )  # fmt: skip
        return False
    return True


def _arguments(x: Exprs, node: n.Call, symbol: RoutineSymbol) -> tuple[t.Expr, ...] | None:
    if len(node.args) != len(symbol.params):
        extra = node.args[len(symbol.params)].span if len(node.args) > len(symbol.params) else node.func.span
        params = ", ".join(f"{p.name} : {show(p.type)}" for p in symbol.params)
        x.error(
            rules.WRONG_ARGUMENT_COUNT,
            f"`{symbol.name}` takes {_count(len(symbol.params))}, not {len(node.args)}", extra,
            "too many" if len(node.args) > len(symbol.params) else "too few", [x.world.declared(symbol)],
            f"it is `{symbol.span.text}({params})`",
        )  # fmt: skip
        _arguments_anyway(x, node)
        return None
    ghost = symbol.ghost and x.mode == "real"
    found = []
    for arg, param in zip(node.args, symbol.params, strict=True):
        if ghost:
            with x.in_mode("ghost"):
                found.append(_argument(x, arg, param, symbol))
        else:
            found.append(_argument(x, arg, param, symbol))
    return tuple(found)


def _argument(x: Exprs, arg: n.Expr | n.RefArg, param: t.Local, symbol: RoutineSymbol) -> t.Expr:
    if isinstance(arg, n.RefArg):
        if not param.ref:
            x.error(
                rules.REF_MISMATCH, f"parameter `{param.name}` of `{symbol.name}` is a value", arg.span, "not a `ref`",
                [x.world.declared(symbol)], "leave out `ref`",
            )  # fmt: skip
            return t.Const(value=0, type=ERROR, span=arg.span)
        target = place(x, arg.target)
        if target is None:
            return t.Const(value=0, type=ERROR, span=arg.span)
        if target.type != param.type and not isinstance(target.type, ty.ErrorType):
            x.mismatch(target.type, param.type, arg.target.span)
        forget(x, target)
        return target
    if param.ref:
        x.error(
            rules.REF_MISMATCH, f"parameter `{param.name}` of `{symbol.name}` is a `ref`", arg.span, "a value",
            [x.world.declared(symbol)], f"write `ref {arg.span.text}`",
        )  # fmt: skip
        return t.Const(value=0, type=ERROR, span=arg.span)
    return x.value(arg, param.type)


def _count(number: int) -> str:
    return "no arguments" if number == 0 else "1 argument" if number == 1 else f"{number} arguments"


# ------------------------------------------------------------------------------------------------------- built-ins


def _builtin(x: Exprs, node: n.Call, name: str) -> t.Rhs:
    known = BUILTINS[name]
    wrong = len(node.args) != known.arguments if name not in ("min", "max") else len(node.args) < 2
    if wrong:
        _arguments_anyway(x, node)
        return x.error(
            rules.WRONG_ARGUMENT_COUNT, f"`{name}` takes {_count(known.arguments)}, not {len(node.args)}",
            node.func.span,
            mend=f"write `{known.usage}`",
        )  # fmt: skip
    if not known.steps:
        return _pure(x, node, name)
    if x.mode in ("claim", "property", "constant", "pure"):
        return x.error(
            rules.CALL_IN_CLAIM, f"`{name}` is a step and belongs into code", node.span, "would change the state"
        )
    first = node.args[0]
    if name in ("snapshot", "bump", "reset"):
        return _version(x, node, name, first.target if isinstance(first, n.RefArg) else first)
    if x.mode == "ghost":
        return x.error(
            rules.GHOST_SIDE_EFFECT, f"ghost code needs no `{name}`", node.span, "ghost code takes no steps",
            mend="a plain assignment does the same",
        )  # fmt: skip
    if not isinstance(first, n.RefArg):
        return x.error(
            rules.REF_MISMATCH, f"`{name}` works on a place", first.span, "a value", mend=f"write `{known.usage}`"
        )
    target = place(x, first.target)
    if target is None:
        return t.Const(value=0, type=ERROR, span=node.span)
    forget(x, target)
    return _indivisible(x, node, name, target)


def _pure(x: Exprs, node: n.Call, name: str) -> t.Expr:
    for arg in node.args:
        if isinstance(arg, n.RefArg):
            return x.error(rules.REF_MISMATCH, f"`{name}` takes values", arg.span, mend="leave out `ref`")
    args = [a for a in node.args if not isinstance(a, n.RefArg)]
    if name in ("changed", "behind"):
        seen = x.infer(args[0], None)
        if isinstance(seen.type, ty.ErrorType):
            return seen
        if not isinstance(seen.type, ty.SnapshotType):
            return x.error(
                rules.TYPE_MISMATCH, f"`{args[0].span.text}` is not a snapshot", args[0].span,
                f"it is `{show(seen.type)}`", mend="take one before: `let seen = snapshot(version);`",
            )  # fmt: skip
        x.reads += 1
        if name == "changed":
            return t.Changed(snapshot=seen, type=BOOL, span=node.span)
        window = seen.type.window
        if window is None:
            return x.error(
                rules.TYPE_MISMATCH, f"`{seen.type.state}` is a version, which only says whether it has changed",
                args[0].span, "not how often", mend="ask `changed(...)`, or declare a `counter(window k)`",
            )  # fmt: skip
        most = fold(Op.ADD, node.span, window, number(1, node.span)) if x.mode == "property" else window
        kind = ty.RangeType(number(0, node.span), most)
        return t.Changed(snapshot=seen, behind=True, type=kind, span=node.span)
    if name == "live":
        return objects.live(x, x.infer(args[0], None), node.span)
    numbers = tuple(x.integer(a) for a in args)
    if name in ("min", "max"):
        return t.Apply(op=Op.MIN if name == "min" else Op.MAX, args=numbers, type=INT, span=node.span)
    one = t.Const(value=1, type=INT, span=node.span)
    zero = t.Const(value=0, type=INT, span=node.span)
    less = t.Apply(op=Op.SUB, args=(numbers[0], one), type=INT, span=node.span)
    both = t.Apply(op=Op.BITAND, args=(numbers[0], less), type=INT, span=node.span)
    positive = t.Apply(op=Op.GT, args=(numbers[0], zero), type=BOOL, span=node.span)
    single = t.Apply(op=Op.EQ, args=(both, zero), type=BOOL, span=node.span)
    return t.Apply(op=Op.AND, args=(positive, single), type=BOOL, span=node.span)


def _version(x: Exprs, node: n.Call, name: str, target: n.Expr) -> t.Rhs:
    found = x.version(target)
    if found is None:
        return t.Const(value=0, type=ERROR, span=node.span)
    symbol, index = found
    if len(index) < len(symbol.index):
        return x.error(
            rules.WRONG_INDEX, f"`{target.span.text}` needs an index", target.span,
            "which of the versions?", [x.world.declared(symbol)],
        )  # fmt: skip
    if not _may_write(x, symbol, target.span, reading=name == "snapshot"):
        return t.Const(value=0, type=ERROR, span=node.span)
    window = symbol.type.window if isinstance(symbol.type, ty.VersionType) else None
    if name == "reset" and window is None:
        return x.error(
            rules.TYPE_MISMATCH, f"`{symbol.name}` is a version, which needs no reset", target.span, "not a counter",
            [x.world.declared(symbol)], f"write `bump({target.span.text});`",
        )  # fmt: skip
    where = t.StateRef(state=symbol.name, index=index, type=symbol.type, span=target.span)
    kind: ty.Type = ty.SnapshotType(symbol.name, symbol.index, window) if name == "snapshot" else ty.VoidType()
    return t.BuiltinCall(name=name, place=where, type=kind, span=node.span)


def _indivisible(x: Exprs, node: n.Call, name: str, target: t.Place) -> t.Rhs:
    values = [a for a in node.args[1:] if not isinstance(a, n.RefArg)]
    if len(values) != len(node.args) - 1:
        bad = next(a for a in node.args[1:] if isinstance(a, n.RefArg))
        return x.error(rules.REF_MISMATCH, f"only the first argument of `{name}` is a `ref`", bad.span)
    kind = target.type
    needed: ty.Type = INT if name in ("fetch_add", "dec_and_test", "inc_not_zero") else BOOL
    if name in ("cmpxchg", "xchg"):
        needed = kind
    if not compatible(kind, needed):
        x.mismatch(kind, needed, target.span)
        return t.Const(value=0, type=ERROR, span=node.span)
    args = tuple(x.value(a, INT if name == "fetch_add" else kind) for a in values)
    result = kind if name in ("cmpxchg", "xchg", "fetch_add") else BOOL
    return t.BuiltinCall(name=name, place=target, args=args, type=result, span=node.span)


# ---------------------------------------------------------------------------------------------------------- places


def place(x: Exprs, node: n.Expr) -> t.Place | None:
    """A place that is written: a local, a cell of state, or a field of one. Reports what must not be written here."""
    racy = isinstance(node, n.Racy)
    inner = node.operand if isinstance(node, n.Racy) else node
    part = objects.part_of(x, inner)
    if part is not None:
        return _part_place(x, part, inner, racy)
    if isinstance(inner, n.Member) and not isinstance(x.quiet_path(inner.base), ActorSymbol | ImportSymbol):
        base = place(x, inner.base)
        if base is None:
            return None
        found = x.field(base, inner)
        return found if isinstance(found, t.Field) else None
    at = inner
    index: list[n.Expr] = []
    while isinstance(at, n.Index):
        index.append(at.index)
        at = at.base
    if isinstance(at, n.Name):
        local = x.find_local(at.ident.text)
        if local is not None:
            if index:
                x.error(
                    rules.WRONG_INDEX, f"`{local.name}` has no index", index[-1].span, f"it is `{show(local.type)}`"
                )
                return None
            return _local_place(x, local, at.span)
    if not isinstance(at, n.Name | n.Member):
        x.error(
            rules.INVALID_TARGET, f"`{inner.span.text}` cannot be assigned", inner.span, "not a variable",
            mend="assign to a variable, a cell of state, or a field of one",
        )  # fmt: skip
        return None
    symbol = x.types.expression_path(at, x.home, "variable")
    if symbol is None:
        return None
    if not isinstance(symbol, StateSymbol):
        x.error(
            rules.INVALID_TARGET, f"`{at.span.text}` is {kind_of(symbol)} and cannot be assigned", at.span,
            "not a variable", [x.world.declared(symbol)],
        )  # fmt: skip
        return None
    x.types.state(symbol)
    found_index = x.indexes(symbol.index, index[::-1], inner.span, symbol)
    if len(found_index) < len(symbol.index):
        missing = "".join(f"[{show(k)}]" for k in symbol.index[len(found_index) :])
        x.error(
            rules.WRONG_INDEX, f"`{inner.span.text}` needs {'another' if index else 'an'} index", inner.span,
            f"index it by {missing}", [x.world.declared(symbol)], "one cell is assigned at a time; `for` visits all",
        )  # fmt: skip
        return None
    if not _may_write(x, symbol, inner.span):
        return None
    if isinstance(symbol.type, ty.VersionType):
        x.error(
            rules.VERSION_AS_VALUE, f"`{symbol.name}` is a version and cannot be assigned", inner.span, "",
            [x.world.declared(symbol)], f"write `bump({inner.span.text});`",
        )  # fmt: skip
        return None
    return t.StateRef(state=symbol.name, index=found_index, racy=racy, type=symbol.type, span=inner.span)


def _part_place(x: Exprs, part: objects.Part, node: n.Expr, racy: bool) -> t.Place | None:
    """A field of an object that is written."""
    symbol = part.symbol
    if symbol is None:
        return None
    if not isinstance(symbol, StateSymbol):
        x.error(
            rules.INVALID_TARGET, f"`{node.span.text}` is {kind_of(symbol)} and cannot be assigned", node.span,
            "not a variable", [x.world.declared(symbol)],
        )  # fmt: skip
        return None
    x.types.state(symbol)
    index = x.part_index(part, symbol, node.span)
    if len(index) < len(symbol.index):
        missing = "".join(f"[{show(k)}]" for k in symbol.index[len(index) :])
        x.error(
            rules.WRONG_INDEX, f"`{node.span.text}` needs an index", node.span, f"index it by {missing}",
            [x.world.declared(symbol)], "one cell is assigned at a time; `for` visits all",
        )  # fmt: skip
        return None
    if not _may_write(x, symbol, node.span):
        return None
    return t.StateRef(state=symbol.name, index=index, racy=racy, type=symbol.type, span=node.span)


def _local_place(x: Exprs, local: t.Local, span: Span) -> t.LocalRef | None:
    if not (local.mutable or local.ref):
        declared = x.declared.get(local.number)
        x.error(
            rules.IMMUTABLE_ASSIGNMENT, f"`{local.name}` cannot be assigned", span, "its value is fixed",
            [Label(declared, "declared here")] if declared is not None else [],
            f"declare it as `var {local.name}`, or use another variable",
        )  # fmt: skip
        return None
    if x.mode == "ghost" and not local.ghost:
        x.error(
            rules.GHOST_SIDE_EFFECT, f"ghost code cannot write the real variable `{local.name}`", span,
            "would steer the run", mend="declare the variable inside of the ghost block, or assign outside of it",
        )  # fmt: skip
        return None
    return t.LocalRef(local=local, type=local.type, span=span)


def _may_write(x: Exprs, symbol: StateSymbol, span: Span, reading: bool = False) -> bool:
    why = [x.world.declared(symbol)]
    if x.mode == "ghost":
        if symbol.ghost:
            return True
        x.error(
            rules.GHOST_SIDE_EFFECT, f"ghost code cannot write the state `{symbol.name}`", span,
            "would change the run", why, "write it outside of `ghost { }`, or declare it `ghost state`",
        )  # fmt: skip
        return False
    if symbol.ghost or symbol.home.owner == x.home.owner or x.kind == "init" or (reading and symbol.node.pub):
        return True
    writers = [
        r
        for r in x.world.routines.values()
        if r.home.owner == symbol.home.owner and r.public and symbol.node.name.text in _assigned(r)
    ]
    mend = f"call a `pub op` of `{symbol.home.owner}`"
    if writers:
        mend = "call " + " or ".join(f"`{r.name}`" for r in writers[:3])
    verb = "snapshot" if reading else "write"
    x.error(
        rules.FOREIGN_WRITE, f"code of `{x.home.owner}` cannot {verb} `{symbol.name}`", span,
        f"belongs to `{symbol.home.owner}`", why, mend,
    )  # fmt: skip
    return False


def _assigned(symbol: RoutineSymbol) -> frozenset[str]:
    return assigned(symbol.node.body) if isinstance(symbol.node, n.RoutineDecl) else frozenset()


def assigned(node: n.Node) -> frozenset[str]:
    """The first names of everything that is assigned, havocked or passed by ``ref`` in ``node``."""
    found: set[str] = set()
    stack: list[object] = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, tuple):
            stack.extend(top)
            continue
        if not isinstance(top, n.Node):
            continue
        target: n.Expr | None = None
        match top:
            case n.Assign() | n.Havoc() | n.RefArg():
                target = top.target
            case n.Call(func=n.Name(ident=ident), args=args) if ident.text in ("bump", "reset") and args:
                target = args[0].target if isinstance(args[0], n.RefArg) else args[0]
            case _:
                pass
        while target is not None:
            match target:
                case n.Name():
                    found.add(target.ident.text)
                    target = None
                case n.Member() | n.Index() | n.Unwrap():
                    target = target.base if not isinstance(target, n.Unwrap) else target.operand
                case n.Racy():
                    target = target.operand
                case _:
                    target = None
        stack.extend(getattr(top, name) for name in top.__dataclass_fields__ if name != "span")
    return frozenset(found)


def forget(x: Exprs, target: t.Place) -> None:
    """What was known about a local is no longer known after it was written."""
    at: t.Expr = target
    while isinstance(at, t.Field):
        at = at.base
    if isinstance(at, t.LocalRef):
        x.narrowed -= {at.local.number}
