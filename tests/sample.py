"""Reports built by hand from the systems of ``hand``: every kind of outcome, as expected and not."""

from __future__ import annotations

from hand import abba, abba_run, at, pages, pages_run

from protocheck.engines.verdict import Clause, Exhausted, Induction, Invariant, Limit, Structural
from protocheck.findings import (
    Broken,
    EdgeStatus,
    Finding,
    Found,
    Holds,
    HoldsToDepth,
    LockEdge,
    LockFinding,
    LockFindingKind,
    LockGraph,
    LockNode,
    Mismatch,
    NeverFound,
    NotFoundToDepth,
    Outcome,
    Report,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
)
from protocheck.ir.expr import TRUE

FILE = "models/abba.pchk"


def finding(name: str, outcome: Outcome, expected: str = "holds", as_expected: bool = True, **more: object) -> Finding:
    """A finding about an invariant ``name``."""
    fields: dict[str, object] = {"family": name, "kind": "invariant", "claim": f"the claim of {name}", **more}
    return Finding(name=name, outcome=outcome, expected=expected, as_expected=as_expected, **fields)  # type: ignore[arg-type]


def scenario(name: str, *findings: Finding, **more: object) -> ScenarioReport:
    """A scenario with ``findings``."""
    fields: dict[str, object] = {"instance": "2 gfn, 2 vcpu", "variants": (), "settings": (), "assumptions": (), **more}
    return ScenarioReport(name=name, findings=findings, **fields)  # type: ignore[arg-type]


def report(*scenarios: ScenarioReport, file: str = FILE, model: str = "abba") -> Report:
    """A report about one model."""
    return Report(file, model, scenarios)


def holds() -> Holds:
    """A claim that holds by exhaustion of 1,234 states."""
    return Holds(Exhausted(1234, 27, True), rechecked=True)


def good() -> Report:
    """All as expected: three claims that hold alike and one violation that is expected."""
    deadlock = Finding(
        "deadlock",
        "deadlock",
        "built-in",
        "no threads wait for one another",
        Violated(4, True, 3),
        "violated",
        evidence=abba_run(),
    )
    return report(
        scenario("before", deadlock, system=abba()),
        scenario("after", *(finding(n, holds()) for n in ("deadlock", "range", "lock_misuse")), variants=("hoisted",)),
    )


def bad() -> Report:
    """One scenario with an unexpected violation of an assertion in a library, and an expectation that nothing met."""
    system = pages()
    wrong = Finding(
        "double_populate",
        "double_populate",
        "assertion",
        "assert !populated[g]",
        Violated(4, True, 3),
        "holds",
        False,
        "a run violates it",
        evidence=pages_run(system),
        origin=at("protocol"),
    )
    return report(
        scenario(
            "racing",
            finding("range", holds()),
            wrong,
            system=system,
            assumptions=("2 atomic blocks",),
            mismatches=(Mismatch("disclosure violated", "no property of family disclosure is violated"),),
        ),
        model="pages",
    )


def locks() -> Report:
    """A lock graph with a cycle that is reached, one that is prevented, and an edge with a run of its own."""
    edges = (
        LockEdge(
            "a",
            "write",
            "b",
            "write",
            "kvm.one",
            EdgeStatus.REACHABLE,
            steps=3,
            evidence=abba_run(),
            origin=at("acquire b write"),
        ),
        LockEdge("b", "read", "a", "write", "kvm.two", EdgeStatus.UNKNOWN, detail="time limit"),
    )
    graph = LockGraph(
        (LockNode("a", "mutex"), LockNode("b", "rwsem", 2), LockNode("await done", "await", 1, True)),
        edges,
        (
            LockFinding(
                LockFindingKind.CYCLE,
                ("a", "b"),
                edges,
                "one takes a then b, two takes b then a",
                Violated(4, True, 3),
                evidence=abba_run(),
            ),
            LockFinding(
                LockFindingKind.PREVENTED, ("c", "d"), (), "slots_lock is held on both paths", holds(), "slots_lock"
            ),
        ),
        acyclic=False,
        notes=("the list of cycles was cut",),
    )
    wrong = Finding(
        "lock_order",
        "lock_order",
        "built-in",
        "no cycle of locks",
        Violated(4, True, 3),
        "holds",
        False,
        lock_graph=graph,
        evidence=abba_run(),
    )
    return report(scenario("before", wrong, system=abba(), lock_graph=graph))


OUTCOMES: tuple[Outcome, ...] = (
    holds(),
    Holds(Invariant((Clause((), TRUE),)), ("vcpu",), ("2 slot",), True),
    Holds(Structural("the lock graph has no cycle")),
    HoldsToDepth(12),
    Violated(4, False, 2),
    Found(7, True, 1),
    NeverFound(Induction(3)),
    NotFoundToDepth(9),
    Vacuous("never evaluated", Exhausted(7, 3, False)),
    Vacuous("never evaluated"),
    Unknown(Limit.TIME, "after 20 s", 14),
    Unknown(Limit.MEMORY),
    Broken("step 3 cannot be taken"),
)


def every_outcome() -> Report:
    """A scenario with one finding per kind of outcome, alternately as expected and not."""
    return report(scenario("all", *(finding(f"p{i}", o, "holds", i % 2 == 0) for i, o in enumerate(OUTCOMES))))
