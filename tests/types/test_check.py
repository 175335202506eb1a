"""What valid models become: names resolved, options unwrapped, calls lifted out, larger statements spelt out."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocheck.ir.expr import Op
from protocheck.ir.system import ThreadKind
from protocheck.resources import models_path
from protocheck.source import SourceFile
from protocheck.syntax.parse import parse
from protocheck.types import tree as t
from protocheck.types import types as ty
from protocheck.types.check import check, library_loader, load
from protocheck.types.walk import rhs_of, statements

MODELS = [p for p in sorted(models_path().glob("*/*.pchk")) if p.parent.name != "lib"]


def checked(text: str) -> t.CheckedModule:
    """The checked module of a model, given without its first line."""
    return check(parse(SourceFile("test.pchk", f"protocol test\n{text}")), library_loader(Path()))


def main(text: str, more: str = "") -> list[t.Statement]:
    """The statements of a thread with this body; ``more`` stands in the actor beside it."""
    module = checked(
        "type gfn = scalarset(gfns in 1..4 = 2)\n"
        f"hypervisor kvm {{ state here : [gfn] bool = false; state root : gfn? = none; state n : 0..7 = 0;\n{more}\n"
        f"thread main {{ {text} }} }}"
    )
    return list(module.threads["kvm.main"].body.body)


def value(s: t.Statement) -> t.Rhs:
    found = rhs_of(s)
    assert found is not None
    return found


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_shipped_models_are_clean(path: Path) -> None:
    """Every shipped model passes all checks, without a warning."""
    assert load(path).warnings == ()


def test_early_return_narrows() -> None:
    """After `if p == none { return; }` a use of p as a value needs no check."""
    body = main("let p = root; if p == none { return; } here[p] = true;")
    place = body[2].place if isinstance(body[2], t.Assign) else None
    assert isinstance(place, t.StateRef)
    assert isinstance(place.index[0], t.Unwrap)
    assert place.index[0].checked is False


@pytest.mark.parametrize(
    "condition",
    ["p != none && here[p]", "p == none || here[p]", "p != none implies here[p]", "p != none ? here[p] : false"],
)
def test_operators_narrow(condition: str) -> None:
    """`&&`, `||`, `implies` and `?:` make p a value in what follows."""
    body = main(f"let p = root; let ok = {condition};")
    assert isinstance(body[1], t.Declare)
    assert body[1].local.type == ty.BoolType()


def test_comparison_with_a_value_narrows() -> None:
    """A local that equals a value is not none."""
    assert len(main("choose g : gfn; let p = root; if p == g { here[p] = true; }")) == 3


def test_bang_is_checked_unless_narrowed() -> None:
    """`p!` is a checked unwrapping, but not where p is known to be no none."""
    body = main("let p = root; here[p!] = true; if p != none { here[p!] = false; }")
    first = body[1].place if isinstance(body[1], t.Assign) else None
    assert isinstance(first, t.StateRef)
    assert isinstance(first.index[0], t.Unwrap)
    assert first.index[0].checked is True
    inner = body[2].then.body[0] if isinstance(body[2], t.If) else None
    assert isinstance(inner, t.Assign)
    assert isinstance(inner.place, t.StateRef)
    assert isinstance(inner.place.index[0], t.Unwrap)
    assert inner.place.index[0].checked is False


def test_value_is_wrapped() -> None:
    """A T where a T? is needed is wrapped, and `none` gets the type of the option."""
    body = main("choose g : gfn; root = g; root = none;")
    assert isinstance(value(body[1]), t.Wrap)
    none = value(body[2])
    assert isinstance(none, t.NoneLit)
    assert none.type == ty.OptionType(ty.ScalarsetType("gfn"))


def test_let_range_is_symbolic() -> None:
    """The range of a `let` over a parameter stays an expression over it."""
    module = checked("param top : 2..8 = 4\nhypervisor kvm { thread main { let last = top - 1; } }")
    declared = module.threads["kvm.main"].body.body[0]
    assert isinstance(declared, t.Declare)
    kind = declared.local.type
    assert isinstance(kind, ty.RangeType)
    assert isinstance(kind.hi, t.Apply)
    assert kind.hi.op is Op.SUB
    assert kind.lo == kind.hi


def test_let_range_by_intervals() -> None:
    """`let x = 2 * n + 1` with n in 0..7 lies in 1..15."""
    declared = main("let x = 2 * n + 1;")[0]
    assert isinstance(declared, t.Declare)
    kind = declared.local.type
    assert isinstance(kind, ty.RangeType)
    assert isinstance(kind.lo, t.Const)
    assert isinstance(kind.hi, t.Const)
    assert (kind.lo.value, kind.hi.value) == (1, 15)


def test_compound_assignment() -> None:
    """`n += 1` is `n = n + 1`."""
    sum_ = value(main("n += 1;")[0])
    assert isinstance(sum_, t.Apply)
    assert sum_.op is Op.ADD
    assert isinstance(sum_.args[0], t.StateRef)


def test_call_is_lifted() -> None:
    """A call inside of an expression becomes a hidden local before the statement."""
    body = main("n = 1 + f(2);", "proc f(a : 0..3) -> 0..3 { return a; }")
    assert isinstance(body[0], t.Declare)
    assert isinstance(body[0].value, t.Call)
    assert isinstance(body[1], t.Assign)


@pytest.mark.parametrize(
    ("condition", "op"), [("f(1)", None), ("!f(1)", Op.NOT), ("g() == 2", Op.EQ), ("g() < 2", Op.LT)]
)
def test_condition_that_calls(condition: str, op: Op | None) -> None:
    """A condition may be one call, negated or compared."""
    more = "proc f(a : 0..3) -> bool { return a > 1; } proc g() -> 0..3 { return 1; }"
    body = main(f"if {condition} {{ n = 0; }}", f"{more} pub proc both() {{ ignore f(1); ignore g(); }}")
    found = value(body[0])
    if op is None:
        assert isinstance(found, t.Call)
    else:
        assert isinstance(found, t.Test)
        assert found.op is op


def test_while_that_calls_is_a_loop() -> None:
    """`while f() { }` tests at the head of an endless loop."""
    loop = main("while f() { n = 0; }", "proc f() -> bool { return n > 1; }")[0]
    assert isinstance(loop, t.While)
    assert loop.condition is None
    assert isinstance(loop.body.body[0], t.If)


def test_try_acquire() -> None:
    """`if !try_acquire l` is a test around the attempt."""
    found = value(main("if !try_acquire l { return; } release l;", "lock l : mutex;")[0])
    assert isinstance(found, t.Test)
    assert isinstance(found.call, t.TryAcquire)
    assert found.call.mode == "write"


def test_under_is_with() -> None:
    """`under l read: s;` is a `with` of one lock."""
    found = main("under l read: n = 1;", "lock l : rwsem;")[0]
    assert isinstance(found, t.With)
    assert found.locks[0][1] == "read"


def test_ghost_statement_is_wrapped() -> None:
    """Writing a ghost in ordinary code is a ghost statement of its own."""
    found = main("seen = true;", "ghost state seen : bool = false;")[0]
    assert isinstance(found, t.Ghost)
    assert isinstance(found.body.body[0], t.Assign)


def test_label_stands_on_the_first_step() -> None:
    """The label of a statement that calls inside stands on the call."""
    body = main("here_: n = 1 + f();", "proc f() -> 0..3 { return 1; }")
    assert [s.label for s in body] == ["here_", ""]


def test_requires_is_the_first_statement() -> None:
    """`requires held(l)` becomes a check at the beginning."""
    module = checked(
        "hypervisor kvm { lock l : mutex; proc f() requires held(l) { skip; } thread main { with l { f(); } } }"
    )
    body = module.routines["kvm.f"].body
    assert body is not None
    assert isinstance(body.body[0], t.RequiresHeld)


def test_library_is_instantiated() -> None:
    """Two imports of one library are two copies, each with the types and values that were passed."""
    module = checked(
        "type gfn = scalarset(gfns in 1..4 = 2)\ntype pfn = scalarset(pfns in 1..4 = 2)\n"
        "import lib.content(gfn) as page\nimport lib.content(page_id = pfn, lost = read) as frame\n"
        "hypervisor kvm { thread main { choose g : gfn; choose p : pfn; page.populate(g); frame.populate(p); } }"
    )
    assert module.states["page.populated"].binders[0].type == ty.ScalarsetType("gfn")
    assert module.states["frame.populated"].binders[0].type == ty.ScalarsetType("pfn")
    assert isinstance(module.threads["kvm.main"].body.body[2], t.Ghost)
    assert module.routines["page.populate"].ghost


def test_crossing_calls() -> None:
    """A call of another actor's op is marked, one of the own is not."""
    module = checked(
        "firmware rmp { state on : bool = false; pub op set() { on = true; } }\n"
        "hypervisor kvm { proc own() { rmp.set(); } thread main { own(); } }"
    )
    calls = [s.call for b in ("kvm.own",) if (body := module.routines[b].body) for s in body.body]
    assert [c.crosses for c in calls if isinstance(c, t.Call)] == [True]
    own = module.threads["kvm.main"].body.body[0]
    assert isinstance(own, t.CallStmt)
    assert not own.call.crosses


