"""What the documents show is what happens: every example is checked, compiled and, where it expects something, run.

How blocks are read (docs/language.md says the same to its readers):

- ``pchk``: a model. Without a header it gets ``protocol example``, and without a thread an idle one. It must be
  accepted without a warning. If it has scenarios, each must be as it expects.
- ``pchk faulty``: a model with a fault, for a ``console`` behind it.
- ``pchk fragment``: statements; they stand where the page's ``pchk workbench`` says ``// here``.
- ``error``: what is printed about the block before it, to the letter; it must be faulty then.
- ``console``: lines after ``$`` are commands, the rest is what they print. The models and modules that stand before it
  on the page are files there, by their names.

``make accept`` writes ``error`` and ``console`` blocks anew.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import get_args

import pytest

from protocheck import check, cli, findings
from protocheck.diagnostics import ModelError
from protocheck.engines import verdict
from protocheck.ir.expr import TRUE
from protocheck.ir.system import LockKind, ThreadKind
from protocheck.lower import compile_system, instantiate
from protocheck.reports.diagnostics import render
from protocheck.reports.style import Style
from protocheck.resources import models_path
from protocheck.source import SourceFile
from protocheck.syntax import nodes
from protocheck.syntax.parse import parse
from protocheck.syntax.rules import LATER
from protocheck.types.calls import BUILTINS
from protocheck.types.check import check as check_types
from protocheck.types.check import library_loader

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)( \w+)?\n(.*?)^```$", re.M | re.S)
IDLE = "\nhypervisor idle_host { thread idle_thread { } }\n"


@dataclass(frozen=True)
class Block:
    """A fenced block: ``at`` is where its text begins in the page."""

    page: Path
    kind: str
    text: str
    at: int
    number: int

    @property
    def place(self) -> str:
        """The page and the line in it."""
        line = self.page.read_text(encoding="utf-8").count("\n", 0, self.at) + 1
        return f"{self.page.relative_to(DOCS).as_posix()}:{line}"


def read(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, (found[1] + (found[2] or "")), found[3], found.start(3), number)
        for number, found in enumerate(FENCE.finditer(text))
    ]


PAGES = sorted(DOCS.rglob("*.md"))
BLOCKS = [block for page in PAGES for block in read(page)]
MODELS = [b for b in BLOCKS if b.kind in ("pchk", "pchk fragment", "pchk workbench")]
CONSOLES = [b for b in BLOCKS if b.kind == "console"]


def following(block: Block) -> Block | None:
    """The block behind ``block`` on its page, if it says what is printed about it."""
    after = [b for b in BLOCKS if b.page == block.page and b.number == block.number + 1]
    return after[0] if after and after[0].kind == "error" else None


def whole(block: Block) -> str:
    """The model that a block stands for."""
    if block.kind == "pchk fragment":
        (bench,) = [b for b in BLOCKS if b.page == block.page and b.kind == "pchk workbench"]
        indented = "".join(f"        {line}".rstrip() + "\n" for line in block.text.splitlines())
        assert bench.text.count("        // here\n") == 1
        return bench.text.replace("        // here\n", indented)
    text = block.text
    if not re.search(r"^(protocol|module)\b", text, re.M):
        text = f"protocol example\n{text}"
    if re.search(r"^module\b", text, re.M) or re.search(r"\b(thread|server|environment|adversary) \w+", text):
        return text
    return text + IDLE


def named(text: str) -> str:
    """The name that a model or module gives itself."""
    found = re.search(r"^(?:protocol|module) (\w+)", text, re.M)
    assert found
    return found[1]


def write_models(page: Path, before: int, folder: Path) -> None:
    """Write the models and modules of ``page`` that stand before block ``before`` to files of their names."""
    for b in BLOCKS:
        if b.page == page and b.number < before and b.kind in ("pchk", "pchk faulty"):
            text = whole(b)
            (folder / f"{named(text)}.pchk").write_text(text, encoding="utf-8")


def accept(block: Block, text: str) -> None:
    """Let the page say ``text`` in ``block``, and keep the positions of later blocks right."""
    page = block.page.read_text(encoding="utf-8")
    at = [m.start(3) for m in FENCE.finditer(page)][block.number]
    end = page.index("\n```", at - 1) + 1
    block.page.write_text(page[:at] + text + page[max(at, end) :], encoding="utf-8")


def nodes_of(value: object) -> Iterator[nodes.Node]:
    """Every node below ``value``."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from nodes_of(part)
    elif is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, nodes.Node):
            yield value
        for f in fields(value):
            if f.name not in ("span", "file"):
                yield from nodes_of(getattr(value, f.name))


# --------------------------------------------------------------------------------------------------------- examples


