"""The hybrid-bonded machine: a layer counted by hand, what must hold, values, and refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import InputError, LimitError, ProgramError
from shoal.machines import energy
from shoal.machines.hybrid_bonded import (
    HeadShape,
    HybridBonded,
    Laid,
    Reading,
    best_pages,
    co_placed,
    interleaved,
    one_head_one_tile,
    stores,
    together,
)
from shoal.machines.hybrid_bonded._partials import bound

MACHINE = HybridBonded()
SHAPE = HeadShape(128)


def whole(pages: int) -> Reading:
    return Reading(pages, np.arange(pages))


def layouts(readings: list[Reading], shape: HeadShape, machine: HybridBonded) -> list[list[Laid]]:
    mesh = machine.mesh
    return [one_head_one_tile(readings, mesh), interleaved(readings, mesh), co_placed(readings, mesh, shape)]


@st.composite
def layers(draw: st.DrawFn) -> list[Reading]:
    """One to six heads, some of which choose."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        stored = draw(st.integers(1, 40))
        pages = draw(st.sets(st.integers(0, stored - 1), min_size=1))
        found.append(Reading(stored, np.array(sorted(pages)), draw(st.booleans())))
    return found


def test_a_head_by_hand() -> None:
    """100 pages of 16 tokens, keys and values of 128 in 16 bits, from one tile's banks."""
    run = MACHINE.attention(SHAPE, [whole(100)], one_head_one_tile([whole(100)], MACHINE.mesh))
    read_bytes = 100 * 16 * 2 * 128 * 2
    merged_s = (1 + 0) / (16 * 1e9)
    assert run.counts["dram"] == read_bytes == 819_200
    assert run.seconds == pytest.approx(read_bytes / 128e9 + max(merged_s, 128 / 512e9))
    assert run.counts["mac"] == 1600 * 2 * 128 + 128
    assert run.counts["vector"] == 1600 + 1
    assert run.counts["row"] == 0
    bond, array = energy("hybrid bond", "move", 1, 25), energy("dram under hybrid bonds", "read", 1, 25)
    assert run.energy_j["dram"] == pytest.approx(read_bytes * 8 * (bond.energy_j + array.energy_j))
    assert run.energy_j["static"] == pytest.approx(16 * 0.1 * run.seconds)
    assert run.joules == pytest.approx(sum(run.energy_j.values()))


def test_small_pages_miss_rows_and_one_buffer_adds_up() -> None:
    counts = {"dram": 128e9, "row": 16e9, "mac": 512e9, "vector": 16e9}
    assert MACHINE.seconds(counts) == pytest.approx(1 + 45)
    assert replace(MACHINE, overlapped=False).seconds(counts) == pytest.approx(1 + 45 + 1 + 1)
    tiny = HeadShape(16, page=8)
    run = MACHINE.attention(tiny, [whole(10)], one_head_one_tile([whole(10)], MACHINE.mesh))
    assert run.counts["row"] == 10


def test_a_head_over_two_tiles_by_hand() -> None:
    """Queries go out, the best scores come back, the least that counts goes out, a partial result comes back."""
    reading = Reading(8, np.array([0, 1, 2]), scored=True)
    laid = [Laid(0, np.array([0, 1] * 4))]
    run = MACHINE.attention(SHAPE, [reading], laid)
    assert run.counts["noc"] == 128 * 2 + 3 * 4 + 4 + (128 + 2) * 4
    assert run.counts["dram"] == 8 * 2 * 128 * 2 + 3 * SHAPE.page_bytes == reading.bytes(SHAPE)


def test_interleaved_pages_travel() -> None:
    """15 of 16 pages come from other tiles."""
    run = MACHINE.attention(SHAPE, [whole(16)], interleaved([whole(16)], MACHINE.mesh))
    hops = sum(len(MACHINE.mesh.path(tile, 0)) for tile in range(16))
    assert run.counts["noc"] == hops * SHAPE.page_bytes


@settings(max_examples=25, deadline=None)
@given(layers(), st.integers(1, 3), st.integers(1, 3))
def test_what_must_hold(readings: list[Reading], columns: int, rows: int) -> None:
    machine, shape = replace(MACHINE, columns=columns, rows=rows), HeadShape(8, 2, 4)
    for laid in layouts(readings, shape, machine):
        run = machine.attention(shape, readings, laid)
        assert run.counts["dram"] == sum(each.bytes(shape) for each in readings)
        assert (run.energy_j.get("noc", 0.0) == 0) or machine.mesh.tiles > 1
        assert sum(machine.held_bytes(shape, readings, laid)) == sum(each.held_bytes(shape) for each in readings)
        for name in ("dram_bytes_per_s", "link_bytes_per_s", "mac_lanes", "vector_lanes", "clock_hz", "banks"):
            better = replace(machine, **{name: 2 * getattr(machine, name)})
            assert better.attention(shape, readings, laid).seconds <= run.seconds


