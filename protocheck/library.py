"""What a library module offers: every declaration with what it takes, gives and may change, and how that is known.

All of it is read off the module's own text, without a model that imports it. What is known about a fact stands in the
comments as a *mark*: ``[seen: WHERE]``, ``[deduced: WHERE]`` or ``[unverified: WHAT]``. Declarations that follow one
another line by line below one ``///`` comment share it, and so its marks, as far as they have none of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TypeVar

from protocheck.diagnostics import ModelError
from protocheck.resources import models_path
from protocheck.source import SourceFile, Span
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import load_source, parse
from protocheck.types.claims import PROPERTY_KINDS

SEEN, DEDUCED, UNVERIFIED = MARKS = ("seen", "deduced", "unverified")

_MARK = re.compile(r"\[(seen|deduced|unverified)(?:\s*[:,]?\s+([^\[\]]*))?\]")
_COMMENT = re.compile(r"//[/]*(.*)")
_PURPOSE = re.compile(r"Use it for:?\s+", re.I)

Found = TypeVar("Found", bound=n.Node)


@dataclass(frozen=True)
class Mark:
    """How a fact is known (one of :data:`MARKS`), and where from, or what of it is in doubt; "" if that is not said."""

    how: str
    where: str


@dataclass(frozen=True)
class Cited:
    """A ``source`` line: its text and its marks."""

    text: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Busy:
    """A busy lock that an op holds, and what it returns where it cannot have it."""

    lock: str
    result: str


@dataclass(frozen=True)
class Declaration:
    """One declaration of a library.

    ``kind``: the word that declares it ("op", "slow op", "proc", "ghost proc", "state", "lock", "type", ...).
    ``signature``: its head as it is written. ``public``: whether importers may use it. ``doc``: its comment without the
    marks; ``shared``: the comment is that of the group it stands in. Of routines: ``results``, what its `return`
    lines say; ``fails``, the results that a scenario with failures may inject; ``busy``; ``locks``, all that it takes;
    ``waits``, the conditions it may wait for; ``writes``, the state it may change; ``reports``, the families of its
    assertions. The last four include what it calls in the same module.
    """

    kind: str
    name: str
    signature: str
    public: bool
    line: int
    doc: str
    shared: bool
    marks: tuple[Mark, ...]
    results: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    busy: tuple[Busy, ...] = ()
    locks: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A library module: the path to import it by, its parameters as written, what it is for, its sources, the rest."""

    path: str
    file: str
    module: str
    parameters: str
    doc: str
    purposes: tuple[str, ...]
    sources: tuple[Cited, ...]
    declarations: tuple[Declaration, ...]


def library_names() -> tuple[str, ...]:
    """The shipped library modules, as an ``import`` names them, in the order of the alphabet."""
    return tuple(sorted(f"lib.{p.stem}" for p in (models_path() / "lib").glob("*.pchk")))


def find_library(given: str) -> tuple[str, SourceFile] | None:
    """The library that ``given`` means: ``lib.NAME``, or the path of a file that begins with ``module``; else None.

    Gives the path to import it by, and its text. :class:`ModelError` for a file that cannot be read.
    """
    if given in library_names():
        relative = Path("lib", *given.split(".")[1:]).with_suffix(".pchk")
        return given, load_source(models_path() / relative, f"models/{relative.as_posix()}")
    path = Path(given)
    if path.suffix != ".pchk" or not path.is_file():
        return None
    try:
        file = load_source(path, path.as_posix())
    except ModelError:
        return None  # whoever reads it as a model will say so
    if not re.search(r"^[ \t]*module\b", file.text, re.M) or not isinstance(parse(file).header, n.ModuleHeader):
        return None
    shipped = path.resolve().parent == (models_path() / "lib").resolve()
    return (f"lib.{path.stem}" if shipped else path.stem), file


def read_library(path: str, file: SourceFile) -> Library:
    """What the module in ``file`` offers to importers of ``path``. :class:`ModelError` if it does not parse."""
    module = parse(file)
    header = module.header
    if not isinstance(header, n.ModuleHeader):
        raise ValueError(f"{file.path} is not a library module")
    text, purposes = _purposes(header.doc)
    sources = tuple(
        Cited(i.text, _marks(_remark(i.span))) for i in module.items if isinstance(i, n.Source)
    )
    return Library(
        path,
        file.path,
        header.name.text,
        ", ".join(" ".join(p.span.text.split()) for p in header.params),
        text,
        purposes,
        sources,
        tuple(_Reader(module).declarations()),
    )


