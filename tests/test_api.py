"""The package as a library: findings as values, faults as exceptions; and the catalogue of rules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import protocheck
from protocheck.catalogue import all_rules, find_rule
from protocheck.findings import Violated

ROOT = Path(__file__).resolve().parent.parent


def test_check_file_returns_findings_as_values() -> None:
    """The smallest model with a deadlock: its verdict, length and run are there without printing anything."""
    report = protocheck.check_file(ROOT / "models" / "toys" / "abba.pchk", scenarios=("opposite",))
    (finding,) = [f for _, f in report.findings() if f.name == "deadlock"]
    assert isinstance(finding.outcome, Violated)
    assert (finding.outcome.steps, finding.outcome.shortest) == (4, True)
    assert finding.evidence is not None
    assert len(finding.evidence.replayed.states) == 5


def test_a_faulty_model_is_an_exception_with_every_fault(tmp_path: Path) -> None:
    """Two mistakes, two diagnostics, each with its rule and its line."""
    path = tmp_path / "bad.pchk"
    path.write_text("protocol bad\nkernel k {\n  thread t { with nolock { skip; } }\n  state x : nosuch;\n}\n")
    with pytest.raises(protocheck.ModelError) as caught:
        protocheck.check_file(path)
    found = {(d.rule.name, d.labels[0].span.line) for d in caught.value.diagnostics}
    assert {line for _, line in found} == {3, 4}
    assert all(name in all_rules() for name, _ in found)


def test_nothing_else_is_offered() -> None:
    """A misspelt name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'chek_file'"):
        _ = protocheck.chek_file


def test_every_rule_of_the_package_is_in_the_catalogue() -> None:
    """Wherever a rule is declared, ``explain`` knows it."""
    declared = set()
    for path in (ROOT / "protocheck").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.lower().endswith("rule"):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    declared.add(first.value)
    assert len(declared) > 50
    assert declared - set(all_rules()) == set()


def test_rules_are_named_by_the_fault_and_have_a_page() -> None:
    """Names are words in kebab-case; each rule has a summary that is a sentence, and a page."""
    for name, rule in all_rules().items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), name
        assert rule.summary, name
        assert rule.page.strip(), name


def test_a_rule_is_found_however_it_is_written() -> None:
    """Brackets, capitals and underscores do no harm."""
    for name in ("bad-usage", "[bad-usage]", "Bad_Usage", " bad-usage "):
        assert find_rule(name).name == "bad-usage"
