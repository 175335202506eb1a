"""Verilog, for Yosys and then ABC: a clocked circuit that takes one command per tick, or none.

Inputs choose who moves and with which choice. Who holds a lock is derived from where the threads stand, never counted:
a prover need not learn what a counter means. The output ``bad`` is the claim's negation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def width(count: int) -> int:
    """Bits for the numbers below ``count``."""
    return max(1, (count - 1).bit_length())


def _any(terms: Iterable[str]) -> str:
    return " | ".join(f"({t})" for t in terms) or "1'b0"


def _pick(name: str, key: str, count: int) -> str:
    """``name_KEY`` as a chain of choices."""
    text = f"{name}_{count - 1}"
    for k in reversed(range(count - 1)):
        text = f"({key} == {k}) ? {name}_{k} : {text}"
    return f"({text})"


def fault_vs_conversion(sizes: Sequence[int], *, broken: bool) -> str:
    """Page faults against a conversion."""
    gfns, vcpus = sizes
    gw, sw = width(gfns), width(vcpus + 1)
    held = _any([f"pc_{v} == 4 || pc_{v} == 5" for v in range(vcpus)] + ["cpc == 2 || cpc == 3 || cpc == 6"])
    declared = "\n".join(
        f"  reg [2:0] pc_{v} = 0; reg [{gw - 1}:0] pick_{v} = 0; reg priv_{v} = 0;" for v in range(vcpus)
    )
    faults = ""
    for v in range(vcpus):
        stale = "busy" if broken else f"busy | ~fresh[{v}]"
        drop = f"fresh[{v}] <= 0; pc_{v} <= 0; pick_{v} <= 0; priv_{v} <= 0;"
        faults += f"""\
    if (sel == {v}) case (pc_{v})
      0: if (g < {gfns}) begin pick_{v} <= g; pc_{v} <= 1; end
      1: begin fresh[{v}] <= 1; pc_{v} <= 2; end
      2: begin priv_{v} <= attr[pick_{v}]; pc_{v} <= 3; end
      3: if (!held) pc_{v} <= 4;
      4: if ({stale}) begin {drop} end
         else begin mapped[pick_{v}] <= 1; entry[pick_{v}] <= priv_{v}; pc_{v} <= 5; end
      5: begin {drop} end
    endcase
"""
    return f"""\
module top(input clk, input [{sw - 1}:0] sel, input [{gw}:0] g, input to, output bad);
  reg [{gfns - 1}:0] attr = 0; reg [{gfns - 1}:0] mapped = 0; reg [{gfns - 1}:0] entry = 0;
  reg busy = 0; reg [{vcpus - 1}:0] fresh = 0;
{declared}
  reg [2:0] cpc = 0; reg [{gw - 1}:0] cpick = 0; reg cto = 0;
  wire held = {held};
  assign bad = ~busy & |(mapped & (entry ^ attr));
  always @(posedge clk) begin
{faults}\
    if (sel == {vcpus}) case (cpc)
      0: if (g < {gfns}) begin cpick <= g; cto <= to; cpc <= 1; end
      1: if (!held) cpc <= 2;
      2: begin busy <= 1; cpc <= 3; end
      3: begin mapped[cpick] <= 0; entry[cpick] <= 0; cpc <= 4; end
      4: begin attr[cpick] <= cto; cpc <= 5; end
      5: if (!held) cpc <= 6;
      6: begin busy <= 0; fresh <= 0; cpick <= 0; cto <= 0; cpc <= 0; end
    endcase
  end
