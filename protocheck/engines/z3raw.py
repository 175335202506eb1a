"""Z3's finite-domain solver through its raw C functions: Booleans, clauses, checks under assumptions, cores, models.

Why this exists: a proof by :mod:`protocheck.engines.ic3` asks tens of thousands of questions that take Z3 about 30
microseconds each. The ordinary Python layer builds an object for every term it touches and calls the error check after
each C call; that costs ten times more than the questions. Here a term *is* its address, a Python ``int``, and nothing
is wrapped. The price is that memory is ours to care for, which this file does by these rules:

* The context counts references. Every term made here is referenced once and never released: terms are constants,
  negations and gates of one system, so they live exactly as long as the context, which ``__del__`` frees as a whole.
* What a solver returns (a core, a model) is referenced, read and released within one method; no address of it escapes
  except those of terms that we made ourselves.
* Z3 shares equal terms, so equal addresses mean equal terms; a core can be looked up in a dictionary.

Every function of z3core carries the C function it wraps as the default of its last parameter (``_elems.f``). We take
the address of that and give it argument types of our own, so nothing here changes what other users of z3-solver see.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any

from z3 import Context, z3core

_PTR = ctypes.c_void_p
_UINT = ctypes.c_uint
_INT = ctypes.c_int

_SIGNATURES: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("Z3_mk_config", _PTR, ()),
    ("Z3_del_config", None, (_PTR,)),
    ("Z3_mk_context_rc", _PTR, (_PTR,)),
    ("Z3_del_context", None, (_PTR,)),
    ("Z3_set_error_handler", None, (_PTR, _PTR)),
    ("Z3_get_error_code", _INT, (_PTR,)),
    ("Z3_get_error_msg", ctypes.c_char_p, (_PTR, _INT)),
    ("Z3_mk_string_symbol", _PTR, (_PTR, ctypes.c_char_p)),
    ("Z3_mk_int_symbol", _PTR, (_PTR, _INT)),
    ("Z3_mk_bool_sort", _PTR, (_PTR,)),
    ("Z3_mk_const", _PTR, (_PTR, _PTR, _PTR)),
    ("Z3_mk_true", _PTR, (_PTR,)),
    ("Z3_mk_false", _PTR, (_PTR,)),
    ("Z3_mk_not", _PTR, (_PTR, _PTR)),
    ("Z3_mk_and", _PTR, (_PTR, _UINT, _PTR)),
    ("Z3_mk_or", _PTR, (_PTR, _UINT, _PTR)),
    ("Z3_mk_eq", _PTR, (_PTR, _PTR, _PTR)),
    ("Z3_mk_atmost", _PTR, (_PTR, _UINT, _PTR, _UINT)),
    ("Z3_substitute", _PTR, (_PTR, _PTR, _UINT, _PTR, _PTR)),
    ("Z3_inc_ref", None, (_PTR, _PTR)),
    ("Z3_dec_ref", None, (_PTR, _PTR)),
    ("Z3_mk_solver_for_logic", _PTR, (_PTR, _PTR)),
    ("Z3_solver_inc_ref", None, (_PTR, _PTR)),
    ("Z3_solver_dec_ref", None, (_PTR, _PTR)),
    ("Z3_solver_assert", None, (_PTR, _PTR, _PTR)),
    ("Z3_solver_push", None, (_PTR, _PTR)),
    ("Z3_solver_pop", None, (_PTR, _PTR, _UINT)),
    ("Z3_solver_check_assumptions", _INT, (_PTR, _PTR, _UINT, _PTR)),
    ("Z3_solver_get_unsat_core", _PTR, (_PTR, _PTR)),
    ("Z3_solver_get_model", _PTR, (_PTR, _PTR)),
    ("Z3_solver_get_reason_unknown", ctypes.c_char_p, (_PTR, _PTR)),
    ("Z3_solver_set_params", None, (_PTR, _PTR, _PTR)),
    ("Z3_mk_params", _PTR, (_PTR,)),
    ("Z3_params_inc_ref", None, (_PTR, _PTR)),
    ("Z3_params_dec_ref", None, (_PTR, _PTR)),
    ("Z3_params_set_uint", None, (_PTR, _PTR, _PTR, _UINT)),
    ("Z3_params_set_bool", None, (_PTR, _PTR, _PTR, ctypes.c_bool)),
    ("Z3_interrupt", None, (_PTR,)),
    ("Z3_ast_vector_inc_ref", None, (_PTR, _PTR)),
    ("Z3_ast_vector_dec_ref", None, (_PTR, _PTR)),
    ("Z3_ast_vector_size", _UINT, (_PTR, _PTR)),
    ("Z3_ast_vector_get", _PTR, (_PTR, _PTR, _UINT)),
    ("Z3_model_inc_ref", None, (_PTR, _PTR)),
    ("Z3_model_dec_ref", None, (_PTR, _PTR)),
    ("Z3_model_get_const_interp", _PTR, (_PTR, _PTR, _PTR)),
    ("Z3_solver_get_trail", _PTR, (_PTR, _PTR)),
    ("Z3_get_app_decl", _PTR, (_PTR, _PTR)),
    ("Z3_to_app", _PTR, (_PTR, _PTR)),
)


def _entry(name: str, result: Any, arguments: tuple[Any, ...]) -> Any:
    """The C function ``name`` with our own types."""
    raw = getattr(z3core, name).__defaults__[-1].f
    address = ctypes.cast(raw, _PTR).value
    assert address is not None
    return ctypes.CFUNCTYPE(result, *arguments)(address)


class Answer(Enum):
    """What a check says."""

    SAT = 1
    UNSAT = -1
    UNKNOWN = 0


class SolverError(Exception):
    """Z3 reported an error of use: a bug of ours."""


def interrupt_all() -> None:
    """Make every check that any other thread is waiting for answer UNKNOWN at once.

    Solvers keep no list of themselves: this is asked for once in a process at most, and then all objects are gone over.
    """
    for thing in gc.get_objects():
        if isinstance(thing, RawSolver | Context):
            thing.interrupt()


class RawSolver:
    """One context with one incremental solver for the logic ``QF_FD``.

    Terms are addresses. Not thread-safe but for :meth:`interrupt`. Deterministic: the same calls give the same answers,
    cores and models. Ctrl-C is not for Z3: it would catch it, and where a short check ends before it has noticed,
    nobody would ever hear of it.
    """

    def __init__(self) -> None:
        library = SimpleNamespace(**{name: _entry(name, result, args) for name, result, args in _SIGNATURES})
        self._z3 = library
        config = library.Z3_mk_config()
        self._context = library.Z3_mk_context_rc(config)
        library.Z3_del_config(config)
        # Without a handler of our own Z3 would end the process on an error; with a null handler it records it.
        library.Z3_set_error_handler(self._context, None)
        logic = library.Z3_mk_string_symbol(self._context, b"QF_FD")
        self._solver = library.Z3_mk_solver_for_logic(self._context, logic)
        library.Z3_solver_inc_ref(self._context, self._solver)
        self._set(b"ctrl_c", library.Z3_params_set_bool, False)
        self._bool = library.Z3_mk_bool_sort(self._context)
        library.Z3_inc_ref(self._context, self._bool)
        self._constants: list[int] = []
        self._decls: dict[int, int] = {}
        self._negations: dict[int, int] = {}
        self._model: int | None = None
        self._trail: set[int] | None = None
        self.true = self._own(library.Z3_mk_true(self._context))
        self.false = self._own(library.Z3_mk_false(self._context))
        self._negations[self.true] = self.false
        self._negations[self.false] = self.true
        self.checks = 0

    def __del__(self) -> None:
        context = getattr(self, "_context", None)
        if context is not None and getattr(self, "_solver", None) is not None:
            self._forget_model()
            self._z3.Z3_solver_dec_ref(context, self._solver)
            self._z3.Z3_del_context(context)

    def _own(self, term: int | None) -> int:
        if term is None:
            code = self._z3.Z3_get_error_code(self._context)
            raise SolverError(self._z3.Z3_get_error_msg(self._context, code).decode())
        self._z3.Z3_inc_ref(self._context, term)
        return term

    def fresh(self) -> int:
        """A new Boolean constant."""
        symbol = self._z3.Z3_mk_int_symbol(self._context, len(self._constants))
        constant = self._own(self._z3.Z3_mk_const(self._context, symbol, self._bool))
        self._constants.append(constant)
        return constant

    @property
    def names(self) -> int:
        """How many constants there are."""
        return len(self._constants)

    def constant(self, number: int) -> int:
        """The constant that was made as number ``number``."""
        return self._constants[number]

    def not_(self, term: int) -> int:
        """The negation; the negation of a negation is the same term again."""
        found = self._negations.get(term)
        if found is None:
            found = self._own(self._z3.Z3_mk_not(self._context, term))
            self._negations[term] = found
            self._negations[found] = term
        return found

    def and_(self, terms: Sequence[int]) -> int:
        """Conjunction."""
        if len(terms) == 1:
            return terms[0]
        return self._own(self._z3.Z3_mk_and(self._context, len(terms), (_PTR * len(terms))(*terms)))

    def or_(self, terms: Sequence[int]) -> int:
        """Disjunction."""
        if len(terms) == 1:
            return terms[0]
        return self._own(self._z3.Z3_mk_or(self._context, len(terms), (_PTR * len(terms))(*terms)))

    def iff(self, a: int, b: int) -> int:
        """Equivalence."""
        return self._own(self._z3.Z3_mk_eq(self._context, a, b))

    def at_most(self, terms: Sequence[int], bound: int) -> int:
        """At most ``bound`` of ``terms`` are true."""
        if bound >= len(terms):
            return self.true
        return self._own(self._z3.Z3_mk_atmost(self._context, len(terms), (_PTR * len(terms))(*terms), bound))

    def substitute(self, term: int, old: Sequence[int], new: Sequence[int]) -> int:
        """``term`` with every constant of ``old`` replaced by its counterpart in ``new``, simultaneously."""
        array = _PTR * len(old)
        return self._own(self._z3.Z3_substitute(self._context, term, len(old), array(*old), array(*new)))

    def add(self, term: int) -> None:
        """Assert ``term``."""
        self._z3.Z3_solver_assert(self._context, self._solver, term)

    def clause(self, terms: Sequence[int]) -> None:
        """Assert the disjunction of ``terms``."""
        self.add(self.or_(terms) if terms else self.false)

    def set_timeout(self, milliseconds: int) -> None:
        """Give up on any later check that takes longer."""
        self._set(b"timeout", self._z3.Z3_params_set_uint, max(1, min(milliseconds, 2**32 - 2)))

    def _set(self, name: bytes, put: Any, value: int | bool) -> None:
        z3 = self._z3
        params = z3.Z3_mk_params(self._context)
        z3.Z3_params_inc_ref(self._context, params)
        put(self._context, params, z3.Z3_mk_string_symbol(self._context, name), value)
        z3.Z3_solver_set_params(self._context, self._solver, params)
        z3.Z3_params_dec_ref(self._context, params)

    def interrupt(self) -> None:
        """Make a check that another thread is waiting for answer UNKNOWN at once; without one nothing happens."""
        context = getattr(self, "_context", None)
        if context is not None:
            self._z3.Z3_interrupt(context)

    def check(self, assumptions: Sequence[int]) -> Answer:
        """Whether everything asserted and ``assumptions`` (constants or negated constants) can be true together."""
        self._forget_model()
        self.checks += 1
        count = len(assumptions)
        result = self._z3.Z3_solver_check_assumptions(
            self._context, self._solver, count, (_PTR * count)(*assumptions)
        )
        if result == 1:
            return Answer.SAT
        if result == -1:
            return Answer.UNSAT
        code = self._z3.Z3_get_error_code(self._context)
        if code:
            raise SolverError(self._z3.Z3_get_error_msg(self._context, code).decode())
        return Answer.UNKNOWN

    def why_unknown(self) -> str:
        """Z3's own words for the last UNKNOWN."""
        words = self._z3.Z3_solver_get_reason_unknown(self._context, self._solver)
        return str(words.decode()) if words else ""

    def core(self) -> list[int]:
        """After UNSAT: assumptions that already contradict what is asserted."""
        z3, context = self._z3, self._context
        vector = z3.Z3_solver_get_unsat_core(context, self._solver)
        z3.Z3_ast_vector_inc_ref(context, vector)
        found = [z3.Z3_ast_vector_get(context, vector, i) for i in range(z3.Z3_ast_vector_size(context, vector))]
        z3.Z3_ast_vector_dec_ref(context, vector)
        return found

    def value(self, constant: int) -> bool:
        """After SAT: the value of a constant made by :meth:`fresh` (False where the model leaves it open).

        Read off the solver's trail of assigned literals. A proper model would be the same, but Z3 derives one by
        going back through every assertion ever made since, which here costs a hundred times more. A constant that is
        not on the trail (it occurs in no assertion, or was eliminated) is looked up in the proper model.
        """
        z3, context = self._z3, self._context
        if self._trail is None:
            vector = z3.Z3_solver_get_trail(context, self._solver)
            z3.Z3_ast_vector_inc_ref(context, vector)
            get = z3.Z3_ast_vector_get
            self._trail = {get(context, vector, i) for i in range(z3.Z3_ast_vector_size(context, vector))}
            z3.Z3_ast_vector_dec_ref(context, vector)
        if constant in self._trail:
            return True
        if self.not_(constant) in self._trail:
            return False
        if self._model is None:
            self._model = z3.Z3_solver_get_model(context, self._solver)
            if self._model is None:
                raise SolverError("no model")
            z3.Z3_model_inc_ref(context, self._model)
        decl = self._decls.get(constant)
        if decl is None:
            decl = z3.Z3_get_app_decl(context, constant)
            self._decls[constant] = decl
        return bool(z3.Z3_model_get_const_interp(context, self._model, decl) == self.true)

    def _forget_model(self) -> None:
        self._trail = None
        if self._model is not None:
            self._z3.Z3_model_dec_ref(self._context, self._model)
            self._model = None
