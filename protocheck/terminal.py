"""The dialogue of ``protocheck simulate``: reads commands, a line each, from a terminal, a pipe or the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO

from protocheck.findings import Report, plural
from protocheck.reports.simulation import layout_position, layout_run, layout_state, stored
from protocheck.reports.style import Style
from protocheck.simulate import Session

SHOWN = 30
"""How many possible steps are listed unasked."""

HELP = """\
  N          take the step with this key
  u [N]      take back one step, or N
  g N        go to where N steps were taken, back or forward again
  r [N]      take a step by chance, or N
  l LINE     run until a thread comes to stand at this line of the model
  s FILE     save the run (a JSON report: `protocheck show FILE`)
  h          the run so far
  p          the whole state
  all        all steps that are possible
  b [N]      begin anew, in another initial state
  ?          these lines
  q          leave"""


class _Refused(Exception):  # noqa: N818 - caught here, and told
    """A command that cannot be followed."""


class _Leave(Exception):  # noqa: N818
    """The dialogue is over."""


@dataclass
class Dialogue:
    """One run taken by hand. ``report`` says what is simulated; ``write`` prints a line."""

    session: Session
    report: Report
    version: str
    style: Style
    random: Random
    write: Callable[[str], None]

    @property
    def file(self) -> str:
        """The model."""
        return self.report.file

    def position(self, most: int = SHOWN) -> None:
        """Say where the run stands."""
        for line in layout_position(self.session, self.file, self.style, most):
            self.write(line.rstrip())

    def follow(self, line: str) -> bool:
        """Do what ``line`` says; False if it cannot be done, which is told."""
        try:
            self._follow(line.split())
        except _Refused as why:
            self.write(str(why))
            return False
        return True

    def _follow(self, words: list[str]) -> None:
        match words:
            case []:
                return
            case ["?" | "help"]:
                self.write(HELP)
            case ["q" | "quit"]:
                raise _Leave
            case ["all"]:
                self.position(len(self.session.moves()))
            case ["h"]:
                self.write(layout_run(self.session, self.file, self.style).rstrip("\n"))
            case ["p"]:
                for line in layout_state(self.session, self.style):
                    self.write(line)
            case ["u", *rest] if len(rest) < 2:
                self._go(self.session.length - _number(rest, 1))
            case ["g", *rest] if len(rest) == 1:
                self._go(_number(rest, 0))
            case ["r", *rest] if len(rest) < 2:
                wanted = _number(rest, 1)
                taken = self.session.wander(wanted, self.random)
                if taken < wanted:
                    self.write(f"after {plural(taken, 'step')} none was possible")
                self._moved()
            case ["l", *rest] if len(rest) == 1:
                self._run_to(_number(rest, 1))
            case ["b", *rest] if len(rest) < 2:
                self._again(_number(rest, 1))
            case ["s", name]:
                self._save(name)
            case [key] if key.isdecimal():
                self._take(int(key))
            case _:
                raise _Refused(f"`{' '.join(words)}` is no command; `?` lists them")

    def _moved(self) -> None:
        self.write(f"after step {self.session.length}:" if self.session.length else "at the beginning:")
        self.position()

    def _take(self, key: int) -> None:
        moves = self.session.moves()
        if not 1 <= key <= len(moves):
            keys = f"the keys are 1 to {len(moves)}" if moves else "none is possible"
            raise _Refused(f"there is no step {key}; {keys}")
        self.session.take(moves[key - 1])
        self._moved()

    def _go(self, number: int) -> None:
        if not self.session.go(number):
            known = self.session.length + self.session.undone
            raise _Refused(f"the run is known from 0 to {known}, so there is no step {number}")
        self._moved()

    def _run_to(self, line: int) -> None:
        found = self.session.run_to(self.file, line)
        if found is None:
            raise _Refused(f"no thread was found to come to line {line} soon; go on by hand")
        if not found:
            raise _Refused(f"no thread can come to stand at line {line} from here")
        self._moved()

    def _again(self, number: int) -> None:
        count = len(self.session.beginnings)
        if not 1 <= number <= count:
            raise _Refused(f"runs begin in {plural(count, 'state')}, so there is no beginning {number}")
        self.session.again(number - 1)
        self._moved()

    def _save(self, name: str) -> None:
        text = stored(self.session, self.report, self.version)
        try:
            Path(name).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise _Refused(f"`{name}` cannot be written: {error.strerror or error}") from error
        self.write(f"saved {plural(self.session.length, 'step')} in {name}")


def _number(rest: list[str], default: int) -> int:
    if not rest:
        return default
    if not rest[0].isdecimal():
        raise _Refused(f"`{rest[0]}` is not a number")
    return int(rest[0])


def converse(dialogue: Dialogue, source: TextIO, terminal: bool) -> bool:
    """Follow the lines of ``source``; False if one could not be followed.

    At a ``terminal`` the dialogue goes on after that; commands from elsewhere end there, lest they go astray.
    """
    return _converse(dialogue, _typed(source, dialogue) if terminal else iter(source), terminal)


def obey(dialogue: Dialogue, commands: str) -> bool:
    """Follow ``commands``, which semicolons separate; False if one could not be followed."""
    return _converse(dialogue, (c for c in commands.split(";")), terminal=False)


def _typed(source: TextIO, dialogue: Dialogue) -> Iterator[str]:
    """Lines that somebody types; each is asked for."""
    while True:
        print(f"{dialogue.session.length}> ", end="", flush=True)
        line = source.readline()
        if not line:
            dialogue.write("")
            return
        yield line


def _converse(dialogue: Dialogue, lines: Iterator[str], terminal: bool) -> bool:
    try:
        dialogue.write("at the beginning:" if not dialogue.session.length else f"after step {dialogue.session.length}:")
        dialogue.position()
        for line in lines:
            if not terminal and line.strip():
                dialogue.write(f"{dialogue.session.length}> {line.strip()}")
            if not dialogue.follow(line) and not terminal:
                return False
    except _Leave:
        pass
    return True
