"""Every fault that the static checks can find, each with the page that ``protocheck explain NAME`` prints.

The examples of a page are whole files. The tests check them: the faulty one must break its own rule, the mended one
none. Rules that need several files have no examples.
"""

from __future__ import annotations

from protocheck.diagnostics import Rule, Severity
from protocheck.syntax.rules import NOT_YET_SUPPORTED as NOT_YET_SUPPORTED


def _rule(
    name: str, summary: str, text: str, faulty: str = "", mended: str = "", severity: Severity = Severity.ERROR
) -> Rule:
    page = text.strip()
    if faulty:
        page += f"\n\nFaulty:\n\n```pchk\n{_whole(faulty)}\n```\n\nMended:\n\n```pchk\n{_whole(mended)}\n```"
    return Rule(name, summary, page + "\n", severity)


def _whole(text: str) -> str:
    """An example with the line that every model begins with."""
    return f"protocol example\n\n{text.strip()}"


# ------------------------------------------------------------------------------------------------------------- names

UNKNOWN_NAME = _rule(
    "unknown-name",
    "A name that nothing declares.",
    """
Every name is declared somewhere: a local before it is used, everything else anywhere in the file. What belongs to
another actor or to an imported library is written with that name before it (`kvm.present`, `page.populate`).
""",
    """
hypervisor kvm {
    state present : bool = false;
    thread main { prezent = true; }
}
""",
    """
hypervisor kvm {
    state present : bool = false;
    thread main { present = true; }
}
""",
)

UNKNOWN_TYPE = _rule(
    "unknown-type",
    "A type that nothing declares, or something else where a type belongs.",
    "Types are `bool`, ranges, enums, and names declared with `type`, here or in an imported library.",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gnf] bool = false;
    thread main { }
}
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gfn] bool = false;
    thread main { }
}
""",
)

UNKNOWN_MEMBER = _rule(
    "unknown-member",
    "An actor, import, enum, record or thread has nothing of that name.",
    "What stands after the dot must be declared inside of what stands before it.",
    """
type kind = enum { shared, private }
hypervisor kvm {
    state attribute : kind = kind.shard;
    thread main { }
}
""",
    """
type kind = enum { shared, private }
hypervisor kvm {
    state attribute : kind = kind.shared;
    thread main { }
}
""",
)

AMBIGUOUS_NAME = _rule(
    "ambiguous-name",
    "A name with several meanings where nothing says which one is meant.",
    """
Enums may share members. Mostly the expected type tells them apart; where there is none, the type is written before the
member. The same goes for locks of one name in several actors.
""",
    """
type kind  = enum { none_yet, done }
type phase = enum { done, waiting }
hypervisor kvm {
    state complete : bool = false;
    thread main { let last = done; complete = last == kind.done; }
}
""",
    """
type kind  = enum { none_yet, done }
type phase = enum { done, waiting }
hypervisor kvm {
    state complete : bool = false;
    thread main { let last = kind.done; complete = last == kind.done; }
}
""",
)

DUPLICATE_NAME = _rule(
    "duplicate-name",
    "One name is declared twice, or one thing is said twice.",
    "A second declaration would silently win over the first, or lose to it; so it is refused.",
    """
hypervisor kvm {
    state present : bool = false;
    lock present : mutex;
    thread main { }
}
""",
    """
hypervisor kvm {
    state present : bool = false;
    lock present_lock : mutex;
    thread main { }
}
""",
)

SHADOWED_NAME = _rule(
    "shadowed-name",
    "A local hides something else of the same name.",
    "Two things of one name in one place are told apart by the compiler, but not by readers.",
    """
hypervisor kvm {
    state count_of_pages : 0..3 = 0;
    thread main { let count_of_pages = 1; }
}
""",
    """
hypervisor kvm {
    state count_of_pages : 0..3 = 0;
    thread main { let wanted = 1; count_of_pages = wanted; }
}
""",
)

NOT_A_VALUE = _rule(
    "not-a-value",
    "A lock, type, thread, actor or routine stands where a value or a call belongs.",
    "Only state, parameters, constants, locals and members of enums and scalarsets have values.",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state busy : bool = false;
    thread main { busy = mmu_lock; }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state busy : bool = false;
    thread main { busy = held(mmu_lock); }
}
""",
)

NOT_A_LOCK = _rule(
    "not-a-lock",
    "Something else stands where a lock belongs.",
    "Only what is declared with `lock` can be taken, released, ordered and guard state.",
    """
hypervisor kvm {
    state mmu_lock : bool = false;
    thread main { with mmu_lock { } }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    thread main { with mmu_lock { } }
}
""",
)

INVALID_TARGET = _rule(
    "invalid-target",
    "Something is assigned that is no variable.",
    "Only variables, cells of state, and fields of these can be assigned.",
    """
param limit : 1..4 = 2
hypervisor kvm { thread main { limit = 3; } }
""",
    """
param limit : 1..4 = 2
hypervisor kvm {
    state left : 0..4 = 0;
    thread main { left = limit; }
}
""",
)

# ------------------------------------------------------------------------------------------------------------- types

TYPE_MISMATCH = _rule(
    "type-mismatch",
    "A value of one type where another is needed.",
    "Nothing is converted silently: a number is no truth value, and members of one enum are none of another.",
    """
hypervisor kvm {
    state pending : 0..3 = 0;
    thread main { if pending { pending = 0; } }
}
""",
    """
hypervisor kvm {
    state pending : 0..3 = 0;
    thread main { if pending != 0 { pending = 0; } }
}
""",
)

MISPLACED_NONE = _rule(
    "misplaced-none",
    "`none` where the type has no such value.",
    "Only a type with `?` has the value `none`.",
    """
type kind = enum { shared, private }
hypervisor kvm {
    state spte : kind = none;
    thread main { }
}
""",
    """
type kind = enum { shared, private }
hypervisor kvm {
    state spte : kind? = none;
    thread main { }
}
""",
)

POSSIBLE_NONE = _rule(
    "possible-none",
    "A value that may be `none` is used as if it could not be.",
    """
A local `p : T?` counts as a `T` after `if p != none`, behind `&&`, `||`, `implies` and `?:`, and after an early return.
Shared state never does: another thread may change it in between, so copy it first. `p!` is the way to say that it
cannot be none; that is checked in every run (family `null_deref`).
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state root : gfn? = none;
    state present : [gfn] bool = false;
    thread main { if root != none { present[root] = true; } }
}
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state root : gfn? = none;
    state present : [gfn] bool = false;
    thread main { let r = root; if r != none { present[r] = true; } }
}
""",
)

