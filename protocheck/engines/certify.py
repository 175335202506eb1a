"""Every proof checked again from its certificate, by fresh solvers, sharing nothing with the engine but the system.

The translation is this module's own and of another kind than the engines': the *parametric* system becomes SMT-LIB 2
text, arrays become functions, parameters become constants of the solver, and numbers become bit-vectors that are wide
enough for every intermediate result. Each obligation is one script that must be ``unsat``; the same scripts are what
:func:`export` writes for other people's solvers.

An :class:`Invariant` holds initially, is kept by each transition, and excludes the target. In a hypothesis the
invariant is used only for the terms that the script mentions (its parameters and the cells read through them), which is
sound, small, and does not grow with the instance; where that is not enough, for all values.

For *any size* the named scalarsets become uninterpreted sorts. A value of ``S?`` is an element of the same sort for
which ``in_S`` is false. So arrays between scalarsets are functions here, while the engine reasons about relations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from pathlib import Path
from typing import TypeAlias, assert_never

import z3

from protocheck.engines.verdict import (
    Clause,
    Exhausted,
    Induction,
    Invariant,
    Structural,
    Unreachable,
)
from protocheck.ir import interp
from protocheck.ir.expr import Apply, Expr, Lit, Op, Param, Quant, Quantifier, Read, Var, compute, reads
from protocheck.ir.sorts import OptionSort, ScalarSort, Sort, high_of, low_of, scalarset_of, values_of
from protocheck.ir.system import (
    Case,
    DeadlockTarget,
    InitCase,
    PropertyTarget,
    System,
    Target,
    ThreadClass,
    Transition,
    Update,
    Wait,
    WaitsFor,
)


class CertificateRejected(Exception):  # noqa: N818 - the name reads as the verdict it is
    """A proof does not stand up. This is a fault of ours; the message names the obligation."""


class CertificateUndecided(CertificateRejected):
    """Nothing is wrong with the proof as far as it was checked, but a limit of the check itself was hit."""


class Recheck(Enum):
    """What became of a certificate that was not rejected."""

    CHECKED = "re-checked"
    TRUSTED = "not re-checked"  # an exhausted search too large to repeat, or a static argument


@dataclass(frozen=True)
class Obligation:
    """A question whose answer must be ``answer``. ``fuller`` are scripts with more hypotheses, tried in turn."""

    name: str
    script: str
    answer: str = "unsat"
    fuller: tuple[Callable[[], str], ...] = field(default=(), compare=False, repr=False)


SMALL_SEARCH = 3000
MAX_INSTANCES = 50_000
MAX_TABLE = 4096
TIMEOUT_MS = 20_000


def certify(
    system: System, target: PropertyTarget, verdict: Unreachable, deadline: float | None = None
) -> Recheck:
    """Check the certificate of ``verdict`` again; :class:`CertificateRejected` if it does not hold.

    What is not done at ``deadline`` (on ``time.monotonic``) is :class:`CertificateUndecided`.

    An exhausted search of few states is repeated by the reference interpreter; a larger one, like a static argument,
    is reported as not re-checked. A claim for any size is checked in addition to the one for this size.
    """
    certificate = verdict.by
    match certificate:
        case Invariant() | Induction():
            context = z3.Context()
            for obligation in obligations(system, target, verdict, deadline):
                _demand(obligation, context, deadline)
            return Recheck.CHECKED
        case Exhausted(states, _, symmetric):
            if symmetric or states > SMALL_SEARCH:
                return Recheck.TRUSTED
            _search_again(system, target, states)
            return Recheck.CHECKED
        case Structural():
            return Recheck.TRUSTED
        case _:
            assert_never(certificate)


def export(system: System, target: PropertyTarget, verdict: Unreachable, directory: Path) -> tuple[Path, ...]:
    """Write the obligations of ``verdict`` as scripts into ``directory``, each checked before it is written.

    The file name ends in ``.unsat.smt2`` or ``.sat.smt2``: the answer that each solver must give. Raises
    :class:`CertificateRejected` like :func:`certify`; a certificate without obligations writes nothing.
    """
    if not isinstance(verdict.by, Invariant | Induction):
        return ()
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for number, obligation in enumerate(obligations(system, target, verdict), start=1):
        script = _demand(obligation, z3.Context())
        path = directory / f"{number:04}-{_file_name(obligation.name)}.{obligation.answer}.smt2"
        path.write_text(script, encoding="utf-8")
        written.append(path)
    return tuple(written)


@dataclass(frozen=True)
class ScriptResult:
    """What one solver said of one script, and what the file's name demands.

    ``answer`` is ``sat``, ``unsat``, ``unknown`` (out of time) or ``unsupported`` (bitwuzla has no sorts of unknown
    size). Only the opposite of ``wanted`` contradicts the certificate.
    """

    script: str
    solver: str
    answer: str
    wanted: str

    @property
    def confirms(self) -> bool:
        """The solver agrees."""
        return self.answer == self.wanted

    @property
    def contradicts(self) -> bool:
        """The solver says the opposite."""
        return self.answer in ("sat", "unsat") and self.answer != self.wanted


def certify_dir(directory: Path) -> tuple[ScriptResult, ...]:
    """Run every script in ``directory`` through a fresh Z3 and through cvc5 and bitwuzla where they are installed.

    Raises :class:`CertificateRejected` if there is no script at all, or one whose name demands nothing.
    """
    results = []
    for path in sorted(directory.rglob("*.smt2")):
        wanted = path.name.split(".")[-2]
        if wanted not in ("sat", "unsat"):
            raise CertificateRejected(f"{path.name} does not say which answer it must have")
        script = path.read_text(encoding="utf-8")
        for name, solve in _solvers():
            results.append(ScriptResult(path.relative_to(directory).as_posix(), name, solve(script), wanted))
    if not results:
        raise CertificateRejected("there are no scripts to check")
    return tuple(results)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]


def _left(deadline: float | None) -> int:
    """The milliseconds for one script; :class:`CertificateUndecided` if there are none."""
    left = TIMEOUT_MS if deadline is None else min(TIMEOUT_MS, int(1000 * (deadline - time.monotonic())))
    if left <= 0:
        raise CertificateUndecided("time limit")
    return left


def _demand(obligation: Obligation, context: z3.Context, deadline: float | None = None) -> str:
    """The script that gives the demanded answer. Each script gets a fresh solver."""
    answer = ""
    for make in (lambda: obligation.script, *obligation.fuller):
        _left(deadline)
        script = make()
        answer = solve_with_z3(script, context, _left(deadline))
        if answer == obligation.answer:
            return script
    if answer == "unknown" and deadline is not None and time.monotonic() >= deadline:
        raise CertificateUndecided("time limit")
    kind = CertificateUndecided if answer == "unknown" else CertificateRejected
    raise kind(f"{obligation.name}: expected {obligation.answer}, got {answer}")


def solve_with_z3(script: str, context: z3.Context | None = None, milliseconds: int = TIMEOUT_MS) -> str:
    """The answer of a fresh Z3 solver, in a fresh context if none is given."""
    solver = z3.SimpleSolver(ctx=z3.Context() if context is None else context)
    solver.set("timeout", milliseconds)
    solver.set("ctrl_c", False)
    solver.from_string(script)
    return str(solver.check())


def absent_solvers() -> tuple[str, ...]:
    """The other solvers that are not installed here."""
    there = [name for name, _ in _solvers()]
    return tuple(name for name in ("cvc5", "bitwuzla") if name not in there)


def _solvers() -> list[tuple[str, Callable[[str], str]]]:
    found: list[tuple[str, Callable[[str], str]]] = [("z3", solve_with_z3)]
    try:
        import cvc5  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        pass
    else:
        found.append(("cvc5", _solve_with_cvc5))
    try:
        import bitwuzla  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        pass
    else:
        found.append(("bitwuzla", _solve_with_bitwuzla))
    return found


def _solve_with_cvc5(script: str) -> str:
    import cvc5

    solver = cvc5.Solver()
    solver.setOption("tlimit-per", str(TIMEOUT_MS))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script, "script")
    symbols = parser.getSymbolManager()
    answer = ""
    while True:
        command = parser.nextCommand()
        if command.isNull():
            return answer.split()[0] if answer.strip() else "unknown"
        answer += str(command.invoke(solver, symbols))


def _solve_with_bitwuzla(script: str) -> str:
    import bitwuzla

    if "declare-sort" in script:
        return "unsupported"
    parser = bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options())
    parser.parse(script, True, False)
    return str(parser.bitwuzla().check_sat()).lower().replace("result.", "")


def _search_again(system: System, target: PropertyTarget, states: int) -> None:
    seen = dict.fromkeys(interp.initial_states(system))
    todo = list(seen)
    for state in todo:  # grows
        if isinstance(target, Target):
            if next(interp.witnesses(system, target, state), None) is not None:
                raise CertificateRejected("a repeated search reaches the target")
        elif interp.deadlock(system, state):
            raise CertificateRejected("a repeated search reaches a deadlock")
        for move in interp.enabled(system, state):
            after = interp.step(system, state, move).state
            if after is not None and after not in seen:
                seen[after] = None
                todo.append(after)
        if len(seen) > states:
            break
    if len(seen) != states:
        raise CertificateRejected(f"a repeated search finds {len(seen)} states or more, not {states}")


# -- obligations -------------------------------------------------------------------------------------------------------


def obligations(
    system: System, target: PropertyTarget, verdict: Unreachable, deadline: float | None = None
) -> Iterator[Obligation]:
    """All that has to be shown for ``verdict``, in order. Raises :class:`CertificateRejected` if it cannot be said.

    What is not written at ``deadline`` is :class:`CertificateUndecided`.
    """
    match verdict.by:
        case Invariant(clauses):
            yield from _Proof(system, target, clauses, (), deadline).obligations()
            if verdict.any_size:
                yield from _Proof(system, target, clauses, verdict.any_size, deadline).obligations()
        case Induction(k):
            yield from _Unrolled(system, target, k, deadline).obligations()
        case Exhausted() | Structural():
            return
        case _:
            assert_never(verdict.by)


Term: TypeAlias = tuple[str, int, int]
"""A number as text, with the interval that it lies in."""

Env: TypeAlias = Mapping[str, str]
"""Parameters by name, as text."""


@dataclass(frozen=True)
class _Moment:
    """How cells are read: ``read`` gives the text of a cell from the texts of its indexes."""

    read: Callable[[Var, tuple[str, ...]], str]


class _TooNarrow(Exception):  # noqa: N818 - a signal to start again
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.width = width


_TRUTH = frozenset({Op.NOT, Op.AND, Op.OR, Op.IMPLIES, Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE})
_BV = {Op.ADD: "bvadd", Op.SUB: "bvsub", Op.NEG: "bvneg"}
_ORDER = {Op.LT: "bvslt", Op.LE: "bvsle", Op.GT: "bvsgt", Op.GE: "bvsge"}


class _Writer:
    """Expressions as SMT-LIB text, numbers as bit-vectors of ``width`` bits that never wrap."""

    def __init__(self, system: System, any_size: Sequence[str], width: int) -> None:
        self.system = system
        self.any_size = frozenset(any_size)
        self.width = width
        self.members: dict[str, dict[int, str]] = {name: {} for name in any_size}
        self._quantified = 0

    # kinds: "bool", "num", or the name of a scalarset of any size

    def kind_of_sort(self, sort: Sort) -> str:
        scalarset = scalarset_of(sort)
        return scalarset.name if scalarset is not None and scalarset.name in self.any_size else "num"

    def kind(self, e: Expr) -> str | None:
        """The kind of ``e``, or None for a literal, which takes the kind of what it meets."""
        match e:
            case Lit():
                return None
            case Param(_, sort) | Read(Var(_, _, sort, _), _):
                return self.kind_of_sort(sort)
            case Apply(Op.ITE, (_, a, b)):
                return self.kind(a) or self.kind(b)
            case Apply(op, _):
                return "bool" if op in _TRUTH else "num"
            case Quant(kind, _, _):
                return "num" if kind is Quantifier.COUNT else "bool"
            case _:
                assert_never(e)

    def smt_sort(self, sort: Sort) -> str:
        kind = self.kind_of_sort(sort)
        return f"(_ BitVec {self.width})" if kind == "num" else symbol(kind)

    def number(self, value: int) -> str:
        if not -(1 << (self.width - 1)) <= value < 1 << (self.width - 1):
            raise _TooNarrow(value.bit_length() + 1)
        return f"(_ bv{value % (1 << self.width)} {self.width})"

    def within(self, text: str, sort: Sort) -> str:
        """``text`` is a value of ``sort``."""
        kind = self.kind_of_sort(sort)
        if kind == "num":
            return f"(and (bvsle {self.number(low_of(sort))} {text}) (bvsle {text} {self.number(high_of(sort))}))"
        inside = f"({symbol('in ' + kind)} {text})"
        nones = []
        while isinstance(sort, OptionSort):
            nones.append(f"(= {text} {self.member(kind, high_of(sort))})")
            sort = sort.of
        return f"(or {inside} {' '.join(nones)})" if nones else inside

    def member(self, name: str, value: int) -> str:
        """The constant for a literal of the scalarset ``name``: a member, or a none."""
        found = self.members[name].get(value)
        if found is None:
            found = self.members[name][value] = symbol(f"{name} {value}")
        return found

    def bool_(self, e: Expr, env: Env, now: _Moment) -> str:
        """``e`` as a formula."""
        match e:
            case Lit(value):
                return "true" if value else "false"
            case Apply(Op.NOT, (a,)):
                return f"(not {self.bool_(a, env, now)})"
            case Apply(Op.AND | Op.OR as op, args):
                word = "and" if op is Op.AND else "or"
                return _join(word, [self.bool_(a, env, now) for a in args])
            case Apply(Op.IMPLIES, (a, b)):
                return f"(=> {self.bool_(a, env, now)} {self.bool_(b, env, now)})"
            case Apply(Op.ITE, (c, a, b)) if self.kind(e) in ("bool", None):
                return f"(ite {self.bool_(c, env, now)} {self.bool_(a, env, now)} {self.bool_(b, env, now)})"
            case Apply(Op.EQ | Op.NE as op, (a, b)):
                same = self._equal(a, b, env, now)
                return same if op is Op.EQ else f"(not {same})"
            case Apply(Op.LT | Op.LE | Op.GT | Op.GE as op, (a, b)):
                return f"({_ORDER[op]} {self.num(a, env, now)[0]} {self.num(b, env, now)[0]})"
            case Quant(Quantifier.FORALL | Quantifier.EXISTS as kind, binders, body):
                return self.each(kind, binders, env, lambda inner: self.bool_(body, inner, now))
            case _:
                return f"(distinct {self.num(e, env, now)[0]} {self.number(0)})"

    def _equal(self, a: Expr, b: Expr, env: Env, now: _Moment) -> str:
        kinds = {k for k in (self.kind(a), self.kind(b)) if k in self.any_size}
        if len(kinds) > 1:
            raise CertificateRejected("members of different scalarsets are compared")
        if kinds:
            kind = next(iter(kinds))
            return f"(= {self.element(a, kind, env, now)} {self.element(b, kind, env, now)})"
        return f"(= {self.num(a, env, now)[0]} {self.num(b, env, now)[0]})"

    def each(self, kind: Quantifier, binders: Sequence[Param], env: Env, body: Callable[[Env], str]) -> str:
        """``body`` for all values, or for some, of ``binders``."""
        real = [b for b in binders if self.kind_of_sort(b.sort) != "num"]
        listed = [b for b in binders if self.kind_of_sort(b.sort) == "num"]
        names = {}
        for b in real:
            self._quantified += 1
            names[b.name] = symbol(f"{b.name} {self._quantified}")
        parts = []
        for values in product(*(values_of(b.sort) for b in listed)):
            inner = {**env, **names, **{b.name: self.number(v) for b, v in zip(listed, values, strict=True)}}
            parts.append(body(inner))
        word = "and" if kind is Quantifier.FORALL else "or"
        whole = _join(word, parts)
        if not real:
            return whole
        domain = _join("and", [self.within(names[b.name], b.sort) for b in real])
        heads = " ".join(f"({names[b.name]} {self.smt_sort(b.sort)})" for b in real)
        if kind is Quantifier.FORALL:
            return f"(forall ({heads}) (=> {domain} {whole}))"
        return f"(exists ({heads}) (and {domain} {whole}))"

    def element(self, e: Expr, kind: str, env: Env, now: _Moment) -> str:
        """``e`` as an element of the scalarset ``kind`` of any size."""
        match e:
            case Lit(value):
                return self.member(kind, value)
            case Param(name, sort) if self.kind_of_sort(sort) == kind:
                return env[name]
            case Read(var, index) if self.kind_of_sort(var.sort) == kind:
                return self._read(var, index, env, now)
            case Apply(Op.ITE, (c, a, b)):
                then, other = self.element(a, kind, env, now), self.element(b, kind, env, now)
                return f"(ite {self.bool_(c, env, now)} {then} {other})"
            case _:
                raise CertificateRejected(f"not a member of {kind} where one is needed")

    def value(self, e: Expr, sort: Sort, env: Env, now: _Moment) -> str:
        """``e`` where a value of ``sort`` belongs."""
        kind = self.kind_of_sort(sort)
        return self.num(e, env, now)[0] if kind == "num" else self.element(e, kind, env, now)

    def num(self, e: Expr, env: Env, now: _Moment) -> Term:
        """``e`` as a number."""
        match e:
            case Lit(value):
                return self.number(value), value, value
            case Param(name, sort):
                if self.kind_of_sort(sort) != "num":
                    raise CertificateRejected("arithmetic on a scalarset of any size")
                return env[name], low_of(sort), high_of(sort)
            case Read(var, index):
                if self.kind_of_sort(var.sort) != "num":
                    raise CertificateRejected("arithmetic on a scalarset of any size")
                low, high = low_of(var.sort), high_of(var.sort)
                return self._read(var, index, env, now), min(low, 0), max(high, 0)
            case Apply(Op.ITE, (c, a, b)) if self.kind(e) != "bool":
                x, y = self.num(a, env, now), self.num(b, env, now)
                return f"(ite {self.bool_(c, env, now)} {x[0]} {y[0]})", min(x[1], y[1]), max(x[2], y[2])
            case Apply(Op.ADD | Op.MUL | Op.MIN | Op.MAX as op, args) if len(args) != 2:
                total = args[0]
                for arg in args[1:]:
                    total = Apply(op, (total, arg))
                return self.num(total, env, now)
            case Apply(op, args) if self.kind(e) == "num":
                return self._arithmetic(op, [self.num(a, env, now) for a in args])
            case Quant(Quantifier.COUNT, binders, body):
                if any(self.kind_of_sort(b.sort) != "num" for b in binders):
                    raise CertificateRejected("a count over a scalarset of any size")
                ones = []
                for values in product(*(values_of(b.sort) for b in binders)):
                    inner = {**env, **{b.name: self.number(v) for b, v in zip(binders, values, strict=True)}}
                    ones.append(f"(ite {self.bool_(body, inner, now)} {self.number(1)} {self.number(0)})")
                self.number(len(ones))
                text = self.number(0)
                for one in ones:
                    text = f"(bvadd {text} {one})"
                return text, 0, len(ones)
            case _:
                return f"(ite {self.bool_(e, env, now)} {self.number(1)} {self.number(0)})", 0, 1

    def _arithmetic(self, op: Op, args: list[Term]) -> Term:
        if op in _BV or op in (Op.MIN, Op.MAX):
            corners = [compute(op, list(c)) for c in product(*((low, high) for _, low, high in args))]
            low, high = min(corners), max(corners)
            self.number(low)
            self.number(high)
            if op in _BV:
                return f"({_BV[op]} {' '.join(text for text, _, _ in args)})", low, high
            word = "bvsle" if op is Op.MIN else "bvsge"
            x, y = args[0][0], args[1][0]
            return f"(ite ({word} {x} {y}) {x} {y})", low, high
        # Everything else by its table: the definition of the operator is asked, not imitated.
        spans = [range(low, high + 1) for _, low, high in args]
        rows = list(product(*spans))
        if len(rows) > MAX_TABLE:
            raise CertificateUndecided(f"operator {op.value} on more than {MAX_TABLE} combinations of values")
        results = [compute(op, list(row)) for row in rows]
        text = self.number(results[0])
        for row, result in zip(rows, results, strict=True):
            here = _join("and", [f"(= {a[0]} {self.number(v)})" for a, v in zip(args, row, strict=True)])
            text = f"(ite {here} {self.number(result)} {text})"
        return text, min(results), max(results)

    def _read(self, var: Var, index: Sequence[Expr], env: Env, now: _Moment) -> str:
        texts = []
        doubts = []
        for sort, i in zip(var.index, index, strict=True):
            if self.kind_of_sort(sort) == "num":
                text, low, high = self.num(i, env, now)
                if low < low_of(sort) or high > high_of(sort):
                    doubts.append(self.within(text, sort))
            else:
                text = self.element(i, self.kind_of_sort(sort), env, now)
            texts.append(text)
        found = now.read(var, tuple(texts))
        if not doubts or self.kind_of_sort(var.sort) != "num":
            return found
        return f"(ite {_join('and', doubts)} {found} {self.number(0)})"


def symbol(name: str) -> str:
    """``name`` as an SMT-LIB symbol."""
    return "|" + name.replace("|", "!").replace("\\", "!") + "|"


def _join(word: str, parts: Sequence[str]) -> str:
    """A conjunction or disjunction; SMT-LIB wants two arguments at least."""
    if len(parts) < 2:
        return parts[0] if parts else ("true" if word == "and" else "false")
    return f"({word} {' '.join(parts)})"


def _call(name: str, args: Sequence[str]) -> str:
    return f"({name} {' '.join(args)})" if args else name


def _fresh_width(system: System) -> int:
    """Bits enough for every value of every sort, sign included; scripts that need more ask for more."""
    bits = 2
    sorts = [v.sort for v in system.variables] + [s for v in system.variables for s in v.index]
    sorts += [p.sort for t in system.transitions for p in t.params]
    for sort in sorts:
        bits = max(bits, (high_of(sort) + 1).bit_length() + 1, low_of(sort).bit_length() + 1)
    return bits


def _wide_enough(system: System, make: Callable[[int], list[Obligation]]) -> list[Obligation]:
    width = _fresh_width(system)
    while True:
        try:
            return make(width)
        except _TooNarrow as problem:
            width = max(width + 1, problem.width)


class _Script:
    """One script in the making: constants, cells read, assertions."""

    def __init__(self, writer: _Writer) -> None:
        self.writer = writer
        self.constants: dict[str, Sort] = {}
        self.cells: dict[tuple[str, tuple[str, ...]], Var] = {}
        self.lines: list[str] = []
        self.functions: dict[str, str] = {}

    def constant(self, name: str, sort: Sort) -> str:
        """A constant of ``sort``."""
        text = symbol(name)
        self.constants[text] = sort
        return text

    def constants_for(self, prefix: str, params: Sequence[Param]) -> dict[str, str]:
        return {p.name: self.constant(f"{prefix}{p.name}", p.sort) for p in params}

    def demand(self, text: str) -> None:
        self.lines.append(f"(assert {text})")

    def moment(self, suffix: str = "") -> _Moment:
        """The state as it is in the functions with ``suffix``."""

        def read(var: Var, index: tuple[str, ...]) -> str:
            name = symbol(var.name + suffix)
            self.cells[name, index] = var
            return _call(name, index)

        return _Moment(read)

    def text(
        self, comment: str, suffixes: Sequence[str] = ("",), variables: Sequence[Var] | None = None
    ) -> str:
        """The whole script: what is mentioned, its domains, what is demanded. ``variables`` replaces the system's."""
        writer = self.writer
        mentioned = writer.system.variables if variables is None else variables
        real = bool(writer.any_size)
        head = [f"; {comment}", f"(set-logic {'ALL' if real else 'QF_UFBV'})"]
        for name in sorted(writer.any_size):
            head.append(f"(declare-sort {symbol(name)} 0)")
            head.append(f"(declare-fun {symbol('in ' + name)} ({symbol(name)}) Bool)")
        for var in mentioned:
            domain = " ".join(writer.smt_sort(s) for s in var.index)
            head.extend(
                f"(declare-fun {symbol(var.name + suffix)} ({domain}) {writer.smt_sort(var.sort)})"
                for suffix in suffixes
            )
        head.extend(f"(declare-fun {name} {signature})" for name, signature in self.functions.items())
        axioms: list[str] = []
        for text, sort in self.constants.items():
            head.append(f"(declare-fun {text} () {writer.smt_sort(sort)})")
            axioms.append(writer.within(text, sort))
        if real:
            for var in mentioned:
                binders = tuple(Param(f"index {n}", sort) for n, sort in enumerate(var.index))

                def axiom(env: Env, var: Var = var, binders: tuple[Param, ...] = binders) -> str:
                    return writer.within(_call(symbol(var.name), [env[b.name] for b in binders]), var.sort)

                axioms.append(writer.each(Quantifier.FORALL, binders, {}, axiom))
        else:
            axioms.extend(writer.within(_call(name, index), var.sort) for (name, index), var in self.cells.items())
        # Last, since all of the above may have named members.
        for name in sorted(writer.any_size):
            scalarset = next(s for s in writer.system.scalarsets if s.name == name)
            texts = writer.members[name]
            head.extend(f"(declare-fun {text} () {symbol(name)})" for text in texts.values())
            if len(texts) > 1:
                axioms.append(f"(distinct {' '.join(texts.values())})")
            for value, text in texts.items():
                inside = f"({symbol('in ' + name)} {text})"
                axioms.append(inside if value < len(scalarset.members) else f"(not {inside})")
        return "\n".join([*head, *(f"(assert {a})" for a in axioms), *self.lines, "(check-sat)", ""])


