"""The command line. Nothing heavy is imported before it is known to be needed, so that ``--help`` comes at once."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, TextIO, assert_never

from protocheck.commands import add_commands, find_command
from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.interruption import ending_gently, listening
from protocheck.progress import Progress
from protocheck.records import dataclass
from protocheck.reports.formats import CANNOT_TELL, FORMATS, JSON, NAMES, TABLE, TEXT, Tells, Told, find_format, tell
from protocheck.usage import (
    BAD_USAGE,
    BAD_VALUE,
    CONTRADICTORY_OPTIONS,
    UNKNOWN_ENGINE,
    UNWRITABLE,
    ModelFile,
    UsageError,
    find_models,
    parse_settings,
    writing,
)

if TYPE_CHECKING:
    from protocheck.findings import Report, ScenarioReport
    from protocheck.jobs import Answer, Failed
    from protocheck.reports.document import Document, Run
    from protocheck.reports.style import Style
    from protocheck.reports.text import Traces
    from protocheck.types.tree import CheckedModule

OK, DIFFERS, BAD_INPUT, LIMIT, OUR_FAULT = 0, 1, 2, 3, 70

EXIT_CODES = """\
exit codes:
  0   every verdict is as expected
  1   a verdict is not (a violation, or a check that checks nothing, where none was expected)
  2   bad usage, or a fault in a model
  3   a limit was hit (time, memory, depth, Ctrl-C) and nothing else failed
  70  a run did not replay, or a proof did not check: a fault in protocheck itself
"""

# NOTE(engine-names): those of ``check.ENGINES``, which is not imported here because it takes its time; a test compares.
_ENGINES = ("auto", "explore", "bmc", "ic3", "kinduction")
_SCHEMAS = ("json", "jsonl", "info", "library", "compare", "sweep", "mutate", "explain-run")
_WIDEST = 120
_NARROWEST = 40
_PATIENCE = 30.0  # seconds per scenario to look for proofs for any size, if they are asked for
_PIPED = 100
_NAMED = 5  # so many of what is left without an answer are named
_UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EBADF, errno.EDQUOT)
_ELSEWHERE = "make room, or send it elsewhere: `-o FILE` or `> FILE`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` (by default those of the process) ask for; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(100_000, 50, 50)  # trees and terms live as long as the command: looking for garbage finds none
    doing = _Doing()
    _stand_in()
    try:
        return _guarded(words, doing)
    except BrokenPipeError:
        # Whoever read the output has gone. What is still in the buffer must not be tried again at exit.
        _silence(sys.stdout)
        return doing.status if doing.complete else _worst(doing.status, LIMIT)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        return _unwritable(error, doing)


def _stand_in() -> None:
    """Streams that the caller has closed (``>&-``) lead nowhere; else a file opened later would take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _silence(stream: TextIO) -> None:
    """Let whatever is still in the buffer of ``stream`` lead nowhere."""
    with suppress(OSError):  # where no file is behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unwritable(error: OSError, doing: _Doing) -> int:
    """Standard output, or else standard error, took nothing any more: say so if anybody hears it."""
    _silence(sys.stdout)
    doing.status = _worst(doing.status, BAD_INPUT)
    try:
        _complain([Diagnostic(UNWRITABLE, f"the output cannot be written: {error.strerror}", (), _ELSEWHERE)])
    except OSError:
        _silence(sys.stderr)
    return doing.status


