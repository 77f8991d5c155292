"""The array of active messages: cycles and energy by hand, exact values, no deadlock, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from shoal.errors import InputError, LimitError, WorkError
from shoal.machines import energy
from shoal.machines._compiled import plain
from shoal.machines.nexus import (
    MessageArray,
    Outcome,
    Sparse,
    bfs,
    numbered,
    of_dense,
    pagerank,
    rmat,
    sddmm,
    single,
    spmspm,
    spmv,
    sssp,
    uniform,
)
from shoal.machines.nexus import _cycles as compiled_loop
from shoal.machines.nexus._placement import blocks, by_users, placement_cost, swapped

ARRAY = MessageArray()
DRAWN = np.random.default_rng(2)
WAYS = (
    ARRAY,
    replace(ARRAY, en_route=False),
    replace(ARRAY, routing="adaptive", depth=1),
    replace(ARRAY, valiant=True, depth=1),
    replace(ARRAY, columns=3, rows=2, words=4096),
)


def small(rows: int, columns: int, share: float = 0.2) -> Sparse:
    return numbered(uniform(rows, columns, share, seed=rows + columns))


def everything(array: MessageArray) -> list[Outcome]:
    """One run of each kernel; values are checked here."""
    matrix, x = small(40, 30), DRAWN.integers(-9, 10, 30).astype(float)
    left, right = small(12, 15), small(15, 11)
    samples, u, v = small(10, 9), DRAWN.integers(-9, 10, (10, 5)), DRAWN.integers(-9, 10, (9, 5))
    graph, roads = rmat(6, 200), numbered(rmat(6, 200), 99)
    runs = [spmv(array, matrix, x), spmspm(array, left, right), sddmm(array, samples, u, v), bfs(array, graph, 0),
            sssp(array, roads, 0)]  # fmt: skip
    wanted = [matrix.dense() @ x, left.dense() @ right.dense(),
              (samples.dense() * (u @ v.T))[samples.row, samples.column], levels(graph, 0),
              dijkstra(csr_array(roads.dense()), indices=0)]  # fmt: skip
    for run, values in zip(runs, wanted, strict=True):
        np.testing.assert_array_equal(run.values, values)
    return runs


def levels(graph: Sparse, root: int) -> np.ndarray:
    reached = np.arange(graph.shape[0]) == root
    found = np.where(reached, 0, -1)
    for level in range(1, graph.shape[0]):
        reached = (graph.dense().T @ (found == level - 1) > 0) & (found < 0)
        found[reached] = level
    return found


@pytest.mark.parametrize("array", WAYS, ids=["own", "at data", "adaptive", "valiant", "3 by 2"])
def test_every_kernel_is_exact_in_whole_numbers(array: MessageArray) -> None:
    everything(array)


def test_compiled_and_as_written_do_the_same_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, x = small(20, 16), DRAWN.integers(-9, 10, 16).astype(float)
    graph = rmat(5, 60)

    def runs() -> list[Outcome]:
        every = [replace(ARRAY, columns=2, rows=2, valiant=valiant) for valiant in (False, True)]
        return [run for array in every for run in (spmv(array, matrix, x), spmspm(array, matrix, of_dense(matrix.dense().T)),
                bfs(array, graph, 1), sssp(array, numbered(graph), 1), sddmm(array, matrix, np.ones((20, 3)), np.ones((16, 3))))]  # fmt: skip

    quick = runs()
    monkeypatch.setattr(compiled_loop, "run_cycles", plain(compiled_loop).run_cycles)
    for one, other in zip(quick, runs(), strict=True):
        np.testing.assert_array_equal(one.history, other.history)  # of every ALU, by time
        np.testing.assert_array_equal(one.busy, other.busy)
        np.testing.assert_array_equal(one.values, other.values)
        assert (one.cycles, one.counts, one.facts) == (other.cycles, other.counts, other.facts)


def test_two_products_by_hand() -> None:
    """Two places; the longer way is counted cycle by cycle."""
    array = MessageArray(columns=2, rows=1)
    matrix = Sparse((2, 1), np.array([0, 1]), np.array([0, 0]), np.array([3.0, 5.0]))
    run = spmv(array, matrix, np.array([7.0]))
    np.testing.assert_array_equal(run.values, [21, 35])
    # x lies beside y0. The record of y1 enters, goes over, is read, waits behind the product of y0, comes back, is
    # multiplied, is added: seven cycles, and one until the idle tree has told it.
    assert run.facts["records"] == 2
    assert run.counts["product"] == 2
    assert run.counts["sum"] == 2
    assert run.counts["hop"] == 2 * array.message_bits
    assert (
        run.array_cycles == 7 + 1
    )  # y1's record enters, goes over, is read, comes back, is multiplied, added; the idle tree
    assert run.cycles == run.array_cycles + 1 + 1  # a word of x before, four of y after, 16 a cycle
    local = run.counts["local word"]
    assert local == 2 + 2 * 2 + (1 + 4) / 2  # read x, read and write y, load and empty
    spent = array.energy_j(run)
    assert spent["product"] == pytest.approx(2 * energy("int", "mul", 16).energy_j)
    assert spent["local word"] == pytest.approx(local * energy("sram 2 KB", "read", 32).energy_j)
    assert spent["static"] == pytest.approx(array.static_w * run.cycles / array.clock_hz)


def test_sizes_of_messages() -> None:
    assert (ARRAY.record_words, ARRAY.message_bits) == (3, 48 + 16 + 4 + 8)
    assert replace(ARRAY, values="float32").record_words == 4


def test_switched_off_nothing_is_made_on_the_way() -> None:
    matrix = numbered(rmat(7, 700))
    on, off = spmspm(ARRAY, matrix, matrix), spmspm(replace(ARRAY, en_route=False), matrix, matrix)
    assert off.facts["on the way"] == 0
    assert on.facts["on the way"] > 0
    assert on.facts["on the way"] + on.facts["at work"] == off.facts["at work"]
    assert on.array_cycles < off.array_cycles


def test_one_network_for_all_legs_gets_stuck_and_its_circle_is_named() -> None:
    values = DRAWN.integers(1, 9, (64, 8)).astype(float)
    with pytest.raises(WorkError, match=r"deadlock.*place \d+ own, network 0 → .*place \d+"):
        spmspm(replace(ARRAY, depth=1, networks=1), small(64, 64, 0.5), values)
    spmspm(replace(ARRAY, depth=1), small(64, 64, 0.5), values)


def test_a_way_by_hand() -> None:
    """Three places in a row: the longer way over one more vertex is the shorter."""
    roads = Sparse((3, 3), np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([2.0, 9.0, 3.0]))
    run = sssp(MessageArray(columns=3, rows=1, words=16), roads, 0)
    assert run.values.tolist() == [0, 2, 5]
    assert run.facts["children"] == 3  # an edge each
    assert run.counts["sum"] == 3 + 4  # one longer by its edge each; compared on each arrival, the root's included
    assert run.counts["product"] == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 120), st.integers(0, 99))
def test_lengths_of_any_ways_are_dijkstras(count: int, edges: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    dense = np.zeros((count, count))
    dense[source.integers(0, count, edges), source.integers(0, count, edges)] = source.integers(1, 32767, edges)
    np.fill_diagonal(dense, 0)
    array = MessageArray(columns=3, rows=2, depth=int(source.integers(1, 4)), en_route=bool(seed % 2))
    np.testing.assert_array_equal(sssp(array, of_dense(dense), 0).values, dijkstra(csr_array(dense), indices=0))


def test_a_road_shorter_than_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"shorter than zero.*had -1"):
        sssp(ARRAY, Sparse((2, 2), np.array([0]), np.array([1]), np.array([-1.0])), 0)
    with pytest.raises(InputError, match="16-bit"):
        sssp(ARRAY, Sparse((2, 2), np.array([0]), np.array([1]), np.array([0.5])), 0)
    assert sssp(replace(ARRAY, values="float32"), of_dense(np.array([[0, 0.5], [0, 0]])), 0).values.tolist() == [
        0,
        0.5,
    ]


def test_ranks_are_those_of_a_dense_power_iteration() -> None:
    graph = rmat(6, 300)
    degree = graph.lengths
    ranks = np.full(64, 1 / 64)
    for _ in range(100):
        ranks = (
            0.85 * (graph.dense().T @ (ranks / np.maximum(degree, 1)) + ranks[degree == 0].sum() / 64) + 0.15 / 64
        )
    found = pagerank(replace(ARRAY, values="float32"), graph, near=1e-8)
    assert np.abs(found.values - ranks).max() < 1e-6
    assert found.counts["product"] == 2 * graph.count * found.facts["records"] / graph.count


def test_float32_rounds_like_float32() -> None:
    matrix = Sparse((1, 1), np.zeros(1, np.int64), np.zeros(1, np.int64), single(np.array([1.1])))
    found = spmv(replace(ARRAY, values="float32"), matrix, single(np.array([3.3])))
    assert found.values[0] == np.float32(1.1) * np.float32(3.3)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_product_of_sparse_matrices_is_exact(data: st.DataObject) -> None:
    rows, inner, columns = (data.draw(st.integers(1, 9)) for _ in range(3))
    source = np.random.default_rng(data.draw(st.integers(0, 99)))
    left, right = (
        source.integers(-5, 6, shape) * (source.random(shape) < 0.5) for shape in ((rows, inner), (inner, columns))
    )
    array = MessageArray(columns=data.draw(st.integers(1, 3)), rows=data.draw(st.integers(1, 3)), words=256,
                         depth=data.draw(st.integers(1, 3)), en_route=data.draw(st.booleans()))  # fmt: skip
    np.testing.assert_array_equal(spmspm(array, of_dense(left), of_dense(right)).values, left @ right)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 6))
def test_blocks_hold_what_fits_and_weigh_about_the_same(weights: list[int], places: int) -> None:
    room = np.full(places, -(-len(weights) // places))
    found = blocks(np.array(weights), room)
    assert np.bincount(found, minlength=places).max() <= room[0]
    roomy = blocks(np.array(weights), np.full(places, len(weights)))
    load = np.bincount(roomy, weights, places)
    assert load.max() <= sum(weights) / places + 2 * max(weights)


def test_elements_lie_where_they_are_used() -> None:
    users = np.array([[5, 0], [0, 3], [4, 0]])  # the third where it is used would load that place above the mean
    assert by_users(users, np.ones(3, np.int64), np.array([9, 9])).tolist() == [0, 1, 1]
    assert by_users(users, np.ones(3, np.int64), np.array([0, 9])).tolist() == [1, 1, 1]


@given(st.data())
def test_swaps_never_raise_the_cost_and_keep_what_fits(data: st.DataObject) -> None:
    columns, rows, count = (data.draw(st.integers(1, most)) for most in (4, 4, 30))
    places, source = columns * rows, np.random.default_rng(data.draw(st.integers(0, 999)))
    users = source.integers(0, 9, (count, places)) * (source.random((count, places)) < 0.4)
    weights = source.integers(1, 4, count)
    found = source.integers(0, places, count)
    room = np.bincount(found, weights, places).astype(np.int64) + source.integers(0, 3, places)
    after = swapped(found, users, weights, room, columns)
    assert placement_cost(after, users, columns) <= placement_cost(found, users, columns)
    assert (np.bincount(after, weights, places) <= room).all()


def test_elements_that_lie_crosswise_are_swapped() -> None:
    users, full = np.array([[0, 4], [4, 0]]), np.array([1, 1])
    assert swapped(np.array([0, 1]), users, full, full, 2).tolist() == [1, 0]
    assert placement_cost(np.array([0, 1]), users, 2) == 4 + 8 / 8
    assert placement_cost(np.array([1, 0]), users, 2) == 4


def test_without_swaps_messages_go_further() -> None:
    matrix = numbered(rmat(7, 700))
    with_, without = (spmv(replace(ARRAY, swaps=each), matrix, np.ones(128)) for each in (True, False))
    assert with_.counts["hop"] < without.counts["hop"]
    np.testing.assert_array_equal(with_.values, without.values)


def test_more_than_all_memories_hold_is_refused_by_name() -> None:
    wide = Sparse((1, 20_000), np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1))
    with pytest.raises(LimitError, match=r"tensor 'x'.*needed 39.1 KiB, had 32 KiB"):
        spmv(ARRAY, wide, np.ones(20_000))
    with pytest.raises(LimitError, match=r"tensor 'C', one row"):
        spmspm(ARRAY, small(4, 4, 1.0), small(4, 600, 1.0))


def test_operands_that_are_no_integers_are_refused() -> None:
    with pytest.raises(InputError, match="16-bit"):
        spmv(ARRAY, small(4, 4, 1.0), np.full(4, 0.5))
    with pytest.raises(InputError, match="values=float32"):
        pagerank(ARRAY, rmat(4, 20))
    with pytest.raises(LimitError, match="32 bits"):
        spmv(ARRAY, Sparse((1, 3), np.zeros(3, np.int64), np.arange(3), np.full(3, 32767.0)), np.full(3, 32767.0))


def test_an_array_without_places_is_none() -> None:
    with pytest.raises(InputError, match="rows 0"):
        MessageArray(rows=0)
    with pytest.raises(InputError, match="no vertex 64"):
        bfs(ARRAY, rmat(6, 20), 64)
