"""Runs for a mailing list: plain ASCII, 72 columns, a column per CPU as commit messages draw them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.document import Document, Run
from protocheck.reports.style import Style, hang, pad, printable, wrap
from protocheck.reports.table import layout_ending
from protocheck.traces.trace import LockAct, Step, Trace

WIDTH = 72
# What a step does with locks at its end, after everything else that it does.
GIVING_BACK = (Act.RELEASE, Act.DOWNGRADE, Act.SYNC_END)
_NARROWEST = 19
_GAP = 2


def render(document: Document, runs: Sequence[Run]) -> str:
    """The runs one after the other, each with what it shows, where, at which sizes, and how to see it again."""
    parts = [ascii_only("\n".join(_run(document, run))) for run in runs]
    return ("\n" + "-" * WIDTH + "\n\n").join(f"{part}\n" for part in parts)


def ascii_only(text: str) -> str:
    """``text`` with every other character written by its number."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def command(run: Run) -> list[str]:
    """The command that finds the run again, in pieces: each option stays with its value."""
    pieces = [["protocheck"], ["check"], [run.model.file], ["--scenario", run.scenario.name]]
    pieces.append(["--property", run.verdict.prop])
    pieces += [["-p", f"{name}={value}"] for name, value in run.scenario.settings]
    return [shlex.join(ascii_only(word) for word in piece) for piece in pieces]


def _run(document: Document, run: Run) -> Iterator[str]:
    scenario = run.scenario
    yield from wrap(_plain(run.about), WIDTH)
    yield ""
    yield from hang("Model:    ", _plain(f"{run.model.file} ({run.model.name})"), WIDTH, 10)
    variants = f", with {', '.join(scenario.variants)}" if scenario.variants else ""
    yield from hang("Scenario: ", _plain(f"{scenario.name}{variants}"), WIDTH, 10)
    if scenario.instance:
        yield from hang("Sizes:    ", _plain(scenario.instance), WIDTH, 10)
    assumed = "; ".join((document.memory_model, *scenario.assumptions))
    yield from hang("Assumes:  ", _plain(assumed), WIDTH, 10)
    if run.locks is not None:
        yield ""
        yield from wrap(_plain(run.locks.explanation), WIDTH)
    chosen = [f"{c.name} = {c.value}" for c in run.trace.initial if c.chosen and c.kind is not VarKind.PC]
    if chosen:
        yield ""
        yield from hang("At the beginning: ", _plain(", ".join(chosen)), WIDTH, 2)
    yield ""
    yield from (line.rstrip() for line in columns(run.trace, WIDTH))
    yield ""
    ending = layout_ending(run.trace.ending, run.model.file, Style(width=WIDTH))
    yield from (ascii_only(line).rstrip() for line in ending)
    yield ""
    yield "To see it again:"
    yield ""
    yield from _command(command(run))


def _plain(text: str) -> str:
    return ascii_only(printable(text))


def _command(pieces: Sequence[str]) -> Iterator[str]:
    """A command in lines that fit, continued as a shell understands it; no piece is cut."""
    line = "   "
    for piece in pieces:
        if len(line) + 1 + len(piece) > WIDTH - 2 and line.strip():
            yield f"{line} \\"
            line = "       "
        line += f" {piece}"
    yield line


