"""Keywords that are also names, told apart by what stands next to them.

The words that the grammar's rule ``ident`` lists are names wherever the parser can take one. The words here would make
the grammar ambiguous there. But each of them means something only in front of, or behind, certain tokens, and no name
can stand in the same place; so their neighbours decide, before anything is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


def names_among(types: Sequence[str], soft: frozenset[str]) -> tuple[int, ...]:
    """The places in ``types``, the terminals of a file, at which a word of :data:`BY_NEIGHBOURS` is a name.

    ``soft`` are the terminals that ``ident`` takes.
    """
    named = soft | BY_NEIGHBOURS.keys()
    found: list[int] = []
    for i, kind in enumerate(types):
        if kind not in BY_NEIGHBOURS:
            continue
        before = types[i - 1] if i else ""
        after = types[i + 1] if i + 1 < len(types) else ""
        second = types[i + 2] if i + 2 < len(types) else ""
        if before in _BEFORE_A_NAME or not BY_NEIGHBOURS[kind](before, after, second, named):
            found.append(i)
    return tuple(found)


_BEFORE_A_NAME = frozenset(
    {"DOT", "PROTOCOL", "MODULE", "AS", "PARAM", "TYPE", "CONST", "STATE", "LOCK", "OP", "PROC", "FN", "THREAD"}
    | {"SERVER", "ENVIRONMENT", "VARIANT", "INVARIANT", "TRANSITION", "REACHABLE", "WEAKNESS", "SCENARIO", "EXPECT"}
    | {"LET", "VAR", "CHOOSE", "HAVOC", "FOR", "FORALL", "EXISTS", "REF", "WITH", "WITHOUT", "UNDER"}
)
"""Behind these a name has to stand, and nothing else can."""

_GOES_ON = frozenset({"COMMA", "ARROW", "EQ", "IN"})
"""Behind these no declaration begins."""

_Rule = Callable[[str, str, str, frozenset[str]], bool]


def _before_a_name(before: str, after: str, second: str, named: frozenset[str]) -> bool:
    return after in named


def _at(before: str, after: str, second: str, named: frozenset[str]) -> bool:
    # at(t, label)   at most k   violated at label   in 5 steps at label
    return after in ("LPAR", "MOST") or (after in named and before in named)


def _count(before: str, after: str, second: str, named: frozenset[str]) -> bool:
    return after in named and second == "IN"


BY_NEIGHBOURS: Mapping[str, _Rule] = {
    "ALWAYS": lambda before, after, second, named: after == "INVARIANT",
    "AT": _at,
    "BUG": lambda before, after, second, named: after == "STRING",
    "CHECK": lambda before, after, second, named: after in named and before not in _GOES_ON,
    "COUNT": _count,
    "EVERY": lambda before, after, second, named: after in named and before not in _GOES_ON,
    "OLD": lambda before, after, second, named: after == "LPAR",
    "ORDER": lambda before, after, second, named: (
        after in named and before not in _GOES_ON and second not in ("SEMI", "COMMA", "IN", "AT")
    ),
    "RECORD": lambda before, after, second, named: (
        after == "LBRACE" and before in ("EQ", "COLON", "ARROW", "OF", "RSQB", "LPAR")
    ),
    "REGION": _before_a_name,
    "SOURCE": lambda before, after, second, named: after == "STRING",
    "STOP": _before_a_name,
}
"""For each word, whether it is the keyword: what it needs around it to mean anything."""
