"""A report as plain data, with types: what every format but the text for people is made from.

The same values come from a check that has just ended and from a JSON report that was stored long ago, so a stored
report can be told in any format. A stored file is read with suspicion: whatever is not as the schema says is refused,
with its place in the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from protocheck.diagnostics import Diagnostic, ModelError, Rule
from protocheck.findings import Blocked, DeadlockExplanation, Report
from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.records import dataclass
from protocheck.reports import json as reports_json
from protocheck.traces.standing import Stand
from protocheck.traces.trace import (
    Change,
    Ending,
    Fact,
    Failure,
    InitialCell,
    LockAct,
    Loop,
    Place,
    Step,
    Trace,
)

NOT_A_REPORT = Rule(
    "not-a-report",
    "A file is not a report of protocheck.",
    """\
`protocheck show` reads what `protocheck check --format json` has written. The file is no JSON, or something in it is
not as `protocheck schema` says; the message names the place. Reports of a later version may not be readable either.

    protocheck check my.pchk --format json > my.json
    protocheck show my.json --format mail
""",
)

T = TypeVar("T")


@dataclass(frozen=True)
class RunOfReport:
    """A run with where every thread stands in each of its states (empty where that was not recorded)."""

    trace: Trace
    stands: tuple[tuple[Stand, ...], ...]


@dataclass(frozen=True)
class GraphNode:
    """A lock class, or (``is_wait``) something else that is waited for."""

    name: str
    kind: str
    instances: int
    is_wait: bool


@dataclass(frozen=True)
class GraphEdge:
    """Threads of class ``thread`` want ``wanted`` while they hold ``held``."""

    held: str
    held_mode: str
    wanted: str
    wanted_mode: str
    thread: str
    status: str
    same: bool
    steps: int | None
    detail: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class GraphFinding:
    """A finding about lock order."""

    kind: str
    locks: tuple[str, ...]
    headline: str
    explanation: str
    prevented_by: str
    violation: bool
    run: RunOfReport | None


@dataclass(frozen=True)
class Graph:
    """Which lock is wanted while which is held."""

    acyclic: bool
    notes: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    findings: tuple[GraphFinding, ...]


@dataclass(frozen=True)
class Verdict:
    """What is said about one property. ``outcome`` is the kind of outcome ("violated", "holds-to-depth", ...)."""

    prop: str
    family: str
    kind: str
    claim: str
    word: str
    sentence: str
    outcome: str
    expected: str
    as_expected: bool
    open: bool
    message: str
    engine: str
    places: tuple[Place, ...]
    run: RunOfReport | None
    graph: Graph | None
    data: dict[str, Any] = field(compare=False, repr=False)
    others: tuple[RunOfReport, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """An expectation that nothing met."""

    expected: str
    message: str
    open: bool
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Scenario:
    """One scenario with its verdicts."""

    name: str
    doc: str
    instance: str
    variants: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    as_expected: bool
    verdicts: tuple[Verdict, ...]
    mismatches: tuple[Mismatch, ...]
    graph: Graph | None


@dataclass(frozen=True)
class Model:
    """One model file."""

    file: str
    name: str
    doc: str
    exit_status: int
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True)
class Region:
    """A stretch of a source file, 1-based, the end excluded."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True)
class Fault:
    """A fault of a model or a command; the first region is where to look."""

    rule: str
    severity: str
    headline: str
    help: str
    regions: tuple[tuple[Region, str], ...]


@dataclass(frozen=True)
class Document:
    """Everything that one command found. ``data`` is the same as the JSON report has it."""

    version: str
    memory_model: str
    exit_status: int
    message: str
    faults: tuple[Fault, ...]
    models: tuple[Model, ...]
    sources: tuple[tuple[str, str], ...]
    data: dict[str, Any] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Run:
    """A run to be told, with what it is about: a verdict of a scenario of a model, or one finding about lock order."""

    model: Model
    scenario: Scenario
    verdict: Verdict
    found: RunOfReport
    locks: GraphFinding | None = None
    number: int | None = None  # of several counterexamples, which one

    @property
    def trace(self) -> Trace:
        """The run itself."""
        return self.found.trace

    @property
    def name(self) -> str:
        """Scenario and property: "before/deadlock"."""
        return f"{self.scenario.name}/{self.verdict.prop}"

    @property
    def about(self) -> str:
        """What the run shows, on one line: "before: deadlock: violated in 6 steps (the shortest run)"."""
        words = self.locks.headline if self.locks is not None else self.verdict.sentence
        if self.number is not None:
            words += f": counterexample {self.number} of {len(self.verdict.others) + 1}"
        return f"{self.scenario.name}: {self.verdict.prop}: {words}"


