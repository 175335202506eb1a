"""TLA+, for TLC: one action per command, members as model values, and the symmetry of each set declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def configuration(sizes: dict[str, int], *, symmetry: bool, invariant: str) -> str:
    """The file beside the module: the sets, and what is claimed (nothing but freedom from deadlock if empty)."""
    sets = [f"  {name} = {{{', '.join(f'{name.lower()}{k}' for k in range(size))}}}" for name, size in sizes.items()]
    lines = ["CONSTANTS", "  None = None", *sets, "INIT Init", "NEXT Next"]
    lines += ["SYMMETRY Symmetry"] if symmetry else []
    lines += [f"INVARIANT {invariant}"] if invariant else []
    return "\n".join(lines) + "\n"


def _module(sets: Sequence[str], variables: Sequence[str], body: str) -> str:
    def frame(but: str) -> str:
        changed = {name.strip() for name in but.split(",")}
        assert changed <= set(variables), changed - set(variables)
        return "UNCHANGED <<" + ", ".join(v for v in variables if v not in changed) + ">>"

    parts = body.split("KEEP_BUT(")
    text = parts[0]
    for part in parts[1:]:
        but, rest = part.split(")", 1)
        text += frame(but) + rest
    symmetry = " \\cup ".join(f"Permutations({s})" for s in sets)
    return f"""\
---- MODULE Protocol ----
EXTENDS Naturals, TLC
CONSTANTS None, {", ".join(sets)}
VARIABLES {", ".join(variables)}
Symmetry == {symmetry}
{text}
====
"""


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> str:
    """Page faults against a conversion."""
    stale = "busy" if broken else "(busy \\/ ~fresh[v])"
    names = ("attr", "spte", "busy", "lock", "pc", "pick", "priv", "fresh", "cpc", "cpick", "cto")
    return _module(
        ("Gfn", "Vcpu"),
        names,
        f"""
Init == /\\ attr = [g \\in Gfn |-> 0] /\\ spte = [g \\in Gfn |-> 2] /\\ busy = FALSE /\\ lock = FALSE
        /\\ pc = [v \\in Vcpu |-> 0] /\\ pick = [v \\in Vcpu |-> None] /\\ priv = [v \\in Vcpu |-> 0]
        /\\ fresh = [v \\in Vcpu |-> FALSE] /\\ cpc = 0 /\\ cpick = None /\\ cto = 0
Drop(v) == /\\ lock' = FALSE /\\ fresh' = [fresh EXCEPT ![v] = FALSE] /\\ pick' = [pick EXCEPT ![v] = None]
           /\\ priv' = [priv EXCEPT ![v] = 0] /\\ pc' = [pc EXCEPT ![v] = 0] /\\ KEEP_BUT(lock, fresh, pick, priv, pc)
Fault(v) ==
  \\/ /\\ pc[v] = 0 /\\ \\E g \\in Gfn : pick' = [pick EXCEPT ![v] = g]
     /\\ pc' = [pc EXCEPT ![v] = 1] /\\ KEEP_BUT(pick, pc)
  \\/ pc[v] = 1 /\\ fresh' = [fresh EXCEPT ![v] = TRUE] /\\ pc' = [pc EXCEPT ![v] = 2] /\\ KEEP_BUT(fresh, pc)
  \\/ pc[v] = 2 /\\ priv' = [priv EXCEPT ![v] = attr[pick[v]]] /\\ pc' = [pc EXCEPT ![v] = 3] /\\ KEEP_BUT(priv, pc)
  \\/ pc[v] = 3 /\\ ~lock /\\ lock' = TRUE /\\ pc' = [pc EXCEPT ![v] = 4] /\\ KEEP_BUT(lock, pc)
  \\/ pc[v] = 4 /\\ {stale} /\\ Drop(v)
  \\/ /\\ pc[v] = 4 /\\ ~{stale} /\\ spte' = [spte EXCEPT ![pick[v]] = priv[v]]
     /\\ pc' = [pc EXCEPT ![v] = 5] /\\ KEEP_BUT(spte, pc)
  \\/ pc[v] = 5 /\\ Drop(v)
