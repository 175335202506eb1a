"""From the text of a model file to its tree, with every fault of the text at once. The only home of lark.

The file is lexed once and cut into items; each item is parsed on its own, so that one mistake costs one item. An actor
that does not parse is cut into its members likewise. Where a token does not fit, the parser is run again up to it and
asked what it would have taken *before* seeing the token: afterwards the answer would be too small.
"""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from protocheck.diagnostics import Diagnostic, Label, ModelError, Rule
from protocheck.resources import grammar_path
from protocheck.source import SourceFile, Span
from protocheck.syntax import nodes as n
from protocheck.syntax import rules
from protocheck.syntax.build import Builder, not_yet_supported
from protocheck.syntax.c_habits import mend_word
from protocheck.syntax.words import names_among

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

_Parser: TypeAlias = Any
"""Lark's ``InteractiveParser``; lark has types for only some of its methods."""

MAX_BYTES = 1_000_000
MAX_BRACKETS = 64
MAX_DEPTH = 160
MAX_FAULTS = 100

_STARTS = ["item", "member", "actor_open"]


def parse(file: SourceFile) -> n.Module:
    """The tree of ``file``. Raises ``ModelError`` with all the faults that were found, in the order of the text."""
    faults: list[Diagnostic] = []
    tokens = _with_names(_lex(file, faults))
    if not tokens and not faults:
        raise ModelError([Diagnostic(rules.EMPTY_FILE, "the file says nothing", (Label(Span(file, 0, 0)),), _HEADER)])
    deep = _too_many_brackets(file, tokens)
    if deep is not None:
        raise ModelError([deep])
    lost = [d.labels[0].span.start for d in faults]
    reader = _Reader(file, Builder(_docs(file, tokens)), [_start(t) for t in tokens], lost)
    items: list[Any] = []
    for cut in _cut(file.text, tokens, _ITEMS):
        items += reader.item(cut)
        if len(reader.faults) > MAX_FAULTS:
            break
    faults += reader.faults + reader.builder.faults
    header, rest = _take_header(file, items, faults)
    if faults or header is None:
        raise ModelError(_in_order(faults))
    return n.Module(file, header, rest, span=Span(file, 0, len(file.text)))


def load_source(path: Path, shown: str | None = None) -> SourceFile:
    """The text of the file at ``path``, which people know as ``shown``. Raises ``ModelError`` if it cannot be text."""
    name = path.as_posix() if shown is None else shown
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else str(error)) or "it cannot be read"
        raise _unreadable(name, rules.UNREADABLE_FILE, f"cannot read `{name}`: {reason.lower()}") from error
    if len(data) > MAX_BYTES:
        raise _unreadable(
            name,
            rules.FILE_TOO_LARGE,
            f"`{name}` is larger than {MAX_BYTES // 1_000_000} MB",
            "split the model; types and procs can move to library modules",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _unreadable(name, rules.NOT_UTF8, f"`{name}` is UTF-16 text", "save it as UTF-8")
    if b"\0" in data:
        raise _unreadable(name, rules.BINARY_FILE, f"`{name}` is not text: there is a NUL byte at {data.index(0)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            name,
            rules.NOT_UTF8,
            f"`{name}` is not UTF-8 text: line {line} has the byte 0x{data[error.start]:02x}",
            "save it as UTF-8",
        ) from error
    return SourceFile(name, text)


def save_tables() -> None:
    """Write the parser tables beside the grammar, so that no run has to compute them: ``make tables``."""
    stream = io.BytesIO()
    _build_lark().save(stream)
    _tables_path().write_bytes(_tables_key() + zlib.compress(stream.getvalue(), 9))


# ------------------------------------------------------------------------------------------------------ the grammar


@cache
def _lark() -> Lark:
    """The parser, from the stored tables if they were made from this grammar by this version of lark."""
    from lark import Lark

    path, key = _tables_path(), _tables_key()
    if path.is_file():
        stored = path.read_bytes()
        if stored.startswith(key):
            return Lark.load(io.BytesIO(zlib.decompress(stored[len(key) :])))
    return _build_lark()


def _build_lark() -> Lark:
    from lark import Lark

    grammar = grammar_path().read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True, start=_STARTS)


def _tables_path() -> Path:
    return grammar_path().with_suffix(".tables")


def _tables_key() -> bytes:
    from lark import __version__

    grammar = grammar_path().read_text(encoding="utf-8")
    digest = hashlib.sha256(repr((grammar, _STARTS)).encode()).hexdigest()
    return f"lark {__version__} sha256 {digest}\n".encode()


