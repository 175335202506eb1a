"""Where the grammar and the shipped models are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def grammar_path() -> Path:
    """The Lark grammar of the modelling language."""
    return _data("grammar") / "protocheck.lark"


def models_path() -> Path:
    """The folder of the shipped models; ``lib/`` in it holds the library modules."""
    return _data("models")
