"""Murphi, for Rumur: rules over scalarsets, with what a thread has forgotten left undefined."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> str:
    """Page faults against a conversion."""
    gfns, vcpus = sizes
    stale = "busy" if broken else "(busy | !fresh[v])"
    return f"""\
type
  gfn: scalarset({gfns}); vcpu: scalarset({vcpus}); kind: 0..1; entry: 0..2;
var
  attr: array[gfn] of kind; spte: array[gfn] of entry; busy: boolean; lock: boolean;
  pc: array[vcpu] of 0..5; pick: array[vcpu] of gfn; priv: array[vcpu] of kind; fresh: array[vcpu] of boolean;
  cpc: 0..6; cpick: gfn; cto: kind;

startstate begin
  for g: gfn do attr[g] := 0; spte[g] := 0; end;
  for v: vcpu do pc[v] := 0; undefine pick[v]; priv[v] := 0; fresh[v] := false; end;
  busy := false; lock := false; cpc := 0; undefine cpick; cto := 0;
end;

procedure drop(v: vcpu); begin lock := false; fresh[v] := false; undefine pick[v]; priv[v] := 0; pc[v] := 0; end;

ruleset v: vcpu do
  ruleset g: gfn do rule "pick" pc[v] = 0 ==> begin pick[v] := g; pc[v] := 1; end; end;
  rule "snapshot" pc[v] = 1 ==> begin fresh[v] := true; pc[v] := 2; end;
  rule "look" pc[v] = 2 ==> begin priv[v] := attr[pick[v]]; pc[v] := 3; end;
  rule "lock" pc[v] = 3 & !lock ==> begin lock := true; pc[v] := 4; end;
  rule "retry" pc[v] = 4 & {stale} ==> begin drop(v); end;
  rule "map" pc[v] = 4 & !{stale} ==> begin spte[pick[v]] := priv[v] + 1; pc[v] := 5; end;
  rule "unlock" pc[v] = 5 ==> begin drop(v); end;
end;

ruleset g: gfn; k: kind do rule "begin" cpc = 0 ==> begin cpick := g; cto := k; cpc := 1; end; end;
rule "lock to zap" cpc = 1 & !lock ==> begin lock := true; cpc := 2; end;
rule "busy" cpc = 2 ==> begin busy := true; cpc := 3; end;
rule "zap" cpc = 3 ==> begin spte[cpick] := 0; lock := false; cpc := 4; end;
rule "store" cpc = 4 ==> begin attr[cpick] := cto; cpc := 5; end;
rule "lock to end" cpc = 5 & !lock ==> begin lock := true; cpc := 6; end;
rule "end" cpc = 6 ==> begin
  busy := false; lock := false; for v: vcpu do fresh[v] := false; end; undefine cpick; cto := 0; cpc := 0;
end;

invariant "agree" forall g: gfn do busy | spte[g] = 0 | spte[g] = attr[g] + 1 end;
"""


def snp_remap(sizes: Sequence[int], *, broken: bool) -> str:
    """A host that remaps at will against a guest that validates."""
    gfns, pfns = sizes
    go = "" if broken else " & !accepted[pick]"
    stop = "" if broken else 'rule "stop" pc = 1 & accepted[pick] ==> begin undefine pick; pc := 2; end;'
    assigned = "pc = 0 & !isundefined(npt[g]) & !isundefined(owner[npt[g]]) & owner[npt[g]] = g"
    return f"""\
type
  gfn: scalarset({gfns}); pfn: scalarset({pfns});
var
  owner: array[pfn] of gfn; validated: array[pfn] of boolean; latest: array[pfn] of boolean;
  npt: array[gfn] of pfn; accepted: array[gfn] of boolean; written: array[gfn] of boolean; pick: gfn; pc: 0..2;

startstate begin
  for p: pfn do undefine owner[p]; validated[p] := false; latest[p] := false; end;
  for g: gfn do undefine npt[g]; accepted[g] := false; written[g] := false; end;
  undefine pick; pc := 0;
end;

