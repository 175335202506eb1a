"""Formats and stored reports on the command line: what goes where, and with which exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from protocheck import cli
from protocheck.reports.formats import FORMATS, NAMES
from protocheck.usage import find_models

ROOT = Path(__file__).resolve().parent.parent
ABBA = (ROOT / "models" / "toys" / "abba.pchk").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with two locks and two threads in it, and no GitHub around."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    Path("abba.pchk").write_text(ABBA, encoding="utf-8")
    wrong = ABBA.replace("deadlock violated in 4 steps", "deadlock holds", 1)
    assert wrong != ABBA
    Path("wrong.pchk").write_text(wrong, encoding="utf-8")
    Path("bad.pchk").write_text("protocol bad\nlok x;\n", encoding="utf-8")
    return tmp_path


def run(*words: str) -> int:
    """The exit code of a command, in one process."""
    return cli.main([*words, "-j", "1"] if words[0] == "check" else list(words))


OTHERS = [n for n in NAMES if n != "svg"]


@pytest.mark.parametrize("name", OTHERS)
def test_the_exit_code_does_not_depend_on_the_format(name: str) -> None:
    """As expected 0, not as expected 1, a faulty model 2, whatever the format."""
    assert run("check", "abba.pchk", "--scenario", "opposite", "--format", name) == 0
    assert run("check", "wrong.pchk", "--scenario", "opposite", "--format", name) == 1
    assert run("check", "bad.pchk", "--format", name) == 2


@pytest.mark.parametrize("fmt", [f.name for f in FORMATS if f.name != "svg"])
def test_a_stored_report_is_told_as_the_check_told_it(fmt: str) -> None:
    """``check --format F`` and ``check --format json`` followed by ``show --format F`` give the same bytes."""
    run("check", "wrong.pchk", "--format", fmt, "-o", "direct")
    run("check", "wrong.pchk", "--format", "json", "-o", "stored.json")
    assert run("show", "stored.json", "--format", fmt, "-o", "again") == 0
    assert Path("again").read_bytes() == Path("direct").read_bytes()


def test_show_tells_a_table_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """The runs of violations, in columns per thread; with a property named, its run alone."""
    run("check", "abba.pchk", "--format", "json", "-o", "r.json")
    assert run("show", "r.json") == 0
    out = capsys.readouterr().out
    assert out.startswith("opposite: deadlock: violated in 4 steps (the shortest run)\n4 steps, ")
    assert "both_held" not in out
    assert run("show", "r.json", "--property", "both_held") == 0
    assert capsys.readouterr().out.startswith("opposite: both_held: found in 2 steps")


def test_json_shown_again_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Showing a report as JSON gives the report."""
    run("check", "abba.pchk", "--format", "json", "-o", "r.json")
    assert run("show", "r.json", "--format", "json") == 0
    assert capsys.readouterr().out == Path("r.json").read_text(encoding="utf-8")


def test_what_a_format_cannot_tell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """``check`` says on stderr what it left out; ``show`` refuses if nothing is left."""
    words = ("check", "abba.pchk", "--scenario", "opposite", "--traces", "--format", "lockdep")
    assert run(*words) == 0
    out, err = capsys.readouterr()
    assert out.count("WARNING: possible circular") == 1
    assert err == (
        "lockdep cannot tell abba/opposite/both_held: it ends in no deadlock and breaks no order of locks\n"
    )
    run("check", "abba.pchk", "--format", "json", "-o", "r.json")
    assert run("show", "r.json", "--property", "both_held", "--format", "lockdep") == 2
    assert "error[format-cannot-tell]: nothing to tell: lockdep cannot tell" in capsys.readouterr().err


