"""The ground system as clauses: circuits in the solver, and unrollings of the step relation through time.

Time lives here and nowhere else. One step is built once as a single term and copied to later times by substitution, a
single call into Z3. Which event a step takes is a one-hot choice of solver variables, so a run is read off a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from protocheck.engines.verdict import Budget, Choice, Limit, Run
from protocheck.engines.z3raw import Answer, RawSolver
from protocheck.ir.ground import FALSE_LIT, TRUE_LIT, Circuit, Event, GroundSystem, GroundTarget

PAIRWISE_LIMIT = 6


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A check ended without an answer; says which limit was hit."""

    def __init__(self, limit: Limit, detail: str = "") -> None:
        super().__init__(detail or limit.value)
        self.limit = limit
        self.detail = detail


def decided(solver: RawSolver, assumptions: Sequence[int], budget: Budget) -> bool:
    """Whether the check is satisfiable, within the budget's time. Raises :class:`Interrupted` without an answer."""
    left = budget.seconds_left()
    if left is not None:
        if left <= 0:
            raise Interrupted(Limit.TIME)
        solver.set_timeout(int(left * 1000) + 1)
    answer = solver.check(assumptions)
    if answer is Answer.UNKNOWN:
        raise Interrupted(*why(solver, budget))
    return answer is Answer.SAT


def why(solver: RawSolver, budget: Budget) -> tuple[Limit, str]:
    """The limit behind the last UNKNOWN; after :meth:`RawSolver.interrupt` that is Ctrl-C."""
    words = solver.why_unknown()
    if budget.expired() or words == "timeout":
        return Limit.TIME, ""
    if "interrupt" in words or "cancel" in words:
        return Limit.INTERRUPTED, ""
    if "memory" in words or "memout" in words:
        return Limit.MEMORY, words
    return Limit.SOLVER, words


def exactly_one(solver: RawSolver, terms: Sequence[int]) -> list[int]:
    """Clauses (as terms) that make exactly one of the constants ``terms`` true.

    Up to ``PAIRWISE_LIMIT`` by pairs; above, each constant implies a binary code of its own over fresh bits.
    """
    clauses = [solver.or_(list(terms))]
    if len(terms) <= PAIRWISE_LIMIT:
        clauses.extend(
            solver.or_([solver.not_(a), solver.not_(b)]) for i, a in enumerate(terms) for b in terms[i + 1 :]
        )
        return clauses
    bits = [solver.fresh() for _ in range((len(terms) - 1).bit_length())]
    for code, term in enumerate(terms):
        for position, bit in enumerate(bits):
            clauses.append(solver.or_([solver.not_(term), bit if code >> position & 1 else solver.not_(bit)]))
    return clauses


class Encoding:
    """Circuit literals as solver terms at one moment in time.

    Gates are nested terms. What is to be assumed needs a name: with ``named``, :meth:`lit` gives each gate that it is
    asked for a constant of its own (and only those, since every constant makes every model dearer). The domain of each
    cell is asserted when it appears.
    """

    def __init__(self, solver: RawSolver, circuit: Circuit, *, named: bool) -> None:
        self.solver = solver
        self.circuit = circuit
        self.named = named
        self.atoms: dict[int, int] = {}
        self._terms: dict[int, int] = {TRUE_LIT: solver.true}
        self._names: dict[int, int] = {}
        self._cells: set[int] = set()

    def lit(self, literal: int) -> int:
        """The term of ``literal``; a constant or negated constant if terms are named."""
        node = abs(literal)
        if self.named and node in self.circuit.gate_of:
            name = self._names.get(node)
            if name is None:
                name = self.solver.fresh()
                self.solver.add(self.solver.iff(name, self._term(node)))
                self._names[node] = name
            return name if literal > 0 else self.solver.not_(name)
        term = self._term(node)
        return term if literal > 0 else self.solver.not_(term)

    def _term(self, node: int) -> int:
        term = self._terms.get(node)
        if term is None:
            self._define(node)
            term = self._terms[node]
        return term

    def _define(self, node: int) -> None:
        # Children of a gate have smaller numbers, so ascending order defines everything before its use.
        needed = {node}
        stack = [node]
        gates = self.circuit.gate_of
        while stack:
            for child in gates.get(stack.pop(), ()):
                below = abs(child)
                if below not in needed and below not in self._terms:
                    needed.add(below)
                    stack.append(below)
        for n in sorted(needed):
            if n in self._terms:  # a cell declares all of its atoms at once
                continue
            if n in gates:
                self._terms[n] = self._gate(gates[n])
            else:
                self.declare(self.circuit.atom_of[n][0])

    def _gate(self, literals: tuple[int, ...]) -> int:
        solver = self.solver
        return solver.and_([self._terms[n] if n > 0 else solver.not_(self._terms[-n]) for n in literals])

    def declare(self, cell: int) -> None:
        """Make the atoms of ``cell`` and assert its domain."""
        if cell in self._cells:
            return
        self._cells.add(cell)
        low, high = self.circuit.bounds[cell]
        nodes = sorted({abs(self.circuit.is_value(cell, v)) for v in range(low, high + 1)} - {TRUE_LIT})
        for node in nodes:
            self.atoms[node] = self._terms[node] = self.solver.fresh()
        if len(nodes) > 1:
            for clause in exactly_one(self.solver, [self._terms[n] for n in nodes]):
                self.solver.add(clause)