def _after(script: _Script, updates: Sequence[Update], env: Env, before: _Moment) -> _Moment:
    """The state after ``updates``, whose right-hand sides are read in ``before``."""
    writer = script.writer

    def read(var: Var, index: tuple[str, ...]) -> str:
        text = before.read(var, index)
        for update in updates:
            if update.var.name != var.name:
                continue
            bound: dict[str, str] = {}
            for sort, part, here in zip(var.index, update.index, index, strict=True):
                if isinstance(part, Param) and part in update.binders and part.sort == sort:
                    bound.setdefault(part.name, here)
            free = [b for b in update.binders if b.name not in bound]
            if any(writer.kind_of_sort(b.sort) != "num" for b in free):
                raise CertificateRejected("an assignment for all members that its index does not name")
            for values in product(*(values_of(b.sort) for b in free)):
                inner = {**env, **bound, **{b.name: writer.number(v) for b, v in zip(free, values, strict=True)}}
                conds = [writer.bool_(update.where, inner, before)]
                for sort, part, here in zip(var.index, update.index, index, strict=True):
                    place = writer.value(part, sort, inner, before)
                    if place != here:
                        conds.append(f"(= {place} {here})")
                text = f"(ite {_join('and', conds)} {writer.value(update.value, var.sort, inner, before)} {text})"
        return text

    return _Moment(read)


