"""Pages of prose and tables, written as Markdown, as reStructuredText or as HTML.

Text is plain but for code between backticks. Whatever else could be markup is escaped, each format in its own way.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, assert_never

from tabulate import tabulate

from protocheck.records import dataclass
from protocheck.reports.style import display_width, printable, wrap

_WIDTH = 80
_CODE = re.compile(r"(`[^`]+`)")


@dataclass(frozen=True)
class Heading:
    """A heading; ``level`` 1 is the title of the page."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list without order."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; every row has as many cells as ``head``."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Contents:
    """A table of contents: headings of the page, each with a remark. Markdown and HTML make links of them."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Listing:
    """Text that stands as it is."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A graph in words for two programs that draw: Mermaid's, and Graphviz's. HTML shows ``text`` in its place."""

    mermaid: str
    dot: str
    text: str
    caption: str


Block: TypeAlias = Heading | Paragraph | Items | Table | Contents | Listing | Picture


def markdown(blocks: Sequence[Block]) -> str:
    """The page as Markdown (with the tables and the Mermaid pictures that code hosts show)."""
    return "\n".join(line.rstrip() for block in blocks for line in (*_markdown(block), ""))


def rst(blocks: Sequence[Block]) -> str:
    """The page as reStructuredText; pictures use ``kernel-render``, as the kernel's documentation does."""
    return "\n".join(line.rstrip() for block in blocks for line in (*_rst(block), ""))


def page(title: str, blocks: Sequence[Block]) -> str:
    """The page as one HTML file that loads nothing."""
    body = "\n".join(line for block in blocks for line in _html(block))
    return _PAGE.format(title=html.escape(title), body=body)


WRITERS: dict[str, Callable[[str, Sequence[Block]], str]] = {
    "md": lambda title, blocks: markdown(blocks),
    "rst": lambda title, blocks: rst(blocks),
    "html": page,
}


def _inline(text: str, code: Callable[[str], str], plain: Callable[[str], str]) -> str:
    parts = _CODE.split(printable(" ".join(text.split())))
    return "".join(code(p[1:-1]) if k % 2 else plain(p) for k, p in enumerate(parts))


def _anchor(heading: str) -> str:
    """What code hosts call a heading in links: small letters, no punctuation, blanks as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --------------------------------------------------------------------------------------------------------------------
# Markdown


def _md(text: str) -> str:
    return _inline(text, lambda c: f"`{c}`", lambda t: re.sub(r"([\\*_\[\]<>])", r"\\\1", t))


def _md_cell(text: str) -> str:
    return _md(text).replace("|", "\\|")


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text):
            yield f"{'#' * level} {_md(text)}"
        case Paragraph(text):
            yield _md(text)
        case Items(items):
            for item in items:
                yield f"- {_md(item)}"
        case Table(head, rows):
            yield "| " + " | ".join(_md_cell(h) for h in head) + " |"
            yield "|" + "---|" * len(head)
            for row in rows:
                yield "| " + " | ".join(_md_cell(c) for c in row) + " |"
        case Contents(entries):
            for heading, remark in entries:
                yield f"- [{_md(heading)}](#{_anchor(heading)}): {_md(remark)}"
        case Listing(text):
            yield "```text"
            yield from text.rstrip("\n").split("\n")
            yield "```"
        case Picture(mermaid):
            yield "```mermaid"
            yield from mermaid.rstrip("\n").split("\n")
            yield "```"
        case _:
            assert_never(block)


# --------------------------------------------------------------------------------------------------------------------
# reStructuredText


def _rst_plain(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\*`_|<>" else c for c in text)


def _rst_text(text: str) -> str:
    # A code span may not touch a word: a backslash and a blank keep them apart and do not show.
    joined = _inline(text, lambda c: f"\0``{c}``\0", _rst_plain)
    joined = re.sub(r"(?<=[^\s(\[{\"'/-])\0(?=``)", "\\\\ ", joined)
    joined = re.sub(r"(?<=``)\0(?=[^\s)\]}\"'.,:;!?/-])", "\\\\ ", joined)
    joined = joined.replace("\0", "").strip()
    # What begins a list, a comment or a field at the start of a paragraph does not after a backslash; nor do two
    # colons at its end announce a listing.
    if re.match(r"[^\w\s`\\]|\(?\w+[.)]", joined):
        joined = f"\\{joined}"
    return re.sub(r"::$", ":\\:", joined)


_UNDER = "=-~^"


def _rst(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text):
            shown = _rst_text(text)
            line = _UNDER[min(level, len(_UNDER)) - 1] * display_width(shown)
            yield from ([line, shown, line] if level == 1 else [shown, line])
        case Paragraph(text):
            yield from wrap(_rst_text(text), _WIDTH)
        case Items(items):
            for item in items:
                first, *rest = wrap(_rst_text(item), _WIDTH - 2)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
        case Table(head, rows):
            cells = [["\n".join(wrap(_rst_text(c), 34)) for c in row] for row in rows]
            yield from tabulate(
                cells, headers=[_rst_text(h) for h in head], tablefmt="grid", disable_numparse=True
            ).split("\n")
        case Contents(entries):
            yield from _rst(Items(tuple(f"{heading}: {remark}" for heading, remark in entries)))
        case Listing(text):
            yield "::"
            yield ""
            yield from (f"   {line}" for line in text.rstrip("\n").split("\n"))
        case Picture(_, dot, _, caption):
            yield ".. kernel-render:: DOT"
            yield f"   :alt: {printable(caption)}"
            yield f"   :caption: {printable(caption)}"
            yield ""
            yield from (f"   {line}" for line in dot.rstrip("\n").split("\n"))
        case _:
            assert_never(block)


# --------------------------------------------------------------------------------------------------------------------
# HTML

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }}
h1, h2, h3 {{ line-height: 1.2; }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid #bbb; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
th {{ background: #eee; }}
pre {{ background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: 13px; line-height: 1.35; }}
code {{ background: #f0f0f0; padding: 0 .2rem; }}
@media (prefers-color-scheme: dark) {{
body {{ color: #ddd; background: #181818; }} th {{ background: #333; }} pre, code {{ background: #252525; }} th, td {{ border-color: #555; }}
}}
</style>
</head>
<body>
{body}
</body>
</html>
"""  # noqa: E501


def _web(text: str) -> str:
    return _inline(text, lambda c: f"<code>{html.escape(c)}</code>", html.escape)


def _html(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text):
            yield f'<h{level} id="{_anchor(text)}">{_web(text)}</h{level}>'
        case Paragraph(text):
            yield f"<p>{_web(text)}</p>"
        case Items(items):
            yield "<ul>"
            yield from (f"<li>{_web(item)}</li>" for item in items)
            yield "</ul>"
        case Table(head, rows):
            yield "<table>"
            yield "<thead><tr>" + "".join(f"<th>{_web(h)}</th>" for h in head) + "</tr></thead>"
            yield "<tbody>"
            for row in rows:
                yield "<tr>" + "".join(f"<td>{_web(c)}</td>" for c in row) + "</tr>"
            yield "</tbody></table>"
        case Contents(entries):
            yield "<ul>"
            for heading, remark in entries:
                yield f'<li><a href="#{_anchor(heading)}">{_web(heading)}</a>: {_web(remark)}</li>'
            yield "</ul>"
        case Listing(text):
            yield f"<pre>{html.escape(printable(text) if chr(10) not in text else text)}</pre>"
        case Picture(_, _, text, caption):
            yield f"<figure><pre>{html.escape(text)}</pre><figcaption>{_web(caption)}</figcaption></figure>"
        case _:
            assert_never(block)
