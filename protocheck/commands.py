"""The commands that look at a model in other ways than by checking it. Each imports what it needs when it is asked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from protocheck.progress import Progress
from protocheck.usage import (
    BAD_USAGE,
    BAD_VALUE,
    NO_CERTIFICATES,
    NO_SUCH_FILE,
    NOTHING_TO_EXPLAIN,
    ModelFile,
    UsageError,
    find_models,
    parse_settings,
    writing,
)

if TYPE_CHECKING:
    from pathlib import Path

    from protocheck.reports.document import Run
    from protocheck.reports.style import Style
    from protocheck.source import SourceFile

OK, DIFFERS, BAD_INPUT, LIMIT, OUR_FAULT = 0, 1, 2, 3, 70

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"
Command: TypeAlias = "Callable[[argparse.Namespace, Style], int]"
"""A command: its options, and how to write to standard output. Gives the exit code."""


def add_commands(commands: Subparsers) -> None:
    """Declare the commands of this module, each with its options."""
    _add_info(commands)
    _add_compare(commands)
    _add_sweep(commands)
    _add_mutate(commands)
    _add_simulate(commands)
    _add_explain_run(commands)
    _add_graph(commands)
    _add_certify(commands)
    _add_doc(commands)


def find_command(name: str) -> Command | None:
    """The command called ``name``, if it is one of this module."""
    known: dict[str, Command] = {
        "info": _info,
        "compare": _compare,
        "sweep": _sweep,
        "mutate": _mutate,
        "simulate": _simulate,
        "explain-run": _explain_run,
        "graph": _graph,
        "certify": _certify,
        "doc": _doc,
    }
    return known.get(name)


def _model(given: str) -> ModelFile:
    """The one model that ``given`` means."""
    models = find_models([given])
    if len(models) > 1:
        raise UsageError(BAD_USAGE, f"`{given}` holds {len(models)} models; this command takes one", "name the file")
    return models[0]


def _count(text: str, option: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise UsageError(BAD_VALUE, f"`{option} {text}`: a whole number from {least} on is wanted")
    return value


def _give(text: str, output: str | None) -> None:
    """``text`` to the file ``output``, or to standard output if that is None."""
    from pathlib import Path

    if output is None:
        print(text, end="")
        return
    with writing(f"--output {output}"):
        Path(output).write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _told(what: str) -> Iterator[Callable[[str], None]]:
    """Gives what tells words of progress about ``what``, on one line of a terminal that is gone in the end."""
    line = Progress(sys.stderr, [what])
    try:
        yield lambda words: line.tell(0, words)
    finally:
        line.clear()


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
# info


def _add_info(commands: Subparsers) -> None:
    info = commands.add_parser(
        "info",
        help="look into a model: sizes, and what never happens; or into a library: what it declares",
        description="Tell how large a model is, what makes it large, and what in it never happens; of a library, what "
        "it declares. `info lib` lists the libraries.",
        allow_abbrev=False,
    )
    info.add_argument("model", metavar="MODEL", help="the model file; or lib.NAME, or the file of a library")
    info.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    info.add_argument("--scenario", action="append", default=[], metavar="S", help="only this scenario (repeatable)")
    info.add_argument("--states", default="50000", metavar="N", help="look at about N states (default: 50000)")
    info.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def _info(options: argparse.Namespace, style: Style) -> int:
    from protocheck.info import info
    from protocheck.reports.info import render, render_json
    from protocheck.types import load

    if (known := _library_info(options, style)) is not None:
        print(known, end="")
        return OK
    model = _model(options.model)
    settings = parse_settings(options.settings)
    states = _count(options.states, "--states", 1)
    found = info(load(model.path, model.shown), tuple(dict.fromkeys(options.scenario)), settings, states)
    print(render_json(found) if options.format == "json" else render(found, style), end="")
    return OK


def _library_info(options: argparse.Namespace, style: Style) -> str | None:
    """What a library declares, if that is what is asked for."""
    from pathlib import Path

    from protocheck.library import library_names, read_library
    from protocheck.reports.library import render, render_json, render_list

    if options.model == "lib" and not Path("lib").exists() and options.format == "text":
        return render_list([read_library(*_library(name)) for name in library_names()], style)
    found = _find_library(options.model)
    if found is None:
        return None
    if options.settings or options.scenario:
        option = "-p" if options.settings else "--scenario"
        raise UsageError(BAD_USAGE, f"`{option}` says nothing to a library", "give a model that imports it")
    library = read_library(*found)
    return render_json(library) if options.format == "json" else render(library, style)


def _library(name: str) -> tuple[str, SourceFile]:
    found = _find_library(name)
    assert found is not None  # NOTE: only for names that are known
    return found


def _find_library(given: str) -> tuple[str, SourceFile] | None:
    """The library that ``given`` means, if it is one; refuses a name that begins like that of a shipped one."""
    from difflib import get_close_matches
    from pathlib import Path

    from protocheck.library import find_library, library_names

    found = find_library(given)
    if found is None and given.startswith("lib.") and not Path(given).exists():
        near = get_close_matches(given, library_names(), n=1)
        mend = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(library_names())}"
        raise UsageError(NO_SUCH_FILE, f"there is no library `{given}`", mend)
    return found


# --------------------------------------------------------------------------------------------------------------------
# compare


def _add_compare(commands: Subparsers) -> None:
    compare = commands.add_parser(
        "compare",
        help="compare what proposals guarantee",
        description="Tell which guarantees each proposal gives, and what the others lose and gain against the first.",
        epilog="A proposal is [REV:]FILE[:SCENARIO[:NAME=VALUE,...]]; REV is a git revision. One file alone stands for "
        "each of its scenarios.",
        allow_abbrev=False,
    )
    compare.add_argument("proposals", nargs="+", metavar="PROPOSAL", help="the first is what others are compared with")
    compare.add_argument("--fail-on", choices=("lost",), help="exit code 1 if a guarantee is lost, 3 if one is open")
    compare.add_argument("--no-runs", action="store_true", help="do not show the run behind each difference")
    compare.add_argument("--bound", metavar="K", help="look at runs of at most K steps")
    compare.add_argument("--timeout", metavar="S", help="give up on a scenario after S seconds")
    compare.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def _compare(options: argparse.Namespace, style: Style) -> int:
    from protocheck.compare import Change, compare
    from protocheck.proposals import find_proposals
    from protocheck.reports.compare import render, render_json

    bound = None if options.bound is None else _count(options.bound, "--bound", 0)
    timeout = _seconds(options.timeout)
    with _told(", ".join(options.proposals)) as tell:
        found = compare(find_proposals(options.proposals), bound=bound, timeout=timeout, progress=tell)
    print(render_json(found) if options.format == "json" else render(found, style, not options.no_runs), end="")
    if found.broken:
        return OUR_FAULT
    if options.fail_on == "lost" and found.count(Change.LOST, Change.UNCLAIMED):
        return DIFFERS
    if found.unchecked or (options.fail_on == "lost" and found.open):
        return LIMIT
    return OK


# --------------------------------------------------------------------------------------------------------------------
# sweep


def _add_sweep(commands: Subparsers) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="check a model at many sizes and with its variants",
        description="Check a model at every combination of parameter values, and tell what flips each verdict.",
        allow_abbrev=False,
    )
    sweep.add_argument("model", metavar="MODEL", help="the model file")
    sweep.add_argument(
        "-p",
        dest="axes",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of a parameter: 1..4, or a,b,c (repeatable)",
    )
    sweep.add_argument("--variants", action="store_true", help="also with each set of the declared variants")
    sweep.add_argument("--scenario", metavar="S", help="begin with this scenario (default: all as declared)")
    sweep.add_argument("--timeout", metavar="S", help="give up on an instance after S seconds (default: 60)")
    sweep.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def _sweep(options: argparse.Namespace, style: Style) -> int:
    from protocheck.findings import Broken, Unknown
    from protocheck.reports.sweep import render, render_json
    from protocheck.sweep import SECONDS, parse_axis, sweep
    from protocheck.types import load

    if not options.axes and not options.variants:
        raise UsageError(BAD_USAGE, "nothing to sweep over", "give -p NAME=LOW..HIGH or --variants")
    timeout = _seconds(options.timeout)
    model = _model(options.model)
    module = load(model.path, model.shown)
    axes = [parse_axis(module, text) for text in options.axes]
    if len({a.name for a in axes}) < len(axes):
        raise UsageError(BAD_USAGE, "a parameter is given twice", "write its values with commas: -p n=1,3,5")
    with _told(model.shown) as tell:
        found = sweep(
            module,
            axes,
            scenario=options.scenario,
            variants=options.variants,
            timeout=SECONDS if timeout is None else timeout,
            progress=tell,
        )
    print(render_json(found) if options.format == "json" else render(found, style), end="")
    outcomes = [o for c in found.cells for o in c.outcomes]
    if any(isinstance(o, Broken) for o in outcomes):
        return OUR_FAULT
    return LIMIT if found.unchecked or any(isinstance(o, Unknown) for o in outcomes) else OK


# --------------------------------------------------------------------------------------------------------------------
# mutate


def _add_mutate(commands: Subparsers) -> None:
    mutate = commands.add_parser(
        "mutate",
        help="plant faults in a model, and tell which of them no property notices",
        description="Plant one fault after the other (drop a lock or a guard, swap two statements, split an atomic "
        "block, forget a release, drop a branch, widen or ignore a failure) and check each mutant against "
        "what the scenarios expect.",
        epilog="exit codes: 0 every mutant is noticed, 1 some survive, 3 some are undecided and none survives, "
        "70 protocheck failed on some",
        allow_abbrev=False,
    )
    mutate.add_argument("model", metavar="MODEL", help="the model file")
    mutate.add_argument(
        "--scenario", metavar="S", help="only in this one (default: all that expect no violation but of weaknesses)"
    )
    mutate.add_argument("--timeout", metavar="S", help="give up on a mutant after S seconds (default: 10)")
    mutate.add_argument("-j", dest="jobs", default="1", metavar="N", help="use N processes (default: 1)")
    mutate.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def _mutate(options: argparse.Namespace, style: Style) -> int:
    from protocheck.mutate import SECONDS, Fate, mutate
    from protocheck.reports.mutate import render, render_json
    from protocheck.types import load

    timeout = _seconds(options.timeout)
    jobs = _count(options.jobs, "-j", 1)
    model = _model(options.model)
    module = load(model.path, model.shown)
    with _told(model.shown) as tell:
        seconds = SECONDS if timeout is None else timeout
        found = mutate(module, options.scenario, timeout=seconds, jobs=jobs, tell=lambda _, words: tell(words))
    print(render_json(found) if options.format == "json" else render(found, style), end="")
    if found.count(Fate.BROKEN):
        return OUR_FAULT
    if found.count(Fate.SURVIVED):
        return DIFFERS
    return LIMIT if found.untried or found.count(Fate.OPEN) else OK


# --------------------------------------------------------------------------------------------------------------------
# graph


def _add_graph(commands: Subparsers) -> None:
    graph = commands.add_parser(
        "graph",
        help="draw all states of a small model",
        description="Write the graph of all states that can be reached, and of the steps between them, for Graphviz.",
        allow_abbrev=False,
    )
    graph.add_argument("model", metavar="MODEL", help="the model file")
    graph.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    graph.add_argument("--scenario", metavar="S", help="the scenario (default: the first)")
    graph.add_argument("--property", action="append", default=[], metavar="P", help="mark only what violates P")
    graph.add_argument("--states", default="500", metavar="N", help="refuse more than N states (default: 500)")
    graph.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def _graph(options: argparse.Namespace, _: Style) -> int:
    from protocheck.reports.states import render
    from protocheck.state_graph import state_graph
    from protocheck.types import load

    model = _model(options.model)
    module = load(model.path, model.shown)
    limit = _count(options.states, "--states", 1)
    settings = parse_settings(options.settings)
    _give(render(state_graph(module, options.scenario, tuple(options.property), settings, limit)), options.output)
    return OK


# --------------------------------------------------------------------------------------------------------------------
# certify


def _add_certify(commands: Subparsers) -> None:
    certify = commands.add_parser(
        "certify",
        help="check written proofs again, with other solvers where there are any",
        description="Run the scripts that `check --certificates` has written through a fresh Z3, and through cvc5 and "
        "bitwuzla where they are installed.",
        epilog="exit codes: 0 all confirmed, 3 some undecided, 70 a solver contradicts a proof",
        allow_abbrev=False,
    )
    certify.add_argument("directory", metavar="DIR", help="the folder with the scripts")


def _certify(options: argparse.Namespace, style: Style) -> int:
    from pathlib import Path

    from protocheck.engines.certify import CertificateRejected, absent_solvers, certify_dir
    from protocheck.reports.certificates import contradicted, render_results, undecided

    directory = Path(options.directory)
    if not directory.is_dir():
        raise UsageError(NO_SUCH_FILE, f"there is no folder `{options.directory}`")
    try:
        results = certify_dir(directory)
    except CertificateRejected as problem:
        raise UsageError(NO_CERTIFICATES, f"folder `{options.directory}`: {problem}") from None
    print(render_results(results, absent_solvers(), style), end="")
    if contradicted(results):
        return OUR_FAULT
    return LIMIT if undecided(results) else OK


# --------------------------------------------------------------------------------------------------------------------
# doc


def _add_doc(commands: Subparsers) -> None:
    doc = commands.add_parser(
        "doc",
        help="write what a model guarantees as a document",
        description="Write a document per model: the protocol, its parties, locks and life cycles, what is guaranteed "
        "and why, and what goes wrong without the accepted change.",
        epilog="exit codes: 0 written (or current), 1 a document has drifted, 3 a verdict is open, 70 a fault of ours",
        allow_abbrev=False,
    )
    doc.add_argument("models", nargs="*", metavar="MODEL", help="model files, or folders of them; or lib.NAME")
    doc.add_argument("--library", action="store_true", help="write one page about all shipped libraries")
    doc.add_argument("--to", choices=("md", "rst", "html"), default="md", help="Markdown (default), rst or html")
    doc.add_argument("-o", "--output", metavar="DIR", help="write DIR/NAME.md instead of to standard output")
    doc.add_argument("--check", action="store_true", help="write nothing; tell which documents in DIR have drifted")
    doc.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    doc.add_argument("--timeout", metavar="S", help="give up on a scenario after S seconds")


def _doc(options: argparse.Namespace, style: Style) -> int:
    from pathlib import Path

    from protocheck.describe import describe, write
    from protocheck.types import load

    if options.check and options.output is None:
        raise UsageError(BAD_USAGE, "`--check` needs the folder of the documents", "add -o DIR")
    if options.library or any(_find_library(m) is not None for m in options.models):
        return _doc_libraries(options)
    if not options.models:
        raise UsageError(BAD_USAGE, "nothing to write about", "name a model, a library, or give --library")
    models = find_models(options.models)
    if len(models) > 1 and options.output is None:
        raise UsageError(BAD_USAGE, f"{len(models)} models make {len(models)} documents", "name a folder with -o DIR")
    settings, timeout = parse_settings(options.settings), _seconds(options.timeout)
    modules = [load(m.path, m.shown) for m in models]
    taken: dict[str, str] = {}
    for model, module in zip(models, modules, strict=True):
        if module.name in taken:
            both = f"`{taken[module.name]}` and `{model.shown}`"
            raise UsageError(BAD_USAGE, f"two models are called `{module.name}`: {both}", "write them into two folders")
        taken[module.name] = model.shown
    status, drifted = OK, False
    for module in modules:
        description = describe(module, settings, timeout)
        text = write(description, options.to)
        status = max(status, description.report.exit_status if description.report.exit_status != DIFFERS else OK)
        if options.output is None:
            print(text, end="")
            continue
        path = Path(options.output) / f"{module.name}.{options.to}"
        drifted = _deliver(path, text, options, module.file.path) or drifted
    return DIFFERS if drifted and status != OUR_FAULT else status


def _deliver(path: Path, text: str, options: argparse.Namespace, about: str) -> bool:
    """Write a document, or with ``--check`` say whether it has drifted."""
    with writing(f"--output {options.output}"):
        if options.check:
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                return False
            words = "has drifted" if path.is_file() else "is missing"
            print(f"{path.as_posix()} {words}: `protocheck doc {about} -o ...` writes it")
            return True
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return False


def _doc_libraries(options: argparse.Namespace) -> int:
    """The reference of libraries: of all shipped ones as one page, or of those that are named, each as its own."""
    from pathlib import Path

    from protocheck.library import library_names, read_library
    from protocheck.reports.library import page
    from protocheck.reports.pages import WRITERS

    if options.library and options.models:
        raise UsageError(BAD_USAGE, "`--library` is about all libraries", "leave out the names")
    if options.settings or options.timeout is not None:
        option = "-p" if options.settings else "--timeout"
        raise UsageError(BAD_USAGE, f"`{option}` says nothing to a library", "leave it out")
    if options.library:
        found = [read_library(*_library(name)) for name in library_names()]
        pages = [("library", "--library", page(found))]
    else:
        models = [m for m in options.models if _find_library(m) is None]
        if models:
            mend = "write documents of models and of libraries one after another"
            raise UsageError(BAD_USAGE, f"`{models[0]}` is a model, others are libraries", mend)
        read = [(m, read_library(*_library(m))) for m in options.models]
        pages = [(library.path, given, page([library])) for given, library in read]
    if len(pages) > 1 and options.output is None:
        raise UsageError(BAD_USAGE, f"{len(pages)} libraries make {len(pages)} documents", "name a folder with -o DIR")
    drifted = False
    for name, given, blocks in pages:
        text = WRITERS[options.to](name, blocks)
        if options.output is None:
            print(text, end="")
        else:
            drifted = _deliver(Path(options.output) / f"{name}.{options.to}", text, options, given) or drifted
    return DIFFERS if drifted else OK


# --------------------------------------------------------------------------------------------------------------------
# simulate


def _add_simulate(commands: Subparsers) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="step through a run by hand",
        description="Step through a run: what is possible has a key; of all others it is said why they cannot move.",
        epilog="Commands are read from standard input, a line each; `?` lists them.",
        allow_abbrev=False,
    )
    simulate.add_argument("model", metavar="MODEL", help="the model file")
    simulate.add_argument("--scenario", metavar="S", help="the scenario (default: that of the run, or the first)")
    simulate.add_argument(
        "-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter"
    )
    simulate.add_argument("--from", dest="report", metavar="REPORT", help="begin with the run of a JSON report")
    simulate.add_argument("--property", metavar="P", help="with --from: the run of this property (default: the first)")
    simulate.add_argument("--seed", default="0", metavar="N", help="what chance depends on (default: 0)")
    simulate.add_argument("--do", metavar="COMMANDS", help="follow these, separated by semicolons, and end")


def _simulate(options: argparse.Namespace, style: Style) -> int:
    from random import Random

    from protocheck import __version__
    from protocheck.check import scenario_names
    from protocheck.findings import Report, ScenarioReport
    from protocheck.lower import compile_system, instantiate
    from protocheck.simulate import Session
    from protocheck.terminal import Dialogue, converse, obey
    from protocheck.types import load

    if options.property and not options.report:
        raise UsageError(BAD_USAGE, "`--property` chooses among the runs of `--from`", "give --from REPORT as well")
    settings: dict[str, str] = parse_settings(options.settings)
    seed = _count(options.seed, "--seed", 0)
    model = _model(options.model)
    module = load(model.path, model.shown)
    wanted = options.scenario
    run = None
    if options.report:
        run = _stored_run(options.report, wanted, options.property)
        wanted = run.scenario.name
        settings = {**dict(run.scenario.settings), **settings}
    name = scenario_names(module, (wanted,) if wanted else ())[0]
    instance = instantiate(module, name, settings)
    system = compile_system(module, instance)
    session = Session(system)
    if run is not None:
        session.follow(run.trace)
    shown = ScenarioReport(
        name or wanted or "default", instance.text, instance.variants, tuple(settings.items()), system.assumptions, ()
    )
    report = Report(module.file.path, module.name, (shown,), module.doc)
    dialogue = Dialogue(session, report, __version__, style, Random(seed), lambda line: print(line, flush=True))
    print(f"{module.file.path}, scenario {shown.name} ({instance.text or 'no sizes'}); `?` lists the commands")
    good = obey(dialogue, options.do) if options.do is not None else converse(dialogue, sys.stdin, sys.stdin.isatty())
    return OK if good else BAD_INPUT


def _stored_run(report: str, scenario: str | None, prop: str | None, violations: bool = False) -> Run:
    """The first run of a stored report that is as asked for; if ``violations``, rather one than a witness."""
    from protocheck.reports.document import load, runs, select

    document = load(report)
    chosen = select(document, [scenario] if scenario else [], [prop] if prop else [])
    found = (runs(chosen) if violations else ()) or runs(chosen, witnesses=True)
    if not found:
        raise UsageError(BAD_VALUE, f"`{report}` has no such run")
    return found[0]


# --------------------------------------------------------------------------------------------------------------------
# explain-run


def _add_explain_run(commands: Subparsers) -> None:
    explain = commands.add_parser(
        "explain-run",
        help="tell what a stored run depends on",
        description="Take a run of a report that `protocheck check --format json` has written, and tell which "
        "parameter values, variants, steps, switches and statements it depends on.",
        epilog="exit codes: 0 explained, 2 there is no such run, 3 some questions are undecided, 70 a fault of ours",
        allow_abbrev=False,
    )
    explain.add_argument("report", metavar="REPORT", help="the JSON report; - reads standard input")
    explain.add_argument("--model", metavar="MODEL", help="the model file (default: the one that the report names)")
    explain.add_argument("--scenario", metavar="S", help="the run of this scenario (default: the first run)")
    explain.add_argument("--property", metavar="P", help="the run of this property (default: the first run)")
    explain.add_argument("--timeout", metavar="S", help="give up on a question after S seconds (default: 10)")
    explain.add_argument(
        "--format", choices=("text", "md", "json"), default="text", help="text (default), md (Markdown) or json"
    )
    explain.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def _explain_run(options: argparse.Namespace, style: Style) -> int:
    from pathlib import Path

    from protocheck.explain_run import SECONDS, Kind, explain_run
    from protocheck.reports.explain_run import render, render_json, render_md
    from protocheck.types import load

    timeout = _seconds(options.timeout)
    run = _stored_run(options.report, options.scenario, options.property, violations=True)
    given = options.model or run.model.file
    if not Path(given).is_file():
        raise UsageError(NOTHING_TO_EXPLAIN, f"the model of the run, `{given}`, is not there", "add --model FILE")
    model = _model(given)
    with _told(model.shown) as tell:
        found = explain_run(
            load(model.path, model.shown),
            run.scenario.name,
            run.verdict.prop,
            run.trace,
            dict(run.scenario.settings),
            timeout=SECONDS if timeout is None else timeout,
            progress=tell,
        )
    match options.format:
        case "json":
            text = render_json(found)
        case "md":
            text = render_md(found)
        case _:
            text = render(found, style)
    _give(text, options.output)
    kinds = {a.kind for a in found.answers}
    if Kind.BROKEN in kinds:
        return OUR_FAULT
    return LIMIT if kinds & {Kind.OPEN, Kind.NOT_WITHIN} else OK
