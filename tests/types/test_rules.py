"""The pages of the rules: their examples are what they say they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocheck.diagnostics import ModelError, Rule
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.rules import TYPE_RULES

NEEDS_FILES = {"not-a-model", "cyclic-import"}


def examples(rule: Rule) -> list[str]:
    """The faulty and the mended example of a page."""
    return re.findall(r"```pchk\n(.*?)\n```", rule.page, re.S)


def found(text: str) -> list[str]:
    """The names of the rules that a model breaks."""
    try:
        return [d.rule.name for d in check(parse(SourceFile("page.pchk", text)), library_loader(Path())).warnings]
    except ModelError as error:
        return [d.rule.name for d in error.diagnostics]


@pytest.mark.parametrize("rule", TYPE_RULES, ids=lambda rule: rule.name)
def test_page(rule: Rule) -> None:
    """The faulty example breaks the rule and no other, and the mended one none."""
    if rule.name in NEEDS_FILES:
        assert examples(rule) == []
        return
    faulty, mended = examples(rule)
    assert found(faulty) == [rule.name]
    assert found(mended) == []


def test_names_are_faults_in_words() -> None:
    """Names are unique, kebab-case, and come with a sentence."""
    names = [rule.name for rule in TYPE_RULES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", name) for name in names)
    assert all(rule.summary.endswith(".") and rule.page for rule in TYPE_RULES)
