"""Every engine's name leads to an answer about endless runs, and all of them say the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from live_zoo import spin_lock

from protocheck import check_file
from protocheck.engines import forever, live
from protocheck.engines.certify import certify
from protocheck.engines.verdict import Budget, Exhausted, Invariant, Limit, NotReachedWithin, Reached, Unknown
from protocheck.engines.verdict import Unreachable as Proved
from protocheck.findings import Holds, HoldsToDepth
from protocheck.ir.expr import TRUE
from protocheck.ir.system import LiveTarget, RecoverableTarget, System
from protocheck.traces.replay import replay

MODEL = """\
protocol turns
kernel k {
    state turn : 0..1;
    server p[me : 0..1] { loop { wanting: await turn == me;  turn = 1 - me; } }
}
progress served: at(k.p[0], wanting) leads_to k.turn == 0;
"""


@pytest.mark.parametrize("engine", ["auto", "explore", "bmc", "ic3", "kinduction"])
def test_a_violation(engine: str) -> None:
    """Each engine finds a lasso that replays."""
    built, target = spin_lock(2, False)
    (found,) = forever.answer(built, (target,), engine, Budget())
    assert isinstance(found.answer.verdict, Reached)
    replay(built, target, found.answer.verdict.run)


def test_a_proof() -> None:
    """A search exhausts the states; IC3 hands out an invariant that checks again; a bound says how far it looked."""
    built, target = spin_lock(2, True)
    (found,) = forever.answer(built, (target,), "explore", Budget())
    assert isinstance(found.answer.verdict, Proved)
    assert isinstance(found.answer.verdict.by, Exhausted)
    (found,) = forever.answer(built, (target,), "ic3", Budget())
    assert found.proof is not None
    assert isinstance(found.proof.verdict.by, Invariant)
    certify(found.proof.system, found.proof.target, found.proof.verdict)
    (found,) = forever.answer(built, (target,), "bmc", Budget(depth=3))
    assert found.answer.verdict == NotReachedWithin(3)


def test_a_graph_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many states for a search, rounds are counted; what only a search decides stays open."""
    monkeypatch.setattr(forever, "STATES", 2)
    lost = RecoverableTarget(TRUE)
    built, target = spin_lock(2, True)
    rounds, open_ = forever.answer(built, (target, lost), "auto", Budget())
    assert isinstance(rounds.answer.verdict, Proved)
    assert rounds.proof is not None
    assert open_.answer.verdict == Unknown(Limit.STATES, "2 states")


def test_through_the_front_door(tmp_path: Path) -> None:
    """A progress claim is proved with its certificate checked again, and bounded search says its bound."""
    path = tmp_path / "turns.pchk"
    path.write_text(MODEL, encoding="utf-8")
    (scenario,) = check_file(str(path), engine="ic3", properties=("served",)).scenarios
    (found,) = scenario.findings
    assert isinstance(found.outcome, Holds)
    assert found.outcome.rechecked
    (scenario,) = check_file(str(path), engine="bmc", bound=4, properties=("served",)).scenarios
    assert [f.outcome for f in scenario.findings] == [HoldsToDepth(4)]


def test_what_an_engine_cannot_decide_it_says_so_of_itself() -> None:
    """Whether a way back exists is no question for a solver; nothing gave up."""
    built, _ = spin_lock(2, True)
    for engine in ("bmc", "ic3", "kinduction"):
        (found,) = forever.answer(built, (RecoverableTarget(TRUE),), engine, Budget())
        assert isinstance(found.answer.verdict, Unknown)
        assert found.answer.verdict.limit is Limit.ENGINE


def test_time_that_is_left_is_shared_among_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first claim does not take all of it."""
    left: list[float] = []

    def decide(system: System, target: LiveTarget, budget: Budget) -> live.Decided:
        assert budget.deadline is not None
        left.append(budget.deadline)
        return live.Decided(Unknown(Limit.TIME))

    monkeypatch.setattr(live, "decide", decide)
    built, target = spin_lock(2, True)
    end = time.monotonic() + 300
    forever.answer(built, (target, target, target), "ic3", Budget(deadline=end))
    assert left[0] < left[1] < left[2] == end
