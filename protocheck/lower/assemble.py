"""Everything together: threads, locks, waits and properties of one instance as a transition system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from itertools import product
from typing import assert_never

from protocheck.diagnostics import Diagnostic, Label, ModelError
from protocheck.ir.expr import (
    FALSE,
    TRUE,
    Expr,
    Lit,
    Param,
    Read,
    Var,
    VarKind,
    and_,
    eq,
    exists,
    fits,
    forall,
    implies,
    ite,
    lit,
    ne,
    not_,
    or_,
    parameters,
    reads,
    rebuild,
    substitute,
)
from protocheck.ir.interp import initial_choices
from protocheck.ir.sorts import BOOL, RangeSort, Sort, values_of
from protocheck.ir.system import (
    HELD_NONE,
    HELD_READ,
    HELD_WRITE,
    MASKS,
    AcquireSite,
    Act,
    Case,
    Check,
    DeadlockTarget,
    HeldBy,
    InitCase,
    Location,
    Lock,
    LockEvent,
    LockKind,
    ProgressTarget,
    Property,
    RecoverableTarget,
    System,
    Target,
    ThreadClass,
    ThreadKind,
    Transition,
    Update,
    Wait,
    WaitsFor,
    Wish,
)
from protocheck.lower import nodes as ops
from protocheck.lower import objects, progress
from protocheck.lower.cpus import ACTIVE, NOT_ASKED, Cpus
from protocheck.lower.evaluate import MODE_SORT, OLD, Evaluator, Names, Path, ThreadView, as_old, state_storages
from protocheck.lower.flow import Mentions, init_flow, mentions, thread_flow
from protocheck.lower.instance import Instance
from protocheck.lower.liveness import live_slots, retry_region
from protocheck.lower.nodes import Activation, Graph, Node, Slot, is_choice, is_step
from protocheck.lower.rules import INITIAL_OUT_OF_RANGE, NO_BEGINNING
from protocheck.lower.runs import run_claims
from protocheck.lower.steps import (
    END,
    Key,
    RawTransition,
    ReadSite,
    Shared,
    Stepper,
    ThreadSteps,
    TrySite,
    VersionSite,
    limit,
    too_large,
)
from protocheck.lower.turns import state_refs, walk
from protocheck.lower.values import (
    RecordShape,
    RecordValue,
    ScalarShape,
    SetShape,
    SetValue,
    Shape,
    Storage,
    Store,
    Value,
    Write,
    default_value,
    flatten,
    index_sorts,
    make_storage,
    scalar,
    shape_of,
)
from protocheck.source import Origin, Span
from protocheck.types import tree as t
from protocheck.types.contention import Access, Contention, Form, contention
from protocheck.types.types import OptionType, RecordType, SnapshotType, ThreadType, Type


@dataclass(frozen=True)
class Reductions:
    """What the compiler merges beyond the steps of the language; switchable so that tests can compare.

    ``dead_locals``: locals that cannot matter any more are reset. ``merge``: uncontended accesses take no step (off:
    every access to shared state does, so depths grow, verdicts do not change).
    """

    dead_locals: bool = True
    merge: bool = True


FOR_EVER = {
    "livelock": "threads do not retry for ever while nobody gets anything done",
    "starvation": "no thread is kept from going on for ever while others move",
}
"""The families about endless runs."""


@dataclass(frozen=True)
class Prepared:
    """What depends on the model file only, not on the instance."""

    contention: Contention
    mentions: Mentions


def prepare(module: t.CheckedModule) -> Prepared:
    """The instance-independent analyses of ``module``; pass it to every :func:`compile_system` of that module."""
    return Prepared(contention(module), mentions(module))


def compile_system(
    module: t.CheckedModule,
    instance: Instance,
    prepared: Prepared | None = None,
    reductions: Reductions = Reductions(),
    also: Sequence[str] = (),
) -> System:
    """The transition system of one instance. ``also`` names families that are wanted though the model names them not.

    ModelError for what only shows in an instance (rules of :mod:`protocheck.lower.rules`).
    """
    compiler = _Compiler(module, instance, prepared or prepare(module), reductions, also)
    try:
        return compiler.system()
    except RecursionError as error:
        raise too_large(compiler.at) from error


class _Compiler:
    def __init__(
        self,
        module: t.CheckedModule,
        instance: Instance,
        prepared: Prepared,
        reductions: Reductions,
        also: Sequence[str] = (),
    ) -> None:
        self.module = instance.module if any(th.moves for th in instance.threads.values()) else module
        self.also = also
        self.instance = instance
        self.prepared = prepared
        self.reductions = reductions
        self.names = Names()
        self.modes: dict[tuple[str, str], Var] = {}
        self.at = Origin(next(iter(instance.threads.values())).span)  # what is being compiled
        self.states = state_storages(instance)
        self.graphs: dict[str, Graph] = {
            name: thread_flow(th, instance, prepared.contention, prepared.mentions, reductions.merge)
            for name, th in instance.threads.items()
        }
        self.slots: dict[Slot, Storage] = {}
        self.views: dict[str, ThreadView] = {}
        for name, th in instance.threads.items():
            self.views[name] = self.view(th)
        for name, graph in self.graphs.items():
            sorts = tuple(q.sort for q in self.views[name].params)
            for slot in graph.slots:
                kind = VarKind.HIDDEN if slot.hidden else VarKind.LOCAL
                self.slots[slot] = make_storage(slot.name, sorts, self.shape(slot.type), kind)
        self.flags = {
            name: Var(f"{name}.taken", self.lock_index(name), BOOL, VarKind.LOCK)
            for name, lock in module.locks.items()
            if lock.kind is LockKind.FLAG
        }
        self.holders = self.who(lambda op: op.lock if isinstance(op, ops.Take | ops.Attempt) else None)
        self.syncers = self.who(lambda op: op.lock if isinstance(op, ops.SyncBegin) else None)
        self.cpus = Cpus(
            instance.threads,
            module.locks,
            self.graphs,
            self.views,
            self.places_of_threads(),
            self.holders,
            self.held_mode,
            self.queued_var,
            self.lock_index,
            self.names.fresh,
        )
        self.explicit = {
            (lock, name)
            for lock, names in self.holders.items()
            for name in names
            if module.locks[lock].index or lock in self.graphs[name].inexact
        }
        self.looks = self.version_sites()
        stopped = dict.fromkeys(
            n.op.thread for g in self.graphs.values() for n in g.nodes if isinstance(n.op, ops.Freeze)
        )
        halts = any(isinstance(n.op, ops.HaltAll) for g in self.graphs.values() for n in g.nodes)
        self.shared = Shared(
            self.holders,
            self.mode_var,
            self.queued_var,
            self.explicit,
            self.snapshots(),
            self.looks,
            self.sync_var,
            self.syncers,
            {
                name: Var(f"{name}.stopped", tuple(q.sort for q in self.views[name].params), BOOL, VarKind.HIDDEN)
                for name in stopped
                if name in self.views
            },
            Var("halted", (), BOOL, VarKind.HIDDEN) if halts else None,
            {name: bool(instance.constant(lock.fair)) for name, lock in module.locks.items()},
            self.budget("failures", lambda op: isinstance(op, ops.Inject)),
            self.budget("signals", lambda op: isinstance(op, ops.Take | ops.Wait) and op.killable),
            objects.copies(module, self.states, self.graphs, self.slots),
            self.cpus,
        )
        self.steps: dict[str, ThreadSteps] = {}
        self.steppers: dict[str, Stepper] = {}
        self.number: dict[str, dict[Key, int]] = {}
        self.pcs: dict[str, Var] = {}
        self.derived: dict[str, tuple[tuple[Param, ...], Expr]] = {}
        self.resolved: dict[Expr, Expr] = {}
        self.waiting: dict[str, tuple[Wait, ...]] = {}
        self.graphs_of_init: list[Graph] = []
        self.broken_in_init: dict[str, Var] = {}
        self.fatal_in_init: dict[str, Var] = {}

    # -- pieces

    def shape(self, type_: Type) -> Shape:
        return shape_of(type_, self.instance)

    def budget(self, name: str, uses: Callable[[ops.NodeOp], bool]) -> Var | None:
        """What is left of a budget of the run, where there is one and some code can use it."""
        total = self.instance.params.get(name, 0)
        if total == 0 or not any(uses(n.op) for g in self.graphs.values() for n in g.nodes):
            return None
        return Var(f"{name} left", (), RangeSort(0, total), VarKind.HIDDEN)

    def lock_index(self, lock: str) -> tuple[Sort, ...]:
        return tuple(s for i in self.module.locks[lock].index for s in index_sorts(i, self.instance))

    def view(self, thread: t.ThreadDecl) -> ThreadView:
        params: list[Param] = []
        for p in thread.params:
            sorts = index_sorts(p.type, self.instance)
            names = [p.name] if len(sorts) == 1 else [f"{p.name}.{n}" for n in range(len(sorts))]
            params += [Param(n, s) for n, s in zip(names, sorts, strict=True)]
        view = ThreadView(thread.name, tuple(params), tuple(p.name for p in thread.params), TRUE)
        if thread.where is None:
            return view
        evaluator = self.evaluator("", ())
        path = Path()
        start = 0
        for p in thread.params:
            width = len(index_sorts(p.type, self.instance))
            path.values[p.number] = evaluator.bundle(p.type, tuple(params[start : start + width]))
            start += width
        where = evaluator.truth(thread.where, Activation(thread.name, None), path)
        return ThreadView(thread.name, tuple(params), view.names, where)

    def places_of_threads(self) -> dict[str, tuple[Expr, ...]]:
        """For each thread class that runs on a CPU of the model, that CPU over its params."""
        found = {}
        for name, thread in self.instance.threads.items():
            if thread.cpu is None:
                continue
            evaluator = self.evaluator("", ())
            path = Path()
            start = 0
            for p in thread.params:
                width = len(index_sorts(p.type, self.instance))
                path.values[p.number] = evaluator.bundle(p.type, self.views[name].params[start : start + width])
                start += width
            found[name] = tuple(flatten(evaluator.value(thread.cpu, Activation(name, None), path)))
        return found

    def evaluator(self, own_class: str, own: tuple[Param, ...]) -> Evaluator:
        return Evaluator(
            self.instance,
            self.states,
            self.names,
            self.views,
            getattr(self, "flags", {}),
            own,
            own_class,
            lambda slot: self.slots[slot],
            self.held_mode,
            self.place_later,
        )

    def who(self, lock_of: Callable[[ops.NodeOp], t.LockRef | None]) -> dict[str, tuple[str, ...]]:
        """For each lock the thread classes with a node that ``lock_of`` picks out."""
        result: dict[str, dict[str, None]] = {}
        for name, graph in self.graphs.items():
            for node in graph.nodes:
                ref = lock_of(node.op)
                if ref is not None and self.module.locks[ref.lock].kind is not LockKind.FLAG:
                    result.setdefault(ref.lock, {})[name] = None
        return {lock: tuple(names) for lock, names in result.items()}

    def mode_var(self, lock: str, name: str) -> Var:
        known = self.modes.get((lock, name))
        if known is None:
            known = self.modes[lock, name] = self.new_mode_var(lock, name)
        return known

    def new_mode_var(self, lock: str, name: str) -> Var:
        sorts = tuple(q.sort for q in self.views[name].params)
        return Var(f"{lock} held by {name}", sorts + self.lock_index(lock), MODE_SORT, VarKind.LOCK)

    def queued_var(self, lock: str, name: str) -> Var:
        sorts = tuple(q.sort for q in self.views[name].params)
        return Var(f"#queued:{lock}:{name}", sorts + self.lock_index(lock), MODE_SORT, VarKind.LOCK)

    def sync_var(self, lock: str, waiting: str, reading: str) -> Var:
        sorts = tuple(q.sort for name in (waiting, reading) for q in self.views[name].params)
        name = f"{lock} grace period of {waiting} waits for {reading}"
        return Var(name, sorts + self.lock_index(lock), BOOL, VarKind.LOCK)

    def held_mode(self, lock: str, name: str, who: tuple[Expr, ...], index: tuple[Expr, ...]) -> Expr:
        if name not in self.holders.get(lock, ()):
            return Lit(HELD_NONE)
        return Read(self.mode_var(lock, name), who + index)

    def snapshots(self) -> dict[str, list[Storage]]:
        result: dict[str, list[Storage]] = {}

        def collect(storage: Storage, type_: Type) -> None:
            match type_:
                case SnapshotType(version):
                    result.setdefault(version, []).append(storage)
                case RecordType(_, fields):
                    for (_, part), (_, f) in zip(storage.parts, fields, strict=True):
                        collect(part, f)
                case OptionType(RecordType(_, fields)):
                    for (_, part), (_, f) in zip(storage.parts[1:], fields, strict=True):
                        collect(part, f)
                case _:
                    pass

        for name, s in self.module.states.items():
            collect(self.states[name], s.type)
        for slot, storage in self.slots.items():
            collect(storage, slot.type)
        for site in self.looks.values():
            result.setdefault(site.version, []).append(site.snapshot)
        return result

    def version_sites(self) -> dict[tuple[str, int, int, str], VersionSite]:
        """A snapshot of its own for every place where a turn that may end in ``retry`` looks at a version."""
        found = {}
        for name, graph in self.graphs.items():
            sorts = tuple(q.sort for q in self.views[name].params)
            for node in graph.nodes:
                for version in dict.fromkeys(_versions(node.op, self.instance)) if node.loops else ():
                    for loop in node.loops:
                        base = f"{name}.loop{loop}.look{node.number}.{version}"
                        index = tuple(b.type for b in self.module.states[version].binders)
                        kept = make_storage(base, sorts, self.shape(SnapshotType(version, index)), VarKind.HIDDEN)
                        valid = make_storage(f"{base}.is", sorts, ScalarShape(BOOL), VarKind.HIDDEN)
                        found[name, loop, node.number, version] = VersionSite(loop, version, valid, kept)
        return found

    # -- places of threads

    def pc_is(self, name: str, numbers: Iterable[int], who: tuple[Expr, ...]) -> Expr:
        wanted = sorted(set(numbers))
        everything = set(self.number[name].values())
        if len(wanted) > 1 and set(wanted) == everything:
            return TRUE
        return or_(*(eq(Read(self.pcs[name], who), Lit(n)) for n in wanted))

    def place_later(self, kind: str, what: str, name: str, who: tuple[Expr, ...]) -> Expr:
        """Stands for :meth:`place_test` while locations are still unknown."""
        if name not in self.views:
            return FALSE
        sorts = tuple(q.sort for q in self.views[name].params)
        return Read(Var(f"#{kind}:{what}:{name}", sorts, BOOL), who)

    def place_test(self, kind: str, what: str, name: str, who: tuple[Expr, ...]) -> Expr:
        if name not in self.steps:
            return FALSE
        if kind == "finished":
            return self.ended(name, who)
        nodes = self.graphs[name].nodes
        wanted = []
        for key, n in self.number[name].items():
            if key == END:
                continue
            labels, regions = self.marks(nodes, key)
            if what in (labels if kind == "at" else regions):
                wanted.append(n)
        return self.pc_is(name, wanted, who)

    def marks(self, nodes: list[Node], key: Key) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The labels and regions of a location: also those of what follows on the only way to the next step."""
        node = nodes[key.node]
        if key.waiting:
            return node.labels, tuple(dict.fromkeys(node.regions))
        labels, regions = dict.fromkeys(node.labels), dict.fromkeys(node.regions)
        seen = {node.number}
        while not (is_step(node) or is_choice(node) or len(node.succ) != 1) and node.succ[0] not in seen:
            node = nodes[node.succ[0]]
            seen.add(node.number)
            labels.update(dict.fromkeys(node.labels))
            regions.update(dict.fromkeys(node.regions))
        return tuple(labels), tuple(regions)

    def ended(self, name: str, who: tuple[Expr, ...]) -> Expr:
        parts = []
        if END in self.number[name]:
            parts.append(self.pc_is(name, [self.number[name][END]], who))
        if name in self.shared.stopped:
            parts.append(Read(self.shared.stopped[name], who))
        return or_(*parts)

    def running(self) -> Expr:
        over = [self.shared.halted] if self.shared.halted is not None else []
        return and_(*(not_(Read(v, ())) for v in (*over, *self.fatal_in_init.values())))

    # -- derived variables

    def derive(self) -> None:
        """Lock modes and queues that the pc decides, as expressions."""
        for lock, names in self.holders.items():
            for name in names:
                view = self.views[name]
                if (lock, name) not in self.explicit:
                    self.derived[self.mode_var(lock, name).name] = (view.params, self.held_at(lock, name))
                index = tuple(self.names.fresh(s, "i") for s in self.lock_index(lock))
                queue = self.queued_at(lock, name, index)
                self.derived[self.queued_var(lock, name).name] = (view.params + index, queue)

    def held_at(self, lock: str, name: str) -> Expr:
        nodes = self.graphs[name].nodes
        modes: dict[int, list[int]] = {HELD_READ: [], HELD_WRITE: []}
        for key, n in self.number[name].items():
            if key == END:
                continue
            held = [h.mode for h in nodes[key.node].held if h.lock.lock == lock]
            if held:
                modes[HELD_READ if all(m == "read" for m in held) else HELD_WRITE].append(n)
        who = self.views[name].params
        return _mode(self.pc_is(name, modes[HELD_WRITE], who), self.pc_is(name, modes[HELD_READ], who))

    def queued_at(self, lock: str, name: str, index: tuple[Param, ...]) -> Expr:
        nodes = self.graphs[name].nodes
        who = self.views[name].params
        parts: dict[str, list[Expr]] = {"read": [], "write": []}
        for key, n in self.number[name].items():
            if not key.waiting:
                continue
            op = nodes[key.node].op
            assert isinstance(op, ops.Take)
            if op.lock.lock != lock:
                continue
            mine = self.steppers[name].e.lock_index(op.lock, nodes[key.node].activation, Path())
            parts[op.mode].append(and_(self.pc_is(name, [n], who), *map(eq, mine, index)))
        return _mode(or_(*parts["write"]), or_(*parts["read"]))

    def resolve(self, e: Expr) -> Expr:
        """``e`` with everything derived put in its place."""
        known = self.resolved.get(e)
        if known is not None:
            return known

        def change(leaf: Param | Read) -> Expr:
            if isinstance(leaf, Param):
                return leaf
            name = leaf.var.name
            if name.startswith(("#at:", "#in:", "#finished:")):
                kind, what, thread = name[1:].split(":")
                return self.place_test(kind, what, thread, leaf.index)
            if name.startswith(ACTIVE):
                handler = name[len(ACTIVE) :]
                resting = [self.number[handler][k] for k in self.at_rest(handler)]
                return not_(self.pc_is(handler, resting, leaf.index))
            if name.startswith("#changed:"):
                _, thread, loop = name.split(":")
                return self.resolve(self.steppers[thread].changed(int(loop)))
            found = self.derived.get(name)
            if found is None:
                return leaf
            params, body = found
            told = self.resolved.get(leaf)
            if told is None:
                told = substitute(body, {q.name: x for q, x in zip(params, leaf.index, strict=True)})
                self.resolved[leaf] = told
            return told

        new = rebuild(e, change)
        self.resolved[e] = new
        return new

    # -- the whole

    def system(self) -> System:
        for name, graph in self.graphs.items():
            e = self.evaluator(name, self.views[name].params)
            stepper = Stepper(graph, e, self.shared, self.slots)
            self.steppers[name] = stepper
            self.at = Origin(self.instance.threads[name].span)
            steps = stepper.run()
            self.steps[name] = steps
            keys = list(steps.keys)
            if any(r.target == END for r in steps.transitions):
                keys.append(END)
            self.number[name] = {key: n for n, key in enumerate(keys)}
            sorts = tuple(q.sort for q in self.views[name].params)
            self.pcs[name] = Var(f"{name}.pc", sorts, RangeSort(0, len(keys) - 1), VarKind.PC)
        self.derive()
        init = self.init_cases()
        transitions: list[Transition] = []
        raws: list[tuple[str, RawTransition]] = []
        for name in self.graphs:
            finish = self.finisher(name)
            for raw in self.steps[name].transitions:
                transitions.append(finish(raw))
                raws.append((name, raw))
        threads = tuple(self.thread_class(name) for name in self.graphs)
        locks = tuple(
            self.lock(name)
            for name, lock in self.module.locks.items()
            if (name in self.holders or name in self.flags) and lock.kind not in MASKS
        )
        variables, defaults = self.variables(transitions)
        system = System(
            self.module.name,
            tuple(self.instance.scalarsets.values()),
            variables,
            defaults,
            init,
            threads,
            tuple(transitions),
            locks,
            self.acquire_sites(raws),
            tuple(w for name in self.graphs for w in self.waits_of(name)),
            (),
            tuple((a, b) for a, b, _ in self.module.order) + tuple((b, a) for a, b, _ in self.module.nest_under),
            self.instance.text,
            self.assumptions(),
        )
        self.check_beginning(system)
        system = replace(system, fairness=progress.fairness(system, raws, self.compiled()))
        properties = tuple(_Properties(self, system, raws).all())
        system = replace(system, properties=properties)
        evaluator = self.evaluator("", ())
        begun = [raw.path.labels for _, raw in raws]
        claims = run_claims(self.module.runs, self.instance, system, begun, evaluator, self.names.fresh, self.resolve)
        return replace(system, runs=claims)

    def compiled(self) -> progress.Compiled:
        """What claims about endless runs need to know."""
        return progress.Compiled(self.graphs, self.number, self.pc_is, self.running(), self.names)

    def finisher(self, name: str) -> _Finisher:
        return _Finisher(self, name)

    def thread_class(self, name: str) -> ThreadClass:
        declaration = self.instance.threads[name]
        nodes = self.graphs[name].nodes
        locations = []
        for key, n in self.number[name].items():
            if key == END:
                locations.append(Location(n, "end"))
                continue
            node = nodes[key.node]
            labels, regions = self.marks(nodes, key)
            locations.append(Location(n, str(node.origin.span.line), node.origin, key.waiting, labels, regions))
        storages = [self.slots[s] for s in self.graphs[name].slots]
        return ThreadClass(
            name,
            declaration.kind,
            self.views[name].params,
            self.views[name].where,
            self.pcs[name],
            tuple(locations),
            self.resolve(self.done(name)),
            tuple(v for s in storages for v in s.vars()),
            Origin(declaration.span),
        )

    def done(self, name: str) -> Expr:
        """When an instance counts as done for ``final``."""
        who = self.views[name].params
        kind = self.instance.threads[name].kind
        parts = [self.ended(name, who), not_(self.running())]
        if kind is ThreadKind.SERVER:
            for wait in self.waits_of(name):
                parts.append(and_(wait.blocked, wait.idle))
        if kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY):
            resting = self.pc_is(name, [self.number[name][k] for k in self.at_rest(name)], who)
            parts.append(and_(resting, self.empty_handed(name, who)))
        return or_(*parts)

    def empty_handed(self, name: str, who: tuple[Expr, ...]) -> Expr:
        """Whether an instance holds none of the locks that it holds or not depending on its path."""
        parts = []
        for lock, names in self.holders.items():
            if name in names and lock in self.graphs[name].inexact:
                cells = tuple(self.names.fresh(s, "i") for s in self.lock_index(lock))
                parts.append(forall(cells, eq(self.held_mode(lock, name, who, cells), Lit(HELD_NONE))))
        return and_(*parts)

    def at_rest(self, name: str) -> list[Key]:
        steps = self.steps[name]
        nodes = self.graphs[name].nodes
        if self.instance.threads[name].moves:
            return list(steps.keys)
        if self.instance.threads[name].interrupt:
            return [k for k in steps.keys if isinstance(nodes[k.node].op, ops.IrqBegin)]
        if self.instance.threads[name].kind is ThreadKind.ADVERSARY:
            return [k for k in steps.keys if not k.waiting and nodes[k.node].activation.origin is None]
        return [k for k in steps.keys if k in steps.rest and not k.waiting and not nodes[k.node].held]

    def lock(self, name: str) -> Lock:
        declaration = self.module.locks[name]
        index = self.lock_index(name)
        held = []
        for who in self.holders.get(name, ()):
            params = tuple(Param(f"{q.name}'", q.sort) for q in self.views[who].params)
            cell = tuple(Param(f"#{n}", s) for n, s in enumerate(index))
            mode = self.resolve(Read(self.mode_var(name, who), params + cell))
            queued = self.resolve(Read(self.queued_var(name, who), params + cell))
            held.append(HeldBy(who, params, cell, mode, queued))
        field = next((f for lock, f, _ in self.module.nest_by if lock == name), "")
        fair = self.shared.fair[name]
        under = next((outer for inner, outer, _ in self.module.nest_under if inner == name), "")
        return Lock(name, declaration.kind, index, tuple(held), fair, field, Origin(declaration.span), under)

    def variables(self, transitions: list[Transition]) -> tuple[tuple[Var, ...], tuple[Expr, ...]]:
        """All variables with their defaults, without locals that never outlive a step."""
        found: dict[Var, Expr] = {}
        kept = {u.var for tr in transitions for u in tr.updates}
        for tr in transitions:
            used = [tr.guard, *(k.cond for k in tr.checks)]
            for u in tr.updates:
                used += [u.value, u.where, *u.index]
            kept.update(r.var for e in used for r in reads(e))

        def add(storage: Storage) -> None:
            for var, value in _leaves(storage, default_value(storage.shape)):
                found[var] = value

        for name, s in self.module.states.items():
            storage = self.states[name]
            value = self.initial(s) if s.init is not None else default_value(storage.shape)
            for var, e in _leaves(storage, value):
                self.check_initial(s, var, e)
                found[var] = e
        for name in self.graphs:
            found[self.pcs[name]] = Lit(0)
            for slot in self.graphs[name].slots:
                add(self.slots[slot])
            for storage in self.steps[name].impure.values():
                add(storage)
            for site in self.steps[name].sites:
                if not isinstance(site, VersionSite):
                    for storage in site.kept():
                        add(storage)
        for look in self.looks.values():
            for storage in look.kept():
                add(storage)
        for lock, who in sorted(self.explicit, key=lambda x: (list(self.module.locks).index(x[0]), x[1])):
            found[self.mode_var(lock, who)] = Lit(HELD_NONE)
        for var in self.flags.values():
            found[var] = FALSE
        for lock, waiting in self.syncers.items():
            for w in waiting:
                for r in self.holders.get(lock, ()):
                    found[self.sync_var(lock, w, r)] = FALSE
        for var in self.shared.stopped.values():
            found[var] = FALSE
        if self.shared.halted is not None:
            found[self.shared.halted] = FALSE
        for name, left in (("failures", self.shared.failures), ("signals", self.shared.signals)):
            if left is not None:
                found[left] = Lit(self.instance.params[name])
        found.update(self.cpus.variables())
        for var in (*self.broken_in_init.values(), *self.fatal_in_init.values()):
            found[var] = FALSE
            kept.add(var)
        gone = [v for v in found if v.kind in (VarKind.LOCAL, VarKind.HIDDEN) and v not in kept]
        for var in gone:
            del found[var]
        return tuple(found), tuple(found.values())

    def initial(self, s: t.StateDecl) -> Value:
        assert s.init is not None
        e = self.evaluator("", ())
        path = Path()
        position = 0
        for b in s.binders:
            parts = []
            for sort in index_sorts(b.type, self.instance):
                parts.append(Param(f"#{position}", sort))
                position += 1
            path.values[b.number] = e.bundle(b.type, tuple(parts))
        return e.value(s.init, Activation("init", None), path)

    def check_initial(self, s: t.StateDecl, var: Var, e: Expr) -> None:
        if fits(e, var.sort):
            return
        where = s.init.span if s.init is not None else s.span
        span = values_of(var.sort)
        for cell in product(*(values_of(x) for x in var.index)):
            value = substitute(e, {f"#{n}": Lit(v) for n, v in enumerate(cell)})
            if isinstance(value, Lit) and value.value not in span:
                headline = f"`{s.name}` begins with {value.value}, outside of {span.start}..{span.stop - 1}"
                raise ModelError([Diagnostic(INITIAL_OUT_OF_RANGE, headline, (Label(where),))])

    def init_cases(self) -> tuple[InitCase, ...]:
        if not self.module.init:
            return (InitCase(),)
        span = self.module.init[0].span
        body = t.Block(tuple(s for b in self.module.init for s in b.body), span=span)
        graph = init_flow(body, self.instance, self.prepared.contention)
        slots = {slot: make_storage(slot.name, (), self.shape(slot.type), VarKind.HIDDEN) for slot in graph.slots}
        e = self.evaluator("", ())
        e.slot_storage = slots.__getitem__
        stepper = Stepper(graph, e, self.shared, slots)
        own = {v for s in slots.values() for v in s.vars()}
        self.graphs_of_init.append(graph)
        cases = []
        for raw in stepper.run().transitions:
            guard = self.resolve(and_(*raw.path.guard))
            fatal = self.resolve(and_(*(c.cond for c in raw.path.checks if c.fatal)))
            updates = [
                Update(u.var, u.index, self.resolve(u.value), u.binders, self.resolve(u.where))
                for u in raw.path.store.updates()
                if u.var not in own
            ]
            for family in dict.fromkeys(c.prop for c in raw.path.checks if not c.fatal):
                good = and_(*(c.cond for c in raw.path.checks if not c.fatal and c.prop == family))
                updates.append(Update(self.init_fault(family, False), (), self.resolve(not_(good))))
            cases.append(InitCase(raw.path.params, and_(guard, fatal), tuple(updates)))
            for family in dict.fromkeys(c.prop for c in raw.path.checks if c.fatal):
                good = and_(*(c.cond for c in raw.path.checks if c.fatal and c.prop == family))
                broken = (Update(self.init_fault(family, True), (), TRUE),)
                cases.append(InitCase(raw.path.params, and_(guard, not_(self.resolve(good))), broken))
        return tuple(c for c in cases if c.guard != FALSE)

    def check_beginning(self, system: System) -> None:
        """Of a system without an initial state everything would hold."""
        if all(case.guard != TRUE for case in system.initial) and next(initial_choices(system), None) is None:
            headline = "`init` cannot be done: nothing meets its conditions"
            span = self.module.init[0].span
            raise ModelError([Diagnostic(NO_BEGINNING, headline, (Label(span),))])

    def init_fault(self, family: str, fatal: bool) -> Var:
        """Says that ``init`` broke a claim; if ``fatal``, nothing runs then."""
        faults = self.fatal_in_init if fatal else self.broken_in_init
        known = faults.get(family)
        if known is None:
            known = faults[family] = Var(f"init.{family}.{'fatal' if fatal else 'broken'}", (), BOOL, VarKind.HIDDEN)
        return known

    # -- waiting

    def waits_of(self, name: str) -> tuple[Wait, ...]:
        if name not in self.waiting:
            found = tuple(self.waits(name))
            anywhere = [n for key, n in self.number[name].items() if key != END]
            who = self.views[name].params
            here = and_(self.pc_is(name, anywhere, who), self.running(), self.moving(name, who))
            blocked = or_(*(w.blocked for w in found))
            self.waiting[name] = (*found, *self.cpus.preempted(name, self.resolve, here, blocked))
        return self.waiting[name]

    def waits(self, name: str) -> Iterator[Wait]:
        """Every way in which an instance of ``name`` may be blocked; blocked at rest, it is idle by design."""
        stepper = self.steppers[name]
        nodes = self.graphs[name].nodes
        who = self.views[name].params
        rest = set(self.at_rest(name))
        resting = self.instance.threads[name].kind in (ThreadKind.ENVIRONMENT, ThreadKind.ADVERSARY)
        for key, n in self.number[name].items():
            if key == END:
                continue
            at_rest = lit(resting and key in rest)
            here = and_(self.pc_is(name, [n], who), self.running(), self.moving(name, who))
            node = nodes[key.node]
            if key.waiting:
                yield self.lock_wait(stepper, node, here)
                continue
            if isinstance(node.op, ops.SyncEnd):
                yield self.sync_wait(stepper, node, here)
                continue
            if isinstance(node.op, ops.IrqBegin):
                yield from self.cpus.pending(name, self.resolve, here, lambda n, w: not_(self.ended(n, w)))
                continue
            out = [r for r in self.steps[name].transitions if r.source == key]
            if key in self.steps[name].stuck and not out:
                yield Wait(name, self.resolve(here), (), at_rest, _text(node), None, node.origin)
            if not any(r.path.blocking for r in out):
                continue
            free = or_(*(exists(r.path.params, and_(*r.path.guard)) for r in out))
            blocked = self.resolve(and_(here, not_(free)))
            idle: Expr = at_rest
            awaits = [_await_of(nodes, r.action) for r in out]
            if all(found is not None and found[0].idle for found in awaits):
                parts = []
                for wait, at in (found for found in awaits if found is not None):
                    if wait.unless is not None:
                        parts.append(not_(stepper.e.truth(wait.unless, at.activation, Path())))
                idle = self.resolve(and_(*parts))
            blocking = [b for r in out for b in r.path.blocking]
            yield Wait(
                name,
                blocked,
                tuple(self.wakers(stepper, blocking, out)),
                idle,
                _text(out[0].action),
                None,
                out[0].action.origin,
            )

    def moving(self, name: str, who: tuple[Expr, ...]) -> Expr:
        stopped = self.shared.stopped.get(name)
        return TRUE if stopped is None else not_(Read(stopped, who))

    def movable(self, name: str, who: tuple[Expr, ...]) -> Expr:
        """For a class that moves another one between CPUs: whether there still is an instance to be moved."""
        moved = self.instance.threads[name].moves
        return and_(not_(self.ended(moved, who)), self.moving(moved, who)) if moved else TRUE

    def others(self, name: str) -> tuple[Param, ...]:
        return tuple(self.names.fresh(q.sort, q.name) for q in self.views[name].params)

    def lock_wait(self, stepper: Stepper, node: Node, here: Expr) -> Wait:
        op = node.op
        assert isinstance(op, ops.Take)
        lock = op.lock.lock
        index = stepper.e.lock_index(op.lock, node.activation, Path())
        blocked = and_(here, not_(stepper.grantable(lock, op.mode, index, None, waiting=True)))
        if op.killable and self.shared.signals is not None:  # a signal may still come, which is not for others to send
            blocked = and_(blocked, eq(Read(self.shared.signals, ()), Lit(0)))
        shared = stepper.reads_in_queue(lock, op.mode)
        on = []
        for name in self.holders[lock]:
            others = self.others(name)
            held = self.held_mode(lock, name, others, index)
            cond = eq(held, Lit(HELD_WRITE)) if shared else ne(held, Lit(HELD_NONE))
            on.append(WaitsFor(name, others, self.resolve(cond), f"holds {lock}"))
            if shared and self.shared.fair[lock]:
                queued = Read(self.queued_var(lock, name), others + index)
                cond = self.resolve(eq(queued, Lit(HELD_WRITE)))
                if cond != FALSE:
                    on.append(WaitsFor(name, others, cond, f"is queued for {lock} (write)"))
        mode = stepper.mode_text(lock, op.mode)
        what = f"{lock} ({mode})" if mode else lock
        return Wait(stepper.name, self.resolve(blocked), tuple(on), FALSE, what, lock, node.origin)

    def sync_wait(self, stepper: Stepper, node: Node, here: Expr) -> Wait:
        op = node.op
        assert isinstance(op, ops.SyncEnd)
        lock = op.lock.lock
        index = stepper.e.lock_index(op.lock, node.activation, Path())
        on, some = [], []
        for reader in self.holders.get(lock, ()):
            others = self.others(reader)
            pending = Read(self.sync_var(lock, stepper.name, reader), stepper.own + others + index)
            some.append(exists(others, pending))
            on.append(WaitsFor(reader, others, pending, f"reads under {lock}"))
        blocked = self.resolve(and_(here, or_(*some)))
        return Wait(stepper.name, blocked, tuple(on), FALSE, f"synchronize {lock}", lock, node.origin)

    def wakers(self, stepper: Stepper, blocking: list[Expr], out: list[RawTransition]) -> Iterator[WaitsFor]:
        """Every thread, not at its end, whose code may write something that the wait depends on, or holds it."""
        states: dict[str, None] = {}
        held: dict[str, None] = {}
        of_var = {v: name for name, s in self.states.items() for v in s.vars()}
        version = {v: name for name, found in self.shared.snapshots.items() for s in found for v in s.vars()}
        for e in blocking:
            for r in reads(e):
                handler = self.cpus.served_by(r.var)
                if handler is not None:
                    others = self.others(handler)
                    asked = and_(*map(eq, others, r.index[len(stepper.own) :]), ne(r, Lit(NOT_ASKED)))
                    used = set(parameters(asked))  # the CPU may be chosen in the very step that waits for it
                    picked = tuple(q for o in out for q in o.path.params if q in used)
                    cond = self.resolve(exists(tuple(dict.fromkeys(picked)), asked))
                    yield WaitsFor(handler, others, cond, f"has yet to run {handler}")
                    continue
                if r.var in version:
                    states[version[r.var]] = None
                if r.var in of_var:
                    states[of_var[r.var]] = None
                elif r.var.name.startswith("#changed:"):
                    for site in stepper.result.sites:
                        if site.loop != int(r.var.name.rsplit(":", 1)[1]):
                            continue
                        match site:
                            case ReadSite(state=state):
                                states[state] = None
                            case VersionSite():
                                states[site.version] = None
                            case TrySite(lock=lock):
                                held[lock] = None
                            case _:
                                assert_never(site)
                elif r.var in self.flags.values():
                    held[next(n for n, v in self.flags.items() if v == r.var)] = None
                else:
                    for lock, names in self.holders.items():
                        if any(self.mode_var(lock, n) == r.var for n in names):
                            held[lock] = None
        for name in self.graphs:
            others = self.others(name)
            written = [s for s in states if s in self.writes(name)]
            freed = [x for x in held if x in self.flags and self.releases(name, x)]
            alive = not_(self.ended(name, others))
            if written or freed:
                what = ", ".join([*written, *freed])
                yield WaitsFor(name, others, self.resolve(alive), f"may change {what}")
            for lock in held:
                if name in self.holders.get(lock, ()):
                    index = tuple(self.names.fresh(s, "i") for s in self.lock_index(lock))
                    mode = ne(self.held_mode(lock, name, others, index), Lit(HELD_NONE))
                    yield WaitsFor(name, others, self.resolve(exists(index, mode)), f"holds {lock}")

    def writes(self, name: str) -> set[str]:
        """The states that the code of ``name`` may write."""
        return {s for node in self.graphs[name].nodes for s in _written(node, self.instance)}

    def releases(self, name: str, flag: str) -> bool:
        return any(isinstance(n.op, ops.Give) and n.op.lock.lock == flag for n in self.graphs[name].nodes)

    # -- reports

    def acquire_sites(self, raws: list[tuple[str, RawTransition]]) -> tuple[AcquireSite, ...]:
        result = []
        for name, graph in self.graphs.items():
            may_hold = ops.may_hold(graph)
            for node in graph.nodes:
                op = node.op
                if not isinstance(op, ops.Take | ops.Attempt) or op.lock.lock in self.flags:
                    continue
                if self.module.locks[op.lock.lock].kind in MASKS:
                    continue
                mine = [
                    n
                    for n, (who, raw) in enumerate(raws)
                    if who == name
                    and any(
                        e.act in (Act.ACQUIRE, Act.WANT) and e.lock == op.lock.lock and e.origin is node.origin
                        for e in raw.path.events
                    )
                ]
                if not mine:
                    continue
                stepper = self.steppers[name]
                held = tuple(
                    dict.fromkeys(
                        (lock, stepper.mode_text(lock, mode) or "write") for lock, mode in may_hold[node.number]
                        if self.module.locks[lock].kind not in MASKS
                    )
                )
                blocking = isinstance(op, ops.Take)
                mode = stepper.mode_text(op.lock.lock, op.mode) or "write"
                result.append(AcquireSite(name, op.lock.lock, mode, blocking, held, tuple(mine), node.origin))
        return tuple(result)

    def assumptions(self) -> tuple[str, ...]:
        blocks: set[Span] = {s for g in self.graphs.values() for s in g.atomic_blocks}
        waits: set[Span] = set()
        choices: set[Span] = set()
        racy: set[Span] = set()
        written: set[Span] = set()
        for name, graph in self.graphs.items():
            for node in graph.nodes:
                for e in _expressions(node):
                    racy |= {r.span for r in state_refs(e, self.module) if r.racy}
                place = _place(node)
                while isinstance(place, t.Field):
                    place = place.base
                if isinstance(place, t.StateRef) and place.racy:
                    written.add(place.span)
                match node.op:
                    case ops.Wait(condition) if node.depth == 0 and self.several(name, condition):
                        waits.add(node.origin.span)
                    case ops.Pick(where=where) | ops.PickMember(where=where):
                        if where is not None and node.depth == 0 and self.several(name, where):
                            choices.add(where.span)
                    case _:
                        pass
        racy -= written
        result = []
        if blocks:
            result.append(f"{len(blocks)} atomic block{'s' if len(blocks) > 1 else ''}")
        if waits:
            result.append(f"{len(waits)} wait{'s' if len(waits) > 1 else ''} on several cells at once")
        if choices:
            result.append(f"{len(choices)} choice{'s' if len(choices) > 1 else ''} by several cells at once")
        if racy:
            result.append(f"{len(racy)} racy read{'s' if len(racy) > 1 else ''}")
        if written:
            result.append(f"{len(written)} racy write{'s' if len(written) > 1 else ''}")
        return tuple(result)

    def several(self, name: str, condition: t.Expr) -> bool:
        """Whether ``condition``, evaluated at once, reads more than one cell that others may write meanwhile."""
        cells = {r for r in state_refs(condition, self.module) if self.is_contended(name, r)}
        return len(cells) > 1 or (bool(cells) and any(isinstance(x, t.Quantified) for x in walk(condition)))

    def is_contended(self, name: str, ref: t.StateRef) -> bool:
        anything: Form = ("any", -1)
        access = Access(name, ref.state, tuple(anything for _ in ref.index), False, ())
        return self.prepared.contention.contended(access)


