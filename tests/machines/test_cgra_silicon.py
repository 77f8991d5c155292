"""Cells and events counted by hand; what has no share in the idea saves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.errors import InputError
from shoal.machines import energy
from shoal.machines._area import area, area_table
from shoal.machines.cgra import (
    Dataflow,
    Fabric,
    Node,
    Read,
    Silicon,
    array_cells,
    as_datapath,
    configuration_bits,
    conventional,
    kernel,
    mapped,
    on_array,
    plaid,
    separate,
    spatial,
)
from shoal.machines.cgra._fabric import Resource, Unit

COUNTER = Dataflow("count", (Node("add", (Read(0, 1, (0,)), 1)),))


def one_alu() -> Fabric:
    """An ALU whose operands come from its own register: two ports of two inputs (a number is one), a bit that chooses."""
    resources = (
        Resource("left", 0, "port", 8, (4,)), Resource("right", 0, "port", 8, (4,)), Resource("choice", 0, "port", 1, (4,)),
        Resource("result", 0, "wire", 8), Resource("kept", 0, "register", 8, (3,)),
    )  # fmt: skip
    return Fabric("one", 8, 4, resources, (Unit("alu", 0, (0, 1, 2), 3, 4, True),), ((0, 0),), 1)


def test_cells_of_one_alu_counted_by_hand() -> None:
    cells = array_cells(one_alu())
    assert cells["register"] == 8
    assert cells["full adder"] == 8 + 36  # a sum, and half of a square of eight
    assert cells["multiplexer of two"] == 2 * 8 * 3 + 8 + 4 * 8 + 2 * 8  # shifts, choice, five results, two ports
    assert configuration_bits(one_alu()) == 1 + 1 + 5 + 8  # two ports, one of 18 things to do, a number
    assert cells["configuration memory"] == 4 * 15


def test_energy_of_a_counter_counted_by_hand() -> None:
    mapping = mapped(COUNTER, one_alu())
    assert (mapping.ii, mapping.length) == (1, 1)
    found = on_array(mapping)
    assert found.events["add"] == 1
    assert found.events["register"] == 8
    assert found.events["multiplexer"] == 8
    assert found.events["wire"] == 0  # one source at each port: nothing crosses a router
    assert found.events["configuration"] == 15
    priced = (energy("int", "add", 8).energy_j + 8 * energy("register", "write", 1).energy_j
              + 8 * energy("multiplexer of two", "pass", 1).energy_j
              + 15 * energy("configuration memory", "read", 1).energy_j)  # fmt: skip
    assert found.iteration_j == pytest.approx(priced)
    assert found.area_mm2 == pytest.approx(sum(count * area(name).area_mm2 for name, count in found.cells.items()))
    assert found.power_w(1e8) == pytest.approx(priced * 1e8 + found.static_w)


def test_a_circuit_of_its_own_has_a_unit_a_node_and_nothing_to_tell_it() -> None:
    found = as_datapath(COUNTER, 8)
    assert found.cells == {"full adder": 8, "exclusive or": 8, "register": 8}
    assert found.ii == 1
    graph = kernel("gemm").graph()
    array = on_array(mapped(graph, conventional()))
    circuit = as_datapath(graph)
    assert circuit.area_mm2 < array.area_mm2
    assert circuit.iteration_j < array.iteration_j
    assert circuit.events["mul"] == array.events["mul"] == 2
    assert as_datapath(kernel("gemm").graph(4)).ii == 4  # sums wait for one another there too


def test_an_array_that_stands_still_reads_no_configuration() -> None:
    graph = kernel("gemm").graph()
    assert "configuration" not in on_array(mapped(graph, spatial())).events


def test_sharing_a_router_saves_area_and_one_router_each_saves_little() -> None:
    base, shared, alone = (
        Silicon(array_cells(each), {}, 16, 1).area_mm2 for each in (conventional(), plaid(), separate())
    )
    assert shared < alone < base
    assert 1 - shared / base > 2 * (1 - alone / base)


def test_wider_values_take_more_of_everything() -> None:
    narrow, wide = array_cells(plaid(bits=16)), array_cells(plaid(bits=32))
    assert all(wide[name] > narrow[name] for name in narrow)
    assert wide["register"] == 2 * narrow["register"]


def test_twice_a_row_counts_twice() -> None:
    found = as_datapath(COUNTER, 8)
    assert found.area_with({"register": 2.0}) - found.area_mm2 == pytest.approx(8 * area("register").area_mm2)
    more = found.energy_with({"add": 2.0}) - found.iteration_j
    assert more == pytest.approx(energy("int", "add", 8).energy_j)


def test_areas_have_sources_and_unknown_ones_are_refused() -> None:
    assert all(row.source and row.certainty in ("paper", "recalled", "assumed") for row in area_table())
    assert all(0 < row.low <= row.high for row in area_table())
    with pytest.raises(InputError, match="no area is known of 'registr' at 45 nm"):
        area("registr")


def test_an_unused_array_costs_the_same_area() -> None:
    fabric = conventional()
    small, large = (on_array(mapped(graph, fabric)) for graph in (COUNTER, kernel("relu_add").graph()))
    assert small.area_mm2 == large.area_mm2
    assert replace(small, ii=2).power_w(1e8) < small.power_w(1e8)
