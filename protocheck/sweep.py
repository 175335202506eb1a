"""The verdict of each guarantee over parameter values and variants, and the smallest change that flips it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

from protocheck.check import DEFAULT_SCENARIO, check_scenario, scenario_names
from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.findings import Outcome, ScenarioReport, interrupted, word
from protocheck.lower import instantiate
from protocheck.lower.instance import show_param
from protocheck.lower.rules import UNKNOWN_SETTING
from protocheck.records import dataclass
from protocheck.source import Span
from protocheck.types.tree import CheckedModule, ScenarioDecl
from protocheck.usage import BAD_RANGE, MOST_CELLS, NOTHING_TO_SWEEP, TOO_MANY_CELLS

MOST_SETS = 16
"""Up to so many sets of variants are tried together; of more, only each variant by itself."""

SECONDS = 60.0
"""The time for one cell, by default."""


@dataclass(frozen=True)
class Axis:
    """A parameter with the values that it takes, in the order given."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One instance: a value for each axis and the variants chosen.

    ``outcomes`` are those of ``Sweep.properties`` in their order (None: not claimed there); empty if it was
    ``skipped``, which says why.
    """

    values: tuple[str, ...]
    variants: tuple[str, ...]
    outcomes: tuple[Outcome | None, ...]
    skipped: str = ""


@dataclass(frozen=True)
class Flip:
    """A smallest change that makes property ``property`` go from one word to another: two cells.

    There are several where changes are equally small. ``changes`` are words: ``vcpus = 1 -> 2``, ``with hoisted``.
    """

    property: int
    before: int
    after: int
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """The map. ``scenario`` is empty if it begins at the parameters as declared.

    ``sets`` are the sets of variants that were tried; ``left_out`` says which were not, and why. After Ctrl-C there are
    ``unchecked`` instances without a cell.
    """

    file: str
    scenario: str
    axes: tuple[Axis, ...]
    sets: tuple[tuple[str, ...], ...]
    properties: tuple[str, ...]
    cells: tuple[Cell, ...]
    flips: tuple[Flip, ...]
    left_out: str = ""
    unchecked: int = 0


def parse_axis(module: CheckedModule, text: str) -> Axis:
    """``NAME=VALUES``. :class:`ModelError` if there is no such parameter or the values cannot be read."""
    name, equals, given = (part.strip() for part in text.partition("="))
    if not (name and equals and given):
        raise ModelError([Diagnostic(BAD_RANGE, f"`-p {text}` is not of the form NAME=VALUES")])
    if name not in module.params:
        names = ", ".join(f"`{n}`" for n in module.params) or "none"
        headline = f"`{name}` is not a parameter of {module.name}"
        raise ModelError([Diagnostic(UNKNOWN_SETTING, headline, (), f"parameters of this model: {names}")])
    low, dots, high = (part.strip() for part in given.partition(".."))
    if not dots:
        values = tuple(dict.fromkeys(v.strip() for v in given.split(",")))
        if "" in values:
            raise ModelError([Diagnostic(BAD_RANGE, f"`-p {text}`: a value is empty")])
        return Axis(name, values)
    try:
        first, last = int(low), int(high)
    except ValueError:
        raise ModelError([Diagnostic(BAD_RANGE, f"`-p {text}`: a range goes from number to number")]) from None
    if first > last or last - first >= MOST_CELLS:
        raise ModelError([Diagnostic(BAD_RANGE, f"`-p {text}`: a range goes from low to high, and not too far")])
    return Axis(name, tuple(str(v) for v in range(first, last + 1)))


def sweep(
    module: CheckedModule,
    axes: Sequence[Axis],
    *,
    scenario: str | None = None,
    variants: bool = False,
    timeout: float = SECONDS,
    progress: Callable[[str], None] | None = None,
) -> Sweep:
    """Check ``module`` at every combination of ``axes``, from ``scenario`` (None: parameters as declared).

    With ``variants`` also with each set of declared variants, no two of which replace the same thing; without, those
    that the scenario chooses. ``timeout`` is in seconds and for one cell. Combinations that the model excludes are
    skipped by name. :class:`ModelError` (``too-many-cells``) beyond :data:`MOST_CELLS`, and if all are skipped. After
    Ctrl-C the map has the instances that were checked until then; without any it is a KeyboardInterrupt.
    """
    if scenario is not None:
        scenario_names(module, (scenario,))
    declared = module.scenarios[scenario] if scenario is not None else None
    sets, left_out = _sets(module) if variants else (((declared.variants if declared else ()),), "")
    count = len(sets)
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_CELLS:
        raise ModelError([Diagnostic(TOO_MANY_CELLS, f"these are {count:,} instances; at most {MOST_CELLS:,} go")])
    found: list[tuple[tuple[str, ...], tuple[str, ...], ScenarioReport | str]] = []
    try:
        for values, chosen in product(product(*(a.values for a in axes)), sets):
            settings = {a.name: v for a, v in zip(axes, values, strict=True)}
            if progress is not None:
                progress(", ".join([*(f"{n} = {v}" for n, v in settings.items()), *chosen]))
            found.append((values, chosen, _cell(module, declared, chosen, settings, timeout)))
    except KeyboardInterrupt:
        if all(isinstance(r, str) for _, _, r in found):
            raise
    reports = [r for _, _, r in found if not isinstance(r, str)]
    if not reports:
        why = dict.fromkeys(r for _, _, r in found if isinstance(r, str))
        raise ModelError([Diagnostic(NOTHING_TO_SWEEP, "the model excludes every instance", (), next(iter(why)))])
    names = tuple(dict.fromkeys(f.name for r in reports for f in r.findings))
    cells = tuple(
        Cell(values, chosen, (), report)
        if isinstance(report, str)
        else Cell(values, chosen, tuple({f.name: f.outcome for f in report.findings}.get(n) for n in names))
        for values, chosen, report in found
    )
    flips = tuple(_flips(axes, names, cells, _home(module, declared, axes)))
    unchecked = count - len(found)
    return Sweep(module.file.path, scenario or "", tuple(axes), sets, names, cells, flips, left_out, unchecked)


def _sets(module: CheckedModule) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The sets of variants: of those with one name only together, never two that replace the same thing."""
    targets: dict[str, set[str]] = {}
    for variant in module.variants:
        targets.setdefault(variant.name, set()).add(variant.target)
    sets = []
    for size in range(len(targets) + 1):
        if size > 1 and len(targets) > MOST_SETS:
            break
        for chosen in combinations(targets, size):
            touched = [target for name in chosen for target in targets[name]]
            if len(set(touched)) == len(touched):
                sets.append(chosen)
    if len(sets) <= MOST_SETS and len(targets) <= MOST_SETS:
        return tuple(sets), ""
    singles = tuple(s for s in sets if len(s) < 2)
    return singles, "variants were tried one at a time: their sets are too many"


