"""What a check says about a model: values that reports lay out and that ``protocheck.check_file`` returns.

An outcome's type carries how far anybody looked; :func:`sentence` is the one place that words it, so no report can
claim more than was shown. Nothing here knows an engine, a file format or a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, assert_never

from protocheck.engines.verdict import (
    Certificate,
    Exhausted,
    Induction,
    Invariant,
    Limit,
    Run,
    Structural,
    Unreachable,
    Verdict,
)
from protocheck.ir.system import AnyTarget, PropertyTarget, System
from protocheck.records import dataclass
from protocheck.source import Origin

if TYPE_CHECKING:
    from protocheck.traces.replay import Replayed

MEMORY_MODEL = "sequential consistency"

# --------------------------------------------------------------------------------------------------------------------
# Outcomes


@dataclass(frozen=True)
class Holds:
    """The claim holds for every depth at these sizes; with ``any_size``, for any number of those scalarsets.

    ``fixed`` lists what stayed fixed when ``any_size`` is given ("2 slot"). ``rechecked`` says that the certificate
    was checked again by code that shares nothing with the engine. ``assumed`` is the fairness that a claim about
    endless runs takes for granted, each in words ("vcpu goes on when it can").
    """

    by: Certificate
    any_size: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    rechecked: bool = False
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class HoldsToDepth:
    """No violation in any run of at most ``depth`` steps; longer runs were not examined."""

    depth: int


@dataclass(frozen=True)
class Violated:
    """A run of ``steps`` steps violates the claim; ``shortest`` if no shorter one does. ``switches``: of context.

    With ``loop`` the run has no end: the last ``loop`` of its steps are repeated for ever (0: it stands still).
    ``excluded`` words the weakest assumption under which there is no such run ("" if it was not looked for).
    """

    steps: int
    shortest: bool
    switches: int = 0
    loop: int | None = None
    excluded: str = ""


@dataclass(frozen=True)
class Found:
    """A ``reachable`` has its witness after ``steps`` steps."""

    steps: int
    shortest: bool
    switches: int = 0


@dataclass(frozen=True)
class NeverFound:
    """No run of any length reaches what a ``reachable`` describes."""

    by: Certificate
    any_size: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    rechecked: bool = False


@dataclass(frozen=True)
class NotFoundToDepth:
    """No run of at most ``depth`` steps reaches what a ``reachable`` describes."""

    depth: int


@dataclass(frozen=True)
class Vacuous:
    """The claim is never put to the test: ``why`` in words; ``by`` proves it."""

    why: str
    by: Certificate | None = None


@dataclass(frozen=True)
class Unknown:
    """The search ended at ``limit`` without an answer; nothing was found in ``depth`` steps (-1: nothing is known)."""

    limit: Limit
    detail: str = ""
    depth: int = -1


@dataclass(frozen=True)
class Broken:
    """Evidence did not stand up: a run that does not replay or a certificate that does not check. Our own fault."""

    detail: str


Outcome: TypeAlias = (
    Holds | HoldsToDepth | Violated | Found | NeverFound | NotFoundToDepth | Vacuous | Unknown | Broken
)


class Tone(Enum):
    """What an outcome means to somebody who skims a table; the only thing a colour may depend on."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    NOTED = "noted"
    BROKEN = "broken"


def word(outcome: Outcome) -> str:
    """The word by which ``expect`` names the outcome: holds, violated, unreachable, vacuous, unknown (or broken).

    A bounded result is ``unknown`` here, since nothing is known of longer runs; the sentence says how far was looked.
    """
    match outcome:
        case Holds() | Found():
            return "holds"
        case Violated():
            return "violated"
        case NeverFound():
            return "unreachable"
        case Vacuous():
            return "vacuous"
        case Unknown() | HoldsToDepth() | NotFoundToDepth():
            return "unknown"
        case Broken():
            return "broken"
        case _:
            assert_never(outcome)


