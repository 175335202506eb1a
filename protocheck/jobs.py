"""Runs independent pieces of work in several processes; answers come in the order of the work.

Nothing is left behind: on Ctrl-C the workers are asked to say what they know and then ended; a worker whose parent is
gone, however it went, ends itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeAlias, TypeVar

from protocheck.interruption import SIGNALS, listening
from protocheck.records import dataclass

T = TypeVar("T")
Tell: TypeAlias = Callable[[str], None]
Work: TypeAlias = Callable[[Tell], T]

GRACE = 5.0  # seconds that workers have after Ctrl-C to say what they know
_PAUSE = 0.2  # seconds between two words of progress


@dataclass(frozen=True)
class Done(Generic[T]):
    """A piece of work has its answer."""

    value: T


@dataclass(frozen=True)
class Failed:
    """A piece of work raised an exception: its type, the first line of its message, and where it was raised.

    Words, not the exception: not every exception survives the way from one process to another.
    """

    kind: str
    message: str
    where: str


@dataclass(frozen=True)
class Died:
    """A worker ended without an answer: by ``signal`` (0: by itself, with ``code``)."""

    signal: int
    code: int


@dataclass(frozen=True)
class Interrupted:
    """Ctrl-C came before the work had an answer."""


Answer: TypeAlias = Done[T] | Failed | Died | Interrupted


def run_all(work: Sequence[Work[T]], processes: int, tell: Callable[[int, str], None]) -> Iterator[Answer[T]]:
    """One answer per piece of ``work``, in order, each as soon as it and those before it are there.

    ``tell`` gets words of progress with the number of the piece. With one process the work is done in this one.
    """
    if processes <= 1 or len(work) <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from _run_here(work, tell)
        return
    yield from _run_apart(work, processes, tell)


def _run_here(work: Sequence[Work[T]], tell: Callable[[int, str], None]) -> Iterator[Answer[T]]:
    interrupted = False
    for number, piece in enumerate(work):
        if interrupted:
            yield Interrupted()
            continue
        try:
            with listening() as listener:
                answer = _one(piece, listener.reminding(partial(tell, number)))
            interrupted = listener.asked
        except KeyboardInterrupt:
            interrupted = True
            answer = Interrupted()
        yield answer


def _one(piece: Work[T], tell: Tell) -> Answer[T]:
    try:
        return Done(piece(tell))
    except Exception as error:  # it is the caller who knows what to make of it
        return describe(error)


def describe(error: BaseException) -> Failed:
    """``error`` in words."""
    frame, where = error.__traceback__, ""
    while frame is not None:
        code = frame.tb_frame.f_code
        where = f"{os.path.basename(code.co_filename)}:{frame.tb_lineno} ({code.co_name})"
        frame = frame.tb_next
    return Failed(type(error).__name__, str(error).split("\n", 1)[0][:300], where)


# --------------------------------------------------------------------------------------------------------------------
# Several processes


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int | None = None
    """The piece that it works on, if any."""


def _run_apart(work: Sequence[Work[T]], processes: int, tell: Callable[[int, str], None]) -> Iterator[Answer[T]]:
    # NOTE(fork): the parent has no threads and has asked no solver, so a fork is safe, and needs no pickled work.
    context: Any = multiprocessing.get_context("fork")
    workers: list[_Worker] = []
    answers: dict[int, Answer[T]] = {}
    begun = given = 0
    deadline: float | None = None
    try:
        while given < len(work):
            try:
                while deadline is None and begun < len(work):
                    idle = next((w for w in workers if w.number is None), None)
                    if idle is None and len(workers) >= processes:
                        break
                    if idle is None:
                        idle = _start(context, work, workers)
                    idle.number = begun
                    begun += 1
                    _give(idle, workers, answers)
                _collect(workers, answers, tell)
            except KeyboardInterrupt:
                if deadline is not None:
                    raise
                deadline = time.monotonic() + GRACE
                for worker in workers:
                    _signal(worker, signal.SIGINT)
            busy = any(w.number is not None for w in workers)
            if deadline is not None and (not busy or time.monotonic() > deadline):
                for number in range(given, len(work)):
                    answers.setdefault(number, Interrupted())
            while given in answers:
                yield answers.pop(given)
                given += 1
    finally:
        for worker in workers:
            _signal(worker, signal.SIGKILL)
        for worker in workers:
            worker.pipe.close()
            worker.process.join()


def _start(context: Any, work: Sequence[Work[T]], workers: list[_Worker]) -> _Worker:
    """One more worker, which is among ``workers`` from then on."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs, os.getpid()), daemon=True)
    _hold_interruption(True)
    try:
        process.start()
    finally:
        _hold_interruption(False)
    theirs.close()
    workers.append(_Worker(process, ours))
    return workers[-1]


def _give(worker: _Worker, workers: list[_Worker], answers: dict[int, Answer[T]]) -> None:
    """Tell ``worker`` which piece to do; if it is gone, that is the answer."""
    try:
        worker.pipe.send(worker.number)
    except OSError:
        _bury(worker, workers, answers)


def _serve(work: Sequence[Work[T]], pipe: Connection, parent: int) -> None:
    """What a worker does: piece by piece, each with words of progress and then the answer, until none comes any more.

    One process does many pieces, so that what all of them need is loaded once. Ctrl-C ends the piece that is being
    done; any later one is answered as interrupted.
    """
    _hold_interruption(True)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    last = 0.0

    def tell(words: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _PAUSE:
            last = now
            pipe.send(words)

    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        answer: Answer[T] = Interrupted()
        try:
            with listening() as listener:
                _hold_interruption(False)
                answer = _one(work[number], listener.reminding(tell))
                _hold_interruption(True)
        except KeyboardInterrupt:
            _hold_interruption(True)
        try:
            pipe.send(answer)
        except Exception as error:  # an answer that cannot be sent is a fault of ours and is said as one
            pipe.send(Failed(type(error).__name__, f"the answer cannot be sent: {error}", ""))


def _hold_interruption(hold: bool) -> None:
    """Let Ctrl-C wait while what is sent or received must stay whole; when it need not, what waited comes through."""
    signal.pthread_sigmask(signal.SIG_BLOCK if hold else signal.SIG_UNBLOCK, SIGNALS)


def _end_with(parent: int) -> None:
    """End this process when ``parent`` has gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _collect(workers: list[_Worker], answers: dict[int, Answer[T]], tell: Callable[[int, str], None]) -> None:
    """Read what the workers have sent; wait a moment if that is nothing."""
    ready = wait([w.pipe for w in workers], timeout=0.1)
    for worker in list(workers):
        if worker.pipe not in ready:
            continue
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            _bury(worker, workers, answers)
            continue
        except Exception as error:  # an answer that cannot be read back is a fault of ours and is said as one
            message = Failed(type(error).__name__, f"the answer cannot be read: {error}", "")
        assert worker.number is not None  # a worker without work is silent
        if isinstance(message, str):
            tell(worker.number, message)
            continue
        answers[worker.number] = message
        worker.number = None


def _bury(worker: _Worker, workers: list[_Worker], answers: dict[int, Answer[T]]) -> None:
    """``worker`` is gone: what it was doing has that for an answer, and it is among ``workers`` no more."""
    worker.pipe.close()
    worker.process.join()
    code = worker.process.exitcode or 0
    if worker.number is not None:
        answers[worker.number] = Died(max(0, -code), max(0, code))
    workers.remove(worker)


def _signal(worker: _Worker, number: int) -> None:
    if worker.process.pid is not None and worker.process.is_alive():
        os.kill(worker.process.pid, number)