class _Finisher:
    """Raw transitions of one thread to transitions: pc, dead locals, derived locks."""

    def __init__(self, compiler: _Compiler, name: str) -> None:
        self.c = compiler
        self.name = name
        self.own = compiler.views[name].params
        self.live = live_slots(compiler.graphs[name])
        steps = compiler.steps[name]
        self.regions = {loop: retry_region(compiler.graphs[name], loop) for loop in steps.impure}
        self.storages: list[tuple[Slot | int, Storage]] = [
            (slot, compiler.slots[slot]) for slot in compiler.graphs[name].slots
        ]
        for loop, storage in steps.impure.items():
            self.storages.append((loop, storage))
        for site in steps.sites:
            self.storages += [(site.loop, s) for s in site.kept()]

    def is_live(self, owner: Slot | int, key: Key) -> bool:
        if key == END:
            return False
        if isinstance(owner, Slot):
            return owner in self.live[key.node]
        return key.node in self.regions.get(owner, frozenset())

    def __call__(self, raw: RawTransition) -> Transition:
        c, path = self.c, raw.path
        c.at = raw.action.origin
        store = path.store
        if c.reductions.dead_locals:
            store = self.reset(raw)
        number = c.number[self.name]
        pc = c.pcs[self.name]
        source, target = number[raw.source], number[raw.target] if raw.target in number else number[raw.source]
        guard = and_(
            eq(Read(pc, self.own), Lit(source)),
            c.running(),
            c.moving(self.name, self.own),
            c.cpus.free(self.name, self.own),
            c.movable(self.name, self.own),
            *path.guard,
        )
        updates = [] if source == target else [Update(pc, self.own, Lit(target))]
        for u in store.updates():
            updates.append(
                Update(u.var, tuple(c.resolve(i) for i in u.index), c.resolve(u.value), u.binders, c.resolve(u.where))
            )
        checks = tuple(
            Check(k.prop, new, k.message, k.origin, k.fatal)
            for k in path.checks
            if (new := c.resolve(k.cond)) != TRUE
        )
        events = tuple(
            LockEvent(e.act, e.lock, tuple(c.resolve(i) for i in e.index), e.mode, e.origin) for e in path.events
        )
        limit((*(k.cond for k in checks), *(e for u in updates for e in (*u.index, u.value, u.where))), c.at)
        whole = c.resolve(guard)
        limit((whole,), c.at)
        return Transition(
            f"{self.name}:{raw.action.origin.span.line}",
            self.name,
            self.own + path.params,
            whole,
            tuple(updates),
            checks,
            source,
            target,
            raw.action.origin,
            _text(raw.action),
            events,
            path.notes,
            path.calm,
        )

    def reset(self, raw: RawTransition) -> Store:
        store = raw.path.store.copy()
        for owner, storage in self.storages:
            if self.is_live(owner, raw.target):
                continue
            dirty = self.is_live(owner, raw.source) or any(v in store.writes for v in storage.vars())
            if not dirty:
                continue
            before = self.is_live(owner, raw.source)
            for var, value in _leaves(storage, default_value(storage.shape)):
                # A write for other instances of the class stays; it may hit this one, whose local is dead all the same.
                others = tuple(w for w in store.writes.pop(var, ()) if w.index[: len(self.own)] != self.own)
                if others:
                    store.writes[var] = others
                if before or others:
                    cells = tuple(self.c.names.fresh(s) for s in var.index[len(self.own) :])
                    store.write(var, Write(self.own + cells, value, cells))
        return store


