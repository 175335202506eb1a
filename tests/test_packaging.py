"""The wheel carries all that is needed: it works in a fresh environment, far from the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without asking anybody."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(folder), str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in a fresh environment that borrows only the dependencies of this one."""
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program, run far from the checkout."""
    return subprocess.run([python, "-m", "protocheck", *words], cwd=folder, capture_output=True, text=True)


def test_the_wheel_carries_grammar_models_and_schema(wheel: Path) -> None:
    """What the program reads at run time is in the wheel, and nothing of the tests is."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "protocheck/_data/grammar/protocheck.lark" in names
    assert "protocheck/_data/models/lib/content.pchk" in names
    assert "protocheck/reports/schema/report.schema.json" in names
    assert "protocheck/reports/page/page.html" in names
    assert not [n for n in names if n.startswith("tests/")]


def test_the_code_in_use_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    """The fresh environment does not find the checkout by accident."""
    where = subprocess.run(
        [installed, "-c", "import protocheck; print(protocheck.__file__)"],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    ).stdout  # fmt: skip
    assert str(ROOT) not in where


def test_a_model_is_checked_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    """A copied model that imports a library of the wheel is checked, with the verdicts it expects."""
    model = tmp_path / "mine.pchk"
    model.write_text((ROOT / "models" / "gmem" / "populate_once.pchk").read_text())
    done = run(installed, "check", "mine.pchk", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("mine.pchk: ")


def test_the_shipped_models_are_found_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Without a path the models of the wheel are checked, under names without the path of the installation."""
    done = run(installed, "check", "--scenario", "opposite", "--property", "deadlock", folder=tmp_path)
    assert "models/toys/abba.pchk: abba" in done.stdout, done.stdout + done.stderr
    assert str(tmp_path.parent) not in done.stdout


def test_explain_and_schema_need_no_checkout(installed: Path, tmp_path: Path) -> None:
    """Pages and schema come from the wheel."""
    assert '"$schema"' in run(installed, "schema", folder=tmp_path).stdout
    assert "contradictory-options" in run(installed, "explain", folder=tmp_path).stdout
