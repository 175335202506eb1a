"""A thread is owed what it asks for; whether it asks stays its own choice, although both are of one step."""

from __future__ import annotations

import pytest

from tests.lower.test_progress import judged

CLAIM = "progress served: finished(k.t);"
OWED = {
    "lock": "with m { x = true; return; }",
    "branch": "fair either { return; } or { x = true; }",
}
OTHER = "environment u { loop { with m { x = false; } } }"


def served(before: str, what: str) -> bool:
    """Whether thread ``t``, which does ``before`` and then asks for ``what``, again and again, must come to its end."""
    thread = f"thread t {{ loop {{ {before} {OWED[what]} }} }}"
    text = f"kernel k {{ lock m : mutex; state x : bool; {thread} {OTHER} }} {CLAIM}"
    return judged(text)["served"] is None


@pytest.mark.parametrize("what", list(OWED))
@pytest.mark.parametrize(
    "before", ["", "either { skip; } or { skip; }", "choose n : 0..1;", "choose n : 0..3 where n > 1;"]
)
def test_who_asks_whatever_it_chose_is_served(before: str, what: str) -> None:
    """A choice of which every outcome leads to what is owed takes nothing from the assumption."""
    assert served(before, what)


@pytest.mark.parametrize("what", list(OWED))
@pytest.mark.parametrize(
    "before",
    [
        "either { skip; } or { continue; }",
        "either { either { skip; } or { continue; } } or { continue; }",
        "choose n : 0..1; if n == 1 { continue; }",
        "var n : 0..1 = 0; havoc n; if n == 1 { continue; }",
    ],
)
def test_who_chooses_not_to_ask_is_owed_nothing(before: str, what: str) -> None:
    """A thread that may always choose to go round again need never come to its end: nothing is unfair to it."""
    assert not served(before, what)


def test_the_answer_is_that_of_a_choice_made_in_a_step_of_its_own() -> None:
    """With a step of another state between the choice and what is owed the answers are the same."""
    for before in ("either { skip; } or { continue; }", "choose n : 0..1;"):
        for what in OWED:
            assert served(before, what) == served(f"{before} x = false;", what)
