"""Proofs as files: what ``check --certificates`` writes, and what ``certify`` says about such files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from protocheck.engines.certify import CertificateRejected, CertificateUndecided, ScriptResult, export
from protocheck.engines.verdict import Exhausted, Structural
from protocheck.findings import Finding, Proof, Report, ScenarioReport, certificate_words, plural
from protocheck.reports.style import Style, hang


@dataclass(frozen=True)
class Written:
    """``proofs`` were written as ``scripts`` files. ``left_out`` are verdicts without a script, each with its reason.

    ``wrong`` are proofs whose scripts do not give the answer they must, which is a fault of ours.
    """

    proofs: int
    scripts: int
    left_out: tuple[str, ...]
    wrong: tuple[str, ...]


def write_certificates(reports: Sequence[Report], directory: Path) -> Written:
    """Write the proofs of ``reports`` as SMT-LIB 2 scripts, one folder per proof: model, scenario, properties.

    Properties with one proof share its folder. Scripts that an earlier check left in such a folder are removed.
    OSError if a file cannot be written.
    """
    proofs = scripts = 0
    left_out: list[str] = []
    wrong: list[str] = []
    for report in reports:
        for scenario in report.scenarios:
            for findings, proof in _shared(scenario):
                names = " and ".join(f.name for f in findings)
                about = f"{report.model}: {scenario.name}: {names}"
                by = proof.verdict.by
                if isinstance(by, Structural | Exhausted):
                    left_out.append(f"{about} ({certificate_words(by)})")
                    continue
                folder = directory / _safe(report.model) / _safe(scenario.name)
                folder /= _safe("+".join(f.name for f in findings))
                for old in sorted(folder.glob("*.smt2")):
                    old.unlink()
                try:
                    written = export(proof.system, proof.target, proof.verdict, folder)
                except CertificateUndecided as problem:
                    left_out.append(f"{about} ({problem})")
                except CertificateRejected as problem:
                    wrong.append(f"{about}: {problem}")
                else:
                    proofs += 1
                    scripts += len(written)
    return Written(proofs, scripts, tuple(left_out), tuple(wrong))


def _shared(scenario: ScenarioReport) -> Iterator[tuple[list[Finding], Proof]]:
    """The proofs of a scenario, each with the findings that it is for."""
    groups: list[tuple[list[Finding], Proof]] = []
    for finding in scenario.findings:
        proof = finding.proof
        if proof is None:
            continue
        for others, other in groups:
            if other.target == proof.target and other.verdict == proof.verdict:
                others.append(finding)
                break
        else:
            groups.append(([finding], proof))
    yield from groups


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in name).lstrip(".") or "_"


def render_written(written: Written, directory: str, style: Style) -> str:
    """What was written, and what was not."""
    what = f"{plural(written.proofs, 'proof')} written as {plural(written.scripts, 'script')} to {directory}"
    if not written.scripts:
        what = f"nothing is written to {directory}: no proof here is one that a solver can check"
    lines = hang("", what, style.width)
    if written.left_out:
        lines.append("without a script, since a solver cannot check an argument about the code:")
        for words in written.left_out:
            lines += hang("  - ", words, style.width, 4)
    return "\n".join(lines) + "\n"


def render_results(results: Sequence[ScriptResult], absent: Sequence[str], style: Style) -> str:
    """A row per proof with what each solver confirms, then each script that is not confirmed."""
    solvers = list(dict.fromkeys(r.solver for r in results))
    proofs = list(dict.fromkeys(_proof(r) for r in results))
    rows = []
    for proof in proofs:
        own = [r for r in results if _proof(r) == proof]
        scripts = len(dict.fromkeys(r.script for r in own))
        rows.append([proof, scripts, *(_counted([r for r in own if r.solver == s]) for s in solvers)])
    lines = tabulate(rows, headers=["proof", "scripts", *solvers], tablefmt="simple").split("\n")
    for result in results:
        if result.contradicts or result.answer == "unknown":
            what = f"{result.script}: {result.solver} says {result.answer}, and it must be {result.wanted}"
            lines += hang("", what, style.width)
    scripts = len(dict.fromkeys(r.script for r in results))
    confirmed = scripts - len(contradicted(results)) - len(undecided(results))
    lines += ["", f"{confirmed:,} of {plural(scripts, 'script')} confirmed."]
    lines += [f"{name} is not installed (pip install 'protocheck[certify]')." for name in absent]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def contradicted(results: Sequence[ScriptResult]) -> tuple[str, ...]:
    """Scripts of which some solver says the opposite of what they must give."""
    return tuple(dict.fromkeys(r.script for r in results if r.contradicts))


def undecided(results: Sequence[ScriptResult]) -> tuple[str, ...]:
    """Scripts that no solver confirms and none contradicts."""
    known = {r.script for r in results if r.confirms or r.contradicts}
    return tuple(dict.fromkeys(r.script for r in results if r.script not in known))


def _proof(result: ScriptResult) -> str:
    return result.script.rpartition("/")[0] or "."


def _counted(results: Sequence[ScriptResult]) -> str:
    parts = []
    for words, number in (
        ("confirmed", sum(r.confirms for r in results)),
        ("CONTRADICTED", sum(r.contradicts for r in results)),
        ("undecided", sum(r.answer == "unknown" for r in results)),
        ("not supported", sum(r.answer == "unsupported" for r in results)),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    return ", ".join(parts)
