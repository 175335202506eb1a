"""Every format: what it looks like, that it follows its schema, and that nothing in a model can break it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import docutils.core
import docutils.nodes
import golden
import jsonschema
import pytest
import sample
import xmlschema

from protocheck.check import check_file
from protocheck.diagnostics import Diagnostic, Label, Rule
from protocheck.engines.verdict import Limit
from protocheck.findings import Report, Unknown, Violated
from protocheck.ir.system import Act
from protocheck.reports import dot, github, html, itf, jsonl, junit, lockdep, mail, mermaid, rst, sarif
from protocheck.reports.document import Document, Run, document_of, runs, select
from protocheck.reports.formats import FORMATS, NAMES, Tells, find_format, tell
from protocheck.source import SourceFile, Span
from protocheck.traces.trace import Fact, LockAct, Place

HERE = Path(__file__).parent / "golden"
DATA = Path(__file__).parent.parent / "data"

FAULT = Diagnostic(
    Rule("unknown-name", ""),
    "no lock is called `x`, 100%",
    (Label(Span(SourceFile("models/m:1.pchk", "protocol p\nlock y;\n"), 11, 15), "here"),),
    "declare it",
)


def document(
    *reports: Report, diagnostics: tuple[Diagnostic, ...] = (), status: int = 1, message: str = ""
) -> Document:
    """What a check would hand to a format."""
    return document_of(reports, diagnostics, status, "0.1.0", message)


def all_runs(doc: Document) -> tuple[Run, ...]:
    """Every run of a document."""
    return runs(doc, witnesses=True)


DEADLOCK = document(sample.good(), status=0)
TWICE = document(sample.bad())
LOCKS = document(sample.locks())
EVERY = document(sample.every_outcome())
FAULTY = document(diagnostics=(FAULT,), status=2, message="m.pchk: out of memory")
DOCUMENTS = {"deadlock": DEADLOCK, "assertion": TWICE, "locks": LOCKS}
SCRIPT = "</script><script>alert(1)</script>"


def nasty() -> Document:
    """A document whose texts are full of what means something to one format or another."""
    (run,) = all_runs(TWICE)
    words = f'end; # %% ]]> "q" \\ *a* `b` |c|_ <br> ``` é \u2028 \x1b[31m {SCRIPT} ::error::x%0A'
    steps = tuple(replace(s, text=f"{words} {s.number}", notes=(words,)) for s in run.trace.steps)
    ending = replace(run.trace.ending, headline=words, claim=words, facts=(Fact(words, 1),))
    trace = replace(run.trace, steps=steps, ending=ending)
    verdict = replace(run.verdict, claim=words, sentence=words, message=words, run=replace(run.found, trace=trace))
    scenario = replace(run.scenario, verdicts=(verdict,), assumptions=(words,))
    return replace(TWICE, models=(replace(run.model, scenarios=(scenario,)),))


NASTY = nasty()


# --------------------------------------------------------------------------------------------------------------------
# All


# What Graphviz draws depends on its version, and the page is for the most part its template: see below, and test_page.
@pytest.mark.parametrize("fmt", [f for f in FORMATS if f.name not in ("svg", "html")], ids=lambda f: f.name)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_golden(fmt: Any, name: str) -> None:
    """Each format of each kind of run is the one that was last accepted."""
    doc = DOCUMENTS[name]
    golden.check(HERE / "formats" / f"{name}.{fmt.name}", tell(fmt, doc, all_runs(doc)).text)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.name)
def test_the_same_input_gives_the_same_bytes(fmt: Any) -> None:
    """Two renderings are identical, and name no path of this machine."""
    if fmt.name == "svg" and not dot.available():
        pytest.skip("Graphviz is not installed")
    first, second = (tell(fmt, document(sample.good()), all_runs(document(sample.good()))).text for _ in range(2))
    assert first == second
    assert str(Path.cwd()) not in first


def test_names_are_distinct_and_complete() -> None:
    """The names on the command line are those of the formats, each once."""
    assert len(set(NAMES)) == len(NAMES) == len(FORMATS) + 3
    assert all(find_format(f.name) is f for f in FORMATS)


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f.tells is Tells.ONE_RUN], ids=lambda f: f.name)
def test_a_format_of_one_run_names_the_others(fmt: Any) -> None:
    """Of several runs the first is told, and the rest is not left out in silence."""
    doc = document(sample.good(), sample.bad())
    told = tell(fmt, doc, all_runs(doc))
    assert told.text == tell(fmt, doc, all_runs(doc)[:1]).text
    assert "pages/racing/double_populate" in told.left_out[0]


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f.tells is not Tells.VERDICTS], ids=lambda f: f.name)
def test_without_runs_nothing_is_told_but_that(fmt: Any) -> None:
    """No format of runs writes an empty shell, except graphs, which may have a lock order to draw."""
    told = tell(fmt, EVERY, all_runs(EVERY))
    if fmt.without_runs:
        assert told.left_out == ()
    else:
        assert (told.text, told.left_out) == ("", (f"there is no run for {fmt.name} to tell",))


def test_a_run_that_shows_two_things_is_told_once() -> None:
    """The lock cycle of a scenario is shown by the run of its deadlock."""
    assert [r.name for r in all_runs(LOCKS)] == ["before/lock_order"]
    assert [r.name for r in runs(DEADLOCK)] == ["before/deadlock"]
    assert runs(DEADLOCK, expected=False) == ()


def test_selection() -> None:
    """Scenario and property (or family) choose; a model without any of them is gone."""
    doc = document(sample.good(), sample.bad())
    assert [m.name for m in select(doc, (), ("double_populate",)).models] == ["pages"]
    assert [s.name for m in select(doc, ("after",), ()).models for s in m.scenarios] == ["after"]
    assert select(doc, ("nowhere",), ()).models == ()


# --------------------------------------------------------------------------------------------------------------------
# For people


@pytest.mark.parametrize("name", [*DOCUMENTS, "nasty"])
def test_mail_is_ascii_of_72_columns(name: str) -> None:
    """Nothing that a mailer would re-flow or mangle."""
    doc = NASTY if name == "nasty" else DOCUMENTS[name]
    text = mail.render(doc, all_runs(doc))
    assert text.isascii()
    assert max(map(len, text.split("\n"))) <= 72
    assert not [line for line in text.split("\n") if line != line.rstrip()]
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_mail_names_cpus_and_the_command() -> None:
    """Columns are CPUs, waits name the CPU in the way, and the command that shows it again can be copied."""
    text = mail.render(DEADLOCK, all_runs(DEADLOCK))
    assert re.search(r"CPU 0 +CPU 1\n +kvm.one +kvm.two\n", text)
    assert "<waits for a: CPU 0 holds a>" in text
    command = text.split("To see it again:")[1].replace("\\\n", " ").split()
    assert command == ["protocheck", "check", "models/abba.pchk", "--scenario", "before", "--property", "deadlock"]


def test_a_lock_is_given_back_after_what_was_done_under_it() -> None:
    """In a step that takes a lock, stores and releases, the lines come in that order, and the first is left out."""
    (run,) = all_runs(TWICE)
    acts = (LockAct(Act.ACQUIRE, "mmu_lock"), LockAct(Act.ACQUIRE, "other"), LockAct(Act.RELEASE, "mmu_lock"))
    step = replace(run.trace.steps[2], text="with mmu_lock", locks=acts, choices=())
    assert list(mail.statement(step, run.trace.threads, 60)) == [
        "with mmu_lock",
        "  <takes other>",
        "  spte[gfn1] = private",
        "  page.populated[gfn1] = true",
        "  <releases mmu_lock>",
    ]


def test_mail_lists_what_has_no_columns() -> None:
    """Four threads do not fit into 72 columns: each line names its CPU instead."""
    (run,) = all_runs(TWICE)
    names = tuple(f"kvm.fault[vcpu{k}]" for k in range(4))
    steps = tuple(replace(s, thread=n) for s, n in zip(run.trace.steps, names, strict=True))
    lines = list(mail.columns(replace(run.trace, threads=names, steps=steps), 72))
    assert lines[:2] == ["CPU 0: kvm.fault[vcpu0]", "CPU 1: kvm.fault[vcpu1]"]
    assert lines[5].startswith(" 1  CPU 0  ")
    assert max(map(len, lines)) <= 72


def test_lockdep_has_the_blocks_of_a_circular_report_in_order() -> None:
    """Heads that scripts look for are there, in the order in which lockdep prints them."""
    text = lockdep.render(DEADLOCK, all_runs(DEADLOCK))
    heads = [
        "WARNING: possible circular locking dependency detected",
        "kvm.two/2 is trying to acquire lock:\n(a)",
        "but task is already holding lock:\n(b){read}",
        "which lock already depends on the new lock.",
        "the existing dependency chain (in reverse order) is:",
        "-> #1 (b){write}:",
        "-> #0 (a):",
        "other info that might help us debug this:",
        "CPU0                CPU1",
        "*** DEADLOCK ***",
        "1 lock held by kvm.two/2:\n #0: (b){read}",
        "stack backtrace:",
    ]
    at = [text.find(h) for h in heads]
    assert -1 not in at, heads[at.index(-1)]
    assert at == sorted(at)


def test_lockdep_names_the_run_that_tells_a_recursion(tmp_path: Path) -> None:
    """The run of a lock order ends before anybody waits, which is said; that of the deadlock is told as recursive."""
    model = tmp_path / "again.pchk"
    model.write_text(
        "protocol again hypervisor kvm { lock m : mutex; proc inner() { with m { skip; } } "
        "thread a { with m { inner(); } } }",
        encoding="utf-8",
    )
    found = document(check_file(model))
    told = tell(find_format("lockdep"), found, tuple(all_runs(found)))
    assert told.text.count("WARNING: possible recursive locking detected") == 1
    assert told.left_out == (
        "lockdep cannot tell again/default/lock_order: it ends before anybody waits; where it goes on to a deadlock, "
        "that has a run of its own",
    )


def test_the_unsafe_scenario_of_lockdep_is_the_run() -> None:
    """Rows are in the order of the steps, each in the column of its thread."""
    text = lockdep.render(DEADLOCK, all_runs(DEADLOCK))
    rows = re.findall(r"^ +(r?lock\(\w\);)$", text, re.MULTILINE)
    assert rows == ["lock(a);", "rlock(b);", "lock(b);", "lock(a);"]


def test_lockdep_refuses_what_is_no_matter_of_locks() -> None:
    """An assertion, and a thread that waits for something else than a lock, are refused with the reason."""
    (run,) = all_runs(TWICE)
    assert lockdep.refuses(run) == "it ends in no deadlock and breaks no order of locks"
    told = tell(find_format("lockdep"), TWICE, (run,))
    assert told.text == ""
    assert told.left_out == (f"lockdep cannot tell pages/racing/double_populate: {lockdep.refuses(run)}",)
    (run,) = all_runs(DEADLOCK)
    explanation = run.trace.ending.deadlock
    assert explanation is not None
    blocked = tuple(replace(b, waits="await done") for b in explanation.blocked)
    ending = replace(run.trace.ending, deadlock=replace(explanation, blocked=blocked))
    waiting = replace(run, found=replace(run.found, trace=replace(run.trace, ending=ending)))
    assert lockdep.refuses(waiting) == "kvm.one waits for await done, which is no lock"


@pytest.mark.parametrize("name", [*DOCUMENTS, "nasty"])
def test_rst_parses_without_a_word_of_complaint(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """docutils, asked to report everything, reports nothing, and finds one table per run."""
    doc = NASTY if name == "nasty" else DOCUMENTS[name]
    text = rst.render(doc, all_runs(doc))
    settings = {"report_level": 1, "halt_level": 5}
    tree = docutils.core.publish_doctree(text, settings_overrides=settings)
    assert capsys.readouterr().err == ""
    assert list(tree.findall(docutils.nodes.system_message)) == []
    assert len(list(tree.findall(docutils.nodes.table))) == len(all_runs(doc))


def test_rst_can_complain() -> None:
    """A table with a border too short is seen by that test."""
    text = rst.render(DEADLOCK, all_runs(DEADLOCK)).replace("--+\n", "-+\n", 1)
    settings = {"report_level": 5, "halt_level": 5}
    tree = docutils.core.publish_doctree(text, settings_overrides=settings)
    assert list(tree.findall(docutils.nodes.table)) == []


# --------------------------------------------------------------------------------------------------------------------
# Diagrams


def test_mermaid_has_a_message_per_step_and_escapes_the_rest() -> None:
    """Steps are numbered messages; what would end or split a statement is an entity."""
    text = mermaid.render(NASTY, all_runs(NASTY))
    messages = re.findall(r"^    t\d-?->>t\d: (\d+)\.", text, re.MULTILINE)
    assert messages == ["1", "2", "3", "4"]
    body = [line for line in text.split("\n")[2:] if line]
    assert not [line for line in body if re.search(r"\bend\b|<(?!br/>)|;(?<!#\d\d;)(?<!#\d\d\d;)(?<!#\d\d\d\d;)", line)]


def test_dot_is_drawn_by_graphviz() -> None:
    """Graphviz accepts the graphs, and draws every thread and lock of the deadlock."""
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    drawn = dot.svg(LOCKS, all_runs(LOCKS))
    root = ElementTree.fromstring(drawn)
    texts = {t.text for t in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"kvm.one", "kvm.two", "a", "b", "waits (write)", "since step 3"} <= texts


def test_dot_quotes() -> None:
    """Quotes and backslashes of a model stay inside of their string."""
    doc = replace(NASTY, models=(replace(NASTY.models[0], name='a"b\\'),))
    text = dot.render(doc, ())
    assert text.startswith("digraph protocheck {")
    assert dot.quoted('a"b\\n') == '"a\\"b\\\\n"'


def test_graphviz_is_not_needed_for_dot_and_missed_by_name_for_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Graphviz that is known before anything is drawn."""
    monkeypatch.setenv("PATH", "")
    assert not dot.available()
    assert dot.render(LOCKS, all_runs(LOCKS)).startswith("digraph")


