"""What a run depends on: which parameter values, which steps and effects, which switches between threads, which code.

Each answer is a check of the same claim in a model (or a compiled system) with one thing changed. So "absent" speaks of
the claim: no run violates it then, this one or another. Only the weight of single steps is about this very run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from itertools import product
from typing import assert_never

from protocheck.check import DEFAULT_SCENARIO, check_scenario, check_system, scenario_names
from protocheck.compare import Change, Column, compared
from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.engines.verdict import Limit, Run
from protocheck.findings import (
    Broken,
    DeadlockExplanation,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
    certificate_words,
    interrupted,
)
from protocheck.ir.expr import TRUE
from protocheck.ir.interp import Instance as Member
from protocheck.ir.interp import State, begin, enabled, evaluate, mover, step, thread_of
from protocheck.ir.sorts import values_of
from protocheck.ir.system import AnyTarget, DeadlockTarget, ProgressTarget, StepSet, System, ThreadKind
from protocheck.ir.uninterrupted import uninterrupted, without
from protocheck.lower import Instance, compile_system, instantiate
from protocheck.lower.instance import show_param
from protocheck.mutate import Mutant, mutants, mutated
from protocheck.properties.families import claims
from protocheck.records import dataclass
from protocheck.simulate import Session
from protocheck.source import Span
from protocheck.traces.essential import Lack, Weight, asks, essential
from protocheck.traces.lasso import LassoFailedError, replay_lasso
from protocheck.traces.trace import Place, Trace, Words, trace_of_finding
from protocheck.types.flow import flow_faults
from protocheck.types.tree import CheckedModule, ParamDecl, ScenarioDecl
from protocheck.types.types import BoolType, EnumType, RangeType
from protocheck.usage import NOT_OF_THIS_MODEL, NOTHING_TO_EXPLAIN

SECONDS = 10.0
"""At most so long one question takes, unless somebody asks for more."""

MOST_VALUES = 6
"""So many other values of one parameter are tried: of a number those nearest to its own, from below first."""

MOST_CHANGES = 60
"""So many changes of code are tried; if there are more, that is told."""


_Waiting = frozenset[tuple[str, str]]
"""Which classes of threads wait for what in a deadlock."""


class Kind(Enum):
    """What a change makes of a claim that a run has shown to be violated (or of something that it has reached)."""

    THERE = "still there"
    ABSENT = "absent"
    NOT_WITHIN = "not within"
    OPEN = "undecided"
    REFUSED = "no model"  # the model, or the language, excludes it
    BROKEN = "our fault"


@dataclass(frozen=True)
class Answer:
    """``steps`` is the length of the run that is still there, or how far was looked; ``why`` what proves it absent."""

    kind: Kind
    steps: int | None = None
    why: str = ""
    vacuous: bool = False  # absent, since the claim is never put to the test
    other: str = ""  # what shows it now, if that is of another sort than the run: another deadlock, a stop for good

    @property
    def text(self) -> str:
        """The answer in words."""
        match self.kind:
            case Kind.THERE:
                length = f"{self.steps:,} step{'' if self.steps == 1 else 's'}"
                return f"still violated, {length}, but {self.other}" if self.other else f"still there, {length}"
            case Kind.ABSENT:
                return f"absent: proved ({self.why.removeprefix('proved: ')})"
            case Kind.NOT_WITHIN:
                return f"not within {self.steps:,} steps; longer runs were not looked at"
            case Kind.OPEN:
                return f"undecided ({self.why})"
            case Kind.REFUSED:
                return f"no such model: {self.why}"
            case Kind.BROKEN:
                return f"a fault in protocheck itself: {self.why}"
            case _:
                assert_never(self.kind)


@dataclass(frozen=True)
class Setting:
    """A parameter or a variant at another value: ``what`` says it in words, ``name`` is what is changed."""

    name: str
    what: str
    answer: Answer


@dataclass(frozen=True)
class Size:
    """A number among the parameters, with its value in the run and the smallest one with which runs like it exist."""

    name: str
    value: int
    smallest: int


@dataclass(frozen=True)
class Move:
    """A step of the run. ``needed``: it cannot be left out. ``effect``: what it is needed for, in words.

    ``passing``, of a needed step that asks for something: what becomes of the claim if no thread ever takes this step.
    ``again``, of a step that a loop repeats: what becomes of it if no thread does so again and again.
    """

    number: int
    thread: str
    text: str
    place: Place | None
    needed: bool
    effect: str
    passing: Answer | None = None
    again: Answer | None = None


@dataclass(frozen=True)
class Switch:
    """Thread ``thread`` could have gone on after step ``after`` and does so in step ``until``; others moved between.
    In a loop ``until`` may be the smaller number: it is a step of the next turn.

    ``answer``: what becomes of the claim if no thread of this class is ever interrupted there. Several at once
    (``also`` names the others) are told where none alone is enough.
    """

    thread: str
    after: int
    until: int
    lines: tuple[int, ...]
    answer: Answer
    also: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Edit:
    """A change of one statement, that makes the run impossible. ``loses`` names what else is no longer given then."""

    kind: str
    what: str
    place: Place
    text: str
    answer: Answer
    loses: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """What a run depends on. ``notes`` say what was not looked at, and why."""

    file: str
    model: str
    scenario: str
    prop: str
    claim: str
    wanted: bool
    """Whether the run shows something that is to be reached, and no violation."""
    instance: str
    steps: int
    loop: int | None
    """So many steps lead to the loop of a run without an end, which the others are; None: the run ends."""
    settings: tuple[Setting, ...]
    sizes: tuple[Size, ...]
    moves: tuple[Move, ...]
    switches: tuple[Switch, ...]
    edits: tuple[Edit, ...]
    tried: int
    """How many changes of code were tried."""
    notes: tuple[str, ...]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every answer that was given."""
        passed = [a for m in self.moves for a in (m.passing, m.again) if a is not None]
        rest = [*(s.answer for s in self.settings), *(s.answer for s in self.switches), *(e.answer for e in self.edits)]
        return (*rest, *passed)


