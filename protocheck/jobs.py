"""Runs independent pieces of work, each in a process of its own; answers come in the order of the work.

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
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeAlias, TypeVar

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
            yield _one(piece, partial(tell, number))
        except KeyboardInterrupt:
            interrupted = True
            yield Interrupted()


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
    number: int
    process: Any
    pipe: Connection


def _run_apart(work: Sequence[Work[T]], processes: int, tell: Callable[[int, str], None]) -> Iterator[Answer[T]]:
    # NOTE(fork): the parent has no threads and has loaded no solver, so a fork is safe, and needs no pickled work.
    context: Any = multiprocessing.get_context("fork")
    running: dict[int, _Worker] = {}
    answers: dict[int, Answer[T]] = {}
    begun = given = 0
    deadline: float | None = None
    try:
        while given < len(work):
            try:
                while deadline is None and begun < len(work) and len(running) < processes:
                    running[begun] = _start(context, begun, work[begun])
                    begun += 1
                _collect(running, answers, tell)
            except KeyboardInterrupt:
                if deadline is not None:
                    raise
                deadline = time.monotonic() + GRACE
                for worker in running.values():
                    _signal(worker, signal.SIGINT)
            if deadline is not None and (not running or time.monotonic() > deadline):
                for number in range(given, len(work)):
                    answers.setdefault(number, Interrupted())
            while given in answers:
                yield answers.pop(given)
                given += 1
    finally:
        for worker in running.values():
            _signal(worker, signal.SIGKILL)
        for worker in running.values():
            worker.process.join()


def _start(context: Any, number: int, piece: Work[T]) -> _Worker:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(piece, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return _Worker(number, process, ours)


def _work(piece: Work[T], pipe: Connection, parent: int) -> None:
    """What a worker does: the work, with words of progress, then the answer."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    last = 0.0

    def tell(words: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _PAUSE:
            last = now
            pipe.send(words)

    try:
        answer = _one(piece, tell)
    except KeyboardInterrupt:
        answer = Interrupted()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pipe.send(answer)
    except Exception as error:  # an answer that cannot be sent is a fault of ours and is said as one
        pipe.send(Failed(type(error).__name__, f"the answer cannot be sent: {error}", ""))
    pipe.close()


def _end_with(parent: int) -> None:
    """End this process when ``parent`` has gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _collect(running: dict[int, _Worker], answers: dict[int, Answer[T]], tell: Callable[[int, str], None]) -> None:
    """Read what the workers have sent; wait a moment if that is nothing."""
    ready = wait([w.pipe for w in running.values()], timeout=0.1)
    for worker in list(running.values()):
        if worker.pipe not in ready:
            continue
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode or 0
            message = Died(max(0, -code), max(0, code))
        except Exception as error:  # an answer that cannot be read back is a fault of ours and is said as one
            message = Failed(type(error).__name__, f"the answer cannot be read: {error}", "")
        if isinstance(message, str):
            tell(worker.number, message)
            continue
        answers[worker.number] = message
        del running[worker.number]
        worker.pipe.close()
        worker.process.join()


def _signal(worker: _Worker, number: int) -> None:
    if worker.process.pid is not None and worker.process.is_alive():
        os.kill(worker.process.pid, number)