UNTYPED_LITERAL = _rule(
    "untyped-literal",
    "`none`, `{}` or a record stands where nothing says of which type it is.",
    "Such a value fits many types. Write the type of the variable that it is for.",
    """
hypervisor kvm { thread main { let p = none; } }
""",
    """
hypervisor kvm { thread main { let p : bool? = none; } }
""",
)

NOT_AN_INDEX_TYPE = _rule(
    "not-an-index-type",
    "A type that cannot be counted off is used as an index, or run over.",
    "Indexes are bool, enums, ranges, scalarsets, and products of those.",
    """
hypervisor kvm {
    state seen : [bool?] bool = false;
    thread main { }
}
""",
    """
hypervisor kvm {
    state seen : [bool] bool = false;
    thread main { }
}
""",
)

NOT_AN_OBJECT = _rule(
    "not-an-object",
    "`new` names something that is no pool of objects.",
    "`new` takes a place from a pool that is declared by `object NAME[size] { }`.",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm { thread main { let g = new gfn; } }
""",
    """
hypervisor kvm {
    object page[2] { }
    thread main { let g = new page;  free g; }
}
""",
)

CONJURED_POINTER = _rule(
    "conjured-pointer",
    "A pointer is to come from nowhere.",
    """
Pointers come from `new`, and every copy knows if its object was freed since. A pointer that is chosen, havocked or
picked by a loop would know nothing of that. In ghost code, assertions and properties `forall p in slot` runs over the
objects that exist.
""",
    """
hypervisor kvm {
    object slot[2] { state users : 0..3 = 0; }
    thread main { choose p : slot;  p.users = 1; }
}
""",
    """
hypervisor kvm {
    object slot[2] { state users : 0..3 = 0; }
    state slots : [0..1] slot? = none;
    thread main { choose i : 0..1;  let p = slots[i];  if p != none { p.users = 1; } }
}
""",
)

LIVE_IN_CODE = _rule(
    "live-in-code",
    "Code asks whether an object was freed.",
    """
No memory tells whether it was freed, so code that asks has no counterpart. `live(p)` is for assertions, ghost code and
properties; code keeps a reference count, a lock, or a flag.
""",
    """
hypervisor kvm {
    object slot[2] { }
    state root : slot? = none;
    thread main { let p = root;  if live(p) { skip; } }
}
""",
    """
hypervisor kvm {
    object slot[2] { }
    state root : slot? = none;
    thread main { let p = root;  assert p == none || live(p), "the root is stale"; }
}
""",
)

MISPLACED_TYPE = _rule(
    "misplaced-type",
    "A type that cannot stand here.",
    "Arrays and versions exist only as shared state; scalarsets and products need a name of their own.",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm { thread main { var copy : [gfn] bool; } }
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm { thread main { var copy : set of gfn; } }
""",
)

ENDLESS_DEFINITION = _rule(
    "endless-definition",
    "A type, constant or parameter is defined by itself.",
    "Everything in a model is finite. To let one object refer to another, store its index.",
    """
type node = record { next : node? }
hypervisor kvm { thread main { } }
""",
    """
type place = scalarset(places in 1..4 = 2)
type node  = record { next : place? }
hypervisor kvm { thread main { } }
""",
)

NOT_CONSTANT = _rule(
    "not-constant",
    "Something that changes stands where a constant is needed.",
    "Sizes and ranges are fixed before a run begins. They may use parameters, constants and fns.",
    """
hypervisor kvm {
    state used : 0..3 = 0;
    state left : 0..used = 0;
    thread main { }
}
""",
    """
param most : 1..3 = 3
hypervisor kvm {
    state used : 0..most = 0;
    state left : 0..most = 0;
    thread main { }
}
""",
)

OUT_OF_RANGE = _rule(
    "out-of-range",
    "A value that can never fit into the range it is for.",
    """
Ranges never wrap. What may leave its range in some runs is checked in every run (family `range`); what leaves it in
all of them is refused here.
""",
    """
hypervisor kvm {
    state level : 0..3 = 4;
    thread main { }
}
""",
    """
hypervisor kvm {
    state level : 0..4 = 4;
    thread main { }
}
""",
)

EMPTY_RANGE = _rule(
    "empty-range",
    "A range without any number in it, or too small for what must fit.",
    "A variable of an empty type has no value, and a loop over an empty range does nothing.",
    """
param pages : 1..8 = 1
hypervisor kvm {
    state tail : 1..pages - 1 = 1;
    thread main { }
}
""",
    """
param pages : 2..8 = 2
hypervisor kvm {
    state tail : 1..pages - 1 = 1;
    thread main { }
}
""",
)

UNBOUNDED_RANGE = _rule(
    "unbounded-range",
    "No finite range can be inferred for a variable.",
    """
The range of a `let` follows from its value, that of a `var` cannot, since its value will change. Where none follows,
write it; it is then checked whenever a value is stored.
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    thread main { var next = 0; next = level; }
}
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    thread main { var next : 0..3 = 0; next = level; }
}
""",
)

BROKEN_SYMMETRY = _rule(
    "broken-symmetry",
    "A member of a scalarset is ordered, calculated with, or told apart by a number.",
    """
Members of a scalarset are interchangeable: only `==` and `!=` apply to them. That is what lets a proof for two pages
speak of all. Members that play a role get a name (`with BOOT`); where order matters, use a range.
""",
    """
type vcpu = scalarset(vcpus in 1..4 = 2)
hypervisor kvm {
    state owner : vcpu? = none;
    thread run[v : vcpu] { if v < 1 { owner = v; } }
}
""",
    """
type vcpu = scalarset(vcpus in 1..4 = 2) with BOOT
hypervisor kvm {
    state owner : vcpu? = none;
    thread run[v : vcpu] { if v == BOOT { owner = v; } }
}
""",
)

MISSING_INITIAL_VALUE = _rule(
    "missing-initial-value",
    "A variable whose type has no value to begin with.",
    "Ranges begin with their lowest number, enums with their first member, bool with false; a scalarset has none.",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state last : gfn;
    thread main { }
}
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state last : gfn? = none;
    thread main { }
}
""",
)

WRONG_INDEX = _rule(
    "wrong-index",
    "Too few or too many indexes.",
    "An array is never used as a whole: one cell at a time, one index for each dimension.",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gfn] bool = false;
    thread main { present = true; }
}
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gfn] bool = false;
    thread main { for g in gfn { present[g] = true; } }
}
""",
)

