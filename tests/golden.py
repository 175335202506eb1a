"""Expected outputs in files: compared, or rewritten by ``make accept`` and then read in the diff."""

from __future__ import annotations

import os
from pathlib import Path


def check(golden: Path, text: str) -> None:
    """``text`` is what ``golden`` says."""
    if os.environ.get("PROTOCHECK_ACCEPT"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert golden.is_file(), f"{golden.name} is missing; `make accept` writes it"
    assert text == golden.read_text(encoding="utf-8")