class _Properties:
    """The claims of the model, and those that every model is checked for."""

    def __init__(self, compiler: _Compiler, system: System, raws: list[tuple[str, RawTransition]]) -> None:
        self.c = compiler
        self.s = system
        self.raws = raws

    def all(self) -> Iterator[Property]:
        graphs = (*self.c.graphs.values(), *self.c.graphs_of_init)
        for name in dict.fromkeys(f for g in graphs for n in g.nodes for f in _families(n.op, self.c.instance)):
            yield self.from_checks(name, "assertion", f"no assertion tagged {name} fails")
        for p in self.c.module.properties:
            for made in self.declared(p):
                if p.kind == "transition" and isinstance(made.target, Target):
                    limit((case.cond for case in made.target.cases), self.c.at)
                yield made
        for name, claim in (
            ("range", "no value leaves the range of its type"),
            ("lock_misuse", "locks are held where they must be, and released by who holds them"),
            ("null_deref", "nothing that is none is used"),
            ("bug", "no `bug` is reached"),
        ):
            found = any(k.prop == name for tr in self.s.transitions for k in tr.checks)
            found = found or name in self.c.fatal_in_init or name in self.c.broken_in_init
            if found or name in ("range", "lock_misuse"):
                yield self.from_checks(name, "built-in", claim)
        if self.c.module.pools:
            yield self.from_checks("use_after_free", "built-in", "nothing is used after it was freed")
            yield self.from_checks("double_free", "built-in", "nothing is freed twice")
            yield self.leak()
        for name in self.judged():
            find = progress.livelock if name == "livelock" else progress.starvation
            live = find(self.s, self.raws, self.c.compiled())
            yield Property(name, name, "built-in", Wish.NEVER, live, FOR_EVER[name])
        claim = "no threads wait for each other for ever"
        yield Property("deadlock", "deadlock", "built-in", Wish.NEVER, DeadlockTarget(), claim)

    def judged(self) -> tuple[str, ...]:
        """Which of the families about endless runs are: those that somebody names, all if the model claims progress."""
        module = self.c.module
        named = {*module.checks, *self.c.also}
        named |= {e.target for s in module.scenarios.values() for e in s.expectations}
        claimed = any(p.kind in ("progress", "recoverable") for p in module.properties)
        return tuple(name for name in FOR_EVER if claimed or name in named)

    def progress(
        self, p: t.PropertyDecl, e: Evaluator, path: Path, params: tuple[Param, ...], there: Expr
    ) -> Property:
        """A claim of progress; ``path`` has its rigid names ``params``, which exist ``there``."""
        origin = Origin(p.span)
        if p.finishes:
            over, speaks = progress.finishes(self.s, self.raws, self.c.compiled(), p.finishes)
            words = f"every {p.finishes} finishes"
            return Property(p.name, p.family, p.kind, Wish.NEVER, over, words, speaks, origin)
        a = Activation(p.name, None)
        where = there if p.where is None else and_(there, self.c.resolve(e.truth(p.where, a, path)))
        pending = TRUE if p.pending is None else self.c.resolve(e.truth(p.pending, a, path))
        reached = or_(self.c.resolve(e.truth(p.condition, a, path)), not_(self.c.running()))
        target = ProgressTarget(params, where, pending, reached)
        spoken = Target((Case(params, and_(where, pending)),)) if p.pending is not None or params else None
        words = " ".join(p.condition.span.text.split())
        if p.pending is not None:
            words = " ".join(p.pending.span.text.split()) + " leads_to " + words
        else:
            words = "again and again " + words
        return Property(p.name, p.family, p.kind, Wish.NEVER, target, words, spoken, origin)

    def leak(self) -> Property:
        """Where every thread is done, something leads to every object."""
        e = self.c.evaluator("", ())
        over = and_(self.c.running(), self.over())
        live = {name: live_slots(graph) for name, graph in self.c.graphs.items()}

        def kept(copy: objects.Copy, cells: tuple[Expr, ...]) -> Expr:
            where = live[copy.thread]
            keys = [
                n for key, n in self.c.number[copy.thread].items() if key != END and copy.slot in where[key.node]
            ]
            view = self.c.views[copy.thread]
            who = cells[: len(view.params)]
            inside = substitute(view.where, {q.name: x for q, x in zip(view.params, who, strict=True)})
            return and_(inside, self.c.pc_is(copy.thread, keys, who), not_(self.c.ended(copy.thread, who)))

        cases = []
        for pool in self.c.module.pools.values():
            place = self.c.names.fresh(objects.used(e, pool).index[0], pool.name.rsplit(".", 1)[-1])
            lost = objects.leaked(self.c.module, self.c.shared.pointers, e, pool.name, place, kept)
            cases.append(Case((place,), and_(over, self.c.resolve(lost))))
        limit((case.cond for case in cases), self.c.at)
        origin = Origin(next(iter(self.c.module.pools.values())).span)
        claim = "where every thread is done, something leads to every object that was not freed"
        speaks = Target((Case((), over),))
        return Property("leak", "leak", "built-in", Wish.NEVER, Target(tuple(cases)), claim, speaks, origin)

    def from_checks(self, name: str, kind: str, claim: str) -> Property:
        cases, spoken = [], []
        origin = None
        for n, tr in enumerate(self.s.transitions):
            for i, k in enumerate(tr.checks):
                if k.prop == name:
                    origin = origin or k.origin
                    cases.append(Case(tr.params, and_(tr.guard, not_(k.cond)), n, i))
            conds = [self.c.resolve(cond) for family, cond in self.raws[n][1].path.spoken if family == name]
            if conds:
                spoken.append(Case(tr.params, and_(tr.guard, or_(*conds)), n))
        for faults in (self.c.broken_in_init, self.c.fatal_in_init):
            if name in faults:
                cases.append(Case((), Read(faults[name], ())))
                spoken.append(Case((), TRUE))
        speaks = Target(tuple(spoken)) if kind == "assertion" else None
        return Property(name, name, kind, Wish.NEVER, Target(tuple(cases)), claim, speaks, origin)

    def declared(self, p: t.PropertyDecl) -> Iterator[Property]:
        if p.when is not None and not self.c.instance.constant(p.when):
            return
        if p.scenarios and self.c.instance.scenario not in p.scenarios:
            return
        e = self.c.evaluator("", ())
        a = Activation(p.name, None)
        path = Path()
        binders: list[Param] = []
        exist: list[Expr] = []
        for local in p.binders:
            if isinstance(local.type, ThreadType):
                if local.type.thread not in self.c.views:
                    return
                bound, inside = e.thread_binder(local.type.thread)
                binders += bound.params
                exist.append(inside)
                path.values[local.number] = bound
            else:
                mine = tuple(self.c.names.fresh(s, local.name) for s in index_sorts(local.type, self.c.instance))
                binders += mine
                path.values[local.number] = e.bundle(local.type, mine)
        self.c.at = Origin(p.condition.span)
        there = and_(*exist)
        params = tuple(binders)
        text = " ".join(p.condition.span.text.split())
        origin = Origin(p.span)
        if p.kind == "progress":
            yield self.progress(p, e, path, params, there)
            return
        if p.kind == "transition":
            target = self.transition(p, e, a, path, params, there)
            yield Property(p.name, p.family, p.kind, Wish.NEVER, target, text, None, origin)
            return
        seen: list[tuple[str, tuple[Expr, ...], tuple[Param, ...]]] = []
        e.record = lambda q, ref, index, value, where: seen.append((ref.state, index, q.bound))
        cond = self.c.resolve(e.truth(p.condition, a, path))
        e.record = None
        match p.kind:
            case "invariant":
                silent = self.c.resolve(self.silenced(seen, e))
                bad = Case(params, and_(there, not_(silent), not_(cond)))
                speaks = Target((Case(params, and_(there, not_(silent))),))
                yield Property(p.name, p.family, p.kind, Wish.NEVER, Target((bad,)), text, speaks, origin)
            case "always invariant":
                bad = Case(params, and_(there, not_(cond)))
                speaks = Target((Case(params, there),))
                yield Property(p.name, p.family, p.kind, Wish.NEVER, Target((bad,)), text, speaks, origin)
            case "final":
                over = self.over()
                bad = Case(params, and_(there, over, not_(cond)))
                speaks = Target((Case(params, and_(there, over)),))
                yield Property(p.name, p.family, p.kind, Wish.NEVER, Target((bad,)), text, speaks, origin)
            case "reachable":
                case = Case(params, and_(there, cond))
                yield Property(p.name, p.family, p.kind, Wish.SOMETIMES, Target((case,)), text, None, origin)
            case "recoverable":
                goal = RecoverableTarget(or_(cond, not_(self.c.running())))
                yield Property(p.name, p.family, p.kind, Wish.NEVER, goal, text, None, origin)
            case "weakness":
                case = Case(params, and_(there, not_(cond)))
                yield Property(p.name, p.family, p.kind, Wish.NOTED, Target((case,)), text, None, origin)
            case _:
                raise KeyError(p.kind)

    def over(self) -> Expr:
        """All threads are done."""
        parts = []
        for thread in self.s.threads:
            fresh = tuple(self.c.names.fresh(q.sort, q.name) for q in thread.params)
            names = {q.name: f for q, f in zip(thread.params, fresh, strict=True)}
            inside, done = substitute(thread.where, dict(names)), substitute(thread.done, dict(names))
            parts.append(forall(fresh, implies(inside, done)))
        return and_(*parts)

    def silenced(self, seen: list[tuple[str, tuple[Expr, ...], tuple[Param, ...]]], e: Evaluator) -> Expr:
        """Whether a running thread may be writing a guarded cell that this instance of the invariant reads."""
        parts = []
        for state, index, bound in seen:
            declaration = self.c.module.states[state]
            guard = declaration.guard
            if guard is None or not guard.write:
                continue
            inner = Path()
            start = 0
            for b in declaration.binders:
                width = len(index_sorts(b.type, self.c.instance))
                inner.values[b.number] = e.bundle(b.type, index[start : start + width])
                start += width
            some = []
            for name in self.c.views:
                who, inside = e.thread_binder(name)
                holds = [inside, not_(self.c.ended(name, who.params))]
                for term in guard.write:
                    at = e.lock_index(term.lock, Activation(state, None), inner)
                    mode = self.c.held_mode(term.lock.lock, name, who.params, at)
                    kind = self.c.module.locks[term.lock.lock].kind
                    exclusive = kind.shared and not guard.any_mode
                    holds.append(eq(mode, Lit(HELD_WRITE)) if exclusive else ne(mode, Lit(HELD_NONE)))
                if FALSE not in holds and and_(*holds[2:]) != FALSE:
                    some.append(exists(who.params, and_(*holds)))
            used = tuple(q for q in bound if any(q in parameters(i) for i in index))
            parts.append(exists(used, or_(*some)))
        return and_(self.c.running(), or_(*parts))

    def transition(
        self, p: t.PropertyDecl, e: Evaluator, a: Activation, path: Path, params: tuple[Param, ...], there: Expr
    ) -> Target:
        """Every step for which ``condition``, read after it (and ``old`` before it), is false."""
        cases = []
        claim = rebuild(e.truth(p.condition, a, path), self.resolved)
        for n, tr in enumerate(self.s.transitions):
            after = Store()
            for u in tr.updates:
                after.write(u.var, Write(u.index, u.value, u.binders, u.where))
            cond = rebuild(claim, partial(_after_step, after))
            fatal = and_(*(k.cond for k in tr.checks if k.fatal))
            bad = and_(tr.guard, fatal, there, not_(cond))
            if bad != FALSE:
                cases.append(Case(tr.params + params, bad, n))
        return Target(tuple(cases))

    def resolved(self, leaf: Param | Read) -> Expr:
        if isinstance(leaf, Read) and leaf.var.name.startswith(OLD):
            var = leaf.var
            return as_old(self.c.resolve(Read(Var(var.name[len(OLD) :], var.index, var.sort, var.kind), leaf.index)))
        return self.c.resolve(leaf)