def _guarded(words: list[str], doing: _Doing) -> int:
    """Run the command, and turn whatever it raises into words and an exit code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        with ending_gently():
            status = _run(words, doing)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        raise
    except UsageError as fault:
        return _refuse([fault.diagnostic], doing)
    except ModelError as fault:
        return _refuse(fault.diagnostics, doing)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _worst(doing.status, LIMIT)
    except MemoryError:
        print(f"out of memory while {doing.words}; smaller sizes (-p NAME=VALUE) may help", file=sys.stderr)
        return _worst(doing.status, LIMIT)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            raise
        from protocheck.jobs import describe

        print("\n".join(_internal(describe(error), doing.words)), file=sys.stderr)
        return OUR_FAULT


@dataclass
class _Doing:
    """What is being done, for whoever has to explain that it failed."""

    words: str = "reading the command line"
    status: int = OK
    complete: bool = False
    format: str = TEXT
    output: str | None = None
    reports: list[Report] = field(default_factory=list)

    @property
    def faults_are_data(self) -> bool:
        """Whether faults of models are part of the output, and so are not printed for people."""
        return self.format == JSON or any(f.name == self.format and f.tells is Tells.VERDICTS for f in FORMATS)


def _run(words: list[str], doing: _Doing) -> int:
    doing.format = _format_in(words)
    options = _parser().parse_args(words)
    match options.command:
        case "check" if options.output is not None and options.format == TEXT:
            doing.output = options.output
            with redirect_stdout(io.StringIO()) as text:
                status = _check(options, doing)
            _deliver(Told(text.getvalue()), doing)
            return status
        case "check":
            return _check(options, doing)
        case "show":
            doing.words = f"showing {options.report}"
            return _show(options, doing)
        case "explain":
            doing.words = "looking up a rule"
            return _explain(options.name)
        case "engines":
            return _list_engines()
        case "schema":
            return _schema(options.of)
        case _:
            command = find_command(options.command or "")
            if command is not None:
                doing.words = f"running {options.command}"
                # mutate makes processes, and each of them listens.
                with nullcontext() if options.command == "mutate" else listening():
                    return command(options, _style(sys.stdout))
            _parser().print_help()
            return BAD_INPUT


def _format_in(words: Sequence[str]) -> str:
    """The format that the command line asks for, found before it is known to be right."""
    after = dict(pairwise(words)).get("--format", TEXT)
    named = next((w.removeprefix("--format=") for w in words if w.startswith("--format=")), after)
    return named if named in NAMES else TEXT


def _refuse(diagnostics: Sequence[Diagnostic], doing: _Doing) -> int:
    doing.status = _worst(doing.status, BAD_INPUT)
    if doing.faults_are_data:
        _deliver(_report(doing, diagnostics, BAD_INPUT, ""), doing)
    else:
        _complain(diagnostics)
    return BAD_INPUT


def _complain(diagnostics: Sequence[Diagnostic]) -> None:
    from protocheck.reports.diagnostics import render

    sys.stdout.flush()
    print(render(diagnostics, _style(sys.stderr)), end="", file=sys.stderr, flush=True)


def _internal(failed: Failed, doing: str) -> tuple[str, ...]:
    """Says that a failure is ours, what was being done, and how to send it; no traceback."""
    at = f", at {failed.where}" if failed.where else ""
    return (
        f"internal error: {failed.kind}: {failed.message}",
        f"  while {doing}{at}",
        f"  This is a fault in protocheck {_version()}, not in your model. Please report it with these lines, the",
        "  command, and the model if it may be shown; a smaller model that still fails helps most.",
    )


# --------------------------------------------------------------------------------------------------------------------
# Options


class _Parser(argparse.ArgumentParser):
    """A parser whose faults are named like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(BAD_USAGE, message, f"`{self.prog} --help` lists what there is")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="protocheck",
        description="A model checker for protocols by which several parties share memory and locks.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    check = commands.add_parser(
        "check",
        help="check model files",
        description="Check models against what their scenarios expect.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    check.add_argument(
        "paths", nargs="*", metavar="PATH", help="model files, or folders of them (default: the shipped models)"
    )
    check.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    check.add_argument("--scenario", action="append", default=[], metavar="S", help="only this scenario (repeatable)")
    check.add_argument(
        "--property", action="append", default=[], metavar="P", help="only this property or family (repeatable)"
    )
    check.add_argument("--engine", default="auto", metavar="E", help=f"one of: {', '.join(_ENGINES)} (default: auto)")
    check.add_argument("--bound", metavar="K", help="look at runs of at most K steps")
    check.add_argument("--timeout", metavar="S", help="give up on a scenario after S seconds")
    check.add_argument("-j", dest="jobs", metavar="N", help="use N processes (default: one per processor)")
    check.add_argument(
        "--any-size",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="try for each claim whether it holds for any number of members (default: if one model is checked)",
    )
    check.add_argument("--all", dest="several", metavar="N", help="show up to N runs per violation, that differ")
    check.add_argument("--why", action="store_true", help="show for each claim that holds the invariant that proves it")
    check.add_argument("--certificates", metavar="DIR", help="write each proof as SMT-LIB 2 scripts into DIR")
    _add_format(check, TEXT)
    check.add_argument("--full", action="store_true", help="show the whole state at each step of a run")
    check.add_argument(
        "--suggest", action="store_true", help="print for each scenario the `expect` line that says what was found"
    )
    check.add_argument(
        "-v", "--traces", action="store_true", dest="traces", help="show the runs behind expected verdicts as well"
    )

    show = commands.add_parser(
        "show",
        help="tell the runs of a stored report again",
        description="Tell the runs of a report that `protocheck check --format json` has written.",
        allow_abbrev=False,
    )
    show.add_argument("report", metavar="REPORT", help="the JSON report; - reads standard input")
    show.add_argument("--scenario", action="append", default=[], metavar="S", help="only this scenario (repeatable)")
    show.add_argument("--property", action="append", default=[], metavar="P", help="only this property (repeatable)")
    _add_format(show, TABLE)
    show.add_argument("--full", action="store_true", help="show the whole state at each step of a run")
    show.add_argument(
        "-v", "--traces", action="store_true", dest="traces", help="show the runs to what is reachable as well"
    )

    explain = commands.add_parser("explain", help="explain a rule that an error names", allow_abbrev=False)
    explain.add_argument("name", nargs="?", metavar="NAME", help="the name in brackets; without it, all are listed")
    commands.add_parser("engines", help="list the engines", allow_abbrev=False)
    schema = commands.add_parser("schema", help="print the JSON Schema of a format", allow_abbrev=False)
    schema.add_argument("of", nargs="?", choices=_SCHEMAS, default="json", help="which one (default: json)")
    add_commands(commands)
    return parser


