"""What is being done, on one line of a terminal, for those who wait."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TextIO


class Progress:
    """What is being done, on one line of a terminal, for whatever takes longer than a second; nothing elsewhere."""

    PATIENCE = 1.0

    def __init__(self, stream: TextIO, names: Sequence[str]) -> None:
        self._stream = stream
        self._names = names
        self._finished = 0
        self._begin = self._last = time.monotonic()
        self._visible = False

    def tell(self, number: int, words: str) -> None:
        """Say that piece ``number`` is at ``words``."""
        now = time.monotonic()
        if not self._stream.isatty() or now - self._begin < self.PATIENCE or now - self._last < 0.1:
            return
        self._last = now
        count = f"[{self._finished}/{len(self._names)}] " if len(self._names) > 1 else ""
        line = f"{count}{self._names[number]}: {words} ({now - self._begin:.0f} s)"
        room = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:room]}", end="", file=self._stream, flush=True)
        self._visible = True

    def done(self) -> None:
        """One more piece has its answer."""
        self._finished += 1

    def clear(self) -> None:
        """Take the line away."""
        if self._visible:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._visible = False
