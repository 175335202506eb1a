"""Colour and width of text on a terminal: the few things that every report for people needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

TAB = 4


class Paint(Enum):
    """Meanings that are coloured, with their codes (ECMA-48 "select graphic rendition")."""

    ERROR = "1;31"
    WARNING = "1;33"
    GOOD = "32"
    NOTE = "1;36"
    DIM = "2"
    BOLD = "1"
    MARGIN = "1;34"


@dataclass(frozen=True)
class Style:
    """How to write for one output: ``color`` or plain, and how many columns there are."""

    color: bool = False
    width: int = 100

    def paint(self, text: str, paint: Paint) -> str:
        """``text`` in the colour of ``paint``, or as it is where there are no colours."""
        return f"\x1b[{paint.value}m{text}\x1b[0m" if self.color and text else text


def wants_color(terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether to use colour: only on a terminal, not a dumb one, and not if ``NO_COLOR`` is set (no-color.org)."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def char_width(c: str) -> int:
    """Columns that ``c`` takes on a terminal: 0 for combining marks, 2 for wide characters, else 1."""
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def display_width(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    return len(text) if text.isascii() else sum(char_width(c) for c in text)


def printable(text: str) -> str:
    """``text`` with tabs expanded and what could steer a terminal replaced, so that it is safe to print on one line."""
    parts: list[str] = []
    column = 0
    for c in text:
        if c == "\t":
            shown = " " * (TAB - column % TAB)
        elif unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            shown = "?"
        else:
            shown = c
        parts.append(shown)
        column += display_width(shown)
    return "".join(parts)


def wrap(text: str, width: int) -> list[str]:
    """``text`` cut into lines of at most ``width`` columns, between words where there is room, never empty.

    Lines after the first keep no indentation of their own; a word longer than a line is cut.
    """
    width = max(width, 8)
    lines: list[str] = []
    line = ""
    for word in _together(text.split(" "), width):
        if line and display_width(line) + 1 + display_width(word) <= width:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
        while display_width(word) > width:
            cut = _prefix(word, width)
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    if line or not lines:
        lines.append(line)
    return lines


def _together(words: list[str], width: int) -> Iterator[str]:
    """The words, an arrow as one with what it leads to, where that fits into a line."""
    arrow = False
    for at, word in enumerate(words):
        if arrow:
            arrow = False
            yield f"-> {word}"
        elif word == "->" and at + 1 < len(words) and 0 < display_width(words[at + 1]) <= width - 3:
            arrow = True
        else:
            yield word


def hang(lead: str, text: str, width: int, indent: int = 2) -> list[str]:
    """``text`` after ``lead``, wrapped to ``width`` columns; all lines but the first begin with ``indent`` spaces."""
    first, *rest = wrap(text, width - max(display_width(lead), indent))
    return [lead + first, *(" " * indent + line for line in rest)]


def _prefix(word: str, width: int) -> int:
    """How many characters of ``word`` fit, at least one; preferably up to a character after which one may break."""
    used = count = 0
    for c in word:
        used += char_width(c)
        if used > width:
            break
        count += 1
    count = max(count, 1)
    for at in range(count, count // 2, -1):
        if word[at - 1] in "._,/)=]-":
            return at
    return count


def pad(text: str, width: int) -> str:
    """``text`` filled with spaces to ``width`` columns."""
    return text + " " * max(0, width - display_width(text))