def _add_format(parser: argparse.ArgumentParser, default: str) -> None:
    names = NAMES if default == TEXT else NAMES[1:]
    parser.add_argument(
        "--format", choices=names, default=default, metavar="F", help=f"one of: {', '.join(names)} (default: {default})"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"protocheck {_version()}")
        parser.exit()


def _version() -> str:
    from protocheck import __version__

    return __version__


def _number(text: str | None, option: str, least: int, what: str) -> int | None:
    if text is None:
        return None
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise UsageError(BAD_VALUE, f"`{option} {text}`: {what}")
    return value


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(BAD_VALUE, f"`--timeout {text}`: the timeout is a number of seconds above 0")
    return value


# --------------------------------------------------------------------------------------------------------------------
# check


@dataclass(frozen=True)
class _Request:
    """What to check, as the options say it."""

    settings: dict[str, str]
    scenarios: tuple[str, ...]
    properties: tuple[str, ...]
    engine: str
    bound: int | None
    timeout: float | None
    traces: bool
    full: bool
    any_size: bool | float
    why: bool
    certificates: bool
    several: int
    explain: bool


def _request(options: argparse.Namespace) -> _Request:
    if options.engine not in _ENGINES:
        from difflib import get_close_matches

        near = get_close_matches(options.engine, _ENGINES, n=1)
        mend = f"did you mean `{near[0]}`?" if near else f"engines are {', '.join(_ENGINES)}"
        raise UsageError(UNKNOWN_ENGINE, f"no engine is called `{options.engine}`", mend)
    if options.any_size and (options.engine != "auto" or options.bound is not None):
        other = f"--engine {options.engine}" if options.engine != "auto" else f"--bound {options.bound}"
        mend = "a claim for any size needs a proof, and auto finds it"
        raise UsageError(CONTRADICTORY_OPTIONS, f"`--any-size` and `{other}`", mend)
    _fit(options)
    return _Request(
        parse_settings(options.settings),
        tuple(dict.fromkeys(options.scenario)),
        tuple(dict.fromkeys(options.property)),
        options.engine,
        _number(options.bound, "--bound", 0, "the bound is a number of steps, 0 or more"),
        _seconds(options.timeout),
        options.traces,
        options.full,
        _PATIENCE if options.any_size else False,
        options.why,
        options.certificates is not None,
        _number(options.several, "--all", 1, "the number of counterexamples is 1 or more") or 1,
        options.full or options.format != TEXT,
    )


