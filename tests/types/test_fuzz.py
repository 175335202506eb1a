"""Whatever parses is checked, or refused by named faults that can be printed; nothing else ever comes out."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

import pytest

from protocheck.diagnostics import ModelError
from protocheck.resources import models_path
from protocheck.source import SourceFile
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader
from protocheck.types.rules import TYPE_RULES

_WORD = re.compile(r"(?<![\w\"])[A-Za-z_]\w*|\b\d+\b|[-+*/<>=!&|?.]+")
_PAGES = [text for rule in TYPE_RULES for text in re.findall(r"```pchk\n(.*?)\n```", rule.page, re.S)]
_MODELS = [p.read_text(encoding="utf-8") for p in sorted(models_path().glob("*/*.pchk")) if p.parent.name != "lib"]


@cache
def library(path: str) -> n.Module:
    return library_loader(Path())(path)


def damaged(text: str, chance: random.Random) -> str:
    """``text`` with one to three words replaced by others of the same text."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        found = list(_WORD.finditer(text))
        at, other = chance.choice(found), chance.choice(found)
        text = text[: at.start()] + other[0] + text[at.end() :]
    return text


@pytest.mark.parametrize("seed", range(8))
def test_damaged_models(seed: int) -> None:
    """Swapping words of a model never crashes the checks, and every finding can be shown."""
    chance = random.Random(seed)
    for _ in range(60):
        text = damaged(chance.choice(_PAGES * 3 + _MODELS), chance)
        try:
            module = parse(SourceFile("fuzz.pchk", text))
        except ModelError:
            continue
        try:
            found = check(module, library).warnings
        except ModelError as error:
            found = error.diagnostics
            assert found
        for d in found:
            assert d.headline
            assert all(0 <= at.span.start <= at.span.end <= len(at.span.file.text) for at in d.labels)
