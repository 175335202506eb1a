"""Words that are keywords in one place and names in all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.check import check_file
from protocheck.diagnostics import ModelError
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.syntax.words import names_among

BOTH = """\
protocol order
source "a text"
type record = enum { old, at, every }
type vcpu   = scalarset(vcpus in 1..2 = 2)
type entry  = record { source : record, count : 0..3, check : bool }
const stop = 1
hypervisor kvm {
    lock every : [vcpu] mutex;
    lock order : mutex;
    state count  : 0..3 = 0;
    state always : record = old;
    state kept   : entry = { source = at, count = 0, check = false };
    op bug() { count = min(count + 1, 3); }
    proc region(check : bool) {
        let at = count;
        if check { region source { at: kvm.bug(); } }
        kept.count = at;
    }
    thread stop[v : vcpu] {
        with order { acquire every every;  release every every; }
        region(true);
        loop at most 2 times { if always == at { break; } }
        always = record.at;
    }
    thread old { if count > 3 { bug "never"; }  await finished_one;  choose v : vcpu;  stop stop[v]; }
    state finished_one : bool = true;
}
order order -> every
always invariant always: (count t in kvm.stop : at(t, at)) <= 2 && (count v in vcpu : true) == 2;
transition count: old(kvm.count) <= kvm.count;
every kvm.region finishes;
reachable check: kvm.count == 1 && (exists t in kvm.stop : in(t, source)) && stop == 1;
scenario every { expect all hold; }
check always, count, check, bug, range, lock_misuse;
"""


def verdicts(tmp_path: Path, text: str) -> list[tuple[str, bool]]:
    path = tmp_path / "words.pchk"
    path.write_text(text, encoding="utf-8")
    return [(f.name, f.as_expected) for s in check_file(path).scenarios for f in s.findings]


def test_the_same_words_are_keywords_and_names_in_one_file(tmp_path: Path) -> None:
    """A model that uses each of these words in both ways means what it says, and every claim holds."""
    found = verdicts(tmp_path, BOTH)
    assert [name for name, good in found if not good] == []
    assert {"always", "count", "check"} <= {name for name, _ in found}


def test_a_property_may_have_such_a_name_in_an_expectation(tmp_path: Path) -> None:
    """`expect at violated at at` is about a property, a verdict and a label."""
    text = (
        "protocol p\nhypervisor kvm {\n state n : 0..2 = 0;\n thread t { skip;  at: n = 1; }\n}\n"
        "always invariant at: kvm.n == 0;\nalways invariant order: kvm.n <= 1;\n"
        "scenario old { expect order holds, at violated in at most 2 steps at at, others hold; }\n"
    )
    assert all(good for _, good in verdicts(tmp_path, text))


def test_lock_order_findings_still_have_their_kinds(tmp_path: Path) -> None:
    """`lock_order against order violated` is read as before."""
    text = (
        "protocol p\nhypervisor kvm {\n lock a : mutex;\n lock b : mutex;\n"
        " thread t { with b { with a { skip; } } }\n}\norder kvm.a -> kvm.b\n"
        "scenario s { expect lock_order against order violated, others hold; }\n"
    )
    assert all(good for _, good in verdicts(tmp_path, text))


def test_a_call_of_something_called_old_needs_its_owner() -> None:
    """Behind `old` a parenthesis makes it the operator, unless its owner or a declaration stands before it."""
    kinds = ["LET", "NAME", "EQ", "OLD", "LPAR", "NAME", "RPAR"]
    assert names_among(kinds, frozenset({"NAME"})) == ()
    assert names_among(["NAME", "DOT", "OLD", "LPAR", "RPAR"], frozenset({"NAME"})) == (2,)


@pytest.mark.parametrize("word", ["in", "by", "any", "stale", "lock", "state"])
def test_what_stays_reserved_says_so(word: str) -> None:
    """A keyword that could be mistaken is refused as a name, by its own rule."""
    with pytest.raises(ModelError) as caught:
        parse(SourceFile("test.pchk", f"protocol p\nhypervisor kvm {{ thread t {{ let {word} = 1; }} }}"))
    assert [d.rule.name for d in caught.value.diagnostics] == ["keyword-as-name"]
