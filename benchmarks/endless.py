"""Claims about endless runs beside Spin with weak fairness, on three locks: ``python -m benchmarks.endless``.

Writes ``results/endless.md``. For each protocol and number of threads both are asked whether thread 0, once it wants,
gets its turn. A row has the processor time of the whole command as a user types it: for Spin that it generates,
compiles and runs the checker (``pan -a -f``). Nothing is asserted about time; the exit code is 1 where the two
disagree, or a verdict is not the one that is known. Spin has weak fairness only, so locks that need more are not
here.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import measure

ROOT = Path(__file__).resolve().parent.parent
MEGABYTES = 4096
OUTPUT = ROOT / "results" / "endless.md"
TOOLS = ("protocheck", "spin")


@dataclass(frozen=True)
class Protocol:
    """A lock in both languages by number of threads, whether the claim holds, and the sizes to try."""

    name: str
    ours: Callable[[int], str]
    spin: Callable[[int], str]
    holds: bool
    sizes: tuple[int, ...]


def _ours(state: str, body: str, threads: int) -> str:
    return f"""\
protocol endless
kernel k {{
{state}
    server p[me : 0..{threads - 1}] {{
        loop {{
{body}
        }}
    }}
}}
progress served: at(k.p[0], wanting) leads_to at(k.p[0], critical);
"""


def _spin(state: str, body: str, threads: int) -> str:
    return f"""\
{state}
active [{threads}] proctype p() {{
    do
    ::  skip;{body}
    od
}}
ltl served {{ [] (p[0]@wanting -> <> p[0]@critical) }}
"""


def _tickets(n: int) -> str:
    state = f"    state upcoming : 0..{n - 1};  state serving : 0..{n - 1};  state mine : [q : 0..{n - 1}] 0..{n - 1};"
    body = f"""\
            atomic {{ mine[me] = upcoming;  upcoming = (upcoming + 1) % {n}; }}
            wanting: await mine[me] == serving;
            critical: atomic {{ serving = (serving + 1) % {n}; }}"""
    return _ours(state, body, n)


def _tickets_spin(n: int) -> str:
    body = f"""
d_step {{ mine[_pid] = upcoming; upcoming = (upcoming + 1) % {n} }};
wanting: (mine[_pid] == serving);
critical: serving = (serving + 1) % {n}"""
    return _spin(f"byte upcoming, serving, mine[{n}];", body, n)


def _test_and_set(n: int) -> str:
    body = """\
            wanting: atomic { await !taken;  taken = true; }
            critical: taken = false;"""
    return _ours("    state taken : bool;", body, n)


def _test_and_set_spin(n: int) -> str:
    return _spin("bool taken;", "\nwanting: d_step { !taken -> taken = 1 };\ncritical: taken = 0", n)


def _forks(n: int) -> str:
    state = f"    state taken : [q : 0..{n - 1}] bool;"
    body = f"""\
            let first = me == {n - 1} ? 0 : me;
            let second = me == {n - 1} ? {n - 1} : me + 1;
            wanting: atomic {{ await !taken[first];  taken[first] = true; }}
            atomic {{ await !taken[second];  taken[second] = true; }}
            critical: atomic {{ taken[first] = false;  taken[second] = false; }}"""
    return _ours(state, body, n)


def _forks_spin(n: int) -> str:
    first, second = f"(_pid == {n - 1} -> 0 : _pid)", f"(_pid == {n - 1} -> {n - 1} : _pid + 1)"
    body = f"""
wanting: d_step {{ !taken[{first}] -> taken[{first}] = 1 }};
d_step {{ !taken[{second}] -> taken[{second}] = 1 }};
critical: d_step {{ taken[{first}] = 0; taken[{second}] = 0 }}"""
    return _spin(f"bool taken[{n}];", body, n)


PROTOCOLS = (
    Protocol("ticket lock", _tickets, _tickets_spin, True, (2, 3, 4, 5)),
    Protocol("test and set", _test_and_set, _test_and_set_spin, False, (2, 4, 6, 8)),
    Protocol("philosophers, one left-handed", _forks, _forks_spin, False, (3, 5, 6, 7)),
)


def main(arguments: Sequence[str]) -> int:
    """Measure every rung and write the table; 1 if a verdict is not the known one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endless", description=__doc__)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one command (default: 30)")
    parser.add_argument("--minutes", type=float, default=4.0, help="no larger size is begun later (default: 4)")
    parser.add_argument("--rungs", type=int, default=99, help="how many sizes of each protocol")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write")
    options = parser.parse_args(arguments)
    until = time.monotonic() + 60 * options.minutes
    rows: list[tuple[Protocol, int, list[str]]] = []
    for protocol in PROTOCOLS:
        gone: set[str] = set()  # who did not end at a smaller size does not at a larger one
        for size in protocol.sizes[: options.rungs]:
            if time.monotonic() > until:
                print(f"no time for {protocol.name} of {size}", flush=True)
                continue
            cells = ["-" if t in gone else _measured(protocol, size, t, _known(protocol), options.limit) for t in TOOLS]
            gone |= {t for t, cell in zip(TOOLS, cells, strict=True) if cell == "-"}
            rows.append((protocol, size, cells))
            print(protocol.name, size, *cells, sep="  ", flush=True)
    options.output.write_text("\n".join(page(rows, options.limit)) + "\n", encoding="utf-8")
    return 1 if any(cell.startswith("not") for _, _, cells in rows for cell in cells) else 0


