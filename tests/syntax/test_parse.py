"""What the text of a model means as a tree, and what is said when it means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.source import SourceFile
from protocheck.syntax import nodes as n
from protocheck.syntax.parse import load_source, parse

DATA = Path(__file__).parent / "data"


def module(text: str) -> n.Module:
    return parse(SourceFile("test.pchk", "protocol p\n" + text))


def expr(text: str) -> n.Expr:
    (item,) = module(f"require {text}").items
    assert isinstance(item, n.Require)
    return item.condition


def statements(text: str) -> tuple[n.Stmt, ...]:
    (actor,) = module(f"hypervisor kvm {{ proc f() {{ {text} }} }}").items
    assert isinstance(actor, n.ActorDecl)
    (proc,) = actor.members
    assert isinstance(proc, n.RoutineDecl)
    return proc.body.statements


def faults(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(ModelError) as caught:
        parse(SourceFile("test.pchk", text))
    return caught.value.diagnostics


def lines(text: str) -> list[str]:
    """Each fault as ``line:column [rule] headline``."""
    return [
        f"{d.labels[0].span.line}:{d.labels[0].span.column} [{d.rule.name}] {d.headline}" for d in faults(text)
    ]


# ------------------------------------------------------------------------------------------------------ whole files


@pytest.mark.parametrize(
    ("name", "items"),
    [("fault_vs_conversion", 11), ("populate_locking", 14), ("snp_remap", 11), ("every_construct", 42)],
)
def test_sample_files_parse(name: str, items: int) -> None:
    """The sample files parse, into exactly this many declarations besides the header."""
    tree = parse(load_source(DATA / f"{name}.pchk"))
    assert isinstance(tree.header, n.Protocol)
    assert tree.header.name.text == name
    assert len(tree.items) == items


def test_library_module_parses() -> None:
    """A library module has a header with type and value parameters, and members outside any actor."""
    tree = parse(load_source(DATA / "every_module.pchk"))
    assert isinstance(tree.header, n.ModuleHeader)
    kinds = [type(p) for p in tree.header.params]
    assert kinds == [n.TypeParam, n.ValueParam, n.ValueParam]
    assert [type(i) for i in tree.items] == [n.StateDecl, n.RoutineDecl, n.LockDecl, n.RoutineDecl]


def test_doc_comments_belong_to_the_next_declaration() -> None:
    """`///` lines go to the declaration after them; `//`, `////` and remarks behind code do not."""
    tree = parse(
        SourceFile(
            "test.pchk",
            "/// The model.\n/// In two lines.\nprotocol p  /// not this\n//// nor this\n"
            "type t = bool /// nor that\n// nor here\nhypervisor kvm {\n    /// the lock\n    pub lock l : mutex;\n}\n",
        )
    )
    assert tree.header.doc == "The model.\nIn two lines."
    typedef, actor = tree.items
    assert isinstance(actor, n.ActorDecl)
    assert isinstance(typedef, n.TypeDecl)
    assert (typedef.doc, actor.doc) == ("", "")
    (lock,) = actor.members
    assert isinstance(lock, n.LockDecl)
    assert lock.doc == "the lock"


def test_line_ends_of_windows_make_no_difference() -> None:
    """A file with CRLF has the same tree as with LF."""
    text = (DATA / "snp_remap.pchk").read_text(encoding="utf-8")
    assert parse(SourceFile("a", text.replace("\n", "\r\n"))).items == parse(SourceFile("a", text)).items


def test_declarations_may_share_a_line() -> None:
    """Declarations are told apart by their first words, not by line ends."""
    assert len(module("type a = bool type b = bool const C = 1 order x -> y nest a by b check all;").items) == 6


# ------------------------------------------------------------------------------------------------------ expressions


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("a || b && c", "a || (b && c)"),
        ("a && b || c", "(a && b) || c"),
        ("a implies b implies c", "a implies (b implies c)"),
        ("a || b implies c", "(a || b) implies c"),
        ("a implies b ? c : d", "(a implies b) ? c : d"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a == b && c != d", "(a == b) && (c != d)"),
        ("a & b == c", "(a & b) == c"),
        ("a | b ^ c & d << e + f * g", "a | (b ^ (c & (d << (e + (f * g)))))"),
        ("a - b - c", "(a - b) - c"),
        ("a / b * c", "(a / b) * c"),
        ("-a + ~b", "(-a) + (~b)"),
        ("!a.b[c]", "!(a.b[c])"),
        ("!p! == q", "(!(p!)) == q"),
        ("a in s && b", "(a in s) && b"),
        ("a + b in s | t", "(a + b) in (s | t)"),
        ("forall x in t : a && b || c", "forall x in t : ((a && b) || c)"),
        ("a && forall x in t : b || c", "a && (forall x in t : (b || c))"),
        ("a == count x in t : b == c", "a == (count x in t : (b == c))"),
        ("!exists x in t : b && c", "!(exists x in t : (b && c))"),
        ("forall x in t : exists y in u : a ? b : c", "forall x in t : (exists y in u : (a ? b : c))"),
        ("c ? forall x in t : a : b", "c ? (forall x in t : a) : b"),
        ("try_acquire l read && a", "(try_acquire l read) && a"),
        ("m[a, b]", "m[a][b]"),
    ],
)
def test_precedence(text: str, grouped: str) -> None:
    """The left expression means the right one."""
    assert expr(text) == expr(grouped)


def test_parentheses_change_meaning() -> None:
    """The comparison above is not blind to grouping."""
    assert expr("(a || b) && c") != expr("a || b && c")
    assert expr("(forall x in t : a) || b") != expr("forall x in t : a || b")


def test_numbers() -> None:
    """Decimal and hexadecimal numbers may have underscores between digits."""
    assert [expr(t) for t in ("1_000", "0x1F", "0xff_ff", "007")] == [expr(t) for t in ("1000", "31", "65535", "7")]


def test_domains() -> None:
    """A bare path as a domain is a type by name, a range is a range, anything else is an expression."""
    found = expr("forall a in gfn, b in kvm.migrate, c in 0..P-1, d in bool, e in owners[a] : true")
    assert isinstance(found, n.Quantified)
    kinds = [type(b.domain) for b in found.binders]
    assert kinds == [n.NamedType, n.NamedType, n.RangeType, n.BoolType, n.Index]


def test_x_is_the_product_word_only_between_types() -> None:
    """`x` separates the parts of a product and is a name everywhere else, also right beside a product."""
    typedef, const = module("type page = x : bool x y : 0..x x x const x = x + 1").items
    assert isinstance(typedef, n.TypeDecl)
    assert isinstance(typedef.type, n.ProductType)
    assert [p.name and p.name.text for p in typedef.type.parts] == ["x", "y", None]
    assert isinstance(const, n.ConstDecl)


def test_option_binds_to_the_element_of_an_array() -> None:
    """`[gfn] kind?` is an array of options, `set of gfn?` a set of options, and parentheses turn that round."""
    items = module("type a = [gfn] kind? type b = ([gfn] kind)? type c = set of gfn? type d = (set of gfn)?").items
    outer = [type(i.type) for i in items if isinstance(i, n.TypeDecl)]
    assert outer == [n.ArrayType, n.OptionType, n.SetType, n.OptionType]


# ------------------------------------------------------------------------------------------------------- statements


def test_label_is_no_conditional() -> None:
    """`map: spte[g] = wanted;` is a labelled assignment."""
    (labeled,) = statements("map: spte[g] = wanted;")
    assert isinstance(labeled, n.Labeled)
    assert labeled.label.text == "map"
    assert isinstance(labeled.statement, n.Assign)


def test_mode_belongs_to_the_lock_before_it() -> None:
    """In `with l, m read { }` only `m` is taken for reading."""
    (with_,) = statements("with l, m read { skip; }")
    assert isinstance(with_, n.With)
    assert [u.mode for u in with_.locks] == [None, "read"]


def test_try_acquire_as_a_condition() -> None:
    """`if try_acquire l { }` tests whether the lock was taken."""
    (if_,) = statements("if try_acquire l { }")
    assert isinstance(if_, n.If)
    assert isinstance(if_.cond, n.TryAcquire)


def test_brace_at_the_start_of_a_statement_is_a_block() -> None:
    """`{ }` is an empty block as a statement and an empty set as a value."""
    block, let = statements("{ } let s = {};")
    assert block == n.Block((), span=block.span)
    assert isinstance(let, n.Let)
    assert let.init == n.SetLit((), span=block.span)


def test_half_open_loop() -> None:
    """`for i in a ..< b by 2 down { }` has all its parts."""
    (loop,) = statements("for i in a ..< b + 1 by 2 down { skip; }")
    assert isinstance(loop, n.ForRange)
    assert (loop.down, loop.by) == (True, n.IntLit(2, span=loop.span))


@pytest.mark.parametrize(
    ("text", "kind", "outcome"),
    [
        ("lock_order cycle violated", "cycle", "violated"),
        ("lock_order unrealised cycle", "unrealised cycle", "found"),
        ("lock_order against order holds", "against order", "holds"),
        ("lock_order violated", None, "violated"),
        ("all hold", None, "holds"),
        ("others any", None, "any"),
        ("kvm.agree vacuous", None, "vacuous"),
    ],
)
def test_expectations(text: str, kind: str | None, outcome: str) -> None:
    """The words of an expectation are sorted into target, kind of finding and outcome."""
    (scenario,) = module(f"scenario s {{ expect {text}; }}").items
    assert isinstance(scenario, n.Scenario)
    (line,) = scenario.items
    assert isinstance(line, n.Expect)
    (expectation,) = line.expectations
    assert (expectation.kind, expectation.outcome) == (kind, outcome)


def test_bounds_of_expectations() -> None:
    """`in 5 steps` is exact, `in at most 5 steps` is a bound, and a label may follow."""
    (scenario,) = module("scenario s { expect a violated in 5 steps, b violated in at most 6 steps at map; }").items
    assert isinstance(scenario, n.Scenario)
    (line,) = scenario.items
    assert isinstance(line, n.Expect)
    found = [(e.steps, e.at_most, e.label and e.label.text) for e in line.expectations]
    assert found == [(5, False, None), (6, True, "map")]


# ----------------------------------------------------------------------------------------------- faults and recovery


_EIGHT = """protocol bad
param vcpus : 1..8 = ;
hypervisr kvm { }
lok mmu : mutex;
hypervisor kvm {
    state lock : bool = false;
    proc one() {
        x = 1
        y = 2;
    }
    state attribute : [gfn kind = shared;
    proc two() { whlie x < 3 { x += 1; } }
    proc three() { if a < b < c { skip; } }
    proc four() { halt }
    proc five() { i++; }
}
invariant six: forall g in gfn kvm.x;
scenario seven { expcet all hold; }
check al
"""


def test_many_faults_in_one_run() -> None:
    """Every faulty declaration and member is reported once, in order, and none drags another along."""
    assert lines(_EIGHT) == [
        "2:22 [unexpected-token] unexpected `;`: expected an expression",
        "3:1 [misspelt-keyword] `hypervisr` means nothing here",
        "4:1 [misspelt-keyword] `lok` means nothing here",
        "6:11 [keyword-as-name] `lock` is a keyword, so it cannot be a name",
        "8:13 [missing-semicolon] missing `;` after `1`",
        "11:28 [unexpected-token] unexpected `kind`: expected `.`, `..`, `:`, `?` or `]`",
        "12:18 [misspelt-keyword] `whlie` means nothing here",
        "13:29 [chained-comparison] `<` cannot follow another comparison",
        "14:22 [missing-semicolon] missing `;` after `halt`",
        "15:20 [unexpected-token] unexpected `+`: expected an assignment such as `=`, `:` or `;`",
        "17:32 [unexpected-token] unexpected `kvm`: expected an operator, `,`, `..`, `:` or `where`",
        "18:18 [misspelt-keyword] `expcet` means nothing here",
        "19:8 [missing-semicolon] missing `;` after `al`",
    ]


def test_three_procs_with_a_fault_each() -> None:
    """One actor with three faulty procs and a sound one gives three faults."""
    procs = "proc a() { x = ; }\nproc b() { y = ; }\nproc c() { z = 1; }\nproc d() { w = ; }\n"
    text = f"protocol p\nhypervisor kvm {{\n{procs}}}\n"
    assert [line.split(":")[0] for line in lines(text)] == ["3", "4", "6"]


def test_lost_brace_costs_one_proc() -> None:
    """A `{` that is never closed is shown, and what follows is still read."""
    procs = "    proc f() {\n        loop { skip;\n    }\n    proc g() { x = ; }\n"
    text = f"protocol p\nhypervisor kvm {{\n{procs}}}\ntype t = ;\n"
    assert lines(text) == [
        "5:5 [unclosed-bracket] the declaration ends before its `{` is closed: expected a statement or `}`",
        "6:20 [unexpected-token] unexpected `;`: expected an expression",
        "8:10 [unexpected-token] unexpected `;`: expected a type or `scalarset`",
    ]
    label = faults(text)[0].labels[1]
    assert (label.span.line, label.span.column, label.text) == (3, 14, "this `{` is never closed")


def test_brace_too_many_is_found_where_it_is() -> None:
    """A `}` too many in the middle of an actor is shown itself, and the members after it are still members."""
    procs = "    proc f() {\n        skip;\n    }\n    }\n    proc g() { x = ; }\n    lock l : mutex;\n"
    assert lines(f"protocol p\nhypervisor kvm {{\n{procs}}}\ncheck all;\n") == [
        "6:5 [unmatched-bracket] this `}` closes nothing",
        "7:20 [unexpected-token] unexpected `;`: expected an expression",
    ]


@pytest.mark.parametrize("name", ["fault_vs_conversion", "populate_locking", "snp_remap"])
def test_one_bracket_wrong_is_at_most_two_faults(name: str) -> None:
    """Whichever bracket of a model is lost or doubled, something is said, and never more than two things."""
    text = (DATA / f"{name}.pchk").read_text(encoding="utf-8")
    before = {i: text[text.rfind("\n", 0, i) + 1 : i] for i, c in enumerate(text) if c in "(){}[]"}
    code = [i for i, line in before.items() if "//" not in line and '"' not in line]
    counts = {len(faults(text[:i] + again + text[i + 1 :])) for i in code for again in ("", text[i] * 2)}
    assert counts <= {1, 2}


def test_actor_that_is_never_closed() -> None:
    """An actor without its last brace is one fault, which shows the first brace."""
    (fault,) = faults("protocol p\nhypervisor kvm {\n    proc f() { skip; }\n\nguest vm {\n}\n")
    assert fault.rule.name == "unclosed-bracket"
    assert fault.headline == "the actor ends before its `{` is closed: expected `}`"
    assert [label.span.line for label in fault.labels] == [3, 2]


def test_open_parenthesis_is_shown() -> None:
    """Where a `)` could have come, the `(` is shown too."""
    (fault,) = faults("protocol p\ninvariant a: (b && c;\n")
    assert [label.text for label in fault.labels] == ["", "this `(` is still open"]


def test_characters_that_are_no_token_do_not_hide_other_faults() -> None:
    """A stray character costs its own fault only, and the next declaration is still read."""
    assert lines("protocol p\nconst A = 1 § 2\nconst B = \n") == [
        "2:13 [unknown-character] nothing begins with `§`",
        "3:9 [unexpected-end] the declaration ends too early: expected an expression",
    ]


def test_faults_that_the_grammar_lets_through_are_all_found() -> None:
    """Faults found while the tree is made do not hide each other."""
    body = "f; ignore f; f() = 1; var v; for i in 0..3 { }"
    text = f"protocol p\nhypervisor k {{\n lock a : mutx;\n proc f() {{ {body} }}\n}}\n"
    assert [line.split("]")[0].split("[")[1] for line in lines(text)] == [
        "unknown-lock-kind",
        "not-a-call",
        "not-a-call",
        "not-assignable",
        "untyped-variable",
        "closed-range-in-for",
    ]


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("hypervisor k { proc f() { if a = b { } } }", "`==` compares, `=` assigns"),
        ("hypervisor k { proc f() { a == b; } }", "`=` assigns, `==` compares"),
        ("hypervisor k { proc f() { a--; } }", "write `-= 1`"),
        ("hypervisor k { proc f() { a := b; } }", "`=` assigns"),
        ("/* c */ type t = bool", "comments begin with `//` and end with the line"),
        ("hypervisor k { state s : scalarset(3); }", "give it a name first: `type t = scalarset(...)`"),
        ("const A = a or b", "write `||`"),
        ("const A = a and b", "write `&&`"),
        ("const A = 1 + forall g in t : g", "put the quantifier in parentheses"),
        ("hypervisor k { lock l : mutx; }", "did you mean `mutex`?"),
        ("hypervisor k { lock l : zzz; }", "known are `mutex`, `spinlock`, `rwlock`, `rwsem`, `srcu`, `flag`, `busy`"),
        (
            "hypervisor k { proc f() { for i in a..b { } } }",
            "`a ..< b` stops before `b`; to visit `b` too write `a ..< b + 1`",
        ),
        ("scenario s { expect deadlock violatd; }", "did you mean `violated`?"),
        ("scenario s { expect lock_order prevented cycles; }", "did you mean `prevented cycle`?"),
        ("proc kvm.f() { }", "declare `f` inside the block of `kvm`, or write `variant NAME of ...`"),
    ],
)
def test_mends(text: str, help_: str) -> None:
    """The one fault of the text comes with this advice."""
    (fault,) = faults("protocol p\n" + text)
    assert fault.help == help_


def test_headlines_stand_on_one_line() -> None:
    """No headline or advice breaks the line, whatever the text says."""
    for text in (_EIGHT, "protocol p\nhypervisor k { proc f() { a +\n b; (a\n+ b) = 3; } }", '"\x00\n"'):
        for fault in faults(text):
            assert "\n" not in fault.headline + fault.help


def test_a_variable_named_x_repeats_nothing() -> None:
    """Trying whether `x` is a name or the word of a product leaves no trace in the tree."""
    text = "protocol p kernel k { lock b : mutex; state x : bool; thread m { x = true; with b { skip; } x = false; } }"
    actor = next(i for i in parse(SourceFile("m.pchk", text)).items if isinstance(i, n.ActorDecl))
    thread = next(i for i in actor.members if isinstance(i, n.ThreadDecl))
    assert [type(s).__name__ for s in thread.body.statements] == ["Assign", "With", "Assign"]


def test_a_fault_beside_an_object_costs_one_member() -> None:
    """Where an actor is read member by member, the fields of an object are no members of the actor."""
    text = "protocol p\nhypervisor kvm {\n    object o[2] {\n        state a : bool;\n        lock m : mutex;\n    }\n"
    with pytest.raises(ModelError) as fault:
        parse(SourceFile("x.pchk", text + "    proc release() { skip; }\n}\n"))
    assert [d.rule.name for d in fault.value.diagnostics] == ["keyword-as-name"]
