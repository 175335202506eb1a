"""Why a condition has the value it has: the cells that it depends on in one state, and no others."""

from __future__ import annotations

from collections.abc import Iterator

from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Quantifier, Read
from protocheck.ir.interp import Cell, Env, State, bindings, evaluate


def support(e: Expr, state: State, env: Env) -> tuple[Cell, ...]:
    """The cells of ``state`` that suffice for ``e`` to have its value, in the order in which ``e`` mentions them.

    Of a connective only the first argument that decides it is followed, of a quantifier only the first value that
    decides it, so the answer is short where the formula is long. Cells used as an index come after what they select.
    """
    return tuple(dict.fromkeys(_support(e, state, env)))


def _support(e: Expr, state: State, env: Env) -> Iterator[Cell]:
    match e:
        case Lit() | Param():
            return
        case Read(var, index):
            cell = (var.name, tuple(evaluate(i, state, env) for i in index))
            if state.get(cell) is not None:
                yield cell
            for i in index:
                yield from _support(i, state, env)
        case Apply(op, args):
            yield from _of_apply(op, args, state, env)
        case Quant(kind, binders, body):
            deciding = {Quantifier.FORALL: False, Quantifier.EXISTS: True}.get(kind)
            everyone = list(bindings(binders, env))
            for inner in everyone:
                if deciding is not None and bool(evaluate(body, state, inner)) is deciding:
                    yield from _support(body, state, inner)
                    return
            for inner in everyone:
                yield from _support(body, state, inner)


def _of_apply(op: Op, args: tuple[Expr, ...], state: State, env: Env) -> Iterator[Cell]:
    followed = args
    if op in (Op.AND, Op.OR):
        deciding = op is Op.OR
        followed = next(((a,) for a in args if bool(evaluate(a, state, env)) is deciding), args)
    elif op is Op.IMPLIES:
        if not evaluate(args[0], state, env):
            followed = args[:1]
        elif evaluate(args[1], state, env):
            followed = args[1:]
    elif op is Op.ITE:
        followed = (args[0], args[1] if evaluate(args[0], state, env) else args[2])
    for a in followed:
        yield from _support(a, state, env)
