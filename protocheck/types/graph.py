"""Who calls whom: recursion, the labels and regions of each thread, steps taken where there are none, dead routines."""

from __future__ import annotations

from collections.abc import Iterator

from protocheck.diagnostics import Label
from protocheck.source import Span
from protocheck.types import rules
from protocheck.types import tree as t
from protocheck.types.scope import World
from protocheck.types.walk import call_of, everything, rhs_of, statements

MAX_STATEMENTS = 50_000
MAX_DEPTH = 40


def check_graph(world: World, module: t.CheckedModule) -> bool:
    """Check the calls of ``module`` and note which labels belong to which thread; whether there is recursion."""
    bodies = _bodies(module)
    calls = {name: _calls(found, module) for name, found in bodies.items()}
    endless, order = _refuse_recursion(world, calls)
    endless = endless or _refuse_explosion(world, module, bodies, order)
    reach = {name: _reachable(name, calls) for name in module.threads}
    _note_places(world, reach)
    _refuse_no_cpu(world, module, bodies, reach)
    world.reach = reach
    _refuse_blocking(world, module, bodies, calls)
    _refuse_slow(world, module, bodies, calls)
    _tell_unused(world, module, calls)
    return endless


def fn_calls(e: t.Expr) -> Iterator[str]:
    """The fns that an expression applies."""
    for part in everything(e):
        if isinstance(part, t.FnCall):
            yield part.fn


def expressions(s: t.Statement) -> Iterator[t.Expr]:
    """The expressions directly in ``s``, not those of statements inside of it."""
    rhs = rhs_of(s)
    match rhs:
        case None:
            pass
        case t.Call():
            yield from rhs.args
        case t.BuiltinCall():
            yield rhs.place
            yield from rhs.args
        case t.TryAcquire():
            yield from rhs.lock.index
        case t.Test():
            inner = rhs.call
            if isinstance(inner, t.Call | t.BuiltinCall):
                yield from inner.args
            yield from rhs.args
        case _:
            yield rhs
    match s:
        case t.Assign() | t.Havoc():
            yield s.place
        case t.Choose():
            if s.where is not None:
                yield s.where
        case t.While():
            if s.condition is not None:
                yield s.condition
        case t.ForEach():
            yield from (e for e in (s.domain, s.where) if e is not None)
        case t.ForRange():
            yield from (e for e in (s.first, s.end, s.step) if e is not None)
        case t.Await():
            yield s.condition
            if s.unless is not None:
                yield s.unless
        case t.Assert():
            yield s.condition
        case t.RequiresHeld():
            yield s.held
        case t.With():
            for lock, _ in s.locks:
                yield from lock.index
        case t.Hold():
            for lock, _, busy in s.locks:
                yield from (*lock.index, busy)
        case t.Acquire() | t.Release() | t.Downgrade() | t.Synchronize():
            yield from s.lock.index
        case t.Stop():
            yield from s.index or ()
        case t.Ipi():
            yield s.cpu
        case _:
            pass


def _bodies(module: t.CheckedModule) -> dict[str, list[t.Routine | t.ThreadDecl]]:
    """Every routine and thread with all of its variants."""
    found: dict[str, list[t.Routine | t.ThreadDecl]] = {}
    for name, routine in module.routines.items():
        found[name] = [routine]
    for name, thread in module.threads.items():
        found[name] = [thread]
    for variant in module.variants:
        found.setdefault(variant.target, []).append(variant.replacement)
    return found


def _calls(bodies: list[t.Routine | t.ThreadDecl], module: t.CheckedModule) -> dict[str, Span]:
    """What is called from these bodies, with one place for each."""
    found: dict[str, Span] = {}
    for body in bodies:
        if isinstance(body, t.Routine) and body.value is not None:
            for part in everything(body.value):
                if isinstance(part, t.FnCall):
                    found.setdefault(part.fn, part.span)
        if body.body is None:
            continue
        for s in statements(body.body):
            call = call_of(rhs_of(s))
            if isinstance(call, t.Call) and call.routine in module.routines:
                found.setdefault(call.routine, call.span)
            for e in expressions(s):
                for part in everything(e):
                    if isinstance(part, t.FnCall):
                        found.setdefault(part.fn, part.span)
    return found