Convert ==
  \\/ /\\ cpc = 0 /\\ \\E g \\in Gfn, to \\in {{0, 1}} : cpick' = g /\\ cto' = to
     /\\ cpc' = 1 /\\ KEEP_BUT(cpick, cto, cpc)
  \\/ cpc = 1 /\\ ~lock /\\ lock' = TRUE /\\ cpc' = 2 /\\ KEEP_BUT(lock, cpc)
  \\/ cpc = 2 /\\ busy' = TRUE /\\ cpc' = 3 /\\ KEEP_BUT(busy, cpc)
  \\/ cpc = 3 /\\ spte' = [spte EXCEPT ![cpick] = 2] /\\ lock' = FALSE /\\ cpc' = 4 /\\ KEEP_BUT(spte, lock, cpc)
  \\/ cpc = 4 /\\ attr' = [attr EXCEPT ![cpick] = cto] /\\ cpc' = 5 /\\ KEEP_BUT(attr, cpc)
  \\/ cpc = 5 /\\ ~lock /\\ lock' = TRUE /\\ cpc' = 6 /\\ KEEP_BUT(lock, cpc)
  \\/ /\\ cpc = 6 /\\ busy' = FALSE /\\ lock' = FALSE /\\ fresh' = [v \\in Vcpu |-> FALSE] /\\ cpick' = None
     /\\ cto' = 0 /\\ cpc' = 0 /\\ KEEP_BUT(busy, lock, fresh, cpick, cto, cpc)
Next == Convert \\/ \\E v \\in Vcpu : Fault(v)
Claim == \\A g \\in Gfn : busy \\/ spte[g] = 2 \\/ spte[g] = attr[g]""",
    )


def snp_remap(sizes: Sequence[int], *, broken: bool) -> str:
    """A host that remaps at will against a guest that validates."""
    go = "TRUE" if broken else "~accepted[pick]"
    names = ("owner", "validated", "latest", "npt", "accepted", "written", "pick", "pc")
    return _module(
        ("Gfn", "Pfn"),
        names,
        f"""
Init == /\\ owner = [p \\in Pfn |-> None] /\\ validated = [p \\in Pfn |-> FALSE] /\\ latest = [p \\in Pfn |-> FALSE]
        /\\ npt = [g \\in Gfn |-> None] /\\ accepted = [g \\in Gfn |-> FALSE] /\\ written = [g \\in Gfn |-> FALSE]
        /\\ pick = None /\\ pc = 0
Assign(p, to) == /\\ validated' = [validated EXCEPT ![p] = FALSE]
                 /\\ latest' = [latest EXCEPT ![p] = @ /\\ owner[p] = to]
                 /\\ owner' = [owner EXCEPT ![p] = to] /\\ KEEP_BUT(validated, latest, owner)
Map(g, page) == npt' = [npt EXCEPT ![g] = page] /\\ KEEP_BUT(npt)
Assigned(g) == npt[g] /= None /\\ owner[npt[g]] = g
Access(g) ==
  /\\ pc = 0 /\\ Assigned(g)
  /\\ IF validated[npt[g]]
     THEN /\\ latest' = [q \\in Pfn |-> q = npt[g] \\/ (latest[q] /\\ owner[q] /= g)]
          /\\ written' = [written EXCEPT ![g] = TRUE] /\\ KEEP_BUT(latest, written)
     ELSE pick' = g /\\ pc' = 1 /\\ KEEP_BUT(pick, pc)
Stop == pc = 1 /\\ ~({go}) /\\ pick' = None /\\ pc' = 2 /\\ KEEP_BUT(pick, pc)
Validate == /\\ pc = 1 /\\ {go}
            /\\ validated' = IF Assigned(pick) THEN [validated EXCEPT ![npt[pick]] = TRUE] ELSE validated
            /\\ accepted' = [accepted EXCEPT ![pick] = TRUE]
            /\\ pick' = None /\\ pc' = 0 /\\ KEEP_BUT(validated, accepted, pick, pc)
Next == \\/ \\E p \\in Pfn, to \\in Gfn \\cup {{None}} : Assign(p, to)
        \\/ \\E g \\in Gfn, page \\in Pfn \\cup {{None}} : Map(g, page)
        \\/ \\E g \\in Gfn : Access(g)
        \\/ Stop \\/ Validate