def test_show_refuses_names_that_the_report_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt property is an error that lists what there is."""
    run("check", "abba.pchk", "--format", "json", "-o", "r.json")
    assert run("show", "r.json", "--property", "deadlok") == 2
    err = capsys.readouterr().err
    assert "the report has nothing for --property deadlok" in err
    assert "opposite/deadlock" in err


def test_faults_of_models_are_data_in_formats_of_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """A CI server sees the fault where it looks; the other formats leave it to stderr."""
    for name, sign in (("junit", "<error type="), ("sarif", '"toolExecutionNotifications"'), ("github", "::error ")):
        assert run("check", "bad.pchk", "--format", name) == 2
        out, err = capsys.readouterr()
        assert sign in out
        assert err == ""
    assert run("check", "bad.pchk", "--format", "mail") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[" in err


def test_the_step_summary_is_written_where_github_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is appended, since other steps write there too; other formats leave it alone."""
    Path("summary.md").write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    assert run("check", "wrong.pchk", "--format", "github") == 1
    text = Path("summary.md").read_text(encoding="utf-8")
    assert text.startswith("before\n## protocheck\n")
    assert "| wrong.pchk | opposite | deadlock | violated in 4 steps (the shortest run) |" in text
    assert capsys.readouterr().out.startswith("::error title=")
    run("check", "wrong.pchk", "--format", "junit")
    assert Path("summary.md").read_text(encoding="utf-8") == text


def test_svg_without_graphviz_is_refused_before_anything_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The absence of Graphviz is said clearly, with what to do."""
    monkeypatch.setenv("PATH", "")
    assert run("check", "abba.pchk", "--format", "svg") == 2
    err = capsys.readouterr().err
    assert err.startswith("error[no-graphviz]: `--format svg` needs `dot` of Graphviz, which is not there\n")
    assert run("check", "abba.pchk", "--format", "dot", "-o", "g.dot") == 0


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        (("--format", "mail", "--full"), "`--format mail` and `--full`"),
        (("--format", "mial"), "invalid choice: 'mial'"),
        (("--format", "mail", "-o", "nowhere/x"), "`--output nowhere/x`: No such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: tuple[str, ...], sign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option of which a format makes no use is not ignored."""
    assert run("check", "abba.pchk", "--scenario", "opposite", *words) == 2
    assert sign in capsys.readouterr().err


def test_both_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """``schema`` and ``schema jsonl`` print JSON Schemas."""
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out)["$defs"]["step"]
    assert run("schema", "jsonl") == 0
    assert len(json.loads(capsys.readouterr().out)["oneOf"]) == 4


def test_the_excerpts_of_the_page_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    """The state of the ITF trace and the step of the SARIF log in docs/formats.md are parts of what is written."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    state, step = (json.loads(text) for text in re.findall(r"^```text\n(.*?)^```$", page, re.M | re.S))
    model, *_ = re.findall(r"^```pchk\n(.*?)^```$", page, re.M | re.S)
    Path("opposite.pchk").write_text(model.replace("deadlock violated", "deadlock holds"), encoding="utf-8")
    assert run("check", "opposite.pchk", "--property", "deadlock", "--format", "itf") == 1
    assert state in json.loads(capsys.readouterr().out)["states"]
    run("check", "opposite.pchk", "--property", "deadlock", "--format", "sarif")
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert step in [x for flow in result["codeFlows"][0]["threadFlows"] for x in flow["locations"]]


def test_the_page_names_every_format() -> None:
    """docs/formats.md has each format in its table, in a section of its own, and the hook that exists."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.split("\n") if line.startswith("|"))
    heads = ", ".join(re.findall(r"^## (.*)$", page, re.M)).split(", ")
    assert [n for n in NAMES if f"`{n}`" not in table] == []
    assert [n for n in NAMES if n != "text" and n not in heads] == []
    assert re.findall(r"^- id: (\w+)$", (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"), re.M) == [
        "protocheck"
    ]


def test_the_hook_takes_models_and_leaves_out_libraries() -> None:
    """What the hook's patterns let through is what ``protocheck check`` checks in a folder."""
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    (wanted,), (left_out,) = (re.findall(rf"^  {name}: (.*)$", hook, re.M) for name in ("files", "exclude"))
    everything = [p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "models").rglob("*")) if p.is_file()]
    chosen = [p for p in everything if re.search(wanted, p) and not re.search(left_out, p)]
    assert chosen == sorted(m.path.relative_to(ROOT).as_posix() for m in find_models([str(ROOT / "models")]))