def _refuse_recursion(world: World, calls: dict[str, dict[str, Span]]) -> tuple[bool, list[str]]:
    """Depth-first search with an explicit stack; every call that closes a circle is reported.

    Whether there is one, and all names, every callee before its callers.
    """
    order: list[str] = []
    state: dict[str, int] = {}
    endless = False
    for root in calls:
        if root in state:
            continue
        path: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(calls[root]))]
        state[root] = 1
        path.append(root)
        while stack:
            name, rest = stack[-1]
            nxt = next(rest, None)
            if nxt is None:
                stack.pop()
                path.pop()
                state[name] = 2
                order.append(name)
            elif state.get(nxt) == 1:
                endless = True
                circle = [*path[path.index(nxt) :], nxt]
                span = calls[name][nxt]
                why = (
                    [Label(world.routines[nxt].span, "called again before it has ended")]
                    if nxt in world.routines
                    else []
                )
                world.report.add(
                    rules.RECURSIVE_CALL, f"`{nxt}` calls itself", span, " -> ".join(circle), why,
                    "routines are inlined: write a loop",
                )  # fmt: skip
            elif nxt not in state:
                state[nxt] = 1
                path.append(nxt)
                stack.append((nxt, iter(calls.get(nxt, {}))))
    return endless, order


def _refuse_explosion(
    world: World, module: t.CheckedModule, bodies: dict[str, list[t.Routine | t.ThreadDecl]], order: list[str]
) -> bool:
    """Routines are copied to where they are called; threads that become too long or deep by that are refused.

    ``order`` has every callee before its callers.
    """
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in order:
        size, depth = 0, 0
        for body in bodies.get(name, []):
            for s in statements(body.body) if body.body is not None else ():
                call = call_of(rhs_of(s))
                called = call.routine if isinstance(call, t.Call) else ""
                size += 1 + sizes.get(called, 0)
                depth = max(depth, 1 + depths.get(called, 0))
        sizes[name], depths[name] = size, depth
    refused = False
    for name, thread in module.threads.items():
        if sizes.get(name, 0) > MAX_STATEMENTS:
            headline = f"`{name}` has {sizes[name]} statements with all that it calls"
            label = f"more than {MAX_STATEMENTS}"
        elif depths.get(name, 0) > MAX_DEPTH:
            headline, label = f"calls of `{name}` are {depths[name]} deep", f"more than {MAX_DEPTH}"
        else:
            continue
        refused = True
        world.report.add(
            rules.TOO_MANY_COPIES, headline, thread.span, label,
            mend="call less, or from fewer places: every call is a copy",
        )  # fmt: skip
    return refused


def _reachable(name: str, calls: dict[str, dict[str, Span]]) -> list[str]:
    seen = {name: None}
    todo = [name]
    while todo:
        for nxt in calls.get(todo.pop(), {}):
            if nxt not in seen:
                seen[nxt] = None
                todo.append(nxt)
    return list(seen)


def _note_places(world: World, reach: dict[str, list[str]]) -> None:
    """Which labels and regions each thread has, those of the routines it calls included."""
    own: dict[tuple[str, str], set[str]] = {}
    for what, marks in world.marks.items():
        for key in marks:
            user, _, name = key.split("\0")
            own.setdefault((what, user), set()).add(name)
    for thread, names in reach.items():
        for what in world.marks:
            world.places[what, thread] = set().union(*(own.get((what, name), set()) for name in names))


def _refuse_no_cpu(
    world: World,
    module: t.CheckedModule,
    bodies: dict[str, list[t.Routine | t.ThreadDecl]],
    reach: dict[str, list[str]],
) -> None:
    """``this_cpu`` in code of a thread that is bound to no CPU."""
    def use(body: t.Routine | t.ThreadDecl) -> Span | None:
        for s in statements(body.body) if body.body is not None else ():
            for e in expressions(s):
                for part in everything(e):
                    if isinstance(part, t.LocalRef) and part.local.number == t.THIS_CPU:
                        return part.span
        return None

    uses = {name: next((at for b in found if (at := use(b)) is not None), None) for name, found in bodies.items()}
    for thread, names in reach.items():
        for body in bodies[thread]:
            if not isinstance(body, t.ThreadDecl) or body.cpu is not None:
                continue
            for name in names:  # another variant of the thread is another body, and may run somewhere
                at = use(body) if name == thread else uses.get(name)
                if at is not None:
                    world.report.add(
                        rules.NO_CPU, f"`{thread}` runs on no CPU that the model speaks of", at,
                        "asks for it here", [Label(body.span, "declared here")],
                        f"say where it runs: `{body.kind.value} {body.span.text} on CPU`",
                    )  # fmt: skip
                    break