Claim == \\A g \\in Gfn : (pc = 0 /\\ Assigned(g) /\\ validated[npt[g]] /\\ written[g]) => latest[npt[g]]""",
    )


def populate_locking(sizes: Sequence[int], *, broken: bool) -> str:
    """Populate, user faults and remaps; locks as counters, which cost an explicit search nothing."""
    take = "~filling /\\ invReaders = 0 /\\ filling' = TRUE", "filling"
    read = "mapWriters = 0 /\\ mapReaders' = mapReaders + 1", "mapReaders"
    drop = "mapReaders' = mapReaders - 1", "mapReaders"
    drop_and_queue = "mapReaders' = mapReaders - 1 /\\ queued' = queued + 1", "mapReaders, queued"
    middle = [take, read, drop] if broken else [read, drop_and_queue, take]
    rules = "\n".join(
        f"  \\/ at[p] = {k} /\\ {s} /\\ at' = [at EXCEPT ![p] = {k + 1}] /\\ KEEP_BUT({w}, at)"
        for k, (s, w) in enumerate(middle, start=1)
    )
    begin, begun = ("/\\ queued' = queued + 1 ", ", queued") if broken else ("", "")
    names: tuple[str, ...] = ("present", "pick", "at", "fat", "rat")
    names += ("mapReaders", "mapWriters", "mapWritten", "invReaders", "queued", "filling")
    return _module(
        ("Gfn", "Populate", "Fault", "Remap"),
        names,
        f"""
Init == /\\ present = [g \\in Gfn |-> FALSE] /\\ pick = [p \\in Populate |-> None] /\\ at = [p \\in Populate |-> 0]
        /\\ fat = [f \\in Fault |-> 0] /\\ rat = [r \\in Remap |-> 0]
        /\\ mapReaders = 0 /\\ mapWriters = 0 /\\ mapWritten = FALSE
        /\\ invReaders = 0 /\\ queued = 0 /\\ filling = FALSE
Populates(p) ==
  \\/ /\\ at[p] = 0 /\\ \\E g \\in Gfn : pick' = [pick EXCEPT ![p] = g]
     {begin}/\\ at' = [at EXCEPT ![p] = 1] /\\ KEEP_BUT(pick, at{begun})
{rules}
  \\/ /\\ at[p] = 4 /\\ present' = [present EXCEPT ![pick[p]] = TRUE] /\\ pick' = [pick EXCEPT ![p] = None]
     /\\ filling' = FALSE /\\ queued' = queued - 1 /\\ at' = [at EXCEPT ![p] = 0]
     /\\ KEEP_BUT(present, pick, filling, queued, at)
Faults(f) ==
  \\/ /\\ fat[f] = 0 /\\ mapWriters = 0 /\\ mapReaders' = mapReaders + 1 /\\ fat' = [fat EXCEPT ![f] = 1]
     /\\ KEEP_BUT(mapReaders, fat)
  \\/ /\\ fat[f] = 1 /\\ queued = 0 /\\ invReaders' = invReaders + 1 /\\ fat' = [fat EXCEPT ![f] = 2]
     /\\ KEEP_BUT(invReaders, fat)
  \\/ fat[f] = 2 /\\ invReaders' = invReaders - 1 /\\ fat' = [fat EXCEPT ![f] = 3] /\\ KEEP_BUT(invReaders, fat)
  \\/ fat[f] = 3 /\\ mapReaders' = mapReaders - 1 /\\ fat' = [fat EXCEPT ![f] = 0] /\\ KEEP_BUT(mapReaders, fat)
Remaps(r) ==
  \\/ rat[r] = 0 /\\ mapWriters' = mapWriters + 1 /\\ rat' = [rat EXCEPT ![r] = 1] /\\ KEEP_BUT(mapWriters, rat)
  \\/ /\\ rat[r] = 1 /\\ mapReaders = 0 /\\ ~mapWritten /\\ mapWritten' = TRUE /\\ rat' = [rat EXCEPT ![r] = 2]
     /\\ KEEP_BUT(mapWritten, rat)
  \\/ /\\ rat[r] = 2 /\\ mapWritten' = FALSE /\\ mapWriters' = mapWriters - 1 /\\ rat' = [rat EXCEPT ![r] = 0]
     /\\ KEEP_BUT(mapWritten, mapWriters, rat)
