"""The shipped libraries: what they say of themselves, that every fact has a source, and that toys exercise it all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from protocheck import cli
from protocheck.check import scenario_names
from protocheck.engines.explore import explore
from protocheck.engines.verdict import Budget, Reached
from protocheck.ir.system import INJECTED
from protocheck.library import Declaration, Library, find_library, library_names, read_library
from protocheck.lower import compile_system, instantiate
from protocheck.source import SourceFile
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import load_source, parse
from protocheck.types.check import check, library_loader

ROOT = Path(__file__).resolve().parent.parent
TOYS = ROOT / "models" / "toys"
PAGE = ROOT / "docs" / "library.md"
EXERCISED = {"lib.disclosure": "lib_content"}  # by which toy, where it is not the one of the same name

MODULE = """\
/// Doors of a house. Use it for: doors that
/// stick; guests.
module doors(type door, most : 1..3 = 2)
source "Door manual, chapter 2"      // [seen]

/// The lock of all doors. [seen: manual, page 1]
pub lock key : mutex;
lock own : [door] busy;

type how = enum { opened, stuck }    // [deduced: manual]
/// Group of two. [unverified: both]
pub state open  : [door] bool = false;
pub state count : 0..most = 0;       // how many [seen: manual, page 3]

state hidden : bool = false;

/// Opens one, [deduced: manual, page 2] or not.
pub slow op pull(d : door, // which
                 hard : bool) -> how may_fail stuck holds own[d] else stuck {
    if !hard { return stuck; }       // [unverified: how hard]
    open[d] = true;
    note();
    return opened;
}
pub proc wait_open(d : door) {
    await open[d];
    with key { hidden = true; }
}
op note() { assert count < most, "too many" as crowd;  count += 1; }
order key -> key;
"""


def one(name: str) -> Declaration:
    """The declaration of that name in ``MODULE``."""
    (found,) = [d for d in read_library("doors", SourceFile("doors.pchk", MODULE)).declarations if d.name == name]
    return found


@cache
def shipped(name: str) -> Library:
    found = find_library(name)
    assert found is not None
    return read_library(*found)


# ------------------------------------------------------------------------------------------------------------ reading


def test_head_of_a_library() -> None:
    """Purposes are told apart from the comment, parameters are as written, sources have their marks."""
    library = read_library("doors", SourceFile("doors.pchk", MODULE))
    assert (library.module, library.doc) == ("doors", "Doors of a house.")
    assert library.parameters == "type door, most : 1..3 = 2"
    assert library.purposes == ("doors that stick", "guests")
    assert [(s.text, [m.how for m in s.marks]) for s in library.sources] == [("Door manual, chapter 2", ["seen"])]


def test_signature_and_marks_of_an_op() -> None:
    """Comments are no part of a signature; marks come from the comment above and from those in the body."""
    pull = one("pull")
    assert pull.kind == "slow op"
    expected = "pub slow op pull(d : door, hard : bool) -> how may_fail stuck holds own[d] else stuck"
    assert pull.signature == expected
    assert pull.doc == "Opens one, or not."
    assert [(m.how, m.where) for m in pull.marks] == [("deduced", "manual, page 2"), ("unverified", "how hard")]


def test_what_an_op_gives_and_changes() -> None:
    """What is called counts as well, and so do busy locks and injected failures."""
    pull = one("pull")
    assert (pull.results, pull.fails) == (("stuck", "opened"), ("stuck",))
    assert [(b.lock, b.result) for b in pull.busy] == [("own[d]", "stuck")]
    assert (pull.writes, pull.reports) == (("open", "count"), ("crowd",))
    assert pull.locks == ("own",)
    waits = one("wait_open")
    assert (waits.waits, waits.locks, waits.writes) == (("open[d]",), ("key",), ("hidden",))


def test_a_comment_speaks_for_its_group() -> None:
    """A line below shares comment and marks, up to the next empty line; a remark of its own replaces the comment."""
    assert (one("open").doc, one("open").shared) == ("Group of two.", False)
    assert (one("count").doc, [m.where for m in one("count").marks]) == ("how many", ["manual, page 3"])
    assert (one("own").doc, one("own").shared) == ("The lock of all doors.", True)
    assert (one("hidden").doc, one("hidden").marks) == ("", ())
    assert [m.how for m in one("wait_open").marks] == ["deduced"]


def test_what_importers_may_use() -> None:
    """Only what is `pub`, a ghost, a type or an order is public."""
    library = read_library("doors", SourceFile("doors.pchk", MODULE))
    hidden = [d.name for d in library.declarations if not d.public]
    assert hidden == ["own", "hidden", "note"]


# ----------------------------------------------------------------------------------------------------------- commands


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_info_of_a_file_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of an op: its line, its head, what it does, gives, may change, and how that is known."""
    monkeypatch.chdir(tmp_path)
    Path("doors.pchk").write_text(MODULE)
    code, out, _ = run(capsys, "info", "doors.pchk")
    assert code == 0
    assert out.startswith("doors.pchk: doors(type door, most : 1..3 = 2)\n  Doors of a house.\n")
    assert "    - doors that stick\n    - guests\n" in out
    assert """
   18: pub slow op pull(d : door, hard : bool) -> how may_fail stuck holds own[d] else stuck
       Opens one, or not.
       Gives `stuck`, `opened`.
       A scenario with failures may make it fail with `stuck`.
       Gives `stuck` where `own[d]` is busy.
       Takes `own`.
       May change `open`, `count`.
       Reports `crowd`.
       Deduced: manual, page 2. Unverified: how hard.
""" in out
    assert out.index("for its own use") < out.index("op note()")


