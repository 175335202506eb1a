"""Ctrl-C, and a request to end (SIGTERM), that cannot be lost on the way.

An exception alone is easily lost: it comes in a callback or a finalizer, or an engine catches it, says what it knows,
and something above asks another engine. So whoever works *listens*: the wish is remembered, and comes up again with
each word of progress. A thread wakes solvers, in which Python would see the signal only after their answer.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from protocheck.records import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PAUSE, _TIMES = 0.05, 40


@dataclass
class Listener:
    """Whether somebody wants the work to end."""

    asked: bool = False

    def reminding(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        """``tell``, which ends the work with KeyboardInterrupt if that is wanted."""

        def told(words: str) -> None:
            if self.asked:
                raise KeyboardInterrupt
            tell(words)

        return told


@contextmanager
def listening() -> Iterator[Listener]:
    """Remember Ctrl-C and SIGTERM until the end of the block; each is a KeyboardInterrupt as well.

    Only the main thread can listen, and a signal that is ignored (``nohup``) stays ignored. While this goes on there is
    a second thread, so nobody may fork.
    """
    listener = Listener()
    if threading.current_thread() is not threading.main_thread():
        yield listener
        return

    def heard(number: int, frame: FrameType | None) -> None:
        listener.asked = True
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {s: signal.getsignal(s) for s in SIGNALS}
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    watcher = threading.Thread(target=_wake_solvers, args=(ours, listener), daemon=True)
    watcher.start()
    woken = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, heard)
        yield listener
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(theirs)
        watcher.join()
        os.close(ours)


@contextmanager
def ending_gently() -> Iterator[None]:
    """Within the block SIGTERM is what Ctrl-C is, unless it is ignored."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wake_solvers(pipe: int, listener: Listener) -> None:
    """At each signal interrupt whatever solver is at work, until Python has seen the signal; to the end of ``pipe``."""
    while os.read(pipe, 64):
        for _ in range(_TIMES):
            if listener.asked:
                break
            solvers = sys.modules.get("protocheck.engines.z3raw")
            if solvers is not None:
                solvers.interrupt_all()
            time.sleep(_PAUSE)
