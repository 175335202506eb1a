"""Reading files: what is no text is refused by name, and never read further than needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.source import SourceFile
from protocheck.syntax.parse import MAX_BRACKETS, MAX_BYTES, MAX_DEPTH, MAX_FAULTS, load_source, parse


def fault(path: Path) -> Diagnostic:
    with pytest.raises(ModelError) as caught:
        load_source(path, "shown.pchk")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.labels[0].span.file.path == "shown.pchk"
    assert str(path) not in diagnostic.headline
    return diagnostic


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.pchk"
    path.write_bytes(data)
    return path


def names(text: str) -> list[str]:
    with pytest.raises(ModelError) as caught:
        parse(SourceFile("test.pchk", text))
    return [d.rule.name for d in caught.value.diagnostics]


def test_plain_text_is_read_as_it_is(tmp_path: Path) -> None:
    """The text and the shown path are those given; a mark of UTF-8 is dropped."""
    source = load_source(written(tmp_path, b"\xef\xbb\xbfprotocol p // \xc3\xbc\r\n"), "shown.pchk")
    assert (source.path, source.text) == ("shown.pchk", "protocol p // ü\r\n")


def test_missing_file(tmp_path: Path) -> None:
    """A path that does not exist is unreadable, with the reason of the system."""
    found = fault(tmp_path / "none.pchk")
    assert (found.rule.name, found.headline) == (
        "unreadable-file",
        "cannot read `shown.pchk`: no such file or directory",
    )


def test_directory(tmp_path: Path) -> None:
    """A directory is unreadable."""
    assert fault(tmp_path).headline == "cannot read `shown.pchk`: is a directory"


def test_path_with_a_nul(tmp_path: Path) -> None:
    """A path that no system can have is unreadable, not a crash."""
    assert fault(tmp_path / "a\0b").rule.name == "unreadable-file"


def test_binary_file(tmp_path: Path) -> None:
    """NUL bytes are no text."""
    found = fault(written(tmp_path, b"\x7fELF\x00\x01"))
    assert (found.rule.name, found.headline) == (
        "binary-file",
        "`shown.pchk` is not text: there is a NUL byte at 4",
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16(tmp_path: Path, encoding: str) -> None:
    """UTF-16 is told apart from a binary file if it has its mark."""
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found = fault(written(tmp_path, mark + "protocol p".encode(encoding)))
    assert (found.rule.name, found.headline) == ("not-utf8", "`shown.pchk` is UTF-16 text")


def test_latin1(tmp_path: Path) -> None:
    """A byte that UTF-8 cannot have is named with its line."""
    found = fault(written(tmp_path, "protocol p\n// für\n".encode("latin-1")))
    assert (found.rule.name, found.headline) == (
        "not-utf8",
        "`shown.pchk` is not UTF-8 text: line 2 has the byte 0xfc",
    )


def test_size_limit_is_exact(tmp_path: Path) -> None:
    """A file of the largest size is read, one byte more is too large."""
    path = written(tmp_path, b"/" * MAX_BYTES)
    assert len(load_source(path).text) == MAX_BYTES
    with path.open("ab") as stream:
        stream.write(b"/")
    assert fault(path).rule.name == "file-too-large"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file")
def test_endless_file() -> None:
    """A file without an end is not read to its end."""
    assert fault(Path("/dev/zero")).rule.name == "file-too-large"


@pytest.mark.parametrize("text", ["", " \n\t", "// only this\n", "/// and this"])
def test_nothing_to_read(text: str) -> None:
    """White space and comments are an empty file."""
    assert names(text) == ["empty-file"]


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("{", "}"), ("[", "]"), ("a[", "]"), ("f(", ")")])
@pytest.mark.parametrize("depth", [MAX_BRACKETS + 1, 10_000])
def test_deep_brackets(opening: str, closing: str, depth: int) -> None:
    """One bracket more than the limit, or ten thousand, are one named fault."""
    assert names("protocol p\nconst A = " + opening * depth + "1" + closing * depth) == ["nesting-too-deep"]


def test_brackets_at_the_limit() -> None:
    """As many brackets as allowed are read, also where each of them makes two levels of the tree."""
    depth = MAX_BRACKETS
    parse(SourceFile("test.pchk", "protocol p\nconst A = " + "f(" * depth + "1" + ")" * depth))
    deep = depth - 2
    parse(SourceFile("test.pchk", "protocol p\nguest g { proc f() {" + "if a {" * deep + "}" * deep + "} }"))


@pytest.mark.parametrize(
    "text",
    [
        "const A = 1" + " + 1" * MAX_DEPTH,
        "const A = " + "!" * 2000 + "a",
        "const A = a" + ".b" * 2000,
        "guest g { proc f() { if a { }" + "else if a { }" * 2000 + "} }",
        "guest g { proc f() {" + "l:" * 2000 + "skip; } }",
    ],
    ids=["sum", "not", "member", "else", "label"],
)
def test_deep_trees_without_brackets(text: str) -> None:
    """A chain that makes a tree too high for those who walk it is one named fault."""
    assert names("protocol p\n" + text) == ["nesting-too-deep"]


def test_faults_are_capped() -> None:
    """Of very many faults the first hundred are shown, and the last diagnostic says that there are more."""
    for text in ("state x : ;\n" * 500, "guest g {\n" + "state x : ;\n" * 500 + "}\n", "@ " * 500):
        found = names("protocol p\n" + text)
        assert len(found) == MAX_FAULTS + 1
        assert found[-1] == "too-many-faults"
