"""Every fault that reading a model file can find, each with the page that ``protocheck explain NAME`` prints.

The examples of a page are whole files. The tests parse them: the faulty one must be refused by its own rule, the mended
one must be accepted. The rules about files that are no text have no examples.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocheck.diagnostics import Rule


def _rule(name: str, summary: str, text: str, faulty: str = "", mended: str = "") -> Rule:
    page = text.strip()
    if faulty or mended:
        page += f"\n\nFaulty:\n\n```pchk\n{faulty.strip()}\n```\n\nMended:\n\n```pchk\n{mended.strip()}\n```"
    return Rule(name, summary, page + "\n")


# ------------------------------------------------------------------------------------------------------ whole files

UNREADABLE_FILE = _rule(
    "unreadable-file",
    "The file cannot be opened or read.",
    """
The operating system refused to open or read the file; the headline repeats its reason. Either the path is misspelt,
or it names a directory, or you may not read it.

Mend: check the path with `ls`, and the rights with `ls -l`.
""",
)

NOT_UTF8 = _rule(
    "not-utf8",
    "The file is text in another encoding than UTF-8.",
    """
Model files are UTF-8 text. This one has bytes that are not, or begins with the mark of UTF-16. Guessing an encoding
could silently change a name, so nothing is guessed.

Mend: save it as UTF-8, in most editors under "encoding", or with `iconv -f LATIN1 -t UTF-8 old.pchk > new.pchk`.
""",
)

BINARY_FILE = _rule(
    "binary-file",
    "The file is not text at all.",
    """
The file contains NUL bytes, which no text has. Probably the path names an object file, an archive or an image.

Mend: name a `.pchk` file.
""",
)

FILE_TOO_LARGE = _rule(
    "file-too-large",
    "The file is larger than any model should be.",
    """
Model files may have 1 MB. A model that people can review has some hundred lines; a larger file is most likely something
else, and reading it would only cost memory.

Mend: move types, procs and properties that several models share into library modules, and `import` them.
""",
)

EMPTY_FILE = _rule(
    "empty-file",
    "The file has nothing but comments and white space.",
    """
There is nothing to check in an empty file, and a check of nothing must not look like success.

A model begins with `protocol NAME`, a library module with `module NAME(...)`.
""",
    """
// to be written
""",
    """
// to be written
protocol later
""",
)

MISSING_HEADER = _rule(
    "missing-header",
    "The file does not say whether it is a model or a library module.",
    """
A file has exactly one header: `protocol NAME` in a model, `module NAME(...)` in a library module. Reports and traces
call the model by that name.
""",
    """
type gfn = scalarset(gfns in 1..4 = 2)
""",
    """
protocol two_pages
type gfn = scalarset(gfns in 1..4 = 2)
""",
)

SECOND_HEADER = _rule(
    "second-header",
    "The file has more than one `protocol` or `module`.",
    """
One file is one model or one library module, so that a report can name it. Two protocols in one file would share all
their declarations.
""",
    """
protocol populate
protocol fault
""",
    """
protocol populate_and_fault
""",
)

NESTING_TOO_DEEP = _rule(
    "nesting-too-deep",
    "Brackets, or operators without brackets, are nested deeper than any reader can follow.",
    """
At most 64 brackets may be open at once, and an expression or statement may be 160 levels high. The limit keeps a
damaged or generated file from exhausting the checker's stack; no model that a person wrote came near it.

Mend: give inner parts a name with `proc`, `fn` or `let`.
""",
    f"""
protocol deep
const DEEP = {"(" * 65}1{")" * 65}
""",
    """
protocol flat
const DEEP = 1
""",
)

TOO_MANY_FAULTS = _rule(
    "too-many-faults",
    "The file has more faults than are worth listing.",
    """
After 100 faults the rest is left out; most of them follow from the first ones, or the file is not a model at all.

Mend: begin with the first fault and run the check again.
""",
    f"""
protocol noise
const A = 1 {"@ " * 101}
""",
    """
protocol quiet
const A = 1
""",
)

# ----------------------------------------------------------------------------------------------------------- tokens

UNKNOWN_CHARACTER = _rule(
    "unknown-character",
    "No word, number or sign begins with this character.",
    """
Outside comments and texts a model is written in ASCII. Common causes are signs that a mail client or a document has
made prettier (`→` for `->`, curly quotes), single quotes, and `#` before a comment.
""",
    """
protocol arrows
order slots_lock → mmap_lock
""",
    """
