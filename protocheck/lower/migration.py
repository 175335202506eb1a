"""Threads that move between CPUs: where each of them runs is a cell of state, which a class of its own changes.

The class (:attr:`ThreadDecl.moves`) is an environment that is always at rest: a thread need never be moved.
"""

from __future__ import annotations

from dataclasses import replace

from protocheck.ir.system import ThreadKind
from protocheck.types import tree as t


def with_migration(
    module: t.CheckedModule, threads: dict[str, t.ThreadDecl]
) -> tuple[t.CheckedModule, dict[str, t.ThreadDecl]]:
    """``module`` and the ``threads`` chosen for an instance, with what the migrating ones of them need: a state for
    their CPUs, which an ``init`` fills, and a class that moves them. Unchanged if none migrates."""
    states: dict[str, t.StateDecl] = {}
    init: list[t.Block] = []
    moving: dict[str, t.ThreadDecl] = {}
    for name, thread in threads.items():
        cpu = thread.cpu
        if thread.migrates is None or not isinstance(cpu, t.StateRef):
            continue
        states[cpu.state] = t.StateDecl(
            cpu.state, thread.actor, thread.params, cpu.type, None, False, False, None, False, thread.span
        )
        init.append(_beginning(thread, thread.migrates, cpu))
        nothing = t.Block((), span=thread.span)
        moving[f"{name}.migration"] = t.ThreadDecl(
            f"{name}.migration", thread.actor, ThreadKind.ENVIRONMENT, thread.params, thread.where, nothing,
            thread.span, moves=name,
        )  # fmt: skip
    if not moving:
        return module, threads
    return replace(module, states=module.states | states, init=(*module.init, *init)), threads | moving


def _beginning(thread: t.ThreadDecl, migrates: t.Migrates, cpu: t.StateRef) -> t.Block:
    """Where the threads begin. All begin on one CPU if nothing is said; they may leave it before their first step."""
    span = thread.span
    chosen = migrates.chosen
    first = migrates.first or t.LocalRef(chosen, type=chosen.type, span=span)
    body: t.Statement = t.Assign(cpu, first, span=span)
    for p in reversed(thread.params):
        body = t.ForEach(p, None, t.Block((body,), span=span), span=span)
    if migrates.first is not None:
        return t.Block((body,), span=span)
    return t.Block((t.Choose(chosen, None, None, span=span), body), span=span)