VERSION_AS_VALUE = _rule(
    "version-as-value",
    "A version is read or assigned like a number.",
    """
A version counts without bound, and only one question can be asked: has it changed since? Counting modulo something
instead finds false violations.
""",
    """
hypervisor kvm {
    state sequence : version;
    thread main { sequence = 1; }
}
""",
    """
hypervisor kvm {
    state sequence : version;
    thread main { bump(sequence); }
}
""",
)

IMMUTABLE_ASSIGNMENT = _rule(
    "immutable-assignment",
    "Something is assigned that was given its value for good.",
    "`let`, parameters, chosen values and the variables of loops are fixed. `var` can change.",
    """
hypervisor kvm { thread main { let tries : 0..3 = 0; tries = 1; } }
""",
    """
hypervisor kvm { thread main { var tries : 0..3 = 0; tries = 1; } }
""",
)

# ------------------------------------------------------------------------------------------------------------- calls

WRONG_ARGUMENT_COUNT = _rule(
    "wrong-argument-count",
    "A call or a record with too few or too many parts.",
    "Every parameter gets one argument, every field of a record one value.",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    proc set_level(to : 0..3) { level = to; }
    thread main { set_level(); }
}
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    proc set_level(to : 0..3) { level = to; }
    thread main { set_level(2); }
}
""",
)

REF_MISMATCH = _rule(
    "ref-mismatch",
    "A `ref` too many or too few in a call.",
    "A `ref` parameter stands for a variable of the caller. The call says so too: a reader sees what may change.",
    """
hypervisor kvm {
    proc next(ref n : 0..3) { n = 3; }
    thread main { var tries : 0..3 = 0; next(tries); }
}
""",
    """
hypervisor kvm {
    proc next(ref n : 0..3) { n = 3; }
    thread main { var tries : 0..3 = 0; next(ref tries); }
}
""",
)

DROPPED_RESULT = _rule(
    "dropped-result",
    "The result of a call is not looked at.",
    "What can fail says so by its result; forgetting to look is a bug in many kernels. `ignore` says it is meant.",
    """
firmware fw {
    pub op update() -> bool { either { return true; } or { return false; } }
    thread main { update(); }
}
""",
    """
firmware fw {
    pub op update() -> bool { either { return true; } or { return false; } }
    thread main { ignore update(); }
}
""",
)

CALL_IN_EXPRESSION = _rule(
    "call-in-expression",
    "A call inside of an expression, where it is not clear when it happens.",
    """
A call takes steps. It may stand alone, on the right of an assignment, as a condition, or compared with a value. Inside
of `&&`, `||` and `?:` it might not happen at all, and after other reads these would have to wait for it.
""",
    """
firmware fw {
    state on : bool = false;
    op update() -> bool { return true; }
    thread main { if on && update() { on = false; } }
}
""",
    """
firmware fw {
    state on : bool = false;
    op update() -> bool { return true; }
    thread main { if on { if update() { on = false; } } }
}
""",
)

CALL_IN_CLAIM = _rule(
    "call-in-claim",
    "An assertion, property or constant calls something that takes steps.",
    "Claims look at a state and change nothing. They may use fns.",
    """
firmware fw {
    state on : bool = false;
    op is_on() -> bool { return on; }
    thread main { assert is_on(), "must be on"; }
}
""",
    """
firmware fw {
    state on : bool = true;
    thread main { assert on, "must be on"; }
}
""",
)

RECURSIVE_CALL = _rule(
    "recursive-call",
    "A routine that calls itself, directly or by way of others.",
    "Routines are copied to where they are called, so a call of itself would never end.",
    """
hypervisor kvm {
    state left : 0..3 = 3;
    proc drain() { if left > 0 { left -= 1; drain(); } }
    thread main { drain(); }
}
""",
    """
hypervisor kvm {
    state left : 0..3 = 3;
    proc drain() { while left > 0 { left -= 1; } }
    thread main { drain(); }
}
""",
)

TOO_MANY_COPIES = _rule(
    "too-many-copies",
    "A thread that becomes too long when its calls are copied in.",
    "Every call is a copy of what is called. Sixteen procs that call the next one twice make 65536 of the last.",
    """
hypervisor kvm {
    state n : 0..3 = 0;
    proc p0() { n = 1; }
    proc p1() { p0(); p0(); }
    proc p2() { p1(); p1(); }
    proc p3() { p2(); p2(); }
    proc p4() { p3(); p3(); }
    proc p5() { p4(); p4(); }
    proc p6() { p5(); p5(); }
    proc p7() { p6(); p6(); }
    proc p8() { p7(); p7(); }
    proc p9() { p8(); p8(); }
    proc p10() { p9(); p9(); }
    proc p11() { p10(); p10(); }
    proc p12() { p11(); p11(); }
    proc p13() { p12(); p12(); }
    proc p14() { p13(); p13(); }
    proc p15() { p14(); p14(); }
    proc p16() { p15(); p15(); }
    thread main { p16(); }
}
""",
    """
hypervisor kvm {
    state n : 0..3 = 0;
    proc p0() { n = 1; }
    proc p1() { p0(); p0(); }
    proc p2() { p1(); p1(); }
    thread main { p2(); }
}
""",
)

IMPURE_FN = _rule(
    "impure-fn",
    "A fn that reads or changes state.",
    "A fn is mathematics: its value depends on its arguments alone.",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    fn above(n : 0..3) -> bool = level > n;
    thread main { if above(1) { level = 0; } }
}
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    fn above(a : 0..3, n : 0..3) -> bool = a > n;
    thread main { if above(level, 1) { level = 0; } }
}
""",
)

# --------------------------------------------------------------------------------------------------------- ownership

FOREIGN_WRITE = _rule(
    "foreign-write",
    "Code of one actor writes the state, or takes a lock, of another.",
    """
Ownership goes by where code is written. The hypervisor cannot assign to an entry of the firmware's table; it can only
execute the instruction that does, with the checks which that instruction makes. Forgetting this is how a model shows a
run that no machine can do. A `pub lock` may be taken from anywhere.
""",
    """
firmware fw { pub state assigned : bool = false; pub op assign() { assigned = true; } }
hypervisor kvm { thread main { fw.assigned = true; } }
""",
    """
firmware fw { pub state assigned : bool = false; pub op assign() { assigned = true; } }
hypervisor kvm { thread main { fw.assign(); } }
""",
)

