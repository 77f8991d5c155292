"""Simulated hardware that is not here: seconds of kernels from a machine's structure, one machine a file; gates and energy."""

from shoal.machines._energy import EnergyRow, energy, energy_table
from shoal.machines._mac import Cells, MacCost, mac_cost, operation
from shoal.machines.contract import Machine, MachineTimes, machine_samples
from shoal.machines.dataflow import Dataflow
from shoal.machines.gpu import Gpu

__all__ = [
    "Cells",
    "Dataflow",
    "EnergyRow",
    "Gpu",
    "MacCost",
    "Machine",
    "MachineTimes",
    "energy",
    "energy_table",
    "mac_cost",
    "machine_samples",
    "operation",
]
