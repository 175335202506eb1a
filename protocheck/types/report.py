"""Collects what the static checks find, so that one run reports everything."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from protocheck.diagnostics import Diagnostic, Label, Rule, Severity
from protocheck.source import Span


class Report:
    """Diagnostics in the order in which they are found; the same finding at the same place is kept once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, int], Diagnostic] = {}

    def add(
        self, rule: Rule, headline: str, at: Span, label: str = "", why: Iterable[Label] = (), mend: str = ""
    ) -> None:
        """Note that ``rule`` is broken ``at``; ``why`` are further places, ``mend`` says what would be right."""
        key = (rule.name, headline, at.file.path, at.start)
        self._found.setdefault(key, Diagnostic(rule, headline, (Label(at, label), *why), mend))

    def take(self, found: Iterable[Diagnostic]) -> None:
        """Add what was found elsewhere, in a library that does not parse."""
        for d in found:
            at = d.labels[0].span if d.labels else None
            key = (d.rule.name, d.headline, at.file.path if at else "", at.start if at else 0)
            self._found.setdefault(key, d)

    @property
    def failed(self) -> bool:
        """Whether an error (not merely a warning) was found."""
        return any(d.rule.severity is Severity.ERROR for d in self._found.values())

    def sorted(self, first: str) -> tuple[Diagnostic, ...]:
        """Everything found, file by file (the file ``first`` before the libraries), from top to bottom."""

        def place(d: Diagnostic) -> tuple[bool, str, int, int]:
            if not d.labels:
                return False, "", 0, 0
            at = d.labels[0].span
            return at.file.path != first, at.file.path, at.start, at.end

        return tuple(sorted(self._found.values(), key=place))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean `x`?``, or nothing where no known name is close to ``name``."""
    near = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def listing(names: Iterable[str], limit: int = 8) -> str:
    """Names for a sentence: ``a``, ``b`` and ``c``; cut off after ``limit``."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > limit:
        quoted = [*quoted[:limit], "..."]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted else ""
