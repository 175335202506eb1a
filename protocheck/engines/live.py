"""Endless runs by way of states that can be reached: a progress claim made into a question that every engine answers.

A thread of its own is put beside the system, the *monitor*. It guesses when a pending state is the one from which on
the run never reaches (``begin``, with the rigid values), and from there on nothing that reaches is possible. It notes
for every duty of fairness that it is done: a step that serves it is taken, or the monitor sees that the thread cannot
step. Of a strong duty it may guess once that the thread will never be able to step again, which forbids that it is.

Two questions are made of that:

- *rounds* (Claessen and Soerensson, "A liveness checking algorithm that counts", 2012): each time that all duties are
  done a round is counted and they begin anew. If ``k`` rounds cannot be completed, no fair run violates the claim: a
  proof that can be checked again like any other. For some ``k`` there is one if the claim holds.
- *copy* (Biere, Artho and Schuppan, "Liveness checking as safety checking", 2002): the monitor copies the state once;
  if it is the same state again and all duties were done in between, that is a lasso.

In both, a state in which a fair run may stand still violates the claim as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from protocheck.engines import bmc, ic3
from protocheck.engines.verdict import (
    Budget,
    Choice,
    Limit,
    NotReachedWithin,
    Reached,
    Run,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    Lit,
    Op,
    Param,
    Quant,
    Read,
    Var,
    VarKind,
    and_,
    apply,
    eq,
    exists,
    forall,
    not_,
    or_,
    quant,
    substitute,
)
from protocheck.ir.sorts import BOOL, OptionSort, RangeSort, ScalarSort, Sort, low_of, none_of, product_size
from protocheck.ir.system import (
    MONITOR,
    Case,
    FairKind,
    Fairness,
    LiveTarget,
    Location,
    ProgressTarget,
    PropertyTarget,
    StepSet,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
)
from protocheck.source import Origin, SourceFile, Span

Prover: TypeAlias = Callable[[System, Sequence[PropertyTarget], Budget], tuple[Verdict, ...]]

ONLY_STATES = "what is recoverable is decided by a search of every state: --engine explore"
ROUNDS = 8  # of a proof by counting
CLOSED, STILL = 0, 1  # the cases of the target: a lasso (or all rounds), a state in which a run may stand still
_NOWHERE = Origin(Span(SourceFile("", ""), 0, 0))


@dataclass(frozen=True)
class Reduced:
    """``system`` with its monitor, and the ``target`` that it can reach exactly if the claim is violated.

    (With rounds: that it cannot reach only if the claim holds.) Transitions from ``first`` on are the monitor's, in
    particular ``begin`` and (with a copy) ``save``. A run of the system needs at most ``overhead`` of them to show what
    it shows.
    """

    system: System
    target: Target
    first: int
    begin: int
    save: int | None
    overhead: int


@dataclass(frozen=True)
class Decided:
    """A verdict on a progress claim; for a proof the system and target that its certificate speaks of."""

    verdict: Verdict
    reduced: Reduced | None = None


def run(system: System, targets: Sequence[LiveTarget], budget: Budget) -> tuple[Verdict, ...]:
    """One verdict per target, in order; see :func:`decide`."""
    return tuple(decide(system, target, budget).verdict for target in targets)


def find(system: System, target: LiveTarget, budget: Budget) -> Decided:
    """A lasso by bounded search; its stem and loop together have as few steps as can be, those of the monitor counted.

    A bound on the depth is one on the steps of the system: those of the monitor come on top of it.
    """
    if not isinstance(target, ProgressTarget):
        return Decided(Unknown(Limit.ENGINE, ONLY_STATES))
    copied = with_copy(system, target)
    allowed = None if budget.depth is None else budget.depth + copied.overhead
    (verdict,) = bmc.run(copied.system, [copied.target], replace(budget, depth=allowed))
    match verdict:
        case Reached(found):
            return Decided(Reached(lasso(copied, found), False))
        case Unreachable():
            return Decided(verdict, copied)
        case NotReachedWithin(depth):
            return Decided(NotReachedWithin(depth - copied.overhead))
        case Unknown(limit, detail, depth):
            return Decided(Unknown(limit, detail, max(depth - copied.overhead, -1)))
        case _:
            assert_never(verdict)


def decide(system: System, target: LiveTarget, budget: Budget, prove: Prover = ic3.run) -> Decided:
    """A proof by counting more and more rounds, or a lasso by copying, looked for in turn.

    A number of rounds that can be completed is no violation; but the steps that it takes say how deep to look for one.
    """
    if not isinstance(target, ProgressTarget):
        return Decided(Unknown(Limit.ENGINE, ONLY_STATES))
    done = -1
    for count in range(1, ROUNDS + 1):
        reduced = with_rounds(system, target, count)
        (verdict,) = prove(reduced.system, [reduced.target], budget)
        match verdict:
            case Unreachable():
                return Decided(verdict, reduced)
            case Reached(run):
                depth = len(run.moves) + 2
            case NotReachedWithin():
                # NOTE(rounds-are-no-depth): a loop is short where the rounds that it goes through for ever are not.
                return find(system, target, budget)
            case Unknown(limit, detail, _):
                return Decided(Unknown(limit, detail, done))
            case _:
                assert_never(verdict)
        if budget.depth is not None:
            depth = min(depth, budget.depth)
        if depth > done:
            found = find(system, target, replace(budget, depth=depth))
            match found.verdict:
                case NotReachedWithin():
                    done = depth
                case Unknown(limit, detail, reached):
                    return Decided(Unknown(limit, detail, max(done, reached)))
                case _:
                    return found
    return Decided(Unknown(Limit.CYCLES, f"{ROUNDS} rounds of fairness can be completed", done))


def proof(system: System, target: ProgressTarget, budget: Budget) -> Decided:
    """A proof by counting rounds of a claim that is known to hold, or why there is none."""
    for count in range(1, ROUNDS + 1):
        reduced = with_rounds(system, target, count)
        (verdict,) = ic3.run(reduced.system, [reduced.target], budget)
        match verdict:
            case Unreachable():
                return Decided(verdict, reduced)
            case Unknown():
                return Decided(verdict)
            case _:
                pass
    return Decided(Unknown(Limit.CYCLES, f"{ROUNDS} rounds of fairness can be completed"))


def lasso(reduced: Reduced, found: Run) -> Run:
    """The run of the system that ``found``, a run of the system with its monitor, stands for."""
    assert found.end is not None
    moves: list[Choice] = []
    rigid: tuple[int, ...] = ()
    loop: int | None = None
    for move in found.moves:
        if move.which < reduced.first:
            moves.append(move)
        elif move.which == reduced.begin:
            rigid = move.values
        elif move.which == reduced.save:
            loop = len(moves)
    if found.end.which == STILL or loop is None:
        loop = len(moves)
    return Run(found.init, tuple(moves), None, loop, rigid)


def with_copy(system: System, target: ProgressTarget) -> Reduced:
    """``system`` with a monitor that copies the state, and the target that the copied state comes again."""
    return _Monitor(system, target).copy()


def with_rounds(system: System, target: ProgressTarget, count: int) -> Reduced:
    """``system`` with a monitor that counts rounds, and the target that ``count`` of them are completed."""
    return _Monitor(system, target).rounds(count)


@dataclass(frozen=True)
class _Duty:
    """One assumption of fairness: what notes that it is done, or (strong ones) given up, by instance."""

    fair: Fairness
    own: tuple[Param, ...]
    exists: Expr  # over ``own``: there is such an instance
    can: Expr  # over ``own``: it can step, and may not rest
    done: Var
    never: Var | None

    def satisfied(self) -> Expr:
        """Over ``own``: nothing is left to be done."""
        given_up = Read(self.never, self.own) if self.never is not None else FALSE
        return or_(not_(self.exists), Read(self.done, self.own), given_up)


class _Monitor:
    def __init__(self, system: System, target: ProgressTarget) -> None:
        self.system = system
        self.target = target
        self.on = _bit("on")
        self.rigid = tuple(
            Var(f"{MONITOR}rigid{k}", (), _or_none(p.sort), VarKind.HIDDEN) for k, p in enumerate(target.params)
        )
        self.recurred = tuple(_bit(f"recurred{k}") for k in range(len(target.recurs)))
        fixed: dict[str, Expr] = {p.name: Read(v) for p, v in zip(target.params, self.rigid, strict=True)}
        self.fixed = fixed
        self.reached = _apart(substitute(target.reached, fixed), "r")
        self.duties = tuple(self._duty(k, fair) for k, fair in enumerate(system.fairness))
        self.first = len(system.transitions)
        self.thread = ThreadClass(
            MONITOR,
            ThreadKind.ENVIRONMENT,
            (),
            TRUE,
            Var(f"{MONITOR}pc", (), RangeSort(0, 0), VarKind.PC),
            (Location(0, MONITOR),),
            TRUE,
        )

    def _duty(self, number: int, fair: Fairness) -> _Duty:
        owner = next(t for t in self.system.threads if t.name == fair.thread)
        own = tuple(Param(f"{MONITOR}{number}.{k}", p.sort) for k, p in enumerate(owner.params))
        there = _named(owner.where, owner.params, own, f"w{number}")
        able: list[Expr] = []
        if not fair.trigger:
            for which in fair.transitions:
                step = self.system.transitions[which]
                chosen = tuple(
                    Param(f"{MONITOR}{number}.{which}.{k}", p.sort) for k, p in enumerate(step.params[len(own) :])
                )
                guard = _named(step.guard, step.params, (*own, *chosen), f"g{number}.{which}")
                able.append(exists(chosen, guard))
        rest = _named(fair.rest, fair.params, own, f"s{number}")
        index = tuple(p.sort for p in own)
        never = _bit(f"never{number}", index) if fair.trigger or fair.kind is FairKind.STRONG else None
        return _Duty(fair, own, there, and_(there, or_(*able), not_(rest)), _bit(f"done{number}", index), never)

    # The steps of the system, with what the monitor forbids and notes.

    def _steps(self) -> Iterator[Transition]:
        forbidden = or_(
            self.reached,
            *(
                exists(d.own, and_(Read(d.never, d.own), d.can))
                for d in self.duties
                if d.never is not None and not d.fair.trigger
            ),
        )
        for which, step in enumerate(self.system.transitions):
            reaching = self._member(self.target.reaching, which)
            barred = [forbidden, reaching]
            notes: list[Update] = []
            for duty in self.duties:
                mine = tuple(step.params[: len(duty.own)])
                if step.thread != duty.fair.thread:
                    continue
                if duty.never is not None and which in duty.fair.trigger:
                    barred.append(Read(duty.never, mine))
                if which in duty.fair.transitions or which in duty.fair.released:
                    notes.append(Update(duty.done, mine, TRUE))
            for bit, steps in zip(self.recurred, self.target.recurs, strict=True):
                cond = self._member(steps, which)
                if cond != FALSE:
                    notes.append(Update(bit, (), TRUE, where=cond))
            guard = and_(step.guard, or_(not_(Read(self.on)), not_(or_(*barred))))
            yield replace(step, guard=guard, updates=(*step.updates, *notes))

    def _member(self, steps: StepSet, which: int) -> Expr:
        return or_(*(substitute(cond, self.fixed) for mine, cond in steps.members if mine == which))

    # The steps of the monitor.

    def _move(self, name: str, params: tuple[Param, ...], guard: Expr, *updates: Update) -> Transition:
        return Transition(
            f"{MONITOR}{name}", MONITOR, params, guard, updates, (), 0, 0, _NOWHERE, notes=("the monitor",)
        )

    def _begin(self) -> Transition:
        target = self.target
        params = tuple(Param(f"{MONITOR}b{k}", p.sort) for k, p in enumerate(target.params))
        due = and_(target.where, target.pending, not_(target.reached))
        guard = and_(not_(Read(self.on)), _named(due, target.params, params, "b"))
        chosen = [Update(v, (), p) for v, p in zip(self.rigid, params, strict=True)]
        return self._move("begin", params, guard, Update(self.on, (), TRUE), *chosen, *self._anew())

    def _watch(self, also: Expr) -> Iterator[Transition]:
        """Steps that note that a thread cannot step, or (where ``also`` is true) guess that it will never again."""
        live = and_(Read(self.on), not_(self.reached))
        for number, duty in enumerate(self.duties):
            open_ = and_(live, duty.exists, not_(Read(duty.done, duty.own)))
            if duty.never is not None:
                guess = and_(live, duty.exists, not_(Read(duty.never, duty.own)), also)
                yield self._move(f"never{number}", duty.own, guess, Update(duty.never, duty.own, TRUE))
            else:
                done = Update(duty.done, duty.own, TRUE)
                yield self._move(f"cannot{number}", duty.own, and_(open_, not_(duty.can)), done)

    def _anew(self) -> Iterator[Update]:
        """All duties are to be done again."""
        for duty in self.duties:
            yield Update(duty.done, duty.own, FALSE, duty.own)
        for bit in self.recurred:
            yield Update(bit, (), FALSE)

    def _all_done(self) -> Expr:
        """All duties are done, and nothing that was ruled out has happened in this very state."""
        return and_(
            *(forall(d.own, d.satisfied()) for d in self.duties),
            *(Read(bit) for bit in self.recurred),
            *(
                forall(d.own, or_(not_(Read(d.never, d.own)), not_(d.can)))
                for d in self.duties
                if d.never is not None and not d.fair.trigger
            ),
        )

    def _still(self) -> Case:
        """A fair run may stand still here: it is on, and nobody can step who may not rest."""
        if self.target.recurs:
            return Case((), FALSE)
        stuck = [forall(d.own, not_(d.can)) for d in self.duties if not d.fair.trigger]
        return Case((), and_(Read(self.on), not_(self.reached), *stuck))

    # The two questions.

    def rounds(self, count: int) -> Reduced:
        counted = Var(f"{MONITOR}rounds", (), RangeSort(0, count), VarKind.HIDDEN)
        full = and_(Read(self.on), not_(self.reached), self._all_done(), apply(Op.LT, Read(counted), Lit(count)))
        up = Update(counted, (), apply(Op.ADD, Read(counted), Lit(1)))
        moves = [self._begin(), *self._watch(TRUE), self._move("round", (), full, up, *self._anew())]
        target = Target((Case((), eq(Read(counted), Lit(count))), self._still()))
        return self._reduced(moves, [(counted, Lit(0))], target, None)

    def copy(self) -> Reduced:
        saved = _bit("saved")
        copies = {v: Var(f"{MONITOR}copy.{v.name}", v.index, v.sort, VarKind.HIDDEN) for v in self.system.variables}
        kept: list[Update] = []
        same: list[Expr] = []
        for k, (var, copied) in enumerate(copies.items()):
            cell = tuple(Param(f"{MONITOR}c{k}.{j}", sort) for j, sort in enumerate(var.index))
            kept.append(Update(copied, cell, Read(var, cell), cell))
            same.append(forall(cell, eq(Read(var, cell), Read(copied, cell))))
        live = and_(Read(self.on), not_(self.reached), not_(Read(saved)))
        save = self._move("save", (), live, Update(saved, (), TRUE), *kept, *self._anew())
        moves = [self._begin(), *self._watch(not_(Read(saved))), save]
        closed = Case((), and_(Read(saved), Read(self.on), not_(self.reached), *same, self._all_done()))
        default = dict(zip(self.system.variables, self.system.defaults, strict=True))
        fresh: list[tuple[Var, Expr]] = [(saved, FALSE), *((c, default[v]) for v, c in copies.items())]
        return self._reduced(moves, fresh, Target((closed, self._still())), self.first + len(moves) - 1)

    def _reduced(
        self, moves: Sequence[Transition], fresh: Sequence[tuple[Var, Expr]], target: Target, save: int | None
    ) -> Reduced:
        bits = [self.on, *self.recurred, *(d.done for d in self.duties)]
        bits += [d.never for d in self.duties if d.never is not None]
        added: list[tuple[Var, Expr]] = [
            (self.thread.pc, Lit(0)),
            *((b, FALSE) for b in bits),
            *((v, Lit(_first(v))) for v in self.rigid),
            *fresh,
        ]
        system = replace(
            self.system,
            variables=(*self.system.variables, *(v for v, _ in added)),
            defaults=(*self.system.defaults, *(d for _, d in added)),
            threads=(*self.system.threads, self.thread),
            transitions=(*self._steps(), *moves),
            properties=(),
            waits=(),
            acquires=(),
            fairness=(),
        )
        # Each duty is seen to be done, or given up, once for every instance.
        overhead = 2 + sum(product_size([p.sort for p in d.own]) for d in self.duties)
        return Reduced(system, target, self.first, self.first, save, overhead)


def _bit(name: str, index: tuple[Sort, ...] = ()) -> Var:
    return Var(f"{MONITOR}{name}", index, BOOL, VarKind.HIDDEN)


def _or_none(sort: Sort) -> Sort:
    """A sort that has a value besides, where the first member of ``sort`` would be told apart from the others."""
    return OptionSort(sort) if isinstance(sort, ScalarSort) else sort


def _first(var: Var) -> int:
    return none_of(var.sort) if isinstance(var.sort, OptionSort) else low_of(var.sort)


def _named(e: Expr, params: Sequence[Param], values: Sequence[Expr], mark: str) -> Expr:
    """``e`` for ``values`` of its parameters, its binders renamed so that none meets another."""
    told: dict[str, Expr] = {p.name: v for p, v in zip(params, values, strict=True)}
    return substitute(_apart(e, mark), told)


def _apart(e: Expr, mark: str) -> Expr:
    """``e`` with every binder renamed by ``mark``."""
    match e:
        case Lit() | Param():
            return e
        case Read(var, index):
            return Read(var, tuple(_apart(i, mark) for i in index))
        case Apply(op, args):
            return Apply(op, tuple(_apart(a, mark) for a in args))
        case Quant(kind, binders, body):
            fresh = tuple(Param(f"{b.name}%{mark}", b.sort) for b in binders)
            inner = _apart(body, mark)
            told: dict[str, Expr] = {b.name: f for b, f in zip(binders, fresh, strict=True)}
            return quant(kind, fresh, substitute(inner, told))
        case _:
            assert_never(e)
