"""Replay accepts genuine runs and refuses every kind of doctored one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from zoo import ZOO, ZooCase

from protocheck.engines.explore import explore
from protocheck.engines.verdict import Choice, Reached, Run
from protocheck.ir.system import Target
from protocheck.traces.replay import Replayed, ReplayFailed, replay


def case(name: str) -> ZooCase:
    """The case of the zoo with this name."""
    return next(c for c in ZOO if c.name == name)


def shortest(zoo: ZooCase) -> Run:
    """A shortest run to the target of ``zoo``."""
    (verdict,) = explore(zoo.system, (zoo.target,)).verdicts
    assert isinstance(verdict, Reached)
    return verdict.run


def refused(zoo: ZooCase, run: Run, why: str) -> None:
    """Replay refuses ``run`` and its reason matches ``why``."""
    with pytest.raises(ReplayFailed, match=why):
        replay(zoo.system, zoo.target, run)


REACHED = tuple(c for c in ZOO if c.expected_depth is not None)


@pytest.mark.parametrize("zoo", REACHED, ids=lambda c: c.name)
def test_states_of_a_run(zoo: ZooCase) -> None:
    """A replayed run has a state before it and one after each step, unless its last step was fatal."""
    run = shortest(zoo)
    replayed = replay(zoo.system, zoo.target, run)
    fatal = any(zoo.system.transitions[run.moves[-1].which].checks[k].fatal for k in (replayed.failed or ((),))[-1])
    assert len(replayed.states) == len(run.moves) + (0 if fatal else 1)
    assert len(replayed.failed) == len(run.moves)


def test_failed_checks_are_told() -> None:
    """The mild check fails in the second step and the fatal one in the third, after which there is no state."""
    mild, hard = case("the mild fault"), case("the fatal fault")
    assert replay(mild.system, mild.target, shortest(mild)).failed == ((), (0,))
    replayed = replay(hard.system, hard.target, shortest(hard))
    assert replayed.failed == ((), (0,), (1,))
    assert [s["x", ()] for s in replayed.states] == [0, 1, 2]


def test_members_of_a_deadlock() -> None:
    """Replay of a deadlock says who waits for whom and why."""
    ring = case("a ring of two")
    replayed: Replayed = replay(ring.system, ring.target, shortest(ring))
    told = [(b.who.values, [(o.values, why) for o, why in b.on]) for b in replayed.blocked]
    assert told == [((0,), [((1,), "holds it")]), ((1,), [((0,), "holds it")])]


def test_a_missing_step() -> None:
    """A run that lacks its last step does not end in the target; one that lacks its first cannot be walked."""
    zoo = case("bad is a dead end")
    run = shortest(zoo)
    refused(zoo, replace(run, moves=run.moves[:-1]), "false in the last state")
    refused(zoo, replace(run, moves=run.moves[1:]), "step 2 cannot be taken")


def test_steps_in_another_order() -> None:
    """Steps cannot be taken in an order in which one is not enabled."""
    zoo = case("bad is a dead end")
    run = shortest(zoo)
    refused(zoo, replace(run, moves=tuple(reversed(run.moves))), "step 1 cannot be taken: the guard")


def test_another_choice() -> None:
    """A step with another choice leads elsewhere."""
    zoo = case("a member of an option")
    run = shortest(zoo)
    doctored = replace(run.moves[0], values=(2,))
    refused(zoo, replace(run, moves=(doctored,)), "false in the last state")


def test_steps_that_do_not_exist() -> None:
    """Transitions, parameter values and instances that do not exist are refused by name."""
    zoo = case("all instances that exist move")
    run = shortest(zoo)
    rest = run.moves[1:]
    refused(zoo, replace(run, moves=(Choice(7, (0, 1)), *rest)), "there is no transition 7")
    refused(zoo, replace(run, moves=(Choice(0, (0,)), *rest)), "1 values given for 2 parameters")
    refused(zoo, replace(run, moves=(Choice(0, (0, 3)), *rest)), "3 is no value of parameter b")
    refused(zoo, replace(run, moves=(Choice(0, (1, 0)), *rest)), r"there is no instance \[1, 0\] of t")


def test_a_beginning_that_does_not_exist() -> None:
    """Initial cases and choices that do not exist, or that a condition forbids, are refused."""
    zoo = case("the nearest beginning counts")
    run = shortest(zoo)
    refused(zoo, replace(run, init=Choice(2, ())), "cannot begin: there is no initial case 2")
    refused(zoo, replace(run, init=Choice(0, (2,))), "cannot begin: the condition of initial case 0 is false")
    refused(zoo, replace(run, init=Choice(0, (4,))), "cannot begin: 4 is no value")
    refused(zoo, replace(run, init=Choice(0, (1,))), "false in the last state")


def test_another_end() -> None:
    """The case that a run claims to reach is checked, with its parameters' values."""
    zoo = case("two pages, two owners")
    run = shortest(zoo)
    assert run.end is not None
    refused(zoo, replace(run, end=None), "does not say which")
    refused(zoo, replace(run, end=Choice(1, run.end.values)), "there is no target case 1")
    refused(zoo, replace(run, end=Choice(0, run.end.values[:-1])), "no values of the parameters")
    refused(zoo, replace(run, end=Choice(0, (0, 9, 1, 2))), "no values of the parameters")
    refused(zoo, replace(run, end=Choice(0, (0, 0, 1, 2))), "false in the last state")


def test_a_fault_in_another_step() -> None:
    """A fault that happens in a step must happen in the last one, with the values of that step."""
    zoo = case("a fault that a choice makes")
    run = shortest(zoo)
    assert run.end is not None
    refused(zoo, replace(run, moves=()), "takes none")
    refused(zoo, replace(run, end=Choice(0, (0,))), "in another step than the last")
    early = Run(run.init, run.moves[:2], Choice(0, run.moves[1].values))
    refused(zoo, early, "false in the last step")


def test_a_state_after_the_end() -> None:
    """After a fatal check there are no further steps, and no last state to look at."""
    zoo = case("the fatal fault")
    run = shortest(zoo)
    refused(zoo, replace(run, moves=(*run.moves, run.moves[0])), "step 4 follows a step that ended the run")
    state_case = case("a fatal check ends the run")
    assert isinstance(state_case.target, Target)
    refused(state_case, replace(run, end=Choice(0, ())), "there is no last state")


def test_doctored_deadlocks() -> None:
    """A deadlock needs deadlocked threads in the last state, and names no case."""
    zoo = case("a ring of two")
    run = shortest(zoo)
    refused(zoo, replace(run, moves=run.moves[:-1]), "no thread is deadlocked")
    refused(zoo, replace(run, end=Choice(0, ())), "names no target case")
    idle = case("a ring of two that is idle by design")
    refused(idle, run, "no thread is deadlocked")
