"""Faults of a command line, by name, and the search for the model files that it means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocheck.diagnostics import Diagnostic, Rule
from protocheck.resources import models_path

BAD_USAGE = Rule(
    "bad-usage",
    "The command line cannot be read.",
    """\
An option or a command is unknown, misspelt, or lacks its value.

    protocheck chek my.pchk                 # no such command
    protocheck check my.pchk --timeout      # how many seconds?

Mended:

    protocheck check my.pchk --timeout 60

`protocheck --help` and `protocheck check --help` list what there is.
""",
)
BAD_VALUE = Rule(
    "bad-value",
    "An option has a value that it cannot have.",
    """\
The bound is a number of steps (0 or more), the timeout a number of seconds above 0, `-j` a number of processes from
1 on, and `-p` takes `NAME=VALUE`.

    protocheck check my.pchk --bound deep
    protocheck check my.pchk -p vcpus

Mended:

    protocheck check my.pchk --bound 20
    protocheck check my.pchk -p vcpus=3
""",
)
CONTRADICTORY_OPTIONS = Rule(
    "contradictory-options",
    "Two options ask for things that exclude each other.",
    """\
Following one of them would mean to ignore the other, so neither is followed.

    protocheck check my.pchk -p vcpus=2 -p vcpus=3
    protocheck check my.pchk --format json --full     # JSON always carries everything

Mended: leave one of them out.
""",
)
NO_SUCH_FILE = Rule(
    "no-such-file",
    "A path does not lead to a file or folder.",
    """\
The file may be misspelt, or the command may have been given in another folder.

    protocheck check modles/populate.pchk

Mended:

    protocheck check models/populate.pchk
""",
)
NO_MODELS = Rule(
    "no-models",
    "A folder holds no model.",
    """\
All files below the folder whose names end in `.pchk` are checked, except those in a folder called `lib`: library
modules are checked as part of the models that import them. Here nothing is left, and to say that all is well would be
false.
""",
)
NO_CERTIFICATES = Rule(
    "no-certificates",
    "A folder holds no certificate, or something else that looks like one.",
    """\
`protocheck certify DIR` runs the scripts that `protocheck check --certificates DIR` has written. Their names end in
`.unsat.smt2` or `.sat.smt2`, for the answer that a solver must give. With no script, or one whose name demands nothing,
to say that all is confirmed would be false.

    protocheck certify proofs

Mended:

    protocheck check my.pchk --certificates proofs
    protocheck certify proofs
""",
)
UNKNOWN_RULE = Rule(
    "unknown-rule",
    "`protocheck explain` was given a name that no rule has.",
    """\
The name of a rule stands in brackets behind `error` or `warning`. `protocheck explain` without a name lists them all.
""",
)
UNKNOWN_ENGINE = Rule(
    "unknown-engine",
    "`--engine` names no engine.",
    """\
`protocheck engines` lists them with what each can do. `auto`, the default, chooses.
""",
)
NO_REVISION = Rule(
    "no-revision",
    "git cannot show a file as it was in a revision.",
    """\
`protocheck compare REV:FILE` takes the text of FILE from revision REV of the repository in which FILE stands. That
needs git, a repository, and a revision that has the file; what git says is part of the message.

    protocheck compare HAED~1:my.pchk my.pchk

Mended:

    protocheck compare HEAD~1:my.pchk my.pchk
""",
)
NOT_OF_THIS_MODEL = Rule(
    "not-of-this-model",
    "A stored run cannot be followed in the model.",
    """\
`protocheck simulate MODEL --from REPORT` takes the steps of a stored run in MODEL. The run must be one of the same
scenario at the same sizes, and the model must still allow it; the message names the first step that is not possible.

    protocheck check my.pchk --format json > my.json
    protocheck simulate my.pchk --from my.json
""",
)
NOTHING_TO_EXPLAIN = Rule(
    "nothing-to-explain",
    "a stored run cannot be explained",
    """\
`protocheck explain-run REPORT` weighs a run that shows something about a claim of its model: it asks what becomes of
the claim if one thing is changed. The report needs a run, the model must still be where the report says (or where
`--model` says), and it must still make the claim. A run that `simulate` has saved makes no claim.

    protocheck check my.pchk --scenario good --format json -o good.json     # nothing is violated there
    protocheck explain-run good.json

Mended:

    protocheck check my.pchk --scenario bad --format json -o bad.json
    protocheck explain-run bad.json
""",
)
MOST_CELLS = 1000
"""How many instances one sweep may check."""
TOO_MANY_CELLS = Rule(
    "too-many-cells",
    "a sweep would check more instances than anybody waits for",
    f"""\
The ranges given to `protocheck sweep` are multiplied with one another and with the sets of variants. More than
{MOST_CELLS} instances are refused; choose fewer values, or sweep one parameter after the other.

    protocheck sweep my.pchk -p vcpus=1..40 -p gfns=1..40

Mended:

    protocheck sweep my.pchk -p vcpus=1..4 -p gfns=1..3
""",
)
BAD_RANGE = Rule(
    "bad-range",
    "the values to sweep over cannot be read",
    """\
`-p NAME=VALUES` takes a range `LOW..HIGH` (both included), or values with commas between them.

    protocheck sweep my.pchk -p vcpus=4..1

Mended:

    protocheck sweep my.pchk -p vcpus=1..4 -p how=eager,lazy
