"""The command line: exit codes, options, what is printed where. Findings are injected where a fault must be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jsonschema
import pytest
import sample

import protocheck.types
from protocheck import cli
from protocheck.diagnostics import Diagnostic, Label, ModelError, Rule
from protocheck.engines.verdict import Limit
from protocheck.findings import (
    Broken,
    HoldsToDepth,
    Mismatch,
    NotFoundToDepth,
    Outcome,
    Report,
    ScenarioReport,
    Unknown,
    Vacuous,
    Violated,
)
from protocheck.progress import Progress
from protocheck.reports.json import schema_path
from protocheck.source import SourceFile, Span

ROOT = Path(__file__).resolve().parent.parent
FAULT = Rule("unknown-name", "A name is not declared.")


class Checker(ModuleType):
    """Stands in for ``protocheck.check``: says of every scenario what ``says`` says, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__("protocheck.check")
        self.scenarios: tuple[str, ...] = ("only",)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.says: Callable[[str], ScenarioReport] = lambda name: sample.scenario(name)
        self.ENGINES = [SimpleNamespace(name="auto", summary="chooses")]

    def load(self, path: Path, shown: str | None = None) -> Any:
        """A module that is its name."""
        return SimpleNamespace(name=path.stem, file=SourceFile(shown or str(path), ""))

    def scenario_names(self, module: Any, chosen: tuple[str, ...] = ()) -> tuple[str, ...]:
        """As the real one."""
        unknown = [c for c in chosen if c not in self.scenarios]
        if unknown:
            raise ModelError([Diagnostic(Rule("unknown-scenario", ""), f"no scenario is called `{unknown[0]}`")])
        return tuple(s for s in self.scenarios if not chosen or s in chosen)

    def check_scenario(self, module: Any, name: str, **options: Any) -> ScenarioReport:
        """What ``says`` says."""
        self.asked.append((name, options))
        return self.says(name)

    def assemble(self, module: Any, reports: list[ScenarioReport], properties: tuple[str, ...] = ()) -> Report:
        """As the real one."""
        return Report(module.file.path, module.name, tuple(reports))


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> Checker:
    """The stand-in, in place of the real thing."""
    stand_in = Checker()
    monkeypatch.setitem(sys.modules, "protocheck.check", stand_in)
    monkeypatch.setattr(protocheck.types, "load", stand_in.load, raising=False)
    return stand_in


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file that exists."""
    monkeypatch.chdir(tmp_path)
    Path("m.pchk").write_text("protocol m\n")
    return "m.pchk"


def saying(*outcomes: tuple[Outcome, bool], **more: Any) -> Callable[[str], ScenarioReport]:
    """A scenario with these outcomes, as expected or not."""
    findings = [
        sample.finding(f"p{i}", o, as_expected=e, open=not e and isinstance(o, Unknown | NotFoundToDepth))
        for i, (o, e) in enumerate(outcomes)
    ]
    return lambda name: sample.scenario(name, *findings, **more)


# --------------------------------------------------------------------------------------------------------------------
# Exit codes

CASES = [
    ("all-as-expected", saying((sample.holds(), True), (Violated(3, True), True)), 0),
    ("bounded-and-expected", saying((HoldsToDepth(5), True)), 0),
    ("unexpected-violation", saying((sample.holds(), True), (Violated(3, True), False)), 1),
    ("unexpected-vacuous-pass", saying((Vacuous("never evaluated"), False)), 1),
    ("expected-violation-absent", saying((sample.holds(), False)), 1),
    ("expectation-unmet", saying((sample.holds(), True), mismatches=(Mismatch("cycle", "none"),)), 1),
    ("limit", saying((sample.holds(), True), (Unknown(Limit.TIME), False)), 3),
    ("limit-of-depth", saying((NotFoundToDepth(4), False)), 3),
    ("limit-left-an-expectation-open", saying((sample.holds(), True), mismatches=(Mismatch("c", "n", open=True),)), 3),
    ("limit-and-violation", saying((Unknown(Limit.TIME), False), (Violated(3, True), False)), 1),
    ("no-replay", saying((Violated(3, True), False), (Broken("step 2 cannot be taken"), False)), 70),
    ("no-replay-though-expected", saying((Broken("step 2 cannot be taken"), True)), 70),
]


@pytest.mark.parametrize(("says", "status"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_exit_code_of_verdicts(
    checker: Checker, model: str, says: Callable[[str], ScenarioReport], status: int
) -> None:
    """The exit code says what the worst of the verdicts calls for."""
    checker.says = says
    assert cli.main(["check", model]) == status


def faulty(name: str) -> ScenarioReport:
    """A scenario that cannot be compiled."""
    place = Span(SourceFile("m.pchk", "lock y;"), 5, 6)
    raise ModelError([Diagnostic(FAULT, "no lock is called `x`", (Label(place),))])


def test_a_bad_model_is_2_with_its_diagnostics(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every fault of the model is on stderr with place and caret, stdout stays empty."""
    checker.says = faulty
    assert cli.main(["check", model]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error[unknown-name]: no lock is called `x`\n --> m.pchk:1:6\n  |\n1 | lock y;\n  |      ^\n")


def test_what_all_scenarios_have_in_common_is_said_once(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault found again in each scenario is one error."""
    checker.scenarios = ("a", "b", "c")
    checker.says = faulty
    assert cli.main(["check", model, "-j", "2"]) == 2
    assert capsys.readouterr().err.count("no lock is called") == 1


def test_one_bad_model_does_not_hide_the_others(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two models one is bad: the other is still reported, and the code is 2."""
    Path("n.pchk").write_text("protocol n\n")
    good = checker.load

    def load(path: Path, shown: str | None = None) -> Any:
        if path.name == "m.pchk":
            faulty("")
        return good(path, shown)

    protocheck.types.load = load  # type: ignore[attr-defined]
    assert cli.main(["check", model, "n.pchk", "-j", "1"]) == 2
    out, err = capsys.readouterr()
    assert "n.pchk: n, 1 scenario" in out
    assert "unknown-name" in err


def broken(name: str) -> ScenarioReport:
    """A scenario that trips over a fault of ours."""
    raise AssertionError("this cannot happen\nsecond line")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_fault_of_ours_is_70_without_a_traceback(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    """The message says that it is ours, what was being done, and how to send it."""
    checker.scenarios = ("a", "b")
    checker.says = broken
    assert cli.main(["check", model, "-j", jobs]) == 70
    err = capsys.readouterr().err
    assert err.startswith("internal error: AssertionError: this cannot happen\n  while checking m.pchk")
    assert "a fault in protocheck" in err
    assert "Traceback" not in err
    assert "second line" not in err


def test_a_fault_of_ours_outside_of_checking_is_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails anywhere is owned up to."""
    monkeypatch.setattr(cli, "_explain", lambda name: 1 // 0)
    assert cli.main(["explain"]) == 70
    assert capsys.readouterr().err.startswith("internal error: ZeroDivisionError")


def test_out_of_memory_is_a_limit(checker: Checker, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Running out of memory is code 3, with a hint."""

    def greedy(name: str) -> ScenarioReport:
        raise MemoryError

    checker.says = greedy
    assert cli.main(["check", model]) == 3
    assert "out of memory; smaller sizes (-p NAME=VALUE) may help" in capsys.readouterr().err


def test_interruption_prints_what_is_known_and_is_3(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the second of three models: the first is reported, the third is not begun."""
    for name in ("n.pchk", "o.pchk"):
        Path(name).write_text("")
    count = 0

    def says(name: str) -> ScenarioReport:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return sample.scenario(name)

    checker.says = says
    assert cli.main(["check", model, "n.pchk", "o.pchk", "-j", "1"]) == 3
    out, err = capsys.readouterr()
    assert "m.pchk: m, 1 scenario" in out
    assert "n.pchk: interrupted before there was an answer" in err
    assert "o.pchk: interrupted before there was an answer" in err
    assert count == 2


def test_after_an_interrupted_search_nothing_more_is_begun(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that caught Ctrl-C and said what it knew ends the whole command."""
    Path("n.pchk").write_text("")
    checker.says = saying((Unknown(Limit.INTERRUPTED, "", 4), False))
    assert cli.main(["check", model, "n.pchk", "-j", "1"]) == 3
    assert len(checker.asked) == 1
    assert "nothing found up to depth 4" in " ".join(capsys.readouterr().out.split())


# --------------------------------------------------------------------------------------------------------------------
# Bad usage: code 2 and a name

USAGE = [
    ([], ""),
    (["chek", "m.pchk"], "bad-usage"),
    (["check", "--no-such-option"], "bad-usage"),
    (["check", "m.pchk", "--bound"], "bad-usage"),
    (["check", "m.pchk", "--format", "xml"], "bad-usage"),
    (["check", "m.pchk", "--scen", "x"], "bad-usage"),
    (["check", "m.pchk", "--bound", "deep"], "bad-value"),
    (["check", "m.pchk", "--bound", "-1"], "bad-value"),
    (["check", "m.pchk", "--timeout", "0"], "bad-value"),
    (["check", "m.pchk", "--timeout", "nan"], "bad-value"),
    (["check", "m.pchk", "--timeout", "soon"], "bad-value"),
    (["check", "m.pchk", "-j", "0"], "bad-value"),
    (["check", "m.pchk", "-p", "vcpus"], "bad-value"),
    (["check", "m.pchk", "-p", "=3"], "bad-value"),
    (["check", "m.pchk", "-p", "vcpus=2", "-p", "vcpus=3"], "contradictory-options"),
    (["check", "m.pchk", "--format", "json", "--full"], "contradictory-options"),
    (["check", "m.pchk", "--format", "json", "--traces"], "contradictory-options"),
    (["check", "m.pchk", "--engine", "magic"], "unknown-engine"),
    (["check", "no-such.pchk"], "no-such-file"),
    (["check", "bad\0name"], "no-such-file"),
    (["check", "x" * 5000], "no-such-file"),
    (["check", "empty"], "no-models"),
    (["check", "m.pchk", "--scenario", "nowhere"], "unknown-scenario"),
    (["explain", "no-such-rule"], "unknown-rule"),
    (["explain", "a", "b"], "bad-usage"),
]


@pytest.mark.parametrize(("words", "rule"), USAGE, ids=[" ".join(u[0])[:40].replace("\0", "?") for u in USAGE])
def test_bad_usage_is_2_and_has_a_name(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    """Each fault of a command line is named, before anything is checked."""
    Path("empty/lib").mkdir(parents=True)
    Path("empty/lib/content.pchk").write_text("")
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    if "json" in words:
        assert [d["rule"] for d in json.loads(out)["diagnostics"]] == [rule]
    elif rule:
        assert f"error[{rule}]: " in err
        assert out == ""
    else:
        assert "usage: protocheck" in out
    assert "Traceback" not in err
    assert checker.asked == []


def test_near_misses_are_offered(checker: Checker, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt file, engine or rule is answered with the right one."""
    cli.main(["check", "n.pchk"])
    cli.main(["check", model, "--engine", "explor"])
    cli.main(["explain", "contradictory-option"])
    err = capsys.readouterr().err
    assert "did you mean `m.pchk`?" in err
    assert "did you mean `explore`?" in err
    assert "did you mean `contradictory-options`?" in err


def test_a_repeated_setting_is_no_contradiction(checker: Checker, model: str) -> None:
    """The same value twice is one setting."""
    assert cli.main(["check", model, "-p", "vcpus=2", "-p", "vcpus=2"]) == 0
    assert checker.asked[0][1]["settings"] == {"vcpus": "2"}


# --------------------------------------------------------------------------------------------------------------------
# What is asked


def test_options_reach_the_checker(checker: Checker, model: str) -> None:
    """Every option arrives as what it means."""
    checker.scenarios = ("a", "b")
    words = "--scenario b --property agree --property deadlock --engine bmc --bound 12 --timeout 2.5 -p how=fast"
    assert cli.main(["check", model, *words.split()]) == 0
    ((name, options),) = checker.asked
    options.pop("progress")
    assert (name, options) == (
        "b",
        {
            "properties": ("agree", "deadlock"),
            "settings": {"how": "fast"},
            "engine": "bmc",
            "bound": 12,
            "timeout": 2.5,
            "any_size": False,
            "why": False,
            "certificates": False,
            "several": 1,
            "explain": False,
        },
    )


def test_a_folder_means_all_models_below_it_but_libraries(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files in order of their names, each once, without those in ``lib``."""
    for name in ("d/b.pchk", "d/a.pchk", "d/sub/c.pchk", "d/lib/x.pchk", "d/sub/lib/y.pchk", "d/notes.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    assert cli.main(["check", "d", "d/a.pchk", model, "-j", "1"]) == 0
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.split("\n") if "1 scenario" in line and line[0] != " "][:4] == [
        "d/a.pchk",
        "d/b.pchk",
        "d/sub/c.pchk",
        "m.pchk",
    ]


def test_without_a_path_the_shipped_models_are_checked(
    checker: Checker, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names do not depend on where the command is given, nor on where they are installed."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "-j", "1"]) == 0
    out = capsys.readouterr().out
    assert "models/toys/abba.pchk: abba, 1 scenario" in out
    assert "/lib/" not in out
    assert str(ROOT) not in out


def test_of_several_models_those_with_the_scenario_are_checked(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scenario that only one of two models has is checked there; one that none has is an error."""
    Path("n.pchk").write_text("")
    names = checker.scenario_names

    def only_in_n(module: Any, chosen: tuple[str, ...] = ()) -> tuple[str, ...]:
        checker.scenarios = ("special",) if module.name == "n" else ("only",)
        return names(module, chosen)

    checker.scenario_names = only_in_n  # type: ignore[method-assign]
    assert cli.main(["check", "m.pchk", "n.pchk", "-j", "1", "--scenario", "special"]) == 0
    out, err = capsys.readouterr()
    assert "n.pchk: n, 1 scenario" in out
    assert "m.pchk" not in out.replace("protocheck check m.pchk", "")
    assert err == ""
    assert cli.main(["check", "m.pchk", "n.pchk", "-j", "1", "--scenario", "nowhere"]) == 2
    assert "error[unknown-scenario]: no scenario is called `nowhere` in any of the models" in capsys.readouterr().err


def test_processes_do_not_change_the_output(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process and three print the same bytes, scenarios in the order of the file."""
    checker.scenarios = ("e", "d", "c", "b", "a")
    outputs = []
    for jobs in ("1", "3"):
        assert cli.main(["check", model, "-j", jobs]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert [x for x in outputs[0].split() if x in "abcde"] == ["e", "d", "c", "b", "a"]


# --------------------------------------------------------------------------------------------------------------------
# What is printed


def test_runs_of_expected_verdicts_are_printed_on_request(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default only with ``--traces``, or where one scenario of one model is chosen by name."""
    checker.says = lambda name: sample.good().scenarios[0]
    shown = []
    for words in ([], ["--traces"], ["-v"], ["--scenario", "only"], ["--property", "deadlock"]):
        assert cli.main(["check", model, *words]) == 0
        shown.append("who waits for whom" in capsys.readouterr().out)
    assert shown == [False, True, True, True, True]


def test_full_prints_the_state_at_each_step(checker: Checker, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Four steps, four states."""
    checker.says = lambda name: sample.good().scenarios[0]
    cli.main(["check", model, "--traces"])
    assert "state: " not in capsys.readouterr().out
    cli.main(["check", model, "--traces", "--full"])
    assert capsys.readouterr().out.count("      state: kvm.one = ") == 4


def test_json_follows_the_schema(checker: Checker, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports, and nothing else, are on stdout, and validate."""
    checker.says = lambda name: sample.bad().scenarios[0]
    assert cli.main(["check", model, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(schema_path().read_text()))
    assert document["exit_status"] == 1
    assert document["reports"][0]["model"] == "m"


@pytest.mark.parametrize(
    "words",
    [
        ["check", "no-such.pchk", "--format", "json"],
        ["check", "m.pchk", "--format=json", "--bound", "x"],
        ["check", "--format", "json", "--no-such-option"],
        ["check", "m.pchk", "--format", "json"],
    ],
)
def test_faults_are_json_where_json_was_asked_for(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Faults of the command line and of models come as data, and validate."""
    checker.says = faulty
    assert cli.main(words) == 2
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(schema_path().read_text()))
    assert document["exit_status"] == 2
    assert len(document["diagnostics"]) == 1


def test_an_internal_error_is_told_in_json(checker: Checker, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is in the document, and the code is 70."""
    checker.says = broken
    assert cli.main(["check", model, "--format", "json"]) == 70
    document = json.loads(capsys.readouterr().out)
    assert document["exit_status"] == 70
    assert document["message"].startswith("internal error: AssertionError")


def test_the_schema_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the file that ships."""
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == schema_path().read_text()


def test_nothing_but_text_where_there_is_no_terminal(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither colours nor progress are written to a pipe."""
    checker.says = lambda name: sample.bad().scenarios[0]
    cli.main(["check", model])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\r" not in out + err
    assert err == ""


# --------------------------------------------------------------------------------------------------------------------
# The real program


def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "protocheck", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **more)


def test_version_and_help() -> None:
    """Both end with code 0; the help lists all commands and all exit codes."""
    assert run("--version").stdout == f"protocheck {protocheck.__version__}\n"
    done = run("--help")
    assert done.returncode == 0
    for word in ("check", "explain", "engines", "schema", "70", "as expected"):
        assert word in done.stdout


def test_help_imports_nothing_heavy() -> None:
    """Solver, parser, graphs and tables are not loaded for ``--help``."""
    script = (
        "import sys; from protocheck.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('z3', 'lark', 'networkx', 'tabulate', 'json', 'multiprocessing') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done.stdout[-300:] + done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    """Piping into ``head`` leaves no traceback and no message."""
    command = f"{sys.executable} -m protocheck schema | head -n 1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_the_engines_on_offer_are_those_that_exist() -> None:
    """What ``--engine`` accepts is what ``protocheck engines`` lists."""
    done = run("engines")
    assert done.returncode == 0, done.stderr
    assert tuple(line.split()[0] for line in done.stdout.splitlines()) == cli._ENGINES


def test_every_rule_can_be_explained() -> None:
    """The list of rules has a line for each, all different, each with a summary; the page of each can be printed."""
    done = run("explain")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names)) > 50
    assert names == sorted(names)
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())
    assert run("explain", "[unknown-scenario]").stdout.startswith("error[unknown-scenario]: ")


def test_a_real_model_is_checked() -> None:
    """The smallest shipped model gives what it expects, with the cycle named."""
    done = run("check", "models/toys/abba.pchk")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violated in 4 steps (the shortest run)" in done.stdout
    assert "all as expected." in done.stdout


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"\x00\x01\x02", "binary-file"),
        (b"", "empty-file"),
        (b"\xff\xfep\x00", "not-utf8"),
        (b"protocol p\n" + b"{" * 10_000, "nesting-too-deep"),
        (b"protocol p\nimport lib.nowhere as x\n", "missing-import"),
    ],
)
def test_bad_files_are_named_errors(tmp_path: Path, content: bytes, rule: str) -> None:
    """Whatever a file contains, the answer is code 2, a named error and no traceback."""
    (tmp_path / "bad.pchk").write_bytes(content)
    done = run("check", str(tmp_path / "bad.pchk"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"error[{rule}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_given_as_standard_input_does_not_hang() -> None:
    """Nothing is ever read from standard input."""
    done = run("check", os.devnull, timeout=60)
    assert done.returncode == 2


class Terminal:
    """A stream that says it is a terminal, and keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Keep it."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_progress_is_one_line_on_a_terminal_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing before a second has passed; then one line, rewritten in place, cut to the width, and taken away."""
    now = 0.0
    monkeypatch.setattr("protocheck.progress.time.monotonic", lambda: now)
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    progress = Progress(terminal, ["a.pchk", "b.pchk"])  # type: ignore[arg-type]
    now = 0.9
    progress.tell(0, "early")
    assert terminal.text == ""
    now = 2.0
    progress.tell(0, "no run of at most 3 steps, and many more words than fit")
    assert terminal.text.startswith("\r\x1b[K[0/2] a.pchk: no run of at most 3 steps")
    assert "\n" not in terminal.text
    assert len(terminal.text) < 40 + len("\r\x1b[K")
    progress.done()
    progress.clear()
    assert terminal.text.endswith("\r\x1b[K")
    now = 3.0
    progress.tell(1, "on")
    assert terminal.text.endswith("\r\x1b[K[1/2] b.pchk: on (3 s)")


def test_no_progress_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets nothing, however long it takes."""
    now = 0.0
    monkeypatch.setattr("protocheck.progress.time.monotonic", lambda: now)
    terminal = Terminal()
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    progress = Progress(terminal, ["a.pchk"])  # type: ignore[arg-type]
    now = 100.0
    progress.tell(0, "still at it")
    progress.clear()
    assert terminal.text == ""


# --------------------------------------------------------------------------------------------------------------------
# Streams that take nothing


def shell(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run ``command`` with the shell, in which ``$P`` is this program and ``m.pchk`` a model."""
    (tmp_path / "m.pchk").write_text("protocol m\nhypervisor kvm { thread main { skip; } }\n")
    env = os.environ | {"PYTHONPATH": str(ROOT), "P": f"{sys.executable} -m protocheck"}
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words", ["check m.pchk", "check m.pchk --format json", "check no.pchk --format json", "explain", "info m.pchk"]
)
def test_a_full_disk_is_named_and_is_2(words: str, tmp_path: Path) -> None:
    """The output cannot be written: a named error, no traceback, and not a fault of ours."""
    done = shell(f"$P {words} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error[unwritable-output]: the output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("check m.pchk >&-", 0),
        ("check m.pchk <&- >&- 2>&-", 0),
        ("check nothing.pchk 2>&-", 2),
        ("simulate m.pchk <&-", 0),
    ],
)
def test_closed_streams_leave_the_exit_code_as_it_is(words: str, status: int, tmp_path: Path) -> None:
    """Who closes a stream wants to hear nothing there; the exit code still says everything."""
    done = shell(f"$P {words}", tmp_path)
    assert done.returncode == status
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_error_that_nobody_hears_is_still_2(tmp_path: Path) -> None:
    """Where standard error takes nothing, bad input is not taken for a violation (code 1)."""
    assert shell("$P check nothing.pchk 2> /dev/full", tmp_path).returncode == 2


def test_text_goes_to_a_file_as_well(tmp_path: Path) -> None:
    """`-o` works with the default format: the file has what would have been printed, and nothing is printed."""
    printed = shell("$P check m.pchk", tmp_path)
    written = shell("$P check m.pchk -o out.txt", tmp_path)
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert (tmp_path / "out.txt").read_text() == printed.stdout


def test_an_empty_path_is_no_folder(tmp_path: Path) -> None:
    """An unset variable of a shell script does not mean the present folder."""
    done = shell('$P check "$UNSET_THING"', tmp_path)
    assert done.returncode == 2
    assert "error[no-such-file]" in done.stderr


def test_of_many_models_without_an_answer_only_the_first_is_named(
    checker: Checker, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in a long list makes one line, not one per model."""
    names = [f"n{k}.pchk" for k in range(8)]
    for name in names:
        Path(name).write_text("")

    def says(name: str) -> ScenarioReport:
        raise KeyboardInterrupt

    checker.says = says
    assert cli.main(["check", *names, "-j", "1"]) == 3
    assert capsys.readouterr().err == "n0.pchk and 7 more: interrupted before there was an answer\n"


def test_a_link_that_leads_to_itself_is_not_its_own_mend(tmp_path: Path) -> None:
    """What is not there is not proposed instead of itself."""
    (tmp_path / "loop.pchk").symlink_to("loop.pchk")
    done = shell("$P check loop.pchk", tmp_path)
    assert done.returncode == 2
    assert "did you mean `loop.pchk`" not in done.stderr