protocol arrows
order slots_lock -> mmap_lock
""",
)

UNTERMINATED_TEXT = _rule(
    "unterminated-text",
    "A text in quotes has no closing quote on its line.",
    """
A text ends on the line it begins on. Without that rule a forgotten quote would swallow the rest of the file. Inside a
text, a quote is written `\\"` and a backslash `\\\\`.
""",
    """
protocol quoted
source "KVM: x86/mmu
""",
    """
protocol quoted
source "KVM: x86/mmu"
""",
)

UNKNOWN_ESCAPE = _rule(
    "unknown-escape",
    "A text has a backslash before a character with which it means nothing.",
    """
Inside a text, a quote is written `\\"` and a backslash `\\\\`; there are no other escapes, since a text is one line of
a report.
""",
    """
protocol quoted
source "mail:\\nKVM: x86/mmu"
""",
    """
protocol quoted
source "mail: KVM: x86/mmu"
""",
)

NUMBER_TOO_LARGE = _rule(
    "number-too-large",
    "A number has more than 18 digits.",
    """
All values of a model are finite and small; a number this long is a slip, or an address that the model should abstract
to a scalarset.
""",
    """
protocol address
const BASE = 1234567890123456789
""",
    """
protocol address
const BASE = 0
""",
)

# --------------------------------------------------------------------------------------------------- what fits where

UNEXPECTED_TOKEN = _rule(
    "unexpected-token",
    "This word or sign cannot stand here.",
    """
Everything before the caret makes sense; what stands at the caret does not continue it. The message lists what could
have come instead, where "an operator" stands for all of `+ - * / % << >> & | ^ && || == != < <= > >= in implies ?`.
A declaration in which something does not fit is skipped, and reading goes on with the next one.
""",
    """
protocol unexpected
hypervisor kvm {
    state present : bool = false;
    proc f() { if present = true { skip; } }
}
""",
    """
protocol unexpected
hypervisor kvm {
    state present : bool = false;
    proc f() { if present == true { skip; } }
}
""",
)

UNEXPECTED_END = _rule(
    "unexpected-end",
    "A declaration stops before it is complete.",
    """
The next declaration, or the end of the file, comes too early. The message says what is missing.
""",
    """
protocol short
param how : enum { a, b } =
param vcpus : 1..8 = 2
""",
    """
protocol short
param how : enum { a, b } = a
param vcpus : 1..8 = 2
""",
)

MISSING_SEMICOLON = _rule(
    "missing-semicolon",
    "A statement or declaration does not end in `;`.",
    """
Statements, and declarations that are no blocks, end in `;`. It may be left out only after the lines that head a file:
`protocol`, `module`, `source`, `import`, `param`, `require`, `type`, `const`, `order` and `nest`.
""",
    """
protocol semicolon
hypervisor kvm {
    state count_ : 0..3 = 0;
    proc f() {
        count_ = 1
        count_ = 2;
    }
}
""",
    """
protocol semicolon
hypervisor kvm {
    state count_ : 0..3 = 0;
    proc f() {
        count_ = 1;
        count_ = 2;
    }
}
""",
)

UNCLOSED_BRACKET = _rule(
    "unclosed-bracket",
    "A `{`, `(` or `[` is never closed.",
    """
The declaration ends while a bracket is open; the second place shown is that bracket. Where brackets do not match, the
next declaration is found by its first word at the beginning of a line, so one lost brace costs one declaration.
""",
    """
protocol unclosed
hypervisor kvm {
    proc f() {
        loop {
            skip;
    }
    proc g() { skip; }
}
""",
    """
protocol unclosed
hypervisor kvm {
    proc f() {
        loop {
            skip;
        }
    }
    proc g() { skip; }
}
""",
)

UNMATCHED_BRACKET = _rule(
    "unmatched-bracket",
    "A `}`, `)` or `]` closes nothing.",
    """
All brackets before this one are closed already. Either it is left over, or a block above was closed too early.
""",
    """
protocol unmatched
hypervisor kvm {
    proc f() { skip; }
}
}
""",
    """
protocol unmatched
hypervisor kvm {
    proc f() { skip; }
}
""",
)

MISSPELT_KEYWORD = _rule(
    "misspelt-keyword",
    "A word that is nearly a keyword stands where that keyword could stand.",
    """
No name can stand here, but a keyword that differs in a letter or two can.
""",
    """
protocol misspelt
hypervisor kvm {
    lok mmu_lock : spinlock;
}
""",
    """
protocol misspelt
hypervisor kvm {
    lock mmu_lock : spinlock;
}
""",
)

KEYWORD_AS_NAME = _rule(
    "keyword-as-name",
    "A keyword stands where a name must stand.",
    """