def _thread(system: System, name: str) -> ThreadClass:
    return next(t for t in system.threads if t.name == name)


def _can_step(script: _Script, system: System, transition: Transition, env: Env, now: _Moment, *, fatal: bool) -> str:
    """Thread condition and guard of ``transition``; with ``fatal``, and no fatal check fails.

    With ``fatal`` it is also taken for granted that every value fits where it is stored: a well-formed system has a
    fatal check for that wherever it is not plain, and one without has no such step.
    """
    writer = script.writer
    thread = _thread(system, transition.thread)
    own = {t.name: env[p.name] for t, p in zip(thread.params, transition.params, strict=False)}
    parts = [writer.bool_(thread.where, own, now), writer.bool_(transition.guard, env, now)]
    if fatal:
        parts.extend(writer.bool_(c.cond, env, now) for c in transition.checks if c.fatal)
        parts.extend(_fits(script, update, env, now) for update in transition.updates)
    return _join("and", parts)


def _fits(script: _Script, update: Update, env: Env, now: _Moment) -> str:
    """What ``update`` stores lies in the sort of its variable."""
    writer, sort = script.writer, update.var.sort
    if writer.kind_of_sort(sort) != "num" or isinstance(update.value, Lit):
        return "true"
    free = {b.name: symbol(b.name) for b in update.binders}
    _, low, high = writer.num(update.value, {**env, **free}, _Moment(lambda var, index: "x"))
    if isinstance(update.value, Read):
        low, high = low_of(update.value.var.sort), high_of(update.value.var.sort)
    if low_of(sort) <= low and high <= high_of(sort):
        return "true"

    def fits(inner: Env) -> str:
        where = writer.bool_(update.where, inner, now)
        return f"(=> {where} {writer.within(writer.num(update.value, inner, now)[0], sort)})"

    return writer.each(Quantifier.FORALL, update.binders, env, fits)