def sentence(outcome: Outcome, instance: str = "") -> str:
    """The full wording of ``outcome``, the same in every report and never shortened.

    ``instance`` ("2 vcpu, 2 gfn") is put in where the claim is limited to these sizes; a table whose caption names the
    instance passes none.
    """
    at = f" at {instance}" if instance else ""
    match outcome:
        case Holds(by, any_size, fixed, rechecked, assumed):
            fair = f", assuming that {_fairness(assumed)}" if assumed else ""
            return f"holds{_scope(any_size, fixed, at)} ({_how(by, rechecked)}){fair}"
        case HoldsToDepth(depth):
            return f"holds up to depth {depth:,}{at}"
        case Violated(steps, shortest, _, None):
            return f"violated in {plural(steps, 'step')}{_shortest(shortest)}{at}"
        case Violated(steps, shortest, _, loop, excluded):
            return f"violated {_for_ever(steps, loop or 0, shortest)}{at}" + (f"; {excluded}" if excluded else "")
        case Found(steps, shortest):
            return f"found in {plural(steps, 'step')}{_shortest(shortest)}{at}"
        case NeverFound(by, any_size, fixed, rechecked):
            return f"unreachable{_scope(any_size, fixed, at)} ({_how(by, rechecked)})"
        case NotFoundToDepth(depth):
            return f"not found up to depth {depth:,}{at}"
        case Vacuous(why, by):
            return f"vacuous{at}: {why}" + (f" ({_how(by, False)})" if by is not None else "")
        case Unknown(limit, detail, depth):
            words = f"unknown{at}: {limit.value}" + (f" ({detail})" if detail else "")
            return words + (f"; nothing found up to depth {depth:,}" if depth >= 0 else "")
        case Broken(detail):
            return f"no verdict, a fault in protocheck itself: {detail}"
        case _:
            assert_never(outcome)


def certificate_words(by: Certificate) -> str:
    """What backs a claim for every depth, in words ("exhausted: 17,397 states up to symmetry, deepest 27")."""
    match by:
        case Exhausted(states, depth, symmetric):
            return f"exhausted: {plural(states, 'state')}{' up to symmetry' if symmetric else ''}, deepest {depth:,}"
        case Induction(k):
            return f"proved by induction over {plural(k, 'step')}"
        case Invariant(()):
            return "proved: every state excludes it, reachable or not"
        case Invariant(clauses):
            return f"proved by an inductive invariant of {plural(len(clauses), 'clause')}"
        case Structural(argument):
            return f"proved: {argument}"
        case _:
            assert_never(by)


