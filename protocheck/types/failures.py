"""Injected failures: what may fail, and how many failures and signals a run may have.

The two budgets are parameters, ``failures`` and ``signals``. A model that can use one has it without declaring it; it
is 0 unless a scenario says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocheck.diagnostics import Label
from protocheck.source import Span
from protocheck.syntax import nodes as n
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.expr_check import Exprs
from protocheck.types.ranges import number
from protocheck.types.report import did_you_mean, listing
from protocheck.types.scope import Home, World
from protocheck.types.type_check import Types
from protocheck.types.unwind import has_errors, is_error
from protocheck.types.walk import call_of, rhs_of, statements

MOST = 16
"""The largest budget of a model that does not declare it itself."""

WORDS = {"failures": "`may_fail`", "signals": "`killable`"}


def may_fail(world: World, types: Types, node: n.RoutineDecl, home: Home, result: ty.Type) -> tuple[t.Expr, ...]:
    """The results of an injected failure of ``node``: constants of its result type, none of them a success."""
    if not node.may_fail:
        return ()
    at = node.may_fail[0].span
    if node.ghost:
        world.report.add(rules.GHOST_SIDE_EFFECT, "ghost code cannot fail", at, "would change the run")
        return ()
    if isinstance(result, ty.VoidType):
        world.report.add(
            rules.MAY_FAIL_WITHOUT_RESULT, f"`{node.name.text}` has no result that could tell a failure", at,
            "nobody gets this", mend="declare a result: `-> bool`, or an enum whose first member means success",
        )  # fmt: skip
        return ()
    found: dict[t.Expr, None] = {}
    for code in node.may_fail:
        x = Exprs(world, types, home, "constant")
        with x.without_calls("behind `may_fail`"):
            value = x.value(code, result)
        if isinstance(value.type, ty.ErrorType):
            continue
        if has_errors(result) and is_error(value) is False:
            world.report.add(
                rules.FAILURE_THAT_SUCCEEDS, f"`{code.span.text}` is no failure of `{node.name.text}`", code.span,
                "means success", mend="errors are `false`, and all members of an enum but the first",
            )  # fmt: skip
        if value in found:
            world.report.add(rules.DUPLICATE_NAME, f"`{code.span.text}` is named twice", code.span, "again")
        found[value] = None
    return tuple(found)


def enter_budgets(world: World, bodies: Iterable[t.Routine | t.ThreadDecl]) -> dict[str, t.ParamDecl]:
    """The budgets that the model can use and does not declare, entered into ``world``."""
    entered: dict[str, t.ParamDecl] = {}
    for name, span in _used(list(bodies)):
        declared = world.params.get(name)
        if declared is None:
            kind = ty.RangeType(number(0, span), number(MOST, span))
            entered[name] = world.params[name] = t.ParamDecl(name, kind, 0, span, implicit=True)
        elif not declared.implicit:
            low = world.value(declared.type.lo) if isinstance(declared.type, ty.RangeType) else None
            if low is None or low < 0:
                world.report.add(
                    rules.BUDGET, f"`{name}` is the number of {name} of a run", declared.span, "cannot count them",
                    [Label(span, "this uses it up")], f"declare it as a range: `param {name} : 0..2 = 0`",
                )  # fmt: skip
    return entered


def _used(bodies: list[t.Routine | t.ThreadDecl]) -> Iterator[tuple[str, Span]]:
    """Each budget that something which is executed uses, and where."""
    by_name: dict[str, list[t.Routine]] = {}
    for body in bodies:
        if isinstance(body, t.Routine):
            by_name.setdefault(body.name, []).append(body)
    work: list[t.Routine | t.ThreadDecl] = [b for b in bodies if isinstance(b, t.ThreadDecl)]
    seen: set[str] = set()
    first: dict[str, Span] = {}
    while work:
        body = work.pop(0)
        if isinstance(body, t.Routine) and body.may_fail:
            first.setdefault("failures", body.span)
        for s in statements(body.body) if body.body is not None else ():
            call = call_of(rhs_of(s))
            if isinstance(call, t.Call) and call.routine not in seen:
                seen.add(call.routine)
                work += by_name.get(call.routine, [])
            killable = isinstance(call, t.TryAcquire) and call.killable
            if killable or (isinstance(s, t.Await) and s.killed is not None):
                first.setdefault("signals", s.span)
    yield from ((name, first[name]) for name in WORDS if name in first)


def from_range(world: World, item: n.SetRange) -> n.SetParam:
    """``failures : 0..2;`` as ``failures = 2;``."""
    if item.name.text not in WORDS:
        world.report.add(
            rules.BUDGET, f"`{item.name.text}` takes one value in a scenario", item.span, "a range",
            mend=f"write `{item.name.text} = {item.hi.span.text};`; only `failures` and `signals` are budgets",
        )  # fmt: skip
    elif not isinstance(item.lo, n.IntLit) or item.lo.value != 0:
        world.report.add(
            rules.BUDGET, f"a run may always have fewer {item.name.text}", item.lo.span, "must be 0",
            mend=f"write `{item.name.text} : 0..{item.hi.span.text};`",
        )  # fmt: skip
    return n.SetParam(item.name, item.hi, span=item.span)


def refuse_budget(world: World, name: n.Ident) -> bool:
    """Whether ``name`` is a budget that this model cannot use; reports it then."""
    if name.text not in WORDS:
        return False
    what = "fail" if name.text == "failures" else "be killed"
    world.report.add(
        rules.NOTHING_MAY_FAIL, f"nothing that is executed in this model can {what}", name.span,
        "allows what never happens",
        mend="declare what may fail: `op f() -> rc may_fail E { }`" if name.text == "failures"
        else "declare which wait a signal may end: `acquire l killable else { return; }`",
    )  # fmt: skip
    return True


def failing(world: World, module: t.CheckedModule, item: n.FailOnly) -> tuple[str, ...]:
    """The routines that a ``fail`` line names."""
    able = dict.fromkeys(
        r.name
        for r in (*module.routines.values(), *(v.replacement for v in module.variants))
        if isinstance(r, t.Routine) and r.may_fail
    )
    found = []
    for path in item.routines:
        text = ".".join(p.text for p in path)
        span = Span(path[0].span.file, path[0].span.start, path[-1].span.end)
        full = [text] if text in able else [name for name in able if name.endswith(f".{text}")]
        if len(full) == 1:
            found += full
            continue
        if full:
            world.report.add(
                rules.AMBIGUOUS_NAME, f"several are called `{text}`", span, "which one?",
                mend=f"there are {listing(full)}",
            )  # fmt: skip
            continue
        known = [r for r in module.routines if r == text or r.endswith(f".{text}")]
        why = [Label(module.routines[r].span, "says no `may_fail`") for r in known[:1]]
        short = [*able, *(name.rsplit(".", 1)[-1] for name in able)]
        mend = did_you_mean(text, short) or (f"there are {listing(able)}" if able else "nothing in the model may fail")
        headline = f"`{text}` cannot fail" if known else f"nothing called `{text}` may fail"
        world.report.add(rules.NOTHING_MAY_FAIL, headline, span, "", why, mend)
    return tuple(found)
