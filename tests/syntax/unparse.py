"""Prints a tree so that parsing gives it back: fully parenthesised, one space wide, no comments but ``///``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from protocheck.syntax import nodes as n


def unparse(module: n.Module) -> str:
    """The text of ``module``."""
    return "\n".join([_header(module.header), *(_item(i) for i in module.items)]) + "\n"


def _docs(decl: n.Decl, text: str) -> str:
    lines = decl.doc.split("\n") if decl.doc else []
    return "".join(f"\n/// {line}\n" for line in lines) + text


def _header(header: n.Protocol | n.ModuleHeader) -> str:
    if isinstance(header, n.Protocol):
        return _docs(header, f"protocol {header.name}")
    params = [
        f"type {p.name}"
        if isinstance(p, n.TypeParam)
        else f"{p.name} : {_type(p.type)}" + (f" = {_expr(p.default)}" if p.default is not None else "")
        for p in header.params
    ]
    return _docs(header, f"module {header.name}({', '.join(params)});")


def _path(path: n.Path) -> str:
    return ".".join(i.text for i in path)


def _list(nodes: Iterable[object]) -> str:
    return ", ".join(str(i) for i in nodes)


def _opt(word: str, expr: n.Expr | None) -> str:
    return "" if expr is None else f" {word} {_expr(expr)}"


def _family(family: n.Ident | None) -> str:
    return "" if family is None else f" as {family}"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ---------------------------------------------------------------------------------------------------- declarations


def _item(item: n.Item | n.ActorMember) -> str:
    return _docs(item, _bare_item(item))


def _bare_item(item: n.Item | n.ActorMember) -> str:
    match item:
        case n.Source(text=text):
            return f"source {_text(text)}"
        case n.Import(path=path, args=args, alias=alias):
            words = [(f"{a.name} = " if a.name else "") + _expr(a.value) for a in args]
            return f"import {_path(path)}({', '.join(words)}) as {alias}"
        case n.ParamDecl(name=name, type=type_, default=default):
            return f"param {name} : {_type(type_)} = {_expr(default)}"
        case n.Require(condition=condition):
            return f"require {_expr(condition)}"
        case n.TypeDecl(name=name, type=type_):
            return f"type {name} = {_type_body(type_)}"
        case n.ConstDecl(name=name, type=type_or_none, value=value):
            return f"const {name}{_typed(type_or_none)} = {_expr(value)}"
        case n.FnDecl(name=name):
            return _code(item, name.text)
        case n.RoutineDecl(name=name):
            return ("pub " if item.pub else "") + ("ghost " if item.ghost else "") + _code(item, name.text)
        case n.ThreadDecl(name=name):
            return _code(item, name.text)
        case n.VariantDecl(name=name, target=target, decl=decl):
            return f"variant {name} of {_code(decl, _path(target))}"
        case n.ActorDecl(role=role, name=name, members=members):
            return f"actor {name} : {role} {{\n" + "\n".join(_item(m) for m in members) + "\n}"
        case n.AdversaryDecl(role=role, name=name, instances=instances, calls=calls, at_most=at_most):
            size = "" if instances is None else f"[{_expr(instances)}]"
            lines = "".join(f"any {_adversary_call(c)}; " for c in calls)
            limit = "" if at_most is None else f"at most ({_expr(at_most)}) calls; "
            return f"adversary {role} {name}{size} {{ {lines}{limit}}}"
        case n.StateDecl(pub=pub, ghost=ghost, name=name, type=type_, init=init, guard=guard):
            words = ("pub " if pub else "") + ("ghost " if ghost else "")
            value = "" if init is None else f" = {_expr(init)}"
            return f"{words}state {name} : {_type(type_)}{value}{_guard(guard)};"
        case n.LockDecl(pub=pub, name=name, indexes=indexes, kind=kind, options=options):
            opts = [o.name + _opt("when", o.when) for o in options]
            tail = f" ({', '.join(opts)})" if opts else ""
            return f"{'pub ' if pub else ''}lock {name} : {_indexes(indexes)} {kind}{tail};"
        case n.ObjectDecl(name=name, size=size, members=members):
            inner = (
                f"{size.name} in {_expr(size.lo)}..{_expr(size.hi)} = {_expr(size.default)}"
                if isinstance(size, n.SizeParam)
                else _expr(size)
            )
            return f"object {name}[{inner}] {{ " + " ".join(_item(m) for m in members) + " }"
        case n.Init(body=body):
            return f"init {_stmt(body)}"
        case n.Order(locks=locks):
            return "order " + " -> ".join(_place(lock) for lock in locks)
        case n.Nest(inner=inner, outer=outer, by=by):
            under = "" if outer is None else f" under {_place(outer)}"
            return f"nest {_place(inner)}{under}" + ("" if by is None else f" by {by}")
        case n.Invariant(always=always, name=name, family=family, condition=condition):
            return f"{'always ' if always else ''}invariant {name}{_family(family)} : {_expr(condition)};"
        case n.TransitionProp(name=name, family=family, condition=condition):
            return f"transition {name}{_family(family)} : {_expr(condition)};"
        case n.Final(name=name, family=family, condition=condition):
            return f"final {name}{_family(family)} : {_expr(condition)};"
        case n.Progress():
            before = "" if item.pending is None else f"{_expr(item.pending)} leads_to "
            binders = ", ".join(f"{b.name} in {_domain(b.domain)}" for b in item.binders)
            rigid = f" for {binders}{_opt('where', item.where)}" if binders else ""
            return f"progress {item.name}{_family(item.family)} : {before}{_expr(item.reached)}{rigid};"
        case n.Finishing(name=name, family=family, routine=routine):
            if "." in name.text or (family is None and name.text == _path(routine)):
                return f"every {_path(routine)} finishes;"
            return f"progress {name}{_family(family)} : every {_path(routine)} finishes;"
        case n.Recoverable(name=name, family=family, condition=condition):
            return f"recoverable {name}{_family(family)} : {_expr(condition)};"
        case n.Weakness(name=name, family=family, condition=condition):
            return f"weakness {name}{_family(family)} : {_expr(condition)};"
        case n.Reachable(name=name, when=when, scenarios=scenarios, condition=condition):
            where = f" in {_list(scenarios)}" if scenarios else ""
            return f"reachable {name}{_opt('when', when)}{where} : {_expr(condition)};"
        case n.RunDecl(name=name, lines=lines, leads=leads):
            where = f" in {_list(item.scenarios)}" if item.scenarios else ""
            binders = ", ".join(f"{b.name} in {_domain(b.domain)}" for b in item.binders)
            where += f" for {binders}" if binders else ""
            body = " ".join(f"{_place(line.thread)} : {line.label};" for line in lines)
            tail = f" leads to {_expr(leads)};" if leads is not None else ""
            return f"run {name}{where}{_opt('where', item.where)} {{ {body} }}{tail}"
        case n.Scenario(name=name, items=items):
            return f"scenario {name} {{ " + " ".join(_line(i) for i in items) + " }"
        case n.Check(targets=targets):
            return "check " + ", ".join(_path(t) for t in targets) + ";"
        case _:
            assert_never(item)


def _code(decl: n.RoutineDecl | n.FnDecl | n.ThreadDecl, name: str) -> str:
    if isinstance(decl, n.ThreadDecl):
        indexes = ", ".join(f"{i.name} : {_type(i.type)}" for i in decl.indexes)
        size = f"[{indexes}]" if indexes else ""
        if decl.kind == "interrupt":
            causes = " nmi" * decl.nmi + " ipi" * decl.ipi
            by = f" by{causes}" if causes else ""
            return f"interrupt {name} on {_type(decl.indexes[0].type)}{by} {_stmt(decl.body)}"
        moves = "migrating " if decl.migrating else ""
        return f"{moves}{decl.kind} {name}{size}{_opt('where', decl.where)}{_opt('on', decl.cpu)} {_stmt(decl.body)}"
    params = ", ".join(f"{'ref ' if p.ref else ''}{p.name} : {_type(p.type)}" for p in decl.params)
    if isinstance(decl, n.FnDecl):
        head = f"fn {name}({params}) -> {_type(decl.result)}"
        return f"{head} {_stmt(decl.body)}" if isinstance(decl.body, n.Block) else f"{head} = {_expr(decl.body)};"
    result = "" if decl.result is None else f" -> {_type(decl.result)}"
    fails = " may_fail " + ", ".join(_expr(c) for c in decl.may_fail) if decl.may_fail else ""
    holds = ", ".join(f"{_place(h.lock)}{_mode(h.mode)}{_opt('else', h.otherwise)}" for h in decl.holds)
    tail = f"{fails}{_opt('requires', decl.requires)}{' holds ' if holds else ''}{holds} {_stmt(decl.body)}"
    return f"{'slow ' if decl.slow else ''}{decl.kind} {name}({params}){result}{tail}"


def _adversary_call(call: n.AdversaryCall) -> str:
    if call.args is None:
        return _path(call.path)
    words = []
    for arg in call.args:
        if isinstance(arg, n.AnyArg):
            words.append("_")
        elif isinstance(arg, n.ChosenArg):
            words.append(f"{arg.name} where {_expr(arg.where)}")
        else:
            words.append(_expr(arg))
    return f"{_path(call.path)}({', '.join(words)})"


def _guard(guard: n.Guard | None) -> str:
    match guard:
        case None:
            return ""
        case n.RacyState():
            return " racy"
        case n.GuardedBy(guard=inner, any_mode=any_mode):
            return f" guarded_by {_guard_expr(inner)}" + (" any" if any_mode else "")
        case n.GuardedByAccess(write=write, read=read):
            words = [f"{w}: {_guard_expr(g)}" for w, g in (("write", write), ("read", read)) if g is not None]
            return " guarded_by " + ", ".join(words)
        case _:
            assert_never(guard)


def _guard_expr(guard: n.GuardExpr) -> str:
    match guard:
        case n.GuardNone():
            return "any"
        case n.GuardLock(lock=lock, srcu=srcu):
            return ("srcu " if srcu else "") + _place(lock)
        case n.GuardAll(parts=parts):
            return "(" + " && ".join(_guard_expr(p) for p in parts) + ")"
        case n.GuardOr(parts=parts):
            return "(" + " || ".join(_guard_expr(p) for p in parts) + ")"
        case _:
            assert_never(guard)


def _line(item: n.ScenarioItem) -> str:
    match item:
        case n.WithVariants(names=names):
            return f"with {_list(names)};"
        case n.SetParam(name=name, value=value):
            return f"{name} = {_expr(value)};"
        case n.SetRange(name=name, lo=lo, hi=hi):
            return f"{name} : {_expr(lo)} .. {_expr(hi)};"
        case n.FailOnly(routines=routines):
            return "fail " + ", ".join(_path(r) for r in routines) + ";"
        case n.Without(threads=threads):
            return "without " + ", ".join(_path(t) for t in threads) + ";"
        case n.Expect(expectations=expectations):
            return "expect " + ", ".join(_expectation(e) for e in expectations) + ";"
        case _:
            assert_never(item)


def _expectation(e: n.Expectation) -> str:
    words = [_path(e.target)]
    if e.kind is not None:
        words.append(e.kind)
    if e.outcome != "found" or e.kind is None:
        words.append(e.outcome)
    if e.steps is not None:
        words.append(f"in {'at most ' if e.at_most else ''}{e.steps} steps")
    if e.label is not None:
        words.append(f"at {e.label}")
    return " ".join(words)


# ----------------------------------------------------------------------------------------------------------- types


def _typed(type_: n.TypeExpr | None) -> str:
    return "" if type_ is None else f" : {_type(type_)}"


def _type_body(type_: n.TypeExpr) -> str:
    match type_:
        case n.ProductType(parts=parts):
            return " x ".join((f"{p.name} : " if p.name else "") + _type_body(p.type) for p in parts)
        case n.ScalarsetType(size=size, members=members):
            tail = f" with {_list(members)}" if members else ""
            if isinstance(size, n.SizeParam):
                inner = f"{size.name} in {_expr(size.lo)}..{_expr(size.hi)} = {_expr(size.default)}"
            else:
                inner = _expr(size)
            return f"scalarset({inner}){tail}"
        case _:
            return _type(type_)


def _indexes(indexes: tuple[n.ArrayIndex, ...]) -> str:
    return "".join(f"[{f'{i.name} : ' if i.name else ''}{_type(i.type)}]" for i in indexes)


def _type(type_: n.TypeExpr) -> str:
    match type_:
        case n.NamedType(path=path):
            return _path(path)
        case n.BoolType():
            return "bool"
        case n.RangeType(lo=lo, hi=hi):
            return f"{_range_start(lo)}..({_expr(hi)})"
        case n.EnumType(members=members):
            return f"enum {{ {_list(members)} }}"
        case n.OptionType(element=element):
            return f"({_type(element)})?"
        case n.SetType(element=element):
            return f"set of ({_type(element)})"
        case n.RecordType(fields=fields):
            return "record { " + ", ".join(f"{f.name} : {_type(f.type)}" for f in fields) + " }"
        case n.ArrayType(indexes=indexes, element=element):
            return f"{_indexes(indexes)} ({_type(element)})"
        case n.CounterType(window=window):
            return f"counter(window ({_expr(window)}))"
        case n.VersionType():
            return "version"
        case n.SnapshotType(of=of):
            return f"snapshot of {_place(of)}"
        case n.ProductType() | n.ScalarsetType():
            raise AssertionError("only the right side of a type declaration")
        case _:
            assert_never(type_)


# ----------------------------------------------------------------------------------------------------- expressions


def _place(expr: n.Expr) -> str:
    match expr:
        case n.Name(ident=ident):
            return ident.text
        case n.Member(base=base, ident=ident):
            return f"{_place(base)}.{ident}"
        case n.Index(base=base, index=index):
            return f"{_place(base)}[{_expr(index)}]"
        case n.Unwrap(operand=operand):
            return f"{_place(operand)}!"
        case n.Racy(operand=operand):
            return f"racy({_expr(operand)})"
        case _:
            return f"({_expr(expr)})"


def _range_start(expr: n.Expr) -> str:
    match expr:
        case n.IntLit(value=value):
            return str(value)
        case n.Unary(op="-", operand=n.IntLit(value=value)):
            return f"-{value}"
        case _:
            return _place(expr)


def _killed(block: n.Block | None) -> str:
    return ";" if block is None else f" killable else {_stmt(block)}"


def _mode(mode: n.Mode | None) -> str:
    return "" if mode is None else f" {mode}"


def _domain(domain: n.Domain) -> str:
    match domain:
        case n.NamedType() | n.BoolType():
            return _type(domain)
        case n.RangeType(lo=lo, hi=hi):
            return f"({_expr(lo)})..({_expr(hi)})"
        case _:
            return f"({_expr(domain)})"


def _expr(expr: n.Expr) -> str:
    match expr:
        case n.IntLit(value=number):
            return str(number)
        case n.BoolLit(value=value):
            return "true" if value else "false"
        case n.NoneLit():
            return "none"
        case n.StaleLit():
            return "stale"
        case n.Name() | n.Member() | n.Index() | n.Unwrap() | n.Racy():
            return _place(expr)
        case n.Call(func=func, args=args):
            words = [f"ref {_place(a.target)}" if isinstance(a, n.RefArg) else _expr(a) for a in args]
            return f"{_place(func)}({', '.join(words)})"
        case n.Unary(op=op, operand=operand):
            return f"({op} {_expr(operand)})"
        case n.Binary(op=op, left=left, right=right):
            return f"({_expr(left)} {op} {_expr(right)})"
        case n.Conditional(cond=cond, then=then, otherwise=otherwise):
            return f"({_expr(cond)} ? {_expr(then)} : {_expr(otherwise)})"
        case n.Quantified(kind=kind, binders=binders, where=where, body=body):
            words = [f"{b.name} in {_domain(b.domain)}" for b in binders]
            return f"({kind} {', '.join(words)}{_opt('where', where)} : {_expr(body)})"
        case n.Old(operand=operand):
            return f"old({_expr(operand)})"
        case n.At(thread=thread, label=label):
            return f"at({_expr(thread)}, {label})"
        case n.In(thread=thread, region=region):
            return f"in({_expr(thread)}, {region})"
        case n.Finished(thread=thread):
            return f"finished({_expr(thread)})"
        case n.Held(lock=lock, mode=mode, by=by):
            words = [_place(lock), *([] if mode is None else [mode]), *([] if by is None else [f"by {_expr(by)}"])]
            return f"held({', '.join(words)})"
        case n.SetLit(elements=elements):
            return "{" + ", ".join(_expr(e) for e in elements) + "}"
        case n.RecordLit(fields=fields):
            return "{" + ", ".join(f"{f.name} = {_expr(f.value)}" for f in fields) + "}"
        case n.TryAcquire(lock=lock, mode=mode):
            return f"(try_acquire {_place(lock)}{_mode(mode)})"
        case n.NewObject(pool=pool):
            return f"(new {_path(pool)})"
        case _:
            assert_never(expr)


# ------------------------------------------------------------------------------------------------------ statements


def _stmt(stmt: n.Stmt) -> str:
    match stmt:
        case n.Block(statements=statements):
            return "{ " + " ".join(_stmt(s) for s in statements) + " }"
        case n.VarDecl(name=name, type=type_, init=init):
            return f"var {name}{_typed(type_)}{_opt('=', init)};"
        case n.Let(name=name, type=type_, init=value):
            return f"let {name}{_typed(type_)} = {_expr(value)};"
        case n.LetNew(name=name, type=type_, new=new, otherwise=otherwise):
            return f"let {name}{_typed(type_)} = new {_path(new.pool)} else {_stmt(otherwise)}"
        case n.Free(target=target):
            return f"free {_place(target)};"
        case n.Assign(target=target, op=op, value=value):
            return f"{_place(target)} {op} {_expr(value)};"
        case n.ExprStmt(call=call):
            return f"{_expr(call)};"
        case n.Try(call=call, otherwise=otherwise):
            return f"try {_expr(call)}{_opt('else', otherwise)};"
        case n.OnError(body=body):
            return f"on_error {_stmt(body)}"
        case n.Ignore(call=call):
            return f"ignore {_expr(call)};"
        case n.Choose(name=name, type=chosen, where=where, otherwise=otherwise):
            tail = ";" if otherwise is None else f" else {_stmt(otherwise)}"
            return f"choose {name} : {_type(chosen)}{_opt('where', where)}{tail}"
        case n.Havoc(target=target):
            return f"havoc {_place(target)};"
        case n.If(cond=cond, then=then, otherwise=after):
            return f"if {_expr(cond)} {_stmt(then)}" + ("" if after is None else f" else {_stmt(after)}")
        case n.While(cond=cond, body=body):
            return f"while {_expr(cond)} {_stmt(body)}"
        case n.Loop(body=body):
            return f"loop {_stmt(body)}"
        case n.Budget(times=times, body=body, otherwise=after):
            tail = "" if after is None else f" else {_stmt(after)}"
            return f"loop at most ({_expr(times)}) times {_stmt(body)}{tail}"
        case n.ForIn(name=name, domain=domain, where=where, body=body):
            return f"for {name} in {_domain(domain)}{_opt('where', where)} {_stmt(body)}"
        case n.ForRange(name=name, lo=lo, hi=hi, by=by, down=down, body=body):
            step = ("" if by is None else f" by ({_expr(by)})") + (" down" if down else "")
            return f"for {name} in ({_expr(lo)}) ..< ({_expr(hi)}){step} {_stmt(body)}"
        case n.Break():
            return "break;"
        case n.Continue():
            return "continue;"
        case n.Return(value=result):
            return "return;" if result is None else f"return {_expr(result)};"
        case n.Retry(fair=fair):
            return "fair retry;" if fair else "retry;"
        case n.Either(branches=branches, fair=fair):
            return ("fair " if fair else "") + "either " + " or ".join(_stmt(b) for b in branches)
        case n.Atomic(body=body):
            return f"atomic {_stmt(body)}"
        case n.GhostBlock(body=body):
            return f"ghost {_stmt(body)}"
        case n.With(locks=locks, body=body):
            return "with " + ", ".join(_place(u.lock) + _mode(u.mode) for u in locks) + f" {_stmt(body)}"
        case n.Under(lock=use, body=inner):
            return f"under {_place(use.lock)}{_mode(use.mode)}: {_stmt(inner)}"
        case n.Acquire(lock=lock, mode=mode, every=every):
            return f"acquire {'every ' if every else ''}{_place(lock)}{_mode(mode)}{_killed(stmt.killed)}"
        case n.Release(lock=lock, mode=mode, every=every):
            return f"release {'every ' if every else ''}{_place(lock)}{_mode(mode)};"
        case n.Downgrade(lock=lock):
            return f"downgrade {_place(lock)};"
        case n.Synchronize(lock=lock):
            return f"synchronize {_place(lock)};"
        case n.Await(cond=cond, idle=idle, unless=unless):
            return f"await {_expr(cond)}{' idle' if idle else ''}{_opt('unless', unless)}{_killed(stmt.killed)}"
        case n.SpinUntil(cond=cond):
            return f"spin until {_expr(cond)};"
        case n.Assert(cond=cond, message=message, family=family):
            text = "" if message is None else f", {_text(message)}"
            return f"assert {_expr(cond)}{text}{_family(family)};"
        case n.Labeled(label=label, statement=inner):
            return f"{label}: {_stmt(inner)}"
        case n.Region(name=name, body=body):
            return f"region {name} {_stmt(body)}"
        case n.Masked(what=what, body=body):
            return f"{what} {_stmt(body)}"
        case n.Ipi(handler=handler, cpu=cpu, wait=wait):
            return f"{'ipi_wait' if wait else 'ipi'} {_place(handler)} on {_expr(cpu)};"
        case n.Skip():
            return "skip;"
        case n.Halt():
            return "halt;"
        case n.Stop(thread=thread):
            return f"stop {_place(thread)};"
        case n.Bug(message=why):
            return f"bug {_text(why)};"
        case n.MightSleep():
            return "might_sleep;"
        case _:
            assert_never(stmt)