endmodule
"""


def snp_remap(sizes: Sequence[int], *, broken: bool) -> str:
    """A host that remaps at will against a guest that validates."""
    gfns, pfns = sizes
    gw, pw = width(gfns + 1), width(pfns + 1)

    # Zero stands for "none", so that every register begins at zero: member k is the number k + 1.
    owners = "\n".join(f"  reg [{gw - 1}:0] owner_{p} = 0;" for p in range(pfns))
    maps = "\n".join(f"  reg [{pw - 1}:0] npt_{g} = 0;" for g in range(gfns))
    host = "\n".join(
        f"    if (op == 0 && p == {p + 1} && to <= {gfns}) begin validated[{p}] <= 0; owner_{p} <= to; "
        f"if (owner_{p} != to) latest[{p}] <= 0; end"
        for p in range(pfns)
    )
    host += "\n" + "\n".join(f"    if (op == 1 && to == {g + 1} && p <= {pfns}) npt_{g} <= p;" for g in range(gfns))
    down = list(reversed(range(pfns)))
    hits = "\n".join(
        f"  wire [{pfns - 1}:0] {name}_{g} = {{{', '.join(test.format(g=g, p=p, n=p + 1, m=g + 1) for p in down)}}};"
        for g in range(gfns)
        for name, test in (("hit", "npt_{g} == {n} && owner_{p} == {m}"), ("mine", "owner_{p} == {m}"))
    )
    access = "\n".join(
        f"    if (op == 2 && pc == 0 && to == {g + 1}) begin\n"
        f"      if (|(hit_{g} & ~validated)) begin pick <= {g + 1}; pc <= 1; end\n"
        f"      if (|(hit_{g} & validated)) begin latest <= (latest & ~mine_{g}) | hit_{g}; written[{g}] <= 1; end\n"
        "    end"
        for g in range(gfns)
    )
    stop = "1'b0" if broken else _any(f"pick == {g + 1} && accepted[{g}]" for g in range(gfns))
    validate = "\n".join(
        f"      if (pick == {g + 1}) begin validated <= validated | hit_{g}; accepted[{g}] <= 1; end"
        for g in range(gfns)
    )
    bad = _any(f"written[{g}] & |(hit_{g} & validated & ~latest)" for g in range(gfns))
    return f"""\
module top(input clk, input [1:0] op, input [{pw - 1}:0] p, input [{gw - 1}:0] to, output bad);
{owners}
{maps}
  reg [{pfns - 1}:0] validated = 0; reg [{pfns - 1}:0] latest = 0;
  reg [{gfns - 1}:0] accepted = 0; reg [{gfns - 1}:0] written = 0;
  reg [1:0] pc = 0; reg [{gw - 1}:0] pick = 0;
{hits}
  assign bad = (pc == 0) & ({bad});
  wire stop = {stop};
  always @(posedge clk) begin
{host}
{access}
    if (op == 2 && pc == 1 && stop) begin pick <= 0; pc <= 2; end
    if (op == 2 && pc == 1 && !stop) begin
{validate}
      pick <= 0; pc <= 0;
    end
  end
endmodule
"""


def populate_locking(sizes: Sequence[int], *, broken: bool) -> str:
    """Populate, user faults and remaps."""
    populates, faults, remaps, gfns = sizes
    gw, sw = width(gfns), width(populates + faults + remaps)
    reading, waiting, filling = ((3,), (1,), (2, 3, 4)) if broken else ((2,), (3,), (4,))

    def among(name: str, count: int, places: Iterable[int]) -> str:
        return _any(f"{name}_{k} == {n}" for k in range(count) for n in places)

    declared = "\n".join(
        [f"  reg [2:0] p_{k} = 0; reg [{gw - 1}:0] pick_{k} = 0;" for k in range(populates)]
        + [f"  reg [1:0] f_{k} = 0;" for k in range(faults)]
        + [f"  reg [1:0] r_{k} = 0;" for k in range(remaps)]
    )
    guards = ["1", "fillable", "no_writer", "1"] if broken else ["1", "no_writer", "1", "fillable"]
    steps = ""
    for k in range(populates):
        steps += f"    if (sel == {k}) case (p_{k})\n"
        steps += f"      0: if (g < {gfns}) begin pick_{k} <= g; p_{k} <= 1; end\n"
        steps += "".join(f"      {n}: if ({guards[n]}) p_{k} <= {n + 1};\n" for n in (1, 2, 3))
        steps += f"      4: begin present[pick_{k}] <= 1; pick_{k} <= 0; p_{k} <= 0; end\n    endcase\n"
    for k in range(faults):
        steps += f"    if (sel == {populates + k}) case (f_{k})\n      0: if (no_writer) f_{k} <= 1;\n"
        steps += f"      1: if (readable) f_{k} <= 2;\n      2: f_{k} <= 3;\n      3: f_{k} <= 0;\n    endcase\n"
    for k in range(remaps):
        steps += f"    if (sel == {populates + faults + k}) case (r_{k})\n      0: r_{k} <= 1;\n"
        steps += f"      1: if (writable) r_{k} <= 2;\n      2: r_{k} <= 0;\n    endcase\n"
    blocked = {"1": "0", "fillable": "!fillable", "no_writer": "!no_writer"}
    stuck = [f"({_any(f'p_{k} == {n} && {blocked[guards[n]]}' for n in (1, 2, 3))})" for k in range(populates)]
    stuck += [f"((f_{k} == 0 && !no_writer) || (f_{k} == 1 && !readable))" for k in range(faults)]
    stuck += [f"(r_{k} == 1 && !writable)" for k in range(remaps)]
    return f"""\
