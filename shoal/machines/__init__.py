"""Simulated hardware that is not here: seconds of kernels from a machine's structure; steps on a mesh of tiles; gates and energy."""

from shoal.machines._area import AreaRow, area, area_table
from shoal.machines._bill import Price, bill
from shoal.machines._described import Figure, described, figures, figures_of, title
from shoal.machines._energy import EnergyRow, energy, energy_table
from shoal.machines._fixed import Fixed
from shoal.machines._mac import Cells, MacCost, mac_cost, operation
from shoal.machines._mesh import Link, Mesh
from shoal.machines._steps import Compute, Passed, Send, Step, Store, passed
from shoal.machines.contract import Machine, MachineTimes, machine_samples
from shoal.machines.dataflow import Dataflow
from shoal.machines.gpu import Gpu

__all__ = [
    "AreaRow",
    "Cells",
    "Compute",
    "Dataflow",
    "EnergyRow",
    "Figure",
    "Fixed",
    "Gpu",
    "Link",
    "MacCost",
    "Machine",
    "MachineTimes",
    "Mesh",
    "Passed",
    "Price",
    "Send",
    "Step",
    "Store",
    "area",
    "area_table",
    "bill",
    "described",
    "energy",
    "energy_table",
    "figures",
    "figures_of",
    "mac_cost",
    "machine_samples",
    "operation",
    "passed",
    "title",
]