# --------------------------------------------------------------------------------------------------------------------
# For programs


@pytest.mark.parametrize("name", [*DOCUMENTS, "nasty"])
def test_itf_follows_its_schema(name: str) -> None:
    """Every state has every variable, and no plain number is a value."""
    doc = NASTY if name == "nasty" else DOCUMENTS[name]
    schema = json.loads((DATA / "itf.schema.json").read_text(encoding="utf-8"))
    for run in all_runs(doc):
        trace = json.loads(itf.render(doc, [run]))
        jsonschema.validate(trace, schema)
        assert all(set(state) == {"#meta", *trace["vars"]} for state in trace["states"])
        assert [s["#meta"]["index"] for s in trace["states"]] == list(range(len(trace["states"])))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"vars": ["x"], "states": [{"x": 1}]}, schema)


def test_itf_tells_values_and_who_chose_what() -> None:
    """Cells of one variable are one map, and action and choices stand where consumers look for them."""
    trace = json.loads(itf.render(TWICE, all_runs(TWICE)))
    last = trace["states"][3]
    assert last["spte"] == {"#map": [["gfn0", "none"], ["gfn1", "private"]]}
    assert last["page.populated"] == {"#map": [["gfn0", False], ["gfn1", True]]}
    assert last["mbt::actionTaken"] == "kvm.fault[vcpu0]: populate(g);"
    assert last["mbt::nondetPicks"] == {"kind": {"tag": "Some", "value": "private"}}
    assert last["#meta"]["actor"] == "kvm.fault[vcpu0]"
    assert last["#meta"]["choices"] == {"kind": "private"}
    assert trace["#meta"]["status"] == "violation"


