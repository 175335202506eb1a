"""Adversaries spelt out: a loop that picks a call and its arguments, any number of times or at most so many."""

from __future__ import annotations

from protocheck.ir.expr import Op
from protocheck.ir.system import ThreadKind
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.expr_check import Exprs
from protocheck.types.scope import RoutineSymbol, ThreadSymbol, TypeSymbol, World, kind_of
from protocheck.types.type_check import Types

INT = ty.IntType()
BOOL = ty.BoolType()


def adversary(world: World, types: Types, symbol: ThreadSymbol, node: n.AdversaryDecl) -> t.ThreadDecl | None:
    """The thread that an adversary is."""
    x = Exprs(world, types, symbol.home, "real", "adversary")
    x.user = (symbol.name, "")
    symbol.params = _instances(world, types, symbol, node)
    branches = [b for call in node.calls if (b := _call(x, call)) is not None]
    if not node.calls:
        x.error(
            rules.IDLE_ADVERSARY, f"adversary `{symbol.name}` can do nothing", node.name.span, "has no `any ...;` line"
        )
        return None
    if not branches:
        return None
    one: t.Statement = t.Either(branches=tuple(branches), span=node.span) if len(branches) > 1 else branches[0]
    body = (_loop(x, node, one),) if node.at_most is None else _bounded(x, node, node.at_most, one)
    return t.ThreadDecl(
        name=symbol.name, actor=symbol.name, kind=ThreadKind.ADVERSARY, params=symbol.params, where=None,
        body=t.Block(body=tuple(body), span=node.span), span=node.name.span, doc=node.doc,
    )  # fmt: skip


def _instances(world: World, types: Types, symbol: ThreadSymbol, node: n.AdversaryDecl) -> tuple[t.Local, ...]:
    if node.instances is None:
        return ()
    if isinstance(node.instances, n.Name | n.Member):
        found = Exprs(world, types, symbol.home, "constant").quiet_path(node.instances)
        if isinstance(found, TypeSymbol):
            kind = types.of_symbol(found)
            if not types.is_index(kind, node.instances.span, "the index of a thread"):
                return ()
            return (world.local(found.span.text, kind),)
    size = types.constant(node.instances, INT, symbol.home)
    name = f"{symbol.name}.instance"
    widest = world.widest(size)
    if widest is not None and widest[1] < 1:
        world.report.add(
            rules.EMPTY_RANGE, f"adversary `{symbol.name}` has no instances", node.instances.span, "at least 1"
        )
    world.scalarsets[name] = t.ScalarsetDecl(name, size, (), node.instances.span)
    return (world.local("instance", ty.ScalarsetType(name)),)


def _loop(x: Exprs, node: n.AdversaryDecl, one: t.Statement) -> t.Statement:
    return t.While(condition=None, body=t.Block(body=(one,), span=node.span), span=node.span)


def _bounded(x: Exprs, node: n.AdversaryDecl, at_most: n.Expr, one: t.Statement) -> tuple[t.Statement, ...]:
    """``at most n calls``: a hidden counter."""
    span = at_most.span
    limit = x.types.constant(at_most, INT, x.home)
    widest = x.world.widest(limit)
    if widest is not None and widest[1] < 0:
        x.error(rules.EMPTY_RANGE, f"at most {widest[1]} calls", span, "less than none")
    zero = t.Const(value=0, type=INT, span=span)
    counter = x.world.local("calls", ty.RangeType(zero, limit), mutable=True)
    ref = t.LocalRef(local=counter, type=counter.type, span=span)
    more = t.Apply(op=Op.LT, args=(ref, limit), type=BOOL, span=span)
    up = t.Apply(op=Op.ADD, args=(ref, t.Const(value=1, type=INT, span=span)), type=INT, span=span)
    turn = t.Block(body=(one, t.Assign(place=ref, value=up, span=span)), span=node.span)
    return t.Declare(local=counter, value=zero, span=span), t.While(condition=more, body=turn, span=node.span)


def _call(x: Exprs, call: n.AdversaryCall) -> t.Block | None:
    """One of the calls, with any or the wanted arguments."""
    at = Span(call.span.file, call.path[0].span.start, call.path[-1].span.end)
    symbol = x.types.path(call.path, x.home, "op or proc")
    if symbol is None:
        return None
    if not isinstance(symbol, RoutineSymbol) or symbol.kind == "fn" or symbol.ghost:
        x.error(
            rules.NOT_A_VALUE, f"`{at.text}` is {kind_of(symbol)}; an adversary calls ops and procs", at, "",
            [x.world.declared(symbol)],
        )  # fmt: skip
        return None
    x.world.mentioned.add(symbol.name)
    if not symbol.public:
        x.error(
            rules.PRIVATE_CALL, f"`{symbol.name}` is private to `{symbol.home.owner}`", at, "called by an adversary",
            [x.world.declared(symbol)], f"declare it `pub {symbol.kind}`",
        )  # fmt: skip
        return None
    wanted = (None,) * len(symbol.params) if call.args is None else call.args
    if len(wanted) != len(symbol.params):
        x.error(
            rules.WRONG_ARGUMENT_COUNT, f"`{symbol.name}` takes {len(symbol.params)} arguments, not {len(wanted)}", at,
            "leave them out for any", [x.world.declared(symbol)],
        )  # fmt: skip
        return None
    body: list[t.Statement] = []
    args: list[t.Expr] = []
    with x.scope():
        for arg, param in zip(wanted, symbol.params, strict=True):
            args.append(_argument(x, arg, param, at, body))
    done = t.Call(routine=symbol.name, args=tuple(args), crosses=True, type=symbol.result, span=call.span)
    body.append(t.CallStmt(call=done, span=call.span))
    return t.Block(body=tuple(body), span=call.span)


def _argument(
    x: Exprs, arg: n.AnyArg | n.ChosenArg | n.Expr | None, param: t.Local, at: Span, body: list[t.Statement]
) -> t.Expr:
    span = at if arg is None else arg.span
    if param.ref:
        if arg is not None and not isinstance(arg, n.AnyArg):
            x.error(
                rules.REF_MISMATCH, f"parameter `{param.name}` is a `ref`", span, "only `_` fits",
                mend="an adversary passes a variable of its own: write `_`",
            )  # fmt: skip
        local = x.world.local(param.name, param.type, mutable=True)
        ref = t.LocalRef(local=local, type=local.type, span=span)
        body += [t.Declare(local=local, value=None, span=span), t.Havoc(place=ref, span=span)]
        return ref
    match arg:
        case None | n.AnyArg():
            local = x.world.local(param.name, param.type)
            body.append(t.Choose(local=local, where=None, otherwise=None, span=span))
        case n.ChosenArg():
            local = x.declare(arg.name, param.type)
            with x.without_calls("in the choice of an argument"):
                where = x.condition(arg.where)
            body.append(t.Choose(local=local, where=where, otherwise=None, span=span))
        case _:
            with x.without_calls("in the arguments of an adversary"):
                return x.value(arg, param.type)
    return t.LocalRef(local=local, type=local.type, span=span)
