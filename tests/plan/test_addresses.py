"""Addresses before a run: no two that live together share a byte, and never below the bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.graph import load
from shoal.plan.addresses import Addresses, Life, least_bytes, lives, placed, placed_within
from tests.graph.models import light

SPANS = st.tuples(st.integers(0, 4000), st.integers(0, 12), st.integers(0, 6), st.integers(0, 4))
LIVES = st.lists(SPANS, max_size=14).map(
    lambda spans: [
        Life(f"t{at}", size, first, first + length, reads) for at, (size, first, length, reads) in enumerate(spans)
    ]
)


def apart(of: list[Life], found: Addresses) -> None:
    kept = [each for each in of if each.name in found.at]
    for at, one in enumerate(kept):
        assert 0 <= found.at[one.name] <= found.peak_bytes - one.bytes
        for other in kept[:at]:
            if one.meets(other):
                first, second = sorted((one, other), key=lambda life: found.at[life.name])
                assert found.at[first.name] + first.bytes <= found.at[second.name] or not first.bytes * second.bytes


@given(LIVES)
def test_no_two_that_live_together_overlap(of: list[Life]) -> None:
    found = placed(of)
    apart(of, found)
    assert set(found.at) == {each.name for each in of}
    assert least_bytes(of) <= found.peak_bytes <= sum(each.room_bytes for each in of)


@given(LIVES, st.integers(0, 20_000))
def test_within_a_limit_the_least_read_leave(of: list[Life], limit_bytes: int) -> None:
    found = placed_within(of, limit_bytes)
    apart(of, found)
    assert found.peak_bytes <= limit_bytes
    assert set(found.spilled).isdisjoint(found.at)
    cost = {each.name: each.reads * each.bytes for each in of}
    assert all(cost[gone] <= cost[kept] for gone in found.spilled for kept in found.at)


def test_of_a_network() -> None:
    graph = load(light("squeezenet"))
    of = lives(graph)
    found = placed(of)
    apart(list(of), found)
    assert found.peak_bytes < sum(each.bytes for each in of)
    assert {each.name for each in of} == {*graph.tensors, *graph.weights}


def test_a_life_ends_no_earlier_than_it_begins() -> None:
    with pytest.raises(InputError, match="no earlier"):
        Life("x", 1, 3, 2)
    with pytest.raises(InputError, match="less than nothing"):
        placed_within([], -1)
