"""From a model file to a report: load, compile each scenario, ask one engine for everything, replay, judge.

This is the line that all commands walk along; nothing here knows how a report is laid out. What an engine finds is
believed only after the interpreter has replayed it.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from protocheck.counterexamples import explained, others
from protocheck.diagnostics import Diagnostic, Label, ModelError, Rule
from protocheck.engines import auto, bmc, explore, forever, ic3, kinduction
from protocheck.engines.auto import SECONDS, Answered
from protocheck.engines.certify import CertificateRejected, CertificateUndecided, Recheck, certify
from protocheck.engines.lift import Refusal
from protocheck.engines.verdict import (
    Budget,
    Engine,
    Exhausted,
    Induction,
    Invariant,
    Limit,
    Meter,
    NotReachedWithin,
    Reached,
    Structural,
    Unknown,
    Unreachable,
    Verdict,
)
from protocheck.findings import (
    Broken,
    Evidence,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Proof,
    Report,
    ScenarioReport,
    Vacuous,
    Violated,
    plural,
)
from protocheck.findings import Unknown as UnknownOutcome
from protocheck.ir.interp import Instance as ThreadInstance
from protocheck.ir.interp import deadlock, mover, thread_of
from protocheck.ir.system import (
    AnyTarget,
    DeadlockTarget,
    LiveTarget,
    ProgressTarget,
    Property,
    PropertyTarget,
    RecoverableTarget,
    System,
    Target,
    Wish,
)
from protocheck.never_done import never_done
from protocheck.properties import lock_order
from protocheck.properties.expectations import judge
from protocheck.properties.families import BUILT_IN, LOCK_ORDER, claims, known_names, members, select
from protocheck.run_findings import run_findings
from protocheck.traces.invariant import told
from protocheck.traces.replay import ReplayFailed, replay

if TYPE_CHECKING:  # what reads and compiles models is loaded with the first of them: a system that is given needs none
    from protocheck.any_size import AnySize, Claims, Settings
    from protocheck.lower import Instance
    from protocheck.types.tree import CheckedModule, Expectation

ENGINES = (auto.ENGINE, explore.ENGINE, bmc.ENGINE, ic3.ENGINE, kinduction.ENGINE)

ANY_SIZE_SECONDS = 1.0
"""About so long is tried, per scenario, to make claims for any size, unless somebody asks for more."""

GLANCE = 2_000
"""So many states are searched before, so that no claim for any size is tried that is wrong at this one."""

WORK_PER_SECOND, PATIENCE = 15_000, 10
"""It is work that ends the trying, so that what is claimed does not depend on what else the machine does: so much for a
second. Only a machine that takes this many times as long gives up earlier."""

ENDLESS_SHARE = 0.5
"""The share of the time that claims about endless runs may take, where there are others."""

ENDLESS_WORK = 10_000
"""The work for telling why the claims of a scenario about endless runs hold: there need be no proof by counting."""

DEFAULT_SCENARIO = "default"
"""The name shown for a file without scenarios: parameters as declared, everything expected to hold."""

UNKNOWN_SCENARIO = Rule(
    "unknown-scenario",
    "no scenario has the name that was asked for",
    """\
`--scenario NAME` checks one scenario of the file. A file that declares none has a single one, called `default`.

    protocheck check my.pchk --scenario befor

Mended:

    protocheck check my.pchk --scenario before
""",
)
NOTHING_TO_CHECK = Rule(
    "nothing-to-check",
    "no property or family has the name that was asked for",
    """\
`--property NAME` restricts a check to one property, or to all properties of one family. A name that means nothing in
any of the scenarios would let the check pass without having checked anything.

    protocheck check my.pchk --property dead_lock

Mended:

    protocheck check my.pchk --property deadlock