def test_adversary_is_a_loop_of_choices() -> None:
    """An adversary picks a call and its arguments, for ever or at most so many times."""
    module = checked(
        "type gfn = scalarset(gfns in 1..4 = 2)\n"
        "hypervisor kvm { state on : [gfn] bool = false;\n"
        "pub op set(g : gfn, to : bool) { on[g] = to; } pub op no() { } }\n"
        "adversary userspace u[2] { any kvm.set(x where x == x, true), kvm.no; at most 3 calls; }"
    )
    thread = module.threads["u"]
    assert thread.kind is ThreadKind.ADVERSARY
    assert [p.type for p in thread.params] == [ty.ScalarsetType("u.instance")]
    counter, loop = thread.body.body
    assert isinstance(counter, t.Declare)
    assert isinstance(loop, t.While)
    assert isinstance(loop.body.body[0], t.Either)
    first = loop.body.body[0].branches[0]
    assert isinstance(first.body[0], t.Choose)
    assert first.body[0].where is not None


def test_parameters_of_sizes() -> None:
    """The size of a scalarset is a parameter, and scenarios may set it."""
    module = checked(
        "type gfn = scalarset(gfns in 1..4 = 2) with ZERO\nhypervisor kvm { thread main { } }\n"
        "scenario large { gfns = 4; expect all hold; }"
    )
    assert module.params["gfns"].default == 2
    assert module.scalarsets["gfn"].members == ("ZERO",)
    assert module.scenarios["large"].settings[0][0] == "gfns"


