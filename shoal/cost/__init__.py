"""What a plan would cost in seconds, joules and bytes, and what a run did cost."""

from shoal.cost.account import About, Match, account, period_s
from shoal.cost.conserve import check_conserved, elapsed_s, faults
from shoal.cost.contract import CostKey, CostModel, Costs, Traffic
from shoal.cost.energy import as_busy, busy_energy_j, device_energy_j, transfer_energy_j
from shoal.cost.features import Fit, Fits, Hints, KernelTimes, fit_kernels
from shoal.cost.handling import WAYS, Handling, handling_of, traffic, way_of
from shoal.cost.memory import (
    Footprint,
    buffers_bytes,
    footprint,
    runtime_bytes,
    states_bytes,
    unit_bytes,
    weights_factor,
)
from shoal.cost.pace import hops, hops_between, pace
from shoal.cost.roofs import Roof, roofs_here
from shoal.cost.scaled import ScaledCosts

__all__ = [
    "WAYS",
    "About",
    "CostKey",
    "CostModel",
    "Costs",
    "Fit",
    "Fits",
    "Footprint",
    "Handling",
    "Hints",
    "KernelTimes",
    "Match",
    "Roof",
    "ScaledCosts",
    "Traffic",
    "account",
    "as_busy",
    "buffers_bytes",
    "busy_energy_j",
    "check_conserved",
    "device_energy_j",
    "elapsed_s",
    "faults",
    "fit_kernels",
    "footprint",
    "handling_of",
    "hops",
    "hops_between",
    "pace",
    "period_s",
    "roofs_here",
    "runtime_bytes",
    "states_bytes",
    "traffic",
    "transfer_energy_j",
    "unit_bytes",
    "way_of",
    "weights_factor",
]
