"""Tells what a run depends on: as text, as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from protocheck.explain_run import Answer, Edit, Explanation, Kind, Move, Switch
from protocheck.findings import MEMORY_MODEL, plural
from protocheck.reports.json import FORMAT_VERSION, Json, dump
from protocheck.reports.style import Paint, Style, hang, printable, wrap
from protocheck.traces.trace import Place

_PAINTS = {
    Kind.THERE: Paint.DIM,
    Kind.ABSENT: Paint.GOOD,
    Kind.NOT_WITHIN: Paint.WARNING,
    Kind.OPEN: Paint.WARNING,
    Kind.REFUSED: Paint.DIM,
    Kind.BROKEN: Paint.ERROR,
}
_STATEMENT, _EFFECT = 34, 30


def render(found: Explanation, style: Style) -> str:
    """What matters, in a few lines; then every question that was asked, with its answer."""
    lines = [style.paint(printable(_head(found)), Paint.BOLD)]
    for title, items in _sections(found):
        lines += ["", style.paint(title, Paint.BOLD)]
        for words, answer in items:
            if answer is None:
                lines += hang("  ", printable(words), style.width, 4)
                continue
            lead = f"{words}: " if words else ""
            text = hang("  ", printable(lead + answer.text), style.width, 4)
            lines += [style.paint(line, _PAINTS[answer.kind]) for line in text]
    if found.moves:
        lines += ["", style.paint("the run, step by step", Paint.BOLD), *_steps(found)]
    lines += ["", *hang("", _foot(found), style.width, 0)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_md(found: Explanation) -> str:
    """The same as Markdown."""
    lines = [f"## {_escape(_head(found))}"]
    for title, items in _sections(found):
        lines += ["", f"### {title[0].upper()}{title[1:]}", ""]
        for words, answer in items:
            told = _escape(": ".join(x for x in (words, answer.text if answer is not None else "") if x))
            lines.append(f"- **{told}**" if answer is not None and answer.kind is Kind.ABSENT else f"- {told}")
    if found.moves:
        lines += ["", "### The run, step by step", ""]
        lines += ["| # | thread | statement | why it matters |", "| ---: | --- | --- | --- |"]
        for m in found.moves:
            lines.append(f"| {m.number} | {_escape(m.thread)} | `{_statement(m)}` | {_escape(m.effect)} |")
    lines += ["", _foot(found)]
    return "\n".join(lines) + "\n"


_Item = tuple[str, Answer | None]


def _sections(found: Explanation) -> Iterator[tuple[str, list[_Item]]]:
    yield "what matters", [(words, None) for words in _short(found)]
    if found.settings:
        yield "parameters and variants", [(s.what, s.answer) for s in found.settings]
    if found.switches:
        yield "switches between threads", [(_switch(s), s.answer) for s in found.switches]
    gates = [(m, m.passing) for m in found.moves if m.passing is not None]
    if gates:
        items: list[_Item] = []
        for passing, moves in _gates(gates):
            items.append((f"if nobody ever took {_listed(moves)}", passing))
        yield "conditions on the way", items
    again = [(m, m.again) for m in found.moves if m.again is not None]
    if again:
        yield "steps that are repeated", [
            (f"if nobody took {_listed(moves)} again and again", answer) for answer, moves in _gates(again)
        ]
    if found.edits:
        yield "changes of one statement", [(_edit(e), e.answer) for e in found.edits]


def _short(found: Explanation) -> Iterator[str]:
    """What matters, in sentences."""
    what = found.prop
    good = [s for s in found.settings if s.answer.kind is Kind.ABSENT]
    for one in good:
        yield f"{one.what}, {what} is {'not reached' if found.wanted else 'not violated'}, at any depth"
    still = [s for s in found.settings if s.answer.kind is Kind.THERE]
    names = list(dict.fromkeys(s.name for s in still if not any(g.name == s.name for g in good)))
    if names:
        yield f"it does not depend on {', '.join(names)}, as far as other values were tried"
    if found.sizes:
        yield f"it needs no more than {', '.join(f'{s.name} = {s.smallest}' for s in found.sizes)}"
    needed = [m for m in found.moves if m.needed]
    idle = [m for m in needed if m.effect == "what it changes does not matter"]
    if len(needed) < len(found.moves):
        gone = ", ".join(str(m.number) for m in found.moves if not m.needed)
        yield f"{plural(len(needed), 'step')} of {len(found.moves)} are enough: {gone} can be left out"
    if idle:
        verb = "changes" if len(idle) == 1 else "change"
        yield f"what {_numbers([m.number for m in idle])} {verb} does not matter"
    stops = [s for s in found.switches if s.answer.kind is Kind.ABSENT]
    for s in stops:
        yield f"{_switch(s)}, it would be impossible"
    if found.switches and not stops:
        yield "no single place where a thread is interrupted makes it possible"
    gates = [(m, m.passing) for m in found.moves if m.passing is not None and m.passing.kind is Kind.ABSENT]
    if gates:
        passed = [_listed(moves) for _, moves in _gates(gates)]
        there = "at one of them" if len(passed) > 1 else "there"
        yield f"no such run without {', '.join(passed)}: a stronger condition {there} could stop it"
    again = [(m, m.again) for m in found.moves if m.again is not None and m.again.kind is Kind.ABSENT]
    if again:
        yield f"no such run without {', '.join(_listed(moves) for _, moves in _gates(again))}, again and again"
    repairs = [e for e in found.edits if e.answer.kind is Kind.ABSENT and not e.loses]
    for e in repairs:
        yield f"{_edit(e)}, it would be impossible, and nothing else would be lost"


def _numbers(numbers: Sequence[int]) -> str:
    return f"step{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _gates(gates: Sequence[tuple[Move, Answer]]) -> Iterator[tuple[Answer, list[Move]]]:
    """Steps of one statement by one class of threads ask the same, so they are told together."""
    together: dict[tuple[str, Place | None, str, Answer], list[Move]] = {}
    for move, answer in gates:
        together.setdefault((move.thread.split("[")[0], move.place, move.text, answer), []).append(move)
    for (_, _, _, answer), moves in together.items():
        yield answer, moves


def _listed(moves: Sequence[Move]) -> str:
    first = moves[0]
    line = f"line {first.place.line}, " if first.place is not None else ""
    return f"{_numbers([m.number for m in moves])} ({line}`{_brief(first.text)}`)"


def _switch(s: Switch) -> str:
    if s.also:
        both = ((s.after, s.until), *s.also)
        pairs = ", ".join(f"{a} and {u}{' of the next turn' if u <= a else ''}" for a, u in both)
        return f"if no thread were interrupted between steps {pairs}"
    lines = sorted(set(s.lines))
    where = f" (lines {lines[0]}-{lines[-1]})" if len(lines) > 1 else f" (line {lines[0]})" if lines else ""
    turn = " of the next turn" if s.until <= s.after else ""
    return f"if nobody interrupted {s.thread} between steps {s.after} and {s.until}{turn}{where}"


def _edit(e: Edit) -> str:
    return f"line {e.place.line}: {e.kind} ({e.what}): `{_brief(e.text)}`" + (
        f", but {', '.join(e.loses)} would be lost" if e.loses else ""
    )


def _brief(text: str) -> str:
    return text if len(text) <= 50 else text[:47] + "..."


def _statement(m: Move) -> str:
    line = f"{m.place.line}: " if m.place is not None else ""
    return printable(f"{line}{_brief(m.text)}").replace("|", "\\|").replace("`", "'")


def _steps(found: Explanation) -> Iterator[str]:
    rows = []
    for m in found.moves:
        text = f"{m.place.line}: {m.text}" if m.place is not None else m.text
        statement = "\n".join(wrap(printable(text), _STATEMENT))
        rows.append([str(m.number), printable(m.thread), statement, "\n".join(wrap(m.effect, _EFFECT))])
    table = tabulate(
        rows, ["#", "thread", "statement", "why it matters"], tablefmt="simple", disable_numparse=True,
        colalign=("right", "left", "left", "left"),
    )  # fmt: skip
    yield from (f"  {line}" for line in table.splitlines())


def _head(found: Explanation) -> str:
    at = f" at {found.instance}" if found.instance else ""
    shows = "found" if found.wanted else "violated"
    how = f"in {plural(found.steps, 'step')}"
    if found.loop is not None:
        length = found.steps - found.loop
        how = f"by a loop of {plural(length, 'step')}" if length else "by standing still for ever"
        how += f" after {plural(found.loop, 'step')}" if found.loop or length else ""
    return f"{found.file}, scenario {found.scenario}: {found.prop} {shows} {how}{at}"


def _foot(found: Explanation) -> str:
    tried = f"{plural(found.tried, 'change')} of code {'was' if found.tried == 1 else 'were'} tried; those not told of "
    return " ".join(
        [
            *(f"{n[0].upper()}{n[1:]}." for n in found.notes),
            f"{tried}leave it there.",
            "\"Still there\" is said of the claim: the run may be another.",
            f"Everything assumes {MEMORY_MODEL}.",
        ]
    )


def _escape(text: str) -> str:
    """``text`` for Markdown, where what stands between backquotes is left as it is."""
    parts = text.split("`")
    for k in range(0, len(parts), 2):
        for c in "\\*_[]<>|#":
            parts[k] = parts[k].replace(c, f"\\{c}")
    return "`".join(parts)


def render_json(found: Explanation) -> str:
    """Every question and its answer."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "memory_model": MEMORY_MODEL,
            "file": found.file,
            "model": found.model,
            "scenario": found.scenario,
            "property": found.prop,
            "claim": found.claim,
            "instance": found.instance,
            "length": found.steps,
            "loop": found.loop,
            "settings": [{"name": s.name, "change": s.what, **_answer(s.answer)} for s in found.settings],
            "sizes": [{"name": s.name, "value": s.value, "smallest": s.smallest} for s in found.sizes],
            "steps": [
                {
                    "number": m.number,
                    "thread": m.thread,
                    "text": m.text,
                    "place": _place(m.place),
                    "needed": m.needed,
                    "effect": m.effect,
                    "without": None if m.passing is None else _answer(m.passing),
                    "again": None if m.again is None else _answer(m.again),
                }
                for m in found.moves
            ],
            "switches": [
                {
                    "thread": s.thread,
                    "between": [[s.after, s.until], *([a, u] for a, u in s.also)],
                    "lines": list(s.lines),
                    **_answer(s.answer),
                }
                for s in found.switches
            ],
            "changes": [
                {
                    "kind": e.kind,
                    "what": e.what,
                    "text": e.text,
                    "place": _place(e.place),
                    "loses": list(e.loses),
                    **_answer(e.answer),
                }
                for e in found.edits
            ],
            "changes_tried": found.tried,
            "notes": list(found.notes),
        }
    )


def _answer(answer: Answer) -> dict[str, Any]:
    return {"answer": answer.kind.value, "steps": answer.steps, "sentence": answer.text}


def _place(place: Place | None) -> Json | None:
    return None if place is None else {"file": place.file, "line": place.line, "column": place.column}