class _Proof:
    """The obligations of an inductive invariant, for this size or for any size of some scalarsets."""

    def __init__(
        self,
        system: System,
        target: PropertyTarget,
        clauses: Sequence[Clause],
        any_size: Sequence[str],
        deadline: float | None = None,
    ) -> None:
        self.system = system
        self.deadline = deadline
        self.target = target
        self.clauses = tuple(clauses)
        self.any_size = tuple(any_size)
        self.prefix = "any-size-" if any_size else ""

    def obligations(self) -> list[Obligation]:
        return _wide_enough(self.system, self._all)

    def _all(self, width: int) -> list[Obligation]:
        found = [self._begins(width)] if next(interp.initial_choices(self.system), None) is not None else []
        for number, case in enumerate(self.system.initial):
            found.append(self._initiation(width, number, case))
        for number, transition in enumerate(self.system.transitions):
            written = {u.var.name for u in transition.updates}
            # What a step does not assign stays, and with it the truth of a clause that mentions nothing else.
            goals = [c for c in self.clauses if not written.isdisjoint(r.var.name for r in reads(c.formula))]
            if goals:
                found.append(self._consecution(width, number, transition, goals))
        found.extend(self._implications(width))
        return found

    def _script(self, width: int) -> _Script:
        _left(self.deadline)
        return _Script(_Writer(self.system, self.any_size, width))

    def _begins(self, width: int) -> Obligation:
        script = self._script(width)
        blank = script.moment()
        guards = []
        for number, case in enumerate(self.system.initial):
            env = script.constants_for(f"case {number} ", case.params)
            guards.append(script.writer.bool_(case.guard, env, self._defaults(script)))
        for var in self.system.variables:
            if not self.any_size:
                blank.read(var, tuple(script.writer.number(low_of(s)) for s in var.index))
        script.demand(_join("or", guards))
        # Solvers may find no model of quantified axioms, so for any size only the initial parameters are asked about.
        variables = () if self.any_size else self.system.variables
        comment = "some run begins, and the domains of the state are possible"
        return Obligation(f"{self.prefix}begins", script.text(comment, variables=variables), "sat")

    def _defaults(self, script: _Script) -> _Moment:
        system, writer = self.system, script.writer
        values = {v.name: d for v, d in zip(system.variables, system.defaults, strict=True)}
        nowhere = _Moment(lambda var, index: _no_state())

        def read(var: Var, index: tuple[str, ...]) -> str:
            return writer.value(values[var.name], var.sort, {f"#{n}": i for n, i in enumerate(index)}, nowhere)

        return _Moment(read)

    def _broken(self, script: _Script, clauses: Sequence[Clause], state: _Moment) -> str:
        """Some clause is false in ``state``. Since it is some one, all share the constants for their parameters."""
        parts = []
        for clause in clauses:
            used: dict[Sort, int] = {}
            env = {}
            for param in clause.params:
                place = used.get(param.sort, 0)
                used[param.sort] = place + 1
                label = getattr(param.sort, "name", str(param.sort))
                env[param.name] = script.constant(f"goal {label} {place}", param.sort)
            parts.append(f"(not {script.writer.bool_(clause.formula, env, state)})")
        return _join("or", parts)

    def _initiation(self, width: int, number: int, case: InitCase) -> Obligation:
        script = self._script(width)
        defaults = self._defaults(script)
        env = script.constants_for("init ", case.params)
        script.demand(script.writer.bool_(case.guard, env, defaults))
        script.demand(self._broken(script, self.clauses, _after(script, case.updates, env, defaults)))
        return Obligation(f"{self.prefix}init-{number}", script.text(f"initial case {number} satisfies the invariant"))

    def _consecution(self, width: int, number: int, transition: Transition, goals: Sequence[Clause]) -> Obligation:
        def make(level: int) -> str:
            script = self._script(width)
            now = script.moment()
            env = script.constants_for("step ", transition.params)
            script.demand(_can_step(script, self.system, transition, env, now, fatal=True))
            script.demand(self._broken(script, goals, _after(script, transition.updates, env, now)))
            self._assume(script, now, level)
            return script.text(f"{transition.name} keeps the invariant")

        return self._obligation(f"{self.prefix}keeps-{number}-{transition.name}", make)

    def _obligation(self, name: str, make: Callable[[int], str]) -> Obligation:
        if self.any_size:
            return Obligation(name, make(2))
        return Obligation(name, make(0), "unsat", (lambda: make(1), lambda: make(2)))

    def _assume(self, script: _Script, now: _Moment, level: int) -> None:
        """The invariant as hypothesis: level 0 for the parameters at hand, 1 for cells' values, too, 2 for all."""
        writer = script.writer
        if level == 2:
            for clause in self.clauses:
                if not self.any_size:
                    count = 1
                    for p in clause.params:
                        count *= len(values_of(p.sort))
                    if count > MAX_INSTANCES:
                        raise CertificateUndecided(f"a clause with {count} instances")
                script.demand(
                    writer.each(
                        Quantifier.FORALL,
                        clause.params,
                        {},
                        lambda env, clause=clause: writer.bool_(clause.formula, env, now),  # type: ignore[misc]
                    )
                )
            return
        pool: dict[str, list[tuple[str, Sort]]] = {}
        for text, sort in script.constants.items():
            self._offer(pool, text, sort)
        if level == 1:
            for (name, index), var in list(script.cells.items()):
                self._offer(pool, _call(name, index), var.sort)
        for clause in self.clauses:
            for terms in product(*(self._terms(writer, p.sort, pool) for p in clause.params)):
                if len(set(terms)) < len(terms):
                    continue
                env = {p.name: t for p, (t, _) in zip(clause.params, terms, strict=True)}
                domain = [
                    writer.within(t, p.sort)
                    for p, (t, sort) in zip(clause.params, terms, strict=True)
                    if sort is not None and sort != p.sort
                ]
                fact = writer.bool_(clause.formula, env, now)
                script.demand(f"(=> {_join('and', domain)} {fact})" if domain else fact)

    def _offer(self, pool: dict[str, list[tuple[str, Sort]]], text: str, sort: Sort) -> None:
        scalarset = scalarset_of(sort)
        if scalarset is not None:
            pool.setdefault(scalarset.name, []).append((text, sort))

    def _terms(
        self, writer: _Writer, sort: Sort, pool: Mapping[str, list[tuple[str, Sort]]]
    ) -> Sequence[tuple[str, Sort | None]]:
        if not isinstance(sort, ScalarSort):
            return [(writer.number(v), None) for v in values_of(sort)]
        named: list[tuple[str, Sort | None]] = [(writer.number(v), None) for v in range(sort.named)]
        here = pool.get(sort.name, [])
        return [*here, *named] or [(writer.number(0), None)]

    def _implications(self, width: int) -> Iterator[Obligation]:
        match self.target:
            case Target(cases):
                for number, case in enumerate(cases):

                    def make(level: int, case: Case = case) -> str:
                        script = self._script(width)
                        now = script.moment()
                        env = script.constants_for("goal ", case.params)
                        script.demand(script.writer.bool_(case.cond, env, now))
                        if case.via is not None:
                            step = self.system.transitions[case.via]
                            given = {s.name: env[p.name] for s, p in zip(step.params, case.params, strict=False)}
                            script.demand(_can_step(script, self.system, step, given, now, fatal=False))
                        self._assume(script, now, level)
                        return script.text("the invariant excludes the target")

                    yield self._obligation(f"{self.prefix}excludes-{number}", make)
            case DeadlockTarget():

                def make_deadlock(level: int) -> str:
                    script = self._script(width)
                    now = script.moment()
                    _deadlock(script, self.system, now)
                    self._assume(script, now, level)
                    return script.text("the invariant excludes a deadlock")

                yield self._obligation(f"{self.prefix}excludes-deadlock", make_deadlock)
            case _:
                assert_never(self.target)