class Unrolling:
    """States at times 0, 1, ..., ``depth`` with one event between each and the next.

    ``from_start`` binds the state at time 0 to the initial states; without it time 0 is any state.
    """

    def __init__(self, ground: GroundSystem, *, from_start: bool) -> None:
        self.ground = ground
        self.solver = RawSolver()
        self.depth = 0
        self.chosen: list[list[int]] = []  # per step, per event: "this step takes this event"
        self._bare = Encoding(self.solver, ground.circuit, named=False)
        for cell in ground.cells:
            self._bare.declare(cell.number)
        self._state_nodes = list(self._bare.atoms)
        # The template *is* time 0; later times are copies of it.
        self._times: list[dict[int, int]] = [dict(self._bare.atoms)]
        self._named: list[dict[int, int]] = [{}]
        self._template: tuple[int, list[int], list[int], list[int]] | None = None
        self._starts: list[int] = []
        if from_start:
            self._assert_start()

    def _assert_start(self) -> None:
        solver, ground = self.solver, self.ground
        self._starts = [solver.fresh() for _ in ground.starts]
        if not ground.starts:
            solver.add(solver.false)
            return
        for clause in exactly_one(solver, self._starts):
            solver.add(clause)
        for on, start in zip(self._starts, ground.starts, strict=True):
            off = solver.not_(on)
            for cell in start.free:
                self._bare.declare(cell)
            solver.clause((off, self._bare.lit(start.guard)))
            for cell, dist in enumerate(start.values):
                for value, when in dist:
                    there = self._bare.lit(ground.circuit.is_value(cell, value))
                    if when == TRUE_LIT:
                        solver.clause((off, there))
                    else:
                        solver.clause((off, solver.not_(self._bare.lit(when)), there))
        self._times[0].update(self._bare.atoms)

    def _step(self) -> tuple[int, list[int], list[int], list[int]]:
        """One step as a term, the constants of the state before, those after, and all that are private to the step."""
        if self._template is not None:
            return self._template
        solver, ground, circuit, bare = self.solver, self.ground, self.ground.circuit, self._bare
        known = set(bare.atoms)
        before = [bare.atoms[n] for n in self._state_nodes]
        after = {n: solver.fresh() for n in self._state_nodes}

        def next_is(cell: int, value: int) -> int:
            literal = circuit.is_value(cell, value)
            if literal in (TRUE_LIT, FALSE_LIT):
                return solver.true if literal == TRUE_LIT else solver.false
            return after[literal] if literal > 0 else solver.not_(after[-literal])

        parts: list[int] = []
        events = [solver.fresh() for _ in ground.events]
        private = list(events)

        def private_one(terms: Sequence[int]) -> Iterable[int]:
            start = solver.names
            clauses = exactly_one(solver, terms)
            private.extend(solver.constant(n) for n in range(start, solver.names))
            return clauses

        if events:
            parts.extend(private_one(events))
        else:
            parts.append(solver.false)
        writers: dict[int, list[int]] = {cell.number: [] for cell in ground.cells}
        for on, event in zip(events, ground.events, strict=True):
            off = solver.not_(on)
            parts.append(solver.or_([off, bare.lit(event.guard)]))
            for cell, dist in event.writes.items():
                writers[cell].append(on)
                for value, when in dist:
                    if when == TRUE_LIT:
                        parts.append(solver.or_([off, next_is(cell, value)]))
                    else:
                        parts.append(solver.or_([off, solver.not_(bare.lit(when)), next_is(cell, value)]))
        # NOTE(frame-is-written-once): a cell keeps its value unless the chosen event writes it.
        for cell_info in ground.cells:
            cell = cell_info.number
            written = self._written(writers[cell], private, parts)
            for value in range(cell_info.low, cell_info.high + 1):
                stays = [solver.not_(bare.lit(circuit.is_value(cell, value))), next_is(cell, value)]
                parts.append(solver.or_(stays if written is None else [*stays, written]))
            nodes = [after[abs(circuit.is_value(cell, v))] for v in range(cell_info.low, cell_info.high + 1)
                     if circuit.is_value(cell, v) > TRUE_LIT]
            if len(nodes) > 1:
                parts.extend(private_one(nodes))
        if set(bare.atoms) != known:
            raise AssertionError("a step mentions cells that are not part of the state")
        self._template = (solver.and_(parts), before, [after[n] for n in self._state_nodes], private)
        self._event_count = len(events)
        return self._template

    def _written(self, writers: Sequence[int], private: list[int], parts: list[int]) -> int | None:
        if not writers:
            return None
        if len(writers) == 1:
            return writers[0]
        written = self.solver.fresh()
        private.append(written)
        parts.append(self.solver.iff(written, self.solver.or_(list(writers))))
        return written

    def extend(self) -> None:
        """Add one step and the state after it."""
        solver = self.solver
        step, before, after, private = self._step()
        now = self._times[-1]
        then = {n: solver.fresh() for n in self._state_nodes}
        own = [solver.fresh() for _ in private]
        new = [now[n] for n in self._state_nodes] + [then[n] for n in self._state_nodes] + own
        solver.add(solver.substitute(step, [*before, *after, *private], new))
        self.chosen.append(own[: self._event_count])
        self._times.append(then)
        self._named.append({})
        self.depth += 1

    def at(self, literal: int, time: int) -> int:
        """``literal`` at ``time`` as something that can be assumed. Inputs get constants of their own at each time."""
        if literal in (TRUE_LIT, FALSE_LIT):
            return self.solver.true if literal == TRUE_LIT else self.solver.false
        named = self._named[time]
        node = abs(literal)
        term = named.get(node)
        if term is None:
            term = self._at(node, time)
            named[node] = term
        return term if literal > 0 else self.solver.not_(term)

    def _at(self, node: int, time: int) -> int:
        solver = self.solver
        bare = self._bare.lit(node)
        then = self._times[time]
        atoms = self.ground.circuit.support(node)
        for atom in atoms:
            if atom not in then:  # an input of a target: it chooses anew at each time
                low, high = self.ground.circuit.bounds[self.ground.circuit.atom_of[atom][0]]
                if high - low > 1:
                    raise AssertionError("inputs of targets must be Boolean: their domain is not copied")
                then[atom] = self._bare.atoms[atom] if time == 0 else solver.fresh()
        if node in self.ground.circuit.atom_of:
            return then[node]
        name = solver.fresh()
        if time > 0:
            bare = solver.substitute(bare, [self._bare.atoms[n] for n in atoms], [then[n] for n in atoms])
        solver.add(solver.iff(name, bare))
        return name

    def differ(self, i: int, j: int) -> int:
        """The term that says that the states at times ``i`` and ``j`` are not the same."""
        solver = self.solver
        a, b = self._times[i], self._times[j]
        return solver.or_([solver.not_(solver.iff(a[n], b[n])) for n in self._state_nodes] or [solver.false])

    def state(self, time: int) -> list[int]:
        """After SAT: the value of every cell at ``time``."""
        circuit, value = self.ground.circuit, self.solver.value
        then = self._times[time]
        values = []
        for cell in self.ground.cells:
            literals = [circuit.is_value(cell.number, v) for v in range(cell.low, cell.high + 1)]
            found = next(
                (
                    cell.low + n
                    for n, lit in enumerate(literals)
                    if lit == TRUE_LIT or (value(then[lit]) if lit > 0 else not value(then[-lit]))
                ),
                cell.low,
            )
            values.append(found)
        return values

    def event(self, step: int) -> Event:
        """After SAT: the event taken between times ``step`` and ``step + 1``."""
        for event, on in zip(self.ground.events, self.chosen[step], strict=True):
            if self.solver.value(on):
                return event
        raise AssertionError("a step without an event")

    def start(self) -> Choice:
        """After SAT: the initial case and its parameters' values."""
        circuit, value = self.ground.circuit, self.solver.value
        for on, start in zip(self._starts, self.ground.starts, strict=True):
            if value(on):
                values = []
                for cell in start.free:
                    low, high = circuit.bounds[cell]
                    for v in range(low, high + 1):
                        lit = circuit.is_value(cell, v)
                        if lit == TRUE_LIT or value(self._times[0][abs(lit)]) == (lit > 0):
                            values.append(v)
                            break
                return Choice(start.case, tuple(values))
        raise AssertionError("a run without a beginning")

    def run(self, length: int, target: GroundTarget, *, via: bool) -> Run:
        """After SAT: the run of ``length`` events to an ending; with ``via`` the ending's own step comes on top."""
        moves = [self.event(k) for k in range(length)]
        values = self.state(length)
        ending = next(
            e
            for e in target.endings
            if (e.via is not None) == via and (e.case < 0 or holds(self.ground.circuit, e.lit, values.__getitem__))
        )
        if ending.via is not None:
            moves.append(self.ground.events[ending.via])
        end = None if ending.case < 0 else Choice(ending.case, ending.values)
        return Run(self.start(), tuple(Choice(m.transition, m.values) for m in moves), end)


def holds(circuit: Circuit, literal: int, value_of: Callable[[int], int]) -> bool:
    """Whether ``literal`` is true where ``value_of`` gives the cells' values."""
    known: dict[int, bool] = {TRUE_LIT: True}

    def node(n: int) -> bool:
        found = known.get(n)
        if found is None:
            if n in circuit.atom_of:
                cell, value = circuit.atom_of[n]
                found = value_of(cell) == value
            else:
                found = all(node(p) if p > 0 else not node(-p) for p in circuit.gate_of[n])
            known[n] = found
        return found

    return node(literal) if literal > 0 else not node(-literal)