def _after_step(after: Store, leaf: Param | Read) -> Expr:
    """A cell as a step leaves it, or, if marked as old, as the step found it."""
    if isinstance(leaf, Param):
        return leaf
    var = leaf.var
    if var.name.startswith(OLD):
        return Read(Var(var.name[len(OLD) :], var.index, var.sort, var.kind), leaf.index)
    return after.read(var, leaf.index)


# --------------------------------------------------------------------------------------------------------------------


def _mode(write: Expr, read: Expr) -> Expr:
    return ite(write, Lit(HELD_WRITE), ite(read, Lit(HELD_READ), Lit(HELD_NONE)))


def _leaves(storage: Storage, value: Value) -> Iterator[tuple[Var, Expr]]:
    """Each variable of ``storage`` with its part of a constant ``value``."""
    match storage.shape:
        case ScalarShape():
            assert storage.var is not None
            yield storage.var, scalar(value)
        case SetShape(of):
            assert storage.var is not None
            assert isinstance(value, SetValue)
            start = len(storage.var.index) - len(of)
            yield storage.var, value.member(tuple(Param(f"#{start + n}", s) for n, s in enumerate(of)))
        case RecordShape():
            assert isinstance(value, RecordValue)
            for (_, part), (_, v) in zip(storage.parts, value.fields, strict=True):
                yield from _leaves(part, v)


