"""Lays out diagnostics for people: headline, place, source line, caret, the mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocheck.diagnostics import Diagnostic, Label, Severity
from protocheck.reports.style import Paint, Style, char_width, display_width, printable, wrap
from protocheck.source import SourceFile, Span


def render(diagnostics: Sequence[Diagnostic], style: Style) -> str:
    """All ``diagnostics`` in the order given, and a last line that counts them; empty without any."""
    if not diagnostics:
        return ""
    blocks = [render_one(d, style) for d in diagnostics]
    return "\n".join([*blocks, _count(diagnostics)]) + "\n"


def _count(diagnostics: Sequence[Diagnostic]) -> str:
    parts = []
    for severity in Severity:
        number = sum(d.rule.severity is severity for d in diagnostics)
        if number:
            parts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    names = list(dict.fromkeys(d.rule.name for d in diagnostics))
    hint = f"; `protocheck explain {names[0]}` says more" if names else ""
    return f"{' and '.join(parts)} found{hint}"


def render_one(diagnostic: Diagnostic, style: Style) -> str:
    """One diagnostic as a block of lines, ending with a line break."""
    severity = diagnostic.rule.severity
    paint = Paint.ERROR if severity is Severity.ERROR else Paint.WARNING
    head = style.paint(f"{severity.value}[{diagnostic.rule.name}]", paint)
    lines = [f"{head}: {style.paint(printable(diagnostic.headline), Paint.BOLD)}"]
    gutter = max((len(str(label.span.line)) for label in diagnostic.labels), default=1)
    margin = " " * gutter
    bar = style.paint("|", Paint.MARGIN)
    for number, (file, labels) in enumerate(_by_file(diagnostic.labels)):
        first = labels[0]
        arrow = style.paint("-->" if number == 0 else ":::", Paint.MARGIN)
        lines += [f"{margin}{arrow} {first.label.span}", f"{margin} {bar}"]
        lines += _excerpt(file, labels, gutter, bar, paint, style)
    if diagnostic.help:
        lead = f"{margin} {style.paint('=', Paint.MARGIN)} {style.paint('help', Paint.BOLD)}: "
        indent = " " * (gutter + 9)
        if diagnostic.labels:
            lines.append(f"{margin} {bar}")
        for paragraph in diagnostic.help.splitlines():
            for text in wrap(printable(paragraph), style.width - len(indent)):
                lines.append(lead + text)
                lead = indent
    return "\n".join(lines) + "\n"


def concise(diagnostic: Diagnostic) -> str:
    """One diagnostic on one line: place, rule, headline."""
    place = f"{diagnostic.labels[0].span}: " if diagnostic.labels else ""
    return f"{place}{diagnostic.rule.severity.value}[{diagnostic.rule.name}]: {printable(diagnostic.headline)}"


@dataclass(frozen=True)
class _Mark:
    label: Label
    primary: bool


def _by_file(labels: Sequence[Label]) -> list[tuple[SourceFile, list[_Mark]]]:
    """Labels grouped by file, files and labels in the order given; the first label of all is the primary one."""
    groups: list[tuple[SourceFile, list[_Mark]]] = []
    for number, label in enumerate(labels):
        mark = _Mark(label, number == 0)
        for file, marks in groups:
            if file is label.span.file or file.path == label.span.file.path:
                marks.append(mark)
                break
        else:
            groups.append((label.span.file, [mark]))
    return groups


def _excerpt(
    file: SourceFile, marks: Sequence[_Mark], gutter: int, bar: str, paint: Paint, style: Style
) -> list[str]:
    """The marked source lines in ascending order, each followed by its underlines."""
    lines: list[str] = []
    previous: int | None = None
    room = max(40, style.width - gutter - 3)
    for number in sorted({m.label.span.line for m in marks}):
        if previous is not None and number > previous + 1:
            lines.append(style.paint("...", Paint.MARGIN))
        previous = number
        here = [m for m in marks if m.label.span.line == number]
        window = _Window.around(file.line_text(number), here[0].label.span.column - 1, room)
        lines.append(f"{style.paint(str(number).rjust(gutter), Paint.MARGIN)} {bar} {window.text}".rstrip())
        for mark in sorted(here, key=lambda m: not m.primary):
            start, length = window.underline(mark.label.span)
            sign = ("^" if mark.primary else "-") * length
            words = printable(mark.label.text)
            last_line = file.line_column(max(mark.label.span.start, mark.label.span.end - 1))[0]
            if last_line > number:
                words = f"{words} (to line {last_line})".strip()
            under = style.paint(sign, paint if mark.primary else Paint.MARGIN)
            beside = room - start - length - 1
            if display_width(words) <= beside:
                lines.append(f"{' ' * gutter} {bar} {' ' * start}{under} {words}".rstrip())
                continue
            lines.append(f"{' ' * gutter} {bar} {' ' * start}{under}")
            indent = min(start, room // 2)
            lines += [f"{' ' * gutter} {bar} {' ' * indent}{part}" for part in wrap(words, room - indent)]
    return lines


@dataclass(frozen=True)
class _Window:
    """The part of a source line that is shown, with what is needed to find a column in it."""

    text: str
    line: str
    first: int  # characters cut off on the left
    lead: int  # columns that the mark of the cut takes

    @staticmethod
    def around(line: str, at: int, room: int) -> _Window:
        """The whole ``line`` if it fits into ``room`` columns, else what stands around character ``at``."""
        if len(line) <= room * 4:
            shown = printable(line)
            if display_width(shown) <= room:
                return _Window(shown, line, 0, 0)
        first = max(0, at - room // 3)
        lead = "..." if first else ""
        part = printable(line[first : first + room])
        text = lead
        for c in part:
            if display_width(text) + char_width(c) > room - 3:
                break
            text += c
        cut = "..." if first + room < len(line) or len(text) - len(lead) < len(part) else ""
        return _Window(text + cut, line, first, len(lead))

    def underline(self, span: Span) -> tuple[int, int]:
        """Column (from 0) and length of the underline for ``span``, which begins on this line."""
        begin = span.column - 1
        end = min(len(self.line), begin + max(0, span.end - span.start))
        start = self.lead + display_width(printable(self.line[self.first : begin]))
        stop = self.lead + display_width(printable(self.line[self.first : end]))
        limit = max(start + 1, display_width(self.text))
        return start, max(1, min(stop, limit) - start)