PRIVATE_READ = _rule(
    "private-read",
    "Code of one actor reads state of another that is not `pub`.",
    "What is private to the firmware cannot be seen by the hypervisor. Ghost code and properties see everything.",
    """
firmware fw { state assigned : bool = false; }
hypervisor kvm {
    state mapped : bool = false;
    thread main { mapped = fw.assigned; }
}
""",
    """
firmware fw { pub state assigned : bool = false; }
hypervisor kvm {
    state mapped : bool = false;
    thread main { mapped = fw.assigned; }
}
""",
)

PRIVATE_CALL = _rule(
    "private-call",
    "Code of one actor calls an op or proc of another that is not `pub`.",
    "A `pub` routine runs with the rights of its owner in the thread of its caller; all others are internal.",
    """
firmware fw { state on : bool = false; op enable() { on = true; } }
hypervisor kvm { thread main { fw.enable(); } }
""",
    """
firmware fw { state on : bool = false; pub op enable() { on = true; } }
hypervisor kvm { thread main { fw.enable(); } }
""",
)

GHOST_READ = _rule(
    "ghost-read",
    "Real code reads a ghost.",
    """
A ghost watches a protocol and must not steer it: without it, the same runs must be possible. It may be read in
assertions, properties and ghost code.
""",
    """
hypervisor kvm {
    ghost state populated : bool = false;
    state present : bool = false;
    thread main { if !populated { present = true; } }
}
""",
    """
hypervisor kvm {
    ghost state populated : bool = false;
    state present : bool = false;
    thread main { assert !populated, "twice"; present = true; }
}
""",
)

GHOST_SIDE_EFFECT = _rule(
    "ghost-side-effect",
    "Ghost code changes what the real run does.",
    "Ghost code may read anything, branch and loop, and write ghosts. It never locks, waits or chooses.",
    """
hypervisor kvm {
    ghost state populated : bool = false;
    state present : bool = false;
    thread main { ghost { populated = true; present = true; } }
}
""",
    """
hypervisor kvm {
    ghost state populated : bool = false;
    state present : bool = false;
    thread main { present = true; ghost { populated = true; } }
}
""",
)

# ------------------------------------------------------------------------------------------------------ control flow

UNREACHABLE_CODE = _rule(
    "unreachable-code",
    "Statements that control never comes to.",
    "They are mostly left over, or show that a `break` or a condition is missing.",
    """
hypervisor kvm {
    state done : bool = false;
    thread main { loop { done = false; }  done = true; }
}
""",
    """
hypervisor kvm {
    state done : bool = false;
    thread main { loop { done = false; break; }  done = true; }
}
""",
)

MISSING_RETURN = _rule(
    "missing-return",
    "A routine with a result can end without giving one.",
    "Every way through it ends with `return VALUE;`.",
    """
hypervisor kvm {
    state on : bool = false;
    proc code() -> 0..1 { if on { return 1; } }
    thread main { if code() == 1 { on = false; } }
}
""",
    """
hypervisor kvm {
    state on : bool = false;
    proc code() -> 0..1 { if on { return 1; } return 0; }
    thread main { if code() == 1 { on = false; } }
}
""",
)

BREAK_OUTSIDE_LOOP = _rule(
    "break-outside-loop",
    "`break` or `continue` where there is no loop to leave.",
    "A proc cannot leave the loop that it is called from, and ghost code only its own.",
    """
hypervisor kvm {
    proc give_up() { break; }
    thread main { loop { give_up(); } }
}
""",
    """
hypervisor kvm {
    proc give_up() -> bool { return true; }
    thread main { loop { if give_up() { break; } } }
}
""",
)

RETRY_OUTSIDE_LOOP = _rule(
    "retry-outside-loop",
    "`retry` where there is no turn of a `loop` or `while` to try again.",
    "`retry;` ends a turn that achieved nothing and waits until something it read has changed.",
    """
hypervisor kvm {
    pub state ready : bool = false;
    thread main { if !ready { retry; } }
    environment other { loop { ready = true; } }
}
""",
    """
hypervisor kvm {
    pub state ready : bool = false;
    thread main { loop { if !ready { retry; } break; } }
    environment other { loop { ready = true; } }
}
""",
)

UNCHOSEN_VALUE = _rule(
    "unchosen-value",
    "After the `else` of a `choose`, the chosen name has no value.",
    "The `else` is executed where there is no candidate. It must go elsewhere.",
    """
hypervisor kvm {
    state free : set of 0..3 = {};
    thread main { choose slot : 0..3 where slot in free else { skip; } free -= {slot}; }
}
""",
    """
hypervisor kvm {
    state free : set of 0..3 = {};
    thread main { choose slot : 0..3 where slot in free else { return; } free -= {slot}; }
}
""",
)

BLOCKING_IN_ONE_STEP = _rule(
    "blocking-in-one-step",
    "Something that can wait, in the middle of what is one step.",
    "An `op` and an `atomic { }` happen at once. Only their first statement may wait. `init` takes no steps at all.",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state done : bool = false;
    op zap() { done = true; with mmu_lock { done = false; } }
    thread main { zap(); }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state done : bool = false;
    proc zap() { done = true; with mmu_lock { done = false; } }
    thread main { zap(); }
}
""",
)

SPINNING_LOOP = _rule(
    "spinning-loop",
    "A turn of a loop reads shared state and changes nothing.",
    """
Such a loop waits without saying so: it makes runs longer, and a deadlock invisible. `await e;` waits for a condition;
`retry;` ends a turn that achieved nothing and waits until something it read has changed.
""",
    """
hypervisor kvm {
    state ready : bool = false;
    thread main { loop { if ready { break; } } }
    environment other { loop { ready = true; } }
}
""",
    """
hypervisor kvm {
    state ready : bool = false;
    thread main { await ready; }
    environment other { loop { ready = true; } }
}
""",
    Severity.WARNING,
)

NEVER_CALLED = _rule(
    "never-called",
    "A private op or proc that nobody calls.",
    "It is not part of any run. Perhaps a call is missing.",
    """
hypervisor kvm {
    state on : bool = false;
    proc enable() { on = true; }
    thread main { on = false; }
}
""",
    """
