"""No two engines ever contradict each other on a shipped scenario, nor the scenario's own expectation.

By default every eighth scenario is asked, with little time per engine; ``make fuzz`` asks all of them.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from protocheck.check import check_scenario, scenario_names
from protocheck.findings import Finding, Found, Violated, word
from protocheck.types import load
from protocheck.types.tree import CheckedModule

ROOT = Path(__file__).resolve().parent.parent
ALL = bool(os.environ.get("PROTOCHECK_FUZZ"))
EVERY = 1 if ALL else 8
SECONDS = 20.0 if ALL else 1.0
# Deep inductions are costly to re-check.
BOUNDS = {"auto": None, "explore": None, "bmc": 14, "kinduction": 8, "ic3": None}


@cache
def module(path: Path) -> CheckedModule:
    """The model in ``path``, checked once."""
    return load(path, path.relative_to(ROOT).as_posix())


def scenarios() -> list[tuple[Path, str | None]]:
    """Every scenario of the shipped models, or every eighth, in a fixed order."""
    models = sorted(p for p in (ROOT / "models").rglob("*.pchk") if "lib" not in p.parts)
    return [(p, name) for p in models for name in scenario_names(module(p))][::EVERY]


def said(finding: Finding) -> tuple[str, int | None] | None:
    """What an engine claims of a property: the word, and the length of a run that it calls the shortest."""
    claim = word(finding.outcome)
    if claim == "unknown" or finding.untested:
        return None
    found = finding.outcome
    return claim, found.steps if isinstance(found, Violated | Found) and found.shortest else None


@pytest.mark.slow
@pytest.mark.parametrize(("path", "name"), scenarios(), ids=lambda x: x.stem if isinstance(x, Path) else str(x))
def test_engines_agree(path: Path, name: str | None) -> None:
    """Whatever engines decide within their limit is one verdict, and one length where both call a run shortest."""
    claims: dict[str, dict[str, tuple[str, int | None]]] = {}
    for engine, bound in BOUNDS.items():
        report = check_scenario(module(path), name, engine=engine, bound=None if ALL else bound, timeout=SECONDS)
        for finding in report.findings:
            claim = said(finding)
            if claim is not None:
                claims.setdefault(finding.name, {})[engine] = claim
            assert finding.as_expected or finding.open, (engine, finding.name, finding.outcome)
    assert claims
    for name_, by_engine in claims.items():
        assert len({w for w, _ in by_engine.values()}) == 1, (name_, by_engine)
        assert len({s for _, s in by_engine.values() if s is not None}) <= 1, (name_, by_engine)
