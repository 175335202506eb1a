"""Rules that only an instance can break: they depend on the values of parameters."""

from __future__ import annotations

from protocheck.diagnostics import Rule

UNKNOWN_SETTING = Rule(
    "unknown-setting",
    "a value is given for something that is not a parameter of the model",
    """\
# unknown-setting

A scenario or `-p NAME=VALUE` may set a `param` and the size of a `scalarset` that has a name for it
(`scalarset(gfns in 1..4 = 2)`). Nothing else can be set from outside.

Mend: use one of the names that the message lists.
""",
)
SETTING_OUT_OF_RANGE = Rule(
    "setting-out-of-range",
    "a parameter is given a value that its declaration does not allow",
    """\
# setting-out-of-range

The declaration of a parameter bounds it (`param vcpus : 1..8 = 2`), because the model was only thought through for
those values. A scenario or `-p` may not leave the bounds.

Mend: give a value inside the bounds, or widen the declaration if the model makes sense there.
""",
)
REQUIREMENT_NOT_MET = Rule(
    "requirement-not-met",
    "the parameters of this instance break a `require` of the model",
    """\
# requirement-not-met

`require e;` says which combinations of parameters the model speaks about. This instance is not one of them, so no
verdict about it would mean anything.

Mend: choose other parameters in the scenario or with `-p`.
""",
)
EMPTY_TYPE = Rule(
    "empty-type",
    "with these parameters a type has no values",
    """\
# empty-type

A range such as `0..n-1` has no value when `n` is 0. A variable of that type could hold nothing.

Mend: exclude the value by a `require` or by the bounds of the parameter.
""",
)
NOTHING_RUNS = Rule(
    "nothing-runs",
    "this instance has no thread",
    """\
# nothing-runs

All threads are left out (`without`) or have no instance: nothing can ever happen, and every verdict would be empty.

Mend: keep at least one thread, and sizes that give it an instance.
""",
)
ENDLESS_STEP = Rule(
    "endless-step",
    "a loop goes on for ever inside one step",
    """\
# endless-step

A loop that touches no shared state takes no step, so it runs to its end inside the step before it. This one does not
end (or not within the compiler's patience), so the step would have no end state.

Mend: bound the loop, or let each turn do something that other threads can see.
""",
)
TOO_MANY_PATHS = Rule(
    "too-many-paths",
    "one step has too many ways through its local code",
    """\
# too-many-paths

The code between two steps branches so often that the number of ways through it exceeds the compiler's limit.

Mend: let the code take a step in between, or compute the branches' results with `?:` instead of `if`.
""",
)
STEP_TOO_LARGE = Rule(
    "step-too-large",
    "what one step computes is too large an expression",
    """\
# step-too-large

Everything between two steps is computed at once, from the state before it. A value that is stored and read again
within the step, in a loop or over and over, is put in place each time, so the expression for the last one can become
very large. This one exceeds the compiler's limit.

Mend: let the code take a step in between, or compute less in one step.
""",
)
CHOICE_OF_SET = Rule(
    "choice-of-set",
    "a whole set is chosen at once",
    """\
# choice-of-set

`choose s : set of T;` would need one choice per member of `T` in a single step. The compiler does not do that.

Mend: choose the members one by one in a loop, or choose one member where one is enough.
""",
)
ORDER_OF_MEMBERS = Rule(
    "order-of-members",
    "ghost code visits the members of a scalarset in an order that matters",
    """\
# order-of-members

Members of a scalarset are interchangeable, so they have no order. A `for` over them in real code picks the next member
as a choice. Ghost code makes no choices, so its loops may only do what comes out the same in every order: each turn
writes cells indexed by its own member, and of what the loop writes it reads only those.

Mend: write only the member's own cells, or compute the value with `forall`, `exists` or `count`.
""",
)
INITIAL_OUT_OF_RANGE = Rule(
    "initial-out-of-range",
    "with these parameters a variable begins outside of its range",
    """\
# initial-out-of-range

The initial value of a variable must lie in its type. Here it does for some values of the parameters, but not for those
of this instance.

Mend: widen the range, change the initial value, or exclude the parameters by a `require`.
""",
)
NO_BEGINNING = Rule(
    "no-beginning",
    "with these parameters `init` has no way to its end",
    """\
# no-beginning

A `choose ... where` in `init` has no candidate. Then there is no initial state, nothing ever happens, and every claim
would hold for no reason.

Mend: loosen the condition, give the sizes another value, or say in an `else` what happens without a candidate.
""",
)

LOWER_RULES = (
    UNKNOWN_SETTING,
    SETTING_OUT_OF_RANGE,
    REQUIREMENT_NOT_MET,
    EMPTY_TYPE,
    NOTHING_RUNS,
    ENDLESS_STEP,
    TOO_MANY_PATHS,
    STEP_TOO_LARGE,
    CHOICE_OF_SET,
    ORDER_OF_MEMBERS,
    INITIAL_OUT_OF_RANGE,
    NO_BEGINNING,
)