def test_product_type() -> None:
    """A product is a record that can be an index; its unnamed parts get the names one would give them."""
    module = checked(
        "type page = scalarset(folios in 1..4 = 2) x 0..3\n"
        "hypervisor kvm { state up : [page] bool = false; state n : 0..3 = 0;\n"
        "thread main { choose p : page; up[p] = true; n = p.index; choose q : page where q.folio == p.folio; } }"
    )
    kind = module.states["kvm.up"].binders[0].type
    assert isinstance(kind, ty.RecordType)
    assert [name for name, _ in kind.fields] == ["folio", "index"]
    assert "page.folio" in module.scalarsets


def test_invariant_is_split() -> None:
    """The outermost `forall` of an invariant becomes its binders, and `where` an implication."""
    module = checked(
        "type gfn = scalarset(gfns in 1..4 = 2)\nhypervisor kvm { state on : [gfn] bool = false; thread main { } }\n"
        "invariant all_off as off: forall g in gfn, h in gfn where g != h : !kvm.on[g];"
    )
    prop = module.properties[0]
    assert (prop.name, prop.family, len(prop.binders)) == ("all_off", "off", 2)
    assert isinstance(prop.condition, t.Apply)
    assert prop.condition.op is Op.IMPLIES


def test_threads_in_properties() -> None:
    """Properties quantify over threads and ask where they are, labels of called procs included."""
    module = checked(
        "type vm = scalarset(vms in 1..4 = 2)\n"
        "hypervisor kvm { state on : [vm] bool = false; proc act(v : vm) { region window { step: on[v] = true; } }\n"
        "thread migrate[dst : vm, src : vm] where dst != src { act(dst); } }\n"
        "invariant early: forall t in kvm.migrate : at(t, step) implies !kvm.on[t.dst] && in(t, window);"
    )
    assert module.properties[0].binders[0].type == ty.ThreadType("kvm.migrate")


