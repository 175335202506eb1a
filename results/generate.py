"""Writes what the shipped models say: a table in README.md, under traces/ one run per violation that is expected, under
guarantees/ one document per model; and models/README.md, one line per model.

``python results/generate.py`` rewrites the files; with ``--check`` nothing is written, and the exit code is 1 where a
file differs, is missing, or is left over. To find an invariant as small as it gets takes longer than all verdicts
together, so ``--check`` leaves the section of the documents that tells it alone; ``--check --all`` compares that too.
Nothing here depends on the machine or the time.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from protocheck.describe import describe, write  # noqa: E402
from protocheck.findings import Finding, Report, ScenarioReport, Violated, sentence  # noqa: E402
from protocheck.jobs import Done, run_all  # noqa: E402
from protocheck.reports.style import Style  # noqa: E402
from protocheck.reports.table import layout_trace  # noqa: E402
from protocheck.traces.trace import trace_of_finding  # noqa: E402
from protocheck.types import load  # noqa: E402

HEAD = """\
# What the shipped models say

Made by `make results`; a test fails when it is not current. Every verdict is for the sizes named with its scenario and
assumes sequential consistency. A verdict in bold is a violation that the model expects; its run is one click away.
[models/README.md](../models/README.md) has one line per model.
"""


CATALOGUE = """\
# The shipped models

Made by `make results`. Each model has broken scenarios, whose violation it expects, beside repaired ones that hold;
what every scenario says stands in [results/README.md](../results/README.md). The library that they import is in
[lib](lib), small models for learning are in [toys](toys). "Proved for" names the largest instance in which all holds.
"""


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    why = "--check" not in arguments or "--all" in arguments
    made = dict(files(why))
    old = {*(HERE / "traces").glob("*.txt"), *(HERE / "guarantees").glob("*.md")}
    stale = sorted(p for p in old if p not in made)
    differing = [p for p, text in made.items() if not p.is_file() or _compared(p, why) != text]
    if "--check" in arguments:
        for path in [*differing, *stale]:
            print(f"{path.relative_to(ROOT)} is not current; `make results` writes it")
        return 1 if differing or stale else 0
    for path in stale:
        path.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    runs = sum(1 for p in made if p.suffix == ".txt")
    print(f"{runs} runs, {len(made) - runs - 2} documents, two tables written, {len(differing)} of them new or changed")
    return 0


def _compared(path: Path, why: bool) -> str:
    text = path.read_text(encoding="utf-8")
    if why or path.parent.name != "guarantees":
        return text
    return re.sub(r"^## Why it holds\n.*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)


def files(why: bool) -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    models = sorted(p for p in (ROOT / "models").rglob("*.pchk") if "lib" not in p.relative_to(ROOT / "models").parts)
    os.chdir(ROOT)
    work = [partial(_check, p.relative_to(ROOT), why) for p in models]
    lines = [HEAD]
    index: dict[str, list[str]] = {}
    for path, answer in zip(models, run_all(work, os.cpu_count() or 1, lambda _, __: None), strict=True):
        if not isinstance(answer, Done):
            print(f"{path.relative_to(ROOT)}: {answer}", file=sys.stderr)
            raise SystemExit(2)
        report, document = answer.value
        lines += _section(report)
        index.setdefault(path.parent.name, []).append(_line(report, path))
        yield HERE / "guarantees" / f"{report.model}.md", document
        for scenario, finding in report.findings():
            if _told(finding):
                yield HERE / "traces" / _file(report, scenario, finding), _run(report, scenario, finding)
    yield HERE / "README.md", "\n".join(lines)
    yield ROOT / "models" / "README.md", "\n".join(_index(index))


def _index(rows: dict[str, list[str]]) -> Iterator[str]:
    """models/README.md: a table per folder, the toys last."""
    yield CATALOGUE
    for folder in sorted(rows, key=lambda name: (name == "toys", name)):
        yield f"## {folder}\n"
        yield "| model | expected violations | verdicts | proved for | source |"
        yield "|---|---|---|---|---|"
        yield from rows[folder]
        yield ""


def _line(report: Report, path: Path) -> str:
    findings = list(report.findings())
    broken = dict.fromkeys(f.family for _, f in findings if _told(f))
    sound = [s.instance or "its only size" for s in report.scenarios if not any(_told(f) for f in s.findings)]
    best = max(sound, key=lambda text: (prod(int(n) for n in re.findall(r"\b\d+ ", text)), text), default="-")
    counts = f"{len(report.scenarios)} scenarios, {len(findings)} verdicts"
    if any(not s.as_expected for s in report.scenarios):
        counts += ", not all as expected"
    sources = "; ".join(load(ROOT / path).sources)
    name = f"[{report.model}]({path.parent.name}/{path.name})"
    return f"| {name} | {', '.join(broken) or 'none'} | {counts} | {_cell(best)} | {_cell(sources)} |"


def _check(path: Path, why: bool, _: object) -> tuple[Report, str]:
    description = describe(load(path), why=why)
    return description.report, write(description, "md")


def _told(finding: Finding) -> bool:
    shown = isinstance(finding.outcome, Violated) and finding.kind != "weakness"
    return shown and finding.as_expected and finding.evidence is not None


def _file(report: Report, scenario: ScenarioReport, finding: Finding) -> str:
    return f"{report.model}.{scenario.name}.{finding.name}.txt"


def _run(report: Report, scenario: ScenarioReport, finding: Finding) -> str:
    trace = trace_of_finding(scenario.system, finding)
    assert trace is not None
    head = f"{report.file}, scenario {scenario.name}: {finding.name}\n{finding.claim}\n"
    body = layout_trace(trace, report.file, Style(width=110))
    return f"{head}{sentence(finding.outcome, scenario.instance)}\n{body}"


def _section(report: Report) -> Iterator[str]:
    yield f"## {report.model}\n"
    yield f"[{report.file}](../{report.file}), [what it guarantees](guarantees/{report.model}.md)\n"
    if report.doc:
        yield " ".join(report.doc.split()) + "\n"
    yield "| scenario | property | verdict | as expected |"
    yield "|---|---|---|---|"
    for scenario in report.scenarios:
        with_ = f", with {', '.join(scenario.variants)}" if scenario.variants else ""
        yield f"| **{scenario.name}** | | {_cell(scenario.instance + with_)} | |"
        for names, finding in _grouped(scenario):
            words = _cell(sentence(finding.outcome))
            if _told(finding):
                words = f"**[{words}](traces/{_file(report, scenario, finding)})**"
            yield f"| | {', '.join(names)} | {words} | {'yes' if finding.as_expected else 'NO'} |"
        for mismatch in scenario.mismatches:
            yield f"| | | {_cell(mismatch.message)} | NO |"
    yield ""


def _grouped(scenario: ScenarioReport) -> Iterator[tuple[list[str], Finding]]:
    """Findings in order; those next to each other that say the same as one."""
    names: list[str] = []
    last: Finding | None = None
    for finding in scenario.findings:
        same = last is not None and not _told(finding) and (last.outcome, last.as_expected) == (
            finding.outcome,
            finding.as_expected,
        )
        if last is not None and not same:
            yield names, last
            names = []
        names.append(finding.name)
        last = finding
    if last is not None:
        yield names, last


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