""",
)

Tell = Callable[[str], None]


def check_file(
    path: str | Path,
    *,
    scenarios: Sequence[str] = (),
    properties: Sequence[str] = (),
    settings: Settings | None = None,
    engine: str = "auto",
    bound: int | None = None,
    timeout: float | None = None,
    progress: Tell | None = None,
    any_size: bool | float = False,
    why: bool | float = False,
    certificates: bool = False,
    several: int = 1,
    explain: bool = False,
) -> Report:
    """Check the model in ``path`` and say what was found.

    ``scenarios`` and ``properties`` (names of properties or families) restrict what is checked; ``settings`` override
    parameters in every scenario. ``engine`` is one of auto, explore, bmc, ic3, kinduction; ``bound`` limits the depth,
    ``timeout`` the seconds per scenario (120 by default). ``any_size`` (with auto and without a bound) tries for each
    claim whether it holds for any number of members, with the work of a second or as many as it says. ``why`` wants an
    invariant for each claim that holds, as small as it gets and in sentences (a number: with the work of so many
    seconds); ``certificates`` one to export.
    ``several`` wants up to so many runs behind each violation, no two alike; ``explain`` the step after which it is
    inevitable.
    :class:`ModelError` carries every fault of the model or of the names given; :class:`ValueError` says that no such
    engine exists.
    """
    from protocheck.types.check import load

    module = load(Path(path))
    names = scenario_names(module, scenarios)
    reports: list[ScenarioReport] = []
    for name in names:
        reports.append(
            check_scenario(
                module,
                name,
                properties=properties,
                settings=settings,
                engine=engine,
                bound=bound,
                timeout=timeout,
                progress=progress,
                any_size=any_size,
                why=why,
                certificates=certificates,
                several=several,
                explain=explain,
            )
        )
    return assemble(module, reports, properties)


def scenario_names(module: CheckedModule, chosen: Sequence[str] = ()) -> tuple[str | None, ...]:
    """The scenarios to check, in the order of the file; None stands for that of a file without any.

    :class:`ModelError` (``unknown-scenario``) for names in ``chosen`` that the file does not have.
    """
    known = list(module.scenarios) or [DEFAULT_SCENARIO]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ModelError([_unknown(UNKNOWN_SCENARIO, "scenario", name, known) for name in unknown])
    if not module.scenarios:
        return (None,)
    return tuple(name for name in known if not chosen or name in chosen)


def assemble(module: CheckedModule, reports: Sequence[ScenarioReport], properties: Sequence[str] = ()) -> Report:
    """The report on a file from those on its scenarios.

    :class:`ModelError` (``nothing-to-check``) for names in ``properties`` that mean nothing in any of them.
    """
    known: dict[str, None] = {}
    pairs: list[tuple[str, str]] = []
    for report in reports:
        if report.system is not None:
            known.update(dict.fromkeys(known_names(report.system)))
            pairs += [(p.name, p.family) for p in claims(report.system)]
            pairs += [(r.name, "run") for r in report.system.runs]
    pairs += [(f.name, f.name) for f in BUILT_IN]
    unknown = [name for name in properties if not members(name, pairs)]
    if unknown and reports:
        raise ModelError([_unknown(NOTHING_TO_CHECK, "property or family", name, list(known)) for name in unknown])
    return Report(module.file.path, module.name, tuple(reports), module.doc)


def check_scenario(
    module: CheckedModule,
    scenario: str | None,
    *,
    properties: Sequence[str] = (),
    settings: Settings | None = None,
    engine: str = "auto",
    bound: int | None = None,
    timeout: float | None = None,
    progress: Tell | None = None,
    any_size: bool | float = False,
    why: bool | float = False,
    certificates: bool = False,
    several: int = 1,
    explain: bool = False,
) -> ScenarioReport:
    """Check one scenario (None: parameters as declared, all expected to hold); the rest as :func:`check_file`."""
    from protocheck.any_size import prove_any_size
    from protocheck.lower import compile_system, instantiate

    instance = instantiate(module, scenario, settings)
    system = compile_system(module, instance, also=tuple(properties))
    names = tuple(properties) or module.checks
    declared = module.scenarios[scenario] if scenario is not None else None
    expectations: tuple[Expectation, ...] = declared.expectations if declared is not None else ()
    proved: Claims = {}
    if any_size and engine == auto.ENGINE.name and bound is None:
        safe = [p for p in select(claims(system), names) if isinstance(p.target, Target | DeadlockTarget)]
        asked = [p for p in safe if p.wish is Wish.NEVER]
        limit = SECONDS if timeout is None else timeout / 2
        wanted = _not_refuted(system, asked, limit)
        seconds = min(ANY_SIZE_SECONDS if any_size is True else any_size, limit)
        deadline = time.monotonic() + min(PATIENCE * seconds, limit)
        meter = Meter(int(seconds * WORK_PER_SECOND))
        budget = Budget(deadline=deadline, progress=progress or (lambda _: None), meter=meter)
        together = not why and len(wanted) == len(asked)
        proved = prove_any_size(module, instance, system, wanted, settings or {}, budget, together=together)
    findings = check_system(
        system, names, engine_named(engine), bound, timeout, progress, proved, why=why, certificates=certificates
    )

    def labels(finding: Finding) -> tuple[str, ...]:
        return _labels(system, finding)

    judged, mismatches = judge(findings, expectations, labels, bool(names))
    deadline = time.monotonic() + (SECONDS if timeout is None else timeout)
    more = Budget(bound, deadline, progress=progress or (lambda _: None))
    if explain:
        judged = tuple(explained(system, f, more) for f in judged)
    if several > 1:
        judged = tuple(replace(f, others=others(system, f, several, more)) for f in judged)
    graph = next((f.lock_graph for f in judged if f.lock_graph is not None), None)
    return ScenarioReport(
        scenario or DEFAULT_SCENARIO,
        instance.text,
        instance.variants,
        _settings(module, instance),
        system.assumptions,
        judged,
        graph,
        mismatches,
        (*(graph.notes if graph is not None else ()), *_stuck(system, judged, engine, bound, timeout)),
        declared.doc if declared is not None else "",
        system,
    )


def _not_refuted(system: System, wanted: Sequence[Property], seconds: float) -> list[Property]:
    """Those of ``wanted`` that a short search does not refute: of the others nothing has to be proved."""
    targets = [p.target for p in wanted if isinstance(p.target, Target | DeadlockTarget)]
    if not any(isinstance(t, DeadlockTarget) or t.cases for t in targets) or auto.renamings(system) > auto.RENAMINGS:
        return list(wanted)
    verdicts = explore.run(system, targets, Budget(deadline=time.monotonic() + seconds, states=GLANCE))
    return [p for p, verdict in zip(wanted, verdicts, strict=True) if not isinstance(verdict, Reached)]


def engine_named(name: str) -> Engine:
    """The engine called ``name``; :class:`ValueError` if there is none."""
    for engine in ENGINES:
        if engine.name == name:
            return engine
    raise ValueError(f"no engine is called {name}; there are {', '.join(e.name for e in ENGINES)}")


# --------------------------------------------------------------------------------------------------------------------
# One system


def check_system(
    system: System,
    names: Sequence[str] = (),
    engine: Engine = auto.ENGINE,
    bound: int | None = None,
    timeout: float | None = None,
    progress: Tell | None = None,
    proved: Claims | None = None,
    *,
    why: bool | float = False,
    certificates: bool = False,
) -> tuple[Finding, ...]:
    """What is found about the properties that ``names`` mean (all, if there are none), in source order.

    One call of ``engine`` answers everything: the properties, whether they are ever put to the test, and lock order.
    What is ``proved`` for any size already is not asked again. With ``why`` or ``certificates`` a claim that holds
    needs an invariant.
    """
    seconds = SECONDS if timeout is None else timeout
    budget = Budget(bound, time.monotonic() + seconds, None, progress or (lambda _: None))
    chosen = select(claims(system), names)
    proved = proved or {}
    with_locks = bool(system.locks) and (not names or LOCK_ORDER in names)
    questions = _Questions(system, seconds)
    order = lock_order.plan(system) if system.locks else None
    if order is not None and order.deadlock_free:
        questions.settle(DeadlockTarget(), Unreachable(Structural(lock_order.DEADLOCK_FREE), order.any_size))
    for p in chosen:
        claim = proved.get(p.name)
        if claim is not None and not isinstance(claim, Refusal) and isinstance(p.target, Target | DeadlockTarget):
            questions.settle_any_size(p.target, claim)
    asked = [_asked(questions, p) for p in chosen]
    if order is not None and with_locks:
        about_locks = [questions.ask(t, needed=k in order.decisive) for k, t in enumerate(order.targets)]
    questions.answer(engine, budget)
    if why or certificates:
        effort = None if isinstance(why, bool) else Meter(int(why * WORK_PER_SECOND))
        questions.explain(asked, replace(budget, meter=effort))
    findings = [_finding(questions, a, proved.get(a.property.name), bool(why)) for a in asked]
    findings += run_findings(system, names, engine, budget, seconds)
    if order is not None and with_locks:
        deadlocks = [questions.evidence(a.target) for a in asked if isinstance(a.property.target, DeadlockTarget)]
        deadlocked = next(iter(deadlocks), None)
        findings.append(_lock_finding(questions, order, about_locks, deadlocked, proved.get(LOCK_ORDER)))
    return tuple(findings)


@dataclass(frozen=True)
class _Asked:
    """A property with the numbers of the questions that decide it."""

    property: Property
    target: int
    speaks: int | None


def _asked(questions: _Questions, prop: Property) -> _Asked:
    target = questions.ask(prop.target, shortest=prop.wish is not Wish.SOMETIMES)
    return _Asked(prop, target, questions.ask(prop.speaks, shortest=False) if prop.speaks is not None else None)


class _Questions:
    """Targets, each asked once; then their answers, with every run replayed and every proof checked again."""

    def __init__(self, system: System, seconds: float) -> None:
        self.system = system
        self.seconds = seconds
        self.targets: dict[AnyTarget, int] = {}
        self.deadline: float | None = None
        self.needed: list[bool] = []
        self.shortest: list[bool] = []
        self.settled: dict[PropertyTarget, Verdict] = {}
        self.any_size: dict[PropertyTarget, AnySize] = {}
        self.answers: list[Answered | None] = []
        self.endless: dict[int, forever.Endless] = {}
        self._evidence: dict[int, Evidence | ReplayFailed] = {}
        self._proofs: dict[int, bool | CertificateRejected] = {}

    @cached_property
    def never_done(self) -> str:
        """The threads that are never done, in words."""
        return never_done(self.system, self.deadline)

    def settle(self, target: PropertyTarget, verdict: Verdict) -> None:
        """``target`` has its answer already, should anybody ask."""
        self.settled[target] = verdict

    def settle_any_size(self, target: PropertyTarget, claim: AnySize) -> None:
        """``target`` is excluded by a proof for any size, made of a smaller instance, where it was checked again."""
        self.settled[target] = claim.verdict
        self.any_size[target] = claim

    def ask(self, target: AnyTarget, *, needed: bool = True, shortest: bool = True) -> int:
        """The number of the question; ``needed`` if something depends on it, ``shortest`` if its run's length does."""
        number = self.targets.setdefault(target, len(self.targets))
        if number == len(self.needed):
            self.needed.append(False)
            self.shortest.append(False)
        self.needed[number] |= needed
        self.shortest[number] |= shortest
        return number

    def answer(self, engine: Engine, budget: Budget) -> None:
        """Ask ``engine``. What no statement can do at all is answered without it."""
        self.deadline = budget.deadline
        targets = list(self.targets)
        self.answers = []
        for target in targets:
            settled = self.settled.get(target) if isinstance(target, Target | DeadlockTarget) else _plain(target)
            if settled is None and isinstance(target, Target) and not target.cases:
                settled = Unreachable(Structural("no statement of the model can do it"))
            how = "ic3" if isinstance(settled, Unreachable) and isinstance(settled.by, Invariant) else "static"
            self.answers.append(Answered(settled, how) if settled is not None else None)
        endless: dict[int, LiveTarget] = {}
        ending: dict[int, PropertyTarget] = {}
        for k, target in enumerate(targets):
            if self.answers[k] is not None:
                continue
            if isinstance(target, Target | DeadlockTarget):
                ending[k] = target
            else:
                endless[k] = target
        if endless:
            share = budget
            if ending and budget.deadline is not None:
                now = time.monotonic()
                share = replace(budget, deadline=now + max(0.0, budget.deadline - now) * ENDLESS_SHARE)
            judged = forever.answer(self.system, tuple(endless.values()), engine.name, share)
            for k, each in zip(endless, judged, strict=True):
                self.answers[k] = each.answer
                self.endless[k] = each
        open_ = list(ending)
        if engine.name == auto.ENGINE.name:
            optional = [n for n, k in enumerate(open_) if not self.needed[k]]
            any_run = [n for n, k in enumerate(open_) if not self.shortest[k]]
            found = auto.portfolio(self.system, [ending[k] for k in open_], budget, optional, any_run)
        else:
            open_ = [k for k in open_ if self.needed[k]]
            verdicts = engine.run(self.system, [ending[k] for k in open_], budget) if open_ else ()
            found = tuple(Answered(v, engine.name) for v in verdicts)
        for k, answer in zip(open_, found, strict=True):
            self.answers[k] = answer

    def verdict(self, number: int) -> Verdict | None:
        """The answer, if the question was put."""
        answer = self.answers[number]
        return answer.verdict if answer is not None else None

    def answered(self, target: PropertyTarget) -> Verdict | None:
        """The answer about ``target``, if anybody asked."""
        number = self.targets.get(target)
        return self.verdict(number) if number is not None else None

    def evidence(self, number: int) -> Evidence | None:
        """The replayed run to the target, if it was reached and the run stands."""
        found = self._replayed(number)
        return found if isinstance(found, Evidence) else None

    def trouble(self, number: int) -> Broken | None:
        """Why the run to the target, or the proof that there is none, does not stand, if it does not."""
        answer = self.answers[number]
        engine = answer.engine if answer is not None else "an engine"
        found = self._replayed(number)
        if isinstance(found, ReplayFailed):
            return Broken(f"a run found by {engine} does not replay: {found}")
        proof = self._certified(number)
        if isinstance(proof, CertificateRejected) and not isinstance(proof, CertificateUndecided):
            return Broken(f"a proof by {engine} does not check: {proof}")
        return None

    def rechecked(self, number: int) -> bool:
        """Whether the proof that the target is unreachable was checked again."""
        return self._certified(number) is True

    def unchecked(self, number: int) -> str:
        """Why the proof could not be checked again, if a limit prevented it."""
        proof = self._certified(number)
        return f"its certificate was not re-checked: {proof}" if isinstance(proof, CertificateUndecided) else ""

    def proof(self, number: int) -> Proof | None:
        """The proof that the target is unreachable, if that is what was found."""
        verdict = self.verdict(number)
        target = list(self.targets)[number]
        if not isinstance(verdict, Unreachable):
            return None
        if isinstance(target, ProgressTarget | RecoverableTarget):
            return self.endless[number].proof if number in self.endless else None
        claim = self.any_size.get(target)
        return Proof(self.system, target, verdict) if claim is None else Proof(claim.system, claim.target, verdict)

    def explain(self, asked: Sequence[_Asked], budget: Budget) -> None:
        """Replace an exhausted search, which says that a claim holds but not why, by an inductive invariant."""
        work = Meter(ENDLESS_WORK)
        for a in asked:
            answer = self.answers[a.target]
            target = list(self.targets)[a.target]
            if answer is None or not isinstance(answer.verdict, Unreachable):
                continue
            if isinstance(target, ProgressTarget):
                if a.target in self.endless and self.endless[a.target].proof is None and budget.meter is None:
                    part = replace(budget, meter=work)
                    self.endless[a.target] = forever.explained(self.system, target, self.endless[a.target], part)
                    self.answers[a.target] = self.endless[a.target].answer
                continue
            if isinstance(target, RecoverableTarget):
                continue
            if isinstance(answer.verdict.by, Exhausted | Induction):
                (verdict,) = ic3.run(self.system, [target], budget)
                if isinstance(verdict, Unreachable):
                    self.answers[a.target] = Answered(verdict, ic3.ENGINE.name)

    def _certified(self, number: int) -> bool | CertificateRejected:
        verdict = self.verdict(number)
        if not isinstance(verdict, Unreachable) or not isinstance(verdict.by, Invariant | Induction):
            return False  # a search would have to be repeated, a static argument cannot be checked by a solver
        target = list(self.targets)[number]
        if isinstance(target, ProgressTarget | RecoverableTarget):
            proof = self.proof(number)
            if proof is None:
                return False
        else:
            claim = self.any_size.get(target)
            if claim is not None:
                return claim.rejected or True
            proof = Proof(self.system, target, verdict)
        if number not in self._proofs:
            try:
                checked = certify(proof.system, proof.target, proof.verdict, self.deadline)
                self._proofs[number] = checked is Recheck.CHECKED
            except CertificateRejected as problem:
                self._proofs[number] = problem
        return self._proofs[number]

    def _replayed(self, number: int) -> Evidence | ReplayFailed | None:
        verdict = self.verdict(number)
        if not isinstance(verdict, Reached):
            return None
        if number not in self._evidence:
            target = list(self.targets)[number]
            try:
                self._evidence[number] = Evidence(verdict.run, target, replay(self.system, target, verdict.run))
            except ReplayFailed as problem:
                self._evidence[number] = problem
        return self._evidence[number]