@cache
def _spelling() -> Mapping[str, str]:
    """How each terminal is written; for those that are no fixed word, what they are called."""
    spelt = {t.name: t.pattern.value for t in _lark().terminals if t.pattern.type == "str"}
    return {**spelt, "NAME": "a name", "INT": "a number", "STRING": "a text in quotes", "PRODUCT": "x"}


# ----------------------------------------------------------------------------------------------------------- tokens

_NO_TOKEN = re.compile(r'[^\sA-Za-z0-9_"{}()\[\];:,.=<>!&|^~+\-*/%?]+')


def _lex(file: SourceFile, faults: list[Diagnostic]) -> list[Token]:
    """All tokens; what is none becomes a fault and is skipped, in whole runs."""
    from lark import TextSlice, UnexpectedCharacters

    tokens: list[Token] = []
    text, at = file.text, 0
    while at < len(text):
        try:
            for token in _lark().lex(TextSlice(text, at, len(text))):
                tokens.append(token)
            return tokens
        except UnexpectedCharacters as error:
            start = error.pos_in_stream or at
        run = _NO_TOKEN.match(text, start)
        if text[start] == '"':
            end = text.find("\n", start)
            at = len(text) if end < 0 else end
            faults.append(
                Diagnostic(
                    rules.UNTERMINATED_TEXT,
                    "this text has no closing `\"` on its line",
                    (Label(Span(file, start, min(at, start + 1))),),
                    "texts end on the line they begin on; a `\"` inside is written `\\\"`",
                )
            )
        else:
            at = run.end() if run else start + 1
            faults.append(_unknown_character(file, start, at))
        if len(faults) > MAX_FAULTS:
            raise ModelError(_in_order(faults))
    return tokens


def _with_names(tokens: list[Token]) -> list[Token]:
    """``tokens``, with each keyword that can only be a name in its place retagged as one."""
    from lark import Token

    for i in names_among([t.type for t in tokens], _NAMES):
        tokens[i] = Token.new_borrow_pos("NAME", str(tokens[i]), tokens[i])
    return tokens


def _unknown_character(file: SourceFile, start: int, end: int) -> Diagnostic:
    first = file.text[start]
    shown = first if first.isprintable() else f"U+{ord(first):04X}"
    help_ = {
        "'": "texts stand in double quotes",
        "#": "comments begin with `//`",
        "\u2192": "write `->`",
        "\u2260": "write `!=`",
        "\u2264": "write `<=`",
        "\u2265": "write `>=`",
        "\u201c": 'write a plain `"`',
        "\u201d": 'write a plain `"`',
    }.get(first, "")
    if not help_ and ord(first) > 127:
        help_ = "names and signs are ASCII; other characters may stand in comments and texts"
    return Diagnostic(
        rules.UNKNOWN_CHARACTER, f"nothing begins with `{shown}`", (Label(Span(file, start, end)),), help_
    )


_OPEN = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB"}
_CLOSE = frozenset(_OPEN.values())


def _too_many_brackets(file: SourceFile, tokens: Sequence[Token]) -> Diagnostic | None:
    depth = 0
    for token in tokens:
        if token.type in _OPEN:
            depth += 1
            if depth > MAX_BRACKETS:
                return _too_deep(_span(file, token))
        elif token.type in _CLOSE:
            depth = max(0, depth - 1)
    return None


def _too_deep(span: Span) -> Diagnostic:
    return Diagnostic(
        rules.NESTING_TOO_DEEP,
        "this is nested too deeply",
        (Label(span),),
        f"at most {MAX_BRACKETS} brackets may be open at once, and a tree may be {MAX_DEPTH} levels high; "
        "name parts of it with `proc`, `fn` or `let`",
    )


def _docs(file: SourceFile, tokens: Sequence[Token]) -> dict[int, str]:
    """The ``///`` comments before each token that has some, without their slashes."""
    docs: dict[int, str] = {}
    if "///" not in file.text:
        return docs
    before = 0
    for token in tokens:
        start = _start(token)
        if start - before > 3 and "///" in (gap := file.text[before:start]):
            # The rest of the line of the previous token may be a remark about that token.
            lines = gap.split("\n")[1 if before else 0 :]
            doc = [s[3:].strip() for line in lines if (s := line.strip()).startswith("///") and s[:4] != "////"]
            if doc:
                docs[start] = "\n".join(doc)
        before = _end(token)
    return docs