def explain_run(
    module: CheckedModule,
    scenario: str,
    prop: str,
    trace: Trace,
    settings: Mapping[str, str],
    *,
    timeout: float = SECONDS,
    progress: Callable[[str], None] | None = None,
) -> Explanation:
    """Weigh the run ``trace`` of ``scenario`` with ``settings``, which shows something about ``prop``.

    ``timeout`` is in seconds and for one question. :class:`ModelError` if the model does not allow the run any more, or
    claims nothing of that name; Ctrl-C ends it with KeyboardInterrupt.
    """
    return _Question(module, scenario, prop, trace, settings, timeout, progress or (lambda _: None)).explained()


class _Question:
    def __init__(
        self,
        module: CheckedModule,
        scenario: str,
        prop: str,
        trace: Trace,
        settings: Mapping[str, str],
        timeout: float,
        progress: Callable[[str], None],
    ) -> None:
        self.module, self.prop, self.trace = module, prop, trace
        self.settings, self.timeout, self.progress = dict(settings), timeout, progress
        (self.scenario,) = scenario_names(module, (scenario,))
        self.declared = module.scenarios[self.scenario] if self.scenario is not None else None
        self.instance: Instance = instantiate(module, self.scenario, self.settings)
        self.system: System = compile_system(module, self.instance, also=(prop,))
        self.notes: list[str] = []
        self.tried = 0

    def explained(self) -> Explanation:
        known = {p.name: p for p in claims(self.system)}
        runs = {r.name: r for r in self.system.runs}
        prop = known.get(self.prop)
        if prop is None and self.prop not in runs and self.prop != "lock_order":
            words = f"the model claims nothing called `{self.prop}`"
            raise ModelError([Diagnostic(NOTHING_TO_EXPLAIN, words, (), f"it has {', '.join([*known, *runs])}")])
        wanted = self.prop in runs or (prop is not None and prop.kind == "reachable")
        session = Session(self.system)
        target: AnyTarget | None = prop.target if prop is not None else None
        moves: tuple[Move, ...] = tuple(self._told(k, True, "") for k in range(1, len(self.trace.steps) + 1))
        switches: tuple[Switch, ...] = ()
        session.follow(self.trace)
        run = session.evidence().run
        loop = self.trace.ending.loop
        if loop is not None and isinstance(target, ProgressTarget):
            run = _endless(self.system, target, replace(run, end=None, loop=loop.begin - 1))
        if self.prop == "lock_order":
            target = self._of_locks()
        if target is not None:
            moves = self._moves(target, run)
        else:
            self.notes.append("the steps were not weighed: the run shows the order of steps, and no state")
        switches = self._switches(run, {m.number for m in moves if m.needed})
        settings = (*self._parameters(), *self._variants())
        return Explanation(
            self.module.file.path,
            self.module.name,
            self.scenario or DEFAULT_SCENARIO,
            self.prop,
            prop.claim if prop is not None else runs[self.prop].claim if self.prop in runs else "",
            wanted,
            self.instance.text,
            len(self.trace.steps),
            run.loop,
            settings,
            self._sizes(settings),
            moves,
            switches,
            tuple(self._edits()),
            self.tried,
            tuple(self.notes),
        )

    # ----------------------------------------------------------------------------------------------------------------
    # Asking

    def _ask(self, module: CheckedModule, settings: Mapping[str, str], scenario: str | None, words: str) -> Answer:
        """What becomes of the claim in ``module``."""
        self.progress(words)
        try:
            report = check_scenario(
                module, scenario, properties=(self.prop,), settings=settings, timeout=self.timeout
            )
        except ModelError as fault:
            return Answer(Kind.REFUSED, why="; ".join(d.headline for d in fault.diagnostics))
        return self._answer(report)

    def _answer(self, report: ScenarioReport) -> Answer:
        if interrupted(report):
            raise KeyboardInterrupt
        found = [f for f in report.findings if f.name == self.prop]
        return self._compared(found[0], report.system) if found else self._unclaimed()

    def _compared(self, finding: Finding, system: System | None) -> Answer:
        """The answer; a deadlock of others than those of the run is told as one."""
        answer, own = _answer(finding.outcome), self.trace.ending
        if answer.kind is not Kind.THERE or (own.deadlock is None and own.loop is None):
            return answer
        told = trace_of_finding(system, finding)
        if told is None:
            return answer
        if own.loop is not None and told.ending.loop is not None and own.loop.moves and not told.ending.loop.moves:
            return replace(answer, other="then nothing moves any more")
        now = told.ending.deadlock
        if own.deadlock is None or now is None or _waiting(own.deadlock) == _waiting(now):
            return answer
        words = [f"{b.thread} waits for {b.waits}" for b in now.blocked if not b.idle]
        return replace(answer, other=f"by another deadlock: {', '.join(words)}")

    def _unclaimed(self) -> Answer:
        if self.prop in ("deadlock", "lock_order"):
            return Answer(Kind.ABSENT, why="nobody waits for anything")
        return Answer(Kind.REFUSED, why=f"it does not claim {self.prop}")

    def _ask_system(self, system: System, words: str) -> Answer:
        self.progress(words)
        findings = check_system(system, (self.prop,), timeout=self.timeout, progress=self.progress)
        found = [f for f in findings if f.name == self.prop]
        if any(isinstance(f.outcome, Unknown) and f.outcome.limit is Limit.INTERRUPTED for f in found):
            raise KeyboardInterrupt
        return self._compared(found[0], system) if found else self._unclaimed()

    # ----------------------------------------------------------------------------------------------------------------
    # Parameters and variants

    def _parameters(self) -> Iterator[Setting]:
        for name, declared in self.module.params.items():
            for value in _other_values(self.instance, declared):
                given = show_param(declared, value)
                answer = self._ask(
                    self.module, {**self.settings, name: given}, self.scenario, f"with {name} = {given}"
                )
                own = show_param(declared, self.instance.params[name])
                if answer.kind is not Kind.REFUSED:
                    yield Setting(name, f"with {name} = {given} instead of {own}", answer)

    def _sizes(self, settings: Sequence[Setting]) -> tuple[Size, ...]:
        """Numbers made smaller one after the other, each as far as the claim stays violated with those before it."""
        now = dict(self.settings)
        found = []
        for name, declared in self.module.params.items():
            if not isinstance(declared.type, RangeType):
                continue
            value = smallest = self.instance.params[name]
            for fewer in sorted(v for v in _other_values(self.instance, declared) if v < value):
                if now == self.settings:
                    what = f"with {name} = {fewer} instead of {value}"
                    answer = next((s.answer for s in settings if s.what == what), Answer(Kind.REFUSED))
                else:
                    answer = self._ask(self.module, {**now, name: str(fewer)}, self.scenario, f"with {name} = {fewer}")
                if answer.kind is Kind.THERE:
                    smallest = fewer
                    now[name] = str(fewer)
                    break
            found.append(Size(name, value, smallest))
        return tuple(found)

    def _variants(self) -> Iterator[Setting]:
        targets: dict[str, set[str]] = {}
        for variant in self.module.variants:
            targets.setdefault(variant.name, set()).add(variant.target)
        chosen = self.instance.variants
        for name in targets:
            if name in chosen:
                yield Setting(name, f"without {name}", self._with([n for n in chosen if n != name]))
                continue
            instead = [n for n in chosen if targets[n] & targets[name]]
            words = f"with {name}" + (f" instead of {' and '.join(instead)}" if instead else "")
            yield Setting(name, words, self._with([*(n for n in chosen if n not in instead), name]))

    def _with(self, chosen: Sequence[str]) -> Answer:
        name = self.scenario or DEFAULT_SCENARIO
        plain = ScenarioDecl(name, (), (), (), (), Span(self.module.file, 0, 0))
        scenario = replace(self.declared or plain, variants=tuple(chosen), expectations=())
        there = replace(self.module, scenarios={name: scenario})
        return self._ask(there, self.settings, name, f"with {' and '.join(chosen)}" if chosen else "without variants")

    # ----------------------------------------------------------------------------------------------------------------
    # Steps and switches

    def _told(
        self, number: int, needed: bool, effect: str, passing: Answer | None = None, again: Answer | None = None
    ) -> Move:
        told = self.trace.steps[number - 1]
        if needed and not effect:
            locks = (f"{a.act.value} {a.lock}{f' ({a.mode})' if a.mode else ''}" for a in told.locks)
            effect = ", ".join(locks) or "leads there"
        place = told.places[0] if told.places else None
        return Move(number, told.thread, told.text, place, needed, effect, passing, again)

    def _of_locks(self) -> AnyTarget | None:
        """What the run about the order of locks ends in: a deadlock, or somebody who wants one and holds the other."""
        if self.trace.ending.deadlock is not None:
            return DeadlockTarget()
        self.progress("which order of locks it is")
        findings = check_system(self.system, (self.prop,), timeout=self.timeout, progress=self.progress)
        found = next((f.evidence for f in findings if f.name == self.prop and f.evidence is not None), None)
        return found.target if found is not None else None

    def _moves(self, target: AnyTarget, run: Run) -> tuple[Move, ...]:
        """The steps of ``run``, each with what it is needed for."""
        found = essential(self.system, target, run)
        if found is None:
            self.notes.append("the steps were not weighed: they, or the states behind them, are too many")
            return tuple(self._told(k, True, "") for k in range(1, len(run.moves) + 1))
        told = []
        asked: dict[int, Answer] = {}
        repeated: dict[int, Answer | None] = {}
        for number, move in enumerate(run.moves, start=1):
            weight = found.weights.get(number)
            if number not in found.kept:
                told.append(self._told(number, False, "not needed"))
                continue
            effect = ""
            if number in found.idle:
                effect = "what it changes does not matter"
            elif weight is not None and weight.stuck is not None:
                effect = f"what it changes is needed by step {weight.stuck}"
            elif weight is not None:
                effect = self._needed_for(weight)
            elif number in found.owed:
                effect = f"else the loop is not fair to {self._name(found.owed[number])}"
            again = None
            if isinstance(target, ProgressTarget) and run.loop is not None and number > run.loop:
                if move.which not in repeated:
                    repeated[move.which] = self._again(target, move.which, number)
                again = repeated[move.which]
            passing = None
            if (again is None or again.kind is not Kind.ABSENT) and asks(self.system, move.which):
                if move.which not in asked:
                    same = [move.which]
                    asked[move.which] = self._ask_system(without(self.system, same), f"without step {number}")
                passing = asked[move.which]
                if passing.kind is Kind.ABSENT and passing.vacuous:
                    passing = None  # that nobody comes to the end any more is no answer
            told.append(self._told(number, True, effect, passing, again))
        return tuple(told)

    def _needed_for(self, weight: Weight) -> str:
        """What the change that a step makes is needed for, if all steps can be taken without it."""
        match weight.lack:
            case Lack.END:
                return "what it changes is needed for the end"
            case Lack.OPEN:
                return "without what it changes the loop does not close"
            case Lack.UNFAIR:
                assert weight.unfair_to is not None
                return f"without what it changes the loop is not fair to {self._name(weight.unfair_to)}"
            case Lack.COMES:
                return "what it changes keeps off what should come"
            case Lack.NOT_DUE:
                return "without what it changes nothing is due"
            case _:
                assert_never(weight.lack)

    def _name(self, who: Member) -> str:
        return Words(self.system).instance(who)

    def _again(self, target: ProgressTarget, which: int, number: int) -> Answer | None:
        """What becomes of the claim if transition ``which`` is not taken again and again; None: cannot be asked.

        Such a run violates the claim with these steps among those that end what is due, if what is due once remains so
        until it comes: always, while a proc is not left, while nothing gets done. That of a `leads_to` need not.
        """
        every = any(p.name == self.prop and p.finishes for p in self.module.properties)
        if target.pending != TRUE and not every and self.prop not in ("livelock", "starvation"):
            return None
        reaching = StepSet((*target.reaching.members, (which, TRUE)))
        asked = replace(target, reaching=reaching)
        properties = tuple(replace(p, target=asked) if p.name == self.prop else p for p in self.system.properties)
        return self._ask_system(replace(self.system, properties=properties), f"without step {number} again and again")

    def _switches(self, run: Run, needed: set[int]) -> tuple[Switch, ...]:
        """Where a thread was interrupted that could have gone on, in the steps that are needed."""
        states: list[State] = [begin(self.system, run.init)]
        for move in run.moves:
            after = step(self.system, states[-1], move).state
            if after is not None:
                states.append(after)
        moves = run.moves
        if run.loop is not None:  # what comes after a step of the loop may be in its next turn
            needed = needed | {k + len(moves) - run.loop for k in needed if k > run.loop}
            moves += moves[run.loop :]
            states += states[run.loop + 1 :]
        movers = [mover(self.system, m) for m in moves]
        there: list[tuple[int, int, str, int]] = []  # after, until, class, location
        for number in sorted(k for k in needed if k <= len(run.moves)):
            who = movers[number - 1]
            later = [k for k in sorted(needed) if k > number and movers[k - 1] == who]
            if not later or later[0] == number + 1:
                continue
            if not any(number < k < later[0] for k in needed):
                continue
            place = self.system.transitions[moves[number - 1].which].target
            thread = thread_of(self.system, who.thread)
            env = {p.name: v for p, v in zip(thread.params, who.values, strict=True)}
            rests = thread.kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY) and evaluate(
                thread.done, states[number], env
            )
            can = any(mover(self.system, m) == who for m in enabled(self.system, states[number]))
            if can and not rests:
                until = later[0] if later[0] <= len(run.moves) else later[0] - len(run.moves) + (run.loop or 0)
                there.append((number, until, who.thread, place))
        switches = []
        known: dict[tuple[str, int], Answer] = {}
        for at, until, name, place in there:
            if (name, place) not in known:
                alone = uninterrupted(self.system, {name: (place,)})
                known[name, place] = self._ask_system(alone, f"without the switch after step {at}")
            told = self.trace.steps[at - 1].thread
            switches.append(Switch(told, at, until, self._lines(at, until), known[name, place]))
        if len(known) > 1 and not any(a.kind is Kind.ABSENT for a in known.values()):
            places: dict[str, list[int]] = {}
            for name, place in known:
                places.setdefault(name, []).append(place)
            answer = self._ask_system(uninterrupted(self.system, places), "without all these switches")
            (at, until, _, _), *rest = there
            told = self.trace.steps[at - 1].thread
            also = tuple((a, u) for a, u, _, _ in rest)
            switches.append(Switch(told, at, until, (), answer, also))
        return tuple(switches)

    def _lines(self, *numbers: int) -> tuple[int, ...]:
        """The lines of these steps, if they are of one file."""
        places = [s.places[0] for n in numbers if (s := self.trace.steps[n - 1]).places]
        return tuple(p.line for p in places) if len({p.file for p in places}) == 1 else ()

    # ----------------------------------------------------------------------------------------------------------------
    # Code

    def _edits(self) -> Iterator[Edit]:
        passed = {p for s in self.trace.steps for p in s.places}
        there = [m for m in mutants(self.module, (self.scenario,)) if _touches(m, passed)]
        if len(there) > MOST_CHANGES:
            self.notes.append(f"of {len(there)} changes of code the first {MOST_CHANGES} were tried")
            del there[MOST_CHANGES:]
        self.tried = len(there)
        before: ScenarioReport | None = None
        for mutant in there:
            changed = mutated(self.module, mutant)
            if flow_faults(changed):
                continue
            words = f"{mutant.kind} at line {mutant.span.line}"
            answer = self._ask(changed, self.settings, self.scenario, words)
            if answer.kind in (Kind.THERE, Kind.REFUSED):
                continue
            loses: tuple[str, ...] = ()
            if answer.kind is Kind.ABSENT:
                before = before or self._whole(self.module)
                loses = tuple(self._lost(before, self._whole(changed)))
            line = " ".join(mutant.span.text.split("\n", 1)[0].split())
            place = Place(mutant.span.file.path, mutant.span.line, mutant.span.column)
            yield Edit(mutant.kind, mutant.what, place, line, answer, loses)

    def _whole(self, module: CheckedModule) -> ScenarioReport:
        self.progress("what else is lost")
        report = check_scenario(module, self.scenario, settings=self.settings, timeout=self.timeout)
        if interrupted(report):
            raise KeyboardInterrupt
        return report

    def _lost(self, before: ScenarioReport, after: ScenarioReport) -> Iterator[str]:
        comparison = compared([Column("", "", (before,)), Column("", "", (after,))])
        for difference in comparison.differences:
            name = comparison.rows[difference.row].name
            if difference.change in (Change.LOST, Change.UNCLAIMED) and name != self.prop:
                yield name