@settings(max_examples=25, deadline=None)
@given(layers(), st.integers(0, 5))
def test_tiles_compute_attention(readings: list[Reading], seed: int) -> None:
    shape, source = HeadShape(8, 2, 4), np.random.default_rng(seed)
    queries = source.normal(size=(len(readings), 2, 8))
    keys, values = source.normal(size=(2, len(readings), 160, 8))
    readings = [
        replace(each, chosen=best_pages(queries[at], keys[at, : 4 * each.stored], 4, len(each.chosen)))
        for at, each in enumerate(readings)
    ]
    for laid in layouts(readings, shape, MACHINE):
        held = stores(laid, queries, keys, values, shape.page, MACHINE.mesh.tiles)
        MACHINE.attention(shape, readings, laid, held)
        for head, (reading, place) in enumerate(zip(readings, laid, strict=True)):
            tokens = (reading.chosen[:, None] * 4 + np.arange(4)).ravel()
            weights = np.exp(queries[head] @ keys[head, tokens].T / np.sqrt(8))
            wanted = weights @ values[head, tokens] / weights.sum(axis=1, keepdims=True)
            assert held[place.home]["out", head] == pytest.approx(wanted)


def test_bounds_are_above_all_products() -> None:
    source = np.random.default_rng(0)
    queries, keys = source.normal(size=(3, 8)), source.normal(size=(64, 8))
    most = [(queries @ keys[at : at + 4].T).max() for at in range(0, 64, 4)]
    kept = best_pages(queries, keys, 4, 15)
    assert len(kept) == 15
    bounds = [bound(queries, keys[at : at + 4]) for at in range(0, 64, 4)]
    assert all(upper >= product for upper, product in zip(bounds, most, strict=True))
    assert set(range(16)) - set(kept.tolist()) == {int(np.argmin(bounds))}


def test_tiles_find_the_pages_themselves() -> None:
    """Pages that are not those of the largest bounds are noticed by the tile that has them."""
    shape, source = HeadShape(8, 1, 4), np.random.default_rng(1)
    queries, keys = source.normal(size=(1, 1, 8)), source.normal(size=(1, 40, 8))
    best = best_pages(queries[0], keys[0], 4, 3)
    other = np.setdiff1d(np.arange(10), best)[:3]
    for pages in (best, other):
        readings = [Reading(10, pages, scored=True)]
        laid = co_placed(readings, MACHINE.mesh, shape)
        held = stores(laid, queries, keys, keys, 4, MACHINE.mesh.tiles)
        if pages is best:
            MACHINE.attention(shape, readings, laid, held)
        else:
            with pytest.raises(ProgramError, match="other pages count"):
                MACHINE.attention(shape, readings, laid, held)


def test_balance_is_faster_where_heads_differ() -> None:
    source = np.random.default_rng(0)
    readings = [
        Reading(1024, np.sort(source.choice(1024, 64, replace=False)), scored=True) if at % 4 == 0 else whole(20)
        for at in range(32)
    ]
    apart, spread, even = (MACHINE.attention(SHAPE, readings, laid) for laid in layouts(readings, SHAPE, MACHINE))
    assert even.seconds < apart.seconds < spread.seconds
    assert even.load < 1.2 < apart.load


def test_a_product_reads_all_weights_once() -> None:
    run = MACHINE.product(4096, 11008)
    assert run.counts["dram"] == 4096 * 11008 * 2
    assert run.counts["mac"] == 4096 * 11008
    assert run.seconds > 4096 * 11008 * 2 / (16 * 128e9)
    assert replace(MACHINE, columns=1, rows=1).product(64, 64).counts.get("noc", 0) == 0
    row, column = 3 * 16 * (64 / 16) * 2, 3 * 16 * (64 / 4) * 2  # the 12 pairs of a line of four are 20 hops
    assert MACHINE.product(64, 64).counts["noc"] == (row + column) * 20 / 12
    twice = together([run, run])
    assert (twice.seconds, twice.joules) == pytest.approx((2 * run.seconds, 2 * run.joules))
    assert twice.load == pytest.approx(1.0)


def test_options_and_description() -> None:
    made = catalog.make("machines/hybrid_bonded", "hybrid_bonded:columns=8,dram_bytes_per_s=250e9")
    assert (made.columns, made.rows, made.dram_bytes_per_s) == (8, 4, 250e9)


def test_heads_beyond_the_memory_are_refused() -> None:
    readings = [whole(100)] * 32
    held = MACHINE.held_bytes(SHAPE, readings, one_head_one_tile(readings, MACHINE.mesh))
    assert held == [2 * 100 * SHAPE.page_bytes] * 16
    MACHINE.check_held(held)
    with pytest.raises(LimitError, match="tile 3: a tile cannot hold its share of the heads and weights") as fault:
        replace(MACHINE, tile_bytes=held[3]).check_held([*held[:3], held[3] + 1])
    assert fault.value.hint


@pytest.mark.parametrize(
    "change",
    [{"columns": 0}, {"rows": -1}, {"dram_bytes_per_s": 0.0}, {"link_bytes_per_s": -1.0}, {"clock_hz": float("nan")},
     {"tile_w": -0.1}, {"hop_s": -1.0}],
)  # fmt: skip
def test_machines_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="a machine with"):
        HybridBonded(**change)


def test_heads_that_cannot_be() -> None:
    with pytest.raises(InputError, match="a head with page 0"):
        HeadShape(128, page=0)
    for chosen in ([], [5], [-1]):
        with pytest.raises(InputError, match="reads no page"):
            Reading(5, np.array(chosen, np.int64))
    with pytest.raises(InputError, match="nothing that ran"):
        together([])
