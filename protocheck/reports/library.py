"""Tells what library modules offer: for a terminal, as pages of documentation, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocheck.library import MARKS, Cited, Declaration, Library, Mark
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.pages import Block, Contents, Heading, Items, Listing, Paragraph, Table
from protocheck.reports.style import Paint, Style, hang, printable

_CALLED = ("op", "slow op", "proc", "ghost op", "ghost proc", "fn")
_KINDS = (("Types and sizes", ("type", "const", "object")), ("State", ("state", "ghost state")), ("Locks", ("lock",)))


# --------------------------------------------------------------------------------------------------------------------
# For a terminal


def render(library: Library, style: Style) -> str:
    """Everything that the library declares, in the order of its file."""
    head = f"{printable(library.file)}: {style.paint(library.path, Paint.BOLD)}"
    lines = [f"{head}({library.parameters})" if library.parameters else head]
    lines += hang("  ", library.doc, style.width)
    if library.purposes:
        lines += ["", "  use it for"]
        for purpose in library.purposes:
            lines += hang("    - ", purpose, style.width, 6)
    if library.sources:
        lines += ["", "  sources"]
        for source in library.sources:
            lines += hang("    - ", _cited(source), style.width, 6)
    for shown in (True, False):
        some = [d for d in library.declarations if d.public == shown]
        if some and not shown:
            lines += ["", style.paint("  for its own use", Paint.BOLD)]
        for d in some:
            lines += ["", *_declaration(d, style)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_list(libraries: Sequence[Library], style: Style) -> str:
    """One line per library, and what to ask next."""
    lines: list[str] = []
    for library in libraries:
        lines += hang(f"{library.path:<18}", _first(library.doc), style.width, 18)
    lines += ["", "`protocheck info lib.NAME` tells what a library declares."]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _declaration(d: Declaration, style: Style) -> Iterator[str]:
    yield from hang(f"  {d.line:>3}: ", d.signature, style.width, 11)
    for words in (d.doc, *_facts(d), _known(d.marks)):
        if words:
            yield from hang("       ", words, style.width, 7)


def _cited(source: Cited) -> str:
    how = ", ".join(dict.fromkeys(m.how for m in source.marks))
    return f"{source.text} ({how})" if how else source.text


def _first(doc: str) -> str:
    """The first sentence."""
    return doc.split(". ")[0].rstrip(".") + "."


def _facts(d: Declaration) -> Iterator[str]:
    """What is known about a routine, in sentences."""
    if d.results:
        yield f"Gives {_listed(d.results)}."
    if d.fails:
        yield f"A scenario with failures may make it fail with {_listed(d.fails)}."
    for busy in d.busy:
        yield f"Gives {_listed([busy.result])} where `{busy.lock}` is busy." if busy.result else f"Holds `{busy.lock}`."
    if d.locks:
        yield f"Takes {_listed(d.locks)}."
    for wait in d.waits:
        yield f"May wait for `{wait}`."
    if d.writes:
        yield f"May change {_listed(d.writes)}."
    if d.reports:
        yield f"Reports {_listed(d.reports)}."


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{w}`" for w in words)


def _known(marks: Sequence[Mark]) -> str:
    """How the facts of a declaration are known: ``Seen: a; b. Unverified: c.``"""
    told = []
    for how in MARKS:
        where = [m.where for m in marks if m.how == how]
        if where:
            named = "; ".join(w for w in where if w)
            told.append(f"{how.capitalize()}: {named}." if named else f"{how.capitalize()}.")
    return " ".join(told)


# --------------------------------------------------------------------------------------------------------------------
# As documentation


def page(libraries: Sequence[Library]) -> tuple[Block, ...]:
    """The reference of ``libraries``: what to import when, and then each of them."""
    return tuple(_page(libraries))


def _page(libraries: Sequence[Library]) -> Iterator[Block]:
    if len(libraries) > 1:
        yield Heading(1, "The library")
        yield Paragraph(
            "What models import, written by `protocheck doc --library` from the modules themselves. An import makes an "
            "actor of its name: what is `pub` is used as `name.op(...)`. Every fact is marked: seen in the source that "
            "is named, deduced from it, or unverified. `protocheck info lib.NAME` tells the same in a terminal."
        )
        yield Contents(tuple((_title(x), _first(x.doc)) for x in libraries))
        rows = [(purpose, f"`{x.path}`") for x in libraries for purpose in x.purposes]
        if rows:
            yield Heading(2, "What to import when")
            yield Table(("I want to model", "import"), tuple(rows))
    for library in libraries:
        yield from _library(library, 2 if len(libraries) > 1 else 1)


def _title(library: Library) -> str:
    return f"`{library.path}`"


def _library(library: Library, level: int) -> Iterator[Block]:
    yield Heading(level, _title(library))
    yield Paragraph(library.doc)
    parameters = f"({library.parameters})" if library.parameters else ""
    yield Listing(f"module {library.module}{parameters}")
    if library.purposes:
        yield Paragraph("Use it for:")
        yield Items(library.purposes)
    if library.sources:
        yield Paragraph("Sources:")
        yield Items(tuple(_cited(s) for s in library.sources))
    public = [d for d in library.declarations if d.public]
    for title, kinds in _KINDS:
        some = [d for d in public if d.kind in kinds]
        if some:
            yield Heading(level + 1, title)
            rows = tuple((f"`{d.signature}`", d.doc or "-", _known(d.marks) or "-") for d in some)
            yield Table(("declaration", "what it is", "how it is known"), rows)
    called = [d for d in public if d.kind in _CALLED]
    if called:
        yield Heading(level + 1, "Ops and procs")
        yield Items(tuple(_item(d) for d in called))
    told = {k for _, kinds in _KINDS for k in kinds} | set(_CALLED)
    rest = [d for d in public if d.kind not in told]
    if rest:
        yield Heading(level + 1, "Claims and orders")
        yield Items(tuple(_item(d) for d in rest))


def _item(d: Declaration) -> str:
    words = [f"{d.doc.rstrip('.')}." if d.doc else "", *_facts(d), _known(d.marks)]
    return f"`{d.signature}`: " + " ".join(w for w in words if w)


# --------------------------------------------------------------------------------------------------------------------
# As data


def render_json(library: Library) -> str:
    """The library as data; its schema is that of ``library`` in :mod:`protocheck.reports.schemas`."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "import": library.path,
            "file": library.file,
            "module": library.module,
            "parameters": library.parameters,
            "doc": library.doc,
            "purposes": list(library.purposes),
            "sources": [{"text": s.text, "marks": _marks_json(s.marks)} for s in library.sources],
            "declarations": [_json(d) for d in library.declarations],
        }
    )


def _json(d: Declaration) -> Json:
    return {
        "kind": d.kind,
        "name": d.name,
        "signature": d.signature,
        "public": d.public,
        "line": d.line,
        "doc": d.doc,
        "shared": d.shared,
        "marks": _marks_json(d.marks),
        "results": list(d.results),
        "fails": list(d.fails),
        "busy": [{"lock": b.lock, "result": b.result} for b in d.busy],
        "locks": list(d.locks),
        "waits": list(d.waits),
        "writes": list(d.writes),
        "reports": list(d.reports),
    }


def _marks_json(marks: Sequence[Mark]) -> list[Json]:
    return [{"how": m.how, "where": m.where} for m in marks]