def _await_of(nodes: list[Node], action: Node) -> tuple[ops.Wait, Node] | None:
    """The ``await`` that a step begins with: its own, or the first statement of the op that it is."""
    node = action
    while isinstance(node.op, ops.Begin | ops.Nop | ops.MustNotHold | ops.GuardCheck):
        node = nodes[node.succ[0]]
    return (node.op, node) if isinstance(node.op, ops.Wait) else None


def _text(node: Node) -> str:
    """The statement as written, on one line and without the block that it opens."""
    text = node.span.text
    if "{" in text and not isinstance(node.op, ops.Set | ops.Load | ops.Primitive | ops.Branch):
        text = text.split("{", 1)[0]
    text = " ".join(text.split("\n", 1)[0].split("//", 1)[0].split())
    if isinstance(node.op, ops.Back):
        return "next turn"
    if isinstance(node.op, ops.Finish):
        return "end"
    if isinstance(node.op, ops.Move):
        return "goes to another CPU"
    return text.rstrip(" {").rstrip(";").strip()


def _expressions(node: Node) -> Iterator[t.Expr]:
    match node.op:
        case ops.Load(_, ref):
            yield ref
        case ops.Set(place, value):
            if value is not None:
                yield value
            yield place
        case ops.Branch(condition) | ops.Wait(condition):
            yield condition
        case ops.Scramble(place):
            yield place
        case ops.Primitive(call):
            yield call.place
            yield from call.args
        case _:
            pass