Keywords cannot be names, wherever they stand; otherwise a missing word would go unnoticed. Some words mean something
only in one place and are allowed as names: `read`, `write`, `idle`, `down`, `set`, `snapshot`, `srcu`, `most`, `calls`,
`steps`, `slow`, `holds`, `times`, `counter`, `window`, the roles of actors such as `guest`, and `old`, `at`, `every`,
`always`, `source`, `record`, `region`, `check`, `order`, `count`, `stop` and `bug`.
""",
    """
protocol keyword
hypervisor kvm {
    state lock : bool = false;
}
""",
    """
protocol keyword
hypervisor kvm {
    state locked : bool = false;
}
""",
)

CHAINED_COMPARISON = _rule(
    "chained-comparison",
    "A comparison follows another one without parentheses.",
    """
In C, `a < b < c` compares the truth of `a < b` with `c`; in mathematics it means something else. Here it means nothing.
`in` counts as a comparison.
""",
    """
protocol chained
const A = 1
const B = 0 < A < 3
""",
    """
protocol chained
const A = 1
const B = 0 < A && A < 3
""",
)

LATER: Mapping[str, tuple[str, str]] = {
    "strict": ("scenarios that want every assumption named", "leave it out: the report lists what is assumed"),
}
"""Words of constructs that are planned: what each means, and what to write instead."""

NOT_YET_SUPPORTED = _rule(
    "not-yet-supported",
    "A construct that is planned, but that this version cannot check.",
    """
The construct is part of the language, but not of this version. It is refused, because ignoring it would change what
the verdict means. The words may be used as names meanwhile.

"""
    + "\n".join(f"- `{word}`, {what}: {instead}." for word, (what, instead) in LATER.items()),
    """
protocol soon
firmware monitor {
    thread main { skip; }
}
scenario plain strict { expect all hold; }
""",
    """
protocol soon
firmware monitor {
    thread main { skip; }
}
scenario plain { expect all hold; }
""",
)

# ------------------------------------------------------------------------------------- what the grammar lets through

DOTTED_NAME = _rule(
    "dotted-name",
    "A declaration has a dotted name.",
    """
Things are declared inside the block of their owner, under a plain name. Only a `variant` names what it replaces by its
path, since it stands outside.
""",
    """
protocol dotted
proc kvm.fault() { skip; }
""",
    """
protocol dotted
hypervisor kvm {
    proc fault() { skip; }
}
variant checked of proc kvm.fault() { skip; }
""",
)

NAMED_SINGLE_PART = _rule(
    "named-single-part",
    "The part of a product has a name, but there is no product.",
    """
`type page = folio : scalarset(3) x index : 0..1` names the parts of a product, so that they can be read as `p.folio`
and `p.index`. A type of one part has nothing to name.
""",
    """
protocol parts
type page = folio : scalarset(3)
""",
    """
protocol parts
type page = folio : scalarset(3) x index : 0..1
""",
)

UNKNOWN_LOCK_KIND = _rule(
    "unknown-lock-kind",
    "There is no such kind of lock.",
    """
The kinds are `mutex`, `spinlock`, `rwlock`, `rwsem`, `srcu`, `flag` and `busy`. The kind decides who excludes whom, who
queues, and where a thread may sleep.
""",
    """
protocol kinds
hypervisor kvm { lock mmu_lock : rw_lock; }
""",
    """
protocol kinds
hypervisor kvm { lock mmu_lock : rwlock; }
""",
)

UNKNOWN_LOCK_OPTION = _rule(
    "unknown-lock-option",
    "There is no such option of locks, or it takes no condition.",
    """
The options are `unfair` (a waiting writer does not hold back new readers), also with a condition on parameters as in
`unfair when how == a`, and `irq` (taken in interrupt context too), which has none.
""",
    """
protocol options
hypervisor kvm { lock mmu_lock : rwlock (unfare); }
""",
    """
protocol options
hypervisor kvm { lock mmu_lock : rwlock (unfair); }
""",
)

TOO_MANY_LOCK_INDEXES = _rule(
    "too-many-lock-indexes",
    "An array of locks has more than two dimensions.",
    """
Locks come alone, or in arrays of one or two dimensions. More of them are almost always a product in disguise.
""",
    """
protocol dimensions
hypervisor kvm { lock m : [0..1][0..1][0..1] mutex; }
""",
    """
