"""What a loop's turns touch: whether one has shared state, and whether its turns may be done all at once."""

from __future__ import annotations

from collections.abc import Iterator

from protocheck.types import tree as t
from protocheck.types.contention import subexpressions

CALLS = (t.Call, t.BuiltinCall, t.TryAcquire, t.Test)


def walk(e: t.Expr) -> Iterator[t.Expr]:
    """``e`` and everything in it."""
    yield e
    for child in subexpressions(e):
        yield from walk(child)


def state_refs(e: t.Expr, module: t.CheckedModule) -> Iterator[t.StateRef]:
    """Every state that evaluating ``e`` may read, through functions too."""
    for x in walk(e):
        if isinstance(x, t.StateRef):
            yield x
        elif isinstance(x, t.FnCall):
            value = module.routines[x.fn].value
            if value is not None:
                yield from state_refs(value, module)


def touches_state(s: t.ForEach | t.ForRange, module: t.CheckedModule) -> bool:
    """Whether a turn of the loop (whose body :meth:`_Builder.simple` accepts) touches shared state."""
    refs: list[t.StateRef] = []

    def expression(e: t.Expr | None) -> None:
        if e is not None:
            refs.extend(state_refs(e, module))

    def visit(x: t.Statement) -> None:
        match x:
            case t.Block(body):
                for inner in body:
                    visit(inner)
            case t.Declare(_, value) if value is not None and not isinstance(value, CALLS):
                expression(value)
            case t.Assign(place, value) if not isinstance(value, CALLS):
                expression(place)
                expression(value)
            case t.If(condition, then, otherwise) if not isinstance(condition, CALLS):
                expression(condition)
                visit(then)
                if otherwise is not None:
                    visit(otherwise)
            case t.ForEach(_, where, body):
                expression(where)
                visit(body)
            case t.ForRange(_, first, end, step, _, body):
                for e in (first, end, step):
                    expression(e)
                visit(body)
            case _:
                pass

    visit(s.body)
    if isinstance(s, t.ForEach):
        expression(s.where)
    return any(not module.states[r.state].ghost for r in refs)


def independent(s: t.ForEach, module: t.CheckedModule) -> bool:
    """Whether no turn can see another: each writes only cells indexed by its own member, and reads of what is written
    are at that member too; no local of outside is assigned, and there is no way out."""
    return _Turns(module, {s.local.number}).independent(s)


class _Turns:
    """What the turns of a loop over members write and read; ``members`` are the locals that stand for the member."""

    def __init__(self, module: t.CheckedModule, members: set[int]) -> None:
        self.module = module
        self.members = members
        self.written: set[str] = set()
        self.foreign: set[str] = set()  # states read at other cells than the turn's own
        self.declared: set[int] = set()

    def independent(self, s: t.ForEach) -> bool:
        self.expression(s.where)
        return self.statement(s.body, False) and not self.foreign & self.written

    def own(self, ref: t.StateRef) -> bool:
        return any(isinstance(i, t.LocalRef) and i.local.number in self.members for i in ref.index)

    def expression(self, e: t.Expr | None) -> None:
        for x in walk(e) if e is not None else ():
            if isinstance(x, t.StateRef) and not self.own(x):
                self.foreign.add(x.state)
            elif isinstance(x, t.FnCall):
                value = self.module.routines[x.fn].value
                if value is not None:
                    self.foreign.update(r.state for r in state_refs(value, self.module))

    def right(self, value: t.Rhs | None) -> bool:
        match value:
            case None:
                return True
            case t.Call():
                return self.call(value)
            case t.BuiltinCall() | t.TryAcquire() | t.Test():
                return False
            case _:
                self.expression(value)
                return True

    def call(self, call: t.Call) -> bool:
        routine = self.module.routines[call.routine]
        if not routine.ghost or routine.body is None or any(p.ref for p in routine.params):
            return False
        mine = set()
        for param, arg in zip(routine.params, call.args, strict=True):
            self.expression(arg)
            if isinstance(arg, t.LocalRef) and arg.local.number in self.members:
                mine.add(param.number)
        self.members |= mine
        self.declared |= {p.number for p in routine.params}
        result = self.statement(routine.body, True)
        self.members -= mine
        return result

    def statement(self, s: t.Statement, called: bool) -> bool:
        match s:
            case t.Block(inner) | t.Ghost(t.Block(inner)):
                return all(self.statement(x, called) for x in inner)
            case t.Declare(local, value):
                self.declared.add(local.number)
                return self.right(value)
            case t.CallStmt(call):
                return self.call(call)
            case t.Assign(place, value):
                target: t.Expr = place
                while isinstance(target, t.Field):
                    target = target.base
                if not self.right(value):
                    return False
                if isinstance(target, t.StateRef):
                    for i in target.index:
                        self.expression(i)
                    self.written.add(target.state)
                    return self.own(target)
                return isinstance(target, t.LocalRef) and target.local.number in self.declared
            case t.If(condition, then, otherwise):
                known = self.right(condition)
                return (
                    known and self.statement(then, called) and (otherwise is None or self.statement(otherwise, called))
                )
            case t.ForEach(_, where, body, domain):
                self.expression(where)
                self.expression(domain)
                return self.statement(body, called)
            case t.Return(value):
                return called and self.right(value)
            case t.Assert(condition):
                self.expression(condition)
                return True
            case t.Skip():
                return True
            case _:
                return False
