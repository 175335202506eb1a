"""Whatever the text, the parser gives a tree or named faults within the text, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.source import SourceFile
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import _spelling, parse
from protocheck.syntax.rules import LATER, SYNTAX_RULES

DATA = Path(__file__).parent / "data"
_SAMPLES = [path.read_text(encoding="utf-8") for path in sorted(DATA.glob("*.pchk"))]
_WORDS = [*sorted(_spelling().values()), *LATER, "kvm", "gfn", "1", '"text"', "\n", "///", "//", "hypervisor kvm {\n"]


def check(text: str) -> None:
    """Parse ``text``; whatever is said about it must be fit to print."""
    for diagnostic in _faults(text):
        assert diagnostic.rule in SYNTAX_RULES
        assert diagnostic.headline
        assert diagnostic.labels
        for label in diagnostic.labels:
            assert 0 <= label.span.start <= label.span.end <= len(text)


def _faults(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with ``text``; nothing, if it is parsed to a tree."""
    try:
        tree = parse(SourceFile("fuzz.pchk", text))
    except ModelError as error:
        return error.diagnostics or pytest.fail("an error that says nothing")
    assert isinstance(tree, n.Module)
    return ()


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_random_characters(text: str) -> None:
    """Random characters never crash the parser."""
    check(text)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=60))
def test_random_words(words: list[str]) -> None:
    """Random words of the language never crash the parser."""
    check("protocol p\n" + " ".join(words))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_damaged_models(data: st.DataObject) -> None:
    """A sample file with a piece cut out, doubled or replaced never crashes the parser."""
    text = data.draw(st.sampled_from(_SAMPLES))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        piece = data.draw(st.sampled_from(["", text[start:end] * 2, *_WORDS]))
        text = text[:start] + piece + text[end:]
    check(text)
