"""A run taken by hand: which steps are possible, one of them taken, and back again; all by the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from protocheck.diagnostics import Diagnostic, ModelError
from protocheck.engines.verdict import Run
from protocheck.findings import Evidence
from protocheck.ir.expr import TRUE
from protocheck.ir.interp import State, begin, enabled, initial_choices, instances, step
from protocheck.ir.system import AnyTarget, Case, Choice, Property, System, Target, Wish
from protocheck.traces.replay import Replayed, replay
from protocheck.traces.standing import Stand, standings
from protocheck.traces.trace import InitialCell, Step, Trace, places_of, trace_of
from protocheck.usage import NOT_OF_THIS_MODEL

SEARCHED = 5_000
"""How many states are looked at to get to a line."""

NAME = "simulated"


@dataclass(frozen=True)
class Option:
    """A step that is possible now, told as a trace would tell it. ``ends``: a fatal check fails, the run ends."""

    move: Choice
    step: Step
    ends: bool


class Session:
    """A run of ``system`` that grows and shrinks. It begins in the first of ``beginnings``."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.beginnings = tuple(initial_choices(system))
        self.again(0)

    def again(self, number: int) -> None:
        """Begin anew in beginning ``number``; IndexError if there is none."""
        self._init = self.beginnings[number]
        self._states: list[State] = [begin(self.system, self._init)]
        self._failed: list[tuple[int, ...]] = []
        self._moves: list[Choice] = []
        self._undone: list[Choice] = []

    @property
    def length(self) -> int:
        """How many steps were taken."""
        return len(self._moves)

    @property
    def undone(self) -> int:
        """How many steps were taken back and can be taken again."""
        return len(self._undone)

    @property
    def state(self) -> State | None:
        """The state now; None after a step that ended the run by a fatal check."""
        return self._states[-1] if len(self._states) > len(self._moves) else None

    def moves(self) -> tuple[Choice, ...]:
        """The moves that are possible now."""
        return tuple(enabled(self.system, self.state)) if self.state is not None else ()

    def options(self, most: int) -> tuple[Option, ...]:
        """The first ``most`` of the moves that are possible now, told."""
        return tuple(self._option(move) for move in self.moves()[:most])

    def _option(self, move: Choice) -> Option:
        before = self._states[-1]
        done = step(self.system, before, move)
        return Option(move, self._tell(before, move), done.state is None)

    def _tell(self, before: State, move: Choice) -> Step:
        done = step(self.system, before, move)
        states = (before,) if done.state is None else (before, done.state)
        target = _anywhere(self.system, move if done.state is None else None)
        run = Run(self._init, (move,), _end(move if done.state is None else None))
        return trace_of(self.system, _property(target), target, run, Replayed(states, (done.failed,))).steps[0]

    def stands(self) -> tuple[Stand, ...]:
        """Where each thread stands now, what it can do, or why it cannot move."""
        return standings(self.system, [self._states[-1]])[0] if self.state is not None else ()

    def take(self, move: Choice) -> None:
        """Take ``move``, which must be possible; what was taken back is forgotten, unless it is that very move."""
        if self._undone and self._undone[-1] == move:
            self._undone.pop()
        else:
            self._undone.clear()
        done = step(self.system, self._states[-1], move)
        self._moves.append(move)
        self._failed.append(done.failed)
        if done.state is not None:
            self._states.append(done.state)

    def go(self, number: int) -> bool:
        """Go to where ``number`` steps were taken: back, or forward again over what was taken back."""
        if not 0 <= number <= self.length + self.undone:
            return False
        while self.length > number:
            if self.state is not None:
                self._states.pop()
            self._undone.append(self._moves.pop())
            self._failed.pop()
        while self.length < number:
            self.take(self._undone[-1])
        return True

    def wander(self, count: int, random: Random) -> int:
        """Take up to ``count`` steps by chance; how many were possible."""
        for number in range(count):
            moves = self.moves()
            if not moves:
                return number
            self.take(random.choice(moves))
        return count

    def run_to(self, file: str, line: int) -> bool | None:
        """Take the fewest steps after which a thread comes to stand at ``line``.

        False: that cannot be from here. None: it was not found among the first :data:`SEARCHED` states.
        """
        if self.state is None:
            return False
        begin_ = self.state
        before: dict[State, tuple[State, Choice] | None] = {begin_: None}
        layer = [begin_]
        here = set(self._standing_at(begin_, file, line))
        while layer:
            following = []
            for state in layer:
                for move in enabled(self.system, state):
                    after = step(self.system, state, move).state
                    if after is None or after in before:
                        continue
                    before[after] = state, move
                    if set(self._standing_at(after, file, line)) - here:
                        self._walk(before, after)
                        return True
                    if len(before) > SEARCHED:
                        return None
                    following.append(after)
            layer = following
        return False

    def _walk(self, before: dict[State, tuple[State, Choice] | None], end: State) -> None:
        chain = []
        link = before[end]
        while link is not None:
            chain.append(link[1])
            link = before[link[0]]
        for move in reversed(chain):
            self.take(move)

    def _standing_at(self, state: State, file: str, line: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for thread in self.system.threads:
            for who in instances(self.system, thread, state):
                location = thread.locations[state[thread.pc.name, who.values]]
                if any((p.file, p.line) == (file, line) for p in places_of(location.origin)):
                    yield thread.name, who.values

    def evidence(self) -> Evidence:
        """The run so far, replayed from its beginning."""
        last = self._moves[-1] if self.state is None else None
        target = _anywhere(self.system, last)
        run = Run(self._init, tuple(self._moves), _end(last))
        return Evidence(run, target, replay(self.system, target, run))

    def trace(self) -> Trace:
        """The run so far, told."""
        evidence = self.evidence()
        return trace_of(self.system, _property(evidence.target), evidence.target, evidence.run, evidence.replayed)

    def follow(self, trace: Trace) -> None:
        """Begin as ``trace`` does and take its steps; :class:`ModelError` names the first that is not possible.

        A step is the same if the same thread does the same with the same effect; where it stands in a file is not
        compared, so that a comment may have been added.
        """
        for number in range(len(self.beginnings)):
            self.again(number)
            if _beginning(self.trace().initial) == _beginning(trace.initial):
                break
        else:
            raise _cannot("no run begins in the state in which the stored one does")
        for told in trace.steps:
            found = _best(self.options(len(self.moves())), told)
            if found is None:
                raise _cannot(f"step {told.number}, `{told.text}` by {told.thread}, is not possible as it is told")
            self.take(found.move)


def _cannot(words: str) -> ModelError:
    return ModelError([Diagnostic(NOT_OF_THIS_MODEL, f"the stored run cannot be followed: {words}")])


def _beginning(cells: tuple[InitialCell, ...]) -> list[tuple[str, str]]:
    return [(c.name, c.value) for c in cells if c.kind.value != "pc"]


def _best(options: Sequence[Option], told: Step) -> Option | None:
    """The step that is as ``told``: line by line if there is one, or else wherever its lines are."""
    exact = (o for o in options if _deed(o.step, lines=True) == _deed(told, lines=True))
    alike = (o for o in options if _deed(o.step, lines=False) == _deed(told, lines=False))
    return next(exact, None) or next(alike, None)


def _deed(told: Step, lines: bool) -> Step:
    """``told`` without its number and its causes, and without lines, which other changes to a model move."""
    changes = told.changes if lines else tuple(c for c in told.changes if c.kind.value != "pc")
    failures = tuple(replace(f, places=()) for f in told.failures)
    return replace(told, number=0, switch=False, places=(), changes=changes, failures=failures, sees=(), causes=())


def _anywhere(system: System, last: Choice | None) -> Target:
    """What every run reaches: any state, or the step ``last`` that ended it."""
    if last is None:
        return Target((Case((), TRUE),))
    return Target((Case(system.transitions[last.which].params, TRUE, last.which),))


def _end(last: Choice | None) -> Choice:
    return Choice(0, last.values if last is not None else ())


def _property(target: AnyTarget) -> Property:
    return Property(NAME, NAME, "reachable", Wish.SOMETIMES, target, "a run taken by hand")
