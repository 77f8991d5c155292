"""Streams of requests for experts: hits as formulas and a count apart have them, and as the real store has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from shoal import catalog
from shoal.errors import InputError
from shoal.sim.composition import bursty, plain_hits, served, uniform, zipf, zipf_shares
from shoal.store import POLICIES, Key, MemoryTier, Policy, TensorStore, TierFigures, Told

LRU: Policy = catalog.make(POLICIES, "lru")
SECOND = TierFigures("ddr", 4096.0)  # a record a second


def ran(wanted: list[int], held: int, execute_s: float = 1.0, *, prefetch: bool = False) -> Told:
    return served(
        wanted, LRU, SECOND, experts=8, expert_bytes=4096, held=held, execute_s=execute_s, prefetch=prefetch
    )


@settings(max_examples=40)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=60), st.integers(1, 8))
def test_hits_are_those_of_a_count_apart(wanted: list[int], held: int) -> None:
    found = ran(wanted, held)
    assert found.hit_rate == pytest.approx(plain_hits(wanted, held))
    assert found.stall_s == pytest.approx(len(wanted) * (1 - found.hit_rate))


def test_a_real_store_decides_as_the_simulation() -> None:
    wanted = zipf(8, 80, seed=2)
    tier = MemoryTier((Key(at), {"w": np.zeros(1024, np.float32)}) for at in range(8))
    with TensorStore(tier, 3 * 4096, LRU) as store:
        for each in wanted:
            with store.hold([Key(int(each))]):
                pass
        assert store.told().hit_rate == pytest.approx(ran(wanted.tolist(), 3).hit_rate)


def test_long_streams_hit_as_formulas_say() -> None:
    assert plain_hits(uniform(50, 20_000, 1), 10) == pytest.approx(10 / 50, abs=0.02)
    assert plain_hits(bursty(50, 20_000, 0.6, 1), 10) == pytest.approx(0.6 + 0.4 / 5, abs=0.02)
    shares = zipf_shares(50)  # Che's approximation
    age = brentq(lambda t: (1 - np.exp(-shares * t)).sum() - 10, 1.0, 1e4)
    assert plain_hits(zipf(50, 20_000, seed=1), 10) == pytest.approx(shares @ (1 - np.exp(-shares * age)), abs=0.02)


def test_copying_ahead_hides_all_but_the_first_when_answers_are_longer() -> None:
    wanted = [0, 1, 2, 3, 4, 0, 1]
    assert ran(wanted, 2).stall_s == 7
    assert ran(wanted, 2, prefetch=True).stall_s == 1
    assert ran(wanted, 2, execute_s=0.25, prefetch=True).stall_s == pytest.approx(1 + 6 * 0.75)
    assert ran(wanted, 1, prefetch=True).stall_s == 7  # no room for the next


def test_requests_are_for_experts_that_there_are() -> None:
    for wrong in ([], [8], [-1]):
        with pytest.raises(InputError, match="experts that there are"):
            ran(wrong, 2)
    with pytest.raises(InputError, match="a probability"):
        bursty(4, 4, 1.5)