hypervisor kvm {
    state on : bool = false;
    proc enable() { on = true; }
    thread main { enable(); }
}
""",
    Severity.WARNING,
)

# ------------------------------------------------------------------------------------------------------------- locks

UNGUARDED_ACCESS = _rule(
    "unguarded-access",
    "State is touched without the lock that guards it.",
    """
`guarded_by l` promises that `l` is held. Reported here is what breaks the promise on every way to the access; what
breaks it on some way only is checked in every run. `racy(x)` exempts one access, and the verdict lists it.
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state spte : bool = false guarded_by mmu_lock;
    thread main { spte = true; }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state spte : bool = false guarded_by mmu_lock;
    thread main { with mmu_lock { spte = true; } }
}
""",
)

MISPLACED_HOLDS = _rule(
    "misplaced-holds",
    "`holds` or `slow` stands at something that is no op.",
    """
An `op` is an instruction: it may take busy locks while it lasts (`holds`), and a `slow` one begins and ends in
different steps. A `proc` takes as many steps as its body, and takes its locks there; ghost code takes neither.
""",
    """
firmware tdx {
    lock tree : busy;
    proc add() -> bool holds tree else false { return true; }
    thread main { if add() { skip; } }
}
""",
    """
firmware tdx {
    lock tree : busy;
    op add() -> bool holds tree else false { return true; }
    thread main { if add() { skip; } }
}
""",
)

UNSAID_BUSY = _rule(
    "unsaid-busy",
    "An op takes a busy lock and does not say what it returns where it cannot have it.",
    """
Nobody waits for a busy lock: an op that cannot have it ends at once with the value behind `else`. So the op has a
result, and the last lock of the list has an `else`; a lock without one has that of the next.
""",
    """
firmware tdx {
    lock tree : busy;
    op add() -> bool holds tree { return true; }
    thread main { if add() { skip; } }
}
""",
    """
firmware tdx {
    lock tree : busy;
    op add() -> bool holds tree else false { return true; }
    thread main { if add() { skip; } }
}
""",
)

SLOW_IN_ONE_STEP = _rule(
    "slow-in-one-step",
    "A slow op is called where everything is one step.",
    """
A `slow op` begins in one step and ends in another, and others run in between. What is one step, an `op`, an
`atomic { }` or `init`, cannot call it.
""",
    """
firmware tdx {
    lock tree : busy;
    slow op add() -> bool holds tree else false { return true; }
    thread main { atomic { if add() { skip; } } }
}
""",
    """
firmware tdx {
    lock tree : busy;
    slow op add() -> bool holds tree else false { return true; }
    thread main { if add() { skip; } }
}
""",
)

LOCK_NOT_HELD = _rule(
    "lock-not-held",
    "A lock is released, downgraded or required that is held on no way here.",
    "`requires held(l)` and `release l;` rely on an `acquire` before them.",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state spte : bool = false;
    proc zap() requires held(mmu_lock) { spte = false; }
    thread main { zap(); }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : mutex;
    state spte : bool = false;
    proc zap() requires held(mmu_lock) { spte = false; }
    thread main { with mmu_lock { zap(); } }
}
""",
)

WRONG_LOCK_MODE = _rule(
    "wrong-lock-mode",
    "A lock is used in a way that its kind does not have.",
    """
`rwlock` and `rwsem` have `read` and `write`; an `srcu` has readers, and writers `synchronize`; a `flag` can only be
tried, and a `busy` lock is tried or held by an op that says `holds`; all others are held by one thread at a time. Only
an `rwsem` can be downgraded.
""",
    """
hypervisor kvm {
    lock mmu_lock : spinlock;
    thread main { with mmu_lock read { } }
}
""",
    """
hypervisor kvm {
    lock mmu_lock : rwlock;
    thread main { with mmu_lock read { } }
}
""",
)

NO_CPU = _rule(
    "no-cpu",
    "`this_cpu` in the code of a thread that is bound to no CPU.",
    """
A thread has a CPU to itself unless it says `on CPU`; a CPU of its own has no name. Code that asks for `this_cpu`, also
in a proc that is called, runs only in threads that say where or are `migrating`, and in interrupt handlers.
""",
    """
type cpu = scalarset(cpus in 1..4 = 2)
hypervisor kvm {
    state pending : [cpu] bool = false;
    thread kick { pending[this_cpu] = true; }
}
""",
    """
type cpu = scalarset(cpus in 1..4 = 2)
hypervisor kvm {
    state pending : [cpu] bool = false;
    thread kick[c : cpu] on c { pending[this_cpu] = true; }
}
""",
)

NO_CPU_TYPE = _rule(
    "no-cpu-type",
    "CPUs are spoken of, but there is no type called `cpu`.",
    """
CPUs are the members of the type that is called `cpu`: `on`, `interrupt` and `this_cpu` mean it. In a library it is a
parameter of the module.
""",
    """
hypervisor kvm {
    thread boot on 0 { skip; }
}
""",
    """
type cpu = 0..1
hypervisor kvm {
    thread boot on 0 { skip; }
}
""",
)

NOT_AN_IPI = _rule(
    "not-an-ipi",
    "An `ipi` asks for something that is no interrupt `by ipi`.",
    """
`ipi h on c;` and `ipi_wait h on c;` ask CPU `c` to run the handler `h`, which says that it is run when it is asked for:
`interrupt h on cpu by ipi { }`, or `by nmi ipi` if it comes though interrupts are masked. Other interrupts come from
devices and timers, at any time.
""",
    """
type cpu = 0..1
hypervisor kvm {
    interrupt tick on cpu { skip; }
    thread main { ipi tick on 1; }
}
""",
    """
type cpu = 0..1
hypervisor kvm {
    interrupt flush on cpu by ipi { skip; }
    thread main { ipi flush on 1; }
}
""",
)

WEAK_GUARD = _rule(
    "weak-guard",
    "A guard that does not keep writers apart, or asks for more than it needs.",
    """
To write, all locks of the guard must be held (`write: a && b`); to read, one of them is enough (`read: a || b`). With
`write: a || b` two writers could hold different locks and meet.
""",
    """
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    state x : bool = false guarded_by write: a || b, read: any;
    thread main { with a, b { x = true; } }
}
""",
    """
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    state x : bool = false guarded_by write: a && b, read: a || b;
    thread main { with a, b { x = true; } }
}
""",
)