def _finding(questions: _Questions, asked: _Asked, claim: AnySize | Refusal | None, why: bool) -> Finding:
    prop = asked.property
    answer = questions.answers[asked.target]
    assert answer is not None  # targets of properties are always needed
    evidence = questions.evidence(asked.target)
    outcome = questions.trouble(asked.target) or _outcome(questions, asked, answer.verdict, evidence)
    proof = questions.proof(asked.target)
    sized = isinstance(outcome, Holds) and not outcome.any_size
    invariant: tuple[str, ...] = ()
    if why and proof is not None and isinstance(proof.verdict.by, Invariant):
        target = list(questions.targets)[asked.target]
        rigid = target.params if isinstance(target, ProgressTarget) else ()
        invariant = told(proof.system, proof.verdict.by.clauses, questions.system.fairness, rigid)
    return Finding(
        prop.name,
        prop.family,
        prop.kind,
        prop.claim,
        outcome,
        message=_remark(questions, asked, outcome),
        untested=_untested(questions, asked, outcome) != "",
        evidence=evidence,
        verdict=answer.verdict,
        engine=answer.engine,
        origin=prop.origin,
        proof=proof,
        not_any=claim.reason if isinstance(claim, Refusal) and sized else "",
        invariant=invariant,
    )


def _outcome(questions: _Questions, asked: _Asked, verdict: Verdict, evidence: Evidence | None) -> Outcome:
    wanted = asked.property.wish is Wish.SOMETIMES
    match verdict:
        case Reached(run, shortest):
            switches = _switches(questions.system, evidence)
            steps = len(run.moves)
            if wanted:
                return Found(steps, shortest, switches)
            loop = None if run.loop is None else steps - run.loop
            excluded = questions.endless[asked.target].excluded if asked.target in questions.endless else ""
            return Violated(steps, shortest, switches, loop, excluded)
        case Unreachable(by, any_size):
            fixed = _fixed(questions.system, any_size)
            rechecked = questions.rechecked(asked.target)
            if wanted:
                return NeverFound(by, any_size, fixed, rechecked)
            if asked.speaks is not None:
                broken = questions.trouble(asked.speaks)
                if broken is not None:
                    return broken
                spoken = questions.verdict(asked.speaks)
                if isinstance(spoken, Unreachable):
                    return Vacuous(_why_vacuous(questions, asked.property), spoken.by)
            needs = questions.endless[asked.target].needs if asked.target in questions.endless else ()
            return Holds(by, any_size, fixed, rechecked, needs)
        case NotReachedWithin(depth):
            return NotFoundToDepth(depth) if wanted else HoldsToDepth(depth)
        case Unknown(limit, detail, depth):
            if limit is Limit.TIME and not detail:
                detail = f"{questions.seconds:g} seconds"
            return UnknownOutcome(limit, detail, depth)


