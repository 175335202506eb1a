"""Random models as text: failures with a budget, slow ops, objects, killable waits, retries, claims of progress.

:func:`model` gives the same text for the same seed. Some texts may be refused (too many ways through a step).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Vocabulary:
    """What the model that is written has, and whether the code stands under its lock."""

    fails: bool
    slow: bool
    objects: bool
    locked: bool = False


CONDITIONS = ("x > 0", "y", "x == 0", "x == 1", "x == 2", "!y", "x < 2")
STORES = ("x = (x + 1) % 3;", "x = 0;", "x = 2;", "y = true;", "y = false;", "y = !y;")
FAILING = ("ignore map();", "if !map() { x = 1; }", "if pin() == EIO { y = true; }")
SLOW = (
    "ignore call();",
    "if call() == EBUSY { y = true; }",
    "ignore probe();",
    "loop at most 2 times { if call() != EBUSY { break; } } else { x = 0; }",
    "if try_acquire inner { x = 1;  release inner; }",
)
OBJECTS = (
    "let p = root;  if p != none { p.f = (p.f + 1) % 2; }",
    "let p = root;  if p != none { root = none;  free p; }",
    "let p = root;  if p != none { if p.f == 1 { x = 0; } }",
    "let p = root;  if p != none { with p.l { p.g = !p.g; } }",
    "let p = new slot;  root = p;",
    "root = none;",
)


def model(seed: int) -> str:
    """A protocol of two or three threads, with one scenario ``s`` that expects nothing in particular."""
    chance = random.Random(seed)
    words = Vocabulary(chance.random() < 0.5, chance.random() < 0.4, chance.random() < 0.5)
    bodies: list[str] = []
    for n in range(chance.choice([2, 3])):
        kind = chance.choice(["thread", "thread", "thread", "server", "environment"])
        index = "[a : member]" if chance.random() < 0.35 else ""
        body = _block(chance, 2, words)
        if kind != "thread" and chance.random() < 0.8:
            body = "loop { " + body.replace("return;", "continue;") + " }"
        bodies.append(f"    {kind} t{n}{index} {{ {body} }}")
    code = "\n".join(bodies)
    lines = [
        f"protocol random_{seed}",
        f"type member = scalarset(members in 1..3 = {chance.choice([1, 2, 2])})",
        "type rc = enum { OK, EBUSY, EIO }",
        "hypervisor k {",
        f"    lock m : {chance.choice(['mutex', 'rwsem'])};",
        "    state x : 0..2 = 0;",
        "    state y : bool = false;",
    ]
    if words.fails:
        lines.append("    op map() -> bool may_fail false { x = 0;  return true; }")
        lines.append("    op pin() -> rc may_fail EIO, EBUSY { y = false;  return OK; }")
    if words.slow:
        mode = chance.choice(["", "read "])
        lines.append("    lock inner : busy;")
        lines.append(f"    slow op call() -> rc holds inner {mode}else EBUSY {{ x = (x + 1) % 3;  return OK; }}")
        lines.append("    op probe() -> rc holds inner else EBUSY { y = !y;  return OK; }")
    if words.objects:
        fields = "state f : 0..1 = 0;  state g : bool = false guarded_by l;  lock l : mutex;"
        lines.append(f"    object slot[{chance.choice([1, 2])}] {{ {fields} }}")
        lines.append("    state root : slot? = none;")
    lines += [code, "}"]
    lines.append("always invariant never_both: !(k.x == 2 && k.y);")
    lines.append("final not_one: k.x != 1;")
    lines.append("reachable both: k.x == 2 && k.y;")
    if chance.random() < 0.6:
        ends = "finished(k.t0[a]) for a in member" if "t0[a" in code else "finished(k.t0)"
        claims = ("k.y leads_to !k.y", "k.x == 1 leads_to k.x != 1", "k.x != 2", ends)
        lines.append(f"progress goes_on: {chance.choice(claims)};")
        lines.append("recoverable quiet: k.x == 0 && !k.y;")
    some = any(call in code for call in ("map()", "pin()"))
    budget = f"failures = {chance.choice([0, 1, 2])};  " if some else ""
    killable = "signals = 1;  " if "killable" in code and chance.random() < 0.5 else ""
    lines.append(f"scenario s {{ {budget}{killable}expect others any; }}")
    return "\n".join(lines) + "\n"


def _block(chance: random.Random, depth: int, words: Vocabulary) -> str:
    return "  ".join(_statement(chance, depth, words) for _ in range(chance.choice([1, 2, 3])))


def _statement(chance: random.Random, depth: int, words: Vocabulary) -> str:
    kinds = ["store", "store", "await", "retry"]
    kinds += ["if", "either", "lock"] if depth > 0 else ["store"]
    kinds += ["fails"] if words.fails else []
    kinds += ["slow"] if words.slow else []
    kinds += ["object", "object"] if words.objects else []
    match chance.choice(kinds):
        case "if":
            other = f" else {{ {_block(chance, depth - 1, words)} }}" if chance.random() < 0.4 else ""
            return f"if {chance.choice(CONDITIONS)} {{ {_block(chance, depth - 1, words)} }}{other}"
        case "either":
            fair = "fair " if chance.random() < 0.3 else ""
            left, right = _block(chance, depth - 1, words), _block(chance, depth - 1, words)
            return f"{fair}either {{ {left} }} or {{ {right} }}"
        case "lock" if not words.locked:
            inner = replace(words, locked=True)
            if chance.random() < 0.3:
                return f"acquire m killable else {{ return; }}  {_statement(chance, 0, inner)}  release m;"
            return f"with m {{ {_block(chance, depth - 1, inner)} }}"
        case "fails":
            return chance.choice(FAILING)
        case "slow":
            return chance.choice(SLOW)
        case "object":
            return f"{{ {chance.choice(OBJECTS)} }}"
        case "await":
            return f"await {chance.choice(CONDITIONS)};"
        case "retry":
            again = chance.choice(["retry;", "fair retry;", f"{chance.choice(STORES)}  retry;"])
            return f"loop {{ if {chance.choice(CONDITIONS)} {{ break; }}  {again} }}"
        case _:
            return chance.choice([*STORES, "atomic { x = (x + 2) % 3;  y = !y; }"])