UNPROTECTED_QUANTIFIER = _rule(
    "unprotected-quantifier",
    "A quantifier or `count` reads many cells that other threads may write.",
    """
Real code reads them one by one, and others step in between. Hold the lock that guards them, write the loop that the
code has, or claim with `atomic { }` that it happens at once; the verdict then says so.
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gfn] bool = false;
    state all_there : bool = false;
    thread look { all_there = forall g in gfn : present[g]; }
    environment fault { loop { choose g : gfn; present[g] = true; } }
}
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm {
    state present : [gfn] bool = false;
    state all_there : bool = false;
    thread look { atomic { all_there = forall g in gfn : present[g]; } }
    environment fault { loop { choose g : gfn; present[g] = true; } }
}
""",
)

IMPOSSIBLE_ORDER = _rule(
    "impossible-order",
    "A declared lock order that contradicts itself or has no meaning.",
    "`order a -> b` says that b is taken inside of a, and never the other way round.",
    """
order a -> b
order b -> a
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    thread main { with a, b { } }
}
""",
    """
order a -> b
hypervisor kvm {
    lock a : mutex;
    lock b : mutex;
    thread main { with a, b { } }
}
""",
)

# ------------------------------------------------------------------------------------------ declarations and variants

MISPLACED_DECLARATION = _rule(
    "misplaced-declaration",
    "A declaration where it cannot stand.",
    "State, locks, ops, procs and threads belong to an actor; only ghosts may stand outside.",
    """
state present : bool = false;
hypervisor kvm { thread main { } }
""",
    """
hypervisor kvm {
    state present : bool = false;
    thread main { present = true; }
}
""",
)

MISPLACED_OPERATOR = _rule(
    "misplaced-operator",
    "An operator that has no meaning here.",
    """
`old` belongs into `transition` properties; `at`, `in`, `finished` and names of threads into properties; `racy` to
accesses of state in code; `requires` speaks of `held(...)` only.
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    thread main { level = 1; }
}
invariant rising: old(kvm.level) <= kvm.level;
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    thread main { level = 1; }
}
transition rising: old(kvm.level) <= kvm.level;
""",
)

VARIANT_MISMATCH = _rule(
    "variant-mismatch",
    "A variant that does not look like what it replaces.",
    "A variant replaces a whole proc, op, fn or thread. Its kind, its parameters and its result must be the same.",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    proc set_level(to : 0..3) { level = to; }
    variant fixed of proc set_level() { level = 0; }
    thread main { set_level(1); }
}
""",
    """
hypervisor kvm {
    state level : 0..3 = 0;
    proc set_level(to : 0..3) { level = to; }
    variant fixed of proc set_level(to : 0..3) { level = 0; }
    thread main { set_level(1); }
}
""",
)

MODEL_WITHOUT_THREADS = _rule(
    "model-without-threads",
    "A model, or a scenario of it, in which nothing ever happens.",
    "Without a thread there are no steps, and everything that is claimed would hold for nothing.",
    """
hypervisor kvm { state present : bool = false; }
""",
    """
hypervisor kvm {
    state present : bool = false;
    thread main { present = true; }
}
""",
)

NOT_A_MODEL = _rule(
    "not-a-model",
    "A library module is checked by itself.",
    "A file that begins with `module NAME` has parameters, and means something only where it is imported.",
)

IDLE_ADVERSARY = _rule(
    "idle-adversary",
    "An adversary without a call.",
    "An adversary does what its `any` lines allow, and nothing else.",
    """
hypervisor kvm { state on : bool = false; pub op set() { on = true; } }
adversary userspace vmm { at most 3 calls; }
""",
    """
hypervisor kvm { state on : bool = false; pub op set() { on = true; } }
adversary userspace vmm { any kvm.set; at most 3 calls; }
""",
)

MISSING_IMPORT = _rule(
    "missing-import",
    "A library that does not exist, or cannot be used.",
    """
`import lib.NAME(...)` finds the library modules that are shipped with the tool; other paths begin in the folder of the
model: `import parts.mmu(...)` reads `parts/mmu.pchk`.
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
import lib.contents(gfn) as page
hypervisor kvm { thread main { } }
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
import lib.content(gfn) as page
hypervisor kvm { thread main { } }
""",
)

CYCLIC_IMPORT = _rule(
    "cyclic-import",
    "Library modules that import each other.",
    "What both need belongs into a third module.",
)

WRONG_IMPORT_ARGUMENTS = _rule(
    "wrong-import-arguments",
    "An import with too few, too many or the wrong arguments.",
    "The head of the library says what it takes: types, and values that have a default or not.",
    """
import lib.content() as page
hypervisor kvm { thread main { } }
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
import lib.content(gfn) as page
hypervisor kvm { thread main { } }
""",
)

FAILED_REQUIREMENT = _rule(
    "failed-requirement",
    "What the model requires is not true for the values that are set.",
    "`require` limits the parameters. It must be true for the default values, and in every scenario.",
    """
param pages : 1..8 = 3
require power_of_two(pages)
hypervisor kvm { thread main { } }
""",
    """
param pages : 1..8 = 4
require power_of_two(pages)
hypervisor kvm { thread main { } }
""",
)

# --------------------------------------------------------------------------------------------------------- scenarios

UNKNOWN_PARAMETER = _rule(
    "unknown-parameter",
    "A scenario sets a parameter that does not exist.",
    "Parameters are declared by `param`, and by the sizes of scalarsets (`gfns in 1..4 = 2`).",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm { thread main { } }
scenario large { gfn = 4; expect all hold; }
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
hypervisor kvm { thread main { } }
scenario large { gfns = 4; expect all hold; }
""",
)

UNKNOWN_VARIANT = _rule(
    "unknown-variant",
    "A scenario chooses a variant that does not exist.",
    "Variants are declared by `variant NAME of ...`.",
    """
hypervisor kvm {
    state on : bool = false;
    proc set() { on = true; }
    variant fixed of proc set() { on = false; }
    thread main { set(); }
}
scenario after { with fixd; expect all hold; }
""",
    """
hypervisor kvm {
    state on : bool = false;
    proc set() { on = true; }
    variant fixed of proc set() { on = false; }
    thread main { set(); }
}
scenario after { with fixed; expect all hold; }
""",
)

