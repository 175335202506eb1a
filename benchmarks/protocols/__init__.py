"""The protocols of the benchmarks, one per module, each a function of its sizes and of whether it is the broken one."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.guarded import Flat
from benchmarks.protocols.fault_vs_conversion import fault_vs_conversion
from benchmarks.protocols.populate_locking import populate_locking
from benchmarks.protocols.snp_remap import snp_remap
from benchmarks.protocols.srcu_free import srcu_free
from benchmarks.protocols.track_and_kick import track_and_kick
from benchmarks.protocols.update_order import update_order

PROTOCOLS: dict[str, Callable[..., Flat]] = {
    "fault_vs_conversion": fault_vs_conversion,
    "snp_remap": snp_remap,
    "populate_locking": populate_locking,
    "track_and_kick": track_and_kick,
    "update_order": update_order,
    "srcu_free": srcu_free,
}