def _refuse_blocking(
    world: World,
    module: t.CheckedModule,
    bodies: dict[str, list[t.Routine | t.ThreadDecl]],
    calls: dict[str, dict[str, Span]],
) -> None:
    """Calls of routines that wait, from ``init`` and from the middle of what is indivisible."""
    waiting: dict[str, Span] = {}
    for name, found in bodies.items():
        for body in found:
            for s in statements(body.body) if body.body is not None else ():
                if isinstance(s, t.Await | t.With | t.Acquire | t.Synchronize | t.Retry | t.Ipi) or _takes(s):
                    waiting.setdefault(name, s.span)
                call = call_of(rhs_of(s))
                if isinstance(call, t.TryAcquire) and call.killable:
                    waiting.setdefault(name, s.span)
    for name in list(bodies):
        for inner in _reachable(name, calls):
            if inner in waiting:
                waiting.setdefault(name, waiting[inner])

    def refuse(block: t.Statement, where: str, first_may: bool) -> None:
        first = first_may
        for s in statements(block):
            call = call_of(rhs_of(s))
            if isinstance(call, t.Call) and call.routine in waiting and not (first and _is_op(module, call.routine)):
                world.report.add(
                    rules.BLOCKING_IN_ONE_STEP, f"`{call.routine}` can wait, and {where}", call.span, "waits in here",
                    [Label(waiting[call.routine], "waits here")], "call it outside",
                )  # fmt: skip
            if not isinstance(s, t.Block | t.RequiresHeld | t.Assert):
                first = False

    for block in module.init:
        refuse(block, "`init` takes no steps", False)
    for name, found in bodies.items():
        for body in found:
            if body.body is None:
                continue
            if isinstance(body, t.Routine) and body.kind == "op":
                refuse(body.body, f"the op `{name}` is indivisible", True)
                continue
            for s in statements(body.body):
                if isinstance(s, t.Atomic):
                    refuse(s.body, "`atomic` is indivisible", True)


def _refuse_slow(
    world: World,
    module: t.CheckedModule,
    bodies: dict[str, list[t.Routine | t.ThreadDecl]],
    calls: dict[str, dict[str, Span]],
) -> None:
    """Calls of slow ops, which take two steps, from ``init`` and from what is one step."""
    slow: dict[str, Span] = {}
    for name, found in bodies.items():
        for body in found:
            inside = statements(body.body) if isinstance(body, t.Routine) and body.body is not None else ()
            if any(isinstance(s, t.Hold) and s.slow for s in inside):
                slow.setdefault(name, body.span)
    for name in list(bodies):
        for inner in _reachable(name, calls):
            if inner in slow:
                slow.setdefault(name, slow[inner])

    def refuse(block: t.Statement, where: str) -> None:
        for s in statements(block):
            call = call_of(rhs_of(s))
            if isinstance(call, t.Call) and call.routine in slow:
                world.report.add(
                    rules.SLOW_IN_ONE_STEP, f"`{call.routine}` takes two steps, and {where}", call.span,
                    "others run between its begin and its end", [Label(slow[call.routine], "slow")],
                    "call it outside, from a `proc` or a thread",
                )  # fmt: skip

    for block in module.init:
        refuse(block, "`init` takes no steps")
    for name, found in bodies.items():
        for body in found:
            if body.body is None:
                continue
            if isinstance(body, t.Routine) and body.kind == "op":
                refuse(body.body, f"the op `{name}` is indivisible")
                continue
            for s in statements(body.body):
                if isinstance(s, t.Atomic):
                    refuse(s.body, "`atomic` is indivisible")


def _takes(s: t.Statement) -> bool:
    """Whether ``s`` waits for an object."""
    call = call_of(rhs_of(s))
    return isinstance(call, t.BuiltinCall) and call.name == "new"


def _is_op(module: t.CheckedModule, name: str) -> bool:
    return module.routines[name].kind == "op"


def _tell_unused(world: World, module: t.CheckedModule, calls: dict[str, dict[str, Span]]) -> None:
    """A private op or proc of the model itself that nobody calls is mentioned."""
    used = world.mentioned | {name for found in calls.values() for name in found}
    replaced = {v.target for v in module.variants}
    for name, routine in module.routines.items():
        if routine.kind == "fn" or routine.public or routine.ghost or name in used or name in replaced:
            continue
        if routine.span.file.path == module.file.path:
            world.report.add(
                rules.NEVER_CALLED, f"`{name}` is never called", routine.span, "nobody executes this",
                mend="call it, declare it `pub`, or remove it",
            )  # fmt: skip