def test_a_misspelt_library(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is offered, and bare `lib` lists all."""
    code, _, err = run(capsys, "info", "lib.gmen")
    assert (code, "did you mean `lib.gmem`?" in err) == (2, True)
    code, out, _ = run(capsys, "info", "lib")
    assert (code, [line.split(" ")[0] for line in out.splitlines() if line.startswith("lib.")]) == (
        0,
        list(library_names()),
    )


def test_options_that_say_nothing_to_a_library(capsys: pytest.CaptureFixture[str]) -> None:
    """They are refused, and models and libraries do not mix in one call of `doc`."""
    assert run(capsys, "info", "lib.rmp", "-p", "x=1")[0] == 2
    assert run(capsys, "doc", "--library", "lib.rmp")[0] == 2
    assert run(capsys, "doc", "lib.rmp", "--timeout", "3")[0] == 2
    assert run(capsys, "doc", "lib.rmp", "lib.tlb")[0] == 2
    assert run(capsys, "doc", "lib.rmp", str(TOYS / "abba.pchk"), "-o", "x")[0] == 2
    assert run(capsys, "doc")[0] == 2


@pytest.mark.parametrize("name", library_names())
def test_json_is_what_was_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every declaration is in the data, with its line in the file."""
    code, out, _ = run(capsys, "info", name, "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert data["import"] == name
    lines = (ROOT / data["file"]).read_text().splitlines()
    for d in data["declarations"]:
        assert d["signature"].split("(")[0].split(" ")[0] in lines[d["line"] - 1]


def test_the_reference_is_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/library.md is what `doc --library` writes, and `--check` notices when it is not."""
    _, text, _ = run(capsys, "doc", "--library")
    if os.environ.get("PROTOCHECK_ACCEPT"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text
    assert run(capsys, "doc", "--library", "-o", str(PAGE.parent), "--check")[0] == 0
    (tmp_path / "library.md").write_text(text + "more\n")
    code, out, _ = run(capsys, "doc", "--library", "-o", str(tmp_path), "--check")
    assert (code, "has drifted" in out) == (1, True)


def test_links_of_the_reference_lead_somewhere() -> None:
    """Each entry of the contents is the anchor of a heading."""
    text = PAGE.read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    links = re.findall(r"\]\(#([^)]*)\)", text)
    assert len(links) == len(library_names())
    assert set(links) <= anchors


# -------------------------------------------------------------------------------------------------------------- audit


@pytest.mark.parametrize("name", library_names())
def test_every_fact_has_a_mark_and_a_source(name: str) -> None:
    """Each public declaration is marked, and what is seen or deduced names one of the sources of the file."""
    library = shipped(name)
    assert library.sources
    assert all(s.marks for s in library.sources), "a source without a mark"
    assert library.purposes, "it does not say when to import it"
    texts = [s.text.lower() for s in library.sources]
    for d in library.declarations:
        if not d.public:
            continue
        assert d.marks, f"{d.signature} has no mark"
        for m in d.marks:
            assert m.where, f"{d.signature}: [{m.how}] does not say where from, or what"
            key = m.where.split(",")[0].split(";")[0].strip().lower()
            assert m.how == "unverified" or any(key in text for text in texts), f"{d.signature}: no source is `{key}`"


# ---------------------------------------------------------------------------------------------------------- exercises


class Exercise:
    """The toy of a library, with the library changed so that each way through its public ops and procs leaves a trace.

    A ghost of its own is set before each `return` (one per value, where the value is a condition), at the end of a
    routine without result, and before an `assert` that is about to fail.
    """

    def __init__(self, name: str) -> None:
        self.library = shipped(name)
        found = find_library(name)
        assert found is not None
        self.tree = parse(found[1])
        self.ways: list[str] = []
        self.inserts: list[tuple[int, str]] = []
        for item in self.tree.items:
            if isinstance(item, n.RoutineDecl):
                self._routine(item)
        text = found[1].text
        for at, words in sorted(self.inserts, reverse=True):
            text = text[:at] + words + text[at:]
        flags = [f"ghost state went{k} : bool = false;\nreachable way{k}: went{k};" for k in range(len(self.ways))]
        self.text = "\n".join([text, *flags, ""])

    def _way(self, words: str, line: int) -> str:
        self.ways.append(f"{words} (line {line})")
        return f"went{len(self.ways) - 1} = true;"

    def _routine(self, item: n.RoutineDecl) -> None:
        name = item.name.text
        public = item.pub or item.ghost
        for node in walk(item.body):
            line = node.span.line
            if isinstance(node, n.Assert):
                way = self._way(f"{name} reports {node.family}", line)
                self.inserts.append((node.span.start, f"ghost {{ if !({node.cond.span.text}) {{ {way} }} }} "))
            elif isinstance(node, n.Return) and public:
                code = " ".join(self._returns(name, item, node.value, line))
                self.inserts.append((node.span.start, f"ghost {{ {code} }} "))
        if item.result is None and public:
            self.inserts.append((item.body.span.end - 1, f"ghost {{ {self._way(f'{name} ends', item.span.line)} }} "))

    def _returns(self, name: str, item: n.RoutineDecl, value: n.Expr | None, line: int) -> Iterator[str]:
        if value is None:
            yield self._way(f"{name} returns early", line)
            return
        if isinstance(value, n.Conditional):
            yield f"if {value.cond.span.text} {{"
            yield from self._returns(name, item, value.then, line)
            yield "} else {"
            yield from self._returns(name, item, value.otherwise, line)
            yield "}"
            return
        split = ""
        if isinstance(item.result, n.BoolType) and not isinstance(value, n.BoolLit):
            split = value.span.text
        elif isinstance(item.result, n.OptionType) and not isinstance(value, n.NoneLit):
            split = f"({value.span.text}) != none"
        if split:
            yes, no = self._way(f"{name}: {split}", line), self._way(f"{name}: not {split}", line)
            yield f"if {split} {{ {yes} }} else {{ {no} }}"
            return
        yield self._way(f"{name} gives {value.span.text}", line)

    def missed(self) -> set[str]:
        """Explore the toy's scenarios until every way has been gone; what is left."""
        toy = load_source(TOYS / f"{EXERCISED.get(self.library.path, self.library.path.replace('.', '_'))}.pchk")
        plain = library_loader(TOYS)
        own = parse(SourceFile(self.library.file, self.text))
        module = check(parse(toy), lambda path: own if path == self.library.path else plain(path))
        left = set(self.ways)
        left |= {f"{d.name} fails with {f}" for d in self.library.declarations if d.public for f in d.fails}
        left |= {f"{d.name} finds {b.lock} busy" for d in self.library.declarations if d.public for b in d.busy}
        for scenario in scenario_names(module):
            system = compile_system(module, instantiate(module, scenario, {}))
            claims = [p for p in system.properties if re.fullmatch(r"(\w+\.)?way\d+", p.name)]
            assert claims
            found = explore(system, [p.target for p in claims], Budget(states=100_000))
            for p, v in zip(claims, found.verdicts, strict=True):
                if isinstance(v, Reached):
                    left.discard(self.ways[int(p.name.rsplit("way", 1)[1])])
            for taken, count in zip(system.transitions, found.fired, strict=True):
                for note in taken.notes if count else ():
                    if note.startswith(INJECTED):
                        at = taken.origin.span  # an `atomic` has no call in its text
                        calls = re.findall(r"\.(\w+)\(", at.file.line_text(at.line))
                        left -= {f"{op} fails with {note.removeprefix(f'{INJECTED}: ')}" for op in calls}
            if not left:
                break
        return left


def walk(node: object) -> Iterator[n.Node]:
    if isinstance(node, tuple):
        for part in node:
            yield from walk(part)
    elif isinstance(node, n.Node):
        yield node
        for f in fields(node):
            if f.name != "span":
                yield from walk(getattr(node, f.name))


CODE = [
    name for name in library_names() if any(d.kind.endswith(("op", "proc")) for d in shipped(name).declarations)
]


@pytest.mark.parametrize("name", CODE)
def test_the_toy_goes_every_way(name: str) -> None:
    """Each op succeeds and fails in each of its ways in some scenario of the toy, and so does each assertion."""
    exercise = Exercise(name)
    assert exercise.ways
    assert exercise.missed() == set()


def test_a_way_that_is_not_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one more op, or one more value, than the toy makes happen, the exercise is not complete."""
    found = find_library("lib.npt")
    assert found is not None
    more = found[1].text.replace("return true;", "if map[g] != none { return false; }\n    return true;")
    more += "pub op unused(g : gfn) -> bool may_fail false { return map[g] == none; }\n"
    file = SourceFile(found[1].path, more)
    monkeypatch.setitem(globals(), "find_library", lambda name: (name, file))
    monkeypatch.setitem(globals(), "shipped", lambda name: read_library(name, file))
    missed = sorted(re.sub(r" \(line.*", "", m) for m in Exercise("lib.npt").missed())
    unused = ["unused fails with false", "unused: map[g] == none", "unused: not map[g] == none"]
    assert missed == [*unused, "zap gives false"]