def _no_state() -> str:
    raise CertificateRejected("a default that reads the state")


def _deadlock(script: _Script, system: System, now: _Moment) -> None:
    """Demand a set W of waiting instances, as one predicate per thread class, that waits only for itself."""
    writer = script.writer
    name_of = {t.name: symbol(f"W {t.name}") for t in system.threads}
    restless = []
    for thread in system.threads:
        domain = " ".join(writer.smt_sort(p.sort) for p in thread.params)
        script.functions[name_of[thread.name]] = f"({domain}) Bool"
        waits = [w for w in system.waits if w.thread == thread.name]

        def closed(env: Env, thread: ThreadClass = thread, waits: Sequence[Wait] = waits) -> str:
            parts = [writer.bool_(thread.where, env, now)]
            blocked = []
            for wait in waits:
                here = writer.bool_(wait.blocked, env, now)
                blocked.append(here)
                for other in wait.on:
                    their = _thread(system, other.thread)

                    def inside(
                        inner: Env, other: WaitsFor = other, their: ThreadClass = their, here: str = here
                    ) -> str:
                        own = {p.name: inner[o.name] for p, o in zip(their.params, other.others, strict=True)}
                        member = _call(name_of[other.thread], [inner[o.name] for o in other.others])
                        exists = writer.bool_(their.where, own, now)
                        return f"(=> (and {here} {exists} {writer.bool_(other.cond, inner, now)}) {member})"

                    parts.append(writer.each(Quantifier.FORALL, other.others, env, inside))
            parts.append(_join("or", blocked))
            return f"(=> {_call(name_of[thread.name], [env[p.name] for p in thread.params])} {_join('and', parts)})"

        script.demand(writer.each(Quantifier.FORALL, thread.params, {}, closed))
        for number, wait in enumerate(waits):
            env = script.constants_for(f"W {thread.name} {number} ", thread.params)
            member = _call(name_of[thread.name], [env[p.name] for p in thread.params])
            restless.append(
                f"(and {member} {writer.bool_(wait.blocked, env, now)} (not {writer.bool_(wait.idle, env, now)}))"
            )
    script.demand(_join("or", restless))


