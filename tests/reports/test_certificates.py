"""Proofs are written, checked again from their files, and a doctored one is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.cli import main
from protocheck.engines.certify import ScriptResult, absent_solvers, certify_dir
from protocheck.reports.certificates import contradicted, render_results, undecided
from protocheck.reports.style import Style
from protocheck.resources import models_path


def write(model: str, scenario: str, folder: Path) -> int:
    """Check one scenario of a shipped model and write its proofs."""
    path = str(models_path() / f"{model}.pchk")
    return main(["check", path, "--scenario", scenario, "--any-size", "--certificates", str(folder), "-j", "1"])


@pytest.mark.parametrize(
    ("model", "scenario", "proof"),
    [
        ("gmem/populate_locking", "after", "populate_locking/after/double_populate"),
        ("snp/snp_remap", "validate_once", "snp_remap/validate_once/lost_content+range"),
    ],
)
def test_written_proofs_are_confirmed(
    model: str, scenario: str, proof: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each solver that is there confirms every script that it can read, for these sizes and for any."""
    folder = tmp_path / "proofs"
    assert write(model, scenario, folder) == 0
    capsys.readouterr()
    names = sorted(p.relative_to(folder / proof).as_posix() for p in (folder / proof).iterdir())
    assert names[0] == "0001-begins.sat.smt2"
    assert any("any-size" in n for n in names)
    assert main(["certify", str(folder)]) == 0
    told = capsys.readouterr().out
    assert proof in told
    for name in absent_solvers():
        assert f"{name} is not installed" in told
    results = certify_dir(folder)
    assert all(r.confirms or r.answer == "unsupported" for r in results)
    assert all(r.confirms for r in results if r.solver == "z3")


def test_the_same_check_writes_the_same_files(tmp_path: Path) -> None:
    """Names and contents do not depend on the run."""
    for name in ("a", "b"):
        assert write("gmem/populate_locking", "after", tmp_path / name) == 0
    first, second = (
        {p.relative_to(tmp_path / n).as_posix(): p.read_text() for p in (tmp_path / n).rglob("*.smt2")}
        for n in ("a", "b")
    )
    assert first == second
    assert first


def test_a_doctored_proof_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script without its invariant gives a counterexample: exit code 70, and the file is named."""
    folder = tmp_path / "proofs"
    write("snp/snp_remap", "validate_once", folder)
    victim = next(p for p in sorted(folder.rglob("*.unsat.smt2")) if "excludes" in p.name)
    lines = victim.read_text(encoding="utf-8").splitlines()
    victim.write_text("\n".join(x for x in lines if not x.startswith("(assert")) + "\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["certify", str(folder)]) == 70
    assert f"{victim.name}: z3 says sat, and it must be unsat" in capsys.readouterr().out.replace("\n", " ").replace(
        "  ", ""
    )


def test_stale_scripts_are_removed(tmp_path: Path) -> None:
    """What an earlier check left in the folder of a proof does not stay."""
    folder = tmp_path / "proofs"
    write("gmem/populate_locking", "after", folder)
    old = folder / "populate_locking" / "after" / "double_populate" / "9999-old.unsat.smt2"
    old.write_text("(check-sat)\n", encoding="utf-8")
    write("gmem/populate_locking", "after", folder)
    assert not old.exists()


@pytest.mark.parametrize("content", [None, {}, {"x.smt2": "(check-sat)"}, {"x.maybe.smt2": "(check-sat)"}])
def test_a_folder_without_certificates_is_refused(
    content: dict[str, str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No folder, no scripts, or scripts that demand nothing: bad usage, never success."""
    folder = tmp_path / "proofs"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text, encoding="utf-8")
    assert main(["certify", str(folder)]) == 2
    assert "error[" in capsys.readouterr().err


def test_an_undecided_script_is_no_success() -> None:
    """A script that one solver confirms is confirmed; one that none does is undecided; the opposite contradicts."""
    results = [
        ScriptResult("p/a.unsat.smt2", "z3", "unknown", "unsat"),
        ScriptResult("p/a.unsat.smt2", "cvc5", "unsat", "unsat"),
        ScriptResult("p/b.unsat.smt2", "z3", "unknown", "unsat"),
        ScriptResult("p/b.unsat.smt2", "cvc5", "unsupported", "unsat"),
        ScriptResult("p/c.unsat.smt2", "z3", "sat", "unsat"),
    ]
    assert undecided(results) == ("p/b.unsat.smt2",)
    assert contradicted(results) == ("p/c.unsat.smt2",)
    told = render_results(results, ["bitwuzla"], Style(False, 100))
    assert "1 of 3 scripts confirmed." in told
    assert "p/b.unsat.smt2: z3 says unknown" in told
    assert "bitwuzla is not installed" in told
