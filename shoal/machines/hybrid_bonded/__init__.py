"""A mesh of tiles bonded to DRAM of their own: attention over pages that lie on them, in time, energy and values."""

from shoal.machines.hybrid_bonded._balance import Shares, balanced, dealt, grouped, loads_of, packed, split
from shoal.machines.hybrid_bonded._layouts import co_placed, interleaved, one_head_one_tile
from shoal.machines.hybrid_bonded._partials import best_pages, stores
from shoal.machines.hybrid_bonded.contract import HeadShape, Laid, Ran, Reading, together
from shoal.machines.hybrid_bonded.hybrid_bonded import HybridBonded

__all__ = [
    "HeadShape",
    "HybridBonded",
    "Laid",
    "Ran",
    "Reading",
    "Shares",
    "balanced",
    "best_pages",
    "co_placed",
    "dealt",
    "grouped",
    "interleaved",
    "loads_of",
    "one_head_one_tile",
    "packed",
    "split",
    "stores",
    "together",
]
