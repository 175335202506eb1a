"""Measures everything in one run and writes ``results/benchmarks.md``.

``python -m benchmarks [--limit SECONDS] [--only PROTOCOL] [--runs N] [--minutes M] [--output FILE]``. Machines differ
and are noisy: every ratio compares two figures of this run. First every command once; then, while there is time,
those on which a ratio rests (ours, and the quickest peer's) again and again, and the others at last. The page is
written after each part, so one that is stopped early leaves what it has. A tool that is not installed is skipped by
name. Nothing is asserted about time; the exit code is 1 where a tool's verdict or shortest length is not that of the
others.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Measured, measure
from benchmarks.peers import CPUS, HOLDS, MEGABYTES, PEERS, VIOLATED, Answer, Peer

ROOT = Path(__file__).resolve().parent.parent
HERE = {"PYTHONPATH": str(ROOT)}
OUTPUT = ROOT / "results" / "benchmarks.md"

LADDERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "fault_vs_conversion": ((1, 1), (2, 2), (2, 3), (3, 3), (4, 3), (4, 4), (8, 4), (16, 4), (16, 8)),
    "snp_remap": ((2, 2), (4, 4), (8, 8), (12, 12)),
    "populate_locking": ((1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (5, 5, 5, 4), (16, 16, 16, 16)),
    "track_and_kick": ((1, 1), (2, 2), (4, 4), (8, 4), (16, 8)),
    "update_order": ((2, 1), (3, 2), (4, 4), (8, 4), (16, 8)),
    "srcu_free": ((1, 2), (2, 3), (4, 4), (8, 8), (8, 16)),
}
WHAT = {
    "fault_vs_conversion": "(gfns, vCPUs); claim: no stale mapping",
    "snp_remap": "(gfns, pfns); claim: the guest never reads replayed data",
    "populate_locking": "(populates, faults, remaps, gfns); claim: somebody can always move",
    "track_and_kick": "(gfns, vCPUs); claim: the guest reaches no page that was given back",
    "update_order": "(small pages, vCPUs); claim: no large mapping covers pages that differ",
    "srcu_free": "(readers, sets of slots); claim: no reader uses what was freed",
}
QUANTITIES = {
    "any number in under one second": ("fault_vs_conversion", "snp_remap", "populate_locking"),
    "any number, beyond what was promised": ("track_and_kick", "update_order", "srcu_free"),
}
FIRST = {"populate_locking": (2, 2, 2, 2)}
"""The sizes at which the proof for any number begins, where it is not two of each."""
LONG = 5.0
"""A command that takes longer than so many seconds is run once only."""


@dataclass(frozen=True)
class Model:
    """A shipped model with the scenarios and the claim that correspond, and how its sizes are named."""

    path: str
    repaired: str
    broken: str
    claim: str
    sizes: tuple[str, ...]


MODELS = {
    "fault_vs_conversion": Model(
        "models/gmem/fault_vs_conversion.pchk", "upstream", "no_sequence", "agree", ("gfns", "vcpus")
    ),
    "snp_remap": Model(
        "models/snp/snp_remap.pchk", "validate_once", "validate_on_fault", "lost_content", ("gfns", "pfns")
    ),
    "populate_locking": Model(
        "models/gmem/populate_locking.pchk", "after", "before", "deadlock", ("", "faulters", "remappers", "gfns")
    ),
    "track_and_kick": Model(
        "models/tdx/track_and_kick.pchk", "upstream", "no_kick_regardless", "stale_mapping", ("gfns", "vcpus")
    ),
    "update_order": Model(
        "models/large_page/update_order.pchk", "upstream", "end_early", "no_large_over_mixed", ("small_pages", "vcpus")
    ),
    "srcu_free": Model(
        "models/toys/srcu_free.pchk", "for_ever", "for_ever_no_wait", "use_after_free", ("vcpus", "sets")
    ),
}


@dataclass(frozen=True)
class Tool:
    """One column: how to write the input into a folder, giving the command, and how to read what it printed."""

    name: str
    ours: bool
    command: Callable[[Path, str, Sequence[int], bool], str]
    read: Callable[[str, str], Answer]
    megabytes: int | None = MEGABYTES


@dataclass(frozen=True)
class Cell:
    """A command and its runs; without any it did not end, or was ``predicted`` not to."""

    samples: tuple[Measured, ...] = ()
    answer: Answer | None = None
    inner: tuple[float, ...] = ()
    predicted: bool = False

    @property
    def seconds(self) -> float | None:
        """Median of the wall times."""
        return statistics.median(m.seconds for m in self.samples) if self.samples else None

    @property
    def cpu(self) -> float:
        """Median of the processor times."""
        return statistics.median(m.cpu for m in self.samples)

    @property
    def megabytes(self) -> float:
        """Median of the largest processes."""
        return statistics.median(m.megabytes for m in self.samples)

    @property
    def floor(self) -> float:
        """Below this many megabytes nothing can be told."""
        return max(m.floor for m in self.samples)

    @property
    def alone(self) -> float | None:
        """Median of the times without what comes before, where the tool tells them."""
        return statistics.median(self.inner) if self.inner else None


@dataclass(frozen=True)
class AnySize:
    """How long a proof for any number took, from the flat system and from the model, and what was answered."""

    protocol: str
    seconds: tuple[float, float]
    answers: tuple[str, str]


@dataclass(frozen=True)
class Start:
    """Seconds until a command of ours has loaded what it needs: without the solver, and with it."""

    plain: float
    solver: float


Results = dict[tuple[str, bool], dict[tuple[int, ...], dict[str, Cell]]]


def main() -> int:
    """Measure, write, and say whether all tools agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write a table.")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that one command may take (default: 10)")
    parser.add_argument("--runs", type=int, default=3, help="runs of a command; the median counts (default: 3)")
    parser.add_argument("--minutes", type=float, default=18.0, help="no command is run again later (default: 18)")
    parser.add_argument("--only", action="append", choices=LADDERS, help="only this protocol (repeatable)")
    parser.add_argument("--largest", type=int, default=None, help="only so many rungs of each ladder")
    parser.add_argument("--no-figures", action="store_true", help="leave out the figures of the program alone")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])
    with tempfile.TemporaryDirectory() as bytecode:
        # As after an installation: Python's own files are compiled once, not by each command.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        return _bench(given)


