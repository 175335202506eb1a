"""Tells where a run taken by hand stands: what is possible, with a key each, and why the others cannot move."""

from __future__ import annotations

from collections.abc import Iterator

from protocheck.findings import Finding, Found, Report, ScenarioReport
from protocheck.ir.expr import VarKind
from protocheck.ir.system import Act
from protocheck.reports.json import render as render_report
from protocheck.reports.style import Paint, Style, hang, printable
from protocheck.reports.table import layout_trace
from protocheck.simulate import NAME, Option, Session
from protocheck.traces.standing import Stand
from protocheck.traces.trace import Place, Step


def layout_position(session: Session, file: str, style: Style, most: int) -> list[str]:
    """The steps that are possible now, and of each thread that has none, why; at most ``most`` steps."""
    if session.state is None:
        return ["the run has ended with a fatal fault; only going back is possible"]
    lines: list[str] = []
    count = len(session.moves())
    for key, option in enumerate(session.options(most), start=1):
        lines += _option(key, option, file, style)
    if count > most:
        lines.append(f"  ... and {count - most} more; `all` lists them")
    if not count:
        lines.append("no step is possible")
    for stand in session.stands():
        if not stand.can:
            lines += _stand(stand, file, style)
    return lines


def _option(key: int, option: Option, file: str, style: Style) -> Iterator[str]:
    step = option.step
    where = f" {_line(step.places[0], file)}" if step.places else ""
    chosen = "".join(f", {name} = {value}" for name, value in step.choices)
    notes = "".join(f" ({note})" for note in step.notes)
    lead = f"  {style.paint(str(key), Paint.BOLD)}  "
    plain = f"  {key}  "
    first, *rest = hang(plain, printable(f"{step.thread}{where}: {step.text}{chosen}{notes}"), style.width, 8)
    yield lead + first.removeprefix(plain)
    yield from rest
    effects = "; ".join(_effects(step))
    if effects:
        yield from hang("       ", printable(effects), style.width, 8)
    if option.ends:
        yield "       the run ends here"


def _effects(step: Step) -> Iterator[str]:
    changed = {c.name for c in step.changes}
    yield from (f"sees {name} = {value}" for name, value in step.sees if name not in changed)
    late = (Act.RELEASE, Act.DOWNGRADE, Act.SYNC_END)
    yield from (str(a) for a in step.locks if a.lock and a.act not in late)
    for change in step.changes:
        if change.folded:
            continue
        yield f"{change.name} = {change.after}" if change.kind is VarKind.LOCAL else (
            f"{change.name}: {change.before} -> {change.after}"
        )
    yield from (str(a) for a in step.locks if a.lock and a.act in late)
    for failure in step.failures:
        yield f"!! {failure.message}"


def _stand(stand: Stand, file: str, style: Style) -> Iterator[str]:
    at = f" {_line(stand.place, file)}" if stand.place is not None else ""
    yield from hang("  -  ", printable(f"{stand.thread}{at}: {'; '.join(stand.why)}"), style.width, 8)


def _line(place: Place, file: str) -> str:
    return f"line {place.line}" if place.file == file else f"{place.file.rsplit('/', 1)[-1]}:{place.line}"


def layout_state(session: Session, style: Style) -> list[str]:
    """Every cell of the state now, and who holds what."""
    trace = session.trace()
    state = {c.name: c.value for c in trace.initial}
    for step in trace.steps:
        for c in step.changes:
            own = c.kind is VarKind.LOCAL and " of " not in c.name
            state[f"{c.name} of {step.thread}" if own else c.name] = c.after
    lines: list[str] = []
    for name, value in state.items():
        lines += hang("  ", printable(f"{name} = {value}"), style.width, 4)
    return lines


def layout_run(session: Session, file: str, style: Style) -> str:
    """The run so far, as any other run."""
    return layout_trace(session.trace(), file, style)


def stored(session: Session, report: Report, version: str) -> str:
    """The run so far as a JSON report that ``show`` and ``simulate --from`` read.

    ``report`` has the scenario that is simulated, without findings.
    """
    trace = session.trace()
    (scenario,) = report.scenarios
    finding = Finding(
        NAME,
        NAME,
        "reachable",
        "a run taken by hand",
        Found(session.length, False, trace.switches),
        evidence=session.evidence(),
        engine="simulate",
    )
    told = ScenarioReport(
        scenario.name,
        scenario.instance,
        scenario.variants,
        scenario.settings,
        scenario.assumptions,
        (finding,),
        doc=scenario.doc,
        system=session.system,
    )
    return render_report([Report(report.file, report.model, (told,), report.doc)], [], 0, version)
