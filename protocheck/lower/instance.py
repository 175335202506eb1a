"""One instance of a model: parameters have values, scalarsets have sizes, variants are chosen."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocheck.diagnostics import Diagnostic, Label, ModelError
from protocheck.ir.expr import Op, compute
from protocheck.ir.sorts import BOOL, EnumSort, OptionSort, RangeSort, ScalarSort, Sort
from protocheck.lower.migration import with_migration
from protocheck.lower.rules import EMPTY_TYPE, NOTHING_RUNS, REQUIREMENT_NOT_MET, SETTING_OUT_OF_RANGE, UNKNOWN_SETTING
from protocheck.source import Span
from protocheck.types.tree import (
    Apply,
    CheckedModule,
    Const,
    Expr,
    FnCall,
    LocalRef,
    ParamDecl,
    ParamRef,
    Routine,
    ScenarioDecl,
    SizeOf,
    ThreadDecl,
    Unwrap,
    Wrap,
)
from protocheck.types.types import (
    BoolType,
    EnumType,
    IntType,
    OptionType,
    RangeType,
    ScalarsetType,
    Type,
)


@dataclass(frozen=True)
class Instance:
    """What :func:`instantiate` fixes. ``routines`` and ``threads`` already have the chosen variants put in."""

    module: CheckedModule = field(repr=False)
    scenario: str | None
    variants: tuple[str, ...]
    params: dict[str, int]
    scalarsets: dict[str, ScalarSort]
    routines: dict[str, Routine] = field(repr=False)
    threads: dict[str, ThreadDecl] = field(repr=False)

    @property
    def text(self) -> str:
        """The sizes in words: "2 gfn, 2 vcpu", then the other parameters as "how = a"."""
        sizes = [f"{len(s.members)} {s.name}" for s in self.scalarsets.values()]
        named = {e.name for d in self.module.scalarsets.values() if isinstance(e := d.size, ParamRef)}
        others = [
            f"{name} = {show_param(self.module.params[name], value)}"
            for name, value in self.params.items()
            if name not in named and (value or not self.module.params[name].implicit)
        ]
        return ", ".join([*sizes, *others])

    def failures(self, routine: str) -> int:
        """How many failures a run may have, if ``routine`` may be among them; else 0."""
        declared = self.module.scenarios[self.scenario] if self.scenario is not None else None
        if declared is not None and declared.fails is not None and routine not in declared.fails:
            return 0
        return self.params.get("failures", 0)

    @property
    def signals(self) -> int:
        """How many killable waits a signal may end in a run."""
        return self.params.get("signals", 0)

    def constant(self, e: Expr, env: Mapping[int, int] | None = None) -> int:
        """The value of an expression over parameters and sizes (and locals in ``env``); KeyError if it is not one."""
        env = env or {}
        match e:
            case Const(value):
                return value
            case ParamRef(name):
                return self.params[name]
            case SizeOf(name):
                return len(self.scalarsets[name].members)
            case LocalRef(local):
                return env[local.number]
            case Wrap(base) | Unwrap(base):
                return self.constant(base, env)
            case Apply(Op.AND, args):
                return int(all(self.constant(a, env) for a in args))
            case Apply(Op.OR, args):
                return int(any(self.constant(a, env) for a in args))
            case Apply(Op.IMPLIES, (a, b)):
                return int(not self.constant(a, env) or bool(self.constant(b, env)))
            case Apply(Op.ITE, (c, a, b)):
                return self.constant(a if self.constant(c, env) else b, env)
            case Apply(op, args):
                return compute(op, [self.constant(a, env) for a in args])
            case FnCall(fn, args):
                routine = self.routines[fn]
                if routine.value is None:
                    raise KeyError(fn)
                inner = {p.number: self.constant(a, env) for p, a in zip(routine.params, args, strict=True)}
                return self.constant(routine.value, inner)
            case _:
                raise KeyError(type(e).__name__)

    def is_constant(self, e: Expr) -> bool:
        """Whether ``e`` has a value that depends on parameters only."""
        try:
            self.constant(e)
        except KeyError:
            return False
        return True

    def sort(self, t: Type, span: Span | None = None) -> Sort:
        """The sort of a scalar type; ModelError ``empty-type`` if it has no value. KeyError for types without one."""
        match t:
            case BoolType():
                return BOOL
            case RangeType(lo, hi):
                low, high = self.constant(lo), self.constant(hi)
                if low > high:
                    where = span or lo.span
                    raise ModelError([Diagnostic(EMPTY_TYPE, f"the range {low}..{high} has no value", (Label(where),))])
                return RangeSort(low, high)
            case EnumType(name, members):
                return EnumSort(name, members)
            case ScalarsetType(name):
                return self.scalarsets[name]
            case OptionType(inner):
                return OptionSort(self.sort(inner, span))
            case IntType():
                raise KeyError("int")
            case _:
                raise KeyError(type(t).__name__)


def show_param(declaration: ParamDecl, value: int) -> str:
    """The value of a parameter as a model writes it."""
    if isinstance(declaration.type, EnumType):
        return declaration.type.members[value]
    if isinstance(declaration.type, BoolType):
        return "true" if value else "false"
    return str(value)


def instantiate(
    module: CheckedModule,
    scenario: str | None = None,
    settings: Mapping[str, str | int] | None = None,
) -> Instance:
    """Fix sizes and variants: declared defaults, then those of ``scenario``, then ``settings`` (as from ``-p``).

    Values in ``settings`` may be numbers, enum members or ``true``/``false`` as text. KeyError if the scenario does not
    exist; ModelError with every fault found (``unknown-setting``, ``setting-out-of-range``, ``requirement-not-met``,
    ``empty-type``, ``nothing-runs``).
    """
    faults: list[Diagnostic] = []
    declaration: ScenarioDecl | None = module.scenarios[scenario] if scenario is not None else None
    params = {name: p.default for name, p in module.params.items()}
    bare = Instance(module, scenario, (), params, {}, dict(module.routines), {})
    for name, e in declaration.settings if declaration else ():
        params[name] = bare.constant(e)
        faults += _check(bare, module.params[name], params[name], e.span)
    for name, given in (settings or {}).items():
        if name not in module.params:
            faults.append(_unknown(name, module))
            continue
        value = _parse(module.params[name], given)
        if value is None:
            faults.append(_refused(bare, module.params[name], str(given), module.params[name].span))
            continue
        params[name] = value
        faults += _check(bare, module.params[name], value, module.params[name].span)
    if faults:
        raise ModelError(faults)

    scalarsets: dict[str, ScalarSort] = {}
    for name, s in module.scalarsets.items():
        size = bare.constant(s.size)
        short = name.rsplit(".", 1)[-1]
        rest = [f"{short}{i}" for i in range(size - len(s.members))]
        if name in module.pools:
            rest = [f"{short}#{i + 1}" for i in range(size)]
        scalarsets[name] = ScalarSort(name, (*s.members, *rest)[:size], min(len(s.members), size))
    chosen = declaration.variants if declaration else ()
    without = set(declaration.without) if declaration else set()
    routines = dict(module.routines)
    threads = {name: t for name, t in module.threads.items() if name not in without}
    for v in module.variants:
        if v.name in chosen:
            if isinstance(v.replacement, Routine):
                routines[v.target] = v.replacement
            elif v.target in threads:
                threads[v.target] = v.replacement
    module, threads = with_migration(module, threads)
    instance = Instance(module, scenario, chosen, params, scalarsets, routines, threads)
    for r in module.requires:
        if not instance.constant(r):
            values = ", ".join(f"{n} = {show_param(module.params[n], v)}" for n, v in params.items())
            headline = f"`require {' '.join(r.span.text.split())}` is false for {values}"
            faults.append(Diagnostic(REQUIREMENT_NOT_MET, headline, (Label(r.span),), "choose other parameters"))
    if not any(_instances(instance, t) for t in threads.values()):
        where = (Label(declaration.span),) if declaration else ()
        faults.append(Diagnostic(NOTHING_RUNS, "nothing runs in this instance: it has no thread", where))
    if faults:
        raise ModelError(faults)
    return instance


def _instances(instance: Instance, thread: ThreadDecl) -> bool:
    def size(t: Type) -> int:
        try:
            s = instance.sort(t)
        except KeyError:
            return 1
        return len(s.members) if isinstance(s, ScalarSort) else 1

    return all(size(p.type) > 0 for p in thread.params)


def _parse(p: ParamDecl, given: str | int) -> int | None:
    if isinstance(given, int):
        return given
    if isinstance(p.type, EnumType):
        return p.type.members.index(given) if given in p.type.members else None
    if isinstance(p.type, BoolType):
        return {"true": 1, "false": 0}.get(given)
    try:
        return int(given, 0)
    except ValueError:
        return None


def _check(bare: Instance, p: ParamDecl, value: int, span: Span) -> list[Diagnostic]:
    match p.type:
        case RangeType(lo, hi):
            good = bare.constant(lo) <= value <= bare.constant(hi)
        case EnumType(_, members):
            good = 0 <= value < len(members)
        case BoolType():
            good = value in (0, 1)
        case _:
            good = True
    return [] if good else [_refused(bare, p, str(value), span)]


def _refused(bare: Instance, p: ParamDecl, value: str, span: Span) -> Diagnostic:
    match p.type:
        case RangeType(lo, hi):
            allowed = f"{bare.constant(lo)}..{bare.constant(hi)}"
        case EnumType(_, members):
            allowed = ", ".join(members)
        case _:
            allowed = "true, false"
    labels = (Label(span, "" if span != p.span else "declared here"),)
    headline = f"`{p.name}` cannot be {value}: it is declared as {allowed}"
    return Diagnostic(SETTING_OUT_OF_RANGE, headline, labels, f"give a value among {allowed}")


def _unknown(name: str, module: CheckedModule) -> Diagnostic:
    close = difflib.get_close_matches(name, module.params, n=1)
    names = ", ".join(f"`{n}`" for n in module.params) or "none"
    mend = f"did you mean `{close[0]}`?" if close else f"parameters of this model: {names}"
    return Diagnostic(UNKNOWN_SETTING, f"`{name}` is not a parameter of {module.name}", (), mend)