@pytest.mark.parametrize("block", MODELS, ids=lambda b: b.place)
def test_example(block: Block, tmp_path: Path) -> None:
    """A model is accepted without a warning and compiles, or gives exactly the messages that are shown behind it."""
    text, said = whole(block), following(block)
    write_models(block.page, block.number, tmp_path)
    try:
        module = parse(SourceFile("example.pchk", text))
        if isinstance(module.header, nodes.ModuleHeader) and said is None:
            return
        checked = check_types(module, library_loader(tmp_path))
        for name in check.scenario_names(checked):
            compile_system(checked, instantiate(checked, name, {}))
        messages = checked.warnings
    except ModelError as fault:
        messages = fault.diagnostics
    printed = render(messages, Style(False, 100))
    if said is not None and os.environ.get("PROTOCHECK_ACCEPT"):
        accept(said, printed)
        return
    assert printed == ("" if said is None else said.text)


EXPECTING = [b for b in MODELS if re.search(r"^scenario\b", b.text, re.M) and following(b) is None]


@pytest.mark.parametrize("block", EXPECTING, ids=lambda b: b.place)
def test_expectation(block: Block, tmp_path: Path) -> None:
    """A model with scenarios is as they expect."""
    write_models(block.page, block.number, tmp_path)
    path = tmp_path / "example.pchk"
    path.write_text(whole(block), encoding="utf-8")
    report = check.check_file(path)
    wrong = [
        f"{s.name}: {f.name}: expected {f.expected}, but {findings.sentence(f.outcome)} {f.message}"
        for s, f in report.findings()
        if not f.as_expected
    ]
    wrong += [f"{s.name}: {m.message}" for s in report.scenarios for m in s.mismatches]
    assert wrong == []


