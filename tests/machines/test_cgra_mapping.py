"""Mapping and carrying out: values as numpy gives them, on every array; faults of a mapping are noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import LimitError, ModelError, ProgramError
from shoal.machines._compiled import plain
from shoal.machines.cgra import (
    KERNELS,
    Fabric,
    Mapping,
    conventional,
    cut,
    evaluated,
    executed,
    greedy,
    kernel,
    mapped,
    on_array,
    plaid,
    separate,
    spatial,
)
from shoal.machines.cgra import _reach as reach

ARRAYS = {"conventional": conventional(), "plaid": plaid(), "separate": separate(), "no local": plaid(local=False)}
LIGHT = [name for name in KERNELS if name != "conv2d"]


def on(fabric: Fabric, name: str, unroll: int = 1) -> Mapping:
    graph = kernel(name).graph(unroll)
    return mapped(graph, fabric, greedy(graph, tries=100) if fabric.groups else ())


def check(name: str, mappings: tuple[Mapping, ...], extra: dict[str, np.ndarray] | None = None) -> None:
    each = kernel(name)
    memory = each.drawn(1)
    expected = each.expected({key: values.copy() for key, values in memory.items()})
    held = memory | (extra or {})
    for scalars in each.entries():
        for mapping in mappings:
            moved = executed(mapping, held, scalars)
            assert moved.cycles == mapping.ii * (mapping.graph.trips - 1) + mapping.length
    for key, values in expected.items():
        np.testing.assert_array_equal(held[key], values.ravel())


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("array", ["conventional", "plaid"])
def test_a_mapped_loop_gives_what_numpy_gives(array: str, name: str) -> None:
    mapping = on(ARRAYS[array], name)
    assert mapping.ii >= mapping.least == max(mapping.fabric.least_cycles(mapping.graph))
    check(name, (mapping,))


@pytest.mark.parametrize("array", ["separate", "no local"])
def test_arrays_without_the_idea_compute_as_well(array: str) -> None:
    check("fc", (on(ARRAYS[array], "fc"),))


@pytest.mark.parametrize("name", LIGHT)
def test_a_loop_in_pieces_gives_what_numpy_gives(name: str) -> None:
    found = cut(kernel(name).graph(), spatial())
    check(name, found.mappings, found.between())
    assert all(len(set(each.units)) == len(each.units) for each in found.mappings)


def test_unrolled_loops_do_the_work_of_several_iterations() -> None:
    check("gemm", (on(ARRAYS["plaid"], "gemm", 2),))
    check("seidel", (on(ARRAYS["conventional"], "seidel", 2),))


@pytest.mark.parametrize("name", ["gemm", "doitgen", "conv2d", "depthwise", "fc", "jacobi_1d", "softmax_sum"])
def test_all_entries_at_once_give_what_each_cycle_gives(name: str) -> None:
    each = kernel(name)
    graph, memory = each.graph(2), each.drawn(2)
    expected = each.expected({key: values.copy() for key, values in memory.items()})
    entries = list(each.entries())
    scalars = {key: np.array([entry[key] for entry in entries]) for key in each.outer}
    evaluated(graph, memory, scalars, graph.trips, 16)
    for key, values in expected.items():
        np.testing.assert_array_equal(memory[key], values.ravel())


def test_a_value_that_takes_another_way_is_missed_where_it_is_read() -> None:
    """Every way but the first is cut off at its end: the port then holds nothing, or another value."""
    mapping = on(ARRAYS["conventional"], "gemm")
    for at, way in enumerate(mapping.ways):
        if not way:
            continue
        broken = replace(mapping, ways=(*mapping.ways[:at], (), *mapping.ways[at + 1 :]))
        with pytest.raises(ProgramError, match="not there"):
            check("gemm", (broken,))


def test_what_is_carried_out_is_what_energy_is_counted_of() -> None:
    mapping, each = on(ARRAYS["plaid"], "gemm"), kernel("gemm")
    moved = executed(mapping, each.drawn(), {"i": 0, "j": 0})
    counted = on_array(mapping).events
    assert moved.counts["mul"] == 8 * counted["mul"]
    assert moved.counts["add"] == 8 * counted["add"]
    assert moved.counts["load"] + moved.counts["store"] == 8 * mapping.graph.memory


def test_a_value_a_cycle_late_is_noticed() -> None:
    mapping = on(ARRAYS["conventional"], "gemm")
    (product,) = (at for at, node in enumerate(mapping.graph.nodes) if node.op == "mul" and not node.immediate)
    late = replace(mapping, times=tuple(time + (at == product) for at, time in enumerate(mapping.times)))
    with pytest.raises((ProgramError, AssertionError)):
        check("gemm", (late,))


def test_two_values_at_one_place_are_noticed() -> None:
    mapping = on(ARRAYS["conventional"], "gemm", 2)
    first, second = (at for at, unit in enumerate(mapping.units) if at < 2)
    units = tuple(mapping.units[first] if at == second else unit for at, unit in enumerate(mapping.units))
    times = tuple(mapping.times[first] if at == second else time for at, time in enumerate(mapping.times))
    with pytest.raises(ProgramError, match="two nodes on one unit"):
        check("gemm", (replace(mapping, units=units, times=times),))


def test_what_cannot_be_mapped_says_what_was_tried_and_what_is_short() -> None:
    gemm = kernel("gemm").graph(2)
    with pytest.raises(LimitError, match=r"more configurations than the array holds \(needed 6 contexts, had 4\)"):
        mapped(gemm, plaid(1, 1, contexts=4))
    with pytest.raises(LimitError, match=r"edge \d+ \w+ to \d+ \w+, had 2 to 2 cycles between iterations tried"):
        mapped(gemm, conventional(entries=1), most=2, rounds=0)
    with pytest.raises(
        LimitError, match=r"more nodes than units \(needed 18 units, 6 of them with the memory, had 16, 4\)"
    ):
        mapped(gemm, spatial())
    lame = replace(conventional(), units=tuple(replace(unit, memory=False) for unit in conventional().units))
    with pytest.raises(ModelError, match="no unit has a port of the memory"):
        mapped(gemm, lame)
    with pytest.raises(LimitError, match="what cannot be cut is larger"):
        cut(kernel("seidel").graph(4), spatial())


def test_the_inner_loop_of_the_mapper_is_the_same_compiled_and_as_written() -> None:
    written = plain(reach)
    fabric = plaid()
    rng = np.random.default_rng(0)
    order = np.array(fabric.order)
    delays = np.array([each.delay for each in fabric.resources])
    starts = np.cumsum([0, *(len(each.sources) for each in fabric.resources)])
    sources = np.array([source for each in fabric.resources for source in each.sources])
    costs = rng.random((3, len(fabric.resources)))
    held = np.full((6, len(fabric.resources)), reach.FAR)
    held[0, fabric.units[0].result] = 0.0
    for one, other in zip(reach.forward(held.copy(), order, delays, starts, sources, costs, 2),
                          written.forward(held.copy(), order, delays, starts, sources, costs, 2), strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    starts = np.cumsum([0, *map(len, fabric.takers)])
    takers = np.array([taker for each in fabric.takers for taker in each])
    port = fabric.units[5].ports[0]
    there = reach.backward(port, 6, order, delays, starts, takers, costs, 7)
    np.testing.assert_array_equal(there, written.backward(port, 6, order, delays, starts, takers, costs, 7))
    onward, _ = reach.forward(held.copy(), order, delays, np.cumsum([0, *(len(each.sources) for each in fabric.resources)]),
                              sources, costs, 2)  # fmt: skip
    assert there[0, fabric.units[0].result] == pytest.approx(onward[5, port])  # the same way from both ends
