"""What is said about a faulty model: rules, labels, diagnostics. Laid out for people in ``protocheck.reports``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocheck.source import Span


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One kind of fault.

    ``name`` is the fault in words (kebab-case), ``summary`` one sentence, ``page`` the Markdown that
    ``protocheck explain NAME`` prints: what is wrong, why it matters, a faulty example, the mended example.
    """

    name: str
    summary: str
    page: str = ""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Label:
    """A place and, if the place does not speak for itself, a short remark about it."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """A finding about a model file. The headline stands alone on one line; the first label is where to look."""

    rule: Rule
    headline: str
    labels: tuple[Label, ...] = ()
    help: str = ""


class ModelError(Exception):
    """Raised once per stage, with every diagnostic that the stage found (never empty)."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("; ".join(d.headline for d in diagnostics))
        self.diagnostics = tuple(diagnostics)
