"""Objects: what a pool declares, members of objects by way of a pointer, ``new``, ``free`` and ``live``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocheck.ir.expr import Op
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.report import did_you_mean, listing
from protocheck.types.scope import LockSymbol, PoolSymbol, StateSymbol, TypeSymbol, show

if TYPE_CHECKING:
    from protocheck.types.expr_check import Exprs

BOOL = ty.BoolType()


def pool_decl(symbol: PoolSymbol) -> t.PoolDecl:
    """What the compiler needs to know of a pool."""
    members = symbol.members.values()
    return t.PoolDecl(
        name=symbol.name,
        actor=symbol.home.owner,
        fields=tuple(m.name for m in members if isinstance(m, StateSymbol)),
        locks=tuple(m.name for m in members if isinstance(m, LockSymbol)),
        live=symbol.live.name,
        span=symbol.span,
        doc=symbol.node.doc,
    )


@dataclass(frozen=True)
class Part:
    """A member of an object that an expression names; ``symbol`` is None where it is faulty and reported."""

    symbol: StateSymbol | LockSymbol | None
    pointer: t.Expr
    index: tuple[n.Expr, ...]


def part_of(x: Exprs, node: n.Expr) -> Part | None:
    """The field or lock of an object that ``node`` (``p.f``, ``p.f[i]``) names; None if it is about anything else."""
    base, index = _spread(node)
    if not isinstance(base, n.Member):
        return None
    kind = _quiet_type(x, base.base)
    if isinstance(kind, ty.ErrorType):
        return Part(None, t.Const(value=0, type=kind, span=node.span), ())
    if _bare(kind) is None:
        return None
    pointer = x.plain(x.infer(base.base, None))
    return Part(member(x, pointer, base), pointer, tuple(index))


def member(x: Exprs, pointer: t.Expr, node: n.Member) -> StateSymbol | LockSymbol | None:
    """What ``.name`` means behind ``pointer``; reports it if it means nothing, or if there may be no object."""
    kind = pointer.type
    if isinstance(kind, ty.OptionType):
        x.possible_none(pointer)
        return None
    if not isinstance(kind, ty.PointerType):
        return None
    known = x.world.pools[kind.pool].members
    name = node.ident.text
    if name not in known:
        x.error(
            rules.UNKNOWN_MEMBER, f"`{show(kind)}` has no field `{name}`", node.ident.span,
            mend=did_you_mean(name, known) or (f"it has {listing(known)}" if known else "it has none"),
        )  # fmt: skip
        return None
    return known[name]


def new(x: Exprs, node: n.NewObject, *, otherwise: bool = False) -> t.Rhs:
    """``new slot``: a step that gives a pointer; with ``otherwise`` it gives none where the pool is exhausted."""
    where = Span(node.span.file, node.pool[0].span.start, node.pool[-1].span.end)
    fault = t.Const(value=0, type=ty.ErrorType(), span=node.span)
    symbol = x.types.path(node.pool, x.home, "object")
    kind = x.types.of_symbol(symbol) if isinstance(symbol, TypeSymbol) else None
    if not isinstance(kind, ty.PointerType):
        if symbol is not None and not isinstance(kind, ty.ErrorType):
            known = list(x.world.pools)
            x.error(
                rules.NOT_AN_OBJECT, f"`{where.text}` is no pool of objects", where, "nothing to take one from",
                [x.world.declared(symbol)],
                f"pools are {listing(known)}" if known else "declare one: `object NAME[size] { }`",
            )  # fmt: skip
        return fault
    if not _may_change(x, x.world.pools[kind.pool], node.span, "new"):
        return fault
    pool = x.world.pools[kind.pool]
    place = t.StateRef(state=pool.live.name, index=(), type=BOOL, span=where)
    result: ty.Type = ty.OptionType(kind) if otherwise else kind
    return t.BuiltinCall(name="try_new" if otherwise else "new", place=place, type=result, span=node.span)


def free(x: Exprs, node: n.Free) -> t.BuiltinCall | None:
    """``free p;``: a step."""
    pointer = x.plain(x.infer(node.target, None))
    kind = pointer.type
    if isinstance(kind, ty.ErrorType):
        return None
    if isinstance(kind, ty.OptionType) and isinstance(kind.of, ty.PointerType):
        x.possible_none(pointer)
        return None
    if not isinstance(kind, ty.PointerType):
        _not_a_pointer(x, pointer, "free")
        return None
    pool = x.world.pools[kind.pool]
    if not _may_change(x, pool, node.span, "free"):
        return None
    if x.kind == "init":
        x.error(
            rules.MISPLACED_OPERATOR, "`free` cannot stand in `init`", node.span, "nothing runs yet that could have it",
            mend="do not take it from its pool",
        )  # fmt: skip
        return None
    place = t.StateRef(state=pool.live.name, index=(pointer,), type=BOOL, span=node.target.span)
    return t.BuiltinCall(name="free", place=place, args=(pointer,), type=ty.VoidType(), span=node.span)


def live(x: Exprs, pointer: t.Expr, span: Span) -> t.Expr:
    """``live(p)``: it points to an object, and that was not freed since. Real code cannot know it."""
    kind = _bare(pointer.type)
    if isinstance(pointer.type, ty.ErrorType):
        return pointer
    if kind is None:
        return _not_a_pointer(x, pointer, "live")
    if x.mode == "real":
        return x.error(
            rules.LIVE_IN_CODE, "code cannot ask whether a pointer is stale", span, "no memory tells that",
            mend="use a reference count, a lock, or a flag in the object; assertions and properties may ask",
        )  # fmt: skip
    freed = t.Field(base=pointer, field=ty.STALE, type=BOOL, span=span)
    fresh = t.Apply(op=Op.NOT, args=(freed,), type=BOOL, span=span)
    if not isinstance(pointer.type, ty.OptionType):
        return fresh
    nothing = t.NoneLit(type=pointer.type, span=span)
    some = t.Apply(op=Op.NE, args=(pointer, nothing), type=BOOL, span=span)
    return t.Apply(op=Op.AND, args=(some, fresh), type=BOOL, span=span)


def in_use(x: Exprs, local: t.Local, kind: ty.PointerType, span: Span) -> t.Expr:
    """For a name that runs over a pool: only places in use are meant."""
    pool = x.world.pools[kind.pool]
    ref = t.LocalRef(local=local, type=kind, span=span)
    return t.StateRef(state=pool.live.name, index=(ref,), type=BOOL, span=span)


def refuse_conjured(x: Exprs, kind: ty.Type, span: Span, what: str) -> bool:
    """Report a pointer that comes from nowhere (``choose``, ``havoc``, ``for``); whether it was one."""
    if not _has_pointer(kind):
        return False
    x.error(
        rules.CONJURED_POINTER, f"a pointer cannot be {what}", span, "pointers come from `new`",
        mend="keep the pointers that it may be in state, and read one of them",
    )  # fmt: skip
    return True


def quiet_member(x: Exprs, node: n.Expr) -> StateSymbol | LockSymbol | None:
    """What ``p.f`` names if it is a field or lock of an object; None, without a report, if it is anything else."""
    if not isinstance(node, n.Member) or x.quiet_path(node) is not None:
        return None
    pointer = _bare(_quiet_type(x, node.base))
    return None if pointer is None else x.world.pools[pointer.pool].members.get(node.ident.text)


def _has_pointer(kind: ty.Type) -> bool:
    match kind:
        case ty.PointerType():
            return True
        case ty.OptionType() | ty.SetType():
            return _has_pointer(kind.of)
        case ty.RecordType():
            return any(_has_pointer(k) for _, k in kind.fields)
        case _:
            return False


def _not_a_pointer(x: Exprs, e: t.Expr, word: str) -> t.Expr:
    return x.error(
        rules.TYPE_MISMATCH, f"`{word}` takes a pointer, this is `{show(e.type)}`", e.span, f"this is `{show(e.type)}`",
        mend="pointers come from `new`",
    )  # fmt: skip


def _may_change(x: Exprs, pool: PoolSymbol, span: Span, word: str) -> bool:
    """Whether code in this mode and of this owner may take objects from ``pool`` and give them back."""
    if x.mode in ("claim", "property", "constant", "pure"):
        x.error(rules.CALL_IN_CLAIM, f"`{word}` is a step and belongs into code", span, "would change the state")
        return False
    if x.mode == "ghost":
        x.error(
            rules.GHOST_SIDE_EFFECT, f"`{word}` cannot stand in ghost code", span, "would change the run",
            mend="ghost code may read anything, branch and loop, and write ghosts",
        )  # fmt: skip
        return False
    if pool.home.owner != x.home.owner and x.kind != "init":
        x.error(
            rules.FOREIGN_WRITE, f"code of `{x.home.owner}` cannot `{word}` objects of `{pool.name}`", span,
            f"they belong to `{pool.home.owner}`", [x.world.declared(pool.live)],
            f"call a `pub op` or `pub proc` of `{pool.home.owner}`",
        )  # fmt: skip
        return False
    return True


def _bare(kind: ty.Type | None) -> ty.PointerType | None:
    """The pointer type that ``kind`` is, perhaps an optional one."""
    inner = kind.of if isinstance(kind, ty.OptionType) else kind
    return inner if isinstance(inner, ty.PointerType) else None


def _quiet_type(x: Exprs, node: n.Expr) -> ty.Type | None:
    """The type of a variable, a field or an element, without a report; None where it cannot be told so easily."""
    match node:
        case n.Name():
            local = x.find_local(node.ident.text)
            if local is not None:
                return local.type
            return _state_type(x, x.home.find(node.ident.text), 0)
        case n.Unwrap():
            kind = _quiet_type(x, node.operand)
            return kind.of if isinstance(kind, ty.OptionType) else None
        case n.Racy():
            return _quiet_type(x, node.operand)
        case n.Member() | n.Index():
            base, index = _spread(node)
            symbol = x.quiet_path(base)
            if symbol is not None and not isinstance(symbol, StateSymbol):
                return None
            if symbol is not None:
                return _state_type(x, symbol, len(index))
            if not isinstance(base, n.Member):
                return None
            kind = _quiet_type(x, base.base)
            pointer = _bare(kind)
            if pointer is not None:
                return _state_type(x, x.world.pools[pointer.pool].members.get(base.ident.text), len(index) + 1)
            if isinstance(kind, ty.RecordType) and not index:
                return dict(kind.fields).get(base.ident.text)
            return None
        case _:
            return None


def _state_type(x: Exprs, symbol: object, indexes: int) -> ty.Type | None:
    if not isinstance(symbol, StateSymbol):
        return None
    x.types.state(symbol)
    return symbol.type if len(symbol.index) == indexes else None


def _spread(node: n.Expr) -> tuple[n.Expr, list[n.Expr]]:
    """``a[i][j]`` as ``a`` and its indexes."""
    index: list[n.Expr] = []
    while isinstance(node, n.Index):
        index.append(node.index)
        node = node.base
    return node, index[::-1]