def _cell(
    module: CheckedModule,
    declared: ScenarioDecl | None,
    chosen: tuple[str, ...],
    settings: Mapping[str, str],
    timeout: float,
) -> ScenarioReport | str:
    """What is found in one cell, or why the model excludes it."""
    name = declared.name if declared is not None else DEFAULT_SCENARIO
    span = declared.span if declared is not None else Span(module.file, 0, 0)
    own, without = (declared.settings, declared.without) if declared is not None else ((), ())
    here = replace(module, scenarios={name: ScenarioDecl(name, chosen, own, without, (), span)})
    try:
        instantiate(here, name, settings)
    except ModelError as fault:
        return "; ".join(d.headline for d in fault.diagnostics)
    report = check_scenario(here, name, settings=settings, timeout=timeout)
    if interrupted(report):
        raise KeyboardInterrupt
    return report


# --------------------------------------------------------------------------------------------------------------------
# What flips a verdict

_Point = tuple[tuple[int, ...], tuple[str, ...]]
"""Where a cell lies: the position of its value on each axis, and its variants."""


def _home(module: CheckedModule, declared: ScenarioDecl | None, axes: Sequence[Axis]) -> _Point:
    """Where the scenario itself lies; -1 for a value that is not swept over."""
    instance = instantiate(module, declared.name if declared is not None else None)
    shown = [show_param(module.params[a.name], instance.params[a.name]) for a in axes]
    positions = [a.values.index(v) if v in a.values else -1 for a, v in zip(axes, shown, strict=True)]
    return tuple(positions), declared.variants if declared is not None else ()


def _distance(a: _Point, b: _Point) -> tuple[int, int]:
    """How many things differ, and by how many places in all."""
    apart = [abs(x - y) for x, y in zip(a[0], b[0], strict=True)]
    patches = len(set(a[1]) ^ set(b[1]))
    return sum(x > 0 for x in apart) + patches, sum(apart) + patches


_Rank = tuple[tuple[int, int], tuple[int, int], int]

_DECIDED = ("holds", "violated", "unreachable", "vacuous")


def _flips(
    axes: Sequence[Axis], names: Sequence[str], cells: Sequence[Cell], home: _Point
) -> Iterator[Flip]:
    points = [(tuple(a.values.index(v) for a, v in zip(axes, c.values, strict=True)), c.variants) for c in cells]
    from_home = [_distance(home, p) for p in points]
    for number in range(len(names)):
        words = [word(o) if c.outcomes and (o := c.outcomes[number]) is not None else "" for c in cells]
        best: dict[frozenset[str], tuple[_Rank, list[tuple[int, int]]]] = {}
        for i, j in combinations(range(len(cells)), 2):
            if words[i] == words[j] or words[i] not in _DECIDED or words[j] not in _DECIDED:
                continue
            before, after = (j, i) if from_home[j] < from_home[i] else (i, j)
            rank = (_distance(points[i], points[j]), from_home[before], before)
            pair = frozenset((words[i], words[j]))
            if pair not in best or rank < best[pair][0]:
                best[pair] = rank, []
            if rank == best[pair][0]:
                best[pair][1].append((before, after))
        for _, found in sorted(best.values()):
            for before, after in found:
                yield Flip(number, before, after, tuple(_changes(axes, cells[before], cells[after])))


def _changes(axes: Sequence[Axis], before: Cell, after: Cell) -> Iterator[str]:
    for axis, old, new in zip(axes, before.values, after.values, strict=True):
        if old != new:
            yield f"{axis.name} = {old} -> {new}"
    yield from (f"with {name}" for name in after.variants if name not in before.variants)
    yield from (f"without {name}" for name in before.variants if name not in after.variants)
