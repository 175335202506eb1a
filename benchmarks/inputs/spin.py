"""Promela: a process per thread, a `d_step` per command, so that Spin can leave out orders of local steps.

Claims stand as assertions at the steps that can break them; who can move at all is Spin's own check for invalid end
states. A state in which the guest would read replayed data is shown by the read, one step later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> str:
    """Page faults against a conversion."""
    gfns, vcpus = sizes
    stale = "busy" if broken else "(busy || !fresh[_pid])"
    agree = " && ".join(f"(spte[{g}] == 0 || spte[{g}] == attr[{g}] + 1)" for g in range(gfns))
    picks = "\n".join(f"        :: g = {g}" for g in range(gfns))
    begins = "\n".join(f"        :: d_step {{ g = {g}; to = {k} }}" for g in range(gfns) for k in (0, 1))
    forget = "; ".join(f"fresh[{v}] = 0" for v in range(vcpus))
    return f"""\
bit attr[{gfns}]; byte spte[{gfns}]; bool busy; bool fresh[{vcpus}]; bool lock;

active [{vcpus}] proctype fault() {{
    byte g = {gfns}; bit priv;
    do
    ::  if
{picks}
        fi;
        fresh[_pid] = 1;
        priv = attr[g];
        d_step {{ !lock -> lock = 1 }};
        if
        :: d_step {{ {stale} -> lock = 0; fresh[_pid] = 0; g = {gfns}; priv = 0 }}
        :: d_step {{ !{stale} -> spte[g] = priv + 1; assert(busy || spte[g] == attr[g] + 1) }};
           d_step {{ lock = 0; fresh[_pid] = 0; g = {gfns}; priv = 0 }}
        fi
    od
}}

active proctype convert() {{
    byte g = {gfns}; bit to;
    do
    ::  if
{begins}
        fi;
        d_step {{ !lock -> lock = 1 }};
        busy = 1;
        d_step {{ spte[g] = 0; lock = 0 }};
        attr[g] = to;
        d_step {{ !lock -> lock = 1 }};
        d_step {{ busy = 0; lock = 0; {forget}; g = {gfns}; to = 0; assert({agree}) }}
    od
}}
"""


def snp_remap(sizes: Sequence[int], *, broken: bool) -> str:
    """A host that remaps at will against a guest that validates."""
    gfns, pfns = sizes
    host = [
        f"d_step {{ validated[{p}] = 0; if :: owner[{p}] != {to} -> latest[{p}] = 0 :: else fi; owner[{p}] = {to} }}"
        for p in range(pfns)
        for to in range(gfns + 1)
    ]
    host += [f"npt[{g}] = {page}" for g in range(gfns) for page in range(pfns + 1)]
    at_will = "\n".join(f"    :: {step}" for step in host)
    guest = []
    for g in range(gfns):
        assigned = f"npt[{g}] != {pfns} && owner[npt[{g}]] == {g}"
        stale = "; ".join(f"if :: owner[{q}] == {g} -> latest[{q}] = 0 :: else fi" for q in range(pfns))
        guest += [
            f"    :: d_step {{ {assigned} && !validated[npt[{g}]] -> pick = {g} }}; goto unvalidated",
            f"    :: d_step {{ {assigned} && validated[npt[{g}]] -> {stale}; latest[npt[{g}]] = 1; written[{g}] = 1 }}",
            f"    :: d_step {{ {assigned} && validated[npt[{g}]] -> assert(!written[{g}] || latest[npt[{g}]]) }}",
        ]
    access = "\n".join(guest)
    walk = f"npt[pick] != {pfns} && owner[npt[pick]] == pick"
    stop = "" if broken else f"    :: d_step {{ accepted[pick] -> pick = {gfns} }}; goto stopped\n"
    go = "true" if broken else "!accepted[pick]"
    nothing, unmapped = (", ".join([str(n)] * k) for n, k in ((gfns, pfns), (pfns, gfns)))
    return f"""\
byte owner[{pfns}] = {{ {nothing} }}; bool validated[{pfns}]; bool latest[{pfns}];
byte npt[{gfns}] = {{ {unmapped} }}; bool accepted[{gfns}]; bool written[{gfns}]; byte pick = {gfns};

active proctype host() {{
end:
    do
{at_will}
    od
}}

