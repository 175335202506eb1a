"""Printing a tree and parsing the text gives the same tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syntax.unparse import unparse

from protocheck.resources import models_path
from protocheck.source import SourceFile, Span
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import load_source, parse

DATA = Path(__file__).parent / "data"
_FILES = [*sorted(DATA.glob("*.pchk")), *sorted(models_path().rglob("*.pchk"))]


def walk(node: Any) -> Iterator[n.Node]:
    """``node`` and all nodes below it."""
    if isinstance(node, tuple):
        for part in node:
            yield from walk(part)
    elif isinstance(node, n.Node):
        yield node
        for field in dataclasses.fields(node):
            if field.name not in ("span", "file"):
                yield from walk(getattr(node, field.name))


@pytest.mark.parametrize("path", _FILES, ids=lambda p: p.stem)
def test_printed_file_parses_to_the_same_tree(path: Path) -> None:
    """What the printer writes for a file is read back as the same tree."""
    module = parse(load_source(path, path.name))
    printed = unparse(module)
    again = parse(SourceFile("printed.pchk", printed))
    assert (again.header, again.items) == (module.header, module.items)


@pytest.mark.parametrize("path", _FILES, ids=lambda p: p.stem)
def test_spans_nest(path: Path) -> None:
    """The span of every node lies within the file, is not empty, and covers the spans of the nodes below it."""
    module = parse(load_source(path, path.name))
    for node in walk(module):
        assert 0 <= node.span.start < node.span.end <= len(module.file.text)
        if isinstance(node, n.Ident):
            assert node.span.text == node.text
        for field in dataclasses.fields(node):
            parts = getattr(node, field.name)
            for part in parts if isinstance(parts, tuple) else (parts,):
                if isinstance(part, n.Node) and not isinstance(node, n.Module):
                    assert node.span.start <= part.span.start
                    assert part.span.end <= node.span.end


def test_sample_files_contain_every_kind_of_node() -> None:
    """The two sample files together hold at least one node of every class, so the tests above reach all of them."""
    samples = [parse(load_source(DATA / name)) for name in ("every_construct.pchk", "every_module.pchk")]
    seen = {type(node) for sample in samples for node in walk(sample)}
    known = {c for c in vars(n).values() if isinstance(c, type) and issubclass(c, n.Node)}
    assert known - seen - {n.Node, n.Decl} == set()


_HERE = Span(SourceFile("made.pchk", ""), 0, 0)
_idents = st.sampled_from(["a", "b", "x", "read", "guest", "idle"]).map(lambda t: n.Ident(t, span=_HERE))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> n.Expr:
    """Any expression without calls, at most ``depth`` operators high."""

    def inner() -> n.Expr:
        return draw(expressions(depth - 1))

    shape = draw(st.integers(0, 11 if depth else 3))
    match shape:
        case 0 | 1:
            return n.Name(draw(_idents), span=_HERE)
        case 2:
            return n.IntLit(draw(st.integers(0, 99)), span=_HERE)
        case 3:
            return draw(st.sampled_from([n.NoneLit(span=_HERE), n.BoolLit(True, span=_HERE), n.StaleLit(span=_HERE)]))
        case 4 | 5:
            return n.Binary(draw(st.sampled_from(get_args(n.BinaryOp))), inner(), inner(), span=_HERE)
        case 6:
            return n.Unary(draw(st.sampled_from(get_args(n.UnaryOp))), inner(), span=_HERE)
        case 7:
            return n.Conditional(inner(), inner(), inner(), span=_HERE)
        case 8:
            return n.Member(inner(), draw(_idents), span=_HERE)
        case 9:
            return n.Index(n.Unwrap(inner(), span=_HERE), inner(), span=_HERE)
        case 10:
            return n.SetLit(tuple(inner() for _ in range(draw(st.integers(0, 2)))), span=_HERE)
        case _:
            binder = n.Binder(draw(_idents), n.NamedType((draw(_idents),), span=_HERE), span=_HERE)
            where = inner() if draw(st.booleans()) else None
            kind = draw(st.sampled_from(get_args(n.QuantifierKind)))
            return n.Quantified(kind, (binder,), where, inner(), span=_HERE)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(expressions())
def test_random_expressions_survive_printing(expr: n.Expr) -> None:
    """Any expression, printed with all its parentheses, is read back as itself."""
    header = n.Protocol(n.Ident("p", span=_HERE), span=_HERE)
    made = n.Module(_HERE.file, header, (n.Require(expr, span=_HERE),), span=_HERE)
    again = parse(SourceFile("printed.pchk", unparse(made)))
    assert again.items == made.items