def page(rows: Sequence[tuple[Protocol, int, Sequence[str]]], limit: float) -> list[str]:
    """The document: a line per row, and for each in which Spin is quicker what that says."""
    lines = [
        "# Endless runs, beside Spin",
        "",
        "Made by `make bench` (`python -m benchmarks.endless`). Three locks with more and more threads; the claim is "
        "that thread 0, once it wants, gets its turn, where every thread goes on if it can (weak fairness). Processor "
        "time of the whole command, in seconds: `protocheck check` on the model, and Spin with weak fairness (`spin "
        f"-a`, `gcc`, `pan -a -f`). `-`: not within {limit:.0f} s, or a smaller size was not.",
        "",
        "| protocol | threads | verdict | protocheck | Spin | ratio |",
        "|---|---|---|---|---|---|",
    ]
    slower: list[str] = []
    for protocol, size, cells in rows:
        ours, spins = (_seconds(cell) for cell in cells)
        ratio = "-" if ours is None or spins is None else f"{ours / spins:.2f}"
        lines.append(f"| {protocol.name} | {size} | {_known(protocol)} | {cells[0]} | {cells[1]} | {ratio} |")
        if spins is not None and (ours is None or ours > spins):
            slower.append(f"{protocol.name} of {size} ({ratio})")
    if any(cells[1] == "missing" for _, _, cells in rows):
        return [*lines, "", "Spin is skipped: `spin` or `gcc` is not installed."]
    if not slower:
        return [*lines, "", "Nowhere slower than Spin, in this run."]
    behind = (
        f"Slower than Spin at: {'; '.join(slower)}. Most of Spin's time at small sizes is `gcc`, of ours the start of "
        "the interpreter. At larger ones it is the search: Spin's is compiled C and stops at the first fair cycle that "
        "it meets; ours runs in Python, keeps the graph of states, and looks for the shortest stem and loop."
    )
    return [*lines, "", behind]


def _known(protocol: Protocol) -> str:
    return "holds" if protocol.holds else "violated"


def _seconds(cell: str) -> float | None:
    return float(cell) if re.fullmatch(r"[0-9.]+", cell) else None


def _measured(protocol: Protocol, size: int, tool: str, known: str, limit: float) -> str:
    """The time of one command, "-" if it did not end, or what it says instead of the known verdict."""
    if tool == "spin" and any(shutil.which(program) is None for program in ("spin", "gcc")):
        return "missing"
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        if tool == "spin":
            (folder / "m.pml").write_text(protocol.spin(size), encoding="utf-8")
            build = f"gcc -O2 -w -DNFAIR=3 -DMEMLIM={MEGABYTES} -o pan pan.c"
            command = f"spin -a m.pml > /dev/null && {build} && ./pan -a -f -m1000000"
        else:
            (folder / "m.pchk").write_text(protocol.ours(size), encoding="utf-8")
            command = f"{sys.executable} -m protocheck check m.pchk --property served -j 1"
        done = measure(command, folder, limit, None, {"PYTHONPATH": str(ROOT)})
    if not done.ended:
        return "-"
    said = verdict(tool, done.text)
    return f"{done.cpu:.2f}" if said == known else f"not {known}: {said}"


def verdict(tool: str, text: str) -> str:
    """What the output of ``tool`` says: holds, violated or "?"."""
    if tool == "spin":
        return "violated" if "errors: 1" in text else "holds" if "errors: 0" in text else "?"
    found = re.search(r"\bserved +(holds|violated)\b", text)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
