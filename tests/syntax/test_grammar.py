"""The grammar is unambiguous, every token in it can be spelt, and the tables made from it are current."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from lark import Lark

from protocheck.diagnostics import ModelError
from protocheck.resources import grammar_path
from protocheck.source import SourceFile
from protocheck.syntax import parse as parse_module
from protocheck.syntax.build import Builder
from protocheck.syntax.parse import parse
from protocheck.syntax.words import BY_NEIGHBOURS

GRAMMAR = grammar_path().read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lark() -> Lark:
    return parse_module._build_lark()


def test_grammar_has_no_conflicts() -> None:
    """Lark's strict mode finds no shift/reduce conflict and no two patterns that match the same text."""
    Lark(GRAMMAR, parser="lalr", lexer="basic", start=parse_module._STARTS, strict=True)


def test_strict_mode_would_notice_a_conflict() -> None:
    """The check above is awake: the same grammar with a dangling else is refused."""
    broken = GRAMMAR.replace('"if" expr block ["else" (block | if_stmt)]', '"if" expr statement ["else" statement]')
    assert broken != GRAMMAR
    with pytest.raises(Exception, match=r"(?i)conflict|collision"):
        Lark(broken, parser="lalr", lexer="basic", start=parse_module._STARTS, strict=True)


def test_no_terminal_is_anonymous(lark: Lark) -> None:
    """Every terminal has a name of its own and a spelling, so that a message can name it."""
    names = {t.name for t in lark.terminals}
    assert not [name for name in names if name.startswith("__")]
    assert names - {"COMMENT", "SPACE"} <= set(parse_module._spelling())


def test_builder_has_exactly_the_methods_the_grammar_calls(lark: Lark) -> None:
    """Rules and aliases on one side, public methods of the builder on the other, are the same set."""
    called = set()
    for rule in lark.rules:
        if rule.alias:
            called.add(rule.alias)
        elif not rule.origin.name.startswith("_"):
            kept = [s for s in rule.expansion if not s.is_term or not s.filter_out]
            if not (rule.options.expand1 and len(kept) == 1):
                called.add(str(rule.origin.name))
    methods = {name for name, _ in inspect.getmembers(Builder, inspect.isfunction) if not name.startswith("_")}
    assert called == methods


def test_stored_tables_are_current() -> None:
    """The tables beside the grammar were made from it; if not, run ``make tables``."""
    assert parse_module._tables_path().read_bytes().startswith(parse_module._tables_key())


def test_tables_of_another_grammar_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that were not made from this grammar are passed over, and the grammar is read instead."""
    stale = tmp_path / "stale.tables"
    stale.write_bytes(b"lark 0 sha256 0\nnonsense")
    monkeypatch.setattr(parse_module, "_tables_path", lambda: stale)
    assert parse_module._lark.__wrapped__().parse("check all;", start="item").data == "check"


def test_saved_tables_parse_like_the_grammar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that are saved and loaded again give the tree that the grammar gives."""
    fresh = tmp_path / "fresh.tables"
    monkeypatch.setattr(parse_module, "_tables_path", lambda: fresh)
    built = parse_module._lark.__wrapped__()
    parse_module.save_tables()
    loaded = parse_module._lark.__wrapped__()
    text = "invariant a as f: forall g in gfn : kvm.spte[g] == none || !p!.q;"
    assert loaded.parse(text, start="item") == built.parse(text, start="item")
    assert fresh.is_file()


def test_groups_of_expected_words_are_terminals(lark: Lark) -> None:
    """Each terminal that a message groups under one word exists in the grammar."""
    names = {t.name for t in lark.terminals} | {"PRODUCT"}
    for group, _ in parse_module._GROUPS:
        assert group <= names
    assert names >= parse_module._PREFIXES


def test_soft_words_are_those_of_the_grammar() -> None:
    """The soft words that messages treat as names are the ones that the rule `ident` takes."""
    (rule,) = re.findall(r"^ident: ((?:.*\n)(?:     \|.*\n)*)", GRAMMAR, re.MULTILINE)
    assert set(re.findall(r"[A-Z_]+", rule)) == parse_module._NAMES


def _keywords() -> list[str]:
    words = parse_module._keywords() - parse_module._SOFT - BY_NEIGHBOURS.keys()
    return sorted(parse_module._spelling()[t] for t in words)


def test_every_keyword_is_refused_as_a_name() -> None:
    """None of the keywords is taken as the name of a state, wherever the grammar could have been lenient."""
    words = _keywords()
    assert len(words) == 86
    for word in words:
        with pytest.raises(ModelError) as caught:
            parse(SourceFile("test.pchk", f"protocol p\nhypervisor kvm {{ state {word} : bool; }}"))
        assert [d.rule.name for d in caught.value.diagnostics] == ["keyword-as-name"], word


def test_every_soft_word_is_a_name() -> None:
    """Each soft word can be declared, read, called and stored to."""
    for token in parse_module._SOFT | BY_NEIGHBOURS.keys():
        w = parse_module._spelling()[token]
        text = (
            f"protocol {w}\ntype {w} = enum {{ {w}, b }}\nhypervisor {w} {{\n state {w} : [{w}] {w}? = {w}.{w};\n"
            f" lock l : mutex;\n pub op {w}({w} : {w}) {{ {w}: {w}[{w}] = {w}; with {w} read {{ {w}.{w}(); }} }}\n}}\n"
        )
        parse(SourceFile("test.pchk", text))