def test_fn_with_a_block() -> None:
    """A fn written with `let`, `if` and `return` is one expression."""
    module = checked(
        "fn half(a : 0..8) -> 0..4 { let b = a / 2; if b > 4 { return 4; } return b; }\n"
        "param top : 0..half(8) = half(6)\nhypervisor kvm { state n : 0..4 = half(4); thread main { } }"
    )
    assert module.params["top"].default == 3
    fn = module.routines["half"]
    assert isinstance(fn.value, t.Apply)
    assert fn.value.op is Op.ITE


def test_names_in_any_order() -> None:
    """Types, constants, parameters, actors and procs may be used before they are declared."""
    module = checked(
        "hypervisor kvm { thread main { rmp.set(LAST); } state x : index = 0; }\n"
        "firmware rmp { pub op set(n : index) { level = n; } state level : index = LAST; }\n"
        "const LAST = top - 1\ntype index = 0..top\nparam top : 1..8 = 3\n"
    )
    assert list(module.params) == ["top"]


def test_actor_blocks_may_be_reopened() -> None:
    """Two blocks of one actor are one actor."""
    module = checked(
        "hypervisor kvm { state on : bool = false; }\nfirmware rmp { thread idle_ { } }\n"
        "hypervisor kvm { thread main { on = true; } }"
    )
    assert module.actors == {"kvm": "hypervisor", "rmp": "firmware"}


def test_warnings_come_with_the_result() -> None:
    """A model with a warning only is a valid model."""
    module = checked("hypervisor kvm { state on : bool = false; proc f() { on = true; } thread main { } }")
    assert [d.rule.name for d in module.warnings] == ["never-called"]


def test_hidden_statements_are_typed() -> None:
    """No error type is left in a checked module."""
    for path in MODELS:
        module = load(path)
        for thread in module.threads.values():
            for s in statements(thread.body):
                found = rhs_of(s)
                assert found is None or not isinstance(found.type, ty.ErrorType)


@pytest.mark.parametrize(
    ("line", "names"), [("check all, deadlock;", ()), ("check deadlock, range;", ("deadlock", "range"))]
)
def test_check_lines(line: str, names: tuple[str, ...]) -> None:
    """A `check` line restricts the checks, unless it names all of them."""
    assert checked(f"hypervisor kvm {{ thread main {{ }} }}\n{line}").checks == names


@pytest.mark.parametrize("levels", [50, 150])
def test_deep_models_end(levels: int) -> None:
    """Nesting as deep as the parser lets through is checked without running out of stack, nested loops in no time."""
    text = "if b { " * (levels // 4) + "b = " + "!" * (levels // 2) + "b;" + "}" * (levels // 4)
    loops = "loop { " * (levels // 4) + "break;" + "}" * (levels // 4)
    module = checked(f"hypervisor kvm {{ state b : bool = false; thread main {{ {text} }} thread two {{ {loops} }} }}")
    assert list(module.threads) == ["kvm.main", "kvm.two"]
