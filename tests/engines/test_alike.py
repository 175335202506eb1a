"""Which systems nobody can tell apart who sees the states only."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.engines.alike import alike
from protocheck.lower import compile_system, instantiate
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types.check import check, library_loader


def compare(first: str, second: str, states: int = 1000) -> bool | None:
    systems = []
    for body in (first, second):
        text = f"""\
protocol two
hypervisor k {{
    lock m : mutex;  lock n : mutex;
    state x : 0..3 = 0;  state y : 0..3 = 0;
    {body}
}}
invariant i: k.x <= 3 && k.y <= 3;
"""
        module = check(parse(SourceFile("two.pchk", text)), library_loader(Path()))
        systems.append(compile_system(module, instantiate(module, None)))
    a, b = systems
    answer = alike(a, b, ("k.x", "k.y"), states)
    assert alike(b, a, ("k.x", "k.y"), states) is answer
    return answer


WATCH = "thread w { let a = y; x = a; }"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("thread t { x = 1; y = 1; }" + WATCH, "thread t { y = 1; x = 1; }" + WATCH, False),
        ("thread t { atomic { x = 1; y = 1; } }" + WATCH, "thread t { atomic { y = 1; x = 1; } }" + WATCH, True),
        ("thread t { atomic { x = 1; y = 1; } }" + WATCH, "thread t { x = 1; y = 1; }" + WATCH, False),
        ("thread t { with m { x = 1; } } thread u { y = 1; }", "thread t { x = 1; } thread u { y = 1; }", True),
        ("thread t { with m, n { x = x + 1; } } thread u { with m, n { x = x + 1; } }",
         "thread t { with m { x = x + 1; } } thread u { with m { x = x + 1; } }", True),
        ("thread t { await x == 0; y = 1; } thread u { y = 2; }", "thread t { y = 1; } thread u { y = 2; }", True),
        ("thread t { await x == 0; y = 1; } thread u { x = 2; }", "thread t { y = 1; } thread u { x = 2; }", False),
        ("thread t { either { x = 1; } or { x = 2; } y = 1; }" + WATCH,
         "thread t { either { x = 1; y = 1; } or { x = 2; y = 1; } }" + WATCH, True),
        ("thread t { x = 1; } thread u { await y == 1; }", "thread t { x = 1; } thread u { skip; }", False),
        ("thread t { acquire m; x = 1; } thread u { with m { y = 1; } }",
         "thread t { acquire m; x = 1; release m; } thread u { with m { y = 1; } }", False),
    ],
)  # fmt: skip
def test_alike(first: str, second: str, same: bool) -> None:
    """Locks that change nothing are not seen; what can be seen between two steps is, and so is who can never go on."""
    assert compare(first, second) is same


def test_what_is_too_large_is_not_compared() -> None:
    """Nothing is claimed of a system with more states than allowed, unless it has the very same moves."""
    other = "thread t { with m { x = 1; } } thread u { y = 1; }"
    assert compare(other, "thread t { x = 1; } thread u { y = 1; }", 2) is None
    assert compare(other, other, 2) is True