def _bench(given: argparse.Namespace) -> int:
    begun, load = time.monotonic(), os.getloadavg()[0]
    figures: list[tuple[str, str, str]] = []
    tools = list(_tools())
    results: Results = {}
    sizeless: list[AnySize] = []

    def wrong() -> list[str]:
        return [w for (protocol, broken), cells in results.items() for w in _disagreements(protocol, broken, cells)]

    def write() -> None:
        tables = [line for (p, broken), cells in results.items() for line in (*_table(tools, p, broken, cells), "")]
        text = [*_head(given.limit, _runs(results), load), "## What is promised about the program alone", ""]
        text += ["| what | measured | promised |", "|---|---|---|", *(f"| {' | '.join(f)} |" for f in figures), ""]
        text += [*tables, *_any_size(sizeless), "", *_targets(results, figures, sizeless), ""]
        text += [*_behind(results, started), "", *_sizes(tools, results), ""]
        text += [
            f"Measured in {(time.monotonic() - begun) / 60:.0f} minutes.",
            "",
            *(f"**Wrong:** {w}" for w in wrong()),
        ]
        given.output.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")

    started = _start()
    chosen = [p for p in LADDERS if not given.only or p in given.only]
    for protocol in chosen:
        for broken in (False, True):
            results[protocol, broken] = {}
            rungs = LADDERS[protocol][: given.largest]
            _climb(tools, protocol, rungs, broken, given.limit, results[protocol, broken])
            write()
    for protocol in chosen:
        sizeless.append(_for_any_size(protocol, given.runs))
        print(protocol, *sizeless[-1].seconds, *sizeless[-1].answers, flush=True)
    write()
    for figure in () if given.no_figures else _figures():
        print(*figure, sep="  ", flush=True)
        figures.append(figure)
        write()
    until = begun + 60 * given.minutes
    for telling in (True, False):  # first what ratios rest on
        for run in range(1, given.runs):
            for (protocol, broken), cells in results.items():
                _again(tools, protocol, broken, cells, given.limit, until, telling, run)
            which = "what ratios rest on" if telling else "the others"
            print(f"run {run + 1} of {which}: {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)
            write()
    print("\n".join(wrong()) or "all tools agree on every verdict and every shortest length")
    return 1 if wrong() else 0


def _start() -> Start:
    """What the start of our commands takes, after once letting Python keep what it compiles."""
    measure(f"{sys.executable} -m protocheck check {ROOT / MODELS['snp_remap'].path} -j 1", ROOT, 60, None, HERE)

    def seconds(what: str) -> float:
        command = f"{sys.executable} -c 'import {what}'"
        return statistics.median(measure(command, ROOT, 60, None, HERE).seconds for _ in range(3))

    return Start(seconds("protocheck.check"), seconds("protocheck.check, z3"))


def _runs(results: Results) -> tuple[int, int]:
    """The fewest and the most runs of a command that could be run again."""
    counts = [
        len(cell.samples)
        for cells in results.values()
        for row in cells.values()
        for cell in row.values()
        if cell.samples and cell.samples[0].seconds < LONG
    ]
    return min(counts, default=1), max(counts, default=1)


def _figures() -> Iterator[tuple[str, str, str]]:
    """The rows of :mod:`benchmarks.figures`, in a process of its own, as they come; how it ended, if not well."""
    command = [sys.executable, "-m", "benchmarks.figures"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **HERE}, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            what, measured, promised = line.rstrip("\n").split("\t")
            yield what, measured, promised
    if child.returncode != 0:
        yield "the rest of these figures", f"ended with {child.returncode}", ""


# --------------------------------------------------------------------------------------------------------------------
# The columns


def _tools() -> Iterator[Tool]:
    def flat(_: Path, protocol: str, sizes: Sequence[int], broken: bool) -> str:
        variant = "broken" if broken else "repaired"
        return f"{sys.executable} -m benchmarks.flat {protocol} {','.join(map(str, sizes))} {variant}"

    def model(_: Path, protocol: str, sizes: Sequence[int], broken: bool) -> str:
        m = MODELS[protocol]
        settings = " ".join(f"-p {name}={size}" for name, size in zip(m.sizes, sizes, strict=True) if name)
        scenario = m.broken if broken else m.repaired
        return (
            f"{sys.executable} -m protocheck check {ROOT / m.path} --scenario {scenario} --property {m.claim} "
            f"{settings} -j 1"
        )

    yield Tool("protocheck, flat", True, flat, _read_flat)
    yield Tool("protocheck, model", True, model, _read_model)
    for peer in PEERS:
        missing = peer.missing()
        if missing is None:
            yield _column(peer)
        else:
            print(f"{peer.name} is skipped: {missing} is not installed")


def _column(peer: Peer) -> Tool:
    return Tool(
        peer.name,
        False,
        lambda folder, protocol, sizes, broken: peer.prepare(folder, protocol, sizes, broken, False),
        peer.read,
        None if peer.name == "TLC" else MEGABYTES,  # Java reserves more than it uses; its heap is limited instead
    )


def _read_flat(text: str, _: str) -> Answer:
    found = re.search(r"violated in (\d+) steps", text)
    if found:
        return Answer(VIOLATED, int(found[1]) if "not shortest" not in text else None)
    return Answer(HOLDS if "holds:" in text else "?")


def _read_model(text: str, protocol: str) -> Answer:
    for line in text.splitlines():
        if f" {MODELS[protocol].claim} " in f" {line} ":
            found = re.search(r"violated in (\d+) steps", line)
            if found:
                return Answer(VIOLATED, int(found[1]) if "shortest" in line else None)
            if re.search(r"\bholds\b(?! up to)", line):
                return Answer(HOLDS)
    return Answer("?")


# --------------------------------------------------------------------------------------------------------------------
# Measuring


def _climb(
    tools: Sequence[Tool],
    protocol: str,
    rungs: Sequence[tuple[int, ...]],
    broken: bool,
    limit: float,
    cells: dict[tuple[int, ...], dict[str, Cell]],
) -> None:
    """Every command of a ladder once, into ``cells``."""
    past: dict[str, list[float | None]] = {t.name: [] for t in tools}
    for sizes in rungs:
        cells[sizes] = {}
        for tool in tools:
            if _hopeless(past[tool.name], limit):
                cell = Cell(predicted=True)
            else:
                cell = _measure(tool, protocol, sizes, broken, limit, Cell())
            past[tool.name].append(cell.seconds)
            cells[sizes][tool.name] = cell
            shown = "-" if cell.seconds is None else f"{cell.seconds:.2f} s, cpu {cell.cpu:.2f} s, {cell.answer}"
            print(f"{protocol} {sizes} {'broken' if broken else 'repaired'} {tool.name}: {shown}", flush=True)


def _again(
    tools: Sequence[Tool],
    protocol: str,
    broken: bool,
    cells: dict[tuple[int, ...], dict[str, Cell]],
    limit: float,
    until: float,
    telling: bool,
    runs: int,
) -> None:
    """Another run, in place, of each command that is short and has at most ``runs``; none begins after ``until``.

    ``telling``: only ours and the quickest peers of each row, else only the others.
    """
    for sizes, row in cells.items():
        quickest = sorted((c.seconds, n) for n, c in row.items() if c.seconds is not None and "protocheck" not in n)
        needed = {t.name for t in tools if t.ours} | {n for _, n in quickest[:1]} | ({"ABC"} & set(row))
        for tool in tools:
            cell = row[tool.name]
            if (tool.name in needed) != telling or not cell.samples or len(cell.samples) > runs:
                continue
            if cell.samples[0].seconds < LONG and time.monotonic() < until:
                row[tool.name] = _measure(tool, protocol, sizes, broken, 2 * limit, cell)


def _hopeless(past: Sequence[float | None], limit: float) -> bool:
    """Whether the last rungs say that the next one takes longer than the limit."""
    if not past:
        return False
    if past[-1] is None:
        return True
    if len(past) < 2 or past[-2] is None or past[-1] < limit / 10:
        return False
    return past[-1] * past[-1] / past[-2] > limit


def _measure(tool: Tool, protocol: str, sizes: Sequence[int], broken: bool, limit: float, before: Cell) -> Cell:
    """``before`` with one more run; as it was where that did not end, e.g. because somebody killed it."""
    with tempfile.TemporaryDirectory() as name:
        command = tool.command(Path(name), protocol, sizes, broken)
        done = measure(command, Path(name), limit, tool.megabytes, HERE)
    answer = tool.read(done.text, protocol) if done.ended else None
    if answer is None or answer.verdict == "?":
        return before
    inner = () if answer.inner is None else (answer.inner,)
    return Cell((*before.samples, done), Answer(answer.verdict, answer.steps, answer.states), (*before.inner, *inner))


def _disagreements(protocol: str, broken: bool, cells: dict[tuple[int, ...], dict[str, Cell]]) -> Iterator[str]:
    wanted = VIOLATED if broken else HOLDS
    for sizes, row in cells.items():
        steps: dict[str, int] = {}
        for name, cell in row.items():
            if cell.answer is None:
                continue
            if cell.answer.verdict != wanted:
                yield f"{protocol} {sizes}: {name} says {cell.answer.verdict}, expected {wanted}"
            if cell.answer.steps is not None and name != "protocheck, model":  # its steps are coarser
                steps[name] = cell.answer.steps
        if len(set(steps.values())) > 1:
            yield f"{protocol} {sizes}: lengths differ, {steps}"


# --------------------------------------------------------------------------------------------------------------------
# The page


def _head(limit: float, runs: tuple[int, int], load: float) -> list[str]:
    least, most = runs
    counted = "one run of each command" if most == 1 else f"the median of {most} runs"
    if 1 < most != least:
        counted += f" (of {least} where there was no time for more)"
    shared = (
        f"The machine was shared with other work (load {load:.1f} before the run): figures are too high, ratios "
        "are noisy."
        if load > 0.5
        else "Nothing else ran on the machine."
    )
    return [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {CPUS} cores, {counted}; one where a command takes more than {LONG:.0f} s. {shared}",
        "",
        "Seconds of wall time for the whole command as a user types it: reading the input, translating, compiling, "
        f"solving. `-`: more than {limit:.0f} s or {MEGABYTES // 1024} GiB, or predicted so from the rungs before. "
        "The peers' inputs are written by `benchmarks/inputs/`, in the best encoding for each: the same commands, one "
        "step each, as in `benchmarks/protocols/`, which is what the column *protocheck, flat* checks (`python -m "
        "benchmarks.flat`: search or proof, replay of the run, re-check of the proof). *protocheck, model* is "
        "`protocheck check` on the shipped model, whose steps are those of the language, so its runs differ. "
        "Its claim is the same; for `populate_locking` it has one populate thread, and in `track_and_kick` which page "
        "backs a gfn is open, so its states are many more. In brackets behind ABC: the time of "
        "ABC alone, without Yosys. Python's bytecode is kept from one command to the next, as after an installation.",
        "",
        *(
            f"- **{p.name}**: {p.note}" + (f" (skipped: {p.missing()} is not installed)" if p.missing() else "")
            for p in PEERS
        ),
        "",
    ]


def _table(
    tools: Sequence[Tool], protocol: str, broken: bool, cells: dict[tuple[int, ...], dict[str, Cell]]
) -> Iterator[str]:
    kind = "broken: time to a shortest run" if broken else "repaired: time to a proof"
    yield f"## `{protocol}`, {kind}"
    yield ""
    yield f"{WHAT[protocol]}. Ratio: protocheck (flat; model) against the quickest peer of that row."
    yield ""
    names = [t.name for t in tools]
    yield "| size | " + " | ".join(names) + " | ratio |" + (" steps |" if broken else "")
    yield "|---" * (len(names) + 2 + broken) + "|"
    for sizes, row in cells.items():
        best = _best(row)
        ratios = [_ratio(row[t.name], best) for t in tools if t.ours]
        steps = next((c.answer.steps for c in row.values() if c.answer is not None and c.answer.steps), None)
        shown = [_show(row[n]) for n in names]
        tail = f" {steps or '-'} |" if broken else ""
        yield f"| {_size(sizes)} | " + " | ".join(shown) + f" | {'; '.join(ratios)} |{tail}"


def _size(sizes: Sequence[int]) -> str:
    return f"({','.join(map(str, sizes))})"


def _best(row: dict[str, Cell]) -> float | None:
    return min((c.seconds for n, c in row.items() if c.seconds is not None and "protocheck" not in n), default=None)


def _ratio(cell: Cell, best: float | None) -> str:
    if cell.seconds is None:
        return "-"
    return "alone" if best is None else f"{cell.seconds / best:.2f}"


def _show(cell: Cell) -> str:
    if cell.seconds is None:
        return "-"
    alone = "" if cell.alone is None else f" ({cell.alone:.2f})"
    return f"{cell.seconds:.2f}{alone}"


def _for_any_size(protocol: str, runs: int) -> AnySize:
    """Both of our commands, their median times, and what they answered."""
    m = MODELS[protocol]
    sizes = ",".join(map(str, FIRST.get(protocol, (2, 2))))
    seconds: list[float] = []
    answers: list[str] = []
    for command in (
        f"{sys.executable} -m benchmarks.flat {protocol} {sizes} repaired --any",
        f"{sys.executable} -m protocheck check {ROOT / m.path} --scenario {m.repaired} --property {m.claim} -j 1",
    ):
        done = [measure(command, ROOT, 60, MEGABYTES, HERE) for _ in range(runs)]
        flatten = " ".join(done[0].text.split())
        said = re.search(r"holds for any number of [a-z_.]+(?:(?:,| and) [a-z_.]+)*", flatten)
        seconds.append(statistics.median(d.seconds for d in done))
        answers.append(said[0].rstrip(".") if said else "for these sizes only")
    return AnySize(protocol, (seconds[0], seconds[1]), (answers[0], answers[1]))


def _any_size(sizeless: Sequence[AnySize]) -> Iterator[str]:
    yield "## For any number of members"
    yield ""
    yield "From the claim to a proof for every size, whole command; no peer answers this."
    yield ""
    yield "| protocol | flat | answer | model | answer |"
    yield "|---|---|---|---|---|"
    for one in sizeless:
        shown = [f"{s:.2f} | {a}" for s, a in zip(one.seconds, one.answers, strict=True)]
        yield f"| `{one.protocol}` | " + " | ".join(shown) + " |"


def _yes(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "no"


def _targets(results: Results, figures: Sequence[tuple[str, str, str]], sizeless: Sequence[AnySize]) -> Iterator[str]:
    """What was promised beside what was measured; a target that this run did not measure is not in the table."""
    yield "## Targets"
    yield ""
    yield "| target | flat | met | model | met |"
    yield "|---|---|---|---|---|"
    for protocol, sizes, share in (
        ("fault_vs_conversion", (4, 3), 1.0),
        ("fault_vs_conversion", (8, 4), 0.5),
        ("fault_vs_conversion", (16, 8), 0.2),
        ("snp_remap", (4, 4), 0.5),
        ("snp_remap", (8, 8), 0.5),
    ):
        row = results.get((protocol, False), {}).get(sizes)
        if row is None or "ABC" not in row:
            continue
        abc = row["ABC"].seconds
        shown = [f"{_ratio(row[n], abc)} | {_yes(_within(row[n], abc, share))}" for n in OURS]
        yield f"| repaired `{protocol}` {_size(sizes)}: at most {share:g} of ABC's time | {' | '.join(shown)} |"
    for name, protocols in QUANTITIES.items():
        for one in sizeless:
            if one.protocol in protocols:
                shown = [
                    f"{s:.2f} s | {_yes(s < 1 and a.startswith('holds for any'))}"
                    for s, a in zip(one.seconds, one.answers, strict=True)
                ]
                yield f"| `{one.protocol}`: {name} | {' | '.join(shown)} |"
    for broken, name in (
        (False, "proofs: ahead of every peer from the second rung on"),
        (True, "shortest runs: no later than the quickest peer that gives one, at every rung"),
    ):
        counted = {n: list(_rungs(results, broken, n)) for n in OURS}
        shown = [f"{sum(late for _, late in c)} of {len(c)} rungs behind | " for c in counted.values()]
        shown = [x + _yes(not any(late for _, late in c)) for x, c in zip(shown, counted.values(), strict=True)]
        if all(counted.values()):
            yield f"| {name} | {' | '.join(shown)} |"
    for what, measured, promised in figures:
        took, most = (re.match(r"([0-9.]+) s\b", text) for text in (measured, promised))
        if took is not None and most is not None:
            yield f"| {what.strip()}: {promised} | - | - | {measured} | {_yes(float(took[1]) <= float(most[1]))} |"


OURS = ("protocheck, flat", "protocheck, model")


def _within(cell: Cell, peer: float | None, share: float) -> bool:
    return cell.seconds is not None and (peer is None or cell.seconds <= share * peer)


def _rungs(results: Results, broken: bool, name: str) -> Iterator[tuple[tuple[str, tuple[int, ...]], bool]]:
    """The rungs that count (of proofs: from the second on) where anybody answers, and whether ``name`` is late."""
    for (protocol, kind), cells in results.items():
        for number, (size, row) in enumerate(cells.items()):
            best, ours = _best(row), row[name].seconds
            if kind == broken and (broken or number) and (best is not None or ours is not None):
                yield (protocol, size), best is not None and (ours is None or ours > best)


def _behind(results: Results, started: Start) -> Iterator[str]:
    """Each rung where a peer is quicker than the flat system, with a reason that follows from the figures."""
    yield "## Where we are behind"
    yield ""
    late = [(broken, *at) for broken in (False, True) for at, behind in _rungs(results, broken, OURS[0]) if behind]
    if not late:
        yield "Nowhere on these ladders, in this run."
        return
    yield (
        f"The start of the interpreter and the loading of the program take {started.plain:.2f} s of every command of "
        f"ours, {started.solver:.2f} s with Z3, which is needed where a search of states does not decide. *Start*: "
        "what is left without that is no more than all of the peer's time, so the start is the reason. *Search*: the "
        "engine itself took longer than the peer; for a shortest run it must also show that no shorter one exists."
    )
    yield ""
    yield "| protocol | size | flat | quickest peer | ratio | reason |"
    yield "|---|---|---|---|---|---|"
    for broken, protocol, size in late:
        row = results[protocol, broken][size]
        ours = row[OURS[0]].seconds
        best, name = min((c.seconds, n) for n, c in row.items() if c.seconds is not None and n not in OURS)
        kind = "broken" if broken else "repaired"
        shown = f"{_show(row[OURS[0]])} | {name}: {best:.2f} | {_ratio(row[OURS[0]], best)}"
        yield f"| `{protocol}`, {kind} | {_size(size)} | {shown} | {_reason(ours, best, started)} |"


def _reason(ours: float | None, best: float, started: Start) -> str:
    """Why ``ours`` is longer than ``best``, as far as the times tell."""
    if ours is None:
        return "search: not within the limit"
    if ours - started.plain <= best:
        return "start"
    if ours - started.solver <= best:
        return "start, with Z3"
    return f"search: {ours - started.solver:.2f} s beside the start"


def _megabytes(cell: Cell) -> str:
    return f"{cell.megabytes:.0f}" if cell.megabytes > cell.floor + 1 else f"<{cell.floor + 1:.0f}"


def _sizes(tools: Sequence[Tool], results: Results) -> Iterator[str]:
    yield "## Processor time and peak memory"
    yield ""
    yield (
        "Seconds of processor time of all processes (other work on the machine hardly changes it) / MiB of the "
        "largest process (`<`: no more than the program that measures). Ratio of processor time: "
        "protocheck (flat; model) against the least of the peers."
    )
    yield ""
    names = [t.name for t in tools]
    yield "| protocol | size | " + " | ".join(names) + " | ratio |"
    yield "|---" * (len(names) + 3) + "|"
    for (protocol, broken), cells in results.items():
        for sizes, row in cells.items():
            shown = ["-" if row[n].seconds is None else f"{row[n].cpu:.2f} / {_megabytes(row[n])}" for n in names]
            kind = "broken" if broken else "repaired"
            least = min(
                (row[t.name].cpu for t in tools if not t.ours and row[t.name].seconds is not None), default=None
            )
            ratios = [
                "-" if row[t.name].seconds is None else "alone" if least is None else f"{row[t.name].cpu / least:.2f}"
                for t in tools
                if t.ours
            ]
            yield f"| `{protocol}`, {kind} | {_size(sizes)} | " + " | ".join(shown) + f" | {'; '.join(ratios)} |"


if __name__ == "__main__":
    raise SystemExit(main())
