"""A run as a Mermaid sequence diagram: threads and locks as participants, as GitHub, GitLab and Sphinx draw it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.document import Document, Run
from protocheck.reports.style import printable, wrap
from protocheck.traces.trace import LockAct, Step, Trace

_LINE = 36

# Arrows by act: solid for what happens at once, dashed for giving back, crossed for what does not succeed.
_ARROWS = {
    Act.ACQUIRE: "->>",
    Act.RELEASE: "-->>",
    Act.DOWNGRADE: "-->>",
    Act.WANT: "-x",
    Act.TRY_FAILED: "-x",
    Act.RETRY: "-x",
    Act.SYNC_BEGIN: "->>",
    Act.SYNC_END: "-->>",
    Act.AWAIT: "->>",
}


def render(document: Document, runs: Sequence[Run]) -> str:
    """The diagram of a run."""
    return "\n".join("\n".join(lines(run)) + "\n" for run in runs)


def lines(run: Run) -> Iterator[str]:
    """The lines of the diagram of ``run``."""
    trace = run.trace
    yield "sequenceDiagram"
    yield f"    %% {_comment(f'{run.model.file}: {run.about}')}"
    threads = {t: f"t{k}" for k, t in enumerate(trace.threads)}
    locks = {name: f"k{k}" for k, name in enumerate(_locks(trace))}
    for name, key in threads.items():
        yield f"    participant {key} as {_text(name)}"
    for name, key in locks.items():
        yield f"    participant {key} as {_text(name)}"
    chosen = [f"{c.name} = {c.value}" for c in trace.initial if c.chosen and c.kind is not VarKind.PC]
    everyone = [*threads.values(), *locks.values()]
    if chosen and everyone:
        yield f"    Note over {_span(everyone)}: at the beginning{_BREAK}{_BREAK.join(map(_text, chosen))}"
    loop = trace.ending.loop
    for step in trace.steps:
        if loop is not None and step.number == loop.begin:
            yield "    loop for ever"
        yield from _step(step, threads, locks)
    if loop is not None and loop.begin <= loop.end:
        yield "    end"
    if everyone:
        yield f"    Note over {_span(everyone)}: {_wrapped(trace.ending.headline, 60)}"
    ending = trace.ending
    if loop is not None and everyone:
        yield f"    Note over {_span(everyone)}: {_wrapped(loop.why, 60)}"
    if ending.deadlock is not None:
        for member in ending.deadlock.blocked:
            reasons = "; ".join(dict.fromkeys(f"{who} {why}" for who, why in member.for_whom))
            if member.thread in threads:
                words = f"waits for {member.waits}" + (f": {reasons}" if reasons else "")
                yield f"    Note over {threads[member.thread]}: {_wrapped(words, _LINE)}"


_BREAK = "<br/>"


def _span(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]},{keys[-1]}"


def _locks(trace: Trace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(a.lock for s in trace.steps for a in s.locks if a.lock))


def _step(step: Step, threads: dict[str, str], locks: dict[str, str]) -> Iterator[str]:
    me = threads[step.thread]
    told = [a for a in step.locks if a.lock in locks]
    words = f"{step.number}. {step.text}"
    if step.choices:
        words += f" [{', '.join(f'{name} = {value}' for name, value in step.choices)}]"
    words += "".join(f" ({note})" for note in step.befallen)
    if told:
        yield f"    {me}{_ARROWS[told[0].act]}{locks[told[0].lock]}: {_wrapped(f'{words}: {_act(told[0])}', _LINE)}"
    else:
        yield f"    {me}->>{me}: {_wrapped(words, _LINE)}"
    effects = [f"{c.name} = {c.after}" for c in step.changes if not c.folded and c.kind is not VarKind.LOCK]
    effects += [f"!! {f.message}" for f in step.failures]
    if effects:
        yield f"    Note over {me}: {_BREAK.join(_wrapped(e, _LINE) for e in effects)}"
    for act in told[1:]:
        yield f"    {me}{_ARROWS[act.act]}{locks[act.lock]}: {_wrapped(_act(act), _LINE)}"


def _act(act: LockAct) -> str:
    return act.act.value + (f" ({act.mode})" if act.mode else "")


def _wrapped(text: str, width: int) -> str:
    return _BREAK.join(_text(line) for line in wrap(printable(text), width))


# NOTE(mermaid-end): the word ends a block even inside of texts, so its first letter is written as an entity.
_KEYWORDS = re.compile(r"(?i)\bend\b")


def _text(text: str) -> str:
    """``text`` so that nothing in it means anything to Mermaid."""
    escaped = "".join(f"#{ord(c)};" if c in ";#<>&\"\\%" or ord(c) > 126 else c for c in printable(text))
    return _KEYWORDS.sub(lambda m: f"#{ord(m[0][0])};{m[0][1:]}", escaped)


def _comment(text: str) -> str:
    return printable(text).encode("ascii", "backslashreplace").decode("ascii").replace("%", "").replace("{", "(")
