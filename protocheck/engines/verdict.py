"""What an engine may answer, and what each answer claims. The type carries how far the engine looked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import field
from enum import Enum
from typing import TypeAlias

from protocheck.ir.expr import Expr, Param
from protocheck.ir.system import Choice as Choice
from protocheck.ir.system import PropertyTarget, System
from protocheck.records import dataclass


@dataclass(frozen=True)
class Run:
    """A run as pure choices, to be replayed by the interpreter: states are recomputed, never trusted.

    ``moves`` index ``System.transitions``. ``end`` is the target case that the last state (or, for a case with
    ``via``, the last move) satisfies; for a deadlock target it is None. The length of a run is ``len(moves)``.
    With ``loop`` the run is infinite (a lasso): ``moves[loop:]`` lead from the state before them back to it, and are
    repeated for ever. ``loop == len(moves)``: nothing moves any more. ``rigid`` are the values of the rigid parameters
    of a progress target.
    """

    init: Choice
    moves: tuple[Choice, ...]
    end: Choice | None = None
    loop: int | None = None
    rigid: tuple[int, ...] = ()


@dataclass(frozen=True)
class Clause:
    """``forall params : cond or not (conjunction of cube)``: one lemma of an inductive invariant, as a plain formula.

    ``formula`` is over the parametric state and may use ``params``, all of which are universally quantified over their
    sorts.
    """

    params: tuple[Param, ...]
    formula: Expr


@dataclass(frozen=True)
class Exhausted:
    """Every reachable state was visited: ``states`` of them (orbits, if ``symmetric``), the deepest at ``depth``."""

    states: int
    depth: int
    symmetric: bool


@dataclass(frozen=True)
class Induction:
    """k-induction with simple paths closed at ``k``: no run of at most k steps, and none longer without repeating."""

    k: int


@dataclass(frozen=True)
class Invariant:
    """An inductive invariant: true initially, kept by every transition, and it excludes the target."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class Structural:
    """A static argument, in words, e.g. that the lock graph has no cycle; valid for every size."""

    argument: str


Certificate: TypeAlias = Exhausted | Induction | Invariant | Structural


@dataclass(frozen=True)
class Reached:
    """A run to the target exists. ``shortest`` if no shorter run does."""

    run: Run
    shortest: bool


@dataclass(frozen=True)
class Unreachable:
    """No run of any length reaches the target in this instance. ``any_size``: names of scalarsets of any size."""

    by: Certificate
    any_size: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotReachedWithin:
    """No run of at most ``depth`` steps reaches the target; longer runs were not examined."""

    depth: int


class Limit(Enum):
    """Limits that end a search without an answer."""

    TIME = "time limit"
    STATES = "state limit"
    MEMORY = "memory limit"
    INTERRUPTED = "interrupted"
    SOLVER = "solver gave up"
    CYCLES = "cycle limit"
    ENGINE = "not a question for this engine"


@dataclass(frozen=True)
class Unknown:
    """Nothing is claimed but that no run of at most ``depth`` steps was found (-1: nothing at all)."""

    limit: Limit
    detail: str = ""
    depth: int = -1


Verdict: TypeAlias = Reached | Unreachable | NotReachedWithin | Unknown

Progress: TypeAlias = Callable[[str], None]


class Meter:
    """Work that may still be done, counted in questions to a solver: unlike time, the same on every machine.

    What is spent of a part is spent of the whole too.
    """

    def __init__(self, left: int, whole: Meter | None = None) -> None:
        self.left = left
        self.whole = whole

    def spend(self, amount: int = 1) -> None:
        """``amount`` has been done."""
        self.left -= amount
        if self.whole is not None:
            self.whole.spend(amount)

    def part(self, part: int, of: int) -> Meter:
        """A part of what is left."""
        return Meter(max(0, self.left) * part // of, self)


@dataclass(frozen=True)
class Budget:
    """How far an engine may go: ``depth`` in steps, ``deadline`` on ``time.monotonic``, ``states`` stored.

    None means no limit of that kind. IC3 and what lifts its proofs count their work on ``meter``, if there is one.
    """

    depth: int | None = None
    deadline: float | None = None
    states: int | None = None
    progress: Progress = field(default=lambda _: None, compare=False, repr=False)
    meter: Meter | None = field(default=None, compare=False, repr=False)

    def expired(self) -> bool:
        """Whether the deadline has passed, or all work has been done that may be."""
        if self.meter is not None and self.meter.left <= 0:
            return True
        return self.deadline is not None and time.monotonic() >= self.deadline

    def spend(self, amount: int = 1) -> None:
        """Count work that has been done."""
        if self.meter is not None:
            self.meter.spend(amount)

    def seconds_left(self) -> float | None:
        """Seconds until the deadline (not below 0), or None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True)
class Engine:
    """A way to answer. ``run`` returns one verdict per target, in order; on Ctrl-C what is known so far."""

    name: str
    summary: str
    run: Callable[[System, Sequence[PropertyTarget], Budget], tuple[Verdict, ...]]