ruleset p: pfn do
  ruleset g: gfn do
    rule "assign" begin
      validated[p] := false;
      if isundefined(owner[p]) then latest[p] := false; elsif owner[p] != g then latest[p] := false; end;
      owner[p] := g;
    end;
  end;
  rule "reclaim" begin
    validated[p] := false;
    if !isundefined(owner[p]) then latest[p] := false; end;
    undefine owner[p];
  end;
end;
ruleset g: gfn do
  ruleset p: pfn do rule "map" begin npt[g] := p; end; end;
  rule "unmap" begin undefine npt[g]; end;
  rule "check" {assigned} & !validated[npt[g]] ==> begin pick := g; pc := 1; end;
  rule "write" {assigned} & validated[npt[g]] ==> begin
    for q: pfn do
      if !isundefined(owner[q]) & owner[q] = g then latest[q] := false; end;
    end;
    latest[npt[g]] := true; written[g] := true;
  end;
end;
{stop}
rule "validate" pc = 1{go} ==> begin
  if !isundefined(npt[pick]) & !isundefined(owner[npt[pick]]) & owner[npt[pick]] = pick then
    validated[npt[pick]] := true;
  end;
  accepted[pick] := true; undefine pick; pc := 0;
end;

invariant "latest"
  forall g: gfn do {assigned} & validated[npt[g]] & written[g] -> latest[npt[g]] end;
"""


def populate_locking(sizes: Sequence[int], *, broken: bool) -> str:
    """Populate, user faults and remaps; locks as counters, which cost an explicit search nothing."""
    populates, faults, remaps, gfns = sizes
    take = "!filling & inv_readers = 0 ==> begin filling := true;"
    read = "map_writers = 0 ==> begin map_readers := map_readers + 1;"
    drop = "true ==> begin map_readers := map_readers - 1;"
    queue = " queued := queued + 1;"
    middle = [take, read, drop] if broken else [read, drop + queue, take]
    rules = "\n".join(
        f'  rule "populate {k}" at[p] = {k} & {s} at[p] := {k + 1}; end;' for k, s in enumerate(middle, start=1)
    )
    return f"""\
type
  gfn: scalarset({gfns}); populate: scalarset({populates}); fault: scalarset({faults}); remap: scalarset({remaps});
var
  present: array[gfn] of boolean; pick: array[populate] of gfn;
  at: array[populate] of 0..4; fat: array[fault] of 0..3; rat: array[remap] of 0..2;
  map_readers: 0..{populates + faults}; map_writers: 0..{remaps}; map_written: boolean;
  inv_readers: 0..{faults}; queued: 0..{populates}; filling: boolean;

startstate begin
  for g: gfn do present[g] := false; end;
  for p: populate do undefine pick[p]; at[p] := 0; end;
  for f: fault do fat[f] := 0; end;
  for r: remap do rat[r] := 0; end;
  map_readers := 0; map_writers := 0; map_written := false; inv_readers := 0; queued := 0; filling := false;
end;

ruleset p: populate do
  ruleset g: gfn do
    rule "populate 0" at[p] = 0 ==> begin pick[p] := g;{queue if broken else ""} at[p] := 1; end;
  end;
{rules}
  rule "populate 4" at[p] = 4 ==> begin
    present[pick[p]] := true; undefine pick[p]; filling := false; queued := queued - 1; at[p] := 0;
  end;
end;
ruleset f: fault do
  rule "fault 0" fat[f] = 0 & map_writers = 0 ==> begin map_readers := map_readers + 1; fat[f] := 1; end;
  rule "fault 1" fat[f] = 1 & queued = 0 ==> begin inv_readers := inv_readers + 1; fat[f] := 2; end;
  rule "fault 2" fat[f] = 2 ==> begin inv_readers := inv_readers - 1; fat[f] := 3; end;
  rule "fault 3" fat[f] = 3 ==> begin map_readers := map_readers - 1; fat[f] := 0; end;
end;
ruleset r: remap do
  rule "remap 0" rat[r] = 0 ==> begin map_writers := map_writers + 1; rat[r] := 1; end;
  rule "remap 1" rat[r] = 1 & map_readers = 0 & !map_written ==> begin map_written := true; rat[r] := 2; end;
  rule "remap 2" rat[r] = 2 ==> begin map_written := false; map_writers := map_writers - 1; rat[r] := 0; end;
