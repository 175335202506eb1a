"""The portfolio: exact where a search can finish, and still exact, by other means, where it may not."""

from __future__ import annotations

import time
from unittest.mock import patch

import pytest
from build import is_, never
from protocols import fault_vs_conversion
from zoo import ZOO, ZooCase, counter

from protocheck.engines import auto
from protocheck.engines.verdict import Budget, Exhausted, Invariant, NotReachedWithin, Reached, Unknown, Unreachable
from protocheck.traces.replay import replay


@pytest.mark.parametrize("case", ZOO, ids=lambda c: c.name)
def test_agrees_with_the_zoo(case: ZooCase) -> None:
    """The verdict and the shortest length are those of the zoo, and every run replays."""
    (answer,) = auto.run(case.system, [case.target], Budget())
    if case.expected_depth is None:
        assert isinstance(answer, Unreachable)
    else:
        assert isinstance(answer, Reached)
        assert (len(answer.run.moves), answer.shortest) == (case.expected_depth, True)
        replay(case.system, case.target, answer.run)


def test_beyond_the_state_limit_ic3_proves() -> None:
    """With room for 100 states the search cannot finish 1,922; the proof is then an inductive invariant."""
    system, target = fault_vs_conversion(2, 1)
    (answer,) = auto.portfolio(system, [target], Budget(states=100))
    assert isinstance(answer.verdict, Unreachable)
    assert isinstance(answer.verdict.by, Invariant)
    assert answer.engine == "ic3"
    (answer,) = auto.portfolio(system, [target], Budget())
    assert isinstance(answer.verdict, Unreachable)
    assert isinstance(answer.verdict.by, Exhausted)


def test_beyond_the_state_limit_the_run_is_still_a_shortest_one() -> None:
    """With room for 50 states the bug at depth 12 is found by IC3 and shortened."""
    system, target = fault_vs_conversion(2, 2, broken=True)
    (answer,) = auto.portfolio(system, [target], Budget(states=50))
    assert isinstance(answer.verdict, Reached)
    assert (len(answer.verdict.run.moves), answer.verdict.shortest, answer.engine) == (12, True, "bmc")
    replay(system, target, answer.verdict.run)


def test_one_dear_question_is_put_to_ic3_before_a_long_search() -> None:
    """With 144 renamings per state one claim is proved after a short look; of three, a search for all comes first."""
    system, target = fault_vs_conversion(4, 3)
    (answer,) = auto.portfolio(system, [target], Budget())
    assert isinstance(answer.verdict, Unreachable)
    assert (answer.engine, isinstance(answer.verdict.by, Invariant)) == ("ic3", True)
    asked: list[int | None] = []
    search = auto._Work.search

    def watched(self: auto._Work, budget: Budget) -> None:
        asked.append(budget.states)
        search(self, budget)

    with patch.object(auto._Work, "search", watched):
        auto.portfolio(system, [target], Budget())
        auto.portfolio(system, [target] * 3, Budget())
        auto.portfolio(system, [target], Budget(states=10))
    assert asked == [1562, 6250, 10]


def test_optional_targets_get_no_more_than_the_search() -> None:
    """A target that nothing depends on stays unknown where the search ended, and costs no proof."""
    system, target = fault_vs_conversion(2, 1)
    (answer,) = auto.portfolio(system, [target], Budget(states=100), optional=[0])
    assert isinstance(answer.verdict, Unknown)
    assert answer.engine == "explore"


def test_a_bound_is_kept() -> None:
    """With a bound of k, runs of k steps are found and nothing is claimed beyond."""
    system, x = counter(0, 20, 0, 20)
    assert isinstance(auto.run(system, [never(is_(x, 5))], Budget(depth=5))[0], Reached)
    assert auto.run(system, [never(is_(x, 6))], Budget(depth=5))[0] == NotReachedWithin(5)


def test_an_expired_deadline_leaves_everything_unknown() -> None:
    """Without time there is no answer, and none is invented."""
    system, target = fault_vs_conversion(2, 2)
    (answer,) = auto.run(system, [target], Budget(deadline=time.monotonic()))
    assert isinstance(answer, Unknown)