def _start(token: Token) -> int:
    assert token.start_pos is not None
    return token.start_pos


def _end(token: Token) -> int:
    assert token.end_pos is not None
    return token.end_pos


def _span(file: SourceFile, token: Token) -> Span:
    return Span(file, _start(token), _end(token))


# --------------------------------------------------------------------------------------------------------- cutting

_ROLES = frozenset({"HYPERVISOR", "GUEST", "FIRMWARE", "USERSPACE", "HARDWARE", "DEVICE", "KERNEL"})
_MEMBERS = frozenset(
    {"TYPE", "CONST", "PUB", "GHOST", "STATE", "LOCK", "OP", "PROC", "FN", "THREAD", "SERVER", "ENVIRONMENT", "VARIANT"}
    | {"INTERRUPT", "SLOW", "MIGRATING"}
    | {"INIT", "ALWAYS", "INVARIANT", "TRANSITION", "FINAL", "REACHABLE", "WEAKNESS"}
    | {"PROGRESS", "RECOVERABLE", "EVERY"}
    | {"OBJECT"}
)
_ITEMS = _MEMBERS | _ROLES | frozenset(
    {"PROTOCOL", "MODULE", "SOURCE", "IMPORT", "PARAM", "REQUIRE", "ORDER", "NEST", "ACTOR", "ADVERSARY", "SCENARIO"}
    | {"CHECK", "RUN"}
)
_ACTOR = _ROLES | {"ACTOR"}
_IN_OBJECT = frozenset({"PUB", "GHOST", "STATE", "LOCK"})
_PREFIXES = frozenset({"PUB", "GHOST", "ALWAYS", "OF", "ADVERSARY", "COLON"})


def _cut(text: str, tokens: Sequence[Token], firsts: frozenset[str]) -> list[Sequence[Token]]:
    """Cut into declarations: before every word of ``firsts``, and before what was meant to be one, outside brackets.

    Such a word also cuts within brackets where it stands as declarations do: a member at the beginning of its line, as
    members are only cut where something is wrong; an item in the first column, if the brackets of the file do not
    match. So a lost brace costs one declaration. For one brace too many, an actor then ends in the first column only.
    """
    matched = firsts is _ITEMS and _brackets_match(tokens)
    cuts: list[Sequence[Token]] = []
    start = 0
    open_: list[str] = []
    for i, token in enumerate(tokens):
        loose = not matched and firsts is _ITEMS and tokens[start].type in _ACTOR
        member_of_object = tokens[start].type == "OBJECT" and open_ and token.type in _IN_OBJECT
        if i > start and not member_of_object and _begins(text, tokens, i, firsts, bool(open_), matched, loose):
            cuts.append(tokens[start:i])
            start = i
            open_.clear()
        if token.type in _OPEN:
            open_.append(_OPEN[token.type])
        elif token.type == "RBRACE" and token.type in open_:
            while open_.pop() != token.type:
                pass
        elif open_ and open_[-1] == token.type:
            open_.pop()
    if start < len(tokens):
        cuts.append(tokens[start:])
    return cuts


def _brackets_match(tokens: Sequence[Token]) -> bool:
    open_: list[str] = []
    for token in tokens:
        if token.type in _OPEN:
            open_.append(_OPEN[token.type])
        elif token.type in _CLOSE and (not open_ or open_.pop() != token.type):
            return False
    return not open_


def _begins(
    text: str, tokens: Sequence[Token], i: int, firsts: frozenset[str], inside: bool, matched: bool, loose: bool
) -> bool:
    """Whether a declaration begins with token ``i``; ``inside`` says that brackets are open."""
    token, before = tokens[i], tokens[i - 1]
    after = tokens[i + 1].type if i + 1 < len(tokens) else "$END"
    starts_line = "\n" in text[_end(before) : _start(token)]
    first_column = starts_line and text[_start(token) - 1] == "\n"
    if loose and token.type == "RBRACE":
        return not inside and before.type == "RBRACE" and text[_start(before) - 1] == "\n"
    if before.type in _PREFIXES or (before.type in firsts and not starts_line):
        return False
    if before.type == "SLOW" and token.type in ("OP", "PROC"):
        return False
    if token.type == "GHOST" and after not in ("STATE", "OP", "PROC"):
        return False
    named = token.type in firsts and (token.type not in _ROLES | {"OBJECT", "RUN"} or after not in _AFTER_NAME)
    if token.type == "SLOW" and after not in ("OP", "PROC"):
        named = False
    if token.type == "MIGRATING" and after not in ("THREAD", "SERVER", "ENVIRONMENT"):
        named = False
    if token.type in ("PROGRESS", "RECOVERABLE", "RUN"):  # names as well, which stand in the middle of an expression
        named = after in _NAMES and (starts_line or before.type in ("SEMI", "RBRACE"))
    meant = token.type == "NAME" and token != "x" and after in _SECOND_WORD
    if loose or inside:
        return not matched and (named or meant) and (first_column if firsts is _ITEMS else starts_line)
    if before.type == "SEMI":
        return named or meant or token.type == "RBRACE"
    after_block = before.type == "RBRACE" and token.type in ("NAME", "RBRACE") and token != "x"
    return named or (starts_line and (meant or after_block))