module top(input clk, input [{sw - 1}:0] sel, input [{gw}:0] g, output bad);
{declared}
  reg [{gfns - 1}:0] present = 0;
  wire no_writer = !({among("r", remaps, (1, 2))});
  wire no_reader = !({among("p", populates, reading)} | {among("f", faults, (1, 2, 3))});
  wire writable = no_reader && !({among("r", remaps, (2,))});
  wire fillable = !({among("p", populates, filling)}) && !({among("f", faults, (2,))});
  wire readable = !({among("p", populates, (*waiting, *filling))});
  assign bad = {" && ".join(stuck)};
  always @(posedge clk) begin
{steps}\
  end
endmodule
"""


def track_and_kick(sizes: Sequence[int], *, broken: bool) -> str:
    """A zap against vCPUs that keep translations."""
    gfns, vcpus = sizes
    gw, sw = width(gfns), width(vcpus + 1)
    declared = "\n".join(f"  reg [{gfns - 1}:0] cached_{v} = 0;" for v in range(vcpus))
    reached = "\n".join(
        f"  wire [{gfns - 1}:0] reached_{v} = cached_{v} | (~removed & ~blocked);" for v in range(vcpus)
    )
    bad = _any(f"inside[{v}] & |(freed & reached_{v})" for v in range(vcpus))
    runs = "".join(
        f"""\
    if (sel == {v}) case (op)
      0: if (!inside[{v}]) begin
           if (!current[{v}]) cached_{v} <= 0;
           inside[{v}] <= 1; current[{v}] <= 1;
         end
      1: inside[{v}] <= 0;
      2: if (inside[{v}] && g < {gfns}) cached_{v} <= cached_{v} | (reached_{v} & one);
    endcase
"""
        for v in range(vcpus)
    )
    refused = "pc <= 5;" if broken else "begin pick <= 0; pc <= 0; end"
    second = "" if broken else "      3: begin inside <= 0; pc <= 4; end\n"
    return f"""\
module top(input clk, input [{sw - 1}:0] sel, input [1:0] op, input [{gw}:0] g, output bad);
  reg [{gfns - 1}:0] removed = 0; reg [{gfns - 1}:0] blocked = 0;
  reg [{gfns - 1}:0] tracked = 0; reg [{gfns - 1}:0] freed = 0;
{declared}
  reg [{vcpus - 1}:0] inside = 0; reg [{vcpus - 1}:0] current = 0;
  reg [2:0] pc = 0; reg [{gw - 1}:0] pick = 0;
{reached}
  wire [{gfns - 1}:0] one = {gfns}'d1 << g;
  wire lagging = |(inside & ~current);
  wire removable = blocked[pick] & tracked[pick] & ~lagging;
  assign bad = {bad};
  always @(posedge clk) begin
{runs}\
    if (sel == {vcpus}) case (pc)
      0: if (g < {gfns} && !removed[g]) begin pick <= g; pc <= 1; end
      1: begin blocked[pick] <= 1; tracked[pick] <= 0; pc <= 2; end
      2: if (lagging) inside <= 0;
         else begin current <= 0; tracked <= blocked; pc <= {4 if broken else 3}; end
{second}\
      4: if (removable) begin removed[pick] <= 1; blocked[pick] <= 0; pc <= 5; end
         else {refused}
      5: begin freed[pick] <= 1; pick <= 0; pc <= 0; end
    endcase
  end
endmodule
"""


def update_order(sizes: Sequence[int], *, broken: bool) -> str:
    """Faults that map a large page against changes of its small ones."""
    pages, vcpus = sizes
    gw, sw = width(pages), width(vcpus + 1)
    ending = 5 if broken else 6
    held = _any([f"pc_{v} == 3 || pc_{v} == 4" for v in range(vcpus)] + [f"cpc == 2 || cpc == {ending}"])
    declared = "\n".join(f"  reg [2:0] pc_{v} = 0;" for v in range(vcpus))
    faults = "".join(
        f"""\
    if (sel == {v}) case (pc_{v})
      0: begin fresh[{v}] <= 1; pc_{v} <= 1; end
      1: if (mixed) begin fresh[{v}] <= 0; pc_{v} <= 0; end else pc_{v} <= 2;
      2: if (!held) pc_{v} <= 3;
      3: if (busy | ~fresh[{v}]) begin fresh[{v}] <= 0; pc_{v} <= 0; end
         else begin large <= 1; pc_{v} <= 4; end
      4: begin fresh[{v}] <= 0; pc_{v} <= 0; end
    endcase
