"""Whoever types C out of habit is told what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.diagnostics import ModelError
from protocheck.types import load

HABITS = [
    ("int y = 3;", "a local is declared by `let y = ...`, or by `var y : TYPE = ...` if it changes"),
    ("goto out;", "there is no `goto`: undo by `on_error { }`, or leave by `return`, `break` or `continue`"),
    ("call f();", "a call is just `f(...)`"),
    ("if (x) x = true;", "what is executed stands in braces, also a single statement: `if ... { ... }`"),
    ("lock(m);", "a lock is taken by `with l { ... }`, or by `acquire l;`"),
    ("mutex_lock(m);", "a lock is taken by `with l { ... }`, or by `acquire l;`"),
    ("spin_lock_irqsave(m);", "a lock is taken by `with l { ... }`, or by `acquire l;`"),
    ("down_read(s);", "a lock is taken by `with l read { ... }`, or by `acquire l read;`"),
    ("write_lock(s);", "a lock is taken by `with l write { ... }`, or by `acquire l write;`"),
    ("mutex_unlock(m);", "a lock is given back where its `with` block ends, or by `release l;`"),
    ("up_write(s);", "a lock is given back where its `with` block ends, or by `release l;`"),
    ("mutex_trylock(m);", "write `if try_acquire l { ... }`"),
    ("srcu_read_lock(m);", "write `with s { ... }` for a lock `s : srcu`"),
    ("synchronize_srcu(m);", "write `synchronize s;` for a lock `s : srcu`"),
    ("cpu_relax();", "write `await CONDITION;`, or `retry;` at the end of a turn of a loop"),
    ("BUG_ON(x);", 'write `assert CONDITION;`, or `bug "why";`'),
    ("smp_mb();", "memory is sequentially consistent here: read and write as it is"),
    ("with s shared { skip; }", "the modes are `read` and `write`: write `read`"),
    ("with s exclusive { skip; }", "the modes are `read` and `write`: write `write`"),
    ("x = NULL;", "write `none`"),
    ("x = TRUE;", "write `true`"),
    ("x = 0;", "write `false`"),
    ("x = 1;", "write `true`"),
    ("if n { skip; }", "compare it: `n != 0`"),
]


def mends(text: str, tmp_path: Path) -> list[str]:
    """The mends of the faults of a model."""
    path = tmp_path / "m.pchk"
    path.write_text(text)
    with pytest.raises(ModelError) as caught:
        load(path)
    return [d.help for d in caught.value.diagnostics]


@pytest.mark.parametrize(("code", "mend"), HABITS, ids=[code for code, _ in HABITS])
def test_code_that_is_c_has_a_mend(code: str, mend: str, tmp_path: Path) -> None:
    """The help of the first fault says what to write."""
    declared = "lock m : mutex;  lock s : rwsem;  state x : bool = false;  state n : 0..3 = 0;"
    assert mends(f"protocol m\nhypervisor kvm {{ {declared} thread t {{ {code} }} }}\n", tmp_path)[0] == mend


@pytest.mark.parametrize(
    ("size", "mend"), [("4", "between the brackets stands a type: `[0..3]` for 4 elements"), ("0", "")]
)
def test_a_number_is_no_index(size: str, mend: str, tmp_path: Path) -> None:
    """An array is declared with the type of its index; no mend is made up for one without elements."""
    assert mends(f"protocol m\nhypervisor kvm {{ state x : [{size}] bool = false; }}\n", tmp_path)[0] == mend


def test_a_proc_that_is_nearly_so_called_is_the_better_mend(tmp_path: Path) -> None:
    """Who has a proc of the kernel's name, and misspells it, is told that name."""
    text = "protocol m\nhypervisor kvm { proc mutex_lock_all() { skip; }  thread t { mutex_lock_al(); } }\n"
    assert "did you mean `mutex_lock_all`?" in mends(text, tmp_path)
