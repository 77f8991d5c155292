"""Arrays of coarse units that are told anew each cycle, and their compiler: loops as graphs, motifs, mapping, execution, silicon.

What a loop takes in hardware, from the same tables: `on_array(mapped(graph, fabric))` on an array, `as_datapath(graph)` as a
circuit of its own. Both give a `Silicon` with `area_mm2`, `iteration_j`, `static_w` and `ii`.
"""

from shoal.machines.cgra._execute import Moved, executed
from shoal.machines.cgra._fabric import Fabric, conventional, plaid, separate, spatial
from shoal.machines.cgra._graph import Dataflow, Edge, Live, Node, Read, Scalar, reach
from shoal.machines.cgra._kernels import KERNELS, Kernel, kernel
from shoal.machines.cgra._mapper import Mapping, mapped
from shoal.machines.cgra._motifs import Motif, coverage, exact, greedy
from shoal.machines.cgra._pieces import Cut, cut
from shoal.machines.cgra._silicon import (
    CELLS,
    EVENTS,
    Silicon,
    array_cells,
    as_datapath,
    configuration_bits,
    event_row,
    on_array,
)
from shoal.machines.cgra._trace import traced
from shoal.machines.cgra._vector import evaluated

__all__ = [
    "CELLS",
    "EVENTS",
    "KERNELS",
    "Cut",
    "Dataflow",
    "Edge",
    "Fabric",
    "Kernel",
    "Live",
    "Mapping",
    "Motif",
    "Moved",
    "Node",
    "Read",
    "Scalar",
    "Silicon",
    "array_cells",
    "as_datapath",
    "configuration_bits",
    "conventional",
    "coverage",
    "cut",
    "evaluated",
    "event_row",
    "exact",
    "executed",
    "greedy",
    "kernel",
    "mapped",
    "on_array",
    "plaid",
    "reach",
    "separate",
    "spatial",
    "traced",
]