def plural(n: int, noun: str) -> str:
    """``n`` with digit groups and ``noun``, in the plural where it is due."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _how(by: Certificate, rechecked: bool) -> str:
    return certificate_words(by) + (", certificate re-checked" if rechecked else "")


def _scope(any_size: tuple[str, ...], fixed: tuple[str, ...], at: str) -> str:
    if not any_size:
        return at
    stayed = f" with {', '.join(fixed)} fixed" if fixed else ""
    return f" for any number of {_listed(any_size)}{stayed}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), parts[-1]])


def _fairness(assumed: Sequence[str]) -> str:
    """The assumptions as one clause, those that say the same of several threads together."""
    who: dict[str, list[str]] = {}
    for each in assumed:
        name, _, does = each.partition("` ")
        who.setdefault(does, []).append(f"{name}`")
    clauses = [
        f"{names[0]} {does}" if len(names) == 1 else f"each of {_listed(names)} {does}" for does, names in who.items()
    ]
    return _listed(clauses) if len(clauses) < 3 else "; ".join(clauses)


def _for_ever(steps: int, loop: int, shortest: bool) -> str:
    after = f"after {plural(steps - loop, 'step')}{'' if shortest else ' (a shorter way may exist)'}"
    if not loop:
        return f"by standing still for ever {after}"
    return f"by a loop of {plural(loop, 'step')} {after}"


def _shortest(shortest: bool) -> str:
    return " (the shortest run)" if shortest else " (a shorter run may exist)"


# --------------------------------------------------------------------------------------------------------------------
# Evidence


@dataclass(frozen=True)
class Evidence:
    """A run into ``target``, and what the interpreter made of it. Never built without a successful replay."""

    run: Run
    target: AnyTarget
    replayed: Replayed = field(repr=False, compare=False)
    inevitable: int | None = field(default=None, compare=False)  # after so many steps the end cannot be avoided


@dataclass(frozen=True)
class Proof:
    """That ``target`` cannot be reached in ``system``: some small instance, where the claim is for any size."""

    system: System
    target: PropertyTarget
    verdict: Unreachable


# --------------------------------------------------------------------------------------------------------------------
# Lock order


class LockFindingKind(Enum):
    """Kinds of finding about lock order; only ``PREVENTED`` and ``UNREALISED`` are no violation."""

    CYCLE = "cycle"
    PREVENTED = "prevented cycle"
    UNREALISED = "unrealised cycle"
    AGAINST = "against order"
    RECURSION = "recursion"
    OPEN = "undecided"


class EdgeStatus(Enum):
    """Whether the edge occurs: some thread stands before the inner lock while it holds the outer one."""

    REACHABLE = "reachable"
    UNREACHABLE = "not reachable"
    UNKNOWN = "unknown"
    STATIC = "seen in the code, not searched for"


@dataclass(frozen=True)
class LockNode:
    """A lock class of the graph, or (``is_wait``) something else that a thread waits for ("await kvm.done")."""

    name: str
    kind: str  # "mutex", "rwsem", ..., "await"
    instances: int = 1
    is_wait: bool = False


@dataclass(frozen=True)
class LockEdge:
    """Threads of class ``thread`` want ``wanted`` while they hold ``held``.

    ``same`` tells, for an edge within one class, whether it is the same instance twice. ``origin`` is where the inner
    lock is wanted. ``evidence`` is a run to such a state where ``status`` is REACHABLE.
    """

    held: str
    held_mode: str  # "write", "read" or ""
    wanted: str
    wanted_mode: str
    thread: str
    status: EdgeStatus
    same: bool = False
    steps: int | None = None
    evidence: Evidence | None = field(default=None, compare=False, repr=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)
    detail: str = ""  # why it is unknown or not reachable


@dataclass(frozen=True)
class LockFinding:
    """One finding about the graph.

    ``locks`` are the classes of the cycle in order (one for recursion, outer and inner as taken for ``AGAINST``).
    ``explanation`` is one or two sentences for people: what happens, what prevents it, or what would close it.
    ``prevented_by`` names the lock or condition that prevents it.
    """

    kind: LockFindingKind
    locks: tuple[str, ...]
    edges: tuple[LockEdge, ...]
    explanation: str
    outcome: Outcome
    prevented_by: str = ""
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    @property
    def violation(self) -> bool:
        """Whether the finding makes ``lock_order`` violated."""
        return self.kind in (LockFindingKind.CYCLE, LockFindingKind.AGAINST, LockFindingKind.RECURSION)

    @property
    def headline(self) -> str:
        """The finding on one line: "prevented cycle: a -> b -> a"."""
        if self.kind is LockFindingKind.AGAINST or (self.locks[0] == self.locks[-1] and len(self.locks) > 1):
            path = " -> ".join(self.locks)
        else:
            path = " -> ".join((*self.locks, self.locks[0]))
        return f"{self.kind.value}: {path}"


@dataclass(frozen=True)
class LockGraph:
    """The held-to-wanted graph with everything found in it. ``acyclic`` is a proof for any size, by its static form."""

    nodes: tuple[LockNode, ...]
    edges: tuple[LockEdge, ...]
    findings: tuple[LockFinding, ...]
    acyclic: bool
    notes: tuple[str, ...] = ()  # e.g. that the list of cycles was cut


# --------------------------------------------------------------------------------------------------------------------
# Deadlock


@dataclass(frozen=True)
class Blocked:
    """One member of a deadlock. ``holds`` are the locks it holds, each with the step that took it (1-based)."""

    thread: str  # the instance, as traces name it: "vcpu[v0]"
    waits: str  # what for: "mmap_lock (write)"
    since: int | None  # step since which it stands there
    for_whom: tuple[tuple[str, str], ...]  # (instance, why): ("populate", "holds mmap_lock (read)")
    holds: tuple[tuple[str, int | None], ...] = ()
    idle: bool = False


@dataclass(frozen=True)
class DeadlockExplanation:
    """The threads that wait for one another at the end of a run; ``text`` is one sentence per thread."""

    blocked: tuple[Blocked, ...]
    text: tuple[str, ...]


# --------------------------------------------------------------------------------------------------------------------
# Findings and reports


@dataclass(frozen=True)
class Others:
    """Further runs that violate a claim, other than the one behind its finding, and how many there are.

    ``found`` are known, the finding's own among them; with ``complete`` there are no more. ``ends``: in so many
    different ways they end (another assertion, another cycle of waiting).
    """

    runs: tuple[Evidence, ...]
    found: int
    ends: int
    complete: bool

    @property
    def text(self) -> str:
        """How many there are, in a sentence without a full stop."""
        shown = len(self.runs) + 1
        if self.found == 1 and self.complete:
            return "there is no other counterexample that differs"
        if shown == self.found and not self.complete:
            return f"{plural(shown, 'counterexample')} that differ, of maybe more: the search for others met a limit"
        many = f"{self.found:,}" if self.complete else f"at least {self.found:,}"
        ends = f", with {self.ends:,} different ends" if self.ends > 1 else ""
        return f"{plural(shown, 'counterexample')} of {many} that differ{ends}"


@dataclass(frozen=True)
class Finding:
    """What is said about one property.

    ``kind`` is the keyword that declares it ("invariant", "reachable", ... , "assertion", "built-in").
    ``expected`` words the expectation that applies ("violated in 12 steps"); ``as_expected`` is the judgement, and
    ``message`` says what differs if it does not match, else what is worth knowing about the outcome. ``open``: it
    does not match, but only because a limit was hit.
    ``proof`` is what can be exported and explained; ``not_any`` says why it is one for these sizes only, if that was
    tried; ``invariant`` tells, if it was asked for, the proof in sentences. ``untested``: the claim holds, and it is
    open whether it is vacuous. ``others``, if they were asked for, are more runs that violate the claim.
    """

    name: str
    family: str
    kind: str
    claim: str
    outcome: Outcome
    expected: str = "holds"
    as_expected: bool = True
    message: str = ""
    open: bool = False
    evidence: Evidence | None = field(default=None, compare=False, repr=False)
    verdict: Verdict | None = field(default=None, compare=False, repr=False)
    deadlock: DeadlockExplanation | None = None
    lock_graph: LockGraph | None = None
    engine: str = ""
    origin: Origin | None = field(default=None, compare=False, repr=False)
    proof: Proof | None = field(default=None, compare=False, repr=False)
    not_any: str = ""
    invariant: tuple[str, ...] = ()
    untested: bool = False
    others: Others | None = field(default=None, compare=False)

    @property
    def tone(self) -> Tone:
        """How a table should mark the outcome, whatever was expected."""
        match self.outcome:
            case Holds() | Found():
                return Tone.GOOD
            case Violated() | NeverFound() | Vacuous():
                return Tone.NOTED if self.kind == "weakness" else Tone.BAD
            case Unknown() | HoldsToDepth() | NotFoundToDepth():
                return Tone.OPEN
            case Broken():
                return Tone.BROKEN
            case _:
                assert_never(self.outcome)


@dataclass(frozen=True)
class Mismatch:
    """An expectation that names something and was not met, and is not already told by a finding."""

    expected: str
    message: str
    open: bool = False  # whether only a limit stood in the way
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ScenarioReport:
    """One scenario: its instance ("2 vcpu, 2 gfn"), what was assumed, and one finding per property, in source order.

    ``mismatches`` are expectations about a whole family, a lock-order kind or a label which no single finding tells.
    """

    name: str
    instance: str
    variants: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]
    findings: tuple[Finding, ...]
    lock_graph: LockGraph | None = None
    mismatches: tuple[Mismatch, ...] = ()
    notes: tuple[str, ...] = ()
    doc: str = ""
    system: System | None = field(default=None, compare=False, repr=False)

    @property
    def as_expected(self) -> bool:
        """Whether every expectation of the scenario is met."""
        return not self.mismatches and all(f.as_expected for f in self.findings)


@dataclass(frozen=True)
class Report:
    """Everything said about one model file."""

    file: str
    model: str
    scenarios: tuple[ScenarioReport, ...]
    doc: str = ""

    def findings(self) -> Iterator[tuple[ScenarioReport, Finding]]:
        """All findings with their scenario, in order."""
        for scenario in self.scenarios:
            for finding in scenario.findings:
                yield scenario, finding

    @property
    def exit_status(self) -> int:
        """The exit code that this report alone calls for."""
        return exit_status([self])


def interrupted(report: ScenarioReport) -> bool:
    """Whether Ctrl-C ended the check of this scenario."""
    return any(isinstance(f.outcome, Unknown) and f.outcome.limit is Limit.INTERRUPTED for f in report.findings)


def exit_status(reports: Iterable[Report]) -> int:
    """0 all as expected, 1 a verdict differs, 3 a limit was hit and nothing else failed, 70 evidence did not stand up.

    (2, bad usage or a bad model, never comes from a report: it is an exception.)
    """
    status = 0
    for report in reports:
        for scenario in report.scenarios:
            for finding in scenario.findings:
                if isinstance(finding.outcome, Broken):
                    return 70
                if not finding.as_expected:
                    status = _worse(status, 3 if finding.open else 1)
            for mismatch in scenario.mismatches:
                status = _worse(status, 3 if mismatch.open else 1)
    return status


def _worse(a: int, b: int) -> int:
    """1 outranks 3 outranks 0."""
    return 1 if 1 in (a, b) else max(a, b)
