"""Kernels as circuits of their own and on one array, both with a buffer for their data: area, energy, interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from shoal.cost.carbon import Kernel
from shoal.machines import area, energy
from shoal.machines.cgra import (
    Dataflow,
    Fabric,
    Silicon,
    as_datapath,
    configuration_bits,
    conventional,
    kernel,
    mapped,
    on_array,
    plaid,
)

FABRICS: Mapping[str, Callable[[], Fabric]] = {"plaid": plaid, "conventional": conventional}
TABLE_BYTES, TABLE_BITS = 8192, 64  # of the memory in the table of energies


@dataclass(frozen=True)
class Circuits:
    """One kernel in both forms."""

    name: str
    graph: Dataflow
    array: Fabric
    alone: Silicon
    shared: Silicon


@dataclass(frozen=True)
class Terms:
    """What is asked of both forms alike."""

    buffer_bytes: int  # of each accelerator, and of the array
    iterations: int  # from configuration to configuration
    clock_hz: float = 1e9

    @property
    def buffer_mm2(self) -> float:
        """Of one buffer."""
        return 8 * self.buffer_bytes * area("sram bit").area_mm2

    def access_j(self, bits: int) -> float:
        """Reading or writing a buffer; the table's 8 and 32 KB differ as the roots of their sizes."""
        row = energy(f"sram {TABLE_BYTES // 1024} KB", "read", TABLE_BITS)
        return row.energy_j * bits / TABLE_BITS * sqrt(self.buffer_bytes / TABLE_BYTES)


def circuits(names: Sequence[str], array: Fabric, seed: int) -> tuple[Circuits, ...]:
    """Each kernel as a circuit of its own, and mapped to the array."""
    graphs = {name: kernel(name).graph() for name in names}
    return tuple(
        Circuits(name, graph, array, as_datapath(graph), on_array(mapped(graph, array, seed=seed)))
        for name, graph in graphs.items()
    )


def kernels(made: Sequence[Circuits], terms: Terms) -> tuple[Kernel, ...]:
    """Each kernel in mm², joules an iteration and seconds an iteration; runs are iterations."""
    return tuple(
        Kernel(
            each.name,
            area=each.alone.area_mm2 + terms.buffer_mm2,
            energy=_iteration_j(each.graph, each.alone, terms),
            fabric_area=each.shared.area_mm2 + terms.buffer_mm2,
            fabric_energy=_iteration_j(each.graph, each.shared, terms)
            + configured_j(each.array, each.shared.ii) / terms.iterations,
            time=each.alone.ii / terms.clock_hz,
            fabric_time=each.shared.ii / terms.clock_hz,
        )
        for each in made
    )


def configured_j(array: Fabric, contexts: int) -> float:
    """Telling the array a kernel: its configurations are read from a memory like the buffer and written."""
    bits = configuration_bits(array) * contexts
    row = energy(f"sram {TABLE_BYTES // 1024} KB", "read", TABLE_BITS)
    return bits * (row.energy_j / TABLE_BITS + energy("configuration memory", "read", 1).energy_j)


def _iteration_j(graph: Dataflow, silicon: Silicon, terms: Terms) -> float:
    """With the data's way to and from the buffer, and what leaks meanwhile."""
    return (
        silicon.iteration_j
        + graph.memory * terms.access_j(silicon.bits)
        + silicon.static_w * silicon.ii / terms.clock_hz
    )