end;

invariant "counted" map_writers <= {remaps};
"""


def track_and_kick(sizes: Sequence[int], *, broken: bool) -> str:
    """A zap against vCPUs that keep translations."""
    gfns, vcpus = sizes
    lagging = "(exists w: vcpu do inside[w] & !current[w] end)"
    removable = f"(blocked[pick] & tracked[pick] & !{lagging})"
    reached = "(cached[v][g] | (!removed[g] & !blocked[g]))"
    kick = "for u: vcpu do inside[u] := false; end;"
    refused = "pc := 5;" if broken else "undefine pick; pc := 0;"
    second = "" if broken else f'rule "kick again" pc = 3 ==> begin {kick} pc := 4; end;\n'
    return f"""\
type
  gfn: scalarset({gfns}); vcpu: scalarset({vcpus});
var
  removed: array[gfn] of boolean; blocked: array[gfn] of boolean; tracked: array[gfn] of boolean;
  freed: array[gfn] of boolean; cached: array[vcpu] of array[gfn] of boolean;
  inside: array[vcpu] of boolean; current: array[vcpu] of boolean; pick: gfn; pc: 0..5;

startstate begin
  for g: gfn do removed[g] := false; blocked[g] := false; tracked[g] := false; freed[g] := false; end;
  for v: vcpu do
    for g: gfn do cached[v][g] := false; end;
    inside[v] := false; current[v] := false;
  end;
  undefine pick; pc := 0;
end;

ruleset v: vcpu do
  rule "enter" !inside[v] ==> begin
    if !current[v] then for g: gfn do cached[v][g] := false; end; end;
    inside[v] := true; current[v] := true;
  end;
  rule "leave" inside[v] ==> begin inside[v] := false; end;
  ruleset g: gfn do rule "access" inside[v] & {reached} ==> begin cached[v][g] := true; end; end;
end;
ruleset g: gfn do rule "pick" pc = 0 & !removed[g] ==> begin pick := g; pc := 1; end; end;
rule "block" pc = 1 ==> begin blocked[pick] := true; tracked[pick] := false; pc := 2; end;
rule "busy" pc = 2 & {lagging} ==> begin {kick} end;
rule "track" pc = 2 & !{lagging} ==> begin
  for u: vcpu do current[u] := false; end;
  for h: gfn do tracked[h] := blocked[h]; end;
  pc := {4 if broken else 3};
end;
{second}\
rule "remove" pc = 4 & {removable} ==> begin removed[pick] := true; blocked[pick] := false; pc := 5; end;
rule "refused" pc = 4 & !{removable} ==> begin {refused} end;
rule "free" pc = 5 ==> begin freed[pick] := true; undefine pick; pc := 0; end;

invariant "not freed" forall v: vcpu do forall g: gfn do !(inside[v] & {reached} & freed[g]) end end;
"""


def update_order(sizes: Sequence[int], *, broken: bool) -> str:
    """Faults that map a large page against changes of its small ones."""
    pages, vcpus = sizes
    stale = "(busy | !fresh[v])"
    differ = "(exists g: page do shared[g] end) & (exists g: page do !shared[g] end)"
    look, finish = f"mixed := {differ};", "lock := false; busy := false; for u: vcpu do fresh[u] := false; end;"
    end = "undefine pick; want := 0; cpc := 0;"
    ending = (
        f"""\
rule "lock to end" cpc = 4 & !lock ==> begin lock := true; cpc := 5; end;
rule "end" cpc = 5 ==> begin {finish} cpc := 6; end;
rule "look" cpc = 6 ==> begin {look} {end} end;"""
        if broken
        else f"""\
rule "look" cpc = 4 ==> begin {look} cpc := 5; end;
rule "lock to end" cpc = 5 & !lock ==> begin lock := true; cpc := 6; end;
rule "end" cpc = 6 ==> begin {finish} {end} end;"""
    )
    return f"""\
type
  page: scalarset({pages}); vcpu: scalarset({vcpus}); value: 0..1;