def columns(trace: Trace, width: int) -> Iterator[str]:
    """A column for each thread that moves; where they do not fit, a list that names the CPU."""
    count = len(trace.threads)
    number = len(str(len(trace.steps))) + 1
    room = (width - number - _GAP * count) // max(count, 1)
    if room < _NARROWEST:
        yield from _list(trace, width)
        return
    heads = [wrap(_plain(t), room) for t in trace.threads]
    yield _row("", [[f"CPU {k}"] for k in range(count)], 0, number, room)
    for line in range(max((len(h) for h in heads), default=0)):
        yield _row("", [h[line : line + 1] for h in heads], 0, number, room)
    yield _row("", [["-" * min(room, max(5, *map(len, h)))] for h in heads], 0, number, room)
    loop = trace.ending.loop
    for step in trace.steps:
        if loop is not None and step.number == loop.begin:
            yield f"+-> {loop.opening}"
        at = trace.threads.index(step.thread)
        # Nothing else stands in these rows, so a statement may reach half a column into its neighbour.
        edge = number + _GAP + at * (room + _GAP)
        for line, text in enumerate(statement(step, trace.threads, min(width - edge, room * 3 // 2))):
            yield f"{(_mark(step) if line == 0 else '').rjust(number)}{' ' * (edge - number)}{text}"
    if loop is not None:
        yield f"+-- {loop.closing}"


def _mark(step: Step) -> str:
    return f"{'!' if step.failures else ''}{step.number}"


def _row(head: str, cells: Sequence[Sequence[str]], line: int, number: int, room: int) -> str:
    parts = [head.rjust(number)]
    parts += [pad(cell[line] if line < len(cell) else "", room) for cell in cells]
    return (" " * _GAP).join(parts).rstrip()


def _list(trace: Trace, width: int) -> Iterator[str]:
    for k, thread in enumerate(trace.threads):
        yield from hang(f"CPU {k}: ", _plain(thread), width, 7)
    yield ""
    number = len(str(len(trace.steps))) + 1
    cpu = len(f"CPU {len(trace.threads) - 1}")
    loop = trace.ending.loop
    for step in trace.steps:
        if loop is not None and step.number == loop.begin:
            yield f"+-> {loop.opening}"
        lead = f"{_mark(step).rjust(number)}  {f'CPU {trace.threads.index(step.thread)}'.ljust(cpu)}  "
        for line, text in enumerate(statement(step, trace.threads, width - len(lead))):
            yield (lead if line == 0 else " " * len(lead)) + text
    if loop is not None:
        yield f"+-- {loop.closing}"


def statement(step: Step, threads: Sequence[str], width: int) -> Iterator[str]:
    """What a step does, in lines of ``width``: the statement, its choices, and what it changes or waits for.

    ``threads`` are told by the number of their CPU. That a lock is taken is left out where the statement says so.
    """
    yield from hang("", _plain(step.text), width, 4)
    if step.choices:
        yield from hang("  ", _plain(", ".join(f"{n} = {v}" for n, v in step.choices)), width, 4)
    for note in step.befallen:
        yield from hang("  ", _plain(f"/* {note} */"), width, 5)
    changed = {c.name for c in step.changes}
    for name, value in step.sees:
        if name not in changed:
            yield from hang("  ", _plain(f"/* {name} is {value} */"), width, 5)
    yield from (x for a in step.locks if a.act not in GIVING_BACK for x in _act(step, a, threads, width))
    for change in step.changes:
        if not change.folded and change.kind is not VarKind.LOCK:
            yield from hang("  ", _plain(f"{change.name} = {change.after}"), width, 4)
    yield from (x for a in step.locks if a.act in GIVING_BACK for x in _act(step, a, threads, width))
    for failure in step.failures:
        yield from hang("  ", _plain(f"!! {failure.message}"), width, 5)


def _act(step: Step, act: LockAct, threads: Sequence[str], width: int) -> Iterator[str]:
    if (act.act is Act.ACQUIRE and act.lock.split("[")[0] in step.text) or not (act.lock or act.because):
        return
    words = f"{act.act.value} {act.lock}".rstrip() + (f" ({act.mode})" if act.mode else "")
    because = "; ".join(_by_cpu(reason, threads) for reason in act.because)
    yield from hang("  ", _plain(f"<{words}{f': {because}' if because else ''}>"), width, 4)


def _by_cpu(reason: str, threads: Sequence[str]) -> str:
    """``reason`` with the thread that it begins with named as the head of its column is."""
    thread = max((t for t in threads if reason.startswith(f"{t} ")), key=len, default="")
    return f"CPU {threads.index(thread)}{reason.removeprefix(thread)}" if thread else reason