def _remark(questions: _Questions, asked: _Asked, outcome: Outcome) -> str:
    """What to add to an outcome that claims less than it seems to."""
    return _untested(questions, asked, outcome) or questions.unchecked(asked.target)


def _untested(questions: _Questions, asked: _Asked, outcome: Outcome) -> str:
    """Says so where a claim holds, and it was not decided whether it is vacuous."""
    if asked.speaks is None or not isinstance(outcome, Holds | HoldsToDepth):
        return ""
    match questions.verdict(asked.speaks):
        case NotReachedWithin(depth):
            return f"not yet put to the test by any run of at most {depth:,} steps"
        case Unknown():
            return "whether anything ever puts it to the test was not decided"
        case _:
            return ""


def _why_vacuous(questions: _Questions, prop: Property) -> str:
    match prop.kind:
        case "final":
            return _never_over(questions)
        case "invariant" | "always invariant":
            return "no thread ever evaluates it: whenever it could be, what it reads may be written"
        case "transition":
            return "no step changes what it speaks about"
        case "assertion":
            return "no run reaches the statement"
        case "progress":
            return "nothing is ever pending"
        case "built-in" if prop.family == "leak":
            return _never_over(questions)
        case _:
            return "what it speaks about never happens"


def _never_over(questions: _Questions) -> str:
    who = questions.never_done
    return f"no run ends with every thread done{f': {who}' if who else ''}"