@pytest.mark.parametrize("block", CONSOLES, ids=lambda b: b.place)
def test_console(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command prints what is shown behind it; ``# exit code N`` is how it ends."""
    write_models(block.page, block.number, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    parts = re.split(r"^(\$ .*\n)", block.text, flags=re.M)
    assert not parts[0], "a console block begins with a command"
    printed = ""
    for command in parts[1::2]:
        words = shlex.split(command.removeprefix("$ "), comments=True)
        assert words[0] == "protocheck", command
        wanted = re.search(r"# exit code (\d+)$", command.strip())
        status = cli.main([*words[1:], *(["-j", "1"] if words[1] == "check" else [])])
        assert status == int(wanted[1] if wanted else 0), command
        out = capsys.readouterr()
        printed += command + out.out + out.err
    if os.environ.get("PROTOCHECK_ACCEPT"):
        accept(block, printed)
        return
    assert printed == block.text


def test_blocks_are_known() -> None:
    """No block has a kind that nobody looks at."""
    known = {"pchk", "pchk faulty", "pchk fragment", "pchk workbench", "error", "console", "text"}
    assert {b.kind for b in BLOCKS} <= known
    assert all(BLOCKS[k + 1].kind == "console" for k, b in enumerate(BLOCKS) if b.kind == "pchk faulty")
    assert all(BLOCKS[k - 1].kind.startswith("pchk") for k, b in enumerate(BLOCKS) if b.kind == "error")


# --------------------------------------------------------------------------------------------------- completeness

LANGUAGE = (DOCS / "language.md").read_text(encoding="utf-8")
ACCEPTED = [b for b in MODELS if b.page.name == "language.md" and following(b) is None]


def test_every_construct_has_an_example() -> None:
    """Each kind of node of the syntax tree occurs in an example of the reference that is accepted."""
    seen = {type(x) for b in ACCEPTED for x in nodes_of(parse(SourceFile("example.pchk", whole(b))))}
    kinds = {
        kind for kind in vars(nodes).values()
        if isinstance(kind, type) and issubclass(kind, nodes.Node) and kind is not nodes.Node and is_dataclass(kind)
    }  # fmt: skip
    abstract = {kind for kind in kinds if any(other is not kind and issubclass(other, kind) for other in kinds)}
    assert sorted(k.__name__ for k in kinds - abstract - seen) == []


def test_every_word_has_an_example() -> None:
    """Each keyword, operator, built-in, kind of lock and kind of thread occurs in an accepted example."""
    text = "\n".join(re.sub(r"//.*|\"[^\"]*\"", "", b.text) for b in ACCEPTED)
    grammar = (ROOT / "grammar" / "protocheck.lark").read_text(encoding="utf-8")
    words = [w for w in re.findall(r'^[A-Z_]+: "([^"]+)"', grammar, re.M) if w not in ("_",)]
    words += [*BUILTINS, *(k.value for k in LockKind), *(k.value for k in ThreadKind)]
    words += ["all", "others", "min", "max"]
    tokens = set(re.findall(r"[A-Za-z_]\w*", text))
    assert [w for w in words if (w not in tokens if w.isidentifier() else w not in text)] == []


REFUSED = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) \| (.*?) \|$", LANGUAGE.partition("## Not yet")[2], re.M)


@pytest.mark.parametrize(("word", "looks_like", "what", "instead"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(word: str, looks_like: str, what: str, instead: str) -> None:
    """A construct that is listed as not built is refused by its name, and with the mend that the list gives."""
    found = []
    for text in (looks_like, f"hypervisor kvm {{ {looks_like} }}", f"hypervisor kvm {{ thread t {{ {looks_like} }} }}"):
        try:
            parse(SourceFile("example.pchk", f"protocol example\n{text}\n"))
        except ModelError as fault:
            found += [(d.rule.name, d.headline, d.help) for d in fault.diagnostics]
    said = ("not-yet-supported", f"`{word}` is not supported yet: {what}", f"for now, {instead}")
    assert said in found


def test_every_refused_construct_is_listed() -> None:
    """No word that is planned is missing from the list."""
    assert [word for word, *_ in REFUSED] == list(LATER)


def test_every_library_is_named() -> None:
    """The reference names each library module that is shipped."""
    for module in sorted((models_path() / "lib").glob("*.pchk")):
        assert f"`lib.{module.stem}`" in LANGUAGE


# ------------------------------------------------------------------------------------------------------ guarantees

OUTCOMES = get_args(findings.Outcome)
VERDICTS = (*get_args(verdict.Verdict), *get_args(verdict.Certificate))


def flat(text: str) -> str:
    """``text`` on one line, with the code marks of docstrings as those of Markdown."""
    return " ".join(text.replace("``", "`").split())


@pytest.mark.parametrize("kind", [*OUTCOMES, *VERDICTS], ids=lambda k: f"{k.__module__.split('.')[-1]}.{k.__name__}")
def test_guarantee_is_the_docstring(kind: type) -> None:
    """What the page says that a verdict claims is what its type says."""
    page = flat(re.sub(r"^> ?", "", (DOCS / "guarantees.md").read_text(encoding="utf-8"), flags=re.M))
    assert flat(getdoc(kind) or "") in page


def test_every_sentence_is_worded() -> None:
    """The page shows each sentence that a report can print, as the report words it."""
    page = flat((DOCS / "guarantees.md").read_text(encoding="utf-8"))
    by = verdict.Exhausted(17397, 38, True)
    for outcome in (
        findings.Holds(by),
        findings.Holds(verdict.Invariant((verdict.Clause((), TRUE),) * 2), ("gfn", "vcpu"), ("2 slot",), True),
        findings.Holds(verdict.Invariant(()), rechecked=True),
        findings.HoldsToDepth(20),
        findings.Violated(7, True),
        findings.Violated(25, False),
        findings.Found(6, True),
        findings.NeverFound(by),
        findings.NotFoundToDepth(20),
        findings.Vacuous("no run reaches the statement", by),
        findings.Unknown(verdict.Limit.TIME, depth=12),
        findings.Broken("a run found by bmc does not replay"),
    ):
        words = re.sub(r"\d[\d,]*", "N", findings.sentence(outcome))
        assert f"`{words}`" in page, words


# ----------------------------------------------------------------------------------------------- pages about the code


def anchors(page: Path) -> set[str]:
    """The names by which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_links_lead_somewhere() -> None:
    """Every file and heading that a page links to exists."""
    lost = []
    for page in PAGES:
        for file, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            target = page.parent / file if file else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append(f"{page.name}: {file}#{anchor}")
    assert lost == []


def test_every_decision_is_linked() -> None:
    """Each page of a decision is reached from the list of decisions."""
    listed = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in (DOCS / "decisions").glob("*.md") if p.name != "README.md" and p.name not in listed] == []


def manifest() -> str:
    """A table of all modules, each with the first paragraph of its docstring."""
    lines = ["| module | what for |", "|---|---|"]
    for path in sorted((ROOT / "protocheck").rglob("*.py")):
        if path.name != "__init__.py" and "_data" not in path.parts:
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            name = path.relative_to(ROOT / "protocheck").as_posix()
            lines.append(f"| `{name}` | {flat(doc.split(chr(10) * 2)[0])} |")
    return "\n".join(lines)


def test_the_architecture_names_every_module() -> None:
    """The manifest has one line per module of the program, in the module's own words."""
    page = DOCS / "architecture.md"
    text = page.read_text(encoding="utf-8")
    rest = text.partition("<!-- manifest: written by `make accept` -->\n")[2]
    listed, end, foot = rest.partition("<!-- end of manifest -->\n")
    if os.environ.get("PROTOCHECK_ACCEPT"):
        page.write_text(f"{text.removesuffix(rest)}\n{manifest()}\n\n{end}{foot}", encoding="utf-8")
        return
    assert listed.strip() == manifest()


def test_every_path_in_the_architecture_exists() -> None:
    """Folders and files that the page speaks of are there."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:protocheck|tests|models|grammar|docs|results)/[\w/.-]*)`", text):
        assert (ROOT / path).exists(), path


def test_every_wart_names_its_test() -> None:
    """Each section of known limits names a test that exists, or shows an example that runs."""
    page = DOCS / "warts.md"
    text = page.read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    assert sections
    for section in sections:
        named_tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
        assert named_tests or "```pchk" in section, section.splitlines()[0]
        for file, test in named_tests:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
            assert test in functions, f"{file}::{test}"