# What comes after a name that is used, and after a word that was meant to begin a declaration.
_AFTER_NAME = frozenset({"SEMI", "COMMA", "DOT", "EQ", "COLON", "RPAR", "RSQB", "RBRACE", "$END"})
_SECOND_WORD = frozenset({"NAME", "STATE", "LOCK", "OP", "PROC"})


# --------------------------------------------------------------------------------------------------------- parsing


class _Reader:
    """Parses cuts of one file and collects what is wrong with them.

    ``starts`` are the offsets of all tokens, ``lost`` those of what could not become a token, both ascending.
    """

    def __init__(self, file: SourceFile, builder: Builder, starts: Sequence[int], lost: Sequence[int]) -> None:
        self.file = file
        self.builder = builder
        self.faults: list[Diagnostic] = []
        self._starts = starts
        self._lost = lost
        self._misfit_before = False

    def item(self, cut: Sequence[Token]) -> list[Any]:
        """The item in ``cut``, or nothing."""
        read = self._read(cut, "item")
        if not isinstance(read, _Misfit):
            self._misfit_before = False
            return [read]
        head = _actor_head(cut)
        known = len(self.faults)
        if head and not isinstance(self._read(cut[:head], "actor_open"), _Misfit):
            body, closed = _actor_body(self.file.text, cut[head:])
            for member in _cut(self.file.text, body, _MEMBERS):
                if len(self.faults) > MAX_FAULTS:
                    break
                misfit = self._read(member, "member")
                if isinstance(misfit, _Misfit):
                    self._report(misfit)
                else:
                    self._misfit_before = False
            if len(self.faults) == known and not closed:
                self.faults.append(_never_closed(self.file, cut[head - 1], cut[-1]))
        if len(self.faults) == known:
            self._report(read)
        return []

    def _report(self, misfit: _Misfit) -> None:
        """Explain ``misfit``, unless it may come from a part of its declaration that was no token.

        A bracket that closes nothing right after a declaration that did not fit most likely belongs to that one.
        """
        cut, at = misfit.cut, min(misfit.at, len(misfit.cut) - 1)
        follows, self._misfit_before = self._misfit_before, True
        if follows and misfit.at == 0 and cut[0].type in _CLOSE:
            return
        after = bisect_right(self._starts, _start(cut[at]))
        end = self._starts[after] if after < len(self._starts) else len(self.file.text)
        if bisect_left(self._lost, _start(cut[0])) == bisect_left(self._lost, end):
            self.faults.append(_explain(self.file, misfit))

    def _read(self, cut: Sequence[Token], start: str) -> Any:
        from lark import UnexpectedToken

        parser: _Parser = _lark().parse_interactive(start=start)
        for i, token in enumerate(cut):
            if token == "x":
                token = _product_word(parser, token)
            try:
                parser.feed_token(token)
            except UnexpectedToken:
                return _Misfit(cut, i, start)
        try:
            tree = parser.feed_eof(cut[-1])
        except UnexpectedToken:
            return _Misfit(cut, len(cut), start)
        return self._build(tree)

    def _build(self, tree: Tree[Token]) -> Any:
        """Call the builder from the leaves up, without recursion: a long chain of operators is a deep tree."""
        from lark import Tree

        done: list[tuple[Any, int]] = []
        todo: list[tuple[Any, bool]] = [(tree, False)]
        while todo:
            part, children_done = todo.pop()
            if part is None:
                done.append((None, 0))
            elif not isinstance(part, Tree):
                done.append((n.Ident(str(part), span=_span(self.file, part)), 0))
            elif not children_done:
                todo.append((part, True))
                todo.extend((child, False) for child in reversed(part.children))
            else:
                count = len(part.children)
                children = done[len(done) - count :]
                del done[len(done) - count :]
                span = Span(self.file, part.meta.start_pos, part.meta.end_pos)
                depth = 1 + max((d for _, d in children), default=0)
                if depth > MAX_DEPTH:
                    raise ModelError([_too_deep(replace(span, end=span.start + 1))])
                method = getattr(self.builder, part.data)
                done.append((method(span, *(child for child, _ in children)), depth))
        return done[0][0]


