"""Diagnostics as people see them."""

from __future__ import annotations

import pytest

from protocheck.diagnostics import Diagnostic, Label, Rule, Severity
from protocheck.reports.diagnostics import concise, render, render_one
from protocheck.reports.style import Style, display_width, wants_color, wrap
from protocheck.source import SourceFile, Span

RULE = Rule("unknown-name", "A name is not declared.")
WARN = Rule("unused-lock", "A lock is never taken.", severity=Severity.WARNING)
TEXT = "protocol p\nhypervisor kvm {\n    lock invalidate_lock : rwsem;\n\twith invalidate_lok { skip; }\n}\n"
FILE = SourceFile("models/p.pchk", TEXT)
PLAIN = Style()


def span(needle: str, file: SourceFile = FILE) -> Span:
    """The first place of ``needle``."""
    start = file.text.index(needle)
    return Span(file, start, start + len(needle))


def test_headline_place_caret_and_mend() -> None:
    """The primary label is underlined with carets below its line, a second one with dashes, the mend comes last."""
    diagnostic = Diagnostic(
        RULE,
        "no lock is called `invalidate_lok`",
        (Label(span("invalidate_lok ")), Label(span("invalidate_lock"), "a lock of nearly that name")),
        "did you mean `invalidate_lock`?",
    )
    assert render_one(diagnostic, PLAIN) == (
        "error[unknown-name]: no lock is called `invalidate_lok`\n"
        " --> models/p.pchk:4:7\n"
        "  |\n"
        "3 |     lock invalidate_lock : rwsem;\n"
        "  |          --------------- a lock of nearly that name\n"
        "4 |     with invalidate_lok { skip; }\n"
        "  |          ^^^^^^^^^^^^^^^\n"
        "  |\n"
        "  = help: did you mean `invalidate_lock`?\n"
    )


def test_lines_between_are_left_out() -> None:
    """Two labels that are not on neighbouring lines have an ellipsis between them."""
    text = render_one(Diagnostic(RULE, "x", (Label(span("protocol")), Label(span("skip"), "here"))), PLAIN)
    assert "1 | protocol p\n  | ^^^^^^^^\n...\n4 | " in text


def test_a_tab_before_the_caret_counts_as_the_columns_it_takes() -> None:
    """The caret stands below its text although a tab comes before."""
    lines = render_one(Diagnostic(RULE, "x", (Label(span("skip")),)), PLAIN).split("\n")
    assert lines[3].index("skip") == lines[4].index("^^^^")


def test_wide_characters_before_the_caret_take_two_columns() -> None:
    """The caret stands below its text although wide characters come before."""
    file = SourceFile("w.pchk", "/* 内存 */ bad;\n")
    lines = render_one(Diagnostic(RULE, "x", (Label(span("bad", file)),)), PLAIN).split("\n")
    before = lines[3].split("bad")[0]
    assert display_width(before) == lines[4].index("^^^")
    assert display_width(before) > len(before)


def test_a_label_over_several_lines_says_where_it_ends() -> None:
    """Only the first line is shown, with the number of the last one."""
    text = render_one(Diagnostic(RULE, "x", (Label(span("hypervisor kvm {\n    lock"), "this block"),)), PLAIN)
    assert "2 | hypervisor kvm {\n  | ^^^^^^^^^^^^^^^^ this block (to line 3)\n" in text


def test_labels_in_another_file_name_it() -> None:
    """A label in a library stands below the library's own place."""
    library = SourceFile("models/lib/q.pchk", "pub op x() { }\n")
    text = render_one(Diagnostic(RULE, "x", (Label(span("skip")), Label(span("x", library), "declared"))), PLAIN)
    assert " ::: models/lib/q.pchk:1:8\n  |\n1 | pub op x() { }\n  |        - declared\n" in text


def test_without_a_place_there_is_a_headline_and_a_mend() -> None:
    """A fault of the command line has no excerpt."""
    text = render_one(Diagnostic(RULE, "no such thing", (), "try another"), PLAIN)
    assert text == "error[unknown-name]: no such thing\n  = help: try another\n"