def _fit(options: argparse.Namespace) -> None:
    """Refuse options that the format makes no use of."""
    name = options.format
    if name == JSON and (options.full or options.traces):
        option = "--full" if options.full else "--traces"
        raise UsageError(
            CONTRADICTORY_OPTIONS, f"`--format json` and `{option}`", "JSON always carries all runs and states"
        )
    if options.full and name not in (TEXT, TABLE):
        mend = "only text and table have a full form"
        raise UsageError(CONTRADICTORY_OPTIONS, f"`--format {name}` and `--full`", mend)
    if name == "svg":
        from protocheck.reports.dot import NO_GRAPHVIZ, available

        if not available():
            mend = "install Graphviz, or use --format dot and draw the graphs elsewhere"
            raise UsageError(NO_GRAPHVIZ, "`--format svg` needs `dot` of Graphviz, which is not there", mend)


def _check(options: argparse.Namespace, doing: _Doing) -> int:
    doing.output = options.output
    request = _request(options)
    jobs = _number(options.jobs, "-j", 1, "the number of processes is 1 or more") or os.cpu_count() or 1
    models = find_models(options.paths)
    if options.any_size is None:
        proves = request.engine == "auto" and request.bound is None
        request = replace(request, any_size=len(models) == 1 and proves)
    doing.words = f"checking {models[0].shown}" if len(models) == 1 else f"checking {len(models)} models"
    faults: list[Diagnostic] = []
    messages: list[str] = []
    without: list[Diagnostic] = []
    unanswered: list[str] = []
    for answer in _answers(models, request, jobs):
        if isinstance(answer, _Fault):
            if answer.unanswered:
                doing.status = _worst(doing.status, answer.status)
                unanswered.append(answer.unanswered)
                continue
            if len(models) > 1 and answer.diagnostics and all(d.rule.name in _SELECTION for d in answer.diagnostics):
                without += answer.diagnostics
                continue
            doing.status = _worst(doing.status, answer.status)
            faults += answer.diagnostics
            if answer.diagnostics and not doing.faults_are_data:
                _complain(answer.diagnostics)
            messages += answer.lines
            for line in answer.lines:
                print(line, file=sys.stderr, flush=True)
            continue
        if doing.format == TEXT and (doing.reports or len(models) > 1):
            print(_BRIEF_HEAD if not doing.reports and not request.traces else "")
        doing.reports.append(answer)
        doing.status = _worst(doing.status, answer.exit_status)
        if doing.format == TEXT:
            _print_report(answer, request, len(models) == 1)
    if unanswered:
        messages.append(_unanswered(unanswered))
        print(messages[-1], file=sys.stderr, flush=True)
    if without and not doing.reports and not faults and not messages:
        raise ModelError(_once(without))
    doing.complete = True
    if doing.format == TEXT:
        if doing.reports:
            _print_summary(doing.reports, request, options)
        _write_certificates(options.certificates, doing)
        return doing.status
    _write_certificates(options.certificates, doing)
    from protocheck.reports.text import Traces

    which = _traces(request, len(models) == 1)
    told = _report(doing, faults, doing.status, "\n".join(messages), witnesses=which is Traces.ALL, full=request.full)
    _deliver(told, doing)
    return doing.status


def _write_certificates(directory: str | None, doing: _Doing) -> None:
    """Write the proofs to ``directory``, if that is wanted, and say so (beside the output, unless that is text)."""
    if directory is None:
        return
    from pathlib import Path

    from protocheck.reports.certificates import render_written, write_certificates

    doing.words = f"writing certificates to {directory}"
    with writing(f"--certificates {directory}"):
        written = write_certificates(doing.reports, Path(directory))
    stream = sys.stdout if doing.format == TEXT else sys.stderr
    print(f"\n{render_written(written, directory, _style(stream))}", end="", file=stream)
    for problem in written.wrong:
        print(f"a proof does not check: {problem}", file=sys.stderr)
        doing.status = OUR_FAULT


def _report(
    doing: _Doing,
    faults: Sequence[Diagnostic],
    status: int,
    message: str,
    witnesses: bool = False,
    full: bool = False,
) -> Told:
    """What was found, in the format that is asked for (any but text)."""
    if doing.format == JSON:
        from protocheck.reports.json import render

        return Told(render(doing.reports, faults, status, _version(), message))
    from protocheck.reports.document import document_of, runs

    document = document_of(doing.reports, faults, status, _version(), message)
    chosen = runs(document, witnesses=witnesses)
    if doing.format == "github":
        _summarize(document, chosen)
    return _told(doing, document, chosen, full)


