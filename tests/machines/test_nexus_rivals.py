"""Rivals of the array of messages: intervals and conflicts by hand, and the accelerator in front of the array."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from shoal.errors import InputError, LimitError, ModelError
from shoal.machines.accelerators.nexus import Nexus
from shoal.machines.cgra import executed
from shoal.machines.nexus import (
    Body,
    Columns,
    Flat,
    Inner,
    Loops,
    MessageArray,
    Slices,
    Sparse,
    Traffic,
    cgra,
    numbered,
    rmat,
    sddmm_loops,
    small_world,
    spmm_loops,
    systolic,
    uniform,
)
from shoal.machines.nexus import _bodies as bodies
from shoal.machines.nexus._cgra import held_up
from shoal.machines.nexus._lanes import Fabric, least_cycles, nodes_of, scheduled, unrolled
from shoal.machines.nexus._loops import WEIGHTED, WEIGHTED_ROW, WIDE
from shoal.machines.nexus._schedules import Schedule
from tests.machines.calls import case

ARRAY = MessageArray()
FREE = Traffic(0, 0, 0, 0)
MESH = Fabric(4, 4, 4)
MATRIX = numbered(rmat(5, 120))
LENGTHS = MATRIX.lengths[MATRIX.lengths > 0]


def streams(matrix: Sparse) -> dict[str, np.ndarray]:
    """What of a matrix streams by: values, columns, flags where a row begins."""
    begins = np.append(1, matrix.row[1:] != matrix.row[:-1]).astype(np.int64)
    return {"a": matrix.value.astype(np.int64), "index": matrix.column, "begins": begins}


def of_rows(schedule: Schedule, array: MessageArray = ARRAY) -> int:
    """Cycles of a schedule with conflicts."""
    mapping = scheduled(schedule.body, schedule.lanes, MESH)
    assert mapping is not None
    held = held_up(mapping, unrolled(schedule.body, schedule.lanes), schedule, array.places)
    return schedule.cycles(mapping.ii, mapping.length, array.places) + held


def test_bodies_compute_their_kernels_as_they_are_written() -> None:
    x, size = np.random.default_rng(3).integers(-9, 10, 32), MATRIX.shape[0]
    wanted = (MATRIX.dense() @ x).astype(int)[MATRIX.lengths > 0]
    of = streams(MATRIX)
    y = np.zeros(len(LENGTHS), np.int64)
    bodies.weighted(**of, x=x, y=y, n=MATRIX.count)
    np.testing.assert_array_equal(y, wanted)
    bodies.damped(**of, x=x, y=y, damping=3, base=5, n=MATRIX.count)
    np.testing.assert_array_equal(y, 3 * wanted + 5)

    u, v = (np.random.default_rng(at).integers(-9, 10, (size, 4)) for at in (1, 2))
    out = np.zeros(MATRIX.count, np.int64)
    bodies.sampled(u.ravel(), v.ravel(), MATRIX.row * 4, MATRIX.column * 4, of["a"], out, 4, MATRIX.count)
    np.testing.assert_array_equal(out, ((u @ v.T) * MATRIX.dense())[MATRIX.row, MATRIX.column])


def test_products_of_sparse_matrices_are_those_of_both_bodies() -> None:
    met = MATRIX.lengths[MATRIX.column] > 0
    row, column, value = MATRIX.row[met], MATRIX.column[met], MATRIX.value[met].astype(np.int64)
    ends = np.append(MATRIX.row[1:] != MATRIX.row[:-1], True)
    words = MATRIX.value.astype(np.int64) << 16 | 2 * MATRIX.column | ends
    begin = np.append(MATRIX.first[column], [0, 0])
    flat, rows = (np.zeros(2 * 32 * 32, np.int64) for _ in range(2))
    bodies.gustavson(value, 64 * row, begin, words, flat, int(MATRIX.lengths[column].sum()))
    for at in range(len(row)):
        bodies.gustavson_row(words & ~1, rows, value[at], 64 * row[at], begin[at], MATRIX.lengths[column[at]])
    np.testing.assert_array_equal(flat.reshape(32, 32, 2)[..., 0], MATRIX.dense() @ MATRIX.dense())
    np.testing.assert_array_equal(flat, rows)


def test_rounds_of_the_bodies_of_graphs_end_in_levels_and_distances() -> None:
    graph = numbered(small_world(24, 4, 0.3, seed=1))
    count, ends = graph.shape[0], np.append(graph.row[1:] != graph.row[:-1], True)
    first, far, whole = graph.first, 10_000, csr_array(graph.dense())
    level, front, depth = np.full(count, far), [0], 0
    level[0] = 0
    while front:
        found, depth = np.full(graph.count + 1, -1), depth + 1
        queue, trips = np.array([*front, 0, 0]), int(graph.lengths[front].sum())
        bodies.levelled(queue, first, 2 * graph.column | ends, level, found, depth, trips)
        front = list(dict.fromkeys(each for each in found[:-1].tolist() if each >= 0 and level[each] == depth))
    np.testing.assert_array_equal(level, dijkstra(whole, indices=0, unweighted=True))

    words = graph.value.astype(np.int64) << 16 | 2 * graph.column | ends
    distance, mark, front, turn = np.full(2 * count, far), np.zeros(2 * count, np.int64), [0], 0
    distance[0] = 0
    while front:
        found, turn = np.full(graph.count + 1, -1), turn + 1
        queue, trips = np.array([*front, 0, 0]), int(graph.lengths[[each // 2 for each in front]].sum())
        starts = np.repeat(first, 2)  # of twice a vertex
        bodies.relaxed(queue, starts, words, distance, distance, mark, found, turn, trips)
        front = list(dict.fromkeys(each for each in found[:-1].tolist() if each >= 0 and mark[each] == turn))
    np.testing.assert_array_equal(distance[::2], dijkstra(whole, indices=0))


def test_a_mapped_body_computes_on_the_mesh_in_three_lanes() -> None:
    """The schedule that cycles are counted of is carried out: each lane has a third of the rows."""
    lanes, rows = 3, 30
    matrix = numbered(uniform(rows, 30, 0.2, seed=4))
    x = np.arange(-15, 15)
    made = unrolled(WEIGHTED, lanes)
    mapping = scheduled(WEIGHTED, lanes, MESH)
    assert mapping is not None
    parts = [matrix.rows(at, at + rows // lanes) for at in range(0, rows, rows // lanes)]
    trips = max(each.count for each in parts)
    memory = {}
    for each in made.accesses:
        whole = {**streams(parts[each.lane]), "x": x, "y": np.zeros(rows, np.int64)}[each.array]
        memory[f"{each.array}+{each.offset}, lane {each.lane}"] = np.pad(whole, (0, trips))[each.offset :]
    executed(mapping, memory, {}, trips)
    for lane, part in enumerate(parts):
        wanted = (part.dense() @ x).astype(int)[part.lengths > 0]
        np.testing.assert_array_equal(memory[f"y+0, lane {lane}"][: len(wanted)], wanted)


def test_lanes_share_what_they_have_no_part_of_their_own_of() -> None:
    rows, columns = unrolled(WEIGHTED, 3), unrolled(WIDE, 3)
    assert (rows.shared, len(rows.graph.nodes)) == (1, 1 + 3 * 9)  # the counter
    assert (columns.shared, len(columns.graph.nodes)) == (5, 5 + 3 * 5)  # value, column, flag and row of C as well
    assert nodes_of(WEIGHTED, 3) == 28


def test_numbers_in_an_index_become_part_of_the_base() -> None:
    made = unrolled(Body(bodies.sampled, frozenset({"left", "right", "scale", "out"}), (("depth", 4),)), 1)
    assert sorted(each.offset for each in made.accesses if each.array == "u") == [0, 1, 2, 3]
    assert (
        len(made.graph.nodes) == 1 + 2 + 4 * 3 + 4 - 1 + 3
    )  # counter; rows; loads, products; sums; scale, product, store


def test_the_interval_is_the_mappers_and_no_less_than_slots_and_chains_ask() -> None:
    for lanes in (1, 4):
        least, mapping = least_cycles(WEIGHTED, lanes, MESH), scheduled(WEIGHTED, lanes, MESH)
        assert least == (-(-(1 + 9 * lanes) // 16), 2)  # the sum of a row goes through a choice and an addition
        assert mapping is not None
        assert mapping.ii >= max(least)
    assert least_cycles(WEIGHTED, 4, Fabric(4, 4, 1)) == (5, 2)  # twenty loads and stores at four ports


def test_cycles_are_rounds_times_the_interval_and_filling() -> None:
    schedule = Flat(WEIGHTED, {}, 10).schedule(2)
    assert schedule.rounds == 5
    assert schedule.cycles(3, 9, 16) == 5 * 3 + (9 - 3)
    rows = Inner(WEIGHTED_ROW, {}, np.array([3, 0, 4]), outer=20, sums=True).schedule(2)
    assert rows.runs.tolist() == [2, 0, 2]
    assert rows.cycles(3, 9, 16) == 4 * 3 + 2 * (9 - 3) + 3 * 2  # 21 operations between rows take two cycles
    slices = Slices(WEIGHTED_ROW, {}, np.array([3, 0, 4, 1]), outer=1).schedule(2)
    assert slices.runs.tolist() == [4, 1]
    wide = Columns(WIDE, np.array([3, 0, 4]), np.arange(7), width=5, flat=True).schedule(2)
    assert wide.rounds == 3 * (3 + 4)


def test_requests_to_one_bank_hold_up_the_array() -> None:
    def cycles(addresses: np.ndarray) -> int:
        return of_rows(Inner(WEIGHTED_ROW, {"load x": addresses}, np.full(8, 8), 0, sums=False).schedule(4))

    apart = cycles(np.arange(64))
    assert cycles(np.full(64, -1)) == apart
    mapping = scheduled(WEIGHTED_ROW, 4, MESH)
    assert mapping is not None
    loads = [mapping.times[each.node] for each in unrolled(WEIGHTED_ROW, 4).accesses if each.array == "x"]
    asked = Counter(step * mapping.ii + load for step in range(2) for load in loads)  # of a run of two rounds
    assert cycles(np.arange(64) * 16) == apart + 8 * sum(count - 1 for count in asked.values())


def test_a_gather_from_one_bank_takes_longer_than_one_over_all() -> None:
    def loops(addresses: np.ndarray) -> tuple[Loops, ...]:
        return (Flat(WEIGHTED, {"load x": addresses}, 256),)

    spread, one = (cgra(ARRAY, loops(np.arange(256) * step), FREE, 512, lanes=4) for step in (1, 16))
    assert one.cycles > spread.cycles
    assert one.lanes < spread.lanes


def test_the_fastest_of_all_schedules_is_taken_and_none_beats_its_bound() -> None:
    loops = spmm_loops(MATRIX, 16)
    found = cgra(ARRAY, loops, FREE, 2 * MATRIX.count * 16, lanes=6)
    every = [of_rows(each.schedule(lanes)) for each in loops for lanes in range(1, 7)]
    assert found.cycles == min(every)
    assert found.interval >= max(found.resources, found.recurrence)
    assert found.cycles >= 3 * MATRIX.count * 16 / ARRAY.places
    assert found.useful < found.busy <= 1


def test_a_loop_that_no_lane_fits_is_refused() -> None:
    with pytest.raises(LimitError, match="no schedule was found"):
        cgra(ARRAY, sddmm_loops(MATRIX, 64)[:1], FREE, 1)


def test_the_port_bounds_every_rival() -> None:
    traffic = Traffic(before=160, beside=16_000, after=32, products=0)
    assert traffic.cycles(100, 16) == 10 + 1000 + 2
    assert traffic.cycles(5000, 16) == 10 + 5000 + 2
    assert systolic(ARRAY, ((8, 20, 4),), FREE, 0).cycles == 2 * (20 + 4 + 4 - 2)


def test_layers_in_float32_are_those_of_onnx_and_in_integers_nearly() -> None:
    for op in ("MatMul, pruned", "Gemm", "Conv", "Conv of groups"):
        call, data, wanted = case(op)
        for values, near in (("float32", 1e-6), ("int16", 1e-3)):
            machine = Nexus(values=values)  # type: ignore[arg-type]
            found = machine.run(machine.compiled(call), data).outputs["y"]
            assert np.abs(found - wanted).max() <= near * np.abs(wanted).max(), (op, values)


def test_zeros_among_the_weights_cost_nothing() -> None:
    call, _, _ = case("MatMul, pruned")
    machine = Nexus()
    task = machine.compiled(call)
    assert machine.run(task).counters["product"] == task.weights[0].count * 4
    assert task.weights[0].count < 0.5 * 32 * 40


def test_what_it_has_no_unit_for_is_refused() -> None:
    with pytest.raises(ModelError, match="weights that are known beforehand"):
        Nexus().compiled(case("MatMul of two inputs")[0])
    with pytest.raises(LimitError, match=r"tensor 'w'.*had 100 B"):
        Nexus(memory_bytes=100).compiled(case("MatMul")[0])
    with pytest.raises(LimitError, match=r"tensor 'w'.*needed 208 B, had 128 B"):
        Nexus(columns=2, rows=2, words=16).compiled(case("MatMul")[0])
    with pytest.raises(InputError, match="columns 0"):
        replace(Nexus(), columns=0)
