"""The formats in which a check or a stored report can be told; each is a module of its own, imported when it is used.

To add one: a module with ``render(document, runs)`` and, if there are runs that it cannot tell, ``refuses(run)``; then
an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING

from protocheck.diagnostics import Rule

if TYPE_CHECKING:
    from protocheck.reports.document import Document, Run


class Tells(Enum):
    """What a format is about."""

    VERDICTS = "all verdicts"
    RUNS = "any number of runs"
    ONE_RUN = "one run"


@dataclass(frozen=True)
class Format:
    """``module`` is in ``protocheck.reports``, ``function`` its function from a document and runs to a text."""

    name: str
    summary: str
    tells: Tells
    module: str
    function: str = "render"
    without_runs: bool = False  # whether there may be something to tell where there is no run

    def render(self, document: Document, runs: Sequence[Run]) -> str:
        """The text. ``runs`` are those that the format can tell."""
        function: Callable[[Document, Sequence[Run]], str] = getattr(self._module(), self.function)
        return function(document, runs)

    def refuses(self, run: Run) -> str:
        """Why the format cannot tell ``run``; empty if it can."""
        function: Callable[[Run], str] | None = getattr(self._module(), "refuses", None)
        return function(run) if function is not None else ""

    def _module(self) -> object:
        return import_module(f"protocheck.reports.{self.module}")


FORMATS = (
    Format("mail", "plain text of 72 columns, a column per CPU, for a mailing list", Tells.RUNS, "mail"),
    Format("lockdep", "a deadlock or a broken lock order as the kernel's lockdep reports it", Tells.RUNS, "lockdep"),
    Format("rst", "grid tables as in the kernel's documentation", Tells.RUNS, "rst"),
    Format("mermaid", "a sequence diagram for Mermaid", Tells.ONE_RUN, "mermaid"),
    Format("dot", "graphs of lock order and of who waits for whom, for Graphviz", Tells.RUNS, "dot", without_runs=True),
    Format("svg", "the same graphs, drawn by Graphviz", Tells.RUNS, "dot", "svg", without_runs=True),
    Format("itf", "Apalache's Informal Trace Format", Tells.ONE_RUN, "itf"),
    Format("html", "one page to step through, with the source beside it", Tells.RUNS, "html"),
    Format("jsonl", "a finding per line (`protocheck schema jsonl`)", Tells.VERDICTS, "jsonl"),
    Format("junit", "JUnit XML, a test case per scenario and property", Tells.VERDICTS, "junit"),
    Format("sarif", "SARIF 2.1.0, a thread flow per thread", Tells.VERDICTS, "sarif"),
    Format("github", "annotations of a GitHub workflow, and its step summary", Tells.VERDICTS, "github"),
)

# For people, and the whole report; these two have ways of their own.
TEXT, TABLE, JSON = "text", "table", "json"
NAMES = (TEXT, TABLE, JSON, *(f.name for f in FORMATS))

CANNOT_TELL = Rule(
    "format-cannot-tell",
    "There is no run that the format can tell.",
    """\
Some formats are about one kind of run: `lockdep` tells deadlocks whose threads wait for locks, and broken lock orders.
Others hold a single run (`itf`, `mermaid`). `protocheck show` refuses where nothing is left to tell. `protocheck check`
says on standard error what it left out, and ends with the exit code that the verdicts call for, whatever the format.

    protocheck show my.json --scenario before --property all_populated --format lockdep

Mended:

    protocheck show my.json --scenario before --property deadlock --format lockdep
    protocheck show my.json --scenario before --property all_populated --format mail
""",
)


@dataclass(frozen=True)
class Told:
    """A text, and what could not be told in it, for people."""

    text: str
    left_out: tuple[str, ...] = ()


def find_format(name: str) -> Format:
    """The format called ``name``, which is one of ``FORMATS``."""
    return next(f for f in FORMATS if f.name == name)


def tell(fmt: Format, document: Document, runs: Sequence[Run]) -> Told:
    """``document`` with its ``runs`` in a format; the text is empty where the format needs a run and there is none."""
    if fmt.tells is Tells.VERDICTS:
        return Told(fmt.render(document, runs))
    reasons = [(run, fmt.refuses(run)) for run in runs]
    left_out = [f"{fmt.name} cannot tell {_name(run)}: {reason}" for run, reason in reasons if reason]
    chosen = [run for run, reason in reasons if not reason]
    if fmt.tells is Tells.ONE_RUN and len(chosen) > 1:
        others = ", ".join(_name(run) for run in chosen[1:])
        left_out.append(
            f"{fmt.name} holds one run, here {_name(chosen[0])}; choose another by --scenario and --property: {others}"
        )
        chosen = chosen[:1]
    if not chosen and not fmt.without_runs:
        return Told("", tuple(left_out) or (f"there is no run for {fmt.name} to tell",))
    return Told(fmt.render(document, chosen), tuple(left_out))


def _name(run: Run) -> str:
    return f"{run.model.name}/{run.name}"
