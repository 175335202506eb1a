"""Claims for any number of members, made for a scenario from proofs of two small instances of it.

The sizes of scalarsets that a parameter gives are what may be any number. A seed, the same scenario with two
interchangeable members of each, is proved by IC3; :mod:`protocheck.engines.lift` decides whether its invariant holds
for any number; :mod:`protocheck.engines.certify` checks that again, without the engine. One proof is tried for all
properties together, and only if that fails one for each, with larger seeds where that may help.

NOTE(no-thresholds): a claim for any number is one about a model in which nothing depends on a number. Two things make
sure of it: neither the parameters nor ``size(...)`` of such scalarsets may occur in what runs or is claimed, and the
smallest instance, the one asked for, the seed and a larger one must compile to the same system but for the sizes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeAlias

from protocheck.diagnostics import ModelError
from protocheck.engines.certify import CertificateRejected, CertificateUndecided, certify
from protocheck.engines.lift import Refusal, Seed, same_shape
from protocheck.engines.lift import prove_any_size as prove_seeds
from protocheck.engines.verdict import Budget, Structural, Unreachable
from protocheck.ir.ground import GroundError, symmetric_scalarsets
from protocheck.ir.system import Case, DeadlockTarget, Property, PropertyTarget, System, Target
from protocheck.lower import Instance, compile_system, instantiate
from protocheck.properties import lock_order
from protocheck.properties.families import LOCK_ORDER
from protocheck.source import Span
from protocheck.types.tree import CheckedModule, ParamRef, SizeOf, Typed
from protocheck.types.types import RangeType

Settings: TypeAlias = Mapping[str, "int | str"]


@dataclass(frozen=True)
class AnySize:
    """A proof for any number of ``verdict.any_size``: a proof of ``target`` in the small instance ``system``.

    ``rejected`` if its certificate did not check, which is a fault of ours.
    """

    system: System
    target: PropertyTarget
    verdict: Unreachable
    rejected: CertificateRejected | None = None


SEEDS = 3
"""Instances of which a proof is tried, each with one member more of each scalarset than the one before."""

Claims: TypeAlias = Mapping[str, "AnySize | Refusal"]
"""By name of the property; lock order is among them where its graph has no cycle."""


def prove_any_size(
    module: CheckedModule,
    instance: Instance,
    system: System,
    wanted: Sequence[Property],
    settings: Settings,
    budget: Budget,
    *,
    together: bool = True,
) -> Claims:
    """For each of the properties ``wanted`` of ``system`` a proof for any size, or the reason why there is none.

    ``system`` is ``instance`` of ``module``, made with ``settings``. ``together`` tries one proof for all of them
    first. A property that is reachable in a small instance, like one that cannot be decided until the deadline, is
    refused.
    """
    return _Scenario(module, instance, system, settings, budget).prove(wanted, together)


class _Scenario:
    """The scenario at all of its sizes."""

    def __init__(
        self, module: CheckedModule, instance: Instance, system: System, settings: Settings, budget: Budget
    ) -> None:
        self.module = module
        self.instance = instance
        self.actual = system
        self.settings = settings
        self.budget = budget
        self.sized = self._sized()
        self._systems: dict[tuple[tuple[str, int], ...], System | None] = {}

    def prove(self, wanted: Sequence[Property], together: bool) -> Claims:
        """See :func:`prove_any_size`."""
        if not self.sized:
            return {p.name: Refusal("no parameter gives the size of a scalarset") for p in wanted}
        used = self._dependence(wanted)
        found: dict[str, AnySize | Refusal] = {p.name: Refusal(used[p.name]) for p in wanted if p.name in used}
        rest = [p for p in wanted if p.name not in found]
        plain = [p for p in rest if isinstance(p.target, Target) and p.target.cases]
        if self.actual.locks:
            found[LOCK_ORDER] = self._attempt([], self.budget)
        for p in rest:
            if p not in plain:
                found[p.name] = self._attempt([p], _share(self.budget, 1, 4))
        if together and len(plain) > 1:
            joint = self._attempt(plain, _share(self.budget, 2, 3))
            if not isinstance(joint, Refusal):
                found.update(dict.fromkeys((p.name for p in plain), joint))
        left = [p for p in plain if p.name not in found]
        for number, p in enumerate(left):
            expired = Refusal("no time was left to try")
            budget = _share(self.budget, 1, len(left) - number)
            found[p.name] = expired if self.budget.expired() else self._attempt([p], budget)
        return found

    # Sizes

    def _sized(self) -> dict[str, str]:
        """Scalarsets whose size may be any number, with the parameter that gives it."""
        direct = {n: s.size.name for n, s in self.module.scalarsets.items() if isinstance(s.size, ParamRef)}
        others = [s.size for s in self.module.scalarsets.values() if not isinstance(s.size, ParamRef)]
        ranges = [p.type for p in self.module.params.values()]
        taken = {e.name for e in _mentioned([*others, *ranges], set(direct.values()), set()) if isinstance(e, ParamRef)}
        return {n: p for n, p in direct.items() if p not in taken and isinstance(self.module.params[p].type, RangeType)}

    def _range(self, scalarset: str) -> tuple[int, int]:
        declared = self.module.params[self.sized[scalarset]].type
        assert isinstance(declared, RangeType)
        return self.instance.constant(declared.lo), self.instance.constant(declared.hi)

    def _at(self, sizes: Mapping[str, int]) -> System | None:
        """The scenario with ``sizes`` (by parameter), or None if the model does not allow them."""
        key = tuple(sorted(sizes.items()))
        if key not in self._systems:
            try:
                made = instantiate(self.module, self.instance.scenario, {**self.settings, **sizes})
                self._systems[key] = compile_system(self.module, made)
            except ModelError:
                self._systems[key] = None
        return self._systems[key]

    def _sizes(self, free: Sequence[str], more: int) -> dict[str, int]:
        """Two interchangeable members, and ``more``, of each scalarset in ``free``; as few as allowed if below 0."""
        sizes: dict[str, int] = {}
        for name in free:
            low, high = self._range(name)
            named = len(self.module.scalarsets[name].members)
            least = max(low, named, 1) if more < 0 else max(low, named + 2 + more)
            sizes[self.sized[name]] = max(sizes.get(self.sized[name], 0), min(high, least))
        return sizes

    # What depends on a number

    def _dependence(self, wanted: Sequence[Property]) -> dict[str, str]:
        """By property, how it (or all that runs) depends on the size of a scalarset that may be any number."""
        module, instance = self.module, self.instance
        params, sets = set(self.sized.values()), set(self.sized)
        runs = [module.states, module.locks, instance.routines, instance.threads, module.init]
        everywhere = next(_mentioned(runs, params, sets), None)
        if everywhere is not None:
            return {p.name: _depends(everywhere) for p in wanted}
        found = {}
        for p in wanted:
            declared = [d for d in module.properties if d.name == p.name]
            mention = next(_mentioned(declared, params, sets), None)
            if mention is not None:
                found[p.name] = _depends(mention)
        return found

    # One proof

    def _attempt(self, properties: Sequence[Property], budget: Budget) -> AnySize | Refusal:
        names = [p.name for p in properties]
        free = list(self.sized)
        while free:
            sizes = self._sizes(free, 0)
            seed = self._at(sizes)
            if seed is None:
                return Refusal("the model does not allow two members of each scalarset")
            target = _target(seed, names)
            larger = self._at(self._sizes(free, 1))
            if larger is None or target is None:
                return Refusal("the model does not allow a larger instance to compare with")
            if isinstance(target, Target) and not target.cases:
                movable = {s.name for s in seed.scalarsets if len(s.members) - s.named >= 2}
            else:
                movable = {s.name for s in symmetric_scalarsets(seed, [target], resets=True)}
            stuck = [n for n in free if n not in movable or self._sizes(free, 1) == sizes]
            if not stuck:
                return self._lift(names, free, seed, target, larger, budget)
            free = [n for n in free if self.sized[n] not in {self.sized[m] for m in stuck}]
        return Refusal("members of the scalarsets are told apart")

    def _lift(
        self,
        names: Sequence[str],
        free: Sequence[str],
        seed: System,
        target: PropertyTarget,
        larger: System,
        budget: Budget,
    ) -> AnySize | Refusal:
        for other in (self.actual, self._at(self._sizes(free, -1)), larger):
            there = _target(other, names) if other is not None else None
            if other is None or there is None:
                continue
            difference = same_shape(seed, target, other, there)
            if difference is not None:
                return Refusal(f"{difference} ({seed.instance}; {other.instance})")
        order = lock_order.plan(seed) if seed.locks else None
        structural = None
        if not names:
            if any(not lock_order.plan(s).acyclic for s in (self.actual, seed, larger)):
                return Refusal("the lock graph has a cycle")
            structural = Structural(lock_order.ACYCLIC)
        elif isinstance(target, Target) and not target.cases:
            structural = Structural("no statement of the model can do it")
        elif isinstance(target, DeadlockTarget) and order is not None and order.deadlock_free:
            structural = Structural(lock_order.DEADLOCK_FREE)
        if structural is not None:
            return AnySize(seed, target, Unreachable(structural, tuple(free)))
        tries = 1 if len(names) > 1 else SEEDS
        try:
            answer = prove_seeds(lambda more: self._seed(names, free, more), budget, tries, free)
        except GroundError as problem:
            return Refusal(str(problem))
        if isinstance(answer, Refusal):
            return answer
        proved = self._seed(names, free, answer.number)
        assert proved is not None
        try:
            certify(proved.system, proved.target, answer.verdict, self.budget.deadline)
        except CertificateUndecided as problem:
            return Refusal(f"the certificate was not re-checked: {problem}")
        except CertificateRejected as problem:
            return AnySize(proved.system, proved.target, answer.verdict, problem)
        return AnySize(proved.system, proved.target, answer.verdict)

    def _seed(self, names: Sequence[str], free: Sequence[str], more: int) -> Seed | None:
        """The instance with two interchangeable members and ``more`` of each; None if not allowed or not larger."""
        sizes = self._sizes(free, more)
        if more and sizes == self._sizes(free, more - 1):
            return None
        system = self._at(sizes)
        target = _target(system, names) if system is not None else None
        return None if system is None or target is None else Seed(system, target)


def _share(budget: Budget, part: int, of: int) -> Budget:
    """``budget`` with a part of the work that may still be done or, where that is not counted, of the time."""
    if budget.meter is not None:
        return replace(budget, meter=budget.meter.part(part, of))
    left = budget.seconds_left()
    return budget if left is None else replace(budget, deadline=time.monotonic() + left * part / of)


def _target(system: System, names: Sequence[str]) -> PropertyTarget | None:
    """The union of what the properties ``names`` exclude; None if some property is not there. Of none: nothing."""
    by_name = {p.name: p.target for p in system.properties if isinstance(p.target, Target | DeadlockTarget)}
    if any(n not in by_name for n in names):
        return None
    if len(names) == 1:
        return by_name[names[0]]
    cases: list[Case] = []
    for n in names:
        target = by_name[n]
        assert isinstance(target, Target)
        cases.extend(target.cases)
    return Target(tuple(cases))


def _mentioned(part: object, params: set[str], sets: set[str]) -> Iterator[ParamRef | SizeOf]:
    """Where the parameters or the sizes of the scalarsets occur below ``part``. Inferred types do not count."""
    seen: set[int] = set()
    stack = [part]
    while stack:
        top = stack.pop()
        if (isinstance(top, ParamRef) and top.name in params) or (isinstance(top, SizeOf) and top.scalarset in sets):
            yield top
        elif isinstance(top, Mapping):
            stack.extend(top.values())
        elif isinstance(top, tuple | list):
            stack.extend(top)
        elif is_dataclass(top) and not isinstance(top, type | Span):
            if id(top) in seen:
                continue
            seen.add(id(top))
            stack.extend(getattr(top, f.name) for f in fields(top) if not (f.name == "type" and isinstance(top, Typed)))


def _depends(mention: ParamRef | SizeOf) -> str:
    what = mention.name if isinstance(mention, ParamRef) else f"size({mention.scalarset})"
    return f"line {mention.span.line} depends on the number of members: {what}"
