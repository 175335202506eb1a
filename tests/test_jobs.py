"""Work in several processes: order, faults, interruption, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from protocheck.jobs import Died, Done, Failed, Tell, run_all


def silent(number: int, words: str) -> None:
    """No progress."""


def piece(value: int, delay: float = 0.0):  # type: ignore[no-untyped-def]
    """Work that answers ``value`` after ``delay``."""

    def work(tell: Tell) -> int:
        time.sleep(delay)
        tell(f"at {value}")
        return value

    return work


def test_answers_come_in_the_order_of_the_work() -> None:
    """The first piece takes longest, and its answer still comes first."""
    work = [piece(k, delay=0.3 if k == 0 else 0.0) for k in range(5)]
    assert list(run_all(work, 3, silent)) == [Done(k) for k in range(5)]


def test_one_process_gives_the_same_answers() -> None:
    """Without other processes the answers are the same."""
    assert list(run_all([piece(k) for k in range(3)], 1, silent)) == [Done(k) for k in range(3)]


def test_words_of_progress_arrive_with_their_number() -> None:
    """What a worker tells reaches the parent."""
    heard: list[tuple[int, str]] = []
    list(run_all([piece(7), piece(8)], 2, lambda number, words: heard.append((number, words))))
    assert sorted(heard) == [(0, "at 7"), (1, "at 8")]


def fail(tell: Tell) -> int:
    """Work that fails."""
    raise ValueError("no such luck\nsecond line")


def die(tell: Tell) -> int:
    """Work that is killed."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def leave(tell: Tell) -> int:
    """Work that ends its process."""
    os._exit(5)


def test_a_failure_is_an_answer_in_words() -> None:
    """An exception in a worker comes back as its type, the first line of its message, and its place."""
    for processes in (1, 2):
        first, second = run_all([fail, piece(1)], processes, silent)
        assert isinstance(first, Failed)
        assert (first.kind, first.message) == ("ValueError", "no such luck")
        assert first.where.startswith("test_jobs.py:")
        assert second == Done(1)


def test_a_killed_worker_is_noticed() -> None:
    """A worker that ends without an answer is told apart by signal and exit code; the others go on."""
    assert list(run_all([die, leave, piece(2)], 2, silent)) == [Died(9, 0), Died(0, 5), Done(2)]


def test_an_answer_that_cannot_be_sent_is_a_failure() -> None:
    """A value that cannot be pickled does not hang the parent."""
    first, _ = run_all([lambda tell: (lambda: 0), lambda tell: (lambda: 0)], 2, silent)
    assert isinstance(first, Failed)
    assert first.message.startswith("the answer cannot be sent: ")


def where(tell: Tell) -> int:
    """Work that answers the process it is done in."""
    return os.getpid()


def test_a_process_does_many_pieces() -> None:
    """Six pieces are done by no more than two processes, neither of them ours."""
    answers = [a.value for a in run_all([where] * 6, 2, silent) if isinstance(a, Done)]
    assert len(answers) == 6
    assert len(set(answers)) <= 2
    assert os.getpid() not in answers


def test_a_worker_that_is_gone_is_replaced() -> None:
    """Every piece ends its process; each of the others is still begun."""
    assert list(run_all([leave] * 5, 2, silent)) == [Died(0, 5)] * 5


SCRIPT = textwrap.dedent(
    """
    import sys, time, os
    from protocheck.jobs import run_all
    def patient(tell):
        try:
            os.write(1, b"begun %d\\n" % os.getpid())  # in one piece: the other worker writes to the same pipe
            time.sleep(60)
        except KeyboardInterrupt:
            return "what is known"
        return "all"
    try:
        for answer in run_all([patient, patient, patient], 2, lambda n, w: None):
            print(answer, flush=True)
    except KeyboardInterrupt:
        print("out")
    """
)


def begin() -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two workers that have begun, in a process group of its own."""
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True
    )
    assert process.stdout is not None
    return process, [int(process.stdout.readline().split()[1]) for _ in range(2)]


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_on_interruption_workers_say_what_they_know_and_are_gone() -> None:
    """Ctrl-C to the parent alone is passed on; what has begun answers, what has not is named as interrupted."""
    process, workers = begin()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert output.split("\n")[:3] == ["Done(value='what is known')", "Done(value='what is known')", "Interrupted()"]
    assert all(gone(pid) for pid in workers)


def test_workers_do_not_survive_a_killed_parent() -> None:
    """After kill -9 of the parent no worker is left."""
    process, workers = begin()
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert all(gone(pid) for pid in workers)