def _lock_finding(
    questions: _Questions,
    order: lock_order.Plan,
    numbers: Sequence[int],
    deadlocked: Evidence | None,
    claim: AnySize | Refusal | None,
) -> Finding:
    verdicts = [questions.verdict(n) for n in numbers]
    evidence = [questions.evidence(n) for n in numbers]
    broken = next((b for n in numbers if (b := questions.trouble(n)) is not None), None)
    free = questions.answered(DeadlockTarget())
    graph = lock_order.conclude(order, verdicts, evidence, deadlocked, isinstance(free, Unreachable))
    no_deadlock = free.by if isinstance(free, Unreachable) else None
    outcome = broken or lock_order.outcome(order, graph, verdicts, no_deadlock)
    if isinstance(outcome, Holds):
        if claim is not None and not isinstance(claim, Refusal) and graph.acyclic:
            outcome = replace(outcome, any_size=claim.verdict.any_size)
        outcome = replace(outcome, fixed=_fixed(questions.system, outcome.any_size))
    proof = None
    if isinstance(outcome, Violated):
        first = min((f for f in graph.findings if f.violation), key=lambda f: (f.outcome != outcome, f.headline))
        proof = first.evidence
        outcome = Violated(outcome.steps, outcome.shortest, _switches(questions.system, proof))
    engines = [a.engine for n in numbers if (a := questions.answers[n]) is not None]
    summary = next(f.summary for f in BUILT_IN if f.name == LOCK_ORDER)
    return Finding(
        LOCK_ORDER,
        LOCK_ORDER,
        "built-in",
        summary,
        outcome,
        message="; ".join(f.headline for f in graph.findings),
        evidence=proof,
        lock_graph=graph,
        engine="static" if graph.acyclic else ", ".join(dict.fromkeys(engines)),
    )


