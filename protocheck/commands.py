"""The commands that look at a model in other ways than by checking it. Each imports what it needs when it is asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from protocheck.usage import BAD_USAGE, BAD_VALUE, ModelFile, UsageError, find_models, parse_settings

if TYPE_CHECKING:
    from protocheck.reports.style import Style

OK = 0

Subparsers: TypeAlias = "argparse._SubParsersAction[Any]"
Command: TypeAlias = "Callable[[argparse.Namespace, Style], int]"
"""A command: its options, and how to write to standard output. Gives the exit code."""


def add_commands(commands: Subparsers) -> None:
    """Declare the commands of this module, each with its options."""
    _add_info(commands)


def find_command(name: str) -> Command | None:
    """The command called ``name``, if it is one of this module."""
    return {"info": _info}.get(name)


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
