"""What is too large for one step is refused by name, and quickly enough that nobody counts."""

from __future__ import annotations

import pytest

from protocheck.diagnostics import ModelError
from protocheck.engines import auto, explore
from protocheck.engines.verdict import Budget, Limit, Reached, Unknown
from protocheck.ir.expr import Apply, Expr, Lit, Op, Read, Var, extent, interval
from protocheck.ir.sorts import RangeSort
from protocheck.ir.system import Case, InitCase, System, Target
from tests.lower.snippets import compiled, states

BITS = """type bit = 0..7
kernel k {
    state s : set of bit = {};
    op store() {
        choose a : bit;
        choose to : bool;
        for p in a ..< 8 { s = VALUE; }
    }
    environment t { loop { store(); } }
}"""


def test_a_set_stored_bit_by_bit_and_read_as_a_whole_is_too_large() -> None:
    """Each turn reads all that the turns before it stored, so the expression grows beyond the limit."""
    value = "(exists q in bit : q in s && q != p) ? s | {p} : s - {p}"
    with pytest.raises(ModelError) as fault:
        compiled(BITS.replace("VALUE", value))
    assert [d.rule.name for d in fault.value.diagnostics] == ["step-too-large"]


def test_a_set_stored_bit_by_bit_is_not() -> None:
    """Without the quantifier each turn adds one condition: the set takes all its 256 values, at two places."""
    assert states(BITS.replace("VALUE", "to ? s | {p} : s - {p}")) == 512


def test_a_long_chain_of_stores_is_too_large() -> None:
    """Two hundred dependent stores in one step nest deeper than anything later could walk through."""
    body = "kernel k { state n : 0..255 = 1; thread t { atomic { for i in 0 ..< 200 { n = (n * 3 + i) & 255; } } } }"
    with pytest.raises(ModelError) as fault:
        compiled(body)
    assert [d.rule.name for d in fault.value.diagnostics] == ["step-too-large"]
    assert len(compiled(body.replace("200", "20")).transitions) == 2


def test_a_loop_over_an_aligned_range_ends() -> None:
    """Bounds are known for `x & ~mask`, so the compiler sees that a loop from there to a variable end must stop."""
    text = """fn head(p : 0..7) -> 0..7 = p & ~1;
    kernel k {
        state n : 0..7 = 0;
        state last : 0..7 = 0;
        op f() { choose a : 0..7; last = 0; for h in head(a) ..< 6 by 2 { last = h; } n = a; }
        environment t { loop { f(); } }
    }"""
    assert states(text) == 17  # eight ends, the beginning, and the ends once more behind the next turn


def test_bounds_of_bit_operations_hold() -> None:
    """For all small operands the value lies within the bounds that are told."""
    for low in range(-3, 4):
        for other in (-4, -2, -1, 0, 3, 5):
            x = Read(Var("x", (), RangeSort(low, low + 2)))
            e = Apply(Op.BITAND, (x, Lit(other)))
            bounds = interval(e)
            for value in range(low, low + 3):
                assert bounds is None or bounds[0] <= value & other <= bounds[1]
            inverse = interval(Apply(Op.BITNOT, (x,)))
            assert inverse == (-low - 3, -low - 1)


def test_expressions_nested_too_deeply_end_in_an_answer() -> None:
    """No engine falls over an expression that only a hand-made system can have: the verdict says what was too much."""
    x = Var("x", (), RangeSort(0, 3))
    e: Expr = Read(x)
    for _ in range(3_000):
        e = Apply(Op.SUB, (Lit(3), e))
    system = System("deep", (), (x,), (Lit(0),), (InitCase(),), (), ())
    targets = [Target((Case((), Apply(Op.EQ, (e, Lit(1)))),)), Target((Case((), Apply(Op.EQ, (Read(x), Lit(0)))),))]
    verdicts = explore.run(system, targets, Budget())
    assert all(isinstance(v, Unknown) and v.limit is Limit.SOLVER and "too deeply" in v.detail for v in verdicts)
    answered = auto.run(system, targets, Budget())
    assert isinstance(answered[0], Unknown)
    assert isinstance(answered[1], Reached | Unknown)


def test_extent_counts_a_shared_part_as_often_as_it_is_reached() -> None:
    """Two levels of doubling: four reads and their constants, though only one read is in memory."""
    x: Expr = Read(Var("x", (), RangeSort(0, 3)))
    for _ in range(2):
        x = Apply(Op.ADD, (x, x))
    assert extent(x) == (7, 3)
