"""Ctrl-C and SIGTERM: heard wherever they come, also by whoever swallows exceptions; what was found is kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from protocheck import cli, commands
from protocheck.engines.z3raw import Answer, RawSolver
from protocheck.interruption import ending_gently, listening
from protocheck.jobs import Done, Interrupted, run_all
from protocheck.progress import Progress

SLOW = """\
protocol slow
param cpus : 1..8 = 8
type cpu = 1..cpus
hypervisor kvm {
    state n : [cpu] 0..15 = 0;
    thread t[c : cpu] { n[c] = 1;  n[c] = 2;  n[c] = 3;  n[c] = n[c] + 4; }
}
final sum: forall c in kvm.t : kvm.n[c.c] == 7;
scenario quick { cpus = 1;  expect all hold; }
scenario slow  { expect all hold; }
scenario later { cpus = 1;  expect all hold; }
"""


def pigeons(holes: int) -> RawSolver:
    """A solver with a question that takes minutes: one pigeon too many for its holes."""
    solver = RawSolver()
    sits = [[solver.fresh() for _ in range(holes)] for _ in range(holes + 1)]
    for pigeon in sits:
        solver.clause(pigeon)
    for hole in range(holes):
        for a in range(holes + 1):
            for b in range(a):
                solver.clause([solver.not_(sits[a][hole]), solver.not_(sits[b][hole])])
    return solver


def later(seconds: float, number: signal.Signals = signal.SIGINT) -> threading.Timer:
    """Send a signal to this process, a moment from now."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer


def test_a_long_question_to_the_solver_is_interrupted() -> None:
    """Ctrl-C in the middle of a check ends the check, and Python hears of it."""
    solver = pigeons(12)
    solver.set_timeout(60_000)
    begin = time.monotonic()
    later(0.3)
    with pytest.raises(KeyboardInterrupt), listening():
        solver.check([])
    assert time.monotonic() - begin < 30


def test_short_questions_do_not_swallow_the_signal() -> None:
    """Thousands of questions, each over before a solver looks up: the signal comes through at once."""
    solver = RawSolver()
    x = solver.fresh()

    def ask() -> None:
        with listening():
            for _ in range(3_000_000):
                solver.check([x])

    later(0.2)
    with pytest.raises(KeyboardInterrupt):
        ask()


def test_interrupting_an_idle_solver_changes_nothing() -> None:
    """The next question has its answer."""
    solver = RawSolver()
    solver.interrupt()
    assert solver.check([solver.fresh()]) is Answer.SAT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_swallowed_signal_comes_up_again_with_the_next_word(number: signal.Signals) -> None:
    """Work that caught the exception and went on is ended when it next says what it does; nothing is begun after."""
    seen: list[str] = []

    def deaf(tell: object) -> str:
        assert callable(tell)
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except KeyboardInterrupt:
            seen.append("swallowed")
        tell("at work")
        return "never"

    def other(tell: object) -> str:
        return "never"

    assert list(run_all([deaf, other], 1, lambda n, w: None)) == [Interrupted(), Interrupted()]
    assert seen == ["swallowed"]


def test_work_that_ends_in_spite_of_the_signal_keeps_its_answer() -> None:
    """Who swallows the signal and still has an answer gives it; what would come next is not begun."""

    def deaf(tell: object) -> str:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            pass
        return "known"

    assert list(run_all([deaf, deaf], 1, lambda n, w: None)) == [Done("known"), Interrupted()]


@pytest.mark.parametrize("command", ["compare", "sweep", "info", "doc"])
def test_other_commands_listen_as_well(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C wakes a solver in each of them; the exit code is 3."""
    model = tmp_path / "slow.pchk"
    model.write_text(SLOW)

    def slow(*_: object, **__: object) -> None:
        later(0.2)
        solver = pigeons(12)
        solver.set_timeout(60_000)
        solver.check([])
        raise AssertionError("nobody heard it")

    monkeypatch.setattr(commands, f"_{command}", slow)
    assert cli.main([command, str(model)]) == 3


def test_handlers_are_what_they_were() -> None:
    """Afterwards nothing listens any more, and a signal that was ignored has stayed ignored."""
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()
    with ending_gently(), listening():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.active_count() == threads
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with listening() as listener:
            os.kill(os.getpid(), signal.SIGINT)
        assert not listener.asked
    finally:
        signal.signal(signal.SIGINT, before[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_finished_scenarios_are_kept(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal in the second of three scenarios, in one process: code 3, the first is told, the last is named."""
    model = tmp_path / "slow.pchk"
    model.write_text(SLOW)
    words: list[str] = []

    def tell(progress: Progress, piece: int, said: str) -> None:
        words.append(said)
        if words[-2:-1] == ["scenario slow"]:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Progress, "tell", tell)
    assert cli.main(["check", str(model), "-j", "1"]) == 3
    out, err = capsys.readouterr()
    assert "quick" in out
    assert "scenario later: interrupted before there was an answer" in err
    assert "scenario later" not in words
