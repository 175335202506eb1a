"""Source files, spans of text in them, and chains of spans through inlined calls."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class SourceFile:
    """A model file: ``path`` as it is shown to people (relative, with ``/``) and its whole ``text``."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offsets at which each line begins; element 0 is always 0."""
        return (0, *(i + 1 for i, c in enumerate(self.text) if c == "\n"))

    def line_column(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column (in characters) of ``offset``."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of the 1-based ``line`` without its line break; empty past the end."""
        if line > len(self.line_starts):
            return ""
        start = self.line_starts[line - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """The half-open range of offsets ``start..end`` in ``file``; lines are computed only to print."""

    file: SourceFile = field(compare=False, repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.file.line_column(self.start)[0]

    @property
    def column(self) -> int:
        return self.file.line_column(self.start)[1]

    @property
    def text(self) -> str:
        return self.file.text[self.start : self.end]

    def __str__(self) -> str:
        return f"{self.file.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Origin:
    """Where a step comes from: the innermost span and, through inlining, the call it was reached by."""

    span: Span
    called_from: Origin | None = None

    def chain(self) -> Iterator[Span]:
        """Spans from the innermost outwards."""
        at: Origin | None = self
        while at is not None:
            yield at.span
            at = at.called_from
