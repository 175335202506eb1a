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


PROTOCOLS: dict[str, Callable[..., str]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
}