var
  shared: array[page] of boolean; mixed: boolean; large: boolean; busy: boolean; lock: boolean;
  pc: array[vcpu] of 0..4; fresh: array[vcpu] of boolean; cpc: 0..6; pick: page; want: value;

startstate begin
  for g: page do shared[g] := false; end;
  for v: vcpu do pc[v] := 0; fresh[v] := false; end;
  mixed := false; large := false; busy := false; lock := false; cpc := 0; undefine pick; want := 0;
end;

ruleset v: vcpu do
  rule "snapshot" pc[v] = 0 ==> begin fresh[v] := true; pc[v] := 1; end;
  rule "forbidden" pc[v] = 1 & mixed ==> begin fresh[v] := false; pc[v] := 0; end;
  rule "allowed" pc[v] = 1 & !mixed ==> begin pc[v] := 2; end;
  rule "lock" pc[v] = 2 & !lock ==> begin lock := true; pc[v] := 3; end;
  rule "retry" pc[v] = 3 & {stale} ==> begin lock := false; fresh[v] := false; pc[v] := 0; end;
  rule "map" pc[v] = 3 & !{stale} ==> begin large := true; pc[v] := 4; end;
  rule "unlock" pc[v] = 4 ==> begin lock := false; fresh[v] := false; pc[v] := 0; end;
end;

ruleset g: page; k: value do rule "pick" cpc = 0 ==> begin pick := g; want := k; cpc := 1; end; end;
rule "lock to begin" cpc = 1 & !lock ==> begin lock := true; cpc := 2; end;
rule "begin" cpc = 2 ==> begin busy := true; large := false; lock := false; cpc := 3; end;
rule "store" cpc = 3 ==> begin shared[pick] := want = 1; cpc := 4; end;
{ending}

invariant "uniform" !(cpc = 0 & large & {differ});
"""


def srcu_free(sizes: Sequence[int], *, broken: bool) -> str:
    """Readers against an update that frees what they may have found."""
    vcpus, sets = sizes
    free = "live[past] := false; undefine past; pc := 0;"
    old = "pc = 2 & !isundefined(past)"
    grace = (
        f'rule "free" {old} ==> begin {free} end;'
        if broken
        else f"""\
rule "begin to wait" {old} ==> begin for u: vcpu do owed[u] := at[u] != 0; end; pc := 3; end;
rule "free" pc = 3 & !(exists w: vcpu do owed[w] end) ==> begin {free} end;"""
    )
    return f"""\
type
  vcpu: scalarset({vcpus}); slots: scalarset({sets});
var
  live: array[slots] of boolean; active: slots; fresh: slots; past: slots; pc: 0..3;
  at: array[vcpu] of 0..3; seen: array[vcpu] of slots; owed: array[vcpu] of boolean;

startstate begin
  for s: slots do live[s] := false; end;
  for v: vcpu do at[v] := 0; undefine seen[v]; owed[v] := false; end;
  undefine active; undefine fresh; undefine past; pc := 0;
end;

ruleset v: vcpu do
  rule "enter" at[v] = 0 ==> begin at[v] := 1; end;
  rule "find" at[v] = 1 ==> begin
    if isundefined(active) then undefine seen[v]; else seen[v] := active; end;
    at[v] := 2;
  end;
  rule "use" at[v] = 2 ==> begin at[v] := 3; end;
  rule "leave" at[v] = 3 ==> begin undefine seen[v]; owed[v] := false; at[v] := 0; end;
end;

ruleset s: slots do
  rule "make" pc = 0 & !live[s] ==> begin fresh := s; live[s] := true; pc := 1; end;
end;
rule "publish" pc = 1 ==> begin
  if isundefined(active) then undefine past; else past := active; end;
  active := fresh; undefine fresh; pc := 2;
end;
rule "first" pc = 2 & isundefined(past) ==> begin pc := 0; end;
{grace}

invariant "live" forall v: vcpu do at[v] = 2 & !isundefined(seen[v]) -> live[seen[v]] end;
"""


PROTOCOLS: dict[str, Callable[..., str]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
    "track_and_kick": track_and_kick,
    "update_order": update_order,
    "srcu_free": srcu_free,
}