def _answer(outcome: Outcome) -> Answer:
    match outcome:
        case Violated(steps) | Found(steps):
            return Answer(Kind.THERE, steps)
        case Holds(by) | NeverFound(by):
            return Answer(Kind.ABSENT, why=certificate_words(by))
        case Vacuous(why, by):
            return Answer(Kind.ABSENT, why=why + (f", {certificate_words(by)}" if by is not None else ""), vacuous=True)
        case HoldsToDepth(depth) | NotFoundToDepth(depth):
            return Answer(Kind.NOT_WITHIN, depth)
        case Unknown(limit, _, depth) if depth >= 0:
            return Answer(Kind.OPEN, depth, f"{limit.value}; not within {depth:,} steps")
        case Unknown(limit):
            return Answer(Kind.OPEN, why=limit.value)
        case Broken(detail):
            return Answer(Kind.BROKEN, why=detail)
        case _:
            assert_never(outcome)


def _endless(system: System, target: ProgressTarget, run: Run) -> Run:
    """``run``, whose loop is known, with values of the rigid parameters for which it violates ``target``."""
    for rigid in product(*(values_of(p.sort) for p in target.params)):
        found = replace(run, rigid=rigid)
        try:
            replay_lasso(system, target, found)
        except LassoFailedError as fault:
            wrong = str(fault)
        else:
            return found
    words = f"the stored run does not violate the claim any more: {wrong}"
    raise ModelError([Diagnostic(NOT_OF_THIS_MODEL, words, ())])


def _waiting(deadlock: DeadlockExplanation) -> _Waiting:
    return frozenset((b.thread.split("[")[0], b.waits) for b in deadlock.blocked if not b.idle)


def _other_values(instance: Instance, declared: ParamDecl) -> list[int]:
    """Values that the parameter could have instead: of a number those nearest to its own, those below it first."""
    own = instance.params[declared.name]
    match declared.type:
        case BoolType():
            return [1 - own]
        case EnumType(_, members):
            return [v for v in range(len(members)) if v != own][:MOST_VALUES]
        case RangeType(low, high):
            least, most = instance.constant(low), instance.constant(high)
            below = sorted({least, *range(max(least, own - MOST_VALUES + 2), own)} - {own})
            return [*below, *range(own + 1, min(most, own + 1) + 1)]
        case _:
            return []


def _touches(mutant: Mutant, passed: set[Place]) -> bool:
    """Whether the run passes through what ``mutant`` changes."""
    span = mutant.span
    first, last = (span.file.line_column(at) for at in (span.start, span.end))
    return any(p.file == span.file.path and first <= (p.line, p.column) < last for p in passed)