active proctype guest() {{
end:
    do
{access}
    od;
unvalidated:
    if
{stop}    :: d_step {{ {go} ->
            if :: {walk} -> validated[npt[pick]] = 1 :: else fi;
            accepted[pick] = 1; pick = {gfns} }}; goto end
    fi;
stopped:
endstop:
    false
}}
"""


def populate_locking(sizes: Sequence[int], *, broken: bool) -> str:
    """Populate, user faults and remaps; locks as counters, which cost an explicit search nothing."""
    populates, faults, remaps, gfns = sizes
    queue = "; filling_or_waiting++" if broken else ""
    picks = "\n".join(f"        :: d_step {{ g = {g}{queue} }}" for g in range(gfns))
    take, read, done = (
        "d_step { !filling && inv_readers == 0 -> filling = 1 }",
        "d_step { map_writers == 0 -> map_readers++ }",
        "map_readers--",
    )
    middle = [take, read, done] if broken else [read, f"d_step {{ {done}; filling_or_waiting++ }}", take]
    steps = "\n".join(f"        {s};" for s in middle)
    return f"""\
bool present[{gfns}]; byte map_readers, map_writers, inv_readers, filling_or_waiting; bool map_written, filling;

active [{populates}] proctype populate() {{
    byte g = {gfns};
    do
    ::  if
{picks}
        fi;
{steps}
        d_step {{ present[g] = 1; g = {gfns}; filling = 0; filling_or_waiting-- }}
    od
}}

active [{faults}] proctype fault() {{
    do
    ::  d_step {{ map_writers == 0 -> map_readers++ }};
        d_step {{ filling_or_waiting == 0 -> inv_readers++ }};
        inv_readers--;
        map_readers--
    od
}}

active [{remaps}] proctype remap() {{
    do
    ::  map_writers++;
        d_step {{ map_readers == 0 && !map_written -> map_written = 1 }};
        d_step {{ map_written = 0; map_writers-- }}
    od
}}
"""


def track_and_kick(sizes: Sequence[int], *, broken: bool) -> str:
    """A zap against vCPUs that keep translations."""
    gfns, vcpus = sizes
    lagging = "(" + " || ".join(f"(inside[{v}] && !current[{v}])" for v in range(vcpus)) + ")"
    removable = f"(blocked[g] && tracked[g] && !{lagging})"
    kick = "; ".join(f"inside[{v}] = 0" for v in range(vcpus))
    track = "; ".join(
        [f"current[{v}] = 0" for v in range(vcpus)] + [f"tracked[{g}] = blocked[{g}]" for g in range(gfns)]
    )

    def reached(v: str, g: str) -> str:
        return f"(cached[{v} * {gfns} + {g}] || (!removed[{g}] && !blocked[{g}]))"

    flush = "; ".join(f"cached[_pid * {gfns} + {g}] = 0" for g in range(gfns))
    unseen = " && ".join(f"!(freed[{g}] && {reached('_pid', str(g))})" for g in range(gfns))
    gone = " && ".join(f"!(inside[{v}] && {reached(str(v), 'g')})" for v in range(vcpus))
    access = "\n".join(
        f"    ::  d_step {{ inside[_pid] && {reached('_pid', str(g))} -> cached[_pid * {gfns} + {g}] = 1 }}"
        for g in range(gfns)
    )
    picks = "\n".join(f"        :: d_step {{ !removed[{g}] -> g = {g} }}" for g in range(gfns))
    kicked = "" if broken else f" d_step {{ {kick} }};"  # within the loop: it may not be left for a d_step
    free = f"d_step {{ freed[g] = 1; assert({gone}); g = {gfns} }}"
    refused = f"skip }}; {free}" if broken else f"g = {gfns} }}"
    return f"""\
bool removed[{gfns}]; bool blocked[{gfns}]; bool tracked[{gfns}]; bool freed[{gfns}];
bool cached[{gfns * vcpus}]; bool inside[{vcpus}]; bool current[{vcpus}];

active [{vcpus}] proctype vcpu() {{
    do
    ::  d_step {{ !inside[_pid] ->
            if :: !current[_pid] -> {flush} :: else fi;
            inside[_pid] = 1; current[_pid] = 1; assert({unseen}) }}
    ::  d_step {{ inside[_pid] -> inside[_pid] = 0 }}
{access}
    od
}}

