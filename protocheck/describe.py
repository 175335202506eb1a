"""Everything that the document of a model is made from: its verdicts, why they hold, and the life of its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from protocheck.check import assemble, check_scenario, scenario_names
from protocheck.findings import Finding, Report, ScenarioReport
from protocheck.life_cycle import LifeCycle, life_cycles
from protocheck.reports.guide import guide, main_scenario
from protocheck.reports.pages import WRITERS
from protocheck.types.tree import CheckedModule

EFFORT = 1.0
"""Nominal seconds of work per scenario to find invariants: the same document on every machine."""


@dataclass(frozen=True)
class Description:
    """A model with its verdicts; those of the main scenario have their invariants, and ``cycles`` are of it."""

    module: CheckedModule
    report: Report
    cycles: tuple[LifeCycle, ...]


def describe(
    module: CheckedModule,
    settings: Mapping[str, int | str] | None = None,
    timeout: float | None = None,
    progress: Callable[[str], None] | None = None,
    why: bool = True,
) -> Description:
    """Check every scenario of ``module``, and once more, asking ``why``, the one that the document is about.

    ``settings`` override parameters in all scenarios, ``timeout`` is in seconds per scenario. Claims for any number of
    members are made where they cost no search.
    :class:`protocheck.diagnostics.ModelError` for settings that are out of range.
    """
    names = scenario_names(module)
    reports = [check_scenario(module, n, settings=settings, timeout=timeout, progress=progress) for n in names]
    report = assemble(module, reports)
    main = main_scenario(report)
    if main is None:
        return Description(module, report, ())
    if why:
        at = reports.index(main)
        explained = check_scenario(module, names[at], settings=settings, timeout=timeout, progress=progress, why=EFFORT)
        reports[at] = replace(main, findings=_with_reasons(main, explained))
    cycles = life_cycles(main.system) if main.system is not None else ()
    return Description(module, assemble(module, reports), cycles)


def _with_reasons(main: ScenarioReport, explained: ScenarioReport) -> tuple[Finding, ...]:
    """The findings of ``main`` with the invariants found for them: what is said about each stays as it was."""
    reasons = {f.name: f.invariant for f in explained.findings}
    return tuple(replace(f, invariant=reasons.get(f.name, ())) for f in main.findings)


def write(description: Description, to: str) -> str:
    """The document in the format ``to``, one of :data:`protocheck.reports.pages.WRITERS`."""
    blocks = guide(description.module, description.report, description.cycles)
    return WRITERS[to](description.module.name, blocks)
