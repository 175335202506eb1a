"""Pages in three markups: nothing of a text is taken for markup, and what is code stays code."""

from __future__ import annotations

import io
from html.parser import HTMLParser

from docutils.core import publish_doctree
from hypothesis import given, settings
from hypothesis import strategies as st

from protocheck.reports.pages import Block, Heading, Items, Listing, Paragraph, Picture, Table, markdown, page, rst

ODD = "a_b* c|d <e> [f] \\g `code | *x*`, h's_ `i_`'s"


def tree(blocks: list[Block]) -> str:
    """The text that docutils makes of the page; a fault of the markup is raised."""
    faults = io.StringIO()
    done = publish_doctree(rst(blocks), settings_overrides={"warning_stream": faults, "report_level": 1})
    assert not faults.getvalue(), faults.getvalue()
    return done.astext()


def test_markdown_shows_text_as_it_is() -> None:
    """Stars, underscores and angles are escaped outside of code and left alone in it; in cells also the bar."""
    assert markdown([Paragraph(ODD)]) == "a\\_b\\* c|d \\<e\\> \\[f\\] \\\\g `code | *x*`, h's\\_ `i_`'s\n"
    assert "`code \\| *x*`" in markdown([Table(("head",), ((ODD,),))])


def test_rst_shows_text_as_it_is() -> None:
    """docutils reads back exactly the text, without the quotes around code."""
    plain = ODD.replace("`", "")
    assert tree([Heading(1, "t"), Paragraph(ODD)]).endswith(plain)
    assert plain in tree([Heading(1, "t"), Items((ODD,))]).replace("\n", " ")
    assert "code | *x*" in tree([Heading(1, "t"), Table(("head", "tail"), ((ODD, ""),))]).replace("\n", " ")


def test_html_shows_text_as_it_is() -> None:
    """An HTML parser finds the text, and no element that a text brought along."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.text, self.tags = "", set[str]()

        def handle_data(self, data: str) -> None:
            self.text += data

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags.add(tag)

    reader = Reader()
    reader.feed(page("<t>", [Paragraph(ODD), Listing("<b>\n"), Picture("m", "d", "x -> <y>", "c")]))
    assert ODD.replace("`", "") in reader.text
    assert "<b>" in reader.text
    assert "x -> <y>" in reader.text
    assert not {"e", "b", "y", "t"} & reader.tags


def test_a_picture_is_told_in_each_way() -> None:
    """Markdown draws with Mermaid, the kernel's documents with DOT, HTML shows the edges."""
    picture = Picture("flowchart LR", "digraph {}", "a -> b", "who waits")
    assert markdown([picture]) == "```mermaid\nflowchart LR\n```\n"
    assert rst([picture]).startswith(".. kernel-render:: DOT\n   :alt: who waits\n")
    assert "a -&gt; b" in page("t", [picture])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=30), max_size=4))
def test_no_text_breaks_rst(texts: list[str]) -> None:
    """docutils has nothing to say about any text, as a paragraph, an item or a cell."""
    whole = [t for t in texts if t.strip(" `\\") and "``" not in t]
    blocks: list[Block] = [Heading(1, "t"), *(Paragraph(f"w {t} w") for t in whole)]
    if whole:
        blocks += [Items(tuple(whole)), Table(tuple("h" for _ in whole), (tuple(whole),))]
    tree(blocks)
