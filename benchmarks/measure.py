"""Runs a command with a limit of time and memory, and tells how long it took and how large it grew."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What a command took and printed.

    ``seconds`` of wall time, ``cpu`` seconds of all processes, ``megabytes`` of the largest; ``ended``: in time.

    A process counts as at least as large as the one that started it: ``floor`` megabytes say nothing.
    """

    seconds: float
    cpu: float
    megabytes: float
    floor: float
    text: str
    ended: bool


def measure(
    command: str, folder: Path, limit: float, megabytes: int | None, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run ``command`` in a shell in ``folder``; it and all that it started are ended after ``limit`` seconds.

    ``megabytes`` limits the address space of each process (None: the tool limits itself).
    """

    def limited() -> None:
        if megabytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryFile() as out:
        begun = time.perf_counter()
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=limited,
            env={**os.environ, **(environment or {})},
        )
        ended, usage = True, None
        while usage is None:
            pid, _, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                usage = used
            elif time.perf_counter() - begun > limit:
                with contextlib.suppress(ProcessLookupError):  # it ended this moment
                    os.killpg(process.pid, signal.SIGKILL)
                _, _, usage = os.wait4(process.pid, 0)
                ended = False
            else:
                time.sleep(0.002)
        seconds = time.perf_counter() - begun
        process.returncode = 0  # it is reaped: Popen need not wait
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, floor, text, ended)