Next == \\/ \\E p \\in Populate : Populates(p)
        \\/ \\E f \\in Fault : Faults(f)
        \\/ \\E r \\in Remap : Remaps(r)
Claim == TRUE""",
    )


def track_and_kick(sizes: Sequence[int], *, broken: bool) -> str:
    """A zap against vCPUs that keep translations."""
    names = ("removed", "blocked", "tracked", "freed", "cached", "inside", "current", "pick", "pc")
    kick = "inside' = [u \\in Vcpu |-> FALSE]"
    refused = "pc' = 5 /\\ KEEP_BUT(pc)" if broken else "pick' = None /\\ pc' = 0 /\\ KEEP_BUT(pick, pc)"
    second = "" if broken else f"  \\/ pc = 3 /\\ {kick} /\\ pc' = 4 /\\ KEEP_BUT(inside, pc)\n"
    return _module(
        ("Gfn", "Vcpu"),
        names,
        f"""
Init == /\\ removed = [g \\in Gfn |-> FALSE] /\\ blocked = [g \\in Gfn |-> FALSE]
        /\\ tracked = [g \\in Gfn |-> FALSE] /\\ freed = [g \\in Gfn |-> FALSE]
        /\\ cached = [v \\in Vcpu |-> [g \\in Gfn |-> FALSE]]
        /\\ inside = [v \\in Vcpu |-> FALSE] /\\ current = [v \\in Vcpu |-> FALSE] /\\ pick = None /\\ pc = 0
Reached(v, g) == cached[v][g] \\/ (~removed[g] /\\ ~blocked[g])
Lagging == \\E w \\in Vcpu : inside[w] /\\ ~current[w]
Removable == blocked[pick] /\\ tracked[pick] /\\ ~Lagging
Run(v) ==
  \\/ /\\ ~inside[v]
     /\\ cached' = IF current[v] THEN cached ELSE [cached EXCEPT ![v] = [g \\in Gfn |-> FALSE]]
     /\\ inside' = [inside EXCEPT ![v] = TRUE] /\\ current' = [current EXCEPT ![v] = TRUE]
     /\\ KEEP_BUT(cached, inside, current)
  \\/ inside[v] /\\ inside' = [inside EXCEPT ![v] = FALSE] /\\ KEEP_BUT(inside)
  \\/ /\\ inside[v] /\\ \\E g \\in Gfn : Reached(v, g) /\\ cached' = [cached EXCEPT ![v][g] = TRUE]
     /\\ KEEP_BUT(cached)
