"""Faults that only an instance shows, and what a verdict takes for granted."""

from __future__ import annotations

import pytest

from protocheck.diagnostics import ModelError
from tests.lower.snippets import compiled, depths

INIT = """type gfn = scalarset(gfns in 1..3 = 2)
kernel k {
    state used : [gfn] bool = VALUE;
    init { choose g : gfn where !used[g]; used[g] = true; }
    thread t { skip; }
}"""

RACING = """type gfn = scalarset(gfns in 1..3 = 2)
kernel k {
    lock m : mutex;
    state y    : bool = false guarded_by m;
    state a    : [gfn] bool = false;
    state b    : [gfn] bool = false;
    state pick : gfn? = none;
    thread t { BODY }
    thread u { with m { y = false; } }
    environment w { loop { choose g : gfn; either { a[g] = true; } or { b[g] = true; } } }
}"""


def test_an_init_without_a_candidate_is_refused() -> None:
    """Without an initial state every claim would hold for no reason."""
    assert compiled(INIT.replace("VALUE", "false")).initial
    with pytest.raises(ModelError) as fault:
        compiled(INIT.replace("VALUE", "true"))
    assert [d.rule.name for d in fault.value.diagnostics] == ["no-beginning"]


@pytest.mark.parametrize(
    ("expression", "faulty"),
    [("1 << n", False), ("1 << (n + 65)", True), ("1 << (n - 1)", True), ("8 >> (n - 1)", True), ("8 >> n", False)],
)
def test_a_shift_by_too_much_breaks_range(expression: str, faulty: bool) -> None:
    """A shift by a negative amount or by more than 64 has no value, as a division by zero has none."""
    text = f"kernel k {{ state n : 0..64 = 0; thread t {{ assert {expression} >= 0 as claim; }} }}"
    found = depths(compiled(text))
    assert (found["range"] is not None) is faulty
    assert found["claim"] is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("skip;", ()),
        ("racy(y) = true;", ("1 racy write",)),
        ("let v = racy(y); racy(y) = v;", ("1 racy read", "1 racy write")),
        ("choose g : gfn where a[g] == b[g]; pick = g;", ("1 choice by several cells at once",)),
        ("for g in gfn where !a[g] && !b[g] { pick = g; }", ("1 choice by several cells at once",)),
        ("choose g : gfn where !a[g]; pick = g;", ()),
        ("choose g : gfn; await a[g] && b[g];", ("1 wait on several cells at once",)),
    ],
)
def test_what_is_taken_for_granted_is_counted(body: str, expected: tuple[str, ...]) -> None:
    """Racy accesses by kind, and conditions that read several contended cells at once."""
    assert compiled(RACING.replace("BODY", body)).assumptions == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kernel k { thread t { skip; } } scenario s { strict; }", "strict"),
        ("kernel k { thread t { skip; } } check stuck;", "stuck"),
        ("kernel k { thread t { skip; } } scenario s { expect stuck holds; }", "stuck"),
    ],
)
def test_what_is_planned_is_refused_by_name(text: str, word: str) -> None:
    """The message names the construct, not the token that was expected in its place."""
    with pytest.raises(ModelError) as fault:
        compiled(text)
    found = fault.value.diagnostics[0]
    assert (found.rule.name, found.headline.split()[0]) == ("not-yet-supported", f"`{word}`")
