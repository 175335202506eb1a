"""Lays out a trace: one column per thread that moves, as commit messages draw CPU 0 and CPU 1, or a plain list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocheck.findings import Blocked, plural
from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.style import Paint, Style, display_width, hang, pad, printable, wrap
from protocheck.traces.trace import Change, Ending, Place, Step, Trace

_BAR = " | "
_THREAD_MIN, _EFFECT_MIN, _INSIDE_MIN = 26, 28, 24
_MANY = 4


@dataclass(frozen=True)
class _Columns:
    """Widths: of each thread's column, and of the one for effects (0: they stand below the statement)."""

    number: int
    threads: tuple[int, ...]
    effects: int


def layout_trace(trace: Trace, file: str, style: Style, full: bool = False) -> str:
    """The run of ``trace`` and why it ends as it does.

    ``file`` is the model: its lines are given by number alone, those of other files with the file's name. ``full``
    adds the whole state after each step and every link of each chain of calls.
    """
    switches = "1 context switch" if trace.switches == 1 else f"{trace.switches:,} context switches"
    lines = [f"{plural(len(trace.steps), 'step')}, {switches}"]
    chosen = [f"{c.name} = {c.value}" for c in trace.initial if c.chosen and c.kind is not VarKind.PC]
    if chosen and not full:
        lines += hang("begins with ", ", ".join(chosen), style.width)
    columns = _fit(trace, style.width)
    if columns is None:
        lines += _list(trace, file, style, full)
    elif trace.steps:
        lines += ["", *_table(trace, file, columns, style, full)]
    elif full:
        lines += _state({c.name: c.value for c in trace.initial}, style)
    lines += ["", *layout_ending(trace.ending, file, style)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _fit(trace: Trace, width: int) -> _Columns | None:
    """How the columns fit into ``width``: effects beside, else below, else (None) no columns at all."""
    count = len(trace.threads)
    if count > _MANY:
        return None
    number = max(3, len(str(len(trace.steps))) + 2)
    room = width - number - len(_BAR) * count
    widest = max((display_width(t) for t in trace.threads), default=0)
    beside = room - len(_BAR) - _EFFECT_MIN
    if beside >= count * max(_THREAD_MIN, min(widest, 36)):
        want = max(_THREAD_MIN, widest, *(_wish(trace, t) for t in trace.threads))
        each = min(beside // max(count, 1), want)
        return _Columns(number, (each,) * count, room - len(_BAR) - each * count)
    if count and room >= count * _INSIDE_MIN:
        return _Columns(number, (room // count,) * count, 0)
    return None


def _wish(trace: Trace, thread: str) -> int:
    """The width at which no statement of ``thread`` need be broken."""
    return max((display_width(s.text) + 6 for s in trace.steps if s.thread == thread), default=0)


# --------------------------------------------------------------------------------------------------------------------
# Columns


def _table(trace: Trace, file: str, columns: _Columns, style: Style, full: bool) -> Iterator[str]:
    cells = [wrap(printable(t), w) for t, w in zip(trace.threads, columns.threads, strict=True)]
    yield from _row("step", cells, ["changes"], columns, style, Paint.BOLD)
    yield "-" * columns.number + "".join(
        "-+-" + "-" * w for w in (*columns.threads, *((columns.effects,) if columns.effects else ()))
    )
    state = {c.name: c.value for c in trace.initial}
    calls: dict[str, tuple[Place, ...]] = {}
    loop = trace.ending.loop
    for step in trace.steps:
        if loop is not None and step.number == loop.begin:
            yield _mark(f"+-> {loop.opening}", style)
        at = trace.threads.index(step.thread)
        cells = [[] for _ in trace.threads]
        cells[at] = _statement(step, calls.get(step.thread), file, columns.threads[at], full)
        if full:
            cells[at] += _possible(step, columns.threads[at])
        calls[step.thread] = step.places[1:]
        effects = _effects(step, file, full, columns.effects or columns.threads[at] - 4)
        if not columns.effects:
            cells[at] += [f"    {line}" for line in effects]
            effects = []
        mark = "!" if step.failures else ""
        if full and trace.inevitable == step.number - 1:
            yield _mark("    from here on the violation is inevitable", style)
        yield from _row(f"{mark}{step.number}", cells, effects, columns, style, None)
        if full:
            state |= {c.name: c.after for c in step.changes if c.kind is not VarKind.LOCAL}
            state |= {_owned(c, step): c.after for c in step.changes if c.kind is VarKind.LOCAL}
            yield from _state(state, style)
    if loop is not None:
        yield _mark(f"+-- {loop.closing}", style)


def _mark(text: str, style: Style) -> str:
    """Where a loop begins or ends."""
    return style.paint(text, Paint.BOLD)


def _owned(change: Change, step: Step) -> str:
    """The name that a local has in the state: a change leaves out whose it is where that is the mover."""
    return change.name if " of " in change.name else f"{change.name} of {step.thread}"


def _row(
    number: str, cells: Sequence[list[str]], effects: list[str], columns: _Columns, style: Style, paint: Paint | None
) -> Iterator[str]:
    height = max(1, len(effects) if columns.effects else 0, *(len(c) for c in cells))
    bar = style.paint(_BAR, Paint.DIM)
    for line in range(height):
        head = (number if line == 0 else "").rjust(columns.number)[: max(columns.number, len(number))]
        if number == "step":
            head = ("#" if line == 0 else "").rjust(columns.number)
        parts = [head]
        for cell, width in zip(cells, columns.threads, strict=True):
            text = pad(cell[line] if line < len(cell) else "", width)
            parts.append(style.paint(text, paint) if paint else text)
        if columns.effects:
            text = effects[line] if line < len(effects) else ""
            parts.append(_paint_effect(text, style) if paint is None else style.paint(text, paint))
        yield bar.join(parts)


def _paint_effect(text: str, style: Style) -> str:
    return style.paint(text, Paint.ERROR) if text.startswith("!!") else text


def _statement(step: Step, calls_before: tuple[Place, ...] | None, file: str, width: int, full: bool) -> list[str]:
    """What the thread does: place and text, the values it chooses, on whose behalf."""
    where = f"{_place(step.places[0], file)}: " if step.places else ""
    text = printable(step.text)
    if len(where) > 8 and display_width(where + text) > width:
        lines = [*wrap(where.rstrip(), width), *hang("    ", text, width, 6)]
    else:
        lines = hang(where, text, width, 4)
    if step.choices:
        lines += hang("    ", ", ".join(f"{name} = {value}" for name, value in step.choices), width, 4)
    for note in step.notes:
        lines += hang("    ", f"({printable(note)})", width, 4)
    callers = step.places[1:]
    if callers and (full or callers != calls_before):
        lines += hang("    ", "called from " + ", from ".join(_place(p, file) for p in callers), width, 4)
    return lines


def _possible(step: Step, width: int) -> list[str]:
    """Which earlier steps made the step possible."""
    if not step.causes:
        return []
    steps = "steps" if step.causes[1:] else "step"
    return hang("    ", f"possible since {steps} {' and '.join(map(str, step.causes))}", width)


def _effects(step: Step, file: str, full: bool, width: int) -> list[str]:
    """What the step does to locks and state, and which checks it fails."""
    last = (Act.RELEASE, Act.DOWNGRADE, Act.SYNC_END)
    told = [a for a in step.locks if a.lock or a.because]
    lines: list[str] = []
    changed = {c.name for c in step.changes}
    for name, value in step.sees:
        if name in changed:
            continue  # the change tells what was there before
        lines += hang("", printable(f"sees {name} = {value}"), width)
    for act in told:
        if act.act not in last:
            lines += hang("", printable(str(act)), width)
    for change in step.changes:
        if full or not change.folded:
            lines += hang("", printable(_change(change)), width)
    for act in told:
        if act.act in last:
            lines += hang("", printable(str(act)), width)
    for failure in step.failures:
        at = f" ({_place(failure.places[0], file)})" if failure.places else ""
        lines += hang("!! ", printable(failure.message) + at, width, 3)
    return lines


def _change(change: Change) -> str:
    """A local has no before that a reader could know: it is often assigned for the first time."""
    if change.kind is VarKind.LOCAL:
        return f"{change.name} = {change.after}"
    return f"{change.name}: {change.before} -> {change.after}"


def _state(state: dict[str, str], style: Style) -> Iterator[str]:
    """The whole state, over the full width."""
    text = ", ".join(f"{name} = {value}" for name, value in state.items())
    for line in hang("      state: ", text, style.width, 13):
        yield style.paint(line, Paint.DIM)


def _place(place: Place, file: str) -> str:
    """A line of the model by its number, one of another file with the file's name."""
    return str(place.line) if place.file == file else f"{place.file.rsplit('/', 1)[-1]}:{place.line}"


# --------------------------------------------------------------------------------------------------------------------
# A plain list, for many threads or a narrow terminal


def _list(trace: Trace, file: str, style: Style, full: bool) -> Iterator[str]:
    state = {c.name: c.value for c in trace.initial}
    calls: dict[str, tuple[Place, ...]] = {}
    number_width = len(str(len(trace.steps))) + 2
    loop = trace.ending.loop
    for step in trace.steps:
        if loop is not None and step.number == loop.begin:
            yield ""
            yield _mark(f"+-> {loop.opening}", style)
        indent = " " * (number_width + 2)
        room = max(20, style.width - len(indent))
        if step.switch or step.number == 1:
            yield ""
            yield style.paint(printable(step.thread), Paint.BOLD)
        mark = "!" if step.failures else ""
        if full and trace.inevitable == step.number - 1:
            yield ""
            yield _mark("    from here on the violation is inevitable", style)
        body = _statement(step, calls.get(step.thread), file, room, full)
        if full:
            body += _possible(step, room)
        calls[step.thread] = step.places[1:]
        yield f"{f'{mark}{step.number}'.rjust(number_width)}  {body[0]}"
        yield from (indent + line for line in body[1:])
        yield from (f"{indent}    {_paint_effect(line, style)}" for line in _effects(step, file, full, room - 4))
        if full:
            state |= {c.name: c.after for c in step.changes if c.kind is not VarKind.LOCAL}
            state |= {_owned(c, step): c.after for c in step.changes if c.kind is VarKind.LOCAL}
            yield from _state(state, style)
    if loop is not None:
        yield _mark(f"+-- {loop.closing}", style)


# --------------------------------------------------------------------------------------------------------------------
# The end


def layout_ending(ending: Ending, file: str, style: Style) -> list[str]:
    """Why the end of the run is what was looked for."""
    lines = [style.paint(line, Paint.BOLD) for line in wrap(printable(ending.headline), style.width)]
    if ending.claim and ending.claim not in ending.headline and ending.deadlock is None:
        lines += hang("  claim: ", printable(ending.claim), style.width, 9)
    if ending.places and ending.deadlock is None:
        chain = f"at {_long(ending.places[0])}" + "".join(f", called from {_long(p)}" for p in ending.places[1:])
        lines += hang("  ", chain, style.width, 5)
    if ending.where:
        lines.append("  for " + ", ".join(f"{name} = {value}" for name, value in ending.where))
    for number, fact in enumerate(ending.facts):
        lead = "  because " if number == 0 else "      and "
        since = f"  (since step {fact.since})" if fact.since else ""
        lines += hang(lead, printable(fact.text) + since, style.width, 10)
    if ending.deadlock is not None:
        lines += _waiting(ending, file, style)
    if ending.loop is not None:
        lines += hang("  ", printable(ending.loop.why), style.width, 4)
    return lines


def _waiting(ending: Ending, file: str, style: Style) -> Iterator[str]:
    assert ending.deadlock is not None
    places = {name: place for name, place, _ in ending.standing}
    members = {m.thread: m for m in ending.deadlock.blocked}
    order = [*(name for name, _ in ending.cycle), *(n for n in members if n not in dict(ending.cycle))]
    for name in order:
        yield from _member(members[name], places.get(name), file, style)
    if ending.cycle:
        chain = " -> ".join([*(name for name, _ in ending.cycle), ending.cycle[0][0]])
        yield from hang("  who waits for whom: ", printable(chain), style.width, 4)


def _member(member: Blocked, place: Place | None, file: str, style: Style) -> Iterator[str]:
    at = f" at line {_place(place, file)}" if place else ""
    since = f" since step {member.since}" if member.since else ""
    idle = " (idle by design)" if member.idle else ""
    what = member.waits if not member.waits.endswith("retry") else f"what it has read to change ({member.waits})"
    yield from hang("  ", printable(f"{member.thread}{at} waits for {what}{since}{idle}"), style.width, 2)
    for lock, taken in member.holds:
        since = f", taken in step {taken}" if taken else ", from the beginning"
        yield f"      holds {printable(lock)}{since}"
    reasons: dict[str, None] = dict.fromkeys(f"{who} {why}" for who, why in member.for_whom)
    for reason in reasons:
        yield from hang("      in the way: ", printable(reason), style.width, 6)


def _long(place: Place) -> str:
    return f"{place.file}:{place.line}"