""",
)
NOTHING_TO_SWEEP = Rule(
    "nothing-to-sweep",
    "no combination of the values given is an instance of the model",
    """\
Every combination that was asked for is outside of the declared ranges or against a `require` of the model, so nothing
was checked; the first reason is told.

    protocheck sweep my.pchk -p vcpus=9..12       # param vcpus : 1..8
""",
)

TOO_MANY_STATES = Rule(
    "too-many-states",
    "a graph of states would have more of them than anybody can look at",
    """\
`protocheck graph` draws every state that can be reached. Above 500 (or what `--states` says) it refuses; choose
smaller sizes, or look at single runs with `protocheck simulate`.

    protocheck graph my.pchk -p vcpus=4 -o my.dot

Mended:

    protocheck graph my.pchk -p vcpus=1 -o my.dot
""",
)
NO_GRAPH_OF = Rule(
    "no-graph-of",
    "a property cannot be marked in a graph of states",
    """\
`protocheck graph --property P` marks the states and steps that violate P. P is an invariant, an assertion, a final, or
`deadlock`; a claim about endless runs, about lock order or about a run is not violated by a state.

    protocheck graph my.pchk --property lock_order -o my.dot

Mended:

    protocheck graph my.pchk --property deadlock -o my.dot
""",
)

UNWRITABLE = Rule(
    "unwritable-output",
    "The output cannot be written where it shall go.",
    """\
The disk is full, the folder does not exist, or the place takes nothing for another reason, which the message names.
What was printed before is not the whole report, so the exit code is 2 whatever the verdicts are.

    protocheck check my.pchk -o no/such/folder/report.txt
    protocheck check my.pchk > /dev/full

Mended:

    protocheck check my.pchk -o report.txt
""",
)

RULES = (
    BAD_USAGE,
    BAD_VALUE,
    CONTRADICTORY_OPTIONS,
    NO_SUCH_FILE,
    NO_MODELS,
    NO_CERTIFICATES,
    UNKNOWN_RULE,
    UNKNOWN_ENGINE,
    NO_REVISION,
    NOT_OF_THIS_MODEL,
    NOTHING_TO_EXPLAIN,
    TOO_MANY_CELLS,
    BAD_RANGE,
    NOTHING_TO_SWEEP,
    TOO_MANY_STATES,
    NO_GRAPH_OF,
    UNWRITABLE,
)


class UsageError(Exception):
    """Raised for a command line that cannot be followed."""

    def __init__(self, rule: Rule, headline: str, mend: str = "") -> None:
        super().__init__(headline)
        self.diagnostic = Diagnostic(rule, headline, (), mend)


@dataclass(frozen=True)
class ModelFile:
    """A model to check: where it is, and the name under which people see it."""

    path: Path
    shown: str


@contextmanager
def writing(option: str) -> Iterator[None]:
    """Where that is written which ``option`` (with its value) means: what the system says against it is bad usage."""
    try:
        yield
    except OSError as error:
        raise UsageError(UNWRITABLE, f"`{option}`: {error.strerror or error}") from error


def find_models(paths: Sequence[str]) -> list[ModelFile]:
    """The model files that ``paths`` mean, each once, in the order given and by name within a folder.

    Without a path these are the shipped models. Raises :class:`UsageError` for a path that leads nowhere and for a
    folder without models.
    """
    if not paths:
        root = models_path()
        here = Path.cwd()
        base = here if root.is_relative_to(here) else root.parent
        found = [ModelFile(p, p.relative_to(base).as_posix()) for p in _below(root)]
        if not found:
            raise UsageError(NO_MODELS, "no model is shipped with this installation")
        return found
    models: dict[Path, ModelFile] = {}
    for given in paths:
        path = Path(given)
        if not given or not _exists(path):
            raise UsageError(NO_SUCH_FILE, f"there is no file or folder `{given}`", _similar(path))
        files = list(_below(path)) if path.is_dir() else [path]
        if not files:
            raise UsageError(
                NO_MODELS, f"there is no model in folder `{given}`", "models end in .pchk and are not in a folder lib/"
            )
        for file in files:
            models.setdefault(file.resolve(), ModelFile(file, file.as_posix()))
    return list(models.values())


def _exists(path: Path) -> bool:
    """Whether ``path`` leads somewhere; a name that no file could have does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _below(folder: Path) -> Iterable[Path]:
    return sorted(
        p for p in folder.rglob("*.pchk") if "lib" not in p.relative_to(folder).parts[:-1] and not p.is_dir()
    )


def _similar(path: Path) -> str:
    """A hint: a file of nearly that name in the same folder."""
    from difflib import get_close_matches

    try:
        names = sorted(p.name for p in path.parent.iterdir() if path.name and p.name != path.name)
    except (OSError, ValueError):
        return ""
    near = get_close_matches(path.name, names, n=1)
    return f"did you mean `{(path.parent / near[0]).as_posix()}`?" if near else ""


def parse_settings(given: Sequence[str]) -> dict[str, str]:
    """The values of ``-p NAME=VALUE``, by name. Raises :class:`UsageError`."""
    settings: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise UsageError(BAD_VALUE, f"`-p {text}` is not of the form NAME=VALUE", "write for example -p vcpus=3")
        if settings.get(name, value) != value:
            raise UsageError(CONTRADICTORY_OPTIONS, f"parameter `{name}` is set to {settings[name]} and to {value}")
        settings[name] = value
    return settings
