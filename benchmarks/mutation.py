"""Plants faults in every shipped model and writes ``results/mutation.md``: what is noticed, what is not, and why not.

``python -m benchmarks.mutation [MODEL...] [--timeout SECONDS] [-j N] [--output FILE]``. With models named, only their
sections are written anew; without, all. Given enough time the text is always the same: it has no times in it. Every
survivor needs a sentence in ``benchmarks/survivors/DIR.toml`` that says why no property need notice it. The exit code
is 1 where one has none, or where a sentence is about a mutant that does not survive, and 70 where protocheck itself
failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protocheck.mutate import SECONDS, Fate, Mutation, Tried, mutate
from protocheck.types import load

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "results" / "mutation.md"
REASONS = Path(__file__).resolve().parent / "survivors"
SKIPPED = ("lib",)

HEAD = """\
# Faults planted in the shipped models

Each model was changed in one place after the other (a lock or a guard dropped, two statements swapped, an atomic block
split, a release forgotten, a branch left out), and each mutant was checked against what the scenarios expect. A mutant
is *noticed* if some verdict is no longer as expected, and *equivalent* if no claim about states could tell it from the
model. *No model*: a static rule refuses it. *Undecided*: a time limit was hit. What survives is listed with the reason
why no property need notice it. Written by `python -m benchmarks.mutation`; `docs/commands.md` says what the faults are.
"""


@dataclass(frozen=True)
class Reason:
    """Why a survivor is no hole. It is known by its file, the fault and the first line of the statement.

    ``number`` counts from 1 where several survivors of a file are alike in all that; 0 means all of them.
    """

    file: str
    kind: str
    what: str
    code: str
    number: int
    why: str


@dataclass(frozen=True)
class Section:
    """What is said about one model, and what is wrong with it."""

    file: str
    text: str
    counts: tuple[int, ...]
    wrong: tuple[str, ...]
    broken: bool


def read_reasons(folder: Path = REASONS) -> tuple[Reason, ...]:
    """The sentences in the files of ``folder``. Raises KeyError or TypeError where a key is missing or unknown."""
    entries = [
        entry
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    ]
    return tuple(Reason(**{"what": "", "number": 0, **entry}) for entry in entries)


def section(found: Mutation, reasons: Sequence[Reason]) -> Section:
    """The text about one model; survivors without a reason, and reasons without a survivor, are wrong."""
    counts = tuple(found.count(fate) for fate in Fate)
    lines = [f"## {found.file}", "", f"Scenarios: {', '.join(f'`{s}`' for s in found.scenarios)}.", ""]
    told = ", ".join(f"{n} {fate.value}" for fate, n in zip(Fate, counts, strict=True) if n)
    lines += [f"{len(found.tried)} mutants: {told}." if told else "No mutants."]
    mine = [r for r in reasons if r.file == found.file]
    used: set[Reason] = set()
    wrong: list[str] = []
    seen: dict[tuple[str, str, str], int] = {}
    listed: list[str] = []
    for x in found.tried:
        code = _code(x)
        if x.fate is Fate.SURVIVED:
            key = (x.mutant.kind, x.mutant.what, code)
            number = seen[key] = seen.get(key, 0) + 1
            reason = next((r for r in mine if (r.kind, r.what, r.code) == key and r.number in (0, number)), None)
            if reason is None:
                wrong.append(f"{_place(x)}: {x.mutant.kind} ({x.mutant.what}): {code}: nobody says why it survives")
            else:
                used.add(reason)
            why = reason.why if reason is not None else f"**Unexplained**: {x.missing}."
            listed.append(f"- line {x.mutant.span.line}, {x.mutant.kind} ({x.mutant.what}): `{code}`. {why}")
        elif x.fate in (Fate.OPEN, Fate.BROKEN):
            what = f"{x.mutant.kind} ({x.mutant.what}): `{code}`"
            listed.append(f"- line {x.mutant.span.line}, {what}. **{x.fate.value.capitalize()}**: {x.why}.")
    decided = not found.count(Fate.OPEN) and not found.count(Fate.BROKEN)
    for r in mine:
        if r not in used and decided:
            wrong.append(f"{r.file}: {r.kind} ({r.what}): {r.code}: does not survive; its reason is out of date")
    if listed:
        lines += ["", *listed]
    return Section(found.file, "\n".join(lines) + "\n", counts, tuple(wrong), bool(found.count(Fate.BROKEN)))


def models(root: Path = ROOT) -> tuple[str, ...]:
    """The shipped models, libraries left out, in the order of their names."""
    paths = sorted(p.relative_to(root) for p in (root / "models").rglob("*.pchk"))
    return tuple(p.as_posix() for p in paths if p.parts[1] not in SKIPPED)


def merged(old: str, new: Sequence[Section], known: Sequence[str]) -> str:
    """The document ``old`` with ``new`` sections; only those about ``known`` models are kept, in their order."""
    parts = re.split(r"(?m)^(?=## )", old)
    texts = {p.split("\n", 1)[0].removeprefix("## "): p.rstrip("\n") + "\n" for p in parts if p.startswith("## ")}
    texts.update({s.file: s.text for s in new})
    return "\n".join([HEAD, *(texts[name] for name in known if name in texts)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models/DIR/FILE.pchk (default: all)")
    parser.add_argument("--timeout", type=float, default=SECONDS, help="seconds per mutant and scenario")
    parser.add_argument("-j", dest="jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    reasons = read_reasons()
    chosen = [m for m in models() if not options.models or m in options.models]
    unknown = [m for m in options.models if m not in chosen]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    broken, wrong = False, list(_astray(reasons))
    for name in chosen:
        done = section(mutate(load(ROOT / name, name), timeout=options.timeout, jobs=options.jobs), reasons)
        counts = ", ".join(f"{n} {fate.value}" for fate, n in zip(Fate, done.counts, strict=True) if n)
        print(f"{name}: {counts or 'no mutants'}", flush=True)
        broken, wrong = broken or done.broken, [*wrong, *done.wrong]
        old = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
        options.output.write_text(merged(old, [done], models()), encoding="utf-8")
    for line in wrong:
        print(line, file=sys.stderr)
    return 70 if broken else int(bool(wrong))


def _astray(reasons: Sequence[Reason]) -> list[str]:
    """Reasons about files that are not there."""
    return [f"{r.file}: there is no such model" for r in reasons if r.file not in models()]


def _place(x: Tried) -> str:
    return f"{x.mutant.span.file.path}:{x.mutant.span.line}"


def _code(x: Tried) -> str:
    """The first line of the statement."""
    return " ".join(x.mutant.span.text.split("\n", 1)[0].split())


if __name__ == "__main__":
    sys.exit(main())
