"""What is typed out of habit by those who write C all day, and what to write instead: mends for errors."""

from __future__ import annotations

from collections.abc import Set

_TYPES = frozenset(
    {"int", "long", "short", "unsigned", "char", "void", "u8", "u16", "u32", "u64", "s64", "size_t", "gfn_t", "const"}
)
_SHARED = frozenset({"shared", "rd", "reader"})
_EXCLUSIVE = frozenset({"exclusive", "wr", "writer"})
_NAMES = {"NULL": "none", "nullptr": "none", "TRUE": "true", "True": "true", "FALSE": "false", "False": "false"}
_WAITS = frozenset({"wait_event", "wait_for_completion", "cond_resched", "cpu_relax", "msleep", "schedule"})
_WARNINGS = frozenset({"BUG_ON", "WARN_ON", "WARN_ON_ONCE", "KVM_BUG_ON", "BUG", "VM_BUG_ON"})
_READ = ("down_read", "read_lock", "filemap_invalidate_lock_shared", "mmap_read_lock")
_WRITE = ("down_write", "write_lock", "filemap_invalidate_lock", "mmap_write_lock")
_ANY = ("mutex_lock", "spin_lock", "raw_spin_lock", "lock")
_GIVE_BACK = ("up_read", "up_write", "release")


def mend_word(before: str, found: str, after: str, accepted: Set[str]) -> str:
    """What to write instead of ``found``, which stands where only the terminals ``accepted`` can; "" if unknown."""
    if before in _TYPES and "EQ" in accepted:
        return f"a local is declared by `let {found} = ...`, or by `var {found} : TYPE = ...` if it changes"
    if before == "goto":
        return "there is no `goto`: undo by `on_error { }`, or leave by `return`, `break` or `continue`"
    if before == "call":
        return f"a call is just `{found}(...)`"
    if found == "lock" and after == "(":
        return mend_call("lock")
    if found in _SHARED | _EXCLUSIVE and "READ" in accepted:
        return f"the modes are `read` and `write`: write `{'read' if found in _SHARED else 'write'}`"
    if found == "]" and accepted == {"DOTDOT"}:
        most = int(before) - 1 if before.isdecimal() and len(before) < 19 else 0
        return f"between the brackets stands a type: `[0..{most}]` for {before} elements" if most > 0 else ""
    if before == ")" and "LBRACE" in accepted and found not in ("else", "{"):
        return "what is executed stands in braces, also a single statement: `if ... { ... }`"
    if found == "struct":
        return "write `type NAME = record { field : TYPE, ... }`"
    return ""


def mend_call(name: str) -> str:
    """What to write instead of a call of ``name``, a function of the kernel; "" if that is not known."""
    plain = name.removesuffix("_irqsave").removesuffix("_irq").removesuffix("_interruptible").removesuffix("_killable")
    if plain in _READ:
        return "a lock is taken by `with l read { ... }`, or by `acquire l read;`"
    if plain in _WRITE:
        return "a lock is taken by `with l write { ... }`, or by `acquire l write;`"
    if plain in _ANY:
        return "a lock is taken by `with l { ... }`, or by `acquire l;`"
    if plain in _GIVE_BACK or "unlock" in name.split("_"):
        return "a lock is given back where its `with` block ends, or by `release l;`"
    if "trylock" in name:
        return "write `if try_acquire l { ... }`"
    if name.startswith("srcu_read_"):
        return "write `with s { ... }` for a lock `s : srcu`"
    if name.startswith("synchronize_"):
        return "write `synchronize s;` for a lock `s : srcu`"
    if name in _WAITS:
        return "write `await CONDITION;`, or `retry;` at the end of a turn of a loop"
    if name in _WARNINGS:
        return 'write `assert CONDITION;`, or `bug "why";`'
    if name in ("READ_ONCE", "WRITE_ONCE", "smp_mb", "smp_rmb", "smp_wmb"):
        return "memory is sequentially consistent here: read and write as it is"
    return ""


def mend_name(name: str) -> str:
    """What to write instead of the value ``name``; "" if that is not known."""
    return f"write `{_NAMES[name]}`" if name in _NAMES else ""