CONFLICTING_VARIANTS = _rule(
    "conflicting-variants",
    "A scenario chooses two variants of one thing.",
    "Only one of them could be executed. Several variants of one name form one patch; two names are two patches.",
    """
hypervisor kvm {
    state on : bool = false;
    proc set() { on = true; }
    variant first of proc set() { on = false; }
    variant second of proc set() { skip; }
    thread main { set(); }
}
scenario both { with first, second; expect all hold; }
""",
    """
hypervisor kvm {
    state on : bool = false;
    proc set() { on = true; }
    variant first of proc set() { on = false; }
    variant second of proc set() { skip; }
    thread main { set(); }
}
scenario one { with second; expect all hold; }
""",
)

UNKNOWN_THREAD = _rule(
    "unknown-thread",
    "A thread that does not exist, or something else where a thread belongs.",
    "`without` leaves out threads, servers, environments and adversaries, by their names.",
    """
hypervisor kvm { thread populate { } environment remap { } }
scenario alone { without remmap; expect all hold; }
""",
    """
hypervisor kvm { thread populate { } environment remap { } }
scenario alone { without remap; expect all hold; }
""",
)

UNKNOWN_SCENARIO = _rule(
    "unknown-scenario",
    "A property names a scenario that does not exist.",
    "`reachable N in SCENARIO: ...;` is looked for in that scenario only.",
    """
hypervisor kvm { state on : bool = false; thread main { on = true; } }
reachable switched in befor: kvm.on;
scenario before { expect all hold; }
""",
    """
hypervisor kvm { state on : bool = false; thread main { on = true; } }
reachable switched in before: kvm.on;
scenario before { expect all hold; }
""",
)

UNKNOWN_CLAIM = _rule(
    "unknown-claim",
    "A `check` or `expect` names neither a property nor a family.",
    """
Properties have names; families are the tags of assertions and properties (`as double_populate`), and those that every
model has: `lock_order`, `deadlock`, `lock_misuse`, `range`, `null_deref`, `bug`, `assertion`.
""",
    """
hypervisor kvm { thread main { } }
scenario plain { expect dead_lock holds; }
""",
    """
hypervisor kvm { thread main { } }
scenario plain { expect deadlock holds; }
""",
)

UNKNOWN_LABEL = _rule(
    "unknown-label",
    "A label or region that the thread does not have.",
    "Labels are written before a statement (`map: spte[g] = wanted;`), regions around some (`region window { }`).",
    """
hypervisor kvm { state on : bool = false; thread main { set: on = true; } }
invariant early: at(kvm.main, sett) implies !kvm.on;
""",
    """
hypervisor kvm { state on : bool = false; thread main { set: on = true; } }
invariant early: at(kvm.main, set) implies !kvm.on;
""",
)

FINISHES_AT_ONCE = _rule(
    "finishes-at-once",
    "`every ... finishes` of something that is no proc.",
    """
`every kvm.fault finishes;` claims that whoever has begun the proc leaves it some time. An op is over in the step in
which it begins, a `fn` and ghost code take no step at all, and of a thread one claims `finished(t)`.
""",
    """
hypervisor kvm { state n : 0..1; pub op put() { n = 0; } thread main { put(); } }
every kvm.put finishes;
""",
    """
hypervisor kvm { state n : 0..1; pub op put() { n = 0; } proc twice() { put(); put(); } thread main { twice(); } }
every kvm.twice finishes;
""",
)

FAIR_OUTSIDE_THREAD = _rule(
    "fair-outside-thread",
    "`fair` in `init`, which happens only once.",
    """
`fair either` says that no branch which can be taken again and again is left out for ever. What happens once, before
all threads, cannot be repeated: there `either` alone tries every branch.
""",
    """
hypervisor kvm { state n : 0..1; thread main { } }
init { fair either { kvm.n = 0; } or { kvm.n = 1; } }
""",
    """
hypervisor kvm { state n : 0..1; thread main { } }
init { either { kvm.n = 0; } or { kvm.n = 1; } }
""",
)

RUN_LEADS_NOWHERE = _rule(
    "run-leads-nowhere",
    "A `run` leads to something that no state or step violates.",
    """
`run N { ... } leads to F;` says that after these steps F is violated: an invariant, a family of assertions, `deadlock`.
What is only true or false of all runs together, such as `lock_order` or a `reachable`, has no such moment.
""",
    """
hypervisor kvm { state on : bool = false; thread main { set: on = true; } }
run first { kvm.main : set; } leads to lock_order;
""",
    """
hypervisor kvm { state on : bool = false; thread main { set: on = true; } }
run first { kvm.main : set; } leads to kvm.on;
""",
)

IMPOSSIBLE_EXPECTATION = _rule(
    "impossible-expectation",
    "An expectation that can never come true, or contradicts another one.",
    """
Only a `reachable` can be unreachable; only `violated` has a number of steps; each thing is expected once, and what is
not named either by `all` or by `others`.
""",
    """
hypervisor kvm { thread main { } }
scenario plain { expect deadlock unreachable; }
""",
    """
hypervisor kvm { thread main { } }
scenario plain { expect deadlock holds; }
""",
)

MAY_FAIL_WITHOUT_RESULT = _rule(
    "may-fail-without-result",
    "`may_fail` at an op or proc that returns nothing.",
    """
An injected failure has no effect and returns an error; where nothing is returned, nobody could tell it from a success.
""",
    """
hypervisor kvm {
    state on : bool = false;
    op enable() may_fail false { on = true; }
    thread main { enable(); }
}
""",
    """
hypervisor kvm {
    state on : bool = false;
    op enable() -> bool may_fail false { on = true; return true; }
    thread main { if !enable() { return; } }
}
""",
)

FAILURE_THAT_SUCCEEDS = _rule(
    "failure-that-succeeds",
    "`may_fail` with the result that means success.",
    """
An injected failure has no effect. If it returned what means success, `true` or the first member of the enum, the caller
would believe that it was done: that is no failure, but a broken implementation.
""",
    """
hypervisor kvm {
    op map() -> enum { OK, EIO } may_fail OK { return OK; }
    thread main { ignore map(); }
}
""",
    """
hypervisor kvm {
    op map() -> enum { OK, EIO } may_fail EIO { return OK; }
    thread main { ignore map(); }
}
""",
)

TRY_OF_NO_ERROR = _rule(
    "try-of-no-error",
    "`try` before a call whose result cannot be an error.",
    """
Errors are `false`, and all members of an enum but the first. Other results have no value that means failure.
""",
    """
hypervisor kvm {
    proc pages() -> 0..3 { return 2; }
    proc all() -> bool { try pages(); return true; }
    thread main { ignore all(); }
}
""",
    """
hypervisor kvm {
    proc pages() -> 0..3 { return 2; }
    proc all() -> bool { if pages() == 0 { return false; } return true; }
    thread main { ignore all(); }
}
""",
)