class _Unrolled:
    """The obligations of k-induction: a base case per length, and one step case."""

    def __init__(self, system: System, target: PropertyTarget, k: int, deadline: float | None = None) -> None:
        self.system = system
        self.deadline = deadline
        self.target = target
        self.k = k

    def obligations(self) -> list[Obligation]:
        return _wide_enough(self.system, self._all)

    def _all(self, width: int) -> list[Obligation]:
        found = [
            Obligation(f"base-{t}", self._base(width, number, t))
            for number in range(len(self.system.initial))
            for t in range(self.k + 1)
        ]
        forward = [
            self._path(width, number, self.k + 1, simple=True) for number in range(len(self.system.initial))
        ]
        backward = self._step(width)
        if solve_with_z3(backward, milliseconds=_left(self.deadline)) == "unsat":
            return [*found, Obligation(f"step-{self.k}", backward)]
        return [*found, *(Obligation(f"no-longer-run-{n}", script) for n, script in enumerate(forward))]

    def _cells(self) -> Iterator[tuple[Var, tuple[int, ...]]]:
        for var in self.system.variables:
            for index in product(*(values_of(s) for s in var.index)):
                yield var, index

    def _start(self, width: int, number: int, length: int) -> tuple[_Script, list[_Moment]]:
        script, moments = self._steps(width, length)
        case = self.system.initial[number]
        values = {v.name: d for v, d in zip(self.system.variables, self.system.defaults, strict=True)}
        writer = script.writer

        def default(var: Var, index: tuple[str, ...]) -> str:
            nowhere = _Moment(lambda v, i: _no_state())
            return writer.value(values[var.name], var.sort, {f"#{n}": i for n, i in enumerate(index)}, nowhere)

        before = _Moment(default)
        env = script.constants_for("init ", case.params)
        script.demand(writer.bool_(case.guard, env, before))
        first = _after(script, case.updates, env, before)
        for var, index in self._cells():
            texts = tuple(writer.number(i) for i in index)
            script.demand(f"(= {moments[0].read(var, texts)} {first.read(var, texts)})")
        return script, moments

    def _steps(self, width: int, length: int) -> tuple[_Script, list[_Moment]]:
        script = _Script(_Writer(self.system, (), width))
        writer = script.writer
        moments = [script.moment(f"@{t}") for t in range(length + 1)]
        last = len(self.system.transitions) - 1
        writer.number(last + 1)
        for t in range(length):
            _left(self.deadline)
            move = symbol(f"move@{t}")
            script.functions[move] = f"() (_ BitVec {width})"
            script.demand(f"(and (bvsle {writer.number(0)} {move}) (bvsle {move} {writer.number(last)}))")
            for number, transition in enumerate(self.system.transitions):
                env = script.constants_for(f"move {number}@{t} ", transition.params)
                after = _after(script, transition.updates, env, moments[t])
                parts = [_can_step(script, self.system, transition, env, moments[t], fatal=True)]
                for var, index in self._cells():
                    texts = tuple(writer.number(i) for i in index)
                    parts.append(f"(= {moments[t + 1].read(var, texts)} {after.read(var, texts)})")
                script.demand(f"(=> (= {move} {writer.number(number)}) {_join('and', parts)})")
        for moment in moments:
            for var, index in self._cells():
                moment.read(var, tuple(writer.number(i) for i in index))
        return script, moments

    def _bad(self, script: _Script, now: _Moment, label: str) -> str:
        """The target is reached in ``now``, or by the next step."""
        writer = script.writer
        match self.target:
            case Target(cases):
                parts = []
                for case in cases:

                    def here(env: Env, case: Case = case) -> str:
                        cond = writer.bool_(case.cond, env, now)
                        if case.via is None:
                            return cond
                        step = self.system.transitions[case.via]
                        given = {s.name: env[p.name] for s, p in zip(step.params, case.params, strict=False)}
                        return f"(and {cond} {_can_step(script, self.system, step, given, now, fatal=False)})"

                    parts.append(writer.each(Quantifier.EXISTS, case.params, {}, here))
                return _join("or", parts)
            case DeadlockTarget():
                return self._stuck(script, now, label)
            case _:
                assert_never(self.target)

    def _stuck(self, script: _Script, now: _Moment, label: str) -> str:
        """The greatest set of blocked instances that wait only for it, by as many rounds as there are instances."""
        writer, system = script.writer, self.system
        instances = [
            (thread, values)
            for thread in system.threads
            for values in product(*(values_of(p.sort) for p in thread.params))
        ]
        envs = [
            {p.name: writer.number(v) for p, v in zip(thread.params, values, strict=True)}
            for thread, values in instances
        ]
        waits = [[w for w in system.waits if w.thread == thread.name] for thread, _ in instances]
        exists = [writer.bool_(thread.where, env, now) for (thread, _), env in zip(instances, envs, strict=True)]
        number = {(thread.name, values): n for n, (thread, values) in enumerate(instances)}

        def name(text: str, what: str) -> str:
            constant = symbol(f"{what}{label}")
            script.functions[constant] = "() Bool"
            script.demand(f"(= {constant} {text})")
            return constant

        member = [
            name(
                f"(and {exists[n]} {_join('or', [writer.bool_(w.blocked, envs[n], now) for w in waits[n]])})",
                f"stuck {n} 0",
            )
            for n in range(len(instances))
        ]
        for turn in range(len(instances)):
            following = []
            for n in range(len(instances)):
                parts = [member[n]]
                for wait in waits[n]:
                    here = writer.bool_(wait.blocked, envs[n], now)
                    for other in wait.on:
                        for values in product(*(values_of(o.sort) for o in other.others)):
                            m = number[other.thread, values]
                            inner = {
                                **envs[n],
                                **{o.name: writer.number(v) for o, v in zip(other.others, values, strict=True)},
                            }
                            cond = writer.bool_(other.cond, inner, now)
                            parts.append(f"(=> (and {here} {exists[m]} {cond}) {member[m]})")
                following.append(name(_join("and", parts), f"stuck {n} {turn + 1}"))
            member = following
        restless = [
            f"(and {member[n]} {writer.bool_(w.blocked, envs[n], now)} (not {writer.bool_(w.idle, envs[n], now)}))"
            for n in range(len(instances))
            for w in waits[n]
        ]
        return _join("or", restless)

    def _base(self, width: int, number: int, length: int) -> str:
        script, moments = self._start(width, number, length)
        script.demand(self._bad(script, moments[-1], ""))
        return script.text(f"no run of {length} steps reaches the target", self._suffixes(length))

    def _path(self, width: int, number: int, length: int, *, simple: bool) -> str:
        script, moments = self._start(width, number, length)
        if simple:
            self._distinct(script, moments)
        return script.text(f"no run of {length} steps without a repeated state", self._suffixes(length))

    def _step(self, width: int) -> str:
        script, moments = self._steps(width, self.k + 1)
        self._distinct(script, moments)
        for t, moment in enumerate(moments):
            bad = self._bad(script, moment, f"@{t}")
            script.demand(bad if t == len(moments) - 1 else f"(not {bad})")
        return script.text("a good path without a repeated state ends well", self._suffixes(self.k + 1))

    def _distinct(self, script: _Script, moments: Sequence[_Moment]) -> None:
        writer = script.writer
        for i, a in enumerate(moments):
            _left(self.deadline)
            for b in moments[i + 1 :]:
                parts = []
                for var, index in self._cells():
                    texts = tuple(writer.number(n) for n in index)
                    parts.append(f"(distinct {a.read(var, texts)} {b.read(var, texts)})")
                script.demand(_join("or", parts))

    def _suffixes(self, length: int) -> list[str]:
        return [f"@{t}" for t in range(length + 1)]
