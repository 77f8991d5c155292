"""The engine of tables: exact sums, what is counted, tiles in URAM, orders of attention."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.errors import InputError, LimitError
from shoal.machines import energy
from shoal.machines.accelerators._tellme_attention import ORDERS, Order, attended, visited, visits
from shoal.machines.accelerators._tellme_uram import Buffers
from shoal.machines.accelerators._ternary import streamed
from shoal.machines.accelerators.tellme import Tellme
from tests.machines.ternary_calls import products, ternary_call


@settings(max_examples=40, deadline=None)
@given(products(), st.integers(1, 40), st.integers(1, 9), st.integers(0, 40))
def test_sums_are_exact_and_what_is_counted_is_that_of_the_formulas(
    drawn: tuple[NDArray[np.int8], NDArray[np.float32]], tables: int, at_once: int, tile: int
) -> None:
    trits, x = drawn
    machine = Tellme(tables=tables, outputs_at_once=at_once, tile_rows=tile)
    ran = machine.run(machine.compiled(ternary_call(trits, 0.25, len(x))), {"x": x})
    np.testing.assert_array_equal(ran.outputs["y"], (x.astype(np.int64) @ trits * 0.25).astype(np.float32))
    assert ran.counters == machine.counted("w", *trits.shape, len(x))
    assert ran.cycles == streamed(machine.jobs("w", *trits.shape, len(x))).cycles + machine.fill_cycles


def test_a_product_by_hand() -> None:
    """192 inputs are two blocks of 32 tables; 40 outputs are ten steps of four."""
    machine = Tellme()
    ran = machine.run(machine.compiled(ternary_call(np.ones((192, 40), np.int8), 1.0, 3)))
    assert ran.counters["table"] == 3 * 64 * 13
    assert ran.counters["lookup"] == 3 * 64 * 40
    assert ran.counters["uram"] == (1 + 3) * 10 * (2 * 10)  # ten columns: 14 of 128 numbers of five bits in each
    assert ran.counters["ddr"] == 64 * 40 * 5 / 8
    assert ran.cycles == 64 * 40 * 5 / 8 / 16 + 3 + 3 * 2 * 10 + 8  # load, first tables, steps, filling
    assert ran.energy_j["lookup"] == pytest.approx(3 * 64 * 40 * energy("fpga lookup", "read", 10, 16).energy_j)


def test_tables_are_made_once_for_all_outputs() -> None:
    narrow, wide = (Tellme().counted("w", 384, outputs, 1) for outputs in (8, 800))
    assert narrow["table"] == wide["table"] == 128 * 13
    assert wide["lookup"] == 100 * narrow["lookup"]


def test_two_tiles_of_a_large_matrix_fit_and_no_more() -> None:
    buffers = Tellme().buffers
    assert buffers.columns == 10
    assert buffers.needed(4096, 1536) == 40  # so that two of the whole matrix would need 80 of 64
    assert buffers.largest(1536) == 3072
    assert buffers.largest(4096) == 4 * (3 * 4096 // ceil(4096 / 96))
    with pytest.raises(
        LimitError, match=r"tensor 'up': two tiles .* \(needed 80 blocks .* 4096 rows, had 64\)"
    ) as caught:
        Tellme(tile_rows=4096).jobs("up", 1536, 4096, 1)
    assert caught.value.hint == "the largest tile that fits has 3072 of 4096 rows"
    with pytest.raises(LimitError, match="tensor 'w'") as caught:
        Tellme(urams=19).compiled(ternary_call(np.ones((3, 3), np.int8), 1.0, 1))
    assert "largest tile that fits has 0" in str(caught.value.hint)


@given(st.integers(2, 500), st.integers(1, 64), st.integers(1, 8), st.integers(1, 20_000))
def test_the_largest_tile_is_the_largest(blocks: int, tables: int, outputs: int, inputs: int) -> None:
    buffers = Buffers(blocks, tables, outputs)
    rows = buffers.largest(inputs)
    assert 2 * buffers.needed(rows, inputs) <= blocks
    assert 2 * buffers.needed(rows + 1, inputs) > blocks


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tokens", [1, 16, 50])
def test_attention_by_tiles_is_attention(order: Order, tokens: int) -> None:
    queries, keys, values = np.random.default_rng(tokens).standard_normal((3, tokens, 8)) * 3
    scores = np.where(np.tri(tokens) > 0, queries @ keys.T / np.sqrt(8), -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(attended(queries, keys, values, 16, order),
                               weights @ values / weights.sum(axis=1, keepdims=True), atol=1e-12)  # fmt: skip


@given(st.integers(1, 40), st.integers(0, 45))
def test_the_reversed_order_loads_no_more_and_masked_tiles_are_left_out(blocks: int, kept: int) -> None:
    forward, backward, full = (visited(blocks, order, kept) for order in ORDERS)
    assert backward.loads <= forward.loads <= full.loads
    assert forward.tiles == backward.tiles == blocks * (blocks + 1) // 2
    assert full.tiles == blocks**2
    assert sorted(visits(blocks, "forward")) == sorted(visits(blocks, "reversed"))
    if kept >= blocks:
        assert full.loads == 0


def test_loads_of_three_blocks_by_hand() -> None:
    """Two are kept. Reversed: 0, 1, 2 with 1 and 2 there at first; then back 1, 0; then 0."""
    assert list(visits(3, "reversed")) == [(2, 2), (2, 1), (2, 0), (1, 0), (1, 1), (0, 0)]
    assert visited(3, "reversed", 2).loads == 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="tables 0"):
        Tellme(tables=0)
    with pytest.raises(InputError, match="no such order"):
        visited(0, "forward", 2)
    with pytest.raises(LimitError, match=r"tensor 'w': does not fit into memory \(needed 10 B, had 9 B\)"):
        Tellme(memory_bytes=9).compiled(ternary_call(np.ones((12, 4), np.int8), 1.0, 1))