def document_of(
    reports: Sequence[Report], diagnostics: Sequence[Diagnostic], exit_status: int, version: str, message: str = ""
) -> Document:
    """What a check has found. It goes the way of a stored report, so that both are told alike."""
    return _document(_Node(reports_json.document(reports, diagnostics, exit_status, version, message)))


def load(shown: str) -> Document:
    """The report stored in the file ``shown``, or what standard input has for ``-``.

    :class:`ModelError` says what is wrong with it.
    """
    try:
        data = json.loads(sys.stdin.read() if shown == "-" else Path(shown).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refuse(shown, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _refuse(shown, f"is not JSON: {error}") from error
    try:
        node = _Node(data)
        version = node["format_version"].number()
        if version != reports_json.FORMAT_VERSION:
            raise _refuse(shown, f"has format version {version}; this program reads {reports_json.FORMAT_VERSION}")
        return _document(node)
    except _Malformed as fault:
        raise _refuse(shown, str(fault)) from fault


def runs(document: Document, expected: bool = True, witnesses: bool = False) -> tuple[Run, ...]:
    """The runs of a document, each set of moves of a scenario once, in its order.

    ``expected``: also those of violations that were expected; ``witnesses``: also those of what is reachable.
    """
    chosen: list[Run] = []
    for model in document.models:
        for scenario in model.scenarios:
            told: set[tuple[Step, ...]] = set()
            for verdict in scenario.verdicts:
                if verdict.as_expected and not (expected and verdict.outcome == "violated") and not witnesses:
                    continue
                found = [(f.run, f) for f in verdict.graph.findings] if verdict.graph is not None else []
                own = [(verdict.run, None), *((run, None) for run in verdict.others)]
                for at, (run, locks) in enumerate([*found, *own], start=1 - len(found)):
                    if run is not None and run.trace.steps not in told:
                        told.add(run.trace.steps)
                        number = at if verdict.others and locks is None else None
                        chosen.append(Run(model, scenario, verdict, run, locks, number))
    return tuple(chosen)


def select(document: Document, scenarios: Sequence[str], properties: Sequence[str]) -> Document:
    """``document`` without other scenarios and properties (or families); everything where none is named."""
    models = []
    for model in document.models:
        kept = tuple(
            replace(s, verdicts=tuple(v for v in s.verdicts if not properties or {v.prop, v.family} & set(properties)))
            for s in model.scenarios
            if not scenarios or s.name in scenarios
        )
        if any(s.verdicts for s in kept):
            models.append(replace(model, scenarios=tuple(s for s in kept if s.verdicts)))
    return replace(document, models=tuple(models))


# --------------------------------------------------------------------------------------------------------------------
# Reading


class _Malformed(Exception):  # noqa: N818 - caught here and reworded
    """Something is not as the schema says."""


def _refuse(shown: str, words: str) -> ModelError:
    mend = "`protocheck check MODEL --format json -o FILE` writes one"
    return ModelError([Diagnostic(NOT_A_REPORT, f"`{shown}` {words}", (), mend)])


@dataclass(frozen=True)
class _Node:
    """A value of the JSON with its place in the file."""

    value: object
    at: str = ""

    def __getitem__(self, name: str) -> _Node:
        if not isinstance(self.value, dict):
            raise self._not("an object")
        if name not in self.value:
            raise _Malformed(f"has no `{name}`{f' at {self.at}' if self.at else ''}")
        return _Node(self.value[name], f"{self.at}.{name}".lstrip("."))

    def has(self, name: str) -> bool:
        """Whether an object has this entry, for those that not every object has."""
        return isinstance(self.value, dict) and name in self.value

    def _not(self, what: str) -> _Malformed:
        return _Malformed(f"is no report: {self.at or 'it'} is not {what}")

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self._not("a text")
        return self.value

    def number(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._not("a number")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self._not("true or false")
        return self.value

    def fields(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self._not("an object")
        return self.value

    def all(self, read: Callable[[_Node], T]) -> tuple[T, ...]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            raise self._not("a list")
        return tuple(read(_Node(x, f"{self.at}[{i}]")) for i, x in enumerate(self.value))

    def opt(self, read: Callable[[_Node], T]) -> T | None:
        """None for null."""
        return None if self.value is None else read(self)

    def one_of(self, words: dict[str, T]) -> T:
        """The member that a word stands for."""
        text = self.text()
        if text not in words:
            raise self._not(f"one of {', '.join(words)}")
        return words[text]


_KINDS = {k.value: k for k in VarKind}
_ACTS = {a.name.lower(): a for a in Act}

_Pair: TypeAlias = tuple[str, str]


def _text(n: _Node) -> str:
    return n.text()


def _document(n: _Node) -> Document:
    return Document(
        version=n["tool"]["version"].text(),
        memory_model=n["memory_model"].text(),
        exit_status=n["exit_status"].number(),
        message=n["message"].text(),
        faults=n["diagnostics"].all(_fault),
        models=n["reports"].all(_model),
        sources=n["sources"].all(lambda s: (s["file"].text(), s["text"].text())),
        data=n.fields(),
    )


def _fault(n: _Node) -> Fault:
    return Fault(
        n["rule"].text(),
        n["severity"].text(),
        n["headline"].text(),
        n["help"].text(),
        n["labels"].all(lambda x: (_region(x["span"]), x["text"].text())),
    )


def _region(n: _Node) -> Region:
    return Region(
        n["file"].text(), n["line"].number(), n["column"].number(), n["end_line"].number(), n["end_column"].number()
    )


def _model(n: _Node) -> Model:
    return Model(
        n["file"].text(), n["model"].text(), n["doc"].text(), n["exit_status"].number(), n["scenarios"].all(_scenario)
    )


def _scenario(n: _Node) -> Scenario:
    settings = n["settings"]
    return Scenario(
        name=n["name"].text(),
        doc=n["doc"].text(),
        instance=n["instance"].text(),
        variants=n["variants"].all(_text),
        settings=tuple((name, settings[name].text()) for name in settings.fields()),
        assumptions=n["assumptions"].all(_text),
        notes=n["notes"].all(_text),
        as_expected=n["as_expected"].flag(),
        verdicts=n["findings"].all(_verdict),
        mismatches=n["mismatches"].all(
            lambda m: Mismatch(m["expected"].text(), m["message"].text(), m["open"].flag(), m["places"].all(_place))
        ),
        graph=n["lock_graph"].opt(_graph),
    )


def _verdict(n: _Node) -> Verdict:
    return Verdict(
        prop=n["property"].text(),
        family=n["family"].text(),
        kind=n["kind"].text(),
        claim=n["claim"].text(),
        word=n["verdict"].text(),
        sentence=n["sentence"].text(),
        outcome=n["outcome"]["kind"].text(),
        expected=n["expected"].text(),
        as_expected=n["as_expected"].flag(),
        open=n["open"].flag(),
        message=n["message"].text(),
        engine=n["engine"].text(),
        places=n["places"].all(_place),
        run=n["trace"].opt(_run),
        graph=n["lock_graph"].opt(_graph),
        data=n.fields(),
        others=n["others"]["traces"].all(_run) if n.has("others") else (),
    )


def _graph(n: _Node) -> Graph:
    return Graph(
        acyclic=n["acyclic"].flag(),
        notes=n["notes"].all(_text),
        nodes=n["nodes"].all(
            lambda x: GraphNode(x["name"].text(), x["kind"].text(), x["instances"].number(), x["is_wait"].flag())
        ),
        edges=n["edges"].all(_edge),
        findings=n["findings"].all(_lock_finding),
    )


def _edge(n: _Node) -> GraphEdge:
    return GraphEdge(
        held=n["held"].text(),
        held_mode=n["held_mode"].text(),
        wanted=n["wanted"].text(),
        wanted_mode=n["wanted_mode"].text(),
        thread=n["thread"].text(),
        status=n["status"].text(),
        same=n["same_instance"].flag(),
        steps=n["steps"].opt(_number),
        detail=n["detail"].text(),
        places=n["places"].all(_place),
    )


def _lock_finding(n: _Node) -> GraphFinding:
    return GraphFinding(
        kind=n["kind"].text(),
        locks=n["locks"].all(_text),
        headline=n["headline"].text(),
        explanation=n["explanation"].text(),
        prevented_by=n["prevented_by"].text(),
        violation=n["violation"].flag(),
        run=n["trace"].opt(_run),
    )


def _number(n: _Node) -> int:
    return n.number()


def _place(n: _Node) -> Place:
    place = Place(n["file"].text(), n["line"].number(), n["column"].number())
    if place.line < 1 or place.column < 1:
        raise n._not("a place: lines and columns count from 1")
    return place


def _named(n: _Node) -> _Pair:
    return n["name"].text(), n["value"].text()


def _because(n: _Node) -> _Pair:
    return n["thread"].text(), n["why"].text()


def _run(n: _Node) -> RunOfReport:
    trace = Trace(
        threads=n["threads"].all(_text),
        initial=n["initial"].all(
            lambda c: InitialCell(c["name"].text(), c["value"].text(), c["kind"].one_of(_KINDS), c["chosen"].flag())
        ),
        steps=n["steps"].all(_step),
        ending=_ending(n["ending"]),
        switches=n["context_switches"].number(),
        inevitable=n["inevitable_after"].number() if n.has("inevitable_after") else None,
    )
    for number, step in enumerate(trace.steps, start=1):
        if step.number != number or step.thread not in trace.threads:
            raise _Malformed(f"is no report: {n.at}.steps[{number - 1}] does not belong there")
        if any(not 1 <= cause < number for cause in step.causes):
            raise _Malformed(f"is no report: {n.at}.steps[{number - 1}] is possible because of a step that comes later")
    if trace.inevitable is not None and not 0 <= trace.inevitable <= len(trace.steps):
        raise _Malformed(f"is no report: {n.at}.inevitable_after is no step of the run")
    ending = trace.ending
    blocked = ending.deadlock.blocked if ending.deadlock is not None else ()
    for since in (x for b in blocked for x in (b.since, *(at for _, at in b.holds)) if x is not None):
        if not 1 <= since <= len(trace.steps):
            raise _Malformed(f"is no report: {n.at}.ending.deadlock names step {since}, which the run does not have")
    if not {thread for thread, _ in ending.cycle} <= {b.thread for b in blocked}:
        raise _Malformed(f"is no report: {n.at}.ending.cycle names a thread that is not in the deadlock")
    if ending.loop is not None and (
        ending.loop.end != len(trace.steps) or not 1 <= ending.loop.begin <= ending.loop.end + 1
    ):
        raise _Malformed(f"is no report: {n.at}.ending.loop does not fit the steps of the run")
    stands = n["stands"].all(lambda row: row.all(_stand))
    if len(stands) > len(trace.steps) + 1:
        raise _Malformed(f"is no report: {n.at}.stands has more states than the run")
    return RunOfReport(trace, stands)


def _stand(n: _Node) -> Stand:
    return Stand(
        n["thread"].text(), n["place"].opt(_place), n["can"].all(_text), n["why"].all(_text), n["waits"].flag()
    )


def _step(n: _Node) -> Step:
    return Step(
        number=n["number"].number(),
        thread=n["thread"].text(),
        text=n["text"].text(),
        places=n["places"].all(_place),
        choices=n["choices"].all(_named),
        sees=n["sees"].all(_named),
        changes=n["changes"].all(
            lambda c: Change(
                c["name"].text(), c["before"].text(), c["after"].text(), c["kind"].one_of(_KINDS), c["folded"].flag()
            )
        ),
        locks=n["locks"].all(
            lambda a: LockAct(a["act"].one_of(_ACTS), a["lock"].text(), a["mode"].text(), a["because"].all(_text))
        ),
        notes=n["notes"].all(_text),
        failures=n["failures"].all(
            lambda f: Failure(
                f["property"].text(),
                f["message"].text(),
                f["places"].all(_place),
                f["facts"].all(_text),
                f["fatal"].flag(),
            )
        ),
        switch=n["context_switch"].flag(),
        causes=n["causes"].all(_number) if n.has("causes") else (),
    )


def _ending(n: _Node) -> Ending:
    members = n["deadlock"].opt(lambda d: d.all(_blocked))
    return Ending(
        headline=n["headline"].text(),
        claim=n["claim"].text(),
        where=n["where"].all(_named),
        facts=n["facts"].all(lambda f: Fact(f["text"].text(), f["since"].opt(_number))),
        places=n["places"].all(_place),
        deadlock=DeadlockExplanation(members, ()) if members is not None else None,
        cycle=n["cycle"].all(_because),
        standing=n["standing"].all(lambda s: (s["thread"].text(), s["place"].opt(_place), s["what"].text())),
        loop=_loop(n["loop"]) if n.has("loop") else None,
    )


def _loop(n: _Node) -> Loop:
    return Loop(n["begin"].number(), n["end"].number(), n["since"].number(), n["why"].text())


def _blocked(n: _Node) -> Blocked:
    return Blocked(
        thread=n["thread"].text(),
        waits=n["waits"].text(),
        since=n["since"].opt(_number),
        for_whom=n["for_whom"].all(_because),
        holds=n["holds"].all(lambda h: (h["lock"].text(), h["since"].opt(_number))),
        idle=n["idle"].flag(),
    )