def _told(doing: _Doing, document: Document, runs: Sequence[Run], full: bool) -> Told:
    name = doing.format
    if name == JSON:
        from protocheck.reports.json import dump

        return Told(dump(document.data))
    if name != TABLE:
        return tell(find_format(name), document, runs)
    from protocheck.reports.style import Style
    from protocheck.reports.table import layout_trace

    style = _style(sys.stdout) if doing.output is None else Style(width=_PIPED)
    parts = [f"{run.about}\n{layout_trace(run.trace, run.model.file, style, full)}" for run in runs]
    return Told("\n".join(parts), () if parts else ("there is no run to tell",))


def _deliver(told: Told, doing: _Doing) -> None:
    """Write what was told where it is wanted, and say what was left out."""
    if doing.output is not None and (told.text or not told.left_out):
        with writing(f"--output {doing.output}"), open(doing.output, "w", encoding="utf-8", newline="\n") as file:
            file.write(told.text)
    else:
        print(told.text, end="")
    sys.stdout.flush()
    for words in told.left_out:
        print(words, file=sys.stderr)


def _summarize(document: Document, runs: Sequence[Run]) -> None:
    """Append to the summary of the step of a GitHub workflow, if this is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    from protocheck.reports.github import summary

    try:
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(summary(document, runs))
    except OSError as error:
        print(f"the step summary cannot be written: {error.strerror or error}", file=sys.stderr)


_BRIEF_HEAD = "Each scenario with its verdicts, and whether they are those that it expects; -v shows each by itself.\n"

# Of several models only those are checked that have what --scenario and --property name; it is a fault if none has.
_SELECTION = ("unknown-scenario", "nothing-to-check")


def _once(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """``diagnostics`` without those that repeat a headline; what a single model has to offer instead is left out."""
    first = {d.headline: d for d in reversed(diagnostics)}
    return [Diagnostic(d.rule, f"{headline} in any of the models") for headline, d in reversed(first.items())]


@dataclass(frozen=True)
class _Fault:
    """Why there is no report about a model."""

    status: int
    diagnostics: tuple[Diagnostic, ...] = ()
    lines: tuple[str, ...] = ()
    unanswered: str = ""
    """What is without an answer because of Ctrl-C, if nothing else is at fault."""


@dataclass(frozen=True)
class _Unit:
    """What one process does: a whole model, or one scenario of a model that has been loaded."""

    model: ModelFile
    module: CheckedModule | None = None
    scenario: str | None = None

    @property
    def name(self) -> str:
        """The unit as people know it."""
        return self.model.shown + (f", scenario {self.scenario}" if self.scenario else "")


@dataclass(frozen=True)
class _Checked:
    """What a unit has found out: the scenarios asked for of its module."""

    module: CheckedModule
    scenarios: tuple[ScenarioReport, ...]
    left: tuple[str, ...] = ()
    """The scenarios that are without an answer because of Ctrl-C."""


def _answers(models: Sequence[ModelFile], request: _Request, jobs: int) -> Iterator[Report | _Fault]:
    """What is found out about each model, in order: its report, or why there is none."""
    import protocheck.check  # noqa: F401  (once, before there are several processes)
    from protocheck.findings import interrupted
    from protocheck.jobs import run_all

    try:
        units = _units(models, request, jobs)
    except ModelError as fault:
        yield _Fault(BAD_INPUT, fault.diagnostics)
        return
    progress = Progress(sys.stderr, [u.model.shown for u in units])
    stop = threading.Event()
    work = [partial(_one, unit, request, stop) for unit in units]
    parts: list[_Checked] = []
    missed: list[_Fault] = []
    answers = run_all(work, jobs, progress.tell)
    try:
        for number, (unit, answer) in enumerate(zip(units, answers, strict=True), start=1):
            progress.done()
            outcome = _judge(unit, answer)
            if isinstance(outcome, _Fault):
                missed.append(outcome)
            else:
                parts.append(outcome)
                if outcome.left or any(interrupted(s) for s in outcome.scenarios):
                    stop.set()
                if outcome.left:
                    missed += [_Fault(LIMIT, unanswered=f"{unit.model.shown}, scenario {s}") for s in outcome.left]
            if number < len(units) and units[number].model is unit.model:
                continue
            progress.clear()
            yield from (f for f in missed if f.unanswered)
            faults = [f for f in missed if not f.unanswered]
            if faults:
                yield _together(faults)
            if parts:
                yield _assemble(parts, request, complete=not missed)
            parts, missed = [], []
    finally:
        progress.clear()


def _together(faults: Sequence[_Fault]) -> _Fault:
    """Several faults of one model as one; what all its scenarios have in common is said once."""
    status = OK
    for fault in faults:
        status = _worst(status, fault.status)
    diagnostics = dict.fromkeys(d for f in faults for d in f.diagnostics)
    return _Fault(status, tuple(diagnostics), tuple(dict.fromkeys(line for f in faults for line in f.lines)))


def _units(models: Sequence[ModelFile], request: _Request, jobs: int) -> list[_Unit]:
    """One unit per model; where there is but one model and several processes, one per scenario."""
    if len(models) > 1 or jobs == 1:
        return [_Unit(m) for m in models]
    from protocheck.check import scenario_names
    from protocheck.types import load

    module = load(models[0].path, models[0].shown)
    names = scenario_names(module, request.scenarios)
    if len(names) == 1:
        return [_Unit(models[0])]
    return [_Unit(models[0], module, name) for name in names]


def _one(unit: _Unit, request: _Request, stop: threading.Event, tell: Callable[[str], None]) -> _Checked | _Fault:
    """The work of one process."""
    if stop.is_set():
        raise KeyboardInterrupt
    from protocheck.check import check_scenario, scenario_names
    from protocheck.findings import interrupted
    from protocheck.types import load

    try:
        module = unit.module or load(unit.model.path, unit.model.shown)
        names = scenario_names(module, request.scenarios) if unit.module is None else (unit.scenario,)
        reports: list[ScenarioReport] = []
        for name in names:
            try:
                tell(f"scenario {name}" if name else "checking")
                reports.append(
                    check_scenario(
                        module,
                        name,
                        properties=request.properties,
                        settings=request.settings,
                        engine=request.engine,
                        bound=request.bound,
                        timeout=request.timeout,
                        progress=tell,
                        any_size=request.any_size,
                        why=request.why,
                        certificates=request.certificates,
                        several=request.several,
                        explain=request.explain,
                    )
                )
            except KeyboardInterrupt:
                if not reports:
                    raise
                break
            if interrupted(reports[-1]):
                break
        return _Checked(module, tuple(reports), tuple(n for n in names[len(reports) :] if n))
    except ModelError as fault:
        return _Fault(BAD_INPUT, fault.diagnostics)


def _assemble(parts: Sequence[_Checked], request: _Request, complete: bool) -> Report | _Fault:
    """The report on a model from those on its scenarios."""
    from protocheck.check import assemble

    scenarios = [s for part in parts for s in part.scenarios]
    try:
        # Whether a name means nothing can only be said when all scenarios have been seen.
        return assemble(parts[0].module, scenarios, request.properties if complete else ())
    except ModelError as fault:
        return _Fault(BAD_INPUT, fault.diagnostics)


def _judge(unit: _Unit, answer: Answer[_Checked | _Fault]) -> _Checked | _Fault:
    """What an answer means for the command."""
    from protocheck.jobs import Died, Done, Failed, Interrupted

    what = unit.name
    match answer:
        case Done(found):
            return found
        case Failed("MemoryError"):
            return _Fault(LIMIT, lines=(f"{what}: out of memory; smaller sizes (-p NAME=VALUE) may help",))
        case Failed():
            return _Fault(OUR_FAULT, lines=_internal(answer, f"checking {what}"))
        case Died(9, _):
            return _Fault(LIMIT, lines=(f"{what}: the process was killed, most likely for want of memory",))
        case Died(number, code):
            how = f"signal {number}" if number else f"exit code {code}"
            return _Fault(OUR_FAULT, lines=(f"internal error: the process checking {what} ended by {how}",))
        case Interrupted():
            return _Fault(LIMIT, unanswered=what)
        case _:
            assert_never(answer)


def _unanswered(what: Sequence[str]) -> str:
    """Says what Ctrl-C has left without an answer; of many the first is named."""
    if len(what) > _NAMED:
        return f"{what[0]} and {len(what) - 1} more: interrupted before there was an answer"
    return "\n".join(f"{name}: interrupted before there was an answer" for name in what)


def _worst(a: int, b: int) -> int:
    """Which of two exit codes to end with: our own fault first, then bad input, a difference, a limit."""
    return min((a, b), key=(OUR_FAULT, BAD_INPUT, DIFFERS, LIMIT, OK).index)


def _traces(request: _Request, single: bool) -> Traces:
    """All runs if they are asked for, or one property of one model is; those of violations if one scenario is."""
    from protocheck.reports.text import Traces

    if request.traces or (single and request.properties):
        return Traces.ALL
    return Traces.VIOLATIONS if single and (request.scenarios or request.several > 1) else Traces.UNEXPECTED


def _print_report(report: Report, request: _Request, single: bool) -> None:
    from protocheck.reports.text import render

    brief = not single and not request.traces
    print(render(report, _style(sys.stdout), _traces(request, single), request.full, brief), end="", flush=True)


def _print_summary(reports: Sequence[Report], request: _Request, options: argparse.Namespace) -> None:
    from protocheck.reports.text import summary

    again = ["protocheck", "check", *options.paths]
    for name, value in request.settings.items():
        again += ["-p", f"{name}={value}"]
    if request.engine != "auto":
        again += ["--engine", request.engine]
    if request.bound is not None:
        again += ["--bound", str(request.bound)]
    shown = _traces(request, len(reports) == 1)
    suggest = True if options.suggest else False if request.properties or len(reports) > 1 else None
    text = summary(reports, _style(sys.stdout), shlex.join(again), shown, suggest)
    print(f"\n{text}", end="", flush=True)


def _style(stream: TextIO) -> Style:
    """Colour and width for ``stream``; without a terminal the width is fixed, so that the same run prints the same."""
    from protocheck.reports.style import Style, wants_color

    terminal = stream.isatty()
    columns = shutil.get_terminal_size().columns if terminal else _PIPED
    return Style(wants_color(terminal, os.environ), max(_NARROWEST, min(columns, _WIDEST)))


# --------------------------------------------------------------------------------------------------------------------
# show


def _show(options: argparse.Namespace, doing: _Doing) -> int:
    _fit(options)
    from protocheck.reports.document import load, runs, select

    doing.output = options.output
    doing.format = options.format
    document = load(options.report)
    chosen = select(document, options.scenario, options.property)
    if not chosen.models and (options.scenario or options.property):
        raise ModelError([_unknown(document, options)])
    found = runs(chosen, witnesses=options.traces or bool(options.property)) or runs(chosen, witnesses=True)
    told = _told(doing, chosen, found, options.full)
    if not told.text and told.left_out:
        raise UsageError(CANNOT_TELL, f"nothing to tell: {'; '.join(told.left_out)}", "`--format table` tells any run")
    if options.format == "github":
        _summarize(chosen, found)
    _deliver(told, doing)
    return OK


def _unknown(document: Document, options: argparse.Namespace) -> Diagnostic:
    """Says that nothing in a report is called as asked for, and what there is."""
    there = [f"{s.name}/{v.prop}" for m in document.models for s in m.scenarios for v in s.verdicts]
    asked = [*(f"--scenario {x}" for x in options.scenario), *(f"--property {x}" for x in options.property)]
    return Diagnostic(BAD_VALUE, f"the report has nothing for {' '.join(asked)}", (), f"it has {', '.join(there)}")


def _schema(of: str) -> int:
    if of == "jsonl":
        from protocheck.reports.json import dump
        from protocheck.reports.jsonl import schema

        print(dump(schema()), end="")
        return OK
    if of != JSON:
        from protocheck.reports.json import dump
        from protocheck.reports.schemas import schema_of

        print(dump(schema_of(of)), end="")
        return OK
    from protocheck.reports.json import schema_path

    print(schema_path().read_text(encoding="utf-8"), end="")
    return OK


# --------------------------------------------------------------------------------------------------------------------
# explain, engines


def _explain(name: str | None) -> int:
    from protocheck.catalogue import all_rules, find_rule

    if name is None:
        rules = all_rules()
        width = max(map(len, rules))
        for rule in rules.values():
            print(f"{rule.name.ljust(width)}  {rule.summary}".rstrip())
        return OK
    rule = find_rule(name)
    print(f"{rule.severity.value}[{rule.name}]: {rule.summary}".rstrip())
    if rule.page:
        print(f"\n{rule.page.strip()}")
    return OK


def _list_engines() -> int:
    from protocheck.check import ENGINES

    width = max(len(e.name) for e in ENGINES)
    for engine in ENGINES:
        print(f"{engine.name.ljust(width)}  {engine.summary}")
    return OK