def _purposes(doc: str) -> tuple[str, tuple[str, ...]]:
    """A module's comment, and what it says the module is for: a paragraph ``Use it for: this; that.``"""
    head, *rest = _PURPOSE.split(" ".join(doc.split()), maxsplit=1)
    if not rest:
        return head, ()
    return head.strip(), tuple(p.strip(" .") for p in rest[0].split(";") if p.strip(" ."))


# --------------------------------------------------------------------------------------------------------------------
# Comments and marks


def _marks(comment: str) -> tuple[Mark, ...]:
    found = (Mark(m[1], " ".join((m[2] or "").split())) for m in _MARK.finditer(comment))
    return tuple(dict.fromkeys(found))


def _remark(span: Span) -> str:
    """The comment behind a declaration on its last line."""
    last = span.file.line_column(max(span.start, span.end - 1))[0]
    end = span.end - span.file.line_starts[last - 1]
    found = _COMMENT.search(span.file.line_text(last)[end:])
    return found[1].strip(" -") if found else ""


def _inside(span: Span) -> str:
    """The comments within a declaration."""
    return " ".join(m[1] for line in span.text.split("\n") if (m := _COMMENT.search(line)))


def _prose(text: str) -> str:
    """A comment without its marks: they are told apart from it."""
    plain = " ".join(_MARK.sub("", text).split())
    return re.sub(r"\s+([.,;:)])", r"\1", plain).strip()


# --------------------------------------------------------------------------------------------------------------------
# Declarations


_WORDS: Mapping[type[n.Node], str] = {n.Invariant: "invariant", **PROPERTY_KINDS}


def _below(node: object) -> Iterator[n.Node]:
    """``node`` and every node in it, in the order in which they are written."""
    if isinstance(node, tuple):
        for part in node:
            yield from _below(part)
    elif is_dataclass(node) and not isinstance(node, type):
        if isinstance(node, n.Node):
            yield node
        for f in fields(node):
            if f.name not in ("span", "file", "doc"):
                yield from _below(getattr(node, f.name))


def _all(kind: type[Found], node: object) -> list[Found]:
    return [x for x in _below(node) if isinstance(x, kind)]


def _root(target: n.Expr) -> str:
    """The name that a place begins with."""
    while isinstance(target, n.Index | n.Member):
        target = target.base
    return target.ident.text if isinstance(target, n.Name) else ""


def _unique(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(w for w in words if w))