Zap ==
  \\/ pc = 0 /\\ (\\E g \\in Gfn : ~removed[g] /\\ pick' = g) /\\ pc' = 1 /\\ KEEP_BUT(pick, pc)
  \\/ /\\ pc = 1 /\\ blocked' = [blocked EXCEPT ![pick] = TRUE] /\\ tracked' = [tracked EXCEPT ![pick] = FALSE]
     /\\ pc' = 2 /\\ KEEP_BUT(blocked, tracked, pc)
  \\/ pc = 2 /\\ Lagging /\\ {kick} /\\ KEEP_BUT(inside)
  \\/ /\\ pc = 2 /\\ ~Lagging /\\ current' = [u \\in Vcpu |-> FALSE] /\\ tracked' = blocked
     /\\ pc' = {4 if broken else 3} /\\ KEEP_BUT(current, tracked, pc)
{second}\
  \\/ /\\ pc = 4 /\\ Removable /\\ removed' = [removed EXCEPT ![pick] = TRUE]
     /\\ blocked' = [blocked EXCEPT ![pick] = FALSE] /\\ pc' = 5 /\\ KEEP_BUT(removed, blocked, pc)
  \\/ pc = 4 /\\ ~Removable /\\ {refused}
  \\/ /\\ pc = 5 /\\ freed' = [freed EXCEPT ![pick] = TRUE] /\\ pick' = None /\\ pc' = 0
     /\\ KEEP_BUT(freed, pick, pc)
Next == Zap \\/ \\E v \\in Vcpu : Run(v)
Claim == \\A v \\in Vcpu, g \\in Gfn : ~(inside[v] /\\ freed[g] /\\ Reached(v, g))""",
    )


def update_order(sizes: Sequence[int], *, broken: bool) -> str:
    """Faults that map a large page against changes of its small ones."""
    names = ("shared", "mixed", "large", "busy", "lock", "pc", "fresh", "cpc", "pick", "to")
    look = "mixed' = Differ"
    finish = "busy' = FALSE /\\ lock' = FALSE /\\ fresh' = [v \\in Vcpu |-> FALSE]"
    end = "pick' = None /\\ to' = FALSE /\\ cpc' = 0"
    ending = (
        f"""\
  \\/ cpc = 4 /\\ ~lock /\\ lock' = TRUE /\\ cpc' = 5 /\\ KEEP_BUT(lock, cpc)
  \\/ cpc = 5 /\\ {finish} /\\ cpc' = 6 /\\ KEEP_BUT(busy, lock, fresh, cpc)
  \\/ cpc = 6 /\\ {look} /\\ {end} /\\ KEEP_BUT(mixed, pick, to, cpc)"""
        if broken
        else f"""\
  \\/ cpc = 4 /\\ {look} /\\ cpc' = 5 /\\ KEEP_BUT(mixed, cpc)
  \\/ cpc = 5 /\\ ~lock /\\ lock' = TRUE /\\ cpc' = 6 /\\ KEEP_BUT(lock, cpc)
  \\/ cpc = 6 /\\ {finish} /\\ {end} /\\ KEEP_BUT(busy, lock, fresh, pick, to, cpc)"""
    )
    return _module(
        ("Page", "Vcpu"),
        names,
        f"""
Init == /\\ shared = [g \\in Page |-> FALSE] /\\ mixed = FALSE /\\ large = FALSE /\\ busy = FALSE /\\ lock = FALSE
        /\\ pc = [v \\in Vcpu |-> 0] /\\ fresh = [v \\in Vcpu |-> FALSE] /\\ cpc = 0 /\\ pick = None /\\ to = FALSE
Differ == (\\E g \\in Page : shared[g]) /\\ (\\E g \\in Page : ~shared[g])
Drop(v) == fresh' = [fresh EXCEPT ![v] = FALSE] /\\ pc' = [pc EXCEPT ![v] = 0]
Stale(v) == busy \\/ ~fresh[v]
Fault(v) ==
  \\/ pc[v] = 0 /\\ fresh' = [fresh EXCEPT ![v] = TRUE] /\\ pc' = [pc EXCEPT ![v] = 1] /\\ KEEP_BUT(fresh, pc)
  \\/ pc[v] = 1 /\\ mixed /\\ Drop(v) /\\ KEEP_BUT(fresh, pc)
  \\/ pc[v] = 1 /\\ ~mixed /\\ pc' = [pc EXCEPT ![v] = 2] /\\ KEEP_BUT(pc)
  \\/ pc[v] = 2 /\\ ~lock /\\ lock' = TRUE /\\ pc' = [pc EXCEPT ![v] = 3] /\\ KEEP_BUT(lock, pc)
  \\/ pc[v] = 3 /\\ Stale(v) /\\ lock' = FALSE /\\ Drop(v) /\\ KEEP_BUT(lock, fresh, pc)
  \\/ pc[v] = 3 /\\ ~Stale(v) /\\ large' = TRUE /\\ pc' = [pc EXCEPT ![v] = 4] /\\ KEEP_BUT(large, pc)
  \\/ pc[v] = 4 /\\ lock' = FALSE /\\ Drop(v) /\\ KEEP_BUT(lock, fresh, pc)
Change ==
  \\/ /\\ cpc = 0 /\\ \\E g \\in Page, k \\in BOOLEAN : pick' = g /\\ to' = k
     /\\ cpc' = 1 /\\ KEEP_BUT(pick, to, cpc)
  \\/ cpc = 1 /\\ ~lock /\\ lock' = TRUE /\\ cpc' = 2 /\\ KEEP_BUT(lock, cpc)
  \\/ cpc = 2 /\\ busy' = TRUE /\\ large' = FALSE /\\ lock' = FALSE /\\ cpc' = 3 /\\ KEEP_BUT(busy, large, lock, cpc)
  \\/ cpc = 3 /\\ shared' = [shared EXCEPT ![pick] = to] /\\ cpc' = 4 /\\ KEEP_BUT(shared, cpc)
{ending}
Next == Change \\/ \\E v \\in Vcpu : Fault(v)
Claim == ~(cpc = 0 /\\ large /\\ Differ)""",
    )


def srcu_free(sizes: Sequence[int], *, broken: bool) -> str:
    """Readers against an update that frees what they may have found."""
    names = ("live", "active", "fresh", "past", "pc", "at", "seen", "owed")
    free = "live' = [live EXCEPT ![past] = FALSE] /\\ past' = None /\\ pc' = 0 /\\ KEEP_BUT(live, past, pc)"
    grace = (
        f"""\
  \\/ pc = 2 /\\ past /= None /\\ {free}"""
        if broken
        else f"""\
  \\/ /\\ pc = 2 /\\ past /= None /\\ owed' = [v \\in Vcpu |-> at[v] /= 0]
     /\\ pc' = 3 /\\ KEEP_BUT(owed, pc)
  \\/ /\\ pc = 3 /\\ \\A v \\in Vcpu : ~owed[v]
     /\\ {free}"""
    )
    return _module(
        ("Vcpu", "Slots"),
        names,
        f"""
Init == /\\ live = [s \\in Slots |-> FALSE] /\\ active = None /\\ fresh = None /\\ past = None /\\ pc = 0
        /\\ at = [v \\in Vcpu |-> 0] /\\ seen = [v \\in Vcpu |-> None] /\\ owed = [v \\in Vcpu |-> FALSE]
Read(v) ==
  \\/ at[v] = 0 /\\ at' = [at EXCEPT ![v] = 1] /\\ KEEP_BUT(at)
  \\/ at[v] = 1 /\\ seen' = [seen EXCEPT ![v] = active] /\\ at' = [at EXCEPT ![v] = 2] /\\ KEEP_BUT(seen, at)
  \\/ at[v] = 2 /\\ at' = [at EXCEPT ![v] = 3] /\\ KEEP_BUT(at)
  \\/ /\\ at[v] = 3 /\\ seen' = [seen EXCEPT ![v] = None] /\\ owed' = [owed EXCEPT ![v] = FALSE]
     /\\ at' = [at EXCEPT ![v] = 0] /\\ KEEP_BUT(seen, owed, at)
Update ==
  \\/ /\\ pc = 0 /\\ \\E s \\in Slots : ~live[s] /\\ fresh' = s /\\ live' = [live EXCEPT ![s] = TRUE]
     /\\ pc' = 1 /\\ KEEP_BUT(fresh, live, pc)
  \\/ /\\ pc = 1 /\\ past' = active /\\ active' = fresh /\\ fresh' = None
     /\\ pc' = 2 /\\ KEEP_BUT(past, active, fresh, pc)
  \\/ pc = 2 /\\ past = None /\\ pc' = 0 /\\ KEEP_BUT(pc)
{grace}
Next == Update \\/ \\E v \\in Vcpu : Read(v)
Claim == \\A v \\in Vcpu : (at[v] = 2 /\\ seen[v] /= None) => live[seen[v]]""",
    )


PROTOCOLS: dict[str, Callable[..., str]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
    "track_and_kick": track_and_kick,
    "update_order": update_order,
    "srcu_free": srcu_free,
}
SETS = {
    "fault_vs_conversion": ("Gfn", "Vcpu"),
    "snp_remap": ("Gfn", "Pfn"),
    "populate_locking": ("Populate", "Fault", "Remap", "Gfn"),
    "track_and_kick": ("Gfn", "Vcpu"),
    "update_order": ("Page", "Vcpu"),
    "srcu_free": ("Vcpu", "Slots"),
}