# --------------------------------------------------------------------------------------------------------------------
# Small things


def _stuck(
    system: System, findings: Sequence[Finding], engine: str, bound: int | None, timeout: float | None
) -> tuple[str, ...]:
    """Threads that can come to where nothing ever lets them move again, although they are in no deadlock.

    Only ``explore``, asked for by name, has the whole graph that this takes; it is computed again without symmetry.
    """
    calm = any(isinstance(f.verdict, Unreachable) and f.family == "deadlock" for f in findings)
    if engine != explore.ENGINE.name or bound is not None or not calm:
        return ()
    budget = Budget(deadline=time.monotonic() + (SECONDS if timeout is None else timeout), states=auto.STATES)
    exploration = explore.explore(system, (), budget, symmetry=False, to_the_end=True)
    if not exploration.complete:
        return ("whether some thread can be stuck was not decided: too many states without symmetry",)
    notes = []
    for found in explore.stuck(exploration):
        name = lock_order.instance_name(system, ThreadInstance(found.thread, found.values))
        after = plural(len(found.run.moves), "step")
        notes.append(f"stuck: {name} can never move again after a run of {after}, whatever the others do")
    return tuple(notes)


def _plain(target: LiveTarget) -> Verdict | None:
    """The verdict on a claim about endless runs that can be seen from the code alone."""
    if isinstance(target, ProgressTarget) and any(not steps.members for steps in target.recurs):
        return Unreachable(Structural("no thread of this scenario has a step that would have to be repeated"))
    return None