def test_itf_integers_are_bigints_and_optional_ones_sets() -> None:
    """Numbers are never plain; ``none`` among numbers makes sets of at most one."""
    (run,) = all_runs(TWICE)
    cells = tuple(replace(c, name="n[7]", value="none") if c.name == "spte[gfn0]" else c for c in run.trace.initial)
    cells = tuple(replace(c, name="n[8]", value="-3") if c.name == "spte[gfn1]" else c for c in cells)
    steps = tuple(replace(s, changes=()) for s in run.trace.steps)
    trace = replace(run.trace, initial=cells, steps=steps)
    told = json.loads(itf.render(TWICE, [replace(run, found=replace(run.found, trace=trace))]))
    assert told["states"][0]["n"] == {
        "#map": [[{"#bigint": "7"}, {"#set": []}], [{"#bigint": "8"}, {"#set": [{"#bigint": "-3"}]}]]
    }
    assert told["#meta"]["varTypes"]["n"] == "(Int -> Set(Int))"


@pytest.mark.parametrize("doc", [*DOCUMENTS.values(), EVERY, FAULTY], ids=[*DOCUMENTS, "every", "faulty"])
def test_jsonl_follows_its_schema(doc: Document) -> None:
    """Each line is an object of the published schema, one per finding, and the last is the exit status."""
    validator = jsonschema.Draft202012Validator(jsonl.schema())
    lines = [json.loads(line) for line in jsonl.render(doc, ()).splitlines()]
    for line in lines:
        validator.validate(line)
    findings = sum(len(s.verdicts) for m in doc.models for s in m.scenarios)
    assert [line["type"] for line in lines].count("finding") == findings
    assert (lines[-1]["type"], lines[-1]["exit_status"]) == ("exit", doc.exit_status)


