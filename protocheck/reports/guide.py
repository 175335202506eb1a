"""The document of a model: what the protocol is, who may do what, what is guaranteed, and what goes wrong otherwise.

Written for readers who know the system that is modelled, and not this program: every word that is ours is explained
where it is used first, and nothing is said that a verdict does not back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocheck.engines.verdict import Exhausted, Induction, Invariant
from protocheck.findings import (
    MEMORY_MODEL,
    EdgeStatus,
    Finding,
    Holds,
    LockFindingKind,
    LockGraph,
    NeverFound,
    Report,
    ScenarioReport,
    Tone,
    Vacuous,
    Violated,
    plural,
    sentence,
)
from protocheck.ir.system import System
from protocheck.life_cycle import LifeCycle
from protocheck.reports.pages import Block, Heading, Items, Listing, Paragraph, Picture, Table
from protocheck.reports.style import Style
from protocheck.reports.table import layout_trace
from protocheck.source import Span
from protocheck.traces.invariant import ROUNDS, of_rounds
from protocheck.traces.trace import plain_name, trace_of_finding
from protocheck.types import tree as t

_ROOM = 100
_MOST = 12  # changes of one variable that a picture can bear

_INTRODUCTION = (
    "This page was written by `protocheck doc` from the model `{file}` and from the verdicts of checking it. A model "
    "is pseudo-code of the protocol; checking it means to look at every order in which its threads can be scheduled."
)


def main_scenario(report: Report) -> ScenarioReport | None:
    """The scenario that the document is about: the first in which nothing is violated; else the first of all.

    Of several, one without weaknesses and dubious orders of locks is better.
    """
    good = [s for s in report.scenarios if s.as_expected and not any(_fails(f) for f in s.findings)]
    return min(good, key=_doubts, default=next(iter(report.scenarios), None))


def _doubts(s: ScenarioReport) -> tuple[int, int]:
    graphs = [f.lock_graph for f in s.findings if f.lock_graph is not None]
    weak = sum(1 for f in s.findings if f.kind == "weakness" and f.tone is Tone.NOTED)
    return weak, sum(len(g.findings) for g in graphs)


def guide(module: t.CheckedModule, report: Report, cycles: Sequence[LifeCycle]) -> tuple[Block, ...]:
    """The document of ``module``, checked as ``report``; ``cycles`` are those of :func:`main_scenario`."""
    return tuple(_guide(module, report, cycles))


def _guide(module: t.CheckedModule, report: Report, cycles: Sequence[LifeCycle]) -> Iterator[Block]:
    main = main_scenario(report)
    yield Heading(1, f"`{module.name}`")
    for paragraph in module.doc.split("\n\n"):
        if paragraph.strip():
            yield Paragraph(paragraph)
    yield Paragraph(_INTRODUCTION.format(file=report.file))
    yield Heading(2, "In short")
    yield from _short(module, report)
    if module.sources:
        yield Heading(2, "Sources")
        yield Items(module.sources)
    yield Heading(2, "Who takes part")
    yield from _parties(module)
    yield from _state(module)
    if main is not None:
        yield from _locks(module, main)
        yield from _lives(main, cycles)
        yield from _guarantees(module, main)
        yield from _invariants(main)
    yield from _orders(module, report)
    yield from _otherwise(module, report)
    yield Heading(2, "What the verdicts take for granted")
    yield from _granted(report)
    yield Heading(2, "The model")
    yield Paragraph(f"`{report.file}`, with the numbers of its lines, which stand before the statements in this page.")
    yield Listing(_numbered(module.file.text))


# --------------------------------------------------------------------------------------------------------------------
# In short


def _short(module: t.CheckedModule, report: Report) -> Iterator[Block]:
    rows = []
    for s in report.scenarios:
        what = [_note(module, s)] if _note(module, s) else []
        if s.variants:
            what.append("with the change " + ", ".join(f"`{v}`" for v in s.variants))
        rows.append((f"`{s.name}`", "; ".join(what) or "as written", s.instance or "-", _result(s)))
    yield Table(("scenario", "what it is", "sizes", "result"), tuple(rows))


def _note(module: t.CheckedModule, s: ScenarioReport) -> str:
    if s.doc:
        return " ".join(s.doc.split())
    decl = module.scenarios.get(s.name)
    return _remark(decl.span) if decl is not None else ""


def _result(s: ScenarioReport) -> str:
    bad = [f for f in s.findings if _fails(f)]
    rest = [f for f in s.findings if not _fails(f) and f.kind != "weakness"]
    words = [_named(f) for f in bad]
    weak = [f"weakness `{f.name}` shows" for f in s.findings if f.kind == "weakness" and f.tone is Tone.NOTED]
    open_ = sum(1 for f in rest if f.tone is Tone.OPEN)
    if rest:
        words.append(f"{'the other ' if bad else 'all '}{plural(len(rest) - open_, 'claim')} hold")
    if open_:
        words.append(f"{plural(open_, 'claim')} undecided")
    return "; ".join(words + weak)


def _named(f: Finding) -> str:
    """The finding with its name; a run is neither good nor bad, and is called one."""
    if f.kind == "run" and isinstance(f.outcome, NeverFound):
        return f"the run `{f.name}` cannot happen"
    return f"`{f.name}` is {sentence(f.outcome)}"


def _fails(f: Finding) -> bool:
    return f.kind != "weakness" and isinstance(f.outcome, Violated | Vacuous | NeverFound)


# --------------------------------------------------------------------------------------------------------------------
# Who takes part, and what there is


def _parties(module: t.CheckedModule) -> Iterator[Block]:
    yield Paragraph(
        "State and locks of a party are written by its own code alone, in whichever thread that runs. What others may "
        "call is listed as offered."
    )
    rows = []
    for name, role in module.actors.items():
        runs = [f"`{_short_name(x.name, name)}` ({x.kind.value})" for x in module.threads.values() if x.actor == name]
        routines = [r for r in module.routines.values() if r.actor == name and not r.ghost and r.kind != "fn"]
        offers = [f"`{_short_name(r.name, name)}` ({r.kind})" for r in routines if r.public]
        writes = [f"`{_short_name(x.name, name)}`" for x in module.states.values() if x.actor == name and not x.ghost]
        locks = any(x.actor == name for x in module.locks.values())
        if runs or routines or writes or locks:
            rows.append((f"`{name}`", role, ", ".join(runs) or "-", ", ".join(offers) or "-", ", ".join(writes) or "-"))
    yield Table(("party", "role", "runs", "offers", "owns the state"), tuple(rows))
    kinds = {x.kind.value for x in module.threads.values()}
    words = {
        "thread": "a `thread` runs to its end",
        "server": "a `server` goes round for ever and may rest only where the model says that it idles",
        "environment": "an `environment` may rest between two rounds (user space, hardware)",
        "adversary": "an `adversary` does whatever it is allowed to, in any order, or nothing",
    }
    said = [text for kind, text in words.items() if kind in kinds]
    if said:
        yield Paragraph(f"{_sentence('; '.join(said))}.")


def _state(module: t.CheckedModule) -> Iterator[Block]:
    states = [x for x in module.states.values() if x.actor]
    if not states:
        return
    yield Heading(2, "State")
    rows = [
        (f"`{x.name}`", f"`{_declared(x.span)}`", " ".join(x.doc.split()) or _remark(x.span) or "-") for x in states
    ]
    yield Table(("state", "declared", "remark"), tuple(rows))
    if any(x.ghost for x in states):
        yield Paragraph("What is declared `ghost` exists only for the claims: no code of the protocol reads it.")


def _told(doc: str, span: Span) -> str:
    return " ".join(doc.split()) or _remark(span) or "-"


def _declared(span: Span) -> str:
    """The declaration around the name at ``span``, on one line, from its keyword to its semicolon."""
    line = span.file.line_text(span.line)
    text = line.split("//", 1)[0].strip()
    return " ".join(text.rstrip(";{ ").split()).replace("`", "'") or span.text


def _remark(span: Span) -> str:
    """The comment at the end of the line of ``span``."""
    line = span.file.line_text(span.line)
    return line.split("//", 1)[1].strip(" /").replace("`", "'") if "//" in line else ""


def _short_name(name: str, actor: str) -> str:
    return name.removeprefix(f"{actor}.")


# --------------------------------------------------------------------------------------------------------------------
# Locks


def _locks(module: t.CheckedModule, main: ScenarioReport) -> Iterator[Block]:
    if not module.locks:
        return
    yield Heading(2, "Locks")
    rows = [(f"`{x.name}`", x.kind.value, _told(x.doc, x.span)) for x in module.locks.values()]
    yield Table(("lock", "kind", "remark"), tuple(rows))
    if module.order:
        pairs = "; ".join(f"`{outer}` before `{inner}`" for outer, inner, _ in module.order)
        yield Paragraph(f"The order declared by the model, and checked: {pairs}.")
    graph = main.lock_graph
    if graph is None:
        graph = next((f.lock_graph for f in main.findings if f.lock_graph is not None), None)
    if graph is None:
        return
    if not graph.edges:
        yield Paragraph("No lock is ever wanted while another is held.")
        return
    yield Paragraph(
        f"As found in `{main.name}`: which lock is wanted while which is held. "
        + (
            "The graph has no cycle, so locks alone cannot deadlock, for any number of threads."
            if graph.acyclic
            else "The graph has a cycle; what that means is said below."
        )
    )
    found = {
        (
            f"`{e.held}`{_mode(e.held_mode)}",
            f"`{e.wanted}`{_mode(e.wanted_mode)}",
            f"`{plain_name(e.thread)}`",
            _edge_words(e.status, e.steps),
        ): None
        for e in graph.edges
    }
    yield Table(("held", "wanted", "by", "happens"), tuple(found))
    yield _lock_picture(graph)
    for finding in graph.findings:
        if finding.kind is not LockFindingKind.OPEN:
            yield Paragraph(f"{_sentence(finding.headline)}. {_sentence(finding.explanation)}.")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _mode(mode: str) -> str:
    return f" ({mode})" if mode else ""


def _edge_words(status: EdgeStatus, steps: int | None) -> str:
    match status:
        case EdgeStatus.REACHABLE:
            return f"yes, first after {plural(steps, 'step')}" if steps is not None else "yes"
        case EdgeStatus.UNREACHABLE:
            return "never"
        case EdgeStatus.UNKNOWN | EdgeStatus.STATIC:
            return "stands in the code"


def _lock_picture(graph: LockGraph) -> Picture:
    pairs = {(e.held, e.wanted): None for e in graph.edges if e.status is not EdgeStatus.UNREACHABLE}
    names = {n: f"n{k}" for k, n in enumerate(dict.fromkeys(x for p in pairs for x in p))}
    mermaid = ["flowchart LR", *(f'    {key}["{_safe(name)}"]' for name, key in names.items())]
    mermaid += [f"    {names[a]} --> {names[b]}" for a, b in pairs]
    dot = ["digraph {", "  rankdir=LR;", *(f'  {key} [label="{_safe(name)}"];' for name, key in names.items())]
    dot += [*(f"  {names[a]} -> {names[b]};" for a, b in pairs), "}"]
    text = "\n".join(f"{a} -> {b}" for a, b in pairs)
    return Picture("\n".join(mermaid), "\n".join(dot), text or "(no edge)", "which lock is wanted while which is held")


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() or c in " ._-[]()+*=," else "'" for c in text)


# --------------------------------------------------------------------------------------------------------------------
# Life cycles


def _lives(main: ScenarioReport, cycles: Sequence[LifeCycle]) -> Iterator[Block]:
    told = [c for c in cycles if c.changes]
    if not told:
        return
    yield Heading(2, "Life cycles")
    for c in told:
        seen = "every change that can happen" if c.complete else f"the changes in the first {c.states:,} states"
        first = ", ".join(f"`{b}`" for b in c.begins)
        yield Paragraph(f"`{c.state}` begins as {first}. The table shows {seen} in `{main.name}`.")
        rows: dict[tuple[str, str], dict[str, None]] = {}
        for x in c.changes:
            where = f"`{x.thread}`: `{_code(x.text)}`" + (f" (line {x.place.line})" if x.place is not None else "")
            rows.setdefault((f"`{x.before}`", f"`{x.after}`"), {})[where] = None
        cells = tuple((*pair, "; ".join(by)) for pair, by in rows.items())
        yield Table(("from", "to", "by the step that begins with"), cells)
        arrows = {(x.before, x.after): None for x in c.changes}
        if len(c.values) > 2 and len(arrows) <= _MOST:
            yield _life_picture(c, list(arrows))


def _code(text: str) -> str:
    return text.replace("`", "'")


def _life_picture(c: LifeCycle, arrows: Sequence[tuple[str, str]]) -> Picture:
    names = {v: f"s{k}" for k, v in enumerate(dict.fromkeys([*c.begins, *(x for a in arrows for x in a)]))}
    mermaid = ["stateDiagram-v2", *(f"    {key} : {_safe(v)}" for v, key in names.items())]
    mermaid += [f"    [*] --> {names[b]}" for b in c.begins]
    mermaid += [f"    {names[a]} --> {names[b]}" for a, b in arrows]
    dot = ["digraph {", "  rankdir=LR;", *(f'  {key} [label="{_safe(v)}"];' for v, key in names.items())]
    dot += [*(f"  {names[a]} -> {names[b]};" for a, b in arrows), "}"]
    text = "\n".join(f"{a} -> {b}" for a, b in arrows)
    return Picture("\n".join(mermaid), "\n".join(dot), text, f"the values of {c.state}")


# --------------------------------------------------------------------------------------------------------------------
# Guarantees


def _guarantees(module: t.CheckedModule, main: ScenarioReport) -> Iterator[Block]:
    yield Heading(2, "Guarantees")
    how = f" with {', '.join(f'`{v}`' for v in main.variants)}" if main.variants else ""
    at = f" at these sizes: {main.instance}" if main.instance else ""
    yield Paragraph(f"Of the scenario `{main.name}`{how}, checked{at}.")
    rows = [
        (_claim(module, main.system, f), f"`{f.name}`", sentence(f.outcome))
        for f in main.findings
        if f.kind not in ("reachable", "weakness", "run")
    ]
    yield Table(("claim", "name", "verdict"), tuple(rows))
    yield from _glossary(main)
    seen = [f for f in main.findings if f.kind == "reachable"]
    if seen:
        yield Paragraph("So that these claims say something, the following was shown to happen:")
        yield Items(tuple(f"{_claim(module, main.system, f)}: {sentence(f.outcome)}" for f in seen))
    weak = [f for f in main.findings if f.kind == "weakness"]
    if weak:
        yield Paragraph("Noted as weaknesses, which make nothing unsafe:")
        yield Items(tuple(f"{_claim(module, main.system, f)}: {sentence(f.outcome)}" for f in weak))
    if any(isinstance(f.outcome, Holds) and f.outcome.any_size for f in main.findings):
        yield Paragraph("`any number of` in a verdict is a proof for every size of what it names.")


def _glossary(main: ScenarioReport) -> Iterator[Block]:
    """What the words of the verdicts mean, as far as they are used."""
    certificates = [f.outcome.by for f in main.findings if isinstance(f.outcome, Holds | NeverFound)]
    words = []
    if any(isinstance(c, Exhausted) for c in certificates):
        words.append(
            "`exhausted`: every state that can be reached at these sizes was visited; the `deepest` is so many steps "
            "away from the beginning"
        )
    if any(isinstance(c, Exhausted) and c.symmetric for c in certificates):
        words.append("`up to symmetry`: states that differ only in which of several alike members is which count once")
    if any(isinstance(c, Invariant) and c.clauses for c in certificates):
        words.append(
            "`inductive invariant`: sentences that are true at the beginning, that every step keeps true, and that "
            "exclude what must not be; a `clause` is one of them"
        )
    if any(isinstance(c, Induction) for c in certificates):
        words.append("`induction`: what is true for so many steps in a row is true after one more")
    if words:
        yield Paragraph("How a verdict is known:")
        yield Items(tuple(words))


def _orders(module: t.CheckedModule, report: Report) -> Iterator[Block]:
    """The tables of steps that the model asks about, and where they can happen."""
    if not module.runs:
        return
    rows = []
    for run in module.runs:
        found: dict[str, list[str]] = {}
        for s in report.scenarios:
            for f in s.findings:
                if f.kind == "run" and f.name == run.name:
                    words = "cannot happen" if isinstance(f.outcome, NeverFound) else sentence(f.outcome)
                    found.setdefault(words, []).append(f"`{s.name}`")
        where = "; ".join(f"{words} in {', '.join(names)}" for words, names in found.items())
        rows.append((f"`{run.name}`", _told(run.doc, run.span), f"`{_code(_flat(run))}`", where or "-"))
    yield Heading(2, "Orders of steps that were asked for")
    yield Paragraph("Each is the table of a commit message: can these steps happen in this order, and lead there?")
    yield Table(("name", "remark", "steps", "verdict"), tuple(rows))


def _flat(run: t.RunDecl) -> str:
    """The steps of a run and where they lead, on one line."""
    steps = "; ".join(" ".join(line.span.text.rstrip("; ").split()) for line in run.lines)
    goal = run.toward or (" ".join(run.goal.span.text.split()) if run.goal is not None else "")
    return f"{steps} leads to {goal}" if goal else steps


def _numbered(text: str) -> str:
    """``text`` with the numbers of its lines."""
    lines = text.rstrip("\n").split("\n")
    width = len(str(len(lines)))
    return "\n".join(f"{number:{width}}  {line}".rstrip() for number, line in enumerate(lines, start=1))


def _claim(module: t.CheckedModule, system: System | None, f: Finding) -> str:
    decl = next((p for p in module.properties if p.name == f.name), None)
    if decl is not None and decl.doc:
        return " ".join(decl.doc.split())
    if f.kind == "assertion" and system is not None:
        checks = (c for x in system.transitions for c in x.checks if c.prop == f.name)
        messages = tuple(dict.fromkeys(c.message for c in checks if c.message))
        if messages:
            return "never: " + "; ".join(m.replace("`", "'") for m in messages)
    if f.kind in ("built-in", "assertion"):
        return f.claim
    return f"`{_code(' '.join(f.claim.split()))}`"


def _invariants(main: ScenarioReport) -> Iterator[Block]:
    told: dict[tuple[str, ...], list[str]] = {}
    for f in main.findings:
        if f.invariant:
            told.setdefault(f.invariant, []).append(f.name)
    if not told:
        return
    yield Heading(2, "Why it holds")
    yield Paragraph(
        "Each list was true at the beginning, is kept true by every step, and excludes what the claim forbids. It was "
        "found by the checker and checked again by code that shares nothing with the search."
    )
    for invariant, names in told.items():
        yield Paragraph(f"For {', '.join(f'`{n}`' for n in names)}:" + (f" {ROUNDS}" if of_rounds(invariant) else ""))
        yield Items(tuple(f"`{_code(x)}`" for x in invariant))


# --------------------------------------------------------------------------------------------------------------------
# What goes wrong otherwise


def _otherwise(module: t.CheckedModule, report: Report) -> Iterator[Block]:
    bad = [(s, f) for s in report.scenarios for f in s.findings if _fails(f) and isinstance(f.outcome, Violated)]
    if not bad:
        return
    yield Heading(2, "What goes wrong otherwise")
    yield Paragraph(
        "A column per thread, a row per step; every run was executed again before it was printed. Before a statement "
        "stands its line in the model, which is at the end of this page."
    )
    shown: dict[str, None] = {}
    runs: dict[tuple[str, str], str] = {}
    for s, f in bad:
        heading = f"`{s.name}`"
        trace = trace_of_finding(s.system, f)
        if heading not in shown:
            shown[heading] = None
            yield Heading(3, heading)
            note = _note(module, s)
            if note:
                yield Paragraph(note)
        told = f"`{f.name}` ({_claim(module, s.system, f)}) is {sentence(f.outcome, s.instance)}"
        if trace is None:
            yield Paragraph(f"{told}.")
            continue
        body = "\n".join(x.rstrip() for x in layout_trace(trace, report.file, Style(width=_ROOM)).split("\n"))
        other = runs.setdefault((s.name, body), f.name)
        if other != f.name:
            yield Paragraph(f"{told}: the same run as for `{other}`.")
        else:
            yield Paragraph(f"{told}:")
            yield Listing(body)


def _granted(report: Report) -> Iterator[Block]:
    lines = {f"memory behaves as under {MEMORY_MODEL}": None}
    for s in report.scenarios:
        lines.update(dict.fromkeys(s.assumptions))
    yield Items(tuple(lines))