protocol dimensions
type place = 0..1 x 0..1
hypervisor kvm { lock m : [place][0..1] mutex; }
""",
)

REPEATED_LIMIT = _rule(
    "repeated-limit",
    "An adversary has two limits.",
    """
`at most N calls;` bounds how often each instance of an adversary may call; two such lines contradict each other.
""",
    """
protocol limits
adversary userspace u { any kvm.close; at most 3 calls; at most 4 calls; }
""",
    """
protocol limits
adversary userspace u { any kvm.close; at most 3 calls; }
""",
)

UNTYPED_VARIABLE = _rule(
    "untyped-variable",
    "A `var` has neither a type nor a value.",
    """
A variable needs a finite type. It is taken from the value if there is one, but without either there is nothing to
take it from.
""",
    """
protocol untyped
hypervisor kvm { proc f() { var tries; tries = 0; } }
""",
    """
protocol untyped
hypervisor kvm { proc f() { var tries : 0..3; tries = 0; } }
""",
)

NOT_ASSIGNABLE = _rule(
    "not-assignable",
    "The left side of an assignment is no place that can hold a value.",
    """
Values are stored in variables, in fields and in elements of arrays, possibly inside `racy(...)`. The result of a call
or of an operator has no place.
""",
    """
protocol assign
hypervisor kvm { proc f() { page(0) = 1; } }
""",
    """
protocol assign
hypervisor kvm { proc f() { page[0] = 1; } }
""",
)

NOT_A_CALL = _rule(
    "not-a-call",
    "An expression that does nothing stands where a call must stand.",
    """
A statement that is an expression must be a call, and so must what follows `ignore`; any other expression would be
evaluated for nothing. What is called is named: the result of a call cannot be called.
""",
    """
protocol effect
hypervisor kvm { proc f() { skip; }  proc g() { f; } }
""",
    """
protocol effect
hypervisor kvm { proc f() { skip; }  proc g() { f(); } }
""",
)

CLOSED_RANGE_IN_FOR = _rule(
    "closed-range-in-for",
    "A `for` over numbers is written with `..`.",
    """
Types are closed, `0..3` has four values; loops over numbers are half-open, as in C, and written with `..<`. If a loop
took `..`, one of the two readings would be off by one without a word, so it takes only `..<`.
""",
    """
protocol half_open
hypervisor kvm { proc f() { for i in 0..3 { skip; } } }
""",
    """
protocol half_open
hypervisor kvm { proc f() { for i in 0 ..< 4 { skip; } } }
""",
)

BAD_EXPECTATION = _rule(
    "bad-expectation",
    "What a scenario expects cannot be understood.",
    """
An expectation is a target and an outcome. The target is a property, a family, `all` or `others`. The outcome is `holds`
(or `hold`), `violated`, `unreachable`, `vacuous`, `unknown` or `any`; after `violated` may follow `in 5 steps`,
`in at most 5 steps` and `at LABEL`. For `lock_order` a kind of finding may come first: `cycle`, `prevented cycle`,
`unrealised cycle`, `against order`, `recursion`; a kind alone says that it is found. Expectations are separated by `,`.
""",
    """
protocol expecting
scenario before { expect deadlock fails; }
""",
    """
protocol expecting
scenario before { expect deadlock violated in at most 9 steps, others hold; }
""",
)

SYNTAX_RULES: tuple[Rule, ...] = (
    UNREADABLE_FILE,
    NOT_UTF8,
    BINARY_FILE,
    FILE_TOO_LARGE,
    EMPTY_FILE,
    MISSING_HEADER,
    SECOND_HEADER,
    NESTING_TOO_DEEP,
    TOO_MANY_FAULTS,
    UNKNOWN_CHARACTER,
    UNTERMINATED_TEXT,
    UNKNOWN_ESCAPE,
    NUMBER_TOO_LARGE,
    UNEXPECTED_TOKEN,
    UNEXPECTED_END,
    MISSING_SEMICOLON,
    UNCLOSED_BRACKET,
    UNMATCHED_BRACKET,
    MISSPELT_KEYWORD,
    KEYWORD_AS_NAME,
    CHAINED_COMPARISON,
    NOT_YET_SUPPORTED,
    DOTTED_NAME,
    NAMED_SINGLE_PART,
    UNKNOWN_LOCK_KIND,
    UNKNOWN_LOCK_OPTION,
    TOO_MANY_LOCK_INDEXES,
    REPEATED_LIMIT,
    UNTYPED_VARIABLE,
    NOT_ASSIGNABLE,
    NOT_A_CALL,
    CLOSED_RANGE_IN_FOR,
    BAD_EXPECTATION,
)