def test_the_schema_of_jsonl_forbids_surprises() -> None:
    """A line with a field of no kind is invalid."""
    schema = jsonl.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    line = json.loads(jsonl.render(FAULTY, ()).splitlines()[-1])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**line, "surprise": 1})


@pytest.mark.parametrize(
    "doc", [*DOCUMENTS.values(), EVERY, FAULTY, NASTY, document()], ids=[*DOCUMENTS, "every", "faulty", "nasty", "none"]
)
def test_junit_follows_its_schema(doc: Document) -> None:
    """Jenkins would read it, and the counts are those of the cases."""
    text = junit.render(doc, ())
    xmlschema.XMLSchema(str(DATA / "junit.xsd")).validate(text)
    root = ElementTree.fromstring(text)
    cases = list(root.iter("testcase"))
    assert root.get("tests") == str(len(cases))
    assert len(cases) >= 1
    assert root.get("failures") == str(sum(c.find("failure") is not None for c in cases))


def test_junit_tells_failures_limits_and_our_own_faults_apart() -> None:
    """A difference fails, a limit skips, evidence that does not stand up is an error, an expected violation passes."""
    report = sample.report(
        sample.scenario(
            "s",
            sample.finding("fails", Violated(3, True), as_expected=False),
            sample.finding("open", Unknown(Limit.TIME), as_expected=False, open=True),
            sample.finding("shown", Violated(3, True), "violated"),
            sample.finding("broken", sample.OUTCOMES[-1], as_expected=False),
        )
    )
    root = ElementTree.fromstring(junit.render(document(report), ()))
    kinds = {c.get("name"): [child.tag for child in c] for c in root.iter("testcase")}
    assert kinds == {"fails": ["failure"], "open": ["skipped"], "shown": ["system-out"], "broken": ["error"]}


