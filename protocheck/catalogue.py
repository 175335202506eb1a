"""All rules by name, with their pages: what ``protocheck explain`` reads."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from protocheck.diagnostics import Rule
from protocheck.usage import UNKNOWN_RULE, UsageError

# Where rules are declared, as constants: in the order in which a model meets them.
_MODULES = (
    "protocheck.usage",
    "protocheck.syntax.rules",
    "protocheck.types.rules",
    "protocheck.lower.rules",
    "protocheck.check",
    "protocheck.reports.document",
    "protocheck.reports.formats",
    "protocheck.reports.dot",
)


def all_rules() -> dict[str, Rule]:
    """Every rule, by name, in alphabetical order."""
    rules = {
        value.name: value
        for module in _MODULES
        for value in vars(import_module(module)).values()
        if isinstance(value, Rule)
    }
    return dict(sorted(rules.items()))


def find_rule(name: str) -> Rule:
    """The rule called ``name`` (brackets around it do no harm). Raises :class:`UsageError` with a near miss."""
    wanted = name.strip().strip("[]").lower().replace("_", "-")
    rules = all_rules()
    if wanted in rules:
        return rules[wanted]
    near = get_close_matches(wanted, rules, n=1, cutoff=0.5)
    mend = f"did you mean `{near[0]}`?" if near else "`protocheck explain` lists all names"
    raise UsageError(UNKNOWN_RULE, f"no rule is called `{name}`", mend)
