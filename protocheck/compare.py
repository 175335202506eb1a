"""Proposals side by side: which guarantee each gives, and what is lost and gained from the first to each other one.

A proposal is a model, or one scenario of it, at some parameters. Guarantees are matched by their names. A verdict is
compared only by what was shown: a guarantee that was proved and is now merely not refuted is neither kept nor lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import assert_never

from protocheck.check import check_scenario, scenario_names
from protocheck.findings import (
    Broken,
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
    interrupted,
)
from protocheck.records import dataclass
from protocheck.types.tree import CheckedModule


@dataclass(frozen=True)
class Proposal:
    """What to compare: ``scenario`` of ``module`` (None: all of them), with ``settings`` above those it makes."""

    label: str
    module: CheckedModule
    scenario: str | None
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """What one proposal says about one guarantee."""

    scenario: ScenarioReport
    finding: Finding


@dataclass(frozen=True)
class Column:
    """A proposal with what was found about it. ``file`` is its model, as its runs name it."""

    label: str
    file: str
    scenarios: tuple[ScenarioReport, ...]


@dataclass(frozen=True)
class Row:
    """A guarantee, with what each proposal says about it: None where it is not claimed."""

    name: str
    kind: str
    entries: tuple[Entry | None, ...]


class Change(Enum):
    """How a guarantee fares from the first proposal to another one."""

    LOST = "lost"
    UNCLAIMED = "no longer claimed"
    GAINED = "gained"
    NEW = "newly claimed"
    OPEN = "no longer decided"
    DECIDED = "now decided"
    OTHER = "different"


@dataclass(frozen=True)
class Difference:
    """``row`` of the comparison fares so in column ``column``, seen from the first one.

    ``witness`` is the column whose run shows the difference, if there is a run.
    """

    row: int
    column: int
    change: Change
    witness: int | None


@dataclass(frozen=True)
class Behaviour:
    """Something declared reachable that some proposals allow and others exclude by proof: columns of each kind."""

    row: int
    allowed: tuple[int, ...]
    forbidden: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """Guarantee by proposal, and what differs; after Ctrl-C without the proposals whose labels are ``unchecked``."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    behaviours: tuple[Behaviour, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether some evidence did not stand up: a fault of ours."""
        return any(e is not None and isinstance(e.finding.outcome, Broken) for r in self.rows for e in r.entries)

    @property
    def open(self) -> bool:
        """Whether some verdict was left open by a limit or a bound, so that nothing is known about its loss."""
        return bool(self.unchecked) or any(
            e is not None and _standing(e.finding.outcome) is _Standing.OPEN for r in self.rows for e in r.entries
        )

    def count(self, *changes: Change) -> int:
        """How many differences are of these kinds."""
        return sum(d.change in changes for d in self.differences)