def test_the_body_of_a_junit_failure_is_the_run() -> None:
    """Who reads only the report of the CI server sees the table; control characters are gone."""
    root = ElementTree.fromstring(junit.render(TWICE, ()))
    body = next(f.text for f in root.iter("failure") if "double_populate" not in (f.get("message") or ""))
    assert body is not None
    assert "kvm.fault[vcpu0]" in body
    assert "\x1b" not in junit.render(NASTY, ())


@pytest.mark.parametrize(
    "doc", [*DOCUMENTS.values(), EVERY, FAULTY, NASTY], ids=[*DOCUMENTS, "every", "faulty", "nasty"]
)
def test_sarif_follows_its_schema(doc: Document) -> None:
    """The log is valid, its uris are relative, and rules are found by their index."""
    schema = json.loads((DATA / "sarif-2.1.0.subset.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    log = json.loads(sarif.render(doc, ()))
    jsonschema.validate(log, schema)
    (run,) = log["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_has_a_thread_flow_per_thread_in_one_order() -> None:
    """The execution orders of all flows together are the steps of the run, each once."""
    log = json.loads(sarif.render(TWICE, ()))
    result = log["runs"][0]["results"][0]
    flows = result["codeFlows"][0]["threadFlows"]
    assert [f["id"] for f in flows] == ["kvm.fault[vcpu0]", "kvm.fault[vcpu1]"]
    assert [[x["executionOrder"] for x in f["locations"]] for f in flows] == [[1, 3], [2, 4]]
    assert flows[0]["locations"][1]["state"]["spte[gfn1]"] == {"text": "private"}
    locks = json.loads(sarif.render(LOCKS, ()))["runs"][0]["results"][0]["codeFlows"][0]["threadFlows"]
    assert locks[0]["locations"][0]["kinds"] == ["acquire", "lock"]


def test_what_is_expected_is_no_sarif_result() -> None:
    """A model that documents a fault raises no alert."""
    assert json.loads(sarif.render(DEADLOCK, ()))["runs"][0]["results"] == []


def test_sarif_fingerprints_do_not_depend_on_lines() -> None:
    """An edit above a finding leaves its fingerprint, another property or another run changes it."""
    (run,) = all_runs(TWICE)
    moved = tuple(replace(s, places=tuple(Place(p.file, p.line + 9, 1) for p in s.places)) for s in run.trace.steps)
    other = tuple(replace(s, text="other") for s in run.trace.steps)

    def mark(prop: str, steps: Any) -> str:
        found = replace(run.found, trace=replace(run.trace, steps=steps))
        return sarif.fingerprint(run.model, run.scenario, prop, found)

    assert mark("p", run.trace.steps) == mark("p", moved)
    assert len({mark("p", run.trace.steps), mark("q", run.trace.steps), mark("p", other)}) == 3


def test_uris_are_escaped() -> None:
    """A space and a backslash do not get into a reference, and an absolute path is a file uri."""
    assert sarif.uri("models/a b.pchk") == "models/a%20b.pchk"
    assert sarif.uri("models\\a.pchk") == "models/a.pchk"
    assert sarif.uri("/tmp/a.pchk") == "file:///tmp/a.pchk"


def test_github_commands_stay_on_one_line_each() -> None:
    """Line breaks, percent signs and separators are escaped as the runner unescapes them."""
    lines = github.render(FAULTY, ()).splitlines()
    assert lines == [
        "::error title=unknown-name,file=models/m%3A1.pchk,line=2,col=1,endLine=2,endColumn=5"
        "::no lock is called `x`, 100%25%0Ahelp: declare it",
        "::error title=protocheck::m.pchk: out of memory",
    ]
    for line in github.render(NASTY, ()).split("\n")[:-1]:
        assert line.startswith("::error title=")


def test_github_points_at_what_failed() -> None:
    """The annotation stands at a line of the model, and a limit is a warning."""
    assert github.render(TWICE, ()).startswith(
        "::error title=pages%2C racing%3A double_populate,file=models/abba.pchk,line=6,col=18::violated in 4 steps"
    )
    opened = sample.report(sample.scenario("s", sample.finding("p", Unknown(Limit.TIME), as_expected=False, open=True)))
    assert github.render(document(opened), ()).startswith("::warning title=abba%2C s%3A p,")


def test_the_step_summary_is_a_table_and_the_runs() -> None:
    """What differs is a row each; the run is there as text and as a diagram; nothing of a model is markup."""
    text = github.summary(TWICE, all_runs(TWICE))
    assert "| models/abba.pchk | racing | double\\_populate | violated in 4 steps" in text
    assert "```mermaid\nsequenceDiagram" in text
    assert "all as expected" in github.summary(DEADLOCK, all_runs(DEADLOCK))
    nasty_text = github.summary(NASTY, all_runs(NASTY))
    outside = re.sub(r"(?s)(`{3,})\w+\n.*?\n\1(?=\n)", "", nasty_text)
    assert "<script>" not in outside


def test_the_page_cannot_be_broken_by_a_model() -> None:
    """No text of a model ends the script element, and nothing is loaded from anywhere."""
    text = html.render(NASTY, all_runs(NASTY))
    assert text.count("</script>") == 2
    assert "default-src 'none'" in text
    assert not re.search(r"""(?i)\b(src|href)\s*=|@import|url\(|https?://""", text)
