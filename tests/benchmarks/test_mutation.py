"""The document about planted faults: every survivor has its reason, and every reason its survivor."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import mutation
from benchmarks.mutation import OUTPUT, Reason, merged, models, read_reasons, section
from protocheck.mutate import mutate
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types import tree as t
from protocheck.types.check import check, library_loader

MODEL = """\
protocol small
hypervisor k {
    state x : 0..2 = 0;  state y : 0..1 = 0;
    thread a { x = 1; y = 1; }
    thread b { let seen = y; if seen == 1 { x = 1; } }
}
final f: k.y == 1;
scenario s { expect all hold; }
"""


def load() -> t.CheckedModule:
    return check(parse(SourceFile("small.pchk", MODEL)), library_loader(Path()))


SWAP = Reason("small.pchk", "swap two statements", "with the next", "x = 1;", 0, "Either may come first.")
GUARD = Reason("small.pchk", "drop a guard", "always taken", "if seen == 1 { x = 1; }", 1, "It writes the same.")


def test_a_survivor_needs_a_reason_and_a_reason_a_survivor() -> None:
    """Both are wrong by themselves; together the survivor is listed with its reason."""
    found = mutate(load())
    full = section(found, (SWAP, GUARD))
    assert full.wrong == ()
    assert full.text == (
        "## small.pchk\n\nScenarios: `s`.\n\n2 mutants: 2 survived.\n\n"
        "- line 4, swap two statements (with the next): `x = 1;`. Either may come first.\n"
        "- line 5, drop a guard (always taken): `if seen == 1 { x = 1; }`. It writes the same.\n"
    )
    bare = section(found, (SWAP,))
    assert len(bare.wrong) == 1
    assert bare.wrong[0].startswith("small.pchk:5: drop a guard")
    assert "**Unexplained**" in bare.text
    stale = Reason("small.pchk", "drop a lock", "k.m", "with m {", 0, "There is none.")
    assert section(found, (SWAP, GUARD, stale)).wrong == (
        "small.pchk: drop a lock (k.m): with m {: does not survive; its reason is out of date",
    )


def test_sections_are_replaced_one_by_one() -> None:
    """What is not written anew stays, in the order of the models; what is about no model goes."""
    one = section(mutate(load()), (SWAP, GUARD))
    old = "# Old\n\n## z.pchk\n\nlast\n\n## gone.pchk\n\nx\n\n## small.pchk\n\nbefore\n"
    new = merged(old, [one], ("small.pchk", "z.pchk"))
    assert new == f"{mutation.HEAD}\n{one.text}\n## z.pchk\n\nlast\n"
    assert merged(new, [one], ("small.pchk", "z.pchk")) == new


def test_every_reason_is_about_a_line_that_is_there() -> None:
    """The statement that a reason speaks of begins some line of its model."""
    root = Path(mutation.__file__).resolve().parent.parent
    for reason in read_reasons():
        assert reason.file in models(), reason
        text = " ".join((root / reason.file).read_text(encoding="utf-8").split())
        assert reason.code in text, reason
        assert reason.why.endswith("."), reason


def test_what_is_kept_is_about_models_that_are_there() -> None:
    """The document has no section about a model that is gone."""
    heads = [x[3:] for x in OUTPUT.read_text(encoding="utf-8").splitlines() if x.startswith("## ")]
    assert heads == [m for m in models() if m in heads]
    assert heads


def test_an_unknown_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written for a name that no model has."""
    with pytest.raises(SystemExit):
        mutation.main(["models/none.pchk"])
    assert "no such model: models/none.pchk" in capsys.readouterr().err
