"""The pages of the syntax rules are true: faulty examples are refused by their rule, mended ones are accepted."""

from __future__ import annotations

import re

import pytest

from protocheck.diagnostics import ModelError, Rule
from protocheck.source import SourceFile
from protocheck.syntax import rules
from protocheck.syntax.parse import parse
from protocheck.syntax.rules import LATER, SYNTAX_RULES

_NO_TEXT = {"unreadable-file", "not-utf8", "binary-file", "file-too-large"}


def found(text: str) -> list[str]:
    """The names of the rules that ``text`` breaks, in order."""
    try:
        parse(SourceFile("test.pchk", text))
    except ModelError as error:
        return [d.rule.name for d in error.diagnostics]
    return []


def examples(rule: Rule) -> list[str]:
    return re.findall(r"```pchk\n(.*?)\n```", rule.page, re.DOTALL)


@pytest.mark.parametrize("rule", [r for r in SYNTAX_RULES if r.name not in _NO_TEXT], ids=lambda r: r.name)
def test_faulty_example_is_refused_by_its_rule(rule: Rule) -> None:
    """The first example of a page breaks the rule of the page, and no other but where faults pile up on purpose."""
    faulty, mended = examples(rule)
    names = found(faulty)
    expected = ["unknown-character"] * 100 + [rule.name] if rule.name == "too-many-faults" else [rule.name]
    assert names == expected
    assert found(mended) == []


def test_every_rule_is_listed_once() -> None:
    """The tuple of rules has every rule of the module, each name once, each with a summary and a page."""
    declared = [v for v in vars(rules).values() if isinstance(v, Rule)]
    assert sorted(r.name for r in declared) == sorted(r.name for r in SYNTAX_RULES)
    assert len({r.name for r in SYNTAX_RULES}) == len(SYNTAX_RULES)
    for rule in SYNTAX_RULES:
        assert rule.summary.endswith("."), rule.name
        assert len(rule.page) > 80, rule.name
        assert bool(examples(rule)) == (rule.name not in _NO_TEXT), rule.name


_CONSTRUCTS = {
    "object": "object slot[2] { state f : bool; }",
    "new": "hypervisor k { proc f() { let p = new slot; } }",
    "free": "hypervisor k { proc f() { free p; } }",
    "may_fail": "hypervisor k { op f() may_fail { skip; } }",
    "on_error": "hypervisor k { proc f() { on_error { skip; } } }",
    "try": "hypervisor k { proc f() { try g(); } }",
    "killable": "hypervisor k { proc f() { acquire l killable else { return; } } }",
    "recoverable": "recoverable r: true;",
    "progress": "progress p: true;",
    "fair": "hypervisor k { proc f() { fair either { skip; } or { skip; } } }",
    "strict": "scenario s strict { expect all hold; }",
}


@pytest.mark.parametrize("word", LATER)
def test_constructs_of_later_versions_are_refused_by_name(word: str) -> None:
    """A planned construct breaks ``not-yet-supported`` alone, at its own word, and its headline names it."""
    text = "protocol p\n" + _CONSTRUCTS[word]
    with pytest.raises(ModelError) as caught:
        parse(SourceFile("test.pchk", text))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.rule is rules.NOT_YET_SUPPORTED
    assert diagnostic.headline.startswith(f"`{word}` is not supported yet: ")
    assert diagnostic.labels[0].span.text == word
    assert diagnostic.help.startswith("for now, ")


def test_words_of_later_constructs_are_names_meanwhile() -> None:
    """An enum may have members called free and busy."""
    assert found("protocol p\ntype s = enum { free, busy, new, run }\nconst A : s = busy\n") == []