def test_a_label_at_the_end_of_the_file_has_a_caret() -> None:
    """An empty span behind the last character is underlined by one caret."""
    file = SourceFile("e.pchk", "protocol p")
    text = render_one(Diagnostic(RULE, "x", (Label(Span(file, 10, 10), "more is expected"),)), PLAIN)
    assert "1 | protocol p\n  |           ^ more is expected\n" in text


def test_an_empty_file_has_a_caret() -> None:
    """An empty file can be pointed at."""
    file = SourceFile("e.pchk", "")
    assert "1 |\n  | ^\n" in render_one(Diagnostic(RULE, "x", (Label(Span(file, 0, 0)),)), PLAIN)


def test_a_huge_line_is_cut_around_the_caret() -> None:
    """A line of a million characters prints as one that fits, with the marked text in it."""
    file = SourceFile("h.pchk", "x" * 500_000 + " bad " + "y" * 500_000)
    lines = render_one(Diagnostic(RULE, "x", (Label(span("bad", file)),)), PLAIN).split("\n")
    assert max(len(line) for line in lines) <= 100
    at = lines[4].index("^^^")
    assert lines[3][at : at + 3] == "bad"


def test_nothing_in_a_source_line_steers_the_terminal() -> None:
    """An escape character in a model is not sent to the terminal."""
    file = SourceFile("e.pchk", "bad \x1b[31m text \u202e\n")
    text = render_one(Diagnostic(RULE, "a \x1b b", (Label(span("bad", file), "c \x07 d"),)), PLAIN)
    assert text.isascii()
    assert "\x1b" not in text
    assert "\x07" not in text


def test_errors_and_warnings_are_counted_and_explain_is_named() -> None:
    """The last line counts both kinds and says how to learn more."""
    text = render([Diagnostic(RULE, "a"), Diagnostic(RULE, "b"), Diagnostic(WARN, "c")], PLAIN)
    assert text.endswith("2 errors and 1 warning found; `protocheck explain unknown-name` says more\n")
    assert "warning[unused-lock]: c\n" in text


def test_nothing_found_prints_nothing() -> None:
    """No diagnostics, no text."""
    assert render([], PLAIN) == ""


def test_colours_only_add_to_the_text() -> None:
    """With the colour codes taken out, the coloured text is the plain one."""
    import re

    diagnostic = Diagnostic(RULE, "x", (Label(span("skip"), "a"), Label(span("lock"), "b")), "c")
    coloured = render([diagnostic], Style(color=True))
    assert "\x1b[1;31merror[unknown-name]\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([diagnostic], PLAIN)


@pytest.mark.parametrize(
    ("terminal", "environment", "answer"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_needs_a_terminal_and_no_objection(terminal: bool, environment: dict[str, str], answer: bool) -> None:
    """NO_COLOR counts if it is not empty, as no-color.org has it."""
    assert wants_color(terminal, environment) is answer


def test_one_line_form() -> None:
    """Place, severity, rule, headline."""
    assert concise(Diagnostic(RULE, "x", (Label(span("skip")),))) == "models/p.pchk:4:24: error[unknown-name]: x"


@pytest.mark.parametrize("width", [8, 13, 40])
def test_wrapped_lines_fit_and_lose_nothing(width: int) -> None:
    """Lines are never wider than asked for, and put together again they are the text."""
    text = "page.populated[gfn0] is true although a_word_that_is_longer_than_any_line_may_be says no"
    lines = wrap(text, width)
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_remark_that_does_not_fit_beside_its_underline_stands_below() -> None:
    """It begins where the underline begins, and fits."""
    file = SourceFile("l.pchk", "x" * 80 + "\n")
    text = render_one(Diagnostic(RULE, "x", (Label(Span(file, 4, 80), "this is much too long a line"),)), PLAIN)
    assert f"  |     {'^' * 76}\n  |     this is much too long a line\n" in text