@dataclass(frozen=True)
class _Misfit:
    """Token ``at`` of ``cut`` does not fit; ``at == len(cut)`` says that the cut ends too early."""

    cut: Sequence[Token]
    at: int
    start: str


def _product_word(parser: _Parser, token: Token) -> Token:
    """The name ``x``, retagged if no name can stand here: then it may be the word between the parts of a product."""
    return token if _takes(parser, token) else token.update(type="PRODUCT")


def _takes(parser: _Parser, token: Token) -> bool:
    from lark import UnexpectedToken

    try:
        _trial(parser).feed_token(token)
    except UnexpectedToken:
        return False
    return True


def _trial(parser: _Parser) -> _Parser:
    """A copy to try tokens on. NOTE(trials-build-nothing): trees would share their lists of children with the parser's
    own, and what a trial appends to them would stay there."""
    ahead = parser.copy(deepcopy_values=False)
    ahead.parser_state.parse_conf = copy(ahead.parser_state.parse_conf)
    ahead.parser_state.parse_conf.callbacks = {}
    return ahead


def _actor_head(cut: Sequence[Token]) -> int:
    """The number of tokens up to and with the `{` that opens an actor; 0 if ``cut`` is no actor."""
    if cut[0].type in _ACTOR:
        for i, token in enumerate(cut[:5]):
            if token.type == "LBRACE":
                return i + 1
    return 0


def _actor_body(text: str, rest: Sequence[Token]) -> tuple[Sequence[Token], bool]:
    """What stands between the braces of an actor, and whether the closing one is there."""
    if not rest or rest[-1].type != "RBRACE":
        return rest, False
    last = _cut(text, rest, _MEMBERS)[-1]
    depth = sum((t.type == "LBRACE") - (t.type == "RBRACE") for t in last)
    return (rest[:-1], True) if depth < 0 else (rest, False)


# -------------------------------------------------------------------------------------------------------- messages


def _explain(file: SourceFile, misfit: _Misfit) -> Diagnostic:
    """The fault at a token that does not fit: the first explanation that applies, from the special to the general."""
    cut, at = misfit.cut, misfit.at
    found = cut[at] if at < len(cut) else None
    parser = _run(cut[:at], misfit.start)
    accepted = parser.accepts()
    expected = _expected(accepted, misfit.start)
    if found is None:
        return _ends_early(file, cut, accepted, expected)
    for explanation in (_not_yet, _misspelt, _missing_semicolon, _stray_brace, _keyword_as_name, _chained):
        diagnostic = explanation(file, misfit, accepted)
        if diagnostic is not None:
            return diagnostic
    text = _shown(found)
    headline = f"unexpected {text}: expected {expected}" if expected else f"unexpected {text}"
    return Diagnostic(
        rules.UNEXPECTED_TOKEN,
        headline,
        (Label(_span(file, found)), *_open_bracket(file, cut[:at], accepted)),
        _hint(misfit, accepted),
    )


def _run(tokens: Iterable[Token], start: str) -> _Parser:
    """A parser that has taken ``tokens``, which must fit."""
    parser: _Parser = _lark().parse_interactive(start=start)
    for token in tokens:
        parser.feed_token(_product_word(parser, token) if token == "x" else token)
    return parser