NO_ERROR_TO_RETURN = _rule(
    "no-error-to-return",
    "`try` or `on_error` in code that cannot return the error.",
    """
`try f();` returns the error of `f` from the proc around it, which must have the same result type, or say behind `else`
what it returns instead. `on_error` undoes what was done when the proc leaves by an error, so there must be errors.
""",
    """
hypervisor kvm {
    proc map() -> bool { return true; }
    thread main { try map(); }
}
""",
    """
hypervisor kvm {
    proc map() -> bool { return true; }
    thread main { if !map() { return; } }
}
""",
)

ON_ERROR_NEVER_RUNS = _rule(
    "on-error-never-runs",
    "An `on_error` that no error return follows in its block.",
    """
`on_error { }` covers what stands behind it in its block, up to the end of that block. Without a `try` or a `return` of
an error there, it never runs, and what it was meant to undo is not undone.
""",
    """
hypervisor kvm {
    state pinned : bool = false;
    proc pin() -> bool { pinned = true; on_error { pinned = false; } return true; }
    thread main { ignore pin(); }
}
""",
    """
hypervisor kvm {
    state pinned : bool = false;
    op map() -> bool may_fail false { return true; }
    proc pin() -> bool { pinned = true; on_error { pinned = false; } try map(); return true; }
    thread main { ignore pin(); }
}
""",
)

LEAVING_ON_ERROR = _rule(
    "leaving-on-error",
    "A `return`, `try` or `on_error` inside of an `on_error`.",
    """
The blocks run while the proc is on its way out with an error that is already known. They undo, and cannot change it.
""",
    """
hypervisor kvm {
    op map() -> bool may_fail false { return true; }
    op unmap() -> bool may_fail false { return true; }
    proc both() -> bool { try map(); on_error { try unmap(); } try map(); return true; }
    thread main { ignore both(); }
}
""",
    """
hypervisor kvm {
    op map() -> bool may_fail false { return true; }
    op unmap() -> bool may_fail false { return true; }
    proc both() -> bool { try map(); on_error { ignore unmap(); } try map(); return true; }
    thread main { ignore both(); }
}
""",
)

MOVING_LOCK_ON_ERROR = _rule(
    "moving-lock-on-error",
    "An error leaves a `with` whose lock has an index that may have changed.",
    """
An `on_error` outside of a `with` runs after the lock of the `with` is given back. Which lock of an array that is must
not depend on something that changes in between.
""",
    """
type vm = scalarset(vms in 1..2 = 2)
hypervisor kvm {
    lock m : [vm] mutex;
    state on : bool = false;
    op map() -> bool may_fail false { return true; }
    proc both(v : vm) -> bool {
        var w : vm = v;
        on = true;
        on_error { on = false; }
        with m[w] { try map(); }
        return true;
    }
    thread main { choose v : vm; ignore both(v); }
}
""",
    """
type vm = scalarset(vms in 1..2 = 2)
hypervisor kvm {
    lock m : [vm] mutex;
    state on : bool = false;
    op map() -> bool may_fail false { return true; }
    proc both(v : vm) -> bool {
        on = true;
        on_error { on = false; }
        with m[v] { try map(); }
        return true;
    }
    thread main { choose v : vm; ignore both(v); }
}
""",
)

NOT_KILLABLE = _rule(
    "not-killable",
    "`killable` at a wait that no signal ends.",
    """
A signal ends the wait of a thread that sleeps: at a `mutex`, an `rwsem` or an `await`, one at a time and between two
steps. Spinning locks, srcu sections and what happens inside of an `op` or `atomic` cannot be interrupted.
""",
    """
hypervisor kvm {
    lock mmu_lock : spinlock;
    thread main { acquire mmu_lock killable else { return; } release mmu_lock; }
}
""",
    """
hypervisor kvm {
    lock slots_lock : mutex;
    thread main { acquire slots_lock killable else { return; } release slots_lock; }
}
""",
)

KILLED_AND_GOING_ON = _rule(
    "killed-and-going-on",
    "The `else` of a killable wait does not leave.",
    """
Where a signal has ended the wait, the lock is not held and the condition is not true, so what follows must not run.
""",
    """
hypervisor kvm {
    lock slots_lock : mutex;
    thread main { acquire slots_lock killable else { skip; } release slots_lock; }
}
""",
    """
hypervisor kvm {
    lock slots_lock : mutex;
    thread main { acquire slots_lock killable else { return; } release slots_lock; }
}
""",
)

NOTHING_MAY_FAIL = _rule(
    "nothing-may-fail",
    "A scenario allows failures or signals, and nothing in the model can fail or be killed.",
    """
`failures = 1;` lets the ops and procs that say `may_fail E` fail once per run, `fail f;` says which of them. `signals =
1;` lets one `killable` wait be ended. In a model without any of these the line means nothing, and would be believed.
""",
    """
hypervisor kvm {
    op map() -> bool { return true; }
    thread main { ignore map(); }
}
scenario broken { failures = 1; expect all hold; }
""",
    """
hypervisor kvm {
    op map() -> bool may_fail false { return true; }
    thread main { ignore map(); }
}
scenario broken { failures = 1; expect all hold; }
""",
)

BUDGET = _rule(
    "faulty-budget",
    "The number of failures or signals is not what it can be.",
    """
`failures` and `signals` are the most that happen in a run; any run may have fewer, so that `failures : 0..2` is another
way to write `failures = 2`, and no other lower end makes sense. A model may declare the parameter itself, to give it
another range or default: `param failures : 0..3 = 1`.
""",
    """
hypervisor kvm {
    op map() -> bool may_fail false { return true; }
    thread main { ignore map(); }
}
scenario broken { failures : 1..2; expect all hold; }
""",
    """
hypervisor kvm {
    op map() -> bool may_fail false { return true; }
    thread main { ignore map(); }
}
scenario broken { failures : 0..2; expect all hold; }
""",
)

TYPE_RULES: tuple[Rule, ...] = tuple(
    rule for rule in list(globals().values()) if isinstance(rule, Rule) and rule is not NOT_YET_SUPPORTED
)
"""All of them, in the order in which they stand here."""