def compare(
    proposals: Sequence[Proposal],
    *,
    engine: str = "auto",
    bound: int | None = None,
    timeout: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Check each of ``proposals`` and compare all with the first one.

    If each is a single scenario, guarantees are known by their names alone; otherwise by scenario and name. After
    Ctrl-C the proposals that were checked until then are compared, and if those are fewer than two, it is a
    KeyboardInterrupt; the rest is as in :func:`protocheck.check.check_file`.
    """
    columns: list[Column] = []
    try:
        for proposal in proposals:
            names = scenario_names(proposal.module, () if proposal.scenario is None else (proposal.scenario,))
            reports = [
                check_scenario(
                    proposal.module,
                    name,
                    settings=proposal.settings,
                    engine=engine,
                    bound=bound,
                    timeout=timeout,
                    progress=progress,
                )
                for name in names
            ]
            if any(interrupted(r) for r in reports):
                raise KeyboardInterrupt
            columns.append(Column(proposal.label, proposal.module.file.path, tuple(reports)))
    except KeyboardInterrupt:
        if len(columns) < 2:
            raise
    return replace(compared(columns), unchecked=tuple(p.label for p in proposals[len(columns) :]))


def compared(columns: Sequence[Column]) -> Comparison:
    """The comparison of what was found about each of ``columns``."""
    single = all(len(c.scenarios) == 1 for c in columns)
    found: list[dict[str, Entry]] = []
    for column in columns:
        entries: dict[str, Entry] = {}
        for scenario in column.scenarios:
            for finding in scenario.findings:
                entries[finding.name if single else f"{scenario.name}: {finding.name}"] = Entry(scenario, finding)
        found.append(entries)
    rows = []
    for name in dict.fromkeys(name for entries in found for name in entries):
        told = tuple(entries.get(name) for entries in found)
        kind = next(e.finding.kind for e in told if e is not None)
        rows.append(Row(name, kind, told))
    differences = tuple(_differences(rows, len(columns)))
    return Comparison(tuple(columns), tuple(rows), differences, tuple(_behaviours(rows)))


def _differences(rows: Sequence[Row], columns: int) -> Iterator[Difference]:
    for column in range(1, columns):
        for number, row in enumerate(rows):
            change = _change(row.entries[0], row.entries[column])
            if change is not None:
                yield Difference(number, column, change, _witness(row, column))


class _Standing(Enum):
    GOOD = 2
    OPEN = 1
    BAD = 0


def _standing(outcome: Outcome) -> _Standing:
    match outcome:
        case Holds() | Found():
            return _Standing.GOOD
        case Violated() | NeverFound() | Vacuous():
            return _Standing.BAD
        case HoldsToDepth() | NotFoundToDepth() | Unknown() | Broken():
            return _Standing.OPEN
        case _:
            assert_never(outcome)


def _change(before: Entry | None, after: Entry | None) -> Change | None:
    """How a guarantee fares; None if it fares alike."""
    if before is None or after is None:
        only = before or after
        if only is None or only.finding.kind == "built-in":
            return None  # what is built in is claimed wherever it can be broken
        if before is None:
            return Change.NEW
        return Change.UNCLAIMED if _standing(before.finding.outcome) is _Standing.GOOD else Change.OTHER
    first, second = before.finding.outcome, after.finding.outcome
    decided = _Standing.OPEN not in (_standing(first), _standing(second))
    if decided and before.finding.kind == "run":
        # Whether this should happen nobody says: the table of a race is a run as much as that of a repair.
        return Change.OTHER if type(first) is not type(second) else None
    match _standing(first), _standing(second):
        case (_Standing.GOOD, _Standing.BAD):
            return Change.LOST
        case (_Standing.BAD, _Standing.GOOD):
            return Change.GAINED
        case (_, _Standing.OPEN) if _standing(first) is not _Standing.OPEN:
            return Change.OPEN
        case (_Standing.OPEN, _Standing.GOOD | _Standing.BAD):
            return Change.DECIDED
        case _:
            return Change.OTHER if type(first) is not type(second) else None


def _witness(row: Row, column: int) -> int | None:
    """The column whose run shows the difference: a violation first, of the other proposal rather than the first."""
    shown = [c for c in (column, 0) if (e := row.entries[c]) is not None and e.finding.evidence is not None]
    whole = [c for c in shown if (e := row.entries[c]) is not None and isinstance(e.finding.outcome, Violated | Found)]
    return next(iter([*whole, *shown]), None)


def _behaviours(rows: Sequence[Row]) -> Iterator[Behaviour]:
    for number, row in enumerate(rows):
        if row.kind not in ("reachable", "run"):
            continue
        outcomes = [(c, e.finding.outcome) for c, e in enumerate(row.entries) if e is not None]
        allowed = tuple(c for c, outcome in outcomes if isinstance(outcome, Found))
        forbidden = tuple(c for c, outcome in outcomes if isinstance(outcome, NeverFound))
        if allowed and forbidden:
            yield Behaviour(number, allowed, forbidden)