def _not_yet(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    """A word of a later version where only a name can stand, or a name that is followed like such a word."""
    cut, at = misfit.cut, misfit.at
    for i in (at, at - 1):
        if i >= 0 and cut[i] in rules.LATER:
            return not_yet_supported(str(cut[i]), _span(file, cut[i]))
    return None


def _misspelt(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    """This token, or the name before it, is nearly a keyword that could stand in its place."""
    cut, at = misfit.cut, misfit.at
    for i in (at, at - 1):
        if i < 0 or cut[i].type != "NAME":
            continue
        before = _run(cut[:i], misfit.start)
        words = {_spelling()[t]: t for t in before.accepts() if t in _keywords()}
        for word in get_close_matches(str(cut[i]), sorted(words), 3, 0.7):
            if i == at or _fits(before, cut[i].update(type=words[word], value=word), cut[at]):
                return Diagnostic(
                    rules.MISSPELT_KEYWORD,
                    f"`{cut[i]}` means nothing here",
                    (Label(_span(file, cut[i])),),
                    f"did you mean `{word}`?",
                )
    return None


def _fits(parser: _Parser, word: Token, then: Token) -> bool:
    ahead = _trial(parser)
    ahead.feed_token(word)
    return _takes(ahead, then)


def _missing_semicolon(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    cut, at = misfit.cut, misfit.at
    if "SEMI" not in accepted or at == 0:
        return None
    found, before = cut[at], cut[at - 1]
    begins = found.type == "RBRACE" or found.type in _MEMBERS or found.type in _STATEMENT
    if accepted == {"SEMI"} or begins or (found.type == "NAME" and "\n" in file.text[_end(before) : _start(found)]):
        end = _end(before)
        return Diagnostic(
            rules.MISSING_SEMICOLON, f"missing `;` after `{before}`", (Label(Span(file, end - 1, end)),)
        )
    return None


def _stray_brace(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    found = misfit.cut[misfit.at]
    if found.type in _CLOSE and (misfit.at == 0 or accepted == {"$END"}):
        return Diagnostic(
            rules.UNMATCHED_BRACKET,
            f"this `{found}` closes nothing",
            (Label(_span(file, found)),),
            "remove it, or look above for a block that was closed too early",
        )
    return None


def _keyword_as_name(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    found = misfit.cut[misfit.at]
    names_only = "NAME" in accepted and accepted <= _NAMES | {"LSQB", "RPAR", "UNDERSCORE", "REF", "RBRACE", "TYPE"}
    if found.type in _keywords() and names_only:
        return Diagnostic(
            rules.KEYWORD_AS_NAME,
            f"`{found}` is a keyword, so it cannot be a name",
            (Label(_span(file, found)),),
            f"choose another name, such as `{found}_`",
        )
    return None


def _chained(file: SourceFile, misfit: _Misfit, accepted: set[str]) -> Diagnostic | None:
    found = misfit.cut[misfit.at]
    if found.type in _COMPARISONS and "AND" in accepted and not accepted & _COMPARISONS:
        return Diagnostic(
            rules.CHAINED_COMPARISON,
            f"`{found}` cannot follow another comparison",
            (Label(_span(file, found)),),
            "join two comparisons by `&&`, or put one in parentheses",
        )
    return None


def _ends_early(file: SourceFile, cut: Sequence[Token], accepted: set[str], expected: str) -> Diagnostic:
    end = _end(cut[-1])
    last = Span(file, end - 1, end)
    opened = _innermost_open(cut)
    if opened is not None:
        return Diagnostic(
            rules.UNCLOSED_BRACKET,
            f"the declaration ends before its `{opened}` is closed: expected {expected}",
            (Label(last), Label(_span(file, opened), f"this `{opened}` is never closed")),
        )
    if "SEMI" in accepted:
        return Diagnostic(rules.MISSING_SEMICOLON, f"missing `;` after `{cut[-1]}`", (Label(last),))
    return Diagnostic(
        rules.UNEXPECTED_END, f"the declaration ends too early: expected {expected}", (Label(last),)
    )


def _never_closed(file: SourceFile, opened: Token, last: Token) -> Diagnostic:
    return Diagnostic(
        rules.UNCLOSED_BRACKET,
        f"the actor ends before its `{opened}` is closed: expected `}}`",
        (Label(Span(file, _end(last) - 1, _end(last))), Label(_span(file, opened), "this `{` is never closed")),
    )


def _innermost_open(tokens: Sequence[Token]) -> Token | None:
    open_: list[Token] = []
    for token in tokens:
        if token.type in _OPEN:
            open_.append(token)
        elif token.type in _CLOSE and open_:
            open_.pop()
    return open_[-1] if open_ else None


def _open_bracket(file: SourceFile, tokens: Sequence[Token], accepted: set[str]) -> tuple[Label, ...]:
    """Where a `(` or `[` is open that could be closed here, a label that shows it."""
    opened = _innermost_open(tokens)
    if opened is None or opened.type == "LBRACE" or _OPEN[opened.type] not in accepted:
        return ()
    return (Label(_span(file, opened), f"this `{opened}` is still open"),)


def _hint(misfit: _Misfit, accepted: set[str]) -> str:
    cut, at = misfit.cut, misfit.at
    found, before = cut[at], cut[at - 1] if at else None
    after = cut[at + 1] if at + 1 < len(cut) else None
    touching = before is not None and before.end_pos == found.start_pos
    double = after is not None and found.end_pos == after.start_pos
    if found.type == "EQ" and "EQEQ" in accepted:
        return "`==` compares, `=` assigns"
    if found.type == "EQEQ" and "EQ" in accepted:
        return "`=` assigns, `==` compares"
    if after is not None and double and after.type == found.type and found.type in ("PLUS", "MINUS"):
        return f"write `{found}= 1`"
    if after is not None and double and found.type == "SLASH" and after.type == "STAR":
        return "comments begin with `//` and end with the line"
    if before is not None and touching and before.type == "COLON" and found.type == "EQ":
        return "`=` assigns"
    if found.type == "SCALARSET":
        return "give it a name first: `type t = scalarset(...)`"
    if found.type == "OR_WORD" and "OR" in accepted:
        return "write `||`"
    if found == "and" and "AND" in accepted:
        return "write `&&`"
    if before is not None and before == "not":
        return "write `!`"
    if found.type == "DOTDOT" and "DOTDOTLT" in accepted:
        return "a `for` is half-open: `..<`"
    if found.type in _QUANTIFIERS:
        return "put the quantifier in parentheses"
    return mend_word("" if before is None else str(before), str(found), "" if after is None else str(after), accepted)


_CLAIM_WORDS = frozenset({"RUN", "LEADS", "TO", "PROGRESS", "RECOVERABLE", "LEADS_TO", "FINISHES", "FAIR"})
_FAILURE_WORDS = frozenset({"MAY_FAIL", "FAIL", "TRY", "ON_ERROR", "KILLABLE"})
_CPU_WORDS = frozenset(
    {"INTERRUPT", "IPI", "IPI_WAIT", "IRQ_OFF", "MIGRATE_OFF", "MIGRATING", "NMI", "ON", "PREEMPT_OFF"}
)
_INSTRUCTION_WORDS = frozenset({"SLOW", "HOLDS", "TIMES", "COUNTER", "WINDOW"})
_SOFT = _ROLES | _CLAIM_WORDS | _FAILURE_WORDS | _CPU_WORDS | _INSTRUCTION_WORDS | {
    "READ", "WRITE", "IDLE", "DOWN", "SET", "SNAPSHOT", "SRCU", "MOST", "CALLS", "STEPS", "STEP",
    "OBJECT", "NEW", "FREE",
}  # fmt: skip
_NAMES = frozenset(_SOFT | {"NAME"})
_QUANTIFIERS = frozenset({"FORALL", "EXISTS", "COUNT"})
_COMPARISONS = frozenset({"EQEQ", "BANGEQ", "LT", "LE", "GT", "GE", "IN"})
_OPERAND = _NAMES | {"INT", "TRUE", "FALSE", "NONE", "STALE", "LBRACE", "LPAR", "BANG", "MINUS", "TILDE"} | {
    "TRY_ACQUIRE", "OLD", "AT", "IN", "FINISHED", "HELD", "RACY"
}  # fmt: skip
_STATEMENT = frozenset(
    {"VAR", "LET", "IGNORE", "CHOOSE", "HAVOC", "IF", "WHILE", "LOOP", "FOR", "BREAK", "CONTINUE", "RETURN", "RETRY"}
    | {"EITHER", "ATOMIC", "GHOST", "REGION", "WITH", "UNDER", "ACQUIRE", "RELEASE", "DOWNGRADE", "SYNCHRONIZE"}
    | {"AWAIT", "SPIN", "ASSERT", "BUG", "STOP", "HALT", "SKIP", "MIGHT_SLEEP"}
    | {"IRQ_OFF", "PREEMPT_OFF", "MIGRATE_OFF", "IPI", "IPI_WAIT"}
)
_TYPE_WORDS = frozenset({"BOOL", "ENUM", "RECORD", "VERSION"})
_ARITHMETIC = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "SHL", "SHR", "AMP", "PIPE", "CARET"})
_CONNECTIVES = frozenset({"AND", "OR", "IMPLIES", "QMARK"})
_POSTFIX = frozenset({"DOT", "LSQB", "LPAR", "BANG"})
_ASSIGN = frozenset(
    {"EQ", "PLUSEQ", "MINUSEQ", "STAREQ", "SLASHEQ", "PERCENTEQ", "PIPEEQ", "AMPEQ", "CARETEQ", "SHLEQ", "SHREQ"}
)

# What many terminals together are called, the larger first. Each is tried on what is left by those before it.
_GROUPS: tuple[tuple[frozenset[str], str], ...] = (
    (_ITEMS, "a declaration"),
    (_MEMBERS, "a member of an actor"),
    (_STATEMENT | _OPERAND - {"INT", "TRUE", "FALSE", "NONE", "STALE", "BANG", "MINUS", "TILDE", "TRY_ACQUIRE"},
     "a statement"),
    (_OPERAND | _QUANTIFIERS, "an expression"),
    (_OPERAND, "an expression"),
    (_TYPE_WORDS | _NAMES | {"INT", "MINUS", "LPAR", "LSQB"}, "a type"),
    (_TYPE_WORDS | _NAMES | {"INT", "MINUS", "LPAR"}, "a type"),
    (_ARITHMETIC | _COMPARISONS | _CONNECTIVES | _POSTFIX, "an operator"),
    (_ARITHMETIC | _COMPARISONS | _CONNECTIVES, "an operator"),
    (_ARITHMETIC | _POSTFIX, "an operator"),
    (_ARITHMETIC, "an operator"),
    (_ASSIGN, "an assignment such as `=`"),
    (_NAMES, "a name"),
    (_ROLES, "a role such as `hypervisor`"),
)  # fmt: skip


def _expected(accepted: set[str], start: str) -> str:
    """``accepted`` in words: groups first, then each terminal as it is written."""
    left = set(accepted) - {"$END"}
    words: list[str] = []
    for group, word in _GROUPS:
        if group <= left:
            left -= group
            if word not in words:
                words.append(word)
    if words:
        left -= _POSTFIX
    spelt = sorted(_spelling()[t] for t in left)
    words += [w if w.startswith(("a ", "an ")) else f"`{w}`" for w in spelt]
    if "$END" in accepted and not words:
        words.append("a declaration" if start == "item" else "a member of an actor")
    return words[0] if len(words) == 1 else " or ".join((", ".join(words[:-1]), words[-1])) if words else ""


@cache
def _keywords() -> frozenset[str]:
    no_words = ("PRODUCT", "UNDERSCORE")
    return frozenset(t for t, spelt in _spelling().items() if spelt.isidentifier() and t not in no_words)


def _shown(token: Token) -> str:
    if token.type in _keywords() and token.type not in _SOFT:
        return f"keyword `{token}`"
    text = str(token)
    return f"`{text if len(text) <= 40 else text[:37] + '...'}`"


# ------------------------------------------------------------------------------------------------------ whole files

_HEADER = "a model begins with `protocol NAME`, a library module with `module NAME(...)`"


def _take_header(
    file: SourceFile, items: Sequence[Any], faults: list[Diagnostic]
) -> tuple[n.Protocol | n.ModuleHeader | None, tuple[n.Item, ...]]:
    """The one header among ``items``, and the rest."""
    headers = [i for i in items if isinstance(i, n.Protocol | n.ModuleHeader)]
    rest = tuple(i for i in items if not isinstance(i, n.Protocol | n.ModuleHeader))
    for extra in headers[1:]:
        faults.append(
            Diagnostic(
                rules.SECOND_HEADER,
                "a file has one `protocol` or one `module`",
                (Label(extra.span), Label(headers[0].span, "the first one")),
                "move the second one to a file of its own",
            )
        )
    if not headers and not faults:
        start = len(file.text) - len(file.text.lstrip())
        faults.append(
            Diagnostic(
                rules.MISSING_HEADER, "the file does not say what it is", (Label(Span(file, start, start)),), _HEADER
            )
        )
    return headers[0] if headers else None, rest


def _in_order(faults: Sequence[Diagnostic]) -> list[Diagnostic]:
    faults = sorted(faults, key=lambda d: d.labels[0].span.start)
    if len(faults) <= MAX_FAULTS:
        return list(faults)
    label = faults[MAX_FAULTS - 1].labels[0]
    more = Diagnostic(rules.TOO_MANY_FAULTS, f"more than {MAX_FAULTS} faults; the rest is not shown", (label,))
    return [*faults[:MAX_FAULTS], more]


def _unreadable(name: str, rule: Rule, headline: str, help_: str = "") -> ModelError:
    return ModelError([Diagnostic(rule, headline, (Label(Span(SourceFile(name, ""), 0, 0)),), help_)])
