"""The commands that look at a model in other ways than by checking it. Each imports what it needs when it is asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from protocheck.usage import BAD_USAGE, BAD_VALUE, ModelFile, UsageError, find_models, parse_settings

if TYPE_CHECKING:
    from protocheck.reports.style import Style

OK, DIFFERS, LIMIT, OUR_FAULT = 0, 1, 3, 70

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"
Command: TypeAlias = "Callable[[argparse.Namespace, Style], int]"
"""A command: its options, and how to write to standard output. Gives the exit code."""


def add_commands(commands: Subparsers) -> None:
    """Declare the commands of this module, each with its options."""
    _add_info(commands)
    _add_compare(commands)
    _add_sweep(commands)


def find_command(name: str) -> Command | None:
    """The command called ``name``, if it is one of this module."""
    return {"info": _info, "compare": _compare, "sweep": _sweep}.get(name)


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
        help="look into a model: sizes, and what never happens",
        description="Tell how large a model is, what makes it large, and what in it never happens.",
        allow_abbrev=False,
    )
    info.add_argument("model", metavar="MODEL", help="the model file")
    info.add_argument("-p", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    info.add_argument("--scenario", action="append", default=[], metavar="S", help="only this scenario (repeatable)")
    info.add_argument("--states", default="50000", metavar="N", help="look at about N states (default: 50000)")
    info.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")


def _info(options: argparse.Namespace, style: Style) -> int:
    from protocheck.info import info
    from protocheck.reports.info import render, render_json
    from protocheck.types import load

    model = _model(options.model)
    settings = parse_settings(options.settings)
    states = _count(options.states, "--states", 1)
    found = info(load(model.path, model.shown), tuple(dict.fromkeys(options.scenario)), settings, states)
    print(render_json(found) if options.format == "json" else render(found, style), end="")
    return OK


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
    compare.add_argument("--fail-on", choices=("lost",), help="exit code 1 if a guarantee is lost, 3 if that is open")
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
    found = compare(find_proposals(options.proposals), bound=bound, timeout=timeout)
    print(render_json(found) if options.format == "json" else render(found, style, not options.no_runs), end="")
    if found.broken:
        return OUR_FAULT
    if options.fail_on == "lost" and found.count(Change.LOST, Change.UNCLAIMED):
        return DIFFERS
    if options.fail_on == "lost" and found.count(Change.OPEN):
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
    found = sweep(
        module,
        axes,
        scenario=options.scenario,
        variants=options.variants,
        timeout=SECONDS if timeout is None else timeout,
    )
    print(render_json(found) if options.format == "json" else render(found, style), end="")
    outcomes = [o for c in found.cells for o in c.outcomes]
    if any(isinstance(o, Broken) for o in outcomes):
        return OUR_FAULT
    return LIMIT if any(isinstance(o, Unknown) for o in outcomes) else OK
