"""``results/`` says what the program says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_results_are_current() -> None:
    """Table, runs and documents (but for the invariants) are what the shipped models give now; none is left over."""
    done = subprocess.run(
        [sys.executable, "results/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_link_of_the_table_leads_somewhere() -> None:
    """Each run and each model that the table names exists, and each run is named."""
    import re

    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        assert (ROOT / "results" / link).is_file(), link
    runs = {f"traces/{p.name}" for p in (ROOT / "results" / "traces").glob("*.txt")}
    assert runs == {link for link in links if link.startswith("traces/")}