def _place(node: Node) -> t.Expr | None:
    """What a node writes to."""
    match node.op:
        case ops.Set(place) | ops.Scramble(place):
            return place
        case ops.Primitive(call) if call.name != "snapshot":
            return call.place
        case _:
            return None


def _root(place: t.Expr, a: Activation) -> str | None:
    while True:
        if isinstance(place, t.Field):
            place = place.base
        elif isinstance(place, t.LocalRef):
            binding = a.bindings.get(place.local.number)
            if not isinstance(binding, ops.Alias):
                return None
            place, a = binding.expr, binding.activation
        else:
            return place.state if isinstance(place, t.StateRef) else None


def _written(node: Node, instance: Instance) -> Iterator[str]:
    a = node.activation
    found: str | None = None
    match node.op:
        case ops.Set(place) | ops.Scramble(place):
            found = _root(place, a)
        case ops.Primitive(call):
            found = _root(call.place, a) if call.name not in ("snapshot", "new", "try_new") else None
        case ops.Inline(statement, False):
            yield from _assigned(statement, a)
        case ops.Move(cpu):
            yield cpu.state
        case _:
            pass
    if found is not None and not instance.module.states[found].ghost:
        yield found


def _assigned(s: t.Statement, a: Activation) -> Iterator[str]:
    match s:
        case t.Block(body):
            for x in body:
                yield from _assigned(x, a)
        case t.Assign(place, _):
            found = _root(place, a)
            if found is not None:
                yield found
        case t.If(_, then, otherwise):
            yield from _assigned(then, a)
            if otherwise is not None:
                yield from _assigned(otherwise, a)
        case t.ForEach(_, _, body) | t.ForRange(body=body):
            yield from _assigned(body, a)
        case _:
            pass


def _versions(x: object, instance: Instance) -> Iterator[str]:
    """The versions that a node or a part of it looks at."""
    match x:
        case t.BuiltinCall(name="snapshot", place=t.StateRef(state)):
            yield state
        case t.Changed(snapshot) if isinstance(snapshot.type, SnapshotType):
            yield snapshot.type.state
        case t.FnCall(fn):
            yield from _versions(instance.routines[fn].value, instance)
        case _:
            pass
    if isinstance(x, tuple):
        for part in x:
            yield from _versions(part, instance)
    elif is_dataclass(x) and not isinstance(x, Span | t.Local):
        for f in fields(x):
            if f.name not in ("type", "span"):
                yield from _versions(getattr(x, f.name), instance)


def _families(x: object, instance: Instance) -> Iterator[str]:
    """The families of the assertions in a node or a part of it."""
    match x:
        case ops.Assertion() | t.Assert():
            yield x.family
        case t.Call(routine=routine):
            yield from _families(instance.routines[routine].body, instance)
        case tuple():
            for part in x:
                yield from _families(part, instance)
        case ops.Inline() | t.Stmt():
            for f in fields(x):
                yield from _families(getattr(x, f.name), instance)
        case _:
            pass
