"""Models of several files: what is found, what is not, and what is said about faults in a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.types.check import load

MODEL = "protocol test\nimport parts.lib(bits) as a\ntype bits = 0..3\nhypervisor kvm { thread main { a.note(1); } }\n"
LIBRARY = "module lib(type kind)\nghost state seen : kind? = none;\nghost proc note(k : kind) { seen = k; }\n"


def faults(folder: Path, **files: str) -> tuple[Diagnostic, ...]:
    """What is wrong with ``main.pchk`` among these files."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.pchk"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as raised:
        load(folder / "main.pchk", "main.pchk")
    return raised.value.diagnostics


def test_library_beside_the_model(tmp_path: Path) -> None:
    """A library is found in the folder of the model, by its dotted path."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "lib.pchk").write_text(LIBRARY, encoding="utf-8")
    (tmp_path / "main.pchk").write_text(MODEL, encoding="utf-8")
    assert "a.note" in load(tmp_path / "main.pchk").routines


def test_missing_library(tmp_path: Path) -> None:
    """A library that is not there is reported once, and nothing that it would declare is."""
    found = faults(tmp_path, main=MODEL)
    assert [d.rule.name for d in found] == ["missing-import"]
    assert found[0].headline == "there is no library `parts.lib`"
    assert found[0].labels[0].span.text == "parts.lib"


def test_misspelt_library(tmp_path: Path) -> None:
    """The name of a shipped library that is close is offered."""
    found = faults(tmp_path, main=MODEL.replace("parts.lib", "lib.contnt"))
    assert found[0].help == "did you mean `lib.content`?"


def test_cyclic_import(tmp_path: Path) -> None:
    """Two libraries that import each other are refused, with the way round."""
    one = "module lib(type kind)\nimport parts.two(kind) as two\n" + LIBRARY.split("\n", 1)[1]
    two = "module two(type kind)\nimport parts.lib(kind) as one\n"
    found = faults(tmp_path, main=MODEL, parts__lib=one, parts__two=two)
    assert [d.rule.name for d in found] == ["cyclic-import"]
    assert found[0].headline == "`parts.lib` imports itself"
    assert found[0].labels[0].text == "parts.lib -> parts.two -> parts.lib"


def test_model_as_library(tmp_path: Path) -> None:
    """A model cannot be imported."""
    found = faults(tmp_path, main=MODEL, parts__lib="protocol lib\nhypervisor x { thread y { } }\n")
    assert [d.rule.name for d in found] == ["missing-import"]
    assert found[0].headline == "`parts.lib` is a model, not a library module"


def test_library_as_model(tmp_path: Path) -> None:
    """A library module cannot be checked by itself."""
    found = faults(tmp_path, main=LIBRARY)
    assert [d.rule.name for d in found] == ["not-a-model"]
    assert found[0].headline == "`lib` is a library module"


def test_fault_in_a_library(tmp_path: Path) -> None:
    """A type error in a library is shown where it stands, in the library's own file."""
    found = faults(tmp_path, main=MODEL, parts__lib=LIBRARY.replace("seen = k", "sean = k"))
    assert [(d.rule.name, str(d.labels[0].span)) for d in found] == [("unknown-name", "parts/lib.pchk:3:29")]


def test_library_that_does_not_parse(tmp_path: Path) -> None:
    """What is said about the text of a library stands beside the import that needs it."""
    found = faults(tmp_path, main=MODEL, parts__lib=LIBRARY.replace("proc note", "prok note"))
    assert found[0].rule.name == "missing-import"
    assert found[0].headline == "the library `parts.lib` is faulty"
    assert found[1].labels[0].span.file.path == "parts/lib.pchk"


@pytest.mark.parametrize(
    ("arguments", "headline"),
    [
        ("", "`lib` needs a type for `kind`"),
        ("bits, bits", "`lib` takes 1 arguments"),
        ("kin = bits", "`lib` has no parameter `kin`"),
        ("bits, kind = bits", "`kind` is given twice"),
        ("kvm", "`kvm` is an actor, not a type"),
    ],
)
def test_import_arguments(tmp_path: Path, arguments: str, headline: str) -> None:
    """Arguments of an import must be those that the library takes."""
    found = faults(tmp_path, main=MODEL.replace("(bits)", f"({arguments})", 1), parts__lib=LIBRARY)
    assert found[0].rule.name == "wrong-import-arguments"
    assert headline in [d.headline for d in found]
