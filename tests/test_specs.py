"""Runs the specifications in ``specs/**/*.md``: what is announced on a line must be found there, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.rules import TYPE_RULES

SPECS = Path(__file__).parent / "specs"
ANNOUNCED = re.compile(r'// (error|warning): (?:(\d+) )?\[([a-z0-9-]+)\](?: "((?:[^"\\]|\\.)*)")?')
_IDLE = "\nhypervisor idle_host { thread idle_thread { } }"
IN_PYTHON = {"not-a-model", "cyclic-import"}  # these need several files, see types/test_imports.py


def blocks() -> Iterator[tuple[str, str]]:
    """Every block of model text, with the place where it is written."""
    for path in sorted(SPECS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^```pchk\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, found.start()) + 2
            yield f"{path.relative_to(SPECS).as_posix()}:{line}", found[1]


BLOCKS = dict(blocks())


def complete(text: str) -> str:
    """A whole model: a header, and a thread where there is none, are added to a block without a header of its own."""
    if re.search(r"^(protocol|module)\b", text, re.M):
        return text
    threads = "" if re.search(r"\b(thread|server|environment|adversary) \w+", text) else _IDLE
    return f"protocol spec {text}{threads}"


def findings(text: str) -> tuple[Diagnostic, ...]:
    """Errors and warnings of a model."""
    try:
        return check(parse(SourceFile("spec.pchk", text)), library_loader(SPECS)).warnings
    except ModelError as error:
        return error.diagnostics


@pytest.mark.parametrize("place", BLOCKS)
def test_spec(place: str) -> None:
    """Each finding is announced on its line, and each announcement is found."""
    text = BLOCKS[place]
    shift = len("protocol spec ") if not re.search(r"^(protocol|module)\b", text, re.M) else 0
    left = list(findings(complete(text)))
    missing = []
    for number, line in enumerate(text.splitlines(), 1):
        for severity, column, rule, words in ANNOUNCED.findall(line):
            for d in left:
                at = d.labels[0].span
                said = "\n".join([d.headline, d.help, *(label.text for label in d.labels)])
                begins = at.column - (shift if number == 1 else 0)
                fits = (d.rule.name, d.rule.severity.value, at.line) == (rule, severity, number)
                if fits and column in ("", str(begins)) and words.replace('\\"', '"') in said:
                    left.remove(d)
                    break
            else:
                missing.append(f"line {number}: {severity} [{rule}] {words}")
    found = [f"line {d.labels[0].span.line}: [{d.rule.name}] {d.headline} | {d.help}" for d in left]
    assert (missing, found) == ([], []), "(announced but not found, found but not announced)"


def test_every_rule_is_specified() -> None:
    """There is no rule whose message no specification shows."""
    shown = {rule for text in BLOCKS.values() for _, _, rule, words in ANNOUNCED.findall(text) if words}
    assert {rule.name for rule in TYPE_RULES} - shown - IN_PYTHON == set()