class _Reader:
    def __init__(self, module: n.Module) -> None:
        self.items = list(self._flat(module.items, ""))
        self.states = {name for name, item in self.items if isinstance(item, n.StateDecl)}
        self.locks = {name for name, item in self.items if isinstance(item, n.LockDecl)}
        self.routines = {name: item for name, item in self.items if isinstance(item, n.RoutineDecl)}

    def _flat(self, items: Sequence[n.Item | n.ActorMember], owner: str) -> Iterator[tuple[str, n.Decl]]:
        for item in items:
            if isinstance(item, n.ActorDecl):
                yield from self._flat(item.members, item.name.text)
            elif not isinstance(item, n.Source | n.Import | n.Init | n.Require):
                yield _name(item, owner), item

    def declarations(self) -> Iterator[Declaration]:
        """All declarations in order. Those that follow one another line by line below a comment make a group."""
        end, above = 0, ""
        known: tuple[Mark, ...] = ()
        for name, item in self.items:
            first, remark = item.span.line, _remark(item.span)
            if item.doc or first - end > 1:
                above, known = item.doc, _marks(item.doc)
            own = " ".join(x for x in (item.doc, remark) if x)
            marks = _marks(" ".join((own, _inside(item.span)))) or known
            shared = not own and bool(above)
            end = item.span.file.line_column(max(item.span.start, item.span.end - 1))[0]
            yield self._declaration(name, item, _prose(own or above), shared, marks)

    def _declaration(
        self, name: str, item: n.Decl, doc: str, shared: bool, marks: tuple[Mark, ...]
    ) -> Declaration:
        head = (_kind(item), name, _signature(item), _public(item), item.span.line, doc, shared, marks)
        if not isinstance(item, n.RoutineDecl):
            return Declaration(*head)
        reached = self._reached(name)
        bodies = tuple(r.body for r in reached)
        returned = [v for r in _all(n.Return, item.body) if r.value is not None for v in _values(r.value)]
        busy = [(_text(h.lock), _text(h.otherwise) if h.otherwise else "") for h in item.holds]
        later = ""
        told = []
        for lock, result in reversed(busy):  # one `else` speaks for the locks before it
            later = result or later
            told.append(Busy(lock, later))
        return Declaration(
            *head,
            results=_unique(returned),
            fails=tuple(_text(f) for f in item.may_fail),
            busy=tuple(reversed(told)),
            locks=_unique([lock for r in reached for lock in self._taken(r)]),
            waits=_unique([_text(w.cond) for w in _below(bodies) if isinstance(w, n.Await | n.SpinUntil)]),
            writes=_unique([state for r in reached for state in self._written(r)]),
            reports=_unique([a.family.text if a.family else "assertion" for a in _all(n.Assert, bodies)]),
        )

    def _reached(self, name: str) -> list[n.RoutineDecl]:
        """The routine and all that it calls in this module."""
        found = [name]
        for at in found:
            for call in _all(n.Call, self.routines[at].body):
                called = _root(call.func)
                if called in self.routines and called not in found:
                    found.append(called)
        return [self.routines[r] for r in found]

    def _taken(self, routine: n.RoutineDecl) -> Iterator[str]:
        for use in _below((routine.holds, routine.body)):
            if isinstance(use, n.LockUse | n.Acquire | n.TryAcquire | n.Holding):
                mode = f" {use.mode}" if use.mode else ""
                yield f"{_root(use.lock)}{mode}" if _root(use.lock) in self.locks else ""
            elif isinstance(use, n.Synchronize):
                yield f"{_root(use.lock)} (waits for its readers)"

    def _written(self, routine: n.RoutineDecl) -> Iterator[str]:
        for node in _below(routine.body):
            target = ""
            if isinstance(node, n.Assign | n.Havoc | n.RefArg):
                target = _root(node.target)
            elif isinstance(node, n.Call) and isinstance(node.func, n.Name) and node.func.ident.text in _COUNTING:
                target = _root(node.args[0]) if node.args and not isinstance(node.args[0], n.RefArg) else ""
            yield target if target in self.states else ""


_COUNTING = ("bump", "reset")


def _text(node: n.Node) -> str:
    return " ".join(node.span.text.split())


def _values(value: n.Expr) -> Iterator[str]:
    """What an expression may give, as it is written: the branches of ``?:`` one by one."""
    if isinstance(value, n.Conditional):
        yield from _values(value.then)
        yield from _values(value.otherwise)
    else:
        yield _text(value)


def _name(item: n.Decl, owner: str) -> str:
    if isinstance(item, n.Order):
        return " -> ".join(_text(lock) for lock in item.locks)
    if isinstance(item, n.Nest):
        return " ".join([_text(item.inner), *(["under", _text(item.outer)] if item.outer else [])])
    if isinstance(item, n.Finishing):
        name = item.name.text if item.name else item.routine[-1].text
    else:
        found = getattr(item, "name", None)
        name = found.text if isinstance(found, n.Ident) else ""
    return f"{owner}.{name}" if owner else name


def _kind(item: n.Decl) -> str:
    match item:
        case n.RoutineDecl():
            return f"{'ghost ' if item.ghost else 'slow ' if item.slow else ''}{item.kind}"
        case n.StateDecl():
            return "ghost state" if item.ghost else "state"
        case n.ThreadDecl():
            return item.kind
        case n.LockDecl():
            return "lock"
        case n.ObjectDecl():
            return "object"
        case n.TypeDecl():
            return "type"
        case n.ConstDecl():
            return "const"
        case n.FnDecl():
            return "fn"
        case n.Order():
            return "order"
        case n.Nest():
            return "nest"
        case n.VariantDecl():
            return "variant"
        case n.RunDecl():
            return "run"
    return _WORDS.get(type(item), "declaration")


def _public(item: n.Decl) -> bool:
    if isinstance(item, n.RoutineDecl | n.StateDecl):
        return item.pub or item.ghost
    return item.pub if isinstance(item, n.LockDecl) else True


def _signature(item: n.Decl) -> str:
    """The head of a declaration as it is written, without its body and without comments."""
    text = item.span.text
    if isinstance(item, n.RoutineDecl | n.ThreadDecl | n.FnDecl) and isinstance(item.body, n.Block):
        text = text[: item.body.span.start - item.span.start]
    plain = " ".join(line.split("//", 1)[0] for line in text.split("\n"))
    return " ".join(plain.split()).rstrip(";{ ")