"""
        for v in range(vcpus)
    )
    look, finish, end = "mixed <= differ;", "busy <= 0; fresh <= 0;", "pick <= 0; value <= 0; cpc <= 0;"
    last = (
        f"""\
      4: if (!held) cpc <= 5;
      5: begin {finish} cpc <= 6; end
      6: begin {look} {end} end"""
        if broken
        else f"""\
      4: begin {look} cpc <= 5; end
      5: if (!held) cpc <= 6;
      6: begin {finish} {end} end"""
    )
    return f"""\
module top(input clk, input [{sw - 1}:0] sel, input [{gw}:0] g, input to, output bad);
  reg [{pages - 1}:0] shared = 0; reg mixed = 0; reg large = 0; reg busy = 0; reg [{vcpus - 1}:0] fresh = 0;
{declared}
  reg [2:0] cpc = 0; reg [{gw - 1}:0] pick = 0; reg value = 0;
  wire held = {held};
  wire differ = |shared & ~&shared;
  assign bad = (cpc == 0) & large & differ;
  always @(posedge clk) begin
{faults}\
    if (sel == {vcpus}) case (cpc)
      0: if (g < {pages}) begin pick <= g; value <= to; cpc <= 1; end
      1: if (!held) cpc <= 2;
      2: begin busy <= 1; large <= 0; cpc <= 3; end
      3: begin shared[pick] <= value; cpc <= 4; end
{last}
    endcase
  end
endmodule
"""


def srcu_free(sizes: Sequence[int], *, broken: bool) -> str:
    """Readers against an update that frees what they may have found; a set is a bit of its own, none is zero."""
    vcpus, sets = sizes
    sw, gw = width(vcpus + 1), width(sets)
    declared = "\n".join(f"  reg [1:0] at_{v} = 0; reg [{sets - 1}:0] seen_{v} = 0;" for v in range(vcpus))
    bad = _any(f"at_{v} == 2 & |(seen_{v} & ~live)" for v in range(vcpus))
    reads = "".join(
        f"""\
    if (sel == {v}) case (at_{v})
      0: at_{v} <= 1;
      1: begin seen_{v} <= active; at_{v} <= 2; end
      2: at_{v} <= 3;
      3: begin seen_{v} <= 0; owed[{v}] <= 0; at_{v} <= 0; end
    endcase
"""
        for v in range(vcpus)
    )
    inside = ", ".join(f"at_{v} != 0" for v in reversed(range(vcpus)))
    free = "begin live <= live & ~past; past <= 0; pc <= 0; end"
    grace = (
        f"      2: if (past == 0) pc <= 0; else {free}"
        if broken
        else f"""\
      2: if (past == 0) pc <= 0; else begin owed <= {{{inside}}}; pc <= 3; end
      3: if (owed == 0) {free}"""
    )
    return f"""\
module top(input clk, input [{sw - 1}:0] sel, input [{gw}:0] s, output bad);
  reg [{sets - 1}:0] live = 0; reg [{sets - 1}:0] active = 0; reg [{sets - 1}:0] fresh = 0; reg [{sets - 1}:0] past = 0;
  reg [{vcpus - 1}:0] owed = 0; reg [1:0] pc = 0;
{declared}
  wire [{sets - 1}:0] one = {sets}'d1 << s;
  assign bad = {bad};
  always @(posedge clk) begin
{reads}\
    if (sel == {vcpus}) case (pc)
      0: if (s < {sets} && !live[s]) begin fresh <= one; live <= live | one; pc <= 1; end
      1: begin past <= active; active <= fresh; fresh <= 0; pc <= 2; end
{grace}
    endcase
  end
endmodule
"""


PROTOCOLS: dict[str, Callable[..., str]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
    "track_and_kick": track_and_kick,
    "update_order": update_order,
    "srcu_free": srcu_free,
}