active proctype zap() {{
    byte g = {gfns};
    do
    ::  if
{picks}
        fi;
        d_step {{ blocked[g] = 1; tracked[g] = 0 }};
        do
        :: d_step {{ {lagging} -> {kick} }}
        :: d_step {{ !{lagging} -> {track} }};{kicked} break
        od;
        if
        :: d_step {{ {removable} -> removed[g] = 1; blocked[g] = 0 }}; {free}
        :: d_step {{ !{removable} -> {refused}
        fi
    od
}}
"""


def update_order(sizes: Sequence[int], *, broken: bool) -> str:
    """Faults that map a large page against changes of its small ones."""
    pages, vcpus = sizes
    stale = "(busy || !fresh[_pid])"
    some = " || ".join(f"shared[{g}]" for g in range(pages))
    every = " && ".join(f"shared[{g}]" for g in range(pages))
    differ = f"(({some}) && !({every}))"
    forget = "; ".join(f"fresh[{v}] = 0" for v in range(vcpus))
    begins = "\n".join(f"        :: d_step {{ g = {g}; to = {k}; changing = 1 }}" for g in range(pages) for k in (0, 1))
    look, finish = f"mixed = {differ}", f"busy = 0; lock = 0; {forget}"
    end = f"g = {pages}; to = 0; changing = 0; assert(!(large && {differ}))"
    take = "d_step { !lock -> lock = 1 }"
    ending = (
        [take, f"d_step {{ {finish} }}", f"d_step {{ {look}; {end} }}"]
        if broken
        else [look, take, f"d_step {{ {finish}; {end} }}"]
    )
    steps = ";\n".join(f"        {s}" for s in ending)
    return f"""\
bool shared[{pages}]; bool mixed, large, busy, lock, changing; bool fresh[{vcpus}];

active [{vcpus}] proctype fault() {{
    do
    ::  fresh[_pid] = 1;
        if
        :: d_step {{ mixed -> fresh[_pid] = 0 }}
        :: !mixed ->
            {take};
            if
            :: d_step {{ {stale} -> lock = 0; fresh[_pid] = 0 }}
            :: d_step {{ !{stale} -> large = 1; assert(changing || !{differ}) }};
               d_step {{ lock = 0; fresh[_pid] = 0 }}
            fi
        fi
    od
}}

active proctype change() {{
    byte g = {pages}; bit to;
    do
    ::  if
{begins}
        fi;
        {take};
        d_step {{ busy = 1; large = 0; lock = 0 }};
        shared[g] = to;
{steps}
    od
}}
"""


def srcu_free(sizes: Sequence[int], *, broken: bool) -> str:
    """Readers against an update that frees what they may have found; its use is what shows that it is gone."""
    vcpus, sets = sizes
    free = f"live[past] = 0; past = {sets}"
    owed = "; ".join(f"owed[{v}] = inside[{v}]" for v in range(vcpus))
    waits = " || ".join(f"owed[{v}]" for v in range(vcpus))
    makes = "\n".join(f"        :: d_step {{ !live[{s}] -> fresh = {s}; live[{s}] = 1 }}" for s in range(sets))
    grace = (
        f"d_step {{ past != {sets} -> {free} }}"
        if broken
        else f"d_step {{ past != {sets} -> {owed} }}; d_step {{ !({waits}) -> {free} }}"
    )
    return f"""\
bool live[{sets}]; byte active_ = {sets}; bool inside[{vcpus}]; bool owed[{vcpus}];

active [{vcpus}] proctype read() {{
    byte seen = {sets};
    do
    ::  inside[_pid] = 1;
        seen = active_;
        assert(seen == {sets} || live[seen]);
        d_step {{ inside[_pid] = 0; owed[_pid] = 0; seen = {sets} }}
    od
}}

active proctype update() {{
    byte fresh = {sets}, past = {sets};
    do
    ::  if
{makes}
        fi;
        d_step {{ past = active_; active_ = fresh; fresh = {sets} }};
        if
        :: past == {sets}
        :: {grace}
        fi
    od
}}
"""


PROTOCOLS: dict[str, Callable[..., str]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
    "track_and_kick": track_and_kick,
    "update_order": update_order,
    "srcu_free": srcu_free,
}