def _switches(system: System, evidence: Evidence | None) -> int:
    """How often the thread changes along a run."""
    if evidence is None:
        return 0
    movers = [mover(system, move) for move in evidence.run.moves]
    return sum(a != b for a, b in pairwise(movers))


def _fixed(system: System, any_size: Sequence[str]) -> tuple[str, ...]:
    """The sizes and parameters that stay fixed in a claim for any number of ``any_size``."""
    if not any_size:
        return ()
    free = {f"{len(s.members)} {s.name}" for s in system.scalarsets if s.name in any_size}
    return tuple(part for part in system.instance.split(", ") if part not in free)


def _labels(system: System, finding: Finding) -> tuple[str, ...]:
    """The labels at which the run of ``finding`` ends: where its last step began, where its threads are deadlocked."""
    evidence = finding.evidence
    if evidence is None:
        return ()
    found: dict[str, None] = {}
    if isinstance(evidence.target, DeadlockTarget):
        state = evidence.replayed.states[-1]
        for b in deadlock(system, state):
            thread = thread_of(system, b.who.thread)
            found.update(dict.fromkeys(thread.locations[state[thread.pc.name, b.who.values]].labels))
    if evidence.run.moves:
        last = system.transitions[evidence.run.moves[-1].which]
        location = next(x for x in thread_of(system, last.thread).locations if x.number == last.source)
        found.update(dict.fromkeys(location.labels))
    return tuple(dict.fromkeys(name for label in found for name in (label, label.rsplit(".", 1)[-1])))


def _settings(module: CheckedModule, instance: Instance) -> tuple[tuple[str, str], ...]:
    """Parameters that differ from their declared defaults."""
    from protocheck.lower.instance import show_param

    return tuple(
        (name, show_param(p, instance.params[name]))
        for name, p in module.params.items()
        if instance.params[name] != p.default
    )


def _unknown(rule: Rule, what: str, name: str, known: Sequence[str]) -> Diagnostic:
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
    labels: tuple[Label, ...] = ()
    return Diagnostic(rule, f"no {what} is called `{name}`", labels, mend)
